"""Softmax regression: three classes or more."""

from __future__ import annotations

from fastdescent.errors import InvalidValueError
from fastdescent.models._base import INITIALIZATIONS
from fastdescent.models._layered import LayeredModel
from fastdescent.parts import option

__all__ = ["SoftmaxRegression"]


class SoftmaxRegression(LayeredModel):
    r"""Softmax (multinomial logistic) regression: the mean cross-entropy of k classes.

    .. math:: J(\theta) = -\frac1m \sum_s \log p_{y_s}(x_s), \qquad
              p = \mathrm{softmax}(W x + b)

    with a row of W for each class, so a constant added to all rows changes nothing: the
    Hessian is singular.

    Parameters
    ----------
    data : Data
        The data set, with three classes or more.
    bias : bool
        Whether there are intercepts, one per class, the last parameters.
    initialization : str
        How `fastdescent.starts.Initialization` draws the parameters; see `MLP`.

    Raises
    ------
    InvalidValueError
        If a value is not allowed, or the data have fewer classes.

    References
    ----------
    Bridle (1990), Neurocomputing, NATO ASI Series F 68, 227-236.

    Examples
    --------
    >>> import fastdescent as fd
    >>> model = SoftmaxRegression(fd.data.Spirals(count=60, arms=3))
    >>> model.dim, round(model.value([0.0] * 9), 6)
    (9, 1.098612)
    """

    bias: bool = option(default=True)
    initialization: str = option(default="torch", choices=tuple(INITIALIZATIONS))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self._data.n_classes < 3:
            raise InvalidValueError(
                "SoftmaxRegression.data",
                f"{self._data.n_classes} classes",
                "data with three classes or more",
                "LogisticRegression takes two; for classes that are numbers "
                'say task="classification" in load, read or Dataset',
            )

    def _loss(self) -> str:
        return "cross_entropy"
