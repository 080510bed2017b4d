"""A convex function on which tuned heavy ball runs in circles."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import Landscape
from fastdescent.parts import FloatArray

__all__ = ["Lessard"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Bend the slope twice: 25 x - 24 max(x - 1, 0) + 24 max(x - 2, 0)."""
    x, g = theta[0], grad[0]
    for lane in range(loss.shape[0]):
        u = x[lane] - 1.0 if x[lane] > 1.0 else 0.0
        v = x[lane] - 2.0 if x[lane] > 2.0 else 0.0
        loss[lane] = 12.5 * x[lane] * x[lane] - 12.0 * (u * u - v * v)
        g[lane] = 25.0 * x[lane] - 24.0 * (u - v)


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Curvature 25 outside [1, 2), 1 inside."""
    for lane in range(theta.shape[1]):
        x = theta[0, lane]
        hess[0, 0, lane] = 1.0 if 1.0 <= x < 2.0 else 25.0


class Lessard(Landscape):
    r"""A strongly convex function on which heavy ball, tuned for quadratics, never converges.

    .. math:: f'(x) = 25 x \ (x < 1), \quad x + 24 \ (1 \le x < 2), \quad 25 x - 24 \ (x \ge 2)

    with f(0) = 0, the minimum.  With learning rate 1/9 and momentum 4/9, the best ones for
    curvatures between 1 and 25, heavy ball has the stable 3-cycle 792/1225, -2208/1225,
    2592/1225; a start at rest at x = 3.3 falls into it.  The gradient is continuous; at the
    joins 1 and 2 the Hessian given is that to the right.

    References
    ----------
    Lessard, Recht and Packard (2016), SIAM J. Optim. 26, 57-95, on heavy ball.

    Examples
    --------
    >>> Lessard().gradient([[0.5], [1.5], [3.0]]).ravel()
    array([12.5, 25.5, 51. ])
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-10.0, 10.0)
    dim: ClassVar = 1

    def formula(self, x: Any, m: Any) -> Any:
        # max(t, 0)^2 = t (t + |t|) / 2
        u, v = x[0] - 1, x[0] - 2
        return 25 * x[0] ** 2 / 2 - 6 * u * (u + abs(u)) + 6 * v * (v + abs(v))

    @property
    def minima(self) -> FloatArray:
        return np.zeros((1, 1))

    @property
    def minimum(self) -> float:
        return 0.0
