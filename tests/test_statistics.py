"""Wilson intervals and the table of a study."""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import fastdescent as fd
from fastdescent.errors import InvalidValueError
from fastdescent.statistics import (
    format_table,
    hitting_quantiles,
    hitting_summary,
    summary,
    to_csv,
    wilson_interval,
)


# Newcombe (1998), Statistics in Medicine 17, 857-872, table I, method 3; printed to 4 digits.
@pytest.mark.parametrize(
    ("k", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_published_intervals(k, n, low, high):
    np.testing.assert_allclose(wilson_interval(k, n), (low, high), atol=5e-5)


@given(st.integers(1, 10**9).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_ends_are_the_rates_that_the_score_test_just_does_not_reject(kn):
    k, n = kn
    z = stats.norm.ppf(0.975)
    low, high = wilson_interval(k, n)
    assert 0.0 <= low <= k / n <= high <= 1.0
    for end in (low, high):
        if 0.0 < end < 1.0:
            distance = abs(k / n - end)
            # The difference of two numbers near k / n: 4 ulp of it.
            rounding = 1e-15 / distance + 1e-12
            assert distance == pytest.approx(z * math.sqrt(end * (1 - end) / n), rel=rounding)


def test_scipy_agrees_for_other_confidences():
    for confidence in (0.5, 0.9, 0.99):
        peer = stats.binomtest(7, 23).proportion_ci(confidence, method="wilson")
        np.testing.assert_allclose(wilson_interval(7, 23, confidence), peer, rtol=1e-13)


@pytest.mark.parametrize("n", [10, 50, 200])
def test_coverage_by_enumeration(n):
    """Over all rates the mean coverage is the nominal one, for none it is far lower."""
    k = np.arange(n + 1)
    low, high = wilson_interval(k, n)
    p = np.linspace(0.0005, 0.9995, 1000)[:, None]
    coverage = np.where((low <= p) & (p <= high), stats.binom.pmf(k, n, p), 0.0).sum(axis=1)
    assert abs(coverage.mean() - 0.95) < 0.01  # exact sums; Brown et al. (2001), figure 11
    # The dips near 0 and 1 of Brown et al. (2001), section 3.1.1, whatever n is.
    assert coverage.min() > 0.83


def test_intervals_broadcast_and_no_trials_say_nothing():
    low, high = wilson_interval([[0], [5]], [5, 10, 20])
    assert low.shape == high.shape == (2, 3)
    assert tuple(map(float, wilson_interval(0, 0))) == (0.0, 1.0)
    assert wilson_interval(3, 3)[1] == 1.0


@pytest.mark.parametrize(
    "arguments",
    [(3, 2), (-1, 2), (0.5, 2), (1, math.nan), ("x", 2), (1, 2, 0.0), (1, 2, 1.0), (1, 2, True)],
)
def test_wrong_counts(arguments):
    with pytest.raises(InvalidValueError, match="allowed is"):
        wilson_interval(*arguments)


@given(
    st.lists(st.integers(-1, 50), min_size=1, max_size=40),
    st.lists(st.floats(0.01, 1.0), min_size=1, max_size=3),
)
def test_quantiles_are_the_first_times_by_which_enough_have_hit(times, quantiles):
    found = hitting_quantiles(np.array(times), quantiles)
    hits = sorted(time for time in times if time >= 0)
    for quantile, value in zip(quantiles, found.tolist(), strict=True):
        if not hits:
            assert value == -1
            continue
        enough = math.ceil(quantile * len(hits))
        assert value == min(t for t in hits if sum(h <= t for h in hits) >= enough)


def test_quantiles_outside_the_range():
    with pytest.raises(InvalidValueError, match="quantiles"):
        hitting_quantiles(np.array([1]), [0.0])


@pytest.fixture(scope="module")
def descent():
    return fd.simulate(
        fd.landscapes.Ravine(condition_number=[2.0, 10.0]),
        fd.optimizers.GradientDescent(learning_rate=[0.01, 0.05, 0.3]),
        starts=fd.starts.Uniform(-1.0, 1.0, count=50),
        seeds=2,
        steps=60,
        targets=[1.0, 1e-2],
        stop=fd.Stop(radius=1e6),
    )


def test_hitting_summary_counts_what_a_loop_counts(descent):
    found = hitting_summary(descent, target=1.0, quantiles=(0.25,))
    for (i, j), successes in np.ndenumerate(found.successes):
        times = descent.hitting_time.values[i, j, ..., 0].ravel()
        hits = sorted(times[times >= 0])
        assert successes == len(hits)
        assert found.trials[i, j] == 100
        assert found.success_rate[i, j] == len(hits) / 100
        assert found.success_low[i, j] == wilson_interval(len(hits), 100)[0]
        assert found.hitting_time[i, j, 0] == hits[math.ceil(len(hits) / 4) - 1]
        diverged = descent.status.values[i, j] == 2
        assert found.diverged[i, j] == diverged.mean()
    # 0.3 is beyond 2 / lambda_max = 0.1 of the steeper ravine.
    assert found.diverged.sel(condition_number=10.0, learning_rate=0.3) == 1.0


def test_the_smallest_target_is_the_default_and_others_must_exist(descent):
    assert hitting_summary(descent).identical(hitting_summary(descent, target=1e-2))
    with pytest.raises(InvalidValueError, match=r"target: got 0.5, .* \[1.0, 0.01\]"):
        hitting_summary(descent, target=0.5)


def test_without_targets_a_success_is_a_converged_trajectory(descent):
    ds = fd.simulate(
        fd.landscapes.Ravine(condition_number=2.0),
        fd.optimizers.GradientDescent(learning_rate=[0.01, 0.05]),
        starts=fd.starts.Uniform(-1.0, 1.0, count=50),
        steps=60,
        stop=fd.Stop(loss=1e-2),
        targets=[1e-2],
    )
    with_targets = hitting_summary(ds)
    without = hitting_summary(ds.drop_vars(["hitting_time", "target"]))
    assert without.identical(with_targets)
    assert summary(ds.drop_vars(["hitting_time", "target"]))[0].target is None


def test_best_rows_choose_the_rules_parameters_and_keep_conditions(descent):
    rows = summary(descent)
    assert [row.configuration["condition_number"] for row in rows] == [2.0, 10.0]
    assert [row.configuration["learning_rate"] for row in rows] == [0.3, 0.05]
    assert {row.choices for row in rows} == {3}
    every = summary(descent, rows="all")
    assert len(every) == 6
    assert {row.choices for row in every} == {1}
    for row in rows:
        same = [r for r in every if r.configuration == row.configuration]
        assert (
            same[0].successes
            == row.successes
            == max(
                r.successes
                for r in every
                if r.configuration["condition_number"] == row.configuration["condition_number"]
            )
        )


def test_many_conditions_are_pooled():
    ds = fd.simulate(
        fd.landscapes.Ravine(condition_number=np.linspace(1, 10, 20)),
        fd.optimizers.GradientDescent(learning_rate=[0.01, 0.05]),
        starts=[[1.0, 1.0], [0.5, 0.0]],
        steps=60,
        targets=[1e-2],
    )
    (row,) = summary(ds)
    assert row.configuration == {"learning_rate": 0.05}
    assert row.trials == 40
    assert len(summary(ds, rows="all")) == 40


def test_without_a_study_all_axes_are_choices(descent):
    bare = descent.copy()
    bare.attrs["study"] = ""
    (row,) = summary(bare)
    assert row.choices == 6


def test_the_table_is_aligned_ascii_and_says_what_it_means(descent):
    text = format_table(summary([descent, descent]))
    lines = text.splitlines()
    assert text.isascii()
    head = lines[0]
    assert " ".join(head.split()) == (
        "landscape rule success 95 % interval median 90 % diverged steps/s at"
    )
    column = head.index("at", head.index("steps/s"))
    body = [line for line in lines[2:] if "best of 3" in line]
    assert len(body) == 4
    assert all(line[column:].startswith("condition_number=") for line in body)
    assert "success: the loss came within 0.01 of the known minimum." in lines


def test_an_interrupted_result_is_marked(descent):
    stopped = descent.copy()
    stopped.attrs["interrupted"] = 1
    text = format_table(summary(stopped))
    assert "GradientDescent(learning_rate=[0.01, 0.05, 0.3]) *" in text
    assert "interrupted" in text.splitlines()[-1]


def test_csv_keeps_all_digits(descent):
    rows = summary(descent, rows="all")
    read = list(csv.DictReader(io.StringIO(to_csv(rows))))
    assert len(read) == 6
    for row, line in zip(rows, read, strict=True):
        assert float(line["success_low"]) == row.success_low
        assert float(line["learning_rate"]) == row.configuration["learning_rate"]
        assert int(line["median"]) == row.median


def test_unknown_rows(descent):
    with pytest.raises(InvalidValueError, match="rows"):
        summary(descent, rows="worst")


@pytest.mark.parametrize(
    ("minimum", "says"),
    [
        (0.0, "success: the loss came within 0.01 of the known minimum."),
        ("varies", "success: the loss came within 0.01 of the known minimum."),
        ("unknown", "success: the loss was at most 0.01."),
    ],
)
def test_the_table_says_what_a_success_is(descent, minimum, says):
    ds = descent.copy()
    ds.attrs["minimum"] = minimum
    lines = format_table(summary(ds)).splitlines()
    assert [line for line in lines if line.startswith("success")] == [says]
    mixed = format_table(summary([descent, ds]))
    assert ("success where no minimum is known: the loss was at most 0.01." in mixed) == (
        minimum == "unknown"
    )
