r"""Hessians of any landscape at many points, and their products with vectors.

Analytic ones where the landscape has them: the catalogue and formulas by a kernel, models by
their own second derivatives.  Otherwise central differences of the exact gradient: with D(h)
the difference quotient of a step h, the extrapolation of Richardson takes away its error of
second order, and that from the next larger steps says how large the rest may be,

.. math:: R(h) = \frac{4 D(h) - D(2h)}{3}, \qquad
          H \approx \tfrac12 (R(h) + R(h)^\top), \qquad |\Delta H| \approx |R(h) - R(2h)|
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse.linalg import LinearOperator
from threadpoolctl import ThreadpoolController

from fastdescent import memory
from fastdescent.engine.ensemble import checked_threads
from fastdescent.errors import InvalidValueError
from fastdescent.geometry.scales import checked_landscape
from fastdescent.landscapes import Landscape
from fastdescent.models import Model, SampleModel
from fastdescent.parts import FloatArray

__all__ = [
    "Hessians",
    "block_hessians",
    "block_size",
    "checked_points",
    "has_hessian",
    "hessian_product",
    "hessians",
    "over_blocks",
    "points_in_domain",
]

_Product: TypeAlias = Callable[[FloatArray], FloatArray]

# Numbers in the matrices of one block: they stay in a core's second cache.
_BLOCK_NUMBERS = 2**15
# Of a central difference: smaller steps lose to rounding what they gain in truncation.
_STEP = float(np.cbrt(np.finfo(float).eps))
# Beyond, a product makes two gradients: a matrix of 2000 x 2000 takes 32 MB.
_MOST_DENSE = 2000
# Of the larger end of a domain: what a few hundred roundings put beyond a face lies on it.
_ROUNDINGS = 1e-13


class Hessians(NamedTuple):
    """What `hessians` finds.

    Parameters
    ----------
    matrices : ndarray, shape (n, dim, dim)
        The Hessians, symmetric.  At a point that is not finite all entries are nan; elsewhere
        those that overflow are not finite.
    source : {"analytic", "differences"}
        Where they are from.
    error : ndarray, shape (n,)
        Estimated absolute error of each matrix in the Frobenius norm, which no eigenvalue's
        error exceeds (Weyl); 0 for analytic ones.
    """

    matrices: FloatArray
    source: str
    error: FloatArray


def hessians(landscape: Landscape, points: ArrayLike, threads: int | None = None) -> Hessians:
    r"""Return the Hessians of a landscape, analytic where it has them.

    Otherwise they are differences of the exact gradient with steps of
    :math:`\varepsilon^{1/3} s_j`, twice and four times that along coordinate j, where
    :math:`s_j` is the larger of :math:`|x_j|` and half the width of the domain.

    Parameters
    ----------
    landscape : Landscape
        A landscape, model or formula.
    points : array_like, shape (dim,) or (n, dim)
        One point or many.
    threads : int, optional
        Number of threads; all cores by default.  It changes no bit of the result.

    Returns
    -------
    Hessians
        The matrices, their source and their estimated error.  The estimate compares two
        extrapolations and adds what the gradient's own rounding makes; it is no proof, and fails
        where the gradient has a kink within four steps.

    Raises
    ------
    InvalidValueError
        If the points have another shape, or a parameter of the landscape is a sequence.
    MemoryLimitError
        If the matrices would not fit into memory.

    References
    ----------
    Richardson (1911), Philosophical Transactions of the Royal Society A 210, 307-357; step:
    Press et al. (2007), Numerical Recipes, 3rd edition, section 5.7.

    Examples
    --------
    >>> import fastdescent as fd
    >>> found = hessians(fd.landscapes.Himmelblau(), [3.0, 2.0])
    >>> found.matrices.tolist(), found.source
    ([[[74.0, 20.0], [20.0, 34.0]]], 'analytic')
    """
    x = checked_points(landscape, points)
    count, dim = x.shape
    memory.require(8 * count * dim * dim, f"{count:,} Hessians", "take fewer points at a time")
    found = np.empty((count, dim, dim))
    error = np.zeros(count)

    def work(block: slice) -> None:
        found[block], _, error[block] = block_hessians(landscape, x[block])

    over_blocks(work, count, block_size(dim), threads)
    return Hessians(found, _source(landscape), error)


def block_hessians(landscape: Landscape, x: FloatArray) -> Hessians:
    """Return the Hessians at one block of points, (n, dim), in the calling thread; see `hessians`.

    It is for work that goes over blocks and has no need of all the Hessians at once.
    """
    if has_hessian(landscape):
        found, error = landscape.hessian(x), np.zeros(len(x))
    else:
        found, error = _differences(landscape, x)
    finite = np.isfinite(x)
    if not finite.all():  # where the Hessian is constant, too
        whole = np.asarray(finite.all(axis=1))
        found = np.where(whole[:, None, None], found, np.nan)
    return Hessians(found, _source(landscape), error)


def _source(landscape: Landscape) -> str:
    return "analytic" if has_hessian(landscape) else "differences"


def hessian_product(landscape: Landscape, point: ArrayLike) -> LinearOperator:
    r"""Return the Hessian at one point as an operator, for `scipy.sparse.linalg`.

    Models multiply by their own rule, exact to round-off; landscapes of up to 2000 coordinates
    by their Hessian.  Otherwise a product is a central difference of the exact gradient along
    the vector, with a relative error of about 1e-9:

    .. math:: H v \approx \frac{\nabla f(x + h v) - \nabla f(x - h v)}{2 h}

    Parameters
    ----------
    landscape : Landscape
        A landscape, model or formula.
    point : array_like, shape (dim,)
        The point.

    Returns
    -------
    scipy.sparse.linalg.LinearOperator, shape (dim, dim)

    Raises
    ------
    InvalidValueError
        If `point` has another shape.

    References
    ----------
    Pearlmutter (1994), Neural Computation 6, 147-160, section 2 for the difference.

    Examples
    --------
    >>> import fastdescent as fd
    >>> hessian_product(fd.landscapes.Himmelblau(), [3.0, 2.0]) @ [1.0, 0.0]
    array([74., 20.])
    """
    if np.ndim(point) != 1:
        raise InvalidValueError(f"point of {landscape!r}", np.shape(point), f"({landscape.dim},)")
    times = _product(landscape, checked_points(landscape, point)[0])

    def matmat(vectors: FloatArray) -> FloatArray:
        with np.errstate(all="ignore"):
            return times(np.ascontiguousarray(vectors.T)).T

    def matvec(vector: FloatArray) -> FloatArray:
        return matmat(vector.reshape(-1, 1))[:, 0]

    shape = (landscape.dim, landscape.dim)
    return LinearOperator(shape, matvec, matvec, matmat, dtype=np.dtype(float), rmatmat=matmat)


def _product(landscape: Landscape, point: FloatArray) -> _Product:
    analytic = has_hessian(landscape)
    if isinstance(landscape, SampleModel):
        model: SampleModel = landscape
        own = type(model).hessian_vector_product is not SampleModel.hessian_vector_product
        if own:
            return lambda rows: model.hessian_vector_product(point, rows)
    if analytic and landscape.dim <= _MOST_DENSE:
        with np.errstate(all="ignore"):
            matrix = landscape.hessian(point)
        return lambda rows: rows @ matrix
    scale = _scales(landscape, point)

    def differences(rows: FloatArray) -> FloatArray:
        longest = np.max(np.abs(rows) / scale, axis=1, keepdims=True)
        ahead = rows * (_STEP / np.where(longest > 0.0, longest, 1.0))
        change = landscape.gradient(point + ahead) - landscape.gradient(point - ahead)
        return np.asarray(change * np.where(longest > 0.0, longest, 0.0) / (2.0 * _STEP))

    return differences


def has_hessian(landscape: Landscape) -> bool:
    """Return whether a landscape has an analytic Hessian: by a kernel, or its class's own."""
    own = type(landscape).hessian is not Landscape.hessian
    return own or landscape.hessian_kernel is not None


def checked_points(landscape: Landscape, x: ArrayLike) -> FloatArray:
    """Return one point or many as a matrix, shape (n, dim), if `landscape` is one."""
    allowed = f"shape ({checked_landscape(landscape).dim},) or (n, {landscape.dim})"
    try:
        points = np.asarray(x, dtype=float)
    except (TypeError, ValueError):
        raise InvalidValueError(f"points of {landscape!r}", x, f"numbers of {allowed}") from None
    if points.ndim not in (1, 2) or points.shape[-1] != landscape.dim:
        raise InvalidValueError(f"points of {landscape!r}", points.shape, allowed)
    return np.ascontiguousarray(np.atleast_2d(points))


def points_in_domain(landscape: Landscape, x: ArrayLike, outside: object) -> tuple[FloatArray, int]:
    """Return points as `checked_points` does, and how many of them lie outside the domain.

    Its faces belong to it.  Models have no domain, and points that are not finite no place.

    Parameters
    ----------
    landscape : Landscape
        The landscape.
    x : array_like, shape (dim,) or (n, dim)
        One point or many.
    outside : {"raise", "keep"}
        Whether points outside are an error.

    Raises
    ------
    InvalidValueError
        If they are, the points have another shape, or `outside` is something else.
    """
    points = checked_points(landscape, x)
    if outside not in ("raise", "keep"):
        raise InvalidValueError("outside", outside, '"raise" or "keep"')
    if isinstance(landscape, Model):
        return points, 0
    domain = landscape.domain
    slack = _ROUNDINGS * np.abs(np.where(np.isfinite(domain), domain, 0.0)).max(axis=1)
    within = (points >= domain[:, 0] - slack) & (points <= domain[:, 1] + slack)
    if within.all():
        return points, 0
    beyond = np.flatnonzero(~within.all(axis=1) & np.isfinite(points).all(axis=1))
    if len(beyond) and outside == "raise":
        row, column = int(beyond[0]), int(np.argmin(within[beyond[0]]))
        low, high = domain[column]
        raise InvalidValueError(
            f"points of {landscape!r}: {len(beyond):,} of {len(points):,} lie outside its domain; "
            f"x[{column}] of point {row}",
            float(points[row, column]),
            f"a number in [{low:g}, {high:g}]",
            'outside="keep" computes such points, too, and counts them',
        )
    return points, len(beyond)


def block_size(dim: int) -> int:
    """Return how many points of that dimension are worked on at a time."""
    return max(1, _BLOCK_NUMBERS // (dim * dim))


def over_blocks(
    work: Callable[[slice], None], count: int, size: int, threads: int | None = None
) -> None:
    """Do a piece of work for one block of points after the other, on some threads.

    The blocks are the same for any number of threads, and so are the results' bits.  What is
    not finite is a result like any other, so floating-point warnings are off.

    Meanwhile BLAS has one thread for each of ours.  Where it has more, its threads wait for each
    other: on two cores the eigenvalues of matrices of dim 100 took 660 microseconds each in one
    worker and 10 500 in two, where they take 300 with one thread.

    Parameters
    ----------
    work : callable
        Takes the slice of a block.
    count, size : int
        Number of points, and of points in a block.
    threads : int, optional
        Number of threads; all cores by default.

    Raises
    ------
    InvalidValueError
        If there are not that many threads.
    """
    blocks = [slice(first, min(first + size, count)) for first in range(0, count, size)]
    workers = min(checked_threads(threads), len(blocks))

    def quietly(block: slice) -> None:
        with np.errstate(all="ignore"):  # a setting of the thread that works
            work(block)

    with _ONE_BLAS_THREAD:
        if workers <= 1:
            for block in blocks:
                quietly(block)
            return
        with ThreadPoolExecutor(workers) as pool:
            for _ in pool.map(quietly, blocks):
                pass


@functools.cache
def _blas() -> Any:
    """Return the controller of BLAS's threads; finding the libraries takes a while."""
    return ThreadpoolController()


class _OneBlasThread:
    """Holds BLAS to one thread as long as anybody is inside, in whichever thread."""

    def __init__(self) -> None:
        self._lock, self._inside = threading.Lock(), 0
        self._limits: Any = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._limits = _blas().limit(limits=1, user_api="blas")
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside and self._limits is not None:
                self._limits.restore_original_limits()
                self._limits = None


_ONE_BLAS_THREAD = _OneBlasThread()


def _scales(landscape: Landscape, points: FloatArray) -> FloatArray:
    """Return by how much each coordinate changes before the landscape does, roughly."""
    half = 0.5 * np.ptp(landscape.domain, axis=1)
    return np.maximum(np.abs(points), np.where(np.isfinite(half) & (half > 0.0), half, 1.0))


def _differences(landscape: Landscape, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return extrapolated differences of the gradient and their estimated error."""
    scale = _scales(landscape, x)
    fine = np.empty((len(x), landscape.dim, landscape.dim))
    coarse = np.empty_like(fine)
    for j in range(landscape.dim):
        quotients = [_quotient(landscape, x, j, k * _STEP * scale[:, j]) for k in (1.0, 2.0, 4.0)]
        fine[:, j] = (4.0 * quotients[0] - quotients[1]) / 3.0
        coarse[:, j] = (4.0 * quotients[1] - quotients[2]) / 3.0
    error = np.sqrt(np.sum((fine - coarse) ** 2, axis=(1, 2)))
    # The gradient is a sum of terms of about this size, each with its own rounding.
    terms = np.abs(landscape.gradient(x)) + np.einsum("nij,nj->ni", np.abs(fine), scale)
    rounding = np.finfo(float).eps * terms[:, :, None] / (_STEP * scale[:, None, :])
    error += np.sqrt(np.sum(rounding**2, axis=(1, 2)))
    return 0.5 * (fine + fine.transpose(0, 2, 1)), error


def _quotient(landscape: Landscape, x: FloatArray, j: int, step: FloatArray) -> FloatArray:
    ahead, behind = x.copy(), x.copy()
    ahead[:, j] += step
    behind[:, j] -= step
    change = landscape.gradient(ahead) - landscape.gradient(behind)
    return np.asarray(change / (ahead[:, j] - behind[:, j])[:, None])
