"""The six-hump camel function."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import CriticalPoint, Landscape
from fastdescent.landscapes._critical import points
from fastdescent.parts import FloatArray

__all__ = ["SixHumpCamel"]

_LOCAL_MINIMA = [
    (1.703606714969981, -0.7960835686726251),
    (1.6071047529201972, 0.5686514548841314),
]
_SADDLES = [
    (1.1092053368047865, -0.7682680925095399),
    (1.6380679841897785, 0.22867406904439408),
    (1.2960702671671092, 0.6050843880386585),
]


def _pairs(halves: list[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(sign * x, sign * y) for x, y in halves for sign in (1.0, -1.0)]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Polynomials of degree six in x and four in y."""
    first, second, gx, gy = theta[0], theta[1], grad[0], grad[1]
    for lane in range(loss.shape[0]):
        x, y = first[lane], second[lane]
        z, w = x * x, y * y
        loss[lane] = z * (4.0 + z * (z * (1.0 / 3.0) - 2.1)) + x * y + 4.0 * w * (w - 1.0)
        gx[lane] = x * (8.0 + z * (2.0 * z - 8.4)) + y
        gy[lane] = x + y * (16.0 * w - 8.0)


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Off-diagonal entries are constant."""
    for lane in range(theta.shape[1]):
        x, y = theta[0, lane], theta[1, lane]
        z, w = x * x, y * y
        hess[0, 0, lane] = 8.0 + z * (10.0 * z - 25.2)
        hess[0, 1, lane] = hess[1, 0, lane] = 1.0
        hess[1, 1, lane] = 48.0 * w - 8.0


class SixHumpCamel(Landscape):
    r"""The six-hump camel function: six minima, two of them global.

    .. math:: f(x, y) = (4 - 2.1 x^2 + x^4 / 3) x^2 + x y + (-4 + 4 y^2) y^2

    Minima in pairs (x, y) and (-x, -y) of height -1.0316, -0.2155 and 2.1043, seven saddles
    and two maxima; no other critical points.

    References
    ----------
    Dixon and Szegö (1978), Towards Global Optimisation 2, 1-15.

    Examples
    --------
    >>> SixHumpCamel().value([1.0, 1.0])
    3.2333333333333334
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = ((-3.0, 3.0), (-2.0, 2.0))
    dim: ClassVar = 2

    def formula(self, x: Any, m: Any) -> Any:
        x, y = x
        return (4 - 2.1 * x**2 + x**4 / 3) * x**2 + x * y + (-4 + 4 * y**2) * y**2

    @property
    def minima(self) -> FloatArray:
        return np.array(_pairs([(0.08984201310031806, -0.7126564030207396)]))

    def critical_points(self) -> list[CriticalPoint]:
        return (
            points("minimum", [*self.minima, *_pairs(_LOCAL_MINIMA)])
            + points("saddle", [(0.0, 0.0), *_pairs(_SADDLES)])
            + points("maximum", _pairs([(1.2302298765166526, 0.16233458445899496)]))
        )
