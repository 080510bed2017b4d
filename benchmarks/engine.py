"""fastdescent as one of the peers: the same interface, the same work."""

from __future__ import annotations

import fastdescent as fd
from benchmarks.peers import Outcome, Run, Workload
from fastdescent.engine.ensemble import Geometry

__all__ = ["available", "prepare"]


def available() -> str | None:
    """Say why the peer cannot run here: it always can."""
    return None


def prepare(workload: Workload, threads: int, geometry: Geometry | None = None) -> Run:
    """Compile and warm up, and return the callable to time.

    Parameters
    ----------
    workload : Workload
        The work.
    threads : int
        Number of threads.
    geometry : Geometry, optional
        How trajectories are grouped.

    Returns
    -------
    callable
        The simulation as a user calls it, the labelled dataset included.
    """
    landscapes = {
        "rosenbrock": fd.landscapes.Rosenbrock,
        "rastrigin": fd.landscapes.Rastrigin,
    }
    landscape = landscapes[workload.landscape](dim=workload.dim)
    rule = fd.optimizers.Adam(
        learning_rate=workload.learning_rate,
        beta1=workload.beta1,
        beta2=workload.beta2,
        epsilon=workload.epsilon,
    )
    noise = fd.noise.Gaussian(scale=workload.noise_scale) if workload.noise_scale else None
    stop = None if workload.stop_loss is None else fd.Stop(loss=workload.stop_loss)

    def run(steps: int = workload.steps) -> Outcome:
        ds = fd.simulate(
            landscape,
            rule,
            starts=workload.starts,
            steps=steps,
            noise=noise,
            stop=stop,
            seed=workload.seed,
            threads=threads,
            geometry=geometry,
        )
        return Outcome(ds.position.values, ds.steps.values)

    run(10)
    return run
