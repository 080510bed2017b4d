"""Mini-batches: bijections, the same bits anywhere, and the laws that theory asks for.

Statistical tests have fixed seeds.  Each asks a p-value to exceed ALARM = 1e-6; there are
fewer than 150 such checks, so a correct sampler under another seed fails the file with
probability below 1.5e-4.  Their power is shown on a network with fewer rounds.
"""

from __future__ import annotations

import itertools
import math
import pickle
import platform
import re
import tomllib

import numba
import numpy as np
import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fastdescent import batch as module
from fastdescent import parts
from fastdescent.batch import (
    Batch,
    Epochs,
    Full,
    Independent,
    indices,
    permutation,
    with_replacement,
)
from fastdescent.contracts import _OPTIONS, JIT, kernel
from fastdescent.errors import InvalidValueError
from fastdescent.scratch import stack_row
from fastdescent.streams import BATCH, fill_words, make_streams, philox

ALARM = 1e-6
LANES = 4096 if JIT else 60
#: Sizes of data sets: packed into a word, small grids, the sets of scikit-learn.
SIZES = [2, 3, 4, 5, 7, 8, 10, 16, 17, 30, 64, 442, 1797] if JIT else [2, 3, 5, 16, 17, 30]


def places(samples, places, number=1, start=0, lanes=LANES, seed=5, sampler=permutation):
    """Return what lanes draw at some places, (places, lanes)."""
    streams = make_streams(seed, np.arange(start, start + lanes))
    rows = np.empty((len(places), lanes), np.int64)
    for row, place in zip(rows, places, strict=True):
        sampler(streams, samples, number, place, row[np.newaxis])
    return rows


def permutations(samples, count, seed=5):
    """Return whole permutations of many lanes and epochs, (samples, count)."""
    epochs = max(1, count // LANES)
    streams = make_streams(seed, np.arange(LANES))
    drawn = np.empty((epochs, samples, LANES), np.int64)
    for epoch in range(epochs):
        permutation(streams, samples, epoch + 1, 0, drawn[epoch])
    return np.concatenate(list(drawn), axis=1)


def chisquare(counts, expected=None):
    """p-value of counts under equal, or given, expectations."""
    return stats.chisquare(
        np.ravel(counts), None if expected is None else np.ravel(expected)
    ).pvalue


def alike(values, cells):
    """p-value of integers below `cells` under the uniform law; merged if cells are scarce."""
    merged = max(1, math.ceil(10 * cells / len(values)))
    whole = cells - cells % merged
    counts = np.bincount(values, minlength=cells)[:whole].reshape(-1, merged).sum(axis=1)
    return chisquare(counts) if len(counts) > 1 else 1.0


def rank(tuples, samples):
    """Number the ordered samples without repetition, 0 to m (m - 1) ... - 1."""
    code = np.zeros(tuples.shape[1], np.int64)
    for k, row in enumerate(tuples):
        code = code * (samples - k) + row - (tuples[:k] < row).sum(axis=0)
    return code


# Bits.


def test_words_are_those_of_philox():
    seed, step, draw = 2**63 + 12345, 7, 11
    rows = np.empty((4, 2), np.uint64)
    fill_words(*rows, make_streams(seed, [3, 2**32 - 1], [9, 0]), step, draw, BATCH)
    for lane, (start, replicate) in enumerate([(3, 9), (2**32 - 1, 0)]):
        counter = (BATCH * 2**28 + draw, step, replicate, start)
        with np.errstate(all="ignore"):
            words = philox(*map(np.uint64, (*counter, seed % 2**32, seed // 2**32)))
        assert rows[:, lane].tolist() == [int(word) for word in words]


PINNED = {
    "indices(Epochs(7), seed=1, start=2, samples=7, step=3, replicate=4)": [1, 0, 5, 3, 4, 2, 6],
    "indices(Epochs(9), seed=2**64 - 1, start=2**32 - 1, samples=16, step=1)": [
        *(9, 12, 7, 3, 13, 5, 15, 14, 2),
    ],
    "indices(Epochs(8), seed=1, start=2, samples=17, step=5)": [10, 9, 1, 8, 15, 14, 6, 13],
    "indices(Epochs(8), seed=1, start=2, samples=30, step=2)": [12, 20, 24, 29, 22, 15, 8, 10],
    "indices(Epochs(8), seed=1, start=2, samples=442, step=2**32 - 1)": [
        *(360, 277, 301, 21, 408, 262, 351, 120),
    ],
    "indices(Independent(6), seed=1, start=2, samples=1797, step=3)": [
        *(674, 1000, 758, 174, 202, 637),
    ],
    "indices(Independent(6), seed=1, start=2, samples=2**31 - 1, step=3)": [
        *(1428403237, 209755751, 706267219, 1568176017, 584560313, 710182596),
    ],
    "indices(Independent(6, replace=True), seed=1, start=2, samples=442, step=3)": [
        *(358, 34, 220, 249, 204, 391),
    ],
}


@pytest.mark.parametrize("call", PINNED)
def test_bits(call):
    assert eval(call)[0].tolist() == PINNED[call]


@settings(max_examples=150 if JIT else 12, deadline=None, derandomize=True)
@given(st.data())
def test_an_epoch_draws_every_sample_once(data):
    samples = data.draw(st.integers(1, 700 if JIT else 60))
    size = data.draw(st.integers(1, samples))
    seed, start = data.draw(st.integers(0, 2**64 - 1)), data.draw(st.integers(0, 2**32 - 1))
    steps = -(-samples // size)
    epoch = data.draw(st.integers(1, (2**32 - 1) // steps))
    drawn = [
        indices(Epochs(size), seed=seed, start=start, samples=samples, step=step)[0]
        for step in range((epoch - 1) * steps + 1, epoch * steps + 1)
    ]
    assert [len(some) for some in drawn[:-1]] == [size] * (steps - 1)
    assert len(drawn[-1]) == samples - size * (steps - 1)
    assert sorted(np.concatenate(drawn)) == list(range(samples))


@pytest.mark.parametrize("samples", [10**4, 65536, 99991, 10**6] if JIT else [499])
def test_bijection_of_many(samples):
    drawn = np.empty((samples, 1), np.int64)
    permutation(make_streams(3, 1), samples, 1, 0, drawn)
    assert np.array_equal(np.sort(drawn[:, 0]), np.arange(samples))


@pytest.mark.parametrize("samples", [2**31 - 1, 2**31 - 2**16, 46341**2 - 1, 46340**2 + 1])
def test_the_largest_sets(samples):
    some = [0, 1, 2, 46339, 46340, 46341, samples // 2, samples - 2, samples - 1]
    drawn = places(samples, some, lanes=200 if JIT else 10)
    assert drawn.min() >= 0
    assert drawn.max() < samples
    assert all(len(set(lane)) == len(some) for lane in drawn.T.tolist())
    assert stats.kstest(drawn[0] / samples, "uniform").pvalue > ALARM


@pytest.mark.parametrize("sampler", [permutation, with_replacement], ids=repr)
@pytest.mark.parametrize("samples", [13, 22, 37, 100])
def test_the_same_bits_for_any_blocks_and_lanes(sampler, samples):
    streams = make_streams(9, np.arange(37), np.arange(37) % 3)
    count = 13
    whole = np.empty((count, 37), np.int64)
    sampler(streams, samples, 4, 0, whole)
    for cuts in ([0, 1, 2, 13], [0, 5, 8, 13], [0, 7, 13], range(14)):
        for first, end in itertools.pairwise(cuts):
            block = np.empty((end - first, 37), np.int64)
            sampler(streams, samples, 4, first, block)
            assert np.array_equal(block, whole[first:end])
    for lanes in (slice(0, 1), slice(3, 20), slice(36, 4, -1)):
        some = np.ascontiguousarray(streams[:, lanes])
        block = np.empty((count, some.shape[1]), np.int64)
        sampler(some, samples, 4, 0, block)
        assert np.array_equal(block, whole[:, lanes])


def test_indices_are_those_of_the_kernels_in_tiles():
    starts = np.arange(700 if JIT else 300)
    drawn = indices(Epochs(3), seed=1, start=starts, samples=20, step=9, replicate=2)
    rows = np.empty((3, len(starts)), np.int64)
    permutation(make_streams(1, starts, 2), 20, 2, 3, rows)  # 7 steps an epoch: the 2nd block
    assert np.array_equal(drawn, rows.T)
    assert indices(Epochs(3), seed=1, start=0, samples=20, step=7).shape == (1, 2)
    again = indices(Independent(3), seed=1, start=starts, samples=20, step=9, replicate=2)
    permutation(make_streams(1, starts, 2), 20, 9, 0, rows)
    assert np.array_equal(again, rows.T)
    assert indices(Full(), seed=1, start=[0, 1], samples=4, step=9).tolist() == [[0, 1, 2, 3]] * 2


@pytest.mark.skipif(
    not JIT or platform.machine() not in ("x86_64", "AMD64"), reason="reads x86 assembly"
)
def test_the_rounds_are_vectorised():
    # Compiled here: a kernel that comes from the disk cache has no assembly to show.
    fresh = numba.njit(permutation.signature(), **_OPTIONS)(permutation.function)
    code = "".join(fresh.inspect_asm().values())
    # Three products of 32 bits in each of four rounds; scalar ones would be imul.
    assert len(re.findall(r"pmulld", code)) >= 12


# Laws.


@pytest.mark.parametrize("samples", [2, 3, 4, 5] if JIT else [2, 3, 4])
def test_all_permutations_are_equally_frequent(samples):
    drawn = permutations(samples, 2_000_000 if JIT else 1000)
    assert alike(rank(drawn, samples), math.factorial(samples)) > ALARM


@pytest.mark.parametrize("samples", SIZES)
def test_law_of_places(samples):
    """Single places, pairs and triples follow the uniform law without replacement."""
    _, columns = module._grid(samples)
    repeats = 40 if JIT and samples <= 64 else 6 if JIT else 4
    some = sorted({0, 1, 2, columns, columns + 1, 2 * columns, samples // 2, samples - 1})
    some = [place for place in some if place < samples][: 8 if JIT else 5]
    draws = [places(samples, some, number) for number in range(1, repeats + 1)]
    drawn = np.concatenate(draws, axis=1)
    for k, row in enumerate(drawn):
        assert alike(row, samples) > ALARM, some[k]
    for i, j in itertools.combinations(range(len(some)), 2):
        code = rank(drawn[[i, j]], samples)
        assert alike(code, samples * (samples - 1)) > ALARM, (some[i], some[j])
    if 3 <= samples <= 64:
        for triple in itertools.islice(itertools.combinations(range(len(some)), 3), 4):
            code = rank(drawn[list(triple)], samples)
            assert alike(code, math.perm(samples, 3)) > ALARM, triple


@pytest.mark.parametrize("samples", [5, 16, 17, 30, 442] if JIT else [5, 17])
def test_lanes_epochs_and_seeds_are_independent(samples):
    first = places(samples, [0, samples - 1])
    others = {
        "epoch": places(samples, [0, samples - 1], number=2),
        "lane": places(samples, [0, samples - 1], start=1),
        "seed": places(samples, [0, samples - 1], seed=6),
    }
    for name, other in others.items():
        for i, j in itertools.product(range(2), repeat=2):
            assert alike(first[i] * samples + other[j], samples**2) > ALARM, (name, i, j)


@pytest.mark.parametrize("samples", [3, 8, 16, 17, 30, 64, 442] if JIT else [3, 8, 20])
def test_weighted_sums_have_the_variance_of_shuffles(samples):
    """Var sum_i c_i x_{pi(i)} = S^2 (sum c^2 - (sum c)^2 / m), S^2 the sample variance.

    Cov(x_{pi(i)}, x_{pi(j)}) is S^2 (delta_ij - 1 / m).  Equal weights 1 / B give the variance
    of a batch's mean, sigma^2 / B (m - B) / (m - 1); geometric ones occur in the theory of
    random reshuffling, where later gradients shrink the error made by earlier ones.
    """
    x = np.random.default_rng(8).standard_normal(samples) ** 3
    x -= x.mean()
    spread = (x**2).sum() / (samples - 1)
    drawn = x[permutations(samples, 200_000 if JIT and samples < 100 else 40_000 if JIT else 240)]
    weights = [(np.arange(samples) < b) / b for b in {1, samples // 3, samples // 2}]
    weights += [g ** np.arange(samples) for g in (0.5, 0.9, 0.99)]
    for c in weights:
        sums = c @ drawn
        exact = spread * ((c**2).sum() - c.sum() ** 2 / samples)
        error = (sums**2).std() / math.sqrt(sums.size)
        assert abs((sums**2).mean() - exact) < stats.norm.isf(ALARM / 2) * error + 1e-12
        assert abs(sums.mean()) < stats.norm.isf(ALARM / 2) * math.sqrt(exact / sums.size) + 1e-12
    b = max(1, samples // 3)
    c = (np.arange(samples) < b) / b
    sigma2 = (x**2).mean()
    assert spread * ((c**2).sum() - c.sum() ** 2 / samples) == pytest.approx(
        sigma2 / b * (samples - b) / (samples - 1), rel=1e-12
    )


@pytest.mark.parametrize("samples", [16, 17, 30, 64] if JIT else [12, 20])
def test_fixed_points_and_descents(samples):
    """Two laws of whole permutations: derangement and Eulerian numbers."""
    drawn = permutations(samples, 400_000 if JIT else 240)
    total = math.factorial(samples)
    deranged, eulerian = [1, 0], [1]
    for n in range(2, samples + 1):
        deranged.append((n - 1) * (deranged[-1] + deranged[-2]))
        padded = [0, *eulerian, 0]
        eulerian = [(k + 1) * padded[k + 1] + (n - k) * padded[k] for k in range(n)]
    fixed = (drawn == np.arange(samples)[:, np.newaxis]).sum(axis=0)
    descents = (drawn[1:] < drawn[:-1]).sum(axis=0)
    laws = [
        (fixed, [math.comb(samples, k) * deranged[samples - k] / total for k in range(samples)]),
        (descents, [number / total for number in eulerian]),
    ]
    for values, law in laws:
        counts = np.bincount(values, minlength=samples + 1)[:samples]
        common = np.array(law) * values.size > 8
        expected = np.append(np.array(law)[common], 1 - np.array(law)[common].sum())
        counts = np.append(counts[common], values.size - counts[common].sum())
        keep = slice(None) if expected[-1] * values.size > 1 else slice(-1)
        counts, expected = counts[keep], expected[keep] / expected[keep].sum()
        assert chisquare(counts, expected * counts.sum()) > ALARM


@pytest.mark.parametrize("samples", [1, 2, 3, 10, 442, 2**31 - 1])
def test_with_replacement_is_uniform_and_independent(samples):
    few = min(samples, 10)
    draws = [
        places(samples, range(5), number, sampler=with_replacement)
        for number in range(1, 10 if JIT else 4)
    ]
    drawn = np.concatenate(draws, axis=1) * few // samples
    for row in drawn:
        assert alike(row, few) > ALARM
    pairs = [(drawn[i], drawn[j]) for i, j in itertools.combinations(range(5), 2)]
    pairs += [(drawn[0][1:], drawn[0][:-1]), (draws[0][0] * few // samples, drawn[0][LANES:])]
    for left, right in pairs:
        count = min(left.size, right.size)
        assert alike(left[:count] * few + right[:count], few**2) > ALARM


# The number of rounds.


def pair_law(a, b, rounds, start):
    """Law of the difference of two cells after rounds of uniform random functions."""
    law = np.zeros((a, b))
    law[start] = 1.0
    for k in range(rounds):
        if k % 2 == 0:  # l += F(r): the difference of l becomes uniform unless that of r is 0
            law[:, 1:] = law[:, 1:].mean(axis=0)
        else:
            law[1:] = law[1:].mean(axis=1, keepdims=True)
    return law


def distance(a, b, rounds):
    """Total variation between a pair's law and a uniform permutation's, for the worst pair."""
    uniform = np.full((a, b), 1.0 / (a * b - 1))
    uniform[0, 0] = 0.0
    starts = ((0, 1), (1, 0), (1, 1))
    return max(abs(pair_law(a, b, rounds, start) - uniform).sum() / 2 for start in starts)


GRIDS = sorted({module._grid(m) for m in range(17, 7000 if JIT else 600)})


def test_rounds_are_as_many_as_the_documented_distance_needs():
    for a, b in [*GRIDS, (72, 72), (100, 101)]:
        times = module._quarters(a)
        assert distance(a, b, 4 * times) < 3e-6, (a, b)
        # Four fewer are too few, though for some oblong grids not by much.
        assert distance(a, b, 4 * times - 4) > (2.5e-6 if a == b else 3e-7), (a, b)


def test_grids_hold_the_samples_and_little_else():
    for samples in [*range(17, 5000), 10**5, 10**6, 2**31 - 1]:
        a, b = module._grid(samples)
        assert 4 <= a <= b < 2**16
        assert 0 <= a * b - samples < a
        assert a > 0.5 * math.sqrt(samples)


@kernel("sample")
def weakened(streams, samples, number, first, batch):
    """The network without cycle walking, of 4 (number mod 10) rounds, key number // 10."""
    size, lanes = batch.shape
    half = (lanes + 1) // 2
    k0, k1 = stack_row(half).view(np.uint32)[:lanes], stack_row(half).view(np.uint32)[:lanes]
    k2, k3 = stack_row(half).view(np.uint32)[:lanes], stack_row(half).view(np.uint32)[:lanes]
    cells = stack_row(half).view(np.uint32)
    fill_words(k0, k1, k2, k3, streams, number // 10, 0, BATCH)
    rows, columns = module._grid(samples)
    a, b = np.uint32(rows), np.uint32(columns)
    for k in range(size):
        place = first + k
        for lane in range(lanes):
            cells[lane] = np.uint32((place // columns) << 16 | place % columns)
        module._rounds(cells, lanes, a, b, number % 10, k0, k1, k2, k3)
        for lane in range(lanes):
            batch[k, lane] = module._sample(cells[lane], b)


def weak_places(samples, times, some, count):
    numbers = [10 * number + times for number in range(1, count + 1)]
    draws = [places(samples, some, number, sampler=weakened) for number in numbers]
    return np.concatenate(draws, axis=1)


@pytest.mark.parametrize(("samples", "times"), [(30, 1), (30, 2), (64, 1), (64, 2), (1722, 1)])
def test_round_functions_are_as_good_as_random_ones(samples, times):
    """Pairs' differences after few rounds follow the chain of uniform random functions."""
    a, b = module._grid(samples)
    some = [0, 1, b, b + 1]
    drawn = weak_places(samples, times, some, 60 if JIT else 8)
    for (i, j), start in {(0, 1): (0, 1), (0, 2): (1, 0), (0, 3): (1, 1)}.items():
        d = (drawn[j] // b - drawn[i] // b) % a * b + (drawn[j] % b - drawn[i] % b) % b
        expected = pair_law(a, b, 4 * times, start).ravel() * d.size
        counts = np.bincount(d, minlength=a * b)
        order = np.argsort(expected)
        order = order[expected[order] > 0]
        groups = np.cumsum(expected[order]) // max(10.0, expected.sum() / 500)
        _, begin = np.unique(groups, return_index=True)
        expected = np.add.reduceat(expected[order], begin)
        counts = np.add.reduceat(counts[order], begin)
        assert counts.sum() == d.size
        enough = expected > 5
        expected = np.append(expected[enough], expected[~enough].sum() or 1e-9)
        counts = np.append(counts[enough], counts[~enough].sum())
        if expected[-1] < 5:
            expected, counts = expected[:-1], counts[:-1]
        assert chisquare(counts, expected / expected.sum() * counts.sum()) > ALARM


def repeats_difference(drawn, samples):
    """p-value of how often two places of one column keep their difference.

    A round ``l += F(r)`` leaves the difference of l at 0 with probability 1 / a, and then the
    next one leaves that of r: what is left of it after all rounds is the network's defect.
    """
    _, b = module._grid(samples)
    same = drawn[0] // b == drawn[1] // b
    kept = same & ((drawn[1] % b - drawn[0] % b) % b == 1)
    return stats.binomtest(int(kept.sum()), kept.size, 1.0 / (samples - 1)).pvalue


@pytest.mark.parametrize("samples", [20, 30, 64] if JIT else [20, 30])
def test_the_number_of_rounds_shows(samples):
    """A statistic that few rounds fail and the network passes; these sizes need no walk."""
    times = module._quarters(module._grid(samples)[0])
    some = [0, 1]
    twin, itself = weak_places(samples, times, some, 1), places(samples, some)
    assert np.array_equal(twin, itself)
    # Its expectation at 64 after 8 rounds is 2.4e-4 too high: 2.4 standard errors here.
    for few in (1, 2) if JIT and samples < 64 else (1,):
        drawn = weak_places(samples, few, some, 400 if JIT else 40)
        assert repeats_difference(drawn, samples) < ALARM, few
    drawn = weak_places(samples, times, some, 400 if JIT else 8)
    assert repeats_difference(drawn, samples) > ALARM


# Parts.


def test_sizes_are_an_axis_named_batch_size():
    assert Epochs(size=[16, 32]).axes() == {"batch_size": (16, 32)}
    assert Epochs(size=[16, 32]).base_values() == {"batch_size": (16, 32)}
    assert Independent(np.int64(8)).base_values() == {"batch_size": 8}
    assert Independent(8).axes() == {}
    assert Full().axes() == {}
    assert Full().base_values() == {}
    assert Epochs(np.array([4, 8])) == Epochs([4, 8])
    assert Epochs([4, 8]).at(size=4) == Epochs(4)


def test_kernels_and_epochs():
    assert Full().sample_kernel() is None
    assert Epochs().sample_kernel() is permutation
    assert Independent().sample_kernel() is permutation
    assert Independent(replace=True).sample_kernel() is with_replacement
    assert [sampler.epochs for sampler in (Full, Epochs, Independent)] == [False, True, False]
    assert parts.names("batch") == ["Epochs", "Full", "Independent"]


@pytest.mark.parametrize(
    "part", [Full(), Epochs(), Epochs([4, 8]), Independent(4, replace=True)], ids=repr
)
def test_a_batch_is_a_value(part):
    assert eval(repr(part)) == part
    assert pickle.loads(pickle.dumps(part)) == part
    assert Batch.from_table(tomllib.loads(tomli_w.dumps(part.to_table()))) == part
    assert hash(part) == hash(eval(repr(part)))


@pytest.mark.parametrize("size", [0, -1, 2.0, 2.5, True, "4", [], [4, 0], [4.0], None, math.nan])
@pytest.mark.parametrize("cls", [Epochs, Independent])
def test_sizes_must_be_positive_integers(cls, size):
    with pytest.raises(InvalidValueError, match=rf"{cls.__name__}\.size: got .* an integer >= 1"):
        cls(size=size)


def test_batches_cannot_be_larger_than_the_data():
    Epochs([1, 10]).require_samples(10)
    Independent(11, replace=True).require_samples(10)
    Full().require_samples(1)
    for part in (Epochs([1, 11]), Independent(11)):
        with pytest.raises(InvalidValueError, match=r"size: got 11, allowed is at most 10.*Full"):
            part.require_samples(10)
    with pytest.raises(InvalidValueError, match=r"536870912"):
        Independent(2**29 + 1, replace=True).require_samples(10)
    for samples in (0, 2**31, 1.5, True):
        with pytest.raises(InvalidValueError, match=r"samples: got"):
            Full().require_samples(samples)


def test_arguments_that_indices_cannot_take():
    good = {"seed": 1, "start": 0, "samples": 10, "step": 1}
    with pytest.raises(InvalidValueError, match=r"one size; pick one"):
        indices(Epochs([2, 4]), **good)
    with pytest.raises(InvalidValueError, match=r"indices\.batch"):
        indices(Epochs, **good)
    for step in (0, 2**32, 1.0, True):
        with pytest.raises(InvalidValueError, match=r"indices\.step"):
            indices(Epochs(2), **{**good, "step": step})
    with pytest.raises(InvalidValueError, match=r"Independent\.replace"):
        Independent(replace=1)
