"""The look that all figures share: fonts, colours, line styles, new axes, number formats."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.textpath import TextPath
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from matplotlib.transforms import ScaledTranslation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

__all__ = [
    "GREY",
    "MARKS",
    "MOST_BANDS",
    "MOST_CURVES",
    "annotate",
    "colour",
    "count_axis",
    "field_colours",
    "legend_below",
    "legend_columns",
    "line_style",
    "log_ticks",
    "new_axes",
    "new_figure",
    "number",
    "percent",
    "styled",
]

P = ParamSpec("P")
R = TypeVar("R")

#: Width of a new figure in inches: a text block, where 8 and 9 points are easy to read.
WIDTH = 6.4

#: Cells and marks without data.
GREY = "0.75"

#: Kind of critical point: marker, colour, what the legend calls it; each has its own shape.
MARKS = {
    "global": ("*", "#F0E442", "global minimum"),
    "minimum": ("v", "#56B4E9", "local minimum"),
    "unknown minimum": ("v", "white", "minimum"),
    "saddle": ("X", "white", "saddle"),
    "global maximum": ("P", "#D55E00", "global maximum"),
    "maximum": ("^", "#D55E00", "local maximum"),
    "unknown maximum": ("^", "white", "maximum"),
    "degenerate": ("D", "#CC79A7", "degenerate critical point"),
    "corner": ("d", "#F0E442", "corner without gradient"),
}

# Okabe and Ito (2008) without yellow, which is too pale on white.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
_LINES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)))

#: More bands than this hide each other.
MOST_BANDS = 4

#: Colours and line styles change together and differ within this many curves.
MOST_CURVES = 14

_STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "legend.framealpha": 0.85,
    "legend.edgecolor": "none",
    "legend.handlelength": 2.6,
    "axes.linewidth": 0.7,
    "lines.linewidth": 1.4,
    "axes.formatter.use_mathtext": True,
}


def styled(figure: Callable[P, R]) -> Callable[P, R]:
    """Draw a figure with the package's fonts and leave `matplotlib.rcParams` as they were."""

    @functools.wraps(figure)
    def draw(*args: P.args, **kwargs: P.kwargs) -> R:
        with mpl.rc_context(_STYLE):
            return figure(*args, **kwargs)

    return draw


def new_figure(height: float, layout: Any = "constrained") -> Figure:
    """Return a new figure; the only place that needs a backend."""
    import matplotlib.pyplot as plt  # noqa: PLC0415 - chooses a backend, so not before it must

    return plt.figure(figsize=(WIDTH, height), layout=layout)


def new_axes(height: float, layout: Any = "constrained", **subplot: Any) -> Any:
    """Return the axes of a new figure."""
    return new_figure(height, layout).add_subplot(**subplot)


def colour(index: int) -> str:
    """Return the colour of a curve."""
    return _COLOURS[index % len(_COLOURS)]


def line_style(index: int) -> Any:
    """Return the line style of a curve."""
    return _LINES[index % len(_LINES)]


def field_colours() -> ListedColormap:
    """Return viridis mixed with white, so that dark lines stand out on every part of it."""
    solid = mpl.colormaps["viridis"](np.linspace(0.0, 1.0, 256))
    return ListedColormap(0.55 * solid + 0.45, name="light viridis")


def count_axis(axis: Axis) -> None:
    """Write the counts along a linear axis with thousands separators."""
    axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def log_ticks(axis: Axis, lower: float, upper: float) -> None:
    """Label a log axis: decades, and where these are too few also 2 and 5 times them."""
    if lower > 0.0 and upper / lower < 100.0:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(StrMethodFormatter("{x:,.6g}"))
    else:
        axis.set_major_locator(LogLocator(numticks=8))
    axis.set_minor_formatter(NullFormatter())


def legend_below(ax: Axes, handles: Sequence[Any], *, grow: bool) -> None:
    """Put a legend below the axes, where it covers no data.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        The axes.
    handles : sequence
        The legend's entries.
    grow : bool
        Whether to make the figure, which has no other axes, higher by the legend's height.
    """
    if not handles:
        return
    figure = ax.get_figure(root=True)
    assert figure is not None
    room = 0.97 if grow else 1.2 * ax.get_position(original=True).width
    columns = legend_columns(handles, room * figure.get_figwidth())
    below = ScaledTranslation(0.0, -34.0 / 72.0, figure.dpi_scale_trans)
    ax.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        bbox_transform=ax.transAxes + below,
        ncols=columns,
        borderaxespad=0.0,
    )
    if grow:
        rows = -(-len(handles) // columns)
        figure.set_figheight(figure.get_figheight() + 0.08 + 0.16 * rows)


def legend_columns(handles: Sequence[Any], width: float) -> int:
    """Return how many columns of a legend fit into a width in inches."""
    size = _STYLE["legend.fontsize"]
    texts = [TextPath((0.0, 0.0), handle.get_label(), size=size) for handle in handles]
    widest = max(text.get_extents().width for text in texts)
    # Beside the text: the line, the gap after it and the gap between columns, in font sizes.
    column = (widest + 5.0 * size) / 72.0
    columns = max(1, min(len(handles), int(width / column)))
    return -(-len(handles) // -(-len(handles) // columns))  # as even as the rows allow


def number(value: float, digits: int = 4) -> str:
    """Return a number as people write it.

    Examples
    --------
    >>> number(1e-06), number(0.05), number(12345.678)
    ('1e-6', '0.05', '1.235e4')
    """
    text = f"{value:.{digits}g}"
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if e else text


def annotate(ax: Axes, title: str, *, own: bool, **labels: str) -> None:
    """Write title and axis labels, and tick labels in the same style, also on given axes.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        The axes.
    title : str
        The title; it is broken after its first colon where it is wider than its place.
    own : bool
        Whether the axes have the whole figure.
    **labels : str
        The labels of the axes ``x``, ``y`` and ``z``.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    share = 0.85 if own else 1.1 * ax.get_position(original=True).width
    place = share * figure.get_figwidth()
    size = _STYLE["axes.titlesize"]
    width = TextPath((0.0, 0.0), title.partition("\n")[0], size=size).get_extents().width
    ax.set_title(title.replace(": ", "\n", 1) if width > 72.0 * place else title)
    for name, text in labels.items():
        axis = getattr(ax, f"{name}axis")
        axis.set_label_text(text, fontsize=_STYLE["axes.labelsize"])
        axis.set_tick_params(which="both", labelsize=_STYLE["xtick.labelsize"])
        axis.get_offset_text().set_size(_STYLE["xtick.labelsize"])


def percent(count: int, total: int) -> str:
    """Return a share in percent that says 0 or 100 only where it is exactly that.

    Examples
    --------
    >>> percent(1, 3), percent(0, 3), percent(99_999, 100_000)
    ('33.3 %', '0 %', '> 99.9 %')
    """
    if count in (0, total):
        return "100 %" if count else "0 %"
    share = 100.0 * count / total
    if share < 0.1:
        return "< 0.1 %"
    return "> 99.9 %" if share > 99.9 else f"{share:.1f} %"
