"""Kernel contracts: the signatures of all kernels and the only compile options.

A kernel is a plain Python function with the parameters of its *family*, compiled by
Numba on first use and cached on disk.  Kernels meet in the engine as function pointers,
so N update rules and M landscapes cost N + M compilations, never N x M.

Families
--------
``landscape``  ``(theta, params, data, batch, loss, grad)``
    Fill ``loss (lanes,)`` and the first ``dim`` rows of ``grad``.  Where theta is not
    finite, the loss must not be finite either; that is how divergence is noticed.
    ``theta (dim, lanes)``;
    ``params (n_params, lanes)``; ``data`` is 2-D and shared by all lanes, (0, 0) if there
    is none; ``batch (size, lanes)`` int64 sample indices, size 0 = all samples.  A
    landscape that declares ``workspace = k`` gets k more rows at the end of ``grad`` to
    compute in; nobody else reads them.
``hessian``  ``(theta, params, data, hess)``
    Fill ``hess (dim, dim, lanes)``.
``update``  ``(theta, grad, loss, state, hyper, step)``
    Advance ``theta`` in place.  ``state (rows, lanes)`` is the flat state: vectors of
    ``dim`` rows first, then scalars.  It is zero before step 1; a rule that starts from
    anything else writes it when ``step == 1``.  ``hyper (n_hyper + 1, lanes)`` holds the
    hyper-parameters in the order of the rule's fields, already multiplied by their
    schedules; its last row is 1 where all lanes share all of them, as they nearly always
    do, and 0 otherwise: a rule may read them from one lane then.  ``step`` = 1, 2, ...
``query``  ``(theta, state, hyper, step, point)``
    Fill ``point (dim, lanes)``, where the gradient of this step is taken.
``perturb``  ``(grad, theta, params, streams, step)``
    Change the gradient in place: noise and gradient transforms.  ``streams (3, lanes)``
    uint64 holds the study seed, the start index and the replicate index.
``sample``  ``(streams, samples, number, first, batch)``
    Fill ``batch (size, lanes)`` with indices below `samples`: those at places ``first``,
    ``first + 1``, ... of draw `number` (an epoch or a step, counted from 1).

All arrays are distinct and C-contiguous with the lane index last; all are float64 but
``batch`` and ``streams``.  Kernels write in place, allocate nothing, never raise and call no
libm.  One that is called from Python must not get the same array twice.

Examples
--------
>>> @kernel("update")
... def sign_descent(theta, grad, loss, state, hyper, step):
...     for i in range(theta.shape[0]):
...         for lane in range(theta.shape[1]):
...             theta[i, lane] -= hyper[0, lane] * np.sign(grad[i, lane])
>>> sign_descent.family
'update'
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import inspect
import os
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType as PythonFunction
from types import ModuleType
from typing import Any, ClassVar, TypeAlias, TypeVar

import numba
import numpy as np
from numba import types
from numba.core import caching
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError
from numpy.typing import NDArray

from fastdescent.errors import KernelCompileError, KernelSignatureError, UnknownNameError
from fastdescent.lowering import KernelCompiler

__all__ = [
    "FAMILIES",
    "JIT",
    "Cube",
    "Indices",
    "Kernel",
    "Row",
    "Rows",
    "Streams",
    "compiled",
    "kernel",
    "lane_function",
    "routine",
]

#: What kernels' annotations say: one value per lane, rows of lanes, matrices of lanes.
Row: TypeAlias = NDArray[np.float64]
Rows: TypeAlias = NDArray[np.float64]
Cube: TypeAlias = NDArray[np.float64]
Indices: TypeAlias = NDArray[np.int64]
Streams: TypeAlias = NDArray[np.uint64]

#: False under ``NUMBA_DISABLE_JIT=1``: then every kernel runs as plain Python.
JIT: bool = not numba.config.DISABLE_JIT

_row = types.Array(types.float64, 1, "C")
_rows = types.Array(types.float64, 2, "C")
_cube = types.Array(types.float64, 3, "C")
_indices = types.Array(types.int64, 2, "C")
_streams = types.Array(types.uint64, 2, "C")

#: Parameter names and Numba types of each kernel family.
FAMILIES: dict[str, dict[str, types.Type]] = {
    "landscape": {
        "theta": _rows,
        "params": _rows,
        "data": _rows,
        "batch": _indices,
        "loss": _row,
        "grad": _rows,
    },
    "hessian": {"theta": _rows, "params": _rows, "data": _rows, "hess": _cube},
    "update": {
        "theta": _rows,
        "grad": _rows,
        "loss": _row,
        "state": _rows,
        "hyper": _rows,
        "step": types.int64,
    },
    "query": {
        "theta": _rows,
        "state": _rows,
        "hyper": _rows,
        "step": types.int64,
        "point": _rows,
    },
    "perturb": {
        "grad": _rows,
        "theta": _rows,
        "params": _rows,
        "streams": _streams,
        "step": types.int64,
    },
    "sample": {
        "streams": _streams,
        "samples": types.int64,
        "number": types.int64,
        "first": types.int64,
        "batch": _indices,
    },
}

# No fastmath: it breaks NaN, inf and the equality of bits.  The NumPy error model makes
# x / 0 a value instead of an exception, which is also what lets division vectorise.
# Without Numba's run time there is no reference counting: its atomic operations cost 100 ns
# per tile-step, a quarter of the time at 128 lanes.  So nothing compiled here can allocate.
_OPTIONS: dict[str, Any] = {"error_model": "numpy", "nogil": True, "_nrt": False}

_Function = TypeVar("_Function", bound=Callable[..., Any])

_FORKED = False


def _note_fork() -> None:
    global _FORKED  # noqa: PLW0603
    _FORKED = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


def forked() -> bool:
    """Return whether this process was forked, and so runs the loop on one thread."""
    return _FORKED


def lane_function(function: _Function) -> _Function:
    """Compile a scalar helper that kernels call inside their lane loops.

    It is inlined into the kernel, so it costs no call and vectorises with the loop.  It is
    not cached by itself; kernels that use it are recompiled when its source changes.

    Examples
    --------
    >>> @lane_function
    ... def square(x):
    ...     return x * x
    >>> square(3.0)
    9.0
    """
    # Left to itself LLVM does not inline large ones, and the loop silently turns scalar.
    return numba.njit(forceinline=True, **_OPTIONS)(function)  # type: ignore[no-any-return]


def routine(function: _Function) -> _Function:
    """Compile a helper of the engine that is called, not inlined: it is rarely needed."""
    return numba.njit(**_OPTIONS)(function)  # type: ignore[no-any-return]


class Kernel(types.WrapperAddressProtocol):  # type: ignore[misc]
    """A function compiled on first use and passed to the engine as a pointer.

    Parameters
    ----------
    function : function
        The plain Python function.
    signature : numba signature
        Its one signature.
    family : str
        The contract that it fulfils, or "engine".
    parallel : bool
        Whether `numba.prange` loops run on several threads.
    """

    def __init__(
        self, function: Callable[..., Any], signature: Any, family: str, parallel: bool = False
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.family = family
        self._signature = signature
        self._parallel = parallel

    @functools.cached_property
    def dispatcher(self) -> Any:
        """The Numba dispatcher, compiled; the Python function where the JIT is off."""
        if not JIT:
            # Where compiled code gives inf or NaN, NumPy's scalars would also warn.
            return np.errstate(all="ignore")(self.function)
        extra = {} if self.family == "engine" else {"pipeline_class": KernelCompiler}
        dispatcher = numba.njit(parallel=self._parallel, **_OPTIONS, **extra)(self.function)
        # Without a source file or a writable folder, it compiles in every process.
        with contextlib.suppress(RuntimeError):
            dispatcher._cache = _KernelCache(self.function)
        try:
            dispatcher.compile(self._signature)
        except NumbaError as error:
            raise KernelCompileError(self.function.__qualname__, self.family, str(error)) from error
        dispatcher.disable_compile()
        return dispatcher

    @functools.cached_property
    def serial(self) -> Kernel:
        """The same function for one thread: Numba's thread pools do not survive a fork."""
        name = f"{self.function.__name__}_serial"
        function = PythonFunction(self.function.__code__, self.function.__globals__, name)
        function.__qualname__ = name  # its own place in the disk cache
        function.__module__ = self.function.__module__
        return Kernel(function, self._signature, self.family)

    @property
    def runs_serially(self) -> bool:
        """Whether a parallel function must take its serial form in this process."""
        return self._parallel and _FORKED

    def compile(self) -> None:
        """Compile now, or load the compiled kernel from the disk cache."""
        _ = (self.serial if self.runs_serially else self).dispatcher

    def __call__(self, *arguments: Any) -> Any:  # noqa: D102
        return (self.serial if self.runs_serially else self).dispatcher(*arguments)

    @functools.cached_property
    def _address(self) -> int:
        result = self.dispatcher.get_compile_result(self._signature)
        name = result.fndesc.llvm_cfunc_wrapper_name
        return int(result.library.get_pointer_to_function(name))

    def __wrapper_address__(self) -> int:
        return self._address

    def signature(self) -> Any:
        """Return the Numba signature, which Numba asks for when the kernel is passed on."""
        return self._signature

    def __reduce__(self) -> tuple[Any, ...]:
        return _find_kernel, (self.function.__module__, self.function.__qualname__)

    def __repr__(self) -> str:
        return f"<{self.family} kernel {self.function.__module__}.{self.function.__qualname__}>"


def _find_kernel(module: str, name: str) -> Any:
    """Unpickle a kernel by importing it, so it keeps its place in the disk cache."""
    return functools.reduce(getattr, name.split("."), __import__(module, fromlist=["_"]))


def kernel(family: str) -> Callable[[Callable[..., Any]], Kernel]:
    """Make a function a kernel of the given family.

    Parameters
    ----------
    family : {"landscape", "hessian", "update", "query", "perturb", "sample"}
        Which contract the function fulfils; see the module's docstring.

    Returns
    -------
    callable
        The decorator.  The kernel that it makes can be called from Python too.

    Raises
    ------
    UnknownNameError
        If there is no such family.
    KernelSignatureError
        If the function's parameters are not those of the family, in their order.
    """
    if family not in FAMILIES:
        raise UnknownNameError("kernel family", family, FAMILIES)
    expected = list(FAMILIES[family])

    def decorate(function: Callable[..., Any]) -> Kernel:
        given = list(inspect.signature(function).parameters)
        if given != expected:
            raise KernelSignatureError(
                f"kernel {function.__qualname__}: got parameters ({', '.join(given)}), allowed for "
                f"a kernel of family {family!r} is exactly ({', '.join(expected)})"
            )
        return Kernel(function, types.void(*FAMILIES[family].values()), family)

    return decorate


def compiled(signature: Any, parallel: bool = False) -> Callable[[Callable[..., Any]], Kernel]:
    """Compile one of the engine's own functions on first use, cached like a kernel."""
    return lambda function: Kernel(function, signature, "engine", parallel)


def pointer_type(family: str) -> types.FunctionType:
    """Return the Numba type under which kernels of a family are passed to the loop."""
    return types.FunctionType(types.void(*FAMILIES[family].values()))


class _StampMixin:
    """Make a cached kernel stale when any function inlined into it has changed.

    Numba looks at the kernel's own file only, so a kernel would go on using an old copy of
    a lane function that it imports.
    """

    _py_func: PythonFunction

    def get_source_stamp(self) -> str:
        # The module too: a file run as a script has kernels that no import can unpickle.
        digest = hashlib.sha256(self._py_func.__module__.encode())
        for ingredient in sorted(set(_ingredients(self._py_func, set()))):
            digest.update(ingredient)
        return digest.hexdigest()

    @classmethod
    def from_function(cls, py_func: PythonFunction, py_file: str) -> Any:
        if not os.path.exists(py_file):
            return None  # typed at a prompt: there is no source to watch
        locator = super().from_function(py_func, py_file)  # type: ignore[misc]
        if locator is not None:
            locator._py_func = py_func
        return locator


class _UserProvidedLocator(_StampMixin, caching.UserProvidedCacheLocator):  # type: ignore[misc]
    """The folder named by ``NUMBA_CACHE_DIR``."""


class _InTreeLocator(_StampMixin, caching.InTreeCacheLocator):  # type: ignore[misc]
    """``__pycache__`` beside the kernel's file."""


class _UserWideLocator(_StampMixin, caching.UserWideCacheLocator):  # type: ignore[misc]
    """The user's cache folder, where ``__pycache__`` cannot be written."""


class _KernelCacheImpl(caching.CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes: ClassVar[list[type]] = [
        _UserProvidedLocator,
        _InTreeLocator,
        _UserWideLocator,
    ]


class _KernelCache(caching.FunctionCache):  # type: ignore[misc]
    _impl_class = _KernelCacheImpl


def _ingredients(function: Any, seen: set[Any]) -> Iterator[bytes]:
    """Yield what a function's compiled code was made from: sources and global constants."""
    if function in seen:
        return
    seen.add(function)
    yield _file_digest(function.__code__.co_filename)
    names = function.__code__.co_names
    for name in names:
        value = function.__globals__.get(name)
        if isinstance(value, ModuleType) and not _is_library(value):
            yield _file_digest(str(value.__file__))
            for attribute in names:
                yield from _ingredient(attribute, getattr(value, attribute, None), seen)
        yield from _ingredient(name, value, seen)


def _ingredient(name: str, value: Any, seen: set[Any]) -> Iterator[bytes]:
    if isinstance(value, Dispatcher):
        yield from _ingredients(value.py_func, seen)
    elif isinstance(value, bool | int | float | str | tuple | np.generic):
        yield f"{name} = {value!r}".encode()
    elif hasattr(value, "_defn"):  # an intrinsic, which writes LLVM code itself
        yield _file_digest(inspect.getfile(value._defn))


def _is_library(module: ModuleType) -> bool:
    """Return whether a module is installed rather than written by the user or by us."""
    path = getattr(module, "__file__", None)
    library = path is None or "site-packages" in path or path.startswith(_STANDARD_LIBRARY)
    return library and not str(path).startswith(_PACKAGE)


_PACKAGE = str(Path(__file__).parent)
_STANDARD_LIBRARY = sysconfig.get_paths()["stdlib"]


def _file_digest(path: str) -> bytes:
    state = os.stat(path)
    return _digest(path, state.st_mtime_ns, state.st_size)


@functools.cache
def _digest(path: str, modified: int, size: int) -> bytes:
    # By time and size too: a module that is reloaded has new text under the same name.
    return hashlib.sha256(Path(path).read_bytes()).digest()
