"""Renders results: a Markdown table, JSON with every run, and the curves as a picture."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.environment import summarise
from benchmarks.harness import CaseResult, Contender

__all__ = ["COLUMNS", "HEADER", "SUMMARY_HEADER", "duration", "render", "write"]

SUMMARY_HEADER = "| case | rhohat | textbook NumPy | PyTorch autograd | JAX jit | bound |"

HEADER = "| case | contender | time | against rhohat | target | reached | evaluations | peak memory (growth) |"

_SUMMARY = """\
A figure such as 2.00 × means that this contender takes twice as long as rhohat. The goal is in brackets, and "missed"
marks a figure that does not reach it. The bound is the time of the matrix products alone as a share of rhohat's time;
for the import, it is the time of rhohat's import over that of the imports that it needs.
"""

_NOTES = """\
Times are medians over the repeats, each contender in a process of its own, in alternation. *Against rhohat* is its
time over rhohat's, the median of the ratios within each repeat: 3.0 × took three times as long. For lower bounds, the
matrix products alone among them, it is their share of rhohat's time. Memory is what the process held at most, and in
brackets how much more that is than just before the work, when packages and rows were in memory.
"""

_DESCENTS = """\
All descents start from the same parameters and end at the first evaluation whose J is at most the textbook's after
its last iteration; J is then computed anew by the textbook in float64. rhohat's clock runs from the call of `fit`,
after a fit of two iterations, and that of the others from after a first evaluation, when everything is compiled.
Where PyTorch or JAX give the gradients, BLAS is held to one thread for SciPy, which makes both faster. The textbook
keeps every default, as such scripts do: NumPy and SciPy each bring a BLAS, and the threads of one wait for work on
the cores that the other needs. Evaluations are those of J and its gradient on all rows.
"""

_SCALED = """\
† scaled up: so many seconds of the descent were run that its seconds per evaluation, SciPy's share included, are
known; they are multiplied by the evaluations that the whole descent needs, which `make bench-references` counted.
`make bench CASE=mnist FULL=1` runs it whole. SciPy's share grows with the pairs that it has collected, so the true time
is a little longer.
"""


def render(results: Sequence[CaseResult], environment: dict[str, Any]) -> str:
    """Return results as Markdown: the machine, the table, what it means, and the curves."""
    lines = [summarise(environment), ""]
    table = [result for result in results if result.case.curve is None and not result.skipped]
    summary = [row for result in table if (row := _summary_row(result))]
    if summary:
        lines += [SUMMARY_HEADER, "|" + "---|" * (SUMMARY_HEADER.count("|") - 1), *summary, "", _SUMMARY]
    if table:
        lines += [HEADER, "|" + "---|" * (HEADER.count("|") - 1)]
        for result in table:
            lines += _rows_of(result)
        lines += ["", *(f"- **{result.case.name}**: {result.case.title}{_remark(result)}" for result in table)]
        lines += ["", _NOTES]
    if any("reached" in run for result in table for runs in result.runs.values() for run in runs):
        lines += [_DESCENTS]
    if any(run.get("scaled") for result in table for runs in result.runs.values() for run in runs):
        lines += [_SCALED]
    for result in results:
        if result.skipped:
            lines += [f"**{result.case.name}** was skipped: {result.skipped}.", ""]
        elif result.case.curve is not None:
            lines += [
                f"**{result.case.name}**: {result.case.title}{_remark(result)}",
                "",
                *_CURVES[result.case.curve](result),
                "",
            ]
    return "\n".join(lines).rstrip() + "\n"


def write(results: Sequence[CaseResult], environment: dict[str, Any], folder: Path) -> list[Path]:
    """Write results.md, results.json and, where there are curves and Matplotlib is installed, curves.png.

    Returns
    -------
    list of Path
        The files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    markdown, record, picture = folder / "results.md", folder / "results.json", folder / "curves.png"
    markdown.write_text(render(results, environment), encoding="utf-8")
    content = {"environment": environment, "cases": {result.case.name: _as_json(result) for result in results}}
    record.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    curves = [result for result in results if result.case.curve is not None and not result.skipped]
    return [markdown, record, *([picture] if curves and _draw(curves, picture) else [])]


def _as_json(result: CaseResult) -> dict[str, Any]:
    case = result.case
    return {
        "title": case.title,
        "settings": asdict(case.settings),
        "skipped": result.skipped,
        "remark": result.remark,
        "contenders": {
            contender.name: {
                "module": contender.module,
                "settings": dict(contender.settings),
                "beside": result.subject_of(contender),
                "compared": contender.compared,
                "comparison": result.comparison(contender),
                "target": contender.target,
                "target_reached": result.target_reached(contender),
                "seconds": result.median(contender.name),
                "unavailable": result.unavailable.get(contender.name),
                "runs": result.runs.get(contender.name, []),
            }
            for contender in case.contenders
        },
    }


# The tables.

#: The columns of the summary after rhohat's own, by the modules whose contenders stand there.
COLUMNS = (("textbook",), ("pytorch", "pytorch_dictionaries"), ("jax",), ("bounds", "imports"))


def _summary_row(result: CaseResult) -> str:
    """Return a case's row of the summary; nothing where it has no targets."""
    judged = [contender for contender in result.case.contenders if contender.target is not None]
    if not judged:
        return ""
    subject = result.subject_of(judged[0])
    seconds = result.median(subject)
    cells = ["; ".join(_judged(result, one) for one in judged if one.module in modules) or "–" for modules in COLUMNS]
    return f"| {' | '.join([result.case.title, '' if seconds is None else duration(seconds), *cells])} |"


def _judged(result: CaseResult, contender: Contender) -> str:
    """Return what a contender is compared by, and its target."""
    number = _comparison(result, contender)
    if not number:
        return result.unavailable.get(contender.name) or _time(result, contender)
    if result.target_reached(contender) is False:
        number += " missed"
    own = result.case.settings_of(contender).dtype
    precision = f"{own}: " if own != result.case.settings.dtype else ""
    return f"{precision}{number} (goal {_target(contender)})"


def _rows_of(result: CaseResult) -> Iterable[str]:
    for index, contender in enumerate(result.case.contenders):
        cells = [
            result.case.name if index == 0 else "",
            contender.name,
            _time(result, contender),
            _comparison(result, contender),
            _target(contender),
            _verdict(result, contender),
            _count(result.median(contender.name, "evaluations")),
            _memory(result, contender.name),
        ]
        yield f"| {' | '.join(cells)} |"


def _time(result: CaseResult, contender: Contender) -> str:
    if contender.name in result.unavailable:
        return result.unavailable[contender.name]
    seconds = result.median(contender.name)
    if seconds is None:
        return "not run"
    if not result.reached(contender.name):
        return f"not reached (J = {result.median(contender.name, 'cost'):.6g})"
    if result.case.rate:
        return f"{duration(seconds)} ({result.case.settings.sizes[0] / seconds:,.0f} rows/s)"
    scaled = any(run.get("scaled") for run in result.runs[contender.name])
    return f"≈ {duration(seconds)} †" if scaled else duration(seconds)


def duration(seconds: float) -> str:
    """Return a time with three digits, in the unit that suits."""
    if seconds >= 1:
        return f"{seconds:.0f} s" if seconds >= 100 else f"{seconds:.3g} s"
    return f"{1e3 * seconds:.3g} ms"


def _comparison(result: CaseResult, contender: Contender) -> str:
    number = result.comparison(contender)
    if number is None:
        return ""
    return f"{number:.0%}" if contender.compared == "share" else f"{number:.2f} ×"


def _target(contender: Contender) -> str:
    if contender.target is None:
        return ""
    if contender.compared == "share":
        return f"≥ {contender.target:.0%}"
    return f"{'≤' if contender.compared == 'overhead' else '≥'} {contender.target:g} ×"


def _verdict(result: CaseResult, contender: Contender) -> str:
    reached = result.target_reached(contender)
    return "" if reached is None else "yes" if reached else "missed"


def _count(number: float | None) -> str:
    return "" if number is None else f"{number:.0f}"


def _memory(result: CaseResult, name: str) -> str:
    peak, before = result.median(name, "memory_peak"), result.median(name, "memory_before")
    if peak is None or before is None:
        return ""
    return f"{peak / 2**20:.0f} MiB (+{(peak - before) / 2**20:.0f})"


def _remark(result: CaseResult) -> str:
    return f" ({result.remark})" if result.remark else ""


# The curves.


def _measured(result: CaseResult, module: str) -> dict[int, tuple[Contender, float]]:
    """Return a module's contenders that ran, and their times, by the setting along which the curve goes."""
    measured, along = {}, result.case.curve
    assert along is not None
    for contender in result.case.contenders:
        seconds = result.median(contender.name)
        if contender.module == module and seconds is not None:
            measured[contender.settings[along]] = contender, seconds
    return measured


def _rows_curve(result: CaseResult) -> list[str]:
    measured = _measured(result, "rhohat")
    each = {n: seconds / n for n, (_, seconds) in measured.items()}
    lines = ["| rows | time | for each row | peak memory (growth) |", "|---|---|---|---|"]
    for n, (contender, seconds) in measured.items():
        lines += [f"| {n:,} | {duration(seconds)} | {1e6 * each[n]:.2f} µs | {_memory(result, contender.name)} |"]
    return [*lines, "", f"The dearest row costs {max(each.values()) / min(each.values()):.2f} times the cheapest."]


def _threads_curve(result: CaseResult) -> list[str]:
    ours, bounds = _measured(result, "rhohat"), _measured(result, "bounds")
    first = ours[min(ours)][1]
    lines = ["| threads | rhohat | speed-up | products alone, as many threads | share |", "|---|---|---|---|---|"]
    for n, (_, seconds) in ours.items():
        bound, its_seconds = bounds[n]
        share = _comparison(result, bound)
        lines += [f"| {n} | {duration(seconds)} | {first / seconds:.2f} × | {duration(its_seconds)} | {share} |"]
    return lines


_CURVES = {"n_rows": _rows_curve, "n_threads": _threads_curve}


def _draw(curves: Sequence[CaseResult], picture: Path) -> bool:
    """Draw a panel for each curve; return whether there is a Matplotlib to do so."""
    try:
        import matplotlib as mpl
    except ImportError:
        return False
    mpl.use("Agg")
    from matplotlib import pyplot

    figure, panels = pyplot.subplots(
        1, len(curves), figsize=(5 * len(curves), 3.6), squeeze=False, layout="constrained"
    )
    for result, panel in zip(curves, panels[0], strict=True):
        if result.case.curve == "n_rows":
            points = {n: 1e6 * seconds / n for n, (_, seconds) in _measured(result, "rhohat").items()}
            panel.plot(points.keys(), points.values(), "o-")
            panel.set(xscale="log", xlabel="rows", ylabel="µs for each row", ylim=(0, 1.3 * max(points.values())))
            panel.set_xticks(list(points), [f"{n:,}" for n in points])
            panel.set_xticks([], minor=True)
        else:
            for module, label in (("rhohat", "rhohat"), ("bounds", "products alone")):
                points = {n: 1 / seconds for n, (_, seconds) in _measured(result, module).items()}
                panel.plot(points.keys(), points.values(), "o-", label=label)
            panel.set(xlabel="threads", ylabel="evaluations a second", ylim=(0, None), xticks=list(points))
            panel.legend()
        panel.set_title(result.case.title.partition(",")[0])
    figure.savefig(picture, dpi=150)
    pyplot.close(figure)
    return True
