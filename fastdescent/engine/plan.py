"""A checked simulation: everything that can be wrong is found here, before any kernel."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastdescent import memory
from fastdescent import starts as starting
from fastdescent.batch import Batch, Full
from fastdescent.contracts import Kernel
from fastdescent.engine.loop import MAX_STAGES, Outcome
from fastdescent.errors import InvalidValueError
from fastdescent.landscapes import Landscape
from fastdescent.models import Model, SampleModel
from fastdescent.noise import Noise
from fastdescent.optimizers import Optimizer
from fastdescent.parts import FloatArray, IntArray, Part, is_integer, is_number
from fastdescent.record import Record
from fastdescent.starts import Starts
from fastdescent.stopping import Stop
from fastdescent.transforms import Transform

__all__ = ["WAVE", "Plan", "check_range"]

# What a result calls its own: no swept parameter can give its name to an axis there.
_RESERVED = frozenset(
    [
        *("start", "seed", "target", "record", "coordinate", "step"),
        *("initial", "position", "loss", "gradient_norm", "steps", "status", "hitting_time"),
        *("path", "path_loss", "path_gradient_norm"),
        *("validation_loss", "path_validation_loss"),
    ]
)

# Bytes of everything that exists once per call, whatever its size: code and caches.
_FIXED = 200_000_000

#: Trajectories in memory at once, and the bytes that their lanes may take.
WAVE = 65_536
_WAVE_BYTES = 2**29


@dataclass(frozen=True, eq=False)
class Plan:
    """The checked arguments of one simulation, and what follows from them."""

    #: The landscape as it was given, and on the data that the study's seed selects.
    given: Landscape
    landscape: Landscape
    optimizer: Optimizer
    starts: Starts
    steps: int
    seeds: int
    seed: int
    noise: Noise | None
    transforms: tuple[Transform, ...]
    stop: Stop
    targets: tuple[float, ...]
    record: Record | None
    batch: Batch

    @classmethod
    def make(
        cls,
        landscape: Any,
        optimizer: Any,
        starts: Any,
        steps: Any,
        seeds: Any,
        seed: Any,
        noise: Any,
        transforms: Any,
        stop: Any,
        targets: Any,
        record: Any,
        batch: Any,
    ) -> Plan:
        """Check the arguments of `fastdescent.simulate`."""
        _check_part("landscape", landscape, Landscape, "Rosenbrock(dim=2)")
        _check_part("optimizer", optimizer, Optimizer, "Adam(learning_rate=0.01)")
        if not isinstance(starts, Starts):
            starts = starting.Points(_start_array(starts, landscape))
        _check_part("noise", noise, Noise, "Gaussian(scale=0.1)", optional=True)
        _check_part("stop", stop, Stop, "Stop(loss=1e-8)", optional=True)
        _check_part("record", record, Record, "record.every(10)", optional=True)
        _check_part("batch", batch, Batch, "batch.Epochs(size=32)", optional=True)
        if noise is not None:
            noise.require_dim(landscape.dim)
        steps = _integer("steps", steps, 1, 2**32 - 1)
        _check_schedules(optimizer, steps)
        transforms = tuple(transforms) if isinstance(transforms, Iterable) else (transforms,)
        for transform in transforms:
            _check_part("transforms", transform, Transform, "[ClipByNorm(1.0)]")
            transform.require_dim(landscape.dim)
        if len(transforms) > MAX_STAGES - 1:
            raise InvalidValueError(
                "transforms", list(transforms), f"at most {MAX_STAGES - 1} of them"
            )
        seed = _integer("seed", seed, 0, 2**64 - 1)
        batch = Full() if batch is None else batch
        seeded = landscape.for_study(seed) if isinstance(landscape, SampleModel) else landscape
        _check_batch(batch, seeded)
        return cls(
            landscape,
            seeded,
            optimizer,
            starts,
            steps,
            _integer("seeds", seeds, 1, 2**32 - 1),
            seed,
            noise,
            transforms,
            Stop() if stop is None else stop,
            _targets(targets),
            record,
            batch,
        )

    @cached_property
    def points(self) -> FloatArray:
        """The start points, shape (count, dim)."""
        points = np.ascontiguousarray(
            self.starts.points(self.landscape, self.seed), dtype=np.float64
        )
        if points.ndim != 2 or points.shape[1] != self.landscape.dim or len(points) == 0:
            raise InvalidValueError(
                "starts", points.shape, f"shape (count, {self.landscape.dim}) with count >= 1"
            )
        if not np.isfinite(points).all():
            row = int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0])
            raise InvalidValueError("starts", points[row].tolist(), f"finite numbers (start {row})")
        return points

    @cached_property
    def starts_outside(self) -> int:
        """How many start points lie outside the landscape's domain, if it has one."""
        if isinstance(self.landscape, Model):
            return 0
        return starting.outside(self.points, self.landscape)

    @cached_property
    def record_steps(self) -> IntArray:
        """The recorded steps, ascending; empty if nothing is recorded."""
        if self.record is None:
            return np.zeros(0, dtype=np.int64)
        return np.ascontiguousarray(self.record.steps_for(self.steps), dtype=np.int64)

    @cached_property
    def samples(self) -> int:
        """Number of training samples; 0 where the landscape has none."""
        return self.landscape.sample_count if isinstance(self.landscape, SampleModel) else 0

    @cached_property
    def validation(self) -> FloatArray:
        """What the kernel reads of the validation samples; no rows if there are none."""
        data = None
        if isinstance(self.landscape, SampleModel):
            data = self.landscape.validation_data()
        return np.zeros((0, 0)) if data is None else data

    @cached_property
    def batch_sizes(self) -> IntArray:
        """Size of the mini-batches of each configuration; 0 where steps see all samples."""
        sizes = self.table(self.batch)
        if sizes.shape[1] == 0:
            return np.zeros(self.configurations, dtype=np.int64)
        return sizes[:, 0].astype(np.int64)

    def test_every(self, size: int) -> int:
        """Return the steps from one look at targets and stopping tests to the next.

        By default an epoch of batches of a size, 1 if steps see all samples (size 0).
        """
        if self.stop.every is not None:
            return self.stop.every
        return -(-self.samples // size) if size else 1

    @cached_property
    def wave(self) -> int:
        """Trajectories in memory at once."""
        return min(WAVE, max(_WAVE_BYTES // self._lane_bytes(), 256))

    @cached_property
    def stages(self) -> tuple[Noise | Transform, ...]:
        """What happens to the gradient before the rule sees it, in order."""
        return (*(() if self.noise is None else (self.noise,)), *self.transforms)

    @cached_property
    def axes(self) -> dict[str, tuple[float, ...]]:
        """Name and values of each swept parameter: an axis of the result."""
        return dict(self._named_axes.values())

    @property
    def configurations(self) -> int:
        """Number of combinations of swept parameters."""
        return math.prod(map(len, self.axes.values()))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a per-trajectory variable of the result."""
        seeds = (self.seeds,) if self.seeds > 1 else ()
        return (*map(len, self.axes.values()), len(self.points), *seeds)

    @property
    def trajectories(self) -> int:
        """Number of trajectories."""
        return self.configurations * len(self.points) * self.seeds

    def table(self, part: Part) -> FloatArray:
        """Return a part's parameters for each configuration, (configurations, n_params)."""
        columns = []
        where = self._configuration_index
        for name, value in part.base_values().items():
            if isinstance(value, tuple):
                axis, values = self._named_axes[_key(part, name)]
                columns.append(np.asarray(values)[where[axis]])
            else:
                columns.append(np.full(self.configurations, value))
        return np.stack(columns, axis=1) if columns else np.zeros((self.configurations, 0))

    @cached_property
    def minima(self) -> list[float | None]:
        """Known minimum of each swept landscape."""
        swept = self.landscape.axes()
        return [
            self.landscape.at(**dict(zip(swept, values, strict=True))).minimum
            for values in itertools.product(*swept.values())
        ]

    def floors(self) -> FloatArray:
        """Return the loss from which targets are counted, for each configuration.

        The landscape's known minimum, 0 where none is known.
        """
        floors = np.array([0.0 if minimum is None else minimum for minimum in self.minima])
        return np.repeat(floors, self.configurations // len(floors))

    def check_floors(self) -> None:
        """Refuse losses that would be above a known minimum here and absolute there.

        Raises
        ------
        InvalidValueError
            If the minimum is known for some of the swept landscapes only.
        """
        known = [minimum is not None for minimum in self.minima]
        if any(known) and not all(known) and (self.targets or self.stop.loss is not None):
            raise InvalidValueError(
                "targets",
                self.targets or self.stop.loss,
                "losses that mean the same for all swept landscapes",
                f"the minimum of {self.landscape!r} is known for some of its values only",
            )

    def kernels(self) -> list[Kernel]:
        """Return every kernel that the simulation will call."""
        query, sample = self.optimizer.query_kernel(), self.batch.sample_kernel()
        return [
            self.landscape.kernel,
            self.optimizer.update_kernel(),
            *([] if query is None else [query]),
            *(stage.perturb_kernel() for stage in self.stages),
            *([] if sample is None else [sample]),
        ]

    def require_memory(self) -> None:
        """Refuse the simulation if its result cannot fit into memory.

        Raises
        ------
        MemoryLimitError
            With the number of bytes and the way out.
        """
        dim, records = self.landscape.dim, len(self.record_steps)
        path = records * (self._path_dim + 3) * 8
        per_trajectory = (dim + 4 + len(self.targets)) * 8 + 1 + path
        table = self.configurations * 8 * 8
        count = self.starts.size(self.landscape)  # they may be too many to be made
        trajectories = self.configurations * count * self.seeds
        needed = trajectories * per_trajectory + count * dim * 8 + table + _FIXED
        # A wave of working memory, twice while its lanes are packed together.
        needed += 2 * min(trajectories, self.wave) * self._lane_bytes()
        ways = ["fewer starts or seeds", "shorter sweeps", "several calls"]
        if path:
            ways.insert(0, f"recording fewer than {records} steps")
        what = f"a result of {trajectories:,} trajectories"
        if path:
            what += f" with {records:,} recorded steps"
        memory.require(needed, what, "ways out: " + ", ".join(ways))

    def _lane_bytes(self) -> int:
        """Return the bytes of one trajectory's working memory, roughly."""
        dim = self.landscape.dim
        state = self.optimizer.state_rows(dim) + len(self.optimizer.parameter_names())
        batch = int(self.batch_sizes.max())
        return (4 * dim + 2 * state + self.landscape.workspace + batch + 32) * 8

    @property
    def _path_dim(self) -> int:
        """How many coordinates a record keeps."""
        return self.landscape.dim if self.record is not None and self.record.position else 0

    def allocate(self) -> Outcome:
        """Return the arrays that the result will be written to."""
        count, dim, records = self.trajectories, self.landscape.dim, len(self.record_steps)
        recorded = count if records else 0
        return Outcome(
            np.empty((count, dim)),
            np.empty(count),
            np.empty(count),
            np.zeros(count, dtype=np.int64),
            np.zeros(count, dtype=np.int8),
            np.full((count, len(self.targets)), -1, dtype=np.int64),
            np.empty((recorded, records, self._path_dim)),
            np.empty((recorded, records)),
            np.empty((recorded, records)),
            np.empty(count if len(self.validation) else 0),
            np.empty((recorded if len(self.validation) else 0, records)),
        )

    @cached_property
    def _named_axes(self) -> dict[tuple[int, str], tuple[str, tuple[float, ...]]]:
        """(part, field) -> (name of the axis, values), in the order of the result's axes."""
        parts: Sequence[Part] = (self.landscape, self.optimizer, *self.stages, self.batch)
        named: dict[tuple[int, str], tuple[str, tuple[float, ...]]] = {}
        taken: set[str] = set()
        for part in parts:
            for field, values in part.axes().items():
                if _key(part, field) in named:
                    continue  # the same object given twice shares its axis
                name = field if field not in taken else f"{part.kind}_{field}"
                if name in _RESERVED:
                    raise InvalidValueError(
                        f"{type(part).__name__}.{field}",
                        values,
                        "one number, not an axis",
                        f"every result has a {name!r} of its own: rename the parameter",
                    )
                if name in taken:
                    raise InvalidValueError(
                        f"{type(part).__name__}.{field}",
                        values,
                        "one number here",
                        f"an axis {name!r} is already swept",
                    )
                taken.add(name)
                named[_key(part, field)] = (name, values)
        return named

    @cached_property
    def _configuration_index(self) -> dict[str, IntArray]:
        """Axis -> index along it of each configuration."""
        lengths = tuple(map(len, self.axes.values()))
        indices = np.unravel_index(np.arange(self.configurations), lengths or (1,))
        return dict(zip(self.axes, indices, strict=False))


def _key(part: Part, field: str) -> tuple[int, str]:
    # By identity: two equal transforms may be swept apart.
    return id(part), field


def _check_part(
    name: str, value: Any, kind: type[Part], example: str, optional: bool = False
) -> None:
    if optional and value is None:
        return
    if isinstance(value, type) and issubclass(value, kind):
        raise InvalidValueError(
            name, value, f"an instance, such as {example}", f"write {value.__name__}(...)"
        )
    if not isinstance(value, kind):
        raise InvalidValueError(name, value, f"a {kind.kind}, such as {example}")


def _check_batch(batch: Batch, landscape: Landscape) -> None:
    """Refuse mini-batches where there are no samples, or fewer than a batch has."""
    if batch.sample_kernel() is None:
        return
    if not isinstance(landscape, SampleModel):
        raise InvalidValueError(
            "batch",
            batch,
            f"batch.Full() on {type(landscape).__name__}, which has no samples",
            "models such as fd.models.LinearRegression(data) have samples",
        )
    batch.require_samples(landscape.sample_count)


def _check_schedules(optimizer: Optimizer, steps: int) -> None:
    """Refuse a schedule that leaves its hyper-parameter's range, at up to 10 001 steps."""
    at = np.unique(np.linspace(0, steps - 1, 10_001).astype(np.int64))
    for name, schedule in optimizer.schedules().items():
        check_range(optimizer, name, schedule.factor(at), at)


def check_range(optimizer: Optimizer, name: str, factors: FloatArray, at: IntArray) -> None:
    """Refuse factors of a schedule that leave its hyper-parameter's range."""
    allowed, schedule = optimizer.range_of(name), optimizer.schedules()[name]
    for base in np.atleast_1d(schedule.base):
        for k in (int(factors.argmin()), int(factors.argmax())):
            value = float(base * factors[k])
            if value not in allowed:
                raise InvalidValueError(
                    f"{type(optimizer).__name__}.{name}",
                    schedule,
                    f"a schedule within {allowed}",
                    f"it gives {value:g} at step {at[k]}",
                )


def _start_array(starts: ArrayLike, landscape: Landscape) -> FloatArray:
    try:
        array = np.asarray(starts)
        if np.iscomplexobj(array):
            raise TypeError
        return array.astype(np.float64)
    except (OverflowError, TypeError, ValueError):
        raise InvalidValueError(
            "starts",
            starts,
            f"an array of shape (count, {landscape.dim}) or starts such as Uniform(count=100)",
        ) from None


def _integer(name: str, value: Any, lower: int, upper: int) -> int:
    if not is_integer(value) or not lower <= value <= upper:
        raise InvalidValueError(name, value, f"an integer from {lower} to {upper}")
    return int(value)


def _targets(targets: Any) -> tuple[float, ...]:
    several = isinstance(targets, Iterable) and getattr(targets, "ndim", 1) > 0
    values = list(targets) if several else [targets]
    right = all(is_number(value) and math.isfinite(value) for value in values)
    if not right or len(set(values)) < len(values):
        raise InvalidValueError("targets", targets, "different finite losses above the minimum")
    return tuple(map(float, values))
