"""Expressions in other hands: SymPy, NumPy, mpmath and whatever has functions like theirs."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from fastdescent.errors import InvalidValueError
from fastdescent.symbolic import expression as graph
from fastdescent.symbolic import functions
from fastdescent.symbolic.expression import Expression, evaluate

__all__ = ["applied", "from_sympy", "to_sympy"]

_ARITHMETIC: dict[str, Callable[..., Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "negate": lambda a: -a,
    "abs": abs,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def applied(m: Any, node: Expression, inside: Sequence[Any]) -> Any:
    """Carry out an operation with the functions of module `m`, such as ``sympy`` or ``numpy``."""
    operation = node.operation
    if operation in _ARITHMETIC:
        return _ARITHMETIC[operation](*inside)
    if operation == "**":
        p = node.payload
        return inside[0] ** (int(p) if p.is_integer() else p)
    if operation == "sigmoid":
        return 1 / (1 + m.exp(-inside[0]))
    if m.__name__.partition(".")[0] == "sympy":
        return _in_sympy(m, operation, inside)
    numpy = {"and": "logical_and", "or": "logical_or", "not": "logical_not"}
    numpy |= {"==": "equal", "!=": "not_equal"}
    if hasattr(m, "where"):
        return getattr(m, numpy.get(operation, operation))(*inside)
    return _on_numbers(m, operation, inside)


def _in_sympy(m: Any, operation: str, inside: Sequence[Any]) -> Any:
    if operation == "where":
        return m.Piecewise((inside[1], inside[0]), (inside[2], True))
    names = {"maximum": "Max", "minimum": "Min", "and": "And", "or": "Or", "not": "Not"}
    names |= {"==": "Eq", "!=": "Ne"}
    return getattr(m, names.get(operation, operation))(*inside)


def _on_numbers(m: Any, operation: str, inside: Sequence[Any]) -> Any:
    """For modules of scalar functions: ``math``, ``mpmath``."""
    plain: dict[str, Callable[..., Any]] = {
        "where": lambda c, a, b: a if c else b,
        "maximum": lambda a, b: a if a >= b else b,
        "minimum": lambda a, b: a if a <= b else b,
        "sign": lambda a: (a > 0) - (a < 0),
        "and": lambda a, b: a and b,
        "or": lambda a, b: a or b,
        "not": lambda a: not a,
        "==": lambda a, b: a == b,
        "!=": lambda a, b: a != b,
    }
    return plain[operation](*inside) if operation in plain else getattr(m, operation)(*inside)


def to_sympy(root: Expression) -> Any:
    """Return an expression for SymPy: coordinates are the real symbols x0, x1, ..."""
    import sympy  # type: ignore[import-untyped] # noqa: PLC0415 - slow to import

    def leaf(node: Expression) -> Any:
        if node.operation == "number":
            value = node.payload
            return sympy.Integer(int(value)) if value.is_integer() else sympy.Float(value)
        name = f"x{node.payload}" if node.operation == "coordinate" else node.payload
        return sympy.Symbol(name, real=True)

    return evaluate(root, leaf, lambda node, *inside: applied(sympy, node, inside))


def from_sympy(value: Any) -> Expression:
    """Return what SymPy has made of symbols x0, x1, ..., x, y, z and parameters."""
    return graph.as_expression(_converted(value))


def _converted(item: Any) -> Any:
    if item.is_Symbol:
        return _symbol(item.name)
    if not item.args:
        return _constant(item)
    kind = item.func.__name__
    if kind == "Piecewise":
        return _pieces(item)
    if kind not in _FROM_SYMPY:
        raise InvalidValueError(
            "landscape: a function of SymPy", item, f"one of {', '.join(sorted(_FROM_SYMPY))}"
        )
    return _FROM_SYMPY[kind](*map(_converted, item.args))


def _constant(item: Any) -> Any:
    if item.is_Boolean:
        return bool(item)
    if not (item.is_number and item.is_real):
        raise InvalidValueError("landscape: a number", item, "a real number")
    return graph.number(float(item))


def _pieces(item: Any) -> Expression:
    *pieces, (last, otherwise) = item.args
    if otherwise is not True and not otherwise.is_Boolean:
        raise InvalidValueError(
            "landscape: a Piecewise", item, "one whose last piece holds everywhere else (True)"
        )
    result = _converted(last)
    for branch, condition in reversed(pieces):
        result = graph.where(_converted(condition), _converted(branch), result)
    return graph.as_expression(result)


_FROM_SYMPY: dict[str, Callable[..., Any]] = {
    "Add": lambda *terms: graph.total(terms),
    "Mul": lambda *factors: graph.product(factors),
    "Pow": graph.power,
    "Max": functions.maximum,
    "Min": functions.minimum,
    "Abs": functions.abs,
    "StrictLessThan": operator.lt,
    "LessThan": operator.le,
    "StrictGreaterThan": operator.gt,
    "GreaterThan": operator.ge,
    "Equality": operator.eq,
    "Unequality": operator.ne,
    "And": lambda *parts: reduce(operator.and_, parts),
    "Or": lambda *parts: reduce(operator.or_, parts),
    "Not": operator.invert,
    **{
        name: getattr(functions, name)
        for name in ("exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "sign")
    },
}


def _symbol(name: str) -> Expression:
    if name in ("x", "y", "z"):
        return graph.coordinate("xyz".index(name))
    if name[:1] == "x" and name[1:].isdigit() and len(name) < 7:
        return graph.coordinate(int(name[1:]))
    return graph.parameter(name)
