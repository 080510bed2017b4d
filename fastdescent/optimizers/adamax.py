"""AdaMax: Adam with the infinity norm."""

from __future__ import annotations

from typing import ClassVar

from fastdescent.contracts import Row, Rows, kernel
from fastdescent.optimizers._base import Optimizer
from fastdescent.optimizers._moments import correct_first
from fastdescent.parts import Values, option, parameter

__all__ = ["AdaMax"]


@kernel("update")
def epsilon_in_max(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Add epsilon to the gradient's size, inside the maximum."""
    dim = theta.shape[0]
    learning_rate, beta1, beta2, epsilon = hyper[0], hyper[1], hyper[2], hyper[3]
    correct_first(state[2 * dim :], beta1, step)
    scale = state[2 * dim + 1]
    for i in range(dim):
        x, g, m, u = theta[i], grad[i], state[i], state[dim + i]
        for lane in range(theta.shape[1]):
            mean = beta1[lane] * m[lane] + (1.0 - beta1[lane]) * g[lane]
            largest = max(beta2[lane] * u[lane], abs(g[lane]) + epsilon[lane])
            x[lane] -= learning_rate[lane] * scale[lane] * mean / largest
            m[lane], u[lane] = mean, largest


@kernel("update")
def epsilon_outside(
    theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int
) -> None:
    """Add epsilon to the maximum."""
    dim = theta.shape[0]
    learning_rate, beta1, beta2, epsilon = hyper[0], hyper[1], hyper[2], hyper[3]
    correct_first(state[2 * dim :], beta1, step)
    scale = state[2 * dim + 1]
    for i in range(dim):
        x, g, m, u = theta[i], grad[i], state[i], state[dim + i]
        for lane in range(theta.shape[1]):
            mean = beta1[lane] * m[lane] + (1.0 - beta1[lane]) * g[lane]
            largest = max(beta2[lane] * u[lane], abs(g[lane]))
            x[lane] -= learning_rate[lane] * scale[lane] * mean / (largest + epsilon[lane])
            m[lane], u[lane] = mean, largest


class AdaMax(Optimizer):
    r"""AdaMax: Adam with a fading maximum of the gradient's size for its root mean square.

    .. math::

        m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t \\
        \text{epsilon\_in\_max:}\quad u_t = \max(\beta_2 u_{t-1}, |g_t| + \epsilon), \quad
            \theta_t = \theta_{t-1} - \eta \frac{m_t / c_1}{u_t} \\
        \text{epsilon\_outside:}\quad u_t = \max(\beta_2 u_{t-1}, |g_t|), \quad
            \theta_t = \theta_{t-1} - \eta \frac{m_t / c_1}{u_t + \epsilon}

    with m_0 = u_0 = 0 and c_1 = 1 - beta_1^t, where the power is the product of the betas so far
    if beta follows a schedule; u needs no correction.

    - ``epsilon_in_max``: torch ``Adamax``, ``optax.adamax``.
    - ``epsilon_outside``: Keras ``Adamax``, the course notes' code.

    Either with epsilon = 0 is the paper's rule, where a zero gradient from the first step on
    gives 0 / 0 = NaN.

    Parameters
    ----------
    learning_rate : float or sequence
        Step size eta, >= 0, in units of theta; default 0.002 as in the paper and torch.
    beta1 : float or sequence
        Decay of the first moment, in [0, 1), dimensionless; default 0.9.
    beta2 : float or sequence
        Decay of the maximum, in [0, 1), dimensionless; default 0.999.
    epsilon : float or sequence
        >= 0, in units of the gradient; default 1e-8 as in torch.
    variant : {"epsilon_in_max", "epsilon_outside"}
        Where epsilon stands.

    References
    ----------
    Kingma and Ba (2015), ICLR, arXiv:1412.6980, algorithm 2.

    Examples
    --------
    >>> AdaMax(learning_rate=0.01)
    AdaMax(learning_rate=0.01)
    """

    kernels: ClassVar = {"epsilon_in_max": epsilon_in_max, "epsilon_outside": epsilon_outside}
    vectors: ClassVar = 2
    scalars: ClassVar = 1
    workspace: ClassVar = 1

    learning_rate: Values = parameter(default=0.002, lower=0.0)
    beta1: Values = parameter(default=0.9, lower=0.0, upper=1.0, upper_open=True)
    beta2: Values = parameter(default=0.999, lower=0.0, upper=1.0, upper_open=True)
    epsilon: Values = parameter(default=1e-8, lower=0.0)
    variant: str = option(default="epsilon_in_max", choices=tuple(kernels))
