"""Peer: JAX in float64 and optax, trainings on data, as a user writes them.

One training is a `scan` over steps, `vmap` runs it for all seeds, `jit` compiles the whole; the
batches come from `jax.random.choice` without replacement and `jax.random.permutation`, the
gradients from `jax.grad`, the rules from optax.  `jax_training` is the same tuned by hand.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from . import IntArray, Outcome, Run

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


def available() -> str | None:
    """Say whether this peer can run: None, or which library is missing."""
    return MISSING


def prepare(training: Training, threads: int) -> Run:
    """Compile the trainings and run them once; XLA uses its own threads.

    Returns
    -------
    callable
        Takes nothing and returns the `Outcome`.
    """
    jax.config.update("jax_enable_x64", True)
    train = jax.jit(jax.vmap(_training(training)))
    starts = jnp.asarray(training.starts)
    keys = _keys(training)

    def run() -> Outcome:
        position = np.asarray(jax.block_until_ready(train(starts, keys)))
        return Outcome(position, np.full(len(position), training.steps))

    run()
    return run


def first_batches(training: Training) -> IntArray:
    """Replay the samples that the first training sees, shape (steps, size)."""
    jax.config.update("jax_enable_x64", True)
    drawn = _batches(training)(_keys(training)[0])
    return np.asarray(drawn).astype(np.int64)


def _keys(training: Training) -> jax.Array:
    return jax.random.split(jax.random.key(training.seed), len(training.starts))


def _batches(training: Training) -> Callable[[jax.Array], jax.Array]:
    """Return what draws all batches of a training, (steps, size), from its key."""
    samples, size, steps = len(training.X), training.size, training.steps

    def each_step(key: jax.Array) -> jax.Array:
        draw = lambda k: jax.random.choice(k, samples, (size,), replace=False)  # noqa: E731
        return jax.lax.map(draw, jax.random.split(key, steps))

    def epochs(key: jax.Array) -> jax.Array:
        length = samples // size
        draw = lambda k: jax.random.permutation(k, samples)[: length * size]  # noqa: E731
        return jax.lax.map(draw, jax.random.split(key, steps // length)).reshape(steps, size)

    return each_step if training.batch == "independent" else epochs


def _training(training: Training) -> Callable[[jax.Array, jax.Array], jax.Array]:
    """Make one training: from a start (dim,) and a key to its end."""
    loss, batches = _loss(training), _batches(training)
    rule = (optax.adam if training.rule == "adam" else optax.sgd)(training.learning_rate)

    def step(carry: Any, batch: jax.Array | None) -> tuple[Any, None]:
        theta, state = carry
        change, state = rule.update(jax.grad(loss)(theta, batch), state)
        return (optax.apply_updates(theta, change), state), None

    def train(start: jax.Array, key: jax.Array) -> jax.Array:
        first = start, rule.init(start)
        if training.batch == "full":
            (theta, _), _ = jax.lax.scan(step, first, None, length=training.steps)
        else:
            (theta, _), _ = jax.lax.scan(step, first, batches(key))
        return theta

    return train


def _loss(training: Training) -> Callable[[jax.Array, jax.Array | None], jax.Array]:
    X, y, hidden = jnp.asarray(training.X), jnp.asarray(training.y), training.hidden
    inputs = X.shape[1]

    def linear(theta: jax.Array, batch: jax.Array | None) -> jax.Array:
        return jnp.mean((X[batch] @ theta - y[batch]) ** 2)

    def squared(theta: jax.Array, batch: jax.Array | None) -> jax.Array:
        first, last = theta[: inputs * hidden].reshape(inputs, hidden), theta[inputs * hidden :]
        return jnp.mean((jnp.tanh(X @ first) @ last - y) ** 2)

    def softmax(theta: jax.Array, batch: jax.Array | None) -> jax.Array:
        classes = int(training.y.max()) + 1
        ends = np.cumsum([inputs * hidden, hidden, hidden * classes])
        w1, b1, w2, b2 = jnp.split(theta, ends)
        h = jnp.tanh(X[batch] @ w1.reshape(inputs, hidden) + b1)
        z = h @ w2.reshape(hidden, classes) + b2
        return optax.softmax_cross_entropy_with_integer_labels(z, y[batch]).mean()

    return {"linear": linear, "mlp-squared": squared, "mlp-softmax": softmax}[training.model]
