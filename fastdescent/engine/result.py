"""The result of a simulation as a labelled dataset."""

from __future__ import annotations

import functools
import platform
import tomllib
from typing import Any

import numpy as np
import tomli_w
import xarray as xr

from fastdescent.batch import Full
from fastdescent.engine import loop
from fastdescent.engine.ensemble import Run
from fastdescent.engine.loop import Outcome
from fastdescent.engine.plan import Plan
from fastdescent.errors import FastdescentError, InvalidValueError
from fastdescent.landscapes import Landscape
from fastdescent.starts import Points
from fastdescent.version import versions

__all__ = ["STATUS", "dataset", "landscape_of", "study_text"]

#: Status name -> its number in the variable ``status``.
STATUS: dict[str, int] = {
    "budget": loop.BUDGET,
    "converged": loop.CONVERGED,
    "diverged": loop.DIVERGED,
    "interrupted": loop.INTERRUPTED,
}


# A study is text for people; more points than this are kept in the variable ``initial`` only.
_MOST_POINTS = 1000


def dataset(plan: Plan, out: Outcome, run: Run) -> xr.Dataset:
    """Return the outcome of a plan as an `xarray.Dataset`; see `fastdescent.simulate`."""
    dims = (*plan.axes, "start", *(("seed",) if plan.seeds > 1 else ()))
    shape = plan.shape
    variables: dict[str, Any] = {
        "loss": (dims, out.loss.reshape(shape), _about("exact loss at position")),
        "gradient_norm": (
            dims,
            out.gradient_norm.reshape(shape),
            _about("Euclidean norm of the exact gradient at position"),
        ),
        "steps": (dims, out.steps.reshape(shape), _about("updates made")),
        "status": (
            dims,
            out.status.reshape(shape),
            {
                "long_name": "how the trajectory ended",
                "flag_values": np.array(list(STATUS.values()), dtype=np.int8),
                "flag_meanings": " ".join(STATUS),
            },
        ),
    }
    if plan.targets:
        variables["hitting_time"] = (
            (*dims, "target"),
            out.hitting_time.reshape(*shape, len(plan.targets)),
            _about("first step whose loss is within the target; -1 = never"),
        )
    if len(plan.validation):
        variables["validation_loss"] = (
            dims,
            out.validation_loss.reshape(shape),
            _about("loss of the validation samples at position"),
        )
    if plan.record is not None:
        variables.update(_paths(plan, out, dims))
    variables["position"] = (
        (*dims, "coordinate"),
        out.position.reshape(*shape, -1),
        _about("theta when the trajectory ended"),
    )
    variables["initial"] = (("start", "coordinate"), plan.points, _about("start points"))
    return xr.Dataset(variables, coords=_coordinates(plan), attrs=_attributes(plan, out, run))


def _paths(plan: Plan, out: Outcome, dims: tuple[str, ...]) -> dict[str, Any]:
    shape = (*plan.shape, len(plan.record_steps))
    dims = (*dims, "record")
    found = {
        "path_loss": (dims, out.path_loss.reshape(shape), _about("exact loss along the path")),
        "path_gradient_norm": (
            dims,
            out.path_gradient_norm.reshape(shape),
            _about("Euclidean norm of the exact gradient along the path"),
        ),
    }
    if len(plan.validation):
        found["path_validation_loss"] = (
            dims,
            out.path_validation_loss.reshape(shape),
            _about("loss of the validation samples along the path"),
        )
    if out.path.shape[-1]:
        path = out.path.reshape(*shape, -1)
        found["path"] = ((*dims, "coordinate"), path, _about("theta"))
    return found


def _coordinates(plan: Plan) -> dict[str, Any]:
    coordinates: dict[str, Any] = {name: np.array(values) for name, values in plan.axes.items()}
    coordinates["start"] = np.arange(len(plan.points))
    if plan.seeds > 1:
        coordinates["seed"] = np.arange(plan.seeds)
    if plan.targets:
        coordinates["target"] = (
            "target",
            np.array(plan.targets),
            _about("loss above the known minimum, absolute where none is known"),
        )
    if plan.record is not None:
        coordinates["step"] = ("record", plan.record_steps, _about("updates made"))
    return coordinates


def _attributes(plan: Plan, out: Outcome, run: Run) -> dict[str, Any]:
    return {
        "study": study_text(plan),
        "landscape_table": _landscape_text(plan),
        "landscape": repr(plan.landscape),
        "optimizer": repr(plan.optimizer),
        "noise": repr(plan.noise),
        "transforms": repr(list(plan.transforms)),
        "minimum": _minimum(plan),
        "batch": repr(plan.batch),
        "test_every": _test_every(plan),
        "seed": str(plan.seed),  # up to 64 bits, more than a NetCDF attribute holds
        "starts_outside_domain": plan.starts_outside,
        "below_minimum": _below_minimum(plan, out),
        "interrupted": int(run.interrupted),
        "error": run.error,
        "trajectory_steps": int(out.steps.sum()),
        "run_seconds": run.run_seconds,
        "compile_seconds": run.compile_seconds,
        "threads": run.threads,
        "cpu": _cpu(),
        "versions": versions(),
    }


def _minimum(plan: Plan) -> float | str:
    known = set(plan.minima)
    if len(known) > 1:
        return "varies"
    (minimum,) = known
    return "unknown" if minimum is None else minimum


def _test_every(plan: Plan) -> int | list[int]:
    """Return the steps between two tests; one number per batch size if they differ."""
    every = [plan.test_every(size) for size in dict.fromkeys(plan.batch_sizes.tolist())]
    return every[0] if len(set(every)) == 1 else every


def _below_minimum(plan: Plan, out: Outcome) -> int:
    """Count trajectories that ended lower than the known minimum, which holds in the domain.

    McCormick's and Schwefel's functions, say, are unbounded outside; such an end counts as a
    hit, so a study should know how many there are.
    """
    if None in plan.minima:
        return 0
    floors = plan.floors()
    losses = out.loss.reshape(plan.configurations, -1)
    # Rounding reaches the last digits of the terms that the loss is summed from.
    below = losses < (floors - 1e-9 * (1.0 + np.abs(floors)))[:, None]
    return int(below.sum())


def study_text(plan: Plan) -> str:
    """Return the plan as a study in TOML; empty if a part cannot be written down."""
    try:
        return tomli_w.dumps(_study_table(plan))
    except FastdescentError:
        return ""


def _landscape_text(plan: Plan) -> str:
    """Return the landscape in TOML; empty if it cannot be written down, as a large array."""
    try:
        return tomli_w.dumps(plan.landscape.to_table())
    except FastdescentError:
        return ""


def landscape_of(ds: xr.Dataset) -> Landscape:
    """Return the landscape that a result was made on.

    Parameters
    ----------
    ds : xarray.Dataset
        A result of `fastdescent.simulate`, perhaps read back from disk.

    Raises
    ------
    InvalidValueError
        If the dataset does not carry its landscape.
    UnknownNameError
        If its landscape is not known in this process: import the module that defines it.
    """
    table = ds.attrs.get("landscape_table", "")
    if not table:
        raise InvalidValueError(
            "attrs['landscape_table']",
            table,
            "a result of simulate whose landscape can be written down",
            "arrays of more than 1000 numbers cannot: save them and use fd.data.read",
        )
    return Landscape.from_table(tomllib.loads(table))


def _study_table(plan: Plan) -> dict[str, Any]:
    table: dict[str, Any] = {"seed": plan.seed, "seeds": plan.seeds, "steps": plan.steps}
    if plan.targets:
        table["targets"] = list(plan.targets)
    table["landscapes"] = [plan.given.to_table()]
    table["optimizers"] = [plan.optimizer.to_table()]
    if isinstance(plan.starts, Points) and plan.starts.count > _MOST_POINTS:
        table["starts"] = {"name": "Points", "array": "initial"}
    else:
        table["starts"] = plan.starts.to_table()
    for name in ("noise", "stop", "record", "batch"):
        part = getattr(plan, name)
        if part is not None and part != Full():
            table[name] = part.to_table()
    if plan.transforms:
        table["transforms"] = [transform.to_table() for transform in plan.transforms]
    return table


def _about(text: str) -> dict[str, str]:
    return {"long_name": text}


@functools.cache
def _cpu() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            names = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
