r"""Is a landscape what it says?  Loss, gradient and Hessian against differences.

The gradient along a direction u is compared with central differences

.. math:: \frac{f(x + h u) - f(x - h u)}{2 h}

at random points of the domain, for several h.  A comparison counts as wrong only if it is wrong
for all of them, by more than their errors of rounding explain; where the loss is not finite, or
so flat that rounding hides the slope, nothing is compared.  So corners, jumps and places where
the loss is not defined do no harm: random points do not hit them.

Examples
--------
>>> import fastdescent as fd
>>> report = check_landscape(fd.landscapes.Himmelblau())
>>> report.ok
True
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdescent.errors import InvalidValueError
from fastdescent.landscapes import Landscape
from fastdescent.parts import FloatArray, is_integer

__all__ = [
    "Finding",
    "Report",
    "check_before_use",
    "check_landscape",
    "check_once",
    "require_defined",
]

_STEPS = (1e-3, 1e-5, 1e-7)  # of the coordinates' own scales
_TOLERANCE = 1e-4  # relative: what h = 1e-3 leaves of a well-behaved third derivative
_ROUNDING = 64.0 * np.finfo(float).eps  # of values: a loss is a few dozen operations
_SHARE = 0.01  # of comparisons may be wrong: points that lie on a corner after all
_MOST_COORDINATES = 64  # compared one by one; beyond, along random directions


class Finding(NamedTuple):
    """One line of a report."""

    what: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class Report:
    """What `check_landscape` found; prints as a table.

    Attributes
    ----------
    landscape : str
        The landscape that was checked.
    findings : tuple of Finding
        What was looked at, whether it is right, and how it was found out.

    Examples
    --------
    >>> print(Report("Bowl()", (Finding("gradient", True, "largest relative error 1e-10"),)))
    Bowl()
    gradient  right  largest relative error 1e-10
    """

    landscape: str
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing wrong was found."""
        return all(finding.ok for finding in self.findings)

    def __str__(self) -> str:
        width = max(len(finding.what) for finding in self.findings)
        lines = [
            f"{finding.what:<{width}}  {'right' if finding.ok else 'WRONG'}  {finding.detail}"
            for finding in self.findings
        ]
        return "\n".join([self.landscape, *lines])

    __repr__ = __str__


def check_landscape(landscape: Landscape, points: int = 200, seed: int = 0) -> Report:
    """Check a landscape at random points of its domain.

    Parameters
    ----------
    landscape : Landscape
        Any landscape.  Of a swept one, the first and the last values are checked.
    points : int
        Number of points, at least 1.
    seed : int
        What the points follow from.

    Returns
    -------
    Report
        ``ok`` says whether all is well; printed, it is a small table.

    Raises
    ------
    InvalidValueError
        If it is no landscape, or `points` is not a positive integer.

    Examples
    --------
    >>> import fastdescent as fd
    >>> print(check_landscape(fd.landscapes.Ravine()))  # doctest: +ELLIPSIS
    Ravine()
    domain      right  2 coordinates
    loss        right  defined at 200 of 200 points
    divergence  right  the loss is not finite where theta is not
    gradient    right  largest relative error ...
    hessian     right  largest relative error ...
    minima      right  1 with the value 0
    """
    if not isinstance(landscape, Landscape):
        raise InvalidValueError("check_landscape", landscape, "a landscape")
    if not is_integer(points) or points < 1:
        raise InvalidValueError("check_landscape, points", points, "an integer of at least 1")
    corners = _corners(landscape)
    found = [_findings(corner, int(points), seed) for corner in corners]
    if len(corners) > 1:
        names = [
            ", ".join(f"{k} = {one.base_values()[k]:g}" for k in landscape.axes())
            for one in corners
        ]
        found = [
            [line._replace(what=f"{line.what} ({name})") for line in lines]
            for name, lines in zip(names, found, strict=True)
        ]
    return Report(repr(landscape), tuple(itertools.chain.from_iterable(found)))


def _corners(landscape: Landscape) -> list[Landscape]:
    """Return the landscape at the first and at the last values of its sweeps."""
    axes = landscape.axes()
    if not axes:
        return [landscape]
    return [landscape.at(**{name: values[end] for name, values in axes.items()}) for end in (0, -1)]


def _findings(landscape: Landscape, points: int, seed: int) -> list[Finding]:
    domain = landscape.domain
    inside = domain.shape == (landscape.dim, 2) and bool(np.isfinite(domain).all())
    if not inside or not (domain[:, 0] < domain[:, 1]).all():
        return [Finding("domain", False, "not a lower and a larger upper bound per coordinate")]
    x = _random_points(landscape, points, seed)
    loss = landscape.value(x)
    defined = int(np.isfinite(loss).sum())
    found = [
        Finding("domain", True, f"{landscape.dim} coordinates"),
        Finding("loss", defined > 0, f"defined at {defined} of {points} points"),
        _divergence(landscape, x[0]),
    ]
    u = _directions(landscape, x, seed)
    found.append(_verdict("gradient", _slope_errors(landscape, x, u)))
    if landscape.hessian_kernel is None and type(landscape).hessian is Landscape.hessian:
        found.append(Finding("hessian", True, "not given"))
    else:
        found.append(_verdict("hessian", _curvature_errors(landscape, x, u)))
    return [*found, *_minima(landscape, x, loss)]


def _random_points(landscape: Landscape, count: int, seed: int) -> FloatArray:
    low, high = landscape.domain.T
    return np.random.default_rng(seed).uniform(low, high, (count, landscape.dim))


def _directions(
    landscape: Landscape, x: FloatArray, seed: int, most: int = _MOST_COORDINATES
) -> FloatArray:
    """Return vectors to step along, shape (points, directions, dim): coordinates, or random."""
    low, high = landscape.domain.T
    scale = np.minimum(high - low, np.maximum(np.abs(x), 1.0))[:, None, :]
    dim = landscape.dim
    if dim <= most:
        return np.asarray(np.eye(dim) * scale)
    signs = np.random.default_rng(seed + 1).choice([-1.0, 1.0], (len(x), most, dim))
    return np.asarray(signs * scale)


class _Errors(NamedTuple):
    """Comparisons of slopes, (points, directions); NaN where nothing could be compared."""

    excess: FloatArray  # error over what is allowed: above 1 it is wrong
    relative: FloatArray
    given: FloatArray
    measured: FloatArray


def _slope_errors(landscape: Landscape, x: FloatArray, u: FloatArray) -> _Errors:
    values, slopes = _both(landscape, x[:, None, :])
    ends = [_both(landscape, x[:, None, :] + s * h * u)[0] for h in _STEPS for s in (1, -1)]
    with np.errstate(all="ignore"):
        parts = np.where(u != 0.0, slopes * u, 0.0)
        given, size = parts.sum(axis=-1), _norm(parts)
        pairs = [
            ((ends[2 * k] - ends[2 * k + 1]) / (2.0 * h), np.abs(ends[2 * k]) / h)
            for k, h in enumerate(_STEPS)
        ]
        return _compared(given, size, np.isfinite(values), pairs)


def _curvature_errors(landscape: Landscape, x: FloatArray, u: FloatArray) -> _Errors:
    """Compare H u with differences of gradients, all along one more direction v."""
    v = np.random.default_rng(7).choice([-1.0, 1.0], u.shape) * np.abs(u).max(axis=1, keepdims=True)
    values, _ = _both(landscape, x[:, None, :])
    hess = landscape.hessian(x)
    ends = [_both(landscape, x[:, None, :] + s * h * u)[1] for h in _STEPS for s in (1, -1)]
    with np.errstate(all="ignore"):
        product = np.einsum("pij,pdj->pdi", hess, u) * v
        given, size = product.sum(axis=-1), _norm(product)
        pairs = []
        for k, h in enumerate(_STEPS):
            difference = ((ends[2 * k] - ends[2 * k + 1]) * v).sum(axis=-1) / (2.0 * h)
            pairs.append((difference, np.abs(ends[2 * k] * v).max(axis=-1) / h))
        return _compared(given, size, np.isfinite(values), pairs)


def _norm(vectors: FloatArray) -> FloatArray:
    """Return Euclidean norms, without overflow."""
    largest = np.abs(vectors).max(axis=-1, keepdims=True)
    scaled = vectors / np.where(largest > 0.0, largest, 1.0)
    return np.asarray(largest[..., 0] * np.sqrt((scaled**2).sum(axis=-1)))


def _both(landscape: Landscape, points: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return loss and gradient at points of shape (..., dim)."""
    flat = np.ascontiguousarray(points.reshape(-1, landscape.dim))
    return (
        np.asarray(landscape.value(flat)).reshape(points.shape[:-1]),
        landscape.gradient(flat).reshape(points.shape),
    )


def _compared(
    given: FloatArray,
    size: FloatArray,
    defined: NDArray[np.bool_],
    pairs: list[tuple[FloatArray, FloatArray]],
) -> _Errors:
    """Compare given slopes with measured ones; each of `pairs` has its size of rounding."""
    given, size = np.broadcast_arrays(given, size)
    excess = np.full(given.shape, np.nan)
    relative, measured = excess.copy(), excess.copy()
    usual = np.abs(size[np.isfinite(size)])
    floor = 1e-3 * float(np.median(usual)) if usual.size else 0.0
    for difference, rounding in pairs:
        scale = np.maximum(np.fmax(np.abs(difference), size), floor)
        blur = _ROUNDING * rounding
        error = np.abs(difference - given)
        allowed = _TOLERANCE * scale + blur
        ratio = np.where(np.isfinite(given), error / np.where(allowed > 0.0, allowed, 1.0), np.inf)
        usable = np.isfinite(difference) & (blur <= 1e-2 * scale) & defined
        better = usable & ~(ratio >= excess)
        excess = np.where(better, ratio, excess)
        relative = np.where(better, error / np.where(scale > 0.0, scale, 1.0), relative)
        measured = np.where(better, difference, measured)
    return _Errors(excess, relative, given, measured)


def _verdict(what: str, errors: _Errors) -> Finding:
    compared = np.isfinite(errors.relative) | np.isinf(errors.excess)
    count = int(compared.sum())
    if count == 0:
        return Finding(what, True, "could not be compared: nothing but rounding")
    wrong = int((errors.excess > 1.0).sum())
    if wrong > _SHARE * count:
        place = np.unravel_index(int(np.nanargmax(errors.excess)), errors.excess.shape)
        return Finding(
            what,
            False,
            f"{wrong} of {count} slopes differ: {errors.given[place]:.6g}, "
            f"by differences {errors.measured[place]:.6g}",
        )
    right = errors.relative[errors.excess <= 1.0]
    return Finding(what, True, f"largest relative error {right.max():.0e} of {count} slopes")


def _divergence(landscape: Landscape, point: FloatArray) -> Finding:
    rows = [
        np.where(np.arange(landscape.dim) == i, value, point)
        for i in range(min(landscape.dim, _MOST_COORDINATES))
        for value in (np.inf, -np.inf, np.nan)
    ]
    hidden = np.isfinite(landscape.value(np.array(rows)))
    if hidden.any():
        # Where theta is NaN nothing may hide it; a function that levels off, such as tanh, has
        # a value at infinity, and there the engine looks at theta itself.
        worst = np.isnan(rows).any(axis=1) & hidden
        theta = rows[int(np.argmax(worst if worst.any() else hidden))]
        text = f"the loss is finite at {_short(theta)}"
        late = "" if worst.any() else ": noticed at every 64th step and at the end"
        return Finding("divergence", not worst.any(), text + late)
    return Finding("divergence", True, "the loss is not finite where theta is not")


def _minima(landscape: Landscape, x: FloatArray, loss: FloatArray) -> list[Finding]:
    minima, minimum = landscape.minima, landscape.minimum
    if minimum is None:
        return [Finding("minima", True, "not known")]
    slack = 1e-8 * (1.0 + abs(minimum))
    below = loss < minimum - slack
    if below.any():
        place = int(np.nanargmin(loss))
        detail = f"the loss is {loss[place]:.6g} at {_short(x[place])}, below {minimum:.6g}"
        return [Finding("minima", False, detail)]
    if minima is None:
        return [Finding("minima", True, f"value {minimum:g}, positions not known")]
    values, slopes = landscape.value(minima), landscape.gradient(minima)
    low, high = landscape.domain.T
    edge = (np.isclose(minima, low) | np.isclose(minima, high)).any(axis=1)
    with np.errstate(all="ignore"):
        usual = float(np.nanmedian(_norm(landscape.gradient(x))))
        steep = (_norm(slopes) > 1e-5 * usual + 1e-8) & ~edge
    if not (np.abs(values - minimum) <= slack).all():
        return [Finding("minima", False, f"values {_short(values)}, said to be {minimum:.6g}")]
    if steep.any():
        place = int(np.flatnonzero(steep)[0])
        detail = f"the gradient at {_short(minima[place])} is {_short(slopes[place])}"
        return [Finding("minima", False, detail)]
    return [Finding("minima", True, f"{len(minima)} with the value {minimum:g}")]


def _short(values: Any) -> str:
    numbers = [f"{value:.4g}" for value in np.atleast_1d(values)[:4]]
    return f"[{', '.join(numbers)}{', ...' if np.size(values) > 4 else ''}]"


_CHECKED: set[Any] = set()
_FEW_POINTS, _FEW_DIRECTIONS = 8, 2


def check_before_use(landscape: Landscape) -> None:
    """Compare a landscape's gradient with differences, unless it is one of the package's own.

    Raises
    ------
    InvalidValueError
        If the gradient is wrong.
    """
    if landscape.checked and not landscape.built_in:
        check_once(landscape)


def check_once(landscape: Landscape) -> None:
    """Compare a landscape's gradient with differences, once in this process.

    It costs about a millisecond: 8 points, at most 2 directions.  Landscapes of one class with
    the same kernel and dimension are taken for one.

    Parameters
    ----------
    landscape : Landscape
        A user's landscape.

    Raises
    ------
    InvalidValueError
        If the gradient is not that of the loss at more than one of the points.

    Examples
    --------
    >>> import fastdescent as fd
    >>> check_once(fd.landscapes.Beale())
    """
    key = (type(landscape), landscape.kernel, landscape.dim)
    if key in _CHECKED:
        return
    domain = landscape.domain
    if np.isfinite(domain).all() and (domain[:, 0] < domain[:, 1]).all():
        _require_slopes(_corners(landscape)[0])
    _CHECKED.add(key)


def _require_slopes(landscape: Landscape) -> None:
    x = _random_points(landscape, _FEW_POINTS, 0)
    u = _directions(landscape, x, 0, _FEW_DIRECTIONS)
    errors = _slope_errors(landscape, x, u)
    wrong = errors.excess > 1.0
    if np.count_nonzero(wrong.any(axis=1)) < 2:
        return
    # Look again along each coordinate, to say which component it is.
    u = _directions(landscape, x, 0)
    errors = _slope_errors(landscape, x, u)
    worst = np.unravel_index(int(np.argmax(np.nan_to_num(errors.excess))), errors.excess.shape)
    step = float(np.linalg.norm(u[worst])) if landscape.dim <= _MOST_COORDINATES else 1.0
    given, measured = errors.given[worst] / step, errors.measured[worst] / step
    which = f"[{worst[1]}]" if landscape.dim <= _MOST_COORDINATES else " along a direction"
    raise InvalidValueError(
        f"{landscape.name}: gradient{which} at {_short(x[worst[0]])}",
        float(f"{given:.6g}"),
        f"the slope of the loss there, {measured:.6g} by differences",
        "mend the kernel (fd.check_landscape tells more), or say checked = False in the class",
    )


def require_defined(landscape: Landscape, starts: ArrayLike) -> None:
    """Refuse starts at none of which the loss is defined.

    A loss that is not defined at some starts is data: those trajectories have diverged at
    step 0.  If it is defined nowhere, as log(x[0]) for starts with x[0] < 0, it is a mistake.

    Parameters
    ----------
    landscape : Landscape
        The landscape; of a swept one, any of the values will do.
    starts : array_like, shape (count, dim)
        The start points.

    Raises
    ------
    InvalidValueError
        If the loss is finite at no start.

    Examples
    --------
    >>> import fastdescent as fd
    >>> require_defined(fd.landscapes.Beale(), [[1.0, 1.0]])
    """
    points = np.atleast_2d(np.asarray(starts, dtype=float))
    corners = _corners(landscape)
    if any(bool(np.isfinite(corner.value(points)).any()) for corner in corners):
        return
    raise InvalidValueError(
        f"starts of {landscape!r}",
        f"loss {corners[0].value(points)[0]} at {_short(points[0])}",
        "starts where the loss is a finite number (there is none)",
        "start inside the domain of its logarithms, roots and divisions",
    )
