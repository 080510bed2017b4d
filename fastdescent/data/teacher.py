"""Targets that a small network makes."""

from __future__ import annotations

import math

import numpy as np

from fastdescent.data._base import FEATURES, LAYER, WEIGHTS, Counts, Table, default_names
from fastdescent.data._draws import _Drawn, squashed, weighted_sum
from fastdescent.parts import FloatArray, Range, option
from fastdescent.streams import INITIALIZATION, normals

__all__ = ["Teacher"]


class Teacher(_Drawn):
    r"""Regression on what a random network of one hidden layer says.

    .. math:: y = \sum_{j=1}^{h} a_j \tanh(w_j \cdot x) + \sigma \varepsilon, \qquad
        x, \varepsilon \sim \mathcal N(0, 1)

    with weights w_j of N(0, 1 / d) for each of d features and a_j of N(0, 1 / h).  A network of
    the same shape can fit it exactly where sigma is 0.

    Parameters
    ----------
    features : int
        Number d of features, 1 to 10^6.
    hidden : int
        Number h of hidden units, 1 to 10^6.
    noise : float
        Standard deviation sigma of the noise of y, >= 0, in units of y.
    count : int
        Number of samples, 1 to 2^32 - 1; sample i does not depend on it.
    validation : float
        Share of samples that is held out, in [0, 1).
    standardize : bool
        Whether features get mean 0 and variance 1 over the training samples.
    seed : int, optional
        Seed of everything drawn, 0 to 2^64 - 1; the study's if not given.

    Raises
    ------
    InvalidValueError
        If a value is not allowed.

    References
    ----------
    Seung, Sompolinsky and Tishby (1992), Physical Review A 45, 6056-6091.

    Examples
    --------
    >>> teacher = Teacher(features=2, hidden=3, count=2)
    >>> teacher.samples(seed=0).y.round(4).ravel().tolist()
    [-0.4432, -0.1481]
    >>> [weights.shape for weights in teacher.true_weights(seed=0)]
    [(3, 2), (3,)]
    """

    features: int = option(default=2, integer=Range(1, 10**6))
    hidden: int = option(default=4, integer=Range(1, 10**6))
    noise: float = option(default=0.0, number=Range(0.0))

    def true_weights(self, seed: int = 0) -> tuple[FloatArray, FloatArray]:
        """Return the weights w, shape (hidden, features), and a, shape (hidden,).

        They belong to the features as they are drawn, before any standardisation.
        """
        seed, units = self._seed(seed), np.arange(self.hidden)
        inner = normals(seed, INITIALIZATION, units, self.features, step=LAYER)
        outer = normals(seed, INITIALIZATION, units, 1, step=WEIGHTS)[:, 0]
        return inner / math.sqrt(self.features), outer / math.sqrt(self.hidden)

    def _counts(self) -> Counts:
        return Counts(self.count, self.features, 1, 0)

    def _table(self, seed: int) -> Table:
        x = self._normals(seed, self.features, FEATURES)
        y = np.zeros(self.count)
        for w, a in zip(*self.true_weights(seed), strict=True):
            y += a * squashed(weighted_sum(x, w))
        return Table(x, self._noisy(seed, y, self.noise), (), default_names(self.features))
