"""Placeholder base until the parts are written."""
from __future__ import annotations
from typing import Any, ClassVar
from fastdescent.parts import Part, option
class Stop(Part):
    """Base class."""
    kind: ClassVar[str] = "stop"
    loss: Any = option(None)
    gradient_norm: Any = option(None)
    radius: Any = option(None)
