"""Linear models with one output: their kernel, and what they share."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from fastdescent.contracts import Indices, Row, Rows, kernel, lane_function
from fastdescent.errors import InvalidValueError
from fastdescent.models._affine import (
    BLOCK,
    UNIT,
    clear,
    collect,
    load_block,
    outer,
    outer_of_one,
    product_of_one,
    products,
    weigh,
)
from fastdescent.models._base import Block, SampleModel, rows_of_units, sample_table
from fastdescent.parts import FloatArray
from fastdescent.simd import WIDTH, flat, fma, load, part, splat, store

__all__ = ["HUBER", "RIDGE", "SQUARED", "LinearModel", "least_squares", "value_and_gradient"]

#: The losses, in the row of numbers about the model.
SQUARED, RIDGE, HUBER = range(3)
# That row: number of samples, loss, whether X'X / m follows the samples, whether the last
# feature is the constant 1 of the intercept, and the least mean squared error.
SAMPLES, LOSS, SQUARES, BIAS, LEAST = range(5)

_MASS, _COST, _OUTPUT, _DELTA, _INPUTS = 0, UNIT, 2 * UNIT, 3 * UNIT, 4 * UNIT
_FRONT = 4
# X'X squares the condition number of X (its columns scaled): up to here the loss from squares
# has at least eleven right digits.
_MOST_CONDITION = 100.0


@lane_function
def _squared_error(space: Row, answer: int, count: int) -> None:
    """Add the samples' squared errors to the cost, and find its derivative by the output.

    `count` numbers of a unit, so that many samples, are looked at.  Calling the networks'
    `squared_error`, which goes over several outputs, makes the kernel 30 % slower.
    """
    weight, cost = part(space, _MASS, count), part(space, _COST, count)
    y, t, d = part(space, _OUTPUT, count), part(space, answer, count), part(space, _DELTA, count)
    for e in range(count):
        d[e] = y[e] - t[e]
    for e in range(count):
        cost[e] += weight[e] * (d[e] * d[e])
    for e in range(count):
        d[e] *= 2.0 * weight[e]


@lane_function
def _huber_error(space: Row, answer: int, samples: int, limit: Row) -> None:
    """Likewise for Huber's loss, whose limit each lane has."""
    weight, cost = part(space, _MASS, UNIT), part(space, _COST, UNIT)
    y, t, d = part(space, _OUTPUT, UNIT), part(space, answer, UNIT), part(space, _DELTA, UNIT)
    for s in range(samples):
        for k in range(WIDTH):
            e = s * WIDTH + k
            error, most = y[e] - t[e], limit[k]
            size = abs(error)
            # For |error| <= most both forms are error^2 / 2; NaN stays NaN.
            inside = most if size > most else size
            cost[e] += weight[e] * (inside * (size - 0.5 * inside))
            far = most if error > 0.0 else -most
            d[e] = weight[e] * (far if size > most else error)  # an error of NaN is not far


@lane_function
def _error(loss: float, space: Row, answer: int, samples: int, params: Rows, lane: int) -> None:
    if loss == HUBER:
        _huber_error(space, answer, samples, part(flat(params), lane, WIDTH))
    else:
        _squared_error(space, answer, samples * WIDTH)


@lane_function
def _from_squares(
    theta: Row, grad: Row, loss: Row, data: Row, width: int, lanes: int, lane: int
) -> None:
    """Loss and gradient of all samples from X'X / m: ``least + u' A u`` with u = theta - best.

    dim^2 multiply-adds instead of 2 samples dim, and no cancellation near the minimum.
    """
    dim = theta.shape[0] // lanes
    first = (1 + int(data[SAMPLES])) * width
    best, minus, two = first + dim * width, splat(-1.0), splat(2.0)
    total = splat(data[LEAST])
    for i in range(dim):
        row, sums = part(data, first + i * width, dim), splat(0.0)
        at_best = part(data, best, dim)
        for j in range(dim):
            u = fma(minus, splat(at_best[j]), load(theta, j * lanes + lane))
            sums = fma(splat(row[j]), u, sums)
        total = fma(sums, fma(minus, splat(at_best[i]), load(theta, i * lanes + lane)), total)
        store(grad, i * lanes + lane, fma(two, sums, splat(0.0)))
    store(loss, lane, total)


@lane_function
def _penalize(theta: Rows, grad: Rows, loss: Row, strength: Row, weights: int) -> None:
    """Add ``strength |w|^2``."""
    for i in range(weights):
        w, g = theta[i], grad[i]
        for lane in range(loss.shape[0]):
            loss[lane] += strength[lane] * (w[lane] * w[lane])
            g[lane] += 2.0 * strength[lane] * w[lane]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Predictions, errors and their products with the features, four samples at a time."""
    dim, lanes = theta.shape
    about, width = data[0], data.shape[1]
    count = batch.shape[0] if batch.shape[0] > 0 else int(about[SAMPLES])
    t, g, d, space = flat(theta), flat(grad[:dim]), flat(data), flat(grad[dim:])
    answer = _INPUTS + dim * UNIT
    if batch.shape[0] == 0 and about[SQUARES] != 0.0:
        for lane in range(0, lanes, WIDTH):
            _from_squares(t, g, loss, d, width, lanes, lane)
    else:
        clear(g, 0, dim * lanes)
        for lane in range(0, lanes, WIDTH):
            clear(space, _COST, UNIT)
            for first in range(0, count, BLOCK):
                # A lone sample, as stochastic descent has, is not worth four.
                some = 1 if first == count - 1 else BLOCK
                weigh(space, _MASS, first, count)
                load_block(space, _INPUTS, d, width, batch, lanes, lane, first, count, some)
                if some == 1:
                    product_of_one(t, dim, lanes, lane, space, _INPUTS, _OUTPUT)
                    _error(about[LOSS], space, answer, 1, params, lane)
                    outer_of_one(g, dim, lanes, lane, space, _DELTA, _INPUTS)
                else:
                    products(t, 0, dim, 1, 1, dim, lanes, lane, -1, space, _INPUTS, _OUTPUT)
                    _error(about[LOSS], space, answer, BLOCK, params, lane)
                    outer(g, 0, 1, dim, lanes, lane, -1, space, _DELTA, _INPUTS)
            collect(space, _COST, loss, lane)
    if about[LOSS] == RIDGE:
        _penalize(theta, grad, loss, params[0], dim - int(about[BIAS]))


def least_squares(design: FloatArray, y: FloatArray) -> tuple[FloatArray, float]:
    """Return the least-squares solution of smallest norm, and the condition number.

    Both with the columns scaled to the same length, so that units do not matter.
    """
    scale = np.abs(design).max(axis=0)
    scale[scale == 0.0] = 1.0
    scaled = design / scale
    lengths = np.linalg.norm(scaled, axis=0)
    lengths[lengths == 0.0] = 1.0
    best, _, _, singular = np.linalg.lstsq(scaled / lengths, y, rcond=None)
    condition = singular[0] / singular[-1] if singular[-1] > 0.0 else np.inf
    return np.asarray(best / lengths / scale, dtype=float), float(condition)


class LinearModel(SampleModel):
    """Base class of linear models: weights, then the intercept if there is one."""

    abstract: ClassVar[bool] = True
    kernel: ClassVar = value_and_gradient
    #: Which loss the kernel computes.
    loss_number: ClassVar[int]

    if TYPE_CHECKING:
        bias: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.bias, bool):
            raise InvalidValueError(f"{self.name}.bias", self.bias, "True or False")
        if self._data.n_classes > 2:
            raise InvalidValueError(
                f"{self.name}.data",
                f"{self._data.n_classes} classes",
                "numbers as targets",
                "SoftmaxRegression takes classes",
            )
        if self._data.n_targets != 1:
            raise InvalidValueError(
                f"{self.name}.data",
                self.data,
                "data with one target",
                "MLP(data, widths=[]) is a linear model with several",
            )

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """The weights, and the intercept if there is one."""
        features = self._data.n_features
        weight = Block("weight", 0, 1, features)
        return (weight, Block("bias", features, 1, 1)) if self.bias else (weight,)

    @property
    def workspace(self) -> int:  # type: ignore[override]
        """Rows that the kernel computes in."""
        return rows_of_units(_FRONT + self._tables[0].shape[1])

    def design(self, x: FloatArray) -> FloatArray:
        """Return the features with a column of ones if there is an intercept."""
        return np.column_stack([x, np.ones(len(x))]) if self.bias else x

    @cached_property
    def _design(self) -> tuple[FloatArray, FloatArray]:
        return self.design(self.samples.x), self.samples.y[:, 0]

    def table(self, x: FloatArray, y: FloatArray, validation: bool = False) -> FloatArray:
        design, dim = self.design(x), self.dim
        loss = SQUARED if validation and self.loss_number == RIDGE else self.loss_number
        table = sample_table(design, y, [len(x), loss, 0.0, float(self.bias), 0.0])
        if loss == HUBER:
            return table
        best, condition = least_squares(design, y[:, 0])
        with np.errstate(over="ignore", invalid="ignore"):  # of numbers beyond 1e154
            table[0, LEAST] = np.mean((design @ best - y[:, 0]) ** 2)
            squares = design.T @ design / len(x)
        if dim > 2 * len(x) or condition > _MOST_CONDITION or not np.isfinite(squares).all():
            return table
        table[0, SQUARES] = 1.0
        more = np.zeros((dim + 1, table.shape[1]))
        more[:dim, :dim] = squares
        more[dim, :dim] = best
        return np.concatenate([table, more])

    def _constant_hessian(self, x: Any, hessian: FloatArray) -> FloatArray:
        points = self._points(x)
        found = np.repeat(hessian[None], len(points), axis=0)
        return found if np.ndim(x) == 2 else found[0]
