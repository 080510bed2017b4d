"""Multilayer perceptrons: any widths, back-propagation by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastdescent.errors import InvalidValueError
from fastdescent.models._activations import ACTIVATIONS, LOSSES
from fastdescent.models._base import INITIALIZATIONS
from fastdescent.models._layered import LayeredModel
from fastdescent.parts import is_integer, is_number, option

__all__ = ["MLP"]


class MLP(LayeredModel):
    r"""Multilayer perceptron on a data set.

    .. math::

        a_0 = x, \quad z_l = c_l (W_l a_{l-1} + b_l), \quad a_l = f(z_l), \quad
        J(\theta) = \frac1m \sum_{s=1}^m \ell(z_L(x_s), y_s)

    The hidden layers have the given widths and the activation f; the last layer has one output
    per target, or per class, and none.  Loss ``squared`` is the sum of squared errors over the
    outputs, and ``cross_entropy`` is -log of the softmax of the label's output; with two
    classes there is one output, the logarithm of the odds.

    The flat parameter vector holds W_1 (row by row, a row per output), b_1, W_2, b_2, ...;
    `blocks` says where.

    Parameters
    ----------
    data : Data
        The data set.
    widths : sequence of int
        Widths of the hidden layers, each >= 1; none for a single layer.
    activation : {"tanh", "sigmoid", "relu", "gelu", "identity"}
        Activation f of the hidden layers; "gelu" in the form with tanh.
    loss : {"squared", "cross_entropy"}
        The loss of one sample.
    bias : bool
        Whether the layers have biases b.
    scales : sequence of float, optional
        Factors c_1, ..., c_L > 0 of the layers' weighted inputs, dimensionless; 1 by default.
    initialization : str
        How `fastdescent.starts.Initialization` draws the parameters: "torch" is uniform of
        variance 1 / (3 fan_in), biases too; "glorot" has variance 2 / (fan_in + fan_out),
        "he" 2 / fan_in, "lecun" 1 / fan_in, and "standard_normal" 1, with biases 0.

    Raises
    ------
    InvalidValueError
        If a value is not allowed, or the data do not fit the loss.

    References
    ----------
    Rumelhart, Hinton and Williams (1986), Nature 323, 533-536; GELU: Hendrycks and Gimpel
    (2016), arXiv 1606.08415; initialisations: Glorot and Bengio (2010), AISTATS 9, 249-256, He
    et al. (2015), ICCV, 1026-1034, LeCun et al. (1998), Neural Networks: Tricks of the Trade.

    Examples
    --------
    >>> import fastdescent as fd
    >>> net = MLP(fd.data.XOR(count=64), widths=[8], loss="cross_entropy")
    >>> net.dim, [block.name for block in net.blocks]
    (33, ['weight_1', 'bias_1', 'weight_2', 'bias_2'])
    """

    widths: Sequence[int] = option(default=(16,))
    activation: str = option(default="tanh", choices=ACTIVATIONS)
    loss: str = option(default="squared", choices=LOSSES)
    bias: bool = option(default=True)
    scales: Sequence[float] | None = option(default=None)
    initialization: str = option(default="torch", choices=tuple(INITIALIZATIONS))

    def __post_init__(self) -> None:
        super().__post_init__()
        widths = self.widths if isinstance(self.widths, tuple) else (self.widths,)
        if not all(is_integer(width) and width >= 1 for width in widths):
            raise InvalidValueError("MLP.widths", self.widths, "integers >= 1, one for each layer")
        object.__setattr__(self, "widths", tuple(map(int, widths)))
        if self.loss == "cross_entropy" and self._data.n_classes < 2:
            raise InvalidValueError(
                "MLP.loss",
                self.loss,
                '"squared", as the data have no classes',
                'task="classification" of load, read or Dataset makes classes of numbers',
            )
        if self.loss == "squared" and self._data.n_classes > 2:
            raise InvalidValueError(
                "MLP.loss",
                self.loss,
                f'"cross_entropy" on data of {self._data.n_classes} classes',
                "their numbers 0, 1, 2, ... are names, no quantities",
            )
        self._check_scales()

    def _check_scales(self) -> None:
        scales, layers = self.scales, len(self.widths) + 1
        if scales is None:
            return
        right = isinstance(scales, tuple) and len(scales) == layers
        if not right or not all(is_number(c) and 0.0 < c < np.inf for c in scales):
            raise InvalidValueError("MLP.scales", scales, f"{layers} numbers > 0, one per layer")
        object.__setattr__(self, "scales", tuple(map(float, scales)))

    def _hidden(self) -> tuple[int, ...]:
        return tuple(self.widths)

    def _activation(self) -> str:
        return self.activation

    def _loss(self) -> str:
        return self.loss

    def _layer_scales(self) -> tuple[float, ...]:
        return super()._layer_scales() if self.scales is None else tuple(self.scales)
