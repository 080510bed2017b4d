"""Placeholder base until the parts are written."""
from __future__ import annotations
from typing import ClassVar
from fastdescent.contracts import Kernel
from fastdescent.parts import Part

class Transform(Part):
    """Base class."""
    kind: ClassVar[str] = "transform"
    def perturb_kernel(self) -> Kernel:
        """Return the kernel."""
        raise NotImplementedError
