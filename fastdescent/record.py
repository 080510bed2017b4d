"""Placeholder base until the parts are written."""
from __future__ import annotations
from typing import Any, ClassVar
import numpy as np
from fastdescent.parts import Part, option
class Record(Part):
    """Base class."""
    kind: ClassVar[str] = "record"
class Every(Record):
    """Every."""
    k: int = option(1)
    def steps_for(self, budget: int) -> Any:
        """Return steps."""
        return np.unique(np.append(np.arange(0, budget + 1, self.k), budget))
def every(k: int) -> Every:
    """Every."""
    return Every(k)
