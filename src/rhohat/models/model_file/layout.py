"""Lists of what a model file contains for a model, in addition to weights and parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from rhohat.common.exceptions import ModelFileError

__all__ = ["COUNTS", "NO_LONGER", "OF_THE_RUN", "STATUS", "check_steps", "learned_shapes", "models_within"]

#: Parameters of how and where a fit runs, and of its callbacks, which do not belong to the learned model.
OF_THE_RUN = ("callbacks", "engine", "checkpoint")
#: Parameters that estimators no longer have, but files of earlier versions may contain; they do not affect the model.
NO_LONGER = ("checkpoint_every",)

#: Shapes of the learned arrays of scikit-learn's transformers; other transformers have an attribute `learned_shapes`.
_LEARNED: dict[str, Mapping[str, Callable[[int], tuple[int, ...]]]] = {
    "StandardScaler": dict.fromkeys(("mean_", "var_", "scale_"), lambda n: (n,)),
    "MinMaxScaler": dict.fromkeys(("min_", "scale_", "data_min_", "data_max_", "data_range_"), lambda n: (n,)),
}

#: Names of the fitted attributes about the training that are integers (COUNTS) and strings (STATUS).
COUNTS = ("n_iter_", "n_evaluations_")
STATUS = ("solver_status_", "solver_message_")


def learned_shapes(transformer: Any) -> Mapping[str, Callable[[int], tuple[int, ...]]]:
    """Return, for each array that a transformer learns, a function from the number of features to its shape."""
    own: Mapping[str, Callable[[int], tuple[int, ...]]] | None = getattr(transformer, "learned_shapes", None)
    return _LEARNED[type(transformer).__name__] if own is None else own


def models_within(cls: type[Any]) -> tuple[str, ...]:
    """Return the parameters of a class that are fitted models, which a file holds as such; most classes have none."""
    names: tuple[str, ...] = getattr(cls, "models_within", ())
    return names


def check_steps(steps: Sequence[Any]) -> None:
    """Raise ModelFileError unless the steps form a pipeline: all but the last are transformers, and widths match.

    Parameters
    ----------
    steps : sequence of fitted models, "passthrough" or None
    """
    active = [step for step in steps if step is not None and step != "passthrough"]
    if not active or active[-1] is not steps[-1]:
        raise ModelFileError("a pipeline must end in a transformer or an estimator.")
    for step, next_step in pairwise(active):
        if not hasattr(step, "transform"):
            raise ModelFileError(f"{type(step).__name__} does not transform rows, so it can only be the last step.")
        width = _width_of(step)
        if width != next_step.n_features_in_:
            raise ModelFileError(
                f"two steps of the pipeline do not fit together: {type(step).__name__} returns {width} columns, but"
                f" {type(next_step).__name__}, the next step, expects {next_step.n_features_in_}."
            )


def _width_of(step: Any) -> int:
    """Return the number of output columns of a fitted transformer, an autoencoder or a pipeline of them."""
    if hasattr(step, "steps"):
        active = [one for _, one in step.steps if one is not None and one != "passthrough"]
        return _width_of(active[-1])
    return int(getattr(step, "_n_features_out", step.n_features_in_))
