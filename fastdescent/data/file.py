"""Tables in files: CSV and Parquet."""

from __future__ import annotations

import csv
import functools
import importlib.util
import os
from collections.abc import Callable, Sequence
from dataclasses import Field
from pathlib import Path
from typing import Any

import numpy as np

from fastdescent.data._base import MissingPackageError, Table
from fastdescent.data._labels import _Labelled, coded, labels_of
from fastdescent.errors import InvalidValueError
from fastdescent.parts import FloatArray, option

__all__ = ["File", "read"]

_LEAVE_OUT = "features=[...] leaves a column out"
_AS_LABELS = "task='classification' takes the column as labels"


class File(_Labelled):
    """The columns of a CSV or Parquet file.

    A CSV file (.csv) has commas between its columns, their names on its first line, and UTF-8
    characters; a Parquet file (.parquet, .pq) is read by pandas, whose index is no column.
    Every feature has to be a number in every row.  A target is a label if it is a string or a
    boolean, or if `task` or `classes` says so; in a CSV file everything that is no number is a
    string.

    The file is read once, when its samples are first asked for.  A study that names it holds
    its path, not its contents.

    Parameters
    ----------
    path : str or path
        The file; if relative, to the current directory.
    target : str or sequence of str
        Column of the target; several for several numbers.
    features : sequence of str, optional
        Columns of the features in their order; by default all that are no targets.
    task : str, optional
        "regression" or "classification"; by the type of the target if not given.
    classes : sequence, optional
        The labels in order; by default those in the file, sorted.  Names for whole numbers
        stand for 0, 1, ..., k - 1.
    validation : float
        Share of samples that is held out, in [0, 1).
    standardize : bool
        Whether features get mean 0 and variance 1 over the training samples.
    seed : int, optional
        Seed of the split, 0 to 2^64 - 1; the study's if not given.

    Raises
    ------
    InvalidValueError
        If there is no such file or column, the file is malformed, or a value is missing or no
        finite number; it names file, line or row, and column.
    MissingPackageError
        If a Parquet file is read and pyarrow is not installed.

    Examples
    --------
    >>> File("measured.csv", target="y", validation=0.25)
    File(path='measured.csv', target='y', validation=0.25)
    """

    path: str = option()
    target: str | Sequence[str] = option()
    features: Sequence[str] | None = option(default=None)

    def _checked(self, field: Field[Any], value: Any) -> Any:
        value = super()._checked(field, value)
        where = f"File.{field.name}"
        if field.name == "path":
            if not isinstance(value, str | os.PathLike) or not isinstance(os.fspath(value), str):
                raise InvalidValueError(where, value, "the path of a file")
            value = os.fspath(value)
            if Path(value).suffix.lower() not in _READERS:
                raise InvalidValueError(where, value, f"a file that ends in {', '.join(_READERS)}")
        if field.name == "target" and not isinstance(value, str):
            _require_names(where, value, "the name of a column, or several different ones")
        if field.name == "features" and value is not None:
            _require_names(where, value, "different names of columns")
        return value

    def __post_init__(self) -> None:
        super().__post_init__()
        both = [name for name in self._targets() if name in (self.features or ())]
        if both:
            raise InvalidValueError("File.features", both[0], "columns that are no target")

    def _targets(self) -> tuple[str, ...]:
        return (self.target,) if isinstance(self.target, str) else tuple(self.target)

    def _read(self) -> Table:
        try:
            sheet = _READERS[Path(self.path).suffix.lower()](self.path)
        except FileNotFoundError:
            hint = "" if os.path.isabs(self.path) else f"the current directory is {os.getcwd()}"
            raise InvalidValueError("File.path", self.path, "a file that exists", hint) from None
        except OSError as error:
            allowed = "a file that can be read"
            raise InvalidValueError("File.path", self.path, allowed, str(error)) from None
        names = self._feature_names(sheet)
        x = np.stack([sheet.numbers(name, _LEAVE_OUT) for name in names], axis=1)
        targets = self._targets()
        if self._is_classification(all(map(sheet.is_text, targets))):
            if len(targets) > 1:
                raise InvalidValueError("File.target", self.target, "one column of labels")
            where = functools.partial(sheet.place, targets[0])
            y, classes = coded(sheet.labels(targets[0]), self.classes, where)
        else:
            y, classes = np.stack([sheet.numbers(name, _AS_LABELS) for name in targets], axis=1), ()
        return Table(x, y, classes, names)

    def _feature_names(self, sheet: _Sheet) -> tuple[str, ...]:
        """Return the columns of the features, after a look whether all that are named exist."""
        for field, wanted in (("target", self._targets()), ("features", self.features or ())):
            for name in wanted:
                if name not in sheet.columns:
                    known = ", ".join(map(repr, sheet.columns))
                    hint = "commas separate columns" if len(sheet.columns) == 1 else ""
                    raise InvalidValueError(
                        f"File.{field}", name, f"a column of {self.path}: {known}", hint
                    )
        if self.features is not None:
            return tuple(self.features)
        names = tuple(name for name in sheet.columns if name not in self._targets())
        if not names:
            raise InvalidValueError(
                self.path, list(sheet.columns), "at least one column that is no target"
            )
        if "" in names:
            raise InvalidValueError(
                f"{self.path}, column {list(sheet.columns).index('')}",
                "",
                "a column with a name",
                "an index is left out by features=[...], or by index=False when it is written",
            )
        return names


class _Sheet:
    """Columns by name, in the order of the file."""

    #: What a row is called.
    row = "row"

    def __init__(self, path: str, names: Sequence[str], columns: Sequence[Any]) -> None:
        for name in names:
            if names.count(name) > 1:
                raise InvalidValueError(path, name, "columns with different names")
        self.path, self.columns = path, dict(zip(names, columns, strict=True))

    def place(self, name: str, row: int) -> str:
        """Say where a value is."""
        return f"{self.path}, column {name!r}, {self.row} {self.number(row)}"

    def number(self, row: int) -> int:
        """Return the number of a row, as errors give it."""
        return row

    def is_text(self, name: str) -> bool:
        """Return whether a column holds labels, as far as its type says."""
        raise NotImplementedError

    def numbers(self, name: str, hint: str) -> FloatArray:
        """Return a column of finite numbers."""
        raise NotImplementedError

    def labels(self, name: str) -> list[Any]:
        """Return a column of labels."""
        raise NotImplementedError

    def finite(self, name: str, values: FloatArray) -> FloatArray:
        """Return values that are all finite."""
        finite = np.isfinite(values)
        if not finite.all():
            row = int(np.argmin(finite))
            raise InvalidValueError(self.place(name, row), float(values[row]), "a finite number")
        return values


class _Text(_Sheet):
    """A CSV file: lists of strings."""

    row = "line"
    lines: Sequence[int]

    def number(self, row: int) -> int:
        return self.lines[row]

    def is_text(self, name: str) -> bool:
        return all(_number(text) is None for text in self.columns[name])

    def numbers(self, name: str, hint: str) -> FloatArray:
        values = list(map(_number, self.columns[name]))
        if None in values:
            row = values.index(None)
            text = self.columns[name][row]
            self._require(name, row, text)
            raise InvalidValueError(self.place(name, row), text, "a number", hint)
        return self.finite(name, np.array(values, dtype=float))

    def labels(self, name: str) -> list[Any]:
        texts = self.columns[name]
        for row, text in enumerate(texts):
            self._require(name, row, text)
        values = list(map(_number, texts))
        labels = texts if None in values else values
        return labels_of(labels, functools.partial(self.place, name))

    def _require(self, name: str, row: int, text: str) -> None:
        if not text.strip():
            raise InvalidValueError(self.place(name, row), text, "a value; it is missing")


class _Frame(_Sheet):
    """A Parquet file: columns of pandas."""

    def is_text(self, name: str) -> bool:
        return self.columns[name].dtype.kind not in "iuf"

    def numbers(self, name: str, hint: str) -> FloatArray:
        column = self._whole(name)
        if column.dtype.kind not in "iuf":
            where = f"{self.path}, column {name!r}"
            raise InvalidValueError(where, str(column.dtype), "a column of numbers", hint)
        return self.finite(name, column.to_numpy(dtype=float))

    def labels(self, name: str) -> list[Any]:
        return labels_of(self._whole(name).tolist(), functools.partial(self.place, name))

    def _whole(self, name: str) -> Any:
        """Return a column in which nothing is missing."""
        column = self.columns[name]
        missing = column.isna().to_numpy()
        if missing.any():
            row = int(np.argmax(missing))
            raise InvalidValueError(self.place(name, row), None, "a value; it is missing")
        return column


def _number(text: str) -> float | None:
    """Return the number that a text is; None if it is none."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _text(path: str) -> _Text:
    """Read a CSV file."""
    rows, lines = [], []
    with open(path, encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            names = next(reader, [])
            for row in reader:
                if row:
                    rows.append(row)
                    lines.append(reader.line_num)
        except csv.Error as error:
            where = f"{path}, line {reader.line_num}"
            raise InvalidValueError(where, str(error), "a well-formed CSV file") from None
        except UnicodeDecodeError as error:
            raise InvalidValueError(path, str(error), "characters in UTF-8") from None
    if not names:
        raise InvalidValueError(path, "nothing", "the columns' names on the first line")
    for row, line in zip(rows, lines, strict=True):
        if len(row) != len(names):
            raise InvalidValueError(
                f"{path}, line {line}",
                f"{len(row)} values",
                f"{len(names)} values, one for each name on the first line",
            )
    if not rows:
        raise InvalidValueError(path, "no samples", "at least one line below the columns' names")
    sheet = _Text(path, names, [list(column) for column in zip(*rows, strict=True)])
    sheet.lines = lines
    return sheet


def _frame(path: str) -> _Frame:
    """Read a Parquet file."""
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingPackageError(path, "pyarrow")
    import pandas as pd  # noqa: PLC0415 - only here, and slow to import

    try:
        frame = pd.read_parquet(path, engine="pyarrow")
    except ValueError as error:  # pyarrow's own errors are such
        raise InvalidValueError(path, str(error), "a well-formed Parquet file") from None
    if not len(frame):
        raise InvalidValueError(path, "no samples", "at least one row")
    names = [str(name) for name in frame.columns]
    return _Frame(path, names, [frame.iloc[:, place] for place in range(len(names))])


_READERS: dict[str, Callable[[str], _Sheet]] = {
    ".csv": _text,
    ".parquet": _frame,
    ".pq": _frame,
}


def _require_names(where: str, value: Any, allowed: str) -> None:
    right = isinstance(value, tuple) and value and all(isinstance(name, str) for name in value)
    if not right or len(set(value)) < len(value):
        raise InvalidValueError(where, value, allowed)


def read(
    path: str | os.PathLike[str],
    target: str | Sequence[str],
    features: Sequence[str] | None = None,
    *,
    task: str | None = None,
    classes: Sequence[Any] | None = None,
    validation: float = 0.0,
    standardize: bool = False,
    seed: int | None = None,
) -> File:
    r"""Read the columns of a CSV or Parquet file; see `File`.

    Parameters
    ----------
    path : str or path
        A file that ends in .csv, .parquet or .pq.
    target : str or sequence of str
        Column of the target; several for several numbers.
    features : sequence of str, optional
        Columns of the features in their order; by default all that are no targets.
    task : str, optional
        "regression" or "classification"; by the type of the target if not given.
    classes : sequence, optional
        The labels in order; by default those in the file, sorted.
    validation : float
        Share of samples that is held out, in [0, 1).
    standardize : bool
        Whether features get mean 0 and variance 1.
    seed : int, optional
        Seed of the split, the study's if not given.

    Returns
    -------
    File
        Its file has been read, so nothing is wrong with it.

    Raises
    ------
    InvalidValueError
        If there is no such file or column, the file is malformed, or a value is missing or no
        finite number.
    MissingPackageError
        If a Parquet file is read and pyarrow is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "people.csv")
    ...     _ = path.write_text("age,height,cat\n30,1.7,no\n40,1.8,yes\n50,1.6,no\n")
    ...     samples = read(path, target="cat").samples()
    >>> samples.x.tolist(), samples.y.ravel().tolist(), samples.classes
    ([[30.0, 1.7], [40.0, 1.8], [50.0, 1.6]], [0.0, 1.0, 0.0], ('no', 'yes'))
    """
    part = File(
        path,  # type: ignore[arg-type]
        target,
        features,
        task=task,
        classes=classes,
        validation=validation,
        standardize=standardize,
        seed=seed,
    )
    part.samples()
    return part
