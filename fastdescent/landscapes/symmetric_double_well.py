"""Two wells of equal depth in one dimension."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import CriticalPoint, Landscape
from fastdescent.landscapes._critical import points
from fastdescent.parts import FloatArray

__all__ = ["SymmetricDoubleWell"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """(x^2 - 1)^2 / 4."""
    x, g = theta[0], grad[0]
    for lane in range(loss.shape[0]):
        r = x[lane] * x[lane] - 1.0
        loss[lane] = 0.25 * r * r
        g[lane] = x[lane] * r


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Concave between the inflections at +-sqrt(1/3)."""
    for lane in range(theta.shape[1]):
        hess[0, 0, lane] = 3.0 * theta[0, lane] * theta[0, lane] - 1.0


class SymmetricDoubleWell(Landscape):
    r"""Two wells of equal depth in one dimension, the model of escape by noise.

    .. math:: f(x) = (x^2 - 1)^2 / 4

    Minima 0 at -1 and 1 with curvature 2, a barrier of height 1/4 at 0.  Gradient descent
    with learning rate eta <= 2 stays bounded if and only if abs(x_0) < sqrt(1 + 2 / eta), and
    is chaotic at eta = 2.

    References
    ----------
    Kramers (1940), Physica 7, 284-304, on escape over a barrier.

    Examples
    --------
    >>> SymmetricDoubleWell().value([[0.0], [1.0], [3.0]])
    array([ 0.25,  0.  , 16.  ])
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-2.0, 2.0)
    dim: ClassVar = 1

    def formula(self, x: Any, m: Any) -> Any:
        return (x[0] ** 2 - 1) ** 2 / 4

    @property
    def minima(self) -> FloatArray:
        return np.array([[-1.0], [1.0]])

    @property
    def minimum(self) -> float:
        return 0.0

    def critical_points(self) -> list[CriticalPoint]:
        return points("minimum", self.minima) + points("maximum", [[0.0]])
