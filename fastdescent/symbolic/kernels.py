"""Kernels of expressions: written as Python files, compiled and cached like any other kernel.

A file is named by a hash of its text, so whoever needs the same kernel finds it, with the
machine code that Numba has put beside it; nothing of it depends on the process that wrote it.
The folder is ``fastdescent`` in ``NUMBA_CACHE_DIR`` or, without that, in the user's cache.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import math
import os
import sys
import tempfile
import textwrap
import threading
from collections import Counter
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import cast

from fastdescent.contracts import FAMILIES, Kernel
from fastdescent.errors import InvalidValueError
from fastdescent.symbolic import derivation
from fastdescent.symbolic.expression import Expression, number, ordered, support
from fastdescent.symbolic.text import read

__all__ = ["cache_folder", "kernel_of", "source"]

#: Most operations and stores of a kernel: it compiles in up to half a minute.
MOST_OPERATIONS = 3000
_BLOCK = 12  # coordinates of a loop, if there are several
_MOST_REPEATED = 1.3  # how much more several loops may compute than one
_LONGEST = 80  # characters of a statement's right side

_HEADER = '''"""Written by fastdescent; kernel of the loss

{formula}
"""

import numpy as np

from fastdescent.contracts import kernel
{imports}

@kernel("{family}")
def {name}({parameters}):
    """{title}"""
{body}
'''


@lru_cache(maxsize=256)
def kernel_of(family: str, text: str, dim: int, names: tuple[str, ...]) -> Kernel | None:
    """Return the kernel of a loss; None for a Hessian that is too large.

    Parameters
    ----------
    family : {"landscape", "hessian"}
        Loss and gradient, or Hessian.
    text : str
        The loss.
    dim : int
        Number of coordinates.
    names : tuple of str
        Parameters, in the order of the rows of ``params``.

    Raises
    ------
    InvalidValueError
        If loss and gradient are made of more than `MOST_OPERATIONS` operations.
    """
    try:
        code = source(family, text, dim, names)
    except InvalidValueError:
        if family == "hessian":
            return None
        raise
    name = "hessian" if family == "hessian" else "loss_and_gradient"
    return cast(Kernel, getattr(_module(code), name))


def source(family: str, text: str, dim: int, names: tuple[str, ...]) -> str:
    """Return the source of the file that holds a kernel; see `kernel_of`."""
    root, _ = read(text, dim, names)
    root = derivation.simplified(root)
    slopes = derivation.gradient(root)
    if family == "hessian":
        name, title = "hessian", "Fill the second derivatives."
        loops = _hessian_loops(slopes)
        first = ["    hess[:] = 0.0"]
    else:
        name, title = "loss_and_gradient", "Fill loss and gradient."
        loops = _loops(derivation.guarded(root, dim), slopes, dim)
        first = []
    writers = [_Writer(targets, names) for targets in loops]
    operations = sum(len(writer.order) + writer.stores for writer in writers)
    if operations > MOST_OPERATIONS:
        raise InvalidValueError(
            f"landscape: the {family} kernel",
            f"{operations} operations and stores",
            f"at most {MOST_OPERATIONS}",
            "write the kernel by hand: see 'Your own rule, your own landscape' in the README",
        )
    lines = [*first, *_rows({leaf for w in writers for leaf in w.leaves}, family, dim, names)]
    for writer in writers:
        lines += ["    for lane in range(theta.shape[1]):"]
        lines += [f"        {line}" for line in writer.lines]
    imports = ", ".join(sorted({called for writer in writers for called in writer.called}))
    return _HEADER.format(
        formula=textwrap.fill(text, 98, break_long_words=False),
        imports=f"from fastdescent.lanemath import {imports}\n" if imports else "",
        family=family,
        name=name,
        parameters=", ".join(FAMILIES[family]),
        title=title,
        body="\n".join(lines),
    )


#: What a loop computes: where each value goes, and the value.
Targets = dict[str, Expression]


def _loops(loss: Expression, slopes: Mapping[int, Expression], dim: int) -> list[Targets]:
    """Return what each loop over the lanes computes: one loop, or one per block of coordinates.

    A long chain in one loop would have more rows than the first-level cache has places for.
    """
    zero = number(0.0)
    gradient = {i: slopes.get(i, zero) for i in range(dim)}
    blocks: dict[int, Targets] = {0: {"loss[lane] =": zero}}
    parts = derivation.terms(loss)
    depends = support(parts)
    for part in parts:
        block = max(depends[part.serial].bit_length() - 1, 0) // _BLOCK
        place = "loss[lane] +=" if block else "loss[lane] ="
        targets = blocks.setdefault(block, {place: zero})
        targets[place] = derivation.plus(targets[place], part)
    for i, slope in gradient.items():
        blocks.setdefault(i // _BLOCK, {})[f"g{i}[lane] ="] = slope
    whole = {"loss[lane] =": loss} | {f"g{i}[lane] =": slope for i, slope in gradient.items()}
    return _cheaper(whole, [blocks[block] for block in sorted(blocks)])


def _hessian_loops(slopes: Mapping[int, Expression]) -> list[Targets]:
    blocks: dict[int, Targets] = {}
    for (i, j), value in derivation.hessian(dict(slopes)).items():
        place = f"hess[{i}, {j}, lane] =" + (f" hess[{j}, {i}, lane] =" if i != j else "")
        blocks.setdefault(i // _BLOCK, {})[place] = value
    whole = {place: value for targets in blocks.values() for place, value in targets.items()}
    return _cheaper(whole, list(blocks.values())) if whole else []


def _cheaper(whole: Targets, blocks: list[Targets]) -> list[Targets]:
    """Return all in one loop, unless blocks share so little that they cost hardly more."""
    together = _plain(whole)
    if len(blocks) < 2:
        return [together]
    apart = [_plain(targets) for targets in blocks]
    cost = sum(_operations(targets) for targets in apart)
    return apart if cost <= _MOST_REPEATED * _operations(together) else [together]


def _plain(targets: Targets) -> Targets:
    return dict(zip(targets, derivation.lowered(list(targets.values())), strict=True))


def _operations(targets: Targets) -> int:
    return sum(bool(node.arguments) for node in ordered(targets.values()))


def _rows(leaves: Collection[str], family: str, dim: int, names: tuple[str, ...]) -> list[str]:
    """Bind the rows that the loop reads and writes to names, outside of it."""
    rows = {f"x{i}": f"theta[{i}]" for i in range(dim)}
    rows |= {f"p{i}": f"params[{i}]" for i in range(len(names))}
    rows = {name: row for name, row in rows.items() if name in leaves}
    if family == "landscape":
        rows |= {f"g{i}": f"grad[{i}]" for i in range(dim)}
    return [f"    {name} = {row}" for name, row in rows.items()]


_LANE_FUNCTIONS = ("exp", "log", "sin", "cos", "tanh", "sigmoid")
_STATEMENTS = {
    **{sign: f"{{0}} {sign} {{1}}" for sign in ("+", "-", "*", "/")},
    **{sign: f"{{0}} {sign} {{1}}" for sign in ("<", "<=", ">", ">=", "==", "!=")},
    **{name: f"{name}({{0}})" for name in (*_LANE_FUNCTIONS, "abs")},
    "and": "{0} & {1}",
    "or": "{0} | {1}",
    "not": "not {0}",
    "negate": "-{0}",
    "sqrt": "np.sqrt({0})",
    "maximum": "np.maximum({0}, {1})",
    "minimum": "np.minimum({0}, {1})",
    "where": "{1} if {0} else {2}",
    "sign": "1.0 if {0} > 0.0 else {1}",  # {1} is -1 below 0, and else 0 or NaN itself
    "half_inverse": "0.5 / ({0} if {0} != 0.0 else np.inf)",  # 0 at 0, the slope of a root there
    "vanishing": "{0} - {0}",  # 0, but NaN where it is not finite
}


class _Writer:
    """Statements that compute some expressions lane by lane.

    A node that is used once is written where it is used; others get a name.  Statements are
    ordered by the last coordinate that they need: a chain of residuals is walked along with
    its gradient, so that few values are alive at any time.  What a conditional expression
    chooses from is computed before it, or the loop would not be vectorised.
    """

    def __init__(self, targets: Mapping[str, Expression], names: tuple[str, ...]) -> None:
        self.lines: list[str] = []
        self.called: set[str] = set()
        self.leaves: set[str] = set()
        self.stores = len(targets)
        self._parameters = {name: f"p{place}" for place, name in enumerate(names)}
        depends = support(targets.values())
        nodes = ordered(targets.values())
        self.order = sorted(
            (node for node in nodes if node.arguments),
            key=lambda node: depends[node.serial].bit_length(),
        )
        self._uses = Counter(a.serial for node in self.order for a in node.arguments)
        self._uses.update(node.serial for node in targets.values())
        self._apart = {
            argument.serial
            for node in self.order
            if node.operation in ("where", "sign", "half_inverse", "vanishing")
            for argument in node.arguments
        }
        sines, cosines = (
            {node.arguments[0].serial: node for node in self.order if node.operation == name}
            for name in ("sin", "cos")
        )
        self._pairs = {angle: (sines[angle], cosines[angle]) for angle in sines if angle in cosines}
        self._texts: dict[int, str] = {}
        self._stores: dict[int, list[str]] = {}
        for target, node in targets.items():
            self._stores.setdefault(node.serial, []).append(target)
        for node in self.order:
            self._write(node)
        for node in nodes:
            if not node.arguments:
                self._store(node, self._text(node))

    def _text(self, node: Expression) -> str:
        """Return a node as an operand."""
        text = self._texts.get(node.serial)
        if text is not None:
            return text
        if node.operation == "number":
            value = node.payload
            text = repr(value) if math.isfinite(value) else f"np.{abs(value)}"
            return f"({'-' * math.isinf(value)}{text})" if value < 0.0 else text
        row = (
            f"x{node.payload}" if node.operation == "coordinate" else self._parameters[node.payload]
        )
        self.leaves.add(row)
        return self._named(node, f"{row}[lane]")

    def _named(self, node: Expression, text: str) -> str:
        name = f"t{len(self._texts)}"
        self.lines.append(f"{name} = {text}")
        self._texts[node.serial] = name
        return name

    def _store(self, node: Expression, text: str) -> None:
        for place in self._stores.get(node.serial, ()):
            self.lines.append(f"{place} {text}")

    def _write(self, node: Expression) -> None:
        if node.serial in self._texts:
            return  # the twin of a sine or cosine
        angle = node.arguments[0].serial
        if node.operation in ("sin", "cos") and angle in self._pairs:
            self._write_pair(*self._pairs[angle])
            return
        text = self._formula(node)
        stores = self._stores.get(node.serial, ())
        if len(stores) == self._uses[node.serial] == 1:
            self._store(node, text)
        elif self._uses[node.serial] > 1 or node.serial in self._apart or len(text) > _LONGEST:
            self._store(node, self._named(node, text))
        else:
            self._texts[node.serial] = f"({text})"

    def _write_pair(self, sine: Expression, cosine: Expression) -> None:
        self.called.add("sincos")
        angle = self._text(sine.arguments[0])
        for node in (sine, cosine):
            self._texts[node.serial] = f"t{len(self._texts)}"
        names = f"{self._texts[sine.serial]}, {self._texts[cosine.serial]}"
        self.lines.append(f"{names} = sincos({angle})")
        for node in (sine, cosine):
            self._store(node, self._texts[node.serial])

    def _formula(self, node: Expression) -> str:
        """Return an operation on its operands."""
        operation = node.operation
        inside = [self._text(argument) for argument in node.arguments]
        if operation in _LANE_FUNCTIONS:
            self.called.add(operation)
        if operation == "sign":
            inside.append(f"s{len(self.lines)}")
            self.lines.append("{1} = -1.0 if {0} < 0.0 else {0}".format(*inside))
        return _STATEMENTS[operation].format(*inside)


_LOCK = threading.Lock()
_TEMPORARY: list[tempfile.TemporaryDirectory[str]] = []


def cache_folder() -> Path:
    """Return the folder of kernel files: in ``NUMBA_CACHE_DIR`` or in the user's cache."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    if given:
        return Path(given) / "fastdescent"
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "fastdescent"


def _module(code: str) -> ModuleType:
    """Import a kernel file, which is written first if it is not there."""
    stem = f"loss_{hashlib.sha256(code.encode()).hexdigest()[:24]}"
    name = f"fastdescent.losses.{stem}"
    with _LOCK:
        if name not in sys.modules:
            path = _file(f"{stem}.py", code.encode())
            spec = importlib.util.spec_from_file_location(name, path)
            if spec is None or spec.loader is None:
                raise ImportError(path)
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            sys.modules[name] = module  # Numba looks there for what it has cached
        return sys.modules[name]


def _file(name: str, content: bytes) -> Path:
    """Return the path of a file with that content."""
    try:
        return _in_folder(cache_folder(), name, content)
    except (OSError, RuntimeError):  # no permission, no space, no home
        if not _TEMPORARY:
            _TEMPORARY.append(tempfile.TemporaryDirectory(prefix="fastdescent-"))
        return _in_folder(Path(_TEMPORARY[0].name), name, content)


def _in_folder(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    with contextlib.suppress(OSError):
        if path.read_bytes() == content:
            return path
    folder.mkdir(parents=True, exist_ok=True)
    # Beside it, then renamed: another process sees all of the file or none.
    handle, beside = tempfile.mkstemp(dir=folder, prefix=f".{name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(beside, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise
    return path
