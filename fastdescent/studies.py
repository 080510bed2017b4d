"""Studies: which rules run on which landscapes, from where, how long; in a TOML file.

A study is a table of plain values.  Reading one runs no code, and every mistake in it is
reported before anything is compiled or written.

Keys of a study file
--------------------
``title``, ``description``
    Text for people.
``seed``, ``seeds``, ``steps``, ``targets``
    As in `fastdescent.simulate`.
``[[landscapes]]``, ``[[optimizers]]``
    Tables with a ``name`` and the part's own keys.  ``label`` names the part in tables and
    file names; without one it is the class name and, where the same class comes twice, what
    tells the two apart, such as ``Adam-epsilon_inside``.  A landscape may have its own
    ``starts``.
``[starts]``
    Where trajectories start; 1000 points uniform in each landscape's domain by default.
``[noise]``, ``[[transforms]]``, ``[stop]``, ``[record]``, ``[batch]``
    As in `fastdescent.simulate`.

A part that needs no keys may be its name alone: ``landscapes = ["Beale", "Himmelblau"]``.
A sequence is a list, or evenly spaced numbers: ``{linspace = [0.0, 0.9, 10]}`` are 10 numbers
from 0 to 0.9, ``{logspace = [-4, -1, 7]}`` are 7 from 1e-4 to 1e-1.

Examples
--------
>>> study = Study.from_toml('''
... steps = 1000
... targets = [1e-4]
... landscapes = ["Rosenbrock"]
...
... [[optimizers]]
... name = "GradientDescent"
... learning_rate = {logspace = [-4, -2, 3]}
... ''')
>>> study.optimizers["GradientDescent"]
GradientDescent(learning_rate=[0.0001, 0.001, 0.01])
>>> [pair.name for pair in study.pairs()]
['Rosenbrock__GradientDescent']
"""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import threading
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import tomli_w

from fastdescent import parts, storage
from fastdescent.batch import Batch
from fastdescent.engine.plan import Plan
from fastdescent.engine.simulate import simulate
from fastdescent.errors import (
    FastdescentError,
    InvalidValueError,
    MemoryLimitError,
    UnknownNameError,
)
from fastdescent.landscapes import Landscape
from fastdescent.noise import Noise
from fastdescent.optimizers import Optimizer
from fastdescent.parts import Part, is_integer, is_number
from fastdescent.record import Record
from fastdescent.starts import Starts, Uniform
from fastdescent.stopping import Stop, Stopping
from fastdescent.transforms import Transform
from fastdescent.version import __version__

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["Pair", "Result", "Study", "StudyError"]

_PartType = TypeVar("_PartType", bound=Part)

# What a label may hold, for it becomes part of a file name on any system.
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+=-]{0,79}")
_MOST_SPACED = 1_000_000


class StudyError(FastdescentError, ValueError):
    """A study that is wrong: names the file, the key, the value and what is allowed."""


@dataclass(frozen=True)
class Study:
    """A declarative study: every rule on every landscape.

    Parameters
    ----------
    landscapes : sequence of Landscape, or mapping of label to Landscape
        At least one.  Kept as a mapping; labels are found as the module's docstring says.
    optimizers : sequence of Optimizer, or mapping of label to Optimizer
        At least one.
    steps : int
        The budget of updates, at least 1.
    starts : Starts, optional
        The start points; by default 1000 uniform in each landscape's domain.
    landscape_starts : mapping of label to Starts
        The start points of single landscapes, instead of `starts`.
    seeds, seed, noise, transforms, stop, targets, record, batch
        As in `fastdescent.simulate`.
    title, description : str
        Text for people.

    Raises
    ------
    InvalidValueError
        If a value is not allowed, or two rules would share a file name.

    Examples
    --------
    >>> import fastdescent as fd
    >>> study = Study(
    ...     [fd.landscapes.Rosenbrock(dim=2)],
    ...     {"slow": fd.optimizers.Adam(0.001), "fast": fd.optimizers.Adam(0.1)},
    ...     steps=1000,
    ... )
    >>> [pair.name for pair in study.pairs()]
    ['Rosenbrock__slow', 'Rosenbrock__fast']
    >>> Study.from_toml(study.to_toml()) == study
    True
    """

    landscapes: Mapping[str, Landscape]
    optimizers: Mapping[str, Optimizer]
    steps: int = field(kw_only=True)
    starts: Starts = field(kw_only=True, default_factory=lambda: Uniform(count=1000))
    landscape_starts: Mapping[str, Starts] = field(kw_only=True, default_factory=dict)
    seeds: int = field(kw_only=True, default=1)
    seed: int = field(kw_only=True, default=0)
    noise: Noise | None = field(kw_only=True, default=None)
    transforms: tuple[Transform, ...] = field(kw_only=True, default=())
    stop: Stop | None = field(kw_only=True, default=None)
    targets: tuple[float, ...] = field(kw_only=True, default=())
    record: Record | None = field(kw_only=True, default=None)
    batch: Batch | None = field(kw_only=True, default=None)
    title: str = field(kw_only=True, default="")
    description: str = field(kw_only=True, default="")

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "landscapes", _labelled("landscapes", self.landscapes, Landscape))
        put(self, "optimizers", _labelled("optimizers", self.optimizers, Optimizer))
        put(self, "transforms", _sequence("transforms", self.transforms, Transform))
        put(self, "targets", _numbers("targets", self.targets))
        put(self, "landscape_starts", dict(self.landscape_starts))
        for label, starts in [("starts", self.starts), *self.landscape_starts.items()]:
            if not isinstance(starts, Starts):
                raise InvalidValueError(label, starts, "starts, such as Uniform(count=1000)")
        for label in self.landscape_starts:
            if label not in self.landscapes:
                raise UnknownNameError("landscape label", label, self.landscapes)
        for name in ("title", "description"):
            if not isinstance(getattr(self, name), str):
                raise InvalidValueError(name, getattr(self, name), "a string")
        pairs = self.pairs()
        _check_file_names([pair.file_name for pair in pairs])
        for pair in pairs:
            plan = pair.plan()
            _ = plan.axes, plan.record_steps  # made on demand, and checked there

    @classmethod
    def from_toml(cls, source: str | os.PathLike[str]) -> Study:
        """Read a study.

        Parameters
        ----------
        source : path or str
            A file, or the text of a study.  A `str` without a line break and without ``=``
            is the name of a file.

        Returns
        -------
        Study

        Raises
        ------
        StudyError
            If it cannot be read or is wrong: one line with file, key, value, and what is
            allowed.
        MemoryLimitError
            If the list of recorded steps alone does not fit into memory.
        """
        if source == "":
            raise StudyError(
                "study: got an empty text, allowed is TOML or the name of a file; a result on "
                "arrays of more than 1000 numbers or with a Python function carries no study"
            )
        if isinstance(source, str) and ("\n" in source or "=" in source):
            where, text = "study", source
        else:
            where = os.fspath(source)
            text = _read(where)
        try:
            table = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise StudyError(f"{where}: no valid TOML: {error}") from None
        except RecursionError:
            raise StudyError(f"{where}: no valid TOML: nested too deep") from None
        with _within(where):
            return cls(**_arguments(table))

    def to_toml(self) -> str:
        """Return the study as TOML, from which `from_toml` makes an equal one.

        Raises
        ------
        InvalidValueError
            If a part cannot be written down, such as a schedule made of a Python function.
        """
        table: dict[str, Any] = {}
        for name in ("title", "description"):
            if getattr(self, name):
                table[name] = getattr(self, name)
        table |= {"seed": self.seed, "seeds": self.seeds, "steps": self.steps}
        if self.targets:
            table["targets"] = list(self.targets)
        table["landscapes"] = _tables(self.landscapes)
        for entry, label in zip(table["landscapes"], self.landscapes, strict=True):
            if label in self.landscape_starts:
                entry["starts"] = self.landscape_starts[label].to_table()
        table["optimizers"] = _tables(self.optimizers)
        for name in ("starts", "noise", "stop", "record", "batch"):
            part = getattr(self, name)
            if part is not None:
                table[name] = part.to_table()
        if self.transforms:
            table["transforms"] = [transform.to_table() for transform in self.transforms]
        return tomli_w.dumps(table)

    def pairs(self) -> list[Pair]:
        """Return every rule on every landscape, landscape by landscape."""
        return [Pair(self, where, rule) for where in self.landscapes for rule in self.optimizers]

    def check(self) -> None:
        """Make all start points and compare the memory needed with that of the machine.

        Everything else was checked when the study was made.

        Raises
        ------
        InvalidValueError
            If the starts do not fit a landscape.
        MemoryLimitError
            If a result would not fit into memory.
        """
        for pair in self.pairs():
            plan = pair.plan()
            if pair.optimizer is next(iter(self.optimizers.values())):
                _ = plan.points  # the same for all rules
            plan.require_memory()

    def run(
        self,
        out: str | os.PathLike[str] | None = None,
        *,
        progress: bool = False,
        threads: int | None = None,
        force: bool = False,
    ) -> dict[str, xr.Dataset]:
        """Run the study.

        Parameters
        ----------
        out : path, optional
            Folder for the results, one file per landscape and rule.  Results of the same
            study that are there already are read instead of computed again.
        progress : bool
            Whether to show progress bars.
        threads : int, optional
            Number of threads; all cores by default.
        force : bool
            Whether to compute everything again and overwrite what is in the folder.  Once
            everything is computed, results there of other studies are removed.

        Returns
        -------
        dict of str to xarray.Dataset
            The results by the name of their pair.  After Ctrl-C the last one is marked as
            interrupted and the later ones are missing.

        Raises
        ------
        InvalidValueError
            If the folder holds results of another study, or a ``study.toml`` that was not
            written by an earlier run of this one.
        OSError
            If a result cannot be written.

        Examples
        --------
        >>> import fastdescent as fd
        >>> study = Study(
        ...     [fd.landscapes.Ravine()], [fd.optimizers.GradientDescent(0.05)], steps=50
        ... )
        >>> results = study.run()
        >>> bool((results["Ravine__GradientDescent"].loss < 0.01).all())
        True
        """
        results = self.results(out, progress=progress, threads=threads, force=force)
        return {result.pair.name: result.dataset for result in results}

    def results(
        self,
        out: str | os.PathLike[str] | None = None,
        *,
        progress: bool = False,
        threads: int | None = None,
        force: bool = False,
    ) -> Iterator[Result]:
        """Run the study pair by pair, as `run` does, and yield each result when it is saved.

        The folder is checked at once, and nothing is written to it if that fails.
        """
        self.check()
        folder = None if out is None else Path(out)
        finished = set()
        if folder is not None and not force:
            finished = self._finished(folder)
            self._require_own_text(folder / "study.toml")
        return self._results(folder, finished, progress, threads, force)

    def _results(
        self,
        folder: Path | None,
        finished: set[str],
        progress: bool,
        threads: int | None,
        force: bool,
    ) -> Iterator[Result]:
        if folder is not None:
            text = self.to_toml()
            folder.mkdir(parents=True, exist_ok=True)
            storage.write_text(folder / "study.toml", text)
        for pair in self.pairs():
            path = None if folder is None else folder / pair.file_name
            if path is not None and pair.file_name in finished:
                yield Result(pair, storage.load(path), path, reused=True)
                continue
            ds = pair.simulate(threads, progress)
            if path is not None:
                with _late_interrupt():
                    path = _save(ds, path)
            yield Result(pair, ds, path, reused=False)
            if ds.attrs["interrupted"]:
                return
        if folder is not None and force:
            self._remove_others(folder)

    def _remove_others(self, folder: Path) -> None:
        """Remove the results of other studies, which would be in the way of the next run."""
        own = {pair.file_name for pair in self.pairs()}
        for path in sorted(folder.glob("*.nc")):
            if path.name not in own and _is_of_a_study(path):
                path.unlink(missing_ok=True)

    def _require_own_text(self, path: Path) -> None:
        """Raise unless a file is not there, or was written by a run of this study.

        That study may have had fewer landscapes and rules than this one has now.
        """
        if not path.exists():
            return
        try:
            text = path.read_bytes().decode()
            if text == self.to_toml():
                return
            before = Study.from_toml(path)
            written = before.to_toml() == text
        except (OSError, UnicodeDecodeError, FastdescentError):
            written = False
        if not written or not self._continues(before):
            raise InvalidValueError(
                "out",
                str(path.parent),
                "a new folder, or one that holds results of this study only",
                f"{path.name} there was not written by a run of this study; choose another "
                "folder (--out DIR) or overwrite it (--force)",
            )

    def _continues(self, before: Study) -> bool:
        """Return whether another study is this one with fewer landscapes or rules."""
        free = ("title", "description")  # they change no result
        parted = ("landscapes", "optimizers", "landscape_starts")
        return all(
            getattr(before, name).items() <= getattr(self, name).items()
            if name in parted
            else getattr(before, name) == getattr(self, name)
            for name in (entry.name for entry in dataclasses.fields(self))
            if name not in free
        )

    def _finished(self, folder: Path) -> set[str]:
        """Return the names of the files in a folder that are results of this study."""
        pairs = {pair.file_name: pair for pair in self.pairs()}
        finished = set()
        for path in sorted(folder.glob("*.nc")):
            if path.name.endswith(_INTERRUPTED):
                continue
            pair = pairs.get(path.name)
            if pair is None and not _is_of_a_study(path):
                continue  # somebody's own file, which no run touches
            if pair is None or not pair.made(path):
                raise InvalidValueError(
                    "out",
                    str(folder),
                    "a new folder, or one that holds results of this study only",
                    f"{path.name} was made by another study; choose another folder (--out DIR) "
                    "or overwrite it (--force)",
                )
            finished.add(path.name)
        return finished


@dataclass(frozen=True, eq=False)
class Pair:
    """One landscape and one rule of a study: what becomes one result and one file."""

    study: Study
    landscape_label: str
    optimizer_label: str

    @property
    def landscape(self) -> Landscape:
        """The landscape."""
        return self.study.landscapes[self.landscape_label]

    @property
    def optimizer(self) -> Optimizer:
        """The update rule."""
        return self.study.optimizers[self.optimizer_label]

    @property
    def starts(self) -> Starts:
        """The start points."""
        return self.study.landscape_starts.get(self.landscape_label, self.study.starts)

    @property
    def name(self) -> str:
        """The two labels."""
        return f"{self.landscape_label}__{self.optimizer_label}"

    @property
    def file_name(self) -> str:
        """Name of the file that holds the finished result."""
        return f"{self.name}.nc"

    def plan(self) -> Plan:
        """Return the checked simulation."""
        return Plan.make(self.landscape, self.optimizer, **self._arguments())

    def simulate(self, threads: int | None = None, progress: bool = False) -> xr.Dataset:
        """Run the pair; the result carries the labels in its attributes."""
        ds = simulate(
            self.landscape,
            self.optimizer,
            **self._arguments(),
            threads=threads,
            progress=progress,
        )
        ds.attrs["title"] = self.study.title
        ds.attrs["landscape_label"] = self.landscape_label
        ds.attrs["optimizer_label"] = self.optimizer_label
        return ds

    def made(self, path: Path) -> bool:
        """Return whether a file holds the finished result of this very pair."""
        from fastdescent.engine.result import study_text  # noqa: PLC0415 - slow to import

        try:
            attributes = storage.read_attributes(path)
        except InvalidValueError:
            return False
        version = str(attributes.get("versions", "")).split(",")[0]
        return (
            attributes.get("study") == study_text(self.plan()) != ""
            and version == f"fastdescent {__version__}"
            and not attributes.get("interrupted", 1)
        )

    def _arguments(self) -> dict[str, Any]:
        names = (
            "steps",
            "seeds",
            "seed",
            "noise",
            "transforms",
            "stop",
            "targets",
            "record",
            "batch",
        )
        return {"starts": self.starts, **{name: getattr(self.study, name) for name in names}}


@dataclass(frozen=True, eq=False)
class Result:
    """The result of a pair, the file that holds it, and whether it was there before."""

    pair: Pair
    dataset: xr.Dataset
    path: Path | None
    reused: bool


_INTERRUPTED = ".interrupted.nc"


def _is_of_a_study(path: Path) -> bool:
    """Return whether a file is a result that the run of some study has left."""
    try:
        attributes = storage.read_attributes(path)
    except InvalidValueError:
        return False
    labels = (attributes.get("landscape_label"), attributes.get("optimizer_label"))
    return (
        "study" in attributes
        and str(attributes.get("versions", "")).startswith("fastdescent ")
        and path.name.removesuffix(_INTERRUPTED).removesuffix(".nc") == "{}__{}".format(*labels)
    )


def _save(ds: xr.Dataset, path: Path) -> Path:
    """Save a result; one that was interrupted gets a name of its own.

    So a file with the plain name is always a finished result.
    """
    unfinished = path.with_name(path.name.removesuffix(".nc") + _INTERRUPTED)
    if ds.attrs["interrupted"]:
        return storage.save(ds, unfinished)
    storage.save(ds, path)
    unfinished.unlink(missing_ok=True)
    return path


@contextmanager
def _late_interrupt() -> Iterator[None]:
    """Let a Ctrl-C wait until the block is done."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
        return
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before or signal.SIG_DFL)
        if seen:
            raise KeyboardInterrupt


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise StudyError(f"{path}: no UTF-8 text: {error.reason} at byte {error.start}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StudyError(f"{path}: cannot be read: {reason}") from None


@contextmanager
def _within(where: str) -> Iterator[None]:
    """Put the place before the message of an error."""
    try:
        yield
    except MemoryLimitError:
        raise  # the study may be right for another machine
    except FastdescentError as error:
        raise StudyError(f"{where}: {error}") from None


def _arguments(table: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the table of a study into the arguments of `Study`."""
    known = [f.name for f in dataclasses.fields(Study) if f.name != "landscape_starts"]
    for key in table:
        if key not in known:
            raise UnknownNameError("key", key, known)
    for key, example in _REQUIRED.items():
        if key not in table:
            raise InvalidValueError(key, "nothing", f"required, such as {example}")
    arguments = dict(table)
    entries = _entries("landscapes", table["landscapes"])
    own = [entry.pop("starts", None) for entry in entries]
    landscapes = _labelled_parts("landscapes", entries, Landscape)
    arguments["landscapes"] = landscapes
    arguments["landscape_starts"] = {
        label: _part(f"starts of landscape {label}", starts, Starts)
        for label, starts in zip(landscapes, own, strict=True)
        if starts is not None
    }
    entries = _entries("optimizers", table["optimizers"])
    arguments["optimizers"] = _labelled_parts("optimizers", entries, Optimizer)
    single: dict[str, type[Part]] = {
        "starts": Starts,
        "noise": Noise,
        "stop": Stopping,
        "record": Record,
        "batch": Batch,
    }
    for key, base in single.items():
        if key in table:
            arguments[key] = _part(key, table[key], base)
    if "transforms" in table:
        entries = _entries("transforms", table["transforms"])
        arguments["transforms"] = [
            _part(f"transforms, number {number}", entry, Transform)
            for number, entry in enumerate(entries, 1)
        ]
    if "targets" in table:
        arguments["targets"] = _expanded("targets", table["targets"])
    return arguments


_REQUIRED = {
    "landscapes": 'landscapes = ["Rosenbrock"]',
    "optimizers": 'optimizers = [{name = "Adam", learning_rate = 0.01}]',
    "steps": "steps = 10000",
}


def _entries(key: str, value: Any) -> list[dict[str, Any]]:
    """Return a list of tables, of which names alone are the short form."""
    if not isinstance(value, list):
        raise InvalidValueError(key, value, "a list of tables, each with a name")
    entries = []
    for number, entry in enumerate(value, 1):
        if not isinstance(entry, str | Mapping):
            raise InvalidValueError(f"{key}, number {number}", entry, "a table with a name")
        entries.append({"name": entry} if isinstance(entry, str) else dict(entry))
    return entries


def _labelled_parts(
    key: str, entries: Sequence[dict[str, Any]], base: type[_PartType]
) -> dict[str, _PartType]:
    labels = [entry.pop("label", None) for entry in entries]
    made = [
        _part(f"{key}, number {number}", entry, base) for number, entry in enumerate(entries, 1)
    ]
    return _with_labels(key, made, labels)


def _part(where: str, value: Any, base: type[_PartType]) -> _PartType:
    """Make a part from its table or its name."""
    known = parts.names(base.kind)
    if isinstance(value, str):
        value = {"name": value}
    if isinstance(value, Mapping) and "name" not in value and len(known) == 1:
        value = {"name": known[0], **value}
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        names = ", ".join(known)
        raise InvalidValueError(where, value, f"a table with a name, which is one of {names}")
    try:
        return base.from_table(_expanded(where, value))
    except FastdescentError as error:
        raise StudyError(f"{where}: {error}") from None
    except (TypeError, ValueError, ArithmeticError) as error:
        raise InvalidValueError(where, dict(value), f"a {base.kind}", str(error)) from None


def _expanded(where: str, value: Any) -> Any:
    """Replace the tables of evenly spaced numbers inside a value by lists."""
    if isinstance(value, list):
        return [_expanded(where, item) for item in value]
    if not isinstance(value, Mapping):
        return value
    spacing = [name for name in ("linspace", "logspace") if name in value]
    if spacing and len(value) == 1:
        return _spaced(f"{where}, {spacing[0]}", spacing[0], value[spacing[0]])
    if "name" in value and not isinstance(value["name"], str):
        raise InvalidValueError(f"{where}, name", value["name"], "a string")
    return {key: _expanded(f"{where}, {key}", item) for key, item in value.items()}


def _spaced(where: str, spacing: str, value: Any) -> list[float]:
    allowed = f"[first, last, count] with finite numbers and a count from 2 to {_MOST_SPACED}"
    if not isinstance(value, list) or len(value) != 3 or not all(map(is_number, value)):
        raise InvalidValueError(where, value, allowed)
    first, last, count = value
    if not (is_integer(count) and 2 <= count <= _MOST_SPACED and np.isfinite([first, last]).all()):
        raise InvalidValueError(where, value, allowed)
    numbers = np.linspace(first, last, count).tolist()
    if spacing == "linspace":
        return [float(number) for number in numbers]
    if not -300 <= min(first, last) <= max(first, last) <= 300:
        raise InvalidValueError(where, value, "exponents of ten from -300 to 300")
    # Through the decimal digits: 1e-3 is then the number that a person writes so.
    return [float(f"{10.0**number:.14e}") for number in numbers]


def _labelled(
    key: str, value: Mapping[str, _PartType] | Sequence[_PartType], base: type[_PartType]
) -> dict[str, _PartType]:
    labels = list(value) if isinstance(value, Mapping) else None
    made = _sequence(key, list(value.values()) if isinstance(value, Mapping) else value, base)
    return _with_labels(key, made, labels or [None] * len(made))


def _sequence(key: str, value: Any, base: type[_PartType]) -> tuple[_PartType, ...]:
    items = (value,) if isinstance(value, Part) else value
    if not isinstance(items, list | tuple):
        raise InvalidValueError(key, value, f"a list of parts of the kind {base.kind}")
    for item in items:
        if not isinstance(item, base):
            raise InvalidValueError(key, item, f"parts of the kind {base.kind}")
    return tuple(items)


def _numbers(key: str, value: Any) -> tuple[float, ...]:
    items = [value] if is_number(value) else value
    if isinstance(items, np.ndarray):
        items = items.tolist()
    if not isinstance(items, list | tuple) or not all(map(is_number, items)):
        raise InvalidValueError(key, value, "a list of numbers")
    return tuple(map(float, items))


def _tables(labelled: Mapping[str, Part]) -> list[dict[str, Any]]:
    """Return the tables of parts, with a label where it is not the automatic one."""
    tables = []
    automatic = _automatic_labels(list(labelled.values()))
    for (label, part), usual in zip(labelled.items(), automatic, strict=True):
        table = part.to_table()
        tables.append(
            table if label == usual else {"name": table.pop("name"), "label": label} | table
        )
    return tables


def _with_labels(
    key: str, made: Sequence[_PartType], labels: Sequence[Any]
) -> dict[str, _PartType]:
    if not made:
        raise InvalidValueError(key, [], "at least one")
    labelled: dict[str, _PartType] = {}
    automatic = _automatic_labels(made)
    for number, (given, usual, part) in enumerate(zip(labels, automatic, made, strict=True), 1):
        label = usual if given is None else given
        where = f"{key}, number {number}, label"
        if not isinstance(label, str) or not _LABEL.fullmatch(label):
            raise InvalidValueError(
                where, label, "1 to 80 letters, digits and . _ + = -, first a letter or digit"
            )
        if label in labelled:
            raise InvalidValueError(
                where,
                label,
                "a label that no other of them has",
                'their files would share a name; give each a label, such as label = "second"',
            )
        labelled[label] = part
    return labelled


def _automatic_labels(made: Sequence[Part]) -> list[str]:
    """Return class names, with what tells parts of the same class apart."""
    count = Counter(type(part) for part in made)
    labels = []
    for part in made:
        label = type(part).__name__
        if count[type(part)] > 1:
            others = [other for other in made if type(other) is type(part)]
            label = "-".join([label, *_differences(part, others)])
        labels.append(label[:80])
    return labels


def _differences(part: Part, others: Sequence[Part]) -> Iterator[str]:
    for f in dataclasses.fields(part):  # type: ignore[arg-type]
        if not f.init:
            continue
        value = getattr(part, f.name)
        if value != f.default and any(getattr(other, f.name) != value for other in others):
            yield re.sub(r"[^A-Za-z0-9._+=-]", "_", _in_words(f.name, value))


def _in_words(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Part):
        return f"{name}_{type(value).__name__}"
    if isinstance(value, tuple):
        return f"{name}_{len(value)}_values"
    return f"{name}_{value:g}" if is_number(value) else f"{name}_{value}"


def _check_file_names(names: Sequence[str]) -> None:
    # Some systems do not tell upper from lower case.
    count = Counter(name.lower() for name in names)
    shared = [name for name in names if count[name.lower()] > 1]
    if shared:
        raise InvalidValueError(
            "label", shared[0], "file names of their own", f"{shared[-1]} is another's"
        )
