"""The study of trainability: the equivalent on one data point, its measures, its images."""

from __future__ import annotations

import doctest
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import sympy

import fastdescent as fd
from fastdescent.contracts import JIT
from fastdescent.errors import InvalidValueError
from fastdescent.models import OnePointMLP, one_point_mlp

SCRIPT = Path(__file__).parents[1] / "scripts" / "trainability.py"
RNG = np.random.default_rng(8)
#: (width, inputs) of small networks, and the paper's.
SHAPES = [(1, 1), (3, 5), (16, 16)]
RATES = np.logspace(-3.0, 6.0, 19 if JIT else 4)
STEPS = 60 if JIT else 8


@pytest.fixture(scope="module")
def study():
    spec = importlib.util.spec_from_file_location("trainability", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["trainability"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["trainability"]


def network(width, inputs, **given):
    data = fd.data.Dataset(RNG.normal(size=(1, inputs)), RNG.normal(size=1))
    scales = [np.sqrt(2.0 / inputs), 1.0 / width]
    return fd.models.MLP(data, widths=[width], bias=False, **{"scales": scales, **given})


def test_documentation():
    assert doctest.testmod(one_point_mlp).failed == 0


# The equivalent.


@pytest.mark.parametrize(("width", "inputs"), SHAPES)
def test_it_has_the_loss_and_the_gradient_of_the_network(width, inputs):
    """The change of coordinates is orthogonal, so the norms of the gradients are equal, too."""
    net = network(width, inputs)
    one = OnePointMLP.of(net)
    theta = RNG.normal(size=(7, net.dim))
    small = one.reduced(net, theta)
    assert small.shape == (7, 2 * width)
    # Sums of `inputs` and `width` terms of size 1.
    np.testing.assert_allclose(one.value(small), net.value(theta), rtol=1e-12, atol=1e-15)
    x = net.samples.x[0] / np.linalg.norm(net.samples.x[0])
    full, reduced = net.gradient(theta), one.gradient(small)
    hidden = full[:, : width * inputs].reshape(-1, width, inputs)
    np.testing.assert_allclose(hidden, reduced[:, :width, None] * x, rtol=1e-11, atol=1e-15)
    np.testing.assert_allclose(
        full[:, width * inputs :], reduced[:, width:], rtol=1e-11, atol=1e-15
    )


def test_scales_are_1_where_the_network_has_none():
    one = OnePointMLP.of(network(3, 2, scales=None))
    assert one.scale == 1.0


@pytest.mark.parametrize(
    "given",
    [{"activation": "relu"}, {"bias": True}, {"widths": [3, 3], "scales": None}, {"widths": []}],
    ids=str,
)
def test_only_that_network_has_an_equivalent(given):
    data = fd.data.Dataset(RNG.normal(size=(1, 4)), RNG.normal(size=1))
    with pytest.raises(InvalidValueError, match="one hidden layer of tanh"):
        OnePointMLP.of(fd.models.MLP(data, **{"widths": [3], "bias": False, **given}))
    two = fd.data.Dataset(RNG.normal(size=(2, 4)), RNG.normal(size=2))
    with pytest.raises(InvalidValueError, match="on one sample"):
        OnePointMLP.of(fd.models.MLP(two, widths=[3], bias=False))


MODEL = OnePointMLP(width=3, gain=1.3, scale=0.4, label=-0.7)


def test_gradient_and_hessian_are_those_of_the_formula():
    x = sympy.symbols("x:6")
    loss = MODEL.formula(x, sympy)
    found = [
        sympy.lambdify(x, f, "numpy")
        for f in (loss, sympy.Matrix([loss]).jacobian(x), sympy.hessian(loss, x))
    ]
    points = RNG.normal(size=(5, 6))
    for point, value, gradient, hessian in zip(
        points, MODEL.value(points), MODEL.gradient(points), MODEL.hessian(points), strict=True
    ):
        # A hundred roundings of numbers of size 1.
        np.testing.assert_allclose(value, found[0](*point), rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(gradient, found[1](*point)[0], rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(hessian, found[2](*point), rtol=1e-12, atol=1e-14)
    assert np.array_equal(MODEL.hessian(points[0]), MODEL.hessian(points)[0])


def test_its_parameters_can_be_swept():
    swept = OnePointMLP(width=2, gain=[0.5, 2.0], scale=[0.1, 1.0], label=[0.0, 1.0])
    theta = [[0.3, -0.8, 1.2, 0.4]]
    ds = fd.simulate(swept, fd.optimizers.GradientDescent(0.1), starts=theta, steps=3)
    assert dict(ds.loss.sizes) == {"gain": 2, "scale": 2, "label": 2, "start": 1}
    one = fd.simulate(
        swept.at(gain=2.0, scale=0.1, label=1.0),
        fd.optimizers.GradientDescent(0.1),
        starts=theta,
        steps=3,
    )
    assert np.array_equal(ds.loss.sel(gain=2.0, scale=0.1, label=1.0), one.loss)
    assert swept.minimum == 0.0


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("place", range(6))
def test_the_loss_is_not_finite_where_theta_is_not(place, value):
    """tanh of infinity is 1."""
    point = np.ones(6)
    point[place] = value
    assert not np.isfinite(MODEL.value(point))


def test_standard_normal_weights_have_a_standard_normal_equivalent():
    """Also those along x: 16 000 numbers of variance 1, so 0.06 is five standard errors."""
    points = fd.starts.Initialization(count=1000).points(OnePointMLP(width=8), 0)
    assert points.shape == (1000, 16)
    assert abs(points.mean()) < 0.04
    assert abs(points.var() - 1.0) < 0.06


# The same trajectories: the 272-parameter network and the recursion on 32 numbers.


def descend(model, start, rule=None, steps=STEPS):
    return fd.simulate(
        model,
        rule or fd.optimizers.GradientDescent(1.0),
        starts=start,
        steps=steps,
        transforms=[fd.transforms.BlockRates.of(model, [RATES, RATES])],
        record=fd.record.every(1),
    )


@pytest.fixture(scope="module")
def pair(study):
    net, start = study.network("one_point")
    one = OnePointMLP.of(net)
    assert (net.dim, one.dim) == (272, 32)
    return net, one, descend(net, start), descend(one, one.reduced(net, start))


def test_every_step_is_that_of_the_network(pair):
    """From the network's own place in each step, so roundings do not add up.

    They are those of the weights, and of the gradient's terms before anything cancels.
    """
    net, one, full, _ = pair
    path = full.path.to_numpy().reshape(-1, STEPS + 1, 272)
    here, after = path[:, :-1].reshape(-1, 272), path[:, 1:].reshape(-1, 272)
    size = np.maximum(abs(here).max(axis=1), abs(after).max(axis=1))
    sane = size < 1e100  # no overflow in the loss
    here, after, size = here[sane], after[sane], size[sane]
    first, second = (rates.ravel() for rates in np.meshgrid(RATES, RATES, indexing="ij"))
    first, second = np.repeat(first, STEPS)[sane], np.repeat(second, STEPS)[sane]
    small = one.reduced(net, here)
    gradient = one.gradient(small)
    gradient[:, :16] *= first[:, None]
    gradient[:, 16:] *= second[:, None]
    error = abs(small - gradient - one.reduced(net, after)).max(axis=1)
    weight = abs(small[:, 16:])
    slope = 2.0 * one.scale * (one.scale * weight.sum(axis=1) + abs(one.label))
    terms = slope * (first * one.gain * weight.max(axis=1) + second)
    assert (error <= 1e-14 * (size + terms)).all()
    assert sane.mean() > 0.5


def test_whole_trajectories_are_those_of_the_network(pair):
    """Roundings grow on a chaotic transient, by 1e-6 at most here; nine in ten stay at 1e-11."""
    _, _, full, small = pair
    assert np.array_equal(full.status, small.status)
    assert np.array_equal(full.steps, small.steps)
    losses = [ds.path_loss.to_numpy().reshape(-1, STEPS + 1) for ds in (full, small)]
    finite = np.isfinite(losses[0]) & (losses[0] < 1e300)
    assert np.array_equal(finite, np.isfinite(losses[1]) & (losses[1] < 1e300))
    difference = np.zeros(finite.shape)
    difference[finite] = abs(losses[0][finite] - losses[1][finite])
    difference[finite] /= 1e-3 + losses[0][finite]
    assert difference.max() < 1e-4
    assert np.quantile(difference.max(axis=1), 0.9) < 1e-11
    ended = small.status.to_numpy().ravel()
    if JIT:  # many of both kinds
        assert 100 < np.count_nonzero(ended == 0) < len(ended) - 100


def test_momentum_has_the_same_equivalent(study):
    net, start = study.network("one_point")
    one = OnePointMLP.of(net)
    rule = fd.optimizers.Momentum(learning_rate=0.5, beta=0.9)
    paths = [
        fd.simulate(model, rule, starts=at, steps=20, record=fd.record.every(1)).path_loss
        for model, at in ((net, start), (one, one.reduced(net, start)))
    ]
    np.testing.assert_allclose(*paths, rtol=1e-9, atol=1e-13)


# The study.


def test_data_weights_and_conditions(study):
    expected = {
        "one_point": (1, "tanh", "tanh, one data point"),
        "full_batch": (272, "tanh", "tanh, full batch of 272 points"),
        "relu": (272, "relu", "ReLU, full batch of 272 points"),
        "identity": (16, "identity", "linear, full batch of 16 points"),
    }
    assert study.conditions() == list(expected)
    for condition, (count, activation, words) in expected.items():
        net, start = study.network(condition)
        assert net.samples.x.shape == (count, 16)
        assert (net.dim, net.activation, start.shape) == (272, activation, (1, 272))
        assert study.in_words(condition) == words
    data = study.network("full_batch")[0].samples
    assert abs(data.x.var() - 1.0) < 0.1  # five standard errors of 4352 numbers
    assert abs(data.y.var() - 1.0) < 0.4  # the same of 272
    assert abs(data.x.T @ data.y).max() / 272 < 0.3  # targets know nothing of inputs: five again
    first = study.network("one_point", data_seed=0)[0].samples
    assert np.array_equal(data.x[:1], first.x)
    assert not np.array_equal(study.network("one_point")[0].samples.x, first.x)
    assert not np.array_equal(study.network("one_point", 1)[1], study.network("one_point")[1])


def test_the_study_itself_trains_the_networks(study):
    """Of its coarse image, a corner of 2 x 2 cells: what the script computes there."""
    steps = 500 if JIT else 21
    text = study.STUDY.read_text(encoding="utf-8").replace("6.0, 64]", "-2.0, 2]")
    text = text.replace("steps = 500", f"steps = {steps}")
    one = next(iter(fd.Study.from_toml(text).pairs()))
    assert one.landscape_label == "one_point"
    ds = one.simulate()
    assert dict(ds.loss.sizes) == {"rate_1": 2, "rate_2": 2, "start": 1}
    model, start = study.problem("one_point")
    rates = [[1e-3, 1e-2], [1e-3, 1e-2]]
    small = fd.simulate(
        model,
        one.optimizer,
        starts=start,
        steps=steps,
        transforms=[fd.transforms.BlockRates.of(model, rates)],
    )
    # 500 steps far from any edge add up 500 roundings.
    np.testing.assert_allclose(ds.loss, small.loss, rtol=1e-11)


def test_rates_are_those_of_the_middle_of_each_cell(study):
    np.testing.assert_allclose(
        study.rates(-1.0, 1.0, 4), 10.0 ** np.array([-0.75, -0.25, 0.25, 0.75])
    )


def test_convergence_is_judged_as_in_the_paper(study):
    n = 101
    falling = 2.0 * 0.9 ** np.arange(n)
    rising = 2.0 * 1.1 ** np.arange(n)
    late = np.where(np.arange(n) < n - 20, 50.0, 1.9)
    early = np.where(np.arange(n) < n - 20, 1.0, 2.1)
    early[0] = late[0] = 2.0
    huge = np.full(n, 1e300)
    lost = np.full(n, np.nan)
    infinite = np.full(n, np.inf)
    for path in (huge, lost, infinite):
        path[0] = 2.0
    converged, measure = study.judged(
        np.array([falling, rising, late, early, huge, lost, infinite]), np.arange(n)
    )
    assert converged.tolist() == [True, False, True, False, False, False, False]
    np.testing.assert_allclose(measure[0], np.mean(falling / 2.0))
    np.testing.assert_allclose(measure[1], np.mean(2.0 / rising))
    np.testing.assert_allclose(measure[4:], (1.0 + (n - 1) * 1e-6) / n)


def test_outcomes_do_not_depend_on_which_losses_make_the_colours(study):
    some, all_steps = small(study), small(study, every=1)
    assert np.array_equal(some.converged, all_steps.converged)
    order = [np.argsort(frame.measure[frame.converged]) for frame in (some, all_steps)]
    rank = [np.argsort(ranks) for ranks in order]
    assert np.corrcoef(*rank)[0, 1] > 0.98


def test_kept_losses_stand_for_those_up_to_the_next(study):
    assert study.recorded(30, 1).tolist() == list(range(31))
    at = study.recorded(100, 25)
    assert at.tolist() == [*range(20), 25, 50, 75, *range(81, 101)]
    losses = np.where(np.arange(101) < 50, 1.0, 0.5)[None]
    full = study.judged(losses, np.arange(101))[1]
    np.testing.assert_allclose(study.judged(losses[:, at], at)[1], full, rtol=1e-14)


def small(study, **given):
    size, steps = (48, 60) if JIT else (4, 21)
    return study.compute("one_point", size, study.Window(*study.WINDOW), steps, **given)


def test_bands_and_threads_change_nothing(study):
    whole, bands = small(study), small(study, band=50, threads=1)
    assert np.array_equal(whole.converged, bands.converged)
    assert np.array_equal(whole.measure, bands.measure)
    assert whole.updates == bands.updates > 0


def test_the_image_has_the_output_layer_upwards(study):
    """Low rates converge; with a high rate of the output layer alone, or of both, it diverges."""
    frame = small(study)
    assert frame.converged[0, 0]
    assert frame.converged[0, -1]
    assert not frame.converged[-1, 0]
    assert not frame.converged[-1, -1]


def test_a_window_computes_what_the_whole_image_shows_there(study):
    frame = small(study)
    size, (left, right, bottom, top) = len(frame.converged), frame.window
    half = study.Window(left, 0.5 * (left + right), bottom, 0.5 * (bottom + top))
    part = study.compute("one_point", size // 2, half, frame.steps)
    assert np.array_equal(part.converged, frame.converged[: size // 2, : size // 2])


def test_the_next_window_lies_on_the_edge(study):
    converged = np.zeros((100, 100), dtype=bool)
    converged[:50] = True
    converged[45:55, 60:80] = np.random.default_rng(0).random((10, 20)) < 0.5
    frame = study.Frame(study.Window(0.0, 1.0, 2.0, 4.0), converged, converged * 1.0, 1, 1, 1.0)
    window = study.part_with_most_structure(frame, 5)
    np.testing.assert_allclose(window.right - window.left, 0.2)
    np.testing.assert_allclose(window.top - window.bottom, 0.4)
    np.testing.assert_allclose(window.left, 0.6)
    assert 2.8 <= window.bottom < 3.0


def test_the_command_writes_data_and_picture(study, tmp_path, capsys):
    size = "80" if JIT else "5"
    study.main(
        ["one_point", "--size", size, "--steps", "25", "--zoom", "2", "--out", str(tmp_path)]
    )
    said = capsys.readouterr().out
    assert "trajectory-steps/s" in said
    assert (tmp_path / "one_point.png").stat().st_size > 10_000
    frames = study.read(tmp_path / "one_point.npz")
    assert len(frames) == 3
    assert frames[0].window == study.Window(*study.WINDOW)
    assert frames[0].converged.shape == (int(size), int(size))
    if JIT:
        assert "median" in said
    image = tmp_path / "second.png"
    again = ["one_point", "--draw", "--frame", "1", "--out", str(tmp_path), "--image", str(image)]
    study.main(again)  # from the data alone
    assert "second.png" in capsys.readouterr().out
    assert image.stat().st_size > 10_000


def test_a_window_is_given_by_its_logarithms(study, tmp_path, capsys):
    size = "12" if JIT else "4"
    window = ["--window", "0", "1", "-1", "0.5"]
    study.main(["one_point", "--size", size, "--steps", "20", *window, "--out", str(tmp_path)])
    (frame,) = study.read(tmp_path / "one_point.npz")
    assert frame.window == study.Window(0.0, 1.0, -1.0, 0.5)
    with pytest.raises(SystemExit):
        study.main(["one_point", "--window", "1", "0", "0", "1", "--out", str(tmp_path)])
    assert "window" in capsys.readouterr().err


@pytest.mark.skipif(not JIT, reason="272 samples take a minute in plain Python")
def test_the_whole_network_runs_too(study):
    frame = study.compute("full_batch", 8, study.Window(*study.WINDOW), steps=25)
    assert frame.converged[0, 0]
    assert not frame.converged[-1, 0]
    assert frame.converged.shape == (8, 8)
