"""Lane mathematics against mpmath: errors in ulp, special values, the same bits everywhere.

The limits are a little above the largest errors found in searches of three million points for
each function and range (exp 0.79, log 0.93, sin and cos 0.79, tanh 1.67, sigmoid 1.48) or, for
sincos_turns, 0.5 million (0.80).
"""

import json
import math
import os
import platform
import re
import subprocess
import sys
from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastdescent import lanemath as lm
from fastdescent.contracts import JIT, lane_function

mp.mp.prec = 200  # 53 bits of x, 45 of a reduced angle, 60 that cancel, and some to spare

MANY = 6000 if JIT else 60
INF, NAN = math.inf, math.nan


@lane_function
def turned_sine(x):
    return lm.sincos_turns(x)[0]


@lane_function
def turned_cosine(x):
    return lm.sincos_turns(x)[1]


@lane_function
def joint_sine(x):
    return lm.sincos(x)[0]


@lane_function
def joint_cosine(x):
    return lm.sincos(x)[1]


def exact_sigmoid(x):
    return 1 / (1 + mp.exp(-x))


# name: function, reference, limit in ulp, ranges (low, high, "even" or "log" spacing)
FUNCTIONS = {
    "exp": (lm.exp, mp.exp, 0.85, [(-2, 2, "even"), (-745.2, 709.8, "even"), (1e-20, 1, "log")]),
    "log": (lm.log, mp.log, 1.0, [(0.5, 2, "even"), (5e-324, 1.79e308, "log")]),
    "sin": (lm.sin, mp.sin, 0.85, [(-8, 8, "even"), (5e-324, 2.0**45, "log")]),
    "cos": (lm.cos, mp.cos, 0.85, [(-8, 8, "even"), (5e-324, 2.0**45, "log")]),
    "turned_sine": (
        turned_sine,
        lambda x: mp.sinpi(2 * x),
        0.85,
        [(-2, 2, "even"), (1e-300, 2.0**45, "log")],
    ),
    "turned_cosine": (
        turned_cosine,
        lambda x: mp.cospi(2 * x),
        0.85,
        [(-2, 2, "even"), (1e-300, 2.0**45, "log")],
    ),
    "tanh": (lm.tanh, mp.tanh, 1.8, [(-1.5, 1.5, "even"), (5e-324, 25, "log")]),
    "sigmoid": (lm.sigmoid, exact_sigmoid, 1.6, [(-6, 6, "even"), (-745.2, 40, "even")]),
}
NAMES = list(FUNCTIONS)


def loop_over(function):
    @lane_function
    def loop(x, y):
        for lane in range(x.shape[0]):
            y[lane] = function(x[lane])

    return loop


LOOPS = {name: loop_over(function) for name, (function, *_) in FUNCTIONS.items()}


def lanes(name, x):
    y = np.empty_like(x)
    LOOPS[name](x, y)
    return y


def largest_error(name, x):
    """Largest error of a function over x, in units in the last place of the true value."""
    _, reference, *_ = FUNCTIONS[name]
    worst, where = 0.0, None
    for argument, given_value in zip(x.tolist(), lanes(name, x).tolist(), strict=True):
        true = reference(mp.mpf(argument))
        nearest = float(true)
        if math.isinf(given_value) or math.isinf(nearest):  # overflow: both or none
            assert given_value == nearest, (argument, given_value)
            continue
        error = float(abs(given_value - true) / math.ulp(nearest))
        if error > worst:
            worst, where = error, argument
    return worst, where


def sample(low, high, spacing, count, rng):
    """Half on a regular grid, half random; both signs if spaced in logarithm."""
    u = np.concatenate([np.linspace(0, 1, count // 2), rng.random(count - count // 2)])
    if spacing == "even":
        return low + (high - low) * u
    x = np.exp(np.log(low) + (np.log(high) - np.log(low)) * u)
    return np.minimum(np.maximum(x, low), high)


@pytest.mark.parametrize("name", NAMES)
def test_error_stays_below_its_limit_over_the_whole_range(name):
    _, _, limit, ranges = FUNCTIONS[name]
    rng = np.random.default_rng(1)
    for low, high, spacing in ranges:
        x = sample(low, high, spacing, MANY, rng)
        if spacing == "log" and name != "log":
            x[::2] *= -1
        error, where = largest_error(name, x)
        assert error <= limit, (where, error)


@pytest.mark.parametrize("name", NAMES)
def test_error_stays_below_its_limit_beside_its_edges(name):
    # Where a reduction changes its integer, a selection its branch, or a result its exponent.
    edges = [k * math.log(2) / 2 for k in range(-9, 10)]
    edges += [math.log(2) * k for k in (-1074, -1073, -1023, -1022, -1021, 1022, 1023)]
    edges += [k * math.pi / 4 for k in range(-9, 10)] + [k / 8 for k in range(-9, 10)]
    edges += [math.sqrt(0.5), math.sqrt(2), 0.17, 19.06, 22, 2.0**-1022, 2.0**45 * (1 - 2**-53)]
    x = np.array(edges)
    for _ in range(3):
        x = np.concatenate([x, np.nextafter(x, INF), np.nextafter(x, -INF)])
    x = np.unique(np.abs(x) + 5e-324 if name == "log" else x)
    x = x[np.abs(x) <= 2.0**45] if JIT else x[np.abs(x) <= 2.0**45][::11]
    error, where = largest_error(name, x)
    assert error <= FUNCTIONS[name][2], (where, error)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=200 if JIT else 20, deadline=None, derandomize=True)
@given(x=st.floats(min_value=-(2.0**45), max_value=2.0**45))
def test_error_stays_below_its_limit_for_any_float(name, x):
    error, _ = largest_error(name, np.array([abs(x) + 5e-324 if name == "log" else x]))
    assert error <= FUNCTIONS[name][2]


def nearest_to_multiples_of_a_right_angle():
    """Doubles below 2**45 that come nearest to a multiple of pi / 2, from continued fractions.

    x = m 2**e is near n pi / 2 where n / m is a convergent of 2**e / (pi / 2), or a small
    multiple of one.
    """
    for e in range(-52, -7):
        rest = mp.mpf(2) ** e / (mp.pi / 2)
        m, before = 1, 0
        rest = 1 / rest
        while m < 2**53:
            for multiple in {1, 2**53 // m, 2**52 // m + 1}:
                if 2**52 <= m * multiple < 2**53:
                    yield math.ldexp(m * multiple, e)
            digit = int(mp.floor(rest))
            rest = 1 / (rest - digit)
            m, before = before + digit * m, m


def test_sines_and_cosines_stay_accurate_where_their_argument_cancels_most():
    x = np.array(list(nearest_to_multiples_of_a_right_angle()))
    distance = [abs(mp.mpf(v) - mp.nint(mp.mpf(v) * 2 / mp.pi) * mp.pi / 2) for v in x]
    assert min(distance) < 2.0**-52  # the search does find hard cases
    x = x[:: 1 if JIT else 20]
    for name in ("sin", "cos"):
        assert largest_error(name, x)[0] <= FUNCTIONS[name][2]


SPECIAL = {
    "exp": [
        (0.0, 1.0),
        (-0.0, 1.0),
        (5e-324, 1.0),
        (INF, INF),
        (-INF, 0.0),
        (709.782712893384, 1.7976931348622732e308),
        (709.7827128933841, INF),
        (1e300, INF),
        (-745.1332191019411, 5e-324),
        (-745.1332191019412, 0.0),
        (-1e300, 0.0),
    ],
    "log": [
        (0.0, -INF),
        (-0.0, -INF),
        (1.0, 0.0),
        (INF, INF),
        (-INF, NAN),
        (-1.0, NAN),
        (-5e-324, NAN),
        (5e-324, -744.4400719213812),
        (2.2250738585072009e-308, -708.3964185322641),
        (1.7976931348623157e308, 709.782712893384),
    ],
    "sin": [(0.0, 0.0), (-0.0, -0.0), (5e-324, 5e-324), (-1e-310, -1e-310)],
    "cos": [(0.0, 1.0), (-0.0, 1.0), (5e-324, 1.0)],
    "turned_sine": [(0.0, 0.0), (-0.0, -0.0), (0.25, 1.0), (-0.25, -1.0), (2.0**44, 0.0)],
    "turned_cosine": [(0.0, 1.0), (-0.0, 1.0), (0.5, -1.0), (1.0, 1.0), (2.0**44, 1.0)],
    "tanh": [
        (0.0, 0.0),
        (-0.0, -0.0),
        (5e-324, 5e-324),
        (-1e-310, -1e-310),
        (INF, 1.0),
        (-INF, -1.0),
        (1e300, 1.0),
        (-20.0, -1.0),
    ],
    "sigmoid": [
        (0.0, 0.5),
        (-0.0, 0.5),
        (INF, 1.0),
        (-INF, 0.0),
        (1e300, 1.0),
        (-1e300, 0.0),
        (-745.0, 5e-324),
    ],
}
BEYOND = [(x, NAN) for x in (INF, -INF, 2.0**45 + 1, -1e300)]
for name in ("sin", "cos", "turned_sine", "turned_cosine"):
    SPECIAL[name] += BEYOND


@pytest.mark.parametrize("name", NAMES)
def test_special_values_are_exact(name):
    cases = [*SPECIAL[name], (NAN, NAN)]
    values = lanes(name, np.array([x for x, _ in cases])).tolist()
    for (x, expected), value in zip(cases, values, strict=True):
        if math.isnan(expected):
            assert math.isnan(value), (x, value)
        else:
            assert value == expected, (x, value)
        if x == 0.0:
            assert math.copysign(1.0, value) == math.copysign(1.0, expected), x


def test_exp_underflows_gradually():
    # Below the normal range one unit is 5e-324: half of it for rounding, 1% for the value.
    x = np.linspace(-745.2, -708.0, MANY // 8)
    for argument, value in zip(x.tolist(), lanes("exp", x).tolist(), strict=True):
        if argument < -708.4:
            assert abs(value - mp.exp(mp.mpf(argument))) <= 0.51 * 5e-324


@pytest.mark.parametrize("name", NAMES)
def test_symmetry_is_exact(name):
    x = np.exp(np.random.default_rng(2).uniform(-700, 5, MANY // 8))
    positive, negative = lanes(name, x), lanes(name, -x)
    if name in ("sin", "turned_sine", "tanh"):
        np.testing.assert_array_equal(negative, -positive)
    elif name in ("cos", "turned_cosine"):
        np.testing.assert_array_equal(negative, positive)
    elif name == "sigmoid":
        # Each is within 1.6 ulp, at most 1.8e-16 for numbers below 1.
        np.testing.assert_allclose(positive + negative, 1.0, rtol=0, atol=5e-16)


@pytest.mark.parametrize("name", NAMES)
def test_results_stay_in_the_range_of_the_function(name):
    low, high = {"exp": (0, INF), "log": (-INF, INF), "sigmoid": (0, 1)}.get(name, (-1, 1))
    x = np.abs(np.random.default_rng(3).normal(0, 30, MANY))
    values = lanes(name, x)
    assert np.all((values >= low) & (values <= high))


def test_joint_and_single_functions_have_the_same_bits():
    x = np.random.default_rng(4).normal(0, 100, MANY // 8)
    for loop, name in ((joint_sine, "sin"), (joint_cosine, "cos")):
        np.testing.assert_array_equal([loop(v) for v in x], lanes(name, x))


@pytest.mark.parametrize("name", NAMES)
def test_bits_do_not_depend_on_the_position_in_the_loop(name):
    # Long enough for the widest vectors, unrolled; lengths and offsets leave every remainder.
    length = 71 if JIT else 5
    x = np.exp(np.random.default_rng(5).uniform(-30, 5, length + 9))
    one_by_one = np.array([FUNCTIONS[name][0](v) for v in x.tolist()])  # scalar code
    for count in range(1, length):
        offset = count % 9
        part = slice(offset, offset + count)
        np.testing.assert_array_equal(lanes(name, x[part]), one_by_one[part])


PRINT_BITS = """
import json, sys
from fastdescent import lanemath as lm
names, values = json.loads(sys.argv[1])
flat = lambda result: result if isinstance(result, tuple) else (result,)
bits = [[float(r).hex() for x in values for r in flat(getattr(lm, n)(x))] for n in names]
print(json.dumps(bits))
"""


@pytest.mark.skipif(not JIT, reason="compares compiled code with plain Python")
@pytest.mark.parametrize("setting", ["NUMBA_DISABLE_JIT=1", "NUMBA_CPU_NAME=generic"])
def test_bits_are_the_same_in_plain_python_and_without_vector_units(setting):
    names = ["exp", "log", "tanh", "sigmoid", "sincos", "sincos_turns"]
    values = np.exp(np.random.default_rng(6).uniform(-20, 5, 60)).tolist()
    values += [0.3, 5e-324, 1e-310, 700.0, 709.78, 1e10, 3e13]
    call = [sys.executable, "-W", "error", "-c", PRINT_BITS, json.dumps([names, values])]
    variable, value = setting.split("=")
    environment = {**os.environ, variable: value}
    if variable == "NUMBA_CPU_NAME":
        environment["NUMBA_CPU_FEATURES"] = ""
    printed = subprocess.run(call, env=environment, check=True, capture_output=True, text=True)
    here = []
    for name in names:
        results = [getattr(lm, name)(x) for x in values]
        flat = [r for result in results for r in (result if "sincos" in name else (result,))]
        here.append([float(r).hex() for r in flat])
    assert json.loads(printed.stdout) == here


def has_fma():
    try:
        with open("/proc/cpuinfo") as file:
            return "fma" in file.read()
    except OSError:
        return False


@pytest.mark.skipif(not JIT, reason="there is no machine code")
@pytest.mark.skipif(platform.machine() != "x86_64" or not has_fma(), reason="needs x86 with FMA")
@pytest.mark.parametrize("name", NAMES)
def test_lane_loops_become_vector_instructions(name):
    lanes(name, np.ones(8))
    (assembly,) = LOOPS[name].inspect_asm().values()
    assert len(re.findall(r"vfn?m(?:add|sub)\d+pd\s", assembly)) >= 8  # a polynomial's worth
    (code,) = LOOPS[name].inspect_llvm().values()
    assert not re.search(r"declare double @(?!llvm)", code)  # no function of the C library


finite = st.floats(allow_nan=False, allow_infinity=False)
close_to_one = st.floats(min_value=0.5, max_value=2.0)


@settings(max_examples=500 if JIT else 100, deadline=None, derandomize=True)
@given(a=finite | close_to_one, b=finite | close_to_one, c=finite | close_to_one)
def test_fma_rounds_once(a, b, c):
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    try:
        expected = float(exact)  # Fraction rounds correctly
    except OverflowError:
        expected = INF if exact > 0 else -INF
    assert lm.fma(a, b, c) == expected == lm._exact_fma(a, b, c)


def test_fma_keeps_what_a_product_loses():
    # (1 + h)(1 - h) = 1 - h**2 with h = 2**-30: the product alone rounds to 1.
    h = 2.0**-30
    assert lm.fma(1 + h, 1 - h, -1.0) == -(h**2)
    for a, b, c in ((INF, 0.0, 1.0), (NAN, 1.0, 1.0), (INF, 1.0, -INF)):
        assert math.isnan(lm.fma(a, b, c))
        assert math.isnan(lm._exact_fma(a, b, c))
    for a, b, c, sign in (
        (-0.0, 1.0, -0.0, -1.0),
        (0.0, 1.0, -0.0, 1.0),
        (-1e-300, 1e-300, 0.0, -1),
    ):
        for fma in (lm.fma, lm._exact_fma):
            assert fma(a, b, c) == 0.0
            assert math.copysign(1.0, fma(a, b, c)) == sign


@settings(max_examples=100, deadline=None, derandomize=True)
@given(x=finite, y=finite)
def test_rounding_signs_and_bits(x, y):
    assert lm.rint(x) == np.rint(x)
    assert lm.copysign(x, y) == math.copysign(x, y)
    bits = lm.float_to_bits(x)
    assert int(bits) == int(np.float64(x).view(np.uint64))
    assert lm.float_from_bits(np.uint64(bits)) == x


def weighted_error(coefficients, function, weight, low, high):
    points = [low + (high - low) * (mp.mpf(k) + mp.mpf("0.37")) / 500 for k in range(500)]

    def polynomial(x):
        return mp.polyval([mp.mpf(c) for c in reversed(coefficients)], x)

    return max(abs(weight(x) * (function(x) - polynomial(x))) for x in points)


def test_polynomials_have_the_errors_that_the_module_states():
    half_log_2, quarter_turn = mp.log(2) / 2, (mp.mpf("1.01") * mp.pi / 4) ** 2
    largest_s = (mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)
    root = mp.sqrt
    cases = [
        (lm._EXP, lambda r: (mp.exp(r) - 1 - r) / r**2, abs, -half_log_2, half_log_2, -60),
        (lm._SIN, lambda z: (mp.sin(root(z)) / root(z) - 1) / z, abs, 0, quarter_turn, -56),
        (
            lm._COS,
            lambda z: (mp.cos(root(z)) - 1 + z / 2) / z**2,
            lambda z: z**2,
            0,
            quarter_turn,
            -59,
        ),
        (
            lm._LOG,
            lambda z: (2 * mp.atanh(root(z)) / root(z) - 2) / z,
            lambda z: z / 2,
            0,
            largest_s**2,
            -58,
        ),
    ]
    for coefficients, function, weight, low, high, power in cases:
        assert weighted_error(coefficients, function, weight, low, high) < mp.mpf(2) ** power


def test_split_constants_add_up():
    # Each part leaves a remainder below half a unit of its own last place.
    assert abs(sum(map(mp.mpf, lm._PI_HALVES)) - mp.pi / 2) < mp.mpf(2) ** -160
    assert abs(mp.mpf(lm._LN2) + mp.mpf(lm._LN2_REST) - mp.log(2)) < mp.mpf(2) ** -107
    assert abs(mp.mpf(lm._LN2_SHORT) + mp.mpf(lm._LN2_SHORT_REST) - mp.log(2)) < mp.mpf(2) ** -92
    assert abs(mp.mpf(lm._TWO_PI) + mp.mpf(lm._TWO_PI_REST) - 2 * mp.pi) < mp.mpf(2) ** -104
    assert (lm._LN2_SHORT * 2.0**41).is_integer()  # so its products with exponents are exact
