"""Schedules against the formulas of torch and optax, step by step."""

from __future__ import annotations

import doctest
import math
import pickle
from fractions import Fraction

import numpy as np
import pytest

from fastdescent import parts, schedules
from fastdescent.contracts import JIT
from fastdescent.errors import InvalidValueError, UnknownNameError
from fastdescent.optimizers import GradientDescent
from fastdescent.schedules import (
    Constant,
    Cosine,
    CosineRestarts,
    Cyclical,
    Exponential,
    Function,
    InverseTime,
    LinearWarmup,
    OneCycle,
    Schedule,
    Step,
)

STEPS = 400 if JIT else 60
T = np.arange(STEPS)

EXAMPLES = [
    Constant(0.1),
    Step([0.1, 0.2], every=7, gamma=0.3),
    Exponential(0.1, gamma=0.97),
    InverseTime(0.1, decay=0.02),
    Cosine(0.1, steps=40, final=0.05),
    CosineRestarts(0.1, period=5, multiplier=3, final=0.1),
    Cyclical(0.1, up=4, down=9, lowest=0.1, mode="exp_range", gamma=0.99),
    OneCycle(0.1, steps=50, anneal="linear"),
    LinearWarmup([0.1, 0.3], steps=8, start=0.2, then=Cosine([0.1, 0.3], steps=20)),
]


# Naive twins: torch's and optax's own scalar formulas, in the wording of their sources.


def torch_step(t, every, gamma):
    return gamma ** (t // every)


def torch_warm_restarts(t, T_0, T_mult, eta_min):  # the loop of CosineAnnealingWarmRestarts.step
    T_cur, T_i = 0, T_0
    for _ in range(t):
        T_cur += 1
        if T_cur >= T_i:
            T_cur -= T_i
            T_i *= T_mult
    return eta_min + (1.0 - eta_min) * (1 + math.cos(math.pi * T_cur / T_i)) / 2


def torch_cyclic(t, low, high, up, down, mode, gamma):  # CyclicLR.get_lr
    total = float(up + down)
    ratio = up / total
    cycle = math.floor(1 + t / total)
    x = 1.0 + t / total - cycle
    scale = x / ratio if x <= ratio else (x - 1) / (ratio - 1)
    height = (high - low) * scale
    factor = {"triangular": 1.0, "triangular2": 1 / 2.0 ** (cycle - 1), "exp_range": gamma**t}
    return low + height * factor[mode]


def torch_one_cycle(t, total, pct, div, final_div, linear):  # OneCycleLR.get_lr, two phases
    initial = 1.0 / div
    lowest = initial / final_div
    phases = [(pct * total - 1, initial, 1.0), (total - 1, 1.0, lowest)]
    start_step = 0.0
    for i, (end_step, start, end) in enumerate(phases):
        if t <= end_step or i == 1:
            pct_done = (t - start_step) / (end_step - start_step)
            if linear:
                return (end - start) * pct_done + start
            return end + (start - end) / 2.0 * (math.cos(math.pi * pct_done) + 1)
        start_step = end_step
    return None


def optax_cosine(t, decay_steps, alpha):
    cosine = 0.5 * (1 + math.cos(math.pi * min(t, decay_steps) / decay_steps))
    return (1 - alpha) * cosine + alpha


def twin(function, *arguments):
    return np.array([function(t, *arguments) for t in T.tolist()])


# The twins round their cosines and quotients, of size 1, a handful of times.
ROUNDING = 1e-15


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Constant(2.0), np.ones(STEPS)),
        (Step(2.0, every=7, gamma=0.3), twin(torch_step, 7, 0.3)),
        (InverseTime(2.0, decay=0.1), twin(lambda t: 1 / (1 + 0.1 * t))),
        (Cosine(2.0, steps=37), twin(optax_cosine, 37, 0.0)),
        (Cosine(2.0, steps=50, final=0.1), twin(optax_cosine, 50, 0.1)),
        (CosineRestarts(2.0, period=7), twin(torch_warm_restarts, 7, 1, 0.0)),
        (CosineRestarts(2.0, 3, 2, 0.2), twin(torch_warm_restarts, 3, 2, 0.2)),
        (CosineRestarts(2.0, 1, 3), twin(torch_warm_restarts, 1, 3, 0.0)),
    ],
    ids=lambda value: repr(value) if isinstance(value, Schedule) else "",
)
def test_equals_the_library_formula_at_every_step(schedule, expected):
    np.testing.assert_allclose(schedule.factor(T), expected, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("mode", ["triangular", "triangular2", "exp_range"])
@pytest.mark.parametrize(("up", "down"), [(4, 4), (5, 8), (1, 1), (9, 2)])
def test_cyclical_equals_torch(mode, up, down):
    schedule = Cyclical(1.0, up, down, lowest=0.1, highest=1.5, mode=mode, gamma=0.99)
    expected = twin(torch_cyclic, 0.1, 1.5, up, down, mode, 0.99)
    # Torch's x = 1 + t / total - cycle loses the ulps of t / total, up to 200 here, and
    # divides what is left by as little as 1/11.
    np.testing.assert_allclose(schedule.factor(T), expected, rtol=0, atol=1e-12)


def test_cyclical_goes_down_as_fast_as_up_by_default():
    assert np.array_equal(Cyclical(1.0, 6).factor(T), Cyclical(1.0, 6, 6).factor(T))


def test_cyclical_momentum_is_torchs_mirror_image():
    # Torch: momentum = max - (max - min) * scale, beside a learning rate min + (max - min) * scale.
    rate = Cyclical(1.0, up=5, down=3, lowest=0.8, highest=0.9).factor(T)
    momentum = Cyclical(1.0, up=5, down=3, lowest=0.9, highest=0.8).factor(T)
    np.testing.assert_allclose(rate + momentum, 1.7, rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("anneal", ["cosine", "linear"])
@pytest.mark.parametrize("peak", [0.3, 0.25, 0.5, 0.9])
def test_one_cycle_equals_torch_and_then_holds(anneal, peak):
    total = STEPS - 10
    schedule = OneCycle(1.0, total, peak, 1 / 20, 1 / 2000, anneal)
    expected = twin(torch_one_cycle, total, peak, 20.0, 100.0, anneal == "linear")
    factor = schedule.factor(T)
    np.testing.assert_allclose(factor[:total], expected[:total], rtol=0, atol=ROUNDING)
    assert np.array_equal(factor[total - 1 :], np.full(11, 1 / 2000))


def test_one_cycle_defaults_are_torchs():
    expected = twin(torch_one_cycle, STEPS, 0.3, 25.0, 1e4, False)
    np.testing.assert_allclose(OneCycle(1.0, STEPS).factor(T), expected, rtol=0, atol=ROUNDING)


def test_warmup_equals_torch_linear_lr():
    schedule = LinearWarmup(1.0, steps=17, start=1 / 3)
    expected = twin(lambda t: 1 / 3 + (1 - 1 / 3) * min(t, 17) / 17)
    np.testing.assert_allclose(schedule.factor(T), expected, rtol=0, atol=ROUNDING)


def test_warmup_then_cosine_equals_optax():
    # optax.warmup_cosine_decay_schedule joins linear and cosine; decay_steps is the total.
    warmup, total, alpha = 10, 45, 0.1
    schedule = LinearWarmup(0.3, warmup, then=Cosine(0.3, total - warmup, final=alpha))

    def expected(t):
        return t / warmup if t < warmup else optax_cosine(t - warmup, total - warmup, alpha)

    np.testing.assert_allclose(schedule.factor(T), twin(expected), rtol=0, atol=ROUNDING)


def test_optax_itself_where_it_is_installed():
    optax = pytest.importorskip("optax")
    joined = optax.warmup_cosine_decay_schedule(0.0, 1.0, 10, 45, 0.1)
    schedule = LinearWarmup(1.0, 10, then=Cosine(1.0, 35, final=0.1))
    expected = [float(joined(t)) for t in range(0, STEPS, 7)]
    # Outside its 64-bit mode, which is global, JAX computes in float32.
    np.testing.assert_allclose(schedule.factor(T[::7]), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 0.97, 0.3, 1.0001, 1.5, 0.999999999, math.pi])
def test_powers_are_correctly_rounded(gamma):
    # Exact rational powers, rounded once by Python's division of integers.
    exponents = np.array([0, 1, 2, 3, 7, 10, 31, 64, 100, 333, 600])
    expected = [float(Fraction(gamma) ** n) for n in exponents.tolist()]
    assert Exponential(1.0, gamma=gamma).factor(exponents).tolist() == expected


def test_powers_underflow_gradually_and_far_exponents_cost_nothing():
    factor = Exponential(1.0, gamma=0.5).factor([1074, 1075, 10**9, 2**62])
    assert factor.tolist() == [5e-324, 0.0, 0.0, 0.0]
    # Relative error of a pair after 30 squarings: far below an ulp of the result.
    gamma = 1.0 - 2.0**-30
    exact = math.exp(10**9 * math.log1p(-(2.0**-30)))
    assert Exponential(1.0, gamma=gamma).factor([10**9])[0] == pytest.approx(exact, rel=1e-15)


def test_an_overflowing_factor_is_one_error():
    with pytest.raises(InvalidValueError, match=r"Exponential\.factor: got inf.*t = 1024;"):
        Exponential(1.0, gamma=2.0).factor([1023, 1024, 1025])


def test_restarts_are_exact_however_late():
    # Period 3 doubling: restart i is at 3 (2^i - 1), where the factor is exactly 1.
    starts = np.array([3 * (2**i - 1) for i in range(40)])
    assert CosineRestarts(1.0, 3, 2).factor(starts).tolist() == [1.0] * 40
    before = CosineRestarts(1.0, 3, 2).factor(starts[1:] - 1)
    lengths = 3.0 * 2.0 ** np.arange(39)
    # One step before a restart: sin(pi / (2 T_i))^2, with full relative accuracy.
    np.testing.assert_allclose(before, np.sin(np.pi / 2 / lengths) ** 2, rtol=1e-14)


def test_ends_are_exact():
    assert Cosine(1.0, steps=1000, final=0.125).factor([0, 1000, 5000]).tolist() == [
        1.0,
        0.125,
        0.125,
    ]
    factor = Cosine(1.0, steps=10**6).factor([10**6 - 1])[0]
    # (1 + cos(pi (1 - x))) / 2 computed literally has no correct digit left but four.
    assert factor == pytest.approx(math.sin(math.pi / 2e6) ** 2, rel=1e-14)


@pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)
def test_factor_is_pointwise(schedule):
    whole = schedule.factor(T)
    assert whole.dtype == np.float64
    assert whole.shape == T.shape
    scattered = T.reshape(2, -1)[:, ::-1]
    assert np.array_equal(schedule.factor(scattered), whole[scattered])
    assert np.array_equal([schedule.factor(int(t)) for t in T[::9]], whole[::9])
    assert schedule.factor(T[:0]).shape == (0,)


def test_function_is_called_with_each_step():
    calls = []

    def halves(t):
        calls.append(t)
        return 0.5**t

    assert Function(0.1, halves).factor(T[:5]).tolist() == [1.0, 0.5, 0.25, 0.125, 0.0625]
    assert calls == [0, 1, 2, 3, 4]
    assert all(type(t) is int for t in calls)


def test_function_refuses_toml_with_one_clear_error():
    schedule = Function(0.1, math.sqrt)
    with pytest.raises(InvalidValueError, match=r"^Function\.function: got <built-in.*TOML"):
        schedule.to_table()
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert schedule == Function(0.1, math.sqrt)


@pytest.mark.parametrize(("value", "shown"), [("a", "'a'"), (None, "None"), ([1, 2], r"\[1, 2\]")])
def test_function_result_must_be_a_number(value, shown):
    with pytest.raises(InvalidValueError, match=rf"Function\.function: got {shown}.*t = 3"):
        Function(0.1, lambda t: value).factor([3])


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_function_result_must_be_finite(value):
    with pytest.raises(InvalidValueError, match=r"Function\.factor.*finite.*t = 5"):
        Function(0.1, lambda t: value if t == 5 else 1.0).factor(np.arange(10))


def test_examples_cover_the_registry():
    named = {type(schedule).__name__ for schedule in EXAMPLES}
    assert named == set(parts.names("schedule")) - {"Function"}


@pytest.mark.parametrize("schedule", EXAMPLES, ids=repr)
def test_round_trips(schedule):
    assert Schedule.from_table(schedule.to_table()) == schedule
    assert pickle.loads(pickle.dumps(schedule)) == schedule
    assert eval(repr(schedule), vars(schedules)) == schedule
    assert hash(schedule) == hash(pickle.loads(pickle.dumps(schedule)))


def test_schedules_sit_in_a_rule():
    rule = GradientDescent(learning_rate=LinearWarmup([0.1, 0.2], 5, then=Cosine([0.1, 0.2], 9)))
    assert rule.axes() == {"learning_rate": (0.1, 0.2)}
    assert GradientDescent.from_table(rule.to_table()) == rule
    with pytest.raises(InvalidValueError, match=r"learning_rate"):
        GradientDescent(learning_rate=Constant(-1.0))


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: Constant("fast"), "Constant.base"),
        (lambda: Constant([]), "Constant.base"),
        (lambda: Constant(Constant(0.1)), "Constant.base"),
        (lambda: Step(0.1, every=0), "Step.every"),
        (lambda: Step(0.1, every=2.5), "Step.every"),
        (lambda: Step(0.1, every=5, gamma=0.0), "Step.gamma"),
        (lambda: Exponential(0.1, gamma=-0.5), "Exponential.gamma"),
        (lambda: InverseTime(0.1, decay=-1.0), "InverseTime.decay"),
        (lambda: Cosine(0.1, steps=0), "Cosine.steps"),
        (lambda: Cosine(0.1, steps=10, final=math.nan), "Cosine.final"),
        (lambda: CosineRestarts(0.1, period=0), "CosineRestarts.period"),
        (lambda: CosineRestarts(0.1, period=5, multiplier=1.5), "CosineRestarts.multiplier"),
        (lambda: Cyclical(0.1, up=0), "Cyclical.up"),
        (lambda: Cyclical(0.1, up=5, down=0), "Cyclical.down"),
        (lambda: Cyclical(0.1, up=5, down=2.0), "Cyclical.down"),
        (lambda: Cyclical(0.1, up=5, gamma=0.0), "Cyclical.gamma"),
        (lambda: OneCycle(0.1, steps=2), "OneCycle.steps"),
        (lambda: OneCycle(0.1, steps=100, peak=1.0), "OneCycle.peak"),
        (lambda: OneCycle(0.1, steps=100, peak=0.01), "OneCycle.peak"),
        (lambda: LinearWarmup(0.1, steps=-1), "LinearWarmup.steps"),
        (lambda: LinearWarmup(0.1, steps=5, then=0.1), "LinearWarmup.then"),
        (lambda: LinearWarmup(0.1, steps=5, then=Cosine(0.2, steps=5)), "LinearWarmup.then"),
        (lambda: Function(0.1, function=3), "Function.function"),
        (lambda: Constant(0.1).factor([-1]), "Constant.factor"),
        (lambda: Constant(0.1).factor([0.5]), "Constant.factor"),
    ],
)
def test_wrong_values_are_one_error_that_names_the_part(make, part):
    with pytest.raises(InvalidValueError) as caught:
        make()
    assert str(caught.value).startswith(f"{part}: got ")


@pytest.mark.parametrize(
    "make",
    [
        lambda: Cyclical(0.1, up=5, mode="triangle"),
        lambda: OneCycle(0.1, steps=50, anneal="cosin"),
        lambda: Schedule.from_table({"name": "Cosin", "base": 0.1, "steps": 5}),
        lambda: Schedule.from_table({"name": "Cosine", "base": 0.1, "step": 5}),
    ],
)
def test_unknown_names_offer_the_nearest(make):
    with pytest.raises(UnknownNameError, match="did you mean"):
        make()


def test_documentation_runs():
    result = doctest.testmod(schedules)
    assert result.failed == 0
    assert result.attempted >= 13
