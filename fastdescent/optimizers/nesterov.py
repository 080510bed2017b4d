"""Nesterov's accelerated gradient."""

from __future__ import annotations

from typing import ClassVar

from fastdescent.contracts import Row, Rows, kernel
from fastdescent.optimizers._base import Optimizer
from fastdescent.parts import Values, option, parameter

__all__ = ["Nesterov"]


@kernel("query")
def look_ahead(theta: Rows, state: Rows, hyper: Rows, step: int, point: Rows) -> None:
    """Look where the velocity alone would lead."""
    beta = hyper[1]
    for i in range(theta.shape[0]):
        x, v, y = theta[i], state[i], point[i]
        for lane in range(theta.shape[1]):
            y[lane] = x[lane] - beta[lane] * v[lane]


@kernel("update")
def lookahead(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Correct the velocity with the gradient found at the look-ahead point."""
    learning_rate, beta = hyper[0], hyper[1]
    for i in range(theta.shape[0]):
        x, g, v = theta[i], grad[i], state[i]
        for lane in range(theta.shape[1]):
            velocity = beta[lane] * v[lane] + learning_rate[lane] * g[lane]
            x[lane] -= velocity
            v[lane] = velocity


@kernel("update")
def torch(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Step as if the velocity had been applied already, with the gradient at theta."""
    learning_rate, beta = hyper[0], hyper[1]
    for i in range(theta.shape[0]):
        x, g, v = theta[i], grad[i], state[i]
        for lane in range(theta.shape[1]):
            velocity = beta[lane] * v[lane] + g[lane]
            x[lane] -= learning_rate[lane] * (g[lane] + beta[lane] * velocity)
            v[lane] = velocity


class Nesterov(Optimizer):
    r"""Nesterov's accelerated gradient: momentum whose gradient is taken ahead of theta.

    .. math::

        \text{lookahead:}\quad & g_t = \nabla f(\theta_{t-1} - \beta v_{t-1}), \quad
            v_t = \beta v_{t-1} + \eta g_t, \quad \theta_t = \theta_{t-1} - v_t \\
        \text{torch:}\quad & g_t = \nabla f(\theta_{t-1}), \quad
            v_t = \beta v_{t-1} + g_t, \quad
            \theta_t = \theta_{t-1} - \eta (g_t + \beta v_t)

    with v_0 = 0.  For constant eta and beta the theta of `torch` is the look-ahead point of
    `lookahead`, so the two walk the same path at different reported points.

    - ``lookahead``: Sutskever's form and the course notes'.
    - ``torch``: torch ``SGD(nesterov=True)``, ``optax.sgd(nesterov=True)``; Keras
      ``SGD(nesterov=True)`` walks the same path with eta inside v.

    On a quadratic of curvature lambda it is stable if and only if
    0 < eta lambda < 2 (1 + beta) / (1 + 2 beta), which is less than gradient descent's 2.

    Parameters
    ----------
    learning_rate : float or sequence
        Step size eta, >= 0, in units of theta^2 per loss; default 0.001 as in torch (Keras 0.01).
    beta : float or sequence
        How much of the velocity survives a step, in [0, 1), dimensionless; default 0.9.
    variant : {"lookahead", "torch"}
        Which point is theta.

    References
    ----------
    Nesterov (1983), Soviet Mathematics Doklady 27, 372-376.
    Sutskever, Martens, Dahl and Hinton (2013), ICML, equations 3 and 4.

    Examples
    --------
    >>> Nesterov(learning_rate=0.1, beta=0.95)
    Nesterov(learning_rate=0.1, beta=0.95)
    """

    kernels: ClassVar = {"lookahead": lookahead, "torch": torch}
    queries: ClassVar = {"lookahead": look_ahead}
    vectors: ClassVar = 1

    learning_rate: Values = parameter(default=0.001, lower=0.0)
    beta: Values = parameter(default=0.9, lower=0.0, upper=1.0, upper_open=True)
    variant: str = option(default="lookahead", choices=tuple(kernels))
