"""The Goldstein-Price function."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import CriticalPoint, Landscape
from fastdescent.landscapes._critical import points
from fastdescent.parts import FloatArray

__all__ = ["GoldsteinPrice"]


def _position(s: float, t: float) -> tuple[float, float]:
    return (3.0 * s + t) / 5.0, (2.0 * s - t) / 5.0


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Multiply two quartics p(s) and q(t), s = x + y and t = 2 x - 3 y."""
    first, second, gx, gy = theta[0], theta[1], grad[0], grad[1]
    for lane in range(loss.shape[0]):
        x, y = first[lane], second[lane]
        s, t = x + y, 2.0 * x - 3.0 * y
        p = 1.0 + (s + 1.0) * (s + 1.0) * (19.0 + s * (3.0 * s - 14.0))
        q = 30.0 + t * t * (18.0 + t * (3.0 * t - 16.0))
        ps = 12.0 * (s - 2.0) * (s * s - 1.0) * q
        qt = 12.0 * t * (t - 1.0) * (t - 3.0) * p
        loss[lane] = p * q
        gx[lane] = ps + 2.0 * qt
        gy[lane] = ps - 3.0 * qt


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Second derivatives in s and t, turned into x and y."""
    for lane in range(theta.shape[1]):
        x, y = theta[0, lane], theta[1, lane]
        s, t = x + y, 2.0 * x - 3.0 * y
        p = 1.0 + (s + 1.0) * (s + 1.0) * (19.0 + s * (3.0 * s - 14.0))
        q = 30.0 + t * t * (18.0 + t * (3.0 * t - 16.0))
        ss = 12.0 * (s * (3.0 * s - 4.0) - 1.0) * q
        tt = 12.0 * (t * (3.0 * t - 8.0) + 3.0) * p
        st = 144.0 * (s - 2.0) * (s * s - 1.0) * t * (t - 1.0) * (t - 3.0)
        hess[0, 0, lane] = ss + 4.0 * st + 4.0 * tt
        hess[0, 1, lane] = hess[1, 0, lane] = ss - st - 6.0 * tt
        hess[1, 1, lane] = ss - 6.0 * st + 9.0 * tt


class GoldsteinPrice(Landscape):
    r"""The Goldstein-Price function: values over six orders of magnitude.

    .. math::

        f(x, y) = \; & [1 + (x + y + 1)^2 (19 - 14 x + 3 x^2 - 14 y + 6 x y + 3 y^2)] \\
        \times \; & [30 + (2 x - 3 y)^2 (18 - 32 x + 12 x^2 + 48 y - 36 x y + 27 y^2)]

    It is a product p(s) q(t) of quartics in s = x + y and t = 2 x - 3 y with derivatives
    12 (s - 2)(s^2 - 1) and 12 t (t - 1)(t - 3), which gives its nine critical points in
    closed form: minima 3 (global), 30, 84 and 840, saddles 35, 99, 980 and 990, maximum 1155.
    Their largest eigenvalues go from 965 to 26216, so no learning rate suits all four.

    References
    ----------
    Goldstein and Price (1971), Mathematics of Computation 25, 569-574.

    Examples
    --------
    >>> GoldsteinPrice().value([[0.0, -1.0], [1.0, 1.0]])
    array([   3., 1876.])
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-2.0, 2.0)
    dim: ClassVar = 2

    def formula(self, x: Any, m: Any) -> Any:
        x, y = x
        p = 19 - 14 * x + 3 * x**2 - 14 * y + 6 * x * y + 3 * y**2
        q = 18 - 32 * x + 12 * x**2 + 48 * y - 36 * x * y + 27 * y**2
        return (1 + (x + y + 1) ** 2 * p) * (30 + (2 * x - 3 * y) ** 2 * q)

    @property
    def minima(self) -> FloatArray:
        return np.array([[0.0, -1.0]])

    @property
    def minimum(self) -> float:
        return 3.0

    def critical_points(self) -> list[CriticalPoint]:
        # Each factor is positive, with minima at s = -1, 2 and t = 0, 3, maxima at 1 and 1.
        return (
            points("minimum", [_position(s, t) for t in (3.0, 0.0) for s in (-1.0, 2.0)])
            + points("saddle", [_position(s, 1.0) for s in (-1.0, 2.0)])
            + points("saddle", [_position(1.0, t) for t in (0.0, 3.0)])
            + points("maximum", [_position(1.0, 1.0)])
        )
