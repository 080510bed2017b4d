"""What a model is: a landscape whose loss is a mean over the samples of a data set."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from fastdescent.data import Data, Samples
from fastdescent.errors import InvalidValueError
from fastdescent.landscapes import Landscape
from fastdescent.models._affine import UNIT
from fastdescent.parts import FloatArray, IntArray, option
from fastdescent.streams import START, normals, uniforms

__all__ = ["INITIALIZATIONS", "Block", "Model", "SampleModel", "rows_of_units", "sample_table"]

_LANES = 8  # of a kernel call from Python: one vector on any processor

#: Scheme -> (distribution, variance of a weight from fan_in and fan_out, biases drawn too).
INITIALIZATIONS: dict[str, tuple[str, Any, bool]] = {
    "torch": ("uniform", lambda i, o: 1.0 / (3.0 * i), True),
    "glorot_uniform": ("uniform", lambda i, o: 2.0 / (i + o), False),
    "glorot_normal": ("normal", lambda i, o: 2.0 / (i + o), False),
    "he_uniform": ("uniform", lambda i, o: 2.0 / i, False),
    "he_normal": ("normal", lambda i, o: 2.0 / i, False),
    "lecun_uniform": ("uniform", lambda i, o: 1.0 / i, False),
    "lecun_normal": ("normal", lambda i, o: 1.0 / i, False),
    "standard_normal": ("normal", lambda i, o: 1.0, False),
}


class Block(NamedTuple):
    """A tensor within the flat parameter vector: entry (a, k) is theta[offset + a columns + k].

    Weights have a row per output and a column per input, biases one column, as in torch.
    """

    name: str
    offset: int
    rows: int
    columns: int


class Model(Landscape):
    """Base class of models: landscapes whose parameters are tensors, one after another."""

    kind: ClassVar[str] = "model"
    #: Lanes that a kernel takes at a time, and so the least that a tile of it has.
    least_lanes: ClassVar[int] = _LANES

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The tensors in the flat parameter vector, in order."""
        raise NotImplementedError

    @property
    def dim(self) -> int:
        """Number of parameters."""
        last = self.blocks[-1]
        return last.offset + last.rows * last.columns

    def initial_points(self, seed: int, count: int) -> FloatArray:
        """Draw `count` parameter vectors by the model's initialisation, shape (count, dim)."""
        kind, variance, biased = INITIALIZATIONS[getattr(self, "initialization", "torch")]
        draw = uniforms if kind == "uniform" else normals
        points = draw(seed, START, np.arange(count), self.dim)
        if kind == "uniform":
            points = math.sqrt(12.0) * (points - 0.5)
        spread = np.zeros(self.dim)
        for block in self.blocks:
            bias = block.name.startswith("bias")
            of = self.blocks[self.blocks.index(block) - 1] if bias else block
            if not bias or biased:
                part = slice(block.offset, block.offset + block.rows * block.columns)
                spread[part] = math.sqrt(variance(of.columns, of.rows))
        return points * spread

    def _evaluate(
        self, points: FloatArray, data: FloatArray | None = None, indices: Any = None
    ) -> tuple[FloatArray, FloatArray]:
        """Call the kernel on whole vectors of lanes, the last of them padded."""
        count = len(points)
        lanes = -(-count // _LANES) * _LANES
        padded = points[np.minimum(np.arange(lanes), count - 1)]
        batch = np.zeros((0, lanes), dtype=np.int64)
        if indices is not None:
            rows = indices[np.minimum(np.arange(lanes), count - 1)]
            batch = np.ascontiguousarray(rows.T, dtype=np.int64)
        loss, grad = np.empty(lanes), np.empty((self.dim + self.workspace, lanes))
        table = self.kernel_data() if data is None else data
        theta = np.ascontiguousarray(padded.T)
        self.kernel(theta, self._params(lanes), table, batch, loss, grad)
        return loss[:count], np.ascontiguousarray(grad[: self.dim, :count].T)


class SampleModel(Model):
    """Base class of models whose loss is a mean over the samples of a data set.

    A model is one file: a kernel that takes the loss and its gradient over the samples that
    ``batch`` names (all if it has no rows), and a class that lays out the kernel's data.
    """

    abstract: ClassVar[bool] = True

    data: Any = option(part="data")

    @property
    def rows_in_use(self) -> int:
        """None: a block of samples is computed for one vector of lanes after the other."""
        return 0

    @property
    def sample_count(self) -> int:
        """Number of training samples."""
        return len(self.samples.x)

    @cached_property
    def samples(self) -> Samples:
        """Training and validation samples; with seed 0 where the data leave it to the study."""
        return self._data.samples(0)

    @property
    def _data(self) -> Data:
        data: Data = self.data
        return data

    def for_study(self, seed: int) -> Self:
        """Return the model on the data that a study's seed selects."""
        return self if self._data.seed is not None else self.at(data=self._data.at(seed=seed))

    def kernel_data(self) -> FloatArray:
        """Return the kernel's table of the training samples; a copy."""
        return self._tables[0].copy()

    def validation_data(self) -> FloatArray | None:
        """Return the kernel's table of the validation samples, a copy; None if there are none."""
        return None if self._tables[1] is None else self._tables[1].copy()

    @cached_property
    def _tables(self) -> tuple[FloatArray, FloatArray | None]:
        some = self.samples
        validation = None
        if len(some.validation_x):
            validation = self.table(some.validation_x, some.validation_y, validation=True)
        return self.table(some.x, some.y), validation

    def table(self, x: FloatArray, y: FloatArray, validation: bool = False) -> FloatArray:
        """Lay out samples for the kernel: what it reads as ``data``.

        Row 0 is about the model; row r + 1 is sample r, its features and then its targets.  A
        loss of validation samples leaves out what is not about samples, as a penalty.
        """
        return sample_table(x, y, [float(len(x))])

    def validation_value(self, x: ArrayLike) -> Any:
        """Return the loss over the validation samples; see `value`."""
        data = self.validation_data()
        if data is None:
            raise InvalidValueError(
                f"{self.name}.data", self.data, "data with validation samples", "validation=0.2"
            )
        loss, _ = self._evaluate(self._points(x), data)
        return loss if np.ndim(x) == 2 else float(loss[0])

    def batch_gradient(self, x: ArrayLike, batch: ArrayLike) -> tuple[Any, FloatArray]:
        """Return loss and gradient at `x` over the samples that `batch` names.

        Parameters
        ----------
        x : array_like, shape (dim,) or (n, dim)
            One point or many.
        batch : array_like of int, shape (size,) or (n, size)
            Indices of training samples, the same for all points or for each its own.

        Returns
        -------
        loss : float or ndarray, shape (n,)
        gradient : ndarray, the shape of `x`

        Raises
        ------
        InvalidValueError
            If an index is not that of a training sample.
        """
        points = self._points(x)
        indices = self._indices(batch, len(points))
        loss, grad = self._evaluate(points, self.kernel_data(), indices)
        return (loss, grad) if np.ndim(x) == 2 else (float(loss[0]), grad[0])

    def _indices(self, batch: ArrayLike, count: int) -> IntArray:
        """Return checked indices of samples, (count, size)."""
        indices = np.asarray(batch)
        right = indices.dtype.kind in "iu" and indices.size > 0 and indices.ndim in (1, 2)
        if not right or (indices.ndim == 2 and len(indices) != count):
            raise InvalidValueError(
                "batch", batch, f"at least one index of a sample, (size,) or ({count}, size)"
            )
        if indices.min() < 0 or indices.max() >= self.sample_count:
            raise InvalidValueError("batch", batch, f"indices from 0 to {self.sample_count - 1}")
        return np.broadcast_to(indices.astype(np.int64), (count, indices.shape[-1]))

    def _one_point(self, x: ArrayLike) -> FloatArray:
        """Return a checked single point, (dim,)."""
        if np.ndim(x) != 1:
            raise InvalidValueError(f"point of {self.name}", np.shape(x), f"shape ({self.dim},)")
        point: FloatArray = self._points(x)[0]
        return point

    def _vectors(self, vector: ArrayLike) -> FloatArray:
        """Return checked vectors, (k, dim)."""
        vectors = np.asarray(vector, dtype=float)
        if vectors.shape[-1:] != (self.dim,) or vectors.ndim > 2:
            raise InvalidValueError(
                "vector", vectors.shape, f"shape ({self.dim},) or (k, {self.dim})"
            )
        return np.atleast_2d(vectors)

    def hessian_vector_product(self, x: ArrayLike, vector: ArrayLike) -> FloatArray:
        """Return the Hessian at one point times a vector, or times the rows of a matrix."""
        products: FloatArray = self._vectors(vector) @ self.hessian(self._one_point(x))
        return np.asarray(products.reshape(np.shape(vector)), dtype=float)


def sample_table(x: FloatArray, y: FloatArray, about: list[float]) -> FloatArray:
    """Return rows of features and targets, padded to 8, below a row of numbers about the model."""
    columns = x.shape[1] + y.shape[1]
    width = -(-max(columns, len(about)) // 8) * 8
    table = np.zeros((1 + len(x), width))
    table[0, : len(about)] = about
    table[1:, : x.shape[1]] = x
    table[1:, x.shape[1] : columns] = y
    return table


def rows_of_units(units: int) -> int:
    """Return how many workspace rows hold so many units, for any number of lanes."""
    return -(-units * UNIT // _LANES)
