"""A saddle with one way down."""

from __future__ import annotations

from typing import Any, ClassVar

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import CriticalPoint, Landscape
from fastdescent.landscapes._critical import points
from fastdescent.parts import Values, parameter

__all__ = ["Saddle"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Half a square up, half a square down."""
    first, second, gx, gy = theta[0], theta[1], grad[0], grad[1]
    curvature = params[0]
    for lane in range(loss.shape[0]):
        x, y = first[lane], second[lane]
        c = curvature[lane]
        loss[lane] = 0.5 * (x * x - c * y * y)
        gx[lane] = x
        gy[lane] = -c * y


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Constant, eigenvalues 1 and -c."""
    for lane in range(theta.shape[1]):
        hess[0, 0, lane] = 1.0
        hess[0, 1, lane] = hess[1, 0, lane] = 0.0
        hess[1, 1, lane] = -params[0, lane]


class Saddle(Landscape):
    r"""A saddle: curvature 1 along x, minus `curvature` along y.

    .. math:: f(x, y) = (x^2 - c y^2) / 2

    The only critical point is the saddle at the origin.  Gradient descent leaves it like
    (1 + learning rate c)^t.  The function has no minimum.

    Parameters
    ----------
    curvature : float or sequence
        Downward curvature c, > 0, dimensionless.

    References
    ----------
    Dauphin et al. (2014), NIPS 27, 2933-2941, on saddles and first-order rules.

    Examples
    --------
    >>> Saddle(curvature=2.0).value([1.0, 2.0])
    -3.5
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-2.0, 2.0)
    dim: ClassVar = 2

    curvature: Values = parameter(default=1.0, lower=0.0, lower_open=True)

    def formula(self, x: Any, m: Any) -> Any:
        return (x[0] ** 2 - self.curvature * x[1] ** 2) / 2

    def critical_points(self) -> list[CriticalPoint]:
        return points("saddle", [(0.0, 0.0)])
