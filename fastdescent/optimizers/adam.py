"""Adam: adaptive moment estimation."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from fastdescent.contracts import Row, Rows, kernel, lane_function
from fastdescent.optimizers._base import Optimizer
from fastdescent.optimizers._moments import correct_second, correct_shared, shared
from fastdescent.parts import Values, option, parameter

__all__ = ["Adam"]


@lane_function
def _step(
    x: float,
    g: float,
    m: float,
    v: float,
    rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    decay: float,
    scale1: float,
    scale2: float,
) -> tuple[float, float, float]:
    slope = g + decay * x
    m = beta1 * m + (1.0 - beta1) * slope
    v = beta2 * v + (1.0 - beta2) * (slope * slope)
    return x - rate * scale1 * m / (np.sqrt(v) * scale2 + epsilon), m, v


@kernel("update")
def epsilon_outside(
    theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int
) -> None:
    """Add epsilon to the root of the corrected second moment."""
    dim, lanes = theta.shape
    rate, beta1, beta2, epsilon, decay = hyper[0], hyper[1], hyper[2], hyper[3], hyper[4]
    scales = state[2 * dim :]
    if shared(hyper):
        s1, s2 = correct_shared(scales, beta1[0], beta2[0], step)
        h = (rate[0], beta1[0], beta2[0], epsilon[0], decay[0], s1, s2)
        for i in range(dim):
            x, g, m, v = theta[i], grad[i], state[i], state[dim + i]
            for k in range(lanes):
                x[k], m[k], v[k] = _step(x[k], g[k], m[k], v[k], *h)
    else:
        correct_second(scales, beta1, beta2, step)
        scale1, scale2 = scales[2], scales[3]
        for i in range(dim):
            x, g, m, v = theta[i], grad[i], state[i], state[dim + i]
            for k in range(lanes):
                p = (rate[k], beta1[k], beta2[k], epsilon[k], decay[k], scale1[k], scale2[k])
                x[k], m[k], v[k] = _step(x[k], g[k], m[k], v[k], *p)


@kernel("update")
def epsilon_inside(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Add epsilon to the corrected second moment, under the root."""
    dim, lanes = theta.shape
    rate, beta1, beta2, epsilon, decay = hyper[0], hyper[1], hyper[2], hyper[3], hyper[4]
    correct_second(state[2 * dim :], beta1, beta2, step)
    scale1, scale2 = state[2 * dim + 2], state[2 * dim + 3]
    for i in range(dim):
        x, g, m, v = theta[i], grad[i], state[i], state[dim + i]
        for k in range(lanes):
            slope = g[k] + decay[k] * x[k]
            mean = beta1[k] * m[k] + (1.0 - beta1[k]) * slope
            square = beta2[k] * v[k] + (1.0 - beta2[k]) * (slope * slope)
            root = np.sqrt(square * (scale2[k] * scale2[k]) + epsilon[k])
            x[k] -= rate[k] * scale1[k] * mean / root
            m[k], v[k] = mean, square


@kernel("update")
def epsilon_hat(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Add epsilon to the root of the uncorrected second moment."""
    dim, lanes = theta.shape
    rate, beta1, beta2, epsilon, decay = hyper[0], hyper[1], hyper[2], hyper[3], hyper[4]
    correct_second(state[2 * dim :], beta1, beta2, step)
    scale1, scale2 = state[2 * dim + 2], state[2 * dim + 3]
    for i in range(dim):
        x, g, m, v = theta[i], grad[i], state[i], state[dim + i]
        for k in range(lanes):
            slope = g[k] + decay[k] * x[k]
            mean = beta1[k] * m[k] + (1.0 - beta1[k]) * slope
            square = beta2[k] * v[k] + (1.0 - beta2[k]) * (slope * slope)
            root = (np.sqrt(square) + epsilon[k]) * scale2[k]
            x[k] -= rate[k] * scale1[k] * mean / root
            m[k], v[k] = mean, square


class Adam(Optimizer):
    r"""Adam: a running mean of the gradient over the root of its running mean square.

    .. math::

        g_t \leftarrow g_t + \lambda \theta_{t-1}, \quad
        m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t, \quad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \\
        \text{epsilon\_outside:}\quad \theta_t = \theta_{t-1} -
            \eta \frac{m_t / c_1}{\sqrt{v_t / c_2} + \epsilon} \\
        \text{epsilon\_inside:}\quad \theta_t = \theta_{t-1} -
            \eta \frac{m_t / c_1}{\sqrt{v_t / c_2 + \epsilon}} \\
        \text{epsilon\_hat:}\quad \theta_t = \theta_{t-1} -
            \eta \frac{\sqrt{c_2}}{c_1} \frac{m_t}{\sqrt{v_t} + \epsilon}

    with m_0 = v_0 = 0 and c_i = 1 - beta_i^t, where the power is the product of the betas so far
    if beta follows a schedule.

    - ``epsilon_outside``: the paper's algorithm 1, torch ``Adam``, ``optax.adam``, the course
      notes' code.
    - ``epsilon_inside``: the course notes' text, ``optax.adam(eps=0, eps_root=...)``.
    - ``epsilon_hat``: the paper's more efficient order (end of its section 2), Keras ``Adam``
      (epsilon = 1e-7).

    The first step is eta in every coordinate as long as |g| >> epsilon.  With epsilon = 0 a
    zero gradient from the first step on gives 0 / 0 = NaN.

    Parameters
    ----------
    learning_rate : float or sequence
        Step size eta, >= 0, in units of theta; default 0.001 as in the paper and torch.
    beta1 : float or sequence
        Decay of the first moment, in [0, 1), dimensionless; default 0.9.
    beta2 : float or sequence
        Decay of the second moment, in [0, 1), dimensionless; default 0.999.
    epsilon : float or sequence
        >= 0; in units of the gradient outside the root, of its square inside; default 1e-8.
    weight_decay : float or sequence
        Coupled L2 penalty lambda, >= 0, in units of loss per theta^2: it goes through both
        moments (`AdamW` decays theta directly); default 0.
    variant : {"epsilon_outside", "epsilon_inside", "epsilon_hat"}
        Where epsilon stands.

    References
    ----------
    Kingma and Ba (2015), ICLR, arXiv:1412.6980, algorithm 1.

    Examples
    --------
    >>> Adam(learning_rate=[0.01, 0.1], beta2=0.99)
    Adam(learning_rate=[0.01, 0.1], beta2=0.99)
    """

    kernels: ClassVar = {
        "epsilon_outside": epsilon_outside,
        "epsilon_inside": epsilon_inside,
        "epsilon_hat": epsilon_hat,
    }
    vectors: ClassVar = 2
    scalars: ClassVar = 2
    workspace: ClassVar = 2

    learning_rate: Values = parameter(default=0.001, lower=0.0)
    beta1: Values = parameter(default=0.9, lower=0.0, upper=1.0, upper_open=True)
    beta2: Values = parameter(default=0.999, lower=0.0, upper=1.0, upper_open=True)
    epsilon: Values = parameter(default=1e-8, lower=0.0)
    weight_decay: Values = parameter(default=0.0, lower=0.0)
    variant: str = option(default="epsilon_outside", choices=tuple(kernels))
