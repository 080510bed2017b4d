"""Functions for losses: on symbols while a loss is traced, on numbers and arrays otherwise.

``fd.math.exp(x[0])`` in a function given to `fastdescent.landscape` becomes part of its kernel;
the same function still works on numbers, so a loss can be tried out.  All act elementwise on
vectors, but `sum`, `prod`, `dot` and `norm`, which give one number.

Where a function has a corner, its derivative is taken from one side or as zero:

==================  ===========================================================
``abs``, ``sign``   derivative 0 at 0; that of ``sign`` is 0 everywhere
``sqrt``, ``norm``  derivative 0 at 0, so the tip of a cone has a zero gradient
``maximum``         that of the larger argument; of the first one where equal
``minimum``         that of the smaller argument; of the first one where equal
``where``           that of the branch that is taken, at the boundary too
==================  ===========================================================

Comparisons (``x[0] <= 0.5``) give conditions for `where`; ``&``, ``|`` and ``~`` combine them.

Examples
--------
>>> float(exp(1.0))
2.718281828459045
>>> import fastdescent.math as m
>>> m.norm([3.0, 4.0])
5.0
"""

from __future__ import annotations

from fastdescent.symbolic.functions import (
    abs,
    cos,
    cosh,
    dot,
    e,
    exp,
    log,
    maximum,
    minimum,
    norm,
    pi,
    prod,
    sigmoid,
    sign,
    sin,
    sinh,
    softplus,
    sqrt,
    square,
    sum,
    tan,
    tanh,
    where,
)

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
