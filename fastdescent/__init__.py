"""Compiled ensembles of first-order optimizers on loss landscapes.

`simulate` runs one trajectory per start point, seed and combination of hyper-parameters
and returns an `xarray.Dataset`.  The parts that it is given are found in `landscapes`,
`optimizers`, `schedules`, `noise`, `transforms`, `starts` and `record`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fastdescent import (
    batch,
    data,
    landscapes,
    math,
    models,
    noise,
    optimizers,
    record,
    schedules,
    starts,
    transforms,
)
from fastdescent.contracts import kernel, lane_function
from fastdescent.engine.compilation import compile_all
from fastdescent.engine.simulate import simulate
from fastdescent.landscapes import Landscape
from fastdescent.optimizers import Optimizer
from fastdescent.parts import Range, Values, option, parameter
from fastdescent.stopping import Stop
from fastdescent.symbolic import landscape
from fastdescent.version import __version__

if TYPE_CHECKING:
    from fastdescent import geometry, plot, statistics
    from fastdescent.checking import check_landscape
    from fastdescent.storage import load, save
    from fastdescent.studies import Study

__all__ = [
    "Landscape",
    "Optimizer",
    "Range",
    "Stop",
    "Study",
    "Values",
    "__version__",
    "batch",
    "check_landscape",
    "compile_all",
    "data",
    "geometry",
    "kernel",
    "landscape",
    "landscapes",
    "lane_function",
    "load",
    "math",
    "models",
    "noise",
    "optimizers",
    "option",
    "parameter",
    "plot",
    "record",
    "save",
    "schedules",
    "simulate",
    "starts",
    "statistics",
    "transforms",
]

# Imported when first asked for: matplotlib, xarray and SciPy take longer to import than
# everything else together.
_LAZY = {
    "geometry": ("fastdescent.geometry", None),
    "plot": ("fastdescent.plot", None),
    "statistics": ("fastdescent.statistics", None),
    "check_landscape": ("fastdescent.checking", "check_landscape"),
    "load": ("fastdescent.storage", "load"),
    "save": ("fastdescent.storage", "save"),
    "Study": ("fastdescent.studies", "Study"),
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _LAZY[name]
    found = import_module(module)
    return found if attribute is None else getattr(found, attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
