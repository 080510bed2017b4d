"""Kernels made from a formula against the same functions written by hand in the catalogue.

Run it from the repository's root with ``python -m benchmarks.any_loss``; it exits with 1 if a
kernel takes more than `LIMIT` times as long as its twin.  Both run on the same numbers in tiles
as wide as the engine's beside Adam, on one thread, in turn, in short bursts at changing places
in memory, and the shortest burst counts: see `benchmarks.kernels`, whose means these are.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np

import fastdescent.math as fm
from benchmarks.counting import Counts, columns
from benchmarks.kernels import Subject, _tile, empty_subjects, measure
from fastdescent import landscapes, optimizers
from fastdescent.contracts import Kernel
from fastdescent.engine import ensemble
from fastdescent.landscapes import Landscape
from fastdescent.symbolic import Formula, landscape

__all__ = ["LIMIT", "pairs", "ratios"]

LIMIT = 1.3


def _rosenbrock(dim: int) -> Formula:
    return landscape(
        lambda x, a, b: fm.sum(b * (x[1:] - x[:-1] ** 2) ** 2 + (a - x[:-1]) ** 2),
        dim=dim,
        domain=(-2.048, 2.048),
        params={"a": 1.0, "b": 100.0},
    )


def _ackley(dim: int) -> Formula:
    return landscape(
        lambda x, a, b, c: (
            a
            - a * fm.exp(-b * fm.sqrt(fm.sum(x**2) / dim))
            + fm.e
            - fm.exp(fm.sum(fm.cos(c * x)) / dim)
        ),
        dim=dim,
        domain=(-32.768, 32.768),
        params={"a": 20.0, "b": 0.2, "c": 2.0 * fm.pi},
    )


def pairs() -> Iterator[tuple[str, Formula, Landscape]]:
    """Yield a name, a landscape made from a formula, and its twin in the catalogue."""
    for dim in (2, 10):
        yield f"Rosenbrock dim {dim}", _rosenbrock(dim), landscapes.Rosenbrock(dim=dim)
    himmelblau = landscape("(x**2 + y - 11)**2 + (x + y**2 - 7)**2", domain=(-6.0, 6.0))
    yield "Himmelblau", himmelblau, landscapes.Himmelblau()
    yield "Ackley dim 2", _ackley(2), landscapes.Ackley(dim=2)


def _subject(name: str, made: Landscape, kernel: Kernel, workspace: int) -> Subject:
    dim = made.dim
    plan = SimpleNamespace(landscape=made, optimizer=optimizers.Adam())
    run = SimpleNamespace(plan=plan, geometry=ensemble.Geometry(), threads=1)
    lanes = ensemble._Driver._width(run, 1_000_000)  # type: ignore[arg-type]
    low, high = made.domain.T
    theta = _tile(np.random.default_rng(dim).uniform(low, high, (lanes, dim)).T)
    params = _tile(columns(made.base_values().values(), lanes))
    batch = np.zeros((0, lanes), dtype=np.int64)
    loss, grad = _tile(np.zeros(lanes)), _tile(np.zeros((dim + workspace, lanes)))
    arguments = [theta, params, np.zeros((0, 0)), batch, loss, grad]
    return Subject(name, dim, lanes, kernel, arguments, Counts())


def ratios(rounds: int = 300) -> dict[str, tuple[float, float, float]]:
    """Measure.

    Parameters
    ----------
    rounds : int
        Bursts of each kernel.

    Returns
    -------
    dict
        Name -> ns per lane of the formula's kernel, of the one written by hand, and their ratio.
    """
    subjects = [
        _subject(name, made, made.kernel, twin.workspace)
        for name, formula, twin in pairs()
        for made in (formula, twin)
    ]
    empties = empty_subjects()
    measure([*empties, *subjects], rounds)
    call = min(empty.seconds for empty in empties if empty.kernel.family == "landscape")
    times = [1e9 * (subject.seconds - call) / subject.lanes for subject in subjects]
    return {
        first.name: (made, by_hand, made / by_hand)
        for first, made, by_hand in zip(subjects[::2], times[::2], times[1::2], strict=True)
    }


def main() -> int:
    """Print the table; return the exit status."""
    parser = argparse.ArgumentParser(description="Kernels from formulas against those by hand.")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--json", action="store_true", help="print the ratios in one line")
    given = parser.parse_args()
    found = ratios(given.rounds)
    if given.json:
        print(json.dumps({name: ratio for name, (_, _, ratio) in found.items()}))
        return 0
    print(f"{'function':<20}{'formula':>12}{'by hand':>12}{'ratio':>8}")
    for name, (made, by_hand, ratio) in found.items():
        print(f"{name:<20}{made:>9.3f} ns{by_hand:>9.3f} ns{ratio:>8.2f}")
    return 1 if max(ratio for _, _, ratio in found.values()) > LIMIT else 0


if __name__ == "__main__":
    sys.exit(main())
