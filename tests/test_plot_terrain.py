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

CELLS = 60 if JIT else 12


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


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


def test_there_is_something_to_draw_and_not_too_much():
    with pytest.raises(InvalidValueError, match="1 to 40 bars"):
        plot.terrain_time({})
    with pytest.raises(InvalidValueError, match="1 to 40 bars"):
        plot.terrain_time(dict.fromkeys(map(str, range(41)), terrain(1e-4)))
