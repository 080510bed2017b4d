"""Every landscape of the registry: derivatives, critical points, published values, bits.

The tests iterate over the registry (see `landscape_cases`), so a new landscape is tested as
soon as it is imported.
"""

from __future__ import annotations

import dataclasses
import doctest
import importlib
import inspect
import itertools
import pickle
import pkgutil

import mpmath
import numpy as np
import pytest
from landscape_cases import (
    PLACES,
    POINTS,
    PUBLISHED,
    cases,
    classes,
    inside,
    symbolic,
)

from fastdescent import landscapes
from fastdescent.contracts import JIT
from fastdescent.errors import InvalidValueError, UnknownNameError
from fastdescent.streams import INITIALIZATION, normals, orthonormal

EPSILON = np.finfo(float).eps
CASES = cases()
CLASSES = classes()
each_case = pytest.mark.parametrize("landscape", CASES, ids=repr)
each_class = pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)


def exact(landscape, x):
    """Value, gradient and Hessian of the formula at x, to 60 digits, as doubles."""
    with mpmath.workdps(60):
        at = [mpmath.mpf(float(t)) for t in x]
        value, gradient, hessian = (function(at) for function in symbolic(landscape))
        return float(value), np.array(gradient, dtype=float), np.array(hessian, dtype=float)


def scales(landscape):
    """Typical sizes of value, gradient and Hessian in the domain: medians."""
    x = inside(landscape, POINTS, seed=1)
    value = np.median(abs(landscape.value(x)))
    gradient = np.median(abs(landscape.gradient(x)).max(axis=1))
    hessian = np.median(abs(landscape.hessian(x)).max(axis=(1, 2)))
    return value, gradient, hessian


def places(landscape):
    """Random points in the domain, and 30 and 1000 times farther out."""
    x = inside(landscape, PLACES, seed=2)
    return np.concatenate([x, 30.0 * x[:2], 1000.0 * x[:2]])


@each_case
def test_derivatives_are_those_of_the_formula(landscape):
    # A kernel rounds a few dozen times for each coordinate.  Such errors act like relative
    # changes of eps of the arguments (hence |H| |x| for the gradient), of the result, and
    # of terms that cancel, whose size is the typical one in the domain or, farther out,
    # that of the largest entry.  256 eps covers them with room; a wrong digit in any
    # constant of a kernel or formula is larger.
    typical = scales(landscape)
    for x in places(landscape):
        value, gradient, hessian = exact(landscape, x)
        reach = abs(x).max()
        tolerance = 256 * EPSILON * (abs(value) + abs(gradient) @ abs(x) + typical[0])
        assert abs(landscape.value(x) - value) <= tolerance
        bend = (abs(hessian) @ abs(x)).max()
        tolerance = 256 * EPSILON * (abs(gradient).max() + bend + typical[1])
        assert abs(landscape.gradient(x) - gradient).max() <= tolerance
        third = _third_derivative(landscape, x) * reach
        tolerance = 256 * EPSILON * (abs(hessian).max() + third + typical[2])
        assert abs(landscape.hessian(x) - hessian).max() <= tolerance


def _third_derivative(landscape, x):
    """How fast the exact Hessian changes along x, by a difference: only a scale."""
    size = max(abs(x).max(), 1.0)
    there = exact(landscape, x + 1e-6 * size)[2]
    return abs(there - exact(landscape, x)[2]).max() / (1e-6 * size)


def _central(function, x, i, step):
    shift = np.zeros_like(x)
    shift[:, i] = step
    difference = function(x + shift) - function(x - shift)
    span = (x + shift)[:, i] - (x - shift)[:, i]  # the step as rounded
    return difference / span.reshape(-1, *[1] * (difference.ndim - 1))


@each_case
def test_derivatives_agree_with_central_differences(landscape):
    # The truncation error of step h is c h^2, so it is 4/3 of the change on halving h; twice
    # that bounds it where c varies.  Rounding adds about eps |f| / h for each evaluation.
    # Both must be small against the derivative itself, or the test would prove nothing.
    x = inside(landscape, POINTS, seed=3)
    if landscape.minima is not None:  # where a plateau is not flat to rounding
        x[::2] = landscape.minima[0] + 0.2 * (x[::2] - landscape.minima[0])
    for function, derivative in (
        (landscape.value, landscape.gradient),
        (landscape.gradient, landscape.hessian),
    ):
        given, here = derivative(x), function(x)
        bound = np.zeros(given.shape)
        found = np.zeros(given.shape)
        width = np.ptp(landscape.domain, axis=1).min()
        for i in range(landscape.dim):
            step = 1e-5 * min(width, 10.0)
            coarse, fine = (_central(function, x, i, h) for h in (step, step / 2))
            noise = 64 * EPSILON * (abs(here) + abs(x[:, i] * coarse.T).T + abs(here).max())
            found[:, i] = fine
            bound[:, i] = 8.0 * abs(coarse - fine) + noise / step
        assert (abs(found - given) <= bound).all()
        if abs(given).max() > 0:
            assert np.median(bound) <= 1e-4 * abs(given).max()


@each_case
def test_value_is_the_formula_with_numpy(landscape):
    # Both round; the formula, written as published, cancels more than the kernel does.
    x = inside(landscape, POINTS, seed=4)
    by_formula = landscape.formula(list(x.T), np)
    value = landscape.value(x)
    np.testing.assert_allclose(value, by_formula, rtol=1e-12, atol=1e-11 * abs(value).max())


@each_case
def test_hessian_is_symmetric_to_the_bit(landscape):
    hessian = landscape.hessian(places(landscape))
    assert np.array_equal(hessian, hessian.transpose(0, 2, 1), equal_nan=True)


@each_case
def test_critical_points(landscape):
    # A position is rounded to eps |x|, which the Hessian turns into gradient; the kernel
    # adds a few eps of the terms that cancel there, of the typical size in the domain.
    typical = scales(landscape)
    for position, kind in landscape.critical_points():
        hessian = landscape.hessian(position)
        size = abs(hessian).max()
        tolerance = 16 * EPSILON * (size * max(abs(position).max(), 1.0) + typical[1])
        assert abs(landscape.gradient(position)).max() <= tolerance
        assert _kind(hessian) == kind


def _kind(hessian):
    eigenvalues = np.linalg.eigvalsh(hessian)
    # Eigenvalues are exact to a few eps of the largest; those of the non-degenerate points
    # are at least 1e-5 of it.
    zero = 1e-9 * max(abs(eigenvalues).max(), 1e-9)
    if abs(eigenvalues).min() <= zero and not eigenvalues[0] < -zero < zero < eigenvalues[-1]:
        return "degenerate"
    if eigenvalues[0] > 0:
        return "minimum"
    return "maximum" if eigenvalues[-1] < 0 else "saddle"


@each_case
def test_minima(landscape):
    if landscape.minima is None:
        return
    assert landscape.minima.shape[1] == landscape.dim
    assert len(np.unique(landscape.minima, axis=0)) == len(landscape.minima)
    # Positions rounded to eps change the value by eps^2, rounding by eps of the terms.
    tolerance = 1e-13 * (1 + abs(landscape.minimum) + scales(landscape)[0])
    assert abs(landscape.value(landscape.minima) - landscape.minimum).max() <= tolerance
    listed = [tuple(position) for position, _ in landscape.critical_points()]
    for position in landscape.minima:
        assert min(abs(position - other).max() for other in listed) <= 1e-9


@each_case
def test_minimum_is_a_lower_bound_in_the_domain(landscape):
    if landscape.minimum is None:
        return
    count = 20_000 if JIT else 50
    x = inside(landscape, count, seed=5)
    if landscape.minima is not None:  # and close by, where it is tightest
        near = landscape.minima[0] + 1e-3 * np.random.default_rng(6).standard_normal(x.shape)
        x = np.concatenate([x, near])
    # Terms of the typical size cancel at the minimum.
    tolerance = 1e-13 * (1 + abs(landscape.minimum) + scales(landscape)[0])
    assert landscape.value(x).min() >= landscape.minimum - tolerance


@each_class
def test_published_values(cls):
    assert cls.__name__ in PUBLISHED, "add a published value to tests/landscape_cases.py"
    for landscape, point, value, tolerance in PUBLISHED[cls.__name__]:
        assert abs(landscape.value(point) - value) <= tolerance


# How many of each kind spec/validation.md section 5 lists.
COUNTS = {
    landscapes.Himmelblau(): (4, 4, 1),
    landscapes.SixHumpCamel(): (6, 7, 2),
    landscapes.ThreeHumpCamel(): (3, 2, 0),
    landscapes.Beale(): (1, 2, 0),
    landscapes.GoldsteinPrice(): (4, 4, 1),
    landscapes.McCormick(): (2, 1, 0),
    landscapes.Branin(): (3, 2, 0),
    landscapes.StyblinskiTang(dim=1): (2, 0, 1),
    landscapes.StyblinskiTang(dim=3): (8, 18, 1),
    landscapes.StyblinskiTang(dim=6): (64, 664, 1),
    landscapes.Rastrigin(dim=1): (11, 0, 10),
    landscapes.Rastrigin(dim=2): (121, 220, 100),
    landscapes.DoubleWell(): (2, 0, 1),
    landscapes.DoubleWell(tilt=3.0): (1, 0, 0),
    landscapes.Rosenbrock(dim=3): (1, 0, 0),
    landscapes.Rosenbrock(dim=4): (2, 0, 0),
    landscapes.DixonPrice(dim=2): (2, 1, 0),
}


@pytest.mark.parametrize("landscape", COUNTS, ids=repr)
def test_numbers_of_critical_points(landscape):
    kinds = [kind for _, kind in landscape.critical_points()]
    counts = tuple(kinds.count(kind) for kind in ("minimum", "saddle", "maximum"))
    assert counts == COUNTS[landscape]
    assert len(kinds) == sum(counts)


# spec/validation.md section 5: value, and eigenvalues where given (smallest or largest).
SPECTRA = [
    (landscapes.Himmelblau(), 0, 0.0, 25.715729, 82.284271),
    (landscapes.SixHumpCamel(), 0, -1.031628453489877, 7.6822514, 16.493195),
    (landscapes.ThreeHumpCamel(), 0, 0.0, 3 - 2**0.5, 3 + 2**0.5),
    (landscapes.Rosenbrock(dim=2), 0, 0.0, 0.39936077, 1001.6006392),
    (landscapes.Rosenbrock(dim=4), 1, 3.70142861, 0.3795, 866.13),
    (landscapes.Rosenbrock(dim=10), 1, 3.986579112, 0.5013, 1758.68),
    (landscapes.McCormick(), 0, -1.913222955, 3**0.5, 4.0),
    (landscapes.McCormick(), 1, 1.228369699, None, None),
    (landscapes.McCormick(), 2, 1.913222955, None, None),
    (landscapes.Branin(), 0, 0.397887358, None, 22.291739),
    (landscapes.Branin(), 1, 0.397887358, None, 11.086211),
    (landscapes.Branin(), 2, 0.397887358, None, 11.330211),
    (landscapes.Booth(), 0, 0.0, 2.0, 18.0),
    (landscapes.Matyas(), 0, 0.0, 0.04, 1.0),
    (landscapes.Easom(), 0, -1.0, 3.0, 3.0),
    (landscapes.Beale(), 0, 0.0, 0.30146365, 48.979786),
    (landscapes.Beale(), 1, 9.864512285, None, None),
    (landscapes.Beale(), 2, 14.203125, None, None),
    (landscapes.StyblinskiTang(dim=1), 0, -39.16616570377142, 34.583059, 34.583059),
    (landscapes.StyblinskiTang(dim=1), 1, -25.02944666, 29.269553, 29.269553),
    (landscapes.Rastrigin(dim=1), 0, 0.0, 396.784176, 396.784176),
    (landscapes.GoldsteinPrice(), 0, 3.0, None, 965.17),
    (landscapes.GoldsteinPrice(), 1, 84.0, None, 26216.0),
    (landscapes.GoldsteinPrice(), 2, 30.0, None, 4340.1),
    (landscapes.GoldsteinPrice(), 3, 840.0, None, 13203.0),
]


@pytest.mark.parametrize(("landscape", "k", "value", "lowest", "highest"), SPECTRA)
def test_published_spectra(landscape, k, value, lowest, highest):
    position, _ = landscape.critical_points()[k]
    # The tables print five to ten digits.
    assert landscape.value(position) == pytest.approx(value, rel=1e-9, abs=1e-12)
    eigenvalues = np.linalg.eigvalsh(landscape.hessian(position))
    for given, printed in ((eigenvalues[0], lowest), (eigenvalues[-1], highest)):
        assert printed is None or given == pytest.approx(printed, rel=2e-4)


def test_michalewicz_minimum_in_five_and_ten_dimensions():
    # Bingham and Surjanovic, sfu.ca/~ssurjano, to the digits printed.
    assert landscapes.Michalewicz(dim=5).minimum == pytest.approx(-4.687658, abs=5e-7)
    assert landscapes.Michalewicz(dim=10).minimum == pytest.approx(-9.66015, abs=5e-6)


def test_rippled_bowl_is_convex_below_the_threshold_only():
    # Liu (2024): convex if and only if height / length^2 <= 1 / (2 pi^2).
    threshold = 1 / (2 * np.pi**2)
    x = np.linspace(-1.0, 1.0, 201 if JIT else 21)[:, np.newaxis]
    for factor, convex in ((0.999, True), (1.001, False)):
        landscape = landscapes.RippledBowl(height=factor * threshold * 0.25, length=0.5)
        assert (landscape.hessian(x).min() > 0) == convex
        assert len(landscape.minima) == (1 if convex else 2)


@pytest.mark.parametrize("height", [0.01, 0.3])
def test_rippled_bowl_has_its_minimum_in_every_dimension(height):
    line = landscapes.RippledBowl(height=height)
    assert line.minimum == line.value(line.minima)[0]
    for dim in (1, 2, 9, 10, 50):
        bowl = landscapes.RippledBowl(dim=dim, height=height)
        assert bowl.minimum == pytest.approx(dim * line.minimum, rel=1e-14)


def test_rosenbrock_without_walls_has_a_line_of_minima():
    flat = landscapes.Rosenbrock(b=0.0)
    assert flat.minima is None
    assert flat.critical_points() == []
    assert flat.minimum == 0.0 == flat.value([1.0, 7.0])


def test_heavy_ball_cycles_on_lessard():
    # Lessard, Recht and Packard (2016): with learning rate 1/9 and momentum 4/9 the points
    # 792/1225, -2208/1225, 2592/1225 follow each other, exact but for rounding.
    landscape = landscapes.Lessard()
    cycle = [792 / 1225, -2208 / 1225, 2592 / 1225]
    for before, x, after in zip(cycle[-1:] + cycle, cycle, cycle[1:] + cycle, strict=False):
        step = x - landscape.gradient([x])[0] / 9 + 4 / 9 * (x - before)
        assert step == pytest.approx(after, abs=1e-14)


def test_conventions_at_kinks():
    ackley = landscapes.Ackley(dim=3)
    assert (ackley.gradient([0.0, 0.0, 0.0]) == 0.0).all()
    ripples = np.e * (2 * np.pi) ** 2 / 3
    np.testing.assert_allclose(ackley.hessian([0.0] * 3), ripples * np.eye(3), rtol=1e-14)
    schwefel = landscapes.Schwefel(dim=2)
    assert (schwefel.gradient([0.0, -0.0]) == 0.0).all()
    assert (schwefel.hessian([0.0, -0.0]) == 0.0).all()
    hessian = landscapes.Lessard().hessian([[1.0], [np.nextafter(1.0, 0.0)], [2.0]])
    assert hessian.ravel().tolist() == [1.0, 25.0, 25.0]


# --- lanes and shapes


def evaluate(landscape, theta, params):
    """Run both kernels on a tile, with garbage in all that they must fill."""
    lanes = theta.shape[1]
    loss, grad = np.full(lanes, 7e77), np.full((landscape.dim + landscape.workspace, lanes), 7e77)
    hess = np.full((landscape.dim, landscape.dim, lanes), 7e77)
    batch = np.zeros((0, lanes), dtype=np.int64)
    with np.errstate(all="ignore"):
        landscape.kernel(theta, params, landscape.kernel_data(), batch, loss, grad)
        landscape.hessian_kernel(theta, params, landscape.kernel_data(), hess)
    return loss, grad[: landscape.dim], hess


def columns(landscape, lanes):
    """Parameters that differ from lane to lane, all within their ranges."""
    names = landscape.parameter_names()
    factors = 1.0 + np.arange(lanes) / lanes
    values = np.array([getattr(landscape, name) for name in names]).reshape(-1, 1)
    return np.ascontiguousarray(values * factors)


@each_case
@pytest.mark.parametrize("lanes", [7, 256] if JIT else [3])
def test_lanes_are_independent(landscape, lanes):
    theta = np.ascontiguousarray(inside(landscape, lanes, seed=7).T)
    params = columns(landscape, lanes)
    tile = evaluate(landscape, theta, params)
    assert all(np.isfinite(result).all() for result in tile)
    for lane in {0, 1, lanes // 2, lanes - 1}:
        alone = evaluate(
            landscape, theta[:, lane : lane + 1].copy(), params[:, lane : lane + 1].copy()
        )
        for together, single in zip(tile, alone, strict=True):
            assert together[..., lane].tobytes() == single[..., 0].tobytes()


@each_class
def test_parameters_of_each_lane_are_those_of_single_landscapes(cls):
    landscape = cls()
    x = inside(landscape, 3, seed=8)
    params = columns(landscape, 3)
    loss, grad, hess = evaluate(landscape, np.ascontiguousarray(x.T), params)
    for lane in range(3):
        values = dict(zip(landscape.parameter_names(), params[:, lane], strict=True))
        single = landscape.at(**values)
        assert single.value(x[lane]) == loss[lane]
        assert (single.gradient(x[lane]) == grad[:, lane]).all()
        assert (single.hessian(x[lane]) == hess[..., lane]).all()


@each_case
def test_diverging_lanes_do_no_harm(landscape):
    # Whatever a lane holds, its neighbour's bits stay the same, and NaN is never hidden.
    x = inside(landscape, 1, seed=9)[0]
    wild = [np.nan, np.inf, -np.inf, 1e200, -1e308, 5e-324, 0.0, -0.0]
    theta = np.repeat(x[:, np.newaxis], len(wild) + 1, axis=1)
    theta[:, :-1] = wild
    params = landscape._params(theta.shape[1])
    loss, grad, _ = evaluate(landscape, theta, params)
    assert np.isnan(loss[0])
    assert np.isnan(grad[:, 0]).all()
    assert loss[-1] == landscape.value(x)
    assert (grad[:, -1] == landscape.gradient(x)).all()


@each_class
def test_points_of_all_shapes(cls):
    landscape = cls()
    x = inside(landscape, 2, seed=10)
    assert isinstance(landscape.value(x[0]), float)
    assert landscape.value(x).shape == (2,)
    assert landscape.gradient(x[0]).shape == (landscape.dim,)
    assert landscape.gradient(x).shape == x.shape
    assert landscape.hessian(x[0]).shape == (landscape.dim, landscape.dim)
    assert landscape.hessian(x).shape == (2, landscape.dim, landscape.dim)
    assert landscape.value(x[:0]).shape == (0,)
    assert landscape.domain.shape == (landscape.dim, 2)
    assert (landscape.domain[:, 0] < landscape.domain[:, 1]).all()
    with pytest.raises(InvalidValueError, match="points of"):
        landscape.value(np.zeros(landscape.dim + 1))
    with pytest.raises(InvalidValueError, match="points of"):
        landscape.gradient(np.zeros((1, 1, landscape.dim)))


def test_many_points_are_evaluated_in_blocks():
    landscape = landscapes.Bowl(dim=2)
    x = inside(landscape, 5000 if JIT else 50)
    np.testing.assert_array_equal(landscape.gradient(x), x)


# --- what is asked of a part


@each_case
def test_round_trips(landscape):
    assert type(landscape).from_table(landscape.to_table()) == landscape
    assert pickle.loads(pickle.dumps(landscape)) == landscape
    assert eval(repr(landscape), vars(landscapes)) == landscape
    assert hash(landscape) == hash(landscape.at())


@pytest.mark.parametrize("name", [name for cls in CLASSES for name in cls.parameter_names()])
def test_sequences_are_axes(name):
    cls = next(cls for cls in CLASSES if name in cls.parameter_names())
    landscape = cls(**{name: [2.0, 3.0]})
    assert landscape.axes() == {name: (2.0, 3.0)}
    with pytest.raises(InvalidValueError, match=rf"{name}.*pick one"):
        landscape.value(np.zeros(landscape.dim))


@each_class
def test_dimensions_below_the_smallest_are_refused(cls):
    if "dim" not in [field.name for field in dataclasses.fields(cls)]:
        return
    with pytest.raises(InvalidValueError, match=rf"{cls.__name__}\.dim: got 0"):
        cls(dim=0)


def test_powell_takes_blocks_of_four():
    with pytest.raises(InvalidValueError, match=r"Powell\.dim: got 6, allowed is a multiple of 4"):
        landscapes.Powell(dim=6)


@pytest.mark.parametrize(
    "rotation",
    [
        -1,
        True,
        "x",
        0.5,
        [[1.0, 0.0], [0.0, 1.0]],
        [[1, 0, 0], [0, 1, 0], [0, 1, 1]],
        [[1], [1, 2]],
    ],
)
def test_quadratic_refuses_what_is_no_rotation(rotation):
    with pytest.raises(InvalidValueError, match=r"Quadratic\.rotation.*orthogonal"):
        landscapes.Quadratic(eigenvalues=[1.0, 2.0, 3.0], rotation=rotation)


@pytest.mark.parametrize("eigenvalues", [3.0, [], "12", [1.0, np.nan], [[1.0]], [True]])
def test_quadratic_refuses_what_are_no_eigenvalues(eigenvalues):
    with pytest.raises(InvalidValueError, match=r"Quadratic\.eigenvalues"):
        landscapes.Quadratic(eigenvalues=eigenvalues)


@pytest.mark.parametrize("dim", [1, 2, 3, 10])
def test_quadratic_has_the_eigenvalues_asked_for(dim):
    # LAPACK finds them to a few eps of the largest.
    eigenvalues = np.linspace(-1.0, 5.0, dim)
    for rotation in (0, 1, None):
        landscape = landscapes.Quadratic(eigenvalues=eigenvalues, rotation=rotation)
        found = np.linalg.eigvalsh(landscape.hessian(np.zeros(dim)))
        np.testing.assert_allclose(found, np.sort(eigenvalues), rtol=0, atol=1e-13)


def test_quadratic_rotations_are_what_they_say():
    # One axis at 30 degrees: along it the curvature is the first eigenvalue.
    tilted = landscapes.Quadratic(eigenvalues=[1.0, 7.0], rotation=np.pi / 6)
    along = np.array([np.cos(np.pi / 6), np.sin(np.pi / 6)])
    assert tilted.value(along) == pytest.approx(0.5, rel=1e-14)
    matrix = [[along[0], -along[1]], [along[1], along[0]]]
    same = landscapes.Quadratic(eigenvalues=[1.0, 7.0], rotation=matrix)
    np.testing.assert_allclose(same.kernel_data(), tilted.kernel_data(), rtol=1e-14)
    # Seeds and angles that compare equal are different rotations.
    a, b = (landscapes.Quadratic(rotation=one).kernel_data() for one in (1, 1.0))
    assert not np.allclose(a, b)
    # What is handed out is a copy.
    a[:] = 0.0
    assert landscapes.Quadratic(rotation=1).kernel_data().any()


def test_random_rotations_are_uniform():
    # For a uniform axis in d dimensions E q_i^4 = 3 / (d (d + 2)); d axes of 300 seeds in
    # d = 4 give 0.125 with a standard error of 0.0016 (sd of q^4 is 0.115 in 4800 entries,
    # entries of one matrix being negatively correlated): 5 of them.
    seeds = 300 if JIT else 10
    axes = [orthonormal(seed, 4).T for seed in range(seeds)]
    error = 0.0083 * np.sqrt(300 / seeds)
    assert np.mean(np.power(axes, 4)) == pytest.approx(3 / 24, abs=error)
    for q in axes[:10]:
        np.testing.assert_allclose(q.T @ q, np.eye(4), atol=1e-15)


def test_random_rotations_come_from_the_projects_own_streams():
    # The first axis is the first normal vector, made a unit vector.
    q = orthonormal(7, 3).T
    first = normals(7, INITIALIZATION, [0], 3)[0]
    np.testing.assert_allclose(q[:, 0], first / np.linalg.norm(first), rtol=1e-14)
    with pytest.raises(InvalidValueError, match=r"Quadratic\.rotation"):
        landscapes.Quadratic(rotation=2**64)


def test_names_and_get():
    assert landscapes.names() == sorted(landscapes.names())
    assert landscapes.get("Rosenbrock") is landscapes.Rosenbrock
    assert set(landscapes.__all__) >= {cls.__name__ for cls in CLASSES}
    with pytest.raises(UnknownNameError, match="did you mean 'Rastrigin'"):
        landscapes.get("Rastrigan")


# --- documentation


def modules():
    prefix = f"{landscapes.__name__}."
    return [module.name for module in pkgutil.iter_modules(landscapes.__path__, prefix)]


@pytest.mark.parametrize("name", [landscapes.__name__, *modules()])
def test_examples_run(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@each_class
def test_docstrings_are_complete(cls):
    text = inspect.getdoc(cls)
    for part in (".. math::", "References\n-----", "Examples\n-----", ">>> "):
        assert part in text
    fields = [field.name for field in dataclasses.fields(cls) if field.init]
    described = text.partition("Parameters\n----------\n")[2].partition("\n\n")[0]
    named = [line.partition(" : ")[0] for line in described.splitlines() if " : " in line[:20]]
    assert named == fields


@each_class
def test_kernels_are_short_and_described(cls):
    for kernel in (cls.kernel, cls.hessian_kernel):
        assert len(inspect.getsource(kernel.function).splitlines()) <= 40 + 4  # and a head of 4
        assert inspect.getdoc(kernel.function)


def test_every_landscape_has_its_own_file():
    for a, b in itertools.combinations(CLASSES, 2):
        assert a.__module__ != b.__module__
