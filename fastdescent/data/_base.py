"""What all data sets share: samples, the share of them that is held out, standardisation."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import KW_ONLY, Field
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastdescent.errors import FastdescentError, InvalidValueError
from fastdescent.parts import FloatArray, IntArray, Part, Range, is_integer, is_number, option
from fastdescent.streams import INITIALIZATION, uniforms

__all__ = [
    "FEATURES",
    "LABELS",
    "LAYER",
    "PLACES",
    "PRESENCE",
    "ROTATION",
    "WEIGHTS",
    "Counts",
    "Data",
    "MissingPackageError",
    "Samples",
    "Table",
    "column_sums",
    "constant_columns",
    "default_names",
    "duplicated_columns",
    "read_only",
]

#: Steps of the streams: each thing that is drawn has its own, far from those of trajectories.
SPLIT, FEATURES, WEIGHTS, LABELS, ROTATION, PRESENCE, PLACES, LAYER = range(0xDA7A0000, 0xDA7A0008)
_SEEDS = Range(0, 2**64 - 1)
_KEPT = 8  # samples of so many seeds are kept by a part


class MissingPackageError(FastdescentError, ImportError):
    """An optional package that is not installed.

    Examples
    --------
    >>> print(MissingPackageError("Bundled", "scikit-learn"))
    Bundled needs scikit-learn, which is not installed: pip install 'fastdescent[data]'
    """

    def __init__(self, part: str, package: str) -> None:
        super().__init__(part, package)
        self.part, self.package = part, package

    def __str__(self) -> str:
        return (
            f"{self.part} needs {self.package}, which is not installed: "
            "pip install 'fastdescent[data]'"
        )


class Samples(NamedTuple):
    """Training and validation samples; the arrays are read-only.

    Attributes
    ----------
    x : ndarray, (m, features)
        Features of the training samples.
    y : ndarray, (m, targets)
        Their targets.  For classification one column of labels 0.0, 1.0, ... k - 1.
    validation_x : ndarray, (v, features)
        Features of the samples that are held out; v may be 0.
    validation_y : ndarray, (v, targets)
        Their targets.
    classes : tuple
        What the labels 0, 1, ... stand for; empty for regression.
    feature_names : tuple of str
        One for each feature.
    """

    x: FloatArray
    y: FloatArray
    validation_x: FloatArray
    validation_y: FloatArray
    classes: tuple[Any, ...]
    feature_names: tuple[str, ...]


class Table(NamedTuple):
    """All samples of a set, before any is held out."""

    x: FloatArray
    y: FloatArray
    classes: tuple[Any, ...]
    feature_names: tuple[str, ...]


class Counts(NamedTuple):
    """How large a set is; none of it depends on the seed."""

    samples: int
    features: int
    targets: int
    classes: int


class Data(Part):
    """Base class of data sets.

    Parameters
    ----------
    validation : float
        Share of the m samples that is held out, in [0, 1): round(validation m) of them, drawn
        without replacement.  A larger share holds out the same samples and more.
    standardize : bool
        Whether to shift and scale each feature to mean 0 and variance 1 (sum of squares
        divided by m) over the training samples; validation samples are shifted and scaled by
        the same numbers.  Targets are left as they are.
    seed : int, optional
        Seed of everything random in the set, 0 to 2**64 - 1; the study's if not given.

    Raises
    ------
    InvalidValueError
        If a value is not allowed, or no sample is left to train on.
    """

    kind: ClassVar[str] = "data"

    _: KW_ONLY
    validation: float = option(default=0.0, number=Range(0.0, 1.0, upper_open=True))
    standardize: bool = option(default=False)
    seed: int | None = option(default=None)

    def samples(self, seed: int = 0) -> Samples:
        """Return the samples, a pure function of the part and the seed.

        Parameters
        ----------
        seed : int
            The study's seed; the part's own comes before it.

        Returns
        -------
        Samples

        Raises
        ------
        InvalidValueError
            If the set cannot be read, or a column that is to be standardised is constant.

        Examples
        --------
        >>> from fastdescent.data import Dataset
        >>> samples = Dataset([[1.0], [2.0], [6.0]], [1.0, 2.0, 3.0], standardize=True).samples()
        >>> samples.x.round(4).ravel().tolist()
        [-0.9258, -0.4629, 1.3887]
        """
        samples: Samples = self._samples(self._seed(seed))
        return samples

    def split(self, seed: int = 0) -> tuple[IntArray, IntArray]:
        """Return the indices of the training and of the validation samples, each ascending.

        Examples
        --------
        >>> from fastdescent.data import Dataset
        >>> data = Dataset(np.eye(5), np.arange(5.0), validation=0.4)
        >>> [part.tolist() for part in data.split(seed=1)]
        [[1, 2, 4], [0, 3]]
        """
        count, held_out = self._counts().samples, self.n_validation
        if not held_out:
            return np.arange(count), np.arange(0)
        draws = uniforms(self._seed(seed), INITIALIZATION, np.arange(count), 1, step=SPLIT)
        # The ranks of independent uniforms are a random permutation.
        order = np.argsort(draws[:, 0], kind="stable")
        return np.sort(order[held_out:]), np.sort(order[:held_out])

    @property
    def n_samples(self) -> int:
        """Number of training samples."""
        return self._counts().samples - self.n_validation

    @property
    def n_validation(self) -> int:
        """Number of samples that are held out."""
        return self._held_out(self._counts().samples)

    def _held_out(self, count: int) -> int:
        held_out = round(self.validation * count)
        if held_out >= count:
            raise InvalidValueError(
                f"{self.name}.validation",
                self.validation,
                "a share that leaves at least one sample to train on",
                f"it holds out {held_out} of {count}",
            )
        return held_out

    @property
    def n_features(self) -> int:
        """Number of features."""
        return self._counts().features

    @property
    def n_targets(self) -> int:
        """Number of targets; 1 for classification."""
        return self._counts().targets

    @property
    def n_classes(self) -> int:
        """Number of classes; 0 for regression."""
        return self._counts().classes

    def _counts(self) -> Counts:
        raise NotImplementedError

    def _table(self, seed: int) -> Table:
        """Return all samples as they are before the split."""
        raise NotImplementedError

    @functools.cached_property
    def _samples(self) -> Any:
        return functools.lru_cache(maxsize=_KEPT)(self._make_samples)

    def _make_samples(self, seed: int) -> Samples:
        table = self._table(seed)
        training, held_out = self.split(seed)
        x, y = table.x, table.y
        if len(held_out):
            x, y = x[training], y[training]
        validation_x, validation_y = table.x[held_out], table.y[held_out]
        if self.standardize:
            x, validation_x = self._standardized(x, validation_x, table.feature_names)
        return Samples(
            read_only(x),
            read_only(y),
            read_only(validation_x),
            read_only(validation_y),
            table.classes,
            table.feature_names,
        )

    def _standardized(
        self, x: FloatArray, validation_x: FloatArray, names: tuple[str, ...]
    ) -> tuple[FloatArray, FloatArray]:
        where = f"{self.name}.standardize"
        for column in constant_columns(x):
            raise InvalidValueError(
                where,
                self.standardize,
                "False for a constant column",
                f"column {names[column]!r} is {x[0, column]:g} in all {len(x)} training samples",
            )
        with np.errstate(all="ignore"):
            shift = column_sums(x) / len(x)
            rest = column_sums(x - shift) / len(x)  # what rounding has left of the mean
            centered = x - shift - rest
            largest = np.abs(centered).max(axis=0)  # squares neither overflow nor vanish
            scale = largest * np.sqrt(column_sums((centered / largest) ** 2) / len(x))
            scaled = centered / scale, (validation_x - shift - rest) / scale
        finite = np.isfinite(scaled[0]).all(axis=0) & np.isfinite(scaled[1]).all(axis=0)
        if not finite.all():
            name = names[int(np.argmin(finite))]
            raise InvalidValueError(
                where, self.standardize, "False where numbers overflow", f"column {name!r} does"
            )
        return scaled

    def _seed(self, seed: int) -> int:
        if self.seed is not None:
            return self.seed
        if not (is_integer(seed) and seed in _SEEDS):
            raise InvalidValueError(f"{self.name}.samples", seed, f"an integer in {_SEEDS}")
        return int(seed)

    def _checked(self, field: Field[Any], value: Any) -> Any:
        value = super()._checked(field, value)
        where = f"{self.name}.{field.name}"
        if field.name == "standardize" and not isinstance(value, bool):
            raise InvalidValueError(where, value, "True or False")
        if field.name == "seed" and value is not None:
            if not (is_integer(value) and value in _SEEDS):
                raise InvalidValueError(where, value, "an integer in [0, 2**64), or None")
            return int(value)
        return value

    def _numbers(
        self, name: str, allowed: Range, length: int | None = None, required: bool = False
    ) -> None:
        """Check and normalise a field that holds a sequence of numbers, or None."""
        value = getattr(self, name)
        if value is None and not required:
            return
        many = "at least one number" if length is None else f"{length} numbers"
        right = isinstance(value, tuple) and len(value) > 0 and length in (None, len(value))
        if not right or not all(is_number(item) and float(item) in allowed for item in value):
            raise InvalidValueError(
                f"{self.name}.{name}", value, f"{many} in {allowed}, one for each feature"
            )
        object.__setattr__(self, name, tuple(map(float, value)))

    @classmethod
    def _fields(cls) -> Iterator[Field[Any]]:
        # What all sets share is given by name only, after what a set has of its own.
        return iter(sorted(super()._fields(), key=lambda field: bool(field.kw_only)))

    @classmethod
    def _bound(cls, args: tuple[Any, ...], kwargs: Any) -> tuple[str, ...]:
        own = [field.name for field in cls._fields() if not field.kw_only]
        if len(args) > len(own):
            raise InvalidValueError(
                cls.__name__,
                args,
                f"at most {len(own)} values without a name"
                + (f": {', '.join(own)}" if own else ""),
                "give the others by name, such as validation=0.2",
            )
        return super()._bound(args, kwargs)

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields, without what was made from them."""
        kept = {"_written", *(field.name for field in self._fields())}
        return {name: value for name, value in self.__dict__.items() if name in kept}


class _Fixed(Data):
    """Base class of sets whose samples do not depend on the seed; only the split does."""

    def _read(self) -> Table:
        raise NotImplementedError

    @functools.cached_property
    def _contents(self) -> Table:
        table = self._read()
        return table._replace(x=read_only(table.x), y=read_only(table.y))

    def _table(self, seed: int) -> Table:
        return self._contents

    def _counts(self) -> Counts:
        table = self._contents
        samples, features = table.x.shape
        return Counts(samples, features, table.y.shape[1], len(table.classes))


def constant_columns(x: ArrayLike) -> list[int]:
    """Return the columns that hold one number only.

    Parameters
    ----------
    x : array_like, (m, features)

    Returns
    -------
    list of int

    Examples
    --------
    >>> constant_columns([[1.0, 2.0], [1.0, 3.0]])
    [0]
    """
    array = np.asarray(x, dtype=float)
    return [int(column) for column in np.flatnonzero((array == array[0]).all(axis=0))]


def duplicated_columns(x: ArrayLike) -> list[tuple[int, int]]:
    """Return the columns that equal an earlier one, number by number.

    Parameters
    ----------
    x : array_like, (m, features)

    Returns
    -------
    list of (int, int)
        The first column of its kind, and a later one that equals it.

    Examples
    --------
    >>> duplicated_columns([[1.0, 2.0, 1.0], [3.0, 4.0, 3.0]])
    [(0, 2)]
    """
    columns = np.asarray(x, dtype=float).T + 0.0  # -0.0 equals 0.0
    first: dict[bytes, int] = {}
    found = []
    for k, column in enumerate(columns):
        j = first.setdefault(column.tobytes(), k)
        if j != k:
            found.append((j, k))
    return found


def column_sums(x: FloatArray) -> FloatArray:
    """Sum the rows by pairs, in an order that depends on their number only.

    A reduction of NumPy may sum in another order elsewhere.

    Examples
    --------
    >>> column_sums(np.array([[1.0], [2.0], [4.0]])).tolist()
    [7.0]
    """
    sums, count = np.array(x), len(x)
    while count > 1:
        half = count // 2
        sums[:half] += sums[count - half : count]
        count -= half
    total: FloatArray = sums[0]
    return total


def read_only(array: FloatArray) -> FloatArray:
    """Return an array in rows, of which nobody can change a number.

    Examples
    --------
    >>> read_only(np.zeros(2)).flags.writeable
    False
    """
    array = np.ascontiguousarray(array, dtype=float)
    array.flags.writeable = False
    return array


def default_names(features: int) -> tuple[str, ...]:
    """Name features that have no names.

    Examples
    --------
    >>> default_names(2)
    ('x0', 'x1')
    """
    return tuple(f"x{column}" for column in range(features))
