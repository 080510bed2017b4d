"""Plateaus and flat wells."""

from __future__ import annotations

import numpy as np

import fastdescent as fd
from terrain_claims.claim import (
    GD,
    Adam,
    Claim,
    Momentum,
    Size,
    steps_to,
)


def travelled(rule: fd.Optimizer, slope: float, steps: int) -> float:
    """Return how far a rule goes down a constant slope, in learning rates."""
    k = np.arange(1.0, steps + 1.0)
    match rule:
        case fd.optimizers.Momentum(beta=float(b)):
            return float(slope * ((1.0 - b**k) / (1.0 - b)).sum())
        case fd.optimizers.Adam(epsilon=float(epsilon)):
            return steps * slope / (slope + epsilon)
        case fd.optimizers.RMSProp(rho=float(rho), epsilon=float(epsilon)):
            return float((slope / (np.sqrt(1.0 - rho**k) * slope + epsilon)).sum())
        case fd.optimizers.AdaGrad(epsilon=float(epsilon)):
            return float((slope / (np.sqrt(k) * slope + epsilon)).sum())
    return slope * steps


def flat(size: Size) -> Claim:
    """Distances on constant slopes, and times on x^4 and x^6."""
    rate, steps, slopes = 0.01, 10_000 if size.starts >= 1000 else 300, (1e-2, 1e-6, 1e-9)
    plane = fd.landscape("s*x", dim=1, params={"s": slopes})
    rows, checks = [], {}
    optimizers = fd.optimizers
    for rule in (
        GD(rate),
        Momentum(rate, beta=0.9),
        optimizers.AdaGrad(rate),
        optimizers.RMSProp(rate),
        Adam(rate),
    ):
        ds = fd.simulate(plane, rule, starts=[[0.0]], steps=steps)
        found = -ds.position.values.ravel() / rate
        exact = np.array([travelled(rule, slope, steps) for slope in slopes])
        # The sum of 1e4 numbers, each rounded.
        checks[rule.name] = bool(np.allclose(found, exact, rtol=1e-9))
        cells = (f"{a:.6g} ({b:.6g})" for a, b in zip(found, exact, strict=True))
        rows.append((f"{rule.name}, steps of eta", *cells))
    return Claim(
        "3. Flat",
        "Where gradient and curvature are almost zero, optimizers are slow.",
        ("rule or function", *(f"slope {slope:g}" for slope in slopes)),
        rows,
        "Conditional: on the rule, and for Adam on its epsilon.",
        f"First {steps:,} steps down a constant slope, in brackets the exact sum. Descent and "
        "heavy ball go in proportion to the slope; Adam and RMSProp make steps of eta whatever "
        "it is, *but only while it is above epsilon* = 1e-8; AdaGrad goes like 2 eta sqrt(t).",
        checks,
    )


def flat_wells(size: Size) -> Claim:
    """Time rules in wells without curvature."""
    rate, budget = 0.1, 40_000 if size.starts >= 1000 else 1000
    rows, checks = [], {}
    for power, ends in ((4, (0.1, 0.02)), (6, (0.4, 0.1))):
        well = fd.landscape(f"x**{power}/{power}", dim=1, minimum=0.0)
        for end in ends:
            flow = (end ** (2 - power) - 1.0) / ((power - 2) * rate)
            if flow > budget:
                continue
            times = [
                int(steps_to(well, rule, [[1.0]], end**power / power, budget)[0])
                for rule in (GD(rate), Momentum(rate, beta=0.9), Adam(rate))
            ]
            # Next order in eta: x^(2-p) grows by (p-2) eta + (p-2)(p-1)/2 (eta x^(p/2-1))^2.
            expected = flow + 0.5 * (power - 1) * np.log(end)
            checks[f"x^{power} to {end}"] = abs(times[0] - expected) < 1.5
            cells = (f"{n:,}" for n in (times[0], round(expected), *times[1:]))
            rows.append((f"x^{power}/{power}", f"{end}", *cells))
    return Claim(
        "3b. Flat wells",
        "A minimum without curvature is reached slowly.",
        ("function", "from 1 to", "descent, steps", "by the formula", "heavy ball", "Adam"),
        rows,
        "True for descent, which has no rate there at all.",
        f"eta = {rate}. Descent follows the gradient flow, x = (1 + 2 eta t)^(-1/2) on x^4/4 and "
        "(1 + 4 eta t)^(-1/4) on x^6/6, ahead of it by ln(1/x) (p - 1)/2 steps; each further digit "
        "of x costs 100 or 10,000 times as many steps. Heavy ball and Adam come in with the speed "
        "from the walls; they are quick to pass the minimum, which is not to stay there.",
        checks,
    )
