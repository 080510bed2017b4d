"""The three-hump camel function."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import CriticalPoint, Landscape
from fastdescent.landscapes._critical import points
from fastdescent.parts import FloatArray

__all__ = ["ThreeHumpCamel"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Fill in a polynomial of degree six in x."""
    first, second, gx, gy = theta[0], theta[1], grad[0], grad[1]
    for lane in range(loss.shape[0]):
        x, y = first[lane], second[lane]
        z = x * x
        loss[lane] = z * (2.0 + z * (z * (1.0 / 6.0) - 1.05)) + x * y + y * y
        gx[lane] = x * (4.0 + z * (z - 4.2)) + y
        gy[lane] = x + 2.0 * y


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Bends in x only."""
    for lane in range(theta.shape[1]):
        z = theta[0, lane] * theta[0, lane]
        hess[0, 0, lane] = 4.0 + z * (5.0 * z - 12.6)
        hess[0, 1, lane] = hess[1, 0, lane] = 1.0
        hess[1, 1, lane] = 2.0


class ThreeHumpCamel(Landscape):
    r"""The three-hump camel function: one global minimum between two local ones.

    .. math:: f(x, y) = 2 x^2 - 1.05 x^4 + x^6 / 6 + x y + y^2

    Minima 0 at the origin and 0.2986 at +-(1.7476, -0.8738), two saddles of height 0.8774;
    no other critical points.

    References
    ----------
    Branin (1972), IBM J. Res. Dev. 16, 504-522; Jamil and Yang (2013), Int. J. Math.
    Modelling Numer. Optim. 4, 150-194.

    Examples
    --------
    >>> ThreeHumpCamel().value([1.0, 0.0])
    1.1166666666666667
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-5.0, 5.0)
    dim: ClassVar = 2

    def formula(self, x: Any, m: Any) -> Any:
        x, y = x
        return 2 * x**2 - 1.05 * x**4 + x**6 / 6 + x * y + y**2

    @property
    def minima(self) -> FloatArray:
        return np.zeros((1, 2))

    @property
    def minimum(self) -> float:
        return 0.0

    def critical_points(self) -> list[CriticalPoint]:
        # y = -x / 2, and x = 0 or x^4 - 4.2 x^2 + 3.5 = 0.
        outer, inner = np.sqrt(2.1 + np.sqrt(0.91)), np.sqrt(2.1 - np.sqrt(0.91))
        minima = [(x, -x / 2) for x in (0.0, -outer, outer)]
        return points("minimum", minima) + points("saddle", [(x, -x / 2) for x in (-inner, inner)])
