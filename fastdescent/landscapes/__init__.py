"""Loss landscapes with known geometry, one file each."""

from __future__ import annotations

from typing import cast

from fastdescent import parts
from fastdescent.landscapes._base import CriticalPoint, Landscape
from fastdescent.landscapes.ackley import Ackley
from fastdescent.landscapes.beale import Beale
from fastdescent.landscapes.booth import Booth
from fastdescent.landscapes.bowl import Bowl
from fastdescent.landscapes.branin import Branin
from fastdescent.landscapes.degenerate_saddle import DegenerateSaddle
from fastdescent.landscapes.dixon_price import DixonPrice
from fastdescent.landscapes.double_well import DoubleWell
from fastdescent.landscapes.easom import Easom
from fastdescent.landscapes.goldstein_price import GoldsteinPrice
from fastdescent.landscapes.griewank import Griewank
from fastdescent.landscapes.himmelblau import Himmelblau
from fastdescent.landscapes.lessard import Lessard
from fastdescent.landscapes.levy import Levy
from fastdescent.landscapes.matyas import Matyas
from fastdescent.landscapes.mccormick import McCormick
from fastdescent.landscapes.michalewicz import Michalewicz
from fastdescent.landscapes.monkey_saddle import MonkeySaddle
from fastdescent.landscapes.plateau import Plateau
from fastdescent.landscapes.powell import Powell
from fastdescent.landscapes.quadratic import Quadratic
from fastdescent.landscapes.rastrigin import Rastrigin
from fastdescent.landscapes.ravine import Ravine
from fastdescent.landscapes.rippled_bowl import RippledBowl
from fastdescent.landscapes.rosenbrock import Rosenbrock
from fastdescent.landscapes.saddle import Saddle
from fastdescent.landscapes.schwefel import Schwefel
from fastdescent.landscapes.sigmoid_valley import SigmoidValley
from fastdescent.landscapes.six_hump_camel import SixHumpCamel
from fastdescent.landscapes.styblinski_tang import StyblinskiTang
from fastdescent.landscapes.sum_squares import SumSquares
from fastdescent.landscapes.symmetric_double_well import SymmetricDoubleWell
from fastdescent.landscapes.three_hump_camel import ThreeHumpCamel
from fastdescent.landscapes.trid import Trid
from fastdescent.landscapes.winding_canal import WindingCanal
from fastdescent.landscapes.zakharov import Zakharov

__all__ = [
    "Ackley",
    "Beale",
    "Booth",
    "Bowl",
    "Branin",
    "CriticalPoint",
    "DegenerateSaddle",
    "DixonPrice",
    "DoubleWell",
    "Easom",
    "GoldsteinPrice",
    "Griewank",
    "Himmelblau",
    "Landscape",
    "Lessard",
    "Levy",
    "Matyas",
    "McCormick",
    "Michalewicz",
    "MonkeySaddle",
    "Plateau",
    "Powell",
    "Quadratic",
    "Rastrigin",
    "Ravine",
    "RippledBowl",
    "Rosenbrock",
    "Saddle",
    "Schwefel",
    "SigmoidValley",
    "SixHumpCamel",
    "StyblinskiTang",
    "SumSquares",
    "SymmetricDoubleWell",
    "ThreeHumpCamel",
    "Trid",
    "WindingCanal",
    "Zakharov",
    "get",
    "names",
]


def names() -> list[str]:
    """Return the names of all landscapes, sorted."""
    return parts.names(Landscape.kind)


def get(name: str) -> type[Landscape]:
    """Return the landscape of that name.

    Raises
    ------
    UnknownNameError
        If there is none; the message offers the nearest one.

    Examples
    --------
    >>> get("Rosenbrock")(dim=3)
    Rosenbrock(dim=3)
    """
    return cast(type[Landscape], parts.get(Landscape.kind, name))
