"""Rosenbrock's curved valley, chained over any number of dimensions."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import CriticalPoint, Landscape
from fastdescent.landscapes._critical import points
from fastdescent.parts import FloatArray, Range, Values, option, parameter

__all__ = ["Rosenbrock"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Chained residuals r = x[i+1] - x[i]^2 and s = a - x[i]."""
    # Each row of grad is written once, from two neighbours: a loop that updated two rows
    # at a time would not vectorise.
    dim, lanes = theta.shape
    a, b = params[0], params[1]
    x, y, g = theta[0], theta[1], grad[0]
    for lane in range(lanes):
        r = y[lane] - x[lane] * x[lane]
        s = a[lane] - x[lane]
        loss[lane] = b[lane] * r * r + s * s
        g[lane] = -4.0 * b[lane] * x[lane] * r - 2.0 * s
    for i in range(1, dim - 1):
        w, x, y, g = theta[i - 1], theta[i], theta[i + 1], grad[i]
        for lane in range(lanes):
            r = y[lane] - x[lane] * x[lane]
            s = a[lane] - x[lane]
            q = x[lane] - w[lane] * w[lane]
            loss[lane] += b[lane] * r * r + s * s
            g[lane] = 2.0 * b[lane] * q - 4.0 * b[lane] * x[lane] * r - 2.0 * s
    w, x, g = theta[dim - 2], theta[dim - 1], grad[dim - 1]
    for lane in range(lanes):
        g[lane] = 2.0 * b[lane] * (x[lane] - w[lane] * w[lane])


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Tridiagonal: each residual touches two neighbours."""
    dim, lanes = theta.shape
    hess[:] = 0.0
    b = params[1]
    for i in range(dim - 1):
        for lane in range(lanes):
            x, y = theta[i, lane], theta[i + 1, lane]
            hess[i, i, lane] += 12.0 * b[lane] * x * x - 4.0 * b[lane] * y + 2.0
            hess[i, i + 1, lane] = -4.0 * b[lane] * x
            hess[i + 1, i, lane] = -4.0 * b[lane] * x
            hess[i + 1, i + 1, lane] += 2.0 * b[lane]


class Rosenbrock(Landscape):
    r"""Rosenbrock's curved valley, chained: a canal with a flat, turning floor.

    .. math:: f(x) = \sum_{i=1}^{d-1} b (x_{i+1} - x_i^2)^2 + (a - x_i)^2

    The minimum is at (1, ..., 1) for a = 1, where the condition number is 2508 in two
    dimensions.  From four dimensions on there is a second, local minimum near
    (-1, 1, ..., 1).  The *paired* extension of Dennis and Schnabel is another function.

    Parameters
    ----------
    dim : int
        Number of coordinates, at least 2.
    a : float or sequence
        Position of the minimum along the floor, dimensionless.
    b : float or sequence
        Steepness of the walls, >= 0, dimensionless.

    References
    ----------
    Rosenbrock (1960), The Computer Journal 3, 175-184, for d = 2; the chained form is
    that of Toint (1978) and of Kok and Sandrock (2009), Evolutionary Computation 17.

    Examples
    --------
    >>> Rosenbrock(dim=2).value([-1.2, 1.0])
    24.199999999999996
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-2.048, 2.048)

    dim: int = option(default=2, integer=Range(2))
    a: Values = parameter(default=1.0)
    b: Values = parameter(default=100.0, lower=0.0)

    def formula(self, x: Any, m: Any) -> Any:
        return sum(
            self.b * (x[i + 1] - x[i] ** 2) ** 2 + (self.a - x[i]) ** 2 for i in range(self.dim - 1)
        )

    @property
    def minima(self) -> FloatArray | None:
        if self.b == 0.0:
            return None  # no walls: a line of minima, along the last coordinate
        # For a other than 0 and 1 the residuals vanish together only in two dimensions.
        if self.dim == 2 or self.a in (0.0, 1.0):
            return np.array([[self.a**2.0**i for i in range(self.dim)]])
        return None

    @property
    def minimum(self) -> float | None:
        return 0.0 if self.b == 0.0 or self.minima is not None else None

    def critical_points(self) -> list[CriticalPoint]:
        found = super().critical_points()
        if self.dim >= 4 and self.a == 1.0 and self.b == 100.0:
            found += points("minimum", [self._local_minimum()])
        return found

    def _local_minimum(self) -> FloatArray:
        """Return the second minimum, by Newton's method from (-1, 1, ..., 1)."""
        x = np.ones(self.dim)
        x[0] = -1.0
        for _ in range(15):  # it takes at most 10, for dim = 4
            x = x - np.linalg.solve(self.hessian(x), self.gradient(x))
        return x
