"""Scratch rows on the stack, for perturbations that need a number per lane in between.

A kernel allocates nothing from the heap, where the threads of the loop would wait for each
other, and a perturbation gets no workspace from its caller.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdescent.contracts import JIT, Row, Rows, lane_function

__all__ = ["norms", "stack_row"]

if JIT:
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic
    from numba.np.arrayobj import populate_array

    _ROW = types.Array(types.float64, 1, "C")

    @intrinsic  # type: ignore[untyped-decorator]
    def stack_row(typing: Any, lanes: Any) -> Any:
        """Give `lanes` doubles that live until the *calling* function returns.

        So it is called in the kernel itself, outside its loops, and never in a lane
        function.  A row takes 8 bytes of stack per lane: tiles are narrow.
        """

        def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            data = builder.alloca(ir.DoubleType(), size=arguments[0])
            array = context.make_array(_ROW)(context, builder)
            width = context.get_constant(types.intp, 8)
            shape, strides = (cgutils.pack_array(builder, [n]) for n in (arguments[0], width))
            populate_array(array, data, shape, strides, width, meminfo=None)
            return array._getvalue()

        return _ROW(types.intp), lower
else:

    def stack_row(lanes: int) -> Row:
        """Give `lanes` doubles."""
        return np.empty(lanes)


@lane_function
def norms(rows: Rows, dim: int, out: Row) -> None:
    """Fill `out` with the Euclidean norms of the lanes over the first `dim` rows."""
    for lane in range(out.shape[0]):
        out[lane] = 0.0
    for i in range(dim):
        row = rows[i]
        for lane in range(out.shape[0]):
            out[lane] += row[lane] * row[lane]
    for lane in range(out.shape[0]):
        out[lane] = np.sqrt(out[lane])
