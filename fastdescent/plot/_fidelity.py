"""How far the basins of a rule are those of the gradient flow: rates, distances, maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from fastdescent.errors import InvalidValueError, UnknownNameError
from fastdescent.geometry.basins import OUTCOME
from fastdescent.parts import FloatArray, IntArray
from fastdescent.plot._basins import (
    OTHERS,
    attractor_colours,
    attractor_name,
    draw_marks,
    map_axes,
    outcome_name,
    plane_of,
    run_title,
    show,
)
from fastdescent.plot._curves import evenly, numbers, words
from fastdescent.plot._style import (
    MOST_BANDS,
    MOST_CURVES,
    annotate,
    colour,
    legend_below,
    legend_columns,
    line_style,
    log_ticks,
    new_axes,
    new_figure,
    number,
    percent,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["fidelity", "fidelity_overview"]

# Where rule and flow agree the flow's basin is pale, where they do not the rule's is not.
_PALE, _STRONG = 0.72, 0.0
# The same where there are too many attractors for colours of their own.
_SAME, _ANOTHER = "0.93", "#D55E00"
# White is for what was not compared.
_OUTCOMES = {**OTHERS, "converged": "0.6"}
_TITLE = "agreement with the gradient flow"
_KINDS = ("rate", "distance", "map")
# More maps in a row are too small to read.
_MAPS = "abc"


@styled
def fidelity(
    ds: xr.Dataset,
    ax: Axes | None = None,
    *,
    kind: str = "rate",
    x: str | None = None,
    legend: bool = True,
) -> Axes:
    """Draw how far the basins of a rule are those of the gradient flow.

    Intervals are bands around up to four lines and bars elsewhere; they hold what the undecided
    starts could be.  In the map starts where rule and flow agree have the pale colour of their
    basin; where they do not they have the strong colour of the attractor that the rule reaches,
    or a grey one as in `basins` where it reaches none.  Black lines are the boundaries of the
    flow's basins, white cells were not compared.

    Parameters
    ----------
    ds : xarray.Dataset
        A result of `geometry.fidelity`.
    ax : matplotlib.axes.Axes, optional
        Where to draw; axes of a new figure by default.
    kind : {"rate", "distance", "map"}
        The agreement over a swept parameter, one line for each value of a second one; in
        classes of distance to the nearest start in another basin of the flow, one line for each
        value of the swept parameters; or where the starts of a grid agree, of two dimensions and
        with one value of each swept parameter, or of one dimension with one swept parameter.
    x : str, optional
        The swept parameter along the axis of the rates; by default the first one whose values
        span a decade, else the first one.
    legend : bool
        Whether to draw the legend, below the axes.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InvalidValueError
        If the dataset has not what this kind of picture shows, or there are too many lines.
    UnknownNameError
        If there is no such kind or swept parameter.

    Examples
    --------
    >>> import fastdescent as fd
    >>> from fastdescent.geometry.fidelity import fidelity as compare
    >>> ds = compare(
    ...     fd.landscapes.SymmetricDoubleWell(),
    ...     fd.optimizers.GradientDescent(learning_rate=[0.05, 0.5]),
    ...     fd.starts.Grid(counts=20),
    ...     steps=1000,
    ... )
    >>> ax = fidelity(ds)
    >>> ax.get_title(), ax.get_xscale()
    ('GradientDescent on SymmetricDoubleWell: agreement with the gradient flow', 'log')
    """
    if kind not in _KINDS:
        raise UnknownNameError("kind", kind, _KINDS)
    own, ds = ax is None, _checked(ds)
    if ax is None:
        ax = map_axes() if kind == "map" else new_axes(3.4)
    title = f"{run_title(ds)}: {_TITLE}"
    if kind == "map":
        title = f"{run_title(ds)}: {_agreeing(ds)}"
        handles: list[Any] = _map(ds, ax, ds)
    elif kind == "rate":
        handles = _draw(ax, _rates(ds, ax, x), str(ds.attrs["interval"]))
    else:
        lines = [_distances(label, one, ax) for label, one in _cells(ds)]
        handles = _draw(ax, lines, str(ds.attrs["interval"]))
    annotate(ax, title, own=own, x=ax.get_xlabel(), y=ax.get_ylabel())
    if legend:
        legend_below(ax, handles, grow=own)
    return ax


@styled
def fidelity_overview(ds: xr.Dataset) -> Figure:
    """Draw maps, rates and distances of a fidelity in one figure.

    Up to three maps, evenly chosen from the values of the swept parameters, are above, if the
    starts are a grid of two dimensions.

    Parameters
    ----------
    ds : xarray.Dataset
        A result of `geometry.fidelity` with swept parameters.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InvalidValueError
        If the dataset has no swept parameter, or too many values.

    Examples
    --------
    >>> import fastdescent as fd
    >>> from fastdescent.geometry.fidelity import fidelity as compare
    >>> rule = fd.optimizers.Momentum(learning_rate=[0.002, 0.01], beta=0.9)
    >>> grid = fd.starts.Grid(counts=20)
    >>> ds = compare(fd.landscapes.Himmelblau(), rule, grid, steps=2000)
    >>> len(fidelity_overview(ds).axes)
    4
    """
    cells = _cells(_checked(ds))
    shown = {_MAPS[i]: cells[k] for i, k in enumerate(evenly(len(cells), len(_MAPS)).tolist())}
    rows: Any = [["rate"] * 3 + ["distance"] * 3]
    if len(np.atleast_1d(ds.attrs.get("grid_counts", ()))) == 2:
        # Six columns are shared by one to three maps.
        rows.insert(0, [letter for letter in shown for _ in range(6 // len(shown))])
    figure = new_figure(5.8 if len(rows) == 2 else 3.2)
    figure.suptitle(f"{run_title(ds)}: {_TITLE}", fontsize="medium")
    axes = figure.subplot_mosaic(rows)
    interval = str(ds.attrs["interval"])
    entries = _draw(axes["rate"], _rates(ds, axes["rate"], None), interval)
    far = [_distances(letter, one, axes["distance"]) for letter, (_, one) in shown.items()]
    _draw(axes["distance"], far, interval, letters=True)
    axes["distance"].set_ylabel("")
    names = {letter: f"{letter}: {label}" for letter, (label, _) in shown.items()}
    if len(rows) == 1:
        axes["distance"].set_title("\n".join(names.values()))
    for letter, name in names.items() if len(rows) == 2 else ():
        one = shown[letter][1]
        entries += _map(one, axes[letter], ds, shares=False)
        axes[letter].set_title("\n".join([*name.split(", "), _agreeing(one)]))
        axes[letter].set(xlabel="", ylabel="")
    # Marks last, each entry once.
    entries.sort(key=lambda entry: isinstance(entry, Line2D) and entry.get_linestyle() == "None")
    unique = list({entry.get_label(): entry for entry in entries}.values())
    columns = legend_columns(unique, 0.97 * figure.get_figwidth())
    figure.legend(handles=unique, loc="outside lower center", ncols=columns)
    return figure


def _checked(ds: Any) -> xr.Dataset:
    if not isinstance(ds, xr.Dataset) or not {"agreement", "flow_attractor"} <= set(ds):
        raise InvalidValueError("ds", type(ds).__name__, "a result of geometry.fidelity")
    return ds


def _swept(ds: xr.Dataset) -> list[str]:
    return [str(name) for name in ds["agreement"].dims]


def _values(names: Sequence[str], one: xr.Dataset) -> str:
    return ", ".join(f"{words(name)} = {number(one[name].item())}" for name in names)


def _cells(ds: xr.Dataset) -> list[tuple[str, xr.Dataset]]:
    """Return the dataset at each value of the swept parameters, with what these are."""
    names = _swept(ds)
    places = np.ndindex(*(ds.sizes[name] for name in names))
    chosen = [ds.isel(dict(zip(names, place, strict=True))) for place in places]
    return [(_values(names, one), one) for one in chosen]


class _Line(NamedTuple):
    """Agreement with its interval along one axis."""

    label: str
    x: FloatArray
    share: FloatArray
    lower: FloatArray
    upper: FloatArray


def _rates(ds: xr.Dataset, ax: Axes, x: str | None) -> list[_Line]:
    """Return the agreement over a swept parameter, and prepare the axis for it."""
    names = _swept(ds)
    if x is not None and x not in names:
        raise UnknownNameError("swept parameter", x, names)
    if not 1 <= len(names) <= 2:
        raise InvalidValueError(
            "swept parameters",
            names,
            "one or two",
            "select one value of the others, or draw kind='map'",
        )
    wide = [name for name in names if _is_wide(ds[name].to_numpy())]
    x = x or [*wide, *names][0]
    others = [name for name in names if name != x]
    order = np.argsort(ds[x].to_numpy())
    values = ds[x].to_numpy()[order]
    _prepare(ax, values, words(x))
    if len(values) <= 7:
        ax.set_xticks(values, numbers(values), minor=False)
        ax.xaxis.set_minor_locator(NullLocator())
    lines = []
    for k in range(ds.sizes[others[0]] if others else 1):
        one = ds.isel({others[0]: k}) if others else ds
        shares = (one[name].to_numpy()[order] for name in ("agreement", "lower", "upper"))
        lines.append(_Line(_values(others, one), values, *shares))
    return lines


def _distances(label: str, one: xr.Dataset, ax: Axes) -> _Line:
    """Return the agreement over classes of distance, and prepare the axis for it."""
    ends = one["distance_lower"].to_numpy(), one["distance_upper"].to_numpy()
    if not np.isfinite(ends).all():
        raise InvalidValueError("ds", "one basin of the flow", "several, which have a boundary")
    unit, text = 1.0, "distance to another basin"
    if "distance_in_cells" in one:
        near = one["distance"].argmin("start")
        unit = (one["distance"] / one["distance_in_cells"]).isel(start=near).item()
        text += " (cells)"
    middle = np.sqrt(ends[0] * ends[1]) / unit
    _prepare(ax, middle, text)
    names = ("agreement_at_distance", "lower_at_distance", "upper_at_distance")
    return _Line(label, middle, *(one[name].to_numpy() for name in names))


def _is_wide(values: FloatArray) -> bool:
    """Return whether positive values span a decade."""
    return bool(values.min() > 0.0 and values.max() >= 10.0 * values.min())


def _prepare(ax: Axes, values: FloatArray, text: str) -> None:
    if _is_wide(values):
        ax.set_xscale("log")
        log_ticks(ax.xaxis, values.min(), values.max())
    ax.set(xlabel=text, ylabel="share that agrees")
    ax.set_ylim(-0.03, 1.03)
    ax.grid(axis="y", color="0.9", linewidth=0.6)


def _draw(ax: Axes, lines: Sequence[_Line], interval: str, letters: bool = False) -> list[Any]:
    """Draw lines with their intervals; return the legend's entries."""
    if len(lines) > MOST_CURVES:
        raise InvalidValueError(
            "number of lines", len(lines), f"at most {MOST_CURVES}", "select some values first"
        )
    handles: list[Any] = []
    for k, line in enumerate(lines):
        look: dict[str, Any] = {"color": "0.2" if letters else colour(k), "ls": line_style(k)}
        mark = {"marker": rf"$\mathrm{{{line.label}}}$", "ms": 6, "mew": 0.2, "lw": 0.8}
        look |= mark if letters else {"marker": "o", "ms": 3}
        (drawn,) = ax.plot(line.x, line.share, label=line.label, **look)
        if len(lines) <= MOST_BANDS:
            band = {"color": look["color"], "alpha": 0.1 if letters else 0.2, "lw": 0}
            ax.fill_between(line.x, line.lower, line.upper, **band)
        else:
            ax.vlines(line.x, line.lower, line.upper, color=look["color"], lw=0.8)
        handles += [drawn] if line.label else []
    label = f"{100.0 * float(interval.split(',')[1]):g} % intervals"
    bars = Line2D([], [], color="0.5", ls="", marker="|", ms=9, label=label)
    return [*handles, Patch(facecolor="0.8", label=label) if len(lines) <= MOST_BANDS else bars]


def _agreeing(ds: xr.Dataset) -> str:
    # Without a swept parameter each start is there once.
    total = int(ds["compared"].sum()) * (ds["agrees"].size // ds["compared"].size)
    count = int(ds["agrees"].sum())
    return f"{percent(count, total)} agree (pale)"


def _map(one: xr.Dataset, ax: Axes, ds: xr.Dataset, *, shares: bool = True) -> list[Any]:
    """Draw where the starts agree, in the colours of a whole dataset; return legend entries."""
    plane = plane_of(one)
    names = ("attractor", "flow_attractor", "outcome", "compared", "agrees")
    attractor, flow, outcome, compared, agrees = (plane.cells(name) for name in names)
    rows, strong = attractor_colours(ds, _STRONG)
    pale = attractor_colours(ds, _PALE)[1] if rows.size else np.full_like(strong, float(_SAME))
    strong = strong if rows.size else np.tile(to_rgb(_ANOTHER), (len(strong), 1))
    differs = compared & ~agrees
    other = differs & (attractor >= 0)
    image = np.ones((*attractor.shape, 3))
    image[agrees], image[other] = pale[flow[agrees]], strong[attractor[other]]
    painted = [("another attractor", _ANOTHER, other)] * (not rows.size)
    for k in rows.tolist():
        name = f"{attractor_name(one['attractor_position'].to_numpy()[k])} instead"
        painted.append((name, strong[k], other & (attractor == k)))
    for name, look in _OUTCOMES.items():
        cells = differs & ~other & (outcome == OUTCOME[name])
        image[cells] = to_rgb(look)
        painted.append((outcome_name(name), look, cells))
    painted.append(("not compared", "1.0", ~compared))
    show(ax, image, plane)
    ax.set(xlabel=plane.labels[0], ylabel=plane.labels[1])
    _boundaries(ax, flow)
    entries: list[Any] = []
    for name, look, cells in painted:
        if cells.any():
            share = percent(int(np.count_nonzero(cells)), cells.size)
            label = f"{name}  {share}" if shares else name
            entries.append(Patch(facecolor=look, edgecolor="0.6", label=label))
    return entries + draw_marks(ax, one, plane)


def _boundaries(ax: Axes, flow: IntArray) -> None:
    """Draw lines between the cells of different basins of the flow."""
    left, right, bottom, top = ax.get_images()[-1].get_extent()
    x = np.linspace(left, right, flow.shape[1] + 1)
    y = np.linspace(bottom, top, flow.shape[0] + 1)
    i, j = np.nonzero(flow[:, 1:] != flow[:, :-1])
    upright = [((x[b + 1], y[a]), (x[b + 1], y[a + 1])) for a, b in zip(i, j, strict=True)]
    i, j = np.nonzero(flow[1:] != flow[:-1])
    level = [((x[b], y[a + 1]), (x[b + 1], y[a + 1])) for a, b in zip(i, j, strict=True)]
    ax.add_collection(LineCollection(upright + level, colors="k", linewidths=0.7))
