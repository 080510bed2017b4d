"""What the figures read from results: curves, their trajectories, losses above the minimum."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import xarray as xr
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from fastdescent.engine.result import STATUS, landscape_of
from fastdescent.errors import FastdescentError, InvalidValueError
from fastdescent.landscapes import Landscape
from fastdescent.parts import is_integer
from fastdescent.plot._style import MOST_CURVES, colour, line_style, number

__all__ = [
    "Curve",
    "Results",
    "budget",
    "called",
    "common_landscape",
    "count",
    "curves_of",
    "drawn",
    "ended_as",
    "evenly",
    "flat",
    "hits",
    "landscape_and_rule",
    "landscape_at",
    "landscape_name",
    "minimum_of",
    "needs",
    "number_drawn",
    "numbers",
    "results_of",
    "swept",
    "target_of",
    "target_text",
    "title",
    "words",
]

#: A result, or results to compare by their labels.
Results: TypeAlias = xr.Dataset | Mapping[str, xr.Dataset]

#: More lines than this are a smear, and slow.
MOST_TRAJECTORIES = 200

# Of a formula in a title; the beginning of a longer one tells which it is.
_LONGEST = 40


@dataclass(frozen=True)
class Curve:
    """The trajectories of one label and one value of every swept parameter."""

    label: str
    ds: xr.Dataset
    index: int

    @property
    def colour(self) -> str:
        """Colour of the curve."""
        return colour(self.index)

    @property
    def line_style(self) -> Any:
        """Line style of the curve."""
        return line_style(self.index)

    def entry(self, note: str = "") -> Line2D:
        """Return the curve's entry of a legend."""
        label = f"{self.label} ({note})" if note else self.label
        return Line2D([], [], color=self.colour, linestyle=self.line_style, label=label)


def results_of(results: Results) -> dict[str, xr.Dataset]:
    """Return the results by label; a single one has the label ""."""
    labelled = {"": results} if isinstance(results, xr.Dataset) else results
    if not isinstance(labelled, Mapping) or not labelled:
        raise InvalidValueError(
            "results", results, "a dataset, or a mapping from labels to at least one dataset"
        )
    for label, ds in labelled.items():
        if not isinstance(ds, xr.Dataset) or not {"loss", "status", "steps"} <= set(ds):
            raise InvalidValueError(
                f"results[{label!r}]" if label else "results",
                sorted(map(str, ds)) if isinstance(ds, xr.Dataset) else ds,
                "a result of fastdescent.simulate",
            )
    return {str(label): _with_start(ds) for label, ds in labelled.items()}


def swept(ds: xr.Dataset) -> list[str]:
    """Return the axes of a result that are parameters."""
    return [str(name) for name in ds["loss"].dims if name not in ("start", "seed")]


def curves_of(results: Results) -> list[Curve]:
    """Return one curve per label and value of the swept parameters."""
    labelled = results_of(results)
    sizes = {label: _cells(ds) for label, ds in labelled.items()}
    if sum(sizes.values()) > MOST_CURVES:
        names = sorted({name for ds in labelled.values() for name in swept(ds)})
        example = f"such as ds.isel({names[0]}=[0, 1])" if names else "compare fewer results"
        raise InvalidValueError(
            "number of curves",
            sum(sizes.values()),
            f"at most {MOST_CURVES}",
            f"select some values first, {example}" if names else example,
        )
    curves: list[Curve] = []
    for label, ds in labelled.items():
        names = swept(ds)
        shown = {name: numbers(ds[name].to_numpy()) for name in names}
        for place in np.ndindex(*(ds.sizes[name] for name in names)):
            chosen = ds.isel(dict(zip(names, place, strict=True)))
            values = ", ".join(
                f"{words(name)} = {shown[name][at]}" for name, at in zip(names, place, strict=True)
            )
            text = ", ".join(part for part in (label, values) if part)
            curves.append(Curve(text or rule_name(ds), chosen, len(curves)))
    return curves


def numbers(values: NDArray[Any]) -> list[str]:
    """Return numbers as text, with as many digits as tell them apart."""
    for digits in range(4, 18):
        texts = [number(float(value), digits) for value in values]
        if len(set(texts)) == len(set(values.tolist())):
            break
    return texts


def needs(ds: xr.Dataset, variable: str, argument: str) -> None:
    """Refuse a result that was made without what the figure shows."""
    if variable not in ds:
        raise InvalidValueError(
            f"result of {landscape_and_rule(ds)}",
            sorted(map(str, ds)),
            f"a result with {variable!r}",
            f"pass {argument} to simulate",
        )


def flat(ds: xr.Dataset, variable: str) -> NDArray[Any]:
    """Return a variable with all its trajectories (start, then seed) along the first axis."""
    array = ds[variable]
    over: list[Hashable] = [name for name in ("start", "seed") if name in array.dims]
    values = array.transpose(*over, ...).to_numpy()
    return values.reshape(-1, *values.shape[len(over) :])


def count(ds: xr.Dataset) -> int:
    """Return the number of trajectories of one curve or cell."""
    return ds.sizes["start"] * ds.sizes.get("seed", 1)


def budget(ds: xr.Dataset) -> int:
    """Return how many steps a trajectory could make."""
    # Plain keys stand before the first table, and a table of start points may be huge.
    head = ds.attrs.get("study", "").partition("\n[")[0]
    return int(tomllib.loads(head).get("steps", ds["steps"].max()))


def landscape_at(ds: xr.Dataset) -> Landscape:
    """Return the landscape of a result, at the selected values of its parameters."""
    return _selected(landscape_of(ds), ds)


def _selected(landscape: Landscape, ds: xr.Dataset) -> Landscape:
    for name in landscape.axes():
        if name not in ds.coords or ds[name].ndim:
            raise InvalidValueError(
                f"landscape parameter {name}",
                landscape.axes()[name],
                "one value",
                f"select one with ds.sel({name}=...)",
            )
        landscape = landscape.at(**{name: float(ds[name])})
    return landscape


def common_landscape(curves: Sequence[Curve]) -> Landscape:
    """Return the one landscape of all curves."""
    # The curves of a sweep carry one study, and to read a long list of starts takes seconds.
    sources = {curve.ds.attrs.get("study", ""): curve.ds for curve in curves}
    read = {study: landscape_of(ds) for study, ds in sources.items()}
    landscapes = [_selected(read[curve.ds.attrs.get("study", "")], curve.ds) for curve in curves]
    for landscape in landscapes:
        if landscape != landscapes[0]:
            raise InvalidValueError(
                "landscapes",
                [landscapes[0], landscape],
                "results on one landscape",
                "select one value of its parameters, such as ds.isel(name=0)",
            )
    return landscapes[0]


def minimum_of(ds: xr.Dataset) -> float | None:
    """Return the known minimum of the landscape of one curve; None if it is not known."""
    known = ds.attrs.get("minimum", "unknown")
    if not isinstance(known, str):
        return float(known)
    try:
        return landscape_at(ds).minimum
    except FastdescentError:  # a landscape that this process does not know
        return None


def target_of(results: Iterable[xr.Dataset], target: float | None) -> float:
    """Return the target that is meant: the given one, or the smallest of the first result."""
    for ds in results:
        needs(ds, "hitting_time", "targets=[...]")
        known = np.atleast_1d(ds["target"].to_numpy())
        target = float(known.min()) if target is None else target
        if not np.isclose(known, target, rtol=1e-9, atol=0.0).any():
            raise InvalidValueError("target", target, f"one of {known.tolist()}")
    return 0.0 if target is None else target


def target_text(ds: xr.Dataset, target: float | None) -> str:
    """Return what hitting a target means."""
    goal = number(target or 0.0)
    known = minimum_of(ds) is not None
    return f"target: loss {goal} above the minimum" if known else f"target: loss {goal}"


def hits(ds: xr.Dataset, target: float | None) -> xr.DataArray:
    """Return the hitting times of one target."""
    times = ds["hitting_time"]
    if "target" not in times.dims:
        return times
    return times.isel(target=int(np.argmin(np.abs(ds["target"].to_numpy() - target))))


def ended_as(ds: xr.Dataset, status: str) -> NDArray[np.bool_]:
    """Return which trajectories ended with that status."""
    return np.asarray(flat(ds, "status") == STATUS[status])


def drawn(curves: Sequence[Curve], trajectories: int) -> list[NDArray[np.int64]]:
    """Return which trajectories of each curve are drawn: evenly spaced ones, shared out."""
    if not is_integer(trajectories) or not 0 <= trajectories <= MOST_TRAJECTORIES:
        raise InvalidValueError(
            "trajectories", trajectories, f"an integer in [0, {MOST_TRAJECTORIES}]"
        )
    share = max(1, trajectories // len(curves)) if trajectories else 0
    return [evenly(count(curve.ds), share) for curve in curves]


def evenly(size: int, most: int) -> NDArray[np.int64]:
    """Return at most that many indices below `size`, evenly spaced, the ends included."""
    if size <= most:
        return np.arange(size, dtype=np.int64)
    return np.unique(np.linspace(0, size - 1, most).round().astype(np.int64))


def title(results: Results, shown: Sequence[int] | None = None) -> str:
    """Return what a figure shows: rules, landscape, how many trajectories.

    Parameters
    ----------
    results : Results
        What is drawn.
    shown : sequence of int, optional
        How many trajectories of each curve are drawn, if not all are.
    """
    labelled = results_of(results)
    return f"{landscape_and_rule(*labelled.values())}: {number_drawn(results, shown)}"


def number_drawn(results: Results, shown: Sequence[int] | None = None) -> str:
    """Return how many trajectories a figure shows of how many; see `title`."""
    labelled = results_of(results)
    totals = [count(ds) for ds in labelled.values() for _ in range(_cells(ds))]
    noun = "trajectory" if set(totals) == {1} else "trajectories"
    text = f"{_spread(totals)} {noun}"
    if shown is not None and list(shown) != totals:
        text = f"{_spread(shown)} of {text} drawn"
    names = list(dict.fromkeys(words(name) for ds in labelled.values() for name in swept(ds)))
    if names:
        return f"{text} for each {' and '.join(names)}"
    return f"{text} each" if len(labelled) > 1 else text


def landscape_and_rule(*results: xr.Dataset) -> str:
    """Return which rule ran on which landscape, or how many of them."""
    rules = {rule_name(ds) for ds in results}
    places = {landscape_name(ds) for ds in results}
    rule = rules.pop() if len(rules) == 1 else f"{len(rules)} rules"
    place = places.pop() if len(places) == 1 else f"{len(places)} landscapes"
    return f"{rule} on {place}"


def landscape_name(ds: xr.Dataset) -> str:
    """Return what figures call the landscape of a result; see `called`."""
    return called(str(ds.attrs.get("landscape", "unknown")))


def called(landscape: str) -> str:
    """Return what figures call a landscape: as it was made, if that is short, or its name.

    A formula is called by its title, or the beginning of its text.

    Parameters
    ----------
    landscape : str
        Its ``repr``.

    Examples
    --------
    >>> called("Bowl()"), called("Rosenbrock(dim=20)"), called("Formula(expression='x**2', dim=1)")
    ('Bowl', 'Rosenbrock(dim=20)', 'x**2')
    """
    name = landscape.partition("(")[0]
    if name == "Formula":
        fields = getattr(ast.parse(landscape, mode="eval").body, "keywords", ())
        given = {field.arg: getattr(field.value, "value", "") for field in fields}
        text = str(given.get("title") or given.get("expression") or name)
        if len(text) <= _LONGEST:
            return text
        begun = text[: _LONGEST - 2]
        return f"{begun.rpartition(' ')[0] or begun} …"
    made = landscape.removesuffix("()")
    return made if len(made) <= 24 and "[" not in made else name


def words(name: str) -> str:
    """Return the name of a parameter as words."""
    return name.replace("_", " ")


def rule_name(ds: xr.Dataset) -> str:
    """Return the name of the update rule of a result."""
    return _name(ds, "optimizer")


def _name(ds: xr.Dataset, part: str) -> str:
    return str(ds.attrs.get(part, "unknown")).split("(", maxsplit=1)[0]


def _cells(ds: xr.Dataset) -> int:
    return int(np.prod([ds.sizes[name] for name in swept(ds)], dtype=np.int64))


def _spread(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _with_start(ds: xr.Dataset) -> xr.Dataset:
    """Give a result back the axis that selecting one start has taken away."""
    return ds if "start" in ds["loss"].dims else ds.expand_dims("start")
