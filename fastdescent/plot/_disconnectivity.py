"""The disconnectivity graph: at which loss the basins of minima merge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.lines import Line2D

from fastdescent.geometry._dataset import checked_dataset
from fastdescent.parts import FloatArray, IntArray
from fastdescent.plot._curves import landscape_name
from fastdescent.plot._geometry import HALO, written
from fastdescent.plot._style import MARKS, annotate, legend_below, new_axes, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["disconnectivity"]

# More names of minima, and more losses at merges, cannot be read.
_MOST_NAMES = 60
_MOST_LOSSES = 14
# Merges closer than this part of all heights are drawn as one.
_LEVEL = 1e-6


@styled
def disconnectivity(
    results: xr.Dataset, ax: Axes | None = None, *, labels: bool = True, legend: bool = True
) -> Axes:
    """Draw a disconnectivity graph.

    Every branch ends at a minimum, at its loss; branches merge at the lowest saddle between
    them.  The branch with the lowest minimum stands in the middle of those that it merges with,
    and none cross.  Where no way between minima is known, branches end in arrows at the top.

    Parameters
    ----------
    results : xarray.Dataset
        What `fastdescent.geometry.disconnectivity` returned.
    ax : matplotlib.axes.Axes, optional
        Where to draw; axes of a new figure by default.
    labels : bool
        Whether to write the numbers of the minima below them, up to 60, and the losses at the
        merges, up to 14 different ones.
    legend : bool
        Whether to draw the legend, below the axes.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    InvalidValueError
        If `results` is no disconnectivity graph.

    References
    ----------
    Becker and Karplus (1997), Journal of Chemical Physics 106, 1495-1517.

    Examples
    --------
    >>> import fastdescent as fd
    >>> landscape = fd.landscapes.Himmelblau()
    >>> positions = [point.position for point in landscape.critical_points()]
    >>> found = fd.geometry.classify_points(landscape, positions)
    >>> from fastdescent.geometry.connectivity import disconnectivity as graph
    >>> disconnectivity(graph(landscape, found)).get_ylabel()
    'loss'
    """
    tree = _Tree.of(results)
    own = ax is None
    ax = new_axes(4.2) if ax is None else ax
    x = tree.places()
    _branches(ax, tree, x)
    best = tree.value[: tree.leaves] <= tree.value[: tree.leaves].min() + tree.level
    entries: list[Line2D] = []
    kinds = ("global", "lowest minimum", best), ("minimum", "other minimum", ~best)
    for kind, name, chosen in kinds:
        if chosen.any():
            marker, face, _ = MARKS[kind]
            entries += ax.plot(
                x[: tree.leaves][chosen],
                tree.value[: tree.leaves][chosen],
                marker,
                ms=10 if marker == "*" else 5 if tree.leaves <= _MOST_NAMES else 3,
                mfc=face,
                mec="black",
                mew=0.7,
                zorder=4,
                label=name,
            )
    named = labels and tree.leaves <= _MOST_NAMES
    if named:
        _names(ax, tree, x)
    if labels:
        _losses(ax, tree, x)
    ax.set_xticks([])
    ax.margins(x=0.08, y=0.1)
    for side in ("top", "right", "bottom"):
        ax.spines[side].set_visible(False)
    noun = "minimum" if tree.leaves == 1 else "minima"
    text = f"Disconnectivity graph of {landscape_name(results)}: {tree.leaves} {noun}"
    annotate(ax, text, own=own, x=f"minima{', by their numbers' if named else ''}", y="loss")
    if legend:
        legend_below(ax, entries, grow=own)
    return ax


class _Tree(NamedTuple):
    """The graph: losses and parents of the nodes, the minima first."""

    value: FloatArray
    parent: IntArray
    point: IntArray
    leaves: int

    @classmethod
    def of(cls, ds: Any) -> _Tree:
        source = "fastdescent.geometry.disconnectivity"
        checked_dataset("results", ds, ("value", "parent", "point"), source)
        parent = ds["parent"].to_numpy()
        # A forest of binary merges: each takes two nodes and gives one.
        merges = len(np.unique(parent[parent >= 0]))
        return cls(ds["value"].to_numpy(), parent, ds["point"].to_numpy(), len(parent) - merges)

    @property
    def level(self) -> float:
        """Losses that are nearer than this are drawn at the same height."""
        return _LEVEL * float(np.ptp(self.value))

    def children(self) -> list[list[int]]:
        """Return the branches that merge at each node, merges at one height taken together.

        They are ordered by their lowest minima, and so are the trees, which are the last entry.
        """
        below: list[list[int]] = [[] for _ in range(len(self.value) + 1)]
        lowest = self.value.copy()
        for node, parent in enumerate(self.parent):  # every node comes before its parent
            apart = abs(self.value[node] - self.value[parent]) > self.level
            joins = node < self.leaves or apart or parent < 0
            below[parent] += [node] if joins else below[node]
            if parent >= 0:
                lowest[parent] = min(lowest[parent], lowest[node])
        return [sorted(nodes, key=lambda node: lowest[node]) for nodes in below]

    def shown(self) -> list[tuple[int, list[int]]]:
        """Return the merges that are drawn, and their branches."""
        children, merged = self.children(), range(self.leaves, len(self.value))
        own = {k for nodes in children for k in nodes}
        return [(node, children[node]) for node in merged if node in own]

    def places(self) -> FloatArray:
        """Return where each node stands: minima in a row, merges in the middle above."""
        children, order = self.children(), []
        size = [1] * self.leaves + [0] * (len(self.value) - self.leaves)
        for node in range(self.leaves, len(self.value)):
            size[node] = sum(size[child] for child in children[node])
        stack = [(len(self.value), 0)]  # the trees hang on one node more
        while stack:
            node, balance = stack.pop()
            order.append(node)
            if node >= self.leaves:
                stack += _around_lowest(children[node], size, balance)
        x = np.zeros(len(self.value) + 1)
        x[[node for node in order if node < self.leaves]] = np.arange(self.leaves)
        for node in reversed(order):
            if node >= self.leaves:
                below = x[children[node]]
                x[node] = 0.5 * (below.min() + below.max())
        return x[:-1]


def _around_lowest(branches: list[int], size: list[int], balance: int) -> list[tuple[int, int]]:
    """Return branches from right to left, the lowest in the middle.

    `balance` says how many minima more there are on the right than on the left; the lowest
    branch gets what becomes of it, and the others begin anew.
    """
    main, *others = branches
    left: list[tuple[int, int]] = []
    right: list[tuple[int, int]] = []
    for branch in others:
        side, sign = (right, 1) if balance <= 0 else (left, -1)
        side.append((branch, 0))
        balance += sign * size[branch]
    return [*reversed(right), (main, balance), *left]


def _branches(ax: Axes, tree: _Tree, x: FloatArray) -> None:
    look: dict[str, Any] = {"color": "0.25", "linewidth": 1.1, "zorder": 2}
    for node, branches in tree.shown():
        ax.vlines(x[branches], tree.value[branches], tree.value[node], **look)
        ax.hlines(tree.value[node], x[branches].min(), x[branches].max(), **look)
    top = tree.value.max() + 0.08 * (float(np.ptp(tree.value)) or 1.0)
    roots = tree.children()[-1]
    for root in roots:
        ax.vlines(x[root], tree.value[root], top, **look)
        if len(roots) > 1:
            ax.plot(x[root], top, "^", ms=4, color="0.25", zorder=2)


def _names(ax: Axes, tree: _Tree, x: FloatArray) -> None:
    turned = 90 if tree.leaves > 20 else 0
    for at, value, point in zip(x, tree.value[: tree.leaves], tree.point, strict=False):
        ax.annotate(
            str(point),
            (at, value),
            (0.0, -7.0),
            textcoords="offset points",
            ha="center",
            va="top",
            rotation=turned,
            fontsize=8,
        )


def _losses(ax: Axes, tree: _Tree, x: FloatArray) -> None:
    merges = [node for node, _ in tree.shown()]
    if not 0 < len(merges) <= _MOST_LOSSES:
        return
    for node, text in zip(merges, written(tree.value[merges]), strict=True):
        ax.annotate(
            text,
            (x[node], tree.value[node]),
            (3.0, 2.0),
            textcoords="offset points",
            fontsize=7.5,
            zorder=5,
            path_effects=HALO,
        )
