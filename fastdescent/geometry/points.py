"""What kind of place a point is: minimum, maximum, saddle, undecided by curvature, or none."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from fastdescent.errors import InvalidValueError
from fastdescent.geometry.hessians import checked_points, hessians
from fastdescent.geometry.scales import Scales, checked_scale
from fastdescent.geometry.spectra import symmetric_eigen
from fastdescent.landscapes import Landscape
from fastdescent.parts import FloatArray, IntArray, is_number
from fastdescent.starts import outside

__all__ = ["KINDS", "classify_points"]

KINDS = ("minimum", "maximum", "saddle", "degenerate", "regular")

# An eigenvalue that changes by more than this share within a Newton step does not decide.
_STEADY = 0.1


def classify_points(
    landscape: Landscape,
    x: ArrayLike,
    *,
    gradient: float = 1e-6,
    curvature: float = 1e-12,
    scale: Scales | None = None,
) -> xr.Dataset:
    r"""Tell what kind of critical point each point is, if it is one.

    A point is critical where the gradient is negligible against the landscape's own scales
    (length l and height F, see `scales`), :math:`\|g\| \le \tau_g F / l`; all others are
    "regular".  At a critical point the signs of the Hessian's eigenvalues
    decide: all positive, a minimum; all negative, a maximum; both signs, a saddle whose index is
    the number of negative ones.  An eigenvalue decides nothing if it is negligible,

    .. math:: |\lambda_i| \le \tau_c \max(\max_j |\lambda_j|, F / l^2),

    or if it changes by more than a tenth of itself within a Newton step
    :math:`-H^{-1} g`: then the Hessian belongs to where the point is, not to the critical point
    next to it.  Where what is left does not settle the kind the point is "degenerate", such as
    the origin of x^3 - 3 x y^2 or of x^4 + y^4: curvature tells nothing there.

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
        Threshold :math:`\tau_c`, > 0, dimensionless: well above the round-off of eigenvalues,
        1e-15, and below the ratio of the worst scaled problems, 1e-10.
    scale : Scales, optional
        The landscape's scales; those of its domain by default.

    Returns
    -------
    xarray.Dataset
        With dimensions ``point``, ``coordinate`` and ``eigenvalue``: ``position``, ``value``,
        ``gradient_norm``, ``eigenvalues`` (ascending), ``kind``, ``index`` (number of negative
        eigenvalues that decide; -1 at regular points), ``scope`` and ``margin``.

        ``scope``: a minimum is "global" if it is as low as the known minimum, and "local" if
        something lower is known: that minimum, or one of the points.  A maximum is "local" if one
        of the points is higher.  Everything else is "unknown"; the attribute ``scope_from`` says
        what was known.  ``margin``: by how many decades the nearest threshold could move before
        the kind changes.  The attribute ``outside_domain`` counts points outside the landscape's
        domain, which is a habit, not a fence.

    Raises
    ------
    InvalidValueError
        If points or thresholds are not allowed.

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
    points = checked_points(landscape, x)
    for name, value in (("gradient", gradient), ("curvature", curvature)):
        if not is_number(value) or not 0.0 < value < np.inf:
            raise InvalidValueError(name, value, "a finite number > 0")
    unit = checked_scale(landscape, scale)
    value, grad = landscape.value(points), landscape.gradient(points)
    with np.errstate(over="ignore"):
        norm = np.linalg.norm(grad, axis=1)
    critical = (norm <= gradient * unit.gradient) & np.isfinite(value)
    hess = hessians(landscape, points).matrices
    spectrum = _Spectrum.of(landscape, points, grad, hess, critical)
    size = np.maximum(np.abs(spectrum.eigenvalues).max(axis=1), unit.curvature)
    share = np.abs(spectrum.eigenvalues) / np.where(size > 0.0, size, 1.0)[:, None]
    decides = (share > curvature) & spectrum.steady
    kind, index = _kinds(spectrum.eigenvalues, decides, critical)
    scope, known = _scopes(landscape, kind, value, unit)
    variables = {
        "position": (("point", "coordinate"), points, "position"),
        "value": ("point", value, "loss"),
        "gradient_norm": ("point", norm, "Euclidean norm of the gradient"),
        "eigenvalues": (("point", "eigenvalue"), spectrum.eigenvalues, "Hessian's eigenvalues"),
        "kind": ("point", kind, "kind of critical point; regular where it is none"),
        "index": ("point", index, "number of negative eigenvalues that decide; -1 = no matter"),
        "scope": ("point", scope, "whether something lower (for maxima, higher) is known"),
        "margin": (
            "point",
            _margins(norm, gradient * unit.gradient, share, curvature),
            "decades by which a threshold could move before the kind changes",
        ),
    }
    return xr.Dataset(
        {name: (dims, data, {"long_name": said}) for name, (dims, data, said) in variables.items()},
        attrs={
            "landscape": repr(landscape),
            "outside_domain": outside(points, landscape),
            "scope_from": known,
            "gradient_threshold": gradient,
            "curvature_threshold": curvature,
            "length": unit.length,
            "height": unit.loss,
        },
    )


class _Spectrum(NamedTuple):
    """Eigenvalues, ascending, and which of them stay what they are within a Newton step."""

    eigenvalues: FloatArray
    steady: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        landscape: Landscape,
        points: FloatArray,
        grad: FloatArray,
        hess: FloatArray,
        critical: NDArray[np.bool_],
    ) -> _Spectrum:
        """Decompose Hessians; steadiness is looked at where the points are critical."""
        values, vectors = symmetric_eigen(hess)
        steady = np.ones(points.shape, dtype=bool)
        at = np.flatnonzero(critical & np.isfinite(values).all(axis=1))
        if at.size:
            lam, v = values[at], vectors[at]
            along = np.einsum("nji,nj->ni", v, grad[at])
            # A step along a direction without any curvature has no length of its own.
            step = np.divide(along, lam, out=np.zeros_like(along), where=lam != 0.0)
            there = hessians(landscape, points[at] - np.einsum("nij,nj->ni", v, step)).matrices
            change = np.einsum("nji,njk,nki->ni", v, there - hess[at], v)
            steady[at] = ~(np.abs(change) > _STEADY * np.abs(lam))
        return cls(values, steady)


def _kinds(
    eigenvalues: FloatArray, decides: NDArray[np.bool_], critical: NDArray[np.bool_]
) -> tuple[NDArray[np.str_], IntArray]:
    up, down = decides & (eigenvalues > 0.0), decides & (eigenvalues < 0.0)
    kind = np.full(len(critical), "degenerate", dtype="<U10")
    kind[up.all(axis=1)], kind[down.all(axis=1)] = "minimum", "maximum"
    kind[up.any(axis=1) & down.any(axis=1)] = "saddle"
    kind[~critical] = "regular"
    return kind, np.where(critical, down.sum(axis=1), -1)


def _scopes(
    landscape: Landscape, kind: NDArray[np.str_], value: FloatArray, unit: Scales
) -> tuple[NDArray[np.str_], str]:
    """Return what is known about each point's rank among all, and from what."""
    scope = np.full(len(kind), "unknown", dtype="<U7")
    finite = value[np.isfinite(value)]
    if not finite.size:
        return scope, "no finite value"
    known = landscape.minimum
    lowest = float(finite.min()) if known is None else min(known, float(finite.min()))
    # Values of one minimum differ by the roundings of a sum.
    slack = 1e-10 * max(unit.loss, abs(lowest))
    minimum, maximum = kind == "minimum", kind == "maximum"
    scope[minimum & (value > lowest + slack)] = "local"
    scope[maximum & (value < finite.max() - slack)] = "local"
    if known is None:
        return scope, f"the lowest and the highest value of {len(value)} points"
    scope[minimum & (value <= known + slack)] = "global"
    return scope, f"the known minimum {known!r}, and the highest value of {len(value)} points"


def _margins(norm: FloatArray, threshold: float, share: FloatArray, curvature: float) -> FloatArray:
    """Return decades between what was measured and the nearest threshold."""
    with np.errstate(divide="ignore", invalid="ignore"):
        of_gradient = np.abs(np.log10(norm / threshold))
        of_curvature = np.abs(np.log10(share / curvature)).min(axis=1)
    return np.where(norm <= threshold, np.fmin(of_gradient, of_curvature), of_gradient)
