"""The zeros of a gradient in a box, by branch and bound: each proven, and no others overlooked.

`isolate` finds them, each with a box in which it exists and is the only one, and says where it
could not decide.  `Derivatives` bounds gradient and Hessian on boxes.

References
----------
Moore, Kearfott and Cloud (2009), Introduction to Interval Analysis, SIAM, chapter 8; Krawczyk
(1969), Computing 4, 187-201; Neumaier (1990), Interval Methods for Systems of Equations,
Cambridge, theorem 5.1.8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from fastdescent.geometry.intervals import (
    LEAST,
    BoolArray,
    Enclosure,
    Formulas,
    Interval,
    rounded_down,
    rounded_up,
)
from fastdescent.parts import FloatArray

__all__ = ["Derivatives", "Isolated", "halved", "isolate", "most_boxes"]

#: Covers the roundings of sums of products without cancellation, up to 2000 terms.
_SUMS = 1.0 + 1e-12
#: Boxes smaller than this, relative to the first one, are not halved again.
_SMALLEST = 1e-9
#: Entries of Hessians held at once.
_ENTRIES = 2**20
#: Places where a zero is looked for in each generation.
_CANDIDATES = 64
#: Newton steps before a zero is proven.
_POLISHING = 4
#: Where boxes are halved: not in the middle, where symmetric landscapes have their zeros.
_CUT = 0.484375


@dataclass(frozen=True)
class Isolated:
    """What `isolate` finds.

    Parameters
    ----------
    lower, upper : ndarray, shape (zeros, coordinates)
        Boxes that hold exactly one zero each, as small as rounding allows.
    undecided_lower, undecided_upper : ndarray, shape (boxes, coordinates)
        Boxes about which nothing is proven; outside them there are no other zeros.
    examined : int
        Boxes that were looked at.
    """

    lower: FloatArray
    upper: FloatArray
    undecided_lower: FloatArray
    undecided_upper: FloatArray
    examined: int


@np.errstate(all="ignore")
def isolate(
    formulas: Formulas,
    box: ArrayLike,
    *,
    columns: Sequence[int] | None = None,
    guesses: ArrayLike | None = None,
    max_boxes: int | None = None,
) -> Isolated:
    r"""Find all zeros of a gradient in a box, with proof.

    A box X with centre c is discarded if 0 is not in the natural bounds of the gradient g there,
    if the loss is defined nowhere in it, or if an interval Newton step, plain and preconditioned,
    leaves nothing of it.  If

    .. math:: K(X) = c - Y g(c) + (I - Y H(X)) (X - c)

    lies in the interior of X, there is exactly one zero in X, if the gradient and the loss itself
    are smooth there; else X stays undecided.  Y is the inverse of the middle of the Hessian's
    bounds H(X).  Such boxes are grown round each zero as far as that holds, so that none is left
    at the seams of the halving.

    Parameters
    ----------
    formulas : Formulas
        The gradient and its derivatives.
    box : array_like, shape (coordinates, 2)
        A finite closed box.
    columns : sequence of int, optional
        One of `Formulas.blocks`, whose coordinates are those of the box; by default all.
    guesses : array_like, shape (n, coordinates), optional
        Where zeros are thought to be; it saves time, nothing else.
    max_boxes : int, optional
        The most boxes to look at, of which a tenth may be open at once; what is left then is
        undecided.  By default 5e7 / d^3 in d coordinates, as a box costs that much, and at most
        200 000.

    Returns
    -------
    Isolated

    Examples
    --------
    >>> from fastdescent.geometry.intervals import traced
    >>> from fastdescent.landscapes import Himmelblau
    >>> found = isolate(traced(Himmelblau()), [[-6.0, 6.0], [-6.0, 6.0]])
    >>> len(found.lower), len(found.undecided_lower)
    (9, 0)
    >>> bool((found.upper - found.lower).max() < 1e-13)
    True
    """
    bounds = np.asarray(box, dtype=float)
    columns = range(len(bounds)) if columns is None else columns
    system = Derivatives(formulas, columns, value=True)
    regions = _Regions(system, bounds)
    if guesses is not None:
        regions.add(np.asarray(guesses, dtype=float))
    # Far from the origin neighbouring numbers are farther apart than that.
    small = np.maximum(
        _SMALLEST * (bounds[:, 1] - bounds[:, 0]), 4.0 * np.spacing(np.abs(bounds).max(axis=1))
    )
    lower, upper = bounds[np.newaxis, :, 0], bounds[np.newaxis, :, 1]
    left: list[tuple[FloatArray, FloatArray]] = []
    examined = 0
    most = max_boxes or most_boxes(len(bounds))
    part = max(1, _ENTRIES // len(bounds) ** 2)
    while len(lower) and examined < most and len(lower) <= max(10, most // 10):
        examined += len(lower[:part])
        step = _narrowed(system, lower[:part], upper[:part])
        regions.add(step.candidates(regions))
        open_ = ~regions.cover(step.lower, step.upper)
        low, high, spread = step.lower[open_], step.upper[open_], step.spread[open_]
        tiny = (high - low <= small).all(axis=1)
        left.append((low[tiny], high[tiny]))
        low, high = halved(low[~tiny], high[~tiny], spread[~tiny])
        lower, upper = np.concatenate([low, lower[part:]]), np.concatenate([high, upper[part:]])
    left.append((lower, upper))
    inside, astride = regions.inside(bounds)
    left.append((regions.tight_lower[astride], regions.tight_upper[astride]))
    return Isolated(
        regions.tight_lower[inside],
        regions.tight_upper[inside],
        np.concatenate([low for low, _ in left]),
        np.concatenate([high for _, high in left]),
        examined,
    )


def most_boxes(dim: int) -> int:
    """Return how many boxes are worth looking at: the price of one grows like dim^3."""
    return int(min(200_000.0, max(10.0, 5e7 / dim**3)))


class Derivatives:
    """Bounds of gradient and Hessian on boxes.

    Parameters
    ----------
    formulas : Formulas
        What is bounded.
    columns : sequence of int, optional
        One of `Formulas.blocks`; by default all coordinates.
    value : bool
        Whether the loss itself must be smooth too where derivatives are to be relied on; where it
        is not defined, the gradient is empty then.

    Examples
    --------
    >>> from fastdescent.geometry.intervals import traced
    >>> from fastdescent.landscapes import Himmelblau
    >>> both = Derivatives(traced(Himmelblau())).both
    >>> _, hessian, smooth = both(np.array([[3.0, 2.0]]), np.array([[3.0, 2.0]]))
    >>> hessian.middle[0].round(9).tolist(), smooth.tolist()
    ([[74.0, 20.0], [20.0, 34.0]], [True])
    """

    def __init__(
        self, formulas: Formulas, columns: Sequence[int] | None = None, *, value: bool = False
    ) -> None:
        columns = range(len(formulas.gradient)) if columns is None else columns
        self._dim = len(columns)
        slopes = [formulas.gradient[i] for i in columns]
        place = {i: k for k, i in enumerate(columns)}
        second = {key: item for key, item in formulas.hessian.items() if key[0] in place}
        self._places = [(place[i], place[j]) for i, j in second]
        self._slopes = Enclosure(slopes, formulas.constants, columns)
        self._losses = self._dim + len(second)
        roots = [*slopes, *second.values(), *(formulas.parts(columns) if value else [])]
        self._both = Enclosure(roots, formulas.constants, columns)

    def slopes(self, points: FloatArray) -> Interval:
        """Return bounds of the gradient at points, shape (n, d)."""
        found, _ = self._slopes(points, points)
        return Interval(found.lower.T, found.upper.T)

    def both(self, lower: FloatArray, upper: FloatArray) -> tuple[Interval, Interval, BoolArray]:
        """Return bounds of gradient (n, d) and Hessian (n, d, d), and where all is smooth."""
        found, smooth = self._both(lower, upper)
        ends = []
        for end in (found.lower, found.upper):
            matrix = np.zeros((len(lower), self._dim, self._dim))
            for row, (i, j) in enumerate(self._places, start=self._dim):
                matrix[:, i, j] = matrix[:, j, i] = end[row]
            ends.append(matrix)
        nowhere = np.isnan(found.lower[self._losses :]).any(axis=0)
        lower, upper = (
            np.where(nowhere, np.nan, end[: self._dim]).T for end in (found.lower, found.upper)
        )
        return Interval(lower, upper), Interval(*ends), smooth


@dataclass(frozen=True)
class _Newton:
    """Interval Newton steps for boxes on which the derivatives are bounded.

    ``lower`` and ``upper`` bound what a step leaves of each box, ``none`` is where that is
    nothing, ``single`` where Krawczyk's test proves a single zero, ``point`` is Newton's point.
    """

    lower: FloatArray
    upper: FloatArray
    none: BoolArray
    single: BoolArray
    point: FloatArray


def _newton(
    lower: FloatArray, upper: FloatArray, at_centre: Interval, hessian: Interval, y: FloatArray
) -> _Newton:
    """Solve Y H (x - c) = -Y g(c), coordinate by coordinate, and test Krawczyk's condition.

    Matrices are kept as middle and radius; `_SUMS` and terms of a few eps cover the roundings.
    """
    dim = lower.shape[1]
    box = Interval(lower, upper)
    centre, reach = box.middle, box.radius
    rounding = 4.0 * (dim + 2) * np.finfo(float).eps
    size = np.abs(y)
    a = y @ hessian.middle
    a_reach = _SUMS * (size @ hessian.radius + rounding * (size @ np.abs(hessian.middle)))
    b = _applied(y, at_centre.middle)
    b_reach = _SUMS * (
        _applied(size, at_centre.radius) + rounding * _applied(size, np.abs(at_centre.middle))
    )
    eye = np.eye(dim)
    aside = _SUMS * (_applied((np.abs(a) + a_reach) * (1.0 - eye), reach) + b_reach) + LEAST
    diagonal = Interval(
        rounded_down(np.einsum("nii->ni", a - a_reach)),
        rounded_up(np.einsum("nii->ni", a + a_reach)),
    )
    shift = Interval(rounded_down(-b - aside), rounded_up(-b + aside)) / diagonal
    new = Interval.of(centre) + shift
    low, high = np.maximum(new.lower, lower), np.minimum(new.upper, upper)
    along = _SUMS * (aside + diagonal.magnitude * reach)
    none = ((low > high) | (np.abs(b) > along)).any(axis=1)
    drift = _SUMS * (_applied(np.abs(eye - a) * _SUMS + a_reach, reach) + b_reach) + LEAST
    point = centre - b
    slack = 4.0 * np.finfo(float).eps * (np.abs(centre) + np.abs(b))
    inside = (point - drift - slack > lower) & (point + drift + slack < upper)
    return _Newton(low, high, none, inside.all(axis=1), point)


def _applied(matrix: FloatArray, vector: FloatArray) -> FloatArray:
    return np.asarray((matrix @ vector[..., np.newaxis])[..., 0])


def _inverse(matrix: FloatArray) -> FloatArray:
    """Return inverses, of matrices moved a little where they are singular."""
    scale = np.abs(matrix).max(axis=(1, 2))
    scale = np.where(scale > 0.0, scale, 1.0)[:, np.newaxis, np.newaxis]
    eye = np.eye(matrix.shape[-1])
    for moved in (0.0, 3e-14):
        try:
            found = np.linalg.inv(matrix + moved * scale * eye)
        except np.linalg.LinAlgError:
            continue
        return np.asarray(np.where(np.isfinite(found).all(axis=(1, 2), keepdims=True), found, eye))
    return np.broadcast_to(eye, matrix.shape)


@dataclass(frozen=True)
class _Step:
    """What a generation leaves: boxes, how much each side matters, points to look for zeros."""

    lower: FloatArray
    upper: FloatArray
    spread: FloatArray
    point: FloatArray

    def candidates(self, regions: _Regions) -> FloatArray:
        """Return some of Newton's points that lie in or near their boxes, none twice."""
        width = self.upper - self.lower
        near = np.abs(self.point - 0.5 * (self.lower + self.upper)) <= width
        points = self.point[near.all(axis=1)]
        points = points[~regions.cover(points, points)]
        cells = np.unique(np.round(points / regions.width, 5), axis=0, return_index=True)[1]
        return points[cells[:_CANDIDATES]]


def _narrowed(system: Derivatives, lower: FloatArray, upper: FloatArray) -> _Step:
    """Discard boxes without zeros, and narrow the others."""
    slopes, hessian, smooth = system.both(lower, upper)
    open_ = slopes.contains(0.0).all(axis=1)
    lower, upper, smooth = lower[open_].copy(), upper[open_].copy(), smooth[open_]
    hessian = Interval(hessian.lower[open_], hessian.upper[open_])
    bounded = smooth & np.isfinite(hessian.magnitude).all(axis=(1, 2))
    centre = 0.5 * lower + 0.5 * upper
    at_centre = system.slopes(centre)
    bounded &= np.isfinite(at_centre.magnitude).all(axis=1)
    point = np.full_like(lower, np.nan)
    spread = (upper - lower) / np.maximum(np.abs(upper - lower).max(axis=1, keepdims=True), LEAST)
    open_ = np.ones(len(lower), dtype=bool)
    if bounded.any():
        h = Interval(hessian.lower[bounded], hessian.upper[bounded])
        g = Interval(at_centre.lower[bounded], at_centre.upper[bounded])
        low, high = lower[bounded], upper[bounded]
        spread[bounded] = _smear(h, high - low)
        plain = _newton(low, high, g, h, np.broadcast_to(np.eye(low.shape[1]), h.lower.shape))
        better = _newton(low, high, g, h, _inverse(h.middle))
        low, high = np.maximum(plain.lower, better.lower), np.minimum(plain.upper, better.upper)
        lower[bounded], upper[bounded], point[bounded] = low, high, better.point
        open_[bounded] = ~(plain.none | better.none | (low > high).any(axis=1))
    return _Step(lower[open_], upper[open_], spread[open_], point[open_])


def _smear(hessian: Interval, width: FloatArray) -> FloatArray:
    """Return how much each side widens the bounds of the gradient, each row by its own scale."""
    size = hessian.magnitude * width[:, np.newaxis, :]
    return np.asarray((size / np.maximum(size.sum(axis=2, keepdims=True), LEAST)).max(axis=1))


def halved(
    lower: FloatArray, upper: FloatArray, spread: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Cut each box across the side of which `spread` says that it matters most."""
    rows, side = np.arange(len(lower)), spread.argmax(axis=1) if len(lower) else 0
    cut = lower[rows, side] + _CUT * (upper[rows, side] - lower[rows, side])
    low, high = lower.copy(), upper.copy()
    high[rows, side] = low[rows, side] = cut
    return np.concatenate([lower, low]), np.concatenate([high, upper])


class _Regions:
    """Boxes that are proven to hold a single zero each, and tight bounds of these zeros."""

    def __init__(self, system: Derivatives, box: FloatArray) -> None:
        self._system = system
        self.width = box[:, 1] - box[:, 0]
        none = np.empty((0, len(box)))
        self._lower, self._upper = none, none
        self.tight_lower, self.tight_upper = none, none

    def cover(self, lower: FloatArray, upper: FloatArray) -> BoolArray:
        """Return which boxes lie in one of the regions."""
        if not (len(self._lower) and len(lower)):
            return np.zeros(len(lower), dtype=bool)
        from scipy.spatial import cKDTree  # noqa: PLC0415 - slow to import

        tree = cKDTree(0.5 * (self.tight_lower + self.tight_upper) / self.width)
        count = min(4, len(self._lower))  # a box in a region has its zero among the nearest
        near = tree.query(0.5 * (lower + upper) / self.width, k=range(1, count + 1), p=np.inf)[1]
        above = np.all(self._lower[near] <= lower[:, np.newaxis], axis=2)
        below = np.all(upper[:, np.newaxis] <= self._upper[near], axis=2)
        return np.asarray(np.any(above & below, axis=1))

    def add(self, points: FloatArray) -> None:
        """Prove zeros near some points, and keep those that are new."""
        for _ in range(_POLISHING):
            middle = self._system.both(points, points)[1].middle
            step = _applied(_inverse(np.nan_to_num(middle)), self._system.slopes(points).middle)
            points = points - np.clip(np.nan_to_num(step), -self.width, self.width)
        points = points[~self.cover(points, points)]
        cells = np.round(points / self.width, 8)
        points = points[np.unique(cells, axis=0, return_index=True)[1]]
        for low, high, tight_low, tight_high in zip(*self._proven(points), strict=True):
            same = (self._lower <= tight_low) & (tight_high <= self._upper)
            same |= (self.tight_lower <= tight_high) & (tight_low <= self.tight_upper)
            if same.all(axis=1).any():
                continue
            self._lower, self._upper = _more(self._lower, low), _more(self._upper, high)
            self.tight_lower = _more(self.tight_lower, tight_low)
            self.tight_upper = _more(self.tight_upper, tight_high)

    def _proven(self, points: FloatArray) -> tuple[FloatArray, ...]:
        """Return the largest boxes round points, of a few sizes, that hold a single zero each.

        With them come bounds of these zeros, as small as rounding allows.
        """
        small = [self._newton(points - r, points + r).single for r in self._reaches(20, 36)]
        points = points[small[0] | small[1]]  # soon done with what is no zero
        found = [np.empty((2, 0, len(self.width)))]
        for reach in self._reaches(*range(2, 38, 2)):
            if not len(points):
                break
            single = self._newton(points - reach, points + reach).single
            found.append(np.stack([points[single] - reach, points[single] + reach]))
            points = points[~single]
        low, high = np.concatenate(found, axis=1)
        tight_low, tight_high = low, high
        for _ in range(8 if len(low) else 0):
            step = self._newton(tight_low, tight_high)
            tight_low, tight_high = step.lower, step.upper
        return low, high, tight_low, tight_high

    def _reaches(self, *halvings: int) -> list[FloatArray]:
        return [self.width * 0.5**k for k in halvings]

    def _newton(self, low: FloatArray, high: FloatArray) -> _Newton:
        _, hessian, smooth = self._system.both(low, high)
        at_centre = self._system.slopes(0.5 * low + 0.5 * high)
        y = _inverse(np.nan_to_num(hessian.middle))
        step = _newton(low, high, at_centre, hessian, y)
        return replace(step, single=step.single & smooth)

    def inside(self, box: FloatArray) -> tuple[BoolArray, BoolArray]:
        """Return which zeros lie in a box, and which may."""
        low, high = self.tight_lower, self.tight_upper
        inside = ((box[:, 0] <= low) & (high <= box[:, 1])).all(axis=1)
        outside = ((high < box[:, 0]) | (box[:, 1] < low)).any(axis=1)
        return np.asarray(inside), np.asarray(~inside & ~outside)


def _more(rows: FloatArray, row: FloatArray) -> FloatArray:
    return np.concatenate([rows, row[np.newaxis]])
