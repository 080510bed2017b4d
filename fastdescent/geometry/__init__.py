"""The landscape itself: curvature, critical points, regions and basins of attraction.

`spectrum` gives the Hessian's eigenvalues anywhere, `spectrum_along` on the way of a trajectory.
`find_critical_points` finds critical points and says what is proven about them, `convexity`
whether there can be but one; `minimum_energy_path`, `barriers` and `disconnectivity` tell what lies
between minima.  `classify_points` and `classify_regions` say what kind of place each point is, and
`terrain_time` where trajectories spend their life, `escape_summary` how long they take to leave a
saddle's neighbourhood.  `basins` maps which start goes where under
which rule, and `fidelity` whether the gradient flow agrees.

What is small is judged by a landscape's own `scales`.

Examples
--------
>>> import fastdescent as fd
>>> ds = fd.geometry.find_critical_points(fd.landscapes.Himmelblau())
>>> kinds = ds.kind.values.tolist()
>>> ds.attrs["complete"], {kind: kinds.count(kind) for kind in sorted(set(kinds))}
('certified', {'maximum': 1, 'minimum': 4, 'saddle': 4})
"""

from fastdescent.geometry.basin_statistics import (
    basin_entropy,
    basin_fractions,
    boundary_dimension,
    outcome_probabilities,
    uncertainty_exponent,
)
from fastdescent.geometry.basins import basins
from fastdescent.geometry.connectivity import barriers, disconnectivity, saddle_connections
from fastdescent.geometry.convexity import convexity
from fastdescent.geometry.critical_points import find_critical_points
from fastdescent.geometry.fidelity import fidelity
from fastdescent.geometry.hessians import hessian_product, hessians
from fastdescent.geometry.paths import minimum_energy_path
from fastdescent.geometry.points import KINDS, classify_points
from fastdescent.geometry.regions import (
    REGIONS,
    Thresholds,
    classify_regions,
    region_fractions,
)
from fastdescent.geometry.scales import Scales, checked_box, scales
from fastdescent.geometry.spectra import spectrum, spectrum_along
from fastdescent.geometry.terrain import escape_summary, escape_time, terrain_time

__all__ = [
    "KINDS",
    "REGIONS",
    "Scales",
    "Thresholds",
    "barriers",
    "basin_entropy",
    "basin_fractions",
    "basins",
    "boundary_dimension",
    "checked_box",
    "classify_points",
    "classify_regions",
    "convexity",
    "disconnectivity",
    "escape_summary",
    "escape_time",
    "fidelity",
    "find_critical_points",
    "hessian_product",
    "hessians",
    "minimum_energy_path",
    "outcome_probabilities",
    "region_fractions",
    "saddle_connections",
    "scales",
    "spectrum",
    "spectrum_along",
    "terrain_time",
    "uncertainty_exponent",
]
