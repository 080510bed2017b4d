"""The small real data sets that scikit-learn ships."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import Field
from typing import Any

import numpy as np

from fastdescent.data._base import Counts, MissingPackageError, Table, _Fixed
from fastdescent.errors import UnknownNameError
from fastdescent.parts import option

__all__ = ["SETS", "Bundled", "load"]

#: Name -> samples, features, targets, classes.
SETS: dict[str, Counts] = {
    "breast_cancer": Counts(569, 30, 1, 2),
    "diabetes": Counts(442, 10, 1, 0),
    "digits": Counts(1797, 64, 1, 10),
    "iris": Counts(150, 4, 1, 3),
    "wine": Counts(178, 13, 1, 3),
}


class Bundled(_Fixed):
    """A small real data set, as scikit-learn ships it, in its original units.

    =============  =======  ========  ====================================================
    set            samples  features  target
    =============  =======  ========  ====================================================
    diabetes           442        10  progression of the disease after a year, 25 to 346
    breast_cancer      569        30  malignant, benign
    iris               150         4  setosa, versicolor, virginica
    wine               178        13  class_0, class_1, class_2
    digits            1797        64  0 to 9; pixels from 0 to 16, three of them always 0
    =============  =======  ========  ====================================================

    Features are neither shifted nor scaled unless `standardize` says so; diabetes is the raw
    form (age in years, ...), which scikit-learn calls ``scaled=False``.

    Parameters
    ----------
    set : str
        One of the names above.
    validation : float
        Share of samples that is held out, in [0, 1).
    standardize : bool
        Whether features get mean 0 and variance 1 over the training samples.
    seed : int, optional
        Seed of the split, 0 to 2^64 - 1; the study's if not given.

    Raises
    ------
    UnknownNameError
        If there is no such set.
    MissingPackageError
        If scikit-learn is not installed, when samples are asked for.

    References
    ----------
    Efron, Hastie, Johnstone and Tibshirani (2004), Annals of Statistics 32, 407-499
    (diabetes); Fisher (1936), Annals of Eugenics 7, 179-188 (iris); Street, Wolberg and
    Mangasarian (1993), SPIE 1905, 861-870 (breast cancer); Alpaydin and Kaynak (1998) (digits)
    and Aeberhard and Forina (1992) (wine), UCI Machine Learning Repository.

    Examples
    --------
    >>> samples = Bundled("diabetes", validation=0.2, standardize=True).samples(seed=0)
    >>> samples.x.shape, samples.validation_x.shape, samples.feature_names[:3]
    ((354, 10), (88, 10), ('age', 'sex', 'bmi'))
    """

    set: str = option()

    def _checked(self, field: Field[Any], value: Any) -> Any:
        value = super()._checked(field, value)
        if field.name == "set" and (not isinstance(value, str) or value not in SETS):
            raise UnknownNameError("data set", value, SETS)
        return value

    def __post_init__(self) -> None:
        super().__post_init__()
        self._held_out(self._counts().samples)

    def _counts(self) -> Counts:
        return SETS[self.set]

    def _read(self) -> Table:
        try:
            datasets = importlib.import_module("sklearn.datasets")
        except ModuleNotFoundError as error:
            raise MissingPackageError(f"Bundled({self.set!r})", "scikit-learn") from error
        options = {"scaled": False} if self.set == "diabetes" else {}
        found = getattr(datasets, f"load_{self.set}")(**options)
        classes = np.asarray(found.target_names).tolist() if self._counts().classes else ()
        y = np.asarray(found.target, dtype=float)[:, np.newaxis]
        return Table(found.data, y, tuple(classes), tuple(map(str, found.feature_names)))


def load(
    set: str,
    *,
    validation: float = 0.0,
    standardize: bool = False,
    seed: int | None = None,
) -> Bundled:
    """Load one of the data sets that scikit-learn ships; see `Bundled`.

    Parameters
    ----------
    set : str
        "breast_cancer", "diabetes", "digits", "iris" or "wine".
    validation : float
        Share of samples that is held out, in [0, 1).
    standardize : bool
        Whether features get mean 0 and variance 1; they keep their original units otherwise.
    seed : int, optional
        Seed of the split, the study's if not given.

    Returns
    -------
    Bundled

    Raises
    ------
    UnknownNameError
        If there is no such set.
    MissingPackageError
        If scikit-learn is not installed.

    Examples
    --------
    >>> load("diabetes", validation=0.2)
    Bundled(set='diabetes', validation=0.2)
    >>> load("iris").n_samples, load("iris").n_features, load("iris").n_classes
    (150, 4, 3)
    """
    part = Bundled(set, validation=validation, standardize=standardize, seed=seed)
    if importlib.util.find_spec("sklearn") is None:
        raise MissingPackageError(f"load({set!r})", "scikit-learn")
    return part
