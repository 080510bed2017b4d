"""Activation functions and losses of networks, on units of the workspace."""

from __future__ import annotations

from fastdescent.contracts import Row, lane_function
from fastdescent.lanemath import exp, log, sigmoid, tanh
from fastdescent.models._affine import UNIT
from fastdescent.simd import part

__all__ = ["ACTIVATIONS", "LOSSES", "activate", "cross_entropy", "squared_error"]

#: Names in the order of their numbers in the kernel's data.
ACTIVATIONS = ("identity", "tanh", "sigmoid", "relu", "gelu")
LOSSES = ("squared", "cross_entropy")

_IDENTITY, _TANH, _SIGMOID, _RELU = range(4)

# Hendrycks and Gimpel (2016), section 2: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))).
_ROOT_2_PI = 0.7978845608028654
_CUBIC = 0.044715


@lane_function
def _gelu(value: Row, rate: Row, scale: float) -> None:
    for e in range(value.shape[0]):
        rate[e] = scale * value[e]
    for e in range(value.shape[0]):
        z = scale * value[e]
        value[e] = 0.5 * z * (1.0 + tanh(_ROOT_2_PI * (z + _CUBIC * (z * z * z))))
    for e in range(value.shape[0]):
        z = rate[e]
        y = tanh(_ROOT_2_PI * (z + _CUBIC * (z * z * z)))
        inner = _ROOT_2_PI * (1.0 + 3.0 * _CUBIC * (z * z))
        rate[e] = scale * (0.5 * (1.0 + y) + 0.5 * z * (1.0 - y * y) * inner)


@lane_function
def _relu(value: Row, rate: Row, scale: float) -> None:
    for e in range(value.shape[0]):
        z = scale * value[e]
        rate[e] = scale if z > 0.0 else 0.0
        value[e] = 0.0 if z <= 0.0 else z  # not "z if z > 0": NaN must stay NaN


@lane_function
def _identity(value: Row, rate: Row, scale: float) -> None:
    for e in range(value.shape[0]):
        value[e] *= scale
        rate[e] = scale


@lane_function
def activate(space: Row, at: int, slope: int, count: int, kind: int, scale: float) -> None:
    """Replace z by f(scale z), and write scale f'(scale z) to `slope`."""
    # The expensive functions have loops with one array, so that LLVM need not ask whether
    # two of them overlap.
    value, rate = part(space, at, count), part(space, slope, count)
    if kind == _IDENTITY:
        _identity(value, rate, scale)
    elif kind == _TANH:
        for e in range(count):
            value[e] = tanh(scale * value[e])
        for e in range(count):
            rate[e] = scale * (1.0 - value[e] * value[e])
    elif kind == _SIGMOID:
        for e in range(count):
            value[e] = sigmoid(scale * value[e])
        for e in range(count):
            rate[e] = scale * (value[e] * (1.0 - value[e]))
    elif kind == _RELU:
        _relu(value, rate, scale)
    else:
        _gelu(value, rate, scale)


@lane_function
def squared_error(
    space: Row, output: int, target: int, outputs: int, mass: int, cost: int, delta: int
) -> None:
    """Add ``mass |y - t|^2`` to the cost; write its derivative by y to `delta`."""
    weight, total = part(space, mass, UNIT), part(space, cost, UNIT)
    for j in range(outputs):
        y, t = part(space, output + j * UNIT, UNIT), part(space, target + j * UNIT, UNIT)
        d = part(space, delta + j * UNIT, UNIT)
        for e in range(UNIT):
            d[e] = y[e] - t[e]
        for e in range(UNIT):
            total[e] += weight[e] * (d[e] * d[e])
        for e in range(UNIT):
            d[e] *= 2.0 * weight[e]


@lane_function
def _binary(y: Row, label: Row, weight: Row, total: Row, d: Row) -> None:
    """Cross-entropy of one output, the logarithm of the odds of label 1."""
    for e in range(UNIT):
        # log(1 + exp(-abs(y))) + max(y, 0) - label y never overflows
        d[e] = log(1.0 + exp(-abs(y[e])))
    for e in range(UNIT):
        total[e] += weight[e] * (d[e] + (0.0 if y[e] < 0.0 else y[e]) - label[e] * y[e])
    for e in range(UNIT):
        d[e] = sigmoid(y[e])
    for e in range(UNIT):
        d[e] = weight[e] * (d[e] - label[e])


@lane_function
def _exponentials(
    space: Row, output: int, outputs: int, label: Row, shares: Row, delta: int, top: Row, sums: Row
) -> None:
    """Fill delta with exp(y - max y), `sums` with their sum, `shares` with max y - y[label]."""
    for e in range(UNIT):
        top[e] = space[output + e]
    for j in range(1, outputs):
        y = part(space, output + j * UNIT, UNIT)
        for e in range(UNIT):
            top[e] = top[e] if top[e] >= y[e] else y[e]
    for e in range(UNIT):
        sums[e] = 0.0
        shares[e] = 0.0
    for j in range(outputs):
        y, d = part(space, output + j * UNIT, UNIT), part(space, delta + j * UNIT, UNIT)
        for e in range(UNIT):
            d[e] = y[e] - top[e]
        for e in range(UNIT):
            shares[e] -= d[e] if label[e] == j else 0.0
        for e in range(UNIT):
            d[e] = exp(d[e])
        for e in range(UNIT):
            sums[e] += d[e]


@lane_function
def cross_entropy(
    space: Row, output: int, target: int, outputs: int, mass: int, cost: int, delta: int
) -> None:
    """Add ``-mass log p[label]`` to the cost, p = softmax(y); write its derivative to `delta`.

    With one output p is the sigmoid, and the label 0 or 1.  Else `delta` has three more units.
    """
    weight, total = part(space, mass, UNIT), part(space, cost, UNIT)
    label, spare = part(space, target, UNIT), delta + outputs * UNIT
    if outputs == 1:
        y, d = part(space, output, UNIT), part(space, delta, UNIT)
        _binary(y, label, weight, total, d)
        return
    top, sums = part(space, spare, UNIT), part(space, spare + UNIT, UNIT)
    shares = part(space, spare + 2 * UNIT, UNIT)
    _exponentials(space, output, outputs, label, shares, delta, top, sums)
    for e in range(UNIT):
        top[e] = 1.0 / sums[e]
    for e in range(UNIT):
        sums[e] = log(sums[e])
    for e in range(UNIT):
        total[e] += weight[e] * (shares[e] + sums[e])
    for j in range(outputs):
        d = part(space, delta + j * UNIT, UNIT)
        for e in range(UNIT):
            d[e] = weight[e] * (d[e] * top[e] - (1.0 if label[e] == j else 0.0))
