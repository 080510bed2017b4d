"""RMSProp."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from fastdescent.contracts import Row, Rows, kernel
from fastdescent.optimizers._base import Optimizer
from fastdescent.parts import Values, option, parameter

__all__ = ["RMSProp"]


@kernel("update")
def epsilon_outside(
    theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int
) -> None:
    """Add epsilon to the root of the mean square."""
    learning_rate, rho, epsilon = hyper[0], hyper[1], hyper[2]
    for i in range(theta.shape[0]):
        x, g, v = theta[i], grad[i], state[i]
        for lane in range(theta.shape[1]):
            square = rho[lane] * v[lane] + (1.0 - rho[lane]) * (g[lane] * g[lane])
            x[lane] -= learning_rate[lane] * g[lane] / (np.sqrt(square) + epsilon[lane])
            v[lane] = square


@kernel("update")
def epsilon_inside(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Add epsilon to the mean square, under the root."""
    learning_rate, rho, epsilon = hyper[0], hyper[1], hyper[2]
    for i in range(theta.shape[0]):
        x, g, v = theta[i], grad[i], state[i]
        for lane in range(theta.shape[1]):
            square = rho[lane] * v[lane] + (1.0 - rho[lane]) * (g[lane] * g[lane])
            x[lane] -= learning_rate[lane] * g[lane] / np.sqrt(square + epsilon[lane])
            v[lane] = square


@kernel("update")
def centered(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Divide by the root of the variance instead of the mean square."""
    dim = theta.shape[0]
    learning_rate, rho, epsilon = hyper[0], hyper[1], hyper[2]
    for i in range(dim):
        x, g, v, m = theta[i], grad[i], state[i], state[dim + i]
        for lane in range(theta.shape[1]):
            square = rho[lane] * v[lane] + (1.0 - rho[lane]) * (g[lane] * g[lane])
            mean = rho[lane] * m[lane] + (1.0 - rho[lane]) * g[lane]
            # A constant gradient has variance 0, which rounding may turn negative.
            variance = max(square - mean * mean, 0.0)
            x[lane] -= learning_rate[lane] * g[lane] / (np.sqrt(variance) + epsilon[lane])
            v[lane], m[lane] = square, mean


class RMSProp(Optimizer):
    r"""RMSProp: the gradient divided by the root of its running mean square.

    .. math::

        v_t = \rho v_{t-1} + (1 - \rho) g_t^2 \\
        \text{epsilon\_outside:}\quad
            \theta_t = \theta_{t-1} - \eta \frac{g_t}{\sqrt{v_t} + \epsilon} \\
        \text{epsilon\_inside:}\quad
            \theta_t = \theta_{t-1} - \eta \frac{g_t}{\sqrt{v_t + \epsilon}} \\
        \text{centered:}\quad m_t = \rho m_{t-1} + (1 - \rho) g_t, \quad
            \theta_t = \theta_{t-1} - \eta \frac{g_t}{\sqrt{\max(v_t - m_t^2, 0)} + \epsilon}

    with v_0 = m_0 = 0.  On a constant slope step k is eta / sqrt(1 - rho^k): the first is 10 eta
    for rho = 0.99.

    - ``epsilon_outside``: torch ``RMSprop``, ``optax.rmsprop(eps_in_sqrt=False)``, the course
      notes' code.
    - ``epsilon_inside``: ``optax.rmsprop`` and Keras ``RMSprop`` (rho = 0.9), the course notes'
      text.
    - ``centered``: torch ``RMSprop(centered=True)``, which gives NaN where rounding makes the
      variance negative; here it is 0 then.

    With epsilon = 0 a zero gradient from the first step on gives 0 / 0 = NaN.

    Parameters
    ----------
    learning_rate : float or sequence
        Step size eta, >= 0, in units of theta; default 0.01 as in torch.
    rho : float or sequence
        Decay of the averages, in [0, 1), dimensionless; default 0.99 as in torch (where it is
        called alpha; Hinton's lecture has 0.9).
    epsilon : float or sequence
        >= 0; in units of the gradient outside the root, of its square inside; default 1e-8.
    variant : {"epsilon_outside", "epsilon_inside", "centered"}
        What the gradient is divided by.

    References
    ----------
    Tieleman and Hinton (2012), Coursera: Neural Networks for Machine Learning, lecture 6.5.
    Graves (2013), arXiv:1308.0850, equations 38 to 41 (centered).

    Examples
    --------
    >>> RMSProp(rho=0.9, variant="centered")
    RMSProp(rho=0.9, variant='centered')
    """

    kernels: ClassVar = {
        "epsilon_outside": epsilon_outside,
        "epsilon_inside": epsilon_inside,
        "centered": centered,
    }
    vectors: ClassVar = 2

    learning_rate: Values = parameter(default=0.01, lower=0.0)
    rho: Values = parameter(default=0.99, lower=0.0, upper=1.0, upper_open=True)
    epsilon: Values = parameter(default=1e-8, lower=0.0)
    variant: str = option(default="epsilon_outside", choices=tuple(kernels))
