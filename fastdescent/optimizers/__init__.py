"""First-order update rules, one file each."""

from __future__ import annotations

from typing import cast

from fastdescent import parts
from fastdescent.optimizers._base import Optimizer
from fastdescent.optimizers.adadelta import AdaDelta
from fastdescent.optimizers.adagrad import AdaGrad
from fastdescent.optimizers.adam import Adam
from fastdescent.optimizers.adamax import AdaMax
from fastdescent.optimizers.adamw import AdamW
from fastdescent.optimizers.amsgrad import AMSGrad
from fastdescent.optimizers.gradient_descent import GradientDescent
from fastdescent.optimizers.momentum import Momentum
from fastdescent.optimizers.nadam import Nadam
from fastdescent.optimizers.nesterov import Nesterov
from fastdescent.optimizers.rmsprop import RMSProp

__all__ = [
    "AMSGrad",
    "AdaDelta",
    "AdaGrad",
    "AdaMax",
    "Adam",
    "AdamW",
    "GradientDescent",
    "Momentum",
    "Nadam",
    "Nesterov",
    "Optimizer",
    "RMSProp",
    "get",
    "names",
]


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
