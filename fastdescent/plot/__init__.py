"""Figures of results: datasets in, `matplotlib.axes.Axes` out.

Every figure takes a result of `fastdescent.simulate` or of `fastdescent.geometry`, or a mapping
from labels to results where comparing makes sense, and draws on `ax` or on axes of a new figure.
A swept
hyper-parameter makes one curve per value.  Nothing is shown, saved or changed globally.
Legends lie below their axes: make a figure for axes of your own with
``layout="constrained"``, which gives them room.

Examples
--------
>>> import fastdescent as fd
>>> from fastdescent import plot
>>> ds = fd.simulate(
...     fd.landscapes.Rosenbrock(dim=2),
...     fd.optimizers.GradientDescent(learning_rate=[0.0005, 0.001]),
...     starts=[[-1.2, 1.0], [1.5, -0.5]],
...     steps=1000,
...     targets=[1e-2],
...     record=fd.record.log_spaced(100),
... )
>>> ax = plot.contours(ds)
>>> ax.get_title()
'GradientDescent on Rosenbrock: 2 trajectories for each learning rate'
"""

from fastdescent.plot._basins import basin_times, basins
from fastdescent.plot._contours import contours
from fastdescent.plot._disconnectivity import disconnectivity
from fastdescent.plot._fidelity import fidelity, fidelity_overview
from fastdescent.plot._geometry import critical_points, critical_points_surface
from fastdescent.plot._heatmap import heatmap
from fastdescent.plot._hitting_times import hitting_times
from fastdescent.plot._losses import losses
from fastdescent.plot._overview import overview
from fastdescent.plot._spectra import spectra
from fastdescent.plot._surface import surface
from fastdescent.plot._terrain import regions, terrain_time

__all__ = [
    "basin_times",
    "basins",
    "contours",
    "critical_points",
    "critical_points_surface",
    "disconnectivity",
    "fidelity",
    "fidelity_overview",
    "heatmap",
    "hitting_times",
    "losses",
    "overview",
    "regions",
    "spectra",
    "surface",
    "terrain_time",
]
