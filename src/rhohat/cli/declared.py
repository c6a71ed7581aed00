"""What a command declares of itself, from which its help and the page about the command line are written."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from inspect import Parameter, getdoc, signature
from pathlib import Path
from types import NoneType
from typing import Any, get_args, get_type_hints

from typer.models import ArgumentInfo, OptionInfo

__all__ = [
    "DATA",
    "MODEL",
    "OTHER",
    "OUTPUT",
    "PANELS",
    "TEXT_FILES",
    "TRAINING",
    "USAGE",
    "Declared",
    "declared",
    "paragraphs_of",
    "usage_of",
]

DATA, MODEL, TRAINING, OUTPUT, TEXT_FILES, OTHER = (
    *("Data", "Model", "Training", "Output"),
    *("Text files", "Other options"),
)
#: The panels in which options are shown, in this order; options that name no panel are in the last one.
PANELS = (DATA, MODEL, TRAINING, OUTPUT, TEXT_FILES, OTHER)


#: How the program is called.
USAGE = "rhohat COMMAND [ARGUMENTS] [OPTIONS]"


@dataclass(frozen=True)
class Declared:
    """An argument or an option of a command, as the function of the command declares it."""

    name: str
    kind: Any
    default: Any
    info: ArgumentInfo | OptionInfo

    @property
    def is_argument(self) -> bool:
        """Whether it is recognised by its place and not by a name."""
        return isinstance(self.info, ArgumentInfo)

    @property
    def is_required(self) -> bool:
        """Whether the command cannot be called without it."""
        return self.default is Parameter.empty

    @property
    def panel(self) -> str:
        """Title of the panel in which it is shown."""
        return self.info.rich_help_panel or OTHER

    @property
    def help(self) -> str:
        """The sentence about it, on one line."""
        return " ".join((self.info.help or "").split())

    @property
    def names(self) -> list[str]:
        """The names of an option as they are typed, or the one word that stands for an argument."""
        if self.is_argument:
            return [self.info.metavar or self.name.upper()]
        dashed = f"--{self.name.replace('_', '-')}"
        first = self.info.default  # where Annotated has it, Typer keeps the first name there
        given = [*([first] if isinstance(first, str) else []), *(self.info.param_decls or [])]
        if not given:
            given = [dashed, f"--no-{dashed[2:]}"] if self.kind is bool else [dashed]
        return [name for names in given for name in names.split("/")]

    @property
    def takes(self) -> str:
        """What must follow the name of an option, such as FILE; an empty string for a switch."""
        if self.kind is bool or self.is_argument:
            return ""
        if self.info.metavar:
            return self.info.metavar
        if isinstance(self.kind, type) and issubclass(self.kind, StrEnum):
            return "NAME"
        return {int: "INTEGER", float: "NUMBER", Path: "FILE"}.get(self.kind, "TEXT")

    @property
    def choices(self) -> list[str]:
        """The values that an option accepts, if they can be listed."""
        return list(self.kind) if isinstance(self.kind, type) and issubclass(self.kind, StrEnum) else []

    @property
    def shown_default(self) -> str:
        """The default as it is shown; an empty string if there is none worth showing."""
        if self.is_required or self.info.show_default is False:
            return ""
        if isinstance(self.info.show_default, str):
            return self.info.show_default
        if self.kind is bool:
            return self.names[0] if self.default else ""
        return "" if self.default is None else str(self.default)


def declared(function: Callable[..., None]) -> Iterator[Declared]:
    """Yield the arguments and options that a function declares."""
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in signature(function).parameters.items():
        kind, *more = get_args(hints[name]) or (hints[name],)
        infos = [one for one in more if isinstance(one, ArgumentInfo | OptionInfo)]
        if infos:
            yield Declared(name, _without_none(kind), parameter.default, infos[0])


def paragraphs_of(function: Callable[..., None]) -> list[str]:
    """Return the paragraphs of the docstring of a function, each on one line."""
    return [" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", getdoc(function) or "")]


def usage_of(name: str, parameters: list[Declared]) -> str:
    """Return how a command is called at the least, such as ``rhohat train DATA --output FILE [OPTIONS]``."""
    arguments = [one.names[0] for one in parameters if one.is_argument]
    required = [f"{one.names[0]} {one.takes}" for one in parameters if one.is_required and not one.is_argument]
    return " ".join(["rhohat", name, *arguments, *required, "[OPTIONS]"])


def _without_none(kind: Any) -> Any:
    """Return int for int | None, and the kind of its items for a list."""
    some = [one for one in get_args(kind) if one is not NoneType] or [kind]
    return _without_none(some[0]) if some[0] is not kind else kind
