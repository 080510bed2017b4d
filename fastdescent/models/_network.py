"""The kernel of layered networks: forward, loss, back-propagation."""

from __future__ import annotations

from fastdescent.contracts import Indices, Row, Rows, kernel, lane_function
from fastdescent.models._activations import activate, cross_entropy, squared_error
from fastdescent.models._affine import (
    BLOCK,
    UNIT,
    clear,
    collect,
    load_block,
    outer,
    products,
    weigh,
)
from fastdescent.simd import WIDTH, flat, part

__all__ = ["ABOUT", "LAYER_NUMBERS", "value_and_gradient", "workspace_units"]

# The row of numbers about the model: first these, then inputs, outputs and scale of each layer.
SAMPLES, LAYERS, ACTIVATION, LOSS, BIAS, KEEP, INPUTS = range(7)
#: How many numbers come before those of the layers, and how many each layer has.
ABOUT, LAYER_NUMBERS = 7, 3

# Units at the front of the workspace: the samples' weights and their shares of the loss.
_MASS, _COST, _FRONT = 0, UNIT, 2
# Units at its end, for the cross-entropy.
_SPARE = 3


def workspace_units(width: int, outputs: list[int]) -> int:
    """Return how many units a block of samples needs; `width` is the length of a row of data.

    Three for each unit of each layer: its value, its slope, its derivative; and the loss's own.
    """
    return _FRONT + width + 3 * sum(outputs) + _SPARE


@lane_function
def _forward(
    theta: Row, about: Row, lanes: int, lane: int, space: Row, inputs: int, first: int
) -> int:
    """Compute all layers' outputs and slopes; return the place of the last layer's units."""
    layers, biased = int(about[LAYERS]), about[BIAS] != 0.0
    source, target, offset = inputs, first, 0
    for layer in range(layers):
        numbers = ABOUT + layer * LAYER_NUMBERS
        columns, rows = int(about[numbers]), int(about[numbers + 1])
        bias = offset + rows * columns if biased else -1
        products(theta, offset, columns, 1, rows, columns, lanes, lane, bias, space, source, target)
        kind = int(about[ACTIVATION]) if layer < layers - 1 else 0
        activate(space, target, target + rows * UNIT, rows * UNIT, kind, about[numbers + 2])
        source = target
        if layer < layers - 1:
            target += 3 * rows * UNIT
        offset += rows * columns + (rows if biased else 0)
    return target


@lane_function
def _backward(
    theta: Row,
    grad: Row,
    about: Row,
    lanes: int,
    lane: int,
    space: Row,
    inputs: int,
    last: int,
) -> None:
    """Add this block's part of the gradient, from the last layer to the first."""
    layers, biased = int(about[LAYERS]), about[BIAS] != 0.0
    offset = theta.shape[0] // lanes
    target = last
    for k in range(layers):
        layer = layers - 1 - k
        numbers = ABOUT + layer * LAYER_NUMBERS
        columns, rows = int(about[numbers]), int(about[numbers + 1])
        offset -= rows * columns + (rows if biased else 0)
        bias = offset + rows * columns if biased else -1
        delta = target + 2 * rows * UNIT
        # The derivative by the layer's output times the slope: by its weighted inputs.
        count = rows * UNIT
        slopes, deltas = part(space, target + count, count), part(space, delta, count)
        for e in range(count):
            deltas[e] *= slopes[e]
        source = inputs if layer == 0 else target - 3 * columns * UNIT
        outer(grad, offset, rows, columns, lanes, lane, bias, space, delta, source)
        if layer > 0:
            into = source + 2 * columns * UNIT
            products(theta, offset, 1, columns, columns, rows, lanes, lane, -1, space, delta, into)
        target = source


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Four samples at a time through all layers and back; see `_affine` for the shape."""
    dim, lanes = theta.shape
    about, width = data[0], data.shape[1]
    layers = int(about[LAYERS])
    count = batch.shape[0] if batch.shape[0] > 0 else int(about[SAMPLES])
    outputs = int(about[ABOUT + (layers - 1) * LAYER_NUMBERS + 1])
    t, g, d, space = flat(theta), flat(grad[:dim]), flat(data), flat(grad[dim:])
    clear(g, 0, dim * lanes)
    start = 0
    for lane in range(0, lanes, WIDTH):
        clear(space, _COST, UNIT)
        for first in range(0, count, BLOCK):
            inputs = start + _FRONT * UNIT
            weigh(space, _MASS, first, count)
            load_block(space, inputs, d, width, batch, lanes, lane, first, count, BLOCK)
            output = _forward(t, about, lanes, lane, space, inputs, inputs + width * UNIT)
            delta = output + 2 * outputs * UNIT
            answer = inputs + int(about[INPUTS]) * UNIT
            if about[LOSS] == 0.0:
                squared_error(space, output, answer, outputs, _MASS, _COST, delta)
            else:
                cross_entropy(space, output, answer, outputs, _MASS, _COST, delta)
            _backward(t, g, about, lanes, lane, space, inputs, output)
            if about[KEEP] != 0.0:
                start = output + (3 * outputs + _SPARE - _FRONT) * UNIT
        collect(space, _COST, loss, lane)
