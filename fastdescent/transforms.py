"""Gradient transforms: what is done to the gradient before the rule sees it.

They come after the gradient noise and before everything that the rule does with a gradient,
in the order in which they are given.  The exact loss and gradient, on which trajectories
stop and which are recorded, stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

from fastdescent.contracts import Kernel, Rows, Streams, kernel
from fastdescent.errors import InvalidValueError
from fastdescent.parts import Part, Range, Values, is_integer, is_number, option, parameter
from fastdescent.scratch import norms, stack_row

__all__ = ["BlockRates", "ClipByNorm", "ClipByValue", "CoupledL2", "Transform"]


class Transform(Part):
    """Base class of gradient transforms.

    A transform is a kernel of the family ``perturb`` per variant, and a class with its
    parameters in the order of the kernel's ``params`` rows.
    """

    kind: ClassVar[str] = "transform"
    #: variant -> kernel; the default variant first.
    kernels: ClassVar[dict[str, Kernel]]

    def perturb_kernel(self) -> Kernel:
        """Return the kernel of this transform's variant."""
        return self.kernels[getattr(self, "variant", next(iter(self.kernels)))]

    def require_dim(self, dim: int) -> None:
        """Check that the transform fits a landscape of `dim` dimensions.

        Raises
        ------
        InvalidValueError
            If it holds values for another number of coordinates.
        """


@kernel("perturb")
def clip_by_norm(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Shorten the gradients that are longer than the limit, to the limit."""
    dim, lanes = theta.shape
    limit, scale = params[0], stack_row(lanes)
    norms(grad, dim, scale)
    for lane in range(lanes):
        norm = scale[lane]
        scale[lane] = limit[lane] / norm if norm > limit[lane] else 1.0
    for i in range(dim):
        g = grad[i]
        for lane in range(lanes):
            g[lane] *= scale[lane]


@kernel("perturb")
def clip_by_norm_torch(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Shorten likewise, with torch's 1e-6 beside the norm."""
    dim, lanes = theta.shape
    limit, scale = params[0], stack_row(lanes)
    norms(grad, dim, scale)
    for lane in range(lanes):
        ratio = limit[lane] / (scale[lane] + 1e-6)
        scale[lane] = 1.0 if ratio > 1.0 else ratio
    for i in range(dim):
        g = grad[i]
        for lane in range(lanes):
            g[lane] *= scale[lane]


class ClipByNorm(Transform):
    r"""Clip the gradient by its Euclidean norm: its direction stays.

    .. math:: g \leftarrow g \min\left(1, \frac{c}{\|g\|}\right)

    Variants: ``exact`` is the formula, shared by ``optax.clip_by_global_norm`` and Keras
    ``global_clipnorm``; ``torch`` is ``torch.nn.utils.clip_grad_norm_``, which has
    ||g|| + 1e-6 in the denominator and so shrinks gradients just below the limit, too.

    Parameters
    ----------
    max_norm : float or sequence
        Limit c, > 0, in units of the gradient.
    variant : {"exact", "torch"}
        The dialect.

    Raises
    ------
    InvalidValueError
        If a value is not allowed.
    UnknownNameError
        If there is no such variant.

    References
    ----------
    Pascanu, Mikolov and Bengio (2013), On the difficulty of training recurrent neural
    networks, ICML, algorithm 1.

    Examples
    --------
    >>> import numpy as np
    >>> gradient, theta = np.array([[3.0], [4.0]]), np.zeros((2, 1))
    >>> clip = ClipByNorm(2.5)
    >>> clip.perturb_kernel()(gradient, theta, np.array([[2.5]]), np.zeros((3, 1), "u8"), 1)
    >>> gradient.ravel().tolist()
    [1.5, 2.0]
    """

    kernels: ClassVar = {"exact": clip_by_norm, "torch": clip_by_norm_torch}

    max_norm: Values = parameter(lower=0.0, lower_open=True)
    variant: str = option(default="exact", choices=tuple(kernels))


@kernel("perturb")
def clip_by_value(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Clip every coordinate to [-limit, limit]; a NaN stays one."""
    limit = params[0]
    for i in range(theta.shape[0]):
        g = grad[i]
        for lane in range(theta.shape[1]):
            high = limit[lane]
            x = high if g[lane] > high else g[lane]
            g[lane] = -high if x < -high else x


class ClipByValue(Transform):
    r"""Clip each coordinate of the gradient: its direction changes.

    .. math:: g_i \leftarrow \max(-c, \min(c, g_i))

    Shared by ``torch.nn.utils.clip_grad_value_``, ``optax.clip`` and Keras ``clipvalue``.

    Parameters
    ----------
    max_value : float or sequence
        Limit c, > 0, in units of the gradient.

    Raises
    ------
    InvalidValueError
        If a value is not allowed.

    References
    ----------
    Mikolov (2012), Statistical language models based on neural networks, PhD thesis, Brno,
    section 3.2.

    Examples
    --------
    >>> import numpy as np
    >>> gradient, theta = np.array([[3.0], [-0.5]]), np.zeros((2, 1))
    >>> clip = ClipByValue(1.0)
    >>> clip.perturb_kernel()(gradient, theta, np.array([[1.0]]), np.zeros((3, 1), "u8"), 1)
    >>> gradient.ravel().tolist()
    [1.0, -0.5]
    """

    kernels: ClassVar = {"standard": clip_by_value}

    max_value: Values = parameter(lower=0.0, lower_open=True)


@kernel("perturb")
def coupled_l2(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Add the gradient of the penalty."""
    weight_decay = params[0]
    for i in range(theta.shape[0]):
        x, g = theta[i], grad[i]
        for lane in range(theta.shape[1]):
            g[lane] += weight_decay[lane] * x[lane]


class CoupledL2(Transform):
    r"""L2 penalty, coupled: its gradient goes through the rule like the loss's own.

    .. math:: g \leftarrow g + \lambda \theta

    The ``weight_decay`` of torch's optimizers other than ``AdamW``, and
    ``optax.add_decayed_weights`` before the rule.  ``theta`` is the trajectory's position
    also for rules that take their gradient elsewhere.  Loss, gradient norm and minima of
    the result are those of the landscape without the penalty.

    Parameters
    ----------
    weight_decay : float or sequence
        Lambda, >= 0, in units of loss per theta^2.

    Raises
    ------
    InvalidValueError
        If a value is not allowed.

    References
    ----------
    Loshchilov and Hutter (2019), Decoupled weight decay regularization, ICLR, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> gradient, theta = np.array([[3.0], [4.0]]), np.array([[10.0], [20.0]])
    >>> penalty = CoupledL2(0.1)
    >>> penalty.perturb_kernel()(gradient, theta, np.array([[0.1]]), np.zeros((3, 1), "u8"), 1)
    >>> gradient.ravel().tolist()
    [4.0, 6.0]
    """

    kernels: ClassVar = {"standard": coupled_l2}

    weight_decay: Values = parameter(lower=0.0)


@kernel("perturb")
def block_rates(grad: Rows, theta: Rows, params: Rows, streams: Streams, step: int) -> None:
    """Multiply the rows up to each block's end by its rate; ends follow the rates in `params`."""
    dim, lanes = theta.shape
    count = params.shape[0] // 2
    begin = 0
    for block in range(count):
        rate, end = params[block], min(int(params[count + block, 0]), dim)
        for i in range(begin, end):
            g = grad[i]
            for lane in range(lanes):
                g[lane] *= rate[lane]
        begin = end


class BlockRates(Transform):
    r"""A learning rate of its own for each block of coordinates, such as a network's layers.

    .. math:: g_b \leftarrow r_b\, g_b

    for the coordinates of block b.  With ``GradientDescent(learning_rate=1.0)`` the rates are
    the learning rates; with momentum too.  Rules that divide by the gradient's size, such as
    Adam, undo it.

    Parameters
    ----------
    rates : sequence of floats or of sequences of them
        The rate r of each block, >= 0, dimensionless.  One given as a sequence is an axis of the
        result, named ``rate_1`` for the first block, ``rate_2`` for the second, and so on.
    sizes : sequence of int, optional
        Number of coordinates of each block, >= 1, together those of the landscape.  A single rate
        needs none.

    Raises
    ------
    InvalidValueError
        If a value is not allowed, or there are not as many sizes as rates.

    References
    ----------
    Sohl-Dickstein (2024), The boundary of neural network trainability is fractal,
    arXiv 2402.06184, where the two layers of a network have a rate each.

    Examples
    --------
    >>> import fastdescent as fd
    >>> rates = fd.transforms.BlockRates([[0.1, 0.2, 0.3], 0.5], sizes=[1, 1])
    >>> ds = fd.simulate(
    ...     fd.landscapes.Bowl(dim=2),
    ...     fd.optimizers.GradientDescent(learning_rate=1.0),
    ...     starts=[[1.0, 1.0]],
    ...     transforms=[rates],
    ...     steps=1,
    ... )
    >>> ds.position.squeeze("start").values.round(12).tolist()
    [[0.9, 0.5], [0.8, 0.5], [0.7, 0.5]]
    >>> list(ds.position.dims)
    ['rate_1', 'start', 'coordinate']
    """

    kernels: ClassVar = {"standard": block_rates}

    rates: Sequence[Values] = option(default=(1.0,))
    sizes: Sequence[int] | None = option(default=None)

    def __post_init__(self) -> None:
        super().__post_init__()
        given, allowed = self.rates, Range(0.0)
        if not isinstance(given, tuple) or not given:
            raise InvalidValueError("BlockRates.rates", given, "a sequence with one rate per block")
        rates = []
        for rate in given:
            values = rate if isinstance(rate, tuple) else (rate,)
            if not values or not all(is_number(r) and float(r) in allowed for r in values):
                raise InvalidValueError(
                    "BlockRates.rates", rate, f"a number in {allowed} or a sequence of them"
                )
            numbers = tuple(map(float, values))
            rates.append(numbers if isinstance(rate, tuple) else numbers[0])
        object.__setattr__(self, "rates", tuple(rates))
        self._check_sizes()

    def _check_sizes(self) -> None:
        sizes, count = self.sizes, len(self.rates)
        if sizes is None and count == 1:
            return
        right = isinstance(sizes, tuple) and len(sizes) == count
        if not right or not all(is_integer(n) and n >= 1 for n in sizes or ()):
            raise InvalidValueError("BlockRates.sizes", sizes, f"{count} integers >= 1")

    @classmethod
    def of(cls, model: Any, rates: Sequence[Values]) -> Self:
        """Return rates for the blocks of a model: its weights and biases, layer by layer.

        Parameters
        ----------
        model : fastdescent.models.Model
            The model.
        rates : sequence
            One for each of `model.blocks`, as above.

        Examples
        --------
        >>> import fastdescent as fd
        >>> BlockRates.of(fd.models.DeepLinear(depth=3), [0.1, 0.1, 0.5])
        BlockRates(rates=[0.1, 0.1, 0.5], sizes=[1, 1, 1])
        """
        return cls(rates=rates, sizes=[block.rows * block.columns for block in model.blocks])

    def axes(self) -> dict[str, tuple[float, ...]]:
        """Return the rates that were given as sequences, by block."""
        named = {f"rate_{k}": rate for k, rate in enumerate(self.rates, 1)}
        return {name: rate for name, rate in named.items() if isinstance(rate, tuple)}

    def base_values(self) -> dict[str, float | tuple[float, ...]]:
        """Return the rows of ``params``: a rate for each block, then where each block ends."""
        values = {f"rate_{k}": rate for k, rate in enumerate(self.rates, 1)}
        end = 0
        for k, size in enumerate(self.sizes or (2**53,), 1):
            end += size
            values[f"end_{k}"] = float(end)
        return values

    def require_dim(self, dim: int) -> None:
        """Check that the blocks have as many coordinates as the landscape."""
        if self.sizes is not None and sum(self.sizes) != dim:
            raise InvalidValueError(
                "BlockRates.sizes",
                self.sizes,
                f"blocks of {dim} coordinates together",
                "BlockRates.of(model, rates) takes the sizes from the model",
            )
