"""Which minima are joined over which saddles: barriers and the disconnectivity graph."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from fastdescent.errors import InvalidValueError
from fastdescent.geometry._dataset import checked_dataset, critical_points_of, variable
from fastdescent.geometry.flow import (
    ARRIVED,
    LEFT,
    descend,
    follow_modes,
    length,
    nudged_saddles,
)
from fastdescent.geometry.scales import checked_box, checked_landscape
from fastdescent.landscapes import Landscape
from fastdescent.parts import FloatArray, IntArray

__all__ = ["barriers", "disconnectivity", "saddle_connections"]

# Local error of a descent: which minimum it reaches is all that is asked.
_TOLERANCE = 1e-5
# A descent that ends at a listed minimum is this close to it, in lengths of the neighbourhood.
_SAME = 1e-4


def saddle_connections(
    landscape: Landscape, critical_points: xr.Dataset, *, box: ArrayLike | None = None
) -> xr.Dataset:
    r"""Follow both ways down from every saddle of index 1 to the minima that it joins.

    .. math:: \dot x = -\nabla f(x), \qquad x(0) = x_s \pm \epsilon v_1,

    where v_1 is the eigenvector of the negative eigenvalue at the saddle.  In one dimension the
    maxima are the saddles.  All descents run at once, by a linearly implicit method, and the last
    digits are Newton's.  A descent that comes to rest at another saddle, as happens in planes of
    symmetry, goes on from there to one of the sides, which is as low.  Degenerate saddles have
    no such direction and are left out; `skipped` counts them.

    Parameters
    ----------
    landscape : Landscape
        The loss, with a Hessian.
    critical_points : xarray.Dataset
        Along `point`: `position`, `value`, `kind` and `index`, as from `find_critical_points`.
    box : array_like, shape (2,) or (dim, 2), optional
        Where a descent leaves it, it is lost; by default the domain and all critical points,
        with half of its width more on every side.

    Returns
    -------
    xarray.Dataset
        Along `connection`, one for each saddle of index 1: `saddle`, `minimum_a`, `minimum_b`
        (numbers of points; -1 where the descent reached no listed minimum), `value` of the
        saddle, and `outcome_a` and `outcome_b`: "minimum", "unlisted" for a minimum that is not
        in the list, "left" for a descent that left the box, "unfinished".

    Raises
    ------
    InvalidValueError
        If the landscape is none, the critical points are not a dataset of that form and
        dimension, or have no minimum or no saddle of index 1, or the box is empty or not finite.

    References
    ----------
    Wales (2003), Energy Landscapes, Cambridge University Press.

    Examples
    --------
    >>> import fastdescent as fd
    >>> landscape = fd.landscapes.SymmetricDoubleWell()
    >>> positions = [point.position for point in landscape.critical_points()]
    >>> points = fd.geometry.classify_points(landscape, positions)
    >>> found = saddle_connections(landscape, points)
    >>> print(int(found["minimum_a"][0]), int(found["minimum_b"][0]), float(found["value"][0]))
    0 1 0.25
    """
    listed = _Listed.of(landscape, critical_points)
    ends = _box(landscape, listed.position, box)
    saddles = listed.position[listed.saddles]
    scale = _scales(listed, ends)
    starts = nudged_saddles(landscape, saddles, scale)
    twice, dim = np.tile(scale, 2), landscape.dim
    down = descend(landscape, starts.reshape(-1, dim), ends, twice, _TOLERANCE)
    bottom, right = follow_modes(landscape, down.end, 0, 0.1 * twice)
    apart = length(bottom[:, None] - listed.position[listed.minima])
    nearest = np.argmin(apart, axis=1)
    arrived = down.status == ARRIVED
    known = arrived & right & (apart.min(axis=1) <= _SAME * twice)
    minimum = np.where(known, listed.minima[nearest], -1).reshape(2, -1)
    outcome = np.select(
        [known, arrived, down.status == LEFT], ["minimum", "unlisted", "left"], "unfinished"
    ).reshape(2, -1)
    names = {"saddle": listed.saddles, "minimum_a": minimum[0], "minimum_b": minimum[1]}
    data = {
        name: variable("connection", number, f"number of the {name.partition('_')[0]}")
        for name, number in names.items()
    }
    data["value"] = variable("connection", listed.value[listed.saddles], "loss at the saddle")
    for side, text in zip("ab", outcome, strict=True):
        data[f"outcome_{side}"] = variable("connection", text, f"what descent {side} reached")
    attributes = {
        "landscape": repr(landscape),
        "box": repr(ends.tolist()),
        "skipped": listed.degenerate,
    }
    return xr.Dataset(data, attrs=attributes)


def barriers(
    landscape: Landscape, critical_points: xr.Dataset, *, connections: xr.Dataset | None = None
) -> xr.Dataset:
    r"""Return the lowest barrier between every two minima.

    .. math:: b_{ij} = \min_{\gamma: i \to j} \max_{x \in \gamma} f(x) - f(x_i)

    The minimum over all ways is one over the saddles of index 1: the lowest way leads through
    the minimum spanning tree of the minima, joined by saddles.  It is exact if every such saddle
    is listed; a missing, degenerate or lost one can only make barriers too high.  The attribute
    ``complete`` says what the list says of itself, "certified" or "estimated", or "unknown";
    ``skipped`` counts its degenerate points, and ``lost`` the descents that reached no minimum.

    Parameters
    ----------
    landscape : Landscape
        The loss, with a Hessian.
    critical_points : xarray.Dataset
        As for `saddle_connections`.
    connections : xarray.Dataset, optional
        What `saddle_connections` returned for them, if it is at hand.

    Returns
    -------
    xarray.Dataset
        Along `minimum` and `other`, both labelled with the numbers of the points:
        `pass_value`, the loss on the lowest pass, and `barrier`, its height above `minimum`;
        infinite where no way is known, and 0 above itself.  `value` of each minimum.

    Raises
    ------
    InvalidValueError
        As for `saddle_connections`, or if the connections are not a dataset of that form.

    References
    ----------
    Hu (1961), Operations Research 9, 898-900: the spanning tree has all minimax ways.

    Examples
    --------
    >>> import fastdescent as fd
    >>> landscape = fd.landscapes.SymmetricDoubleWell()
    >>> positions = [point.position for point in landscape.critical_points()]
    >>> found = barriers(landscape, fd.geometry.classify_points(landscape, positions))
    >>> print(found["barrier"].values.round(9).tolist())
    [[0.0, 0.25], [0.25, 0.0]]
    """
    listed = _Listed.of(landscape, critical_points)
    joined = _connected(landscape, critical_points, connections)
    low = listed.value[listed.minima]
    highest = np.full((len(low), len(low)), np.inf)
    np.fill_diagonal(highest, low)
    for merge in _merges(listed, joined):
        for some, others in (merge.members, merge.members[::-1]):
            highest[np.ix_(some, others)] = merge.value
    sides = "minimum other"
    data = {
        "pass_value": variable(sides, highest, "loss on the lowest pass between minimum and other"),
        "barrier": variable(sides, highest - low[:, None], "lowest pass above the minimum"),
        "value": variable("minimum", low, "loss at the minimum"),
    }
    coordinates = {
        name: variable(name, listed.minima, "number of the point") for name in sides.split()
    }
    about = _vouched(landscape, critical_points, listed, joined)
    return xr.Dataset(data, coordinates, about)


def disconnectivity(
    landscape: Landscape, critical_points: xr.Dataset, *, connections: xr.Dataset | None = None
) -> xr.Dataset:
    """Return the disconnectivity graph: at which loss the basins of minima merge.

    Its leaves are the minima.  Below a given loss two minima are in one branch if a way joins
    them that stays below it; two branches merge at the lowest saddle between them.

    Parameters
    ----------
    landscape : Landscape
        The loss, with a Hessian.
    critical_points : xarray.Dataset
        As for `saddle_connections`.
    connections : xarray.Dataset, optional
        What `saddle_connections` returned for them, if it is at hand.

    Returns
    -------
    xarray.Dataset
        Along `node`, first the minima as in the list, then the merges from low to high:
        `value`, `point` (number of the minimum or saddle), `position`, `parent` (the merge
        above it; -1 at the top of each tree) and `size`, the number of minima below.  Attributes
        ``complete``, ``skipped`` and ``lost`` as for `barriers`.

    Raises
    ------
    InvalidValueError
        As for `saddle_connections`, or if the connections are not a dataset of that form.

    References
    ----------
    Becker and Karplus (1997), Journal of Chemical Physics 106, 1495-1517.

    Examples
    --------
    >>> import fastdescent as fd
    >>> landscape = fd.landscapes.Himmelblau()
    >>> positions = [point.position for point in landscape.critical_points()]
    >>> tree = disconnectivity(landscape, fd.geometry.classify_points(landscape, positions))
    >>> print(tree["value"].values[4:].round(6).tolist())
    [13.311926, 67.71915, 104.015163]
    """
    listed = _Listed.of(landscape, critical_points)
    joined = _connected(landscape, critical_points, connections)
    merges = _merges(listed, joined)
    leaves = len(listed.minima)
    point = np.concatenate([listed.minima, np.array([m.saddle for m in merges], dtype=np.int64)])
    parent = np.full(len(point), -1, dtype=np.int64)
    for number, merge in enumerate(merges, start=leaves):
        parent[list(merge.nodes)] = number
    size = [1] * leaves + [sum(map(len, merge.members)) for merge in merges]
    data = {
        "value": variable("node", listed.value[point], "loss"),
        "point": variable("node", point, "number of the critical point"),
        "position": variable("node coordinate", listed.position[point], "position"),
        "parent": variable("node", parent, "node of the merge above; -1 at the top"),
        "size": variable("node", np.array(size, dtype=np.int64), "number of minima below"),
    }
    about = _vouched(landscape, critical_points, listed, joined)
    return xr.Dataset(data, attrs={**about, "minima": leaves})


def _vouched(
    landscape: Landscape, critical_points: xr.Dataset, listed: _Listed, joined: xr.Dataset
) -> dict[str, Any]:
    """Return the landscape, and what is known about what a graph leaves out."""
    sides = np.stack([joined[f"minimum_{side}"].to_numpy() for side in "ab"])
    return {
        "landscape": repr(landscape),
        "complete": critical_points.attrs.get("complete", "unknown"),
        "skipped": listed.degenerate,
        "lost": int(np.count_nonzero(sides < 0)),
    }


class _Merge(NamedTuple):
    """A saddle at which two branches become one: their nodes and their minima."""

    saddle: int
    value: float
    nodes: tuple[int, int]
    members: tuple[list[int], list[int]]


def _merges(listed: _Listed, connections: xr.Dataset) -> list[_Merge]:
    """Return the merges from low to high: Kruskal's spanning tree of the minima."""
    leaf = np.full(len(listed.position) + 1, -1, dtype=np.int64)  # the last entry is that of -1
    leaf[listed.minima] = np.arange(len(listed.minima))
    sides = leaf[np.stack([connections[f"minimum_{side}"].to_numpy() for side in "ab"], axis=1)]
    saddles = connections["saddle"].to_numpy()
    branch = list(range(len(listed.minima)))
    members = {k: [k] for k in branch}
    merges: list[_Merge] = []
    for at in np.argsort(listed.value[saddles], kind="stable"):
        a, b = (int(side) for side in sides[at])
        if min(a, b) < 0 or branch[a] == branch[b]:
            continue
        nodes = branch[a], branch[b]
        both = members.pop(nodes[0]), members.pop(nodes[1])
        number = len(listed.minima) + len(merges)
        merges.append(_Merge(int(saddles[at]), float(listed.value[saddles[at]]), nodes, both))
        members[number] = both[0] + both[1]
        for k in members[number]:
            branch[k] = number
    return merges


class _Listed(NamedTuple):
    """What is read from a dataset of critical points; minima and saddles are their numbers."""

    position: FloatArray
    value: FloatArray
    minima: IntArray
    saddles: IntArray
    degenerate: int

    @classmethod
    def of(cls, landscape: Landscape, points: Any) -> _Listed:
        position, value, kind, index = critical_points_of(
            checked_landscape(landscape), points, "critical_points", "index"
        )
        pass_ = "saddle" if landscape.dim > 1 else "maximum"
        minima, saddles = kind == "minimum", (kind == pass_) & (index == 1)
        minima, saddles = np.flatnonzero(minima), np.flatnonzero(saddles)
        for name, numbers in (("minimum", minima), ("saddle of index 1", saddles)):
            if not len(numbers):
                raise InvalidValueError(
                    "critical_points: kind",
                    sorted(set(kind.tolist())),
                    f"at least one {name}",
                    "minima without a saddle between them have no barrier; look in a larger box",
                )
        return cls(position, value, minima, saddles, int((kind == "degenerate").sum()))


def _connected(
    landscape: Landscape, critical_points: xr.Dataset, connections: xr.Dataset | None
) -> xr.Dataset:
    """Return the connections of some points, those that are given or else the saddles' own."""
    if connections is None:
        return saddle_connections(landscape, critical_points)
    names = ("saddle", "minimum_a", "minimum_b")
    source = "fastdescent.geometry.saddle_connections"
    checked_dataset("connections", connections, names, source)
    count = len(critical_points["position"])
    largest = max(int(connections[name].max()) for name in names)
    if largest >= count:
        way = "pass those of the same critical points"
        raise InvalidValueError("connections", f"point {largest}", f"points 0 to {count - 1}", way)
    return connections


def _box(landscape: Landscape, position: FloatArray, box: ArrayLike | None) -> FloatArray:
    if box is not None:
        return checked_box(landscape, box)
    everything = np.concatenate([position, landscape.domain.T])
    low, high = everything.min(axis=0), everything.max(axis=0)
    return np.stack([low - 0.5 * (high - low), high + 0.5 * (high - low)], axis=1)


def _scales(listed: _Listed, box: FloatArray) -> FloatArray:
    """Return the distance from each saddle to the nearest other critical point."""
    apart = length(listed.position[listed.saddles][:, None] - listed.position)
    apart[np.arange(len(listed.saddles)), listed.saddles] = np.inf
    return np.asarray(np.minimum(apart.min(axis=1), np.ptp(box, axis=1).max()))
