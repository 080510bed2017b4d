"""First-order update rules, one file each."""

from __future__ import annotations

from typing import cast

from fastdescent import parts
from fastdescent.optimizers._base import Optimizer
from fastdescent.optimizers.gradient_descent import GradientDescent

__all__ = ["GradientDescent", "Optimizer", "get", "names"]


def names() -> list[str]:
    """Return the names of all update rules, sorted."""
    return parts.names(Optimizer.kind)


def get(name: str) -> type[Optimizer]:
    """Return the update rule of that name.

    Raises
    ------
    UnknownNameError
        If there is none; the message offers the nearest one.

    Examples
    --------
    >>> get("GradientDescent")()
    GradientDescent()
    """
    return cast(type[Optimizer], parts.get(Optimizer.kind, name))
