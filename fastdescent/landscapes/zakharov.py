"""Zakharov's function: a quadratic with one steep direction."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import Landscape
from fastdescent.parts import FloatArray, Range, option

__all__ = ["Zakharov"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Everything but the squares depends on s = sum i x_i / 2, kept in the workspace."""
    dim, lanes = theta.shape
    total = grad[dim]
    total[:] = 0.0
    loss[:] = 0.0
    for i in range(dim):
        x, weight = theta[i], 0.5 * (i + 1.0)
        for lane in range(lanes):
            loss[lane] += x[lane] * x[lane]
            total[lane] += weight * x[lane]
    for lane in range(lanes):
        square = total[lane] * total[lane]
        loss[lane] += square + square * square
        total[lane] *= 2.0 + 4.0 * square
    for i in range(dim):
        x, g, weight = theta[i], grad[i], 0.5 * (i + 1.0)
        for lane in range(lanes):
            g[lane] = 2.0 * x[lane] + weight * total[lane]


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Twice the identity and a multiple of one outer product."""
    dim, lanes = theta.shape
    for lane in range(lanes):
        s = 0.0
        for i in range(dim):
            s += 0.5 * (i + 1.0) * theta[i, lane]
        for i in range(dim):
            for j in range(dim):
                hess[i, j, lane] = (0.5 + 3.0 * s * s) * ((i + 1.0) * (j + 1.0))
            hess[i, i, lane] += 2.0


class Zakharov(Landscape):
    r"""Zakharov's function: one minimum, and one direction that is steeper than all others.

    .. math:: f(x) = \sum_{i=1}^{d} x_i^2 + s^2 + s^4, \quad s = \sum_{i=1}^{d} i x_i / 2

    The function is convex; its only critical point is the minimum 0 at the origin.

    Parameters
    ----------
    dim : int
        Number of coordinates, at least 1.

    References
    ----------
    Rahnamayan, Tizhoosh and Salama (2007), Computers and Mathematics with Applications 53,
    1605-1614; Jamil and Yang (2013), Int. J. Math. Modelling Numer. Optim. 4, 150-194.

    Examples
    --------
    >>> Zakharov(dim=2).value([1.0, 1.0])
    9.3125
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-5.0, 10.0)
    workspace: ClassVar = 1

    dim: int = option(default=2, integer=Range(1))

    def formula(self, x: Any, m: Any) -> Any:
        s = sum((i + 1) * x[i] for i in range(self.dim)) / 2
        return sum(t**2 for t in x) + s**2 + s**4

    @property
    def minima(self) -> FloatArray:
        return np.zeros((1, self.dim))

    @property
    def minimum(self) -> float:
        return 0.0
