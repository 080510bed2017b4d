"""A saddle of order four, with a zero Hessian."""

from __future__ import annotations

from typing import Any, ClassVar

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import CriticalPoint, Landscape
from fastdescent.landscapes._critical import points

__all__ = ["DegenerateSaddle"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Subtract two quartics."""
    first, second, gx, gy = theta[0], theta[1], grad[0], grad[1]
    for lane in range(loss.shape[0]):
        x, y = first[lane], second[lane]
        loss[lane] = x * x * x * x - y * y * y * y
        gx[lane] = 4.0 * x * x * x
        gy[lane] = -4.0 * y * y * y


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Vanishes at the origin."""
    for lane in range(theta.shape[1]):
        x, y = theta[0, lane], theta[1, lane]
        hess[0, 0, lane] = 12.0 * x * x
        hess[0, 1, lane] = hess[1, 0, lane] = 0.0
        hess[1, 1, lane] = -12.0 * y * y


class DegenerateSaddle(Landscape):
    r"""A flat saddle: it falls along y, but its Hessian is zero at the origin.

    .. math:: f(x, y) = x^4 - y^4

    The only critical point is the origin, where second derivatives decide nothing; rules
    leave it far more slowly than a saddle with curvature.  The function has no minimum.

    References
    ----------
    Poston and Stewart (1978), Catastrophe Theory and its Applications, on degenerate
    critical points.

    Examples
    --------
    >>> DegenerateSaddle().value([1.0, 2.0])
    -15.0
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-2.0, 2.0)
    dim: ClassVar = 2

    def formula(self, x: Any, m: Any) -> Any:
        return x[0] ** 4 - x[1] ** 4

    def critical_points(self) -> list[CriticalPoint]:
        return points("degenerate", [(0.0, 0.0)])
