"""Newton's method from many starts: the points where it ends, and how often."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastdescent.geometry.hessians import block_hessians, block_size, hessians, over_blocks
from fastdescent.geometry.intervals import BoolArray, Enclosure
from fastdescent.landscapes import Landscape
from fastdescent.parts import FloatArray, IntArray
from fastdescent.starts import Uniform

__all__ = ["EPSILON", "NEAR", "Search"]

EPSILON = float(np.finfo(float).eps)
#: Points this far outside, relative to the box's sides, count as on its faces: the position of
#: a point on a face is known to rounding only.
_FACE = 1e-10
#: Longest Newton step relative to the box's sides, and most steps.
_LONGEST, _STEPS = 0.1, 100
#: Starts for which Newton's method ends nowhere in the box that are handed to SciPy.
_STUCK = 32
#: A gradient below this share of its usual size can be rounding.
_ZERO = 1e-8
#: Farthest distance at which points can be the same, relative to the box's sides.
NEAR = 1e-3
#: Eigenvalues, as a share of the largest one, below which steps to the floor of a valley are
#: damped, and those above which its sides are steep.
_DAMPING, _STEEP = 1e-6, 1e-3
#: How far from the floor, across its steep sides and relative to the box's, a point may be.
_ACROSS = 1e-6


@dataclass
class Search:
    """What Newton's method found from many starts.

    ``ends`` holds where each start ended and ``label`` the row of ``points`` that this is, -1 for
    nowhere; ``proven`` says which points are proven single zeros, ``degree`` their degrees, NaN
    if not known, and ``spread`` the sides of the boxes in which they lie; ``cluster`` in which
    proven cluster one stands, -1 for none; ``flat`` counts the starts that ended where gradient
    and Hessian vanish all around.
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
    degree: FloatArray = field(default_factory=lambda: np.empty(0))
    spread: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    cluster: IntArray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    flat: int = 0

    @classmethod
    def of(
        cls, landscape: Landscape, bounds: FloatArray, starts: int, seed: int, tolerance: float
    ) -> Search:
        """Run the search."""
        places = Uniform(bounds[:, 0].tolist(), bounds[:, 1].tolist(), count=starts)
        begun = places.points(landscape, seed)
        search = cls(landscape, bounds, tolerance, begun)
        size = np.abs(landscape.gradient(begun)).max(axis=1)
        size[~search.defined(begun)] = np.nan
        usual = size[np.isfinite(size)]
        search.typical = float(np.median(usual)) if len(usual) else 0.0
        ends, arrived = search.newton(begun)
        stuck = ~arrived & np.isfinite(size)
        if (arrived & search.inside(ends)).any():
            stuck &= search.inside(ends)  # the others have left the box with reason
        stuck = np.flatnonzero(stuck)[:_STUCK]
        if len(stuck):
            ends[stuck], arrived[stuck] = search.pulled(begun[stuck])
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
    def anywhere(self) -> FloatArray:
        """A point at which the loss is a finite number, if there is one among the starts."""
        return np.asarray(self.begun[int(self.defined(self.begun).argmax())])

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

    def step(self, x: FloatArray, damping: float = 0.0) -> FloatArray:
        """Return Newton's steps; NaN where there is none, 0 along what is flat to rounding.

        With a damping, relative to the largest eigenvalue, steps are those of least squares that
        stay short where eigenvalues are smaller than that.
        """
        step = np.full_like(x, np.nan)

        def work(block: slice) -> None:
            gradient = self.landscape.gradient(x[block])
            hessian = block_hessians(self.landscape, x[block]).matrices
            usable = np.isfinite(gradient).all(axis=1) & np.isfinite(hessian).all(axis=(1, 2))
            step[block][usable] = _step(gradient[usable], hessian[usable], damping)

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

    def pulled(self, x: FloatArray) -> tuple[FloatArray, BoolArray]:
        """Return where Newton's method leads from where least squares end, and whether it arrived.

        In a valley or on a plateau of critical points, such as networks have, it does not: they
        are not isolated, and rounding decides where along them each step goes.  There damped
        steps lead across to the floor, and count if they end on it.
        """
        begun = self.trust_region(x)
        ends, arrived = self.newton(begun)
        arrived &= self.inside(ends)
        rows = np.flatnonzero(~arrived)
        floor = begun[rows]
        for _ in range(_STEPS if len(rows) else 0):
            step = np.nan_to_num(self.step(floor, _DAMPING))
            length = np.abs(step / self.width).max(axis=1)
            floor += step * np.minimum(1.0, _LONGEST / np.maximum(length, 1e-300))[:, None]
            if not ((length > _ACROSS) & self.inside(floor)).any():
                break
        step = self.step(floor, _STEEP)
        across = np.abs(step / self.width).max(axis=1, initial=0.0)
        settled = (across <= _ACROSS) & self.inside(floor) & self.vanishes(floor)
        ends[rows[settled]] = floor[settled]
        arrived[rows] = settled
        return ends, arrived

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
        reach = self._reach(x)
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
        self._unproven()

    def _unproven(self) -> None:
        self.proven = np.zeros(len(self.points), dtype=bool)
        self.degree = np.full(len(self.points), np.nan)
        self.spread = np.zeros(self.points.shape)
        self.cluster = np.full(len(self.points), -1)

    def polished(self, x: FloatArray) -> FloatArray:
        """Return points after Newton steps, as long as the gradient shrinks."""
        x = x.copy()
        size = np.abs(self.landscape.gradient(x)).max(axis=1, initial=0.0)
        for _ in range(10):
            step = self.step(x)
            found = np.abs(self.landscape.gradient(x + step)).max(axis=1, initial=0.0)
            # Longer steps lead elsewhere, along a valley say.
            better = (found < size) & (np.abs(step / self.width) <= NEAR).all(axis=1)
            if not better.any():
                break
            x[better], size[better] = x[better] + step[better], found[better]
        return x

    def _reach(self, x: FloatArray) -> FloatArray:
        """Return within what distance, relative to the box's sides, points can be the same."""
        return np.maximum(self.tolerance, np.minimum(10.0 * self.accuracy(x), NEAR))

    def accuracy(self, x: FloatArray) -> FloatArray:
        """Return to what distance positions are known, relative to the box's sides.

        That is the rounding error of the gradient, some eps of the terms that cancel in it, over
        the eigenvalue that is nearest to zero.
        """
        hessian = self.curvature(x)
        bend = np.abs(hessian).max(axis=(1, 2), initial=0.0) * np.abs(x).max(axis=1, initial=0.0)
        noise = 64.0 * EPSILON * (bend + self.typical)
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
        self._unproven()

    def _distances(self, position: FloatArray) -> FloatArray:
        """Return how far the points are from a position, relative to the box's sides."""
        return np.asarray(np.abs((self.points - position) / self.width).max(axis=1))

    def settle(self, lower: FloatArray, upper: FloatArray, degree: FloatArray) -> None:
        """Put proven zeros, each known to lie in a box of its own, in the place of what is near.

        However close they are, none is taken for another.
        """
        zeros = np.clip(self.polished(0.5 * lower + 0.5 * upper), lower, upper)
        usable = self.defined(zeros)
        zeros, degree, spread = zeros[usable], degree[usable], (upper - lower)[usable]
        if not len(zeros):
            return
        tree = self._tree(zeros)
        distance = tree.query(self.points / self.width, p=np.inf)[0]
        near = distance <= self.tolerance
        moved = (self.label >= 0) & np.append(near, False)[self.label]
        nearest = tree.query(self.ends[moved] / self.width, p=np.inf)[1]
        self._replace(near, zeros, moved, nearest)
        self.proven = np.arange(len(self.points)) >= len(self.points) - len(zeros)
        self.degree[self.proven], self.spread[self.proven] = degree, spread

    def gather(
        self, lower: FloatArray, upper: FloatArray, position: FloatArray, *, alone: bool
    ) -> None:
        """Put one point for each proven cluster in the place of all unproven ones near it.

        If nothing but these clusters is open (`alone`), near means within the distance to which
        a point's position is known: there is no other critical point that it could be.
        """
        if not len(position):
            return
        free = np.flatnonzero(~self.proven)
        x = self.points[free]
        owner = self._tree(position).query(x / self.width, p=np.inf)[1]
        outside = np.maximum(lower[owner] - x, x - upper[owner]) / self.width
        reach = self._reach(x) if alone else self.tolerance
        mine = outside.max(axis=1, initial=0.0) <= reach
        near, owners = np.zeros(len(self.points), dtype=bool), np.zeros(len(self.points), np.int64)
        near[free[mine]], owners[free] = True, owner
        moved = (self.label >= 0) & np.append(near, False)[self.label]
        self._replace(near, position, moved, owners[self.label[moved]])
        self.cluster[len(self.points) - len(position) :] = np.arange(len(position))

    def _tree(self, x: FloatArray) -> Any:
        from scipy.spatial import cKDTree  # noqa: PLC0415 - slow to import

        return cKDTree(x / self.width)

    def _replace(self, gone: BoolArray, new: FloatArray, moved: BoolArray, owner: IntArray) -> None:
        """Replace some points by new ones; starts that ended at these (`moved`) get an owner."""
        kept = np.count_nonzero(~gone)
        rows = np.append(np.cumsum(~gone) - 1, -1)  # the last one is that of -1, nowhere
        self.label = rows[self.label]
        self.label[moved] = kept + owner
        self.points = np.concatenate([self.points[~gone], new])
        self.proven = np.append(self.proven[~gone], np.zeros(len(new), dtype=bool))
        self.degree = np.append(self.degree[~gone], np.full(len(new), np.nan))
        self.spread = np.concatenate([self.spread[~gone], np.zeros_like(new)])
        self.cluster = np.append(self.cluster[~gone], np.full(len(new), -1))

    def drop_jumps(self) -> None:
        """Forget unproven points beside which the loss jumps: its gradient does not vanish there.

        Where a slope vanishes the loss changes by no more than distance times slope nearby; a
        factor of 10 covers bends, and 1e3 units of the losses' usual size rounding.
        """
        free = np.flatnonzero(~self.proven & (self.cluster < 0))
        if not len(free):
            return
        x = self.points[free]
        value = self.landscape.value(x)
        usual = np.abs(self.landscape.value(np.concatenate([self.begun, x])))
        size = np.abs(value) + float(np.median(usual[np.isfinite(usual)]))
        reach = np.outer(np.maximum(self.tolerance, np.minimum(self.accuracy(x), NEAR)), self.width)
        jumps = np.zeros(len(x), dtype=bool)
        for i, sign in itertools.product(range(x.shape[1]), (-1.0, 1.0)):
            beside = x.copy()
            beside[:, i] += sign * reach[:, i]
            slope = np.abs(self.landscape.gradient(beside)[:, i])
            change = np.abs(self.landscape.value(beside) - value)
            jumps |= change > 10.0 * slope * reach[:, i] + 1e3 * EPSILON * size
        self._forget(free[jumps])

    def drop_refuted(self, slopes: Enclosure) -> None:
        """Forget unproven points round which a component of the gradient surely has a sign.

        Newton's method also ends where slopes are small only against those elsewhere in the box.
        """
        free = np.flatnonzero(~self.proven & (self.cluster < 0))
        if not len(free):
            return
        reach = self.tolerance * self.width
        bounds, _ = slopes(self.points[free] - reach, self.points[free] + reach)
        self._forget(free[((bounds.lower > 0.0) | (bounds.upper < 0.0)).any(axis=0)])

    def _forget(self, rows: IntArray) -> None:
        """Drop points; the starts that ended there ended nowhere."""
        gone = np.zeros(len(self.points), dtype=bool)
        gone[rows] = True
        self.label[(self.label >= 0) & np.append(gone, False)[self.label]] = -1
        none = np.zeros(len(self.label), dtype=bool)
        self._replace(gone, self.points[:0], none, np.empty(0, dtype=np.int64))

    @property
    def found(self) -> IntArray:
        """How many starts ended at each point."""
        return np.bincount(self.label[self.label >= 0], minlength=len(self.points))


def _step(gradient: FloatArray, hessian: FloatArray, damping: float) -> FloatArray:
    values, vectors = np.linalg.eigh(hessian)
    largest = np.abs(values).max(axis=1, initial=0.0, keepdims=True)
    along = np.einsum("nji,nj->ni", vectors, gradient)
    if damping:
        along = along * values / np.maximum(values**2 + (damping * largest) ** 2, 1e-300)
    else:
        least = values.shape[1] * 1e-15 * largest
        flat = np.where(least > 0.0, 0.0, along)
        along = np.where(np.abs(values) > least, along / values, flat)
    return np.asarray(-np.einsum("nij,nj->ni", vectors, along))
