"""Names of options: what users type, and what messages of the library that name parameters of Python become."""

from __future__ import annotations

import re
from collections.abc import Collection

from rhohat.common.words import Sentence, Setting

__all__ = ["own_name", "refused_parameter", "written"]

#: Names of options that people know from elsewhere, and those that options have here.
_OTHER_NAMES = {
    "--latents": "--hidden",
    "--epochs": "--max-iter",
    "--rho": "--sparsity",
    "--lambda": "--weight-decay",
    "--id": "--row-names",
    "--row-names": "--id",
}

#: Options of parameters that have another name in Python.
_OPTIONS = {
    "n_components": "--hidden",
    "hidden_layer_sizes": "--hidden",
    "sparsity_weight": "--beta",
    "random_state": "--seed",
    "n_jobs": "--jobs",
}

#: Parameters that messages mention and that can only be set with --set, as they have no option of their own.
_SET_BY_NAME = ("auxiliary_weight", "output_activation", "prefixes", "target_l0", "tol")

#: Message of scikit-learn on a parameter that is out of its range.
_OUT_OF_RANGE = re.compile(r"The '(\w+)' parameter of \w+ must be (.*)\. Got (.*) instead\.", re.DOTALL)


def own_name(typed: str, known: Collection[str]) -> str:
    """Return an option, such as --rho or --rho=0.1, by the name that it has here, if the command has it."""
    name, sign, value = typed.partition("=")
    own = _OTHER_NAMES.get(name)
    return typed if own is None or own not in known else f"{own}{sign}{value}"


def written(text: str) -> str:
    """Return a message of the library in which a setting such as header=False is written as an option, --no-header."""
    return text.written(_as_option) if isinstance(text, Sentence) else text


def refused_parameter(message: str, options: Collection[str], typed: Collection[str] = ()) -> str:
    """Return scikit-learn's message on a parameter that is out of its range, with the option that sets it.

    Parameters
    ----------
    message : str
        Any message; those that are not about such a parameter are returned as they are.
    options : collection of str
        Names of the options of the command. Parameters without one are set with --set.
    typed : collection of str, default=()
        The command line. If the option has another name there, such as --rho, the message has this name.

    Examples
    --------
    >>> refused_parameter("The 'k' parameter of A must be an int in the range [1, inf). Got 0 instead.", {"--k"})
    '--k must be an int in the range [1, inf); got 0.'
    >>> refused_parameter(
    ...     "The 'sparsity' parameter of A must be below 1. Got 2 instead.", {"--sparsity"}, ["train", "--rho", "2"]
    ... )
    '--rho must be below 1; got 2.'
    """
    found = _OUT_OF_RANGE.fullmatch(message)
    if found is None:
        return message
    name, allowed, got = found.groups()
    option = _OPTIONS.get(name, f"--{name.replace('_', '-')}")
    others = (other for other, own in _OTHER_NAMES.items() if own == option)
    names = {one.partition("=")[0] for one in typed}
    shown = next((other for other in others if other in names), option)
    return f"{shown if option in options else f'--set {name}'} must be {allowed}; got {got}."


def _as_option(setting: Setting) -> str:
    """Return a parameter of the library, with its value if it has one, as it is written on the command line."""
    option = _OPTIONS.get(setting.name, f"--{setting.name.replace('_', '-')}")
    if isinstance(setting.value, bool):
        return option if setting.value else f"--no-{option.removeprefix('--')}"
    if setting.name in _SET_BY_NAME:
        return f"--set {setting.name}=" + ("..." if setting.value is None else f"{setting.value}")
    if setting.value is None:
        return option
    value = str(setting.value)
    return f"{option} {value if value.replace('-', '').isalnum() else repr(value)}"
