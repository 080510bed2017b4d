"""The Styblinski-Tang function: a product of double wells."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import CriticalPoint, Landscape
from fastdescent.landscapes._critical import MOST_POINTS, points, product_points
from fastdescent.parts import FloatArray, Range, option

__all__ = ["StyblinskiTang"]

# Roots of 4 x^3 - 32 x + 5 and the value at the first one.
_DEEP, _TOP, _SHALLOW = -2.903534027771177, 0.1567312567803401, 2.746802770990837
_DEPTH = -39.16616570377141


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Add a tilted quartic for each coordinate."""
    loss[:] = 0.0
    for i in range(theta.shape[0]):
        x, g = theta[i], grad[i]
        for lane in range(loss.shape[0]):
            z = x[lane] * x[lane]
            loss[lane] += 0.5 * x[lane] * (x[lane] * (z - 16.0) + 5.0)
            g[lane] = x[lane] * (2.0 * z - 16.0) + 2.5


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Diagonal."""
    hess[:] = 0.0
    for i in range(theta.shape[0]):
        for lane in range(theta.shape[1]):
            hess[i, i, lane] = 6.0 * theta[i, lane] * theta[i, lane] - 16.0


class StyblinskiTang(Landscape):
    r"""The Styblinski-Tang function: one tilted double well for each coordinate.

    .. math:: f(x) = \frac12 \sum_{i=1}^{d} x_i^4 - 16 x_i^2 + 5 x_i

    Each coordinate has a deep well at -2.9035, a shallow one at 2.7468 and a top at 0.1567,
    so there are 3^d critical points: 2^d minima (one global, -39.1662 d), one maximum, and
    saddles.  They are all listed up to d = 6, beyond that only the global minimum.

    Parameters
    ----------
    dim : int
        Number of coordinates, at least 1.

    References
    ----------
    Styblinski and Tang (1990), Neural Networks 3, 467-483.

    Examples
    --------
    >>> StyblinskiTang(dim=2).value([1.0, 0.0])
    -5.0
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-5.0, 5.0)

    dim: int = option(default=2, integer=Range(1))

    def formula(self, x: Any, m: Any) -> Any:
        return sum(t**4 - 16 * t**2 + 5 * t for t in x) / 2

    @property
    def minima(self) -> FloatArray:
        return np.full((1, self.dim), _DEEP)

    @property
    def minimum(self) -> float:
        return _DEPTH * self.dim

    def critical_points(self) -> list[CriticalPoint]:
        if 3**self.dim > MOST_POINTS:
            return points("minimum", self.minima)
        axis = (_DEEP, _SHALLOW, _TOP)
        return product_points(axis, lambda x: 6.0 * x * x - 16.0, self.dim)
