"""Peer: JAX in float64 and optax.adam in their textbook form.

One trajectory is written as a function of one start point, a ``lax.scan`` over the steps or a
``lax.while_loop`` until the loss is reached, and ``vmap`` makes the ensemble of it. XLA decides how
many threads it uses. What else can be gained is in `jax_optax`.
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from . import Outcome, Run, Workload

try:
    import jax
    import jax.numpy as jnp
    import optax
except ImportError as error:
    MISSING: str | None = f"{error}: install the peers extra"
else:
    MISSING = None

_State: TypeAlias = "tuple[jax.Array, optax.OptState]"
_Counted: TypeAlias = "tuple[jax.Array, optax.OptState, jax.Array]"
Trajectory: TypeAlias = "Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]"


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
        Not used: XLA has its own pool.

    Returns
    -------
    callable
        Takes nothing and returns the `Outcome`.
    """
    jax.config.update("jax_enable_x64", True)
    if workload.stop_loss is None:
        trajectory = _fixed_steps(workload)
    else:
        trajectory = _until_stopped(workload, workload.stop_loss)
    simulate = jax.jit(jax.vmap(trajectory))
    starts = jnp.asarray(workload.starts)
    keys = jax.random.split(jax.random.key(workload.seed), len(starts))

    def run() -> Outcome:
        position, steps = jax.block_until_ready(simulate(starts, keys))
        return Outcome(np.asarray(position), np.asarray(steps))

    run()
    return run


def _rosenbrock(x: "jax.Array") -> "jax.Array":
    return jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def _rastrigin(x: "jax.Array") -> "jax.Array":
    return 10.0 * x.size + jnp.sum(x**2 - 10.0 * jnp.cos(2.0 * jnp.pi * x))


LANDSCAPES = {"rosenbrock": _rosenbrock, "rastrigin": _rastrigin}


def _optimizer(workload: Workload) -> "optax.GradientTransformation":
    """Make Adam with the workload's hyper-parameters."""
    return optax.adam(
        workload.learning_rate, b1=workload.beta1, b2=workload.beta2, eps=workload.epsilon
    )


def _update(workload: Workload) -> "Callable[..., _State]":
    """Make the function that takes one step."""
    optimizer, gradient = _optimizer(workload), jax.grad(LANDSCAPES[workload.landscape])

    def update(theta: jax.Array, state: optax.OptState, key: jax.Array, t: jax.Array) -> _State:
        g = gradient(theta)
        if workload.noise_scale:
            g += workload.noise_scale * jax.random.normal(jax.random.fold_in(key, t), g.shape)
        change, state = optimizer.update(g, state)
        return optax.apply_updates(theta, change), state

    return update


def _fixed_steps(workload: Workload) -> Trajectory:
    """Make the trajectory of a given number of steps."""
    optimizer, update = _optimizer(workload), _update(workload)

    def trajectory(start: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        def step(carry: _State, t: jax.Array) -> tuple[_State, None]:
            return update(*carry, key, t), None

        first = start, optimizer.init(start)
        (theta, _), _ = jax.lax.scan(step, first, jnp.arange(workload.steps))
        return theta, jnp.asarray(workload.steps)

    return trajectory


def _until_stopped(workload: Workload, stop_loss: float) -> Trajectory:
    """Make the trajectory that ends at the stopping loss."""
    optimizer, update = _optimizer(workload), _update(workload)
    loss = LANDSCAPES[workload.landscape]

    def trajectory(start: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        def goes_on(carry: _Counted) -> jax.Array:
            theta, _, t = carry
            return (t < workload.steps) & ~(loss(theta) < stop_loss)

        def step(carry: _Counted) -> _Counted:
            theta, state, t = carry
            return *update(theta, state, key, t), t + 1

        first = start, optimizer.init(start), jnp.asarray(0)
        theta, _, t = jax.lax.while_loop(goes_on, step, first)
        return theta, t

    return trajectory
