"""Loss against steps: the median of all trajectories and bands of quantiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import SymmetricalLogLocator

from fastdescent.parts import FloatArray, IntArray
from fastdescent.plot._curves import (
    Curve,
    Results,
    count,
    curves_of,
    ended_as,
    evenly,
    flat,
    minimum_of,
    needs,
    title,
)
from fastdescent.plot._style import (
    MOST_BANDS,
    annotate,
    count_axis,
    legend_below,
    log_ticks,
    new_axes,
    percent,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["explained", "losses", "step_axis"]

_LEVELS = (0.10, 0.25, 0.50, 0.75, 0.90)
_MOST_RECORDS = 500
# The axis shows no more than this many decades, ...
_MOST_DECADES = 20.0
# ... and no more than this factor above the start.
_MOST_GROWTH = 100.0


@styled
def losses(
    results: Results,
    ax: Axes | None = None,
    *,
    validation: bool = False,
    bands: bool | None = None,
    legend: bool = True,
) -> Axes:
    """Draw the loss against steps: median and quantile bands over all trajectories.

    Quantiles are order statistics of all trajectories, never interpolated.  A trajectory
    that diverged counts as an infinite loss from its last step on; a curve that leaves the
    axis at its top is infinite there.  The legend gives the share that diverged.

    Parameters
    ----------
    results : xarray.Dataset or mapping of str to xarray.Dataset
        Results with `path_loss`: one curve per label and value of a swept parameter.
    ax : matplotlib.axes.Axes, optional
        Where to draw; axes of a new figure by default.
    validation : bool
        Whether to draw the loss of the validation samples instead, `path_validation_loss`.
    bands : bool, optional
        Whether to draw the bands from the 10 to the 90 and from the 25 to the 75 %
        quantile; by default if there are at most four curves.
    legend : bool
        Whether to draw the legend.

    Returns
    -------
    matplotlib.axes.Axes
        The loss is the one above the minimum if that is known for all results, on a log
        axis; otherwise the loss itself, on a log axis if it is always positive.

    Raises
    ------
    InvalidValueError
        If the results have no such losses, or make too many curves.

    Examples
    --------
    >>> import fastdescent as fd
    >>> from fastdescent import plot
    >>> ds = fd.simulate(
    ...     fd.landscapes.Rosenbrock(dim=2),
    ...     fd.optimizers.GradientDescent(learning_rate=0.001),
    ...     starts=[[-1.2, 1.0], [0.0, 0.0], [0.5, 0.5]],
    ...     steps=1000,
    ...     record=fd.record.every(10),
    ... )
    >>> plot.losses(ds).get_yscale()
    'log'
    """
    curves = curves_of(results)
    variable = "path_validation_loss" if validation else "path_loss"
    for curve in curves:
        needs(curve.ds, variable, "record=fd.record.log_spaced(200)")
    minima = [None if validation else minimum_of(curve.ds) for curve in curves]
    known = None not in minima
    bands = len(curves) <= MOST_BANDS if bands is None else bands
    spread = [
        _quantiles(curve, variable, (minimum or 0.0) if known else 0.0)
        for curve, minimum in zip(curves, minima, strict=True)
    ]
    own, ax = ax is None, new_axes(3.4) if ax is None else ax
    _scales(ax, spread, known)
    beyond = 10.0 * max(map(abs, ax.get_ylim()))  # where infinity is drawn: off the axis
    for curve, (steps, quantiles) in zip(curves, spread, strict=True):
        _draw(ax, curve, steps, np.minimum(quantiles, beyond), bands)
    height = "loss above the minimum" if known else "validation loss" if validation else "loss"
    annotate(ax, title(results), own=own, x="steps (updates)", y=height)
    if legend:
        legend_below(ax, [*map(_entry, curves), *explained(bands)], grow=own)
    return ax


def _quantiles(curve: Curve, variable: str, minimum: float) -> tuple[IntArray, FloatArray]:
    """Return recorded steps and the quantiles of the loss there, shape (5, records)."""
    steps = np.asarray(curve.ds["step"].to_numpy())
    kept = evenly(len(steps), _MOST_RECORDS)
    gone = ended_as(curve.ds, "diverged")
    last = flat(curve.ds, "steps")
    loss = flat(curve.ds, variable)
    quantiles = np.empty((len(_LEVELS), len(kept)))
    for column, record in enumerate(kept):  # one record at a time: paths may fill the memory
        with np.errstate(invalid="ignore", over="ignore"):
            above = loss[:, record] - minimum
        above[np.isnan(above) | (gone & (steps[record] >= last))] = np.inf
        quantiles[:, column] = np.quantile(above, _LEVELS, method="inverted_cdf")
    return steps[kept], quantiles


def _scales(ax: Axes, spread: Sequence[tuple[IntArray, FloatArray]], known: bool) -> None:
    everything = np.concatenate([quantiles.ravel() for _, quantiles in spread])
    finite = everything[np.isfinite(everything)]
    first = np.concatenate([quantiles[:, 0] for _, quantiles in spread])
    start = first[np.isfinite(first)].max(initial=-np.inf)
    top = finite.max(initial=-np.inf)
    if not finite.size:
        top = start = 1.0
    if known or (finite > 0.0).all():
        top = min(top, _MOST_GROWTH * start) if start > 0.0 else top
        top = top if top > 0.0 else 1.0
        bottom = finite[finite > 10.0**-_MOST_DECADES * top].min(initial=top)
        ax.set_yscale("log", nonpositive="clip")
        ax.set_ylim(0.5 * bottom, 2.0 * top)
        log_ticks(ax.yaxis, 0.5 * bottom, 2.0 * top)
    else:
        bottom = finite.min()
        near = np.ptp(first[np.isfinite(first)]) or 1.0
        top = min(top, start + near)
        if top - bottom > _MOST_GROWTH * near:
            ax.set_yscale("symlog", linthresh=near)
            ax.set_ylim(2.0 * max(bottom, -near * 10.0**_MOST_DECADES), start + near)
            ticks = SymmetricalLogLocator(base=10.0, linthresh=near)
            ticks.set_params(numticks=8)
            ax.yaxis.set_major_locator(ticks)
        else:
            ax.set_ylim(bottom - 0.05 * (top - bottom), top + 0.05 * (top - bottom))
    step_axis(ax, np.unique(np.concatenate([steps for steps, _ in spread])))


def step_axis(ax: Axes, steps: IntArray) -> None:
    """Choose a linear axis for evenly recorded steps, else a log one that has room for 0."""
    gaps = np.diff(steps)
    if gaps.size < 2 or gaps.max() <= 2 * gaps[:-1].min():
        count_axis(ax.xaxis)
        ax.set_xlim(steps[0], max(steps[-1], steps[0] + 1))
        return
    ax.set_xscale("symlog", linthresh=1.0, linscale=0.3, subs=range(2, 10))
    ax.set_xlim(steps[0], steps[-1])


def _draw(ax: Axes, curve: Curve, steps: IntArray, quantiles: FloatArray, bands: bool) -> None:
    low, lower, median, upper, high = quantiles
    if bands:
        for bottom, top, strength in ((low, high, 0.14), (lower, upper, 0.24)):
            ax.fill_between(steps, bottom, top, color=curve.colour, alpha=strength, linewidth=0.0)
    ax.plot(steps, median, color=curve.colour, linestyle=curve.line_style)


def _entry(curve: Curve) -> Line2D:
    gone = int(ended_as(curve.ds, "diverged").sum())
    return curve.entry(f"{percent(gone, count(curve.ds))} diverged" if gone else "")


def explained(bands: bool) -> list[Any]:
    """Return the legend's entries for what is drawn of each curve."""
    if not bands:
        return [Line2D([], [], color="none", label="(curves: medians)")]
    return [
        Line2D([], [], color="0.4", label="median"),
        Patch(facecolor="0.4", alpha=0.38, label="25 to 75 % quantile"),
        Patch(facecolor="0.4", alpha=0.14, label="10 to 90 % quantile"),
    ]
