"""Start points: where the trajectories of an ensemble begin.

Starts are a pure function of the landscape and the study seed.  Start i of `Uniform`,
`Normal` and `Sphere` comes from its own random stream, and start i of `Sobol` from its
place in the sequence: neither changes when `count` grows, so an ensemble can be extended.
Starts outside the landscape's domain are allowed; `outside` counts them.

Examples
--------
>>> from fastdescent.landscapes import Rosenbrock
>>> Grid(-1.0, 1.0, counts=2).points(Rosenbrock(dim=2), seed=0).tolist()
[[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]]
"""

# Overrides are documented by the method of the base class that they override.
# ruff: noqa: D102

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import Field
from typing import Any, ClassVar, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from fastdescent.errors import InvalidValueError
from fastdescent.parts import FloatArray, Part, Range, is_integer, is_number, option
from fastdescent.streams import START, normals, uniforms

__all__ = [
    "Grid",
    "Initialization",
    "LatinHypercube",
    "Normal",
    "Points",
    "Sobol",
    "Sphere",
    "Starts",
    "Uniform",
    "outside",
]

#: Start indices are one 32-bit word of the random streams' counter.
_MOST = 2**32 - 1
_COUNT = Range(1, _MOST)
_ANY = Range()
# Shorter arrays are printed in full.
_SHOWN = 1000

#: A number for all coordinates, or one for each.
Coordinates: TypeAlias = float | Sequence[float]


class Space(Protocol):
    """What starts look at in a landscape."""

    @property
    def dim(self) -> int:
        """Number of coordinates."""

    @property
    def domain(self) -> FloatArray:
        """Lower and upper bound of each coordinate, shape (dim, 2)."""


class Starts(Part):
    """Base class of start points."""

    kind: ClassVar[str] = "starts"

    def points(self, landscape: Space, seed: int) -> FloatArray:
        """Return the start points.

        Parameters
        ----------
        landscape : Landscape
            Gives the dimension and, where no bounds were given, the domain.
        seed : int
            The study's seed.

        Returns
        -------
        ndarray, shape (size, dim)

        Raises
        ------
        InvalidValueError
            If the starts do not fit the landscape's dimension.

        Examples
        --------
        >>> from fastdescent.landscapes import Rosenbrock
        >>> Uniform(count=10).points(Rosenbrock(dim=2), seed=0).shape
        (10, 2)
        """
        raise NotImplementedError

    def size(self, landscape: Space) -> int:
        """Return how many start points there will be, without making them."""
        return int(getattr(self, "count"))  # noqa: B009

    def _coordinates(self, name: str, allowed: Range = _ANY, optional: bool = False) -> None:
        """Check and normalise a field that holds one number or one per coordinate."""
        value = getattr(self, name)
        if optional and value is None:
            return
        items = value if isinstance(value, tuple) and value else (value,)
        if not all(is_number(item) and float(item) in allowed for item in items):
            raise InvalidValueError(
                f"{type(self).__name__}.{name}",
                value,
                f"a number in {allowed}, or one for each coordinate",
            )
        plain = tuple(map(float, value)) if isinstance(value, tuple) else float(value)
        object.__setattr__(self, name, plain)

    def _spread(self, name: str, dim: int) -> FloatArray:
        """Return a field's numbers, one for each coordinate."""
        value = np.asarray(getattr(self, name), dtype=float)
        if value.ndim == 1 and len(value) != dim:
            raise InvalidValueError(
                f"{type(self).__name__}.{name}",
                value.tolist(),
                f"one number, or {dim} of them for a landscape of dimension {dim}",
            )
        return np.array(np.broadcast_to(value, (dim,)))


class _Box(Starts):
    """Base class of starts in a box, which is the landscape's domain unless given."""

    lower: Coordinates | None = option(default=None)
    upper: Coordinates | None = option(default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._coordinates("lower", optional=True)
        self._coordinates("upper", optional=True)
        if self.lower is not None and self.upper is not None:
            lower, upper = np.atleast_1d(self.lower), np.atleast_1d(self.upper)
            if len(lower) > 1 and len(upper) > 1 and len(lower) != len(upper):
                raise InvalidValueError(
                    f"{type(self).__name__}.upper",
                    self.upper,
                    f"one number, or {len(lower)} of them as in lower",
                )
            self._require_order(lower, upper)

    def _box(self, landscape: Space) -> tuple[FloatArray, FloatArray]:
        """Return lower and upper bounds, one for each coordinate."""
        dim, domain = landscape.dim, landscape.domain
        lower = domain[:, 0] if self.lower is None else self._spread("lower", dim)
        upper = domain[:, 1] if self.upper is None else self._spread("upper", dim)
        self._require_order(lower, upper)
        return lower, upper

    def _require_order(self, lower: FloatArray, upper: FloatArray) -> None:
        with np.errstate(over="ignore"):
            right = (lower < upper) & np.isfinite(upper - lower)
        if not right.all():
            i = int(np.argmin(right))
            pair = [float(np.broadcast_to(bound, right.shape)[i]) for bound in (lower, upper)]
            raise InvalidValueError(
                f"{type(self).__name__}.lower",
                pair[0],
                f"a number below upper = {pair[1]:g} (coordinate {i})",
                "bounds that are not given are those of the landscape's domain",
            )


class Uniform(_Box):
    r"""Independent start points, uniform in a box.

    .. math:: x_i = l_i + (u_i - l_i) U_i, \qquad U_i \sim \mathrm{Uniform}(0, 1)

    Parameters
    ----------
    lower, upper : float or sequence, optional
        Bounds of all coordinates, or one for each; those of the landscape's domain if not
        given.
    count : int
        Number of start points, 1 to 2^32 - 1.

    Raises
    ------
    InvalidValueError
        If a value is not allowed, or does not fit the landscape.

    Examples
    --------
    >>> from fastdescent.landscapes import Rosenbrock
    >>> Uniform(-2.0, 2.0, count=2).points(Rosenbrock(dim=2), seed=0).round(4).tolist()
    [[1.2646, 0.7398], [-1.1635, -1.7794]]
    """

    count: int = option(default=1000, integer=_COUNT)

    def points(self, landscape: Space, seed: int) -> FloatArray:
        lower, upper = self._box(landscape)
        return lower + (upper - lower) * uniforms(seed, START, np.arange(self.count), landscape.dim)


class Normal(Starts):
    r"""Independent start points, normal around a mean.

    .. math:: x_i = \mu_i + \sigma_i Z_i, \qquad Z_i \sim \mathcal N(0, 1)

    Parameters
    ----------
    mean : float or sequence
        Mean of all coordinates, or one for each, in units of theta.
    scale : float or sequence
        Standard deviation of all coordinates, or one for each, >= 0, in units of theta.
    count : int
        Number of start points, 1 to 2^32 - 1.

    Raises
    ------
    InvalidValueError
        If a value is not allowed, or does not fit the landscape.

    Examples
    --------
    >>> from fastdescent.landscapes import Rosenbrock
    >>> Normal(scale=0.1, count=2).points(Rosenbrock(dim=2), seed=0).round(4).tolist()
    [[-0.0253, -0.0585], [0.1664, 0.0601]]
    """

    mean: Coordinates = option(default=0.0)
    scale: Coordinates = option(default=1.0)
    count: int = option(default=1000, integer=_COUNT)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._coordinates("mean")
        self._coordinates("scale", Range(0.0))

    def points(self, landscape: Space, seed: int) -> FloatArray:
        mean, scale = (self._spread(name, landscape.dim) for name in ("mean", "scale"))
        return mean + scale * normals(seed, START, np.arange(self.count), landscape.dim)


class Sphere(Starts):
    r"""Independent start points, uniform on a sphere.

    .. math:: x = c + r Z / \|Z\|, \qquad Z_i \sim \mathcal N(0, 1)

    Parameters
    ----------
    radius : float
        Radius r, > 0, in units of theta.
    center : float or sequence
        Centre c of all coordinates, or one for each, in units of theta.
    count : int
        Number of start points, 1 to 2^32 - 1.

    Raises
    ------
    InvalidValueError
        If a value is not allowed, or does not fit the landscape.

    References
    ----------
    Muller (1959), Communications of the ACM 2, 19-20.

    Examples
    --------
    >>> from fastdescent.landscapes import Rosenbrock
    >>> Sphere(radius=2.0, count=2).points(Rosenbrock(dim=2), seed=0).round(4).tolist()
    [[-0.7949, -1.8352], [1.8812, 0.6792]]
    """

    radius: float = option(default=1.0, number=Range(0.0, lower_open=True))
    center: Coordinates = option(default=0.0)
    count: int = option(default=1000, integer=_COUNT)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._coordinates("center")

    def points(self, landscape: Space, seed: int) -> FloatArray:
        center = self._spread("center", landscape.dim)
        direction = normals(seed, START, np.arange(self.count), landscape.dim)
        square = np.zeros(self.count)
        for column in direction.T:  # a reduction of NumPy may sum in another order elsewhere
            square += column * column
        return center + direction * (self.radius / np.sqrt(square))[:, np.newaxis]


class Initialization(Starts):
    """A model's own initialisation: each start draws all weights and biases anew.

    Parameters
    ----------
    count : int
        Number of start points, 1 to 2^32 - 1.

    Raises
    ------
    InvalidValueError
        If the count is not allowed, or the landscape is no model.

    Examples
    --------
    >>> import fastdescent as fd
    >>> Initialization(count=2).points(fd.models.DeepLinear(depth=2), seed=0).round(4).tolist()
    [[0.6323, 0.3699], [-0.5818, -0.8897]]
    """

    count: int = option(default=1000, integer=_COUNT)

    def points(self, landscape: Space, seed: int) -> FloatArray:
        draw = getattr(landscape, "initial_points", None)
        if draw is None:
            raise InvalidValueError(
                "starts",
                self,
                f"other starts on {type(landscape).__name__}, which has no initialisation",
                "such as Uniform(count=1000)",
            )
        points: FloatArray = draw(seed, self.count)
        return points


class Grid(_Box):
    r"""A regular grid that includes the box's faces; the last coordinate runs fastest.

    .. math:: x_i = l_i + (u_i - l_i) \frac{k_i}{n_i - 1}, \qquad k_i = 0, \ldots, n_i - 1

    and the middle of the box where n_i = 1.  The seed plays no part.

    Parameters
    ----------
    lower, upper : float or sequence, optional
        Bounds of all coordinates, or one for each; those of the landscape's domain if not
        given.
    counts : int or sequence
        Points along each coordinate, >= 1: one number for all, or one for each.

    Raises
    ------
    InvalidValueError
        If a value is not allowed, does not fit the landscape, or makes more than 2^32 - 1
        points.

    Examples
    --------
    >>> from fastdescent.landscapes import Rosenbrock
    >>> Grid(0.0, 1.0, counts=[3, 1]).points(Rosenbrock(dim=2), seed=0).tolist()
    [[0.0, 0.5], [0.5, 0.5], [1.0, 0.5]]
    """

    counts: int | Sequence[int] = option(default=10)

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = self.counts if isinstance(self.counts, tuple) and self.counts else (self.counts,)
        if not all(is_integer(n) and n >= 1 for n in counts):
            raise InvalidValueError(
                "Grid.counts", self.counts, "an integer >= 1, or one for each coordinate"
            )

    def points(self, landscape: Space, seed: int) -> FloatArray:
        self.size(landscape)
        axes = [
            np.linspace(low, high, n) if n > 1 else np.array([0.5 * low + 0.5 * high])
            for low, high, n in zip(
                *self._box(landscape), self._axis_counts(landscape), strict=True
            )
        ]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, landscape.dim)

    def size(self, landscape: Space) -> int:
        size = math.prod(self._axis_counts(landscape))
        if size > _MOST:
            raise InvalidValueError(
                "Grid.counts",
                self.counts,
                f"at most {_MOST} points in all, here {size:.3g}",
                "use Sobol or LatinHypercube in many dimensions",
            )
        return size

    def _axis_counts(self, landscape: Space) -> list[int]:
        return [int(n) for n in self._spread("counts", landscape.dim)]


class LatinHypercube(_Box):
    r"""A Latin hypercube: along each coordinate one point in each of `count` equal slices.

    .. math:: x_i^{(k)} = l_i + (u_i - l_i) \frac{\pi_i(k) + U_i^{(k)}}{n}

    with an independent random permutation pi_i for each coordinate.  All points change with
    `count`.

    Parameters
    ----------
    lower, upper : float or sequence, optional
        Bounds of all coordinates, or one for each; those of the landscape's domain if not
        given.
    count : int
        Number n of start points, 1 to 2^32 - 1.

    Raises
    ------
    InvalidValueError
        If a value is not allowed, or does not fit the landscape.

    References
    ----------
    McKay, Beckman and Conover (1979), Technometrics 21, 239-245.

    Examples
    --------
    >>> from fastdescent.landscapes import Rosenbrock
    >>> x = LatinHypercube(0.0, 4.0, count=4).points(Rosenbrock(dim=2), seed=0)
    >>> np.sort(x, axis=0).astype(int).tolist()
    [[0, 0], [1, 1], [2, 2], [3, 3]]
    """

    count: int = option(default=1000, integer=_COUNT)

    def points(self, landscape: Space, seed: int) -> FloatArray:
        lower, upper = self._box(landscape)
        dim = landscape.dim
        draws = uniforms(seed, START, np.arange(self.count), 2 * dim)
        # The ranks of independent uniforms are a random permutation.
        order = np.argsort(draws[:, :dim], axis=0, kind="stable")
        slices = np.empty((self.count, dim))
        np.put_along_axis(slices, order, np.arange(self.count, dtype=float)[:, np.newaxis], axis=0)
        return lower + (upper - lower) * ((slices + draws[:, dim:]) / self.count)


class Sobol(_Box):
    """A scrambled Sobol sequence: fills the box more evenly than independent points.

    SciPy's sequence with a random linear matrix scramble and a digital shift, both from the
    study's seed.  Powers of two make the best counts; any number is a part of the next power
    of two.

    Parameters
    ----------
    lower, upper : float or sequence, optional
        Bounds of all coordinates, or one for each; those of the landscape's domain if not
        given.
    count : int
        Number of start points, 1 to 2^32 - 1.

    Raises
    ------
    InvalidValueError
        If a value is not allowed, or does not fit the landscape; Sobol numbers are known for
        up to 21201 dimensions.

    References
    ----------
    Sobol (1967), USSR Computational Mathematics and Mathematical Physics 7, 86-112; direction
    numbers of Joe and Kuo (2008), SIAM Journal on Scientific Computing 30, 2635-2654;
    scramble of Matousek (1998), Journal of Complexity 14, 527-556.

    Examples
    --------
    >>> from fastdescent.landscapes import Rosenbrock
    >>> x = Sobol(0.0, 4.0, count=4).points(Rosenbrock(dim=2), seed=0)
    >>> np.sort(x, axis=0).astype(int).tolist()
    [[0, 0], [1, 1], [2, 2], [3, 3]]
    """

    count: int = option(default=1000, integer=_COUNT)

    def points(self, landscape: Space, seed: int) -> FloatArray:
        from scipy.stats import qmc  # noqa: PLC0415  its import takes longer than all of ours

        lower, upper = self._box(landscape)
        if landscape.dim > qmc.Sobol.MAXDIM:
            raise InvalidValueError(
                "Sobol",
                landscape.dim,
                f"a landscape of dimension 1 to {qmc.Sobol.MAXDIM}",
                "use LatinHypercube",
            )
        generator = np.random.Generator(np.random.PCG64(seed))
        sequence = qmc.Sobol(landscape.dim, scramble=True, bits=53, rng=generator)
        # A whole power of two and a cut: the same points for every count, and no warning.
        unit = sequence.random_base2((self.count - 1).bit_length())[: self.count]
        return lower + (upper - lower) * unit


class Points(Starts):
    """The start points that are given, one row each.

    An array that is given to ``simulate`` becomes this part.

    Parameters
    ----------
    array : array_like, shape (count, dim)
        Finite numbers; copied.

    Raises
    ------
    InvalidValueError
        If the array has another shape, no rows, or a number that is not finite.

    Examples
    --------
    >>> Points([[0.0, 1.0], [2.0, 3.0]])
    Points(array=[[0.0, 1.0], [2.0, 3.0]])
    """

    array: Any = option()

    @property
    def count(self) -> int:
        """Number of start points."""
        return len(self.array)

    def points(self, landscape: Space, seed: int) -> FloatArray:
        if self.array.shape[1] != landscape.dim:
            raise InvalidValueError(
                "Points.array",
                self.array.shape,
                f"shape (count, {landscape.dim}) for a landscape of dimension {landscape.dim}",
            )
        return np.array(self.array)

    def _checked(self, field: Field[Any], value: Any) -> FloatArray:
        # Kept as an array: a million points as tuples would take a hundred megabytes.
        try:
            array = np.array(value, dtype=float, order="C")
        except (TypeError, ValueError):
            raise InvalidValueError(
                "Points.array",
                value,
                "an array of numbers of shape (count, dim)",
                "the study of a result refers to that result's variable: ds.initial"
                if isinstance(value, str)
                else "",
            ) from None
        if array.ndim != 2 or 0 in array.shape or len(array) > _MOST:
            raise InvalidValueError(
                "Points.array", array.shape, "shape (count, dim) with at least one row"
            )
        finite = np.isfinite(array).all(axis=1)
        if not finite.all():
            row = int(np.argmin(finite))
            raise InvalidValueError(
                "Points.array", array[row].tolist(), f"finite numbers (row {row})"
            )
        array.flags.writeable = False
        return array

    def _given(self) -> dict[str, Any]:
        return {"array": self.array}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Points) and np.array_equal(self.array, other.array)

    def __hash__(self) -> int:
        return hash((self.array.shape, (self.array + 0.0).tobytes()))  # -0.0 equals 0.0

    def __repr__(self) -> str:
        if self.array.size > _SHOWN:
            return "Points(array=<{} points of dimension {}>)".format(*self.array.shape)
        return f"Points(array={self.array.tolist()})"

    def to_table(self) -> dict[str, Any]:
        return {"name": "Points", "array": self.array.tolist()}


def outside(points: ArrayLike, landscape: Space) -> int:
    """Count the points that lie outside the landscape's domain.

    Parameters
    ----------
    points : array_like, shape (count, dim)
        Start points.
    landscape : Landscape
        Its domain, a closed box.

    Returns
    -------
    int

    Examples
    --------
    >>> from fastdescent.landscapes import Rosenbrock
    >>> outside([[0.0, 0.0], [0.0, 5.0]], Rosenbrock(dim=2))
    1
    """
    x, domain = np.asarray(points, dtype=float), landscape.domain
    inside = (x >= domain[:, 0]) & (x <= domain[:, 1])
    return int(np.count_nonzero(~inside.all(axis=1)))
