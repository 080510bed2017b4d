"""What is proven about the critical points of a box: single ones, clusters, and what is open.

Coordinates that do not interact are looked at apart, each group with its own zeros and clusters
(`isolation`, `clusters`).  The critical points of the whole are their combinations: a cluster of
one group and a proven zero of another one are a cluster, its degree is the product of theirs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from fastdescent.geometry.clusters import (
    Cluster,
    Clusters,
    clusters,
    continuous,
    looked_closer,
    morse_indices,
)
from fastdescent.geometry.intervals import Enclosure, Formulas, Interval
from fastdescent.geometry.isolation import Derivatives, Isolated, halved, isolate
from fastdescent.geometry.search import NEAR, Search
from fastdescent.parts import FloatArray

__all__ = ["LISTED", "Certificate", "Place", "bounded_below", "certificate", "value_bounds"]

#: Points that are listed.
LISTED = 20_000
#: Boxes that are looked at for lower values.
_MOST_FACES = 100_000
#: Steps of a search for the best position in a cluster; each one may halve the distance.
_HALVINGS = 60
#: A slope that is bounded so much less in a part of the hull, of 1/1024 of its width, vanishes
#: towards it like a power of 1/3 at least; that at a corner does not.
_PART, _SHRINKS = 2.0**-10, 0.1


class Place(NamedTuple):
    """A cluster of the whole box or of a group of coordinates, and the point that stands for it.

    At a ``corner`` the loss has no gradient, as far as can be told.
    """

    cluster: Cluster
    position: FloatArray
    corner: bool


@dataclass(frozen=True)
class Certificate:
    """What interval arithmetic proves.

    ``lower`` and ``upper`` bound single zeros, ``degree`` is 1 or -1 of each, NaN if not known;
    ``places`` are the clusters; ``number`` and ``clustered`` say how many there are, listed or
    not.  What is left are ``undecided`` boxes.
    """

    lower: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    upper: FloatArray = field(default_factory=lambda: np.empty((0, 0)))
    degree: FloatArray = field(default_factory=lambda: np.empty(0))
    number: int = 0
    places: tuple[Place, ...] = ()
    clustered: int = 0
    examined: int = 0
    undecided: int = 0
    where: str = ""
    tried: bool = False

    @property
    def whole(self) -> bool:
        """Whether all of the box is accounted for, with points that are listed."""
        listed = self.number == len(self.lower) and self.clustered == len(self.places)
        return self.tried and self.undecided == 0 and listed

    def hulls(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return lower and upper ends of the clusters, and the points that stand for them."""
        dim = self.lower.shape[1]
        rows = [(p.cluster.lower, p.cluster.upper, p.position) for p in self.places]
        lower, upper, position = np.array(rows).reshape(-1, 3, dim).transpose(1, 0, 2)
        return lower, upper, position


def certificate(formulas: Formulas, search: Search, max_boxes: int | None) -> Certificate:
    """Isolate the zeros of each group of coordinates, look into what is undecided, and combine."""
    blocks, parts, made = formulas.blocks(), [], []
    for block in blocks:
        guesses = search.points[:, block]
        cells = np.round(guesses / search.width[block], 6)
        guesses = guesses[np.unique(cells, axis=0, return_index=True)[1]]
        box = search.closed[block]
        found = isolate(formulas, box, columns=block, guesses=guesses, max_boxes=max_boxes)
        found = looked_closer(formulas, found, box, block)
        parts.append(found)
        made.append(clusters(formulas, found, box, block, search.anywhere, guesses))
    zeros = [_zeros(formulas, block, part) for block, part in zip(blocks, parts, strict=True)]
    number = math.prod(len(part) for part in zeros)
    every = math.prod(len(part) + len(own.proven) for part, own in zip(zeros, made, strict=True))
    lower, upper, degree = _combined(blocks, zeros, len(search.bounds), number)
    places: tuple[Place, ...] = ()
    if 0 < every - number <= LISTED:
        places = _places(formulas, search, blocks, zeros, made)
    return Certificate(
        lower,
        upper,
        degree,
        number,
        places,
        every - number,
        sum(part.examined for part in parts),
        sum(len(own.undecided_lower) for own in made),
        _where_open(blocks, made),
        tried=True,
    )


def _zeros(formulas: Formulas, block: list[int], found: Isolated) -> list[Place]:
    """Return proven zeros of a group of coordinates as clusters of one point."""
    if not len(found.lower):
        return []
    index = morse_indices(Derivatives(formulas, block), found.lower, found.upper)
    places = []
    for lower, upper, k in zip(found.lower, found.upper, index.tolist(), strict=True):
        extremum = {0: "minimum", len(block): "maximum"}.get(k, "")
        cluster = Cluster(lower, upper, True, None if k < 0 else (-1) ** k, extremum)
        places.append(Place(cluster, 0.5 * (lower + upper), False))
    return places


def _combined(
    blocks: list[list[int]], zeros: list[list[Place]], dim: int, number: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return boxes and degrees of all combinations of proven zeros; none if they are too many."""
    number = number if number <= LISTED else 0
    lower, upper = np.empty((2, number, dim))
    degree = np.ones(number)
    for row, choice in zip(range(number), itertools.product(*zeros), strict=False):
        for block, (zero, *_) in zip(blocks, choice, strict=True):
            lower[row, block], upper[row, block] = zero.lower, zero.upper
            degree[row] *= math.nan if zero.degree is None else zero.degree
    return lower, upper, degree


def _places(
    formulas: Formulas,
    search: Search,
    blocks: list[list[int]],
    zeros: list[list[Place]],
    made: list[Clusters],
) -> tuple[Place, ...]:
    """Return all combinations in which there is a cluster."""
    sides: list[list[tuple[bool, Place]]] = []
    for block, single, some in zip(blocks, zeros, made, strict=True):
        own = [(True, _placed(formulas, search, block, one, single)) for one in some.proven]
        sides.append([*((False, place) for place in single), *own])
    return tuple(
        _joined(blocks, [place for _, place in choice], len(search.bounds))
        for choice in itertools.product(*sides)
        if any(clustered for clustered, _ in choice)
    )


def _joined(blocks: list[list[int]], chosen: Sequence[Place], dim: int) -> Place:
    """Return the combination of places of different groups of coordinates."""
    lower, upper, position = np.empty((3, dim))
    for block, place in zip(blocks, chosen, strict=True):
        lower[block], upper[block] = place.cluster.lower, place.cluster.upper
        position[block] = place.position
    degrees = [place.cluster.degree for place in chosen]
    known = [degree for degree in degrees if degree is not None]
    degree = math.prod(known) if len(known) == len(degrees) else None
    extrema = {place.cluster.extremum for place in chosen}
    extremum = extrema.pop() if len(extrema) == 1 else ""
    smooth = all(place.cluster.smooth for place in chosen)
    corner = any(place.corner for place in chosen)
    return Place(Cluster(lower, upper, smooth, degree, extremum), position, corner)


def _placed(
    formulas: Formulas, search: Search, block: list[int], cluster: Cluster, zeros: list[Place]
) -> Place:
    """Choose the point of a cluster: where the gradient is least, or else the loss extreme.

    The gradient is divided by the distances to proven zeros in the cluster, which are points of
    their own.
    """
    landscape, sign = search.landscape, -1.0 if cluster.extremum == "maximum" else 1.0
    reach = np.linalg.norm(cluster.upper - cluster.lower)
    apart = [zero.position for zero in zeros if cluster.holds(zero.cluster)]

    def whole(x: FloatArray) -> FloatArray:
        places = np.tile(search.anywhere, (len(x), 1))
        places[:, block] = x
        return places

    def slope(x: FloatArray) -> FloatArray:
        norm = np.linalg.norm(landscape.gradient(whole(x))[:, block], axis=1)
        away = [np.linalg.norm(x - zero, axis=1) / reach for zero in apart]
        return np.asarray(norm / np.prod(away, axis=0))

    def height(x: FloatArray) -> FloatArray:
        return np.asarray(sign * landscape.value(whole(x)))

    low, high = (np.clip(end, *search.bounds[block].T) for end in (cluster.lower, cluster.upper))
    listed = [np.asarray(point.position)[block] for point in landscape.critical_points()]
    known = np.array([*search.points[:, block], *listed]).reshape(-1, len(block))
    margin = NEAR * search.width[block]
    near = ((low - margin <= known) & (known <= high + margin)).all(axis=1)
    guesses = np.concatenate([0.5 * (low + high)[np.newaxis], np.clip(known[near], low, high)])
    position = _lowest(slope, guesses, low, high)
    if cluster.smooth:
        return Place(cluster, position, False)
    top = _lowest(height, guesses, low, high)
    if (height(position[np.newaxis]) > height(top[np.newaxis])).any():  # as at most corners
        position = top
    slopes = Enclosure([formulas.gradient[i] for i in block], formulas.constants, block)
    part = _PART * (high - low)
    bounds, _ = slopes([low, position - part], [high, position + part])
    size = bounds.magnitude.max(axis=0)
    vanishes = np.isfinite(size[0]) and size[1] <= _SHRINKS * size[0]
    return Place(cluster, position, not vanishes)


def _lowest(
    badness: Callable[[FloatArray], FloatArray],
    guesses: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
) -> FloatArray:
    """Return the best point of a box: compass search from the best one of some guesses."""
    found = badness(guesses)
    best = int(np.nan_to_num(found, nan=np.inf).argmin())
    x: FloatArray = guesses[best]
    least = found[best]
    step = 0.25 * (upper - lower)
    for _ in range(_HALVINGS):
        around = np.clip(x + np.concatenate([np.diag(step), -np.diag(step)]), lower, upper)
        found = np.nan_to_num(badness(around), nan=np.inf)
        best = int(found.argmin())
        if found[best] < least:
            x, least = around[best], found[best]
        else:
            step = 0.5 * step
    # Of numbers that are as good the one with the fewest digits: 1 rather than 1 - 1e-16.
    around = np.array([*(np.round(x, digits) + 0.0 for digits in range(16)), x])
    within = ((lower <= around) & (around <= upper)).all(axis=1)
    good = within & ~(badness(around) > least)
    return np.asarray(around[good.argmax()])


def _where_open(blocks: list[list[int]], made: list[Clusters]) -> str:
    """Describe the hull of the undecided boxes of each group of coordinates."""
    texts = []
    for block, part in zip(blocks, made, strict=True):
        if len(part.undecided_lower):
            low, high = part.undecided_lower.min(axis=0), part.undecided_upper.max(axis=0)
            sides = [f"[{a:.6g}, {b:.6g}]" for a, b in zip(low[:3], high[:3], strict=True)]
            more = " x ..." if len(low) > 3 else ""
            names = ", ".join(f"x[{i}]" for i in block[:3]) + (", ..." if len(block) > 3 else "")
            texts.append(f"{names} in {' x '.join(sides)}{more}")
    return "; ".join(texts)


def bounded_below(formulas: Formulas, bounds: FloatArray, made: Certificate, level: float) -> bool:
    """Return whether a loss is proven to be nowhere in a box below a level.

    Its lowest value is at a critical point or a corner or on a face, or else at a jump or where
    the loss ends.  That of single critical points is taken to be at or above the level; what is
    bounded are the faces and the hulls of clusters, halved until that is clear.
    """
    if not continuous(formulas, bounds):
        return False
    system = Enclosure([formulas.value, *formulas.gradient], formulas.constants)
    hulls = np.stack(made.hulls()[:2], axis=2)
    boxes = [*hulls]
    for i, side in itertools.product(range(len(bounds)), range(2)):
        face = bounds.copy()
        face[i] = bounds[i, side]
        boxes.append(face)
    lower, upper = np.stack(boxes)[:, :, 0], np.stack(boxes)[:, :, 1]
    examined = 0
    while len(lower):
        examined += len(lower)
        if examined > _MOST_FACES:
            return False
        found, slope = _bounds(system, lower, upper)
        open_ = ~(found.lower >= level)
        lower, upper = lower[open_], upper[open_]
        spread = np.nan_to_num(slope[open_] * (upper - lower))  # inf * 0 across a face is 0
        lower, upper = halved(lower, upper, spread)
    return True


def value_bounds(formulas: Formulas, lower: FloatArray, upper: FloatArray) -> Interval:
    """Return bounds of a loss on boxes, shape (n, dim): its own, and by its slopes where smooth."""
    system = Enclosure([formulas.value, *formulas.gradient], formulas.constants)
    return _bounds(system, lower, upper)[0]


def _bounds(system: Enclosure, lower: FloatArray, upper: FloatArray) -> tuple[Interval, FloatArray]:
    """Return bounds of a loss on boxes, and the largest slopes there."""
    found, smooth = system(lower, upper)
    centre = 0.5 * lower + 0.5 * upper
    at_centre, _ = system(centre, centre)
    slope = np.maximum(np.abs(found.lower[1:]), np.abs(found.upper[1:])).T
    change = (slope * (upper - lower)).sum(axis=1)  # nearly twice what rounding needs
    change = np.where(smooth, change, np.inf)
    least = np.fmax(found.lower[0], at_centre.lower[0] - change)
    most = np.fmin(found.upper[0], at_centre.upper[0] + change)
    return Interval(least, most), slope
