"""The linter of prose that `make check` runs: proselint, and the phrases that this project does without.

`python -m tests.prose README.md docs` prints what is to be changed in these files and folders, and ends with 1 if there
is anything. Code is not read.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from proselint.checks import __register__ as all_checks
from proselint.config import DEFAULT, Config
from proselint.registry import CheckRegistry
from proselint.tools import LintFile

__all__ = ["findings", "prose_of"]

CheckRegistry().register_many(all_checks)

#: proselint's checks that do not suit texts about programs: straight quotation marks and dots stand in commands,
#: "resume" is a verb, "color" is a name in code and "colour" a word, and most ranges of numbers are no ranges of dates.
_LEFT_OUT = ("typography", "dates_times", "spelling.consistency")

#: Phrases that readers did not understand at first, or that stand for a word of the field, and what to write instead.
_HOUSE = {
    r"beside others": "Comparison",
    r"\bfound again\b": "reproduced",
    r"keeping it": "saving and loading",
    r"how many rows activate it how much": "histogram of its activations",
    r"look for yourself": "check their current versions",
    r"\bfir(es|ed|ing)\b": "is active",
    r"\bvariance explained\b": "explained variance",
    r"\bdead (neuron|node|feature)s?\b": "dead units, or dead latents",
}

_FOLDERS_LEFT_OUT = {"_build", "gallery", "generated", "decisions"}


def prose_of(text: str) -> str:
    """Return the prose of a Markdown or reStructuredText text, with the same lines.

    Blocks of code and formulas are blank. Code and formulas within a sentence become a word, so that it stays one.
    """
    text = re.sub(r"^( *)(```|~~~).*?^\1\2[^\n]*$|\$\$.*?\$\$", _blank, text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"(?<=::\n)\n(?: +[^\n]*\n|\n)+", _blank, text)  # a literal block
    text = re.sub(r"``[^`]+``|`[^`]+`|\$[^$\n]+\$|(?<=\])\([^)\s]+\)|https?://\S+", _word, text)
    text = re.sub(r"^#+ (.*)$", r"\1.", text, flags=re.MULTILINE)
    return text.replace("|", ";").replace("<br>", ";;;;")  # between and in the cells of a table


def _blank(found: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", found[0])


def _word(found: re.Match[str]) -> str:
    return re.sub(r"[^\w\n]", "x", found[0])


def findings(text: str, name: str) -> list[str]:
    """Return what is to be changed in a text, one line each, which begins with its name and the number of the line."""
    prose = prose_of(text)
    checks = {**DEFAULT["checks"], **dict.fromkeys(_LEFT_OUT, False)}
    checks = dict(sorted(checks.items(), key=lambda check: -check[0].count(".")))  # the narrower name decides
    results = LintFile(name, content=prose).lint(Config(max_errors=1000, checks=checks))
    found = [
        (result.pos[0], result.check_result.message)
        for result in results
        if not re.search(r"'[\d\s]+' - a phrase is repeated", result.check_result.message)  # numbers may be
    ]
    found += [
        (prose.count("\n", 0, match.start()) + 1, f"write {instead!r} instead of {match[0]!r}.")
        for pattern, instead in _HOUSE.items()
        for match in re.finditer(pattern, prose, flags=re.IGNORECASE)
    ]
    return [f"{name}:{line}: {message}" for line, message in sorted(found)]


def _files(paths: Iterable[str]) -> Iterator[Path]:
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix in {".md", ".rst"})
            yield from (file for file in inside if not _FOLDERS_LEFT_OUT & set(file.parts))
        else:
            yield path


def main() -> None:
    """Check the files and folders that the command names."""
    found = [line for path in _files(sys.argv[1:]) for line in findings(path.read_text(encoding="utf-8"), str(path))]
    if found:
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
