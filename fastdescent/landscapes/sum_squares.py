"""The sum of squares with growing weights."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import Landscape
from fastdescent.parts import FloatArray, Range, option

__all__ = ["SumSquares"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Row i has the constant curvature 2 i."""
    loss[:] = 0.0
    for i in range(theta.shape[0]):
        x, g, weight = theta[i], grad[i], i + 1.0
        for lane in range(loss.shape[0]):
            loss[lane] += weight * x[lane] * x[lane]
            g[lane] = 2.0 * weight * x[lane]


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Constant and diagonal: 2, 4, ..., 2 d."""
    hess[:] = 0.0
    for i in range(theta.shape[0]):
        for lane in range(theta.shape[1]):
            hess[i, i, lane] = 2.0 * (i + 1.0)


class SumSquares(Landscape):
    r"""A convex quadratic whose curvatures grow linearly.

    .. math:: f(x) = \sum_{i=1}^{d} i x_i^2

    The eigenvalues are 2, 4, ..., 2 d: the condition number is the dimension.

    Parameters
    ----------
    dim : int
        Number of coordinates, at least 1.

    References
    ----------
    Molga and Smutnicki (2005), Test functions for optimization needs, section 2.2.

    Examples
    --------
    >>> SumSquares(dim=3).value([1.0, 1.0, 1.0])
    6.0
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-10.0, 10.0)

    dim: int = option(default=2, integer=Range(1))

    def formula(self, x: Any, m: Any) -> Any:
        return sum((i + 1) * x[i] ** 2 for i in range(self.dim))

    @property
    def minima(self) -> FloatArray:
        return np.zeros((1, self.dim))

    @property
    def minimum(self) -> float:
        return 0.0
