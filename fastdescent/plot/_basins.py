"""Maps of basins of attraction and of the time to get there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.colors import LogNorm, Normalize, to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fastdescent.errors import InvalidValueError
from fastdescent.geometry.basins import OUTCOME, grid_shape
from fastdescent.parts import FloatArray
from fastdescent.plot._contours import MARKS
from fastdescent.plot._curves import evenly, landscape_and_rule, numbers, words
from fastdescent.plot._style import (
    GREY,
    annotate,
    legend_below,
    log_ticks,
    new_axes,
    number,
    percent,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["basin_times", "basins"]

# Okabe and Ito (2008) without black and grey, the strongest contrasts first.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
# A little white, so that marks and boundaries stand out.
_WHITE = 0.2
# What has no attractor: dark where it is lost, light where it is not finished.
_OTHERS = {"diverged": "0.15", "cycling": "0.45", "moving": GREY, "converged": "1.0"}
# More attractors than this are dots: their marks would hide the map.
_MOST_MARKS = 30
_WORDS = {"converged": "converged elsewhere", "moving": "still moving"}


class _Plane(NamedTuple):
    """A map's two axes, and its variables arranged as (y, x)."""

    attractor: Any
    outcome: Any
    steps: Any
    x: FloatArray
    y: FloatArray
    labels: tuple[str, str]
    dim: int


@styled
def basins(ds: xr.Dataset, ax: Axes | None = None, *, legend: bool = True) -> Axes:
    """Draw which attractor each start of a grid reaches.

    Up to seven attractors have a colour each, with their share of the starts in the legend;
    more of them are coloured by their loss.  Starts that reach none are grey: nearly black
    where they diverge.  On a grid of one dimension the swept parameter is the second axis.

    Parameters
    ----------
    ds : xarray.Dataset
        A result of `geometry.basins` on a grid: of two dimensions and with one value of each
        swept parameter, or of one dimension with one swept parameter.
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
        If the dataset is no such map.

    Examples
    --------
    >>> import fastdescent as fd
    >>> from fastdescent.geometry.basins import basins as map_of
    >>> rule = fd.optimizers.GradientDescent(learning_rate=0.002)
    >>> ds = map_of(fd.landscapes.Himmelblau(), rule, fd.starts.Grid(counts=20), steps=2000)
    >>> basins(ds).get_title()
    'GradientDescent on Himmelblau: basins of attraction'
    """
    plane = _plane(ds)
    own, ax = ax is None, _axes() if ax is None else ax
    many = ds.sizes["basin"] > len(_COLOURS)
    image = np.ones((*plane.attractor.shape, 3))
    if many:
        values = ds["attractor_value"].to_numpy()
        norm = Normalize(values.min(), max(values.max(), np.nextafter(values.min(), np.inf)))
        colours = mpl.colormaps["viridis"](norm(values))[:, :3]
        scale = mpl.cm.ScalarMappable(norm, "viridis")
        ax.figure.colorbar(scale, ax=ax, pad=0.02, aspect=28).set_label("loss at the attractor")
    else:
        solid = [to_rgb(colour) for colour in _COLOURS[: ds.sizes["basin"]]]
        colours = (1.0 - _WHITE) * np.array(solid).reshape(-1, 3) + _WHITE
    reached = plane.attractor >= 0
    image[reached] = colours[plane.attractor[reached]]
    handles = [] if many else _entries(ds, plane, colours)
    handles += _paint_others(image, plane)
    _show(ax, image, plane)
    handles += _marks(ax, ds, plane)
    title = f"{_run(ds)}: basins of attraction"
    annotate(ax, title, own=own, x=plane.labels[0], y=plane.labels[1])
    if legend:
        legend_below(ax, handles, grow=own)
    return ax


@styled
def basin_times(ds: xr.Dataset, ax: Axes | None = None, *, legend: bool = True) -> Axes:
    """Draw how many updates each start of a grid needs to reach its attractor.

    The colours are logarithmic.  Starts that reach no attractor are grey as in `basins`.

    Parameters
    ----------
    ds : xarray.Dataset
        A result of `geometry.basins` on a grid, as in `basins`.
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
        If the dataset is no such map.

    Examples
    --------
    >>> import fastdescent as fd
    >>> from fastdescent.geometry.basins import basins as map_of
    >>> rule = fd.optimizers.GradientDescent(learning_rate=0.002)
    >>> ds = map_of(fd.landscapes.Himmelblau(), rule, fd.starts.Grid(counts=20), steps=2000)
    >>> basin_times(ds).get_title()
    'GradientDescent on Himmelblau: updates until an attractor is reached'
    """
    plane = _plane(ds)
    own, ax = ax is None, _axes() if ax is None else ax
    image = np.ones((*plane.attractor.shape, 3))
    reached = plane.attractor >= 0
    handles = _paint_others(image, plane)
    if reached.any():
        times = np.maximum(plane.steps[reached], 1)  # a start at rest there has no logarithm
        low, high = float(times.min()), float(max(times.max(), times.min() + 1))
        norm = LogNorm(low, high)
        image[reached] = mpl.colormaps["viridis"](norm(times))[:, :3]
        scale = mpl.cm.ScalarMappable(norm, "viridis")
        bar = ax.figure.colorbar(scale, ax=ax, pad=0.02, aspect=28)
        bar.set_label("updates")
        log_ticks(bar.ax.yaxis, low, high)
    _show(ax, image, plane)
    handles += _marks(ax, ds, plane)
    title = f"{_run(ds)}: updates until an attractor is reached"
    annotate(ax, title, own=own, x=plane.labels[0], y=plane.labels[1])
    if legend:
        legend_below(ax, handles, grow=own)
    return ax


def _axes() -> Any:
    return new_axes(4.6, layout="compressed")


def _run(ds: xr.Dataset) -> str:
    """Return rule, landscape and the value of each swept parameter that has one only."""
    values = {
        words(str(name)): number(value.item())
        for name, value in ds["attractor"].coords.items()
        if value.size == 1 and value.dtype.kind in "fiu" and name not in ("start", "seed")
    }
    return ", ".join([landscape_and_rule(ds), *(f"{name} = {x}" for name, x in values.items())])


def _plane(ds: xr.Dataset) -> _Plane:
    shape = grid_shape(ds)
    ds = ds.squeeze([name for name in ds["attractor"].dims if ds.sizes[name] == 1 != name])
    swept = [str(name) for name in ds["attractor"].dims if name != "start"]
    if (len(shape), len(swept)) not in ((2, 0), (1, 1)):
        raise InvalidValueError(
            "ds",
            f"a grid of {len(shape)} dimensions and axes {swept}",
            "a grid of two dimensions, or of one dimension with one swept parameter",
            f"select one value, such as ds.isel({swept[0]}=0)" if swept else "",
        )
    initial, names = ds["initial"].to_numpy(), ("attractor", "outcome", "steps")
    if len(shape) == 2:
        x, y = initial[:: shape[1], 0], initial[: shape[1], 1]
        labels = (r"$\theta_1$", r"$\theta_2$")
        arrays = {name: ds[name].to_numpy().reshape(shape).T for name in names}
    else:
        x, y = initial[:, 0], ds[swept[0]].to_numpy()
        labels = (r"$\theta$", words(swept[0]))
        order = (swept[0], "start")
        arrays = {name: ds[name].transpose(*order).to_numpy() for name in names}
    return _Plane(**arrays, x=x, y=y, labels=labels, dim=len(shape))


def _entries(ds: xr.Dataset, plane: _Plane, colours: FloatArray) -> list[Any]:
    """Return a legend entry for each attractor that is reached: its place and its share."""
    entries = []
    for k, position in enumerate(ds["attractor_position"].to_numpy()):
        count = int(np.count_nonzero(plane.attractor == k))
        place = ", ".join(number(x, 3).replace("-", "\N{MINUS SIGN}") for x in position + 0.0)
        label = f"({place})  {percent(count, plane.attractor.size)}"
        entries.append(Patch(facecolor=tuple(colours[k]), label=label))
    return entries


def _paint_others(image: Any, plane: _Plane) -> list[Any]:
    """Paint the starts that reach no attractor; return their legend entries."""
    entries = []
    for name, colour in _OTHERS.items():
        cells = (plane.attractor < 0) & (plane.outcome == OUTCOME[name])
        if cells.any():
            image[cells] = to_rgb(colour)
            share = percent(int(np.count_nonzero(cells)), cells.size)
            label = f"{_WORDS.get(name, name)}  {share}"
            entries.append(Patch(facecolor=colour, edgecolor="0.6", label=label))
    return entries


def _show(ax: Axes, image: Any, plane: _Plane) -> None:
    """Draw the cells around the starts, without borders; uneven swept values have equal rows."""
    y = plane.y
    even = plane.dim == 2 or np.allclose(np.diff(y), (y[-1] - y[0]) / max(len(y) - 1, 1))
    y = y if even else np.arange(len(y), dtype=float)
    (left, right), (bottom, top) = _ends(plane.x), _ends(y)
    ax.imshow(image, origin="lower", extent=(left, right, bottom, top), aspect="auto")
    if plane.dim == 2 and 0.4 <= (right - left) / (top - bottom) <= 2.5:
        ax.set_aspect("equal")
    if not even:
        shown = evenly(len(y), 12)
        ax.set_yticks(shown.tolist(), numbers(plane.y[shown]))


def _ends(nodes: FloatArray) -> tuple[float, float]:
    """Return the ends of the cells around evenly spaced nodes."""
    half = 0.5 * (nodes[-1] - nodes[0]) / max(len(nodes) - 1, 1) or 0.5
    return float(nodes[0] - half), float(nodes[-1] + half)


def _marks(ax: Axes, ds: xr.Dataset, plane: _Plane) -> list[Any]:
    """Mark the attractors in view; return a legend entry for each kind."""
    if plane.dim == 1:
        return []
    handles = []
    positions, kinds = ds["attractor_position"].to_numpy(), ds["attractor_kind"].to_numpy()
    view = ax.axis()
    for kind in dict.fromkeys(kinds.tolist()):
        marker, face, _ = MARKS.get(kind, ("P", "white", ""))
        look: dict[str, Any] = {"marker": marker, "mfc": face, "mec": "black", "ls": ""}
        look |= {"ms": 11 if marker == "*" else 6, "mew": 0.8}
        if len(kinds) > _MOST_MARKS:
            look |= {"marker": "o", "ms": 2.5, "mew": 0.4}
        ax.plot(*positions[kinds == kind].T, zorder=4, **look)
        handles.append(Line2D([], [], label=kind, **look))
    ax.axis(view)
    return handles
