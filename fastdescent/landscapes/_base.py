"""What a landscape is: its kernels, its domain and what is known about its minima."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastdescent import memory
from fastdescent.contracts import Kernel
from fastdescent.errors import InvalidValueError
from fastdescent.parts import FloatArray, Part

__all__ = ["CriticalPoint", "Landscape"]

# Points per kernel call from Python: enough to hide the call, few enough for the cache.
_BLOCK = 4096
# Bytes from which on one asks whether there are as many; to ask takes longer than small Hessians.
_LARGE = 2**26


class CriticalPoint(NamedTuple):
    """A point with zero gradient: its position and what kind of point it is.

    ``kind`` is "minimum", "maximum", "saddle" or, where the Hessian is singular and
    decides nothing, "degenerate".
    """

    position: FloatArray
    kind: str


class Landscape(Part):
    """Base class of loss landscapes.

    A landscape is one file: a kernel for value and gradient, one for the Hessian, and a
    class with the parameters in the order of the kernels' ``params`` rows.
    """

    kind: ClassVar[str] = "landscape"
    also: ClassVar[tuple[str, ...]] = ("model", "formula")
    kernel: ClassVar[Kernel]
    hessian_kernel: ClassVar[Kernel | None] = None
    #: Lower and upper bound, one pair for every coordinate or one for all of them.
    bounds: ClassVar[Any] = (-1.0, 1.0)
    #: Rows at the end of the kernel's ``grad`` that it may compute in.
    workspace: ClassVar[int] = 0
    #: Whether a user's gradient is compared with the loss's differences before its first run;
    #: False for one that is meant to be something else.
    checked: ClassVar[bool] = True
    #: The fewest lanes of a tile: more hide calls, fewer keep large states in the cache.
    least_lanes: ClassVar[int] = 32

    @property
    def rows_in_use(self) -> int:
        """Rows of the workspace that a kernel works on at once, for all lanes of a tile."""
        return self.workspace

    if TYPE_CHECKING:
        # A field where the dimension can be chosen, a class attribute where it cannot.
        @property
        def dim(self) -> int: ...

    @property
    def built_in(self) -> bool:
        """Whether the class is of the package's catalogue or models, which its tests check."""
        own = ("fastdescent.landscapes", "fastdescent.models")
        return type(self).__module__.startswith(own)

    @classmethod
    def _lacking(cls) -> tuple[str, str] | None:
        if not isinstance(getattr(cls, "kernel", None), Kernel):
            return "a kernel", 'set kernel to a function under @fd.kernel("landscape")'
        if not hasattr(cls, "dim") and "dim" not in (field.name for field in cls._fields()):
            return "dim", "set dim = 2, say, or dim: int = option(default=2, integer=Range(1))"
        return None

    def formula(self, x: Any, m: Any) -> Any:
        """Return the loss written with plain arithmetic and the functions of module `m`.

        `x` is a sequence of `dim` numbers or symbols; `m` is ``sympy``, ``numpy`` or
        ``math``-like.  It is independent of the kernels, and tests derive it symbolically.
        """
        raise NotImplementedError

    @property
    def domain(self) -> FloatArray:
        """Lower and upper bound of each coordinate, shape (dim, 2); a habit, not a fence."""
        return np.array(np.broadcast_to(np.asarray(self.bounds, dtype=float), (self.dim, 2)))

    @property
    def minima(self) -> FloatArray | None:
        """Positions of the global minima, shape (k, dim); None where not known."""
        return None

    @property
    def minimum(self) -> float | None:
        """Value at the global minima; None where there is none or it is not known."""
        return None if self.minima is None else float(self.value(self.minima)[0])

    def critical_points(self) -> list[CriticalPoint]:
        """Return the critical points that are known, minima first."""
        minima = self.minima
        return [] if minima is None else [CriticalPoint(x, "minimum") for x in minima]

    def kernel_data(self) -> FloatArray:
        """Return what the kernel reads and all lanes share, 2-D; (0, 0) if nothing."""
        return np.zeros((0, 0))

    def value(self, x: ArrayLike) -> Any:
        """Return the loss at `x`.

        Parameters
        ----------
        x : array_like, shape (dim,) or (n, dim)
            One point or many.

        Returns
        -------
        float or ndarray, shape (n,)

        Raises
        ------
        InvalidValueError
            If `x` has another shape, or a parameter of the landscape is a sequence.

        Examples
        --------
        >>> import fastdescent as fd
        >>> fd.landscapes.Rosenbrock(dim=2).value([0.0, 0.0])
        1.0
        """
        points = self._points(x)
        loss = np.concatenate([self._evaluate(block)[0] for block in _blocks(points)])
        return loss if np.ndim(x) == 2 else float(loss[0])

    def gradient(self, x: ArrayLike) -> FloatArray:
        """Return the gradient at `x`, of the same shape as `x`; see `value`."""
        points = self._points(x)
        grad = np.concatenate([self._evaluate(block)[1] for block in _blocks(points)])
        return grad if np.ndim(x) == 2 else grad[0]

    def hessian(self, x: ArrayLike) -> FloatArray:
        """Return the Hessian at `x`, shape (dim, dim) or (n, dim, dim); see `value`.

        Raises
        ------
        InvalidValueError
            As `value`, or if the landscape has no Hessian.
        MemoryLimitError
            If the matrices would not fit into memory.
        """
        points = self._points(x)
        needed = 16 * len(points) * self.dim**2  # the matrices, and the blocks that they are of
        if needed > _LARGE:
            memory.require(needed, f"{len(points):,} Hessians of dim {self.dim}", "take fewer")
        hess = np.concatenate([self._evaluate_hessian(block) for block in _blocks(points)])
        return hess if np.ndim(x) == 2 else hess[0]

    def _evaluate(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        theta = np.ascontiguousarray(points.T)
        loss = np.empty(len(points))
        grad = np.empty((self.dim + self.workspace, len(points)))
        batch = np.zeros((0, len(points)), dtype=np.int64)
        self.kernel(theta, self._params(len(points)), self.kernel_data(), batch, loss, grad)
        return loss, np.ascontiguousarray(grad[: self.dim].T)

    def _evaluate_hessian(self, points: FloatArray) -> FloatArray:
        if self.hessian_kernel is None:
            raise InvalidValueError(
                f"{type(self).__name__}.hessian",
                None,
                "a landscape with a hessian_kernel",
                "fd.landscape('x**2 + 15*y**2') derives it from a formula",
            )
        theta = np.ascontiguousarray(points.T)
        hess = np.empty((self.dim, self.dim, len(points)))
        self.hessian_kernel(theta, self._params(len(points)), self.kernel_data(), hess)
        return np.ascontiguousarray(np.moveaxis(hess, 2, 0))

    def _params(self, lanes: int) -> FloatArray:
        values = self.base_values()
        for name, value in values.items():
            if isinstance(value, tuple):
                raise InvalidValueError(
                    f"{type(self).__name__}.{name}",
                    value,
                    "one number where a single landscape is evaluated",
                    f"pick one with .at({name}=...)",
                )
        column = np.array(list(values.values()), dtype=float).reshape(-1, 1)
        return np.repeat(column, lanes, axis=1)

    def _points(self, x: ArrayLike) -> FloatArray:
        points = np.asarray(x, dtype=float)
        if points.ndim not in (1, 2) or points.shape[-1] != self.dim:
            raise InvalidValueError(
                f"points of {self!r}", points.shape, f"shape ({self.dim},) or (n, {self.dim})"
            )
        return np.atleast_2d(points)


def _blocks(points: FloatArray) -> list[FloatArray]:
    count = max(1, -(-len(points) // _BLOCK))
    return np.array_split(points, count)
