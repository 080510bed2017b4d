"""Parts: what a simulation is put together from, as small frozen dataclasses.

A landscape, an update rule, a schedule, a noise, a set of start points: each is a `Part`.
A part checks its values when it is made, prints as the call that makes it, compares by
value, and converts to and from a plain TOML table.  Deriving from a family's base class
registers it under its class name; nobody edits a list.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, ClassVar, Self, TypeAlias, dataclass_transform

import numpy as np
from numpy.typing import NDArray

from fastdescent.errors import InvalidValueError, UnknownNameError

__all__ = ["FloatArray", "IntArray", "Part", "Range", "Values", "option", "parameter"]

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]

#: A number, a sequence of numbers (which becomes an axis of the result) or a schedule.
Values: TypeAlias = Any

#: kind -> class name -> class.
_REGISTRY: dict[str, dict[str, type[Part]]] = {}


@dataclasses.dataclass(frozen=True)
class Range:
    """An interval of numbers with open or closed ends.

    Examples
    --------
    >>> print(Range(0.0, 1.0, upper_open=True))
    [0, 1)
    >>> 1.0 in Range(0.0, 1.0, upper_open=True)
    False
    """

    lower: float = -math.inf
    upper: float = math.inf
    lower_open: bool = False
    upper_open: bool = False

    def __contains__(self, value: float) -> bool:
        above = value > self.lower if self.lower_open else value >= self.lower
        below = value < self.upper if self.upper_open else value <= self.upper
        return above and below and math.isfinite(value)

    def __str__(self) -> str:
        left = "(" if self.lower_open or math.isinf(self.lower) else "["
        right = ")" if self.upper_open or math.isinf(self.upper) else "]"
        return f"{left}{self.lower:g}, {self.upper:g}{right}"


def parameter(
    *,
    default: Any = dataclasses.MISSING,
    lower: float = -math.inf,
    upper: float = math.inf,
    lower_open: bool = False,
    upper_open: bool = False,
) -> Any:
    """Declare a number that may also be a sequence (an axis of the result) or a schedule.

    Parameters
    ----------
    default : float, optional
        The value when none is given.
    lower, upper : float
        The allowed range.
    lower_open, upper_open : bool
        Whether that end is excluded.  Infinite ends always are.
    """
    allowed = Range(lower, upper, lower_open, upper_open)
    return dataclasses.field(default=default, metadata={"range": allowed})


def option(
    *,
    default: Any = dataclasses.MISSING,
    choices: Sequence[str] = (),
    integer: Range | None = None,
    number: Range | None = None,
    part: str = "",
) -> Any:
    """Declare a value that is no axis: a choice, a dimension, an array.

    Parameters
    ----------
    default : object, optional
        The value when none is given.
    choices : sequence of str
        If given, the allowed values.
    integer, number : Range, optional
        If given, the value is one integer or one number in this range.
    part : str, optional
        If given, the value is a part of this kind, or the default.
    """
    metadata = {"choices": tuple(choices), "integer": integer, "number": number, "part": part}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass_transform(frozen_default=True, field_specifiers=(parameter, option))
class Part:
    """Base class of everything that a simulation is put together from.

    A subclass becomes a frozen dataclass by itself; its fields are declared with
    `parameter` and `option`.  A direct subclass with a ``kind`` opens a registry.
    """

    kind: ClassVar[str] = ""
    #: Kinds whose parts may stand where one of this kind is asked for in a table.
    also: ClassVar[tuple[str, ...]] = ()
    #: Whether parameters may be schedules.
    schedulable: ClassVar[bool] = False
    #: Names of the fields in the order in which the caller wrote them.
    _written: tuple[str, ...]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclasses.dataclass(frozen=True, repr=False)(cls)
        if any(field.name == "name" for field in cls._fields()):
            raise InvalidValueError(
                f"{cls.__name__}.name", "a field", "any other name", "it is the part's class name"
            )
        if "kind" in cls.__dict__:
            _REGISTRY[cls.kind] = {}
        elif not cls.__dict__.get("abstract", False) and not cls.__name__.startswith("_"):
            _register(cls)

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:  # noqa: D102
        lacking = cls._lacking()
        if lacking:
            missing, way_out = lacking
            raise InvalidValueError(
                cls.__name__, f"a class without {missing}", f"a class with {missing}", way_out
            )
        written = cls._bound(args, kwargs)
        self = super().__new__(cls)
        object.__setattr__(self, "_written", written)
        return self

    @classmethod
    def _bound(cls, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the names of the fields that a call gives, in its order, or say what is wrong."""
        fields = list(cls._fields())
        known = [field.name for field in fields]
        for name in kwargs:
            if name not in known:
                raise UnknownNameError(f"argument of {cls.__name__}", name, known)
        if len(args) > len(known):
            raise InvalidValueError(
                cls.__name__,
                args,
                f"at most {len(known)} values" + (f": {', '.join(known)}" if known else ""),
            )
        for name in known[: len(args)]:
            if name in kwargs:
                raise InvalidValueError(
                    f"{cls.__name__}.{name}", kwargs[name], "one value", "it is given twice"
                )
        for field in fields[len(args) :]:
            if _required(field) and field.name not in kwargs:
                where = f"{cls.__name__}.{field.name}"
                way_out = f"it has no default: {cls.__name__}({field.name}=...)"
                raise InvalidValueError(where, _NOTHING, _allowed(field), way_out)
        return (*known[: len(args)], *kwargs)

    @classmethod
    def _lacking(cls) -> tuple[str, str] | None:
        """Return what a half-made class still lacks and how to give it; None if it is whole."""
        return None

    @property
    def name(self) -> str:
        """Name of the part: that of its class.

        Examples
        --------
        >>> import fastdescent as fd
        >>> fd.landscapes.Rosenbrock(dim=3).name
        'Rosenbrock'
        """
        return type(self).__name__

    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, Any]]:
        return (), self._given()

    def __post_init__(self) -> None:
        for field in self._fields():
            value = getattr(self, field.name)
            object.__setattr__(self, field.name, self._checked(field, value))

    @classmethod
    def _fields(cls) -> Iterator[dataclasses.Field[Any]]:
        for field in dataclasses.fields(cls):  # type: ignore[arg-type]
            if field.init:
                yield field

    @classmethod
    def parameter_names(cls) -> tuple[str, ...]:
        """Return the names of the parameters, in the order of the kernel's rows."""
        return tuple(field.name for field in cls._fields() if "range" in field.metadata)

    @classmethod
    def range_of(cls, name: str) -> Range:
        """Return the allowed range of a parameter."""
        (field,) = [field for field in cls._fields() if field.name == name]
        allowed: Range = field.metadata["range"]
        return allowed

    def axes(self) -> dict[str, tuple[float, ...]]:
        """Return the parameters that were given as sequences, in the order written.

        Examples
        --------
        >>> import fastdescent as fd
        >>> fd.optimizers.Adam(beta1=[0.8, 0.9], learning_rate=0.1).axes()
        {'beta1': (0.8, 0.9)}
        """
        values = {name: _base(getattr(self, name)) for name in self.parameter_names()}
        order = sorted(values, key=self._place)
        return {name: values[name] for name in order if isinstance(values[name], tuple)}

    def schedules(self) -> dict[str, Any]:
        """Return the parameters that follow a schedule, and their schedules."""
        values = {name: getattr(self, name) for name in self.parameter_names()}
        return {name: value for name, value in values.items() if isinstance(value, Part)}

    def base_values(self) -> dict[str, float | tuple[float, ...]]:
        """Return each parameter's value or values before any schedule."""
        return {name: _base(getattr(self, name)) for name in self.parameter_names()}

    def at(self, **values: Any) -> Self:
        """Return a copy with the given fields replaced."""
        return type(self)(**{**self._given(), **values})

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={_shown(value)}" for name, value in self._given().items())
        return f"{type(self).__name__}({inside})"

    def to_table(self) -> dict[str, Any]:
        """Return the part as a table of plain TOML values.

        Examples
        --------
        >>> import fastdescent as fd
        >>> fd.optimizers.Adam(learning_rate=[0.1, 0.2]).to_table()
        {'name': 'Adam', 'learning_rate': [0.1, 0.2]}
        """
        table = {name: _plain(value) for name, value in self._given().items()}
        return {"name": type(self).__name__, **table}

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Self:
        """Make the part that a TOML table describes.

        Parameters
        ----------
        table : mapping
            The key ``name`` and the part's fields.

        Raises
        ------
        UnknownNameError
            If there is no part of that name, or it has no such field.
        InvalidValueError
            If ``name`` is missing or a value is not allowed.
        """
        if not isinstance(table, Mapping) or "name" not in table:
            example = next(iter(_REGISTRY[cls.kind]), "...")
            raise InvalidValueError(
                cls.kind, table, "a table with a name", f'such as {{name = "{example}"}}'
            )
        part = get(cls.kind, table["name"], cls.also)
        fields = {field.name: field for field in part._fields()}
        for key in table:
            if key != "name" and key not in fields:
                raise UnknownNameError(f"key of {part.__name__}", key, fields)
        arguments = {
            key: _from_plain(value, _nested_kind(fields[key]))
            for key, value in table.items()
            if key != "name"
        }
        missing = [f.name for f in part._fields() if _required(f) and f.name not in arguments]
        if missing:
            raise InvalidValueError(
                part.__name__, dict(table), f"a table with the key {missing[0]!r}"
            )
        return part(**arguments)  # type: ignore[return-value]

    def _given(self) -> dict[str, Any]:
        """Return the fields that differ from their defaults, in the order written."""
        # Parts come first: TOML moves their tables behind the plain values, whose order matters.
        fields = sorted(
            self._fields(),
            key=lambda field: (not field.metadata.get("part"), self._place(field.name)),
        )
        values = {field.name: (getattr(self, field.name), field.default) for field in fields}
        return {name: value for name, (value, default) in values.items() if value != default}

    def _place(self, name: str) -> int:
        return self._written.index(name) if name in self._written else len(self._written)

    def _checked(self, field: dataclasses.Field[Any], value: Any) -> Any:
        where = f"{type(self).__name__}.{field.name}"
        if "range" in field.metadata:
            return _checked_values(where, value, field.metadata["range"], self.schedulable)
        choices = field.metadata.get("choices")
        if choices and value not in choices:
            raise UnknownNameError(f"{type(self).__name__}.{field.name}", value, choices)
        kind = field.metadata.get("part")
        right = value is field.default or (isinstance(value, Part) and value.kind == kind)
        if kind and not right:
            none = ", or None" if field.default is None else ""
            raise InvalidValueError(where, value, f"a part of kind {kind!r}{none}")
        integer, number = field.metadata.get("integer"), field.metadata.get("number")
        if integer is not None and not (is_integer(value) and value in integer):
            raise InvalidValueError(where, value, f"an integer in {integer}")
        if number is not None and not (is_number(value) and value in number):
            raise InvalidValueError(where, value, f"a number in {number}")
        if integer is not None:
            return int(value)
        return float(value) if number is not None else _frozen(value)


def names(kind: str) -> list[str]:
    """Return the names of all registered parts of a kind, sorted; half-made ones are left out."""
    return sorted(name for name, part in _REGISTRY[kind].items() if not part._lacking())


def kinds() -> list[str]:
    """Return the kinds of parts that have a registry."""
    return sorted(_REGISTRY)


def get(kind: str, name: str, also: Sequence[str] = ()) -> type[Part]:
    """Return the registered class of that kind, or of one that may stand for it, and name."""
    registered = _REGISTRY[kind]
    for other in also:
        registered = {**_REGISTRY[other], **registered}
    if name not in registered:
        raise UnknownNameError(kind, name, registered)
    return registered[name]


def _checked_values(where: str, value: Any, allowed: Range, schedulable: bool) -> Any:
    if isinstance(value, Part):
        if not schedulable or value.kind != "schedule":
            raise InvalidValueError(where, value, f"a number in {allowed} or a sequence of them")
        _checked_values(where, _base(value), allowed, False)
        return value
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, Sequence | np.ndarray) and not isinstance(value, str):
        if len(value) == 0:
            raise InvalidValueError(where, value, "at least one value in a sequence")
        return tuple(_checked_number(where, item, allowed) for item in value)
    return _checked_number(where, value, allowed)


def _checked_number(where: str, value: Any, allowed: Range) -> float:
    if not is_number(value) or float(value) not in allowed:
        raise InvalidValueError(where, value, f"a number in {allowed} or a sequence of them")
    return float(value)


def is_number(value: Any) -> bool:
    """Return whether a value is a real number (and no boolean)."""
    return isinstance(value, Real) and not isinstance(value, bool | np.bool_)


def is_integer(value: Any) -> bool:
    """Return whether a value is an integer (and no boolean)."""
    return isinstance(value, Integral) and not isinstance(value, bool | np.bool_)


def _base(value: Any) -> Any:
    return getattr(value, "base") if isinstance(value, Part) else value  # noqa: B009


def _frozen(value: Any) -> Any:
    """Turn arrays and lists into nested tuples of Python numbers, which compare by value."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    return tuple(map(_frozen, value)) if isinstance(value, list | tuple) else value


def _shown(value: Any) -> str:
    return repr(list(value)) if isinstance(value, tuple) else repr(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Part):
        return value.to_table()
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _nested_kind(field: dataclasses.Field[Any]) -> str:
    """Return the kind of the part that a field may hold; "" if it holds none."""
    return "schedule" if "range" in field.metadata else field.metadata.get("part", "")


def _from_plain(value: Any, kind: str) -> Any:
    if kind and isinstance(value, Mapping):
        return get(kind, value.get("name", "")).from_table(value)
    return value


def _required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _allowed(field: dataclasses.Field[Any]) -> str:
    """Say what a field takes."""
    said = field.metadata
    if "range" in said:
        return f"a number in {said['range']} or a sequence of them"
    if said.get("choices"):
        return "one of " + ", ".join(map(repr, said["choices"]))
    if said.get("integer") is not None:
        return f"an integer in {said['integer']}"
    return f"a number in {said['number']}" if said.get("number") is not None else "a value"


class _Nothing:
    """Stands in errors for a value that was not given."""

    def __repr__(self) -> str:
        return "nothing"


_NOTHING = _Nothing()


def _register(part: type[Part]) -> None:
    """Enter a class under its name; only its own source may define it again."""
    other = _REGISTRY[part.kind].get(part.__name__)
    if other is not None and _origin(other) != _origin(part):
        raise InvalidValueError(
            f"{part.kind} {part.__name__}",
            f"{part.__module__}.{part.__qualname__}",
            f"a name that is not taken by {other.__module__}.{other.__qualname__}",
            "rename the class",
        )
    _REGISTRY[part.kind][part.__name__] = part


def _origin(part: type[Part]) -> tuple[str, str]:
    """Return where a class was written: a script is one file whatever its module is called."""
    file = getattr(sys.modules.get(part.__module__), "__file__", None)
    return file or part.__module__, part.__qualname__
