"""Peer: the obvious numba program, scalar kernels and one trajectory per ``prange`` iteration.

``error_model="numpy"`` and multiplying by reciprocal bias corrections were tried and change its
speed by less than a tenth.

numba starts its own threads and does not bind them. Where the scheduler leaves threads that were
woken together on one core, set ``OMP_PROC_BIND=true`` in the environment, for every program that
runs on numba's OpenMP layer, and measure each in a process of its own, because the main thread is
bound as well.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import numba
import numpy as np

from . import FloatArray, IntArray, Outcome, Run, Workload

ValueAndGradient: TypeAlias = Callable[[FloatArray, FloatArray], float]


def available() -> str | None:
    """Say whether this peer can run.

    Returns
    -------
    str or None
        None: numba is a dependency of the package itself.
    """
    return None


def prepare(workload: Workload, threads: int) -> Run:
    """Compile the loop over trajectories and warm it up.

    Parameters
    ----------
    workload : Workload
        What to compute.
    threads : int
        Threads of numba's pool to use.

    Returns
    -------
    callable
        Takes nothing and returns the `Outcome`.
    """
    simulate = _compile(LANDSCAPES[workload.landscape], noisy=workload.noise_scale > 0.0)

    def run(work: Workload) -> Outcome:
        numba.set_num_threads(threads)
        position, steps = simulate(
            work.starts,
            work.steps,
            work.learning_rate,
            work.beta1,
            work.beta2,
            work.epsilon,
            -np.inf if work.stop_loss is None else work.stop_loss,
            work.noise_scale,
            work.seed,
        )
        return Outcome(position, steps)

    run(replace(workload, steps=1))
    return lambda: run(workload)


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


LANDSCAPES: dict[str, ValueAndGradient] = {"rosenbrock": _rosenbrock, "rastrigin": _rastrigin}


def _compile(value_and_gradient: ValueAndGradient, noisy: bool) -> Callable[..., Any]:
    """Compile the loop over trajectories for one landscape, with or without noise."""

    @numba.njit(parallel=True, cache=False)
    def simulate(
        starts: FloatArray,
        steps: int,
        lr: float,
        beta1: float,
        beta2: float,
        epsilon: float,
        stop_loss: float,
        noise_scale: float,
        seed: int,
    ) -> tuple[FloatArray, IntArray]:
        count, dim = starts.shape
        position = starts.copy()
        taken = np.full(count, steps)
        for k in numba.prange(count):
            theta = position[k]
            m, v, g = np.zeros(dim), np.zeros(dim), np.empty(dim)
            power1 = power2 = 1.0
            if noisy:
                np.random.seed(seed + k)  # noqa: NPY002 - the generator that numba has per thread
            for step in range(steps):
                if value_and_gradient(theta, g) < stop_loss:
                    taken[k] = step
                    break
                power1 *= beta1
                power2 *= beta2
                for i in range(dim):
                    if noisy:
                        g[i] += noise_scale * np.random.standard_normal()  # noqa: NPY002
                    m[i] = beta1 * m[i] + (1.0 - beta1) * g[i]
                    v[i] = beta2 * v[i] + (1.0 - beta2) * g[i] * g[i]
                    m_hat = m[i] / (1.0 - power1)
                    v_hat = v[i] / (1.0 - power2)
                    theta[i] -= lr * m_hat / (np.sqrt(v_hat) + epsilon)
        return position, taken

    return simulate
