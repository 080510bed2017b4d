"""Degrees and clusters: closed forms, sampled twins, Poincare-Hopf, and what is not claimed."""

from __future__ import annotations

import doctest
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fastdescent as fd
from fastdescent import landscapes
from fastdescent.geometry import clusters as module
from fastdescent.geometry.clusters import clusters, continuous, morse_indices, topological_degree
from fastdescent.geometry.critical_points import find_critical_points
from fastdescent.geometry.intervals import traced
from fastdescent.geometry.isolation import Derivatives, isolate
from fastdescent.symbolic.expression import coordinate

BOX = np.array([[-1.0, 1.5], [-1.25, 1.0]])


def made(text, **options):
    return traced(fd.landscape(text, **options))


def found_in(text, box, guesses=None):
    """Return zeros and clusters of a formula, in one block."""
    formulas, box = made(text, dim=len(box)), np.asarray(box, dtype=float)
    part = isolate(formulas, box)
    place = np.full(len(box), 0.7)
    return part, clusters(formulas, part, box, range(len(box)), place, guesses)


def evaluated(text, x, y):
    return eval(text, {"sqrt": np.sqrt, "abs": np.abs, "x": x, "y": y})


def test_documentation():
    assert doctest.testmod(module).failed == 0


# The gradient of Re z^n is the conjugate of n z^(n-1): it turns n - 1 times backwards.
HARMONIC = {
    2: "x**2 - y**2",
    3: "x**3 - 3*x*y**2",
    4: "x**4 - 6*x**2*y**2 + y**4",
    5: "x**5 - 10*x**3*y**2 + 5*x*y**4",
    6: "x**6 - 15*x**4*y**2 + 15*x**2*y**4 - y**6",
}


@pytest.mark.parametrize("n", HARMONIC)
def test_degree_of_harmonic_polynomials(n):
    assert topological_degree(made(HARMONIC[n]), BOX) == 1 - n


@pytest.mark.parametrize(
    ("text", "degree"),
    [
        ("x**4 + y**4", 1),
        ("-x**4 - y**4", 1),
        ("x**4 - y**4", -1),
        ("x**2 + y**3", 0),
        ("x**2 + y**3 - y/4", 0),  # the fold's two halves: a minimum and a saddle
        ("x*y", -1),
        ("x + y**2", 0),
        ("(x**2 + y**2 - 0.25)**2 + 0.1*x", 1),
    ],
)
def test_degree_of_simple_points(text, degree):
    assert topological_degree(made(text), BOX) == degree


def test_degree_in_other_dimensions():
    # One dimension: -1, 0 or 1.  In three, where the components face each other.
    for text, degree in (("x**4", 1), ("-x**4", -1), ("x**3", 0), ("x", 0)):
        assert topological_degree(made(text), BOX[:1]) == degree
    box = np.array([[-1.0, 1.5]] * 3)
    assert topological_degree(made("x**4 + y**4 - z**4 + x**2*y**2*z"), box) is None
    assert topological_degree(made("x**4 + y**4 - z**4 + x*y*z/9"), box) == -1


def test_there_is_no_degree_where_the_gradient_vanishes_on_the_boundary_or_jumps():
    assert topological_degree(made("x**2 + y**2"), np.array([[0.0, 1.0], [-1.0, 1.0]])) is None
    assert topological_degree(made("abs(x) + y**2"), BOX) is None
    assert topological_degree(made("(x**2 + y**2 - 1)**2"), BOX) is None  # a circle that leaves


def turns(gradient, box, count):
    """Count a gradient's turns by angles at many points of the boundary.

    Return the longest step, too, and the least gradient.  The last point is the first one.
    """
    (left, right), (below, above) = box
    t = np.linspace(0.0, 1.0, count)
    across, up = left + (right - left) * t, below + (above - below) * t
    x = np.concatenate([across, np.full(count, right), across[::-1], np.full(count, left)])
    y = np.concatenate([np.full(count, below), up, np.full(count, above), up[::-1]])
    slopes = np.array(gradient(x, y))
    angle = np.unwrap(np.arctan2(slopes[1], slopes[0]))
    longest, least = np.abs(np.diff(angle)).max(), np.linalg.norm(slopes, axis=0).min()
    return (angle[-1] - angle[0]) / (2.0 * math.pi), longest, least


POWERS = [(i, j) for i in range(5) for j in range(5 - i) if i + j]


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(-3, 3), min_size=len(POWERS), max_size=len(POWERS)))
def test_degree_agrees_with_sampled_angles(coefficients):
    terms = list(zip(coefficients, POWERS, strict=True))
    x, y = coordinate(0), coordinate(1)
    root = sum(
        (c * x**i * y**j if i and j else c * (x**i if i else y**j) for c, (i, j) in terms), 0 * x
    )

    def gradient(x, y):
        slopes = [i * c * x ** max(i - 1, 0) * y**j for c, (i, j) in terms]
        return sum(slopes), sum(j * c * x**i * y ** max(j - 1, 0) for c, (i, j) in terms)

    degree = topological_degree(traced(SimpleNamespace(graph=root, dim=2, base_values=dict)), BOX)
    sampled, longest, least = turns(gradient, BOX, 2000)
    if longest < 1.0:  # else samples are too far apart to count turns
        assert degree is None or abs(degree - sampled) < 1e-9  # angles at the ends are equal
    if least > 0.1:  # of slopes of some 10
        assert degree is not None


def test_the_degrees_of_points_add_up_to_that_of_the_boundary():
    # Poincare and Hopf; for the published lists this is tested with them.
    cases = {
        landscapes.MonkeySaddle(): -2,
        # The monkey saddle falls apart into a minimum and three saddles.
        fd.landscape("x**3 - 3*x*y**2 + 0.2*(x**2 + y**2)", domain=(-2, 3)): 1 - 3,
    }
    for landscape, total in cases.items():
        ds = find_critical_points(landscape, starts=16)
        assert ds.attrs["complete"] == "certified"
        boundary = topological_degree(traced(landscape), np.asarray(landscape.domain))
        assert ds.degree.values.sum() == boundary == total


@pytest.mark.parametrize(
    ("text", "degree", "extremum", "smooth"),
    [
        ("x**3 - 3*x*y**2", -2, "", True),
        ("x**2*y - y**5", -2, "", True),
        ("x**4 + y**4 + x**2*y**2 + 1", 1, "minimum", True),
        ("-x**4 - y**4 - x**2*y**2 - 1", 1, "maximum", True),
        # Rounding hides the slope's sign on the valley's floor: values prove what degrees do not.
        ("(x - 0.3)**4 + (y - x)**2", None, "minimum", True),
        ("sqrt(x**2 + y**2)", None, "minimum", False),
        ("5 - sqrt((x**2 + y**2)*0.5)", None, "maximum", False),
        ("abs(x) + abs(y) + x*y/2", None, "minimum", False),
        ("abs(x*y) + x**2 + y**2", None, "minimum", False),
    ],
)
def test_clusters_of_two_dimensions(text, degree, extremum, smooth):
    centre = 0.3 if "0.3" in text else 0.0
    part, made_of = found_in(text, BOX, np.full((1, 2), centre))
    assert len(made_of.undecided_lower) == len(part.lower) == 0
    (cluster,) = made_of.proven
    assert (cluster.degree, cluster.extremum, cluster.smooth) == (degree, extremum, smooth)
    assert ((cluster.upper - cluster.lower) <= 1e-6 * (BOX[:, 1] - BOX[:, 0])).all()
    if "1" not in text:  # beside a 1 nothing of the fourth power of 1e-8 is left
        # A twin: values on the hull's edges, at random, against that in the centre.
        rng = np.random.default_rng(0)
        edge = rng.uniform(cluster.lower, cluster.upper, (400, 2))
        side, end = rng.integers(0, 2, (2, 400))
        edge[np.arange(400), side] = np.stack([cluster.lower, cluster.upper])[end, side]
        above = evaluated(text, *edge.T) - evaluated(text, centre, centre)
        if extremum == "minimum":
            assert above.min() > 0.0
        elif extremum == "maximum":
            assert above.max() < 0.0
        else:
            assert above.min() < 0.0 < above.max()


@pytest.mark.parametrize(
    ("text", "degree", "extremum"),
    [
        ("x**4 + 1", 1, "minimum"),
        ("-x**6", -1, "maximum"),
        ("abs(x)", None, "minimum"),
        ("abs(x)**3", None, "minimum"),
        ("max(2*x, -x)", None, "minimum"),
        ("-sqrt(abs(x))", None, "maximum"),
    ],
)
def test_clusters_of_one_dimension(text, degree, extremum):
    _, made_of = found_in(text, [[-1.0, 1.5]])
    (cluster,) = made_of.proven
    assert (cluster.degree, cluster.extremum) == (degree, extremum)
    assert cluster.lower[0] < 0.0 < cluster.upper[0]


@pytest.mark.parametrize(
    "text",
    [
        "x**3",  # a degree of 0 proves nothing
        "x**2 + sign(x)",  # lower on one side, with and without a zero of the slope
        "abs(x) + sign(x)",
        "where(x > 0, x**2, x**2 + 1)",
        "where(x == 0, -1, x**2)",
        "-1/x**2",  # a pole
        "where(x > 0, 1, -1)*x**4",
        "sqrt(x**2*(x + 0.000000001))",  # the loss ends
    ],
)
def test_nothing_is_proven_where_there_is_nothing_to_prove(text):
    part, made_of = found_in(text, [[-1.0, 1.5]])
    assert not made_of.proven
    assert len(made_of.undecided_lower) == len(part.undecided_lower)


def test_corners_across_which_the_slope_keeps_its_sign_are_no_clusters():
    for text in ("abs(x) + 2*x", "max(x, 3*x)"):
        part, _ = found_in(text, [[-1.0, 1.5]])
        assert len(part.undecided_lower) == 0


def test_saddles_of_corners_are_neither_minimum_nor_maximum():
    _, made_of = found_in("abs(x + y) - abs(x - y)", BOX)
    assert all(not cluster.extremum for cluster in made_of.proven)


def test_a_proven_zero_in_a_cluster_is_not_counted_twice():
    # The slope x^3 (x - s) is above 0 on both sides: degree 0 in all.  The single zero at s has
    # degree 1, so that at 0 has -1; both lie in one hull.
    s = 8e-9
    landscape = fd.landscape(f"x**5/5 - {s}*x**4/4")
    formulas, box = traced(landscape), np.array([[-1.0, 1.5]])
    part = isolate(formulas, box, guesses=[[s]])
    assert len(part.lower) == 1
    (cluster,) = clusters(formulas, part, box, [0], np.zeros(1)).proven
    assert cluster.lower[0] < 0.0 < s < cluster.upper[0]
    assert cluster.degree == -1
    assert topological_degree(formulas, box) == 0
    ds = find_critical_points(landscape, box, starts=16)
    assert ds.attrs["complete"] == "certified"
    by_place = ds.sortby(ds.position[:, 0])
    np.testing.assert_allclose(by_place.position.values[:, 0], [0.0, s], atol=1e-12)
    assert by_place.degree.values.tolist() == [-1.0, 1.0]
    assert by_place.proven.values.tolist() == [False, True]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sqrt(1 + x**2 + y**2)", True),
        ("sqrt(x**2 + y**2)", True),
        ("sqrt((x**2 + y**2)/2)", True),
        ("log(x**2 - 2*x*y + 2*y**2 + 1)", True),
        ("x**2 + sqrt(x**2 + y**4 + 1)", True),
        ("sqrt(x**2 - x + 1)", True),
        ("1/(1 + x**2) + abs(y) + max(x, y)", True),
        ("where(x > 9, 1, 0)", True),
        ("where(x > 0.1, 1, 0)", False),
        ("sign(x)", False),
        ("1/x", False),
        ("log(x**2)", False),
        ("sqrt(x + y)", False),
    ],
)
def test_continuous(text, expected):
    assert continuous(made(text, dim=2), BOX) == expected


def test_morse_indices_are_proven_signs():
    formulas = made("x**2 - 3*y**2 + z**2/5 + x*y*z")
    points = np.array([[0.0, 0.0, 0.0], [0.1, 0.2, 0.1]])
    assert morse_indices(Derivatives(formulas), points, points).tolist() == [1, 1]
    flat = made("x**2 + y**4 + z**2")
    assert morse_indices(Derivatives(flat), points[:1], points[:1]).tolist() == [-1]


def test_morse_indices_are_proven_however_small_the_loss_is():
    # 2 + 6 x changes its sign in the box, and the squares of such numbers are 0.
    system = Derivatives(made("1e-170*(x**2 + x**3)"), [0])
    assert morse_indices(system, np.array([[-1.0]]), np.array([[1.1]])).tolist() == [-1]
    assert morse_indices(system, np.array([[0.0]]), np.array([[0.1]])).tolist() == [0]


@pytest.mark.parametrize(
    ("formula", "reach", "kinds"),
    [
        ("(x**2 - 2)**2", 1e12, {"minimum": 2, "maximum": 1}),
        ("(x**2 + y - 11)**2 + (x + y**2 - 7)**2", 1e9, {"minimum": 4, "saddle": 4, "maximum": 1}),
        ("(x**2 - 2)**2 + abs(y)", 1e9, {"degenerate": 3}),
    ],
)
def test_points_that_are_close_against_the_box_are_told_apart(formula, reach, kinds):
    """All of them lie within a millionth of the box, where branch and bound ends at first."""
    landscape = fd.landscape(formula, domain=(-reach, 1.25 * reach))
    points = find_critical_points(landscape, starts=16)
    assert points.attrs["complete"] == "certified"
    found = points.kind.values.tolist()
    assert {kind: found.count(kind) for kind in set(found)} == kinds
