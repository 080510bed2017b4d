"""Peer: NumPy, every operation vectorised over the trajectories.

The coordinates are rows, ``theta`` has shape (dim, count), so that all operations run over
contiguous memory, in place where that is simple. NumPy uses one thread for this, whatever is asked
for.
"""

from dataclasses import replace

import numpy as np

from . import FloatArray, Outcome, Run, Workload

COMPACTION_INTERVAL = 64
"""Steps between two removals of the trajectories that stopped.

With a removal at every step in which one stopped, the work takes 2.4 times as long.
"""


def available() -> str | None:
    """Say whether this peer can run.

    Returns
    -------
    str or None
        None: NumPy is a dependency of the package itself.
    """
    return None


def prepare(workload: Workload, threads: int) -> Run:
    """Make the callable that computes a workload.

    Parameters
    ----------
    workload : Workload
        What to compute.
    threads : int
        Not used.

    Returns
    -------
    callable
        Takes nothing and returns the `Outcome`.
    """
    _simulate(replace(workload, steps=min(workload.steps, 3)))
    return lambda: _simulate(workload)


def _rosenbrock_loss(x: FloatArray) -> FloatArray:
    valley, slope = x[1:] - x[:-1] ** 2, 1.0 - x[:-1]
    return (100.0 * valley**2 + slope**2).sum(axis=0)


def _rosenbrock_gradient(x: FloatArray, gradient: FloatArray) -> None:
    valley = x[1:] - x[:-1] ** 2
    gradient[0] = 0.0
    np.multiply(valley, 200.0, out=gradient[1:])
    valley *= x[:-1]
    valley *= 400.0
    gradient[:-1] -= valley
    gradient[:-1] += 2.0 * x[:-1] - 2.0


def _rastrigin_loss(x: FloatArray) -> FloatArray:
    return 10.0 * len(x) + (x**2 - 10.0 * np.cos(2.0 * np.pi * x)).sum(axis=0)


def _rastrigin_gradient(x: FloatArray, gradient: FloatArray) -> None:
    np.multiply(x, 2.0 * np.pi, out=gradient)
    np.sin(gradient, out=gradient)
    gradient *= 20.0 * np.pi
    gradient += 2.0 * x


LANDSCAPES = {
    "rosenbrock": (_rosenbrock_loss, _rosenbrock_gradient),
    "rastrigin": (_rastrigin_loss, _rastrigin_gradient),
}


def _simulate(workload: Workload) -> Outcome:
    """Run all trajectories; those that stopped are left out after the next compaction."""
    loss, gradient = LANDSCAPES[workload.landscape]
    rng = np.random.default_rng(workload.seed)
    position = np.empty_like(workload.starts)
    steps = np.full(len(position), workload.steps)
    index, live = np.arange(len(position)), np.ones(len(position), dtype=bool)
    theta = workload.starts.T.copy()
    m, v, g = np.zeros_like(theta), np.zeros_like(theta), np.empty_like(theta)
    for step in range(workload.steps):
        if workload.stop_loss is not None:
            stopped = live & (loss(theta) < workload.stop_loss)
            if stopped.any():
                position[index[stopped]] = theta[:, stopped].T
                steps[index[stopped]] = step
                live ^= stopped
            if step % COMPACTION_INTERVAL == 0 and not live.all():
                index, theta, m, v, live = (a[..., live] for a in (index, theta, m, v, live))
                g = np.empty_like(theta)
            if index.size == 0:
                break
        gradient(theta, g)
        if workload.noise_scale:
            g += workload.noise_scale * rng.standard_normal(g.shape)
        _update(theta, g, m, v, workload, step + 1)
    position[index[live]] = theta[:, live].T
    return Outcome(position, steps)


def _update(
    theta: FloatArray, g: FloatArray, m: FloatArray, v: FloatArray, workload: Workload, t: int
) -> None:
    """Make Adam's step t in place; g is used as scratch."""
    m *= workload.beta1
    m += (1.0 - workload.beta1) * g
    v *= workload.beta2
    g *= g
    g *= 1.0 - workload.beta2
    v += g
    np.multiply(v, 1.0 / (1.0 - workload.beta2**t), out=g)
    np.sqrt(g, out=g)
    g += workload.epsilon
    np.divide(m, g, out=g)
    g *= workload.learning_rate / (1.0 - workload.beta1**t)
    theta -= g
