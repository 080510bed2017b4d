"""The round bowl."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import Landscape
from fastdescent.parts import FloatArray, Range, Values, option, parameter

__all__ = ["Bowl"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Scale theta: g = c x, f = x . g / 2."""
    curvature = params[0]
    loss[:] = 0.0
    for i in range(theta.shape[0]):
        x, g = theta[i], grad[i]
        for lane in range(loss.shape[0]):
            g[lane] = curvature[lane] * x[lane]
            loss[lane] += 0.5 * x[lane] * g[lane]


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Curvature times the identity."""
    hess[:] = 0.0
    for i in range(theta.shape[0]):
        for lane in range(theta.shape[1]):
            hess[i, i, lane] = params[0, lane]


class Bowl(Landscape):
    r"""A round bowl: the same curvature in every direction.

    .. math:: f(x) = \frac{c}{2} \sum_{i=1}^{d} x_i^2

    The factor 1/2 makes the curvature c itself the only eigenvalue, so gradient descent
    contracts by 1 - learning rate c a step.

    Parameters
    ----------
    dim : int
        Number of coordinates, at least 1.
    curvature : float or sequence
        Curvature c, > 0, dimensionless.

    References
    ----------
    De Jong (1975), Ph.D. thesis, University of Michigan, function F1 (there without 1/2).

    Examples
    --------
    >>> Bowl(dim=2, curvature=2.0).value([3.0, 4.0])
    25.0
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-5.0, 5.0)

    dim: int = option(default=2, integer=Range(1))
    curvature: Values = parameter(default=1.0, lower=0.0, lower_open=True)

    def formula(self, x: Any, m: Any) -> Any:
        return self.curvature * sum(t**2 for t in x) / 2

    @property
    def minima(self) -> FloatArray:
        return np.zeros((1, self.dim))

    @property
    def minimum(self) -> float:
        return 0.0
