"""The table that compares rules: how often each one gets there, and how soon."""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastdescent.errors import FastdescentError, InvalidValueError
from fastdescent.optimizers import Optimizer
from fastdescent.parts import IntArray
from fastdescent.statistics.intervals import wilson_interval

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "Row",
    "aligned",
    "format_table",
    "hitting_quantiles",
    "hitting_summary",
    "summary",
    "to_csv",
]

_TRIALS = ("start", "seed")
_QUANTILES = (0.5, 0.9)
# Conditions (a landscape's parameter, a noise's scale) with more values than this are pooled.
_MOST_CONDITIONS = 12
# Characters of a landscape or a rule in the table.
_WIDEST = 60


def hitting_quantiles(times: IntArray, quantiles: Sequence[float] = _QUANTILES) -> IntArray:
    """Return quantiles of the hitting times of those that hit.

    A quantile is a time that occurs: the first step at which at least that part of all
    trajectories that ever hit have hit.

    Parameters
    ----------
    times : ndarray of int, shape (..., trials)
        Hitting times in steps; negative = never.
    quantiles : sequence of float
        Parts in (0, 1].

    Returns
    -------
    ndarray of int64, shape (..., len(quantiles))
        The quantiles in steps; -1 where none hit.

    Examples
    --------
    >>> hitting_quantiles(np.array([30, -1, 10, 20, -1])).tolist()
    [20, 30]
    """
    never = np.iinfo(np.int64).max
    ordered = np.sort(np.where(times < 0, never, times), axis=-1)
    hits = np.count_nonzero(times >= 0, axis=-1)
    found = []
    for quantile in quantiles:
        if not 0.0 < quantile <= 1.0:
            raise InvalidValueError("quantiles", quantile, "numbers in (0, 1]")
        rank = np.maximum(np.ceil(quantile * hits).astype(np.int64) - 1, 0)
        value = np.take_along_axis(ordered, rank[..., None], axis=-1)[..., 0]
        found.append(np.where(hits > 0, value, -1))
    return np.stack(found, axis=-1)


def hitting_summary(
    ds: xr.Dataset,
    target: float | None = None,
    quantiles: Sequence[float] = _QUANTILES,
    confidence: float = 0.95,
) -> xr.Dataset:
    """Summarise the trajectories of each configuration of a result.

    A success is a trajectory that came within the target, whatever became of it later.  All
    starts and seeds count as trials; seeds of the same start are not independent draws of
    a start, so with few starts and many seeds the interval is about these starts.

    Parameters
    ----------
    ds : xarray.Dataset
        A result of `fastdescent.simulate`.
    target : float, optional
        One of the result's targets; the smallest one by default.  In a result without
        targets a success is a trajectory with the status ``converged``, and its time is the
        number of its steps.
    quantiles : sequence of float
        Which quantiles of the hitting times of those that hit, in (0, 1].
    confidence : float
        Coverage of the Wilson intervals.

    Returns
    -------
    xarray.Dataset
        One value per configuration: ``trials``, ``successes``, ``success_rate`` with
        ``success_low`` and ``success_high``, ``diverged`` (a fraction) and
        ``hitting_time`` (quantile), in steps, -1 = none hit.

    Raises
    ------
    InvalidValueError
        If the result has no such target.

    Examples
    --------
    >>> import fastdescent as fd
    >>> ds = fd.simulate(
    ...     fd.landscapes.Ravine(),
    ...     fd.optimizers.GradientDescent(learning_rate=[0.01, 0.05]),
    ...     starts=[[1.0, 0.0], [5.0, 1.0]],
    ...     steps=200,
    ...     targets=[1e-4],
    ... )
    >>> hitting_summary(ds).successes.values.tolist()
    [0, 2]
    """
    return _summarise(ds, _TRIALS, target, quantiles, confidence)


@dataclass(frozen=True)
class Row:
    """One line of the table: a rule on a landscape, with one choice of swept values.

    Parameters
    ----------
    landscape, optimizer : str
        Their names in the study.
    configuration : mapping
        Value of each swept parameter.
    choices : int
        Number of configurations of the rule that this one is the best of; 1 = no choice.
    target : float or None
        Loss above the minimum, where that is known, that makes a success; None = status
        ``converged``.
    trials, successes : int
        Numbers of trajectories.
    success_rate, success_low, success_high : float
        Rate and its 95 % Wilson interval.
    median, ninety : int
        Steps after which 50 % and 90 % of those that ever hit had hit; -1 = none hit.
    diverged : float
        Fraction of the trajectories.
    steps_per_second : float
        Trajectory-steps per second of the whole result; nan where it was not measured.
    interrupted : bool
        Whether the run was interrupted, so that the counts are too low.
    minimum_known : bool
        Whether the landscape's minimum is known; otherwise `target` is a loss itself.
    loss, validation_loss : float
        Median of the final loss, and of that of the validation samples, nan without them.  A
        diverged trajectory's loss counts as infinite.
    """

    landscape: str
    optimizer: str
    configuration: Mapping[str, float]
    choices: int
    target: float | None
    trials: int
    successes: int
    success_rate: float
    success_low: float
    success_high: float
    median: int
    ninety: int
    diverged: float
    steps_per_second: float
    interrupted: bool
    minimum_known: bool = True
    loss: float = np.nan
    validation_loss: float = np.nan


def summary(
    results: xr.Dataset | Iterable[xr.Dataset], rows: str = "best", target: float | None = None
) -> list[Row]:
    """Return the table of a study: rules, success rates, hitting times.

    Parameters
    ----------
    results : xarray.Dataset or iterable of them
        Results of `fastdescent.simulate`.
    rows : {"best", "all"}
        ``"all"`` gives one row per configuration.  ``"best"`` gives one row per rule, that of
        its best hyper-parameters: most successes, then smallest median, then fewest
        diverged, then the smallest median of the validation loss, or of the loss where there
        is none.  Only a rule's own parameters are chosen from: a swept parameter of the
        landscape or of the noise is a condition and keeps its rows, up to twelve of them,
        beyond which it is pooled.  The interval is that of one configuration; the best of
        many is a little lucky, so confirm it on another seed.
    target : float, optional
        One of the results' targets; the smallest one of each result by default.

    Returns
    -------
    list of Row

    Raises
    ------
    InvalidValueError
        If `rows` is something else, or a result has no such target.

    Examples
    --------
    >>> import fastdescent as fd
    >>> ds = fd.simulate(
    ...     fd.landscapes.Ravine(),
    ...     fd.optimizers.GradientDescent(learning_rate=[0.01, 0.05]),
    ...     starts=[[1.0, 0.0], [5.0, 1.0]],
    ...     steps=200,
    ...     targets=[1e-4],
    ... )
    >>> [(row.configuration, row.success_rate, row.median) for row in summary(ds)]
    [({'learning_rate': 0.05}, 1.0, 44)]
    """
    if rows not in ("best", "all"):
        raise InvalidValueError("rows", rows, '"best" or "all"')
    import xarray as xr  # noqa: PLC0415 - slow to import

    listed = [results] if isinstance(results, xr.Dataset) else results
    return [row for ds in listed for row in _rows(ds, rows == "best", target)]


def format_table(rows: Iterable[Row]) -> str:
    """Lay rows out as aligned plain text for a terminal.

    Parameters
    ----------
    rows : iterable of Row
        What `summary` returns.

    Returns
    -------
    str
        Lines without a newline at the end; ASCII only.
    """
    rows = list(rows)
    head = ["landscape", "rule", "success", "95 % interval", "median", "90 %", "diverged"]
    # Without targets it is the losses that tell how far the trajectories came.
    losses = ["loss"] if any(row.target is None for row in rows) else []
    losses += ["validation"] if any(not np.isnan(row.validation_loss) for row in rows) else []
    lines = [[*head, *losses, "steps/s", "at"]]
    for before, row in zip([None, *rows], rows, strict=False):
        if before is not None and before.landscape != row.landscape:
            lines.append([])
        lines.append(_cells(row, losses))
    text = aligned(lines, left=(0, 1, len(lines[0]) - 1))  # text; the other columns are numbers
    text.insert(1, "-" * max(map(len, text)))
    return "\n".join([*text, "", *_notes(rows, losses)])


def aligned(lines: Sequence[Sequence[str]], left: Collection[int]) -> list[str]:
    """Lay cells out in columns.

    Parameters
    ----------
    lines : sequence of sequence of str
        Cells, line by line; an empty line stays empty.
    left : collection of int
        Columns that are flush left; the others are flush right, as numbers are.

    Examples
    --------
    >>> aligned([["rule", "steps"], ["Adam", "7"]], left=(0,))
    ['rule  steps', 'Adam      7']
    """
    filled = [line for line in lines if line]
    widths = [max(len(line[column]) for line in filled) for column in range(len(filled[0]))]
    return [
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=False))
        ).rstrip()
        for line in lines
    ]


def to_csv(rows: Iterable[Row]) -> str:
    """Write rows as comma-separated values, all digits kept, one column per swept parameter.

    Parameters
    ----------
    rows : iterable of Row
        What `summary` returns.

    Returns
    -------
    str
        A header and one line per row.
    """
    rows = list(rows)
    swept = list(dict.fromkeys(name for row in rows for name in row.configuration))
    plain = [name for name in Row.__dataclass_fields__ if name != "configuration"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*plain[:2], *swept, *plain[2:]])
    for row in rows:
        values = ["" if getattr(row, name) is None else getattr(row, name) for name in plain]
        at = [row.configuration.get(name, "") for name in swept]
        writer.writerow([*values[:2], *at, *values[2:]])
    return text.getvalue()


def _summarise(
    ds: xr.Dataset,
    over: Sequence[str],
    target: float | None,
    quantiles: Sequence[float] = _QUANTILES,
    confidence: float = 0.95,
) -> xr.Dataset:
    import xarray as xr  # noqa: PLC0415 - slow to import

    times = _success_times(ds, target)
    kept = [str(name) for name in times.dims if name not in over]
    trials = [str(name) for name in times.dims if name in over]
    times = times.transpose(*kept, *trials)
    shape = tuple(times.sizes[name] for name in kept)
    flat = times.values.reshape(*shape, -1)
    count = flat.shape[-1]
    hits = np.count_nonzero(flat >= 0, axis=-1)
    low, high = wilson_interval(hits, count, confidence)
    gone = _has_status(ds, "diverged")
    diverged = gone.mean(trials)
    return xr.Dataset(
        {
            "loss": _median(ds["loss"], gone, kept, trials),
            "validation_loss": _median(ds.get("validation_loss"), gone, kept, trials),
            "trials": (kept, np.full(shape, count)),
            "successes": (kept, hits),
            "success_rate": (kept, hits / count),
            "success_low": (kept, low),
            "success_high": (kept, high),
            "diverged": diverged.transpose(*kept).variable,
            "hitting_time": ((*kept, "quantile"), hitting_quantiles(flat, quantiles)),
        },
        coords={"quantile": list(quantiles), **{name: ds[name] for name in kept}},
    )


def _median(
    values: xr.DataArray | None, gone: xr.DataArray, kept: list[str], trials: list[str]
) -> xr.Variable:
    """Return the median over the trials, infinite where it diverged; nan without values."""
    if values is None:
        return gone.any(trials).transpose(*kept).variable * np.nan
    ends = values.where(~gone & np.isfinite(values), np.inf)
    median = ends.quantile(0.5, trials, method="inverted_cdf").drop_vars("quantile")
    return median.transpose(*kept).variable


def _success_times(ds: xr.Dataset, target: float | None) -> xr.DataArray:
    """Return the step of each trajectory's success; -1 = no success."""
    if "hitting_time" not in ds and target is None:
        return ds["steps"].where(_has_status(ds, "converged"), -1)
    targets = ds["target"].values.tolist() if "hitting_time" in ds else []
    if target is not None and target not in targets:
        raise InvalidValueError("target", target, f"one of the result's targets {targets}")
    chosen = min(targets) if target is None else target
    return ds["hitting_time"].isel(target=targets.index(chosen), drop=True)


def _has_status(ds: xr.Dataset, name: str) -> xr.DataArray:
    status = ds["status"]
    meanings = str(status.attrs["flag_meanings"]).split()
    held: xr.DataArray = status == status.attrs["flag_values"][meanings.index(name)]
    return held


def _rows(ds: xr.Dataset, best: bool, target: float | None) -> Iterator[Row]:
    axes = [str(name) for name in ds["status"].dims if name not in _TRIALS]
    chosen = _rule_axes(ds, axes)
    conditions = [name for name in axes if name not in chosen]
    pooled: list[str] = []
    if best and np.prod([ds.sizes[name] for name in conditions]) > _MOST_CONDITIONS:
        pooled, conditions = conditions, []
    table = _summarise(ds, (*_TRIALS, *pooled), target)
    table = table.transpose(*conditions, *chosen, ...)
    lengths = [table.sizes[name] for name in (*conditions, *chosen)]
    groups = int(np.prod(lengths[: len(conditions)], dtype=int))
    choices = int(np.prod(lengths, dtype=int)) // groups
    columns: dict[str, NDArray[Any]] = {
        str(name): variable.values.reshape(groups, choices, -1) for name, variable in table.items()
    }
    for group in range(groups):
        column = {name: values[group] for name, values in columns.items()}
        for index in [_best(column)] if best else range(choices):
            place = np.unravel_index(group * choices + index, lengths or (1,))
            at = {
                name: table[name].values[i].item()
                for name, i in zip((*conditions, *chosen), place, strict=False)
            }
            numbers = {name: values[index] for name, values in column.items()}
            in_order = {name: at[name] for name in axes if name in at}
            yield _row(ds, in_order, choices if best else 1, target, numbers)


def _best(column: Mapping[str, Any]) -> int:
    median = column["hitting_time"][:, 0]
    diverged, successes = column["diverged"][:, 0], column["successes"][:, 0]
    soonest = np.where(median < 0, np.iinfo(np.int64).max, median)
    loss, validation = column["loss"][:, 0], column["validation_loss"][:, 0]
    least = loss if np.isnan(validation).all() else validation
    # The last key counts most; equal ones stay in their order.
    return int(np.lexsort((least, diverged, soonest, -successes))[0])


def _row(
    ds: xr.Dataset,
    at: Mapping[str, float],
    choices: int,
    target: float | None,
    numbers: Mapping[str, Any],
) -> Row:
    if target is None and "hitting_time" in ds:
        target = float(ds["target"].min())
    median, ninety = numbers["hitting_time"].tolist()
    seconds = float(ds.attrs.get("run_seconds", 0.0))
    return Row(
        landscape=_shortened(ds, "landscape"),
        optimizer=_shortened(ds, "optimizer"),
        configuration=at,
        choices=choices,
        target=target,
        trials=int(numbers["trials"][0]),
        successes=int(numbers["successes"][0]),
        success_rate=float(numbers["success_rate"][0]),
        success_low=float(numbers["success_low"][0]),
        success_high=float(numbers["success_high"][0]),
        median=median,
        ninety=ninety,
        diverged=float(numbers["diverged"][0]),
        steps_per_second=float(ds.attrs["trajectory_steps"]) / seconds if seconds else np.nan,
        interrupted=bool(ds.attrs.get("interrupted", 0)),
        minimum_known=str(ds.attrs.get("minimum", "unknown")) != "unknown",
        loss=float(numbers["loss"][0]),
        validation_loss=float(numbers["validation_loss"][0]),
    )


def _shortened(ds: xr.Dataset, part: str) -> str:
    """Return the label of a part, or the call that makes it, as far as a column is wide."""
    text = str(ds.attrs.get(f"{part}_label", ds.attrs.get(part, "?")))
    return text if len(text) <= _WIDEST else text[: _WIDEST - 3] + "..."


def _rule_axes(ds: xr.Dataset, axes: Sequence[str]) -> list[str]:
    """Return the axes that are hyper-parameters of the rule; all, if that is not known."""
    try:
        table = tomllib.loads(str(ds.attrs.get("study", "")))["optimizers"][0]
        own = Optimizer.from_table(table).axes()
    except (KeyError, tomllib.TOMLDecodeError, FastdescentError):
        return list(axes)
    prefixed = f"{Optimizer.kind}_"
    return [
        name
        for name in axes
        if (name in own and f"{prefixed}{name}" not in axes) or name.removeprefix(prefixed) in own
    ]


def _cells(row: Row, losses: Sequence[str]) -> list[str]:
    at = ", ".join(f"{name}={value:g}" for name, value in row.configuration.items())
    if row.choices > 1:
        at += f" (best of {row.choices:,})"
    return [
        row.landscape,
        row.optimizer + (" *" if row.interrupted else ""),
        f"{100 * row.success_rate:.2f} %",
        f"{100 * row.success_low:.2f} - {100 * row.success_high:.2f}",
        "-" if row.median < 0 else f"{row.median:,}",
        "-" if row.ninety < 0 else f"{row.ninety:,}",
        f"{100 * row.diverged:.2f} %",
        *(f"{row.loss:.3g}" for name in losses if name == "loss"),
        *(f"{row.validation_loss:.3g}" for name in losses if name == "validation"),
        _rate(row.steps_per_second),
        at,
    ]


def _rate(value: float) -> str:
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:.3g} {name}"
    return "-" if np.isnan(value) else f"{value:.3g}"


def _targets(rows: Iterable[Row]) -> str:
    targets = sorted({row.target for row in rows if row.target is not None})
    return ", ".join(f"{target:g}" for target in targets)


def _notes(rows: Sequence[Row], losses: Sequence[str]) -> list[str]:
    within = _targets(row for row in rows if row.minimum_known)
    at_most = _targets(row for row in rows if not row.minimum_known)
    notes = []
    if within:
        notes.append(f"success: the loss came within {within} of the known minimum.")
    if at_most:
        where = " where no minimum is known" if within else ""
        notes.append(f"success{where}: the loss was at most {at_most}.")
    if any(row.target is None for row in rows):
        notes.append("success without targets: the trajectory converged by its stopping test.")
    notes.append("median, 90 %: steps after which that part of those that ever succeed had.")
    if losses:
        notes.append(f"{', '.join(losses)}: medians where the trajectories ended.")
    notes.append("steps/s: trajectory-steps per second, without compilation.")
    if any(row.interrupted for row in rows):
        notes.append("*: interrupted; success rates and times are too low.")
    return notes
