"""What Adam and its relatives share: the bias corrections of their moving averages.

A moving average that starts at zero is too small by 1 - beta^t.  The rules carry beta^t as
a running product in a scalar row of their state, so a scheduled beta gives the product of
the betas that were used, which is the exact correction, and no kernel computes a power.

A division and a root per lane cost more than a whole coordinate's update.  Nearly all
tiles share one configuration, so corrections are computed from lane 0 and kept for all
lanes, while the powers are compared; only where a lane differs are they computed lane by
lane.  Either way a lane gets the same bits: same operations, same numbers.

Where the engine says that all lanes of a tile share all their hyper-parameters, Adam and
AdamW in their usual forms read these once per tile instead of once per coordinate: a quarter
of their time in two dimensions, for a second copy of the loop.
"""

from __future__ import annotations

import numpy as np

from fastdescent.contracts import Row, Rows, lane_function

__all__ = ["agree", "correct_first", "correct_second", "correct_shared", "next_power", "shared"]


@lane_function
def next_power(power: float, beta: float) -> float:
    """Return power * beta, and 0 long after 1 - power has become 1: no subnormal numbers."""
    product = power * beta
    return product if product > 1e-200 else 0.0


@lane_function
def agree(row: Row) -> bool:
    """Return whether all lanes hold the same number."""
    differing = 0
    for lane in range(row.shape[0]):
        differing |= row[lane] != row[0]
    return differing == 0


@lane_function
def correct_first(rows: Rows, beta: Row, step: int) -> None:
    """Advance beta^t in ``rows[0]`` and write 1 / (1 - beta^t) to ``rows[1]``."""
    power, scale = rows[0], rows[1]
    if step == 1:
        power[:] = 1.0
    shared = next_power(power[0], beta[0])
    shared_scale = 1.0 / (1.0 - shared)
    differing = 0
    for lane in range(power.shape[0]):
        product = next_power(power[lane], beta[lane])
        differing |= product != shared
        power[lane], scale[lane] = product, shared_scale
    if differing != 0:
        for lane in range(power.shape[0]):
            scale[lane] = 1.0 / (1.0 - power[lane])


@lane_function
def shared(hyper: Rows) -> bool:
    """Return whether all lanes of the tile share their hyper-parameters; see the contract."""
    return bool(hyper[hyper.shape[0] - 1, 0] > 0.0)


@lane_function
def correct_shared(rows: Rows, beta1: float, beta2: float, step: int) -> tuple[float, float]:
    """Advance the powers of all lanes at once; return 1 / (1 - beta1^t), 1 / sqrt(1 - beta2^t).

    The powers are written for every lane: the next tile may bring other lanes together.
    """
    power1, power2 = rows[0], rows[1]
    product1 = next_power(power1[0] if step > 1 else 1.0, beta1)
    product2 = next_power(power2[0] if step > 1 else 1.0, beta2)
    for lane in range(power1.shape[0]):
        power1[lane], power2[lane] = product1, product2
    return 1.0 / (1.0 - product1), 1.0 / np.sqrt(1.0 - product2)


@lane_function
def correct_second(rows: Rows, beta1: Row, beta2: Row, step: int) -> None:
    """Advance beta1^t and beta2^t in ``rows[0]`` and ``rows[1]``.

    Write 1 / (1 - beta1^t) and 1 / sqrt(1 - beta2^t) to ``rows[2]`` and ``rows[3]``.
    """
    power1, power2, scale1, scale2 = rows[0], rows[1], rows[2], rows[3]
    if step == 1:
        power1[:] = 1.0
        power2[:] = 1.0
    shared1 = next_power(power1[0], beta1[0])
    shared2 = next_power(power2[0], beta2[0])
    first, second = 1.0 / (1.0 - shared1), 1.0 / np.sqrt(1.0 - shared2)
    differing = 0
    for lane in range(power1.shape[0]):
        product1 = next_power(power1[lane], beta1[lane])
        product2 = next_power(power2[lane], beta2[lane])
        differing |= (product1 != shared1) | (product2 != shared2)
        power1[lane], power2[lane] = product1, product2
        scale1[lane], scale2[lane] = first, second
    if differing != 0:
        for lane in range(power1.shape[0]):
            scale1[lane] = 1.0 / (1.0 - power1[lane])
            scale2[lane] = 1.0 / np.sqrt(1.0 - power2[lane])
