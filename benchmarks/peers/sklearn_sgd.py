"""Peer: scikit-learn's `SGDRegressor`, one training after the other.

It has no batches and no ensembles, so that a loop over seeds is what its users write. Its squared
loss is half of ours: the learning rate is doubled for the same steps. It uses one thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import Outcome, Run

try:
    from sklearn.linear_model import SGDRegressor
except ImportError as error:
    MISSING: str | None = f"{error}: install the data extra"
else:
    MISSING = None

if TYPE_CHECKING:
    from benchmarks.training import Training

MOST = 128
"""Trainings that are made; all take the same time, so that the rate is that of many more."""


def available() -> str | None:
    """Say whether this peer can run.

    Returns
    -------
    str or None
        None, or which library is missing.
    """
    return MISSING


def prepare(training: Training, threads: int, shuffle: bool = True) -> Run:
    """Make the callable that trains, and train once.

    Parameters
    ----------
    training : Training
        Linear regression by gradient descent in epochs of single samples.
    threads : int
        Not used.
    shuffle : bool
        Whether every epoch has an order of its own; otherwise that of the data.

    Returns
    -------
    callable
        Takes nothing and returns the `Outcome` of the first `MOST` trainings.
    """
    asked = training.model, training.rule, training.batch, training.size
    if asked != ("linear", "gradient", "epochs", 1):
        raise ValueError(f"SGDRegressor steps on one sample at a time, not {asked}")
    epochs = training.steps // len(training.X)
    starts = training.starts[:MOST]

    def run() -> Outcome:
        ends = [
            SGDRegressor(
                loss="squared_error",
                penalty=None,
                fit_intercept=False,
                max_iter=epochs,
                tol=None,
                shuffle=shuffle,
                learning_rate="constant",
                eta0=2.0 * training.learning_rate,
                random_state=training.seed + k,
            )
            .fit(training.X, training.y, coef_init=start.copy())
            .coef_
            for k, start in enumerate(starts)
        ]
        return Outcome(np.array(ends), np.full(len(starts), training.steps))

    run()
    return run
