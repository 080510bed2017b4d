"""Layered models: an MLP, and the linear classifiers that are an MLP without hidden layers."""

from __future__ import annotations

import itertools
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fastdescent.errors import InvalidValueError
from fastdescent.models._activations import ACTIVATIONS, LOSSES
from fastdescent.models._affine import BLOCK, UNIT
from fastdescent.models._base import Block, SampleModel, rows_of_units, sample_table
from fastdescent.models._curvature import Network
from fastdescent.models._network import KEEP, value_and_gradient, workspace_units
from fastdescent.parts import FloatArray
from fastdescent.simd import WIDTH

__all__ = ["Layer", "LayeredModel"]


class Layer(NamedTuple):
    """What passed through a layer: what Kronecker-factored and layer-wise rules need.

    ``inputs (samples, columns)`` are the layer's inputs and ``gradients (samples, rows)`` the
    derivatives of the loss by its weighted inputs, so the gradient of the layer's weights is
    ``gradients.T @ inputs`` and that of its biases ``gradients.sum(axis=0)``.
    """

    inputs: FloatArray
    gradients: FloatArray


class LayeredModel(SampleModel):
    """Base class of models that are affine layers with activations between them."""

    abstract: ClassVar[bool] = True
    kernel: ClassVar = value_and_gradient

    if TYPE_CHECKING:
        bias: bool

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.bias, bool):
            raise InvalidValueError(f"{self.name}.bias", self.bias, "True or False")
        _ = self._data

    def _hidden(self) -> tuple[int, ...]:
        """Return the widths of the hidden layers."""
        return ()

    def _activation(self) -> str:
        return "identity"

    def _loss(self) -> str:
        raise NotImplementedError

    def _layer_scales(self) -> tuple[float, ...]:
        return (1.0,) * (len(self._hidden()) + 1)

    @cached_property
    def layer_widths(self) -> tuple[int, ...]:
        """Number of inputs, then of outputs of each layer."""
        data = self._data
        outputs = data.n_targets
        if self._loss() == "cross_entropy" and data.n_classes > 2:
            outputs = data.n_classes
        return (data.n_features, *self._hidden(), outputs)

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        found, offset = [], 0
        for i, (columns, rows) in enumerate(itertools.pairwise(self.layer_widths), 1):
            found.append(Block(f"weight_{i}", offset, rows, columns))
            offset += rows * columns
            if self.bias:
                found.append(Block(f"bias_{i}", offset, rows, 1))
                offset += rows
        return tuple(found)

    @property
    def workspace(self) -> int:  # type: ignore[override]
        """Rows that the kernel computes in."""
        return rows_of_units(self._units)

    @cached_property
    def _units(self) -> int:
        return workspace_units(self._tables[0].shape[1], list(self.layer_widths[1:]))

    def table(self, x: FloatArray, y: FloatArray, validation: bool = False) -> FloatArray:
        layers = len(self.layer_widths) - 1
        about: list[float] = [len(x), layers, ACTIVATIONS.index(self._activation())]
        about += [LOSSES.index(self._loss()), float(self.bias), 0.0, x.shape[1]]
        for columns, rows, scale in zip(
            self.layer_widths, self.layer_widths[1:], self._layer_scales(), strict=False
        ):
            about += [columns, rows, scale]
        return sample_table(x, y, about)

    def layers(self, x: ArrayLike, batch: ArrayLike | None = None) -> list[Layer]:
        """Return what passes through each layer at one point: inputs and gradients by sample.

        Parameters
        ----------
        x : array_like, shape (dim,)
            The parameters.
        batch : array_like of int, shape (size,), optional
            Indices of training samples; all by default.

        Returns
        -------
        list of Layer, one for each layer

        Examples
        --------
        >>> import fastdescent as fd
        >>> net = fd.models.MLP(fd.data.XOR(count=64), widths=[8], bias=False)
        >>> theta = net.initial_points(seed=0, count=1)[0]
        >>> inputs, gradients = net.layers(theta)[0]
        >>> np.allclose((gradients.T @ inputs).ravel(), net.gradient(theta)[:16])
        True
        """
        point, data = self._one_point(x), self.kernel_data()
        data[0, KEEP] = 1.0
        indices = self._indices(np.arange(self.sample_count) if batch is None else batch, 1)[0]
        chunks, blocks = 8 // WIDTH, -(-len(indices) // BLOCK)
        units = self._units * blocks * chunks
        loss, grad = np.empty(8), np.zeros((self.dim + rows_of_units(units), 8))
        theta = np.ascontiguousarray(np.repeat(point[:, None], 8, axis=1))
        rows = np.ascontiguousarray(np.repeat(indices[:, None], 8, axis=1), dtype=np.int64)
        self.kernel(theta, self._params(8), data, rows, loss, grad)
        # Lane 0 of the first chunk: (block, unit, sample) -> (sample, unit)
        kept = grad[self.dim :].ravel()[: self._units * blocks * UNIT]
        front = kept[2 * UNIT :] if blocks else kept
        units_of = self._units - 2
        lane = front[: units_of * blocks * UNIT].reshape(blocks, units_of, BLOCK, WIDTH)[..., 0]
        by_sample = np.moveaxis(lane, 1, 2).reshape(blocks * BLOCK, units_of)[: len(indices)]
        return self._kept_layers(by_sample, data.shape[1])

    def _kept_layers(self, kept: FloatArray, width: int) -> list[Layer]:
        """Cut the units of each layer: value, slope, derivative."""
        found = []
        inputs, begin = kept[:, : self.layer_widths[0]], width
        for rows in self.layer_widths[1:]:
            gradients = kept[:, begin + 2 * rows : begin + 3 * rows]
            found.append(Layer(inputs.copy(), gradients.copy()))
            inputs, begin = kept[:, begin : begin + rows], begin + 3 * rows
        return found

    @cached_property
    def _network(self) -> Network:
        some = self.samples
        kinds = self._activation(), self._loss()
        return Network(some.x, some.y, self.layer_widths, *kinds, self.bias, self._layer_scales())

    def hessian_vector_product(self, x: ArrayLike, vector: ArrayLike) -> FloatArray:
        """Return the Hessian at one point times a vector, or times the rows of a matrix.

        By Pearlmutter's forward differentiation of back-propagation, exact to round-off.

        References
        ----------
        Pearlmutter (1994), Neural Computation 6, 147-160.
        """
        theta, rows = self._one_point(x), self._vectors(vector)
        products = np.stack([self._network.hessian_vector_product(theta, row) for row in rows])
        return products.reshape(np.shape(vector))

    def hessian(self, x: ArrayLike) -> FloatArray:
        """Return the Hessian at `x`, shape (dim, dim) or (n, dim, dim), from `dim` products."""
        points, whole = self._points(x), np.eye(self.dim)
        found = np.empty((len(points), self.dim, self.dim))
        for hessian, point in zip(found, points, strict=True):
            hessian[...] = self.hessian_vector_product(point, whole)
        return found if np.ndim(x) == 2 else found[0]
