"""Escape from saddles, and how many there are."""

from __future__ import annotations

import numpy as np

import fastdescent as fd
from fastdescent.parts import FloatArray, IntArray
from terrain_claims.claim import (
    GD,
    SEED,
    SIGMAS,
    Adam,
    Claim,
    Momentum,
    Size,
    agrees,
    share,
)

SADDLE: dict[str, fd.Optimizer] = {
    "descent": GD(0.01),
    "heavy ball": Momentum(0.01, beta=0.9),
    "RMSProp": fd.optimizers.RMSProp(0.01),
    "Adam": Adam(0.01),
    "Adam, epsilon = 1e-300": Adam(0.01, epsilon=1e-300),
}
PUBLISHED = {
    "descent": (695, 1389, 2777),
    "heavy ball": (115, 226, 446),
    "Adam, epsilon = 1e-300": (77, 77, 77),
}


def exit_steps(distance: FloatArray, h: float, beta: float = 0.0) -> IntArray:
    """Return when y passes 1 under y_(t+1) = (1 + beta + h) y_t - beta y_(t-1), from rest.

    That is heavy ball on -y^2 / 2 with h = eta: the sum of two powers, of the roots of
    r^2 - (1 + beta + h) r + beta.
    """
    trace = 1.0 + beta + h
    large = 0.5 * (trace + np.sqrt(trace * trace - 4.0 * beta))
    small = beta / large
    weight = (1.0 + h - small) / (large - small)  # y_1 = (1 + h) y_0
    t = np.arange(int(np.log(2.0 / distance.min()) / np.log(large)) + 2)
    y = distance[:, None] * (weight * large**t + (1.0 - weight) * small**t)
    return np.asarray(np.argmax(y >= 1.0, axis=1))


def saddle(size: Size) -> Claim:
    """Measure exit times from a saddle against the start's distance, per rule."""
    powers = np.arange(1, 13)
    starts = np.stack([np.zeros(12), 10.0**-powers], axis=1)
    found = {}
    for name, rule in SADDLE.items():
        ds = fd.simulate(
            fd.landscapes.Saddle(),
            rule,
            starts=starts,
            steps=3000,
            record=fd.record.every(1),
            stop=fd.Stop(radius=3.0),
        )
        found[name] = fd.geometry.escape_time(ds, [0.0, 0.0], 1.0).values
    exact = {
        "descent": exit_steps(starts[:, 1], 0.01),
        "heavy ball": exit_steps(starts[:, 1], 0.01, 0.9),
    }
    checks = {name: bool((found[name] == right).all()) for name, right in exact.items()}
    shown = [2, 5, 11]
    for name, right in PUBLISHED.items():
        checks[f"{name}, reference"] = bool((found[name][shown] == right).all())
    rows = [
        (
            name,
            *(f"{found[name][k]:,}" for k in shown),
            ", ".join(f"{n:,}" for n in exact[name][shown]) if name in exact else "-",
        )
        for name in found
    ]
    return Claim(
        "4. Saddle",
        "Near a saddle optimizers slow down, and one needs a lot of iterations.",
        ("rule, eta = 0.01", "from 1e-3", "from 1e-6", "from 1e-12", "exact"),
        rows,
        "Conditional: slow only for rules that go in proportion to the gradient.",
        "(x² - y²) / 2 from (0, y), steps until |y| = 1. Even descent pays only a logarithm, "
        "ln(1/y) / ln(1 + eta), heavy ball a tenth of it, and for Adam and RMSProp the distance "
        "hardly matters; epsilon = 1e-8 costs Adam a step where the first gradients are below it.",
        checks,
        {"distance": starts[:, 1], "found": found, "exact": exact},
    )


def rare_law(eta: float, sigma: float) -> tuple[float, float]:
    """Return mean and deviation of the exit time from a hill's top, -x^2 / 2, to |x| = 1."""
    growth = float(np.log(1.0 + eta))
    spread = eta * sigma / np.sqrt((1.0 + eta) ** 2 - 1.0)
    mean = (0.5 * (np.euler_gamma + np.log(2.0)) - np.log(spread)) / growth + 0.5
    return float(mean), float(np.pi / np.sqrt(8.0) / growth)


def noisy_saddle(size: Size) -> Claim:
    """Compare exit times from a hill's top under noise with their law."""
    hill = fd.landscape("-x**2/2", dim=1, domain=(-2.0, 2.0))
    count, rows, checks = max(size.starts // 20, 20), [], {}
    for eta, sigma in ((0.05, 1e-2), (0.05, 1e-4), (0.1, 1e-2)):
        ds = fd.simulate(
            hill,
            GD(eta),
            starts=[[0.0]],
            seeds=count,
            seed=SEED,
            steps=800,
            noise=fd.noise.Gaussian(scale=sigma),
            record=fd.record.every(1),
            stop=fd.Stop(radius=50.0),
        )
        times = fd.geometry.escape_time(ds, [0.0], 1.0).values.ravel()
        mean, deviation = rare_law(eta, sigma)
        error = deviation / np.sqrt(count)
        # The law itself is good to 0.2 %.
        checks[f"eta {eta}, sigma {sigma}"] = bool(
            (times > 0).all() and abs(times.mean() - mean) < SIGMAS * error + 0.002 * mean
        )
        rows.append(
            (
                f"{eta}",
                f"{sigma:g}",
                f"{times.mean():.1f} ± {1.96 * error:.1f}",
                f"{mean:.1f}",
                f"{times.std():.1f}",
                f"{deviation:.1f}",
            )
        )
    return Claim(
        "4b. Saddle with noise",
        "Noise frees descent even from the saddle itself.",
        ("eta", "sigma", "mean exit time", "by the law", "deviation", "by the law"),
        rows,
        "True.",
        f"{count:,} runs on -x²/2 from exactly 0. The law: mean (ln(1/s) + (gamma + ln 2) / 2) / "
        "ln(1 + eta) + 1/2 with s = eta sigma / sqrt((1 + eta)² - 1). A hundredth of the noise "
        "costs another ln(100) / ln(1 + eta) steps, no more.",
        checks,
    )


#: Probabilities for dimension 1 to 3; for 2 and 3 by integrating the eigenvalues' density.
DEFINITE = {
    1: 0.5,
    2: 0.25 * (2.0 - np.sqrt(2.0)),
    3: 0.25 - 1.0 / (np.sqrt(2.0) * np.pi),
}


def goe(dim: int, count: int) -> tuple[int, bool]:
    """Return how many of random symmetric matrices (Gaussian orthogonal) are positive definite.

    The second value tells whether that agrees with the probability, where it is known.
    """
    draws = np.random.default_rng((SEED, dim)).standard_normal((count, dim, dim))
    lowest = np.linalg.eigvalsh(draws + draws.transpose(0, 2, 1))[:, 0]
    found = int(np.count_nonzero(lowest > 0.0))
    return found, dim not in DEFINITE or agrees(found, count, DEFINITE[dim])


def searched(dim: int) -> tuple[int, int]:
    """Return how many minima, and how many critical points at all, a search finds."""
    ds = fd.geometry.find_critical_points(fd.landscapes.StyblinskiTang(dim=dim))
    return int((ds.kind == "minimum").sum()), int(ds.sizes["point"])


def ends(dim: int, count: int) -> tuple[int, int]:
    """Return of how many runs the end is a saddle, and of how many a minimum."""
    landscape = fd.landscapes.StyblinskiTang(dim=dim)
    ds = fd.simulate(
        landscape,
        GD(0.01),
        starts=fd.starts.Uniform(count=count),
        seed=SEED,
        steps=3000,
        stop=fd.Stop(gradient_norm=1e-7),
    )
    kinds = fd.geometry.classify_points(landscape, ds.position.values).kind.values
    return int((kinds == "saddle").sum()), int((kinds == "minimum").sum())


def dimension(size: Size) -> Claim:
    """Count minima among critical points against dimension, and where runs end."""
    count, matrices = size.starts, 2 * size.starts
    (wells, all_points), checks = searched(1), {}
    rows, definite = [], {}
    for dim in (*range(1, 6), 10, 20):
        minima, points = wells**dim, all_points**dim
        found, random, ended = "-", "-", "-"
        if dim <= size.dims[0]:
            counted = searched(dim)
            checks[f"search, D = {dim}"] = counted == (minima, points)
            found = f"{counted[0]:,} of {counted[1]:,}"
        if dim <= size.dims[1]:
            positive, checks[f"GOE, D = {dim}"] = goe(dim, matrices)
            definite[dim], random = positive / matrices, share(positive, matrices)
        if dim in size.runs:
            stuck, arrived = ends(dim, count)
            checks[f"runs, D = {dim}"] = stuck == 0 and arrived == count
            high = float(fd.statistics.wilson_interval(stuck, count)[1])
            ended = f"{stuck} of {count:,} (below {high:.2g})"
        rows.append((str(dim), found, f"{100.0 * minima / points:.3g} %", random, ended))
    return Claim(
        "5. Saddles in many dimensions",
        "High-dimensional surfaces are full of saddles, not of local minima.",
        ("D", "minima found", "exact, (2/3)^D", "random matrix definite", "runs end in a saddle"),
        rows,
        "True of the points, irrelevant for the runs.",
        "Styblinski-Tang, whose axes count by themselves: 2^D minima, one maximum, the other "
        "3^D - 2^D - 1 are saddles. A random symmetric matrix (GOE) is positive definite even "
        "less often: exactly 1/2, (2 - sqrt 2)/4, 1/4 - 1/(pi sqrt 2) for D = 1, 2, 3, and like "
        "exp(-D² ln(3)/4) for large D (Dean and Majumdar 2006). And yet no run of descent from "
        "uniform starts ends in a saddle: those that would have measure zero.",
        checks,
        {"definite": definite},
    )
