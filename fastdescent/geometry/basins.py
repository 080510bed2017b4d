"""Basins of attraction of an update rule: which start goes where, and how fine their boundary is.

`basins` runs one trajectory per start in the compiled engine and says which attractor each
reaches; everything else is a function of its dataset: `basin_fractions`,
`outcome_probabilities`, `basin_entropy` and `boundary_dimension`.  `uncertainty_exponent`
measures the boundary by displaced starts, in any number of dimensions.

Examples
--------
>>> import fastdescent as fd
>>> rule = fd.optimizers.GradientDescent(learning_rate=0.002)
>>> ds = basins(fd.landscapes.Himmelblau(), rule, fd.starts.Grid(counts=40), steps=2000)
>>> basin_fractions(ds).fraction.values.round(3).tolist()
[0.248, 0.243, 0.259, 0.25]
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, cast

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import maximum_filter, minimum_filter
from scipy.spatial import KDTree

from fastdescent import memory, record
from fastdescent.engine.result import STATUS
from fastdescent.engine.simulate import simulate
from fastdescent.errors import InvalidValueError
from fastdescent.geometry.hessians import hessians
from fastdescent.geometry.points import classify_points
from fastdescent.geometry.scales import Scales, scales
from fastdescent.landscapes import Landscape
from fastdescent.models import SampleModel
from fastdescent.noise import Noise
from fastdescent.optimizers import Optimizer
from fastdescent.parts import FloatArray, IntArray, is_integer, is_number
from fastdescent.starts import Grid, Points, Starts
from fastdescent.statistics import box_counting_dimension, edge, wilson_interval
from fastdescent.stopping import Stop
from fastdescent.transforms import Transform

__all__ = [
    "OUTCOME",
    "Attractors",
    "Experiment",
    "Labels",
    "Setting",
    "basin_entropy",
    "basin_fractions",
    "basins",
    "boundary_dimension",
    "checked_setting",
    "grid_counts",
    "grid_shape",
    "outcome_probabilities",
    "outcome_variable",
    "uncertainty_exponent",
    "variable",
]

#: Outcome name -> its number in the variable ``outcome``.
OUTCOME: dict[str, int] = {"moving": 0, "converged": 1, "diverged": 2, "cycling": 3}

# Trajectories of one call of the engine, where starts may be run apart: its result takes about
# 70 bytes for each in two dimensions, the labels 19.
_BLOCK = 2**20
# Bytes of the labels of a trajectory, and of a copy of the longest of them.
_LABEL_BYTES = 19 + 8
# Bytes of recorded paths in memory at once.
_PATH_BYTES = 2**27
# Ends that are polished at once where attractors are looked for.
_SAMPLE = 1024
_MOST_ATTRACTORS = 4096
# Newton's method doubles the digits of a simple root; a quadruple root gains a factor of 2/3.
_NEWTON = 60
# The least number whose inverse is finite.
_TINY = float(np.finfo(float).tiny)
# The gradient that counts as zero, in the landscape's scales: the position is then known to
# about seven digits of the domain's width, and rounding is far below.
_SMALL = 1e-7
# A trajectory this many times farther from the origin than domain and starts has diverged.
_FAR = 1e4
# An orbit is a cycle if it comes back within this share of its own diameter.
_RECURRENCE = 1e-6


def variable(dims: Sequence[str], values: Any, text: str, **more: Any) -> Any:
    """Return a variable of a dataset with its long name; all are dimensionless."""
    return tuple(dims), values, {"long_name": text, "units": "1", **more}


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
        attractor[arrived] = attractors.assign(found["position"].to_numpy()[arrived])
        outcome[attractor >= 0] = OUTCOME["converged"]
        period = np.zeros(status.shape, dtype=np.int16)
        if self.noise is None and self.longest_period > 1 and budget.any():
            period = self._cycles(points, budget, attractors.scales.length)
        outcome[period > 0] = OUTCOME["cycling"]
        return Labels(attractor, outcome, found["steps"].to_numpy(), period)

    def _cycles(
        self, points: FloatArray, budget: NDArray[np.bool_], length: float
    ) -> NDArray[np.int16]:
        """Return the period of each trajectory that used its budget, 0 without a cycle.

        Their starts are run again and the last positions recorded, in chunks that fit into
        memory; without noise a trajectory does not depend on the number of its start.
        """
        period = np.zeros(budget.shape, dtype=np.int16)
        window = min(2 * self.longest_period, self.steps)
        recorded = record.steps(list(range(self.steps - window, self.steps + 1)))
        each = budget.size // len(points) * (window + 1) * (self.landscape.dim + 2) * 8
        chunk = max(1, _PATH_BYTES // each)
        # Without noise there is no dimension `seed`: the starts are the last one.
        starts = np.flatnonzero(budget.reshape(-1, len(points)).any(axis=0))
        for begin in range(0, len(starts), chunk):
            some = starts[begin : begin + chunk]
            path = self.run(points[some], recorded)["path"].to_numpy()
            period[..., some] = np.where(budget[..., some], _periods(path, length), 0)
        return period


def _periods(path: FloatArray, length: float) -> NDArray[np.int16]:
    """Return the least period >= 2 of each orbit (..., record, coordinate), 0 if it has none.

    Steps that only become smaller do not come back: in a window of w of them two positions are
    at least 1 / w of the diameter apart, far more than is allowed here.
    """
    orbits = path.reshape(-1, *path.shape[-2:])
    diameter: FloatArray = np.linalg.norm(np.ptp(orbits, axis=1), axis=-1)
    allowed = _RECURRENCE * diameter
    period = np.zeros(len(orbits), dtype=np.int16)
    wide = diameter > 1e-9 * length  # less is rounding at a point of rest
    for p in range(2, orbits.shape[1] // 2 + 1):
        back = np.linalg.norm(orbits[:, -1] - orbits[:, -1 - p], axis=-1)
        at = np.flatnonzero(wide & (period == 0) & (back <= allowed))
        gaps = np.linalg.norm(orbits[at, p:] - orbits[at, :-p], axis=-1).max(axis=1, initial=0.0)
        period[at[gaps <= allowed[at]]] = p
    return period.reshape(path.shape[:-2])


class Attractors:
    """The attractors of an experiment: given, known or found from where trajectories end.

    Parameters
    ----------
    landscape : Landscape
        The loss.
    unit : Scales
        The landscape's scales.
    given : array_like, shape (count, dim), optional
        Positions; no others are then looked for.  By default the landscape's known critical
        points and what is found.
    radius : float, optional
        Largest distance of an end from its attractor.
    noisy : bool
        Whether ends scatter around the attractors, which then are the known minima.

    Raises
    ------
    InvalidValueError
        If positions or radius are not allowed, or there is no attractor.
    """

    def __init__(
        self,
        landscape: Landscape,
        unit: Scales,
        given: ArrayLike | None = None,
        radius: float | None = None,
        noisy: bool = False,
    ) -> None:
        self.landscape, self.scales = landscape, unit
        self.closed = noisy or given is not None
        self.source = "known" if given is None else "given"
        if given is None:
            known = landscape.critical_points()
            known = [point for point in known if not noisy or point.kind == "minimum"]
            positions = np.array([point.position for point in known])
            self.kinds = [point.kind for point in known]
        else:
            positions = _positions(given, landscape.dim)
            self.kinds = self._kinds(positions).tolist()
        if self.closed and not len(positions):
            raise InvalidValueError(
                "attractors",
                None,
                "positions, where noise keeps trajectories from resting at one",
                f"{landscape!r} has no known minimum: give attractors=[[...], ...]",
            )
        self.positions = positions.reshape(-1, landscape.dim)
        self.known = len(positions)
        self.radius = self._radius(radius, noisy)

    def _radius(self, radius: float | None, noisy: bool) -> float:
        """Return the radius: small against domain and spacing, unless noise scatters the ends."""
        spacing = math.inf
        if len(self.positions) > 1:
            nearest = np.asarray(KDTree(self.positions).query(self.positions, k=2)[0])
            spacing = float(nearest[:, 1].min())
        if radius is None:
            share = 0.5 if noisy else 0.25
            return min(share * spacing, (0.1 if noisy else 1e-3) * self.scales.length)
        if not is_number(radius) or not 0.0 < radius <= 0.5 * spacing:
            raise InvalidValueError(
                "radius",
                radius,
                f"a number in (0, {0.5 * spacing:g}], half the least distance of two attractors",
            )
        return float(radius)

    def assign(self, ends: FloatArray) -> IntArray:
        """Return the attractor of each end (count, dim), -1 for none; add attractors if open."""
        found = self._match(ends)
        missing = np.flatnonzero(found < 0)
        for begin in range(0, 0 if self.closed else len(missing), _SAMPLE):
            some = missing[begin : begin + _SAMPLE]
            found[some] = self._match(ends[some])  # what was found meanwhile
            left = some[found[some] < 0]
            if len(left):
                found[left] = self._found(_polish(self.landscape, ends[left]))
        return found

    def _match(self, ends: FloatArray) -> IntArray:
        if not len(self.positions) or not len(ends):
            return np.full(len(ends), -1, dtype=np.int64)
        # The tree's bound is open; a point for which it finds nothing gets the number of points.
        bound = math.nextafter(self.radius, math.inf)
        found = KDTree(self.positions).query(ends, distance_upper_bound=bound)[1]
        return np.where(found == len(self.positions), -1, found)

    def _found(self, polished: FloatArray) -> IntArray:
        """Return the attractor at each polished point; isolated ones far from all become new."""
        found = self._match(polished)
        kinds = self._kinds(polished)
        new = (found < 0) & self._isolated(polished, kinds)
        while new.any():
            first = int(np.argmax(new))
            self.positions = np.concatenate([self.positions, polished[first : first + 1]])
            self.kinds.append(str(kinds[first]))
            if len(self.positions) > _MOST_ATTRACTORS:
                raise InvalidValueError(
                    "attractors",
                    f"more than {_MOST_ATTRACTORS} of them",
                    "fewer that are looked for",
                    "give those of interest: attractors=[[...], ...]",
                )
            near = np.linalg.norm(polished - polished[first], axis=1) <= self.radius
            found[near & (found < 0)] = len(self.positions) - 1
            new &= found < 0
        return found

    def _kinds(self, points: FloatArray) -> NDArray[np.str_]:
        found = classify_points(self.landscape, points, scale=self.scales)
        return cast(NDArray[np.str_], found["kind"].to_numpy())

    def _isolated(self, points: FloatArray, kinds: NDArray[np.str_]) -> NDArray[np.bool_]:
        """Return which critical points are alone: Newton's method comes back from nearby.

        Only a flat direction can lead to other critical points, as on a valley's floor or a
        plateau; whoever ends there has converged, but to no point that could be named.
        """
        isolated = np.ones(len(points), dtype=bool)
        at = np.flatnonzero(kinds == "degenerate")
        if len(at):
            values, vectors = np.linalg.eigh(hessians(self.landscape, points[at]).matrices)
            flattest = np.abs(values).argmin(axis=1)
            step = self.radius * vectors[np.arange(len(at)), :, flattest]
            for aside in (points[at] + step, points[at] - step):
                gap = np.linalg.norm(_polish(self.landscape, aside) - points[at], axis=1)
                isolated[at] &= gap <= 0.5 * self.radius
        return isolated

    def settle(self, *all_labels: Labels) -> list[Labels]:
        """Put the attractors in their final order and number the labels accordingly.

        Given and known ones keep their order, found ones follow by loss; of the known ones
        that are no minima, those that no trajectory reached are dropped.
        """
        reached = np.zeros(len(self.positions), dtype=bool)
        for labels in all_labels:
            reached[np.unique(labels.attractor[labels.attractor >= 0])] = True
        keep = np.flatnonzero(
            reached | (self.source == "given") | (np.array(self.kinds) == "minimum")
        )
        found = keep[keep >= self.known]
        order = np.lexsort((*self.positions[found].T[::-1], self._losses(found)))
        rows = np.concatenate([keep[keep < self.known], found[order]])
        number = np.full(len(self.positions) + 1, -1, dtype=np.int64)
        number[rows] = np.arange(len(rows))
        self.positions = self.positions[rows]
        self.kinds = [self.kinds[row] for row in rows]
        return [labels._replace(attractor=number[labels.attractor]) for labels in all_labels]

    def _losses(self, rows: IntArray) -> FloatArray:
        return self.landscape.value(self.positions[rows]) if len(rows) else np.zeros(0)

    def variables(self) -> dict[str, Any]:
        """Return the attractors as variables along the dimension ``basin``."""
        kinds = np.array(self.kinds, dtype=str)
        losses = self._losses(np.arange(len(self.positions)))
        return {
            "attractor_position": variable(
                ("basin", "coordinate"), self.positions, "position of the attractor"
            ),
            "attractor_value": variable(("basin",), losses, "loss at the attractor"),
            "attractor_kind": variable(("basin",), kinds, "kind of critical point"),
        }


def _positions(given: ArrayLike, dim: int) -> FloatArray:
    try:
        positions = np.array(given, dtype=float)
    except (TypeError, ValueError):
        positions = np.zeros(0)
    if positions.ndim != 2 or positions.shape[1] != dim or not len(positions):
        raise InvalidValueError(
            "attractors", given, f"positions of shape (count, {dim}) with count >= 1"
        )
    if not np.isfinite(positions).all():
        raise InvalidValueError("attractors", given, "finite positions")
    if len(np.unique(positions, axis=0)) < len(positions):
        raise InvalidValueError("attractors", given, "positions that differ")
    return positions


def _polish(landscape: Landscape, ends: FloatArray) -> FloatArray:
    """Follow Newton's method on the gradient from each end while the gradient becomes smaller."""
    best = ends.copy()
    grad = landscape.gradient(best)
    for _ in range(_NEWTON):
        values, vectors = np.linalg.eigh(hessians(landscape, best).matrices)
        floor = np.maximum(1e-12 * np.abs(values).max(axis=1, keepdims=True), _TINY)
        steep = np.abs(values) > floor  # along a flat direction there is nowhere to go
        inverse = np.where(steep, 1.0 / np.where(steep, values, 1.0), 0.0)
        trial = best - np.einsum("nij,nj,nkj,nk->ni", vectors, inverse, vectors, grad)
        new = landscape.gradient(trial)
        better = np.linalg.norm(new, axis=1) < np.linalg.norm(grad, axis=1)
        if not better.any():
            break
        best[better], grad[better] = trial[better], new[better]
    return best


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
    """
    if not isinstance(landscape, Landscape):
        raise InvalidValueError(
            "landscape", landscape, "a landscape, such as landscapes.Himmelblau()"
        )
    if not is_integer(seed) or not 0 <= seed < 2**64:
        raise InvalidValueError("seed", seed, "an integer from 0 to 2**64 - 1")
    if isinstance(landscape, SampleModel):
        landscape = landscape.for_study(seed)
    unit = scales(landscape)
    part = starts if isinstance(starts, Starts) else Points(starts)
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

    A trajectory has converged when its stopping test holds, and belongs to the attractor within
    `radius` of its end.  Attractors are the landscape's known critical points; ends that are
    near none of them are polished by Newton's method, merged and added.  A start whose gradient
    passes the test belongs to where it stands, a saddle, say, and so does a trajectory that
    happens to hit such a point at speed: rare with a strict test, but not with a lax one.  Ends
    on a valley's floor or on a plateau have converged, but to attractor -1: points that are not
    alone are no attractors, as Newton's method does not come back to them from nearby.

    A trajectory that runs out of steps is ``cycling`` if its last positions repeat with a period
    of at least 2, within a millionth of the orbit's diameter, and ``moving`` otherwise: slow,
    chaotic, or at rest where the gradient is not zero, as with weight decay.  With noise nothing
    rests: the end of the budget counts, and a trajectory within `radius` of a known minimum has
    converged to it.

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
        Their positions; ends elsewhere then have attractor -1.
    radius : float, optional
        Largest distance of an end from its attractor, > 0, in units of theta; by default a
        thousandth of the domain's width (of the length in `scales`) and at most a quarter of
        the least distance of two attractors; with noise a tenth and at most a half.
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
        Longest period of a cycle that is looked for, from 2 to 4096; 1 looks for none.

    Returns
    -------
    xarray.Dataset
        Along swept parameters, ``start`` and ``seed``: ``attractor`` (row along ``basin``, -1
        for none), ``outcome`` (moving, converged, diverged, cycling), ``steps``, ``period`` (0
        where there is no cycle).  Along ``basin``: ``attractor_position``,
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
    (labels,) = found.settle(labels)
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


def _confidence(confidence: Any) -> float:
    if not is_number(confidence) or not 0.0 < confidence < 1.0:
        raise InvalidValueError("confidence", confidence, "a number in (0, 1)")
    return float(confidence)


def _map(ds: Any) -> xr.Dataset:
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
    counts = tuple(int(n) for n in np.atleast_1d(_map(ds).attrs.get("grid_counts", ())))
    if math.prod(counts) != ds.sizes["start"] or not counts:
        raise InvalidValueError(
            "starts", ds.attrs.get("starts"), "a Grid, and all of its starts in the dataset"
        )
    return counts


def _swept(ds: xr.Dataset) -> tuple[tuple[str, ...], tuple[int, ...], dict[str, Any]]:
    """Return names, lengths and coordinates of the swept parameters."""
    dims = tuple(str(name) for name in ds["attractor"].dims if name not in ("start", "seed"))
    return dims, tuple(ds.sizes[name] for name in dims), {name: ds[name] for name in dims}


def _about(ds: xr.Dataset, **more: Any) -> dict[str, Any]:
    return {name: ds.attrs[name] for name in ("landscape", "optimizer", "starts")} | more


def basin_fractions(ds: xr.Dataset, confidence: float = 0.95) -> xr.Dataset:
    r"""Return the fraction of starts in each basin, with Wilson's intervals.

    .. math:: p_a = \frac{1}{n} \#\{i : \theta_0^{(i)} \in B(a)\}

    Parameters
    ----------
    ds : xarray.Dataset
        A result of `basins`.  With seeds the fraction is over starts and seeds.
    confidence : float
        Coverage of the intervals, in (0, 1).

    Returns
    -------
    xarray.Dataset
        ``fraction``, ``lower``, ``upper`` along swept parameters and ``basin``, and
        ``outcome_fraction``, ``outcome_lower``, ``outcome_upper`` along ``outcome``.  The
        intervals are those of independent random starts.  For a regular grid the fractions
        are a quadrature without randomness, and the intervals, then far too wide, say how
        well as many random starts would have known them.  The seeds of one start share its
        basin, so the intervals count starts, as if all seeds of a start ended alike.

    Raises
    ------
    InvalidValueError
        If the dataset is no result of `basins`, or the confidence is not in (0, 1).

    References
    ----------
    Menck, Heitzig, Marwan and Kurths (2013), Nature Physics 9, 89-92, on basin stability.

    Examples
    --------
    >>> import fastdescent as fd
    >>> ds = basins(
    ...     fd.landscapes.SymmetricDoubleWell(),
    ...     fd.optimizers.GradientDescent(learning_rate=0.1),
    ...     fd.starts.Uniform(count=1000),
    ...     steps=1000,
    ... )
    >>> found = basin_fractions(ds)
    >>> print(f"{found.fraction[0]:.3f} [{found.lower[0]:.3f}, {found.upper[0]:.3f}]")
    0.504 [0.473, 0.535]
    """
    dims, lengths, coords = _swept(_map(ds))
    confidence = _confidence(confidence)
    starts = ds.sizes["start"]
    variables: dict[str, Any] = {}
    for name, prefix, first, size in (
        ("attractor", "", 1, ds.sizes["basin"]),
        ("outcome", "outcome_", 0, len(OUTCOME)),
    ):
        values = ds[name].transpose(*dims, "start", ...).to_numpy()
        rows = values.reshape(math.prod(lengths), -1)
        counts = np.stack([np.bincount(row + first, minlength=size + first) for row in rows])
        share = counts[:, first:] / rows.shape[1]
        lower, upper = _interval(share, starts, confidence)
        along = (*dims, "basin" if name == "attractor" else "outcome")
        for key, array, text in (
            ("fraction", share, "fraction of the starts"),
            ("lower", lower, "lower end of the interval"),
            ("upper", upper, "upper end of the interval"),
        ):
            variables[prefix + key] = variable(along, array.reshape(*lengths, -1), text)
    coords |= {"basin": ds["basin"], "outcome": list(OUTCOME)}
    interval = f"Wilson, {confidence:g}, for {starts} independent random starts"
    if "grid_counts" in ds.attrs:
        interval += "; the starts are a regular grid: a quadrature without randomness"
    return xr.Dataset(variables, coords=coords, attrs=_about(ds, interval=interval))


def _interval(share: FloatArray, trials: int, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Return Wilson's interval; where the share is no whole number of trials, the wider one."""
    successes = share * trials
    whole = np.round(successes)
    exact = np.abs(successes - whole) < 1e-6
    lower, _ = wilson_interval(np.where(exact, whole, np.floor(successes)), trials, confidence)
    _, upper = wilson_interval(np.where(exact, whole, np.ceil(successes)), trials, confidence)
    return lower, upper


def outcome_probabilities(ds: xr.Dataset, confidence: float = 0.95) -> xr.Dataset:
    r"""Return for each start the probability of each attractor and outcome under noise.

    .. math:: p_a(\theta_0) = \frac{1}{m} \#\{j : \text{seed } j \text{ ends at } a\}

    with Wilson's interval for m independent seeds.

    Parameters
    ----------
    ds : xarray.Dataset
        A result of `basins` with several seeds.
    confidence : float
        Coverage of the intervals, in (0, 1).

    Returns
    -------
    xarray.Dataset
        ``probability``, ``lower``, ``upper`` along swept parameters, ``start`` and ``basin``;
        ``outcome_probability``, ``outcome_lower``, ``outcome_upper`` along ``outcome``.

    Raises
    ------
    InvalidValueError
        If the dataset is no result of `basins` with seeds, or the confidence is not in (0, 1).

    References
    ----------
    Wilson (1927), J. Amer. Statist. Assoc. 22, 209-212.

    Examples
    --------
    >>> import fastdescent as fd
    >>> ds = basins(
    ...     fd.landscapes.SymmetricDoubleWell(),
    ...     fd.optimizers.GradientDescent(learning_rate=0.1),
    ...     [[0.0], [0.5]],
    ...     steps=100,
    ...     seeds=400,
    ...     noise=fd.noise.Gaussian(scale=0.2),
    ... )
    >>> outcome_probabilities(ds).probability.sel(basin=1).values.round(2).tolist()
    [0.51, 1.0]
    """
    dims, _, coords = _swept(_map(ds))
    confidence = _confidence(confidence)
    if "seed" not in ds["attractor"].dims:
        raise InvalidValueError(
            "ds", "one trajectory per start", "several seeds per start", "use seeds=100, say"
        )
    trials = ds.sizes["seed"]
    rows = ds["attractor"].size // trials
    memory.require(
        rows * (ds.sizes["basin"] + len(OUTCOME)) * 32,
        f"the probabilities of {rows:,} starts",
        "select fewer of them",
    )
    variables: dict[str, Any] = {}
    for name, prefix, size in (
        ("attractor", "", ds.sizes["basin"]),
        ("outcome", "outcome_", len(OUTCOME)),
    ):
        values = ds[name].transpose(*dims, "start", "seed").to_numpy()
        counts = np.stack([(values == k).sum(axis=-1) for k in range(size)], axis=-1)
        lower, upper = wilson_interval(counts, trials, confidence)
        along = (*dims, "start", "basin" if name == "attractor" else "outcome")
        variables[f"{prefix}probability"] = variable(along, counts / trials, "share of the seeds")
        variables[f"{prefix}lower"] = variable(along, lower, "lower end of the interval")
        variables[f"{prefix}upper"] = variable(along, upper, "upper end of the interval")
    variables["initial"] = ds["initial"]
    coords |= {"start": ds["start"], "basin": ds["basin"], "outcome": list(OUTCOME)}
    interval = f"Wilson, {confidence:g}, for {trials} independent seeds"
    return xr.Dataset(variables, coords=coords, attrs=_about(ds, interval=interval))


def _colour_maps(ds: xr.Dataset) -> tuple[IntArray, tuple[int, ...]]:
    """Return the fates on the grid, (configuration, *grid), and the grid's shape."""
    shape = grid_shape(ds)
    if "seed" in ds["attractor"].dims:
        raise InvalidValueError("ds", "several seeds", "one seed", "select one: ds.isel(seed=0)")
    dims, _, _ = _swept(ds)
    arrays = [
        ds[name].transpose(*dims, "start").to_numpy()
        for name in ("attractor", "outcome", "steps", "period")
    ]
    return Labels(*arrays).colours().reshape(-1, *shape), shape


def basin_entropy(ds: xr.Dataset, box: int = 5) -> xr.Dataset:
    r"""Return basin entropy and boundary basin entropy of a map.

    .. math:: S_i = -\sum_j p_{ij} \ln p_{ij}, \qquad S_b = \frac1N \sum_i S_i, \qquad
              S_{bb} = \frac{1}{N_b} \sum_{i : S_i > 0} S_i

    with p_ij the share of fate j among the starts of box i; each attractor is a fate, and so
    are diverging, cycling and moving.  S_b measures how unpredictable the end is, from 0 to the
    logarithm of the number of fates; where S_bb exceeds ln 2 the boundary is fractal, as a
    smooth one has two fates in all but few boxes.  The converse does not hold.

    Parameters
    ----------
    ds : xarray.Dataset
        A result of `basins` on a `Grid`, of one seed.
    box : int
        Side of a box in starts, >= 2, at most the grid's shortest side; the boxes do not
        overlap, and starts beyond the last whole box are left out.

    Returns
    -------
    xarray.Dataset
        ``entropy``, ``boundary_entropy`` in nats (nan where no box has two fates) and their
        ``_standard_error`` from the spread over boxes, as if these were independent;
        ``boxes``, ``boundary_boxes``.

    Raises
    ------
    InvalidValueError
        If the starts are no grid, or the box does not fit.

    References
    ----------
    Daza, Wagemakers, Georgeot, Guery-Odelin and Sanjuan (2016), Scientific Reports 6, 31416.

    Examples
    --------
    >>> import fastdescent as fd
    >>> rule = fd.optimizers.GradientDescent(learning_rate=0.002)
    >>> ds = basins(fd.landscapes.Himmelblau(), rule, fd.starts.Grid(counts=100), steps=2000)
    >>> found = basin_entropy(ds)
    >>> print(f"{found.entropy:.3f} {found.boundary_entropy:.3f}")
    0.048 0.554
    """
    colours, shape = _colour_maps(ds)
    if not is_integer(box) or not 2 <= box <= min(shape):
        raise InvalidValueError("box", box, f"an integer from 2 to {min(shape)}")
    dims, lengths, coords = _swept(ds)
    entropy = _box_entropies(colours, shape, int(box))
    mixed = entropy > 0.0
    number = mixed.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        boundary = np.where(number > 0, entropy.sum(axis=1) / number, np.nan)
        square = np.where(mixed, (entropy - boundary[:, np.newaxis]) ** 2, 0.0).sum(axis=1)
        spread = np.where(number > 1, np.sqrt(square / (number - 1) / number), np.nan)
    count = entropy.shape[1]
    error = entropy.std(axis=1, ddof=1) / math.sqrt(count) if count > 1 else spread * np.nan
    found = {
        "entropy": (entropy.mean(axis=1), "basin entropy"),
        "entropy_standard_error": (error, "standard error of the basin entropy"),
        "boundary_entropy": (boundary, "boundary basin entropy; nan = no boundary"),
        "boundary_entropy_standard_error": (
            spread,
            "standard error of the boundary basin entropy",
        ),
        "boxes": (np.full(len(entropy), count), "boxes"),
        "boundary_boxes": (number, "boxes with more than one fate"),
    }
    variables = {
        name: variable(dims, values.reshape(lengths), text)
        for name, (values, text) in found.items()
    }
    attrs = _about(ds, box=int(box), fractal_above=math.log(2.0))
    return xr.Dataset(variables, coords=coords, attrs=attrs)


def _box_entropies(colours: IntArray, shape: tuple[int, ...], box: int) -> FloatArray:
    """Return the entropy of each box, (configuration, box)."""
    whole = [n // box for n in shape]
    cut = colours[(slice(None), *(slice(n * box) for n in whole))]
    split = cut.reshape(len(colours), *(k for n in whole for k in (n, box)))
    within = tuple(range(2, 2 * len(shape) + 1, 2))
    entropy = np.zeros((len(colours), *whole))
    for colour in np.unique(colours):
        share = np.mean(split == colour, axis=within)
        entropy -= share * np.log(np.where(share > 0.0, share, 1.0))
    return entropy.reshape(len(colours), -1)


def boundary_dimension(
    ds: xr.Dataset, *, smallest: int = 2, largest: int | None = None
) -> xr.Dataset:
    r"""Return the box-counting dimension of the boundary between the basins of a map.

    The boundary is the 2 x 2 blocks of starts with more than one fate.  1 is a smooth line;
    see `statistics.box_counting_dimension` for the estimate and its error.

    Parameters
    ----------
    ds : xarray.Dataset
        A result of `basins` on a `Grid` of two dimensions, of one seed.
    smallest, largest : int
        Sides of the boxes in starts, as in `statistics.box_counting_dimension`.

    Returns
    -------
    xarray.Dataset
        ``dimension`` and ``standard_error`` for each swept value, nan where there is no
        boundary, and ``boundary_cells``.

    Raises
    ------
    InvalidValueError
        If the starts are no grid of two dimensions, or it is too small for three sizes.

    References
    ----------
    Falconer (2014), Fractal Geometry, 3rd edition, section 2.1.

    Examples
    --------
    >>> import fastdescent as fd
    >>> rule = fd.optimizers.GradientDescent(learning_rate=0.002)
    >>> ds = basins(fd.landscapes.Himmelblau(), rule, fd.starts.Grid(counts=200), steps=2000)
    >>> print(f"{boundary_dimension(ds).dimension:.1f}")
    1.0
    """
    colours, shape = _colour_maps(ds)
    if len(shape) != 2:
        raise InvalidValueError(
            "ds", f"a grid of shape {shape}", "a map of two dimensions", "see uncertainty_exponent"
        )
    dims, lengths, coords = _swept(ds)
    rows = []
    for colour in colours:
        mask = np.logical_or.reduce([edge(colour == k) for k in np.unique(colour)])
        if not mask.any():
            rows.append((np.nan, np.nan, 0))
            continue
        found = box_counting_dimension(mask, smallest=smallest, largest=largest)
        rows.append((found.dimension, found.standard_error, int(mask.sum())))
    columns = (np.array(column).reshape(lengths) for column in zip(*rows, strict=True))
    names = {
        "dimension": "box-counting dimension of the boundary; nan = no boundary",
        "standard_error": "spread of the local slopes",
        "boundary_cells": "blocks of 2 x 2 starts with more than one fate",
    }
    variables = {
        name: variable(dims, values, text)
        for (name, text), values in zip(names.items(), columns, strict=True)
    }
    return xr.Dataset(variables, coords=coords, attrs=_about(ds))


def uncertainty_exponent(
    landscape: Landscape,
    optimizer: Optimizer,
    starts: Starts | ArrayLike,
    *,
    epsilons: Sequence[float],
    steps: int,
    attractors: ArrayLike | None = None,
    radius: float | None = None,
    stop: Stop | None = None,
    seed: int = 0,
    transforms: Sequence[Transform] = (),
    threads: int | None = None,
    confidence: float = 0.95,
) -> xr.Dataset:
    r"""Measure how the share of uncertain starts falls with the precision of the start.

    .. math:: f(\varepsilon) \propto \varepsilon^\alpha, \qquad D = \mathrm{dim} - \alpha

    A start is uncertain at epsilon if theta + epsilon u or theta - epsilon u has another fate
    than theta, u being a random direction.  alpha = 1 for a smooth boundary; the closer alpha
    is to 0, the less a better known start helps.  D is the dimension of the boundary.

    alpha is the weighted least-squares slope of ln f on ln epsilon, over those epsilon with
    at least 10 uncertain starts and f at most 1/2, beyond which f saturates.  Its standard error
    comes from the covariance of the shares over the starts, which all epsilon have in common, and
    is enlarged by the root of chi^2 per degree of freedom where the points scatter more.

    Parameters
    ----------
    landscape, optimizer, starts, steps, attractors, radius, stop, seed, transforms, threads
        As in `basins`; take random starts.
    epsilons : sequence of float
        Displacements, at least two, > 0 and increasing, in units of theta.
    confidence : float
        Coverage of the intervals of f, in (0, 1).

    Returns
    -------
    xarray.Dataset
        ``fraction``, ``lower``, ``upper`` along swept parameters and ``epsilon``; ``exponent``,
        ``dimension`` and their common ``standard_error``, nan where fewer than two epsilon can
        be used.

    Raises
    ------
    InvalidValueError
        If an argument is not allowed.

    References
    ----------
    Grebogi, McDonald, Ott and Yorke (1983), Physics Letters A 99, 415-418; McDonald, Grebogi,
    Ott and Yorke (1985), Physica D 17, 125-153, section 2.

    Examples
    --------
    The basins of descent on Himmelblau's function have smooth boundaries:

    >>> import fastdescent as fd
    >>> found = uncertainty_exponent(
    ...     fd.landscapes.Himmelblau(),
    ...     fd.optimizers.GradientDescent(learning_rate=0.002),
    ...     fd.starts.Uniform(count=20_000),
    ...     epsilons=[0.03, 0.1, 0.3],
    ...     steps=2000,
    ... )
    >>> print(f"{found.exponent:.2f} +- {found.standard_error:.2f}")
    0.96 +- 0.03
    """
    sizes = _checked_epsilons(epsilons)
    confidence = _confidence(confidence)
    landscape, unit, part, points, stop = checked_setting(landscape, starts, seed, stop, False)
    found = Attractors(landscape, unit, attractors, radius)
    experiment = Experiment(landscape, optimizer, steps, stop, seed, 1, None, transforms, threads)
    dims, coords = experiment.dims, experiment.coords
    base = experiment.label(points, found).colours()
    changed = np.zeros((*base.shape, len(sizes)), dtype=bool)
    for j, size in enumerate(sizes):
        step = size * _directions(seed, j, *points.shape)
        for moved in (points + step, points - step):
            changed[..., j] |= experiment.label(moved, found).colours() != base
    lengths = base.shape[:-1]
    rows = changed.reshape(-1, *changed.shape[-2:])
    fits = np.array([_slope(sizes, row) for row in rows]).reshape(*lengths, 2)
    lower, upper = wilson_interval(changed.sum(axis=-2), len(points), confidence)
    along = (*dims[:-1], "epsilon")
    variables = {
        "fraction": variable(along, changed.mean(axis=-2), "fraction of uncertain starts"),
        "lower": variable(along, lower, "lower end of the interval"),
        "upper": variable(along, upper, "upper end of the interval"),
        "exponent": variable(dims[:-1], fits[..., 0], "uncertainty exponent"),
        "dimension": variable(dims[:-1], landscape.dim - fits[..., 0], "boundary dimension"),
        "standard_error": variable(dims[:-1], fits[..., 1], "standard error of both"),
    }
    interval = f"Wilson, {confidence:g}, for {len(points)} independent starts"
    attrs = experiment.attrs | {"starts": repr(part), "interval": interval}
    return xr.Dataset(variables, coords=coords | {"epsilon": sizes}, attrs=attrs)


def _checked_epsilons(epsilons: Any) -> FloatArray:
    allowed = "at least two increasing numbers > 0"
    try:
        sizes = np.array(epsilons, dtype=float)
    except (TypeError, ValueError):
        raise InvalidValueError("epsilons", epsilons, allowed) from None
    if sizes.ndim != 1 or len(sizes) < 2 or not np.isfinite(sizes).all():
        raise InvalidValueError("epsilons", epsilons, allowed)
    if sizes[0] <= 0.0 or (np.diff(sizes) <= 0.0).any():
        raise InvalidValueError("epsilons", epsilons, allowed)
    return sizes


def _directions(seed: int, number: int, count: int, dim: int) -> FloatArray:
    """Return random directions that are independent of the starts and of each other."""
    normal = np.random.default_rng([seed, number]).normal(size=(count, dim))
    return cast(FloatArray, normal / np.linalg.norm(normal, axis=1, keepdims=True))


def _slope(sizes: FloatArray, changed: NDArray[np.bool_]) -> tuple[float, float]:
    """Return slope and standard error of ln f on ln epsilon; `changed` is (start, epsilon)."""
    count = len(changed)
    used = (changed.sum(axis=0) >= 10) & (changed.mean(axis=0) <= 0.5)
    if used.sum() < 2:
        return np.nan, np.nan
    share = changed[:, used].mean(axis=0)
    x, y = np.log(sizes[used]), np.log(share)
    weight = count * share / (1.0 - share)
    centred = weight * (x - np.average(x, weights=weight))
    factors = centred / (centred @ x)
    slope = float(factors @ y)
    # The delta method: the covariance of the logarithms is that of the shares over their product.
    covariance = np.cov(changed[:, used].astype(float), rowvar=False) / count
    variance = factors @ (covariance / np.outer(share, share)) @ factors
    residual = y - np.average(y, weights=weight) - slope * (x - np.average(x, weights=weight))
    scatter = (weight * residual**2).sum() / max(len(x) - 2, 1)
    return slope, float(np.sqrt(variance * max(1.0, scatter)))
