"""Update rules: naive twins at every step and state row, bits, closed forms, edge cases.

The tests go over the registry: a later rule is tested too, and needs a twin in `twins.py`.
"""

import doctest
import importlib
import inspect
import itertools
import pickle

import numpy as np
import pytest
import twins

import fastdescent as fd
from fastdescent.contracts import JIT
from fastdescent.errors import InvalidValueError, UnknownNameError

RULES = {
    name: fd.optimizers.get(name)
    for name in fd.optimizers.names()
    if fd.optimizers.get(name).__module__.startswith("fastdescent.")
}
VARIANTS = [(name, variant) for name, rule in RULES.items() for variant in rule.kernels]
DIM = 3
STEPS = 60 if JIT else 25

#: Lowest and highest value in a test with different lanes; others keep their default.
SPREAD = {
    "learning_rate": (0.01, 0.08),
    "beta": (0.3, 0.95),
    "beta1": (0.5, 0.95),
    "beta2": (0.9, 0.999),
    "rho": (0.8, 0.99),
    "epsilon": (1e-8, 1e-3),
    "weight_decay": (0.0, 0.3),
    "dampening": (0.0, 0.5),
    "learning_rate_decay": (0.0, 0.1),
    "initial_accumulator": (0.0, 0.5),
    "momentum_decay": (0.0, 1.0),
}

# Kernels and twins round differently: a few 1e-16 per step, for 60 steps.  The largest single
# part is 1 - beta2^t, whose rounding error of 1e-16 is 5e-14 of it at t = 2, beta2 = 0.999.
TOLERANCE = 5e-13


def make(rule, variant="", **parameters):
    has_variant = "variant" in {field.name for field in RULES[rule]._fields()}
    return RULES[rule](**parameters, **({"variant": variant} if variant and has_variant else {}))


def defaults(part, lanes):
    """Return the part's own hyper-parameters for all lanes, (rows, lanes)."""
    rows = [[value] * lanes for value in part.base_values().values()]
    return np.array(rows, dtype=float).reshape(-1, lanes)


def spread(part, lanes):
    """Return hyper-parameters that differ from lane to lane, each in another order."""
    hyper = defaults(part, lanes)
    for row, name in enumerate(part.parameter_names()):
        low, high = SPREAD.get(name, (hyper[row, 0], hyper[row, 0]))
        values = np.linspace(low, high, lanes) if lanes > 1 else np.array([low])
        hyper[row] = np.roll(values, 5 * row)
    return hyper


def numbers(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


def quadratic(x, step):
    """Return the gradient of sum c x^2 / 2; rows are coordinates."""
    return (np.array([1.0, 4.0, 10.0])[: len(x)] * x.T).T


def run(part, theta, hyper, gradient, steps, shared=0.0):
    """Yield (theta, state) after every step; ``hyper`` is an array or a function of t.

    The engine's last row, which says whether all lanes share their hyper-parameters, is added.
    """
    theta = np.array(theta, dtype=float)
    dim, lanes = theta.shape
    state = np.zeros((part.state_rows(dim), lanes))
    point, loss = np.zeros_like(theta), np.zeros(lanes)
    for t in range(1, steps + 1):
        rows = np.array(hyper(t) if callable(hyper) else hyper)
        rows = np.concatenate([rows, np.full((1, lanes), shared)])
        point[...] = theta
        if part.query_kernel() is not None:
            part.query_kernel()(theta, state, rows, t, point)
        grad = np.array(np.broadcast_to(gradient(point.copy(), t), theta.shape))
        with np.errstate(all="ignore"):
            part.update_kernel()(theta, grad, loss, state, rows, t)
        yield theta, state


def end(part, theta, hyper, gradient, steps, shared=0.0):
    *_, (final, state) = run(part, theta, hyper, gradient, steps, shared)
    return final, state


def slopes(part, g, steps, hyper=None):
    """Return the moves against a constant gradient g in units of the learning rate."""
    hyper = defaults(part, 1) if hyper is None else hyper
    path = [
        x[0, 0] for x, _ in run(part, [[0.0]], hyper, lambda x, t: np.full_like(x, float(g)), steps)
    ]
    return -np.diff([0.0, *path]) / hyper[0, 0]


# Twins


def recorded(x, t):
    """Gradients that do not depend on x, over several orders of magnitude."""
    size = 10.0 ** (np.arange(x.shape[0]) - 1)
    return (size * numbers((1000, x.shape[0]), seed=1)[t]).reshape(-1, *([1] * (x.ndim - 1)))


def compare_with_twin(rule, variant, gradient, hyper, lanes=5):
    part = make(rule, variant)
    names = part.parameter_names()
    start = numbers((DIM, lanes))
    twin_walks = [
        twins.walk(
            rule,
            variant,
            start[:, lane],
            lambda t, lane=lane: dict(zip(names, hyper(t)[:, lane], strict=True)),
            lambda x, t: gradient(x, t).reshape(x.shape),
            STEPS,
        )
        for lane in range(lanes)
    ]
    entry = twins.TWINS[rule, variant]
    for theta, state in run(part, start, hyper, gradient, STEPS):
        for lane, walk in enumerate(twin_walks):
            x, s = next(walk)
            np.testing.assert_allclose(theta[:, lane], x, rtol=TOLERANCE, atol=TOLERANCE)
            for i, name in enumerate(entry.vectors):
                ours = state[i * DIM : (i + 1) * DIM, lane]
                # Sums of both signs: relative to the vector's largest entry.
                size = np.abs(s[name]).max()
                np.testing.assert_allclose(ours, s[name], rtol=TOLERANCE, atol=TOLERANCE * size)
            for i, name in enumerate(entry.scalars):
                ours = state[part.vectors * DIM + i, lane]
                np.testing.assert_allclose(ours, s[name], rtol=TOLERANCE)


def test_every_variant_has_a_twin_with_the_rows_of_its_state():
    assert set(twins.TWINS) == set(VARIANTS)
    for (rule, _), entry in twins.TWINS.items():
        assert len(entry.vectors) <= RULES[rule].vectors
        assert len(entry.scalars) <= RULES[rule].scalars
    for name, rule in RULES.items():
        entries = [twins.TWINS[name, variant] for variant in rule.kernels]
        assert max(len(entry.vectors) for entry in entries) == rule.vectors
        assert max(len(entry.scalars) for entry in entries) == rule.scalars


@pytest.mark.parametrize(("rule", "variant"), VARIANTS)
@pytest.mark.parametrize("gradient", [recorded, quadratic])
def test_kernel_is_its_twin_at_every_step_and_state_row(rule, variant, gradient):
    hyper = spread(make(rule, variant), 5)
    compare_with_twin(rule, variant, gradient, lambda t: hyper)


@pytest.mark.parametrize(("rule", "variant"), VARIANTS)
def test_kernel_is_its_twin_under_schedules(rule, variant):
    part = make(rule, variant)
    base = spread(part, 5)
    low = np.array([0.9 if name.startswith(("beta", "rho")) else 0.5 for name in
                    part.parameter_names()])[:, None]  # fmt: skip

    def hyper(t):
        return base * (low + (1.0 - low) * np.cos(0.1 * t) ** 2)

    compare_with_twin(rule, variant, recorded, hyper)


# Bits


@pytest.mark.parametrize(("rule", "variant"), VARIANTS)
def test_bits_do_not_depend_on_the_other_lanes(rule, variant):
    """A lane alone, in tiles of odd widths, among equal and among different lanes."""
    part = make(rule, variant)
    lanes, steps = (256, 30) if JIT else (19, 12)
    theta, hyper = numbers((DIM, lanes)), spread(part, lanes)
    mixed, mixed_state = end(part, theta, hyper, quadratic, steps)
    state_rows = mixed_state.shape[0] - part.workspace
    for lane in (0, 7, lanes - 1):
        for width in (1, 3, 17):
            same = np.repeat(hyper[:, [lane]], width, axis=1)
            others = numbers((DIM, width), seed=width)
            others[:, width // 2] = theta[:, lane]
            for shared in (0.0, 1.0):
                uniform, uniform_state = end(part, others, same, quadratic, steps, shared)
                assert (uniform[:, width // 2] == mixed[:, lane]).all()
                ours, theirs = uniform_state[:, width // 2], mixed_state[:, lane]
                assert (ours[:state_rows] == theirs[:state_rows]).all()
    for width in (5, 9):
        some, _ = end(part, theta[:, :width], hyper[:, :width], quadratic, steps)
        assert (some == mixed[:, :width]).all()


@pytest.mark.parametrize(("rule", "variant"), VARIANTS)
def test_equal_betas_with_unequal_history_keep_their_own_corrections(rule, variant):
    """After a schedule the betas may agree again while their products do not."""
    part = make(rule, variant)
    names = part.parameter_names()
    early = [n in ("beta1", "beta2", "rho", "beta", "momentum_decay") for n in names]

    def hyper(t):
        rows = defaults(part, 4)
        if t <= 5:
            rows[early] *= np.array([1.0, 0.9, 0.8, 0.7])
        return rows

    together, _ = end(part, np.ones((2, 4)), hyper, recorded, 12)
    for lane in range(4):
        alone, _ = end(
            part, np.ones((2, 1)), lambda t, k=lane: hyper(t)[:, [k]].copy(), recorded, 12
        )
        assert (alone[:, 0] == together[:, lane]).all()


@pytest.mark.parametrize(("rule", "variant"), VARIANTS)
def test_mirrored_start_gives_mirrored_bits(rule, variant):
    part = make(rule, variant)
    theta, hyper = numbers((DIM, 4)), spread(part, 4)
    there, _ = end(part, theta, hyper, quadratic, 20)
    back, _ = end(part, -theta, hyper, quadratic, 20)
    assert (there == -back).all()


SCALE_FREE = [
    (rule, variant)
    for rule, variant in VARIANTS
    if rule in ("AdaGrad", "RMSProp", "Adam", "AdamW", "AdaMax", "Nadam", "AMSGrad")
]


@pytest.mark.parametrize(("rule", "variant"), SCALE_FREE)
def test_without_epsilon_the_scale_of_the_loss_changes_no_bit(rule, variant):
    """Powers of two are exact, and m / sqrt(v) has no unit (V22, V67).

    For AdaGrad on a quadratic that is V19: curvature 1 and 1024 give the same path.
    """
    part = make(rule, variant, epsilon=0.0)
    theta = numbers((DIM, 3))
    one, _ = end(part, theta, defaults(part, 3), lambda x, t: x, 40)
    other, _ = end(part, theta, defaults(part, 3), lambda x, t: 1024.0 * x, 40)
    assert (one == other).all()
    assert np.isfinite(one).all()


# Closed forms (validation.md)


def test_v01_gradient_descent_on_a_quadratic():
    rate = np.array([[0.01, 0.5, 1.0, 1.5, 1.99, 2.01]])
    x, _ = end(make("GradientDescent"), np.ones((1, 6)), rate, lambda x, t: x, 50)
    # 50 products of (1 - h), each rounded twice.
    np.testing.assert_allclose(x[0], (1.0 - rate[0]) ** 50, rtol=1e-12)
    assert abs(x[0, 4]) < 1 < abs(x[0, 5])


def linear_recurrence(trace, determinant, first, steps):
    """Return x_t of x_{t+1} = trace x_t - determinant x_{t-1}, x_0 = 1, by its roots."""
    r1, r2 = np.roots([1.0, -trace, determinant]).astype(complex)
    a = (first - r2) / (r1 - r2)
    return (a * r1**steps + (1.0 - a) * r2**steps).real, max(abs(r1), abs(r2))


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("h", [0.01, 0.3, 1.05, 1.3, 2.5, 3.7, 3.9])
def test_v02_v04_momentum_and_nesterov_on_a_quadratic(h, beta):
    steps = 30
    hyper = {"learning_rate": h, "beta": beta}
    for part, trace, determinant in [
        (make("Momentum", **hyper), 1.0 + beta - h, beta),
        (make("Nesterov", **hyper), (1.0 + beta) * (1.0 - h), beta * (1.0 - h)),
    ]:
        x, _ = end(part, [[1.0]], defaults(part, 1), lambda x, t: x, steps)
        exact, modulus = linear_recurrence(trace, determinant, 1.0 - h, steps)
        # Rounding grows with the modulus of the larger root; the roots are good to 1e-15.
        assert abs(x[0, 0] - exact) < 1e-11 * max(1.0, modulus**steps)


@pytest.mark.parametrize(
    ("rule", "limit"),
    [("Momentum", lambda b: 2 * (1 + b)), ("Nesterov", lambda b: 2 * (1 + b) / (1 + 2 * b))],
)
def test_v02_v04_exact_stability_limit(rule, limit):
    beta = 0.5
    for factor, stable in ((0.99, True), (1.01, False)):
        part = make(rule, learning_rate=factor * limit(beta), beta=beta)
        x, _ = end(part, [[1.0]], defaults(part, 1), lambda x, t: x, 1500)
        assert (abs(x[0, 0]) < 1.0) == stable


def test_v06_equivalent_forms():
    theta, beta, rate = numbers((DIM, 1)), 0.9, 0.02
    inside = make("Momentum", learning_rate=rate, beta=beta)
    ema = make("Momentum", "ema", learning_rate=rate / (1.0 - beta), beta=beta)
    outside = make("Momentum", "lr_outside", learning_rate=rate, beta=beta)
    paths = [
        np.array([x.copy() for x, _ in run(part, theta, defaults(part, 1), quadratic, STEPS)])
        for part in (inside, ema, outside)
    ]
    for path in paths[1:]:
        np.testing.assert_allclose(path, paths[0], atol=1e-13)
    ahead = make("Nesterov", learning_rate=rate, beta=beta)
    torch = make("Nesterov", "torch", learning_rate=rate, beta=beta)
    pairs = zip(
        run(ahead, theta, defaults(ahead, 1), quadratic, STEPS),
        run(torch, theta, defaults(torch, 1), quadratic, STEPS),
        strict=True,
    )
    for (x, state), (y, _) in pairs:
        np.testing.assert_allclose(x - beta * state[:DIM], y, atol=1e-13)


def test_v19_adagrad_counts_of_steps_and_constant_slope():
    rates = np.array([0.1, 0.5, 1.0, 2.0, 4.0]) if JIT else np.array([0.5, 1.0, 2.0, 4.0])
    known = {0.1: 6300, 0.5: 309, 1.0: 91, 2.0: 27, 4.0: 1}
    part = make("AdaGrad", epsilon=0.0)
    hyper = defaults(part, len(rates))
    hyper[0] = rates
    first = np.zeros(len(rates), dtype=int)
    start = np.full((1, len(rates)), 4.0)
    for t, (x, _) in enumerate(run(part, start, hyper, lambda x, t: x, known[rates[0]] + 1), 1):
        first[(first == 0) & (np.abs(x[0]) <= 1e-6)] = t
    assert list(first) == [known[rate] for rate in rates]
    moves = slopes(make("AdaGrad", epsilon=0.0), 3.0, 200)
    np.testing.assert_allclose(moves, 1.0 / np.sqrt(np.arange(1, 201)), rtol=1e-12)


def test_v20_rmsprop_constant_slope_and_two_cycle():
    for rho in (0.9, 0.99):
        moves = slopes(make("RMSProp", rho=rho, epsilon=0.0), 2.0, 50)
        np.testing.assert_allclose(moves, 1.0 / np.sqrt(1.0 - rho ** np.arange(1, 51)), rtol=1e-12)
    part = make("RMSProp", learning_rate=0.01, rho=0.9, epsilon=0.0)
    x, _ = end(part, [[1.0]], defaults(part, 1), lambda x, t: x, 2000)
    # The cycle is approached geometrically and long since reached.
    assert abs(x[0, 0]) == pytest.approx(0.005, rel=1e-9)


def test_v21_adadelta_first_step_and_growth():
    part = make("AdaDelta", rho=0.95)
    move = slopes(part, 100.0, 1)[0]
    # epsilon is 2e-9 of the mean square below the root.
    assert move == pytest.approx(np.sqrt(1e-6 / 0.05), rel=1e-8)
    assert move == pytest.approx(4.472e-3, rel=1e-4)
    g, rho, epsilon = 0.5, 0.95, 1e-4
    part = make("AdaDelta", rho=rho, epsilon=epsilon)
    theta, state, loss = np.zeros((1, 1)), np.array([[g**2], [0.0]]), np.zeros(1)
    q = 1.0 - (1.0 - rho) * epsilon / (g**2 + epsilon)
    for t in range(1, 101):
        part.update_kernel()(theta, np.array([[g]]), loss, state, defaults(part, 1), t + 1)
        assert state[1, 0] == pytest.approx(g**2 * (1.0 - q**t), rel=1e-11)


def test_v22_adam_first_step_constant_slope_and_largest_step():
    for g in (1e-6, 1.0, -300.0):
        part = make("Adam", epsilon=1e-3)
        # 1 - beta2 is exact to 1e-16 of 1e-3, so the correction of step 1 is good to 1e-13.
        assert slopes(part, g, 1)[0] == pytest.approx(g / (abs(g) + 1e-3), rel=1e-12)
    np.testing.assert_allclose(slopes(make("Adam", epsilon=0.0), 7.0, 300), 1.0, rtol=1e-12)
    # On a growing gradient v never shrinks, so AMSGrad of the paper is Adam uncorrected.
    raw = slopes(make("AMSGrad", "paper", epsilon=0.0), 1.0, 30)
    assert raw[0] == pytest.approx(np.sqrt(10.0), rel=1e-12)
    assert np.argmax(raw) == 11
    assert raw.max() == pytest.approx(6.5685, abs=5e-5)
    b1, b2 = 0.9, 0.999
    part = make("AMSGrad", "paper", learning_rate=1.0, epsilon=0.0)
    grow = run(part, [[0.0]], defaults(part, 1), lambda x, t: np.full_like(x, (b2 / b1) ** t), 300)
    path = [x[0, 0] for x, _ in grow]
    bound = (1 - b1) / np.sqrt((1 - b2) * (1 - b1**2 / b2))
    assert bound == pytest.approx(7.2703, abs=5e-5)
    assert path[-2] - path[-1] == pytest.approx(bound, rel=1e-11)


def test_v27_amsgrad_variants_on_a_constant_slope():
    first = {"torch": 1.0, "paper": 3.162, "notes": 31.62, "optax": 1.0}
    for variant, step in first.items():
        part = make("AMSGrad", variant, epsilon=0.0)
        assert slopes(part, 1.0, 1)[0] == pytest.approx(step, rel=2e-4)
    notes = slopes(make("AMSGrad", "notes", epsilon=0.0), 1.0, 1000)
    assert notes.sum() - 1000 == pytest.approx(1124, abs=0.5)
    shown = {1: 31.6, 2: 22, 10: 10, 100: 3.2, 1000: 1.26}  # specification 2.10
    for t, step in shown.items():
        assert notes[t - 1] == pytest.approx(step, rel=0.02)
    paper = slopes(make("AMSGrad", "paper", epsilon=0.0), 1.0, 1000)
    for t, step in {1: 3.16, 2: 4.25, 10: 6.5, 100: 3.2, 1000: 1.26}.items():
        assert paper[t - 1] == pytest.approx(step, rel=0.02)


def test_v29_text_form_of_nadam_is_adam_in_the_end_and_rushes_no_step():
    def moves(part):
        path = [x.copy() for x, _ in run(part, np.zeros((1, 1)), defaults(part, 1), recorded, 400)]
        return np.diff(path, axis=0)[:, 0, 0] / defaults(part, 1)[0, 0]

    adam = moves(make("Adam", learning_rate=0.002))
    assert np.abs(moves(make("Nadam", "text")) - adam)[250:].max() < 1e-11
    assert np.abs(moves(make("Nadam", "ruder")) - adam)[250:].max() > 1e-2


FIRST_STEPS = [
    ("Adam", "epsilon_outside", {}, 1.0),
    ("AdaMax", "epsilon_in_max", {}, 1.0),
    ("AMSGrad", "torch", {}, 1.0),
    ("AMSGrad", "optax", {}, 1.0),
    ("AMSGrad", "paper", {}, 3.16),
    ("AMSGrad", "notes", {}, 31.6),
    ("RMSProp", "epsilon_outside", {"rho": 0.99}, 10.0),
    ("Momentum", "ema", {"beta": 0.9}, 0.1),
    ("Nadam", "text", {}, 1.0),
    ("Nadam", "ruder", {}, 1.9),
    ("Nadam", "constant", {}, 1.474),
    ("Nadam", "dozat", {"momentum_decay": 0.004}, 1.056),
    ("Nadam", "dozat", {"momentum_decay": 1.0}, 1.063),
]


@pytest.mark.parametrize(("rule", "variant", "parameters", "expected"), FIRST_STEPS)
def test_first_step_of_the_specification(rule, variant, parameters, expected):
    """Specification, sections 2.9, 2.10 and 9; half a unit in the last printed digit."""
    move = slopes(make(rule, variant, **parameters), 1.0, 1)[0]
    digits = len(str(expected).split(".")[1])
    assert move == pytest.approx(expected, abs=0.51 * 10.0**-digits)


def test_place_of_epsilon_in_rmsprop():
    """Specification 2.5: g = 1e-6, epsilon = 1e-8, rho = 0.9."""
    hyper = {"rho": 0.9, "epsilon": 1e-8}
    assert slopes(make("RMSProp", **hyper), 1e-6, 1)[0] == pytest.approx(3.07, abs=0.005)
    inside = slopes(make("RMSProp", "epsilon_inside", **hyper), 1e-6, 1)[0]
    assert inside == pytest.approx(0.01, abs=5e-5)


def test_nadam_weights_of_the_course_notes():
    """Specification 2.9: beta1 + (1 - beta1) / (1 - beta1^t) for a constant slope."""
    moves = slopes(make("Nadam", "ruder", epsilon=0.0), 1.0, 10)
    for t, weight in {1: 1.9, 2: 1.43, 3: 1.27, 5: 1.14, 10: 1.05}.items():
        assert moves[t - 1] == pytest.approx(weight, abs=0.006)


# Edge cases (specification, section 9)


@pytest.mark.parametrize(("rule", "variant"), VARIANTS)
def test_zero_gradient_moves_nothing(rule, variant):
    part = make(rule, variant)
    hyper = defaults(part, 3)
    if "weight_decay" in part.parameter_names():
        hyper[part.parameter_names().index("weight_decay")] = 0.0
    theta = numbers((DIM, 3))
    final, _ = end(part, theta, hyper, lambda x, t: 0.0 * x, 10)
    assert (final == theta).all()


@pytest.mark.parametrize("rule", ["AdaMax", "RMSProp", "Adam", "AMSGrad"])
def test_zero_first_gradient_without_epsilon_is_nan(rule):
    part = make(rule, epsilon=0.0)
    final, _ = end(part, np.ones((1, 2)), defaults(part, 2), lambda x, t: 0.0 * x, 1)
    assert np.isnan(final).all()


def test_adadelta_without_epsilon_never_moves():
    """Specification 2.4: E of the steps starts at 0, so the printed rule stands still."""
    part = make("AdaDelta", epsilon=0.0)
    final, _ = end(part, np.ones((1, 2)), defaults(part, 2), lambda x, t: x, 20)
    assert (final == 1.0).all()


def test_centered_rmsprop_with_a_constant_gradient_stays_finite():
    """v - m^2 is 0 up to rounding after a while; torch gives NaN where it is negative."""
    part = make("RMSProp", "centered", rho=0.9)
    g = np.abs(numbers((1, 200 if JIT else 20), seed=3))
    lowest = np.inf
    for x, state in run(part, np.zeros_like(g), defaults(part, g.shape[1]), lambda x, t: g, 400):
        assert np.isfinite(x).all()
        lowest = min(lowest, (state[0] - state[1] ** 2).min())
    assert lowest < 0.0


@pytest.mark.parametrize(("rule", "variant"), VARIANTS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_broken_lane_breaks_no_other(rule, variant, bad):
    part = make(rule, variant)
    theta, hyper = numbers((DIM, 9)), defaults(part, 9)

    def broken(x, t):
        g = quadratic(x, t)
        g[1, 4] = bad if t == 3 else g[1, 4]
        return g

    sound, _ = end(part, theta, hyper, quadratic, 8)
    with np.errstate(all="ignore"):
        final, _ = end(part, theta, hyper, broken, 8)
    assert not np.isfinite(final[1, 4])
    others = np.arange(9) != 4
    assert (final[:, others] == sound[:, others]).all()


@pytest.mark.parametrize("rule", ["Adam", "AdamW", "AdaMax", "Nadam", "AMSGrad"])
def test_powers_vanish_without_subnormal_numbers(rule):
    part = make(rule, beta1=0.5, beta2=0.6)
    steps = 1200  # 0.5^1200 and 0.6^1200 are below the smallest normal number, 2.2e-308
    for _, state in run(part, np.ones((1, 2)), defaults(part, 2), lambda x, t: x + 1.0, steps):
        powers = state[part.vectors : part.vectors + part.scalars]
        assert ((powers == 0.0) | (powers > 1e-200)).all()
    assert (powers == 0.0).all()


# The parts


@pytest.mark.parametrize("name", RULES)
def test_part_prints_and_round_trips(name):
    part = RULES[name](learning_rate=[0.1, 0.2])
    assert eval(repr(part), {name: RULES[name]}) == part
    assert RULES[name].from_table(part.to_table()) == part
    assert pickle.loads(pickle.dumps(part)) == part
    assert part.axes() == {"learning_rate": (0.1, 0.2)}


@pytest.mark.parametrize("name", RULES)
def test_bad_values_are_refused(name):
    with pytest.raises(InvalidValueError, match=rf"{name}.learning_rate: got -0.1"):
        RULES[name](learning_rate=-0.1)
    for parameter in set(RULES[name].parameter_names()) - {"learning_rate"}:
        with pytest.raises(InvalidValueError, match=parameter):
            RULES[name](**{parameter: float("nan")})
        with pytest.raises(InvalidValueError, match=parameter):
            RULES[name](**{parameter: -1.5})
    if len(RULES[name].kernels) > 1:
        with pytest.raises(UnknownNameError, match="Known"):
            RULES[name](variant="unheard_of")


def test_dampening_belongs_to_one_variant():
    assert make("Momentum", "lr_outside", dampening=0.5).dampening == 0.5
    for variant in ("lr_inside", "ema"):
        with pytest.raises(InvalidValueError, match="lr_outside"):
            make("Momentum", variant, dampening=[0.0, 0.5])
        make("Momentum", variant, dampening=0.0)


def test_momentum_decay_belongs_to_one_variant():
    assert make("Nadam", "dozat", momentum_decay=[0.0, 0.5]).momentum_decay == (0.0, 0.5)
    for variant in ("ruder", "constant", "text"):
        with pytest.raises(InvalidValueError, match=r"Nadam\.momentum_decay.*dozat"):
            make("Nadam", variant, momentum_decay=[0.0, 0.5])
        make("Nadam", variant, momentum_decay=0.004)


def test_adams_first_step_is_shorter_where_the_gradient_is_near_epsilon():
    ds = fd.simulate(
        fd.landscapes.Bowl(dim=1),
        fd.optimizers.Adam(learning_rate=0.1, epsilon=1e-8),
        starts=[[1.0], [1e-8]],
        steps=1,
    )
    slopes = abs(fd.landscapes.Bowl(dim=1).gradient([[1.0], [1e-8]])[:, 0])
    moved = np.array([1.0, 1e-8]) - ds.position.values.reshape(2, -1)[:, -1]
    np.testing.assert_allclose(moved, 0.1 * slopes / (slopes + 1e-8), rtol=1e-9)


def test_defaults_are_those_of_torch():
    """Specification, section 11."""
    assert make("Adam").base_values() == {
        "learning_rate": 0.001, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "weight_decay": 0.0,
    }  # fmt: skip
    assert make("AdamW").weight_decay == 0.01
    for rule in ("GradientDescent", "Momentum", "Nesterov"):
        assert make(rule).learning_rate == 0.001
    assert (make("AdaGrad").learning_rate, make("AdaGrad").epsilon) == (0.01, 1e-10)
    assert make("AdaDelta").base_values() == {"learning_rate": 1.0, "rho": 0.9, "epsilon": 1e-6}
    assert make("RMSProp").base_values() == {"learning_rate": 0.01, "rho": 0.99, "epsilon": 1e-8}
    assert (make("AdaMax").learning_rate, make("Nadam").learning_rate) == (0.002, 0.002)
    assert make("Nadam").momentum_decay == 0.004


@pytest.mark.parametrize("name", RULES)
def test_docstring_is_complete_and_its_example_runs(name):
    rule = RULES[name]
    text = inspect.getdoc(rule)
    for part in (".. math::", "Parameters\n---", "References\n---", "Examples\n---"):
        assert part in text
    for parameter in rule.parameter_names():
        assert f"\n{parameter} : " in text
    for variant in rule.kernels:
        assert len(rule.kernels) == 1 or f"``{variant}``" in text
        assert rule.kernels[variant].__doc__
    module = importlib.import_module(rule.__module__)
    results = doctest.testmod(module)
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize("name", RULES)
def test_kernels_fit_on_a_screen_and_use_no_power(name):
    kernels = itertools.chain(RULES[name].kernels.values(), RULES[name].queries.values())
    for kernel in kernels:
        source = inspect.getsource(kernel.function)
        assert len(source.splitlines()) <= 40
        assert "**" not in source
