"""Figures of terrain: what they show is what was computed."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

import fastdescent as fd
from fastdescent import geometry, plot
from fastdescent.contracts import JIT
from fastdescent.errors import InvalidValueError
from fastdescent.plot import _contours, _style

CELLS = 60 if JIT else 12


def test_the_region_map_shows_the_regions_of_the_cells():
    landscape = fd.landscapes.Himmelblau()
    ax = plot.regions(landscape, cells=CELLS)
    (image,) = ax.images
    shown = np.asarray(image.get_array())
    middles = -6.0 + 12.0 * (np.arange(CELLS) + 0.5) / CELLS
    for row, column in [(0, 0), (CELLS // 2, CELLS // 2), (CELLS - 1, CELLS // 3)]:
        point = [middles[column], middles[row]]
        region = geometry.classify_regions(landscape, point).region.item()
        assert geometry.REGIONS[int(shown[row, column])] == region
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    for name in ("valley", "concave"):
        share = 100.0 * np.mean(shown == geometry.REGIONS.index(name))
        (entry,) = [text for text in legend if text.startswith(name)]
        assert f"{share:.1f} %" in entry
    assert tuple(image.get_extent()) == (-6.0, 6.0, -6.0, 6.0)


def test_colours_are_told_apart_without_colour_vision():
    """Lightness differs by at least 3 of 100 between any two, hue by much more for most eyes."""
    from fastdescent.plot import _terrain  # noqa: PLC0415 - its colours are private

    def lightness(colour):
        linear = np.array(mpl.colors.to_rgb(colour)) ** 2.2
        y = linear @ np.array([0.2126, 0.7152, 0.0722])
        return 116.0 * np.cbrt(y) - 16.0

    values = sorted(lightness(colour) for colour in _terrain._COLOURS.values())
    assert len(values) == len(geometry.REGIONS)
    assert np.diff(values).min() > 3.0


def test_the_loss_is_evaluated_once(monkeypatch):
    """The contours are those of the losses that the classification has looked at."""
    landscape, looked_at = fd.landscapes.Himmelblau(), []
    value = fd.Landscape.value

    def counted(self, x):
        looked_at.append(len(np.atleast_2d(x)))
        return value(self, x)

    monkeypatch.setattr(fd.Landscape, "value", counted)
    ax = plot.regions(landscape, cells=CELLS)
    assert looked_at.count(CELLS**2) == 1
    (lines,) = [found for found in ax.collections if isinstance(found, mpl.contour.ContourSet)]
    path = np.concatenate([p.vertices for p in lines.get_paths() if len(p.vertices)])
    assert (np.abs(path) <= 6.0).all()
    # On each contour lies its level, but for straight lines between nodes.
    level, points = lines.levels[8], lines.get_paths()[8].vertices
    fine = 6e-2 if JIT else 0.6
    np.testing.assert_allclose(value(landscape, points), level, rtol=fine)


def test_formulas_are_called_by_their_title_or_text():
    cells = {"cells": 10, "legend": False}
    text = fd.landscape("x**2 + 15*y**2")
    assert plot.regions(text, **cells).get_title() == "Regions of x**2 + 15*y**2"
    named = fd.landscape("x**2 + 15*y**2", name="my ravine")
    assert plot.regions(named, **cells).get_title() == "Regions of my ravine"
    long = fd.landscape("sin(x)**2 + sin(2*y)**2 + sin(3*x*y)**2 + 0.25*cos(x + y)")
    title = plot.regions(long, **cells).get_title()
    assert title == "Regions of sin(x)**2 + sin(2*y)**2 + …"


def test_the_colour_bar_has_no_ticks_beyond_its_ends(monkeypatch):
    monkeypatch.setattr(_contours, "_NODES", 41)
    landscape = fd.landscape("sin(3*x) + cos(2*y) + 0.3*x*y")
    ds = fd.simulate(
        landscape,
        fd.optimizers.GradientDescent(learning_rate=0.01),
        starts=[[4.0, -4.0]],
        steps=2,
        record=fd.record.every(1),
    )
    ax = plot.contours(ds, view=[(-5.4, 5.2), (-5.6, 2.9)])
    levels = ax.collections[0].levels
    ticks = ax.figure.axes[1].get_yticks()
    assert len(ticks) >= 3
    assert levels[0] <= min(ticks) < max(ticks) <= levels[-1]


def test_critical_points_have_one_look_in_all_figures(monkeypatch):
    """Each kind has its own marker and colour; a local minimum is not drawn like a global one."""
    monkeypatch.setattr(_contours, "_NODES", 41)
    looks = [(marker, face) for marker, face, _ in _style.MARKS.values()]
    assert len(set(looks)) == len(looks)
    landscape = fd.landscapes.StyblinskiTang(dim=2)
    ds = fd.simulate(
        landscape,
        fd.optimizers.GradientDescent(learning_rate=0.01),
        starts=[[0.0, 1.0]],
        steps=3,
        record=fd.record.every(1),
    )
    ax = plot.contours(ds, critical_points=True, view=[(-4, 4), (-4, 4)])
    drawn = {line.get_label(): (line.get_marker(), len(line.get_xdata())) for line in ax.lines}
    assert drawn["global minimum"] == ("*", 1)
    assert drawn["local minimum"] == ("v", 3)
    assert drawn["maximum"] == ("^", 1)
    assert drawn["saddle"] == ("X", 4)
    points = geometry.classify_points(landscape, [p.position for p in landscape.critical_points()])
    other = {line.get_label(): line for line in plot.critical_points(points, landscape).lines}
    for name in ("global minimum", "local minimum", "saddle"):
        (here,) = [line for line in ax.lines if line.get_label() == name]
        assert other[name].get_marker() == here.get_marker()
        assert other[name].get_markerfacecolor() == here.get_markerfacecolor()


def test_a_box_and_axes_can_be_given():
    _, ax = plt.subplots()
    same = plot.regions(
        fd.landscapes.Rosenbrock(dim=2), ax, box=[(-1, 1), (0, 8)], cells=CELLS, legend=False
    )
    assert same is ax
    assert ax.get_legend() is None
    assert ax.get_xlim() == (-1.0, 1.0)
    assert ax.get_aspect() == "auto"  # true proportions would be a strip


def test_a_constant_landscape_is_flat_everywhere():
    ax = plot.regions(fd.landscape("0*x + 0*y + 1", dim=2), cells=CELLS)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["flat (100 %)"]


@pytest.mark.parametrize(
    ("landscape", "given", "said"),
    [
        (fd.landscapes.Bowl(dim=3), {}, "two dimensions"),
        (fd.landscapes.Bowl(dim=2), {"cells": 1}, "cells"),
        (fd.landscapes.Bowl(dim=2), {"box": (1, 0)}, "box"),
    ],
)
def test_bad_input_is_named(landscape, given, said):
    with pytest.raises(InvalidValueError, match=said):
        plot.regions(landscape, **given)


def terrain(rate):
    landscape = fd.landscapes.Rosenbrock(dim=2)
    ds = fd.simulate(
        landscape,
        fd.optimizers.GradientDescent(learning_rate=rate),
        starts=fd.starts.Uniform(count=20),
        steps=60,
        record=fd.record.every(1),
    )
    return geometry.terrain_time(ds, landscape)


def test_bars_are_the_fractions():
    found = {"slow": terrain(1e-4), "both": terrain([1e-4, 1e-3])}
    ax = plot.terrain_time(found)
    said = [text.get_text() for text in ax.get_yticklabels()]
    assert said == ["slow", "both, learning rate = 0.0001", "both, learning rate = 0.001"]
    widths = np.array([bar.get_width() for bar in ax.patches]).reshape(len(geometry.REGIONS), 3)
    expected = np.concatenate([found["slow"].fraction.values[None], found["both"].fraction.values])
    np.testing.assert_allclose(widths.T, expected, rtol=1e-12)
    np.testing.assert_allclose(widths.sum(axis=0), 1.0, rtol=1e-12)
    ravine = 100.0 * float(found["slow"].fraction.sel(region="ravine"))
    assert any(text.get_text().startswith(f"{ravine:.0f} ") for text in ax.texts)


@pytest.mark.parametrize(
    ("error", "said"), [(0.124, "40 ± 12 %"), (0.0951, "40 ± 10 %"), (0.004, "40 ± 0.4 %")]
)
def test_wide_intervals_are_written_as_people_do(error, said):
    found = terrain(1e-4)
    for end, by in (("", 0.0), ("_lower", -error), ("_upper", error)):
        found[f"fraction{end}"] = ("region", [0.4 + by] + [0.12 + by] * 5)
    assert said in [text.get_text() for text in plot.terrain_time(found).texts]


def test_there_is_something_to_draw_and_not_too_much():
    with pytest.raises(InvalidValueError, match="1 to 40 bars"):
        plot.terrain_time({})
    with pytest.raises(InvalidValueError, match="1 to 40 bars"):
        plot.terrain_time(dict.fromkeys(map(str, range(41)), terrain(1e-4)))


def test_other_datasets_have_no_bars():
    other = fd.simulate(
        fd.landscapes.Ravine(), fd.optimizers.GradientDescent(0.01), starts=[[1.0, 1.0]], steps=1
    )
    for given in (3, other, {"a": other}, {"a": 3}):
        with pytest.raises(InvalidValueError, match="results"):
            plot.terrain_time(given)
