"""Confidence intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastdescent.errors import InvalidValueError
from fastdescent.parts import FloatArray, is_number

__all__ = ["mean_share_interval", "pooled_interval", "wilson_interval"]

#: Smallest parameter of a beta distribution: 0 has no quantiles.
_LEAST = 1e-300
#: A ratio whose standard error is a smaller part of it is that of equal numbers.
_ROUNDING = 1e-15


def wilson_interval(
    successes: ArrayLike, trials: ArrayLike, confidence: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    r"""Return Wilson's score interval for the rate of successes.

    .. math:: \frac{\hat p + z^2 / 2n \pm z \sqrt{\hat p (1 - \hat p) / n + z^2 / 4n^2}}
              {1 + z^2 / n}, \qquad \hat p = k / n

    with z the (1 + confidence) / 2 quantile of the normal distribution; without continuity
    correction.  It contains exactly the rates that a two-sided score test does not reject.
    Unlike the rate plus or minus its standard error it is right for rates near 0 and 1: it is
    never empty, and no success in n trials gives an upper end of z^2 / (n + z^2).

    Parameters
    ----------
    successes : array_like of int
        Numbers k of successes, from 0 to `trials`.
    trials : array_like of int
        Numbers n of independent trials, >= 0; 0 trials say nothing: the interval is [0, 1].
    confidence : float
        Coverage, in (0, 1).  It is the mean coverage over all rates, near enough; for some
        rates the coverage is a little lower, as for every interval of a discrete count.

    Returns
    -------
    lower, upper : ndarray
        The ends, in [0, 1], of the broadcast shape of `successes` and `trials`.

    Raises
    ------
    InvalidValueError
        If a value is not allowed.

    References
    ----------
    Wilson (1927), J. Amer. Statist. Assoc. 22, 209-212; Brown, Cai and DasGupta (2001),
    Statistical Science 16, 101-133.

    Examples
    --------
    >>> lower, upper = wilson_interval(81, 263)
    >>> print(f"{lower:.4f} {upper:.4f}")
    0.2553 0.3662
    """
    k, n = np.broadcast_arrays(_counts("successes", successes), _counts("trials", trials))
    if (k > n).any():
        at = int(np.argmax(k > n))
        raise InvalidValueError(
            "successes", k.ravel()[at].item(), f"at most the {n.ravel()[at]:.0f} trials"
        )
    return _wilson(k, n, confidence)


def mean_share_interval(
    shares: ArrayLike, confidence: float = 0.95
) -> tuple[FloatArray, FloatArray]:
    r"""Return an interval for the mean of shares, such as fractions of a trajectory's life.

    Korn and Graubard's: that of Clopper and Pearson for :math:`n_e \bar p` successes in

    .. math:: n_e = \frac{n \, \bar p (1 - \bar p)}{s^2} \left(\frac{z}{t_{n-1}}\right)^2

    effective trials, where s^2 is the variance of the shares, and z and t are quantiles of the
    normal and of Student's distribution.  Numbers that are always 0 or 1 have n_e near n, shares
    that differ less count for more.  With s = 0, n_e is n: shares that were 0 throughout do not
    make the interval empty.  A single share says nothing of the others: the interval is [0, 1].

    The coverage is the nominal one or more, except in small samples of a rare event: of shares
    that are almost always near 0 and else near 1, twenty may hold none of the latter; 95 %
    intervals of such cover in 87 % of all cases, of fifty in 95 % (`scripts/terrain.py`).

    Parameters
    ----------
    shares : array_like, shape (n, ...)
        Independent shares in [0, 1], n >= 1.
    confidence : float
        Coverage, in (0, 1).

    Returns
    -------
    lower, upper : ndarray, shape (...)

    Raises
    ------
    InvalidValueError
        If a value is not allowed.

    References
    ----------
    Korn and Graubard (1998), Survey Methodology 24, 193-201; Clopper and Pearson (1934),
    Biometrika 26, 404-413.

    Examples
    --------
    >>> lower, upper = mean_share_interval([0.2, 0.3, 0.25, 0.25])
    >>> print(f"{lower:.3f} {upper:.3f}")
    0.187 0.322
    """
    values = np.asarray(shares, dtype=float)
    if values.ndim == 0 or len(values) == 0 or not ((values >= 0.0) & (values <= 1.0)).all():
        raise InvalidValueError("shares", shares, "an array of numbers in [0, 1], at least one")
    return pooled_interval(values, 1.0, confidence, shares=True)


def pooled_interval(
    parts: ArrayLike, wholes: ArrayLike, confidence: float = 0.95, *, shares: bool
) -> tuple[FloatArray, FloatArray]:
    r"""Return an interval for a ratio of sums over independent units, such as trajectories.

    .. math:: R = \frac{\sum_u a_u}{\sum_u b_u}, \qquad
              v = \frac{n}{n - 1} \frac{\sum_u (a_u - R b_u)^2}{(\sum_u b_u)^2}

    where v is the linearised variance, and n counts the units with a or b > 0.  What belongs to
    one unit need not be independent: all steps of a trajectory, say.  For shares the interval is
    Korn and Graubard's as in `mean_share_interval`, with v for s^2 / n; for means of lengths it is
    :math:`R \exp(\pm t_{n-1} \sqrt v / R)`.  With a single unit it is [0, 1] or [0, inf);
    lengths that are all equal leave it no width.

    Parameters
    ----------
    parts, wholes : array_like, shape (units, ...)
        The numbers a and b, >= 0, broadcast; both are 0 where a unit has nothing to tell.
    confidence : float
        Coverage, in (0, 1).
    shares : bool
        Whether the ratio is a share, a <= b, or a mean of lengths.

    Returns
    -------
    lower, upper : ndarray, shape (...)
        NaN where all units have b = 0.

    Raises
    ------
    InvalidValueError
        If a value is not allowed.

    References
    ----------
    Cochran (1977), Sampling Techniques, 3rd ed., Wiley, equation 6.13; Korn and Graubard (1998),
    Survey Methodology 24, 193-201.

    Examples
    --------
    >>> lower, upper = pooled_interval([2, 3, 1, 4], [5, 9, 6, 8], shares=True)
    >>> print(f"{lower:.3f} {upper:.3f}")
    0.154 0.606
    """
    a, b = np.broadcast_arrays(np.asarray(parts, dtype=float), np.asarray(wholes, dtype=float))
    allowed = (a >= 0.0) & (b >= 0.0) & ((a <= b) | (not shares))
    if a.ndim == 0 or not allowed.all():
        raise InvalidValueError(
            "parts", parts, f"numbers from 0 to {'the wholes' if shares else 'infinity'}, by unit"
        )
    total = b.sum(axis=0)
    told = total > 0.0
    whole = np.where(told, total, 1.0)
    ratio = a.sum(axis=0) / whole
    n = np.asarray(((a > 0.0) | (b > 0.0)).sum(axis=0), dtype=float)
    gap = ((a - ratio * b) ** 2).sum(axis=0) / whole**2
    variance = gap * n / np.maximum(n - 1.0, 1.0)
    variance = np.where(variance > (_ROUNDING * ratio) ** 2, variance, 0.0)  # equal to rounding
    if shares:
        lower, upper = _korn_graubard(ratio, variance, n, confidence)
    else:
        lower, upper = _log_normal(ratio, variance, n, confidence)
    return np.where(told, lower, np.nan), np.where(told, upper, np.nan)


def _korn_graubard(
    share: FloatArray, variance: FloatArray, n: FloatArray, confidence: float
) -> tuple[FloatArray, FloatArray]:
    """Return the interval of a share whose variance is estimated from n units."""
    from scipy.special import betaincinv, ndtri, stdtrit  # noqa: PLC0415 - slow to import

    tail = 0.5 - 0.5 * _checked(confidence)
    trials = (ndtri(tail) / stdtrit(np.maximum(n - 1.0, 1.0), tail)) ** 2 * share * (1.0 - share)
    trials = np.divide(trials, variance, out=np.array(n), where=variance > 0.0)
    k, rest = trials * share, trials * (1.0 - share)
    lower = np.where(k > 0.0, betaincinv(np.maximum(k, _LEAST), rest + 1.0, tail), 0.0)
    upper = np.where(rest > 0.0, betaincinv(k + 1.0, np.maximum(rest, _LEAST), 1.0 - tail), 1.0)
    return np.where(n > 1.0, lower, 0.0), np.where(n > 1.0, upper, 1.0)


def _log_normal(
    mean: FloatArray, variance: FloatArray, n: FloatArray, confidence: float
) -> tuple[FloatArray, FloatArray]:
    """Return the interval of a mean of lengths whose variance is estimated from n units."""
    from scipy.special import stdtrit  # noqa: PLC0415 - slow to import

    t = stdtrit(np.maximum(n - 1.0, 1.0), 0.5 + 0.5 * _checked(confidence))
    error = np.divide(np.sqrt(variance), mean, out=np.zeros(np.shape(mean)), where=mean > 0.0)
    factor = np.exp(t * error)
    return np.where(n > 1.0, mean / factor, 0.0), np.where(n > 1.0, mean * factor, np.inf)


def _checked(confidence: Any) -> float:
    if not is_number(confidence) or not 0.0 < confidence < 1.0:
        raise InvalidValueError("confidence", confidence, "a number in (0, 1)")
    return float(confidence)


def _wilson(k: FloatArray, n: FloatArray, confidence: float) -> tuple[FloatArray, FloatArray]:
    from scipy.special import ndtri  # noqa: PLC0415 - slow to import

    z2 = float(ndtri(0.5 + 0.5 * _checked(confidence))) ** 2
    middle = k + 0.5 * z2
    half = np.sqrt(z2) * np.sqrt(k * (n - k) / np.maximum(n, 1.0) + 0.25 * z2)
    # The ends that are 0 and 1 in exact arithmetic are set, not left to rounding.
    lower = np.where(k == 0, 0.0, (middle - half) / (n + z2))
    upper = np.where(k == n, 1.0, (middle + half) / (n + z2))
    return lower, upper


def _counts(name: str, values: Any) -> FloatArray:
    try:
        counts = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise InvalidValueError(name, values, "counts, integers >= 0") from None
    if not ((counts >= 0) & (counts == np.floor(counts)) & np.isfinite(counts)).all():
        raise InvalidValueError(name, values, "counts, integers >= 0")
    return counts
