"""Nadam: Adam with Nesterov momentum."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar, TypeAlias

import numpy as np

from fastdescent.contracts import Row, Rows, kernel, lane_function
from fastdescent.lanemath import exp
from fastdescent.optimizers._base import Optimizer
from fastdescent.optimizers._moments import next_power
from fastdescent.parts import Values, option, parameter

__all__ = ["Nadam"]

_LOG_096 = math.log(0.96)

_Weights: TypeAlias = Callable[[float, float, float, int], tuple[float, float, float]]


# Every variant's numerator is a sum c_m m_t + c_g g_t.  From the running product of the
# momenta, mu_t and mu_{t+1}, these functions return (next product, c_m, c_g); t is the step.


@lane_function
def _momentum(beta1: float, decay: float, t: int) -> float:
    return beta1 * (1.0 - 0.5 * exp(_LOG_096 * (t * decay)))


@lane_function
def _correct_next(
    product: float, mu: float, following: float, t: int
) -> tuple[float, float, float]:
    product = next_power(product, mu)
    return product, following / (1.0 - product * following), (1.0 - mu) / (1.0 - product)


@lane_function
def _correct_now(product: float, mu: float, following: float, t: int) -> tuple[float, float, float]:
    product = next_power(product, mu)
    return product, following / (1.0 - product), (1.0 - mu) / (1.0 - product)


@lane_function
def _correct_previous(
    product: float, mu: float, following: float, t: int
) -> tuple[float, float, float]:
    # mu m_{t-1} = m_t - (1 - mu) g_t; the mean before the first step is 0.
    previous = 0.0 if t == 1 else 1.0 / (1.0 - product)
    product = next_power(product, mu)
    return product, previous, (1.0 - mu) * (1.0 / (1.0 - product) - previous)


@lane_function
def _agree(rows: Rows, hyper: Rows) -> bool:
    """Return whether all that the weights depend on is the same in every lane."""
    beta1, beta2, decay, power1, power2 = hyper[1], hyper[2], hyper[4], rows[0], rows[1]
    differing = 0
    for lane in range(beta1.shape[0]):
        betas = (beta1[lane] != beta1[0]) | (beta2[lane] != beta2[0]) | (decay[lane] != decay[0])
        powers = (power1[lane] != power1[0]) | (power2[lane] != power2[0])
        differing |= betas | powers
    return differing == 0


@lane_function
def _weigh(weights: _Weights, warming: bool, rows: Rows, hyper: Rows, step: int) -> None:
    """Advance both powers and write c_m, c_g and 1 / sqrt(1 - beta2^t) to the last rows."""
    beta1, beta2, decay = hyper[1], hyper[2], hyper[4]
    power1, power2, on_mean, on_gradient, scale = rows[0], rows[1], rows[2], rows[3], rows[4]
    lanes = power1.shape[0]
    if step == 1:
        power1[:] = 1.0
        power2[:] = 1.0
    shared = _agree(rows, hyper)
    for lane in range(1 if shared else lanes):
        mu, following = beta1[lane], beta1[lane]
        on_mean[lane] = _momentum(mu, decay[lane], step) if warming else mu
        on_gradient[lane] = _momentum(following, decay[lane], step + 1) if warming else following
    for lane in range(1 if shared else lanes):
        power1[lane], on_mean[lane], on_gradient[lane] = weights(
            power1[lane], on_mean[lane], on_gradient[lane], step
        )
    for lane in range(1 if shared else lanes):
        power2[lane] = next_power(power2[lane], beta2[lane])
        scale[lane] = 1.0 / np.sqrt(1.0 - power2[lane])
    if shared:
        product, power, root = power1[0], power2[0], scale[0]
        of_mean, of_gradient = on_mean[0], on_gradient[0]
        for lane in range(lanes):
            power1[lane], power2[lane], scale[lane] = product, power, root
            on_mean[lane], on_gradient[lane] = of_mean, of_gradient


@lane_function
def _descend(theta: Rows, grad: Rows, state: Rows, hyper: Rows) -> None:
    """Take the step once the weights are in the state's last rows."""
    dim = theta.shape[0]
    learning_rate, beta1, beta2, epsilon = hyper[0], hyper[1], hyper[2], hyper[3]
    on_mean, on_gradient, scale = state[2 * dim + 2], state[2 * dim + 3], state[2 * dim + 4]
    for i in range(dim):
        x, g, m, v = theta[i], grad[i], state[i], state[dim + i]
        for lane in range(theta.shape[1]):
            mean = beta1[lane] * m[lane] + (1.0 - beta1[lane]) * g[lane]
            square = beta2[lane] * v[lane] + (1.0 - beta2[lane]) * (g[lane] * g[lane])
            move = on_mean[lane] * mean + on_gradient[lane] * g[lane]
            x[lane] -= learning_rate[lane] * move / (np.sqrt(square) * scale[lane] + epsilon[lane])
            m[lane], v[lane] = mean, square


@kernel("update")
def dozat(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Weigh with Dozat's schedule of the momentum."""
    _weigh(_correct_next, True, state[2 * theta.shape[0] :], hyper, step)
    _descend(theta, grad, state, hyper)


@kernel("update")
def ruder(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Weigh with a constant momentum, the mean corrected for step t."""
    _weigh(_correct_now, False, state[2 * theta.shape[0] :], hyper, step)
    _descend(theta, grad, state, hyper)


@kernel("update")
def constant(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Weigh with a constant momentum, the mean corrected for step t + 1."""
    _weigh(_correct_next, False, state[2 * theta.shape[0] :], hyper, step)
    _descend(theta, grad, state, hyper)


@kernel("update")
def text(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Weigh with the corrected mean of the step before."""
    _weigh(_correct_previous, False, state[2 * theta.shape[0] :], hyper, step)
    _descend(theta, grad, state, hyper)


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

    learning_rate: Values = parameter(0.002, lower=0.0)
    beta1: Values = parameter(0.9, lower=0.0, upper=1.0, upper_open=True)
    beta2: Values = parameter(0.999, lower=0.0, upper=1.0, upper_open=True)
    epsilon: Values = parameter(1e-8, lower=0.0)
    momentum_decay: Values = parameter(0.004, lower=0.0)
    variant: str = option("dozat", choices=tuple(kernels))
