r"""What is proven about the boxes that branch and bound leaves undecided.

A degenerate critical point, and a corner, stay in undecided boxes however small these become.
`clusters` draws a hull round each group of them, on whose faces nothing is undecided, and proves
what it can from the faces alone: the topological degree of the gradient

.. math:: \deg = \sum_{\nabla f(x) = 0} \operatorname{sign} \det H(x)

(counted over the nondegenerate zeros into which those in the hull fall apart under a small
change of the loss), and that the loss has a minimum or a maximum in it.  Where the gradient is
smooth a degree other than 0 proves that it vanishes somewhere in the hull; a minimum exists
wherever the loss is continuous, with a corner too.

In one dimension the degree is read off the signs at both ends; in two it is the winding number
of the gradient along the boundary, which is cut until one component has a proven sign on each
piece; beyond, it is known where each component has opposite signs on opposite faces (Miranda).

References
----------
Kearfott (1979), Numerische Mathematik 32, 109-127; Franek and Ratschan (2015), Mathematics of
Computation 84, 1265-1290; Miranda (1940), Bollettino dell'Unione Matematica Italiana 3, 5-7;
Milnor (1965), Topology from the Differentiable Viewpoint, section 6 (the Poincare-Hopf theorem).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from fastdescent.geometry.intervals import BoolArray, Enclosure, Formulas
from fastdescent.geometry.isolation import Derivatives, Isolated, halved, isolate
from fastdescent.parts import FloatArray, IntArray

__all__ = [
    "NARROW",
    "Cluster",
    "Clusters",
    "clusters",
    "continuous",
    "looked_closer",
    "morse_indices",
    "topological_degree",
]

#: Widest cluster that stands for one point, relative to the box's sides.
NARROW = 1e-6
#: How far hulls are grown, relative to the box's sides, until all is proven: beyond the smallest
#: boxes of branch and bound, and until rounding no longer hides the sign of the gradient.
_MARGINS = (2e-9, 8e-9, 3.2e-8, 1.3e-7, 4.5e-7)
#: Thickness of the layers under the faces on which slopes are bounded, relative to the margin.
_LAYER = 0.125
#: Boxes that are grouped at once, and clusters that are looked into.
_MOST_BOXES, _MOST_CLUSTERS = 1024, 256
#: Clusters in which zeros are isolated anew, and the boxes that this may take in each.
_MOST_HULLS, _CLOSER = 16, 512
#: Pieces of the boundary, or of a face, of a hull before a proof gives up, and of a whole box.
_MOST_PIECES, _MOST_OF_A_BOX = 1024, 65_536
#: Boxes in which a jump is looked for, and the smallest ones relative to the first one.
_MOST_CUTS, _SMALLEST_CUT = 20_000, 1e-6


@dataclass(frozen=True)
class Cluster:
    """A hull of undecided boxes, and what is proven about it.

    Parameters
    ----------
    lower, upper : ndarray, shape (coordinates,)
        The hull, on whose faces the gradient is not 0.
    smooth : bool
        Whether loss and gradient are surely smooth in the hull; else there may be a corner.
    degree : int, optional
        The topological degree of the gradient, without that of proven single zeros inside; None
        if it is not known.
    extremum : str
        "minimum" or "maximum" if the loss is proven to have one inside, else "".
    """

    lower: FloatArray
    upper: FloatArray
    smooth: bool
    degree: int | None = None
    extremum: str = ""

    @property
    def proven(self) -> bool:
        """Whether a critical point, or a corner that is an extremum, is proven to exist."""
        return bool(self.degree) or bool(self.extremum)

    def holds(self, other: Cluster) -> bool:
        """Return whether another one lies inside."""
        return bool(((self.lower <= other.lower) & (other.upper <= self.upper)).all())


@dataclass(frozen=True)
class Clusters:
    """The proven clusters of a group of coordinates, and the boxes that remain undecided."""

    proven: tuple[Cluster, ...]
    undecided_lower: FloatArray
    undecided_upper: FloatArray


@np.errstate(all="ignore")
def clusters(
    formulas: Formulas,
    found: Isolated,
    box: FloatArray,
    columns: Sequence[int],
    place: FloatArray,
    guesses: FloatArray | None = None,
) -> Clusters:
    """Group the undecided boxes of a block of coordinates, and prove what is in each group.

    Parameters
    ----------
    formulas : Formulas
        The loss and its derivatives.
    found : Isolated
        The block's proven zeros and undecided boxes.
    box : ndarray, shape (coordinates, 2)
        The box that was searched, for its sides.
    columns : sequence of int
        One of `Formulas.blocks`.
    place : ndarray, shape (dim,)
        Where the loss is defined: the other coordinates stay there.
    guesses : ndarray, shape (n, coordinates), optional
        Where extrema are thought to be; the middle of each hull is looked at in any case.

    Returns
    -------
    Clusters

    Examples
    --------
    >>> from fastdescent.geometry.intervals import traced
    >>> from fastdescent.geometry.isolation import isolate
    >>> from fastdescent.landscapes import MonkeySaddle
    >>> box, formulas = np.array([[-2.0, 3.0], [-2.0, 3.0]]), traced(MonkeySaddle())
    >>> made = clusters(formulas, isolate(formulas, box), box, [0, 1], np.ones(2))
    >>> [(one.degree, one.extremum) for one in made.proven], len(made.undecided_lower)
    ([(-2, '')], 0)
    """
    width = box[:, 1] - box[:, 0]
    low, high = found.undecided_lower, found.undecided_upper
    proven: list[Cluster] = []
    if not 0 < len(low) <= _MOST_BOXES or not (high - low <= NARROW * width).all(axis=1).any():
        return Clusters((), low, high)
    found = _near(found, NARROW * width)
    local = _Local(formulas, columns, place, guesses)
    for margin in _MARGINS:
        hulls = _hulls(low, high, found, margin * width)
        fits = np.asarray((hulls[1] - hulls[0] <= NARROW * width).all(axis=1))
        if not fits.any() or len(fits) > _MOST_CLUSTERS:
            break
        proven = [
            cluster
            for lower, upper in zip(hulls[0][fits], hulls[1][fits], strict=True)
            if (cluster := local.cluster(lower, upper, _LAYER * margin * width, found)).proven
        ]
        if len(proven) == len(fits):
            break
    left = np.ones(len(low), dtype=bool)
    for cluster in proven:
        left &= ~((cluster.lower <= low) & (high <= cluster.upper)).all(axis=1)
    return Clusters(tuple(proven), low[left], high[left])


def looked_closer(
    formulas: Formulas, found: Isolated, box: FloatArray, columns: Sequence[int]
) -> Isolated:
    """Isolate the zeros in each group of undecided boxes, at the group's own scale.

    Boxes of a millionth of the whole can hold several zeros, which are far apart against the
    hull's sides.  Of a group that stays undecided nothing is changed.

    Parameters
    ----------
    formulas, found, box, columns
        As in `clusters`.

    Returns
    -------
    Isolated

    Examples
    --------
    >>> import fastdescent as fd
    >>> from fastdescent.geometry.intervals import traced
    >>> from fastdescent.geometry.isolation import isolate
    >>> box = np.array([[-1e12, 1e12]])
    >>> formulas = traced(fd.landscape("(x**2 - 2)**2", domain=(-1e12, 1e12)))
    >>> found = isolate(formulas, box)
    >>> len(found.lower), len(looked_closer(formulas, found, box, [0]).lower)
    (0, 3)
    """
    low, high = found.undecided_lower, found.undecided_upper
    width = box[:, 1] - box[:, 0]
    if not 0 < len(low) <= _MOST_BOXES:
        return found
    hulls = _hulls(low, high, _near(found, NARROW * width), _MARGINS[-1] * width)
    hulls = np.maximum(hulls[0], box[:, 0]), np.minimum(hulls[1], box[:, 1])
    for lower, upper in list(zip(*hulls, strict=True))[:_MOST_HULLS]:
        if (upper - lower > NARROW * width).any():
            continue
        hull = np.stack([lower, upper], axis=1)
        inner = isolate(formulas, hull, columns=columns, max_boxes=_CLOSER)
        found = replace(found, examined=found.examined + inner.examined)
        if len(inner.undecided_lower):
            continue
        zeros = ((lower <= found.lower) & (found.upper <= upper)).all(axis=1)
        boxes = found.undecided_lower, found.undecided_upper
        open_ = ~((lower <= boxes[0]) & (boxes[1] <= upper)).all(axis=1)
        found = replace(
            found,
            lower=np.concatenate([found.lower[~zeros], inner.lower]),
            upper=np.concatenate([found.upper[~zeros], inner.upper]),
            undecided_lower=boxes[0][open_],
            undecided_upper=boxes[1][open_],
        )
    return found


def _near(found: Isolated, margin: FloatArray) -> Isolated:
    """Return what was found without the zeros that are far from all undecided boxes."""
    near = np.zeros(len(found.lower), dtype=bool)
    for low, high in zip(found.undecided_lower, found.undecided_upper, strict=True):
        near |= ((low - margin <= found.upper) & (found.lower <= high + margin)).all(axis=1)
    return replace(found, lower=found.lower[near], upper=found.upper[near])


def _hulls(
    low: FloatArray, high: FloatArray, found: Isolated, margin: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return hulls of boxes, grown by a margin, that meet neither each other nor a zero outside."""
    lower = np.concatenate([low - margin, found.lower])
    upper = np.concatenate([high + margin, found.upper])
    open_: BoolArray = np.arange(len(lower)) < len(low)
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415 - slow to import

    while True:
        touch = np.ones((len(lower), len(lower)), dtype=bool)
        for a, b in zip(lower.T, upper.T, strict=True):
            touch &= (a[:, np.newaxis] <= b) & (a <= b[:, np.newaxis])
        count, group = connected_components(touch, directed=False)
        if count == len(lower):
            return lower[open_], upper[open_]
        order = np.argsort(group, kind="stable")
        first = np.searchsorted(group[order], np.arange(count))
        lower = np.minimum.reduceat(lower[order], first)
        upper = np.maximum.reduceat(upper[order], first)
        open_ = np.logical_or.reduceat(open_[order], first)


class _Local:
    """The loss and the gradient of a block of coordinates, bounded on small boxes."""

    def __init__(
        self,
        formulas: Formulas,
        columns: Sequence[int],
        place: FloatArray,
        guesses: FloatArray | None,
    ) -> None:
        self._guesses = np.empty((0, len(columns))) if guesses is None else guesses
        constants = formulas.constants
        slopes = [formulas.gradient[i] for i in columns]
        self._columns, self._place = list(columns), place
        self._slopes = Enclosure(slopes, constants, columns)
        self._parts = Enclosure([*slopes, *formulas.parts(columns)], constants, columns)
        self._value = Enclosure([formulas.value], constants, corners=False)
        self._derivatives = Derivatives(formulas, columns)

    def cluster(
        self, lower: FloatArray, upper: FloatArray, layer: FloatArray, found: Isolated
    ) -> Cluster:
        """Return what is proven about a hull."""
        hull = lower[np.newaxis], upper[np.newaxis]
        smooth = bool(self._parts(*hull)[1][0])
        signs = _facing(self._slopes, lower, upper, layer)
        degree = _degree(self._slopes, lower, upper, signs) if smooth else None
        inside = ((lower <= found.lower) & (found.upper <= upper)).all(axis=1)
        if inside.any():
            index = morse_indices(self._derivatives, found.lower[inside], found.upper[inside])
            known = degree is not None and bool((index >= 0).all())
            rest = int(degree - ((-1) ** index).sum()) if degree is not None and known else None
            return Cluster(lower, upper, smooth, rest)
        extremum = ""
        if bool(self._value(*self._whole(*hull))[1][0]):
            extremum = self._extremum(lower, upper, signs)
        return Cluster(lower, upper, smooth, degree, extremum)

    def _extremum(self, lower: FloatArray, upper: FloatArray, signs: IntArray) -> str:
        """Return what extremum a continuous loss surely has in a hull, "" if none.

        It has a minimum there if it rises outward across each face, or if its values on all
        faces are above that at a point inside.
        """
        if (np.abs(signs) == 1).all() and len(set(signs.tolist())) == 1:
            return "minimum" if signs[0] > 0 else "maximum"
        near = ((lower < self._guesses) & (self._guesses < upper)).all(axis=1)
        points = np.concatenate([0.5 * (lower + upper)[np.newaxis], self._guesses[near]])
        inside, _ = self._value(*self._whole(points, points))
        if self._beyond(lower, upper, float(np.nanmin(inside.upper)), 1.0):
            return "minimum"
        if self._beyond(lower, upper, float(-np.nanmax(inside.lower)), -1.0):
            return "maximum"
        return ""

    def _beyond(self, lower: FloatArray, upper: FloatArray, level: float, sign: float) -> bool:
        """Return whether sign * loss is above a level on all faces of a hull."""
        low, high = (np.stack(ends) for ends in zip(*_faces(lower, upper), strict=True))
        width, examined = np.maximum(upper - lower, 1e-300), 0
        while len(low):
            examined += len(low)
            bounds, _ = self._value(*self._whole(low, high))
            least, most = bounds.lower[0], bounds.upper[0]
            least, most = (least, most) if sign > 0.0 else (-most, -least)
            if examined > _MOST_PIECES or (most <= level).any():
                return False
            open_ = ~(least > level)
            low, high = halved(low[open_], high[open_], ((high - low) / width)[open_])
        return True

    def _whole(self, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return boxes in all coordinates, the other ones at their place."""
        ends = np.tile(self._place, (2, len(low), 1))
        ends[0][:, self._columns], ends[1][:, self._columns] = low, high
        return ends[0], ends[1]


def _faces(lower: FloatArray, upper: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
    """Return the faces of a box: of each coordinate in turn the lower and the upper one."""
    faces = []
    for i, end in itertools.product(range(len(lower)), (lower, upper)):
        low, high = lower.copy(), upper.copy()
        low[i] = high[i] = end[i]
        faces.append((low, high))
    return faces


def _facing(slopes: Enclosure, lower: FloatArray, upper: FloatArray, layer: FloatArray) -> IntArray:
    """Return for each coordinate how its slope differs between its two faces.

    That is 1 where it is below 0 on the lower and above 0 on the upper face, -1 where it is the
    other way round, 2 where it has one sign on both, and 0 where this is not proven.  Bounded is
    a layer under each face: a loss with corners, even in the face, falls through all of it then.
    """
    found = np.zeros(len(lower), dtype=np.int64)
    for i in range(len(lower)):
        ends = []
        for end in (0, 1):
            low, high = lower.copy(), upper.copy()
            if end:
                low[i] = max(lower[i], upper[i] - layer[i])
            else:
                high[i] = min(upper[i], lower[i] + layer[i])
            ends.append(_sign(slopes, i, low, high))
            if not ends[-1]:
                break
        else:
            found[i] = ends[1] if ends[1] == -ends[0] else 2
    return found


def _sign(slopes: Enclosure, i: int, lower: FloatArray, upper: FloatArray) -> int:
    """Return the sign that a slope has in all of a box, 0 if there is none or no proof."""
    low, high = lower[np.newaxis], upper[np.newaxis]
    width, examined, sign = np.maximum(upper - lower, 1e-300), 0, 0
    while len(low):
        examined += len(low)
        bounds, _ = slopes(low, high)
        above, below = bounds.lower[i] > 0.0, bounds.upper[i] < 0.0
        both = (above.any() or sign > 0) and (below.any() or sign < 0)
        if both or examined > _MOST_PIECES:
            return 0
        sign = sign or int(above.any()) - int(below.any())
        open_ = ~(above | below)
        low, high = halved(low[open_], high[open_], ((high - low) / width)[open_])
    return sign


def _degree(
    slopes: Enclosure,
    lower: FloatArray,
    upper: FloatArray,
    facing: IntArray,
    most: int = _MOST_PIECES,
) -> int | None:
    """Return the degree of a gradient that is smooth in a box, None if it is not known."""
    if len(lower) == 1 and facing[0]:
        return int(facing[0]) % 2 * int(facing[0])
    if (np.abs(facing) == 1).all():
        return int(facing.prod())
    return _winding(slopes, lower, upper, most) if len(lower) == 2 else None


def _winding(slopes: Enclosure, lower: FloatArray, upper: FloatArray, most: int) -> int | None:
    """Return how often the gradient turns round along the boundary of a rectangle.

    Each piece of the boundary gets a direction, in quarter turns, from which the gradient is
    less than a quarter turn away on all of it.  Those of neighbours differ by no more than one,
    since both hold at their common end.
    """
    side: IntArray = np.arange(4)
    start, end = np.zeros(4), np.ones(4)
    places: list[FloatArray] = []
    directions: list[IntArray] = []
    examined = 0
    while len(side):
        examined += len(side)
        if examined > most:
            return None
        bounds, _ = slopes(*_pieces(side, start, end, lower, upper))
        right, up = bounds.lower[0] > 0.0, bounds.lower[1] > 0.0
        left, down = bounds.upper[0] < 0.0, bounds.upper[1] < 0.0
        direction = np.select([right, up, left, down], [0, 1, 2, 3], -1)
        done = direction >= 0
        # Anticlockwise: along the upper and the left side coordinates fall.
        places.append(np.where(side < 2, side + start, side + 1.0 - end)[done])
        directions.append(direction[done])
        side, start, end = side[~done], start[~done], end[~done]
        cut = 0.5 * start + 0.5 * end
        side = np.concatenate([side, side])
        start, end = np.concatenate([start, cut]), np.concatenate([cut, end])
    turned = np.concatenate(directions)[np.argsort(np.concatenate(places))]
    quarters = (np.diff(turned, append=turned[0]) + 1) % 4 - 1
    return int(quarters.sum()) // 4


def _pieces(
    side: IntArray, start: FloatArray, end: FloatArray, lower: FloatArray, upper: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return pieces of the sides of a rectangle: 0 below, 1 right, 2 above, 3 left."""
    low, high = np.empty((2, len(side), 2))
    rows, along = np.arange(len(side)), side % 2
    for corner, share in ((low, start), (high, end)):
        moved = lower[along] + share * (upper - lower)[along]
        corner[rows, along] = np.where(share == 1.0, upper[along], moved)
    fixed = np.where((side == 1) | (side == 2), upper[1 - along], lower[1 - along])
    low[rows, 1 - along] = high[rows, 1 - along] = fixed
    return low, high


def morse_indices(system: Derivatives, lower: FloatArray, upper: FloatArray) -> IntArray:
    """Return how many eigenvalues of the Hessian are surely negative in small boxes.

    It is -1 where bounds of an eigenvalue contain 0.  Symmetric matrices that differ by E have
    eigenvalues that differ by the norm of E at most (Weyl).
    """
    _, hessian, _ = system.both(lower, upper)
    middle = np.nan_to_num(hessian.middle)
    eigenvalues = np.linalg.eigvalsh(middle)
    dim = middle.shape[1]
    rounding = 16.0 * dim * np.finfo(float).eps * np.abs(eigenvalues).max(axis=1, initial=0.0)
    # The largest sum of a row, which has no squares to underflow, is no less than the norm.
    reach = hessian.radius.sum(axis=2).max(axis=1, initial=0.0) * (1.0 + 1e-12) + rounding
    known = (np.abs(eigenvalues) > reach[:, np.newaxis]).all(axis=1) & np.isfinite(reach)
    return np.where(known, (eigenvalues < 0.0).sum(axis=1), -1)


@np.errstate(all="ignore")
def topological_degree(formulas: Formulas, box: FloatArray) -> int | None:
    r"""Return the topological degree of a gradient on a box, from its boundary alone.

    If all critical points in it are nondegenerate it is the number of those with an even index
    less those with an odd one (Poincare and Hopf).

    Parameters
    ----------
    formulas : Formulas
        The loss and its derivatives.
    box : ndarray, shape (dim, 2)
        Lower and upper end of each coordinate.

    Returns
    -------
    int or None
        None where the gradient may vanish on the boundary, is not surely smooth in the box, or
        where no proof is found; there is one for all other boxes of up to two dimensions, if
        the boundary needs no more than 65 536 pieces.

    Examples
    --------
    >>> from fastdescent.geometry.intervals import traced
    >>> from fastdescent.landscapes import Himmelblau
    >>> topological_degree(traced(Himmelblau()), Himmelblau().domain)  # 4 - 4 + 1
    1
    """
    lower, upper = box.T
    slopes = Enclosure(formulas.gradient, formulas.constants)
    every = Enclosure([*formulas.gradient, formulas.value], formulas.constants)
    if not bool(every(lower[np.newaxis], upper[np.newaxis])[1][0]):
        return None
    facing = _facing(slopes, lower, upper, np.zeros(len(lower)))
    return _degree(slopes, lower, upper, facing, _MOST_OF_A_BOX)


def continuous(formulas: Formulas, box: FloatArray) -> bool:
    """Return whether a loss surely has no jumps or poles in a box and is defined in all of it.

    The box is halved where that is open, until the pieces are too many.
    """
    system = Enclosure([formulas.value], formulas.constants, corners=False)
    low, high = box.T[:, np.newaxis]
    width, examined = high[0] - low[0], 0
    while len(low):
        examined += len(low)
        if examined > _MOST_CUTS or (high - low <= _SMALLEST_CUT * width).all(axis=1).any():
            return False
        open_: BoolArray = ~system(low, high)[1]
        low, high = halved(low[open_], high[open_], ((high - low) / width)[open_])
    return True
