"""Check that all peers that can run here compute the same trajectories.

Run it from the repository's root with ``python -m benchmarks.peers.check``.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from . import PEERS, Outcome, Workload, load, workloads

REFERENCE = "numpy_batch"


@dataclass(frozen=True)
class Case:
    """A small workload and the differences that rounding may cause in it.

    Attributes
    ----------
    workload : Workload
        Without noise, since the peers' random numbers differ.
    tolerance : float
        Largest difference of two positions, relative to a coordinate or to 1 if that is larger.
    delay : int
        Largest difference of the median number of steps.
    """

    workload: Workload
    tolerance: float
    delay: int


def cases() -> Iterator[Case]:
    """Make the cases from the published workloads.

    The peers round differently: reciprocals in place of divisions, fused multiply-adds. Over 50
    steps that stays far below 1e-10. Until 1e-8 is reached it grows along the valley: the step at
    which a trajectory arrives may differ then, the median over all hardly.

    Yields
    ------
    Case
        A workload of 200 trajectories.
    """
    for workload in workloads(scale=0.02):
        if workload.noise_scale:
            continue
        few = replace(workload, starts=workload.starts[:200])
        if workload.stop_loss is None:
            yield Case(replace(few, steps=50), tolerance=1e-10, delay=0)
        else:
            early = replace(few, name=f"{few.name}, early", steps=50, stop_loss=1.0)
            yield Case(early, tolerance=1e-10, delay=0)
            yield Case(few, tolerance=1e-3, delay=2)


def compare(peer: str, case: Case, expected: Outcome, threads: int) -> None:
    """Assert that a peer's outcome is the expected one.

    Parameters
    ----------
    peer : str
        Name of the peer's module.
    case : Case
        What it computes.
    expected : Outcome
        What the reference computed.
    threads : int
        Threads to use.

    Raises
    ------
    AssertionError
        If the two differ by more than is allowed.
    """
    name = case.workload.name
    outcome = load(peer).prepare(case.workload, threads)()
    assert outcome.steps.dtype == np.int64, f"{peer} on {name}: steps are {outcome.steps.dtype}"
    difference = abs(outcome.position - expected.position)
    error = (difference / np.maximum(1.0, abs(expected.position))).max()
    delay = abs(np.median(outcome.steps) - np.median(expected.steps))
    print(f"{name:32} {peer:14} position {error:8.1e} steps {delay:4.1f}")
    assert error <= case.tolerance, f"{peer} on {name}: {error} away from {REFERENCE}"
    assert delay <= case.delay, f"{peer} on {name}: {delay} steps away from {REFERENCE}"


def main(threads: int = 2) -> None:
    """Compare all peers in all cases.

    Parameters
    ----------
    threads : int
        Threads to use.
    """
    usable = []
    for peer in PEERS:
        reason = load(peer).available()
        print(f"{peer}: {reason or 'usable'}")
        if reason is None and peer != REFERENCE:
            usable.append(peer)
    for case in cases():
        expected = load(REFERENCE).prepare(case.workload, threads)()
        for peer in usable:
            compare(peer, case, expected, threads)


if __name__ == "__main__":
    main()
