"""Terrain along trajectories: how much of its life a rule spends where."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from fastdescent.engine.result import STATUS
from fastdescent.errors import InvalidValueError
from fastdescent.geometry._dataset import recorded_path, variable
from fastdescent.geometry.regions import REGIONS, Thresholds, classify_regions
from fastdescent.geometry.scales import Scales, checked_landscape, checked_point, checked_scale
from fastdescent.landscapes import Landscape
from fastdescent.parts import FloatArray, IntArray, is_number
from fastdescent.statistics import pooled_interval, wilson_interval

__all__ = ["escape_summary", "escape_time", "terrain_time"]

_CODE = {name: code for code, name in enumerate(REGIONS)}
# Rounding of a quantile, and of its product with a number of trajectories.
_ROUNDING = 4.0 * float(np.finfo(float).eps)


def terrain_time(
    ds: xr.Dataset,
    landscape: Landscape,
    thresholds: Thresholds | None = None,
    *,
    scale: Scales | None = None,
    confidence: float = 0.95,
) -> xr.Dataset:
    """Return how an ensemble's trajectories divide their life among the regions.

    A recorded place stands for the steps up to the next one that is recorded, and none after
    the trajectory's end; steps before the first recorded one are not looked at.  Places without
    a region, where loss or Hessian are not finite, are left out, and so are trajectories that
    have no others.

    Parameters
    ----------
    ds : xarray.Dataset
        A result of `fastdescent.simulate` with recorded positions.
    landscape : Landscape
        The landscape that it ran on, without swept parameters.
    thresholds, scale
        As in `classify_regions`.
    confidence : float
        Coverage of the intervals, in (0, 1).

    Returns
    -------
    xarray.Dataset
        With the result's swept parameters and dimension ``region`` (and ``next_region``):

        ``fraction``: mean over the trajectories of the fraction of steps spent in a region; nan
        if no trajectory was in any region.

        ``transitions``: probability that the next recorded place lies in ``next_region``, from
        all pairs of successive places; nan for regions never visited.  ``visits``: number of stays.
        A stay is cut off if its trajectory ends, or leaves all regions, before it leaves the
        region; ``unfinished`` is the number of those.  ``dwell``: mean number of steps of the
        others.  It is too short where many are cut off, for those are the long ones;
        ``dwell_censored``, the steps of all stays over the number of those that ended, takes them
        into account: it is the maximum-likelihood estimate of the mean if a trajectory is as
        likely to leave at any step as at any other.
        ``stalled``: fraction of trajectories whose steps ran out with the last recorded place in
        the region; those that stand in no region are in none.

        ``fraction_lower``, ``fraction_upper`` and so on are intervals of these five, for other
        starts, or seeds, where there is one start: those of `statistics.pooled_interval`, in
        which the places of one start hang together.

    Raises
    ------
    InvalidValueError
        If the result has no recorded positions, belongs to a landscape of another dimension or
        to several ones, or a value is not allowed.

    Examples
    --------
    >>> import fastdescent as fd
    >>> ravine = fd.landscapes.Ravine(condition_number=15.0)
    >>> ds = fd.simulate(
    ...     ravine,
    ...     fd.optimizers.GradientDescent(learning_rate=0.01),
    ...     starts=[[1.0, 1.0]],
    ...     steps=100,
    ...     record=fd.record.every(1),
    ... )
    >>> float(terrain_time(ds, ravine).fraction.sel(region="ravine"))
    1.0
    """
    lives = _Lives.of(ds, checked_landscape(landscape))
    unit = checked_scale(landscape, scale)
    points = lives.path.reshape(-1, landscape.dim)
    # Trajectories may leave the domain; what they cross there counts, too.
    found = classify_regions(landscape, points, thresholds, scale=unit, outside="keep")
    region = found.region.to_numpy()
    codes = _codes(region).reshape(lives.weight.shape)
    cells = [_cell(codes[i], lives, i, confidence) for i in np.ndindex(lives.swept)]
    dims = lives.dims
    variables: dict[str, Any] = {}
    for name, (extra, said) in _SAID.items():
        data = np.array([cell[name] for cell in cells])
        shape = (*lives.swept, *data.shape[1:])
        variables[name] = variable((*dims, *extra), data.reshape(shape), said)
    coords = {name: ds[name] for name in dims}
    about = {
        "landscape": repr(landscape),
        "length": unit.length,
        "height": unit.loss,
        "confidence": confidence,
        "independent": lives.independent,
    }
    for name in ("optimizer_label", "landscape_label", "optimizer"):
        if name in ds.attrs:
            about[name] = ds.attrs[name]
    return xr.Dataset(
        variables,
        coords={**coords, "region": list(REGIONS), "next_region": list(REGIONS)},
        attrs=about,
    )


_SAID: dict[str, tuple[tuple[str, ...], str]] = {
    "fraction": (("region",), "mean fraction of steps"),
    "transitions": (("region", "next_region"), "probability of the next recorded place"),
    "visits": (("region",), "number of stays"),
    "unfinished": (("region",), "number of stays that were cut off"),
    "dwell": (("region",), "mean steps of a stay that ended"),
    "dwell_censored": (("region",), "steps of all stays over the number of those that ended"),
    "stalled": (("region",), "fraction of trajectories whose steps ran out there"),
}
_ENDS = {"_lower": "lower end of the interval: ", "_upper": "upper end of the interval: "}
for _name in ("fraction", "transitions", "dwell", "dwell_censored", "stalled"):
    _extra, _said = _SAID[_name]
    _SAID |= {_name + end: (_extra, text + _said) for end, text in _ENDS.items()}


class _Lives(NamedTuple):
    """Recorded trajectories: swept parameters first, then independent units, then the rest."""

    path: FloatArray
    #: Steps that each recorded place stands for; 0 after the end.
    weight: IntArray
    #: Whether the trajectory's steps ran out.
    stalled: NDArray[np.bool_]
    swept: tuple[int, ...]
    dims: tuple[str, ...]
    independent: str

    @classmethod
    def of(cls, ds: xr.Dataset, landscape: Landscape) -> _Lives:
        """Read a result."""
        recorded = recorded_path(ds, landscape)
        several = [name for name in ("start", "seed") if name in ds.steps.dims]
        dims = tuple(str(name) for name in ds.steps.dims if name not in several)
        # Seeds of one start are not independent of each other where there are several starts.
        if ds.sizes["start"] == 1 and "seed" in several:
            several.reverse()
        order = (*dims, *several)
        path = recorded.transpose(*order, "record", "coordinate").to_numpy()
        steps = ds["steps"].transpose(*order).to_numpy()
        at = ds["step"].to_numpy()
        after = np.append(at[1:], np.iinfo(np.int64).max)
        weight = np.minimum(after, steps[..., None] + 1) - at
        status = ds["status"].transpose(*order).to_numpy()
        return cls(
            path,
            np.maximum(weight, 0),
            status == STATUS["budget"],
            tuple(ds.sizes[name] for name in dims),
            dims,
            several[0],
        )


def _codes(region: NDArray[np.str_]) -> NDArray[np.int8]:
    codes = np.full(region.shape, -1, dtype=np.int8)
    for name, code in _CODE.items():
        codes[region == name] = code
    return codes


def _cell(
    codes: NDArray[np.int8], lives: _Lives, at: tuple[int, ...], confidence: float
) -> dict[str, FloatArray]:
    """Return all statistics of one value of each swept parameter; codes (units, ..., record)."""
    weight = np.where(codes >= 0, lives.weight[at], 0)
    units = len(codes)
    spent = np.stack(
        [np.where(codes == code, weight, 0).sum(axis=-1) for code in _CODE.values()], axis=-1
    )
    life = spent.sum(axis=-1, keepdims=True)
    share = np.divide(spent, life, out=np.zeros(spent.shape), where=life > 0)
    lived = (life > 0).reshape(units, -1).sum(axis=1)
    by_unit = share.reshape(units, -1, len(_CODE)).sum(axis=1)[lived > 0]
    by_unit /= lived[lived > 0][:, None]
    rows, stands = codes.reshape(-1, codes.shape[-1]), weight.reshape(-1, codes.shape[-1])
    unit = np.arange(len(rows)) // (len(rows) // units)
    moves, visits, done, spent, every = _stays(rows, stands, unit)
    # Whoever stands where there is no region is not where it was before.
    ends = _ends(rows, lives.weight[at].reshape(rows.shape))
    ends[~lives.stalled[at].ravel()] = -1
    seen = ends >= 0
    stalled = _tallied(unit[seen], ends[seen], units) * (units / len(rows))
    return {
        **_pooled("fraction", by_unit, np.ones_like(by_unit), confidence, shares=True),
        **_pooled("transitions", moves, moves.sum(axis=2, keepdims=True), confidence, shares=True),
        "visits": visits.sum(axis=0),
        "unfinished": (visits - done).sum(axis=0),
        **_pooled("dwell", spent, done, confidence, shares=False),
        **_pooled("dwell_censored", every, done, confidence, shares=False),
        **_pooled("stalled", stalled, np.ones_like(stalled), confidence, shares=True),
    }


def _pooled(
    name: str, parts: FloatArray, wholes: FloatArray, confidence: float, *, shares: bool
) -> dict[str, FloatArray]:
    """Return a ratio of sums over units, nan where nothing is known, with its interval."""
    total = np.broadcast_to(wholes.sum(axis=0), parts.shape[1:])
    ratio = np.full(parts.shape[1:], np.nan)
    np.divide(parts.sum(axis=0), total, out=ratio, where=total > 0.0)
    lower, upper = pooled_interval(parts, wholes, confidence, shares=shares)
    return {name: ratio, f"{name}_lower": lower, f"{name}_upper": upper}


def _tallied(unit: IntArray, codes: NDArray[Any], units: int, weights: Any = None) -> FloatArray:
    """Return the number of codes, or the sum of their weights, by unit: (units, regions)."""
    count = len(_CODE)
    found = np.bincount(unit * count + codes, weights, units * count)
    return found.reshape(units, count).astype(float)


def _ends(rows: NDArray[np.int8], stands: IntArray) -> NDArray[np.int8]:
    """Return the code of each trajectory's last place; -1 if it has none."""
    alive = stands > 0
    last = rows.shape[1] - 1 - np.argmax(alive[:, ::-1], axis=1)
    codes: NDArray[np.int8] = np.where(
        alive.any(axis=1), rows[np.arange(len(rows)), last], np.int8(-1)
    )
    return codes


def _stays(
    rows: NDArray[np.int8], stands: IntArray, unit: IntArray
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return by unit: moves from region to region, stays, those that ended, their steps and all's.

    ``unit`` numbers the independent units, in order, one number for each row.
    """
    alive = stands > 0
    both, same = alive[:, :-1] & alive[:, 1:], rows[:, :-1] == rows[:, 1:]
    count, units = len(_CODE), int(unit[-1]) + 1
    owner = np.broadcast_to(unit[:, None], rows.shape)
    pairs = (owner[:, 1:][both] * count + rows[:, :-1][both]) * count + rows[:, 1:][both]
    moves = np.bincount(pairs, minlength=units * count**2).reshape(units, count, count)
    first, last = alive.copy(), alive.copy()
    first[:, 1:] &= ~(both & same)
    last[:, :-1] &= ~(both & same)
    # Stays in the order of their first places, which is that of their last ones.
    codes, whose = rows[first].astype(np.int64), owner[first]
    stay = np.cumsum(first.ravel())[alive.ravel()] - 1
    steps = np.bincount(stay, weights=stands[alive], minlength=len(codes))
    goes_on = np.zeros(alive.shape, dtype=bool)
    goes_on[:, :-1] = both
    ended = goes_on[last]
    return (
        moves.astype(float),
        _tallied(whose, codes, units),
        _tallied(whose[ended], codes[ended], units),
        _tallied(whose[ended], codes[ended], units, steps[ended]),
        _tallied(whose, codes, units, steps),
    )


def escape_time(ds: xr.Dataset, point: ArrayLike, radius: float) -> xr.DataArray:
    r"""Return when each trajectory leaves the neighbourhood of a point, such as a saddle.

    Parameters
    ----------
    ds : xarray.Dataset
        A result of `fastdescent.simulate` with recorded positions.
    point : array_like, shape (dim,)
        Centre of the neighbourhood.
    radius : float
        It is the open ball of this radius, > 0, in units of the coordinates.

    Returns
    -------
    xarray.DataArray of int64
        First recorded step at which a trajectory that has been inside is outside again, with the
        dimensions of ``steps``; -1 if it never was inside, or stays.  Exact if every step was
        recorded, otherwise late by up to the recording interval.

    Raises
    ------
    InvalidValueError
        If the result has no recorded positions, or a value is not allowed.

    Examples
    --------
    >>> import fastdescent as fd
    >>> ds = fd.simulate(
    ...     fd.landscapes.Saddle(),
    ...     fd.optimizers.GradientDescent(learning_rate=0.01),
    ...     starts=[[0.0, 1e-3]],
    ...     steps=1000,
    ...     record=fd.record.every(1),
    ... )
    >>> escape_time(ds, [0.0, 0.0], radius=1.0).values.tolist()
    [695]
    """
    left, _ = _escapes(ds, point, radius)
    return xr.DataArray(
        left,
        coords={name: ds[name] for name in ds["steps"].dims},
        dims=ds["steps"].dims,
        attrs={"long_name": "first recorded step outside; -1 = never", "radius": radius},
    )


def _escapes(ds: xr.Dataset, point: ArrayLike, radius: float) -> tuple[IntArray, NDArray[np.bool_]]:
    """Return when trajectories are first outside again, -1 for never, and which were inside."""
    recorded = recorded_path(ds)
    centre = checked_point("point", point, recorded.sizes["coordinate"])
    if not is_number(radius) or not 0.0 < radius < np.inf:
        raise InvalidValueError("radius", radius, "a finite number > 0")
    path = recorded.transpose(*ds["steps"].dims, "record", "coordinate").to_numpy()
    with np.errstate(over="ignore"):
        inside = np.linalg.norm(path - centre, axis=-1) < radius
    left = np.logical_or.accumulate(inside, axis=-1) & ~inside
    at = np.where(left.any(axis=-1), ds["step"].to_numpy()[np.argmax(left, axis=-1)], -1)
    return at, np.asarray(inside.any(axis=-1))


def escape_summary(
    ds: xr.Dataset,
    point: ArrayLike,
    radius: float,
    *,
    quantiles: Sequence[float] = (0.1, 0.5, 0.9),
    confidence: float = 0.95,
) -> xr.Dataset:
    r"""Return how long trajectories take to leave the neighbourhood of a point, with intervals.

    With the times in order, :math:`t_{(1)} \le \ldots \le t_{(n)}`, of the trajectories that
    have been inside, infinite for those that stay, the q-quantile is :math:`t_{(k)}` with
    :math:`k = \lceil q n \rceil`, and its interval holds whatever their distribution is:

    .. math:: [t_{(l)}, t_{(u)}], \qquad P(B < l) < \alpha / 2, \quad P(B < u) \ge 1 - \alpha / 2,
              \qquad B \sim \mathrm{Binomial}(n, q)

    Parameters
    ----------
    ds, point, radius
        As in `escape_time`.
    quantiles : sequence of float
        Which quantiles of the times, in (0, 1).
    confidence : float
        Coverage :math:`1 - \alpha` of all intervals, in (0, 1).

    Returns
    -------
    xarray.Dataset
        For each value of the swept parameters: ``trials``, the trajectories (starts and seeds)
        that have been inside; ``escaped``, the fraction of them that left, with Wilson's
        interval ``escaped_lower`` and ``escaped_upper``; and along ``quantile``
        ``escape_time``, ``escape_time_lower`` and ``escape_time_upper``, in steps: 0 and inf
        where there are too few trajectories for an end, nan where there is none at all.  Seeds
        of one start do not draw new starts, so the intervals are about these starts then.

    Raises
    ------
    InvalidValueError
        If the result has no recorded positions, or a value is not allowed.

    References
    ----------
    David and Nagaraja (2003), Order Statistics, 3rd edition, section 7.1.

    Examples
    --------
    >>> import fastdescent as fd
    >>> ds = fd.simulate(
    ...     fd.landscapes.Saddle(),
    ...     fd.optimizers.GradientDescent(learning_rate=0.1),
    ...     starts=[[0.0, 10.0**-k] for k in range(1, 10)],
    ...     steps=300,
    ...     record=fd.record.every(1),
    ... )
    >>> found = escape_summary(ds, [0.0, 0.0], radius=1.0, quantiles=[0.5])
    >>> [found[f"escape_time{end}"].item() for end in ("_lower", "", "_upper")]
    [49.0, 121.0, 194.0]
    """
    wanted = _checked_quantiles(quantiles)
    given = _escapes(ds, point, radius)
    dims = tuple(str(name) for name in ds["steps"].dims if name not in ("start", "seed"))
    order = [ds["steps"].dims.index(name) for name in dims]
    shape = tuple(ds.sizes[name] for name in dims)
    front = range(len(order))
    left, been = (np.moveaxis(array, order, front).reshape(*shape, -1) for array in given)
    trials, escaped = been.sum(axis=-1), (left >= 0).sum(axis=-1)
    lower, upper = wilson_interval(escaped, np.maximum(trials, 1), confidence)
    found = np.full((3, *shape, len(wanted)), np.nan)
    for at in np.ndindex(shape):
        times = np.sort(np.where(left[at] >= 0, left[at], np.inf)[been[at]])
        if len(times):
            found[(slice(None), *at)] = quantile_intervals(times, wanted, confidence)
    share = np.divide(escaped, trials, out=np.full(shape, np.nan), where=trials > 0)
    along = (*dims, "quantile")
    variables = {
        "trials": variable(dims, trials, "trajectories that have been inside"),
        "escaped": variable(dims, share, "fraction of them that left"),
        "escaped_lower": variable(dims, lower, "lower end of its interval"),
        "escaped_upper": variable(dims, upper, "upper end of its interval"),
        "escape_time": variable(along, found[0], "steps until they left; inf = they stay"),
        "escape_time_lower": variable(along, found[1], "lower end of its interval"),
        "escape_time_upper": variable(along, found[2], "upper end of its interval"),
    }
    coords = {name: ds[name] for name in dims} | {"quantile": wanted}
    return xr.Dataset(variables, coords, {"radius": radius, "confidence": confidence})


def _checked_quantiles(quantiles: Any) -> FloatArray:
    try:
        wanted = np.atleast_1d(np.asarray(quantiles, dtype=float))
    except (TypeError, ValueError):
        wanted = np.empty(0)
    if wanted.ndim != 1 or not len(wanted) or not ((wanted > 0.0) & (wanted < 1.0)).all():
        raise InvalidValueError("quantiles", quantiles, "at least one number in (0, 1)")
    return wanted


def quantile_intervals(
    times: FloatArray, quantiles: FloatArray, confidence: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return quantiles of sorted times, and the lower and upper ends of their intervals."""
    from scipy.stats import binom  # noqa: PLC0415 - slow to import

    n = len(times)
    half = 0.5 * (1.0 - confidence)
    # By rank from 1; nothing is known below the first and above the last.
    padded = np.concatenate([[0.0], times, [np.inf]])
    # The product may be above a whole number by rounding: 0.07 * 100 is 7.000000000000001.
    middle = np.clip(np.ceil(quantiles * n * (1.0 - _ROUNDING)), 1, n).astype(int)
    low = np.asarray(binom.ppf(half, n, quantiles), dtype=int)
    high = np.minimum(np.asarray(binom.ppf(1.0 - half, n, quantiles), dtype=int) + 1, n + 1)
    return padded[middle], padded[low], padded[high]
