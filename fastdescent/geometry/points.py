"""What kind of place a point is: minimum, maximum, saddle, undecided by curvature, or none."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from fastdescent import memory
from fastdescent.errors import InvalidValueError
from fastdescent.geometry._dataset import variable
from fastdescent.geometry.certificates import value_bounds
from fastdescent.geometry.hessians import has_hessian, hessians, points_in_domain
from fastdescent.geometry.intervals import traced
from fastdescent.geometry.scales import Scales, checked_scale
from fastdescent.geometry.spectra import symmetric_eigen
from fastdescent.landscapes import Landscape
from fastdescent.parts import FloatArray, IntArray, is_number

__all__ = ["KINDS", "classify_points"]

KINDS = ("minimum", "maximum", "saddle", "degenerate", "regular")

# An eigenvalue that changes by more than this share within a Newton step does not decide.
_STEADY = 0.1
# Numbers in the Hessians of the points that are worked on at once.
_NUMBERS = 2**20


def classify_points(
    landscape: Landscape,
    x: ArrayLike,
    *,
    gradient: float = 1e-6,
    curvature: float = 1e-12,
    scale: Scales | None = None,
    outside: str = "raise",
) -> xr.Dataset:
    r"""Tell what kind of critical point each point is, if it is one.

    A point is critical where the gradient is negligible against the landscape's own scales
    (length l and height F, see `scales`), :math:`\|g\| \le \tau_g F / l`; all others are
    "regular".  At a critical point the signs of the Hessian's eigenvalues
    decide: all positive, a minimum; all negative, a maximum; both signs, a saddle whose index is
    the number of negative ones.  An eigenvalue decides nothing if it is negligible,

    .. math:: |\lambda_i| \le \tau_c \max(\max_j |\lambda_j|, F / l^2),

    if it changes by more than a tenth of itself within a Newton step :math:`-H^{-1} g` (then the
    Hessian belongs to where the point is, not to the critical point next to it), or if it is no
    larger than the error of a Hessian that is made of differences.  Where what is left does not
    settle the kind the point is "degenerate", such as the origin of x^3 - 3 x y^2 or of
    x^4 + y^4: curvature tells nothing there.

    Parameters
    ----------
    landscape : Landscape
        The loss.
    x : array_like, shape (n, dim) or (dim,)
        Points.
    gradient : float
        Threshold :math:`\tau_g`, > 0, dimensionless.  The default takes points that were printed
        with eight digits, and refuses where an optimizer that still moves happens to be.
    curvature : float
        Threshold :math:`\tau_c` in (0, 1), dimensionless: well above the round-off of eigenvalues,
        1e-15, and below the ratio of the worst scaled problems, 1e-10.
    scale : Scales, optional
        The landscape's scales; those of its domain by default.
    outside : {"raise", "keep"}
        Whether points outside the landscape's domain, where those scales may mean little, are an
        error or are classified, too.  Its faces belong to it; models have no domain.

    Returns
    -------
    xarray.Dataset
        With dimensions ``point``, ``coordinate`` and ``eigenvalue``: ``position``, ``value``,
        ``gradient_norm``, ``eigenvalues`` (ascending), ``kind``, ``index`` (number of negative
        eigenvalues that decide; -1 at regular points), ``scope`` and ``margin``.

        ``scope``: a minimum is "global" if it is as low as the known minimum, to rounding and
        to what Newton's method would still descend there, and "local" if
        something lower is known: that minimum, or one of the points.  A maximum is "local" if one
        of the points is higher.  Everything else is "unknown"; the attribute ``scope_from`` says
        what was known.  ``margin``: by how many decades the nearest threshold could move before
        the kind changes.  Points that are not finite are regular.  The attribute
        ``outside_domain`` counts those outside the domain; ``hessian`` says where Hessians are
        from, "analytic" or "differences".

    Raises
    ------
    InvalidValueError
        If points or thresholds are not allowed, or points lie outside the domain.
    MemoryLimitError
        If the result, or a Hessian, would not fit into memory.

    References
    ----------
    Nocedal and Wright (2006), Numerical Optimization, section 2.1, on second-order conditions.

    Examples
    --------
    >>> import fastdescent as fd
    >>> ds = classify_points(fd.landscapes.Saddle(), [[0.0, 0.0], [1.0, 0.0]])
    >>> ds.kind.values.tolist(), ds.index.values.tolist()
    (['saddle', 'regular'], [1, -1])
    >>> classify_points(fd.landscapes.MonkeySaddle(), [0.0, 0.0]).kind.values.tolist()
    ['degenerate']
    """
    points, away = points_in_domain(landscape, x, outside)
    if not is_number(gradient) or not 0.0 < gradient < np.inf:
        raise InvalidValueError("gradient", gradient, "a finite number > 0")
    if not is_number(curvature) or not 0.0 < curvature < 1.0:
        raise InvalidValueError("curvature", curvature, "a number in (0, 1)")
    unit = checked_scale(landscape, scale)
    dim = landscape.dim
    size = max(1, _NUMBERS // dim**2)
    # Beside what is returned: Hessians, eigenvectors and LAPACK's room.
    needed = 8 * (len(points) * (3 * dim + 8) + 7 * min(size, len(points)) * dim**2)
    memory.require(needed, f"the kinds of {len(points):,} points", "take fewer at a time")
    blocks = [
        _measured(landscape, points[at : at + size], unit, gradient, curvature)
        for at in range(0, max(len(points), 1), size)
    ]
    found = _Measured(*(np.concatenate(parts) for parts in zip(*blocks, strict=True)))
    kind, index = _kinds(found)
    scope, known = _scopes(landscape, points, kind, found, unit)
    pairs = "point eigenvalue"
    variables = {
        "position": variable("point coordinate", points.copy(), "position"),
        "value": variable("point", found.value, "loss"),
        "gradient_norm": variable("point", found.norm, "Euclidean norm of the gradient"),
        "eigenvalues": variable(pairs, found.eigenvalues, "Hessian's eigenvalues, ascending"),
        "kind": variable("point", kind, "kind of critical point; regular where it is none"),
        "index": variable("point", index, "number of negative eigenvalues that decide; -1 = none"),
        "scope": variable("point", scope, "whether something lower (for maxima, higher) is known"),
        "margin": variable("point", found.margin, "decades to the nearest threshold"),
    }
    about = {
        "landscape": repr(landscape),
        "hessian": "analytic" if has_hessian(landscape) else "differences",
        "outside_domain": away,
        "scope_from": known,
        "gradient_threshold": gradient,
        "curvature_threshold": curvature,
        "length": unit.length,
        "height": unit.loss,
    }
    return xr.Dataset(variables, attrs=about)


class _Measured(NamedTuple):
    """What decides about points: `decides` says which eigenvalues do."""

    value: FloatArray
    norm: FloatArray
    eigenvalues: FloatArray
    decides: NDArray[np.bool_]
    critical: NDArray[np.bool_]
    margin: FloatArray


def _measured(
    landscape: Landscape, points: FloatArray, unit: Scales, gradient: float, curvature: float
) -> _Measured:
    """Look at one block of points."""
    value, grad = landscape.value(points), landscape.gradient(points)
    with np.errstate(over="ignore"):
        norm = np.linalg.norm(grad, axis=1)
    threshold = gradient * unit.gradient
    critical = (norm <= threshold) & np.isfinite(value)
    hess = hessians(landscape, points)
    eigenvalues, vectors = symmetric_eigen(hess.matrices)
    steady = np.ones(points.shape, dtype=bool)
    at = np.flatnonzero(critical & np.isfinite(eigenvalues).all(axis=1))
    if at.size:
        steady[at] = _steady(
            landscape, points[at], grad[at], hess.matrices[at], eigenvalues[at], vectors[at]
        )
    size = np.maximum(np.abs(eigenvalues).max(axis=1), unit.curvature)
    share = np.abs(eigenvalues) / np.where(size > 0.0, size, 1.0)[:, None]
    decides = (share > curvature) & steady & (np.abs(eigenvalues) > hess.error[:, None])
    margin = _margins(norm, threshold, share, curvature)
    return _Measured(value, norm, eigenvalues, decides, critical, margin)


def _steady(
    landscape: Landscape,
    points: FloatArray,
    grad: FloatArray,
    hess: FloatArray,
    eigenvalues: FloatArray,
    vectors: FloatArray,
) -> NDArray[np.bool_]:
    """Return which eigenvalues stay what they are within a Newton step."""
    along = np.einsum("nji,nj->ni", vectors, grad)
    # A step along a direction without any curvature has no length of its own.
    step = np.divide(along, eigenvalues, out=np.zeros_like(along), where=eigenvalues != 0.0)
    there = hessians(landscape, points - np.einsum("nij,nj->ni", vectors, step)).matrices
    change = np.einsum("nji,njk,nki->ni", vectors, there - hess, vectors)
    return np.asarray(~(np.abs(change) > _STEADY * np.abs(eigenvalues)))


def _kinds(found: _Measured) -> tuple[NDArray[np.str_], IntArray]:
    up, down = found.decides & (found.eigenvalues > 0.0), found.decides & (found.eigenvalues < 0.0)
    kind = np.full(len(found.critical), "degenerate", dtype="<U10")
    kind[up.all(axis=1)], kind[down.all(axis=1)] = "minimum", "maximum"
    kind[up.any(axis=1) & down.any(axis=1)] = "saddle"
    kind[~found.critical] = "regular"
    return kind, np.where(found.critical, down.sum(axis=1), -1)


def _scopes(
    landscape: Landscape,
    points: FloatArray,
    kind: NDArray[np.str_],
    found: _Measured,
    unit: Scales,
) -> tuple[NDArray[np.str_], str]:
    """Return what is known about each point's rank among all, and from what."""
    value = found.value
    scope = np.full(len(kind), "unknown", dtype="<U7")
    finite = value[np.isfinite(value)]
    if not finite.size:
        return scope, "no finite value"
    known = landscape.minimum
    lowest = float(finite.min()) if known is None else min(known, float(finite.min()))
    minimum, maximum = kind == "minimum", kind == "maximum"
    usual = 1e-10 * max(unit.loss, abs(lowest))
    high = minimum & (value > lowest + usual)
    near = np.flatnonzero(minimum & (value > lowest) & ~high)
    high[near] = _higher(landscape, points[near], found, near, lowest)
    scope[high] = "local"
    scope[maximum & (value < finite.max() - usual)] = "local"
    if known is None:
        return scope, f"the lowest and the highest value of {len(value)} points"
    scope[minimum & ~high & (value <= known + usual)] = "global"
    return scope, f"the known minimum {known!r}, and the highest value of {len(value)} points"


def _higher(
    landscape: Landscape, points: FloatArray, found: _Measured, rows: IntArray, lowest: float
) -> NDArray[np.bool_]:
    """Return which minima are surely higher than a value, however large the losses around are.

    Neither the way that is left to the bottom, by Newton's decrement, nor the digits of a printed
    minimum, nor rounding as the formula's bounds tell it, explain the difference.
    """
    rest = found.value[rows] - lowest - 1e-10 * abs(lowest)
    rest -= found.norm[rows] ** 2 / found.eigenvalues[rows, 0]
    open_ = np.flatnonzero(rest > 0.0)
    higher = np.zeros(len(rows), dtype=bool)
    formulas = traced(landscape) if open_.size else None
    if formulas is not None:
        reach = 4.0 * np.finfo(float).eps * np.abs(points[open_])
        bounds = value_bounds(formulas, points[open_] - reach, points[open_] + reach)
        higher[open_] = rest[open_] > 4.0 * (bounds.upper - bounds.lower)
    return higher


def _margins(norm: FloatArray, threshold: float, share: FloatArray, curvature: float) -> FloatArray:
    """Return decades between what was measured and the nearest threshold."""
    with np.errstate(divide="ignore", invalid="ignore"):
        of_gradient = np.abs(np.log10(norm / threshold))
        of_curvature = np.abs(np.log10(share / curvature)).min(axis=1)
    return np.where(norm <= threshold, np.fmin(of_gradient, of_curvature), of_gradient)
