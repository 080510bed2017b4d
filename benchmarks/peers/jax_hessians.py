"""Peer: eigenvalues of Hessians in JAX, float64: ``vmap`` of ``jax.hessian``, then ``eigvalsh``.

With them come what fastdescent's spectrum holds too and costs little: value, gradient norm, and
index, trace and condition number from the eigenvalues.  The points are cut into shares that stay
in the cache.  ``eigvalsh`` has threads of its own; calls of it from two Python threads at once
came to a standstill (jax 0.10.2, dim 10), so there the shares follow each other.

In two dimensions the form tuned by hand, its shares on one Python thread per core, replaces
``eigvalsh``, which calls LAPACK for each point, by the roots of the characteristic polynomial.
They are not scaled, and lose the small eigenvalue of a nearly singular Hessian; fastdescent's are,
and keep it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from . import FloatArray
from .cores import bound_pool

try:
    import jax
    import jax.numpy as jnp
except ImportError as error:
    MISSING: str | None = f"{error}: install the peers extra"
else:
    MISSING = None

if TYPE_CHECKING:
    from benchmarks.geometry import Points

Function: TypeAlias = "Callable[[jax.Array], jax.Array]"

SHARE = 8192
"""Points that are worked on together."""


def available() -> str | None:
    """Say whether this peer can run: None, or which library is missing."""
    return MISSING


def prepare(work: Points, threads: int, tuned: bool = False) -> Callable[[], FloatArray]:
    """Compile the spectra of a set of points and compute one share of them.

    Parameters
    ----------
    work : Points
        The landscape and the points.
    threads : int
        Number of threads.
    tuned : bool
        Whether to use the roots of the characteristic polynomial, in two dimensions only.

    Returns
    -------
    callable
        Takes nothing and returns the eigenvalues, ascending, shape (n, dim).
    """
    jax.config.update("jax_enable_x64", True)
    loss = LOSSES[work.landscape]
    eigenvalues = _roots if tuned else jnp.linalg.eigvalsh
    shares = np.array_split(work.x, -(-len(work.x) // SHARE))

    def everything(x: jax.Array) -> tuple[jax.Array, ...]:
        value, gradient = jax.value_and_grad(loss)(x)
        found = eigenvalues(jax.hessian(loss)(x))
        sizes = jnp.abs(found)
        norm = jnp.sqrt(jnp.sum(gradient**2))
        return found, value, norm, (found < 0).sum(), found.sum(), sizes.max() / sizes.min()

    compiled = jax.jit(jax.vmap(everything))

    def one(share: FloatArray) -> tuple[FloatArray, ...]:
        return tuple(np.asarray(part) for part in compiled(share))

    pool = bound_pool(threads) if tuned else None

    def run() -> FloatArray:
        done = map(one, shares) if pool is None else pool.map(one, shares)
        found, *_ = (np.concatenate(part) for part in zip(*done, strict=True))
        return found

    for size in {len(share) for share in shares}:
        one(work.x[:size])
    return run


def _roots(hessian: jax.Array) -> jax.Array:
    mean = 0.5 * (hessian[0, 0] + hessian[1, 1])
    radius = jnp.hypot(0.5 * (hessian[0, 0] - hessian[1, 1]), hessian[0, 1])
    return jnp.stack([mean - radius, mean + radius])


def _himmelblau(x: jax.Array) -> jax.Array:
    return (x[0] ** 2 + x[1] - 11.0) ** 2 + (x[0] + x[1] ** 2 - 7.0) ** 2


def _rosenbrock(x: jax.Array) -> jax.Array:
    return jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


LOSSES = {"himmelblau": _himmelblau, "rosenbrock": _rosenbrock}
