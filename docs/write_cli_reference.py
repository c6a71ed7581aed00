"""`make cli-reference`: writes cli.md from what the commands declare; a test fails where the page is stale."""

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

from rhohat.cli import app
from rhohat.cli.app import ORDER

PAGE = Path(__file__).parent / "cli.md"

_HEAD = """# Command line

<!-- Written by `make cli-reference` from the commands' own help. -->

`rhohat COMMAND --help` prints what is here. `rhohat --install-completion` makes the shell complete commands and
options; `python -m rhohat` is the same program. `rhohat --import MODULE COMMAND` runs a Python module first, from the
current folder or installed, whose parts `rhohat.register` makes known.

{status}

A command's results go to standard output, so `rhohat encode MODEL DATA -o - | head` works; with `--json` they are for
programs. While a terminal waits, a line on standard error tells what is being done; `--quiet` leaves it out, and
warnings too. Errors are one sentence; `--traceback` shows where one comes from.
"""

_STATUS = """| exit status | |
|---|---|
| 0 | done |
| 1 | the data, a file or the fit is not as it should be; of `check-gradient`: a gradient is wrong |
| 2 | an option or argument is not as it should be |
| 130 | interrupted by Ctrl-C |
"""


@dataclass(frozen=True)
class _Parameter:
    """A parameter of a command, as its function declares it."""

    name: str
    kind: Any
    default: Any
    info: ArgumentInfo | OptionInfo

    @property
    def metavar(self) -> str:
        return self.info.metavar or self.name.upper()

    @property
    def names(self) -> list[str]:
        """Of an option, as they are typed."""
        dashed = f"--{self.name.replace('_', '-')}"
        first = self.info.default  # where Annotated has it, Typer keeps the first name there
        given = [*([first] if isinstance(first, str) else []), *(self.info.param_decls or [])]
        if given:
            return given
        return [dashed, f"--no-{self.name}"] if self.kind is bool else [dashed]

    @property
    def takes(self) -> str:
        """What an option takes; nothing for a switch."""
        if self.kind is bool:
            return ""
        if self.info.metavar:
            return self.info.metavar.strip("[]").replace("|", " or ")
        if isinstance(self.kind, type) and issubclass(self.kind, StrEnum):
            return " or ".join(self.kind)
        return {int: "INTEGER", float: "NUMBER", Path: "FILE"}.get(self.kind, "TEXT")

    @property
    def shown_default(self) -> str:
        if self.default is Parameter.empty:
            return "required"
        if isinstance(self.info.show_default, str):
            return self.info.show_default
        if self.kind is bool:
            return f"`{self.names[0]}`" if self.default else ""
        return "" if self.default is None else f"`{self.default}`"


def reference() -> str:
    """Return the page."""
    functions = {
        command.name or command.callback.__name__.replace("_", "-"): command.callback
        for command in app.registered_commands
    }
    sections = [_section(name, functions[name]) for name in ORDER]
    return "\n".join([_HEAD.format(status=_STATUS.strip()), *sections])


def _section(name: str, function: Callable[..., None]) -> str:
    parameters = list(_parameters(function))
    arguments = [one for one in parameters if isinstance(one.info, ArgumentInfo)]
    options = [one for one in parameters if isinstance(one.info, OptionInfo)]
    required = [f"{one.names[0]} {one.takes}" for one in options if one.default is Parameter.empty]
    usage = " ".join(["rhohat", name, *(one.metavar for one in arguments), *required, "[OPTIONS]"])
    lines = [f"## {name}", "", _paragraphs(getdoc(function) or ""), "", "```text", usage, "```", ""]
    if arguments:
        rows = [f"| `{one.metavar}` | {_cell(one.info.help)} |" for one in arguments]
        lines += ["| argument | |", "|---|---|", *rows, ""]
    lines += ["| option | | default |", "|---|---|---|"]
    for one in options:
        names = ", ".join(f"`{option}`" for option in one.names)
        lines.append(f"| {names} {one.takes} | {_cell(one.info.help)} | {one.shown_default} |")
    return "\n".join([*lines, ""])


def _parameters(function: Callable[..., None]) -> Iterator[_Parameter]:
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in signature(function).parameters.items():
        kind, *more = get_args(hints[name]) or (hints[name],)
        infos = [one for one in more if isinstance(one, ArgumentInfo | OptionInfo)]
        if infos:
            yield _Parameter(name, _without_none(kind), parameter.default, infos[0])


def _without_none(kind: Any) -> Any:
    """Return int for int | None, and the kind of its items for a list."""
    some = [one for one in get_args(kind) if one is not NoneType] or [kind]
    return _without_none(some[0]) if some[0] is not kind else kind


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text))


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
