"""A pair of arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import KW_ONLY, Field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastdescent.data._base import Table, default_names
from fastdescent.data._labels import _Labelled, coded, labels_of
from fastdescent.errors import InvalidValueError
from fastdescent.parts import FloatArray, is_number, option

__all__ = ["Dataset"]

#: So many numbers are printed and written into a study.
_SHOWN = 1000
_ARRAYS = ("x", "y")
_REAL = "finite integers or floats"
_ROW = "Dataset.y, row {}".format


class Dataset(_Labelled):
    """The features and targets that are given, one row for each sample.

    Targets are labels if they are strings or booleans, or if `task` or `classes` says so;
    integers and floats are numbers otherwise.

    Parameters
    ----------
    x : array_like, (m, features)
        Finite integers or floats; copied.
    y : array_like, (m,) or (m, targets)
        As many rows: finite numbers, or one column of labels (strings, booleans, or whole
        numbers); copied.
    feature_names : sequence of str, optional
        One different name for each feature; by default x0, x1, ...
    task : str, optional
        "regression" or "classification"; by the type of y if not given.
    classes : sequence, optional
        The labels in order; by default those in y, sorted.  Names for whole numbers stand for
        0, 1, ..., k - 1.
    validation : float
        Share of samples that is held out, in [0, 1).
    standardize : bool
        Whether features get mean 0 and variance 1 over the training samples.
    seed : int, optional
        Seed of the split, 0 to 2^64 - 1; the study's if not given.

    Raises
    ------
    InvalidValueError
        If a shape, a number or a label is not allowed.

    Examples
    --------
    >>> data = Dataset([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]], ["no", "yes", "no"])
    >>> data.samples().y.ravel().tolist(), data.samples().classes
    ([0.0, 1.0, 0.0], ('no', 'yes'))
    >>> Dataset([[1.0], [2.0]], [0.5, 0.25], validation=0.5)
    Dataset(x=[[1.0], [2.0]], y=[0.5, 0.25], validation=0.5)
    """

    x: Any = option()
    y: Any = option()
    _: KW_ONLY
    feature_names: Sequence[str] | None = option(default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "x", _features(self.x))
        object.__setattr__(self, "y", self._targets(self.y))
        self._freeze()
        names, features = self.feature_names, self.x.shape[1]
        if names is not None and not (
            isinstance(names, tuple)
            and all(isinstance(name, str) for name in names)
            and len(names) == len(set(names)) == features
        ):
            raise InvalidValueError(
                "Dataset.feature_names", names, f"{features} different names, one for each feature"
            )
        self._held_out(self._counts().samples)

    def _checked(self, field: Field[Any], value: Any) -> Any:
        # Kept as arrays: as tuples of numbers they would be slow to make and to compare.
        return value if field.name in _ARRAYS else super()._checked(field, value)

    def _targets(self, value: Any) -> NDArray[Any]:
        """Return targets as an array of floats, or labels as one of str, bool or int."""
        y = _array("y", value)
        y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
        if y.ndim not in (1, 2) or 0 in y.shape or len(y) != len(self.x):
            raise InvalidValueError(
                "Dataset.y",
                y.shape,
                f"shape ({len(self.x)},) or ({len(self.x)}, targets), a row for each row of x",
            )
        items = y.ravel().tolist() if y.dtype.kind == "O" else []
        is_label = y.dtype.kind in "Ub" or any(isinstance(v, str | bool | np.bool_) for v in items)
        if self._is_classification(is_label):
            if y.ndim == 2:
                raise InvalidValueError("Dataset.y", y.shape, "one column of labels")
            return np.array(labels_of(y.tolist(), _ROW))
        if is_label:
            raise InvalidValueError(
                "Dataset.y",
                y.ravel()[0],
                f"{_REAL} where task is 'regression'",
                "a boolean becomes 0 or 1 by y.astype(float)",
            )
        return _finite("y", y)

    def _read(self) -> Table:
        names = self.feature_names or default_names(self.x.shape[1])
        if self._is_classification(self.y.dtype.kind in "Ub"):
            y, classes = coded(self.y.tolist(), self.classes, _ROW)
        else:
            y, classes = self.y.reshape(len(self.x), -1), ()
        return Table(self.x, y, classes, tuple(names))

    def _given(self) -> dict[str, Any]:
        fields = sorted(self._fields(), key=lambda field: self._place(field.name))
        values = {field.name: (getattr(self, field.name), field.default) for field in fields}
        return {
            name: value
            for name, (value, default) in values.items()
            if name in _ARRAYS or value != default
        }

    def _plain_values(self) -> dict[str, Any]:
        values = {n: v.tolist() if n in _ARRAYS else v for n, v in self._given().items()}
        return {n: list(v) if isinstance(v, tuple) else v for n, v in values.items()}

    def _is_large(self) -> bool:
        return bool(self.x.size + self.y.size > _SHOWN)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Dataset) or self.y.dtype.kind != other.y.dtype.kind:
            return False
        mine, theirs = self._given(), other._given()
        return mine.keys() == theirs.keys() and all(
            np.array_equal(value, theirs[name]) if name in _ARRAYS else value == theirs[name]
            for name, value in mine.items()
        )

    def __hash__(self) -> int:
        return hash((self.x.shape, (self.x + 0.0).tobytes()))  # -0.0 equals 0.0

    def __repr__(self) -> str:
        if self._is_large():
            arrays = {n: f"<{' x '.join(map(str, getattr(self, n).shape))}>" for n in _ARRAYS}
        else:
            arrays = {name: repr(getattr(self, name).tolist()) for name in _ARRAYS}
        rest = {n: list(v) if isinstance(v, tuple) else v for n, v in self._given().items()}
        return f"Dataset({', '.join(f'{n}={arrays.get(n) or repr(v)}' for n, v in rest.items())})"

    def to_table(self) -> dict[str, Any]:
        """Return the set as a table of plain TOML values.

        Raises
        ------
        InvalidValueError
            If it has more than 1000 numbers, which do not belong into a study.

        Examples
        --------
        >>> Dataset([[1.0], [2.0]], [0.5, 0.25]).to_table()
        {'name': 'Dataset', 'x': [[1.0], [2.0]], 'y': [0.5, 0.25]}
        """
        if self._is_large():
            raise InvalidValueError(
                "Dataset",
                self,
                f"at most {_SHOWN} numbers where a study is written",
                "save them to a file and give fastdescent.data.read(path, target)",
            )
        return {"name": "Dataset", **self._plain_values()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._freeze()  # pickle forgets it

    def _freeze(self) -> None:
        for name in _ARRAYS:
            getattr(self, name).flags.writeable = False


def _features(value: Any) -> FloatArray:
    x = _array("x", value)
    if x.ndim != 2 or 0 in x.shape:
        raise InvalidValueError(
            "Dataset.x",
            x.shape,
            "shape (m, features) with at least one sample and one feature",
            "a column is x[:, np.newaxis]" if x.ndim == 1 else "",
        )
    return _finite("x", x)


def _array(name: str, value: Any) -> NDArray[Any]:
    """Return any array; lists that NumPy would convert silently stay arrays of objects."""
    if np.ma.is_masked(value):
        raise InvalidValueError(f"Dataset.{name}", value, "an array without masked values")
    try:
        array = np.asarray(value)
        if array.dtype.kind == "U" and not isinstance(value, np.ndarray):
            array = np.asarray(value, dtype=object)
    except (TypeError, ValueError, OverflowError):
        raise InvalidValueError(
            f"Dataset.{name}", value, "an array whose rows have the same length"
        ) from None
    return array


def _finite(name: str, values: NDArray[Any]) -> FloatArray:
    """Return a copy as floats, all of them finite."""
    where = f"Dataset.{name}"
    if values.dtype.kind == "O":
        for place, value in np.ndenumerate(values):
            if not is_number(value):
                raise InvalidValueError(_place(where, place), value, "a finite number")
    elif values.dtype.kind not in "iuf":
        boolean = values.dtype.kind == "b"
        raise InvalidValueError(
            where,
            f"an array of {values.dtype.name}",
            _REAL,
            f"a boolean becomes 0 or 1 by {name}.astype(float)" if boolean else "",
        )
    try:
        with np.errstate(over="ignore"):
            numbers = np.array(values, dtype=float, order="C")
    except OverflowError:
        raise InvalidValueError(where, values, "numbers of 64 bits") from None
    finite = np.isfinite(numbers)
    if not finite.all():
        place = np.argwhere(~finite)[0]
        raise InvalidValueError(
            _place(where, place), float(numbers[tuple(place)]), "a finite number"
        )
    return numbers


def _place(where: str, place: Sequence[int]) -> str:
    column = f", column {place[1]}" if len(place) > 1 else ""
    return f"{where}, row {place[0]}{column}"
