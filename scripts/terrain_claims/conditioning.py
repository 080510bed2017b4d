"""Condition numbers and steps."""

from __future__ import annotations

import numpy as np

import fastdescent as fd
from fastdescent.parts import FloatArray, IntArray
from terrain_claims.claim import (
    GD,
    Claim,
    Momentum,
    Size,
    number,
    steps_to,
    window,
)

RATIO = 1e-12


def descent_steps(kappa: float, ratio: float = RATIO) -> int:
    """Return the steps of gradient descent with its best rate to a loss smaller by `ratio`.

    Both ends of the spectrum shrink by (kappa - 1) / (kappa + 1) a step, so the start's
    direction does not matter.
    """
    return int(np.ceil(0.5 * np.log(ratio) / np.log((kappa - 1.0) / (kappa + 1.0))))


def momentum_steps(kappa: float, angle: FloatArray, ratio: float = RATIO) -> IntArray:
    """Return the same for heavy ball, tuned; `angle` says how the loss is shared at the start.

    With rho = (sqrt kappa - 1) / (sqrt kappa + 1) both modes have a double root, rho and -rho:
    from rest they are (1 + (1 -+ rho) t) (+-rho)^t.
    """
    root = np.sqrt(kappa)
    rho = (root - 1.0) / (root + 1.0)
    t = np.arange(int(40.0 * root) + 40)
    soft, steep = ((1.0 + factor * t) * rho**t for factor in (1.0 - rho, 1.0 + rho))
    loss = (np.cos(angle)[:, None] * soft) ** 2 + (np.sin(angle)[:, None] * steep) ** 2
    return np.asarray(np.argmax(loss <= ratio, axis=1))


def on_ravine(kappa: float, angle: FloatArray) -> FloatArray:
    """Return the steps of descent and of heavy ball, each with its best constants.

    The starts have the same loss, shared by the two axes as the angles say.
    """
    ravine, root = fd.landscapes.Ravine(condition_number=kappa), np.sqrt(kappa)
    starts = np.stack([np.cos(angle), np.sin(angle) / root], axis=1)
    beta = ((root - 1.0) / (root + 1.0)) ** 2
    rules = (GD(1.0 / (kappa + 1.0)), Momentum(2.0 / (root + 1.0) ** 2, beta=beta))
    budget = 2 * descent_steps(kappa)
    return np.array([steps_to(ravine, rule, starts, RATIO, budget) for rule in rules])


def condition_number(size: Size) -> Claim:
    """Count the steps against condition number on quadratics."""
    angle = 2.0 * np.pi * (np.arange(16) + 0.5) / 16
    steps = np.array([on_ravine(kappa, angle) for kappa in size.kappas])
    rows, checks = [], {}
    for kappa, (descent, ball) in zip(size.kappas, steps, strict=True):
        first, second = descent_steps(kappa), momentum_steps(kappa, angle)
        # A loss that reaches the target within rounding may do so one step later.
        close = (abs(descent - first) <= 1) & (abs(ball - second) <= 1)
        checks[f"kappa {kappa:.4g}"] = bool(close.all())
        spans = (f"{some.min():,} to {some.max():,}" for some in (ball, second))
        said = f"{kappa:,.1f}".removesuffix(".0")  # 31.6 takes 219 steps, 32 takes 221
        rows.append((said, f"{descent.max():,}", f"{first:,}", *spans))
    decades = np.diff(np.log(size.kappas[-2:]))[0]
    slopes = np.diff(np.log(steps[-2:].mean(axis=2)), axis=0)[0] / decades
    # The logarithm adds about 1 / ln(1 / RATIO) to heavy ball's slope.
    checks["slopes 1 and 1/2"] = abs(slopes[0] - 1.0) < 0.02 and abs(slopes[1] - 0.5) < 0.05
    rows.append(("last slope", f"{slopes[0]:.4f}", "1", f"{slopes[1]:.4f}", "1/2"))
    return Claim(
        "1. Condition number",
        "A valley is well conditioned, a ravine is not: the ratio of the eigenvalues decides how "
        "long descent takes.",
        ("kappa", "descent, steps", "exact", "heavy ball, steps", "exact"),
        rows,
        "True for quadratics.",
        "Both rules have the best constants for x² + kappa y²; steps are those until the loss is "
        "1e-12 of the first one, over 16 directions of the start. Heavy ball's slope is 1/2 but "
        "for a logarithm: its modes have double roots, and the steep one is "
        "(1 + (1 + rho) t) (-rho)^t, which takes the longer to shrink the more steps there are.",
        checks,
        {"kappa": np.array(size.kappas), "steps": steps},
    )


def from_window(landscape: fd.Landscape, rate: float, count: int) -> tuple[int, FloatArray]:
    """Return which of eight halvings of the rate brings most starts to the minimum, and the steps.

    Steps, (halvings, starts), are -1 where the start does not arrive.
    """
    rates = (rate * 0.5 ** np.arange(8.0)).tolist()
    steps = steps_to(landscape, GD(rates), window(landscape, count), 1e-10, 100_000).values
    return int(np.argmax((steps >= 0).mean(axis=1))), steps


def at_minimum(name: str) -> tuple[float, float, float, tuple[str, ...]]:
    """Return kappa at a landscape's minimum, median steps from close by and from the window.

    The last value is a line of the table.
    """
    cls = fd.landscapes.get(name)
    landscape = cls(dim=2) if name == "Rosenbrock" else cls()
    minima = landscape.minima
    assert minima is not None
    found = fd.geometry.spectrum(landscape, minima[:1], vectors=True)
    values, vectors = found.eigenvalues.values[0], found.eigenvectors.values[0]
    kappa, rate = float(found.condition_number[0]), 2.0 / float(values.sum())
    # Places on the ellipse of height 1e-4, as a quadratic would have it.
    angle = 2.0 * np.pi * (np.arange(16) + 0.5) / 16
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    starts = minima[0] + (circle * np.sqrt(2e-4 / values)) @ vectors.T
    steps = steps_to(landscape, GD(rate), starts, 1e-10, 20 * descent_steps(kappa))
    near = float(np.median(steps))
    best, wide = from_window(landscape, rate, 200)
    arrived = 100.0 * (wide >= 0).mean(axis=1)
    times = np.quantile(wide[best][wide[best] >= 0], [0.5, 0.9], method="inverted_cdf")
    line = (name, number(kappa), f"{descent_steps(kappa, 1e-6):,}", f"{near:,.0f}")
    spent = ", ".join(f"{n:,}" for n in times)
    shares = (f"{arrived[0]:.3g} %", f"eta / {2**best}", f"{arrived[best]:.3g} %")
    return kappa, near, float(times[0]), (*line, *shares, spent)


def catalogue(size: Size) -> Claim:
    """Compare condition numbers of the catalogue's minima with the steps that descent takes."""
    found = sorted(at_minimum(name) for name in size.catalogue)
    kappas, near, far = np.array([some[:3] for some in found]).T
    exact = np.array([descent_steps(kappa, 1e-6) for kappa in kappas])
    # Third derivatives are not negligible on the ellipse; factors of kappa would be.
    checks = {"steps near minima": bool((abs(np.log(near / exact)) < np.log(1.5)).all())}
    return Claim(
        "1b. Condition number at the catalogue's minima",
        "The same at minima of functions that are not quadratic.",
        (
            "landscape",
            "kappa",
            "by the formula",
            "from close by",
            "arrive, eta",
            "best eta",
            "arrive",
            "steps, 50 and 90 %",
        ),
        [line for *_, line in found],
        "Kappa tells the end of the way, not the way.",
        "eta = 2 / (L + mu) with the eigenvalues at a global minimum. From close by (16 starts of "
        "height 1e-4, down to 1e-10) the formula for quadratics holds; from 200 uniform starts in "
        "the window the same rate may diverge, or a start go to another minimum; the best of eta, "
        "eta / 2, ..., eta / 128 is given, with quantiles of the steps of those that arrive.",
        checks,
        {"kappa": kappas, "near": near, "far": far},
    )
