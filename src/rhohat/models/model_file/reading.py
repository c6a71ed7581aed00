"""Construction of a fitted model from parsed JSON and named arrays; inconsistent contents raise ModelFileError."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields
from inspect import signature
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.common.exceptions import ModelFileError
from rhohat.common.stand_ins import stand_ins
from rhohat.data.rows import Reading
from rhohat.data.tables.cells import TextFormat
from rhohat.engines import ThreadEngine
from rhohat.estimators.base import BaseNetwork
from rhohat.estimators.partial_fitting import PartialFitState
from rhohat.fitting.memory import MemoryPlan
from rhohat.layers import Layer
from rhohat.layers.activations import Activation
from rhohat.layers.architecture import as_input_shape
from rhohat.layers.network import Network, dense_network
from rhohat.models.components import COMPONENTS, ESTIMATORS, transformers
from rhohat.models.model_card import ModelCard
from rhohat.models.model_file.layout import (
    COUNTS,
    NO_LONGER,
    OF_THE_RUN,
    STATUS,
    check_steps,
    learned_shapes,
    models_within,
)
from rhohat.solvers import MiniBatchState

__all__ = ["Reader", "read_card"]

_NOT_FINITE = {"inf": np.inf, "-inf": -np.inf, "nan": np.nan}
_MOST_CHARACTERS = 2**22  # limit for all class labels together, each padded to the longest, as in a NumPy array


class Reader:
    """Builds a model from parsed JSON and named arrays, keeps track of unused arrays, and raises on invalid input."""

    def __init__(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        self._arrays = dict(arrays)

    def finish(self) -> None:
        """Raise ModelFileError if there are tensors that no part of the model has used."""
        if self._arrays:
            raise ModelFileError(f"the file has tensors that do not belong to its model: {_listed(self._arrays)}.")

    def model(self, described: Any, prefix: str, kind: type[Any] = object) -> Any:
        """Return the estimator, transformer or pipeline of a description; names of its arrays begin with the prefix."""
        model = self._model(_checked(described, dict, "a model"), prefix)
        if not isinstance(model, kind):
            raise ModelFileError(f"the file has a {type(model).__name__} where a {kind.__name__} is required.")
        return model

    def _model(self, described: dict[str, Any], prefix: str) -> Any:
        kind = _get(described, "kind", str)
        if kind == "Pipeline":
            _know(described, "kind", "steps")
            return self._pipeline(_get(described, "steps", list), prefix)
        if kind not in ESTIMATORS and kind not in transformers():
            raise ModelFileError(
                f"the file holds a model of the class {kind[:60]!r}, which this version of rhohat does not know;"
                " register a class of this name with rhohat.register, or upgrade rhohat."
            )
        cls = ESTIMATORS.get(kind) or transformers()[kind]
        model = self._make(cls, _get(described, "parameters", dict), f"{prefix}parameters.")
        if hasattr(model, "_parameter_constraints"):
            model._validate_params()
        if kind in transformers():
            _know(described, "kind", "parameters", "feature_names", "reading", "learned")
            learned = _get(described, "learned", dict)
            if hasattr(cls, "_restore_learned"):
                _know(learned, *model._keys_of_learned)
                self._restore(model, learned, prefix)
            else:
                self._transformer(model, learned, prefix)
        else:
            self._estimator(model, described, prefix)
        self._feature_names(model, described.get("feature_names"), f"{prefix}feature_names")
        if f"{prefix}training_range_" in self._arrays:
            model.training_range_ = self.take(f"{prefix}training_range_", (2, model.n_features_in_), np.float64)
        if described.get("reading") is not None:
            model.reading_ = _reading(_get(described, "reading", dict), model.n_features_in_)
        return model

    def _pipeline(self, steps: list[Any], prefix: str) -> Any:
        with stand_ins():
            from sklearn.pipeline import Pipeline

        made = []
        for number, (name, step) in enumerate(steps):
            model = step if step == "passthrough" else self.model(step, f"{prefix}steps.{number}.")
            made.append((_checked(name, str, "the name of a step"), model))
        check_steps([model for _, model in made])
        pipeline = Pipeline(made)
        pipeline._validate_names([name for name, _ in made])
        return pipeline

    def _make(self, cls: type[Any], parameters: dict[str, Any], name: str) -> Any:
        """Return an instance of a class with the given parameters; raise if the class lacks one of these parameters."""
        within = models_within(cls)  # set later
        known = set(signature(cls).parameters) - {*OF_THE_RUN, *within}
        if cls.__name__ in ESTIMATORS:
            passed_over = set(NO_LONGER) - known
            parameters = {key: value for key, value in parameters.items() if key not in passed_over}
        unknown = {key: None for key in parameters if key not in known}
        if unknown:
            raise ModelFileError(f"{cls.__name__} has no parameters {_listed(unknown)}.")
        return cls(
            **dict.fromkeys(within), **{key: self._value(value, f"{name}{key}") for key, value in parameters.items()}
        )

    def _value(self, value: Any, name: str) -> Any:
        """Return the parameter value that JSON describes; the inverse of `Writer.value`."""
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, list):
            return [self._value(item, f"{name}.{number}") for number, item in enumerate(value)]
        if set(value) == {"tuple"}:
            return tuple(self._value(_get(value, "tuple", list), name))
        if set(value) == {"mapping"}:
            return dict(self._pair(pair, name) for pair in _get(value, "mapping", list))
        if set(value) == {"number"}:
            return _NOT_FINITE[value["number"]]
        if set(value) == {"tensor"}:
            return self.take(name, None)
        kind, settings = _get(value, "kind", str), _get(value, "settings", dict)
        if kind not in COMPONENTS and kind not in ESTIMATORS:
            raise ModelFileError(
                f"the model has an object of the class {kind[:60]!r}, which this version of rhohat does not know;"
                " register a class of this name with rhohat.register, or upgrade rhohat."
            )
        return self._make(COMPONENTS.get(kind) or ESTIMATORS[kind], settings, f"{name}.")

    def _pair(self, pair: Any, name: str) -> tuple[Any, Any]:
        """Return the key and the value of an entry of a mapping."""
        if not isinstance(pair, list) or len(pair) != 2 or isinstance(pair[0], list | dict):
            raise ModelFileError("a mapping of the model must consist of pairs of a number or a text and a value.")
        return pair[0], self._value(pair[1], name)

    def _transformer(self, model: Any, learned: dict[str, Any], prefix: str) -> None:
        """Set the learned attributes of a transformer."""
        _know(learned, "n_features_in_")
        n_features = _count(learned, "n_features_in_", least=1)
        for name, shape in learned_shapes(model).items():
            array: Any = None
            if prefix + name in self._arrays or not isinstance(model, transformers()["StandardScaler"]):
                array = self.take(prefix + name, shape(n_features))
            setattr(model, name, float(array) if shape(n_features) == () else array)
        if isinstance(model, transformers()["StandardScaler"]):
            for switch, name in (("with_mean", "mean_"), ("with_std", "scale_")):
                if getattr(model, switch) and getattr(model, name) is None:
                    raise ModelFileError(f"the file lacks the tensor {prefix + name}.")
        seen = self._arrays.pop(f"{prefix}n_samples_seen_", None)
        if hasattr(model, "partial_fit"):
            if seen is None or seen.dtype != np.int64 or seen.shape not in ((), (n_features,)):
                raise ModelFileError(f"the file lacks the tensor {prefix}n_samples_seen_.")
            model.n_samples_seen_ = seen if seen.ndim else seen[()]
        elif seen is not None:
            raise ModelFileError(f"the tensor {prefix}n_samples_seen_ does not belong to {type(model).__name__}.")
        model.n_features_in_ = n_features
        self._check_scales(model)

    def _check_scales(self, model: Any) -> None:
        """Raise ModelFileError if a transformer has a scale that is not positive, or an empty or reversed range."""
        known = vars(model)
        low, high = known.get("feature_range", (known.get("low", 0), known.get("high", 1)))
        turned = np.any(np.less(known.get("data_max_", 0), known.get("data_min_", 0)))
        scale = known.get("scale_")
        if low >= high or turned or (scale is not None and np.any(np.less_equal(scale, 0))):
            raise ModelFileError(f"{type(model).__name__} has a scale or a range that is not positive.")

    def _estimator(self, model: BaseNetwork, described: dict[str, Any], prefix: str) -> None:
        _know(described, "kind", "parameters", "feature_names", "reading", "data", *model._keys_of_learned)
        self._restore(model, described, prefix)
        data = _get(described, "data", dict)
        _know(data, "n_samples_fit_", "data_name_")
        model.n_samples_fit_ = _count(data, "n_samples_fit_")
        model.data_name_ = None if data.get("data_name_") is None else _get(data, "data_name_", str)

    def _restore(self, model: Any, described: dict[str, Any], prefix: str) -> None:
        """Let a model restore what it has learned; raise ModelFileError for what it refuses."""
        ThreadEngine(getattr(model, "n_jobs", None))  # raises ValueError for an impossible number of threads
        try:
            model._restore_learned(self, described, prefix)
        except ValueError as error:
            raise error if isinstance(error, ModelFileError) else ModelFileError(str(error)) from None

    def get(self, described: Mapping[str, Any], key: str, kind: type[Any]) -> Any:
        """Return an entry of a description; raise ModelFileError if it is missing or not of the given type."""
        return _get(described, key, kind)

    def has(self, name: str) -> bool:
        """Return whether the file holds an array of this name that has not been taken yet."""
        return name in self._arrays

    def network(self, model: BaseNetwork, described: dict[str, Any], prefix: str) -> None:
        """Set the fitted attributes of an estimator's network and training, such as `coefs_` and `loss_curve_`."""
        network = self._architecture(_get(described, "network", dict))
        dtype = self._arrays[f"{prefix}coefs_.0"].dtype if f"{prefix}coefs_.0" in self._arrays else np.dtype(np.float64)
        model.network_ = network
        model.coefs_ = [
            self.take(f"{prefix}coefs_.{layer}", network.layout.weight_shapes[layer], dtype)
            for layer in range(network.layout.n_free)
        ]
        if network.tied:
            model.coefs_ += [weights.T for weights in reversed(model.coefs_)]
        model.intercepts_ = [
            self.take(f"{prefix}intercepts_.{layer}", (width,), dtype)
            for layer, width in enumerate(network.layout.n_biases)
        ]
        model.activation_parameters_ = [
            self.take(f"{prefix}activation_parameters_.{layer}", (size,), dtype) if size else np.empty(0, dtype)
            for layer, size in enumerate(network.layout.n_own)
        ]
        self._training(model, _get(described, "training", dict), prefix)
        if described.get("partial_fit") is not None:
            self._partial_fit(model, _get(described, "partial_fit", dict), prefix)

    def _architecture(self, described: dict[str, Any]) -> Network:
        if "layers" in described:
            return self._architecture_of_layers(described)
        _know(described, "layer_sizes", "activations", "tied")
        sizes = tuple(_checked(size, int, "a layer size") for size in _get(described, "layer_sizes", list))
        activations = tuple(self._value(one, "") for one in _get(described, "activations", list))
        if not all(isinstance(activation, Activation) for activation in activations):
            raise ModelFileError(
                "an activation of the model is described as something that is not an activation function."
            )
        return dense_network(sizes, activations, tied=_get(described, "tied", bool))

    def _architecture_of_layers(self, described: dict[str, Any]) -> Network:
        _know(described, "layers", "row_shape", "tied")
        layers = tuple(self._value(one, "") for one in _get(described, "layers", list))
        for layer in layers:
            if not isinstance(layer, Layer):
                raise ModelFileError("a layer of the model is described as something that is not a layer.")
            numbers = [getattr(layer, field.name) for field in fields(layer) if field.name.startswith("n_")]  # type: ignore[arg-type]
            if not all(type(number) is int and number >= 1 for number in numbers):
                raise ModelFileError(f"the layer {layer} of the model has sizes that are not integers of at least 1.")
            if not isinstance(layer.activation, Activation):
                raise ModelFileError(
                    "an activation of the model is described as something that is not an activation function."
                )
        shape = described.get("row_shape")
        row_shape = None if shape is None else as_input_shape(_checked(shape, list, "row_shape"))
        network = Network(layers, _get(described, "tied", bool), row_shape)
        if prod(network.input_shape) != network.layer_sizes[0]:
            raise ModelFileError(f"rows of the shape {shape} do not have {network.layer_sizes[0]} numbers.")
        return network

    def _training(self, model: BaseNetwork, record: dict[str, Any], prefix: str) -> None:
        _know(record, *COUNTS, *STATUS, "warm_up_evaluations_", "warm_up_curves_", "terms", "memory_plan_")
        model.loss_curve_ = self.curve(f"{prefix}loss_curve_")
        model.validation_curve_ = self.curve(f"{prefix}validation_curve_")
        terms = [_checked(name, str, "a term of J") for name in _get(record, "terms", list)]
        model.terms_curve_ = {name: self.curve(f"{prefix}terms_curve_.{name}") for name in terms}
        for name in COUNTS:
            setattr(model, name, _count(record, name))
        for name in STATUS:
            setattr(model, name, _get(record, name, str))
        pairs = _get(record, "warm_up_evaluations_", list)
        model.warm_up_evaluations_ = {
            _checked(n_rows, int, "a number of rows"): _checked(count, int, "a number of evaluations")
            for n_rows, count in pairs
        }
        # Earlier files have no curves of the warm-up.
        with_curves = [
            _checked(n, int, "a number of rows")
            for n in _checked(record.get("warm_up_curves_", []), list, "warm_up_curves_")
        ]
        model.warm_up_curves_ = {n_rows: self.curve(f"{prefix}warm_up_curves_.{n_rows}") for n_rows in with_curves}
        plan = record.get("memory_plan_")
        if plan is not None:
            parts = tuple(
                (_checked(name, str, "a part"), _checked(size, int, "its size")) for name, size in plan["parts"]
            )
            model.memory_plan_ = MemoryPlan(**{**plan, "parts": parts})

    def _partial_fit(self, model: BaseNetwork, record: dict[str, Any], prefix: str) -> None:
        _know(record, "seed", "epoch", "step", "moments")
        n_parameters = (model.network_.n_parameters,)
        theta = self.take(f"{prefix}partial_fit.theta", n_parameters)
        moments = [_checked(name, str, "a moment") for name in _get(record, "moments", list)]
        solver = MiniBatchState(
            _count(record, "epoch"),
            _count(record, "step"),
            {name: self.take(f"{prefix}partial_fit.{name}", n_parameters) for name in moments},
        )
        model.partial_fit_state = PartialFitState(_count(record, "seed"), theta, solver)

    def labels(self, described: dict[str, Any], name: str, n_classes: int) -> NDArray[Any]:
        """Return the sorted class labels; raise ModelFileError unless their number is `n_classes`."""
        if "tensor" in described:
            _know(described, "tensor")
            labels = self.take(name, None)
        else:
            _know(described, "texts", "objects")
            texts = [_checked(text, str, "a class") for text in _get(described, "texts", list)]
            if max(map(len, texts), default=0) * len(texts) > _MOST_CHARACTERS:
                raise ModelFileError("the classes of the model have names that are too long.")
            labels = np.array(texts, dtype=object if _get(described, "objects", bool) else np.str_)
        if labels.shape != (n_classes,):
            raise ModelFileError(f"the model has {labels.size} classes, but output units for {n_classes}.")
        if not np.array_equal(np.unique(labels), labels):
            raise ModelFileError("the classes of the model are not sorted.")
        return labels

    def _feature_names(self, model: Any, names: Any, tensor: str) -> None:
        if names is None:
            return
        if names == {"tensor": tensor}:  # there are too many names for the description
            names = json.loads(self.take(tensor, None, np.uint8).tobytes())
        texts = [_checked(name, str, "the name of a column") for name in _checked(names, list, "feature_names")]
        if len(texts) != model.n_features_in_:
            raise ModelFileError(f"the model has {model.n_features_in_} columns, but names for {len(texts)}.")
        model.feature_names_in_ = np.array(texts, dtype=object)

    def curve(self, name: str) -> list[float]:
        """Return an array of the file as a list of numbers, which need not be finite; it cannot be taken again."""
        curve = self._arrays.pop(name, None)  # measured values, which may be NaN
        if curve is None or curve.dtype != np.float64 or curve.ndim != 1:
            raise ModelFileError(f"the file lacks the curve {name}.")
        values: list[float] = curve.tolist()
        return values

    def holds(self, name: str) -> bool:
        """Return whether the file has a tensor, which files of earlier versions may lack."""
        return name in self._arrays

    def take(self, name: str, shape: tuple[int, ...] | None, dtype: Any = None) -> FloatArray:
        """Return a tensor of finite numbers, and mark it as used; check its shape and dtype if they are given."""
        array = self._arrays.pop(name, None)
        if array is None:
            raise ModelFileError(f"the file lacks the tensor {name}.")
        if shape is not None and array.shape != shape:
            raise ModelFileError(f"the tensor {name} has the shape {array.shape}, but must have {shape}.")
        if shape is not None and array.dtype not in (np.float32, np.float64):
            raise ModelFileError(f"the tensor {name} holds {array.dtype}, but must hold float32 or float64.")
        if dtype is not None and array.dtype != dtype:
            raise ModelFileError(f"the tensor {name} holds {array.dtype}, but must hold {dtype}.")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ModelFileError(f"the tensor {name} has numbers that are not finite.")
        return array


def read_card(described: Any) -> ModelCard:
    """Return the model card of a description; raise ModelFileError if it is not one, or is longer than cards may be."""
    card = _checked(described, dict, "a model card")
    _know(card, "note", "data", "figures", "held_out", "origin")
    figures = {}
    for name in ("figures", "held_out"):
        figures[name] = {
            key: _NOT_FINITE[one["number"]] if isinstance(one, dict) else _checked(one, float, "a figure")
            for key, one in _get(card, name, dict).items()
        }
    try:
        return ModelCard(_get(card, "note", str), _get(card, "data", str), **figures, origin=card.get("origin", {}))
    except (TypeError, ValueError) as error:
        raise ModelFileError(str(error)) from None


def _reading(record: dict[str, Any], n_features: int) -> Reading:
    """Return the record of how the rows of the fit were read from a file or table."""
    _know(record, "columns", "n_columns", "row_axes", "text", "row_shape", "targets")
    n_columns, row_axes = _count(record, "n_columns", least=1), _count(record, "row_axes", least=1)
    runs = [[_checked(number, int, "a column") for number in run] for run in _get(record, "columns", list)]
    if sum(count for _, count in runs) != n_features:
        raise ModelFileError(
            f"the model file says that the model was fitted to {sum(count for _, count in runs)} columns, but the"
            f" model has {n_features} features."
        )
    if not all(0 <= first < first + count <= n_columns for first, count in runs):
        raise ModelFileError(f"the model was fitted to columns that a table of {n_columns} columns does not have.")
    columns = tuple(number for first, count in runs for number in range(first, first + count))
    said = _get(record, "text", dict)
    _know(said, *(part.name for part in fields(TextFormat)))
    targets = None if record.get("targets") is None else tuple(_get(record, "targets", list))
    if targets is not None and not all(0 <= _checked(number, int, "a target") < n_columns for number in targets):
        raise ModelFileError(
            f"the model was fitted to target columns that a table of {n_columns} columns does not have."
        )
    return Reading(columns, n_columns, row_axes, TextFormat(**said), _row_shape(record, n_features), targets)


def _row_shape(record: dict[str, Any], n_features: int) -> tuple[int, ...] | None:
    """Return the shape of each row of the fit, or None if the rows had a single axis."""
    if record.get("row_shape") is None:
        return None
    shape = tuple(_checked(size, int, "the size of an axis") for size in _get(record, "row_shape", list))
    if len(shape) < 2 or min(shape) < 1 or prod(shape) != n_features:
        raise ModelFileError(
            f"the model was fitted to rows of the shape {shape}, which do not have {n_features} features."
        )
    return shape


def _know(record: Mapping[str, Any], *keys: str) -> None:
    """Raise ModelFileError if a description has keys other than the given ones."""
    unknown = {key: None for key in record if key not in keys}
    if unknown:
        raise ModelFileError(f"the description of the model has entries that are not known: {_listed(unknown)}.")


def _get(record: Mapping[str, Any], key: str, kind: type[Any]) -> Any:
    if key not in record:
        raise ModelFileError(f"the description of the model lacks the entry {key!r}.")
    return _checked(record[key], kind, repr(key))


def _count(record: Mapping[str, Any], key: str, least: int = 0) -> int:
    count: int = _get(record, key, int)
    if not least <= count < 2**63:
        raise ModelFileError(
            f"{key!r} must be an integer from {least} to 2**63 - 1 in the description of the model; got"
            f" {str(count)[:20]}."
        )
    return count


def _checked(value: Any, kind: type[Any], what: str) -> Any:
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise ModelFileError(
            f"{what} must be of type {kind.__name__} in the description of the model; got {type(value).__name__}."
        )
    return value


def _listed(names: Mapping[str, Any]) -> str:
    """Return the first five names, shortened, as a string for error messages."""
    shown = [repr(name[:60]) for name in list(names)[:5]]
    return ", ".join([*shown, *(["…"] if len(names) > 5 else [])])
