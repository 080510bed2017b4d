"""Critical points and convexity: published points, exact twins, proofs, and what was missed."""

from __future__ import annotations

import doctest
import importlib
import itertools
import math
import sys
from collections import Counter
from typing import ClassVar

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastdescent as fd
from fastdescent import landscapes
from fastdescent.contracts import JIT
from fastdescent.errors import InvalidValueError
from fastdescent.geometry.clusters import topological_degree
from fastdescent.geometry.convexity import convexity
from fastdescent.geometry.critical_points import find_critical_points
from fastdescent.geometry.intervals import Interval, traced

#: Plain Python evaluates some thousand times more slowly.
STARTS = 512 if JIT else 96


def counts(ds):
    kinds = Counter(ds.kind.values.tolist())
    return tuple(kinds[kind] for kind in ("minimum", "saddle", "maximum", "degenerate"))


@pytest.mark.parametrize("name", ["critical_points", "convexity"])
def test_documentation(name):
    module = importlib.import_module(f"fastdescent.geometry.{name}")
    assert doctest.testmod(module).failed == 0


# Validation, section 5: minima, saddles, maxima, and (value, position) to the digits printed.
PUBLISHED = {
    landscapes.Himmelblau(): (
        (4, 4, 1, 0),
        [
            (0.0, (3, 2)),
            (0.0, (-2.80511809, 3.13131252)),
            (0.0, (-3.77931025, -3.28318599)),
            (0.0, (3.58442834, -1.84812653)),
            (13.31192627, (3.38515418, 0.07385188)),
            (67.71915009, (0.08667750, 2.88425470)),
            (104.0151629, (-3.07302575, -0.08135304)),
            (178.3372392, (-0.12796135, -1.95371498)),
            (181.61652152, (-0.27084459, -0.92303856)),
        ],
    ),
    landscapes.SixHumpCamel(): (
        (6, 7, 2, 0),
        [
            (-1.031628453489877, (0.0898420131, -0.712656403)),
            (-0.2154638244, (1.70360671, -0.796083569)),
            (2.10425031, (1.60710475, 0.568651455)),
            (2.496295351, (1.23022988, 0.162334584)),
        ],
    ),
    landscapes.ThreeHumpCamel(): (
        (3, 2, 0, 0),
        [(0.0, (0, 0)), (0.2986384422, (1.74755235, -0.873776173))],
    ),
    landscapes.GoldsteinPrice(): (
        (4, 4, 1, 0),
        [(3.0, (0, -1)), (30.0, (-0.6, -0.4)), (84.0, (1.8, 0.2)), (840.0, (1.2, 0.8))],
    ),
    landscapes.Beale(): (
        (1, 2, 0, 0),
        [(0.0, (3, 0.5)), (14.203125, (0, 1)), (9.864512285, (0.100537937, -2.64451359))],
    ),
    landscapes.Branin(): (
        (3, 2, 0, 0),
        [
            (1.25 / math.pi, (x, y))
            for x, y in [(-math.pi, 12.275), (math.pi, 2.275), (3 * math.pi, 2.475)]
        ],
    ),
    landscapes.McCormick(): (
        (2, 1, 0, 0),
        [
            (-math.pi / 3 - 0.75**0.5, (0.5 - math.pi / 3, -0.5 - math.pi / 3)),
            (1.228369699, (0.5 + 2 * math.pi / 3, -0.5 + 2 * math.pi / 3)),
            (1.913222955, (0.5 + math.pi / 3, -0.5 + math.pi / 3)),
        ],
    ),
}


@pytest.mark.parametrize("landscape", PUBLISHED, ids=repr)
def test_published_points_are_found_and_certified(landscape):
    number, known = PUBLISHED[landscape]
    ds = find_critical_points(landscape, starts=STARTS)
    assert counts(ds) == number
    assert ds.attrs["complete"] == "certified"
    assert ds.proven.values.all()
    # Poincare and Hopf: the degrees add up to that of the gradient along the boundary.
    np.testing.assert_array_equal(ds.degree.values, (-1.0) ** ds["index"].values)
    assert ds.degree.values.sum() == topological_degree(traced(landscape), landscape.domain)
    assert (np.diff(ds.value.values) >= -1e-12 * ds.value.values.max()).all()  # ties by rounding
    # Half a unit of the last digit printed, 5e-9 in the positions; values have one digit less
    # where they are large.
    for value, position in known:
        near = np.abs(ds.position.values - position).max(axis=1)
        at = int(near.argmin())
        assert near[at] < 6e-9
        assert abs(ds.value.values[at] - value) < 5e-10 * max(1.0, abs(value))
    # Polished: the gradient is rounding of terms as large as the Hessian times the position.
    scale = ds.eigenvalues.values.max() * (1.0 + np.abs(ds.position.values).max())
    assert ds.gradient_norm.values.max() < 1e-13 * scale


def test_catalogues_own_points_are_found():
    for landscape in (
        landscapes.Himmelblau(),
        landscapes.GoldsteinPrice(),
        landscapes.DoubleWell(),
    ):
        ds = find_critical_points(landscape, starts=STARTS)
        assert ds.sizes["point"] == len(landscape.critical_points())
        for point in landscape.critical_points():
            at = np.abs(ds.position.values - point.position).max(axis=1).argmin()
            # Both are polished doubles, a few units in the last place apart.
            np.testing.assert_allclose(ds.position.values[at], point.position, atol=1e-13 * 6)
            assert ds.kind.values[at] == point.kind


def axis_roots(slope, low, high, cells):
    """Roots of a function of one coordinate, by bisection on a fine grid."""
    nodes = np.linspace(low, high, cells + 1)
    found = []
    for a, b in itertools.pairwise(nodes.tolist()):
        if slope(a) * slope(b) < 0.0:
            left, right = a, b
            for _ in range(80):
                middle = 0.5 * (left + right)
                if slope(left) * slope(middle) > 0.0:
                    left = middle
                else:
                    right = middle
            found.append(0.5 * (left + right))
    return found


def test_rastrigin_has_the_combinations_of_its_axis_points():
    # An odd number of cells, so that no node is the root at 0.  Roots are 0.5 apart.
    turn = 2 * math.pi
    axis = axis_roots(lambda x: 2 * x + 10 * turn * math.sin(turn * x), -5.12, 5.12, 2001)
    assert len(axis) == 21
    ds = find_critical_points(landscapes.Rastrigin(dim=2), starts=STARTS)
    assert ds.attrs["complete"] == "certified"
    assert ds.sizes["point"] == 441
    assert counts(ds) == (121, 220, 100, 0)
    expected = np.array(list(itertools.product(axis, repeat=2)))
    found = ds.position.values
    distance = np.abs(found[:, np.newaxis] - expected).max(axis=2)
    assert distance.min(axis=0).max() < 1e-13  # bisection and Newton end within a unit or two
    assert (ds.found.values == 0).any()  # some only the proof has found
    assert ds.scope.values.tolist().count("global") == 1


def test_styblinski_tang_in_five_dimensions_has_243_points():
    ds = find_critical_points(landscapes.StyblinskiTang(dim=5), starts=STARTS)
    assert ds.attrs["complete"] == "certified"
    assert counts(ds) == (2**5, 3**5 - 2**5 - 1, 1, 0)
    axis = np.array([-2.903534027771177, 0.15673125678, 2.74680277099])  # validation, section 5
    steps = np.abs(ds.position.values[..., np.newaxis] - axis)
    assert steps.min(axis=2).max() < 5e-12
    assert len(np.unique(steps.argmin(axis=2), axis=0)) == 243
    np.testing.assert_array_equal(ds["index"].values, (steps.argmin(axis=2) == 1).sum(axis=1))


# Validation, section 5: dimension, value, first and last coordinate, extreme eigenvalues.
SECOND = [
    (4, 3.70142861, -0.7756592, 0.14597202, 0.3795, 866.13),
    (5, 3.930839434, -0.9620510, 0.60509368, 0.5954, 1437.25),
    (6, 3.973940501, -0.9865750, 0.80757395, 0.5436, 1613.16),
    (7, 3.983600536, -0.9917226, 0.90522282, 0.5200, 1688.64),
]


@pytest.mark.parametrize(("dim", "value", "first", "last", "low", "high"), SECOND)
def test_chained_rosenbrock_has_a_second_minimum(dim, value, first, last, low, high):
    certify = dim <= (6 if JIT else 4)  # the proof in 7 dimensions takes two seconds
    ds = find_critical_points(landscapes.Rosenbrock(dim=dim), starts=STARTS, certify=certify)
    minima = ds.isel(point=ds.kind.values == "minimum")
    assert minima.sizes["point"] == 2
    assert minima.scope.values.tolist() == ["global", "local"]
    assert minima.value.values[0] < 1e-25
    second = minima.isel(point=1)
    assert abs(second.value - value) < 6e-10 * (10 if dim == 4 else 1)
    assert abs(second.position[0] - first) < 6e-8
    assert abs(second.position[-1] - last) < 6e-9
    assert abs(second.eigenvalues[0] - low) < 6e-5
    assert abs(second.eigenvalues[-1] - high) < 6e-3
    assert (ds.attrs["complete"] == "certified") == certify
    # Ten digits and more: the same minimum by mpmath, from the formula alone.
    with mpmath.workdps(40):
        rows = second.position.values.tolist()
        x = [mpmath.mpf(v) for v in rows]
        for _ in range(3):
            g, h = rosenbrock_derivatives(x)
            x = list(mpmath.matrix(x) - mpmath.lu_solve(h, g))
        exact = landscapes.Rosenbrock(dim=dim).formula(x, mpmath)
        assert abs(exact - mpmath.mpf(float(second.value))) < 1e-13
        assert max(abs(a - b) for a, b in zip(x, rows, strict=True)) < 1e-13


def rosenbrock_derivatives(x):
    n = len(x)
    g, h = mpmath.zeros(n, 1), mpmath.zeros(n, n)
    for i in range(n - 1):
        r = x[i + 1] - x[i] ** 2
        g[i] += -400 * r * x[i] - 2 * (1 - x[i])
        g[i + 1] += 200 * r
        h[i, i] += -400 * r + 800 * x[i] ** 2 + 2
        h[i, i + 1] -= 400 * x[i]
        h[i + 1, i] -= 400 * x[i]
        h[i + 1, i + 1] += 200
    return g, h


@pytest.mark.parametrize(
    ("text", "degree", "extremum"),
    [
        ("x**3 - 3*x*y**2", -2, ""),
        ("x**4 + y**4", 1, "minimum"),
        ("x**4 - y**4", -1, ""),
        ("-x**4 - y**4", 1, "maximum"),
        ("x**2 + y**4", 1, "minimum"),
    ],
)
def test_degenerate_points_say_so(text, degree, extremum):
    # Validation V66, and one that is degenerate along a line only.
    ds = find_critical_points(fd.landscape(text, domain=(-2, 3)), starts=64)
    assert counts(ds) == (0, 0, 0, 1)
    assert ds["index"].values.tolist() == [-1]
    assert ds.attrs["complete"] == "certified"
    assert ds.attrs["boxes_undecided"] == 0
    assert "1 cluster of critical points, narrower than 1e-06" in ds.attrs["completeness"]
    assert (ds.degree.item(), ds.extremum.item()) == (degree, extremum)
    assert 0.0 < ds.cluster_width.item() < 1e-6
    assert not ds.proven.item()
    assert ds.found.item() == 64
    # The point is where the slope is least, not where Newton's method has ended.
    assert np.abs(ds.position.values).max() < 1e-10


def test_without_proof_degenerate_points_are_estimated():
    # A fold has degree 0, which proves nothing; without a formula there is no proof.
    for text, certify in (("x**2 + y**3", True), ("x**4 + y**4", False)):
        ds = find_critical_points(fd.landscape(text, domain=(-2, 3)), starts=16, certify=certify)
        assert counts(ds) == (0, 0, 0, 1)
        assert ds.attrs["complete"] == "estimated"
        assert np.isnan(ds.degree.values).all()
        assert np.isnan(ds.cluster_width.values).all()
        assert ds.extremum.item() == ""


def test_clusters_and_single_points_combine():
    # In x a degenerate minimum of degree 1, in y a minimum at 1 and a maximum at -1, in z a
    # degenerate maximum of degree -1.
    text = "x**4 + y**3 - 3*y - (z - 1)**6"
    ds = find_critical_points(fd.landscape(text, domain=(-2, 3)), starts=32)
    assert ds.attrs["complete"] == "certified"
    # (z - 1)^5 is below 1e-40 within 1e-8 of 1; nothing tells such points apart.
    np.testing.assert_allclose(ds.position.values, [[0, 1, 1], [0, -1, 1]], atol=1e-8)
    assert ds.degree.values.tolist() == [-1.0, 1.0]  # 1 * 1 * -1 and 1 * -1 * -1
    assert ds.extremum.values.tolist() == ["", ""]
    assert "2 clusters of critical points" in ds.attrs["completeness"]


def test_a_cluster_on_a_face_counts_as_inside():
    flat = fd.landscape("(x - 1)**4 + y**2")
    ds = find_critical_points(flat, [(1, 3), (-1, 1)], starts=16)
    assert ds.attrs["complete"] == "certified"
    assert ds.position.values.tolist() == [[1.0, 0.0]]
    assert ds.scope.values.tolist() == ["global"]
    # The degenerate point is outside, by less than counts; the one listed is inside.
    ds = find_critical_points(flat, [(1 + 1e-10, 3), (-1, 1)], starts=16)
    assert (ds.position.values.tolist(), ds.attrs["complete"]) == ([[1 + 1e-10, 0.0]], "certified")
    ds = find_critical_points(flat, [(1.001, 3), (-1, 1)], starts=16)
    assert (ds.sizes["point"], ds.attrs["complete"]) == (0, "certified")


CORNERED = [
    ("abs(x) + abs(y)", [[0, 0]], "minimum"),
    ("1 - sqrt((x - 1)**2 + y**2)", [[1, 0]], "maximum"),
    ("max(x, -x) + (y - 1)**4", [[0, 1]], "minimum"),
    ("abs(x) - y**2", [[0, 0]], ""),
]


@pytest.mark.parametrize(("text", "points", "extremum"), CORNERED)
def test_corners_are_listed_and_named(text, points, extremum):
    ds = find_critical_points(fd.landscape(text, domain=(-2, 3)), starts=4)
    assert ds.attrs["complete"] == "certified"
    np.testing.assert_allclose(ds.position.values, points, atol=1e-15)
    assert ds.kind.values.tolist() == ["degenerate"]
    assert ds.extremum.values.tolist() == [extremum]
    assert ds.corner.values.tolist() == [True]
    assert np.isnan(ds.eigenvalues.values).all()
    assert np.isnan(ds.degree.values).all()
    assert "1 corner (a" in ds.attrs["completeness"]
    assert ds.scope.values.tolist() == ["global" if extremum == "minimum" else "unknown"]


def test_ackleys_global_minimum_is_a_corner_among_single_points():
    # Along each axis three dips and two crests between them: all combinations.
    ds = find_critical_points(landscapes.Ackley(dim=2), [(-1.2, 1.2)] * 2, starts=STARTS // 4)
    assert ds.attrs["complete"] == "certified"
    assert counts(ds) == (8, 12, 4, 1)
    first = ds.isel(point=0)
    assert (first.corner.item(), first.extremum.item()) == (True, "minimum")
    assert first.scope.item() == "global"
    assert first.position.values.tolist() == [0.0, 0.0]
    assert "24 critical points and 1 corner (a minimum" in ds.attrs["completeness"]
    # Poincare and Hopf: with the corner, like any minimum, they add up to 1.
    assert np.nansum(ds.degree.values) == 0.0
    if JIT:  # plain Python takes seconds for the contours
        ax = fd.plot.critical_points(ds, landscapes.Ackley(dim=2), labels=False)
        assert ax.get_title() == "Ackley: 9 minima, 12 saddles, 4 maxima"


def test_a_slope_that_vanishes_at_a_kink_of_the_formula_makes_no_corner():
    ds = find_critical_points(fd.landscape("abs(x)**3", domain=(-2, 3)), starts=16)
    assert ds.attrs["complete"] == "certified"
    assert (ds.extremum.item(), ds.corner.item()) == ("minimum", False)


def test_a_flat_kink_is_found_by_its_slope_where_values_are_all_the_same():
    # |u|^3 is lost in 1e12 for |u| < 1e-5, which is far more than the cluster is wide.
    text = "1e12 - abs(x + 0.1*x**3 + 0.9)**3"
    ds = find_critical_points(fd.landscape(text), [(-2, 1.8)], starts=4)
    assert (ds.attrs["complete"], ds.extremum.values.tolist()) == ("certified", ["maximum"])
    assert not ds.corner.item()
    x = ds.position.item()
    assert abs(x + 0.1 * x**3 + 0.9) < 1e-12


def test_the_lowest_corner_decides_what_is_global():
    # A smooth minimum of value 0 at -1, a corner of value -0.5 at 1.
    text = "min((x + 1)**2, abs(x - 1) - 0.5)"
    ds = find_critical_points(fd.landscape(text), [(-1.5, 1.4)], starts=64)
    assert ds.attrs["complete"] == "certified"
    lowest, other = ds.isel(point=0), ds.isel(point=1)
    assert (lowest.value.item(), lowest.scope.item(), lowest.corner.item()) == (
        -0.5,
        "global",
        True,
    )
    assert (other.kind.item(), other.scope.item()) == ("minimum", "local")


@pytest.mark.parametrize(
    "text",
    [
        "log(x**2 - 2*x*y + 2*y**2 + 1)",
        "x**2 + sqrt(x**2 + y**4 + 1)",
        "sqrt(x**2 - x + 1)",
    ],
)
def test_roots_and_logarithms_have_global_minima(text):
    ds = find_critical_points(fd.landscape(text, domain=(-2, 3)), starts=4)
    assert ds.attrs["complete"] == "certified"
    assert ds.extremum.values.tolist() == ["minimum"]
    assert ds.scope.values.tolist() == ["global"]


def test_valleys_of_networks_are_reached_and_called_degenerate():
    # A tanh network with two hidden neurons on XOR: no critical point is isolated.
    network = fd.models.MLP(fd.data.XOR(count=4), widths=[2])
    ds = find_critical_points(network, [(-5, 5)] * 9, starts=4 if JIT else 2)
    assert ds.sizes["point"] > 0
    assert set(ds.kind.values) == {"degenerate"}
    assert (ds.found.values == 1).all()
    assert ds.gradient_norm.values.max() < 1e-6
    # Flat to what is left of the gradient: 1e-8 of a usual one.
    size = np.abs(ds.eigenvalues.values)
    assert (size.min(axis=1) < 1e-6 * size.max(axis=1)).all()


def test_degenerate_points_that_rounding_blurs_are_one_point():
    # Expanded, (x - 1)^4 + 1 has a slope that is rounding within 1e-5 of 1.
    ds = find_critical_points(fd.landscape("x**4 - 4*x**3 + 6*x**2 - 4*x + 2"), starts=64)
    assert counts(ds) == (0, 0, 0, 1)
    assert abs(ds.position.values[0, 0] - 1.0) < 1e-4
    assert ds.found.values[0] >= 32


def test_a_valley_of_minima_is_degenerate_and_far_from_complete():
    # (xy - 1)^2 / 2: a hyperbola of minima, and the saddle at the origin.
    ds = find_critical_points(fd.models.DeepLinear(depth=2), starts=64, max_boxes=2000)
    kinds = Counter(ds.kind.values.tolist())
    assert kinds["saddle"] == 1
    assert kinds["degenerate"] > 16
    assert ds.attrs["missing_mass"] > 0.1
    assert ds.attrs["complete"] == "estimated"
    on_curve = ds.position.values[ds.kind.values == "degenerate"]
    np.testing.assert_allclose(on_curve.prod(axis=1), 1.0, atol=1e-12)


U, V = "(0.6*x - 0.8*y)", "(0.8*x + 0.6*y)"
ROTATED = " + ".join([f"p{k}*{U}**{k} + q{k}*{V}**{k}" for k in range(1, 5)])


@settings(max_examples=6 if JIT else 4, deadline=None)
@given(
    st.lists(st.integers(-8, 8), min_size=1, max_size=3, unique=True),
    st.lists(st.integers(-8, 8), min_size=1, max_size=3, unique=True),
)
def test_rotated_products_of_polynomials_have_their_own_roots(first, second):
    # f = P(u) + Q(v) with P' and Q' given by their roots, u and v rotated by a 3-4-5 triangle:
    # the coordinates interact, and every critical point is known.
    def coefficients(name, roots):
        found = np.polyint(np.poly(np.array(roots) / 8.0))[::-1].tolist() + [0.0] * 4
        return {f"{name}{k}": found[k] for k in range(1, 5)}

    made = fd.landscape(ROTATED, params=coefficients("p", first) | coefficients("q", second))
    ds = find_critical_points(made, [(-2, 2.5), (-2, 2.5)], starts=STARTS // 8)
    expected = (
        np.array([(0.6 * a + 0.8 * b, -0.8 * a + 0.6 * b) for a in first for b in second]) / 8.0
    )
    assert ds.attrs["complete"] == "certified"
    assert ds.sizes["point"] == len(expected)
    distance = np.abs(ds.position.values[:, np.newaxis] - expected).max(axis=2)
    # 0.6^2 + 0.8^2 is 1 to rounding; gaps of 1/8 and degree 4 cost two digits.
    assert distance.min(axis=0).max() < 1e-12
    # The index is the number of negative ones of P'' and Q''.
    for row, point in enumerate(distance.argmin(axis=1)):
        a, b = first[point // len(second)], second[point % len(second)]
        curvatures = (
            math.prod(a - r for r in first if r != a),
            math.prod(b - r for r in second if r != b),
        )
        assert ds["index"].values[row] == sum(c < 0 for c in curvatures)


@pytest.mark.parametrize(
    ("text", "tolerance", "zero"),
    [("x**3/3 - 25e-18*x", 1e-8, 5e-9), ("x**3/3 - 1e-6*x", 0.01, 1e-3)],
)
def test_proven_points_are_never_merged(text, tolerance, zero):
    # x^2 = zero^2: two zeros of the slope that are nearer to each other than the tolerance.
    box = [(-1.0, 1.0)]
    ds = find_critical_points(fd.landscape(text), box, starts=64, tolerance=tolerance)
    assert counts(ds) == (1, 0, 1, 0)
    assert ds.attrs["complete"] == "certified"
    assert ds.proven.values.all()
    # The slope cancels: a unit of 1e-16 * zero^2 over the curvature 2 * zero.
    np.testing.assert_allclose(ds.position.values[:, 0], [zero, -zero], rtol=1e-15)
    # Newton's method keeps the sign of its start: binomial with chance 1/2, |z| < 4.5.
    assert ds.found.values.sum() == 64
    assert abs(ds.found.values[0] - 32) < 4.5 * 4.0
    plain = find_critical_points(
        fd.landscape(text), box, starts=64, tolerance=tolerance, certify=False
    )
    assert plain.sizes["point"] == 1


def test_certified_means_that_all_proven_points_are_listed():
    # The slope 2 (x - 2) has a zero, where the loss in real numbers is 3e308 and no double.
    high = fd.landscape("(x - 2)**2 + 1.5e308 + 1.5e308")
    ds = find_critical_points(high, [(1.0, 4.0)], starts=16)
    assert ds.sizes["point"] == 0
    assert ds.attrs["complete"] == "estimated"


JUMPS = {
    "sign": lambda x: x[0] ** 2 + fd.math.sign(x[0]),
    "where": lambda x: fd.math.where(x[0] >= 0, x[0] ** 2 + 5, x[0] ** 2),
    "two": lambda x: x[0] ** 2 + x[1] ** 2 + fd.math.sign(x[0] * (x[1] - 1)),
    "part": lambda x: (x[0] ** 2 + x[1] ** 2 + fd.math.sign(x[0])) * 0.3,
}


@pytest.mark.parametrize("name", JUMPS)
def test_no_zero_of_the_slope_is_proven_where_the_loss_jumps(name):
    # The slope is 2 x on either side and has a zero at 0, where the loss has no minimum.
    dim = 2 if name in ("two", "part") else 1
    ds = find_critical_points(
        fd.landscape(JUMPS[name], dim=dim), [(-1.0, 1.0)] * dim, starts=16, max_boxes=2000
    )
    assert ds.attrs["complete"] == "estimated"
    assert ds.attrs["boxes_undecided"] > 0
    assert not ds.proven.values.any()
    assert not ds.extremum.values.any()
    # Nor is one listed at a jump: on one side the loss is lower, or on the other it is higher.
    value = fd.landscape(JUMPS[name], dim=dim).value
    for point in ds.position.values:
        around = point + 1e-7 * np.concatenate([np.eye(dim), -np.eye(dim)])
        assert np.abs(value(around) - value(point)).max() < 1e-12


def test_jumps_elsewhere_hide_no_proof():
    # A jump at 0.5, where the slope is 1, and one at y = 0.5 with another coordinate's zero.
    made = fd.landscape("x**2 + sign(x - 0.5) + (y - 0.1)**2 + where(y > 0.5, 3, 0)")
    ds = find_critical_points(made, [(-1, 1), (-1, 1)], starts=16)
    assert (counts(ds), ds.attrs["complete"]) == ((1, 0, 0, 0), "certified")
    np.testing.assert_allclose(ds.position.values, [[0.0, 0.1]], atol=1e-15)
    # The logarithm that is not chosen at -1 is not looked at there.
    chosen = fd.landscape("where(x > -0.5, log(x + 1), (x + 1)**2)")
    ds = find_critical_points(chosen, [(-2.0, 2.0)], starts=16)
    assert (counts(ds), ds.attrs["complete"]) == ((1, 0, 0, 0), "certified")


@pytest.mark.parametrize(
    ("text", "low", "high", "points"),
    [
        ("(x + 2)**2 + sign(log(x))", -4.0, 4.0, 0),  # defined for x > 0
        ("log(x) + x", -3.0, -0.5, 0),
        ("sqrt(x**2 - 1) + 0.4*cos(5*x)", -3.0, 3.0, 6),  # for |x| >= 1
    ],
)
def test_there_are_no_critical_points_where_there_is_no_loss(text, low, high, points):
    landscape = fd.landscape(text)
    for certify in (True, False):
        ds = find_critical_points(landscape, [(low, high)], starts=64, certify=certify)
        assert ds.sizes["point"] == points
        assert np.isfinite(ds.value.values).all()
        assert ds.attrs["complete"] == ("certified" if certify else "estimated")
    # A twin: changes of sign of the slope's differences on a fine grid of where there is a loss.
    x = np.linspace(low, high, 4001)
    value = landscape.value(x[:, np.newaxis])
    rising = np.diff(value) > 0.0
    inside = np.isfinite(value[2:]) & np.isfinite(value[1:-1]) & np.isfinite(value[:-2])
    assert np.count_nonzero((rising[1:] != rising[:-1]) & inside) == points


def test_a_search_that_found_nothing_estimates_nothing():
    ds = find_critical_points(fd.landscape("x + y"), starts=16, certify=False)
    assert ds.sizes["point"] == 0
    for name in ("missing_mass", "missing_mass_upper", "unseen_estimate"):
        assert math.isnan(ds.attrs[name])
    assert "probability" not in ds.attrs["completeness"]
    assert "found nothing and nothing can be estimated" in ds.attrs["completeness"]


def test_points_on_faces_and_at_corners_belong_to_the_box():
    bowl = fd.landscape("(x - 1)**2 + (y + 2)**2")
    for box in ([(1, 3), (-2, 0)], [(0, 1), (-3, -1)], [(-5, 5), (-2, 5)]):
        ds = find_critical_points(bowl, box, starts=16)
        np.testing.assert_allclose(ds.position.values, [[1.0, -2.0]], atol=1e-15)
        assert ds.attrs["complete"] == "certified"
        assert ds.scope.values.tolist() == ["global"]
    ds = find_critical_points(bowl, [(1.001, 3), (-2, 0)], starts=16)
    assert ds.sizes["point"] == 0
    assert ds.attrs["complete"] == "certified"
    assert set(ds.data_vars) >= {"position", "value", "kind", "eigenvalues", "scope", "found"}


def test_scope_of_extrema():
    # x^3 - 3x: a minimum -2 at 1, a maximum 2 at -1.
    cubic = fd.landscape("x**3 - 3*x")
    wide = find_critical_points(cubic, [(-3, 3)], starts=32)
    assert wide.kind.values.tolist() == ["minimum", "maximum"]
    assert wide.scope.values.tolist() == ["local", "local"]  # f(-3) = -18, f(3) = 18
    # -1.9 < the other end of the minimum's level at -2; 1.9 < the maximum's at 2.
    narrow = find_critical_points(cubic, [(-1.9, 1.9)], starts=32)
    assert narrow.scope.values.tolist() == ["global", "unknown"]
    assert "faces" in narrow.attrs["scope_basis"]
    plain = find_critical_points(cubic, [(-1.9, 1.9)], starts=32, certify=False)
    assert plain.scope.values.tolist() == ["unknown", "unknown"]
    assert plain.attrs["complete"] == "estimated"
    # A box without the global minimum: the known value decides.
    ds = find_critical_points(landscapes.Rosenbrock(dim=4), [(-1.2, 0.5)] * 4, starts=64)
    assert "global" not in ds.scope.values.tolist()
    # A box in which the landscape falls below the minimum that it knows for its own domain.
    deep = find_critical_points(landscapes.McCormick(), [(-8, -2), (-9, -3)], starts=64)
    assert deep.value.values[0] < landscapes.McCormick().minimum - 1.0
    assert deep.scope.values[0] == "unknown" or "faces" in deep.attrs["scope_basis"]


@pytest.mark.parametrize("side", [2.0, 1e3, 1e5])
def test_the_size_of_the_box_does_not_make_a_higher_minimum_global(side):
    # Values of 0.1 and -0.1, and up to side^4 at the faces: 1e20, whose rounding is 1e4.
    tilted = fd.landscape("(x**2 - 1)**2 + 0.1*x")
    ds = find_critical_points(tilted, [(-side, side)], starts=64)
    assert ds.attrs["complete"] == "certified"
    assert ds.scope.values[:2].tolist() == ["global", "local"]
    known = fd.landscape("(x**2 - 1)**2 + 0.1*x", minimum=-0.10061737663815833)
    ds = find_critical_points(known, [(-side, side)], starts=64)
    assert ds.scope.values[:2].tolist() == ["global", "local"]


def test_minima_of_one_value_are_all_global_though_they_are_rounded():
    # All are 0, at numbers that no double is; of a fourth power the place is less well known.
    for text, number in (("(x**2 - 2)**2*(x**2 - 3)**2", 4), ("(7*x - 1)**4*(x**2 - 2)**2", 3)):
        ds = find_critical_points(fd.landscape(text), [(-2, 2.5)], starts=64)
        assert ds.attrs["complete"] == "certified"
        assert ds.scope.values[ds.extremum.values == "minimum"].tolist() == ["global"] * number


def test_what_the_proof_contradicts_is_not_global():
    # Eigenvalues 4e12 and 4e-4: Newton's method stops all along the valley, up to 1e-3 high.
    steep = fd.landscape("1e12*(x - y)**2 + 1e-4*(x + y)**2")
    ds = find_critical_points(steep, [(-1, 2)] * 2, starts=16)
    assert ds.attrs["complete"] == "estimated"
    assert "global" not in ds.scope.values


def test_a_dip_on_a_face_that_no_start_sees_forbids_a_global_minimum():
    # Depth 5 and width 0.003, at the point (1, 0.3) of the face x = 1 but centred beyond it.
    dip = "x**2 + y**2 - 5*exp(-100000*((x - 1.0005)**2 + (y - 0.3)**2))"
    box = [(-1, 1), (-1, 1)]
    ds = find_critical_points(fd.landscape(dip), box, starts=16)
    assert ds.attrs["complete"] == "certified"
    assert ds.kind.values[0] == "minimum"
    assert abs(ds.value.values[0]) < 1e-12
    assert ds.scope.values[0] == "unknown"
    hole = fd.landscape("x**2 + where(abs(x - 0.5) < 0.000001, -5, 0)")  # where no slope shows it
    assert "global" not in find_critical_points(hole, [(-1, 1)], starts=16).scope.values
    # The loss ends at |x| = 0.5 with 0.0025, below the dips of 0.03 at |x| = 0.8.
    end = fd.landscape("5*sqrt(x**2 - 0.25) + 0.01*x**2 - 3.1*exp(-1000*(x**2 - 0.64)**2)")
    ds = find_critical_points(end, [(-1, 1)], starts=64)
    assert ds.attrs["complete"] == "certified"
    assert 0.01 < ds.value.values[0] < 0.05
    assert "global" not in ds.scope.values
    # Within the cluster round a corner there is a dip of width 1e-12.
    within = fd.landscape("abs(x) - 5*exp(-1e24*(x - 3e-9)**2)")
    ds = find_critical_points(within, [(-1, 1)], starts=4)
    assert (ds.attrs["complete"], ds.scope.values.tolist()) == ("certified", ["unknown"])
    bowl = find_critical_points(fd.landscape(dip), [(-1, 0.9), (-1, 1)], starts=16)
    assert bowl.scope.values.tolist() == ["global"]


def test_a_landscapes_own_points_are_listed_if_no_start_finds_them():
    # Easom: one minimum of width 1 in a box of side 200, and flat ground.
    ds = find_critical_points(landscapes.Easom(), starts=16, max_boxes=100)
    assert ds.value.values[0] == -1.0
    assert (ds.kind.values[0], ds.scope.values[0], ds.found.values[0]) == ("minimum", "global", 0)
    assert ds.proven.values[0]
    assert ds.attrs["complete"] == "estimated"


def test_nothing_changes_with_units():
    # Scaling loss and coordinates by powers of two is exact in every operation.
    plain = find_critical_points(
        fd.landscape("x**4 - 3*x**2 + x*y + y**4", domain=(-2, 2)), starts=64
    )
    scaled = find_critical_points(
        fd.landscape("1024*((x/8)**4 - 3*(x/8)**2 + (x/8)*(y/8) + (y/8)**4)", domain=(-16, 16)),
        starts=64,
    )
    for name in ("kind", "index", "scope", "found", "proven"):
        np.testing.assert_array_equal(plain[name].values, scaled[name].values)
    np.testing.assert_allclose(8.0 * plain.position, scaled.position, atol=1e-13)
    assert plain.attrs["complete"] == scaled.attrs["complete"] == "certified"


def test_results_are_a_function_of_the_seed():
    camel = landscapes.SixHumpCamel()
    first, second = (find_critical_points(camel, starts=64) for _ in range(2))
    assert first.identical(second)
    third = find_critical_points(camel, starts=64, seed=1)
    assert not np.array_equal(first.found, third.found)
    np.testing.assert_allclose(first.position, third.position, atol=1e-12)


def test_bound_of_the_missing_mass_when_nothing_new_is_found():
    # Second half of n starts: none new.  (1 - p)^(n / 2) = 0.05.
    ds = find_critical_points(landscapes.Himmelblau(), starts=400, certify=False)
    assert ds.attrs["missing_mass"] == ds.attrs["unseen_estimate"] == 0.0
    assert ds.attrs["missing_mass_upper"] == pytest.approx(1 - 0.05 ** (1 / 200), rel=1e-9)


def test_missing_mass_is_estimated_and_bounded():
    # The chance of each point, from many starts; the mass that few starts have missed is known
    # then.  Runs are independent and their bounds hold with 95 %: more than 7 failures in 30
    # have a probability below 1e-4.
    landscape = landscapes.Rastrigin(dim=2) if JIT else landscapes.SixHumpCamel()
    many = find_critical_points(landscape, starts=10_000 if JIT else 400)
    chance = many.found.values / many.attrs["starts"]
    failures, errors = 0, []
    starts = 200 if JIT else 50
    for seed in range(1, 31 if JIT else 4):
        few = find_critical_points(landscape, starts=starts, seed=seed, certify=False)
        few = few.isel(point=few.found.values > 0)
        distance = np.abs(few.position.values[:, np.newaxis] - many.position.values).max(axis=2)
        missed = 1.0 - chance[distance.argmin(axis=1)].sum() - (1.0 - chance.sum())
        failures += missed > few.attrs["missing_mass_upper"]
        errors.append(few.attrs["missing_mass"] - missed)
        once, twice = (int((few.found.values == k).sum()) for k in (1, 2))
        assert few.attrs["missing_mass"] == once / starts
        assert few.attrs["unseen_estimate"] == once * (once - 1) / (2 * (twice + 1))
    assert failures <= 7
    if JIT:  # few runs say nothing about a mean
        # Good's estimate is unbiased but for 1 / starts; |z| < 4.5.
        z = np.mean(errors) / (np.std(errors, ddof=1) / math.sqrt(len(errors)))
        assert abs(z) < 4.5


class Bare(landscapes.Landscape):
    """A landscape with a kernel, and neither Hessian nor formula."""

    kernel: ClassVar = landscapes.Himmelblau.kernel
    bounds: ClassVar = (-6.0, 6.0)
    dim: ClassVar = 2


def test_without_formula_and_hessian_the_search_is_numeric():
    ds = find_critical_points(Bare(), starts=STARTS // 2)
    assert counts(ds) == (4, 4, 1, 0)
    assert ds.attrs["complete"] == "estimated"
    assert ds.attrs["hessian"] == "differences of the gradient"
    assert not ds.proven.values.any()
    assert ds.attrs["boxes_examined"] == 0
    exact = find_critical_points(landscapes.Himmelblau(), starts=STARTS // 2)
    # Polishing needs no exact Hessian; differences err by 1e-10 of it.
    np.testing.assert_allclose(
        np.sort(ds.position, axis=0), np.sort(exact.position, axis=0), atol=1e-12
    )


def test_models_on_data_are_landscapes():
    model = fd.models.LogisticRegression(fd.data.XOR(count=40))
    ds = find_critical_points(model, [(-5, 5)] * 3, starts=2)
    assert counts(ds) == (1, 0, 0, 0)
    assert ds.attrs["complete"] == "estimated"
    assert convexity(model, samples=2).convex.item() == "undecided"
    # One with a formula: least squares have one minimum, which is proven.
    squares = fd.models.LinearRegression(fd.data.GaussianLinear(2, noise=0.1, count=20))
    ds = find_critical_points(squares, [(-5, 5)] * 3, starts=8)
    assert (counts(ds), ds.attrs["complete"]) == ((1, 0, 0, 0), "certified")
    np.testing.assert_allclose(ds.position.values, squares.minima, atol=1e-13)
    assert convexity(squares, samples=8).convex.item() == "proven"


def test_without_a_formula_convexity_is_only_refuted():
    network = fd.models.MLP(fd.data.XOR(count=8), widths=[2])
    ds = convexity(network, samples=16)
    assert ds.convex.item() == "refuted"
    assert ds.attrs["verified"] == 0
    assert np.isnan(ds.curvature)
    curvature = ds.direction.values @ network.hessian(ds.position.values) @ ds.direction.values
    assert abs(curvature - ds.smallest_eigenvalue) < 1e-12 * abs(curvature)


def test_flat_ground_is_no_critical_point():
    # Far out the exponential is 0, and so are gradient and Hessian.
    ds = find_critical_points(landscapes.Plateau(), [(-400, 400), (-400, 400)], starts=64)
    assert "flat ground" in ds.attrs["completeness"]
    assert ds.sizes["point"] <= 1


def test_budget_is_respected_and_reported():
    ds = find_critical_points(landscapes.GoldsteinPrice(), starts=300, max_boxes=100)
    assert ds.attrs["complete"] == "estimated"
    assert ds.attrs["boxes_undecided"] > 0
    assert "undecided boxes" in ds.attrs["completeness"]
    assert counts(ds) == (4, 4, 1, 0)


BAD = [
    ({"box": [0, 1, 2]}, "box"),
    ({"box": [[0, 1]]}, "box"),
    ({"box": [[1, 0], [0, 1]]}, "box"),
    ({"box": [[0, 0], [0, 1]]}, "box"),
    ({"box": [[0, math.inf], [0, 1]]}, "box"),
    ({"box": "wide"}, "box"),
    ({"seed": -1}, "seed"),
    ({"max_boxes": 0}, "max_boxes"),
]


@pytest.mark.parametrize(
    ("options", "part"),
    [
        *BAD,
        ({"starts": 0}, "starts"),
        ({"tolerance": 0.0}, "tolerance"),
        ({"starts": 2.5}, "starts"),
    ],
)
def test_bad_input_of_the_search_is_one_clear_error(options, part):
    with pytest.raises(InvalidValueError) as caught:
        find_critical_points(landscapes.Himmelblau(), **options)
    assert caught.value.part == part


@pytest.mark.parametrize(("options", "part"), [*BAD, ({"samples": 0}, "samples")])
def test_bad_input_of_convexity_is_one_clear_error(options, part):
    with pytest.raises(InvalidValueError) as caught:
        convexity(landscapes.Himmelblau(), **options)
    assert caught.value.part == part


@pytest.mark.parametrize("function", [find_critical_points, convexity])
def test_what_is_no_landscape_is_refused(function):
    with pytest.raises(InvalidValueError) as caught:
        function("x**2")
    assert caught.value.part == "landscape"


@pytest.mark.parametrize("function", [find_critical_points, convexity])
def test_sweeps_are_refused(function):
    with pytest.raises(InvalidValueError, match=r"condition_number.*pick one"):
        function(landscapes.Ravine(condition_number=[1.0, 2.0]))


def test_convexity_needs_a_hessian():
    with pytest.raises(InvalidValueError, match="hessian"):
        convexity(Bare())


@pytest.mark.parametrize("length", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("dim", [1, 3])
def test_ripples_are_convex_up_to_one_ratio(length, dim):
    # Validation V59: convex if and only if height / length^2 <= 1 / (2 pi^2).
    critical = length**2 / (2.0 * math.pi**2)
    below, above = (
        convexity(
            landscapes.RippledBowl(dim=dim, height=critical * factor, length=length), samples=64
        )
        for factor in (1 - 1e-7, 1 + 1e-7)
    )
    assert below.convex.item() == "proven"
    assert above.convex.item() == "refuted"
    assert above.curvature < 0.0
    # In a box that shows no crest of the cosine all is convex.
    trough = [(0.3 * length, 0.7 * length)] * dim
    high = landscapes.RippledBowl(dim=dim, height=2 * critical, length=length)
    assert convexity(high, trough, samples=64).convex.item() == "proven"


@settings(max_examples=25 if JIT else 8, deadline=None)
@given(st.lists(st.floats(-3.0, 3.0), min_size=2, max_size=4), st.floats(0.0, 3.0))
def test_quadratics_are_convex_by_their_eigenvalues(eigenvalues, angle):
    rotation = angle if len(eigenvalues) == 2 else 3
    made = landscapes.Quadratic(eigenvalues=eigenvalues, rotation=rotation)
    ds = convexity(made, samples=4, max_boxes=200)
    # Undecided where the smallest eigenvalue is 0 to the rounding of both methods.
    least = min(eigenvalues)
    doubtful = 1e-12 * max(map(abs, eigenvalues))
    if least > doubtful:
        assert ds.convex.item() == "proven"
    elif least < -doubtful:
        assert ds.convex.item() == "refuted"
        direction = ds.direction.values
        assert abs(np.linalg.norm(direction) - 1.0) < 1e-14
        curvature = direction @ made.hessian(ds.position.values) @ direction
        assert abs(ds.curvature - curvature) < 1e-13 * max(map(abs, eigenvalues))
    else:
        assert ds.convex.item() != "refuted" or least < 0.0


MODULE = sys.modules[convexity.__module__]

CONVEX = [
    "abs(x) + abs(y - 1)",
    "max(x, 1 - x, x*2 - 3)",
    "exp(x + y) + x**2 + y**2",
    "(x + y)**4",
    "-log(x + 6) + 1/(y + 6)",
    "-sqrt(x + 6) - min(x, y, 0)",
    "(x**2 + y**2 + 1)**1.5",
    "exp(x**2) - y",
    "exp(abs(x))",
    "3 - (-(x - y)**2)/4",
    "2/(6 - abs(x))",
    "(abs(x) + 1)*(abs(x) + 1)",
    "-3*sin(0.2*x + 1.5)",
    "sigmoid(x - 9) + tanh(abs(y) - 9)",
]
#: Concave at corners only: no point has a negative eigenvalue.
CORNERS = [
    "-abs(x)",
    "min(x, y)",
    "where(x > 0, x**2, x**2 + 1)",
    "where(x > 0, x, 2*x)",
    "-2*abs(x)",
    "max(x, y)/(-3)",
    "exp(-abs(x))",
]
NOT_CONVEX = [
    *CORNERS,
    "x*y",
    "sqrt(abs(x))",
    "x**3",
    "sin(x)",
    "x**2 + 0.6*cos(2*x)",
    "abs(x**2 - 1)",
    "tanh(x)",
    "exp(-x**2)",
    "log(x + 6)",
    "max(-x**2, y)",
    "log(abs(x) + 1)",
    "sqrt(x + 6)",
    "-1/(x + 6)",
    "1/(7 - (x - y)**2)",
    "1/(1 + x**2)",
    "(x**2 - 1)**2",
    "exp(sin(x))",
    "cos(x) + y**2",
    "x**2*y**2",
    "(y - abs(x))**3",
    "-sigmoid(x - 9)",
]


def proven_by_rules(text):
    made = fd.landscape(text, dim=2)
    return bool(MODULE._Composition(traced(made))(*made.domain.T[:, np.newaxis])[0])


@pytest.mark.parametrize("text", CONVEX)
def test_rules_of_composition_prove_what_is_convex(text):
    assert proven_by_rules(text)


@pytest.mark.parametrize("text", NOT_CONVEX)
def test_rules_of_composition_prove_nothing_else(text):
    assert not proven_by_rules(text)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("max(x, 1 - x, x*2 - 3)", "proven"),
        ("where(x > 10, -x**2, x**2)", "proven"),
        ("log(1 + exp(x)) + 0.01*x**2 + y**2 + x*y/9", "proven"),  # by halving
        ("x**2 + 0.6*cos(2*x)", "refuted"),
        ("max(-x**2, y)", "refuted"),
        *[(text, "undecided") for text in ("-abs(x)", *CORNERS[2:4])],
    ],
)
def test_formulas_with_corners_and_branches(text, answer):
    made = fd.landscape(text, dim=2, domain=(-2, 2))
    ds = convexity(made, samples=32, max_boxes=3000)
    assert ds.convex.item() == answer
    assert ds.attrs["verified"] == (answer != "undecided")
    if answer == "refuted":
        x, v = ds.position.values, ds.direction.values
        assert v @ made.hessian(x) @ v < 0.0


def test_a_corner_between_two_parts_is_seen():
    # The first cut of this box is at 0, with a straight line on either side.
    ds = convexity(fd.landscape("-abs(x)"), [(-0.484375, 0.515625)], samples=4)
    assert ds.convex.item() == "undecided"


def test_rounding_refutes_nothing():
    # Two eigenvalues are 0, and computed a little below in some of these.
    found = [
        convexity(
            landscapes.Quadratic(eigenvalues=[0.0, 0.0, 1.0, 2.0], rotation=k),
            samples=2,
            max_boxes=10,
        )
        for k in range(6)
    ]
    assert min(ds.smallest_eigenvalue for ds in found) < 0.0
    assert all(ds.convex.item() != "refuted" for ds in found)


def test_bounds_of_matrices_are_semidefinite_only_if_all_members_are():
    # The least eigenvalue is concave, so its minimum over an interval matrix is at a vertex.
    rng = np.random.default_rng(3)
    proven = 0
    for _ in range(100):
        middle = rng.normal(size=(3, 3))
        middle = middle @ middle.T - rng.uniform(-1.0, 1.0) * np.eye(3)
        reach = 0.05 * rng.uniform(size=(3, 3))
        reach += reach.T
        bounds = Interval.of((middle - reach)[np.newaxis], (middle + reach)[np.newaxis])
        upper = np.triu_indices(3)
        least = np.inf
        for signs in itertools.product((-1.0, 1.0), repeat=6):
            change = np.zeros((3, 3))
            change[upper] = np.array(signs) * reach[upper]
            vertex = middle + np.triu(change) + np.triu(change, 1).T
            least = min(least, np.linalg.eigvalsh(vertex)[0])
        answer = bool(MODULE._semidefinite(bounds)[0])
        assert not answer or least > -1e-14
        proven += answer
    assert proven > 20


def test_catalogue_is_convex_where_it_is_known_to_be():
    proven = [
        landscapes.Booth(),
        landscapes.Matyas(),
        landscapes.Trid(dim=5),
        landscapes.Zakharov(dim=4),
        landscapes.Powell(),
        landscapes.SumSquares(dim=3),
    ]
    for landscape in proven:
        assert convexity(landscape, samples=64).convex.item() == "proven"
    for landscape in (landscapes.Rosenbrock(dim=2), landscapes.Himmelblau(), landscapes.Saddle()):
        assert convexity(landscape, samples=64).convex.item() == "refuted"
    # Near its minimum (3, 2) Himmelblau's function is convex.
    assert convexity(landscapes.Himmelblau(), [(2.8, 3.2), (1.8, 2.2)]).convex.item() == "proven"
    # Chained Rosenbrock is convex near (1, 1): 1200 x^2 - 400 y + 2 > 0 and the determinant
    # 80000 x^2 - 80000 y + 400 > 0 hold on this box, whose proof needs halving.
    box = [(0.99, 1.01), (0.975, 0.978)]
    assert convexity(landscapes.Rosenbrock(dim=2), box).convex.item() == "proven"


def test_the_smallest_eigenvalue_is_that_of_the_witness():
    made = landscapes.Himmelblau()
    ds = convexity(made, samples=64)
    hessian = made.hessian(ds.position.values)
    assert abs(np.linalg.eigvalsh(hessian)[0] - ds.smallest_eigenvalue) < 1e-12
    samples = np.random.default_rng(0).uniform(-6, 6, (1000, 2))
    assert ds.smallest_eigenvalue <= 0.0 <= np.linalg.eigvalsh(made.hessian(samples)).max()


def test_ends_where_a_slope_is_proven_are_no_points():
    """At (sqrt 2, y) Newton's step is 0 and the slope 1, small against those of the box.

    Ends like these are dropped because their slopes have a sign, not because they are unproven.
    """
    landscape = fd.landscape("(x**2 - 2)**2 + abs(y)", domain=(-1000.0, 1250.0))
    assert find_critical_points(landscape, starts=16, certify=False).sizes["point"] > 3
    ds = find_critical_points(landscape, starts=16)
    assert ds.attrs["complete"] == "certified"
    # To rounding: 2e-16 of their size, or of the slopes' terms at 0.
    at = np.sort(ds.position.values[:, 0])
    np.testing.assert_allclose(at, [-(2**0.5), 0.0, 2**0.5], rtol=1e-15, atol=1e-15)
    np.testing.assert_array_equal(ds.position.values[:, 1], 0.0)
    # One point of a valley of minima cannot be proven, and stays.
    valley = fd.landscape("(x*y - 1)**2", domain=(-3.0, 3.0))
    sizes = {
        find_critical_points(valley, starts=16, certify=certify, max_boxes=2000).sizes["point"]
        for certify in (False, True)
    }
    assert len(sizes) == 1
    assert min(sizes) > 5
