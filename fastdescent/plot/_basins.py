"""Maps of basins of attraction and of the time to get there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.colors import LogNorm, Normalize, to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator

from fastdescent.errors import InvalidValueError
from fastdescent.geometry.attractors import REST_POINT
from fastdescent.geometry.basins import OUTCOME, grid_shape
from fastdescent.parts import FloatArray, IntArray
from fastdescent.plot._curves import evenly, landscape_and_rule, numbers, words
from fastdescent.plot._style import (
    GREY,
    MARKS,
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

__all__ = [
    "OTHERS",
    "Plane",
    "attractor_colours",
    "attractor_name",
    "basin_times",
    "basins",
    "draw_marks",
    "map_axes",
    "outcome_name",
    "plane_of",
    "run_title",
    "show",
]

# Okabe and Ito (2008) without black and grey, the strongest contrasts first.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
# A little white, so that marks and boundaries stand out.
_WHITE = 0.2
# What has no attractor: dark where it is lost, light where it is not finished.
OTHERS = {
    "diverged": "0.15",
    "cycling": "0.45",
    "moving": GREY,
    "resting": "0.9",
    "converged": "1.0",
}
# Share of the ends whose losses have a colour of their own.
_SHOWN = 0.99
# Most ticks on an axis of rows.
_MOST_TICKS = 12
# More attractors than this are dots: their marks would hide the map.
_MOST_MARKS = 30
_WORDS = {
    "converged": "converged elsewhere",
    "moving": "still moving",
    "resting": "at rest elsewhere",
}
# Who is at an attractor at the end of the budget without having passed the test.
_UNTIMED = ("there, time not known", "#CFE0F3")
_REST_MARK = ("s", "#F0E442", "rest point of the rule")


class Plane(NamedTuple):
    """A map's two axes; arranges its variables as (y, x)."""

    ds: xr.Dataset
    shape: tuple[int, ...]
    x: FloatArray
    y: FloatArray
    labels: tuple[str, str]
    swept: str = ""

    def cells(self, name: str) -> Any:
        """Return a variable along ``start``, and along the swept parameter that is an axis."""
        array = self.ds[name]
        if not self.swept:
            return array.to_numpy().reshape(self.shape).T
        if self.swept not in array.dims:
            return np.broadcast_to(array.to_numpy(), (len(self.y), len(self.x)))
        return array.transpose(self.swept, "start").to_numpy()


@styled
def basins(ds: xr.Dataset, ax: Axes | None = None, *, legend: bool = True) -> Axes:
    """Draw which attractor each start of a grid reaches.

    Up to seven attractors have a colour each, with their share of the starts in the legend;
    if more of them are reached, they are coloured by loss, up to that of 99 % of the ends.
    Starts that reach none are grey: nearly black where they diverge.  On a grid of one dimension
    the swept parameter is the second axis.

    Parameters
    ----------
    ds : xarray.Dataset
        A result of `geometry.basins` on a grid: of two dimensions and with one value of each
        swept parameter, or of one dimension with one swept parameter.
    ax : matplotlib.axes.Axes, optional
        Where to draw; axes of a new figure by default.  A figure of several maps has room for
        their legends with ``layout="compressed"``.
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
    plane = plane_of(ds)
    own, ax = ax is None, map_axes() if ax is None else ax
    attractor = plane.cells("attractor")
    image = np.ones((*attractor.shape, 3))
    rows, colours = attractor_colours(ds, _WHITE)
    reached = attractor >= 0
    if not rows.size and reached.any():
        norm, above = _loss_norm(ds)
        scale = mpl.cm.ScalarMappable(norm, "viridis")
        bar = ax.figure.colorbar(scale, ax=ax, pad=0.02, aspect=28, extend=above)
        bar.set_label("loss at the attractor")
    image[reached] = colours[attractor[reached]]
    handles = _entries(ds, attractor, rows, colours)
    handles += _paint_others(image, plane, ~reached)
    show(ax, image, plane)
    handles += draw_marks(ax, ds, plane)
    title = f"{run_title(ds)}: basins of attraction"
    annotate(ax, title, own=own, x=plane.labels[0], y=plane.labels[1])
    if legend:
        legend_below(ax, handles, grow=own)
    return ax


@styled
def basin_times(ds: xr.Dataset, ax: Axes | None = None, *, legend: bool = True) -> Axes:
    """Draw how many updates each start of a grid needs to reach its attractor.

    The colours are logarithmic.  Starts that reach no attractor are grey as in `basins`; those
    that come there without passing the stopping test are pale blue: nobody saw when.

    Parameters
    ----------
    ds : xarray.Dataset
        A result of `geometry.basins` on a grid, as in `basins`.
    ax : matplotlib.axes.Axes, optional
        Where to draw, as in `basins`; axes of a new figure by default.
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
    plane = plane_of(ds)
    own, ax = ax is None, map_axes() if ax is None else ax
    attractor, outcome = plane.cells("attractor"), plane.cells("outcome")
    image = np.ones((*attractor.shape, 3))
    reached = (attractor >= 0) & (outcome == OUTCOME["converged"])
    handles = _paint_others(image, plane, ~reached)
    if reached.any():
        times = np.maximum(plane.cells("steps")[reached], 1)  # a start at rest has no logarithm
        low, high = float(times.min()), float(max(times.max(), times.min() + 1))
        norm = LogNorm(low, high)
        image[reached] = mpl.colormaps["viridis"](norm(times))[:, :3]
        scale = mpl.cm.ScalarMappable(norm, "viridis")
        bar = ax.figure.colorbar(scale, ax=ax, pad=0.02, aspect=28)
        bar.set_label("updates")
        log_ticks(bar.ax.yaxis, low, high)
    show(ax, image, plane)
    handles += draw_marks(ax, ds, plane)
    title = f"{run_title(ds)}: updates until an attractor is reached"
    annotate(ax, title, own=own, x=plane.labels[0], y=plane.labels[1])
    if legend:
        legend_below(ax, handles, grow=own)
    return ax


def map_axes() -> Any:
    """Return axes of a new figure for a map."""
    return new_axes(4.6, layout="compressed")


def attractor_colours(ds: xr.Dataset, white: float) -> tuple[IntArray, FloatArray]:
    """Return which attractors have a colour of their own, and the colour (basin, 3) of each.

    It is mixed with a share of white.  Where there are many attractors, those that are reached
    have colours if they are few; else none has, and all are coloured by loss.
    """
    rows = np.arange(ds.sizes["basin"])
    if len(rows) > len(_COLOURS):
        rows = np.unique(_reached(ds))
    if len(rows) > len(_COLOURS):
        shades = np.asarray(mpl.colormaps["viridis"](_loss_norm(ds)[0](ds["attractor_value"])))
        return rows[:0], shades[:, :3]
    colours = np.ones((ds.sizes["basin"], 3))
    solid = np.array([to_rgb(colour) for colour in _COLOURS[: len(rows)]]).reshape(-1, 3)
    colours[rows] = (1.0 - white) * solid + white
    return rows, colours


def _reached(ds: xr.Dataset) -> IntArray:
    """Return the attractor that each trajectory reaches that reaches one."""
    labels = [ds[name].to_numpy() for name in ("attractor", "flow_attractor") if name in ds]
    every = np.concatenate([array.ravel() for array in labels])
    return every[every >= 0]


def _loss_norm(ds: xr.Dataset) -> tuple[Normalize, str]:
    """Return the range of colours, and whether a bar needs an arrow for losses above it.

    Few trajectories can be thrown very far: they shall not take all colours from the others.
    """
    values = ds["attractor_value"].to_numpy()
    low = values.min()
    high = max(np.quantile(values[_reached(ds)], _SHOWN), np.nextafter(low, np.inf))
    return Normalize(low, high), "max" if high < values.max() else "neither"


def run_title(ds: xr.Dataset) -> str:
    """Return rule, landscape and the value of each swept parameter that has one only."""
    values = {
        words(str(name)): number(value.item())
        for name, value in ds["attractor"].coords.items()
        if value.size == 1 and value.dtype.kind in "fiu" and name not in ("start", "seed")
    }
    return ", ".join([landscape_and_rule(ds), *(f"{name} = {x}" for name, x in values.items())])


def plane_of(ds: xr.Dataset) -> Plane:
    """Return the axes of a map, if the dataset is one."""
    shape = grid_shape(ds)
    swept = [str(name) for name in ds["attractor"].dims if name != "start"]
    single = [name for name in swept if ds.sizes[name] == 1]
    # A map of one dimension needs an axis more, be it of one value.
    kept = swept[-1:] if len(shape) == 1 and single == swept else []
    ds = ds.squeeze([name for name in single if name not in kept])
    swept = [name for name in swept if name in ds["attractor"].dims]
    if (len(shape), len(swept)) not in ((2, 0), (1, 1)):
        raise InvalidValueError(
            "ds",
            f"a grid of {len(shape)} dimensions and axes {swept}",
            "a grid of two dimensions, or of one dimension with one swept parameter",
            f"select one value, such as ds.isel({swept[0]}=0)" if swept else "",
        )
    initial = ds["initial"].to_numpy()
    if len(shape) == 2:
        x, y = initial[:: shape[1], 0], initial[: shape[1], 1]
        return Plane(ds, shape, x, y, (r"$\theta_1$", r"$\theta_2$"))
    x, y = initial[:, 0], ds[swept[0]].to_numpy()
    return Plane(ds, shape, x, y, (r"$\theta$", words(swept[0])), swept[0])


def outcome_name(outcome: str) -> str:
    """Return what legends call an outcome without attractor."""
    return _WORDS.get(outcome, outcome)


def attractor_name(position: FloatArray) -> str:
    """Return the place of an attractor as text."""
    place = (number(x, 3).replace("-", "\N{MINUS SIGN}") for x in position + 0.0)
    return f"({', '.join(place)})"


def _entries(ds: xr.Dataset, attractor: IntArray, rows: IntArray, colours: FloatArray) -> list[Any]:
    """Return a legend entry for each attractor with a colour: its place and its share."""
    entries = []
    for k in rows.tolist():
        place = attractor_name(ds["attractor_position"].to_numpy()[k])
        label = f"{place}  {percent(int(np.count_nonzero(attractor == k)), attractor.size)}"
        entries.append(Patch(facecolor=tuple(colours[k]), label=label))
    return entries


def _paint_others(image: Any, plane: Plane, left: Any) -> list[Any]:
    """Paint the starts that are left by their outcomes; return their legend entries."""
    attractor, outcome = plane.cells("attractor"), plane.cells("outcome")
    groups = [
        (outcome_name(name), colour, left & (attractor < 0) & (outcome == OUTCOME[name]))
        for name, colour in OTHERS.items()
    ]
    entries = []
    for label, colour, cells in [*groups, (*_UNTIMED, left & (attractor >= 0))]:
        if cells.any():
            image[cells] = to_rgb(colour)
            share = percent(int(np.count_nonzero(cells)), cells.size)
            entries.append(Patch(facecolor=colour, edgecolor="0.6", label=f"{label}  {share}"))
    return entries


def show(ax: Axes, image: Any, plane: Plane) -> None:
    """Draw the cells around the starts, without borders; uneven swept values have equal rows."""
    y = plane.y
    even = not plane.swept or np.allclose(np.diff(y), (y[-1] - y[0]) / max(len(y) - 1, 1))
    y = y if even else np.arange(len(y), dtype=float)
    (left, right), (bottom, top) = _ends(plane.x), _ends(y)
    ax.imshow(image, origin="lower", extent=(left, right, bottom, top), aspect="auto")
    if not plane.swept and 0.4 <= (right - left) / (top - bottom) <= 2.5:
        ax.set_aspect("equal")
    if not even:
        ax.set_yticks(*_row_ticks(plane.y))


def _row_ticks(values: FloatArray) -> tuple[list[float], list[str]]:
    """Return where rows of equal height have ticks, and their labels.

    Many rows that are evenly spaced in their logarithm have those of a log axis, others the
    values of some rows.
    """
    if len(values) > _MOST_TICKS and values[0] > 0.0 and values[-1] > values[0]:
        place, rows = np.log(values), np.arange(len(values))
        if np.allclose(np.diff(place), (place[-1] - place[0]) / (len(values) - 1), rtol=1e-3):
            subs = (1.0, 2.0, 5.0) if values[-1] < 1e3 * values[0] else (1.0,)
            ticks = LogLocator(subs=subs, numticks=30).tick_values(values[0], values[-1])
            inside = (ticks >= 0.999 * values[0]) & (ticks <= 1.001 * values[-1])
            return np.interp(np.log(ticks[inside]), place, rows).tolist(), numbers(ticks[inside])
    shown = evenly(len(values), _MOST_TICKS)
    return shown.tolist(), numbers(values[shown])


def _ends(nodes: FloatArray) -> tuple[float, float]:
    """Return the ends of the cells around evenly spaced nodes."""
    half = 0.5 * (nodes[-1] - nodes[0]) / max(len(nodes) - 1, 1) or 0.5
    return float(nodes[0] - half), float(nodes[-1] + half)


def draw_marks(ax: Axes, ds: xr.Dataset, plane: Plane) -> list[Any]:
    """Mark the attractors in view; return a legend entry for each kind."""
    if plane.swept:
        return []
    handles = []
    positions, kinds = ds["attractor_position"].to_numpy(), ds["attractor_kind"].to_numpy()
    view = ax.axis()
    for kind in dict.fromkeys(kinds.tolist()):
        marker, face, name = _mark(kind)
        look: dict[str, Any] = {"marker": marker, "mfc": face, "mec": "black", "ls": ""}
        look |= {"ms": 11 if marker == "*" else 6, "mew": 0.8}
        if len(kinds) > _MOST_MARKS:
            look |= {"marker": "o", "ms": 2.5, "mew": 0.4}
        ax.plot(*positions[kinds == kind].T, zorder=4, **look)
        handles.append(Line2D([], [], label=name, **look))
    ax.axis(view)
    return handles


def _mark(kind: str) -> tuple[str, str, str]:
    """Return marker, colour and name of a kind of attractor."""
    if kind == REST_POINT:
        return _REST_MARK
    marker, _, _ = MARKS.get(kind, ("P", "", ""))
    return marker, "white", kind  # which no basin is
