"""The monkey saddle, a degenerate critical point of order three."""

from __future__ import annotations

from typing import Any, ClassVar

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import CriticalPoint, Landscape
from fastdescent.landscapes._critical import points

__all__ = ["MonkeySaddle"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Take the real part of (x + i y)^3."""
    first, second, gx, gy = theta[0], theta[1], grad[0], grad[1]
    for lane in range(loss.shape[0]):
        x, y = first[lane], second[lane]
        loss[lane] = x * (x * x - 3.0 * y * y)
        gx[lane] = 3.0 * (x * x - y * y)
        gy[lane] = -6.0 * x * y


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Vanishes at the origin."""
    for lane in range(theta.shape[1]):
        x, y = theta[0, lane], theta[1, lane]
        hess[0, 0, lane] = 6.0 * x
        hess[0, 1, lane] = hess[1, 0, lane] = -6.0 * y
        hess[1, 1, lane] = -6.0 * x


class MonkeySaddle(Landscape):
    r"""The monkey saddle: three ways down, and a Hessian that is zero at the origin.

    .. math:: f(x, y) = x^3 - 3 x y^2

    The only critical point is the origin, where second derivatives decide nothing.  The
    function has no minimum.

    References
    ----------
    Hilbert and Cohn-Vossen (1932), Anschauliche Geometrie, section 29.

    Examples
    --------
    >>> MonkeySaddle().value([1.0, 2.0])
    -11.0
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-2.0, 2.0)
    dim: ClassVar = 2

    def formula(self, x: Any, m: Any) -> Any:
        return x[0] ** 3 - 3 * x[0] * x[1] ** 2

    def critical_points(self) -> list[CriticalPoint]:
        return points("degenerate", [(0.0, 0.0)])
