"""Minimum-energy paths, barriers and disconnectivity graphs, and their figures."""

from __future__ import annotations

import doctest
import itertools
import math

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.transforms import Bbox
from mpl_toolkits.mplot3d import proj3d
from scipy.cluster.hierarchy import linkage
from scipy.integrate import solve_ivp
from scipy.spatial.distance import squareform

import fastdescent as fd
import fastdescent.math as fm
from fastdescent.contracts import JIT
from fastdescent.errors import InvalidValueError
from fastdescent.geometry import connectivity, paths
from fastdescent.geometry.connectivity import barriers, disconnectivity, saddle_connections
from fastdescent.geometry.flow import ARRIVED, descend, follow_modes
from fastdescent.geometry.paths import minimum_energy_path
from fastdescent.plot import _disconnectivity, _geometry, _style

landscapes = fd.landscapes

compiled_only = pytest.mark.skipif(
    not JIT, reason="tens of thousands of losses: a second or more in plain Python"
)
#: Options of paths of which only the critical points are looked at closely.
QUICK = {} if JIT else {"images": 15, "tolerance": 1e-4}

# Müller and Brown (1979), Theoretica Chimica Acta 53, 75-93.
HEIGHTS = (-200.0, -100.0, -170.0, 15.0)
FORMS = ((-1, 0, -10), (-1, 0, -10), (-6.5, 11, -6.5), (0.7, 0.6, 0.7))
CENTRES = ((1, 0), (0, 0.5), (-0.5, 1.5), (-1, 1))


def mueller_brown_formula(x):
    total = 0.0
    for height, (a, b, c), (u, v) in zip(HEIGHTS, FORMS, CENTRES, strict=True):
        p, q = x[0] - u, x[1] - v
        total = total + height * fm.exp(a * p**2 + b * p * q + c * q**2)
    return total


MUELLER_BROWN = fd.landscape(mueller_brown_formula, domain=((-1.5, 1.2), (-0.2, 2.0)))
MUELLER_BROWN_POINTS = [(-0.558, 1.442), (0.623, 0.028), (-0.05, 0.467), (0.212, 0.293)]
MUELLER_BROWN_POINTS += [(-0.822, 0.624)]


def threefold_formula(x, wall, height):
    """On the unit circle the radial gradient vanishes, so the circle is the path."""
    square = x[0] ** 2 + x[1] ** 2
    cosine = (x[0] ** 3 - 3 * x[0] * x[1] ** 2) / square**1.5  # of three times the angle
    return wall * (square - 1) ** 2 + height * (1 - cosine) / 2


def threefold(wall=5.0, height=1.0):
    return fd.landscape(threefold_formula, domain=(-2, 2), params={"wall": wall, "height": height})


def listed(landscape, positions=None):
    """Critical points, polished by Newton's method and classified by their eigenvalues."""
    if positions is None:
        positions = [point.position for point in landscape.critical_points()]
    x = np.array(positions, dtype=float)
    singular = (np.linalg.eigvalsh(landscape.hessian(x)) == 0.0).any(axis=1)
    for _ in range(8):
        hessian = landscape.hessian(x[~singular])
        step = np.linalg.solve(hessian, landscape.gradient(x[~singular])[..., None])
        x[~singular] -= step[..., 0]
    eigenvalues, value = np.linalg.eigvalsh(landscape.hessian(x)), landscape.value(x)
    index = np.where(singular, -1, (eigenvalues < 0.0).sum(axis=1))
    kind = np.select(
        [singular, index == 0, index == landscape.dim],
        ["degenerate", "minimum", "maximum"],
        "saddle",
    )
    lowest = (kind == "minimum") & (value < value.min() + 1e-9)
    scope = np.select([lowest, kind != "saddle"], ["global", "local"], "unknown")
    data = {
        "position": (("point", "coordinate"), x),
        "value": ("point", value),
        "kind": ("point", kind),
        "index": ("point", index),
        "eigenvalues": (("point", "eigenvalue"), eigenvalues),
        "scope": ("point", scope),
    }
    return xr.Dataset(data, attrs={"landscape": repr(landscape)})


@pytest.mark.parametrize(
    "module",
    [paths, connectivity, pytest.param(_geometry, marks=compiled_only), _disconnectivity],
)
def test_documentation(module):
    assert doctest.testmod(module).failed == 0


# Minimum-energy paths -------------------------------------------------------------------------


def test_mueller_brown_path_has_the_published_barriers():
    path = minimum_energy_path(MUELLER_BROWN, [-0.558, 1.442], [0.623, 0.028], **QUICK)
    # All published digits: Newton's method leaves errors of 1e-13.
    np.testing.assert_allclose(path["saddle_value"], [-40.66484351, -72.24894011], atol=6e-9)
    np.testing.assert_allclose(
        path["minimum_value"], [-146.69951721, -80.76781813, -108.16672412], atol=6e-9
    )
    saddles = [[-0.822001559, 0.624312803], [0.212486582, 0.292988325]]
    np.testing.assert_allclose(path["saddle"], saddles, atol=6e-10)
    assert path["saddle_index"].values.tolist() == [1, 1]
    assert float(path["saddle_gradient"].max()) < 1e-10
    np.testing.assert_allclose(path["height_forward"], [106.0346737, 8.51887802], atol=2e-8)
    np.testing.assert_allclose(path["height_backward"], [40.10297462, 35.91778401], atol=2e-8)
    assert float(path["height_above_start"]) == pytest.approx(106.0346737, abs=2e-8)
    assert float(path["height_above_end"]) == pytest.approx(67.50188061, abs=2e-8)
    assert path.attrs["converged"] == 1
    # The path goes down on both sides of its saddles only.
    value, at = path["value"].values, path["saddle_image"].values
    up = np.flatnonzero((value[1:-1] > value[:-2]) & (value[1:-1] > value[2:])) + 1
    assert up.tolist() == at.tolist()
    np.testing.assert_array_equal(path["position"][at], path["saddle"])
    np.testing.assert_array_equal(path["position"][path["minimum_image"]], path["minimum"])


def test_path_in_one_dimension_is_the_curve_itself():
    path = minimum_energy_path(landscapes.SymmetricDoubleWell(), [-1.0], [1.0], images=21)
    x = path["position"].values[:, 0]
    assert float(path["height_above_start"]) == float(path["height_above_end"]) == 0.25
    # Round-off of sums of lengths, and of polynomials of degree three between points of a line.
    np.testing.assert_allclose(x, np.linspace(-1.0, 1.0, 21), atol=1e-12)
    np.testing.assert_allclose(path["arc_length"], x + 1.0, atol=1e-12)
    np.testing.assert_array_equal(path["saddle"], [[0.0]])
    np.testing.assert_array_equal(path["residual"], 0.0)


@pytest.mark.parametrize("tilt", [0.3, 1.0, -2.0])
def test_tilted_double_well(tilt):
    """Stationary points are roots of 4 x^3 - 6 x + tilt."""
    low, top, high = np.sort(np.roots([4.0, 0.0, -6.0, tilt]).real)
    path = minimum_energy_path(landscapes.DoubleWell(tilt=tilt), [low], [high])

    def f(x):
        return x**4 - 3.0 * x**2 + tilt * x

    # Roots by the eigenvalues of a matrix: a few units in the last place of numbers of 1 to 10.
    assert float(path["height_above_start"]) == pytest.approx(f(top) - f(low), abs=1e-13)
    assert float(path["height_above_end"]) == pytest.approx(f(top) - f(high), abs=1e-13)
    assert path["saddle"].item() == pytest.approx(top, abs=1e-14)


def test_rastrigin_barrier_of_one_axis():
    path = minimum_energy_path(landscapes.Rastrigin(dim=1), [0.0], [0.99495863765])
    assert path["saddle"].item() == pytest.approx(0.502546, abs=5e-7)  # the published digits
    assert float(path["minimum_value"][1]) == pytest.approx(0.994959057, abs=5e-10)


# What a method of order 2 with local errors of 1e-6 adds up to, 1e-6^(2/3), and half as much more.
OFF = 1.5e-4


@pytest.mark.parametrize("wall", [0.5, 5.0, 500.0])
def test_path_round_a_circle(wall):
    """Stiff or not: an arc of 120 degrees, a barrier of the given height in its middle."""
    root = math.sqrt(0.75)
    path = minimum_energy_path(threefold(wall, 0.7), [1.0, 0.0], [-0.5, root])
    assert path.attrs["converged"] == 1
    assert float(path["height_above_start"]) == pytest.approx(0.7, abs=1e-14)
    np.testing.assert_allclose(path["saddle"], [[0.5, root]], atol=1e-14)
    np.testing.assert_allclose(path["saddle_eigenvalues"], [[-4.5 * 0.7, 8.0 * wall]], rtol=1e-12)
    np.testing.assert_allclose(path["arc_length"][-1], 2.0 * math.pi / 3.0, atol=OFF)
    np.testing.assert_allclose(np.hypot(*path["position"].values.T), 1.0, atol=OFF)
    # Two segments of equal length: the images are evenly spaced.
    np.testing.assert_allclose(np.diff(path["arc_length"]), math.pi / 60.0, atol=OFF)
    # Off the circle, the wall pulls across the path with 8 wall times the distance.
    assert float(path["residual"].max()) < 8.0 * wall * OFF


@settings(max_examples=12 if JIT else 2, deadline=None, derandomize=True)
@given(wall=st.floats(0.1, 50.0), height=st.floats(0.1, 10.0), images=st.integers(3, 60))
def test_circle_for_any_parameters(wall, height, images):
    path = minimum_energy_path(
        threefold(wall, height), [1.0, 0.0], [-0.5, -math.sqrt(0.75)], images=images
    )
    assert path.attrs["converged"] == 1
    assert path.sizes["image"] == images
    assert float(path["height_above_start"]) == pytest.approx(height, rel=1e-13)
    np.testing.assert_allclose(path["arc_length"][-1], 2.0 * math.pi / 3.0, atol=OFF)


@compiled_only
def test_images_lie_on_the_flow_of_another_integrator():
    """SciPy's Radau, of order 5 with a tolerance of 1e-8, from beside the saddle."""
    path = minimum_energy_path(MUELLER_BROWN, [-0.558, 1.442], [-0.05, 0.467], images=25)
    images, top = path["position"].values, path["saddle_image"].item()
    saddle = images[top]
    unstable = np.linalg.eigh(MUELLER_BROWN.hessian(saddle))[1][:, 0]
    for side in (images[: top + 1][::-1], images[top:]):
        flow = solve_ivp(
            lambda _, x: -MUELLER_BROWN.gradient(x),
            (0.0, 0.4),
            saddle + 1e-5 * unstable * np.sign(unstable @ (side[1] - saddle)),
            method="Radau",
            jac=lambda _, x: -MUELLER_BROWN.hessian(x),
            rtol=1e-8,
            atol=1e-10,
            dense_output=True,
        )
        line = flow.sol(np.linspace(0.0, 0.4, 8001)).T
        # The ends are reached after infinite time only.
        distance = [_from_polygon(line, x) for x in side[1:-1]]
        assert len(distance) > 5
        assert max(distance) < OFF
        assert _distance(line[-1], side[-1]) < 1e-3


def _distance(x, y):
    return np.linalg.norm(x - y, axis=-1)


def _from_polygon(line, x):
    sides = np.diff(line, axis=0)
    share = ((x - line[:-1]) * sides).sum(axis=1) / np.maximum((sides**2).sum(axis=1), 1e-300)
    return _distance(line[:-1] + np.clip(share, 0.0, 1.0)[:, None] * sides, x).min()


def test_minima_on_the_way_split_the_path():
    """Every axis of this sum goes over its own barrier, the same one each time."""
    low, high, top = -2.903534027771177, 2.74680277099, 0.15673125678
    path = minimum_energy_path(landscapes.StyblinskiTang(dim=3), [low] * 3, [high] * 3)

    def f(x):
        return 0.5 * (x**4 - 16.0 * x**2 + 5.0 * x)

    assert path.attrs["converged"] == 1
    # The published roots have eleven digits, and errors in stationary values are squared.
    np.testing.assert_allclose(path["height_forward"], [f(top) - f(low)] * 3, rtol=1e-12)
    np.testing.assert_allclose(path["height_backward"], [f(top) - f(high)] * 3, rtol=1e-12)
    moved = np.abs(np.diff(path["minimum"].values, axis=0)) > 1.0
    assert moved.sum(axis=1).tolist() == [1, 1, 1]
    assert path["saddle_index"].values.tolist() == [1, 1, 1]
    np.testing.assert_allclose(path["arc_length"][-1], 3.0 * (high - low), rtol=1e-10)


def test_path_from_a_ridge_of_symmetry():
    """The straight line over Rastrigin's diagonal leads over a maximum, the path round it."""
    far = 0.99495863765
    path = minimum_energy_path(landscapes.Rastrigin(dim=2), [0.0, 0.0], [far, far], **QUICK)
    assert path["saddle_index"].values.tolist() == [1, 1]
    corner = path["minimum"].values[1]
    np.testing.assert_allclose(np.sort(corner), [0.0, far], atol=1e-9)


@pytest.mark.skipif(not JIT, reason="thousands of kernel calls: five seconds in plain Python")
def test_further_strings_join_the_gaps():
    """Fifteen images are too few for nineteen barriers, so one string does not find them all."""
    path = minimum_energy_path(landscapes.Rastrigin(dim=2), [-4.97, -4.97], [4.97, 3.98], images=3)
    assert path.attrs["converged"] == 1
    assert path.attrs["strings"] > 1
    # Ten barriers along one axis and nine along the other, one after another.
    assert path.sizes["barrier"] == 19
    steps = np.abs(np.diff(path["minimum"].values, axis=0))
    np.testing.assert_allclose(steps.max(axis=1), 0.9949, atol=0.001)  # to 1e-3 as far up as here
    np.testing.assert_allclose(steps.min(axis=1), 0.0, atol=1e-12)
    assert (steps > 0.5).sum(axis=0).tolist() == [10, 9]
    # More critical points than images: each one is an image.
    assert path.sizes["image"] == 39


def test_paths_over_a_centre_of_symmetry_are_symmetric():
    a, b = landscapes.SixHumpCamel().minima
    path = minimum_energy_path(landscapes.SixHumpCamel(), a, b)
    x = path["position"].values
    np.testing.assert_allclose(path["saddle"], [[0.0, 0.0]], atol=1e-14)
    assert float(path["height_above_start"]) == pytest.approx(1.031628453489877, abs=1e-13)
    # The two halves are the same computation on mirrored numbers: round-off only.
    np.testing.assert_allclose(x[::-1], -x, atol=1e-10)


def test_way_back_is_the_way_there():
    there = minimum_energy_path(landscapes.Himmelblau(), [3.0, 2.0], [-3.7793, -3.2832])
    back = minimum_energy_path(landscapes.Himmelblau(), [-3.7793, -3.2832], [3.0, 2.0])
    np.testing.assert_allclose(there["saddle_value"], [67.71915009, 104.0151629], atol=5e-8)
    # The same descents from the same saddles, but for the last digit of these.
    np.testing.assert_allclose(back["position"][::-1], there["position"], atol=OFF)
    np.testing.assert_allclose(back["height_forward"][::-1], there["height_backward"], rtol=1e-12)


def test_same_call_same_bits():
    first, second = (
        minimum_energy_path(landscapes.Himmelblau(), [3.0, 2.0], [3.58, -1.85]) for _ in range(2)
    )
    xr.testing.assert_identical(first, second)


def test_rosenbrock_canal_between_its_two_minima():
    """Stiff (condition number 2500) and curved, in four dimensions."""
    rosenbrock = landscapes.Rosenbrock(dim=4)
    ends = [point.position for point in rosenbrock.critical_points()]
    path = minimum_energy_path(rosenbrock, *ends, **QUICK)
    assert path.attrs["converged"] == 1
    assert path["saddle_index"].values.tolist() == [1]
    assert float(path["minimum_value"][1]) == pytest.approx(3.70142861, abs=5e-9)
    # Along the descents the loss falls.
    value, top = path["value"].values, int(path["saddle_image"][0])
    assert (np.diff(value[: top + 1]) > 0.0).all()
    assert (np.diff(value[top:]) < 0.0).all()


def test_tolerance_bounds_the_residual():
    """The error of a method of order 2 falls like its tolerance to the power of 2/3."""
    residuals = [
        float(
            minimum_energy_path(threefold(), [1, 0], [-0.5, 0.75**0.5], tolerance=t)[
                "residual"
            ].max()
        )
        for t in (1e-4, 1e-7)
    ]
    # 100 times less is expected; half a decade is what the phase of the images may change.
    assert 30.0 < residuals[0] / residuals[1] < 300.0


def test_ends_are_polished():
    exact = minimum_energy_path(landscapes.Himmelblau(), [3.0, 2.0], [3.5844283, -1.8481265])
    off = minimum_energy_path(landscapes.Himmelblau(), [3.1, 1.9], [3.5, -1.9])
    # Newton's method from different points, errors of a few units in the last place.
    np.testing.assert_allclose(off["minimum"], exact["minimum"], atol=1e-14)
    np.testing.assert_allclose(off["position"], exact["position"], atol=OFF)


def test_a_path_without_pass_says_so():
    """Between the two wells of (x - 1/x)^2 the loss is infinite."""
    walled = fd.landscape("(x - 1/x)**2", dim=1, domain=(-3.0, 3.0))
    path = minimum_energy_path(walled, [-1.0], [1.0])
    assert path.attrs["converged"] == 0
    assert path.sizes["barrier"] == 0
    assert path.sizes["well"] == 2
    assert float(path["height_above_start"]) == math.inf


def test_path_is_stored_and_read(tmp_path):
    path = minimum_energy_path(landscapes.SymmetricDoubleWell(), [-1.0], [1.0])
    path.to_netcdf(tmp_path / "path.nc", engine="h5netcdf")
    xr.testing.assert_identical(xr.load_dataset(tmp_path / "path.nc", engine="h5netcdf"), path)
    for variable in path.variables.values():
        assert {"long_name", "units"} <= set(variable.attrs)


BOWL = landscapes.Himmelblau()


@pytest.mark.parametrize(
    ("start", "end", "options", "text"),
    [
        ([3.0], [3.58, -1.85], {}, "start: got [3.0], allowed is one point: 2 finite"),
        ([[3.0, 2.0]], [3.58, -1.85], {}, "start: got"),
        ([3.0, 2.0], [np.nan, -1.85], {}, "end: got [nan, -1.85]"),
        ([3.0, 2.0], [3.0, 2.0], {}, "end: got [3.0, 2.0], allowed is another minimum"),
        ([3.01, 2.0], [3.0, 2.01], {}, "a strict minimum"),
        ([3.0, 2.0], [-0.2708, -0.9230], {}, "end: gradient norm"),
        ([3.0, 2.0], [3.38515418, 0.07385188], {}, "allowed is a strict minimum; take two"),
        ([3.0, 2.0], [3.58, -1.85], {"images": 2}, "images: got 2, allowed is an integer >= 3"),
        ([3.0, 2.0], [3.58, -1.85], {"images": 9.5}, "images: got 9.5"),
        ([3.0, 2.0], [3.58, -1.85], {"tolerance": 0.1}, "tolerance: got 0.1"),
        ([3.0, 2.0], [3.58, -1.85], {"iterations": 0}, "iterations: got 0"),
    ],
)
def test_bad_ends_and_options(start, end, options, text):
    with pytest.raises(InvalidValueError) as error:
        minimum_energy_path(BOWL, start, end, **options)
    assert text in str(error.value)


def test_landscape_without_hessian():
    class Flat(fd.landscapes.Landscape):
        kernel = type(landscapes.Himmelblau()).kernel
        dim = 2

    with pytest.raises(InvalidValueError, match=r"Flat\.hessian"):
        minimum_energy_path(Flat(), [3.0, 2.0], [3.58, -1.85])


def test_minima_that_are_not_strict_are_refused():
    """All of w_1 w_2 = 1 is one valley."""
    valley = fd.landscape("(x*y - 1)**2", dim=2)
    with pytest.raises(InvalidValueError, match="a strict minimum"):
        minimum_energy_path(valley, [1.0, 1.0], [2.0, 0.5])


# The flow -------------------------------------------------------------------------------------


def test_descents_follow_the_exact_flow_of_a_quadratic():
    """On (x^2 + 100 y^2) / 2 the flow keeps y / x^100, whatever its speed."""
    quadratic = fd.landscape("x**2/2 + 50*y**2", dim=2)
    start, box = np.array([[1.0, 1.0], [-1.0, 0.5]]), np.array([[-5.0, 5.0]] * 2)
    errors = []
    for tolerance in (1e-4, 1e-7):
        down = descend(quadratic, start, box, np.ones(2), tolerance, record=True)
        assert down.status.tolist() == [ARRIVED] * 2
        way = np.stack(down.way)
        exact = start[:, 1] * np.abs(way[:, :, 0]) ** 100.0
        errors.append(np.abs(way[:, :, 1] - exact).max())
        assert np.abs(down.end).max() < 1e-5  # at rest by its own measure, 1e-6, a step later
    # Order 2: a thousandth of the local error gives a hundredth of the error.
    assert errors[1] < 1e-4
    assert 30.0 < errors[0] / errors[1] < 300.0


def test_descents_do_not_depend_on_their_neighbours():
    rng = np.random.default_rng(5)
    starts, box = rng.uniform(-4.0, 4.0, (12 if JIT else 4, 2)), np.array([[-9.0, 9.0]] * 2)
    scale = np.ones(len(starts))
    together = descend(BOWL, starts, box, scale, 1e-5).end
    alone = [descend(BOWL, x[None], box, scale[:1], 1e-5).end[0] for x in starts]
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize(("index", "kind"), [(0, "minimum"), (1, "saddle"), (2, "maximum")])
def test_following_modes_finds_the_index_that_is_asked_for(index, kind):
    rng = np.random.default_rng(11)
    starts = rng.uniform(-4.0, 4.0, (60 if JIT else 12, 2))
    x, right = follow_modes(BOWL, starts, index, 0.3)
    known = np.array([p.position for p in BOWL.critical_points() if p.kind == kind])
    distance = _distance(x[right][:, None], known).min(axis=1)
    assert right.any()
    np.testing.assert_array_less(distance, 1e-12)  # round-off at coordinates of 4


# Connections, barriers and the graph -----------------------------------------------------------

CASES = {
    "himmelblau": (landscapes.Himmelblau(), None),
    "six-hump camel": (landscapes.SixHumpCamel(), None),
    "goldstein-price": (landscapes.GoldsteinPrice(), None),
    "mueller-brown": (MUELLER_BROWN, MUELLER_BROWN_POINTS),
}


def test_mueller_brown_barriers():
    """The end minima are joined over the one between them."""
    points = listed(MUELLER_BROWN, MUELLER_BROWN_POINTS)
    edges = saddle_connections(MUELLER_BROWN, points)
    assert edges["saddle"].values.tolist() == [3, 4]
    joined = [{int(edges[f"minimum_{side}"][k]) for side in "ab"} for k in range(2)]
    assert joined == [{1, 2}, {0, 2}]
    np.testing.assert_allclose(edges["value"], [-72.24894011, -40.66484351], atol=6e-9)
    found = barriers(MUELLER_BROWN, points)
    low, first, second = [-146.69951721, -108.16672412, -80.76781813], -40.66484351, -72.24894011
    expected = np.array([[0.0, first, first], [first, 0.0, second], [first, second, 0.0]])
    np.fill_diagonal(expected, low)
    # Nine and ten published digits.
    np.testing.assert_allclose(found["pass_value"], expected, atol=2e-8)
    np.testing.assert_allclose(found["barrier"], expected - np.array(low)[:, None], atol=3e-8)


def test_himmelblau_barriers():
    """Three of the four saddles are barriers; round the highest one there are lower ways."""
    points = listed(BOWL)
    edges = saddle_connections(BOWL, points)
    sides = np.sort(np.stack([edges["minimum_a"], edges["minimum_b"]], axis=1), axis=1)
    joined = dict(
        zip(edges["value"].values.round(4).tolist(), map(tuple, sides.tolist()), strict=True)
    )
    # Minima in the order (3, 2), (-3.78, -3.28), (-2.81, 3.13), (3.58, -1.85): neighbours round
    # the maximum.
    assert joined == {13.3119: (0, 3), 67.7192: (0, 2), 104.0152: (1, 2), 178.3372: (1, 3)}
    found = barriers(BOWL, points)["pass_value"].values
    a, b, c = 13.31192627, 67.71915009, 104.0151629
    expected = [[0, c, b, a], [c, 0, c, c], [b, c, 0, b], [a, c, b, 0]]
    np.testing.assert_allclose(found, expected, atol=5e-8)  # the published digits


def test_six_hump_camel_is_symmetric():
    camel = landscapes.SixHumpCamel()
    points = listed(camel)
    mirror = [k ^ 1 for k in range(6)]  # minima come in pairs (x, y), (-x, -y)
    found = barriers(camel, points)["pass_value"].values
    np.testing.assert_array_equal(found[np.ix_(mirror, mirror)], found)
    assert found[0, 1] == pytest.approx(0.0, abs=1e-15)
    # Published: two local pairs behind the lower ones of their saddles.
    np.testing.assert_allclose(found[2, [0, 1, 3]], 0.543718601, atol=6e-10)
    np.testing.assert_allclose(found[4, [0, 1, 2, 3, 5]], 2.229357198, atol=6e-10)


@compiled_only
@pytest.mark.parametrize("name", CASES)
def test_barriers_agree_with_flooding_a_grid(name):
    """Water rises over a grid: at which level do two minima share a lake?"""
    landscape, positions = CASES[name]
    points = listed(landscape, positions)
    minima = points["position"].values[points["kind"].values == "minimum"]
    saddles = points["position"].values[points["index"].values == 1]
    low, high = points["position"].values.min(axis=0), points["position"].values.max(axis=0)
    axes = [np.linspace(a - 0.3, b + 0.3, 181) for a, b in zip(low, high, strict=True)]
    flooded = _flooded(landscape, axes, minima)
    found = barriers(landscape, points)["pass_value"].values
    off = ~np.eye(len(minima), dtype=bool)
    # Near a saddle a way over nodes misses it by at most half a diagonal on either side; the
    # loss changes by half the curvature times the square of that.  Third derivatives: doubled.
    reach = np.hypot(*(axis[1] - axis[0] for axis in axes))
    curvature = np.abs(np.linalg.eigvalsh(landscape.hessian(saddles))).max()
    assert np.abs(flooded - found)[off].max() < curvature * reach**2


def _flooded(landscape, axes, minima):
    shape = tuple(len(axis) for axis in axes)
    value = landscape.value(np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 2))
    lake = np.full(len(value), -1)
    places = [
        int(
            np.ravel_multi_index(
                [np.abs(a - x).argmin() for a, x in zip(axes, m, strict=True)], shape
            )
        )
        for m in minima
    ]
    around = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
    found, inside = np.full((len(minima),) * 2, np.inf), {}

    def root(k):
        while lake[k] != k:
            lake[k] = lake[lake[k]]
            k = lake[k]
        return k

    for k in np.argsort(value, kind="stable").tolist():
        lake[k] = k
        inside[k] = [n for n, place in enumerate(places) if place == k]
        row, column = divmod(k, shape[1])
        for i, j in around:
            if not (0 <= row + i < shape[0] and 0 <= column + j < shape[1]):
                continue
            other = k + i * shape[1] + j
            if lake[other] < 0 or (a := root(k)) == (b := root(other)):
                continue
            for m, n in itertools.product(inside[a], inside[b]):
                found[m, n] = found[n, m] = value[k]
            lake[b] = a
            inside[a] += inside.pop(b)
    return found


def _minimax(low, edges):
    """Floyd and Warshall's closure, the operations being minimum and maximum."""
    found = np.full((len(low), len(low)), np.inf)
    np.fill_diagonal(found, low)
    for a, b, value in edges:
        if a != b:
            found[a, b] = found[b, a] = min(found[a, b], value)
    for k in range(len(low)):
        found = np.minimum(found, np.maximum(found[:, k, None], found[k]))
    np.fill_diagonal(found, low)
    return found


@pytest.mark.parametrize("dim", [1, pytest.param(2, marks=compiled_only)])
def test_rastrigin_barriers_per_axis(dim):
    """The sum of the same function of each axis: ways go along one axis at a time."""
    rastrigin = landscapes.Rastrigin(dim=dim)
    points = listed(rastrigin)
    reach = 5.2
    near = np.abs(points["position"]).max("coordinate") < reach
    points = points.isel(point=np.flatnonzero(near))
    axis = np.array([p.position[0] for p in landscapes.Rastrigin(dim=1).critical_points()])
    axis = np.sort(axis[np.abs(axis) < reach])
    low, top = axis[::2], axis[1::2]
    assert top[len(top) // 2] == pytest.approx(0.502546, abs=5e-7)
    wells = list(itertools.product(range(len(low)), repeat=dim))
    f = landscapes.Rastrigin(dim=1).value
    at_low, at_top = f(low[:, None]), f(top[:, None])
    value = {well: sum(at_low[k] for k in well) for well in wells}
    edges = []
    for n, well in enumerate(wells):
        for i in range(dim):
            if well[i] + 1 < len(low):
                beyond = (*well[:i], well[i] + 1, *well[i + 1 :])
                over = value[well] - at_low[well[i]] + at_top[well[i]]
                edges.append((n, wells.index(beyond), over))
    expected = _minimax([value[well] for well in wells], edges)
    found = barriers(rastrigin, points)
    minima = points["position"].values[found["minimum"].values]
    order = [wells.index(tuple(int(np.abs(low - x).argmin()) for x in m)) for m in minima]
    assert sorted(order) == list(range(len(wells)))
    # Sums of two values up to 65 in different order.
    np.testing.assert_allclose(found["pass_value"], expected[np.ix_(order, order)], atol=1e-12)


def test_double_well_barrier_over_its_maximum():
    """In one dimension the saddle is a maximum."""
    well = landscapes.SymmetricDoubleWell()
    found = barriers(well, listed(well))
    assert found["barrier"].values.tolist() == [[0.0, 0.25], [0.25, 0.0]]


def forked(x):
    """From the saddle at 0 both ways lead, by symmetry, to saddles at (+-1, 0)."""
    return (x[0] ** 2 - 1) ** 2 + x[1] ** 2 * (0.5 - x[0] ** 2) + x[1] ** 4


FORK = [(0, 0), (1, 0), (-1, 0)]
FORK += [(a * math.sqrt(7 / 6), b / math.sqrt(3)) for a in (1, -1) for b in (1, -1)]


def test_descents_that_end_at_saddles_go_on():
    """Minima -1/12, saddles 0 and 1: zeros of the gradient solved by hand."""
    landscape = fd.landscape(forked, domain=(-2.0, 2.0))
    found = barriers(landscape, listed(landscape, FORK))["pass_value"].values
    expected = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [1, 1, 0, 0], [1, 1, 0, 0]], dtype=float)
    np.fill_diagonal(expected, -1.0 / 12.0)
    np.testing.assert_allclose(found, expected, atol=1e-15)


def test_path_whose_descent_ends_at_a_saddle():
    """Across the fork and to the other side: over the saddles of 1 and of 0."""
    a, b = math.sqrt(7 / 6), 1 / math.sqrt(3)
    path = minimum_energy_path(fd.landscape(forked, domain=(-2.0, 2.0)), [a, b], [-a, -b])
    assert path.attrs["converged"] == 1
    np.testing.assert_allclose(path["saddle_value"], [1.0, 0.0], atol=1e-15)
    np.testing.assert_allclose(path["height_above_start"], 13.0 / 12.0, atol=1e-15)


def test_descents_that_leave_and_minima_that_are_not_listed():
    cubic = fd.landscape("x**3/3 - x", domain=(-2.0, 2.0))
    edges = saddle_connections(cubic, listed(cubic, [[1.0], [-1.0]]))
    sides = [(int(edges[f"minimum_{s}"].item()), str(edges[f"outcome_{s}"].item())) for s in "ab"]
    assert sorted(sides) == [(-1, "left"), (0, "minimum")]
    well = landscapes.SymmetricDoubleWell()
    edges = saddle_connections(well, listed(well, [[1.0], [0.0]]))
    sides = [(int(edges[f"minimum_{s}"].item()), str(edges[f"outcome_{s}"].item())) for s in "ab"]
    assert sorted(sides) == [(-1, "unlisted"), (0, "minimum")]
    narrow = saddle_connections(well, listed(well), box=[[-0.5, 2.0]])
    assert sorted(str(narrow[f"outcome_{s}"].item()) for s in "ab") == ["left", "minimum"]


def test_degenerate_saddles_are_counted():
    """x^2 (x - 2)^2 - its minima at 0 and 2 - and a place where curvature decides nothing."""
    landscape = fd.landscape("x**2*(x - 2)**2", domain=(-1.0, 3.0))
    points = listed(landscape, [[0.0], [1.0], [2.0]])
    assert saddle_connections(landscape, points).attrs["skipped"] == 0
    other = points.isel(point=[0]).assign(kind=("point", ["degenerate"]), index=("point", [-1]))
    more = xr.concat([points, other], "point")
    assert saddle_connections(landscape, more).attrs["skipped"] == 1


@pytest.mark.parametrize("kind", ["degenerate", "regular", "maximum"])
def test_only_saddles_join_minima(kind):
    """An index of 1 is not enough: a degenerate point, say, has no direction down."""
    points = listed(BOWL)
    saddles = np.flatnonzero(points["index"].values == 1)
    kinds = points["kind"].values.astype("<U10")
    assert (kinds[saddles] == "saddle").all()
    kinds[saddles[1:]] = kind
    found = saddle_connections(BOWL, points.assign(kind=("point", kinds)))
    assert found["saddle"].values.tolist() == saddles[:1].tolist()
    assert found.attrs["skipped"] == (len(saddles) - 1 if kind == "degenerate" else 0)
    kinds[saddles] = kind
    with pytest.raises(InvalidValueError, match="at least one saddle"):
        barriers(BOWL, points.assign(kind=("point", kinds)))


@st.composite
def networks(draw):
    """Minima below 0 and saddles above, joined at random, some of them on one side only."""
    minima, saddles = draw(st.integers(1, 9)), draw(st.integers(1, 16))
    heights = st.lists(st.integers(1, 12), min_size=saddles, max_size=saddles)
    depths = st.lists(st.integers(-9, 0), min_size=minima, max_size=minima)
    sides = st.lists(
        st.tuples(*[st.integers(-1, minima - 1)] * 2), min_size=saddles, max_size=saddles
    )
    value = np.array(draw(depths) + draw(heights), dtype=float)
    return minima, value, np.array(draw(sides))


def _network(minima, value, sides):
    """The datasets of such a network, as if found on some landscape of one dimension."""
    n = np.arange(len(value))
    points = xr.Dataset(
        {
            "position": (("point", "coordinate"), n[:, None].astype(float)),
            "value": ("point", value),
            "kind": ("point", np.where(n < minima, "minimum", "maximum")),
            "index": ("point", np.where(n < minima, 0, 1)),
        },
        attrs={"landscape": "Network()"},
    )
    edges = xr.Dataset(
        {
            "saddle": ("connection", n[minima:]),
            "minimum_a": ("connection", sides[:, 0]),
            "minimum_b": ("connection", sides[:, 1]),
        }
    )
    return points, edges


@settings(max_examples=150 if JIT else 30, deadline=None, derandomize=True)
@given(network=networks())
def test_barriers_of_any_network_are_minimax(network):
    minima, value, sides = network
    points, edges = _network(*network)
    landscape = landscapes.SymmetricDoubleWell()
    usable = [(a, b, v) for (a, b), v in zip(sides, value[minima:], strict=True) if min(a, b) >= 0]
    expected = _minimax(value[:minima], usable)
    found = barriers(landscape, points, connections=edges)["pass_value"].values
    np.testing.assert_array_equal(found, expected)
    tree = disconnectivity(landscape, points, connections=edges)
    parent, height = tree["parent"].values, tree["value"].values
    assert tree.attrs["minima"] == minima
    # The lowest node above two minima is the pass between them.
    above = [[k] for k in range(minima)]
    for line in above:
        while parent[line[-1]] >= 0:
            line.append(parent[line[-1]])
    for a, b in itertools.permutations(range(minima), 2):
        shared = [node for node in above[a] if node in above[b]]
        assert (height[shared[0]] if shared else np.inf) == expected[a, b]
    counts = [sum(node in line for line in above) for node in range(len(parent))]
    assert tree["size"].values.tolist() == counts


def test_merges_are_those_of_single_linkage():
    """SciPy's clustering of the minima, with the passes between them as distances."""
    camel = landscapes.SixHumpCamel()
    points = listed(camel)
    passes = barriers(camel, points)["pass_value"].values + 2.0  # distances are positive
    np.fill_diagonal(passes, 0.0)
    merges = linkage(squareform(passes, checks=False), "single")
    tree = disconnectivity(camel, points)
    np.testing.assert_allclose(tree["value"][6:], merges[:, 2] - 2.0, atol=1e-14)
    assert sorted(tree["size"].values[6:]) == sorted(merges[:, 3])


def test_connections_do_not_depend_on_the_order_of_points():
    points = listed(BOWL)
    order = np.random.default_rng(2).permutation(points.sizes["point"])
    mixed = barriers(BOWL, points.isel(point=order))
    found = barriers(BOWL, points)
    back = [order[k] for k in mixed["minimum"].values]
    place = [list(found["minimum"].values).index(k) for k in back]
    np.testing.assert_array_equal(
        mixed["pass_value"].values, found["pass_value"].values[np.ix_(place, place)]
    )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda ds: None, "critical_points: got None"),
        (
            lambda ds: ds.drop_vars("index"),
            "allowed is a dataset with position, value, kind, index",
        ),
        (lambda ds: ds.isel(coordinate=[0]), "critical_points: position: got (9, 1)"),
        (lambda ds: ds.isel(point=[0, 1, 8]), "at least one saddle of index 1"),
        (lambda ds: ds.isel(point=[4, 8]), "at least one minimum"),
    ],
)
@pytest.mark.parametrize("function", [saddle_connections, barriers, disconnectivity])
def test_bad_critical_points(function, change, text):
    with pytest.raises(InvalidValueError) as error:
        function(BOWL, change(listed(BOWL)))
    assert text in str(error.value)


@pytest.mark.parametrize("function", [barriers, disconnectivity])
@pytest.mark.parametrize("given_", [3, xr.Dataset({"saddle": ("connection", [1])})])
def test_bad_connections(function, given_):
    with pytest.raises(InvalidValueError) as error:
        function(BOWL, listed(BOWL), connections=given_)
    assert error.value.part == "connections"


@pytest.mark.parametrize("function", [saddle_connections, barriers, disconnectivity])
def test_connections_need_a_landscape(function):
    with pytest.raises(InvalidValueError) as error:
        function("x**2", listed(BOWL))
    assert error.value.part == "landscape"


def test_bad_box():
    with pytest.raises(InvalidValueError, match="box: got"):
        saddle_connections(BOWL, listed(BOWL), box=[[1.0, 0.0], [0.0, 1.0]])


# Figures --------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _nothing_leaks():
    """No figure may change the global style."""
    before = dict(mpl.rcParams)
    yield
    assert dict(mpl.rcParams) == before


def _lines(ax):
    """Vertical and horizontal lines of a graph as (place, low, high)."""
    vertical, horizontal = [], []
    for collection in ax.collections:
        for (x0, y0), (x1, y1) in collection.get_segments():
            if x0 == x1:
                vertical.append((x0, *sorted((y0, y1))))
            else:
                horizontal.append((y0, *sorted((x0, x1))))
    return vertical, horizontal


@settings(max_examples=12 if JIT else 4, deadline=None, derandomize=True)
@given(network=networks())
def test_branches_never_cross(network):
    points, edges = _network(*network)
    tree = disconnectivity(landscapes.SymmetricDoubleWell(), points, connections=edges)
    figure = plt.figure()
    vertical, horizontal = _lines(
        _disconnectivity.disconnectivity(tree, figure.add_subplot(), labels=False, legend=False)
    )
    plt.close(figure)
    for (x, low, high), (y, left, right) in itertools.product(vertical, horizontal):
        assert not (left < x < right and low < y < high)
    for first, second in itertools.combinations(vertical, 2):
        overlap = min(first[2], second[2]) - max(first[1], second[1])
        assert not (first[0] == second[0] and overlap > 0.0)


def test_a_graph_says_what_its_list_may_lack():
    # Maxima at 0 and 2.2 join three minima; without that at 3 one way down leads nowhere listed.
    landscape = fd.landscape("(x**2 - 1)**2*(x - 3)**2", domain=(-2, 4))
    points = fd.geometry.find_critical_points(landscape, starts=64)
    whole = barriers(landscape, points)
    assert [whole.attrs[name] for name in ("complete", "skipped", "lost")] == ["certified", 0, 0]
    assert np.isfinite(whole["barrier"].values).all()
    points.attrs["complete"] = "estimated"
    for made in (barriers, disconnectivity):
        assert made(landscape, points).attrs["complete"] == "estimated"
    short = points.isel(point=~np.isclose(points["position"].values[:, 0], 3.0))
    assert barriers(landscape, short).attrs["lost"] == 1
    bare = short.drop_attrs()
    assert disconnectivity(landscape, bare).attrs["complete"] == "unknown"


def test_graph_ends_at_minima_and_merges_at_barriers():
    tree = disconnectivity(BOWL, listed(BOWL))
    ax = _disconnectivity.disconnectivity(tree)
    _, horizontal = _lines(ax)
    heights = sorted(y for y, _, _ in horizontal)
    np.testing.assert_allclose(heights, [13.31192627, 67.71915009, 104.0151629], atol=5e-8)
    ends = np.concatenate([line.get_xydata() for line in ax.lines])
    np.testing.assert_allclose(ends[:, 1], 0.0, atol=1e-12)
    assert sorted(ends[:, 0]) == [0, 1, 2, 3]
    texts = {text.get_text() for text in ax.texts}
    assert texts == {"0", "1", "2", "3", "13.31", "67.72", "104"}
    assert ax.get_title() == "Disconnectivity graph of Himmelblau: 4 minima"
    assert not _disconnectivity.disconnectivity(tree, labels=False, legend=False).texts


def test_equal_barriers_are_one_merge():
    """The pairs of the six-hump camel merge three at a time; the lowest pair is in the middle."""
    camel = landscapes.SixHumpCamel()
    ax = _disconnectivity.disconnectivity(disconnectivity(camel, listed(camel)))
    _, horizontal = _lines(ax)
    assert len(horizontal) == 3
    lowest = next(line for line in ax.lines if line.get_label() == "lowest minimum")
    assert sorted(lowest.get_xdata()) == [2, 3]


def test_trees_that_nothing_joins_end_in_arrows():
    points, edges = _network(3, np.array([-2.0, -1.0, 0.0, 1.0]), np.array([[0, 1]]))
    tree = disconnectivity(landscapes.SymmetricDoubleWell(), points, connections=edges)
    ax = _disconnectivity.disconnectivity(tree)
    arrows = [line for line in ax.lines if line.get_marker() == "^"]
    assert len(arrows) == 2


def _boxes(ax, places):
    """Boxes of the labels, and of the marks at these places."""
    ax.figure.draw_without_rendering()
    renderer = ax.figure.canvas.get_renderer()
    texts = [text.get_window_extent(renderer) for text in ax.texts]
    unit = ax.figure.dpi / 72.0
    return texts, [
        Bbox.from_bounds(x - 3 * unit, y - 3 * unit, 6 * unit, 6 * unit)
        for x, y in ax.transData.transform(places)
    ]


@compiled_only
@pytest.mark.parametrize("name", ["six-hump camel", "goldstein-price"])
def test_labels_overlap_neither_marks_nor_each_other(name):
    landscape, positions = CASES[name]
    points = listed(landscape, positions)
    ax = _geometry.critical_points(points, landscape)
    texts, marks = _boxes(ax, points["position"].values)
    assert len(texts) == points.sizes["point"]
    for first, second in itertools.combinations(texts, 2):
        assert Bbox.intersection(first, second) is None
    for text, mark in itertools.product(texts, marks):
        assert Bbox.intersection(text, mark) is None


@compiled_only
def test_contours_mark_every_point_by_its_kind():
    camel = landscapes.SixHumpCamel()
    points = listed(camel)
    ax = _geometry.critical_points(points, camel)
    drawn = {line.get_label(): line for line in ax.lines}
    chosen = {
        "global minimum": points["scope"] == "global",
        "local minimum": (points["kind"] == "minimum") & (points["scope"] == "local"),
        "saddle": points["kind"] == "saddle",
        "local maximum": points["kind"] == "maximum",
    }
    assert set(drawn) == set(chosen)
    for label, these in chosen.items():
        np.testing.assert_array_equal(
            drawn[label].get_xydata(), points["position"].values[these.values]
        )
    assert len({line.get_marker() for line in drawn.values()}) == 4
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == list(chosen)
    assert ax.get_title() == "SixHumpCamel: 6 minima, 7 saddles, 2 maxima"
    assert {"\N{MINUS SIGN}1.0316", "2.4963"} <= {text.get_text() for text in ax.texts}


def test_each_known_kind_has_its_own_shape():
    known = {key: mark[0] for key, mark in _style.MARKS.items() if "unknown" not in key}
    assert len(set(known.values())) == len(known)


def test_round_off_is_not_written():
    assert _geometry.written(np.array([1e-31, 0.0, -1e-25, 2.0])) == ["0", "0", "0", "2"]
    assert _geometry.written(np.array([3.0, 3.0 + 1e-14])) == ["3", "3"]
    assert _geometry.written(np.array([0.0])) == ["0"]


@compiled_only
def test_points_on_a_surface_stand_at_their_losses():
    points = listed(BOWL)
    ax = _geometry.critical_points_surface(points, BOWL, box=[[-5, 5], [-5, 5]])
    drawn = np.concatenate([np.column_stack(line.get_data_3d()) for line in ax.lines])
    expected = np.column_stack([points["position"], points["value"]])
    # Minimum 0 and a height that is not compressed: the losses themselves.
    np.testing.assert_allclose(drawn, expected, atol=1e-12)
    x, y, _ = proj3d.proj_transform(*expected.T, ax.get_proj())
    at = np.array([text.xy for text in ax.texts])
    np.testing.assert_allclose(at, np.column_stack([x, y]), atol=1e-12)
    texts, _ = _boxes(ax, at)
    for first, second in itertools.combinations(texts, 2):
        assert Bbox.intersection(first, second) is None


@compiled_only
def test_a_degenerate_point_and_a_box():
    monkey = landscapes.MonkeySaddle()
    ax = _geometry.critical_points(listed(monkey), monkey)
    assert ax.get_title() == "MonkeySaddle: 1 degenerate point"
    ax = _geometry.critical_points(listed(BOWL), BOWL, box=[[0.0, 5.0], [0.0, 5.0]])
    assert ax.get_title() == "Himmelblau: 1 minimum, 2 saddles"
    assert ax.get_xlim() == ax.get_ylim() == (0.0, 5.0)


def test_one_dimension_is_a_curve():
    well = landscapes.SymmetricDoubleWell()
    ax = _geometry.critical_points(listed(well), well)
    marks = [line for line in ax.lines if line.get_marker() != "None"]
    marked = np.concatenate([line.get_xydata() for line in marks])
    assert marked.tolist() == [[-1.0, 0.0], [1.0, 0.0], [0.0, 0.25]]


@pytest.mark.parametrize(
    ("draw", "text"),
    [
        (lambda ds: _geometry.critical_points(None, BOWL), "results: got None"),
        (
            lambda ds: _geometry.critical_points(ds, landscapes.Ackley(dim=3)),
            "of dimension 1 or 2",
        ),
        (lambda ds: _geometry.critical_points(ds, landscapes.DoubleWell()), "shape (n, 1)"),
        (lambda ds: _geometry.critical_points(ds, BOWL, box=[[0, 1]]), "box: got"),
        (
            lambda ds: _geometry.critical_points_surface(ds, BOWL, plt.figure().add_subplot()),
            "three-dimensional axes",
        ),
        (
            lambda ds: _geometry.critical_points_surface(ds, landscapes.DoubleWell()),
            "one of dimension 2",
        ),
        (_disconnectivity.disconnectivity, "geometry.disconnectivity returns one"),
    ],
)
def test_figures_of_something_else(draw, text):
    with pytest.raises(InvalidValueError) as error:
        draw(listed(BOWL))
    assert text in str(error.value)
