"""Himmelblau's function: four equal minima."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import CriticalPoint, Landscape
from fastdescent.landscapes._critical import points
from fastdescent.parts import FloatArray

__all__ = ["Himmelblau"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Two residuals, each a parabola."""
    first, second, gx, gy = theta[0], theta[1], grad[0], grad[1]
    for lane in range(loss.shape[0]):
        x, y = first[lane], second[lane]
        a = x * x + y - 11.0
        b = x + y * y - 7.0
        loss[lane] = a * a + b * b
        gx[lane] = 4.0 * a * x + 2.0 * b
        gy[lane] = 2.0 * a + 4.0 * b * y


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Gauss-Newton part and curvature of the residuals."""
    for lane in range(theta.shape[1]):
        x, y = theta[0, lane], theta[1, lane]
        a = x * x + y - 11.0
        b = x + y * y - 7.0
        hess[0, 0, lane] = 8.0 * x * x + 4.0 * a + 2.0
        hess[0, 1, lane] = hess[1, 0, lane] = 4.0 * (x + y)
        hess[1, 1, lane] = 8.0 * y * y + 4.0 * b + 2.0


class Himmelblau(Landscape):
    r"""Himmelblau's function: four minima of equal height around one maximum.

    .. math:: f(x, y) = (x^2 + y - 11)^2 + (x + y^2 - 7)^2

    Four minima with value 0, four saddles between them and a maximum of height 181.6; no
    other critical points.

    References
    ----------
    Himmelblau (1972), Applied Nonlinear Programming, McGraw-Hill.

    Examples
    --------
    >>> Himmelblau().value([[3.0, 2.0], [0.0, 0.0]])
    array([  0., 170.])
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-6.0, 6.0)
    dim: ClassVar = 2

    def formula(self, x: Any, m: Any) -> Any:
        return (x[0] ** 2 + x[1] - 11) ** 2 + (x[0] + x[1] ** 2 - 7) ** 2

    @property
    def minima(self) -> FloatArray:
        return np.array(
            [
                [3.0, 2.0],
                [-3.779310253377747, -3.2831859912861696],
                [-2.805118086952745, 3.131312518250573],
                [3.5844283403304917, -1.8481265269644036],
            ]
        )

    @property
    def minimum(self) -> float:
        return 0.0

    def critical_points(self) -> list[CriticalPoint]:
        saddles = [
            (3.385154183607021, 0.07385187983774928),
            (0.08667750455539636, 2.884254701174776),
            (-3.0730257507643897, -0.08135304428796751),
            (-0.12796134673068008, -1.9537149802445763),
        ]
        maximum = (-0.2708445906673476, -0.9230385564799815)
        return (
            points("minimum", self.minima)
            + points("saddle", saddles)
            + points("maximum", [maximum])
        )
