"""The trajectories that a picture of a landscape shows, and the part of it that is in view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdescent.errors import InvalidValueError
from fastdescent.landscapes import Landscape
from fastdescent.parts import FloatArray
from fastdescent.plot._curves import Curve, ended_as, evenly, flat, needs

__all__ = ["Field", "Path", "field_of", "inside", "paths_of", "view_of"]

# Points of one line; more cannot be told apart in print.
_MOST_POINTS = 2000
# A diverging line leaves the view; where it ends beyond, in widths of the view.
_FAR = 1e6


class Path(NamedTuple):
    """One trajectory: its points (n, dim), their losses, and whether it diverged."""

    points: FloatArray
    loss: FloatArray
    diverged: bool


def paths_of(curve: Curve, chosen: NDArray[np.int64], view: FloatArray) -> list[Path]:
    """Return chosen trajectories up to where they end or have left the view for good."""
    needs(curve.ds, "path", "record=fd.record.log_spaced(200)")
    needs(curve.ds, "path_loss", "record=fd.record.log_spaced(200)")
    points, loss = flat(curve.ds, "path")[chosen], flat(curve.ds, "path_loss")[chosen]
    diverged = ended_as(curve.ds, "diverged")[chosen]
    kept = evenly(points.shape[1], _MOST_POINTS)
    return [
        Path(*_until_far(p[kept], f[kept], view), bool(d))
        for p, f, d in zip(points, loss, diverged, strict=True)
    ]


def _until_far(
    points: FloatArray, loss: FloatArray, view: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Cut a line at the first point that is far outside, and shorten its last segment."""
    centre, width = view.mean(axis=1), np.ptp(view, axis=1)
    with np.errstate(invalid="ignore", over="ignore"):
        distance = np.abs((points - centre) / width).max(axis=1)
    far = np.flatnonzero(~(distance <= _FAR))
    if not far.size:
        return points, loss
    end = int(far[0])
    if end and np.isfinite(points[end]).all():
        shorter = points[: end + 1].copy()
        half = (points[end] / 2 - points[end - 1] / 2) / width  # halves, so as not to overflow
        length = 2.0 * min(1.0, 1.5 * _FAR / np.abs(half).max())
        # From within _FAR it goes at most 3 times as far, and so it ends outside.
        shorter[end] = points[end - 1] + length * half * width
        return shorter, loss[: end + 1]
    return points[:end], loss[:end]


def view_of(
    landscape: Landscape,
    curves: Sequence[Curve],
    chosen: Sequence[NDArray[np.int64]],
    view: ArrayLike | None,
) -> FloatArray:
    """Return lower and upper end of each coordinate in view, shape (dim, 2).

    Unless it is given, the view holds all start points, the global minima and the points
    of the chosen trajectories that lie in the domain, and a margin.
    """
    if view is not None:
        ends = np.array(view, dtype=float)
        if ends.shape != (landscape.dim, 2) or not (ends[:, 0] < ends[:, 1]).all():
            raise InvalidValueError(
                "view", view, f"{landscape.dim} pairs (lower, upper) with lower < upper"
            )
        return ends
    domain = landscape.domain
    starts = np.concatenate([_starts(curve) for curve in curves])
    starts = starts[np.isfinite(starts).all(axis=1)]
    points = [starts] if landscape.minima is None else [starts, landscape.minima]
    low = np.minimum(domain[:, 0], starts.min(axis=0, initial=np.inf))
    high = np.maximum(domain[:, 1], starts.max(axis=0, initial=-np.inf))
    reach = np.stack([low, high], axis=1)
    for curve, at in zip(curves, chosen, strict=True):
        seen = flat(curve.ds, "path")[at].reshape(-1, landscape.dim)
        points.append(seen[inside(seen, reach)])
    everything = np.concatenate(points)
    low, high = everything.min(axis=0), everything.max(axis=0)
    # Never so narrow that a trajectory along one axis is drawn in a slit.
    least = np.maximum(0.25 * (high - low).max(), 1e-3 * np.ptp(domain, axis=1))
    margin = np.maximum(0.08 * (high - low), 0.5 * (least - (high - low)))
    return np.stack([low - margin, high + margin], axis=1)


def inside(points: FloatArray, view: FloatArray) -> NDArray[np.bool_]:
    """Return which points (..., dim) are in view."""
    return np.asarray(((points >= view[:, 0]) & (points <= view[:, 1])).all(axis=-1))


def _starts(curve: Curve) -> FloatArray:
    return np.asarray(flat(curve.ds, "initial"), dtype=float)


class Field(NamedTuple):
    """Losses over a grid: its two rows of nodes and the losses ``loss[y, x]``."""

    x: FloatArray
    y: FloatArray
    loss: FloatArray


def field_of(landscape: Landscape, view: FloatArray, nodes: int) -> Field:
    """Evaluate a landscape of two dimensions on a grid over the view."""
    x, y = (np.linspace(low, high, nodes) for low, high in view)
    points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    return Field(x, y, np.asarray(landscape.value(points)).reshape(nodes, nodes))
