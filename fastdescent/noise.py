r"""Gradient noise: what a rule sees instead of the exact gradient.

The noise of a trajectory depends on the study seed, its start, its replicate and the step
alone, not on the rule or its hyper-parameters: two rules see the same random numbers.
Stopping tests, targets and records see the exact loss and gradient.

Additive noise is :math:`g + \sigma \xi`, relative noise :math:`g + \sigma \|g\| \xi` with the
Euclidean norm of the exact gradient: it vanishes at critical points.  The coordinates of
:math:`\xi` are independent.  A `scale` is the standard deviation of one coordinate for
`Gaussian`, `Uniform` and `Rademacher`, so they differ in shape only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from fastdescent.contracts import Kernel, Row, Rows, Streams, kernel, lane_function
from fastdescent.errors import InvalidValueError
from fastdescent.lanemath import exp, log, sincos_turns
from fastdescent.parts import Part, Range, Values, is_number, option, parameter
from fastdescent.scratch import norms, stack_row
from fastdescent.streams import NOISE, fill_normal, fill_uniform

__all__ = ["Gaussian", "Noise", "Rademacher", "RareFeature", "StudentT", "Uniform"]

_MODES = ("additive", "relative")
_ROOT_12 = math.sqrt(12.0)


class Noise(Part):
    """Base class of gradient noise.

    A noise is a kernel of the family ``perturb`` per mode, and a class with its parameters in
    the order of the kernel's ``params`` rows.
    """

    kind: ClassVar[str] = "noise"
    #: mode -> kernel; the default mode first.
    kernels: ClassVar[dict[str, Kernel]]

    def perturb_kernel(self) -> Kernel:
        """Return the kernel of this noise's mode."""
        return self.kernels[getattr(self, "mode", next(iter(self.kernels)))]

    def require_dim(self, dim: int) -> None:
        """Check that the noise fits a landscape of `dim` dimensions.

        Raises
        ------
        InvalidValueError
            If it holds values for another number of coordinates.
        """


@lane_function
def _relative(grad: Rows, dim: int, scale: Row, size: Row) -> None:
    """Fill `size` with the scale times the norm of the gradient."""
    norms(grad, dim, size)
    for lane in range(size.shape[0]):
        size[lane] *= scale[lane]


@lane_function
def _add(g: Row, size: Row, xi: Row) -> None:
    for lane in range(g.shape[0]):
        g[lane] += size[lane] * xi[lane]


# What the kernels below share: noise of a given size per lane.  A block of random numbers
# serves two coordinates, the last one half used if their number is odd.


@lane_function
def _add_normals(
    grad: Rows, dim: int, size: Row, streams: Streams, step: int, a: Row, b: Row
) -> None:
    for i in range(0, dim, 2):
        fill_normal(a, b, streams, step, i // 2, NOISE)
        _add(grad[i], size, a)
        if i + 1 < dim:
            _add(grad[i + 1], size, b)


@kernel("perturb")
def gaussian(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Add normals."""
    dim, lanes = theta.shape
    a, b = stack_row(lanes), stack_row(lanes)
    _add_normals(grad, dim, params[0], streams, step, a, b)


@kernel("perturb")
def relative_gaussian(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Add normals times the gradient's norm."""
    dim, lanes = theta.shape
    a, b, size = stack_row(lanes), stack_row(lanes), stack_row(lanes)
    _relative(grad, dim, params[0], size)
    _add_normals(grad, dim, size, streams, step, a, b)


class Gaussian(Noise):
    r"""Gaussian gradient noise.

    .. math:: g_i \leftarrow g_i + \sigma \xi_i, \qquad \xi_i \sim \mathcal N(0, 1)

    In mode ``relative`` sigma is multiplied by ||g||.

    Parameters
    ----------
    scale : float or sequence
        Standard deviation sigma of each coordinate, >= 0, in units of the gradient;
        dimensionless in mode ``relative``.
    mode : {"additive", "relative"}
        Whether the noise follows the gradient's size.

    Raises
    ------
    InvalidValueError
        If a value is not allowed.
    UnknownNameError
        If there is no such mode.

    References
    ----------
    Box and Muller (1958), Annals of Mathematical Statistics 29, 610-611.

    Examples
    --------
    >>> from fastdescent.streams import make_streams
    >>> gradient, theta = np.zeros((2, 1)), np.zeros((2, 1))
    >>> noise = Gaussian(scale=0.1).perturb_kernel()
    >>> noise(gradient, theta, np.array([[0.1]]), make_streams(7, [0]), 1)
    >>> gradient.ravel().round(6).tolist()
    [0.179406, -0.042571]
    """

    kernels: ClassVar = {"additive": gaussian, "relative": relative_gaussian}

    scale: Values = parameter(lower=0.0)
    mode: str = option(default="additive", choices=_MODES)


@lane_function
def _add_student(
    grad: Rows, dim: int, size: Row, nu: Row, streams: Streams, step: int, a: Row, b: Row
) -> None:
    for i in range(dim):
        fill_uniform(a, b, streams, step, i, NOISE)
        for lane in range(a.shape[0]):
            x = -2.0 / nu[lane] * log(a[lane])
            # u^(-2 / nu) - 1 = exp(x) - 1, where it would cancel by its series
            small = x * (1.0 + 0.5 * x * (1.0 + x / 3.0))
            a[lane] = np.sqrt(nu[lane] * (small if x < 1e-5 else exp(x) - 1.0))
        g = grad[i]
        for lane in range(a.shape[0]):
            _, cosine = sincos_turns(b[lane])
            g[lane] += size[lane] * (a[lane] * cosine)


@kernel("perturb")
def student(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Add Student's t."""
    dim, lanes = theta.shape
    a, b = stack_row(lanes), stack_row(lanes)
    _add_student(grad, dim, params[0], params[1], streams, step, a, b)


@kernel("perturb")
def relative_student(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Add Student's t times the gradient's norm."""
    dim, lanes = theta.shape
    a, b, size = stack_row(lanes), stack_row(lanes), stack_row(lanes)
    _relative(grad, dim, params[0], size)
    _add_student(grad, dim, size, params[1], streams, step, a, b)


class StudentT(Noise):
    r"""Heavy-tailed gradient noise: Student's t.

    .. math:: g_i \leftarrow g_i + \sigma \xi_i, \qquad
              \xi_i = \sqrt{\nu (u^{-2 / \nu} - 1)} \cos(2 \pi v) \sim t_\nu

    with u, v uniform in (0, 1).  Its tails fall like a power: P(|xi| > x) ~ x^-nu, variance
    nu / (nu - 2) for nu > 2 and infinite up to there; nu = 1 is Cauchy's distribution, and
    nu = 1e6 cannot be told from a normal.  In mode ``relative`` sigma is multiplied by ||g||.

    Parameters
    ----------
    scale : float or sequence
        Scale sigma, >= 0, in units of the gradient; *not* the standard deviation, which is
        sigma sqrt(nu / (nu - 2)).  Dimensionless in mode ``relative``.
    degrees_of_freedom : float or sequence
        Nu, >= 0.2; below, a draw could be larger than any double.  Dimensionless.
    mode : {"additive", "relative"}
        Whether the noise follows the gradient's size.

    Raises
    ------
    InvalidValueError
        If a value is not allowed.
    UnknownNameError
        If there is no such mode.

    References
    ----------
    Bailey (1994), Polar generation of random variates with the t-distribution, Mathematics of
    Computation 62, 779-781; heavy tails of stochastic gradients: Simsekli, Sagun and
    Gurbuzbalaban (2019), ICML, PMLR 97, 5827-5837.

    Examples
    --------
    >>> from fastdescent.streams import make_streams
    >>> gradient, theta = np.zeros((2, 1)), np.zeros((2, 1))
    >>> noise = StudentT(scale=0.1, degrees_of_freedom=1.5).perturb_kernel()
    >>> noise(gradient, theta, np.array([[0.1], [1.5]]), make_streams(7, [0]), 1)
    >>> gradient.ravel().round(6).tolist()
    [0.350406, -0.240164]
    """

    kernels: ClassVar = {"additive": student, "relative": relative_student}

    scale: Values = parameter(lower=0.0)
    degrees_of_freedom: Values = parameter(lower=0.2)
    mode: str = option(default="additive", choices=_MODES)


@lane_function
def _add_uniforms(
    grad: Rows, dim: int, size: Row, streams: Streams, step: int, a: Row, b: Row
) -> None:
    for i in range(0, dim, 2):
        fill_uniform(a, b, streams, step, i // 2, NOISE)
        for lane in range(a.shape[0]):
            a[lane] = _ROOT_12 * (a[lane] - 0.5)
            b[lane] = _ROOT_12 * (b[lane] - 0.5)
        _add(grad[i], size, a)
        if i + 1 < dim:
            _add(grad[i + 1], size, b)


@kernel("perturb")
def uniform(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Add uniforms of mean 0 and variance 1."""
    dim, lanes = theta.shape
    a, b = stack_row(lanes), stack_row(lanes)
    _add_uniforms(grad, dim, params[0], streams, step, a, b)


@kernel("perturb")
def relative_uniform(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Add uniforms times the gradient's norm."""
    dim, lanes = theta.shape
    a, b, size = stack_row(lanes), stack_row(lanes), stack_row(lanes)
    _relative(grad, dim, params[0], size)
    _add_uniforms(grad, dim, size, streams, step, a, b)


class Uniform(Noise):
    r"""Uniform gradient noise: bounded.

    .. math:: g_i \leftarrow g_i + \sigma \xi_i, \qquad
              \xi_i \sim \mathrm{Uniform}(-\sqrt 3, \sqrt 3)

    In mode ``relative`` sigma is multiplied by ||g||.

    Parameters
    ----------
    scale : float or sequence
        Standard deviation sigma of each coordinate, >= 0, in units of the gradient; the
        half width is sigma sqrt(3).  Dimensionless in mode ``relative``.
    mode : {"additive", "relative"}
        Whether the noise follows the gradient's size.

    Raises
    ------
    InvalidValueError
        If a value is not allowed.
    UnknownNameError
        If there is no such mode.

    Examples
    --------
    >>> from fastdescent.streams import make_streams
    >>> gradient, theta = np.zeros((2, 1)), np.zeros((2, 1))
    >>> noise = Uniform(scale=0.1).perturb_kernel()
    >>> noise(gradient, theta, np.array([[0.1]]), make_streams(7, [0]), 1)
    >>> gradient.ravel().round(6).tolist()
    [-0.109918, 0.16036]
    """

    kernels: ClassVar = {"additive": uniform, "relative": relative_uniform}

    scale: Values = parameter(lower=0.0)
    mode: str = option(default="additive", choices=_MODES)


@lane_function
def _add_signs(
    grad: Rows, dim: int, size: Row, streams: Streams, step: int, a: Row, b: Row
) -> None:
    for i in range(0, dim, 2):
        fill_uniform(a, b, streams, step, i // 2, NOISE)
        for lane in range(a.shape[0]):
            a[lane] = 1.0 if a[lane] < 0.5 else -1.0
            b[lane] = 1.0 if b[lane] < 0.5 else -1.0
        _add(grad[i], size, a)
        if i + 1 < dim:
            _add(grad[i + 1], size, b)


@kernel("perturb")
def rademacher(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Add random signs."""
    dim, lanes = theta.shape
    a, b = stack_row(lanes), stack_row(lanes)
    _add_signs(grad, dim, params[0], streams, step, a, b)


@kernel("perturb")
def relative_rademacher(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Add random signs times the gradient's norm."""
    dim, lanes = theta.shape
    a, b, size = stack_row(lanes), stack_row(lanes), stack_row(lanes)
    _relative(grad, dim, params[0], size)
    _add_signs(grad, dim, size, streams, step, a, b)


class Rademacher(Noise):
    r"""Gradient noise of a fixed size and a random sign.

    .. math:: g_i \leftarrow g_i + \sigma \xi_i, \qquad P(\xi_i = 1) = P(\xi_i = -1) = 1/2

    The noise of least kurtosis.  In mode ``relative`` sigma is multiplied by ||g||.

    Parameters
    ----------
    scale : float or sequence
        Size and standard deviation sigma of each coordinate, >= 0, in units of the gradient;
        dimensionless in mode ``relative``.
    mode : {"additive", "relative"}
        Whether the noise follows the gradient's size.

    Raises
    ------
    InvalidValueError
        If a value is not allowed.
    UnknownNameError
        If there is no such mode.

    Examples
    --------
    >>> from fastdescent.streams import make_streams
    >>> gradient, theta = np.zeros((2, 1)), np.zeros((2, 1))
    >>> noise = Rademacher(scale=0.1).perturb_kernel()
    >>> noise(gradient, theta, np.array([[0.1]]), make_streams(7, [0]), 1)
    >>> gradient.ravel().tolist()
    [0.1, -0.1]
    """

    kernels: ClassVar = {"additive": rademacher, "relative": relative_rademacher}

    scale: Values = parameter(lower=0.0)
    mode: str = option(default="additive", choices=_MODES)


@lane_function
def _keep(g: Row, probability: Row, u: Row) -> None:
    for lane in range(g.shape[0]):
        g[lane] = g[lane] if u[lane] < probability[lane] else 0.0


@lane_function
def _keep_unbiased(g: Row, probability: Row, u: Row) -> None:
    for lane in range(g.shape[0]):
        g[lane] = g[lane] / probability[lane] if u[lane] < probability[lane] else 0.0


@kernel("perturb")
def rare_feature(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Keep each coordinate with its probability; the last row of `params` serves the rest."""
    dim, lanes = theta.shape
    last = params.shape[0] - 1
    a, b = stack_row(lanes), stack_row(lanes)
    for i in range(0, dim, 2):
        fill_uniform(a, b, streams, step, i // 2, NOISE)
        _keep(grad[i], params[min(i, last)], a)
        if i + 1 < dim:
            _keep(grad[i + 1], params[min(i + 1, last)], b)


@kernel("perturb")
def unbiased_rare_feature(
    grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int
) -> None:
    """Keep likewise, and divide by the probability."""
    dim, lanes = theta.shape
    last = params.shape[0] - 1
    a, b = stack_row(lanes), stack_row(lanes)
    for i in range(0, dim, 2):
        fill_uniform(a, b, streams, step, i // 2, NOISE)
        _keep_unbiased(grad[i], params[min(i, last)], a)
        if i + 1 < dim:
            _keep_unbiased(grad[i + 1], params[min(i + 1, last)], b)


class RareFeature(Noise):
    r"""Sparse features: each coordinate's gradient arrives only now and then.

    .. math:: g_i \leftarrow \begin{cases} g_i & \text{with probability } p_i \\
              0 & \text{otherwise} \end{cases}

    independently for every coordinate and step.  This is what AdaGrad was made for: a rare
    feature's coordinate gets few gradients and should take larger steps when one arrives.
    The gradient that arrives is the exact one, so its mean is p_i g_i; with ``unbiased`` it is
    g_i / p_i, and its mean g_i.

    Parameters
    ----------
    probability : float or sequence
        Probability p of all coordinates, in [0, 1]; a sequence is an axis of the result.
    probabilities : sequence, optional
        One probability for each coordinate instead, in [0, 1]; no axis.
    unbiased : bool
        Whether an arriving gradient is divided by its probability.

    Raises
    ------
    InvalidValueError
        If a value is not allowed, or both `probability` and `probabilities` are given.

    References
    ----------
    Duchi, Hazan and Singer (2011), JMLR 12, 2121-2159, section 1.3.

    Examples
    --------
    >>> from fastdescent.streams import make_streams
    >>> gradient, theta = np.full((2, 6), 3.0), np.zeros((2, 6))
    >>> noise = RareFeature(probabilities=[1.0, 0.5])
    >>> params = np.repeat([[1.0], [0.5]], 6, axis=1)
    >>> noise.perturb_kernel()(gradient, theta, params, make_streams(1, range(6)), 1)
    >>> gradient.tolist()
    [[3.0, 3.0, 3.0, 3.0, 3.0, 3.0], [3.0, 3.0, 3.0, 0.0, 3.0, 3.0]]
    """

    kernels: ClassVar = {"exact": rare_feature, "unbiased": unbiased_rare_feature}

    probability: Values = parameter(default=1.0, lower=0.0, upper=1.0)
    probabilities: Sequence[float] | None = option(default=None)
    unbiased: bool = option(default=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        given, allowed = self.probabilities, Range(0.0, 1.0)
        if not isinstance(self.unbiased, bool):
            raise InvalidValueError("RareFeature.unbiased", self.unbiased, "True or False")
        if given is None:
            return
        right = isinstance(given, tuple) and len(given) > 0
        if not right or not all(is_number(p) and float(p) in allowed for p in given):
            raise InvalidValueError(
                "RareFeature.probabilities", given, f"numbers in {allowed}, one for each coordinate"
            )
        if self.probability != 1.0:
            raise InvalidValueError(
                "RareFeature.probability",
                self.probability,
                "not given together with probabilities",
                "give one of the two",
            )
        object.__setattr__(self, "probabilities", tuple(map(float, given)))

    def perturb_kernel(self) -> Kernel:
        """Return the kernel, which divides by the probability or not."""
        return unbiased_rare_feature if self.unbiased else rare_feature

    def base_values(self) -> dict[str, float | tuple[float, ...]]:
        """Return the rows of ``params``: one probability, or one for each coordinate."""
        if self.probabilities is None:
            return super().base_values()
        return {f"probability_{i}": p for i, p in enumerate(self.probabilities)}

    def require_dim(self, dim: int) -> None:
        """Check that there is one probability for each coordinate, if more than one."""
        if self.probabilities is not None and len(self.probabilities) != dim:
            raise InvalidValueError(
                "RareFeature.probabilities",
                self.probabilities,
                f"{dim} probabilities for a landscape of dimension {dim}",
                "or one `probability` for all coordinates",
            )
