"""Schedules: how a hyper-parameter changes with the step.

A schedule is a base value, or a sequence of them (an axis of the result), and a factor that
multiplies it.  ``t`` = 0, 1, ... is the index of the step about to be taken, as in torch and
optax: the first update uses the factor at t = 0.

The factors do not depend on the platform or on NumPy's version, like everything else that a
trajectory depends on: cosines and powers are the package's own.

Examples
--------
>>> Cosine(0.1, steps=4).factor(np.arange(6)).round(4).tolist()
[1.0, 0.8536, 0.5, 0.1464, 0.0, 0.0]
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numba import types
from numpy.typing import ArrayLike

from fastdescent.contracts import Row, compiled
from fastdescent.errors import InvalidValueError
from fastdescent.lanemath import fma, sincos_turns
from fastdescent.parts import (
    FloatArray,
    IntArray,
    Part,
    Range,
    Values,
    is_integer,
    option,
    parameter,
)

__all__ = [
    "Constant",
    "Cosine",
    "CosineRestarts",
    "Cyclical",
    "Exponential",
    "Function",
    "InverseTime",
    "LinearWarmup",
    "OneCycle",
    "Schedule",
    "Step",
]

_POSITIVE = Range(0.0, lower_open=True)
_NOT_NEGATIVE = Range(0.0)

_floats = types.Array(types.float64, 1, "C")
_integers = types.Array(types.int64, 1, "C")


@compiled(types.void(_floats, _floats))
def _half_cosine(left: Row, out: Row) -> None:
    """(1 + cos(pi (1 - y))) / 2 = sin(pi y / 2)^2, which loses nothing near its end, y = 0."""
    for k in range(left.shape[0]):
        sine, _ = sincos_turns(0.25 * left[k])
        out[k] = sine * sine


@compiled(types.void(types.float64, _integers, _floats))
def _power(base: float, exponent: IntArray, out: Row) -> None:
    """base**n by repeated squaring in pairs of doubles, whose sum is right to its last bit."""
    for k in range(exponent.shape[0]):
        n = exponent[k]
        high, low, square, rest = 1.0, 0.0, base, 0.0
        while n > 0:
            if n & 1:
                product = high * square
                error = fma(high, square, -product) + (high * rest + low * square)
                high = product + error
                low = error - (high - product)
            n >>= 1
            product = square * square
            error = fma(square, square, -product) + 2.0 * square * rest
            square = product + error
            rest = error - (square - product)
        out[k] = high + low


def _descent(left: FloatArray) -> FloatArray:
    """Fall from 1 to 0 along half a cosine; `left` is the part of the way that is left."""
    out = np.empty(left.shape)
    _half_cosine(np.ascontiguousarray(left), out)
    return out


def _powers(base: float, exponent: IntArray) -> FloatArray:
    """Return base**exponent, correctly rounded but for one case in many millions."""
    out = np.empty(exponent.shape)
    _power(base, np.ascontiguousarray(exponent), out)
    # Beyond the largest double a pair becomes inf - inf.
    return np.where(np.isnan(out), np.inf, out)


class Schedule(Part):
    """Base class of schedules: a base value times a factor of the step.

    A subclass adds its fields and a method ``_factor(t)`` for an int64 array of any length.
    """

    kind: ClassVar[str] = "schedule"

    base: Values = parameter()

    def factor(self, step: ArrayLike) -> FloatArray:
        """Return what the base value is multiplied by.

        Parameters
        ----------
        step : array_like of int
            Indices t = 0, 1, ... of the steps about to be taken.

        Returns
        -------
        ndarray
            Finite factors, of the shape of `step`.

        Raises
        ------
        InvalidValueError
            If a step is negative or no integer, or its factor is not finite.

        Examples
        --------
        >>> Step(0.1, every=10, gamma=0.5).factor([0, 9, 10, 25]).tolist()
        [1.0, 1.0, 0.5, 0.25]
        """
        t = np.asarray(step)
        if not np.issubdtype(t.dtype, np.integer) or (t.size and t.min() < 0):
            raise InvalidValueError(f"{type(self).__name__}.factor", step, "integers >= 0")
        factor = self._factor(t.astype(np.int64).ravel())
        if not np.isfinite(factor).all():
            first = int(np.flatnonzero(~np.isfinite(factor))[0])
            raise InvalidValueError(
                f"{type(self).__name__}.factor",
                float(factor[first]),
                f"a finite factor at every step, here at t = {t.ravel()[first]}",
                "take fewer steps or a slower schedule",
            )
        return factor.reshape(t.shape)

    def _factor(self, t: IntArray) -> FloatArray:
        raise NotImplementedError


class Constant(Schedule):
    r"""The base value at every step.

    .. math:: f(t) = 1

    Parameters
    ----------
    base : float or sequence
        The value; its range is that of the hyper-parameter.

    Raises
    ------
    InvalidValueError
        If a value is not allowed.

    Examples
    --------
    >>> Constant(0.1).factor([0, 1000]).tolist()
    [1.0, 1.0]
    """

    def _factor(self, t: IntArray) -> FloatArray:
        return np.ones(t.shape)


class Step(Schedule):
    r"""A fixed factor more, every so many steps.

    .. math:: f(t) = \gamma^{\lfloor t / n \rfloor}

    Shared by torch ``StepLR`` and ``optax.exponential_decay(staircase=True)``.

    Parameters
    ----------
    base : float or sequence
        The value before the first change; its range is that of the hyper-parameter.
    every : int
        Steps n between two changes, >= 1.
    gamma : float
        Factor per change, > 0, dimensionless.

    Raises
    ------
    InvalidValueError
        If a value is not allowed.

    Examples
    --------
    >>> Step(0.1, every=10).factor([9, 10, 20]).tolist()
    [1.0, 0.1, 0.010000000000000002]
    """

    every: int = option(integer=Range(1))
    gamma: float = option(default=0.1, number=_POSITIVE)

    def _factor(self, t: IntArray) -> FloatArray:
        return _powers(self.gamma, t // self.every)


class Exponential(Schedule):
    r"""Exponential decay; for gamma > 1 the growth of a learning-rate range test.

    .. math:: f(t) = \gamma^t

    Shared by torch ``ExponentialLR`` and, with gamma = rate^(1/n), ``optax.exponential_decay``.

    Parameters
    ----------
    base : float or sequence
        The value at t = 0; its range is that of the hyper-parameter.
    gamma : float
        Factor per step, > 0, dimensionless.

    Raises
    ------
    InvalidValueError
        If a value is not allowed.

    Examples
    --------
    >>> Exponential(0.1, gamma=0.5).factor([0, 1, 10]).tolist()
    [1.0, 0.5, 0.0009765625]
    """

    gamma: float = option(number=_POSITIVE)

    def _factor(self, t: IntArray) -> FloatArray:
        return _powers(self.gamma, t)


class InverseTime(Schedule):
    r"""Decay with the inverse of time, which Robbins and Monro's conditions allow.

    .. math:: f(t) = \frac{1}{1 + k t}

    Shared by Keras ``InverseTimeDecay(decay_steps=1)`` and the ``lr_decay`` of torch
    ``Adagrad``.

    Parameters
    ----------
    base : float or sequence
        The value at t = 0; its range is that of the hyper-parameter.
    decay : float
        Rate k, >= 0, per step.

    Raises
    ------
    InvalidValueError
        If a value is not allowed.

    References
    ----------
    Robbins and Monro (1951), Annals of Mathematical Statistics 22, 400-407.

    Examples
    --------
    >>> InverseTime(0.1, decay=0.5).factor([0, 2, 6]).tolist()
    [1.0, 0.5, 0.25]
    """

    decay: float = option(number=_NOT_NEGATIVE)

    def _factor(self, t: IntArray) -> FloatArray:
        return 1.0 / (1.0 + self.decay * t.astype(np.float64))


class Cosine(Schedule):
    r"""Half a cosine down to the final factor, held from then on.

    .. math:: f(t) = f_T + (1 - f_T) \frac{1 + \cos(\pi \min(t, T) / T)}{2}

    The convention of ``optax.cosine_decay_schedule``, whose ``alpha`` is ``final``.  Torch
    ``CosineAnnealingLR`` is the same up to T and then rises again.

    Parameters
    ----------
    base : float or sequence
        The value at t = 0; its range is that of the hyper-parameter.
    steps : int
        Steps T until the final factor is reached, >= 1.
    final : float
        Final factor, >= 0, dimensionless.

    Raises
    ------
    InvalidValueError
        If a value is not allowed.

    References
    ----------
    Loshchilov and Hutter (2017), SGDR, ICLR, equation 5 without restarts.

    Examples
    --------
    >>> Cosine(0.1, steps=100, final=0.1).factor([0, 50, 100, 1000]).round(12).tolist()
    [1.0, 0.55, 0.1, 0.1]
    """

    steps: int = option(integer=Range(1))
    final: float = option(default=0.0, number=_NOT_NEGATIVE)

    def _factor(self, t: IntArray) -> FloatArray:
        left = np.maximum(self.steps - t, 0) / self.steps
        return self.final + (1.0 - self.final) * _descent(left)


class CosineRestarts(Schedule):
    r"""Cosine decay with warm restarts: SGDR.

    .. math:: f(t) = f_T + (1 - f_T) \frac{1 + \cos(\pi (t - t_i) / T_i)}{2},
              \qquad T_i = T_0 m^i, \quad t_{i+1} = t_i + T_i

    A restart is exactly at its step, for any number of restarts.  Shared by torch
    ``CosineAnnealingWarmRestarts`` (``T_0``, ``T_mult``).

    Parameters
    ----------
    base : float or sequence
        The value after each restart; its range is that of the hyper-parameter.
    period : int
        Steps T_0 until the first restart, >= 1.
    multiplier : int
        Factor m by which each period is longer than the one before, >= 1.
    final : float
        Factor that is approached before each restart, >= 0, dimensionless.

    Raises
    ------
    InvalidValueError
        If a value is not allowed.

    References
    ----------
    Loshchilov and Hutter (2017), SGDR, ICLR, equation 5.

    Examples
    --------
    >>> CosineRestarts(0.1, period=2, multiplier=2).factor(range(7)).round(4).tolist()
    [1.0, 0.5, 1.0, 0.8536, 0.5, 0.1464, 1.0]
    """

    period: int = option(integer=Range(1))
    multiplier: int = option(default=1, integer=Range(1))
    final: float = option(default=0.0, number=_NOT_NEGATIVE)

    def _factor(self, t: IntArray) -> FloatArray:
        if self.multiplier == 1:
            left = (self.period - t % self.period) / self.period
        else:
            starts, lengths = self._periods(int(t.max(initial=0)))
            i = np.searchsorted(starts, t, side="right") - 1
            left = (starts[i] + lengths[i] - t) / lengths[i]
        return self.final + (1.0 - self.final) * _descent(left)

    def _periods(self, last: int) -> tuple[IntArray, IntArray]:
        starts, lengths = [0], [self.period]
        while starts[-1] + lengths[-1] <= last:
            starts.append(starts[-1] + lengths[-1])
            lengths.append(lengths[-1] * self.multiplier)
        return np.array(starts), np.array(lengths)


class Cyclical(Schedule):
    r"""Triangular cycles between two factors.

    .. math:: f(t) = l + (h - l)\, a_c(t)\, s, \qquad
              a_c = \min\left(\frac{r}{u}, \frac{u + d - r}{d}\right), \quad
              r = t \bmod (u + d), \quad c = \lfloor t / (u + d) \rfloor

    with s = 1 (``triangular``), 2^-c (``triangular2``) or gamma^t (``exp_range``).  The
    formulas and names of torch ``CyclicLR``, in factors of ``base`` instead of two learning
    rates: ``CyclicLR(base_lr=lr / 4, max_lr=lr)`` is ``Cyclical(lr, ...)``.  For torch's
    momentum, which goes the other way, give a ``lowest`` above ``highest``.

    Parameters
    ----------
    base : float or sequence
        The value that the factors multiply; its range is that of the hyper-parameter.
    up : int
        Steps u from the lowest to the highest factor, >= 1.
    down : int, optional
        Steps d back, >= 1; as many as `up` if not given.
    lowest, highest : float
        Factors l and h at the ends of the ramps, >= 0, dimensionless.
    mode : {"triangular", "triangular2", "exp_range"}
        How the height of the cycles changes.
    gamma : float
        Factor per step of mode ``exp_range``, > 0, dimensionless.

    Raises
    ------
    InvalidValueError
        If a value is not allowed.
    UnknownNameError
        If there is no such mode.

    References
    ----------
    Smith (2017), Cyclical learning rates for training neural networks, WACV, 464-472; its
    section 3.3 suggests a lowest rate of a third or a quarter of the highest.

    Examples
    --------
    >>> Cyclical(0.1, up=2, lowest=0.5).factor(range(6)).tolist()
    [0.5, 0.75, 1.0, 0.75, 0.5, 0.75]
    """

    up: int = option(integer=Range(1))
    down: int | None = option(default=None)
    lowest: float = option(default=0.25, number=_NOT_NEGATIVE)
    highest: float = option(default=1.0, number=_NOT_NEGATIVE)
    mode: str = option(default="triangular", choices=("triangular", "triangular2", "exp_range"))
    gamma: float = option(default=1.0, number=_POSITIVE)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.down is not None and not (is_integer(self.down) and self.down >= 1):
            raise InvalidValueError("Cyclical.down", self.down, "an integer >= 1, or None for up")

    def _factor(self, t: IntArray) -> FloatArray:
        down = self.up if self.down is None else self.down
        cycle, r = np.divmod(t, self.up + down)
        height = np.minimum(r / self.up, (self.up + down - r) / down)
        if self.mode == "triangular2":
            height = np.ldexp(height, -np.minimum(cycle, 2000).astype(np.int32))
        if self.mode == "exp_range":
            height = height * _powers(self.gamma, t)
        factor: FloatArray = self.lowest + (self.highest - self.lowest) * height
        return factor


class OneCycle(Schedule):
    r"""One rise to the base value and one long fall far below the start.

    .. math:: f(t) = \begin{cases} 1 + (f_0 - 1)\, a(t / p) & t \le p = \pi T - 1 \\
              f_T + (1 - f_T)\, a\left(\frac{t - p}{T - 1 - p}\right) & t > p \end{cases}

    with the descent a(x) = (1 + cos(pi x)) / 2 (``cosine``) or 1 - x (``linear``); held after
    t = T - 1.  The convention of torch ``OneCycleLR`` in two phases:
    ``OneCycleLR(max_lr, total_steps, pct_start, div_factor, final_div_factor)`` has peak =
    pct_start, start = 1 / div_factor, final = start / final_div_factor.  Optax
    ``cosine_onecycle_schedule`` peaks at int(peak T) and ends at T.  For torch's momentum,
    which goes the other way, take the lowest momentum as base and factors above 1.

    Parameters
    ----------
    base : float or sequence
        The value at the peak; its range is that of the hyper-parameter.
    steps : int
        Steps T of the whole cycle, >= 3.
    peak : float
        Part pi of the steps that is spent rising, in (1 / steps, 1).
    start, final : float
        Factors f_0 at t = 0 and f_T at t = T - 1, >= 0, dimensionless.
    anneal : {"cosine", "linear"}
        The shape of both phases.

    Raises
    ------
    InvalidValueError
        If a value is not allowed.
    UnknownNameError
        If there is no such shape.

    References
    ----------
    Smith and Topin (2019), Super-convergence, SPIE 11006, 1100612.

    Examples
    --------
    >>> OneCycle(0.1, steps=11, peak=0.5, anneal="linear").factor([0, 4, 5, 10]).round(6).tolist()
    [0.04, 0.893333, 0.909091, 4e-06]
    """

    steps: int = option(integer=Range(3))
    peak: float = option(default=0.3, number=Range(0.0, 1.0, True, True))
    start: float = option(default=0.04, number=_NOT_NEGATIVE)
    final: float = option(default=4e-6, number=_NOT_NEGATIVE)
    anneal: str = option(default="cosine", choices=("cosine", "linear"))

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1.0 < self.peak * self.steps < self.steps:
            raise InvalidValueError(
                "OneCycle.peak",
                self.peak,
                f"a number in (1 / steps, 1) = ({1 / self.steps:g}, 1)",
                "the peak is reached at step peak * steps - 1, which must come after the start",
            )

    def _factor(self, t: IntArray) -> FloatArray:
        peak, last = self.peak * self.steps - 1.0, self.steps - 1.0
        rising = t <= peak
        left = np.where(rising, (peak - t) / peak, (last - np.minimum(t, last)) / (last - peak))
        height = _descent(left) if self.anneal == "cosine" else left
        factor: FloatArray = np.where(
            rising, 1.0 + (self.start - 1.0) * height, self.final + (1.0 - self.final) * height
        )
        return factor


class LinearWarmup(Schedule):
    r"""A linear rise to the base value; after it, the base value or another schedule.

    .. math:: f(t) = \begin{cases} f_0 + (1 - f_0)\, t / n & t < n \\ h(t - n) & t \ge n \end{cases}

    with h the factor of the schedule that follows, 1 without one.  Shared by torch
    ``LinearLR`` (whose default start is 1/3) and ``optax.warmup_constant_schedule``;
    ``optax.warmup_cosine_decay_schedule`` is a warm-up of n steps and then a
    ``Cosine`` of ``decay_steps - n``, for its ``decay_steps`` are the total.

    Parameters
    ----------
    base : float or sequence
        The value after the warm-up; its range is that of the hyper-parameter.
    steps : int
        Steps n of the warm-up, >= 1.
    start : float
        Factor f_0 at t = 0, >= 0, dimensionless.
    then : Schedule, optional
        What follows, with the same base.

    Raises
    ------
    InvalidValueError
        If a value is not allowed, or `then` has another base.

    References
    ----------
    Goyal et al. (2017), Accurate, large minibatch SGD, arXiv:1706.02677, section 2.2.

    Examples
    --------
    >>> rate = LinearWarmup(0.1, steps=4, then=Cosine(0.1, steps=2))
    >>> rate.factor(range(8)).round(12).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0, 0.5, 0.0, 0.0]
    """

    steps: int = option(integer=Range(1))
    start: float = option(default=0.0, number=_NOT_NEGATIVE)
    then: Schedule | None = option(default=None, part="schedule")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.then is not None and self.then.base != self.base:
            raise InvalidValueError(
                "LinearWarmup.then", self.then, f"a schedule with the same base {self.base!r}"
            )

    def _factor(self, t: IntArray) -> FloatArray:
        rise = np.minimum(t, self.steps) / self.steps
        factor: FloatArray = self.start + (1.0 - self.start) * rise
        after = t >= self.steps
        factor[after] = 1.0 if self.then is None else self.then._factor(t[after] - self.steps)
        return factor


class Function(Schedule):
    """Any Python function of the step; torch's ``LambdaLR``.

    It is called once for each step, in Python.  It must be a pure function of t, or the
    result is no longer reproducible, and it cannot be written to a study file.

    Parameters
    ----------
    base : float or sequence
        The value that the function's result multiplies.
    function : callable
        Called with t = 0, 1, ...; returns a finite factor, dimensionless.

    Raises
    ------
    InvalidValueError
        If `function` cannot be called or, later, if what it returns is no finite number.

    Examples
    --------
    >>> Function(0.1, function=lambda t: 1 / (1 + t) ** 0.5).factor([0, 3]).tolist()
    [1.0, 0.5]
    """

    function: Callable[[int], float] = option()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not callable(self.function):
            raise InvalidValueError("Function.function", self.function, "a function of the step t")

    def to_table(self) -> dict[str, Any]:
        """Refuse: a function is no TOML value.

        Raises
        ------
        InvalidValueError
            Always.
        """
        raise InvalidValueError(
            "Function.function",
            self.function,
            "a schedule made of numbers where it is written to TOML",
            "use another of the schedules, or keep the study in Python",
        )

    def _factor(self, t: IntArray) -> FloatArray:
        return np.array([self._call(step) for step in t.tolist()], dtype=float)

    def _call(self, step: int) -> float:
        value = self.function(step)
        try:
            return float(value)
        except (TypeError, ValueError):
            raise InvalidValueError(
                "Function.function", value, f"a number, here returned for t = {step}"
            ) from None
