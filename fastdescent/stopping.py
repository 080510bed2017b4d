"""When a trajectory stops before its budget of steps."""

from __future__ import annotations

import math
from typing import ClassVar

from fastdescent.errors import InvalidValueError
from fastdescent.parts import Part, is_number, option

__all__ = ["Stop", "Stopping"]


class Stopping(Part):
    """Base class of stopping rules; `Stop` is the one that the engine knows."""

    kind: ClassVar[str] = "stop"


class Stop(Stopping):
    r"""Stop a trajectory as soon as one of the given tests holds.

    .. math:: f(\theta_t) - f^* \le \mathrm{loss}, \qquad
              \|\nabla f(\theta_t)\| \le \mathrm{gradient\_norm}, \qquad
              \|\theta_t\| > \mathrm{radius}

    The tests see the exact loss and gradient, at every step, the start included.  The first
    two end a trajectory as ``converged``, the radius ends it as ``diverged``, and so does a
    loss or a theta that is not finite, always.  Norms are Euclidean.

    Parameters
    ----------
    loss : float, optional
        Loss above the landscape's known minimum; absolute where none is known.  Any finite
        number.
    gradient_norm : float, optional
        Norm of the gradient, >= 0.
    radius : float, optional
        Distance from the origin, > 0, in units of theta.

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

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("loss", -math.inf, "any finite number, or None")
        self._set("gradient_norm", 0.0, "a number in [0, inf), or None")
        self._set("radius", math.ulp(0.0), "a number in (0, inf), or None")

    def _set(self, name: str, lowest: float, allowed: str) -> None:
        value = getattr(self, name)
        if value is None:
            return
        if not is_number(value) or not math.isfinite(value) or value < lowest:
            raise InvalidValueError(f"Stop.{name}", value, allowed)
        object.__setattr__(self, name, float(value))
