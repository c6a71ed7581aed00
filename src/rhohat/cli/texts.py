"""Texts and images that rows come from, read from files for commands."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from rhohat.cli.declared import DATA
from rhohat.cli.files import read_lines
from rhohat.data.harvested import HarvestIndex
from rhohat.data.rows.harvests import harvest_of

__all__ = ["Texts", "read_image_paths", "read_texts"]

Texts = Annotated[
    Path | None,
    typer.Option(
        "--texts",
        metavar="FILE",
        help="The texts that the rows come from, for the page about a dictionary: a text file with one text per line,"
        " one for each row; a .jsonl file with a list of tokens per line, one token for each row; or the folder of a"
        " harvest. If the rows come from a harvest, its own texts are shown by default.",
        show_default=False,
        rich_help_panel=DATA,
    ),
]


def read_image_paths(path: Path, encoding: str | None = None) -> Path | list[Path]:
    """Return a folder of images, or the paths in a text file, one in a line, which may be relative to that file."""
    return path if path.is_dir() else [path.parent / line for line in read_lines(path, encoding)]


def read_texts(path: Path, encoding: str | None = None) -> Any:
    """Return the texts in a file, in a form that `rhohat.report` takes.

    Parameters
    ----------
    path : Path
        A `.jsonl` file, each line of which is a string, a list of tokens, or an object with either as "text" or
        "tokens"; the folder of a harvest; or a text file with one text per line.
    encoding : str, default=None
        Encoding of a text file; UTF-8 if None.

    Raises
    ------
    ValueError
        If a line of a `.jsonl` file is none of these, or the file has another encoding.
    OSError
        If the file cannot be read.
    """
    harvest = harvest_of(path)
    if harvest is not None:
        return HarvestIndex(harvest[0])
    lines = read_lines(path, encoding)
    if path.suffix.lower() not in (".jsonl", ".ndjson"):
        return lines
    return [_parsed(path, number, line) for number, line in enumerate(lines, start=1)]


def _parsed(path: Path, number: int, line: str) -> str | list[str]:
    try:
        item = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError(f"{path}, line {number}: this is not JSON: {line[:60]!r}.") from None
    if isinstance(item, dict):
        item = item.get("tokens", item.get("text"))
    if isinstance(item, str) or (isinstance(item, list) and all(isinstance(token, str) for token in item)):
        return item
    raise ValueError(
        f'{path}, line {number} must be a string, a list of tokens, or an object with either as "text" or'
        f' "tokens"; got {line[:60]!r}.'
    )
