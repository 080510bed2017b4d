"""The judge of landscapes: it must pass what is right and find what is wrong."""

from __future__ import annotations

import time

import numpy as np
import pytest

import fastdescent as fd
from fastdescent import checking
from fastdescent.checking import Report, check_landscape, check_once, require_defined
from fastdescent.contracts import JIT
from fastdescent.errors import InvalidValueError
from fastdescent.symbolic import landscape

FEW = 200 if JIT else 20


@fd.kernel("landscape")
def loss_and_gradient(theta, params, data, batch, loss, grad):
    """x^2 + 3 y^4; what is added to each slope, relative, and whether NaN is hidden."""
    for lane in range(loss.shape[0]):
        x, y = theta[0, lane], theta[1, lane]
        value = x * x + 3.0 * y * y * y * y
        loss[lane] = value if params[2, lane] == 0.0 or value < 1e9 else 1.0
        grad[0, lane] = 2.0 * x * (1.0 + params[0, lane])
        grad[1, lane] = 12.0 * y * y * y * (1.0 + params[1, lane])


@fd.kernel("hessian")
def hessian(theta, params, data, hess):
    for lane in range(theta.shape[1]):
        y = theta[1, lane]
        hess[0, 0, lane] = 2.0 * (1.0 + params[0, lane])
        hess[0, 1, lane] = hess[1, 0, lane] = params[3, lane]
        hess[1, 1, lane] = 36.0 * y * y * (1.0 + params[1, lane])


class Doubtful(fd.Landscape):
    """A landscape that is right by default."""

    kernel = loss_and_gradient
    hessian_kernel = hessian
    bounds = (-2.0, 2.0)
    dim = 2
    along_x: fd.Values = fd.parameter(default=0.0)
    along_y: fd.Values = fd.parameter(default=0.0)
    hides: fd.Values = fd.parameter(default=0.0)
    twist: fd.Values = fd.parameter(default=0.0)
    lowest: float = fd.option(default=0.0)

    @property
    def minima(self):
        return np.array([[0.0, 0.0]])

    @property
    def minimum(self):
        return self.lowest


@pytest.fixture(autouse=True)
def _nothing_checked_yet(monkeypatch):
    monkeypatch.setattr(checking, "_CHECKED", set())


def wrong(report):
    return [finding.what for finding in report.findings if not finding.ok]


@pytest.mark.parametrize(
    "known",
    [
        fd.landscapes.Rosenbrock(dim=4),
        fd.landscapes.Ackley(),
        fd.landscapes.Michalewicz(),  # the steepest ripples
        fd.landscapes.Easom(),  # flat nearly everywhere
        fd.landscapes.Schwefel(),  # wide
        fd.landscapes.Lessard(),  # corners of the gradient
        Doubtful(),
    ],
    ids=repr,
)
def test_right_landscapes_pass(known):
    report = check_landscape(known, points=FEW)
    assert report.ok, str(report)
    check_once(known)


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ({"along_x": 0.01}, ["gradient"]),
        ({"along_y": -2.0}, ["gradient"]),
        ({"along_x": -1.0}, ["gradient"]),
        ({"along_x": 1e300}, ["gradient"]),
        ({"hides": 1.0}, ["divergence"]),
        ({"twist": 0.1}, ["hessian"]),
        ({"lowest": 0.1}, ["minima"]),
        ({"lowest": -0.1}, ["minima"]),
    ],
    ids=str,
)
def test_wrong_landscapes_are_found(fault, found):
    report = check_landscape(Doubtful(**fault), points=FEW)
    assert not report.ok
    assert wrong(report) == found, str(report)
    assert "WRONG" in str(report)


@pytest.mark.parametrize(
    "fault", [{"along_x": 0.01}, {"along_y": -2.0}, {"along_y": 1.7e308}], ids=str
)
def test_a_wrong_gradient_is_named_with_its_coordinate(fault):
    with pytest.raises(InvalidValueError) as caught:
        check_once(Doubtful(**fault))
    message = str(caught.value)
    assert f"gradient[{['along_x', 'along_y'].index(*fault)}]" in message
    assert "check_landscape" in message


def test_it_is_checked_once_per_kernel_and_process(monkeypatch):
    calls = []
    monkeypatch.setattr(checking, "_require_slopes", calls.append)
    check_once(Doubtful())
    check_once(Doubtful(lowest=1.0))
    assert len(calls) == 1
    check_once(landscape("x**2 + y**2"))
    check_once(landscape("x**2 + 2*y**2"))
    check_once(landscape("x**2 + y**2", name="again"))
    assert len(calls) == 3


def test_the_packages_own_landscapes_need_no_check_before_use(monkeypatch):
    calls = []
    monkeypatch.setattr(checking, "_require_slopes", calls.append)
    model = fd.models.LinearRegression(fd.data.GaussianLinear(2, count=5))
    known, written, own = fd.landscapes.Beale(), landscape("x**2 + y**2"), Doubtful()
    assert [one.built_in for one in (known, model, written, own)] == [True, True, False, False]
    for one in (known, model, written, own):
        checking.check_before_use(one)
    assert calls == [written, own]


def test_a_gradient_that_is_found_wrong_is_found_wrong_again():
    for _ in range(2):
        with pytest.raises(InvalidValueError):
            check_once(Doubtful(along_x=1.0))


@pytest.mark.skipif(not JIT, reason="plain Python is slow")
def test_the_cheap_form_takes_milliseconds():
    known = fd.landscapes.Rosenbrock(dim=100)
    known.value(np.zeros(100))  # compiled
    began = time.perf_counter()
    check_once(known)
    assert time.perf_counter() - began < 0.1  # 2 ms on a quiet machine


@pytest.mark.parametrize(
    "text",
    [
        "log(x) + y**2",  # not defined in half of the domain
        "sqrt(x**2 + y**2 - 30)",  # not defined in the middle
        "log(x - 9)*y",  # nowhere
        "abs(sin(50*x)) + abs(y)",  # corners everywhere
        "where(sin(40*x) > 0, 1, -1) + y**2",  # jumps everywhere
        "3",
        "1e-200*x + y*0",
        "1e12 + x",  # rounding hides the slope
        "exp(100*x)*y",  # 400 orders of magnitude
        "maximum(x, y, 0)**2",
    ],
)
def test_odd_but_right_formulas_pass(text):
    formula = landscape(text, dim=2)
    check_once(formula)
    report = check_landscape(formula, points=FEW)
    assert wrong(report) == (["loss"] if "log(x - 9)" in text else []), str(report)


def test_a_sweep_is_checked_at_its_ends():
    swept = Doubtful(twist=[0.0, 1.0, 0.1])
    assert wrong(check_landscape(swept, points=FEW)) == ["hessian (twist = 0.1)"]
    check_once(swept)


def test_many_coordinates_are_checked_along_random_directions():
    many = fd.landscapes.Rosenbrock(dim=100)
    assert check_landscape(many, points=5).ok


def test_the_report_is_a_small_table():
    report = check_landscape(Doubtful(), points=20)
    assert isinstance(report, Report)
    lines = str(report).splitlines()
    assert lines[0] == "Doubtful()"
    assert [line.split()[0] for line in lines[1:]] == [
        *("domain", "loss", "divergence", "gradient", "hessian", "minima")
    ]
    assert repr(report) == str(report)


@pytest.mark.parametrize("bounds", [(1.0, -1.0), (0.0, np.inf), [(0.0, 1.0), (2.0, 2.0)]], ids=str)
def test_a_wrong_domain_is_found(monkeypatch, bounds):
    monkeypatch.setattr(Doubtful, "bounds", bounds)
    assert wrong(check_landscape(Doubtful())) == ["domain"]
    check_once(Doubtful())  # nothing to draw points from


def test_what_is_no_landscape_is_refused():
    with pytest.raises(InvalidValueError, match="a landscape"):
        check_landscape(Doubtful)
    with pytest.raises(InvalidValueError, match="at least 1"):
        check_landscape(Doubtful(), points=0)


def test_starts_without_a_loss_are_reported():
    formula = landscape("log(x) + y**2")
    require_defined(formula, [[-1.0, 0.0], [1.0, 0.0]])
    with pytest.raises(InvalidValueError) as caught:
        require_defined(formula, [[-1.0, 0.0], [-2.0, 0.0]])
    assert "loss nan at [-1, 0]" in str(caught.value)
