"""Quadratics with any eigenvalues and any axes."""

from __future__ import annotations

import functools
import math
from numbers import Real
from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel, lane_function
from fastdescent.errors import InvalidValueError
from fastdescent.landscapes._base import CriticalPoint, Landscape
from fastdescent.landscapes._critical import points
from fastdescent.lanemath import fma, sincos
from fastdescent.parts import FloatArray, option
from fastdescent.streams import orthonormal

__all__ = ["Quadratic"]


def _is_finite(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _is_rotation(value: Any, dim: int) -> bool:
    if value is None or isinstance(value, bool):
        return value is None
    if isinstance(value, int):
        return 0 <= value < 2**64
    if isinstance(value, float):
        return dim == 2 and math.isfinite(value)
    try:
        matrix = np.array(value, dtype=float)
    except (TypeError, ValueError):
        return False
    # Orthogonal to what a matrix written with twelve digits can be.
    return matrix.shape == (dim, dim) and np.allclose(matrix.T @ matrix, np.eye(dim), atol=1e-10)


# Angles and seeds that compare equal (1.0 and 1) mean different rotations: typed.
@functools.lru_cache(maxsize=32, typed=True)
def _axes(dim: int, rotation: Any) -> FloatArray:
    """Return the axes as columns."""
    if isinstance(rotation, int):
        return orthonormal(rotation, dim).T
    if isinstance(rotation, float):
        s, c = sincos(rotation)
        return np.array([[c, -s], [s, c]])
    return np.array(rotation, dtype=float)


@functools.lru_cache(maxsize=32, typed=True)
def _matrix(eigenvalues: tuple[float, ...], rotation: Any) -> FloatArray:
    """Return A, symmetric to the bit."""
    axes = _axes(len(eigenvalues), rotation)
    matrix = np.zeros_like(axes)
    for value, axis in zip(eigenvalues, axes.T, strict=True):
        matrix += value * np.multiply.outer(axis, axis)
    return matrix


@lane_function
def _scale(theta: Rows, eigenvalues: Row, loss: Row, grad: Rows) -> None:
    """Multiply by a diagonal A."""
    loss[:] = 0.0
    for i in range(theta.shape[0]):
        x, g, a = theta[i], grad[i], eigenvalues[i]
        for lane in range(loss.shape[0]):
            slope = a * x[lane]
            g[lane] = slope
            loss[lane] += 0.5 * x[lane] * slope


@lane_function
def _add_four(theta: Rows, row: Row, j: int, g: Row) -> None:
    a, b, c, d = row[j], row[j + 1], row[j + 2], row[j + 3]
    w, x, y, z = theta[j], theta[j + 1], theta[j + 2], theta[j + 3]
    for lane in range(g.shape[0]):
        s = fma(b, x[lane], fma(a, w[lane], g[lane]))
        g[lane] = fma(d, z[lane], fma(c, y[lane], s))


@lane_function
def _add_eight(theta: Rows, row: Row, j: int, g: Row) -> None:
    a, b, c, d = row[j], row[j + 1], row[j + 2], row[j + 3]
    e, f, h, k = row[j + 4], row[j + 5], row[j + 6], row[j + 7]
    p, q, r, t = theta[j], theta[j + 1], theta[j + 2], theta[j + 3]
    w, x, y, z = theta[j + 4], theta[j + 5], theta[j + 6], theta[j + 7]
    for lane in range(g.shape[0]):
        s = fma(b, q[lane], fma(a, p[lane], g[lane]))
        s = fma(d, t[lane], fma(c, r[lane], s))
        s = fma(f, x[lane], fma(e, w[lane], s))
        g[lane] = fma(k, z[lane], fma(h, y[lane], s))


@lane_function
def _multiply(theta: Rows, row: Row, g: Row) -> None:
    """Multiply theta by one row of A, of at least two columns.

    Columns by eight, so that g is loaded and stored once for each eight; LLVM checks that g
    overlaps none of them, and for more than eight rows it would not try to.
    """
    dim, lanes = theta.shape
    a, b, x, y = row[0], row[1], theta[0], theta[1]
    for lane in range(lanes):
        g[lane] = fma(b, y[lane], a * x[lane])
    eights = 2 + (dim - 2) // 8 * 8
    fours = 2 + (dim - 2) // 4 * 4
    for j in range(2, eights, 8):
        _add_eight(theta, row, j, g)
    if fours > eights:
        _add_four(theta, row, eights, g)
    for j in range(fours, dim):
        a, x = row[j], theta[j]
        for lane in range(lanes):
            g[lane] = fma(a, x[lane], g[lane])


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Multiply g = A x, f = x . g / 2; data is A, or one row if A is diagonal."""
    if data.shape[0] == 1:
        _scale(theta, data[0], loss, grad)
        return
    loss[:] = 0.0
    for i in range(theta.shape[0]):
        x, g = theta[i], grad[i]
        _multiply(theta, data[i], g)
        for lane in range(loss.shape[0]):
            loss[lane] += 0.5 * x[lane] * g[lane]


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Constant."""
    dim, lanes = theta.shape
    full = data.shape[0] > 1
    for i in range(dim):
        for j in range(dim):
            a = data[i if full else 0, j] if full or i == j else 0.0
            for lane in range(lanes):
                hess[i, j, lane] = a


class Quadratic(Landscape):
    r"""A quadratic with any eigenvalues, along the coordinate axes or rotated.

    .. math:: f(x) = \frac12 \sum_{k=1}^{d} \lambda_k (q_k \cdot x)^2 = \frac12 x^T A x

    with q_k the columns of the rotation.  With negative eigenvalues it is a saddle or a
    maximum, with zeros it has flat directions.

    Parameters
    ----------
    eigenvalues : sequence of float
        Eigenvalues lambda_k of the Hessian A, one for each coordinate, dimensionless.
    rotation : None, float, int or matrix
        None: q_k are the coordinate axes.  A float: an angle in radians, for two dimensions.
        An integer from 0 to 2**64 - 1: the seed of a random rotation or reflection, uniform
        over all.  A matrix: its columns are the q_k; it has to be orthogonal.

    Raises
    ------
    InvalidValueError
        If `eigenvalues` is not a sequence of finite numbers, or `rotation` none of the above.

    References
    ----------
    Goh (2017), Why momentum really works, Distill; Stewart (1980), SIAM J. Numer. Anal. 17,
    403-409, on random rotations.

    Examples
    --------
    >>> Quadratic(eigenvalues=[1.0, 4.0]).value([2.0, 1.0])
    4.0
    >>> Quadratic(eigenvalues=[1.0, 4.0], rotation=np.pi / 4).hessian([0.0, 0.0])
    array([[ 2.5, -1.5],
           [-1.5,  2.5]])
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-5.0, 5.0)

    eigenvalues: Any = option(default=(1.0, 10.0))
    rotation: Any = option(default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        values = self.eigenvalues
        if not isinstance(values, tuple) or not values or not all(map(_is_finite, values)):
            raise InvalidValueError("Quadratic.eigenvalues", values, "a sequence of finite numbers")
        object.__setattr__(self, "eigenvalues", tuple(map(float, values)))
        if not _is_rotation(self.rotation, self.dim):
            allowed = "None, an angle in two dimensions, a seed >= 0, or an orthogonal matrix"
            raise InvalidValueError(
                "Quadratic.rotation", self.rotation, f"{allowed} of {self.dim} rows"
            )

    @property
    def dim(self) -> int:
        return len(self.eigenvalues)

    def kernel_data(self) -> FloatArray:
        if self.rotation is None:
            return np.array([self.eigenvalues])
        return _matrix(self.eigenvalues, self.rotation).copy()

    def formula(self, x: Any, m: Any) -> Any:
        axes = np.eye(self.dim) if self.rotation is None else _axes(self.dim, self.rotation)
        projections = [sum(float(q) * t for q, t in zip(axis, x, strict=True)) for axis in axes.T]
        return sum(a * t**2 for a, t in zip(self.eigenvalues, projections, strict=True)) / 2

    @property
    def minima(self) -> FloatArray | None:
        return np.zeros((1, self.dim)) if min(self.eigenvalues) > 0.0 else None

    @property
    def minimum(self) -> float | None:
        return 0.0 if min(self.eigenvalues) >= 0.0 else None

    def critical_points(self) -> list[CriticalPoint]:
        lowest, highest = min(self.eigenvalues), max(self.eigenvalues)
        if lowest > 0.0 or highest < 0.0:
            kind = "minimum" if lowest > 0.0 else "maximum"
        else:
            kind = "saddle" if lowest < 0.0 < highest else "degenerate"
        return points(kind, [[0.0] * self.dim])
