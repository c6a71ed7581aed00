"""Names of options: what users type, and what messages of the library that name parameters of Python become."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from rhohat.common.words import Sentence, Setting

__all__ = ["Typed", "option_of", "own_name"]

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
    "n_rows": "--rows",
}

#: Parameters that messages mention and that can only be set with --set, as they have no option of their own.
_SET_BY_NAME = ("auxiliary_weight", "early_stopping", "output_activation", "prefixes", "target_l0", "tol")

#: Message of scikit-learn on a parameter that is out of its range.
_OUT_OF_RANGE = re.compile(r"The '(\w+)' parameter of \w+ must be (.*)\. Got (.*) instead\.", re.DOTALL)


def own_name(typed: str, known: Collection[str]) -> str:
    """Return an option, such as --rho or --rho=0.1, by the name that it has here, if the command has it."""
    name, sign, value = typed.partition("=")
    own = _OTHER_NAMES.get(name)
    return typed if own is None or own not in known else f"{own}{sign}{value}"


def option_of(parameter: str) -> str:
    """Return the option that sets a parameter of the library, if there is one.

    Examples
    --------
    >>> option_of("sparsity_weight"), option_of("weight_decay")
    ('--beta', '--weight-decay')
    """
    return _OPTIONS.get(parameter, f"--{parameter.replace('_', '-')}")


@dataclass(frozen=True)
class Typed:
    """The command line as it was typed, in whose words messages are written.

    Parameters
    ----------
    words : sequence of str
        What follows the name of the command.
    options : collection of str
        Names of the options of the command.

    Examples
    --------
    >>> typed = Typed(["x.npy", "--latents", "16"], {"--hidden", "--k", "--set"})
    >>> sentence = Sentence(
    ...     Setting("k", 32, in_use=True), " must not exceed ", Setting("n_components", 16, in_use=True), "."
    ... )
    >>> typed.written(sentence)
    'the default of k, 32, must not exceed --latents 16.'
    >>> typed.written("pass --hidden")
    'pass --latents'
    """

    words: Sequence[str] = ()
    options: Collection[str] = ()
    _names: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_names", frozenset(word.partition("=")[0] for word in self.words))

    def written(self, text: str) -> str:
        """Return a message of the library in the words of the command line.

        A setting such as header=False is written as an option, --no-header; a setting in use that was not typed as the
        default that it is; and an option by the name that was typed, such as --latents for --hidden.
        """
        if isinstance(text, Sentence):
            text = text.written(self._as_option)
            text = re.sub(r"(the default of [\w-]+, [^ ]+)(?= [a-z])", r"\1,", text)
        return self.with_own_names(text)

    def with_own_names(self, text: str) -> str:
        """Return a text with options by the names that were typed, such as --latents for --hidden."""
        for other, own in _OTHER_NAMES.items():
            if other in self._names and own not in self._names:
                text = re.sub(rf"(?<![\w-]){own}(?![\w-])", other, text)
        return text

    def refused(self, message: str) -> str:
        """Return scikit-learn's message on a parameter that is out of its range, with the option that sets it.

        Any other message is returned as it is.

        Examples
        --------
        >>> typed = Typed(["--rho", "2"], {"--sparsity"})
        >>> typed.refused("The 'sparsity' parameter of A must be below 1. Got 2 instead.")
        '--rho must be below 1; got 2.'
        """
        found = _OUT_OF_RANGE.fullmatch(message)
        if found is None:
            return message
        name, allowed, got = found.groups()
        setting = self._set(name)
        option = option_of(name)
        shown = f"--set {setting[0] if setting else name}" if setting or option not in self.options else option
        return self.with_own_names(f"{shown} must be {allowed}; got {got}.")

    def _set(self, name: str) -> tuple[str, str] | None:
        """Return the name and the value that were typed with --set for a parameter, or for a part of one."""
        for before, word in zip(["", *self.words], self.words, strict=False):
            setting = word if before == "--set" else word.removeprefix("--set=") if word.startswith("--set=") else ""
            key, sign, value = (part.strip() for part in setting.partition("="))
            if sign and (key == name or key.endswith(f"__{name}") or re.search(rf"\b{name}=", value)):
                return key, value
        return None

    def _has_option(self, setting: Setting) -> bool:
        """Return whether a parameter is set with an option of its own, and not with --set."""
        if "--set" in self.options:
            return option_of(setting.name) in self.options
        return setting.name not in _SET_BY_NAME

    def _is_typed(self, option: str) -> bool:
        return option in self._names or any(
            other in self._names for other, own in _OTHER_NAMES.items() if own == option
        )

    def _as_option(self, setting: Setting) -> str:
        """Return a parameter of the library, with its value if it has one, as it is written on the command line."""
        option, by_set = option_of(setting.name), self._set(setting.name)
        if setting.in_use:
            if by_set is not None:
                return f"--set {by_set[0]}={by_set[1]}"
            if not self._is_typed(option):
                name = option.removeprefix("--") if self._has_option(setting) else setting.name
                return f"the default of {name}, {setting.value}"
        if isinstance(setting.value, bool) and self._has_option(setting):
            return option if setting.value else f"--no-{option.removeprefix('--')}"
        if setting.value is None and by_set is not None:
            return f"--set {by_set[0]}"
        if by_set is not None or not self._has_option(setting):
            return f"--set {setting.name}=" + ("..." if setting.value is None else f"{setting.value}")
        if setting.value is None:
            return option
        value = str(setting.value)
        return f"{option} {value if value.replace('-', '').isalnum() else repr(value)}"
