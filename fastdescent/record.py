"""Which steps of a trajectory are recorded.

Step k is the state after k updates; step 0 is the start.  After its end a trajectory's last
values are held, so every recorded step has a value.

Examples
--------
>>> every(4).steps_for(10).tolist()
[0, 4, 8, 10]
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Context, Decimal
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from fastdescent import memory
from fastdescent.errors import InvalidValueError
from fastdescent.parts import IntArray, Part, Range, is_integer, option

__all__ = ["Every", "LogSpaced", "Record", "Steps", "every", "log_spaced", "steps"]


class Record(Part):
    """Base class of what is recorded."""

    kind: ClassVar[str] = "record"

    if TYPE_CHECKING:

        @property
        def position(self) -> bool:
            """Whether theta is kept."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.position, bool):
            raise InvalidValueError(f"{self.name}.position", self.position, "True or False")

    def steps_for(self, budget: int) -> IntArray:
        """Return the steps to record, ascending, none twice, within 0 to `budget` >= 1."""
        raise NotImplementedError


class Every(Record):
    """Every k-th step from the start on, and the last step of the budget.

    Parameters
    ----------
    interval : int
        Steps k between two records, >= 1.
    position : bool
        Whether theta is kept too, or only loss and gradient norm.

    Raises
    ------
    InvalidValueError
        If `interval` is not allowed.
    MemoryLimitError
        Later, if so many steps do not fit into memory.

    Examples
    --------
    >>> Every(interval=5).steps_for(12).tolist()
    [0, 5, 10, 12]
    """

    interval: int = option(integer=Range(1))
    position: bool = option(default=True)

    def steps_for(self, budget: int) -> IntArray:  # noqa: D102
        memory.require(
            budget // self.interval * 8, "the list of recorded steps", "record fewer steps"
        )
        regular = np.arange(0, budget + 1, self.interval, dtype=np.int64)
        return regular if regular[-1] == budget else np.append(regular, budget)


class LogSpaced(Record):
    r"""The start, and steps evenly spaced in their logarithm up to the budget's last.

    .. math:: t_j = \mathrm{round}(T^{j / (n - 1)}), \qquad j = 0, \ldots, n - 1

    Small steps that round to the same integer are recorded once, so there are at most
    n + 1 records.

    Parameters
    ----------
    count : int
        Number n of steps after the start, >= 2.
    position : bool
        Whether theta is kept too, or only loss and gradient norm.

    Raises
    ------
    InvalidValueError
        If `count` is not allowed.

    Examples
    --------
    >>> LogSpaced(count=4).steps_for(1000).tolist()
    [0, 1, 10, 100, 1000]
    """

    count: int = option(integer=Range(2))
    position: bool = option(default=True)

    def steps_for(self, budget: int) -> IntArray:  # noqa: D102
        # In decimals, whose logarithm and exponential are correctly rounded: the last bit of
        # a platform's pow must not decide which step is recorded.
        context = Context(prec=30)
        rate = context.divide(context.ln(Decimal(budget)), Decimal(self.count - 1))
        spaced = [
            context.exp(context.multiply(rate, j)).to_integral_value() for j in range(self.count)
        ]
        return np.unique(np.array([0, *map(int, spaced), budget], dtype=np.int64))


class Steps(Record):
    """Exactly the steps that are named.

    Parameters
    ----------
    steps : sequence of int
        Steps >= 0, in any order, none beyond the budget of the simulation.
    position : bool
        Whether theta is kept too, or only loss and gradient norm.

    Raises
    ------
    InvalidValueError
        If there are none, or one is no integer >= 0; later, if one is beyond the budget.

    Examples
    --------
    >>> Steps(steps=[100, 0, 10]).steps_for(1000).tolist()
    [0, 10, 100]
    """

    steps: tuple[int, ...] = option()
    position: bool = option(default=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        given = self.steps
        if not isinstance(given, tuple) or not given:
            raise InvalidValueError("Steps.steps", given, "a sequence of at least one step")
        for step in given:
            if not is_integer(step) or not 0 <= step < 2**63:
                raise InvalidValueError("Steps.steps", step, "integers >= 0")

    def steps_for(self, budget: int) -> IntArray:  # noqa: D102
        if max(self.steps) > budget:
            raise InvalidValueError(
                "Steps.steps",
                max(self.steps),
                f"steps from 0 to the budget {budget}",
                "simulate more steps or record fewer",
            )
        return np.unique(np.array(self.steps, dtype=np.int64))


def every(k: int, position: bool = True) -> Every:
    """Record every `k` steps, and the last one; see `Every`.

    Examples
    --------
    >>> every(10)
    Every(interval=10)
    """
    return Every(k, position)


def log_spaced(count: int, position: bool = True) -> LogSpaced:
    """Record the start and `count` steps evenly spaced in their logarithm; see `LogSpaced`.

    Examples
    --------
    >>> log_spaced(200)
    LogSpaced(count=200)
    """
    return LogSpaced(count, position)


def steps(steps: Iterable[int], position: bool = True) -> Steps:
    """Record exactly the steps that are named; see `Steps`.

    Examples
    --------
    >>> steps(range(0, 30, 10))
    Steps(steps=[0, 10, 20])
    """
    return Steps(tuple(steps) if isinstance(steps, Iterable) else steps, position)
