"""Whether the intervals of terrain times cover the truth as often as they say."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

import fastdescent as fd
from terrain_claims.claim import GD, SEED, SIGMAS, Claim, Size

STEPS, EVERY = 300, 10


def ensemble(count: int, seed: int) -> xr.Dataset:
    """Return runs of descent on Rosenbrock; some are trapped in one region for all their life."""
    return fd.simulate(
        fd.landscapes.Rosenbrock(dim=2),
        GD(1e-3),
        starts=fd.starts.Uniform(count=count),
        seed=seed,
        steps=STEPS,
        record=fd.record.every(EVERY),
        stop=fd.Stop(loss=1e-6, radius=1e3),
    )


def in_replicas(ds: xr.Dataset, replicas: int, starts: int) -> xr.Dataset:
    """Return some runs as replicas of a smaller ensemble, along a dimension of their own."""
    pairs = pd.MultiIndex.from_product(
        [range(replicas), range(starts)], names=["replica", "one_start"]
    )
    some = ds.isel(start=slice(replicas * starts)).drop_vars("start")
    coords = xr.Coordinates.from_pandas_multiindex(pairs, "start")
    return some.assign_coords(coords).unstack("start").rename(one_start="start")


def covered(ds: xr.Dataset, truth: xr.Dataset, name: str) -> xr.DataArray:
    """Return the share of replicas whose interval holds the truth, where they have one."""
    low, high = ds[f"{name}_lower"], ds[f"{name}_upper"]
    holds = (low <= truth[name]) & (truth[name] <= high)
    return holds.where(low.notnull()).mean("replica")


def coverage(size: Size) -> Claim:
    """Coverage of `terrain_time`'s intervals, from replicas of ensembles of several sizes."""
    replicas, counts, many = size.coverage
    landscape = fd.landscapes.Rosenbrock(dim=2)
    scale = fd.geometry.scales(landscape)
    truth = fd.geometry.terrain_time(ensemble(many, SEED + 1), landscape, scale=scale)
    runs = ensemble(replicas * max(counts), SEED)
    found = {
        n: fd.geometry.terrain_time(in_replicas(runs, replicas, n), landscape, scale=scale)
        for n in counts
    }
    names = [str(name).removesuffix("_lower") for name in truth if str(name).endswith("_lower")]
    rows: list[tuple[str, ...]] = []
    checks: dict[str, bool] = {}
    # From then on they may miss a little more often than they say.
    least = 0.93 - SIGMAS * float(np.sqrt(0.93 * 0.07 / replicas))
    for name in names:
        by_size = {n: covered(ds, truth, name) for n, ds in found.items()}
        enough = 200 if name.startswith("dwell") else 50
        for place in np.ndindex(truth[name].shape):
            at = dict(zip(truth[name].dims, place, strict=True))
            right = float(truth[name][at])
            shares = {n: float(share[at]) for n, share in by_size.items()}
            if not right > 5e-5 or np.isnan(list(shares.values())).any():
                continue
            labels = [str(truth[dim][k].item()) for dim, k in at.items()]
            cells = (f"{100.0 * share:.1f} %" for share in shares.values())
            rows.append((f"{name}: {' to '.join(labels)}", f"{right:.4f}", *cells))
            checks |= {f"{rows[-1][0]}, {n}": s > least for n, s in shares.items() if n >= enough}
    return Claim(
        "10. The intervals of these tables",
        "An interval of 95 % covers the truth in 95 % of all ensembles.",
        ("terrain_time", f"truth, {many:,} starts", *(f"of {n} starts" for n in counts)),
        rows,
        "From 50 starts on, dwell times from 200.",
        f"Descent on Rosenbrock, {STEPS} steps; {replicas} replicas of each ensemble, so these "
        f"shares have a standard error of {100.0 * np.sqrt(0.05 * 0.95 / replicas):.1f} %. "
        "Small ensembles miss the few runs that spend their whole life in one region, and with "
        "them both mean and variance: their intervals are too short. Use fifty starts or more, and "
        "two hundred for dwell times, whose means hang on a few long stays.",
        checks,
    )
