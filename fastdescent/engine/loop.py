"""The compiled loop: all live trajectories, tile by tile, for one epoch of steps.

A lane is a trajectory and a tile is a block of lanes, with the lane index last in every
array, so the inner loop of every kernel is SIMD code.  Landscape, rule and noise arrive as
function pointers: one compiled loop serves them all.  Per tile-step it calls

    query and landscape (look-ahead rules only) -> noise and transforms -> update -> landscape

and then looks at every lane: a hit target, a stopping test, a loss or a theta that is no
longer finite.  The look is one vectorised count of events; lanes are only taken one by one
in the rare step in which something happened.  What a lane is worth when it finishes is
copied out at once; the lane then idles until the end of the epoch, when the driver compacts.

On mini-batches a tile-step is

    sampler -> (query) -> landscape on the batch -> noise and transforms -> update

and the loss of all samples is computed only where somebody looks: in the steps in which the
stopping tests are due, in recorded steps and at the end.

The loop is the only `prange` over trajectories.  Nothing in it depends on how lanes are
grouped: the same bits come out for every tile size, epoch length and number of threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import prange, types

from fastdescent.contracts import (
    Indices,
    Row,
    Rows,
    Streams,
    compiled,
    kernel,
    lane_function,
    pointer_type,
    routine,
)
from fastdescent.parts import FloatArray, IntArray

__all__ = [
    "COMPILED",
    "MAX_STAGES",
    "Lanes",
    "Outcome",
    "Shared",
    "advance",
    "hold",
    "load",
    "measure",
    "pack",
]

#: Status of a trajectory.
RUNNING = -1
BUDGET = 0
CONVERGED = 1
DIVERGED = 2
INTERRUPTED = 3
#: Diverged by the radius: finite, so that it may have hit a target all the same.
OUTSIDE = 4

# Once theta is not finite it stays so, and a landscape's loss is then not finite either (the
# contract asks for that), which every step notices.  For a loss that breaks the contract
# theta itself is looked at in every step that is a multiple of this.
THETA_CHECK = 64

#: Gradient stages in one call: a noise and three transforms.
MAX_STAGES = 4

# Rows of `Lanes.limits`: the highest loss at which something happens next, the loss at
# which the trajectory stops, and the loss from which targets are counted.
EVENT, STOP, FLOOR = 0, 1, 2
# Entries of `Shared.sampling`: number of samples, whether batches are those of epochs, steps
# between two looks at the lanes, whether that look needs the loss of all samples, and the size
# of a mini-batch.
SAMPLES, EPOCHS, EVERY, NEEDS_LOSS, SIZE = range(5)
# Rows of `Lanes.book`: the trajectory's number, whether it still runs, the next target.
TRAJECTORY, ALIVE, TARGET = 0, 1, 2


class Lanes(NamedTuple):
    """What each lane carries, as (tiles, rows, lanes)."""

    theta: FloatArray
    state: FloatArray
    hyper: FloatArray
    params: FloatArray
    stage_params: FloatArray
    streams: Any
    limits: FloatArray
    book: IntArray
    #: Scratch: loss, its look-ahead twin, squares, grad, and where needed point and hyper.
    work: FloatArray
    #: Scratch: the samples of each lane's next mini-batches, as (tiles, rows, lanes).
    batch: IntArray


class Shared(NamedTuple):
    """What all lanes share."""

    data: FloatArray
    #: The same of the validation samples; no rows if there are none.
    validation: FloatArray
    #: An empty batch, which means all samples.
    everything: IntArray
    #: Entries `SAMPLES`, `EPOCHS`, `EVERY`, `NEEDS_LOSS`, `SIZE`.
    sampling: IntArray
    #: First row of each gradient stage's parameters in `Lanes.stage_params`.
    stage_rows: IntArray
    #: Targets above the floor, descending, and their place in the caller's order.
    targets: FloatArray
    target_place: IntArray
    #: Gradient tolerance (negative: none) and radius (inf: none).
    tests: FloatArray
    #: Steps to record, ascending.
    record_steps: IntArray


class Outcome(NamedTuple):
    """What is kept of each trajectory; the first axis is the trajectory's number."""

    position: FloatArray
    loss: FloatArray
    gradient_norm: FloatArray
    steps: IntArray
    status: Any
    hitting_time: IntArray
    path: FloatArray
    path_loss: FloatArray
    path_gradient_norm: FloatArray
    validation_loss: FloatArray
    path_validation_loss: FloatArray


class Tile(NamedTuple):
    """The arrays of one tile."""

    theta: Rows
    state: Rows
    hyper: Rows
    params: Rows
    extra: Rows
    streams: Streams
    limits: Rows
    book: Indices
    batch: Indices
    loss: Row
    #: A loss that is not the one of all samples at theta.
    aside: Row
    square: Row
    grad: Rows
    #: The gradient with the rows that only the landscape knows.
    full: Rows
    point: Rows
    #: The hyper-parameters of this step.
    scaled: Rows


_f1 = types.Array(types.float64, 1, "C")
_f2 = types.Array(types.float64, 2, "C")
_f3 = types.Array(types.float64, 3, "C")
_i1 = types.Array(types.int64, 1, "C")
_i2 = types.Array(types.int64, 2, "C")
_i3 = types.Array(types.int64, 3, "C")
_u3 = types.Array(types.uint64, 3, "C")
_s1 = types.Array(types.int8, 1, "C")

_LANES = types.NamedTuple([_f3, _f3, _f3, _f3, _f3, _u3, _f3, _i3, _f3, _i3], Lanes)
_SHARED = types.NamedTuple([_f2, _f2, _i2, _i1, _i1, _f1, _i1, _f1, _i1], Shared)
_OUTCOME = types.NamedTuple([_f2, _f1, _f1, _i1, _s1, _i2, _f3, _f2, _f2, _f1, _f2], Outcome)


@kernel("query")
def no_query(theta: Rows, state: Rows, hyper: Rows, step: int, point: Rows) -> None:
    """Stand in where a rule takes its gradient at theta; never called."""


@kernel("perturb")
def no_stage(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Stand in for an absent noise or transform; never called."""


@kernel("sample")
def no_sample(streams: Streams, samples: int, number: int, first: int, batch: Indices) -> None:
    """Stand in where every step sees all samples; never called."""


@lane_function
def _square(rows: Rows, dim: int, lane: int) -> float:
    total = 0.0
    for i in range(dim):
        total += rows[i, lane] * rows[i, lane]
    return total


@lane_function
def _count_events(
    step: int,
    theta: Rows,
    loss: Row,
    grad: Rows,
    limits: Rows,
    book: Indices,
    tests: Row,
    square: Row,
) -> int:
    """Count the running lanes that need a closer look; one vectorised pass per row."""
    dim, lanes = theta.shape
    event, alive = limits[EVENT], book[ALIVE]
    events = 0
    for lane in range(lanes):
        quiet = (loss[lane] > event[lane]) & (loss[lane] < np.inf)
        events += alive[lane] & (quiet ^ 1)
    if step % THETA_CHECK == 0:
        for i in range(dim):
            x = theta[i]
            for lane in range(lanes):
                events += alive[lane] & (x[lane] - x[lane] != 0.0)
    if tests[0] >= 0.0:
        _sum_squares(grad, dim, square)
        for lane in range(lanes):
            events += alive[lane] & (square[lane] <= tests[0] * tests[0])
    if tests[1] < np.inf:
        _sum_squares(theta, dim, square)
        for lane in range(lanes):
            events += alive[lane] & (square[lane] > tests[1] * tests[1])
    return events


@lane_function
def _sum_squares(rows: Rows, dim: int, square: Row) -> None:
    square[:] = 0.0
    for i in range(dim):
        row = rows[i]
        for lane in range(square.shape[0]):
            square[lane] += row[lane] * row[lane]


@routine
def _finish(
    lane: int, status: int, step: int, theta: Rows, loss: Row, grad: Rows, book: Indices, out: Any
) -> None:
    """Copy a lane's final state to the outcome."""
    dim = theta.shape[0]
    number = book[TRAJECTORY, lane]
    for i in range(dim):
        out.position[number, i] = theta[i, lane]
    out.loss[number] = loss[lane]
    out.gradient_norm[number] = np.sqrt(_square(grad, dim, lane))
    out.steps[number] = step
    out.status[number] = status
    book[ALIVE, lane] = 0


@lane_function
def _look(
    lane: int, step: int, theta: Rows, loss: Row, grad: Rows, limits: Rows, tests: Row
) -> int:
    """Return the status of one lane; squares are compared just as `_count_events` does.

    Nothing converges, and hits no target, where theta is not finite.
    """
    dim = theta.shape[0]
    small = loss[lane] <= limits[STOP, lane]
    flat = tests[0] >= 0.0 and _square(grad, dim, lane) <= tests[0] * tests[0]
    finite = abs(loss[lane]) < np.inf
    # Whether theta is looked at depends on this lane alone, not on what its neighbours do.
    if step % THETA_CHECK == 0 or not finite or small or flat or loss[lane] <= limits[EVENT, lane]:
        for i in range(dim):
            finite &= abs(theta[i, lane]) < np.inf
    if not finite:
        return DIVERGED
    if tests[1] < np.inf and _square(theta, dim, lane) > tests[1] * tests[1]:
        return OUTSIDE
    return CONVERGED if small or flat else RUNNING


@routine
def _note_hits(
    lane: int, step: int, loss: Row, limits: Rows, book: Indices, shared: Any, out: Any
) -> None:
    """Note the targets that a lane has reached, and the loss at which to look again."""
    next_target = book[TARGET, lane]
    floor = limits[FLOOR, lane]
    while (
        next_target < shared.targets.shape[0] and loss[lane] <= floor + shared.targets[next_target]
    ):
        place = shared.target_place[next_target]
        out.hitting_time[book[TRAJECTORY, lane], place] = step
        next_target += 1
    book[TARGET, lane] = next_target
    limits[EVENT, lane] = limits[STOP, lane]
    if next_target < shared.targets.shape[0]:
        limits[EVENT, lane] = max(limits[STOP, lane], floor + shared.targets[next_target])


@routine
def _retire(
    step: int,
    theta: Rows,
    loss: Row,
    grad: Rows,
    limits: Rows,
    book: Indices,
    shared: Any,
    out: Any,
) -> int:
    """Note hits, retire lanes that have ended; return how many retired."""
    retired = 0
    for lane in range(loss.shape[0]):
        if book[ALIVE, lane] == 0:
            continue
        status = _look(lane, step, theta, loss, grad, limits, shared.tests)
        if status != DIVERGED and loss[lane] <= limits[EVENT, lane]:
            _note_hits(lane, step, loss, limits, book, shared, out)
        if status == OUTSIDE:
            status = DIVERGED
        if status != RUNNING:
            _finish(lane, status, step, theta, loss, grad, book, out)
            retired += 1
    return retired


@routine
def _close(
    status: int, step: int, theta: Rows, loss: Row, grad: Rows, book: Indices, out: Any
) -> None:
    """Finish all lanes that still run."""
    for lane in range(loss.shape[0]):
        if book[ALIVE, lane] != 0:
            finite = True
            for i in range(theta.shape[0]):
                finite &= abs(theta[i, lane]) < np.inf
            _finish(lane, status if finite else DIVERGED, step, theta, loss, grad, book, out)


@routine
def _record(
    place: int, theta: Rows, loss: Row, grad: Rows, book: Indices, square: Row, out: Any
) -> None:
    """Write the running lanes' states to their paths, if `place` is one there."""
    if place < 0:
        return
    _sum_squares(grad, theta.shape[0], square)
    for lane in range(loss.shape[0]):
        if book[ALIVE, lane] != 0:
            number = book[TRAJECTORY, lane]
            for i in range(out.path.shape[2]):  # no rows if positions are not recorded
                out.path[number, place, i] = theta[i, lane]
            out.path_loss[number, place] = loss[lane]
            out.path_gradient_norm[number, place] = np.sqrt(square[lane])


@routine
def _record_validation(place: int, landscape: Any, tile: Any, shared: Any, out: Any) -> None:
    """Write the running lanes' losses of the validation samples to their paths.

    The gradient is then another: it is made again.
    """
    if place < 0:
        return
    theta, params, loss, full = tile.theta, tile.params, tile.aside, tile.full
    landscape(theta, params, shared.validation, shared.everything, loss, full)
    for lane in range(loss.shape[0]):
        if tile.book[ALIVE, lane] != 0:
            out.path_validation_loss[tile.book[TRAJECTORY, lane], place] = loss[lane]
    landscape(theta, params, shared.data, shared.everything, tile.loss, full)


@routine
def _copy(source: Rows, target: Rows) -> None:
    for j in range(source.shape[0]):
        for lane in range(source.shape[1]):
            target[j, lane] = source[j, lane]


@routine
def _scale(hyper: Rows, rows: Any, factors: Rows, k: int, scaled: Rows) -> None:
    """Multiply the scheduled hyper-parameters by their factors at the k-th step."""
    for j in range(rows.shape[0]):
        source, target, factor = hyper[rows[j]], scaled[rows[j]], factors[j, k]
        for lane in range(source.shape[0]):
            target[lane] = source[lane] * factor


@routine
def _perturb(
    stage0: Any,
    stage1: Any,
    stage2: Any,
    stage3: Any,
    stages: int,
    grad: Rows,
    theta: Rows,
    params: Rows,
    rows: Any,
    streams: Streams,
    step: int,
) -> None:
    """Apply the noise and the transforms, each with its own rows of parameters."""
    if stages > 0:
        stage0(grad, theta, params[rows[0] : rows[1]], streams, step)
    if stages > 1:
        stage1(grad, theta, params[rows[1] : rows[2]], streams, step)
    if stages > 2:
        stage2(grad, theta, params[rows[2] : rows[3]], streams, step)
    if stages > 3:
        stage3(grad, theta, params[rows[3] : rows[4]], streams, step)


@lane_function
def _place(sampling: Any, step: int) -> tuple[int, int, int]:
    """Return which draw a step's mini-batch is from, its place there, and its size.

    The last one of an epoch may be shorter.
    """
    samples, size = sampling[SAMPLES], sampling[SIZE]
    if sampling[EPOCHS] == 0:
        return step, 0, size
    per_epoch = (samples + size - 1) // size
    first = (step - 1) % per_epoch * size
    return (step - 1) // per_epoch + 1, first, min(size, samples - first)


@lane_function
def _no_number(theta: Rows, loss: Row) -> None:
    """Fill `loss` with 0, or with NaN where theta is not finite."""
    loss[:] = 0.0
    for i in range(theta.shape[0]):
        x = theta[i]
        for lane in range(loss.shape[0]):
            loss[lane] += 0.0 * x[lane]


@routine
def _begin(first: int, landscape: Any, tile: Any, shared: Any, out: Any) -> int:
    """Look at the starts if this is step 0; return how many lanes run."""
    theta, loss, grad, book = tile.theta, tile.loss, tile.grad, tile.book
    running: int = book[ALIVE].sum()
    if first == 0:
        running -= _retire(first, theta, loss, grad, tile.limits, book, shared, out)
        place: Any = np.searchsorted(shared.record_steps, 1)
        _record(place - 1, theta, loss, grad, book, tile.square, out)
        if shared.validation.shape[0] > 0:
            _record_validation(place - 1, landscape, tile, shared, out)
    return running


@routine
def _descend(
    landscape: Any,
    update: Any,
    query: Any,
    stage0: Any,
    stage1: Any,
    stage2: Any,
    stage3: Any,
    looks_ahead: bool,
    stages: int,
    tile: Any,
    shared: Any,
    out: Any,
    scheduled: Any,
    factors: Rows,
    first: int,
    closing: int,
) -> None:
    """Advance a tile whose every step sees all samples."""
    theta, state, params, streams = tile.theta, tile.state, tile.params, tile.streams
    loss, grad, full, scaled = tile.loss, tile.grad, tile.full, tile.scaled
    data, everything, every = shared.data, shared.everything, shared.sampling[EVERY]
    steps, extra, rows = factors.shape[1], tile.extra, shared.stage_rows
    landscape(theta, params, data, everything, loss, full)
    running = _begin(first, landscape, tile, shared, out)
    place: Any = np.searchsorted(shared.record_steps, first + 1)
    for k in range(steps):
        if running == 0:
            break
        step = first + k + 1
        # What is rare is guarded here: a call that is not inlined and takes all these
        # arrays by value costs more than a tile's worth of gradient descent.
        if scheduled.shape[0] > 0:
            _scale(tile.hyper, scheduled, factors, k, scaled)
        if looks_ahead:
            query(theta, state, scaled, step, tile.point)
            landscape(tile.point, params, data, everything, tile.aside, full)
        if stages > 0:
            _perturb(
                stage0, stage1, stage2, stage3, stages, grad, theta, extra, rows, streams, step
            )
        update(theta, grad, loss, state, scaled, step)
        landscape(theta, params, data, everything, loss, full)
        if step % every == 0 or (closing != RUNNING and k == steps - 1):
            running -= _look_around(step, tile, shared, out)
        if place < shared.record_steps.shape[0] and shared.record_steps[place] == step:
            _record(place, theta, loss, grad, tile.book, tile.square, out)
            if shared.validation.shape[0] > 0:
                _record_validation(place, landscape, tile, shared, out)
            place += 1


@lane_function
def _look_around(step: int, tile: Any, shared: Any, out: Any) -> int:
    """Retire the lanes that have ended, if there is any event; return how many."""
    theta, loss, grad, limits, book = tile.theta, tile.loss, tile.grad, tile.limits, tile.book
    if _count_events(step, theta, loss, grad, limits, book, shared.tests, tile.square) > 0:
        return _retire(step, theta, loss, grad, limits, book, shared, out)
    return 0


@routine
def _descend_on_batches(
    landscape: Any,
    update: Any,
    query: Any,
    stage0: Any,
    stage1: Any,
    stage2: Any,
    stage3: Any,
    sample: Any,
    looks_ahead: bool,
    stages: int,
    tile: Any,
    shared: Any,
    out: Any,
    scheduled: Any,
    factors: Rows,
    first: int,
    closing: int,
) -> None:
    """Advance a tile on mini-batches; the loss of all samples only where somebody looks."""
    theta, state, params, streams = tile.theta, tile.state, tile.params, tile.streams
    aside, grad, full, scaled = tile.aside, tile.grad, tile.full, tile.scaled
    data, sampling, steps = shared.data, shared.sampling, factors.shape[1]
    extra, rows, room = tile.extra, shared.stage_rows, tile.batch.shape[0]
    running: int = tile.book[ALIVE].sum()
    if first == 0:
        running -= _look_at_starts(first, landscape, tile, shared, out)
    if steps == 0:  # to be closed as it is
        landscape(theta, params, data, shared.everything, tile.loss, full)
    place: Any = np.searchsorted(shared.record_steps, first + 1)
    for k in range(steps):
        if running == 0:
            break
        step = first + k + 1
        if scheduled.shape[0] > 0:
            _scale(tile.hyper, scheduled, factors, k, scaled)
        if looks_ahead:
            query(theta, state, scaled, step, tile.point)
        number, begin, count = _place(sampling, step)
        # An epoch's permutation costs its key once for all steps whose samples fit the rows.
        within = begin % room
        if within == 0 or k == 0:
            left = sampling[SAMPLES] - begin + within
            ahead = min(room, left) if sampling[EPOCHS] != 0 else count
            sample(streams, sampling[SAMPLES], number, begin - within, tile.batch[:ahead])
        drawn = tile.batch[within : within + count]
        landscape(tile.point if looks_ahead else theta, params, data, drawn, aside, full)
        if stages > 0:
            _perturb(
                stage0, stage1, stage2, stage3, stages, grad, theta, extra, rows, streams, step
            )
        update(theta, grad, aside, state, scaled, step)
        last = closing != RUNNING and k == steps - 1
        if step % sampling[EVERY] == 0 or last:
            running -= _look_at_all_samples(step, last, landscape, tile, shared, out)
        if place < shared.record_steps.shape[0] and shared.record_steps[place] == step:
            _record_all_samples(place, landscape, tile, shared, out)
            place += 1


@routine
def _look_at_all_samples(
    step: int, last: bool, landscape: Any, tile: Any, shared: Any, out: Any
) -> int:
    """Look around with the loss of all samples, if the tests or an event need it."""
    theta, params, loss, full = tile.theta, tile.params, tile.loss, tile.full
    if last or shared.sampling[NEEDS_LOSS] != 0:
        landscape(theta, params, shared.data, shared.everything, loss, full)
        return _look_around(step, tile, shared, out)
    _no_number(theta, loss)
    events = _count_events(
        step, theta, loss, tile.grad, tile.limits, tile.book, shared.tests, tile.square
    )
    if events == 0:
        return 0
    landscape(theta, params, shared.data, shared.everything, loss, full)
    return _retire(step, theta, loss, tile.grad, tile.limits, tile.book, shared, out)


@routine
def _look_at_starts(zero: int, landscape: Any, tile: Any, shared: Any, out: Any) -> int:
    """Look around at step 0 and record it, if it is recorded.

    The 0 is handed over: Numba compiles everything once more for a literal one.
    """
    retired = _look_at_all_samples(zero, zero > 0, landscape, tile, shared, out)
    if shared.record_steps.shape[0] > 0 and shared.record_steps[0] == zero:
        _record_all_samples(zero, landscape, tile, shared, out)
    return retired


@routine
def _record_all_samples(place: int, landscape: Any, tile: Any, shared: Any, out: Any) -> None:
    """Record with the loss and the gradient of all samples."""
    landscape(tile.theta, tile.params, shared.data, shared.everything, tile.loss, tile.full)
    _record(place, tile.theta, tile.loss, tile.grad, tile.book, tile.square, out)
    if shared.validation.shape[0] > 0:
        _record_validation(place, landscape, tile, shared, out)


@compiled(
    types.void(
        pointer_type("landscape"),
        pointer_type("update"),
        pointer_type("query"),
        pointer_type("perturb"),
        pointer_type("perturb"),
        pointer_type("perturb"),
        pointer_type("perturb"),
        pointer_type("sample"),
        types.boolean,
        types.int64,
        types.int64,
        _LANES,
        _SHARED,
        _OUTCOME,
        _i1,
        _f2,
        types.int64,
        types.int64,
    ),
    parallel=True,
)
def advance(
    landscape: Any,
    update: Any,
    query: Any,
    stage0: Any,
    stage1: Any,
    stage2: Any,
    stage3: Any,
    sample: Any,
    looks_ahead: bool,
    stages: int,
    workspace: int,
    lanes: Any,
    shared: Any,
    out: Any,
    scheduled: Any,
    factors: Rows,
    first: int,
    closing: int,
) -> None:
    """Advance all tiles from step `first` by as many steps as `factors` has columns.

    At the end, lanes that still run finish with status `closing` unless it is `RUNNING`.
    """
    for number in prange(lanes.theta.shape[0]):
        theta, hyper, work = lanes.theta[number], lanes.hyper[number], lanes.work[number]
        dim = theta.shape[0]
        loss, full = work[0], work[3 : 3 + dim + workspace]
        point = work[3 + dim + workspace : 3 + 2 * dim + workspace]
        scaled = work[work.shape[0] - hyper.shape[0] :] if scheduled.shape[0] > 0 else hyper
        _copy(hyper, scaled)
        book, batch = lanes.book[number], lanes.batch[number]
        tile = Tile(
            theta,
            lanes.state[number],
            hyper,
            lanes.params[number],
            lanes.stage_params[number],
            lanes.streams[number],
            lanes.limits[number],
            book,
            batch,
            loss,
            work[1],
            work[2],
            full[:dim],
            full,
            point,
            scaled,
        )
        if batch.shape[0] > 0:
            _descend_on_batches(
                landscape,
                update,
                query,
                stage0,
                stage1,
                stage2,
                stage3,
                sample,
                looks_ahead,
                stages,
                tile,
                shared,
                out,
                scheduled,
                factors,
                first,
                closing,
            )
        else:
            _descend(
                landscape,
                update,
                query,
                stage0,
                stage1,
                stage2,
                stage3,
                looks_ahead,
                stages,
                tile,
                shared,
                out,
                scheduled,
                factors,
                first,
                closing,
            )
        if closing != RUNNING:
            _close(closing, first + factors.shape[1], theta, loss, full[:dim], book, out)


def work_rows(dim: int, workspace: int, hyper: int) -> int:
    """Return the rows of `Lanes.work`: three of one value, grad, point and hyper."""
    return 3 + dim + workspace + dim + hyper


@compiled(types.void(_f2, _i2, _f3), parallel=True)
def load(source: Rows, index: Indices, lanes: FloatArray) -> None:
    """Fill ``lanes[tile, row, lane]`` with ``source[index[tile, lane], row]``."""
    for tile in prange(lanes.shape[0]):
        for row in range(lanes.shape[1]):
            for lane in range(lanes.shape[2]):
                lanes[tile, row, lane] = source[index[tile, lane], row]


@compiled(types.void(_f3, _i2, _f3), parallel=True)
def pack(source: FloatArray, index: Indices, lanes: FloatArray) -> None:
    """Fill the lanes with those of `source`, lane ``index`` = tile * width + lane there."""
    width = source.shape[2]
    for tile in prange(lanes.shape[0]):
        for row in range(lanes.shape[1]):
            for lane in range(lanes.shape[2]):
                at = index[tile, lane]
                lanes[tile, row, lane] = source[at // width, row, at % width]


@compiled(
    types.void(pointer_type("landscape"), types.int64, _f3, _f3, _f2, _i2, _f3, _i2, _f1),
    parallel=True,
)
def measure(
    landscape: Any,
    workspace: int,
    positions: FloatArray,
    params: FloatArray,
    data: Rows,
    everything: Indices,
    work: FloatArray,
    index: Indices,
    loss: Row,
) -> None:
    """Fill ``loss[index[tile, lane]]`` with the loss of all samples at each lane's position."""
    for tile in prange(positions.shape[0]):
        theta, rows, values = positions[tile], work[tile], work[tile, 0]
        full = rows[3 : 3 + theta.shape[0] + workspace]
        landscape(theta, params[tile], data, everything, values, full)
        for lane in range(theta.shape[1]):
            loss[index[tile, lane]] = values[lane]


@compiled(types.void(_i1, _i1, _OUTCOME), parallel=True)
def hold(numbers: Any, record_steps: Any, out: Any) -> None:
    """Hold the last values of the numbered trajectories where they ended early."""
    # Bound outside the loop: Numba takes a prange that writes only to attributes of a tuple
    # for dead code and drops it.
    position, loss, norm, steps = out.position, out.loss, out.gradient_norm, out.steps
    path, path_loss, path_norm = out.path, out.path_loss, out.path_gradient_norm
    validation, path_validation = out.validation_loss, out.path_validation_loss
    for k in prange(numbers.shape[0]):
        number = numbers[k]
        for later in range(np.searchsorted(record_steps, steps[number]), record_steps.shape[0]):
            for i in range(path.shape[2]):
                path[number, later, i] = position[number, i]
            path_loss[number, later] = loss[number]
            path_norm[number, later] = norm[number]
            if path_validation.shape[0] > 0:
                path_validation[number, later] = validation[number]


#: Everything here that is compiled.
COMPILED = (advance, load, pack, measure, hold)
