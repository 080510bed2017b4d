"""Griewank's function: a shallow bowl with a product of cosines."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import Landscape
from fastdescent.lanemath import cos, sincos
from fastdescent.parts import FloatArray, Range, option

__all__ = ["Griewank"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Derive the product of cosines: it is multiplied by a tangent."""
    dim, lanes = theta.shape
    product = grad[dim]
    product[:] = 1.0
    loss[:] = 1.0
    for i in range(dim):
        x, g, k = theta[i], grad[i], 1.0 / np.sqrt(i + 1.0)
        for lane in range(lanes):
            s, c = sincos(k * x[lane])
            product[lane] *= c
            loss[lane] += x[lane] * x[lane] * (1.0 / 4000.0)
            g[lane] = k * s / c  # c is never 0: no double is a zero of the cosine
    for lane in range(lanes):
        loss[lane] -= product[lane]
    for i in range(dim):
        x, g = theta[i], grad[i]
        for lane in range(lanes):
            g[lane] = x[lane] * (1.0 / 2000.0) + product[lane] * g[lane]


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Products of cosines with one or two replaced by their derivatives."""
    dim, lanes = theta.shape
    for lane in range(lanes):
        product = 1.0
        for i in range(dim):
            product *= cos(theta[i, lane] / np.sqrt(i + 1.0))
        for i in range(dim):
            k = 1.0 / np.sqrt(i + 1.0)
            s, c = sincos(k * theta[i, lane])
            for j in range(i):
                h = hess[j, j, lane]  # the tangent of row j, until the loop below
                hess[i, j, lane] = hess[j, i, lane] = -product * k * s / c * h
            hess[i, i, lane] = k * s / c
        for i in range(dim):
            hess[i, i, lane] = 1.0 / 2000.0 + product / (i + 1.0)


class Griewank(Landscape):
    r"""Griewank's function: a shallow bowl with many regular minima.

    .. math::

        f(x) = 1 + \sum_{i=1}^{d} \frac{x_i^2}{4000} - \prod_{i=1}^{d} \cos \frac{x_i}{\sqrt i}

    The minimum is 0 at the origin.  Beyond abs(x) = 2^45 the value is NaN, as the angle is no
    longer resolved.

    Parameters
    ----------
    dim : int
        Number of coordinates, at least 1.

    References
    ----------
    Griewank (1981), J. Optim. Theory Appl. 34, 11-39 (there with 1/200 for d = 2).

    Examples
    --------
    >>> Griewank(dim=2).value([3.0, 3.0])
    0.48660136993666236
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-600.0, 600.0)
    workspace: ClassVar = 1

    dim: int = option(default=2, integer=Range(1))

    def formula(self, x: Any, m: Any) -> Any:
        cosines = [m.cos(x[i] / m.sqrt(i + 1)) for i in range(self.dim)]
        return 1 + sum(t**2 for t in x) / 4000 - math.prod(cosines)

    @property
    def minima(self) -> FloatArray:
        return np.zeros((1, self.dim))

    @property
    def minimum(self) -> float:
        return 0.0
