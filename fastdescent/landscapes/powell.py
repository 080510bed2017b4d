"""Powell's singular function."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.errors import InvalidValueError
from fastdescent.landscapes._base import CriticalPoint, Landscape
from fastdescent.landscapes._critical import points
from fastdescent.parts import FloatArray, Range, option

__all__ = ["Powell"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Blocks of four coordinates; one row of grad a loop, so that each loop vectorises."""
    dim, lanes = theta.shape
    loss[:] = 0.0
    for k in range(0, dim, 4):
        w, x, y, z = theta[k], theta[k + 1], theta[k + 2], theta[k + 3]
        for lane in range(lanes):
            a, b = w[lane] + 10.0 * x[lane], y[lane] - z[lane]
            c, d = x[lane] - 2.0 * y[lane], w[lane] - z[lane]
            loss[lane] += a * a + 5.0 * b * b + c * c * c * c + 10.0 * d * d * d * d
        g = grad[k]
        for lane in range(lanes):
            d = w[lane] - z[lane]
            g[lane] = 2.0 * (w[lane] + 10.0 * x[lane]) + 40.0 * d * d * d
        g = grad[k + 1]
        for lane in range(lanes):
            c = x[lane] - 2.0 * y[lane]
            g[lane] = 20.0 * (w[lane] + 10.0 * x[lane]) + 4.0 * c * c * c
        g = grad[k + 2]
        for lane in range(lanes):
            c = x[lane] - 2.0 * y[lane]
            g[lane] = 10.0 * (y[lane] - z[lane]) - 8.0 * c * c * c
        g = grad[k + 3]
        for lane in range(lanes):
            d = w[lane] - z[lane]
            g[lane] = 10.0 * (z[lane] - y[lane]) - 40.0 * d * d * d


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """One 4 x 4 matrix for each block, of rank two at the origin."""
    hess[:] = 0.0
    for k in range(0, theta.shape[0], 4):
        block = hess[k : k + 4, k : k + 4]
        for lane in range(theta.shape[1]):
            c = theta[k + 1, lane] - 2.0 * theta[k + 2, lane]
            d = theta[k, lane] - theta[k + 3, lane]
            p, q = 12.0 * c * c, 120.0 * d * d
            block[0, 0, lane] = 2.0 + q
            block[1, 1, lane] = 200.0 + p
            block[2, 2, lane] = 10.0 + 4.0 * p
            block[3, 3, lane] = 10.0 + q
            block[0, 1, lane] = block[1, 0, lane] = 20.0
            block[1, 2, lane] = block[2, 1, lane] = -2.0 * p
            block[2, 3, lane] = block[3, 2, lane] = -10.0
            block[0, 3, lane] = block[3, 0, lane] = -q


class Powell(Landscape):
    r"""Powell's singular function: convex, with a singular Hessian at its minimum.

    .. math::

        f(x) = \sum_{k=1}^{d/4} (w + 10 x)^2 + 5 (y - z)^2 + (x - 2 y)^4 + 10 (w - z)^4

    with (w, x, y, z) the k-th four coordinates.  The minimum is 0 at the origin, where half
    of the eigenvalues are 0: convergence is slower than linear, and second derivatives
    leave the kind of the point undecided.

    Parameters
    ----------
    dim : int
        Number of coordinates, a multiple of 4.

    References
    ----------
    Powell (1962), The Computer Journal 5, 147-151; Moré, Garbow and Hillstrom (1981), ACM
    Trans. Math. Softw. 7, problems 13 and 22.

    Examples
    --------
    >>> Powell().value([3.0, -1.0, 0.0, 1.0])
    215.0
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-4.0, 5.0)

    dim: int = option(default=4, integer=Range(4))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.dim % 4:
            raise InvalidValueError("Powell.dim", self.dim, "a multiple of 4")

    def formula(self, x: Any, m: Any) -> Any:
        blocks = [x[k : k + 4] for k in range(0, self.dim, 4)]
        return sum(
            (a + 10 * b) ** 2 + 5 * (c - d) ** 2 + (b - 2 * c) ** 4 + 10 * (a - d) ** 4
            for a, b, c, d in blocks
        )

    def critical_points(self) -> list[CriticalPoint]:
        return points("degenerate", self.minima)

    @property
    def minima(self) -> FloatArray:
        return np.zeros((1, self.dim))

    @property
    def minimum(self) -> float:
        return 0.0
