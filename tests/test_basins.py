"""Basins of attraction: closed forms, naive twins, published figures and invariances.

Monte Carlo tests have fixed seeds and allow 4.5 standard errors: a false alarm in 150 000.
"""

from __future__ import annotations

import functools
import importlib
import math
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import brentq

import fastdescent as fd
from fastdescent.contracts import JIT
from fastdescent.errors import InvalidValueError, MemoryLimitError
from fastdescent.geometry import attractors
from fastdescent.geometry.attractors import Attractors
from fastdescent.geometry.basin_statistics import (
    _slope,
    basin_entropy,
    basin_fractions,
    boundary_dimension,
    outcome_probabilities,
    uncertainty_exponent,
)
from fastdescent.geometry.basins import OUTCOME, basins
from fastdescent.geometry.fidelity import fidelity
from fastdescent.plot import _basins as figures

# By name: the package gives this name to the function.
MODULE = importlib.import_module("fastdescent.geometry.basins")
WELL = fd.landscapes.SymmetricDoubleWell()
HIMMELBLAU = fd.landscapes.Himmelblau()
MOVING, CONVERGED, DIVERGED, CYCLING, RESTING, HOVERING = OUTCOME.values()


@pytest.fixture(autouse=True)
def _scales_of_fewer_points(monkeypatch):
    """In plain Python the 4096 losses of each call would take longer than all else."""
    if not JIT:
        monkeypatch.setattr(MODULE, "scales", functools.partial(fd.geometry.scales, count=64))


def descent(learning_rate):
    return fd.optimizers.GradientDescent(learning_rate=learning_rate)


def size(compiled, plain):
    """Plain Python is a hundred times slower, so its tests are smaller."""
    return compiled if JIT else plain


def map_of(attractor, basins_found=None):
    """A dataset like a result of `basins` with the given map of attractors."""
    attractor = np.asarray(attractor)
    nodes = np.stack(np.meshgrid(*map(np.arange, attractor.shape), indexing="ij"), axis=-1)
    count = basins_found or max(int(attractor.max()) + 1, 1)
    return xr.Dataset(
        {
            "attractor": ("start", attractor.ravel()),
            "outcome": ("start", np.where(attractor.ravel() >= 0, 1, 2).astype(np.int8)),
            "steps": ("start", np.arange(attractor.size)),
            "period": ("start", np.zeros(attractor.size, dtype=np.int16)),
            "initial": (("start", "coordinate"), nodes.reshape(attractor.size, -1).astype(float)),
            "attractor_value": ("basin", np.arange(float(count))),
        },
        attrs={
            "landscape": "Himmelblau()",
            "optimizer": "GradientDescent()",
            "starts": "Grid",
            "grid_counts": list(attractor.shape),
        },
    )


# ------------------------------------------------------------------- closed forms in one dimension


@pytest.mark.parametrize("eta", [0.1, 0.5, 0.9])
def test_double_well_is_bounded_up_to_its_two_cycle(eta):
    """V12: x -> x (1 + eta - eta x^2) has the repelling 2-cycle +-sqrt(1 + 2 / eta).

    The starts are a billionth to the side: the distance doubles or more in each step.
    """
    edge = math.sqrt(1.0 + 2.0 / eta)
    starts = [[s * edge * (1.0 + d)] for s in (-1, 1) for d in (-1e-9, 1e-9)]
    ds = basins(WELL, descent(eta), starts, steps=2000)
    assert ds.outcome.values.tolist() == [CONVERGED, DIVERGED] * 2


def layer_edges(eta, count):
    """Positive starts that reach 0: preimages of 0 under x -> x (1 + eta - eta x^2), by bisection.

    Beyond sqrt((1 + eta) / (3 eta)) the map falls, from positive values to -infinity.
    """
    edges, low, high = [], math.sqrt((1.0 + eta) / (3.0 * eta)), math.sqrt(1.0 + 2.0 / eta)
    target = 0.0
    for _ in range(count):
        a, b = low, high
        for _ in range(200):
            middle = 0.5 * (a + b)
            above = middle * (1.0 + eta - eta * middle**2) > target
            a, b = (middle, b) if above else (a, middle)
        edges.append(a)
        target = -a
    return edges


@pytest.mark.parametrize("eta", [0.3, 0.8])
def test_double_well_changes_sides_in_layers(eta):
    """V12: signs flip beyond sqrt(1 + 1 / eta), flip back beyond its preimage, and so on."""
    edges = layer_edges(eta, 4)
    assert math.isclose(edges[0], math.sqrt(1.0 + 1.0 / eta), rel_tol=1e-12)
    inside = np.array([x * (1.0 + d) for x in edges for d in (-1e-7, 1e-7)])
    ds = basins(WELL, descent(eta), np.append(inside, -inside)[:, np.newaxis], steps=3000)
    # One change of sides per edge: each edge lies between two fates.
    expected = [1, 0, 0, 1, 1, 0, 0, 1]
    assert ds.attractor.values.tolist() == expected + [1 - k for k in expected]


@pytest.mark.parametrize("eta", [0.05, 0.5])
def test_quartic_diverges_beyond_its_two_cycle(eta):
    """V13: x -> x (1 - eta x^2) keeps abs(x) if and only if x = 0 or eta x^2 = 2."""
    edge = math.sqrt(2.0 / eta)
    starts = [[edge * (1.0 - 1e-9)], [edge * (1.0 + 1e-9)], [math.sqrt(1.0 / eta)]]
    quartic = fd.landscape("x**4 / 4")
    stop = fd.Stop(gradient_norm=size(1e-4, 1e-3), radius=1e6)
    ds = basins(quartic, descent(eta), starts, steps=20_000, stop=stop)
    assert ds.outcome.values.tolist() == [CONVERGED, DIVERGED, CONVERGED]
    # x = sqrt(1 / eta) is at 0 after a step but for rounding, whose cube is nothing.
    assert ds.steps.values[2] == 1
    # The attractor is found, by Newton's method: a triple root, approached by factors of 2/3.
    assert ds.attractor.values.tolist() == [0, -1, 0]
    assert abs(ds.attractor_position.values[0, 0]) < 1e-6
    assert ds.attractor_kind.values.tolist() == ["degenerate"]


def test_quartic_is_slow_but_no_cycle():
    """x_t falls like (2 eta t)^(-1/2): it runs out of steps and never comes back."""
    ds = basins(fd.landscape("x**4 / 4"), descent(0.1), [[1.0], [-2.0]], steps=500)
    assert ds.outcome.values.tolist() == [MOVING, MOVING]
    assert ds.period.values.tolist() == [0, 0]


LESSARD = fd.optimizers.Momentum(learning_rate=1.0 / 9.0, beta=4.0 / 9.0)


def test_heavy_ball_runs_in_the_published_cycle():
    """V15: starts at rest in [-10, 10] never converge with probability 0.1028, in a 3-cycle.

    The tolerance is the table's, 3e-4, and the grid's: 12 intervals make 24 ends, each good to
    half a cell.
    """
    count = size(40_001, 201)
    ds = basins(fd.landscapes.Lessard(), LESSARD, fd.starts.Grid(counts=count), steps=400)
    cycling = ds.outcome.values == CYCLING
    assert set(np.unique(ds.outcome)) == {CONVERGED, CYCLING}
    assert np.unique(ds.period.values[cycling]).tolist() == [3]
    assert not ds.period.values[~cycling].any()
    assert abs(cycling.mean() - 0.1028) < 3e-4 + 12.0 / count
    # The starts include the two faces, so that an interval is a run of cells in between.
    if JIT:
        assert np.count_nonzero(np.diff(cycling.astype(int)) == 1) == 12
    named = basins(fd.landscapes.Lessard(), LESSARD, [[3.3]], steps=400)
    assert named.outcome.values.tolist() == [CYCLING]


def test_descent_cycles_where_theory_says():
    """V12: the double well's minima are stable for eta < 1; then the period doubles.

    The 2-cycle in one well has the points x, y with x y = 1 / eta and x^2 + y^2 = 1 + 1 / eta,
    so its multiplier is (1 + eta - 3 eta x^2) (1 + eta - 3 eta y^2) = 7 - 4 eta - 2 eta^2: stable
    up to eta = sqrt(5) - 1 = 1.236, where it is -1.
    """
    assert math.isclose(7.0 - 4.0 * (math.sqrt(5) - 1) - 2.0 * (math.sqrt(5) - 1) ** 2, -1.0)
    ds = basins(WELL, descent([0.9, 1.2, 1.26, 2.0]), [[0.3], [-0.7]], steps=size(3000, 1000))
    assert ds.outcome.values.tolist()[:3] == [[CONVERGED] * 2, [CYCLING] * 2, [CYCLING] * 2]
    assert ds.period.values.tolist()[:3] == [[0, 0], [2, 2], [4, 4]]
    # At eta = 2 the map is the Chebyshev polynomial of degree 3, chaotic.
    assert ds.outcome.values.tolist()[3] == [MOVING, MOVING]
    none = basins(WELL, descent(1.2), [[0.3]], steps=3000, longest_period=1)
    assert none.outcome.values.tolist() == [MOVING]


def test_slow_oscillation_is_no_cycle():
    """On x^2 / 2 the factor 1 - eta is -1 but for 1e-8: it dies out, or grows, too slowly to see.

    At eta = 2 it is -1, and each start is in a cycle.  The offset 1 / 3 brings in rounding.
    """
    starts = [[1.0], [-0.3], [0.5]]
    for bowl in (fd.landscape("x**2 / 2"), fd.landscape("(x - 1/3)**2 / 2")):
        rule = descent([2.0 - 1e-8, 2.0 - 1e-12, 2.0, 2.0 + 1e-12, 2.0 + 1e-8])
        ds = basins(bowl, rule, starts, steps=size(5000, 500))
        assert (
            ds.outcome.values.tolist() == [[MOVING] * 3] * 2 + [[CYCLING] * 3] + [[MOVING] * 3] * 2
        )
        assert ds.period.values.tolist() == [[0] * 3] * 2 + [[2] * 3] + [[0] * 3] * 2


@pytest.mark.parametrize("factor", [0.5, 0.99, 1.0 - 1e-8, 1.0 + 1e-8])
@pytest.mark.parametrize("p", [2, 3, 64])
def test_cycle_that_is_approached_is_one_if_little_is_missing(p, factor):
    """x_t = cos(2 pi t / p) (1 + 1e-9 factor^t): what is missing is below 1e-6 of the diameter.

    A sum of the gaps that shrink by 1e-8 per step only is bounded by 1e-9 all the same, but
    cannot be told from a drift that goes on; nor can one that grows.
    """
    t = np.arange(193)
    path = np.cos(2.0 * np.pi * t / p) * (1.0 + 1e-9 * factor**t)
    drifting = path * (1.0 if factor < 0.999 else factor**t)
    found = attractors.periods(drifting[np.newaxis, :, np.newaxis], 1.0)
    assert found.tolist() == [p if factor < 0.999 else 0]


def test_sharp_well_keeps_a_two_cycle():
    """V70's remark: beyond 2 / curvature descent hovers in a well, and has not diverged.

    Wells of curvature 1 and 400 meet at 0: (x + 2)^2 / 2 and 200 (x - 0.1)^2.
    """
    wells = fd.landscape(
        lambda x: fd.math.where(x[0] <= 0.0, 0.5 * (x[0] + 2.0) ** 2, 200.0 * (x[0] - 0.1) ** 2),
        dim=1,
    )
    near = [[0.1001], [0.09], [-1.0]]
    stop = None if JIT else fd.Stop(gradient_norm=0.01)  # the ends are polished
    small = basins(wells, descent(0.002), near, steps=20_000, stop=stop)
    assert small.attractor_position.values[small.attractor.values].ravel().round(6).tolist() == [
        0.1,
        0.1,
        -2.0,
    ]
    # x - 0.1 is multiplied by 1 - 400 eta = -1: exactly periodic, up to rounding.
    edge = basins(wells, descent(0.005), near[:2], steps=1000)
    assert edge.outcome.values.tolist() == [CYCLING, CYCLING]
    assert edge.period.values.tolist() == [2, 2]


def test_sharp_well_keeps_its_share_under_small_steps():
    """V70 on -ln(exp(-(x + 1)^2 / 2) + exp(-200 (x - 1)^2)), uniform starts in [-2, 2].

    Descent with eta below 1 / curvature keeps the order of starts, so that the sharp well holds
    what lies right of the barrier, a root of the gradient.  The published digits are of a
    landscape that is not named; this one has them within the table's 2e-3.
    """
    m = fd.math
    wells = fd.landscape(
        lambda x: -m.log(m.exp(-0.5 * (x[0] + 1.0) ** 2) + m.exp(-200.0 * (x[0] - 1.0) ** 2)),
        dim=1,
        domain=(-2.0, 2.0),
    )
    barrier = brentq(lambda x: wells.gradient([x]).item(), 0.6, 0.95)
    share, count = (2.0 - barrier) / 4.0, size(4001, 5)
    assert abs(share - 0.291) < 2e-3

    def run(rule, steps=20_000):
        return basins(
            wells,
            rule,
            fd.starts.Grid(counts=count),
            steps=steps,
            stop=fd.Stop(gradient_norm=0.05, radius=100.0),
            attractors=[[1.0], [-1.0]],
            radius=0.1,
        )

    def sharp(rule):
        return basin_fractions(run(rule)).fraction.sel(basin=0).values

    # A share of a grid is that of its ends but for a cell at each.
    assert sharp(descent([0.002, 0.02])).tolist() == pytest.approx([share, 0.0], abs=2.0 / count)
    adam = sharp(fd.optimizers.Adam(size([0.002, 0.02], [0.02])))
    assert adam.tolist() == pytest.approx([share] * len(adam), abs=2.0 / count)
    if JIT:
        assert abs(sharp(fd.optimizers.Momentum(0.002, 0.9)) - 0.208) < 2e-3
        # The curvature at the bottom is 352: beyond 2 / 352 = 0.0057 descent only converges there
        # if it hits the bottom; others stay in a 2-cycle within the radius, and are of the well.
        ds = run(descent(0.006), steps=3000)
        inside = ds.outcome.values[ds.attractor.values == 0]
        assert np.count_nonzero(inside == CYCLING) >= 0.25 * count
        assert np.count_nonzero(inside == CONVERGED) <= 2
        assert ((inside == CYCLING) | (inside == CONVERGED)).all()


# ------------------------------------------------------------------------- fractions and intervals


@pytest.mark.parametrize(
    ("landscape", "rate", "share"),
    [
        (lambda d: fd.landscapes.StyblinskiTang(dim=d), 0.01, 0.5156731257),
        (lambda d: fd.landscapes.Rastrigin(dim=d), 0.002, 2.0 * 0.502546 / 10.24),
    ],
    ids=["Styblinski-Tang", "Rastrigin"],
)
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_global_fraction_is_a_power(landscape, rate, share, dim):
    """V53: descent keeps the order in each coordinate while eta < 1 / L, so basins are boxes."""
    landscape, count = landscape(dim), size(20_000, 40)
    ds = basins(
        landscape,
        descent(rate),
        fd.starts.Uniform(count=count),
        steps=2000,
        attractors=landscape.minima,
        seed=4,
    )
    found = basin_fractions(ds).fraction.values
    expected = share**dim
    error = math.sqrt(expected * (1.0 - expected) / count)
    assert found.shape == (1,)
    assert abs(found[0] - expected) < 4.5 * error
    # Everything converged; what is not at the given attractor has none.
    assert set(np.unique(ds.outcome)) == {CONVERGED}
    assert np.count_nonzero(ds.attractor == -1) == count - round(found[0] * count)


def test_boundary_of_styblinski_tang_is_its_maximum():
    """V53 to the last cell: the basins of one coordinate part at 0.15673125678."""
    grid = fd.starts.Grid(0.1567, 0.1568, counts=101)
    ds = basins(fd.landscapes.StyblinskiTang(dim=1), descent(0.01), grid, steps=3000)
    left = ds.initial.values[ds.attractor.values == 0, 0]
    right = ds.initial.values[ds.attractor.values == 1, 0]
    assert left.max() < 0.15673125678 < right.min()
    assert right.min() - left.max() < 1.01e-6


def test_symmetric_minima_have_equal_basins():
    """Six-hump camel: f(-x) = f(x), and rounding is symmetric, so starts and mirrors agree."""
    camel = fd.landscapes.SixHumpCamel()
    grid = fd.starts.Grid(counts=size(101, 5))
    ds = basins(camel, descent(0.002), grid, steps=20_000, stop=fd.Stop(gradient_norm=1e-6))
    found = basin_fractions(ds)
    place = {tuple(np.round(x, 6) + 0.0): k for k, x in enumerate(ds.attractor_position.values)}
    for position, k in place.items():
        mirror = place[tuple(np.negative(position) + 0.0)]
        assert found.fraction.values[k] == found.fraction.values[mirror]
    assert ds.attractor_kind.values.tolist().count("minimum") == 6
    assert found.outcome_fraction.sum() == pytest.approx(1.0, abs=1e-12)  # four roundings


def test_fractions_against_a_naive_twin():
    labels = np.random.default_rng(0).integers(-1, 3, 200)
    ds = map_of(labels)
    found = basin_fractions(ds, confidence=0.9)
    for k in range(3):
        assert found.fraction.values[k] == np.mean(labels == k)
        lower, upper = fd.statistics.wilson_interval((labels == k).sum(), 200, 0.9)
        assert (found.lower.values[k], found.upper.values[k]) == (lower, upper)
    assert found.outcome_fraction.sel(outcome="diverged") == np.mean(labels == -1)
    assert "quadrature" in found.attrs["interval"]


def test_interval_of_a_whole_number_is_that_number_s():
    """1 / 49 * 49 is less than 1 in floating point, and no start would be another matter."""
    assert 1 / 49 * 49 < 1.0
    found = basin_fractions(map_of(np.arange(49) == 7))
    lower, upper = fd.statistics.wilson_interval(1, 49)
    assert (found.lower.values[1], found.upper.values[1]) == (lower, upper)


# --------------------------------------------------------------------- what a map is, and its bits


def test_labels_are_those_of_simulate():
    """Against the engine's own ends, start by start, for two rules in one call."""
    points = fd.starts.Uniform(count=size(500, 10)).points(HIMMELBLAU, 1)
    rule = fd.optimizers.Momentum(learning_rate=[0.002, 0.01], beta=[0.5, 0.9])
    ds = basins(HIMMELBLAU, rule, points, steps=1000)
    stop = fd.Stop(gradient_norm=1e-6, radius=1e5)
    ends = fd.simulate(HIMMELBLAU, rule, starts=points, steps=1000, stop=stop)
    assert ds.attractor.dims == ends.steps.dims == ("learning_rate", "beta", "start")
    for at in product(range(2), range(2), range(len(points))):
        end, label = ends.position.values[at], ds.attractor.values[at]
        away = np.linalg.norm(HIMMELBLAU.minima - end, axis=1)
        assert label == (int(away.argmin()) if away.min() < 0.01 else -1)
        assert (ds.outcome.values[at] == DIVERGED) == (ends.status.values[at] == 2)
    np.testing.assert_array_equal(ds.attractor_position, HIMMELBLAU.minima)
    np.testing.assert_array_equal(ds.initial, points)


def test_result_does_not_depend_on_threads_or_blocks(monkeypatch):
    """Bit for bit: no start knows of the others."""
    grid = fd.starts.Grid(counts=size(40, 5))
    rule = fd.optimizers.Momentum(learning_rate=0.01, beta=[0.5, 0.9])
    bowl = fd.landscape("(x**2 + y - 11)**2 + (x + y**2 - 7)**2")  # no point known
    one = basins(bowl, rule, grid, steps=600, threads=1)
    monkeypatch.setattr(MODULE, "_BLOCK", size(999, 20))
    monkeypatch.setattr(MODULE, "_PATH_BYTES", size(10**6, 20_000))
    other = basins(bowl, rule, grid, steps=600)
    for name in ("attractor", "outcome", "steps", "period"):
        np.testing.assert_array_equal(one[name], other[name])
    # Found attractors are polished from other ends: equal but for the last digits.
    np.testing.assert_allclose(one.attractor_position, other.attractor_position, atol=1e-12)


def test_attractors_are_found_and_polished():
    """With no point known, the four minima come out to all digits, whatever the stop."""
    formula = fd.landscape("(x**2 + y - 11)**2 + (x + y**2 - 7)**2")
    grid = fd.starts.Grid(-5.0, 5.0, counts=size(20, 6))
    ds = basins(formula, descent(0.005), grid, steps=2000, stop=fd.Stop(gradient_norm=1e-2))
    known = basins(HIMMELBLAU, descent(0.005), grid, steps=2000, stop=fd.Stop(gradient_norm=1e-2))
    assert ds.sizes["basin"] == 4
    assert ds.attractor_kind.values.tolist() == ["minimum"] * 4
    gap = ds.attractor_position.values[:, None] - HIMMELBLAU.minima[None]
    away = np.linalg.norm(gap, axis=-1)
    # Newton's method ends where rounding of the gradient, 1e-14 of it, does: 1e-13 / 25.
    assert away.min(axis=1).max() < 1e-13
    np.testing.assert_array_equal(away.argmin(axis=1)[ds.attractor], known.attractor)


def test_found_attractors_are_in_the_order_of_their_losses():
    """(x^2 - 1)^2 / 4 + x / 10: the start in the higher well, on the right, comes first."""
    tilted = fd.landscape("(x**2 - 1)**2 / 4 + x / 10", domain=(-2.0, 2.0))
    ds = basins(tilted, descent(0.1), [[1.0], [-1.0]], steps=500)
    assert ds.attractor.values.tolist() == [1, 0]
    low, high = np.sort(np.roots([1.0, 0.0, -1.0, 0.1]))[[0, 2]]
    # Newton's method and the eigenvalues of a matrix: some units in the last place.
    np.testing.assert_allclose(ds.attractor_position[:, 0], [low, high], atol=1e-14)


def test_start_on_a_saddle_stays():
    saddle = next(x.position for x in HIMMELBLAU.critical_points() if x.kind == "saddle")
    ds = basins(HIMMELBLAU, descent(0.001), [saddle, [3.0, 2.1]], steps=2000)
    assert ds.attractor_kind.values[ds.attractor.values].tolist() == ["saddle", "minimum"]
    assert ds.steps.values[0] == 0
    assert ds.sizes["basin"] == 5


def test_given_attractors_are_the_only_ones():
    ds = basins(
        HIMMELBLAU, descent(0.005), [[3.0, 2.1], [-3.0, 3.0]], steps=2000, attractors=[[3, 2]]
    )
    assert ds.attractor.values.tolist() == [0, -1]
    assert ds.outcome.values.tolist() == [CONVERGED, CONVERGED]
    assert ds.attrs["attractors"] == "given"


def test_points_that_are_not_alone_are_no_attractors():
    """The floor of x^2 and the plateau of Easom: converged, but to no point with a name.

    The hyperbola x y = 1 too, and only it: the saddle of (x y - 1)^2 / 2 is met by no start.
    """
    easom = fd.landscapes.Easom()
    for landscape, start in (
        (fd.landscape(lambda x: x[0] ** 2, dim=2), [0.5, 0.3]),
        (easom, [-50.0, 60.0]),
        (fd.landscape("(x*y - 1)**2 / 2"), [1.5, 1.0]),
    ):
        ds = basins(landscape, descent(0.1), [start], steps=500)
        assert (ds.attractor.item(), ds.outcome.item()) == (-1, CONVERGED)
    ds = basins(easom, descent(0.1), [[2.9, 3.3]], steps=500)
    np.testing.assert_allclose(ds.attractor_position[ds.attractor.item()], math.pi, atol=1e-15)


@pytest.mark.parametrize("order", [1, -1])
def test_minima_closer_than_the_radius_stay_apart(order):
    """Minima at +-0.004 in [-5, 5], where the default radius is 0.01."""
    wells = fd.landscape("1e6*(x**2 - 16e-6)**2")
    starts = [[-0.02], [0.02], [-0.0041], [0.0039]][::order]
    ds = basins(wells, descent(1e-4), starts, steps=size(20_000, 2000))
    assert ds.attrs["radius"] == pytest.approx(0.01, rel=1e-12)
    assert ds.attractor.values.tolist() == [0, 1, 0, 1][::order]
    # A cubic's simple roots: some units in the last place of 0.004.
    np.testing.assert_allclose(ds.attractor_position[:, 0], [-0.004, 0.004], rtol=1e-12)


def test_valley_has_one_minimum():
    """Curvatures 4 and 4e-11: ends lie along the valley, and Newton's method has fewer digits."""
    valley = fd.landscape("(x + y - 0.3)**2 + 1e-11*(x - y)**2")
    grid = fd.starts.Grid(-3.0, 3.0, counts=size(20, 6))
    stop = fd.Stop(gradient_norm=1e-8)
    ds = basins(valley, descent(0.2), grid, steps=200, stop=stop)
    assert ds.sizes["basin"] == 1
    # Rounding of a gradient of order 1 over the least curvature: some 1e-6 each.
    np.testing.assert_allclose(ds.attractor_position[0], [0.15, 0.15], atol=1e-4)
    # Descent keeps x - y, and an end at rest may be a tenth of the length from its attractor.
    away = np.abs(np.diff(ds.initial.values, axis=1)[:, 0]) / math.sqrt(2.0)
    assert (ds.attractor.values[away < 0.99] == 0).all()
    assert (ds.attractor.values[away > 1.01] == -1).all()


def test_ends_that_were_stopped_on_their_way_have_no_attractor():
    """Where a lax test holds, Newton's method leads far away, to saddles and maxima too."""
    stop = fd.Stop(loss=100.0)
    one = basins(HIMMELBLAU, descent(0.001), [[0.0, 0.0]], steps=5000, stop=stop)
    assert (one.attractor.item(), one.outcome.item()) == (-1, CONVERGED)
    formula = fd.landscape("(x**2 + y - 11)**2 + (x + y**2 - 7)**2")
    for landscape in (HIMMELBLAU, formula):
        grid = fd.starts.Grid(counts=size(60, 8))
        ds = basins(landscape, descent(0.001), grid, steps=5000, stop=stop)
        assert "regular" not in ds.attractor_kind.values
        ends = fd.simulate(landscape, descent(0.001), starts=grid, steps=5000, stop=stop)
        at = ds.attractor.values
        gap = ds.attractor_position.values[at[at >= 0]] - ends.position.values[at >= 0]
        assert (np.linalg.norm(gap, axis=1) <= ds.attrs["radius"]).all()
    # Stopped near a minimum it does belong to it: curvature 2 * 37 at (3, 2).
    near = basins(HIMMELBLAU, descent(0.001), [[3.0, 2.1]], steps=5000, stop=fd.Stop(loss=1e-4))
    assert near.attractor.values.tolist() == [0]


def test_minimum_at_a_kink_has_to_be_given():
    """Where the gradient of abs(x) jumps Newton's method has no step."""
    kink = fd.landscape("abs(x)")
    ds = basins(kink, descent(0.5), [[1.0]], steps=10)
    assert (ds.attractor.item(), ds.outcome.item()) == (-1, CONVERGED)
    named = basins(kink, descent(0.5), [[1.0]], steps=10, attractors=[[0.0]])
    assert named.attractor.item() == 0
    assert "kink" in basins.__doc__


def test_known_minimum_at_a_kink_is_reached():
    """Ackley's minimum is a kink: its name is known, and curvature is not asked."""
    ackley = fd.landscapes.Ackley(dim=2)
    stop = fd.Stop(loss=0.05)
    rule = fd.optimizers.GradientDescent(learning_rate=0.002)
    ds = basins(ackley, rule, [[0.1, 0.2]], steps=2000, stop=stop)
    assert ds.attractor.item() == 0
    assert ds.attractor_position.values[0].tolist() == [0.0, 0.0]


def test_kinds_without_a_hessian(monkeypatch):
    """Differences of the gradient stand in; the kinds are those of the table."""
    kinds = [point.kind for point in HIMMELBLAU.critical_points()]
    places = [point.position for point in HIMMELBLAU.critical_points()]
    monkeypatch.setattr(fd.landscapes.Himmelblau, "hessian_kernel", None)
    found = Attractors(HIMMELBLAU, fd.geometry.scales(HIMMELBLAU), np.array([*places, [1.0, 1.0]]))
    assert found.kinds == [*kinds, "regular"]


def test_result_is_kept_by_netcdf(tmp_path):
    ds = basins(WELL, descent([0.1, 0.2]), fd.starts.Grid(counts=9), steps=500)
    ds.to_netcdf(tmp_path / "map.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "map.nc", engine="h5netcdf") as back:
        assert back.attrs["landscape"] == repr(WELL)
        np.testing.assert_array_equal(basin_fractions(back).fraction, basin_fractions(ds).fraction)
        assert all({"long_name", "units"} <= set(ds[name].attrs) for name in ds.data_vars)


# ------------------------------------------------------------------------------ points of rest


def test_weight_decay_rests_where_it_balances_the_gradient():
    """V26: on h (x - a)^2 / 2 descent and Adam with L2 rest at ridge's h a / (h + lambda).

    AdamW rests where lambda x = g / (g + eps), g = h (a - x): the smaller root of
    h lambda x^2 - (h + h a lambda + eps lambda) x + h a = 0, near a if a < 1 / lambda, else near
    1 / lambda.  It is stable while eta h / eps is below 2.
    """
    h, a, eps = 2.0, 3.0, 0.1
    lam = np.array(size([0.2, 0.5, 1.0], [0.2, 1.0]))
    bowl = fd.landscape(f"{h / 2}*(x - {a})**2", domain=(-5.0, 5.0))
    assert fd.geometry.scales(bowl, count=64).length == 10.0
    ridge = h * a / (h + lam)
    middle = h + h * a * lam + eps * lam
    balance = (middle - np.sqrt(middle**2 - 4.0 * h * lam * h * a)) / (2.0 * h * lam)
    np.testing.assert_allclose(balance, np.minimum(a, 1.0 / lam), rtol=0.06)
    fast = {"beta2": 0.9, "epsilon": eps}
    for rule, transforms, expected in (
        (descent(0.05), [fd.transforms.CoupledL2(lam.tolist())], ridge),
        (fd.optimizers.Adam(0.05, weight_decay=lam.tolist(), **fast), [], ridge),
        (fd.optimizers.AdamW(0.05, weight_decay=lam.tolist(), **fast), [], balance),
    ):
        ds = basins(bowl, rule, [[-4.0], [4.5]], steps=size(2000, 800), transforms=transforms)
        assert (ds.outcome.values == RESTING).all()
        assert not ds.period.values.any()
        at = ds.attractor_position.values[ds.attractor.values, 0]
        # A millionth of the length, 10, and as much again for the drift that is left.
        np.testing.assert_allclose(at, np.stack([expected, expected], axis=1), atol=2e-5)
        assert ds.attractor_kind.values.tolist() == ["rest point"] * len(lam)


def test_a_cycle_within_the_radius_of_a_minimum_belongs_to_it():
    """Sign descent on x^2 ends in a 2-cycle r, r - eta, where r is its start modulo eta."""
    eta, radius = 0.01, 0.008
    rule = fd.optimizers.RMSProp(eta, rho=0.0, epsilon=1e-300)
    starts = np.linspace(0.2003, 0.2098, 20)[:, np.newaxis]
    ds = basins(fd.landscape("x**2", domain=(-1.0, 1.0)), rule, starts, steps=400, radius=radius)
    assert (ds.outcome.values == CYCLING).all()
    assert (ds.period.values == 2).all()
    r = starts[:, 0] % eta
    assert (ds.attractor.values == np.where(np.maximum(r, eta - r) <= radius, 0, -1)).all()
    assert set(ds.attractor.values.tolist()) == {0, -1}
    np.testing.assert_allclose(ds.attractor_position, [[0.0]], atol=1e-15)


def test_rules_that_hover_belong_to_the_minimum():
    """AdamW neither rests nor repeats; a twin looks at its last 192 positions."""
    rule = fd.optimizers.AdamW(size(0.01, 0.02))
    grid = {"starts": fd.starts.Grid(counts=size(12, 3)), "steps": size(5000, 700)}
    ds = basins(HIMMELBLAU, rule, **grid)
    assert np.isin(ds.outcome.values, (MOVING, HOVERING, RESTING)).all()
    rests, hovers = ds.outcome.values == RESTING, ds.outcome.values == HOVERING
    assert hovers.mean() > (0.9 if JIT else 0.1)
    last = range(grid["steps"] - 192, grid["steps"] + 1)
    path = fd.simulate(HIMMELBLAU, rule, record=fd.record.steps(list(last)), **grid).path.values
    middle = path.mean(axis=1)
    spread = np.linalg.norm(path - middle[:, np.newaxis], axis=-1).max(axis=1)
    gaps = np.linalg.norm(middle[:, np.newaxis] - ds.attractor_position.values, axis=-1)
    within = gaps.min(axis=1) + spread <= ds.attrs["radius"]
    assert ((hovers | rests) == within).all()
    assert (ds.attractor.values == np.where(within, gaps.argmin(axis=1), -1)).all()
    # The map tells them apart from those that have arrived at a time that is known.
    texts = [text.get_text() for text in figures.basin_times(ds).get_legend().get_texts()]
    assert any(text.startswith("there, time not known") for text in texts)


def test_minima_that_are_hovered_around_are_found():
    """The formula does not list them; whoever creeps along a valley's floor is at none."""
    own = fd.landscape("(x**2 + y - 11)**2 + (x + y**2 - 7)**2", domain=(-6.0, 6.0))
    rule, starts = fd.optimizers.AdamW(0.02), [[2.0, 2.0], [-3.0, 2.0]]
    ds = basins(own, rule, starts, steps=size(3000, 900))
    assert ds.outcome.values.tolist() == [HOVERING, HOVERING]
    at = ds.attractor_position.values[ds.attractor.values]
    np.testing.assert_allclose(at, [[3.0, 2.0], [-2.80511809, 3.13131252]], atol=1e-8)
    floor = fd.landscape("(x*y - 1)**2", domain=(-3.0, 3.0))
    ds = basins(floor, fd.optimizers.AdamW(0.02), [[2.0, 2.0]], steps=size(3000, 900))
    assert (ds.outcome.values.tolist(), ds.attractor.values.tolist()) == ([MOVING], [-1])


@pytest.mark.parametrize("count", size([2, 6], [2]))
def test_minima_closer_than_the_radius_have_their_own_orbits(count):
    """Minima at +-0.001 of x^4/4 - x^2/2e6: each trajectory rests or hovers around one of them.

    The default radius is 0.01; a strict test lets none converge.
    """
    wells, rule = fd.landscape("x**4/4 - 5e-7*x**2"), fd.optimizers.Adam(3e-3)
    given = {"starts": np.linspace(-0.1, 0.1, count)[:, np.newaxis], "steps": 3000}
    ds = basins(wells, rule, stop=fd.Stop(gradient_norm=1e-25), **given)
    assert set(ds.outcome.values.tolist()) <= {RESTING, HOVERING}
    last = fd.record.steps(list(range(2800, 3001)))
    path = fd.simulate(wells, rule, record=last, **given).path.values[..., 0]
    assert (np.abs(path).min(axis=1) > 9e-4).all()  # none goes from one to the other
    np.testing.assert_allclose(ds.attractor_position, [[-1e-3], [1e-3]], rtol=1e-9)
    assert (ds.attractor.values == (path[:, -1] > 0.0)).all()


def test_orbit_around_two_critical_points_belongs_to_neither():
    """Sign descent with steps of 0.01 from 0.006 to -0.004 and back: the minima are at +-0.001."""
    wells = fd.landscape("x**4/4 - 5e-7*x**2")
    rule = fd.optimizers.RMSProp(0.01, rho=0.0, epsilon=1e-300)
    stop = fd.Stop(gradient_norm=1e-25)
    found = basins(wells, rule, [[0.0062], [-0.0058]], steps=200, stop=stop)
    assert found.outcome.values.tolist() == [CYCLING, CYCLING]
    assert found.attractor.values.tolist() == [-1, -1]


def test_distances_to_an_attractor_and_to_the_others():
    """The attractor of an orbit need not be the nearest one."""
    known = Attractors(HIMMELBLAU, fd.geometry.scales(HIMMELBLAU))
    rng = np.random.default_rng(0)
    points, rows = rng.uniform(-6.0, 6.0, (20, 2)), rng.integers(0, len(known.positions), 20)
    gap = np.linalg.norm(points[:, np.newaxis] - known.positions, axis=2)
    own, other = known._distances(points, rows)
    np.testing.assert_allclose(own, gap[np.arange(20), rows], rtol=1e-14)
    gap[np.arange(20), rows] = np.inf
    np.testing.assert_allclose(other, gap.min(axis=1), rtol=1e-14)


def test_given_attractors_need_no_curvature_and_few_digits():
    """The minimum of abs(x) has no curvature; one of Himmelblau's, rounded, is no critical point.

    Descent on abs(x) ends in a 2-cycle of width eta around 0.
    """
    starts = np.linspace(-0.995, 1.0, 6)[:, np.newaxis]
    kink = basins(
        fd.landscape("abs(x)"), descent(0.01), starts, steps=300, attractors=[[0.0]], radius=0.02
    )
    assert set(kink.outcome.values.tolist()) == {CYCLING}
    assert (kink.attractor.values == 0).all()
    rounded = basins(
        HIMMELBLAU,
        fd.optimizers.AdamW(0.02),
        [[3.5, -1.5]],
        steps=size(3000, 900),
        attractors=[[3.58, -1.85], [3.0, 2.0]],
        radius=0.05,
    )
    assert (rounded.outcome.item(), rounded.attractor.item()) == (HOVERING, 0)
    # Whoever creeps past a given saddle is on its way.
    slow = basins(
        fd.landscapes.Saddle(), descent(1e-4), [[0.0, 1e-3]], steps=200, attractors=[[0.0, 0.0]]
    )
    assert (slow.outcome.item(), slow.attractor.item()) == (MOVING, -1)


def coupled(radius=None, given=None):
    return basins(
        HIMMELBLAU,
        descent(0.005),
        fd.starts.Grid(counts=size(20, 4)),
        steps=size(600, 300),
        transforms=[fd.transforms.CoupledL2(5.0)],
        radius=radius,
        attractors=given,
    )


def test_rest_points_are_attractors_of_their_own():
    """With L2 of 5 descent rests where the gradient is -5 theta: four points near the minima."""
    ds = coupled()
    assert (ds.outcome.values == RESTING).all()
    assert ds.attractor_kind.values.tolist() == ["minimum"] * 4 + ["rest point"] * 4
    assert np.unique(ds.attractor).tolist() == [4, 5, 6, 7]
    assert (np.diff(ds.attractor_value.values[4:]) > 0.0).all()
    rests = ds.attractor_position.values[4:]
    # A millionth of the length, 12, times the largest curvature there, about 140.
    np.testing.assert_allclose(HIMMELBLAU.gradient(rests), -5.0 * rests, atol=2e-3)
    assert (np.linalg.norm(HIMMELBLAU.gradient(rests), axis=1) > 10.0).all()
    # Where the radius holds them they belong to their minima, as starts near them do.
    wide = coupled(radius=0.5)
    nearest = np.linalg.norm(HIMMELBLAU.minima - rests[:, np.newaxis], axis=-1).argmin(axis=1)
    np.testing.assert_array_equal(wide.attractor, nearest[ds.attractor.values - 4])
    assert (wide.outcome.values == RESTING).all()
    # Where attractors are given others have no number, but rest.
    some = coupled(given=rests[1:3])
    expected = np.select([ds.attractor == 5, ds.attractor == 6], [0, 1], -1)
    np.testing.assert_array_equal(some.attractor, expected)
    assert (some.outcome.values == RESTING).all()


def test_rest_points_do_not_depend_on_blocks_or_refinement(monkeypatch):
    whole = coupled()
    monkeypatch.setattr(MODULE, "_BLOCK", size(50, 7))
    monkeypatch.setattr(attractors, "_PLACES", 1)
    parts = coupled()
    np.testing.assert_array_equal(parts.attractor, whole.attractor)
    # A block may come to rest from other starts: what is left to drift, twice.
    np.testing.assert_allclose(parts.attractor_position, whole.attractor_position, atol=5e-5)


def test_strict_test_leaves_trajectories_at_rest_at_their_minimum():
    """Rounding of x - 1 / 3 keeps the gradient above 1e-300: the test never holds."""
    bowl = fd.landscape("(x - 1/3)**2", domain=(-5.0, 5.0))
    ds = basins(bowl, descent(0.1), [[1.0], [-3.0]], steps=400, stop=fd.Stop(gradient_norm=1e-300))
    assert ds.outcome.values.tolist() == [RESTING] * 2
    assert ds.attractor_kind.values.tolist() == ["minimum"]
    assert ds.attractor_position.item() == pytest.approx(1.0 / 3.0, abs=1e-15)
    assert ds.steps.values.tolist() == [400, 400]


@pytest.mark.parametrize(
    ("landscape", "rule", "start"),
    [
        # The floor of the valley, where the gradient is near 1, and steps below a rounding unit.
        (fd.landscapes.Rosenbrock(dim=2), descent([1e-5, 1e-9, 1e-20]), [0.3, 0.09]),
        # x_t falls like t^(-1/2): its drift in 192 steps is 1e-6 of x only.
        (fd.landscape("x**4 / 4"), descent(1e-5), [1.0]),
        # Steps that add up to a thousandth of the way, and then are nothing.
        (HIMMELBLAU, descent(fd.schedules.Exponential(1e-5, gamma=0.9)), [1.0, 1.0]),
    ],
    ids=["valley", "power law", "schedule"],
)
def test_slow_is_not_at_rest(landscape, rule, start):
    ds = basins(landscape, rule, [start], steps=500)
    assert np.unique(ds.outcome).tolist() == [MOVING]
    assert np.unique(ds.attractor).tolist() == [-1]


def test_schedule_that_falls_slowly_enough_rests_where_it_has_to():
    """AdamW hovers at a constant rate; at one that falls it ends at 1 / lambda (V26)."""
    bowl = fd.landscape("(x - 3)**2", domain=(-5.0, 5.0))
    steps = size(2000, 1000)
    rate = fd.schedules.Exponential(200.0 / steps, gamma=math.exp(-16.0 / steps))
    rule = fd.optimizers.AdamW(rate, weight_decay=1.0, beta2=0.9)
    ds = basins(bowl, rule, [[-4.0], [4.5]], steps=steps)
    assert ds.outcome.values.tolist() == [RESTING] * 2
    # The rates add up to 200 / 16 = 12.5: of a distance of 5 the share e^-12.5 is left, and some
    # times that, as what comes before the last change of Adam's sign does not count.
    assert ds.attrs["radius"] == pytest.approx(0.01)
    np.testing.assert_allclose(
        ds.attractor_position[ds.attractor], 1.0, atol=50.0 * math.exp(-12.5)
    )


@given(st.floats(1e-9, 0.3), st.floats(-8.0, -4.0))
@settings(max_examples=50, deadline=None)
def test_rest_is_what_little_is_left_of(slowness, exponent):
    """x_t = c (1 - s)^t up to t = 192: c (1 - s)^192 is left, the move from t = 96 was seen."""
    c = 10.0**exponent
    path = c * np.exp(np.arange(193) * math.log1p(-slowness))
    left, seen = path[-1], path[96] - path[-1]
    found = attractors.at_rest(path[np.newaxis, :, np.newaxis], 1.0).item()
    # Differences of numbers up to c have 12 digits or more, their ratio to 1 has 2 at the worst.
    if not 0.98e-6 < max(left, seen) < 1.02e-6:
        assert found == (max(left, seen) <= 1e-6)


@pytest.mark.parametrize("time", [1e3, 1e5, 1e7])
def test_power_law_is_not_at_rest_however_late(time):
    """t^(-1/2): the estimate of what is left, which is all of it, is a third of it."""
    path = (time + np.arange(193.0)) ** -0.5
    assert path[0] - path[-1] < (1.0 if time < 1e5 else 1e-5)
    assert not attractors.at_rest(path[np.newaxis, :, np.newaxis], 1.0).item()
    assert attractors.at_rest(path[np.newaxis, :, np.newaxis], 1e6 * path[-1]).item()


# -------------------------------------------------------------------------------------- refinement


@pytest.mark.parametrize("beta", [0.0, 0.9])
def test_refined_map_is_the_full_one_where_it_was_run(beta):
    rule = fd.optimizers.Momentum(learning_rate=0.005, beta=beta)
    coarse, refine = size((33, 3), (4, 1))
    grid, fine = fd.starts.Grid(counts=coarse), (coarse - 1) * 2**refine + 1
    steps = size(1500, 300)
    ds = basins(HIMMELBLAU, rule, grid, steps=steps, refine=refine)
    full = basins(HIMMELBLAU, rule, fd.starts.Grid(counts=fine), steps=steps)
    assert ds.attrs["grid_counts"] == [fine, fine]
    np.testing.assert_array_equal(ds.initial, full.initial)
    run = ds.computed.values
    assert ds.attrs["trajectories_run"] == run.sum()
    for name in ("attractor", "outcome", "steps", "period"):
        np.testing.assert_array_equal(ds[name].values[run], full[name].values[run])
    wrong = np.mean(ds.attractor.values != full.attractor.values)
    # Smooth boundaries are never lost; of the fringes of momentum, those thinner than a coarse
    # cell (0.4) can be.
    assert wrong <= (0.0 if beta == 0.0 else size(0.01, 0.1))
    if JIT:
        assert run.mean() < (0.25 if beta == 0.0 else 0.8)


def test_refinement_runs_what_differs_and_its_surroundings():
    """In one dimension by hand: nodes 0 to 8, a boundary at 1.8257 in [0.05, 1.9]."""
    # eta = 3 / 7 puts the first flip of signs at sqrt(1 + 7 / 3) = 1.8257; 0 is a maximum.
    rule = descent(3.0 / 7.0)
    ds = basins(WELL, rule, fd.starts.Grid(0.05, 1.9, counts=5), steps=1000, refine=1)
    full = basins(WELL, rule, fd.starts.Grid(0.05, 1.9, counts=9), steps=1000)
    # Of the coarse nodes 0.05, 0.51, 0.975, 1.44 and 1.9 the last differs, so the last two are
    # near a change; of the new nodes those beside them are run.
    assert ds.computed.values.tolist() == [True, False] * 2 + [True] * 5
    np.testing.assert_array_equal(ds.attractor, full.attractor)
    assert ds.steps.values[1] == full.steps.values[0]


def test_refinement_sees_every_swept_value():
    """The starts that are run are those near a change under any learning rate."""
    # Only the first one has a boundary there, at sqrt(3).
    rule = descent([0.5, 0.1])
    ds = basins(WELL, rule, fd.starts.Grid(0.1, 2.1, counts=21), steps=1000, refine=2)
    full = basins(WELL, rule, fd.starts.Grid(0.1, 2.1, counts=81), steps=1000)
    np.testing.assert_array_equal(ds.attractor, full.attractor)
    assert ds.attrs["trajectories_run"] == 2 * ds.computed.sum()


# --------------------------------------------------------------------------- entropy and dimension


def test_entropy_of_a_straight_boundary():
    """Half of the boxes on the boundary column are cut 2 : 3, by hand."""
    labels = np.zeros((20, 25), dtype=int)
    labels[:, 12:] = 1
    found = basin_entropy(map_of(labels), box=5)
    cut = -(0.4 * math.log(0.4) + 0.6 * math.log(0.6))
    assert found.boundary_entropy.item() == pytest.approx(cut, rel=1e-14)
    assert found.entropy.item() == pytest.approx(cut / 5, rel=1e-14)
    assert (found.boxes, found.boundary_boxes) == (20, 4)
    assert found.boundary_entropy < found.attrs["fractal_above"]


@given(arrays(np.int64, (7, 9), elements=st.integers(-1, 3)), st.integers(2, 4))
@settings(max_examples=30, deadline=None)
def test_entropy_against_a_naive_twin(labels, box):
    entropies = []
    for i, j in product(range(7 // box), range(9 // box)):
        cells = labels[i * box : (i + 1) * box, j * box : (j + 1) * box]
        share = np.unique(cells, return_counts=True)[1] / box**2
        entropies.append(-(share * np.log(share)).sum())
    found = basin_entropy(map_of(labels, 4), box=box)
    mixed = [s for s in entropies if s > 0.0]
    assert found.entropy.item() == pytest.approx(np.mean(entropies), abs=1e-14)
    assert found.boundary_boxes == len(mixed)
    if mixed:
        assert found.boundary_entropy.item() == pytest.approx(np.mean(mixed), rel=1e-13)
    else:
        assert np.isnan(found.boundary_entropy)
    assert 0.0 <= found.entropy <= math.log(5) + 1e-14


def test_entropy_of_random_labels_is_their_number():
    """Four fates at random: every box holds all of them, S_bb is near ln 4, above ln 2.

    The entropy of a box of n starts is low by (k - 1) / 2n (Miller 1955), 0.06 here.
    """
    labels = np.random.default_rng(1).integers(0, 4, (200, 200))
    found = basin_entropy(map_of(labels), box=5)
    expected = math.log(4.0) - 3.0 / 50.0
    # The next term of Miller's series is (1 - sum 1 / p) / 12 n^2 = 0.002.
    error = found.boundary_entropy_standard_error.item()
    assert abs(found.boundary_entropy.item() - expected) < 0.003 + 4.5 * error
    assert found.boundary_entropy > found.attrs["fractal_above"]


def test_entropy_knows_how_trajectories_end():
    """Diverging and moving are two fates, though neither has an attractor."""
    ds = map_of(np.full((4, 4), -1))
    ds["outcome"] = ("start", np.tile(np.array([MOVING, DIVERGED], dtype=np.int8), 8))
    assert basin_entropy(ds, box=2).entropy.item() == pytest.approx(math.log(2.0), rel=1e-15)


def test_smooth_boundaries_have_dimension_one():
    y, x = np.mgrid[:256, :256]
    found = boundary_dimension(map_of((x - 120.3) ** 2 + (y - 130.1) ** 2 < 90.0**2))
    assert abs(found.dimension - 1.0) < max(2.0 * found.standard_error, 0.02)
    empty = boundary_dimension(map_of(np.zeros((64, 64), dtype=int)))
    assert np.isnan(empty.dimension)
    assert empty.boundary_cells == 0


def test_boundary_joins_the_edges_of_all_basins():
    labels = np.zeros((80, 80), dtype=int)
    labels[:, 20:], labels[30:, 20:] = 1, 2
    different = [
        len(set(labels[i : i + 2, j : j + 2].ravel())) > 1 for i in range(79) for j in range(79)
    ]
    assert boundary_dimension(map_of(labels)).boundary_cells == sum(different)


def test_momentum_roughens_the_boundary():
    """The picture of the docs, as numbers: fringes make entropy and dimension larger."""
    rule = fd.optimizers.Momentum(learning_rate=0.01, beta=[0.0, 0.9])
    grid = fd.starts.Grid(-5.0, 5.0, counts=size(128, 10))
    ds = basins(HIMMELBLAU, rule, grid, steps=size(1000, 400))
    smooth, rough = basin_entropy(ds).entropy.values
    assert rough > 2.0 * smooth
    if JIT:
        found = boundary_dimension(ds)
        assert np.diff(found.dimension.values) > found.standard_error.values.max()


# -------------------------------------------------------------------------- uncertainty of the end


def test_uncertain_share_of_the_double_well_is_exact():
    """One boundary at 0 in [-2, 2]: a start is uncertain if and only if abs(x) <= epsilon.

    With eta < 1 / 3 there is no layer within abs(x) <= 2.  f = epsilon / 2, alpha = 1, D = 0.
    """
    sizes, count = [0.03, 0.1, 0.3, 0.6], size(20_000, 60)
    found = uncertainty_exponent(
        WELL,
        descent(0.1),
        fd.starts.Uniform(count=count),
        epsilons=sizes,
        steps=2000,
        seed=2,
        stop=fd.Stop(gradient_norm=1e-6),  # a start this near to 0 counts as resting there
    )
    x = fd.starts.Uniform(count=count).points(WELL, 2)
    np.testing.assert_array_equal(found.fraction, [(np.abs(x) <= e).mean() for e in sizes])
    expected = np.array(sizes) / 2.0
    z = (found.fraction - expected) / np.sqrt(expected * (1.0 - expected) / count)
    assert np.abs(z).max() < 4.5
    assert abs(found.exponent - 1.0) < 4.5 * found.standard_error
    assert found.dimension == 1.0 - found.exponent


def test_exponent_and_its_error_are_calibrated():
    """Starts with a common uniform number are uncertain below eps^0.3: the law is known.

    With two epsilon the misfit has no degree of freedom and the error is that of the delta method
    alone, so over 1000 sets z has variance 1.  ln f is off by 1 / (2 k) for k uncertain starts,
    0.02 of a deviation.
    """
    sizes, scores = np.array([1e-3, 1e-1]), []
    generator = np.random.default_rng(3)
    for _ in range(1000):
        uncertain = generator.random((1000, 1)) < 0.8 * sizes**0.3
        slope, error = _slope(sizes, uncertain)
        scores.append((slope - 0.3) / error)
    assert abs(np.mean(scores)) < 4.5 / math.sqrt(1000) + 0.02
    assert abs(np.var(scores) - 1.0) < 4.5 * math.sqrt(2.0 / 1000)


def test_points_off_the_line_enlarge_the_error():
    """f = 0.1, 0.4, 0.1 at equal distances: no power law, and slope 0 by symmetry."""
    sizes = np.array([0.01, 0.1, 1.0])
    uncertain = np.zeros((1000, 3), dtype=bool)
    uncertain[:100, 0] = uncertain[300:700, 1] = uncertain[900:, 2] = True
    slope, error = _slope(sizes, uncertain)
    assert abs(slope) < 1e-12
    # The middle point has no lever: the error without misfit is that of its two neighbours.
    weight, off = 1000 * np.array([1 / 9, 2 / 3, 1 / 9]), np.log([0.1, 0.4, 0.1])
    chi2 = (weight * (off - np.average(off, weights=weight)) ** 2).sum()
    # ln f of disjoint shares: variance (1 / f - 1) / n each, covariance -1 / n; sample: n - 1.
    alone = math.sqrt((9.0 + 9.0 + 2.0) / 999.0) / math.log(100.0)
    assert error == pytest.approx(alone * math.sqrt(chi2), rel=1e-9)


def test_directions_depend_on_the_seed():
    points = fd.starts.Uniform(count=size(200, 30)).points(HIMMELBLAU, 0)
    stop = fd.Stop(gradient_norm=1.0)
    found = [
        uncertainty_exponent(
            HIMMELBLAU, descent(0.01), points, epsilons=[0.3, 1.0], steps=300, seed=seed, stop=stop
        ).fraction.values
        for seed in (0, 0, 1)
    ]
    assert found[0].tolist() == found[1].tolist() != found[2].tolist()


def test_exponent_needs_uncertain_starts():
    found = uncertainty_exponent(
        WELL, descent(0.1), [[1.0], [-1.0]], epsilons=[0.01, 0.02], steps=500
    )
    assert np.isnan(found.exponent)
    assert found.fraction.values.tolist() == [0.0, 0.0]


# ------------------------------------------------------------------------------------------- noise


def test_noise_gives_probabilities():
    """From the barrier both wells are as likely, by symmetry; from the wells escape is rare."""
    count = size(2000, 20)
    ds = basins(
        WELL,
        descent(0.1),
        [[0.0], [1.0], [-1.0]],
        steps=size(100, 40),
        seeds=count,
        noise=fd.noise.Gaussian(scale=0.2),
    )
    assert ds.attractor.dims == ("start", "seed")
    assert ds.sizes["basin"] == 2  # the maximum is no attractor in noise
    found = outcome_probabilities(ds)
    share = found.probability.sel(basin=1).values
    settled = ds.attractor.values[0] >= 0
    half = np.mean(ds.attractor.values[0][settled] == 1)
    assert abs(half - 0.5) < 4.5 * 0.5 / math.sqrt(settled.sum())
    # In its well x scatters by eta 0.2 / sqrt(1 - (1 - 2 eta)^2) = 0.033; the radius is 0.4.
    assert share[1] == 1.0
    assert share[2] == 0.0
    lower, upper = fd.statistics.wilson_interval((ds.attractor.values[0] == 1).sum(), count)
    assert (found.lower.values[0, 1], found.upper.values[0, 1]) == (lower, upper)
    fractions = basin_fractions(ds)
    assert fractions.fraction.values.sum() + np.mean(ds.attractor == -1) == pytest.approx(1.0)
    # Three starts, however many seeds: the interval is that of three trials at most.
    assert fractions.upper.values[0] - fractions.lower.values[0] > 0.5


# ----------------------------------------------------------------------------------------- figures


def test_basin_map_shows_the_labels():
    """Each cell has its attractor's colour, at its place: y upwards, x to the right."""
    grid = fd.starts.Grid([-6.0, -4.0], 6.0, counts=[12, 7])
    ds = basins(HIMMELBLAU, fd.optimizers.Momentum(learning_rate=0.01, beta=0.9), grid, steps=1000)
    ax = figures.basins(ds)
    (image,) = ax.get_images()
    cells = np.asarray(image.get_array())
    labels = ds.attractor.values.reshape(12, 7)
    assert cells.shape[:2] == (7, 12)
    colours = {}
    for i, j in product(range(12), range(7)):
        colours.setdefault(labels[i, j], set()).add(tuple(cells[j, i]))
    assert all(len(some) == 1 for some in colours.values())
    assert len(set.union(*colours.values())) == len(colours)
    half = 0.5 * 12.0 / 11
    np.testing.assert_allclose(image.get_extent()[:2], [-6.0 - half, 6.0 + half])
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts[0].startswith("(3, 2)")
    assert any(text.startswith("diverged") for text in texts)


def test_time_map_is_logarithmic_and_greys_what_does_not_arrive():
    grid = fd.starts.Grid(counts=9)
    ds = basins(HIMMELBLAU, fd.optimizers.Momentum(learning_rate=0.01, beta=0.9), grid, steps=1000)
    ax = figures.basin_times(ds)
    cells = np.asarray(ax.get_images()[0].get_array()).transpose(1, 0, 2).reshape(81, 3)
    lost = ds.attractor.values < 0
    np.testing.assert_allclose(cells[lost], 0.15)
    steps = ds.steps.values[~lost]
    place = np.log(steps / steps.min()) / np.log(steps.max() / steps.min())
    np.testing.assert_allclose(cells[~lost], plt.colormaps["viridis"](place)[:, :3], atol=0.01)


def test_many_attractors_are_coloured_by_loss_and_sweeps_are_an_axis():
    rastrigin = fd.landscapes.Rastrigin(dim=1)
    ds = basins(
        rastrigin, descent([0.001, 0.002, 0.01]), fd.starts.Grid(counts=12), steps=size(150, 60)
    )
    ax = figures.basins(ds)
    assert ax.get_ylabel() == "learning rate"
    assert [text.get_text() for text in ax.get_yticklabels()] == ["0.001", "0.002", "0.01"]
    assert ax.figure.axes[1].get_ylabel() == "loss at the attractor"
    with pytest.raises(InvalidValueError, match="two dimensions"):
        figures.basins(ds.isel(learning_rate=0))


def test_sweep_has_round_ticks_and_colours_for_what_is_common():
    """Few trajectories are thrown out of the window; they do not take the colours of the rest."""
    rates = np.geomspace(1e-4, 1e-2, 21)
    ds = basins(fd.landscapes.Rastrigin(dim=1), descent(rates), fd.starts.Grid(counts=11), steps=1)
    labels = np.tile(np.arange(11), (21, 1))
    ds["attractor"] = (("learning_rate", "start"), labels)
    values = np.arange(ds.sizes["basin"], dtype=float)
    values[-1] = 1e4
    ds["attractor_value"] = (("basin",), values)
    labels[labels == ds.sizes["basin"] - 1] = 0
    labels[0, 0] = ds.sizes["basin"] - 1
    ax = figures.basins(ds)
    said = dict(zip(ax.get_yticks(), (t.get_text() for t in ax.get_yticklabels()), strict=True))
    places = {tick: float(text) for tick, text in said.items()}
    assert list(places.values()) == [1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2]
    np.testing.assert_allclose(
        np.interp(list(places), range(21), np.log(rates)), np.log(list(places.values())), atol=1e-9
    )
    bar = ax.figure.axes[1]
    assert bar.get_ylim()[1] == 9.0


def test_rest_points_have_their_own_mark_and_no_time():
    """Eight attractors, of which four are reached and have colours; nobody saw them arrive."""
    ds = coupled()
    ax = figures.basins(ds)
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts[-1] == "rest point of the rule"
    assert sum(text.startswith("(") for text in texts) == 4
    marks = {line.get_marker(): np.stack(line.get_data(), axis=1) for line in ax.get_lines()}
    np.testing.assert_array_equal(marks["s"], ds.attractor_position.values[4:])
    times = figures.basin_times(ds)
    cells = np.asarray(times.get_images()[0].get_array())
    np.testing.assert_allclose(cells, np.broadcast_to(cells[0, 0], cells.shape))
    assert "time not known  100 %" in times.get_legend().get_texts()[0].get_text()


def test_map_of_one_value_in_one_dimension():
    ds = basins(WELL, descent([0.1]), fd.starts.Grid(counts=4), steps=30)
    ax = figures.basins(ds)
    assert ax.get_ylabel() == "learning rate"
    assert np.asarray(ax.get_images()[0].get_array()).shape == (1, 4, 3)


def test_titles_name_the_values_that_were_selected():
    rule = fd.optimizers.Momentum(learning_rate=[0.002, 0.01], beta=[0.5])
    ds = basins(HIMMELBLAU, rule, fd.starts.Grid(counts=2), steps=30)
    for axes, what in (
        (figures.basins(ds.isel(learning_rate=1, beta=0)), "basins of attraction"),
        (figures.basin_times(ds.sel(learning_rate=0.01)), "updates until an attractor is reached"),
    ):
        title = axes.get_title().replace("\n", ": ")  # too long for a line
        assert title == f"Momentum on Himmelblau, learning rate = 0.01, beta = 0.5: {what}"
    one = basins(WELL, descent([0.1, 0.2]), fd.starts.Grid(counts=3), steps=30)
    # Neither a seed, a remark nor an axis is a value that was selected.
    noisy = one.expand_dims(seed=[7]).isel(seed=0).assign_coords(remark="tried twice")
    assert figures.basins(noisy).get_title() == (
        "GradientDescent on SymmetricDoubleWell: basins of attraction"
    )


# --------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"landscape": "bowl"}, "landscape"),
        ({"starts": [[np.nan, 0.0]]}, "finite"),
        ({"starts": [[1.0]]}, "shape"),
        ({"starts": [[50.0, 0.0]], "stop": fd.Stop(gradient_norm=1e-6, radius=10.0)}, "radius 10"),
        ({"stop": fd.Stop(radius=10.0)}, "a test by which trajectories converge"),
        ({"stop": 1e-6}, "a Stop"),
        ({"attractors": []}, "positions of shape"),
        ({"attractors": [[1.0]]}, "positions of shape"),
        ({"attractors": [[np.inf, 0.0]]}, "finite positions"),
        ({"attractors": [[1.0, 1.0], [1.0, 1.0]]}, "positions that differ"),
        ({"radius": 0.0}, "half the least distance"),
        ({"radius": 10.0}, "half the least distance"),
        ({"refine": 1}, "Grid"),
        ({"refine": -1}, "refine"),
        ({"seeds": 2}, "1 without noise"),
        ({"seed": -1}, "seed"),
        ({"longest_period": 0}, "longest_period"),
        ({"steps": 0}, "steps"),
        ({"landscape": fd.landscapes.Rosenbrock(dim=2, b=[1.0, 2.0])}, "one number"),
        (
            {
                "landscape": fd.landscape("x**2 + y**2"),
                "noise": fd.noise.Gaussian(scale=0.1),
            },
            "no known minimum",
        ),
        (
            {
                "starts": fd.starts.Grid(counts=3),
                "refine": 1,
                "noise": fd.noise.Gaussian(scale=0.1),
            },
            "0 with noise",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_contradicts_itself_is_refused(options, word):
    given = {"landscape": HIMMELBLAU, "starts": [[1.0, 1.0]], "steps": 10} | options
    with pytest.raises(InvalidValueError, match=word):
        basins(given.pop("landscape"), descent(0.01), given.pop("starts"), **given)


@pytest.mark.parametrize("function", [basins, fidelity, uncertainty_exponent])
def test_what_is_no_landscape_is_refused(function):
    options = {"epsilons": [0.1, 0.2]} if function is uncertainty_exponent else {}
    with pytest.raises(InvalidValueError, match=r"landscape: got 'x\*\*2'.*fd\.landscape\("):
        function("x**2", descent(0.1), [[0.5]], steps=10, **options)


def test_more_memory_than_there_is_is_refused():
    with pytest.raises(MemoryLimitError, match="refine it less often"):
        basins(HIMMELBLAU, descent(0.01), fd.starts.Grid(counts=9), steps=3, refine=16)


def test_schedule_that_fails_on_the_way_makes_no_map():
    """The check before the run looks at 10 001 of the steps: at every third one."""
    rate = fd.schedules.Function(base=0.01, function=lambda t: -1.0 if t == 7 else 1.0)
    with pytest.raises(InvalidValueError, match="schedules that hold"):
        basins(WELL, descent(rate), [[0.5]], steps=30_001)


def test_more_attractors_than_can_be_kept_are_refused(monkeypatch):
    monkeypatch.setattr(attractors, "_MOST_ATTRACTORS", 4)
    waves = fd.landscape(lambda x: fd.math.cos(5.0 * x[0]), dim=1)
    with pytest.raises(InvalidValueError, match="those of interest"):
        basins(waves, descent(0.01), fd.starts.Grid(counts=30), steps=500)


@pytest.mark.parametrize(
    ("function", "options", "word"),
    [
        (basin_fractions, {"confidence": 1.0}, "confidence"),
        (outcome_probabilities, {}, "several seeds"),
        (basin_entropy, {"box": 1}, "box"),
        (basin_entropy, {"box": 9}, "box"),
        (boundary_dimension, {}, "three sizes"),
    ],
)
def test_what_cannot_be_estimated_is_refused(function, options, word):
    with pytest.raises(InvalidValueError, match=word):
        function(map_of(np.arange(64).reshape(8, 8) % 2), **options)


@pytest.mark.parametrize(
    "function", [basin_fractions, basin_entropy, boundary_dimension, outcome_probabilities]
)
def test_other_datasets_are_refused(function):
    with pytest.raises(InvalidValueError, match=r"geometry\.basins"):
        function(xr.Dataset())


def test_maps_need_all_of_a_grid_and_one_seed():
    ds = basins(WELL, descent(0.1), [[0.5], [0.6]], steps=100)
    with pytest.raises(InvalidValueError, match="a Grid"):
        basin_entropy(ds)
    grid = basins(WELL, descent(0.1), fd.starts.Grid(counts=8), steps=100)
    with pytest.raises(InvalidValueError, match="a Grid"):
        basin_entropy(grid.isel(start=slice(4)))
    with pytest.raises(InvalidValueError, match="two dimensions"):
        boundary_dimension(grid)
    with pytest.raises(InvalidValueError, match="one seed"):
        basin_entropy(grid.expand_dims(seed=2))


@pytest.mark.parametrize("epsilons", [[0.1], [0.2, 0.1], [0.0, 0.1], ["a", "b"], [0.1, np.inf]])
def test_displacements_are_checked(epsilons):
    with pytest.raises(InvalidValueError, match="epsilons"):
        uncertainty_exponent(WELL, descent(0.1), [[0.5]], epsilons=epsilons, steps=10)
