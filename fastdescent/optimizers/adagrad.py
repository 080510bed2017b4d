"""AdaGrad: adaptive gradient."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from fastdescent.contracts import Row, Rows, kernel, lane_function
from fastdescent.optimizers._base import Optimizer
from fastdescent.optimizers._moments import agree
from fastdescent.parts import Values, option, parameter

__all__ = ["AdaGrad"]


@lane_function
def _prepare(state: Rows, hyper: Rows, dim: int, step: int) -> None:
    """Fill the sums before step 1, and write 1 / (1 + (t - 1) decay) to the last row."""
    decay, initial, factor = hyper[2], hyper[3], state[dim]
    if step == 1:
        for i in range(dim):
            for lane in range(factor.shape[0]):
                state[i, lane] = initial[lane]
    if agree(decay):
        factor[:] = 1.0 / (1.0 + (step - 1) * decay[0])
    else:
        for lane in range(factor.shape[0]):
            factor[lane] = 1.0 / (1.0 + (step - 1) * decay[lane])


@kernel("update")
def epsilon_outside(
    theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int
) -> None:
    """Add epsilon to the root of the sum of squares."""
    dim = theta.shape[0]
    learning_rate, epsilon, factor = hyper[0], hyper[1], state[dim]
    _prepare(state, hyper, dim, step)
    for i in range(dim):
        x, g, squares = theta[i], grad[i], state[i]
        for lane in range(theta.shape[1]):
            total = squares[lane] + g[lane] * g[lane]
            rate = learning_rate[lane] * factor[lane]
            x[lane] -= rate * g[lane] / (np.sqrt(total) + epsilon[lane])
            squares[lane] = total


@kernel("update")
def epsilon_inside(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Add epsilon to the sum of squares, under the root."""
    dim = theta.shape[0]
    learning_rate, epsilon, factor = hyper[0], hyper[1], state[dim]
    _prepare(state, hyper, dim, step)
    for i in range(dim):
        x, g, squares = theta[i], grad[i], state[i]
        for lane in range(theta.shape[1]):
            total = squares[lane] + g[lane] * g[lane]
            rate = learning_rate[lane] * factor[lane]
            x[lane] -= rate * g[lane] / np.sqrt(total + epsilon[lane])
            squares[lane] = total


class AdaGrad(Optimizer):
    r"""AdaGrad: each coordinate's step is divided by the root of its summed squared gradients.

    .. math::

        G_t = G_{t-1} + g_t^2, \qquad \eta_t = \frac{\eta}{1 + (t - 1) \delta} \\
        \text{epsilon\_outside:}\quad
            \theta_t = \theta_{t-1} - \eta_t \frac{g_t}{\sqrt{G_t} + \epsilon} \\
        \text{epsilon\_inside:}\quad
            \theta_t = \theta_{t-1} - \eta_t \frac{g_t}{\sqrt{G_t + \epsilon}}

    with G_0 the initial accumulator.

    - ``epsilon_outside``: the paper, torch ``Adagrad``, the course notes' algorithm.
    - ``epsilon_inside``: ``optax.adagrad`` and Keras ``Adagrad`` (both with G_0 = 0.1 and
      epsilon = 1e-7).

    With epsilon = 0 the path on a separable quadratic does not depend on its curvature; a
    coordinate whose gradient has always been zero then becomes 0 / 0 = NaN.

    Parameters
    ----------
    learning_rate : float or sequence
        Step size eta, >= 0, in units of theta; default 0.01 as in torch.
    epsilon : float or sequence
        >= 0; in units of the gradient outside the root, of its square inside; default 1e-10 as
        in torch.
    learning_rate_decay : float or sequence
        Decay delta of the learning rate, >= 0, per step; default 0 as in torch.
    initial_accumulator : float or sequence
        G_0, >= 0, in units of the squared gradient; default 0 as in torch.
    variant : {"epsilon_outside", "epsilon_inside"}
        Where epsilon stands.

    References
    ----------
    Duchi, Hazan and Singer (2011), Journal of Machine Learning Research 12, 2121-2159.

    Examples
    --------
    >>> AdaGrad(learning_rate=0.1, variant="epsilon_inside")
    AdaGrad(learning_rate=0.1, variant='epsilon_inside')
    """

    kernels: ClassVar = {"epsilon_outside": epsilon_outside, "epsilon_inside": epsilon_inside}
    vectors: ClassVar = 1
    workspace: ClassVar = 1

    learning_rate: Values = parameter(default=0.01, lower=0.0)
    epsilon: Values = parameter(default=1e-10, lower=0.0)
    learning_rate_decay: Values = parameter(default=0.0, lower=0.0)
    initial_accumulator: Values = parameter(default=0.0, lower=0.0)
    variant: str = option(default="epsilon_outside", choices=tuple(kernels))
