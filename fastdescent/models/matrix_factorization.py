"""Matrix factorisation: a low-rank product fitted to a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastdescent.contracts import Indices, Row, Rows, kernel
from fastdescent.errors import InvalidValueError
from fastdescent.models._base import INITIALIZATIONS, Block, Model
from fastdescent.parts import FloatArray, Range, option
from fastdescent.simd import WIDTH, flat, fma, load, splat, store

__all__ = ["MatrixFactorization"]


@kernel("landscape")
def value_and_gradient(
    theta: Rows, params: Rows, data: Rows, batch: Indices, loss: Row, grad: Rows
) -> None:
    """Residual of each entry in a register; its row of U and of V get their share at once."""
    dim, lanes = theta.shape
    rows, columns = data.shape
    rank = dim // (rows + columns)
    t, g, half = flat(theta), flat(grad), splat(0.5)
    grad[:] = 0.0
    for lane in range(0, lanes, WIDTH):
        total = splat(0.0)
        for i in range(rows):
            u = i * rank * lanes + lane
            for j in range(columns):
                v = (rows + j) * rank * lanes + lane
                error = splat(-data[i, j])
                for k in range(rank):
                    error = fma(load(t, u + k * lanes), load(t, v + k * lanes), error)
                total = fma(fma(half, error, splat(0.0)), error, total)
                for k in range(rank):
                    a, b = u + k * lanes, v + k * lanes
                    store(g, a, fma(error, load(t, b), load(g, a)))
                    store(g, b, fma(error, load(t, a), load(g, b)))
        store(loss, lane, total)


class MatrixFactorization(Model):
    r"""Matrix factorisation.

    .. math:: J(U, V) = \tfrac12 \|U V^\top - M\|_F^2, \qquad
              \nabla_U J = (U V^\top - M) V, \qquad \nabla_V J = (U V^\top - M)^\top U

    The minimum is half the sum of the squared singular values of M beyond the rank; every
    other critical point is a strict saddle.

    Parameters
    ----------
    matrix : sequence of sequences
        The matrix M, at least 1 x 1, of finite numbers.
    rank : int
        Columns of U and of V, >= 1.
    initialization : str
        How `fastdescent.starts.Initialization` draws U and V; see `MLP`.

    Raises
    ------
    InvalidValueError
        If a value is not allowed.

    References
    ----------
    Eckart and Young (1936), Psychometrika 1, 211-218; Ge, Jin and Zheng (2017), ICML, PMLR 70,
    1233-1242.

    Examples
    --------
    >>> MatrixFactorization([[2.0, 0.0], [0.0, 1.0]], rank=1).minimum
    0.5
    """

    kernel: ClassVar = value_and_gradient
    bounds: ClassVar = (-2.0, 2.0)

    matrix: Sequence[Sequence[float]] = option()
    rank: int = option(default=1, integer=Range(1))
    initialization: str = option(default="standard_normal", choices=tuple(INITIALIZATIONS))

    def __post_init__(self) -> None:
        super().__post_init__()
        try:
            given = np.array(self.matrix, dtype=float)
            right = given.ndim == 2 and given.size > 0 and bool(np.isfinite(given).all())
        except (TypeError, ValueError):
            right = False
        if not right:
            raise InvalidValueError(
                "MatrixFactorization.matrix", self.matrix, "a matrix of finite numbers"
            )

    @cached_property
    def _target(self) -> FloatArray:
        return np.array(self.matrix, dtype=float)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """U, then V."""
        rows, columns = self._target.shape
        u = Block("weight_1", 0, rows, self.rank)
        return u, Block("weight_2", rows * self.rank, columns, self.rank)

    def kernel_data(self) -> FloatArray:
        return self._target

    def formula(self, x: Any, m: Any) -> Any:
        rows, columns = self._target.shape
        total = 0
        for i in range(rows):
            for j in range(columns):
                u, v = i * self.rank, (rows + j) * self.rank
                product = sum(x[u + k] * x[v + k] for k in range(self.rank))
                total = total + (product - self._target[i, j]) ** 2 / 2
        return total

    @property
    def minimum(self) -> float:
        singular = np.linalg.svd(self._target, compute_uv=False)
        return float(0.5 * (singular[self.rank :] ** 2).sum())

    def hessian(self, x: ArrayLike) -> FloatArray:
        found = np.stack([self._hessian(point) for point in self._points(x)])
        return found if np.ndim(x) == 2 else found[0]

    def _hessian(self, point: FloatArray) -> FloatArray:
        rows, columns = self._target.shape
        split = rows * self.rank
        u, v = point[:split].reshape(rows, -1), point[split:].reshape(columns, -1)
        hess = np.zeros((self.dim, self.dim))
        hess[:split, :split] = np.kron(np.eye(rows), v.T @ v)
        hess[split:, split:] = np.kron(np.eye(columns), u.T @ u)
        error = u @ v.T - self._target
        # d2 J / dU_ik dV_jl = U_il V_jk + error_ij delta_kl
        mixed = np.einsum("il,jk->ikjl", u, v) + np.einsum("ij,kl->ikjl", error, np.eye(self.rank))
        hess[:split, split:] = mixed.reshape(split, -1)
        hess[split:, :split] = hess[:split, split:].T
        return hess
