"""The deep linear chain: a product of scalars, where gradients vanish."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from fastdescent.contracts import Cube, Indices, Row, Rows, kernel
from fastdescent.landscapes import CriticalPoint
from fastdescent.models._base import INITIALIZATIONS, Block, Model
from fastdescent.parts import FloatArray, Range, Values, option, parameter

__all__ = ["DeepLinear"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Forward: the product so far goes to row i of grad; back: it meets the product from behind."""
    dim, lanes = theta.shape
    target, behind = params[0], grad[dim]
    for lane in range(lanes):
        behind[lane] = 1.0
    for i in range(dim):
        w, g = theta[i], grad[i]
        for lane in range(lanes):
            g[lane] = behind[lane]
            behind[lane] *= w[lane]
    for lane in range(lanes):
        error = behind[lane] - target[lane]
        loss[lane] = 0.5 * (error * error)
        behind[lane] = error
    for k in range(dim):
        w, g = theta[dim - 1 - k], grad[dim - 1 - k]
        for lane in range(lanes):
            g[lane] *= behind[lane]
            behind[lane] *= w[lane]


@kernel("hessian")
def hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """P_i P_j + error P_ij, where P_i leaves out w_i and P_ij both."""
    dim, lanes = theta.shape
    for lane in range(lanes):
        product = 1.0
        for i in range(dim):
            product *= theta[i, lane]
        error = product - params[0, lane]
        for i in range(dim):
            for j in range(dim):
                without_i, without_j, without_both = 1.0, 1.0, 1.0
                for k in range(dim):
                    w = theta[k, lane]
                    without_i *= w if k != i else 1.0
                    without_j *= w if k != j else 1.0
                    without_both *= w if k not in (i, j) else 1.0
                second = error * without_both if i != j else 0.0
                hess[i, j, lane] = without_i * without_j + second


class DeepLinear(Model):
    r"""Deep linear chain: the loss of a product of weights, one per layer.

    .. math:: J(w) = \tfrac12 (w_L \cdots w_2 w_1 - t)^2, \qquad
              \frac{\partial J}{\partial w_i} = (w_L \cdots w_1 - t) \prod_{j \ne i} w_j

    The smallest network whose gradients vanish with depth.  From equal weights w_0 they stay
    equal but for roundings, and for t = 1 gradient flow reaches the weight w after the time

    .. math:: \int_{w_0}^w \frac{du}{u^{L-1} (1 - u^L)}

    which grows as w_0 to the power -(L - 2).

    Parameters
    ----------
    depth : int
        Number L of layers and of coordinates, >= 1.
    target : float or sequence
        Target t, dimensionless.
    initialization : str
        How `fastdescent.starts.Initialization` draws the weights; see `MLP`.

    Raises
    ------
    InvalidValueError
        If a value is not allowed.

    References
    ----------
    Saxe, McClelland and Ganguli (2014), ICLR, arXiv 1312.6120.

    Examples
    --------
    >>> DeepLinear(depth=3).gradient([0.1, 0.1, 0.1]).round(6).tolist()
    [-0.00999, -0.00999, -0.00999]
    """

    kernel: ClassVar = value_and_gradient
    hessian_kernel: ClassVar = hessian
    bounds: ClassVar = (-2.0, 2.0)
    workspace: ClassVar = 1

    depth: int = option(default=2, integer=Range(1))
    target: Values = parameter(default=1.0)
    initialization: str = option(default="torch", choices=tuple(INITIALIZATIONS))

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """One weight per layer."""
        return tuple(Block(f"weight_{i + 1}", i, 1, 1) for i in range(self.depth))

    def formula(self, x: Any, m: Any) -> Any:
        product = 1
        for w in x:
            product = product * w
        return (product - self.target) ** 2 / 2

    @property
    def minima(self) -> FloatArray | None:
        """The one minimum of a single layer; deeper chains have a surface of them."""
        return np.array([[float(self._params(1)[0, 0])]]) if self.depth == 1 else None

    @property
    def minimum(self) -> float:
        return 0.0

    def critical_points(self) -> list[CriticalPoint]:
        """Return the minimum of a single layer, or the origin, which is flat from L = 3 on."""
        if self.depth == 1:
            return super().critical_points()
        curved = self.depth == 2 and float(self._params(1)[0, 0]) != 0.0
        return [CriticalPoint(np.zeros(self.depth), "saddle" if curved else "degenerate")]
