"""What curvature says about critical points, and who stays at a maximum."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

import fastdescent as fd
from fastdescent.parts import IntArray
from terrain_claims.claim import (
    GD,
    SEED,
    Claim,
    Rows,
    Size,
    agrees,
    share,
    window,
)


def curvature(size: Size) -> Claim:
    """Compare the classifier where the Hessian is zero with what the function does."""
    circle = np.linspace(0.0, 2.0 * np.pi, 721)
    ring = 0.1 * np.stack([np.cos(circle), np.sin(circle)], axis=1)
    rows, checks = [], {}
    for formula, truth in (
        ("x**4 + y**4", "minimum"),
        ("x**4 - y**4", "saddle"),
        ("x**3 - 3*x*y**2", "saddle"),
        ("-x**4 - y**4", "maximum"),
    ):
        landscape = fd.landscape(formula, domain=[(-1.0, 1.0), (-1.0, 1.0)])
        kind = str(fd.geometry.classify_points(landscape, [[0.0, 0.0]]).kind.item())
        values = landscape.value(ring)
        around = "saddle" if values.min() < 0.0 < values.max() else "minimum"
        around = "maximum" if values.max() < 0.0 else around
        checks[formula] = kind == "degenerate" and around == truth
        eigenvalues = fd.geometry.spectrum(landscape, [[0.0, 0.0]]).eigenvalues.values[0] + 0.0
        rows.append(
            (
                formula.replace("**", "^"),
                ", ".join(f"{v:g}" for v in eigenvalues),
                kind,
                f"{values.min():.2g} to {values.max():.2g}",
                around,
            )
        )
    return Claim(
        "6. Positive semidefinite",
        "A local minimum has zero gradient and a positive semidefinite Hessian.",
        ("function", "eigenvalues at 0", "classified", "values at distance 0.1", "truth"),
        rows,
        "Necessary, not sufficient.",
        "Four functions with the same gradient and the same Hessian at the origin, both zero: a "
        "minimum, a maximum and two saddles. The classifier says that it does not know.",
        checks,
    )


COUNTS = {"Himmelblau": (4, 4, 1), "SixHumpCamel": (6, 7, 2), "Rastrigin": (121, 220, 100)}


def classified(size: Size) -> Claim:
    """Count all critical points of three functions by kind."""
    rows, checks = [], {}
    for name, known in COUNTS.items():
        landscape = fd.landscapes.get(name)(**({"dim": 2} if name == "Rastrigin" else {}))
        ds = fd.geometry.find_critical_points(landscape)
        kinds = ds.kind.values.tolist()
        found = tuple(kinds.count(kind) for kind in ("minimum", "saddle", "maximum"))
        margin = np.abs(ds.eigenvalues.values).min()
        checks[name] = found == known and ds.attrs["complete"] == "certified"
        rows.append(
            (
                name,
                " / ".join(map(str, found)),
                " / ".join(map(str, known)),
                str(ds.attrs["complete"]),
                f"{margin:.3g}",
            )
        )
    return Claim(
        "7. Curvature tells everything",
        "A zero gradient tells nothing about a point, its curvature everything.",
        (
            "landscape",
            "minima / saddles / maxima",
            "known",
            "complete",
            "least eigenvalue in size",
        ),
        rows,
        "Wrong where an eigenvalue is zero, right elsewhere.",
        "At the critical points of these three no eigenvalue is near zero, so curvature decides "
        "all of them, and interval arithmetic proves that none is missing. In table 6 it decides "
        "nothing.",
        checks,
    )


#: Shares of runs of descent on (x^2 - 1)^2 / 4 that are within 0.1 of 0 after many steps, by
#: learning rate.  From |x| < sqrt(2) they converge below 1; at 1.5 they end in a well between
#: 0.231 and 1.242, the largest value of x + eta x (1 - x^2) and where that goes; at 2 the map
#: is the Chebyshev polynomial T3, whose law is that of sqrt(2) cos u with u uniform.
NEAR_TOP: dict[float, float | None] = {
    0.19: 0.0,
    0.5: 0.0,
    0.99: 0.0,
    1.5: 0.0,
    1.9: None,
    2.0: float(2.0 / np.pi * np.arcsin(0.1 / np.sqrt(2.0))),
}


def near_top(rates: ArrayLike, count: int) -> IntArray:
    """Return how many runs on the double well are within 0.1 of its maximum in the end."""
    ds = fd.simulate(
        fd.landscapes.SymmetricDoubleWell(),
        GD(np.asarray(rates, dtype=float).tolist()),
        starts=fd.starts.Uniform(-np.sqrt(2.0), np.sqrt(2.0), count=count),
        seed=SEED,
        steps=200,
    )
    return np.asarray((abs(ds.position.values[..., 0]) < 0.1).sum(axis=-1))


def on_double_well(count: int) -> tuple[Rows, dict[str, bool]]:
    """Return how many runs end near the double well's maximum, and who stays exactly on it."""
    rows: Rows = []
    checks = {}
    rates = list(NEAR_TOP)
    for rate, found in zip(rates, near_top(rates, count).tolist(), strict=True):
        right = NEAR_TOP[rate]
        if right is not None:
            checks[f"eta {rate}"] = agrees(found, count, right)
        said = "-" if right is None else f"{100.0 * right:.3g} %"
        rows.append((f"double well, eta = {rate:g}", share(found, count), said))
    ds = fd.simulate(
        fd.landscapes.SymmetricDoubleWell(), GD(0.1), starts=[[0.0], [1e-9]], steps=1000
    )
    ends = ds.position.values.ravel().tolist()
    checks["exactly there"] = ends[0] == 0.0 and abs(ends[1] - 1.0) < 1e-12
    rows.append(
        ("double well from 0 and from 1e-9", f"ends at {ends[0]:g} and {ends[1]:g}", "0, 1")
    )
    return rows, checks


def on_himmelblau(count: int) -> tuple[Rows, dict[str, bool]]:
    """Return the same for Himmelblau, whose maximum is no floating-point number."""
    landscape = fd.landscapes.Himmelblau()
    steepest = float(fd.geometry.spectrum(landscape, window(landscape, 10_000)).sharpness.max())
    points = fd.geometry.find_critical_points(landscape)
    (top,) = points.position.values[points.kind.values == "maximum"]
    starts = fd.starts.Uniform(count=count)
    ds = fd.simulate(landscape, GD(0.99 / steepest), starts=starts, seed=SEED, steps=300)
    near = int((np.linalg.norm(ds.position.values - top, axis=1) < 0.1).sum())
    steps = 1000
    away = fd.simulate(
        landscape,
        GD(0.5 / steepest),
        starts=[top, top + 1e-9],
        steps=steps,
        record=fd.record.every(1),
    )
    left = fd.geometry.escape_time(away, top, 0.1).values.tolist()
    said = [f"leaves after {n} steps" if n >= 0 else f"stays for {steps:,} steps" for n in left]
    return [
        ("Himmelblau, eta = 0.99 / L", share(near, count), "0 %"),
        ("Himmelblau from its maximum, rounded", said[0], "-"),
        ("Himmelblau from 1e-9 beside it", said[1], "-"),
    ], {"Himmelblau": near == 0, "Himmelblau's maximum": left[0] == -1 and left[1] > 0}


def maximum(size: Size) -> Claim:
    """Count the runs that end near a maximum, against the learning rate."""
    count = size.starts
    well, himmelblau = on_double_well(count), on_himmelblau(count)
    sweep = np.linspace(0.1, 2.0, 96 if count >= 1000 else 5)
    return Claim(
        "8. Maximum",
        "Optimizers rarely stay at a maximum, unless the learning rate is absurd.",
        ("runs", "within 0.1 of a maximum in the end", "exact"),
        well[0] + himmelblau[0],
        "True, and more than that.",
        f"{count:,} uniform starts, on the double well in [-√2, √2], which eta = 2 maps to "
        "itself. With eta below 1/L no run ends there, and on (x² - 1)²/4 none does up to "
        "eta = 1, five times 1/L, nor at 1.5, where the minima are unstable but runs keep to "
        "|x| > 0.23 in their well. At eta = 2 descent is the Chebyshev map T3 and its runs are "
        "spread by the arcsine law, some of them near the maximum by chance; none stays. From "
        "exactly 0 a run stays for ever, and from Himmelblau's maximum rounded to floating point, "
        "too: there eta times the gradient is lost in rounding.",
        well[1] | himmelblau[1],
        {"rates": sweep, "near": near_top(sweep, count // 5) / (count // 5)},
    )
