"""When a trajectory stops before its budget of steps."""

from __future__ import annotations

import math
from typing import ClassVar

from fastdescent.errors import InvalidValueError
from fastdescent.parts import Part, is_integer, is_number, option

__all__ = ["Stop", "Stopping"]


class Stopping(Part):
    """Base class of stopping rules; `Stop` is the one that the engine knows."""

    kind: ClassVar[str] = "stop"


class Stop(Stopping):
    r"""Stop a trajectory as soon as one of the given tests holds.

    .. math:: f(\theta_t) - f^* \le \mathrm{loss}, \qquad
              \|\nabla f(\theta_t)\| \le \mathrm{gradient\_norm}, \qquad
              \|\theta_t\| > \mathrm{radius}

    The tests see the exact loss and gradient, that of all samples, at the start and at every
    step, or every so many.  The first two end a trajectory as ``converged``, the radius ends it
    as ``diverged``, and so does a loss or a theta that is not finite, always; on mini-batches,
    where the loss of all samples is not asked for, theta alone is looked at before the end.
    Norms are Euclidean.

    Parameters
    ----------
    loss : float, optional
        Loss above the landscape's known minimum; absolute where none is known.  Any finite
        number.
    gradient_norm : float, optional
        Norm of the gradient, >= 0.
    radius : float, optional
        Distance from the origin, > 0, in units of theta.
    every : int, optional
        Steps from one test to the next, >= 1, for targets and for losses that are not finite
        too; the last step of the budget is tested as well.  By default 1 where every step
        sees all samples, and with mini-batches as many as make one epoch, so that the tests
        cost no more than the training.

    Raises
    ------
    InvalidValueError
        If a value is not allowed.

    Examples
    --------
    >>> Stop(loss=1e-8, radius=1e6)
    Stop(loss=1e-08, radius=1000000.0)
    """

    loss: float | None = option(default=None)
    gradient_norm: float | None = option(default=None)
    radius: float | None = option(default=None)
    every: int | None = option(default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("loss", -math.inf, "any finite number, or None")
        self._set("gradient_norm", 0.0, "a number in [0, inf), or None")
        self._set("radius", math.ulp(0.0), "a number in (0, inf), or None")
        if self.every is not None and not (is_integer(self.every) and 1 <= self.every < 2**32):
            raise InvalidValueError("Stop.every", self.every, "an integer >= 1, or None")

    def _set(self, name: str, lowest: float, allowed: str) -> None:
        value = getattr(self, name)
        if value is None:
            return
        if not is_number(value) or not math.isfinite(value) or value < lowest:
            raise InvalidValueError(f"Stop.{name}", value, allowed)
        object.__setattr__(self, name, float(value))
