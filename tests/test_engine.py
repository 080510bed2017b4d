"""The engine against a naive loop, and the invariances of its bits."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import fastdescent as fd
from fastdescent import memory
from fastdescent.contracts import JIT
from fastdescent.engine import ensemble
from fastdescent.engine.ensemble import Geometry
from fastdescent.errors import InvalidValueError, MemoryLimitError

BUDGET, CONVERGED, DIVERGED = 0, 1, 2
MANY = 300 if JIT else 6


def naive(landscape, rate, start, steps, stop=None, targets=(), radius=np.inf, tolerance=-1.0):
    """Gradient descent on one start in plain Python: (path, losses, steps, status, hits)."""
    theta = np.array(start, dtype=float)
    path, losses, hits, status = [], [], [-1] * len(targets), BUDGET
    for step in range(steps + 1):
        loss, grad = landscape.value(theta), landscape.gradient(theta)
        path.append(theta.copy())
        losses.append(loss)
        if np.isfinite(loss):
            hits = [step if h < 0 and loss <= t else h for h, t in zip(hits, targets, strict=True)]
        if not np.isfinite(loss) or (theta**2).sum() > radius**2:
            status = DIVERGED
            break
        if (stop is not None and loss <= stop) or np.sqrt((grad**2).sum()) <= tolerance:
            status = CONVERGED
            break
        theta -= rate * grad
    return np.array(path), np.array(losses), len(path) - 1, status, hits


def same(a, b):
    """Whether two datasets have the same bits, attributes apart."""
    assert list(a.variables) == list(b.variables)
    for name in a.variables:
        left, right = a[name].values, b[name].values
        assert (left.dtype, left.shape) == (right.dtype, right.shape), name
        assert left.tobytes() == right.tobytes(), name


@pytest.mark.parametrize(
    ("rate", "stop", "radius", "tolerance"),
    [
        (0.002, None, None, None),
        (0.002, 1e-3, None, None),
        (0.002, None, None, 0.05),
        (0.02, None, 50.0, None),
        (0.02, 1e-1, None, None),
    ],
)
def test_equals_a_naive_loop(rate, stop, radius, tolerance):
    landscape = fd.landscapes.Rosenbrock(dim=2)
    starts = np.random.default_rng(1).uniform(-2, 2, (40 if JIT else 5, 2))
    targets = [1.0, 1e-2, 0.5, 1e-3]
    steps = 400 if JIT else 60
    ds = fd.simulate(
        landscape,
        fd.optimizers.GradientDescent(learning_rate=rate),
        starts=starts,
        steps=steps,
        stop=fd.Stop(loss=stop, radius=radius, gradient_norm=tolerance),
        targets=targets,
        record=fd.record.steps([0, 1, 7, steps]),
    )
    with np.errstate(all="ignore"):
        for i, start in enumerate(starts):
            path, losses, ended, status, hits = naive(
                landscape,
                rate,
                start,
                steps,
                stop,
                targets,
                radius or np.inf,
                -1.0 if tolerance is None else tolerance,
            )
            one = ds.isel(start=i)
            assert one.steps == ended
            assert one.status == status
            assert one.hitting_time.values.tolist() == hits
            # The kernel's value and gradient are those of .value and .gradient, and the rule
            # is one multiplication and one subtraction: no rounding differs.
            np.testing.assert_array_equal(one.position, path[-1])
            np.testing.assert_array_equal(one.loss, losses[-1])
            held = [min(step, ended) for step in (0, 1, 7, steps)]
            np.testing.assert_array_equal(one.path, path[held])
            np.testing.assert_array_equal(one.path_loss, losses[held])


def study(**changes):
    """A study with noise, sweeps, stops, targets and records, small enough to repeat."""
    arguments = {
        "starts": fd.starts.Uniform(-2.0, 2.0, count=MANY),
        "steps": 500 if JIT else 12,
        "seeds": 2,
        "seed": 42,
        "noise": fd.noise.Gaussian(scale=0.05),
        "stop": fd.Stop(loss=1e-2, radius=100.0),
        "targets": [1.0, 1e-1],
        "record": fd.record.every(50 if JIT else 5),
    }
    arguments.update(changes)
    rule = arguments.pop("rule", fd.optimizers.GradientDescent(learning_rate=[1e-3, 3e-3, 1e-2]))
    landscape = arguments.pop("landscape", fd.landscapes.Rosenbrock(dim=2, b=[10.0, 100.0]))
    return fd.simulate(landscape, rule, **arguments)


def test_bits_do_not_depend_on_the_grouping_of_lanes():
    reference = study(threads=1)
    assert {BUDGET, CONVERGED, DIVERGED} <= set(np.unique(reference.status)) or not JIT
    geometries = [
        Geometry(tile=8, epoch=25, wave=64),
        Geometry(tile=24, epoch=1),
        Geometry(tile=256, epoch=1000, wave=999),
        Geometry(tile=1, epoch=50, wave=10_000),
    ]
    for geometry, threads in itertools.product(geometries if JIT else geometries[:1], (1, 2)):
        same(reference, study(threads=threads, geometry=geometry))


def test_a_trajectory_alone_has_the_bits_that_it_has_in_the_ensemble():
    whole = study()
    starts = whole.initial.values
    some = fd.simulate(
        fd.landscapes.Rosenbrock(dim=2, b=100.0),
        fd.optimizers.GradientDescent(learning_rate=3e-3),
        starts=starts[:5],
        steps=whole.attrs and (500 if JIT else 12),
        seeds=1,
        seed=42,
        noise=fd.noise.Gaussian(scale=0.05),
        stop=fd.Stop(loss=1e-2, radius=100.0),
        targets=[1.0, 1e-1],
        record=fd.record.every(50 if JIT else 5),
    )
    chosen = whole.sel(b=100.0, learning_rate=3e-3, seed=0).isel(start=slice(0, 5))
    for name in ("position", "loss", "gradient_norm", "steps", "status", "hitting_time", "path"):
        assert chosen[name].values.tobytes() == some[name].values.tobytes(), name


def test_more_starts_and_seeds_extend_an_ensemble():
    few = study(starts=fd.starts.Uniform(-2.0, 2.0, count=MANY // 3), seeds=2)
    more = study(seeds=3)
    part = more.isel(start=slice(0, MANY // 3), seed=slice(0, 2))
    for name in ("initial", "position", "loss", "steps", "status", "hitting_time", "path"):
        assert part[name].values.tobytes() == few[name].values.tobytes(), name


def test_seeds_differ_and_rules_share_their_noise():
    ds = study(stop=None, landscape=fd.landscapes.Rosenbrock(), steps=1)
    assert (ds.position.isel(seed=0) != ds.position.isel(seed=1)).all()
    # After one step theta = theta_0 - rate (g + noise): the same noise at every rate.
    with np.errstate(invalid="ignore"):
        shift = (ds.position - ds.initial) / ds.learning_rate
    # 1e-3 * (g + noise) is subtracted from numbers below 2: relative error 2e-16 / 1e-3 / |g|.
    np.testing.assert_allclose(shift[0], shift[2], rtol=1e-9, atol=1e-11)


def test_dimensions_are_the_swept_parameters_in_the_order_written():
    ds = study(
        landscape=fd.landscapes.Rosenbrock(b=[1.0, 2.0], a=[0.5, 1.0, 1.5]), steps=2, seeds=1
    )
    assert ds.loss.dims == ("b", "a", "learning_rate", "start")
    assert ds.position.dims == ("b", "a", "learning_rate", "start", "coordinate")
    assert ds.hitting_time.dims == ("b", "a", "learning_rate", "start", "target")
    assert ds.path.dims == ("b", "a", "learning_rate", "start", "record", "coordinate")
    assert ds.loss.shape == (2, 3, 3, MANY)
    assert ds.initial.dims == ("start", "coordinate")
    assert ds.steps.dtype == np.int64
    assert ds.status.dtype == np.int8
    assert ds.status.attrs["flag_meanings"].split()[:3] == ["budget", "converged", "diverged"]


def test_each_configuration_is_the_one_its_coordinates_say():
    ds = study(seeds=1, noise=None)
    for b, rate in itertools.product(ds.b.values, ds.learning_rate.values):
        one = study(
            landscape=fd.landscapes.Rosenbrock(b=b),
            rule=fd.optimizers.GradientDescent(rate),
            seeds=1,
            noise=None,
        )
        chosen = ds.sel(b=b, learning_rate=rate)
        for name in ("position", "loss", "steps", "status", "hitting_time", "path"):
            assert chosen[name].values.tobytes() == one[name].values.tobytes(), name


def test_targets_count_from_the_known_minimum():
    landscape = fd.landscapes.StyblinskiTang(dim=1) if JIT else fd.landscapes.McCormick()
    start = landscape.minima[0] + 1e-3
    ds = fd.simulate(
        landscape,
        fd.optimizers.GradientDescent(1e-3),
        starts=start[None],
        steps=3,
        targets=[1.0, 1e-30],
    )
    assert ds.hitting_time.values.tolist() == [[0, -1]]


def test_an_ended_trajectory_keeps_its_state():
    """What stopped at step k has the position of step k, whatever its lane did afterwards."""
    ds = study(noise=None, seeds=1, landscape=fd.landscapes.Rosenbrock(), stop=fd.Stop(loss=0.5))
    loss = fd.landscapes.Rosenbrock().value(ds.position.values.reshape(-1, 2))
    np.testing.assert_array_equal(loss, ds.loss.values.ravel())
    gradient = fd.landscapes.Rosenbrock().gradient(ds.position.values.reshape(-1, 2))
    with np.errstate(all="ignore"):
        norm = np.sqrt((gradient**2).sum(axis=1))
    # The sum of two squares is rounded in either order.
    np.testing.assert_allclose(norm, ds.gradient_norm.values.ravel(), rtol=4e-16)
    converged = ds.status.values == CONVERGED
    assert (ds.loss.values[converged] <= 0.5).all()


def test_a_start_that_already_satisfies_the_test_takes_no_step():
    ds = fd.simulate(
        fd.landscapes.Rosenbrock(),
        fd.optimizers.GradientDescent(),
        starts=[[1.0, 1.0], [np.sqrt(2.0), 2.0]],
        steps=5,
        stop=fd.Stop(loss=1e-20),
        targets=[1e-20],
    )
    assert ds.steps.values.tolist() == [0, 5]
    assert ds.status.values.tolist() == [CONVERGED, BUDGET]
    assert ds.hitting_time.values[0, 0] == 0


def test_theta_that_is_not_finite_under_a_finite_loss_is_noticed():
    """A landscape that breaks its contract: the loss is 0 whatever theta is."""
    ds = fd.simulate(
        _Blind(), fd.optimizers.GradientDescent(1e300), starts=[[1.0], [0.0]], steps=200
    )
    assert ds.status.values.tolist() == [DIVERGED, BUDGET]
    assert ds.steps.values[0] == 64


def test_theta_that_is_not_finite_at_the_end_of_the_budget():
    ds = fd.simulate(_Blind(), fd.optimizers.GradientDescent(1e300), starts=[[1.0]], steps=50)
    assert ds.status.values.tolist() == [DIVERGED]


def test_a_hit_in_the_step_that_leaves_the_radius_counts():
    ds = fd.simulate(
        fd.landscapes.Saddle(),
        fd.optimizers.GradientDescent(1.0),
        starts=[[0.0, 1.0]],
        steps=10,
        stop=fd.Stop(radius=5.0),
        targets=[-10.0],
    )
    # y doubles: the loss is -y^2 / 2 = -32 at y = 8, step 3.
    assert ds.hitting_time.values.tolist() == [[3]]
    assert ds.status.values.tolist() == [DIVERGED]


def test_rules_see_no_workspace_rows():
    """A rule may loop over the rows of grad: there are as many as coordinates."""
    ds = fd.simulate(fd.landscapes.Ackley(dim=2), _ByGradient(), starts=[[0.5, 0.5]], steps=3)
    assert np.isfinite(ds.position.values).all()


@fd.kernel("update")
def _by_gradient(theta, grad, loss, state, hyper, step):
    for i in range(grad.shape[0]):
        for lane in range(grad.shape[1]):
            theta[i, lane] -= hyper[0, lane] * grad[i, lane]


class _ByGradient(fd.Optimizer):
    kernels = {"standard": _by_gradient}  # noqa: RUF012
    learning_rate: fd.Values = fd.parameter(default=0.01, lower=0.0)


@fd.kernel("update")
def _greedy(theta, grad, loss, state, hyper, step):
    for lane in range(theta.shape[1]):
        state[0, lane] += grad[0, lane]


class _Greedy(fd.Optimizer):
    kernels = {"standard": _greedy}  # noqa: RUF012


def test_a_rule_that_writes_outside_its_state_is_refused_before_it_is_compiled():
    with pytest.raises(InvalidValueError, match=r"_Greedy.*vectors"):
        study(rule=_Greedy())


def test_a_schedule_that_fails_late_keeps_what_is_finished():
    """The check before the run cannot see every step of a million."""
    rate = fd.schedules.Function(base=1e-3, function=lambda t: -5.0 if t == 13_337 else 1.0)
    ds = fd.simulate(
        fd.landscapes.Rosenbrock(),
        fd.optimizers.GradientDescent(rate),
        starts=[[1.0, 1.0], [-1.0, 1.0]],
        steps=1_000_000 if JIT else 14_000,
        stop=fd.Stop(loss=1e-30),
    )
    assert ds.attrs["interrupted"] == 1
    assert "learning_rate" in ds.attrs["error"]
    assert ds.status.values.tolist() == [CONVERGED, 3]
    assert ds.steps.values[1] <= 13_337


def test_targets_that_would_mean_two_things_are_refused():
    landscape = fd.landscapes.Rosenbrock(dim=3, a=[0.5, 1.0])
    with pytest.raises(InvalidValueError, match="known for some of its values only"):
        fd.simulate(
            landscape, fd.optimizers.Adam(), starts=[[0.0, 0.0, 0.0]], steps=1, targets=[0.1]
        )


def test_ends_below_the_known_minimum_are_counted():
    """McCormick's function is unbounded below outside its domain."""
    ds = fd.simulate(
        fd.landscapes.McCormick(),
        fd.optimizers.GradientDescent(0.05),
        starts=[[-0.5, -1.5], [3.9, 30.0]],
        steps=50,
    )
    below = ds.loss.values < fd.landscapes.McCormick().minimum - 1e-6
    assert ds.attrs["below_minimum"] == below.sum()
    assert ds.attrs["starts_outside_domain"] == 1


def test_the_working_memory_is_counted(monkeypatch):
    """A wave of a wide landscape needs more than its result."""
    monkeypatch.setattr(memory, "available", lambda: 0)
    with pytest.raises(MemoryLimitError) as caught:
        fd.simulate(
            fd.landscapes.Bowl(dim=2000),
            fd.optimizers.AMSGrad(),
            starts=fd.starts.Uniform(count=30_000),
            steps=1,
        )
    needed, unit = str(caught.value).split("needs ")[1].split()[:2]
    # The result and its start points are 0.5 GB each; a wave of lanes, of which each has theta,
    # gradient, point and three moments, is half a gigabyte, twice while it is packed together.
    assert unit == "GB"
    assert 2.0 < float(needed) < 2.5


def test_progress_shows_trajectories_their_rate_and_the_time_left(capsys):
    silent = study(progress=False)
    assert capsys.readouterr().err == ""
    same(silent, study(progress=True))
    shown = capsys.readouterr().err
    assert "GradientDescent on Rosenbrock: 100%" in shown
    assert "trajectories/s" in shown
    assert "<" in shown  # elapsed < remaining


def test_interrupted_and_run_again_gives_the_same_bits():
    reference = study(threads=1)

    class Late(ensemble._Interrupt):
        def __enter__(self):
            self.seen = True
            return super().__enter__()

    original = ensemble._Interrupt
    ensemble._Interrupt = Late
    try:
        assert study(threads=1).attrs["interrupted"] == 1
    finally:
        ensemble._Interrupt = original
    same(reference, study(threads=1))


@fd.kernel("landscape")
def _blind(theta, params, data, batch, loss, grad):
    for lane in range(loss.shape[0]):
        loss[lane] = 0.0
        grad[0, lane] = 1e10 * theta[0, lane]


class _Blind(fd.Landscape):
    checked = False
    kernel = _blind
    dim = 1


def test_memory_is_refused_before_anything_runs():
    with pytest.raises(MemoryLimitError, match=r"TB.*available.*recording fewer"):
        fd.simulate(
            fd.landscapes.Rosenbrock(),
            fd.optimizers.GradientDescent(np.linspace(0, 1e-3, 1000)),
            starts=np.zeros((1000, 2)),
            steps=1_000_000,
            record=fd.record.every(1),
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, r"steps: got 0, allowed is an integer from 1"),
        ({"steps": 1.5}, r"steps: got 1.5"),
        ({"steps": True}, r"steps: got True"),
        ({"seeds": 0}, r"seeds: got 0"),
        ({"seed": -1}, r"seed: got -1"),
        ({"starts": [[np.nan, 0.0]]}, r"got \[nan, 0.0\], allowed is finite numbers \(row 0\)"),
        ({"starts": [[0.0, 0.0, 0.0]]}, r"got \(1, 3\), allowed is shape \(count, 2\)"),
        ({"starts": "here"}, r"starts: got 'here'"),
        ({"starts": np.zeros((0, 2))}, r"at least one row"),
        ({"targets": [np.inf]}, r"targets"),
        ({"targets": [1.0, 1.0]}, r"targets"),
        ({"threads": 0}, r"threads: got 0"),
        ({"threads": 10_000}, r"threads: got 10000"),
        ({"stop": 1e-8}, r"stop: got 1e-08, allowed is a stop"),
        ({"noise": 0.1}, r"noise: got 0.1, allowed is a noise"),
        ({"record": 10}, r"record: got 10"),
        ({"rule": fd.optimizers.GradientDescent}, r"write GradientDescent\(\.\.\.\)"),
        ({"rule": fd.landscapes.Rosenbrock()}, r"optimizer: got Rosenbrock"),
        ({"landscape": "Rosenbrock"}, r"landscape: got 'Rosenbrock'"),
    ],
)
def test_bad_arguments_are_named(changes, message):
    with pytest.raises(InvalidValueError, match=message):
        study(**changes)


def test_results_carry_their_study():
    ds = study(steps=1)
    assert "Rosenbrock" in ds.attrs["study"]
    assert ds.attrs["seed"] == "42"
    assert ds.attrs["trajectory_steps"] == int(ds.steps.sum())
    assert "numba" in ds.attrs["versions"]


def test_a_schedule_that_leaves_the_range_is_refused():
    grows = fd.schedules.Function(base=0.9, function=lambda t: 1.0 + 0.01 * t)
    with pytest.raises(InvalidValueError, match=r"Adam.beta1: .* it gives 1\.\d+ at step 99"):
        study(rule=fd.optimizers.Adam(beta1=grows), steps=100)


def test_a_scheduled_and_swept_rate_equals_a_naive_loop():
    """Rate base * 1/(1 + t): the kernel sees base times the factor, rounded once."""
    landscape = fd.landscapes.Rosenbrock()
    schedule = fd.schedules.InverseTime(base=[1e-3, 2e-3], decay=1.0)
    ds = fd.simulate(
        landscape,
        fd.optimizers.GradientDescent(schedule),
        starts=[[0.5, -0.5]],
        steps=30,
        geometry=Geometry(epoch=7),
    )
    assert ds.position.dims == ("learning_rate", "start", "coordinate")
    for i, base in enumerate([1e-3, 2e-3]):
        theta = np.array([0.5, -0.5])
        for t in range(30):
            theta -= (base * schedule.factor(np.array([t]))[0]) * landscape.gradient(theta)
        np.testing.assert_array_equal(ds.position.values[i, 0], theta)


def test_the_gradient_pipeline_is_noise_then_transforms_in_order():
    landscape = fd.landscapes.Bowl(dim=1)
    clip, decay = fd.transforms.ClipByValue(0.1), fd.transforms.CoupledL2(1.0)

    def step(*transforms):
        return fd.simulate(
            landscape,
            fd.optimizers.GradientDescent(1.0),
            starts=[[2.0]],
            steps=1,
            transforms=transforms,
        ).position.item()

    # g = 2 at theta = 2: clipped first 0.1 + 2, decayed first min(2 + 2, 0.1).
    assert step(clip, decay) == 2.0 - 2.1
    assert step(decay, clip) == 1.9


def test_many_given_starts_stay_out_of_the_study_text():
    ds = study(
        starts=np.zeros((1001, 2)), landscape=fd.landscapes.Rosenbrock(), steps=1, record=None
    )
    assert 'array = "initial"' in ds.attrs["study"]
    assert len(ds.attrs["study"]) < 1000
    few = study(starts=np.zeros((3, 2)), landscape=fd.landscapes.Rosenbrock(), steps=1, record=None)
    assert 'array = "initial"' not in few.attrs["study"]
