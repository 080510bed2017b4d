"""The error surface of one sigmoid neuron: valleys between dead plateaus."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes._base import Landscape
from fastdescent.lanemath import sigmoid
from fastdescent.parts import FloatArray

__all__ = ["SigmoidValley"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Two samples; a sigmoid's slope is s (1 - s)."""
    first, second, gx, gy = theta[0], theta[1], grad[0], grad[1]
    for lane in range(loss.shape[0]):
        x, y = first[lane], second[lane]
        s = sigmoid(0.5 * x + y)
        t = sigmoid(2.5 * x + y)
        a, b = s - 0.2, t - 0.9
        # A saturated sigmoid would hide that theta is no longer finite.
        loss[lane] = 0.5 * (a * a + b * b) + 0.0 * (x + y)
        p, q = a * s * (1.0 - s), b * t * (1.0 - t)
        gx[lane] = 0.5 * p + 2.5 * q
        gy[lane] = p + q


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Each sample adds its second derivative times the outer product of (input, 1)."""
    for lane in range(theta.shape[1]):
        x, y = theta[0, lane], theta[1, lane]
        s = sigmoid(0.5 * x + y)
        t = sigmoid(2.5 * x + y)
        p, q = s * (1.0 - s), t * (1.0 - t)
        p *= p + (s - 0.2) * (1.0 - 2.0 * s)
        q *= q + (t - 0.9) * (1.0 - 2.0 * t)
        hess[0, 0, lane] = 0.25 * p + 6.25 * q
        hess[0, 1, lane] = hess[1, 0, lane] = 0.5 * p + 2.5 * q
        hess[1, 1, lane] = p + q


class SigmoidValley(Landscape):
    r"""The squared error of one sigmoid neuron on two samples, over its weight and bias.

    .. math:: f(w, b) = \frac12 [\sigma(0.5 w + b) - 0.2]^2 + \frac12 [\sigma(2.5 w + b) - 0.9]^2

    The neuron can fit both samples: the minimum is 0 at w = (logit 0.9 - logit 0.2) / 2 =
    1.7918, b = logit 0.2 - w / 2 = -2.2822.  Away from it a saturated sigmoid's gradient
    dies exponentially: the surface is a set of plateaus joined by curved valleys.

    References
    ----------
    Khapra, CS7015 Deep Learning (IIT Madras), lectures 4 and 5, whose two samples these are;
    Hochreiter (1991), diploma thesis, TU München, on vanishing gradients.

    Examples
    --------
    >>> SigmoidValley().gradient([40.0, 20.0])
    array([0., 0.])
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-6.0, 6.0)
    dim: ClassVar = 2

    def formula(self, x: Any, m: Any) -> Any:
        w, b = x
        first = 1 / (1 + m.exp(-0.5 * w - b)) - 0.2
        second = 1 / (1 + m.exp(-2.5 * w - b)) - 0.9
        return (first**2 + second**2) / 2

    @property
    def minima(self) -> FloatArray:
        w = 0.5 * (np.log(9.0) + np.log(4.0))
        return np.array([[w, -np.log(4.0) - 0.5 * w]])

    @property
    def minimum(self) -> float:
        return 0.0
