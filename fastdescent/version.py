"""Versions of fastdescent and of what its numbers depend on."""

from __future__ import annotations

import functools
import platform
from importlib.metadata import PackageNotFoundError, version

__all__ = ["__version__", "versions"]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "unknown"


__version__ = _version("fastdescent")


@functools.cache
def versions() -> str:
    """Return the versions that a result depends on, on one line."""
    packages = ("fastdescent", "numba", "llvmlite", "numpy", "scipy", "xarray")
    found = [f"{package} {_version(package)}" for package in packages]
    return ", ".join([*found, f"Python {platform.python_version()}", platform.platform()])
