"""Variables of the datasets that geometry returns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["variable"]


def variable(dims: str | Sequence[str], values: Any, text: str, **more: Any) -> Any:
    """Return a variable of a dataset with its long name, dimensionless unless it has `units`.

    Dimensions in one string are separated by spaces.
    """
    names = dims.split() if isinstance(dims, str) else dims
    return tuple(names), values, {"long_name": text, "units": "1", **more}
