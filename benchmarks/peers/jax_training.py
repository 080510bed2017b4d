"""Peer: JAX in float64 and optax, trainings on data, written for speed.

What was tried, on a shared machine of two Zen 4 cores; times are those of one core.

- 32 of 442 samples without replacement, per draw: ``random.choice(replace=False)`` and
  ``random.permutation(442)[:32]`` 54 us, ``argsort`` of random words 56 us, ``lax.top_k`` of
  uniform numbers 7 us. Floyd's algorithm, its 32 passes elementwise over the trainings, less
  than 0.56 us, since the whole step takes that: taken. Every subset is equally likely, up to the
  442 / 2^32 of scaling a random word; the order is not random and does not matter to a sum.
  Unrolled passes gave no clear gain, rbg keys lose: the step takes 1.05 us instead of 0.67. Words
  of 32 bits have to be asked for, 64 are the default.
- A permutation of 442: ``random.permutation`` 53 us, ``argsort`` 56 us, Fisher-Yates in step over
  the trainings 24 us, one sort of 64-bit words that carry the sample's number in their lowest bits
  14 us: taken. Equal random parts, 2^-55 likely per pair, fall to the smaller number. NumPy's
  ``permuted`` on the host needs 6 us, but the peer is JAX.
- Linear regression: whole rows of X gathered, trainings first, then two einsums over the batch,
  0.56 us per step and training with an Adam by hand, 0.67 us with optax's; 0.77 us with the columns
  gathered one by one, 0.84 us with trainings last.
- Networks: ``vmap`` of ``jax.grad``. One einsum over all networks with the gradient by hand,
  networks first or last, is not faster once the work is cut into shares; nor is a gradient by hand
  for the classifier. XLA's ``tanh`` is not beaten by ``exp`` nor by a polynomial.
- Shares of `SHARES` trainings, which stay in the cache for all steps, on ``threads`` Python
  threads: 2.4 times for the small networks, against one call for all.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from . import FloatArray, IntArray, Outcome, Run
from .cores import bound_pool

try:
    import jax
    import jax.numpy as jnp
    import optax
except ImportError as error:
    MISSING: str | None = f"{error}: install the peers extra"
else:
    MISSING = None

if TYPE_CHECKING:
    from benchmarks.training import Training

Parameters: TypeAlias = Any
"""What optax updates: an array or a tuple of arrays."""
Gradient: TypeAlias = "Callable[[Parameters, jax.Array | None], Parameters]"
_Moments: TypeAlias = "tuple[jax.Array, jax.Array, jax.Array]"
Draw: TypeAlias = "Callable[[jax.Array, int], jax.Array]"

COMPILER_OPTIONS = {"xla_cpu_prefer_vector_width": 512}
SHARES = {"linear": 256, "mlp-squared": 64, "mlp-softmax": 4}
"""Trainings that are advanced together, by model."""


def available() -> str | None:
    """Say whether this peer can run.

    Returns
    -------
    str or None
        None, or which library is missing.
    """
    return MISSING


def prepare(training: Training, threads: int) -> Run:
    """Compile the trainings and run them once.

    Parameters
    ----------
    training : Training
        What to compute.
    threads : int
        Number of threads, each bound to a core and working on one share after the other.

    Returns
    -------
    callable
        Takes nothing and returns the `Outcome`.
    """
    jax.config.update("jax_enable_x64", True)
    train = jax.jit(_trainings(training), compiler_options=COMPILER_OPTIONS)
    shares = np.array_split(training.starts, _share_count(training))
    keys = _keys(training)
    pool = bound_pool(threads)

    def run_share(share: FloatArray, key: jax.Array) -> FloatArray:
        return np.asarray(jax.block_until_ready(train(jnp.asarray(share), key)))

    def run() -> Outcome:
        position = np.concatenate(list(pool.map(run_share, shares, keys)))
        return Outcome(position, np.full(len(position), training.steps))

    for share in {len(share): share for share in shares}.values():
        run_share(share, keys[0])  # compiles once, not in every thread
    run()
    return run


def first_batches(training: Training) -> IntArray:
    """Replay the samples that the first training sees.

    Parameters
    ----------
    training : Training
        Given to `prepare` before; not with full batches.

    Returns
    -------
    ndarray of int64, shape (steps, size)
        Sample numbers.
    """
    jax.config.update("jax_enable_x64", True)
    draw, length = _draw(training)
    lanes = len(np.array_split(training.starts, _share_count(training))[0])
    blocks = jax.random.split(_keys(training)[0], training.steps // length)
    drawn = [np.asarray(draw(key, lanes))[:, :, 0] for key in blocks]
    return np.concatenate(drawn).astype(np.int64)


def _share_count(training: Training) -> int:
    return max(1, len(training.starts) // SHARES[training.model])


def _keys(training: Training) -> jax.Array:
    return jax.random.split(jax.random.key(training.seed), _share_count(training))


def _trainings(training: Training) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """Make the function from starts (count, dim) and a key to the ends."""
    unpack, pack, gradient = MODELS[training.model](training)
    make = _adam if training.rule == "adam" else optax.sgd
    optimizer = make(training.learning_rate)

    def step(carry: Any, batch: jax.Array | None) -> tuple[Any, None]:
        parameters, state = carry
        change, state = optimizer.update(gradient(parameters, batch), state)
        return (optax.apply_updates(parameters, change), state), None

    def train(starts: jax.Array, key: jax.Array) -> jax.Array:
        parameters = unpack(starts)
        first = parameters, optimizer.init(parameters)
        if training.batch == "full":
            last, _ = jax.lax.scan(step, first, None, length=training.steps)
            return pack(last[0])
        draw, length = _draw(training)

        def block(carry: Any, key: jax.Array) -> tuple[Any, None]:
            return jax.lax.scan(step, carry, draw(key, len(starts)))

        last, _ = jax.lax.scan(block, first, jax.random.split(key, training.steps // length))
        return pack(last[0])

    return train


def _adam(learning_rate: float) -> optax.GradientTransformation:
    """Make `optax.adam` for a single array with one multiplication per bias correction."""

    def init(theta: jax.Array) -> _Moments:
        return jnp.zeros_like(theta), jnp.zeros_like(theta), jnp.asarray(0.0)

    def update(g: jax.Array, state: _Moments, _: Any = None) -> tuple[jax.Array, _Moments]:
        m, v, t = state
        m, v, t = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g, t + 1.0
        length = learning_rate / (1.0 - 0.9**t)
        change = -length * m / (jnp.sqrt(v * (1.0 / (1.0 - 0.999**t))) + 1e-8)
        return change, (m, v, t)

    return optax.GradientTransformation(init, update)


def _draw(training: Training) -> tuple[Draw, int]:
    """Return what draws the batches of a block (steps, size, count), and the block's steps."""
    samples, size = len(training.X), training.size
    if training.batch == "independent":
        return partial(_subset, samples=samples, size=size), 1
    return partial(_epoch, samples=samples, size=size), samples // size


def _subset(key: jax.Array, count: int, samples: int, size: int) -> jax.Array:
    """Draw subsets by Floyd's algorithm (Bentley 1987): j itself if the draw up to j is taken."""
    bits = jax.random.bits(key, (size, count), jnp.uint32).astype(jnp.uint64)

    def choose(i: jax.Array, chosen: jax.Array) -> jax.Array:
        j = samples - size + i
        drawn = ((bits[i] * (j + 1).astype(jnp.uint64)) >> 32).astype(jnp.int32)
        new = jnp.where(jnp.any(chosen == drawn, axis=0), j.astype(jnp.int32), drawn)
        return chosen.at[i].set(new)

    nothing = jnp.full((size, count), -1, dtype=jnp.int32)
    return jax.lax.fori_loop(0, size, choose, nothing)[None]


def _epoch(key: jax.Array, count: int, samples: int, size: int) -> jax.Array:
    """Draw a permutation per training and cut it into whole batches."""
    number = jnp.uint64((1 << (samples - 1).bit_length()) - 1)
    words = jax.random.bits(key, (count, samples), jnp.uint64) & ~number
    words = jnp.sort(words | jnp.arange(samples, dtype=jnp.uint64), axis=1, stable=False)
    steps = samples // size
    order = (words & number).astype(jnp.int32)[:, : steps * size]
    return order.T.reshape(steps, size, count)


def _linear(training: Training) -> tuple[Any, Any, Gradient]:
    """Make linear regression without intercept; parameters are (count, dim)."""
    X, y = jnp.asarray(training.X), jnp.asarray(training.y)

    def gradient(theta: jax.Array, batch: jax.Array) -> jax.Array:
        rows = X[batch.T]
        rest = jnp.einsum("nbd,nd->nb", rows, theta) - y[batch.T]
        return 2.0 / len(batch) * jnp.einsum("nb,nbd->nd", rest, rows)

    return jnp.asarray, jnp.asarray, gradient


def _mlp_squared(training: Training) -> tuple[Any, Any, Gradient]:
    """Make tanh networks with one output and no biases, trained on all samples."""
    X, y = jnp.asarray(training.X), jnp.asarray(training.y)
    inputs, hidden = X.shape[1], training.hidden

    def unpack(flat: jax.Array) -> Parameters:
        first, last = jnp.split(flat, [inputs * hidden], axis=1)
        return first.reshape(-1, inputs, hidden), last

    def pack(parameters: Parameters) -> jax.Array:
        return _flattened(parameters)

    def loss(parameters: Parameters) -> jax.Array:
        first, last = parameters
        return jnp.mean((jnp.tanh(X @ first) @ last - y) ** 2)

    return unpack, pack, lambda parameters, _: jax.vmap(jax.grad(loss))(parameters)


def _mlp_softmax(training: Training) -> tuple[Any, Any, Gradient]:
    """Make tanh networks with biases and a softmax over the classes."""
    X, y = jnp.asarray(training.X), jnp.asarray(training.y)
    inputs, hidden, classes = X.shape[1], training.hidden, int(y.max()) + 1
    ends = np.cumsum([inputs * hidden, hidden, hidden * classes])
    targets = jax.nn.one_hot(y, classes, dtype=jnp.float64)

    def unpack(flat: jax.Array) -> Parameters:
        w1, b1, w2, b2 = jnp.split(flat, ends, axis=1)
        return w1.reshape(-1, inputs, hidden), b1, w2.reshape(-1, hidden, classes), b2

    def loss(parameters: Parameters, batch: jax.Array) -> jax.Array:
        w1, b1, w2, b2 = parameters
        z = jnp.tanh(X[batch] @ w1 + b1) @ w2 + b2
        return jnp.mean(jax.nn.logsumexp(z, axis=1) - jnp.sum(z * targets[batch], axis=1))

    def gradient(parameters: Parameters, batch: jax.Array) -> Parameters:
        return jax.vmap(jax.grad(loss))(parameters, batch.T)

    return unpack, _flattened, gradient


def _flattened(parameters: Parameters) -> jax.Array:
    return jnp.concatenate([part.reshape(len(part), -1) for part in parameters], axis=1)


MODELS = {"linear": _linear, "mlp-squared": _mlp_squared, "mlp-softmax": _mlp_softmax}
