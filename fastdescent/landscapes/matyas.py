"""Matyas' function: a nearly flat quadratic valley."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import Landscape
from fastdescent.parts import FloatArray

__all__ = ["Matyas"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Fill in a quadratic form."""
    first, second, gx, gy = theta[0], theta[1], grad[0], grad[1]
    for lane in range(loss.shape[0]):
        x, y = first[lane], second[lane]
        loss[lane] = 0.26 * (x * x + y * y) - 0.48 * x * y
        gx[lane] = 0.52 * x - 0.48 * y
        gy[lane] = 0.52 * y - 0.48 * x


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Constant, eigenvalues 0.04 and 1."""
    for lane in range(theta.shape[1]):
        hess[0, 0, lane] = hess[1, 1, lane] = 0.52
        hess[0, 1, lane] = hess[1, 0, lane] = -0.48


class Matyas(Landscape):
    r"""Matyas' function: a convex quadratic with a nearly flat diagonal.

    .. math:: f(x, y) = 0.26 (x^2 + y^2) - 0.48 x y

    The Hessian is constant with eigenvalues 0.04, along (1, 1), and 1; the minimum is 0 at
    the origin.

    References
    ----------
    Jamil and Yang (2013), Int. J. Math. Modelling Numer. Optim. 4, 150-194.

    Examples
    --------
    >>> Matyas().value([1.0, 1.0])
    0.040000000000000036
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-10.0, 10.0)
    dim: ClassVar = 2

    def formula(self, x: Any, m: Any) -> Any:
        return 0.26 * (x[0] ** 2 + x[1] ** 2) - 0.48 * x[0] * x[1]

    @property
    def minima(self) -> FloatArray:
        return np.zeros((1, 2))

    @property
    def minimum(self) -> float:
        return 0.0
