"""Figures: what is drawn equals what is computed here in another way."""

from __future__ import annotations

import math
import subprocess
import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy.stats import binomtest

import fastdescent as fd
from fastdescent import plot
from fastdescent.errors import InvalidValueError, UnknownNameError
from fastdescent.plot import _curves, _heatmap, _hitting_times, _paths, _style

STARTS = np.random.default_rng(0).uniform(-2.0, 2.0, (40, 2))
RATES = [0.0005, 0.002, 0.01]


def simulated(landscape=None, rates=0.001, starts=STARTS, steps=200, **options):
    options.setdefault("record", fd.record.log_spaced(30))
    options.setdefault("targets", [1.0, 0.1])
    landscape = landscape or fd.landscapes.Rosenbrock(dim=2)
    rule = fd.optimizers.GradientDescent(learning_rate=rates)
    return fd.simulate(landscape, rule, starts=starts, steps=steps, **options)


@pytest.fixture(scope="module")
def one():
    return simulated()


@pytest.fixture(scope="module")
def sweep():
    """The largest learning rate diverges from many starts."""
    return simulated(rates=RATES)


@pytest.fixture(scope="module")
def grid():
    rule = fd.optimizers.GradientDescent(learning_rate=[0.01, 0.0001, 0.001])
    return fd.simulate(
        fd.landscapes.Rosenbrock(dim=2, b=[1.0, 2.0, 100.0]),
        rule,
        starts=STARTS,
        steps=200,
        targets=[0.5, 1e-9],
    )


@pytest.fixture(autouse=True)
def _nothing_leaks():
    """No figure may change the global style."""
    before = dict(mpl.rcParams)
    yield
    assert dict(mpl.rcParams) == before


def free_axes():
    """Return axes that pyplot does not know."""
    return mpl.figure.Figure(layout="constrained").add_subplot()


def legend_texts(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def curves(ax):
    """Return the lines with more than one point, in the order drawn."""
    return [line for line in ax.lines if len(line.get_xdata()) > 1]


def marked(ax, marker):
    return [line for line in ax.lines if line.get_marker() == marker]


# Hitting times


def share_by(times, step):
    return np.mean((times >= 0) & (times <= step))


def evaluated(line, step):
    """Return the height of a curve that is drawn with steps "post"."""
    x, y = line.get_data()
    return y[np.searchsorted(x, step, side="right") - 1]


def test_hitting_times_are_the_empirical_distribution_over_all_trajectories(sweep):
    ax = plot.hitting_times(sweep, target=1.0)
    lines = curves(ax)
    assert len(lines) == len(RATES)
    for place, line in enumerate(lines):
        times = sweep.hitting_time.isel(learning_rate=place).sel(target=1.0).to_numpy()
        left = line.get_xdata()[0]
        for step in (left, *range(int(left) + 1, 201)):
            assert evaluated(line, step) == pytest.approx(share_by(times, step), abs=1e-15)
        assert line.get_xdata()[-1] == 200  # held up to the budget
    assert ax.get_xscale() == "log"
    assert ax.get_ylim()[1] > 1.0


def test_hitting_times_default_to_the_hardest_target(one):
    ax = plot.hitting_times(one)
    assert "loss 0.1 above the minimum" in ax.get_title()
    hits = share_by(one.hitting_time.sel(target=0.1).to_numpy(), 200)
    assert curves(ax)[0].get_ydata()[-1] == hits
    assert legend_texts(ax)[0] == f"GradientDescent ({100 * hits:.1f} % hit)"


def test_starts_within_the_target_are_the_height_at_the_left_end():
    ds = simulated(starts=[[1.0, 1.0], [-1.0, 1.0]], targets=[1e-3], steps=20)
    (line,) = curves(plot.hitting_times(ds))
    assert line.get_ydata().tolist() == [0.5, 0.5]


def test_the_band_is_wilson_at_every_step(one):
    ax = plot.hitting_times(one, target=1.0)
    (line,), (band,) = curves(ax), ax.collections
    (path,) = band.get_paths()
    n = one.sizes["start"]
    low, high = {}, {}
    for fraction in np.unique(line.get_ydata()):
        interval = binomtest(round(fraction * n), n).proportion_ci(0.95, method="wilson")
        low[fraction], high[fraction] = interval
    drawn = np.unique(path.vertices[:, 1].round(10))
    expected = np.unique(np.round([*low.values(), *high.values()], 10))
    np.testing.assert_allclose(drawn, expected, atol=2e-10)  # both are rounded to 1e-10


def test_the_band_is_that_of_the_statistics():
    assert _hitting_times.wilson_interval is fd.statistics.wilson_interval


def test_replicas_of_several_starts_have_no_band_because_they_are_not_independent():
    noise = fd.noise.Gaussian(scale=0.1)
    clustered = simulated(starts=STARTS[:5], seeds=4, noise=noise, steps=20)
    assert not plot.hitting_times(clustered).collections
    assert "20 trajectories" in plot.hitting_times(clustered).get_title()
    assert len(plot.hitting_times(clustered.isel(start=0)).collections) == 1
    assert len(plot.hitting_times(clustered.isel(seed=0)).collections) == 1


def test_no_hits_at_all_are_said(one):
    ax = plot.hitting_times(one.assign(hitting_time=one.hitting_time * 0 - 1))
    assert "no trajectory hit the target\nwithin 200 steps" in [t.get_text() for t in ax.texts]
    assert set(curves(ax)[0].get_ydata()) == {0.0}
    assert legend_texts(ax)[0] == "GradientDescent (0 % hit)"


def test_a_large_ensemble_is_drawn_with_few_points_and_no_visible_error():
    times = np.random.default_rng(1).integers(1, 10**6, 300_000)
    ds = simulated(starts=np.ones((1, 2)), targets=[1.0], steps=2)
    big = ds.isel(start=np.zeros(len(times), dtype=int))
    big = big.assign(hitting_time=(("start", "target"), times[:, None]))
    (line,) = curves(plot.hitting_times(big))
    assert len(line.get_xdata()) < 2100
    ordered = np.sort(times)
    for step in (10, 1_000, 123_456, 999_999):
        exact = np.searchsorted(ordered, step, side="right") / len(times)
        assert 0.0 <= exact - evaluated(line, step) <= 5e-4


def test_interrupted_trajectories_are_said(one):
    cut = one.assign(status=one.status * 0 + fd.engine.result.STATUS["interrupted"])
    assert legend_texts(plot.hitting_times(cut))[0].endswith("100 % interrupted)")


# Losses


def order_statistic(values, level):
    """Return the smallest value that at least the share `level` of the values reaches."""
    return sorted(values)[math.ceil(level * len(values)) - 1]


def test_losses_are_order_statistics_with_diverged_ones_infinite(sweep):
    ax = plot.losses(sweep)
    top = ax.get_ylim()[1]
    steps = sweep.step.to_numpy()
    for place, line in enumerate(curves(ax)):
        ds = sweep.isel(learning_rate=place)
        loss = ds.path_loss.to_numpy().copy()
        for i, j in np.ndindex(loss.shape):
            if ds.status[i] == fd.engine.result.STATUS["diverged"] and steps[j] >= ds.steps[i]:
                loss[i, j] = np.inf
        expected = np.array([order_statistic(column, 0.5) for column in loss.T])
        drawn = line.get_ydata()
        np.testing.assert_array_equal(line.get_xdata(), steps)
        seen = expected <= top
        assert seen.any()
        np.testing.assert_array_equal(drawn[seen], expected[seen])
        assert (drawn[~seen] > top).all()  # leaves the axis at its top
    gone = [
        float((sweep.status == fd.engine.result.STATUS["diverged"]).isel(learning_rate=i).mean())
        for i in range(3)
    ]
    assert gone[2] > 0.5, "the test needs a median that diverges"
    assert f"learning rate = 0.002 ({100 * gone[1]:.1f} % diverged)" in legend_texts(ax)


def test_the_bands_are_the_quantiles_that_the_legend_says(one):
    ax = plot.losses(one)
    outer, inner = ax.collections
    loss = one.path_loss.to_numpy()
    for band, levels in ((outer, (0.10, 0.90)), (inner, (0.25, 0.75))):
        vertices = band.get_paths()[0].vertices
        for j in (0, 5, 20):
            there = vertices[vertices[:, 0] == one.step.to_numpy()[j]][:, 1]
            for level in levels:
                assert order_statistic(loss[:, j], level) in there
    assert {"25 to 75 % quantile", "10 to 90 % quantile", "median"} <= set(legend_texts(ax))


def test_more_curves_than_bands_can_show_are_medians_and_say_so():
    ds = simulated(rates=list(np.geomspace(1e-5, 1e-3, 6)), steps=20)
    ax = plot.losses(ds)
    assert not ax.collections
    assert "(curves: medians)" in legend_texts(ax)
    assert len(plot.losses(ds, bands=True).collections) == 12


def test_the_step_axis_fits_the_record(one):
    assert plot.losses(one).get_xscale() == "symlog"  # has room for step 0
    even = plot.losses(simulated(record=fd.record.every(50), steps=2000, starts=STARTS[:2]))
    assert even.get_xscale() == "linear"
    assert even.xaxis.get_major_formatter()(2000) == "2,000"


def test_a_loss_without_known_minimum_is_drawn_as_it_is():
    short = simulated(fd.landscapes.Saddle(), rates=0.01, steps=20)
    assert fd.landscapes.Saddle().minimum is None
    ax = plot.losses(short)
    assert (ax.get_ylabel(), ax.get_yscale()) == ("loss", "linear")
    median = order_statistic(short.path_loss.to_numpy()[:, -1], 0.5)
    assert curves(ax)[0].get_ydata()[-1] == median
    long = simulated(fd.landscapes.Saddle(), rates=0.1, steps=200)
    assert plot.losses(long).get_yscale() == "symlog"


def test_losses_at_the_minimum_to_the_last_bit_can_be_drawn():
    ds = simulated(starts=[[1.0, 1.0]], steps=5)
    ax = plot.losses(ds)
    ax.figure.draw_without_rendering()
    assert ax.get_yscale() == "log"


def test_nan_losses_count_as_infinite(one):
    loss = one.path_loss.copy()
    loss[:30] = np.nan
    ax = plot.losses(one.assign(path_loss=loss))
    assert (curves(ax)[0].get_ydata() >= ax.get_ylim()[1]).all()


# Contours


def test_contours_draw_the_paths_and_say_how_many(one):
    ax = plot.contours(one, trajectories=5)
    assert ax.get_title() == "GradientDescent on Rosenbrock: 5 of 40 trajectories drawn"
    lines = [line for line in curves(ax) if line.get_color() != "white"]
    chosen = np.linspace(0, 39, 5).round().astype(int)
    assert len(lines) == 5
    for line, start in zip(lines, chosen, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), one.path.to_numpy()[start])
    starts = [line.get_xydata()[0] for line in marked(ax, "o")]
    np.testing.assert_array_equal(starts, one.initial.to_numpy()[chosen])
    ends = [line.get_xydata()[0] for line in marked(ax, "s")]
    np.testing.assert_array_equal(ends, one.position.to_numpy()[chosen])
    (minimum,) = marked(ax, "*")
    np.testing.assert_array_equal(minimum.get_xydata(), [[1.0, 1.0]])
    assert legend_texts(ax) == ["start", "end", "global minimum"]


def test_contour_levels_are_log_spaced_above_the_minimum(one):
    ax = plot.contours(one, levels=10)
    levels = ax.collections[0].levels
    assert len(levels) == 10
    np.testing.assert_allclose(np.diff(np.log(levels)), np.log(levels[1] / levels[0]), rtol=1e-9)
    assert isinstance(ax.collections[0].norm, mpl.colors.LogNorm)
    bar = ax.collections[0].colorbar
    assert bar.ax.get_ylabel() == "loss above the minimum"
    # The highest level is the largest loss on the grid, which holds the corners of the view.
    corners = [[x, y] for x in ax.get_xlim() for y in ax.get_ylim()]
    assert levels[-1] == pytest.approx(fd.landscapes.Rosenbrock().value(corners).max())


def test_contours_count_from_the_minimum_and_not_from_zero():
    landscape = fd.landscapes.StyblinskiTang(dim=2)
    assert landscape.minimum < -78.0
    ax = plot.contours(simulated(landscape, rates=0.001), levels=[1.0, 10.0, 100.0])
    heights = ax.collections[1]
    for level, path in zip(heights.levels, heights.get_paths(), strict=True):
        above = landscape.value(path.vertices[::50]) - landscape.minimum
        # Contours are linear between nodes 1/300 of the view apart.
        np.testing.assert_allclose(above, level, atol=0.15)


def test_without_a_known_minimum_the_levels_are_evenly_spaced():
    ax = plot.contours(simulated(fd.landscapes.Saddle(), rates=0.01, steps=20))
    levels = ax.collections[0].levels
    np.testing.assert_allclose(np.diff(levels), levels[1] - levels[0])
    assert ax.collections[0].colorbar.ax.get_ylabel() == "loss"


def test_each_swept_value_has_its_own_look_and_the_same_starts(sweep):
    ax = plot.contours(sweep, trajectories=6)
    assert ax.get_title().endswith("2 of 40 trajectories drawn for each learning rate")
    assert legend_texts(ax)[:3] == [f"learning rate = {rate:g}" for rate in RATES]
    lines = [line for line in curves(ax) if line.get_color() != "white"]
    looks = {(line.get_color(), line.get_linestyle()) for line in lines}
    assert len(looks) == 3
    starts = {tuple(line.get_xydata()[0]) for line in marked(ax, "o")}
    assert starts == {tuple(one) for one in sweep.initial.to_numpy()[[0, 39]]}


def test_the_number_of_artists_is_bounded(one):
    many = one.isel(start=np.zeros(5000, dtype=int))
    ax = plot.contours(many, trajectories=200)
    assert "200 of 5,000 trajectories drawn" in ax.get_title()
    assert len(ax.lines) == 4 * 200 + 1  # halo, line, start, end; and the minimum
    long = simulated(record=fd.record.every(1), steps=5000, starts=STARTS[:1])
    lines = [line for line in curves(plot.contours(long)) if line.get_color() != "white"]
    assert [len(line.get_xdata()) for line in lines] == [2000]


def test_critical_points_are_marked_by_kind():
    ds = simulated(fd.landscapes.Himmelblau(), starts=[[-5.0, -5.0], [5.0, 5.0]])
    ax = plot.contours(ds, critical_points=True, view=[(-6.0, 6.0), (-6.0, 6.0)])
    (minima,), (saddles,), (top,) = marked(ax, "*"), marked(ax, "X"), marked(ax, "^")
    counts = [len(mark.get_xdata()) for mark in (minima, saddles, top)]
    assert counts == [4, 4, 1]  # Himmelblau's: four minima, four saddles, one maximum
    assert legend_texts(ax)[2:] == ["global minimum", "saddle", "maximum"]


def test_one_dimension_is_the_curve_with_trajectories_on_it():
    landscape = fd.landscapes.DoubleWell()
    ds = simulated(landscape, rates=[0.01, 0.02], starts=[[-1.8], [0.5]])
    ax = plot.contours(ds)
    x, y = curves(ax)[0].get_data()
    np.testing.assert_array_equal(y, landscape.value(x[:, None]))
    path = curves(ax)[1]
    np.testing.assert_array_equal(path.get_ydata(), ds.path_loss.to_numpy()[0, 0])
    assert (ax.get_xlabel(), ax.get_ylabel()) == (r"$\theta$", "loss")


def test_a_diverging_line_leaves_the_view_in_its_own_direction():
    view = np.array([[-1.0, 1.0], [-2.0, 2.0]])
    points = np.array([[0.0, 0.0], [3e200, -1e200], [np.inf, np.nan]])
    cut, _ = _paths._until_far(points, np.zeros(3), view)
    assert len(cut) == 2
    step = cut[1] - cut[0]
    assert step[0] / step[1] == pytest.approx(-3.0)
    assert not _paths.inside(cut[1], view)
    # Swinging through the view with growing steps: the end must not be put back into it.
    swing = np.array([[9e5, 0.0], [-9e6, 0.0]])
    cut, _ = _paths._until_far(swing * [2.0, 1.0], np.zeros(2), view)
    assert cut[1][0] < -_paths._FAR * 2.0
    # A step that is not too long is kept to the last bit of its sum.
    cut, _ = _paths._until_far(np.array([[0.0, 0.0], [2.5e6, 0.0]]), np.zeros(2), view)
    np.testing.assert_array_equal(cut, [[0.0, 0.0], [2.5e6, 0.0]])
    lost, _ = _paths._until_far(points[[0, 2]], np.zeros(2), view)
    np.testing.assert_array_equal(lost, points[:1])


def test_a_diverged_trajectory_has_no_end_marker(sweep):
    worst = sweep.isel(learning_rate=2)
    gone = worst.status.to_numpy() == fd.engine.result.STATUS["diverged"]
    ax = plot.contours(worst, trajectories=40)
    assert len(marked(ax, "o")) == 40
    assert len(marked(ax, "s")) == 40 - gone.sum() < 40
    ax.figure.draw_without_rendering()


def test_a_swept_landscape_is_drawn_for_one_value():
    landscape = fd.landscapes.Rosenbrock(dim=2, b=[1.0, 100.0])
    ds = simulated(landscape)
    with pytest.raises(InvalidValueError, match=r"results on one landscape; .*isel"):
        plot.contours(ds)
    ax = plot.contours(ds.sel(b=1.0), levels=[1.0, 2.0])
    line = ax.collections[1].get_paths()[0].vertices[::20]
    np.testing.assert_allclose(landscape.at(b=1.0).value(line), 1.0, atol=0.01)
    with pytest.raises(InvalidValueError, match=r"landscape parameter b"):
        plot.contours(ds.isel(b=0, drop=True))


def test_a_result_read_back_from_disk_is_drawn_the_same(one, tmp_path):
    one.to_netcdf(tmp_path / "one.nc", engine="h5netcdf")
    with fd.engine.result.xr.open_dataset(tmp_path / "one.nc", engine="h5netcdf") as back:
        assert plot.contours(back).get_title() == plot.contours(one).get_title()
        ours, theirs = (curves(plot.losses(ds))[0].get_xydata() for ds in (one, back))
    np.testing.assert_array_equal(ours, theirs)


# Surface


def test_the_surface_lifts_trajectories_to_their_loss(one):
    ax = plot.surface(one, trajectories=2)
    assert ax.get_title().endswith("2 of 40 trajectories drawn")
    assert ax.get_zlabel() == "loss above the minimum"
    labels = [text.get_text() for text in ax.get_zticklabels()]
    assert labels[0] == "0"
    assert labels[-1] == "$10^{3}$"
    # One tick gives the scale: its height is log10(1 + 10^3 / c).
    c = 1e3 / (10.0 ** ax.get_zticks()[-1] - 1.0)
    line = next(line for line in ax.lines if len(line.get_data_3d()[0]) > 1)
    x, y, z = line.get_data_3d()
    np.testing.assert_array_equal(np.stack([x, y], axis=1), one.path.to_numpy()[0])
    np.testing.assert_allclose(z, np.log10(1.0 + one.path_loss.to_numpy()[0] / c), rtol=1e-9)


def test_a_surface_without_decades_is_not_compressed():
    ds = simulated(fd.landscapes.Saddle(), rates=0.001, steps=20)
    ax = plot.surface(ds, trajectories=1)
    line = next(line for line in ax.lines if len(line.get_data_3d()[0]) > 1)
    np.testing.assert_array_equal(line.get_data_3d()[2], ds.path_loss.to_numpy()[0])
    assert ax.get_zlabel() == "loss"


def test_the_surface_says_what_it_cannot_draw(one):
    with pytest.raises(InvalidValueError, match=r'three-dimensional axes; .*projection="3d"'):
        plot.surface(one, free_axes())
    line = simulated(fd.landscapes.DoubleWell(), starts=[[1.0]], steps=5)
    with pytest.raises(InvalidValueError, match="a landscape of two dimensions"):
        plot.surface(line)


# Heat map


def cells(ax):
    return ax.collections[0].get_array()


def test_heatmap_cells_are_shares_of_hits(grid):
    ax = plot.heatmap(grid, x="learning_rate", y="b", target=0.5)
    order = [1, 2, 0]  # learning rates were given unsorted
    for row in range(3):
        for column, place in enumerate(order):
            times = grid.hitting_time.isel(b=row, learning_rate=place).sel(target=0.5)
            assert cells(ax)[row, column] == share_by(times.to_numpy(), 200)
    assert ax.collections[0].get_clim() == (0.0, 1.0)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("learning rate", "b")
    assert "40 trajectories per cell" in ax.get_title()


def test_heatmap_axes_fit_the_values(grid):
    ax = plot.heatmap(grid, x="learning_rate", y="b", target=0.5)
    edges = ax.collections[0].get_coordinates()
    expected = [10.0**-4.5, 10.0**-3.5, 10.0**-2.5, 10.0**-1.5]
    np.testing.assert_allclose(edges[0, :, 0], expected, rtol=1e-12)
    assert ax.get_xscale() == "log"
    # 1, 2, 100 is regular neither linearly nor in the logarithm: cells of equal size.
    np.testing.assert_allclose(edges[:, 0, 1], [-0.5, 0.5, 1.5, 2.5])
    assert [text.get_text() for text in ax.get_yticklabels()] == ["1", "2", "100"]


@pytest.mark.parametrize(
    ("values", "spacing"),
    [
        (np.geomspace(1e-4, 1.0, 9), "log"),
        ([0.001, 0.003, 0.01, 0.03], "log"),
        ([1.0, 2.0, 5.0, 10.0], "log"),
        (np.linspace(0.0, 0.9, 10), "linear"),
        (np.linspace(0.1, 1.0, 10), "linear"),
        ([0.9, 0.99, 0.999], "even"),
        ([0.3], "even"),
        ([1.0, 1.0, 2.0], "even"),
    ],
)
def test_spacing(values, spacing):
    assert _heatmap._spacing(np.array(values)) == spacing


def test_a_median_that_was_never_hit_is_grey_and_explained(grid):
    ax = plot.heatmap(grid, value="median hitting time", target=0.5)
    assert ax.get_xlabel() == "b"  # in the result's order
    seen = set()
    for column, row in np.ndindex(3, 3):
        times = grid.hitting_time.isel(b=column, learning_rate=[1, 2, 0][row]).sel(target=0.5)
        late = [math.inf if time < 0 else time for time in times.to_numpy()]
        median = order_statistic(late, 0.5)
        grey = bool(np.ma.getmaskarray(cells(ax))[row, column])
        assert grey == math.isinf(median)
        assert grey or cells(ax)[row, column] == median
        seen.add(grey)
    assert seen == {True, False}
    assert legend_texts(ax) == ["fewer than half hit the target"]
    never = plot.heatmap(grid, value="median hitting time", target=1e-9)
    assert np.ma.getmaskarray(cells(never)).any()


def test_heatmap_of_outcomes_and_last_losses(grid):
    status = grid.status.to_numpy()
    ax = plot.heatmap(grid, x="b", y="learning_rate", value="diverged")
    share = (status == fd.engine.result.STATUS["diverged"]).mean(axis=-1)
    np.testing.assert_array_equal(cells(ax), share.T[[1, 2, 0]])
    assert plot.heatmap(grid, value="converged").collections[0].get_array().max() == 0.0
    ax = plot.heatmap(grid, value="median loss")
    loss = np.where(status == fd.engine.result.STATUS["diverged"], np.inf, grid.loss.to_numpy())
    for row, column in np.ndindex(3, 3):
        expected = order_statistic(loss[column, [1, 2, 0][row]], 0.5)
        assert np.ma.getmaskarray(cells(ax))[row, column] == np.isinf(expected)
        if np.isfinite(expected):
            assert cells(ax)[row, column] == expected


def test_cells_without_trajectories_are_grey_and_explained(grid):
    gaps = grid.reindex(b=[1.0, 2.0, 50.0, 100.0])
    for value in ("diverged", "success", "median loss"):
        ax = plot.heatmap(gaps, x="b", value=value, target=0.5)
        mask = np.ma.getmaskarray(cells(ax))
        assert mask[:, 2].all()
        assert legend_texts(ax)[0].endswith("no data")
    share = cells(plot.heatmap(gaps, x="b", value="diverged"))[:, [0, 1, 3]]
    np.testing.assert_array_equal(share, cells(plot.heatmap(grid, x="b", value="diverged")))


def test_heatmap_says_which_axes_there_are(grid, sweep):
    with pytest.raises(UnknownNameError, match=r"'learning_rat'; did you mean 'learning_rate'"):
        plot.heatmap(grid, x="learning_rat")
    with pytest.raises(UnknownNameError, match="unknown value 'hits'"):
        plot.heatmap(grid, value="hits")
    with pytest.raises(InvalidValueError, match=r"two different ones; the result has \['lea"):
        plot.heatmap(sweep)
    with pytest.raises(InvalidValueError, match="two different ones"):
        plot.heatmap(grid, x="b", y="b")
    rule = fd.optimizers.Adam(learning_rate=[0.1, 0.2], beta1=[0.8, 0.9], beta2=[0.9, 0.99])
    cube = fd.simulate(fd.landscapes.Himmelblau(), rule, starts=STARTS[:2], steps=5)
    with pytest.raises(InvalidValueError, match=r"select one value .*ds.isel\(beta2=0\)"):
        plot.heatmap(cube, value="diverged")
    with pytest.raises(InvalidValueError, match=r"pass targets=\[...\] to simulate"):
        plot.heatmap(cube.isel(beta2=0))


# Overview


def test_overview_shows_what_the_results_have(one, sweep):
    figure = plot.overview({"slow": one, "swept": sweep.isel(learning_rate=1)}, target=1.0)
    names = [ax.get_ylabel() for ax in figure.axes]
    assert names == [
        r"$\theta_2$",
        "",
        "loss above the minimum",
        "fraction of trajectories that hit",
        "loss above the minimum",
    ]
    texts = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    hit = share_by(one.hitting_time.sel(target=1.0).to_numpy(), 200)
    assert texts[0] == f"slow ({100 * hit:.1f} % hit)"
    assert texts[2:6] == ["95 % interval (pointwise)", "start", "end", "global minimum"]
    assert figure.get_suptitle() == "GradientDescent on Rosenbrock: 40 trajectories each"
    space = simulated(fd.landscapes.Rosenbrock(dim=3), starts=np.ones((4, 3)) / 2)
    assert len(plot.overview(space).axes) == 2
    with pytest.raises(InvalidValueError, match="results with paths or hitting times"):
        plot.overview(simulated(record=None, targets=(), steps=5))


# All figures


def figures(one, sweep, grid):
    flat = simulated(fd.landscapes.DoubleWell(), starts=[[-1.5], [1.0]], rates=[0.01, 0.02])
    return [
        plot.contours(one),
        plot.contours({"a long label of a rule": one, "b": sweep.isel(learning_rate=0)}),
        plot.contours(flat, critical_points=True),
        plot.losses(sweep),
        plot.hitting_times(sweep),
        plot.heatmap(grid, value="median hitting time", target=0.5),
    ]


def test_texts_do_not_overlap_and_lie_within_the_figure(one, sweep, grid):
    for ax in figures(one, sweep, grid):
        figure = ax.figure
        figure.draw_without_rendering()
        texts = [ax.title, ax.xaxis.label, ax.yaxis.label, ax.get_legend()]
        low, high = ax.get_xlim()
        ticks = zip(ax.get_xticks(), ax.get_xticklabels(), strict=True)
        texts += [label for place, label in ticks if low <= place <= high]
        boxes = [text.get_window_extent() for text in texts]
        for place, box in enumerate(boxes):
            assert figure.bbox.x0 <= box.x0 <= box.x1 <= figure.bbox.x1, texts[place]
            assert figure.bbox.y0 <= box.y0 <= box.y1 <= figure.bbox.y1, texts[place]
        fixed = boxes[:4]
        for i in range(4):
            for j in range(i):
                assert not fixed[i].overlaps(fixed[j]), (texts[i], texts[j])
        assert min(text.get_fontsize() for text in [*texts[:3], *texts[4:]]) >= 8


def test_given_axes_are_drawn_on_without_pyplot(one, sweep, grid):
    before = plt.get_fignums()
    for draw, ds in (
        (plot.contours, one),
        (plot.losses, sweep),
        (plot.hitting_times, sweep),
        (plot.heatmap, grid),
    ):
        ax = free_axes()
        assert draw(ds, ax) is ax
        assert draw(ds, free_axes(), legend=False).get_legend() is None
    assert plt.get_fignums() == before
    code = "import sys, fastdescent.plot; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_title_that_does_not_fit_its_axes_is_broken(sweep):
    figure = mpl.figure.Figure(figsize=(6.4, 3.0), layout="constrained")
    left, _ = figure.subplots(1, 2)
    title = plot.losses(sweep, left).get_title()
    assert title == "GradientDescent on Rosenbrock\n40 trajectories for each learning rate"


def test_every_curve_has_its_own_look():
    looks = {(_style.colour(i), str(_style.line_style(i))) for i in range(_style.MOST_CURVES)}
    assert len(looks) == _style.MOST_CURVES
    for i in range(_style.MOST_CURVES - 1):
        assert _style.colour(i) != _style.colour(i + 1)
        assert _style.line_style(i) != _style.line_style(i + 1)


def test_swept_values_are_written_with_the_digits_that_tell_them_apart():
    assert _curves.numbers(np.array([0.1, 0.2])) == ["0.1", "0.2"]
    assert _curves.numbers(np.array([1.00001, 1.00002])) == ["1.00001", "1.00002"]
    assert _curves.numbers(np.array([1e-6, 1e-6])) == ["1e-6", "1e-6"]


@pytest.mark.parametrize(
    ("draw", "missing", "way_out"),
    [
        (plot.contours, "path", r"record=fd.record.log_spaced\(200\)"),
        (plot.surface, "path", r"record=fd.record.log_spaced\(200\)"),
        (plot.losses, "path_loss", r"record=fd.record.log_spaced\(200\)"),
        (plot.hitting_times, "hitting_time", r"targets=\[...\]"),
    ],
)
def test_what_is_missing_is_said_with_the_way_out(one, draw, missing, way_out):
    with pytest.raises(InvalidValueError, match=f"'{missing}'; pass {way_out} to simulate"):
        draw(one.drop_vars(missing))
    assert plt.get_fignums() == []


def test_what_cannot_be_drawn_is_refused_before_a_figure_is_made(one):
    space = simulated(fd.landscapes.Rosenbrock(dim=3), starts=np.ones((2, 3)) / 2, steps=5)
    many = simulated(rates=list(np.linspace(1e-4, 1e-3, 20)), steps=2, starts=STARTS[:1])
    elsewhere = simulated(fd.landscapes.Himmelblau(), steps=5)
    for call, message in (
        (lambda: plot.contours(space), "one or two dimensions; losses and hitting_times"),
        (lambda: plot.losses(many), r"got 20, allowed is at most 14; .*isel\(learning_rate="),
        (lambda: plot.contours({"a": one, "b": elsewhere}), "results on one landscape"),
        (lambda: plot.hitting_times(one, target=0.2), r"allowed is one of \[1.0, 0.1\]"),
        (lambda: plot.contours(one, trajectories=201), r"an integer in \[0, 200\]"),
        (lambda: plot.contours(one, trajectories=-1), r"an integer in \[0, 200\]"),
        (lambda: plot.contours(one, view=[(1.0, 0.0), (0.0, 1.0)]), "lower < upper"),
        (lambda: plot.contours(one, view=[(0.0, 1.0)]), r"2 pairs \(lower, upper\)"),
        (lambda: plot.losses({}), "at least one dataset"),
        (lambda: plot.losses([one]), "a mapping from labels"),
        (lambda: plot.losses({"a": 1}), r"results\['a'\]: got 1"),
        (lambda: plot.losses(one[["path"]]), "a result of fastdescent.simulate"),
    ):
        with pytest.raises(InvalidValueError, match=message):
            call()
    assert plt.get_fignums() == []
    for levels in (1, [1.0], [2.0, 1.0]):
        with pytest.raises(InvalidValueError, match="levels"):
            plot.contours(one, levels=levels)


def test_several_rules_and_landscapes_are_counted_in_the_title(one):
    adam = fd.simulate(
        fd.landscapes.Rosenbrock(dim=2),
        fd.optimizers.Adam(learning_rate=0.1),
        starts=STARTS[:5],
        steps=5,
        record=fd.record.every(1),
    )
    title = plot.losses({"descent": one, "Adam": adam}).get_title()
    assert title == "2 rules on Rosenbrock: 5 to 40 trajectories each"


def test_one_selected_start_is_one_trajectory(one):
    assert plot.contours(one.isel(start=3)).get_title().endswith(": 1 trajectory")
    assert plot.losses(one.isel(start=3)).get_title().endswith(": 1 trajectory")
