"""Time of every update rule and landscape per coordinate-step, beside the bound of its own work.

Run it from the repository's root with ``python -m benchmarks.kernels``; it takes about a
minute once the kernels are compiled.  It exits with 1 if a kernel takes more than 2.5 times
its bound and `REASONS` does not say why.

The bound is made of the kernel's own counts (`benchmarks.counting`: distinct operations and
compulsory loads and stores, per lane) and of unit costs measured in the same run, in loops
over 256 lanes in the first-level cache (`benchmarks.units`)::

    bound = max(divider, arithmetic, memory) + calls of lane mathematics

    divider    = both * t(root_division) + the roots or divisions left over
    arithmetic = t(fma) * max(multiplications + fmas, additions + comparisons, all / 2)
    memory     = max(loads * t(load), stores * t(store))

``all`` includes signs and selections.  The arithmetic is optimistic: separate multiplications
and additions are taken to run beside each other, each kind at the speed of fused ones.  A
called function is taken to share nothing with what stands around it, so a kernel that mixes
both well may beat its bound.  What a call through a function pointer costs is measured with
an empty kernel and taken off the time: it is the engine's.  What stays in the time and not
in the bound is how the kernel is written: rows that are read or written again, loops that
start anew for every row.

Everything runs on one thread, on tiles as wide as the engine's (a landscape's as beside
Adam), aligned like the engine's.  Other programs only ever add time, and so does an unlucky
distance between two arrays (4 KiB apart, a load waits for a store that it does not need).  So
all subjects are measured in turn, in short bursts, many times over, each time in another
place in memory, and the shortest burst counts.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import llvmlite.binding as llvm
import numpy as np
from numba import types

from benchmarks import units
from benchmarks.counting import (
    Counts,
    columns,
    count_landscape,
    count_query,
    count_update,
    hyper_rows,
)
from fastdescent import landscapes, optimizers
from fastdescent.contracts import (
    JIT,
    Indices,
    Kernel,
    Row,
    Rows,
    Streams,
    compiled,
    kernel,
    pointer_type,
)
from fastdescent.engine import ensemble
from fastdescent.errors import InvalidValueError
from fastdescent.landscapes import Landscape
from fastdescent.optimizers import Optimizer
from fastdescent.parts import FloatArray

__all__ = ["REASONS", "Subject", "landscape_subjects", "main", "rule_subjects"]

LIMIT, AIM = 2.5, 1.3
DIMENSIONS = (2, 10)

#: Kernel (name as in the table, with its dimension) -> why it takes more than `LIMIT` bounds.
#: Empty, since none does.  What lies between aim and limit was traced by timing the same
#: kernels on wider tiles and without parts of their work:
#: - Rows of hyper-parameters and the loss are read again for every coordinate, which the
#:   compulsory traffic leaves out (AdaMax, 10-D: 0.50 ns, with them in registers 0.38 ns).
#: - A loop over lanes costs 1.5 to 6 ns to begin and end, which narrow tiles feel (Quadratic
#:   rotated, 10-D, four loops a row: 1.01 ns at 48 lanes, 0.71 ns at 256), and so do passes
#:   over a few rows in few dimensions (bias corrections: Nadam, AMSGrad).
#: - With 512-bit vectors, spilled registers cross cache lines wherever the process's stack
#:   does not happen to be aligned: Easom is at 1.1 or at 2.1 bounds from process to process.
REASONS: dict[tuple[str, int], str] = {}

_LANES = 256  # of the loops that measure unit costs
_BURST = 2e-4  # seconds: short, so that some bursts are never interrupted
_aligned = ensemble._aligned

_f1 = types.Array(types.float64, 1, "C")
_f2 = types.Array(types.float64, 2, "C")
_i2 = types.Array(types.int64, 2, "C")
_u2 = types.Array(types.uint64, 2, "C")


@compiled(types.void(types.int64, pointer_type("landscape"), _f2, _f2, _f2, _i2, _f1, _f2))
def repeat_landscape(
    times: int,
    kernel: Any,
    theta: Rows,
    params: Rows,
    data: Rows,
    batch: Indices,
    loss: Row,
    grad: Rows,
) -> None:
    """Call a landscape through its pointer, as the engine does."""
    for _ in range(times):
        kernel(theta, params, data, batch, loss, grad)


@compiled(types.void(types.int64, pointer_type("update"), _f2, _f2, _f1, _f2, _f2))
def repeat_update(
    times: int, kernel: Any, theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows
) -> None:
    """Call a rule through its pointer, from step 2 on."""
    for k in range(times):
        kernel(theta, grad, loss, state, hyper, k + 2)


@compiled(types.void(types.int64, pointer_type("query"), _f2, _f2, _f2, _f2))
def repeat_query(
    times: int, kernel: Any, theta: Rows, state: Rows, hyper: Rows, point: Rows
) -> None:
    """Call a rule's query through its pointer."""
    for _ in range(times):
        kernel(theta, state, hyper, 2, point)


@compiled(types.void(types.int64, pointer_type("perturb"), _f2, _f2, _f2, _u2))
def repeat_perturb(
    times: int, kernel: Any, grad: Rows, theta: Rows, params: Rows, streams: Streams
) -> None:
    """Call a unit through its pointer."""
    for _ in range(times):
        kernel(grad, theta, params, streams, 2)


@kernel("landscape")
def empty_landscape(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Do nothing."""


@kernel("update")
def empty_update(theta: Rows, grad: Rows, loss: Row, state: Rows, hyper: Rows, step: int) -> None:
    """Do nothing."""


@kernel("query")
def empty_query(theta: Rows, state: Rows, hyper: Rows, step: int, point: Rows) -> None:
    """Do nothing."""


@kernel("perturb")
def empty_perturb(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Do nothing."""


_EMPTY = {
    "landscape": empty_landscape,
    "update": empty_update,
    "query": empty_query,
    "perturb": empty_perturb,
}
_REPEAT = {
    "landscape": repeat_landscape,
    "update": repeat_update,
    "query": repeat_query,
    "perturb": repeat_perturb,
}


@dataclass
class Subject:
    """A kernel with the arguments that it is timed on.

    Attributes
    ----------
    name : str
        As in the table.
    dim, lanes : int
        Coordinates, and width of the tile.
    kernel : Kernel
        What is timed.
    arguments : list
        Its arrays.
    counts : Counts
        What it does per lane.
    seconds : float
        Shortest time of one call so far.
    """

    name: str
    dim: int
    lanes: int
    kernel: Kernel
    arguments: list[Any]
    counts: Counts
    seconds: float = np.inf
    times: int = 1

    def run(self) -> None:
        """Call the kernel `times` times."""
        _REPEAT[self.kernel.family](self.times, self.kernel, *self.arguments)

    def measure(self, random: np.random.Generator) -> None:
        """Time one burst in a new place; the first ones find out how many calls make one."""
        self.arguments = [_moved(argument, random) for argument in self.arguments]
        self.run()
        while True:
            started = time.perf_counter()
            self.run()
            passed = time.perf_counter() - started
            if passed > 0.5 * _BURST:
                break
            self.times *= 2
        self.seconds = min(self.seconds, passed / self.times)


class Bound(NamedTuple):
    """The parts of a bound in ns per coordinate-step."""

    divider: float
    arithmetic: float
    memory: float
    calls: float

    @property
    def total(self) -> float:
        """The bound itself."""
        return max(self.divider, self.arithmetic, self.memory) + self.calls

    @property
    def limit(self) -> str:
        """Which part is the largest."""
        return max(zip(self, self._fields, strict=True))[1]


@dataclass
class Line:
    """One line of the table; times in ns per coordinate-step."""

    name: str
    dim: int
    lanes: int
    time: float
    bound: Bound
    counts: Counts

    @property
    def ratio(self) -> float:
        """Time over bound."""
        return self.time / self.bound.total

    @property
    def reason(self) -> str:
        """Why it is over the limit, if that is known."""
        return REASONS.get((self.name, self.dim), "")

    @property
    def verdict(self) -> str:
        """How the ratio stands to the aim and the limit."""
        if self.ratio <= AIM:
            return "aim"
        if self.ratio <= LIMIT:
            return "within"
        return "over: " + (self.reason or "NO REASON")


def tile_width(dim: int, state_rows: int, workspace: int) -> int:
    """Return the engine's tile width for many trajectories."""
    optimizer = SimpleNamespace(state_rows=lambda _: state_rows)
    plan = SimpleNamespace(
        landscape=SimpleNamespace(dim=dim, rows_in_use=workspace, least_lanes=32),
        optimizer=optimizer,
    )
    run = SimpleNamespace(plan=plan, geometry=ensemble.Geometry(), threads=1)
    return ensemble._Driver._width(run, 1_000_000)  # type: ignore[arg-type]


def _tile(values: Any) -> FloatArray:
    array = _aligned(np.shape(values))
    array[...] = values
    return array


def _moved(array: Any, random: np.random.Generator) -> Any:
    """Copy an array to some other cache line."""
    skip = 8 * int(random.integers(0, 64))
    place = _aligned((skip + array.size,))[skip:].view(array.dtype).reshape(array.shape)
    place[...] = array
    return place


def rule_subjects(names: Iterable[str] | None = None) -> list[Subject]:
    """Prepare all variants of the named update rules (all of them if None)."""
    found = []
    for name in names or optimizers.names():
        part: Any = optimizers.get(name)
        for variant in part.kernels:
            rule = part(variant=variant) if len(part.kernels) > 1 else part()
            label = f"{name} {variant}" if len(part.kernels) > 1 else name
            for dim in DIMENSIONS:
                found += _rule(label, rule, dim)
    return found


def _rule(label: str, rule: Optimizer, dim: int) -> list[Subject]:
    lanes = tile_width(dim, rule.state_rows(dim), 0)
    random = np.random.default_rng(dim)
    theta, grad, point = (_tile(random.standard_normal((dim, lanes))) for _ in range(3))
    loss, state = _aligned((lanes,), 1.0), _aligned((rule.state_rows(dim), lanes), 0.0)
    hyper = _tile(hyper_rows(rule, lanes))
    update, query = rule.update_kernel(), rule.query_kernel()
    update(theta, grad, loss, state, hyper, 1)
    arguments = [theta, grad, loss, state, hyper]
    found = [Subject(label, dim, lanes, update, arguments, count_update(rule, dim))]
    if query is not None:
        arguments = [theta, state, hyper, point]
        counts = count_query(rule, dim)
        found.append(Subject(f"{label}: query", dim, lanes, query, arguments, counts))
    return found


def landscape_subjects(names: Iterable[str] | None = None) -> list[Subject]:
    """Prepare the named landscapes (all of them if None)."""
    found = []
    for name in names or landscapes.names():
        for label, landscape in _landscapes(name):
            found.append(_landscape(label, landscape))
    return found


def _landscapes(name: str) -> list[tuple[str, Landscape]]:
    """Return a landscape in all the dimensions that it is measured in."""
    part: Any = landscapes.get(name)
    if name == "Quadratic":
        spectra = [tuple(map(float, range(1, dim + 1))) for dim in DIMENSIONS]
        plain = [(name, part(eigenvalues=values)) for values in spectra]
        return plain + [(f"{name} rotated", part(eigenvalues=v, rotation=0)) for v in spectra]
    if "dim" not in {field.name for field in fields(part)}:
        return [(name, part())]
    found = []
    for dim in DIMENSIONS:
        try:
            found.append((name, part(dim=dim)))
        except InvalidValueError:  # Powell: multiples of four
            found.append((name, part(dim=4 * -(-dim // 4))))
    return found


def _landscape(label: str, landscape: Landscape) -> Subject:
    dim, workspace = landscape.dim, landscape.workspace
    lanes = tile_width(dim, optimizers.Adam().state_rows(dim), workspace)
    low, high = landscape.domain.T
    theta = _tile(np.random.default_rng(dim).uniform(low, high, (lanes, dim)).T)
    params = _tile(columns(landscape.base_values().values(), lanes))
    batch = np.zeros((0, lanes), dtype=np.int64)
    loss, grad = _aligned((lanes,), 0.0), _aligned((dim + workspace, lanes), 0.0)
    arguments = [theta, params, landscape.kernel_data(), batch, loss, grad]
    return Subject(label, dim, lanes, landscape.kernel, arguments, count_landscape(landscape))


def unit_subjects() -> list[Subject]:
    """Prepare the loops that measure unit costs."""
    random = np.random.default_rng(0)
    grad, params = _aligned((8, _LANES), 0.0), _aligned((1, _LANES), 0.3)
    theta = _tile(random.uniform(0.1, 5.0, (2, _LANES)))
    streams = _aligned((8, _LANES), 0.7).view(np.uint64)
    arguments = [grad, theta, params, streams]
    return [
        Subject(name, 1, _LANES, unit, arguments, Counts()) for name, unit in units.UNITS.items()
    ]


def empty_subjects() -> list[Subject]:
    """Prepare empty kernels of all families."""
    one, lanes = _aligned((1, 8), 0.0), _aligned((8,), 0.0)
    batch = np.zeros((0, 8), dtype=np.int64)
    arguments: dict[str, list[Any]] = {
        "landscape": [one, one, np.zeros((0, 0)), batch, lanes, one],
        "update": [one, one, lanes, one, one],
        "query": [one, one, one, one],
        "perturb": [one, one, one, one.view(np.uint64)],
    }
    return [
        Subject(family, 1, 8, empty, arguments[family], Counts())
        for family, empty in _EMPTY.items()
    ]


def measure(subjects: Sequence[Subject], rounds: int) -> None:
    """Time all subjects in turn, `rounds` times."""
    random = np.random.default_rng(0)
    for _ in range(rounds):
        for subject in subjects:
            subject.measure(random)


def unit_costs(measured: Sequence[Subject], calls: dict[str, float]) -> dict[str, float]:
    """Return what each unit costs, in ns."""
    return {
        unit.name: 1e9
        * (unit.seconds - calls[unit.kernel.family])
        / (unit.lanes * units.PER_LANE.get(unit.name, 1))
        for unit in measured
    }


def bound(counts: Counts, cost: dict[str, float]) -> Bound:
    """Return the bound of some counts at the unit costs `cost`; the module says how."""
    both = min(counts.roots, counts.divisions)
    divider = both * cost["root_division"]
    divider += (counts.roots - both) * cost["root"] + (counts.divisions - both) * cost["division"]
    multiplying = counts.multiplications + counts.fmas
    adding = counts.additions + counts.comparisons
    arithmetic = max(multiplying, adding, (multiplying + adding + counts.logic) / 2.0)
    return Bound(
        divider,
        arithmetic * cost["fma"],
        max(counts.loads * cost["load"], counts.stores * cost["store"]),
        sum(count * cost[name] for name, count in counts.calls.items()),
    )


def table(rounds: int, names: Iterable[str] | None) -> tuple[dict[str, float], list[Line]]:
    """Measure; return the unit costs and the lines of the table.

    Parameters
    ----------
    rounds : int
        Bursts per kernel.
    names : iterable of str, optional
        Rules and landscapes; all by default.
    """
    chosen = None if names is None else set(names)
    rules = [n for n in optimizers.names() if chosen is None or n in chosen]
    places = [n for n in landscapes.names() if chosen is None or n in chosen]
    kernels = (rule_subjects(rules) if rules else []) + (
        landscape_subjects(places) if places else []
    )
    empties, unit_loops = empty_subjects(), unit_subjects()
    measure([*empties, *unit_loops, *kernels], rounds)
    calls = {empty.name: empty.seconds for empty in empties}
    cost = unit_costs(unit_loops, calls)
    lines = []
    for subject in kernels:
        seconds = subject.seconds - calls[subject.kernel.family]
        counts = subject.counts.per(subject.dim)
        each = 1e9 * seconds / (subject.lanes * subject.dim)
        limit = bound(counts, cost)
        lines.append(Line(subject.name, subject.dim, subject.lanes, each, limit, counts))
    return {**cost, **{f"call of a {n}": 1e9 * s for n, s in calls.items()}}, lines


_HEADER = ("kernel", "dim", "lanes", "ns", "bound", "limited by", "ratio", "verdict")


def _cells(line: Line) -> tuple[str, ...]:
    return (
        line.name,
        str(line.dim),
        str(line.lanes),
        f"{line.time:.3f}",
        f"{line.bound.total:.3f}",
        line.bound.limit,
        f"{line.ratio:.2f}",
        line.verdict,
    )


def text(lines: Sequence[Line], markdown: bool = False) -> str:
    """Return the table, aligned or as Markdown."""
    cells = [_HEADER, *map(_cells, lines)]
    if markdown:
        rows = ["| " + " | ".join(row) + " |" for row in cells]
        return "\n".join([rows[0], "|---" * len(_HEADER) + "|", *rows[1:]])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    )


def _document(cost: dict[str, float], lines: Sequence[Line]) -> dict[str, Any]:
    return {
        "machine": llvm.get_host_cpu_name(),
        "unit_costs_ns": cost,
        "kernels": [
            {**asdict(line), "bound": line.bound._asdict(), "ratio": line.ratio}
            | {"verdict": line.verdict}
            for line in lines
        ],
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 if a kernel is over the limit without a reason."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kernels", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("names", nargs="*", help="rules and landscapes (all by default)")
    parser.add_argument("--rounds", type=int, default=100, help="bursts per kernel")
    parser.add_argument("--markdown", action="store_true", help="print a Markdown table")
    parser.add_argument("--json", type=Path, help="also write everything to this file")
    given = parser.parse_args(arguments)
    if not JIT:
        parser.error("NUMBA_DISABLE_JIT is set: there is nothing to measure")
    known = {*optimizers.names(), *landscapes.names()}
    for name in given.names:
        if name not in known:
            parser.error(
                f"{name} is no rule and no landscape; known are {', '.join(sorted(known))}"
            )
    cost, lines = table(given.rounds, given.names or None)
    units_text = ", ".join(f"{name} {value:.3g}" for name, value in cost.items())
    print(f"Unit costs in ns on {llvm.get_host_cpu_name()}: {units_text}\n")
    print(text(lines, given.markdown))
    if given.json is not None:
        given.json.write_text(json.dumps(_document(cost, lines), indent=1))
    return _conclude(lines)


def _conclude(lines: Sequence[Line]) -> int:
    ratios = np.array([line.ratio for line in lines])
    unexplained = [line for line in lines if line.ratio > LIMIT and not line.reason]
    print(
        f"\n{len(lines)} kernels: median ratio {np.median(ratios):.2f}, "
        f"{np.sum(ratios <= AIM)} within {AIM}, {np.sum(ratios > LIMIT)} over {LIMIT}, "
        f"{len(unexplained)} of them without a reason"
    )
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
