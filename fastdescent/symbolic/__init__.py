"""Any loss that can be written down, as a landscape with compiled kernels.

`landscape` takes a function of ``x`` or a text, works out gradient and Hessian, and returns a
`Formula`: a landscape like those of the catalogue, which converts to and from a TOML table.
Its kernels are written to the cache folder when they are first needed.

Why not SymPy's own tracing and ``cse``: on its symbols ``if x[0] == 0`` is silently false, where
a refusal is wanted; products are multiplied out, so residuals are no longer shared; slopes at
corners and in branches not taken are not ours to say; and a study would import it (0.3 s) and
derive in every process.  Measured for chained Rosenbrock in 2, 10 and 50 dimensions, tracing,
gradient and common subexpressions take SymPy 12, 102 and 740 ms of processor time, and 2, 6 and
32 ms here, the kernel written and imported.  SymPy stays the referee: the tests compare value,
gradient and Hessian with its derivatives at 50 digits, and its functions and expressions are
understood (`bridge`).

Examples
--------
>>> import fastdescent.math as fm
>>> bowl = landscape(lambda x, k: x[0] ** 2 + k * x[1] ** 2, dim=2, params={"k": 15.0})
>>> bowl
Formula(expression='x**2 + k*y**2', dim=2, params={'k': 15.0})
>>> bowl == landscape("x**2 + k*y**2", params={"k": 15.0})
True
>>> bowl.gradient([1.0, 2.0])
array([ 2., 60.])
>>> tent = landscape(lambda x: fm.where(x[0] <= 0.5, -x[0]**2, 2*x[0]**2 - 3*x[0] + 0.75), dim=1)
>>> tent.value([[0.5], [0.75]])
array([-0.25 , -0.375])
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np

from fastdescent.contracts import Cube, Indices, Kernel, Row, Rows, kernel
from fastdescent.errors import FastdescentError, InvalidValueError, UnknownNameError
from fastdescent.landscapes import Landscape
from fastdescent.parts import FloatArray, Range, is_integer, is_number, option
from fastdescent.symbolic import text as texts
from fastdescent.symbolic.expression import (
    CONDITIONS,
    MOST_COORDINATES,
    Expression,
    Growing,
    Vector,
    as_expression,
    coordinate,
    evaluate,
    ordered,
    parameter,
    support,
)
from fastdescent.symbolic.kernels import kernel_of

__all__ = ["Formula", "landscape"]

_FREE = Range()


@kernel("landscape")
def _no_loss(theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows) -> None:
    """Stand for the kernels of formulas where a class is asked: each formula has its own."""
    for lane in range(loss.shape[0]):
        loss[lane] = np.nan


@kernel("hessian")
def _no_hessian(theta: Rows, params: Rows, data: Rows, hess: Cube) -> None:
    """Stand for the Hessians of formulas, likewise."""
    for lane in range(theta.shape[1]):
        hess[0, 0, lane] = np.nan


class _OwnKernel:
    """A kernel that each formula has for itself."""

    def __init__(self, family: str, of_class: Kernel) -> None:
        self._family, self._of_class = family, of_class

    def __get__(self, formula: Formula | None, owner: type[Formula]) -> Kernel | None:
        if formula is None:
            return self._of_class
        names = tuple(name for name, _ in formula.params)
        return kernel_of(self._family, formula.expression, formula.dim, names)


class _Traced(Landscape):
    """What is written by users and not one of the catalogue."""

    kind: ClassVar[str] = "formula"


class Formula(_Traced):
    r"""A loss given as a formula: made by `fastdescent.landscape`, or named in a study.

    .. math:: f(x) = \text{expression}

    Coordinates are ``x[0]``, ``x[1]``, ... or, up to three of them, ``x``, ``y``, ``z``.  The text
    may use numbers, ``pi``, ``e``, parameters, ``+ - * / **``, comparisons and the functions of
    `fastdescent.math`; it is read by a parser that knows nothing else and runs no code.
    What the derivatives are at corners is said there too.  Powers that are neither integer nor
    half-integer are exp(p log(x)), NaN for x < 0.  A loss is made NaN where a coordinate
    is not finite, even if its formula would hide it.

    A text has at most 100 000 characters, 20 000 operations and 100 brackets inside each other,
    a kernel at most 3000 operations and stores after common ones are shared (it may compile for
    half a minute then); beyond, write the kernel by hand.  A Hessian beyond that is not made, and
    ``hessian_kernel`` is None.

    Parameters
    ----------
    expression : str
        The loss.  It is kept as the parser understands it.
    dim : int, optional
        Number of coordinates; by default as many as the expression uses.
    params : mapping of str to float or sequence
        Values of the parameters, finite; a sequence is an axis of the result, named like the
        parameter.  In TOML a list of tables: ``params = [{k = 15.0}]``.
    box : pair, or sequence of pairs
        Lower and upper bound of all coordinates, or of each.
    known_minimum : float, optional
        Value of the global minimum; by default that at the first of `known_minima`.
    known_minima : sequence, optional
        Positions of the global minima.  Both are for all values of the parameters.
    title : str
        What people call it; it is the landscape's ``name``.

    Raises
    ------
    InvalidValueError
        If the expression is no loss, is too large, or a value is not allowed.
    UnknownNameError
        If the expression uses a name that is neither known nor a parameter.

    Examples
    --------
    >>> Formula("(x**2 + y - 11)**2 + (x + y**2 - 7)**2").value([3.0, 2.0])
    0.0
    """

    kernel: ClassVar[Any] = _OwnKernel("landscape", _no_loss)
    hessian_kernel: ClassVar[Any] = _OwnKernel("hessian", _no_hessian)

    expression: str = option()
    dim: int = option(default=None)
    params: Any = option(default=())
    box: Any = option(default=(-5.0, 5.0))
    known_minimum: float | None = option(default=None)
    known_minima: Any = option(default=None)
    title: str = option(default="")

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "params", _checked_params(self.params))
        super().__post_init__()
        names = [name for name, _ in self.params]
        if self.dim is not None and not (
            is_integer(self.dim) and 1 <= self.dim <= MOST_COORDINATES
        ):
            raise InvalidValueError(
                "Formula.dim", self.dim, f"an integer from 1 to {MOST_COORDINATES}"
            )
        given = None if self.dim is None else int(self.dim)
        root, dim = texts.read(self.expression, given, names)
        used = {node.payload for node in ordered([root]) if node.operation == "parameter"}
        for name in names:
            if name not in used:
                raise InvalidValueError(
                    f"Formula.params, {name}",
                    name,
                    f"a parameter that occurs in {self.expression!r}",
                    "leave it out",
                )
        put(self, "dim", dim)
        put(self, "expression", texts.written(root, dim))
        put(self, "box", _checked_box(self.box, dim))
        put(self, "known_minima", _checked_minima(self.known_minima, dim))
        if self.known_minimum is not None:
            if not is_number(self.known_minimum) or not math.isfinite(self.known_minimum):
                raise InvalidValueError(
                    "Formula.known_minimum", self.known_minimum, "a finite number"
                )
            put(self, "known_minimum", float(self.known_minimum))
        if not isinstance(self.title, str):
            raise InvalidValueError("Formula.title", self.title, "a string")
        put(self, "_written", ())  # fields print in their own order: TOML puts tables last

    @property
    def name(self) -> str:
        """Its title; the class's name if it has none."""
        return self.title or type(self).__name__

    @property
    def domain(self) -> FloatArray:
        """Lower and upper bound of each coordinate, shape (dim, 2)."""
        return np.array(np.broadcast_to(np.array(self.box), (self.dim, 2)))

    @property
    def minima(self) -> FloatArray | None:
        """Positions of the global minima, shape (k, dim); None where not known."""
        return None if self.known_minima is None else np.array(self.known_minima)

    @property
    def minimum(self) -> float | None:
        """Value at the global minima; None where it is not known."""
        return super().minimum if self.known_minimum is None else self.known_minimum

    @property
    def graph(self) -> Expression:
        """The loss as a graph of operations."""
        return texts.read(self.expression, self.dim, [name for name, _ in self.params])[0]

    def formula(self, x: Any, m: Any) -> Any:
        """Return the loss by the functions of module `m`; see `Landscape.formula`."""
        values = dict(self.params)
        bridge = _module_functions(m)

        def leaf(node: Expression) -> Any:
            if node.operation == "coordinate":
                return x[node.payload]
            return values[node.payload] if node.operation == "parameter" else node.payload

        return evaluate(self.graph, leaf, lambda node, *inside: bridge(node, inside))

    def axes(self) -> dict[str, tuple[float, ...]]:
        """Return the parameters that were given as sequences, in the order written."""
        return {name: value for name, value in self.params if isinstance(value, tuple)}

    def base_values(self) -> dict[str, float | tuple[float, ...]]:
        """Return the rows of ``params``."""
        return dict(self.params)

    def at(self, **values: Any) -> Self:
        """Return a copy with the given parameters, or fields, replaced."""
        given = self._given()
        own = {name: value for name, value in values.items() if name in dict(self.params)}
        others = {name: value for name, value in values.items() if name not in own}
        if own:
            given["params"] = {**given["params"], **own}
        return type(self)(**{**given, **others})

    def to_table(self) -> dict[str, Any]:
        """Return the formula as a table of plain TOML values."""
        table = super().to_table()
        if self.params:
            table["params"] = [self._given()["params"]]
        return table

    def _given(self) -> dict[str, Any]:
        given = super()._given()
        if self.params:
            given["params"] = {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in self.params
            }
        return given


def _module_functions(m: Any) -> Callable[[Expression, Sequence[Any]], Any]:
    from fastdescent.symbolic.bridge import applied  # noqa: PLC0415 - rarely needed

    return lambda node, inside: applied(m, node, inside)


_PARAMETER = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def _checked_params(given: Any) -> tuple[tuple[str, Any], ...]:
    """Return parameters as pairs, from a mapping, a list of mappings or pairs."""
    pairs: list[tuple[Any, Any]] = []
    entries = [given] if isinstance(given, Mapping) else given
    for entry in entries if isinstance(entries, list | tuple) else [entries]:
        if isinstance(entry, Mapping):
            pairs += entry.items()
        elif isinstance(entry, list | tuple) and len(entry) == 2:
            pairs.append((entry[0], entry[1]))
        else:
            raise InvalidValueError(
                "Formula.params", given, 'names and values, such as {"k": 15.0}'
            )
    names = [name for name, _ in pairs]
    for name in names:
        if not isinstance(name, str) or not _PARAMETER.fullmatch(name):
            raise InvalidValueError("Formula.params", name, "names of letters, digits and _")
        if name in texts.RESERVED:
            raise InvalidValueError(
                f"Formula.params, {name}",
                name,
                "a name that is not a coordinate's, a constant's, a function's or a field's",
                "rename the parameter",
            )
        if names.count(name) > 1:
            raise InvalidValueError(f"Formula.params, {name}", name, "each name once")
    return tuple((name, _checked_values(name, value)) for name, value in pairs)


def _checked_values(name: str, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        value = value.tolist()
    several = isinstance(value, list | tuple | range)
    values = list(value) if several else [value]
    if not values or not all(is_number(v) and math.isfinite(v) for v in values):
        raise InvalidValueError(
            f"Formula.params, {name}", value, "a finite number or a sequence of them"
        )
    return tuple(map(float, values)) if several else float(value)


def _checked_box(given: Any, dim: int) -> Any:
    """Return one pair of bounds for all coordinates, or one for each."""
    try:
        array = np.asarray(given, dtype=float)
        right = array.shape in ((2,), (dim, 2)) and bool(np.isfinite(array).all())
        right = right and bool((array[..., 0] < array[..., 1]).all())
    except (TypeError, ValueError):
        right = False
    if not right:
        raise InvalidValueError(
            "Formula.box",
            given,
            f"one pair (lower, upper) with lower < upper, or {dim} of them",
        )
    rows = array.tolist()
    return tuple(rows) if array.ndim == 1 else tuple(map(tuple, rows))


def _checked_minima(given: Any, dim: int) -> Any:
    if given is None:
        return None
    try:
        array = np.atleast_2d(np.asarray(given, dtype=float))
        right = array.ndim == 2 and array.shape[1] == dim and bool(np.isfinite(array).all())
    except (TypeError, ValueError):
        right = False
    if not right:
        raise InvalidValueError("Formula.known_minima", given, f"finite points of shape (k, {dim})")
    return tuple(map(tuple, array.tolist()))


def landscape(
    function: Callable[..., Any] | str,
    *,
    dim: int | None = None,
    domain: Any = None,
    params: Mapping[str, Any] | None = None,
    name: str = "",
    minimum: float | None = None,
    minima: Any = None,
) -> Formula:
    """Make a landscape of a loss: a function of ``x`` and parameters, or a text.

    The function is called once, with symbols for numbers, and what it does to them becomes the
    loss: loops of fixed length, sums, slices, ``x * x``, ``A @ x`` and functions of
    `fastdescent.math` are all right.  It must not ask for a value of ``x``: for a branch there is
    ``fd.math.where``.  Gradient and Hessian are derived exactly, and kernels that run as fast
    as those written by hand are compiled when they are first needed, and cached on disk.

    Parameters
    ----------
    function : callable or str
        ``function(x, k, ...)``, where x acts as a vector of `dim` numbers and every other
        argument is a parameter; or a text as in `Formula`.
    dim : int, optional
        Number of coordinates.  It can be left out where every use of x is x[0], x[1], ...
    domain : pair or sequence of pairs, optional
        Lower and upper bound of all coordinates, or of each; -5 and 5 by default.
    params : mapping of str to float or sequence, optional
        Values of the parameters; a sequence is an axis of the result.
    name : str
        What people call it.
    minimum : float, optional
        Value of the global minimum, if known: targets and stops count from it.
    minima : array_like, shape (k, dim), optional
        Positions of the global minima, if known.

    Returns
    -------
    Formula

    Raises
    ------
    InvalidValueError
        If it is no loss: it branches on x, returns something else than one real number, is too
        large, lacks a parameter or does not use one.
    UnknownNameError
        If `params` names no argument of the function.

    Examples
    --------
    >>> landscape("x**2 + 15*y**2").value([1.0, 1.0])
    16.0
    >>> import fastdescent.math as fm
    >>> landscape(lambda x: fm.sum(x**2) - x[0] * x[-1], dim=4).gradient([1.0, 2.0, 3.0, 4.0])
    array([-2.,  4.,  6.,  7.])
    """
    given = dict(params or {}) if isinstance(params, Mapping | None) else params
    fields: dict[str, Any] = {"dim": dim, "params": given or ()}
    fields |= {"known_minimum": minimum, "known_minima": minima, "title": name}
    if domain is not None:
        fields["box"] = domain
    fields = {key: value for key, value in fields.items() if value is not None}
    if not isinstance(function, str):
        checked = dict(_checked_params(fields["params"]))
        root, dim = _traced(function, dim, checked, domain, minima)
        fields["dim"] = dim
        function = texts.written(root, dim)
    return Formula(function, **fields)


def _traced(
    function: Any, dim: int | None, params: Mapping[str, Any], domain: Any, minima: Any
) -> tuple[Expression, int]:
    """Call a function with symbols; return what it returned, and the dimension."""
    if dim is not None and not (is_integer(dim) and 1 <= dim <= MOST_COORDINATES):
        raise InvalidValueError("landscape: dim", dim, f"an integer from 1 to {MOST_COORDINATES}")
    if dim is None:
        shapes = [np.shape(domain), np.shape(minima)[::-1]]  # (dim, 2) and (k, dim)
        dim = next((shape[0] for shape in shapes if len(shape) == 2), None)
    if not callable(function):
        if type(function).__module__.partition(".")[0] != "sympy":
            raise InvalidValueError(
                "landscape", function, "a function of x, such as lambda x: x[0]**2, or a text"
            )
        root = as_expression(function)
    else:
        arguments = _arguments(function, params)
        x: Any = Growing() if dim is None else Vector(map(coordinate, range(dim)))
        root = _single(_called(function, x, arguments))
    used = support([root])[root.serial].bit_length()
    return root, max(used, 1) if dim is None else int(dim)


def _arguments(function: Callable[..., Any], params: Mapping[str, Any]) -> dict[str, Expression]:
    """Match parameters to the function's arguments after x."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return {name: parameter(name) for name in params}
    all_of_them = list(signature.parameters.values())
    keywords = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD)
    if not all_of_them or all_of_them[0].kind in keywords:
        raise InvalidValueError("landscape: the function", function, "a function of x")
    others = all_of_them[1:]
    open_ended = any(other.kind == other.VAR_KEYWORD for other in others)
    known = [o.name for o in others if o.kind not in (o.VAR_KEYWORD, o.VAR_POSITIONAL)]
    for name in params:
        if name not in known and not open_ended:
            raise UnknownNameError("argument of the loss", name, known)
    for other in others:
        if other.name in known and other.name not in params and other.default is other.empty:
            raise InvalidValueError(
                f"landscape: parameter {other.name}",
                None,
                "a value for every argument of the loss after x",
                f'give params={{"{other.name}": 1.0}}; coordinates are x[0], x[1], ...',
            )
    return {name: parameter(name) for name in params}


def _called(function: Callable[..., Any], x: Any, arguments: dict[str, Expression]) -> Any:
    try:
        return function(x, **arguments)
    except RecursionError:
        raise InvalidValueError(
            "landscape: the function", function, "a loss without endless recursion"
        ) from None
    except ValueError as error:
        if isinstance(error.__cause__, FastdescentError):  # NumPy puts its own words first
            raise error.__cause__ from None
        raise
    except IndexError as error:
        raise InvalidValueError(
            "landscape: the function",
            str(error),
            f"indices below dim = {len(x)}",
            "give another dim",
        ) from error
    except TypeError as error:
        if "loop of ufunc" not in str(error) and "Cannot convert expression" not in str(error):
            raise
        raise InvalidValueError(
            "landscape: the function", str(error), "functions of fd.math", "such as fd.math.sin"
        ) from error


def _single(value: Any) -> Expression:
    """Return what a loss returned, if that is one real number."""
    if isinstance(value, np.ndarray | Vector | list | tuple) or value is None:
        what = "nothing (None)" if value is None else f"{type(value).__name__} {value!r}"
        if not (isinstance(value, np.ndarray) and value.ndim == 0):
            raise InvalidValueError(
                "landscape: what the loss returns",
                what,
                "one real number",
                "the lambda or def must return it"
                if value is None
                else "x is a vector: use x[0], or fd.math.sum(...)",
            )
    if isinstance(value, complex | np.complexfloating):
        raise InvalidValueError("landscape: what the loss returns", value, "one real number")
    expression = as_expression(value)
    if isinstance(value, bool | np.bool_) or expression.operation in CONDITIONS:
        raise InvalidValueError(
            "landscape: what the loss returns",
            "a condition, true or false",
            "one real number",
            "fd.math.where(condition, a, b) chooses between two",
        )
    return expression
