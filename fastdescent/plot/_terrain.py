"""Region map of a landscape, and bars of the time that rules spend in each region."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from numpy.typing import ArrayLike

from fastdescent.errors import InvalidValueError
from fastdescent.geometry._dataset import checked_dataset
from fastdescent.geometry.regions import REGIONS, Thresholds, classify_regions
from fastdescent.geometry.scales import checked_box, scales
from fastdescent.landscapes import Landscape
from fastdescent.parts import FloatArray, is_integer
from fastdescent.plot._curves import called, landscape_name, words
from fastdescent.plot._style import (
    annotate,
    legend_below,
    new_axes,
    number,
    percent,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["regions", "terrain_time"]

# Okabe and Ito (2008): cold where the loss is convex, warm where it is not.
_COLOURS = {
    "valley": "#9fd4f3",
    "ravine": "#0072B2",
    "canal": "#009E73",
    "flat": "#e4e4e4",
    "indefinite": "#f3b63f",
    "concave": "#D55E00",
}
_MOST_BARS = 40
# What the bars show.
_SHARES = ("fraction", "fraction_lower", "fraction_upper")


@styled
def regions(
    landscape: Landscape,
    ax: Axes | None = None,
    *,
    box: ArrayLike | None = None,
    cells: int = 400,
    thresholds: Thresholds | None = None,
    legend: bool = True,
) -> Axes:
    """Draw which region each place of a two-dimensional landscape belongs to.

    Contours, evenly spaced in the logarithm of the loss above its lowest value here, are drawn on
    top; the legend gives each region's share of the area.

    Parameters
    ----------
    landscape : Landscape
        A loss of two dimensions.
    ax : matplotlib.axes.Axes, optional
        Where to draw; axes of a new figure by default.
    box : array_like, shape (2,) or (2, 2), optional
        What to show, and what the scales are taken from; the landscape's domain by default.
    cells : int
        Cells along each side, 2 to 4000.
    thresholds : Thresholds, optional
        As in `fastdescent.geometry.classify_regions`.
    legend : bool
        Whether to draw the legend, below the axes.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InvalidValueError
        If the landscape has not two dimensions, or an argument is not allowed.

    Examples
    --------
    >>> import fastdescent as fd
    >>> from fastdescent import plot
    >>> plot.regions(fd.landscapes.Himmelblau(), cells=50).get_title()
    'Regions of Himmelblau'
    """
    if landscape.dim != 2:
        raise InvalidValueError(
            "landscape",
            landscape,
            "a landscape of two dimensions",
            "fastdescent.geometry.region_fractions tells the shares in any dimension",
        )
    if not is_integer(cells) or not 2 <= cells <= 4000:
        raise InvalidValueError("cells", cells, "an integer from 2 to 4000")
    bounds = checked_box(landscape, box)
    # The middles of the cells.
    x, y = (low + (high - low) * (np.arange(cells) + 0.5) / cells for low, high in bounds)
    points = np.stack([axis.ravel() for axis in np.meshgrid(x, y)], axis=1)
    scale = scales(landscape, bounds)
    found = classify_regions(landscape, points, thresholds, scale=scale, outside="keep")
    label = found["region"].to_numpy()
    code = np.full(label.shape, np.nan)
    for k, name in enumerate(REGIONS):
        code[label == name] = k
    own, ax = ax is None, new_axes(5.2) if ax is None else ax
    left, right, bottom, top = bounds.ravel().tolist()
    ax.imshow(
        code.reshape(cells, cells),
        extent=(left, right, bottom, top),
        origin="lower",
        cmap=ListedColormap([_COLOURS[name] for name in REGIONS]),
        vmin=-0.5,
        vmax=len(REGIONS) - 0.5,
        interpolation="nearest",
        aspect="auto" if _is_long(bounds) else "equal",
    )
    _contours(ax, x, y, found["value"].to_numpy().reshape(cells, cells))
    annotate(ax, f"Regions of {called(repr(landscape))}", own=own, x=r"$\theta_1$", y=r"$\theta_2$")
    if legend:
        handles = [
            Patch(
                facecolor=_COLOURS[name],
                edgecolor="0.4",
                linewidth=0.4,
                label=f"{name} ({percent(int(np.count_nonzero(label == name)), len(label))})",
            )
            for name in REGIONS
            if (label == name).any()
        ]
        legend_below(ax, handles, grow=own)
    return ax


def _is_long(bounds: FloatArray) -> bool:
    """Return whether true proportions would leave a thin strip."""
    wide = bounds[:, 1] - bounds[:, 0]
    return bool(max(wide) > 3.0 * min(wide))


def _contours(ax: Axes, x: FloatArray, y: FloatArray, values: FloatArray) -> None:
    """Draw thin contours of a loss, values[y, x], on fewer nodes than there may be cells."""
    some = slice(None, None, max(1, len(x) // 200))
    x, y, values = x[some], y[some], values[some, some]
    above = values[np.isfinite(values)]
    if not above.size or above.min() == above.max():
        return
    height = values - above.min()
    usable = height[np.isfinite(height) & (height > 0.0)]
    # From what one cell in a thousand lies below, so that no level hides in a minimum.
    low, high = (float(end) for end in np.log10(np.quantile(usable, [1e-3, 1.0])))
    if low < high:
        levels = 10.0 ** np.linspace(low, high, 14)
        ax.contour(x, y, height, levels=levels, colors="k", linewidths=0.35, alpha=0.55)


@styled
def terrain_time(
    results: xr.Dataset | Mapping[str, xr.Dataset],
    ax: Axes | None = None,
    *,
    legend: bool = True,
) -> Axes:
    """Draw how much of their life rules spend in each region, one stacked bar each.

    Numbers are the means and half the widths of their intervals.

    Parameters
    ----------
    results : xarray.Dataset or mapping of str to xarray.Dataset
        What `fastdescent.geometry.terrain_time` returned, by label.  Each value of a swept
        hyper-parameter has its own bar.
    ax : matplotlib.axes.Axes, optional
        Where to draw; axes of a new figure by default.
    legend : bool
        Whether to draw the legend, below the axes.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InvalidValueError
        If a result is another one, there is nothing to draw, or more than 40 bars.

    Examples
    --------
    >>> import fastdescent as fd
    >>> from fastdescent import geometry, plot
    >>> ravine = fd.landscapes.Ravine()
    >>> ds = fd.simulate(
    ...     ravine,
    ...     fd.optimizers.GradientDescent(learning_rate=[0.01, 0.02]),
    ...     starts=[[1.0, 1.0]],
    ...     steps=50,
    ...     record=fd.record.every(1),
    ... )
    >>> ax = plot.terrain_time({"descent": geometry.terrain_time(ds, ravine)})
    >>> [label.get_text() for label in ax.get_yticklabels()]
    ['descent, learning rate = 0.01', 'descent, learning rate = 0.02']
    """
    labelled = {"": results} if isinstance(results, xr.Dataset) else results
    if not isinstance(labelled, Mapping):
        raise InvalidValueError("results", results, "a dataset, or a mapping from labels to some")
    for ds in labelled.values():
        checked_dataset("results", ds, _SHARES, "fastdescent.geometry.terrain_time")
    bars = [bar for label, ds in labelled.items() for bar in _bars(label, ds)]
    if not 1 <= len(bars) <= _MOST_BARS:
        raise InvalidValueError("results", len(bars), f"1 to {_MOST_BARS} bars", "select some")
    own = ax is None
    ax = new_axes(1.1 + 0.3 * len(bars)) if ax is None else ax
    place = np.arange(len(bars))
    left = np.zeros(len(bars))
    shares = np.array([bar.shares for bar in bars])
    for k, name in enumerate(REGIONS):
        ax.barh(place, shares[:, k], left=left, height=0.72, color=_COLOURS[name])
        for y, bar in enumerate(bars):
            _number(ax, left[y], y, bar, k)
        left += shares[:, k]
    ax.set_yticks(place, [bar.label for bar in bars])
    ax.invert_yaxis()
    ax.set_xlim(0.0, 1.0)
    ax.spines[["top", "right"]].set_visible(False)
    where = {landscape_name(ds) for ds in labelled.values()}
    title = f"Terrain on {where.pop()}" if len(where) == 1 else "Terrain"
    annotate(ax, title, own=own, x="mean fraction of steps", y="")
    if legend:
        present = [name for k, name in enumerate(REGIONS) if shares[:, k].max() > 0.0]
        legend_below(ax, [Patch(facecolor=_COLOURS[n], label=n) for n in present], grow=own)
    return ax


class _Bar(NamedTuple):
    """One bar: the share of each region, and half the width of its interval."""

    label: str
    shares: FloatArray
    error: FloatArray


def _bars(label: str, ds: xr.Dataset) -> list[_Bar]:
    """Return a bar for every value of the swept parameters."""
    swept = [str(name) for name in ds["fraction"].dims if name != "region"]
    bars = []
    for at in np.ndindex(*(ds.sizes[name] for name in swept)):
        one = ds.isel(dict(zip(swept, at, strict=True)))
        said = [f"{words(name)} = {number(float(one[name]))}" for name in swept]
        error = 0.5 * (one["fraction_upper"] - one["fraction_lower"])
        bars.append(
            _Bar(
                ", ".join([label, *said] if label else said),
                one["fraction"].to_numpy(),
                error.to_numpy(),
            )
        )
    return bars


def _number(ax: Axes, left: float, y: int, bar: _Bar, k: int) -> None:
    """Write a share into its part of a bar, with its error, as far as there is room."""
    share, error = 100.0 * bar.shares[k], 100.0 * bar.error[k]
    if share < 8.0:
        return
    width = f"{error:.0f}" if error >= 1.0 else f"{error:.1g}"  # not "1e+01"
    told = share >= 20.0 and error < 50.0  # the interval of one trajectory is all from 0 to 1
    said = f"{share:.0f} ± {width} %" if told else f"{share:.0f} %"
    ax.text(
        left + 0.005 * share,
        y,
        said,
        ha="center",
        va="center",
        fontsize=7.5,
        color="w" if REGIONS[k] in ("ravine", "canal", "concave") else "k",
    )
