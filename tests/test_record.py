"""Recorded steps: naive twins, exactness, round trips, errors."""

from __future__ import annotations

import doctest
import pickle

import numpy as np
import pytest

from fastdescent import parts, record
from fastdescent.errors import InvalidValueError
from fastdescent.record import Every, LogSpaced, Record, Steps

EXAMPLES = [record.every(10), record.log_spaced(200), record.steps([5, 0, 5, 100])]
BUDGETS = [1, 2, 3, 10, 99, 100, 101, 12_345]


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("part", EXAMPLES[:2], ids=repr)
def test_ascending_unique_within_and_with_both_ends(part, budget):
    steps = part.steps_for(budget)
    assert steps.dtype == np.int64
    assert steps[0] == 0
    assert steps[-1] == budget
    assert (np.diff(steps) > 0).all()


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("k", [1, 2, 7, 100, 20_000])
def test_every_equals_its_definition(k, budget):
    expected = [t for t in range(budget + 1) if t % k == 0 or t == budget]
    assert record.every(k).steps_for(budget).tolist() == expected


@pytest.mark.parametrize("budget", BUDGETS)
@pytest.mark.parametrize("count", [2, 3, 10, 50])
def test_log_spaced_is_within_half_a_step_of_the_power(count, budget):
    steps = record.log_spaced(count).steps_for(budget)
    assert len(steps) <= count + 1
    powers = budget ** (np.arange(count) / (count - 1))
    # Each power has a recorded step within one half, and each step a power; 1e-9 is the
    # rounding of the twin's own powers at this size.
    distance = np.abs(powers[:, None] - steps[None, 1:])
    assert (distance.min(axis=1) <= 0.5 + 1e-9).all()
    assert (distance.min(axis=0) <= 0.5 + 1e-9).all()


def test_log_spaced_hits_powers_of_ten_exactly():
    steps = record.log_spaced(10).steps_for(10**9)
    assert steps.tolist() == [0, *(10**k for k in range(10))]


def test_steps_are_sorted_and_named_once():
    assert record.steps([5, 0, 5, 100]).steps_for(100).tolist() == [0, 5, 100]
    assert record.steps(range(3)).steps_for(2).tolist() == [0, 1, 2]
    assert record.steps(np.array([4, 2])).steps_for(9).tolist() == [2, 4]


def test_examples_cover_the_registry():
    assert {type(part).__name__ for part in EXAMPLES} == set(parts.names("record"))


@pytest.mark.parametrize("part", EXAMPLES, ids=repr)
def test_round_trips(part):
    assert Record.from_table(part.to_table()) == part
    assert pickle.loads(pickle.dumps(part)) == part
    assert eval(repr(part), vars(record)) == part


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: record.every(0), "Every.interval: got 0"),
        (lambda: record.every(2.0), "Every.interval: got 2.0"),
        (lambda: record.every(True), "Every.interval: got True"),
        (lambda: record.log_spaced(1), "LogSpaced.count: got 1"),
        (lambda: record.steps([]), "Steps.steps: got ()"),
        (lambda: record.steps(7), "Steps.steps: got 7"),
        (lambda: record.steps([1, -1]), "Steps.steps: got -1"),
        (lambda: record.steps([1, 2.5]), "Steps.steps: got 2.5"),
        (lambda: record.steps([1, True]), "Steps.steps: got True"),
        (lambda: record.steps([[1, 2]]), "Steps.steps: got "),
        (lambda: record.steps("12"), "Steps.steps: got '1'"),
        (lambda: record.steps([1, 2**63]), "Steps.steps: got "),
        (lambda: record.steps([10, 101]).steps_for(100), "Steps.steps: got 101"),
        (lambda: Record.from_table({"name": "Every"}), "Every: got {'name': 'Every'}"),
    ],
)
def test_wrong_values_are_one_error_that_names_the_part(make, message):
    with pytest.raises(InvalidValueError) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_classes_and_functions_agree():
    assert record.every(3) == Every(interval=3)
    assert record.log_spaced(3) == LogSpaced(count=3)
    assert record.steps([1, 2]) == Steps(steps=[1, 2])


def test_documentation_runs():
    result = doctest.testmod(record)
    assert result.failed == 0
    assert result.attempted >= 7
