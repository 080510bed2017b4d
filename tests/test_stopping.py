"""Stopping tests: values, round trips, errors."""

from __future__ import annotations

import doctest
import math
import pickle

import numpy as np
import pytest

from fastdescent import stopping
from fastdescent.errors import InvalidValueError, UnknownNameError
from fastdescent.stopping import Stop, Stopping

EXAMPLES = [
    Stop(),
    Stop(loss=1e-8),
    Stop(loss=-3, gradient_norm=0.0),
    Stop(radius=1e6, loss=np.float64(0.5), gradient_norm=1e-3),
]


@pytest.mark.parametrize("stop", EXAMPLES, ids=repr)
def test_round_trips(stop):
    assert Stopping.from_table(stop.to_table()) == stop
    assert Stop.from_table(stop.to_table()) == stop
    assert pickle.loads(pickle.dumps(stop)) == stop
    assert eval(repr(stop), vars(stopping)) == stop


def test_what_is_not_given_is_not_written():
    assert Stop(loss=1e-8).to_table() == {"name": "Stop", "loss": 1e-8}
    assert repr(Stop()) == "Stop()"


def test_numbers_become_floats():
    stop = Stop(loss=np.int64(0), gradient_norm=1, radius=np.float32(2))
    values = (stop.loss, stop.gradient_norm, stop.radius)
    assert values == (0.0, 1.0, 2.0)
    assert all(type(value) is float for value in values)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("loss", math.nan),
        ("loss", math.inf),
        ("loss", "small"),
        ("loss", True),
        ("loss", (1e-4, 1e-8)),
        ("gradient_norm", -1e-9),
        ("gradient_norm", math.inf),
        ("radius", 0.0),
        ("radius", -1.0),
        ("radius", math.nan),
    ],
)
def test_wrong_values_are_one_error_that_names_the_part(name, value):
    with pytest.raises(InvalidValueError) as caught:
        Stop(**{name: value})
    assert str(caught.value).startswith(f"Stop.{name}: got {value!r}, allowed is ")


def test_a_wrong_key_offers_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'gradient_norm'"):
        Stop.from_table({"name": "Stop", "gradient": 1.0})


def test_documentation_runs():
    result = doctest.testmod(stopping)
    assert result.failed == 0
    assert result.attempted >= 1
