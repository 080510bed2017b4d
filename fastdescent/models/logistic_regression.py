"""Logistic regression: two classes."""

from __future__ import annotations

from fastdescent.errors import InvalidValueError
from fastdescent.models._base import INITIALIZATIONS
from fastdescent.models._layered import LayeredModel
from fastdescent.parts import option

__all__ = ["LogisticRegression"]


class LogisticRegression(LayeredModel):
    r"""Logistic regression: the mean cross-entropy of two classes.

    .. math:: J(\theta) = \frac1m \sum_s \log(1 + e^{z_s}) - y_s z_s, \qquad
              z = X w + b, \qquad y_s \in \{0, 1\}

    On data that a plane separates there is no minimum: the loss falls for ever.

    Parameters
    ----------
    data : Data
        The data set, with two classes.
    bias : bool
        Whether there is an intercept, the last parameter.
    initialization : str
        How `fastdescent.starts.Initialization` draws the parameters; see `MLP`.

    Raises
    ------
    InvalidValueError
        If a value is not allowed, or the data have not two classes.

    References
    ----------
    Cox (1958), Journal of the Royal Statistical Society B 20, 215-242.

    Examples
    --------
    >>> import fastdescent as fd
    >>> round(LogisticRegression(fd.data.TwoMoons(count=50)).value([0.0, 0.0, 0.0]), 6)
    0.693147
    """

    bias: bool = option(default=True)
    initialization: str = option(default="torch", choices=tuple(INITIALIZATIONS))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self._data.n_classes != 2:
            raise InvalidValueError(
                "LogisticRegression.data",
                f"{self._data.n_classes} classes",
                "data with two classes",
                "SoftmaxRegression takes more of them; for classes that are numbers "
                'say task="classification" in load, read or Dataset',
            )

    def _loss(self) -> str:
        return "cross_entropy"
