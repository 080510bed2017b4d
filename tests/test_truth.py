"""Exact references through the public `simulate`: closed forms, thresholds, laws of noise.

The numbers V01, V02, ... are those of the project's validation notes; every docstring says
where the answer comes from, so no number here was produced by the package.

Statistical tests use fixed seeds and the exact standard error of what they compare, and ask
for abs(z) < 4.5: for a normal z a false alarm has probability 6.8e-6.  There are about 120
such comparisons in this file, so 1e-3 for the file at new seeds.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

import fastdescent as fd
from fastdescent.contracts import JIT
from fastdescent.lanemath import exp

BUDGET, CONVERGED, DIVERGED = 0, 1, 2
GD = fd.optimizers.GradientDescent
HB = fd.optimizers.Momentum
NAG = fd.optimizers.Nesterov
Adam = fd.optimizers.Adam

#: For what takes minutes in plain Python.
long = pytest.mark.skipif(not JIT, reason="too long without the JIT")


# Landscapes that only these tests need.


@fd.kernel("landscape")
def _slope(theta, params, data, batch, loss, grad):
    for lane in range(loss.shape[0]):
        loss[lane] = params[0, lane] * theta[0, lane]
        grad[0, lane] = params[0, lane]


class Slope(fd.Landscape):
    """A constant slope: the gradient is the same everywhere."""

    kernel = _slope
    dim = 1
    slope: fd.Values = fd.parameter(default=1.0)


@fd.kernel("landscape")
def _offset(theta, params, data, batch, loss, grad):
    for lane in range(loss.shape[0]):
        away = theta[0, lane] - params[1, lane]
        loss[lane] = 0.5 * params[0, lane] * away * away
        grad[0, lane] = params[0, lane] * away


class Offset(fd.Landscape):
    """A parabola h (x - a)^2 / 2."""

    kernel = _offset
    dim = 1
    h: fd.Values = fd.parameter(default=1.0)
    a: fd.Values = fd.parameter(default=0.0)


@fd.kernel("landscape")
def _scaled_well(theta, params, data, batch, loss, grad):
    for lane in range(loss.shape[0]):
        x = theta[0, lane]
        r = x * x - 1.0
        loss[lane] = params[0, lane] * (0.25 * r * r)
        grad[0, lane] = params[0, lane] * (x * r)


class ScaledWell(fd.Landscape):
    """A double well s (x^2 - 1)^2 / 4."""

    kernel = _scaled_well
    dim = 1
    scale: fd.Values = fd.parameter(default=1.0)


@fd.kernel("landscape")
def _place(theta, params, data, batch, loss, grad):
    for lane in range(loss.shape[0]):
        x = theta[0, lane]
        loss[lane] = -x
        grad[0, lane] = x * (x * x - 1.0)


class Place(fd.Landscape):
    """The slope of the double well under the loss -x: ``Stop(loss=0)`` stops where x >= 0."""

    checked = False
    kernel = _place
    dim = 1


@fd.kernel("landscape")
def _quartic(theta, params, data, batch, loss, grad):
    for lane in range(loss.shape[0]):
        x = theta[0, lane]
        loss[lane] = 0.25 * (x * x) * (x * x)
        grad[0, lane] = x * x * x


class Quartic(fd.Landscape):
    """x^4 / 4."""

    kernel = _quartic
    dim = 1


@fd.kernel("landscape")
def _huber(theta, params, data, batch, loss, grad):
    for lane in range(loss.shape[0]):
        x, kink = theta[0, lane], params[0, lane]
        if abs(x) <= kink:
            loss[lane], grad[0, lane] = 0.5 * x * x, x
        else:
            loss[lane] = kink * abs(x) - 0.5 * kink * kink
            grad[0, lane] = kink if x > 0.0 else -kink


class Huber(fd.Landscape):
    """Huber's function: curvature 1 up to the kink, a constant slope beyond it."""

    kernel = _huber
    dim = 1
    kink: fd.Values = fd.parameter(default=1.0)


@fd.kernel("landscape")
def _chain(theta, params, data, batch, loss, grad):
    dim = theta.shape[0]
    for lane in range(loss.shape[0]):
        total = 0.0
        for i in range(dim):
            left = theta[i - 1, lane] if i > 0 else 0.0
            right = theta[i + 1, lane] if i < dim - 1 else 0.0
            pull = 2.0 * theta[i, lane] - left - right
            force = 1.0 if i == 0 else 0.0
            grad[i, lane] = pull - force
            total += theta[i, lane] * (0.5 * pull - force)
        loss[lane] = total


class Chain(fd.Landscape):
    """Nesterov's worst function (L/4) (x' T x / 2 - x_1) with L = 4, T = tridiag(-1, 2, -1)."""

    kernel = _chain
    dim: int = fd.option(default=20)


@fd.kernel("landscape")
def _falling(theta, params, data, batch, loss, grad):
    for lane in range(loss.shape[0]):
        rate = params[0, lane]
        value = exp(rate * theta[0, lane])
        loss[lane] = -value
        grad[0, lane] = -rate * value


class Falling(fd.Landscape):
    """-exp(k x): whoever goes down it meets ever larger gradients."""

    kernel = _falling
    dim = 1
    rate: fd.Values = fd.parameter(default=1.0)


def path(landscape, rule, starts, steps, **arguments):
    """Theta after 0, 1, ..., `steps` updates: shape (..., start, steps + 1, dim)."""
    starts = starts if isinstance(starts, fd.starts.Starts) else np.array(starts, dtype=float)
    # One thread: a few lanes are not worth waking another.
    arguments = {"threads": 1, "record": fd.record.every(1), **arguments}
    return fd.simulate(landscape, rule, starts=starts, steps=steps, **arguments).path.values


def bits(*arrays):
    """Whether all arrays have the same bits."""
    return all(a.tobytes() == arrays[0].tobytes() for a in arrays)


def assert_z(mean, exact, standard_error):
    """Compare with the exact value within 4.5 exact standard errors."""
    z = (np.asarray(mean) - exact) / standard_error
    assert np.abs(z).max() < 4.5, f"z = {z}"


def powers(matrix, first, steps):
    """Rows of the states M^t s_0."""
    return np.array([np.linalg.matrix_power(matrix, t) @ first for t in range(steps + 1)])


# Quadratics without noise.


def test_gradient_descent_on_a_quadratic():
    """V01: x_t = (1 - eta lambda)^t x_0 in each eigendirection."""
    eigenvalues, steps = np.array([0.3, 1.0, 4.0]), 40
    rates = [0.05, 0.25, 0.4, 0.5, 0.51]
    starts = np.array([[1.0, -2.0, 3.0], [0.5, 0.5, 0.5]])
    ours = path(fd.landscapes.Quadratic(eigenvalues), GD(rates), starts, steps)
    t = np.arange(steps + 1)[:, None]
    for rate, one in zip(rates, ours, strict=True):
        exact = starts[:, None, :] * (1.0 - rate * eigenvalues) ** t
        # 40 steps of three roundings each: 120 * 1.1e-16.
        np.testing.assert_allclose(one, exact, rtol=2e-14, atol=1e-300)


def test_the_best_rate_on_a_quadratic():
    """V01: eta = 2 / (L + mu) contracts every direction by at most (k - 1) / (k + 1), exactly
    so in the flattest and, overshooting, in the steepest."""
    ravine = fd.landscapes.Ravine([10.0, 15.0])
    for k, ours in zip(
        (10.0, 15.0), path(ravine, GD([1 / 11, 1 / 16]), [[1.0, 1.0]], 30), strict=True
    ):
        one = ours[0 if k == 10.0 else 1, 0]
        rate = (k - 1) / (k + 1)
        np.testing.assert_allclose(one[:, 0], rate ** np.arange(31), rtol=1e-13)
        np.testing.assert_allclose(one[:, 1], (-rate) ** np.arange(31), rtol=1e-13)


def test_rotation_changes_no_length():
    """V01 in rotated axes: the same norms, since a rotation commutes with the iteration."""
    for rule in (GD(0.1), HB(0.1), NAG(0.1), HB(0.1, variant="ema")):
        turned = path(fd.landscapes.Quadratic([1.0, 9.0], rotation=0.7), rule, [[1.0, 2.0]], 60)
        q = np.array([[np.cos(0.7), -np.sin(0.7)], [np.sin(0.7), np.cos(0.7)]])
        plain = path(fd.landscapes.Quadratic([1.0, 9.0]), rule, np.array([[1.0, 2.0]]) @ q, 60)
        # Round-off of 60 products with a 2 x 2 matrix, relative to the start's length.
        np.testing.assert_allclose(turned @ q, plain, atol=1e-13)


@pytest.mark.parametrize("rule", [HB, NAG])
def test_momentum_on_a_quadratic_is_a_matrix_power(rule):
    """V02, V04: (x_t, x_t-1) is a power of a 2 x 2 companion matrix.

    Heavy ball has the polynomial r^2 - (1 + b - h) r + b, Nesterov
    r^2 - (1 + b)(1 - h) r + b (1 - h), h = eta lambda; v_0 = 0 makes x_-1 = x_0.
    """
    eigenvalues, steps = np.array([0.1, 1.0, 7.0]), 50
    rates, betas = [0.02, 0.15, 0.3], [0.0, 0.3, 0.9, 0.99]
    ours = path(fd.landscapes.Quadratic(eigenvalues), rule(rates, beta=betas), [[1.0] * 3], steps)
    for (i, rate), (j, b), (k, curvature) in itertools.product(
        enumerate(rates), enumerate(betas), enumerate(eigenvalues)
    ):
        h = rate * curvature
        trace, minor = (1 + b - h, b) if rule is HB else ((1 + b) * (1 - h), b * (1 - h))
        exact = powers(np.array([[trace, -minor], [1.0, 0.0]]), np.ones(2), steps)[:, 0]
        # Both sides round 50 times at the size of the path; the largest |root| here is 2.6.
        np.testing.assert_allclose(ours[i, j, 0, :, k], exact, rtol=1e-11, atol=1e-13)


def test_complex_roots_of_the_heavy_ball_have_modulus_root_beta():
    """V02: x_t+1 x_t-1 - x_t^2 shrinks by exactly b a step, so the roots' modulus is sqrt b.

    For x_t+1 = p x_t - b x_t-1 that determinant is b times the one before.  A published text
    prints 2 sqrt b, which would diverge for b > 1/4.
    """
    betas = [0.3, 0.6, 0.9]
    x = path(fd.landscapes.Bowl(dim=1), HB(0.5, beta=betas), [[1.0]], 60)[:, 0, :, 0]
    determinant = x[:, 2:] * x[:, :-2] - x[:, 1:-1] ** 2
    t = np.arange(59)
    exact = determinant[:, :1] * np.array(betas)[:, None] ** t
    # The phase is not near 0, so both products are of the size of their difference.
    np.testing.assert_allclose(determinant, exact, rtol=1e-12)


def test_tuned_heavy_ball_has_double_roots():
    """V03: with alpha = (2 / (sqrt L + sqrt mu))^2 and b = rho^2, rho = (sqrt k - 1)/(sqrt k + 1),
    the flat mode is (1 + (1 - rho) t) rho^t, the steep one (1 + (1 + rho) t) (-rho)^t."""
    mu, top = 1.0, 49.0
    rho = (math.sqrt(top / mu) - 1) / (math.sqrt(top / mu) + 1)
    rule = HB((2 / (math.sqrt(top) + math.sqrt(mu))) ** 2, beta=rho**2)
    ours = path(fd.landscapes.Quadratic([mu, top]), rule, [[1.0, 1.0]], 60)[0]
    t = np.arange(61)
    # At a double root a rounding of size u moves the roots by sqrt u, but a path of 60 steps
    # by 60^2 u only: 1e-12 of the path's size at that time.
    np.testing.assert_allclose(ours[:, 0], (1 + (1 - rho) * t) * rho**t, rtol=1e-11)
    np.testing.assert_allclose(ours[:, 1], (1 + (1 + rho) * t) * (-rho) ** t, rtol=1e-11)


def test_tuned_nesterov():
    """V05: with alpha = 1 / L and b = (sqrt k - 1)/(sqrt k + 1) the flat mode has the double root
    r = 1 - 1 / sqrt k, so x_t = (1 + c t) r^t with c from x_1 = 1 - 1 / k; the steep mode dies
    in one step."""
    k = 64.0
    r = 1 - 1 / math.sqrt(k)
    rule = NAG(1 / k, beta=(math.sqrt(k) - 1) / (math.sqrt(k) + 1))
    ours = path(fd.landscapes.Quadratic([1.0, k]), rule, [[1.0, 1.0]], 60)[0]
    t = np.arange(61)
    c = (1 - 1 / k) / r - 1
    np.testing.assert_allclose(ours[:, 0], (1 + c * t) * r**t, rtol=1e-11)
    assert (ours[1:, 1] == 0.0).all()  # every operation on the steep mode is exact


@pytest.mark.parametrize("curvature", [1.0, 7.3])
@pytest.mark.parametrize(
    ("rule", "threshold"),
    [
        (lambda rate, b: GD(rate), lambda b: 2.0),
        (lambda rate, b: HB(rate, beta=b), lambda b: 2 * (1 + b)),
        (lambda rate, b: HB(rate, beta=b, variant="lr_outside"), lambda b: 2 * (1 + b)),
        (lambda rate, b: HB(rate, beta=b, variant="ema"), lambda b: 2 * (1 + b) / (1 - b)),
        (lambda rate, b: NAG(rate, beta=b), lambda b: 2 * (1 + b) / (1 + 2 * b)),
        (lambda rate, b: NAG(rate, beta=b, variant="torch"), lambda b: 2 * (1 + b) / (1 + 2 * b)),
    ],
    ids=["GD", "HB", "HB torch", "HB ema", "NAG", "NAG torch"],
)
def test_the_divergence_threshold_is_exact(rule, threshold, curvature):
    """V01, V02, V04: stable if and only if eta L < 2, 2 (1 + b), 2 (1 + b) / (1 + 2 b).

    At a distance of 1 % from the threshold the largest root is 1 -+ 0.01 or closer to 1 by a
    factor of (1 - b) / 2, so 2000 / (1 - b) steps shrink or grow the start by e^5 at least.
    """
    for b in (0.0, 0.5, 0.9) if JIT else (0.5,):
        exact = threshold(b) / curvature
        steps = round((2000 if JIT else 800) / (1 - b))
        rates = exact * np.array([0.5, 0.9, 0.99, 1.01, 1.1])
        ds = fd.simulate(
            fd.landscapes.Quadratic([0.3 * curvature, curvature]),
            rule(rates, b),
            starts=[[1.0, 1.0]],
            steps=steps,
            stop=fd.Stop(radius=100.0),
            threads=1,
        )
        assert ds.status.values.ravel().tolist() == [BUDGET] * 3 + [DIVERGED] * 2
        assert (ds.loss.values[:3] < 1e-4 * curvature).all()


def test_equivalent_forms_walk_the_same_path():
    """V06: the sum form with eta (1 - b) is the EMA form with eta; torch's form is the sum form."""
    himmelblau, starts = fd.landscapes.Himmelblau(), [[0.1, 0.3], [-2.0, 4.0]]
    for b in (0.5, 0.9):
        inside = path(himmelblau, HB(0.01 * (1 - b), beta=b), starts, 100)
        average = path(himmelblau, HB(0.01, beta=b, variant="ema"), starts, 100)
        outside = path(himmelblau, HB(0.01 * (1 - b), beta=b, variant="lr_outside"), starts, 100)
        # Steps below the threshold 2 / L forget errors: about 100 roundings of 1e-16 times 4.
        np.testing.assert_allclose(average, inside, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(outside, inside, rtol=1e-12, atol=1e-13)


def test_torch_nesterov_is_the_lookahead_point():
    """V06: torch's iterate is y_t = x_t + b (x_t - x_t-1) of the look-ahead form."""
    himmelblau, starts, b = fd.landscapes.Himmelblau(), [[0.1, 0.3], [-2.0, 4.0]], 0.9
    x = path(himmelblau, NAG(0.001, beta=b), starts, 100)
    y = path(himmelblau, NAG(0.001, beta=b, variant="torch"), starts, 100)
    before = np.concatenate([x[:, :1], x[:, :-1]], axis=1)
    np.testing.assert_allclose(y, x + b * (x - before), rtol=1e-12, atol=1e-12)


def test_two_steps_solve_the_ravine():
    """V08: eta = 1 / 2 and then 1 / 30 solve x^2 + 15 y^2 exactly: each zeroes one direction."""
    for first, second in ((1 / 2, 1 / 30), (1 / 30, 1 / 2)):
        schedule = fd.schedules.Step(first, every=1, gamma=second / first)
        ds = fd.simulate(
            fd.landscapes.Ravine(15.0),
            GD(schedule),
            starts=fd.starts.Uniform(count=20),
            steps=2,
        )
        # One rounding of eta * 30 y for abs(y) <= 140.
        assert np.abs(ds.position.values).max() <= 140 * 2.3e-16


def test_chebyshev_schedule():
    """V08: the n rates 1 / (mid + half cos((2 j + 1) pi / 2 n)) contract the worst eigenvalue of
    [mu, L] by exactly 1 / T_n((k + 1) / (k - 1)), reached at both ends."""
    n, mu, top = 6, 1.0, 15.0
    middle, half = (top + mu) / 2, (top - mu) / 2
    nodes = middle + half * np.cos((2 * np.arange(n) + 1) * np.pi / (2 * n))
    schedule = fd.schedules.Function(1.0, function=lambda t: 1 / nodes[t])
    eigenvalues = np.linspace(mu, top, 141)
    landscape = fd.landscapes.Quadratic(eigenvalues)
    ds = fd.simulate(landscape, GD(schedule), starts=np.ones((1, 141)), steps=n)
    left = np.abs(ds.position.values[0])
    worst = 1 / math.cosh(n * math.acosh((top + mu) / (top - mu)))
    # Rates of both signs of (1 - eta lambda) up to 14 amplify 6 roundings.
    np.testing.assert_allclose(left.max(), worst, rtol=1e-12)
    np.testing.assert_allclose(left[[0, -1]], worst, rtol=1e-12)


def test_worst_case_of_gradient_descent():
    """V09: on Huber's function with its kink at R / (2 N + 1), N steps of eta = 1 / L from R leave
    exactly L R^2 / (4 N + 2), the worst that a convex function can do (Drori, Teboulle 2014)."""
    for n in (1, 5, 50):
        ds = fd.simulate(Huber(3.0 / (2 * n + 1)), GD(1.0), starts=[[3.0], [-3.0]], steps=n)
        np.testing.assert_allclose(ds.loss.values, 9.0 / (4 * n + 2), rtol=1e-13)


def test_nesterov_chain():
    """V10: after t steps from 0 the coordinates beyond t are exactly 0.0, and no rule has a loss
    below -(L / 8) (1 - 1 / (t + 1)), the minimum over the coordinates that it has seen."""
    dim, steps = 20, 12
    for rule in (GD(0.25), HB(0.2), NAG(0.2), Adam(0.1), fd.optimizers.AMSGrad(0.1)):
        ds = fd.simulate(
            Chain(dim), rule, starts=np.zeros((1, dim)), steps=steps, record=fd.record.every(1)
        )
        for t in range(steps + 1):
            x = ds.path.values[0, t]
            assert bits(x[t:], np.zeros(dim - t))
            assert t == 0 or x[t - 1] != 0.0
            assert ds.path_loss.values[0, t] >= -0.5 * (1 - 1 / (t + 1)) - 1e-15


# Not quadratic, no noise.


def test_double_well_survival():
    """V12: on (x^2 - 1)^2 / 4 gradient descent with eta <= 2 stays bounded if and only if
    abs(x_0) < sqrt(1 + 2 / eta), where x -> -x is a repelling 2-cycle."""
    well = fd.landscapes.SymmetricDoubleWell()
    for rate in (0.1, 0.5, 1.0, 1.5, 1.9):
        edge = math.sqrt(1 + 2 / rate)
        starts = edge * np.array([1 - 1e-9, -(1 - 1e-9), 1 + 1e-9, -(1 + 1e-9), 0.3])
        ds = fd.simulate(well, GD(rate), starts=starts[:, None], steps=300)
        # The 2-cycle repels by 5 + 2 eta a step, so 1e-9 is decided within 20 steps.
        assert (ds.status.values == DIVERGED).tolist() == [False, False, True, True, False]


def test_double_well_wells_and_layers():
    """V12: +-1 is stable if and only if eta < 1 (f'' = 2); one step flips the sign if and only if
    abs(x) > sqrt(1 + 1 / eta)."""
    well = fd.landscapes.SymmetricDoubleWell()
    # Near eta = 1 the multiplier is -(2 eta - 1): 0.99 shrinks by 0.98 a step.
    ds = fd.simulate(well, GD([0.3, 0.99, 1.01]), starts=[[1.1], [-0.9]], steps=1500)
    away = np.abs(np.abs(ds.position.values[..., 0]) - 1.0)
    assert (away[:2] < 1e-12).all()
    assert (away[2] > 0.01).all()  # the 2-cycle around a well that lost its stability
    for rate in (0.1, 0.7, 1.5):
        edge = math.sqrt(1 + 1 / rate)
        starts = edge * np.array([[1 - 1e-12], [1 + 1e-12]])
        ds = fd.simulate(well, GD(rate), starts=starts, steps=1)
        assert np.sign(ds.position.values[:, 0]).tolist() == [1.0, -1.0]


def test_double_well_orbits_begin_to_swap_wells():
    """V12: orbits swap wells from eta = 3 sqrt 3 / 2 - 1 = 1.598076 on, where the map's maximum
    over the well reaches sqrt(1 + 1 / eta)."""
    well = fd.landscapes.SymmetricDoubleWell()
    steps = 4000 if JIT else 300
    starts = np.linspace(0.6, 1.2, 32 if JIT else 4)[:, None]
    below, above = path(well, GD([1.597, 1.61]), starts, steps)
    assert (below > 0.0).all()
    assert (above < 0.0).any() or not JIT


@long
def test_double_well_chaos():
    """V12: at eta = 2 the map is 3 x - 2 x^3, with x = sqrt 2 cos a the triple angle: a is uniform.

    E x^2 = 1 (variance 1/2), E f = 1/8 (1/128), P(|x| < 1) = 1/2 (1/4), and the Lyapunov
    exponent E ln |3 - 6 x^2| = ln 3 with variance pi^2 / 9, from the Fourier series
    ln |sin a| = -ln 2 - sum cos(2 k a) / k.
    """
    count = 100_000
    # Starts from the invariant law; it stays so at every later step.
    angle = np.pi * (np.arange(count) + 0.5) / count
    starts = math.sqrt(2) * np.cos(angle + 0.3 / count * np.sin(7 * angle))
    ds = fd.simulate(fd.landscapes.SymmetricDoubleWell(), GD(2.0), starts=starts[:, None], steps=60)
    # Rounding may lift a point above sqrt 2, from where it escapes: about 1e-8 a step.
    assert (ds.status.values == DIVERGED).sum() <= 5
    x = ds.position.values[ds.status.values == BUDGET, 0]
    root = math.sqrt(count)
    assert_z((x**2).mean(), 1.0, math.sqrt(1 / 2) / root)
    assert_z(ds.loss.values[ds.status.values == BUDGET].mean(), 1 / 8, math.sqrt(1 / 128) / root)
    assert_z((np.abs(x) < 1).mean(), 1 / 2, math.sqrt(1 / 4) / root)
    assert_z(np.log(np.abs(3 - 6 * x**2)).mean(), math.log(3), math.pi / 3 / root)


def test_quartic():
    """V13: on x^4 / 4 gradient descent diverges if and only if abs(x_0) > sqrt(2 / eta), hits 0 in
    one step from sqrt(1 / eta), and otherwise decays like (2 eta t)^(-1/2)."""
    rate = 0.25
    starts = np.array([2.0, math.sqrt(8) * (1 - 1e-9), math.sqrt(8) * (1 + 1e-9), 1.0])
    steps = 100_000 if JIT else 200
    ds = fd.simulate(Quartic(), GD(rate), starts=starts[:, None], steps=steps)
    assert ds.position.values[0, 0] == 0.0
    assert (ds.status.values == DIVERGED).tolist() == [False, False, True, False]
    if JIT:
        # 1 / x^2 = 2 eta t + O(log t): a relative 3 ln(t) / (8 t) = 2e-4 here, halved by the root.
        np.testing.assert_allclose(
            np.abs(ds.position.values[3, 0]), (2 * rate * steps) ** -0.5, rtol=2e-4
        )


def test_heavy_ball_cycles_on_a_convex_function():
    """V15: Lessard, Recht, Packard (2016): tuned heavy ball (1/9, 4/9) has the exact 3-cycle
    792/1225, -2208/1225, 2592/1225, and a start at rest at 3.3 falls into it."""
    ours = path(fd.landscapes.Lessard(), HB(1 / 9, beta=4 / 9), [[3.3]], 303)[0, :, 0]
    cycle = np.array([792.0, -2208.0, 2592.0]) / 1225
    last = ours[-3:]
    shift = int(np.argmin(np.abs(last[0] - cycle)))
    # The cycle attracts by 4 / 9 in three steps or faster; one rounding of numbers below 40.
    np.testing.assert_allclose(last, np.roll(cycle, -shift), rtol=1e-14)


@long
def test_the_part_of_starts_that_heavy_ball_never_brings_home():
    """V15: of the starts in [-10, 10] at rest 10.28 % never converge: 12 intervals."""
    count = 100_000
    starts = -10 + 20 * (np.arange(count) + 0.5) / count
    ds = fd.simulate(
        fd.landscapes.Lessard(),
        HB(1 / 9, beta=4 / 9),
        starts=starts[:, None],
        steps=1000,
        stop=fd.Stop(loss=1e-20),
    )
    lost = ds.status.values == BUDGET
    # The notes give two decimals, and a grid of 1e5 cells 24 edges of half a cell.
    assert abs(lost.mean() - 0.1028) < 3e-4
    assert np.diff(lost.astype(int)).clip(0).sum() == 12


def test_momentum_from_rest_cannot_pass_a_higher_barrier():
    """V55: x^4 - 3 x^2 + x has its barrier at f(0.1699) = 0.0841.  From rest at 1.5, f = -0.1875
    is less and a small step only loses energy: no momentum helps.  From 2, f = 6 is enough."""
    rule = HB(1e-3, beta=[0.0, 0.9, 0.99])
    x = path(fd.landscapes.DoubleWell(), rule, [[1.5], [2.0]], 3000 if JIT else 300)
    escaped = (x[..., 0] < 0.0).any(axis=-1)
    assert not escaped[:, 0].any()
    assert escaped[:, 1].tolist() == [False, False, True]


def test_rippled_bowl_has_two_symmetries():
    """V59: gradient descent commutes with (x, h, l) -> (x / 2, h / 4, l / 2): a power of two is
    exact, so the bits are equal."""
    starts = np.linspace(-2, 2, 9)[:, None]
    large = path(fd.landscapes.RippledBowl(height=0.1, length=0.5), GD(0.2), starts, 100)
    small = path(fd.landscapes.RippledBowl(height=0.025, length=0.25), GD(0.2), starts / 2, 100)
    assert bits(large, 2 * small)


# Adaptive rules.


@long
def test_adagrad_counts_its_steps():
    """V19: from 4 to 1e-6 AdaGrad takes 592470, 6300, 309, 91, 27, 1 steps at eta = .01, .1, .5, 1,
    2, 4, whatever the curvature: the path on a parabola does not depend on it."""
    for curvature in (1.0, 1024.0):
        ds = fd.simulate(
            fd.landscapes.Bowl(dim=1, curvature=curvature),
            fd.optimizers.AdaGrad([0.01, 0.1, 0.5, 1.0, 2.0, 4.0], epsilon=0.0),
            starts=[[4.0]],
            steps=600_000,
            stop=fd.Stop(loss=0.5e-12 * curvature),
        )
        assert ds.steps.values.ravel().tolist() == [592_470, 6300, 309, 91, 27, 1]


def test_adagrad_converges_linearly():
    """V19: the last steps contract by 1 - eta / sqrt(sum x^2) in units of curvature 1."""
    rate = 0.5
    x = path(fd.landscapes.Bowl(dim=1), fd.optimizers.AdaGrad(rate, epsilon=0.0), [[4.0]], 300)
    x = x[0, :, 0]
    total = np.cumsum(x[:-1] ** 2)
    np.testing.assert_allclose(x[1:] / x[:-1], 1 - rate / np.sqrt(total), rtol=1e-12)
    # What comes after step 200 adds 1e-6 of the sum.
    np.testing.assert_allclose(x[250] / x[249], 1 - rate / math.sqrt(total[-1]), rtol=1e-9)


BETA1, BETA2, RHO, ETA = 0.9, 0.999, 0.9, 0.01

#: Steps on a constant slope in units of eta, from the recurrences with g = 1 and epsilon = 0:
#: m_t = 1 - b1^t and v_t = 1 - b2^t.
CONSTANT_SLOPE = {
    "GradientDescent": lambda t: 1.0 + 0.0 * t,
    "Momentum lr_inside": lambda t: (1 - BETA1**t) / (1 - BETA1),
    "Momentum lr_outside": lambda t: (1 - BETA1**t) / (1 - BETA1),
    "Momentum ema": lambda t: 1 - BETA1**t,
    "Nesterov lookahead": lambda t: (1 - BETA1**t) / (1 - BETA1),
    "Nesterov torch": lambda t: (1 - BETA1 ** (t + 1)) / (1 - BETA1),
    "AdaGrad epsilon_outside": lambda t: t**-0.5,
    "AdaGrad epsilon_inside": lambda t: t**-0.5,
    "RMSProp epsilon_outside": lambda t: (1 - RHO**t) ** -0.5,
    "RMSProp epsilon_inside": lambda t: (1 - RHO**t) ** -0.5,
    "Adam epsilon_outside": lambda t: 1.0 + 0.0 * t,
    "Adam epsilon_inside": lambda t: 1.0 + 0.0 * t,
    "Adam epsilon_hat": lambda t: 1.0 + 0.0 * t,
    "AdamW decay_before": lambda t: 1.0 + 0.0 * t,
    "AdamW decay_after": lambda t: 1.0 + 0.0 * t,
    "AdaMax epsilon_in_max": lambda t: 1.0 + 0.0 * t,
    "AdaMax epsilon_outside": lambda t: 1.0 + 0.0 * t,
    "Nadam text": lambda t: np.where(
        t == 1, (1 - BETA1) / (1 - BETA1), BETA1 + (1 - BETA1) / (1 - BETA1**t)
    ),
    "Nadam ruder": lambda t: BETA1 + (1 - BETA1) / (1 - BETA1**t),
    "Nadam constant": lambda t: (
        BETA1 * (1 - BETA1**t) / (1 - BETA1 ** (t + 1)) + (1 - BETA1) / (1 - BETA1**t)
    ),
    "AMSGrad torch": lambda t: 1.0 + 0.0 * t,
    "AMSGrad optax": lambda t: 1.0 + 0.0 * t,
    "AMSGrad paper": lambda t: (1 - BETA1**t) * (1 - BETA2**t) ** -0.5,
    "AMSGrad notes": lambda t: (1 - BETA2**t) ** -0.5,
}


@pytest.mark.parametrize("name", CONSTANT_SLOPE)
def test_steps_on_a_constant_slope(name):
    """V19, V20, V22, V27, and section 9 of the specification: every step on a constant slope.

    Among them the four AMSGrads, whose first steps are 1, 1, 3.162 and 31.62 eta, RMSProp's
    3.162 eta, Ruder's Nadam with 1.9 eta, and momentum's terminal velocity eta / (1 - b).
    """
    rule, variant = [*name.split(), None][:2]
    cls = fd.optimizers.get(rule)
    given = {"learning_rate": ETA, "epsilon": 0.0, "weight_decay": 0.0, "rho": RHO}
    given = {key: value for key, value in given.items() if key in cls.parameter_names()}
    given.update({"variant": variant} if variant else {})
    steps = 1000 if JIT else 60
    x = path(Slope(), cls(**given), [[0.0]], steps)[0, :, 0]
    ours = -np.diff(x) / ETA
    exact = CONSTANT_SLOPE[name](np.arange(1.0, steps + 1))
    # A step is a difference of positions up to 100: their rounding, 1.4e-14 / 0.01.
    np.testing.assert_allclose(ours, exact, rtol=5e-12, atol=2e-12)
    # And the whole way, where the 1000 roundings of beta^t in 1 - beta2^t count:
    np.testing.assert_allclose(-x[-1] / ETA, exact.sum(), rtol=1e-11)


def test_every_variant_has_its_constant_slope():
    """All built-in rules but those with a law of their own are in the table above."""
    known = {tuple(name.split()) if " " in name else (name, "standard") for name in CONSTANT_SLOPE}
    # AdaDelta: below.  Centered RMSProp divides by 0 there.  Dozat's momentum has a schedule.
    known |= {("AdaDelta", "standard"), ("RMSProp", "centered"), ("Nadam", "dozat")}
    built_in = {
        (name, variant)
        for name in fd.optimizers.names()
        if fd.optimizers.get(name).__module__.startswith("fastdescent.")
        for variant in fd.optimizers.get(name).kernels
    }
    assert built_in == known


@long
def test_amsgrad_of_the_notes_runs_ahead():
    """V27: without the second correction it goes 1124 eta further in 1000 steps of a slope."""
    ds = fd.simulate(
        Slope(),
        fd.optimizers.AMSGrad(ETA, epsilon=0.0, variant="notes"),
        starts=[[0.0]],
        steps=1000,
    )
    assert round(float(-ds.position.values[0, 0]) / ETA - 1000) == 1124


def test_first_steps_of_nadam_as_in_torch_and_keras():
    """Specification, section 2.9: 1.056 eta (torch, psi = .004) and 1.063 (Keras, psi = 1)."""
    for psi, known in ((0.004, 1.056), (1.0, 1.063)):
        rule = fd.optimizers.Nadam(ETA, momentum_decay=psi, epsilon=0.0)
        ds = fd.simulate(Slope(), rule, starts=[[0.0]], steps=1)
        mu = [BETA1 * (1 - 0.5 * 0.96 ** (t * psi)) for t in (1, 2)]
        exact = mu[1] * (1 - BETA1) / (1 - mu[0] * mu[1]) + (1 - mu[0]) / (1 - mu[0])
        ours = float(-ds.position.values[0, 0]) / ETA
        assert abs(ours - exact) < 1e-12
        assert round(exact, 3) == known


def test_first_steps_with_epsilon():
    """V21, V22: Adam's first step is eta g / (|g| + eps), AdaDelta's is
    g sqrt(eps / ((1 - rho) g^2 + eps)), sqrt(eps / (1 - rho)) = 4.472e-3 for rho = 0.95."""
    for g in (1e-9, 1e-3, -1.0, 1e6):
        step = -path(Slope(g), Adam(0.1), [[0.0]], 1)[0, 1, 0]
        assert abs(step / (0.1 * g / (abs(g) + 1e-8)) - 1) < 1e-15 * 8
        step = -path(Slope(g), fd.optimizers.AdaDelta(rho=0.95), [[0.0]], 1)[0, 1, 0]
        assert abs(step / (g * math.sqrt(1e-6 / (0.05 * g * g + 1e-6))) - 1) < 1e-15 * 8
    assert abs(step - 4.472e-3) < 1e-6


def test_adadelta_without_epsilon_never_moves():
    """V21: the numerator of the rule as it is often printed starts at 0 and stays there."""
    rule = fd.optimizers.AdaDelta(epsilon=0.0)
    x = path(fd.landscapes.Himmelblau(), rule, [[1.0, 2.0]], 20)
    assert (x == x[:, :1]).all()


def test_adadelta_on_a_slope_becomes_gradient_descent():
    """V21: E[dx^2]_t = g^2 - (g^2 - D_s) q^(t - s), q = 1 - (1 - rho) eps / (g^2 + eps), so the
    step grows to g: gradient descent with rate 1.

    s is late enough that E[g^2] = g^2 to the last bit (rho^s < 1e-17).  D_t shows in step t + 1:
    d = g sqrt((D_t + eps) / (g^2 + eps)).
    """
    g, rho, eps = 2.0, 0.9, 1e-2
    steps = 100_000 if JIT else 1500
    x = path(Slope(g), fd.optimizers.AdaDelta(rho=rho, epsilon=eps), [[0.0]], steps)[0, :, 0]
    d = -np.diff(x)
    size = (d / g) ** 2 * (g * g + eps) - eps  # size[t] is D_t
    s = 400
    q = 1 - (1 - rho) * eps / (g * g + eps)
    t = np.arange(s, steps)
    exact = g * g - (g * g - size[s]) * q ** (t - s)
    # A step is a difference of positions up to 2e5, rounded to 3e-11.
    np.testing.assert_allclose(size[s:], exact, rtol=1e-9)
    assert not JIT or abs(d[-1] - g) < 1e-9


@long
def test_adadelta_grows_for_ever_on_a_steep_parabola():
    """V21: for curvature c > 2 abs(x_t) grows as sqrt(eps t (1 - 4 / c^2)) / 2; rho drops out.
    For c < 2 it converges."""
    steps = 1_000_000
    ds = fd.simulate(
        fd.landscapes.Bowl(dim=1, curvature=[1.0, 4.0, 10.0]),
        fd.optimizers.AdaDelta(rho=[0.9, 0.95]),
        starts=[[0.1]],
        steps=steps,
    )
    x = np.abs(ds.position.values[..., 0, 0])
    assert (x[0] < 1e-6).all()
    for row, c in zip(x[1:], (4.0, 10.0), strict=True):
        exact = math.sqrt(1e-6 * steps * (1 - 4 / c**2)) / 2
        np.testing.assert_allclose(row, exact, rtol=5e-3)  # the next order, as the notes give it


def test_rmsprop_ends_in_a_two_cycle():
    """V20: without noise RMSProp hovers over a parabola's minimum at +- eta / 2 exactly."""
    rule = fd.optimizers.RMSProp(0.01, rho=0.9, epsilon=0.0)
    last = path(fd.landscapes.Bowl(dim=1), rule, [[1.0]], 1500)[0, -20:, 0]
    # The way there ends after 1000 steps, in a cycle of two rounded numbers.
    np.testing.assert_allclose(np.abs(last), 0.005, rtol=1e-12)
    assert (np.sign(last[1:]) == -np.sign(last[:-1])).all()


@long
def test_adam_exceeds_its_printed_bound():
    """V22: without bias corrections abs(m) / sqrt(v) has the supremum
    (1 - b1) / sqrt((1 - b2) (1 - b1^2 / b2)) = 7.2703, above the printed (1 - b1) / sqrt(1 - b2)
    = 3.162.  It is approached when gradients grow by b2 / b1 a step; -exp(k x) makes them do so
    with k = ln(b2 / b1) / (7.2703 eta).  AMSGrad's `paper` form is Adam without corrections
    while v grows."""
    bound = (1 - BETA1) / math.sqrt((1 - BETA2) * (1 - BETA1**2 / BETA2))
    assert round(bound, 4) == 7.2703
    rate = math.log(BETA2 / BETA1) / (bound * ETA)
    rule = fd.optimizers.AMSGrad(ETA, epsilon=0.0, variant="paper")
    x = path(Falling(rate), rule, [[-300.0 / rate]], 3000)[0, :, 0]
    ratio = np.diff(x) / ETA
    assert ratio.max() < bound * (1 + 1e-9)
    # 3000 steps: the rounding of positions near 100 is 1e-14 / eta.
    np.testing.assert_allclose(ratio[-1], bound, rtol=1e-6)
    assert ratio[-1] > 2 * (1 - BETA1) / math.sqrt(1 - BETA2)


ADAPTIVE = [
    ("AdaGrad", {}),
    ("RMSProp", {}),
    ("RMSProp", {"variant": "centered"}),
    *(("Adam", {"variant": v}) for v in fd.optimizers.Adam.kernels),
    *(("AdaMax", {"variant": v}) for v in fd.optimizers.AdaMax.kernels),
    *(("Nadam", {"variant": v}) for v in fd.optimizers.Nadam.kernels),
    *(("AMSGrad", {"variant": v}) for v in fd.optimizers.AMSGrad.kernels),
]
ADAPTIVE_IDS = ["-".join((name, *given.values())) for name, given in ADAPTIVE]


@pytest.mark.parametrize(("name", "given"), ADAPTIVE, ids=ADAPTIVE_IDS)
def test_adaptive_rules_do_not_see_the_scale_of_the_loss(name, given):
    """V22, V67: with eps = 0 the loss times 2^k changes no bit of the path: squares scale by 2^2k
    and their roots by 2^k, exactly."""
    rule = fd.optimizers.get(name)(0.05, epsilon=0.0, **given)
    starts = np.array([[0.3], [-1.7], [2.5]])
    small, plain, large = path(ScaledWell([2.0**-40, 1.0, 2.0**33]), rule, starts, 80)
    assert np.isfinite(plain).all()
    assert bits(small, plain, large)


@pytest.mark.parametrize(("name", "given"), ADAPTIVE, ids=ADAPTIVE_IDS)
def test_adaptive_rules_do_not_see_curvature_per_coordinate(name, given):
    """V19, V22, V67: with eps = 0 coordinates of curvature 2 and 2048 walk with the same bits."""
    rule = fd.optimizers.get(name)(0.05, epsilon=0.0, **given)
    x = path(fd.landscapes.Quadratic([2.0, 2048.0]), rule, [[0.7, 0.7]], 80)
    assert bits(np.ascontiguousarray(x[..., 0]), np.ascontiguousarray(x[..., 1]))


@pytest.mark.parametrize("name", fd.optimizers.names())
def test_paths_are_mirrored_on_a_symmetric_landscape(name):
    """V67: where the gradient is odd, the start -x_0 walks the mirrored bits, for every rule."""
    cls = fd.optimizers.get(name)
    for variant in cls.kernels:
        given = {"variant": variant} if len(cls.kernels) > 1 else {}
        x = path(fd.landscapes.SymmetricDoubleWell(), cls(0.05, **given), [[1.9], [-1.9]], 60)
        assert bits(x[0], -x[1]), variant


@pytest.mark.parametrize("rule", [GD, HB, NAG])
def test_rate_and_curvature_enter_as_their_product(rule):
    """V67: curvature x 4 at eta / 4 walks the same bits, for the rules that are linear."""
    x = path(fd.landscapes.Bowl(curvature=[1.0, 4.0]), rule([0.3, 0.075]), [[1.0, 3.0]], 60)
    assert bits(x[0, 0], x[1, 1])


def test_saddle_exits():
    """V23: from (0, y_0) on x^2 / 2 - y^2 / 2 with eta = .01 until abs(y) >= 1, y_0 = 1e-3, 1e-6,
    1e-12.  Gradient descent multiplies y by 1.01; heavy ball follows
    y_t+1 = (1 + b + eta) y_t - b y_t-1; Adam does not see y_0 (its epsilon must not, either)."""
    sizes = np.array([1e-3, 1e-6, 1e-12])
    starts = np.stack([0 * sizes, sizes], axis=1)

    def exits(rule):
        ds = fd.simulate(
            fd.landscapes.Saddle(), rule, starts=starts, steps=4000, stop=fd.Stop(loss=-0.5)
        )
        assert (ds.status.values == CONVERGED).all()
        return ds.steps.values.tolist()

    def heavy_ball(y, b=0.9, rate=0.01):
        before, step = y, 0
        while y < 1.0:
            y, before, step = (1 + b + rate) * y - b * before, y, step + 1
        return step

    ours = exits(GD(0.01))
    assert ours == [math.ceil(math.log(1 / y) / math.log(1.01)) for y in sizes]
    assert ours == [695, 1389, 2777]
    ours = exits(HB(0.01, beta=0.9))
    assert ours == [heavy_ball(y) for y in sizes] == [115, 226, 446]
    assert exits(Adam(0.01, epsilon=1e-300)) == [77, 77, 77]


@long
def test_adam_hovers_over_a_parabola():
    """V24: without noise Adam does not settle: rms x = 0.0284 eta, for curvature 1 and 1024 alike.

    The notes measured 0.0284 beside the 2-cycle's exact eta (1 - b1) / (2 (1 + b1)) =
    0.02632 eta.  Over 6e4 steps the bursts average to 1 % or so.  (The two do not share their
    bits: on the way x falls to 1e-320, where squares underflow.)"""
    ds = fd.simulate(
        fd.landscapes.Bowl(dim=1, curvature=[1.0, 1024.0]),
        Adam(1e-3, epsilon=0.0),
        starts=[[1.0]],
        steps=100_000,
        record=fd.record.steps(range(40_000, 100_001)),
    )
    rms = np.sqrt((ds.path.values[:, 0, :, 0] ** 2).mean(axis=1))
    np.testing.assert_allclose(rms / 1e-3, 0.0284, rtol=0.04)


def test_weight_decay_fixed_points():
    """V26: on h (x - a)^2 / 2 Adam with L2 goes to ridge regression's h a / (h + lambda).  AdamW
    goes to a if abs(a) < 1 / lambda and else to +-1 / lambda (Xie and Li 2024), never to ridge.

    AdamW rests where u + lambda x = 0 with u in [-1, 1], so a start on the way to the fixed
    point and a falling rate bring both within the last rates' size of it."""
    steps = 20_000 if JIT else 4000
    rate = fd.schedules.Exponential(0.05, gamma=math.exp(-12 / steps))
    lam = 0.1
    # The rate falls to 3e-7; AdamW's average of squares still holds a bit of the way.
    tolerance = 0.005 if JIT else 0.03
    for a in (3.0, 30.0, -30.0) if JIT else (3.0,):
        ds = fd.simulate(
            Offset(a=a), Adam(rate, weight_decay=lam, beta2=0.99), starts=[[0.0]], steps=steps
        )
        assert abs(ds.position.values[0, 0] - a / (1 + lam)) < 2e-3
        ds = fd.simulate(
            Offset(a=a),
            fd.optimizers.AdamW(rate, weight_decay=lam, beta2=0.99),
            starts=[[0.0]],
            steps=steps,
        )
        exact = np.clip(a, -1 / lam, 1 / lam)
        assert abs(ds.position.values[0, 0] / exact - 1) < tolerance


def test_weight_decay_without_a_loss():
    """V26: on no slope AdamW is exactly x_0 (1 - eta lambda)^t.  Adam with L2 sees the gradient
    lambda x, whose size it ignores: with eps = 0 any lambda walks the same path."""
    rate, lam, steps = 0.01, 0.5, 200
    for variant in fd.optimizers.AdamW.kernels:
        rule = fd.optimizers.AdamW(rate, weight_decay=lam, variant=variant)
        x = path(Slope(0.0), rule, [[2.0]], steps)[0, :, 0]
        np.testing.assert_allclose(x, 2.0 * (1 - rate * lam) ** np.arange(steps + 1), rtol=1e-13)
    x = path(Slope(0.0), Adam(rate, epsilon=0.0, weight_decay=[0.25, 16.0]), [[2.0]], 100)
    assert bits(x[0], x[1])
    # v averages the squares so far, m the last few gradients: a little less than eta a step.
    np.testing.assert_allclose(x[0, 0, 50, 0], 2.0 - 50 * rate, rtol=0.1)


def test_the_nadam_of_the_text_is_adam():
    """V29: with the mean before the step, as in the course notes' text, Nadam's numerator tends to
    Adam's: on the same gradients their steps differ by less than 1e-11 for t > 250, while the
    others' stay apart."""
    steps = 400 if JIT else 0
    if not steps:
        pytest.skip("too long without the JIT")
    # On a slope with noise the gradients do not depend on where theta is.
    walk = {
        rule: np.diff(path(Slope(), rule, [[0.0]], steps, noise=fd.noise.Gaussian(3.0))[0, :, 0])
        for rule in (
            Adam(ETA),
            fd.optimizers.Nadam(ETA, variant="text"),
            fd.optimizers.Nadam(ETA, variant="ruder"),
        )
    }
    adam, text, ruder = walk.values()
    assert np.abs(text - adam)[250:].max() / ETA < 1e-11
    assert np.abs(ruder - adam)[250:].max() / ETA > 1e-2


# Laws of noise.


def replicas(landscape, rule, start, steps, noise, count, **arguments):
    """Positions of `count` independent replicas of one start, in one dimension."""
    ds = fd.simulate(
        landscape,
        rule,
        starts=[[start]],
        steps=steps,
        seeds=count,
        noise=noise,
        **arguments,
    )
    return ds.path.values[..., 0] if "path" in ds else ds.position.values[..., 0]


#: Excess kurtosis of the noises of variance 1.
KURTOSIS = {
    fd.noise.Gaussian(0.7): 0.0,
    fd.noise.Uniform(0.7): -1.2,
    fd.noise.Rademacher(0.7): -2.0,
}


@long
@pytest.mark.parametrize("noise", KURTOSIS, ids=lambda noise: type(noise).__name__)
def test_variance_of_noisy_gradient_descent(noise):
    """V40: x_t has mean a^t x_0 and variance eta^2 s^2 (1 - a^2t) / (1 - a^2), a = 1 - eta lambda,
    which tends to eta s^2 / (lambda (2 - eta lambda)), for noise of any shape.

    The fourth cumulants add up like sum a^4k; the variance of a squared deviation follows.
    """
    count, times, start, s, curvature = 40_000, [1, 2, 5, 200], 3.0, 0.7, 2.0
    for rate in (0.05, 0.4, 0.9):
        x = replicas(
            fd.landscapes.Bowl(dim=1, curvature=curvature),
            GD(rate),
            start,
            times[-1],
            noise,
            count,
            record=fd.record.steps(times),
        )[0]
        a = 1 - rate * curvature
        for k, t in enumerate(times):
            variance = (rate * s) ** 2 * (1 - a ** (2 * t)) / (1 - a * a)
            fourth = KURTOSIS[noise] * (rate * s) ** 4 * (1 - a ** (4 * t)) / (1 - a**4)
            mean = a**t * start
            assert_z(x[:, k].mean(), mean, math.sqrt(variance / count))
            error = math.sqrt((2 * variance**2 + fourth) / count)
            # Rademacher's first step has two values: its squared deviation does not vary.
            assert_z(((x[:, k] - mean) ** 2).mean(), variance, max(error, 1e-12 * variance))
        limit = rate * s * s / (curvature * (2 - rate * curvature))
        assert abs(variance / limit - 1) < 1e-8  # the last time is late enough


@long
@pytest.mark.parametrize("rule", [HB, NAG])
def test_variance_of_noisy_momentum(rule):
    """V41: heavy ball's stationary variance is eta s^2 (1 + b) / ((1 - b) lambda (2 (1 + b) - h));
    Nesterov's has q = b (1 - h) for b and 2 (1 + b) - (1 + 2 b) h.  Before that, the covariance of
    (x_t, x_t-1) follows C <- M C M' + (eta s)^2 e e'."""
    count, times, s, rate = 40_000, [1, 3, 10, 30, 600], 0.7, 0.3
    for b in (0.5, 0.9):
        x = replicas(
            fd.landscapes.Bowl(dim=1),
            rule(rate, beta=b),
            0.0,
            times[-1],
            fd.noise.Gaussian(s),
            count,
            record=fd.record.steps(times),
        )[0]
        h = rate
        trace, minor = (1 + b - h, b) if rule is HB else ((1 + b) * (1 - h), b * (1 - h))
        matrix = np.array([[trace, -minor], [1.0, 0.0]])
        covariance, variances = np.zeros((2, 2)), []
        for t in range(1, times[-1] + 1):
            covariance = matrix @ covariance @ matrix.T
            covariance[0, 0] += (rate * s) ** 2
            if t in times:
                variances.append(covariance[0, 0])
        q, edge = (b, 2 * (1 + b) - h) if rule is HB else (minor, 2 * (1 + b) - (1 + 2 * b) * h)
        limit = rate * s * s * (1 + q) / ((1 - q) * edge)
        assert abs(variances[-1] / limit - 1) < 1e-9
        exact = np.array(variances)
        assert_z((x**2).mean(axis=0), exact, exact * math.sqrt(2 / count))


@long
def test_average_of_noisy_gradient_descent():
    """V50: the mean of T iterates is normal with variance c' A c, from x_t's AR(1) covariance; T
    times it tends to sigma^2 / lambda^2 for every rate."""
    count, steps, s = 20_000, 100, 1.0
    for rate in (0.1, 1.0):
        x = replicas(
            fd.landscapes.Bowl(dim=1),
            GD(rate),
            0.0,
            steps,
            fd.noise.Gaussian(s),
            count,
            record=fd.record.every(1),
        )[0, :, 1:]
        a = 1 - rate
        # The mean is eta s / T times a sum of independent noises, each with a geometric weight.
        weights = np.array([sum(a**j for j in range(steps - k)) for k in range(steps)])
        exact = (rate * s / steps) ** 2 * (weights**2).sum()
        mean = x.mean(axis=1)
        assert_z((mean**2).mean(), exact, exact * math.sqrt(2 / count))


@long
def test_multiplicative_noise():
    """With noise relative to the gradient, x_t+1 = x_t (1 - h - h s xi): E x_t = (1 - h)^t x_0 and
    E x_t^2 = ((1 - h)^2 + h^2 s^2)^t x_0^2, E x_t^4 likewise from E xi^4 = 3.  A rare feature of
    probability p gives E x_t = (1 - p h)^t and E x_t^2 = (1 - p + p (1 - h)^2)^t."""
    count, steps, h, s, p = 40_000, 8, 0.4, 0.8, 0.3

    def moments(noise):
        x = replicas(fd.landscapes.Bowl(dim=1), GD(h), 1.0, steps, noise, count)
        return x.mean(), (x**2).mean()

    factor = [1 - h, (1 - h) ** 2 + (h * s) ** 2]
    fourth = (1 - h) ** 4 + 6 * ((1 - h) * h * s) ** 2 + 3 * (h * s) ** 4
    first, second = (f**steps for f in factor)
    spread = np.sqrt(np.array([second - first**2, fourth**steps - second**2]) / count)
    assert_z(moments(fd.noise.Gaussian(s, mode="relative")), [first, second], spread)
    first, second, fourth = ((1 - p + p * (1 - h) ** k) ** steps for k in (1, 2, 4))
    spread = np.sqrt(np.array([second - first**2, fourth - second**2]) / count)
    assert_z(moments(fd.noise.RareFeature(p)), [first, second], spread)


@long
def test_noise_leaves_a_saddle():
    """V48: from the top of -lambda y^2 / 2 the first time beyond delta has mean
    [ln(delta / s) + (gamma + ln 2) / 2] / ln(1 + h) + 1/2 with s = eta sigma / sqrt((1 + h)^2 - 1),
    and standard deviation pi / sqrt 8 / ln(1 + h): y_t / (1 + h)^t is a normal times s.

    The formula itself is good to 0.2 % for h <= 0.1 (overshoot and the early steps)."""
    count, rate, sigma, delta = 100_000, 0.1, 1e-3, 1.0
    ds = fd.simulate(
        fd.landscapes.Quadratic([-1.0]),
        GD(rate),
        starts=[[0.0]],
        steps=2000,
        seeds=count,
        noise=fd.noise.Gaussian(sigma),
        stop=fd.Stop(loss=-0.5 * delta**2),
    )
    assert (ds.status.values == CONVERGED).all()
    growth = math.log(1 + rate)
    s = rate * sigma / math.sqrt((1 + rate) ** 2 - 1)
    exact = (math.log(delta / s) + (np.euler_gamma + math.log(2)) / 2) / growth + 0.5
    spread = math.pi / math.sqrt(8) / growth
    error = 4.5 * spread / math.sqrt(count) + 0.002 * exact
    assert abs(ds.steps.values.mean() - exact) < error
    assert abs(ds.steps.values.std() / spread - 1) < 0.02


def exit_moments(rate, sigma):
    """V49: mean and standard deviation of the first step with x >= 0, from -1.

    tau(x) = 1 + int k(y | x) tau(y) dy over y < 0 and the like for the second moment, on 400
    Gauss-Legendre nodes; beyond -2.5 the density is below 1e-20.
    """
    nodes, weights = np.polynomial.legendre.leggauss(400)
    y = -1.25 + 1.25 * nodes
    spread = rate * sigma

    def density(x):
        mean = (x - rate * x * (x * x - 1))[:, None]
        peak = np.exp(-0.5 * ((y - mean) / spread) ** 2) / (spread * math.sqrt(2 * math.pi))
        return peak * 1.25 * weights

    inside, at = density(y), density(np.array([-1.0]))[0]
    tau = np.linalg.solve(np.eye(400) - inside, np.ones(400))
    square = np.linalg.solve(np.eye(400) - inside, 1 + 2 * inside @ tau)
    mean = 1 + float(at @ tau)
    return mean, math.sqrt(1 + float(2 * at @ tau + at @ square) - mean**2)


@long
@pytest.mark.parametrize(
    ("rate", "sigma", "known", "count"),
    [(0.1, 1.5, 269.3125, 100_000), (0.05, 1.5, 4707.7875, 10_000), (0.1, 1.0, 4168.9393, 10_000)],
)
def test_exit_times_from_a_well(rate, sigma, known, count):
    """V49: the mean first passage from -1 to x >= 0 on (x^2 - 1)^2 / 4, by an integral equation.

    The landscape's loss is -x, so the loss test sees the place; the slope is the well's."""
    mean, spread = exit_moments(rate, sigma)
    assert abs(mean / known - 1) < 1e-7
    ds = fd.simulate(
        Place(),
        GD(rate),
        starts=[[-1.0]],
        steps=200_000,
        seeds=count,
        noise=fd.noise.Gaussian(sigma),
        stop=fd.Stop(loss=0.0),
        threads=1,  # most of the time is the tail, a few lanes wide
    )
    assert (ds.status.values == CONVERGED).all()
    assert (ds.position.values >= 0).all()
    assert_z(ds.steps.values.mean(), mean, spread / math.sqrt(count))
    # The law is nearly exponential: the sd of the sd is sd sqrt(2 / n) there (kurtosis 9).
    assert abs(ds.steps.values.std() / spread - 1) < 4.5 * math.sqrt(2 / count)


@long
def test_adam_under_noise():
    """V52: for noise far above the slope E x^2 = eta sigma / (2 lambda); beta1 drops out.

    Adam's step is then eta g / sigma averaged by beta1, an AR process of rate eta lambda / sigma;
    the notes give 5 % for the neglected terms, and 40 000 samples add 0.7 % (1 sigma)."""
    rate, sigma = 0.01, 1.0
    x = replicas(
        fd.landscapes.Bowl(dim=1),
        Adam(rate, beta1=[0.0, 0.9]),
        0.0,
        1000,
        fd.noise.Gaussian(sigma),
        40_000,
    )
    second = (x**2).mean(axis=(1, 2))
    np.testing.assert_allclose(second, rate * sigma / 2, rtol=0.05 + 4.5 * 0.007)


@long
def test_weight_decay_under_noise():
    """V26: with pure noise AdamW's mean is exactly x_0 (1 - eta lambda)^t: its step is symmetric.
    Under noise of size sigma its mean on h (x - a)^2 / 2 is the root of
    h (x - a) / sqrt(sigma^2 + h^2 (x - a)^2) + lambda x = 0: 1.4916 for a = 3, lambda = .1,
    sigma = 10."""
    count, rate, lam, steps = 20_000, 0.01, 0.1, 500
    rule = fd.optimizers.AdamW(rate, weight_decay=lam)
    x = replicas(Slope(0.0), rule, 2.0, steps, fd.noise.Gaussian(1.0), count)[0]
    assert_z(x.mean(), 2.0 * (1 - rate * lam) ** steps, x.std() / math.sqrt(count))

    a, sigma = 3.0, 10.0
    low, high = 0.0, a
    for _ in range(60):
        middle = 0.5 * (low + high)
        pull = (middle - a) / math.hypot(sigma, middle - a) + lam * middle
        low, high = (middle, high) if pull < 0 else (low, middle)
    assert round(low, 4) == 1.4916
    x = replicas(Offset(a=a), rule, low, 8000, fd.noise.Gaussian(sigma), 5000)[0]
    # Of second order in the spread of x about the root, sd = 0.16: below 1 %.
    assert abs(x.mean() / low - 1) < 0.01 + 4.5 * x.std() / math.sqrt(5000) / low


# Basins.


def test_basins_of_order_preserving_descent_on_a_grid():
    """V53: with eta < 1 / L gradient descent in one dimension keeps the order of points, so a
    start goes to the well on its side of the maximum: 0.15673125678 for Styblinski-Tang."""
    landscape = fd.landscapes.StyblinskiTang(dim=1)
    starts = np.linspace(-5, 5, 1001 if JIT else 21)[:, None]
    # L = 6 * 25 - 16 = 134.
    ds = fd.simulate(landscape, GD(0.005), starts=starts, steps=4000 if JIT else 300)
    assert ((ds.position.values < 0) == (starts < 0.15673125678)).all()


@long
@pytest.mark.parametrize(
    ("landscape", "rate", "part"),
    [
        (fd.landscapes.StyblinskiTang(dim=1), 0.005, 0.5156731257),
        (fd.landscapes.StyblinskiTang(dim=3), 0.005, 0.5156731257**3),
        (fd.landscapes.Rastrigin(dim=1), 0.0025, 2 * 0.502546 / 10.24),
        (fd.landscapes.Rastrigin(dim=2), 0.0025, (2 * 0.502546 / 10.24) ** 2),
    ],
    ids=["StyblinskiTang-1", "StyblinskiTang-3", "Rastrigin-1", "Rastrigin-2"],
)
def test_basin_fractions(landscape, rate, part):
    """V53: uniform starts reach the global minimum with the probability of its interval, which is
    (0.15673 + 5) / 10 or 2 * 0.502546 / 10.24 for each coordinate."""
    count = 100_000
    ds = fd.simulate(
        landscape,
        GD(rate),
        starts=fd.starts.Uniform(count=count),
        steps=2000,
        seed=5,
        stop=fd.Stop(loss=0.1),
    )
    ours = (ds.status.values == CONVERGED).mean()
    assert_z(ours, part, math.sqrt(part * (1 - part) / count))


# Randomness as a function.


def test_rules_that_are_equal_on_paper_see_the_same_noise():
    """Heavy ball, Nesterov and the EMA form with beta = 0 are gradient descent, under the same
    noise bit for bit: noise does not depend on the rule."""
    landscape, starts = fd.landscapes.Himmelblau(), fd.starts.Uniform(count=5)
    noise = fd.noise.StudentT(0.3, 3.0)
    plain, *others = (
        path(landscape, rule, starts, 40, noise=noise, seeds=2, seed=9)
        for rule in (
            GD(0.01),
            HB(0.01, beta=0.0),
            HB(0.01, beta=0.0, variant="lr_outside"),
            HB(0.01, beta=0.0, variant="ema"),
            NAG(0.01, beta=0.0),
            NAG(0.01, beta=0.0, variant="torch"),
        )
    )
    assert bits(plain, *others)


def test_common_noise_cancels_in_a_difference():
    """On a quadratic two rules that share their noise differ by what their rates make of it: with
    equal rates and starts by nothing, on curvatures 1 and 4 at eta and eta / 4 by a factor."""
    noise = fd.noise.Gaussian(0.5)
    soft = path(fd.landscapes.Bowl(dim=1), GD(0.4), [[0.0]], 50, noise=noise)
    steep = path(fd.landscapes.Bowl(dim=1, curvature=4.0), GD(0.1), [[0.0]], 50, noise=noise)
    # x_t+1 = 0.6 x_t - eta sigma xi: linear in eta, and a quarter is exact.
    np.testing.assert_allclose(steep, soft / 4, rtol=1e-12)


def test_a_longer_run_begins_like_a_shorter_one():
    """Steps do not know the budget: the first 25 of 60 have the bits of a run of 25."""
    arguments = {"noise": fd.noise.Gaussian(0.2), "seeds": 2, "seed": 3}
    starts = fd.starts.Uniform(count=4)
    for rule in (Adam(0.05), NAG(0.01), fd.optimizers.AdaDelta()):
        short = path(fd.landscapes.Himmelblau(), rule, starts, 25, **arguments)
        longer = path(fd.landscapes.Himmelblau(), rule, starts, 60, **arguments)
        assert bits(short, np.ascontiguousarray(longer[..., :26, :]))


def test_replicas_without_noise_are_equal():
    """Seeds differ in their noise alone."""
    x = path(fd.landscapes.Himmelblau(), Adam(0.05), [[1.0, 1.0]], 10, seeds=3)
    assert bits(x[0, 0], x[0, 1], x[0, 2])
