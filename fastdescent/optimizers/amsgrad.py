"""AMSGrad: Adam whose second moment never shrinks."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from fastdescent.contracts import Row, Rows, kernel
from fastdescent.optimizers._base import Optimizer
from fastdescent.optimizers._moments import correct_first, correct_second
from fastdescent.parts import Values, option, parameter

__all__ = ["AMSGrad"]


@kernel("update")
def torch(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Take the maximum of the raw second moment and correct the maximum."""
    dim = theta.shape[0]
    learning_rate, beta1, beta2, epsilon = hyper[0], hyper[1], hyper[2], hyper[3]
    correct_second(state[3 * dim :], beta1, beta2, step)
    scale1, scale2 = state[3 * dim + 2], state[3 * dim + 3]
    for i in range(dim):
        x, g, m, v, top = theta[i], grad[i], state[i], state[dim + i], state[2 * dim + i]
        for lane in range(theta.shape[1]):
            mean = beta1[lane] * m[lane] + (1.0 - beta1[lane]) * g[lane]
            square = beta2[lane] * v[lane] + (1.0 - beta2[lane]) * (g[lane] * g[lane])
            largest = max(top[lane], square)
            root = np.sqrt(largest) * scale2[lane] + epsilon[lane]
            x[lane] -= learning_rate[lane] * scale1[lane] * mean / root
            m[lane], v[lane], top[lane] = mean, square, largest


@kernel("update")
def paper(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Correct neither moment."""
    dim = theta.shape[0]
    learning_rate, beta1, beta2, epsilon = hyper[0], hyper[1], hyper[2], hyper[3]
    for i in range(dim):
        x, g, m, v, top = theta[i], grad[i], state[i], state[dim + i], state[2 * dim + i]
        for lane in range(theta.shape[1]):
            mean = beta1[lane] * m[lane] + (1.0 - beta1[lane]) * g[lane]
            square = beta2[lane] * v[lane] + (1.0 - beta2[lane]) * (g[lane] * g[lane])
            largest = max(top[lane], square)
            x[lane] -= learning_rate[lane] * mean / (np.sqrt(largest) + epsilon[lane])
            m[lane], v[lane], top[lane] = mean, square, largest


@kernel("update")
def notes(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Correct the first moment only."""
    dim = theta.shape[0]
    learning_rate, beta1, beta2, epsilon = hyper[0], hyper[1], hyper[2], hyper[3]
    correct_first(state[3 * dim :], beta1, step)
    scale = state[3 * dim + 1]
    for i in range(dim):
        x, g, m, v, top = theta[i], grad[i], state[i], state[dim + i], state[2 * dim + i]
        for lane in range(theta.shape[1]):
            mean = beta1[lane] * m[lane] + (1.0 - beta1[lane]) * g[lane]
            square = beta2[lane] * v[lane] + (1.0 - beta2[lane]) * (g[lane] * g[lane])
            largest = max(top[lane], square)
            root = np.sqrt(largest) + epsilon[lane]
            x[lane] -= learning_rate[lane] * scale[lane] * mean / root
            m[lane], v[lane], top[lane] = mean, square, largest


@kernel("update")
def optax(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Correct the second moment and take the maximum of that."""
    dim = theta.shape[0]
    learning_rate, beta1, beta2, epsilon = hyper[0], hyper[1], hyper[2], hyper[3]
    correct_second(state[3 * dim :], beta1, beta2, step)
    scale1, scale2 = state[3 * dim + 2], state[3 * dim + 3]
    for i in range(dim):
        x, g, m, v, top = theta[i], grad[i], state[i], state[dim + i], state[2 * dim + i]
        for lane in range(theta.shape[1]):
            mean = beta1[lane] * m[lane] + (1.0 - beta1[lane]) * g[lane]
            square = beta2[lane] * v[lane] + (1.0 - beta2[lane]) * (g[lane] * g[lane])
            largest = max(top[lane], square * (scale2[lane] * scale2[lane]))
            root = np.sqrt(largest) + epsilon[lane]
            x[lane] -= learning_rate[lane] * scale1[lane] * mean / root
            m[lane], v[lane], top[lane] = mean, square, largest


class AMSGrad(Optimizer):
    r"""AMSGrad: Adam divided by the root of the largest second moment so far.

    .. math::

        m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t, \quad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \\
        \text{torch:}\quad w_t = \max(w_{t-1}, v_t), \quad \theta_t = \theta_{t-1} -
            \eta \frac{m_t / c_1}{\sqrt{w_t / c_2} + \epsilon} \\
        \text{paper:}\quad w_t = \max(w_{t-1}, v_t), \quad \theta_t = \theta_{t-1} -
            \eta \frac{m_t}{\sqrt{w_t} + \epsilon} \\
        \text{notes:}\quad w_t = \max(w_{t-1}, v_t), \quad \theta_t = \theta_{t-1} -
            \eta \frac{m_t / c_1}{\sqrt{w_t} + \epsilon} \\
        \text{optax:}\quad w_t = \max(w_{t-1}, v_t / c_2), \quad \theta_t = \theta_{t-1} -
            \eta \frac{m_t / c_1}{\sqrt{w_t} + \epsilon}

    with m_0 = v_0 = w_0 = 0 and c_i = 1 - beta_i^t, where the power is the product of the betas so
    far if beta follows a schedule.

    - ``torch``: torch ``Adam(amsgrad=True)``.  Its step can grow again, since c_2 does.
    - ``paper``: Reddi, Kale and Kumar (who have no epsilon); ``optax.amsgrad`` with both
      corrections off.
    - ``notes``: the course notes' code; ``optax.amsgrad(bias_correction_nu=False)``.  Its first
      step is 1 / sqrt(1 - beta2) = 31.6 eta.
    - ``optax``: ``optax.amsgrad``.

    On a constant slope the first step is 1, 3.16, 31.6 and 1 eta, in this order.  With
    epsilon = 0 a zero gradient from the first step on gives 0 / 0 = NaN.

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
    variant : {"torch", "paper", "notes", "optax"}
        What is corrected, and when.

    References
    ----------
    Reddi, Kale and Kumar (2018), ICLR, arXiv:1904.09237, algorithm 2.

    Examples
    --------
    >>> AMSGrad(learning_rate=0.01, variant="paper")
    AMSGrad(learning_rate=0.01, variant='paper')
    """

    kernels: ClassVar = {"torch": torch, "paper": paper, "notes": notes, "optax": optax}
    vectors: ClassVar = 3
    scalars: ClassVar = 2
    workspace: ClassVar = 2

    learning_rate: Values = parameter(default=0.001, lower=0.0)
    beta1: Values = parameter(default=0.9, lower=0.0, upper=1.0, upper_open=True)
    beta2: Values = parameter(default=0.999, lower=0.0, upper=1.0, upper_open=True)
    epsilon: Values = parameter(default=1e-8, lower=0.0)
    variant: str = option(default="torch", choices=tuple(kernels))
