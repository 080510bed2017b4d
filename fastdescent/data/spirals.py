"""Arms that wind around each other."""

from __future__ import annotations

import numpy as np

from fastdescent.data._base import FEATURES, PLACES, Counts, Table, default_names
from fastdescent.data._draws import _Drawn, circle
from fastdescent.parts import Range, option

__all__ = ["Spirals"]


class Spirals(_Drawn):
    r"""Classes on the arms of a spiral, k of them: a hard problem for small networks.

    .. math:: x = r (\cos \phi, \sin \phi) + \sigma z, \qquad
        \phi = 2 \pi (T r + \frac{c}{k})

    for class c = 0, ..., k - 1, with r uniform in (0, 1) and z of N(0, 1) in both coordinates.
    Samples are of class 0, 1, ..., k - 1 in turn.

    Parameters
    ----------
    arms : int
        Number k of arms and classes, 2 to 1000.
    turns : float
        Turns T of an arm from the centre to its end, > 0 and <= 1000.
    noise : float
        Standard deviation sigma of the noise of x, >= 0, in radii of the whole.
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
    Lang and Witbrock (1988), Learning to tell two spirals apart, Proceedings of the 1988
    Connectionist Models Summer School, 52-59: two arms, three turns.

    Examples
    --------
    >>> Spirals(arms=3, count=4).samples(seed=0).y.ravel().tolist()
    [0.0, 1.0, 2.0, 0.0]
    >>> Spirals(noise=0.0, count=2).samples(seed=0).x.round(4).tolist()
    [[0.0943, -0.5107], [0.1952, 0.4085]]
    """

    arms: int = option(default=2, integer=Range(2, 1000))
    turns: float = option(default=1.5, number=Range(0.0, 1000.0, lower_open=True))
    noise: float = option(default=0.02, number=Range(0.0))

    def _counts(self) -> Counts:
        return Counts(self.count, 2, 1, self.arms)

    def _table(self, seed: int) -> Table:
        y = (np.arange(self.count) % self.arms).astype(float)
        radius = self._uniforms(seed, 1, PLACES)
        x = radius * circle(self.turns * radius[:, 0] + y / self.arms)
        x += self.noise * self._normals(seed, 2, FEATURES)
        return Table(x, y[:, np.newaxis], tuple(range(self.arms)), default_names(2))
