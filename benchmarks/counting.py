"""What a kernel does per lane, counted by running its plain Python on instrumented numbers.

The counts are the least that the kernel's own formula asks for, whatever a compiler does:

- Every number knows which expression it is.  The same operation on the same operands counts
  once per kernel call, whether it is written twice, computed in two loops or once for every
  coordinate (``1 - beta1[lane]``, say).  Constants are folded as Python folds them.
- A row element counts as one load the first time it is read, unless the kernel itself wrote
  it before, and as one store however often it is written: the *compulsory* traffic.
- ``a * b + c`` counts as one multiplication and one addition: without fastmath no compiler
  may fuse them.  An explicit `fma` of the lane mathematics is one multiply-add.
- A conditional expression is one comparison and one selection, `max` and `min` likewise.
- A call of a lane-mathematics function is one call, on the same operands once; `sincos`
  gives two numbers for one call.  Kernels are expected to import these functions by name.
- What is done once per tile (corrections that all lanes share) drops out: counts are the
  difference between wide and narrow tiles, divided by the difference in width.

The kernels' lanes all have the same parameters, as nearly all tiles have, and the step that
is counted is the second one, since the first one may fill the state.
"""

from __future__ import annotations

import inspect
import operator
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
from numba.core.dispatcher import Dispatcher

from fastdescent import lanemath
from fastdescent.contracts import Kernel
from fastdescent.landscapes import Landscape
from fastdescent.optimizers import Optimizer
from fastdescent.parts import FloatArray

__all__ = ["Counts", "count_landscape", "count_query", "count_update"]

Operand: TypeAlias = "Number | float"

_NARROW, _WIDE = 2, 4

_PLAIN: dict[str, Callable[..., float]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": lambda a, b: float(np.divide(a, b)),
    "negate": operator.neg,
    "abs": abs,
    "sqrt": lambda a: float(np.sqrt(a)),
}
_UFUNCS = {
    np.add: "add",
    np.subtract: "subtract",
    np.multiply: "multiply",
    np.divide: "divide",
    np.negative: "negate",
    np.absolute: "abs",
    np.sqrt: "sqrt",
}
_COMMUTATIVE = {"add", "multiply", "and", "or", "xor"}
# Functions of the lane mathematics that are one instruction.
_INSTRUCTIONS = {"fma": "fma", "copysign": "logic", "rint": "logic"}
# Expression -> the count that it goes into.
_CLASSES = {
    "add": "additions",
    "subtract": "additions",
    "multiply": "multiplications",
    "fma": "fmas",
    "divide": "divisions",
    "sqrt": "roots",
    "compare": "comparisons",
    "negate": "logic",
    "abs": "logic",
    "select": "logic",
    "logic": "logic",
    "and": "logic",
    "or": "logic",
    "xor": "logic",
    "load": "loads",
    "store": "stores",
}


@dataclass(frozen=True)
class Counts:
    """Operations per lane, or per lane and coordinate.

    `logic` holds what is cheaper than arithmetic: signs, absolute values, selections, masks.
    `calls` counts calls of lane-mathematics functions by name.
    """

    additions: float = 0.0
    multiplications: float = 0.0
    fmas: float = 0.0
    divisions: float = 0.0
    roots: float = 0.0
    comparisons: float = 0.0
    logic: float = 0.0
    loads: float = 0.0
    stores: float = 0.0
    calls: dict[str, float] = field(default_factory=dict)

    def per(self, coordinates: int) -> Counts:
        """Divide all counts by a number of coordinates."""
        values = {name: value for name, value in vars(self).items() if name != "calls"}
        calls = {name: count / coordinates for name, count in self.calls.items()}
        return Counts(**{n: v / coordinates for n, v in values.items()}, calls=calls)


class Ledger:
    """Counts distinct expressions, each under a number of its own."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._numbers: dict[Any, int] = {}

    def number(self, operation: str, *operands: Any) -> int:
        """Return the number of an expression; count it if it is new."""
        if operation in _COMMUTATIVE:
            operands = tuple(sorted(operands, key=repr))
        key = (operation, *operands)
        if key not in self._numbers:
            self._numbers[key] = len(self._numbers)
            self.counts[operation] += 1
        return self._numbers[key]

    def leaf(self, value: float) -> Number:
        """Return a number that is no expression, such as what a row held before the call."""
        self._numbers[object()] = place = len(self._numbers)
        return Number(self, value, place)

    def apply(self, operation: str, *operands: Operand) -> Number:
        """Count an operation and do it."""
        value = _PLAIN[operation](*map(_value, operands))
        return Number(self, value, self.number(operation, *map(_identity, operands)))


class Number:
    """A float that knows which expression it is."""

    __slots__ = ("ledger", "place", "value")

    def __init__(self, ledger: Ledger, value: float, place: int) -> None:
        self.ledger, self.value, self.place = ledger, value, place

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Operand, **_: Any) -> Any:
        """Take the place of a float in ``np.sqrt`` and beside a NumPy number."""
        if method != "__call__" or ufunc not in _UFUNCS:
            return NotImplemented
        return self.ledger.apply(_UFUNCS[ufunc], *inputs)

    def __add__(self, other: Operand) -> Number:
        return self.ledger.apply("add", self, other)

    def __radd__(self, other: float) -> Number:
        return self.ledger.apply("add", other, self)

    def __sub__(self, other: Operand) -> Number:
        return self.ledger.apply("subtract", self, other)

    def __rsub__(self, other: float) -> Number:
        return self.ledger.apply("subtract", other, self)

    def __mul__(self, other: Operand) -> Number:
        return self.ledger.apply("multiply", self, other)

    def __rmul__(self, other: float) -> Number:
        return self.ledger.apply("multiply", other, self)

    def __truediv__(self, other: Operand) -> Number:
        return self.ledger.apply("divide", self, other)

    def __rtruediv__(self, other: float) -> Number:
        return self.ledger.apply("divide", other, self)

    def __neg__(self) -> Number:
        return self.ledger.apply("negate", self)

    def __abs__(self) -> Number:
        return self.ledger.apply("abs", self)

    def _compare(self, how: Callable[[float, float], bool], other: Operand) -> Flag:
        place = self.ledger.number("compare", how.__name__, self.place, _identity(other))
        return Flag(self.ledger, how(self.value, _value(other)), place)

    def __lt__(self, other: Operand) -> Flag:
        return self._compare(operator.lt, other)

    def __le__(self, other: Operand) -> Flag:
        return self._compare(operator.le, other)

    def __gt__(self, other: Operand) -> Flag:
        return self._compare(operator.gt, other)

    def __ge__(self, other: Operand) -> Flag:
        return self._compare(operator.ge, other)

    def __eq__(self, other: object) -> Any:
        return self._compare(operator.eq, other)  # type: ignore[arg-type]

    def __ne__(self, other: object) -> Any:
        return self._compare(operator.ne, other)  # type: ignore[arg-type]

    __hash__ = None  # type: ignore[assignment]


class Flag:
    """The result of a comparison: a mask for one lane."""

    __slots__ = ("ledger", "place", "truth")

    def __init__(self, ledger: Ledger, truth: bool, place: int) -> None:
        self.ledger, self.truth, self.place = ledger, truth, place

    def __bool__(self) -> bool:
        """Select by the mask."""
        self.ledger.number("select", self.place)
        return self.truth

    def _combine(self, name: str, how: Callable[[bool, bool], bool], other: Any) -> Flag:
        truth = bool(how(self.truth, bool(getattr(other, "truth", other))))
        place = self.ledger.number(name, self.place, getattr(other, "place", repr(other)))
        return Flag(self.ledger, truth, place)

    def __and__(self, other: Flag | int) -> Flag:
        return self._combine("and", operator.and_, other)

    def __or__(self, other: Flag | int) -> Flag:
        return self._combine("or", operator.or_, other)

    def __xor__(self, other: Flag | int) -> Flag:
        return self._combine("xor", operator.xor, other)

    __rand__, __ror__, __rxor__ = __and__, __or__, __xor__

    def __eq__(self, other: object) -> bool:
        """Ask, after a loop, whether the mask was ever set: once per tile, so free."""
        return self.truth == bool(other)

    __hash__ = None  # type: ignore[assignment]


class Rows:
    """An array of numbers that counts loads and stores; views share the counts.

    Parameters
    ----------
    ledger : Ledger
        What counts.
    cells : ndarray of object
        The numbers.
    marks : ndarray of int, same shape
        1 = loaded, 2 = stored, 3 = both.
    """

    def __init__(self, ledger: Ledger, cells: Any, marks: Any) -> None:
        self._ledger, self._cells, self._marks = ledger, cells, marks

    @classmethod
    def of(cls, ledger: Ledger, values: FloatArray) -> Rows:
        """Wrap floats."""
        cells = np.empty(values.shape, dtype=object)
        for index, value in np.ndenumerate(values):
            cells[index] = ledger.leaf(float(value))
        return cls(ledger, cells, np.zeros(values.shape, dtype=np.int8))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return tuple(self._cells.shape)

    def values(self) -> FloatArray:
        """Return the numbers as floats."""
        flat = [_value(cell) for cell in self._cells.ravel()]
        return np.array(flat, dtype=float).reshape(self.shape)

    def __getitem__(self, key: Any) -> Any:
        marks = self._marks[key]
        if isinstance(marks, np.ndarray):
            return Rows(self._ledger, self._cells[key], marks)
        if marks == 0:
            self._ledger.counts["load"] += 1
            self._marks[key] = 1
        return self._cells[key]

    def __setitem__(self, key: Any, value: Operand) -> None:
        self._ledger.counts["store"] += int(np.sum(self._marks[key] < 2))
        self._marks[key] |= 2
        self._cells[key] = value


def _value(operand: Any) -> float:
    return operand.value if isinstance(operand, Number) else float(operand)


def _identity(operand: Any) -> Any:
    return operand.place if isinstance(operand, Number) else f"constant {float(operand)!r}"


def _stand_in(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that counts its calls and gives what `function` gives."""

    def counted(*arguments: Operand) -> Any:
        result = function(*map(_value, arguments))
        numbers = [a for a in arguments if isinstance(a, Number)]
        if not numbers:
            return result
        ledger = numbers[0].ledger
        operation = _INSTRUCTIONS.get(name, f"call {name}")
        place = ledger.number(operation, name, *map(_identity, arguments))
        if not isinstance(result, tuple):
            return Number(ledger, float(result), place)
        return tuple(
            Number(ledger, float(part), ledger.number("part", place, k))
            for k, part in enumerate(result)
        )

    return counted


@contextmanager
def _plain_python(kernel: Kernel) -> Iterator[None]:
    """Let kernels call plain Python helpers, and stand-ins for the lane mathematics.

    Works compiled and under ``NUMBA_DISABLE_JIT=1``: compiled helpers still hold their source.
    """
    counted = {id(f): _stand_in(n, f) for n, f in vars(lanemath).items() if n in lanemath.__all__}
    modules = [m for n, m in sys.modules.items() if n.startswith("fastdescent.")]
    modules = [m for m in modules if m is not lanemath]
    own = inspect.getmodule(kernel.function)
    if own is not None and own not in modules:
        modules.append(own)
    replaced: list[tuple[ModuleType, str, Any]] = []
    try:
        for module in modules:
            for name, old in list(vars(module).items()):
                new = counted.get(id(old), getattr(old, "py_func", None))
                if id(old) in counted or isinstance(old, Dispatcher):
                    replaced.append((module, name, old))
                    setattr(module, name, new)
        yield
    finally:
        for module, name, old in replaced:
            setattr(module, name, old)


def _count(kernel: Kernel, make: Callable[[int], list[Any]], again: list[Any]) -> Counts:
    """Count one call of a kernel on arguments that ``make(lanes)`` gives as plain arrays.

    `again` replaces the last arguments for the call that is counted: it is the second one, so
    that what is done at step 1 only is not counted.
    """
    totals = []
    for lanes in (_NARROW, _WIDE):
        arguments = make(lanes)
        ledger = Ledger()
        with _plain_python(kernel):
            rows = [_wrapped(ledger, argument) for argument in arguments]
            if again:
                kernel.function(*rows)
                ledger = Ledger()
                rows = [_renewed(ledger, row) for row in rows]
                rows[len(rows) - len(again) :] = again
            kernel.function(*rows)
        totals.append(ledger.counts)
    return _difference(totals[0], totals[1], _WIDE - _NARROW)


def _wrapped(ledger: Ledger, argument: Any) -> Any:
    # Integers and what all lanes share stay as they are: they are no lanes' traffic.
    lanes = isinstance(argument, np.ndarray) and argument.dtype == float
    return Rows.of(ledger, argument) if lanes else argument


def _renewed(ledger: Ledger, rows: Any) -> Any:
    return Rows.of(ledger, rows.values()) if isinstance(rows, Rows) else rows


def _difference(narrow: Counter[str], wide: Counter[str], lanes: int) -> Counts:
    totals: dict[str, float] = {}
    calls: dict[str, float] = {}
    for name, count in wide.items():
        each = (count - narrow[name]) / lanes
        if name.startswith("call "):
            calls[name.removeprefix("call ")] = each
        elif name != "part":
            totals[_CLASSES[name]] = totals.get(_CLASSES[name], 0.0) + each
    return Counts(**totals, calls={name: count for name, count in calls.items() if count})


def columns(values: Any, lanes: int) -> FloatArray:
    """Return one row per value, the same in every lane."""
    return np.repeat(np.array(list(values), dtype=float).reshape(-1, 1), lanes, axis=1)


def hyper_rows(optimizer: Optimizer, lanes: int) -> FloatArray:
    """Return a rule's hyper-parameters as the engine does, the last row saying they are shared."""
    return columns([*optimizer.base_values().values(), 1.0], lanes)


def count_update(optimizer: Optimizer, dim: int) -> Counts:
    """Count what a rule's update kernel does per lane.

    Parameters
    ----------
    optimizer : Optimizer
        The rule, its hyper-parameters numbers.
    dim : int
        Number of coordinates.

    Returns
    -------
    Counts
        Per lane, for all coordinates together.

    Examples
    --------
    >>> from fastdescent.optimizers import GradientDescent
    >>> counts = count_update(GradientDescent(), dim=3)
    >>> counts.multiplications, counts.loads, counts.stores
    (3.0, 7.0, 3.0)
    """

    def make(lanes: int) -> list[Any]:
        random = np.random.default_rng(1)
        theta, grad = random.standard_normal((2, dim, lanes))
        state = np.zeros((optimizer.state_rows(dim), lanes))
        hyper = hyper_rows(optimizer, lanes)
        return [theta, grad, np.ones(lanes), state, hyper, 1]

    return _count(optimizer.update_kernel(), make, [2])


def count_query(optimizer: Optimizer, dim: int) -> Counts:
    """Count what a rule's query kernel does per lane; see `count_update`."""
    kernel = optimizer.query_kernel()
    if kernel is None:
        return Counts()

    def make(lanes: int) -> list[Any]:
        theta, point = np.random.default_rng(1).standard_normal((2, dim, lanes))
        state = np.ones((optimizer.state_rows(dim), lanes))
        hyper = hyper_rows(optimizer, lanes)
        return [theta, state, hyper, 2, point]

    return _count(kernel, make, [])


def count_landscape(landscape: Landscape) -> Counts:
    """Count what a landscape's kernel for value and gradient does per lane.

    Parameters
    ----------
    landscape : Landscape
        The landscape, its parameters numbers.

    Returns
    -------
    Counts
        Per lane, for all coordinates together.

    Examples
    --------
    >>> from fastdescent.landscapes import Bowl
    >>> counts = count_landscape(Bowl(dim=1))
    >>> counts.multiplications, counts.loads, counts.stores
    (3.0, 2.0, 2.0)
    """
    dim, rows = landscape.dim, landscape.dim + landscape.workspace

    def make(lanes: int) -> list[Any]:
        low, high = landscape.domain.T
        theta = np.random.default_rng(1).uniform(low, high, (lanes, dim)).T
        params = columns(landscape.base_values().values(), lanes)
        batch = np.zeros((0, lanes), dtype=np.int64)
        loss, grad = np.ones(lanes), np.ones((rows, lanes))
        return [theta, params, _Shared(landscape.kernel_data()), batch, loss, grad]

    return _count(landscape.kernel, make, [])


class _Shared:
    """An array that all lanes share: reading it is one load per tile, which drops out."""

    def __init__(self, values: FloatArray) -> None:
        self._values, self.shape = values, values.shape

    def __getitem__(self, key: Any) -> Any:
        part = self._values[key]
        return _Shared(part) if part.ndim else float(part)
