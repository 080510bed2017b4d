"""AdamW: Adam with decoupled weight decay."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from fastdescent.contracts import Row, Rows, kernel, lane_function
from fastdescent.optimizers._base import Optimizer
from fastdescent.optimizers._moments import correct_second, correct_shared, shared
from fastdescent.parts import Values, option, parameter

__all__ = ["AdamW"]


@lane_function
def _step(
    g: float,
    m: float,
    v: float,
    rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    scale1: float,
    scale2: float,
) -> tuple[float, float, float]:
    m = beta1 * m + (1.0 - beta1) * g
    v = beta2 * v + (1.0 - beta2) * (g * g)
    return rate * scale1 * m / (np.sqrt(v) * scale2 + epsilon), m, v


@kernel("update")
def decay_before(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Shrink theta, then take Adam's step."""
    dim, lanes = theta.shape
    rate, beta1, beta2, epsilon, decay = hyper[0], hyper[1], hyper[2], hyper[3], hyper[4]
    scales = state[2 * dim :]
    if shared(hyper):
        s1, s2 = correct_shared(scales, beta1[0], beta2[0], step)
        h, kept = (rate[0], beta1[0], beta2[0], epsilon[0], s1, s2), 1.0 - rate[0] * decay[0]
        for i in range(dim):
            x, g, m, v = theta[i], grad[i], state[i], state[dim + i]
            for k in range(lanes):
                move, m[k], v[k] = _step(g[k], m[k], v[k], *h)
                x[k] = kept * x[k] - move
    else:
        correct_second(scales, beta1, beta2, step)
        scale1, scale2 = scales[2], scales[3]
        for i in range(dim):
            x, g, m, v = theta[i], grad[i], state[i], state[dim + i]
            for k in range(lanes):
                p = (rate[k], beta1[k], beta2[k], epsilon[k], scale1[k], scale2[k])
                move, m[k], v[k] = _step(g[k], m[k], v[k], *p)
                x[k] = (1.0 - rate[k] * decay[k]) * x[k] - move


@kernel("update")
def decay_after(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Take Adam's step, then shrink theta."""
    dim, lanes = theta.shape
    rate, beta1, beta2, epsilon, decay = hyper[0], hyper[1], hyper[2], hyper[3], hyper[4]
    correct_second(state[2 * dim :], beta1, beta2, step)
    scale1, scale2 = state[2 * dim + 2], state[2 * dim + 3]
    for i in range(dim):
        x, g, m, v = theta[i], grad[i], state[i], state[dim + i]
        for k in range(lanes):
            h = (rate[k], beta1[k], beta2[k], epsilon[k])
            move, m[k], v[k] = _step(g[k], m[k], v[k], *h, scale1[k], scale2[k])
            x[k] = (1.0 - rate[k] * decay[k]) * (x[k] - move)


class AdamW(Optimizer):
    r"""AdamW: Adam whose weight decay acts on theta and never enters the moments.

    .. math::

        m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t, \quad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2, \quad
        u_t = \frac{m_t / c_1}{\sqrt{v_t / c_2} + \epsilon} \\
        \text{decay\_before:}\quad \theta_t = (1 - \eta \lambda) \theta_{t-1} - \eta u_t \\
        \text{decay\_after:}\quad \theta_t = (1 - \eta \lambda) (\theta_{t-1} - \eta u_t)

    with m_0 = v_0 = 0 and c_i = 1 - beta_i^t, where the power is the product of the betas so far
    if beta follows a schedule.

    - ``decay_before``: the paper, torch ``AdamW``, ``optax.adamw``, Keras ``AdamW`` (which puts
      epsilon as in `Adam`'s `epsilon_hat`).
    - ``decay_after``: the course notes' code.

    The two differ by eta^2 lambda u per step.  As in the libraries the decay is multiplied by the
    learning rate: lambda here is the paper's divided by its alpha.

    Parameters
    ----------
    learning_rate : float or sequence
        Step size eta, >= 0, in units of theta; default 0.001 as in torch.
    beta1 : float or sequence
        Decay of the first moment, in [0, 1), dimensionless; default 0.9.
    beta2 : float or sequence
        Decay of the second moment, in [0, 1), dimensionless; default 0.999.
    epsilon : float or sequence
        >= 0, in units of the gradient; default 1e-8.
    weight_decay : float or sequence
        Decay lambda, >= 0, in units of 1 / theta; default 0.01 as in torch (optax 1e-4, Keras
        4e-3).
    variant : {"decay_before", "decay_after"}
        Which theta is shrunk.

    References
    ----------
    Loshchilov and Hutter (2019), ICLR, arXiv:1711.05101, algorithm 2.

    Examples
    --------
    >>> AdamW(learning_rate=0.01, weight_decay=0.1)
    AdamW(learning_rate=0.01, weight_decay=0.1)
    """

    kernels: ClassVar = {"decay_before": decay_before, "decay_after": decay_after}
    vectors: ClassVar = 2
    scalars: ClassVar = 2
    workspace: ClassVar = 2

    learning_rate: Values = parameter(default=0.001, lower=0.0)
    beta1: Values = parameter(default=0.9, lower=0.0, upper=1.0, upper_open=True)
    beta2: Values = parameter(default=0.999, lower=0.0, upper=1.0, upper_open=True)
    epsilon: Values = parameter(default=1e-8, lower=0.0)
    weight_decay: Values = parameter(default=0.01, lower=0.0)
    variant: str = option(default="decay_before", choices=tuple(kernels))
