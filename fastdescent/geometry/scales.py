"""A landscape's own scales: what "small" means for its gradients and curvatures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fastdescent.checking import check_before_use
from fastdescent.errors import InvalidValueError
from fastdescent.landscapes import Landscape
from fastdescent.parts import FloatArray, is_integer, is_number
from fastdescent.starts import Uniform

__all__ = [
    "Scales",
    "checked_box",
    "checked_landscape",
    "checked_point",
    "checked_scale",
    "scales",
]


@dataclass(frozen=True)
class Scales:
    """Length and height of a landscape, in which its gradients and curvatures are judged.

    Both grow with their unit: multiply all coordinates or the loss by a constant, and they are
    multiplied by it, so what is measured in them has no unit.

    Parameters
    ----------
    length : float
        Length of the place that one looks at, > 0, in units of the coordinates.
    loss : float
        Typical height of the loss above its lowest value there, >= 0, in units of the loss; 0
        only where the loss is constant.

    Raises
    ------
    InvalidValueError
        If a scale is not finite, or not positive.
    """

    length: float
    loss: float

    def __post_init__(self) -> None:
        if not is_number(self.length) or not 0.0 < self.length < np.inf:
            raise InvalidValueError("Scales.length", self.length, "a finite number > 0")
        if not is_number(self.loss) or not 0.0 <= self.loss < np.inf:
            raise InvalidValueError("Scales.loss", self.loss, "a finite number >= 0")

    @property
    def gradient(self) -> float:
        """A typical gradient: the height over the length."""
        return self.loss / self.length

    @property
    def curvature(self) -> float:
        """A typical curvature: the height over the length squared."""
        return self.loss / self.length**2


def scales(
    landscape: Landscape, box: ArrayLike | None = None, *, count: int = 4096, seed: int = 0
) -> Scales:
    r"""Return a landscape's own scales inside a box.

    .. math:: \ell = \sqrt{\tfrac1d \sum_i (u_i - l_i)^2}, \qquad
              F = \operatorname{median} f - \min f

    with the median over uniform points of the box, and the lowest value of them and of the known
    minima inside.  The median, because a mean belongs to the few highest places of losses that
    rise steeply; not the curvature at some point, because a plateau has none.

    Parameters
    ----------
    landscape : Landscape
        The loss.
    box : array_like, shape (2,) or (dim, 2), optional
        Lower and upper bounds; the landscape's domain by default.
    count : int
        Number of points, >= 2.  With 4096 the median is that of a part between 48 and 52 %.
    seed : int
        Seed of the points.

    Returns
    -------
    Scales

    Raises
    ------
    InvalidValueError
        If the box is empty or not finite, or the loss is nowhere finite.

    Examples
    --------
    >>> import fastdescent as fd
    >>> scale = scales(fd.landscapes.Bowl(dim=2), box=(-2.0, 2.0))
    >>> scale.length, round(scale.loss, 2)
    (4.0, 1.25)
    """
    if not is_integer(count) or count < 2:
        raise InvalidValueError("count", count, "an integer >= 2")
    bounds = checked_box(landscape, box)
    lower, upper = bounds.T
    points = Uniform(tuple(lower.tolist()), tuple(upper.tolist()), count=count).points(
        landscape, seed
    )
    known = landscape.minima
    if known is not None:
        inside = ((known >= lower) & (known <= upper)).all(axis=1)
        points = np.concatenate([points, known[inside]])
    values = landscape.value(points)
    sampled, finite = values[:count], np.isfinite(values)
    if not finite[:count].any():
        raise InvalidValueError(
            "box", bounds.tolist(), "a box in which the loss is finite somewhere"
        )
    height = float(np.median(sampled[finite[:count]]) - values[finite].min())
    return Scales(float(np.sqrt(np.mean((upper - lower) ** 2))), height)


def checked_scale(landscape: Landscape, scale: object) -> Scales:
    """Return the scales that were given, or the landscape's own.

    Raises
    ------
    InvalidValueError
        If they are something else, or the landscape's domain is not bounded.
    """
    if scale is None:
        if not np.isfinite(landscape.domain).all():
            allowed = "Scales, for the domain is not bounded"
            raise InvalidValueError("scale", None, allowed, "such as scales(landscape, box)")
        return scales(landscape)
    if not isinstance(scale, Scales):
        raise InvalidValueError(
            "scale", scale, "Scales, or None", "such as fd.geometry.scales(landscape, box)"
        )
    return scale


def checked_landscape(landscape: object) -> Landscape:
    """Return a landscape; a user's gradient is compared with differences before its first use.

    Raises
    ------
    InvalidValueError
        If it is something else, or its gradient is wrong.
    """
    if not isinstance(landscape, Landscape):
        raise InvalidValueError(
            "landscape",
            landscape,
            "a landscape",
            "such as fd.landscapes.Himmelblau() or fd.landscape('x**2 + 15*y**2')",
        )
    check_before_use(landscape)
    return landscape


def checked_box(landscape: Landscape, box: ArrayLike | None) -> FloatArray:
    """Return a box as lower and upper bounds, (dim, 2); the landscape's domain if none is given.

    Raises
    ------
    InvalidValueError
        If it is no finite box of the landscape's dimension, or that is no landscape.
    """
    checked_landscape(landscape)
    shown = landscape.domain.tolist() if box is None else box
    allowed = f"one finite pair (lower, upper) with lower < upper, or {landscape.dim} of them"
    try:
        bounds = np.asarray(shown, dtype=float)
    except (TypeError, ValueError):
        raise InvalidValueError("box", shown, allowed) from None
    right = bounds.shape in ((2,), (landscape.dim, 2)) and bool(np.isfinite(bounds).all())
    if not right or not (bounds[..., 0] < bounds[..., 1]).all():
        raise InvalidValueError("box", shown, allowed)
    return np.array(np.broadcast_to(bounds, (landscape.dim, 2)))


def checked_point(name: str, given: ArrayLike, dim: int) -> FloatArray:
    """Return one point, (dim,).

    Raises
    ------
    InvalidValueError
        If it has another shape, or is not finite.
    """
    try:
        point = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        point = np.empty(0)
    if point.shape != (dim,) or not np.isfinite(point).all():
        raise InvalidValueError(name, given, f"one point: {dim} finite coordinates")
    return point
