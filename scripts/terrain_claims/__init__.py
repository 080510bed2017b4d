"""The claims of `scripts/terrain.py`, one function each."""

from terrain_claims.canal import canal
from terrain_claims.claim import QUICK, Claim, Size
from terrain_claims.conditioning import catalogue, condition_number
from terrain_claims.convex import convex, edge
from terrain_claims.coverage import coverage
from terrain_claims.flat import flat, flat_wells
from terrain_claims.points import classified, curvature, maximum
from terrain_claims.saddles import dimension, noisy_saddle, saddle

__all__ = ["CLAIMS", "QUICK", "Claim", "Size"]

#: In the order of the document.
CLAIMS = (
    condition_number,
    catalogue,
    canal,
    flat,
    flat_wells,
    saddle,
    noisy_saddle,
    dimension,
    curvature,
    classified,
    maximum,
    convex,
    edge,
    coverage,
)
