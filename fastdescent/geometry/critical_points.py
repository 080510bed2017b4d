"""Critical points of a landscape in a box: found from many starts, proven where that is possible.

Two independent ways meet.  Newton's method from random starts finds points, counts how often,
and says nothing about what it missed, which is estimated from these counts as the number of
species is.  Interval arithmetic on the formula (`intervals`) goes through the whole box and
proves where there are no critical points and where there is exactly one.  Where both agree and
nothing is left open the list is certified.

Examples
--------
>>> from fastdescent.landscapes import Himmelblau
>>> found = find_critical_points(Himmelblau(), starts=256)
>>> found.attrs["complete"], found.kind.values.tolist().count("minimum"), found.sizes["point"]
('certified', 4, 9)
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from fastdescent.errors import InvalidValueError
from fastdescent.geometry.hessians import (
    block_hessians,
    block_size,
    has_hessian,
    hessians,
    over_blocks,
)
from fastdescent.geometry.intervals import Enclosure, Formulas, traced
from fastdescent.geometry.isolation import Isolated, halved, isolate
from fastdescent.geometry.scales import checked_box, checked_landscape
from fastdescent.landscapes import Landscape
from fastdescent.parts import FloatArray, IntArray, is_integer, is_number
from fastdescent.starts import Uniform
from fastdescent.symbolic.expression import ordered

__all__ = ["checked_count", "find_critical_points", "searched_box"]

BoolArray = NDArray[np.bool_]
_EPSILON = float(np.finfo(float).eps)

#: Points this far outside, relative to the box's sides, count as on its faces: the position of
#: a point on a face is known to rounding only.
_FACE = 1e-10
#: Longest Newton step relative to the box's sides, and most steps.
_LONGEST, _STEPS = 0.1, 100
#: Starts for which Newton's method ends nowhere in the box that are handed to SciPy.
_STUCK = 32
#: A gradient below this share of its usual size can be rounding.
_ZERO = 1e-8
#: Boxes on the faces that are looked at for lower values.
_MOST_FACES = 100_000
#: Points that are listed.
_LISTED = 20_000


def find_critical_points(
    landscape: Landscape,
    box: ArrayLike | None = None,
    *,
    starts: int = 1024,
    seed: int = 0,
    tolerance: float = 1e-8,
    certify: bool = True,
    max_boxes: int | None = None,
) -> xr.Dataset:
    r"""Find the points of a box where the gradient is zero, and say what may be missing.

    .. math:: \nabla f(x) = 0, \qquad x \leftarrow x - H(x)^{-1} \nabla f(x)

    Newton's method runs from independent uniform starts, no step longer than a tenth of the box;
    starts that end nowhere are handed to SciPy's trust-region least squares.  What is found is
    polished until the gradient shrinks no more.  Then, if the landscape has a formula, interval
    branch and bound goes through the box, coordinates that do not interact apart.  A point that
    only the proof has found, or that only the landscape's own list has, is there with ``found``
    = 0.  Corners, where there is no gradient, are no critical points, nor are points where the loss
    is not finite.

    A point is a minimum, a maximum or a saddle by the signs of its eigenvalues.  It is degenerate
    if an eigenvalue is zero to rounding, or halves or changes its sign within the distance to
    which the point's position is known; not if it is proven to be isolated.

    Parameters
    ----------
    landscape : Landscape
        The loss; its parameters are single numbers.
    box : array_like, shape (2,) or (dim, 2), optional
        Lower and upper bound of each coordinate, in units of x, closed; the landscape's domain by
        default.  What lies outside by less than 1e-10 of a side counts as on the face.
    starts : int
        Starts of Newton's method, >= 1.
    seed : int
        The starts' seed, >= 0.
    tolerance : float
        Points closer than this, relative to the box's sides, are one, unless they are proven to
        be distinct; in (0, 0.01].
    certify : bool
        Whether a proof is tried.
    max_boxes : int, optional
        The most boxes that a proof looks at, >= 1, for each group of interacting coordinates; by
        default 200 000, and 5e7 / d^3 in groups of d > 6.  It gives up when a tenth of them are
        open at once.

    Returns
    -------
    xarray.Dataset
        Sorted by value, then position, where what differs by rounding only counts as equal;
        dimensions ``point``, ``coordinate``, ``eigenvalue``.
        ``position``, ``value``, ``gradient_norm``; ``kind``: minimum, maximum, saddle or
        degenerate; ``index``: the number of negative eigenvalues, -1 where degenerate;
        ``eigenvalues``, ascending; ``scope``: global, local or unknown; ``found``: starts that
        ended there; ``proven``: whether interval arithmetic proves that there is exactly one.
        Attributes: ``complete``, certified or estimated, and ``completeness`` in words;
        ``missing_mass``, the Good-Turing estimate of the probability that one more start finds a
        new point, and ``missing_mass_upper``, a 95 % bound: that of the second half of the starts
        finding what the first half has not (Clopper-Pearson); ``unseen_estimate``, Chao's
        estimate of how many points were not seen, all three NaN if no start ended anywhere;
        ``boxes_examined``, ``boxes_undecided``.

        A minimum is global if its value is the known minimum, local if a lower value is known
        anywhere in the box; in a certified list the lowest one is global in the box if interval
        bounds on the faces are not below it.  Attribute ``scope_basis`` says which.

    Raises
    ------
    InvalidValueError
        If the landscape is none, the box has another shape, is empty or not finite, a number is
        not allowed, or a parameter of the landscape is a sequence.

    References
    ----------
    Good (1953), Biometrika 40, 237-264, equation 9; Chao (1984), Scandinavian Journal of
    Statistics 11, 265-270; proof: see `intervals`.

    Examples
    --------
    >>> from fastdescent.landscapes import SixHumpCamel
    >>> found = find_critical_points(SixHumpCamel(), starts=256)
    >>> found.attrs["complete"], found.sizes["point"], float(found.value[0].round(9))
    ('certified', 15, -1.031628453)
    """
    bounds = searched_box(landscape, box)
    checked_count("starts", starts)
    if not is_integer(seed) or seed < 0:
        raise InvalidValueError("seed", seed, "an integer >= 0")
    if max_boxes is not None:
        checked_count("max_boxes", max_boxes)
    if not is_number(tolerance) or not 0.0 < tolerance <= 0.01:
        raise InvalidValueError("tolerance", tolerance, "a number in (0, 0.01]")
    with np.errstate(all="ignore"):
        search = _Search.of(landscape, bounds, int(starts), seed, float(tolerance))
        formulas = traced(landscape) if certify else None
        proof = _Proof()
        if formulas is not None:
            proof = _proof(formulas, search, max_boxes)
            search.settle(proof.lower, proof.upper)
        points = _classified(search)
        bounded = _bounded_below(formulas, search, points, proof)
        scope, basis = _scopes(search, points, bounded)
    return _dataset(search, points, proof, scope, basis, seed)


def searched_box(landscape: Landscape, box: ArrayLike | None) -> FloatArray:
    """Return a box as an array (dim, 2), the landscape's domain if none is given.

    Raises
    ------
    InvalidValueError
        If it is no finite box of the landscape's dimension, or the landscape is none or a sweep.
    """
    bounds = checked_box(checked_landscape(landscape), box)
    landscape.value(bounds.mean(axis=1))  # a sweep is refused there
    return bounds


def checked_count(name: str, value: Any) -> None:
    """Raise an error unless a value is an integer >= 1."""
    if not is_integer(value) or value < 1:
        raise InvalidValueError(name, value, "an integer >= 1")


@dataclass
class _Search:
    """What Newton's method found from many starts.

    ``ends`` holds where each start ended and ``label`` the row of ``points`` that this is, -1 for
    nowhere; ``flat`` counts the starts that ended where gradient and Hessian vanish all around.
    """

    landscape: Landscape
    bounds: FloatArray
    tolerance: float
    begun: FloatArray
    typical: float = 0.0
    points: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    ends: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    label: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    proven: BoolArray = field(default_factory=lambda: np.empty(0, dtype=bool))
    flat: int = 0

    @classmethod
    def of(
        cls, landscape: Landscape, bounds: FloatArray, starts: int, seed: int, tolerance: float
    ) -> _Search:
        """Run the search."""
        places = Uniform(bounds[:, 0].tolist(), bounds[:, 1].tolist(), count=starts)
        begun = places.points(landscape, seed)
        search = cls(landscape, bounds, tolerance, begun)
        size = np.abs(landscape.gradient(begun)).max(axis=1)
        size[~search.defined(begun)] = np.nan
        usual = size[np.isfinite(size)]
        search.typical = float(np.median(usual)) if len(usual) else 0.0
        ends, arrived = search.newton(begun)
        stuck = np.flatnonzero(~arrived & np.isfinite(size) & search.inside(ends))[:_STUCK]
        if len(stuck):
            ends[stuck], arrived[stuck] = search.newton(search.trust_region(begun[stuck]))
        arrived &= search.inside(ends)
        even = search._flat(ends, arrived)
        search.flat = int(np.count_nonzero(even))
        search._merge(ends, arrived & ~even)
        search.recall()
        return search

    @property
    def width(self) -> FloatArray:
        """Sides of the box."""
        return self.bounds[:, 1] - self.bounds[:, 0]

    @property
    def closed(self) -> FloatArray:
        """The box with what counts as its faces."""
        return self.bounds + _FACE * np.outer(self.width, [-1.0, 1.0])

    def inside(self, x: FloatArray) -> BoolArray:
        """Return which points lie in the box."""
        low, high = self.closed.T
        return np.asarray(((low <= x) & (x <= high)).all(axis=1))

    def defined(self, x: FloatArray) -> BoolArray:
        """Return where the loss is a finite number."""
        return np.isfinite(self.landscape.value(x)) if len(x) else np.zeros(0, dtype=bool)

    def step(self, x: FloatArray) -> FloatArray:
        """Return Newton's steps; NaN where there is none, 0 along what is flat to rounding."""
        step = np.full_like(x, np.nan)

        def work(block: slice) -> None:
            gradient = self.landscape.gradient(x[block])
            hessian = block_hessians(self.landscape, x[block]).matrices
            usable = np.isfinite(gradient).all(axis=1) & np.isfinite(hessian).all(axis=(1, 2))
            step[block][usable] = _step(gradient[usable], hessian[usable])

        over_blocks(work, len(x), block_size(x.shape[1]))
        return step

    def curvature(self, x: FloatArray) -> FloatArray:
        """Return the Hessians at some points."""
        return hessians(self.landscape, x).matrices

    def newton(self, x: FloatArray) -> tuple[FloatArray, BoolArray]:
        """Return where Newton's method leads, and whether it arrived."""
        x = x.copy()
        arrived = np.zeros(len(x), dtype=bool)
        moving = np.arange(len(x))
        for _ in range(_STEPS):
            step = self.step(x[moving])
            length = np.abs(step / self.width).max(axis=1)
            usable = np.isfinite(length)
            moving, step, length = moving[usable], step[usable], length[usable]
            x[moving] += step * np.minimum(1.0, _LONGEST / np.maximum(length, 1e-300))[:, None]
            arrived[moving] = length <= 1e-12
            outside = np.maximum(self.bounds[:, 0] - x[moving], x[moving] - self.bounds[:, 1])
            near = (outside < 0.5 * self.width).all(axis=1)
            moving = moving[near & ~arrived[moving]]
            if not len(moving):
                break
        else:
            arrived[moving] = length[near & ~(length <= 1e-12)] <= self.tolerance  # rounding
        return x, arrived & self.vanishes(x)

    def _one_hessian(self, point: FloatArray) -> FloatArray:
        return np.asarray(self.curvature(point)[0])

    def vanishes(self, x: FloatArray) -> BoolArray:
        """Return where the loss is finite, and its gradient 0 to what rounding and bends allow."""
        size = np.abs(self.landscape.gradient(x)).max(axis=1, initial=0.0)
        bend = np.abs(self.curvature(x)).max(axis=(1, 2), initial=0.0) * self.width.max()
        return np.asarray(size <= _ZERO * np.maximum(self.typical, bend)) & self.defined(x)

    def trust_region(self, x: FloatArray) -> FloatArray:
        """Return where SciPy's least squares of the gradient end."""
        from scipy.optimize import least_squares  # noqa: PLC0415 - slow to import

        ends = [
            least_squares(
                self.landscape.gradient,
                start,
                jac=self._one_hessian,
                bounds=tuple(self.closed.T),
                x_scale=self.width,
                max_nfev=50,
            ).x
            for start in x
        ]
        return np.array(ends)

    def _flat(self, x: FloatArray, arrived: BoolArray) -> BoolArray:
        """Return which ends are on a plateau: no gradient there, nor a little farther on."""
        even = arrived.copy()
        for factor in (0.0, 1e-3, -1e-3):
            rows = np.flatnonzero(even)
            gradient = self.landscape.gradient(x[rows] + factor * self.width)
            even[rows] = (gradient == 0.0).all(axis=1)
        return even

    def _merge(self, ends: FloatArray, arrived: BoolArray) -> None:
        """Take ends that are close together for one point, the best one first."""
        rows = np.flatnonzero(arrived)
        x = self.polished(ends[rows])
        reach = np.maximum(self.tolerance, np.minimum(10.0 * self.accuracy(x), 1e-3))
        order = np.argsort(np.abs(self.landscape.gradient(x)).max(axis=1, initial=0.0))
        mark = np.full(len(rows), -1, dtype=np.int64)
        chosen: list[int] = []
        for i in order:
            if mark[i] < 0:
                distance = np.abs((x - x[i]) / self.width).max(axis=1)
                mark[(distance <= np.maximum(reach[i], reach)) & (mark < 0)] = len(chosen)
                chosen.append(i)
        self.points = x[chosen].reshape(-1, len(self.bounds))
        self.ends = ends.copy()
        self.ends[rows] = x
        self.label = np.full(len(ends), -1, dtype=np.int64)
        self.label[rows] = mark
        self.proven = np.zeros(len(chosen), dtype=bool)

    def polished(self, x: FloatArray) -> FloatArray:
        """Return points after Newton steps, as long as the gradient shrinks."""
        x = x.copy()
        size = np.abs(self.landscape.gradient(x)).max(axis=1, initial=0.0)
        for _ in range(10):
            new = x + self.step(x)
            found = np.abs(self.landscape.gradient(new)).max(axis=1, initial=0.0)
            better = found < size
            if not better.any():
                break
            x[better], size[better] = new[better], found[better]
        return x

    def accuracy(self, x: FloatArray) -> FloatArray:
        """Return to what distance positions are known, relative to the box's sides.

        That is the rounding error of the gradient, some eps of the terms that cancel in it, over
        the eigenvalue that is nearest to zero.
        """
        hessian = self.curvature(x)
        bend = np.abs(hessian).max(axis=(1, 2), initial=0.0) * np.abs(x).max(axis=1, initial=0.0)
        noise = 64.0 * _EPSILON * (bend + self.typical)
        least = np.abs(np.linalg.eigvalsh(hessian)).min(axis=1, initial=np.inf)
        return np.asarray(noise / np.maximum(least, 1e-300) / self.width.min())

    def recall(self) -> None:
        """Add what the landscape itself lists, if Newton's method agrees and no start found it."""
        listed = [point.position for point in self.landscape.critical_points()]
        x = np.array(listed).reshape(-1, len(self.bounds))
        x = x[self.inside(x)]
        ends, arrived = self.newton(x)
        arrived &= self.inside(ends)
        arrived &= ~self._flat(ends, arrived)
        x = self.polished(ends[arrived])
        new = [
            k for k, row in enumerate(x) if self._distances(row).min(initial=1.0) > self.tolerance
        ]
        self.points = np.concatenate([self.points, x[new]])
        self.proven = np.concatenate([self.proven, np.zeros(len(new), dtype=bool)])

    def _distances(self, position: FloatArray) -> FloatArray:
        """Return how far the points are from a position, relative to the box's sides."""
        return np.asarray(np.abs((self.points - position) / self.width).max(axis=1))

    def settle(self, lower: FloatArray, upper: FloatArray) -> None:
        """Put proven zeros, each known to lie in a box of its own, in the place of what is near.

        However close they are, none is taken for another.
        """
        zeros = np.clip(self.polished(0.5 * lower + 0.5 * upper), lower, upper)
        zeros = zeros[self.defined(zeros)]
        if not len(zeros):
            return
        from scipy.spatial import cKDTree  # noqa: PLC0415 - slow to import

        tree = cKDTree(zeros / self.width)
        distance = tree.query(self.points / self.width, p=np.inf)[0]
        old = distance > self.tolerance
        rows = np.append(np.cumsum(old) - 1, -1)  # the last one is that of -1, nowhere
        moved = (self.label >= 0) & ~np.append(old, True)[self.label]
        self.label = rows[self.label]
        nearest = tree.query(self.ends[moved] / self.width, p=np.inf)[1]
        self.label[moved] = np.count_nonzero(old) + nearest
        self.points = np.concatenate([self.points[old], zeros])
        self.proven = np.arange(len(self.points)) >= np.count_nonzero(old)

    @property
    def found(self) -> IntArray:
        """How many starts ended at each point."""
        return np.bincount(self.label[self.label >= 0], minlength=len(self.points))


def _step(gradient: FloatArray, hessian: FloatArray) -> FloatArray:
    values, vectors = np.linalg.eigh(hessian)
    least = values.shape[1] * 1e-15 * np.abs(values).max(axis=1, initial=0.0, keepdims=True)
    along = np.einsum("nji,nj->ni", vectors, gradient)
    along = np.where(np.abs(values) > least, along / values, np.where(least > 0.0, 0.0, along))
    return np.asarray(-np.einsum("nij,nj->ni", vectors, along))


@dataclass(frozen=True)
class _Proof:
    """What interval arithmetic proves: single zeros, and how much of the box is open."""

    lower: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    upper: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    number: int = 0
    examined: int = 0
    undecided: int = 0
    where: str = ""
    tried: bool = False

    @property
    def whole(self) -> bool:
        """Whether all of the box is accounted for."""
        return self.tried and self.undecided == 0 and self.number == len(self.lower)


def _proof(formulas: Formulas, search: _Search, max_boxes: int | None) -> _Proof:
    """Isolate the zeros of each group of coordinates; the points are their combinations."""
    blocks, parts = formulas.blocks(), []
    for block in blocks:
        guesses = search.points[:, block]
        cells = np.round(guesses / search.width[block], 6)
        guesses = guesses[np.unique(cells, axis=0, return_index=True)[1]]
        parts.append(
            isolate(
                formulas,
                search.closed[block],
                columns=block,
                guesses=guesses,
                max_boxes=max_boxes,
            )
        )
    number = math.prod(len(part.lower) for part in parts)
    listed = number if number <= _LISTED else 0
    ends = np.empty((2, listed, len(search.bounds)))
    for end, sides in zip(ends, ([p.lower for p in parts], [p.upper for p in parts]), strict=True):
        for row, choice in zip(end, itertools.product(*sides), strict=False):
            for block, values in zip(blocks, choice, strict=True):
                row[block] = values
    open_boxes = sum(len(part.undecided_lower) for part in parts)
    examined = sum(part.examined for part in parts)
    where = _where_open(blocks, parts)
    return _Proof(ends[0], ends[1], number, examined, open_boxes, where, tried=True)


def _where_open(blocks: list[list[int]], parts: list[Isolated]) -> str:
    """Describe the hull of the undecided boxes of each group of coordinates."""
    texts = []
    for block, part in zip(blocks, parts, strict=True):
        if len(part.undecided_lower):
            low, high = part.undecided_lower.min(axis=0), part.undecided_upper.max(axis=0)
            sides = [f"[{a:.6g}, {b:.6g}]" for a, b in zip(low[:3], high[:3], strict=True)]
            more = " x ..." if len(low) > 3 else ""
            names = ", ".join(f"x[{i}]" for i in block[:3]) + (", ..." if len(block) > 3 else "")
            texts.append(f"{names} in {' x '.join(sides)}{more}")
    return "; ".join(texts)


@dataclass(frozen=True)
class _Points:
    """Critical points with their kinds, in the order of the result."""

    order: IntArray
    position: FloatArray
    value: FloatArray
    gradient_norm: FloatArray
    eigenvalues: FloatArray
    kind: list[str]
    index: IntArray


def _classified(search: _Search) -> _Points:
    """Sort points by value and position, and say what they are by their eigenvalues."""
    x = search.points
    value = search.landscape.value(x) if len(x) else np.empty(0)
    order = _order(search, value)
    x, value, proven = x[order], value[order], search.proven[order]
    dim = x.shape[1]
    eigenvalues, vectors = np.linalg.eigh(search.curvature(x)) if len(x) else (x, np.eye(dim))
    size = np.abs(eigenvalues)
    rounding = 64.0 * dim * _EPSILON * size.max(axis=1, initial=0.0, keepdims=True)
    degenerate = (size <= rounding).any(axis=1)
    if len(x):
        least = size.argmin(axis=1)
        direction = np.take_along_axis(vectors, least[:, None, None], axis=2)[:, :, 0]
        reach = np.minimum(search.accuracy(x), 1e-3) * search.width.min()
        for sign in (1.0, -1.0):
            near = np.linalg.eigvalsh(search.curvature(x + sign * reach[:, None] * direction))
            degenerate |= (np.abs(near - eigenvalues) > 0.5 * size).any(axis=1)
    degenerate &= ~proven
    index = np.where(degenerate, -1, (eigenvalues < 0.0).sum(axis=1))
    names = {-1: "degenerate", 0: "minimum", dim: "maximum"}
    kind = [names.get(int(k), "saddle") for k in index]
    norm = np.linalg.norm(search.landscape.gradient(x), axis=1) if len(x) else value
    return _Points(order, x, value, norm, eigenvalues, kind, index)


def _order(search: _Search, value: FloatArray) -> IntArray:
    """Return the order by value, then position; what differs by rounding only is equal."""
    by_value = np.argsort(value, kind="stable")
    gaps = np.diff(value[by_value]) > 1e-12 * np.abs(value).max(initial=0.0)
    level = np.empty(len(value), dtype=np.int64)
    level[by_value] = np.concatenate([np.zeros(min(1, len(value)), dtype=np.int64), gaps]).cumsum()
    cells = np.round(search.points / search.width, 7)
    return np.lexsort((*cells.T[::-1], level))


def _bounded_below(
    formulas: Formulas | None, search: _Search, points: _Points, proof: _Proof
) -> bool:
    """Return whether the lowest critical value is proven to be the lowest in the box.

    The lowest value of a box is at a critical point or on a face, or else at a jump or where the
    loss ends.  It counts as the lowest if no other one is lower by more than the margin within
    which values are equal.
    """
    if formulas is None or not proof.whole or search.landscape.minimum is not None:
        return False
    if not _continuous(formulas, search.bounds):
        return False
    if not len(points.value) or points.kind[int(points.value.argmin())] != "minimum":
        return False
    lowest = points.value.min() - _margin(search, points)
    system = Enclosure([formulas.value, *formulas.gradient], formulas.constants)
    faces = []
    for i, side in itertools.product(range(len(search.bounds)), range(2)):
        face = search.bounds.copy()
        face[i] = search.bounds[i, side]
        faces.append(face)
    lower, upper = np.stack(faces)[:, :, 0], np.stack(faces)[:, :, 1]
    examined = 0
    while len(lower):
        examined += len(lower)
        if examined > _MOST_FACES:
            return False
        bounds, smooth = system(lower, upper)
        centre = 0.5 * lower + 0.5 * upper
        at_centre, _ = system(centre, centre)
        slope = np.maximum(np.abs(bounds.lower[1:]), np.abs(bounds.upper[1:])).T
        fall = (slope * (upper - lower)).sum(axis=1)  # nearly twice what rounding needs
        least = np.where(smooth, np.fmax(bounds.lower[0], at_centre.lower[0] - fall), -np.inf)
        least = np.fmax(least, bounds.lower[0])
        open_ = ~(least >= lowest)
        lower, upper = lower[open_], upper[open_]
        lower, upper = halved(lower, upper, slope[open_] * (upper - lower))
    return True


def _continuous(formulas: Formulas, box: FloatArray) -> bool:
    """Return whether a loss surely has no jumps in a box and is defined in all of it."""
    nodes = ordered([formulas.value])
    if any(item.operation in ("where", "sign") for item in nodes):
        return False
    inner = [
        item
        for item in nodes
        if item.operation in ("sqrt", "log")
        or (item.operation == "**" and not item.payload.is_integer())
    ]
    arguments = Enclosure([item.arguments[0] for item in inner], formulas.constants)
    lower = arguments(*box.T[:, np.newaxis])[0].lower[:, 0]
    least = [math.ulp(0.0) if item.operation == "log" else 0.0 for item in inner]
    return bool((lower >= least).all())


def _scopes(search: _Search, points: _Points, bounded: bool) -> tuple[list[str], str]:
    """Return whether extrema are global or local, and how that is known."""
    if not len(points.value):
        return [], "no critical point"
    seen = _seen(search, points)
    lowest, highest = float(seen.min()), float(seen.max())
    known, margin = search.landscape.minimum, _margin(search, points)
    if known is not None and lowest < known - margin:
        known = None  # that of another box
    basis = "values seen in the box, at starts, on faces and at corners"
    least = lowest
    if known is not None:
        basis, least = "the known minimum of the landscape; " + basis, known
    elif bounded:
        basis = "global in the box: interval bounds on its faces are not below; " + basis
    scopes = []
    for kind, value in zip(points.kind, points.value.tolist(), strict=True):
        low = value <= least + margin
        if kind in ("minimum", "degenerate") and low and (known is not None or bounded):
            scopes.append("global")
        elif (kind == "minimum" and not low) or (kind == "maximum" and value < highest - margin):
            scopes.append("local")
        else:
            scopes.append("unknown")
    return scopes, basis


def _margin(search: _Search, points: _Points) -> float:
    """Return the difference below which two values count as equal: 1e-9 of a usual one."""
    seen = _seen(search, points)
    usual = float(np.median(seen - seen.min()))
    return 1e-9 * max(abs(search.landscape.minimum or 0.0), usual)


def _seen(search: _Search, points: _Points) -> FloatArray:
    """Return the values at critical points, starts, starts moved onto the faces, and corners."""
    places = [search.begun]
    for i, bound in itertools.product(range(len(search.bounds)), range(2)):
        face = search.begun[:64].copy()
        face[:, i] = search.bounds[i, bound]
        places.append(face)
    corners = itertools.islice(itertools.product(*search.bounds.tolist()), 1024)
    seen = search.landscape.value(np.concatenate([*places, np.array(list(corners))]))
    return np.concatenate([seen[np.isfinite(seen)], points.value])


def _missing(search: _Search) -> tuple[float, float, float]:
    """Return the Good-Turing estimate, a 95 % bound of the missing mass, and Chao's estimate.

    They are NaN if no start ended anywhere: such a search says nothing.
    """
    from scipy.stats import beta  # noqa: PLC0415 - slow to import

    found, starts = search.found, len(search.label)
    if not found.any():
        return math.nan, math.nan, math.nan
    once, twice = (int(np.count_nonzero(found == k)) for k in (1, 2))
    first, second = np.split(search.label, [starts // 2])
    fresh = int(np.count_nonzero((second >= 0) & ~np.isin(second, first)))
    upper = float(beta.ppf(0.95, fresh + 1, len(second) - fresh)) if fresh < len(second) else 1.0
    return once / starts, upper, once * (once - 1) / (2 * (twice + 1))


def _dataset(
    search: _Search, points: _Points, proof: _Proof, scope: list[str], basis: str, seed: int
) -> xr.Dataset:
    mass, mass_upper, unseen = _missing(search)
    certified = proof.whole and len(points.value) == proof.number and bool(search.proven.all())

    def entry(dims: Any, values: Any, name: str, units: str = "1") -> Any:
        return dims, values, {"long_name": name, "units": units}

    def text(values: list[str]) -> Any:
        return np.array(values, dtype="<U10")

    order, each = points.order, ("point",)
    variables = {
        "position": entry(("point", "coordinate"), points.position, "critical point"),
        "value": entry(each, points.value, "loss"),
        "gradient_norm": entry(each, points.gradient_norm, "Euclidean norm of the gradient"),
        "kind": entry(each, text(points.kind), "kind of critical point"),
        "index": entry(each, points.index, "number of negative eigenvalues, -1 if unknown"),
        "eigenvalues": entry(("point", "eigenvalue"), points.eigenvalues, "of the Hessian"),
        "scope": entry(each, text(scope), "scope of an extremum"),
        "found": entry(each, search.found[order], "starts that ended there"),
        "proven": entry(each, search.proven[order], "proven to be the only one near it"),
    }
    return xr.Dataset(
        variables,
        attrs={
            "landscape": repr(search.landscape),
            "box": repr(search.bounds.tolist()),
            "starts": len(search.label),
            "seed": int(seed),
            "tolerance": search.tolerance,
            "hessian": "analytic"
            if has_hessian(search.landscape)
            else "differences of the gradient",
            "complete": "certified" if certified else "estimated",
            "completeness": _completeness(search, proof, certified, mass, mass_upper, unseen),
            "missing_mass": mass,
            "missing_mass_upper": mass_upper,
            "unseen_estimate": unseen,
            "boxes_examined": proof.examined,
            "boxes_undecided": proof.undecided,
            "scope_basis": basis,
        },
    )


def _completeness(
    search: _Search, proof: _Proof, certified: bool, mass: float, upper: float, unseen: float
) -> str:
    """Say in words what is known about what was missed."""
    if certified:
        text = (
            f"interval proof over the box: {proof.number} critical points, each proven to exist, "
            f"and no others ({proof.examined} boxes examined)"
        )
    elif not proof.tried:
        text = "no proof was tried, or the landscape has no formula to be bounded"
    elif proof.undecided:
        text = (
            f"interval arithmetic proves {proof.number} critical points, and that all others lie "
            f"in {proof.undecided} undecided boxes ({proof.where})"
        )
    elif proof.number > _LISTED:
        text = f"interval proof: {proof.number} critical points, more than are listed"
    else:
        listed = int(np.count_nonzero(search.proven))
        text = (
            f"interval proof of {proof.number} critical points, {listed} of them listed, but "
            f"{len(search.proven) - listed} other found"
        )
    ended = int(np.count_nonzero(search.label >= 0))
    if not ended:
        text += (
            f"; none of the {len(search.label)} starts ended at a point: the search found nothing "
            "and nothing can be estimated from it"
        )
    else:
        text += (
            f"; {ended} of {len(search.label)} starts ended at {np.count_nonzero(search.found)} "
            f"points, one more start finds a new one with probability {mass:.2g} (below "
            f"{upper:.2g} with confidence 95 %), and about {unseen:.3g} were not seen by any start"
        )
    flat = f"; {search.flat} starts ended on flat ground" if search.flat else ""
    return text + flat
