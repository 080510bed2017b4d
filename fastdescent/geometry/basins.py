"""Basins of attraction of an update rule: which start goes where.

`basins` runs one trajectory per start in the compiled engine and says which attractor each
reaches.

Examples
--------
>>> import fastdescent as fd
>>> rule = fd.optimizers.GradientDescent(learning_rate=0.002)
>>> ds = basins(fd.landscapes.Himmelblau(), rule, fd.starts.Grid(counts=40), steps=2000)
>>> fd.geometry.basin_fractions(ds).fraction.values.round(3).tolist()
[0.248, 0.243, 0.259, 0.25]
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import maximum_filter, minimum_filter

from fastdescent import memory, record
from fastdescent.engine.result import STATUS
from fastdescent.engine.simulate import simulate
from fastdescent.errors import InvalidValueError
from fastdescent.geometry._dataset import variable
from fastdescent.geometry.attractors import Attractors, at_rest, periods
from fastdescent.geometry.scales import Scales, checked_landscape, scales
from fastdescent.landscapes import Landscape
from fastdescent.models import SampleModel
from fastdescent.noise import Noise
from fastdescent.optimizers import Optimizer
from fastdescent.parts import FloatArray, IntArray, is_integer
from fastdescent.starts import Grid, Points, Starts
from fastdescent.stopping import Stop
from fastdescent.transforms import Transform

__all__ = [
    "OUTCOME",
    "Experiment",
    "Labels",
    "Setting",
    "basins",
    "checked_map",
    "checked_setting",
    "grid_counts",
    "grid_shape",
    "outcome_variable",
]

#: Outcome name -> its number in the variable ``outcome``.
OUTCOME: dict[str, int] = {
    "moving": 0,
    "converged": 1,
    "diverged": 2,
    "cycling": 3,
    "resting": 4,
    "hovering": 5,
}

# Trajectories of one call of the engine, where starts may be run apart: its result takes about
# 70 bytes for each in two dimensions, the labels 19.
_BLOCK = 2**20
# Bytes of the labels of a trajectory, and of a copy of the longest of them.
_LABEL_BYTES = 19 + 8
# Bytes of recorded paths in memory at once.
_PATH_BYTES = 2**27
# Steps that show at least whether a trajectory has come to rest.
_REST_WINDOW = 32
# The gradient that counts as zero, in the landscape's scales: the position is then known to
# about seven digits of the domain's width, and rounding is far below.
_SMALL = 1e-7
# A trajectory this many times farther from the origin than domain and starts has diverged.
_FAR = 1e4


def outcome_variable(dims: Sequence[str], outcome: NDArray[np.int8]) -> Any:
    """Return the outcomes as a variable, with CF flags that say what its numbers mean."""
    flags = np.array(list(OUTCOME.values()), dtype=np.int8)
    about = {"flag_values": flags, "flag_meanings": " ".join(OUTCOME)}
    return variable(dims, outcome, "how the trajectory ended", **about)


class Labels(NamedTuple):
    """What became of each start: arrays of one shape (swept parameters, start, seed).

    ``attractor`` is the row of the attractor, -1 for none; ``outcome`` a value of `OUTCOME`;
    ``steps`` the updates made; ``period`` that of a cycle, 0 where there is none.
    """

    attractor: IntArray
    outcome: NDArray[np.int8]
    steps: IntArray
    period: NDArray[np.int16]

    def colours(self) -> IntArray:
        """Return one number per fate: the attractor, or a negative number per other outcome."""
        return np.where(self.attractor >= 0, self.attractor, -1 - self.outcome.astype(np.int64))


@dataclass(frozen=True)
class Experiment:
    """A rule on a landscape, run from any points; what `basins` passes on to `simulate`."""

    landscape: Landscape
    optimizer: Optimizer
    steps: int
    stop: Stop
    seed: int = 0
    seeds: int = 1
    noise: Noise | None = None
    transforms: Sequence[Transform] = ()
    threads: int | None = None
    longest_period: int = 64

    def run(self, points: FloatArray, recorded: Any = None) -> xr.Dataset:
        """Simulate one trajectory per point, seed and swept value."""
        found = simulate(
            self.landscape,
            self.optimizer,
            starts=points,
            steps=self.steps,
            seeds=self.seeds,
            seed=self.seed,
            noise=self.noise,
            transforms=self.transforms,
            stop=self.stop,
            record=recorded,
            threads=self.threads,
        )
        if found.attrs["error"]:
            raise InvalidValueError(
                "optimizer",
                self.optimizer,
                "schedules that hold at every step",
                found.attrs["error"],
            )
        if found.attrs["interrupted"]:
            raise KeyboardInterrupt  # a map with holes would look like a finished one
        return found

    @cached_property
    def dims(self) -> tuple[str, ...]:
        """Dimensions of the labels: swept parameters, ``start``, ``seed``."""
        return tuple(str(name) for name in self._one_step["steps"].dims)

    @property
    def coords(self) -> dict[str, Any]:
        """Coordinates of the labels, but for ``start``."""
        return {name: self._one_step[name] for name in self.dims if name != "start"}

    @property
    def attrs(self) -> dict[str, Any]:
        """What was run, as attributes of a dataset."""
        same = ("landscape", "optimizer", "noise", "transforms", "seed")
        attrs = {name: self._one_step.attrs[name] for name in same}
        return attrs | {"stop": repr(self.stop), "budget": self.steps}

    @cached_property
    def _one_step(self) -> xr.Dataset:
        """A run of one step, whose axes are those of every run."""
        middle = self.landscape.domain.mean(axis=1)
        return replace(self, steps=1).run(middle[np.newaxis])

    def label(self, points: FloatArray, attractors: Attractors) -> Labels:
        """Say what becomes of each point; attractors that are met for the first time are added.

        Without noise a trajectory depends on nothing but its start, so the starts are run
        block by block; with noise start i must keep the random numbers of start i.
        """
        configurations = self._one_step["steps"].size
        block = len(points) if self.noise is not None else max(1, _BLOCK // configurations)
        at = self.dims.index("start")
        parts = [
            self._label_block(points[begin : begin + block], attractors)
            for begin in range(0, len(points), block)
        ]
        if len(parts) == 1:
            return parts[0]
        return Labels(*(np.concatenate(arrays, axis=at) for arrays in zip(*parts, strict=True)))

    def _label_block(self, points: FloatArray, attractors: Attractors) -> Labels:
        found = self.run(points)
        status = found["status"].to_numpy()
        outcome = np.full(status.shape, OUTCOME["moving"], dtype=np.int8)
        for name in ("converged", "diverged"):
            outcome[status == STATUS[name]] = OUTCOME[name]
        budget = status == STATUS["budget"]
        arrived = status == STATUS["converged"]
        if self.noise is not None:  # noise never rests: whoever is near at the end has arrived
            arrived |= budget
        attractor = np.full(status.shape, -1, dtype=np.int64)
        ends = found["position"].to_numpy()
        attractor[arrived] = attractors.assign(ends[arrived])
        outcome[attractor >= 0] = OUTCOME["converged"]
        period = np.zeros(status.shape, dtype=np.int16)
        if self.noise is None and budget.any():
            period, rests, centre, spread = self._recurrent(points, budget, attractors)
            case = np.flatnonzero(rests) // len(points)
            attractor[rests], settled = attractors.assign_at_rest(ends[rests], case, self._attract)
            rests[rests] = settled
            outcome[rests] = OUTCOME["resting"]
            left = budget & ~rests
            attractor[left] = attractors.assign_around(centre[left], spread[left])
            outcome[left & (attractor >= 0)] = OUTCOME["hovering"]
            outcome[period > 0] = OUTCOME["cycling"]
        return Labels(attractor, outcome, found["steps"].to_numpy(), period)

    def _attract(self, places: FloatArray, cases: IntArray, radius: float) -> NDArray[np.bool_]:
        """Return whether trajectories come back that begin at a distance from places of rest.

        They begin on both sides along each axis.  If the places next to one in a direction are
        of rest too, an axis has a share of at least 1 / sqrt(dim) in it, and is not left.
        """
        dim = places.shape[1]
        aside = radius * np.concatenate([np.eye(dim), -np.eye(dim)])
        begun = (places[:, np.newaxis] + aside).reshape(-1, dim)
        ends = self.run(begun)["position"].to_numpy().reshape(-1, len(places), 2 * dim, dim)
        gap = ends[cases, np.arange(len(places))] - places[:, np.newaxis]
        near = np.linalg.norm(gap, axis=-1) <= 0.5 * radius / math.sqrt(dim)
        return np.asarray(near.all(axis=1))

    def _recurrent(
        self, points: FloatArray, budget: NDArray[np.bool_], attractors: Attractors
    ) -> tuple[NDArray[np.int16], NDArray[np.bool_], FloatArray, FloatArray]:
        """Say of each trajectory that used its budget how it recurs.

        Returned are its period, or else whether it rests, the mean of its last positions and
        how far they are from it.  The starts are run again and the last positions recorded, in
        chunks that fit into memory; without noise a trajectory does not depend on the number of
        its start.
        """
        period = np.zeros(budget.shape, dtype=np.int16)
        rests = np.zeros(budget.shape, dtype=bool)
        centre = np.zeros((*budget.shape, points.shape[1]))
        spread = np.full(budget.shape, math.inf)
        length = attractors.scales.length
        window = min(max(3 * self.longest_period, _REST_WINDOW), self.steps)
        recorded = record.steps(list(range(self.steps - window, self.steps + 1)))
        each = budget.size // len(points) * (window + 1) * (self.landscape.dim + 2) * 8
        chunk = max(1, _PATH_BYTES // each)
        # Without noise there is no dimension `seed`: the starts are the last one.
        starts = np.flatnonzero(budget.reshape(-1, len(points)).any(axis=0))
        for begin in range(0, len(starts), chunk):
            some = starts[begin : begin + chunk]
            path = self.run(points[some], recorded)["path"].to_numpy()
            if self.longest_period > 1:
                period[..., some] = np.where(budget[..., some], periods(path, length), 0)
            rests[..., some] = budget[..., some] & at_rest(path, length)
            centre[..., some, :] = path.mean(axis=-2)
            away = np.linalg.norm(path - centre[..., some, np.newaxis, :], axis=-1).max(axis=-1)
            spread[..., some] = np.where(budget[..., some], away, math.inf)
        return period, rests & (period == 0), centre, spread


class Setting(NamedTuple):
    """What all trajectories have in common; see `checked_setting`."""

    landscape: Landscape
    scales: Scales
    starts: Starts
    points: FloatArray
    stop: Stop


def checked_setting(
    landscape: Any, starts: Any, seed: Any, stop: Stop | None, noisy: bool
) -> Setting:
    """Check landscape, starts and stopping test; return them with scales and start points.

    Parameters
    ----------
    landscape : Landscape
        The loss; a model takes the data that the seed selects.
    starts : Starts or array_like, shape (count, dim)
        The start points.
    seed : int
        The study's seed.
    stop : Stop, optional
        The stopping test; by default one on the gradient norm.
    noisy : bool
        Whether there is noise, in which no trajectory comes to rest.

    Raises
    ------
    InvalidValueError
        If one of them is not allowed, or they contradict each other.
    MemoryLimitError
        If the starts do not fit into memory.
    """
    landscape = checked_landscape(landscape)
    if not is_integer(seed) or not 0 <= seed < 2**64:
        raise InvalidValueError("seed", seed, "an integer from 0 to 2**64 - 1")
    if isinstance(landscape, SampleModel):
        landscape = landscape.for_study(seed)
    unit = scales(landscape)
    part = starts if isinstance(starts, Starts) else Points(starts)
    count = part.size(landscape)
    needed = 3 * 8 * landscape.dim * count  # the points, and what makes them
    memory.require(needed, f"{count:,} starts", "take fewer; a refined map spends fewer")
    points = part.points(landscape, seed)
    farthest = float(np.sqrt(np.einsum("ij,ij->i", points, points)).max())
    if stop is None:
        far = _FAR * max(farthest, float(np.linalg.norm(np.abs(landscape.domain).max(axis=1))))
        stop = Stop(gradient_norm=None if noisy else _SMALL * unit.gradient, radius=far)
    if not isinstance(stop, Stop):
        raise InvalidValueError("stop", stop, "a Stop, such as Stop(gradient_norm=1e-6)")
    if not noisy and stop.gradient_norm is None and stop.loss is None:
        raise InvalidValueError(
            "stop", stop, "a test by which trajectories converge", "add gradient_norm=1e-6, say"
        )
    if stop.radius is not None and farthest > stop.radius:
        raise InvalidValueError(
            "starts",
            f"a start {farthest:g} from the origin",
            f"starts within the stop's radius {stop.radius:g}",
            "beyond it a trajectory counts as diverged: use a larger Stop.radius",
        )
    return Setting(landscape, unit, part, points, stop)


def basins(
    landscape: Landscape,
    optimizer: Optimizer,
    starts: Starts | ArrayLike,
    *,
    steps: int,
    attractors: ArrayLike | None = None,
    radius: float | None = None,
    stop: Stop | None = None,
    seed: int = 0,
    seeds: int = 1,
    noise: Noise | None = None,
    transforms: Sequence[Transform] = (),
    threads: int | None = None,
    refine: int = 0,
    longest_period: int = 64,
) -> xr.Dataset:
    r"""Say which attractor each start reaches under an update rule.

    The basin of an attractor a is the set of starts whose trajectories end there,

    .. math:: B(a) = \{\theta_0 : \lim_{t \to \infty} \theta_t(\theta_0) = a\} .

    A trajectory has converged when its stopping test holds.  Attractors are the landscape's known
    critical points and those found from the ends: an end belongs to the critical point that
    Newton's method reaches from it, if that is within `radius`, or within a tenth of the domain's
    width where the gradient has all but vanished (1e-2 in the landscape's `scales`).  Points
    that differ after Newton's method stay apart, however close they are.  A start whose gradient
    passes the test belongs to where it stands, a saddle, say, and so does a trajectory that
    happens to hit such a point at speed: rare with a strict test, but not with a lax one.

    Ends from which Newton's method finds no critical point nearby have converged, as their test
    says, but to attractor -1: those that a lax test stopped on their way; those at a kink, such as
    the minimum of abs(x), where the gradient jumps and there is no Newton step; and those on a
    valley's floor or on a plateau, whose points are not alone, as Newton's method does not come
    back to them from nearby.  Kinks and such points can be given as `attractors`.

    A trajectory that runs out of steps is ``cycling`` if its last positions repeat with a period
    of at least 2, within a millionth of the orbit's diameter, and the trend of what is missing
    says that they will stay as near.  It is ``resting`` if they and what the trend leaves to come
    lie within a millionth of the length in the landscape's `scales`, and trajectories that begin
    at a `radius` to each side come back.  It rests at a critical point within the `radius` though
    a strict test does not hold, or at an attractor of its own, of kind "rest point": the gradient
    is not zero there, but balanced by weight decay, say.  That is an outcome apart from
    ``converged``, whose test held at step ``steps``; a resting trajectory used its whole budget.
    It is ``hovering`` if they lie within the `radius` of a minimum, as those of rules with steps
    of constant size do, or of one that is about to arrive; that is its attractor, as it is of a
    cycle that lies within the `radius`.  Otherwise it is ``moving``: slow (an oscillation that
    dies out or grows by less than can be seen, too), chaotic, or standing where its steps have
    become too small to go on.  The last positions are those of three times `longest_period`
    steps, at least 32.  With noise nothing rests: the end of the budget counts, and a trajectory
    within `radius` of a known minimum has converged to it.

    Parameters
    ----------
    landscape : Landscape
        The loss, without swept parameters.
    optimizer : Optimizer
        The update rule.  A hyper-parameter given as a sequence is an axis of the result.
    starts : Starts or array_like, shape (count, dim)
        The start points; a `Grid` makes a map.
    steps : int
        The budget of updates, >= 1.
    attractors : array_like, shape (count, dim), optional
        Their positions; the ends within `radius` belong to them, others to attractor -1.
    radius : float, optional
        Largest distance of an end that still moves, > 0, in units of theta; by default a
        thousandth of the domain's width (of the length in `scales`) and at most a quarter of
        the least distance of two attractors; with noise a tenth and at most a half.  A rule
        with steps of constant size needs a few of them, or its orbit around a minimum is wider.
    stop : Stop, optional
        When a trajectory has converged or diverged.  By default its gradient norm is at most
        1e-7 of the gradient in the landscape's own `scales`, or its distance from the origin
        more than 10^4 times that of domain and starts; with noise only the latter.
    seed : int
        The study's seed.
    seeds : int
        Noise replicas per start, >= 1.
    noise : Noise, optional
        Noise on the gradient.
    transforms : sequence of Transform
        What happens to the gradient before the rule; none may draw random numbers.
    threads : int, optional
        Number of threads; it changes no bit of the result.
    refine : int
        How often the cells of a `Grid` are halved, >= 0.  New starts are run near those that
        differ from a neighbour, diagonal ones included, and inherit labels elsewhere; a
        region that passes between the starts of the coarser grid is not seen.
    longest_period : int
        Longest period of a cycle that is looked for, from 2 to 4096; 1 looks for none, only
        for points of rest.

    Returns
    -------
    xarray.Dataset
        Along swept parameters, ``start`` and ``seed``: ``attractor`` (row along ``basin``, -1
        for none), ``outcome`` (moving, converged, diverged, cycling, resting, hovering),
        ``steps``, ``period`` (0 where there is no cycle).  Along ``basin``: ``attractor_position``,
        ``attractor_value``, ``attractor_kind``.  ``initial`` holds the starts, ``computed``
        which of them were run.  Of a `Grid`, the attribute ``grid_counts`` holds the shape.

    Raises
    ------
    InvalidValueError
        If an argument is not allowed: a start outside the stop's radius, a radius that makes
        attractors overlap, noise without known minimum, refinement without a grid.
    MemoryLimitError
        If the result does not fit into memory.

    References
    ----------
    Nusse and Yorke (1996), Science 271, 1376-1380; attractors by recurrence: Datseris and
    Wagemakers (2022), Chaos 32, 023104.

    Examples
    --------
    Descent on (x^2 - 1)^2 / 4 changes the well beyond sqrt(1 + 1 / eta), here 1.732, and
    diverges beyond sqrt(1 + 2 / eta), here 2.236:

    >>> import fastdescent as fd
    >>> ds = basins(
    ...     fd.landscapes.SymmetricDoubleWell(),
    ...     fd.optimizers.GradientDescent(learning_rate=0.5),
    ...     [[0.5], [1.7], [1.8], [2.3]],
    ...     steps=200,
    ... )
    >>> ds.attractor.values.tolist(), ds.outcome.values.tolist()
    ([1, 1, 0, -1], [1, 1, 1, 2])
    """
    landscape, unit, part, points, stop = checked_setting(
        landscape, starts, seed, stop, noise is not None
    )
    if noise is None and seeds != 1:
        raise InvalidValueError("seeds", seeds, "1 without noise", "all replicas would be alike")
    if not is_integer(longest_period) or not 1 <= longest_period <= 4096:
        raise InvalidValueError("longest_period", longest_period, "an integer from 1 to 4096")
    found = Attractors(landscape, unit, attractors, radius, noise is not None)
    experiment = Experiment(
        landscape=landscape,
        optimizer=optimizer,
        steps=steps,
        stop=stop,
        seed=seed,
        seeds=seeds,
        noise=noise,
        transforms=transforms,
        threads=threads,
        longest_period=longest_period,
    )
    computed = None
    if _checked_refine(refine, part, noise):
        assert isinstance(part, Grid)
        labels, part, computed = _refined(experiment, part, refine, points, found)
        points = part.points(landscape, seed)
    else:
        labels = experiment.label(points, found)
    (attractor,) = found.settle(labels.attractor)
    labels = labels._replace(attractor=attractor)
    return _dataset(experiment, part, points, labels, found, computed)


def _checked_refine(refine: Any, starts: Starts, noise: Noise | None) -> bool:
    if not is_integer(refine) or not 0 <= refine <= 16:
        raise InvalidValueError("refine", refine, "an integer from 0 to 16")
    if refine and not isinstance(starts, Grid):
        raise InvalidValueError("refine", refine, "0 where the starts are no grid", "use Grid")
    if refine and noise is not None:
        raise InvalidValueError(
            "refine", refine, "0 with noise", "labels that are random differ everywhere"
        )
    return bool(refine)


def _refined(
    experiment: Experiment, grid: Grid, refine: int, points: FloatArray, attractors: Attractors
) -> tuple[Labels, Grid, NDArray[np.bool_]]:
    """Label a grid, then finer and finer ones, running only what lies near a change of label.

    A grid's starts are starts of the finer one too, bit for bit, as halving a step is exact.
    """
    dim = experiment.landscape.dim
    axes = tuple(len(values) for values in experiment.coords.values())
    shape = grid_counts(grid, dim)
    finest = math.prod((n - 1) * 2**refine + 1 for n in shape)
    each = _LABEL_BYTES * math.prod(axes) + 8 * dim
    memory.require(finest * each, f"a map of {finest:,} starts", "refine it less often")
    labels = experiment.label(points, attractors)
    computed = np.ones(shape, dtype=bool)
    for _ in range(refine):
        near = _near_a_change(labels.colours().reshape(-1, *shape))
        shape = tuple(2 * n - 1 for n in shape)
        even = (slice(None, None, 2),) * dim
        known = np.zeros(shape, dtype=bool)
        known[even] = True
        run = np.zeros(shape, dtype=bool)
        run[even] = near
        run = maximum_filter(run, size=3) & ~known
        grid = grid.at(counts=shape)
        finer = grid.points(experiment.landscape, experiment.seed)
        labels = Labels(*(_inherited(array, axes, shape) for array in labels))
        if run.any():
            new = experiment.label(np.ascontiguousarray(finer[run.ravel()]), attractors)
            for name, array in labels._asdict().items():
                array[..., run.ravel()] = getattr(new, name)
        kept, computed = computed, run
        computed[even] |= kept
    return labels, grid, computed.ravel()


def grid_counts(grid: Grid, dim: int) -> tuple[int, ...]:
    """Return the number of starts along each coordinate of a grid."""
    return tuple(int(n) for n in np.broadcast_to(grid.counts, (dim,)))


def _near_a_change(colours: IntArray) -> NDArray[np.bool_]:
    """Return the starts with a differing neighbour in any configuration, (config, *grid)."""
    near = np.zeros(colours.shape[1:], dtype=bool)
    for colour in colours:
        near |= maximum_filter(colour, size=3) != minimum_filter(colour, size=3)
    return near


def _inherited(array: Any, axes: tuple[int, ...], shape: tuple[int, ...]) -> Any:
    """Give each start of a finer grid the value of the coarser start at or below it."""
    coarse = array.reshape(-1, *(n // 2 + 1 for n in shape))
    places = np.ix_(np.arange(len(coarse)), *(np.arange(n) // 2 for n in shape))
    return coarse[places].reshape(*axes, -1)


def _dataset(
    experiment: Experiment,
    starts: Starts,
    points: FloatArray,
    labels: Labels,
    attractors: Attractors,
    computed: NDArray[np.bool_] | None,
) -> xr.Dataset:
    dims, coords = experiment.dims, experiment.coords
    computed = np.ones(len(points), dtype=bool) if computed is None else computed
    variables = {
        "attractor": variable(dims, labels.attractor, "attractor reached; -1 = none"),
        "outcome": outcome_variable(dims, labels.outcome),
        "steps": variable(dims, labels.steps, "updates made"),
        "period": variable(dims, labels.period, "period of the cycle in steps; 0 = no cycle"),
        "computed": variable(("start",), computed, "whether the start was run, not inherited"),
        "initial": variable(("start", "coordinate"), points, "start points"),
        **attractors.variables(),
    }
    attrs = experiment.attrs | {
        "starts": repr(starts),
        "radius": attractors.radius,
        "attractors": attractors.source,
        "trajectories_run": labels.attractor.size // len(points) * int(computed.sum()),
    }
    if isinstance(starts, Grid):
        attrs["grid_counts"] = list(grid_counts(starts, experiment.landscape.dim))
    coords["start"] = np.arange(len(points))
    coords["basin"] = np.arange(len(attractors.positions))
    return xr.Dataset(variables, coords=coords, attrs=attrs)


def checked_map(ds: Any) -> xr.Dataset:
    """Return the dataset if it is one that `basins` returns."""
    if not isinstance(ds, xr.Dataset) or not {"attractor", "outcome", "initial"} <= set(ds):
        raise InvalidValueError("ds", type(ds).__name__, "a result of geometry.basins")
    return ds


def grid_shape(ds: xr.Dataset) -> tuple[int, ...]:
    """Return the shape of a map's grid of starts.

    Raises
    ------
    InvalidValueError
        If the starts are no grid, or not all of it.
    """
    counts = tuple(int(n) for n in np.atleast_1d(checked_map(ds).attrs.get("grid_counts", ())))
    if math.prod(counts) != ds.sizes["start"] or not counts:
        raise InvalidValueError(
            "starts", ds.attrs.get("starts"), "a Grid, and all of its starts in the dataset"
        )
    return counts
