r"""Mini-batches: which samples a step sees, as a pure function of its coordinates.

The samples of a trajectory's step depend on the study seed, its start, its replicate, the
epoch or step and the place in the permutation alone: there is no state and no index array.
Two rules see the same batches, one trajectory can be replayed alone, and an epoch may be cut
into blocks in any way.  `indices` gives the same indices to NumPy, torch or JAX.

A permutation of m samples is a *keyed bijection* of 0, ..., m - 1, its key the 128 bits of
one block of Philox (purpose `BATCH`, counted by epoch or step, draw 0).

**Up to 16 samples** the permutation itself is made, by the shuffle of R. A. Fisher and
F. Yates (1938; Durstenfeld, CACM 7, 1964), in one 64-bit word of 16 digits of 4 bits; a place
is read with one shift.  The uniform integers below 2, ..., 16 are digits of the four words of
the block; no permutation's probability is off by more than a factor of 1 +- 3e-6.

**Beyond** it is a Feistel network of alternating modular additions (J. Black and P. Rogaway,
"Ciphers with arbitrary finite domains", CT-RSA 2002) on a grid of a x b >= m cells: place
``l b + r`` goes through rounds ``l += F(r) mod a``, ``r += F(l) mod b``.  What falls on a cell
beyond m goes through again, until it does not (cycle walking); a and b are near sqrt(m) and
chosen so that few do.  F is multiply-add, xor-shift, multiply in 32 bits, scaled to a or b by
one more product of 16 bits.  A round function need not be exactly uniform: a product of
random bijections comes nearer to uniform with each, whatever their law.

The number of rounds follows from the Markov chain of the differences of two places (a round
makes one difference uniform unless the other is 0): the total variation between a pair's law
and the uniform law without replacement falls by a factor of a every two rounds, and the
rounds are those that bring it below 3e-6 for every m and every pair of places:

==============  ======  ============
shorter side a  rounds  first at m =
==============  ======  ============
4, 5            20      17
6 to 12         16      36
13 to 71        12      169
72 and more     8       5184
==============  ======  ============

Measured: after 4 and 8 rounds the network's pairs follow that chain; its round functions are
as good as full 32-bit hash functions with two keys, which changed nothing.  Over 2e6 to 2.5e7
permutations of each of 4, 16, 17, 20, 23, 30, 36, 37 and 64 samples (6e4 of 1797), in tables
of single places, pairs, triples, neighbouring epochs and trajectories, variances of weighted
sums, fixed points and descents, the largest of about 450 standardised deviations was 3.8, and
-0.2 with another seed.  What remains: where a and b are odd and ``a b = m``, all permutations
are even, which fewer than m - 1 of the places cannot show.

Time, in ns for one index of one lane on one thread (AMD EPYC with AVX-512, 256 lanes, the
least of 300 means of ten calls).  The key is included, and so is the call from Python, about
2 ns a lane; with AVX2 alone the last column is a third longer:

=================  ======  ======  =======
samples            size 1  size 8  size 32
=================  ======  ======  =======
8                  5.3     0.8
16                 7.2     1.0
17                 9.3     6.1
30                 7.2     4.0
36 to 168          6.5     3.3     2.9
442                5.9     2.9     2.3
1797               6.2     2.9     2.7
10 000 and more    5.3     2.0     1.6
with replacement   3.7     1.3     1.1
=================  ======  ======  =======

Beside it were tried: the same network in 64-bit arithmetic with a scalar cycle walk (4.3 ns
at 442 samples where this one takes 2.3, and 20 ns at 17), a cheaper round function (one product
and one to scale it: the pairs of 30 samples were off by 300 standard errors and more after 8
rounds, against 8), and the swap-or-not shuffle (V. T. Hoang, B. Morris and P. Rogaway, CRYPTO
2012), which needs no walk but 20 rounds for the same distance: 24 took 5.2 to 6.4 ns.

Examples
--------
The batches of three trajectories at the first step of the second epoch:

>>> indices(Epochs(size=2), seed=7, start=[0, 1, 2], samples=10, step=6).tolist()
[[4, 2], [2, 5], [2, 6]]
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdescent.contracts import Indices, Kernel, Streams, kernel, lane_function
from fastdescent.errors import InvalidValueError
from fastdescent.parts import IntArray, Part, Values, is_integer, option, parameter
from fastdescent.scratch import stack_row
from fastdescent.streams import BATCH, fill_words, make_streams

__all__ = ["Batch", "Epochs", "Full", "Independent", "indices"]

Half = np.uint32
HalfRow: TypeAlias = NDArray[np.uint32]
WordRow: TypeAlias = NDArray[np.uint64]

#: Up to so many samples a permutation fits into a word.
_PACKED = 16
_IDENTITY = np.uint64(0xFEDCBA9876543210)
_U2, _U15, _U32 = (np.uint64(n) for n in (2, 15, 32))
_MASK = np.uint64(0xFFFFFFFF)
_H16, _LOW = np.uint32(16), np.uint32(0xFFFF)
# The rounds' odd multipliers: a multiplicative congruential generator modulo 2**32 (factor:
# Steele and Vigna, Computationally easy, spectrally good multipliers, SPE 52, 2022), which
# starts at a prime near 2**32 divided by the golden ratio.
_FIRST_ODD = np.uint64(0x9E3779B1)
_NEXT_ODD = np.uint64(0x93D765DD)
_LANES = 256  # of `indices` at a time


# Permutations of up to 16 samples, packed into a word.


@lane_function
def _shuffle(order: WordRow, samples: int, a: HalfRow, b: HalfRow, c: HalfRow, d: HalfRow) -> None:
    """Fill `order` with uniform permutations, 4 bits an element, from four words a lane."""
    for lane in range(order.shape[0]):
        order[lane] = _IDENTITY
    for last in range(samples - 1, 0, -1):
        turn = last % 4
        _swap(order, last, a if turn == 0 else b if turn == 1 else c if turn == 2 else d)


@lane_function
def _swap(order: WordRow, last: int, word: HalfRow) -> None:
    """Swap element `last` with one of 0, ..., last, which the word says and then forgets."""
    count, here = np.uint64(last + 1), np.uint64(4 * last)
    for lane in range(order.shape[0]):
        scaled = np.uint64(word[lane]) * count
        word[lane] = scaled & _MASK
        there = (scaled >> _U32) << _U2
        both = order[lane]
        change = ((both >> here) ^ (both >> there)) & _U15
        order[lane] = both ^ ((change << here) | (change << there))


# Permutations of more samples: a Feistel network on a grid.


@lane_function
def _grid(samples: int) -> tuple[int, int]:
    """Return the sides a <= b of a grid that has few cells more than there are samples."""
    root = int(np.sqrt(float(samples)))
    a, b = root, (samples + root - 1) // root
    for shorter in range(1, min(8, root // 5 + 1)):
        rows = root - shorter
        columns = (samples + rows - 1) // rows
        if rows * columns < a * b:
            a, b = rows, columns
    return a, b


@lane_function
def _quarters(a: int) -> int:
    """Return how many times four rounds a grid with shorter side `a` needs."""
    return 2 if a >= 72 else 3 if a >= 13 else 4 if a >= 6 else 5


@lane_function
def _function(x: Half, factor: Half, term: Half, odd: Half, count: Half) -> Half:
    """Map x < 2**16 to 0, ..., count - 1 by a keyed function; count < 2**16."""
    t = np.uint32(np.uint32(x * factor) + term)
    t = np.uint32(np.uint32(t ^ np.uint32(t >> _H16)) * odd)
    return np.uint32(np.uint32(np.uint32(t >> _H16) * count) >> _H16)


@lane_function
def _add(x: Half, y: Half, count: Half) -> Half:
    """Return x + y modulo `count`."""
    total = np.uint32(x + y)
    return np.uint32(total - count) if total >= count else total


@lane_function
def _rounds(
    cells: HalfRow,
    count: int,
    a: Half,
    b: Half,
    times: int,
    k0: HalfRow,
    k1: HalfRow,
    k2: HalfRow,
    k3: HalfRow,
) -> None:
    """Send the first `count` cells, ``l << 16 | r``, through `times` times four rounds."""
    odd = _FIRST_ODD
    for _ in range(times):
        odd1 = (odd * _NEXT_ODD) & _MASK
        odd2 = (odd1 * _NEXT_ODD) & _MASK
        odd3 = (odd2 * _NEXT_ODD) & _MASK
        m0, m1, m2, m3 = np.uint32(odd), np.uint32(odd1), np.uint32(odd2), np.uint32(odd3)
        for i in range(count):
            left, right = np.uint32(cells[i] >> _H16), np.uint32(cells[i] & _LOW)
            left = _add(left, _function(right, k0[i], k2[i], m0, a), a)
            right = _add(right, _function(left, k1[i], k2[i], m1, b), b)
            left = _add(left, _function(right, k0[i], k3[i], m2, a), a)
            right = _add(right, _function(left, k1[i], k3[i], m3, b), b)
            cells[i] = np.uint32(left << _H16) | right
        odd = (odd3 * _NEXT_ODD) & _MASK


@lane_function
def _sample(cell: Half, b: Half) -> int:
    """Return the sample of a cell."""
    index = np.uint32(np.uint32(np.uint32(cell >> _H16) * b) + np.uint32(cell & _LOW))
    return np.int64(index)  # type: ignore[return-value]


@lane_function
def _walk(
    row: NDArray[np.int64],
    samples: int,
    cells: HalfRow,
    a: Half,
    b: Half,
    times: int,
    outside: int,
    where: HalfRow,
    k0: HalfRow,
    k1: HalfRow,
    k2: HalfRow,
    k3: HalfRow,
) -> None:
    """Send the `outside` lanes listed in `where` through the network until they are inside.

    They are packed together, their cells and keys too, so that these loops vectorise as well.
    """
    while outside > 0:
        _rounds(cells, outside, a, b, times, k0, k1, k2, k3)
        left = 0
        for i in range(outside):
            sample = _sample(cells[i], b)
            row[where[i]] = sample
            where[left], cells[left] = where[i], cells[i]
            k0[left], k1[left], k2[left], k3[left] = k0[i], k1[i], k2[i], k3[i]
            left += 1 if sample >= samples else 0
        outside = left


@lane_function
def _list_outside(row: NDArray[np.int64], samples: int, where: HalfRow) -> int:
    """List the lanes whose cell is beyond the samples, and return how many they are."""
    outside = 0
    for lane in range(row.shape[0]):
        outside += 1 if row[lane] >= samples else 0
    if outside > 0:  # seldom, if there are many samples
        outside = 0
        for lane in range(row.shape[0]):
            where[outside] = lane
            outside += 1 if row[lane] >= samples else 0
    return outside


@kernel("sample")
def permutation(streams: Streams, samples: int, number: int, first: int, batch: Indices) -> None:
    """Fill with places `first`, `first` + 1, ... of each lane's permutation `number`."""
    size, lanes = batch.shape
    half = (lanes + 1) // 2
    k0, k1 = stack_row(half).view(np.uint32)[:lanes], stack_row(half).view(np.uint32)[:lanes]
    k2, k3 = stack_row(half).view(np.uint32)[:lanes], stack_row(half).view(np.uint32)[:lanes]
    fill_words(k0, k1, k2, k3, streams, number, 0, BATCH)
    if samples <= _PACKED:
        order = stack_row(lanes).view(np.uint64)
        _shuffle(order, samples, k0, k1, k2, k3)
        for k in range(size):
            row, digit = batch[k], np.uint64(4 * (first + k))
            for lane in range(lanes):
                row[lane] = (order[lane] >> digit) & _U15
        return
    cells, where = stack_row(half).view(np.uint32), stack_row(half).view(np.uint32)
    o0, o1 = stack_row(half).view(np.uint32), stack_row(half).view(np.uint32)
    o2, o3 = stack_row(half).view(np.uint32), stack_row(half).view(np.uint32)
    rows, columns = _grid(samples)
    a, b, times = np.uint32(rows), np.uint32(columns), _quarters(rows)
    for k in range(size):
        row, place = batch[k], first + k
        cell = np.uint32((place // columns) << 16 | place % columns)
        for lane in range(lanes):
            cells[lane] = cell
        _rounds(cells, lanes, a, b, times, k0, k1, k2, k3)
        for lane in range(lanes):
            row[lane] = _sample(cells[lane], b)
        outside = _list_outside(row, samples, where) if rows * columns > samples else 0
        for i in range(outside):
            lane = where[i]
            cells[i] = cells[lane]  # i <= lane: it is not needed any more
            o0[i], o1[i], o2[i], o3[i] = k0[lane], k1[lane], k2[lane], k3[lane]
        _walk(row, samples, cells, a, b, times, outside, where, o0, o1, o2, o3)


# With replacement.


@lane_function
def _scale(row: NDArray[np.int64], samples: int, high: HalfRow, low: HalfRow) -> None:
    """Fill with ``floor(samples * u)``, u a uniform number of 64 bits in [0, 1)."""
    count = np.uint64(samples)
    for lane in range(row.shape[0]):
        carry = (np.uint64(low[lane]) * count) >> _U32
        row[lane] = (np.uint64(high[lane]) * count + carry) >> _U32


@kernel("sample")
def with_replacement(
    streams: Streams, samples: int, number: int, first: int, batch: Indices
) -> None:
    """Fill with independent uniform indices, two from each block of Philox."""
    size, lanes = batch.shape
    half = (lanes + 1) // 2
    a, b = stack_row(half).view(np.uint32)[:lanes], stack_row(half).view(np.uint32)[:lanes]
    c, d = stack_row(half).view(np.uint32)[:lanes], stack_row(half).view(np.uint32)[:lanes]
    for draw in range(first // 2, (first + size + 1) // 2):
        fill_words(a, b, c, d, streams, number, draw, BATCH)
        k = 2 * draw - first
        if k >= 0:
            _scale(batch[k], samples, a, b)
        if k + 1 < size:
            _scale(batch[k + 1], samples, c, d)


class Batch(Part):
    """Base class of mini-batch samplers.

    A sampler is a kernel of the family ``sample``, or none, and a class with the size of its
    batches; a sequence of sizes is the axis ``batch_size`` of the result.
    """

    kind: ClassVar[str] = "batch"
    #: What is drawn -> kernel.
    kernels: ClassVar[dict[str, Kernel]] = {}
    #: Whether the kernel draws one permutation for all steps of an epoch.
    epochs: ClassVar[bool] = False

    def sample_kernel(self) -> Kernel | None:
        """Return the kernel that draws indices; None if every step uses all samples."""
        return next(iter(self.kernels.values()), None)

    def require_samples(self, samples: int) -> None:
        """Check that batches of these sizes can be drawn from `samples` samples.

        Raises
        ------
        InvalidValueError
            If there are fewer samples than a batch has, or more than 2**31 - 1.
        """
        if not is_integer(samples) or not 1 <= samples < 2**31:
            raise InvalidValueError(f"{self.name}: samples", samples, "an integer in [1, 2**31)")
        if max(self._sizes(), default=1) > self._largest(samples):
            raise InvalidValueError(
                f"{self.name}.size",
                max(self._sizes()),
                f"at most {self._largest(samples)}, the number of samples",
                "batch.Full() uses all of them at every step",
            )

    def axes(self) -> dict[str, tuple[float, ...]]:
        """Return the sizes as axis ``batch_size`` if they are a sequence."""
        sizes = getattr(self, "size", None)
        return {"batch_size": sizes} if isinstance(sizes, tuple) else {}

    def base_values(self) -> dict[str, float | tuple[float, ...]]:
        """Return the size or sizes as ``batch_size``; nothing if all samples are used."""
        return {"batch_size": getattr(self, "size")} if self.kernels else {}  # noqa: B009

    def _sizes(self) -> tuple[int, ...]:
        sizes = getattr(self, "size", ())
        return sizes if isinstance(sizes, tuple) else (sizes,)

    def _largest(self, samples: int) -> int:
        return samples

    def _checked(self, field: Any, value: Any) -> Any:
        if field.name != "size":
            return super()._checked(field, value)
        if isinstance(value, np.ndarray):
            value = value.tolist()
        several = isinstance(value, Sequence) and not isinstance(value, str)
        sizes = tuple(value) if several else (value,)
        if not sizes or not all(is_integer(size) and size >= 1 for size in sizes):
            allowed = "an integer >= 1 or a sequence of them"
            raise InvalidValueError(f"{self.name}.size", value, allowed, "such as 32 or [16, 32]")
        return tuple(map(int, sizes)) if several else int(value)


class Full(Batch):
    r"""Every step uses all samples.

    .. math:: g_t = \frac{1}{m} \sum_{i=1}^{m} \nabla f_i(\theta_{t-1})

    Examples
    --------
    >>> Full().sample_kernel() is None
    True
    """


class Epochs(Batch):
    r"""Random reshuffling: each epoch goes once through all samples, in a fresh order.

    .. math:: g_t = \frac{1}{|B_t|} \sum_{i \in B_t} \nabla f_i(\theta_{t-1}), \qquad
              B_t = \{\pi_e(s), \dots, \pi_e(\min(s + B, m) - 1)\}

    with pi_e a uniform permutation of the m samples for each trajectory and epoch
    e = floor((t - 1) / n) + 1 of n = ceil(m / B) steps, and s = B ((t - 1) mod n).  The last
    batch of an epoch may be smaller, and is divided by its own size, as data loaders do.
    Size 1 is stochastic gradient descent.

    Parameters
    ----------
    size : int or sequence
        Samples B of a batch, from 1 to the number of samples; a sequence is the axis
        ``batch_size`` of the result.

    Raises
    ------
    InvalidValueError
        If a size is no integer >= 1.

    References
    ----------
    Mishchenko, Khaled and Richtarik (2020), Random reshuffling: simple analysis with vast
    improvements, NeurIPS 33.

    Examples
    --------
    >>> indices(Epochs(size=4), seed=7, start=[0, 1], samples=10, step=3).tolist()
    [[1, 5], [6, 5]]
    """

    kernels: ClassVar = {"permutation": permutation}
    epochs: ClassVar[bool] = True

    size: Values = parameter(default=32, lower=1.0)


class Independent(Batch):
    r"""Batches that are independent from step to step.

    .. math:: g_t = \frac{1}{B} \sum_{k=1}^{B} \nabla f_{i_{t,k}}(\theta_{t-1})

    with indices drawn uniformly without replacement within the step (default), so that the
    variance of g is sigma^2 / B (m - B) / (m - 1); or with replacement: sigma^2 / B.

    Parameters
    ----------
    size : int or sequence
        Samples B of a batch, >= 1, and without replacement at most the number of samples; a
        sequence is the axis ``batch_size`` of the result.
    replace : bool
        Whether a sample may be drawn more than once in a step.

    Raises
    ------
    InvalidValueError
        If a size is no integer >= 1, or `replace` not True or False.

    References
    ----------
    Robbins and Monro (1951), Annals of Mathematical Statistics 22, 400-407; the variance
    without replacement: Cochran (1977), Sampling Techniques, 3rd ed., theorem 2.2.

    Examples
    --------
    >>> indices(Independent(size=3), seed=7, start=[0, 1], samples=1797, step=1).tolist()
    [[1027, 377, 1516], [390, 560, 1563]]
    >>> indices(Independent(3, replace=True), seed=7, start=0, samples=2, step=1).tolist()
    [[0, 0, 1]]
    """

    kernels: ClassVar = {"without": permutation, "with": with_replacement}

    size: Values = parameter(default=32, lower=1.0)
    replace: bool = option(default=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.replace, bool):
            raise InvalidValueError("Independent.replace", self.replace, "True or False")

    def sample_kernel(self) -> Kernel:
        """Return the kernel that draws with or without replacement."""
        return with_replacement if self.replace else permutation

    def _largest(self, samples: int) -> int:
        return 2**29 if self.replace else samples  # two places a block, 2**28 blocks


def indices(
    batch: Batch,
    *,
    seed: int,
    start: ArrayLike,
    samples: int,
    step: int,
    replicate: ArrayLike = 0,
) -> IntArray:
    """Return the samples that step `step` of trajectories uses, those that kernels draw.

    Parameters
    ----------
    batch : Batch
        The sampler, its size one number.
    seed : int
        Study seed, 0 to 2**64 - 1.
    start, replicate : int or array_like of int
        Indices of the trajectories, below 2**32; broadcast against each other.
    samples : int
        Number of samples m, below 2**31.
    step : int
        Step, from 1 to 2**32 - 1.

    Returns
    -------
    ndarray of int64, (trajectories, size)
        Indices below `samples`; fewer than the size in the last step of an epoch.

    Raises
    ------
    InvalidValueError
        If an argument is not allowed.

    Examples
    --------
    A run's third step of stochastic gradient descent, replayed in NumPy:

    >>> x = np.linspace(-1.0, 1.0, 100)
    >>> x[indices(Epochs(size=1), seed=7, start=0, samples=100, step=3)].round(4).tolist()
    [[-0.9394]]
    """
    if not isinstance(batch, Batch):
        raise InvalidValueError("indices.batch", batch, "a batch, such as Epochs(size=32)")
    if batch.axes():
        raise InvalidValueError(
            f"{batch.name}.size", batch.axes()["batch_size"], "one size", "pick one: .at(size=32)"
        )
    if not is_integer(step) or not 1 <= step < 2**32:
        raise InvalidValueError("indices.step", step, "an integer in [1, 2**32)")
    batch.require_samples(samples)
    streams = make_streams(seed, start, replicate)
    sampler = batch.sample_kernel()
    if sampler is None:
        return np.tile(np.arange(samples), (streams.shape[1], 1))
    number, first, (count,) = int(step), 0, batch._sizes()
    if batch.epochs:
        steps = -(-samples // count)
        number, first = (step - 1) // steps + 1, (step - 1) % steps * count
        count = min(count, samples - first)
    drawn = np.empty((streams.shape[1], count), np.int64)
    for lane in range(0, len(drawn), _LANES):
        some = np.ascontiguousarray(streams[:, lane : lane + _LANES])
        tile = np.empty((count, some.shape[1]), np.int64)
        sampler(some, samples, number, first, tile)
        drawn[lane : lane + _LANES] = tile.T
    return drawn
