"""What a claim is, how it is written, and how much is computed for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from textwrap import fill
from typing import Any, TypeAlias

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

import fastdescent as fd
from fastdescent.parts import FloatArray

SEED = 0
#: Standard errors within which a measurement agrees: false alarms are 7 in a million.
SIGMAS = 4.5
GD, Momentum, Adam = fd.optimizers.GradientDescent, fd.optimizers.Momentum, fd.optimizers.Adam


@dataclass(frozen=True)
class Size:
    """How much is computed; the defaults are those of the document."""

    #: Starts of a fraction.
    starts: int = 100_000
    kappas: tuple[float, ...] = tuple(10.0 ** (0.5 * np.arange(2, 9)))
    #: Landscapes of the catalogue whose minima are compared.
    catalogue: tuple[str, ...] = (
        *("Booth", "McCormick", "SixHumpCamel", "Himmelblau", "Matyas", "Branin"),
        *("Beale", "GoldsteinPrice", "Rosenbrock"),
    )
    #: Steps along the canal, and starts of its ensembles.
    canal: tuple[int, int] = (120_000, 500)
    #: Steps on the way to the edge of stability.
    edge: int = 5_000
    #: Dimensions in which runs are followed to their ends.
    runs: tuple[int, ...] = (2, 5, 10)
    #: Largest dimensions: of a search for all critical points, and of random matrices.
    dims: tuple[int, int] = (5, 5)
    #: Replicas of an ensemble, how many starts one has, and those of the true one.
    coverage: tuple[int, tuple[int, ...], int] = (400, (20, 50, 200), 80_000)


#: For a test, in seconds.
QUICK = Size(
    starts=2_000,
    kappas=(10.0, 100.0, 1000.0),
    catalogue=("Booth", "Himmelblau"),
    canal=(10_000, 20),
    edge=1_000,
    runs=(2,),
    dims=(3, 3),
    coverage=(40, (50,), 2_000),
)


Rows: TypeAlias = list[tuple[str, ...]]


@dataclass(frozen=True)
class Claim:
    """One claim: what is said, what was measured, what is true."""

    title: str
    sentence: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    verdict: str
    remark: str
    #: What has to hold for the verdict to stand, by name.
    checks: dict[str, bool]
    #: What its figure shows.
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def failed(self) -> list[str]:
        """Names of the checks that do not hold."""
        return [name for name, holds in self.checks.items() if not holds]

    def text(self) -> str:
        """Return the claim as a section of the document."""
        verdict = f"NOT REPRODUCED: {', '.join(self.failed)}" if self.failed else self.verdict
        return (
            f"## {self.title}\n\n*{self.sentence}*\n\n{table(self.header, self.rows)}\n\n"
            f"{fill(f'**{verdict}** {self.remark}', 99)}"
        )


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown, its columns aligned."""
    lines = [header, *rows]
    widths = [max(len(line[k]) for line in lines) for k in range(len(header))]

    def row(cells: Sequence[str]) -> str:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
        return f"| {' | '.join(padded)} |"

    return "\n".join([row(header), f"|{'|'.join('-' * (w + 2) for w in widths)}|", *map(row, rows)])


def share(count: int, total: int) -> str:
    """Return a share in percent with its interval of 95 %."""
    low, high = (100.0 * float(end) for end in fd.statistics.wilson_interval(count, total))
    return f"{100.0 * count / total:.3g} % [{low:.3g}, {high:.3g}]"


def agrees(count: int, total: int, exact: float) -> bool:
    """Return whether a share is within 4.5 standard errors of the exact one."""
    error = SIGMAS * np.sqrt(exact * (1.0 - exact) / total)
    return bool(abs(count / total - exact) <= error)


def number(value: float, digits: int = 4) -> str:
    """Return a number with separators, whole where it is large."""
    if not np.isfinite(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"


def window(landscape: fd.Landscape, count: int) -> FloatArray:
    """Return uniform starts in a landscape's window."""
    return fd.starts.Uniform(count=count).points(landscape, SEED)


def steps_to(
    landscape: fd.Landscape, rule: fd.Optimizer, starts: ArrayLike, target: float, steps: int
) -> xr.DataArray:
    """Return the steps to a loss above the known minimum; -1 where it is not reached."""
    stop = fd.Stop(loss=target, radius=1e6)
    ds = fd.simulate(landscape, rule, starts=starts, steps=steps, targets=[target], stop=stop)
    return ds["hitting_time"].isel(target=0)
