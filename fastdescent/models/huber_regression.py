"""Linear regression that outliers do not dominate."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastdescent.models._base import INITIALIZATIONS
from fastdescent.models._linear import HUBER, LinearModel
from fastdescent.parts import FloatArray, Values, option, parameter

__all__ = ["HuberRegression"]


class HuberRegression(LinearModel):
    r"""Huber regression: quadratic for small errors, linear for large ones.

    .. math::

        J(\theta) = \frac1m \sum_s h(x_s^\top \theta - y_s), \qquad
        h(r) = \begin{cases} r^2 / 2 & |r| \le \delta \\
               \delta (|r| - \delta / 2) & |r| > \delta \end{cases}

    Parameters
    ----------
    data : Data
        The data set, with one target.
    delta : float or sequence
        Limit delta between the two, > 0, in units of the target.
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
    Huber (1964), Annals of Mathematical Statistics 35, 73-101.

    Examples
    --------
    >>> import fastdescent as fd
    >>> data = fd.data.Dataset([[1.0], [1.0]], [0.0, 10.0])
    >>> HuberRegression(data, delta=2.0, bias=False).value([1.0])
    8.25
    """

    loss_number: ClassVar[int] = HUBER

    delta: Values = parameter(default=1.0, lower=0.0, lower_open=True)
    bias: bool = option(default=True)
    initialization: str = option(default="torch", choices=tuple(INITIALIZATIONS))

    def hessian(self, x: ArrayLike) -> FloatArray:
        self._params(1)  # one limit, not a sweep of them
        design, y = self._design
        points = self._points(x)
        inside = np.abs(points @ design.T - y) <= self.delta
        found: FloatArray = np.einsum(
            "ps,si,sj->pij", inside / len(y), design, design, optimize=True
        )
        return found if np.ndim(x) == 2 else found[0]
