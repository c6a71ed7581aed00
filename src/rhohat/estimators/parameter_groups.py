"""Parameters of estimators in groups, and how to choose each; docstrings say both, see `documentation`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["GROUPS", "HOW_TO_CHOOSE", "HOW_TO_CHOOSE_FOR_DICTIONARIES", "group_of", "symbols_of"]

#: Names of the groups, with the parameters of each; a parameter that is in no other group belongs to the model.
GROUPS: dict[str, tuple[str, ...]] = {
    "Model": (),
    "Sparsity": (
        "sparsity",
        "sparsity_weight",
        "sparsity_layers",
        "k",
        "prefixes",
        "target_l0",
        "bandwidth",
        "auxiliary_weight",
        "dead_after",
    ),
    "Training": (
        "class_weight",
        "corruption",
        "n_corruptions",
        "solver",
        "initial_weights",
        "max_iter",
        "max_covariance_updates",
        "tol",
        "early_stopping",
        "validation_fraction",
        "n_iter_no_change",
        "warm_start",
        "random_state",
        "callbacks",
        "verbose",
    ),
    "Resources": ("n_jobs", "engine", "memory_limit", "checkpoint"),
}


def group_of(parameter: str) -> str:
    """Return the name of the group that a parameter belongs to."""
    return next((group for group, names in GROUPS.items() if parameter in names), "Model")


#: A sentence on how to choose each parameter, which ends its description in docstrings.
HOW_TO_CHOOSE: dict[str, str] = {
    "n_components": "More units find finer features and take longer: begin with 25 to 200, and double the number as"
    " long as the score on held-out rows rises.",
    "hidden_layer_sizes": "One layer of 50 to 200 units suits most tables; add units or a layer if the score on the"
    " training rows is too low.",
    "layers": "The default is a good beginning; give more channels or units if the score on the training rows is too"
    " low.",
    "input_shape": "Leave it at None if X has the shape of the rows.",
    "activation": 'Keep the default at first; "relu" trains faster in deep networks, but its units may die.',
    "output_activation": "The default suits most data.",
    "loss": "Keep the default unless the targets are probabilities or bits, for which cross-entropy fits better.",
    "scale_targets": "Leave it at True, unless θ and the cost are to be in the units of y.",
    "per_step": "Set it to True if the question is asked of each step, and not of a sequence as a whole.",
    "noise_covariance": 'None suits a single target; "estimate" helps where errors of several targets go together.',
    "max_covariance_updates": "Raise it if a warning says that the log-likelihood still rises.",
    "contraction_weight": "Raise it until codes change little when rows change a little; if rows are no longer"
    " reconstructed well, it is too large.",
    "tied_weights": "True halves the number of parameters, and helps with few rows.",
    "weight_decay": "Multiply it by 10 if the score on held-out rows is far below that on the training rows, and divide"
    " it by 10 if both are low.",
    "softmax_weight_decay": "The default suits features in [0, 1].",
    "fine_tuning_weight_decay": "Raise it if the score on held-out rows falls through fine-tuning.",
    "tangent_weight": "Leave it at 0 unless you know movements of the input that must not matter.",
    "penalties": "None is needed at first.",
    "sparsity": "0.01 to 0.1 gives features that are local and can be looked at; a larger value lets more units share a"
    " row, which reconstructs it better.",
    "sparsity_weight": "Raise it while the mean activations stay above `sparsity`; if rows are reconstructed badly,"
    " lower it.",
    "sparsity_layers": "None suits networks of one hidden layer; in deeper ones name the layer of the code.",
    "corruption": "Noise keeps the network from copying its input; begin with a tenth to a third of the values masked.",
    "n_corruptions": "Raise it to 5 or 10 if features follow the noise of a single corruption, or use a solver that"
    " works in mini-batches.",
    "class_weight": 'Use "balanced" if a rare class matters as much as a frequent one.',
    "solver": '"lbfgs" is best up to some 100,000 rows; "adam" for more, for deep networks and for rows in files.',
    "initial_weights": "Keep the default; pass arrays to start at weights from elsewhere.",
    "max_iter": "Double it if a warning says that J was still falling.",
    "tol": "A smaller value seldom pays; a larger one such as 1e-3 ends a first trial sooner.",
    "early_stopping": "Set it to True if the score on held-out rows gets worse while J still falls.",
    "validation_fraction": "0.1 suits most data; 0.2 gives a steadier judgement with few rows.",
    "n_iter_no_change": "Raise it if the cost on the held-out rows goes up and down from one iteration to the next.",
    "warm_start": "Set it to True to train on, for example with more iterations.",
    "random_state": "Pass an integer for results that can be repeated; try several to see how much depends on chance.",
    "n_jobs": "Leave it at None, or set it to 1 where other programs need the cores.",
    "engine": "None suits rows that one machine can read.",
    "memory_limit": "Set it if the machine runs out of memory, to about half of what it has.",
    "checkpoint": "Give a folder to fits of more than some minutes.",
    "callbacks": "Classes for the usual purposes are in `rhohat.callbacks`.",
    "verbose": "Set it to 1 to see how a fit gets on.",
    "dictionary": "Choose the kind and the number of latents as for a dictionary of single rows.",
    "skip": "True leaves to the latents only what is not linear.",
}

#: Those of dictionaries that differ.
HOW_TO_CHOOSE_FOR_DICTIONARIES: dict[str, str] = {
    "n_components": "Begin with 4 to 16 times the number of features; more latents split features into finer ones.",
    "k": "A smaller number is easier to read, and a larger one reconstructs better: try 16, 32 and 64.",
    "prefixes": "The default suits most purposes.",
    "sparsity_weight": "Raise it for fewer active latents, or let `target_l0` find it.",
    "target_l0": "Choose the number of latents that you want to read for a row, such as 32.",
    "engine": 'None suits small dictionaries; give "cuda" to large ones where there is a GPU.',
    "bandwidth": "Widen it if thresholds hardly move, and narrow it if training is unsteady.",
    "auxiliary_weight": "Keep it unless many latents are dead in spite of it.",
    "dead_after": "Lower it if latents die, and raise it if latents for something rare are changed too soon.",
    "normalize": 'Keep "mean_norm", and take "layer_norm" where the norms of rows differ widely and mean nothing.',
    "center": "Set it to False only if 0 has a meaning in your rows.",
    "decoder_norm": "Keep True, so that activations of latents can be compared.",
    "solver": "Raise the learning rate if J falls slowly, and lower it if J is unsteady.",
    "max_iter": "Choose it such that some ten million rows are seen in all, or as many as time allows.",
    "sparse_output": "Set it to False if what comes next cannot use sparse matrices.",
}


def symbols_of(parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return the symbols of ρ, β and λ by the names of the parameters, if these make an autoencoder sparse.

    Examples
    --------
    >>> symbols_of({"sparsity": 0.01, "sparsity_weight": 3.0, "weight_decay": 1e-4})
    {'sparsity': 'ρ', 'sparsity_weight': 'β', 'weight_decay': 'λ'}
    >>> symbols_of({"sparsity": 0.05, "sparsity_weight": 0.0, "weight_decay": 1e-4})
    {}
    """
    if parameters.get("sparsity") is None or not parameters.get("sparsity_weight"):
        return {}
    symbols = {"sparsity": "ρ", "sparsity_weight": "β", "weight_decay": "λ"}
    return {name: symbol for name, symbol in symbols.items() if name in parameters}
