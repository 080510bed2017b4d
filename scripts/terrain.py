"""What is true of terrain: nine claims of a course on optimizers, each measured.

    python scripts/terrain.py                     print all tables
    python scripts/terrain.py --quick             the same on smaller ensembles, in seconds
    python scripts/terrain.py --document docs     also write docs/terrain.md and its pictures

Every table is computed through the public interface.  Where there is an exact answer it stands
beside the measurement, and a check that fails says so in the verdict.  The claims themselves are
in the folder terrain_claims.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

from terrain_claims import CLAIMS, QUICK, Claim, Size
from terrain_claims.claim import SIGMAS, table
from terrain_claims.figures import pictures

INTRODUCTION = """\
# Terrain: nine claims, measured

Courses on optimizers tell stories about terrain: ravines, canals, plateaus, saddles. Here are nine
such claims, each put to the test by `scripts/terrain.py`, which wrote this page from what it
measured. Intervals are 95 % (Wilson's for shares); all studies have the seed 0. A verdict stands
only if measurement and exact answer agree, shares within {sigmas:g} standard errors.
"""

#: Pictures, and the claim below which each stands.
CAPTIONS = {
    "": ("saddle", "Steps against condition number; time to leave a saddle"),
    "_canal": ("canal", "Rotation, cosines and terrain along Rosenbrock's canal"),
    "_edge": ("edge", "Sharpness along one run, and of many runs at their ends"),
    "_points": ("maximum", "Share of minima against dimension; runs near a maximum"),
}

AGAIN = """\
## Again

```console
$ python scripts/terrain.py --document docs
$ python scripts/terrain.py --quick
```

The second one takes seconds. Functions: `fd.geometry.spectrum_along`, `terrain_time`,
`escape_time`, `find_critical_points`, `classify_points`; pictures: `fd.plot.spectra`,
`fd.plot.terrain_time`.
"""


def document(claims: Mapping[str, Claim]) -> str:
    """Return the document, whose sections are what the script prints."""
    verdicts = [
        (claim.title, "Not reproduced." if claim.failed else claim.verdict)
        for claim in claims.values()
    ]
    below = {name: (end, text) for end, (name, text) in CAPTIONS.items()}
    parts = [INTRODUCTION.format(sigmas=SIGMAS), table(("claim", "verdict"), verdicts)]
    for name, claim in claims.items():
        parts.append(claim.text())
        if name in below:
            end, text = below[name]
            parts.append(f"![{text}](terrain{end}.png)")
    return "\n\n".join(part.strip() for part in (*parts, AGAIN)) + "\n"


def write(claims: Mapping[str, Claim], folder: Path) -> None:
    """Write the document and its pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "terrain.md").write_text(document(claims), encoding="utf-8")
    for end, figure in pictures(claims).items():
        figure.savefig(folder / f"terrain{end}.png", dpi=150)
        print(folder / f"terrain{end}.png")


def measure(size: Size) -> dict[str, Claim]:
    """Compute all claims and print each when it is there."""
    claims = {}
    for claim in CLAIMS:
        began = time.perf_counter()
        claims[claim.__name__] = claim(size)
        print(f"{claims[claim.__name__].text()}\n")
        print(f"({time.perf_counter() - began:.1f} s)\n", flush=True)
    return claims


def main(arguments: list[str] | None = None) -> None:
    """Compute, print, and write if asked to; exit with 1 if a check fails."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="smaller ensembles, in seconds")
    parser.add_argument("--document", type=Path, help="folder for terrain.md and its pictures")
    given = parser.parse_args(arguments)
    claims = measure(QUICK if given.quick else Size())
    if given.document is not None:
        write(claims, given.document)
    failed = [f"{name}: {check}" for name, claim in claims.items() for check in claim.failed]
    if failed:
        parser.exit(1, f"not reproduced: {'; '.join(failed)}\n")


if __name__ == "__main__":
    main()
