"""Points and regions: known places, closed forms, margins, and what no label may depend on."""

from __future__ import annotations

import dataclasses
import doctest
import functools
import importlib
import inspect

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

import fastdescent as fd
from fastdescent import geometry as g
from fastdescent import memory
from fastdescent.contracts import JIT
from fastdescent.errors import InvalidValueError, MemoryLimitError
from fastdescent.geometry.points import KINDS, classify_points
from fastdescent.geometry.regions import (
    REGIONS,
    Thresholds,
    classify_regions,
    region_fractions,
)
from fastdescent.geometry.scales import Scales, scales
from fastdescent.geometry.terrain import quantile_intervals
from fastdescent.statistics import wilson_interval

UNIT = Scales(length=1.0, loss=1.0)
COUNT = 4000 if JIT else 60


@pytest.mark.parametrize("name", ["points", "regions", "scales"])
def test_documentation(name):
    module = importlib.import_module(f"fastdescent.geometry.{name}")
    found = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert found.attempted > 0
    assert found.failed == 0


def label(landscape, point, thresholds=None, scale=UNIT):
    return classify_regions(landscape, point, thresholds, scale=scale).region.item()


def quadratic(*eigenvalues):
    """f = sum of c_i x_i^2 / 2, so that the eigenvalues are those given."""
    terms = " + ".join(f"{0.5 * c!r} * x[{i}]**2" for i, c in enumerate(eigenvalues))
    return fd.landscape(terms, dim=len(eigenvalues), domain=(-0.5, 0.5))


@fd.kernel("landscape")
def quartic_slope(theta, params, data, batch, loss, grad):
    for lane in range(theta.shape[1]):
        x, y = theta[0, lane], theta[1, lane]
        loss[lane] = x * (x * (x * (0.25 * x - 1.0) + 1.5) - 1.0) + params[0, lane] * y * y
        grad[0, lane] = x * (x * (x - 3.0) + 3.0) - 1.0
        grad[1, lane] = 2.0 * params[0, lane] * y


class ValueOnly(fd.Landscape):
    """(x - 1)^4 / 4 + a y^2, multiplied out as people do, without a Hessian."""

    kernel = quartic_slope
    dim = 2
    bounds = (-2.0, 2.0)
    a: fd.Values = fd.parameter(default=1.0)


# Scales.


def test_the_scales_of_a_square_bowl_are_those_of_its_distribution():
    """x^2 on [-1, 1] has the median 1/4; that of 4096 points has the standard error 0.0078.

    The density of x^2 at its median is 1, so the error is 1 / (2 sqrt(4096)); 4.5 of it.
    """
    bowl = fd.landscape("x**2", domain=(-1.0, 1.0))
    found = scales(bowl)
    assert found.length == 2.0
    assert abs(found.loss - 0.25) < 4.5 * 0.0079
    assert found.gradient == found.loss / 2.0
    assert found.curvature == found.loss / 4.0
    assert scales(bowl, (-2.0, 2.0)).length == 4.0


def test_the_length_is_the_root_mean_square_of_the_sides():
    flat = fd.landscape("x + 0*y", dim=2, domain=[(0.0, 3.0), (0.0, 4.0)])
    assert scales(flat).length == np.sqrt(12.5)


def test_known_minima_inside_the_box_count():
    needle = fd.landscapes.Easom()
    assert scales(needle).loss == pytest.approx(1.0, abs=1e-6)
    assert scales(needle, (-90.0, -80.0)).loss < 1e-6  # and those outside do not


def test_a_constant_loss_has_no_height_and_is_flat():
    constant = fd.landscape("0*x + 0*y + 3", dim=2)
    assert scales(constant).loss == 0.0
    assert label(constant, [1.0, 1.0], scale=None) == "flat"


@pytest.mark.parametrize(
    "box", [(1.0, 1.0), (2.0, 1.0), (0.0, np.inf), [[0.0, 1.0]] * 3, "box", (0.0, np.nan)]
)
def test_a_box_is_checked(box):
    with pytest.raises(InvalidValueError, match=r"^box: got .* lower < upper"):
        scales(fd.landscapes.Himmelblau(), box)


def test_scales_need_a_finite_loss_and_are_checked():
    with pytest.raises(InvalidValueError, match="finite somewhere"):
        scales(fd.landscape("log(x)", domain=(-2.0, -1.0)))
    with pytest.raises(InvalidValueError, match="count"):
        scales(fd.landscapes.Himmelblau(), count=1)
    for bad in ({"length": 0.0, "loss": 1.0}, {"length": 1.0, "loss": np.nan}):
        with pytest.raises(InvalidValueError, match="Scales"):
            Scales(**bad)


# Points.


# Other tests register landscapes of their own.
CATALOGUE = [
    name
    for name in fd.landscapes.names()
    if fd.landscapes.get(name).__module__.startswith("fastdescent.")
]


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_known_critical_points_of_the_catalogue(name):
    landscape = fd.landscapes.get(name)()
    known = landscape.critical_points()[:200]
    if not known:
        pytest.skip("none known")
    ds = classify_points(landscape, np.array([point.position for point in known]))
    assert ds.kind.values.tolist() == [point.kind for point in known]
    assert float(ds.margin.min()) > 3.0
    lowest = ds.value <= landscape.minimum + 1e-9 if landscape.minimum is not None else False
    expected = (ds.kind == "minimum") & lowest
    assert np.array_equal(ds.scope == "global", expected)
    assert set(ds.kind.values) <= set(KINDS)


def test_himmelblau_as_published():
    """Validation, section 5: printed with eight digits."""
    published = {
        (3.0, 2.0): ("minimum", 0, 0.0, (25.715729, 82.284271)),
        (-2.80511809, 3.13131252): ("minimum", 0, 0.0, (64.840373, 80.550072)),
        (0.08667750, 2.88425470): ("saddle", 1, 67.71915009, None),
        (-3.07302575, -0.08135304): ("saddle", 1, 104.0151629, None),
        (-0.27084459, -0.92303856): ("maximum", 2, 181.61652152, None),
        (0.0, 0.0): ("regular", -1, 170.0, None),
    }
    ds = classify_points(fd.landscapes.Himmelblau(), list(published))
    for i, (kind, index, value, eigenvalues) in enumerate(published.values()):
        at = ds.isel(point=i)
        assert (at.kind.item(), at["index"].item()) == (kind, index)
        assert at.value.item() == pytest.approx(value, rel=1e-8, abs=1e-12)
        if eigenvalues:
            np.testing.assert_allclose(at.eigenvalues, eigenvalues, rtol=1e-7)


@pytest.mark.parametrize(
    ("formula", "kind", "index"),
    [
        ("x**3 - 3*x*y**2", "degenerate", 0),
        ("x**4 + y**4", "degenerate", 0),
        ("x**4 - y**4", "degenerate", 0),
        ("-x**4 - y**4", "degenerate", 0),
        ("x**2 + y**4", "degenerate", 0),
        ("-x**2 + y**4", "degenerate", 1),
        ("x**2 - y**2 + 0*x", "saddle", 1),
        ("x**2 + 1e-10*y**2", "minimum", 0),
    ],
)
def test_curvature_says_only_what_it_knows(formula, kind, index):
    ds = classify_points(fd.landscape(formula, domain=(-2.0, 2.0)), [0.0, 0.0])
    assert (ds.kind.item(), ds["index"].item()) == (kind, index)


def test_two_signs_make_a_saddle_whatever_the_others_are():
    ds = classify_points(fd.landscape("x[0]**2 - x[1]**2 + x[2]**4", dim=3), [0.0, 0.0, 0.0])
    assert (ds.kind.item(), ds["index"].item()) == ("saddle", 1)


@pytest.mark.parametrize("distance", [1e-4, 1e-6, 1e-9])
def test_curvature_next_to_a_degenerate_point_is_not_its_own(distance):
    """The Hessian there has two signs, or one; a Newton step halves it."""
    for formula in ("x**3 - 3*x*y**2", "x**4 + y**4"):
        steep = fd.landscape(formula, domain=(-2.0, 2.0))
        ds = classify_points(steep, [distance, 0.7 * distance], gradient=1e-5)
        assert ds.kind.item() == "degenerate"


@pytest.mark.parametrize("shift", [1e-9, 1e-7])
def test_next_to_a_minimum_is_as_good_as_there(shift):
    ds = classify_points(fd.landscapes.Himmelblau(), [3.0 + shift, 2.0 - shift])
    assert ds.kind.item() == "minimum"


def test_scope_is_what_is_known():
    two_wells = fd.landscapes.DoubleWell()
    ds = classify_points(two_wells, [[p.position[0]] for p in two_wells.critical_points()])
    assert sorted(ds.scope.values[ds.kind == "minimum"]) in (["global", "local"], ["global"] * 2)
    assert "known minimum" in ds.scope_from
    unknown = fd.landscape("x**4 - 3*x**2 + x")
    roots = np.sort(np.roots([4.0, 0.0, -6.0, 1.0]).real)
    found = classify_points(unknown, roots[:, None])
    assert found.kind.values.tolist() == ["minimum", "maximum", "minimum"]
    assert found.scope.values.tolist() == ["unknown", "unknown", "local"]
    assert "lowest" in found.scope_from
    higher = classify_points(unknown, np.append(roots, 3.0)[:, None])
    assert higher.scope.values.tolist() == ["unknown", "local", "local", "unknown"]


@pytest.mark.parametrize("side", [2.0, 1e3, 1e5])
def test_the_size_of_the_domain_does_not_make_a_higher_minimum_global(side):
    # Minima of -0.1 and 0.1; the usual height of the loss is 6e10 and 6e18 in the large ones.
    text = "(x**2 - 1)**2 + 0.1*x"
    tilted = fd.landscape(text, minimum=-0.10061737663815833, domain=(-side, side))
    points = [[-1.0122731310326816], [-1.012273131], [0.98725748]]
    ds = classify_points(tilted, points)
    assert ds.kind.values.tolist() == ["minimum"] * 3
    assert ds.scope.values.tolist() == ["global", "global", "local"]
    ds = classify_points(fd.landscape(text, domain=(-side, side)), points)
    assert ds.scope.values.tolist() == ["unknown", "unknown", "local"]


def test_a_minimum_given_with_few_digits_is_as_low_as_the_known_one():
    # 1e-6 off the loss is 4e-12, which one Newton step undoes; at the other minimum it is 0.04.
    double = fd.landscape("(x - 1)**2*((x + 1)**2 + 0.01)", minimum=0.0, domain=(-1e4, 1e4))
    other = -0.5 - 0.25 * np.sqrt(4.0 - 0.08)
    ds = classify_points(double, [[1.000001], [other]])
    assert ds.kind.values.tolist() == ["minimum"] * 2
    assert ds.scope.values.tolist() == ["global", "local"]


def test_points_that_are_not_finite_are_regular():
    ds = classify_points(fd.landscapes.Himmelblau(), [[np.nan, 0.0], [np.inf, 1.0], [3.0, 2.0]])
    assert ds.kind.values.tolist() == ["regular", "regular", "minimum"]
    assert ds["index"].values.tolist() == [-1, -1, 0]


@pytest.mark.parametrize(("sign", "index"), [(0.1, 0), (-0.1, 1)])
def test_a_hessian_of_differences_decides_no_more_than_its_error_allows(sign, index):
    """At (1, 0) nothing curves along x, and differences leave some 1e-11 of it, of any sign."""
    ds = classify_points(ValueOnly(a=sign), [1.0, 0.0])
    assert 1e-12 < float(np.abs(ds.eigenvalues).min()) / (ds.height / ds.length**2) < 1e-9
    assert ds.kind.item() == "degenerate"
    assert ds["index"].item() == index
    assert ds.attrs["hessian"] == "differences"
    assert classify_points(fd.landscapes.Saddle(), [0.0, 0.0]).attrs["hessian"] == "analytic"


# Regions: places whose answer is plain.


@pytest.mark.parametrize(
    ("tenths", "expected"),
    [
        ((1.0, 1.0), "valley"),
        ((1.0, 9.9), "valley"),
        ((1.0, 10.0), "ravine"),
        ((1.0, 1e6), "ravine"),
        ((0.0, 1.0), "ravine"),
        ((-0.9e-3, 1.0), "ravine"),
        ((-1.1e-3, 1.0), "indefinite"),
        ((-1.0, 0.9e-3), "concave"),
        ((-1.0, 1.1e-3), "indefinite"),
        ((-1.0, -5.0), "concave"),
        ((1.0, 1.0, -0.5), "indefinite"),
        ((1.0, 3.0, 5.0, 11.0), "ravine"),
        ((0.01, 0.01), "flat"),
    ],
)
def test_quadratics_are_what_their_eigenvalues_say(tenths, expected):
    eigenvalues = 10.0 * np.array(tenths)
    assert label(quadratic(*eigenvalues.tolist()), np.zeros(len(tenths))) == expected


def test_a_flat_place_has_neither_gradient_nor_curvature():
    """Within a radius of 0.1: g 0.1 + c 0.01 / 2 is one percent."""
    assert label(fd.landscape("0.099*x + 0*y", dim=2), [0.0, 0.0]) == "flat"
    assert label(fd.landscape("0.101*x + 0*y", dim=2), [0.0, 0.0]) == "indefinite"  # a plane
    assert label(fd.landscape("0.99*x**2 + 0*y", dim=2), [0.0, 0.0]) == "flat"
    assert label(fd.landscape("1.01*x**2 + 0*y", dim=2), [0.0, 0.0]) == "ravine"
    ds = classify_regions(fd.landscape("0.03*x + x**2", domain=(-1.0, 1.0)), [0.5], scale=UNIT)
    assert ds.flatness.item() == pytest.approx(1.03 * 0.1 + 2.0 * 0.005, rel=1e-12)


def test_a_power_has_a_flat_floor_of_known_width():
    """x^4: 4 x^3 r + 6 x^2 r^2 = 0.01 at r = 0.1 has the root x = 0.2148."""
    root = float(max(np.roots([0.4, 0.06, 0.0, -0.01]).real))
    quartic = fd.landscape("x**4", domain=(-0.5, 0.5))
    assert label(quartic, [root - 1e-6]) == "flat"
    assert label(quartic, [root + 1e-6]) == "valley"


def test_where_nothing_is_finite_there_is_no_region():
    ds = classify_regions(
        fd.landscapes.Himmelblau(), [[np.nan, 0.0], [1e200, 0.0], [3.0, 2.0]], outside="keep"
    )
    assert ds.region.values.tolist() == ["", "", "valley"]
    assert np.isnan(ds.margin.values[:2]).all()


def test_the_notes_homework():
    """Rosenbrock is a canal on its floor round the bend and a ravine on its straight limbs."""
    banana = fd.landscapes.Rosenbrock(dim=2)
    x = np.array([0.0, 0.5, -0.5, 1.0, 1.6, -1.6])
    ds = classify_regions(banana, np.stack([x, x * x], axis=1), outside="keep")
    assert ds.region.values.tolist() == ["canal"] * 4 + ["ravine"] * 2
    assert label(fd.landscapes.Himmelblau(), [3.0, 2.0], scale=None) == "valley"
    assert label(fd.landscapes.Himmelblau(), [-0.27, -0.92], scale=None) == "concave"
    assert label(fd.landscapes.Ravine(), [1.0, 1.0], scale=None) == "ravine"
    assert label(fd.landscapes.Easom(), [0.0, 0.0], scale=None) == "flat"
    assert label(fd.landscapes.Saddle(), [0.3, 0.0], scale=None) == "indefinite"


# The turn of a floor.


def test_rosenbrock_turns_as_its_closed_form_says():
    """At (x, x^2) the Hessian is [[2 + 800 x^2, -400 x], [-400 x, 200]].

    Its derivatives by x and y are [[2400 x, -400], [-400, 0]] and [[-400, 0], [0, 0]].
    """
    x = np.linspace(-1.2, 1.2, 13)
    ds = classify_regions(fd.landscapes.Rosenbrock(dim=2), np.stack([x, x * x], axis=1), scale=UNIT)
    for at, turn in zip(x, ds.turn.values, strict=True):
        hess = np.array([[2.0 + 800.0 * at**2, -400.0 * at], [-400.0 * at, 200.0]])
        low, high = np.linalg.eigvalsh(hess)
        soft, steep = np.linalg.eigh(hess)[1].T
        by_x = np.array([[2400.0 * at, -400.0], [-400.0, 0.0]])
        by_y = np.array([[-400.0, 0.0], [0.0, 0.0]])
        rate = abs(steep @ (soft[0] * by_x + soft[1] * by_y) @ soft) / (high - low)
        reach = min(1.0, np.sqrt(2.0 / max(low, 1e-3 * high)))
        # Central differences at the third root of the round-off: about 1e-10 of the Hessian.
        assert turn == pytest.approx(rate * reach, rel=1e-7, abs=1e-8)


@pytest.mark.parametrize("radius", [0.5, 3.0, 10.0])
def test_a_ring_turns_once_in_its_circumference(radius):
    """f = k (r - R)^2 / 2: on the floor the flat direction is the tangent, which turns by 1/R."""
    ring = fd.landscape(f"100*(sqrt(x**2 + y**2) - {radius})**2", domain=(-11.0, 11.0))
    angle = np.linspace(0.1, 6.0, 7)
    points = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    ds = classify_regions(ring, points, scale=UNIT)
    reach = min(1.0, np.sqrt(2.0 / (1e-3 * 200.0)))
    np.testing.assert_allclose(ds.turn, reach / radius, rtol=1e-6)  # differences, as above
    assert set(ds.region.values) == {"canal" if reach / radius >= 0.5 else "ravine"}


def test_a_straight_ravine_does_not_turn():
    ds = classify_regions(fd.landscapes.Ravine(), np.random.default_rng(0).normal(size=(20, 2)))
    assert float(ds.turn.max()) < 1e-9


# What labels may not depend on.

LOSSES = {
    "himmelblau": "(x**2 + y - 11)**2 + (x + y**2 - 7)**2",
    "rosenbrock": "(1 - x)**2 + 100*(y - x**2)**2",
    "waves": "sin(3*x) + cos(2*y) + 0.3*x*y",
}


def transformed(formula, angle, stretch, height):
    """height f(R x / stretch): the loss turned, stretched and raised."""
    inner = {
        "himmelblau": lambda x, y: (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2,
        "rosenbrock": lambda x, y: (1 - x) ** 2 + 100 * (y - x**2) ** 2,
        "waves": lambda x, y: fd.math.sin(3 * x) + fd.math.cos(2 * y) + 0.3 * x * y,
    }[formula]

    def loss(x, c, s, w, h):
        u, v = w * x[0], w * x[1]
        return h * inner(c * u - s * v, s * u + c * v)

    c, s = float(np.cos(angle)), float(np.sin(angle))
    # Parameters, so that one kernel serves them all.
    params = {"c": c, "s": s, "w": 1.0 / stretch, "h": height}
    return fd.landscape(loss, dim=2, params=params), np.array([[c, -s], [s, c]])


@settings(max_examples=15 if JIT else 4, deadline=None)
@given(
    formula=st.sampled_from(sorted(LOSSES)),
    angle=st.sampled_from([0.0, 0.3, 1.0, 2.5]),
    power=st.sampled_from([-3, 0, 4]),
    height=st.sampled_from([1.0, 1e-6, 3.7e5]),
    seed=st.integers(0, 100),
)
def test_labels_do_not_change_with_units_or_axes(formula, angle, power, height, seed):
    """Nor do margins, but for round-off; points next to a threshold may fall either way."""
    stretch = 2.0**power
    plain = fd.landscape(LOSSES[formula])
    other, turn = transformed(formula, angle, stretch, height)
    points = np.random.default_rng(seed).uniform(-2.0, 2.0, size=(50, 2))
    unit = scales(plain)
    moved = Scales(unit.length * stretch, unit.loss * height)
    one = classify_regions(plain, points, scale=unit)
    two = classify_regions(other, stretch * (points @ turn), scale=moved, outside="keep")
    clear = one.margin.values > 1e-6
    assert clear.sum() > 40
    assert np.array_equal(one.region.values[clear], two.region.values[clear])
    # The turn comes from differences, with an error of some 1e-9 of a Hessian that is 1e3 itself.
    np.testing.assert_allclose(one.margin, two.margin, rtol=1e-4, atol=1e-4)


def test_kinds_do_not_change_with_units_or_axes():
    plain = fd.landscapes.Himmelblau()
    known = np.array([point.position for point in plain.critical_points()])
    unit = scales(plain)
    for angle, stretch, height in ((0.7, 1e3, 1e-9), (2.0, 1e-4, 1e12)):
        other, turn = transformed("himmelblau", angle, stretch, height)
        moved = Scales(unit.length * stretch, unit.loss * height)
        one = classify_points(plain, known, scale=unit)
        two = classify_points(other, stretch * (known @ turn), scale=moved, outside="keep")
        assert one.kind.values.tolist() == two.kind.values.tolist()


# Margins and fractions.


@pytest.mark.parametrize("name", ["Himmelblau", "Rosenbrock", "Plateau", "WindingCanal"])
def test_a_label_changes_just_beyond_its_margin_and_not_before(name):
    """By moving each threshold that can be moved that far, up and down."""
    landscape = fd.landscapes.get(name)()
    points = fd.starts.Uniform(count=COUNT // 10).points(landscape, 1)
    unit = scales(landscape)
    ds = classify_regions(landscape, points, scale=unit)
    margin, before = ds.margin.values, ds.region.values
    changed = np.zeros(len(points), dtype=bool)
    for i in range(0, len(points), 4):
        if not np.isfinite(margin[i]) or margin[i] > 1.5:
            changed[i] = True  # a threshold cannot be moved by more here
            continue
        inside = [label_moved(landscape, points[i], by * 0.98 * margin[i], unit) for by in (-1, 1)]
        assert set(np.concatenate(inside)) == {before[i]}
        outside = [label_moved(landscape, points[i], by * 1.02 * margin[i], unit) for by in (-1, 1)]
        changed[i] = (np.concatenate(outside) != before[i]).any()
    assert changed[::4].all()


def label_moved(landscape, point, decades, unit):
    """Labels with each of the thresholds moved alone."""
    usual = Thresholds()
    return [
        label(landscape, point, usual_but(usual, name, 10.0**decades), scale=unit)
        for name in ("change", "negative", "ravine", "turn")
        if name != "ravine" or usual.ravine * 10.0**decades > 1.0
    ]


def usual_but(usual, name, factor):
    value = getattr(usual, name) * factor
    if name == "negative":
        value = min(value, 0.0999)
    if name == "ravine":
        value = min(value, 999.0)
    return dataclasses.replace(usual, **{name: value})


def test_fractions_are_those_of_the_labels_and_of_the_moved_thresholds():
    landscape = fd.landscapes.Rosenbrock(dim=2)
    points = fd.starts.Uniform(count=COUNT).points(landscape, 0)
    ds = classify_regions(landscape, points)
    found = region_fractions(ds, factor=2.0)
    assert found.region.values.tolist() == list(REGIONS)
    assert float(found.fraction.sum()) == pytest.approx(1.0, abs=1e-12)
    labels = [ds.region.values]
    for name in ("change", "negative", "ravine", "turn"):
        for factor in (0.5, 2.0):
            moved = dataclasses.replace(
                Thresholds(), **{name: getattr(Thresholds(), name) * factor}
            )
            labels.append(classify_regions(landscape, points, moved).region.values)
    for region in REGIONS:
        shares = [float(np.mean(several == region)) for several in labels]
        at = found.sel(region=region)
        assert float(at.fraction) == shares[0]
        # The floor's length follows `negative`, too; that moves a few points of a percent.
        assert float(at.lowest) == pytest.approx(min(shares), abs=0.005)
        assert float(at.highest) == pytest.approx(max(shares), abs=0.005)


@pytest.mark.parametrize(
    ("classify", "module"), [(classify_regions, "regions"), (classify_points, "points")]
)
def test_blocks_change_nothing(monkeypatch, classify, module):
    landscape = fd.landscapes.Himmelblau()
    points = fd.starts.Uniform(count=50).points(landscape, 0)
    points[7] = [3.0, 2.0]
    whole = classify(landscape, points)
    module = importlib.import_module(f"fastdescent.geometry.{module}")
    monkeypatch.setattr(module, "_NUMBERS", 60)
    assert whole.identical(classify(landscape, points))


def test_results_do_not_share_memory_with_what_was_given():
    points = np.zeros((3, 2))
    for classify in (classify_points, classify_regions, g.spectrum):
        ds = classify(fd.landscapes.Himmelblau(), points)
        assert not np.shares_memory(ds.position.values, points)
        assert ds.value.values.tolist() == [170.0] * 3


def test_a_landscape_on_data_has_regions_too():
    data = fd.data.GaussianLinear(3, condition_number=100.0, count=200)
    model = fd.models.LinearRegression(data)
    ds = classify_regions(model, np.zeros((2, model.dim)))
    assert ds.region.values.tolist() == ["ravine"] * 2


# The domain.

AT_POINTS = [classify_points, classify_regions, g.spectrum]


@pytest.mark.parametrize("at_points", AT_POINTS)
def test_points_outside_the_domain_are_an_error_that_tells_all(at_points):
    himmelblau = fd.landscapes.Himmelblau()
    points = [[3.0, 2.0], [0.0, -9.25], [7.0, 0.0]]
    with pytest.raises(InvalidValueError) as caught:
        at_points(himmelblau, points)
    said = str(caught.value)
    for text in (
        *("points of Himmelblau()", "2 of 3 lie outside its domain", "x[1] of point 1"),
        *("got -9.25", "[-6, 6]", 'outside="keep"'),
    ):
        assert text in said
    kept = at_points(himmelblau, points, outside="keep")
    assert kept.attrs["outside_domain"] == 2
    assert kept.value.values.tolist() == himmelblau.value(points).tolist()


@pytest.mark.parametrize("at_points", AT_POINTS)
def test_the_faces_belong_to_the_domain(at_points):
    """And so does what a hundred roundings, 100 eps = 2.2e-14 of the face, put beyond them."""
    box = [(-0.1, 0.7), (1.0, 3.3)]
    landscape = fd.landscape("x**2 + y**2", domain=box)
    low, high = np.array(box).T
    ends = [low, high, *np.linspace(low, high, 4), low - 1e-14, high * (1.0 + 1e-14)]
    assert at_points(landscape, ends).attrs["outside_domain"] == 0
    for beyond in ([low[0] - 1e-9, low[1]], [high[0], high[1] + 1e-9]):
        with pytest.raises(InvalidValueError, match="lie outside its domain"):
            at_points(landscape, beyond)


@pytest.mark.parametrize("at_points", AT_POINTS)
def test_models_have_no_domain_and_what_is_not_finite_no_place(at_points):
    data = fd.data.GaussianLinear(1, count=10)
    model = fd.models.LinearRegression(data)
    far = np.full(model.dim, 1e3)
    assert at_points(model, far).attrs["outside_domain"] == 0
    ds = at_points(fd.landscapes.Himmelblau(), [[np.nan, 9.0], [np.inf, 0.0]])
    assert ds.attrs["outside_domain"] == 0


def test_a_domain_may_be_open_on_a_side():
    class UpperHalf(fd.Landscape):
        """(x^2, y^2) for y > 0."""

        kernel = fd.landscapes.Bowl.kernel
        hessian_kernel = fd.landscapes.Bowl.hessian_kernel
        dim = 2
        bounds = ((-np.inf, np.inf), (0.0, np.inf))
        checked = False
        curvature: fd.Values = fd.parameter(default=1.0)

    points = [[1e30, 1e-9], [-1e5, 0.0]]
    assert g.spectrum(UpperHalf(), points).attrs["outside_domain"] == 0
    for classify in (classify_points, classify_regions):
        assert classify(UpperHalf(), points, scale=UNIT).attrs["outside_domain"] == 0
        with pytest.raises(InvalidValueError, match=r"^scale: got None.*not bounded"):
            classify(UpperHalf(), points)
        with pytest.raises(InvalidValueError, match=r"x\[1\] of point 0: got -1"):
            classify(UpperHalf(), [[0.0, -1.0]], scale=UNIT)


# Stays in regions.


def test_stays_that_are_cut_off_count_as_such():
    """Counted by hand: c is concave, at the top of the double well, v the valley beside it.

    c c v v v c c to the end of the budget; v throughout; c v v, then it stopped.
    """
    well = fd.landscapes.SymmetricDoubleWell()
    ds = walked([["cv".index(c) for c in row] for row in ("ccvvvcc", "vvvvvvv", "cvvvvvv")])
    ds["steps"] = ds["steps"].copy(data=[6, 6, 2])
    ds["status"] = ds["status"].copy(data=[0, 1, 1])
    found = g.terrain_time(ds, well).sel(region=["concave", "valley"])
    assert found.visits.values.tolist() == [3, 3]
    assert found.unfinished.values.tolist() == [1, 2]
    assert found.dwell.values.tolist() == [(2 + 1) / 2, 3 / 1]
    assert found.dwell_censored.values.tolist() == [(2 + 2 + 1) / 2, (3 + 7 + 2) / 1]
    np.testing.assert_allclose(found.fraction, [(4 / 7 + 1 / 3) / 3, (3 / 7 + 1 + 2 / 3) / 3])
    assert found.stalled.values.tolist() == [1 / 3, 0.0]  # only the first ran out of steps
    assert "ravine" not in found.region
    never = g.terrain_time(ds, well).sel(region="ravine")
    assert np.isnan(never.dwell_censored)
    assert never.visits == 0


def test_dwell_times_of_a_memoryless_walk_are_right_in_spite_of_the_end():
    """Who leaves with probability 1/40 a step stays 40 steps; half of the stays are cut at 28.

    The estimate's relative standard error is one over the root of the stays that ended, about
    500 of 1000; |z| < 4.5.  Stays that ended alone have a mean of 12.7.
    """
    well = fd.landscapes.SymmetricDoubleWell()
    count, steps = (1000, 28) if JIT else (200, 28)
    leaves = np.random.default_rng(3).geometric(1 / 40, count)
    ds = walked(np.where(np.arange(steps) < leaves[:, None], 0.0, 1.0))
    found = g.terrain_time(ds, well).sel(region="concave")
    ended = np.count_nonzero(leaves < steps)
    assert found.unfinished == count - ended
    assert abs(float(found.dwell_censored) / 40 - 1) < 4.5 / np.sqrt(ended)
    assert float(found.dwell) < 20


def walked(paths, **swept):
    """A result whose trajectories of one dimension are those given, shape (..., start, record)."""
    paths = np.asarray(paths, dtype=float)
    ds = fd.simulate(
        fd.landscapes.SymmetricDoubleWell(),
        fd.optimizers.GradientDescent(**{"learning_rate": 0.1, **swept}),
        starts=np.zeros((paths.shape[-2], 1)),
        steps=paths.shape[-1] - 1,
        record=fd.record.every(1),
    )
    ds["path"] = ds["path"].copy(data=paths[..., None])
    return ds


def test_escapes_are_summarised_for_each_rule():
    """In by 1; out at the steps 2 and 4, stays, never in; with the other rate nobody was in."""
    first = [[0, 0, 2, 2, 0], [0, 0, 0, 0, 2], [2, 0, 0, 0, 0], [2, 2, 2, 2, 2]]
    ds = walked([first, np.full((4, 5), 3.0)], learning_rate=[0.1, 0.2])
    found = g.escape_summary(ds, [0.0], 1.0, quantiles=[1 / 3, 0.5, 0.9])
    assert dict(found.escape_time.sizes) == {"learning_rate": 2, "quantile": 3}
    assert found.trials.values.tolist() == [3, 0]
    assert found.escaped.values[0] == 2 / 3
    low, high = wilson_interval(2, 3)
    assert (found.escaped_lower.values[0], found.escaped_upper.values[0]) == (low, high)
    assert found.escape_time.values[0].tolist() == [2.0, 4.0, np.inf]
    assert found.escape_time_lower.values[0, 1] == 0.0  # three cannot tell
    assert found.escape_time_upper.values[0, 1] == np.inf
    assert np.isnan(found.escape_time.values[1]).all()
    assert np.isnan(found.escaped.values[1])


@pytest.mark.parametrize(("n", "quantile"), [(8, 0.5), (60, 0.5), (60, 0.1), (200, 0.9)])
def test_intervals_of_quantiles_cover_as_they_promise(n, quantile):
    """At least 95 %, by 4.5 standard errors of 1000 sets; no more than the ranks allow."""
    times = np.sort(np.random.default_rng(n).uniform(size=(1000, n)), axis=1)
    found = np.array([quantile_intervals(row, np.array([quantile]), 0.95) for row in times])
    middle, low, high = found[:, :, 0].T
    assert ((low <= middle) & (middle <= high)).all()
    covered = np.mean((low <= quantile) & (quantile <= high))
    assert covered > 0.95 - 4.5 * np.sqrt(0.95 * 0.05 / 1000)
    # Either end one rank nearer would fail by itself: each side misses 2.5 % at the most.
    ranks = [np.searchsorted(times[0], end[0]) + 1 for end in (low, high)]
    below = scipy.stats.binom.cdf([ranks[0] - 1, ranks[0]], n, quantile)
    above = scipy.stats.binom.sf([ranks[1] - 1, ranks[1] - 2], n, quantile)
    if low[0] > 0.0:
        assert below[0] <= 0.025 < below[1] + 1e-12
    if np.isfinite(high[0]):
        assert above[0] <= 0.025 < above[1] + 1e-12


def test_trajectories_without_any_place_count_for_none():
    log = fd.landscape("log(x) + x**2/1000", domain=(0.5, 4.0))
    walk = fd.simulate(
        log,
        fd.optimizers.GradientDescent(learning_rate=1e-3),
        starts=[[-1.0], [2.0], [-2.0]],
        steps=3,
        record=fd.record.every(1),
    )
    found = g.terrain_time(walk, log)
    assert float(found.fraction.sum()) == 1.0
    alone = g.terrain_time(walk.isel(start=[1]), log)
    assert found.fraction_upper.identical(alone.fraction_upper)  # one independent trajectory
    nowhere = g.terrain_time(walk.isel(start=[0, 2]), log)
    assert np.isnan(nowhere.fraction).all()
    assert np.isnan(nowhere.fraction_lower).all()


# What a referee found.


def test_scope_does_not_hang_on_other_points():
    """Their values may be large; roundings are those of the landscape's own height."""
    low, other = -2.903534027771177, 2.74680277099
    landscape = fd.landscapes.StyblinskiTang(dim=2)
    ds = classify_points(landscape, [[low, low], [low, other], [1000.0, 1000.0]], outside="keep")
    assert ds.scope.values.tolist() == ["global", "local", "unknown"]


@pytest.mark.parametrize("formula", ["log(x)", "sqrt(x)", "x**2 + 0.1*log(x)"])
def test_where_the_loss_is_not_defined_there_is_nothing(formula):
    landscape = fd.landscape(formula, domain=(0.5, 2.0))
    ds = classify_regions(landscape, [[-1.0]], outside="keep")
    assert ds.region.values.tolist() == [""]
    ds = classify_points(landscape, [[-1.0], [0.0]], outside="keep")
    assert ds.kind.values.tolist()[0] == "regular"


@pytest.mark.parametrize("angle", [0.0, 0.4, 0.785, 1.571])
def test_a_floor_of_two_dimensions_turns_in_whichever_direction_it_bends(angle):
    """Two equal flat eigenvalues: no direction of their plane is better than another."""

    def loss(x, c, s):
        return 100 * (x[2] - (c * x[0] + s * x[1]) ** 2) ** 2 + x[0] ** 2 + x[1] ** 2

    params = {"c": float(np.cos(angle)), "s": float(np.sin(angle))}
    bent = fd.landscape(loss, dim=3, params=params)
    ds = classify_regions(bent, [0.0, 0.0, 0.0], scale=UNIT)
    # The third derivative is 400, the gap of the eigenvalues 200 - 2; s is at most 1.
    assert ds.turn.item() == pytest.approx(400.0 / 198.0 * 1.0, rel=1e-6)
    assert ds.region.item() == "canal"


def test_no_points_are_no_error():
    for classify in (classify_points, classify_regions):
        ds = classify(fd.landscapes.Himmelblau(), np.empty((0, 2)))
        assert ds.sizes["point"] == 0


@fd.kernel("landscape")
def wrong_slope(theta, params, data, batch, loss, grad):
    for lane in range(theta.shape[1]):
        loss[lane] = theta[0, lane] * theta[0, lane]
        grad[0, lane] = theta[0, lane]


def test_a_users_gradient_is_compared_before_its_first_use():
    class HalfSlope(fd.Landscape):
        """x^2 with half its gradient."""

        kernel = wrong_slope
        dim = 1

    with pytest.raises(InvalidValueError, match="slope"):
        classify_points(HalfSlope(), [[0.5]])


# Bad input: one clear error for each kind of it, whichever function it is given to.


class Inputs:
    """What the table below gives to functions, made once and only if it runs."""

    h = fd.landscapes.Himmelblau()
    swept = fd.landscapes.Ravine(condition_number=[2.0, 3.0])
    three = fd.landscapes.Bowl(dim=3)
    rule = fd.optimizers.GradientDescent(learning_rate=0.01)

    @functools.cached_property
    def points(self):
        return classify_points(self.h, [point.position for point in self.h.critical_points()])

    @functools.cached_property
    def walk(self):
        one = {"starts": [[0.0, 0.0]], "steps": 2}
        return fd.simulate(self.h, self.rule, record=fd.record.every(1), **one)

    @functools.cached_property
    def basins(self):
        return g.basins(self.h, self.rule, [[3.0, 2.0]], steps=2)


BAD = {
    # Something that is no landscape, or a sweep of landscapes.
    "landscape: got 'bowl'": [
        lambda i: g.spectrum("bowl", [0, 0]),
        lambda i: g.hessians("bowl", [0, 0]),
        lambda i: g.hessian_product("bowl", [0, 0]),
        lambda i: classify_points("bowl", [0, 0]),
        lambda i: classify_regions("bowl", [0, 0]),
        lambda i: scales("bowl"),
        lambda i: g.checked_box("bowl", (0, 1)),
        lambda i: g.convexity("bowl"),
        lambda i: g.find_critical_points("bowl"),
        lambda i: g.minimum_energy_path("bowl", [0, 0], [1, 1]),
        lambda i: g.saddle_connections("bowl", i.points),
        lambda i: g.barriers("bowl", i.points),
        lambda i: g.disconnectivity("bowl", i.points),
        lambda i: g.spectrum_along(i.walk, "bowl"),
        lambda i: g.terrain_time(i.walk, "bowl"),
        lambda i: g.basins("bowl", i.rule, [[0, 0]], steps=2),
        lambda i: g.fidelity("bowl", i.rule, [[0, 0]], steps=2),
        lambda i: g.uncertainty_exponent("bowl", i.rule, [[0, 0]], steps=2, epsilons=[0.1, 1]),
    ],
    "Ravine.condition_number: got (2.0, 3.0)": [
        lambda i: g.spectrum(i.swept, [0, 0]),
        lambda i: g.hessians(i.swept, [0, 0]),
        lambda i: g.hessian_product(i.swept, [0, 0]),
        lambda i: classify_points(i.swept, [0, 0]),
        lambda i: classify_regions(i.swept, [0, 0]),
        lambda i: scales(i.swept),
        lambda i: g.convexity(i.swept),
        lambda i: g.find_critical_points(i.swept),
        lambda i: g.minimum_energy_path(i.swept, [0, 0], [1, 1]),
        lambda i: g.saddle_connections(i.swept, i.points),
        lambda i: g.spectrum_along(i.walk, i.swept),
        lambda i: g.terrain_time(i.walk, i.swept),
        lambda i: g.basins(i.swept, i.rule, [[0, 0]], steps=2),
        lambda i: g.fidelity(i.swept, i.rule, [[0, 0]], steps=2),
    ],
    # Another dimension, or no numbers.
    "points of Himmelblau(): got": [
        lambda i: g.spectrum(i.h, [0, 0, 0]),
        lambda i: g.spectrum(i.h, "ab"),
        lambda i: g.hessians(i.h, [[[0, 0]]]),
        lambda i: g.hessian_product(i.h, [0, 0, 0]),
        lambda i: classify_points(i.h, [1j, 0]),
        lambda i: classify_regions(i.h, 0.0),
    ],
    "start: got": [
        lambda i: g.minimum_energy_path(i.h, [0, 0, 0], [1, 1]),
        lambda i: g.minimum_energy_path(i.h, "ab", [1, 1]),
    ],
    "point: got": [
        lambda i: g.escape_time(i.walk, [0, 0, 0], 1.0),
        lambda i: g.escape_time(i.walk, "ab", 1.0),
        lambda i: g.escape_summary(i.walk, [np.nan, 0], 1.0),
    ],
    "landscape: got Bowl(dim=3)": [
        lambda i: g.terrain_time(i.walk, i.three),
        lambda i: g.spectrum_along(i.walk, i.three),
    ],
    "critical_points: position: got": [
        lambda i: g.saddle_connections(i.three, i.points),
        lambda i: g.barriers(i.three, i.points),
        lambda i: g.disconnectivity(i.three, i.points),
    ],
    "Points.array: got": [
        lambda i: g.basins(i.h, i.rule, [[0, 0, 0]], steps=2),
        lambda i: g.fidelity(i.h, i.rule, [[0, 0, 0]], steps=2),
    ],
    "box: got": [
        lambda i: scales(i.h, (1, 0)),
        lambda i: g.checked_box(i.h, [(0, 1)] * 3),
        lambda i: g.convexity(i.h, (0, np.inf)),
        lambda i: g.find_critical_points(i.h, "ab"),
        lambda i: g.saddle_connections(i.h, i.points, box=(1, 1)),
    ],
    # Points outside the domain.
    "points of Himmelblau(): 1 of 1 lie outside its domain; x[0] of point 0: got 7.0": [
        lambda i: g.spectrum(i.h, [7, 0]),
        lambda i: classify_points(i.h, [7, 0]),
        lambda i: classify_regions(i.h, [7, 0]),
    ],
    # No Hessian where differences would not do.
    "ValueOnly.hessian: got None": [
        lambda i: g.convexity(ValueOnly()),
        lambda i: g.minimum_energy_path(ValueOnly(), [-1, 0], [1, 0]),
        lambda i: g.saddle_connections(ValueOnly(), i.points),
    ],
    # Thresholds and settings that are not allowed or contradict each other.
    "Thresholds.radius: got 0.0": [lambda i: Thresholds(radius=0.0)],
    "Thresholds.change: got -1.0": [lambda i: Thresholds(change=-1.0)],
    "Thresholds.negative: got 1.0": [lambda i: Thresholds(negative=1.0)],
    "Thresholds.ravine: got 1.0": [lambda i: Thresholds(ravine=1.0)],
    "Thresholds.turn: got inf": [lambda i: Thresholds(turn=np.inf)],
    "Thresholds: got (100.0, 0.01)": [lambda i: Thresholds(ravine=100.0, negative=0.01)],
    "thresholds: got {'ravine': 3}": [
        lambda i: classify_regions(i.h, [0, 0], {"ravine": 3}),
        lambda i: g.terrain_time(i.walk, i.h, {"ravine": 3}),
    ],
    "scale: got 3": [
        lambda i: classify_points(i.h, [0, 0], scale=3),
        lambda i: classify_regions(i.h, [0, 0], scale=3),
        lambda i: g.terrain_time(i.walk, i.h, scale=3),
    ],
    "Scales.length: got": [lambda i: Scales("a", 1.0), lambda i: Scales(0.0, 1.0)],
    "Scales.loss: got": [lambda i: Scales(1.0, None), lambda i: Scales(1.0, -1.0)],
    "gradient: got": [
        lambda i: classify_points(i.h, [0, 0], gradient=0.0),
        lambda i: classify_points(i.h, [0, 0], gradient=np.nan),
    ],
    "curvature: got": [
        lambda i: classify_points(i.h, [0, 0], curvature=-1.0),
        lambda i: classify_points(i.h, [0, 0], curvature=1.0),  # then none would decide
    ],
    "outside: got 'drop'": [
        lambda i: g.spectrum(i.h, [0, 0], outside="drop"),
        lambda i: classify_points(i.h, [0, 0], outside="drop"),
        lambda i: classify_regions(i.h, [0, 0], outside="drop"),
    ],
    "count: got": [
        lambda i: scales(i.h, count=1),
        lambda i: g.spectrum(i.h, [0, 0], count=3),
        lambda i: g.spectrum_along(i.walk, i.h, count=(0, 5)),
    ],
    "confidence: got 2": [
        lambda i: g.terrain_time(i.walk, i.h, confidence=2),
        lambda i: g.escape_summary(i.walk, [0, 0], 1.0, confidence=2),
        lambda i: g.basin_fractions(i.basins, confidence=2),
        lambda i: g.outcome_probabilities(i.basins, confidence=2),
    ],
    "factor: got": [
        lambda i: region_fractions(classify_regions(i.h, [0, 0]), factor=5.0),
        lambda i: region_fractions(classify_regions(i.h, [0, 0]), factor=np.nan),
    ],
    "quantiles: got": [
        lambda i: g.escape_summary(i.walk, [0, 0], 1.0, quantiles=[0.5, 1.0]),
        lambda i: g.escape_summary(i.walk, [0, 0], 1.0, quantiles="half"),
    ],
    "radius: got -1.0": [lambda i: g.escape_time(i.walk, [0, 0], -1.0)],
    "tolerance: got 1": [lambda i: g.minimum_energy_path(i.h, [3, 2], [0, 0], tolerance=1)],
    # Datasets that another function returned.
    "ds: got": [
        lambda i: region_fractions("regions"),
        lambda i: region_fractions(i.points),
        lambda i: region_fractions(classify_regions(i.h, np.empty((0, 2)))),
        lambda i: g.terrain_time("walk", i.h),
        lambda i: g.terrain_time(i.walk.drop_vars("path"), i.h),
        lambda i: g.escape_time("walk", [0, 0], 1.0),
        lambda i: g.escape_time(i.walk.drop_vars("path"), [0, 0], 1.0),
        lambda i: g.spectrum_along("walk", i.h),
        lambda i: g.basin_fractions(i.points),
        lambda i: g.basin_entropy("map"),
        lambda i: g.boundary_dimension(i.points),
    ],
    "critical_points: got": [
        lambda i: g.saddle_connections(i.h, 3),
        lambda i: g.barriers(i.h, i.walk),
        lambda i: g.disconnectivity(i.h, None),
    ],
    "connections: got": [
        lambda i: g.barriers(i.h, i.points, connections=i.points),
        lambda i: g.disconnectivity(
            i.h, i.points.isel(point=slice(0, 5)), connections=g.saddle_connections(i.h, i.points)
        ),
    ],
}


@pytest.fixture(scope="module")
def inputs():
    return Inputs()


@pytest.mark.parametrize("part", BAD)
def test_bad_input_is_one_clear_error(part, inputs):
    for call in BAD[part]:
        with pytest.raises(InvalidValueError) as caught:
            call(inputs)
        said = str(caught.value)
        assert said.startswith(part), said
        assert ", allowed is " in said
        assert "\n" not in said


def test_more_memory_than_there_is(monkeypatch):
    """A Hessian of dim 12 000 has 1.15 GB."""
    monkeypatch.setattr(memory, "available", lambda: 10**9)
    huge, origin = fd.landscapes.Bowl(dim=12_000), np.zeros(12_000)
    for call in (
        lambda: g.hessians(huge, origin),
        lambda: g.spectrum(huge, origin, count=(5000, 5000)),
        lambda: classify_points(huge, origin, scale=UNIT),
        lambda: classify_regions(huge, origin, scale=UNIT),
        lambda: huge.hessian(origin),
        lambda: g.convexity(huge, samples=1),
    ):
        with pytest.raises(MemoryLimitError, match=r"needs [\d.]+ [GT]B of memory and 1 GB"):
            call()


def test_every_function_of_the_package_is_in_the_table():
    source = inspect.getsource(inspect.getmodule(Inputs))
    table = source[source.index("BAD = {") : source.index("def inputs()")]
    for name in g.__all__:
        assert name in ("KINDS", "REGIONS") or f"{name}(" in table, name
