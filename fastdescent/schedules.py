"""Placeholder base until the parts are written."""
from __future__ import annotations
from typing import ClassVar
from fastdescent.parts import Part
class Schedule(Part):
    """Base class."""
    kind: ClassVar[str] = "schedule"
