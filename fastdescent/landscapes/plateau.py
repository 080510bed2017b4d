"""A plateau with a basin inside."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import Landscape
from fastdescent.lanemath import exp
from fastdescent.parts import FloatArray, Range, Values, option, parameter

__all__ = ["Plateau"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Everything depends on q = |x|^2 / (2 w^2); the workspace keeps its slope."""
    dim, lanes = theta.shape
    width, slope, factor = params[0], params[1], grad[dim]
    loss[:] = 0.0
    for i in range(dim):
        x = theta[i]
        for lane in range(lanes):
            loss[lane] += x[lane] * x[lane]
    for lane in range(lanes):
        scale = 1.0 / (width[lane] * width[lane])
        q = 0.5 * scale * loss[lane]
        e = exp(-q)
        loss[lane] = 1.0 - e + slope[lane] * q
        factor[lane] = scale * (e + slope[lane])
    for i in range(dim):
        x, g = theta[i], grad[i]
        for lane in range(lanes):
            g[lane] = factor[lane] * x[lane]


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Subtract a multiple of x x^T from one of the identity."""
    dim, lanes = theta.shape
    for lane in range(lanes):
        scale = 1.0 / (params[0, lane] * params[0, lane])
        q = 0.0
        for i in range(dim):
            q += 0.5 * scale * theta[i, lane] * theta[i, lane]
        e = exp(-q)
        for i in range(dim):
            for j in range(dim):
                hess[i, j, lane] = -scale * scale * e * (theta[i, lane] * theta[j, lane])
            hess[i, i, lane] += scale * (e + params[1, lane])


class Plateau(Landscape):
    r"""A plateau with a round basin inside: no gradient where most starts lie.

    .. math:: f(x) = 1 - e^{-q} + s q, \quad q = \frac{|x|^2}{2 w^2}

    The only critical point is the minimum 0 at the origin, with curvature (1 + s) / w^2; from
    abs(x) = w on the surface is concave along the radius (if s = 0).  At s = 0 the gradient
    fades like exp(-q) and is exactly 0 beyond abs(x) = 38.7 w.

    Parameters
    ----------
    dim : int
        Number of coordinates, at least 1.
    width : float or sequence
        Radius w of the basin, > 0, in units of x.
    slope : float or sequence
        Slope s of the plateau towards the basin, >= 0, dimensionless; 0 is flat.

    References
    ----------
    This package; the well is a Gaussian, as in Gallagher and Yuan (2006), IEEE Trans. Evol.
    Comput. 10, 590-603.

    Examples
    --------
    >>> Plateau(dim=2).value([[0.0, 0.0], [9.0, 9.0]])
    array([0., 1.])
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-5.0, 5.0)
    workspace: ClassVar = 1

    dim: int = option(default=2, integer=Range(1))
    width: Values = parameter(default=1.0, lower=0.0, lower_open=True)
    slope: Values = parameter(default=0.0, lower=0.0)

    def formula(self, x: Any, m: Any) -> Any:
        q = sum(t**2 for t in x) / (2 * self.width**2)
        return 1 - m.exp(-q) + self.slope * q

    @property
    def minima(self) -> FloatArray:
        return np.zeros((1, self.dim))

    @property
    def minimum(self) -> float:
        return 0.0
