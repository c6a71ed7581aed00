"""What a model file holds of a dictionary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.dictionaries.folding import Folding, unfolded
from rhohat.dictionaries.parameters import Parameters
from rhohat.dictionaries.scaling import Scaling
from rhohat.dictionaries.training import DictionaryProblem, DictionaryState
from rhohat.estimators.model_parts import ModelReader, ModelWriter
from rhohat.fitting.memory import MemoryPlan

__all__ = ["describe_dictionary", "restore_dictionary"]

_SIZES = ("n_features", "n_components", "n_outputs", "skip", "factor")
_COUNTS = ("n_iter_", "n_steps_")
_STATUS = ("solver_status_", "solver_message_")
_TRAINING = (*_COUNTS, *_STATUS, "terms", "measures", "memory_plan_")
_MOST = 2**53  # whole numbers up to this one are exact in float64


def describe_dictionary(
    dictionary: Any, problem: DictionaryProblem, state: DictionaryState, file: ModelWriter, prefix: str
) -> dict[str, Any]:
    """Store the arrays of a dictionary, and return the description of the rest.

    The factor by which all rows are scaled is part of the weights that are stored, which are for rows as they are. It
    is stored beside them, because a training goes on with scaled rows. The state of the solver is not stored, so that
    `partial_fit` begins with new moments.
    """
    for layer in range(2):
        file.arrays[f"{prefix}coefs_.{layer}"] = np.ascontiguousarray(dictionary.coefs_[layer])
        file.arrays[f"{prefix}intercepts_.{layer}"] = dictionary.intercepts_[layer]
    for name, values in problem.layout.views(state.theta).of_latents.items():
        file.arrays[f"{prefix}of_latents.{name}"] = values.copy()
    skip = dictionary._skip_weights()
    if skip is not None:
        file.arrays[f"{prefix}skip"] = skip
    file.arrays[f"{prefix}thresholds"] = state.threshold
    file.arrays[f"{prefix}sparsity_weight"] = state.weight
    file.arrays[f"{prefix}rows_since_fired_"] = state.rows_since_fired.astype(np.float64)
    file.curve(f"{prefix}loss_curve_", dictionary.loss_curve_)
    curves = {"terms_curve_": dictionary.terms_curve_, "measures_curve_": dictionary.measures_curve_}
    for kind, named in curves.items():
        for name, curve in named.items():
            file.curve(f"{prefix}{kind}.{name}", curve)
    sizes = problem.layout.n_features, problem.layout.n_latents
    n_outputs = None if problem.output_scaling is None else problem.layout.n_outputs  # None: it is not a transcoder's
    return {
        "dictionary": dict(zip(_SIZES, (*sizes, n_outputs, skip is not None, problem.scaling.factor), strict=True)),
        "training": {
            **{name: getattr(dictionary, name) for name in (*_COUNTS, *_STATUS)},
            "terms": list(dictionary.terms_curve_),
            "measures": list(dictionary.measures_curve_),
            "memory_plan_": asdict(dictionary.memory_plan_),
        },
    }


def restore_dictionary(
    dictionary: Any,
    problem_for: Callable[[Sequence[FloatArray]], DictionaryProblem],
    file: ModelReader,
    described: dict[str, Any],
    prefix: str,
) -> None:
    """Set the fitted attributes of a dictionary from a model file.

    Parameters
    ----------
    dictionary : estimator
    problem_for : callable(sample) -> DictionaryProblem
        Function that makes the problem for a sample of the rows, and of the outputs of a transcoder.
    file : ModelReader
    described : dict
        What `describe_dictionary` returned.
    prefix : str

    Raises
    ------
    ValueError
        If the parts of the file do not fit together.
    """
    n_features, n_outputs, factor = _sizes(file, described, dictionary.n_components)
    n_latents, width = dictionary.n_components, n_features if n_outputs is None else n_outputs
    encoder = file.take(f"{prefix}coefs_.0", (n_features, n_latents))
    dtype = encoder.dtype
    decoder = file.take(f"{prefix}coefs_.1", (n_latents, width), dtype)
    biases = [file.take(f"{prefix}intercepts_.{layer}", (n,), dtype) for layer, n in enumerate((n_latents, width))]
    dictionary._has_skip = file.get(file.get(described, "dictionary", dict), "skip", bool)
    skip = file.take(f"{prefix}skip", (n_features, width), dtype) if dictionary._has_skip else None
    sample = [np.zeros((1, n_features), dtype), *([] if n_outputs is None else [np.zeros((1, n_outputs), dtype)])]
    problem = problem_for(sample)
    problem = replace(
        problem,
        scaling=Scaling(by_rows=problem.scaling.by_rows),
        output_scaling=None if n_outputs is None else Scaling(),
    )
    own = {name: file.take(f"{prefix}of_latents.{name}", (n_latents,), dtype) for name in problem.layout.names}
    if "threshold" in own and (own["threshold"] < 0).any():
        raise ValueError("the thresholds of a dictionary must not be negative.")
    parameters = Parameters(np.ascontiguousarray(encoder.T), decoder, biases[0], biases[1], own, skip)
    theta = problem.layout.pack(parameters)
    state = DictionaryState(
        theta,
        {},
        _counts(file, f"{prefix}rows_since_fired_", n_latents),
        _not_negative(file, f"{prefix}thresholds", 2),
        _not_negative(file, f"{prefix}sparsity_weight", 1),
    )
    _restore_training(dictionary, file, file.get(described, "training", dict), prefix)
    state.step = dictionary.n_steps_
    rows_seen = dictionary.measures_curve_.get("rows") or [0.0]
    state.n_rows = int(rows_seen[-1])
    dictionary.n_features_in_ = n_features
    scaled = problem
    if n_outputs is None:  # the fit of a transcoder cannot be continued
        scaled, state.theta = unfolded(problem, theta, factor)
    if not np.isfinite(state.theta).all():
        raise ValueError(f"the factor {factor} does not suit the weights.")
    dictionary._take(scaled, state, seed=0, passes=0)
    dictionary._folding = Folding(problem, theta)  # with the bits of the file


def _sizes(file: ModelReader, described: dict[str, Any], n_components: int) -> tuple[int, int | None, float]:
    """Return the numbers of features and of outputs, None without a transcoder, and the factor of the rows."""
    sizes = file.get(described, "dictionary", dict)
    _check_keys(sizes, _SIZES)
    n_features, n_latents = file.get(sizes, "n_features", int), file.get(sizes, "n_components", int)
    n_outputs = None if sizes["n_outputs"] is None else file.get(sizes, "n_outputs", int)
    if n_latents != n_components:
        raise ValueError(f"the file has a dictionary of {n_latents} latents, but n_components is {n_components}.")
    if n_features < 1 or (n_outputs is not None and n_outputs < 1):
        raise ValueError("a dictionary must have at least one feature and one output.")
    factor = float(file.get(sizes, "factor", float))
    if not 0 < factor < np.inf:
        raise ValueError(f"the factor of the rows must be positive and finite; got {factor}.")
    return n_features, n_outputs, factor


def _restore_training(dictionary: Any, file: ModelReader, record: dict[str, Any], prefix: str) -> None:
    """Set the attributes that say how the training went."""
    _check_keys(record, _TRAINING)
    for name in _COUNTS:
        count = file.get(record, name, int)
        if not 0 <= count < _MOST:
            raise ValueError(f"{name} must be a count.")
        setattr(dictionary, name, count)
    for name in _STATUS:
        setattr(dictionary, name, file.get(record, name, str))
    dictionary.loss_curve_ = file.curve(f"{prefix}loss_curve_")
    for kind, key in (("terms_curve_", "terms"), ("measures_curve_", "measures")):
        names = file.get(record, key, list)
        if not all(type(name) is str for name in names):
            raise ValueError(f"the names of {key} must be texts.")
        setattr(dictionary, kind, {name: file.curve(f"{prefix}{kind}.{name}") for name in names})
    plan = file.get(record, "memory_plan_", dict)
    parts = tuple((str(name), int(size)) for name, size in plan["parts"])
    dictionary.memory_plan_ = MemoryPlan(**{**plan, "parts": parts})


def _counts(file: ModelReader, name: str, size: int) -> NDArray[np.int64]:
    """Return counts that are stored as float64."""
    numbers = _not_negative(file, name, size)
    if (numbers > _MOST).any() or (numbers != np.floor(numbers)).any():
        raise ValueError(f"{name} must hold counts.")
    return numbers.astype(np.int64)


def _not_negative(file: ModelReader, name: str, size: int) -> NDArray[np.float64]:
    """Return numbers that are not negative, and that may be changed in place."""
    numbers = np.array(file.take(name, (size,), np.float64), np.float64)
    if (numbers < 0).any():
        raise ValueError(f"{name} must not be negative.")
    return numbers


def _check_keys(record: Mapping[str, Any], keys: Sequence[str]) -> None:
    """Raise ValueError unless a part of a description has these keys."""
    if set(record) != set(keys):
        raise ValueError(f"a dictionary is described by {', '.join(keys)}; got {', '.join(record)[:200]}.")
