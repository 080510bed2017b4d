"""One picture of a comparison: trajectories, losses and hitting times side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastdescent.errors import InvalidValueError
from fastdescent.plot._contours import contours
from fastdescent.plot._curves import (
    Curve,
    Results,
    curves_of,
    drawn,
    hits,
    landscape_at,
    number_drawn,
    target_of,
    target_text,
    title,
)
from fastdescent.plot._hitting_times import entry, hitting_times, interval_entry
from fastdescent.plot._losses import explained, losses
from fastdescent.plot._style import MOST_BANDS, legend_columns, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["overview"]


@styled
def overview(results: Results, *, target: float | None = None, trajectories: int = 12) -> Figure:
    """Draw contours with trajectories, losses and hitting times of results on one landscape.

    A panel is left out if the results have no data for it: `path` and at most two
    dimensions for the contours, `path_loss` for the losses, `hitting_time` for the hitting
    times.

    Parameters
    ----------
    results : xarray.Dataset or mapping of str to xarray.Dataset
        Results on one landscape.
    target : float, optional
        Which of the results' targets; the smallest by default.
    trajectories : int
        The most trajectories in the contours, from 0 to 200; see `contours`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidValueError
        If there is nothing to draw, or an argument is not allowed.

    Examples
    --------
    >>> import fastdescent as fd
    >>> from fastdescent import plot
    >>> ds = fd.simulate(
    ...     fd.landscapes.Rosenbrock(dim=2),
    ...     fd.optimizers.GradientDescent(learning_rate=[0.0005, 0.001]),
    ...     starts=[[-1.2, 1.0], [0.0, 0.0], [0.5, 0.5]],
    ...     steps=3000,
    ...     targets=[0.1],
    ...     record=fd.record.log_spaced(100),
    ... )
    >>> plot.overview(ds).get_suptitle()
    'GradientDescent on Rosenbrock: 3 trajectories for each learning rate'
    """
    curves = curves_of(results)
    have = set.intersection(*({str(name) for name in curve.ds} for curve in curves))
    flat_enough = "path" in have and landscape_at(curves[0].ds).dim <= 2
    panels = [
        name
        for name, there in (
            ("contours", flat_enough),
            ("losses", "path_loss" in have),
            ("hitting times", "hitting_time" in have),
        )
        if there
    ]
    if not panels:
        way = "pass record=fd.record.log_spaced(200) and targets=[...] to simulate"
        raise InvalidValueError("results", sorted(have), "results with paths or hitting times", way)
    rows: Any = [panels] if len(panels) < 3 else [["contours", "legend"], panels[1:]]
    figure = new_figure(5.6 if len(panels) == 3 else 3.4)
    axes = figure.subplot_mosaic(rows)
    figure.suptitle(title(results), fontsize="medium")
    entries = [curve.entry() for curve in curves]
    if "hitting times" in axes:
        entries = _hitting_times(results, curves, axes["hitting times"], target)
    if "contours" in axes:
        entries += _contours(results, curves, axes["contours"], trajectories)
    if "losses" in axes:
        losses(results, axes["losses"], bands=len(curves) <= MOST_BANDS, legend=False).set_title("")
        entries += explained(len(curves) <= MOST_BANDS)
    if "legend" in axes:
        axes["legend"].set_axis_off()
        axes["legend"].legend(handles=entries, loc="center left", borderaxespad=0.0)
    else:
        columns = legend_columns(entries, 0.97 * figure.get_figwidth())
        figure.legend(handles=entries, loc="outside lower center", ncols=columns)
    return figure


def _hitting_times(
    results: Results, curves: Sequence[Curve], ax: Axes, target: float | None
) -> list[Any]:
    hitting_times(results, ax, target=target, legend=False)
    goal = target_of((curve.ds for curve in curves), target)
    ax.set_title(target_text(curves[0].ds, goal))
    entries: list[Any] = [entry(curve, hits(curve.ds, goal).to_numpy()) for curve in curves]
    return [*entries, interval_entry()] if ax.collections else entries


def _contours(results: Results, curves: Sequence[Curve], ax: Axes, trajectories: int) -> list[Any]:
    """Draw the panel and return its legend's entries but for the curves."""
    contours(results, ax, trajectories=trajectories)
    shown = [len(some) for some in drawn(curves, trajectories)]
    ax.set(aspect="auto", title=number_drawn(results, shown))
    legend = ax.get_legend()
    if legend is None:
        return []
    legend.remove()
    names = [text.get_text() for text in legend.get_texts()]
    for handle, name in zip(legend.legend_handles, names, strict=True):
        assert handle is not None
        handle.set_label(name)
    skipped = len(curves) if len(curves) > 1 else 0
    return list(legend.legend_handles[skipped:])
