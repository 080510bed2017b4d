"""Critical points of a landscape in a box: found from many starts, proven where that is possible.

Two independent ways meet.  Newton's method from random starts finds points, counts how often,
and says nothing about what it missed, which is estimated from these counts as the number of
species is.  Interval arithmetic on the formula (`intervals`) goes through the whole box and
proves where there are no critical points and where there is exactly one; degenerate ones and
corners are enclosed in tiny clusters, and proven from the faces of these (`clusters`).  Where
both agree and nothing is left open the list is certified.

Examples
--------
>>> from fastdescent.landscapes import Himmelblau
>>> found = find_critical_points(Himmelblau(), starts=256)
>>> found.attrs["complete"], found.kind.values.tolist().count("minimum"), found.sizes["point"]
('certified', 4, 9)
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from fastdescent.errors import InvalidValueError
from fastdescent.geometry._dataset import variable
from fastdescent.geometry.certificates import (
    LISTED,
    Certificate,
    bounded_below,
    certificate,
    value_bounds,
)
from fastdescent.geometry.clusters import NARROW
from fastdescent.geometry.hessians import has_hessian
from fastdescent.geometry.intervals import Enclosure, Formulas, traced
from fastdescent.geometry.scales import checked_box, checked_landscape
from fastdescent.geometry.search import EPSILON, NEAR, Search
from fastdescent.landscapes import Landscape
from fastdescent.parts import FloatArray, IntArray, is_integer, is_number

__all__ = ["checked_count", "find_critical_points", "searched_box"]

#: Share of a usual value below which two values are the same, whatever is known about rounding.
_EQUAL = 1e-9
#: Share of a usual value that rounding may be.
_ROUNDINGS = 4096.0 * EPSILON
#: Relative error of minima as they are printed.
_PRINTED = 1e-9


def find_critical_points(
    landscape: Landscape,
    box: ArrayLike | None = None,
    *,
    starts: int = 1024,
    seed: int = 0,
    tolerance: float = 1e-8,
    certify: bool = True,
    max_boxes: int | None = None,
) -> xr.Dataset:
    r"""Find the points of a box where the gradient is zero, and say what may be missing.

    .. math:: \nabla f(x) = 0, \qquad x \leftarrow x - H(x)^{-1} \nabla f(x)

    Newton's method runs from independent uniform starts, no step longer than a tenth of the box;
    32 starts that end nowhere are handed to SciPy's trust-region least squares.  What is found is
    polished until the gradient shrinks no more.  Then, if the landscape has a formula, interval
    branch and bound goes through the box, coordinates that do not interact apart.  What stays
    undecided in however small boxes is enclosed in clusters, and the degree of the gradient round
    each, or the rise of the loss towards its faces, proves what is inside.  A point that only the
    proof has found, or that only the landscape's own list has, is there with ``found`` = 0.
    Points where the loss is not finite, or jumps, are no critical points.

    A point is a minimum, a maximum or a saddle by the signs of its eigenvalues.  It is degenerate
    if an eigenvalue is zero to rounding, or halves or changes its sign within the distance to
    which the point's position is known; not if it is proven to be isolated.  What proofs tell
    beyond curvature is a variable of its own, ``extremum``: x^4 + y^4 has one point, degenerate,
    and one minimum.  That keeps ``kind`` what curvature shows to an optimizer, and to
    `classify_points`; who counts minima counts ``extremum``.

    Corners have no gradient.  Those that the proof accounts for are listed all the same, as
    degenerate (`classify_points` calls them so, too), with ``corner`` true and without
    eigenvalues, since the lowest point of a loss can be one: that of Ackley's function is.

    Critical points of losses on data often fill valleys.  Least squares reach their floor, where
    each start that is handed to them ends at a degenerate point of its own: with two hidden
    neurons and the XOR data, 15 of 32 do.  How many are listed says nothing then.

    Parameters
    ----------
    landscape : Landscape
        The loss; its parameters are single numbers.
    box : array_like, shape (2,) or (dim, 2), optional
        Lower and upper bound of each coordinate, in units of x, closed; the landscape's domain by
        default.  What lies outside by less than 1e-10 of a side counts as on the face.
    starts : int
        Starts of Newton's method, >= 1.
    seed : int
        The starts' seed, >= 0.
    tolerance : float
        Points closer than this, relative to the box's sides, are one, unless they are proven to
        be distinct; in (0, 0.01].
    certify : bool
        Whether a proof is tried.
    max_boxes : int, optional
        The most boxes that a proof looks at, >= 1, for each group of interacting coordinates; by
        default 200 000, and 5e7 / d^3 in groups of d > 6.  It gives up when a tenth of them are
        open at once.

    Returns
    -------
    xarray.Dataset
        Sorted by value, then position, where what differs by rounding only counts as equal;
        dimensions ``point``, ``coordinate``, ``eigenvalue``.
        ``position``, ``value``, ``gradient_norm``; ``kind``: minimum, maximum, saddle or
        degenerate; ``index``: the number of negative eigenvalues, -1 where degenerate;
        ``eigenvalues``, ascending; ``extremum``: minimum or maximum, by curvature or by proof,
        or empty; ``scope``: global, local or unknown; ``found``: starts that ended there;
        ``proven``: whether interval arithmetic proves that there is exactly one;
        ``degree``: the topological degree of the gradient, (-1)^index of a proven single point,
        NaN where none is proven; ``cluster_width``: the widest side of the point's cluster,
        relative to the box's, 0 for a proven single point, NaN where it is in none; ``corner``.

        A list is certified if every critical point in the box is proven to be a single one or
        lies in a cluster no wider than 1e-6 of the box's sides, in each of which existence is
        proven and one point is listed.  Clusters are searched once more at their own scale, yet
        several points could be hidden in one.  Where the degree is 0 and the loss does not
        rise on all sides (x^2 + y^3) existence is not proven, and the list stays estimated.  A
        cluster that reaches across a face of the box counts as inside.
        Attributes: ``complete``, certified or estimated, and ``completeness`` in words;
        ``missing_mass``, the Good-Turing estimate of the probability that one more start finds a
        new point, and ``missing_mass_upper``, a 95 % bound: that of the second half of the starts
        finding what the first half has not (Clopper-Pearson); ``unseen_estimate``, Chao's
        estimate of how many points were not seen, all three NaN if no start ended anywhere;
        ``boxes_examined``, ``boxes_undecided``.

        A minimum is global if its value is the known minimum, local if a lower value is known
        anywhere in the box; in a certified list the lowest one is global in the box if interval
        bounds on the faces, and in clusters, are not below it.  Values are equal if they differ
        by no more than the formula's bounds allow where the points can be, or than 1e-12 of a
        usual value without a proof; of a known minimum nine digits count.  Attribute
        ``scope_basis`` says which.

    Raises
    ------
    InvalidValueError
        If the landscape is none, the box has another shape, is empty or not finite, a number is
        not allowed, or a parameter of the landscape is a sequence.

    References
    ----------
    Good (1953), Biometrika 40, 237-264, equation 9; Chao (1984), Scandinavian Journal of
    Statistics 11, 265-270; proofs: see `intervals`, `isolation` and `clusters`.

    Examples
    --------
    >>> from fastdescent.landscapes import SixHumpCamel
    >>> found = find_critical_points(SixHumpCamel(), starts=256)
    >>> found.attrs["complete"], found.sizes["point"], float(found.value[0].round(9))
    ('certified', 15, -1.031628453)
    >>> from fastdescent.landscapes import MonkeySaddle
    >>> found = find_critical_points(MonkeySaddle(), starts=64)
    >>> found.attrs["complete"], found.kind.item(), found.degree.item()
    ('certified', 'degenerate', -2.0)
    """
    bounds = searched_box(landscape, box)
    checked_count("starts", starts)
    if not is_integer(seed) or seed < 0:
        raise InvalidValueError("seed", seed, "an integer >= 0")
    if max_boxes is not None:
        checked_count("max_boxes", max_boxes)
    if not is_number(tolerance) or not 0.0 < tolerance <= 0.01:
        raise InvalidValueError("tolerance", tolerance, "a number in (0, 0.01]")
    with np.errstate(all="ignore"):
        search = Search.of(landscape, bounds, int(starts), seed, float(tolerance))
        formulas = traced(landscape) if certify else None
        proof = Certificate()
        if formulas is not None:
            proof = certificate(formulas, search, max_boxes)
            search.settle(proof.lower, proof.upper, proof.degree)
            search.gather(*proof.hulls(), alone=proof.undecided == 0)
            search.drop_refuted(Enclosure(formulas.gradient, formulas.constants))
        search.drop_jumps()
        points = _classified(search, proof)
        noise = _noise(formulas, search, points)
        bounded = _bounded(formulas, search, points, proof, noise)
        scope, basis = _scopes(search, points, bounded, noise)
    return _dataset(search, points, proof, scope, basis, seed)


def searched_box(landscape: Landscape, box: ArrayLike | None) -> FloatArray:
    """Return a box as an array (dim, 2), the landscape's domain if none is given.

    Raises
    ------
    InvalidValueError
        If it is no finite box of the landscape's dimension, or the landscape is none or a sweep.
    """
    bounds = checked_box(checked_landscape(landscape), box)
    landscape.value(bounds.mean(axis=1))  # a sweep is refused there
    return bounds


def checked_count(name: str, value: Any) -> None:
    """Raise an error unless a value is an integer >= 1."""
    if not is_integer(value) or value < 1:
        raise InvalidValueError(name, value, "an integer >= 1")


@dataclass(frozen=True)
class _Points:
    """Critical points with what is known about each, in the order of the result."""

    order: IntArray
    position: FloatArray
    value: FloatArray
    gradient_norm: FloatArray
    eigenvalues: FloatArray
    kind: list[str]
    index: IntArray
    degree: FloatArray
    extremum: list[str]
    corner: NDArray[np.bool_]
    width: FloatArray

    @property
    def bare(self) -> bool:
        """Whether there is no point."""
        return not len(self.value)


def _classified(search: Search, proof: Certificate) -> _Points:
    """Sort points by value and position, and say what they are by their eigenvalues and proofs."""
    value = search.landscape.value(search.points) if len(search.points) else np.empty(0)
    order = _order(search, value)
    x, value = search.points[order], value[order]
    proven, cluster = search.proven[order], search.cluster[order]
    corner = np.array([k >= 0 and proof.places[k].corner for k in cluster], dtype=bool)
    eigenvalues, degenerate = _spectra(search, x, corner)
    degenerate &= ~proven
    index = np.where(degenerate, -1, (eigenvalues < 0.0).sum(axis=1))
    names = {-1: "degenerate", 0: "minimum", x.shape[1]: "maximum"}
    kind = [names.get(int(k), "saddle") for k in index]
    norm = np.linalg.norm(search.landscape.gradient(x), axis=1) if len(x) else value
    degree = search.degree[order]
    width = np.where(proven, 0.0, np.nan)
    extremum = [name if name in ("minimum", "maximum") else "" for name in kind]
    for row in np.flatnonzero(cluster >= 0):
        made = proof.places[cluster[row]].cluster
        degree[row] = np.nan if made.degree is None else made.degree
        width[row] = ((made.upper - made.lower) / search.width).max()
        extremum[row] = made.extremum or extremum[row]
    return _Points(order, x, value, norm, eigenvalues, kind, index, degree, extremum, corner, width)


def _spectra(
    search: Search, x: FloatArray, corner: NDArray[np.bool_]
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return eigenvalues, NaN at corners, and where they decide nothing."""
    if not len(x):
        return x, np.zeros(0, dtype=bool)
    hessian = search.curvature(x)
    bent = corner | ~np.isfinite(hessian).all(axis=(1, 2))
    hessian[bent] = 0.0
    eigenvalues, vectors = np.linalg.eigh(hessian)
    size = np.abs(eigenvalues)
    rounding = 64.0 * x.shape[1] * EPSILON * size.max(axis=1, initial=0.0, keepdims=True)
    degenerate: NDArray[np.bool_] = (size <= rounding).any(axis=1)
    # A Newton step farther than points can be told apart leads along a valley.
    slope = np.abs(np.einsum("nji,nj->ni", vectors, search.landscape.gradient(x)))
    degenerate |= (slope > NEAR * search.width.min() * size).any(axis=1)
    least = size.argmin(axis=1)
    direction = np.take_along_axis(vectors, least[:, None, None], axis=2)[:, :, 0]
    reach = np.minimum(search.accuracy(x), NEAR) * search.width.min()
    for sign in (1.0, -1.0):
        near = search.curvature(x + sign * reach[:, None] * direction)
        near[bent | ~np.isfinite(near).all(axis=(1, 2))] = 0.0
        degenerate |= (np.abs(np.linalg.eigvalsh(near) - eigenvalues) > 0.5 * size).any(axis=1)
    eigenvalues[bent] = np.nan
    return eigenvalues, degenerate


def _order(search: Search, value: FloatArray) -> IntArray:
    """Return the order by value, then position; what differs by rounding only is equal."""
    by_value = np.argsort(value, kind="stable")
    gaps = np.diff(value[by_value]) > 1e-12 * np.abs(value).max(initial=0.0)
    level = np.empty(len(value), dtype=np.int64)
    level[by_value] = np.concatenate([np.zeros(min(1, len(value)), dtype=np.int64), gaps]).cumsum()
    cells = np.round(search.points / search.width, 7)
    return np.lexsort((*cells.T[::-1], level))


def _accounted(search: Search) -> bool:
    """Return whether nothing was found but what is proven."""
    return bool((search.proven | (search.cluster >= 0)).all())


def _bounded(
    formulas: Formulas | None,
    search: Search,
    points: _Points,
    proof: Certificate,
    noise: FloatArray,
) -> bool:
    """Return whether the lowest listed value is proven to be the lowest in the box.

    It counts as that if no other one is lower by more than its own uncertainty.
    """
    if formulas is None or not proof.whole or search.landscape.minimum is not None:
        return False
    if points.bare or not _accounted(search):
        return False
    lowest = int(points.value.argmin())
    if points.extremum[lowest] != "minimum":
        return False
    level = float(points.value[lowest] - noise[lowest])
    return bounded_below(formulas, search.bounds, proof, level)


def _scopes(
    search: Search, points: _Points, bounded: bool, noise: FloatArray
) -> tuple[list[str], str]:
    """Return whether extrema are global or local, and how that is known."""
    if points.bare:
        return [], "no critical point"
    value, seen = points.value, _seen(search, points)
    least, slack = float(seen.min()), float(noise[value.argmin()])
    known = search.landscape.minimum
    if known is not None and least < known - _PRINTED * abs(known) - slack:
        known = None  # that of another box
    basis = "values seen in the box, at starts, on faces and at corners"
    if known is not None:
        basis, least = "the known minimum of the landscape; " + basis, known
        slack = _PRINTED * abs(known)
    elif bounded:
        basis = "global in the box: interval bounds on its faces are not below; " + basis
    low = value <= least + slack + noise
    below = value < seen.max() - noise - noise[value.argmax()]
    scopes = []
    for row, (kind, extremum) in enumerate(zip(points.kind, points.extremum, strict=True)):
        lowest_kind = extremum == "minimum" or (kind == "degenerate" and not extremum)
        if lowest_kind and low[row] and (known is not None or bounded):
            scopes.append("global")
        elif (extremum == "minimum" and not low[row]) or (extremum == "maximum" and below[row]):
            scopes.append("local")
        else:
            scopes.append("unknown")
    return scopes, basis


def _noise(formulas: Formulas | None, search: Search, points: _Points) -> FloatArray:
    """Return by how much each value may differ from that of the point that it stands for.

    With a formula that is bounded within the distance to which a position is known, or within
    the point's cluster; without one it is `_ROUNDINGS` of a usual value, whose terms cancel.
    """
    if points.bare:
        return np.empty(0)
    seen = _seen(search, points)
    usual = float(np.median(seen - seen.min()))
    if formulas is None:
        return np.full(len(points.value), _ROUNDINGS * usual)
    x = points.position
    reach = search.spread[points.order] + 4.0 * EPSILON * np.abs(x)
    reach += np.outer(np.nan_to_num(points.width), search.width)
    bounds = value_bounds(formulas, x - reach, x + reach)
    found = 4.0 * np.maximum(bounds.upper - points.value, points.value - bounds.lower)
    return np.asarray(np.fmin(found, _EQUAL * usual))


def _seen(search: Search, points: _Points) -> FloatArray:
    """Return the values at critical points, starts, starts moved onto the faces, and corners."""
    places = [search.begun]
    for i, bound in itertools.product(range(len(search.bounds)), range(2)):
        face = search.begun[:64].copy()
        face[:, i] = search.bounds[i, bound]
        places.append(face)
    corners = itertools.islice(itertools.product(*search.bounds.tolist()), 1024)
    seen = search.landscape.value(np.concatenate([*places, np.array(list(corners))]))
    return np.concatenate([seen[np.isfinite(seen)], points.value])


def _missing(search: Search) -> tuple[float, float, float]:
    """Return the Good-Turing estimate, a 95 % bound of the missing mass, and Chao's estimate.

    They are NaN if no start ended anywhere: such a search says nothing.
    """
    from scipy.stats import beta  # noqa: PLC0415 - slow to import

    found, starts = search.found, len(search.label)
    if not found.any():
        return math.nan, math.nan, math.nan
    once, twice = (int(np.count_nonzero(found == k)) for k in (1, 2))
    first, second = np.split(search.label, [starts // 2])
    fresh = int(np.count_nonzero((second >= 0) & ~np.isin(second, first)))
    upper = float(beta.ppf(0.95, fresh + 1, len(second) - fresh)) if fresh < len(second) else 1.0
    return once / starts, upper, once * (once - 1) / (2 * (twice + 1))


def _dataset(
    search: Search, points: _Points, proof: Certificate, scope: list[str], basis: str, seed: int
) -> xr.Dataset:
    missing = _missing(search)
    number = proof.number + proof.clustered
    certified = proof.whole and _accounted(search) and len(points.value) == number

    def text(values: list[str]) -> Any:
        return np.array(values, dtype="<U10")

    order = points.order
    variables = {
        "position": variable("point coordinate", points.position, "critical point"),
        "value": variable("point", points.value, "loss"),
        "gradient_norm": variable("point", points.gradient_norm, "Euclidean norm of the gradient"),
        "kind": variable("point", text(points.kind), "kind of critical point, by curvature"),
        "index": variable("point", points.index, "number of negative eigenvalues, -1 if unknown"),
        "eigenvalues": variable("point eigenvalue", points.eigenvalues, "of the Hessian"),
        "extremum": variable("point", text(points.extremum), "extremum, by curvature or proof"),
        "scope": variable("point", text(scope), "scope of an extremum"),
        "found": variable("point", search.found[order], "starts that ended there"),
        "proven": variable("point", search.proven[order], "proven to be the only one near it"),
        "degree": variable("point", points.degree, "topological degree, NaN if not proven"),
        "cluster_width": variable("point", points.width, "widest side of its cluster"),
        "corner": variable("point", points.corner, "whether there is no gradient"),
    }
    about = {
        "landscape": repr(search.landscape),
        "box": repr(search.bounds.tolist()),
        "starts": len(search.label),
        "seed": int(seed),
        "tolerance": search.tolerance,
        "hessian": "analytic" if has_hessian(search.landscape) else "differences of the gradient",
        "complete": "certified" if certified else "estimated",
        "completeness": _completeness(search, points, proof, certified, missing),
        "missing_mass": missing[0],
        "missing_mass_upper": missing[1],
        "unseen_estimate": missing[2],
        "boxes_examined": proof.examined,
        "boxes_undecided": proof.undecided,
        "scope_basis": basis,
    }
    return xr.Dataset(variables, attrs=about)


def _completeness(
    search: Search,
    points: _Points,
    proof: Certificate,
    certified: bool,
    missing: tuple[float, float, float],
) -> str:
    """Say in words what is known about what was missed."""
    found = _proven(points, proof)
    if certified:
        text = (
            f"interval proof over the box: {found}, all proven to exist, and no others "
            f"({proof.examined} boxes examined)"
        )
    elif not proof.tried:
        text = "no proof was tried, or the landscape has no formula to be bounded"
    elif proof.undecided:
        text = (
            f"interval arithmetic proves {found}, and that all others lie "
            f"in {proof.undecided} undecided boxes ({proof.where})"
        )
    elif proof.number + proof.clustered > LISTED:
        text = f"interval proof: {found}, more than are listed"
    else:
        listed = int(np.count_nonzero(search.proven | (search.cluster >= 0)))
        text = (
            f"interval proof of {found}, {listed} of them listed, but "
            f"{len(search.proven) - listed} other found"
        )
    return text + _missed(search, *missing)


def _proven(points: _Points, proof: Certificate) -> str:
    """Say what is proven: single points, clusters and corners."""
    clustered = proof.clustered - int(np.count_nonzero(points.corner))
    texts = []
    if proof.number or not proof.clustered:
        texts.append(f"{proof.number} critical points")
    if clustered:
        texts.append(
            f"{clustered} cluster{'s' * (clustered > 1)} of critical points, narrower than "
            f"{NARROW:g} of the box"
        )
    for name in ("minimum", "maximum", ""):
        rows = [k for k in np.flatnonzero(points.corner) if points.extremum[k] == name]
        if rows:
            shown = [str((points.position[k].round(8) + 0.0).tolist()) for k in rows[:3]]
            more = ", ..." * (len(rows) > 3)
            texts.append(
                f"{len(rows)} corner{'s' * (len(rows) > 1)} (a {name or 'saddle'} without "
                f"gradient at {', '.join(shown)}{more})"
            )
    return " and ".join(texts)


def _missed(search: Search, mass: float, upper: float, unseen: float) -> str:
    """Say how often each point was found, and what that tells about others."""
    ended = int(np.count_nonzero(search.label >= 0))
    if not ended:
        text = (
            f"; none of the {len(search.label)} starts ended at a point: the search found nothing "
            "and nothing can be estimated from it"
        )
    else:
        text = (
            f"; {ended} of {len(search.label)} starts ended at {np.count_nonzero(search.found)} "
            f"points, one more start finds a new one with probability {mass:.2g} (below "
            f"{upper:.2g} with confidence 95 %), and about {unseen:.3g} were not seen by any start"
        )
    flat = f"; {search.flat} starts ended on flat ground" if search.flat else ""
    return text + flat
