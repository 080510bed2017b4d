"""Targets that may be labels: the numbers 0, 1, ... that stand for classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, Field
from typing import Any

import numpy as np

from fastdescent.data._base import _Fixed
from fastdescent.errors import InvalidValueError
from fastdescent.parts import FloatArray, is_number, option

__all__ = ["coded", "labels_of"]

_TASKS = ("regression", "classification")


class _Labelled(_Fixed):
    """Base class of sets whose targets may be labels."""

    _: KW_ONLY
    task: str | None = option(default=None)
    classes: Sequence[Any] | None = option(default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.classes is not None and self.task == "regression":
            raise InvalidValueError(
                f"{self.name}.classes", self.classes, "None where task is 'regression'"
            )

    def _checked(self, field: Field[Any], value: Any) -> Any:
        value = super()._checked(field, value)
        where = f"{self.name}.{field.name}"
        if field.name == "task" and value is not None and value not in _TASKS:
            raise InvalidValueError(where, value, "'regression', 'classification' or None")
        if field.name == "classes" and value is not None:
            right = isinstance(value, tuple) and all(isinstance(c, str | int) for c in value)
            if not right or len(value) < 2 or len(set(value)) < len(value):
                raise InvalidValueError(where, value, "at least two different labels, in order")
        return value

    def _is_classification(self, by_type: bool) -> bool:
        """Return whether targets are labels: by their type if nothing else says so."""
        if self.task is not None:
            return self.task == "classification"
        return by_type or self.classes is not None


def coded(
    labels: Sequence[Any], classes: Sequence[Any] | None, place: Callable[[int], str]
) -> tuple[FloatArray, tuple[Any, ...]]:
    """Return labels as the numbers 0, 1, ... of their classes, and the classes.

    Parameters
    ----------
    labels : sequence of str, int or bool
        All of one type.
    classes : sequence, optional
        The classes in order; by default the labels themselves, sorted.  Names for labels that
        are no names stand for 0, 1, ...
    place : function
        Says where the label of a row is.

    Returns
    -------
    (ndarray of shape (m, 1), tuple)

    Raises
    ------
    InvalidValueError
        If there are not two classes, or a label is none of them.

    Examples
    --------
    >>> y, classes = coded(["b", "a", "b"], None, str)
    >>> y.ravel().tolist(), classes
    ([1.0, 0.0, 1.0], ('a', 'b'))
    """
    given = tuple(sorted(set(labels))) if classes is None else tuple(classes)
    if len(given) < 2:
        raise InvalidValueError(
            place(0), labels[0], "one of at least two labels", "all samples have the same one"
        )
    named = all(isinstance(c, str) for c in given) and not isinstance(labels[0], str)
    codes = {label: float(code) for code, label in enumerate(range(len(given)) if named else given)}
    for row, label in enumerate(labels):
        if label not in codes:
            said = f"a label from 0 to {len(given) - 1}" if named else f"one of {list(given)}"
            raise InvalidValueError(place(row), label, said)
    return np.array([[codes[label]] for label in labels]), given


def labels_of(values: Sequence[Any], place: Callable[[int], str]) -> list[Any]:
    """Return labels of one type: strings, booleans or integers.

    Parameters
    ----------
    values : sequence
        Strings, booleans or whole numbers.
    place : function
        Says where the label of a row is.

    Returns
    -------
    list of str, bool or int

    Raises
    ------
    InvalidValueError
        If a label is missing, none of these, or of another type than the first one.

    Examples
    --------
    >>> labels_of([1.0, 0.0], str)
    [1, 0]
    """
    first = _type(values[0])
    for row, value in enumerate(values):
        if value is None or value != value:  # noqa: PLR0124 - NaN
            raise InvalidValueError(place(row), value, "a label; it is missing")
        if _type(value) is None:
            allowed = "a label: a string, a boolean or a whole number"
            raise InvalidValueError(place(row), value, allowed)
        if _type(value) is not first:
            raise InvalidValueError(
                place(row), value, f"a label like the others, such as {values[0]!r}"
            )
    assert first is not None
    return list(map(first, values))


def _type(value: Any) -> type[Any] | None:
    """Return as what a label is kept."""
    if isinstance(value, str):
        return str
    if isinstance(value, bool | np.bool_):
        return bool
    # Larger floats are all whole, and two labels might be the same number.
    whole = is_number(value) and abs(value) <= 2.0**53 and float(value).is_integer()
    return int if whole else None
