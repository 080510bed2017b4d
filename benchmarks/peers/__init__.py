"""The programs that fastdescent is compared with, and the work that all of them do.

Every module of this package is one *peer*: the same trajectories of Adam written the way a
competent user of another tool would write them. Each peer has two functions:

``available() -> str | None``
    None if the peer can run here, otherwise the reason why not.
``prepare(workload, threads) -> Callable[[], Outcome]``
    Builds, compiles and warms up; the returned callable does the work that is to be timed.

All peers implement the same recurrence, with t = 1, 2, ... and all operations elementwise::

    m     = beta1 * m + (1 - beta1) * g
    v     = beta2 * v + (1 - beta2) * g**2
    theta = theta - learning_rate * (m / (1 - beta1**t)) / (sqrt(v / (1 - beta2**t)) + epsilon)

where g is the gradient at theta, plus ``noise_scale`` times a standard normal if that is not 0.
A trajectory with a ``stop_loss`` ends before the first update whose theta has a loss below it,
so that ``Outcome.steps`` is its hitting time, the start counted as 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Literal, Protocol, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]

PEERS = ("numpy_batch", "numba_scalar", "jax_vmap", "jax_optax", "cpp_avx2")
"""Names of the peer modules."""


@dataclass(frozen=True, eq=False)
class Workload:
    """Trajectories of Adam that every peer computes.

    Attributes
    ----------
    name : str
        Short label for tables.
    landscape : {"rosenbrock", "rastrigin"}
        Rosenbrock: sum over i < dim - 1 of 100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2.
        Rastrigin: 10 dim + sum over i of x[i]^2 - 10 cos(2 pi x[i]).
    dim : int
        Number of coordinates, at least 2 for Rosenbrock.
    starts : ndarray of float64, shape (count, dim)
        One start point per trajectory.
    steps : int
        Updates per trajectory; with a ``stop_loss``, the most that one may take.
    learning_rate, beta1, beta2, epsilon : float
        Adam's hyper-parameters, the same for all trajectories (dimensionless).
    noise_scale : float
        Standard deviation of the Gaussian noise added to every gradient coordinate; 0 = none.
    stop_loss : float or None
        A trajectory ends once its loss is below this; None = fixed number of steps.
    seed : int
        Seed of the gradient noise. Peers use their own generators, so noisy outcomes agree in
        distribution only.
    """

    name: str
    landscape: Literal["rosenbrock", "rastrigin"]
    dim: int
    starts: FloatArray
    steps: int
    learning_rate: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    noise_scale: float = 0.0
    stop_loss: float | None = None
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Outcome:
    """Where the trajectories of a workload ended.

    Attributes
    ----------
    position : ndarray of float64, shape (count, dim)
        theta after the last update.
    steps : ndarray of int64, shape (count,)
        Updates made.
    """

    position: FloatArray
    steps: IntArray


Run: TypeAlias = Callable[[], Outcome]


class Peer(Protocol):
    """What a peer module offers."""

    def available(self) -> str | None:
        """Say why the peer cannot run here; None if it can."""

    def prepare(self, workload: Workload, threads: int) -> Run:
        """Compile and warm up, and return the callable to time."""


def load(name: str) -> Peer:
    """Import a peer.

    Parameters
    ----------
    name : str
        One of `PEERS`.

    Returns
    -------
    Peer
        The module.
    """
    return cast(Peer, import_module(f"{__name__}.{name}"))


def workloads(scale: float = 1.0) -> list[Workload]:
    """Make the five workloads of the performance table.

    The last one runs until the loss is below 1e-8. Its learning rate is 0.01, because the default
    of 0.001 needs 14,500 steps on average and leaves some trajectories at the very end of the
    budget; with 0.01 all arrive, after 0 to 12,200 steps, 7,400 on average.

    Parameters
    ----------
    scale : float
        Size of the work relative to the published table: the numbers of steps where these are
        fixed, the number of trajectories where each ends at its own step.

    Returns
    -------
    list of Workload
        In the order of the table.
    """
    rng = np.random.default_rng(20_240_501)

    def box(half_width: float, count: int, dim: int) -> FloatArray:
        return rng.uniform(-half_width, half_width, (count, dim))

    count, stopping_count = 8192, max(1, round(scale * 10_000))
    steps, fewer_steps = max(1, round(scale * 8000)), max(1, round(scale * 2000))
    plane = box(2.0, count, 2)
    return [
        Workload("rosenbrock-2", "rosenbrock", 2, plane, steps),
        Workload("rosenbrock-10", "rosenbrock", 10, box(2.0, count, 10), fewer_steps),
        Workload("rastrigin-4", "rastrigin", 4, box(5.12, count, 4), fewer_steps),
        Workload("rosenbrock-2-noise", "rosenbrock", 2, plane, steps, noise_scale=0.1),
        Workload(
            "rosenbrock-2-until-1e-8",
            "rosenbrock",
            2,
            box(2.0, stopping_count, 2),
            steps=20_000,
            learning_rate=0.01,
            stop_loss=1e-8,
        ),
    ]
