"""The pictures of docs/terrain.md, each from what its claims measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np

from fastdescent.plot import spectra, terrain_time
from terrain_claims.claim import Claim
from terrain_claims.points import NEAR_TOP

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Learning rate from which orbits on (x^2 - 1)^2 / 4 swap wells.
MERGED = 1.5 * np.sqrt(3.0) - 1.0
#: Okabe and Ito (2008).
BLUE, RED, GREEN, PURPLE, ORANGE = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00"
STYLE: Any = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.labelsize": 9,
    "axes.linewidth": 0.7,
    "legend.fontsize": 8,
    "legend.frameon": False,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}


def page(rows: int, height: float, ratios: list[float] | None = None) -> tuple[Figure, Any]:
    """Return a figure as wide as a text block, and its axes."""
    import matplotlib.pyplot as plt  # noqa: PLC0415 - after the choice of a backend

    return plt.subplots(
        rows,
        2 if rows == 1 else 1,
        figsize=(7.2, height),
        layout="constrained",
        height_ratios=ratios,
    )


def steps_against_kappa(ax: Axes, quadratics: Claim, catalogue: Claim) -> None:
    """Draw steps against condition number, on quadratics and at the catalogue's minima."""
    kappa, steps = quadratics.data["kappa"], quadratics.data["steps"].mean(axis=2).T
    for k, (name, colour) in enumerate((("descent", BLUE), ("heavy ball", RED))):
        slope = ("1", "1/2")[k]
        ax.plot(kappa, steps[k], "o-", ms=4, color=colour, label=f"{name}, slope {slope}")
    minima = catalogue.data
    # From close by the loss falls by half as many decades as on the quadratics.
    twice, far = 2.0 * minima["near"], minima["far"]
    ax.plot(minima["kappa"], twice, "s", ms=5, mfc="w", color=BLUE, label="minima, close by (x 2)")
    ax.plot(minima["kappa"], far, "x", ms=5, color="0.3", label="minima, from the window")
    ax.set(
        xscale="log",
        yscale="log",
        ylim=(8, 2e6),
        title="1. Ravines: steps against condition number",
        xlabel="condition number at the minimum",
        ylabel="steps",
    )
    ax.legend(loc="upper left")


def exits(ax: Axes, saddle: Claim) -> None:
    """Draw exit times from a saddle against the start's distance."""
    distance, exact = saddle.data["distance"], saddle.data["exact"]
    look = {"descent": (BLUE, "o"), "heavy ball": (RED, "s"), "RMSProp": (GREEN, "D")}
    for name, (colour, mark) in (look | {"Adam": (PURPLE, "^")}).items():
        times = saddle.data["found"][name]
        if name in exact:
            ax.plot(distance, exact[name], color=colour, lw=1.0)
        said = f"{name}, line: exact" if name in exact else name
        ax.plot(distance, times, mark, ms=4, color=colour, label=said)
    ax.set(
        xscale="log",
        yscale="log",
        ylim=(10, 9000),
        title="4. Saddle: time to leave it",
        xlabel="distance of the start",
        ylabel="steps to distance 1",
    )
    ax.invert_xaxis()
    ax.legend(ncols=2, loc="upper left")


def canal_page(claim: Claim) -> Figure:
    """Draw rotation and cosines along the canal, and the terrain of ensembles."""
    figure, axes = page(3, 7.2, [1.0, 1.0, 0.75])
    look = zip(claim.data["runs"].items(), (BLUE, ORANGE, RED, GREEN), strict=True)
    for (name, along), colour in look:
        n = int(along.steps)
        step, rotation = along.step.values[1 : n + 1], along.rotation.values[1 : n + 1]
        axes[0].plot(step, np.degrees(np.nancumsum(rotation)), color=colour, lw=1.3, label=name)
        axes[1].plot(step, along.step_cosine.values[1 : n + 1], color=colour, lw=0.9)
    turn = claim.data["turn"]
    axes[0].axhline(turn, color="0.2", lw=0.9, ls=(0, (4, 2)), label=f"exact turn {turn:.1f}")
    axes[0].set(
        xscale="log",
        ylim=(0, 600),
        ylabel="rotation (degrees)",
        title="2. Rosenbrock's canal from (-2, 2): how far the top eigenvector has turned",
    )
    axes[0].legend(loc="upper left", ncols=2)
    axes[1].set(
        xscale="log",
        ylim=(-1.08, 1.08),
        xlabel="step",
        ylabel="cosine",
        title="Cosine of successive steps: -1 is a jump back",
    )
    terrain_time(claim.data["terrain"], axes[2])
    return figure


def edge_page(claim: Claim) -> Figure:
    """Draw the spectrum along a run, and final against first sharpness of many."""
    figure, (left, right) = page(1, 3.5)
    spectra(claim.data["run"], left)
    first, last, limit = (claim.data[name] for name in ("first", "last", "limit"))
    some = slice(8000)
    right.plot(first[some], last[some], ".", ms=1.2, color=BLUE, rasterized=True)
    right.axhline(limit, color=RED, lw=1.2, label=f"2 / eta = {limit:g}")
    right.axvline(limit, color=RED, lw=0.8, ls=(0, (4, 2)))
    right.set(
        ylim=(0, 1.25 * limit),
        title="Sharpness of many runs at eta = 0.2",
        xlabel="x² + y² at the start",
        ylabel="x² + y² at the end",
    )
    right.legend(loc="lower right", frameon=True)
    return figure


def points_page(dimension: Claim, maximum: Claim) -> Figure:
    """Draw the share of minima against dimension, and runs near a maximum against the rate."""
    figure, (left, right) = page(1, 3.5)
    dims = np.arange(1, 21)
    left.plot(dims, (2.0 / 3.0) ** dims, "o-", ms=3.5, color=BLUE, label="Styblinski-Tang: (2/3)^D")
    definite: Mapping[int, float] = dimension.data["definite"]
    left.plot(list(definite), list(definite.values()), "s", ms=5, color=RED, label="GOE, measured")
    near = np.linspace(1.0, 6.0, 50)
    decay = np.exp(-np.log(3.0) / 4.0 * near**2)
    left.plot(near, decay, color=RED, lw=0.9, ls=(0, (4, 2)), label="exp(-D² ln(3)/4), large D")
    left.set(
        yscale="log",
        ylim=(5e-5, 1.6),
        xticks=[1, 5, 10, 15, 20],
        title="5. Share of minima among critical points",
        xlabel="dimension D",
        ylabel="share of critical points",
    )
    left.legend()
    right.plot(maximum.data["rates"], 100.0 * maximum.data["near"], ".-", color=BLUE, lw=0.8)
    exact = NEAR_TOP[2.0]
    assert exact is not None
    right.plot([2.0], [100.0 * exact], "D", ms=6, mfc="none", color=RED, label="exact at 2")
    for rate, dashes, said in ((1.0, (4, 2), "minima unstable"), (MERGED, (1, 1), "wells merge")):
        right.axvline(rate, color="0.3", lw=0.9, ls=(0, dashes), label=f"{said}, {rate:.4g}")
    right.set(
        title="8. Double well: runs near its maximum",
        xlabel="learning rate",
        ylabel="within 0.1 of it (%)",
    )
    right.legend(loc="upper left", frameon=True)
    return figure


def pictures(claims: Mapping[str, Claim]) -> dict[str, Figure]:
    """Return the figures by the ends of their file names, from claims by their functions."""
    mpl.use("agg")
    with mpl.rc_context(STYLE):
        first, (left, right) = page(1, 3.6)
        steps_against_kappa(left, claims["condition_number"], claims["catalogue"])
        exits(right, claims["saddle"])
        return {
            "": first,
            "_canal": canal_page(claims["canal"]),
            "_edge": edge_page(claims["edge"]),
            "_points": points_page(claims["dimension"], claims["maximum"]),
        }
