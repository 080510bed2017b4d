"""Ackley's function: a rippled plain around a pointed funnel."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import Landscape
from fastdescent.lanemath import cos, exp, sin, sincos
from fastdescent.parts import FloatArray, Range, Values, option, parameter

__all__ = ["Ackley"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Combine f = a (1 - exp(-b r)) + e - exp(m), r the root mean square, m the mean cosine."""
    dim, lanes = theta.shape
    a, b, c = params[0], params[1], params[2]
    square, funnel = grad[dim], grad[dim + 1]
    mean = 1.0 / dim
    square[:] = 0.0
    loss[:] = 0.0
    for i in range(dim):
        x, g = theta[i], grad[i]
        for lane in range(lanes):
            sine, cosine = sincos(c[lane] * x[lane])
            g[lane] = sine
            loss[lane] += mean * cosine
            square[lane] += mean * x[lane] * x[lane]
    for lane in range(lanes):
        r = np.sqrt(square[lane])
        e = exp(-b[lane] * r)
        ripple = exp(loss[lane])
        loss[lane] = a[lane] * (1.0 - e) + (np.e - ripple)
        # At the tip x = 0, so any finite slope makes its gradient 0.
        funnel[lane] = mean * a[lane] * b[lane] * e / (r if r > 0.0 else 1.0)
        square[lane] = mean * c[lane] * ripple
    for i in range(dim):
        x, g = theta[i], grad[i]
        for lane in range(lanes):
            g[lane] = funnel[lane] * x[lane] + square[lane] * g[lane]


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Funnel and ripples; at the origin the ripples only."""
    dim, lanes = theta.shape
    for lane in range(lanes):
        a, b, c = params[0, lane], params[1, lane], params[2, lane]
        square, cosines = 0.0, 0.0
        for i in range(dim):
            square += theta[i, lane] * theta[i, lane] / dim
            cosines += cos(c * theta[i, lane]) / dim
        r, ripple = np.sqrt(square), exp(cosines) * c * c / dim
        slope = a * b * exp(-b * r) / (dim * r) if r > 0.0 else 0.0
        # d slope / d x_j is bend x_j.
        bend = -slope * (b + 1.0 / r) / (dim * r) if r > 0.0 else 0.0
        for i in range(dim):
            x = theta[i, lane]
            s = sin(c * x)
            for j in range(dim):
                y = theta[j, lane]
                hess[i, j, lane] = bend * (x * y) - ripple * (s * sin(c * y)) / dim
            hess[i, i, lane] += slope + ripple * cos(c * x)


class Ackley(Landscape):
    r"""Ackley's function: a rippled plain around a deep, pointed funnel.

    .. math::

        f(x) = a - a \exp\Big(-b \sqrt{\tfrac1d \sum_i x_i^2}\Big)
               + e - \exp\Big(\tfrac1d \sum_i \cos c x_i\Big)

    The minimum 0 at the origin is the tip of a cone.  There the gradient is 0 and the Hessian
    that of the ripples, (e c^2 / d) I, by convention; everywhere else they are exact.  Beyond
    abs(c x) = 2^45 the value is NaN, as the angle is no longer resolved.

    Parameters
    ----------
    dim : int
        Number of coordinates, at least 1.
    a : float or sequence
        Depth of the funnel, >= 0, dimensionless.
    b : float or sequence
        Steepness of the funnel, > 0, in 1 / length.
    c : float or sequence
        Wave number of the ripples, >= 0, in radians / length.

    References
    ----------
    Ackley (1987), A Connectionist Machine for Genetic Hillclimbing, Kluwer, for d = 2; Bäck
    and Schwefel (1993), Evolutionary Computation 1, 1-23.

    Examples
    --------
    >>> Ackley(dim=2).value([1.0, 1.0])
    3.6253849384403636
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-32.768, 32.768)
    workspace: ClassVar = 2

    dim: int = option(default=2, integer=Range(1))
    a: Values = parameter(default=20.0, lower=0.0)
    b: Values = parameter(default=0.2, lower=0.0, lower_open=True)
    c: Values = parameter(default=2.0 * np.pi, lower=0.0)

    def formula(self, x: Any, m: Any) -> Any:
        r = m.sqrt(sum(t**2 for t in x) / self.dim)
        mean = sum(m.cos(self.c * t) for t in x) / self.dim
        return self.a - self.a * m.exp(-self.b * r) + m.exp(1) - m.exp(mean)

    @property
    def minima(self) -> FloatArray:
        return np.zeros((1, self.dim))

    @property
    def minimum(self) -> float:
        return 0.0
