"""Easom's function: a needle in a flat field."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import CriticalPoint, Landscape
from fastdescent.landscapes._critical import bisect, points
from fastdescent.lanemath import exp, sincos
from fastdescent.parts import FloatArray

__all__ = ["Easom"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Two cosines under one Gaussian, both centred at pi."""
    first, second, gx, gy = theta[0], theta[1], grad[0], grad[1]
    for lane in range(loss.shape[0]):
        x, y = first[lane], second[lane]
        u, v = x - np.pi, y - np.pi
        su, cu = sincos(u)
        sv, cv = sincos(v)
        e = exp(-u * u - v * v)
        loss[lane] = -cu * cv * e
        gx[lane] = (su + 2.0 * u * cu) * cv * e
        gy[lane] = (sv + 2.0 * v * cv) * cu * e


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Products of one factor's derivatives, p = g' and q = g'' of g = cos(u) exp(-u^2)."""
    for lane in range(theta.shape[1]):
        x, y = theta[0, lane], theta[1, lane]
        u, v = x - np.pi, y - np.pi
        su, cu = sincos(u)
        sv, cv = sincos(v)
        e = exp(-u * u - v * v)
        pu, pv = -su - 2.0 * u * cu, -sv - 2.0 * v * cv
        qu = (4.0 * u * u - 3.0) * cu + 4.0 * u * su
        qv = (4.0 * v * v - 3.0) * cv + 4.0 * v * sv
        hess[0, 0, lane] = -qu * cv * e
        hess[0, 1, lane] = hess[1, 0, lane] = -pu * pv * e
        hess[1, 1, lane] = -cu * qv * e


class Easom(Landscape):
    r"""Easom's function: one narrow well in a field that is flat to rounding error.

    .. math:: f(x, y) = -\cos x \cos y \, \exp(-(x - \pi)^2 - (y - \pi)^2)

    The minimum is -1 at (pi, pi), with Hessian 3 I.  Around it stand four ridges of height
    0.009 and four shallow minima of depth 8e-5; farther out the gradient underflows to
    exactly 0, so a first-order rule that starts there never moves.  Beyond
    abs(x) = 2^45 the value is NaN, as the angle is no longer resolved.

    References
    ----------
    Easom (1990), A survey of global optimization techniques, M. Eng. thesis, University of
    Louisville.

    Examples
    --------
    >>> Easom().value([3.0, 3.0])
    -0.9415641575364947
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-100.0, 100.0)
    dim: ClassVar = 2

    def formula(self, x: Any, m: Any) -> Any:
        x, y = x
        return -m.cos(x) * m.cos(y) * m.exp(-((x - m.pi) ** 2) - (y - m.pi) ** 2)

    @property
    def minima(self) -> FloatArray:
        return np.full((1, 2), np.pi)

    @property
    def minimum(self) -> float:
        return -1.0

    def critical_points(self) -> list[CriticalPoint]:
        # g = cos(u) exp(-u^2) has its maximum at 0 and minima where tan(u) = -2 u.
        side = bisect(lambda u: math.sin(u) + 2.0 * u * math.cos(u), 1.6, 2.0)
        steps = (-side, side)
        corners = [(np.pi + u, np.pi + v) for u in steps for v in steps]
        ridges = [(np.pi + u, np.pi) for u in steps] + [(np.pi, np.pi + u) for u in steps]
        zeros = [(u, v) for u in (np.pi / 2, 3 * np.pi / 2) for v in (np.pi / 2, 3 * np.pi / 2)]
        return (
            points("minimum", [*self.minima, *corners])
            + points("saddle", zeros)
            + points("maximum", ridges)
        )
