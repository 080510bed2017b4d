"""Schwefel's function: the best minimum is far from the next best."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import CriticalPoint, Landscape
from fastdescent.landscapes._critical import MOST_POINTS, points, product_points, roots
from fastdescent.lanemath import sincos
from fastdescent.parts import FloatArray, Range, option

__all__ = ["Schwefel"]

# The best point of one coordinate and its value: tan(r) = -r / 2 with r = sqrt(x).
_BEST = 420.9687463599820273
_CONSTANT = 418.9828872724337063


def _curvature(x: float) -> float:
    r = math.sqrt(abs(x))
    bend = 0.25 * math.sin(r) - 0.75 * math.cos(r) / r
    return bend if x > 0.0 else -bend


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Derive x sin(r), r = sqrt(abs(x)), without division: sin(r) + r cos(r) / 2."""
    loss[:] = 0.0
    for i in range(theta.shape[0]):
        x, g = theta[i], grad[i]
        for lane in range(loss.shape[0]):
            r = np.sqrt(abs(x[lane]))
            s, c = sincos(r)
            loss[lane] += _CONSTANT - x[lane] * s
            g[lane] = -s - 0.5 * r * c


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Diagonal; 0 by convention where it is infinite."""
    hess[:] = 0.0
    for i in range(theta.shape[0]):
        for lane in range(theta.shape[1]):
            x = theta[i, lane]
            r = np.sqrt(abs(x))
            s, c = sincos(r)
            bend = 0.25 * s - 0.75 * c / r if r > 0.0 else 0.0
            hess[i, i, lane] = bend if x > 0.0 else -bend


class Schwefel(Landscape):
    r"""Schwefel's function: the best minimum lies at the edge, far from the next best.

    .. math:: f(x) = 418.98288727 \, d - \sum_{i=1}^{d} x_i \sin \sqrt{|x_i|}

    The minimum 0 at x_i = 420.9687 is that of the domain: outside it the function falls
    without end.  (The constant is 418.9828872724337; the printed 418.9829 leaves a minimum of
    1.3e-5 d.)  At x_i = 0 the function has an inflection with gradient 0; the second
    derivative goes to -infinity from the right and +infinity from the left there and is
    given as 0.  The critical points inside the domain with no coordinate 0 are listed up to
    d = 2.

    Parameters
    ----------
    dim : int
        Number of coordinates, at least 1.

    References
    ----------
    Schwefel (1981), Numerical Optimization of Computer Models, Wiley.

    Examples
    --------
    >>> Schwefel(dim=2).value([0.0, 0.0])
    837.9657745448674
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-500.0, 500.0)

    dim: int = option(default=2, integer=Range(1))

    def formula(self, x: Any, m: Any) -> Any:
        return _CONSTANT * self.dim - sum(t * m.sin(m.sqrt(abs(t))) for t in x)

    @property
    def minima(self) -> FloatArray:
        return np.full((1, self.dim), _BEST)

    @property
    def minimum(self) -> float:
        return 0.0

    def critical_points(self) -> list[CriticalPoint]:
        steps = roots(lambda r: math.sin(r) + 0.5 * r * math.cos(r), 0.5, math.sqrt(500.0), 200)
        axis = [sign * r * r for r in reversed(steps) for sign in (1.0, -1.0)]
        if len(axis) ** self.dim > MOST_POINTS:
            return points("minimum", self.minima)
        return product_points(axis, _curvature, self.dim)
