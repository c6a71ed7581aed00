"""The registry of the classes, by name, whose objects a model file may contain and the command line may create."""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

from sklearn.base import BaseEstimator

from rhohat import estimators
from rhohat.common.stand_ins import stand_ins
from rhohat.data import ActivationScaler, MeanImputer, PatchNormalizer, RangeScaler, TablePreprocessor, ZCAWhitening
from rhohat.estimators.estimator import Estimator
from rhohat.layers import BUILT_LAYERS
from rhohat.layers.activations import ACTIVATIONS, Activation
from rhohat.layers.architecture import LAYERS, LayerDescription
from rhohat.solvers import SCHEDULES, SOLVERS, MiniBatchSolver, Solver
from rhohat.terms.corruption import CORRUPTIONS, Corruption
from rhohat.terms.jacobian_penalties import Contraction, TangentPropagation
from rhohat.terms.losses import LOSSES, GaussianLoss, Loss
from rhohat.terms.penalties import KLSparsity, L1Sparsity, Penalty, WeightDecay

__all__ = ["COMPONENTS", "ESTIMATORS", "command_line_name", "names_of_steps", "register", "settings_of", "transformers"]

#: The estimators that `rhohat.estimators` imports, by name.
ESTIMATORS: dict[str, type[Any]] = {
    name: cls for name, cls in vars(estimators).items() if isinstance(cls, type) and issubclass(cls, Estimator)
}

#: Classes of the objects that estimators accept as parameters, in addition to numbers and strings.
_PARTS: tuple[type[Any], ...] = (
    *LAYERS,
    *BUILT_LAYERS,
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
    cls.__name__: cls
    for cls in (
        *(ActivationScaler, MeanImputer, PatchNormalizer, RangeScaler, TablePreprocessor, ZCAWhitening),
        *(estimators.ConvolvedFeatures, estimators.Transcoder),
    )
}

#: Names on the command line of scikit-learn's transformers; other classes have an attribute `command_line_name`.
_NAMES_OF_SKLEARN = {"MinMaxScaler": "minmax", "StandardScaler": "standard"}
_RESERVED = ("auto", "none")  # names with another meaning in ``rhohat train --preprocess``

_Part = TypeVar("_Part", bound=type[Any])


def transformers() -> dict[str, type[Any]]:
    """Return the transformers that may precede an estimator in a pipeline, by name, including two of scikit-learn."""
    with stand_ins():
        from sklearn.preprocessing import MinMaxScaler, StandardScaler  # slow to import and seldom needed

    return {**_TRANSFORMERS, **{cls.__name__: cls for cls in (MinMaxScaler, StandardScaler)}}


def names_of_steps() -> list[str]:
    """Return the names on the command line of the transformers, without an import of scikit-learn's."""
    names = map(command_line_name, _TRANSFORMERS.values())
    return [*(name for name in names if name is not None), *_NAMES_OF_SKLEARN.values()]


def command_line_name(cls: type[Any]) -> str | None:
    """Return the name of a class on the command line, or None if the class sets no name; names are not inherited."""
    name: str | None = vars(cls).get("command_line_name")
    return _NAMES_OF_SKLEARN.get(cls.__name__) if name is None else name


def register(part: _Part) -> _Part:
    """Register a class of your own, under its name, for use in model files and on the command line.

    Parameters
    ----------
    part : type
        A subclass of one of rhohat's estimators; a subclass of one of rhohat's activations, layers, losses, penalties,
        corruptions or solvers, or of their base classes if it is a dataclass; or a transformer with the methods `fit`
        and `transform` and an attribute `learned_shapes`, a dict whose keys are the names of the fitted arrays; each
        value is a function that takes the number of features and returns the shape of the array. If the class sets an
        attribute `command_line_name`, this is its name in ``rhohat train``; an inherited attribute does not count.

    Returns
    -------
    type
        The same class, so that `register` can be used as a decorator.

    Raises
    ------
    ValueError
        If `part` is none of these, or if another class with the same name or the same `command_line_name` is known.

    Examples
    --------
    >>> from rhohat import SparseAutoencoder
    >>> register(SparseAutoencoder) is SparseAutoencoder  # which is known already
    True
    """
    if not isinstance(part, type):
        raise ValueError(f"register takes a class; got {part!r}.")
    if issubclass(part, Estimator):
        known = ESTIMATORS
    elif issubclass(part, Activation | LayerDescription | Loss | Penalty | Corruption | Solver):
        known = COMPONENTS
    elif hasattr(part, "fit") and hasattr(part, "transform"):
        known = _TRANSFORMERS
        if not hasattr(part, "learned_shapes"):
            raise ValueError(
                f"{part.__name__} needs an attribute learned_shapes: a dict whose keys are the names of the arrays that"
                " fit sets. Each value is a function that takes the number of features and returns the array's shape."
                " An example is {'mean_': lambda n_features: (n_features,)}."
            )
    else:
        raise ValueError(
            f"{part.__name__} cannot be registered: it must be a subclass of one of rhohat's estimators, activations,"
            " layers, losses, penalties, corruptions or solvers, or a transformer with the methods fit and transform."
        )
    other = {**ESTIMATORS, **COMPONENTS, **transformers()}.get(part.__name__)
    if other is not None and other is not part:
        raise ValueError(
            f"another class with the name {part.__name__} is known already, {other.__module__}.{other.__qualname__};"
            " give the new class another name."
        )
    name = command_line_name(part)
    if name in _RESERVED:
        raise ValueError(f"command_line_name must not be {' or '.join(map(repr, _RESERVED))}; got {name!r}.")
    for cls in {**ESTIMATORS, **transformers()}.values():
        if name is not None and cls is not part and command_line_name(cls) == name:
            raise ValueError(
                f"{name!r} is already the name of {cls.__name__} on the command line; set another command_line_name."
            )
    known[part.__name__] = part
    return part


def settings_of(part: Any) -> dict[str, Any]:
    """Return the constructor arguments that create an equal copy of an object of a registered class.

    Parameters
    ----------
    part : object
        An instance of one of the classes in `ESTIMATORS` or `COMPONENTS`, or a transformer.

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
