"""Placeholder base until the parts are written."""
from __future__ import annotations
from typing import Any, ClassVar
import numpy as np
from fastdescent.parts import Part, option
class Starts(Part):
    """Base class."""
    kind: ClassVar[str] = "starts"
class Points(Starts):
    """Points."""
    points_: Any = option()
    def points(self, landscape: Any, seed: int) -> Any:
        """Return points."""
        return np.array(self.points_)
class Uniform(Starts):
    """Uniform."""
    lower: Any = option(-2.0)
    upper: Any = option(2.0)
    count: int = option(1)
    def points(self, landscape: Any, seed: int) -> Any:
        """Return points."""
        return np.random.default_rng(seed).uniform(self.lower, self.upper, (self.count, landscape.dim))
def outside(points: Any, landscape: Any) -> int:
    """Count."""
    return 0
