"""How much memory a call will need, and how much there is."""

from __future__ import annotations

import math
import os
from pathlib import Path

from fastdescent.errors import MemoryLimitError

__all__ = ["available", "require", "size_text"]

# Where a container's limit and use stand, in cgroup versions 2 and 1.
_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


def available() -> int:
    """Return the bytes of memory that a new allocation can use without swapping.

    The least of what the kernel calls available and what a container's limit leaves.
    """
    return min(_system(), *(_left_in_cgroup(limit, usage) for limit, usage in _CGROUPS))


def require(needed: int, what: str, way_out: str) -> None:
    """Refuse a call that needs more memory than there is.

    Parameters
    ----------
    needed : int
        Bytes that the call will allocate.
    what, way_out : str
        What needs them, and how the caller can need fewer.

    Raises
    ------
    MemoryLimitError
        If fewer than `needed` bytes are available.
    """
    free = available()
    if needed > free:
        raise MemoryLimitError(
            f"{what} needs {size_text(needed)} of memory and {size_text(free)} are available; "
            f"{way_out}"
        )


def size_text(count: int) -> str:
    """Return a number of bytes for people.

    Examples
    --------
    >>> size_text(3_500_000_000)
    '3.5 GB'
    """
    units = ("B", "kB", "MB", "GB", "TB")
    power = min(int(math.log10(max(count, 1)) // 3), len(units) - 1)
    return f"{count / 1000**power:.3g} {units[power]}"


def _system() -> int:
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    # Elsewhere only the total is known without another dependency; half of it is cautious.
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _left_in_cgroup(limit: str, usage: str) -> int:
    try:
        return max(0, int(Path(limit).read_text()) - int(Path(usage).read_text()))
    except (OSError, ValueError):  # no such cgroup, or its limit reads "max"
        return _system()
