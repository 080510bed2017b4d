"""Data sets that models are trained on: arrays, files, real sets and generators."""

from __future__ import annotations

from typing import cast

from fastdescent import parts
from fastdescent.data._base import (
    Data,
    MissingPackageError,
    Samples,
    constant_columns,
    duplicated_columns,
)
from fastdescent.data.bundled import Bundled, load
from fastdescent.data.dataset import Dataset
from fastdescent.data.file import File, read
from fastdescent.data.linear import BadlyScaled, GaussianLinear, SparseFeatures
from fastdescent.data.spirals import Spirals
from fastdescent.data.teacher import Teacher
from fastdescent.data.two_moons import TwoMoons
from fastdescent.data.xor import XOR

__all__ = [
    "XOR",
    "BadlyScaled",
    "Bundled",
    "Data",
    "Dataset",
    "File",
    "GaussianLinear",
    "MissingPackageError",
    "Samples",
    "SparseFeatures",
    "Spirals",
    "Teacher",
    "TwoMoons",
    "constant_columns",
    "duplicated_columns",
    "get",
    "load",
    "names",
    "read",
]


def names() -> list[str]:
    """Return the names of all kinds of data sets, sorted.

    Examples
    --------
    >>> names()[:3]
    ['BadlyScaled', 'Bundled', 'Dataset']
    """
    return parts.names(Data.kind)


def get(name: str) -> type[Data]:
    """Return the kind of data set of that name.

    Raises
    ------
    UnknownNameError
        If there is none; the message offers the nearest one.

    Examples
    --------
    >>> get("TwoMoons")(noise=0.2)
    TwoMoons(noise=0.2)
    """
    return cast(type[Data], parts.get(Data.kind, name))
