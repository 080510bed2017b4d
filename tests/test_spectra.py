"""Hessians, their spectra, and spectra along paths, against closed forms and naive twins."""

from __future__ import annotations

import doctest
import importlib
import threading
from typing import Any

import mpmath
import numpy as np
import pytest
import scipy.linalg
import threadpoolctl
from hypothesis import given, settings
from hypothesis import strategies as st
from landscape_cases import FURTHER
from scipy.sparse.linalg import ArpackNoConvergence

import fastdescent as fd
import fastdescent.math as fm
from fastdescent import memory, parts
from fastdescent.contracts import JIT
from fastdescent.errors import FastdescentError, InvalidValueError, MemoryLimitError
from fastdescent.geometry.hessians import (
    block_size,
    has_hessian,
    hessian_product,
    hessians,
    over_blocks,
)
from fastdescent.geometry.spectra import spectrum, spectrum_along, symmetric_eigen
from fastdescent.plot._spectra import spectra

# The package offers functions of the modules' names.
hessians_module, spectra_module, plot_module = (
    importlib.import_module(f"fastdescent.{name}")
    for name in ("geometry.hessians", "geometry.spectra", "plot._spectra")
)
EPS = np.finfo(float).eps
L = fd.landscapes
XOR = fd.data.XOR(count=32, seed=1)
NET = fd.models.MLP(XOR, widths=[4], loss="cross_entropy")
PRODUCT = fd.landscape("(x*y - 1)**2 / 2")


class WithoutHessian(fd.Landscape):
    """A landscape that has lost its Hessian, as a user's own may never have had one."""

    kernel = fd.landscapes.Bowl.kernel  # it has to have one, and is never simulated
    checked = False
    whole: Any = fd.option()

    @property
    def dim(self):
        return self.whole.dim

    @property
    def domain(self):
        return self.whole.domain

    def value(self, x):
        return self.whole.value(x)

    def gradient(self, x):
        return self.whole.gradient(x)


parts._REGISTRY["landscape"].pop("WithoutHessian")  # other tests walk through the catalogue


def goe(count, dim, seed=0):
    """Matrices of the Gaussian orthogonal ensemble."""
    entries = np.random.default_rng(seed).normal(size=(count, dim, dim))
    return entries + entries.transpose(0, 2, 1)


def inside(landscape, count, seed=0):
    low, high = landscape.domain.T
    return np.random.default_rng(seed).uniform(low, high, (count, landscape.dim))


@pytest.mark.parametrize("module", [hessians_module, spectra_module, plot_module])
def test_documentation(module):
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0


# Hessians ------------------------------------------------------------------------------------

CATALOGUE = [cls() for cls in map(L.get, L.names()) if cls.__module__.startswith(L.__name__)]


@pytest.mark.parametrize("landscape", CATALOGUE + FURTHER, ids=repr)
def test_stated_error_of_differences_holds(landscape):
    """At random points; what the analytic Hessian itself rounds is at most 64 units."""
    x = inside(landscape, 16 if JIT else 2)
    exact = hessians(landscape, x)
    found = hessians(WithoutHessian(landscape), x)
    assert (exact.source, found.source) == ("analytic", "differences")
    assert (exact.error == 0.0).all()
    size = np.linalg.norm(exact.matrices, axis=(1, 2))
    wrong = np.linalg.norm(found.matrices - exact.matrices, axis=(1, 2))
    assert (wrong <= found.error + 64 * EPS * size).all(), (wrong, found.error, size)
    assert np.array_equal(found.matrices, found.matrices.transpose(0, 2, 1))


def test_a_formula_too_large_for_its_hessian_has_differences():
    """The Hessian of (sum x)^4 / 4 + sum x^4 / 4 is 3 s^2 11' + 3 diag(x^2); 80^2 stores."""
    dim = 80
    formula = fd.landscape(lambda x: fm.sum(x) ** 4 / 4 + fm.sum(x**4) / 4, dim=dim)
    assert not has_hessian(formula)
    x = np.random.default_rng(3).normal(size=(2, dim))
    found = hessians(formula, x)
    assert found.source == "differences"
    for point, matrix, error in zip(x, *found[::2], strict=True):
        exact = 3.0 * point.sum() ** 2 * np.ones((dim, dim)) + 3.0 * np.diag(point**2)
        assert np.linalg.norm(matrix - exact) <= error
        # The steps are of 6e-6 times 5, half the domain; so the error is no trivial bound.
        assert error < 1e-8 * np.linalg.norm(exact)
    ds = spectrum(formula, x)
    assert ds.attrs["hessian"] == "differences"
    assert np.array_equal(ds.hessian_error, found.error)


def test_differences_of_a_quadratic_are_exact():
    """Steps that are exact in binary, and a linear gradient: nothing is rounded but the sums."""
    found = hessians(WithoutHessian(L.Bowl(dim=3, curvature=4.0)), np.zeros((1, 3)))
    np.testing.assert_allclose(found.matrices[0], 4.0 * np.eye(3), rtol=4 * EPS, atol=0.0)


def test_points_that_are_not_finite_give_no_number():
    points = [[np.nan, 1.0], [np.inf, 1.0], [1.0, 1.0], [1e200, 1e200]]
    assert np.isnan(hessians(L.Bowl(dim=2), points).matrices[:2]).all()
    for landscape in (L.Himmelblau(), WithoutHessian(L.Himmelblau())):
        finite = np.isfinite(hessians(landscape, points).matrices).all(axis=(1, 2))
        assert finite.tolist() == [False, False, True, False]


def products_of():
    rotated = L.Quadratic(eigenvalues=list(range(1, 9)), rotation=5)
    factors = fd.models.MatrixFactorization([[2.0, 1.0], [0.5, 3.0]], rank=1)
    ridge = fd.models.RidgeRegression(fd.data.GaussianLinear(count=20, features=3, seed=0))
    return [L.Himmelblau(), L.Rosenbrock(dim=5), rotated, factors, ridge, NET]


@pytest.mark.parametrize("landscape", products_of(), ids=lambda a: type(a).__name__)
def test_products_are_those_of_the_dense_hessian(landscape):
    """Sums of at most dim terms, each rounded: 64 units are enough for dim 17."""
    rng = np.random.default_rng(0)
    point, vectors = rng.normal(size=landscape.dim), rng.normal(size=(landscape.dim, 3))
    operator, dense = hessian_product(landscape, point), landscape.hessian(point)
    size = np.linalg.norm(dense) * np.linalg.norm(vectors)
    for transposed in (operator, operator.T):
        assert np.abs(transposed @ vectors - dense @ vectors).max() <= 64 * EPS * size
    single = operator @ vectors[:, 0]
    assert single.shape == (landscape.dim,)
    assert np.abs(single - dense @ vectors[:, 0]).max() <= 64 * EPS * size
    # Without it: a central difference of step 6e-6 has about 1e-9.
    differences = hessian_product(WithoutHessian(landscape), point)
    assert np.abs(differences @ vectors - dense @ vectors).max() <= 1e-8 * size
    assert not (differences @ np.zeros(landscape.dim)).any()


def test_products_of_differences_do_not_depend_on_the_vector_s_length():
    point, vector = np.array([1.0, 2.0]), np.array([0.3, -0.4])
    operator = hessian_product(WithoutHessian(L.Himmelblau()), point)
    for length in (2.0**-300, 2.0**300):
        assert np.array_equal(operator @ (length * vector), length * (operator @ vector))


# Closed forms of dim 2 -----------------------------------------------------------------------


def true_eigenvalues(a, b, c):
    """Roots of the characteristic polynomial in 4000 bits, where nothing cancels."""
    with mpmath.workprec(4000):
        a, b, c = map(mpmath.mpf, (a, b, c))
        root = mpmath.sqrt((a - c) ** 2 + 4 * b**2)
        return [(a + c - root) / 2, (a + c + root) / 2]


def units_wrong(found, exact):
    """Relative error in units of eps."""
    with mpmath.workprec(4000):
        exact_zero = exact == 0
        return float(abs(mpmath.mpf(found) - exact) / (1 if exact_zero else abs(exact)) / EPS)


@st.composite
def entries(draw):
    """Entries at any common scale, and at scales up to 2^300 apart."""
    common = draw(st.integers(-600, 900))
    mantissas = st.floats(0.5, 1.0)
    return [
        draw(st.sampled_from((-1.0, 1.0)))
        * float(np.ldexp(draw(mantissas), common - draw(st.integers(0, 300))))
        for _ in range(3)
    ]


def two(a, b, c):
    return symmetric_eigen(np.array([[[a, b], [b, c]]]))


@settings(max_examples=200, deadline=None, derandomize=True)
@given(entries())
def test_both_eigenvalues_of_dim_2_are_right_to_a_few_units(abc):
    """Also the small one: 2 units of the determinant, 3 of the large one, 1 of the division."""
    values, vectors = two(*abc)
    for found, exact in zip(values[0], true_eigenvalues(*abc), strict=True):
        assert units_wrong(found, exact) < 8.0
    # Eigenvectors: orthonormal to rounding, and of small residual.
    a, b, c = np.array(abc) / np.abs(abc).max()
    matrix, turn = np.array([[a, b], [b, c]]), vectors[0]
    assert np.abs(turn.T @ turn - np.eye(2)).max() < 4 * EPS
    residual = matrix @ turn - turn * (values[0] / np.abs(abc).max())
    assert np.abs(residual).max() < 8 * EPS


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(1, 2**52), st.integers(1, 2**52), st.integers(-3, 3))
def test_nearly_singular_matrices_of_dim_2_keep_their_sign(p, q, off):
    """Rows (p^2 + off, p q), (p q, q^2) rounded: the sign of the determinant is the true one."""
    a, b, c = float(p * p + off), float(p * q), float(q * q)
    exact = true_eigenvalues(a, b, c)
    values = two(a, b, c).values[0]
    assert np.sign(values).tolist() == [float(mpmath.sign(value)) for value in exact]
    for found, true in zip(values, exact, strict=True):
        assert units_wrong(found, true) < 8.0


@pytest.mark.parametrize(
    ("abc", "expected"),
    [
        ((0.0, 0.0, 0.0), [0.0, 0.0]),
        ((3.0, 0.0, 3.0), [3.0, 3.0]),
        ((1.0, 1.0, 1.0), [0.0, 2.0]),
        ((-1.0, -1.0, -1.0), [-2.0, 0.0]),
        ((0.0, 2.0, 0.0), [-2.0, 2.0]),
        ((1e300, 0.0, -1e-300), [-1e-300, 1e300]),
        ((1e308, 5e307, -1e308), [-np.sqrt(1.25) * 1e308, np.sqrt(1.25) * 1e308]),
        ((5e-324, 0.0, 5e-324), [5e-324, 5e-324]),
        ((0.0, 5e-324, 0.0), [-5e-324, 5e-324]),
    ],
)
def test_special_matrices_of_dim_2(abc, expected):
    values, vectors = two(*abc)
    np.testing.assert_allclose(values[0], expected, rtol=4 * EPS, atol=0.0)
    assert np.abs(vectors[0].T @ vectors[0] - np.eye(2)).max() < 4 * EPS


@pytest.mark.parametrize("dim", [1, 2, 3, 8])
def test_eigenvalues_of_random_matrices_are_those_of_lapack(dim):
    """LAPACK promises a small multiple of eps times the norm for each eigenvalue."""
    matrices = goe(20, dim)
    values, vectors = symmetric_eigen(matrices)
    only = symmetric_eigen(matrices, vectors=False)
    assert only.vectors.shape == (20, dim, 0)
    for matrix, found, alone, turn in zip(matrices, values, only.values, vectors, strict=True):
        exact, size = scipy.linalg.eigh(matrix, driver="ev")[0], np.linalg.norm(matrix)
        assert np.abs(found - exact).max() < 8 * EPS * size
        assert np.abs(alone - exact).max() < 8 * EPS * size
        assert np.abs(matrix @ turn - turn * found).max() < 16 * EPS * size
        assert np.abs(turn.T @ turn - np.eye(dim)).max() < 16 * EPS
        assert (turn[np.abs(turn).argmax(axis=0), np.arange(dim)] > 0.0).all()


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_broken_matrices_are_nan_and_spare_their_neighbours(dim):
    matrices = goe(3, dim)
    whole = symmetric_eigen(matrices)
    matrices[1, dim - 1, 0] = np.inf
    broken = symmetric_eigen(matrices)
    assert np.isnan(broken.values[1]).all()
    assert np.isnan(broken.vectors[1]).all()
    for found, expected in zip(broken, whole, strict=True):
        assert np.array_equal(found[::2], expected[::2])


# Spectra at points ---------------------------------------------------------------------------

# (position, eigenvalues) to eight digits: spec of validation, section 5.
HIMMELBLAU = [
    ((3.0, 2.0), (25.715729, 82.284271)),
    ((-2.80511809, 3.13131252), (64.840373, 80.550072)),
    ((-3.77931025, -3.28318599), (70.714355, 133.78562)),
    ((3.58442834, -1.84812653), (28.690677, 105.41891)),
]


def test_himmelblau_s_minima_and_saddles():
    """Positions of 9 digits, third derivatives of at most 100: 1e-6 in the eigenvalues."""
    landscape = L.Himmelblau()
    ds = spectrum(landscape, [position for position, _ in HIMMELBLAU])
    np.testing.assert_allclose(ds.eigenvalues, [e for _, e in HIMMELBLAU], atol=5e-6)
    points = landscape.critical_points()
    ds = spectrum(landscape, [point.position for point in points], vectors=True)
    index = {"minimum": 0, "saddle": 1, "maximum": 2}
    assert ds["index"].values.tolist() == [index[point.kind] for point in points]
    assert ds.gradient_norm.max() < 1e-12
    trace = np.trace(landscape.hessian(ds.position.values), axis1=1, axis2=2)
    np.testing.assert_allclose(ds.trace, trace, rtol=EPS)
    np.testing.assert_allclose(ds.eigenvalues.sum("eigenvalue"), trace, rtol=8 * EPS)
    assert set(map(len, (ds[name].attrs for name in ds.data_vars))) == {2}


def test_rosenbrock_at_its_minimum():
    """501 -+ sqrt(250601); the small one has lost no digit to the large one."""
    ds = spectrum(L.Rosenbrock(dim=2), [1.0, 1.0])
    with mpmath.workprec(200):
        root = mpmath.sqrt(250601)
        exact = [float(400 / (501 + root)), float(501 + root)]
    np.testing.assert_allclose(ds.eigenvalues[0], exact, rtol=4 * EPS)
    np.testing.assert_allclose(ds.condition_number, 2508.0096, atol=5e-5)
    np.testing.assert_allclose(ds.sharpness, exact[1:], rtol=4 * EPS)


@pytest.mark.parametrize("dim", [1, 2, 3, 6])
def test_a_spectrum_is_that_of_a_plain_loop(dim):
    landscape = L.StyblinskiTang(dim=1) if dim == 1 else L.Rosenbrock(dim=dim)
    x = inside(landscape, 12)
    ds = spectrum(landscape, x, vectors=True)
    for i, point in enumerate(x):
        matrix = landscape.hessian(point)
        exact, size = scipy.linalg.eigh(matrix, driver="ev")[0], np.linalg.norm(matrix)
        here = ds.isel(point=i)
        assert np.abs(here.eigenvalues - exact).max() < 8 * EPS * size
        assert int(here["index"]) == (exact < 0.0).sum()
        turn = here.eigenvectors.values
        assert np.abs(matrix @ turn - turn * here.eigenvalues.values).max() < 16 * EPS * size
        condition = np.abs(exact).max() / np.abs(exact).min()
        # The small eigenvalue has the error of the large one.
        np.testing.assert_allclose(here.condition_number, condition, rtol=32 * EPS * condition)
        assert float(here.value) == landscape.value(point)
        norm = np.linalg.norm(landscape.gradient(point))
        np.testing.assert_allclose(here.gradient_norm, norm, rtol=4 * EPS)


def test_singular_hessians_have_an_infinite_condition_number():
    assert np.isinf(spectrum(L.MonkeySaddle(), [0.0, 0.0]).condition_number).all()
    flat = spectrum(L.Quadratic(eigenvalues=[3.0, 0.0, -1.0]), [1.0, 2.0, 3.0])
    assert np.isinf(flat.condition_number).all()
    assert flat["index"].item() == 1


def test_what_is_not_finite_is_nan_and_raises_nothing():
    for landscape in (L.Himmelblau(), L.Rosenbrock(dim=2), WithoutHessian(L.Himmelblau())):
        ds = spectrum(
            landscape, [[np.nan, 0.0], [0.0, np.inf], [1e300, 1e300], [0.5, 0.5]], outside="keep"
        )
        assert ds["index"].values[:3].tolist() == [-1] * 3
        assert ds["index"].values[3] >= 0
        for name in ("eigenvalues", "sharpness", "condition_number", "trace"):
            finite = np.isfinite(ds[name].values.reshape(4, -1)).all(axis=1)
            assert finite.tolist() == [False] * 3 + [True], name
    assert spectrum(L.Bowl(dim=600), np.full(600, np.nan))["index"].item() == -1


def test_no_points_are_no_error():
    ds = spectrum(L.Himmelblau(), np.zeros((0, 2)), vectors=True)
    assert ds.sizes["point"] == 0
    assert ds.eigenvectors.shape == (0, 2, 2)


@pytest.mark.parametrize(
    "landscape", [L.Himmelblau(), L.Rosenbrock(dim=9), NET], ids=lambda a: type(a).__name__
)
def test_threads_change_no_bit(landscape):
    """Of points in several blocks, none of them whole."""
    count = 2 * block_size(landscape.dim) + 5 if JIT else 60
    x = inside(landscape, min(count, 20_000))
    one = spectrum(landscape, x, vectors=True, threads=1)
    two_threads = spectrum(landscape, x, vectors=True, threads=2)
    assert one.identical(two_threads)


def test_blocks_run_at_once_and_an_error_ends_them():
    barrier = threading.Barrier(2, timeout=20)
    over_blocks(lambda _: barrier.wait(), 2, 1, threads=2)
    seen = []

    def fail(block):
        seen.append(block.start)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        over_blocks(fail, 1000, 1, threads=2)
    assert len(seen) < 1000


def test_blas_has_one_thread_meanwhile_and_its_own_afterwards():

    def threads():
        return {
            library["num_threads"]
            for library in threadpoolctl.threadpool_info()
            if library["user_api"] == "blas"
        }

    seen = []
    with threadpoolctl.threadpool_limits(2, "blas"):
        over_blocks(lambda _: seen.append(threads()), 4, 1, threads=2)
        assert threads() == {2}
    assert seen == [{1}] * 4


# Some eigenvalues ----------------------------------------------------------------------------


def test_some_eigenvalues_of_a_small_hessian_are_those_of_all():
    x = inside(L.Rosenbrock(dim=6), 5)
    everything = spectrum(L.Rosenbrock(dim=6), x, vectors=True)
    some = spectrum(L.Rosenbrock(dim=6), x, vectors=True, count=(2, 1))
    assert some["eigenvalue"].values.tolist() == [0, 1, 5]
    for name in ("eigenvalues", "eigenvectors"):
        assert np.array_equal(some[name], everything[name].isel(eigenvalue=[0, 1, 5]))
    for name in ("index", "condition_number", "trace", "sharpness"):
        assert np.array_equal(some[name], everything[name])
    assert "sharpness" not in spectrum(L.Rosenbrock(dim=6), x, count=(2, 0))


def indefinite(dim=600):
    """A quadratic with the eigenvalues -2, -1, many around zero, 50 and 80."""
    middle = np.linspace(-0.5, 3.0, dim - 4)
    return L.Quadratic(eigenvalues=[80.0, -1.0, *middle, -2.0, 50.0])


@pytest.mark.parametrize("dense", [True, False])
def test_ends_of_a_large_spectrum(dense):
    """Eigenvalues err by the square of the residual over the gap, far below 1e-10."""
    landscape = indefinite() if dense else WithoutHessian(indefinite())
    ds = spectrum(landscape, np.ones(600), count=(2, 2), vectors=True)
    tolerance = 1e-10 if dense else 1e-7  # products of differences have 1e-9
    np.testing.assert_allclose(ds.eigenvalues[0], [-2.0, -1.0, 50.0, 80.0], atol=80 * tolerance)
    assert ds["eigenvalue"].values.tolist() == [0, 1, 598, 599]
    assert ds["index"].item() == -1  # more may be negative, and are
    assert ds.sharpness.item() == ds.eigenvalues.values[0, -1]
    assert not {"condition_number", "trace"} & set(ds)
    matrix, turn = np.array(indefinite().eigenvalues), ds.eigenvectors.values[0]
    residual = np.linalg.norm(matrix[:, None] * turn - turn * ds.eigenvalues.values, axis=0)
    assert np.abs(residual - ds.residual.values[0]).max() < 1e-7
    assert residual.max() < 2e-8 * 80.0  # the tolerance, or the error of differences


def test_index_of_a_large_hessian_where_the_lowest_ones_show_it():
    two_negative = L.Quadratic(eigenvalues=[-3.0, -1.0, *np.linspace(1.0, 2.0, 598)])
    ds = spectrum(two_negative, np.ones(600))
    assert ds["index"].item() == 2
    assert ds.sizes["eigenvalue"] == 6
    assert ds.attrs["computed"] == "the lowest 3 and the highest 3"
    assert spectrum(two_negative, np.ones(600), count=(0, 2))["index"].item() == -1


def test_a_large_hessian_with_one_eigenvalue_many_times():
    for curvature in (1e-9, 2.0):
        ds = spectrum(L.Bowl(dim=600, curvature=curvature), np.ones(600))
        np.testing.assert_allclose(ds.eigenvalues, curvature, rtol=1e-8)
        assert ds["index"].item() == 0
    zero = spectrum(L.Quadratic(eigenvalues=[0.0] * 600), np.ones(600), vectors=True)
    assert not zero.eigenvalues.any()
    turn = zero.eigenvectors.values[0]
    assert np.array_equal(turn.T @ turn, np.eye(6))


def test_a_large_hessian_of_low_rank():
    """As a network's, it has most of its eigenvalues at zero; the lowest three are among them."""
    landscape = L.Quadratic(eigenvalues=[*range(1, 11), *[0.0] * 590])
    ds = spectrum(landscape, np.ones(600))
    np.testing.assert_allclose(ds.eigenvalues[0], [0, 0, 0, 8, 9, 10], atol=1e-12)


def test_lanczos_takes_more_room_and_gives_up_in_the_end(monkeypatch):
    sizes = []

    def stuck(operator, number, *, ncv, **options):
        sizes.append(ncv)
        raise ArpackNoConvergence("no convergence", np.zeros(0), np.zeros((600, 0)))

    monkeypatch.setattr(spectra_module, "eigsh", stuck)
    with pytest.raises(FastdescentError, match="3 lowest eigenvalues of a Hessian of dim 600"):
        spectrum(indefinite(), np.ones(600))
    assert sizes == [40, 160, 600]


def test_lanczos_repeats_itself_bit_by_bit():
    x = np.random.default_rng(0).normal(size=(2, 600))
    landscape = indefinite()
    assert spectrum(landscape, x, threads=1).identical(spectrum(landscape, x, threads=2))


def test_a_large_share_of_a_large_spectrum_is_computed_from_all():
    ds = spectrum(indefinite(), np.ones(600), count=(80, 80))
    exact = np.sort(indefinite().eigenvalues)
    np.testing.assert_allclose(ds.eigenvalues[0], np.r_[exact[:80], exact[-80:]], atol=1e-12)
    assert ds["index"].item() == (exact < 0.0).sum()


# Bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"x": [1.0, 2.0, 3.0]}, r"points of Himmelblau\(\)"),
        ({"x": 1.0}, "points of"),
        ({"count": 3}, "two integers"),
        ({"count": (1, 2)}, "two integers"),
        ({"count": (0, 0)}, "two integers"),
        ({"count": (-1, 2)}, "two integers"),
        ({"count": (0.5, 1)}, "two integers"),
        ({"threads": 0}, "threads"),
        ({"landscape": L.Bowl(dim=2, curvature=[1.0, 2.0])}, r"pick one with \.at"),
    ],
)
def test_what_cannot_be_computed_is_refused(arguments, word):
    given_ = {"landscape": L.Himmelblau(), "x": [1.0, 2.0], **arguments}
    with pytest.raises(InvalidValueError, match=word):
        spectrum(given_.pop("landscape"), given_.pop("x"), **given_)


def test_what_does_not_fit_into_memory_is_refused(monkeypatch):
    monkeypatch.setattr(memory, "available", lambda: 10**6)
    with pytest.raises(MemoryLimitError, match="spectra of 100,000 points"):
        spectrum(L.Himmelblau(), np.zeros((100_000, 2)))
    with pytest.raises(MemoryLimitError, match="100,000 Hessians"):
        hessians(L.Himmelblau(), np.zeros((100_000, 2)))


def test_a_product_is_at_one_point():
    with pytest.raises(InvalidValueError, match="point of"):
        hessian_product(L.Himmelblau(), [[1.0, 2.0]])


# Along paths ---------------------------------------------------------------------------------


def walk(landscape, rule, starts, steps, every=1, **more):
    record = fd.record.every(every)
    return fd.simulate(landscape, rule, starts=starts, steps=steps, record=record, **more)


def descent(learning_rate):
    return fd.optimizers.GradientDescent(learning_rate=learning_rate)


def test_eigenvalues_along_a_path_are_those_at_its_points():
    rule = fd.optimizers.Momentum(learning_rate=[1e-3, 2e-3], beta=[0.0, 0.5])
    ds = walk(L.Himmelblau(), rule, [[0.0, 0.0], [-1.0, 2.0]], 20, every=4)
    along = spectrum_along(ds, L.Himmelblau())
    assert along.sharpness.dims == ("learning_rate", "beta", "start", "record")
    assert along["step"].values.tolist() == ds["step"].values.tolist()
    at = spectrum(L.Himmelblau(), ds.path.values.reshape(-1, 2))
    for name in ("eigenvalues", "sharpness", "condition_number", "index", "trace"):
        assert np.array_equal(along[name].values.ravel(), at[name].values.ravel())
    assert along.attrs["optimizer"] == ds.attrs["optimizer"]


def test_every_converged_run_is_flatter_than_its_limit():
    """V17: gradient descent ends only in minima with sharpness x^2 + y^2 <= 2 / eta.

    Above it the distance to a minimum grows, so no run ends there, though 80 % of those that
    start above do end: of 4000 starts in [-4, 4]^2 about 2400, a standard error of 0.008.
    """
    starts = fd.starts.Uniform(-4.0, 4.0, count=4000 if JIT else 60)
    stop = fd.Stop(gradient_norm=1e-9)
    ds = walk(PRODUCT, descent(0.2), starts, 3000, every=3000, stop=stop)
    along = spectrum_along(ds, PRODUCT)
    assert along.stability_limit.item() == 10.0
    ended = ds.gradient_norm.values <= 1e-9
    last = along.sharpness.values[:, -1]
    # Where the residual xy - 1 is 1e-9 / |x|, the sharpness is off by at most that.
    assert last[ended].max() <= 10.0 * (1.0 + 1e-8)
    squares = (ds.position.values[ended] ** 2).sum(axis=1)
    np.testing.assert_allclose(last[ended], squares, rtol=1e-8)
    above = along.sharpness.values[:, 0] > 10.0
    share, number = ended[above].mean(), above.sum()
    # The published share has two digits.  One false alarm in 150 000.
    assert abs(share - 0.80) < 0.005 + 4.5 * np.sqrt(0.8 * 0.2 / number), (share, number)


def rules():
    o = fd.optimizers
    yield o.GradientDescent, {}
    yield o.Momentum, {"beta": 0.6}
    yield o.Momentum, {"beta": -0.5}
    yield o.Momentum, {"beta": 0.6, "variant": "lr_outside", "dampening": 0.3}
    yield o.Momentum, {"beta": 0.6, "variant": "ema"}
    yield o.Nesterov, {"beta": 0.6}
    yield o.Nesterov, {"beta": 0.6, "variant": "torch"}


@pytest.mark.parametrize(("rule", "values"), list(rules()), ids=str)
def test_a_quadratic_at_the_limit_tells_stable_from_unstable(rule, values):
    """One percent below it shrinks and above it grows, by at least 0.3 % a step: e^6 in 2000."""
    made = rule(learning_rate=0.25, **values)
    ds = walk(L.Bowl(dim=1), made, [[1.0]], 1)
    limit = float(spectrum_along(ds, L.Bowl(dim=1)).stability_limit)
    for factor in (0.99, 1.01):
        steps = 2000
        bowl = L.Bowl(dim=1, curvature=factor * limit)
        end = abs(fd.simulate(bowl, made, starts=[[1.0]], steps=steps).position.item())
        assert end < 1e-2 if factor < 1.0 else not end < 1e2


def test_limits_of_swept_and_selected_rates():
    rule = fd.optimizers.Momentum(learning_rate=[0.1, 0.2], beta=[0.0, 0.5, 0.9])
    ds = walk(L.Bowl(dim=2), rule, [[1.0, 2.0]], 3)
    limit = spectrum_along(ds, L.Bowl(dim=2)).stability_limit
    assert limit.dims == tuple(name for name in ds.loss.dims if name != "start")
    exact = 2.0 * (1.0 + np.array([0.0, 0.5, 0.9]))[None] / np.array([0.1, 0.2])[:, None]
    np.testing.assert_allclose(limit.transpose("learning_rate", "beta"), exact, rtol=4 * EPS)
    one = spectrum_along(ds.isel(learning_rate=1, beta=2), L.Bowl(dim=2))
    assert one.stability_limit.item() == limit.isel(learning_rate=1, beta=2).item()
    lost = ds.isel(learning_rate=1).drop_vars("learning_rate")
    assert "stability_limit" not in spectrum_along(lost, L.Bowl(dim=2))


@pytest.mark.parametrize(
    ("rule", "more"),
    [
        (fd.optimizers.Adam(), {}),
        (descent(fd.schedules.Cosine(base=0.1, steps=3)), {}),
        (descent(0.1), {"transforms": [fd.transforms.ClipByNorm(1.0)]}),
    ],
    ids=["Adam", "schedule", "clipped"],
)
def test_rules_without_a_limit_have_none(rule, more):
    ds = walk(L.Bowl(dim=2), rule, [[1.0, 2.0]], 3, **more)
    assert "stability_limit" not in spectrum_along(ds, L.Bowl(dim=2))


def with_path(points):
    """A result with a path of our own."""
    points = np.asarray(points, dtype=float)
    ds = walk(L.Bowl(dim=points.shape[1]), descent(0.1), points[:1], len(points) - 1)
    return ds.assign(path=(("start", "record", "coordinate"), points[None]))


def test_rotation_of_the_steepest_direction():
    """At a minimum (x, 1 / x) of (xy - 1)^2 / 2 the Hessian is vv' with v = (1 / x, x).

    The directions x^2 as slopes: the angles between them are differences of arc tangents, and
    take the shorter way round where the sign of v changes.
    """
    x = np.array([0.1, 0.5, 1.0, 1.0 + 1e-9, 3.0, -3.0, -0.1])
    along = spectrum_along(with_path(np.stack([x, 1.0 / x], axis=1)), PRODUCT)
    found = along.rotation.values[0]
    assert np.isnan(found[0])
    # Eigenvectors have an error of eps; the small angle is still there, with 7 digits.
    np.testing.assert_allclose(found[1:], np.abs(np.diff(np.arctan(x * x))), atol=8 * EPS)


def test_rotation_has_no_sign():
    """At (x, -1 / x) of (xy + 1)^2 / 2 the slope is -x^2; at 1 the larger entry changes."""
    x = np.array([0.9, 1.1, 0.5])
    mirrored = fd.landscape("(x*y + 1)**2 / 2")
    along = spectrum_along(with_path(np.stack([x, -1.0 / x], axis=1)), mirrored)
    exact = np.abs(np.diff(np.arctan(x * x)))
    np.testing.assert_allclose(along.rotation.values[0, 1:], exact, rtol=16 * EPS)


def test_rotation_is_at_most_a_right_angle():
    """From diag(1, 2) to diag(2, 1) and nearly back: x^2 y^2 / 2 has diag(y^2, x^2) at xy = 0."""
    bowl = fd.landscape("x**2*y**2/2")
    along = spectrum_along(with_path([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]]), bowl)
    np.testing.assert_allclose(along.rotation.values[0, 1:], [np.pi / 2] * 2, rtol=4 * EPS)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_angles_of_given_steps(scale):
    """A walk of right angles and one way back over a bowl, whose gradient is the position."""
    points = [[1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 2.0], [0.0, 1.0], [0.0, 1.0], [0.0, 0.5]]
    along = spectrum_along(with_path(scale * np.array(points)), L.Bowl(dim=2))
    nan = np.nan
    cosine = [nan, 0.0, 0.0, -1.0, nan, nan, nan]
    np.testing.assert_allclose(along.step_cosine.values[0], cosine, atol=EPS)
    angle = np.array([90.0, 45.0, 180.0, 0.0, nan, 0.0, nan])
    np.testing.assert_allclose(along.gradient_angle.values[0], np.deg2rad(angle), atol=4 * EPS)


def test_steps_of_descent_go_down_the_gradient():
    """On a bowl all steps are in line: the same way below 1 / lambda, back and forth above it."""
    for rate, cosine in ((0.5, 1.0), (1.5, -1.0)):
        ds = walk(L.Bowl(dim=2), descent(rate), [[3.0, 4.0]], 10)
        along = spectrum_along(ds, L.Bowl(dim=2))
        np.testing.assert_allclose(along.step_cosine.values[0, 1:-1], cosine, rtol=4 * EPS)
        # Theta is rounded at each step, by eps / 2 of itself.
        assert along.gradient_angle.values[0, :-1].max() < 8 * EPS
        assert np.isnan(along.gradient_angle.values[0, -1])


def test_diverged_paths_are_described_as_far_as_they_are_finite():
    ds = walk(L.Himmelblau(), descent(0.5), [[1.0, 1.0], [3.0, 2.0]], 12)
    along = spectrum_along(ds, L.Himmelblau())
    assert along["index"].values[0, -1] in (-1, 0, 1, 2)
    assert (along["index"].values[1] == 0).all()
    assert along.steps.values.tolist() == ds.steps.values.tolist()


def test_a_network_along_its_path():
    """Trace of the spectrum against the diagonal of the dense Hessian; only the ends asked for."""
    ds = walk(NET, fd.optimizers.Adam(), fd.starts.Initialization(count=2), 4, every=2)
    along = spectrum_along(ds, NET, count=(1, 2))
    assert along.eigenvalues.shape == (2, 3, 3)
    for start, record in np.ndindex(2, 3):
        dense = NET.hessian(ds.path.values[start, record])
        exact, here = scipy.linalg.eigvalsh(dense), along.isel(start=start, record=record)
        size = np.linalg.norm(dense)
        assert np.abs(here.eigenvalues - exact[[0, -2, -1]]).max() < 16 * EPS * size
        assert abs(here.trace - np.trace(dense)) < 16 * EPS * size


def test_results_without_paths_are_refused():
    ds = fd.simulate(L.Bowl(dim=2), descent(0.1), starts=[[1.0, 2.0]], steps=3)
    with pytest.raises(InvalidValueError, match="record="):
        spectrum_along(ds, L.Bowl(dim=2))
    ds = walk(L.Bowl(dim=2), descent(0.1), [[1.0, 2.0]], 3)
    with pytest.raises(InvalidValueError, match="one of dimension 2, as the result"):
        spectrum_along(ds, L.Bowl(dim=3))
    with pytest.raises(InvalidValueError, match="recorded paths"):
        spectrum_along(ds.isel(record=0), L.Bowl(dim=2))


# The figure ----------------------------------------------------------------------------------


@pytest.fixture
def edge():
    """Descent that starts above its limit."""
    return spectrum_along(walk(PRODUCT, descent(0.2), [[3.5, 1.0]], 30), PRODUCT)


def dashed(ax):
    return [
        float(line.get_ydata()[0])
        for line in ax.lines
        if list(line.get_xdata()) == [0, 1] and line.get_linestyle() == "--"
    ]


def test_figure_of_one_path(edge):
    ax = spectra(edge)
    assert dashed(ax) == [10.0]
    top, lowest = ax.lines[:2]
    assert np.array_equal(top.get_ydata(), edge.sharpness.values[0])
    assert np.array_equal(lowest.get_ydata(), edge.eigenvalues.values[0, :, 0])
    assert ax.get_yscale() == "symlog"
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["largest", "smallest", "stability limit 10"]
    assert ax.get_title() == "GradientDescent on (x*y - 1)**2/2: 1 trajectory"
    bottom, high = ax.get_ylim()
    assert bottom < edge.eigenvalues.min() < edge.eigenvalues.max() < high


def test_figure_of_a_sweep_has_a_curve_and_a_limit_for_each():
    rates = [0.05, 0.1]
    starts = [[3.5, 1.0], [2.0, 2.0], [1.0, 0.5]]
    along = spectrum_along(walk(PRODUCT, descent(rates), starts, 30), PRODUCT)
    ax = spectra(along)
    assert dashed(ax) == [40.0, 20.0]
    for i, line in enumerate(ax.lines[:2]):
        median = np.sort(along.sharpness.values[i], axis=0)[1]
        assert np.array_equal(line.get_ydata(), median)
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts[:2] == ["learning rate = 0.05", "learning rate = 0.1"]


def test_figure_on_given_axes_and_scales(edge):
    import matplotlib.pyplot as plt  # noqa: PLC0415 - as late as in the package

    figure, ax = plt.subplots()
    assert spectra(edge, ax, legend=False) is ax
    assert ax.get_legend() is None
    bowl = spectrum_along(walk(L.Bowl(dim=3), descent(0.9), [[1.0, 2.0, 3.0]], 5), L.Bowl(dim=3))
    assert spectra(bowl).get_yscale() == "linear"
    ravine = L.Quadratic(eigenvalues=[1.0, 10.0, 1000.0])
    along = spectrum_along(walk(ravine, fd.optimizers.Adam(), [[1.0] * 3], 5), ravine)
    ax = spectra(along)
    assert ax.get_yscale() == "log"
    assert dashed(ax) == []
    assert figure is not None


def test_figure_ends_where_a_trajectory_does():
    """The ones that converged or diverged stand still, and are not drawn on."""
    ds = walk(L.Bowl(dim=1), descent([0.5, 3.0]), [[1.0]], 60, stop=fd.Stop(loss=1e-3, radius=50))
    along = spectrum_along(ds, L.Bowl(dim=1))
    ax = spectra(along)
    assert ax.get_xlim() == (0, ds.steps.max())
    for i, line in enumerate(ax.lines[:2]):
        seen = np.isfinite(line.get_ydata())
        assert seen.sum() == ds.steps.values[i, 0] + 1
        assert seen[: seen.sum()].all()


def test_figures_that_cannot_be_drawn_are_refused(edge):
    with pytest.raises(InvalidValueError, match="spectrum_along"):
        spectra(edge.drop_vars("sharpness"))
    many = walk(L.Bowl(dim=1), descent(list(np.linspace(0.1, 0.9, 15))), [[1.0]], 2)
    with pytest.raises(InvalidValueError, match="at most 14"):
        spectra(spectrum_along(many, L.Bowl(dim=1)))
