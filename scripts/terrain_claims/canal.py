"""Steps and eigenvectors along a canal."""

from __future__ import annotations

from functools import partial

import numpy as np

import fastdescent as fd
from terrain_claims.claim import (
    GD,
    Adam,
    Claim,
    Momentum,
    Size,
)

#: Rules with their learning rates.
CANAL: dict[str, tuple[fd.Optimizer, float]] = {
    "descent, 0.0003": (GD(0.0003), 0.0003),
    "descent, 0.0015": (GD(0.0015), 0.0015),
    "heavy ball, 0.0003": (Momentum(0.0003, beta=0.9), 0.0003),
    "Adam, 0.01": (Adam(0.01), 0.01),
}


def top_angle(x: float, y: float) -> float:
    """Return the angle of the top eigenvector of Rosenbrock's Hessian, in degrees, mod 180."""
    a, b, c = 1200.0 * x * x - 400.0 * y + 2.0, -400.0 * x, 200.0
    return float(np.degrees(0.5 * np.arctan2(2.0 * b, a - c)) % 180.0)


def canal(size: Size) -> Claim:
    """Follow the steep direction along Rosenbrock's canal, and the steps' cosines."""
    rosenbrock, (steps, count) = fd.landscapes.Rosenbrock(dim=2), size.canal
    turn = top_angle(1.0, 1.0) - top_angle(-2.0, 2.0)
    rows, runs, terrains, checks = [], {}, {}, {}
    for name, (rule, rate) in CANAL.items():
        go = partial(fd.simulate, rosenbrock, rule, steps=steps, stop=fd.Stop(loss=1e-8))
        ds = go(starts=[[-2.0, 2.0]], record=fd.record.every(1))
        along = runs[name] = fd.geometry.spectrum_along(ds, rosenbrock).isel(start=0)
        n = int(along.steps)
        rotation = float(np.degrees(np.nansum(along.rotation[: n + 1])))
        steep = rate * along.sharpness[1:n].values > 1.0
        jumps = steep & (along.step_cosine[1:n].values < 0.0)
        # Rotations add up without sign, so no run along the canal can turn less; 1 degree of
        # the end is left at a loss of 1e-8, whose ellipse has the half axis 2e-4.
        checks[f"{name} turns"] = n == steps or rotation > turn - 1.0
        # Jumping dies out, here within 200 steps.
        checks[f"{name} does not jump"] = not steep.any() or not jumps[200:].any()
        ds = go(starts=fd.starts.Uniform(count=count), record=fd.record.every(20))
        terrains[name] = fd.geometry.terrain_time(ds, rosenbrock)
        spent = terrains[name].sel(region="canal")
        mean, low, high = (
            100.0 * float(spent[f"fraction{end}"]) for end in ("", "_lower", "_upper")
        )
        last = f"{np.flatnonzero(jumps)[-1] + 1:,}" if jumps.any() else "-"
        line = (name, f"{n:,}", f"{rotation:.1f}", f"{turn:.1f}", f"{100.0 * steep.mean():.3g} %")
        rows.append((*line, f"{jumps.sum():,}", last, f"{mean:.3g} % [{low:.3g}, {high:.3g}]"))
    return Claim(
        "2. Canal",
        "In a curved canal the Hessian's eigenvectors turn along the way, and steps jump from "
        "wall to wall.",
        ("rule, eta", "steps", "rotation", "exact turn", "eta L > 1", "jumps", "last", "in canal"),
        rows,
        "They turn; they need not jump.",
        "Rosenbrock from (-2, 2) down to a loss of 1e-8. Rotation adds up the angles, in degrees, "
        "between top eigenvectors at successive steps; those of start and minimum are apart by the "
        "exact turn, the way the canal bends (at x = 0 they point along y), and more is zigzag. "
        "eta L > 1, with L the top eigenvalue on the spot, does "
        "*not* keep descent jumping: its oscillation is multiplied by 1 - eta L at each step, so "
        "it dies out for eta L < 2, and what is left follows the floor. Jumps are those of these "
        "steps whose next one goes back (negative cosine). The last column is the share of steps "
        f"that {count} uniform starts spend in region canal.",
        checks,
        {"turn": turn, "runs": runs, "terrain": terrains},
    )
