"""Contours of a landscape with the trajectories on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from fastdescent.errors import InvalidValueError
from fastdescent.landscapes import Landscape
from fastdescent.parts import FloatArray
from fastdescent.plot._curves import (
    Curve,
    Results,
    common_landscape,
    curves_of,
    drawn,
    minimum_of,
    needs,
    title,
)
from fastdescent.plot._paths import Path, field_of, inside, paths_of, view_of
from fastdescent.plot._style import (
    MARKS,
    annotate,
    field_colours,
    legend_below,
    log_ticks,
    new_axes,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["contours", "draw_curve", "draw_field", "end_entries"]

_NODES = 301
_ONE_DIMENSION = {"x": r"$\theta$", "y": "loss"}


@styled
def contours(
    results: Results,
    ax: Axes | None = None,
    *,
    trajectories: int = 12,
    levels: int | Sequence[float] = 24,
    view: ArrayLike | None = None,
    critical_points: bool = False,
    legend: bool = True,
) -> Axes:
    """Draw the contours of a landscape and trajectories on them.

    The levels are evenly spaced in the logarithm of the loss above the known minimum; where
    no minimum is known, they are evenly spaced in the loss.  A landscape of one dimension
    is drawn as the curve f(theta), with straight lines between a trajectory's points on it.
    Trajectories that leave the view are cut off by its frame.

    Parameters
    ----------
    results : xarray.Dataset or mapping of str to xarray.Dataset
        Results with `path`, all on one landscape of one or two dimensions.  Each label and
        each value of a swept hyper-parameter has its own colour.
    ax : matplotlib.axes.Axes, optional
        Where to draw; axes of a new figure by default.
    trajectories : int
        The most trajectories that are drawn, from 0 to 200, shared out over the curves: the
        evenly spaced ones of each, at least one.  The title says how many of how many.
    levels : int or sequence of float
        Number of contours, >= 2, or their losses (above the minimum, where it is known).
    view : array_like, shape (dim, 2), optional
        Lower and upper end of each coordinate; by default all starts, the global minima
        and what of the trajectories lies in the landscape's domain.
    critical_points : bool
        Whether to mark all known critical points, not the global minima only.
    legend : bool
        Whether to draw the legend, below the axes.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InvalidValueError
        If the results have no `path`, are on several landscapes or on one of more than two
        dimensions, or an argument is not allowed.

    Examples
    --------
    >>> import fastdescent as fd
    >>> from fastdescent import plot
    >>> ds = fd.simulate(
    ...     fd.landscapes.Rosenbrock(dim=2),
    ...     fd.optimizers.GradientDescent(learning_rate=0.001),
    ...     starts=[[-1.2, 1.0]],
    ...     steps=1000,
    ...     record=fd.record.every(10),
    ... )
    >>> plot.contours(ds).get_title()
    'GradientDescent on Rosenbrock: 1 trajectory'
    """
    curves = curves_of(results)
    for curve in curves:
        needs(curve.ds, "path", "record=fd.record.log_spaced(200)")
    landscape = common_landscape(curves)
    if landscape.dim > 2:
        raise InvalidValueError(
            "landscape",
            landscape,
            "a landscape of one or two dimensions",
            "losses and hitting_times show any dimension",
        )
    chosen = drawn(curves, trajectories)
    ends = view_of(landscape, curves, chosen, view)
    paths = [paths_of(curve, at, ends) for curve, at in zip(curves, chosen, strict=True)]
    minimum = minimum_of(curves[0].ds)
    own = ax is None
    if landscape.dim == 1:
        ax = new_axes(3.6) if ax is None else ax
        draw_curve(ax, landscape, ends)
    else:
        ax = new_axes(4.6, layout="compressed") if ax is None else ax
        draw_field(ax, landscape, ends, minimum, levels)
    _lines(ax, curves, paths)
    marks = _marks(ax, landscape, ends, critical_points)
    axes = {"x": r"$\theta_1$", "y": r"$\theta_2$"} if landscape.dim == 2 else _ONE_DIMENSION
    annotate(ax, title(results, [len(some) for some in paths]), own=own, **axes)
    if legend:
        lines = [curve.entry() for curve in curves if len(curves) > 1]
        legend_below(ax, [*lines, *end_entries(paths, ends), *marks], grow=own)
    return ax


def draw_field(
    ax: Axes,
    landscape: Landscape,
    view: FloatArray,
    minimum: float | None,
    levels: int | Sequence[float],
) -> None:
    x, y, loss = field_of(landscape, view, _NODES)
    above = loss if minimum is None else np.maximum(loss - minimum, 0.0)
    lines = _levels(above, minimum is not None, levels)
    logarithmic = minimum is not None and lines[0] > 0.0
    norm = (LogNorm if logarithmic else Normalize)(lines[0], lines[-1])
    colours = field_colours()
    if logarithmic:  # nodes at the minimum lie below the lowest contour, wherever zero is
        above = np.maximum(above, 1e-3 * lines[0])
    above = np.ma.masked_invalid(above)
    filled = ax.contourf(x, y, above, lines, norm=norm, cmap=colours, extend="both")
    ax.contour(x, y, above, lines, colors="0.25", linewidths=0.35, alpha=0.6)
    bar = ax.figure.colorbar(filled, ax=ax, pad=0.02, aspect=28)
    bar.set_label("loss" if minimum is None else "loss above the minimum")
    if logarithmic:
        log_ticks(bar.ax.yaxis, lines[0], lines[-1])
    else:
        ticks = MaxNLocator(6).tick_values(lines[0], lines[-1])
        bar.set_ticks(ticks[(ticks >= lines[0]) & (ticks <= lines[-1])])
    ax.set(xlim=view[0], ylim=view[1])
    # Equal units make gradients cross contours at right angles; not where it makes a slit.
    width, height = np.ptp(view, axis=1)
    if 0.4 <= width / height <= 2.5:
        ax.set_aspect("equal")


def _levels(above: FloatArray, known: bool, levels: int | Sequence[float]) -> FloatArray:
    if not isinstance(levels, int | np.integer):
        given = np.array(levels, dtype=float)
        if given.ndim != 1 or given.size < 2 or not (np.diff(given) > 0.0).all():
            raise InvalidValueError("levels", levels, "at least two increasing losses")
        return given
    if levels < 2:
        raise InvalidValueError("levels", levels, "an integer >= 2, or increasing losses")
    usable = above[np.isfinite(above) & ((above > 0.0) | (not known))]
    if not usable.size or usable.max() == usable.min():
        return np.linspace(-0.5, 0.5, levels) + (usable.max() if usable.size else 0.0)
    if not known:
        return np.linspace(usable.min(), usable.max(), levels)
    # The lowest contour holds about a thousandth of the view: enough to be seen.
    lowest, highest = float(np.quantile(usable, 1e-3)), float(usable.max())
    if highest < 10.0 * lowest:  # a narrow well in a plain
        lowest = float(usable.min())
    return np.geomspace(max(lowest, 1e-12 * highest), highest, levels)


def draw_curve(ax: Axes, landscape: Landscape, view: FloatArray) -> None:
    x = np.linspace(view[0, 0], view[0, 1], 1001)
    ax.plot(x, landscape.value(x[:, None]), color="0.45", linewidth=2.0, zorder=1)
    ax.set_xlim(view[0])
    ax.set_ylim(*ax.get_ylim())  # trajectories that leave it do not change it


def _lines(ax: Axes, curves: Sequence[Curve], paths: Sequence[Sequence[Path]]) -> None:
    for curve, some in zip(curves, paths, strict=True):
        look: dict[str, Any] = {"color": curve.colour, "zorder": 3}
        mark: dict[str, Any] = {"color": curve.colour, "ls": "", "zorder": 3.5}
        for points, loss, diverged in some:
            if not len(points):
                continue
            x, y = points[:, 0], points[:, -1]
            if points.shape[1] == 1:
                y = loss
                look.update(linewidth=0.7, alpha=0.7, marker=".", ms=3.0)
            else:  # white below all lines, so that no line hides another one
                ax.plot(x, y, color="white", linewidth=2.6, alpha=0.7, zorder=2.5)
                look.update(linewidth=1.2)
            ax.plot(x, y, linestyle=curve.line_style, **look)
            ax.plot(x[0], y[0], marker="o", ms=5.5, mfc="white", mew=1.2, **mark)
            if not diverged:
                ax.plot(x[-1], y[-1], marker="s", ms=4.2, mec="white", mew=0.4, **mark)


def _marks(ax: Axes, landscape: Landscape, view: FloatArray, every_kind: bool) -> list[Line2D]:
    """Mark the critical points in view, and return a legend entry for each kind."""
    minima = np.zeros((0, landscape.dim)) if landscape.minima is None else landscape.minima
    found: dict[str, list[FloatArray]] = {"global": list(minima)}
    for point in landscape.critical_points() if every_kind else []:
        near = np.abs(minima - point.position).max(axis=1, initial=0.0)
        if not (near <= 1e-9 * np.ptp(view)).any():
            kind = "unknown maximum" if point.kind == "maximum" else point.kind
            found.setdefault(kind, []).append(point.position)
    handles = []
    for kind, positions in found.items():
        places = np.array(positions).reshape(-1, landscape.dim)
        places = places[inside(places, view)]
        if not len(places):
            continue
        marker, face, name = MARKS[kind]
        size = 11 if marker == "*" else 7
        y = places[:, 1] if landscape.dim == 2 else landscape.value(places)
        (mark,) = ax.plot(
            places[:, 0], y, marker, ms=size, mfc=face, mec="black", mew=0.8, zorder=4, label=name
        )
        handles.append(mark)
    return handles


def end_entries(paths: Sequence[Sequence[Path]], view: FloatArray) -> list[Line2D]:
    """Return the legend's entries for those ends of trajectories that are in view."""
    look: dict[str, Any] = {"color": "0.3", "ls": ""}
    start = Line2D([], [], marker="o", ms=5.5, mfc="white", mew=1.2, label="start", **look)
    end = Line2D([], [], marker="s", ms=4.2, mec="white", mew=0.4, label="end", **look)
    shown = [path for some in paths for path in some if len(path.points)]
    entries = [start] if any(inside(path.points[0], view) for path in shown) else []
    if any(not path.diverged and inside(path.points[-1], view) for path in shown):
        entries.append(end)
    return entries
