"""What a model file has of each kind of model, beside weights and parameters."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["COUNTS", "LEARNED", "OF_THE_RUN", "STATUS"]

#: Parameters that say how a fit is carried out, where, and who is told; not what it learns.
OF_THE_RUN = ("callbacks", "engine", "checkpoint", "resume")

#: What transformers have learned: arrays of this shape, given the number of features.
LEARNED: dict[str, dict[str, Callable[[int], tuple[int, ...]]]] = {
    "PatchNormalizer": {"scale_": lambda n: ()},
    "RangeScaler": dict.fromkeys(("data_min_", "data_max_"), lambda n: ()),
    "ZCAWhitening": {
        "mean_": lambda n: (n,),
        "whitening_": lambda n: (n, n),
        "dewhitening_": lambda n: (n, n),
    },
    "StandardScaler": dict.fromkeys(("mean_", "var_", "scale_"), lambda n: (n,)),
    "MinMaxScaler": dict.fromkeys(("min_", "scale_", "data_min_", "data_max_", "data_range_"), lambda n: (n,)),
}

#: Numbers and texts of the training record, by the names of the fitted attributes.
COUNTS = ("n_iter_", "n_evaluations_")
STATUS = ("solver_status_", "solver_message_")
