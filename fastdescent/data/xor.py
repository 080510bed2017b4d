"""Parity: the exclusive or of several inputs."""

from __future__ import annotations

import numpy as np

from fastdescent.data._base import FEATURES, PLACES, Counts, Table, default_names
from fastdescent.data._draws import _Drawn
from fastdescent.parts import Range, option

__all__ = ["XOR"]


class XOR(_Drawn):
    r"""The exclusive or of n inputs: the class is 1 where an odd number of them is on.

    .. math:: x_k = s_k + \sigma z_k, \qquad z_k \sim \mathcal N(0, 1)

    with signs s_k = 1 (on) or -1 (off), each with probability 1/2.  No single input, and no
    group of fewer than n, says anything about the class.

    Parameters
    ----------
    inputs : int
        Number n of inputs, 2 to 1000.
    noise : float
        Standard deviation sigma of the noise of x, >= 0; the corners are 2 apart.
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
    Minsky and Papert (1969), Perceptrons, chapter 3; Rumelhart, Hinton and Williams (1986),
    Nature 323, 533-536.

    Examples
    --------
    >>> samples = XOR(noise=0.0, count=4).samples(seed=0)
    >>> samples.x.tolist(), samples.y.ravel().tolist()
    ([[1.0, -1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, -1.0]], [1.0, 0.0, 1.0, 0.0])
    """

    inputs: int = option(default=2, integer=Range(2, 1000))
    noise: float = option(default=0.1, number=Range(0.0))

    def _counts(self) -> Counts:
        return Counts(self.count, self.inputs, 1, 2)

    def _table(self, seed: int) -> Table:
        on = self._uniforms(seed, self.inputs, PLACES) > 0.5
        x = np.where(on, 1.0, -1.0) + self.noise * self._normals(seed, self.inputs, FEATURES)
        y = (np.count_nonzero(on, axis=1) % 2).astype(float)
        return Table(x, y[:, np.newaxis], (0, 1), default_names(self.inputs))
