"""Variables of the datasets that geometry returns, and those of the ones that it takes."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fastdescent.errors import InvalidValueError
from fastdescent.landscapes import Landscape
from fastdescent.parts import FloatArray

__all__ = ["CriticalPoints", "checked_dataset", "critical_points_of", "recorded_path", "variable"]


def variable(dims: str | Sequence[str], values: Any, text: str, **more: Any) -> Any:
    """Return a variable of a dataset with its long name, dimensionless unless it has `units`.

    Dimensions in one string are separated by spaces.
    """
    names = dims.split() if isinstance(dims, str) else dims
    return tuple(names), values, {"long_name": text, "units": "1", **more}


def checked_dataset(part: str, given: Any, names: Sequence[str], source: str) -> xr.Dataset:
    """Return a value that is a dataset with some variables; `source` is what returns such ones.

    Raises
    ------
    InvalidValueError
        If it is something else, or one is missing.
    """
    if not isinstance(given, xr.Dataset) or not set(names) <= {*given, *given.coords}:
        raise InvalidValueError(
            part,
            sorted(map(str, given)) if isinstance(given, xr.Dataset) else given,
            f"a dataset with {', '.join(names)}",
            f"{source} returns one",
        )
    return given


class CriticalPoints(NamedTuple):
    """What is read from a dataset of critical points: positions (n, dim), losses, kinds, ..."""

    position: FloatArray
    value: FloatArray
    kind: NDArray[np.str_]
    more: NDArray[Any]


def critical_points_of(landscape: Landscape, given: Any, part: str, more: str) -> CriticalPoints:
    """Read a dataset of critical points of a landscape, as from `find_critical_points`.

    Parameters
    ----------
    landscape : Landscape
        The landscape that they are of.
    given : xarray.Dataset
        Along `point`: `position`, `value`, `kind`, and one variable more.
    part : str
        What an error calls the dataset.
    more : str
        Name of that variable, such as ``"index"``.

    Raises
    ------
    InvalidValueError
        If it is no such dataset, or the points have another dimension.
    """
    names = ("position", "value", "kind", more)
    ds = checked_dataset(part, given, names, "fastdescent.geometry.find_critical_points")
    found = CriticalPoints(*(ds[name].to_numpy() for name in names))
    if found.position.ndim != 2 or found.position.shape[1] != landscape.dim:
        raise InvalidValueError(
            f"{part}: position", found.position.shape, f"shape (n, {landscape.dim})"
        )
    return found


def recorded_path(ds: Any, landscape: Landscape | None = None) -> xr.DataArray:
    """Return the positions that a result of `simulate` recorded, (..., record, coordinate).

    Raises
    ------
    InvalidValueError
        If it is something else or has none, or they have another dimension than a landscape, or
        come from several ones.
    """
    if not isinstance(ds, xr.Dataset) or "path" not in ds or "record" not in ds["path"].dims:
        raise InvalidValueError(
            "ds",
            sorted(map(str, ds)) if isinstance(ds, xr.Dataset) else ds,
            "a result of simulate with recorded paths",
            "pass record=fd.record.every(10) to simulate, say",
        )
    dim = ds.sizes["coordinate"]
    if landscape is not None and landscape.dim != dim:
        raise InvalidValueError("landscape", landscape, f"one of dimension {dim}, as the result")
    table = tomllib.loads(ds.attrs.get("landscape_table", ""))
    several = [str(name) for name in ds["path"].dims if isinstance(table.get(str(name)), list)]
    if landscape is not None and several:
        raise InvalidValueError(
            "ds",
            f"a result on landscapes that differ in {', '.join(several)}",
            "trajectories on one landscape",
            f"select one, such as ds.isel({several[0]}=0), and give that one",
        )
    return ds["path"].transpose(..., "record", "coordinate")
