"""Peer: JAX in float64 and optax.adam, written for speed.

`jax_vmap` is the form that the documentation of the two libraries leads to. This one is what was
fastest after trying the following; the gains are those of one core on the published workloads.

- The whole batch as one array (dim, count) instead of ``vmap`` over start points, and a gradient
  written by hand that makes each row once: 1.2 times in 2 dimensions, 2 times in 10. One array per
  coordinate was slower than that, ``jax.grad`` of the summed loss almost as fast.
- The loop carries the gradient, computed at the end of a step, instead of computing it at the
  beginning: 1.2 times, and 2 times with a sine inside, because XLA fuses a gradient into the
  updates of m and of v and so computes it twice. The noise is carried by itself for that reason.
- Rastrigin's sine as a polynomial: 7 times. XLA calls the C library's scalar function in float64.
- Vectors of 512 bits where the processor has them: 1.05 times.
- Until a loss is reached: one loop over the whole batch, whose step counter and bias corrections
  are scalars, instead of ``vmap`` of ``while_loop``, where optax takes two powers per trajectory
  and step: 12 times. Dropping the trajectories that stopped, in stages of decreasing static size:
  1.3 times more. There ``unroll=2`` gains 1.1 times; with a fixed number of steps it loses.
- One draw of noise for the whole batch with one key per step: 1.6 times. Almost all of the time
  goes into ``jax.random.normal``, which inverts the error function; rbg keys do not help.
- ``threads`` Python threads, each with its share of the batch and bound to a core: 2 times. XLA
  runs loops over arrays of this size on one thread. ``shard_map`` over two host devices is equally
  fast, except that the two are often executed one after the other.

Without effect: donated buffers, optimisation barriers, XLA's other processor options.
"""

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from . import FloatArray, IntArray, Outcome, Run, Workload
from .cores import bound_pool

try:
    import jax
    import jax.numpy as jnp
    import optax
except ImportError as error:
    MISSING: str | None = f"{error}: install the peers extra"
else:
    MISSING = None

Loss: TypeAlias = "Callable[[jax.Array], jax.Array]"
Addends: TypeAlias = "Callable[[jax.Array, jax.Array], tuple[jax.Array, ...]]"
_Carry: TypeAlias = "tuple[jax.Array, optax.OptState, tuple[jax.Array, ...]]"
Simulate: TypeAlias = "Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]"

COMPILER_OPTIONS = {"xla_cpu_prefer_vector_width": 512}
BLOCK = 64
"""Steps between two looks at how many trajectories are still live."""
SHRINKAGE = 2 / 3
"""Live share of a batch at which it is compacted."""
SMALLEST = 64
"""Batches are not compacted to fewer trajectories than this."""

SINE_COEFFICIENTS = (
    *(0.10089695501646812, -0.7177337921413454, 3.8199280942271643),
    *(-15.0946416761179, 42.058693925428685, -76.70585975282492),
    *(81.60524927607362, -41.341702240399755, 6.283185307179586),
)
"""sin(2 pi x) / x as a polynomial of x^2, highest power first, for |x| at most 1/4."""


def available() -> str | None:
    """Say whether this peer can run.

    Returns
    -------
    str or None
        None, or which library is missing.
    """
    return MISSING


def prepare(workload: Workload, threads: int) -> Run:
    """Compile the simulation and run it once.

    Parameters
    ----------
    workload : Workload
        What to compute.
    threads : int
        Number of threads, each with its share of the trajectories and bound to a core.

    Returns
    -------
    callable
        Takes nothing and returns the `Outcome`.
    """
    jax.config.update("jax_enable_x64", True)
    if workload.stop_loss is None:
        form = _fixed_steps(workload)
    else:
        form = _until_stopped(workload, workload.stop_loss)
    simulate = jax.jit(form, compiler_options=COMPILER_OPTIONS)
    shares = np.array_split(workload.starts, threads)
    keys = jax.random.split(jax.random.key(workload.seed), threads)
    pool = bound_pool(threads)

    def run_share(share: FloatArray, key: jax.Array) -> tuple[FloatArray, IntArray]:
        position, steps = jax.block_until_ready(simulate(jnp.asarray(share.T), key))
        return np.asarray(position).T, np.asarray(steps)

    def run() -> Outcome:
        positions, steps = zip(*pool.map(run_share, shares, keys), strict=True)
        return Outcome(np.concatenate(positions), np.concatenate(steps))

    run_share(shares[0], keys[0])  # compiles once, not in every thread
    run()
    return run


def _rosenbrock_loss(x: "jax.Array") -> "jax.Array":
    return jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2, axis=0)


def _rosenbrock_gradient(x: "jax.Array") -> "jax.Array":
    valley = x[1:] - x[:-1] ** 2
    own = -400.0 * x[:-1] * valley - 2.0 * (1.0 - x[:-1])
    return jnp.concatenate([own[:1], own[1:] + 200.0 * valley[:-1], 200.0 * valley[-1:]])


def _rastrigin_loss(x: "jax.Array") -> "jax.Array":
    return 10.0 * len(x) + jnp.sum(x**2 - 10.0 * _sine_of_turns(x + 0.25), axis=0)


def _rastrigin_gradient(x: "jax.Array") -> "jax.Array":
    return 2.0 * x + 20.0 * np.pi * _sine_of_turns(x)


def _sine_of_turns(x: "jax.Array") -> "jax.Array":
    """Compute sin(2 pi x) by a minimax polynomial on the quarter turn that x is folded onto."""
    turn = x - jnp.round(x)
    rest = jnp.where(jnp.abs(turn) > 0.25, jnp.copysign(0.5, turn) - turn, turn)
    square, value = rest**2, jnp.zeros_like(rest)
    for coefficient in SINE_COEFFICIENTS:
        value = value * square + coefficient
    return rest * value


LANDSCAPES = {
    "rosenbrock": (_rosenbrock_loss, _rosenbrock_gradient),
    "rastrigin": (_rastrigin_loss, _rastrigin_gradient),
}


def _parts(workload: Workload) -> "tuple[optax.GradientTransformation, Loss, Addends]":
    """Make the optimizer, the loss, and the function whose values add up to the noisy gradient."""
    optimizer = optax.adam(
        workload.learning_rate, b1=workload.beta1, b2=workload.beta2, eps=workload.epsilon
    )
    loss, gradient = LANDSCAPES[workload.landscape]

    def addends(theta: jax.Array, key: jax.Array) -> tuple[jax.Array, ...]:
        if workload.noise_scale == 0.0:
            return (gradient(theta),)
        return gradient(theta), workload.noise_scale * jax.random.normal(key, theta.shape)

    return optimizer, loss, addends


def _fixed_steps(workload: Workload) -> Simulate:
    """Make the simulation of a given number of steps."""
    optimizer, _, addends = _parts(workload)

    def simulate(theta: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        def step(carry: _Carry, t: jax.Array) -> tuple[_Carry, None]:
            theta, state, g = carry
            change, state = optimizer.update(sum(g), state)
            theta = optax.apply_updates(theta, change)
            return (theta, state, addends(theta, jax.random.fold_in(key, t))), None

        first = theta, optimizer.init(theta), addends(theta, jax.random.fold_in(key, 0))
        (theta, _, _), _ = jax.lax.scan(step, first, 1 + jnp.arange(workload.steps))
        return theta, jnp.full(theta.shape[1], workload.steps)

    return simulate


class _Batch(NamedTuple):
    """Trajectories in the loop; number is their own, or the count of all for an empty place."""

    number: "jax.Array"
    theta: "jax.Array"
    state: "optax.OptState"
    g: "tuple[jax.Array, ...]"
    live: "jax.Array"
    steps: "jax.Array"


def _until_stopped(workload: Workload, stop_loss: float) -> Simulate:
    """Make the simulation that ends at the stopping loss, in stages of ever smaller batches."""
    optimizer, loss, addends = _parts(workload)

    def simulate(start: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        def goes_on(theta: jax.Array, t: jax.Array) -> jax.Array:
            return ~(loss(theta) < stop_loss) & (t < workload.steps)

        def step(batch: _Batch, _: None) -> tuple[_Batch, None]:
            number, theta, state, g, live, steps = batch
            change, state = optimizer.update(sum(g), state)
            theta = jnp.where(live, theta + change, theta)
            t = state[0].count
            g = addends(theta, jax.random.fold_in(key, t))
            return _Batch(number, theta, state, g, live & goes_on(theta, t), steps + live), None

        def block(batch: _Batch) -> _Batch:
            return jax.lax.scan(step, batch, None, length=BLOCK, unroll=2)[0]

        count, zero = start.shape[1], jnp.asarray(0)
        position, taken = start, jnp.zeros(count, dtype=jnp.int64)
        batch = _Batch(
            number=jnp.arange(count),
            theta=start,
            state=optimizer.init(start),
            g=addends(start, jax.random.fold_in(key, zero)),
            live=goes_on(start, zero),
            steps=taken,
        )
        for size in _stage_sizes(count):
            batch = jax.lax.while_loop(lambda b, size=size: jnp.sum(b.live) > size, block, batch)
            position = position.at[:, batch.number].set(batch.theta, mode="drop")
            taken = taken.at[batch.number].set(batch.steps, mode="drop")
            batch = _compacted(batch, size, empty=count)
        return position, taken

    return simulate


def _stage_sizes(count: int) -> list[int]:
    """List the batch sizes to shrink to, ending with 0."""
    sizes = []
    while (count := int(SHRINKAGE * count)) >= SMALLEST:
        sizes.append(count)
    return [*sizes, 0]


def _compacted(batch: _Batch, size: int, empty: int) -> _Batch:
    """Move the live trajectories, at most size of them, into a batch of that size."""
    kept = jnp.nonzero(batch.live, size=size, fill_value=0)[0]
    live = jnp.arange(size) < jnp.sum(batch.live)
    smaller = jax.tree.map(lambda a: a[..., kept] if a.ndim else a, batch)
    return smaller._replace(number=jnp.where(live, smaller.number, empty), live=live)
