"""Gradient transforms: exact formulas lane by lane, edges, invariances of bits."""

from __future__ import annotations

import doctest
import math
import pickle
import tomllib

import numpy as np
import pytest
import tomli_w

import fastdescent as fd
from fastdescent import parts, transforms
from fastdescent.contracts import JIT, kernel
from fastdescent.errors import InvalidValueError, UnknownNameError
from fastdescent.scratch import norms, stack_row
from fastdescent.transforms import BlockRates, ClipByNorm, ClipByValue, CoupledL2, Transform

LANES = 549 if JIT else 37
EXAMPLES = [
    ClipByNorm(1.5),
    ClipByNorm([1.0, 2.0], variant="torch"),
    ClipByValue(0.7),
    CoupledL2([0.0, 0.1]),
]
#: Also the one whose kernel has more parameters than one; its tests are the last.
EVERY = [*EXAMPLES, BlockRates([[0.1, 0.2], 0.5], sizes=[1, 2])]


def apply(part, grad, theta, value):
    """Run a part's kernel on copies; `value` is one parameter, or one per lane."""
    grad = np.array(grad, dtype=float, order="C")
    theta = np.ascontiguousarray(theta, dtype=float)
    params = np.array(np.broadcast_to(value, (1, theta.shape[1])), dtype=float)
    streams = np.zeros((3, theta.shape[1]), dtype=np.uint64)
    with np.errstate(all="ignore"):  # NumPy scalars warn where the JIT is off
        part.perturb_kernel()(grad, theta, params, streams, 1)
    return grad


def tile(dim, lanes=LANES, scale=1.0):
    generator = np.random.default_rng(dim)
    grad, theta = scale * generator.normal(size=(2, dim, lanes))
    return grad, theta


def optax_clip(g, c):  # optax.clip_by_global_norm
    norm = math.sqrt(sum(x * x for x in g))
    return g if norm < c else [(x / norm) * c for x in g]


def torch_clip(g, c):  # torch.nn.utils.clip_grad_norm_
    norm = math.sqrt(sum(x * x for x in g))
    return [x * min(1.0, c / (norm + 1e-6)) for x in g]


TWINS = [
    (ClipByNorm(1.5), lambda g, x, c: optax_clip(g, c)),
    (ClipByNorm(1.5, variant="torch"), lambda g, x, c: torch_clip(g, c)),
    (ClipByValue(1.5), lambda g, x, c: [max(-c, min(c, y)) for y in g]),
    (CoupledL2(1.5), lambda g, x, c: [a + c * b for a, b in zip(g, x, strict=True)]),
]


@pytest.mark.parametrize("dim", [1, 2, 3, 10])
@pytest.mark.parametrize(("part", "twin"), TWINS, ids=lambda v: repr(v)[:40])
def test_equals_the_naive_twin(part, twin, dim):
    grad, theta = tile(dim)
    limits = np.random.default_rng(99).uniform(0.1, 3.0, LANES)
    result = apply(part, grad, theta, limits)
    expected = np.array(
        [twin(g, x, c) for g, x, c in zip(grad.T.tolist(), theta.T.tolist(), limits, strict=True)]
    ).T
    # g * (c / |g|) here, (g / |g|) * c in optax: two roundings each, one ulp apart or two.
    np.testing.assert_allclose(result, expected, rtol=5e-16, atol=0)


def test_clipping_is_exact_where_the_numbers_are():
    grad = np.array([[3.0, 0.3, 0.0, -6.0], [4.0, 0.4, 0.0, 8.0]])
    clipped = apply(ClipByNorm(5.0), grad, grad, 5.0)
    assert clipped.tolist() == [[3.0, 0.3, 0.0, -3.0], [4.0, 0.4, 0.0, 4.0]]


def test_short_gradients_keep_their_bits():
    grad, theta = tile(3)
    longest = np.sqrt((grad**2).sum(axis=0)).max()
    assert np.array_equal(apply(ClipByNorm(1.0), grad, theta, longest * 1.001), grad)
    assert np.array_equal(apply(ClipByValue(1.0), grad, theta, longest), grad)
    assert np.array_equal(apply(CoupledL2(1.0), grad, theta, 0.0), grad)


def test_clipped_norm_is_the_limit():
    grad, theta = tile(5, scale=100.0)
    clipped = apply(ClipByNorm(1.0), grad, theta, 0.25)
    # The quotient, five products and the sum of squares are rounded once each.
    np.testing.assert_allclose(np.linalg.norm(clipped, axis=0), 0.25, rtol=1e-15)


def test_torch_shrinks_just_below_the_limit_and_exact_does_not():
    grad = np.array([[1.0 - 5e-7]])
    assert apply(ClipByNorm(1.0), grad, grad, 1.0) == grad
    assert apply(ClipByNorm(1.0, "torch"), grad, grad, 1.0) == grad * (1.0 / (grad + 1e-6))


@pytest.mark.parametrize("part", EXAMPLES, ids=repr)
def test_zero_gradient_stays_zero(part):
    zero = np.zeros((3, 5))
    assert np.array_equal(apply(part, zero, zero, 0.5), zero)


@pytest.mark.parametrize("part", EXAMPLES, ids=repr)
def test_a_nan_stays_a_nan_and_in_its_lane(part):
    grad, theta = tile(3, 9)
    grad[1, 4] = np.nan
    result = apply(part, grad, theta, 0.5)
    assert np.isnan(result[1, 4])
    assert np.isfinite(np.delete(result, 4, axis=1)).all()


def test_infinite_gradients_do_not_become_finite_ones():
    # A clipped inf would hide a divergence: inf * (c / inf) is NaN, and marks the lane.
    grad = np.array([[np.inf], [1.0]])
    assert np.isnan(apply(ClipByNorm(1.0), grad, grad, 1.0)[0, 0])
    # Coordinate by coordinate inf has a side, as in torch and optax.
    assert apply(ClipByValue(1.0), grad, grad, 1.0).tolist() == [[1.0], [1.0]]


@pytest.mark.parametrize("part", EXAMPLES, ids=repr)
@pytest.mark.parametrize("dim", [1, 2, 7])
def test_same_bits_alone_and_in_tiles_of_any_width(part, dim):
    grad, theta = tile(dim)
    values = np.random.default_rng(7).uniform(0.1, 2.0, LANES)
    whole = apply(part, grad, theta, values)
    for lane in range(0, LANES, 17):
        one = slice(lane, lane + 1)
        assert np.array_equal(apply(part, grad[:, one], theta[:, one], values[one]), whole[:, one])
    for width in (3, 8, 31, 256):
        part_of = slice(0, width)
        cut = apply(part, grad[:, part_of], theta[:, part_of], values[part_of])
        assert np.array_equal(cut, whole[:, part_of])


@pytest.mark.parametrize("part", EXAMPLES, ids=repr)
def test_workspace_rows_below_the_gradient_are_left_alone(part):
    grad, theta = tile(3, 20)
    with_workspace = np.vstack([grad, np.full((2, 20), np.nan)])
    result = apply(part, with_workspace, theta, 0.5)
    assert np.array_equal(result[:3], apply(part, grad, theta, 0.5))
    assert np.isnan(result[3:]).all()


@kernel("perturb")
def write_norms(grad, theta, params, streams, step):
    """Overwrite the first row with norms that went over the stack, the second with more."""
    dim, lanes = theta.shape
    row, more = stack_row(lanes), stack_row(lanes)
    norms(grad, dim, row)
    for lane in range(lanes):
        more[lane] = 2.0 * row[lane]
    for lane in range(lanes):
        grad[0, lane], grad[1, lane] = row[lane], more[lane]


def test_scratch_rows_are_apart():
    grad = np.array([[3.0, 5.0, 8.0, 0.0], [4.0, 12.0, 15.0, 0.0]])
    write_norms(grad, grad.copy(), grad.copy(), np.zeros((3, 4), dtype=np.uint64), 1)
    assert grad.tolist() == [[5.0, 13.0, 17.0, 0.0], [10.0, 26.0, 34.0, 0.0]]


def test_examples_cover_the_registry():
    assert {type(part).__name__ for part in EVERY} == set(parts.names("transform"))


@pytest.mark.parametrize("part", EVERY, ids=repr)
def test_round_trips(part):
    assert Transform.from_table(part.to_table()) == part
    assert pickle.loads(pickle.dumps(part)) == part
    assert eval(repr(part), vars(transforms)) == part


def test_a_sequence_is_an_axis():
    assert ClipByNorm([1.0, 2.0]).axes() == {"max_norm": (1.0, 2.0)}
    assert ClipByValue.parameter_names() == ("max_value",)
    assert CoupledL2(0.1).base_values() == {"weight_decay": 0.1}


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: ClipByNorm(0.0), "ClipByNorm.max_norm"),
        (lambda: ClipByNorm([1.0, -1.0]), "ClipByNorm.max_norm"),
        (lambda: ClipByNorm([]), "ClipByNorm.max_norm"),
        (lambda: ClipByValue(math.inf), "ClipByValue.max_value"),
        (lambda: ClipByValue("1"), "ClipByValue.max_value"),
        (lambda: CoupledL2(-0.1), "CoupledL2.weight_decay"),
        (lambda: CoupledL2(math.nan), "CoupledL2.weight_decay"),
    ],
)
def test_wrong_values_are_one_error_that_names_the_part(make, part):
    with pytest.raises(InvalidValueError) as caught:
        make()
    assert str(caught.value).startswith(f"{part}: got ")


def test_unknown_variants_offer_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'torch'"):
        ClipByNorm(1.0, variant="pytorch")


def test_documentation_runs():
    result = doctest.testmod(transforms)
    assert result.failed == 0
    assert result.attempted >= 12


# Rates by block.


def apply_rates(part, grad, rates):
    """Run the kernel with the given rates, (blocks, lanes), and the part's own block ends."""
    ends = [value for name, value in part.base_values().items() if name.startswith("end_")]
    rates = np.asarray(rates, dtype=float)
    params = np.concatenate([rates, np.repeat(np.array(ends)[:, None], rates.shape[1], axis=1)])
    grad = np.array(grad, dtype=float, order="C")
    streams = np.zeros((3, grad.shape[1]), dtype=np.uint64)
    dim = int(min(ends[-1], len(grad)))
    with np.errstate(all="ignore"):
        part.perturb_kernel()(grad, np.zeros((dim, grad.shape[1])), params, streams, 1)
    return grad


def test_block_rates_multiply_each_block_by_its_own_rate():
    grad, _ = tile(6)
    rates = np.random.default_rng(5).uniform(0.0, 1e6, (3, LANES))
    result = apply_rates(BlockRates([1.0, 1.0, 1.0], sizes=[3, 1, 2]), grad, rates)
    expected = grad * rates[[0, 0, 0, 1, 2, 2]]  # one product each: the same bits
    assert np.array_equal(result, expected)


def test_block_rates_keep_what_is_special():
    special = np.array([[np.nan, np.inf, 0.0], [1.0, 2.0, 3.0], [np.nan, np.inf, -0.0]])
    result = apply_rates(BlockRates([1.0, 1.0], sizes=[1, 1]), special, [[2.0] * 3, [0.5] * 3])
    assert np.array_equal(result[0], [np.nan, np.inf, 0.0], equal_nan=True)
    assert np.array_equal(result[1], [0.5, 1.0, 1.5])
    assert np.array_equal(result[2], special[2], equal_nan=True)  # a workspace row


def test_blocks_never_reach_beyond_the_coordinates():
    part = BlockRates([1.0, 1.0], sizes=[2, 9])
    grad, lanes = np.ones((4, 2)), np.zeros((3, 2), dtype=np.uint64)
    params = np.array([[2.0, 2.0], [3.0, 3.0], [2.0, 2.0], [11.0, 11.0]])
    part.perturb_kernel()(grad, np.zeros((3, 2)), params, lanes, 1)
    assert grad[:, 0].tolist() == [2.0, 2.0, 3.0, 1.0]


def test_a_single_rate_serves_all_coordinates():
    grad, _ = tile(5)
    assert np.array_equal(apply_rates(BlockRates(), grad, np.full((1, LANES), 3.0)), 3.0 * grad)
    assert BlockRates() == BlockRates([1.0])
    BlockRates([0.5]).require_dim(7)


def test_block_rates_are_axes_of_the_result():
    count = 40 if JIT else 4
    first, second = np.logspace(-3, 0, count), np.logspace(-2, 0, count + 1)
    bowl = fd.landscapes.Bowl(dim=3)
    part = BlockRates([first, second], sizes=[1, 2])
    assert list(part.axes()) == ["rate_1", "rate_2"]
    ds = fd.simulate(
        bowl,
        fd.optimizers.GradientDescent(learning_rate=1.0),
        starts=[[1.0, 2.0, 3.0]],
        steps=5,
        transforms=[part],
    )
    assert ds.loss.dims == ("rate_1", "rate_2", "start")
    assert np.array_equal(ds.rate_2, second)
    curvature = bowl.gradient([1.0, 1.0, 1.0])[0]
    for axis, rate in ((0, ds.rate_1), (1, ds.rate_2), (2, ds.rate_2)):
        # Five factors, rounded a few times each.
        expected = (axis + 1.0) * (1.0 - curvature * rate) ** 5
        found = ds.position.isel(start=0, coordinate=axis)
        expected = expected.broadcast_like(found).transpose(*found.dims)
        np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-15)


def test_rates_of_blocks_are_those_of_plain_gradient_descent_if_equal():
    arguments = {"starts": [[0.5, -1.0]], "steps": 20}
    rosenbrock = fd.landscapes.Rosenbrock(dim=2)
    plain = fd.simulate(rosenbrock, fd.optimizers.GradientDescent(0.001), **arguments)
    block = fd.simulate(
        rosenbrock,
        fd.optimizers.GradientDescent(1.0),
        transforms=[BlockRates([0.001, 0.001], sizes=[1, 1])],
        **arguments,
    )
    assert np.array_equal(plain.position, block.position)


def test_a_study_with_many_rates_is_text_and_back():
    grid = np.logspace(-3, 6, 1024)
    part = BlockRates([grid, grid[::-1]], sizes=[256, 16])
    table = tomllib.loads(tomli_w.dumps(part.to_table()))
    assert Transform.from_table(table) == part
    assert Transform.from_table(table).axes()["rate_2"] == tuple(grid[::-1])
    few = BlockRates([[0.1, 0.2], 0.3], sizes=[1, 1])
    ds = fd.simulate(
        fd.landscapes.Bowl(dim=2),
        fd.optimizers.GradientDescent(1.0),
        starts=[[1.0, 1.0]],
        steps=2,
        transforms=[few],
    )
    (again,) = fd.Study.from_toml(ds.attrs["study"]).run().values()
    assert np.array_equal(again.position, ds.position)
    assert again.attrs["transforms"] == ds.attrs["transforms"] == f"[{few!r}]"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"rates": 0.1}, "rates"),
        ({"rates": []}, "rates"),
        ({"rates": [0.1, []], "sizes": [1, 1]}, "rates"),
        ({"rates": [0.1, -1.0], "sizes": [1, 1]}, "rates"),
        ({"rates": [0.1, [np.inf]], "sizes": [1, 1]}, "rates"),
        ({"rates": [0.1, "fast"], "sizes": [1, 1]}, "rates"),
        ({"rates": [0.1, True], "sizes": [1, 1]}, "rates"),
        ({"rates": [0.1, 0.2]}, "sizes"),
        ({"rates": [0.1, 0.2], "sizes": [3]}, "sizes"),
        ({"rates": [0.1, 0.2], "sizes": [3, 0]}, "sizes"),
        ({"rates": [0.1, 0.2], "sizes": [3, 1.5]}, "sizes"),
        ({"rates": [0.1, 0.2], "sizes": 3}, "sizes"),
    ],
    ids=str,
)
def test_wrong_blocks_are_refused(arguments, word):
    with pytest.raises(InvalidValueError, match=rf"BlockRates\.{word}"):
        BlockRates(**arguments)


def test_blocks_that_do_not_fit_are_named():
    with pytest.raises(InvalidValueError, match="blocks of 5 coordinates together"):
        BlockRates([0.1, 0.2], sizes=[3, 1]).require_dim(5)
    BlockRates([0.1, 0.2], sizes=[3, 2]).require_dim(5)
    model = fd.models.DeepLinear(depth=2)
    assert BlockRates.of(model, [0.1, [1, 2]]) == BlockRates([0.1, [1.0, 2.0]], sizes=[1, 1])
