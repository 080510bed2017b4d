"""Peer: images of trainability in JAX, float64: two learning rates per cell, one training each.

    python -m benchmarks.peers.jax_trainability            # check, then speeds beside fastdescent's
    python -m benchmarks.peers.jax_trainability --check    # check only

The trainings are a ``scan`` over the steps; its carry holds the parameters and the running sums
that the measure of convergence needs, so no path is stored.  One data point is the recursion on 32
numbers, its gradient by hand; more points are ``vmap`` of ``jax.grad`` of the network.  Cells are
advanced in shares that stay in the cache, on one thread per core.

What was tried, in ns of one Zen 4 core per trajectory-step: the recursion with units first and
cells last 33 (taken), as ``vmap`` of ``scan`` over single cells 53; shares of 32 cells 58, of 64 to
512 cells 33 to 38, of 1024 cells 59; for the network shares of 4 cells 18 000, of 1 cell 20 000, of
16 cells 26 000, of 64 cells 35 000.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

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

COMPILER_OPTIONS = {"xla_cpu_prefer_vector_width": 512}
SHARES = {"one_point": 128, "full_batch": 4}
"""Cells that are advanced together, by condition."""
CAP, LAST = 1e6, 20

Image: TypeAlias = tuple[np.ndarray[Any, Any], FloatArray]
"""Which cells converged, and how fast."""


def available() -> str | None:
    """Say whether this peer can run: None, or which library is missing."""
    return MISSING


def _study() -> Any:
    """Import scripts/trainability.py, which makes the problem and holds fastdescent's side."""
    if "trainability" not in sys.modules:
        path = Path(__file__).parents[2] / "scripts" / "trainability.py"
        spec = importlib.util.spec_from_file_location("trainability", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["trainability"] = module
        spec.loader.exec_module(module)
    return sys.modules["trainability"]


def prepare(
    condition: str, size: int, window: Any, steps: int, threads: int, share: int | None = None
) -> Callable[[], Image]:
    """Compile an image's trainings and run a share of them.

    Parameters
    ----------
    condition : {"one_point", "full_batch"}
        Which network and data.
    size : int
        Cells along each side.
    window : sequence of float
        Decimal logarithms of the rates: left, right, bottom, top.
    steps : int
        Updates per training.
    threads : int
        Number of threads, each bound to a core and working on one share after the other.
    share : int, optional
        Cells that are advanced together.

    Returns
    -------
    callable
        Takes nothing; returns the image, rows from bottom to top.
    """
    jax.config.update("jax_enable_x64", True)  # type: ignore[no-untyped-call]
    study = _study()
    model, start = study.problem(condition)
    make = _one_point if condition == "one_point" else _network
    train = jax.jit(
        partial(_train, *make(model), start[0], steps), compiler_options=COMPILER_OPTIONS
    )
    rate_1, rate_2 = np.meshgrid(
        study.rates(window[0], window[1], size), study.rates(window[2], window[3], size)
    )
    count = max(1, size * size // (share or SHARES[condition]))
    shares = list(
        zip(
            np.array_split(rate_1.ravel(), count),
            np.array_split(rate_2.ravel(), count),
            strict=True,
        )
    )
    pool = bound_pool(threads)

    def run_share(rates: tuple[FloatArray, FloatArray]) -> Any:
        return [np.asarray(part) for part in train(*rates)]

    def run() -> Image:
        parts = list(pool.map(run_share, shares))
        converged, measure = (np.concatenate(column) for column in zip(*parts, strict=True))
        return converged.reshape(size, size), measure.reshape(size, size)

    for some in {len(pair[0]): pair for pair in shares}.values():
        run_share(some)  # compiles once, not in every thread
    return run


def _train(
    begin: Any, advance: Any, start: FloatArray, steps: int, rate_1: Any, rate_2: Any
) -> tuple[Any, Any]:
    """Train one share of cells; return who converged and the measure."""
    first, loss = begin(start, rate_1)
    zero = jnp.zeros_like(rate_1)

    def step(carry: Any, k: Any) -> tuple[Any, None]:
        parameters, total, inverse, tail = carry
        parameters, now = advance(parameters, rate_1, rate_2)
        relative = now / loss
        relative = jnp.where(relative < CAP, relative, CAP)
        tail = tail + jnp.where(k > steps - LAST, relative, 0.0)
        return (parameters, total + relative, inverse + 1.0 / relative, tail), None

    # Step k sees the loss after k updates; the last update needs one more look at the loss.
    places = jnp.arange(steps + 1)
    (_, total, inverse, tail), _ = jax.lax.scan(step, (first, zero, zero, zero), places)
    converged = tail / LAST < 1.0
    return converged, jnp.where(converged, total, inverse) / (steps + 1)


def _one_point(model: Any) -> tuple[Any, Any]:
    """Return start and step of the recursion: parameters are (units, cells)."""
    units, gain, scale, target = model.width, model.gain, model.scale, model.label

    def begin(start: FloatArray, rate: Any) -> Any:
        v, w = (
            jnp.broadcast_to(part[:, None], (units, len(rate)))
            for part in (start[:units], start[units:])
        )
        return (v, w), (scale * (w * jnp.tanh(gain * v)).sum(axis=0) - target) ** 2

    def advance(parameters: Any, rate_1: Any, rate_2: Any) -> Any:
        v, w = parameters
        h = jnp.tanh(gain * v)
        error = scale * (w * h).sum(axis=0) - target
        slope = 2.0 * scale * error
        v_next = v - rate_1 * slope * gain * (w * (1.0 - h * h))
        return (v_next, w - rate_2 * slope * h), error * error

    return begin, advance


def _network(model: Any) -> tuple[Any, Any]:
    """Return start and step of the network on all its data: parameters are (cells, ...)."""
    x, y = jnp.asarray(model.samples.x), jnp.asarray(model.samples.y[:, 0])
    hidden, inputs = model.widths[0], x.shape[1]
    inner, outer = model.scales

    def loss(parameters: Any) -> Any:
        first, last = parameters
        return jnp.mean((outer * (jnp.tanh(inner * (x @ first)) @ last) - y) ** 2)

    def begin(start: FloatArray, rate: Any) -> Any:
        first = start[: hidden * inputs].reshape(hidden, inputs).T
        last = start[hidden * inputs :]
        parameters = tuple(
            jnp.broadcast_to(part, (len(rate), *part.shape)) for part in (first, last)
        )
        return parameters, jax.vmap(loss)(parameters)

    def advance(parameters: Any, rate_1: Any, rate_2: Any) -> Any:
        now, (of_first, of_last) = jax.vmap(jax.value_and_grad(loss))(parameters)
        first, last = parameters
        return (
            first - rate_1[:, None, None] * of_first,
            last - rate_2[:, None] * of_last,
        ), now

    return begin, advance


def check(condition: str, size: int, threads: int) -> None:
    """Assert that both programs find the same image.

    Roundings differ and are amplified near the edge and on chaotic transients, so a few cells may
    differ there; everywhere else the measures are equal to many digits.
    """
    study = _study()
    window = study.Window(*study.WINDOW)
    converged, measure = prepare(condition, size, window, 500, threads)()
    frame = study.compute(condition, size, window, threads=threads, every=1)
    same = converged == frame.converged
    error = np.abs(measure / frame.measure - 1.0)[same]
    print(
        f"{condition}: {size} x {size} cells, {np.count_nonzero(~same)} differ in outcome, "
        f"measures differ by {np.median(error):.1e} in the median, by more than 1e-9 in "
        f"{np.mean(error > 1e-9):.1%}"
    )
    assert np.mean(same) > 0.98, f"{condition}: {np.mean(~same):.1%} of the outcomes differ"
    assert np.median(error) < 1e-12, f"{condition}: the measures differ by {np.median(error)}"


def speeds(condition: str, size: int, threads: int, rounds: int) -> str:
    """Time both programs in turn on the same image; return a line with the best of each.

    The time of the processor is the better measure where other programs want it, too.
    """
    study = _study()
    window, steps = study.Window(*study.WINDOW), 500
    peer = prepare(condition, size, window, steps, threads)
    own = partial(study.compute, condition, size, window, steps, threads=threads)
    best: dict[str, FloatArray] = {}
    for name, run in rounds * (("fastdescent", own), ("JAX", peer)):
        before = np.array([time.perf_counter(), time.process_time()])
        run()
        took = np.array([time.perf_counter(), time.process_time()]) - before
        best[name] = np.minimum(best.get(name, np.inf), took)
    work = size * size * steps / 1e6
    said = [
        f"{name} {work / wall:.3g} M trajectory-steps/s, {1e3 * cpu / work:.3g} ns of processor"
        for name, (wall, cpu) in best.items()
    ]
    ratio = best["JAX"] / best["fastdescent"]
    return (
        f"{condition}, {size} x {size} x {steps}, {threads} threads, best of {rounds}: "
        f"{'; '.join(said)}; ratio {ratio[0]:.2f} by the clock, {ratio[1]:.2f} by the processor"
    )


def main() -> None:
    """Check and measure."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare the images only")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    if MISSING is not None:
        raise SystemExit(MISSING)
    check("one_point", 64, given.threads)
    check("full_batch", 16, given.threads)
    if not given.check:
        print(speeds("one_point", 256, given.threads, given.rounds), flush=True)
        print(speeds("full_batch", 32, given.threads, given.rounds), flush=True)


if __name__ == "__main__":
    main()
