"""Random numbers as a pure function of (study seed, start, replicate, step, draw).

There is no generator state.  Each number is computed from its coordinates by the
counter-based generator Philox4x32-10 (J. K. Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw,
"Parallel random numbers: as easy as 1, 2, 3", SC 2011): ten rounds of a keyed bijection of
128-bit counters.  So a trajectory draws the same numbers, bit for bit, in any tile, thread,
process or order, can be replayed alone, and lanes draw them side by side in SIMD code.

Layout
------
One call of Philox, a *block*, turns a counter of four 32-bit words and a key of two into four
random words:

=========  ===============================================================================
key 0, 1   low and high half of the study seed (0 to 2**64 - 1)
counter 0  ``purpose << 28 | draw``: purpose < 16; draw < 2**28 numbers the blocks of a step
counter 1  step, below 2**32
counter 2  replicate index, below 2**32
counter 3  start index, below 2**32
=========  ===============================================================================

The purpose keeps apart what different parts draw for the same trajectory and step: `NOISE`
(gradient noise), `START` (start points, at step 0), `BATCH` (mini-batches) and
`INITIALIZATION` (random landscape data).

A block gives two uniforms or two normals, one for each of two rows of a lane array: block
``draw`` serves coordinates ``2 draw`` and ``2 draw + 1``.  If the number of coordinates is
odd, the second number of the last block is not used.

Uniforms have 52 random bits and lie strictly between 0 and 1, symmetrically around 1/2: words
w0 (the upper 32 bits of k) and w1 (its lower 20) give ``u = (k + 1/2) 2**-52``, exactly; the
second uniform comes from words w2 and w3 in the same way.  Normals come from both by the
method of G. E. P. Box and M. E. Muller (1958), ``sqrt(-2 log u0)`` times the cosine and the
sine of ``2 pi u1``; none exceeds 8.58.

Examples
--------
>>> normals(seed=7, purpose=START, start=[0, 1], columns=3).round(4).tolist()
[[-0.5628, 1.9855, 1.056], [-0.4672, -0.2856, -0.5092]]
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numba import types
from numpy.typing import ArrayLike, NDArray

from fastdescent.contracts import Kernel, Row, Rows, Streams, compiled, lane_function
from fastdescent.errors import InvalidValueError
from fastdescent.lanemath import _log_of_normal, float_from_bits, sincos_turns

__all__ = [
    "BATCH",
    "INITIALIZATION",
    "NOISE",
    "START",
    "fill_normal",
    "fill_uniform",
    "fill_words",
    "make_streams",
    "normals",
    "orthonormal",
    "philox",
    "uniforms",
]

#: Purposes, the upper four bits of counter word 0.
NOISE, START, BATCH, INITIALIZATION = range(4)

Word = np.uint64
Words: TypeAlias = NDArray[Any]

_U12, _U20, _U28, _U32 = (np.uint64(n) for n in (12, 20, 28, 32))
_MASK = np.uint64(0xFFFFFFFF)
_MULTIPLIER_0 = np.uint64(0xD2511F53)
_MULTIPLIER_1 = np.uint64(0xCD9E8D57)
# What the key grows by in n rounds; only the low 32 bits matter, so nothing is masked.
_GROWTH_0 = tuple(np.uint64(0x9E3779B9 * n) for n in range(6))
_GROWTH_1 = tuple(np.uint64(0xBB67AE85 * n) for n in range(6))
_BITS_OF_ONE = np.uint64(0x3FF0000000000000)
_ONE_LESS_HALF_STEP = 1.0 - 2.0**-53
_LANES = 1024  # of a batch at a time: a few rows of it fit into the first-level cache


@lane_function
def _round(
    c0: Word, c1: Word, c2: Word, c3: Word, k0: Word, k1: Word
) -> tuple[Word, Word, Word, Word]:
    """One round; the words' upper halves are left undefined, so that nothing is masked.

    Masking the factors tells LLVM that 32 x 32 bits suffice, one instruction for a vector.
    """
    p = (c0 & _MASK) * _MULTIPLIER_0
    q = (c2 & _MASK) * _MULTIPLIER_1
    return (q >> _U32) ^ c1 ^ k0, q, (p >> _U32) ^ c3 ^ k1, p


@lane_function
def _five_rounds(
    c0: Word, c1: Word, c2: Word, c3: Word, k0: Word, k1: Word
) -> tuple[Word, Word, Word, Word]:
    """Five rounds: LLVM inlines these into a lane loop, but not a function of all ten."""
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0 + _GROWTH_0[1], k1 + _GROWTH_1[1])
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0 + _GROWTH_0[2], k1 + _GROWTH_1[2])
    c0, c1, c2, c3 = _round(c0, c1, c2, c3, k0 + _GROWTH_0[3], k1 + _GROWTH_1[3])
    return _round(c0, c1, c2, c3, k0 + _GROWTH_0[4], k1 + _GROWTH_1[4])


@lane_function
def philox(
    c0: Word, c1: Word, c2: Word, c3: Word, k0: Word, k1: Word
) -> tuple[Word, Word, Word, Word]:
    """Philox4x32-10: four random words from a counter of four and a key of two.

    Parameters
    ----------
    c0, c1, c2, c3 : uint64
        The counter, each word below 2**32.
    k0, k1 : uint64
        The key, each word below 2**32.

    Returns
    -------
    tuple of four uint64
        Each below 2**32.

    Examples
    --------
    >>> [f"{int(word):08x}" for word in philox(*(np.uint64(0) for _ in range(6)))]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    c0, c1, c2, c3 = _five_rounds(c0, c1, c2, c3, k0, k1)
    c0, c1, c2, c3 = _five_rounds(c0, c1, c2, c3, k0 + _GROWTH_0[5], k1 + _GROWTH_1[5])
    return c0 & _MASK, c1 & _MASK, c2 & _MASK, c3 & _MASK


@lane_function
def _uniform(high: Word, low: Word) -> float:
    """(k + 1/2) 2**-52 of the low halves of two words, put into the fraction of 1 <= x < 2."""
    bits = ((high & _MASK) << _U20) | ((low & _MASK) >> _U12)
    return float_from_bits(bits | _BITS_OF_ONE) - _ONE_LESS_HALF_STEP


@lane_function
def fill_uniform(
    row_a: Row, row_b: Row, streams: Streams, step: int, draw: int, purpose: int
) -> None:
    """Fill two rows with independent uniforms in (0, 1), one block of Philox a lane.

    Parameters
    ----------
    row_a, row_b : ndarray of float64, (lanes,)
        Filled; `row_b` may be a scratch row if only one row is wanted.
    streams : ndarray of uint64, (3, lanes)
        Study seed, start index and replicate index of each lane; see `make_streams`.
    step : int
        Step, below 2**32.
    draw : int
        Number of the block within the step, below 2**28.
    purpose : int
        `NOISE`, `START`, `BATCH` or `INITIALIZATION`.

    Examples
    --------
    >>> rows = np.empty((2, 1))
    >>> fill_uniform(rows[0], rows[1], make_streams(7, [0]), 0, 0, START)
    >>> rows.ravel().round(4).tolist()
    [0.1189, 0.294]
    """
    seed, start, replicate = streams[0], streams[1], streams[2]
    block = (np.uint64(purpose) << _U28) | np.uint64(draw)
    when = np.uint64(step)
    for lane in range(row_a.shape[0]):
        k0, k1 = seed[lane] & _MASK, seed[lane] >> _U32
        w0, w1, w2, w3 = _five_rounds(block, when, replicate[lane], start[lane], k0, k1)
        w0, w1, w2, w3 = _five_rounds(w0, w1, w2, w3, k0 + _GROWTH_0[5], k1 + _GROWTH_1[5])
        row_a[lane] = _uniform(w0, w1)
        row_b[lane] = _uniform(w2, w3)


@lane_function
def fill_words(
    row_a: Words,
    row_b: Words,
    row_c: Words,
    row_d: Words,
    streams: Streams,
    step: int,
    draw: int,
    purpose: int,
) -> None:
    """Fill four rows with the random words of one block of Philox a lane.

    Parameters
    ----------
    row_a, row_b, row_c, row_d : ndarray of uint32 or uint64, (lanes,)
        Filled with integers below 2**32.
    streams : ndarray of uint64, (3, lanes)
        Study seed, start index and replicate index of each lane; see `make_streams`.
    step : int
        Step, below 2**32.
    draw : int
        Number of the block within the step, below 2**28.
    purpose : int
        `NOISE`, `START`, `BATCH` or `INITIALIZATION`.

    Examples
    --------
    >>> rows = np.empty((4, 1), np.uint32)
    >>> fill_words(*rows, make_streams(7, [0]), 0, 0, START)
    >>> rows.ravel().tolist()
    [510674334, 628996179, 1262536050, 1538071251]
    """
    seed, start, replicate = streams[0], streams[1], streams[2]
    block = (np.uint64(purpose) << _U28) | np.uint64(draw)
    when = np.uint64(step)
    for lane in range(row_a.shape[0]):
        k0, k1 = seed[lane] & _MASK, seed[lane] >> _U32
        w0, w1, w2, w3 = _five_rounds(block, when, replicate[lane], start[lane], k0, k1)
        w0, w1, w2, w3 = _five_rounds(w0, w1, w2, w3, k0 + _GROWTH_0[5], k1 + _GROWTH_1[5])
        row_a[lane] = w0 & _MASK
        row_b[lane] = w1 & _MASK
        row_c[lane] = w2 & _MASK
        row_d[lane] = w3 & _MASK


@lane_function
def fill_normal(
    row_a: Row, row_b: Row, streams: Streams, step: int, draw: int, purpose: int
) -> None:
    """Fill two rows with independent standard normals, one block of Philox a lane.

    ``a = sqrt(-2 log u) cos(2 pi v)``, ``b = sqrt(-2 log u) sin(2 pi v)`` of the two uniforms
    of the block (G. E. P. Box and M. E. Muller, 1958).

    Parameters
    ----------
    row_a, row_b : ndarray of float64, (lanes,)
        Filled; `row_b` may be a scratch row if only one row is wanted.
    streams : ndarray of uint64, (3, lanes)
        Study seed, start index and replicate index of each lane; see `make_streams`.
    step : int
        Step, below 2**32.
    draw : int
        Number of the block within the step, below 2**28.
    purpose : int
        `NOISE`, `START`, `BATCH` or `INITIALIZATION`.

    Examples
    --------
    >>> rows = np.empty((2, 1))
    >>> fill_normal(rows[0], rows[1], make_streams(7, [0]), 0, 0, START)
    >>> rows.ravel().round(4).tolist()
    [-0.5628, 1.9855]
    """
    fill_uniform(row_a, row_b, streams, step, draw, purpose)
    # A loop of its own: two loops with short chains of dependent instructions are faster
    # than one with a long chain.
    for lane in range(row_a.shape[0]):
        radius = np.sqrt(-2.0 * _log_of_normal(row_a[lane], 1023.0))
        sine, cosine = sincos_turns(row_b[lane])
        row_a[lane] = radius * cosine
        row_b[lane] = radius * sine


_BATCH_SIGNATURE = types.void(types.float64[:, ::1], types.uint64[:, ::1], types.int64, types.int64)


@compiled(_BATCH_SIGNATURE)
def _uniform_batch(rows: Rows, streams: Streams, step: int, purpose: int) -> None:
    for draw in range(rows.shape[0] // 2):
        fill_uniform(rows[2 * draw], rows[2 * draw + 1], streams, step, draw, purpose)


@compiled(_BATCH_SIGNATURE)
def _normal_batch(rows: Rows, streams: Streams, step: int, purpose: int) -> None:
    for draw in range(rows.shape[0] // 2):
        fill_normal(rows[2 * draw], rows[2 * draw + 1], streams, step, draw, purpose)


def uniforms(
    seed: int,
    purpose: int,
    start: ArrayLike,
    columns: int,
    *,
    step: int = 0,
    replicate: ArrayLike = 0,
) -> NDArray[np.float64]:
    """Draw uniforms in (0, 1) for many trajectories, the numbers that kernels draw.

    Parameters
    ----------
    seed : int
        Study seed, 0 to 2**64 - 1.
    purpose : int
        `NOISE`, `START`, `BATCH` or `INITIALIZATION`.
    start, replicate : int or array_like of int
        Indices of the trajectories, below 2**32; broadcast against each other.
    columns : int
        How many numbers each trajectory draws, at most 2**29.
    step : int
        Step, below 2**32.

    Returns
    -------
    ndarray of float64, (n, columns)

    Raises
    ------
    InvalidValueError
        If an argument is not an integer in its range.

    Examples
    --------
    >>> uniforms(seed=7, purpose=START, start=[0, 1], columns=2).round(4).tolist()
    [[0.1189, 0.294], [0.8608, 0.5873]]
    """
    return _batch(_uniform_batch, seed, purpose, start, columns, step, replicate)


def normals(
    seed: int,
    purpose: int,
    start: ArrayLike,
    columns: int,
    *,
    step: int = 0,
    replicate: ArrayLike = 0,
) -> NDArray[np.float64]:
    """Draw standard normals for many trajectories, the numbers that kernels draw.

    Parameters
    ----------
    seed, purpose, start, columns, step, replicate
        As in `uniforms`.

    Returns
    -------
    ndarray of float64, (n, columns)

    Raises
    ------
    InvalidValueError
        If an argument is not an integer in its range.

    Examples
    --------
    >>> normals(seed=7, purpose=START, start=[0, 1], columns=2).round(4).tolist()
    [[-0.5628, 1.9855], [-0.4672, -0.2856]]
    """
    return _batch(_normal_batch, seed, purpose, start, columns, step, replicate)


def orthonormal(seed: int, size: int, *, step: int = 0) -> NDArray[np.float64]:
    """Draw random orthonormal vectors: normal ones, orthogonalised (Gram and Schmidt, twice).

    Products are summed exactly, not by a library whose order of summation depends on the
    processor: the same seed gives the same bits everywhere.

    Parameters
    ----------
    seed : int
        Study seed, 0 to 2**64 - 1.
    size : int
        Number of vectors and of their coordinates.
    step : int
        Step of the draw, below 2**32; its purpose is `INITIALIZATION`.

    Returns
    -------
    ndarray of float64, (size, size)
        The vectors as rows.

    Examples
    --------
    >>> axes = orthonormal(seed=7, size=3)
    >>> np.abs(axes @ axes.T - np.eye(3)).max() < 1e-15
    np.True_
    """
    axes = normals(seed, INITIALIZATION, np.arange(size), size, step=step)
    for k in range(size):
        v = axes[k]
        for j in [*range(k), *range(k)]:
            v -= math.fsum(axes[j] * v) * axes[j]
        axes[k] = v / math.sqrt(math.fsum(v * v))
    return axes


def make_streams(seed: int, start: ArrayLike, replicate: ArrayLike = 0) -> Streams:
    """Build the stream rows of lanes: study seed, start index, replicate index.

    Parameters
    ----------
    seed : int
        Study seed, 0 to 2**64 - 1.
    start, replicate : int or array_like of int
        Below 2**32; broadcast against each other to one lane each.

    Returns
    -------
    ndarray of uint64, (3, lanes)

    Raises
    ------
    InvalidValueError
        If an argument is not an integer in its range.

    Examples
    --------
    >>> make_streams(7, [0, 1], 2).tolist()
    [[7, 7], [0, 1], [2, 2]]
    """
    starts, replicates = np.broadcast_arrays(
        np.atleast_1d(_integers("start", start, 2**32)),
        np.atleast_1d(_integers("replicate", replicate, 2**32)),
    )
    streams = np.empty((3, starts.size), np.uint64)
    streams[0] = _integers("seed", seed, 2**64)
    streams[1], streams[2] = starts.ravel(), replicates.ravel()
    return streams


def _batch(
    fill: Kernel,
    seed: int,
    purpose: int,
    start: ArrayLike,
    columns: int,
    step: int,
    replicate: ArrayLike,
) -> NDArray[np.float64]:
    """Fill (lanes, columns) tile by tile with a function that fills (columns, lanes)."""
    streams = make_streams(seed, start, replicate)
    when, why = int(_integers("step", step, 2**32)), int(_integers("purpose", purpose, 16))
    numbers = np.empty((streams.shape[1], int(_integers("columns", columns, 2**29 + 1))))
    even = columns + columns % 2
    for first in range(0, streams.shape[1], _LANES):
        some = np.ascontiguousarray(streams[:, first : first + _LANES])
        rows = np.empty((even, some.shape[1]))
        fill(rows, some, when, why)
        numbers[first : first + _LANES] = rows[:columns].T
    return numbers


def _integers(name: str, values: ArrayLike, end: int) -> NDArray[np.uint64]:
    """Check that all values are integers in [0, end) and give them as uint64."""
    given = np.asarray(values)
    if given.dtype.kind not in "iu" or np.any(given < 0) or np.any(given > end - 1):
        raise InvalidValueError(f"streams.{name}", values, f"integers in [0, {end})")
    return given.astype(np.uint64)
