"""Models on data: losses of regressions and networks, one file each.

A model is a landscape, so everything that runs on a landscape runs on a model.  Its flat
parameter vector is laid out as `blocks`.
"""

from __future__ import annotations

from typing import cast

from fastdescent import parts
from fastdescent.models._base import Block, Model, SampleModel
from fastdescent.models._layered import Layer
from fastdescent.models.deep_linear import DeepLinear
from fastdescent.models.huber_regression import HuberRegression
from fastdescent.models.linear_regression import LinearRegression
from fastdescent.models.logistic_regression import LogisticRegression
from fastdescent.models.matrix_factorization import MatrixFactorization
from fastdescent.models.mlp import MLP
from fastdescent.models.one_point_mlp import OnePointMLP
from fastdescent.models.ridge_regression import RidgeRegression
from fastdescent.models.softmax_regression import SoftmaxRegression

__all__ = [
    "MLP",
    "Block",
    "DeepLinear",
    "HuberRegression",
    "Layer",
    "LinearRegression",
    "LogisticRegression",
    "MatrixFactorization",
    "Model",
    "OnePointMLP",
    "RidgeRegression",
    "SampleModel",
    "SoftmaxRegression",
    "get",
    "names",
]


def names() -> list[str]:
    """Return the names of all models, sorted."""
    return parts.names(Model.kind)


def get(name: str) -> type[Model]:
    """Return the model of that name.

    Raises
    ------
    UnknownNameError
        If there is none; the message offers the nearest one.

    Examples
    --------
    >>> get("DeepLinear")(depth=4)
    DeepLinear(depth=4)
    """
    return cast(type[Model], parts.get(Model.kind, name))
