"""Eigenvalues of the Hessian along paths, and the edge of stability."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import SymmetricalLogLocator

from fastdescent.errors import InvalidValueError
from fastdescent.geometry._dataset import checked_dataset
from fastdescent.parts import FloatArray, IntArray
from fastdescent.plot._curves import evenly, landscape_and_rule, numbers, words
from fastdescent.plot._losses import step_axis
from fastdescent.plot._style import (
    MOST_CURVES,
    annotate,
    colour,
    legend_below,
    line_style,
    log_ticks,
    new_axes,
    number,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["spectra"]

_MOST_EIGENVALUES = 40
_MOST_RECORDS = 2000
_LEVELS = (0.10, 0.50, 0.90)
# The axis shows no more than this factor beyond the start and the limit, ...
_MOST_GROWTH = 100.0
# ... and is logarithmic where 95 % of the eigenvalues span more than this factor, ...
_SPAN = 30.0
# ... linear about zero below the largest one over this.
_MOST_RANGE = 1e4


class _Cell(NamedTuple):
    """One value of every swept parameter: its name, eigenvalues (trajectory, record, k), limit."""

    label: str
    values: FloatArray
    limit: float


@styled
def spectra(ds: xr.Dataset, ax: Axes | None = None, *, legend: bool = True) -> Axes:
    """Draw the Hessian's eigenvalues along paths against steps.

    Of a single trajectory all eigenvalues are drawn, or 40 of them evenly chosen, the largest and
    the smallest in colour; of several trajectories, or several values of a swept parameter, the
    median of the sharpness and a band from the 10 to the 90 % quantile.  A trajectory counts up
    to its last step.  The rule's stability limit, where it has one, is dashed: above it a
    quadratic would be unstable, and gradient descent that stays close to it is at the edge of
    stability.

    Parameters
    ----------
    ds : xarray.Dataset
        A result of `fastdescent.geometry.spectrum_along`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; axes of a new figure by default.
    legend : bool
        Whether to draw the legend.

    Returns
    -------
    matplotlib.axes.Axes
        The eigenvalues are on a log axis where they span more than a factor of 30, one that is
        linear about zero where they have both signs.

    Raises
    ------
    InvalidValueError
        If the dataset is another one, or makes too many curves.

    References
    ----------
    Cohen, Kaur, Li, Kolter and Talwalkar (2021), ICLR, arXiv 2103.00065, figure 1.

    Examples
    --------
    >>> import fastdescent as fd
    >>> from fastdescent.geometry.spectra import spectrum_along
    >>> product = fd.landscape("(x*y - 1)**2 / 2")
    >>> ds = fd.simulate(product, fd.optimizers.GradientDescent(learning_rate=0.2),
    ...                  starts=[[3.5, 1.0]], steps=50, record=fd.record.every(1))
    >>> spectra(spectrum_along(ds, product)).get_ylabel()
    'eigenvalues of the Hessian'
    """
    cells = _cells(ds)
    walked = max(_records(cell.values) for cell in cells)
    steps = np.asarray(ds["step"].to_numpy())[:walked]
    kept = evenly(len(steps), _MOST_RECORDS)
    single = len(cells) == 1 and len(cells[0].values) == 1
    own, ax = ax is None, new_axes(3.4) if ax is None else ax
    if single:
        values = cells[0].values[0][kept]
        handles = _draw_all(ax, steps[kept], values[:, evenly(values.shape[1], _MOST_EIGENVALUES)])
        shown = [values]
    else:
        quantiles = [_quantiles(cell.values[:, kept, -1]) for cell in cells]
        handles = [_draw_cell(ax, i, cells[i], steps[kept], q) for i, q in enumerate(quantiles)]
        shown = [q.T for q in quantiles]
        if any(len(cell.values) > 1 for cell in cells):
            handles.append(Patch(facecolor="0.4", alpha=0.18, label="10 to 90 % quantile"))
    handles += _draw_limits(ax, cells, single)
    limits = np.array([cell.limit for cell in cells])
    _scale(ax, shown, limits[np.isfinite(limits)])
    step_axis(ax, steps)
    height = "eigenvalues of the Hessian" if single else "sharpness (largest eigenvalue)"
    annotate(ax, _title(ds, cells), own=own, x="steps (updates)", y=height)
    if legend:
        legend_below(ax, handles, grow=own)
    return ax


def _cells(ds: xr.Dataset) -> list[_Cell]:
    """Return what is drawn, one cell for each value of the swept parameters."""
    source = "fastdescent.geometry.spectrum_along"
    checked_dataset("ds", ds, ("eigenvalues", "sharpness", "step", "steps"), source)
    over = [str(name) for name in ds["sharpness"].dims]
    names = [name for name in over if name not in ("start", "seed", "record")]
    number_of_cells = int(np.prod([ds.sizes[name] for name in names], dtype=np.int64))
    if number_of_cells > MOST_CURVES:
        raise InvalidValueError(
            "number of curves",
            number_of_cells,
            f"at most {MOST_CURVES}",
            f"select some values first, such as ds.isel({names[0]}=[0, 1])",
        )
    walked = ds["eigenvalues"].where(ds["step"] <= ds["steps"])
    texts = {name: numbers(ds[name].to_numpy()) for name in names}
    found = []
    for place in np.ndindex(*(ds.sizes[name] for name in names)):
        at = dict(zip(names, place, strict=True))
        label = ", ".join(f"{words(name)} = {texts[name][i]}" for name, i in at.items())
        values = walked.isel(at).transpose(..., "record", "eigenvalue").to_numpy()
        limit = np.nan
        if "stability_limit" in ds:
            limit = float(ds["stability_limit"].isel(at, missing_dims="ignore"))
        found.append(_Cell(label, values.reshape(-1, *values.shape[-2:]), limit))
    return found


def _records(values: FloatArray) -> int:
    """Return up to which record some trajectory goes on; at least one."""
    known = np.flatnonzero(np.isfinite(values).any(axis=(0, 2)))
    return int(known.max(initial=0)) + 1


def _quantiles(sharpness: FloatArray) -> FloatArray:
    """Return quantiles over the trajectories that still go on, shape (3, records)."""
    found = np.full((len(_LEVELS), sharpness.shape[1]), np.nan)
    for record, column in enumerate(sharpness.T):
        known = column[~np.isnan(column)]
        if known.size:
            found[:, record] = np.quantile(known, _LEVELS, method="inverted_cdf")
    return found


def _draw_all(ax: Axes, steps: IntArray, values: FloatArray) -> list[Any]:
    """Draw each eigenvalue of one trajectory; return the legend's entries."""
    last = values.shape[1] - 1
    handles = [ax.plot(steps, values[:, last], color=colour(0), label="largest")[0]]
    if last > 0:
        lowest = ax.plot(
            steps, values[:, 0], color=colour(1), linestyle=line_style(1), label="smallest"
        )
        handles += lowest
    if last > 1:
        ax.plot(steps, values[:, 1:last], color="0.65", linewidth=0.7, zorder=1)
        handles.append(Line2D([], [], color="0.65", linewidth=0.7, label="others"))
    return handles


def _draw_cell(ax: Axes, index: int, cell: _Cell, steps: IntArray, quantiles: FloatArray) -> Any:
    """Draw the sharpness of one cell; return the legend's entry."""
    low, median, high = quantiles
    if len(cell.values) > 1:
        ax.fill_between(steps, low, high, color=colour(index), alpha=0.18, linewidth=0.0)
    return ax.plot(steps, median, color=colour(index), label=cell.label or "median")[0]


def _draw_limits(ax: Axes, cells: list[_Cell], single: bool) -> list[Any]:
    """Draw each limit, in the colour of its curve; return the legend's entries."""
    limits = {cell.limit for cell in cells if np.isfinite(cell.limit)}
    if not limits:
        return []
    look: dict[str, Any] = {"linestyle": (0, (4, 2)), "linewidth": 1.0, "zorder": 1.5}
    for index, cell in enumerate(cells):
        shared = single or len(limits) == 1
        ax.axhline(cell.limit, color="0.2" if shared else colour(index), **look)
    text = f"stability limit {number(limits.pop())}" if len(limits) == 1 else "stability limits"
    return [Line2D([], [], color="0.2", label=text, **look)]


def _scale(ax: Axes, shown: list[FloatArray], limits: FloatArray) -> None:
    """Choose a log axis, one that is linear about zero, or a linear one."""
    drawn = np.concatenate([values.ravel() for values in shown])
    drawn = np.append(drawn[np.isfinite(drawn)], limits)
    if not drawn.size:
        return
    first = np.concatenate([values[0] for values in shown])
    near = np.append(first[np.isfinite(first)], limits)
    most = _MOST_GROWTH * max(np.abs(near).max(initial=0.0), np.finfo(float).tiny)
    low, high = max(drawn.min(), -most), min(drawn.max(), most)
    sizes = np.abs(drawn[(drawn != 0.0) & (np.abs(drawn) <= most)])
    large = sizes.max(initial=np.finfo(float).tiny)
    small = max(np.quantile(sizes, 0.05) if sizes.size else large, large / _MOST_RANGE)
    wide = large > _SPAN * small
    if wide and low > 0.0:
        ax.set_yscale("log")
        ax.set_ylim(low / 1.5, high * 1.5)
        log_ticks(ax.yaxis, low / 1.5, high * 1.5)
    elif wide:
        threshold = 10.0 ** np.ceil(np.log10(small))
        ax.set_yscale("symlog", linthresh=threshold)
        ticks = SymmetricalLogLocator(base=10.0, linthresh=threshold)
        ticks.set_params(numticks=9)
        ax.yaxis.set_major_locator(ticks)
        ax.set_ylim(min(1.5 * low, -0.1 * threshold), max(1.5 * high, 0.1 * threshold))
    else:
        room = 0.06 * (high - low or abs(high) or 1.0)
        ax.set_ylim(low - room, high + room)
    if low < 0.0 < high:
        ax.axhline(0.0, color="0.8", linewidth=0.7, zorder=0.5)


def _title(ds: xr.Dataset, cells: list[_Cell]) -> str:
    count = len(cells[0].values)
    noun = "trajectory" if count == 1 else "trajectories"
    each = " each" if len(cells) > 1 else ""
    return f"{landscape_and_rule(ds)}: {count:,} {noun}{each}"
