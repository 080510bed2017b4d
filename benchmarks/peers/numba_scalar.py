"""Peer: the obvious numba program, scalar kernels and one trajectory per ``prange`` iteration."""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from . import FloatArray, IntArray, Outcome, Run, Workload

Gradient = Callable[[FloatArray, FloatArray], float]


def available() -> str | None:
    """Say whether this peer can run.

    Returns
    -------
    str or None
        None: numba is a dependency of the package itself.
    """
    return None


@numba.njit
def _rosenbrock(x: FloatArray, gradient: FloatArray) -> float:
    """Fill the gradient of Rosenbrock's function at x and return the loss."""
    loss = 0.0
    gradient[0] = 0.0
    for i in range(x.size - 1):
        valley = x[i + 1] - x[i] * x[i]
        slope = 1.0 - x[i]
        loss += 100.0 * valley * valley + slope * slope
        gradient[i] -= 400.0 * x[i] * valley + 2.0 * slope
        gradient[i + 1] = 200.0 * valley
    return loss


@numba.njit
def _rastrigin(x: FloatArray, gradient: FloatArray) -> float:
    """Fill the gradient of Rastrigin's function at x and return the loss."""
    loss = 10.0 * x.size
    for i in range(x.size):
        angle = 2.0 * np.pi * x[i]
        loss += x[i] * x[i] - 10.0 * np.cos(angle)
        gradient[i] = 2.0 * x[i] + 20.0 * np.pi * np.sin(angle)
    return loss


def _compile(value_and_gradient: Gradient, noisy: bool) -> Callable[..., tuple[FloatArray, IntArray]]:
    """Compile the loop over trajectories for one landscape, with or without noise."""

    @numba.njit(parallel=True, cache=False)
    def simulate(starts, steps, lr, beta1, beta2, epsilon, noise_scale, stop_loss, seed):  # type: ignore[no-untyped-def]
        count, dim = starts.shape
        position = starts.copy()
        taken = np.full(count, steps)
        for k in numba.prange(count):
            theta = position[k]
            m, v, g = np.zeros(dim), np.zeros(dim), np.empty(dim)
            power1 = power2 = 1.0
            if noisy:
                np.random.seed(seed + k)
            for step in range(steps):
                loss = value_and_gradient(theta, g)
                if loss < stop_loss:
                    taken[k] = step
                    break
                power1 *= beta1
                power2 *= beta2
                for i in range(dim):
                    if noisy:
                        g[i] += noise_scale * np.random.standard_normal()
                    m[i] = beta1 * m[i] + (1.0 - beta1) * g[i]
                    v[i] = beta2 * v[i] + (1.0 - beta2) * g[i] * g[i]
                    m_hat = m[i] / (1.0 - power1)
                    v_hat = v[i] / (1.0 - power2)
                    theta[i] -= lr * m_hat / (np.sqrt(v_hat) + epsilon)
        return position, taken

    return simulate
