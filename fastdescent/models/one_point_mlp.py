"""A network with one hidden layer, trained on one data point: a small exact equivalent."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike

from fastdescent.contracts import Indices, Row, Rows, kernel
from fastdescent.errors import InvalidValueError
from fastdescent.lanemath import fma, tanh
from fastdescent.models._base import Block, Model
from fastdescent.models.mlp import MLP
from fastdescent.parts import FloatArray, Range, Values, option, parameter

__all__ = ["OnePointMLP"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Activations wait in the rows of the output weights' gradient, the output in the loss."""
    dim, lanes = theta.shape
    width = dim // 2
    gain, scale, label, slope = params[0], params[1], params[2], grad[dim]
    for lane in range(lanes):
        loss[lane] = 0.0
    for k in range(width):
        v, w, h = theta[k], theta[width + k], grad[width + k]
        for lane in range(lanes):
            h[lane] = tanh(gain[lane] * v[lane])
        # tanh is finite where v is not; the loss must not be.
        for lane in range(lanes):
            loss[lane] = fma(w[lane], h[lane], fma(0.0, v[lane], loss[lane]))
    for lane in range(lanes):
        error = fma(scale[lane], loss[lane], -label[lane])
        slope[lane] = 2.0 * error * scale[lane]
        loss[lane] = error * error
    for k in range(width):
        w, of_v, of_w = theta[width + k], grad[k], grad[width + k]
        for lane in range(lanes):
            h = of_w[lane]
            of_v[lane] = slope[lane] * gain[lane] * (w[lane] * fma(-h, h, 1.0))
            of_w[lane] = slope[lane] * h


class OnePointMLP(Model):
    r"""What a bias-free tanh network with one hidden layer is on one data point.

    .. math:: J(v, w) = \Big(c \sum_{k=1}^{h} w_k \tanh(g v_k) - t\Big)^2, \qquad
              g = c_1 \|x\|, \quad c = c_2

    A network :math:`y = c_2\, w \cdot \tanh(c_1 V x)` sees its first weights V, h x n, through
    their product with the one input x alone.  Its gradient in V is :math:`\delta x^\top`, so the
    part of V along x moves and the rest stays: with :math:`v = V x / \|x\|`, which is V in an
    orthonormal basis whose first vector is :math:`x / \|x\|`, gradient descent takes the same
    steps, with the same losses and gradient norms, on 2 h numbers instead of (n + 1) h.  That
    holds for a learning rate for each layer too, and for momentum, but not for rules that
    look at single coordinates, such as Adam.

    theta is v_1, ..., v_h, w_1, ..., w_h.  `of` and `reduced` give model and start of a network.

    Parameters
    ----------
    width : int
        Units h of the hidden layer, >= 1.
    gain : float or sequence
        Factor g of the inputs of tanh, > 0, dimensionless.
    scale : float or sequence
        Factor c of the output, > 0, dimensionless.
    label : float or sequence
        Target t of the one data point, dimensionless.

    Raises
    ------
    InvalidValueError
        If a value is not allowed.

    References
    ----------
    The network: Sohl-Dickstein (2024), The boundary of neural network trainability is fractal,
    arXiv 2402.06184.

    Examples
    --------
    >>> net = OnePointMLP(width=2, scale=0.5, label=0.0)
    >>> net.value([1.0, -1.0, 1.0, 1.0]), round(net.value([1.0, 1.0, 1.0, 1.0]), 6)
    (0.0, 0.580026)
    """

    kernel: ClassVar = value_and_gradient
    bounds: ClassVar = (-2.0, 2.0)
    workspace: ClassVar = 1
    initialization: ClassVar = "standard_normal"

    width: int = option(default=16, integer=Range(1))
    gain: Values = parameter(default=1.0, lower=0.0, lower_open=True)
    scale: Values = parameter(default=1.0, lower=0.0, lower_open=True)
    label: Values = parameter(default=1.0)

    @classmethod
    def of(cls, network: MLP) -> Self:
        """Return the equivalent of a network.

        Parameters
        ----------
        network : MLP
            Bias-free, with one hidden layer of tanh, the loss "squared", and data of one sample
            with one target.

        Raises
        ------
        InvalidValueError
            If the network is not of that kind.

        Examples
        --------
        >>> import fastdescent as fd
        >>> data = fd.data.Dataset([[3.0, 4.0]], [0.5])
        >>> OnePointMLP.of(fd.models.MLP(data, widths=[8], bias=False))
        OnePointMLP(width=8, gain=5.0, label=0.5)
        """
        one = (
            len(network.widths) == 1
            and (network.activation, network.loss, network.bias) == ("tanh", "squared", False)
            and network.samples.y.shape == (1, 1)
        )
        if not one:
            raise InvalidValueError(
                "network",
                network,
                "a network without biases, of one hidden layer of tanh, on one sample with one "
                'target, with the loss "squared"',
            )
        first, last = (1.0, 1.0) if network.scales is None else network.scales
        norm = float(np.linalg.norm(network.samples.x[0]))
        label = float(network.samples.y[0, 0])
        return cls(width=network.widths[0], gain=first * norm, scale=last, label=label)

    @staticmethod
    def reduced(network: MLP, points: ArrayLike) -> FloatArray:
        """Return parameters of the equivalent, (n, 2 h), for those of a network, (n, dim)."""
        given = np.atleast_2d(np.asarray(points, dtype=float))
        x, h = network.samples.x[0], network.widths[0]
        hidden = given[:, : len(x) * h].reshape(-1, h, len(x)) @ (x / np.linalg.norm(x))
        return np.concatenate([hidden, given[:, len(x) * h :]], axis=1)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The hidden layer's v, then the output weights w."""
        return Block("weight_1", 0, self.width, 1), Block("weight_2", self.width, 1, self.width)

    def formula(self, x: Any, m: Any) -> Any:
        h = self.width
        total = sum(x[h + k] * m.tanh(self.gain * x[k]) for k in range(h))
        return (self.scale * total - self.label) ** 2

    @property
    def minimum(self) -> float:
        return 0.0

    def hessian(self, x: ArrayLike) -> FloatArray:
        found = np.stack([self._hessian(point) for point in self._points(x)])
        return found if np.ndim(x) == 2 else found[0]

    def _hessian(self, point: FloatArray) -> FloatArray:
        """2 y' y'^T + 2 (y - t) y'', with y the output."""
        v, w = point[: self.width], point[self.width :]
        h = np.tanh(self.gain * v)
        rate = self.gain * (1.0 - h * h)
        first = self.scale * np.concatenate([w * rate, h])
        second = np.diag(np.concatenate([-2.0 * self.gain * w * h * rate, np.zeros_like(w)]))
        second[: self.width, self.width :] = second[self.width :, : self.width] = np.diag(rate)
        error = self.scale * (w @ h) - self.label
        hess: FloatArray = 2.0 * np.outer(first, first) + 2.0 * error * self.scale * second
        return hess
