"""The Dixon-Price function: a curved valley of growing steepness."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import CriticalPoint, Landscape
from fastdescent.landscapes._critical import points
from fastdescent.parts import FloatArray, Range, option

__all__ = ["DixonPrice"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Chained residuals r = 2 x[i]^2 - x[i-1], weighted by i; each row of grad written once."""
    dim, lanes = theta.shape
    x, y, g = theta[0], theta[1], grad[0]
    for lane in range(lanes):
        s = x[lane] - 1.0
        r = 2.0 * y[lane] * y[lane] - x[lane]
        loss[lane] = s * s + 2.0 * r * r
        g[lane] = 2.0 * s - 4.0 * r
    for i in range(1, dim - 1):
        w, x, y, g, weight = theta[i - 1], theta[i], theta[i + 1], grad[i], i + 1.0
        for lane in range(lanes):
            q = 2.0 * x[lane] * x[lane] - w[lane]
            r = 2.0 * y[lane] * y[lane] - x[lane]
            loss[lane] += (weight + 1.0) * r * r
            g[lane] = 8.0 * weight * x[lane] * q - 2.0 * (weight + 1.0) * r
    w, x, g, weight = theta[dim - 2], theta[dim - 1], grad[dim - 1], float(dim)
    for lane in range(lanes):
        g[lane] = 8.0 * weight * x[lane] * (2.0 * x[lane] * x[lane] - w[lane])


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Tridiagonal: each residual touches two neighbours."""
    dim, lanes = theta.shape
    hess[:] = 0.0
    for lane in range(lanes):
        hess[0, 0, lane] = 2.0
    for i in range(1, dim):
        weight = i + 1.0
        for lane in range(lanes):
            w, x = theta[i - 1, lane], theta[i, lane]
            hess[i - 1, i - 1, lane] += 2.0 * weight
            hess[i, i - 1, lane] = hess[i - 1, i, lane] = -8.0 * weight * x
            hess[i, i, lane] = 8.0 * weight * (6.0 * x * x - w)


class DixonPrice(Landscape):
    r"""The Dixon-Price function: a chain of parabolas of growing weight.

    .. math:: f(x) = (x_1 - 1)^2 + \sum_{i=2}^{d} i (2 x_i^2 - x_{i-1})^2

    Two minima 0, at x_i = 2^(-(2^i - 2) / 2^i) and at the same point with the last
    coordinate negated (most tables list one).  At (1/3, 0, ..., 0) the value is 2/3: a
    saddle in two dimensions, a degenerate point, not a minimum, in more.

    Parameters
    ----------
    dim : int
        Number of coordinates, at least 2.

    References
    ----------
    Dixon and Price (1989), J. Optim. Theory Appl. 60, 261-275.

    Examples
    --------
    >>> DixonPrice(dim=3).value([1.0, 1.0, 1.0])
    5.0
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-10.0, 10.0)

    dim: int = option(default=2, integer=Range(2))

    def formula(self, x: Any, m: Any) -> Any:
        chain = range(1, self.dim)
        return (x[0] - 1) ** 2 + sum((i + 1) * (2 * x[i] ** 2 - x[i - 1]) ** 2 for i in chain)

    @property
    def minima(self) -> FloatArray:
        # 2 x[i]^2 = x[i-1] leaves the sign of the last coordinate free.
        x = 2.0 ** (2.0 ** (1.0 - np.arange(1, self.dim + 1)) - 1.0)
        return np.array([x, np.append(x[:-1], -x[-1])])

    @property
    def minimum(self) -> float:
        return 0.0

    def critical_points(self) -> list[CriticalPoint]:
        other = (1 / 3, *[0.0] * (self.dim - 1))
        kind = "saddle" if self.dim == 2 else "degenerate"
        return points("minimum", self.minima) + points(kind, [other])
