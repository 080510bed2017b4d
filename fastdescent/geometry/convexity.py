"""Whether a landscape is convex in a box: a proof, a witness against it, or neither."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from fastdescent.errors import InvalidValueError
from fastdescent.geometry.critical_points import checked_count, searched_box
from fastdescent.geometry.intervals import BOUNDS, Enclosure, Formulas, Interval, traced
from fastdescent.geometry.isolation import Derivatives, halved, most_boxes
from fastdescent.landscapes import Landscape
from fastdescent.parts import FloatArray, is_integer
from fastdescent.starts import Uniform
from fastdescent.symbolic.expression import Expression, ordered, support

__all__ = ["convexity"]

BoolArray = NDArray[np.bool_]
#: An eigenvalue is negative beyond doubt only if below this share of the largest entry, times
#: the dimension: eigenvalues and kernels round by some eps of it.
_ROUNDING = 256.0 * float(np.finfo(float).eps)
#: Covers the roundings of sums without cancellation.
_SUMS = 1.0 + 1e-12
#: How far composition looks beyond a part, relative to the box: convexity near each point of
#: a box is convexity in it, corners between two parts included.
_OVERLAP = 1e-7
#: Boxes smaller than this, relative to the first one, are not halved again.
_SMALLEST = 1e-9


def convexity(
    landscape: Landscape,
    box: ArrayLike | None = None,
    *,
    samples: int = 1024,
    seed: int = 0,
    max_boxes: int | None = None,
) -> xr.Dataset:
    r"""Prove that a landscape is convex in a box, or find where it is not.

    .. math:: f \text{ convex} \iff v^\top H(x)\, v \ge 0 \quad \text{for all } x, v

    The Hessian is sampled first.  Then, if the landscape has a formula, the box is halved until
    each part is proven convex or the Hessian in its middle has a negative eigenvalue.  There are
    two proofs: the rules of composition (sums of convex functions, convex increasing functions
    of convex ones, ...) with the signs that interval arithmetic finds, for which f may have
    corners; and, where f is smooth, bounds of H that are positive semidefinite by Gershgorin's
    discs of H or of Q' H Q, Q being the eigenvectors of the middle of the bounds.  A witness is a
    point x and a unit vector v; it is verified by interval arithmetic too.  A landscape without a
    formula can only be refuted.

    Parameters
    ----------
    landscape : Landscape
        The loss; its parameters are single numbers.
    box : array_like, shape (2,) or (dim, 2), optional
        Lower and upper bound of each coordinate, in units of x, closed; the landscape's domain by
        default.
    samples : int
        Random points at which the Hessian is looked at, >= 1.
    seed : int
        Their seed, >= 0.
    max_boxes : int, optional
        The most boxes that the proof looks at, >= 1; by default 200 000, and 5e7 / d^3 in d > 6
        dimensions.

    Returns
    -------
    xarray.Dataset
        ``convex``: proven, refuted or undecided; ``smallest_eigenvalue`` that was found, at
        ``position`` (coordinate); ``direction`` (coordinate), its unit eigenvector; ``curvature``,
        an upper bound of v' H v there, NaN where the bounds allow 0 or more or there is no
        formula.  Attributes ``verified``: whether the answer is by interval arithmetic;
        ``boxes_examined`` and ``boxes_undecided``.

    Raises
    ------
    InvalidValueError
        If the box has another shape, is empty or not finite, a number is not allowed, or a
        parameter of the landscape is a sequence; if it has no Hessian.

    References
    ----------
    Gershgorin (1931), Izvestiya Akademii Nauk SSSR 7, 749-754; the test on intervals: Adjiman,
    Dallwig, Floudas and Neumaier (1998), Computers & Chemical Engineering 22, 1137-1158;
    composition: Grant, Boyd and Ye (2006), Disciplined Convex Programming, in Global Optimization,
    Springer, 155-210.

    Examples
    --------
    A bowl with ripples is convex if and only if h / l^2 <= 1 / (2 pi^2) = 0.0506606:

    >>> from fastdescent.landscapes import RippledBowl
    >>> [str(convexity(RippledBowl(height=h)).convex.item()) for h in (0.05066, 0.05067)]
    ['proven', 'refuted']
    """
    bounds = searched_box(landscape, box)
    checked_count("samples", samples)
    if max_boxes is not None:
        checked_count("max_boxes", max_boxes)
    if not is_integer(seed) or seed < 0:
        raise InvalidValueError("seed", seed, "an integer >= 0")
    lower, upper = bounds.T.tolist()
    places = Uniform(lower, upper, count=int(samples)).points(landscape, seed)
    formulas = traced(landscape)
    with np.errstate(all="ignore"):
        found = _Found(landscape, formulas)
        found.look(np.concatenate([places, 0.5 * bounds.sum(axis=1)[np.newaxis]]))
        if formulas is not None and not found.refuted:
            found.prove(formulas, bounds, max_boxes or most_boxes(len(bounds)))
    return _dataset(found, bounds, int(samples), int(seed))


@dataclass
class _Found:
    """The smallest eigenvalue so far, where it is, and what is proven."""

    landscape: Landscape
    formulas: Formulas | None
    eigenvalue: float = np.inf
    position: FloatArray | None = None
    direction: FloatArray | None = None
    curvature: float = np.nan
    refuted: bool = False
    proven: bool = False
    examined: int = 0
    undecided: int = 0

    def look(self, x: FloatArray) -> None:
        """Look at the eigenvalues at some points, and try the smallest as a witness."""
        hessian = self.landscape.hessian(x)
        usable = np.isfinite(hessian).all(axis=(1, 2))
        if not usable.any():
            return
        x, hessian = x[usable], hessian[usable]
        smallest = np.linalg.eigvalsh(hessian)[:, 0]
        at = int(smallest.argmin())
        if smallest[at] >= self.eigenvalue:
            return
        self.eigenvalue, self.position = float(smallest[at]), x[at]
        self.direction = np.linalg.eigh(hessian[at])[1][:, 0]
        if self.eigenvalue < 0.0:
            self._verify(hessian[at])

    def _verify(self, hessian: FloatArray) -> None:
        """Decide whether the curvature along the direction is negative beyond rounding."""
        assert self.position is not None
        assert self.direction is not None
        if self.formulas is None:
            margin = _ROUNDING * len(self.position) * float(np.abs(hessian).max())
            self.refuted = self.eigenvalue < -margin
            return
        place = self.position[np.newaxis]
        _, bounds, smooth = Derivatives(self.formulas, value=True).both(place, place)
        total = Interval.of(0.0)
        for i, j in np.ndindex(hessian.shape):
            entry = Interval(bounds.lower[0, i, j], bounds.upper[0, i, j])
            v, w = Interval.of(self.direction[i]), Interval.of(self.direction[j])
            total = total + entry * v * w
        self.refuted = bool(smooth[0]) and float(total.upper) < 0.0
        self.curvature = float(total.upper) if self.refuted else np.nan

    def prove(self, formulas: Formulas, bounds: FloatArray, max_boxes: int) -> None:
        """Halve the box until every part is proven or one refutes."""
        system, composition = Derivatives(formulas, value=True), _Composition(formulas)
        width = bounds[:, 1] - bounds[:, 0]
        lower, upper = bounds[np.newaxis, :, 0], bounds[np.newaxis, :, 1]
        tiny = 0
        while len(lower) and self.examined + len(lower) <= max_boxes:
            self.examined += len(lower)
            _, hessian, smooth = system.both(lower, upper)
            convex = composition(lower - _OVERLAP * width, upper + _OVERLAP * width)
            open_ = ~(convex | (smooth & _semidefinite(hessian)))
            lower, upper = lower[open_], upper[open_]
            if len(lower):
                self.look(0.5 * lower + 0.5 * upper)
            if self.refuted:
                return
            share = (upper - lower) / width
            wide = share.max(axis=1, initial=0.0) > _SMALLEST
            tiny += int(np.count_nonzero(~wide))
            lower, upper = halved(lower[wide], upper[wide], share[wide])
        self.undecided = tiny + len(lower)
        self.proven = self.undecided == 0


def _semidefinite(hessian: Interval) -> BoolArray:
    """Return which matrices are proven to have no negative eigenvalue, by Gershgorin's discs.

    Discs of H itself are exact where it is diagonal; those of Q' H Q are small where it is not.
    Q is nonsingular: its columns are orthogonal to rounding.
    """
    plain = _dominant(hessian.lower, hessian.magnitude)
    finite: BoolArray = np.asarray(np.isfinite(hessian.magnitude).all(axis=(1, 2)))
    middle = np.where(finite[:, np.newaxis, np.newaxis], hessian.middle, 0.0)
    q = np.linalg.eigh(middle)[1]
    turned, size = q.swapaxes(1, 2), np.abs(q)
    centre = turned @ middle @ q
    rounding = _ROUNDING * q.shape[-1] * np.abs(middle)
    reach = size.swapaxes(1, 2) @ (hessian.radius + rounding) @ size * _SUMS
    regular = np.abs(turned @ q - np.eye(q.shape[-1])).sum(axis=2).max(axis=1) < 0.5
    return np.asarray(
        plain | (finite & regular & _dominant(centre - reach, np.abs(centre) + reach))
    )


def _dominant(lower: FloatArray, magnitude: FloatArray) -> BoolArray:
    """Return which matrices have diagonal entries no smaller than the rest of their rows."""
    aside = magnitude.copy()
    np.einsum("nii->ni", aside)[...] = 0.0
    enough = np.einsum("nii->ni", lower) >= aside.sum(axis=2) * _SUMS
    return np.asarray(np.all(enough, axis=1))


class _Composition:
    """The rules by which functions that are made of convex and concave ones are so too."""

    def __init__(self, formulas: Formulas) -> None:
        self._nodes = ordered([formulas.value])
        self._depends = support(self._nodes)
        self._bounds = Enclosure(self._nodes, formulas.constants)

    def __call__(self, lower: FloatArray, upper: FloatArray) -> BoolArray:
        """Return on which boxes the loss is proven convex."""
        rows, _ = self._bounds(lower, upper)
        yes = np.ones(len(lower), dtype=bool)
        shapes: dict[int, _Shape] = {}
        bounds: dict[int, Interval] = {}
        for row, item in enumerate(self._nodes):
            bounds[item.serial] = Interval(rows.lower[row], rows.upper[row])
            if self._depends[item.serial]:
                inside = [(shapes[a.serial], bounds[a.serial]) for a in item.arguments]
                shapes[item.serial] = self._shape(item, inside) if inside else _Shape(yes, yes)
            else:
                shapes[item.serial] = _Shape(yes, yes)
        return shapes[self._nodes[-1].serial].convex

    def _shape(self, item: Expression, inside: list[tuple[_Shape, Interval]]) -> _Shape:
        operation = item.operation
        shape, bounds = inside[0]
        if operation in _COMBINED:
            return _COMBINED[operation](*(shape for shape, _ in inside))
        if operation in ("*", "/"):
            return self._product(item, *inside)
        if operation == "**":
            return _curved(_power(item.payload, bounds), shape)
        if operation in _CURVES:
            return _curved(_CURVES[operation](bounds), shape)
        return _nothing(shape)

    def _product(
        self, item: Expression, first: tuple[_Shape, Interval], second: tuple[_Shape, Interval]
    ) -> _Shape:
        (a, at), (b, bt) = first, second
        if not self._depends[item.arguments[0].serial]:
            return _scaled(b if item.operation == "*" else _curved(_reciprocal(bt), b), at)
        if not self._depends[item.arguments[1].serial]:
            return _scaled(a, bt)
        if item.operation == "*" and item.arguments[0] is item.arguments[1]:
            return _curved(_power(2.0, at), a)
        return _nothing(a)


class _Shape(NamedTuple):
    """On which boxes a function is convex, and on which concave."""

    convex: BoolArray
    concave: BoolArray


def _nothing(like: _Shape) -> _Shape:
    none = np.zeros_like(like.convex)
    return _Shape(none, none)


#: Operations that keep the shape of their arguments.
_COMBINED: dict[str, Callable[..., _Shape]] = {
    "+": lambda a, b: _Shape(a.convex & b.convex, a.concave & b.concave),
    "-": lambda a, b: _Shape(a.convex & b.concave, a.concave & b.convex),
    "negate": lambda a: _Shape(a.concave, a.convex),
    "maximum": lambda a, b: _Shape(a.convex & b.convex, _nothing(a).concave),
    "minimum": lambda a, b: _Shape(_nothing(a).convex, a.concave & b.concave),
}


class _Curve(NamedTuple):
    """On which boxes a function of one variable is convex, concave, increasing, decreasing."""

    convex: BoolArray
    concave: BoolArray
    increasing: BoolArray
    decreasing: BoolArray


def _curved(f: _Curve, inner: _Shape) -> _Shape:
    """Return the shape of f of another function."""
    straight = inner.convex & inner.concave
    up = straight | (f.increasing & inner.convex) | (f.decreasing & inner.concave)
    down = straight | (f.increasing & inner.concave) | (f.decreasing & inner.convex)
    return _Shape(f.convex & up, f.concave & down)


def _scaled(inner: _Shape, factor: Interval) -> _Shape:
    """Return the shape of a multiple, or of a quotient: the sign of the factor decides."""
    positive, negative = factor.lower >= 0.0, factor.upper <= 0.0
    return _Shape(
        (positive & inner.convex) | (negative & inner.concave),
        (positive & inner.concave) | (negative & inner.convex),
    )


def _reciprocal(x: Interval) -> _Curve:
    positive, negative = x.lower > 0.0, x.upper < 0.0
    return _Curve(positive, negative, np.zeros_like(positive), positive | negative)


def _power(exponent: float, x: Interval) -> _Curve:
    positive, negative = x.lower >= 0.0, x.upper <= 0.0
    if exponent % 2.0 == 0.0:
        return _Curve(~x.empty, x.empty, positive, negative)
    if not float(exponent).is_integer():  # above 1: a root is an operation of its own
        return _Curve(positive, x.empty, positive, x.empty)
    return _Curve(positive, negative, ~x.empty, x.empty)


def _ascending(x: Interval) -> _Curve:
    """Return the shape of tanh and of the logistic function."""
    return _Curve(x.upper <= 0.0, x.lower >= 0.0, ~x.empty, x.empty)


def _wave(name: str, x: Interval) -> _Curve:
    """Return the shape of a sine or cosine: its second derivative is minus itself."""
    height, other = BOUNDS[name](x), BOUNDS["cos" if name == "sin" else "sin"](x)
    rising, falling = other.lower >= 0.0, other.upper <= 0.0
    if name == "cos":  # its derivative is minus the sine
        rising, falling = falling, rising
    return _Curve(height.upper <= 0.0, height.lower >= 0.0, rising, falling)


_CURVES: dict[str, Callable[[Interval], _Curve]] = {
    "exp": lambda x: _Curve(~x.empty, x.empty, ~x.empty, x.empty),
    "log": lambda x: _Curve(x.empty, x.lower > 0.0, x.lower > 0.0, x.empty),
    "sqrt": lambda x: _Curve(x.empty, x.lower >= 0.0, x.lower >= 0.0, x.empty),
    "abs": lambda x: _Curve(~x.empty, x.empty, x.lower >= 0.0, x.upper <= 0.0),
    "tanh": _ascending,
    "sigmoid": _ascending,
    "sin": lambda x: _wave("sin", x),
    "cos": lambda x: _wave("cos", x),
}


def _dataset(found: _Found, bounds: FloatArray, samples: int, seed: int) -> xr.Dataset:
    convex = "proven" if found.proven else "refuted" if found.refuted else "undecided"
    nowhere = np.full(len(bounds), np.nan)
    position = nowhere if found.position is None else found.position
    direction = nowhere if found.direction is None else found.direction

    def entry(dims: tuple[str, ...], values: object, name: str) -> tuple[object, ...]:
        return dims, values, {"long_name": name, "units": "1"}

    return xr.Dataset(
        {
            "convex": entry((), np.array(convex), "convex in the box"),
            "smallest_eigenvalue": entry((), found.eigenvalue, "smallest eigenvalue found"),
            "position": entry(("coordinate",), position, "where it was found"),
            "direction": entry(("coordinate",), direction, "its unit eigenvector"),
            "curvature": entry((), found.curvature, "upper bound of the curvature along it"),
        },
        attrs={
            "landscape": repr(found.landscape),
            "box": repr(bounds.tolist()),
            "samples": samples,
            "seed": seed,
            "verified": int(found.formulas is not None and convex != "undecided"),
            "boxes_examined": found.examined,
            "boxes_undecided": found.undecided,
        },
    )
