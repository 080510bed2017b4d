"""Booth's function: a quadratic bowl with correlated axes."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import Landscape
from fastdescent.parts import FloatArray

__all__ = ["Booth"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Two linear residuals."""
    first, second, gx, gy = theta[0], theta[1], grad[0], grad[1]
    for lane in range(loss.shape[0]):
        x, y = first[lane], second[lane]
        a = x + 2.0 * y - 7.0
        b = 2.0 * x + y - 5.0
        loss[lane] = a * a + b * b
        gx[lane] = 2.0 * a + 4.0 * b
        gy[lane] = 4.0 * a + 2.0 * b


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Constant, eigenvalues 2 and 18."""
    for lane in range(theta.shape[1]):
        hess[0, 0, lane] = hess[1, 1, lane] = 10.0
        hess[0, 1, lane] = hess[1, 0, lane] = 8.0


class Booth(Landscape):
    r"""Booth's function: a convex quadratic whose axes lie along the diagonals.

    .. math:: f(x, y) = (x + 2 y - 7)^2 + (2 x + y - 5)^2

    The Hessian is constant with eigenvalues 2 and 18; the minimum 0 is at (1, 3).

    References
    ----------
    Jamil and Yang (2013), Int. J. Math. Modelling Numer. Optim. 4, 150-194.

    Examples
    --------
    >>> Booth().value([0.0, 0.0])
    74.0
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-10.0, 10.0)
    dim: ClassVar = 2

    def formula(self, x: Any, m: Any) -> Any:
        return (x[0] + 2 * x[1] - 7) ** 2 + (2 * x[0] + x[1] - 5) ** 2

    @property
    def minima(self) -> FloatArray:
        return np.array([[1.0, 3.0]])

    @property
    def minimum(self) -> float:
        return 0.0
