"""Compile everything ahead, so that no first run waits for the compiler."""

from __future__ import annotations

from collections.abc import Iterator

from fastdescent import parts
from fastdescent.contracts import Kernel
from fastdescent.engine import loop
from fastdescent.landscapes import Landscape
from fastdescent.optimizers import Optimizer

__all__ = ["all_kernels", "compile_all"]


def all_kernels() -> Iterator[Kernel]:
    """Yield the engine's compiled functions and every kernel of every registered part."""
    yield from loop.COMPILED
    for kind in parts.kinds():
        for name in parts.names(kind):
            yield from _kernels_of(parts.get(kind, name))


def _kernels_of(part: type[parts.Part]) -> Iterator[Kernel]:
    if issubclass(part, Landscape):
        yield part.kernel
        if part.hessian_kernel is not None:
            yield part.hessian_kernel
    elif issubclass(part, Optimizer):
        yield from part.kernels.values()
        yield from part.queries.values()
    else:
        kernels = getattr(part, "kernels", {})
        yield from kernels.values()


def compile_all() -> int:
    """Compile all rules, landscapes and noises, or load them from the disk cache.

    Returns
    -------
    int
        The number of kernels.

    Examples
    --------
    >>> import fastdescent as fd
    >>> fd.compile_all()  # doctest: +SKIP
    """
    kernels = list(all_kernels())
    for kernel in kernels:
        kernel.compile()
    return len(kernels)
