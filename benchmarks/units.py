"""Unit costs of this machine: loops that do one thing, compiled like the package's kernels."""

from __future__ import annotations

import numpy as np

from fastdescent import lanemath
from fastdescent.contracts import Kernel, Rows, Streams, kernel

__all__ = ["PER_LANE", "UNITS"]


@kernel("perturb")
def root(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Take a square root."""
    x, y = theta[0], grad[0]
    for lane in range(x.shape[0]):
        y[lane] = np.sqrt(x[lane])


@kernel("perturb")
def division(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Divide."""
    a, b, y = theta[0], theta[1], grad[0]
    for lane in range(a.shape[0]):
        y[lane] = a[lane] / b[lane]


@kernel("perturb")
def root_division(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Divide by a square root, as rules do."""
    a, b, y = theta[0], theta[1], grad[0]
    for lane in range(a.shape[0]):
        y[lane] = a[lane] / np.sqrt(b[lane])


@kernel("perturb")
def fma(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Do sixteen multiply-adds in four chains, so that nobody waits for the latency."""
    x, y, c = theta[0], grad[0], params[0, 0]
    for lane in range(x.shape[0]):
        z = x[lane]
        p = lanemath.fma(z, z, c)
        q = lanemath.fma(z, c, c)
        r = lanemath.fma(c, c, z)
        s = lanemath.fma(z, c, z)
        for _ in range(3):
            p = lanemath.fma(p, z, c)
            q = lanemath.fma(q, z, c)
            r = lanemath.fma(r, z, c)
            s = lanemath.fma(s, z, c)
        y[lane] = max(p, q, r, s)


@kernel("perturb")
def load(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Read eight rows; integers, whose sums vectorise."""
    bits = np.uint64(0)
    for i in range(8):
        row = streams[i]
        for lane in range(row.shape[0]):
            bits |= row[lane]
    grad[0, 0] = bits


@kernel("perturb")
def store(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Write eight rows."""
    value = params[0, 0]
    for i in range(8):
        row = grad[i]
        for lane in range(row.shape[0]):
            row[lane] = value


@kernel("perturb")
def sincos(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Call the function of this name."""
    x, y, z = theta[0], grad[0], grad[1]
    for lane in range(x.shape[0]):
        y[lane], z[lane] = lanemath.sincos(x[lane])


@kernel("perturb")
def sincos_turns(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Call the function of this name."""
    x, y, z = theta[0], grad[0], grad[1]
    for lane in range(x.shape[0]):
        y[lane], z[lane] = lanemath.sincos_turns(x[lane])


@kernel("perturb")
def sin(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Call the function of this name."""
    x, y = theta[0], grad[0]
    for lane in range(x.shape[0]):
        y[lane] = lanemath.sin(x[lane])


@kernel("perturb")
def cos(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Call the function of this name."""
    x, y = theta[0], grad[0]
    for lane in range(x.shape[0]):
        y[lane] = lanemath.cos(x[lane])


@kernel("perturb")
def exp(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Call the function of this name."""
    x, y = theta[0], grad[0]
    for lane in range(x.shape[0]):
        y[lane] = lanemath.exp(x[lane])


@kernel("perturb")
def log(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Call the function of this name."""
    x, y = theta[0], grad[0]
    for lane in range(x.shape[0]):
        y[lane] = lanemath.log(x[lane])


@kernel("perturb")
def tanh(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Call the function of this name."""
    x, y = theta[0], grad[0]
    for lane in range(x.shape[0]):
        y[lane] = lanemath.tanh(x[lane])


@kernel("perturb")
def sigmoid(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Call the function of this name."""
    x, y = theta[0], grad[0]
    for lane in range(x.shape[0]):
        y[lane] = lanemath.sigmoid(x[lane])


_KERNELS = (
    *(root, division, root_division, fma, load, store),
    *(sincos, sincos_turns, sin, cos, exp, log, tanh, sigmoid),
)
#: Name -> kernel that does this and little else.
UNITS: dict[str, Kernel] = {unit.function.__name__: unit for unit in _KERNELS}
#: How often a kernel does it per lane, where that is not once.
PER_LANE = {"fma": 16, "load": 8, "store": 8}
