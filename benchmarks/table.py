"""The performance table of the README: every program on the same work, in one run.

``python -m benchmarks.table`` prints it as Markdown; ``--update README.md`` also writes it
between the marks there.  Every figure is a ratio of two measurements of this run, each the
best of several, taken in turn so that a busy moment of a shared machine hits all sides.
Compilation is never in a time, except in the line that is about it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numba

from benchmarks.peers import PEERS, workloads

BEGIN, END = "<!-- performance: begin -->", "<!-- performance: end -->"

TITLES = {
    "rosenbrock-2": "Adam, Rosenbrock dim 2, 8192 trajectories, fixed steps",
    "rosenbrock-10": "the same at dim 10",
    "rastrigin-4": "Adam, Rastrigin dim 4",
    "rosenbrock-2-noise": "Adam, Rosenbrock dim 2 with Gaussian gradient noise",
    "rosenbrock-2-until-1e-8": "Adam, Rosenbrock dim 2 until loss < 1e-8, 10 000 starts",
}
NAMES = {
    "cpp_avx2": "C++ AVX2",
    "jax_optax": "JAX, tuned by hand",
    "jax_vmap": "JAX + optax `vmap`",
    "numba_scalar": "Numba, one loop per trajectory",
    "numpy_batch": "NumPy over the batch",
}


@dataclass(frozen=True)
class Setting:
    """How much is measured."""

    threads: int
    rounds: int
    seconds: float
    scale: float


def child(*arguments: str, environment: dict[str, str] | None = None) -> str:
    """Run a Python process and return the last line that it prints."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} failed:\n{done.stderr}")
    return done.stdout.strip().splitlines()[-1]


def rate(peer: str, workload: str, threads: int, setting: Setting) -> float:
    """Return a peer's trajectory-steps per second; 0 if it cannot run here."""
    answer = json.loads(
        child(
            *("-m", "benchmarks.measure", peer, workload),
            *("--threads", str(threads), "--seconds", str(setting.seconds)),
            *("--scale", str(setting.scale)),
        )
    )
    return float(answer.get("rate", 0.0))


def best_rates(peers: Iterable[str], workload: str, setting: Setting) -> dict[str, float]:
    """Return each peer's best rate over some rounds in which they take turns."""
    best = dict.fromkeys(peers, 0.0)
    for _ in range(setting.rounds):
        for peer in best:
            best[peer] = max(best[peer], rate(peer, workload, setting.threads, setting))
    return best


def workload_rows(setting: Setting) -> list[str]:
    """Return the lines of the table that compare programs."""
    order = ["cpp_avx2", "jax_optax", "jax_vmap", "numba_scalar", "numpy_batch"]
    assert set(order) == set(PEERS)
    lines = [
        "| work (float64) | M trajectory-steps/s | "
        + " | ".join(f"x {NAMES[peer]}" for peer in order)
        + " |",
        "|---|---|" + "---|" * len(order),
    ]
    for workload in workloads():
        found = best_rates(["fastdescent", *order], workload.name, setting)
        own = found["fastdescent"]
        cells = [f"{own / found[p]:.3g}" if found[p] else "not here" for p in order]
        lines.append(f"| {TITLES[workload.name]} | {own / 1e6:.0f} | {' | '.join(cells)} |")
        print(lines[-1], file=sys.stderr)
    return lines


def scaling_rows(setting: Setting) -> list[str]:
    """Return the line about threads."""
    one, all_threads = 0.0, 0.0
    for _ in range(setting.rounds):
        one = max(one, rate("fastdescent", "rosenbrock-10", 1, setting))
        all_threads = max(
            all_threads, rate("fastdescent", "rosenbrock-10", setting.threads, setting)
        )
    return [
        f"| {setting.threads} threads against one, Rosenbrock dim 10 | {all_threads / one:.2f} x |"
    ]


SIZES = """
import json, sys, time
import numpy as np
import fastdescent as fd

cost = {}
for exponent in (3, 4, 5, 6, 7):
    count = 10**exponent
    steps = max(100, 10**8 // count // 10 * 2)
    starts = np.random.default_rng(0).uniform(-2, 2, (count, 2))
    best = np.inf
    for _ in range(5 if exponent < 7 else 2):
        ds = fd.simulate(
            fd.landscapes.Rosenbrock(), fd.optimizers.Adam(), starts=starts, steps=steps,
            threads=int(sys.argv[1]),
        )
        best = min(best, ds.attrs["run_seconds"] / (count * steps))
        del ds
    cost[exponent] = best
print(json.dumps(cost))
"""


def size_rows(setting: Setting) -> list[str]:
    """Return the line about the cost per trajectory-step at 10^3 to 10^7 trajectories."""
    costs: dict[str, float] = {}
    for _ in range(setting.rounds):
        for size, cost in json.loads(child("-c", SIZES, str(setting.threads))).items():
            costs[size] = min(costs.get(size, cost), cost)
    least = min(costs.values())
    text = ", ".join(f"10^{size}: {cost / least:.2f}" for size, cost in costs.items())
    return [f"| cost per trajectory-step, relative to the least, by trajectories | {text} |"]


FIRST_RUN = """
import fastdescent as fd
fd.simulate(
    fd.landscapes.Rosenbrock(), fd.optimizers.Adam(),
    starts=fd.starts.Uniform(-2.0, 2.0, count=1000), steps=1000,
)
"""

ALL_KERNELS = """
import time
started = time.perf_counter()
import fastdescent as fd
fd.compile_all()
print(time.perf_counter() - started)
"""


def start_rows(setting: Setting) -> list[str]:
    """Return the lines about the first result and about compiling everything."""
    timed = "import subprocess, sys, time; t = time.perf_counter(); "
    timed += "subprocess.run([sys.executable, '-c', sys.argv[1]], check=True); "
    timed += "print(time.perf_counter() - t)"
    child("-c", FIRST_RUN)
    bare, first = float("inf"), float("inf")
    for _ in range(max(3, 2 * setting.rounds)):
        bare = min(bare, float(child("-c", timed, "pass")))
        first = min(first, float(child("-c", timed, FIRST_RUN)))
    with tempfile.TemporaryDirectory() as cache:
        cold = float(child("-c", ALL_KERNELS, environment={"NUMBA_CACHE_DIR": cache}))
    return [
        "| fresh process, warm disk cache: import and a first run of 1000 trajectories, "
        f"over bare Python | {first - bare:.2f} s |",
        f"| cold cache: every rule, landscape and noise compiled | {cold:.0f} s |",
    ]


def table(setting: Setting) -> str:
    """Return the whole table as Markdown."""
    others = ["| | measured |", "|---|---|"]
    rows = workload_rows(setting)
    for part in (scaling_rows, size_rows, start_rows):
        others += part(setting)
        print(others[-1], file=sys.stderr)
    machine = f"{numba.config.NUMBA_NUM_THREADS} cores ({cpu()}), {setting.threads} threads"
    note = textwrap.fill(
        f"Measured by `./scripts/benchmark` on {machine}, best of {setting.rounds} rounds; "
        "the C++, hand-tuned JAX and Numba programs use the same threads.  The machine is "
        "shared: ratios hold, absolute figures do not.",
        95,
    )
    return "\n".join([note, "", *rows, "", *others])


def cpu() -> str:
    """Return what the compiler calls this processor."""
    import llvmlite.binding  # noqa: PLC0415

    return str(llvmlite.binding.get_host_cpu_name())


def update(path: Path, text: str) -> None:
    """Write the table between the marks of a Markdown file."""
    page = path.read_text()
    head, rest = page.split(BEGIN)
    tail = rest.split(END)[1]
    path.write_text(f"{head}{BEGIN}\n{text}\n{END}{tail}")


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=int(numba.config.NUMBA_NUM_THREADS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--update", type=Path)
    given = parser.parse_args()
    text = table(Setting(given.threads, given.rounds, given.seconds, given.scale))
    print(text)
    if given.update:
        update(given.update, text)


if __name__ == "__main__":
    main()
