"""The terrain round a point: valley, ravine, canal, flat, indefinite or concave."""

from __future__ import annotations

import contextlib
import dataclasses
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from fastdescent import memory
from fastdescent.errors import InvalidValueError
from fastdescent.geometry._dataset import checked_dataset, variable
from fastdescent.geometry.hessians import has_hessian, hessians, points_in_domain
from fastdescent.geometry.scales import Scales, checked_scale
from fastdescent.geometry.spectra import symmetric_eigen
from fastdescent.landscapes import Landscape
from fastdescent.parts import FloatArray, is_number

__all__ = ["REGIONS", "Thresholds", "classify_regions", "region_fractions"]

REGIONS = ("valley", "ravine", "canal", "flat", "indefinite", "concave")

# Numbers in the third derivatives of the points that are worked on at once.
_NUMBERS = 2**19
# By how much the threshold of negative eigenvalues may be moved later.
_WIDER = 4.0


@dataclass(frozen=True)
class Thresholds:
    r"""Where one region ends and the next begins; all dimensionless.

    Parameters
    ----------
    radius : float
        How far one looks for flatness, in lengths of the landscape, > 0.  A tenth: what a picture
        of the whole shows as one place.
    change : float
        A place is flat if the loss changes by less than this share of the landscape's height
        within `radius`, > 0.  One percent is about what a colour scale shows.
    negative : float
        An eigenvalue is negative if it is below minus this share of the largest in size, in
        [0, 1).  A thousandth: gradient descent at a stable learning rate does not notice less
        within a thousand steps, as (1 + 2 / 1000)^1000 is about e^2.
    ravine : float
        A convex place is a ravine from this condition number on, > 1.  Ten, an order of
        magnitude: the ravines of the course notes have 10 and 15.
    turn : float
        A ravine is a canal if its floor turns by more than this angle, in radians, over its own
        length, > 0.  Half a radian: after it a straight step keeps less than 90 % of its length
        along the floor.

    Raises
    ------
    InvalidValueError
        If a threshold is not allowed.
    """

    radius: float = 0.1
    change: float = 0.01
    negative: float = 1e-3
    ravine: float = 10.0
    turn: float = 0.5

    def __post_init__(self) -> None:
        above = {"radius": 0.0, "change": 0.0, "ravine": 1.0, "turn": 0.0}
        for name, low in above.items():
            value = getattr(self, name)
            if not is_number(value) or not low < value < np.inf:
                raise InvalidValueError(f"Thresholds.{name}", value, f"a finite number > {low:g}")
        if not is_number(self.negative) or not 0.0 <= self.negative < 1.0:
            raise InvalidValueError("Thresholds.negative", self.negative, "a number in [0, 1)")
        if self.ravine * self.negative >= 1.0:
            raise InvalidValueError(
                "Thresholds",
                (self.ravine, self.negative),
                "ravine * negative < 1",
                "else an eigenvalue could be too small for a valley and too large to be none",
            )

    def moved(self, factor: float) -> list[Thresholds]:
        """Return copies with each of the thresholds in turn divided and multiplied.

        The radius stays, which counts with `change`; what would not be allowed is left out.
        """
        copies = []
        for name in ("change", "negative", "ravine", "turn"):
            for by in (1.0 / factor, factor):
                with contextlib.suppress(InvalidValueError):
                    copies.append(dataclasses.replace(self, **{name: getattr(self, name) * by}))
        return copies


def classify_regions(
    landscape: Landscape,
    x: ArrayLike,
    thresholds: Thresholds | None = None,
    *,
    scale: Scales | None = None,
    outside: str = "raise",
) -> xr.Dataset:
    r"""Tell which terrain each point lies in.

    With gradient g, Hessian eigenvalues :math:`\lambda_1 \le \ldots \le \lambda_d`, their largest
    size :math:`\rho`, the landscape's length l and height F (see `scales`), the first that holds:

    - **flat**: :math:`\|g\| r + \rho r^2 / 2 \le \tau_f F` with r = ``radius`` l: gradient and
      curvature are negligible, a plateau.
    - **concave**: :math:`\lambda_d \le \nu\rho`, no upward curvature that matters.
    - **indefinite**: :math:`\lambda_1 < -\nu\rho`, a slope with negative curvature, as round a
      saddle.  A plane, which has no curvature at all, counts here too.
    - **valley**: :math:`\kappa = \lambda_d / \max(\lambda_1, \nu\lambda_d)` below ``ravine``.
    - **canal**: a ravine whose floor turns, :math:`\omega s \ge` ``turn``, with
      :math:`\omega` the rotation of flat eigenvectors towards the steep ones per unit of
      length along them,

      .. math:: \omega^2 = \sum_{j\ \text{steep}} \max_{v\ \text{flat}}
                \Big(\frac{v_j^\top (D H[v])\, v}{\lambda_j - \lambda_v}\Big)^2,
                \qquad s = \min\big(l, \sqrt{2 F / \lambda_1}\big),

      :math:`D H[v]` the change of the Hessian along v, steep the eigenvalues above
      the geometric mean of the extreme ones, flat the directions of the others, with
      :math:`\sqrt{(\lambda_j - \lambda_a)(\lambda_j - \lambda_b)}` below the part of v that is
      made of the flat eigenvectors a and b, and s the length over which the floor rises by F
      (with the same least :math:`\lambda_1` as in :math:`\kappa`).
    - **ravine**: otherwise.

    No label changes when loss or coordinates are multiplied by a constant or rotated, if the
    scales are multiplied alike.

    Parameters
    ----------
    landscape : Landscape
        The loss.
    x : array_like, shape (n, dim) or (dim,)
        Points.
    thresholds : Thresholds, optional
        Where regions end; the defaults are argued there.
    scale : Scales, optional
        The landscape's scales; those of its domain by default.
    outside : {"raise", "keep"}
        Whether points outside the landscape's domain, where those scales may mean little, are an
        error or are classified, too.  Its faces belong to it; models have no domain.

    Returns
    -------
    xarray.Dataset
        With dimension ``point`` (and ``coordinate``): ``position``, ``value``, ``region``,
        ``margin``, and
        what decided: ``flatness`` (change of the loss within the radius over F),
        ``lowest`` (:math:`\lambda_1/\rho`), ``highest`` (:math:`\lambda_d/\rho`),
        ``condition_number`` (:math:`\kappa`; nan where not convex) and ``turn``
        (:math:`\omega s`, radians; nan where not convex).

        ``margin``: by how many decades the nearest threshold could move before the label
        changes; the radius, which counts with the change, stays.  Points at which loss or Hessian
        are not finite have the region "".  The attribute ``outside_domain`` counts points outside
        the domain.

    Raises
    ------
    InvalidValueError
        If the points do not fit the landscape, or lie outside its domain.
    MemoryLimitError
        If there are too many points or coordinates: third derivatives take dim^3 numbers.

    References
    ----------
    The terms are those of the course notes; the derivative of an eigenvector: Magnus (1985),
    Econometric Theory 1, 179-191, theorem 1.

    Examples
    --------
    >>> import fastdescent as fd
    >>> ds = classify_regions(fd.landscapes.Rosenbrock(dim=2), [[0.0, 0.0], [0.0, 1.0]])
    >>> ds.region.values.tolist()
    ['canal', 'indefinite']
    >>> classify_regions(fd.landscapes.Ravine(condition_number=15.0), [1.0, 0.0]).region.item()
    'ravine'
    """
    points, away = points_in_domain(landscape, x, outside)
    limits = Thresholds() if thresholds is None else thresholds
    if not isinstance(limits, Thresholds):
        raise InvalidValueError(
            "thresholds", thresholds, "Thresholds, or None", "such as Thresholds(ravine=100.0)"
        )
    unit = checked_scale(landscape, scale)
    dim = landscape.dim
    size = max(1, _NUMBERS // dim**3)
    # Beside what is returned: third derivatives before and after what decides is picked.
    needed = 8 * (len(points) * (dim + 10) + 4 * min(size, len(points)) * dim**3)
    memory.require(needed, f"the regions of {len(points):,} points", "take fewer coordinates")
    blocks = [
        _measured(landscape, points[at : at + size], limits, unit)
        for at in range(0, max(len(points), 1), size)
    ]
    found = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    region, margin = _labelled(found, limits)
    condition = _condition(found["lowest"], found["highest"], limits.negative)
    variables = {
        "position": variable("point coordinate", points.copy(), "position"),
        "value": variable("point", found["value"], "loss"),
        "region": variable("point", region, "terrain"),
        "margin": variable("point", margin, "decades to the nearest threshold"),
        "condition_number": variable(
            "point", condition, "ratio of the extreme eigenvalues; nan where not convex"
        ),
    }
    for name, said in _SAID.items():
        units = {"units": "rad"} if name == "turn" else {}
        variables[name] = variable("point", found[name], said, **units)
    about: dict[str, object] = {
        "landscape": repr(landscape),
        "hessian": "analytic" if has_hessian(landscape) else "differences",
        "outside_domain": away,
        "length": unit.length,
        "height": unit.loss,
    }
    return xr.Dataset(variables, attrs=about | dataclasses.asdict(limits))


#: What decides, by name.
_SAID = {
    "flatness": "change of the loss within the radius, over the landscape's height",
    "lowest": "smallest eigenvalue over the largest in size",
    "highest": "largest eigenvalue over the largest in size",
    "turn": "angle by which the floor turns over its length; nan where not convex",
}


def _measured(
    landscape: Landscape, points: FloatArray, limits: Thresholds, unit: Scales
) -> dict[str, FloatArray]:
    """Return what decides about each point; nan where it is not finite, or does not matter."""
    with np.errstate(over="ignore"):
        norm = np.linalg.norm(landscape.gradient(points), axis=1)
    hess = hessians(landscape, points).matrices
    value = landscape.value(points)
    usable = np.isfinite(hess).all(axis=(1, 2)) & np.isfinite(norm + value)
    found = {name: np.full(len(points), np.nan) for name in _SAID} | {"value": value}
    values, vectors = symmetric_eigen(hess[usable])
    size = np.abs(values).max(axis=1)
    radius = limits.radius * unit.length
    change = norm[usable] * radius + 0.5 * size * radius**2
    with np.errstate(divide="ignore", invalid="ignore"):
        found["flatness"][usable] = np.where(change > 0.0, change / unit.loss, 0.0)
        low, high = values[:, 0] / size, values[:, -1] / size
    found["lowest"][usable], found["highest"][usable] = low, high
    # A wider margin than the threshold's own, for `region_fractions`.
    convex = (low >= -_WIDER * limits.negative) & (high > 0.0)
    at = np.flatnonzero(usable)[convex]
    values, vectors = values[convex], vectors[convex]
    floor = np.maximum(values[:, 0], limits.negative * values[:, -1])
    rate = _rotation(landscape, points[at], values, vectors, unit)
    with np.errstate(divide="ignore", over="ignore"):
        reach = np.minimum(unit.length, np.sqrt(2.0 * unit.loss / floor))
    found["turn"][at] = rate * reach
    return found


def _rotation(
    landscape: Landscape,
    points: FloatArray,
    values: FloatArray,
    vectors: FloatArray,
    unit: Scales,
) -> FloatArray:
    """Return the fastest rotation of a flat direction along itself, radians per length."""
    # Central differences lose least where the step is the third root of the round-off.
    step = np.cbrt(np.finfo(float).eps) * unit.length
    floor = np.maximum(values[:, :1], 0.0)
    steep = values > np.sqrt(floor * values[:, -1:])
    steep &= values > values[:, :1]
    count, dim = values.shape
    # Of point n: the change of the Hessian along flat a, seen by steep j and flat b.
    third = np.zeros((count, dim, dim, dim))
    for a in range(dim - 1):
        at = np.flatnonzero(~steep[:, a] & steep.any(axis=1))
        v = vectors[at]
        ahead = hessians(landscape, points[at] + step * v[:, :, a]).matrices
        behind = hessians(landscape, points[at] - step * v[:, :, a]).matrices
        third[at, :, a] = np.swapaxes(v, 1, 2) @ ((ahead - behind) / (2.0 * step)) @ v
    with np.errstate(divide="ignore", invalid="ignore"):
        root = 1.0 / np.sqrt(values[:, :, None] - values[:, None, :])  # (point, steep, flat)
        third *= root[:, :, :, None] * root[:, :, None, :]
    both = steep[:, :, None, None] & ~steep[:, None, :, None] & ~steep[:, None, None, :]
    third = np.where(both, third, 0.0)
    if dim == 2:  # one of each
        return np.abs(third[:, 1, 0, 0])
    # What is not finite has overflown: it turns at once.
    bent = np.linalg.norm(np.nan_to_num(third), ord=2, axis=(2, 3))
    return np.asarray(np.linalg.norm(bent, axis=1))


def _labelled(
    found: dict[str, FloatArray], limits: Thresholds
) -> tuple[NDArray[np.str_], FloatArray]:
    """Return labels and margins from what was measured."""
    low, high = found["lowest"], found["highest"]
    kappa = _condition(low, high, limits.negative)
    decided = {
        "flat": found["flatness"] <= limits.change,
        "concave": high <= limits.negative,
        "indefinite": ~(low >= -limits.negative),
        "valley": kappa < limits.ravine,
        "canal": found["turn"] >= limits.turn,
        "ravine": np.ones(len(low), dtype=bool),
    }
    label = np.select(list(decided.values()), list(decided), "")
    label[np.isnan(found["flatness"])] = ""
    with np.errstate(divide="ignore", invalid="ignore"):
        decades = [
            np.abs(np.log10(measured / threshold))
            for measured, threshold in (
                (found["flatness"], limits.change),
                (np.maximum(high, 0.0), limits.negative),
                (np.maximum(-low, 0.0), limits.negative),
                (kappa, limits.ravine),
                (found["turn"], limits.turn),
            )
        ]
    # A label hangs on its own decision and on those before it; the last is the canal's, too.
    nearest = dict(zip(decided, np.fmin.accumulate(decades), strict=False))
    nearest["ravine"] = nearest["canal"]
    margin = np.select([label == name for name in nearest], list(nearest.values()), np.nan)
    return label, margin


def _condition(low: FloatArray, high: FloatArray, negative: float) -> FloatArray:
    """Return the condition number of convex places; nan elsewhere."""
    convex = (low >= -negative) & (high > negative)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(convex, 1.0 / np.maximum(low / high, negative), np.nan)


def region_fractions(ds: xr.Dataset, factor: float = 2.0) -> xr.Dataset:
    """Return the fraction of points in each region, and how it hangs on the thresholds.

    Parameters
    ----------
    ds : xarray.Dataset
        What `classify_regions` returned.
    factor : float
        Each threshold but the radius, which counts with the change, is divided and multiplied by
        it, one at a time; in (1, 4].

    Returns
    -------
    xarray.Dataset
        With dimension ``region``: ``fraction``, and ``lowest`` and ``highest``, its extremes over
        the moved thresholds.  Points without a region count for none.

    Raises
    ------
    InvalidValueError
        If the factor is not allowed, or there are no points.

    Examples
    --------
    >>> import fastdescent as fd
    >>> points = fd.starts.Uniform(count=2000).points(fd.landscapes.Himmelblau(), seed=0)
    >>> found = region_fractions(classify_regions(fd.landscapes.Himmelblau(), points))
    >>> round(float(found.fraction.sel(region="valley")), 2)
    0.43
    """
    if not is_number(factor) or not 1.0 < factor <= 4.0:
        raise InvalidValueError("factor", factor, "a number in (1, 4]")
    checked_dataset("ds", ds, ("region", *_SAID), "fastdescent.geometry.classify_regions")
    if not ds.sizes.get("point") or "ravine" not in ds.attrs:
        allowed = "a result of classify_regions with points, and with its attributes"
        raise InvalidValueError("ds", dict(ds.sizes), allowed)
    limits = Thresholds(
        **{field.name: float(ds.attrs[field.name]) for field in dataclasses.fields(Thresholds)}
    )
    found = {name: ds[name].to_numpy() for name in _SAID}
    fractions = [
        [float(np.mean(label == name)) for name in REGIONS]
        for label in (_labelled(found, moved)[0] for moved in [limits, *limits.moved(factor)])
    ]
    said = {
        "fraction": (fractions[0], "fraction of the points"),
        "lowest": (np.min(fractions, axis=0), "lowest fraction over the moved thresholds"),
        "highest": (np.max(fractions, axis=0), "highest fraction over the moved thresholds"),
    }
    return xr.Dataset(
        {name: variable("region", data, about) for name, (data, about) in said.items()},
        coords={"region": list(REGIONS)},
        attrs={**ds.attrs, "factor": factor},
    )
