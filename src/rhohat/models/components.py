"""The parts that models are made of, by name: what a model file may hold, and a command line may ask for."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

from sklearn.base import BaseEstimator

from rhohat.data import MeanImputer, PatchNormalizer, RangeScaler, ZCAWhitening
from rhohat.estimators import (
    ContractiveAutoencoder,
    DeepAutoencoder,
    DenoisingAutoencoder,
    FeedforwardClassifier,
    FeedforwardRegressor,
    SoftmaxRegression,
    SparseAutoencoder,
    StackedAutoencoder,
    StackedAutoencoderClassifier,
)
from rhohat.layers.activations import ACTIVATIONS
from rhohat.solvers import SCHEDULES, SOLVERS, MiniBatchSolver
from rhohat.terms.corruption import CORRUPTIONS
from rhohat.terms.jacobian_penalties import Contraction, TangentPropagation
from rhohat.terms.losses import LOSSES, GaussianLoss
from rhohat.terms.penalties import KLSparsity, L1Sparsity, WeightDecay

__all__ = ["COMPONENTS", "ESTIMATORS", "settings_of", "transformers"]

ESTIMATORS: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        SparseAutoencoder,
        DenoisingAutoencoder,
        ContractiveAutoencoder,
        DeepAutoencoder,
        StackedAutoencoder,
        FeedforwardClassifier,
        FeedforwardRegressor,
        SoftmaxRegression,
        StackedAutoencoderClassifier,
    )
}

#: What parameters of an estimator are set to, where no number or text will do.
_PARTS: tuple[type[Any], ...] = (
    *ACTIVATIONS.values(),
    *LOSSES.values(),
    GaussianLoss,
    WeightDecay,
    KLSparsity,
    L1Sparsity,
    Contraction,
    TangentPropagation,
    *CORRUPTIONS.values(),
    *SOLVERS.values(),
)
COMPONENTS = {cls.__name__: cls for cls in _PARTS}


@cache
def transformers() -> dict[str, type[Any]]:
    """Return what may come before an estimator in a pipeline; two of scikit-learn's are among it, for tables."""
    from sklearn.preprocessing import MinMaxScaler, StandardScaler  # slow to import, and seldom needed

    return {
        cls.__name__: cls
        for cls in (MeanImputer, PatchNormalizer, RangeScaler, ZCAWhitening, MinMaxScaler, StandardScaler)
    }


def settings_of(part: Any) -> dict[str, Any]:
    """Return the arguments that make a part anew.

    Parameters
    ----------
    part : object
        Of one of the classes above.

    Returns
    -------
    dict of str to object

    Examples
    --------
    >>> from rhohat import MaskingNoise
    >>> settings_of(MaskingNoise(0.3))
    {'q': 0.3}
    """
    if isinstance(part, BaseEstimator):
        parameters: dict[str, Any] = part.get_params(deep=False)
        return parameters
    if isinstance(part, GaussianLoss):
        return {"covariance": part.covariance}
    settings = {field.name: getattr(part, field.name) for field in dataclasses.fields(part) if field.init}
    if isinstance(part, MiniBatchSolver) and callable(part.schedule):
        names = [name for name, schedule in SCHEDULES.items() if schedule is part.schedule]
        settings["schedule"] = names[0] if names else part.schedule
    return settings
