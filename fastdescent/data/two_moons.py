"""Two interleaving half circles."""

from __future__ import annotations

import numpy as np

from fastdescent.data._base import FEATURES, PLACES, Counts, Table, default_names
from fastdescent.data._draws import _Drawn, circle
from fastdescent.parts import Range, option

__all__ = ["TwoMoons"]


class TwoMoons(_Drawn):
    r"""Two classes on half circles that reach into each other; no line separates them.

    .. math:: x = (\cos t, \sin t) + \sigma z \quad (\text{class } 0), \qquad
        x = (1 - \cos t, \frac12 - \sin t) + \sigma z \quad (\text{class } 1)

    with t uniform in (0, pi) and z of N(0, 1) in both coordinates.  Samples are of class 0 and
    1 in turn.  The curves are those of scikit-learn's ``make_moons``, which spaces t evenly.

    Parameters
    ----------
    noise : float
        Standard deviation sigma of the noise of x, >= 0, in radii.
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
    Pedregosa et al. (2011), Journal of Machine Learning Research 12, 2825-2830.

    Examples
    --------
    >>> TwoMoons(noise=0.0, count=2).samples(seed=0).x.round(4).tolist()
    [[-0.0609, 0.9981], [0.852, -0.489]]
    """

    noise: float = option(default=0.1, number=Range(0.0))

    def _counts(self) -> Counts:
        return Counts(self.count, 2, 1, 2)

    def _table(self, seed: int) -> Table:
        y = (np.arange(self.count) % 2).astype(float)
        x = circle(0.5 * self._uniforms(seed, 1, PLACES)[:, 0])
        x[1::2] = np.array([1.0, 0.5]) - x[1::2]
        x += self.noise * self._normals(seed, 2, FEATURES)
        return Table(x, y[:, np.newaxis], (0, 1), default_names(2))
