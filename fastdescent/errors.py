"""Errors that name the part, the value, what is allowed and the way out.

Everything that a caller can get wrong is found before a kernel runs, and is reported
by one of the classes below.  They derive from the built-in exception that a reader
would expect (`ValueError`, `TypeError`, `MemoryError`), so ``except ValueError`` works.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "FastdescentError",
    "InvalidValueError",
    "KernelCompileError",
    "KernelSignatureError",
    "MemoryLimitError",
    "UnknownNameError",
]


# What other libraries, or sweeps, call a name.  It is offered only where that name is known.
_ALIASES = {
    "lr": "learning_rate",
    "eta": "learning_rate",
    "step_size": "learning_rate",
    "momentum": "beta",
    "gamma": "beta",
    "mu": "beta",
    "eps": "epsilon",
    "wd": "weight_decay",
    "l2": "weight_decay",
    "b1": "beta1",
    "b2": "beta2",
    "n": "count",
    "size": "count",
}


class FastdescentError(Exception):
    """Base class of every error that fastdescent raises on purpose."""


class InvalidValueError(FastdescentError, ValueError):
    """A value outside what its part allows.

    Parameters
    ----------
    part : str
        What the value belongs to, such as ``"Adam.beta1"``.
    value : object
        The value that was given.
    allowed : str
        What is allowed there, such as ``"a number in [0, 1)"``.
    hint : str, optional
        The way out, when it is not obvious from `allowed`.

    Examples
    --------
    >>> print(InvalidValueError("Adam.beta1", 1.5, "a number in [0, 1)"))
    Adam.beta1: got 1.5, allowed is a number in [0, 1)
    """

    def __init__(self, part: str, value: object, allowed: str, hint: str = "") -> None:
        self.part, self.value, self.allowed, self.hint = part, value, allowed, hint
        super().__init__(part, value, allowed, hint)

    def __str__(self) -> str:
        text = f"{self.part}: got {_short(self.value)}, allowed is {self.allowed}"
        return f"{text}; {self.hint}" if self.hint else text


class UnknownNameError(FastdescentError, KeyError):
    """A name that is in no registry; the message offers the nearest ones.

    Parameters
    ----------
    kind : str
        What was looked up, such as ``"optimizer"``.
    name : str
        The name that was given.
    known : iterable of str
        The names that exist.

    Examples
    --------
    >>> print(UnknownNameError("optimizer", "Adm", ["Adam", "AdaMax"]))
    unknown optimizer 'Adm'; did you mean 'Adam'? Known: AdaMax, Adam
    >>> print(UnknownNameError("argument of AdaGrad", "lr", ["epsilon", "learning_rate"]))
    unknown argument of AdaGrad 'lr'; did you mean 'learning_rate'? Known: epsilon, learning_rate
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        super().__init__(kind, name, self.known)

    def __str__(self) -> str:
        nearest = self._nearest()
        meant = f"; did you mean {nearest!r}?" if nearest else "."
        return f"unknown {self.kind} {self.name!r}{meant} Known: {', '.join(self.known)}"

    def _nearest(self) -> str | None:
        given = str(self.name).lower()
        if _ALIASES.get(given) in self.known:
            return _ALIASES[given]
        folded = {known.lower(): known for known in self.known}
        near = difflib.get_close_matches(given, folded, n=1, cutoff=0.5)
        return folded[near[0]] if near else None


class KernelSignatureError(FastdescentError, TypeError):
    """A kernel whose parameters are not those of its family."""


class KernelCompileError(FastdescentError, TypeError):
    """A kernel that Numba cannot compile.

    Parameters
    ----------
    name, family : str
        The kernel and its contract.
    report : str
        What Numba said.
    """

    def __init__(self, name: str, family: str, report: str) -> None:
        super().__init__(name, family, report)
        self.name, self.family, self.report = name, family, report

    def __str__(self) -> str:
        lines = [line for line in self.report.splitlines() if line.strip()]
        return (
            f"kernel {self.name} of family {self.family!r} does not compile; allowed are loops "
            "over its arguments' rows and lanes, arithmetic, np.sqrt, abs, min, max and lane "
            "functions, but nothing that allocates: compute in rows of the state or of the "
            "workspace.  Numba said: " + "\n".join(lines[:1] + lines[-12:])
        )


class MemoryLimitError(FastdescentError, MemoryError):
    """A call that would need more memory than the machine has free."""


def _short(value: object, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."
