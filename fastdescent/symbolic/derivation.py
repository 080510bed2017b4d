"""Gradient and Hessian of an expression, and the form in which a kernel computes them.

The gradient is derived backwards through the graph (reverse accumulation: Speelpenning, 1980),
so it costs a small multiple of the loss in any dimension and shares its parts.  Beyond what
`expression` does, nodes made here are put into one form, so that equal terms written
differently become one: numbers go to the front of products, operands of sums and products
are sorted, division by a number is multiplication.  That changes roundings, nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from fastdescent.errors import InvalidValueError
from fastdescent.symbolic.expression import (
    Expression,
    coordinate,
    evaluate,
    number,
    ordered,
    support,
)
from fastdescent.symbolic.expression import node as make

__all__ = ["gradient", "guarded", "hessian", "lowered", "plus", "simplified", "terms"]

Gradient = dict[int, Expression]

_MOST_WORK = 200_000  # nodes to walk through for a Hessian: a second or two

_ZERO, _ONE = number(0.0), number(1.0)


def _coefficient(node: Expression) -> tuple[float, Expression]:
    """Write a node as a number times another node."""
    if node.operation == "number":
        return node.payload, _ONE
    if node.operation == "negate":
        return -1.0, node.arguments[0]
    if node.operation == "*" and node.arguments[0].operation == "number":
        return node.arguments[0].payload, node.arguments[1]
    return 1.0, node


def _scaled(factor: float, node: Expression) -> Expression:
    if factor == 0.0 or not math.isfinite(factor):
        return _ZERO if factor == 0.0 else make("*", make("number", payload=factor), node)
    if node is _ONE:
        return number(factor)
    if factor in (1.0, -1.0):
        return node if factor == 1.0 else make("negate", node)
    return make("*", number(factor), node)


def times(left: Expression, right: Expression) -> Expression:
    """Return the product, its number in front and its other factors in order."""
    (a, x), (b, y) = _coefficient(left), _coefficient(right)
    if x is _ONE or y is _ONE:
        return _scaled(a * b, y if x is _ONE else x)
    x, y = (x, y) if x.rank <= y.rank else (y, x)
    return _scaled(a * b, make("**", x, payload=2.0) if x is y else make("*", x, y))


def plus(left: Expression, right: Expression) -> Expression:
    """Return the sum; of terms with unlike signs, the difference."""
    (a, x), (b, y) = _coefficient(left), _coefficient(right)
    if x is y:
        return _scaled(a + b, x)
    if a == 0.0 or b == 0.0:
        return right if a == 0.0 else left
    if b < 0.0 and right.operation != "number":
        return make("-", left, _scaled(-b, y))
    if a < 0.0 and left.operation != "number":
        return make("-", right, _scaled(-a, x))
    first, second = (left, right) if left.rank <= right.rank else (right, left)
    return make("+", first, second)


def minus(left: Expression, right: Expression) -> Expression:
    """Return the difference."""
    b, y = _coefficient(right)
    if right.operation == "number":
        return plus(left, number(-right.payload))
    return plus(left, _scaled(-b, y))


def over(left: Expression, right: Expression) -> Expression:
    """Return the quotient."""
    (a, x), (b, y) = _coefficient(left), _coefficient(right)
    if a == 0.0:
        return _ZERO
    if y is _ONE:
        inverse = 1.0 / b
        if abs(inverse) > 1e-300:  # else 1 / b lost digits
            return _scaled(a * inverse, x)
        return make("/", left, right)
    return _scaled(a / b, _ONE if x is y else make("/", x, y))


def raised(base: Expression, exponent: float) -> Expression:
    """Return a power with an exponent that is no variable."""
    if exponent in (0.0, 1.0):
        return _ONE if exponent == 0.0 else base
    if exponent == 0.5:
        return make("sqrt", base)
    if exponent < 0.0:
        return over(_ONE, raised(base, -exponent))
    return make("**", base, payload=exponent)


def chosen(condition: Expression, if_true: Expression, if_false: Expression) -> Expression:
    """Return one of two expressions."""
    return if_true if if_true is if_false else make("where", condition, if_true, if_false)


_FORMS: dict[str, Callable[..., Expression]] = {
    "+": plus,
    "-": minus,
    "*": times,
    "/": over,
    "negate": lambda a: _scaled(-_coefficient(a)[0], _coefficient(a)[1]),
    "where": chosen,
}


def _rebuilt(node: Expression, *arguments: Expression) -> Expression:
    form = _FORMS.get(node.operation)
    return form(*arguments) if form else make(node.operation, *arguments, payload=node.payload)


def simplified(root: Expression) -> Expression:
    """Return an expression in the form that nodes have here."""
    return evaluate(root, lambda leaf: leaf, _rebuilt)  # type: ignore[no-any-return]


def guarded(root: Expression, dim: int) -> Expression:
    """Return an expression that is not finite wherever a coordinate is not.

    What the operations do not promise by themselves, as exp(-inf) = 0 does not, is added as
    ``vanishing(x) = x - x``: 0 for every number, and NaN else.
    """
    certain: dict[int, int] = {}
    for node in ordered([root]):
        inside = [certain[argument.serial] for argument in node.arguments]
        certain[node.serial] = _certain(node, inside)
    promised = certain[root.serial]
    for index in range(dim):
        if not promised >> index & 1:
            x = coordinate(index)
            root = make("+", root, make("vanishing", x))
    return root


def _certain(node: Expression, inside: Sequence[int]) -> int:
    """Return the coordinates, as bits, that make a node not finite when they are not."""
    operation = node.operation
    if operation == "coordinate":
        return 1 << int(node.payload)
    if operation in ("+", "-", "*"):  # inf and NaN pass, or become NaN: inf - inf, 0 * inf
        return inside[0] | inside[1]
    if operation in ("negate", "**", "sqrt", "log", "sin", "cos", "abs", "/"):
        return inside[0]
    if operation in ("maximum", "minimum", "where"):
        return inside[-1] & inside[-2]
    return 0


def terms(root: Expression) -> list[Expression]:
    """Return what a loss is the sum of."""
    found, waiting = [], [root]
    while waiting:
        term = waiting.pop()
        if term.operation == "+":
            waiting.extend(reversed(term.arguments))
        elif term.operation == "-":
            waiting.extend((times(number(-1.0), term.arguments[1]), term.arguments[0]))
        else:
            found.append(term)
    return found


def gradient(root: Expression, known: dict[int, Gradient] | None = None) -> Gradient:
    """Return the derivative with respect to each coordinate on which a loss depends.

    Parameters
    ----------
    root : Expression
        What is differentiated.
    known : dict, optional
        Gradients of branches by their serial numbers, shared by several calls.

    Notes
    -----
    Branches of `where`, `maximum` and `minimum` are differentiated on their own, and one of
    the derivatives is chosen afterwards.  Pushing zeros backwards into the branch that is not
    taken would make NaN of a slope that is infinite there.
    """
    known = {} if known is None else known
    depends = support([root])
    adjoint: dict[int, Expression] = {root.serial: _ONE}
    result: Gradient = {}

    def push(node: Expression, value: Expression) -> None:
        if depends[node.serial] and not _is_zero(value):
            old = adjoint.get(node.serial)
            adjoint[node.serial] = value if old is None else plus(old, value)

    for node in reversed(ordered([root])):
        incoming = adjoint.pop(node.serial, _ZERO)
        if _is_zero(incoming):
            continue
        if node.operation == "coordinate":
            _collect(result, node.payload, incoming)
        elif node.operation in ("where", "maximum", "minimum"):
            for index, slope in _of_branches(node, known).items():
                _collect(result, index, times(incoming, slope))
        else:
            for argument, value in zip(node.arguments, _slopes(node, incoming), strict=True):
                push(argument, value)
    return result


def _is_zero(node: Expression) -> bool:
    return node is _ZERO or (node.operation == "number" and node.payload == 0.0)


def _collect(into: Gradient, index: int, value: Expression) -> None:
    if not _is_zero(value):
        into[index] = plus(into[index], value) if index in into else value


def _of_branches(node: Expression, known: dict[int, Gradient]) -> Gradient:
    first, second = node.arguments[-2:]
    condition = node.arguments[0]
    if node.operation != "where":
        condition = make(">=" if node.operation == "maximum" else "<=", first, second)
    sides = []
    for branch in (first, second):
        if branch.serial not in known:
            known[branch.serial] = gradient(branch, known)
        sides.append(known[branch.serial])
    indices = sorted(sides[0].keys() | sides[1].keys())
    return {i: chosen(condition, sides[0].get(i, _ZERO), sides[1].get(i, _ZERO)) for i in indices}


def _slopes(node: Expression, d: Expression) -> tuple[Expression, ...]:
    """Return `d` times the derivative of an operation with respect to each argument."""
    rule = _RULES.get(node.operation)
    if rule is None:  # signs, comparisons and what is made of them
        return (_ZERO,) * len(node.arguments)
    return rule(node, d, *node.arguments)


def _negated(node: Expression) -> Expression:
    return times(number(-1.0), node)


def _quotient(
    node: Expression, d: Expression, _: Expression, b: Expression
) -> tuple[Expression, ...]:
    part = over(d, b)
    return part, _negated(times(part, node))


#: Operation -> from its node, `d` and its arguments, what `_slopes` returns.
_RULES: dict[str, Callable[..., tuple[Expression, ...]]] = {
    "+": lambda n, d, a, b: (d, d),
    "-": lambda n, d, a, b: (d, _negated(d)),
    "*": lambda n, d, a, b: (times(d, b), times(d, a)),
    "/": _quotient,
    "negate": lambda n, d, a: (_negated(d),),
    "**": lambda n, d, a: (times(times(number(n.payload), d), raised(a, n.payload - 1.0)),),
    "sqrt": lambda n, d, a: (times(d, make("half_inverse", n)),),
    "half_inverse": lambda n, d, a: (times(times(number(-2.0), d), times(n, n)),),
    "exp": lambda n, d, a: (times(d, n),),
    "log": lambda n, d, a: (over(d, a),),
    "sin": lambda n, d, a: (times(d, make("cos", a)),),
    "cos": lambda n, d, a: (_negated(times(d, make("sin", a))),),
    "tanh": lambda n, d, a: (times(d, minus(_ONE, times(n, n))),),
    "sigmoid": lambda n, d, a: (times(d, times(n, minus(_ONE, n))),),
    "abs": lambda n, d, a: (times(d, make("sign", a)),),
}


def hessian(slopes: Gradient) -> dict[tuple[int, int], Expression]:
    """Return the second derivatives (i, j), i <= j, that are not 0 everywhere.

    Raises
    ------
    InvalidValueError
        If they are far too large to be made into a kernel.
    """
    known: dict[int, Gradient] = {}
    found, work = {}, 0
    for i, slope in sorted(slopes.items()):
        work += len(ordered([slope]))
        if work > _MOST_WORK:
            raise InvalidValueError(
                "landscape: the Hessian",
                f"{work} operations",
                f"at most {_MOST_WORK} to go through",
            )
        for j, value in sorted(gradient(slope, known).items()):
            if j >= i:
                found[i, j] = value
    return found


def lowered(roots: Sequence[Expression]) -> list[Expression]:
    """Return expressions made only of what kernels can do: powers become products.

    A denominator that divides more than once is inverted once.
    """
    plain: dict[int, Expression] = {}
    for node in ordered(roots):
        inside = [plain[argument.serial] for argument in node.arguments]
        if node.operation == "**":
            plain[node.serial] = _multiplied(inside[0], node.payload)
        else:
            plain[node.serial] = _rebuilt(node, *inside) if inside else node
    roots = [plain[root.serial] for root in roots]
    below: dict[int, int] = {}
    for node in ordered(roots):
        if node.operation == "/":
            denominator = node.arguments[1].serial
            below[denominator] = below.get(denominator, 0) + 1
    shared: dict[int, Expression] = {}
    for node in ordered(roots):
        inside = [shared[argument.serial] for argument in node.arguments]
        if node.operation == "/" and below[node.arguments[1].serial] > 1:
            shared[node.serial] = _product(inside[0], make("/", _ONE, inside[1]))
        else:
            shared[node.serial] = (
                make(node.operation, *inside, payload=node.payload) if inside else node
            )
    return [shared[root.serial] for root in roots]


def _product(x: Expression, y: Expression) -> Expression:
    if x is _ONE or y is _ONE:
        return y if x is _ONE else x
    return make("*", x, y) if x.rank <= y.rank else make("*", y, x)


def _multiplied(base: Expression, exponent: float) -> Expression:
    """Return a power as products, a square root, or exp(exponent * log(base))."""
    whole = math.floor(exponent)
    if exponent not in (whole, whole + 0.5):
        return make("exp", _scaled(exponent, make("log", base)))
    result: Expression | None = None if whole == exponent else make("sqrt", base)
    square = base
    while whole:
        if whole & 1:
            result = square if result is None else _product(result, square)
        whole >>= 1
        if whole:
            square = make("*", square, square)
    return result if result is not None else _ONE
