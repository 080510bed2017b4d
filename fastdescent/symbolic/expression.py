"""Expressions: what a loss is while it is traced, and what a kernel is made from.

A loss is a graph of operations on coordinates, parameters and numbers.  Equal parts of it are
one and the same node, so common subexpressions are found when they are made.  Arithmetic on
nodes follows what was written: only operations on numbers alone are carried out, so a loss
reads back as its author wrote it.

Nothing that grows beyond what a kernel can be made of is ever held: a node knows how long it
would be in print and how deep its brackets would be, and refuses to be made beyond that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from hashlib import blake2b
from typing import Any, NoReturn
from weakref import WeakValueDictionary

import numpy as np

from fastdescent.errors import InvalidValueError

__all__ = [
    "CONDITIONS",
    "Expression",
    "Growing",
    "Vector",
    "as_expression",
    "coordinate",
    "evaluate",
    "make",
    "mapped",
    "matrix_product",
    "node",
    "number",
    "ordered",
    "parameter",
    "support",
]

#: Most nodes of an expression written out, and most brackets inside each other.
MOST_NODES = 20_000
MOST_BRACKETS = 100
MOST_COORDINATES = 10_000
_LARGEST_POWER = 1024

CONDITIONS = frozenset(["<", "<=", ">", ">=", "==", "!=", "and", "or", "not"])
_LEFT = {"+": 1, "-": 1, "*": 2, "/": 2}  # operations that need no bracket on the left

_WRITE_ONE = "write the kernel by hand: see 'Your own rule, your own landscape' in the README"


class _Operators:
    """The operators of expressions and vectors: elementwise on vectors and arrays."""

    __slots__ = ()
    __hash__ = object.__hash__
    __array_priority__ = 1000.0

    def __add__(self, other: Any) -> Any:
        return mapped(add, self, other)

    def __radd__(self, other: Any) -> Any:
        return mapped(add, other, self)

    def __sub__(self, other: Any) -> Any:
        return mapped(subtract, self, other)

    def __rsub__(self, other: Any) -> Any:
        return mapped(subtract, other, self)

    def __mul__(self, other: Any) -> Any:
        return mapped(multiply, self, other)

    def __rmul__(self, other: Any) -> Any:
        return mapped(multiply, other, self)

    def __truediv__(self, other: Any) -> Any:
        return mapped(divide, self, other)

    def __rtruediv__(self, other: Any) -> Any:
        return mapped(divide, other, self)

    def __pow__(self, other: Any) -> Any:
        return mapped(power, self, other)

    def __rpow__(self, other: Any) -> Any:
        return mapped(power, other, self)

    def __neg__(self) -> Any:
        return mapped(negate, self)

    def __pos__(self) -> Any:
        return self

    def __abs__(self) -> Any:
        return mapped(lambda a: make("abs", as_expression(a)), self)

    def __lt__(self, other: Any) -> Any:
        return mapped(lambda a, b: compare("<", a, b), self, other)

    def __le__(self, other: Any) -> Any:
        return mapped(lambda a, b: compare("<=", a, b), self, other)

    def __gt__(self, other: Any) -> Any:
        return mapped(lambda a, b: compare(">", a, b), self, other)

    def __ge__(self, other: Any) -> Any:
        return mapped(lambda a, b: compare(">=", a, b), self, other)

    def __eq__(self, other: Any) -> Any:
        return mapped(lambda a, b: compare("==", a, b), self, other)

    def __ne__(self, other: Any) -> Any:
        return mapped(lambda a, b: compare("!=", a, b), self, other)

    def __and__(self, other: Any) -> Any:
        return mapped(lambda a, b: logic("and", a, b), self, other)

    def __or__(self, other: Any) -> Any:
        return mapped(lambda a, b: logic("or", a, b), self, other)

    def __invert__(self) -> Any:
        return mapped(lambda a: logic("not", a), self)

    def __bool__(self) -> bool:
        raise InvalidValueError(
            "landscape: a branch on x",
            self,
            "a formula that is the same everywhere, since it is traced once and x has no value "
            "then (if, and, or, not, max, min, in and == ask for one)",
            "write fd.math.where(x[0] > 0, a, b), fd.math.maximum, fd.math.minimum, & and |",
        )

    def _refused(self, *_: Any) -> NoReturn:
        raise InvalidValueError(
            "landscape: an operation on x",
            self,
            "arithmetic (+ - * / **) and the functions of fd.math",
            "a value of x (float, int, round, %, //, math.sin) is not known while the loss "
            "is traced: write fd.math.sin, say",
        )

    __float__ = __int__ = __index__ = __complex__ = __round__ = __floor__ = __ceil__ = _refused
    __trunc__ = __mod__ = __rmod__ = __floordiv__ = __rfloordiv__ = __divmod__ = _refused
    __xor__ = __lshift__ = __rshift__ = _refused

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        """Let NumPy's functions of the same names, ``np.sin(x[0])`` say, be traced too."""
        from fastdescent.symbolic import functions  # noqa: PLC0415 - it imports this module

        function = functions.OF_UFUNC.get(ufunc.__name__)
        if function is None or method != "__call__" or options:
            self._refused()
        return function(*map(_without_arrays, inputs))


class Expression(_Operators):
    """A node: an operation on other nodes, a coordinate, a parameter or a number.

    Attributes
    ----------
    operation : str
        "number", "coordinate", "parameter", an operator or the name of a function.
    payload : object
        The number, the index, the name, or the exponent of "**".
    arguments : tuple of Expression
        What it operates on.
    serial : int
        Number of the node in this process.
    rank : bytes
        A hash of what it is, the same in every process: operands are sorted by it.
    size, depth : int
        Nodes and nested brackets when written out.
    """

    __slots__ = (
        "__weakref__",
        "arguments",
        "depth",
        "operation",
        "payload",
        "rank",
        "serial",
        "size",
    )

    operation: str
    payload: Any
    arguments: tuple[Expression, ...]
    serial: int
    rank: bytes
    size: int
    depth: int

    @property
    def is_condition(self) -> bool:
        """Whether it is true or false instead of a number."""
        return self.operation in CONDITIONS

    def __repr__(self) -> str:
        from fastdescent.symbolic.text import written  # noqa: PLC0415 - it imports this module

        return written(self, MOST_COORDINATES)

    def __iter__(self) -> NoReturn:
        raise InvalidValueError(
            "landscape: iteration", self, "a loop over x, not over one coordinate of it"
        )

    def __getitem__(self, index: Any) -> NoReturn:
        raise InvalidValueError(
            "landscape: an index", index, "one index, such as x[0]", f"{self!r} is a number"
        )

    def __array__(self, *_: Any, **__: Any) -> Any:
        """Be an object to NumPy, not a sequence that it cannot read."""
        array = np.empty((), dtype=object)
        array[()] = self
        return array

    def _sympy_(self) -> Any:
        """Convert to SymPy, so that its functions can be used in a loss as well."""
        from fastdescent.symbolic.bridge import to_sympy  # noqa: PLC0415 - SymPy is slow to import

        return to_sympy(self)


class Vector(_Operators, Sequence[Any]):
    """Several expressions, with arithmetic elementwise, as NumPy has it."""

    __slots__ = ("_items",)

    def __init__(self, items: Iterable[Any]) -> None:
        self._items = tuple(items)

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._items)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Vector(self._items[index])
        if isinstance(index, bool) or not isinstance(index, int | np.integer):
            raise InvalidValueError(
                "landscape: an index", index, "an integer or a slice, such as x[0] or x[1:]"
            )
        if not -len(self) <= index < len(self):
            raise IndexError(f"index {index} of a vector of length {len(self)}")
        return self._items[index]

    def __matmul__(self, other: Any) -> Any:
        return matrix_product(self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return matrix_product(other, self)

    @property
    def shape(self) -> tuple[int]:
        """Its length, as an array's shape."""
        return (len(self),)

    def sum(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        """Return the sum, also for ``np.sum``."""
        return total(self)

    def prod(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        """Return the product, also for ``np.prod``."""
        return product(self)

    def mean(self, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        """Return the mean, also for ``np.mean``."""
        return total(self) / len(self)

    def __repr__(self) -> str:
        return f"[{', '.join(map(repr, self._items[:10]))}{', ...' * (len(self) > 10)}]"


class Growing(_Operators):
    """The vector x while its length is not known: it finds out by its largest index."""

    __slots__ = ("length",)

    def __init__(self) -> None:
        self.length = 0

    def __getitem__(self, index: Any) -> Expression:
        if isinstance(index, bool) or not isinstance(index, int | np.integer) or index < 0:
            self._refused()
        self.length = max(self.length, int(index) + 1)
        return coordinate(int(index))

    def _refused(self, *_: Any) -> NoReturn:
        raise InvalidValueError(
            "landscape: dim",
            None,
            "the number of coordinates",
            "it can be left out only where every use of x is x[0], x[1], ...: give dim=2, say",
        )

    def __array_ufunc__(self, *_: Any, **__: Any) -> NoReturn:
        self._refused()

    __len__ = __iter__ = __bool__ = __neg__ = __abs__ = __matmul__ = __rmatmul__ = _refused
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __pow__ = __rpow__ = _refused
    __truediv__ = __rtruediv__ = __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = _refused
    __hash__ = object.__hash__

    def __repr__(self) -> str:
        return "x of unknown length"


_KNOWN: WeakValueDictionary[tuple[Any, ...], Expression] = WeakValueDictionary()
_serial = iter(range(2**62))


def make(operation: str, *arguments: Expression, payload: Any = None) -> Expression:
    """Return the node of an operation that a user has written.

    Raises
    ------
    InvalidValueError
        If the expression becomes too large.
    """
    made = node(operation, *arguments, payload=payload)
    if made.size > MOST_NODES or made.depth > MOST_BRACKETS:
        raise InvalidValueError(
            "landscape: the size of the expression",
            f"{made.size} operations, {made.depth} brackets deep",
            f"at most {MOST_NODES} operations, {MOST_BRACKETS} brackets deep, written out",
            _WRITE_ONE,
        )
    return made


def node(operation: str, *arguments: Expression, payload: Any = None) -> Expression:
    """Return the node of an operation, the same one for the same arguments."""
    key = (operation, payload, *(argument.serial for argument in arguments))
    found = _KNOWN.get(key)
    if found is None:
        found = Expression()
        found.operation, found.payload, found.arguments = operation, payload, arguments
        found.size = 1 + sum(argument.size for argument in arguments)
        found.depth = _depth(operation, arguments)
        found.serial = next(_serial)
        ranks = b"".join(argument.rank for argument in arguments)
        found.rank = blake2b(f"{operation} {payload!r} ".encode() + ranks, digest_size=8).digest()
        _KNOWN[key] = found
    return found


def _depth(operation: str, arguments: tuple[Expression, ...]) -> int:
    deepest = 0
    for place, argument in enumerate(arguments):
        level = _LEFT.get(operation, 0)
        flat = place == 0 and 0 < level <= _LEFT.get(argument.operation, 0)
        deepest = max(deepest, argument.depth + (not flat))
    return deepest


def number(value: float) -> Expression:
    """Return the node of a finite number."""
    if not math.isfinite(value):
        raise InvalidValueError("landscape: a number", value, "a finite number")
    return make("number", payload=float(value) + 0.0)  # no -0.0, which equals 0.0 as a key


def coordinate(index: int) -> Expression:
    """Return the node of a coordinate."""
    return make("coordinate", payload=index)


def parameter(name: str) -> Expression:
    """Return the node of a parameter."""
    return make("parameter", payload=name)


def as_expression(value: Any) -> Expression:
    """Return a value as a number's node; a condition is 1 where it holds and 0 elsewhere.

    Raises
    ------
    InvalidValueError
        If it is no real number and no expression.
    """
    if isinstance(value, Expression):
        return make("where", value, number(1.0), number(0.0)) if value.is_condition else value
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, bool | int | float | np.bool_ | np.integer | np.floating | Fraction):
        try:
            return number(float(value))
        except OverflowError:
            raise InvalidValueError("landscape: a number", value, "at most 1.8e308") from None
    if type(value).__module__.partition(".")[0] == "sympy":
        from fastdescent.symbolic.bridge import from_sympy  # noqa: PLC0415 - as above

        return from_sympy(value)
    raise InvalidValueError(
        "landscape: an operand",
        value,
        "a real number, a coordinate such as x[0], a parameter, or what is made from them",
    )


def _is_several(value: Any) -> bool:
    return isinstance(value, Vector | list | tuple) or (
        isinstance(value, np.ndarray) and value.ndim > 0
    )


def mapped(function: Callable[..., Any], *operands: Any) -> Any:
    """Call a function of expressions elementwise where operands are vectors."""
    several = [operand for operand in operands if _is_several(operand)]
    if not several:
        return function(*operands)
    lengths = {len(operand) for operand in several}
    if len(lengths) > 1:
        raise InvalidValueError(
            "landscape: vectors", sorted(lengths), "vectors of one length", "or numbers"
        )
    columns = [
        operand if _is_several(operand) else [operand] * lengths.copy().pop()
        for operand in operands
    ]
    return Vector(mapped(function, *row) for row in zip(*columns, strict=True))


def total(values: Iterable[Any]) -> Any:
    """Return the sum from left to right."""
    result: Any = None
    for value in values:
        result = value if result is None else mapped(add, result, value)
    return as_expression(0.0) if result is None else result


def product(values: Iterable[Any]) -> Any:
    """Return the product from left to right."""
    result: Any = None
    for value in values:
        result = value if result is None else mapped(multiply, result, value)
    return as_expression(1.0) if result is None else result


def _without_arrays(value: Any) -> Any:
    """Return what NumPy's operators will not take back: lists for arrays."""
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def matrix_product(left: Any, right: Any) -> Any:
    """Return the product of vectors and matrices."""
    left, right = _without_arrays(left), _without_arrays(right)
    if isinstance(left, list) and left and isinstance(left[0], list):
        return Vector(matrix_product(row, right) for row in left)
    if isinstance(right, list) and right and isinstance(right[0], list):
        return Vector(matrix_product(left, column) for column in zip(*right, strict=True))
    if not (_is_several(left) and _is_several(right)):
        raise InvalidValueError("landscape: an operand of @", left, "vectors and matrices")
    return total(mapped(multiply, left, right))


def _numbers(*nodes: Expression) -> bool:
    return all(node.operation == "number" for node in nodes)


def is_number(node: Expression, value: float) -> bool:
    """Return whether a node is that number."""
    return node.operation == "number" and node.payload == value


def add(left: Any, right: Any) -> Expression:
    """Return left + right."""
    a, b = as_expression(left), as_expression(right)
    if _numbers(a, b):
        return number(a.payload + b.payload)
    if is_number(a, 0.0) or is_number(b, 0.0):
        return b if is_number(a, 0.0) else a
    return make("+", a, b)


def subtract(left: Any, right: Any) -> Expression:
    """Return left - right."""
    a, b = as_expression(left), as_expression(right)
    if _numbers(a, b):
        return number(a.payload - b.payload)
    if is_number(a, 0.0) or is_number(b, 0.0):
        return negate(b) if is_number(a, 0.0) else a
    return make("-", a, b)


def multiply(left: Any, right: Any) -> Expression:
    """Return left * right."""
    a, b = as_expression(left), as_expression(right)
    if _numbers(a, b):
        return number(a.payload * b.payload)
    if is_number(a, 1.0) or is_number(b, 1.0):
        return b if is_number(a, 1.0) else a
    return make("*", a, b)


def divide(left: Any, right: Any) -> Expression:
    """Return left / right."""
    a, b = as_expression(left), as_expression(right)
    if is_number(b, 0.0):
        raise InvalidValueError("landscape: a divisor", 0, "any number but 0")
    if _numbers(a, b):
        return number(a.payload / b.payload)
    return a if is_number(b, 1.0) else make("/", a, b)


def negate(operand: Any) -> Expression:
    """Return -operand."""
    a = as_expression(operand)
    if a.operation == "number":
        return number(-a.payload)
    return a.arguments[0] if a.operation == "negate" else make("negate", a)


def power(base: Any, exponent: Any) -> Expression:
    """Return base ** exponent.

    Integer and half-integer exponents are products and square roots; any other power is
    exp(exponent * log(base)), which is defined for base > 0 only.
    """
    a, b = as_expression(base), as_expression(exponent)
    if b.operation != "number":
        return make("exp", multiply(b, log(a)))
    p = b.payload
    if abs(p) > _LARGEST_POWER:
        raise InvalidValueError(
            "landscape: an exponent", p, f"from -{_LARGEST_POWER} to {_LARGEST_POWER}"
        )
    if p < 0.0:
        return divide(1.0, power(a, -p))
    if p in (0.0, 1.0):
        return number(1.0) if p == 0.0 else a
    if p == 0.5:
        return sqrt(a)
    if a.operation == "number" and p.is_integer():
        return number(_repeated(a.payload, int(p)))
    return make("**", a, payload=p)


def _repeated(value: float, times: int) -> float:
    """Return a power by products: those of libm differ from machine to machine."""
    result = 1.0
    for bit in bin(times)[2:]:
        result *= result * (value if bit == "1" else 1.0)
    return result


def sqrt(operand: Any) -> Expression:
    """Return the square root."""
    a = as_expression(operand)
    if a.operation == "number" and a.payload >= 0.0:
        return number(math.sqrt(a.payload))
    return make("sqrt", a)


def log(operand: Any) -> Expression:
    """Return the natural logarithm."""
    a = as_expression(operand)
    return number(0.0) if is_number(a, 1.0) else make("log", a)


def compare(relation: str, left: Any, right: Any) -> Expression:
    """Return a condition."""
    return make(relation, as_expression(left), as_expression(right))


def logic(operation: str, *operands: Any) -> Expression:
    """Return a condition made of conditions."""
    for operand in operands:
        if not isinstance(operand, Expression) or not operand.is_condition:
            raise InvalidValueError(
                f"landscape: an operand of {operation!r}",
                operand,
                "a condition, such as (x[0] > 0)",
            )
    return make(operation, *operands)


def where(condition: Any, if_true: Any, if_false: Any) -> Expression:
    """Return one of two expressions."""
    if isinstance(condition, bool | np.bool_):
        return as_expression(if_true if condition else if_false)
    if not isinstance(condition, Expression) or not condition.is_condition:
        raise InvalidValueError(
            "fd.math.where, condition", condition, "a comparison, such as x[0] > 0"
        )
    a, b = as_expression(if_true), as_expression(if_false)
    return a if a is b else make("where", condition, a, b)


def ordered(roots: Iterable[Expression]) -> list[Expression]:
    """Return all nodes below some roots, arguments before what is made of them.

    The order depends on the expressions alone, not on what else this process has made.
    """
    found: dict[int, Expression] = {}
    opened: set[int] = set()
    waiting = list(reversed(list(roots)))
    while waiting:
        node = waiting[-1]
        if node.serial in found or node.serial in opened:
            found.setdefault(node.serial, node)
            waiting.pop()
        else:
            opened.add(node.serial)
            waiting.extend(reversed(node.arguments))
    return list(found.values())


def support(roots: Iterable[Expression]) -> dict[int, int]:
    """Return for each node below some roots the coordinates it depends on, as bits."""
    bits: dict[int, int] = {}
    for node in ordered(roots):
        own = 1 << node.payload if node.operation == "coordinate" else 0
        for argument in node.arguments:
            own |= bits[argument.serial]
        bits[node.serial] = own
    return bits


def evaluate(root: Expression, leaf: Callable[[Expression], Any], apply: Callable[..., Any]) -> Any:
    """Evaluate a graph from its leaves: ``apply(node, *values)`` for every operation."""
    values: dict[int, Any] = {}
    for node in ordered([root]):
        inside = [values[argument.serial] for argument in node.arguments]
        values[node.serial] = apply(node, *inside) if inside else leaf(node)
    return values[root.serial]
