"""`make cli-reference`: writes cli.md from what the commands declare; a test fails where the page is stale."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rhohat.cli.app import examples_of, functions_of_commands
from rhohat.cli.declared import PANELS, Declared, declared, paragraphs_of, usage_of

PAGE = Path(__file__).parent / "cli.md"

_HEAD = """# Command line

<!-- Written by `make cli-reference` from the commands' own help. -->

`rhohat COMMAND --help` prints the description of a command and its options. `rhohat --install-completion` makes the
shell complete commands and options. `python -m rhohat` is the same program. `rhohat --import MODULE COMMAND` first
runs a Python module, from the current folder or installed, in which `rhohat.register` adds parts of your own.

{status}

A command prints its results on standard output, so `rhohat encode MODEL DATA -o - | head` works. With `--json`, other
programs can read them. Progress and warnings are printed on standard error; `--quiet` switches both off. An error is
one sentence; `--traceback` also shows where it comes from.
"""

_STATUS = """| exit status | |
|---|---|
| 0 | success |
| 1 | an error in the data, in a file or in the fit; for `check-gradient`: a gradient is wrong |
| 2 | an error in an option or an argument |
| 130 | interrupted by Ctrl-C |
"""


def reference() -> str:
    """Return the page."""
    sections = [
        _section(name, function) for name, function in functions_of_commands().items()
    ]
    return "\n".join([_HEAD.format(status=_STATUS.strip()), *sections])


def _section(name: str, function: Callable[..., None]) -> str:
    parameters = list(declared(function))
    lines = [f"## {name}", "", "\n\n".join(paragraphs_of(function)), ""]
    lines += [
        "```text",
        usage_of(name, parameters),
        "```",
        "",
        "```bash",
        *examples_of(name),
        "```",
        "",
    ]
    for title in PANELS:
        shown = [one for one in parameters if one.panel == title]
        if shown:
            lines += [
                f"| {title} | | default |",
                "|---|---|---|",
                *map(_row, shown),
                "",
            ]
    return "\n".join(lines)


def _row(one: Declared) -> str:
    names = ", ".join(f"`{name}`" for name in one.names)
    about = one.help + (f" One of {', '.join(one.choices)}." if one.choices else "")
    default = (
        "required"
        if one.is_required
        else f"`{one.shown_default}`"
        if one.shown_default
        else ""
    )
    # In code, a backslash would be seen.
    about, takes = about.replace("[", "\\["), one.takes.replace("[", "\\[")
    return f"| {names}{' ' if takes else ''}{takes} | {about} | {default} |"


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
