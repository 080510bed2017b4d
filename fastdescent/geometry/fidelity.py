"""Fidelity of an update rule: how often it ends where the gradient flow does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import solve_ivp
from scipy.spatial import KDTree

from fastdescent import record
from fastdescent.engine.result import STATUS
from fastdescent.errors import InvalidValueError, UnknownNameError
from fastdescent.geometry._dataset import variable
from fastdescent.geometry.attractors import Attractors
from fastdescent.geometry.basin_statistics import checked_confidence
from fastdescent.geometry.basins import (
    OUTCOME,
    Experiment,
    Labels,
    checked_setting,
    grid_counts,
    outcome_variable,
)
from fastdescent.geometry.hessians import hessians
from fastdescent.landscapes import Landscape
from fastdescent.optimizers import GradientDescent, Optimizer
from fastdescent.parts import FloatArray, IntArray, is_integer, is_number
from fastdescent.starts import Grid, Starts
from fastdescent.statistics import wilson_interval
from fastdescent.stopping import Stop
from fastdescent.transforms import Transform

__all__ = ["fidelity"]

# The flows, and what helps where they reach nothing.
_LONGER = {
    "small steps": 'give more flow_steps, or use flow="ode"',
    "ode": "give a longer horizon",
}
_METHODS = ("LSODA", "BDF", "Radau")
# Starts and ends of the rule at which the curvature is measured; flows along which it is, at
# how many times, and how often the flows are begun again with smaller steps.
_MOST_CURVATURES, _ENDS = 1024, 64
_FLOWS, _TIMES, _ROUNDS = 16, 128, 8
# The first round of small steps; each further one makes as many as all before.
_FIRST_ROUND = 4096
# The most small steps from one start, and from all of them together: a minute or two.
_MOST_STEPS, _MOST_IN_ALL = 10**7, 2 * 10**10
# Learning rate of the small steps, times the largest curvature.
_SMALL_STEP = 0.01
# Local errors of the integrator, relative and as a share of the domain's width.
_RELATIVE, _ABSOLUTE = 1e-8, 1e-10


def fidelity(
    landscape: Landscape,
    optimizer: Optimizer,
    starts: Starts | ArrayLike,
    *,
    steps: int,
    flow: str = "small steps",
    flow_steps: int | None = None,
    undecided: float = 0.001,
    method: str = "LSODA",
    horizon: float | None = None,
    attractors: ArrayLike | None = None,
    radius: float | None = None,
    stop: Stop | None = None,
    seed: int = 0,
    transforms: Sequence[Transform] = (),
    threads: int | None = None,
    bins: int = 10,
    confidence: float = 0.95,
) -> xr.Dataset:
    r"""Compare the basins of an update rule with those of the gradient flow.

    .. math:: \dot x = -\nabla f(x), \qquad x(0) = \theta_0

    A start agrees if rule and flow take it to the same attractor.  Starts whose flow reaches
    none are not compared.  Among them are those whose flow had not arrived when it was given up;
    the intervals hold both possibilities for them, the attribute ``flow_undecided`` is their
    share, and more than half of them is an error.

    With ``flow="ode"`` SciPy integrates the flow of one start after another, 10 to 100 ms
    each, by a method for stiff equations with the Jacobian -H, until the gradient is as small as
    the stopping test asks for.  With ``flow="small steps"`` the engine runs gradient descent
    with learning rates 0.01 / L and 0.005 / L, and the second is the reference.  L is the largest
    absolute curvature at up to 1024 starts, the attractors, ends of the rule from up to 64 starts
    and along the small steps from up to 16, which are begun again where these find a larger one.
    Their number is doubled until at most the share `undecided` has not arrived, or `flow_steps`
    are made; the attribute ``flow_steps`` says how many were.
    Descent is off the flow by O(eta), so where the two differ the reference is in doubt, and
    ``flow_difference`` says how often that is.  A well that none of these places lies in is not
    seen; one much sharper than the rest of the landscape needs many `flow_steps`, or the "ode".

    Parameters
    ----------
    landscape, starts, steps, attractors, radius, stop, seed, transforms, threads
        As in `basins`; the stopping test holds for rule and flow, and needs a gradient norm
        with ``flow="ode"``.
    optimizer : Optimizer
        The update rule; hyper-parameters given as sequences are axes of the result.
    flow : {"small steps", "ode"}
        How the flow is followed.
    flow_steps : int, optional
        The budget of the small steps from each start, >= 1; by default 10^7, and 2 * 10^10 from
        all of them together.
    undecided : float
        Share of the starts that may be left before the small steps arrive, in [0, 0.5].
    method : {"LSODA", "BDF", "Radau"}
        SciPy's integrator.
    horizon : float, optional
        Time at which the integration ends, > 0, in units of theta^2 per loss; by default 10^6
        times the length over the gradient in the landscape's own `scales`.
    bins : int
        Number of classes of distance, >= 1, with equally many starts each, as far as
        possible.
    confidence : float
        Coverage of the intervals, in (0, 1).

    Returns
    -------
    xarray.Dataset
        ``agreement``, ``lower``, ``upper`` along swept parameters: the share of the compared
        starts that agree, with Wilson's interval for independent random starts, widened for
        those that are undecided.
        ``agrees``, ``attractor``, ``outcome`` along swept parameters and ``start``;
        ``flow_attractor``, ``flow_outcome``, ``compared`` and ``distance`` along ``start``: the
        distance to the nearest compared start in another basin of the flow, an upper bound on
        that to the boundary (inf if there is one basin only, or the start is not compared),
        ``distance_in_cells`` too on a `Grid`, in units of its shortest spacing.
        ``agreement_at_distance`` with its interval along ``distance_class``, between
        ``distance_lower`` and ``distance_upper``, with ``starts_at_distance``.  An undecided
        start has one of two distances: that to the nearest compared start, or, if it is in the
        basin of that one, to the nearest in another.  ``undecided_at_distance`` counts it in the
        class of either, and the intervals hold what it could be.  The attractors as in `basins`.

    Raises
    ------
    UnknownNameError
        If there is no such flow or method.
    InvalidValueError
        If another argument is not allowed, or the flow arrives from less than half of the
        starts, or from none.

    References
    ----------
    Barrett and Dherin (2021), ICLR, on descent and its flow; integrator: Petzold (1983), SIAM
    Journal on Scientific and Statistical Computing 4, 136-148.

    Examples
    --------
    Momentum overshoots the barriers that the flow stops at:

    >>> import fastdescent as fd
    >>> ds = fidelity(
    ...     fd.landscapes.Himmelblau(),
    ...     fd.optimizers.Momentum(learning_rate=0.002, beta=[0.0, 0.5, 0.9]),
    ...     fd.starts.Uniform(count=500),
    ...     steps=5000,
    ... )
    >>> ds.agreement.values.round(3).tolist()
    [0.998, 0.998, 0.648]
    """
    _check(flow, method, horizon, bins, undecided, flow_steps)
    confidence = checked_confidence(confidence)
    landscape, unit, part, points, stop = checked_setting(landscape, starts, seed, stop, False)
    found = Attractors(landscape, unit, attractors, radius)
    rule = Experiment(landscape, optimizer, steps, stop, seed, 1, None, transforms, threads)
    labels = rule.label(points, found)
    if flow == "ode":
        reference, about = _integrated(rule, points, found, method, horizon)
    else:
        reference, about = _small_steps(rule, points, found, flow_steps, undecided)
    attractor, reached = found.settle(labels.attractor, reference.attractor)
    compared = reached >= 0
    left = reference.outcome == OUTCOME["moving"]
    _check_compared(flow, compared, left)
    about["not_compared"] = float(np.mean(~compared))
    about["flow_undecided"] = float(np.mean(left))
    about["flow_undecided_is"] = (
        "share of the starts whose flow had not arrived; the interval of the agreement allows "
        "for all and for none of them agreeing"
    )
    agrees = (attractor == reached) & compared
    distance = np.full(len(points), np.inf)
    distance[compared] = _to_other_basins(points[compared], reached[compared], points, reached)
    possible = _possible_distances(points[left], points, reached)
    labels = labels._replace(attractor=attractor)
    reference = reference._replace(attractor=reached)
    variables = {
        **_per_start(rule, labels, reference, compared, agrees, distance),
        **_rates(rule, agrees, compared, left, confidence),
        **_by_distance(rule, agrees, distance, compared, possible, bins, confidence),
        **found.variables(),
        "initial": variable(("start", "coordinate"), points, "start points"),
    }
    if isinstance(part, Grid):
        cells = distance / _least_spacing(points)
        variables["distance_in_cells"] = variable(("start",), cells, "distance, in cells")
        about["grid_counts"] = list(grid_counts(part, landscape.dim))
    about["interval"] = f"Wilson, {confidence:g}, for independent random starts"
    start, basin = np.arange(len(points)), np.arange(len(found.positions))
    coords = rule.coords | {"start": start, "basin": basin}
    return xr.Dataset(variables, coords=coords, attrs=_attributes(rule, part, found) | about)


def _attributes(rule: Experiment, starts: Starts, attractors: Attractors) -> dict[str, Any]:
    return rule.attrs | {
        "starts": repr(starts),
        "radius": attractors.radius,
        "attractors": attractors.source,
    }


def _check(flow: Any, method: Any, horizon: Any, bins: Any, undecided: Any, steps: Any) -> None:
    if flow not in _LONGER:
        raise UnknownNameError("flow", flow, _LONGER)
    if method not in _METHODS:
        raise UnknownNameError("method", method, _METHODS)
    if horizon is not None and not (is_number(horizon) and 0.0 < horizon < np.inf):
        raise InvalidValueError("horizon", horizon, "a number in (0, inf), or None")
    if not is_integer(bins) or bins < 1:
        raise InvalidValueError("bins", bins, "an integer >= 1")
    if not is_number(undecided) or not 0.0 <= undecided <= 0.5:
        raise InvalidValueError("undecided", undecided, "a number in [0, 0.5]")
    if steps is not None and (not is_integer(steps) or steps < 1):
        raise InvalidValueError("flow_steps", steps, "an integer >= 1, or None")


def _check_compared(flow: str, compared: NDArray[np.bool_], undecided: NDArray[np.bool_]) -> None:
    """Refuse a flow that leaves most starts open: the others need not be like them."""
    if undecided.mean() > 0.5:
        raise InvalidValueError(
            "flow",
            f"{flow!r}, not arrived from {undecided.mean():.0%} of the starts",
            "one that arrives from at least half of them",
            _LONGER[flow],
        )
    if not compared.any():
        raise InvalidValueError(
            "flow",
            f"{flow!r}, from no start at an attractor",
            "one that ends at one from some",
            "give a stricter stop, a larger radius, or attractors",
        )


def _small_steps(
    rule: Experiment,
    points: FloatArray,
    attractors: Attractors,
    given: int | None,
    undecided: float,
) -> tuple[Labels, dict[str, Any]]:
    """Follow the flow by descent with a small step and with half of it, the reference."""
    budget, most = (_MOST_STEPS, _MOST_IN_ALL) if given is None else (given, given * len(points))
    curvature = _largest_curvature(rule, points, attractors, budget)
    rates = (_SMALL_STEP / curvature, 0.5 * _SMALL_STEP / curvature)
    coarse, fine = (
        _in_rounds(_descent(rule, rate, budget), points, attractors, undecided, most)
        for rate in rates
    )
    differ = float(np.mean(coarse.attractor != fine.attractor))
    return fine, {
        "flow": "small steps",
        "flow_learning_rate": rates[1],
        "flow_steps": int(fine.steps.max()),
        "flow_difference": differ,
        "flow_difference_is": "share of the starts that a step twice as long takes elsewhere",
    }


def _in_rounds(
    descent: Experiment, points: FloatArray, attractors: Attractors, undecided: float, most: int
) -> Labels:
    """Label starts by descent, which is doubled until few of them have not arrived.

    Descent has no memory, so each round goes on where the last one ended.
    """
    ends, left, done = points.copy(), np.arange(len(points)), 0
    outcome = np.full(len(points), OUTCOME["moving"], dtype=np.int8)
    steps = np.zeros(len(points), dtype=np.int64)
    while len(left) > undecided * len(points):
        affordable = (most - int(steps.sum())) // len(left)
        more = min(max(done, _FIRST_ROUND), descent.steps - done, affordable)
        if more < 1:
            break
        found = replace(descent, steps=more).run(ends[left])
        ends[left] = found["position"].to_numpy()
        steps[left] += found["steps"].to_numpy()
        status = found["status"].to_numpy()
        for name in ("converged", "diverged"):
            outcome[left[status == STATUS[name]]] = OUTCOME[name]
        left, done = left[status == STATUS["budget"]], done + more
    return _labels(ends, outcome, steps, attractors)


def _labels(
    ends: FloatArray, outcome: NDArray[np.int8], steps: IntArray, attractors: Attractors
) -> Labels:
    """Return the labels of flow lines that end somewhere; there are no cycles."""
    attractor = np.full(len(ends), -1, dtype=np.int64)
    arrived = outcome == OUTCOME["converged"]
    attractor[arrived] = attractors.assign(ends[arrived])
    return Labels(attractor, outcome, steps, np.zeros(len(ends), dtype=np.int16))


def _descent(rule: Experiment, learning_rate: float, steps: int) -> Experiment:
    return replace(
        rule,
        optimizer=GradientDescent(learning_rate=learning_rate),
        steps=steps,
        transforms=(),
    )


def _largest_curvature(
    rule: Experiment, points: FloatArray, attractors: Attractors, steps: int
) -> float:
    """Return the largest absolute curvature at starts, ends, attractors and along some flows.

    A flow can lead into a well sharper than all of them; steps that are too large for it jump
    about in it, which shows in a larger curvature on their way, until they are small enough.
    """
    corner = np.abs(rule.landscape.domain).max(axis=1)
    farthest = max(float(np.linalg.norm(points, axis=1).max()), float(np.linalg.norm(corner)))
    ends = rule.run(_some(points, _ENDS))["position"].to_numpy()
    seen = [_within(some, farthest) for some in (attractors.positions, ends)]
    places = np.concatenate([_some(points, _MOST_CURVATURES), *seen])
    curvature = _curvature(rule.landscape, places)
    for _ in range(_ROUNDS):
        if not 0.0 < curvature < np.inf:
            raise InvalidValueError(
                "starts",
                f"a largest curvature of {curvature:g}",
                "starts at which the Hessian is finite and not 0",
                'use flow="ode"',
            )
        flow = _descent(rule, _SMALL_STEP / curvature, steps)
        found = flow.run(_some(points, _FLOWS), record.log_spaced(_TIMES))
        way = [_within(found[name].to_numpy(), farthest) for name in ("path", "position")]
        before, there = curvature, _curvature(rule.landscape, np.concatenate(way))
        curvature = max(before, there)
        if curvature <= 1.1 * before:
            break
    return curvature


def _some(points: FloatArray, most: int) -> FloatArray:
    return points[:: -(-len(points) // most)]


def _within(points: FloatArray, farthest: float) -> FloatArray:
    """Return the points (..., dim) that have not run away, as (count, dim)."""
    flat = points.reshape(-1, points.shape[-1])
    near: FloatArray = flat[np.linalg.norm(flat, axis=1) <= farthest]
    return near


def _curvature(landscape: Landscape, points: FloatArray) -> float:
    """Return the largest absolute curvature at points, inf where one has none."""
    matrices = hessians(landscape, points).matrices
    if not np.isfinite(matrices).all():
        return np.inf
    return float(np.abs(np.linalg.eigvalsh(matrices)).max(initial=0.0))


def _integrated(
    rule: Experiment,
    points: FloatArray,
    attractors: Attractors,
    method: str,
    horizon: float | None,
) -> tuple[Labels, dict[str, Any]]:
    """Follow the flow of each start by an integrator for stiff equations."""
    if rule.stop.gradient_norm is None:
        raise InvalidValueError(
            "stop", rule.stop, 'a gradient_norm with flow="ode"', "or flow='small steps'"
        )
    scales = attractors.scales
    # Where the loss is constant every start is at rest, and no time passes.
    until = horizon if horizon is not None else 1e6 * scales.length / (scales.gradient or 1.0)
    ends = np.empty_like(points)
    outcome = np.full(len(points), OUTCOME["moving"], dtype=np.int8)
    failed = 0
    for i, point in enumerate(points):
        ends[i], name = _end_of_flow(rule, point, method, until, scales.length)
        failed += name == "failed"
        outcome[i] = OUTCOME.get(name, OUTCOME["moving"])
    return _labels(ends, outcome, np.zeros(len(points), dtype=np.int64), attractors), {
        "flow": "ode",
        "flow_method": method,
        "flow_horizon": until,
        "flow_relative_tolerance": _RELATIVE,
        "flow_absolute_tolerance": _ABSOLUTE * scales.length,
        "flow_failures": failed,
    }


def _end_of_flow(
    rule: Experiment, start: Any, method: Any, until: float, length: float
) -> tuple[FloatArray, str]:
    """Return where a flow line ends, and how: converged, diverged, moving or failed."""
    landscape, stop = rule.landscape, rule.stop
    assert stop.gradient_norm is not None
    small, far = stop.gradient_norm, np.inf if stop.radius is None else stop.radius
    if np.linalg.norm(landscape.gradient(start)) <= small:
        return start, "converged"

    def steep(t: float, x: FloatArray) -> float:
        return float(np.linalg.norm(landscape.gradient(x))) - small

    def near(t: float, x: FloatArray) -> float:
        return min(far, 1e300) - float(np.linalg.norm(x))

    steep.terminal = near.terminal = True  # type: ignore[attr-defined]
    found = solve_ivp(
        lambda t, x: -landscape.gradient(x),
        (0.0, until),
        start,
        method=method,
        jac=lambda t, x: -hessians(landscape, x, threads=1).matrices[0],
        events=(steep, near),
        rtol=_RELATIVE,
        atol=_ABSOLUTE * length,
    )
    end: FloatArray = found.y[:, -1]
    if found.status == 1:
        assert found.t_events is not None
        return end, "converged" if len(found.t_events[0]) else "diverged"
    return end, "moving" if found.status == 0 else "failed"


def _to_other_basins(
    points: FloatArray, basin: IntArray, starts: FloatArray, reached: IntArray
) -> FloatArray:
    """Return the distance of points in basins to the nearest compared start in another, or inf."""
    distance = np.full(len(points), np.inf)
    for k in np.unique(basin):
        others = starts[(reached >= 0) & (reached != k)]
        if len(others):
            distance[basin == k] = KDTree(others).query(points[basin == k])[0]
    return distance


def _possible_distances(points: FloatArray, starts: FloatArray, reached: IntArray) -> FloatArray:
    """Return the two distances (2, count) that an undecided start can have: see `fidelity`."""
    compared = reached >= 0
    away, nearest = KDTree(starts[compared]).query(points)
    basin = reached[compared][nearest]
    return np.stack([away, _to_other_basins(points, basin, starts, reached)])


def _least_spacing(points: FloatArray) -> float:
    """Return the least positive distance of a grid's neighbours along an axis."""
    gaps = [np.diff(np.unique(column)) for column in points.T]
    return min((float(gap.min()) for gap in gaps if len(gap)), default=1.0)


def _per_start(
    rule: Experiment,
    labels: Labels,
    flow: Labels,
    compared: NDArray[np.bool_],
    agrees: NDArray[np.bool_],
    distance: FloatArray,
) -> dict[str, Any]:
    start = ("start",)
    return {
        "agrees": variable(rule.dims, agrees, "whether rule and flow end at the same attractor"),
        "attractor": variable(rule.dims, labels.attractor, "attractor of the rule; -1 = none"),
        "outcome": outcome_variable(rule.dims, labels.outcome),
        "flow_attractor": variable(start, flow.attractor, "attractor of the flow; -1 = none"),
        "flow_outcome": outcome_variable(start, flow.outcome),
        "compared": variable(start, compared, "whether the flow reached an attractor"),
        "distance": variable(start, distance, "distance to the nearest start in another basin"),
    }


def _shares(
    prefix: str,
    dims: Sequence[str],
    agreeing: IntArray,
    trials: IntArray,
    confidence: float,
    undecided: IntArray,
) -> dict[str, Any]:
    """Return agreeing / trials; the interval holds what it is with the undecided ones too."""
    lower, _ = wilson_interval(agreeing, trials + undecided, confidence)
    _, upper = wilson_interval(agreeing + undecided, trials + undecided, confidence)
    return {
        f"agreement{prefix}": variable(dims, agreeing / trials, "share that agrees"),
        f"lower{prefix}": variable(dims, lower, "lower end of the interval"),
        f"upper{prefix}": variable(dims, upper, "upper end of the interval"),
    }


def _rates(
    rule: Experiment,
    agrees: NDArray[np.bool_],
    compared: NDArray[np.bool_],
    undecided: NDArray[np.bool_],
    confidence: float,
) -> dict[str, Any]:
    agreeing = agrees.sum(axis=-1)
    trials = np.broadcast_to(compared.sum(), agreeing.shape)
    return _shares("", rule.dims[:-1], agreeing, trials, confidence, undecided.sum())


def _by_distance(
    rule: Experiment,
    agrees: NDArray[np.bool_],
    distance: FloatArray,
    compared: NDArray[np.bool_],
    possible: FloatArray,
    bins: int,
    confidence: float,
) -> dict[str, Any]:
    """Return the agreement in classes of distance, none of them empty."""
    dims = (*rule.dims[:-1], "distance_class")
    ordered = np.sort(distance[compared])
    edges = np.unique(ordered[np.arange(bins + 1) * (len(ordered) - 1) // bins])
    # Equal distances belong together: each class begins at its edge, the last one ends at it.
    number, those = (np.searchsorted(edges[1:-1], d, side="right") for d in (distance, possible))
    classes = [compared & (number == k) for k in range(max(len(edges) - 1, 1))]
    undecided = np.array([(those == k).any(axis=0).sum() for k in range(len(classes))])
    agreeing = np.stack([agrees[..., some].sum(axis=-1) for some in classes], axis=-1)
    trials = np.array([some.sum() for some in classes])
    every = np.broadcast_to(trials, agreeing.shape)
    found = _shares("_at_distance", dims, agreeing, every, confidence, undecided)
    ends = {
        "lower": [distance[some].min() for some in classes],
        "upper": [distance[some].max() for some in classes],
    }
    for name, values in ends.items():
        found[f"distance_{name}"] = variable(dims[-1:], values, f"{name} end of the distances")
    found["starts_at_distance"] = variable(dims[-1:], trials, "compared starts in the class")
    found["undecided_at_distance"] = variable(
        dims[-1:], undecided, "undecided starts that may belong to the class"
    )
    return found
