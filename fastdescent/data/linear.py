"""Linear targets of random features, whose geometry is known."""

# Overrides are documented by the method of the base class that they override.
# ruff: noqa: D102

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import KW_ONLY

import numpy as np

from fastdescent.data._base import PRESENCE, ROTATION, WEIGHTS, Counts, Table, default_names
from fastdescent.data._draws import _Drawn, powers, weighted_sum
from fastdescent.errors import InvalidValueError
from fastdescent.parts import FloatArray, Range, is_integer, option
from fastdescent.streams import INITIALIZATION, normals, orthonormal

__all__ = ["BadlyScaled", "GaussianLinear", "SparseFeatures"]

_POSITIVE = Range(0.0, lower_open=True)
_SIZE = Range(1, 10**6)


class _Linear(_Drawn):
    """Base class of y = w . x + noise."""

    _: KW_ONLY
    weights: Sequence[float] | None = option(default=None)
    noise: float = option(default=0.0, number=Range(0.0))

    def true_weights(self, seed: int = 0) -> FloatArray:
        """Return the weights w that the targets were made with, shape (features,).

        They belong to the features as they are drawn, before any standardisation.

        Examples
        --------
        >>> BadlyScaled(scales=[10.0, 0.1], weights=[1.0, 2.0]).true_weights().tolist()
        [1.0, 2.0]
        """
        if self.weights is not None:
            return np.array(self.weights)
        draws = normals(
            self._seed(seed), INITIALIZATION, np.arange(self.n_features), 1, step=WEIGHTS
        )
        return self._drawn_weights(draws[:, 0])

    def covariance(self, seed: int = 0) -> FloatArray:
        """Return the covariance of the features' distribution, shape (features, features).

        Where their mean is 0, it is the expected Hessian of the mean of (w . x - y)^2 / 2.

        Examples
        --------
        >>> BadlyScaled(scales=[10.0, 2.0]).covariance().tolist()
        [[100.0, 0.0], [0.0, 4.0]]
        """
        raise NotImplementedError

    def _drawn_weights(self, draws: FloatArray) -> FloatArray:
        return draws

    def _features(self, seed: int) -> FloatArray:
        raise NotImplementedError

    def _width(self) -> int:
        raise NotImplementedError

    def _counts(self) -> Counts:
        return Counts(self.count, self._width(), 1, 0)

    def _table(self, seed: int) -> Table:
        x = self._features(seed)
        y = self._noisy(seed, weighted_sum(x, self.true_weights(seed)), self.noise)
        return Table(x, y, (), default_names(x.shape[1]))


class GaussianLinear(_Linear):
    r"""Linear regression on normal features whose covariance has a chosen spectrum.

    .. math:: x = \sum_{k=1}^{d} \sqrt{\lambda_k} z_k q_k, \qquad
        y = w \cdot x + \sigma \varepsilon, \qquad z_k, \varepsilon \sim \mathcal N(0, 1)

    with q_k the coordinate axes, or the columns of a random rotation or reflection, uniform
    over all.  The covariance of x, which is the expected Hessian of the mean of (w . x - y)^2
    / 2, has the eigenvalues lambda_k.

    Parameters
    ----------
    features : int, optional
        Number d of features, 1 to 10^6; by default as many as eigenvalues or weights are
        given, or else 10.
    eigenvalues : sequence of float, optional
        Eigenvalues lambda_k, >= 0, one for each feature, dimensionless.
    condition_number : float
        Where no eigenvalues are given: lambda_k = condition_number^(-(k - 1) / (d - 1)), from
        1 down to 1 / condition_number; >= 1, dimensionless.
    rotate : bool
        Whether the q_k are random, which costs of the order of d^3 operations.
    weights : sequence of float, optional
        True weights w, one for each feature; independent N(0, 1) if not given.
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
        If a value is not allowed, or numbers of features contradict each other.

    References
    ----------
    Hastie, Tibshirani and Friedman (2009), The Elements of Statistical Learning, section 3.2;
    Stewart (1980), SIAM J. Numer. Anal. 17, 403-409, on random rotations.

    Examples
    --------
    >>> data = GaussianLinear(3, condition_number=100.0, rotate=True, noise=0.1, count=50)
    >>> np.linalg.eigvalsh(data.covariance(seed=0)).round(6).tolist()
    [0.01, 0.1, 1.0]
    >>> data.true_weights(seed=0).round(4).tolist()
    [1.8717, 1.4641, -1.923]
    """

    features: int | None = option(default=None)
    eigenvalues: Sequence[float] | None = option(default=None)
    condition_number: float = option(default=1.0, number=Range(1.0))
    rotate: bool = option(default=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.features is not None and not (is_integer(self.features) and self.features in _SIZE):
            raise InvalidValueError(
                "GaussianLinear.features", self.features, f"an integer in {_SIZE}"
            )
        if not isinstance(self.rotate, bool):
            raise InvalidValueError("GaussianLinear.rotate", self.rotate, "True or False")
        if self.eigenvalues is not None and self.condition_number != 1.0:
            raise InvalidValueError(
                "GaussianLinear.condition_number",
                self.condition_number,
                "no condition number beside eigenvalues",
            )
        for name, allowed in (("eigenvalues", Range(0.0)), ("weights", Range())):
            self._numbers(name, allowed)
            self._numbers(name, allowed, self._width())

    def spectrum(self) -> FloatArray:
        """Return the eigenvalues lambda_k of the covariance, in the order of the q_k.

        Examples
        --------
        >>> GaussianLinear(3, condition_number=4.0).spectrum().round(12).tolist()
        [1.0, 0.5, 0.25]
        """
        if self.eigenvalues is not None:
            return np.array(self.eigenvalues)
        size = self._width()
        if size == 1:
            return np.ones(1)
        spectrum = powers(self.condition_number, -np.arange(size) / (size - 1))
        spectrum[0], spectrum[-1] = 1.0, 1.0 / self.condition_number
        return spectrum

    def covariance(self, seed: int = 0) -> FloatArray:
        covariance = np.diag(self.spectrum())
        if self.rotate:
            axes = _axes(self._width(), self._seed(seed))
            covariance = sum(
                value * np.multiply.outer(axis, axis)
                for value, axis in zip(self.spectrum(), axes, strict=True)
            )
        return covariance

    def _width(self) -> int:
        if self.features is not None:
            return self.features
        given = self.eigenvalues if self.eigenvalues is not None else self.weights
        return 10 if given is None else len(given)

    def _features(self, seed: int) -> FloatArray:
        size = self._width()
        x = self._normals(seed, size) * np.sqrt(self.spectrum())
        if not self.rotate:
            return x
        axes = _axes(size, seed)
        return np.stack([weighted_sum(x, column) for column in axes.T], axis=1)


@functools.lru_cache(maxsize=8)
def _axes(size: int, seed: int) -> FloatArray:
    """Return random orthonormal vectors as rows."""
    axes = orthonormal(seed, size, step=ROTATION)
    axes.flags.writeable = False
    return axes


class SparseFeatures(_Linear):
    r"""Linear regression on features that are mostly absent, each with its own frequency.

    .. math:: x_k = b_k z_k, \qquad b_k \sim \mathrm{Bernoulli}(p_k), \qquad
        y = w \cdot x + \sigma \varepsilon, \qquad \varepsilon \sim \mathcal N(0, 1)

    with z_k normal, N(0, 1), or always 1.  A gradient in w_k is zero in the share 1 - p_k of
    the samples: rare features are seldom learnt from.

    Parameters
    ----------
    probabilities : sequence of float
        Probabilities p_k, in (0, 1], one for each feature.
    values : str
        What a feature is where it is present: "normal" (mean 0, variance 1) or "one".
    weights : sequence of float, optional
        True weights w, one for each feature; independent N(0, 1) if not given.
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
    Duchi, Hazan and Singer (2011), Journal of Machine Learning Research 12, 2121-2159.

    Examples
    --------
    >>> data = SparseFeatures([1.0, 0.1], count=1000)
    >>> (data.samples(seed=0).x != 0.0).sum(axis=0).tolist()
    [1000, 87]
    """

    probabilities: Sequence[float] = option(default=(0.5, 0.1, 0.01))
    values: str = option(default="normal", choices=("normal", "one"))

    def __post_init__(self) -> None:
        super().__post_init__()
        self._numbers("probabilities", Range(0.0, 1.0, lower_open=True), required=True)
        self._numbers("weights", Range(), self._width())

    def covariance(self, seed: int = 0) -> FloatArray:
        p = np.array(self.probabilities)
        return np.diag(p if self.values == "normal" else p * (1.0 - p))

    def _width(self) -> int:
        return len(self.probabilities)

    def _features(self, seed: int) -> FloatArray:
        width = self._width()
        present = self._uniforms(seed, width, PRESENCE) < np.array(self.probabilities)
        x = self._normals(seed, width) if self.values == "normal" else np.ones(present.shape)
        return np.where(present, x, 0.0)


class BadlyScaled(_Linear):
    r"""Linear regression on features of very different scales, each as important.

    .. math:: x_k = s_k z_k, \qquad y = w \cdot x + \sigma \varepsilon, \qquad
        z_k, \varepsilon \sim \mathcal N(0, 1)

    The eigenvalues of the expected Hessian are s_k^2: scales of 1000 and 0.01 make a condition
    number of 10^10.  `standardize` is the cure.

    Parameters
    ----------
    scales : sequence of float
        Standard deviations s_k, > 0, one for each feature.
    weights : sequence of float, optional
        True weights w, one for each feature; if not given, w_k = v_k / s_k with independent
        v_k of N(0, 1), so that each feature moves y as much.
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
    LeCun, Bottou, Orr and Mueller (1998), Efficient BackProp, section 4.3.

    Examples
    --------
    >>> data = BadlyScaled([1000.0, 0.01], count=2)
    >>> data.samples(seed=0).x.round(4).tolist()
    [[-1191.3866, -0.0065], [-130.6325, -0.012]]
    """

    scales: Sequence[float] = option(default=(1000.0, 1.0, 0.01))

    def __post_init__(self) -> None:
        super().__post_init__()
        self._numbers("scales", _POSITIVE, required=True)
        self._numbers("weights", Range(), self._width())

    def covariance(self, seed: int = 0) -> FloatArray:
        return np.diag(np.square(self.scales))

    def _width(self) -> int:
        return len(self.scales)

    def _drawn_weights(self, draws: FloatArray) -> FloatArray:
        return np.divide(draws, self.scales)

    def _features(self, seed: int) -> FloatArray:
        return np.multiply(self._normals(seed, self._width()), self.scales)
