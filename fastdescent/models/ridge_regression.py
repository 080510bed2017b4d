"""Linear regression with a penalty on large weights."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastdescent.models._base import INITIALIZATIONS
from fastdescent.models._linear import RIDGE, LinearModel
from fastdescent.parts import FloatArray, Values, option, parameter

__all__ = ["RidgeRegression"]


class RidgeRegression(LinearModel):
    r"""Ridge regression: the mean squared error and a penalty on the weights.

    .. math:: J(\theta) = \frac1m \|X \theta - y\|^2 + \lambda \|w\|^2, \qquad
              \nabla J = \frac2m X^\top (X \theta - y) + 2 \lambda w

    The intercept, the last parameter if there is one, is not penalised.  scikit-learn's
    ``Ridge(alpha)`` does not divide by m: alpha = m lambda.  The validation loss is the mean
    squared error alone.

    Parameters
    ----------
    data : Data
        The data set, with one target.
    penalty : float or sequence
        Lambda, >= 0, in units of the loss over those of the weights squared.
    bias : bool
        Whether there is an intercept.
    initialization : str
        How `fastdescent.starts.Initialization` draws the parameters; see `MLP`.

    Raises
    ------
    InvalidValueError
        If a value is not allowed.

    References
    ----------
    Hoerl and Kennard (1970), Technometrics 12, 55-67.

    Examples
    --------
    >>> import fastdescent as fd
    >>> data = fd.data.Dataset([[-1.0], [1.0]], [-2.0, 2.0])
    >>> RidgeRegression(data, penalty=1.0, bias=False).minima.tolist()
    [[1.0]]
    """

    loss_number: ClassVar[int] = RIDGE

    penalty: Values = parameter(default=1.0, lower=0.0)
    bias: bool = option(default=True)
    initialization: str = option(default="torch", choices=tuple(INITIALIZATIONS))

    def formula(self, x: Any, m: Any) -> Any:
        design, y = self._design
        rows = zip(design.tolist(), y.tolist(), strict=True)
        errors = [sum(a * b for a, b in zip(row, x, strict=True)) - t for row, t in rows]
        weights = x[: self.dim - self.bias]
        return sum(error**2 for error in errors) / len(errors) + self.penalty * sum(
            w**2 for w in weights
        )

    def _curvature(self) -> FloatArray:
        """Half of the Hessian, which is the same everywhere."""
        self._params(1)  # one penalty, not a sweep of them
        design, _ = self._design
        penalised = np.ones(self.dim)
        penalised[self.dim - self.bias :] = 0.0
        return design.T @ design / len(design) + np.diag(self.penalty * penalised)

    @property
    def minima(self) -> FloatArray | None:
        design, y = self._design
        curvature = self._curvature()
        if np.linalg.matrix_rank(curvature) < self.dim:
            return None
        best = np.linalg.solve(curvature, design.T @ y / len(design))
        return np.asarray(best[None], dtype=float)

    def hessian(self, x: ArrayLike) -> FloatArray:
        return self._constant_hessian(x, 2.0 * self._curvature())
