"""Data sets: splits, standardisation, laws of the generators, files, round trips, errors.

The laws are tested on fixed seeds, so a test either always passes or always fails; a
false-alarm rate is the chance that a right generator fails on a seed picked blindly.
"""

from __future__ import annotations

import copy
import math
import pickle
import subprocess
import sys
import tomllib
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import tomli_w
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fastdescent import data, parts
from fastdescent.contracts import JIT
from fastdescent.data import (
    XOR,
    BadlyScaled,
    Bundled,
    Data,
    Dataset,
    File,
    GaussianLinear,
    SparseFeatures,
    Spirals,
    Teacher,
    TwoMoons,
    _base,
)
from fastdescent.description import describe
from fastdescent.errors import FastdescentError, InvalidValueError, UnknownNameError

COUNT = 20_000 if JIT else 2_000
# Chance that one statistic of a right generator lies outside its bound: 2e-7 for a normal one,
# which means of thousands of bounded or normal terms are up to their far tails.
SIGMAS = 5.2

X = [[1.0, 2.0], [3.0, 5.0], [4.0, -1.0], [0.5, 0.25], [7.0, 7.5]]
Y = [1.0, -1.0, 0.5, 2.0, 3.0]
LABELS = ["b", "a", "b", "c", "a"]

GENERATORS = [
    GaussianLinear(3, condition_number=10.0, rotate=True, noise=0.5, count=50, validation=0.2),
    GaussianLinear(eigenvalues=[1.0, 4.0], weights=[1, -2], count=50, seed=3, validation=0.2),
    SparseFeatures([0.5, 0.25], values="one", count=50, validation=0.2),
    SparseFeatures(count=50, weights=[1.0, 2.0, 3.0], validation=0.2),
    BadlyScaled([1000.0, 0.01], noise=0.1, count=50, validation=0.2, standardize=True),
    TwoMoons(noise=0.2, count=50, validation=0.2),
    Spirals(3, turns=2.0, count=50, validation=0.2),
    XOR(3, noise=0.2, count=50, validation=0.2),
    Teacher(3, 5, noise=0.1, count=50, validation=0.2),
]
FIXED = [
    Dataset(X, Y),
    Dataset(X, np.c_[Y, Y], validation=0.4, seed=2**64 - 1),
    Dataset(X, LABELS, validation=0.2, feature_names=["one", "two"]),
    Dataset(X, [0, 2, 1, 1, 0], classes=["low", "middle", "high"], standardize=True),
    Dataset(X, [True, False, True, True, False], task="classification"),
    Dataset(X, [5, 7, 5, 7, 5], task="classification"),
    Bundled("iris", validation=0.2),
]
PLAIN = [*FIXED, File("a.csv", "y"), File("a.parquet", ["y", "z"], features=["x"], validation=0.5)]


def drawn(part, seed=0):
    """Features and column of targets of a generator."""
    samples = part.samples(seed)
    return samples.x, samples.y[:, 0]


# Parts.


@pytest.mark.parametrize("part", [*GENERATORS, *FIXED], ids=repr)
def test_samples_are_a_pure_function_of_part_and_seed(part):
    samples = part.samples(seed=7)
    m, v = part.n_samples, part.n_validation
    assert samples.x.shape == (m, part.n_features)
    assert samples.y.shape == (m, part.n_targets)
    assert samples.validation_x.shape == (v, part.n_features)
    assert samples.validation_y.shape == (v, part.n_targets)
    for array in samples[:4]:
        assert array.dtype == np.float64
        assert array.flags.c_contiguous
        assert np.isfinite(array).all()
        with pytest.raises(ValueError, match="read-only"):
            array[:] = 0.0
    assert len(samples.classes) == part.n_classes
    assert isinstance(samples.classes, tuple)
    assert len(set(samples.feature_names)) == part.n_features
    if part.n_classes:
        assert part.n_targets == 1
        assert set(np.unique(samples.y)) <= set(range(part.n_classes))
    again = pickle.loads(pickle.dumps(part)).samples(seed=7)
    for one, other in zip(samples[:4], again[:4], strict=True):
        assert np.array_equal(one, other)
    assert again[4:] == samples[4:]
    assert part.samples(seed=7) is samples  # kept


@pytest.mark.parametrize("part", GENERATORS, ids=repr)
def test_seeds_and_counts(part):
    """Other seeds draw other samples, a part's own seed comes first, and sample i stays."""
    open_part = part.at(seed=None, standardize=False, validation=0.0)
    x, y = drawn(open_part, 1)
    assert not np.array_equal(x, drawn(open_part, 2)[0])
    own = open_part.at(seed=1)
    assert np.array_equal(drawn(own, 2)[0], x)
    longer_x, longer_y = drawn(open_part.at(count=73), 1)
    assert np.array_equal(longer_x[:50], x)
    assert np.array_equal(longer_y[:50], y)


@pytest.mark.parametrize("part", [*GENERATORS, *PLAIN], ids=repr)
def test_a_part_is_a_value(part):
    twins = [
        eval(repr(part), vars(data)),
        pickle.loads(pickle.dumps(part)),
        copy.copy(part),
        copy.deepcopy(part),
        Data.from_table(tomllib.loads(tomli_w.dumps(part.to_table()))),
    ]
    for twin in twins:
        assert type(twin) is type(part)
        assert twin == part
        assert hash(twin) == hash(part)
        assert repr(twin) == repr(part)
    assert part != object()
    assert part.at(validation=0.3) != part
    assert part.to_table()["name"] == type(part).__name__


def test_every_registered_part_is_an_example_and_can_be_shown():
    assert {part.name for part in [*GENERATORS, *PLAIN]} == set(data.names())
    assert set(data.names()) == set(parts.names("data"))
    for name in data.names():
        text = describe(data.get(name))
        assert "\\" not in text
        assert "`" not in text
        for field in data.get(name)._fields():
            assert f"    {field.name}" in text


def test_what_sets_share_is_given_by_name():
    with pytest.raises(InvalidValueError, match=r"at most 1 values without a name: noise; .*by n"):
        TwoMoons(0.1, 0.2)
    with pytest.raises(UnknownNameError, match="did you mean 'validation'"):
        TwoMoons(validaton=0.2)
    assert repr(TwoMoons(count=5, noise=0.3)) == "TwoMoons(count=5, noise=0.3)"


def test_datasets_that_differ_are_not_equal():
    part = Dataset(X, Y)
    assert Dataset(np.array(X), np.array(Y)[:, np.newaxis]) == part  # one column is a column
    assert Dataset(X, [1, -1, 0.5, 2, 3]) == part
    changed = np.array(X)
    changed[4, 1] = 7.6
    for other in (
        Dataset(changed, Y),
        Dataset(X, Y[::-1]),
        Dataset(X, np.c_[Y, Y]),
        Dataset(X, Y, seed=0),
        Dataset(X, Y, feature_names=["a", "b"]),
        Dataset(X[:4], Y[:4]),
        TwoMoons(),
    ):
        assert other != part
    # 0 and 1 as numbers, as labels, and as booleans
    bits = [0, 1, 0, 1, 1]
    three = [Dataset(X, bits), Dataset(X, bits, task="classification"), Dataset(X, np.bool_(bits))]
    assert all((one == other) is (one is other) for one in three for other in three)
    assert hash(Dataset([[0.0], [1.0]], [0.0, 1.0])) == hash(Dataset([[-0.0], [1.0]], [0.0, 1.0]))


def test_a_dataset_is_a_copy_that_nobody_changes():
    x, y = np.array(X), np.array(Y)
    part = Dataset(x, y)
    x[:], y[:] = np.nan, np.nan
    assert part == Dataset(X, Y)
    for twin in (part, pickle.loads(pickle.dumps(part)), copy.deepcopy(part)):
        for array in (twin.x, twin.y):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 0.0


def test_a_large_dataset_prints_shortly_and_is_kept_out_of_studies():
    large = Dataset(np.eye(40), np.arange(40.0), validation=0.2)
    assert repr(large) == "Dataset(x=<40 x 40>, y=<40>, validation=0.2)"
    with pytest.raises(FastdescentError, match=r"at most 1000 numbers .*fastdescent\.data\.read"):
        large.to_table()
    assert pickle.loads(pickle.dumps(large)) == large
    assert len(Dataset(np.eye(31), np.arange(31.0)).to_table()["x"]) == 31  # 992 numbers


# The split.


@settings(deadline=None, max_examples=60)
@given(
    count=st.integers(1, 60),
    share=st.floats(0.0, 1.0, exclude_max=True),
    seed=st.integers(0, 2**64 - 1),
)
def test_a_split_is_exact(count, share, seed):
    x = np.arange(2.0 * count).reshape(count, 2)
    held_out = round(share * count)
    if held_out == count:
        with pytest.raises(InvalidValueError, match=r"Dataset\.validation: .*at least one sample"):
            Dataset(x, x[:, 0], validation=share)
        return
    part = Dataset(x, x[:, 0], validation=share)
    training, validation = part.split(seed)
    assert len(validation) == held_out == part.n_validation
    assert sorted([*training, *validation]) == list(range(count))
    assert (np.diff(training) > 0).all()
    assert (np.diff(validation) > 0).all()
    samples = part.samples(seed)
    for rows, xs, ys in (
        (training, samples.x, samples.y),
        (validation, samples.validation_x, samples.validation_y),
    ):
        assert np.array_equal(xs, x[rows])
        assert np.array_equal(ys[:, 0], x[rows, 0])
    twin = Dataset(-x, x[:, 0], validation=share)
    assert np.array_equal(twin.split(seed)[1], validation)  # the numbers play no part
    assert np.array_equal(part.at(seed=seed).split(5)[1], validation)
    more = part.at(validation=share / 2).split(seed)[1]
    assert set(more) <= set(validation)


def test_splits_of_other_seeds_differ_and_standardisation_plays_no_part():
    part = Bundled("iris", validation=0.2)
    assert (part.n_samples, part.n_validation) == (120, 30)
    assert not np.array_equal(part.split(0)[1], part.split(1)[1])
    assert np.array_equal(part.at(standardize=True).split(1)[1], part.split(1)[1])
    # The same bits on any machine.
    assert Dataset(np.eye(8), Y[:1] * 8, validation=0.5).split(2026)[1].tolist() == [3, 4, 6, 7]


def test_each_sample_is_held_out_as_often():
    """Counts over many seeds; false-alarm rate 1e-6."""
    seeds = 2000 if JIT else 200
    part = Dataset(np.eye(10), np.arange(10.0), validation=0.3)
    counts = np.zeros(10)
    for seed in range(seeds):
        counts[part.split(seed)[1]] += 1
    expected = 0.3 * seeds
    # Without replacement the counts of one split are correlated: the statistic is scaled by
    # (10 - 1) / (10 (1 - 0.3)) to be chi-squared of 9 degrees of freedom.
    statistic = ((counts - expected) ** 2).sum() / expected * 9 / 7
    assert stats.chi2.sf(statistic, 9) > 1e-6


def test_no_two_things_are_drawn_from_the_same_numbers():
    steps = [getattr(_base, name) for name in (*STEPS, "SPLIT")]
    assert len(set(steps)) == 8
    assert min(steps) > 2**31  # trajectories do not come so far


STEPS = ("FEATURES", "LABELS", "LAYER", "PLACES", "PRESENCE", "ROTATION", "WEIGHTS")


# Standardisation.


def test_standardised_features_by_exact_arithmetic():
    part = Dataset(X, Y, validation=0.4)
    plain = part.samples(3)
    scaled = part.at(standardize=True).samples(3)
    assert np.array_equal(scaled.y, plain.y)
    for k in range(2):
        column = [Fraction(value) for value in plain.x[:, k].tolist()]
        mean = sum(column) / len(column)
        deviation = math.sqrt(sum((value - mean) ** 2 for value in column) / len(column))
        for given_x, found in ((plain.x, scaled.x), (plain.validation_x, scaled.validation_x)):
            exact = [float(Fraction(value) - mean) / deviation for value in given_x[:, k].tolist()]
            # A handful of roundings, each of 1.1e-16, of numbers of order 1.
            np.testing.assert_allclose(found[:, k], exact, rtol=0.0, atol=2e-15)


@pytest.mark.parametrize("scale", [1e-290, 1e-170, 1.0, 1e170, 1e290])
@pytest.mark.parametrize("shift", [0.0, 1e9])
def test_standardisation_survives_scales_and_offsets(scale, shift):
    z, _ = drawn(GaussianLinear(2, count=101), 1)
    x = (z + shift) * scale
    found = Dataset(x, np.arange(101.0), standardize=True).samples().x
    # Means of 101 numbers of order 1 and unit variances, up to their roundings.
    np.testing.assert_allclose(found.mean(axis=0), 0.0, atol=1e-14)
    np.testing.assert_allclose((found**2).mean(axis=0), 1.0, atol=1e-13)
    # x itself has been rounded to 1e-16 of its offset.
    reference = (z - z.mean(axis=0)) / z.std(axis=0)
    np.testing.assert_allclose(found, reference, atol=1e-13 + 1e-15 * shift)


def test_standardisation_against_scikit_learn():
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415 - slow to import

    part = Bundled("diabetes", validation=0.2)
    plain, scaled = part.samples(1), part.at(standardize=True).samples(1)
    scaler = StandardScaler().fit(plain.x)
    # Columns of order 100 with spreads of order 1: two digits are lost.
    np.testing.assert_allclose(scaled.x, scaler.transform(plain.x), atol=1e-12)
    np.testing.assert_allclose(
        scaled.validation_x, scaler.transform(plain.validation_x), atol=1e-12
    )


def test_what_cannot_be_standardised_is_named():
    with pytest.raises(InvalidValueError, match=r"'pixel_0_0' is 0 in all 1797 training samples"):
        Bundled("digits", standardize=True).samples()
    with pytest.raises(InvalidValueError, match=r"column 'two' is 4 in all 3"):
        Dataset(
            [[1.0, 4.0], [2.0, 4.0], [3.0, 4.0]],
            [1.0, 2.0, 3.0],
            standardize=True,
            feature_names=["one", "two"],
        ).samples()
    constant_in_training = Dataset([[1.0], [1.0], [5.0]], [0.0, 1.0, 2.0], validation=1 / 3)
    seed = next(seed for seed in range(50) if constant_in_training.split(seed)[1][0] == 2)
    with pytest.raises(InvalidValueError, match="in all 2 training samples"):
        constant_in_training.at(standardize=True).samples(seed)
    with pytest.raises(InvalidValueError, match=r"overflow; column 'x0' does"):
        Dataset([[1.7e308], [1.6e308]], [0.0, 1.0], standardize=True).samples()


def test_constant_and_duplicated_columns():
    x = np.array([[1.0, 0.0, 1.0, 3.0, -0.0], [2.0, 0.0, 2.0, 3.0, 0.0]])
    assert data.constant_columns(x) == [1, 3, 4]
    assert data.duplicated_columns(x) == [(0, 2), (1, 4)]
    assert data.duplicated_columns(np.eye(3)) == []
    assert data.duplicated_columns(np.zeros((2, 3))) == [(0, 1), (0, 2)]


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_column_sums(values):
    found = _base.column_sums(np.array(values)[:, np.newaxis])[0]
    # Six levels of additions, each of relative error 1.1e-16 of at most sum |values|.
    assert abs(found - math.fsum(values)) <= 6 * 1.2e-16 * sum(map(abs, values))


# Laws of the generators.


def moments_agree(x, covariance, mean=0.0):
    """Mean and second moments of normal samples, each within SIGMAS of its expectation."""
    m = len(x)
    variances = np.diag(covariance)
    assert (np.abs(x.mean(axis=0) - mean) <= SIGMAS * np.sqrt(variances / m)).all()
    found = x.T @ x / m
    spread = np.sqrt((np.outer(variances, variances) + covariance**2) / m)
    assert (np.abs(found - covariance) <= SIGMAS * spread).all()


@pytest.mark.parametrize("rotate", [False, True])
def test_gaussian_features_have_their_spectrum(rotate):
    """Fourteen statistics: false-alarm rate 3e-6."""
    part = GaussianLinear(4, condition_number=1000.0, rotate=rotate, count=COUNT)
    covariance = part.covariance(5)
    # The eigenvalues of a matrix of order 1, to its roundings.
    np.testing.assert_allclose(
        np.linalg.eigvalsh(covariance), [1e-3, 1e-2, 1e-1, 1.0], rtol=0.0, atol=1e-14
    )
    assert bool(np.count_nonzero(covariance - np.diag(np.diag(covariance)))) is rotate
    assert not rotate or not np.allclose(covariance, part.covariance(6))
    moments_agree(drawn(part, 5)[0], covariance)


def test_given_eigenvalues():
    part = GaussianLinear(eigenvalues=[4.0, 0.0, 1.0], count=COUNT)
    assert part.spectrum().tolist() == [4.0, 0.0, 1.0]
    x, _ = drawn(part)
    assert not x[:, 1].any()
    moments_agree(x[:, [0, 2]], np.diag([4.0, 1.0]))
    spectrum = GaussianLinear(condition_number=77.0).spectrum()
    assert (spectrum[0], spectrum[-1], len(spectrum)) == (1.0, 1 / 77.0, 10)
    # Two roundings of an exponent below 5, and a function of 1 ulp.
    np.testing.assert_allclose(spectrum[1:] / spectrum[:-1], 77.0 ** (-1 / 9), rtol=4e-15)
    assert GaussianLinear(1, condition_number=77.0).spectrum().tolist() == [1.0]


@pytest.mark.parametrize(
    "part",
    [
        GaussianLinear(5, condition_number=10.0, rotate=True, count=60),
        GaussianLinear(weights=[1.0, 2.0], count=60),
        SparseFeatures([0.9, 0.4], count=60),
        SparseFeatures([0.9, 0.4], values="one", count=60),
        BadlyScaled([1000.0, 0.01], count=60),
    ],
    ids=repr,
)
def test_least_squares_finds_the_true_weights(part):
    x, y = drawn(part, 9)
    weights = part.true_weights(9)
    scales = np.abs(x).max(axis=0)  # so that the condition number is of order 100
    found = np.linalg.lstsq(x / scales, y)[0] / scales
    np.testing.assert_allclose(found, weights, rtol=1e-11)
    assert part.weights is not None or not np.array_equal(weights, part.true_weights(10))


@pytest.mark.parametrize(
    "part", [GaussianLinear(3), SparseFeatures(), BadlyScaled(), Teacher(2)], ids=repr
)
def test_noise_of_the_targets(part):
    """Residuals are normal: Kolmogorov-Smirnov, false-alarm rate 1e-6; x is as without noise."""
    exact_x, exact = drawn(part.at(count=COUNT), 4)
    x, y = drawn(part.at(count=COUNT, noise=0.25), 4)
    assert np.array_equal(x, exact_x)
    noise = y - exact
    assert stats.kstest(noise, "norm", args=(0.0, 0.25)).pvalue > 1e-6
    # Independent of the features, which have their own numbers: SIGMAS for each.
    spread = np.sqrt((x**2).mean(axis=0) * 0.0625 / COUNT)
    assert (np.abs(noise @ x / COUNT) <= SIGMAS * spread).all()


def test_weights_are_normal():
    """Kolmogorov-Smirnov, false-alarm rate 1e-6."""
    weights = GaussianLinear(COUNT).true_weights(2)
    assert stats.kstest(weights, "norm").pvalue > 1e-6
    scales = np.linspace(0.5, 2.0, COUNT)
    # Another place of the same numbers: w_k = v_k / s_k.
    assert np.array_equal(BadlyScaled(scales).true_weights(2), weights / scales)


@pytest.mark.parametrize("values", ["normal", "one"])
def test_sparse_features_are_present_as_often_as_said(values):
    """Binomial counts, false-alarm rate 1e-6 each; and the covariance."""
    probabilities = np.array([1.0, 0.5, 0.05])
    part = SparseFeatures(probabilities, values=values, count=COUNT)
    x, _ = drawn(part, 6)
    present = np.count_nonzero(x, axis=0)
    assert present[0] == COUNT
    for count, p in zip(present[1:], probabilities[1:], strict=True):
        assert stats.binomtest(int(count), COUNT, p).pvalue > 1e-6
    both = int(np.count_nonzero(x[:, 1] * x[:, 2]))
    assert stats.binomtest(both, COUNT, 0.025).pvalue > 1e-6  # independent of each other
    if values == "one":
        assert set(np.unique(x)) == {0.0, 1.0}
        assert np.diag(part.covariance()) == pytest.approx(probabilities * (1 - probabilities))
    else:
        assert stats.kstest(x[x[:, 1] != 0, 1], "norm").pvalue > 1e-6
        assert np.array_equal(np.diag(part.covariance()), probabilities)


def test_badly_scaled_features():
    """Nine statistics: false-alarm rate 2e-6."""
    part = BadlyScaled([1000.0, 1.0, 0.01], count=COUNT)
    assert np.array_equal(part.covariance(), np.diag([1e6, 1.0, 0.01**2]))
    moments_agree(drawn(part, 3)[0], part.covariance())


def test_moons_without_noise_lie_on_their_curves():
    x, y = drawn(TwoMoons(noise=0.0, count=COUNT), 1)
    assert np.array_equal(y, np.arange(COUNT) % 2)
    t = np.where(y == 0, np.arccos(np.clip(x[:, 0], -1, 1)), np.arccos(np.clip(1 - x[:, 0], -1, 1)))
    height = np.where(y == 0, np.sin(t), 0.5 - np.sin(t))
    # arccos loses half of the digits at the ends, where the sine falls on.
    np.testing.assert_allclose(x[:, 1], height, atol=1e-7)
    for c in (0, 1):
        assert stats.kstest(t[y == c] / np.pi, "uniform").pvalue > 1e-6
    noisy, _ = drawn(TwoMoons(noise=0.3, count=COUNT), 1)
    assert stats.kstest((noisy - x).ravel() / 0.3, "norm").pvalue > 1e-6


def test_spirals_without_noise_lie_on_their_arms():
    x, y = drawn(Spirals(3, turns=1.25, noise=0.0, count=COUNT), 1)
    assert np.array_equal(y, np.arange(COUNT) % 3)
    radius = np.hypot(*x.T)
    angle = 2 * np.pi * (1.25 * radius + y / 3)
    # Roundings of angles below 15.
    np.testing.assert_allclose(x, radius[:, None] * np.c_[np.cos(angle), np.sin(angle)], atol=1e-14)
    assert stats.kstest(radius, "uniform").pvalue > 1e-6
    noisy, _ = drawn(Spirals(3, turns=1.25, noise=0.3, count=COUNT), 1)
    assert stats.kstest((noisy - x).ravel() / 0.3, "norm").pvalue > 1e-6


@pytest.mark.parametrize("inputs", [2, 3, 5])
def test_xor_is_parity_and_no_input_tells_it(inputs):
    """Chi-squared over all corners, and over the corners of each class; rate 1e-6 each."""
    x, y = drawn(XOR(inputs, noise=0.0, count=COUNT), 1)
    assert set(np.unique(x)) == {-1.0, 1.0}
    corners = np.where(x > 0, 1, 0)
    assert np.array_equal(y, corners.sum(axis=1) % 2)
    counts = np.bincount(corners @ 2 ** np.arange(inputs), minlength=2**inputs)
    assert stats.chisquare(counts).pvalue > 1e-6
    noisy, labels = drawn(XOR(inputs, noise=0.3, count=COUNT), 1)
    assert np.array_equal(labels, y)
    assert stats.kstest((noisy - x).ravel() / 0.3, "norm").pvalue > 1e-6


def test_teacher_against_a_naive_twin():
    part = Teacher(3, 5, count=40)
    x, y = drawn(part, 2)
    inner, outer = part.true_weights(2)
    assert (inner.shape, outer.shape) == ((5, 3), (5,))
    for point, target in zip(x, y, strict=True):
        twin = sum(
            a * math.tanh(sum(wi * xi for wi, xi in zip(w, point, strict=True)))
            for w, a in zip(inner, outer, strict=True)
        )
        assert target == pytest.approx(twin, rel=0.0, abs=1e-14)  # five terms of order 1
    inner, outer = Teacher(10, COUNT // 10).true_weights(3)
    assert stats.kstest(inner.ravel() * math.sqrt(10), "norm").pvalue > 1e-6
    assert stats.kstest(outer * math.sqrt(COUNT // 10), "norm").pvalue > 1e-6
    moments_agree(drawn(Teacher(2, count=COUNT), 1)[0], np.eye(2))


# Labels.


@pytest.mark.parametrize(
    ("y", "options", "classes", "codes"),
    [
        (LABELS, {}, ("a", "b", "c"), [1, 0, 1, 2, 0]),
        (np.array(LABELS, dtype=object), {}, ("a", "b", "c"), [1, 0, 1, 2, 0]),
        (pd.Series(LABELS), {}, ("a", "b", "c"), [1, 0, 1, 2, 0]),
        (pd.Series(LABELS, dtype="category"), {}, ("a", "b", "c"), [1, 0, 1, 2, 0]),
        (LABELS, {"classes": ["c", "b", "a"]}, ("c", "b", "a"), [1, 2, 1, 0, 2]),
        (LABELS, {"classes": ["c", "b", "a", "x"]}, ("c", "b", "a", "x"), [1, 2, 1, 0, 2]),
        ([True, False, True, True, True], {}, (False, True), [1, 0, 1, 1, 1]),
        (
            [True, False, True, True, True],
            {"classes": ["no", "yes"]},
            ("no", "yes"),
            [1, 0, 1, 1, 1],
        ),
        ([3, 5, 3, 9, 5], {"task": "classification"}, (3, 5, 9), [0, 1, 0, 2, 1]),
        ([3.0, 5.0, 3.0, 9.0, 5.0], {"task": "classification"}, (3, 5, 9), [0, 1, 0, 2, 1]),
        ([3, 5, 3, 9, 5], {"classes": [9, 5, 3]}, (9, 5, 3), [2, 1, 2, 0, 1]),
        ([0, 2, 1, 1, 0], {"classes": ["u", "v", "w"]}, ("u", "v", "w"), [0, 2, 1, 1, 0]),
        (
            np.uint8([0, 2, 1, 1, 0])[:, None],
            {"task": "classification"},
            (0, 1, 2),
            [0, 2, 1, 1, 0],
        ),
    ],
    ids=str,
)
def test_labels(y, options, classes, codes):
    part = Dataset(X, y, **options)
    samples = part.samples()
    assert samples.classes == classes
    assert [type(c) for c in samples.classes] == [type(c) for c in classes]
    assert samples.y.ravel().tolist() == codes
    assert (part.n_classes, part.n_targets) == (len(classes), 1)
    assert Data.from_table(tomllib.loads(tomli_w.dumps(part.to_table()))) == part


def test_numbers_are_a_regression_whatever_their_type():
    for y in ([0, 1, 0, 1, 1], np.float32([0, 1, 0, 1, 1]), pd.Series([0, 1, 0, 1, 1])):
        part = Dataset(pd.DataFrame(X), y)
        assert (part.n_classes, part.samples().classes) == (0, ())
        assert part.samples().y.ravel().tolist() == [0.0, 1.0, 0.0, 1.0, 1.0]


# Bad arguments.

NAN = float("nan")


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        (
            Y,
            Y,
            {},
            r"Dataset\.x: got \(5,\), allowed is shape \(m, features\).*x\[:, np\.newaxis\]",
        ),
        ([], [], {}, r"Dataset\.x: got \(0,\)"),
        (np.zeros((0, 2)), [], {}, r"Dataset\.x: got \(0, 2\).*at least one sample"),
        (np.zeros((5, 0)), Y, {}, r"Dataset\.x: got \(5, 0\).*one feature"),
        (np.zeros((5, 2, 2)), Y, {}, r"Dataset\.x: got \(5, 2, 2\)"),
        (3.0, Y, {}, r"Dataset\.x: got \(\)"),
        ([[1.0], [2.0, 3.0]], [1, 2], {}, r"Dataset\.x: .*rows have the same length"),
        ([[1.0], [NAN]], [1, 2], {}, r"Dataset\.x, row 1, column 0: got nan, .*finite"),
        ([[1.0, -np.inf], [0, 0]], [1, 2], {}, r"Dataset\.x, row 0, column 1: got -inf"),
        ([[10**400], [1]], [1, 2], {}, r"Dataset\.x: .*numbers of 64 bits"),
        ([[1j], [2]], [1, 2], {}, r"Dataset\.x: got 'an array of complex128'"),
        ([[True], [False]], [1, 2], {}, r"array of bool'.*x\.astype\(float\)"),
        ([["1"], ["2"]], [1, 2], {}, r"Dataset\.x, row 0, column 0: got '1'"),
        ([[None], [2.0]], [1, 2], {}, r"Dataset\.x, row 0, column 0: got None"),
        ([[1, True], [2.5, "a"]], [1, 2], {}, r"Dataset\.x, row 0, column 1: got True"),
        (np.array([["2020-01-01"]] * 2, "M8[D]"), [1, 2], {}, r"array of datetime64"),
        (np.ma.masked_equal([[1.0], [2.0]], 2.0), [1, 2], {}, "without masked values"),
        (X, Y[:4], {}, r"Dataset\.y: got \(4,\), allowed is shape \(5,\) or \(5, targets\)"),
        (X, [Y], {}, r"Dataset\.y: got \(1, 5\)"),
        (X, 1.0, {}, r"Dataset\.y: got \(\)"),
        (X, np.zeros((5, 0)), {}, r"Dataset\.y: got \(5, 0\)"),
        (X, np.zeros((5, 1, 1)), {}, r"Dataset\.y: got \(5, 1, 1\)"),
        (X, [*Y[:4], NAN], {}, r"Dataset\.y, row 4: got nan"),
        (X, [*Y[:4], None], {}, r"Dataset\.y, row 4: got None"),
        (X, [*Y[:4], 1j], {}, r"Dataset\.y: got 'an array of complex128'"),
        (X, [b"a"] * 5, {}, r"Dataset\.y"),
        (X, ["a", "b", None, "a", "b"], {}, r"Dataset\.y, row 2: got None.*missing"),
        (X, ["a", "b", NAN, "a", "b"], {}, r"Dataset\.y, row 2: got nan.*missing"),
        (X, ["a", "b", 1, "a", "b"], {}, r"Dataset\.y, row 2: got 1, .*such as 'a'"),
        (X, ["a"] * 5, {}, r"Dataset\.y, row 0: got 'a'.*two labels.*have the same one"),
        (X, [1, 0, 1, 1.5, 0], {"task": "classification"}, r"row 3: got 1\.5.*whole number"),
        (X, [1, 0, 1, NAN, 0], {"task": "classification"}, r"row 3: got nan"),
        (X, LABELS, {"task": "regression"}, r"Dataset\.y: got 'b', .*task is 'regression'"),
        (X, np.bool_([1, 0, 1, 1, 0]), {"task": "regression"}, r"y\.astype\(float\)"),
        (X, np.c_[Y, Y], {"task": "classification"}, r"Dataset\.y: got \(5, 2\).*one column of"),
        (X, LABELS, {"classes": ["a", "b"]}, r"Dataset\.y, row 3: got 'c', .*one of \['a', 'b'\]"),
        (X, [0, 1, 2, 0, 1], {"classes": ["a", "b"]}, r"row 2: got 2, .*a label from 0 to 1"),
        (X, [0, -1, 1, 0, 1], {"classes": ["a", "b"]}, r"row 1: got -1"),
        (X, [0, 3, 1, 0, 1], {"classes": [0, 1, 2]}, r"row 1: got 3, .*one of \[0, 1, 2\]"),
        (X, LABELS, {"classes": ["a"]}, r"Dataset\.classes: .*at least two different labels"),
        (X, LABELS, {"classes": ["a", "a"]}, r"Dataset\.classes"),
        (X, LABELS, {"classes": "ab"}, r"Dataset\.classes"),
        (X, Y, {"classes": ["a", "b"], "task": "regression"}, r"Dataset\.classes: .*None where"),
        (X, Y, {"task": "ranking"}, r"Dataset\.task: got 'ranking'"),
        (X, Y, {"feature_names": ["a"]}, r"Dataset\.feature_names: .*2 different names"),
        (X, Y, {"feature_names": ["a", "a"]}, r"Dataset\.feature_names"),
        (X, Y, {"feature_names": "ab"}, r"Dataset\.feature_names"),
        (
            X,
            Y,
            {"validation": 1.0},
            r"Dataset\.validation: got 1\.0, allowed is a number in \[0, 1\)",
        ),
        (X, Y, {"validation": 0.95}, r"Dataset\.validation: .*it holds out 5 of 5"),
        (X, Y, {"standardize": 1}, r"Dataset\.standardize: got 1, allowed is True or False"),
        (X, Y, {"seed": -1}, r"Dataset\.seed: got -1"),
        (X, Y, {"seed": 2**64}, r"Dataset\.seed"),
        (X, Y, {"seed": 1.0}, r"Dataset\.seed"),
        (X, Y, {"seed": True}, r"Dataset\.seed"),
    ],
    ids=str,
)
def test_bad_arrays_and_options(x, y, options, message):
    with pytest.raises(InvalidValueError, match=message):
        Dataset(x, y, **options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GaussianLinear(0), r"GaussianLinear\.features: got 0"),
        (lambda: GaussianLinear(2.0), r"GaussianLinear\.features: got 2\.0"),
        (
            lambda: GaussianLinear(3, eigenvalues=[1.0, 2.0]),
            r"eigenvalues: .*3 numbers in \[0, inf\)",
        ),
        (lambda: GaussianLinear(eigenvalues=[1.0, -2.0]), r"GaussianLinear\.eigenvalues"),
        (lambda: GaussianLinear(eigenvalues=[]), r"GaussianLinear\.eigenvalues: .*at least one"),
        (lambda: GaussianLinear(eigenvalues=3.0), r"GaussianLinear\.eigenvalues"),
        (
            lambda: GaussianLinear(eigenvalues=[1, 2], weights=[1]),
            r"GaussianLinear\.weights: .*2 num",
        ),
        (lambda: GaussianLinear(weights=[NAN]), r"GaussianLinear\.weights"),
        (lambda: GaussianLinear(weights=["a"]), r"GaussianLinear\.weights"),
        (lambda: GaussianLinear(condition_number=0.5), r"GaussianLinear\.condition_number"),
        (
            lambda: GaussianLinear(eigenvalues=[1, 2], condition_number=2.0),
            r"GaussianLinear\.condition_number: got 2\.0, .*beside eigenvalues",
        ),
        (lambda: GaussianLinear(rotate=1), r"GaussianLinear\.rotate"),
        (lambda: GaussianLinear(noise=-1.0), r"GaussianLinear\.noise"),
        (lambda: GaussianLinear(count=0), r"GaussianLinear\.count"),
        (lambda: GaussianLinear(count=2, validation=0.8), r"validation: .*it holds out 2 of 2"),
        (lambda: SparseFeatures([]), r"SparseFeatures\.probabilities"),
        (lambda: SparseFeatures(None), r"SparseFeatures\.probabilities"),
        (lambda: SparseFeatures([0.0]), r"SparseFeatures\.probabilities: .*\(0, 1\]"),
        (lambda: SparseFeatures([1.5]), r"SparseFeatures\.probabilities"),
        (lambda: SparseFeatures(values="zwei"), r"SparseFeatures\.values"),
        (lambda: BadlyScaled([0.0]), r"BadlyScaled\.scales"),
        (lambda: BadlyScaled(5.0), r"BadlyScaled\.scales"),
        (lambda: BadlyScaled(weights=[1.0]), r"BadlyScaled\.weights: .*3 numbers"),
        (lambda: Spirals(1), r"Spirals\.arms"),
        (lambda: Spirals(turns=0.0), r"Spirals\.turns"),
        (lambda: XOR(1), r"XOR\.inputs"),
        (lambda: XOR(noise=NAN), r"XOR\.noise"),
        (lambda: Teacher(hidden=0), r"Teacher\.hidden"),
        (lambda: TwoMoons().samples(seed=-1), r"TwoMoons\.samples: got -1, allowed is an integer"),
        (lambda: TwoMoons().samples(seed=1.5), r"TwoMoons\.samples"),
        (lambda: Bundled("iriss"), r"unknown data set 'iriss'; did you mean 'iris'"),
        (lambda: Bundled(3), r"unknown data set 3"),
        (lambda: data.load("boston"), r"unknown data set 'boston'.* diabetes, digits, iris, wine"),
        (lambda: data.get("TwoMoon"), r"unknown data 'TwoMoon'; did you mean 'TwoMoons'"),
        (lambda: File("a.txt", "y"), r"File\.path: got 'a\.txt', .*\.csv, \.parquet, \.pq"),
        (lambda: File(3, "y"), r"File\.path: got 3"),
        (lambda: File(b"a.csv", "y"), r"File\.path"),
        (lambda: File("a.csv", 3), r"File\.target"),
        (lambda: File("a.csv", []), r"File\.target"),
        (lambda: File("a.csv", ["y", "y"]), r"File\.target"),
        (lambda: File("a.csv", "y", features=[]), r"File\.features"),
        (lambda: File("a.csv", "y", features="x"), r"File\.features"),
        (lambda: File("a.csv", "y", features=["x", "y"]), r"File\.features: got 'y'.*no target"),
    ],
)
def test_bad_parts(make, message):
    with pytest.raises(FastdescentError, match=message):
        make()


# Real sets.


@pytest.mark.parametrize("name", ["breast_cancer", "diabetes", "digits", "iris", "wine"])
def test_bundled_sets_are_what_scikit_learn_ships(name):
    from sklearn import datasets  # noqa: PLC0415 - slow to import

    options = {"scaled": False} if name == "diabetes" else {}
    expected = getattr(datasets, f"load_{name}")(**options)
    part = data.load(name)
    samples = part.samples()
    assert np.array_equal(samples.x, expected.data)
    assert np.array_equal(samples.y[:, 0], expected.target)
    assert samples.feature_names == tuple(expected.feature_names)
    assert samples.classes == tuple(getattr(expected, "target_names", ()))
    # What a part says without reading anything:
    assert samples.x.shape == (part.n_samples, part.n_features)
    assert (part.n_targets, part.n_classes) == (1, len(samples.classes))


def test_load_is_the_call_of_its_part():
    part = data.load("diabetes", validation=0.2, seed=5)
    assert repr(part) == "Bundled(set='diabetes', validation=0.2, seed=5)"
    assert (part.n_samples, part.n_validation, part.n_features) == (354, 88, 10)
    assert data.load("diabetes", standardize=True).samples().feature_names[0] == "age"


def test_a_package_that_is_not_installed(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    message = r"needs scikit-learn, which is not installed: pip install 'fastdescent\[data\]'"
    with pytest.raises(data.MissingPackageError, match=message):
        data.load("wine")
    with pytest.raises(ImportError, match=message) as caught:
        Bundled("wine").samples()
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    (tmp_path / "a.parquet").write_bytes(b"")
    with pytest.raises(data.MissingPackageError, match="needs pyarrow"):
        data.read(tmp_path / "a.parquet", "y")


def test_imports_are_light():
    code = (
        "import sys, fastdescent.data as d; d.TwoMoons(count=5).n_samples; "
        "print([m for m in ('pandas', 'sklearn', 'pyarrow', 'scipy.stats') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert done.stdout == "[]\n"


# Files.


@pytest.fixture
def frame():
    x, y = drawn(GaussianLinear(3, noise=0.1, count=30), 1)
    columns = {"a": x[:, 0], "b": x[:, 1] * 1e-300, 'c, "d"\n': x[:, 2], "y": y}
    kinds = np.array(["red", "gr\u00fcn", "blue"])[np.arange(30) % 3]
    return pd.DataFrame({**columns, "z": np.arange(30), "kind": kinds, "flag": kinds == "red"})


@pytest.fixture(params=["csv", "parquet", "pq"])
def table(request, frame, tmp_path):
    path = tmp_path / f"table.{request.param}"
    if request.param == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    return path


def test_files_come_back_bit_by_bit(table, frame):
    names = list(frame.columns[:3])
    part = data.read(table, target="y", features=names, validation=0.2, standardize=True)
    same = Dataset(frame[names], frame["y"], feature_names=names, validation=0.2, standardize=True)
    for one, other in zip(part.samples(3)[:4], same.samples(3)[:4], strict=True):
        assert np.array_equal(one, other)
    assert part.samples().feature_names == tuple(names)
    assert (part.n_samples, part.n_validation, part.n_features, part.n_classes) == (24, 6, 3, 0)
    again = Data.from_table(tomllib.loads(tomli_w.dumps(part.to_table())))
    assert again == part
    assert np.array_equal(again.samples(3).x, part.samples(3).x)


def test_targets_of_files(table, frame):
    several = data.read(str(table), target=["z", "y"], features=["a"])
    assert np.array_equal(several.samples().y, frame[["z", "y"]].to_numpy())
    labels = data.read(table, "kind", ["a", "b"])
    assert labels.samples().classes == ("blue", "gr\u00fcn", "red")
    assert labels.samples().y.ravel().tolist() == [2.0, 1.0, 0.0] * 10
    ordered = data.read(table, "kind", ["a"], classes=["red", "gr\u00fcn", "blue"])
    assert ordered.samples().y.ravel().tolist() == [0.0, 1.0, 2.0] * 10
    whole = data.read(table, "z", ["a"], task="classification")
    assert whole.samples().classes == tuple(range(30))
    flags = data.read(table, "flag", ["a"])
    assert flags.n_classes == 2
    assert flags.samples().y.ravel().tolist() == [1.0, 0.0, 0.0] * 10
    others = data.read(table, ["y", "z"], features=["b", "a"])
    assert np.array_equal(others.samples().x, frame[["b", "a"]].to_numpy())


def test_all_columns_but_the_targets_are_features(frame, tmp_path):
    for name in ("t.csv", "t.parquet"):
        path = tmp_path / name
        kept = frame[["z", "a", "y", "b"]].set_index(np.arange(30) + 100)
        kept.to_csv(path, index=False) if name == "t.csv" else kept.to_parquet(path)
        assert data.read(path, "y").samples().feature_names == ("z", "a", "b")


CSV = {
    "empty": ("", r"empty\.csv: got 'nothing', allowed is the columns' names"),
    "blank": ("\n\n", r"blank\.csv: got 'nothing'"),
    "only_names": ("x,y\n", r"only_names\.csv: got 'no samples'"),
    "short_row": ("x,y\n1,2\n3\n", r"short_row\.csv, line 3: got '1 values', allowed is 2 values"),
    "long_row": ("x,y\n1,2\n\n3,4,5\n", r"long_row\.csv, line 4: got '3 values'"),
    "text": ("x,y\n1,2\nabc,4\n", r"text\.csv, column 'x', line 3: got 'abc'.*features=\[\.\.\.\]"),
    "decimal_comma": ('x,y\n"1,5",2\n', r"column 'x', line 2: got '1,5', allowed is a number"),
    "underscore": ("x,y\n1_0,2\n", r"column 'x', line 2: got '1_0', allowed is a number"),
    "missing": ("x,y\n1,2\n,4\n", r"column 'x', line 3: got '', allowed is a value; it is missing"),
    "missing_y": ("x,y\n1,2\n3, \n", r"column 'y', line 3: got ' ', .*missing"),
    "missing_label": ("x,y\n1,a\n3,\n", r"column 'y', line 3: got '', .*missing"),
    "nan": ("x,y\n1,2\nnan,4\n", r"column 'x', line 3: got nan, allowed is a finite number"),
    "large": ("x,y\n1,2\n1e999,4\n", r"column 'x', line 3: got inf"),
    "typing_error": ("x,y\n1,2\n3,4O\n", r"'y', line 3: got '4O', .*task='classification'"),
    "no_target": ("x,z\n1,2\n", r"File\.target: got 'y', allowed is a column of .*: 'x', 'z'"),
    "semicolons": ("x;y\n1;2\n", r"File\.target: .*'x;y'; commas separate"),
    "twice": ("x,x,y\n1,2,3\n", r"twice\.csv: got 'x', allowed is columns with different names"),
    "index": (",x,y\n0,1,2\n", r"index\.csv, column 0: got '', .*index=False"),
    "no_feature": ("y\n1\n", r"no_feature\.csv: got \['y'\], .*no target"),
    "quote": ('x,y\n"1,2\n', r"quote\.csv, line \d: .*well-formed CSV"),
    "one_label": ("x,y\n1,a\n2,a\n", r"'y', line 2: got 'a', .*at least two labels"),
}


@pytest.mark.parametrize("name", CSV)
def test_bad_csv_files(name, tmp_path):
    text, message = CSV[name]
    path = tmp_path / f"{name}.csv"
    path.write_text(text)
    with pytest.raises(InvalidValueError, match=message):
        data.read(path, "y")


def test_a_csv_file_as_a_spreadsheet_writes_it(tmp_path):
    path = tmp_path / "B.CSV"
    path.write_bytes('\ufeffx,y\r\n1, 2\r\n"3",4e0\r\n\r\n'.encode())
    samples = data.read(path, "y").samples()
    assert (samples.x.tolist(), samples.y.tolist()) == ([[1.0], [3.0]], [[2.0], [4.0]])
    assert samples.feature_names == ("x",)  # the mark of the byte order is no letter


def test_files_that_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidValueError, match=r"'no\.csv', .*exists; the current directory is /"):
        data.read("no.csv", "y")
    with pytest.raises(InvalidValueError, match=r"no\.parquet', allowed is a file that exists"):
        data.read(tmp_path / "no.parquet", "y")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InvalidValueError, match=r"a file that can be read"):
        data.read("folder.csv", "y")
    (tmp_path / "latin.csv").write_bytes("x,y\nä,1\n".encode("latin-1"))
    with pytest.raises(InvalidValueError, match=r"latin\.csv: .*UTF-8"):
        data.read("latin.csv", "y")
    (tmp_path / "bad.parquet").write_bytes(b"not such a file")
    with pytest.raises(InvalidValueError, match=r"bad\.parquet: .*well-formed Parquet"):
        data.read("bad.parquet", "y")
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    with pytest.raises(InvalidValueError, match=r"File\.features: got 'z', .*: 'x', 'y'"):
        data.read("a.csv", "y", features=["z"])
    with pytest.raises(InvalidValueError, match=r"File\.validation: .*it holds out 1 of 1"):
        data.read("a.csv", "y", validation=0.6)
    (tmp_path / "three.csv").write_text("w,x,y\n1,2,3\n")
    with pytest.raises(InvalidValueError, match=r"File\.target: .*one column of labels"):
        data.read("three.csv", ["x", "y"], task="classification")


PARQUET = {
    "missing": ({"x": [1.0, None], "y": [1.0, 2.0]}, r"column 'x', row 1: got None, .*missing"),
    "infinite": ({"x": [1.0, -np.inf], "y": [1.0, 2.0]}, r"column 'x', row 1: got -inf"),
    "text": ({"x": ["a", "b"], "y": [1.0, 2.0]}, r"column 'x': .*column of numbers; features=\["),
    "boolean": ({"x": [True, False], "y": [1.0, 2.0]}, r"column 'x': got 'bool', .*of numbers"),
    "label": ({"x": [1.0, 2.0], "y": ["a", None]}, r"column 'y', row 1: got None, .*missing"),
    "empty": ({"x": np.zeros(0), "y": np.zeros(0)}, r"empty\.parquet: got 'no samples'"),
    "date": ({"x": [1, 2], "y": np.array([1, 2], "M8[s]")}, r"'y', row 0: .*a label: a string"),
    "halves": ({"x": [1, 2], "y": [0.5, 1.0], "task": 1}, r"'y', row 0: got 0\.5, .*whole number"),
}


@pytest.mark.parametrize("name", PARQUET)
def test_bad_parquet_files(name, tmp_path):
    columns, message = PARQUET[name]
    columns = dict(columns)
    task = "classification" if columns.pop("task", None) else None
    path = tmp_path / f"{name}.parquet"
    pd.DataFrame(columns).to_parquet(path)
    with pytest.raises(InvalidValueError, match=message):
        data.read(path, "y", task=task)


def test_nullable_and_categorical_columns_of_parquet(tmp_path):
    path = tmp_path / "n.parquet"
    x, y = pd.array([1, 2, 3], dtype="Int64"), pd.Categorical(["u", "v", "u"])
    pd.DataFrame({"x": x, "y": y}).to_parquet(path)
    samples = data.read(path, "y").samples()
    assert (samples.x.ravel().tolist(), samples.y.ravel().tolist()) == ([1, 2, 3], [0, 1, 0])
    assert samples.classes == ("u", "v")


def test_a_file_is_read_when_its_samples_are_asked_for(tmp_path):
    part = File(tmp_path / "later.csv", "y")
    (tmp_path / "later.csv").write_text("x,y\n1,2\n3,5\n")
    assert part.n_samples == 2
    (tmp_path / "later.csv").write_text("x,y\n1,2\n")
    assert part.n_samples == 2  # kept
    assert pickle.loads(pickle.dumps(part)).n_samples == 1
    assert copy.copy(part).n_samples == 1
