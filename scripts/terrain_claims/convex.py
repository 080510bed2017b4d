"""Convex functions, and the edge of stability."""

from __future__ import annotations

from functools import partial

import numpy as np

import fastdescent as fd
from terrain_claims.claim import (
    GD,
    SEED,
    SIGMAS,
    Claim,
    Momentum,
    Rows,
    Size,
    agrees,
    share,
)

#: Share of [-10, 10] from which heavy ball cycles on Lessard's function (reference table, V15).
CYCLING = 0.1028


def trough(count: int) -> tuple[Rows, dict[str, bool]]:
    """Return where descent ends on a convex function with an interval of minimisers."""
    landscape = fd.landscape(
        "max(abs(x) - 1, 0)**2", dim=1, domain=(-3.0, 3.0), minimum=0.0, name="trough"
    )
    ds = fd.simulate(landscape, GD(0.25), starts=fd.starts.Uniform(count=count), steps=200)
    ends = ds.position.values[:, 0]
    still = int((ds.position == ds.initial).sum())
    return [
        ("max(abs(x) - 1, 0)^2: start is a minimiser", share(still, count), "1/3"),
        ("the same: ends from, to", f"{ends.min():.6f}, {ends.max():.6f}", "-1, 1"),
    ], {
        "an interval of minimisers": agrees(still, count, 1.0 / 3.0),
        "its ends": abs(ends.min() + 1.0) < 1e-9 and abs(ends.max() - 1.0) < 1e-9,
    }


def bowl() -> tuple[Rows, dict[str, bool]]:
    """Return how far descent is from the minimum of x^2 / 2 in the end, by learning rate."""
    rates = [1.9, 1.99, 2.0, 2.01, 2.1]
    stop = fd.Stop(radius=1e6)
    ds = fd.simulate(fd.landscapes.Bowl(dim=1), GD(rates), starts=[[1.0]], steps=3000, stop=stop)
    last = abs(ds.position.values.ravel())
    said = [f"{x:.0e}" if x < 1.0 else f"{x:g}" if x < 1e6 else "diverged" for x in last]
    return [
        (f"x^2/2, eta = {rate}: last abs(x)", found, exact)
        for rate, found, exact in zip(
            rates, said, ("0", "0", "1, for ever", "infinity", "infinity"), strict=True
        )
    ], {"2/L": bool((last[:2] < 1e-12).all() and last[2] == 1.0 and (last[3:] > 1e6).all())}


def lessard(count: int) -> tuple[Rows, dict[str, bool]]:
    """Return from how many starts tuned heavy ball never converges on Lessard's function."""
    ds = fd.simulate(
        fd.landscapes.Lessard(),
        Momentum(1.0 / 9.0, beta=4.0 / 9.0),
        starts=fd.starts.Uniform(-10.0, 10.0, count=count),
        seed=SEED,
        steps=1000,
    )
    cycling = int((abs(ds.position.values) > 1e-6).sum())
    what = "Lessard's function, tuned heavy ball cycles"
    exact = f"{100.0 * CYCLING:.2f} %"
    return [(what, share(cycling, count), exact)], {"Lessard": agrees(cycling, count, CYCLING)}


def convex(size: Size) -> Claim:
    """Show convex functions on which there are many minimisers, or no convergence."""
    parts = (trough(size.starts), bowl(), lessard(size.starts))
    return Claim(
        "9. Convex",
        "A convex function has one minimum, and on it we always find the best solution.",
        ("experiment", "measured", "exact"),
        [row for rows, _ in parts for row in rows],
        "Wrong, all of it.",
        "The minimisers of a convex function form a convex set, not a point; a third of the "
        "uniform starts in [-3, 3] are of it. Descent diverges for eta > 2/L. And heavy ball, with "
        "the constants that are best for quadratics of the same curvatures, ends in a 3-cycle on "
        "a strongly convex function (Lessard, Recht and Packard 2016), from a tenth of all starts "
        "in [-10, 10].",
        {name: holds for _, checks in parts for name, holds in checks.items()},
    )


#: Reference share (table, V17) of starts with a sharpness above 2 / 0.2 that converge all the same,
#: which was printed with two digits.
SAVED = 0.80


def edge(size: Size) -> Claim:
    """Compare sharpness at the ends of runs on (x y - 1)^2 / 2 with the first one."""
    product = fd.landscape("(x*y - 1)**2/2", domain=[(-4.0, 4.0), (-4.0, 4.0)], minimum=0.0)
    go = partial(fd.simulate, product, seed=SEED)
    rows, checks, data = [], {}, {}
    for rate in (0.1, 0.2, 0.4):
        ds = go(
            GD(rate),
            starts=fd.starts.Uniform(count=size.starts),
            steps=size.edge,
            stop=fd.Stop(loss=1e-24, radius=1e6),
        )
        done, limit = ds.status.values == 1, 2.0 / rate
        first, last = ((ds[name].values ** 2).sum(axis=1) for name in ("initial", "position"))
        sharp = first > limit
        saved = int((sharp & done).sum())
        # Ends are within 1e-12 of the curve x y = 1.
        checks[f"eta {rate}"] = bool(last[done].max() <= limit * (1.0 + 1e-9))
        if rate == 0.2:
            error = 0.005 + SIGMAS * np.sqrt(SAVED * (1.0 - SAVED) / sharp.sum())
            checks["sharp starts that converge"] = abs(saved / sharp.sum() - SAVED) < error
            data = {"first": first[done], "last": last[done], "limit": limit}
        converged, of_sharp = share(int(done.sum()), size.starts), share(saved, int(sharp.sum()))
        rows.append((f"{rate}", converged, of_sharp, f"{last[done].max():.4f}", f"{limit:g}"))
    start = [[3.4, 0.3]]
    run = go(GD(0.2), starts=start, steps=60, record=fd.record.every(1))
    x, y = run.path.values[0].T
    # From an identity of the update; 60 roundings of numbers of size 10.
    kept = (x * x - y * y)[1:] - (1.0 - 0.04 * (x * y - 1.0)[:-1] ** 2) * (x * x - y * y)[:-1]
    checks["x^2 - y^2 shrinks by 1 - eta^2 (x y - 1)^2"] = bool(abs(kept).max() < 1e-13 * 60)
    data["run"] = fd.geometry.spectrum_along(run, product, count=(0, 1))
    return Claim(
        "The edge of stability",
        "Descent converges only to minima that are flat enough for its learning rate.",
        ("eta", "converged", "of starts with s > 2/eta", "sharpest end", "2/eta"),
        rows,
        "True, and a sharp start is no obstacle.",
        f"(xy - 1)²/2 from {size.starts:,} uniform starts in [-4, 4]². At its minima the sharpness "
        "is s = x² + y². No converged run ends above 2/eta, and of those that start above it "
        "many converge, after bouncing to where the surface is flatter.",
        checks,
        data,
    )
