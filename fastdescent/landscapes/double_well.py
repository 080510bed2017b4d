"""A tilted double well in one dimension."""

from __future__ import annotations

import itertools
import math
from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import CriticalPoint, Landscape
from fastdescent.landscapes._critical import bisect, points
from fastdescent.parts import FloatArray, Values, parameter

__all__ = ["DoubleWell"]


def _wells(tilt: float) -> list[float]:
    """Return the roots of 4 x^3 - 6 x + tilt, the deepest well first: one or three."""

    def slope(x: float) -> float:
        return x * (4.0 * x * x - 6.0) + tilt

    # One root beside and between the extrema of the slope, at +-sqrt(1/2).
    ends = [-2.0 - abs(tilt), -math.sqrt(0.5), math.sqrt(0.5), 2.0 + abs(tilt)]
    pairs = itertools.pairwise(ends)
    found = [bisect(slope, a, b) for a, b in pairs if (slope(a) > 0.0) != (slope(b) > 0.0)]
    return found[::-1] if tilt < 0.0 else found


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Tilt a quartic."""
    x, g, tilt = theta[0], grad[0], params[0]
    for lane in range(loss.shape[0]):
        z = x[lane] * x[lane]
        loss[lane] = x[lane] * (x[lane] * (z - 3.0) + tilt[lane])
        g[lane] = x[lane] * (4.0 * z - 6.0) + tilt[lane]


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Concave between the inflections at +-sqrt(1/2)."""
    for lane in range(theta.shape[1]):
        hess[0, 0, lane] = 12.0 * theta[0, lane] * theta[0, lane] - 6.0


class DoubleWell(Landscape):
    r"""A double well in one dimension: a local minimum, a barrier and a global minimum.

    .. math:: f(x) = x^4 - 3 x^2 + t x

    For t = 1 the global minimum is -3.5139 at -1.3008, the local one -1.0702 at 1.1309, the
    barrier 0.0841 at 0.1699.  There are two wells while abs(t) < 2 sqrt(2), of equal depth at
    t = 0.

    Parameters
    ----------
    tilt : float or sequence
        Tilt t towards the left well, dimensionless; negative tilts to the right.

    References
    ----------
    Sutskever et al. (2013), ICML, on momentum; the function stands for the momentum figure of
    the course notes.

    Examples
    --------
    >>> DoubleWell().minima
    array([[-1.30083957]])
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-2.0, 2.0)
    dim: ClassVar = 1

    tilt: Values = parameter(default=1.0)

    def formula(self, x: Any, m: Any) -> Any:
        return x[0] ** 4 - 3 * x[0] ** 2 + self.tilt * x[0]

    @property
    def minima(self) -> FloatArray:
        wells = _wells(self.tilt)
        return np.array([[wells[0]], [wells[-1]]] if self.tilt == 0.0 else [[wells[0]]])

    def critical_points(self) -> list[CriticalPoint]:
        wells = _wells(self.tilt)
        if len(wells) == 1:
            return points("minimum", [wells])
        deep, barrier, shallow = wells
        return points("minimum", [[deep], [shallow]]) + points("maximum", [[barrier]])
