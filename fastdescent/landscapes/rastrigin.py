"""Rastrigin's function: a bowl full of dimples."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import CriticalPoint, Landscape
from fastdescent.landscapes._critical import MOST_POINTS, points, product_points, roots
from fastdescent.lanemath import sincos_turns
from fastdescent.parts import FloatArray, Range, Values, option, parameter

__all__ = ["Rastrigin"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """1 - cos(2 pi x) = 2 sin(pi x)^2 keeps its digits near the minimum."""
    amplitude = params[0]
    loss[:] = 0.0
    for i in range(theta.shape[0]):
        x, g = theta[i], grad[i]
        for lane in range(loss.shape[0]):
            s, c = sincos_turns(0.5 * x[lane])
            a = 2.0 * amplitude[lane] * s
            loss[lane] += x[lane] * x[lane] + a * s
            g[lane] = 2.0 * (x[lane] + np.pi * a * c)


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Diagonal."""
    hess[:] = 0.0
    for i in range(theta.shape[0]):
        for lane in range(theta.shape[1]):
            c = sincos_turns(theta[i, lane])[1]
            hess[i, i, lane] = 2.0 + 4.0 * np.pi * np.pi * params[0, lane] * c


class Rastrigin(Landscape):
    r"""Rastrigin's function: a bowl with a regular pattern of minima.

    .. math:: f(x) = \sum_{i=1}^{d} x_i^2 + A (1 - \cos 2 \pi x_i)

    The minimum is 0 at the origin.  For A = 10 the domain holds 11^d minima; they and the
    other critical points are listed up to d = 2.  Beyond abs(x) = 2^45 the value is NaN, as
    the angle is no longer resolved.

    Parameters
    ----------
    dim : int
        Number of coordinates, at least 1.
    amplitude : float or sequence
        Height A of the ripples, >= 0, dimensionless; 0 leaves a bowl of curvature 2.

    References
    ----------
    Rastrigin (1974), Systems of Extremal Control, Nauka, for d = 2; Mühlenbein, Schomisch and
    Born (1991), Parallel Computing 17, 619-632.

    Examples
    --------
    >>> Rastrigin(dim=2).value([0.5, 0.5])
    40.5
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-5.12, 5.12)

    dim: int = option(default=2, integer=Range(1))
    amplitude: Values = parameter(default=10.0, lower=0.0)

    def formula(self, x: Any, m: Any) -> Any:
        return sum(t**2 + self.amplitude * (1 - m.cos(2 * m.pi * t)) for t in x)

    def critical_points(self) -> list[CriticalPoint]:
        turn, a = 2.0 * math.pi, self.amplitude
        # An odd number of cells: the origin lies inside one.
        axis = roots(lambda x: 2.0 * x + turn * a * math.sin(turn * x), -5.12, 5.12, 1001)
        axis = sorted(axis, key=abs)
        if len(axis) ** self.dim > MOST_POINTS:
            return points("minimum", self.minima)
        return product_points(axis, lambda x: 2.0 + turn**2 * a * math.cos(turn * x), self.dim)

    @property
    def minima(self) -> FloatArray:
        return np.zeros((1, self.dim))

    @property
    def minimum(self) -> float:
        return 0.0
