"""Compiled ensembles of first-order optimizers on loss landscapes.

`simulate` runs one trajectory per start point, seed and combination of hyper-parameters
and returns an `xarray.Dataset`.  The parts that it is given are found in `landscapes`,
`optimizers`, `schedules`, `noise`, `transforms`, `starts` and `record`.
"""

from fastdescent import landscapes, noise, optimizers, record, schedules, starts, transforms
from fastdescent.contracts import kernel, lane_function
from fastdescent.engine.simulate import simulate
from fastdescent.landscapes import Landscape
from fastdescent.optimizers import Optimizer
from fastdescent.parts import Values, option, parameter
from fastdescent.stopping import Stop
from fastdescent.version import __version__

__all__ = [
    "Landscape",
    "Optimizer",
    "Stop",
    "Values",
    "__version__",
    "kernel",
    "landscapes",
    "lane_function",
    "noise",
    "optimizers",
    "option",
    "parameter",
    "record",
    "schedules",
    "simulate",
    "starts",
    "transforms",
]
