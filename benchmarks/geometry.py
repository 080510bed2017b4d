"""Spectra of Hessians: fastdescent beside a plain loop and beside JAX, on the same points.

``python -m benchmarks.geometry`` prints the table as Markdown.  Every time is the best of several,
each in a process of its own, the programs taking turns; compilation is in no time.  All start
from the points and end with eigenvalues, value, gradient norm, index, trace and condition number
of each; fastdescent's time ends with the labelled dataset.  The loop is a Python loop over
``numpy.linalg.eigvalsh``; it gets the Hessians for nothing and does a part of the points, as its
cost is that of a point times their number.

``--check`` compares the eigenvalues of all programs with each other.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numba
import numpy as np

from benchmarks.peers import FloatArray, jax_hessians
from benchmarks.table import Setting, child

__all__ = ["PROGRAMS", "Points", "points", "rows"]

TITLES = {
    "himmelblau": "Himmelblau, dim 2, 1 000 000 points",
    "rosenbrock-10": "Rosenbrock, dim 10, 100 000 points",
}
PROGRAMS = ("fastdescent", "loop", "jax", "jax_tuned")

# Points of the loop, which takes microseconds for each however many there are.
_LOOP_POINTS = 20_000


@dataclass(frozen=True, eq=False)
class Points:
    """Points of a landscape whose spectra are wanted.

    Attributes
    ----------
    name : str
        Short label.
    landscape : {"himmelblau", "rosenbrock"}
        Himmelblau's function, or Rosenbrock's: sum over i < dim - 1 of
        100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2.
    x : ndarray of float64, shape (n, dim)
        The points.
    """

    name: str
    landscape: Literal["himmelblau", "rosenbrock"]
    x: FloatArray


def points(scale: float = 1.0) -> list[Points]:
    """Make the workloads; `scale` is the number of points relative to the published table."""
    rng = np.random.default_rng(20_261_122)
    plane = rng.uniform(-6.0, 6.0, (round(1_000_000 * scale), 2))
    chain = rng.uniform(-2.0, 2.0, (round(100_000 * scale), 10))
    return [
        Points("himmelblau", "himmelblau", plane),
        Points("rosenbrock-10", "rosenbrock", chain),
    ]


def _landscape(work: Points) -> Any:
    import fastdescent as fd  # noqa: PLC0415 - not in the peers' processes

    catalogue = fd.landscapes
    if work.landscape == "himmelblau":
        return catalogue.Himmelblau()
    return catalogue.Rosenbrock(dim=work.x.shape[1])


def _fastdescent(work: Points, threads: int) -> Callable[[], FloatArray]:
    from fastdescent.geometry.spectra import spectrum  # noqa: PLC0415

    landscape = _landscape(work)

    def run() -> FloatArray:
        return np.asarray(spectrum(landscape, work.x, threads=threads)["eigenvalues"])

    spectrum(landscape, work.x[:10])
    return run


def _loop(work: Points) -> Callable[[], FloatArray]:
    matrices = _landscape(work).hessian(work.x)

    def run() -> FloatArray:
        return np.array([np.linalg.eigvalsh(matrix) for matrix in matrices])

    return run


def prepare(program: str, work: Points, threads: int) -> Callable[[], FloatArray]:
    """Make a program's run of a workload, compiled and warm; it returns the eigenvalues."""
    if program == "fastdescent":
        return _fastdescent(work, threads)
    if program == "loop":
        return _loop(work)
    return jax_hessians.prepare(work, threads, tuned=program == "jax_tuned")


def missing(program: str, work: Points) -> str | None:
    """Say why a program cannot do a workload; None if it can."""
    if program == "jax_tuned" and work.x.shape[1] != 2:
        return "there is a closed form in two dimensions only"
    return jax_hessians.available() if program.startswith("jax") else None


def measure(program: str, name: str, setting: Setting) -> dict[str, Any]:
    """Time one program on one workload in this process.

    Returns
    -------
    dict
        ``seconds`` per point, or ``missing`` with the reason.
    """
    (work,) = [work for work in points(setting.scale) if work.name == name]
    reason = missing(program, work)
    if reason is not None:
        return {"missing": reason}
    if program == "loop":
        work = replace(work, x=work.x[:_LOOP_POINTS])
    run = prepare(program, work, setting.threads)
    best, began = float("inf"), time.perf_counter()
    while True:
        started = time.perf_counter()
        run()
        finished = time.perf_counter()
        best = min(best, finished - started)
        if finished - began > setting.seconds:
            return {"seconds": best / len(work.x)}


def seconds(program: str, name: str, setting: Setting) -> float:
    """Return what `measure` finds in a process of its own; inf if the program cannot run."""
    answer = json.loads(
        child(
            *("-m", "benchmarks.geometry", "--measure", program, name),
            *("--threads", str(setting.threads), "--seconds", str(setting.seconds)),
            *("--scale", str(setting.scale)),
        )
    )
    return float(answer.get("seconds", "inf"))


def rows(setting: Setting) -> list[str]:
    """Return the lines of the table."""
    lines = [
        "| spectra of Hessians (float64) | seconds | x loop over `numpy.linalg.eigvalsh` "
        "| x JAX `vmap` of `hessian`, `eigvalsh` | x JAX, closed form by hand |",
        "|---|---|---|---|---|",
    ]
    for work in points(setting.scale):
        best = dict.fromkeys(PROGRAMS, float("inf"))
        for _ in range(setting.rounds):
            for program in best:
                best[program] = min(best[program], seconds(program, work.name, setting))
        own, *others = best.values()
        ratios = [f"{other / own:.3g}" if np.isfinite(other) else "" for other in others]
        lines.append(f"| {TITLES[work.name]} | {own * len(work.x):.2f} | {' | '.join(ratios)} |")
    return lines


def check(threads: int) -> None:
    """Assert that all programs find the same eigenvalues, to 64 eps of the largest."""
    for work in points(0.01):
        found = {
            program: prepare(program, work, threads)()
            for program in PROGRAMS
            if missing(program, work) is None
        }
        for program, values in found.items():
            error = np.abs(values - found["loop"]) / np.abs(found["loop"]).max(axis=1)[:, None]
            print(f"{work.name:16} {program:12} {error.max():8.1e}")
            assert error.max() <= 64 * np.finfo(float).eps, f"{work.name}: {program}"


def main() -> None:
    """Measure and print, or check."""
    parser = argparse.ArgumentParser(description="Spectra of Hessians beside other programs.")
    parser.add_argument("--threads", type=int, default=int(numba.config.NUMBA_NUM_THREADS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--check", action="store_true", help="compare the programs' eigenvalues")
    parser.add_argument("--measure", nargs=2, metavar=("PROGRAM", "WORKLOAD"))
    given = parser.parse_args()
    setting = Setting(given.threads, given.rounds, given.seconds, given.scale)
    if given.measure:
        print(json.dumps(measure(*given.measure, setting)))
    elif given.check:
        check(given.threads)
    else:
        print("\n".join(rows(setting)))


if __name__ == "__main__":
    main()
