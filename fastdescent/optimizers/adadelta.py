"""AdaDelta."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from fastdescent.contracts import Row, Rows, kernel
from fastdescent.optimizers._base import Optimizer
from fastdescent.parts import Values, parameter

__all__ = ["AdaDelta"]


@kernel("update")
def update(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Scale the gradient by the ratio of two running root mean squares."""
    dim = theta.shape[0]
    learning_rate, rho, epsilon = hyper[0], hyper[1], hyper[2]
    for i in range(dim):
        x, g, squares, steps = theta[i], grad[i], state[i], state[dim + i]
        for lane in range(theta.shape[1]):
            square = rho[lane] * squares[lane] + (1.0 - rho[lane]) * (g[lane] * g[lane])
            # One root of the ratio, not a ratio of roots: it is the same number at half the cost.
            delta = np.sqrt((steps[lane] + epsilon[lane]) / (square + epsilon[lane])) * g[lane]
            x[lane] -= learning_rate[lane] * delta
            squares[lane] = square
            steps[lane] = rho[lane] * steps[lane] + (1.0 - rho[lane]) * (delta * delta)


class AdaDelta(Optimizer):
    r"""AdaDelta: steps in the units of theta, from the ratio of two running averages.

    .. math::

        E_t &= \rho E_{t-1} + (1 - \rho) g_t^2 \\
        d_t &= \sqrt{\frac{D_{t-1} + \epsilon}{E_t + \epsilon}} \, g_t \\
        D_t &= \rho D_{t-1} + (1 - \rho) d_t^2 \\
        \theta_t &= \theta_{t-1} - \eta d_t

    with E_0 = D_0 = 0, as in the paper, torch ``Adadelta``, ``optax.adadelta`` (learning rate 1)
    and Keras ``Adadelta``.  D averages d before the learning rate.  Without epsilon in the
    numerator, as the course notes' algorithm prints it, the rule would never move; their code
    has it.

    The first step is sqrt(epsilon / (1 - rho)) whatever the gradient, if that is much larger
    than sqrt(epsilon); on a constant slope the step grows until it equals the gradient.

    Parameters
    ----------
    learning_rate : float or sequence
        Factor eta on the finished step, >= 0, dimensionless; default 1 as in torch (the paper has
        none; Keras has 0.001).
    rho : float or sequence
        Decay of both averages, in [0, 1), dimensionless; default 0.9 as in torch (paper 0.95).
    epsilon : float or sequence
        >= 0, in units of the squared gradient and of theta^2 at once; default 1e-6.

    References
    ----------
    Zeiler (2012), arXiv:1212.5701, algorithm 1.

    Examples
    --------
    >>> AdaDelta(rho=0.95)
    AdaDelta(rho=0.95)
    """

    kernels: ClassVar = {"standard": update}
    vectors: ClassVar = 2

    learning_rate: Values = parameter(default=1.0, lower=0.0)
    rho: Values = parameter(default=0.9, lower=0.0, upper=1.0, upper_open=True)
    epsilon: Values = parameter(default=1e-6, lower=0.0)
