"""Try a user's kernels before an ensemble of them runs.

A compiled kernel that writes outside its arrays corrupts memory without a word.  So one that
is not the package's own runs once on two lanes as the plain function that it was written as,
on arrays of just the declared sizes, where NumPy notices.  Then a user's landscape is looked
at: whether its gradient is that of its loss, and whether its loss is defined at the starts.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from fastdescent.contracts import Kernel
from fastdescent.engine.plan import Plan
from fastdescent.errors import InvalidValueError
from fastdescent.parts import FloatArray, Part

__all__ = ["try_kernels", "try_landscape"]

_LANES = 8  # whole vectors


def try_kernels(plan: Plan) -> None:
    """Run the kernels of a plan that are not the package's own once in plain Python.

    Raises
    ------
    InvalidValueError
        If one reads or writes a row that it was not given.
    """
    landscape, rule = plan.landscape, plan.optimizer
    dim = landscape.dim
    theta = np.ascontiguousarray(np.repeat(plan.points[:1], _LANES, axis=0).T)
    grad, loss = np.ones((dim + landscape.workspace, _LANES)), np.ones(_LANES)
    state = np.zeros((rule.state_rows(dim), _LANES))
    hyper = _columns(np.append(plan.table(rule)[0], 1.0))
    params = _columns(plan.table(landscape)[0])
    batch = np.zeros((0, _LANES), dtype=np.int64)
    _try(landscape, landscape.kernel, theta, params, landscape.kernel_data(), batch, loss, grad)
    query = rule.query_kernel()
    if query is not None:
        _try(rule, query, theta, state, hyper, 1, np.ones((dim, _LANES)))
    _try(rule, rule.update_kernel(), theta, grad[:dim], loss, state, hyper, 1)


def _columns(values: FloatArray) -> FloatArray:
    return np.repeat(values[:, None], _LANES, axis=1)


def _try(part: Part, kernel: Kernel, *arguments: Any) -> None:
    if kernel.function.__module__.split(".")[0] == "fastdescent":
        return
    failure = ""
    # What else goes wrong in plain Python may be right when compiled, or is data.
    with np.errstate(all="ignore"), contextlib.suppress(ArithmeticError, TypeError, ValueError):
        try:
            kernel.function(*(np.copy(a) if isinstance(a, np.ndarray) else a for a in arguments))
        except IndexError as error:
            failure = str(error)
    if failure:
        raise InvalidValueError(
            f"{type(part).__name__}: kernel {kernel.function.__name__}",
            failure,
            "rows that its class declares",
            "declare vectors and scalars (the state of a rule), parameters or workspace",
        )


def try_landscape(plan: Plan) -> None:
    """Compare a user's gradient with differences once, and see that its loss is defined.

    Raises
    ------
    InvalidValueError
        If the gradient is wrong, or the loss is finite at no start.
    """
    landscape = plan.landscape
    if landscape.built_in:
        return
    from fastdescent.checking import (  # noqa: PLC0415 - seldom needed
        check_before_use,
        require_defined,
    )

    check_before_use(landscape)
    require_defined(landscape, plan.points)
