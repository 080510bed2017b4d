"""Momentum: the heavy ball."""

from __future__ import annotations

from typing import ClassVar

from fastdescent.contracts import Row, Rows, kernel
from fastdescent.errors import InvalidValueError
from fastdescent.optimizers._base import Optimizer
from fastdescent.parts import Values, option, parameter

__all__ = ["Momentum"]


@kernel("update")
def lr_inside(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Accumulate steps: the learning rate is inside the velocity."""
    learning_rate, beta = hyper[0], hyper[1]
    for i in range(theta.shape[0]):
        x, g, v = theta[i], grad[i], state[i]
        for lane in range(theta.shape[1]):
            velocity = beta[lane] * v[lane] + learning_rate[lane] * g[lane]
            x[lane] -= velocity
            v[lane] = velocity


@kernel("update")
def lr_outside(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Accumulate gradients, the first one undamped: the learning rate is outside."""
    learning_rate, beta, dampening = hyper[0], hyper[1], hyper[2]
    first = step == 1
    for i in range(theta.shape[0]):
        x, g, v = theta[i], grad[i], state[i]
        for lane in range(theta.shape[1]):
            weight = 1.0 if first else 1.0 - dampening[lane]
            velocity = beta[lane] * v[lane] + weight * g[lane]
            x[lane] -= learning_rate[lane] * velocity
            v[lane] = velocity


@kernel("update")
def ema(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Average gradients exponentially: the learning rate is outside."""
    learning_rate, beta = hyper[0], hyper[1]
    for i in range(theta.shape[0]):
        x, g, v = theta[i], grad[i], state[i]
        for lane in range(theta.shape[1]):
            velocity = beta[lane] * v[lane] + (1.0 - beta[lane]) * g[lane]
            x[lane] -= learning_rate[lane] * velocity
            v[lane] = velocity


class Momentum(Optimizer):
    r"""Momentum, or heavy ball: the step is a fading sum of the gradients so far.

    .. math::

        \text{lr\_inside:}\quad & v_t = \beta v_{t-1} + \eta g_t,
            & \theta_t = \theta_{t-1} - v_t \\
        \text{lr\_outside:}\quad & v_t = \beta v_{t-1} + (1 - \tau) g_t,
            & \theta_t = \theta_{t-1} - \eta v_t \\
        \text{ema:}\quad & v_t = \beta v_{t-1} + (1 - \beta) g_t,
            & \theta_t = \theta_{t-1} - \eta v_t

    with v_0 = 0.  While eta is constant, `lr_inside` and `lr_outside` with tau = 0 walk the
    same path, and `ema` walks it with eta (1 - beta) in place of eta; they part company when
    eta follows a schedule.

    - ``lr_inside``: Polyak's heavy ball, Keras ``SGD``, the course notes' first form.
    - ``lr_outside``: torch ``SGD``, ``optax.sgd`` (tau = 0).  As in torch the first gradient is
      not dampened: v_1 = g_1.
    - ``ema``: ``optax.ema(debias=False)`` before the learning rate, QHM with nu = 1, the course
      notes' second form.  It is not torch with tau = beta, whose first step is 1 / (1 - beta)
      times longer.

    On a quadratic of curvature lambda it is stable if and only if 0 < eta lambda < 2 (1 + beta)
    in the first two forms.

    Parameters
    ----------
    learning_rate : float or sequence
        Step size eta, >= 0, in units of theta^2 per loss; default 0.001 as in torch (Keras 0.01).
    beta : float or sequence
        How much of the velocity survives a step, in (-1, 1), dimensionless; default 0.9.
    dampening : float or sequence
        Dampening tau of later gradients, in [0, 1], dimensionless; default 0 as in torch.
        Only `lr_outside` has it.
    variant : {"lr_inside", "lr_outside", "ema"}
        Where the learning rate stands.

    Raises
    ------
    InvalidValueError
        If `dampening` is given to a variant that has none.

    References
    ----------
    Polyak (1964), USSR Computational Mathematics and Mathematical Physics 4(5), 1-17.

    Examples
    --------
    >>> Momentum(learning_rate=0.1, beta=0.9)
    Momentum(learning_rate=0.1)
    >>> Momentum(variant="lr_outside", dampening=0.5).parameter_names()
    ('learning_rate', 'beta', 'dampening')
    """

    kernels: ClassVar = {"lr_inside": lr_inside, "lr_outside": lr_outside, "ema": ema}
    vectors: ClassVar = 1

    learning_rate: Values = parameter(default=0.001, lower=0.0)
    beta: Values = parameter(default=0.9, lower=-1.0, upper=1.0, lower_open=True, upper_open=True)
    dampening: Values = parameter(default=0.0, lower=0.0, upper=1.0)
    variant: str = option(default="lr_inside", choices=tuple(kernels))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variant != "lr_outside" and self.dampening != 0.0:
            raise InvalidValueError(
                "Momentum.dampening",
                self.dampening,
                f"0 with variant {self.variant!r}",
                'only variant="lr_outside" dampens',
            )
