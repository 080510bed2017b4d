"""McCormick's function: a tilted, rippled trough."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import CriticalPoint, Landscape
from fastdescent.landscapes._critical import points
from fastdescent.lanemath import sin, sincos
from fastdescent.parts import FloatArray

__all__ = ["McCormick"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """One sine of the sum of the coordinates, and a quadratic."""
    first, second, gx, gy = theta[0], theta[1], grad[0], grad[1]
    for lane in range(loss.shape[0]):
        x, y = first[lane], second[lane]
        s, c = sincos(x + y)
        loss[lane] = s + (x - y) * (x - y) - 1.5 * x + 2.5 * y + 1.0
        gx[lane] = c + 2.0 * (x - y) - 1.5
        gy[lane] = c - 2.0 * (x - y) + 2.5


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Bends along x + y only."""
    for lane in range(theta.shape[1]):
        x, y = theta[0, lane], theta[1, lane]
        s = sin(x + y)
        hess[0, 0, lane] = hess[1, 1, lane] = 2.0 - s
        hess[0, 1, lane] = hess[1, 0, lane] = -2.0 - s


class McCormick(Landscape):
    r"""McCormick's function: a tilted trough with ripples along its floor.

    .. math:: f(x, y) = \sin(x + y) + (x - y)^2 - 1.5 x + 2.5 y + 1

    Minimum -1.9132 at (1/2 - pi/3, -1/2 - pi/3), a second one of height 1.2284, and a
    saddle between them.  The trough falls without end towards x + y = -infinity, with a
    minimum in every ripple: `minimum` is that of the domain, and a trajectory that leaves
    the domain may go below it.

    References
    ----------
    McCormick (1976), Mathematical Programming 10, 147-175; Adorio and Diliman (2005), MVF.

    Examples
    --------
    >>> McCormick().value([0.0, 0.0])
    1.0
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = ((-1.5, 4.0), (-3.0, 4.0))
    dim: ClassVar = 2

    def formula(self, x: Any, m: Any) -> Any:
        x, y = x
        return m.sin(x + y) + (x - y) ** 2 - 1.5 * x + 2.5 * y + 1

    @property
    def minima(self) -> FloatArray:
        return np.array([[0.5 - np.pi / 3, -0.5 - np.pi / 3]])

    @property
    def minimum(self) -> float:
        return float(-np.pi / 3 - np.sqrt(3) / 2)

    def critical_points(self) -> list[CriticalPoint]:
        # cos(x + y) = -1/2 and x - y = 1; a minimum where sin(x + y) < 0.
        local = (2 * np.pi / 3 + 0.5, 2 * np.pi / 3 - 0.5)
        saddle = (np.pi / 3 + 0.5, np.pi / 3 - 0.5)
        return points("minimum", [*self.minima, local]) + points("saddle", [saddle])
