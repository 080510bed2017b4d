"""Vectors of lanes in registers: for kernels whose sums are long.

A plain loop over lanes keeps its running sums in memory: each multiply-add then loads and
stores its accumulator, and a matrix product runs at a third of the processor's speed.  Here a
kernel takes `WIDTH` neighbouring lanes at a time as one value that LLVM holds in a vector
register.  The arrays are seen as one row of numbers (`flat`), so the vector of coordinate i of
the lanes from `lane` on is ``load(theta, i * lanes + lane)``.

The number of lanes of a tile is a multiple of 8, and `WIDTH` is 8 where the processor has
512-bit registers and 4 elsewhere.  Operations are those of IEEE arithmetic on each lane, so
the bits do not depend on it.  Under ``NUMBA_DISABLE_JIT=1`` a vector is a NumPy array, and a
multiply-add is rounded twice: an exact one takes a thousand times as long there.


Examples
--------
The vectors live in kernels.  This one's loss is the square of the norm:

>>> from fastdescent.contracts import kernel
>>> @kernel("landscape")
... def square(theta, params, data, batch, loss, grad):
...     dim, lanes = theta.shape
...     numbers = flat(theta)
...     for lane in range(0, lanes, WIDTH):
...         total = splat(0.0)
...         for i in range(dim):
...             x = load(numbers, i * lanes + lane)
...             total = fma(x, x, total)
...         store(loss, lane, total)
>>> loss, none = np.zeros(8), np.zeros((0, 8))
>>> square(np.full((3, 8), 2.0), none, none, np.zeros((0, 8), dtype=int), loss, none)
>>> loss[0]
np.float64(12.0)
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from llvmlite import binding

from fastdescent.contracts import JIT, Indices, Row, Rows

__all__ = ["WIDTH", "Vector", "flat", "fma", "gather", "load", "part", "splat", "store"]

#: What annotations call a vector.
Vector: TypeAlias = Row
#: Lanes in a vector.
WIDTH = 8 if binding.get_host_cpu_features().get("avx512f", False) else 4

if JIT:
    from llvmlite import ir
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic, models, register_model
    from numba.np.arrayobj import make_array, populate_array

    _DOUBLE, _INT = ir.DoubleType(), ir.IntType(64)
    _VECTOR = ir.VectorType(_DOUBLE, WIDTH)
    _ROW = types.Array(types.float64, 1, "C")

    class _Vector(types.Type):  # type: ignore[misc]
        """The Numba type of a vector."""

        def __init__(self) -> None:
            super().__init__(name=f"vector{WIDTH}")

    _vector = _Vector()

    @register_model(_Vector)
    class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
        def __init__(self, manager: Any, kind: Any) -> None:
            super().__init__(manager, kind, _VECTOR)

    def _pointer(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
        """Pointer to the number at place `at` of a contiguous array."""
        data = make_array(kind)(context, builder, array).data
        return builder.gep(builder.bitcast(data, _DOUBLE.as_pointer()), [at])

    def _load(builder: Any, pointer: Any) -> Any:
        return builder.load(builder.bitcast(pointer, _VECTOR.as_pointer()), align=8)

    def _store(builder: Any, value: Any, pointer: Any) -> None:
        builder.store(value, builder.bitcast(pointer, _VECTOR.as_pointer()), align=8)

    def _splat(builder: Any, x: Any) -> Any:
        one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), x, _index(0))
        kind = ir.VectorType(ir.IntType(32), WIDTH)
        return builder.shuffle_vector(one, one, ir.Constant(kind, [0] * WIDTH))

    def _index(i: int) -> Any:
        return ir.Constant(ir.IntType(32), i)

    @intrinsic  # type: ignore[untyped-decorator]
    def flat(typing: Any, rows: Any) -> Any:
        """See a contiguous array as one row of numbers."""

        def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            source = make_array(rows)(context, builder, arguments[0])
            count = ir.Constant(_INT, 1)
            for length in cgutils.unpack_tuple(builder, source.shape, rows.ndim):
                count = builder.mul(count, length)
            width = context.get_constant(types.intp, 8)
            array = make_array(_ROW)(context, builder)
            shape, strides = (cgutils.pack_array(builder, [n]) for n in (count, width))
            populate_array(array, source.data, shape, strides, width, meminfo=None)
            return array._getvalue()

        return _ROW(rows), lower

    @intrinsic  # type: ignore[untyped-decorator]
    def load(typing: Any, numbers: Any, at: Any) -> Any:
        """Load the vector that begins at place `at`."""

        def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return _load(builder, _pointer(context, builder, numbers, *arguments))

        return _vector(numbers, types.int64), lower

    @intrinsic  # type: ignore[untyped-decorator]
    def store(typing: Any, numbers: Any, at: Any, value: Any) -> Any:
        """Store a vector from place `at` on."""

        def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array, place, vector = arguments
            _store(builder, vector, _pointer(context, builder, numbers, array, place))
            return context.get_dummy_value()

        return types.void(numbers, types.int64, _vector), lower

    @intrinsic  # type: ignore[untyped-decorator]
    def splat(typing: Any, x: Any) -> Any:
        """Make a vector with the same number in all lanes."""
        return _vector(types.float64), lambda _, builder, __, given: _splat(builder, given[0])

    @intrinsic  # type: ignore[untyped-decorator]
    def fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
        """Compute a * b + c in each lane, rounded once."""

        def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kind = ir.FunctionType(_VECTOR, (_VECTOR,) * 3)
            name = f"llvm.fma.v{WIDTH}f64"
            function = cgutils.get_or_insert_function(builder.module, kind, name)
            return builder.call(function, arguments)

        return _vector(_vector, _vector, _vector), lower

    @intrinsic  # type: ignore[untyped-decorator]
    def part(typing: Any, numbers: Any, at: Any, count: Any) -> Any:
        """See `count` numbers from place `at` on as an array of their own.

        Loops over it vectorise.  Those over ``numbers[at + e]`` do not: Numba takes the place
        for one that may be negative, and counts it from the end then.
        """

        def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            array, place, length = arguments
            data = _pointer(context, builder, numbers, array, place)
            width = context.get_constant(types.intp, 8)
            view = make_array(_ROW)(context, builder)
            shape, strides = (cgutils.pack_array(builder, [n]) for n in (length, width))
            populate_array(view, data, shape, strides, width, meminfo=None)
            return view._getvalue()

        return _ROW(numbers, types.int64, types.int64), lower

    def _transposed(builder: Any, rows: list[Any]) -> list[Any]:
        """Transpose WIDTH vectors: blocks of half the size change places, and so on down."""
        kind = ir.VectorType(ir.IntType(32), WIDTH)
        half = WIDTH // 2
        while half:
            left = [k if not k & half else WIDTH + k - half for k in range(WIDTH)]
            right = [k + half if not k & half else WIDTH + k for k in range(WIDTH)]
            for i in range(WIDTH):
                if not i & half:
                    a, b = rows[i], rows[i + half]
                    rows[i] = builder.shuffle_vector(a, b, ir.Constant(kind, left))
                    rows[i + half] = builder.shuffle_vector(a, b, ir.Constant(kind, right))
            half //= 2
        return rows

    @intrinsic  # type: ignore[untyped-decorator]
    def gather(
        typing: Any,
        target: Any,
        at: Any,
        stride: Any,
        source: Any,
        width: Any,
        column: Any,
        batch: Any,
        place: Any,
    ) -> Any:
        """Load WIDTH columns of the rows of `source` that the lanes ask for, transposed.

        Lane l asks for row ``batch.flat[place + l]``; rows are `width` numbers long.  The
        vector of column ``column + i`` goes to place ``at + i * stride`` of `target`.
        """
        signature = types.void(target, _I, _I, source, _I, _I, batch, _I)

        def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            into, first, step, table, length, left, indices, begin = arguments
            wanted = make_array(batch)(context, builder, indices).data
            rows = []
            for lane in range(WIDTH):
                place = builder.add(begin, ir.Constant(_INT, lane))
                row = builder.load(builder.gep(wanted, [place]))
                cell = builder.add(builder.mul(row, length), left)
                rows.append(_load(builder, _pointer(context, builder, source, table, cell)))
            for i, vector in enumerate(_transposed(builder, rows)):
                cell = builder.add(first, builder.mul(step, ir.Constant(_INT, i)))
                _store(builder, vector, _pointer(context, builder, target, into, cell))
            return context.get_dummy_value()

        return signature, lower

    _I = types.int64
else:

    def flat(rows: Rows) -> Row:
        """See a contiguous array as one row of numbers."""
        return rows.reshape(-1)

    def load(numbers: Row, at: int) -> Row:
        """Load the vector that begins at place `at`."""
        return numbers[at : at + WIDTH].copy()

    def store(numbers: Row, at: int, value: Row) -> None:
        """Store a vector from place `at` on."""
        numbers[at : at + WIDTH] = value

    def part(numbers: Row, at: int, count: int) -> Row:
        """See `count` numbers from place `at` on as an array of their own."""
        return numbers[at : at + count]

    def splat(x: float) -> Row:
        """Make a vector with the same number in all lanes."""
        return np.full(WIDTH, x)

    def fma(a: Row, b: Row, c: Row) -> Row:
        """Compute a * b + c in each lane; rounded twice here, which is fast."""
        return a * b + c

    def gather(
        target: Row,
        at: int,
        stride: int,
        source: Row,
        width: int,
        column: int,
        batch: Indices,
        place: int,
    ) -> None:
        """Load WIDTH columns of the rows of `source` that the lanes ask for, transposed."""
        for lane in range(WIDTH):
            first = int(batch.flat[place + lane]) * width + column
            for i in range(WIDTH):
                target[at + i * stride + lane] = source[first + i]
