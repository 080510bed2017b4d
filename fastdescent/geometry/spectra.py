r"""Spectra of Hessians: at any number of points, and along the paths of optimizers.

Up to 500 coordinates all eigenvalues are computed: by closed forms in one and two dimensions,
by LAPACK's divide and conquer (SciPy's ``dsyevd``) beyond.  NumPy's loop over the matrices in C
saves what a call from Python costs, and nothing else; ``scipy.linalg.eigvalsh`` costs more.
Microseconds for the eigenvalues of one matrix, one thread, ``time.process_time``, best of three:

=====  =========  ===================  ===================  =========================
dim    NumPy      SciPy's ``dsyevd``   SciPy's ``dsyevr``   ``scipy.linalg.eigvalsh``
=====  =========  ===================  ===================  =========================
3      0.6        1.8                  2.2                  -
10     4.2        5.6                  6.0                  20.6
30     28         33                   33                   52
100    298        334                  314                  327
300    2954       3685                 2962                 2996
=====  =========  ===================  ===================  =========================

For more coordinates, some eigenvalues at either end are computed by SciPy's implicitly restarted
Lanczos method on products of the Hessian with vectors.
"""

from __future__ import annotations

import inspect
import tomllib
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.linalg.lapack import dsyevd
from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

from fastdescent import memory
from fastdescent.errors import FastdescentError, InvalidValueError
from fastdescent.geometry._dataset import recorded_path, variable
from fastdescent.geometry.hessians import (
    block_hessians,
    block_size,
    checked_points,
    hessian_product,
    over_blocks,
    points_in_domain,
)
from fastdescent.geometry.scales import checked_landscape
from fastdescent.landscapes import Landscape
from fastdescent.optimizers import GradientDescent, Momentum, Nesterov, Optimizer
from fastdescent.parts import FloatArray, IntArray, is_integer, is_number

__all__ = ["spectrum", "spectrum_along", "symmetric_eigen"]

# Beyond, a matrix takes more than 0.1 s, and few of its eigenvalues are looked at.
_MOST_DENSE = 500
# Lowest and highest ones that are computed then, if nobody says how many.
_DEFAULT_COUNT = (3, 3)
# Of Lanczos' residuals, relative to the eigenvalue; its own error is far smaller.
_TOLERANCE = 1e-8
# Splits a number into two halves of 26 bits, whose products are exact.
_SPLITTER = 2.0**27 + 1.0


def spectrum(
    landscape: Landscape,
    x: ArrayLike,
    *,
    vectors: bool = False,
    count: tuple[int, int] | None = None,
    threads: int | None = None,
    outside: str = "raise",
) -> xr.Dataset:
    r"""Return the Hessian's eigenvalues at each point, and what they say about it.

    .. math:: \nabla^2 f(x)\, v_i = \lambda_i v_i, \quad \lambda_1 \le \dots \le \lambda_n, \qquad
              \kappa = \frac{\max_i |\lambda_i|}{\min_i |\lambda_i|}

    Parameters
    ----------
    landscape : Landscape
        A landscape, model or formula.
    x : array_like, shape (dim,) or (n, dim)
        One point or many.
    vectors : bool
        Whether to return the eigenvectors too: of length 1, the entry of largest absolute value
        positive.
    count : pair of int, optional
        How many of the lowest and of the highest eigenvalues to compute; by default all up to
        500 coordinates, 3 and 3 beyond.
    threads : int, optional
        Number of threads; all cores by default.  It changes no bit of the result.
    outside : {"raise", "keep"}
        Whether points outside the landscape's domain are an error or are computed, too.  Its
        faces belong to it; models have no domain.

    Returns
    -------
    xarray.Dataset
        Over the dimension ``point``, and ``coordinate`` and ``eigenvalue`` (whose coordinate is
        the rank from below, from 0):

        - ``position``, ``value``, ``gradient_norm``;
        - ``eigenvalues`` ascending, and ``eigenvectors`` (point, coordinate, eigenvalue);
        - ``sharpness``, the largest eigenvalue, where it is among those computed;
        - ``index``, the number of negative ones, as computed: one that is zero but for rounding
          counts by its sign; -1 where the computed ones do not show it;
        - ``condition_number``, the largest absolute value over the smallest, inf for a singular
          Hessian, and ``trace``, both only where all eigenvalues are computed;
        - ``hessian_error`` where the Hessian is made of differences: an estimated bound on the
          error of each eigenvalue; ``residual`` |H v - lambda v| where Lanczos' method is used.

        Where a point or its Hessian is not finite, all these are nan, and ``index`` is -1.  The
        attribute ``outside_domain`` counts points outside the domain.

    Raises
    ------
    InvalidValueError
        If the points have another shape or lie outside the domain, `count` is not allowed, or a
        parameter of the landscape is a sequence.
    MemoryLimitError
        If the result, or a Hessian, would not fit into memory.
    FastdescentError
        If Lanczos' method does not converge.

    References
    ----------
    Determinant of the closed form: Jeannerod, Louvet and Muller (2013), Mathematics of
    Computation 82, 2245-2264, algorithm 1; Lanczos: Lehoucq, Sorensen and Yang (1998), ARPACK
    Users' Guide, SIAM.

    Examples
    --------
    >>> import fastdescent as fd
    >>> ds = spectrum(fd.landscapes.Rosenbrock(dim=2), [[1.0, 1.0], [0.0, 1.0]])
    >>> ds.eigenvalues.values.round(4).tolist()
    [[0.3994, 1001.6006], [-398.0, 200.0]]
    >>> print(f"{float(ds.condition_number[0]):.4f}", ds.index.values)
    2508.0096 [0 1]
    """
    points, away = points_in_domain(landscape, x, outside)
    solver = _Solver(landscape, points, count, slice(None) if vectors else slice(0))
    value, norm = np.empty(len(points)), np.empty(len(points))

    def work(block: slice) -> None:
        value[block] = landscape.value(points[block])
        gradient = landscape.gradient(points[block])
        norm[block] = np.sqrt(np.einsum("ni,ni->n", gradient, gradient))
        solver.solve(block)

    over_blocks(work, len(points), solver.block, threads)
    variables = {
        "position": variable("point coordinate", points.copy(), "point"),
        "value": variable("point", value, "loss at position"),
        "gradient_norm": variable("point", norm, "Euclidean norm of the gradient at position"),
        **solver.variables(("point",), (len(points),)),
    }
    if vectors:
        text = "unit eigenvectors of the Hessian"
        variables["eigenvectors"] = variable("point coordinate eigenvalue", solver.vectors, text)
    about = solver.attributes() | {"outside_domain": away}
    return xr.Dataset(variables, {"eigenvalue": solver.ranks}, about)


def spectrum_along(
    ds: xr.Dataset,
    landscape: Landscape,
    count: tuple[int, int] | None = None,
    threads: int | None = None,
) -> xr.Dataset:
    r"""Return the Hessian's eigenvalues along recorded paths, and how the steps lie in them.

    With :math:`d_r = \theta_{r+1} - \theta_r` the step from record r to the next one, and
    :math:`v_r` the eigenvector of the largest eigenvalue at record r, all angles in radians,

    .. math:: \text{rotation}_r = \angle(\pm v_{r-1}, v_r), \qquad
              \text{step\_cosine}_r = \cos \angle(d_{r-1}, d_r), \qquad
              \text{gradient\_angle}_r = \angle(d_r, -\nabla f(\theta_r))

    Where steps are not recorded one by one, :math:`d_r` is what several of them sum up to.

    Parameters
    ----------
    ds : xarray.Dataset
        A result of `fastdescent.simulate` with ``path``.
    landscape : Landscape
        The landscape whose Hessian it is; usually the one that the paths were walked on.
    count : pair of int, optional
        How many of the lowest and of the highest eigenvalues to compute; see `spectrum`.
    threads : int, optional
        Number of threads; all cores by default.  It changes no bit of the result.

    Returns
    -------
    xarray.Dataset
        Over the dimensions of the paths:

        - ``eigenvalues``, ``sharpness``, ``index``, ``condition_number`` and the others as in
          `spectrum`;
        - ``rotation`` in [0, pi / 2], an arbitrary angle where the largest eigenvalue is a double
          one; nan at the first record;
        - ``step_cosine`` in [-1, 1], nan at the first and last record; ``gradient_angle`` in
          [0, pi], nan at the last; both nan where a step, or the gradient, is zero or not finite;
        - ``stability_limit``, the curvature up to which the rule is stable on a quadratic:
          2 / eta for gradient descent, 2 (1 + beta) / eta for the heavy ball and
          2 (1 + beta) / ((1 + 2 beta) eta) for Nesterov's rule.  Left out for other rules, for
          schedules and where gradients are transformed;
        - ``steps``, how many updates the trajectory made.

    Raises
    ------
    InvalidValueError
        If the result has no paths, or the landscape another dimension.
    MemoryLimitError
        If the result would not fit into memory.

    References
    ----------
    Cohen, Kaur, Li, Kolter and Talwalkar (2021), ICLR, arXiv 2103.00065, section 2 and appendix B
    for the limits; angles: Kahan (2006), "How futile are mindless assessments of roundoff in
    floating-point computation?", section 12.

    Examples
    --------
    >>> import fastdescent as fd
    >>> product = fd.landscape("(x*y - 1)**2 / 2")
    >>> ds = fd.simulate(product, fd.optimizers.GradientDescent(learning_rate=0.2),
    ...                  starts=[[3.5, 1.0]], steps=200, record=fd.record.every(1))
    >>> along = spectrum_along(ds, product)
    >>> first, last = along.sharpness.values[0, [0, -1]]
    >>> print(f"{first:.2f}, then {last:.2f}; limit {float(along.stability_limit):.2f}")
    14.85, then 4.49; limit 10.00
    """
    path = recorded_path(ds, checked_landscape(landscape))
    dims = tuple(str(name) for name in path.dims[:-1])
    shape = path.shape[:-1]
    points = checked_points(landscape, path.to_numpy().reshape(-1, path.shape[-1]))
    solver = _Solver(landscape, points, count, slice(-1, None))
    gradient = np.empty_like(points)

    def work(block: slice) -> None:
        gradient[block] = landscape.gradient(points[block])
        solver.solve(block)

    over_blocks(work, len(points), solver.block, threads)
    variables = solver.variables(dims, shape)
    if solver.count[1]:
        rotation = _rotation(solver.vectors.reshape(path.shape))
        text = "angle between the top eigenvectors of this record and the one before"
        variables["rotation"] = variable(dims, rotation, text, units="rad")
    cosine, angle = _step_angles(points.reshape(path.shape), gradient.reshape(path.shape))
    text = "cosine of the angle between the steps before and after this record"
    variables["step_cosine"] = variable(dims, cosine, text)
    text = "angle between the step after this record and minus the gradient"
    variables["gradient_angle"] = variable(dims, angle, text, units="rad")
    variables["steps"] = ds["steps"]
    limit = _stability_limit(ds)
    if limit is not None:
        variables["stability_limit"] = limit
    coords = {"eigenvalue": solver.ranks, **path.coords}
    about = {"optimizer": ds.attrs.get("optimizer", "unknown"), **solver.attributes()}
    return xr.Dataset(variables, coords, about)


class _Eigen(NamedTuple):
    """Eigenvalues of some symmetric matrices, ascending, and the eigenvectors as columns."""

    values: FloatArray
    vectors: FloatArray


def symmetric_eigen(matrices: FloatArray, vectors: bool = True) -> _Eigen:
    r"""Return the eigenvalues of symmetric matrices, ascending, and the eigenvectors.

    In two dimensions, with :math:`m = (a + c) / 2` and :math:`d = (a - c) / 2`,

    .. math:: \lambda_{far} = m + \operatorname{sgn}(m) \sqrt{d^2 + b^2}, \qquad
              \lambda_{near} = \frac{ac - b^2}{\lambda_{far}}, \qquad
              2 \theta = \operatorname{atan2}(b, d)

    where the determinant is computed from exact products, so that both eigenvalues, and their
    signs, are right to a few units in the last place however close to singular the matrix is;
    :math:`\theta` is the direction of the upper one.

    Parameters
    ----------
    matrices : ndarray, shape (n, dim, dim)
        The matrices, of which the lower triangles are read.
    vectors : bool
        Whether to compute the eigenvectors; otherwise there are none, shape (n, dim, 0).

    Returns
    -------
    values : ndarray, shape (n, dim)
    vectors : ndarray, shape (n, dim, dim)
        Column k belongs to eigenvalue k; its entry of largest absolute value is positive.
        Both are nan where the matrix is not finite.

    Examples
    --------
    >>> values, vectors = symmetric_eigen(np.array([[[2.0, 1.0], [1.0, 2.0]]]))
    >>> values.tolist()
    [[1.0, 3.0]]
    """
    count, dim, _ = matrices.shape
    finite = np.isfinite(matrices)
    broken = None if finite.all() else np.asarray(~finite.all(axis=(1, 2)))
    safe = matrices if broken is None else np.where(broken[:, None, None], 0.0, matrices)
    values: FloatArray
    columns = np.zeros((count, dim, 0))
    if dim == 1:
        values, columns = safe[:, 0].copy(), np.ones((count, 1, int(vectors)))
    elif dim == 2:
        values, turned = _two(safe, vectors)
        columns = columns if turned is None else turned
    else:
        values, columns = _many(safe, vectors)
    if vectors:
        largest = np.argmax(np.abs(columns), axis=1)[:, None, :]
        columns *= np.where(np.take_along_axis(columns, largest, axis=1) < 0.0, -1.0, 1.0)
    if broken is not None:
        values[broken], columns[broken] = np.nan, np.nan
    return _Eigen(values, columns)


def _many(matrices: FloatArray, vectors: bool) -> _Eigen:
    """Return the eigenvalues of finite matrices of any dim, and the eigenvectors if wanted."""
    count, dim, _ = matrices.shape
    values = np.empty((count, dim))
    columns = np.empty((count, dim, dim if vectors else 0))
    for k in range(count):
        # The transpose is in Fortran's order, and its upper triangle the matrix's lower one.
        values[k], column, failed = dsyevd(matrices[k].T, compute_v=vectors, lower=0)
        if failed:
            values[k] = np.nan
        if vectors:
            columns[k] = np.nan if failed else column
    return _Eigen(values, columns)


def _two(matrices: FloatArray, vectors: bool) -> tuple[FloatArray, FloatArray | None]:
    """Return the eigenvalues of finite matrices of dim 2, and the eigenvectors if wanted."""
    a, b, c = matrices[:, 0, 0], matrices[:, 1, 0], matrices[:, 1, 1]
    largest = np.maximum(np.maximum(np.abs(a), np.abs(b)), np.abs(c))
    exponent = np.frexp(largest)[1]  # a power of two scales without rounding
    p, q, r = (np.ldexp(entry, -exponent) for entry in (a, b, c))
    mean, half = 0.5 * (p + r), 0.5 * (p - r)
    far = mean + np.copysign(np.hypot(half, q), mean)
    near = _determinant(p, q, r) / np.where(far == 0.0, 1.0, far)
    diagonal = b == 0.0
    far = np.where(diagonal, a, np.ldexp(far, exponent))
    near = np.where(diagonal, c, np.ldexp(near, exponent))
    values = np.stack([np.minimum(far, near), np.maximum(far, near)], axis=1)
    if not vectors:
        return values, None
    angle = 0.5 * np.arctan2(q, half)
    x, y = np.cos(angle), np.sin(angle)
    return values, np.stack([np.stack([-y, x], axis=1), np.stack([x, y], axis=1)], axis=2)


def _determinant(a: FloatArray, b: FloatArray, c: FloatArray) -> FloatArray:
    """Return a c - b b to two units in the last place, for entries of at most 1."""
    (first, first_error), (second, second_error) = _product(a, c), _product(b, b)
    return np.asarray((first - second) + (first_error - second_error))


def _product(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return a product and its rounding error, exactly (Dekker 1971)."""
    product = x * y
    (high, low), (other, rest) = _halves(x), _halves(y)
    error = low * rest - (((product - high * other) - low * other) - high * rest)
    return product, error


def _halves(x: FloatArray) -> tuple[FloatArray, FloatArray]:
    scaled = _SPLITTER * x
    high = scaled - (scaled - x)
    return high, x - high


class _Solver:
    """Eigenvalues at points, filled in block by block."""

    def __init__(self, landscape: Landscape, points: FloatArray, count: Any, kept: slice) -> None:
        n, dim = points.shape
        self.landscape, self.points = landscape, points
        self.count = _checked_count(count, dim)
        low, high = self.count
        self.ranks: IntArray = np.r_[:low, dim - high : dim].astype(np.int64)
        # Lanczos' method pays for few eigenvalues of a large matrix.
        self.dense = dim <= _MOST_DENSE or 8 * len(self.ranks) > dim
        self.kept = kept
        columns = len(range(len(self.ranks))[kept])
        numbers = n * (len(self.ranks) + dim * (columns + 2) + 8)
        # A Hessian, LAPACK's copy and its own room.
        numbers += 6 * dim**2 if self.dense else 0
        memory.require(8 * numbers, f"the spectra of {n:,} points", "take fewer at a time")
        self.values = np.empty((n, len(self.ranks)))
        self.vectors = np.empty((n, dim, columns))
        self.index = np.empty(n, dtype=np.int64)
        self.condition, self.trace = np.full(n, np.nan), np.full(n, np.nan)
        self.error, self.residual = np.zeros(n), np.zeros_like(self.values)
        self.source = ""

    @property
    def block(self) -> int:
        """Number of points in a block."""
        return block_size(self.points.shape[1]) if self.dense else 1

    def solve(self, block: slice) -> None:
        """Fill in one block."""
        if self.dense:
            self._solve_dense(block)
        else:
            (at,) = range(block.start, block.stop)
            self._solve_ends(at)

    def _solve_dense(self, block: slice) -> None:
        found = block_hessians(self.landscape, self.points[block])
        values, vectors = symmetric_eigen(found.matrices, self.vectors.shape[2] > 0)
        self.source, self.error[block] = found.source, found.error
        self.values[block] = values[:, self.ranks]
        if self.vectors.shape[2]:
            self.vectors[block] = vectors[:, :, self.ranks[self.kept]]
        known = ~np.isnan(values[:, 0])
        ranks = np.ascontiguousarray(values.T)  # NumPy is slow along a short last axis
        self.index[block] = np.where(known, (ranks < 0.0).sum(axis=0), -1)
        trace = np.einsum("nii->n", found.matrices)
        self.trace[block] = np.where(known, trace, np.nan)
        sizes = np.abs(ranks)
        smallest, largest = sizes.min(axis=0), sizes.max(axis=0)
        self.condition[block] = np.where(smallest == 0.0, np.inf, largest / smallest)

    def _solve_ends(self, at: int) -> None:
        low, _ = self.count
        values, vectors, self.residual[at] = _ends(self.landscape, self.points[at], self.count)
        self.values[at], self.vectors[at] = values, vectors[:, self.kept]
        shown = low > 0 and values[low - 1] >= 0.0
        self.index[at] = (values < 0.0).sum() if shown else -1

    def variables(self, dims: tuple[str, ...], shape: tuple[int, ...]) -> dict[str, Any]:
        """Return what was found as variables of a dataset."""
        everywhere: dict[str, tuple[Any, str]] = {
            "index": (self.index, "number of negative eigenvalues; -1 where not known"),
        }
        if self.count[1]:
            everywhere["sharpness"] = (self.values[:, -1], "largest eigenvalue of the Hessian")
        if self.dense:
            text = "largest over smallest absolute eigenvalue of the Hessian"
            everywhere["condition_number"] = (self.condition, text)
            everywhere["trace"] = (self.trace, "sum of the Hessian's eigenvalues")
        if self.source == "differences":
            text = "estimated bound on the eigenvalues' error, as the Hessian is of differences"
            everywhere["hessian_error"] = (self.error, text)
        pairs = {"eigenvalues": (self.values, "eigenvalues of the Hessian, ascending")}
        if not self.dense:
            pairs["residual"] = (self.residual, "Euclidean norm of H v - lambda v")
        found: dict[str, Any] = {
            name: variable(dims, array.reshape(shape), text)
            for name, (array, text) in everywhere.items()
        }
        for name, (array, text) in pairs.items():
            ranked = array.reshape(*shape, len(self.ranks))
            found[name] = variable((*dims, "eigenvalue"), ranked, text)
        return found

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of the dataset."""
        low, high = self.count
        some = f"the lowest {low} and the highest {high}"
        return {
            "landscape": repr(self.landscape),
            "hessian": self.source if self.dense else "products with vectors",
            "computed": "all" if low + high == self.points.shape[1] else some,
        }


def _checked_count(count: Any, dim: int) -> tuple[int, int]:
    if count is None:
        return (0, dim) if dim <= _MOST_DENSE else _DEFAULT_COUNT
    right = isinstance(count, tuple | list) and len(count) == 2 and all(map(is_integer, count))
    if not right or min(count) < 0 or not 1 <= sum(count) <= dim:
        raise InvalidValueError(
            "count", count, f"two integers >= 0, lowest and highest, that sum to 1 to {dim}"
        )
    return int(count[0]), int(count[1])


def _ends(
    landscape: Landscape, point: FloatArray, count: tuple[int, int]
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return some lowest and highest eigenvalues, their eigenvectors and residuals."""
    operator, dim, number = hessian_product(landscape, point), len(point), sum(count)
    start = np.random.default_rng(0).standard_normal(dim)  # the same for all points and calls
    first = operator @ start
    if not (np.isfinite(point).all() and np.isfinite(first).all()):
        return np.full(number, np.nan), np.full((dim, number), np.nan), np.full(number, np.nan)
    if not first.any():
        return np.zeros(number), np.eye(dim, number), np.zeros(number)
    parts = zip(count, ("SA", "LA"), strict=True)
    found = [_lanczos(operator, start, some, end) for some, end in parts if some]
    vectors = np.concatenate(found, axis=1)
    products = operator @ vectors
    values = np.einsum("ij,ij->j", vectors, products)
    order = np.argsort(values, kind="stable")
    vectors, products, values = vectors[:, order], products[:, order], values[order]
    return values, vectors, np.linalg.norm(products - vectors * values, axis=0)


def _lanczos(operator: LinearOperator, start: FloatArray, number: int, end: str) -> FloatArray:
    """Return eigenvectors of one end, from as large a Krylov space as it takes."""
    dim = len(start)
    options: dict[str, Any] = {"which": end, "v0": start, "tol": _TOLERANCE, "maxiter": 100}
    if "rng" in inspect.signature(eigsh).parameters:
        options["rng"] = 0  # SciPy from 1.17 on would draw new directions differently each time
    least = max(40, 4 * number)
    for size in sorted({min(dim, factor * least) for factor in (1, 4, 16)}):
        try:
            vectors = eigsh(operator, number, ncv=size, **options)[1]
        except ArpackNoConvergence:
            continue
        return np.asarray(vectors)
    raise FastdescentError(
        f"{number} {'lowest' if end == 'SA' else 'highest'} eigenvalues of a Hessian of dim {dim} "
        "did not converge: they are too close to each other; ask for none at that end"
    )


def _rotation(top: FloatArray) -> FloatArray:
    """Return the angles between neighbouring directions, which have no sign."""
    found = np.full(top.shape[:-1], np.nan)
    before, after = top[..., :-1, :], top[..., 1:, :]
    same = np.einsum("...i,...i->...", before, after) >= 0.0
    found[..., 1:] = _angle(before, np.where(same[..., None], after, -after))
    return found


def _step_angles(path: FloatArray, gradient: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the cosines between successive steps, and the angles to minus the gradient."""
    cosine, angle = np.full(path.shape[:-1], np.nan), np.full(path.shape[:-1], np.nan)
    with np.errstate(all="ignore"):
        steps = _units(np.diff(path, axis=-2))
        products = np.einsum("...i,...i->...", steps[..., :-1, :], steps[..., 1:, :])
        cosine[..., 1:-1] = np.clip(products, -1.0, 1.0)
        angle[..., :-1] = _angle(steps, _units(-gradient[..., :-1, :]))
    return cosine, angle


def _angle(first: FloatArray, second: FloatArray) -> FloatArray:
    """Return the angles between unit vectors, as exact for small ones as for large ones."""
    apart = np.linalg.norm(first - second, axis=-1)
    return np.asarray(2.0 * np.arctan2(apart, np.linalg.norm(first + second, axis=-1)))


def _units(vectors: FloatArray) -> FloatArray:
    """Return vectors scaled to length 1; nan where they are zero or not finite."""
    largest = np.abs(vectors).max(axis=-1, keepdims=True)
    scaled = vectors / largest  # squares neither overflow nor vanish
    return np.asarray(scaled / np.linalg.norm(scaled, axis=-1, keepdims=True))


def _stability_limit(ds: xr.Dataset) -> xr.DataArray | None:
    """Return the largest curvature of a quadratic on which the rule is stable, if it has one."""
    rule = _rule_of(ds)
    if not isinstance(rule, GradientDescent | Momentum | Nesterov):
        return None
    rate, beta, dampening = (_values(ds, rule, name) for name in _NUMBERS)
    if rate is None or beta is None or dampening is None:
        return None
    if isinstance(rule, Nesterov):
        factor = (1.0 + beta) / (1.0 + 2.0 * beta)
    elif isinstance(rule, Momentum):
        # What is left of each gradient in the velocity.
        weight = 1.0 - (beta if rule.variant == "ema" else dampening)
        factor = (1.0 + beta) / weight
    else:
        factor = xr.DataArray(1.0)
    with np.errstate(divide="ignore"):
        limit = 2.0 / rate * factor
    return limit.rename("stability_limit").assign_attrs(
        long_name=f"largest curvature of a quadratic on which {rule.name} is stable", units="1"
    )


_NUMBERS = ("learning_rate", "beta", "dampening")


def _rule_of(ds: xr.Dataset) -> Optimizer | None:
    """Return the rule of a result, None where it or its gradients cannot be told."""
    study = ds.attrs.get("study", "")
    if not study or ds.attrs.get("transforms", "[]") != "[]":
        return None
    (table,) = tomllib.loads(study)["optimizers"]
    return Optimizer.from_table(table)


def _values(ds: xr.Dataset, rule: Optimizer, name: str) -> xr.DataArray | None:
    """Return a rule's parameter as it is in the result; None for a schedule.

    A swept one is on an axis, or where one value was selected in a coordinate.  One that the rule
    does not have is 0.
    """
    if name in rule.axes():
        named = (f"{rule.kind}_{name}", name)
        return next((ds[axis] for axis in named if axis in ds.coords), None)
    value = getattr(rule, name, 0.0)
    return xr.DataArray(float(value)) if is_number(value) else None
