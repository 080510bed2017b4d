"""Elementary functions for lane loops: branch-free, vectorised by LLVM, the same bits anywhere.

A kernel's inner loop runs over lanes.  A call of the C library in it stops LLVM from using
SIMD instructions, and its bits differ from platform to platform.  The functions below are
sums, products, explicit fused multiply-adds, bit operations and selections, so the loop
stays vectorised, and each lane gets the same bits for any vector width and any position.

Method: reduce the argument to a small interval, evaluate a polynomial there, put the result
back together.  Where a rounding would cost much accuracy, its error is computed too and added
last.  The polynomials were computed for this package: minimax approximations in the weighted
relative error by the exchange algorithm (E. Remez, 1934) in 160-bit arithmetic, coefficients
then rounded to double; the tests compute their errors again.

Accuracy, measured against mpmath over the stated ranges (ulp = unit in the last place):

============  ==================  ========  =============================================
function      range               error     outside and at special values
============  ==================  ========  =============================================
exp           all                 0.85 ulp  inf above 709.78; underflows gradually
log           all                 1 ulp     -inf at 0, NaN below; subnormals are right
sin, cos      abs(x) <= 2**45     0.85 ulp  NaN beyond: it marks a lane as diverged
sincos_turns  abs(x) <= 2**45     0.85 ulp  NaN beyond
tanh          all                 1.8 ulp   1 at inf, -1 at -inf
sigmoid       all                 1.6 ulp   1 at inf, 0 at -inf; underflows gradually
============  ==================  ========  =============================================

NaN gives NaN.  ``np.sqrt``, ``abs``, ``np.minimum``, ``/`` are correctly rounded hardware
instructions already and are used as they are.  Under ``NUMBA_DISABLE_JIT=1`` everything runs
as plain Python, and gives the same bits.

Examples
--------
>>> exp(1.0)
2.718281828459045
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from fastdescent.contracts import JIT, lane_function

__all__ = [
    "copysign",
    "cos",
    "exp",
    "float_from_bits",
    "float_to_bits",
    "fma",
    "log",
    "rint",
    "sigmoid",
    "sin",
    "sincos",
    "sincos_turns",
    "tanh",
]

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _exact_fma(a: float, b: float, c: float) -> float:
    """Compute a * b + c rounded once, in integers: the twin of the instruction in plain Python."""
    rounded = float(a) * float(b) + float(c)
    if not (math.isfinite(a) and math.isfinite(b) and math.isfinite(c)):
        return np.float64(rounded)
    (p, u), (q, v), (r, w) = (float(x).as_integer_ratio() for x in (a, b, c))
    numerator = p * q * w + r * u * v
    if numerator == 0:  # an exact zero takes its sign from IEEE addition
        return np.float64(rounded)
    try:
        return np.float64(numerator / (u * v * w))  # Python rounds int / int correctly
    except OverflowError:
        return np.float64(math.inf if numerator > 0 else -math.inf)


def _packed_bits(x: float) -> np.uint64:
    return np.uint64(struct.unpack("<Q", struct.pack("<d", x))[0])


def _unpacked_bits(bits: np.uint64) -> float:
    return np.float64(struct.unpack("<d", struct.pack("<Q", int(bits)))[0])


_fma: Callable[[float, float, float], float] = _exact_fma
_rint: Callable[[float], float] = np.rint
_copysign: Callable[[float, float], float] = np.copysign
_to_bits: Callable[[float], np.uint64] = _packed_bits
_from_bits: Callable[[np.uint64], float] = _unpacked_bits

if JIT:
    from llvmlite import ir
    from numba import types
    from numba.extending import intrinsic

    _DOUBLE, _WORD = ir.DoubleType(), ir.IntType(64)

    def _llvm(name: str, arity: int) -> Any:
        """Signature and code of the LLVM intrinsic `name`, a function of `arity` doubles."""

        def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            kind = ir.FunctionType(_DOUBLE, (_DOUBLE,) * arity)
            function = builder.module.declare_intrinsic(name, (_DOUBLE,), kind)
            return builder.call(function, arguments)

        return types.float64(*(types.float64,) * arity), lower

    def _bitcast(source: Any, target: Any, kind: Any) -> Any:
        """Signature and code of a reinterpretation of the bits of a number."""
        return target(source), lambda _, builder, __, given: builder.bitcast(given[0], kind)

    _fma = intrinsic(lambda typing, a, b, c: _llvm("llvm.fma", 3))
    _rint = intrinsic(lambda typing, x: _llvm("llvm.rint", 1))
    _copysign = intrinsic(lambda typing, x, sign: _llvm("llvm.copysign", 2))
    _to_bits = intrinsic(lambda typing, x: _bitcast(types.float64, types.uint64, _WORD))
    _from_bits = intrinsic(lambda typing, bits: _bitcast(types.uint64, types.float64, _DOUBLE))


def _lane(function: _Function) -> _Function:
    """`lane_function`, silent about overflow and the like also where the JIT is off."""
    return lane_function(function) if JIT else np.errstate(all="ignore")(function)


# Adding 1.5 * 2**52 rounds to an integer and leaves that integer in the low bits.  Unlike a
# conversion to int64 it vectorises without AVX-512.
_MAGIC = 1.5 * 2.0**52
_LOG2_E = 1.4426950408889634
_LN2 = 0.6931471805599453
_LN2_REST = 2.3190468138462996e-17  # log(2) - _LN2
_LN2_SHORT = 0.6931471805592082  # 40 bits of log(2): times an exponent it is exact
_LN2_SHORT_REST = 7.371002565167799e-13
_PI_HALVES = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591691e-33)
_PI_1, _PI_2, _PI_3 = _PI_HALVES  # their sum is pi / 2 to 160 bits
_TWO_PI = 6.283185307179586
_TWO_PI_REST = 2.4492935982947064e-16
_TWO_BY_PI = 0.6366197723675814
_TRIGONOMETRIC_LIMIT = 2.0**45

_U1, _U2, _U52, _U62 = (np.uint64(n) for n in (1, 2, 52, 62))
_FRACTION_BITS = np.uint64(0x000FFFFFFFFFFFFF)
_BITS_OF_2_TO_52 = np.uint64(0x4330000000000000)
_ROOT_HALF = np.uint64(0x3FE6A09E667F3BCD)  # the bits of sqrt(1 / 2)
_ONE_LESS_ROOT_HALF = np.uint64(0x3FF0000000000000 - 0x3FE6A09E667F3BCD)

# (exp(r) - 1 - r) / r**2 for |r| <= log(2) / 2; weighted error below 2**-60.
_EXP = (
    0.5,
    0.16666666666666677,
    0.04166666666666673,
    0.008333333333321476,
    0.0013888888888852282,
    0.00019841269886559986,
    2.4801587392758767e-05,
    2.7557243735304674e-06,
    2.75572123904732e-07,
    2.5109213996602037e-08,
    2.0934680320342984e-09,
)
# (sin(r) - r) / r**3 in z = r**2 for |r| <= 1.01 pi / 4; weighted error below 2**-56.
_SIN = (
    -0.16666666666666627,
    0.008333333333321286,
    -0.00019841269828869469,
    2.755731335567781e-06,
    -2.505070397775454e-08,
    1.5893580022206798e-10,
)
# (cos(r) - 1 + z / 2) / z**2, likewise; weighted error below 2**-59.
_COS = (
    0.04166666666666659,
    -0.00138888888888726,
    2.480158728849313e-05,
    -2.7557314056873464e-07,
    2.0875681919756734e-09,
    -1.1357450728880685e-11,
)
# (2 artanh(s) - 2 s) / s**3 in z = s**2 for |s| <= 0.1716; weighted error below 2**-58.
_LOG = (
    0.6666666666666734,
    0.39999999999413927,
    0.2857142874258461,
    0.22222198550648625,
    0.1818356559776107,
    0.15314015768052025,
    0.14796318025250213,
)


@_lane
def fma(a: float, b: float, c: float) -> float:
    """Fused multiply-add: ``a * b + c`` rounded once.

    Parameters
    ----------
    a, b, c : float
        Any values.

    Returns
    -------
    float

    Notes
    -----
    One instruction where the processor has it (x86 since 2013, all ARM64); LLVM never fuses
    or splits one by itself, so the bits are the same everywhere.

    Examples
    --------
    >>> fma(0.1, 10.0, -1.0)
    5.551115123125783e-17
    """
    return _fma(a, b, c)


@_lane
def rint(x: float) -> float:
    """Round to the nearest integer, halves to even, keeping the sign of zero.

    Examples
    --------
    >>> rint(2.5), rint(-0.7)
    (2.0, -1.0)
    """
    return _rint(x)


@_lane
def copysign(x: float, sign: float) -> float:
    """Give ``abs(x)`` with the sign bit of `sign`.

    Examples
    --------
    >>> copysign(3.0, -0.0)
    -3.0
    """
    return _copysign(x, sign)


@_lane
def float_to_bits(x: float) -> np.uint64:
    """Give the 64 bits of a double as an unsigned integer.

    Examples
    --------
    >>> hex(float_to_bits(1.0))
    '0x3ff0000000000000'
    """
    return _to_bits(x)


@_lane
def float_from_bits(bits: np.uint64) -> float:
    """Give the double that has these 64 bits.

    Examples
    --------
    >>> float_from_bits(np.uint64(0x4008000000000000))
    3.0
    """
    return _from_bits(bits)


@_lane
def _exp_parts(x: float, bias: float) -> tuple[np.uint64, float, float, float]:
    """Write exp(x) = 2**n (1 + r + rest + r**2 q); the first result holds n + bias, low bits.

    ``x - n * _LN2`` is exact by the fused multiply-add: the difference is a multiple of
    2**-53 below 1, or x itself.  `rest` is what rounding r loses.  The polynomial is summed
    in two halves, since one long chain of dependent instructions would be waited for.
    """
    shifted = _fma(x, _LOG2_E, _MAGIC + bias)
    n = shifted - (_MAGIC + bias)
    exact = _fma(n, -_LN2, x)
    r = _fma(n, -_LN2_REST, exact)
    rest = _fma(n, -_LN2_REST, exact - r)
    z = r * r
    even = _fma(_EXP[10], z, _EXP[8])
    even = _fma(even, z, _EXP[6])
    even = _fma(even, z, _EXP[4])
    even = _fma(even, z, _EXP[2])
    even = _fma(even, z, _EXP[0])
    odd = _fma(_EXP[9], z, _EXP[7])
    odd = _fma(odd, z, _EXP[5])
    odd = _fma(odd, z, _EXP[3])
    odd = _fma(odd, z, _EXP[1])
    return _to_bits(shifted), r, _fma(odd, r, even), rest


@_lane
def exp(x: float) -> float:
    """Exponential function.

    ``exp(x) = 2**n * exp(x - n log 2)``, n the integer nearest to ``x / log 2``.

    Parameters
    ----------
    x : float
        Any value.

    Returns
    -------
    float
        exp(x) within 0.85 ulp; inf above 709.78, subnormal below -708.4, 0 below -745.13.

    Notes
    -----
    2**n is multiplied in two halves, so that results below the normal range are rounded
    once and n may exceed the exponents of normal numbers.

    Examples
    --------
    >>> exp(1.0)
    2.718281828459045
    """
    x = 710.0 if x > 710.0 else x  # a NaN passes both comparisons
    x = -746.0 if x < -746.0 else x
    bits, r, q, _ = _exp_parts(x, 2046.0)
    high = 1.0 + r
    p = high + _fma(r * r, q, (1.0 - high) + r)
    first = (bits >> _U1) << _U52  # 2**(n // 2): the bias of each half is 1023
    second = (bits << _U52) - first
    return p * _from_bits(first) * _from_bits(second)


@_lane
def tanh(x: float) -> float:
    """Hyperbolic tangent.

    ``tanh(x) = (exp(2 x) - 1) / (exp(2 x) + 1)``, with ``exp(2 x) - 1`` summed so that
    nothing cancels for small x.

    Parameters
    ----------
    x : float
        Any value.

    Returns
    -------
    float
        tanh(x) within 1.8 ulp; odd to the bit, +-1 above 19.1.

    Examples
    --------
    >>> round(tanh(0.5), 15)
    0.46211715726001
    """
    y = 2.0 * abs(x)
    y = 44.0 if y > 44.0 else y  # beyond, the quotient is 1
    bits, r, q, rest = _exp_parts(y, 1023.0)
    scale = _from_bits(bits << _U52)
    numerator = _fma(scale, r + _fma(r * r, q, rest), scale - 1.0)
    denominator = numerator + 2.0
    lost = (2.0 - denominator) + numerator
    return _copysign(_quotient(numerator, denominator, lost), x)


@_lane
def _quotient(numerator: float, denominator: float, lost: float) -> float:
    """Divide by ``denominator + lost``: by the denominator, then one step of Newton's method."""
    inverse = 1.0 / denominator
    quotient = numerator * inverse
    rest = _fma(-quotient, lost, _fma(-quotient, denominator, numerator))
    return _fma(rest, inverse, quotient)


@_lane
def sigmoid(x: float) -> float:
    """Logistic function.

    ``sigmoid(x) = 1 / (1 + exp(-x))``, for negative x ``exp(x) / (1 + exp(x))``.

    Parameters
    ----------
    x : float
        Any value.

    Returns
    -------
    float
        sigmoid(x) within 1.6 ulp, in [0, 1].

    Examples
    --------
    >>> sigmoid(-1.0)
    0.2689414213699951
    """
    e = exp(-abs(x))
    numerator = e if x < 0.0 else 1.0
    denominator = 1.0 + e
    return _quotient(numerator, denominator, (1.0 - denominator) + e)


@_lane
def log(x: float) -> float:
    """Natural logarithm.

    ``log(2**k m) = k log 2 + 2 artanh(s)``, m in [sqrt(1/2), sqrt(2)), ``s = (m-1) / (m+1)``.

    Parameters
    ----------
    x : float
        Any value.

    Returns
    -------
    float
        log(x) within 1 ulp for positive x, subnormal ones included; -inf at 0, NaN below.

    Examples
    --------
    >>> log(2.0)
    0.6931471805599453
    """
    subnormal = x < 2.2250738585072014e-308
    normal = x * 18014398509481984.0 if subnormal else x  # times 2**54
    result = _log_of_normal(normal, 1077.0 if subnormal else 1023.0)
    result = result if x < np.inf else x  # inf and NaN
    result = -np.inf if x == 0.0 else result
    return np.nan if x < 0.0 else result


@_lane
def _log_of_normal(x: float, bias: float) -> float:
    """log(x) + (1023 - bias) log(2) of a positive normal number.

    ``2 s = f - s f`` with f = m - 1, which is exact, leaves rounding errors only in terms
    smaller than the result.
    """
    shifted = _to_bits(x) + _ONE_LESS_ROOT_HALF  # so the exponent counts from sqrt(1/2)
    k = _from_bits((shifted >> _U52) | _BITS_OF_2_TO_52) - (2.0**52 + bias)
    f = _from_bits((shifted & _FRACTION_BITS) + _ROOT_HALF) - 1.0
    s = f / (f + 2.0)
    z = s * s
    q = _LOG[6]
    q = _fma(q, z, _LOG[5])
    q = _fma(q, z, _LOG[4])
    q = _fma(q, z, _LOG[3])
    q = _fma(q, z, _LOG[2])
    q = _fma(q, z, _LOG[1])
    q = _fma(q, z, _LOG[0])
    exact = k * _LN2_SHORT
    high = exact + f
    rest = (exact - high) + f
    return high + (rest + _fma(k, _LN2_SHORT_REST, -s * _fma(-z, q, f)))


@_lane
def _quadrant(h: float, low: float, bits: np.uint64) -> tuple[float, float]:
    """Sine and cosine of ``h + low + n pi / 2`` for |h| <= 1.01 pi / 4, n in `bits`."""
    z = h * h
    p = _SIN[5]
    p = _fma(p, z, _SIN[4])
    p = _fma(p, z, _SIN[3])
    p = _fma(p, z, _SIN[2])
    p = _fma(p, z, _SIN[1])
    p = _fma(p, z, _SIN[0])
    q = _COS[5]
    q = _fma(q, z, _COS[4])
    q = _fma(q, z, _COS[3])
    q = _fma(q, z, _COS[2])
    q = _fma(q, z, _COS[1])
    q = _fma(q, z, _COS[0])
    half = 0.5 * z
    flat = 1.0 - half
    s = h + _fma(h * z, p, low * flat)
    c = flat + (((1.0 - flat) - half) + _fma(z * z, q, -h * low))
    odd = (bits & _U1) != 0
    s_bits = _to_bits(c if odd else s)
    c_bits = _to_bits(s if odd else c)
    return (
        _from_bits(s_bits ^ ((bits & _U2) << _U62)),
        _from_bits(c_bits ^ (((bits + _U1) & _U2) << _U62)),
    )


@_lane
def sincos(x: float) -> tuple[float, float]:
    """Sine and cosine of the same angle, for little more than the price of one.

    ``x = n pi / 2 + r`` with pi / 2 in three doubles (W. J. Cody and W. Waite, 1980), the
    remainder r in two.

    Parameters
    ----------
    x : float
        Angle in radians, abs(x) <= 2**45.

    Returns
    -------
    sine, cosine : float
        Within 0.85 ulp; NaN for abs(x) > 2**45, where a double no longer resolves the angle
        to better than half a degree.

    Examples
    --------
    >>> sincos(1.0)
    (0.8414709848078965, 0.5403023058681398)
    """
    shifted = _fma(x, _TWO_BY_PI, _MAGIC)
    n = shifted - _MAGIC
    exact = _fma(-n, _PI_1, x)  # a multiple of 2**-52 below 1, or x itself
    product = n * _PI_2
    h = exact - product
    back = h - exact  # from here on: what rounding h and the product lost
    lost = (exact - (h - back)) - (product + back)
    low = _fma(-n, _PI_3, lost - _fma(n, _PI_2, -product))
    s, c = _quadrant(h, low, _to_bits(shifted))
    s = x if x == 0.0 else s
    inside = abs(x) <= _TRIGONOMETRIC_LIMIT
    return (s if inside else np.nan), (c if inside else np.nan)


@_lane
def sincos_turns(x: float) -> tuple[float, float]:
    """sin(2 pi x) and cos(2 pi x), the reduction exact because it is done on x.

    Cheaper and more accurate than ``sincos(2 * pi * x)``: zeros lie at the multiples of 1/2.

    Parameters
    ----------
    x : float
        Angle in turns, abs(x) <= 2**45.

    Returns
    -------
    sine, cosine : float
        Within 0.85 ulp; NaN for abs(x) > 2**45.

    Examples
    --------
    >>> sincos_turns(1000.0)
    (0.0, 1.0)
    """
    shifted = _fma(4.0, x, _MAGIC)
    r = _fma(-0.25, shifted - _MAGIC, x)
    h = r * _TWO_PI
    low = _fma(r, _TWO_PI_REST, _fma(r, _TWO_PI, -h))
    s, c = _quadrant(h, low, _to_bits(shifted))
    s = x if x == 0.0 else s
    inside = abs(x) <= _TRIGONOMETRIC_LIMIT
    return (s if inside else np.nan), (c if inside else np.nan)


@_lane
def sin(x: float) -> float:
    """Sine; see `sincos`.

    Examples
    --------
    >>> sin(1.0)
    0.8414709848078965
    """
    return sincos(x)[0]


@_lane
def cos(x: float) -> float:
    """Cosine; see `sincos`.

    Examples
    --------
    >>> cos(1.0)
    0.5403023058681398
    """
    return sincos(x)[1]
