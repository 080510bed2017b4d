"""Interval arithmetic: every exact value is inside, bounds are tight, zeros are isolated."""

from __future__ import annotations

import doctest
import math
from fractions import Fraction
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from landscape_cases import cases

import fastdescent as fd
from fastdescent import landscapes
from fastdescent.contracts import JIT
from fastdescent.geometry import intervals, isolation
from fastdescent.geometry.intervals import BOUNDS, Enclosure, Interval, traced
from fastdescent.geometry.isolation import Derivatives, halved, isolate
from fastdescent.symbolic.expression import compare, coordinate, make

EPSILON = np.finfo(float).eps
#: Rounding of differences in 100 digits, far below what a double can show.
SLACK = mpmath.mpf(10) ** -50
# Enough digits for the sine of 1e300.
DIGITS = 420
quick = settings(max_examples=150 if JIT else 60, deadline=None)

ordinary = st.floats(-1e3, 1e3)
floats = st.one_of(ordinary, st.floats(-1e-3, 1e-3), st.floats(-1e300, 1e300))


def ends(*values):
    return Interval.of(min(values), max(values))


@st.composite
def with_point(draw, values=floats):
    """An interval and a number in it, often one of its ends."""
    a, b = draw(values), draw(values)
    low, high = min(a, b), max(a, b)
    inside = draw(st.one_of(st.sampled_from([low, high]), st.floats(low, high)))
    return Interval.of(low, high), inside


def test_documentation():
    for module in (intervals, isolation):
        assert doctest.testmod(module).failed == 0


def holds(bounds, value):
    """Whether an exact value is inside, compared without rounding."""
    return mpmath.mpf(float(bounds.lower)) <= value <= mpmath.mpf(float(bounds.upper))


EXACT = {
    "negate": lambda x: -x,
    "abs": abs,
    "sqrt": mpmath.sqrt,
    "half_inverse": lambda x: 1 / (2 * x) if x else mpmath.mpf(0),
    "exp": mpmath.exp,
    "log": mpmath.log,
    "sin": mpmath.sin,
    "cos": mpmath.cos,
    "tanh": mpmath.tanh,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)),
    "sign": lambda x: mpmath.mpf(mpmath.sign(x)),
}
#: Where a function is defined, and where mpmath can follow.
DEFINED = {
    "sqrt": lambda x: x >= 0,
    "half_inverse": lambda x: x >= 0,
    "log": lambda x: x > 0,
    "exp": lambda x: abs(x) < 1e4,
    "sigmoid": lambda x: abs(x) < 1e4,
    "tanh": lambda x: abs(x) < 1e4,
}


@pytest.mark.parametrize("name", EXACT)
def test_functions_of_one_number_hold_the_exact_value(name):
    @quick
    @given(with_point())
    def check(case):
        x, point = case
        if DEFINED.get(name, lambda _: True)(point):
            with mpmath.workdps(DIGITS):
                assert holds(BOUNDS[name](x), EXACT[name](mpmath.mpf(point)))

    check()


@pytest.mark.parametrize("exponent", [2.0, 3.0, 4.0, 7.0, 20.0, 1.5, 2.5])
def test_powers_hold_the_exact_value(exponent):
    @quick
    @given(with_point())
    def check(case):
        x, point = case
        if point >= 0 or exponent.is_integer():
            with mpmath.workdps(DIGITS):
                with np.errstate(over="ignore"):
                    bounds = x**exponent
                assert holds(bounds, mpmath.mpf(point) ** mpmath.mpf(exponent))

    check()


@quick
@given(with_point(), with_point())
def test_arithmetic_holds_the_exact_value(first, second):
    (x, a), (y, b) = first, second
    exact = {
        "+": Fraction(a) + Fraction(b),
        "-": Fraction(a) - Fraction(b),
        "*": Fraction(a) * Fraction(b),
        "maximum": max(Fraction(a), Fraction(b)),
        "minimum": min(Fraction(a), Fraction(b)),
    }
    if b:
        exact["/"] = Fraction(a) / Fraction(b)
    for operation, value in exact.items():
        with np.errstate(all="ignore"):
            bounds = BOUNDS[operation](x, y)
        low, high = float(bounds.lower), float(bounds.upper)
        assert low == -math.inf or Fraction(low) <= value
        assert high == math.inf or value <= Fraction(high)


@pytest.mark.parametrize("name", sorted(set(EXACT) - {"sign", "half_inverse"}))
def test_bounds_of_single_points_are_a_few_units_wide(name):
    # Slack of 16 units on each side, one more for the outward step, and the function's own error.
    for point in (0.3, 1.7, 5.0):
        bounds = BOUNDS[name](Interval.of(point))
        exact = float(EXACT[name](mpmath.mpf(point)))
        assert bounds.upper - bounds.lower <= 48 * EPSILON * abs(exact)


@pytest.mark.parametrize("name", ["sin", "cos", "tanh", "exp", "sigmoid"])
def test_bounds_are_those_of_a_dense_sample(name):
    # The range of 2001 points falls short of the true one by at most |f''| h^2 / 8 at an inner
    # extreme, with h = 6 / 2000, and by nothing at an end; |f''| <= e^6 = 404 for exp.
    rng = np.random.default_rng(0)
    low = rng.uniform(-7.0, 5.0, 60)
    high = np.minimum(low + rng.uniform(0.0, 6.0, 60), 6.0)
    bounds = BOUNDS[name](Interval.of(low, high))
    numpy = {"sigmoid": lambda x: 1 / (1 + np.exp(-x))}
    sample = numpy.get(name, getattr(np, name, None))(np.linspace(low, high, 2001))
    short = 1.2e-6
    slack = 1e-13 * (1.0 + np.abs(sample).max(axis=0))
    assert (bounds.lower <= sample.min(axis=0)).all()
    assert (bounds.upper >= sample.max(axis=0)).all()
    assert (sample.min(axis=0) - bounds.lower <= short + slack).all()
    assert (bounds.upper - sample.max(axis=0) <= short + slack).all()


def test_special_intervals():
    whole = Interval.of(1.0, 2.0) / Interval.of(-1.0, 1.0)
    assert (whole.lower, whole.upper) == (-math.inf, math.inf)
    nothing = BOUNDS["sqrt"](Interval.of(-2.0, -1.0))
    assert nothing.empty
    assert (nothing + Interval.of(1.0)).empty
    assert (nothing * Interval.of(1.0, 2.0)).empty
    zero = Interval.of(0.0) * whole
    assert zero.contains(0.0)
    assert zero.magnitude < 1e-300
    assert BOUNDS["log"](Interval.of(-1.0, 1.0)).lower == -math.inf
    assert BOUNDS["exp"](Interval.of(800.0)).upper == math.inf
    assert BOUNDS["exp"](Interval.of(800.0)).lower == np.finfo(float).max
    assert BOUNDS["sigmoid"](Interval.of(-710.0)).upper > 4.47e-309  # exp(710) is infinite
    assert BOUNDS["cos"](Interval.of(1e17, 1e17 + 64.0)).lower == -1.0


@quick
@given(
    with_point(ordinary), with_point(ordinary), st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
)
def test_comparisons_and_branches_hold_what_a_point_takes(first, second, relation):
    (x, a), (y, b) = first, second
    truth = {
        "<": a < b,
        "<=": a <= b,
        ">": a > b,
        ">=": a >= b,
        "==": a == b,
        "!=": a != b,
    }[relation]
    u, v = coordinate(0), coordinate(1)
    branch = make("where", compare(relation, u, v), u, v)
    bounds, smooth = Enclosure([branch], {})(
        [[float(x.lower), float(y.lower)]], [[float(x.upper), float(y.upper)]]
    )
    assert bounds.contains(a if truth else b)[0, 0]
    if not smooth[0]:  # undecided only where both are possible
        assert max(x.lower, y.lower) <= min(x.upper, y.upper)
    logic = make("where", make("not", compare(relation, u, v)), v, u)
    same, _ = Enclosure([logic], {})(
        [[float(x.lower), float(y.lower)]], [[float(x.upper), float(y.upper)]]
    )
    assert (same.lower, same.upper) == (bounds.lower, bounds.upper)


def test_conditions_combine():
    u = coordinate(0)
    near = make("and", compare(">", u, make("number", payload=-1.0)), compare("<", u, u * 0 + 1))
    far = make("or", compare("<", u, u * 0 - 1), compare(">", u, u * 0 + 1))
    one, two = make("number", payload=1.0), make("number", payload=2.0)
    bounds, smooth = Enclosure([make("where", near, one, two), make("where", far, two, one)], {})(
        [[-0.5], [2.0], [-3.0], [0.5]], [[0.5], [3.0], [-2.0], [1.5]]
    )
    assert bounds.lower.tolist() == [[1.0, 2.0, 2.0, 1.0]] * 2
    assert bounds.upper.tolist() == [[1.0, 2.0, 2.0, 2.0]] * 2
    assert smooth.tolist() == [True, True, True, False]


@pytest.mark.parametrize(
    ("text", "box"),
    [
        ("abs(x)", (-1.0, 1.0)),
        ("sqrt(x)", (0.0, 1.0)),
        ("log(x)", (-1.0, 1.0)),
        ("1/x", (-1.0, 1.0)),
        ("x**2.5", (0.0, 1.0)),
        ("max(x, 0.5)", (0.0, 1.0)),
        ("where(x < 0.5, x, 1 - x)", (0.0, 1.0)),
        ("sign(x)", (0.0, 1.0)),
    ],
)
def test_corners_jumps_and_poles_are_reported(text, box):
    found = traced(fd.landscape(text))
    enclosure = Enclosure([found.value], found.constants)
    assert not enclosure([[box[0]]], [[box[1]]])[1][0]
    assert enclosure([[0.6]], [[0.7]])[1][0]


def mean_slopes(landscape, corner, h):
    """Difference quotients of the formula in 60 digits, for all pairs of coordinates.

    By the mean value theorem each is a first or second derivative somewhere in the box between
    the corner and the corner + 2 h: no code is shared with what is tested.
    """

    def f(*moved):
        x = [mpmath.mpf(c) + (mpmath.mpf(h[i]) * moved.count(i)) for i, c in enumerate(corner)]
        return mpmath.mpf(landscape.formula(x, mpmath))

    base, dim = f(), len(corner)
    single = [f(i) for i in range(dim)]
    first = [(single[i] - base) / mpmath.mpf(h[i]) for i in range(dim)]
    second = {
        (i, j): (f(i, j) - single[i] - single[j] + base) / (mpmath.mpf(h[i]) * mpmath.mpf(h[j]))
        for i in range(dim)
        for j in range(i, dim)
    }
    return first, second


CATALOGUE = [landscape for landscape in cases() if landscape.dim <= 3]


@pytest.mark.parametrize("landscape", CATALOGUE, ids=repr)
def test_derivatives_of_the_catalogue_hold_mean_slopes(landscape):
    found = traced(landscape)
    enclosure = Derivatives(found, value=True)
    rng = np.random.default_rng(1)
    low, high = landscape.domain.T
    for share in (1e-1, 1e-3, 1e-6, 1e-12):
        h = share * (high - low)
        corner = rng.uniform(low, high - 2 * h)
        # The far corner, as doubles: beyond it by a rounding.
        far = np.nextafter(corner + 2 * h, np.inf)
        slopes, hessian, smooth = enclosure.both(corner[np.newaxis], far[np.newaxis])
        if not smooth[0]:
            continue
        # 100 digits, of which differences over h^2 > 1e-24 cost up to 40.
        with mpmath.workdps(100):
            first, second = mean_slopes(landscape, corner.tolist(), h.tolist())
            for i, value in enumerate(first):
                assert slopes.lower[0, i] - SLACK <= value <= slopes.upper[0, i] + SLACK
            for (i, j), value in second.items():
                assert hessian.lower[0, i, j] - SLACK <= value <= hessian.upper[0, i, j] + SLACK


@pytest.mark.parametrize("landscape", CATALOGUE, ids=repr)
def test_bounds_at_points_agree_with_the_kernels(landscape):
    # Both round a few dozen times; terms cancel, so the largest entry in the domain is the scale,
    # and powers of up to 20 and second derivatives multiply errors by some hundreds.
    enclosure = Derivatives(traced(landscape))
    low, high = landscape.domain.T
    x = np.random.default_rng(2).uniform(low, high, (5, landscape.dim))
    slopes, hessian, _ = enclosure.both(x, x)
    for bounds, exact in ((slopes, landscape.gradient(x)), (hessian, landscape.hessian(x))):
        tolerance = 1e-11 * np.abs(exact).max() + 1e-300
        assert (bounds.upper - bounds.lower).max() <= tolerance
        assert np.abs(bounds.middle - exact).max() <= tolerance


def test_constants_are_not_rounded_together():
    # 0.1 * 3 * x has the slope 0.1 * 3 in real numbers, which is no double.
    found = traced(fd.landscape("0.1*(3*x)"))
    bounds, _ = Enclosure(found.gradient, found.constants)([[0.0]], [[1.0]])
    exact = Fraction(0.1) * 3
    assert Fraction(float(bounds.lower[0, 0])) <= exact <= Fraction(float(bounds.upper[0, 0]))
    assert bounds.upper[0, 0] - bounds.lower[0, 0] <= 4 * EPSILON


def test_pi_is_no_double():
    line = SimpleNamespace(dim=1, formula=lambda x, m: m.pi * x[0])
    found = traced(line)
    bounds, _ = Enclosure(found.gradient, found.constants)([[0.0]], [[1.0]])
    with mpmath.workdps(40):
        assert bounds.lower[0, 0] < mpmath.pi < bounds.upper[0, 0]


def test_parameters_keep_their_values():
    made = fd.landscape("k*x**2 + y**2", params={"k": 15.0})
    slopes, hessian, _ = Derivatives(traced(made)).both(
        np.array([[1.0, 1.0]]), np.array([[2.0, 1.0]])
    )
    assert slopes.contains(np.array([45.0, 2.0])).all()
    assert hessian.contains(np.diag([30.0, 2.0])).all()


def test_a_landscape_without_formula_has_no_bounds():
    assert traced(fd.models.MLP(fd.data.XOR(count=8), widths=[2])) is None


def test_blocks_are_groups_of_interacting_coordinates():
    made = fd.landscape("x[0]*x[3] + x[1]**2 + sin(x[2]*x[4]) + x[4]*x[5]", dim=7)
    assert traced(made).blocks() == [[0, 3], [1], [2, 4, 5], [6]]


def test_halves_cover_the_box_and_cut_the_side_that_matters():
    lower, upper = np.zeros((1, 2)), np.array([[1.0, 4.0]])
    low, high = halved(lower, upper, np.array([[1.0, 0.5]]))
    assert low[:, 1].tolist() == [0.0, 0.0]
    assert high[0, 0] == low[1, 0]
    assert (low.min(axis=0) == 0.0).all()
    assert (high.max(axis=0) == [1.0, 4.0]).all()


@pytest.mark.parametrize(
    ("landscape", "count"),
    [
        (landscapes.Himmelblau(), 9),
        (landscapes.SixHumpCamel(), 15),
        (landscapes.ThreeHumpCamel(), 5),
        (landscapes.Branin(), 5),
        (landscapes.McCormick(), 3),
        (landscapes.Rosenbrock(dim=2), 1),
        (landscapes.Rosenbrock(dim=3), 1),
    ],
    ids=repr,
)
def test_every_isolated_box_holds_a_zero_in_high_precision(landscape, count):
    found = isolate(traced(landscape), landscape.domain)
    assert len(found.lower) == count
    assert len(found.undecided_lower) == 0
    f = [
        lambda *x, i=i: mpmath.diff(
            lambda *y: landscape.formula(list(y), mpmath),
            x,
            tuple(int(k == i) for k in range(landscape.dim)),
        )
        for i in range(landscape.dim)
    ]
    for low, high in zip(found.lower[:4], found.upper[:4], strict=True):
        with mpmath.workdps(40):
            start = [mpmath.mpf(v) for v in (0.5 * (low + high))]
            zero = mpmath.findroot(f, start, tol=1e-50)
            for k in range(landscape.dim):
                assert mpmath.mpf(low[k]) <= zero[k] <= mpmath.mpf(high[k])
        assert (high - low).max() < 1e-12


def test_guesses_save_time_and_change_nothing():
    found = traced(landscapes.Himmelblau())
    box = landscapes.Himmelblau().domain
    plain = isolate(found, box)
    told = isolate(
        found, box, guesses=[p.position for p in landscapes.Himmelblau().critical_points()]
    )
    wrong = isolate(found, box, guesses=np.random.default_rng(0).uniform(-6, 6, (40, 2)))
    assert told.examined <= plain.examined
    for other in (told, wrong):
        assert len(other.lower) == 9
        assert len(other.undecided_lower) == 0
        a, b = (np.sort(r.lower, axis=0) for r in (plain, other))
        np.testing.assert_allclose(a, b, atol=1e-12)  # bounds of the same zeros, to rounding


def test_budget_and_what_is_left_open():
    found = traced(landscapes.GoldsteinPrice())
    box = landscapes.GoldsteinPrice().domain
    short = isolate(found, box, max_boxes=500)
    assert 0 < short.examined <= 1000
    assert len(short.undecided_lower) > 0
    # Every known point is proven or in a box that is left open.
    for point in landscapes.GoldsteinPrice().critical_points():
        x = point.position
        near = ((short.lower - 1e-9 <= x) & (x <= short.upper + 1e-9)).all(axis=1).any()
        left = ((short.undecided_lower <= x) & (x <= short.undecided_upper)).all(axis=1).any()
        assert near or left


def test_degenerate_and_sharp_points_are_left_open_and_nothing_else():
    for text in ("x**3 - 3*x*y**2", "x**4 - y**4", "abs(x) + y**2", "sqrt(x**2 + y**2)"):
        found = traced(fd.landscape(text))
        part = [
            isolate(found, [[-1.0, 2.0]] * len(block), columns=block) for block in found.blocks()
        ]
        assert sum(len(p.undecided_lower) for p in part) > 0
        for p in part:
            assert np.abs(p.undecided_lower).max(initial=0.0) < 1e-7
            assert np.abs(p.undecided_upper).max(initial=0.0) < 1e-7


def test_a_corner_between_two_zeros_does_not_hide_one():
    # x^2 - |x| / 10 has the slopes 2x +- 1/10: zeros at +-1/20, and a jump at 0, which a second
    # derivative of 2 everywhere does not show.
    found = isolate(traced(fd.landscape("x**2 - 0.1*abs(x)")), [[-1.0, 2.0]], guesses=[[0.05]])
    zeros = np.sort(0.5 * (found.lower + found.upper), axis=0)
    np.testing.assert_allclose(zeros, [[-0.05], [0.05]], atol=1e-15)
    assert 0 < len(found.undecided_lower) < 5
    assert np.abs(found.undecided_lower).max() < 1e-8


def test_a_zero_on_the_edge_of_the_box_is_left_open():
    found = isolate(traced(fd.landscape("(x - 0.3)**2")), [[0.3, 1.0]])
    assert len(found.lower) + len(found.undecided_lower) >= 1
    assert len(isolate(traced(fd.landscape("(x - 0.3)**2")), [[0.31, 1.0]]).lower) == 0


def test_a_gradient_that_is_defined_nowhere_has_no_zero():
    found = isolate(traced(fd.landscape("log(x)*x")), [[-2.0, -1.0]])
    assert len(found.lower) == len(found.undecided_lower) == 0


def test_the_loss_of_a_block_is_bounded_by_its_own_parts():
    # Slopes do not interact, but the sign's place does; the others are joined smoothly.
    text = "3*(x[0]**2 + x[2]**2 + sqrt(x[3])) + x[1]**2 + sign(x[0]*x[1])*2"
    found = traced(fd.landscape(text, dim=4))
    assert found.blocks() == [[0, 1], [2], [3]]
    system = Derivatives(found, [3], value=True)
    low, high = np.array([[-2.0], [-1.0], [1.0]]), np.array([[-1.0], [1.0], [2.0]])
    slopes, _, smooth = system.both(low, high)
    assert np.isnan(slopes.lower[:, 0]).tolist() == [True, False, False]  # a root of what is < 0
    assert smooth.tolist() == [False, False, True]
    signs = Derivatives(found, [0, 1], value=True)
    assert signs.both(np.full((1, 2), -1.0), np.ones((1, 2)))[2].tolist() == [False]
    assert signs.both(np.ones((1, 2)), np.full((1, 2), 2.0))[2].tolist() == [True]


def test_a_branch_that_is_not_chosen_bends_nothing():
    found = traced(fd.landscape("where(x > 0, sqrt(x), abs(x + 3))"))
    low, high = np.array([[-2.0], [-4.0], [1.0], [-1.0]]), np.array([[-1.0], [-1.0], [2.0], [1.0]])
    _, smooth = Enclosure([found.value], found.constants)(low, high)
    assert smooth.tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    "condition", ["log(x) < 0", "sqrt(x) >= 0", "x**1.5 > -1", "tanh(max(x, 0)/max(x, 0)) < 2"]
)
def test_a_relation_does_not_hold_where_a_side_is_no_number(condition):
    # To the left of 0 the second branch is taken, whatever holds where the condition is a number.
    found = traced(fd.landscape(f"where({condition}, x, (x + 0.3)**2)"))
    bounds, smooth = Enclosure(found.gradient, found.constants)([[-1.0]], [[0.9]])
    assert bounds.contains(0.0)[0, 0]
    assert not smooth[0]
    zeros = isolate(found, [[-1.0, 0.9]], guesses=[[0.5]], max_boxes=2000)
    near = np.abs(np.concatenate([zeros.lower, zeros.undecided_lower]) + 0.3)
    assert near.min() < 0.01


def test_what_is_no_number_is_unequal():
    found = traced(fd.landscape("where(sign(sqrt(x) + 1) != 1, (x + 0.3)**2, x)"))
    bounds, _ = Enclosure(found.gradient, found.constants)([[-1.0]], [[0.9]])
    assert bounds.contains(0.0)[0, 0]


def test_a_corner_of_a_condition_bends_no_branch():
    # Huber's function: |x| has its corner at 0, far from where the branches change at +-1.
    found = traced(fd.landscape("where(abs(x) < 1, x**2/2, abs(x) - 0.5)"))
    system = Enclosure([found.value, *found.gradient], found.constants)
    low, high = np.array([[-0.5], [0.5], [1.5]]), np.array([[0.5], [1.5], [2.0]])
    assert system(low, high)[1].tolist() == [True, False, True]
    zeros = isolate(found, [[-2.0, 2.5]])
    assert (len(zeros.lower), len(zeros.undecided_lower)) == (1, 0)


def test_boxes_far_from_the_origin_are_halved_no_further_than_numbers_lie():
    # Neighbouring numbers are 1.2e-4 apart there.
    found = isolate(traced(fd.landscape("(x - 1000000000001)**2")), [[1e12, 1e12 + 2.0]])
    assert found.examined < 200
    low, high = found.undecided_lower.min(), found.undecided_upper.max()
    assert low <= 1e12 + 1.0 <= high
    assert high - low < 0.01


def test_what_is_not_negative_stays_so():
    # A sum that rounds to 0 is 0, and products and quotients of what is >= 0 are: so a root of
    # them is defined.
    zero, some = Interval.of(0.0, 1.0), Interval.of(1e-200, 2.0)
    for made in (zero + zero, zero * some, zero / some, some * some, (zero + some * zero) * zero):
        assert made.lower == 0.0
    tiny = Interval.of(5e-324) + Interval.of(-5e-324)
    assert (tiny.lower, tiny.upper) == (0.0, 0.0)
    assert (Interval.of(-1e-200, 1.0) * some).lower < 0.0
    assert (Interval.of(1e-200) * Interval.of(-1e-200)).lower < 0.0  # not 0, in real numbers


@pytest.mark.parametrize(
    ("text", "continuous", "smooth"),
    [
        ("abs(x)", True, False),
        ("max(x, 0)", True, False),
        ("sqrt(x**2)", True, False),
        ("sqrt(x)", False, False),
        ("log(x**2)", False, False),
        ("1/x", False, False),
        ("sign(x)", False, False),
        ("where(x > 0, 1, 2)", False, False),
        ("where(x > 2, sqrt(x), abs(x - 3))", True, True),
        ("exp(x) + x**3", True, True),
    ],
)
def test_corners_are_continuous(text, continuous, smooth):
    found = traced(fd.landscape(text))
    for corners, expected in ((False, continuous), (True, smooth)):
        system = Enclosure([found.value], found.constants, corners=corners)
        assert system([[-1.0]], [[1.0]])[1].tolist() == [expected]


def test_what_is_not_a_number_stays_so():
    # The slope of a root where there is none, and so the gradient of a loss that has none.
    nowhere = Interval.of(math.nan, math.nan)
    assert BOUNDS["half_inverse"](nowhere).empty
    found = isolate(traced(fd.landscape("sqrt(x**2 - 1) + (x - 0.5)**2")), [[-0.9, 0.9]])
    assert len(found.lower) == len(found.undecided_lower) == 0
