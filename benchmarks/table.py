"""The performance table of the README: every program on the same work, in one run.

``python -m benchmarks.table`` prints it as Markdown, in blocks; ``--update README.md`` also
writes each block between its marks there.  Every figure is a ratio of two measurements of this
run, each the best of several, taken in turn so that a busy moment of a shared machine hits all
sides.  Compilation is never in a time, except in the line that is about it.
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
from statistics import median

import numba

from benchmarks.peers import PEERS, workloads

BLOCKS = ("programs", "engine", "kernels", "training", "formulas", "geometry")

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
    return (done.stdout.strip().splitlines() or [""])[-1]


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


def two_processes(setting: Setting) -> float:
    """Return how many times the work two independent processes of one thread do at once."""
    command = [sys.executable, "-m", "benchmarks.measure", "fastdescent", "rosenbrock-10"]
    command += ["--threads", "1", "--seconds", str(2 * setting.seconds), "--repeats", "99"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    return sum(float(json.loads(process.communicate()[0])["rate"]) for process in both)


def scaling_rows(setting: Setting) -> list[str]:
    """Return the lines about threads, and what the machine itself gives to two processes."""
    one, many, apart = 0.0, 0.0, 0.0
    for _ in range(setting.rounds):
        one = max(one, rate("fastdescent", "rosenbrock-10", 1, setting))
        many = max(many, rate("fastdescent", "rosenbrock-10", setting.threads, setting))
        apart = max(apart, two_processes(setting))
    return [
        f"| {setting.threads} threads against one, Rosenbrock dim 10 | {many / one:.2f} x |",
        f"| two processes of one thread each against one | {apart / one:.2f} x |",
    ]


SIZES = """
import json, sys, time
import numpy as np
import fastdescent as fd

cost = {}
for exponent in (3, 4, 5, 6, 7):
    count = 10**exponent
    steps = max(1000, 3 * 10**8 // count)
    starts = np.random.default_rng(0).uniform(-2, 2, (count, 2))
    best = np.inf
    for _ in range(3 if exponent < 7 else 1):
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


def kernel_rows() -> list[str]:
    """Return the line about every kernel beside its bound."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernels.json"
        child("-m", "benchmarks.kernels", "--json", str(path))
        ratios = [kernel["ratio"] for kernel in json.loads(path.read_text())["kernels"]]
    within = sum(ratio <= 1.3 for ratio in ratios)
    return [
        f"Every rule and landscape ({len(ratios)} kernels), one thread, time per coordinate-step "
        "over the bound from its own roots, divisions, multiply-adds, loads and stores: median "
        f"{median(ratios):.2f}, {within} within 1.3, worst {max(ratios):.2f} "
        "(`python -m benchmarks.kernels` prints them all)."
    ]


def training_rows(setting: Setting) -> list[str]:
    """Return the lines of the table of trainings on data."""
    from benchmarks.training import rows  # noqa: PLC0415 - it imports this module

    return rows(setting)


def geometry_rows(setting: Setting) -> list[str]:
    """Return the lines of the table of Hessians' eigenvalues."""
    from benchmarks.geometry import rows  # noqa: PLC0415 - it imports this module

    return rows(setting)


def formula_rows() -> list[str]:
    """Return the line about kernels made from formulas."""
    ratios = json.loads(child("-m", "benchmarks.any_loss", "--json"))
    text = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
    return [f"Time of a kernel made from a formula over that of the one written by hand: {text}."]


def block(name: str, setting: Setting) -> str:
    """Measure one block and return it as Markdown."""
    if name == "programs":
        machine = f"{numba.config.NUMBA_NUM_THREADS} cores ({cpu()}), {setting.threads} threads"
        note = (
            f"Measured by `./scripts/benchmark` on {machine}, best of {setting.rounds} rounds; "
            "C++, hand-tuned JAX and Numba use the same threads.  The columns say how many times "
            "faster fastdescent is.  The machine is shared: ratios hold, absolute figures do not."
        )
        lines = [textwrap.fill(note, 95, break_on_hyphens=False), "", *workload_rows(setting)]
    elif name == "engine":
        parts = (scaling_rows, size_rows, start_rows)
        lines = ["| | measured |", "|---|---|", *(row for part in parts for row in part(setting))]
    elif name == "training":
        lines = training_rows(setting)
    elif name == "geometry":
        lines = geometry_rows(setting)
    elif name == "formulas":
        lines = [textwrap.fill(formula_rows()[0], 95)]
    else:
        lines = [textwrap.fill(kernel_rows()[0], 95)]
    return "\n".join(lines)


def cpu() -> str:
    """Return what the compiler calls this processor."""
    import llvmlite.binding  # noqa: PLC0415

    return str(llvmlite.binding.get_host_cpu_name())


def update(path: Path, name: str, text: str) -> None:
    """Write a block between its marks in a Markdown file."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    head, rest = path.read_text().split(begin)
    path.write_text(f"{head}{begin}\n{text}\n{end}{rest.split(end)[1]}")


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("blocks", nargs="*", metavar="BLOCK", help=f"of {', '.join(BLOCKS)}")
    parser.add_argument("--threads", type=int, default=int(numba.config.NUMBA_NUM_THREADS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--update", type=Path)
    given = parser.parse_args()
    setting = Setting(given.threads, given.rounds, given.seconds, given.scale)
    for name in given.blocks or BLOCKS:
        text = block(name, setting)
        print(text, end="\n\n", flush=True)
        if given.update:
            update(given.update, name, text)


if __name__ == "__main__":
    main()
