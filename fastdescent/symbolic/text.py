"""Losses as text: a reader that can do nothing but arithmetic, and its inverse.

The reader knows numbers, coordinates, parameters, operators, comparisons and the functions
of a list, and no other thing: no attributes, no strings, no calls of anything else.  It is a
plain precedence parser, not Python's, so no text can make it run code, and what it holds is
bounded by the length of the text and by the limits of `expression`.

Grammar, loosest first: ``or``, ``and``, ``not``, comparisons (not chained), ``+ -``, ``* / @``,
sign, ``**``, then numbers, names, ``x[0]``, ``f(a, b)`` and brackets.  Coordinates are
``x[0]``, ``x[1]``, ...; ``x``, ``y``, ``z`` alone stand for the first three where neither
``x[...]`` nor a function of vectors (sum, prod, dot, norm) is used.

Examples
--------
>>> expression, dim = read("x**2 + 15*y**2")
>>> dim, written(expression, dim)
(2, 'x**2 + 15*y**2')
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from functools import lru_cache
from typing import Any

from fastdescent.errors import InvalidValueError, UnknownNameError
from fastdescent.symbolic import functions
from fastdescent.symbolic.expression import (
    MOST_BRACKETS,
    MOST_COORDINATES,
    MOST_NODES,
    Expression,
    Vector,
    as_expression,
    compare,
    coordinate,
    logic,
    parameter,
    support,
)

__all__ = ["RESERVED", "read", "written"]

MOST_CHARACTERS = 100_000
_NAMES = ("x", "y", "z")
_CONSTANTS = {"pi": functions.pi, "e": functions.e}
#: Names that no parameter can have.
RESERVED = frozenset([*_NAMES, *_CONSTANTS, *functions.SCALAR, *functions.VECTOR]) | {
    *("and", "or", "not", "if", "else", "for", "in", "is", "lambda", "True", "False", "None"),
    *("expression", "dim", "params", "box", "title", "known_minimum", "known_minima"),
}

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?![\w.])"
    r"|(?P<name>[A-Za-z_]\w*)|(?P<sign>\*\*|<=|>=|==|!=|[-+*/@<>()\[\],]))",
    re.ASCII,
)
_COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
_BINDING = {"or": 1, "and": 2, **dict.fromkeys(_COMPARISONS, 4), "+": 5, "-": 5}
_BINDING |= {"*": 6, "/": 6, "@": 6, "**": 8}
_NOT, _COMPARISON, _SIGN, _ATOM = 3, 4, 7, 9


def read(text: str, dim: int | None = None, names: Collection[str] = ()) -> tuple[Expression, int]:
    """Read a loss.

    Parameters
    ----------
    text : str
        The loss.
    dim : int, optional
        Number of coordinates; by default as many as the text uses.
    names : collection of str
        The parameters.

    Returns
    -------
    Expression, int
        The loss and the number of its coordinates.

    Raises
    ------
    InvalidValueError
        If the text is no loss, or too large.
    UnknownNameError
        If it names something that is not known.
    """
    if not isinstance(text, str):
        raise InvalidValueError("Formula.expression", text, 'text, such as "x**2 + 15*y**2"')
    return _read(text, dim, frozenset(names))


@lru_cache(maxsize=256)
def _read(text: str, dim: int | None, names: frozenset[str]) -> tuple[Expression, int]:
    if len(text) > MOST_CHARACTERS:
        raise InvalidValueError(
            "Formula.expression", f"{len(text)} characters", f"at most {MOST_CHARACTERS} characters"
        )
    reader = _Reader(text, dim, names)
    root = as_expression_of(reader.whole())
    used = support([root])[root.serial].bit_length()
    if dim is None:
        dim = max(used, 1)
    if used > dim:
        raise InvalidValueError(
            "Formula.dim", dim, f"at least {used}", "the expression uses so many coordinates"
        )
    return root, dim


def as_expression_of(value: Any) -> Expression:
    """Return the loss itself, which is one number."""
    if isinstance(value, Vector):
        raise InvalidValueError(
            "Formula.expression", value, "one number, not a vector", "write sum(...), say"
        )
    return as_expression(value)


class _Reader:
    """A precedence parser (V. R. Pratt, 1973)."""

    def __init__(self, text: str, dim: int | None, names: frozenset[str]) -> None:
        self._text, self._names = text, names
        self._tokens = list(self._split())
        self._at = self._depth = self._made = 0
        words = {token for token, _ in self._tokens}
        vector = (words & functions.VECTOR.keys()) and "x" in words and not words & {"y", "z"}
        vector = vector or any(
            a == "x" and b == "["
            for (a, _), (b, _) in zip(self._tokens, self._tokens[1:], strict=False)
        )
        self._x = self._vector(dim) if vector else None

    def _vector(self, dim: int | None) -> Vector:
        if dim is None:
            indices = re.findall(r"\bx\s*\[\s*(\d{1,9})\s*\]", self._text)
            if not indices or re.search(r"\bx\b(?!\s*\[)", self._text):
                raise InvalidValueError(
                    "Formula.dim", None, "the number of coordinates", "give dim=2, say"
                )
            dim = 1 + max(map(int, indices))
        if dim > MOST_COORDINATES:
            raise InvalidValueError("Formula.dim", dim, f"at most {MOST_COORDINATES}")
        return Vector(map(coordinate, range(dim)))

    def _split(self) -> Iterator[tuple[str, str]]:
        """Yield tokens and their kinds."""
        at, end = 0, len(self._text.rstrip())
        while at < end:
            match = _TOKEN.match(self._text, at)
            if match is None:
                raise self._wrong(self._text[at:].strip()[:20])
            yield match[str(match.lastgroup)], str(match.lastgroup)
            at = match.end()
        yield "", "end"

    def _wrong(self, found: str) -> InvalidValueError:
        way_out = "powers are written x**2" if found.startswith("^") else ""
        shown = self._text if len(self._text) <= 60 else self._text[:57] + "..."
        return InvalidValueError(
            f"expression {shown!r}",
            found or "its end",
            "numbers, x[0] or x, y, z, parameters, + - * / **, comparisons, brackets and "
            f"{', '.join(sorted([*functions.SCALAR, *functions.VECTOR]))}",
            way_out,
        )

    def whole(self) -> Any:
        """Read all of the text."""
        value = self._value(0)
        if self._tokens[self._at][1] != "end":
            raise self._wrong(self._tokens[self._at][0])
        return value

    def _next(self) -> tuple[str, str]:
        token = self._tokens[self._at]
        self._at += 1
        if token[1] == "end":
            raise self._wrong("")
        return token

    def _expect(self, sign: str) -> None:
        token, kind = self._tokens[self._at]
        if (token, kind) != (sign, "sign"):
            raise self._wrong(token)
        self._at += 1

    def _value(self, binding: int) -> Any:
        """Read as far as operators bind more tightly than `binding`."""
        self._depth += 1
        if self._depth > 2 * MOST_BRACKETS:
            raise InvalidValueError(
                "Formula.expression",
                f"{self._text[:40]}...",
                f"at most {MOST_BRACKETS} brackets deep",
            )
        left = self._prefix()
        compared = False
        while True:
            operator, kind = self._tokens[self._at]
            strength = _BINDING.get(operator, 0) if kind != "number" else 0
            if strength <= binding:
                break
            if strength == _COMPARISON and compared:
                raise self._wrong(operator)  # a < b < c
            compared = strength == _COMPARISON
            self._at += 1
            right = self._value(strength - 1 if operator == "**" else strength)
            left = self._counted(_combined(operator, left, right))
        self._depth -= 1
        return left

    def _prefix(self) -> Any:
        token, kind = self._next()
        if kind == "number":
            return as_expression(float(token))
        if kind == "name":
            return self._named(token)
        if token == "(":
            inside = self._value(0)
            self._expect(")")
            return inside
        if token in ("-", "+"):
            operand = self._value(_SIGN)
            return self._counted(-operand) if token == "-" else operand
        raise self._wrong(token)

    def _named(self, name: str) -> Any:
        called = self._tokens[self._at] == ("(", "sign")
        if name == "not":
            return logic("not", self._value(_NOT))
        if called:
            return self._call(name)
        if name in self._names:
            return parameter(name)
        if name in _CONSTANTS:
            return as_expression(_CONSTANTS[name])
        if name == "x" and self._x is not None:
            return self._item() if self._tokens[self._at] == ("[", "sign") else self._x
        if name in _NAMES and self._x is None:
            return coordinate(_NAMES.index(name))
        known = [*self._names, *_CONSTANTS, *(_NAMES if self._x is None else ("x[0]",))]
        raise UnknownNameError("name in the expression", name[:40], known)

    def _item(self) -> Any:
        self._expect("[")
        negative = self._tokens[self._at] == ("-", "sign")
        self._at += negative
        token, kind = self._next()
        if kind != "number" or not token.isdigit() or len(token) > 9:
            raise self._wrong(f"x[{token}")
        self._expect("]")
        index = -int(token) if negative else int(token)
        length = 0 if self._x is None else len(self._x)
        if self._x is None or not -length <= index < length:
            raise InvalidValueError(
                "Formula.expression", f"x[{index}]", f"an index below dim = {length}"
            )
        return self._x[index]

    def _call(self, name: str) -> Any:
        known: dict[str, tuple[Callable[..., Any], int]] = functions.SCALAR | functions.VECTOR
        if name not in known:
            raise UnknownNameError("function in the expression", name[:40], known)
        function, count = known[name]
        self._expect("(")
        arguments = [self._value(0)]
        while self._tokens[self._at] == (",", "sign"):
            self._at += 1
            arguments.append(self._value(0))
        self._expect(")")
        several = name in ("min", "max", "minimum", "maximum") and len(arguments) >= 2
        if len(arguments) != count and not several:
            raise InvalidValueError(
                f"expression, function {name}", f"{len(arguments)} arguments", f"{count} of them"
            )
        return self._counted(function(*arguments))

    def _counted(self, value: Any) -> Any:
        """Bound what vectors cost: a short text can do much with a long one."""
        if isinstance(value, Vector):
            self._made += len(value)
        if self._made > 5 * MOST_NODES:
            raise InvalidValueError(
                "Formula.expression",
                f"{self._made} operations on elements of x",
                f"at most {5 * MOST_NODES}",
            )
        return value


def _combined(operator: str, left: Any, right: Any) -> Any:
    if operator in ("and", "or"):
        return logic(operator, left, right)
    if operator in _COMPARISONS:
        return compare(operator, left, right)
    return functions.OPERATORS[operator](left, right)


def written(root: Expression, dim: int) -> str:
    """Return the text of an expression, from which `read` makes the same one again."""
    out: list[str] = []
    _write(root, 0, dim <= len(_NAMES), out)
    return "".join(out)


def _strength(node: Expression) -> int:
    if node.operation == "number":
        return _ATOM if node.payload >= 0.0 else _SIGN
    fixed = {"negate": _SIGN, "not": _NOT, "**": 8}
    return fixed.get(node.operation, _BINDING.get(node.operation, _ATOM))


def _write(node: Expression, binding: int, plain: bool, out: list[str]) -> None:
    """Write a node where operators bind with strength `binding`."""
    strength = _strength(node)
    if strength < binding:
        out.append("(")
        _write(node, 0, plain, out)
        out.append(")")
        return
    # Down the left side first: sums of a thousand terms nest that deep.
    tails: list[tuple[str, Expression, int]] = []
    while node.operation in _BINDING and node.operation != "**":
        left, right = node.arguments
        strength = _strength(node)
        tails.append((node.operation, right, strength + 1))
        node, needed = left, strength + (strength == _COMPARISON)
        if _strength(node) < needed:
            _write(node, needed, plain, out)
            break
    else:
        _write_end(node, plain, out)
    for operation, right, needed in reversed(tails):
        out.append(f" {operation} " if _BINDING[operation] < 6 else operation)
        _write(right, needed, plain, out)


def _write_end(node: Expression, plain: bool, out: list[str]) -> None:
    """Write what is no chain of binary operators."""
    operation, payload = node.operation, node.payload
    if operation == "number":
        out.append(number_text(payload))
    elif operation == "parameter":
        out.append(payload)
    elif operation == "coordinate":
        out.append(_NAMES[payload] if plain else f"x[{payload}]")
    elif operation == "negate":
        out.append("-")
        _write(node.arguments[0], _SIGN + 1, plain, out)
    elif operation == "not":
        out.append("not ")
        _write(node.arguments[0], _NOT, plain, out)
    elif operation == "**":
        _write(node.arguments[0], _ATOM, plain, out)
        out.append(f"**{number_text(payload)}")
    else:
        out.append(f"{operation}(")
        for place, argument in enumerate(node.arguments):
            out.append(", " if place else "")
            _write(argument, 0, plain, out)
        out.append(")")


def number_text(value: float) -> str:
    """Return a number's shortest text."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e16 else repr(value)
