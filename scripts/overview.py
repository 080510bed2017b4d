"""Draw the README's figure from the results of scripts/studies/pictures.toml.

usage: python scripts/overview.py RESULTS IMAGE
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl

import fastdescent as fd

RULES = ("GradientDescent", "Momentum", "AdaGrad", "RMSProp", "Adam")


def main(results: Path, image: Path) -> None:
    """Compare a few rules on Himmelblau's function."""
    mpl.use("Agg")
    datasets = {rule: fd.load(results / f"Himmelblau__{rule}.nc") for rule in RULES}
    image.parent.mkdir(parents=True, exist_ok=True)
    fd.plot.overview(datasets, target=1e-8, trajectories=4).savefig(image, dpi=150)
    print(image)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
