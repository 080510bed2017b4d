"""Statistics of basins of attraction: how large they are, and how fine their boundary is.

`basin_fractions`, `outcome_probabilities`, `basin_entropy` and `boundary_dimension` are functions
of what `basins` returns.  `uncertainty_exponent` measures the boundary by displaced starts, in
any number of dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from fastdescent import memory
from fastdescent.errors import InvalidValueError
from fastdescent.geometry._dataset import variable
from fastdescent.geometry.attractors import Attractors
from fastdescent.geometry.basins import (
    OUTCOME,
    Experiment,
    Labels,
    checked_map,
    checked_setting,
    grid_shape,
)
from fastdescent.landscapes import Landscape
from fastdescent.optimizers import Optimizer
from fastdescent.parts import FloatArray, IntArray, is_integer, is_number
from fastdescent.starts import Starts
from fastdescent.statistics import box_counting_dimension, edge, wilson_interval
from fastdescent.stopping import Stop
from fastdescent.transforms import Transform

__all__ = [
    "basin_entropy",
    "basin_fractions",
    "boundary_dimension",
    "checked_confidence",
    "outcome_probabilities",
    "uncertainty_exponent",
]


def checked_confidence(confidence: Any) -> float:
    """Return the coverage of an interval, a number in (0, 1)."""
    if not is_number(confidence) or not 0.0 < confidence < 1.0:
        raise InvalidValueError("confidence", confidence, "a number in (0, 1)")
    return float(confidence)


def _swept(ds: xr.Dataset) -> tuple[tuple[str, ...], tuple[int, ...], dict[str, Any]]:
    """Return names, lengths and coordinates of the swept parameters."""
    dims = tuple(str(name) for name in ds["attractor"].dims if name not in ("start", "seed"))
    return dims, tuple(ds.sizes[name] for name in dims), {name: ds[name] for name in dims}


def _about(ds: xr.Dataset, **more: Any) -> dict[str, Any]:
    return {name: ds.attrs[name] for name in ("landscape", "optimizer", "starts")} | more


def basin_fractions(ds: xr.Dataset, confidence: float = 0.95) -> xr.Dataset:
    r"""Return the fraction of starts in each basin, with Wilson's intervals.

    .. math:: p_a = \frac{1}{n} \#\{i : \theta_0^{(i)} \in B(a)\}

    Parameters
    ----------
    ds : xarray.Dataset
        A result of `basins`.  With seeds the fraction is over starts and seeds.
    confidence : float
        Coverage of the intervals, in (0, 1).

    Returns
    -------
    xarray.Dataset
        ``fraction``, ``lower``, ``upper`` along swept parameters and ``basin``, and
        ``outcome_fraction``, ``outcome_lower``, ``outcome_upper`` along ``outcome``.  The
        intervals are those of independent random starts.  For a regular grid the fractions
        are a quadrature without randomness, and the intervals, then far too wide, say how
        well as many random starts would have known them.  The seeds of one start share its
        basin, so the intervals count starts, as if all seeds of a start ended alike.

    Raises
    ------
    InvalidValueError
        If the dataset is no result of `basins`, or the confidence is not in (0, 1).

    References
    ----------
    Menck, Heitzig, Marwan and Kurths (2013), Nature Physics 9, 89-92, on basin stability.

    Examples
    --------
    >>> import fastdescent as fd
    >>> ds = fd.geometry.basins(
    ...     fd.landscapes.SymmetricDoubleWell(),
    ...     fd.optimizers.GradientDescent(learning_rate=0.1),
    ...     fd.starts.Uniform(count=1000),
    ...     steps=1000,
    ... )
    >>> found = basin_fractions(ds)
    >>> print(f"{found.fraction[0]:.3f} [{found.lower[0]:.3f}, {found.upper[0]:.3f}]")
    0.504 [0.473, 0.535]
    """
    dims, lengths, coords = _swept(checked_map(ds))
    confidence = checked_confidence(confidence)
    starts = ds.sizes["start"]
    variables: dict[str, Any] = {}
    for name, prefix, first, size in (
        ("attractor", "", 1, ds.sizes["basin"]),
        ("outcome", "outcome_", 0, len(OUTCOME)),
    ):
        values = ds[name].transpose(*dims, "start", ...).to_numpy()
        rows = values.reshape(math.prod(lengths), -1)
        counts = np.stack([np.bincount(row + first, minlength=size + first) for row in rows])
        share = counts[:, first:] / rows.shape[1]
        lower, upper = _interval(share, starts, confidence)
        along = (*dims, "basin" if name == "attractor" else "outcome")
        for key, array, text in (
            ("fraction", share, "fraction of the starts"),
            ("lower", lower, "lower end of the interval"),
            ("upper", upper, "upper end of the interval"),
        ):
            variables[prefix + key] = variable(along, array.reshape(*lengths, -1), text)
    coords |= {"basin": ds["basin"], "outcome": list(OUTCOME)}
    interval = f"Wilson, {confidence:g}, for {starts} independent random starts"
    if "grid_counts" in ds.attrs:
        interval += "; the starts are a regular grid: a quadrature without randomness"
    return xr.Dataset(variables, coords=coords, attrs=_about(ds, interval=interval))


def _interval(share: FloatArray, trials: int, confidence: float) -> tuple[FloatArray, FloatArray]:
    """Return Wilson's interval; where the share is no whole number of trials, the wider one."""
    successes = share * trials
    whole = np.round(successes)
    exact = np.abs(successes - whole) < 1e-6
    lower, _ = wilson_interval(np.where(exact, whole, np.floor(successes)), trials, confidence)
    _, upper = wilson_interval(np.where(exact, whole, np.ceil(successes)), trials, confidence)
    return lower, upper


def outcome_probabilities(ds: xr.Dataset, confidence: float = 0.95) -> xr.Dataset:
    r"""Return for each start the probability of each attractor and outcome under noise.

    .. math:: p_a(\theta_0) = \frac{1}{m} \#\{j : \text{seed } j \text{ ends at } a\}

    with Wilson's interval for m independent seeds.

    Parameters
    ----------
    ds : xarray.Dataset
        A result of `basins` with several seeds.
    confidence : float
        Coverage of the intervals, in (0, 1).

    Returns
    -------
    xarray.Dataset
        ``probability``, ``lower``, ``upper`` along swept parameters, ``start`` and ``basin``;
        ``outcome_probability``, ``outcome_lower``, ``outcome_upper`` along ``outcome``.

    Raises
    ------
    InvalidValueError
        If the dataset is no result of `basins` with seeds, or the confidence is not in (0, 1).

    References
    ----------
    Wilson (1927), J. Amer. Statist. Assoc. 22, 209-212.

    Examples
    --------
    >>> import fastdescent as fd
    >>> ds = fd.geometry.basins(
    ...     fd.landscapes.SymmetricDoubleWell(),
    ...     fd.optimizers.GradientDescent(learning_rate=0.1),
    ...     [[0.0], [0.5]],
    ...     steps=100,
    ...     seeds=400,
    ...     noise=fd.noise.Gaussian(scale=0.2),
    ... )
    >>> outcome_probabilities(ds).probability.sel(basin=1).values.round(2).tolist()
    [0.51, 1.0]
    """
    dims, _, coords = _swept(checked_map(ds))
    confidence = checked_confidence(confidence)
    if "seed" not in ds["attractor"].dims:
        raise InvalidValueError(
            "ds", "one trajectory per start", "several seeds per start", "use seeds=100, say"
        )
    trials = ds.sizes["seed"]
    rows = ds["attractor"].size // trials
    memory.require(
        rows * (ds.sizes["basin"] + len(OUTCOME)) * 32,
        f"the probabilities of {rows:,} starts",
        "select fewer of them",
    )
    variables: dict[str, Any] = {}
    for name, prefix, size in (
        ("attractor", "", ds.sizes["basin"]),
        ("outcome", "outcome_", len(OUTCOME)),
    ):
        values = ds[name].transpose(*dims, "start", "seed").to_numpy()
        counts = np.stack([(values == k).sum(axis=-1) for k in range(size)], axis=-1)
        lower, upper = wilson_interval(counts, trials, confidence)
        along = (*dims, "start", "basin" if name == "attractor" else "outcome")
        variables[f"{prefix}probability"] = variable(along, counts / trials, "share of the seeds")
        variables[f"{prefix}lower"] = variable(along, lower, "lower end of the interval")
        variables[f"{prefix}upper"] = variable(along, upper, "upper end of the interval")
    variables["initial"] = ds["initial"]
    coords |= {"start": ds["start"], "basin": ds["basin"], "outcome": list(OUTCOME)}
    interval = f"Wilson, {confidence:g}, for {trials} independent seeds"
    return xr.Dataset(variables, coords=coords, attrs=_about(ds, interval=interval))


def _colour_maps(ds: xr.Dataset) -> tuple[IntArray, tuple[int, ...]]:
    """Return the fates on the grid, (configuration, *grid), and the grid's shape."""
    shape = grid_shape(ds)
    if "seed" in ds["attractor"].dims:
        raise InvalidValueError("ds", "several seeds", "one seed", "select one: ds.isel(seed=0)")
    dims, _, _ = _swept(ds)
    arrays = [
        ds[name].transpose(*dims, "start").to_numpy()
        for name in ("attractor", "outcome", "steps", "period")
    ]
    return Labels(*arrays).colours().reshape(-1, *shape), shape


def basin_entropy(ds: xr.Dataset, box: int = 5) -> xr.Dataset:
    r"""Return basin entropy and boundary basin entropy of a map.

    .. math:: S_i = -\sum_j p_{ij} \ln p_{ij}, \qquad S_b = \frac1N \sum_i S_i, \qquad
              S_{bb} = \frac{1}{N_b} \sum_{i : S_i > 0} S_i

    with p_ij the share of fate j among the starts of box i; each attractor is a fate, and so is
    each outcome without an attractor: diverged, moving, cycling elsewhere.  S_b measures how
    unpredictable the end is, from 0 to the logarithm of the number of fates; where S_bb exceeds
    ln 2 the boundary is fractal, as a smooth one has two fates in all but few boxes.  The
    converse does not hold.

    Parameters
    ----------
    ds : xarray.Dataset
        A result of `basins` on a `Grid`, of one seed.
    box : int
        Side of a box in starts, >= 2, at most the grid's shortest side; the boxes do not
        overlap, and starts beyond the last whole box are left out.

    Returns
    -------
    xarray.Dataset
        ``entropy``, ``boundary_entropy`` in nats (nan where no box has two fates) and their
        ``_standard_error`` from the spread over boxes, as if these were independent;
        ``boxes``, ``boundary_boxes``.

    Raises
    ------
    InvalidValueError
        If the starts are no grid, or the box does not fit.

    References
    ----------
    Daza, Wagemakers, Georgeot, Guery-Odelin and Sanjuan (2016), Scientific Reports 6, 31416.

    Examples
    --------
    >>> import fastdescent as fd
    >>> rule = fd.optimizers.GradientDescent(learning_rate=0.002)
    >>> grid = fd.starts.Grid(counts=100)
    >>> ds = fd.geometry.basins(fd.landscapes.Himmelblau(), rule, grid, steps=2000)
    >>> found = basin_entropy(ds)
    >>> print(f"{found.entropy:.3f} {found.boundary_entropy:.3f}")
    0.048 0.554
    """
    colours, shape = _colour_maps(ds)
    if not is_integer(box) or not 2 <= box <= min(shape):
        raise InvalidValueError("box", box, f"an integer from 2 to {min(shape)}")
    dims, lengths, coords = _swept(ds)
    entropy = _box_entropies(colours, shape, int(box))
    mixed = entropy > 0.0
    number = mixed.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        boundary = np.where(number > 0, entropy.sum(axis=1) / number, np.nan)
        square = np.where(mixed, (entropy - boundary[:, np.newaxis]) ** 2, 0.0).sum(axis=1)
        spread = np.where(number > 1, np.sqrt(square / (number - 1) / number), np.nan)
    count = entropy.shape[1]
    error = entropy.std(axis=1, ddof=1) / math.sqrt(count) if count > 1 else spread * np.nan
    found = {
        "entropy": (entropy.mean(axis=1), "basin entropy"),
        "entropy_standard_error": (error, "standard error of the basin entropy"),
        "boundary_entropy": (boundary, "boundary basin entropy; nan = no boundary"),
        "boundary_entropy_standard_error": (
            spread,
            "standard error of the boundary basin entropy",
        ),
        "boxes": (np.full(len(entropy), count), "boxes"),
        "boundary_boxes": (number, "boxes with more than one fate"),
    }
    variables = {
        name: variable(dims, values.reshape(lengths), text)
        for name, (values, text) in found.items()
    }
    attrs = _about(ds, box=int(box), fractal_above=math.log(2.0))
    return xr.Dataset(variables, coords=coords, attrs=attrs)


def _box_entropies(colours: IntArray, shape: tuple[int, ...], box: int) -> FloatArray:
    """Return the entropy of each box, (configuration, box)."""
    whole = [n // box for n in shape]
    cut = colours[(slice(None), *(slice(n * box) for n in whole))]
    split = cut.reshape(len(colours), *(k for n in whole for k in (n, box)))
    within = tuple(range(2, 2 * len(shape) + 1, 2))
    entropy = np.zeros((len(colours), *whole))
    for colour in np.unique(colours):
        share = np.mean(split == colour, axis=within)
        entropy -= share * np.log(np.where(share > 0.0, share, 1.0))
    return entropy.reshape(len(colours), -1)


def boundary_dimension(
    ds: xr.Dataset, *, smallest: int = 2, largest: int | None = None
) -> xr.Dataset:
    r"""Return the box-counting dimension of the boundary between the basins of a map.

    The boundary is the 2 x 2 blocks of starts with more than one fate.  1 is a smooth line;
    see `statistics.box_counting_dimension` for the estimate and its error.

    Parameters
    ----------
    ds : xarray.Dataset
        A result of `basins` on a `Grid` of two dimensions, of one seed.
    smallest, largest : int
        Sides of the boxes in starts, as in `statistics.box_counting_dimension`.

    Returns
    -------
    xarray.Dataset
        ``dimension`` and ``standard_error`` for each swept value, nan where there is no
        boundary, and ``boundary_cells``.

    Raises
    ------
    InvalidValueError
        If the starts are no grid of two dimensions, or it is too small for three sizes.

    References
    ----------
    Falconer (2014), Fractal Geometry, 3rd edition, section 2.1.

    Examples
    --------
    >>> import fastdescent as fd
    >>> rule = fd.optimizers.GradientDescent(learning_rate=0.002)
    >>> grid = fd.starts.Grid(counts=200)
    >>> ds = fd.geometry.basins(fd.landscapes.Himmelblau(), rule, grid, steps=2000)
    >>> print(f"{boundary_dimension(ds).dimension:.1f}")
    1.0
    """
    colours, shape = _colour_maps(ds)
    if len(shape) != 2:
        raise InvalidValueError(
            "ds", f"a grid of shape {shape}", "a map of two dimensions", "see uncertainty_exponent"
        )
    dims, lengths, coords = _swept(ds)
    rows = []
    for colour in colours:
        mask = np.logical_or.reduce([edge(colour == k) for k in np.unique(colour)])
        if not mask.any():
            rows.append((np.nan, np.nan, 0))
            continue
        found = box_counting_dimension(mask, smallest=smallest, largest=largest)
        rows.append((found.dimension, found.standard_error, int(mask.sum())))
    columns = (np.array(column).reshape(lengths) for column in zip(*rows, strict=True))
    names = {
        "dimension": "box-counting dimension of the boundary; nan = no boundary",
        "standard_error": "spread of the local slopes",
        "boundary_cells": "blocks of 2 x 2 starts with more than one fate",
    }
    variables = {
        name: variable(dims, values, text)
        for (name, text), values in zip(names.items(), columns, strict=True)
    }
    return xr.Dataset(variables, coords=coords, attrs=_about(ds))


def uncertainty_exponent(
    landscape: Landscape,
    optimizer: Optimizer,
    starts: Starts | ArrayLike,
    *,
    epsilons: Sequence[float],
    steps: int,
    attractors: ArrayLike | None = None,
    radius: float | None = None,
    stop: Stop | None = None,
    seed: int = 0,
    transforms: Sequence[Transform] = (),
    threads: int | None = None,
    confidence: float = 0.95,
) -> xr.Dataset:
    r"""Measure how the share of uncertain starts falls with the precision of the start.

    .. math:: f(\varepsilon) \propto \varepsilon^\alpha, \qquad D = \mathrm{dim} - \alpha

    A start is uncertain at epsilon if theta + epsilon u or theta - epsilon u has another fate
    than theta, u being a random direction.  alpha = 1 for a smooth boundary; the closer alpha
    is to 0, the less a better known start helps.  D is the dimension of the boundary.

    alpha is the weighted least-squares slope of ln f on ln epsilon, over those epsilon with
    at least 10 uncertain starts and f at most 1/2, beyond which f saturates.  Its standard error
    comes from the covariance of the shares over the starts, which all epsilon have in common, and
    is enlarged by the root of chi^2 per degree of freedom where the points scatter more.

    Parameters
    ----------
    landscape, optimizer, starts, steps, attractors, radius, stop, seed, transforms, threads
        As in `basins`; take random starts.
    epsilons : sequence of float
        Displacements, at least two, > 0 and increasing, in units of theta.
    confidence : float
        Coverage of the intervals of f, in (0, 1).

    Returns
    -------
    xarray.Dataset
        ``fraction``, ``lower``, ``upper`` along swept parameters and ``epsilon``; ``exponent``,
        ``dimension`` and their common ``standard_error``, nan where fewer than two epsilon can
        be used.

    Raises
    ------
    InvalidValueError
        If an argument is not allowed.

    References
    ----------
    Grebogi, McDonald, Ott and Yorke (1983), Physics Letters A 99, 415-418; McDonald, Grebogi,
    Ott and Yorke (1985), Physica D 17, 125-153, section 2.

    Examples
    --------
    The basins of descent on Himmelblau's function have smooth boundaries:

    >>> import fastdescent as fd
    >>> found = uncertainty_exponent(
    ...     fd.landscapes.Himmelblau(),
    ...     fd.optimizers.GradientDescent(learning_rate=0.002),
    ...     fd.starts.Uniform(count=20_000),
    ...     epsilons=[0.03, 0.1, 0.3],
    ...     steps=2000,
    ... )
    >>> print(f"{found.exponent:.2f} +- {found.standard_error:.2f}")
    0.96 +- 0.03
    """
    sizes = _checked_epsilons(epsilons)
    confidence = checked_confidence(confidence)
    landscape, unit, part, points, stop = checked_setting(landscape, starts, seed, stop, False)
    found = Attractors(landscape, unit, attractors, radius)
    experiment = Experiment(landscape, optimizer, steps, stop, seed, 1, None, transforms, threads)
    dims, coords = experiment.dims, experiment.coords
    base = experiment.label(points, found).colours()
    changed = np.zeros((*base.shape, len(sizes)), dtype=bool)
    for j, size in enumerate(sizes):
        step = size * _directions(seed, j, *points.shape)
        for moved in (points + step, points - step):
            changed[..., j] |= experiment.label(moved, found).colours() != base
    lengths = base.shape[:-1]
    rows = changed.reshape(-1, *changed.shape[-2:])
    fits = np.array([_slope(sizes, row) for row in rows]).reshape(*lengths, 2)
    lower, upper = wilson_interval(changed.sum(axis=-2), len(points), confidence)
    along = (*dims[:-1], "epsilon")
    variables = {
        "fraction": variable(along, changed.mean(axis=-2), "fraction of uncertain starts"),
        "lower": variable(along, lower, "lower end of the interval"),
        "upper": variable(along, upper, "upper end of the interval"),
        "exponent": variable(dims[:-1], fits[..., 0], "uncertainty exponent"),
        "dimension": variable(dims[:-1], landscape.dim - fits[..., 0], "boundary dimension"),
        "standard_error": variable(dims[:-1], fits[..., 1], "standard error of both"),
    }
    interval = f"Wilson, {confidence:g}, for {len(points)} independent starts"
    attrs = experiment.attrs | {"starts": repr(part), "interval": interval}
    return xr.Dataset(variables, coords=coords | {"epsilon": sizes}, attrs=attrs)


def _checked_epsilons(epsilons: Any) -> FloatArray:
    allowed = "at least two increasing numbers > 0"
    try:
        sizes = np.array(epsilons, dtype=float)
    except (TypeError, ValueError):
        raise InvalidValueError("epsilons", epsilons, allowed) from None
    if sizes.ndim != 1 or len(sizes) < 2 or not np.isfinite(sizes).all():
        raise InvalidValueError("epsilons", epsilons, allowed)
    if sizes[0] <= 0.0 or (np.diff(sizes) <= 0.0).any():
        raise InvalidValueError("epsilons", epsilons, allowed)
    return sizes


def _directions(seed: int, number: int, count: int, dim: int) -> FloatArray:
    """Return random directions that are independent of the starts and of each other."""
    normal = np.random.default_rng([seed, number]).normal(size=(count, dim))
    return cast(FloatArray, normal / np.linalg.norm(normal, axis=1, keepdims=True))


def _slope(sizes: FloatArray, changed: NDArray[np.bool_]) -> tuple[float, float]:
    """Return slope and standard error of ln f on ln epsilon; `changed` is (start, epsilon)."""
    count = len(changed)
    used = (changed.sum(axis=0) >= 10) & (changed.mean(axis=0) <= 0.5)
    if used.sum() < 2:
        return np.nan, np.nan
    share = changed[:, used].mean(axis=0)
    x, y = np.log(sizes[used]), np.log(share)
    weight = count * share / (1.0 - share)
    centred = weight * (x - np.average(x, weights=weight))
    factors = centred / (centred @ x)
    slope = float(factors @ y)
    # The delta method: the covariance of the logarithms is that of the shares over their product.
    covariance = np.cov(changed[:, used].astype(float), rowvar=False) / count
    variance = factors @ (covariance / np.outer(share, share)) @ factors
    residual = y - np.average(y, weights=weight) - slope * (x - np.average(x, weights=weight))
    scatter = (weight * residual**2).sum() / max(len(x) - 2, 1)
    return slope, float(np.sqrt(variance * max(1.0, scatter)))
