"""Attractors of an update rule: given, known or found from where trajectories end; and cycles."""

from __future__ import annotations

import math
from typing import Any, cast

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
# The least number whose inverse is finite.
_TINY = float(np.finfo(float).tiny)
# An orbit is a cycle if it comes back within this share of its own diameter.
_RECURRENCE = 1e-6


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
        Largest distance of an end from its attractor.
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
        found = self._match(ends)
        missing = np.flatnonzero(found < 0)
        for begin in range(0, 0 if self.closed else len(missing), _SAMPLE):
            some = missing[begin : begin + _SAMPLE]
            found[some] = self._match(ends[some])  # what was found meanwhile
            left = some[found[some] < 0]
            if len(left):
                found[left] = self._found(_polish(self.landscape, ends[left]))
        return found

    def _match(self, ends: FloatArray) -> IntArray:
        if not len(self.positions) or not len(ends):
            return np.full(len(ends), -1, dtype=np.int64)
        # The tree's bound is open; a point for which it finds nothing gets the number of points.
        bound = math.nextafter(self.radius, math.inf)
        found = KDTree(self.positions).query(ends, distance_upper_bound=bound)[1]
        return np.where(found == len(self.positions), -1, found)

    def _found(self, polished: FloatArray) -> IntArray:
        """Return the attractor at each polished point; isolated ones far from all become new."""
        found = self._match(polished)
        kinds = self._kinds(polished)
        new = (found < 0) & self._isolated(polished, kinds)
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
            near = np.linalg.norm(polished - polished[first], axis=1) <= self.radius
            found[near & (found < 0)] = len(self.positions) - 1
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
                gap = np.linalg.norm(_polish(self.landscape, aside) - points[at], axis=1)
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


def _polish(landscape: Landscape, ends: FloatArray) -> FloatArray:
    """Follow Newton's method on the gradient from each end while the gradient becomes smaller."""
    best = ends.copy()
    grad = landscape.gradient(best)
    for _ in range(_NEWTON):
        values, vectors = np.linalg.eigh(hessians(landscape, best).matrices)
        floor = np.maximum(1e-12 * np.abs(values).max(axis=1, keepdims=True), _TINY)
        steep = np.abs(values) > floor  # along a flat direction there is nowhere to go
        inverse = np.where(steep, 1.0 / np.where(steep, values, 1.0), 0.0)
        trial = best - np.einsum("nij,nj,nkj,nk->ni", vectors, inverse, vectors, grad)
        new = landscape.gradient(trial)
        better = np.linalg.norm(new, axis=1) < np.linalg.norm(grad, axis=1)
        if not better.any():
            break
        best[better], grad[better] = trial[better], new[better]
    return best


def periods(path: FloatArray, length: float) -> NDArray[np.int16]:
    """Return the least period >= 2 of each orbit (..., record, coordinate), 0 if it has none.

    Steps that only become smaller do not come back: in a window of w of them two positions are
    at least 1 / w of the diameter apart, far more than is allowed here.
    """
    orbits = path.reshape(-1, *path.shape[-2:])
    diameter: FloatArray = np.linalg.norm(np.ptp(orbits, axis=1), axis=-1)
    allowed = _RECURRENCE * diameter
    period = np.zeros(len(orbits), dtype=np.int16)
    wide = diameter > 1e-9 * length  # less is rounding at a point of rest
    for p in range(2, orbits.shape[1] // 2 + 1):
        back = np.linalg.norm(orbits[:, -1] - orbits[:, -1 - p], axis=-1)
        at = np.flatnonzero(wide & (period == 0) & (back <= allowed))
        gaps = np.linalg.norm(orbits[at, p:] - orbits[at, :-p], axis=-1).max(axis=1, initial=0.0)
        period[at[gaps <= allowed[at]]] = p
    return period.reshape(path.shape[:-2])
