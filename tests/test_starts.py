"""Start points: laws, prefixes, exact grids, round trips, errors.

The laws are tested on fixed seeds, so a test either always passes or always fails; a
false-alarm rate is the chance that a right generator fails on a seed picked blindly.
"""

from __future__ import annotations

import doctest
import math
import pickle
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats

from fastdescent import parts, starts
from fastdescent.contracts import JIT
from fastdescent.errors import InvalidValueError
from fastdescent.starts import (
    Grid,
    LatinHypercube,
    Normal,
    Points,
    Sobol,
    Sphere,
    Starts,
    Uniform,
    outside,
)

COUNT = 20_000 if JIT else 400
# Chance that one Kolmogorov-Smirnov test of a right generator fails.
ALARM = 1e-6

EXAMPLES = [
    Uniform(-2.0, [2.0, 3.0], count=50),
    Normal(mean=[1.0, 2.0], scale=0.1, count=50),
    Sphere(radius=2.0, center=[0.5, -0.5], count=50),
    Grid(-1, 1, counts=[5, 10]),
    LatinHypercube(count=50),
    Sobol([-2.0, -1.0], 2.0, count=50),
    Points(np.arange(100.0).reshape(50, 2)),
]
BY_NAME = {type(part).__name__: part for part in EXAMPLES}


@dataclass(frozen=True)
class Plain:
    """A landscape as far as starts look at it."""

    dim: int = 2
    low: float = -3.0
    high: float = 5.0

    @property
    def domain(self):
        domain = np.tile([self.low, self.high], (self.dim, 1))
        domain[0, 0] += 1.0  # not all coordinates alike
        return domain


@pytest.mark.parametrize("part", EXAMPLES, ids=lambda part: type(part).__name__)
def test_pure_function_of_landscape_and_seed(part):
    points = part.points(Plain(), seed=7)
    assert points.shape == (50, 2)
    assert points.dtype == np.float64
    assert points.flags.c_contiguous
    assert np.isfinite(points).all()
    assert part.size(Plain()) == 50
    assert np.array_equal(part.points(Plain(), seed=7), points)
    points[:] = np.nan  # the caller's own copy
    assert np.isfinite(part.points(Plain(), seed=7)).all()


@pytest.mark.parametrize("name", ["Uniform", "Normal", "Sphere", "LatinHypercube", "Sobol"])
def test_seeds_give_other_points(name):
    part = BY_NAME[name]
    some = [part.points(Plain(), seed=seed) for seed in (0, 1, 2**32, 2**64 - 1)]
    assert len({points.tobytes() for points in some}) == 4


@pytest.mark.parametrize("dim", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", [Uniform, Normal, Sphere, Sobol])
def test_start_i_never_changes_when_count_grows(kind, dim):
    longest = kind(count=130).points(Plain(dim), seed=3)
    for count in (1, 2, 3, 64, 65, 129):
        assert np.array_equal(kind(count=count).points(Plain(dim), seed=3), longest[:count])


@pytest.mark.parametrize("dim", [1, 3])
def test_uniform_law(dim):
    x = Uniform(-2.0, 6.0, count=COUNT).points(Plain(dim), seed=11)
    assert (x > -2.0).all()
    assert (x < 6.0).all()
    for column in x.T:
        assert stats.kstest(column, stats.uniform(-2.0, 8.0).cdf).pvalue > ALARM


@pytest.mark.parametrize("dim", [1, 3])
def test_normal_law(dim):
    x = Normal(mean=3.0, scale=0.5, count=COUNT).points(Plain(dim), seed=11)
    for column in x.T:
        assert stats.kstest(column, stats.norm(3.0, 0.5).cdf).pvalue > ALARM


@pytest.mark.parametrize("kind", [Uniform, Normal])
def test_coordinates_are_uncorrelated(kind):
    x = kind(count=COUNT).points(Plain(4), seed=5)
    correlation = np.corrcoef(x.T)[np.triu_indices(4, 1)]
    # Six correlations with standard deviation 1 / sqrt(COUNT); 5.5 of them: rate 2e-7.
    assert np.abs(correlation).max() < 5.5 / math.sqrt(COUNT)


@pytest.mark.parametrize("dim", [1, 2, 3, 5])
def test_sphere_law(dim):
    part = Sphere(radius=2.0, center=0.25, count=COUNT)
    direction = (part.points(Plain(dim), seed=2) - 0.25) / 2.0
    # A sum, a root, a quotient, a product and twice the centre: some ulps of 1.
    np.testing.assert_allclose(np.linalg.norm(direction, axis=1), 1.0, rtol=0, atol=2e-15)
    if dim == 1:
        signs = np.count_nonzero(direction > 0)
        assert stats.binomtest(signs, COUNT).pvalue > ALARM
        return
    # The square of one coordinate of a uniform direction is Beta(1/2, (d - 1) / 2).
    for column in direction.T:
        assert stats.kstest(column**2, stats.beta(0.5, (dim - 1) / 2).cdf).pvalue > ALARM
        assert stats.binomtest(int(np.count_nonzero(column > 0)), COUNT).pvalue > ALARM


@pytest.mark.parametrize("count", [1, 2, 7, 100])
@pytest.mark.parametrize("dim", [1, 2, 5])
def test_latin_hypercube_has_one_point_in_every_slice(count, dim):
    x = LatinHypercube(0.0, float(count), count=count).points(Plain(dim), seed=4)
    assert (np.sort(np.floor(x), axis=0) == np.arange(count)[:, np.newaxis]).all()


def test_latin_hypercube_law():
    x = LatinHypercube(0.0, 1.0, count=COUNT).points(Plain(2), seed=8)
    inside = (x * COUNT) % 1.0
    assert stats.kstest(inside.ravel(), "uniform").pvalue > ALARM
    # Ranks of independent permutations: correlation of standard deviation 1 / sqrt(n - 1).
    assert abs(stats.spearmanr(x).statistic) < 5 / math.sqrt(COUNT - 1)


@pytest.mark.parametrize("dim", [1, 2, 4])
def test_sobol_is_balanced(dim):
    # A scrambled (t, m, s)-net: each half-box of every coordinate gets exactly its share.
    x = Sobol(0.0, 64.0, count=64).points(Plain(dim), seed=1)
    assert (np.sort(np.floor(x), axis=0) == np.arange(64)[:, np.newaxis]).all()


def test_sobol_integrates_better_than_independent_points():
    # Variance of the mean of prod(x) over 16 seeds: at n = 256 the sequence's is hundreds of
    # times smaller.
    def spread(kind):
        means = [
            kind(0.0, 1.0, count=256).points(Plain(3), s).prod(axis=1).mean() for s in range(16)
        ]
        return np.var(means)

    assert spread(Sobol) < 0.05 * spread(Uniform)


def test_grid_is_the_product_of_its_axes():
    x = Grid([-1.0, 0.0], [1.0, 0.3], counts=[3, 4]).points(Plain(), seed=0)
    expected = [[a, b] for a in np.linspace(-1, 1, 3) for b in np.linspace(0, 0.3, 4)]
    assert x.tolist() == [[float(a), float(b)] for a, b in expected]
    assert Grid(0.0, 1.0, counts=3).size(Plain(4)) == 81
    # -0.1 + (0.3 - -0.1) is not 0.3: the ends are the bounds themselves.
    assert Grid(-0.1, 0.3, counts=2).points(Plain(1), seed=0).ravel().tolist() == [-0.1, 0.3]


def test_bounds_default_to_the_domain():
    low, high = Plain(3).domain.T
    for part in (Uniform(), LatinHypercube(), Sobol(), Grid()):
        x = part.points(Plain(3), seed=0)
        assert (x >= low).all()
        assert (x <= high).all()
        assert (x.min(axis=0) < low + 0.1).all()
        assert (x.max(axis=0) > high - 0.1).all()
    half = Uniform(upper=0.0).points(Plain(3), seed=0)
    assert (half >= low).all()
    assert (half <= 0.0).all()


def test_numbers_may_differ_by_coordinate():
    x = Uniform([0.0, 10.0], [1.0, 20.0], count=100).points(Plain(), seed=0)
    assert ((x >= [0.0, 10.0]) & (x <= [1.0, 20.0])).all()
    assert Uniform(np.array([0.0, 10.0]), 20) == Uniform((0, 10.0), 20.0)
    frozen = Normal(mean=[1.0, 2.0], scale=[0.0, 1.0], count=9).points(Plain(), seed=0)
    assert (frozen[:, 0] == 1.0).all()
    assert len(set(frozen[:, 1])) == 9


def test_outside_counts_points_not_coordinates():
    points = [[0.0, 0.0], [9.0, 9.0], [-2.0, 5.0], [-2.5, 0.0], [math.nextafter(5.0, 6.0), 0.0]]
    assert outside(points, Plain()) == 3
    assert outside(Uniform(count=500).points(Plain(), seed=0), Plain()) == 0
    far = Normal(mean=100.0, count=20).points(Plain(), seed=0)
    assert outside(far, Plain()) == 20


def test_examples_cover_the_registry():
    # Initialization is the model's own: see test_models.py.
    assert set(BY_NAME) | {"Initialization"} == set(parts.names("starts"))


@pytest.mark.parametrize("part", EXAMPLES, ids=repr)
def test_round_trips(part):
    assert Starts.from_table(part.to_table()) == part
    copy = pickle.loads(pickle.dumps(part))
    assert copy == part
    assert hash(copy) == hash(part)
    assert eval(repr(part), vars(starts)) == part
    assert np.array_equal(copy.points(Plain(), 5), part.points(Plain(), 5))


def test_points_compare_and_print_by_value():
    given = np.ones((2, 2))
    part = Points(given)
    given[0] = 5.0
    assert part == Points([[1, 1], [1, 1]])
    assert part != Points([[1.0, 1.0]])
    assert part != Points([[1.0, 1.0], [1.0, 2.0]])
    assert Points([[0.0]]) == Points([[-0.0]])
    assert hash(Points([[0.0]])) == hash(Points([[-0.0]]))
    assert part.count == 2
    assert repr(Points(np.zeros((1000, 2)))) == "Points(array=<1000 points of dimension 2>)"
    assert not part.array.flags.writeable


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Uniform(2.0, -2.0), "Uniform.lower: got 2.0"),
        (lambda: Uniform(1.0, 1.0), "Uniform.lower: got 1.0"),
        (lambda: Uniform([0.0, 3.0], 2.0), "Uniform.lower: got 3.0"),
        (lambda: Uniform([0.0, 3.0], [1.0, 4.0, 5.0]), "Uniform.upper: got "),
        (lambda: Uniform(-1e308, 1e308), "Uniform.lower: got -1e+308"),
        (lambda: Uniform(math.nan, 1.0), "Uniform.lower: got nan"),
        (lambda: Uniform(0.0, math.inf), "Uniform.upper: got inf"),
        (lambda: Uniform("left"), "Uniform.lower: got 'left'"),
        (lambda: Uniform([]), "Uniform.lower: got ()"),
        (lambda: Uniform([[0.0]]), "Uniform.lower: got ((0.0,),)"),
        (lambda: Uniform(count=0), "Uniform.count: got 0"),
        (lambda: Uniform(count=2**32), "Uniform.count: got 4294967296"),
        (lambda: Normal(scale=-1.0), "Normal.scale: got -1.0"),
        (lambda: Normal(mean=None), "Normal.mean: got None"),
        (lambda: Normal(count=1.5), "Normal.count: got 1.5"),
        (lambda: Sphere(radius=0.0), "Sphere.radius: got 0.0"),
        (lambda: Sphere(center=math.inf), "Sphere.center: got inf"),
        (lambda: Grid(counts=0), "Grid.counts: got 0"),
        (lambda: Grid(counts=[3, 2.5]), "Grid.counts: got (3, 2.5)"),
        (lambda: LatinHypercube(count=-1), "LatinHypercube.count: got -1"),
        (lambda: Sobol(5.0, 0.0), "Sobol.lower: got 5.0"),
        (lambda: Points([1.0, 2.0]), "Points.array: got (2,)"),
        (lambda: Points(np.zeros((0, 2))), "Points.array: got (0, 2)"),
        (lambda: Points([[0.0, 1.0], [math.nan, 1.0]]), "Points.array: got [nan, 1.0]"),
        (lambda: Points([[1.0], [1.0, 2.0]]), "Points.array: got [[1.0], [1.0, 2.0]]"),
        (lambda: Points("here"), "Points.array: got 'here'"),
        # Only the landscape shows these.
        (lambda: Uniform([0.0] * 3, 1.0).points(Plain(), 0), "Uniform.lower: got [0.0, 0.0, 0.0]"),
        (lambda: Uniform(lower=5.0).points(Plain(), 0), "Uniform.lower: got 5.0"),
        (lambda: Normal(mean=[0.0] * 3).points(Plain(), 0), "Normal.mean: got "),
        (lambda: Sphere(center=[0.0]).points(Plain(), 0), "Sphere.center: got [0.0]"),
        (lambda: Grid(counts=[2, 2, 2]).points(Plain(), 0), "Grid.counts: got "),
        (lambda: Grid(counts=10).points(Plain(10), 0), "Grid.counts: got 10"),
        (lambda: Sobol(count=1).points(Plain(30_000), 0), "Sobol: got 30000"),
        (lambda: Points([[0.0]]).points(Plain(), 0), "Points.array: got (1, 1)"),
    ],
)
def test_wrong_values_are_one_error_that_names_the_part(make, message):
    with pytest.raises(InvalidValueError) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_importing_starts_does_not_import_scipy_stats():
    code = "import sys, fastdescent.starts; print('scipy.stats' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_documentation_runs():
    result = doctest.testmod(starts)
    assert result.failed == 0
    assert result.attempted >= 20
