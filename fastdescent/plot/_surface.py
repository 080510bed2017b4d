"""The surface of a landscape in three dimensions, with the trajectories on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastdescent.errors import InvalidValueError
from fastdescent.parts import FloatArray
from fastdescent.plot._contours import end_entries
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
from fastdescent.plot._paths import Field, Path, field_of, inside, paths_of, view_of
from fastdescent.plot._style import MARKS, annotate, field_colours, legend_below, new_axes, styled

if TYPE_CHECKING:
    from mpl_toolkits.mplot3d import Axes3D  # type: ignore[import-untyped]

__all__ = ["NODES", "Height", "azimuth", "draw_mesh", "surface"]

NODES = 201


@styled
def surface(
    results: Results,
    ax: Axes3D | None = None,
    *,
    trajectories: int = 6,
    view: ArrayLike | None = None,
    legend: bool = True,
) -> Axes3D:
    r"""Draw a landscape of two dimensions as a surface, trajectories lifted onto it.

    Where the loss above the minimum spans decades its height is compressed,

    .. math:: z = \log_{10}(1 + (f - f^*) / c),

    with c the power of ten below its lower quartile; the axis is labelled with f - f*.
    Trajectories are drawn over the surface, also where it would hide them.

    Parameters
    ----------
    results : xarray.Dataset or mapping of str to xarray.Dataset
        Results with `path`, all on one landscape of two dimensions.
    ax : mpl_toolkits.mplot3d.Axes3D, optional
        Where to draw, made with ``projection="3d"``; axes of a new figure by default.
    trajectories : int
        The most trajectories that are drawn, from 0 to 200; see `contours`.
    view : array_like, shape (2, 2), optional
        Lower and upper end of each coordinate; see `contours`.
    legend : bool
        Whether to draw the legend.

    Returns
    -------
    mpl_toolkits.mplot3d.Axes3D

    Raises
    ------
    InvalidValueError
        If the results have no `path`, are on several landscapes or on one that has not two
        dimensions, or `ax` is not three-dimensional.

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
    >>> plot.surface(ds).get_zlabel()
    'loss above the minimum'
    """
    curves = curves_of(results)
    for curve in curves:
        needs(curve.ds, "path", "record=fd.record.log_spaced(200)")
    landscape = common_landscape(curves)
    if landscape.dim != 2:
        way = "contours draws one dimension; losses and hitting_times any"
        raise InvalidValueError("landscape", landscape, "a landscape of two dimensions", way)
    if ax is not None and not hasattr(ax, "plot_surface"):
        way = 'such as plt.figure().add_subplot(projection="3d")'
        raise InvalidValueError("ax", ax, "three-dimensional axes", way)
    chosen = drawn(curves, trajectories)
    ends = view_of(landscape, curves, chosen, view)
    field = field_of(landscape, ends, NODES)
    minimum = minimum_of(curves[0].ds)
    height = Height.of(field.loss, minimum)
    own = ax is None
    if ax is None:
        ax = new_axes(4.8, projection="3d", elev=42.0, azim=azimuth(height.at(field.loss)))
    ax.computed_zorder = False  # else whole lines vanish behind the whole surface
    draw_mesh(ax, field, height)
    paths = [paths_of(curve, at, ends) for curve, at in zip(curves, chosen, strict=True)]
    for curve, some in zip(curves, paths, strict=True):
        for path in some:
            _lifted(ax, curve, path, ends, height)
    marks = []
    if landscape.minima is not None:
        marks = _minima(ax, landscape.minima, ends, height.at(landscape.value(landscape.minima)))
    ax.set(xlim=ends[0], ylim=ends[1])
    axes = {"x": r"$\theta_1$", "y": r"$\theta_2$"}
    axes["z"] = "loss" if minimum is None else "loss above the minimum"
    annotate(ax, title(results, [len(some) for some in paths]), own=own, **axes)
    if legend:
        lines = [curve.entry() for curve in curves if len(curves) > 1]
        legend_below(ax, [*lines, *end_entries(paths, ends), *marks], grow=own)
    return ax


class Height(NamedTuple):
    """How losses become heights: less `base`, and compressed if there is a scale `c`."""

    base: float
    c: float | None

    @classmethod
    def of(cls, loss: FloatArray, minimum: float | None) -> Height:
        if minimum is None:
            return cls(0.0, None)
        above = loss[np.isfinite(loss)] - minimum
        low, high = np.quantile(above, 0.25), above.max(initial=0.0)
        if not low > 0.0 or high / low < 30.0:
            return cls(minimum, None)
        return cls(minimum, 10.0 ** np.floor(np.log10(low)))

    def at(self, loss: Any) -> FloatArray:
        above = np.asarray(loss) - self.base
        return above if self.c is None else np.log10(1.0 + np.maximum(above, 0.0) / self.c)


def azimuth(z: FloatArray) -> float:
    """Return the direction of the lowest quarter, over which one looks into the surface."""
    middle = len(z) // 2
    quarters = {-60.0: z[:middle, middle:], 30.0: z[middle:, middle:]}
    quarters |= {120.0: z[middle:, :middle], 210.0: z[:middle, :middle]}
    means = {angle: float(np.nanmean(quarter)) for angle, quarter in quarters.items()}
    lowest = min(means, key=lambda angle: means[angle])
    # The usual view, unless another one is clearly better.
    return lowest if means[-60.0] - means[lowest] > 0.02 * np.ptp(z) else -60.0


def draw_mesh(ax: Axes3D, field: Field, height: Height) -> None:
    z = height.at(np.where(np.isfinite(field.loss), field.loss, np.nan))
    ax.plot_surface(
        *np.meshgrid(field.x, field.y),
        z,
        cmap=field_colours(),
        rcount=NODES,
        ccount=NODES,
        linewidth=0.0,
        antialiased=False,
        rasterized=True,
        zorder=1,
    )
    if height.c is not None:
        above = height.c * 10.0 ** np.arange(0.0, np.ceil(np.nanmax(z)) + 1.0)
        above = np.concatenate([[0.0], above[above <= field.loss.max() - height.base]])
        ax.set_zticks(height.at(above + height.base), [_decade(value) for value in above])


def _decade(value: float) -> str:
    return "0" if value == 0.0 else f"$10^{{{np.log10(value):.0f}}}$"


def _lifted(ax: Axes3D, curve: Curve, path: Path, view: FloatArray, height: Height) -> None:
    seen = inside(path.points, view)
    if not seen.any():
        return
    z = np.where(seen, height.at(path.loss), np.nan)
    x, y = np.where(seen[:, None], path.points, np.nan).T
    look: dict[str, Any] = {"color": curve.colour, "zorder": 3}
    ax.plot(x, y, z, linestyle=curve.line_style, linewidth=1.4, **look)
    ax.plot(x[:1], y[:1], z[:1], marker="o", ms=5.5, mfc="white", mew=1.2, ls="", **look)
    if not path.diverged:
        ax.plot(x[-1:], y[-1:], z[-1:], marker="s", ms=4.2, mec="white", mew=0.4, ls="", **look)


def _minima(ax: Axes3D, minima: FloatArray, view: FloatArray, z: FloatArray) -> Any:
    seen = inside(minima, view)
    marker, face, name = MARKS["global"]
    x, y = minima[seen].T
    return ax.plot(
        x, y, z[seen], marker, ms=11, mfc=face, mec="black", mew=0.8, zorder=4, label=name
    )
