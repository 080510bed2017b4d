"""Michalewicz' function: steep narrow valleys in a flat field."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import Landscape
from fastdescent.landscapes._critical import bisect
from fastdescent.lanemath import sincos
from fastdescent.parts import FloatArray, Range, option

__all__ = ["Michalewicz"]


def _deepest(i: int) -> float:
    """Return the deepest valley of coordinate i, one of those around x = pi / 2."""

    def slope(x: float) -> float:
        angle = i * x * x / math.pi
        return math.cos(x) * math.sin(angle) + 40 * i * x / math.pi * math.sin(x) * math.cos(angle)

    # Valley n lies between the zeros n pi and (n + 1) pi of the inner sine.
    near = range(max(0, i // 4 - 2), min(i, i // 4 + 3))
    ends = [(math.pi * math.sqrt(n / i), math.pi * math.sqrt((n + 1) / i)) for n in near]
    margin = 1e-6 / i
    valleys = [bisect(slope, a + margin, b - margin) for a, b in ends]
    return max(valleys, key=lambda x: math.sin(x) * math.sin(i * x * x / math.pi) ** 20)


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """sin(x) sin(k x^2)^20 in each coordinate, k = i / pi."""
    loss[:] = 0.0
    for i in range(theta.shape[0]):
        x, g, k = theta[i], grad[i], (i + 1.0) / np.pi
        for lane in range(loss.shape[0]):
            s, c = sincos(x[lane])
            t, u = sincos(k * x[lane] * x[lane])
            t2 = t * t
            t4 = t2 * t2
            t8 = t4 * t4
            t19 = t8 * t8 * t2 * t
            loss[lane] -= s * t19 * t
            g[lane] = -t19 * (c * t + 40.0 * k * x[lane] * s * u)


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Diagonal."""
    hess[:] = 0.0
    for i in range(theta.shape[0]):
        k = (i + 1.0) / np.pi
        for lane in range(theta.shape[1]):
            x = theta[i, lane]
            s, c = sincos(x)
            t, u = sincos(k * x * x)
            t2 = t * t
            t4 = t2 * t2
            t18 = t4 * t4 * t4 * t4 * t2
            w = 2.0 * k * x  # the derivative of the inner angle
            inner = 20.0 * t * (2.0 * c * w * u + 2.0 * k * s * u)
            inner += 20.0 * s * w * w * (19.0 * u * u - t2)
            hess[i, i, lane] = t18 * (s * t2 - inner)


class Michalewicz(Landscape):
    r"""Michalewicz' function: narrow valleys in a field that is almost flat.

    .. math:: f(x) = -\sum_{i=1}^{d} \sin(x_i) \sin^{20}(i x_i^2 / \pi)

    This is the usual steepness m = 10.  The minimum is that of the domain [0, pi]^d: the
    deepest of the i valleys of each coordinate, -1.8013 for d = 2, -4.6877 for d = 5 and
    -9.6602 for d = 10.  Beyond x^2 = 2^45 the value is NaN, as the angle is no longer
    resolved.

    Parameters
    ----------
    dim : int
        Number of coordinates, at least 1.

    References
    ----------
    Michalewicz (1992), Genetic Algorithms + Data Structures = Evolution Programs, Springer.

    Examples
    --------
    >>> Michalewicz(dim=2).minimum
    -1.8013034100985528
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (0.0, np.pi)

    dim: int = option(default=2, integer=Range(1))

    def formula(self, x: Any, m: Any) -> Any:
        rows = range(self.dim)
        return -sum(m.sin(x[i]) * m.sin((i + 1) * x[i] ** 2 / m.pi) ** 20 for i in rows)

    @property
    def minima(self) -> FloatArray:
        return np.array([[_deepest(i) for i in range(1, self.dim + 1)]])
