"""Attractors of an update rule: given, known or found from where trajectories end; and cycles."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import KDTree

from fastdescent.errors import InvalidValueError
from fastdescent.geometry._dataset import variable
from fastdescent.geometry.hessians import hessians
from fastdescent.geometry.points import classify_points
from fastdescent.geometry.scales import Scales
from fastdescent.landscapes import Landscape
from fastdescent.parts import FloatArray, IntArray, is_number

__all__ = ["Attractors", "periods"]

# Ends that are polished at once where attractors are looked for.
_SAMPLE = 1024
_MOST_ATTRACTORS = 4096
# Newton's method doubles the digits of a simple root; a quadruple root gains a factor of 2/3.
_NEWTON = 60
# A curvature less than this share of the largest is flat: rounding of eigenvalues is near it.
_FLAT = 1e-12
# The least number whose inverse is finite.
_TINY = float(np.finfo(float).tiny)
# Points of rest that are one, in lengths of the landscape: Newton's method knows a simple root
# to the rounding of the gradient, a few units times the Hessian's condition number.
_SAME = 1e-8
_ROUNDING = 64.0 * float(np.finfo(float).eps)
# An end with a gradient below this, in the landscape's scales, has come to rest, and may be
# that share of the length from its attractor; with a steeper one it was stopped on its way.
_AT_REST, _NEARBY = 1e-2, 0.1
# An orbit is a cycle if it comes back within this share of its own diameter, and what it will
# still drift is no more.
_RECURRENCE = 1e-6
# Rounding of an orbit that repeats: as a share of its diameter, and of its coordinates.
_REPEATS, _DIGITS = 1e-12, 16.0 * float(np.finfo(float).eps)


class _Anchor(NamedTuple):
    """How ends are told to belong to an attractor.

    ``centre`` is where Newton's method puts it, ``inverse`` that of the Hessian there, None
    where curvature tells nothing; points closer than ``same`` are one but for rounding.
    """

    centre: FloatArray
    inverse: FloatArray | None
    same: float


class Attractors:
    """The attractors of an experiment: given, known or found from where trajectories end.

    Parameters
    ----------
    landscape : Landscape
        The loss.
    unit : Scales
        The landscape's scales.
    given : array_like, shape (count, dim), optional
        Positions; no others are then looked for.  By default the landscape's known critical
        points and what is found.
    radius : float, optional
        Largest distance of an end from its attractor, but of ends at rest.
    noisy : bool
        Whether ends scatter around the attractors, which then are the known minima.

    Raises
    ------
    InvalidValueError
        If positions or radius are not allowed, or there is no attractor.
    """

    def __init__(
        self,
        landscape: Landscape,
        unit: Scales,
        given: ArrayLike | None = None,
        radius: float | None = None,
        noisy: bool = False,
    ) -> None:
        self.landscape, self.scales = landscape, unit
        self.closed = noisy or given is not None
        self.source = "known" if given is None else "given"
        if given is None:
            known = landscape.critical_points()
            known = [point for point in known if not noisy or point.kind == "minimum"]
            positions = np.array([point.position for point in known])
            self.kinds = [point.kind for point in known]
        else:
            positions = _positions(given, landscape.dim)
            self.kinds = self._kinds(positions).tolist()
        if self.closed and not len(positions):
            raise InvalidValueError(
                "attractors",
                None,
                "positions, where noise keeps trajectories from resting at one",
                f"{landscape!r} has no known minimum: give attractors=[[...], ...]",
            )
        self.positions = positions.reshape(-1, landscape.dim)
        self.known = len(positions)
        self.radius = self._radius(radius, noisy)
        self._anchors: dict[int, _Anchor] = {}

    def _radius(self, radius: float | None, noisy: bool) -> float:
        """Return the radius: small against domain and spacing, unless noise scatters the ends."""
        spacing = math.inf
        if len(self.positions) > 1:
            nearest = np.asarray(KDTree(self.positions).query(self.positions, k=2)[0])
            spacing = float(nearest[:, 1].min())
        if radius is None:
            share = 0.5 if noisy else 0.25
            return min(share * spacing, (0.1 if noisy else 1e-3) * self.scales.length)
        if not is_number(radius) or not 0.0 < radius <= 0.5 * spacing:
            raise InvalidValueError(
                "radius",
                radius,
                f"a number in (0, {0.5 * spacing:g}], half the least distance of two attractors",
            )
        return float(radius)

    def assign(self, ends: FloatArray) -> IntArray:
        """Return the attractor of each end (count, dim), -1 for none; add attractors if open."""
        if self.closed:
            return self._nearest(ends)
        found = self._match(ends)
        missing = np.flatnonzero(found < 0)
        for begin in range(0, len(missing), _SAMPLE):
            some = missing[begin : begin + _SAMPLE]
            found[some] = self._match(ends[some])  # what was found meanwhile
            left = some[found[some] < 0]
            if len(left):
                found[left] = self._found(ends[left])
        return found

    def _nearest(self, points: FloatArray) -> IntArray:
        """Return the nearest attractor within the radius of each point, -1 for none."""
        if not len(self.positions) or not len(points):
            return np.full(len(points), -1, dtype=np.int64)
        # The tree's bound is open; a point for which it finds nothing gets the number of points.
        bound = math.nextafter(self.radius, math.inf)
        found = KDTree(self.positions).query(points, distance_upper_bound=bound)[1]
        return np.where(found == len(self.positions), -1, found)

    def _match(self, points: FloatArray) -> IntArray:
        """Return the attractor that Newton's method goes to from each point, as far as is clear.

        It is clear where one step with the attractor's own Hessian at least halves the
        distance; at another critical point, however near, the step is 0.  Where the Hessian
        tells nothing, all points within the attractor's reach belong to it.
        """
        found = self._nearest(points)
        at = np.flatnonzero(found >= 0)
        at = at[np.argsort(found[at], kind="stable")]
        rows, begins = np.unique(found[at], return_index=True)
        anchors = self._anchored(rows)
        grad = self.landscape.gradient(points[at]) if len(at) else np.zeros((0, points.shape[1]))
        bounds = np.append(begins, len(at))
        for row, reach, begin, end in zip(
            rows, self._reaches(rows), bounds[:-1], bounds[1:], strict=True
        ):
            some, anchor = at[begin:end], anchors[int(row)]
            gap = points[some] - anchor.centre
            away = np.linalg.norm(gap, axis=1)
            if anchor.inverse is None:
                belongs = away <= reach
            else:
                after = np.linalg.norm(gap - grad[begin:end] @ anchor.inverse, axis=1)
                belongs = after <= 0.5 * away + 0.5 * anchor.same
            found[some[~belongs]] = -1
        return found

    def _reaches(self, rows: IntArray) -> FloatArray:
        """Return the radius, or a quarter of the distance to the next attractor if less."""
        if len(self.positions) < 2 or not len(rows):
            return np.full(len(rows), self.radius)
        nearest = np.asarray(KDTree(self.positions).query(self.positions[rows], k=2)[0])
        return np.minimum(self.radius, 0.25 * nearest[:, 1])

    def _anchored(self, rows: IntArray) -> dict[int, _Anchor]:
        """Return what is to be known about attractors near which there are points."""
        new = np.array([row for row in rows.tolist() if row not in self._anchors], dtype=np.int64)
        if not len(new):
            return self._anchors
        # Known positions can have fewer digits than those that Newton's method finds.
        centres, _ = _polish(self.landscape, self.positions[new], self.radius)
        for row, centre in zip(new.tolist(), centres, strict=True):
            self._anchors[row] = _Anchor(centre, None, 0.0)
        firm = np.flatnonzero(~np.isin(self._kinds(centres), ("degenerate", "regular")))
        if not len(firm):
            return self._anchors
        values, vectors = np.linalg.eigh(hessians(self.landscape, centres[firm]).matrices)
        # A saddle can have a flat direction besides.
        steep = np.abs(values).min(axis=1) > _FLAT * np.abs(values).max(axis=1)
        firm, values, vectors = firm[steep], values[steep], vectors[steep]
        inverses = np.einsum("nij,nj,nkj->nik", vectors, 1.0 / values, vectors)
        condition = np.abs(values).max(axis=1) / np.abs(values).min(axis=1)
        same = np.minimum(
            np.maximum(_SAME, _ROUNDING * condition) * self.scales.length, self.radius
        )
        smooth = self._smooth(centres[firm], inverses)
        for k in np.flatnonzero(smooth):
            self._anchors[int(new[firm[k]])] = _Anchor(centres[firm[k]], inverses[k], same[k])
        return self._anchors

    def _smooth(self, centres: FloatArray, inverses: FloatArray) -> NDArray[np.bool_]:
        """Return where the Hessian says what the gradient is beside the point: not at a kink."""
        step = np.full(centres.shape[1], 1e-3 * self.radius / math.sqrt(centres.shape[1]))
        smooth = np.ones(len(centres), dtype=bool)
        for aside in (step, -step):
            grad = self.landscape.gradient(centres + aside)
            after = np.linalg.norm(aside - np.einsum("nij,nj->ni", inverses, grad), axis=1)
            smooth &= after <= 0.5 * np.linalg.norm(aside)
        return smooth

    def _found(self, ends: FloatArray) -> IntArray:
        """Return the attractor to which Newton's method goes from each end, -1 for none.

        It has to stay within the radius.  Only where the gradient is small may it go farther:
        along a valley, or to a multiple root, which are known less well.
        """
        small = np.linalg.norm(self.landscape.gradient(ends), axis=1)
        at_rest = small <= _AT_REST * self.scales.gradient
        within = np.where(at_rest, max(self.radius, _NEARBY * self.scales.length), self.radius)
        polished, left = _polish(self.landscape, ends, within)
        kinds = self._kinds(polished)
        critical = (kinds != "regular") & ~left
        found = np.where(critical, self._match(polished), -1)
        new = (found < 0) & critical
        new[new] = self._isolated(polished[new], kinds[new])
        while new.any():
            first = int(np.argmax(new))
            self.positions = np.concatenate([self.positions, polished[first : first + 1]])
            self.kinds.append(str(kinds[first]))
            if len(self.positions) > _MOST_ATTRACTORS:
                raise InvalidValueError(
                    "attractors",
                    f"more than {_MOST_ATTRACTORS} of them",
                    "fewer that are looked for",
                    "give those of interest: attractors=[[...], ...]",
                )
            found[first] = len(self.positions) - 1
            others = np.flatnonzero(critical & (found < 0))
            found[others] = self._match(polished[others])
            new &= found < 0
        return found

    def _kinds(self, points: FloatArray) -> NDArray[np.str_]:
        found = classify_points(self.landscape, points, scale=self.scales)
        return cast(NDArray[np.str_], found["kind"].to_numpy())

    def _isolated(self, points: FloatArray, kinds: NDArray[np.str_]) -> NDArray[np.bool_]:
        """Return which critical points are alone: Newton's method comes back from nearby.

        Only a flat direction can lead to other critical points, as on a valley's floor or a
        plateau; whoever ends there has converged, but to no point that could be named.
        """
        isolated = np.ones(len(points), dtype=bool)
        at = np.flatnonzero(kinds == "degenerate")
        if len(at):
            values, vectors = np.linalg.eigh(hessians(self.landscape, points[at]).matrices)
            flattest = np.abs(values).argmin(axis=1)
            step = self.radius * vectors[np.arange(len(at)), :, flattest]
            for aside in (points[at] + step, points[at] - step):
                back, _ = _polish(self.landscape, aside, math.inf)
                gap = np.linalg.norm(back - points[at], axis=1)
                isolated[at] &= gap <= 0.5 * self.radius
        return isolated

    def settle(self, *assigned: IntArray) -> list[IntArray]:
        """Put the attractors in their final order; return what was assigned in their new numbers.

        Given and known ones keep their order, found ones follow by loss; of the known ones
        that are no minima, those that no trajectory reached are dropped.
        """
        reached = np.zeros(len(self.positions), dtype=bool)
        for attractor in assigned:
            reached[np.unique(attractor[attractor >= 0])] = True
        keep = np.flatnonzero(
            reached | (self.source == "given") | (np.array(self.kinds) == "minimum")
        )
        found = keep[keep >= self.known]
        order = np.lexsort((*self.positions[found].T[::-1], self._losses(found)))
        rows = np.concatenate([keep[keep < self.known], found[order]])
        number = np.full(len(self.positions) + 1, -1, dtype=np.int64)
        number[rows] = np.arange(len(rows))
        self.positions = self.positions[rows]
        self.kinds = [self.kinds[row] for row in rows]
        return [number[attractor] for attractor in assigned]

    def _losses(self, rows: IntArray) -> FloatArray:
        return self.landscape.value(self.positions[rows]) if len(rows) else np.zeros(0)

    def variables(self) -> dict[str, Any]:
        """Return the attractors as variables along the dimension ``basin``."""
        kinds = np.array(self.kinds, dtype=str)
        losses = self._losses(np.arange(len(self.positions)))
        return {
            "attractor_position": variable(
                ("basin", "coordinate"), self.positions, "position of the attractor"
            ),
            "attractor_value": variable(("basin",), losses, "loss at the attractor"),
            "attractor_kind": variable(("basin",), kinds, "kind of critical point"),
        }


def _positions(given: ArrayLike, dim: int) -> FloatArray:
    try:
        positions = np.array(given, dtype=float)
    except (TypeError, ValueError):
        positions = np.zeros(0)
    if positions.ndim != 2 or positions.shape[1] != dim or not len(positions):
        raise InvalidValueError(
            "attractors", given, f"positions of shape (count, {dim}) with count >= 1"
        )
    if not np.isfinite(positions).all():
        raise InvalidValueError("attractors", given, "finite positions")
    if len(np.unique(positions, axis=0)) < len(positions):
        raise InvalidValueError("attractors", given, "positions that differ")
    return positions


def _polish(
    landscape: Landscape, ends: FloatArray, within: float | FloatArray
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Follow Newton's method on the gradient from each end while the gradient becomes smaller.

    A step that leads farther than `within` from the end is not taken; second is returned where
    there was one.
    """
    best, grad = ends.copy(), landscape.gradient(ends)
    farthest = np.broadcast_to(within, len(ends))
    active, left = np.arange(len(ends)), np.zeros(len(ends), dtype=bool)
    for _ in range(_NEWTON):
        matrices = hessians(landscape, best[active]).matrices
        finite = np.isfinite(matrices).all(axis=(1, 2))
        active = active[finite]
        if not len(active):
            break
        values, vectors = np.linalg.eigh(matrices[finite])
        floor = np.maximum(_FLAT * np.abs(values).max(axis=1, keepdims=True), _TINY)
        steep = np.abs(values) > floor  # along a flat direction there is nowhere to go
        inverse = np.where(steep, 1.0 / np.where(steep, values, 1.0), 0.0)
        step = np.einsum("nij,nj,nkj,nk->ni", vectors, inverse, vectors, grad[active])
        trial = best[active] - step
        new = landscape.gradient(trial)
        better = np.linalg.norm(new, axis=1) < np.linalg.norm(grad[active], axis=1)
        far = np.linalg.norm(trial - ends[active], axis=1) > farthest[active]
        left[active[better & far]] = True
        better &= ~far
        active = active[better]
        if not len(active):
            break
        best[active], grad[active] = trial[better], new[better]
    return best, left


def periods(path: FloatArray, length: float) -> NDArray[np.int16]:
    """Return the least period >= 2 of each orbit (..., record, coordinate), 0 if it has none.

    To come back after each of two periods is not enough: an oscillation x_t = (-q)^t with q
    close to 1 does so as well, though it dies out, or grows.  What tells is the trend.  In a
    cycle the gaps x_(t+p) - x_t are rounding, or shrink by a ratio r per period, so that the
    drift that is left is at most the last gap times r / (1 - r); as long as that is more than
    what counts as coming back, or the gaps do not shrink, there is no cycle yet.
    """
    orbits = path.reshape(-1, *path.shape[-2:])
    diameter: FloatArray = np.linalg.norm(np.ptp(orbits, axis=1), axis=-1)
    allowed = _RECURRENCE * diameter
    exact = _REPEATS * diameter + _DIGITS * np.abs(orbits).max(axis=(1, 2))
    period = np.zeros(len(orbits), dtype=np.int16)
    wide = diameter > 1e-9 * length  # less is rounding at a point of rest
    last = orbits.shape[1] - 1
    for p in range(2, last // 3 + 1):
        back = np.linalg.norm(orbits[:, -1] - orbits[:, -1 - p], axis=-1)
        at = np.flatnonzero(wide & (period == 0) & (back <= allowed))
        if not len(at):
            continue
        gaps = np.linalg.norm(orbits[at, p:] - orbits[at, :-p], axis=-1)
        whole = orbits[at, -1] - orbits[at, -1 - last // p * p]
        repeats = np.linalg.norm(whole, axis=-1) <= exact[at]
        settled = repeats | (_drift(gaps, p) <= allowed[at])
        period[at[settled & (gaps.max(axis=1) <= allowed[at])]] = p
    return period.reshape(path.shape[:-2])


def _drift(gaps: FloatArray, p: int) -> FloatArray:
    """Return how far orbits still drift whose gaps (orbit, time) go on shrinking, else inf."""
    first, final = gaps[:, :p].max(axis=1), gaps[:, -p:].max(axis=1)
    shrinks = final < first
    share = np.divide(final, first, out=np.zeros_like(final), where=shrinks)
    ratio = share ** (p / (gaps.shape[1] - p))
    left = np.full(len(gaps), math.inf)
    np.divide(final * ratio, 1.0 - ratio, out=left, where=shrinks & (ratio < 1.0))
    return left
