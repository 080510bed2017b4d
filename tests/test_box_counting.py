"""Box counting, calibrated on sets of known dimension."""

from __future__ import annotations

import doctest
from itertools import product

import numpy as np
import pytest

import fastdescent as fd
from fastdescent.errors import InvalidValueError
from fastdescent.statistics import box_counting, box_counting_dimension, edge

SIZE = 1024
Y, X = np.mgrid[:SIZE, :SIZE]


def test_documentation():
    assert doctest.testmod(box_counting).failed == 0


def raster(points, angle=0.4, share=0.8, size=SIZE):
    """Cells that hold a point: the set turned and scaled, so no box is in step with it."""
    z = points * np.exp(1j * angle)
    z = z - 0.5 * (z.real.min() + z.real.max()) - 0.5j * (z.imag.min() + z.imag.max())
    z = z * share / max(np.ptp(z.real), np.ptp(z.imag)) + (0.5 + 0.5j)
    cells = np.zeros((size, size), dtype=bool)
    cells[np.floor(z.imag * size).astype(int), np.floor(z.real * size).astype(int)] = True
    return cells


def attractor(ratio, shifts, depth):
    """Points of the set that is the union of its own copies, smaller by the ratio, shifted."""
    points = np.array([0.3 + 0.2j])
    for _ in range(depth):
        points = np.concatenate([ratio * points + shift for shift in shifts])
    return points


def koch(depth):
    """The side of a snowflake: each segment is replaced by four of a third of its length."""
    points, turn = np.array([0.0, 1.0], dtype=complex), np.exp(1j * np.pi / 3)
    for _ in range(depth):
        third, first = np.diff(points) / 3, points[:-1]
        corners = [first, first + third, first + third * (1 + turn), first + 2 * third]
        points = np.append(np.stack(corners, axis=1).ravel(), points[-1])
    steps = np.linspace(0.0, 1.0, 32, endpoint=False)
    return (points[:-1, None] + np.diff(points)[:, None] * steps).ravel()


def snowflake():
    side, turn = koch(6), np.exp(-2j * np.pi / 3)
    return np.concatenate([side, 1 + side * turn, 1 + turn + side * turn**2])


def half_plane(angle):
    return np.cos(angle) * (Y - SIZE / 2) - np.sin(angle) * (X - SIZE / 2) > 0.3


def brownian(roughness):
    """Edge of the upper half of a surface whose increments grow like distance^roughness."""
    side = 2 * SIZE
    wave = np.fft.fftfreq(side)
    wave = np.hypot(wave[:, None], wave)
    wave[0, 0] = 1.0
    noise = np.fft.fft2(np.random.default_rng(3).normal(size=(side, side)))
    surface = np.fft.ifft2(noise * wave ** (-roughness - 1.0)).real[:SIZE, :SIZE]
    return edge(surface > np.median(surface))


CARPET = [(i + 1j * j) / 3 for i, j in product(range(3), repeat=2) if (i, j) != (1, 1)]
GASKET = [0.0, 0.5, 0.25 + 0.433j]
SETS = {
    **{f"line at {k} degrees": (lambda k=k: edge(half_plane(np.deg2rad(k))), 1.0) for k in (0, 30)},
    "circle": (lambda: edge((X - 500) ** 2 + (Y - 510) ** 2 < 300**2), 1.0),
    "plane": (lambda: np.ones((SIZE, SIZE), dtype=bool), 2.0),
    "square": (lambda: (abs(X - 500) < 300) & (abs(Y - 510) < 300), 2.0),
    "random": (lambda: edge(np.random.default_rng(1).random((SIZE, SIZE)) < 0.5), 2.0),
    "Koch curve": (lambda: raster(koch(6)), np.log(4) / np.log(3)),
    "snowflake": (lambda: raster(snowflake()), np.log(4) / np.log(3)),
    "gasket": (lambda: raster(attractor(1 / 2, GASKET, 11)), np.log(3) / np.log(2)),
    "carpet": (lambda: raster(attractor(1 / 3, CARPET, 7)), np.log(8) / np.log(3)),
    "dust 1/3": (
        lambda: raster(attractor(1 / 3, [0.0, 2 / 3, 2j / 3, (2 + 2j) / 3], 8)),
        2.0 * np.log(2) / np.log(3),
    ),
    "dust 1/4": (lambda: raster(attractor(1 / 4, [0.0, 0.75, 0.75j, 0.75 + 0.75j], 7)), 1.0),
    "Brownian 0.8": (lambda: brownian(0.8), 1.2),
    "Brownian 0.5": (lambda: brownian(0.5), 1.5),
    "Brownian 0.2": (lambda: brownian(0.2), 1.8),
}


@pytest.mark.parametrize("name", SETS)
def test_known_dimensions(name):
    """Within two standard errors, as the docstring says, and 0.01 where that is less.

    A Brownian edge is the hardest: the picture leaves out what is finer than a cell.
    """
    make, dimension = SETS[name]
    found = box_counting_dimension(make())
    assert abs(found.dimension - dimension) <= max(2.0 * found.standard_error, 0.01), found
    assert abs(found.dimension - dimension) < 0.2
    assert found.standard_error < 0.25


@pytest.mark.parametrize("name", ["line at 0 degrees", "plane"])
def test_plain_sets_are_exact(name):
    make, dimension = SETS[name]
    found = box_counting_dimension(make())
    assert found.slopes.tolist() == [dimension] * len(found.slopes)
    assert (found.dimension, found.standard_error) == (dimension, 0.0)


def test_sets_are_told_apart():
    """The dimensions of smoother and rougher edges are in order, and far apart."""
    found = [box_counting_dimension(brownian(h)).dimension for h in (0.8, 0.5, 0.2)]
    assert np.diff(found).min() > 0.1


def test_counts_are_those_of_a_naive_twin():
    """Boxes counted one by one at every offset; the frame of whole boxes shifts with it."""
    cells = np.random.default_rng(2).random((75, 67)) < 0.05
    found = box_counting_dimension(cells, smallest=1)
    assert found.sizes.tolist() == [1, 2, 4, 8]
    used = [(side // 8 - 1) * 8 for side in cells.shape]
    expected = np.zeros(4)
    for k in range(16):
        corner = [
            int((0.5 + k * step) % 1.0 * (side - length + 1))
            for step, side, length in zip(
                (0.7548776662466927, 0.5698402909980532), cells.shape, used, strict=True
            )
        ]
        for j, size in enumerate(found.sizes):
            for row, column in product(range(0, used[0], size), range(0, used[1], size)):
                y, x = corner[0] + row, corner[1] + column
                expected[j] += cells[y : y + size, x : x + size].any() / 16
    np.testing.assert_allclose(found.counts, expected, rtol=1e-14)
    slopes = np.log2(expected[:-1] / expected[1:])
    np.testing.assert_allclose(found.slopes, slopes, rtol=1e-13)
    np.testing.assert_allclose(found.dimension, np.log2(expected[0] / expected[-1]) / 3)
    np.testing.assert_allclose(found.standard_error, slopes.std(ddof=1))


def test_sizes_can_be_chosen():
    cells = SETS["Koch curve"][0]()
    default = box_counting_dimension(cells)
    assert default.sizes.tolist() == [2, 4, 8, 16, 32, 64, 128]
    some = box_counting_dimension(cells, smallest=3, largest=40)
    assert some.sizes.tolist() == [3, 6, 12, 24]
    assert abs(some.dimension - np.log(4) / np.log(3)) < 0.05


def test_a_set_may_be_of_integers_and_not_square():
    cells = np.ones((128, 300), dtype=np.int8)
    assert box_counting_dimension(cells).dimension == 2.0


def test_edge_is_where_a_block_of_four_differs():
    region = np.zeros((5, 6), dtype=bool)
    region[2, 3] = True
    expected = np.zeros((4, 5), dtype=bool)
    expected[1:3, 2:4] = True
    assert np.array_equal(edge(region), expected)
    assert np.array_equal(edge(~region), expected)
    assert not edge(np.ones((4, 4), dtype=bool)).any()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"mask": np.zeros((256, 256), dtype=bool)}, "at least one cell"),
        ({"mask": np.ones(256, dtype=bool)}, "a matrix"),
        ({"mask": np.ones((256, 256))}, "a matrix of bool"),
        ({"mask": np.ones((32, 512), dtype=bool)}, "three sizes"),
        ({"mask": np.ones((256, 256), dtype=bool), "smallest": 0}, "smallest"),
        ({"mask": np.ones((256, 256), dtype=bool), "smallest": 16}, "three sizes"),
        ({"mask": np.ones((256, 256), dtype=bool), "largest": 65}, "largest"),
        ({"mask": np.ones((256, 256), dtype=bool), "largest": 2.5}, "largest"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_what_cannot_be_measured_is_refused(arguments, word):
    with pytest.raises(InvalidValueError, match=word):
        box_counting_dimension(**arguments)


def test_a_set_in_the_border_alone_is_refused():
    cells = np.zeros((256, 256), dtype=bool)
    cells[0, 0] = True
    with pytest.raises(InvalidValueError, match="fills the frame"):
        box_counting_dimension(cells)


def test_the_package_offers_it():
    assert fd.statistics.edge is edge
