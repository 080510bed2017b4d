"""Loss landscapes with known geometry, one file each."""

from __future__ import annotations

from typing import cast

from fastdescent import parts
from fastdescent.landscapes._base import CriticalPoint, Landscape
from fastdescent.landscapes.rosenbrock import Rosenbrock

__all__ = ["CriticalPoint", "Landscape", "Rosenbrock", "get", "names"]


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
