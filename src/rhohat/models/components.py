"""The parts that models are made of, by name: what a model file may hold, and a command line may ask for."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

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
from rhohat.estimators.base import BaseNetwork
from rhohat.layers.activations import ACTIVATIONS, Activation
from rhohat.solvers import SCHEDULES, SOLVERS, MiniBatchSolver, Solver
from rhohat.terms.corruption import CORRUPTIONS, Corruption
from rhohat.terms.jacobian_penalties import Contraction, TangentPropagation
from rhohat.terms.losses import LOSSES, GaussianLoss, Loss
from rhohat.terms.penalties import KLSparsity, L1Sparsity, Penalty, WeightDecay

__all__ = ["COMPONENTS", "ESTIMATORS", "register", "settings_of", "transformers"]

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


_TRANSFORMERS: dict[str, type[Any]] = {
    cls.__name__: cls for cls in (MeanImputer, PatchNormalizer, RangeScaler, ZCAWhitening)
}

_Part = TypeVar("_Part", bound=type[Any])


def transformers() -> dict[str, type[Any]]:
    """Return what may come before an estimator in a pipeline; two of scikit-learn's are among it, for tables."""
    from sklearn.preprocessing import MinMaxScaler, StandardScaler  # slow to import, and seldom needed

    return {**_TRANSFORMERS, **{cls.__name__: cls for cls in (MinMaxScaler, StandardScaler)}}


def register(part: _Part) -> _Part:
    """Make a class from outside known to model files and to the command line, by its own name.

    Parameters
    ----------
    part : type
        An estimator that derives from one of rhohat's; an activation, loss, penalty, corruption or solver that does, or
        one that is a dataclass; or a transformer with `fit` and `transform`, which says what it has learned by an
        attribute `learned_shapes`: a dict of the names of its fitted arrays, and functions from the number of features
        to the shape of each. Classes with an attribute `command_line_name` are called by it in ``rhohat train``.

    Returns
    -------
    type
        The class, so that this can stand above it as a decorator.

    Raises
    ------
    ValueError
        If it is none of these, or another class of that name is known.

    Examples
    --------
    >>> from rhohat import SparseAutoencoder
    >>> register(SparseAutoencoder) is SparseAutoencoder  # which is known already
    True
    """
    if not isinstance(part, type):
        raise ValueError(f"register takes a class; got {part!r}.")
    if issubclass(part, BaseNetwork):
        known = ESTIMATORS
    elif issubclass(part, Activation | Loss | Penalty | Corruption | Solver):
        known = COMPONENTS
    elif hasattr(part, "fit") and hasattr(part, "transform"):
        known = _TRANSFORMERS
        if not hasattr(part, "learned_shapes"):
            raise ValueError(f"{part.__name__} needs an attribute learned_shapes: the arrays that fit sets, by name.")
    else:
        raise ValueError(
            f"{part.__name__} is no estimator or part of rhohat's kinds, and no transformer with fit and transform."
        )
    other = {**ESTIMATORS, **COMPONENTS, **transformers()}.get(part.__name__)
    if other is not None and other is not part:
        raise ValueError(f"there is another class {part.__name__}: {other.__module__}.{other.__qualname__}.")
    name = getattr(part, "command_line_name", None)
    for cls in {**ESTIMATORS, **_TRANSFORMERS}.values():
        if name is not None and cls is not part and getattr(cls, "command_line_name", None) == name:
            raise ValueError(f"the command line calls {cls.__name__} {name!r} already: set another command_line_name.")
    known[part.__name__] = part
    return part


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
