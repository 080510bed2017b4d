"""A bowl with ripples of any height and length."""

from __future__ import annotations

import itertools
import math
from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import Landscape
from fastdescent.landscapes._critical import MOST_POINTS, bisect
from fastdescent.lanemath import sincos_turns
from fastdescent.parts import FloatArray, Range, Values, option, parameter

__all__ = ["RippledBowl"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Add a square and a cosine in each coordinate."""
    height, length = params[0], params[1]
    loss[:] = 0.0
    for i in range(theta.shape[0]):
        x, g = theta[i], grad[i]
        for lane in range(loss.shape[0]):
            turns = 1.0 / length[lane]
            s, c = sincos_turns(x[lane] * turns)
            loss[lane] += x[lane] * x[lane] + height[lane] * c
            g[lane] = 2.0 * (x[lane] - np.pi * turns * height[lane] * s)


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Diagonal."""
    hess[:] = 0.0
    for i in range(theta.shape[0]):
        for lane in range(theta.shape[1]):
            k = 2.0 * np.pi / params[1, lane]
            c = sincos_turns(theta[i, lane] / params[1, lane])[1]
            hess[i, i, lane] = 2.0 - params[0, lane] * k * k * c


class RippledBowl(Landscape):
    r"""A bowl with ripples: convex or not by one ratio, with a fractal boundary of trainability.

    .. math:: f(x) = \sum_{i=1}^{d} x_i^2 + h \cos(2 \pi x_i / l)

    It is convex if and only if h / l^2 <= 1 / (2 pi^2) = 0.0507; then the minimum is at the
    origin, otherwise at 2^d points beside it.  Gradient descent sees x / l and h / l^2 only.

    Parameters
    ----------
    dim : int
        Number of coordinates, at least 1.
    height : float or sequence
        Height h of the ripples, >= 0, dimensionless.
    length : float or sequence
        Wavelength l of the ripples, > 0, in units of x.

    References
    ----------
    Liu (2024), Complex fractal trainability boundary can arise from trivial non-convexity,
    arXiv 2406.13971.

    Examples
    --------
    >>> RippledBowl(dim=1).value([0.5])
    0.15
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-2.0, 2.0)

    dim: int = option(default=1, integer=Range(1))
    height: Values = parameter(default=0.1, lower=0.0)
    length: Values = parameter(default=1.0, lower=0.0, lower_open=True)

    def formula(self, x: Any, m: Any) -> Any:
        return sum(t**2 + self.height * m.cos(2 * m.pi * t / self.length) for t in x)

    @property
    def minima(self) -> FloatArray | None:
        k, h = 2.0 * math.pi / self.length, self.height
        if h * k * k <= 2.0:
            return np.zeros((1, self.dim))
        if 2**self.dim > MOST_POINTS:
            return None
        side = self._side()
        return np.array(list(itertools.product((-side, side), repeat=self.dim)))

    @property
    def minimum(self) -> float | None:
        k, h = 2.0 * math.pi / self.length, self.height
        if h * k * k <= 2.0:
            return float(self.dim * h)
        line = RippledBowl(dim=1, height=h, length=self.length)
        return self.dim * float(line.value([self._side()]))

    def _side(self) -> float:
        """Return the root of f' between the top at 0 and the cosine's first trough at l / 2."""
        k, h = 2.0 * math.pi / self.length, self.height
        return bisect(lambda x: 2.0 * x - h * k * math.sin(k * x), 1e-9 / k, math.pi / k)
