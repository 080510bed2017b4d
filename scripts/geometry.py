"""Draw what fastdescent tells about landscapes themselves, on one page: docs/geometry.png.

    python scripts/geometry.py docs/geometry.png

Critical points with a proof that they are all, regions, basins of attraction under momentum, and
the terrain in which rules spend their life.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl

import fastdescent as fd

RULES = {
    "GradientDescent": fd.optimizers.GradientDescent(learning_rate=0.001),
    "Momentum": fd.optimizers.Momentum(learning_rate=0.0003, beta=0.9),
    "AdaGrad": fd.optimizers.AdaGrad(learning_rate=1.0),
    "Adam": fd.optimizers.Adam(learning_rate=0.05),
}


def terrain(landscape: fd.Landscape) -> dict[str, object]:
    """Return where each rule spends its steps, from 500 starts."""
    found = {}
    for name, rule in RULES.items():
        ds = fd.simulate(
            landscape,
            rule,
            starts=fd.starts.Uniform(count=500),
            steps=5_000,
            stop=fd.Stop(loss=1e-8),
            record=fd.record.every(10),
        )
        found[name] = fd.geometry.terrain_time(ds, landscape)
    return found


def draw(path: Path) -> None:
    """Compute and draw the page."""
    mpl.use("agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415 - after the choice of a backend

    himmelblau, rosenbrock = fd.landscapes.Himmelblau(), fd.landscapes.Rosenbrock(dim=2)
    momentum = fd.optimizers.Momentum(learning_rate=0.01, beta=0.9)
    figure, axes = plt.subplots(2, 2, figsize=(11.0, 9.6), layout="constrained")
    points = fd.geometry.find_critical_points(himmelblau)
    fd.plot.critical_points(points, himmelblau, axes[0, 0])
    maps = fd.geometry.basins(himmelblau, momentum, fd.starts.Grid(counts=800), steps=2_000)
    fd.plot.basins(maps, axes[0, 1])
    fd.plot.regions(rosenbrock, axes[1, 0], cells=600)
    fd.plot.terrain_time(terrain(rosenbrock), axes[1, 1])
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    print(path)


if __name__ == "__main__":
    draw(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/geometry.png"))
