"""Beale's function: a flat valley with steep corners."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import CriticalPoint, Landscape
from fastdescent.landscapes._critical import points
from fastdescent.parts import FloatArray

__all__ = ["Beale"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Three residuals t - x (1 - y^k) with a common minimum."""
    first, second, gx, gy = theta[0], theta[1], grad[0], grad[1]
    for lane in range(loss.shape[0]):
        x, y = first[lane], second[lane]
        u, v, w = y - 1.0, y * y - 1.0, y * y * y - 1.0
        a, b, c = 1.5 + x * u, 2.25 + x * v, 2.625 + x * w
        loss[lane] = a * a + b * b + c * c
        gx[lane] = 2.0 * (a * u + b * v + c * w)
        gy[lane] = 2.0 * x * (a + 2.0 * b * y + 3.0 * c * y * y)


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Gauss-Newton part and curvature of the residuals."""
    for lane in range(theta.shape[1]):
        x, y = theta[0, lane], theta[1, lane]
        u, v, w = y - 1.0, y * y - 1.0, y * y * y - 1.0
        a, b, c = 1.5 + x * u, 2.25 + x * v, 2.625 + x * w
        hess[0, 0, lane] = 2.0 * (u * u + v * v + w * w)
        cross = a + 2.0 * b * y + 3.0 * c * y * y + x * (u + 2.0 * v * y + 3.0 * w * y * y)
        hess[0, 1, lane] = hess[1, 0, lane] = 2.0 * cross
        steep = x * (1.0 + 4.0 * y * y + 9.0 * y * y * y * y) + 2.0 * b + 6.0 * c * y
        hess[1, 1, lane] = 2.0 * x * steep


class Beale(Landscape):
    r"""Beale's function: a flat valley between steep corners.

    .. math:: f(x, y) = (1.5 - x + x y)^2 + (2.25 - x + x y^2)^2 + (2.625 - x + x y^3)^2

    The minimum 0 at (3, 1/2) has condition number 162; the saddles (0, 1) and
    (0.1005, -2.6445) and the long valley towards y = 1 catch slow rules.

    References
    ----------
    Beale (1958), On an iterative method for finding a local minimum of a function of more
    than one variable; Moré, Garbow and Hillstrom (1981), ACM Trans. Math. Softw. 7, problem 5.

    Examples
    --------
    >>> Beale().value([1.0, 1.0])
    14.203125
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-4.5, 4.5)
    dim: ClassVar = 2

    def formula(self, x: Any, m: Any) -> Any:
        x, y = x
        return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2

    @property
    def minima(self) -> FloatArray:
        return np.array([[3.0, 0.5]])

    @property
    def minimum(self) -> float:
        return 0.0

    def critical_points(self) -> list[CriticalPoint]:
        saddles = [(0.10053793732415836, -2.644513585023125), (0.0, 1.0)]
        return points("minimum", self.minima) + points("saddle", saddles)
