"""Critical points on the contours and on the surface of a landscape, named and labelled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.transforms import Bbox
from numpy.typing import ArrayLike

from fastdescent.errors import InvalidValueError
from fastdescent.geometry._dataset import critical_points_of
from fastdescent.geometry.scales import checked_box
from fastdescent.landscapes import Landscape
from fastdescent.parts import FloatArray
from fastdescent.plot._contours import draw_curve, draw_field
from fastdescent.plot._curves import landscape_name, numbers
from fastdescent.plot._paths import field_of, inside
from fastdescent.plot._style import MARKS, annotate, legend_below, new_axes, styled
from fastdescent.plot._surface import NODES, Height, azimuth, draw_mesh

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from mpl_toolkits.mplot3d import Axes3D  # type: ignore[import-untyped]

__all__ = ["HALO", "critical_points", "critical_points_surface", "written"]

#: White around a text, so that it can be read on lines.
HALO = [withStroke(linewidth=2.0, foreground="white")]

# More values cannot be read; then none is written.
_MOST_LABELS = 30
_SIZE = 7.5
# From this many points on, the marks are smaller.
_CROWD = 100
# Directions in which a label may stand from its point, the best ones first.
_PLACES = [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1)]


@styled
def critical_points(
    results: xr.Dataset,
    landscape: Landscape,
    ax: Axes | None = None,
    *,
    box: ArrayLike | None = None,
    labels: bool | None = None,
    legend: bool = True,
) -> Axes:
    """Mark critical points on the contours of a landscape, each kind with a shape of its own.

    The contours are those of `contours`; a landscape of one dimension is drawn as a curve.

    Parameters
    ----------
    results : xarray.Dataset
        Critical points, as from `fastdescent.geometry.find_critical_points`.
    landscape : Landscape
        The landscape, of one or two dimensions.
    ax : matplotlib.axes.Axes, optional
        Where to draw; axes of a new figure by default.
    box : array_like, shape (2,) or (dim, 2), optional
        Lower and upper end of each coordinate in view; by default all points with a margin.
    labels : bool, optional
        Whether to write the loss beside each point; by default up to 30 points.
    legend : bool
        Whether to draw the legend, below the axes.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InvalidValueError
        If `results` are no critical points of the landscape's dimension, that is more than
        two, or the box is not allowed.

    Examples
    --------
    >>> import fastdescent as fd
    >>> landscape = fd.landscapes.Himmelblau()
    >>> positions = [point.position for point in landscape.critical_points()]
    >>> found = fd.geometry.classify_points(landscape, positions)
    >>> critical_points(found, landscape).get_title()
    'Himmelblau: 4 minima, 4 saddles, 1 maximum'
    """
    points = _Points.of(results, landscape, (1, 2))
    view = _view(points, landscape, box)
    minimum = points.lowest(landscape)
    points = points.inside(view)
    own = ax is None
    if landscape.dim == 1:
        ax = new_axes(3.6) if ax is None else ax
        draw_curve(ax, landscape, view)
        axes = {"x": r"$\theta$", "y": "loss"}
        places = np.column_stack([points.position[:, 0], points.value])
    else:
        ax = new_axes(4.6, layout="compressed") if ax is None else ax
        draw_field(ax, landscape, view, minimum, 24)
        axes = {"x": r"$\theta_1$", "y": r"$\theta_2$"}
        places = points.position
    handles = _marked(ax, points, places)
    annotate(ax, f"{landscape_name(results)}: {points.summary()}", own=own, **axes)
    if legend:
        legend_below(ax, handles, grow=own)
    if len(points.value) <= _MOST_LABELS if labels is None else labels:
        _labelled(ax, places, points.value)
    return ax


@styled
def critical_points_surface(
    results: xr.Dataset,
    landscape: Landscape,
    ax: Axes3D | None = None,
    *,
    box: ArrayLike | None = None,
    labels: bool | None = None,
    legend: bool = True,
) -> Axes3D:
    """Mark critical points on the surface of a landscape of two dimensions.

    The surface is that of `surface`, its height compressed where the loss spans decades.  The
    marks are drawn over it, also where it would hide them.  The labels stay where they are if
    the axes are turned afterwards.

    Parameters
    ----------
    results, landscape, box, labels, legend
        As for `critical_points`.
    ax : mpl_toolkits.mplot3d.Axes3D, optional
        Where to draw, made with ``projection="3d"``; axes of a new figure by default.

    Returns
    -------
    mpl_toolkits.mplot3d.Axes3D

    Raises
    ------
    InvalidValueError
        As for `critical_points`, if there are not two dimensions or `ax` has not three.

    Examples
    --------
    >>> import fastdescent as fd
    >>> landscape = fd.landscapes.SixHumpCamel()
    >>> positions = [point.position for point in landscape.critical_points()]
    >>> found = fd.geometry.classify_points(landscape, positions)
    >>> critical_points_surface(found, landscape).get_title()
    'SixHumpCamel: 6 minima, 7 saddles, 2 maxima'
    """
    points = _Points.of(results, landscape, (2,))
    if ax is not None and not hasattr(ax, "plot_surface"):
        way = 'such as plt.figure().add_subplot(projection="3d")'
        raise InvalidValueError("ax", ax, "three-dimensional axes", way)
    view = _view(points, landscape, box)
    minimum = points.lowest(landscape)
    points = points.inside(view)
    field = field_of(landscape, view, NODES)
    height = Height.of(field.loss, minimum)
    own = ax is None
    if ax is None:
        ax = new_axes(4.8, projection="3d", elev=42.0, azim=azimuth(height.at(field.loss)))
    ax.computed_zorder = False  # else whole marks vanish behind the whole surface
    draw_mesh(ax, field, height)
    places = np.column_stack([points.position, height.at(points.value)])
    handles = _marked(ax, points, places)
    ax.set(xlim=view[0], ylim=view[1])
    axes = {"x": r"$\theta_1$", "y": r"$\theta_2$"}
    axes["z"] = "loss" if minimum is None else "loss above the minimum"
    annotate(ax, f"{landscape_name(results)}: {points.summary()}", own=own, **axes)
    if legend:
        legend_below(ax, handles, grow=own)
    if len(points.value) <= _MOST_LABELS if labels is None else labels:
        _labelled(ax, _projected(ax, places), points.value)
    return ax


class _Points(NamedTuple):
    """What is drawn: positions, losses and, for each point, the key of its mark."""

    position: FloatArray
    value: FloatArray
    mark: list[str]

    @classmethod
    def of(cls, ds: Any, landscape: Landscape, dims: Sequence[int]) -> _Points:
        if landscape.dim not in dims:
            allowed = " or ".join(str(dim) for dim in dims)
            raise InvalidValueError("landscape", landscape, f"one of dimension {allowed}")
        found = critical_points_of(landscape, ds, "results", "scope")
        position, value, kind, scope = found
        if {"corner", "extremum"} <= set(ds):
            kind = np.where(ds["corner"], "corner", kind)
            # The lowest point gets its star where curvature tells nothing, too.
            kind = np.where((scope == "global") & (ds["extremum"] == "minimum"), "minimum", kind)
        drawn = np.flatnonzero(kind != "regular")
        marks = [_mark(str(kind[k]), str(scope[k])) for k in drawn]
        return cls(position[drawn], value[drawn], marks)

    def inside(self, view: FloatArray) -> _Points:
        """Return the points in view."""
        seen = np.flatnonzero(inside(self.position, view))
        return _Points(self.position[seen], self.value[seen], [self.mark[k] for k in seen])

    def lowest(self, landscape: Landscape) -> float | None:
        """Return the minimum above which losses are drawn: the known one, or the one found."""
        found = [v for v, mark in zip(self.value, self.mark, strict=True) if mark == "global"]
        return landscape.minimum if landscape.minimum is not None else min(found, default=None)

    def summary(self) -> str:
        """Return how many points there are of each kind."""
        kinds = ["minimum" if mark == "global" else mark.split()[-1] for mark in self.mark]
        names = {
            "minimum": ("minimum", "minima"),
            "saddle": ("saddle", "saddles"),
            "maximum": ("maximum", "maxima"),
            "degenerate": ("degenerate point", "degenerate points"),
            "corner": ("corner", "corners"),
        }
        counts = {kind: kinds.count(kind) for kind in names}
        texts = [f"{count} {names[kind][count > 1]}" for kind, count in counts.items() if count]
        return ", ".join(texts) or "no critical point in view"


def _mark(kind: str, scope: str) -> str:
    """Return the key of the mark of a kind of point."""
    if kind not in ("minimum", "maximum"):
        return kind
    named = {"global": "global" if kind == "minimum" else "global maximum", "local": kind}
    return named.get(scope, f"unknown {kind}")


def _view(points: _Points, landscape: Landscape, box: ArrayLike | None) -> FloatArray:
    """Return the view: the given one, or all points and a margin."""
    if box is not None:
        return checked_box(landscape, box)
    if len(points.value) < 2:
        return landscape.domain
    low, high = points.position.min(axis=0), points.position.max(axis=0)
    # Wide enough to see what surrounds the outermost points, and no slit.
    margin = np.maximum(0.2 * (high - low), 0.15 * (high - low).max())
    return np.stack([low - margin, high + margin], axis=1)


def _marked(ax: Any, points: _Points, places: FloatArray) -> list[Line2D]:
    """Mark the points and return a legend entry for each kind."""
    handles = []
    for key, (marker, face, name) in MARKS.items():
        chosen = [k for k, mark in enumerate(points.mark) if mark == key]
        if chosen:
            size = (11.0 if marker == "*" else 7.0) * (0.65 if len(places) > _CROWD else 1.0)
            (handle,) = ax.plot(
                *places[chosen].T,
                marker,
                ms=size,
                mfc=face,
                mec="black",
                mew=0.8,
                zorder=4,
                label=name,
            )
            handles.append(handle)
    return handles


def _projected(ax: Axes3D, places: FloatArray) -> FloatArray:
    """Return where points of three-dimensional axes are seen, in the axes' own plane."""
    from mpl_toolkits.mplot3d import proj3d  # noqa: PLC0415 - for this figure only

    ax.get_figure(root=True).draw_without_rendering()  # settles the projection
    x, y, _ = proj3d.proj_transform(*places.T, ax.get_proj())
    return np.column_stack([x, y])


def _labelled(ax: Any, places: FloatArray, values: FloatArray) -> None:
    """Write the loss beside each point, where it covers the least of marks and other labels."""
    if not len(values):
        return
    figure = ax.get_figure(root=True)
    figure.draw_without_rendering()  # settles where things are
    renderer = figure.canvas.get_renderer()
    unit = figure.dpi / 72.0
    centres = ax.transData.transform(places)
    taken = [_around(centre, 9.0 * unit, 9.0 * unit) for centre in centres]
    frame = ax.get_window_extent(renderer)
    for place, centre, text in zip(places, centres, written(values), strict=True):
        label = ax.annotate(
            text,
            place,
            (0.0, 0.0),
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=_SIZE,
            path_effects=HALO,
            zorder=5,
        )
        size = label.get_window_extent(renderer)
        reach = np.array([0.5 * size.width + 6.5 * unit, 0.5 * size.height + 6.5 * unit])
        shifts = [np.array(way) * reach for way in _PLACES]
        boxes = [_around(centre + shift, size.width + 3.0 * unit, size.height) for shift in shifts]
        best = min(range(len(boxes)), key=lambda k: (_cost(boxes[k], taken, frame), k))
        label.set_position(tuple(shifts[best] / unit))
        taken.append(boxes[best])


def written(values: FloatArray) -> list[str]:
    """Return losses as text; what differs by round-off only is written alike."""
    unit = 10.0 ** (np.floor(np.log10(np.abs(values).max(initial=0.0) or 1.0)) - 9.0)
    texts = numbers(np.round(values / unit) * unit + 0.0)  # plus zero: there is no -0
    return [text.replace("-", "\N{MINUS SIGN}") for text in texts]


def _around(centre: FloatArray, width: float, height: float) -> Bbox:
    x, y = centre
    return Bbox.from_bounds(x - 0.5 * width, y - 0.5 * height, width, height)


def _cost(box: Bbox, taken: Sequence[Bbox], frame: Bbox) -> float:
    """Return the area of a label that covers something or lies outside the frame."""
    common = [Bbox.intersection(box, other) for other in [*taken, frame]]
    covered = [0.0 if part is None else part.width * part.height for part in common]
    return round(sum(covered[:-1]) + box.width * box.height - covered[-1], 3)
