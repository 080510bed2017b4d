"""Box-counting dimension of a set of cells, with its uncertainty."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastdescent.errors import InvalidValueError
from fastdescent.parts import FloatArray, IntArray, is_integer

__all__ = ["BoxCounting", "box_counting_dimension", "edge"]

# Offsets of the grid: a lattice that fills the square evenly for any number of points.
_LATTICE = np.array([0.7548776662466927, 0.5698402909980532])
_OFFSETS = 16
# Boxes of the largest size along the shorter side: fewer would count the frame, not the set.
_FEWEST = 8


class BoxCounting(NamedTuple):
    """What `box_counting_dimension` finds.

    Parameters
    ----------
    dimension : float
        Mean of the local slopes.
    standard_error : float
        Standard deviation of the local slopes over the scales; not divided by the root of their
        number, as neighbouring scales err together.
    sizes : ndarray of int64
        Sides of the boxes in cells, each twice the one before.
    counts : ndarray
        Boxes that meet the set, mean over the offsets of the grid.
    slopes : ndarray
        Local slopes between neighbouring sizes, one less than the sizes.
    """

    dimension: float
    standard_error: float
    sizes: IntArray
    counts: FloatArray
    slopes: FloatArray


def edge(region: ArrayLike) -> NDArray[np.bool_]:
    """Return the edge of a region: the 2 x 2 blocks of cells that lie on both sides of it.

    Parameters
    ----------
    region : array_like of bool, shape (rows, columns)
        Which cells belong to the region.

    Returns
    -------
    ndarray of bool, shape (rows - 1, columns - 1)

    Raises
    ------
    InvalidValueError
        If `region` is not a matrix.

    Examples
    --------
    >>> edge([[0, 0, 1], [0, 0, 1], [0, 0, 0]]).astype(int).tolist()
    [[0, 1], [0, 1]]
    """
    inside = _matrix("region", region)
    corners = inside[:-1, :-1], inside[1:, :-1], inside[:-1, 1:], inside[1:, 1:]
    number = sum(corner.astype(np.int8) for corner in corners)
    return np.asarray((number > 0) & (number < 4))


def box_counting_dimension(
    mask: ArrayLike, *, smallest: int = 2, largest: int | None = None
) -> BoxCounting:
    r"""Estimate the box-counting dimension of a set of cells.

    .. math:: D_j = \log_2 \frac{N(s_j)}{N(2 s_j)}, \qquad
              D = \frac1m \sum_{j=1}^m D_j = \frac{1}{m} \log_2 \frac{N(s_1)}{N(2^m s_1)}, \qquad
              \mathrm{SE} = \sqrt{\frac{1}{m - 1} \sum_{j=1}^m (D_j - D)^2}

    with N(s) the number of boxes of side s that meet the set and s_1 the smallest side, each
    doubled for the next.  N(s) is the mean over 16 offsets of the grid, evenly spread; all
    sizes see the same parts of the frame, and whole boxes only, so the frame's border is no
    part of the set.

    A set in an image has the dimension of its limit only as far as the image shows it, so the
    local slopes say more than their mean.  For a fractal they are the same at all scales or go
    up and down; where a picture leaves out what is finer than its cells, they rise with the
    size, and the mean is too low.  Such errors are shared by neighbouring scales, so the standard
    error is the spread of the slopes itself and does not shrink with their number: on the 15 sets
    of known dimension in the tests, level sets of fractional Brownian surfaces among them, the
    truth is within two of it (or 0.01).  The smallest boxes are 2 cells wide, since single cells
    are not boxes in which a set was looked for but points at which it was sampled.

    Parameters
    ----------
    mask : array_like of bool, shape (rows, columns)
        The set.
    smallest : int
        Side of the smallest boxes in cells, >= 1.
    largest : int, optional
        Largest allowed side, at most a quarter of the frame's shorter side; by default an
        eighth.

    Returns
    -------
    BoxCounting

    Raises
    ------
    InvalidValueError
        If the mask is no matrix or empty, or the sizes leave fewer than two slopes.

    References
    ----------
    Falconer (2014), Fractal Geometry, 3rd edition, section 2.1; offsets and local slopes:
    Theiler (1990), Journal of the Optical Society of America A 7, 1055-1073.

    Examples
    --------
    The edge of a disc is a line:

    >>> y, x = np.mgrid[:512, :512]
    >>> found = box_counting_dimension(edge((x - 250) ** 2 + (y - 250) ** 2 < 200**2))
    >>> print(f"{found.dimension:.2f}")
    1.00
    """
    cells = _matrix("mask", mask)
    sizes = _sizes(cells, smallest, largest)
    if not cells.any():
        raise InvalidValueError("mask", "no cell", "at least one cell in the set")
    whole = [(side // int(sizes[-1]) - 1) * int(sizes[-1]) for side in cells.shape]
    counts = np.zeros(len(sizes))
    for k in range(_OFFSETS):
        first = [
            int((0.5 + k * step) % 1.0 * (side - used + 1))
            for step, side, used in zip(_LATTICE, cells.shape, whole, strict=True)
        ]
        frame = tuple(slice(at, at + used) for at, used in zip(first, whole, strict=True))
        counts += _counts(cells[frame], sizes) / _OFFSETS
    if counts[-1] == 0.0:
        raise InvalidValueError("mask", "cells in the border only", "a set that fills the frame")
    slopes = np.log2(counts[:-1] / counts[1:])
    error = float(np.std(slopes, ddof=1))
    return BoxCounting(float(slopes.mean()), error, sizes, counts, slopes)


def _counts(cells: NDArray[np.bool_], sizes: IntArray) -> FloatArray:
    """Return how many boxes of each size meet the set, the grid beginning at the corner."""
    boxes = _coarse(cells, int(sizes[0]))
    counts = [float(np.count_nonzero(boxes))]
    for _ in sizes[1:]:
        boxes = _coarse(boxes, 2)
        counts.append(float(np.count_nonzero(boxes)))
    return np.array(counts)


def _coarse(cells: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    rows, columns = (length // side for length in cells.shape)
    by_row = np.logical_or.reduce([cells[k : rows * side : side] for k in range(side)])
    return np.asarray(
        np.logical_or.reduce([by_row[:, k : columns * side : side] for k in range(side)])
    )


def _sizes(cells: NDArray[np.bool_], smallest: Any, largest: Any) -> IntArray:
    side = min(cells.shape)
    if not is_integer(smallest) or smallest < 1:
        raise InvalidValueError("smallest", smallest, "an integer >= 1")
    most = side // _FEWEST if largest is None else largest
    if not is_integer(most) or (largest is not None and most > side // 4):
        raise InvalidValueError("largest", largest, f"an integer up to {side // 4}")
    if most < 4 * smallest:
        raise InvalidValueError(
            "mask",
            f"{cells.shape[0]} x {cells.shape[1]} cells and boxes from {smallest} to {most}",
            "boxes of three sizes, each twice the one before",
            "take a larger image or a larger `largest`",
        )
    return int(smallest) * 2 ** np.arange(int(np.log2(most / smallest)) + 1, dtype=np.int64)


def _matrix(name: str, values: ArrayLike) -> NDArray[np.bool_]:
    cells = np.asarray(values)
    if cells.ndim != 2 or min(cells.shape) < 2 or cells.dtype.kind not in "biu":
        raise InvalidValueError(name, f"{cells.dtype} of shape {cells.shape}", "a matrix of bool")
    return cells.astype(bool)
