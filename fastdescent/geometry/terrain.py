"""Terrain along trajectories: how much of its life a rule spends where."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from fastdescent.engine.result import STATUS
from fastdescent.errors import InvalidValueError
from fastdescent.geometry.regions import REGIONS, Thresholds, classify_regions
from fastdescent.geometry.scales import Scales, checked_landscape, checked_scale
from fastdescent.landscapes import Landscape
from fastdescent.parts import FloatArray, IntArray, is_number
from fastdescent.statistics import mean_share_interval

__all__ = ["escape_time", "terrain_time"]

_CODE = {name: code for code, name in enumerate(REGIONS)}


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
    the trajectory's end.  Places without a region, where the loss is not finite, are left out.

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

        ``fraction``, ``fraction_lower``, ``fraction_upper``: mean over the trajectories of the
        fraction of steps spent in a region, with an interval for other starts (or seeds, where
        there is one start; see `mean_share_interval`).

        ``transitions``: probability that the next recorded place lies in ``next_region``, from
        all pairs of successive places; nan for regions never visited.  ``visits``: number of stays.
        ``dwell``: mean number of steps of a stay that ended before its trajectory did.
        ``stalled``: fraction of trajectories whose steps ran out with their end in the region.

    Raises
    ------
    InvalidValueError
        If the result has no recorded positions, belongs to a landscape of another dimension, or
        a value is not allowed.

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
    region = classify_regions(landscape, points, thresholds, scale=unit).region.to_numpy()
    codes = _codes(region).reshape(lives.weight.shape)
    cells = [_cell(codes[i], lives, i, confidence) for i in np.ndindex(lives.swept)]
    dims = lives.dims
    variables: dict[str, Any] = {}
    for name, (extra, said) in _SAID.items():
        data = np.array([cell[name] for cell in cells])
        shape = (*lives.swept, *data.shape[1:])
        variables[name] = ((*dims, *extra), data.reshape(shape), {"long_name": said})
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
    "fraction_lower": (("region",), "lower end of its interval"),
    "fraction_upper": (("region",), "upper end of its interval"),
    "transitions": (("region", "next_region"), "probability of the next recorded place"),
    "visits": (("region",), "number of stays"),
    "dwell": (("region",), "mean steps of a stay that ended"),
    "stalled": (("region",), "fraction of trajectories whose steps ran out there"),
}


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
        if "path" not in ds:
            raise _no_path(ds)
        if ds.sizes["coordinate"] != landscape.dim:
            raise InvalidValueError(
                "landscape", landscape, f"one of dimension {ds.sizes['coordinate']}, as the result"
            )
        several = [name for name in ("start", "seed") if name in ds.steps.dims]
        dims = tuple(str(name) for name in ds.steps.dims if name not in several)
        # Seeds of one start are not independent of each other where there are several starts.
        if ds.sizes["start"] == 1 and "seed" in several:
            several.reverse()
        order = (*dims, *several)
        path = ds["path"].transpose(*order, "record", "coordinate").to_numpy()
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


def _no_path(ds: xr.Dataset) -> InvalidValueError:
    return InvalidValueError(
        "ds",
        sorted(map(str, ds.data_vars)),
        "a result with recorded positions",
        "simulate with record=fd.record.every(10), say",
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
    by_unit = share.reshape(units, -1, len(_CODE)).mean(axis=1)
    lower, upper = mean_share_interval(by_unit, confidence)
    rows, stands = codes.reshape(-1, codes.shape[-1]), weight.reshape(-1, codes.shape[-1])
    moves, visits, dwell = _stays(rows, stands)
    total = moves.sum(axis=1, keepdims=True)
    ends = _ends(rows, stands)[lives.stalled[at].ravel()]
    return {
        "fraction": by_unit.mean(axis=0),
        "fraction_lower": lower,
        "fraction_upper": upper,
        "transitions": np.divide(moves, total, out=np.full(moves.shape, np.nan), where=total > 0),
        "visits": visits,
        "dwell": dwell,
        "stalled": _counted(ends) / len(rows),
    }


def _counted(codes: NDArray[np.int8]) -> FloatArray:
    return np.bincount(codes[codes >= 0], minlength=len(_CODE)).astype(float)


def _ends(rows: NDArray[np.int8], stands: IntArray) -> NDArray[np.int8]:
    """Return the code of each trajectory's last place; -1 if it has none."""
    alive = stands > 0
    last = rows.shape[1] - 1 - np.argmax(alive[:, ::-1], axis=1)
    codes: NDArray[np.int8] = np.where(
        alive.any(axis=1), rows[np.arange(len(rows)), last], np.int8(-1)
    )
    return codes


def _stays(rows: NDArray[np.int8], stands: IntArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return moves from region to region, numbers of stays, and the mean of those that ended."""
    alive = stands > 0
    both, same = alive[:, :-1] & alive[:, 1:], rows[:, :-1] == rows[:, 1:]
    count = len(_CODE)
    pairs = rows[:, :-1][both].astype(np.int64) * count + rows[:, 1:][both]
    moves = np.bincount(pairs, minlength=count * count).reshape(count, count).astype(float)
    first, last = alive.copy(), alive.copy()
    first[:, 1:] &= ~(both & same)
    last[:, :-1] &= ~(both & same)
    # Stays in the order of their first places, which is that of their last ones.
    codes = rows[first].astype(np.int64)
    stay = np.cumsum(first.ravel())[alive.ravel()] - 1
    steps = np.bincount(stay, weights=stands[alive], minlength=len(codes))
    goes_on = np.zeros(alive.shape, dtype=bool)
    goes_on[:, :-1] = both
    ended = goes_on[last]
    done = np.bincount(codes[ended], minlength=count)
    spent = np.bincount(codes[ended], weights=steps[ended], minlength=count)
    dwell = np.divide(spent, done, out=np.full(count, np.nan), where=done > 0)
    return moves, np.bincount(codes, minlength=count).astype(float), dwell


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
    if "path" not in ds:
        raise _no_path(ds)
    try:
        centre = np.asarray(point, dtype=float)
    except (TypeError, ValueError):
        centre = np.empty(0)
    if centre.shape != (ds.sizes["coordinate"],) or not np.isfinite(centre).all():
        raise InvalidValueError("point", point, f"{ds.sizes['coordinate']} finite numbers")
    if not is_number(radius) or not 0.0 < radius < np.inf:
        raise InvalidValueError("radius", radius, "a finite number > 0")
    path = ds["path"].transpose(*ds["steps"].dims, "record", "coordinate").to_numpy()
    with np.errstate(over="ignore"):
        inside = np.linalg.norm(path - centre, axis=-1) < radius
    left = np.logical_or.accumulate(inside, axis=-1) & ~inside
    at = np.where(left.any(axis=-1), ds["step"].to_numpy()[np.argmax(left, axis=-1)], -1)
    return xr.DataArray(
        at,
        coords={name: ds[name] for name in ds["steps"].dims},
        dims=ds["steps"].dims,
        attrs={"long_name": "first recorded step outside; -1 = never", "radius": radius},
    )
