"""Nadam: Adam with Nesterov momentum."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np

from fastdescent.contracts import Row, Rows, kernel, lane_function
from fastdescent.errors import InvalidValueError
from fastdescent.lanemath import exp
from fastdescent.optimizers._base import Optimizer
from fastdescent.optimizers._moments import next_power
from fastdescent.parts import Values, option, parameter

__all__ = ["Nadam"]

_LOG_096 = math.log(0.96)


# Every variant's numerator is a sum c_m m_t + c_g g_t.  The rows after the moments are the
# running product of the momenta, beta2^t, and as workspace c_m, c_g and 1 / sqrt(c_2).


@lane_function
def _begin(rows: Rows, hyper: Rows, step: int) -> int:
    """Advance beta2^t; return how many lanes to compute: 1 where all lanes agree."""
    beta1, beta2, decay = hyper[1], hyper[2], hyper[4]
    power1, power2, scale = rows[0], rows[1], rows[4]
    if step == 1:
        power1[:] = 1.0
        power2[:] = 1.0
    differing = 0
    for lane in range(power1.shape[0]):
        betas = (beta1[lane] != beta1[0]) | (beta2[lane] != beta2[0]) | (decay[lane] != decay[0])
        powers = (power1[lane] != power1[0]) | (power2[lane] != power2[0])
        differing |= betas | powers
    count = power1.shape[0] if differing != 0 else 1
    for lane in range(count):
        power2[lane] = next_power(power2[lane], beta2[lane])
        scale[lane] = 1.0 / np.sqrt(1.0 - power2[lane])
    return count


@lane_function
def _descend(theta: Rows, grad: Rows, state: Rows, hyper: Rows, count: int) -> None:
    """Copy lane 0's corrections where they are shared, then take the step."""
    dim, lanes = theta.shape
    learning_rate, beta1, beta2, epsilon = hyper[0], hyper[1], hyper[2], hyper[3]
    power1, power2 = state[2 * dim], state[2 * dim + 1]
    on_mean, on_gradient, scale = state[2 * dim + 2], state[2 * dim + 3], state[2 * dim + 4]
    product, power, root = power1[0], power2[0], scale[0]
    of_mean, of_gradient = on_mean[0], on_gradient[0]
    if count == 1:
        for lane in range(lanes):
            power1[lane], power2[lane], scale[lane] = product, power, root
            on_mean[lane], on_gradient[lane] = of_mean, of_gradient
    for i in range(dim):
        x, g, m, v = theta[i], grad[i], state[i], state[dim + i]
        for lane in range(lanes):
            mean = beta1[lane] * m[lane] + (1.0 - beta1[lane]) * g[lane]
            square = beta2[lane] * v[lane] + (1.0 - beta2[lane]) * (g[lane] * g[lane])
            move = on_mean[lane] * mean + on_gradient[lane] * g[lane]
            x[lane] -= learning_rate[lane] * move / (np.sqrt(square) * scale[lane] + epsilon[lane])
            m[lane], v[lane] = mean, square


@kernel("update")
def dozat(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Weigh with Dozat's schedule of the momentum."""
    rows, beta1, decay = state[2 * theta.shape[0] :], hyper[1], hyper[4]
    product, on_mean, on_gradient = rows[0], rows[2], rows[3]
    count = _begin(rows, hyper, step)
    for lane in range(count):
        # mu_t and mu_{t+1}, in a loop of their own: with the divisions it would not vectorise.
        on_gradient[lane] = beta1[lane] * (1.0 - 0.5 * exp(_LOG_096 * (step * decay[lane])))
        on_mean[lane] = beta1[lane] * (1.0 - 0.5 * exp(_LOG_096 * ((step + 1) * decay[lane])))
    for lane in range(count):
        product[lane] = next_power(product[lane], on_gradient[lane])
        on_gradient[lane] = (1.0 - on_gradient[lane]) / (1.0 - product[lane])
        on_mean[lane] = on_mean[lane] / (1.0 - product[lane] * on_mean[lane])
    _descend(theta, grad, state, hyper, count)


@kernel("update")
def ruder(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Weigh with a constant momentum, the mean corrected for step t."""
    rows, beta1 = state[2 * theta.shape[0] :], hyper[1]
    power, on_mean, on_gradient = rows[0], rows[2], rows[3]
    count = _begin(rows, hyper, step)
    for lane in range(count):
        power[lane] = next_power(power[lane], beta1[lane])
        on_mean[lane] = beta1[lane] / (1.0 - power[lane])
        on_gradient[lane] = (1.0 - beta1[lane]) / (1.0 - power[lane])
    _descend(theta, grad, state, hyper, count)


@kernel("update")
def constant(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Weigh with a constant momentum, the mean corrected for step t + 1."""
    rows, beta1 = state[2 * theta.shape[0] :], hyper[1]
    power, on_mean, on_gradient = rows[0], rows[2], rows[3]
    count = _begin(rows, hyper, step)
    for lane in range(count):
        power[lane] = next_power(power[lane], beta1[lane])
        on_mean[lane] = beta1[lane] / (1.0 - power[lane] * beta1[lane])
        on_gradient[lane] = (1.0 - beta1[lane]) / (1.0 - power[lane])
    _descend(theta, grad, state, hyper, count)


@kernel("update")
def text(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Weigh with the corrected mean of the step before."""
    rows, beta1 = state[2 * theta.shape[0] :], hyper[1]
    power, on_mean, on_gradient = rows[0], rows[2], rows[3]
    count = _begin(rows, hyper, step)
    for lane in range(count):
        # beta1 m_{t-1} = m_t - (1 - beta1) g_t; the mean before the first step is 0.
        before = 0.0 if step == 1 else 1.0 / (1.0 - power[lane])
        power[lane] = next_power(power[lane], beta1[lane])
        on_mean[lane] = before
        on_gradient[lane] = (1.0 - beta1[lane]) * (1.0 / (1.0 - power[lane]) - before)
    _descend(theta, grad, state, hyper, count)


class Nadam(Optimizer):
    r"""Nadam: Adam whose numerator already holds the next step's momentum.

    .. math::

        m_t = \beta_1 m_{t-1} + (1 - \beta_1) g_t, \quad
        v_t = \beta_2 v_{t-1} + (1 - \beta_2) g_t^2, \quad
        \theta_t = \theta_{t-1} - \eta \frac{n_t}{\sqrt{v_t / c_2} + \epsilon} \\
        \text{dozat:}\quad n_t = \frac{\mu_{t+1} m_t}{1 - \prod_{i=1}^{t+1} \mu_i}
            + \frac{(1 - \mu_t) g_t}{1 - \prod_{i=1}^{t} \mu_i}, \quad
            \mu_t = \beta_1 \left(1 - \tfrac12 0.96^{t \psi}\right) \\
        \text{constant:}\quad n_t = \frac{\beta_1 m_t}{1 - \beta_1^{t+1}}
            + \frac{(1 - \beta_1) g_t}{1 - \beta_1^t} \\
        \text{ruder:}\quad n_t = \frac{\beta_1 m_t}{1 - \beta_1^t}
            + \frac{(1 - \beta_1) g_t}{1 - \beta_1^t} \\
        \text{text:}\quad n_t = \frac{\beta_1 m_{t-1}}{1 - \beta_1^{t-1}}
            + \frac{(1 - \beta_1) g_t}{1 - \beta_1^t}

    with m_0 = v_0 = 0, c_2 = 1 - beta_2^t, and powers that are the product of the betas so far if
    beta follows a schedule.

    - ``dozat``: torch ``NAdam`` (psi = 0.004), Keras ``Nadam`` (psi = 1): Dozat's schedule of the
      momentum in the numerator, over an average m that keeps beta1.  Dozat's own algorithm 2
      has mu_t in the average too and multiplies v / c_2 once more by beta2; no library does.
    - ``constant``: ``optax.nadam``; the limit of `dozat` for large psi.
    - ``ruder``: Ruder's overview and the course notes' code.  Its weights add up to 1.9 at the
      first step.
    - ``text``: the course notes' text, which tends to plain Adam.  The first term is 0 at t = 1.

    On a constant slope the first step is 1.056, 1.474, 1.9 and 1 eta, in this order.

    Parameters
    ----------
    learning_rate : float or sequence
        Step size eta, >= 0, in units of theta; default 0.002 as in torch.
    beta1 : float or sequence
        Decay of the first moment, in [0, 1), dimensionless; default 0.9.
    beta2 : float or sequence
        Decay of the second moment, in [0, 1), dimensionless; default 0.999.
    epsilon : float or sequence
        >= 0, in units of the gradient; default 1e-8.
    momentum_decay : float or sequence
        Speed psi of the momentum's warm-up, >= 0, per step; default 0.004 as in torch.  Only
        `dozat` reads it.
    variant : {"dozat", "ruder", "constant", "text"}
        How the numerator is put together.

    Raises
    ------
    InvalidValueError
        If `momentum_decay` is given to a variant that has none.

    References
    ----------
    Dozat (2016), Incorporating Nesterov Momentum into Adam, ICLR workshop.
    Ruder (2016), arXiv:1609.04747, section 4.8.

    Examples
    --------
    >>> Nadam(learning_rate=0.01, variant="constant")
    Nadam(learning_rate=0.01, variant='constant')
    """

    kernels: ClassVar = {"dozat": dozat, "ruder": ruder, "constant": constant, "text": text}
    vectors: ClassVar = 2
    scalars: ClassVar = 2
    workspace: ClassVar = 3

    learning_rate: Values = parameter(default=0.002, lower=0.0)
    beta1: Values = parameter(default=0.9, lower=0.0, upper=1.0, upper_open=True)
    beta2: Values = parameter(default=0.999, lower=0.0, upper=1.0, upper_open=True)
    epsilon: Values = parameter(default=1e-8, lower=0.0)
    momentum_decay: Values = parameter(default=0.004, lower=0.0)
    variant: str = option(default="dozat", choices=tuple(kernels))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variant != "dozat" and self.momentum_decay != 0.004:
            raise InvalidValueError(
                "Nadam.momentum_decay",
                self.momentum_decay,
                f"0.004, the default, with variant {self.variant!r}",
                'only variant="dozat" reads it',
            )
