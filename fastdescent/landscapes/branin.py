"""Branin's function: three equal minima."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import CriticalPoint, Landscape
from fastdescent.landscapes._critical import points
from fastdescent.lanemath import cos, sincos
from fastdescent.parts import FloatArray

__all__ = ["Branin"]

_B = 5.1 / (4.0 * np.pi**2)
_C = 5.0 / np.pi
_T = 1.0 / (8.0 * np.pi)


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Square a parabola's residual and add a cosine."""
    first, second, gx, gy = theta[0], theta[1], grad[0], grad[1]
    for lane in range(loss.shape[0]):
        x, y = first[lane], second[lane]
        s, c = sincos(x)
        r = y - x * (_B * x - _C) - 6.0
        loss[lane] = r * r + 10.0 * (1.0 - _T) * c + 10.0
        gx[lane] = 2.0 * r * (_C - 2.0 * _B * x) - 10.0 * (1.0 - _T) * s
        gy[lane] = 2.0 * r


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Gauss-Newton part, curvature of the parabola, cosine."""
    for lane in range(theta.shape[1]):
        x, y = theta[0, lane], theta[1, lane]
        r = y - x * (_B * x - _C) - 6.0
        slope = _C - 2.0 * _B * x
        bend = 10.0 * (1.0 - _T) * cos(x)
        hess[0, 0, lane] = 2.0 * slope * slope - 4.0 * _B * r - bend
        hess[0, 1, lane] = hess[1, 0, lane] = 2.0 * slope
        hess[1, 1, lane] = 2.0


class Branin(Landscape):
    r"""Branin's function: three minima of equal height along a parabola.

    .. math:: f(x, y) = (y - b x^2 + c x - 6)^2 + 10 (1 - t) \cos x + 10

    with b = 5.1 / (4 pi^2), c = 5 / pi and t = 1 / (8 pi).  The critical points lie on the
    parabola at x = k pi: minima of height 5 / (4 pi) = 0.3979 where k is odd, saddles where
    it is even.  The domain holds three minima and two saddles; all further minima have the
    same height.

    References
    ----------
    Branin (1972), IBM J. Res. Dev. 16, 504-522; Dixon and Szegö (1978), Towards Global
    Optimisation 2.

    Examples
    --------
    >>> Branin().value([0.0, 0.0])
    55.602112642270264
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = ((-5.0, 10.0), (0.0, 15.0))
    dim: ClassVar = 2

    def formula(self, x: Any, m: Any) -> Any:
        x, y = x
        b, c, t = 5.1 / (4 * m.pi**2), 5 / m.pi, 1 / (8 * m.pi)
        return (y - b * x**2 + c * x - 6) ** 2 + 10 * (1 - t) * m.cos(x) + 10

    @property
    def minima(self) -> FloatArray:
        return np.array([[-np.pi, 12.275], [np.pi, 2.275], [3 * np.pi, 2.475]])

    @property
    def minimum(self) -> float:
        return float(5 / (4 * np.pi))

    def critical_points(self) -> list[CriticalPoint]:
        saddles = [(0.0, 6.0), (2 * np.pi, 1.1)]
        return points("minimum", self.minima) + points("saddle", saddles)
