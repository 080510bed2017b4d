"""Linear regression by least squares."""

from __future__ import annotations

from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastdescent.models._base import INITIALIZATIONS
from fastdescent.models._linear import LEAST, SQUARED, LinearModel, least_squares
from fastdescent.parts import FloatArray, option

__all__ = ["LinearRegression"]


class LinearRegression(LinearModel):
    r"""Linear regression: the mean squared error.

    .. math:: J(\theta) = \frac1m \|X \theta - y\|^2, \qquad
              \nabla J = \frac2m X^\top (X \theta - y), \qquad H = \frac2m X^\top X

    with a last column of ones in X if there is an intercept.  The loss of all samples is
    computed from X'X / m where that keeps eleven digits (scaled columns of condition number
    up to 100), so a test on it costs no more than one small batch.

    Parameters
    ----------
    data : Data
        The data set, with one target.
    bias : bool
        Whether there is an intercept, the last parameter.
    initialization : str
        How `fastdescent.starts.Initialization` draws the parameters; see `MLP`.

    Raises
    ------
    InvalidValueError
        If a value is not allowed.

    References
    ----------
    Legendre (1805), Nouvelles methodes pour la determination des orbites des cometes, appendix.

    Examples
    --------
    >>> import fastdescent as fd
    >>> line = LinearRegression(fd.data.Dataset([[0.0], [1.0], [2.0]], [1.0, 3.0, 5.0]))
    >>> round(line.value([2.0, 0.0]), 12), line.minima.round(12).tolist()
    (1.0, [[2.0, 1.0]])
    """

    loss_number: ClassVar[int] = SQUARED

    bias: bool = option(default=True)
    initialization: str = option(default="torch", choices=tuple(INITIALIZATIONS))

    def formula(self, x: Any, m: Any) -> Any:
        design, y = self._design
        rows = zip(design.tolist(), y.tolist(), strict=True)
        errors = [sum(a * b for a, b in zip(row, x, strict=True)) - t for row, t in rows]
        return sum(error**2 for error in errors) / len(errors)

    @cached_property
    def _best(self) -> FloatArray | None:
        design, y = self._design
        best, condition = least_squares(design, y)
        resolved = len(design) >= self.dim and condition * np.finfo(float).eps < 1.0
        return best if resolved else None

    @property
    def minima(self) -> FloatArray | None:
        return None if self._best is None else self._best[None]

    @property
    def minimum(self) -> float:
        return float(self._tables[0][0, LEAST])

    def hessian(self, x: ArrayLike) -> FloatArray:
        design, _ = self._design
        return self._constant_hessian(x, 2.0 / len(design) * design.T @ design)
