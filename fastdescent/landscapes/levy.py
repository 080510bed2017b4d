"""Levy's function: a rippled parabolic trough."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import Landscape
from fastdescent.lanemath import cos, sincos, sincos_turns
from fastdescent.parts import FloatArray, Range, option

__all__ = ["Levy"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """In u = (x - 1) / 4, the distance of the published w from its minimum at 1."""
    dim, lanes = theta.shape
    x, g = theta[0], grad[0]
    for lane in range(lanes):
        s, c = sincos_turns(0.125 * (x[lane] - 1.0))
        loss[lane] = s * s
        g[lane] = 0.5 * np.pi * s * c
    for i in range(dim - 1):
        x, g = theta[i], grad[i]
        for lane in range(lanes):
            u = 0.25 * (x[lane] - 1.0)
            s, c = sincos(np.pi * u + 1.0)
            p = 1.0 + 10.0 * s * s
            loss[lane] += u * u * p
            h = 0.5 * u * p + 5.0 * np.pi * u * u * s * c
            g[lane] = g[lane] + h if i == 0 else h
    x, g = theta[dim - 1], grad[dim - 1]
    for lane in range(lanes):
        u = 0.25 * (x[lane] - 1.0)
        s, c = sincos_turns(u)
        p = 1.0 + s * s
        loss[lane] += u * u * p
        h = 0.5 * u * p + np.pi * u * u * s * c
        g[lane] = g[lane] + h if dim == 1 else h


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Diagonal."""
    dim, lanes = theta.shape
    hess[:] = 0.0
    turn = 2.0 * np.pi
    for i in range(dim):
        weight, shift = (5.0, 2.0) if i < dim - 1 else (0.5, 0.0)
        k = turn if i < dim - 1 else 2.0 * turn
        for lane in range(lanes):
            u = 0.25 * (theta[i, lane] - 1.0)
            s, c = sincos(k * u + shift)
            ripple = 2.0 * (1.0 - c) + 4.0 * k * u * s + k * k * u * u * c
            first = 0.5 * turn * turn * cos(turn * u) if i == 0 else 0.0
            hess[i, i, lane] = (2.0 + weight * ripple + first) / 16.0


class Levy(Landscape):
    r"""Levy's function: a trough with ripples of growing height.

    .. math::

        f(x) = \sin^2 \pi w_1 + \sum_{i=1}^{d-1} (w_i - 1)^2 (1 + 10 \sin^2(\pi w_i + 1))
               + (w_d - 1)^2 (1 + \sin^2 2 \pi w_d)

    with w_i = 1 + (x_i - 1) / 4.  The minimum is 0 at (1, ..., 1).  Beyond abs(x) = 2^45 the
    value is NaN, as the angle is no longer resolved.

    Parameters
    ----------
    dim : int
        Number of coordinates, at least 1.

    References
    ----------
    Levy and Montalvo (1985), SIAM J. Sci. Stat. Comput. 6, 15-29; this form: Laguna and Martí
    (2005), J. Global Optim. 33, 235-255.

    Examples
    --------
    >>> Levy(dim=2).value([0.0, 0.0])
    0.7158445541169746
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-10.0, 10.0)

    dim: int = option(default=2, integer=Range(1))

    def formula(self, x: Any, m: Any) -> Any:
        w = [1 + (t - 1) / 4 for t in x]
        inner = sum((t - 1) ** 2 * (1 + 10 * m.sin(m.pi * t + 1) ** 2) for t in w[:-1])
        last = (w[-1] - 1) ** 2 * (1 + m.sin(2 * m.pi * w[-1]) ** 2)
        return m.sin(m.pi * w[0]) ** 2 + inner + last

    @property
    def minima(self) -> FloatArray:
        return np.ones((1, self.dim))

    @property
    def minimum(self) -> float:
        return 0.0
