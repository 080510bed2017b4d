"""Time one program on one workload, in a process of its own.

``python -m benchmarks.measure PEER WORKLOAD --threads 2`` prints one line of JSON.  A process
of its own, since threading runtimes bind and keep threads, and one peer's would disturb the
next one's.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib import import_module
from typing import cast

from benchmarks.peers import Peer, Run, workloads
from benchmarks.peers import load as load_peer

__all__ = ["best_rate", "load"]


def load(name: str) -> Peer:
    """Import a peer, or fastdescent as one."""
    if name == "fastdescent":
        return cast(Peer, import_module("benchmarks.engine"))
    return load_peer(name)


def best_rate(run: Run, repeats: int, seconds: float) -> float:
    """Return the best of several rates in trajectory-steps per second.

    Parameters
    ----------
    run : callable
        The work.
    repeats : int
        Most repetitions.
    seconds : float
        No repetition starts after this many seconds.
    """
    best, began = 0.0, time.perf_counter()
    for _ in range(repeats):
        started = time.perf_counter()
        outcome = run()
        finished = time.perf_counter()
        best = max(best, float(outcome.steps.sum()) / (finished - started))
        if finished - began > seconds:
            break
    return best


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer")
    parser.add_argument("workload")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--scale", type=float, default=1.0)
    given = parser.parse_args()
    peer = load(given.peer)
    reason = peer.available()
    if reason is None:
        (workload,) = [w for w in workloads(given.scale) if w.name == given.workload]
        rate = best_rate(peer.prepare(workload, given.threads), given.repeats, given.seconds)
        print(json.dumps({"rate": rate}))
    else:
        print(json.dumps({"missing": reason}))


if __name__ == "__main__":
    main()
