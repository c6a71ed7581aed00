"""What a model file holds of a dictionary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.dictionaries.parameters import Parameters
from rhohat.dictionaries.scaling import Scaling
from rhohat.dictionaries.training import DictionaryProblem, DictionaryState
from rhohat.estimators.model_parts import ModelReader, ModelWriter
from rhohat.fitting.memory import MemoryPlan

__all__ = ["describe_dictionary", "restore_dictionary"]

_COUNTS = ("n_iter_", "n_steps_")
_STATUS = ("solver_status_", "solver_message_")


def describe_dictionary(
    dictionary: Any, problem: DictionaryProblem, state: DictionaryState, file: ModelWriter, prefix: str
) -> dict[str, Any]:
    """Store the arrays of a dictionary, and return the description of the rest.

    The factor by which all rows are scaled is part of the weights that are stored. The state of the solver is not
    stored, so that `partial_fit` begins with new moments.
    """
    for layer in range(2):
        file.arrays[f"{prefix}coefs_.{layer}"] = np.ascontiguousarray(dictionary.coefs_[layer])
        file.arrays[f"{prefix}intercepts_.{layer}"] = dictionary.intercepts_[layer]
    for name, values in problem.layout.views(state.theta).of_latents.items():
        file.arrays[f"{prefix}of_latents.{name}"] = values.copy()
    file.arrays[f"{prefix}thresholds"] = state.threshold
    file.arrays[f"{prefix}sparsity_weight"] = state.weight
    file.arrays[f"{prefix}rows_since_fired_"] = state.rows_since_fired.astype(np.float64)
    file.curve(f"{prefix}loss_curve_", dictionary.loss_curve_)
    curves = {"terms_curve_": dictionary.terms_curve_, "measures_curve_": dictionary.measures_curve_}
    for kind, named in curves.items():
        for name, curve in named.items():
            file.curve(f"{prefix}{kind}.{name}", curve)
    return {
        "dictionary": {"n_features": problem.layout.n_features, "n_components": problem.layout.n_latents},
        "training": {
            **{name: getattr(dictionary, name) for name in (*_COUNTS, *_STATUS)},
            "terms": list(dictionary.terms_curve_),
            "measures": list(dictionary.measures_curve_),
            "memory_plan_": asdict(dictionary.memory_plan_),
        },
    }


def restore_dictionary(
    dictionary: Any,
    begin: Callable[[list[FloatArray], int], tuple[DictionaryProblem, FloatArray]],
    file: ModelReader,
    described: dict[str, Any],
    prefix: str,
) -> None:
    """Set the fitted attributes of a dictionary from a model file.

    Parameters
    ----------
    dictionary : estimator
    begin : callable(sample, seed) -> (DictionaryProblem, θ)
        Makes the problem, for a sample of rows.
    file : ModelReader
    described : dict
        What `describe_dictionary` returned.
    prefix : str
    """
    sizes = file.get(described, "dictionary", dict)
    n_features, n_latents = file.get(sizes, "n_features", int), file.get(sizes, "n_components", int)
    if n_features < 1 or n_latents != dictionary.n_components:
        raise ValueError(
            f"the file has a dictionary of {n_latents} latents for {n_features} features, but n_components is"
            f" {dictionary.n_components}."
        )
    encoder = file.take(f"{prefix}coefs_.0", (n_features, n_latents))
    dtype = encoder.dtype
    decoder = file.take(f"{prefix}coefs_.1", (n_latents, n_features), dtype)
    biases = [file.take(f"{prefix}intercepts_.{layer}", (n,), dtype) for layer, n in enumerate((n_latents, n_features))]
    problem, _ = begin([np.zeros((1, n_features), dtype)], 0)
    problem = replace(problem, scaling=Scaling(by_rows=problem.scaling.by_rows))
    own = {name: file.take(f"{prefix}of_latents.{name}", (n_latents,), dtype) for name in problem.layout.names}
    if any((values < 0).any() for name, values in own.items() if name == "threshold"):
        raise ValueError("the thresholds of a dictionary must not be negative.")
    theta = problem.layout.pack(Parameters(np.ascontiguousarray(encoder.T), decoder, biases[0], biases[1], own))
    state = DictionaryState(
        theta,
        {},
        file.take(f"{prefix}rows_since_fired_", (n_latents,), np.float64).astype(np.int64),
        np.asarray(file.take(f"{prefix}thresholds", (2,), np.float64)),
        np.asarray(file.take(f"{prefix}sparsity_weight", (1,), np.float64)),
    )
    record = file.get(described, "training", dict)
    for count in _COUNTS:
        setattr(dictionary, count, file.get(record, count, int))
    for status in _STATUS:
        setattr(dictionary, status, file.get(record, status, str))
    state.step = dictionary.n_steps_
    dictionary.loss_curve_ = file.curve(f"{prefix}loss_curve_")
    for curves, key in (("terms_curve_", "terms"), ("measures_curve_", "measures")):
        found = {name: file.curve(f"{prefix}{curves}.{name}") for name in file.get(record, key, list)}
        setattr(dictionary, curves, found)
    plan = file.get(record, "memory_plan_", dict)
    dictionary.memory_plan_ = MemoryPlan(
        **{**plan, "parts": tuple((str(name), int(size)) for name, size in plan["parts"])}
    )
    rows_seen = dictionary.measures_curve_.get("rows") or [0.0]
    state.n_rows = int(rows_seen[-1])
    dictionary.n_features_in_ = n_features
    dictionary._take(problem, state, seed=0, passes=0)
