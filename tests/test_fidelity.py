"""Fidelity to the gradient flow: closed forms, naive twins, and what the figures show of it."""

from __future__ import annotations

import functools
import importlib
import math
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import fastdescent as fd
from fastdescent import plot, reports
from fastdescent.cli import main
from fastdescent.contracts import JIT
from fastdescent.errors import InvalidValueError, UnknownNameError
from fastdescent.geometry.basins import OUTCOME
from fastdescent.geometry.fidelity import fidelity

# By name: the package gives these names to the functions.
BASINS = importlib.import_module("fastdescent.geometry.basins")
FIDELITY = importlib.import_module("fastdescent.geometry.fidelity")
WELL = fd.landscapes.SymmetricDoubleWell()
HIMMELBLAU = fd.landscapes.Himmelblau()


@pytest.fixture(autouse=True)
def _scales_of_fewer_points(monkeypatch):
    """In plain Python the 4096 losses of each call would take longer than all else."""
    if not JIT:
        monkeypatch.setattr(BASINS, "scales", functools.partial(fd.geometry.scales, count=64))


@pytest.fixture
def larger_steps(monkeypatch):
    """In plain Python the flow is followed ten times faster: by steps that are small enough."""
    if not JIT:
        monkeypatch.setattr(FIDELITY, "_SMALL_STEP", 0.1)


def descent(learning_rate):
    return fd.optimizers.GradientDescent(learning_rate=learning_rate)


def size(compiled, plain):
    """Plain Python is a hundred times slower, so its tests are smaller."""
    return compiled if JIT else plain


def test_fidelity_of_the_double_well_is_exact():
    """The flow keeps the sign; descent flips it between sqrt(1 + 1 / eta) and its preimage.

    On [-2, 2] with eta = 0.5: disagreement for abs(x) > sqrt(3), and none diverges, as
    sqrt(1 + 2 / eta) = 2.236.
    """
    # At 2 the image is -1, so the next change, the preimage of sqrt(3), is farther out.
    assert 2.0 * (1.5 - 0.5 * 2.0**2) == -1.0
    count = size(401, 7)
    grid = fd.starts.Grid(counts=count)
    stop = fd.Stop(gradient_norm=1e-3, radius=100.0)
    ds = fidelity(WELL, descent([0.1, 0.5]), grid, steps=1000, bins=4, stop=stop)
    x = ds.initial.values[:, 0]
    np.testing.assert_array_equal(ds.agrees[0], np.ones(count, dtype=bool))
    np.testing.assert_array_equal(ds.agrees[1], np.abs(x) < math.sqrt(3.0))
    assert ds.agreement.values[1] == np.mean(np.abs(x) < math.sqrt(3.0))
    assert ds.attrs["flow_difference"] == 0.0
    assert ds.attrs["flow_learning_rate"] == pytest.approx(0.005 / 11.0)  # f'' = 11 at +-2
    # Far from the boundary at 0 is where descent jumps over it.
    assert ds.agreement_at_distance.values[1, -1] < ds.agreement_at_distance.values[1, 0] == 1.0
    # The distance is that to the first start on the other side; the middle one is at rest.
    step = 4.0 / (count - 1)
    away = np.where(x == 0.0, step, np.abs(x))
    np.testing.assert_allclose(ds.distance, away, atol=1e-12)  # differences of numbers up to 2
    np.testing.assert_allclose(ds.distance_in_cells, away / step, rtol=1e-9)
    assert ds.starts_at_distance.sum() == count


# Coarse tests keep the small steps few: near a minimum the position is good to 0.04 of it.
SLOPE = size(0.1, 1.0)
COARSE = {"steps": 2000, "stop": fd.Stop(gradient_norm=SLOPE, radius=1e4), "radius": 0.1 * SLOPE}
INNER = fd.starts.Uniform(-4.0, 4.0, count=size(200, 6))


@pytest.fixture(scope="module")
def by_small_steps():
    return fidelity(HIMMELBLAU, descent(0.01), INNER, **COARSE)


@pytest.mark.parametrize(
    ("method", "count"), [("LSODA", 9), ("BDF", size(5, 2)), ("Radau", size(5, 2))]
)
def test_both_flows_agree(by_small_steps, method, count):
    points = by_small_steps.initial.values[:count]
    small = by_small_steps.isel(start=slice(count))
    exact = fidelity(HIMMELBLAU, descent(0.01), points, flow="ode", method=method, **COARSE)
    assert exact.compared.all()
    np.testing.assert_array_equal(small.flow_attractor, exact.flow_attractor)
    np.testing.assert_array_equal(small.agrees, exact.agrees)
    assert exact.attrs["flow_failures"] == 0


def test_flow_that_is_unbounded_is_not_compared():
    """On x^3 - 3 x the flow runs away from starts below -1, in finite time."""
    cubic = fd.landscape("x**3 - 3*x")
    ds = fidelity(cubic, descent(0.01), [[-1.2], [-0.9], [2.0]], steps=3000, flow="ode")
    assert ds.compared.values.tolist() == [False, True, True]
    assert np.isinf(ds.distance.values[1:]).all()
    assert ds.agreement == 1.0


def sharp_and_wide(roundness):
    """A well of curvature 4 / sqrt(roundness) at 1, where it is narrow, and a wide one at -1."""

    def loss(x):
        m = fd.math
        wide = 0.25 * (1.0 - m.tanh(5.0 * x[0])) ** 2
        return m.sqrt((x[0] ** 2 - 1.0) ** 2 + roundness + wide)

    return fd.landscape(loss, dim=1, domain=(-2.0, 2.0))


def test_small_steps_are_small_in_a_well_without_starts():
    """The starts see a hundredth of the well's curvature; the flow must rest in it all the same."""
    roundness = size(1e-4, 0.04)
    wells = sharp_and_wide(roundness)
    points = [[x] for x in (-1.8, -0.6, 0.3, 0.6, 1.4, 1.9)][:: size(1, 3)]
    rule, stop = fd.optimizers.Momentum(0.01, 0.9), fd.Stop(gradient_norm=size(0.01, 0.1))
    options = {"steps": size(5000, 200), "stop": stop, "radius": 0.1}
    small = fidelity(wells, rule, points, flow_steps=size(300_000, 10_000), **options)
    exact = fidelity(wells, rule, points, flow="ode", **options)
    # At the bottom f'' = 4 / sqrt(roundness), which the steps along the flow come close to.
    expected = 0.005 * math.sqrt(roundness) / 4.0
    assert small.attrs["flow_learning_rate"] == pytest.approx(expected, rel=0.2)
    assert small.compared.all()
    assert small.attrs["flow_undecided"] == small.attrs["not_compared"] == 0.0
    assert small.attrs["flow_difference"] == 0.0
    assert small.agreement == exact.agreement
    np.testing.assert_array_equal(
        small.attractor_position.values[small.flow_attractor.values] > 0.0,
        exact.attractor_position.values[exact.flow_attractor.values] > 0.0,
    )


def test_flow_that_leaves_most_starts_open_is_refused():
    """Steps that fit a well of curvature 4000 are too many for this budget."""
    with pytest.raises(InvalidValueError, match="more flow_steps"):
        fidelity(
            sharp_and_wide(1e-6),
            fd.optimizers.Momentum(0.01, 0.9),
            fd.starts.Uniform(-2.0, 2.0, count=size(200, 6)),
            steps=size(5000, 200),
            flow_steps=size(50_000, 500),
        )


def test_interval_holds_what_the_undecided_could_be():
    """The flow from 0.002 needs ln 500 = 6.2 to leave the barrier: more than the others' budget."""
    points, stop = [[0.002], [1.1], [-1.1], [0.5]], fd.Stop(gradient_norm=1e-3)
    ds = fidelity(WELL, descent(0.1), points, steps=1000, flow_steps=3000, stop=stop, bins=1)
    assert ds.compared.values.tolist() == [False, True, True, True]
    assert ds.attrs["flow_undecided"] == ds.attrs["not_compared"] == 0.25
    assert ds.agreement == 1.0
    assert ds.lower == fd.statistics.wilson_interval(3, 4)[0]
    assert ds.upper == fd.statistics.wilson_interval(4, 4)[1]


def test_agreement_by_distance_against_a_naive_twin():
    rule = fd.optimizers.Momentum(learning_rate=0.01, beta=0.9)
    ds = fidelity(HIMMELBLAU, rule, INNER, bins=4, **COARSE)
    points, kept = ds.initial.values, ds.compared.values
    for i in np.flatnonzero(kept):
        others = points[kept & (ds.flow_attractor.values != ds.flow_attractor.values[i])]
        expected = np.linalg.norm(others - points[i], axis=1).min(initial=np.inf)
        assert ds.distance.values[i] == pytest.approx(expected, rel=1e-14)
    for k in range(ds.sizes["distance_class"]):
        low, high = ds.distance_lower.values[k], ds.distance_upper.values[k]
        some = kept & (ds.distance.values >= low) & (ds.distance.values <= high)
        assert some.sum() == ds.starts_at_distance.values[k]
        assert ds.agreement_at_distance.values[k] == ds.agrees.values[some].mean()
    assert ds.starts_at_distance.sum() == kept.sum()


# --------------------------------------------------------------------------- budget of the flow


def test_rounds_of_small_steps_are_one_descent(monkeypatch):
    """Descent has no memory: bit for bit, however often it is begun again."""
    points = INNER.points(HIMMELBLAU, 1)[: size(50, 2)]
    monkeypatch.setattr(FIDELITY, "_FIRST_ROUND", 10**6)
    whole = fidelity(HIMMELBLAU, descent(0.01), points, flow_steps=10**6, **COARSE)
    monkeypatch.setattr(FIDELITY, "_FIRST_ROUND", 7)
    rounds = fidelity(HIMMELBLAU, descent(0.01), points, undecided=0.0, **COARSE)
    xr.testing.assert_equal(whole, rounds)
    assert rounds.attrs["flow_steps"] == whole.attrs["flow_steps"]


@pytest.mark.usefixtures("larger_steps")
def test_small_steps_end_when_few_are_left(monkeypatch):
    """From 0.002 the flow takes ln 500 = 6.2 to leave the barrier, from the others far less."""
    points, stop = [[0.002], [1.1], [-1.1], [0.5]], fd.Stop(gradient_norm=1e-3)
    monkeypatch.setattr(FIDELITY, "_FIRST_ROUND", size(500, 50))
    options = {"steps": 1000, "stop": stop}
    every = fidelity(WELL, descent(0.1), points, **options)
    few = fidelity(WELL, descent(0.1), points, undecided=0.25, **options)
    assert every.attrs["flow_undecided"] == 0.0
    assert few.attrs["flow_undecided"] == 0.25
    assert size(500, 50) <= few.attrs["flow_steps"] < every.attrs["flow_steps"]
    assert few.flow_outcome.values.tolist() == [OUTCOME["moving"]] + [OUTCOME["converged"]] * 3
    # The budget of all starts together is spent, but no more.
    monkeypatch.setattr(FIDELITY, "_MOST_IN_ALL", int(few.attrs["flow_steps"]) * 2)
    least = fidelity(WELL, descent(0.1), points, **options)
    assert least.attrs["flow_undecided"] >= 0.25
    assert least.attrs["flow_steps"] < every.attrs["flow_steps"]


@pytest.mark.usefixtures("larger_steps")
def test_undecided_starts_widen_the_classes_that_they_may_belong_to():
    """Against a naive twin, and against what they turn out to be when all flows arrive."""
    count = size(300, 10)
    points = fd.starts.Uniform(-4.0, 4.0, count=count).points(HIMMELBLAU, 5)
    rule = fd.optimizers.Momentum(learning_rate=0.01, beta=0.9)
    options = COARSE | {"steps": size(2000, 200), "bins": size(4, 2)}
    known = fidelity(HIMMELBLAU, rule, points, **options)
    assert known.attrs["flow_undecided"] == 0.0
    # The last ones to arrive take much longer than most.
    budget = known.attrs["flow_steps"] * size(50, 85) // 100
    ds = fidelity(HIMMELBLAU, rule, points, flow_steps=budget, **options)
    compared, flow = ds.compared.values, ds.flow_attractor.values
    open_ = np.flatnonzero(~compared)
    assert 0.02 * count < len(open_) < 0.4 * count
    low, high = ds.distance_lower.values, ds.distance_upper.values
    for k in range(ds.sizes["distance_class"]):
        # Classes part at the lower ends of the next ones.
        begin = -np.inf if k == 0 else low[k]
        end = np.inf if k == ds.sizes["distance_class"] - 1 else low[k + 1]
        possible = truly = agreeing = 0
        for i in open_:
            away = np.linalg.norm(points[compared] - points[i], axis=1)
            distances = {b: away[flow[compared] != b].min() for b in range(4)}
            possible += any(begin <= d < end for d in distances.values())
            # Its own basin, known by now.
            if begin <= distances[known.flow_attractor.values[i]] < end:
                truly, agreeing = truly + 1, agreeing + known.agrees.values[i]
        assert ds.undecided_at_distance.values[k] == possible >= truly
        trials, agree = ds.starts_at_distance.values[k], ds.agreement_at_distance.values[k]
        agree = round(agree * trials)
        lower, _ = fd.statistics.wilson_interval(agree, trials + possible)
        _, upper = fd.statistics.wilson_interval(agree + possible, trials + possible)
        assert (ds.lower_at_distance.values[k], ds.upper_at_distance.values[k]) == (lower, upper)
        # Whatever they turn out to be, Wilson's own interval lies within.
        inner = fd.statistics.wilson_interval(agree + agreeing, trials + truly)
        assert lower <= inner[0] <= inner[1] <= upper
        assert high[k] >= low[k]


# ----------------------------------------------------------------------------------------- figures


@pytest.fixture(scope="module")
def swept():
    with pytest.MonkeyPatch.context() as patch:
        if not JIT:
            patch.setattr(FIDELITY, "_SMALL_STEP", 0.1)
        return _swept()


def _swept():
    rule = fd.optimizers.Momentum(learning_rate=[0.002, 0.02], beta=[0.0, 0.5, 0.9])
    grid = fd.starts.Grid(-4.5, 4.5, counts=size([9, 7], [3, 3]))
    return fidelity(HIMMELBLAU, rule, grid, **(COARSE | {"steps": size(2000, 150)}))


def test_rates_are_drawn_with_their_intervals(swept):
    ax = plot.fidelity(swept)
    assert (ax.get_xlabel(), ax.get_xscale()) == ("learning rate", "log")
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["0.002", "0.02"]
    for k, (line, band) in enumerate(zip(ax.get_lines(), ax.collections, strict=True)):
        np.testing.assert_array_equal(line.get_xdata(), [0.002, 0.02])
        np.testing.assert_array_equal(line.get_ydata(), swept.agreement.values[:, k])
        corners = band.get_paths()[0].vertices[:, 1]
        for name in ("lower", "upper"):
            assert np.isin(swept[name].values[:, k], corners).all()
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["beta = 0", "beta = 0.5", "beta = 0.9", "95 % intervals"]
    other = plot.fidelity(swept, x="beta")
    assert (other.get_xlabel(), other.get_xscale()) == ("beta", "linear")
    # Given axes come back, and the values may be in any order.
    given = plt.figure().add_subplot()
    turned = swept.isel(beta=[2, 0, 1])
    assert plot.fidelity(turned, given, x="beta", legend=False) is given
    np.testing.assert_array_equal(given.get_lines()[0].get_ydata(), swept.agreement.values[0])


def test_agreement_is_drawn_over_the_distance(swept):
    ax = plot.fidelity(swept, kind="distance")
    assert ax.get_xlabel() == "distance to another basin (cells)"
    line = ax.get_lines()[1]
    one = swept.isel(learning_rate=0, beta=1)
    # The shortest spacing: 9 over the nodes but one along the first coordinate.
    cell = 9.0 / (size(9, 3) - 1)
    middle = np.sqrt(one.distance_lower * one.distance_upper) / cell
    np.testing.assert_allclose(line.get_xdata(), middle, rtol=1e-12)
    np.testing.assert_array_equal(line.get_ydata(), one.agreement_at_distance)
    assert line.get_label() == "learning rate = 0.002, beta = 0.5"


@pytest.mark.parametrize(
    "place", [{"learning_rate": 0, "beta": 0}, {"learning_rate": 1, "beta": 2}]
)
def test_map_is_pale_where_rule_and_flow_agree(swept, place):
    one = swept.isel(place)
    ax = plot.fidelity(one, kind="map")
    (image,) = ax.get_images()
    shape = size((9, 7), (3, 3))
    cells = np.asarray(image.get_array())
    seen = {}
    for i, j in product(*map(range, shape)):
        at = i * shape[1] + j
        agrees, goes = bool(one.agrees[at]), int(one.attractor[at])
        fate = (agrees, goes if goes >= 0 else -1 - int(one.outcome[at]))
        seen.setdefault(fate, set()).add(tuple(cells[j, i].tolist()))
    assert all(len(colours) == 1 for colours in seen.values())
    assert len(set.union(*seen.values())) == len(seen)
    for (agrees, goes), (colour,) in seen.items():
        strong = np.array(
            plt.matplotlib.colors.to_rgb(("#0072B2", "#E69F00", "#009E73", "#CC79A7")[goes])
        )
        if agrees:
            np.testing.assert_allclose(colour, 0.72 + 0.28 * strong)
        elif goes >= 0:
            np.testing.assert_allclose(colour, strong)
    share = f"{100.0 * one.agreement.item():.1f} %" if one.agreement < 1.0 else "100 %"
    assert f"{share} agree (pale)" in ax.get_title()
    # Borders of the flow's basins: one piece for each two neighbours that differ.
    flow = one.flow_attractor.values.reshape(shape)
    pieces = sum(np.count_nonzero(np.diff(flow, axis=axis)) for axis in (0, 1))
    assert len(ax.collections[0].get_segments()) == pieces


@pytest.mark.usefixtures("larger_steps")
def test_map_of_one_dimension_has_the_sweep_as_its_axis():
    stop = fd.Stop(gradient_norm=1e-3, radius=100.0)
    ds = fidelity(WELL, descent([0.1, 0.5]), fd.starts.Grid(counts=8), steps=500, stop=stop)
    ax = plot.fidelity(ds, kind="map")
    assert ax.get_ylabel() == "learning rate"
    assert "87.5 % agree" in ax.get_title()
    assert np.asarray(ax.get_images()[0].get_array()).shape == (2, 8, 3)
    # 0.5: beyond sqrt(3) it changes sides, on [-2, 2] that is the outermost start on each.
    cells = np.asarray(ax.get_images()[0].get_array())
    np.testing.assert_array_equal(cells[1, 1:7], cells[0, 1:7])
    assert not np.isclose(cells[1, [0, 7]], cells[0, [0, 7]]).all(axis=-1).any()


def test_overview_has_maps_rates_and_distances(swept):
    figure = plot.fidelity_overview(swept)
    titles = [ax.get_title() for ax in figure.axes]
    assert len(figure.axes) == 5
    assert titles[0].startswith("a: learning rate = 0.002\nbeta = 0\n")
    assert titles[2].startswith("c: learning rate = 0.02\nbeta = 0.9\n")
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(labels) == len(set(labels))
    random = swept.drop_vars("distance_in_cells").assign_attrs(grid_counts=())
    assert len(plot.fidelity_overview(random).axes) == 2


@pytest.mark.parametrize(
    ("change", "options", "error", "word"),
    [
        (lambda ds: ds, {"kind": "rates"}, UnknownNameError, "distance"),
        (lambda ds: ds, {"x": "alpha"}, UnknownNameError, "beta"),
        (lambda ds: xr.Dataset(), {}, InvalidValueError, r"geometry\.fidelity"),
        (lambda ds: ds.isel(learning_rate=0, beta=0), {}, InvalidValueError, "one or two"),
        (lambda ds: ds, {"kind": "map"}, InvalidValueError, "two dimensions"),
        (
            lambda ds: ds.assign(distance_upper=ds.distance_upper * np.inf),
            {"kind": "distance"},
            InvalidValueError,
            "boundary",
        ),
        (
            lambda ds: ds.isel(learning_rate=[0, 1, 0, 1, 0]),
            {"kind": "distance"},
            InvalidValueError,
            "at most 14",
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(swept, change, options, error, word):
    with pytest.raises(error, match=word):
        plot.fidelity(change(swept), **options)


# -------------------------------------------------------------------------------- the command line


@pytest.fixture
def _maps_are_not_drawn(monkeypatch):
    """The tests of the command without --fidelity look at them."""
    monkeypatch.setattr(reports, "_basin_figures", lambda *arguments: iter(()))


@pytest.mark.usefixtures("_maps_are_not_drawn", "larger_steps")
def test_command_compares_with_the_flow(tmp_path, capsys):
    study = tmp_path / "study.toml"
    text = 'steps = 500\nlandscapes = ["SymmetricDoubleWell"]\n[[optimizers]]\n'
    rule = 'name = "GradientDescent"\nlearning_rate = [0.1, 0.5]\n'
    study.write_text(text + rule, encoding="utf-8")
    out = tmp_path / "out"
    command = ["basins", str(study), "--cells", size("8", "4"), "--fidelity", "--out", str(out)]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "agreement with the gradient flow" in said
    # At 0.5 the outermost starts, at +-2, change sides: two of eight, or of four.
    assert f"0.5 {size('75.00', '50.00')} %" in " ".join(said.split())
    stem = "SymmetricDoubleWell__GradientDescent__"
    for name in ("agreement.png", "fidelity.png", "fidelity.nc"):
        assert (out / f"{stem}{name}").stat().st_size > 5_000
    noisy = text.replace("steps = 500", 'steps = 500\nnoise = {name = "Gaussian", scale = 0.1}')
    study.write_text(noisy + rule, encoding="utf-8")
    assert main(command) == 2
    assert "without noise" in capsys.readouterr().err


@pytest.mark.usefixtures("_maps_are_not_drawn")
def test_command_goes_on_where_the_flow_does_not_arrive(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(FIDELITY, "_MOST_STEPS", 10)
    study = tmp_path / "study.toml"
    study.write_text(
        'steps = 20\nlandscapes = ["SymmetricDoubleWell"]\n[[optimizers]]\n'
        'name = "GradientDescent"\nlearning_rate = [0.1]\n',
        encoding="utf-8",
    )
    assert main(["basins", str(study), "--cells", "4", "--fidelity", "--out", str(tmp_path)]) == 0
    assert "not arrived from 100% of the starts" in capsys.readouterr().out


# --------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "error", "word"),
    [
        ({"flow": "smal steps"}, UnknownNameError, "small steps"),
        ({"method": "RK45"}, UnknownNameError, "BDF"),
        ({"horizon": 0.0}, InvalidValueError, "horizon"),
        ({"bins": 0}, InvalidValueError, "bins"),
        ({"confidence": 2.0}, InvalidValueError, "confidence"),
        ({"flow_steps": 1}, InvalidValueError, "more flow_steps"),
        ({"flow_steps": 0}, InvalidValueError, "flow_steps"),
        ({"undecided": 0.6}, InvalidValueError, "undecided"),
        ({"stop": fd.Stop(gradient_norm=0.3)}, InvalidValueError, "stricter stop"),
        ({"flow": "ode", "horizon": 1e-9}, InvalidValueError, "longer horizon"),
        ({"flow": "ode", "stop": fd.Stop(loss=1e-6)}, InvalidValueError, "gradient_norm"),
    ],
)
def test_fidelity_refuses(options, error, word):
    with pytest.raises(error, match=word):
        fidelity(WELL, descent(0.1), [[0.5]], steps=100, **options)
