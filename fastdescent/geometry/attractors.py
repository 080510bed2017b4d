"""Attractors of an update rule: given, known or found where trajectories end; cycles and rest."""

from __future__ import annotations

import math
from collections.abc import Callable
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

__all__ = ["REST_POINT", "Attractors", "at_rest", "periods"]

#: Kind of an attractor at which the rule rests though the gradient is not zero.
REST_POINT = "rest point"

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
_SMALL, _NEARBY = 1e-2, 0.1
# An orbit is a cycle if it comes back within this share of its own diameter, and what it will
# still drift is no more.
_RECURRENCE = 1e-6
# Rounding of an orbit that repeats: as a share of its diameter, and of its coordinates.
_REPEATS, _DIGITS = 1e-12, 16.0 * float(np.finfo(float).eps)
# An orbit is at rest if it moves, and will still drift, within this share of the length.
_STILL = 1e-6
# Number of the first rest point, until `settle` gives each attractor its own.
_RESTS = 2**32
# Places per swept value that are tried at once: if none of them attracts, the others do not.
_PLACES = 16


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
        self.rests = np.zeros((0, landscape.dim))
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
        return self._critical(ends, _NEARBY * self.scales.length)

    def _critical(self, ends: FloatArray, valley: float) -> IntArray:
        """Return the critical point of each end, which may be `valley` away if it is flat there."""
        if self.closed:
            return self._nearest(ends)
        found = self._match(ends)
        missing = np.flatnonzero(found < 0)
        for begin in range(0, len(missing), _SAMPLE):
            some = missing[begin : begin + _SAMPLE]
            found[some] = self._match(ends[some])  # what was found meanwhile
            left = some[found[some] < 0]
            if len(left):
                found[left] = self._found(ends[left], valley)
        return found

    def assign_at_rest(
        self,
        ends: FloatArray,
        cases: IntArray,
        attract: Callable[[FloatArray, IntArray, float], NDArray[np.bool_]],
    ) -> tuple[IntArray, NDArray[np.bool_]]:
        """Return the attractor of each end at rest, -1 for none, and which of them rest at one.

        Only one that attracts counts: steps that vanish rest anywhere, too.  An end within the
        radius of a critical point belongs to it, the others to rest points of the rule.

        Parameters
        ----------
        ends : array, shape (count, dim)
            Where trajectories have come to rest.
        cases : array of int, shape (count,)
            The swept values with which each was run, by number.
        attract : callable
            Says of places (n, dim) in their cases whether trajectories that begin at a
            distance on all sides come back.
        """
        known = self._nearest if self.closed else self._match
        found = known(ends)
        settled = np.zeros(len(ends), dtype=bool)
        left = np.arange(len(ends))
        while len(left):
            by_case = [left[cases[left] == case] for case in np.unique(cases[left])]
            tried = np.concatenate([some[_apart(ends[some], self.radius)] for some in by_case])
            attracts = attract(ends[tried], cases[tried], self.radius)
            # Newton's method is slow: it looks for critical points from these places only.
            number = self._critical(ends[tried], self.radius)
            found[left] = np.where(found[left] < 0, known(ends[left]), found[left])
            new = attracts & (number < 0)
            if not self.closed:
                number[new] = self._number_rests(ends[tried[new]])
            remain = []
            for some in by_case:
                own = np.flatnonzero(cases[tried] == cases[some[0]])
                away, nearest = KDTree(ends[tried[own]]).query(ends[some])
                place, near = own[nearest], away <= self.radius
                here = near & attracts[place]
                settled[some[here]] = True
                unnamed = here & (found[some] < 0)
                found[some[unnamed]] = self._named(ends[some[unnamed]], number[place[unnamed]])
                if attracts[own].any():
                    remain.append(some[~near])
            left = np.concatenate(remain) if remain else left[:0]
        return np.where(settled, found, -1), settled

    def _named(self, ends: FloatArray, number: IntArray) -> IntArray:
        """Return the attractors of ends at rest, which are those of others close by or closer."""
        critical = np.flatnonzero((number >= 0) & (number < _RESTS))
        own = self._critical(ends[critical], self.radius)
        number[critical] = np.where(own >= 0, own, number[critical])
        return number

    def assign_around(self, centres: FloatArray, spread: FloatArray) -> IntArray:
        """Return the minimum within whose radius an orbit lies, -1 for none.

        A given attractor need not be one by its curvature: the minimum of abs(x) has none.  An
        orbit that reaches around another critical point as well belongs to neither.

        Parameters
        ----------
        centres : array, shape (count, dim)
            The middle of each orbit.
        spread : array, shape (count,)
            How far its positions are from that; it has to fit into the radius with all of them.
        """
        found = np.full(len(centres), -1, dtype=np.int64)
        small = np.flatnonzero(spread <= self.radius)
        found[small] = self._around(centres[small])
        near = np.flatnonzero(found >= 0)
        kinds = np.array(self.kinds)[found[near]]
        unstable = np.isin(kinds, ("saddle", "maximum"))
        stable = ~unstable if self.source == "given" else kinds == "minimum"
        gap, other = self._distances(centres[near], found[near])
        inside = (gap + spread[near] <= self.radius) & (other > spread[near])
        found[near[~(stable & inside)]] = -1
        return found

    def _around(self, centres: FloatArray) -> IntArray:
        """Return the attractor that Newton's method goes to from each centre, or the nearest."""
        if self.closed:
            return self._nearest(centres)
        found = self._match(centres)
        left = np.flatnonzero(found < 0)
        if not len(left):
            return found
        steepness = np.linalg.norm(self.landscape.gradient(centres[left]), axis=1)
        left = left[np.argsort(steepness, kind="stable")]
        while len(left):
            # Newton's method is slow: it looks for critical points from a few places at once,
            # the flattest ones, and no further if it finds none that is new.
            known, chosen = len(self.positions), _apart(centres[left], self.radius)
            tried, left = left[chosen], np.delete(left, chosen)
            found[tried] = self._critical(centres[tried], self.radius)
            if len(self.positions) == known:
                break
            found[left] = self._match(centres[left])
            left = left[found[left] < 0]
        return np.where(found < 0, self._nearest(centres), found)

    def _number_rests(self, places: FloatArray) -> IntArray:
        """Return the number of the rest point within the radius of each place, or a new one."""
        numbers = np.empty(len(places), dtype=np.int64)
        for k, place in enumerate(places):
            away = np.linalg.norm(self.rests - place, axis=1)
            if away.min(initial=math.inf) > self.radius:
                self.rests = np.concatenate([self.rests, place[np.newaxis]])
                self._check_number()
                away = np.append(away, 0.0)
            numbers[k] = _RESTS + int(away.argmin())
        return numbers

    def _check_number(self) -> None:
        if len(self.positions) + len(self.rests) > _MOST_ATTRACTORS:
            raise InvalidValueError(
                "attractors",
                f"more than {_MOST_ATTRACTORS} of them",
                "fewer that are looked for",
                "give those of interest: attractors=[[...], ...]",
            )

    def _nearest(self, points: FloatArray) -> IntArray:
        """Return the nearest attractor within the radius of each point, -1 for none."""
        if not len(self.positions) or not len(points):
            return np.full(len(points), -1, dtype=np.int64)
        # The tree's bound is open; a point for which it finds nothing gets the number of points.
        bound = math.nextafter(self.radius, math.inf)
        found = KDTree(self.positions).query(points, distance_upper_bound=bound)[1]
        return np.where(found == len(self.positions), -1, found)

    def _distances(self, points: FloatArray, rows: IntArray) -> tuple[FloatArray, FloatArray]:
        """Return the distance of each point to its attractor, and to the nearest other one."""
        gap = np.linalg.norm(points - self.positions[rows], axis=1)
        if not len(points):
            return gap, gap
        away, nearest = (np.asarray(found) for found in KDTree(self.positions).query(points, k=2))
        return gap, np.where(nearest[:, 0] == rows, away[:, 1], away[:, 0])

    def _match(self, points: FloatArray) -> IntArray:
        """Return the attractor that Newton's method goes to from each point, as far as is clear.

        It is clear where two steps with the attractor's own Hessian at least halve the distance
        each; at another critical point, however near, the step is 0, and beyond it the second
        one goes back.  Where the Hessian tells nothing, all points within the attractor's reach
        belong to it.
        """
        found = self._nearest(points)
        at = np.flatnonzero(found >= 0)
        if not len(at):
            return found
        at = at[np.argsort(found[at], kind="stable")]
        rows, begins, counts = np.unique(found[at], return_index=True, return_counts=True)
        anchored = self._anchored(rows)
        anchors = [anchored[row] for row in rows.tolist()]
        centre = np.repeat([anchor.centre for anchor in anchors], counts, axis=0)
        same = np.repeat([anchor.same for anchor in anchors], counts)
        tells = np.repeat([anchor.inverse is not None for anchor in anchors], counts)
        gap = points[at] - centre
        away = np.linalg.norm(gap, axis=1)
        belongs = tells | (away <= np.repeat(self._reaches(rows), counts))
        for _ in range(2):
            grad = self.landscape.gradient(centre + gap)
            for anchor, begin, count in zip(anchors, begins, counts, strict=True):
                if anchor.inverse is not None:
                    some = slice(begin, begin + count)
                    gap[some] -= grad[some] @ anchor.inverse
            after = np.linalg.norm(gap, axis=1)
            belongs &= ~tells | (after <= 0.5 * away + 0.5 * same)
            if (~tells | (after <= same)).all():
                break
            away = after
        found[at[~belongs]] = -1
        return found

    def _reaches(self, rows: IntArray) -> FloatArray:
        """Return the radius, or a quarter of the distance to the next attractor if less."""
        if len(self.positions) < 2:
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

    def _found(self, ends: FloatArray, valley: float) -> IntArray:
        """Return the attractor to which Newton's method goes from each end, -1 for none.

        It has to stay within the radius.  Only where the gradient is small may it go as far as
        `valley`: along one, or to a multiple root, which are known less well.
        """
        steepness = np.linalg.norm(self.landscape.gradient(ends), axis=1)
        small = steepness <= _SMALL * self.scales.gradient
        within = np.where(small, max(self.radius, valley), self.radius)
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
            self._check_number()
            found[first] = len(self.positions) - 1
            others = np.flatnonzero(critical & (found < 0))
            found[others] = self._match(polished[others])
            new &= found < 0
        return found

    def _kinds(self, points: FloatArray) -> NDArray[np.str_]:
        found = classify_points(self.landscape, points, scale=self.scales, outside="keep")
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

        Given and known ones keep their order, found ones follow by loss, rest points last; of
        the known ones that are no minima, those that no trajectory reached are dropped.
        """
        critical = len(self.positions)
        assigned = tuple(
            np.where(attractor < _RESTS, attractor, attractor - _RESTS + critical)
            for attractor in assigned
        )
        self.positions = np.concatenate([self.positions, self.rests])
        self.kinds += [REST_POINT] * len(self.rests)
        reached = np.zeros(len(self.positions), dtype=bool)
        for attractor in assigned:
            reached[np.unique(attractor[attractor >= 0])] = True
        keep = np.flatnonzero(
            reached | (self.source == "given") | (np.array(self.kinds) == "minimum")
        )
        found = keep[keep >= self.known]
        places, losses = self.positions[found].T[::-1], self._losses(found)
        order = np.lexsort((*places, losses, found >= critical))
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
            "attractor_kind": variable(
                ("basin",), kinds, "kind of critical point; rest point = of the rule only"
            ),
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


def _apart(points: FloatArray, radius: float) -> IntArray:
    """Return some of the points (count, dim): the first ones that are farther apart than that."""
    tree, left = KDTree(points), np.ones(len(points), dtype=bool)
    chosen: list[int] = []
    while left.any() and len(chosen) < _PLACES:
        first = int(left.argmax())
        chosen.append(first)
        left[tree.query_ball_point(points[first], radius)] = False
        left[first] = False
    return np.array(chosen, dtype=np.int64)


def at_rest(path: FloatArray, length: float) -> NDArray[np.bool_]:
    """Return which orbits (..., record, coordinate) have come to rest, to a millionth of a length.

    Standing still for a while is not enough: what is slow does so as well.  If the extent of
    the first half of the record shrinks to the share q of it in the second half, what is left
    is at most the second extent times q / (1 - q), exactly so on the floor of a valley.  A
    power law, as on x^4, has more to go, by a factor that is near 3 there and does not grow.
    """
    orbits = path.reshape(-1, *path.shape[-2:])
    middle = orbits.shape[1] // 2
    halves = orbits[:, : middle + 1], orbits[:, middle:]
    first, last = (np.linalg.norm(np.ptp(half, axis=1), axis=-1) for half in halves)
    left = np.full(len(orbits), math.inf)
    np.divide(last * last, first - last, out=left, where=last < first)
    exact = last <= _DIGITS * np.abs(orbits).max(axis=(1, 2))
    rests = exact | (np.maximum(last, left) <= _STILL * length)
    found: NDArray[np.bool_] = rests.reshape(path.shape[:-2])
    return found


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
