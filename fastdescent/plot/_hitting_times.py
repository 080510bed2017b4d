"""Distribution functions of hitting times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fastdescent.parts import FloatArray, IntArray
from fastdescent.plot._curves import (
    Curve,
    Results,
    budget,
    curves_of,
    ended_as,
    hits,
    target_of,
    target_text,
    title,
)
from fastdescent.plot._style import MOST_BANDS, annotate, legend_below, new_axes, percent, styled
from fastdescent.statistics import wilson_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["entry", "hitting_times", "interval_entry"]

# Steps of a curve are dropped if it changes by less than this: half a pixel in print.
_RESOLUTION = 5e-4


@styled
def hitting_times(
    results: Results,
    ax: Axes | None = None,
    *,
    target: float | None = None,
    bands: bool | None = None,
    legend: bool = True,
) -> Axes:
    r"""Draw which fraction of all trajectories has hit the target by each step.

    .. math:: F(t) = \#\{\text{trajectories with hitting time} \le t\} / n

    over all n trajectories: those that never hit it keep F below 1.  Trajectories that
    start within the target are the height at which a curve begins.  The band is the
    pointwise 95 % interval of Wilson (1927); it takes trajectories as independent, which
    several seeds of several starts are not, so then there is none.

    Parameters
    ----------
    results : xarray.Dataset or mapping of str to xarray.Dataset
        Results with `hitting_time`: one curve per label and value of a swept parameter.
    ax : matplotlib.axes.Axes, optional
        Where to draw; axes of a new figure by default.
    target : float, optional
        Which of the results' targets; the smallest by default.
    bands : bool, optional
        Whether to draw the band where it holds; by default if there are at most four curves.
    legend : bool
        Whether to draw the legend, with the share of all trajectories that hit.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InvalidValueError
        If the results have no `hitting_time`, not that target, or make too many curves.

    Examples
    --------
    >>> import fastdescent as fd
    >>> from fastdescent import plot
    >>> ds = fd.simulate(
    ...     fd.landscapes.Rosenbrock(dim=2),
    ...     fd.optimizers.GradientDescent(learning_rate=0.001),
    ...     starts=[[-1.2, 1.0], [0.0, 0.0], [0.5, 0.5]],
    ...     steps=3000,
    ...     targets=[0.1],
    ... )
    >>> plot.hitting_times(ds).get_xscale()
    'log'
    """
    curves = curves_of(results)
    target = target_of((curve.ds for curve in curves), target)
    bands = len(curves) <= MOST_BANDS if bands is None else bands
    times = [np.sort(hits(curve.ds, target).to_numpy(), axis=None) for curve in curves]
    last = max(budget(curve.ds) for curve in curves)
    left = _left(times)
    own, ax = ax is None, new_axes(3.4) if ax is None else ax
    banded = False
    for curve, hit in zip(curves, times, strict=True):
        steps, fraction = _distribution(hit, left, max(last, left))
        look: dict[str, Any] = {"color": curve.colour, "linestyle": curve.line_style}
        ax.plot(steps, fraction, drawstyle="steps-post", **look)
        if bands and not _clustered(curve):
            low, high = wilson_interval(np.rint(fraction * hit.size), hit.size)
            look = {"color": curve.colour, "alpha": 0.18, "linewidth": 0.0}
            ax.fill_between(steps, low, high, step="post", **look)
            banded = True
    ax.set_xscale("log")
    ax.set(xlim=(left, max(last, 2 * left)), ylim=(-0.02, 1.02))
    text = f"{title(results)}\n{target_text(curves[0].ds, target)}"
    annotate(ax, text, own=own, x="steps (updates)", y="fraction of trajectories that hit")
    if not any((hit >= 0).any() for hit in times):
        place: dict[str, Any] = {"transform": ax.transAxes, "ha": "center", "va": "center"}
        ax.text(0.5, 0.5, f"no trajectory hit the target\nwithin {last:,} steps", **place)
    if legend:
        handles = [entry(curve, hit) for curve, hit in zip(curves, times, strict=True)]
        legend_below(ax, [*handles, *([interval_entry()] if banded else [])], grow=own)
    return ax


def _distribution(hit: IntArray, left: float, last: float) -> tuple[FloatArray, FloatArray]:
    """Return where the curve of sorted hitting times (-1 = never) steps, and to what."""
    times, number = np.unique(hit[hit >= 0], return_counts=True)
    fraction = np.cumsum(number) / hit.size
    begin = fraction[times <= left].max(initial=0.0)
    times, fraction = times[times > left], fraction[times > left]
    if times.size:
        level = np.floor(fraction / _RESOLUTION)
        kept = np.diff(level, prepend=-1.0) > 0
        kept[-1] = True
        times, fraction = times[kept], fraction[kept]
    end = fraction[-1] if times.size else begin
    steps = np.concatenate([[left], times, [last]])
    return steps.astype(float), np.concatenate([[begin], fraction, [end]])


def _left(times: list[IntArray]) -> float:
    """Return where a log axis begins: at the power of ten below the first hit."""
    first = min((hit[hit > 0].min(initial=2**62) for hit in times), default=2**62)
    return 1.0 if first == 2**62 else float(10.0 ** np.floor(np.log10(first)))


def _clustered(curve: Curve) -> bool:
    return curve.ds.sizes["start"] > 1 and curve.ds.sizes.get("seed", 1) > 1


def entry(curve: Curve, hit: IntArray) -> Line2D:
    """Return the legend's entry of a curve, with the share that hit."""
    note = f"{percent(int((hit >= 0).sum()), hit.size)} hit"
    cut = int(ended_as(curve.ds, "interrupted").sum())
    return curve.entry(f"{note}, {percent(cut, hit.size)} interrupted" if cut else note)


def interval_entry() -> Patch:
    """Return the legend's entry of the bands."""
    return Patch(facecolor="0.4", alpha=0.3, label="95 % interval (pointwise)")
