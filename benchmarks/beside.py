"""`python -m benchmarks.beside FOLDER FOLDER`: the summaries of two runs in one table, as of two processors."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.environment import summarise
from benchmarks.report import COLUMNS, SUMMARY_HEADER, duration

__all__ = ["main", "render"]


def main(folders: list[str]) -> None:
    """Print the table of two folders of results."""
    print(render(*(json.loads((Path(folder) / "results.json").read_text(encoding="utf-8")) for folder in folders)))


def render(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """Return a table of the cases that two records have in common, with the figures of both in each cell."""
    lines = [summarise(first["environment"]), "", summarise(second["environment"]), ""]
    lines += [SUMMARY_HEADER, "|" + "---|" * (SUMMARY_HEADER.count("|") - 1)]
    for name, case in first["cases"].items():
        other = second["cases"].get(name)
        judged = {name: one for name, one in case["contenders"].items() if one["target"] is not None}
        if other is None or not judged:
            continue
        subject = next(iter(judged.values()))["beside"]
        times = [duration(record["contenders"][subject]["seconds"]) for record in (case, other)]
        cells = [_cell(modules, judged, case, other) for modules in COLUMNS]
        lines.append(f"| {' | '.join([case['title'], ' / '.join(times), *cells])} |")
    return "\n".join(lines)


def _cell(
    modules: tuple[str, ...], judged: Mapping[str, Any], case: Mapping[str, Any], other: Mapping[str, Any]
) -> str:
    """Return the figures of the contenders of some modules that have a target, in both runs."""
    shown = []
    for name, contender in judged.items():
        if contender["module"] not in modules:
            continue
        pair = [contender, other["contenders"][name]]
        figures = [_figure(one) for one in pair]
        dtype = contender["settings"].get("dtype", case["settings"]["dtype"])
        precision = f"{dtype}: " if dtype != case["settings"]["dtype"] else ""
        sign = "≤" if contender["compared"] == "overhead" else "≥"
        target = f"{contender['target']:.0%}" if contender["compared"] == "share" else f"{contender['target']:g}"
        shown.append(f"{precision}{' / '.join(figures)} (goal {sign} {target})")
    return "; ".join(shown) or "–"


def _figure(contender: Mapping[str, Any]) -> str:
    if contender["comparison"] is None:
        return contender["unavailable"] or "–"
    figure = (
        f"{contender['comparison']:.0%}" if contender["compared"] == "share" else f"{contender['comparison']:.2f} ×"
    )
    return f"{figure} missed" if contender["target_reached"] is False else figure


if __name__ == "__main__":
    main(sys.argv[1:])
