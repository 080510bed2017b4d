"""Critical points of landscapes: roots in one dimension and their products."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from fastdescent.landscapes._base import CriticalPoint

__all__ = ["MOST_POINTS", "bisect", "points", "product_points", "roots"]

#: A landscape whose critical points are more lists its global minima only.
MOST_POINTS = 1000


def points(kind: str, positions: Iterable[ArrayLike]) -> list[CriticalPoint]:
    """Return critical points of one kind."""
    return [CriticalPoint(np.array(position, dtype=float), kind) for position in positions]


def bisect(function: Callable[[float], float], lower: float, upper: float) -> float:
    """Return where `function` changes its sign, to the last bit that bisection can find."""
    falling = function(lower) > 0.0
    while lower < (middle := 0.5 * (lower + upper)) < upper:
        lower, upper = (middle, upper) if (function(middle) > 0.0) == falling else (lower, middle)
    return lower if abs(function(lower)) < abs(function(upper)) else upper


def roots(
    function: Callable[[float], float], lower: float, upper: float, cells: int
) -> list[float]:
    """Return the roots of `function` between two ends, at most one in each of the cells."""
    nodes = [float(node) for node in np.linspace(lower, upper, cells + 1)]
    signs = [function(node) > 0.0 for node in nodes]
    return [
        bisect(function, a, b)
        for (a, b), (s, t) in zip(itertools.pairwise(nodes), itertools.pairwise(signs), strict=True)
        if s != t
    ]


def product_points(
    axis: Sequence[float], curvature: Callable[[float], float], dim: int
) -> list[CriticalPoint]:
    """Return the critical points of a sum of one function of each coordinate, minima first.

    Parameters
    ----------
    axis : sequence of float
        Critical points of that function.
    curvature : callable
        Its second derivative.
    dim : int
        Number of coordinates; there are ``len(axis) ** dim`` points.
    """
    convex = {x: curvature(x) > 0.0 for x in axis}
    found: dict[str, list[tuple[float, ...]]] = {"minimum": [], "saddle": [], "maximum": []}
    for position in itertools.product(axis, repeat=dim):
        up = sum(convex[x] for x in position)
        found["minimum" if up == dim else "saddle" if up else "maximum"].append(position)
    return [point for kind, positions in found.items() for point in points(kind, positions)]
