"""The landscape itself: curvature, critical points, regions and basins of attraction.

`classify_points` and `classify_regions` tell what kind of place each point is, `terrain_time`
where trajectories spend their life.  What is small is judged by a landscape's own `scales`.
"""

from fastdescent.geometry.points import KINDS, classify_points
from fastdescent.geometry.regions import (
    REGIONS,
    Thresholds,
    classify_regions,
    region_fractions,
)
from fastdescent.geometry.scales import Scales, scales
from fastdescent.geometry.terrain import escape_time, terrain_time

__all__ = [
    "KINDS",
    "REGIONS",
    "Scales",
    "Thresholds",
    "classify_points",
    "classify_regions",
    "escape_time",
    "region_fractions",
    "scales",
    "terrain_time",
]
