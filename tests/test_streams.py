"""Random streams: published vectors, layout, the same numbers everywhere, and statistics.

Statistical tests have fixed seeds.  Each asks a number that is standard normal under the null
hypothesis to stay below SIGMAS = 4.5 in absolute value, so a correct generator under another
seed fails one such check with probability 6.8e-6; there are about 240 of them, hence 1.6e-3
for the whole file.
"""

import json
import math
import os
import platform
import re
import subprocess
import sys
from itertools import chain

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from fastdescent import streams as rs
from fastdescent.contracts import JIT
from fastdescent.errors import InvalidValueError

MANY = 1_000_000 if JIT else 400
SIGMAS = 4.5
MASK = 0xFFFFFFFF
PINNED_UNIFORMS = [
    "0x1.e70459e257db8p-4",
    "0x1.2d0315c96eb46p-2",
    "0x1.b8b91d48a23bfp-1",
    "0x1.2cb496412e88bp-1",
]
PINNED_NORMALS = [
    "0x1.cb47cb73d2797p+0",
    "-0x1.b3ee0ef038456p-2",
    "-0x1.1d841bc4968f2p+0",
    "-0x1.3c9b99f998f41p+0",
]
PURPOSES = (rs.NOISE, rs.START, rs.BATCH, rs.INITIALIZATION)


def words(text):
    return [np.uint64(int(word, 16)) for word in text.split()]


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [  # the file kat_vectors of Random123, the library of Salmon et al.
        ("0 0 0 0", "0 0", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        ("ffffffff " * 4, "ffffffff " * 2, "408f276d 41c83b0e a20bc7c6 6d5451fd"),
        (
            "243f6a88 85a308d3 13198a2e 03707344",
            "a4093822 299f31d0",
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_philox_gives_the_published_words(counter, key, expected):
    assert list(rs.philox(*words(counter), *words(key))) == words(expected)


def philox_twin(counter, key):
    """Philox4x32-10 in unbounded integers, written from the paper's figure 2."""
    left0, right0, left1, right1 = counter[0], counter[1], counter[2], counter[3]
    key0, key1 = key
    for _ in range(10):
        high0, low0 = divmod(left0 * 0xD2511F53, 2**32)
        high1, low1 = divmod(left1 * 0xCD9E8D57, 2**32)
        left0, right0, left1, right1 = high1 ^ right0 ^ key0, low1, high0 ^ right1 ^ key1, low0
        key0, key1 = (key0 + 0x9E3779B9) & MASK, (key1 + 0xBB67AE85) & MASK
    return [left0, right0, left1, right1]


def uniform_pair_twin(seed, start, replicate, step, draw, purpose):
    """The two uniforms of a block, by the layout in the module's docstring."""
    counter = [purpose * 2**28 + draw, step, replicate, start]
    w = philox_twin(counter, [seed % 2**32, seed // 2**32])
    # k + 1/2 of k < 2**52 has 53 bits: no rounding.
    return [(w[i] * 2**20 + w[i + 1] // 2**12 + 0.5) * 2.0**-52 for i in (0, 2)]


index = st.integers(0, 2**32 - 1)


@settings(max_examples=200 if JIT else 20, deadline=None, derandomize=True)
@given(st.lists(index, min_size=6, max_size=6))
def test_philox_equals_its_twin(numbers):
    given_words = [int(w) for w in rs.philox(*(np.uint64(n) for n in numbers))]
    assert given_words == philox_twin(numbers[:4], numbers[4:])


@settings(max_examples=200 if JIT else 10, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 2**64 - 1),
    start=index,
    replicate=index,
    step=index,
    draw=st.integers(0, 2**28 - 1),
    purpose=st.integers(0, 15),
)
def test_uniforms_follow_the_documented_layout(seed, start, replicate, step, draw, purpose):
    rows = np.empty((2, 1))
    streams = rs.make_streams(seed, start, replicate)
    rs.fill_uniform(rows[0], rows[1], streams, step, draw, purpose)
    assert rows[:, 0].tolist() == uniform_pair_twin(seed, start, replicate, step, draw, purpose)


def test_batches_follow_the_documented_layout():
    seed, step = 2**63 + 12345, 7
    drawn = rs.uniforms(seed, rs.BATCH, [3, 2**32 - 1], 5, step=step, replicate=[9, 0])
    for row, (start, replicate) in zip(drawn, [(3, 9), (2**32 - 1, 0)], strict=True):
        blocks = [uniform_pair_twin(seed, start, replicate, step, d, rs.BATCH) for d in range(3)]
        assert row.tolist() == list(chain.from_iterable(blocks))[:5]


def test_the_first_numbers_never_change():
    # Results of old studies can be replayed only if these stay; printed by the first version.
    drawn = rs.uniforms(7, rs.START, [0, 1], 2).ravel()
    assert [v.hex() for v in drawn.tolist()] == PINNED_UNIFORMS
    drawn = rs.normals(7, rs.NOISE, [0, 1], 2, step=1).ravel()
    assert [v.hex() for v in drawn.tolist()] == PINNED_NORMALS


def test_uniforms_lie_strictly_between_zero_and_one():
    zero, ones = np.uint64(0), np.uint64(MASK)
    assert rs._uniform(zero, zero) == 2.0**-53
    assert rs._uniform(ones, ones) == 1 - 2.0**-53


def test_normals_are_box_and_muller_of_the_uniforms():
    count = 3000 if JIT else 60
    u = rs.uniforms(1, rs.NOISE, np.arange(count), 2)
    z = rs.normals(1, rs.NOISE, np.arange(count), 2)
    for (u0, u1), values in zip(u.tolist(), z.tolist(), strict=True):
        radius = mp.sqrt(-2 * mp.log(u0))
        for value, exact in zip(
            values,
            (radius * mp.cospi(2 * mp.mpf(u1)), radius * mp.sinpi(2 * mp.mpf(u1))),
            strict=True,
        ):
            # In units of 2**-53, the relative error of a rounding: log 2 and halved by the
            # root, 1 for the root, 2 for sine or cosine, 1 for the product.
            assert abs(value - exact) <= 5 * 2.0**-53 * abs(exact)


def test_extreme_uniforms_give_finite_normals():
    # The smallest uniform is 2**-53, so no normal exceeds sqrt(2 * 53 log 2).
    assert math.sqrt(2 * 53 * math.log(2)) < 8.58
    row = np.array([2.0**-53, 1 - 2.0**-53])
    assert np.all(
        np.isfinite(np.sqrt(-2.0 * np.array([rs._log_of_normal(v, 1023.0) for v in row])))
    )


# --- The same numbers everywhere --------------------------------------------------------------


def fill(function, streams, step, draw, purpose):
    rows = np.empty((2, streams.shape[1]))
    function(rows[0], rows[1], streams, step, draw, purpose)
    return rows


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_lanes_and_batches_draw_the_same_numbers(kind):
    function, batch = (
        (rs.fill_uniform, rs.uniforms) if kind == "uniform" else (rs.fill_normal, rs.normals)
    )
    start, replicate = np.arange(10, 27), np.arange(17) % 3
    streams = rs.make_streams(99, start, replicate)
    expected = batch(99, rs.NOISE, start, 6, step=11, replicate=replicate)
    for draw in range(3):
        rows = fill(function, streams, 11, draw, rs.NOISE)
        np.testing.assert_array_equal(rows.T, expected[:, 2 * draw : 2 * draw + 2])


@pytest.mark.parametrize("function", [rs.fill_uniform, rs.fill_normal])
def test_numbers_do_not_depend_on_the_tile(function):
    # Lengths around the widest vectors, unrolled; offsets leave every remainder.
    lanes = 71 if JIT else 6
    streams = rs.make_streams(5, np.arange(lanes), np.arange(lanes) % 5)
    whole = fill(function, streams, 3, 1, rs.NOISE)
    for count in range(1, lanes):
        part = slice(count % 9, count % 9 + count)
        some = np.ascontiguousarray(streams[:, part])
        if some.shape[1]:
            np.testing.assert_array_equal(fill(function, some, 3, 1, rs.NOISE), whole[:, part])


@pytest.mark.parametrize("batch", [rs.uniforms, rs.normals])
def test_an_ensemble_can_be_cut_permuted_and_extended(batch):
    count = 2500 if JIT else 12  # more than two tiles of a batch
    whole = batch(3, rs.START, np.arange(count), 5)
    np.testing.assert_array_equal(batch(3, rs.START, np.arange(count // 2), 5), whole[: count // 2])
    np.testing.assert_array_equal(batch(3, rs.START, np.arange(count)[::-1], 5), whole[::-1])
    np.testing.assert_array_equal(batch(3, rs.START, count - 1, 5), whole[-1:])
    for columns in range(5):  # odd numbers of coordinates too
        some = batch(3, rs.START, np.arange(count), columns)
        np.testing.assert_array_equal(some, whole[:, :columns])


def test_lanes_of_one_tile_may_have_different_seeds():
    streams = np.concatenate([rs.make_streams(seed, 4) for seed in (1, 2**40, 2**64 - 1)], axis=1)
    rows = fill(rs.fill_normal, streams, 0, 0, rs.START)
    for lane, seed in enumerate((1, 2**40, 2**64 - 1)):
        np.testing.assert_array_equal(rows[:, lane], rs.normals(seed, rs.START, 4, 2)[0])


PRINT_BITS = """
import json
from fastdescent import streams as rs
drawn = [f(8, rs.NOISE, range(9), 3, step=2).ravel().tolist() for f in (rs.uniforms, rs.normals)]
print(json.dumps([[value.hex() for value in values] for values in drawn]))
"""


@pytest.mark.skipif(not JIT, reason="compares compiled code with plain Python")
@pytest.mark.parametrize("setting", ["NUMBA_DISABLE_JIT=1", "NUMBA_CPU_NAME=generic"])
def test_numbers_are_the_same_in_plain_python_and_without_vector_units(setting):
    variable, value = setting.split("=")
    environment = {**os.environ, variable: value}
    if variable == "NUMBA_CPU_NAME":
        environment["NUMBA_CPU_FEATURES"] = ""
    call = [sys.executable, "-W", "error", "-c", PRINT_BITS]
    printed = subprocess.run(call, env=environment, check=True, capture_output=True, text=True)
    drawn = [
        f(8, rs.NOISE, range(9), 3, step=2).ravel().tolist() for f in (rs.uniforms, rs.normals)
    ]
    assert json.loads(printed.stdout) == [[value.hex() for value in values] for values in drawn]


def has_avx2():
    try:
        with open("/proc/cpuinfo") as file:
            return "avx2" in file.read()
    except OSError:
        return False


@pytest.mark.skipif(not JIT, reason="there is no machine code")
@pytest.mark.skipif(platform.machine() != "x86_64" or not has_avx2(), reason="needs x86 with AVX2")
def test_philox_becomes_vector_multiplications():
    fill(rs.fill_uniform, rs.make_streams(1, np.arange(8)), 0, 0, rs.NOISE)
    # Kernels of other tests may have compiled it for other types of the step.
    assembly = next(iter(rs.fill_uniform.inspect_asm().values()))
    # Ten rounds of two; what does not depend on the lane is multiplied once, outside.
    assert len(re.findall(r"vpmuludq\s.*[yz]mm", assembly)) >= 18


# --- Statistics -------------------------------------------------------------------------------


def check(deviation, *where):
    """Check a number that is standard normal under the null hypothesis."""
    assert abs(deviation) < SIGMAS, (deviation, *where)


def test_moments_of_uniforms():
    u = rs.uniforms(11, rs.NOISE, np.arange(MANY), 1).ravel()
    for power in range(1, 5):
        # E u**p = 1 / (p + 1), the variance of u**p is 1 / (2 p + 1) - 1 / (p + 1)**2.
        variance = 1 / (2 * power + 1) - 1 / (power + 1) ** 2
        check(((u**power).mean() - 1 / (power + 1)) / math.sqrt(variance / MANY), power)


@pytest.mark.parametrize("column", [0, 1])
def test_moments_of_normals(column):
    z = rs.normals(12, rs.NOISE, np.arange(MANY), 2)[:, column]
    # E z**p is 0, 1, 0, 3; the variance of z**p is E z**(2 p) - (E z**p)**2.
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        check(((z**power).mean() - mean) / math.sqrt(variance / MANY), power)


@pytest.mark.parametrize("column", [0, 1])
@pytest.mark.parametrize("beyond", [1.0, 2.0, 3.0, 4.0] if JIT else [1.0, 2.0])
def test_tails_of_normals(column, beyond):
    z = rs.normals(13, rs.NOISE, np.arange(MANY), 2)[:, column]
    # The count is binomial; beyond 4 it is 32 on each side, where its skewness makes 4.5
    # standard deviations upwards a matter of 3e-5 instead of 3e-6.
    p = stats.norm.sf(beyond)
    for count in (np.sum(z > beyond), np.sum(z < -beyond)):
        check((count - MANY * p) / math.sqrt(MANY * p * (1 - p)))


@pytest.mark.parametrize(("batch", "law"), [(rs.uniforms, "uniform"), (rs.normals, "norm")])
def test_distribution_by_kolmogorov_and_smirnov(batch, law):
    drawn = batch(14, rs.NOISE, np.arange(MANY // 4), 2)
    for column in drawn.T:
        assert stats.kstest(column, law).pvalue > 6.8e-6  # the false-alarm rate of SIGMAS


def test_every_bit_of_a_uniform_is_fair():
    u = rs.uniforms(15, rs.NOISE, np.arange(MANY // 4), 1).ravel()
    k = (u * 2.0**52).astype(np.uint64)
    for bit in range(52):
        ones = np.sum((k >> np.uint64(bit)) & np.uint64(1))
        check((float(ones) - k.size / 2) / math.sqrt(k.size / 4), bit)


def test_angle_and_radius_are_independent():
    a, b = rs.normals(16, rs.NOISE, np.arange(MANY), 2).T
    check(np.mean(a * b) * math.sqrt(MANY))
    # (a**2 - 1) (b**2 - 1) has mean 0 and variance 4.
    check(np.mean((a**2 - 1) * (b**2 - 1)) * math.sqrt(MANY / 4))


NEIGHBOURS = {
    "start": {"start": 1},
    "replicate": {"replicate": 1},
    "step": {"step": 1},
    "seed": {"seed": 1},
    "high half of the seed": {"seed": 2**32},
    "purpose": {"purpose": 1},
}


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_neighbours_are_uncorrelated(name):
    def draw(seed=17, purpose=rs.NOISE, start=0, step=3, replicate=0):
        return rs.normals(
            seed, purpose, 2 * np.arange(MANY // 4) + start, 4, step=step, replicate=replicate
        )

    changed = {"seed": 17, "step": 3}
    shifted = {key: changed.get(key, 0) + by for key, by in NEIGHBOURS[name].items()}
    a, b = draw(), draw(**shifted)
    n = len(a)
    for i in range(4):
        for j in range(4):
            check(np.mean(a[:, i] * b[:, j]) * math.sqrt(n), i, j)
        check(np.mean((a[:, i] ** 2 - 1) * (b[:, i] ** 2 - 1)) * math.sqrt(n / 4), i)


def test_blocks_of_a_step_are_uncorrelated():
    z = rs.normals(18, rs.NOISE, np.arange(MANY // 8), 8)
    n = len(z)
    for i in range(8):
        for j in range(i):
            check(np.mean(z[:, i] * z[:, j]) * math.sqrt(n), i, j)


def test_no_number_comes_twice():
    # 40 000 numbers of 52 bits: two equal by chance with probability 1.8e-7.
    count = 250 if JIT else 3
    blocks = [
        rs.uniforms(seed, purpose, np.arange(count), 4, step=step, replicate=replicate)
        for seed in (1, 2, 1 + 2**32)
        for purpose in PURPOSES
        for step in (0, 1)
        for replicate in (0, 1)
    ]
    drawn = np.concatenate(blocks).ravel()
    assert np.unique(drawn).size == drawn.size


# --- Arguments --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"seed": -1},
        {"seed": 2**64},
        {"seed": 1.5},
        {"start": [0, -1]},
        {"start": [2**32]},
        {"start": [0.0]},
        {"replicate": 2**32},
        {"step": -1},
        {"step": 2**32},
        {"purpose": 16},
        {"columns": -1},
        {"columns": 2**29 + 1},
    ],
)
def test_arguments_outside_their_range_are_refused_by_name(change):
    arguments = {"seed": 1, "purpose": rs.START, "start": [0, 1], "columns": 2, **change}
    (name,) = change
    for batch in (rs.uniforms, rs.normals):
        with pytest.raises(InvalidValueError, match=rf"streams\.{name}: got"):
            batch(**arguments)


def test_streams_hold_seed_start_and_replicate():
    streams = rs.make_streams(2**64 - 1, np.arange(3), [[5], [6]])
    assert streams.dtype == np.uint64
    assert streams.flags.c_contiguous
    assert streams.tolist() == [[2**64 - 1] * 6, [0, 1, 2] * 2, [5] * 3 + [6] * 3]
