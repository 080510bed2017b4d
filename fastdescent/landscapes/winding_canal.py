"""A canal that winds like a sine."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import Landscape
from fastdescent.lanemath import sincos
from fastdescent.parts import FloatArray, Values, parameter

__all__ = ["WindingCanal"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """One residual across the canal, a weak slope along it."""
    first, second, gx, gy = theta[0], theta[1], grad[0], grad[1]
    width, curvature, slope = params[0], params[1], params[2]
    for lane in range(loss.shape[0]):
        x, y = first[lane], second[lane]
        s, c = sincos(x)
        across = 1.0 / width[lane]
        r = (y - curvature[lane] * s) * across
        loss[lane] = 0.5 * (r * r + slope[lane] * x * x)
        gx[lane] = slope[lane] * x - curvature[lane] * c * across * r
        gy[lane] = across * r


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Gauss-Newton part, bend of the floor, slope."""
    for lane in range(theta.shape[1]):
        x, y = theta[0, lane], theta[1, lane]
        s, c = sincos(x)
        wall = 1.0 / (params[0, lane] * params[0, lane])
        bend = params[1, lane]
        r = y - bend * s
        hess[0, 0, lane] = wall * (bend * c * bend * c + r * bend * s) + params[2, lane]
        hess[0, 1, lane] = hess[1, 0, lane] = -wall * bend * c
        hess[1, 1, lane] = wall


class WindingCanal(Landscape):
    r"""A winding canal: steep walls along a sine, a weak slope to its middle.

    .. math:: f(x, y) = \frac12 \left(\frac{y - c \sin x}{w}\right)^2 + \frac12 s x^2

    The floor y = c sin x has curvature c at its bends; the walls have curvature 1 / w^2.
    The only critical point is the minimum 0 at the origin.

    Parameters
    ----------
    width : float or sequence
        Width w of the canal, > 0: the loss on the walls is 1/2 at this distance (in y).
    curvature : float or sequence
        Curvature c of the floor at its bends, >= 0, in 1 / length; also its amplitude.
    slope : float or sequence
        Curvature s of the loss along the floor, > 0, dimensionless.

    References
    ----------
    This package; the idea of a curved valley is Rosenbrock's (1960), The Computer Journal 3.

    Examples
    --------
    >>> WindingCanal(width=0.5).value([0.0, 1.0])
    2.0
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = ((-10.0, 10.0), (-3.0, 3.0))
    dim: ClassVar = 2

    width: Values = parameter(default=0.1, lower=0.0, lower_open=True)
    curvature: Values = parameter(default=1.0, lower=0.0)
    slope: Values = parameter(default=0.1, lower=0.0, lower_open=True)

    def formula(self, x: Any, m: Any) -> Any:
        x, y = x
        return ((y - self.curvature * m.sin(x)) / self.width) ** 2 / 2 + self.slope * x**2 / 2

    @property
    def minima(self) -> FloatArray:
        return np.zeros((1, 2))

    @property
    def minimum(self) -> float:
        return 0.0
