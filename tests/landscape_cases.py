"""The landscapes that the tests run over, made from the registry, and published values."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import Any

import numpy as np
import sympy

from fastdescent import landscapes
from fastdescent.contracts import JIT
from fastdescent.errors import InvalidValueError
from fastdescent.landscapes import Landscape

DIMENSIONS = (1, 2, 3, 4, 5, 8)
#: Plain Python evaluates some thousand times more slowly.
POINTS = 24 if JIT else 3
#: Places at which things are compared with high-precision derivatives.
PLACES = 6 if JIT else 2

PI, E = math.pi, math.e
# Landscapes whose options are more than a dimension.
FURTHER = [
    landscapes.Quadratic(eigenvalues=[3.0]),
    landscapes.Quadratic(eigenvalues=[2.0, -1.0, 0.0]),
    landscapes.Quadratic(eigenvalues=[1.0, 9.0], rotation=0.7),
    landscapes.Quadratic(eigenvalues=[1, 2, 3, 4, 5, 6, 7], rotation=3),
    landscapes.Quadratic(eigenvalues=[0.0, -2.0], rotation=[[0.6, -0.8], [0.8, 0.6]]),
    landscapes.DoubleWell(tilt=0.0),
    landscapes.DoubleWell(tilt=-2.5),
    landscapes.DoubleWell(tilt=5.0),
    landscapes.RippledBowl(dim=2, height=0.01),
    landscapes.Rastrigin(dim=2, amplitude=0.0),
]

# class -> [(landscape, point, value, tolerance)].  The tolerance is half a unit of the last
# digit that the source prints; what follows from a closed form has 1e-12.
PUBLISHED: dict[str, list[tuple[Landscape, Any, float, float]]] = {
    # All cosines are 1: 20 (1 - exp(-0.2)).
    "Ackley": [(landscapes.Ackley(dim=3), [1, 1, 1], 20 - 20 * math.exp(-0.2), 1e-12)],
    # Moré, Garbow and Hillstrom (1981), problem 5, start: residuals 1.5, 2.25, 2.625.
    "Beale": [(landscapes.Beale(), [1, 1], 1.5**2 + 2.25**2 + 2.625**2, 1e-12)],
    "Booth": [(landscapes.Booth(), [0, 0], 7.0**2 + 5.0**2, 1e-12)],
    "Bowl": [(landscapes.Bowl(dim=3, curvature=2.0), [1, 2, 3], 14.0, 1e-12)],
    # Dixon and Szegö (1978): 0.397887.
    "Branin": [(landscapes.Branin(), [-PI, 12.275], 0.397887, 5e-7)],
    "DegenerateSaddle": [(landscapes.DegenerateSaddle(), [2, 1], 15.0, 1e-12)],
    "DixonPrice": [(landscapes.DixonPrice(dim=3), [1, 1, 1], 2.0 + 3.0, 1e-12)],
    # spec/validation.md V55.
    "DoubleWell": [
        (landscapes.DoubleWell(), [-1.300840], -3.513905, 5e-7),
        (landscapes.DoubleWell(), [1.130901], -1.070230, 5e-7),
        (landscapes.DoubleWell(), [0.169938], 0.084135, 5e-7),
        (landscapes.DoubleWell(), [1.5], -0.1875, 1e-12),
    ],
    "Easom": [(landscapes.Easom(), [0, 0], -math.exp(-2 * PI**2), 1e-20)],
    # Goldstein and Price (1971): 3 at (0, -1); local minima 30, 84, 840.
    "GoldsteinPrice": [
        (landscapes.GoldsteinPrice(), [0, -1], 3.0, 1e-12),
        (landscapes.GoldsteinPrice(), [-0.6, -0.4], 30.0, 1e-10),
        (landscapes.GoldsteinPrice(), [1.8, 0.2], 84.0, 1e-10),
        (landscapes.GoldsteinPrice(), [1.2, 0.8], 840.0, 1e-9),
    ],
    # The next minimum for d = 2, in most tables: 0.0074 at (pi, 4.438).
    "Griewank": [(landscapes.Griewank(dim=2), [3.1400, 4.4384], 0.0074, 5e-5)],
    # Himmelblau (1972): maximum 181.617 at (-0.270845, -0.923039).
    "Himmelblau": [(landscapes.Himmelblau(), [-0.270845, -0.923039], 181.617, 5e-4)],
    # Where the pieces meet: 25/2, and 2 + 48 - 12.
    "Lessard": [
        (landscapes.Lessard(), [1.0], 12.5, 1e-12),
        (landscapes.Lessard(), [2.0], 38.0, 1e-12),
        (landscapes.Lessard(), [4.0], 12.5 * 16 - 24 * 4 + 36, 1e-12),
    ],
    # w = 0: both sines are those of multiples of pi, and (w - 1)^2 = 1.
    "Levy": [(landscapes.Levy(dim=1), [-3.0], 1.0, 1e-12)],
    "Matyas": [(landscapes.Matyas(), [5, 5], 0.04 * 25, 1e-12)],
    # Adorio and Diliman (2005): -1.9133 at (-0.54719, -1.54719).
    "McCormick": [(landscapes.McCormick(), [-0.54719, -1.54719], -1.9133, 1e-4)],
    # Bingham and Surjanovic, sfu.ca/~ssurjano: d = 2 at (2.20, 1.57).
    "Michalewicz": [(landscapes.Michalewicz(dim=2), [2.202906, 1.570796], -1.8013, 5e-5)],
    "MonkeySaddle": [(landscapes.MonkeySaddle(), [2, 1], 8.0 - 6.0, 1e-12)],
    "Plateau": [(landscapes.Plateau(dim=2, width=5.0), [3, 4], 1 - math.exp(-0.5), 1e-12)],
    # Moré, Garbow and Hillstrom (1981), problem 13, start.
    "Powell": [(landscapes.Powell(), [3, -1, 0, 1], 215.0, 1e-12)],
    "Quadratic": [(landscapes.Quadratic(eigenvalues=[1, 4]), [2, 1], 4.0, 1e-12)],
    # Wikipedia, Test functions for optimization: maximum for d = 2 is 80.70658039.
    "Rastrigin": [
        (landscapes.Rastrigin(dim=2), [4.52299366, 4.52299366], 80.70658039, 5e-9),
        # spec/validation.md section 5: the next minimum.
        (landscapes.Rastrigin(dim=1), [0.99495863765], 0.994959057, 5e-10),
    ],
    "Ravine": [(landscapes.Ravine(condition_number=15), [1, 2], 61.0, 1e-12)],
    "RippledBowl": [(landscapes.RippledBowl(dim=2), [0.5, 1.0], 1.25, 1e-12)],
    # Rosenbrock (1960): the start.
    "Rosenbrock": [(landscapes.Rosenbrock(dim=2), [-1.2, 1.0], 24.2, 1e-12)],
    "Saddle": [(landscapes.Saddle(), [1, 2], -1.5, 1e-12)],
    # Bingham and Surjanovic: 0 at 420.9687 (four digits), constant 418.9829.
    "Schwefel": [
        (landscapes.Schwefel(dim=2), [420.9687, 420.9687], 0.0, 1e-4),
        (landscapes.Schwefel(dim=1), [0.0], 418.9829, 5e-5),
    ],
    # Both neurons say 1/2 at the origin.
    "SigmoidValley": [(landscapes.SigmoidValley(), [0, 0], (0.3**2 + 0.4**2) / 2, 1e-12)],
    # Dixon and Szegö (1978): -1.0316285 at (0.08983, -0.7126).
    "SixHumpCamel": [(landscapes.SixHumpCamel(), [0.0898420, -0.7126564], -1.0316285, 5e-8)],
    "StyblinskiTang": [(landscapes.StyblinskiTang(dim=3), [-2.903534] * 3, -117.49850, 5e-6)],
    "SumSquares": [(landscapes.SumSquares(dim=4), [1, 1, 1, 1], 10.0, 1e-12)],
    # spec/validation.md V12: f(0) = 1/4, and +-sqrt(3) is as high as 1.
    "SymmetricDoubleWell": [(landscapes.SymmetricDoubleWell(), [math.sqrt(3)], 1.0, 1e-12)],
    # spec/validation.md section 5: the local minima.
    "ThreeHumpCamel": [
        (landscapes.ThreeHumpCamel(), [1.74755235, -0.873776173], 0.2986384422, 5e-11)
    ],
    # Adorio and Diliman (2005): -50 for d = 6, and -200 for d = 10, where -d (d + 4) (d - 1) / 6
    # is -210.
    "Trid": [
        (landscapes.Trid(dim=6), [6, 10, 12, 12, 10, 6], -50.0, 1e-12),
        (landscapes.Trid(dim=10), [10, 18, 24, 28, 30, 30, 28, 24, 18, 10], -210.0, 1e-12),
    ],
    "WindingCanal": [(landscapes.WindingCanal(), [PI / 2, 1.1], 0.5 + 0.05 * PI**2 / 4, 1e-12)],
    # s = 3/2: 2 + 9/4 + 81/16.
    "Zakharov": [(landscapes.Zakharov(dim=2), [1, 1], 2 + 9 / 4 + 81 / 16, 1e-12)],
}


def classes() -> list[type[Landscape]]:
    """Return the package's landscapes; other tests may have registered their own."""
    found = map(landscapes.get, landscapes.names())
    return [cls for cls in found if cls.__module__.startswith("fastdescent.landscapes.")]


def cases() -> list[Landscape]:
    """Return every landscape in several dimensions, with default and other parameters."""
    made = [landscape for cls in classes() for landscape in _of_class(cls)]
    return made + FURTHER


def _of_class(cls: type[Landscape]) -> list[Landscape]:
    names = [field.name for field in dataclasses.fields(cls)]
    made = [cls()]
    if "dim" in names:
        made = [made for dim in DIMENSIONS if (made := _try(cls, dim=dim)) is not None]
    parameters = cls.parameter_names()
    other = {name: 1.3 * getattr(made[-1], name) + 0.1 for name in parameters}
    return [*made, made[min(1, len(made) - 1)].at(**other)] if other else made


def _try(cls: type[Landscape], **options: Any) -> Landscape | None:
    try:
        return cls(**options)
    except InvalidValueError:
        return None


def inside(landscape: Landscape, count: int, seed: int = 0) -> np.ndarray:
    """Return random points of the domain."""
    lower, upper = landscape.domain.T
    return np.random.default_rng(seed).uniform(lower, upper, (count, landscape.dim))


@functools.cache
def symbolic(landscape: Landscape) -> tuple[Any, Any, Any]:
    """Return value, gradient and Hessian of the formula as functions in high precision.

    SymPy derives, mpmath evaluates: no code is shared with the kernels.
    """
    x = sympy.symbols(f"x:{landscape.dim}", real=True)
    value = sympy.sympify(landscape.formula(x, sympy))
    gradient = [sympy.diff(value, t) for t in x]
    hessian = [[_without_deltas(sympy.diff(row, t)) for t in x] for row in gradient]
    return tuple(
        sympy.lambdify([x], expression, "mpmath", cse=True)
        for expression in (value, gradient, hessian)
    )


def _without_deltas(expression: Any) -> Any:
    # The derivative of sign(x) at the kink itself, which no random point hits.
    return expression.replace(sympy.DiracDelta, lambda *_: sympy.Integer(0))
