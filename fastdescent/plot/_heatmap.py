"""Heat map over two swept hyper-parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.colors import LogNorm, Normalize
from matplotlib.patches import Patch
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator
from numpy.typing import NDArray

from fastdescent.engine.result import STATUS
from fastdescent.errors import InvalidValueError, UnknownNameError
from fastdescent.parts import FloatArray, IntArray
from fastdescent.plot._curves import (
    count,
    evenly,
    hits,
    landscape_and_rule,
    minimum_of,
    numbers,
    results_of,
    swept,
    target_of,
    target_text,
    words,
)
from fastdescent.plot._style import (
    GREY,
    annotate,
    count_axis,
    legend_below,
    log_ticks,
    new_axes,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

__all__ = ["heatmap"]


# A colour bar shows no more than this many decades.
_MOST_DECADES = 16.0


@styled
def heatmap(
    ds: xr.Dataset,
    ax: Axes | None = None,
    *,
    x: str | None = None,
    y: str | None = None,
    value: str = "success",
    target: float | None = None,
    legend: bool = True,
) -> Axes:
    """Draw a statistic of the trajectories over two swept parameters.

    Values that are evenly spaced in their logarithm have a log axis; values that are
    evenly spaced in neither way, such as 0.9, 0.99, 0.999, have cells of equal size.

    Parameters
    ----------
    ds : xarray.Dataset
        A result with two swept parameters.
    ax : matplotlib.axes.Axes, optional
        Where to draw; axes of a new figure by default.
    x, y : str, optional
        Swept parameters; by default the first and the second one, in the result's order.
    value : str
        ``"success"``, the fraction of all trajectories that hit the target;
        ``"median hitting time"`` over all trajectories, grey where fewer than half hit it;
        ``"converged"`` or ``"diverged"``, the fraction that ended so;
        ``"median loss"``, the median of the last loss over all trajectories, diverged ones
        counting as infinite, grey where more than half diverged.
    target : float, optional
        Which of the result's targets; the smallest by default.
    legend : bool
        Whether to explain grey cells below the axes.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InvalidValueError
        If the result has not exactly these two swept parameters, or lacks what `value`
        needs.
    UnknownNameError
        If `x` or `y` is no swept parameter, or `value` is not known.

    Examples
    --------
    >>> import fastdescent as fd
    >>> from fastdescent import plot
    >>> ds = fd.simulate(
    ...     fd.landscapes.Rosenbrock(dim=2, b=[1.0, 10.0, 100.0]),
    ...     fd.optimizers.GradientDescent(learning_rate=[0.0001, 0.001, 0.01]),
    ...     starts=[[-1.2, 1.0], [0.0, 0.0], [0.5, 0.5]],
    ...     steps=1000,
    ... )
    >>> ax = plot.heatmap(ds, x="learning_rate", y="b", value="diverged")
    >>> ax.get_xscale(), ax.get_ylabel()
    ('log', 'b')
    """
    ds = results_of(ds)[""]
    x, y = _names(ds, x, y)
    if value not in _STATISTICS:
        raise UnknownNameError("value", value, _STATISTICS)
    if value in _WITH_TARGET:
        target = target_of([ds], target)
    statistic = _STATISTICS[value](ds, _Cells(y, x), target)
    cells = np.ma.masked_invalid(statistic.cells)
    own, ax = ax is None, new_axes(4.2) if ax is None else ax
    across, up = _Scale.of(ds[x].to_numpy()), _Scale.of(ds[y].to_numpy())
    colours = mpl.colormaps["viridis"].with_extremes(bad=GREY)
    mesh = ax.pcolormesh(
        across.edges,
        up.edges,
        cells[np.ix_(up.order, across.order)],
        norm=_norm(cells, statistic),
        cmap=colours,
        rasterized=True,
    )
    ax.set_xscale("log" if across.kind == "log" else "linear")
    ax.set_yscale("log" if up.kind == "log" else "linear")
    across.apply(ax.xaxis, 7)
    up.apply(ax.yaxis, 12)
    annotate(ax, _title(ds, value, target), own=own, x=words(x), y=words(y))
    extend = "min" if cells.min() < mesh.get_clim()[0] else "neither"
    bar = ax.figure.colorbar(mesh, ax=ax, pad=0.02, aspect=28, extend=extend)
    bar.set_label(statistic.label)
    if isinstance(mesh.norm, LogNorm):
        log_ticks(bar.ax.yaxis, *mesh.get_clim())
    elif value == "median hitting time":
        count_axis(bar.ax.yaxis)
    missing = np.isnan(statistic.cells).any()
    infinite = np.isinf(statistic.cells).any()
    notes = [statistic.infinite] * bool(infinite) + ["no data"] * bool(missing)
    if legend and notes:
        legend_below(ax, [Patch(facecolor=GREY, label=" or ".join(notes))], grow=own)
    return ax


class _Cells(NamedTuple):
    """The two axes of the map; arranges a variable as (y, x, trajectory)."""

    y: str
    x: str

    def __call__(self, values: xr.DataArray) -> FloatArray:
        array = values.transpose(self.y, self.x, "start", ...).to_numpy().astype(float)
        return array.reshape(*array.shape[:2], -1)


class _Statistic(NamedTuple):
    """One number per cell: inf where it is infinite, nan where there is no trajectory."""

    cells: FloatArray
    label: str
    infinite: str = ""


def _share(status: str) -> Callable[[xr.Dataset, _Cells, float | None], _Statistic]:
    def statistic(ds: xr.Dataset, arrange: _Cells, target: float | None) -> _Statistic:
        ended = arrange(ds["status"])
        share = _mean(ended == STATUS[status], ended)
        return _Statistic(share, f"fraction {status}")

    return statistic


def _success(ds: xr.Dataset, arrange: _Cells, target: float | None) -> _Statistic:
    assert target is not None
    times = arrange(hits(ds, target))
    return _Statistic(_mean(times >= 0.0, times), "fraction that hit the target")


def _median_hit(ds: xr.Dataset, arrange: _Cells, target: float | None) -> _Statistic:
    assert target is not None
    times = arrange(hits(ds, target))
    times[times < 0.0] = np.inf
    label = "median hitting time (updates)"
    return _Statistic(_median(times), label, "fewer than half hit the target")


def _median_loss(ds: xr.Dataset, arrange: _Cells, target: float | None) -> _Statistic:
    minimum = minimum_of(ds)
    loss = arrange(ds["loss"]) - (minimum or 0.0)
    ended = arrange(ds["status"])
    loss[(ended == STATUS["diverged"]) | (np.isnan(loss) & ~np.isnan(ended))] = np.inf
    label = "median of the last loss" + ("" if minimum is None else " above the minimum")
    return _Statistic(_median(loss), label, "more than half diverged")


_STATISTICS: dict[str, Callable[[xr.Dataset, _Cells, float | None], _Statistic]] = {
    "success": _success,
    "median hitting time": _median_hit,
    "converged": _share("converged"),
    "diverged": _share("diverged"),
    "median loss": _median_loss,
}
_WITH_TARGET = ("success", "median hitting time")


def _mean(event: NDArray[np.bool_], known: FloatArray) -> FloatArray:
    """Return the share of an event among the trajectories that there are; nan if none."""
    there = ~np.isnan(known)
    number = there.sum(axis=-1)
    share = (event & there).sum(axis=-1) / np.maximum(number, 1)
    return np.where(number > 0, share, np.nan)


def _median(values: FloatArray) -> FloatArray:
    """Return the lower median of the values that there are; nan if none."""
    ordered = np.sort(values, axis=-1)  # nan last
    number = (~np.isnan(ordered)).sum(axis=-1, keepdims=True)
    middle = np.take_along_axis(ordered, np.maximum((number - 1) // 2, 0), axis=-1)
    return middle[..., 0]


class _Scale(NamedTuple):
    """One axis of the map: its cells' edges, the order of its values and its ticks."""

    kind: str
    values: FloatArray
    order: IntArray
    edges: FloatArray

    @classmethod
    def of(cls, values: FloatArray) -> _Scale:
        order = np.argsort(values)
        values = values[order].astype(float)
        kind = _spacing(values)
        places = {"linear": values, "log": np.log(np.abs(values) if kind == "log" else 1.0)}
        place = places.get(kind, np.arange(len(values), dtype=float))
        gaps = np.diff(place) if len(place) > 1 else np.ones(1)
        middle = place[:-1] + 0.5 * np.diff(place)
        ends = place[0] - 0.5 * gaps[0], place[-1] + 0.5 * gaps[-1]
        edges = np.concatenate([ends[:1], middle, ends[1:]])
        return cls(kind, values, order, np.exp(edges) if kind == "log" else edges)

    def apply(self, axis: Axis, most: int) -> None:
        """Put ticks on an axis: at the values if they are few or not regular."""
        count = len(self.values)
        if self.kind != "even" and count > most:
            if self.kind == "log":
                log_ticks(axis, self.edges[0], self.edges[-1])
            return
        shown = evenly(count, most)
        places = shown if self.kind == "even" else self.values[shown]
        axis.set_major_locator(FixedLocator(places.tolist()))
        axis.set_major_formatter(FixedFormatter(numbers(self.values[shown])))
        axis.set_minor_locator(NullLocator())


def _spacing(values: FloatArray) -> str:
    """Return how sorted values are spaced: in their logarithm, linearly, or neither."""
    if len(values) < 2 or not np.isfinite(values).all():
        return "even"
    if values[0] > 0.0 and values[-1] >= 5.0 * values[0] and _regular(np.log(values)):
        return "log"
    return "linear" if _regular(values) else "even"


def _regular(values: FloatArray) -> bool:
    gaps = np.diff(values)
    return bool(gaps.min() > 0.0 and gaps.max() <= 1.6 * gaps.min())


def _norm(cells: Any, statistic: _Statistic) -> Normalize:
    """Return fixed ends for fractions, a log scale for numbers that span decades."""
    if statistic.label.startswith("fraction"):
        return Normalize(0.0, 1.0)
    finite = cells.compressed()
    if not finite.size:
        return Normalize(0.0, 1.0)
    low, high = finite.min(), finite.max()
    if low >= 0.0 and high > 10.0 * low:
        lowest = finite[finite > 10.0**-_MOST_DECADES * high].min()
        return LogNorm(lowest, max(high, 10.0 * lowest), clip=True)
    return Normalize(low, high if high > low else low + 1.0)


def _names(ds: xr.Dataset, x: str | None, y: str | None) -> tuple[str, str]:
    names = swept(ds)
    for name in (x, y):
        if name is not None and name not in names:
            raise UnknownNameError("swept parameter", name, names)
    free = [name for name in names if name not in (x, y)]
    x = free.pop(0) if x is None and free else x
    y = free.pop(0) if y is None and free else y
    if x is None or y is None or x == y:
        raise InvalidValueError(
            "swept parameters of a heat map",
            [name for name in (x, y) if name],
            "two different ones",
            f"the result has {names}",
        )
    if free:
        raise InvalidValueError(
            "swept parameters of a heat map",
            names,
            "two",
            f"select one value of the others first, such as ds.isel({free[0]}=0)",
        )
    return x, y


def _title(ds: xr.Dataset, value: str, target: float | None) -> str:
    head = f"{landscape_and_rule(ds)}: {count(ds):,} trajectories per cell"
    if value not in _WITH_TARGET:
        return head
    return f"{head}\n{target_text(ds, target)}"
