"""Minimum-energy paths: the lowest ways from one minimum to another, and their barriers."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.interpolate import CubicHermiteSpline
from scipy.sparse.csgraph import csgraph_from_dense, dijkstra

from fastdescent.errors import InvalidValueError
from fastdescent.geometry._dataset import variable
from fastdescent.geometry.flow import (
    ARRIVED,
    AT_REST,
    TINY,
    LocalModel,
    descend,
    follow_modes,
    length,
    nudged_saddles,
)
from fastdescent.geometry.scales import checked_landscape, checked_point
from fastdescent.landscapes import Landscape
from fastdescent.parts import FloatArray, IntArray, is_integer, is_number
from fastdescent.streams import START, normals

__all__ = ["minimum_energy_path"]

# Two critical points closer than this, in lengths of the neighbourhood, are one.
_SAME = 1e-5
# The string: it stands still when its images move by less than this part of their distance.
_STILL = 1e-3
# Bend of the first string in units of its length, by which it leaves ridges of symmetry.
_BEND = 0.02
# Iterations between two looks at the curvature, which costs more than a gradient; steps of one
# over it would be too long only where it doubles meanwhile, and then no longer than half a gap.
_RENEWED = 10
# Points between two images at which peaks of the loss are looked for.
_FINER = 8
# With more strings than this, a search gives up.
_MOST_STRINGS = 24


class _Pass(NamedTuple):
    """An index-1 saddle, the two minima that it joins and the descents to them."""

    saddle: FloatArray
    value: float
    minima: tuple[int, int]
    lines: tuple[FloatArray, FloatArray]


def minimum_energy_path(
    landscape: Landscape,
    start: ArrayLike,
    end: ArrayLike,
    *,
    images: int = 41,
    tolerance: float = 1e-6,
    iterations: int = 2000,
) -> xr.Dataset:
    r"""Find a minimum-energy path between two minima, and the barriers on it.

    On a minimum-energy path the gradient has no part across the path,

    .. math:: \nabla f - (\nabla f \cdot \hat\tau) \hat\tau = 0,

    so it consists of lines of steepest descent, two from each of its saddles.  It is found in
    three steps.  A string of `images` points, at first nearly straight, moves down the gradient
    and is kept evenly spaced (the simplified string method).  The peaks of the loss along it
    are taken to saddles of index 1 by eigenvector-following.  Steepest descent from both sides
    of every saddle then shows which minima it joins; where these leave a gap, a further string
    is stretched over it.  So minima on the way split the path, and a path that is returned as
    converged is a chain of descents that were really followed, not a string at rest.

    There may be other and lower paths: what a string finds depends on where it begins.  The
    lowest one over all known saddles is what `barriers` tells.

    Parameters
    ----------
    landscape : Landscape
        The loss, with a Hessian.
    start, end : array_like, shape (dim,)
        Two minima with positive definite Hessian; they are polished by Newton's method if
        they are off by less than a tenth of their distance.
    images : int
        Number of images, >= 3, evenly spaced between one critical point and the next.  A path
        with more critical points than that gets an image for each of them.
    tolerance : float
        Local error of the descents, in units of the distance from their saddle to the nearest
        other critical point, in [1e-9, 1e-4].  The path is off by about its power 2/3.
    iterations : int
        The most steps of one string, >= 1.

    Returns
    -------
    xarray.Dataset
        Along `image`: `position`, `value`, `arc_length` and `residual`, the norm of the
        gradient across the path.  Along `barrier`, in order from start to end: `saddle` (its
        position), `saddle_value`, `saddle_index`, `saddle_eigenvalues`, `saddle_gradient` (norm),
        `saddle_image`, and `height_forward` and `height_backward` above the minima before and
        after it.  Along `well`, one more: `minimum`, `minimum_value`, `minimum_image`.
        `height_above_start` and `height_above_end` are those of the highest image.
        Attributes: `converged`, 1 or 0, and `iterations` and `strings` that were needed.  A path
        that has not converged is the first string, without barriers.

    Raises
    ------
    InvalidValueError
        If an end is not near a minimum, both are the same one, or an argument is not allowed.

    References
    ----------
    E, Ren and Vanden-Eijnden (2007), Journal of Chemical Physics 126, 164103;
    Cerjan and Miller (1981), Journal of Chemical Physics 75, 2800-2806; Carr, Trygubenko
    and Wales (2005), Journal of Chemical Physics 122, 234903, on joining gaps; Shampine and
    Reichelt (1997), SIAM Journal on Scientific Computing 18, 1-22, for the descents.

    Examples
    --------
    >>> import fastdescent as fd
    >>> path = minimum_energy_path(fd.landscapes.Himmelblau(), [3.0, 2.0], [3.5844, -1.8481])
    >>> print(f"{path['height_above_start']:.8f}, {path.attrs['converged']}")
    13.31192627, 1
    """
    _check(images, tolerance, iterations)
    ends = _ends(landscape, start, end)
    search = _Search(landscape, ends, images, tolerance, iterations)
    route = search.run()
    return _dataset(search, _legs(search, route), images)


class _Search:
    """Strings and descents until a chain of passes joins the first two minima."""

    def __init__(
        self,
        landscape: Landscape,
        ends: FloatArray,
        images: int,
        tolerance: float,
        iterations: int,
    ) -> None:
        self.landscape, self.tolerance, self.most = landscape, tolerance, iterations
        self.size = float(length(ends[1] - ends[0]))
        self.images = max(images, 15)  # fewer cannot follow a path round two corners
        around = np.concatenate([ends, landscape.domain.T])
        low, high = around.min(axis=0), around.max(axis=0)
        self.box = np.stack([low - (high - low), high + (high - low)], axis=1)
        self.minima: list[FloatArray] = list(ends)
        self.passes: list[_Pass] = []
        self.strings: dict[tuple[int, int], FloatArray] = {}
        self.iterations = 0

    def run(self) -> list[int]:
        """Return the minima along the path; two in a row that no pass joins have a string."""
        groups = self._groups()
        while groups[0] != groups[1] and len(self.strings) <= _MOST_STRINGS:
            gaps = self._gaps(groups)
            if not gaps:
                break
            for gap in gaps:
                self.strings[gap] = self._string(*gap)
                self._explore(self.strings[gap])
            groups = self._groups()
        joined = [(p.value, *p.minima) for p in self.passes]
        if groups[0] != groups[1]:
            joined = [(math.inf, 0, 1)]
        return _bottleneck_route(joined, len(self.minima))

    def _groups(self) -> list[int]:
        """Return for each minimum the smallest one that passes join it to."""
        groups = list(range(len(self.minima)))
        for a, b in (p.minima for p in self.passes):
            low, high = sorted((groups[a], groups[b]))
            groups = [low if group == high else group for group in groups]
        return groups

    def _gaps(self, groups: Sequence[int]) -> list[tuple[int, int]]:
        """Return the gaps that no string has tried, on the chain from start to end.

        It is the chain of minima with the least sum of squared gaps.
        """
        x, group = np.array(self.minima), np.array(groups)
        weights = length(x[:, None] - x) ** 2
        weights[group[:, None] == group] *= 1e-12  # joined already: no gap, but not for nothing
        for pair in self.strings:
            if groups[pair[0]] != groups[pair[1]]:
                weights[pair] = weights[pair[::-1]] = np.inf
        graph = csgraph_from_dense(weights, null_value=np.inf)
        before = dijkstra(graph, directed=False, indices=[0], return_predecessors=True)[1][0]
        chain = [1]
        while before[chain[-1]] >= 0:
            chain.append(int(before[chain[-1]]))
        pairs = [(min(pair), max(pair)) for pair in itertools.pairwise(chain)]
        return [pair for pair in pairs if groups[pair[0]] != groups[pair[1]]]

    def _string(self, a: int, b: int) -> FloatArray:
        x = _bent(self.minima[a], self.minima[b], self.images)
        for iteration in range(self.most):
            self.iterations += 1
            if iteration % _RENEWED == 0:
                values = LocalModel.at(self.landscape, x[1:-1]).values
                curvature = np.maximum(np.abs(values).max(axis=1, keepdims=True), TINY)
            spacing = float(length(np.diff(x, axis=0)).mean())
            gradient = self.landscape.gradient(x[1:-1])
            finite = np.isfinite(gradient).all(axis=1, keepdims=True)
            step = np.where(finite, gradient, 0.0) / curvature
            reach = 0.5 * spacing / np.maximum(length(step), TINY)
            moved = x.copy()
            moved[1:-1] -= step * np.minimum(1.0, reach)[:, None]
            moved = _evenly(moved, self.images)
            change = float(length(moved - x).max())
            x = moved
            if change <= _STILL * spacing:
                break
        return x

    def _explore(self, string: FloatArray) -> None:
        """Take the peaks on a string to saddles, and these down to the minima beside them."""
        spacing = float(length(np.diff(string, axis=0)).mean())
        fine = _evenly(string, _FINER * (len(string) - 1) + 1)
        value = self.landscape.value(fine)
        peaks = np.flatnonzero((value[1:-1] >= value[:-2]) & (value[1:-1] > value[2:])) + 1
        found, right = follow_modes(self.landscape, fine[peaks], 1, spacing)
        saddles = self._new(found[right])
        if len(saddles):
            self._join(saddles)

    def _new(self, found: FloatArray) -> FloatArray:
        known = [p.saddle for p in self.passes]
        for x in found:
            if not any(length(x - other) <= _SAME * self.size for other in known):
                known.append(x)
        return np.array(known[len(self.passes) :])

    def _join(self, saddles: FloatArray) -> None:
        others = np.concatenate([np.array(self.minima), saddles])
        distance = length(saddles[:, None] - others)
        scale = np.where(distance > _SAME * self.size, distance, np.inf).min(axis=1)
        starts = nudged_saddles(self.landscape, saddles, scale)
        k = len(saddles)
        down = descend(
            self.landscape,
            starts.reshape(2 * k, -1),
            self.box,
            np.tile(scale, 2),
            self.tolerance,
            record=True,
        )
        bottom, right = follow_modes(self.landscape, down.end, 0, 0.1 * np.tile(scale, 2))
        right &= down.status == ARRIVED
        way = np.stack(down.way)
        for i, saddle in enumerate(saddles):
            if not (right[i] and right[k + i]):
                continue
            minima = self._minimum(bottom[i]), self._minimum(bottom[k + i])
            if minima[0] != minima[1]:
                first = _line(saddle, way[:, i], self.minima[minima[0]])
                second = _line(saddle, way[:, k + i], self.minima[minima[1]])
                value = self.landscape.value(saddle)
                self.passes.append(_Pass(saddle, value, minima, (first, second)))

    def _minimum(self, x: FloatArray) -> int:
        """Return the number of a minimum, a new one if it is not known yet."""
        for number, known in enumerate(self.minima):
            if length(x - known) <= _SAME * self.size:
                return number
        self.minima.append(x)
        return len(self.minima) - 1


def _bottleneck_route(joined: Sequence[tuple[float, int, int]], count: int) -> list[int]:
    """Return the minima on the way from 0 to 1 whose passes are all as low as can be."""
    groups = list(range(count))
    neighbours: list[list[int]] = [[] for _ in range(count)]
    for _, a, b in sorted(joined):
        if groups[a] != groups[b]:
            groups = [groups[a] if group == groups[b] else group for group in groups]
            neighbours[a].append(b)
            neighbours[b].append(a)
    ways = [[0]]  # the passes kept form a forest, in which there is one way
    while ways[-1][-1] != 1:
        way = ways.pop()
        ways += [[*way, k] for k in neighbours[way[-1]] if k not in way[-2:]]
    return ways[-1]


class _Segment(NamedTuple):
    """A part of the path between two critical points: its points and unit tangents."""

    points: FloatArray
    tangents: FloatArray


def _legs(search: _Search, route: Sequence[int]) -> tuple[list[_Segment], list[_Pass]]:
    """Return the segments of the path and the passes between them."""
    segments, used = [], []
    for a, b in itertools.pairwise(route):
        joining = [p for p in search.passes if set(p.minima) == {a, b}]
        if not joining:
            string = search.strings[a, b]
            tangents = np.gradient(string, axis=0)
            return [_Segment(string, tangents / length(tangents)[:, None])], []
        lowest = min(joining, key=lambda p: p.value)
        up, down = lowest.lines if lowest.minima == (a, b) else lowest.lines[::-1]
        segments += [_flow(search.landscape, points) for points in (up[::-1], down)]
        used.append(lowest)
    return segments, used


def _flow(landscape: Landscape, points: FloatArray) -> _Segment:
    """Return a line of the gradient flow with its tangents, which are its gradients."""
    chords = np.diff(points, axis=0)
    tangents = np.concatenate([chords[:1], landscape.gradient(points[1:-1]), chords[-1:]])
    tangents[1:-1] *= np.sign((tangents[1:-1] * chords[1:]).sum(axis=1))[:, None]
    return _Segment(points, tangents / length(tangents)[:, None])


def _line(saddle: FloatArray, way: FloatArray, minimum: FloatArray) -> FloatArray:
    """Return the points of a descent, each once, with its exact ends."""
    near = 10.0 * AT_REST * length(minimum - saddle) + 10.0 * length(way[-1] - minimum)
    kept = np.concatenate([[True], length(np.diff(way, axis=0)) > 0.0])
    inner = way[kept & (length(way - minimum) > near)]
    return np.concatenate([saddle[None], inner, minimum[None]])


def _bent(start: FloatArray, end: FloatArray, images: int) -> FloatArray:
    """Return a string that is straight but for a slight bend in a direction without symmetry."""
    t = np.linspace(0.0, 1.0, images)[:, None]
    along = (end - start) / length(end - start)
    aside = normals(0, START, np.arange(1), len(start))[0]
    aside -= (aside @ along) * along
    size = float(length(aside))
    bend = _BEND * length(end - start) * (aside / size if size > 1e-9 else 0.0 * aside)
    return np.asarray(start + t * (end - start) + np.sin(math.pi * t) * bend)


def _evenly(x: FloatArray, count: int) -> FloatArray:
    """Return points evenly spaced along a polygon."""
    s = np.concatenate([[0.0], np.cumsum(length(np.diff(x, axis=0)))])
    at = np.linspace(0.0, s[-1], count)
    inner = np.stack([np.interp(at, s, column) for column in x.T], axis=1)
    inner[0], inner[-1] = x[0], x[-1]
    return inner


def _curve(segment: _Segment) -> tuple[CubicHermiteSpline, float]:
    """Return a segment as a curve over its arc length, and its whole length."""
    turn = length(np.diff(segment.tangents, axis=0))
    # A chord is shorter than its arc by a 24th of the square of the angle that it spans.
    arcs = length(np.diff(segment.points, axis=0)) * (1.0 + turn**2 / 24.0)
    s = np.concatenate([[0.0], np.cumsum(arcs)])
    return CubicHermiteSpline(s, segment.points, segment.tangents), float(s[-1])


def _shares(lengths: FloatArray, intervals: int) -> IntArray:
    """Return how many intervals each segment gets: at least one, the rest by its length."""
    shares = np.ones(len(lengths), dtype=np.int64)
    for _ in range(intervals - len(lengths)):
        shares[np.argmax(lengths / shares)] += 1
    return shares


def _dataset(search: _Search, legs: tuple[list[_Segment], list[_Pass]], images: int) -> xr.Dataset:
    segments, passes = legs
    landscape = search.landscape
    curves = [_curve(segment) for segment in segments]
    shares = _shares(np.array([size for _, size in curves]), images - 1)
    positions, tangents, arc = [segments[0].points[:1]], [segments[0].tangents[:1]], [np.zeros(1)]
    for segment, (curve, size), share in zip(segments, curves, shares, strict=True):
        at = np.linspace(0.0, size, share + 1)[1:]
        positions += [curve(at[:-1]), segment.points[-1:]]
        tangents.append(curve(at, 1))
        arc.append(arc[-1][-1] + at)
    position, tangent = np.concatenate(positions), np.concatenate(tangents)
    value, gradient = landscape.value(position), landscape.gradient(position)
    tangent /= length(tangent)[:, None]
    with np.errstate(invalid="ignore"):  # a string may stand where the loss is infinite
        across = gradient - (gradient * tangent).sum(axis=1, keepdims=True) * tangent
    nodes = np.concatenate([[0], np.cumsum(shares)])
    data = {
        "position": variable("image coordinate", position, "position on the path"),
        "value": variable("image", value, "loss on the path"),
        "arc_length": variable("image", np.concatenate(arc), "arc length from the start"),
        "residual": variable("image", length(across), "norm of the gradient across the path"),
        **_barriers(search, passes, nodes if passes else nodes[[0, -1]]),
    }
    for name, end in (("start", 0), ("end", -1)):
        height = value.max() - value[end]
        data[f"height_above_{name}"] = variable("", height, f"highest image above the {name}")
    attributes = {
        "landscape": repr(landscape),
        "method": "string, eigenvector-following, descents from the saddles",
        "converged": int(bool(passes)),
        "iterations": search.iterations,
        "strings": len(search.strings),
        "tolerance": search.tolerance,
    }
    return xr.Dataset(data, attrs=attributes)


def _barriers(search: _Search, passes: Sequence[_Pass], nodes: IntArray) -> dict[str, Any]:
    """Return the variables of saddles and minima; `nodes` are their images in turn."""
    landscape, dim = search.landscape, search.landscape.dim
    saddles = np.array([p.saddle for p in passes]).reshape(-1, dim)
    order = [0]  # the two minima of each pass in the order of the path
    for p in passes:
        order.append(p.minima[0] if p.minima[1] == order[-1] else p.minima[1])
    minima = np.array([search.minima[k] for k in order]) if passes else np.array(search.minima[:2])
    low, high = landscape.value(minima), landscape.value(saddles) if passes else np.zeros(0)
    gradient, eigenvalues = LocalModel.at(landscape, saddles)[:2] if passes else (saddles, saddles)
    index = (eigenvalues < 0.0).sum(axis=1)
    return {
        "saddle": variable("barrier coordinate", saddles, "position of the saddle"),
        "saddle_value": variable("barrier", high, "loss at the saddle"),
        "saddle_index": variable("barrier", index, "number of negative eigenvalues"),
        "saddle_eigenvalues": variable("barrier eigenvalue", eigenvalues, "of the Hessian"),
        "saddle_gradient": variable("barrier", length(gradient), "norm of the gradient"),
        "saddle_image": variable("barrier", nodes[1:-1:2], "image at the saddle"),
        "height_forward": variable(
            "barrier", high - low[:-1][: len(high)], "above the minimum before"
        ),
        "height_backward": variable(
            "barrier", high - low[1:][: len(high)], "above the minimum after"
        ),
        "minimum": variable("well coordinate", minima, "position of the minimum"),
        "minimum_value": variable("well", low, "loss at the minimum"),
        "minimum_image": variable("well", nodes[::2] if passes else nodes, "image at the minimum"),
    }


def _check(images: Any, tolerance: Any, iterations: Any) -> None:
    if not is_integer(images) or images < 3:
        raise InvalidValueError("images", images, "an integer >= 3", "both ends are images")
    if not is_number(tolerance) or not 1e-9 <= tolerance <= 1e-4:
        raise InvalidValueError("tolerance", tolerance, "a number in [1e-9, 1e-4]")
    if not is_integer(iterations) or iterations < 1:
        raise InvalidValueError("iterations", iterations, "an integer >= 1")


def _ends(landscape: Landscape, start: ArrayLike, end: ArrayLike) -> FloatArray:
    """Return both ends, polished to minima."""
    dim = checked_landscape(landscape).dim
    given = {"start": checked_point("start", start, dim), "end": checked_point("end", end, dim)}
    points = np.array(list(given.values()))
    apart = float(length(points[1] - points[0]))
    way = "take two minima, such as those that find_critical_points returns"
    if apart == 0.0:
        raise InvalidValueError("end", end, "another minimum than the start", way)
    found, right = follow_modes(landscape, points, 0, 0.1 * apart)
    for name, point, at, ok in zip(given, points, found, right, strict=True):
        if not ok or length(at - point) > 0.1 * apart:
            norm = float(length(landscape.gradient(point)))
            raise InvalidValueError(
                f"{name}: gradient norm {norm:.3g}", point.tolist(), "a strict minimum", way
            )
    if length(found[1] - found[0]) <= _SAME * apart:
        raise InvalidValueError("end", end, "another minimum than the start", way)
    return found
