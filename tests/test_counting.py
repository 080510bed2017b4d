"""The operation counters of the benchmarks give the numbers that one counts by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks import counting
from benchmarks.counting import Counts, count_landscape, count_query, count_update
from benchmarks.kernels import bound
from fastdescent import landscapes, optimizers
from fastdescent.contracts import kernel
from fastdescent.lanemath import exp


def test_gradient_descent():
    # x -= rate * g: rate is read once for all three coordinates.
    expected = Counts(multiplications=3, additions=3, loads=1 + 2 * 3, stores=3)
    assert count_update(optimizers.GradientDescent(), 3) == expected


@pytest.mark.parametrize("dim", [1, 2, 10])
def test_adam(dim):
    # All lanes share their hyper-parameters: these and the corrections are worked out once per
    # tile, and per lane the two powers are only written.
    # Per coordinate: decay x; beta1 m and (1 - beta1) g; beta2 v, g g and (1 - beta2) g g;
    # the rate times m; the root times scale2.  Sums: slope, m, v, + epsilon, x -.
    expected = Counts(
        multiplications=8 * dim,
        additions=5 * dim,
        divisions=dim,
        roots=dim,
        loads=4 * dim,
        stores=2 + 3 * dim,
    )
    assert count_update(optimizers.Adam(), dim) == expected


def test_rosenbrock():
    # x x, b r, b r r, s s; -4 b, -4 b x, -4 b x r, 2 s; 2 b, 2 b r (r is known by then).
    expected = Counts(multiplications=10, additions=4, loads=4, stores=3)
    assert count_landscape(landscapes.Rosenbrock(dim=2)) == expected


@pytest.mark.parametrize("dim", [1, 2, 10])
def test_rastrigin(dim):
    # 2 A once; per coordinate x / 2, 2 A s, x x, a s, pi a, pi a c, times 2, and three sums.
    expected = Counts(
        multiplications=1 + 7 * dim,
        additions=3 * dim,
        loads=1 + dim,
        stores=1 + dim,
        calls={"sincos_turns": dim},
    )
    assert count_landscape(landscapes.Rastrigin(dim=dim)) == expected


def test_fused_multiply_adds_and_shared_data_of_a_rotated_quadratic():
    # g = A x: one product and dim - 1 fused ones per row; x g / 2: two products and a sum.
    dim = 6
    quadratic = landscapes.Quadratic(eigenvalues=[1.0] * dim, rotation=0)
    expected = Counts(
        multiplications=3 * dim, fmas=dim * (dim - 1), additions=dim, loads=dim, stores=1 + dim
    )
    assert count_landscape(quadratic) == expected


def test_query_of_a_look_ahead_rule():
    expected = Counts(multiplications=2, additions=2, loads=1 + 2 * 2, stores=2)
    assert count_query(optimizers.Nesterov(), 2) == expected
    assert count_query(optimizers.Adam(), 2) == Counts()


@kernel("query")
def _odd(theta, state, hyper, step, point):
    shared = np.sqrt(theta[0, 0]) / theta[0, 0]
    for lane in range(theta.shape[1]):
        a, b = theta[0, lane], theta[1, lane]
        point[0, lane] = a * b
        point[0, lane] = point[0, lane] - b * a
        point[1, lane] = max(abs(a), -b) + exp(a) + exp(a) + shared


def test_conventions():
    # a b = b a counts once, as do exp(a), the row written twice, and no load of one's own
    # store; max is a comparison and a selection; what lane 0 gives to all is free.
    def make(lanes):
        theta = np.random.default_rng(0).uniform(1.0, 2.0, (2, lanes))
        return [theta, np.ones((1, lanes)), np.ones((1, lanes)), 1, np.ones((2, lanes))]

    expected = Counts(
        multiplications=1,
        additions=1 + 3,
        comparisons=1,
        logic=2 + 1,
        loads=2,
        stores=2,
        calls={"exp": 1},
    )
    assert counting._count(_odd, make, []) == expected


@pytest.mark.parametrize("name", landscapes.names())
def test_counted_kernels_compute_what_they_always_do(name):
    part = landscapes.get(name)
    landscape = part(eigenvalues=[1.0, 3.0], rotation=1) if name == "Quadratic" else part()
    lanes, rows = 3, landscape.dim + landscape.workspace
    theta = np.random.default_rng(2).uniform(*landscape.domain.T, (lanes, landscape.dim)).T
    params = counting.columns(landscape.base_values().values(), lanes)
    ledger, batch = counting.Ledger(), np.zeros((0, lanes), dtype=np.int64)
    loss, grad = (counting.Rows.of(ledger, np.zeros(s)) for s in ((lanes,), (rows, lanes)))
    counted = [counting.Rows.of(ledger, array) for array in (theta, params)]
    with counting._plain_python(landscape.kernel):
        landscape.kernel.function(*counted, landscape.kernel_data(), batch, loss, grad)
    assert np.array_equal(loss.values(), landscape.value(theta.T))
    assert np.array_equal(grad.values()[: landscape.dim].T, landscape.gradient(theta.T))


def test_modules_are_as_before():
    before = vars(landscapes.rastrigin)["sincos_turns"]
    count_landscape(landscapes.Rastrigin())
    assert vars(landscapes.rastrigin)["sincos_turns"] is before
    broken = kernel("query")(lambda theta, state, hyper, step, point: theta.nonsense)
    with pytest.raises(AttributeError):
        counting._count(broken, lambda lanes: [np.ones((1, lanes))] * 3 + [1, None], [])
    assert vars(landscapes.rastrigin)["sincos_turns"] is before


def test_bound():
    cost = {"root": 3.0, "division": 2.0, "root_division": 4.0}
    cost |= {"fma": 0.5, "load": 0.25, "store": 1.0, "exp": 7.0}
    counts = Counts(
        *(4.0, 3.0, 1.0, 2.0, 1.0, 1.0, 3.0, 8.0, 5.0),
        calls={"exp": 2.0},
    )
    limit = bound(counts, cost)
    assert limit.divider == 4.0 + 2.0
    assert limit.arithmetic == 0.5 * max(3 + 1, 4 + 1, (3 + 1 + 4 + 1 + 3) / 2)
    assert limit.memory == max(8 * 0.25, 5.0)
    assert limit.total == 6.0 + 14.0
    assert limit.limit == "calls"
