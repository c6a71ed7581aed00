"""Conversion of a fitted model to a description for JSON and named arrays."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from rhohat.common.exceptions import ModelFileError
from rhohat.data.rows import Reading
from rhohat.estimators.base import BaseNetwork
from rhohat.layers import DenseLayer
from rhohat.layers.network import Network
from rhohat.models.components import COMPONENTS, ESTIMATORS, settings_of, transformers
from rhohat.models.model_card import ModelCard
from rhohat.models.model_file.layout import COUNTS, OF_THE_RUN, STATUS, check_steps, learned_shapes, models_within
from rhohat.models.pipelines import is_pipeline

__all__ = ["Writer", "write_card"]

_WIDEST = 8  # largest number of bytes per number
_LONGEST = 200  # characters of a model that are quoted in a message
_MOST_NAMES = 2**19  # largest number of bytes that the names of columns may take as JSON in the description


class Writer:
    """Converts a model to a description for JSON, and collects its arrays by name in the attribute `arrays`."""

    def __init__(self) -> None:
        self.arrays: dict[str, NDArray[Any]] = {}

    def model(self, model: Any, prefix: str) -> dict[str, Any]:
        """Return the description of a model or transformer, and store its arrays under names with the prefix."""
        if is_pipeline(model):
            steps = [
                [name, "passthrough" if step in (None, "passthrough") else self.model(step, f"{prefix}steps.{number}.")]
                for number, (name, step) in enumerate(model.steps)
            ]
            check_steps([step for _, step in model.steps])
            return {"kind": "Pipeline", "steps": steps}
        kind = type(model).__name__
        if {**ESTIMATORS, **transformers()}.get(kind) is not type(model):
            if hasattr(model, "best_estimator_"):
                raise ModelFileError(f"a model file cannot hold a {kind}; save its best_estimator_.")
            text = " ".join(repr(model).split())
            raise ModelFileError(
                "a model file can hold only rhohat's own estimators and transformers, scikit-learn's MinMaxScaler and"
                " StandardScaler, classes that rhohat.register has registered, and pipelines of all these; got"
                f" {text if len(text) <= _LONGEST else kind}. Use joblib.dump for other models, and load such files"
                " only if you trust who wrote them."
            )
        check_is_fitted(model)
        described: dict[str, Any] = {"kind": kind, "parameters": self._parameters(model, f"{prefix}parameters.")}
        names = getattr(model, "feature_names_in_", None)
        described["feature_names"] = None if names is None else self._names([str(name) for name in names], prefix)
        if hasattr(model, "training_range_"):
            self.arrays[f"{prefix}training_range_"] = model.training_range_
        described["reading"] = _reading(model.reading_) if hasattr(model, "reading_") else None
        if kind in transformers():
            within = hasattr(model, "_describe_learned")
            return described | {
                "learned": model._describe_learned(self, prefix) if within else self._learned(model, prefix)
            }
        described["data"] = {"n_samples_fit_": model.n_samples_fit_, "data_name_": model.data_name_}
        return described | model._describe_learned(self, prefix)

    def _names(self, names: list[str], prefix: str) -> list[str] | dict[str, str]:
        """Return the names of columns, or, if they are too long, store them as a tensor and return a reference."""
        text = json.dumps(names).encode()
        if len(text) <= _MOST_NAMES:
            return names
        self.arrays[f"{prefix}feature_names"] = np.frombuffer(text, np.uint8)
        return {"tensor": f"{prefix}feature_names"}

    def _learned(self, transformer: Any, prefix: str) -> dict[str, Any]:
        """Store the learned arrays of a transformer, and return the number of its features as a description."""
        for name in learned_shapes(transformer):
            value = getattr(transformer, name)
            if value is not None:  # it is None, for example, for the variances of a StandardScaler that only centres
                self.arrays[prefix + name] = np.asarray(value, None if isinstance(value, np.ndarray) else np.float64)
        if hasattr(transformer, "n_samples_seen_"):
            self.arrays[f"{prefix}n_samples_seen_"] = np.asarray(transformer.n_samples_seen_, np.int64)
        return {"n_features_in_": int(transformer.n_features_in_)}

    def network(self, estimator: BaseNetwork, prefix: str) -> dict[str, Any]:
        """Store the arrays of an estimator; describe its architecture, its training and its `partial_fit` state."""
        network = estimator.network_
        for layer in range(network.n_layers):
            if layer < network.layout.n_free:
                self.arrays[f"{prefix}coefs_.{layer}"] = estimator.coefs_[layer]
            self.arrays[f"{prefix}intercepts_.{layer}"] = estimator.intercepts_[layer]
            if network.layout.n_own[layer]:
                self.arrays[f"{prefix}activation_parameters_.{layer}"] = estimator.activation_parameters_[layer]
        self.curve(f"{prefix}loss_curve_", estimator.loss_curve_)
        self.curve(f"{prefix}validation_curve_", estimator.validation_curve_)
        for name, curve in estimator.terms_curve_.items():
            self.curve(f"{prefix}terms_curve_.{name}", curve)
        for n_rows, curve in estimator.warm_up_curves_.items():
            self.curve(f"{prefix}warm_up_curves_.{n_rows}", curve)
        plan = getattr(estimator, "memory_plan_", None)
        return {
            "network": self._architecture(network),
            "training": {
                **{name: getattr(estimator, name) for name in (*COUNTS, *STATUS)},
                "warm_up_evaluations_": list(estimator.warm_up_evaluations_.items()),
                "warm_up_curves_": list(estimator.warm_up_curves_),
                "terms": list(estimator.terms_curve_),
                "memory_plan_": None if plan is None else asdict(plan),
            },
            "partial_fit": self._partial_fit(estimator, prefix),
        }

    def _architecture(self, network: Network) -> dict[str, Any]:
        """Return the description of a network: by numbers of units if all layers are dense, else layer by layer."""
        if all(type(layer) is DenseLayer for layer in network.layers) and network.row_shape is None:
            return {
                "layer_sizes": list(network.layer_sizes),
                "activations": [self.value(activation, "") for activation in network.activations],
                "tied": network.tied,
            }
        return {
            "layers": [self.value(layer, "") for layer in network.layers],
            "row_shape": None if network.row_shape is None else list(network.row_shape),
            "tied": network.tied,
        }

    def _partial_fit(self, estimator: BaseNetwork, prefix: str) -> dict[str, Any] | None:
        """Store the state from which `partial_fit` continues, or return None if it was not called."""
        state = estimator.partial_fit_state
        if state is None:
            return None
        solver = state.solver
        self.arrays[f"{prefix}partial_fit.theta"] = state.theta
        for name, moment in solver.moments.items():
            self.arrays[f"{prefix}partial_fit.{name}"] = moment
        return {"seed": state.seed, "epoch": solver.epoch, "step": solver.step, "moments": list(solver.moments)}

    def labels(self, labels: NDArray[Any], name: str) -> dict[str, Any]:
        """Return the description of class labels; labels that are numbers are stored as an array."""
        if labels.dtype.kind in "buif" and labels.dtype.itemsize <= _WIDEST:
            self.arrays[name] = labels
            return {"tensor": name}
        if labels.dtype.kind == "U" or all(isinstance(label, str) for label in labels):
            return {"texts": [str(label) for label in labels], "objects": labels.dtype == object}
        raise ModelFileError(
            f"classes must be numbers of up to {8 * _WIDEST} bits, or strings; got classes of type {labels.dtype}."
        )

    def curve(self, name: str, values: list[float]) -> None:
        """Store a list of numbers, which need not be finite."""
        self.arrays[name] = np.array(values, dtype=np.float64)

    def _parameters(self, estimator: Any, prefix: str) -> dict[str, Any]:
        left_out = {*OF_THE_RUN, *models_within(type(estimator))}
        parameters = {name: value for name, value in settings_of(estimator).items() if name not in left_out}
        if not isinstance(parameters.get("random_state", 0), int | np.integer):
            parameters["random_state"] = None  # the state of a generator has changed since the fit began
        described = {}
        for name, value in parameters.items():
            try:
                described[name] = self.value(value, f"{prefix}{name}")
            except ModelFileError as error:
                raise ModelFileError(f"{name} cannot be saved: {error}") from None
        return described

    def value(self, value: Any, name: str) -> Any:
        """Return the description of a parameter for JSON; an array is stored as a tensor with the given name."""
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, float) and not np.isfinite(value):
            return {"number": str(value)}
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, np.ndarray) and value.dtype.kind in "buif" and value.dtype.itemsize <= _WIDEST:
            self.arrays[name] = value
            return {"tensor": name}
        if isinstance(value, list | tuple):
            items = [self.value(item, f"{name}.{number}") for number, item in enumerate(value)]
            return {"tuple": items} if isinstance(value, tuple) else items
        if isinstance(value, dict):
            return {"mapping": [[self.value(key, name), self.value(one, name)] for key, one in value.items()]}
        kind = type(value).__name__
        if COMPONENTS.get(kind) is type(value):
            settings = settings_of(value).items()
            return {"kind": kind, "settings": {key: self.value(one, f"{name}.{key}") for key, one in settings}}
        if ESTIMATORS.get(kind) is type(value):
            return {"kind": kind, "settings": self._parameters(value, f"{name}.")}
        raise ModelFileError(
            f"{value!r} is not an instance of one of rhohat's own classes or of a registered class, and a model file"
            " cannot hold other objects, since it contains no code; set the parameter to an object of rhohat, leave"
            " the parameter at its default, or register the class with rhohat.register."
        )


def write_card(card: ModelCard) -> dict[str, Any]:
    """Return the description of a model card; only figures that are finite are numbers in JSON."""
    described: dict[str, Any] = {"note": card.note, "data": card.data}
    for name in ("figures", "held_out"):
        figures = getattr(card, name).items()
        described[name] = {key: one if np.isfinite(one) else {"number": str(one)} for key, one in figures}
    if card.origin:  # left out otherwise, since earlier versions of rhohat do not know it
        described["origin"] = dict(card.origin)
    return described


def _reading(reading: Reading) -> dict[str, Any]:
    """Return a description of how the rows of a fit were read; ranges of columns are given as [first, count]."""
    runs = groupby(enumerate(reading.columns), lambda numbered: numbered[1] - numbered[0])
    columns = [[run[0][1], len(run)] for run in (list(run) for _, run in runs)]
    return {name: value for name, value in asdict(reading).items() if value is not None} | {"columns": columns}
