"""Facts about a model that need no rows: its network, its steps and their parameters, and a record of each fit."""

from __future__ import annotations

import inspect
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import numpy as np

from rhohat.estimators.base import BaseNetwork
from rhohat.estimators.estimator import Estimator
from rhohat.estimators.parameter_groups import symbols_of
from rhohat.estimators.stacked_autoencoder import HasLayers, check_layers
from rhohat.models.pipelines import estimator_of
from rhohat.solvers.flattening import has_flattened

__all__ = [
    "Fit",
    "Parameter",
    "Step",
    "fits_of",
    "names_of_units",
    "network_of",
    "steps_of",
    "versions",
]

_HELD_OUT = "J on rows kept back for early stopping"
_LONGEST = 300  # largest number of characters of a value that are shown


@dataclass(frozen=True)
class Parameter:
    """A parameter of a step.

    Attributes
    ----------
    name, value : str
    shown : bool
        Whether the parameter is seen at once: its value differs from the default, or it has a symbol.
    symbol : str
        Symbol of a parameter that the equations of a sparse autoencoder have, ρ, β or λ; "" for others.
    """

    name: str
    value: str
    shown: bool
    symbol: str = ""


@dataclass(frozen=True)
class Step:
    """A step of a model, with its class and its parameters."""

    name: str
    kind: str
    parameters: list[Parameter]


@dataclass(frozen=True)
class Fit:
    """Record of a fit; a stack of autoencoders has one record for each layer.

    Attributes
    ----------
    name : str
        Name of the fit; "" if there is only one.
    status, message : str
        Reason why the solver ended: as a single word, and as a sentence.
    n_iter, n_evaluations : int
        Number of iterations, and number of evaluations of the cost J.
    curves : dict of str to list of float
        Over iterations: J, its terms that are not always 0, and J on the rows kept back for early stopping, if there
        were any.
    memory : str
        Memory plan of the fit as text; "" if there is none.
    n_warm_up : int
        Number of evaluations on subsets of the rows during the warm-up before the fit.
    warm_up : dict of int to list of float
        J over the iterations of the warm-up, by number of rows.
    """

    name: str
    status: str
    message: str
    n_iter: int
    n_evaluations: int
    curves: dict[str, list[float]] = field(repr=False)
    memory: str = ""
    n_warm_up: int = 0
    warm_up: dict[int, list[float]] = field(default_factory=dict, repr=False)

    @property
    def has_flattened(self) -> bool:
        """Whether the fit reached the largest number of iterations when J hardly fell any more."""
        curves = self.curves.get("J", []), self.curves.get(_HELD_OUT, [])
        return self.status == "max_iter" and has_flattened(*curves)


def steps_of(model: Any) -> list[Step]:
    """Return the steps of a model, each with the parameters first that are seen at once."""
    steps = model.steps if hasattr(model, "steps") else [("", model)]
    found = []
    for name, step in steps:
        if step is None or step == "passthrough":
            continue
        found.append(Step(name, type(step).__name__, _parameters(step)))
        layers = check_layers(step.layers) if isinstance(step, HasLayers) else []
        found += [Step(f"layer {n}", type(layer).__name__, _parameters(layer)) for n, layer in enumerate(layers)]
    return found


def fits_of(estimator: Estimator) -> list[Fit]:
    """Return a record of each fit that produced an estimator, in order."""
    return [_fit(name, part) for name, part in estimator.fitted_parts()]


def names_of_units(estimator: BaseNetwork) -> list[str] | None:
    """Return the names of the classes if the units are the outputs of a classifier, else None."""
    classes = getattr(estimator, "classes_", None)
    network = estimator.network_
    if classes is None or estimator.code_layer_ < network.n_layers or len(classes) != network.layer_sizes[-1]:
        return None
    return [str(one) for one in classes]


def versions() -> dict[str, str]:
    """Return the versions of Python, rhohat and the libraries that it computes with."""
    names = ("rhohat", "numpy", "scipy", "scikit-learn")
    return {"Python": platform.python_version(), **{name: version(name) for name in names}}


def _parameters(step: Any) -> list[Parameter]:
    defaults = {
        name: parameter.default for name, parameter in inspect.signature(type(step).__init__).parameters.items()
    }
    values = step.get_params(deep=False) if hasattr(step, "get_params") else {}
    symbols = symbols_of(values)
    parameters = []
    for name, value in values.items():
        shown = name in symbols or repr(value) != repr(defaults.get(name))
        parameters.append(Parameter(name, _shortened(_without_folders(repr(value))), shown, symbols.get(name, "")))
    return sorted(parameters, key=lambda parameter: not parameter.shown)


def _fit(name: str, estimator: Estimator) -> Fit:
    curve = list(getattr(estimator, "loss_curve_", []))
    terms = {
        key.replace("_", " ").replace("kl ", "KL "): list(values)
        for key, values in getattr(estimator, "terms_curve_", {}).items()
        if np.any(values)
    }
    held_out = list(getattr(estimator, "validation_curve_", []))
    curves: dict[str, list[float]] = {"J": curve, **terms, **({_HELD_OUT: held_out} if held_out else {})}
    memory = getattr(estimator, "memory_plan_", None)
    return Fit(
        name,
        str(getattr(estimator, "solver_status_", "")),
        str(getattr(estimator, "solver_message_", "")),
        int(getattr(estimator, "n_iter_", len(curve))),
        int(getattr(estimator, "n_evaluations_", 0)),
        curves,
        "" if memory is None else str(memory),
        sum(getattr(estimator, "warm_up_evaluations_", {}).values()),
        {n_rows: list(curve) for n_rows, curve in getattr(estimator, "warm_up_curves_", {}).items() if curve},
    )


def network_of(model: Any) -> str:
    """Return the sizes of the layers and the names of their activation functions, as text."""
    network = estimator_of(model).network_
    sizes = " → ".join(f"{size:,}" for size in network.layer_sizes)
    kinds: Sequence[str] = list(dict.fromkeys(activation.name for activation in network.activations))
    return f"{sizes}, {' and '.join(kinds)}"


def _without_folders(text: str) -> str:
    """Return the text of a value in which every quoted path is shortened to its last part."""
    return re.sub(r"""(['"])[^'"]*[/\\]([^'"/\\]+)[/\\]*\1""", r"\1\2\1", text)


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
