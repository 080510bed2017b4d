"""Check that all peers that can run here compute the same trajectories.

Run it from the repository's root with ``python -m benchmarks.peers.check``.
"""

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module

import numpy as np

from . import PEERS, Outcome, Workload, workloads

REFERENCE = "numpy_batch"


def small_workloads() -> Iterator[tuple[Workload, float, int]]:
    """Give small noise-free workloads with the differences that rounding may cause.

    The peers round differently: reciprocals in place of divisions, fused multiply-adds. Over 50
    steps that stays below 1e-10 of a coordinate. Until 1e-8 is reached it grows along the
    valley: the step at which a trajectory arrives may differ, but not on average.

    Yields
    ------
    workload : Workload
        With 200 trajectories.
    tolerance : float
        Largest difference of two positions, relative to a coordinate or to 1 if that is larger.
    delay : int
        Largest difference of the median number of steps.
    """
    for workload in workloads(scale=0.02):
        if workload.noise_scale:
            continue
        few = replace(workload, starts=workload.starts[:200])
        if workload.stop_loss is None:
            yield replace(few, steps=50), 1e-10, 0
        else:
            yield replace(few, name=f"{few.name}, cut", steps=50, stop_loss=1.0), 1e-10, 0
            yield few, 1e-3, 2


def compare(
    peer: str, workload: Workload, expected: Outcome, tolerance: float, delay: int, threads: int
) -> None:
    """Assert that a peer's outcome is the expected one.

    Parameters
    ----------
    peer : str
        Name of the peer's module.
    workload : Workload
        What it computes.
    expected : Outcome
        What the reference computed.
    tolerance, delay : float, int
        As given by `small_workloads`.
    threads : int
        Threads to use.

    Raises
    ------
    AssertionError
        If the two differ by more than is allowed.
    """
    outcome = import_module(f"{__package__}.{peer}").prepare(workload, threads)()
    assert outcome.steps.dtype == np.int64, f"{peer}: steps are {outcome.steps.dtype}"
    difference = abs(outcome.position - expected.position)
    error = (difference / np.maximum(1.0, abs(expected.position))).max()
    shift = abs(np.median(outcome.steps) - np.median(expected.steps))
    print(f"{workload.name:32} {peer:14} position {error:8.1e} steps {shift:4.1f}")
    assert error <= tolerance, f"{peer} on {workload.name}: {error} away from {REFERENCE}"
    assert shift <= delay, f"{peer} on {workload.name}: {shift} steps away from {REFERENCE}"


def main(threads: int = 2) -> None:
    """Compare all peers on all small workloads.

    Parameters
    ----------
    threads : int
        Threads to use.
    """
    usable = []
    for peer in PEERS:
        reason = import_module(f"{__package__}.{peer}").available()
        print(f"{peer}: {reason or 'usable'}")
        if reason is None and peer != REFERENCE:
            usable.append(peer)
    for workload, tolerance, delay in small_workloads():
        expected = import_module(f"{__package__}.{REFERENCE}").prepare(workload, threads)()
        for peer in usable:
            compare(peer, workload, expected, tolerance, delay, threads)


if __name__ == "__main__":
    main()
