"""The ravine of the course notes: a quadratic with a steep and a flat axis."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import Landscape
from fastdescent.parts import FloatArray, Values, parameter

__all__ = ["Ravine"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Two squares, the second one weighted."""
    first, second, gx, gy = theta[0], theta[1], grad[0], grad[1]
    condition_number = params[0]
    for lane in range(loss.shape[0]):
        x, y = first[lane], second[lane]
        k = condition_number[lane]
        loss[lane] = x * x + k * y * y
        gx[lane] = 2.0 * x
        gy[lane] = 2.0 * k * y


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Constant, eigenvalues 2 and 2 k."""
    for lane in range(theta.shape[1]):
        hess[0, 0, lane] = 2.0
        hess[0, 1, lane] = hess[1, 0, lane] = 0.0
        hess[1, 1, lane] = 2.0 * params[0, lane]


class Ravine(Landscape):
    r"""A ravine: a quadratic valley, steep across and flat along.

    .. math:: f(x, y) = x^2 + k y^2

    The eigenvalues are 2 and 2 k, so k is the condition number.  Gradient descent converges
    for learning rates below 1 / k, at best by (k - 1) / (k + 1) a step.  k = 10 and 15 are
    the two ravines of the course notes.

    Parameters
    ----------
    condition_number : float or sequence
        Ratio k of the two eigenvalues, >= 1, dimensionless.

    References
    ----------
    Polyak (1964), USSR Comput. Math. Math. Phys. 4, 1-17; Goh (2017), Why momentum really
    works, Distill.

    Examples
    --------
    >>> Ravine(condition_number=15).value([1.0, 2.0])
    61.0
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-10.0, 10.0)
    dim: ClassVar = 2

    condition_number: Values = parameter(default=10.0, lower=1.0)

    def formula(self, x: Any, m: Any) -> Any:
        return x[0] ** 2 + self.condition_number * x[1] ** 2

    @property
    def minima(self) -> FloatArray:
        return np.zeros((1, 2))

    @property
    def minimum(self) -> float:
        return 0.0
