"""The gradient flow, and steps that follow eigenvectors: from many points at once."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fastdescent.landscapes import Landscape
from fastdescent.parts import FloatArray, IntArray

__all__ = [
    "ARRIVED",
    "AT_REST",
    "LEFT",
    "RUNNING",
    "TINY",
    "Descent",
    "LocalModel",
    "descend",
    "follow_modes",
    "length",
    "nudged_saddles",
]

#: What became of a descent: at rest in a minimum, out of the box, not finished, at a saddle.
ARRIVED, LEFT, RUNNING, _AT_SADDLE = 0, 1, 2, 3

#: Below it a number is as good as zero, and divides no longer.
TINY = 1e-300
#: Newton steps shorter than this, in lengths of the neighbourhood, are at rest.
AT_REST = 1e-6
# Steps of one descent, tried ones included; a few hundred are usual.
_MOST_STEPS = 5000
# Distance from a saddle at which its descents begin, in lengths of the neighbourhood: the error
# is its square, far below the accuracy of a step, and the way there a few e-foldings.
_NUDGE = 1e-3


class Descent(NamedTuple):
    """Where descents end: positions (n, dim), how, and all points on the way if recorded."""

    end: FloatArray
    status: IntArray
    way: list[FloatArray]


def follow_modes(
    landscape: Landscape, points: FloatArray, index: int, reach: float | FloatArray
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Follow the eigenvectors of the Hessian to critical points of a given index.

    Up along the lowest `index` eigenvectors and down along the others, by Newton's step in
    each; where the signs of the curvatures are right, this is Newton's method on the gradient.

    Parameters
    ----------
    landscape : Landscape
        The loss.
    points : ndarray, shape (n, dim)
        Where to begin.
    index : int
        Number of directions of ascent.
    reach : float or ndarray, shape (n,)
        The longest allowed step.

    Returns
    -------
    points : ndarray, shape (n, dim)
        Where it ends.
    found : ndarray of bool, shape (n,)
        Whether that is a critical point with `index` negative eigenvalues and no zero ones.
    """
    x = np.array(points, dtype=float)
    reach = np.broadcast_to(np.asarray(reach, dtype=float), len(x))
    last = np.full(len(x), np.inf)
    right = np.zeros(len(x), dtype=bool)
    moving = np.isfinite(x).all(axis=1)
    for _ in range(200):
        at = np.flatnonzero(moving)
        if not at.size:
            break
        gradient, values, vectors, finite = LocalModel.at(landscape, x[at])
        size = np.maximum(np.abs(values), 1e-14 * np.abs(values).max(axis=1, keepdims=True))
        size = np.maximum(size, TINY)
        parts = _along(vectors, gradient) / size
        parts[:, :index] *= -1.0
        step = -_across(vectors, parts)
        distance = length(step)
        step *= np.minimum(1.0, reach[at] / np.maximum(distance, TINY))[:, None]
        right[at] = finite & ((values < 0.0).sum(axis=1) == index) & (values != 0.0).all(axis=1)
        # At the limit of the arithmetic, steps are small and no longer shrink.
        small = distance <= 1e-8 * reach[at]
        moving[at] = finite & ~((distance == 0.0) | (small & (distance >= 0.5 * last[at])))
        x[at[moving[at]]] += step[moving[at]]
        last[at] = np.where(finite, distance, np.inf)
    return x, right & (last <= 1e-8 * reach)


def nudged_saddles(landscape: Landscape, saddles: FloatArray, scale: FloatArray) -> FloatArray:
    """Return points beside saddles, on both sides along the unstable direction: (2, n, dim)."""
    direction = LocalModel.at(landscape, saddles).vectors[:, :, 0]
    # A rule for the sign, so that the order of the sides is the same on every machine.
    largest = np.argmax(np.abs(direction) > 0.5 * np.abs(direction).max(1, keepdims=True), 1)
    direction = direction * np.sign(direction[np.arange(len(direction)), largest])[:, None]
    shift = _NUDGE * scale[:, None] * direction
    return np.stack([saddles - shift, saddles + shift])


def descend(
    landscape: Landscape,
    starts: FloatArray,
    box: FloatArray,
    scale: FloatArray,
    tolerance: float,
    *,
    record: bool = False,
) -> Descent:
    r"""Follow the gradient flow from many points until it comes to rest or leaves a box.

    .. math:: \dot x = -\nabla f(x)

    The method is linearly implicit, of order 2 and L-stable, with the Hessian as Jacobian, so
    stiff valleys cost no more than others.  Flow that comes to rest at a saddle, as happens in
    planes of symmetry, is nudged to the side and goes on.

    Parameters
    ----------
    landscape : Landscape
        The loss.
    starts : ndarray, shape (n, dim)
        Where to begin.
    box : ndarray, shape (dim, 2)
        Where a descent has left it, it ends.
    scale : ndarray, shape (n,)
        Length of the neighbourhood of each start.
    tolerance : float
        Local error of a step in units of `scale`.
    record : bool
        Whether to keep all points on the way.
    """
    x = starts.copy()
    status = np.full(len(x), RUNNING, dtype=np.int64)
    local = LocalModel.at(landscape, x)
    step = 0.1 / np.maximum(np.abs(local.values).max(axis=1), TINY)
    way = [x.copy()] if record else []
    for _ in range(_MOST_STEPS):
        active = np.flatnonzero(status == RUNNING)
        if not active.size:
            break
        h = step[active]
        new, error = _rosenbrock(landscape, x[active], local.of(active), h)
        error = np.where(np.isfinite(error), error / (tolerance * scale[active]), np.inf)
        step[active] = h * np.clip(0.8 * np.maximum(error, 1e-9) ** (-1.0 / 3.0), 0.2, 5.0)
        taken = active[error <= 1.0]
        x[taken] = new[error <= 1.0]
        local.renew(landscape, x, taken)
        status[taken] = _status(x[taken], local.of(taken), box, scale[taken])
        turned = taken[status[taken] == _AT_SADDLE]
        x[turned] += _NUDGE * scale[turned, None] * local.vectors[turned, :, 0]
        local.renew(landscape, x, turned)
        status[turned] = RUNNING
        if record:
            way.append(x.copy())
    return Descent(x, status, way)


def _status(x: FloatArray, local: LocalModel, box: FloatArray, scale: FloatArray) -> IntArray:
    """Return the status of descents after a step."""
    parts = np.abs(_along(local.vectors, local.gradient))
    newton = np.divide(parts, np.abs(local.values), out=np.zeros_like(parts), where=parts > 0.0)
    still = length(newton) <= AT_REST * scale
    outside = ((x < box[:, 0]) | (x > box[:, 1])).any(axis=1) | ~local.finite
    rest = np.where(local.values[:, 0] < 0.0, _AT_SADDLE, ARRIVED)
    return np.where(outside, LEFT, np.where(still, rest, RUNNING))


@np.errstate(all="ignore")  # a step that is far too long is not taken
def _rosenbrock(
    landscape: Landscape, x: FloatArray, local: LocalModel, step: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the points after one step of the flow, and the norms of the steps' errors."""
    d, e = 1.0 / (2.0 + math.sqrt(2.0)), 6.0 + math.sqrt(2.0)
    h = step[:, None]
    denominator = 1.0 + h * d * local.values

    def solved(right: FloatArray) -> FloatArray:
        return _across(local.vectors, _along(local.vectors, right) / denominator)

    slope = -local.gradient
    k1 = solved(slope)
    middle = -landscape.gradient(x + 0.5 * h * k1)
    k2 = solved(middle - k1) + k1
    new = x + h * k2
    after = -landscape.gradient(new)
    k3 = solved(after - e * (k2 - middle) - 2.0 * (k1 - slope))
    return new, length(h / 6.0 * (k1 - 2.0 * k2 + k3))


class LocalModel(NamedTuple):
    """Gradients, eigenvalues (ascending) and eigenvectors at points, and whether all are finite.

    Where they are not, they are 0.
    """

    gradient: FloatArray
    values: FloatArray
    vectors: FloatArray
    finite: NDArray[np.bool_]

    @classmethod
    def at(cls, landscape: Landscape, x: FloatArray) -> LocalModel:
        """Evaluate a landscape at points (n, dim)."""
        gradient, hessian = landscape.gradient(x), landscape.hessian(x)
        finite = np.isfinite(np.concatenate([gradient[:, None], hessian], axis=1)).all(axis=(1, 2))
        values, vectors = np.linalg.eigh(np.where(finite[:, None, None], hessian, 0.0))
        return cls(np.where(finite[:, None], gradient, 0.0), values, vectors, finite)

    def of(self, chosen: IntArray) -> LocalModel:
        """Return those of some of the points."""
        gradient, values, vectors, finite = self
        return LocalModel(gradient[chosen], values[chosen], vectors[chosen], finite[chosen])

    def renew(self, landscape: Landscape, x: FloatArray, chosen: IntArray) -> None:
        """Evaluate some of the points anew, as they have moved."""
        for part, value in zip(self, LocalModel.at(landscape, x[chosen]), strict=True):
            part[chosen] = value


def _along(vectors: FloatArray, x: FloatArray) -> FloatArray:
    """Return the components of vectors (n, dim) along eigenvectors (n, dim, dim)."""
    return np.asarray(np.einsum("nij,ni->nj", vectors, x))


def _across(vectors: FloatArray, parts: FloatArray) -> FloatArray:
    """Return the vectors that have these components along the eigenvectors."""
    return np.asarray(np.einsum("nij,nj->ni", vectors, parts))


def length(x: FloatArray) -> FloatArray:
    """Return the Euclidean norm along the last axis."""
    return np.asarray(np.sqrt((x * x).sum(axis=-1)))
