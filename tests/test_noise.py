"""Gradient noise: its laws, its edges, and the same bits however lanes are grouped.

The laws are tested on fixed seeds, so a test either always passes or always fails; ALARM is
the chance that one test of a right kernel fails on a seed picked blindly.  There are fewer
than 100 such tests here, so 1e-6 leaves 1e-4 for the file.
"""

from __future__ import annotations

import doctest
import math
import pickle

import numpy as np
import pytest
from scipy import stats

from fastdescent import noise, parts
from fastdescent.contracts import JIT
from fastdescent.errors import InvalidValueError, UnknownNameError
from fastdescent.noise import Gaussian, Noise, Rademacher, RareFeature, StudentT, Uniform
from fastdescent.streams import NOISE, make_streams, normals, uniforms

LANES = 20_000 if JIT else 100
STEPS = 5 if JIT else 2
ALARM = 1e-6
# Two-sided bound of a normal at the rate ALARM, in standard deviations.
BOUND = stats.norm.isf(ALARM / 2)

ADDITIVE = [Gaussian(0.5), StudentT(0.5, 3.0), Uniform(0.5), Rademacher(0.5)]
EXAMPLES = [
    *ADDITIVE,
    Gaussian([0.1, 0.2], mode="relative"),
    StudentT(0.5, [1.5, 3.0], mode="relative"),
    Uniform(0.5, mode="relative"),
    Rademacher([0.5, 1.0], mode="relative"),
    RareFeature(0.3),
    RareFeature(probabilities=[1.0, 0.3, 0.0], unbiased=True),
]
NAMES = [type(part).__name__ + getattr(part, "mode", "") for part in EXAMPLES]


def params_of(part, lanes):
    """One row per parameter; of a swept one the first value."""
    firsts = [np.ravel(value)[0] for value in part.base_values().values()]
    return np.repeat(np.array(firsts, dtype=float)[:, np.newaxis], lanes, axis=1)


def perturbed(part, grad, params=None, seed=1, start=None, replicate=0, step=1):
    """Return the gradient after the part's kernel has run."""
    grad = np.array(grad, dtype=float, order="C")
    lanes = grad.shape[1]
    params = params_of(part, lanes) if params is None else np.array(params, dtype=float, order="C")
    streams = make_streams(seed, np.arange(lanes) if start is None else start, replicate)
    with np.errstate(all="ignore"):  # NumPy scalars warn where the JIT is off
        part.perturb_kernel()(grad, np.zeros_like(grad), params, streams, step)
    return grad


def draws(part, dim=3):
    """Pure noise, (steps, dim, lanes)."""
    zero = np.zeros((dim, LANES))
    return np.stack([perturbed(part, zero, step=step) for step in range(1, STEPS + 1)])


def law_of(part):
    """The distribution of one coordinate of the noise, for the first swept value."""
    scale = np.ravel(part.scale)[0]
    if isinstance(part, Gaussian):
        return stats.norm(scale=scale)
    if isinstance(part, StudentT):
        return stats.t(np.ravel(part.degrees_of_freedom)[0], scale=scale)
    return stats.uniform(-math.sqrt(3.0) * scale, 2.0 * math.sqrt(3.0) * scale)


# Laws.


@pytest.mark.parametrize(
    "part",
    [
        Gaussian(0.5),
        Uniform(2.0),
        StudentT(0.5, 0.2),
        StudentT(0.5, 1.0),
        StudentT(0.5, 1.5),
        StudentT(0.5, 3.0),
        StudentT(0.5, 30.0),
        StudentT(0.5, 1e5),
    ],
    ids=repr,
)
def test_law(part):
    xi = draws(part)
    for i in range(xi.shape[1]):
        assert stats.kstest(xi[:, i].ravel(), law_of(part).cdf).pvalue > ALARM


def test_student_becomes_a_normal():
    # At nu = 1e300, u^(-2 / nu) - 1 is below half an ulp of 1; the series keeps it.
    xi = draws(StudentT(1.0, 1e300))
    assert stats.kstest(xi.ravel(), "norm").pvalue > ALARM


@pytest.mark.parametrize("part", [Gaussian(0.7), Uniform(0.7), Rademacher(0.7)], ids=repr)
def test_scale_is_the_standard_deviation(part):
    xi = draws(part) / 0.7
    n = xi.size
    # E xi = 0, E xi^2 = 1, and Var xi^2 = kurtosis - 1, at most 2 of a normal.
    assert abs(xi.mean()) < BOUND / math.sqrt(n)
    assert abs((xi**2).mean() - 1.0) < BOUND * math.sqrt(2.0 / n)


def test_rademacher_is_a_fair_sign():
    xi = draws(Rademacher(0.25))
    assert set(np.unique(xi)) == {-0.25, 0.25}
    for i in range(xi.shape[1]):
        heads = int(np.count_nonzero(xi[:, i] > 0))
        assert stats.binomtest(heads, xi[:, i].size).pvalue > ALARM


@pytest.mark.parametrize("part", [Gaussian(1.0), Uniform(1.0), Rademacher(1.0)], ids=repr)
def test_uncorrelated_across_coordinates_lanes_and_steps(part):
    xi = draws(part, dim=4)
    n = xi.size
    pairs = [(xi[:, i], xi[:, j]) for i in range(4) for j in range(i)] + [
        (xi[:, :, 1:], xi[:, :, :-1]),
        (xi[1:], xi[:-1]),
    ]
    for left, right in pairs:
        # A mean of products of independent numbers of variance 1.
        size = min(left.size, n)
        assert abs((left * right).mean()) < BOUND / math.sqrt(size)
        # Even powers show what signs hide; Rademacher has none.
        squares = (left**2 - 1.0) * (right**2 - 1.0)
        assert abs(squares.mean()) < BOUND * 2.0 / math.sqrt(size) + 1e-12


@pytest.mark.parametrize("probability", [0.01, 0.3, 0.9])
def test_rare_feature_arrives_with_its_probability(probability):
    part = RareFeature(probability)
    arrived = np.stack(
        [perturbed(part, np.full((3, LANES), 2.5), step=k) for k in range(1, STEPS + 1)]
    )
    assert set(np.unique(arrived)) <= {0.0, 2.5}
    for i in range(3):
        count = int(np.count_nonzero(arrived[:, i]))
        assert stats.binomtest(count, arrived[:, i].size, probability).pvalue > ALARM
    # Coordinates arrive independently of each other.
    both = int(np.count_nonzero(arrived[:, 0] * arrived[:, 1]))
    assert stats.binomtest(both, arrived[:, 0].size, probability**2).pvalue > ALARM


def test_unbiased_rare_feature_has_the_exact_mean():
    part = RareFeature(0.2, unbiased=True)
    arrived = perturbed(part, np.full((2, LANES), 3.0))
    assert set(np.unique(arrived)) == {0.0, 3.0 / 0.2}
    # The mean of 3 / p times a Bernoulli variable of variance p (1 - p).
    error = 3.0 / 0.2 * math.sqrt(0.2 * 0.8 / arrived.size)
    assert abs(arrived.mean() - 3.0) < BOUND * error


# What the kernels draw, number by number.


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 7])
def test_noise_is_the_streams_own_numbers(dim):
    grad = np.random.default_rng(dim).normal(size=(dim, 40))
    z = normals(1, NOISE, np.arange(40), dim, step=9).T
    u = uniforms(1, NOISE, np.arange(40), dim, step=9).T
    assert np.array_equal(perturbed(Gaussian(0.5), grad, step=9), grad + 0.5 * z)
    expected = grad + 0.5 * (math.sqrt(12.0) * (u - 0.5))
    assert np.array_equal(perturbed(Uniform(0.5), grad, step=9), expected)
    expected = grad + np.where(u < 0.5, 0.5, -0.5)
    assert np.array_equal(perturbed(Rademacher(0.5), grad, step=9), expected)
    expected = np.where(u < 0.3, grad, 0.0)
    assert np.array_equal(perturbed(RareFeature(0.3), grad, step=9), expected)


def test_student_equals_baileys_formula():
    u, v = uniforms(1, NOISE, np.arange(60), 4, step=2).T.reshape(2, 2, 60).swapaxes(0, 1)
    for nu in (0.2, 1.0, 2.5, 100.0, 1e7):
        t = np.sqrt(nu * np.expm1(-2.0 / nu * np.log(u))) * np.cos(2.0 * np.pi * v)
        xi = perturbed(StudentT(1.0, nu), np.zeros((2, 60)), step=2)
        # exp(x) - 1 loses digits down to x = 1e-5 (1e-11); near zeros of the cosine the twin
        # has an absolute error of an ulp of pi.
        np.testing.assert_allclose(xi, t, rtol=1e-10, atol=1e-14 * np.abs(t).max())


@pytest.mark.parametrize(
    "part",
    [Gaussian(0.5), StudentT(0.5, 2.5), Uniform(0.5), Rademacher(0.5)],
    ids=repr,
)
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_relative_noise_is_additive_noise_times_the_norm(part, dim):
    grad = np.random.default_rng(3).normal(size=(dim, 50))
    norm = np.linalg.norm(grad, axis=0)
    relative = type(part)(**{**part.base_values(), "mode": "relative"})
    params = params_of(part, 50)
    scaled = params.copy()
    scaled[0] *= norm
    # The norm is rounded a little differently by NumPy.
    np.testing.assert_allclose(
        perturbed(relative, grad, params), perturbed(part, grad, scaled), rtol=1e-14, atol=1e-14
    )


# Edges.


@pytest.mark.parametrize("part", ADDITIVE, ids=repr)
@pytest.mark.parametrize("mode", ["additive", "relative"])
def test_zero_scale_keeps_the_gradient(part, mode):
    quiet = type(part)(**{**part.base_values(), "scale": 0.0, "mode": mode})
    grad = np.random.default_rng(0).normal(size=(3, 50))
    assert np.array_equal(perturbed(quiet, grad), grad)


@pytest.mark.parametrize("part", ADDITIVE, ids=repr)
def test_relative_noise_of_a_zero_gradient_is_zero(part):
    relative = type(part)(**{**part.base_values(), "mode": "relative"})
    assert not perturbed(relative, np.zeros((3, 50))).any()


@pytest.mark.parametrize("unbiased", [False, True])
def test_certain_and_impossible_features(unbiased):
    grad = np.random.default_rng(0).normal(size=(3, LANES))
    grad[0, 0] = np.inf
    assert np.array_equal(perturbed(RareFeature(1.0, unbiased=unbiased), grad), grad)
    assert not perturbed(RareFeature(0.0, unbiased=unbiased), grad).any()
    some = RareFeature(probabilities=[1.0, 0.0, 1.0], unbiased=unbiased)
    result = perturbed(some, grad)
    assert np.array_equal(result[[0, 2]], grad[[0, 2]])
    assert not result[1].any()


def test_each_coordinate_has_its_probability():
    each = [0.9, 0.1, 0.5, 0.3]
    grad = np.ones((4, 200))
    result = perturbed(RareFeature(probabilities=each), grad)
    for i, probability in enumerate(each):
        assert np.array_equal(result[i], perturbed(RareFeature(probability), grad)[i])


def test_fewer_probabilities_than_coordinates_read_no_memory_beyond():
    # The engine refuses this; the kernel by itself goes on with the last one.
    grad = np.ones((5, 100))
    result = perturbed(RareFeature(probabilities=[0.2, 1.0]), grad)
    assert np.array_equal(result[1:], grad[1:])


@pytest.mark.parametrize("dof", [0.2, 0.5, 1.0, 1e300])
def test_student_never_overflows(dof):
    assert np.isfinite(draws(StudentT(1.0, dof))).all()
    # The smallest uniform, 2^-53: nu (2^(106 / nu) - 1) at nu = 0.2 is 2^527.7.
    assert math.isfinite(0.2 * 2.0 ** (106 / 0.2))


@pytest.mark.parametrize("part", EXAMPLES[:8], ids=NAMES[:8])
def test_a_nan_stays_in_its_lane(part):
    grad = np.ones((3, 9))
    grad[1, 4] = np.nan
    result = perturbed(part, grad)
    assert np.isnan(result[1, 4])
    assert np.isfinite(np.delete(result, 4, axis=1)).all()


# Bits.


@pytest.mark.parametrize("part", EXAMPLES, ids=NAMES)
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_same_bits_alone_and_in_tiles_of_any_width(part, dim):
    lanes = 300 if JIT else 40
    generator = np.random.default_rng(dim)
    grad = generator.normal(size=(dim, lanes))
    start = generator.integers(0, 2**32, lanes)
    replicate = generator.integers(0, 2**32, lanes)
    params = params_of(part, lanes) * generator.uniform(0.5, 1.0, lanes)
    whole = perturbed(part, grad, params, 2**64 - 1, start, replicate, 2**32 - 1)

    def cut(some):
        return perturbed(
            part, grad[:, some], params[:, some], 2**64 - 1, start[some], replicate[some], 2**32 - 1
        )

    for lane in range(0, lanes, 13):
        assert np.array_equal(cut(slice(lane, lane + 1)), whole[:, lane : lane + 1])
    for width in (2, 3, 8, 31, 32, 33):
        assert np.array_equal(cut(slice(5, 5 + width)), whole[:, 5 : 5 + width])
    shuffled = generator.permutation(lanes)
    assert np.array_equal(cut(shuffled), whole[:, shuffled])


@pytest.mark.parametrize("part", EXAMPLES, ids=NAMES)
def test_everything_but_the_gradient_is_left_alone(part):
    grad, theta, params = np.ones((5, 20)), np.zeros((3, 20)), params_of(part, 20)
    grad[3:] = np.nan  # workspace of a landscape
    streams = make_streams(1, np.arange(20))
    before = (theta.copy(), params.copy(), streams.copy())
    part.perturb_kernel()(grad, theta, params, streams, 1)
    assert np.isnan(grad[3:]).all()
    assert all(np.array_equal(a, b) for a, b in zip(before, (theta, params, streams), strict=True))
    assert np.array_equal(grad[:3], perturbed(part, np.ones((3, 20))))


@pytest.mark.parametrize("part", ADDITIVE, ids=repr)
def test_noise_depends_on_seed_start_replicate_and_step(part):
    zero = np.zeros((2, 1))
    coordinates = [
        {"seed": 1, "start": 0, "replicate": 0, "step": 1},
        {"seed": 2, "start": 0, "replicate": 0, "step": 1},
        {"seed": 2**32 + 1, "start": 0, "replicate": 0, "step": 1},
        {"seed": 1, "start": 1, "replicate": 0, "step": 1},
        {"seed": 1, "start": 0, "replicate": 1, "step": 1},
        {"seed": 1, "start": 0, "replicate": 0, "step": 2},
    ]
    if isinstance(part, Rademacher):
        zero = np.zeros((64, 1))  # 64 signs: chance 2^-64 that two agree
    found = {perturbed(part, zero, **where).tobytes() for where in coordinates}
    assert len(found) == len(coordinates)


def test_scale_may_differ_by_lane():
    scale = np.array([[0.0, 1.0, 2.0]])
    xi = perturbed(Gaussian(1.0), np.zeros((2, 3)), scale, start=[7, 7, 7])
    assert np.array_equal(xi[:, 0], [0.0, 0.0])
    assert np.array_equal(xi[:, 2], 2.0 * xi[:, 1])


# Parts.


def test_examples_cover_the_registry():
    assert {type(part).__name__ for part in EXAMPLES} == set(parts.names("noise"))


@pytest.mark.parametrize("part", EXAMPLES, ids=NAMES)
def test_round_trips(part):
    assert Noise.from_table(part.to_table()) == part
    assert pickle.loads(pickle.dumps(part)) == part
    assert eval(repr(part), vars(noise)) == part


def test_parameters_are_axes_in_the_order_written():
    part = StudentT(degrees_of_freedom=[1.5, 3.0], scale=[0.1, 0.2])
    assert list(part.axes()) == ["degrees_of_freedom", "scale"]
    assert part.parameter_names() == ("scale", "degrees_of_freedom")
    assert RareFeature([0.1, 1.0]).axes() == {"probability": (0.1, 1.0)}
    each = RareFeature(probabilities=[0.1, 1.0])
    assert each.axes() == {}
    assert each.base_values() == {"probability_0": 0.1, "probability_1": 1.0}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Gaussian(-0.1), "Gaussian.scale: got -0.1"),
        (lambda: Gaussian(math.inf), "Gaussian.scale: got inf"),
        (lambda: Gaussian([]), "Gaussian.scale: got []"),
        (lambda: Uniform("wide"), "Uniform.scale: got 'wide'"),
        (lambda: Rademacher([0.1, math.nan]), "Rademacher.scale: got nan"),
        (lambda: StudentT(1.0, 0.1), "StudentT.degrees_of_freedom: got 0.1"),
        (lambda: StudentT(1.0, math.inf), "StudentT.degrees_of_freedom: got inf"),
        (lambda: RareFeature(1.5), "RareFeature.probability: got 1.5"),
        (lambda: RareFeature(probabilities=[0.5, -0.1]), "RareFeature.probabilities: got "),
        (lambda: RareFeature(probabilities=[]), "RareFeature.probabilities: got ()"),
        (lambda: RareFeature(probabilities=0.5), "RareFeature.probabilities: got 0.5"),
        (lambda: RareFeature(0.5, [0.5, 1.0]), "RareFeature.probability: got 0.5"),
        (lambda: RareFeature(0.5, unbiased="yes"), "RareFeature.unbiased: got 'yes'"),
        (
            lambda: RareFeature(probabilities=[0.5, 1.0]).require_dim(3),
            "RareFeature.probabilities: got (0.5, 1.0)",
        ),
    ],
)
def test_wrong_values_are_one_error_that_names_the_part(make, message):
    with pytest.raises(InvalidValueError) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_unknown_modes_offer_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'relative'"):
        Gaussian(0.1, mode="relativ")


def test_any_other_noise_fits_any_dimension():
    for part in (*ADDITIVE, RareFeature(0.5), RareFeature(probabilities=[0.5] * 3)):
        part.require_dim(3)


def test_documentation_runs():
    result = doctest.testmod(noise)
    assert result.failed == 0
    assert result.attempted >= 20
