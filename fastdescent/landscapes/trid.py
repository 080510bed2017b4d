"""The Trid function: a quadratic with coupled neighbours."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import Landscape
from fastdescent.parts import FloatArray, Range, option

__all__ = ["Trid"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Row i sees its two neighbours; each row of grad is written once."""
    dim, lanes = theta.shape
    x, y, g = theta[0], theta[1], grad[0]
    for lane in range(lanes):
        s = x[lane] - 1.0
        loss[lane] = s * s
        g[lane] = 2.0 * s - y[lane]
    for i in range(1, dim - 1):
        w, x, y, g = theta[i - 1], theta[i], theta[i + 1], grad[i]
        for lane in range(lanes):
            s = x[lane] - 1.0
            loss[lane] += s * s - x[lane] * w[lane]
            g[lane] = 2.0 * s - w[lane] - y[lane]
    w, x, g = theta[dim - 2], theta[dim - 1], grad[dim - 1]
    for lane in range(lanes):
        s = x[lane] - 1.0
        loss[lane] += s * s - x[lane] * w[lane]
        g[lane] = 2.0 * s - w[lane]


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Constant and tridiagonal: -1, 2, -1."""
    hess[:] = 0.0
    for i in range(theta.shape[0]):
        for lane in range(theta.shape[1]):
            hess[i, i, lane] = 2.0
            if i > 0:
                hess[i, i - 1, lane] = hess[i - 1, i, lane] = -1.0


class Trid(Landscape):
    r"""The Trid function: a convex quadratic whose coordinates pull at their neighbours.

    .. math:: f(x) = \sum_{i=1}^{d} (x_i - 1)^2 - \sum_{i=2}^{d} x_i x_{i-1}

    The minimum -d (d + 4) (d - 1) / 6 is at x_i = i (d + 1 - i).  The eigenvalues are
    2 - 2 cos(k pi / (d + 1)), so the condition number grows like 4 d^2 / pi^2.

    Parameters
    ----------
    dim : int
        Number of coordinates, at least 2; the domain is [-dim^2, dim^2].

    References
    ----------
    Neumaier (2006), global optimization test problems; Adorio and Diliman (2005), MVF,
    Multivariate Test Functions Library.

    Examples
    --------
    >>> Trid(dim=6).minimum
    -50.0
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    dim: int = option(default=2, integer=Range(2))

    def formula(self, x: Any, m: Any) -> Any:
        return sum((t - 1) ** 2 for t in x) - sum(x[i] * x[i - 1] for i in range(1, self.dim))

    @property
    def domain(self) -> FloatArray:
        return np.tile([-(self.dim**2.0), self.dim**2.0], (self.dim, 1))

    @property
    def minima(self) -> FloatArray:
        i = np.arange(1.0, self.dim + 1)
        return (i * (self.dim + 1 - i))[np.newaxis]

    @property
    def minimum(self) -> float:
        return -self.dim * (self.dim + 4) * (self.dim - 1) / 6
