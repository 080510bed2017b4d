"""Gradient descent."""

from __future__ import annotations

from typing import ClassVar

from fastdescent.contracts import Row, Rows, kernel
from fastdescent.optimizers._base import Optimizer
from fastdescent.parts import Values, parameter

__all__ = ["GradientDescent"]


@kernel("update")
def update(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Take one step against the gradient."""
    learning_rate = hyper[0]
    for i in range(theta.shape[0]):
        x, g = theta[i], grad[i]
        for lane in range(theta.shape[1]):
            x[lane] -= learning_rate[lane] * g[lane]


class GradientDescent(Optimizer):
    r"""Gradient descent: a fixed multiple of the gradient is taken off theta.

    .. math:: \theta_t = \theta_{t-1} - \eta g_t

    Shared by torch ``SGD``, ``optax.sgd`` and Keras ``SGD``.  On a quadratic it converges if
    and only if 0 < eta < 2 / lambda_max.

    Parameters
    ----------
    learning_rate : float or sequence
        Step size eta, >= 0, in units of theta^2 per loss; default 0.001 as in torch (Keras 0.01).

    References
    ----------
    Cauchy (1847), Comptes Rendus 25, 536-538.

    Examples
    --------
    >>> GradientDescent(learning_rate=0.1)
    GradientDescent(learning_rate=0.1)
    """

    kernels: ClassVar = {"standard": update}

    learning_rate: Values = parameter(default=0.001, lower=0.0)
