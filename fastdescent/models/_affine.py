"""Affine layers on blocks of samples: what all models on data are computed from.

A kernel takes `WIDTH` lanes at a time and for them `BLOCK` samples at a time.  What belongs to
such a block lies in the workspace as *units*: one unit is BLOCK x WIDTH numbers, sample by
sample, so unit k of a layer's input is feature k of four samples.  Every weight that is loaded
then serves four samples, and pairs of outputs share the samples' loads: two weights and four
inputs are loaded for eight multiply-adds, whose running sums stay in registers.  That is what
the processor can do: one load of 512 bits and one multiply-add of 512 bits per cycle.
(Per weight, sample by sample, it would be two loads and a store for one multiply-add.)

The kernel's ``data`` starts with a row of numbers about the model; then comes one row per
sample, its features first, then its targets, padded to whole vectors.
"""

from __future__ import annotations

from fastdescent.contracts import Indices, Row, lane_function
from fastdescent.simd import WIDTH, Vector, fma, gather, load, part, splat, store

__all__ = [
    "BLOCK",
    "UNIT",
    "clear",
    "collect",
    "load_block",
    "outer",
    "outer_of_one",
    "product_of_one",
    "products",
    "weigh",
]

#: Samples that are computed side by side.
BLOCK = 4
#: Numbers in a unit.
UNIT = BLOCK * WIDTH


@lane_function
def load_block(
    space: Row,
    target: int,
    data: Row,
    width: int,
    batch: Indices,
    lanes: int,
    lane: int,
    first: int,
    count: int,
    some: int,
) -> None:
    """Fill `width` units from `target` on with `some` samples, `first` and following.

    After the last of `count` samples it is repeated; `weigh` gives the copies no weight.
    """
    for s in range(some):
        k = min(first + s, count - 1)
        at = target + s * WIDTH
        if batch.shape[0] > 0:
            for column in range(0, width, WIDTH):
                # The row of numbers about the model is skipped by starting one row further.
                into = at + column * UNIT
                gather(space, into, UNIT, data, width, width + column, batch, k * lanes + lane)
        else:
            row = part(data, (k + 1) * width, width)
            for column in range(width):
                store(space, at + column * UNIT, splat(row[column]))


@lane_function
def weigh(space: Row, at: int, first: int, count: int) -> None:
    """Fill a unit with the weight of each sample in the mean: 1 / count, or 0 for copies."""
    for s in range(BLOCK):
        weight = 1.0 / count if first + s < count else 0.0
        store(space, at + s * WIDTH, splat(weight))


@lane_function
def clear(space: Row, at: int, count: int) -> None:
    """Set numbers of the workspace to 0."""
    numbers = part(space, at, count)
    for e in range(count):
        numbers[e] = 0.0


@lane_function
def collect(space: Row, cost: int, loss: Row, lane: int) -> None:
    """Add up the four samples' shares of the loss, always in the same order."""
    shares, total = part(space, cost, UNIT), part(loss, lane, WIDTH)
    for k in range(WIDTH):
        total[k] = shares[k]
    for s in range(1, BLOCK):
        for k in range(WIDTH):
            total[k] += shares[s * WIDTH + k]


@lane_function
def _take(space: Row, at: int) -> tuple[Vector, Vector, Vector, Vector]:
    """Load a unit: one vector per sample."""
    return (
        load(space, at),
        load(space, at + WIDTH),
        load(space, at + 2 * WIDTH),
        load(space, at + 3 * WIDTH),
    )


@lane_function
def _put(space: Row, at: int, v0: Vector, v1: Vector, v2: Vector, v3: Vector) -> None:
    """Store a unit."""
    store(space, at, v0)
    store(space, at + WIDTH, v1)
    store(space, at + 2 * WIDTH, v2)
    store(space, at + 3 * WIDTH, v3)


@lane_function
def _bias(matrix: Row, bias: int, row: int, lanes: int, lane: int) -> Vector:
    value: Vector = load(matrix, (bias + row) * lanes + lane) if bias >= 0 else splat(0.0)
    return value


@lane_function
def products(
    matrix: Row,
    base: int,
    over: int,
    along: int,
    rows: int,
    columns: int,
    lanes: int,
    lane: int,
    bias: int,
    space: Row,
    source: int,
    target: int,
) -> None:
    """Fill unit a of the target with ``bias[a] + sum over k of matrix[a, k] * source[k]``.

    Entry (a, k) is coordinate ``base + a * over + k * along``; no bias if `bias` < 0.
    """
    step, even = along * lanes, rows - rows % 2
    for a in range(0, even, 2):
        p0 = _bias(matrix, bias, a, lanes, lane)
        q0 = _bias(matrix, bias, a + 1, lanes, lane)
        p1, p2, p3, q1, q2, q3 = p0, p0, p0, q0, q0, q0
        left = (base + a * over) * lanes + lane
        right = left + over * lanes
        for k in range(columns):
            v0, v1, v2, v3 = _take(space, source + k * UNIT)
            m, n = load(matrix, left + k * step), load(matrix, right + k * step)
            p0, p1, p2, p3 = fma(m, v0, p0), fma(m, v1, p1), fma(m, v2, p2), fma(m, v3, p3)
            q0, q1, q2, q3 = fma(n, v0, q0), fma(n, v1, q1), fma(n, v2, q2), fma(n, v3, q3)
        _put(space, target + a * UNIT, p0, p1, p2, p3)
        _put(space, target + (a + 1) * UNIT, q0, q1, q2, q3)
    if even < rows:
        p0 = _bias(matrix, bias, even, lanes, lane)
        p1, p2, p3 = p0, p0, p0
        left = (base + even * over) * lanes + lane
        for k in range(columns):
            v0, v1, v2, v3 = _take(space, source + k * UNIT)
            m = load(matrix, left + k * step)
            p0, p1, p2, p3 = fma(m, v0, p0), fma(m, v1, p1), fma(m, v2, p2), fma(m, v3, p3)
        _put(space, target + even * UNIT, p0, p1, p2, p3)


@lane_function
def product_of_one(
    matrix: Row, columns: int, lanes: int, lane: int, space: Row, source: int, target: int
) -> None:
    """Like `products` for one row at the front, and one sample: the first of each unit."""
    total = splat(0.0)
    for k in range(columns):
        total = fma(load(matrix, k * lanes + lane), load(space, source + k * UNIT), total)
    store(space, target, total)


@lane_function
def outer_of_one(
    grad: Row, columns: int, lanes: int, lane: int, space: Row, delta: int, source: int
) -> None:
    """Like `outer` for one row at the front, and one sample."""
    d = load(space, delta)
    for k in range(columns):
        at = k * lanes + lane
        store(grad, at, fma(d, load(space, source + k * UNIT), load(grad, at)))


@lane_function
def _add_products(
    grad: Row,
    at: int,
    d0: Vector,
    d1: Vector,
    d2: Vector,
    d3: Vector,
    v0: Vector,
    v1: Vector,
    v2: Vector,
    v3: Vector,
) -> None:
    """Add the four samples' products to a vector of the gradient, in order."""
    store(grad, at, fma(d3, v3, fma(d2, v2, fma(d1, v1, fma(d0, v0, load(grad, at))))))


@lane_function
def outer(
    grad: Row,
    base: int,
    rows: int,
    columns: int,
    lanes: int,
    lane: int,
    bias: int,
    space: Row,
    delta: int,
    source: int,
) -> None:
    """Add ``sum over samples of delta[a] * source[k]`` to entry (a, k) of the gradient.

    And the sum of delta[a] to bias[a], if `bias` >= 0.
    """
    one, even = splat(1.0), rows - rows % 2
    for a in range(0, even, 2):
        p0, p1, p2, p3 = _take(space, delta + a * UNIT)
        q0, q1, q2, q3 = _take(space, delta + (a + 1) * UNIT)
        left = (base + a * columns) * lanes + lane
        right = left + columns * lanes
        for k in range(columns):
            v0, v1, v2, v3 = _take(space, source + k * UNIT)
            _add_products(grad, left + k * lanes, p0, p1, p2, p3, v0, v1, v2, v3)
            _add_products(grad, right + k * lanes, q0, q1, q2, q3, v0, v1, v2, v3)
        if bias >= 0:
            left = (bias + a) * lanes + lane
            _add_products(grad, left, p0, p1, p2, p3, one, one, one, one)
            _add_products(grad, left + lanes, q0, q1, q2, q3, one, one, one, one)
    if even < rows:
        p0, p1, p2, p3 = _take(space, delta + even * UNIT)
        left = (base + even * columns) * lanes + lane
        for k in range(columns):
            v0, v1, v2, v3 = _take(space, source + k * UNIT)
            _add_products(grad, left + k * lanes, p0, p1, p2, p3, v0, v1, v2, v3)
        if bias >= 0:
            left = (bias + even) * lanes + lane
            _add_products(grad, left, p0, p1, p2, p3, one, one, one, one)
