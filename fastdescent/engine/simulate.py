"""The front door: one call that runs an ensemble and returns a labelled dataset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fastdescent.engine.ensemble import Geometry, run
from fastdescent.engine.plan import Plan

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import ArrayLike

    from fastdescent.batch import Batch
    from fastdescent.landscapes import Landscape
    from fastdescent.noise import Noise
    from fastdescent.optimizers import Optimizer
    from fastdescent.record import Record
    from fastdescent.starts import Starts
    from fastdescent.stopping import Stop
    from fastdescent.transforms import Transform

__all__ = ["simulate"]


def simulate(
    landscape: Landscape,
    optimizer: Optimizer,
    *,
    starts: Starts | ArrayLike,
    steps: int,
    seeds: int = 1,
    seed: int = 0,
    noise: Noise | None = None,
    transforms: Sequence[Transform] = (),
    stop: Stop | None = None,
    targets: Sequence[float] | float = (),
    record: Record | None = None,
    batch: Batch | None = None,
    threads: int | None = None,
    progress: bool = False,
    geometry: Geometry | None = None,
) -> xr.Dataset:
    """Run one trajectory per start point, seed and combination of hyper-parameters.

    The gradient of step t is the landscape's exact one at theta (or where a look-ahead
    rule asks for it); then the noise is added, then the transforms are applied in their
    order, then the rule updates theta.  Tests and targets see the exact loss and gradient
    at theta after every step.  With mini-batches the gradient is that of the step's samples;
    the tests see the loss of all samples, every so many steps (`Stop`).  Step k is the state
    after k updates; the start is step 0.

    Parameters
    ----------
    landscape : Landscape
        The loss.  A parameter given as a sequence is an axis of the result.
    optimizer : Optimizer
        The update rule.  A hyper-parameter given as a sequence is an axis of the result;
        one given as a schedule changes with the step.
    starts : Starts or array_like, shape (count, dim)
        The start points.  Points outside the landscape's domain are allowed, and counted in
        the attribute ``starts_outside_domain``.
    steps : int
        The budget of updates, at least 1.
    seeds : int
        Noise replicas per start, at least 1.
    seed : int
        The study's seed, from 0 to 2**64 - 1: everything random follows from it.
    noise : Noise, optional
        Noise on the gradient.
    transforms : sequence of Transform
        What happens to the gradient after the noise and before the rule; at most three.
    stop : Stop, optional
        When a trajectory ends before the budget.  A loss or theta that is no longer finite
        always ends it.
    targets : sequence of float
        Losses above the landscape's known minimum (absolute where none is known) whose
        first hitting times are wanted.
    record : Record, optional
        Steps at which position, loss and gradient norm are kept.
    batch : Batch, optional
        Which samples each step sees, on a model with samples; all of them by default.
    threads : int, optional
        Number of threads; all cores by default.  It changes no bit of the result.
    progress : bool
        Whether to show a progress bar.
    geometry : Geometry, optional
        How trajectories are grouped; for measurements, it changes no bit of the result.

    Returns
    -------
    xarray.Dataset
        ``initial``, ``position``, ``loss``, ``gradient_norm``, ``steps``, ``status``, and
        ``hitting_time`` and ``path``, ``path_loss``, ``path_gradient_norm`` where asked for.
        On data with validation samples ``validation_loss``, and ``path_validation_loss``.
        Dimensions: swept parameters, ``start``, ``seed``, then ``target``, ``record``,
        ``coordinate``.  The attributes hold the study as TOML and what else is needed to
        run it again.  After Ctrl-C the trajectories that had not ended have the status
        ``interrupted`` and the attribute ``interrupted`` is 1.

    Raises
    ------
    InvalidValueError
        If an argument is not allowed; nothing has been computed then.
    MemoryLimitError
        If the result would not fit into memory.

    Examples
    --------
    >>> import fastdescent as fd
    >>> ds = fd.simulate(
    ...     fd.landscapes.Rosenbrock(dim=2),
    ...     fd.optimizers.GradientDescent(learning_rate=[0.001, 0.01]),
    ...     starts=[[0.5, 0.5], [-0.5, 0.5]],
    ...     steps=1000,
    ... )
    >>> dict(ds.loss.sizes)
    {'learning_rate': 2, 'start': 2}
    """
    plan = Plan.make(
        landscape,
        optimizer,
        starts,
        steps,
        seeds,
        seed,
        noise,
        transforms,
        stop,
        targets,
        record,
        batch,
    )
    out, report = run(plan, threads, progress, geometry)
    from fastdescent.engine.result import dataset  # noqa: PLC0415 - xarray is slow to import

    return dataset(plan, out, report)
