"""Functions of expressions, numbers and arrays: what users see as `fastdescent.math`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from fastdescent.errors import InvalidValueError
from fastdescent.symbolic import expression as graph
from fastdescent.symbolic.expression import Expression, Growing, Vector, make, mapped

__all__ = [
    "abs",
    "cos",
    "cosh",
    "dot",
    "e",
    "exp",
    "log",
    "maximum",
    "minimum",
    "norm",
    "pi",
    "prod",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "softplus",
    "sqrt",
    "square",
    "sum",
    "tan",
    "tanh",
    "where",
]

pi = 3.141592653589793
e = 2.718281828459045


def _symbolic(*values: Any) -> bool:
    for value in values:
        if isinstance(value, Expression | Vector | Growing):
            return True
        if isinstance(value, list | tuple) and _symbolic(*value):
            return True
        if isinstance(value, np.ndarray) and value.dtype == object:
            return True
        if type(value).__module__.partition(".")[0] == "sympy":
            return True
    return False


def _applied(symbolic: Callable[..., Any], plain: Callable[..., Any], *values: Any) -> Any:
    if not _symbolic(*values):
        return plain(*values)
    if any(isinstance(value, Growing) for value in values):
        next(value for value in values if isinstance(value, Growing))._refused()
    return mapped(symbolic, *values)


def _named(name: str) -> Callable[[Any], Expression]:
    return lambda value: make(name, graph.as_expression(value))


def sqrt(x: Any) -> Any:
    """Square root; the derivative at 0 is taken as 0.

    Examples
    --------
    >>> float(sqrt(2.25))
    1.5
    """
    return _applied(graph.sqrt, np.sqrt, x)


def exp(x: Any) -> Any:
    """Exponential function.

    Examples
    --------
    >>> float(exp(0.0))
    1.0
    """
    return _applied(_named("exp"), np.exp, x)


def log(x: Any) -> Any:
    """Natural logarithm, of positive numbers.

    Examples
    --------
    >>> float(log(1.0))
    0.0
    """
    return _applied(graph.log, np.log, x)


def sin(x: Any) -> Any:
    """Sine of an angle in radians.

    Examples
    --------
    >>> float(sin(0.0))
    0.0
    """
    return _applied(_named("sin"), np.sin, x)


def cos(x: Any) -> Any:
    """Cosine of an angle in radians.

    Examples
    --------
    >>> float(cos(0.0))
    1.0
    """
    return _applied(_named("cos"), np.cos, x)


def tan(x: Any) -> Any:
    """Tangent, ``sin(x) / cos(x)``.

    Examples
    --------
    >>> float(tan(0.0))
    0.0
    """
    return _applied(lambda a: sin(a) / cos(a), np.tan, x)


def tanh(x: Any) -> Any:
    """Hyperbolic tangent.

    Examples
    --------
    >>> float(tanh(0.0))
    0.0
    """
    return _applied(_named("tanh"), np.tanh, x)


def cosh(x: Any) -> Any:
    """Hyperbolic cosine, ``(exp(x) + exp(-x)) / 2``.

    Examples
    --------
    >>> float(cosh(0.0))
    1.0
    """
    return _applied(lambda a: 0.5 * (exp(a) + exp(-a)), np.cosh, x)


def sinh(x: Any) -> Any:
    """Hyperbolic sine, ``tanh(x) cosh(x)``, which loses no digits at small x.

    Examples
    --------
    >>> float(sinh(0.0))
    0.0
    """
    return _applied(lambda a: tanh(a) * cosh(a), np.sinh, x)


def sigmoid(x: Any) -> Any:
    """Logistic function, ``1 / (1 + exp(-x))``.

    Examples
    --------
    >>> float(sigmoid(0.0))
    0.5
    """
    return _applied(_named("sigmoid"), lambda a: 0.5 * (1.0 + np.tanh(0.5 * np.asarray(a))), x)


def softplus(x: Any) -> Any:
    """Smooth positive part, ``log(1 + exp(x))``, without overflow.

    Examples
    --------
    >>> float(softplus(1000.0))
    1000.0
    """
    return _applied(_softplus, lambda a: np.logaddexp(0.0, a), x)


def _softplus(x: Any) -> Any:
    # Not max(x, 0) + log(1 + exp(-abs(x))): that has corners at 0, whose slopes do not cancel.
    # Beyond 40 the difference from x is below its last digit.
    return where(x > 40.0, x, -log(sigmoid(-where(x > 40.0, 40.0, x))))


def abs(x: Any) -> Any:
    """Absolute value; the derivative at 0 is taken as 0.

    Examples
    --------
    >>> float(abs(-2.0))
    2.0
    """
    return _applied(_named("abs"), np.abs, x)


def sign(x: Any) -> Any:
    """Sign: -1, 0 or 1; the derivative is taken as 0 everywhere.

    Examples
    --------
    >>> float(sign(-2.0))
    -1.0
    """
    return _applied(_named("sign"), np.sign, x)


def square(x: Any) -> Any:
    """Square.

    Examples
    --------
    >>> float(square(3.0))
    9.0
    """
    return _applied(lambda a: a**2, np.square, x)


def maximum(x: Any, y: Any, *more: Any) -> Any:
    """Larger of two numbers or more; where equal, the derivative is that of the first.

    Examples
    --------
    >>> float(maximum(1.0, 2.0))
    2.0
    """
    first = _applied(_extreme("maximum"), np.maximum, x, y)
    return maximum(first, *more) if more else first


def minimum(x: Any, y: Any, *more: Any) -> Any:
    """Smaller of two numbers or more; where equal, the derivative is that of the first.

    Examples
    --------
    >>> float(minimum(1.0, 2.0))
    1.0
    """
    first = _applied(_extreme("minimum"), np.minimum, x, y)
    return minimum(first, *more) if more else first


def _extreme(name: str) -> Callable[[Any, Any], Expression]:
    return lambda a, b: make(name, graph.as_expression(a), graph.as_expression(b))


def where(condition: Any, x: Any, y: Any) -> Any:
    """`x` where a condition holds, `y` elsewhere: the way to write a branch on coordinates.

    Both are formulas, and what the other one is there does not matter: NaN in the branch
    that is not taken disturbs neither the loss nor the gradient.

    Examples
    --------
    >>> float(where(True, 1.0, 2.0))
    1.0
    """
    return _applied(graph.where, np.where, condition, x, y)


def _listed(x: Any) -> Any:
    if isinstance(x, Growing):
        x._refused()
    if isinstance(x, Expression):
        raise InvalidValueError("fd.math", x, "a vector, such as x or x[1:]", "it is one number")
    return x if isinstance(x, np.ndarray | Vector | list | tuple) else list(x)


def sum(x: Iterable[Any]) -> Any:
    """Sum of a vector, from left to right while a loss is traced.

    Examples
    --------
    >>> float(sum([1.0, 2.0]))
    3.0
    """
    values = _listed(x)
    return graph.total(values) if _symbolic(values) else np.sum(values)


def prod(x: Iterable[Any]) -> Any:
    """Product of a vector.

    Examples
    --------
    >>> float(prod([2.0, 3.0]))
    6.0
    """
    values = _listed(x)
    return graph.product(values) if _symbolic(values) else np.prod(values)


def dot(x: Iterable[Any], y: Iterable[Any]) -> Any:
    """Scalar product of two vectors.

    Examples
    --------
    >>> float(dot([1.0, 2.0], [3.0, 4.0]))
    11.0
    """
    left, right = _listed(x), _listed(y)
    if not _symbolic(left, right):
        return np.dot(left, right)
    return graph.total(mapped(graph.multiply, left, right))


def norm(x: Iterable[Any]) -> Any:
    """Euclidean norm; the gradient at 0 is taken as 0.

    Examples
    --------
    >>> float(norm([3.0, 4.0]))
    5.0
    """
    values = _listed(x)
    return sqrt(dot(values, values)) if _symbolic(values) else float(np.linalg.norm(values))


#: Functions of numbers and of vectors by their names in a text, with how many arguments.
SCALAR: dict[str, tuple[Callable[..., Any], int]] = {
    **{f.__name__: (f, 1) for f in (sqrt, exp, log, sin, cos, tan, sinh, cosh, tanh)},
    **{f.__name__: (f, 1) for f in (sigmoid, softplus, abs, sign, square)},
    "maximum": (maximum, 2),
    "minimum": (minimum, 2),
    "max": (maximum, 2),
    "min": (minimum, 2),
    "where": (where, 3),
}
VECTOR: dict[str, tuple[Callable[..., Any], int]] = {
    "sum": (sum, 1),
    "prod": (prod, 1),
    "dot": (dot, 2),
    "norm": (norm, 1),
}
OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "@": graph.matrix_product,
    "**": operator.pow,
}
#: NumPy's universal functions that mean the same.
OF_UFUNC: dict[str, Callable[..., Any]] = {
    **{name: f for name, (f, _) in SCALAR.items() if name not in ("max", "min", "where")},
    "absolute": abs,
    "fabs": abs,
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "power": operator.pow,
    "float_power": operator.pow,
    "negative": operator.neg,
    "reciprocal": lambda a: 1.0 / a,
    "matmul": graph.matrix_product,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
}
