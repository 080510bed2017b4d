"""Second derivatives of layered networks, in NumPy: a product with a vector at a time."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from fastdescent.parts import FloatArray

__all__ = ["Network"]


class Network:
    """A network on fixed samples, differentiated twice.

    Every quantity q has a companion R(q), its derivative along the direction of the
    parameters; Pearlmutter (1994), Neural Computation 6, 147-160, section 3.
    """

    def __init__(
        self,
        x: FloatArray,
        y: FloatArray,
        widths: tuple[int, ...],
        activation: str,
        loss: str,
        bias: bool,
        scales: tuple[float, ...],
    ) -> None:
        self.x, self.y, self.widths = x, y, widths
        self.activation, self.loss, self.bias, self.scales = activation, loss, bias, scales

    def hessian_vector_product(self, theta: FloatArray, vector: FloatArray) -> FloatArray:
        """Return the Hessian at `theta` times `vector`."""
        layers = list(zip(self._tensors(theta), self._tensors(vector), self.scales, strict=True))
        value, change = self.x, np.zeros_like(self.x)
        passed: list[Any] = []
        for i, ((weight, bias), (d_weight, d_bias), scale) in enumerate(layers):
            z = scale * (value @ weight.T + bias)
            d_z = scale * (change @ weight.T + value @ d_weight.T + d_bias)
            last = i == len(layers) - 1
            after, slope, bend = _activation("identity" if last else self.activation, z)
            passed.append((value, change, d_z, slope, bend))
            value, change = after, slope * d_z
        delta, d_delta = self._output(value, change)
        parts: list[FloatArray] = []
        for (weight, _), (d_weight, _), scale in reversed(layers):
            before, d_before, d_z, slope, bend = passed.pop()
            error = scale * slope * delta
            d_error = scale * (bend * d_z * delta + slope * d_delta)
            if self.bias:
                parts.append(d_error.sum(axis=0))
            parts.append((d_error.T @ before + error.T @ d_before).ravel())
            delta, d_delta = error @ weight, d_error @ weight + error @ d_weight
        return np.concatenate(parts[::-1])

    def _tensors(self, theta: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
        found, at = [], 0
        for columns, rows in itertools.pairwise(self.widths):
            weight = theta[at : at + rows * columns].reshape(rows, columns)
            at += rows * columns
            bias = theta[at : at + rows] if self.bias else np.zeros(rows)
            at += rows if self.bias else 0
            found.append((weight, bias))
        return found

    def _output(self, value: FloatArray, change: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the loss's derivative by the outputs, and that derivative's change."""
        count = len(self.x)
        if self.loss == "squared":
            return 2.0 / count * (value - self.y), 2.0 / count * change
        if value.shape[1] == 1:
            p = 0.5 * (1.0 + np.tanh(0.5 * value))
            return (p - self.y) / count, p * (1.0 - p) * change / count
        p = np.exp(value - value.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        hit = self.y == np.arange(value.shape[1])
        mean = (p * change).sum(axis=1, keepdims=True)
        return (p - hit) / count, p * (change - mean) / count


def _activation(kind: str, z: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return an activation with its first and second derivative."""
    if kind == "identity":
        return z, np.ones_like(z), np.zeros_like(z)
    if kind == "relu":
        return np.maximum(z, 0.0), (z > 0.0).astype(float), np.zeros_like(z)
    if kind == "tanh":
        y = np.tanh(z)
        slope = 1.0 - y * y
        return y, slope, -2.0 * y * slope
    if kind == "sigmoid":
        y = 0.5 * (1.0 + np.tanh(0.5 * z))
        slope = y * (1.0 - y)
        return y, slope, (1.0 - 2.0 * y) * slope
    root, cubic = np.sqrt(2.0 / np.pi), 0.044715
    y = np.tanh(root * (z + cubic * z**3))
    rate, speed = root * (1.0 + 3.0 * cubic * z * z), 6.0 * root * cubic * z
    slope = 1.0 - y * y
    first = 0.5 * (1.0 + y) + 0.5 * z * slope * rate
    second = slope * rate + 0.5 * z * slope * (speed - 2.0 * y * rate * rate)
    return 0.5 * z * (1.0 + y), first, second
