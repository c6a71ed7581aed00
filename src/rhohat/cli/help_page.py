"""The page that --help prints: panels of options, whose texts flow with the width of the terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rhohat.cli.declared import MODEL, PANELS, TRAINING, USAGE, Declared, declared, paragraphs_of, usage_of

__all__ = ["print_command_help", "print_group_help"]

_WIDEST_NAME = 30  # columns of the terminal for the names of options; longer ones are continued on a second line
_OPENING = 2  # paragraphs of a docstring that stand above the options; the others stand below them

#: Sentences below the options of a panel.
_REMARKS = {
    (MODEL, "train"): "Options that are not given have the defaults of the estimator.",
    (TRAINING, "train"): "Options that are not given, and show no default here, have the defaults of the estimator.",
}


def print_command_help(name: str, function: Callable[..., None], examples: Sequence[str]) -> None:
    """Print the help of a command.

    Parameters
    ----------
    name : str
        Name of the command.
    function : callable
        The function that declares its options.
    examples : sequence of str
        Command lines, each after a comment that says what it does.
    """
    console = Console(highlight=False)
    parameters = list(declared(function))
    opening, rest = paragraphs_of(function)[:_OPENING], paragraphs_of(function)[_OPENING:]
    console.print(_usage(usage_of(name, parameters)))
    _print_paragraphs(console, opening)
    console.print(_panel("Examples", [Text(line, "dim" if line.startswith("#") else "") for line in examples]))
    for title in PANELS:
        shown = [one for one in parameters if one.panel == title]
        if shown:
            remark = _REMARKS.get((title, name))
            more = [] if remark is None else [Text(remark, style="dim italic")]
            console.print(_panel(title, [_options((_names(one), _about(one)) for one in shown), *more]))
    _print_paragraphs(console, rest)


def print_group_help(summary: str, commands: dict[str, list[tuple[str, str]]], options: Any, epilog: str) -> None:
    """Print the help of the program.

    Parameters
    ----------
    summary : str
        What the program does.
    commands : dict of str to list of (str, str)
        Names of the commands with the first sentence of their help, by the titles of their panels.
    options : iterable of (str, str)
        Options of the program itself, with their help.
    epilog : str
        Text below the panels.
    """
    console = Console(highlight=False)
    console.print(_usage(USAGE))
    _print_paragraphs(console, [summary, "rhohat COMMAND --help describes a command, with examples."])
    width = max(len(name) for panel in commands.values() for name, _ in panel)
    for title, panel in commands.items():
        console.print(_panel(title, [_options(((Text(name), Text(said)) for name, said in panel), width)]))
    console.print(_panel("Options", [_options((Text(name), Text(said)) for name, said in options)]))
    _print_paragraphs(console, [epilog])


def _usage(usage: str) -> Padding:
    return Padding(Text.assemble(("Usage: ", "yellow"), (usage, "bold")), (1, 1, 1, 1))


def _print_paragraphs(console: Console, paragraphs: Iterable[str]) -> None:
    for paragraph in paragraphs:
        console.print(Padding(Text(paragraph), (0, 1, 1, 1)))


def _panel(title: str, parts: Sequence[Any]) -> Panel:
    content = Table.grid(expand=True)
    for part in parts:
        content.add_row(part)
    return Panel(content, title=title, title_align="left", border_style="dim")


def _options(rows: Iterable[tuple[Text, Text]], width: int | None = None) -> Table:
    """Return a table of two columns: names, of a limited width, and sentences."""
    rows = list(rows)
    table = Table.grid(padding=(0, 2), expand=True)
    table.add_column(style="bold cyan", width=width or min(_WIDEST_NAME, max(len(name) for name, _ in rows)))
    table.add_column(ratio=1, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _names(one: Declared) -> Text:
    text = Text(", ".join(sorted(one.names, key=_is_long)))
    return text.append(f" {one.takes}", "not bold yellow") if one.takes else text


def _is_long(name: str) -> bool:
    return name.startswith("--")


def _about(one: Declared) -> Text:
    text = Text(one.help)
    if one.choices:
        text.append(f" One of {', '.join(one.choices)}.")
    if one.is_required and not one.is_argument:
        text.append(" [required]", "red")
    if one.shown_default:
        text.append(f" [default: {one.shown_default}]", "dim")
    return text
