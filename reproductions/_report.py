"""Renders findings as Markdown: a table of all results, then each with its text, its figures and its picture."""

from __future__ import annotations

import os
from collections.abc import Sequence

from benchmarks.environment import describe, summarise
from reproductions._reproduction import Finding

__all__ = ["add", "command", "render", "section"]

_HEADER = """\
| result | published | ours | aimed at | reached | seconds a run |
|---|---|---|---|---|---|
"""

_NOTES = """\
*Ours* is mean ± standard deviation over the seeds, which choose initial weights, corruption, order and samples of rows.
Time is that of a whole run with one seed, learning and measuring. No setting was chosen by what test rows said: the
scripts choose on rows held out, and where settings are not the published ones they were chosen so before.
"""


def command(names: Sequence[str], fast: bool, adds: bool = False) -> str:
    """Return the command that finds these results; all of them, where none is named."""
    result = [f'RESULT="{" ".join(names)}"'] if names else []
    return " ".join(["make reproduce", *(["FAST=1"] if fast else []), *result, *(["ADD=1"] if adds else [])])


def render(findings: Sequence[Finding], names: Sequence[str], minutes: float) -> str:
    """Return the page; `names` are those that were asked for, none for all."""
    fast = findings[0].fast
    kind = "reduced, one seed each, with limits to match" if fast else "in full"
    source = "the folder `RHOHAT_DATA`" if os.environ.get("RHOHAT_DATA") else "OpenML and scikit-image's photographs"
    short = [finding.title for finding in findings if finding.falls_short or finding.missing]
    lines = [
        "# Reproduced results",
        "",
        f"Written by `{command(names, fast)}`, {kind}, in {minutes:.0f} min on",
        f"{summarise(describe())}. Data from {source}.",
        "",
        _NOTES,
        _HEADER + "".join(_row(finding) for finding in findings),
        f"Falling short: {', '.join(short)}." if short else "Every figure with a target reaches it.",
        "",
    ]
    return "\n".join(lines + [section(finding) for finding in findings])


def add(page: str, findings: Sequence[Finding], minutes: float, titles: Sequence[str]) -> str:
    """Return a page in which findings of a later run take their places, and all else is as it was.

    Parameters
    ----------
    page : str
        The page of an earlier run of all results.
    findings : sequence of Finding
        What the later run found.
    minutes : float
        How long it took.
    titles : sequence of str
        The titles of all results in their order; those that are in neither run are left out.
    """
    head, *old_sections = page.split("\n## ")
    before, table = head.split(_HEADER)
    rows = {row[3:].partition("](")[0]: row + "\n" for row in table.splitlines() if row.startswith("| [")}
    sections = {section.partition("\n")[0]: f"## {section}" for section in old_sections}
    for finding in findings:
        rows[finding.title], sections[finding.title] = _row(finding), section(finding)
    known = [title for title in titles if title in rows]
    short = [title for title in known if "| **no** |" in rows[title]]
    names = [finding.name for finding in findings]
    ran = f"`{command(names, findings[0].fast, adds=True)}`"
    earlier = [part for part in before.split("\n\n") if not (part.startswith("Later, ") and ran in part)]
    when = f"Later, in {minutes:.0f} min: {ran}, on {summarise(describe())}."
    verdict = f"Falling short: {', '.join(short)}." if short else "Every figure with a target reaches it."
    before = "\n\n".join(earlier).replace(_NOTES, f"{when}\n\n{_NOTES}")
    table = before + _HEADER + "".join(rows[title] for title in known)
    return "\n".join([table, verdict, "", *(sections[title].rstrip("\n") + "\n" for title in known)])


def section(finding: Finding) -> str:
    """Return what is said of one result."""
    reproduction = finding.reproduction
    lines = [f"## {finding.title}", "", finding.text, "", f"*Published:* {reproduction.published}", ""]
    if finding.missing:
        return "\n".join([*lines, f"**Not run:** {_plain(finding.missing)}.", ""])
    n_seeds = len(finding.seconds)
    lines += [f"| | {'one seed' if n_seeds == 1 else f'{n_seeds} seeds'} | aimed at |", "|---|---|---|"]
    for figure in reproduction.figures:
        values = finding.values[figure.name]
        limit = figure.limit(finding.fast)
        reached = "" if figure.is_reached(values, finding.fast) else ", **falls short**"
        lines.append(f"| {figure.name} | {figure.show(values)} | {limit}{reached} |")
    lines += ["", f"![{finding.title}](pictures/{finding.name}.png)", ""]
    if finding.falls_short and reproduction.tried:
        lines += [f"*What was tried:* {reproduction.tried}", ""]
    return "\n".join([*lines, f"`{command([finding.name], finding.fast)}`", ""])


def _row(finding: Finding) -> str:
    link = f"[{finding.title}](#{_anchor(finding.title)})"
    if finding.missing:
        cells = [link, finding.reproduction.published, f"not run: {_plain(finding.missing)}", "", "**no**", ""]
    else:
        judged = [figure for figure in finding.reproduction.figures if figure.limit(finding.fast)]
        ours = [f"{figure.name} {figure.show(finding.values[figure.name])}" for figure in judged]
        aims = [figure.limit(finding.fast) for figure in judged]
        reached = "**no**" if finding.falls_short else "yes"
        seconds = sum(finding.seconds) / len(finding.seconds)
        cells = [link, finding.reproduction.published, "<br>".join(ours), "<br>".join(aims), reached, f"{seconds:.0f}"]
    return f"| {' | '.join(cells)} |\n"


def _plain(message: str) -> str:
    """Return a message as one line without what Markdown takes for a table or a tag."""
    return " ".join(message.split()).replace("|", "\\|").replace("<", "&lt;")


def _anchor(title: str) -> str:
    """Return the anchor that Markdown renderers give to a heading."""
    return "".join(c for c in title.lower().replace(" ", "-") if c.isalnum() or c in "-_")
