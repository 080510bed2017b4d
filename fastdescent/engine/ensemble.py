"""The driver: waves of trajectories, epochs of steps, and compaction between them.

A *wave* is as many trajectories as are kept in memory at once; it starts at step 0 and runs
until all its trajectories have ended, so ten million of them need no more working memory
than a hundred thousand.  Within a wave, the compiled loop runs for one *epoch* of steps and
comes back; then finished lanes are packed away, so that nobody waits for the slowest, and
Python gets a safe point for progress and Ctrl-C.  None of this changes a bit of the result.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any

import numba
import numpy as np

from fastdescent import contracts
from fastdescent.engine import loop
from fastdescent.engine.loop import Lanes, Outcome, Shared
from fastdescent.engine.plan import Plan, check_range
from fastdescent.engine.trial import try_kernels, try_landscape
from fastdescent.errors import InvalidValueError
from fastdescent.parts import FloatArray, IntArray, is_integer

__all__ = ["Geometry", "Run", "checked_threads", "run"]

# Samples of an epoch that are drawn at once: the key of its permutation costs as much as two.
_AHEAD = 32

# Numba's work queue aborts the process when two Python threads enter a parallel function.
_LOOP_LOCK = threading.Lock()
if hasattr(os, "register_at_fork"):

    def _renew_lock() -> None:
        global _LOOP_LOCK  # noqa: PLW0603
        _LOOP_LOCK = threading.Lock()  # another thread may have held it at the fork

    os.register_at_fork(after_in_child=_renew_lock)


@dataclass(frozen=True)
class Geometry:
    """How trajectories are grouped; no value of these changes a bit of the result.

    Parameters
    ----------
    tile : int, optional
        Lanes per tile, from 1 to 4096, rounded up to whole vectors of 8; by default as many as
        the first-level cache holds.
    wave : int, optional
        Trajectories in memory at once, at least 1; by default as many as take half a
        gigabyte, and at most 65 536.
    epoch : int, optional
        Steps per epoch, at least 1; by default found from the time that an epoch takes.

    Raises
    ------
    InvalidValueError
        If a value is not allowed.
    """

    tile: int | None = None
    wave: int | None = None
    epoch: int | None = None

    def __post_init__(self) -> None:
        # Kernels may keep a few rows of a tile on the stack, so tiles stay narrow.
        for name, most in (("tile", 4096), ("wave", 2**40), ("epoch", 2**40)):
            value = getattr(self, name)
            if value is None:
                continue
            if not is_integer(value) or not 1 <= value <= most:
                raise InvalidValueError(f"Geometry.{name}", value, f"an integer from 1 to {most}")


@dataclass
class Run:
    """What a finished run has to say besides the outcome."""

    interrupted: bool = False
    compile_seconds: float = 0.0
    run_seconds: float = 0.0
    threads: int = 1
    error: str = ""


def run(
    plan: Plan,
    threads: int | None = None,
    progress: bool = False,
    geometry: Geometry | None = None,
) -> tuple[Outcome, Run]:
    """Run a plan.

    Parameters
    ----------
    plan : Plan
        What to simulate.
    threads : int, optional
        Number of threads; all cores by default.
    progress : bool
        Whether to draw a progress bar on standard error.
    geometry : Geometry, optional
        How trajectories are grouped.

    Returns
    -------
    Outcome
        One row per trajectory.
    Run
        How it went.

    Raises
    ------
    InvalidValueError
        If there are not that many threads.
    MemoryLimitError
        If the result does not fit into memory.
    """
    threads = checked_threads(threads)
    if geometry is not None and not isinstance(geometry, Geometry):
        raise InvalidValueError(
            "geometry", geometry, "None or a Geometry, such as Geometry(tile=64)"
        )
    plan.require_memory()
    try_kernels(plan)
    plan.check_floors()
    out = plan.allocate()
    report = Run(threads=threads)
    started = time.perf_counter()
    for needed in (*plan.kernels(), *loop.COMPILED):
        needed.compile()
    try_landscape(plan)
    report.compile_seconds = time.perf_counter() - started
    started = time.perf_counter()
    with (
        _using_threads(threads),
        _Interrupt() as interrupt,
        _Progress(plan, progress) as bar,
    ):
        driver = _Driver(plan, out, threads, geometry or Geometry(), interrupt, bar)
        driver.run()
    report.run_seconds = time.perf_counter() - started
    report.interrupted = interrupt.seen
    report.error = driver.error
    return out, report


class _Driver:
    """One run: what all waves share, and the loop over waves and epochs."""

    def __init__(
        self,
        plan: Plan,
        out: Outcome,
        threads: int,
        geometry: Geometry,
        interrupt: _Interrupt,
        bar: _Progress,
    ) -> None:
        self.plan, self.out, self.threads, self.geometry = plan, out, threads, geometry
        self.interrupt, self.bar, self.error = interrupt, bar, ""
        # One more column, for the row that says whether a tile's lanes share all others.
        self.hyper = np.pad(plan.table(plan.optimizer), ((0, 0), (0, 1)))
        self.params = plan.table(plan.landscape)
        stage_tables = [plan.table(stage) for stage in plan.stages]
        self.stage_params = np.concatenate([np.zeros((plan.configurations, 0)), *stage_tables], 1)
        self.shared = self._shared([table.shape[1] for table in stage_tables])
        self.limits = self._limits()
        self.pointers = self._pointers()
        self.scheduled = self._scheduled_rows()

    def run(self) -> None:
        """Run all waves, one after another; those of one batch size together."""
        wave = self.geometry.wave or self.plan.wave
        per_configuration = self.plan.trajectories // self.plan.configurations
        sizes = self.plan.batch_sizes
        done = 0
        for size in dict.fromkeys(sizes.tolist()):
            configurations = np.flatnonzero(sizes == size)
            count = len(configurations) * per_configuration
            for begin in range(0, count, wave):
                places = np.arange(begin, min(begin + wave, count))
                which, within = np.divmod(places, per_configuration)
                numbers = configurations[which] * per_configuration + within
                self._run_wave(numbers, size, done)
                done += len(numbers)
                if len(self.plan.validation):
                    self._measure(numbers)
                if len(self.shared.record_steps):
                    self._call(loop.hold, numbers, self.shared.record_steps, self.out)

    def _run_wave(self, numbers: IntArray, size: int, done: int) -> None:
        self.shared.sampling[loop.SIZE] = size
        self.shared.sampling[loop.EVERY] = self.plan.test_every(size)
        lanes = self._start(numbers, self._batch_rows(size))
        budget, step, live = self.plan.steps, 0, len(numbers)
        pace = _Pace(self.geometry.epoch)
        while live and step < budget and not self.interrupt.seen:
            steps = pace.start(budget - step)
            factors = self._factors(step, steps)
            steps = factors.shape[1]
            closing = loop.BUDGET if step + steps == budget else loop.RUNNING
            self._advance(lanes, step, closing, factors)
            step += steps
            before, live = live, int(lanes.book[:, loop.ALIVE].sum())
            pace.stop(steps, (before - live) / before, live * self.plan.landscape.dim)
            self.bar.show(done, len(numbers), live, step)
            if live and live < 0.9 * lanes.book[:, loop.ALIVE].size:
                lanes = self._compact(lanes, live)
        if live:
            none = np.zeros((len(self.scheduled), 0))
            self._advance(lanes, step, loop.INTERRUPTED, none)

    def _factors(self, step: int, steps: int) -> FloatArray:
        """Return the schedules' factors at the next steps, (schedules, steps).

        A schedule that fails, or leaves its hyper-parameter's range where the check before
        the run did not look, ends the run like an interrupt: what is finished is kept.
        """
        at = np.arange(step, step + steps)
        rows = np.empty((len(self.scheduled), steps))
        try:
            for row, (name, schedule) in zip(
                rows, self.plan.optimizer.schedules().items(), strict=True
            ):
                row[:] = schedule.factor(at)
                check_range(self.plan.optimizer, name, row, at)
        except Exception as error:  # whatever a user's function raises
            self.error = f"{type(error).__name__}: {error}"
            self.interrupt.seen = True
            return rows[:, :0]
        return rows

    def _advance(self, lanes: Lanes, step: int, closing: int, factors: FloatArray) -> None:
        self._call(
            loop.advance,
            *self.pointers,
            self.plan.optimizer.query_kernel() is not None,
            len(self.plan.stages),
            self.plan.landscape.workspace,
            lanes,
            self.shared,
            self.out,
            self.scheduled,
            np.ascontiguousarray(factors),
            step,
            closing,
        )

    def _call(self, function: contracts.Kernel, *arguments: Any) -> None:
        with _LOOP_LOCK:
            function(*arguments)

    def _batch_rows(self, size: int) -> int:
        """Return how many samples are drawn ahead: whole batches, about `_AHEAD` samples."""
        return size * max(1, _AHEAD // size) if size and self.plan.batch.epochs else size

    def _start(self, numbers: IntArray, size: int) -> Lanes:
        """Load the numbered trajectories into tiles, with room for so many samples."""
        number, alive = self._tiled(numbers)
        configuration, start, replicate = self._coordinates(number)
        tiles, width = number.shape
        dim = self.plan.landscape.dim
        streams = np.stack([np.full_like(number, 0), start, replicate], axis=1).astype(np.uint64)
        streams[:, 0] = self.plan.seed
        return Lanes(
            theta=self._loaded(self.plan.points, start),
            state=_aligned((tiles, self.plan.optimizer.state_rows(dim), width), 0.0),
            hyper=_marked(self._loaded(self.hyper, configuration)),
            params=self._loaded(self.params, configuration),
            stage_params=self._loaded(self.stage_params, configuration),
            streams=streams,
            limits=self._loaded(self.limits, configuration),
            book=_realigned(np.stack([number, alive, np.zeros_like(number)], axis=1)),
            work=self._work(tiles, width),
            batch=_realigned(np.zeros((tiles, size, width), dtype=np.int64)),
        )

    def _coordinates(self, number: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """Return configuration, start and replicate of trajectories."""
        start, replicate = np.divmod(number, self.plan.seeds)
        configuration, start = np.divmod(start, len(self.plan.points))
        return configuration, start, replicate

    def _measure(self, numbers: IntArray) -> None:
        """Find the validation loss where the numbered trajectories ended."""
        number, _ = self._tiled(numbers)
        configuration, _, _ = self._coordinates(number)
        self._call(
            loop.measure,
            self.plan.landscape.kernel,
            self.plan.landscape.workspace,
            self._loaded(self.out.position, number),
            self._loaded(self.params, configuration),
            self.shared.validation,
            self.shared.everything,
            self._work(*number.shape),
            number,
            self.out.validation_loss,
        )

    def _loaded(self, source: FloatArray, index: IntArray) -> FloatArray:
        tiles, width = index.shape
        lanes = _aligned((tiles, source.shape[1], width))
        self._call(loop.load, source, index, lanes)
        return lanes

    def _compact(self, lanes: Lanes, live: int) -> Lanes:
        """Pack the running lanes into as few tiles as hold them."""
        running = np.flatnonzero(lanes.book[:, loop.ALIVE].ravel())
        index, alive = self._tiled(running)
        packed: list[Any] = []
        for array in lanes[:-2]:
            # Integers travel as the floats that have their bits.
            source = array.view(np.float64)
            target = _aligned((index.shape[0], source.shape[1], index.shape[1]))
            self._call(loop.pack, source, index, target)
            packed.append(target.view(array.dtype))
        packed.append(self._work(*index.shape))
        (tiles, width), room = index.shape, lanes.batch.shape[1]
        packed.append(_realigned(np.zeros((tiles, room, width), dtype=np.int64)))
        compacted = Lanes(*packed)
        compacted.book[:, loop.ALIVE] = alive
        _marked(compacted.hyper)
        return compacted

    def _work(self, tiles: int, width: int) -> FloatArray:
        dim, workspace = self.plan.landscape.dim, self.plan.landscape.workspace
        rows = loop.work_rows(dim, workspace, self.hyper.shape[1])
        return _aligned((tiles, rows, width), 0.0)

    def _tiled(self, numbers: IntArray) -> tuple[IntArray, IntArray]:
        """Arrange numbers as (tiles, width), padded with the last one; and which are real."""
        width = self._width(len(numbers))
        tiles = -(-len(numbers) // width)
        padded = np.full(tiles * width, numbers[-1], dtype=np.int64)
        padded[: len(numbers)] = numbers
        alive = (np.arange(tiles * width) < len(numbers)).astype(np.int64)
        return padded.reshape(tiles, width), alive.reshape(tiles, width)

    def _width(self, lanes: int) -> int:
        """Return the tile width: one that fills the cache, or all threads with few lanes."""
        if self.geometry.tile is not None:
            return -(-self.geometry.tile // 8) * 8
        landscape = self.plan.landscape
        dim, least = landscape.dim, landscape.least_lanes
        rows = 3 * dim + self.plan.optimizer.state_rows(dim) + landscape.rows_in_use + 12
        widest = min(max(49_152 // (8 * rows) // 16 * 16, least), 256)
        # As many tiles for each thread, or the threads would wait for one of them.
        tiles = -(-lanes // (widest * self.threads)) * self.threads
        return -(-lanes // (8 * tiles)) * 8

    def _shared(self, stage_columns: list[int]) -> Shared:
        order = sorted(range(len(self.plan.targets)), key=lambda i: -self.plan.targets[i])
        padded = stage_columns + [0] * (loop.MAX_STAGES - len(stage_columns))
        tolerance, radius = self.plan.stop.gradient_norm, self.plan.stop.radius
        return Shared(
            data=_realigned(np.asarray(self.plan.landscape.kernel_data(), dtype=float)),
            validation=_realigned(self.plan.validation),
            everything=np.zeros((0, 0), dtype=np.int64),
            sampling=self._sampling(),
            stage_rows=np.concatenate([[0], np.cumsum(padded)]).astype(np.int64),
            targets=np.array([self.plan.targets[i] for i in order], dtype=float),
            target_place=np.array(order, dtype=np.int64),
            tests=np.array(
                [-1.0 if tolerance is None else tolerance, np.inf if radius is None else radius]
            ),
            record_steps=self.plan.record_steps,
        )

    def _sampling(self) -> IntArray:
        """Return `Shared.sampling`; the size of a batch, and what follows from it, come later."""
        stop = self.plan.stop
        needs = stop.loss is not None or stop.gradient_norm is not None or bool(self.plan.targets)
        sampling = np.zeros(5, dtype=np.int64)
        sampling[loop.SAMPLES], sampling[loop.EPOCHS] = self.plan.samples, self.plan.batch.epochs
        sampling[loop.NEEDS_LOSS] = needs
        return sampling

    def _limits(self) -> FloatArray:
        """Return the rows of `Lanes.limits` for each configuration."""
        floor = self.plan.floors()
        stop = np.full_like(floor, -np.inf)
        if self.plan.stop.loss is not None:
            stop = floor + self.plan.stop.loss
        event = stop
        if self.plan.targets:
            event = np.maximum(stop, floor + max(self.plan.targets))
        return np.stack([event, stop, floor], axis=1)

    def _pointers(self) -> list[contracts.Kernel]:
        stages = [stage.perturb_kernel() for stage in self.plan.stages]
        padding = [loop.no_stage] * (loop.MAX_STAGES - len(stages))
        query = self.plan.optimizer.query_kernel() or loop.no_query
        landscape, update = self.plan.landscape.kernel, self.plan.optimizer.update_kernel()
        sample = self.plan.batch.sample_kernel() or loop.no_sample
        return [landscape, update, query, *stages, *padding, sample]

    def _scheduled_rows(self) -> IntArray:
        """Return the rows of the hyper-parameters that follow a schedule."""
        names = self.plan.optimizer.parameter_names()
        return np.array([names.index(name) for name in self.plan.optimizer.schedules()], np.int64)


def _aligned(shape: tuple[int, ...], value: float | None = None) -> FloatArray:
    """Return an array on a cache line: vector loads that cross lines cost a fifth of the speed."""
    count = math.prod(shape)
    raw = np.empty(count + 8)
    skip = -(raw.ctypes.data // 8) % 8
    array = raw[skip : skip + count].reshape(shape)
    if value is not None:
        array[...] = value
    return array


def _marked(hyper: FloatArray) -> FloatArray:
    """Write to the last row of each tile whether its lanes share the rows above."""
    shared = (hyper[:, :-1] == hyper[:, :-1, :1]).all(axis=(1, 2))
    hyper[:, -1] = shared[:, None]
    return hyper


def _realigned(array: Any) -> Any:
    aligned = _aligned(array.shape).view(array.dtype)
    aligned[...] = array
    return aligned


class _Pace:
    """How many steps the next epoch takes.

    Long enough that the return to Python costs little; short enough that a Ctrl-C is
    noticed soon, and that few lanes end within an epoch and idle until its end.
    """

    # Coordinates times steps that take as long as the return to Python, a millisecond or more
    # on a busy machine.  Without this floor a slow return would shorten the next epoch, and
    # so on down to 16 steps each: 80 times slower for the last lanes of an ensemble.
    _least = 2**20
    _seconds = 0.05
    _first = 64
    _most_ended = 0.1

    def __init__(self, fixed: int | None) -> None:
        self._fixed = fixed
        self._steps = fixed or self._first
        self._began = 0.0

    def start(self, left: int) -> int:
        """Start the clock; return the number of steps to take with `left` of the budget."""
        self._began = time.perf_counter()
        return min(self._steps, left)

    def stop(self, steps: int, ended: float, live: int) -> None:
        """Learn from an epoch of `steps` steps in which a fraction `ended` of the lanes ended.

        `live` coordinates are left.
        """
        if self._fixed is None:
            took = max(time.perf_counter() - self._began, 1e-6)
            factor = min(2.0, self._seconds / took, self._most_ended / max(ended, 1e-3))
            least = min(max(self._least // max(live, 1), 16), 1024)
            self._steps = max(least, int(steps * max(factor, 0.25)))


class _Interrupt:
    """Take the first Ctrl-C as a wish to stop at the next safe point.

    A second one raises `KeyboardInterrupt` at once.  Only the main thread receives signals,
    and a job that a shell put into the background ignores this one and goes on ignoring it.
    """

    def __init__(self) -> None:
        self.seen = False
        self._previous: Any = None
        in_main_thread = threading.current_thread() is threading.main_thread()
        self._installed = in_main_thread and signal.getsignal(signal.SIGINT) != signal.SIG_IGN

    def __enter__(self) -> _Interrupt:
        if self._installed:
            self._previous = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, self._previous or signal.SIG_DFL)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.seen:
            raise KeyboardInterrupt
        self.seen = True


class _Progress:
    """A bar of trajectories done, with their rate and the time left.

    An unfinished trajectory counts with the part of the step budget that it has used.
    """

    def __init__(self, plan: Plan, shown: bool) -> None:
        self._steps = plan.steps
        self._bar = None
        if shown:
            from tqdm import tqdm  # noqa: PLC0415 - only who asks for progress pays for it

            self._bar = tqdm(
                total=plan.trajectories,
                unit=" trajectories",
                unit_scale=True,
                desc=f"{type(plan.optimizer).__name__} on {type(plan.landscape).__name__}",
                bar_format="{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} "
                "[{elapsed}<{remaining}, {rate_fmt}]",
            )

    def __enter__(self) -> _Progress:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, before: int, count: int, live: int, step: int) -> None:
        """Show how far a wave of `count` trajectories is, after those of earlier waves."""
        if self._bar is not None:
            done = before + count - live + live * step / self._steps
            self._bar.update(done - self._bar.n)


def checked_threads(threads: Any) -> int:
    """Return a number of threads; None means all of them, and one in a forked process."""
    most = int(numba.config.NUMBA_NUM_THREADS)
    if threads is None:
        return 1 if contracts.forked() else most
    if not is_integer(threads) or not 1 <= threads <= most:
        raise InvalidValueError("threads", threads, f"None or an integer from 1 to {most}")
    return int(threads)


@contextmanager
def _using_threads(threads: int) -> Iterator[None]:
    if contracts.forked() or not contracts.JIT:
        yield  # the loop runs on one thread there
        return
    with _LOOP_LOCK:
        before = _start_pool()
    numba.set_num_threads(threads)
    try:
        yield
    finally:
        numba.set_num_threads(before)


def _start_pool() -> int:
    """Start Numba's threads if they have not started; return the number in use.

    Threads that wait at the end of an epoch are told to sleep.  Where they spin, as GNU
    OpenMP's do if nobody says otherwise, they take the processor from whatever else runs
    on it, their own siblings included: on a busy machine two threads were then slower than
    one.  OpenMP reads the wish when its library is loaded, so it need not stay in the
    environment.
    """
    wish = "OMP_WAIT_POLICY"
    if wish in os.environ:
        return int(numba.get_num_threads())
    os.environ[wish] = "PASSIVE"
    try:
        return int(numba.get_num_threads())
    finally:
        os.environ.pop(wish, None)
