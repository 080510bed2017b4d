"""Training on data through the public `simulate`: step by step, in law, and in every bit.

The naive twins are the course notes' NumPy programs, written anew, on the same samples: those
that `fd.batch.indices` names.  V31, V43, V44 and V45 are numbers of the project's validation
notes; every docstring says where an answer comes from, and none was produced by the package.

Statistical tests use fixed seeds and the exact standard error of what they compare, and ask
for abs(z) < 4.5: for a normal z a false alarm has probability 6.8e-6.  There are about 190
such comparisons in this file, so 1e-3 for the file at new seeds.
"""

from __future__ import annotations

import itertools
import math

import mpmath
import numpy as np
import pytest
import twins
from scipy import integrate, special

import fastdescent as fd
from fastdescent.contracts import JIT
from fastdescent.engine.ensemble import Geometry
from fastdescent.errors import InvalidValueError
from fastdescent.streams import NOISE, normals

BUDGET, CONVERGED, DIVERGED = 0, 1, 2
GD = fd.optimizers.GradientDescent
Epochs, Full, Independent = fd.batch.Epochs, fd.batch.Full, fd.batch.Independent
LinearRegression, MLP = fd.models.LinearRegression, fd.models.MLP
EVERY_STEP = fd.record.every(1)

#: For what takes minutes in plain Python.
long = pytest.mark.skipif(not JIT, reason="too long without the JIT")

RNG = np.random.default_rng(45)
X = RNG.normal(size=(23, 3))
Y = X @ [1.0, -2.0, 0.5] + 0.7 + 0.3 * RNG.normal(size=23)
CLASSES = RNG.integers(0, 3, 23)
STARTS = RNG.normal(size=(3, 4))
SEED = 2026


def line(count, bias=True, **more):
    """Linear regression on the first samples; a permutation of 16 has a kernel of its own."""
    return LinearRegression(fd.data.Dataset(X[:count], Y[:count], **more), bias=bias)


def order(count, start, replicate, epoch):
    """The permutation of an epoch (1, 2, ...), whatever the size of the batches cut from it."""
    return fd.batch.indices(
        Epochs(count), seed=SEED, start=start, replicate=replicate, samples=count, step=epoch
    )[0]


def drawn(batch, count, start, replicate, step):
    return fd.batch.indices(
        batch, seed=SEED, start=start, replicate=replicate, samples=count, step=step
    )[0]


def paths(ds):
    """Yield start, replicate and path of every trajectory of a result without other axes."""
    path = ds.path if "seed" in ds.dims else ds.path.expand_dims("seed", 1)
    path = path.transpose("start", "seed", "record", "coordinate").values
    for start, replicate in np.ndindex(path.shape[:2]):
        yield start, replicate, path[start, replicate]


# The notes' programs: each yields theta after every step.


def batch_descent(x, y, theta, rate, iterations):
    for _ in range(iterations):
        theta = theta - rate * ((2 / len(y)) * (x.T @ (x @ theta - y)))
        yield theta


def stochastic_descent(x, y, theta, rate, orders):
    for shuffled in orders:
        for row, target in zip(x[shuffled], y[shuffled], strict=True):
            theta = theta - rate * (2 * (row @ theta - target) * row)
            yield theta


def mini_batch_descent(x, y, theta, rate, orders, size):
    """Blocks of a shuffled epoch; the last may be shorter, and is divided by its own length."""
    for shuffled in orders:
        for first in range(0, len(y), size):
            rows, targets = x[shuffled][first : first + size], y[shuffled][first : first + size]
            theta = theta - rate * ((2 / len(rows)) * (rows.T @ (rows @ theta - targets)))
            yield theta


def sampled_descent(x, y, theta, rate, draws):
    """The sampler of the notes' later programs: each step draws its rows anew."""
    for chosen in draws:
        errors = x[chosen] @ theta - y[chosen]
        theta = theta - rate * sum(
            2 * error * row for error, row in zip(errors, x[chosen], strict=True)
        ) / len(chosen)
        yield theta


def design(count, bias):
    return np.column_stack([X, np.ones(len(X))])[:count, : 3 + bias], Y[:count]


#: Numbers of order 1, contracting maps, sums in another order: steps times 1e-16 at most.
STEPWISE = {"rtol": 0.0, "atol": 1e-12}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("count", [11, 23])
def test_the_notes_three_programs_step_by_step(count, bias):
    model, rate, epochs = line(count, bias), 0.05, 3
    x, y = design(count, bias)
    starts = STARTS[:, : 3 + bias]
    common = {"starts": starts, "seeds": 2, "seed": SEED, "record": EVERY_STEP}
    whole = fd.simulate(model, GD(rate), steps=40, **common)
    for start, _, path in paths(whole):
        expected = list(batch_descent(x, y, starts[start], rate, 40))
        np.testing.assert_allclose(path[1:], expected, **STEPWISE)
    for size in (1, 4, count - 1, count):
        steps = epochs * math.ceil(count / size)
        ds = fd.simulate(model, GD(rate), steps=steps, batch=Epochs(size), **common)
        for start, replicate, path in paths(ds):
            orders = [order(count, start, replicate, e + 1) for e in range(epochs)]
            assert all((np.sort(o) == np.arange(count)).all() for o in orders)
            theta = starts[start]
            if size == 1:
                expected = list(stochastic_descent(x, y, theta, rate, orders))
            else:
                expected = list(mini_batch_descent(x, y, theta, rate, orders, size))
            assert len(expected) == steps
            np.testing.assert_allclose(path[0], theta, rtol=0)
            np.testing.assert_allclose(path[1:], expected, **STEPWISE)
            losses = [np.mean((x @ p - y) ** 2) for p in path]
            chosen = ds.path_loss.isel(start=start, seed=replicate)
            np.testing.assert_allclose(chosen, losses, rtol=1e-12)  # the loss of all samples


@pytest.mark.parametrize("replace", [False, True])
@pytest.mark.parametrize("size", [1, 5, 11])
def test_the_notes_sampler_step_by_step(size, replace):
    batch, count, rate = Independent(size, replace=replace), 11, 0.05
    x, y = design(count, True)
    ds = fd.simulate(
        line(count),
        GD(rate),
        starts=STARTS,
        steps=30,
        seeds=2,
        seed=SEED,
        batch=batch,
        record=EVERY_STEP,
    )
    for start, replicate, path in paths(ds):
        draws = [drawn(batch, count, start, replicate, t + 1) for t in range(30)]
        assert all(len(d) == size and (replace or len(set(d)) == size) for d in draws)
        expected = list(sampled_descent(x, y, STARTS[start], rate, draws))
        np.testing.assert_allclose(path[1:], expected, **STEPWISE)


def mean_gradient(x, y, theta):
    return np.mean([2 * (row @ theta - target) * row for row, target in zip(x, y, strict=True)], 0)


RULES = [
    fd.optimizers.Momentum(0.02, beta=0.8),
    fd.optimizers.Momentum(0.1, beta=0.8, variant="ema"),
    fd.optimizers.Nesterov(0.02, beta=0.8),
    fd.optimizers.Nesterov(0.02, beta=0.8, variant="torch"),
    fd.optimizers.AdaGrad(0.3),
    fd.optimizers.RMSProp(0.05),
    fd.optimizers.Adam(0.05),
    fd.optimizers.Nadam(0.05),
    fd.optimizers.AMSGrad(0.05),
    fd.optimizers.AdamW(0.05, weight_decay=0.1),
]


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("batch", [Epochs(4), Independent(3)], ids=repr)
def test_rules_on_mini_batches_equal_their_twins(rule, batch):
    """Nesterov's gradient is that of the step's samples at the point ahead."""
    count, steps = 11, 25
    x, y = design(count, True)
    ds = fd.simulate(
        line(count), rule, starts=STARTS, steps=steps, seed=SEED, batch=batch, record=EVERY_STEP
    )
    for start, _, path in paths(ds):

        def gradient(theta, t, start=start):
            chosen = drawn(batch, count, start, 0, t)
            return mean_gradient(x[chosen], y[chosen], theta)

        walk = twins.walk(
            rule.name, rule.variant, STARTS[start], lambda t: rule.base_values(), gradient, steps
        )
        expected = np.array([theta for theta, _ in walk])
        # A hundred roundings of numbers of order 1; a division by a root may double them.
        np.testing.assert_allclose(path[1:], expected, **STEPWISE)


def test_a_schedule_counts_steps_not_epochs():
    """Rate of step t = 1, 2, ...: base (f + (1 - f) (1 + cos(pi (t - 1) / T)) / 2)."""
    count, steps, size = 11, 30, 4
    x, y = design(count, True)
    rule = GD(fd.schedules.Cosine([0.02, 0.08], steps=20, final=0.1))
    ds = fd.simulate(
        line(count),
        rule,
        starts=STARTS,
        steps=steps,
        seed=SEED,
        batch=Epochs(size),
        record=EVERY_STEP,
    )
    for base in (0.02, 0.08):
        for start, _, path in paths(ds.sel(learning_rate=base)):
            orders = [order(count, start, 0, e + 1) for e in range(steps // 3)]
            blocks = [o[i : i + size] for o in orders for i in range(0, count, size)]
            theta = STARTS[start]
            for t, block in enumerate(blocks):
                factor = 0.1 + 0.9 * (1 + math.cos(math.pi * min(t, 20) / 20)) / 2
                theta = theta - base * factor * mean_gradient(x[block], y[block], theta)
                np.testing.assert_allclose(path[t + 1], theta, **STEPWISE)


@pytest.mark.parametrize("nesterov", [False, True])
def test_noise_and_transforms_come_after_the_mini_batch(nesterov):
    """g of the batch (at the point ahead), + noise, clipped, + lambda theta, then the rule."""
    count, steps, size, rate, beta = 23, 20, 6, 0.02, 0.7
    scale, limit, decay = 0.3, 2.0, 0.4
    x, y = design(count, True)
    rule = fd.optimizers.Nesterov if nesterov else fd.optimizers.Momentum
    ds = fd.simulate(
        line(count),
        rule(rate, beta=beta),
        starts=STARTS,
        steps=steps,
        seeds=2,
        seed=SEED,
        batch=Epochs(size),
        noise=fd.noise.Gaussian(scale),
        transforms=[fd.transforms.ClipByNorm(limit), fd.transforms.CoupledL2(decay)],
        record=EVERY_STEP,
    )
    clipped = 0
    for start, replicate, path in paths(ds):
        theta, v = STARTS[start], np.zeros(4)
        for t in range(1, steps + 1):
            chosen = drawn(Epochs(size), count, start, replicate, t)
            point = theta - beta * v if nesterov else theta
            g = mean_gradient(x[chosen], y[chosen], point)
            g = g + scale * normals(SEED, NOISE, start, 4, step=t, replicate=replicate)[0]
            clipped += np.linalg.norm(g) > limit
            g = g * min(1.0, limit / np.linalg.norm(g)) + decay * theta
            v = beta * v + rate * g
            theta = theta - v
            np.testing.assert_allclose(path[t], theta, **STEPWISE)
    assert 0 < clipped < 6 * steps  # some, not all


# A network: forward and back by hand, matrix by matrix.


def network_gradient(model, theta, x, labels):
    """Mean cross-entropy of a tanh network with softmax, or with the odds of label 1."""
    blocks = [theta[b.offset :][: b.rows * b.columns].reshape(b.rows, -1) for b in model.blocks]
    weights, biases = blocks[::2], blocks[1::2]
    inputs = [x.T]
    for w, b in zip(weights[:-1], biases[:-1], strict=True):
        inputs.append(np.tanh(w @ inputs[-1] + b))
    z = weights[-1] @ inputs[-1] + biases[-1]
    if len(z) == 1:
        delta = 1 / (1 + np.exp(-z)) - labels
    else:
        delta = special.softmax(z, axis=0) - (np.arange(len(z))[:, None] == labels)
    delta = delta / len(x)
    gradient = []
    for layer in reversed(range(len(weights))):
        gradient = [(delta @ inputs[layer].T).ravel(), delta.sum(axis=1), *gradient]
        delta = (weights[layer].T @ delta) * (1 - inputs[layer] ** 2)
    return np.concatenate(gradient)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("batch", [Epochs(5), Independent(4)], ids=repr)
def test_a_network_on_mini_batches_equals_its_twin(classes, batch):
    labels, steps, rate = CLASSES % classes, 60 if JIT else 8, 0.5
    net = MLP(fd.data.Dataset(X, labels.astype(str)), widths=[5, 4], loss="cross_entropy")
    ds = fd.simulate(
        net,
        GD(rate),
        starts=fd.starts.Initialization(count=2),
        steps=steps,
        seeds=2,
        seed=SEED,
        batch=batch,
        record=EVERY_STEP,
    )
    for start, replicate, path in paths(ds):
        theta = net.initial_points(SEED, 2)[start]
        np.testing.assert_array_equal(path[0], theta)
        for t in range(1, steps + 1):
            chosen = drawn(batch, len(X), start, replicate, t)
            theta = theta - rate * network_gradient(net, theta, X[chosen], labels[chosen])
            # tanh and exp to 2 ulp, 60 steps of rate 0.5: some 1e-14, and errors may grow
            # tenfold where the loss curves downwards.
            np.testing.assert_allclose(path[t], theta, rtol=0, atol=1e-11)


# Laws.  On m given samples a step of gradient descent is an affine map of u = theta - theta*,
# chosen at random: u' = M_b u + c_b.  With z = (1, u) it is a matrix L_b, so the moments of
# order k obey an exact linear recursion, E z'^(x k) = E[L_b^(x k)] E z^(x k), and where all
# batches can be listed the matrix is their mean.  Order 2 gives what is tested and order 4 its
# standard error.


def sample_maps(x, y, rate, best):
    """L of each sample alone, for the gradient 2 x (x . theta - y)."""
    dim = x.shape[1]
    maps = np.tile(np.eye(dim + 1), (len(x), 1, 1))
    maps[:, 1:, 1:] -= 2 * rate * x[:, :, None] * x[:, None, :]
    maps[:, 1:, 0] = 2 * rate * (y - x @ best)[:, None] * x
    return maps


def listed(batch, count, maps):
    """All equally likely maps of a draw: a step, or a whole epoch of `Epochs`."""
    if isinstance(batch, Epochs):
        found = []
        for shuffled in itertools.permutations(range(count)):
            product = np.eye(maps.shape[1])
            for first in range(0, count, batch.size):
                product = maps[list(shuffled[first : first + batch.size])].mean(axis=0) @ product
            found.append(product)
        return np.array(found)
    lists = (
        itertools.product(range(count), repeat=batch.size)
        if batch.replace
        else itertools.combinations(range(count), batch.size)
    )
    return np.array([maps[list(chosen)].mean(axis=0) for chosen in lists])


def moment_map(maps, weights=None):
    """E[L x L], or from E over L x L that over L x L x L x L."""
    count, rows, _ = maps.shape
    weights = np.full(count, 1 / count) if weights is None else weights
    flat = maps.reshape(count, -1)
    products = (flat * weights[:, None]).T @ flat
    return products.reshape((rows,) * 4).transpose(0, 2, 1, 3).reshape(rows**2, rows**2)


def squares(maps):
    """L x L of each map."""
    rows = maps.shape[1]
    return np.einsum("nij,nkl->nikjl", maps, maps).reshape(len(maps), rows**2, rows**2)


def power(matrix, vector, times):
    return np.linalg.matrix_power(matrix, times) @ vector


def square_and_its_variance(second, fourth, u, times):
    """Mean and variance of |u|^2 after so many maps, from those of order 2 and 4."""
    z = np.concatenate([[1.0], u])
    rows = len(z)
    mean = power(second, np.kron(z, z), times).reshape(rows, rows)[1:, 1:].trace()
    z4 = power(fourth, np.kron(np.kron(z, z), np.kron(z, z)), times).reshape((rows,) * 4)
    return mean, np.einsum("iijj->", z4[1:, 1:, 1:, 1:]) - mean**2


def z_of_mean(values, mean, variance):
    return (np.mean(values) - mean) / math.sqrt(variance / len(values))


@pytest.mark.parametrize(
    "batch",
    [Independent(2, replace=True), Independent(2), Independent(5), Epochs(1), Epochs(4)],
    ids=repr,
)
def test_moments_of_regression_on_given_samples(batch):
    """E u and E |u|^2 of six samples: all batches, or all 720 orders of an epoch, are listed."""
    count, rate, trajectories = 6, 0.1, 200_000 if JIT else 128
    x, y = X[:count, :2], Y[:count]
    best = np.linalg.lstsq(x, y, rcond=None)[0]
    maps = listed(batch, count, sample_maps(x, y, rate, best))
    assert len(maps) in {36, 15, 6, 720}
    first, second, fourth = maps.mean(axis=0), moment_map(maps), moment_map(squares(maps))
    per_draw = math.ceil(count / batch.size) if isinstance(batch, Epochs) else 1
    times = [1, 2, 3] if per_draw > 1 else [1, 2, 5, 18]
    start = best + np.array([1.0, -0.5])
    ds = fd.simulate(
        LinearRegression(fd.data.Dataset(x, y), bias=False),
        GD(rate),
        starts=np.tile(start, (trajectories, 1)),
        steps=times[-1] * per_draw,
        seed=SEED,
        batch=batch,
        record=fd.record.steps([t * per_draw for t in times]),
    )
    for k, t in enumerate(times):
        u = ds.path.isel(record=k).values - best
        mean, variance = square_and_its_variance(second, fourth, start - best, t)
        assert abs(z_of_mean((u**2).sum(axis=1), mean, variance)) < 4.5
        z = np.array([1.0, *(start - best)])
        centre = power(first, z, t)[1:]
        spread = power(second, np.kron(z, z), t).reshape(3, 3)[1:, 1:].diagonal() - centre**2
        for i in range(2):
            assert abs(z_of_mean(u[:, i], centre[i], spread[i])) < 4.5


def subset_moments(values, size):
    """Mean square and mean fourth power of the mean of a random subset, by listing them."""
    means = np.array([np.mean(c) for c in itertools.combinations(values - np.mean(values), size)])
    return np.mean(means**2), np.mean(means**4)


@pytest.mark.parametrize("size", [1, 2, 5, 16, 17])
@pytest.mark.parametrize("batch", ["with", "without", "epoch"])
def test_variance_of_the_first_gradient(batch, size):
    r"""V43: sigma^2 / B with replacement, (sigma^2 / B) (m - B) / (m - 1) without.

    The gradient of the first step is (theta_0 - theta_1) / eta; sigma^2 is the variance of
    the gradients of m = 17 single samples, divided by m, in each coordinate.

    Standard error: the mean of N squares of a variable has the variance (mu_4 - mu_2^2) / N.
    With replacement mu_4 = (m_4 + 3 (B - 1) sigma^4) / B^3, m_4 that of a single one; without,
    all subsets are listed.  An epoch's first batch is one drawn without replacement.
    """
    count, rate, trajectories = 17, 1.0, 200_000 if JIT else 150
    sampler = {
        "with": Independent(size, replace=True),
        "without": Independent(size),
        "epoch": Epochs(size),
    }[batch]
    model, theta = line(count), np.array([0.5, 0.3, -0.2, 0.1])
    ds = fd.simulate(
        model,
        GD(rate),
        starts=np.tile(theta, (trajectories, 1)),
        steps=1,
        seed=SEED,
        batch=sampler,
    )
    gradients = (theta - ds.position.values) / rate
    x, y = design(count, True)
    singles = np.array([mean_gradient(x[i : i + 1], y[i : i + 1], theta) for i in range(count)])
    for i in range(4):
        values, centre = singles[:, i], singles[:, i].mean()
        sigma2 = values.var()
        m2 = sigma2 / size
        if batch == "with":
            m4 = (np.mean((values - centre) ** 4) + 3 * (size - 1) * sigma2**2) / size**3
        else:
            m2 *= (count - size) / (count - 1)
            listed_m2, m4 = subset_moments(values, size)
            assert listed_m2 == pytest.approx(m2, rel=1e-11, abs=1e-28)  # Cochran's theorem
        errors = gradients[:, i] - centre
        if size == count and batch != "with":
            # All samples, in another order: 17 roundings of numbers below 10.
            np.testing.assert_allclose(errors, 0.0, atol=1e-14)
            continue
        assert abs(z_of_mean(errors, 0.0, m2)) < 4.5
        assert abs(z_of_mean(errors**2, m2, m4 - m2**2)) < 4.5


def normal_rule(dim):
    """Nodes and weights that integrate polynomials of degree 9 in each of `dim` normals."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(5)
    grid = np.array(list(itertools.product(nodes, repeat=dim)))
    mass = np.prod(list(itertools.product(weights / weights.sum(), repeat=dim)), axis=1)
    return grid, mass


def normal_batches(dim, size, rate, noise):
    """Maps of batches of fresh normal samples, as nodes: moments up to order 4 are exact.

    An entry of L has degree 2 in one sample's normals, so that of order 4 has degree 8.
    """
    nodes, mass = normal_rule(dim + 1)
    maps = sample_maps(nodes[:, :dim], noise * nodes[:, dim], rate, np.zeros(dim))
    together, weights = maps, mass
    for _ in range(size - 1):
        together = (together[:, None] + maps[None]).reshape(-1, dim + 1, dim + 1)
        weights = np.outer(weights, mass).ravel()
    return together / size, weights


# The notes' loss there is half of the squared error, so that its eta is twice the rate of
# `LinearRegression`, whose loss is the mean of the full squares.
TEXTBOOK = [(1, 1, 0.25), (1, 4, 0.6), (2, 2, 0.35), (3, 1, 0.1)]


def textbook(dim, size, eta, noise):
    """V45: stationary E |w - w*|^2 of samples that are fresh in every step."""
    return (eta * noise**2 * dim / size) / (2 - eta * (size + dim + 1) / size)


@pytest.mark.parametrize(("dim", "size", "eta"), TEXTBOOK)
def test_textbook_formula_and_its_limit_follow_from_the_recursion(dim, size, eta):
    """V45, with normal samples as quadrature nodes: fixed point, and spectral radius 1.

    E |u'|^2 = (1 - 2 eta + eta^2 (B + d + 1) / B) E |u|^2 + eta^2 s^2 d / B, for
    E (x x')^2 = (d + 2) I.  The factor is 1 at eta = 2 B / (B + d + 1).
    """
    second = moment_map(*normal_batches(dim, size, eta / 2, 0.7))
    start = np.eye(1, dim + 1).ravel()  # z = (1, 0)
    end = power(second, np.kron(start, start), 400).reshape(dim + 1, dim + 1)[1:, 1:]
    # factor^400 < 1e-30, and sums of 1e5 terms
    assert end.trace() == pytest.approx(textbook(dim, size, eta, 0.7), rel=1e-11)
    limit = 2 * size / (size + dim + 1)
    for scale in (0.99, 1.0, 1.01):
        maps, weights = normal_batches(dim, size, scale * limit / 2, 0.0)
        radius = np.abs(np.linalg.eigvals(moment_map(maps[:, 1:, 1:], weights))).max()
        factor = 1 - 2 * scale * limit + (scale * limit) ** 2 * (size + dim + 1) / size
        assert radius == pytest.approx(factor, rel=1e-11)
        assert np.sign(round(radius - 1, 10)) == np.sign(scale - 1)


@long
@pytest.mark.parametrize(("dim", "size", "eta"), TEXTBOOK)
def test_stationary_error_of_regression_on_normal_samples(dim, size, eta):
    """V45, on 400,000 samples drawn with replacement, against two exact laws.

    That of these samples: L of a batch is the mean of B independent ones, so
    E[L_b x L_b] = E[L x L] / B + (1 - 1/B) E[L] x E[L].  And the formula for fresh samples, which
    is a different law, but the samples' moments are off by some 1 / sqrt(400,000), 0.2 %: a
    tenth of the interval.  The variance of |u|^2 is that of fresh normal samples, by
    quadrature; those of order 4 die out fast, so it is finite and z is close to normal.
    """
    noise, count, trajectories, steps = 0.7, 400_000, 60_000, 120
    rate = eta / 2
    data = fd.data.GaussianLinear(features=dim, noise=noise, count=count, seed=1)
    model = LinearRegression(data, bias=False)
    x, y = model.samples.x, model.samples.y[:, 0]
    best = model.minima[0]
    ds = fd.simulate(
        model,
        GD(rate),
        starts=np.tile(best, (trajectories, 1)),
        steps=steps,
        seed=SEED,
        batch=Independent(size, replace=True),
    )
    maps = sample_maps(x, y, rate, best)
    second = moment_map(maps) / size + (1 - 1 / size) * np.kron(maps.mean(0), maps.mean(0))
    fresh, weights = normal_batches(dim, size, rate, noise)
    fourth = moment_map(squares(fresh), weights)
    linear = moment_map(squares(fresh[:, 1:, 1:]), weights)
    assert np.abs(np.linalg.eigvals(linear)).max() < 0.8
    zero = np.zeros(dim)
    of_samples, _ = square_and_its_variance(second, fourth, zero, steps)
    mean, variance = square_and_its_variance(moment_map(fresh, weights), fourth, zero, steps)
    expected = textbook(dim, size, eta, noise)
    assert mean == pytest.approx(expected, rel=1e-6)  # 120 steps are enough
    squared = ((ds.position.values - best) ** 2).sum(axis=1)
    assert abs(z_of_mean(squared, of_samples, variance)) < 4.5
    assert abs(z_of_mean(squared, expected, variance)) < 4.5
    assert abs(of_samples - expected) < 0.3 * 4.5 * math.sqrt(variance / trajectories)


@long
def test_beyond_the_limit_the_mean_square_grows_and_the_median_vanishes():
    """V45 with B = d = 1, no noise of labels and eta = 1, beyond 2/3 and below 2.42...

    w' = (1 - x^2) w: E w_t^2 = (1 - 2 + 3)^t = 2^t, while ln|w_t| is a sum of independent
    terms of mean ln(eta) - gamma - ln 2 + 2F2(1, 1; 3/2, 2; -1 / (2 eta)) / eta < 0.  On given
    samples the sums over them replace the expectations.  E w^4 = 60^t is finite, but the
    estimate of E w^2 needs N >> 30^t: t = 1, 2 only.
    """
    count, trajectories, steps = 200_000, 200_000, 100
    x = np.random.default_rng(9).normal(size=(count, 1))
    ds = fd.simulate(
        LinearRegression(fd.data.Dataset(x, np.zeros(count)), bias=False),
        GD(0.5),
        starts=np.ones((trajectories, 1)),
        steps=steps,
        seed=SEED,
        batch=Independent(1, replace=True),
        record=fd.record.steps([1, 2, steps]),
    )
    w = ds.path.values[..., 0]
    factors = (1 - x[:, 0] ** 2) ** 2
    assert np.mean(factors) == pytest.approx(2.0, abs=4.5 * math.sqrt(56 / count))
    for k, t in enumerate((1, 2)):
        mean = np.mean(factors) ** t
        variance = np.mean(factors**2) ** t - mean**2
        assert abs(z_of_mean(w[:, k] ** 2, mean, variance)) < 4.5
    logs = np.log(factors) / 2
    series = float(mpmath.hyp2f2(1, 1, 1.5, 2, -0.5))  # at eta = 1
    closed = -np.euler_gamma - math.log(2) + series
    assert np.mean(logs) == pytest.approx(closed, abs=4.5 * np.std(logs) / math.sqrt(count))
    found = np.log(np.abs(w[:, 2]))
    assert abs(z_of_mean(found, steps * np.mean(logs), steps * np.var(logs))) < 4.5
    assert np.median(np.abs(w[:, 2])) < 1e-12


def signs(count):
    """All orders of as many -1 as +1, each as likely as the others."""
    found = -np.ones((math.comb(count, count // 2), count))
    for row, chosen in zip(found, itertools.combinations(range(count), count // 2), strict=True):
        row[list(chosen)] = 1.0
    return found


def test_reshuffling_leaves_less_variance_at_the_end_of_an_epoch():
    r"""V44: sixteen targets -1 and +1, one constant feature, one sample a step.

    u' = a u + eta xi with a = 1 - eta, eta twice the rate and xi_i = y_i, of variance s^2 = 1.
    An epoch adds D = eta sum_i c_i xi_pi(i), c_i = a^(m-1-i), whose variance follows from
    E xi_i xi_j = -s^2 / (m - 1): eta^2 s^2 (m / (m-1)) [sum c^2 - (sum c)^2 / m].  Epochs are
    independent, so Var u = Var D (1 - a^(2 m e)) / (1 - a^(2 m)) after e of them.  Independent
    draws leave eta^2 s^2 (1 - a^(2t)) / (1 - a^2) after t steps, 17.9 times more in the end.

    Standard errors from E u^4, with E (a u + D)^4 = a^4 E u^4 + 6 a^2 E u^2 E D^2 + E D^4 (odd
    moments vanish by symmetry); E D^4 by listing all 12870 orders of the signs.  Likewise
    within an epoch, at every step of the last one.
    """
    count, eta, trajectories, epochs = 16, 0.05, 200_000 if JIT else 100, 12 if JIT else 3
    a, steps = 1 - eta, count * epochs
    targets = np.tile([-1.0, 1.0], count // 2)
    model = LinearRegression(fd.data.Dataset(np.ones((count, 1)), targets), bias=False)

    def run(batch, record):
        ds = fd.simulate(
            model,
            GD(eta / 2),
            starts=np.zeros((trajectories, 1)),
            steps=steps,
            seed=SEED,
            batch=batch,
            record=fd.record.steps(record),
        )
        return ds.path.values[..., 0]

    def epoch_end(c):
        return eta**2 * (count / (count - 1)) * (np.sum(c**2) - np.sum(c) ** 2 / count)

    c = a ** np.arange(count - 1, -1, -1)
    square, fourth = 0.0, 0.0
    whole = eta * signs(count) @ c
    assert np.mean(whole**2) == pytest.approx(epoch_end(c), rel=1e-10)
    for _ in range(epochs - 1):
        fourth = a ** (4 * count) * fourth + 6 * a ** (2 * count) * square * epoch_end(c)
        fourth += np.mean(whole**4)
        square = a ** (2 * count) * square + epoch_end(c)
    u = run(Epochs(1), range(steps - count, steps + 1))
    for k in range(count + 1):  # steps of the last epoch
        part = eta * signs(count)[:, :k] @ a ** np.arange(k - 1, -1, -1)
        mean = a ** (2 * k) * square + np.mean(part**2)
        m4 = a ** (4 * k) * fourth + 6 * a ** (2 * k) * square * np.mean(part**2)
        m4 += np.mean(part**4)
        assert abs(z_of_mean(u[:, k] ** 2, mean, m4 - mean**2)) < 4.5, k
    reshuffled = epoch_end(c) * (1 - a ** (2 * steps)) / (1 - a ** (2 * count))
    assert mean == pytest.approx(reshuffled, rel=1e-10)

    square, fourth = 0.0, 0.0
    for _ in range(steps):
        fourth = a**4 * fourth + 6 * a**2 * square * eta**2 + eta**4
        square = a**2 * square + eta**2
    assert square == pytest.approx(eta**2 * (1 - a ** (2 * steps)) / (1 - a**2), rel=1e-10)
    u = run(Independent(1, replace=True), [steps])[:, 0]
    assert abs(z_of_mean(u**2, square, fourth - square**2)) < 4.5
    ratio = (eta**2 / (1 - a**2)) / (epoch_end(c) / (1 - a ** (2 * count)))
    assert ratio == pytest.approx(17.9, abs=0.05)  # as published, to its last digit


# Deep chains.


def chain_slope(w, depth):
    """Descent of each of `depth` equal weights."""
    return w ** (depth - 1) * (1 - w**depth)


def steps_of_chain(rule, depth, budget):
    loss = 0.5 * (1 - 0.9**depth) ** 2
    ds = fd.simulate(
        fd.models.DeepLinear(depth=depth),
        rule,
        starts=[[0.2] * depth],
        steps=budget,
        targets=[loss],
        stop=fd.Stop(loss=loss),
    )
    weights = ds.position.values[0]
    # Equal weights stay equal but for the order of the products in their gradients: at most
    # 2e5 roundings of 1e-16 times the rate, and flow keeps the differences of their squares.
    np.testing.assert_allclose(weights, weights[0], rtol=1e-13)
    assert ds.status == CONVERGED
    assert ds.steps.item() == ds.hitting_time.item()
    return ds.hitting_time.item()


#: (depth, steps of gradient descent, of heavy ball, of Adam); those of six as published in V31.
CHAINS = [(2, None, None, None), (4, None, None, None), (6, 156_339, 15_706, 344)]


@pytest.mark.parametrize(("depth", "plain", "heavy", "adam"), CHAINS if JIT else CHAINS[:1])
def test_steps_along_a_deep_chain(depth, plain, heavy, adam):
    r"""V31: steps from 0.2 to 0.9 at eta = 0.001.

    Gradient flow takes T = int dw / g, g = w^(L-1) (1 - w^L).  Euler steps of length eta add
    ln(g_1 / g_0) / 2 (Euler and Maclaurin: n = int dn = int dw / (eta g) + (1/2) ln g + O(eta)).
    The heavy ball's velocity is that of gradients 1 / (1 - b) as large, b / (1 - b) steps old:
    n = (1 - b) T / eta + b / (1 - b) (1 + ln(g_1 / g_0)), the 1 for the start from rest.
    """
    eta, b = 0.001, 0.9
    flow, _ = integrate.quad(lambda w: 1 / chain_slope(w, depth), 0.2, 0.9, epsabs=0, epsrel=1e-10)
    ratio = math.log(chain_slope(0.9, depth) / chain_slope(0.2, depth))
    found = steps_of_chain(GD(eta), depth, 200_000)
    assert found == pytest.approx(flow / eta, rel=4e-3)
    # A hit is at the next whole step; the O(eta) is some eta g', below 0.01.
    assert 0 <= found - (flow / eta + ratio / 2) < 1.02
    ball = steps_of_chain(fd.optimizers.Momentum(eta, beta=b), depth, 20_000)
    # The next order: (b / (1 - b))^2 steps times the relative change of g in one of them.
    assert ball == pytest.approx((1 - b) * flow / eta + b / (1 - b) * (1 + ratio), abs=3)
    if plain is not None:
        assert (found, ball) == (plain, heavy)
        assert found / ball == pytest.approx(10, rel=5e-3)  # no more than 1 / (1 - b)


@pytest.mark.parametrize(("depth", "plain", "heavy", "adam"), CHAINS)
def test_adam_does_not_feel_the_depth_of_a_chain(depth, plain, heavy, adam):
    r"""V31: about distance / eta = 700 steps at most, and the very steps of the NumPy twin.

    While the gradient keeps its size a step is eta, and more while it grows, as it does here
    until close to 0.9; 2 % are left for the last steps.  No step is longer than 7.3 eta:
    Cauchy and Schwarz give m <= (1 - b1) sqrt(sum (b1^2 / b2)^k) sqrt(v / (1 - b2)), and the
    two corrections together make it shorter.
    """
    found = steps_of_chain(fd.optimizers.Adam(0.001), depth, 1_000)
    longest = 0.1 / math.sqrt(1 - 0.9**2 / 0.999) / math.sqrt(0.001)
    assert 700 / longest <= found <= 700 * 1.02
    if adam is not None:
        assert found == adam
    theta = twins.walk(
        "Adam",
        fd.optimizers.Adam().variant,
        [0.2],
        lambda t: fd.optimizers.Adam(0.001).base_values(),
        lambda w, t: -chain_slope(w, depth),
        1_000,
    )
    reached = next(t for t, (w, _) in enumerate(theta, 1) if w[0] >= 0.9)
    assert found == reached


# What the engine promises of mini-batches: bits.


def study(**changes):
    """A study with everything at once, small enough to repeat."""
    arguments = {
        "starts": STARTS[:2] if not JIT else RNG_STARTS,
        "steps": 40 if JIT else 9,
        "seeds": 2,
        "seed": SEED,
        "noise": fd.noise.Gaussian(scale=[0.01, 0.02]),
        "transforms": [fd.transforms.ClipByNorm(20.0)],
        "stop": fd.Stop(loss=0.1, radius=50.0, every=3),
        "targets": [1.0, 0.2],
        "record": fd.record.every(4),
        "batch": Epochs([1, 5, 17]),
    }
    arguments.update(changes)
    model = arguments.pop("model", line(23, validation=0.26, seed=4))
    rule = arguments.pop("rule", fd.optimizers.Nesterov([0.02, 0.05], beta=0.5))
    return fd.simulate(model, rule, **arguments)


RNG_STARTS = np.random.default_rng(3).normal(size=(9, 4))


def same(a, b, names=None):
    """Whether two datasets have the same bits, attributes apart."""
    for name in names or sorted(set(a.variables) | set(b.variables)):
        left, right = a[name].values, b[name].values
        assert (left.dtype, left.shape) == (right.dtype, right.shape), name
        assert left.tobytes() == right.tobytes(), name


#: What there is of each trajectory.
RESULTS = ["position", "loss", "gradient_norm", "steps", "status", "hitting_time"]
RESULTS += ["validation_loss", "path", "path_loss", "path_gradient_norm", "path_validation_loss"]


@pytest.mark.parametrize("batch", [Epochs([1, 5, 17]), Independent([1, 5, 17]), Full()], ids=repr)
def test_bits_do_not_depend_on_the_grouping_of_lanes(batch):
    reference = study(threads=1, batch=batch)
    assert not JIT or {BUDGET, CONVERGED} <= set(np.unique(reference.status))
    assert not JIT or len(np.unique(reference.steps)) > 2
    geometries = [
        (Geometry(tile=8, epoch=1, wave=11), 1),
        (Geometry(tile=24, epoch=7), 2),
        (Geometry(tile=64, epoch=1000, wave=30), 2),
    ]
    for geometry, threads in geometries if JIT else geometries[:1]:
        same(reference, study(threads=threads, geometry=geometry, batch=batch))


@pytest.mark.parametrize("kind", [Epochs, Independent])
@pytest.mark.parametrize("stop", [None, fd.Stop(loss=0.2), fd.Stop(loss=0.2, every=3)], ids=repr)
def test_sizes_on_an_axis_equal_separate_runs(kind, stop):
    together = study(batch=kind([17, 1, 5]), stop=stop)
    assert together.batch_size.values.tolist() == [17, 1, 5]
    for size in (1, 5, 17):
        same(together.sel(batch_size=size), study(batch=kind(size), stop=stop), RESULTS)


def test_nothing_converges_where_theta_is_infinite():
    """A dead ReLU has the loss 0 of its target from weights of -inf."""
    data = fd.data.Dataset([[1.0], [2.0]], [0.0, 0.0])
    model = fd.models.MLP(data, widths=[1], activation="relu", bias=False)
    ds = fd.simulate(
        model, GD(1e209), starts=[[1e-100, 1e100]], steps=20, stop=fd.Stop(loss=1e-3), targets=1e-3
    )
    assert not np.isfinite(ds.position).all()
    assert (ds.status == DIVERGED).all()


def test_a_trajectory_alone_has_the_bits_that_it_has_in_the_ensemble():
    whole = study()
    alone = study(
        starts=whole.initial.values[:1],
        seeds=1,
        noise=fd.noise.Gaussian(scale=0.02),
        batch=Epochs(5),
        rule=fd.optimizers.Nesterov(0.05, beta=0.5),
    )
    same(
        whole.sel(scale=0.02, batch_size=5, learning_rate=0.05, seed=0).isel(start=[0]),
        alone,
        RESULTS,
    )


def test_more_starts_and_seeds_extend_an_ensemble():
    few, more = study(starts=STARTS[:1]), study(starts=STARTS[:2], seeds=3)
    same(more.isel(start=[0], seed=slice(0, 2)), few, RESULTS)


def test_recording_and_targets_change_nothing():
    reference = study()
    for changes in ({"record": EVERY_STEP}, {"record": None}, {"targets": [0.5]}, {"targets": ()}):
        same(reference, study(**changes), [*RESULTS[:5], "validation_loss"])
    all_steps = study(record=EVERY_STEP)
    some = all_steps.isel(record=reference.step.values)
    same(reference, some, RESULTS[7:])


def test_validation_samples_do_not_change_training():
    data = fd.data.Dataset(X, Y, validation=0.26, seed=4)
    training = data.samples()
    assert training.x.shape == (17, 3)
    alone = LinearRegression(fd.data.Dataset(training.x, training.y[:, 0]))
    momentum = fd.optimizers.Momentum([0.02, 0.05], beta=0.5)  # it keeps the step's gradient
    for changes in (
        {"batch": Epochs([1, 5])},
        {"batch": Full()},
        {"batch": Full(), "rule": momentum},
    ):
        with_validation = study(model=LinearRegression(data), **changes)
        without = study(model=alone, **changes)
        assert "validation_loss" not in without
        assert "path_validation_loss" not in without
        kept = [name for name in RESULTS if "validation" not in name]
        same(with_validation, without, kept)


@pytest.mark.parametrize(
    "batch", [Epochs(4), Independent(5), Independent(30, replace=True), Full()], ids=repr
)
@pytest.mark.parametrize("count", [11, 23])
def test_one_trajectory_replayed_in_python(batch, count):
    """From the indices and the gradient of the model: the bits of the run, GD being exact."""
    model, steps, rate = line(count), 20 if JIT else 7, 0.05
    ds = fd.simulate(
        model,
        GD(rate),
        starts=STARTS,
        steps=steps,
        seeds=2,
        seed=SEED,
        batch=batch,
        record=EVERY_STEP,
    )
    for start, replicate, path in paths(ds):
        theta = path[0]
        for t in range(1, steps + 1):
            chosen = drawn(batch, count, start, replicate, t)
            if isinstance(batch, Full):
                gradient = model.gradient(theta)
            else:
                _, gradient = model.batch_gradient(theta, chosen)
            theta = theta - rate * gradient
            np.testing.assert_array_equal(path[t], theta)
        # It can be taken up anywhere: the samples depend on the step alone.


def batches_seen(ds, count, rate, beta, size, ahead=False):
    """Read each step's samples off a path: features 1, targets 2^0, 2^1, ..., theta - y seen.

    g = 2 (theta - sum of targets / B): the binary digits of the sum are the samples.
    """
    found = {}
    per_epoch = math.ceil(count / size)
    for start, replicate, path in paths(ds):
        velocity, theta, seen = 0.0, path[0, 0], []
        for k, after in enumerate(path[1:, 0]):
            now, point = theta - after, theta - beta * velocity if ahead else theta
            gradient = (now - beta * velocity) / rate
            length = min(size, count - k % per_epoch * size)
            total = length * (point - gradient / 2)
            # Sums below 2^12, a dozen roundings: 1e-11 at most, whole numbers are 1 apart.
            assert abs(total - round(total)) < 1e-9
            seen.append([i for i in range(count) if round(total) >> i & 1])
            assert len(seen[-1]) == length
            velocity, theta = now, after
        found[start, replicate] = seen
    return found


def test_every_sample_once_per_epoch_and_for_all_rules_the_same():
    count, size, epochs, rate, beta = 12, 5, 4, 0.1, 0.5
    data = fd.data.Dataset(np.ones((count, 1)), 2.0 ** np.arange(count))
    model = LinearRegression(data, bias=False)

    def run(rule, **changes):
        arguments = {"starts": [[0.5], [-1.0]], "seeds": 3, "seed": SEED, "record": EVERY_STEP}
        return fd.simulate(
            model, rule, steps=3 * epochs, batch=Epochs(size), **(arguments | changes)
        )

    seen = batches_seen(run(GD(rate)), count, rate, 0.0, size)
    assert len(seen) == 6
    for (start, replicate), steps in seen.items():
        for epoch in range(epochs):
            together = itertools.chain(*steps[3 * epoch : 3 * epoch + 3])
            assert sorted(together) == list(range(count))
        named = [sorted(drawn(Epochs(size), count, start, replicate, t + 1)) for t in range(12)]
        assert steps == named
    # Trajectories and epochs differ: two permutations have the same first batch with 1 / 792.
    firsts = [tuple(steps[3 * e]) for steps in seen.values() for e in range(epochs)]
    assert len(set(firsts)) > 20
    momentum = run(fd.optimizers.Momentum(rate, beta=beta))
    assert batches_seen(momentum, count, rate, beta, size) == seen
    nesterov = run(fd.optimizers.Nesterov(rate, beta=beta))
    assert batches_seen(nesterov, count, rate, beta, size, ahead=True) == seen
    rates = run(GD([rate, 0.3]))
    for value in (rate, 0.3):
        assert batches_seen(rates.sel(learning_rate=value), count, value, 0.0, size) == seen
    assert batches_seen(run(GD(rate), seed=SEED + 1), count, rate, 0.0, size) != seen
    elsewhere = run(GD(rate), starts=[[7.0], [3.0]])  # the index counts, not the point
    assert batches_seen(elsewhere, count, rate, 0.0, size) == seen


# Tests on the loss of all samples, every so many steps.


def naive_end(path, losses, norms, stop, floor, every):
    """Step and status of the first test that holds, tests at 0, every, 2 every, ..., the last."""
    last = len(losses) - 1
    for step in sorted({*range(0, last + 1, every), last}):
        if stop.radius is not None and np.linalg.norm(path[step]) > stop.radius:
            return step, DIVERGED
        if stop.loss is not None and losses[step] <= floor + stop.loss:
            return step, CONVERGED
        if stop.gradient_norm is not None and norms[step] <= stop.gradient_norm:
            return step, CONVERGED
    return last, BUDGET


def naive_hit(losses, target, every, end):
    """First tested step up to the end whose loss is within the target; -1 = none."""
    last = len(losses) - 1
    for step in sorted({*range(0, last + 1, every), last}):
        if step <= end and losses[step] <= target:
            return step
    return -1


@pytest.mark.parametrize(
    "tests",
    [{}, {"loss": 0.05}, {"gradient_norm": 0.5}, {"radius": 2.0}, {"loss": 0.02, "radius": 4.0}],
    ids=repr,
)
@pytest.mark.parametrize("batch", [Epochs(4), Independent(4), Full()], ids=repr)
def test_tests_every_so_many_steps(tests, batch):
    """Against the run without tests, recorded at every step.

    The minimum is 2.4 from the origin, so a radius of 2 is left on the way to it.
    """
    model, rule = line(23), GD(0.1)
    steps, starts = 31 if JIT else 19, np.concatenate([STARTS, 3.0 * STARTS, [[1, -2, 0.5, 0.7]]])
    starts = starts if JIT else starts[2:]
    some = [3.0, 0.3, 1e-4, 0.05]
    common = {"starts": starts, "steps": steps, "seed": SEED, "batch": batch}
    whole = fd.simulate(model, rule, record=EVERY_STEP, **common)
    assert (whole.status == BUDGET).all()
    # Without targets the loss of all samples may not be needed where a test is due.
    for every, targets in ((1, some), (4, []), (7, some), (7, []), (100, []), (None, some)):
        stop = fd.Stop(**tests, every=every)
        ds = fd.simulate(
            model, rule, stop=stop, record=fd.record.every(3), targets=targets, **common
        )
        default = 1 if isinstance(batch, Full) else 6  # blocks of 4 in 23 samples
        used = default if every is None else every
        assert ds.attrs["test_every"] == used
        if every == 4 and tests == {"radius": 2.0}:
            assert ((ds.steps > 0) & (ds.steps < steps)).any()
        for start in range(len(starts)):
            path, losses, norms = (
                whole[name].isel(start=start).values
                for name in ("path", "path_loss", "path_gradient_norm")
            )
            one = ds.isel(start=start)
            end, status = naive_end(path, losses, norms, stop, model.minimum, used)
            assert (int(one.steps), int(one.status)) == (end, status)
            assert end % used == 0 or end == steps
            np.testing.assert_array_equal(one.position, path[end])
            np.testing.assert_array_equal(one.loss, losses[end])
            np.testing.assert_array_equal(one.gradient_norm, norms[end])
            hits = [naive_hit(losses, model.minimum + target, used, end) for target in targets]
            assert not targets or one.hitting_time.values.tolist() == hits
            held = np.minimum(one.step.values, end)
            np.testing.assert_array_equal(one.path, path[held])
            np.testing.assert_array_equal(one.path_loss, losses[held])
            np.testing.assert_array_equal(one.path_gradient_norm, norms[held])


def test_the_default_is_an_epoch():
    def tested(batch, count=23):
        return fd.simulate(line(count), GD(0.01), starts=STARTS[:1], steps=2, batch=batch).attrs[
            "test_every"
        ]

    assert tested(None) == tested(Full()) == 1
    assert tested(Epochs(1)) == 23
    assert tested(Epochs([23, 7, 12])) == [1, 4, 2]
    assert tested(Independent(5)) == 5
    assert tested(Independent([50, 40], replace=True)) == 1
    assert tested(Epochs(11), count=11) == 1


@pytest.mark.parametrize("batch", [Epochs(1), Epochs(4), Independent(3), Full()], ids=repr)
@pytest.mark.parametrize("asked", [{}, {"targets": [1e-3]}, {"stop": fd.Stop(radius=1e300)}])
def test_divergence_is_noticed(batch, asked):
    """From 1e150 on at most 2e7 a step, the loss overflows before theta does."""
    ds = fd.simulate(line(23), GD(1e6), starts=STARTS, steps=300, batch=batch, **asked)
    assert (ds.status == DIVERGED).all()
    assert (ds.steps < 300).all()
    assert (ds.steps % ds.attrs["test_every"] == 0).all()
    assert not np.isfinite(ds.loss).any()
    late = fd.simulate(
        line(23), GD(1e6), starts=STARTS, steps=70, batch=batch, stop=fd.Stop(every=99)
    )
    assert (late.steps == 70).all()
    assert (late.status == DIVERGED).all()


@pytest.mark.parametrize("batch", [Epochs(1), Independent(2), Full()], ids=repr)
@pytest.mark.parametrize("targets", [(), (1e-3,)])
def test_a_loss_that_is_infinite_at_the_last_step_is_divergence(batch, targets):
    """theta grows to 1e160, which is finite, in eight steps; its square is not."""
    data = fd.data.Dataset(np.ones((3, 1)), np.zeros(3))
    model = LinearRegression(data, bias=False)
    ds = fd.simulate(model, GD(5e19), starts=[[1.0]], steps=8, batch=batch, targets=targets)
    assert np.isfinite(ds.position).all()
    assert np.isinf(ds.loss).all()
    assert (ds.status == DIVERGED).all()


@pytest.mark.parametrize("batch", [Epochs(4), Full()], ids=repr)
@pytest.mark.parametrize("network", [False, True])
def test_validation_loss_along_the_path_and_at_the_end(batch, network):
    data = {"validation": 0.26, "seed": 4}
    if network:
        labels = fd.data.Dataset(X, CLASSES.astype(str), **data)
        model = MLP(labels, widths=[3], loss="cross_entropy")
    else:
        model = line(23, **data)
    steps = 30 if JIT or not network else 6
    ds = fd.simulate(
        model,
        fd.optimizers.Momentum(0.1, beta=0.5),
        starts=fd.starts.Initialization(count=3),
        steps=steps,
        seed=SEED,
        batch=batch,
        stop=fd.Stop(loss=0.3, every=2),
        record=fd.record.every(3),
    )
    if not network:
        assert (ds.steps < steps).all()  # so values are held
    position = ds.position.values
    np.testing.assert_array_equal(ds.validation_loss, model.validation_value(position))
    np.testing.assert_array_equal(ds.loss, model.value(position))
    for start, _, path in paths(ds):
        one = ds.isel(start=start)
        np.testing.assert_array_equal(one.path_validation_loss, model.validation_value(path))
        np.testing.assert_array_equal(one.path_loss, model.value(path))
        ended = one.step.values >= int(one.steps)
        assert (one.path_validation_loss.values[ended] == float(one.validation_loss)).all()
    if not network:  # by definition
        held_out = model.samples
        at = np.column_stack([held_out.validation_x, np.ones(6)])
        errors = at @ position.T - held_out.validation_y
        np.testing.assert_allclose(ds.validation_loss, (errors**2).mean(axis=0), rtol=1e-13)


# What is refused.


@pytest.mark.parametrize(
    ("model", "batch", "message"),
    [
        (fd.landscapes.Rosenbrock(dim=4), Epochs(2), "Rosenbrock, which has no samples"),
        (fd.models.DeepLinear(depth=4), Independent(2), "DeepLinear, which has no samples"),
        (line(23), Epochs(24), "at most 23"),
        (line(23), Epochs([4, 24]), "at most 23"),
        (line(23), Independent(24), "at most 23"),
        (line(23, validation=0.5, seed=1), Epochs(12), "at most 11"),
        (line(23), 32, "batch.Epochs"),
        (line(23), "Epochs", "batch.Epochs"),
        (line(23), Epochs, "write Epochs"),
    ],
)
def test_batches_that_do_not_fit_are_refused(model, batch, message):
    with pytest.raises(InvalidValueError, match=message):
        fd.simulate(model, GD(0.01), starts=STARTS, steps=3, batch=batch)


def test_batches_that_do_fit():
    for model, batch in [
        (fd.landscapes.Rosenbrock(dim=4), Full()),
        (fd.models.DeepLinear(depth=4), Full()),
        (line(23), Independent(24, replace=True)),
        (line(23), Epochs(23)),
    ]:
        ds = fd.simulate(model, GD(1e-3), starts=STARTS, steps=1, batch=batch)
        assert (ds.steps == 1).all()


@pytest.mark.parametrize("every", [0, -1, 2.5, True, "1"])
def test_a_wrong_interval_of_tests_is_refused(every):
    with pytest.raises(InvalidValueError, match=r"Stop\.every"):
        fd.Stop(every=every)


def test_initialization_needs_a_model():
    with pytest.raises(InvalidValueError, match="Rosenbrock, which has no initialisation"):
        fd.simulate(
            fd.landscapes.Rosenbrock(dim=2),
            GD(0.01),
            starts=fd.starts.Initialization(count=2),
            steps=3,
        )
