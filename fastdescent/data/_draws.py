"""What generators share: their count, and elementary functions of whole arrays.

Everything is drawn by the package's streams, sample i from stream i, and computed by
additions, multiplications, square roots and the package's own functions, in an order that no
library chooses: the same seed gives the same bits on any machine.
"""

from __future__ import annotations

from dataclasses import KW_ONLY

import numpy as np
from numba import types

from fastdescent.contracts import Row, compiled
from fastdescent.data._base import FEATURES, LABELS, Data
from fastdescent.lanemath import exp, log, sincos_turns, tanh
from fastdescent.parts import FloatArray, Range, option
from fastdescent.streams import INITIALIZATION, normals, uniforms

__all__ = ["circle", "powers", "squashed", "weighted_sum"]

_ROW = types.float64[::1]


class _Drawn(Data):
    """Base class of generators."""

    _: KW_ONLY
    count: int = option(default=1000, integer=Range(1, 2**32 - 1))

    def __post_init__(self) -> None:
        super().__post_init__()
        self._held_out(self.count)

    def _normals(self, seed: int, columns: int, step: int = FEATURES) -> FloatArray:
        """Draw normals for each sample."""
        return normals(seed, INITIALIZATION, np.arange(self.count), columns, step=step)

    def _uniforms(self, seed: int, columns: int, step: int) -> FloatArray:
        """Draw uniforms for each sample."""
        return uniforms(seed, INITIALIZATION, np.arange(self.count), columns, step=step)

    def _noisy(self, seed: int, exact: FloatArray, noise: float) -> FloatArray:
        """Return targets with normal noise, as one column."""
        if noise:
            exact = exact + noise * self._normals(seed, 1, step=LABELS)[:, 0]
        return exact[:, np.newaxis]


def weighted_sum(x: FloatArray, weights: FloatArray) -> FloatArray:
    """Return x @ weights, summed from the first column to the last.

    Examples
    --------
    >>> weighted_sum(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 10.0])).tolist()
    [21.0, 43.0]
    """
    total = np.zeros(len(x))
    for column, weight in zip(x.T, weights, strict=True):
        total += column * weight
    return total


def circle(turns: FloatArray) -> FloatArray:
    """Return points on the unit circle at angles of so many turns, shape (n, 2).

    Examples
    --------
    >>> circle(np.array([0.0, 0.125])).round(4).tolist()
    [[1.0, 0.0], [0.7071, 0.7071]]
    """
    points = np.empty((2, len(turns)))
    _circle(np.ascontiguousarray(turns), points[0], points[1])
    return np.ascontiguousarray(points.T)


def powers(base: float, exponents: FloatArray) -> FloatArray:
    """Return powers of a positive number.

    Examples
    --------
    >>> powers(100.0, np.array([0.0, 0.5])).round(12).tolist()
    [1.0, 10.0]
    """
    found = np.empty(len(exponents))
    _powers(np.full(len(exponents), base), np.ascontiguousarray(exponents), found)
    return found


def squashed(x: FloatArray) -> FloatArray:
    """Return tanh of a row of numbers.

    Examples
    --------
    >>> squashed(np.array([0.0, 1.0])).round(12).tolist()
    [0.0, 0.761594155956]
    """
    found = np.empty(len(x))
    _squash(np.ascontiguousarray(x), found)
    return found


@compiled(types.void(_ROW, _ROW, _ROW))
def _circle(turns: Row, x: Row, y: Row) -> None:
    for lane in range(turns.shape[0]):
        sine, cosine = sincos_turns(turns[lane])
        x[lane] = cosine
        y[lane] = sine


@compiled(types.void(_ROW, _ROW, _ROW))
def _powers(base: Row, exponent: Row, out: Row) -> None:
    for lane in range(out.shape[0]):
        out[lane] = exp(log(base[lane]) * exponent[lane])


@compiled(types.void(_ROW, _ROW))
def _squash(x: Row, out: Row) -> None:
    for lane in range(out.shape[0]):
        out[lane] = tanh(x[lane])
