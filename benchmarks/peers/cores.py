"""Worker threads that stay on one processor core each.

Threads that sleep between two timed runs may be woken on the core of the thread that woke them, and
some schedulers leave them there while another core idles. Peers that manage their own threads
therefore bind each of them.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle


def usable_cores() -> list[int]:
    """List the cores that this process may use, in ascending order.

    Returns
    -------
    list of int
        Core numbers as the operating system gives them.
    """
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


CORES = usable_cores()
"""The cores at import, before any threading runtime binds the main thread to one of them."""


def bound_pool(threads: int) -> ThreadPoolExecutor:
    """Make a pool whose threads are bound to different cores, where the system supports that.

    Parameters
    ----------
    threads : int
        Number of threads; beyond the number of cores they share them.

    Returns
    -------
    ThreadPoolExecutor
        The pool. It starts its threads when it gets work.
    """
    cores = cycle(CORES)

    def bind() -> None:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {next(cores)})

    return ThreadPoolExecutor(threads, initializer=bind)
