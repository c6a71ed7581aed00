"""`import rhohat` beside the imports that it cannot do without, each in a fresh interpreter."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.tasks import Record, Task
from benchmarks.worker import run_python

__all__ = ["import_needs", "import_rhohat", "packages_imported_by", "write_needs"]

_LINE = re.compile(r"import time: *\d+ \| *\d+ \| ( *)(\S+)")


def import_rhohat(task: Task) -> Record:
    """Time `import rhohat`."""
    return _time_imports(["rhohat"])


def import_needs(task: Task) -> Record:
    """Time the imports of the modules of other packages that rhohat's own files name, in the same order."""
    return _time_imports(json.loads((task.folder / "needs.json").read_text()))


def write_needs(folder: Path) -> None:
    """Write into a folder what `import_needs` has to import."""
    command = [sys.executable, "-X", "importtime", "-c", "import rhohat"]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    (folder / "needs.json").write_text(json.dumps(packages_imported_by("rhohat", report)))


def packages_imported_by(package: str, report: str) -> list[str]:
    """Return the modules of other packages, not Python's own, that a package's modules were the first to import.

    Parameters
    ----------
    package : str
    report : str
        What ``python -X importtime`` writes: a module a line, after those that it imports, which are indented more.

    Returns
    -------
    list of str
        In the order in which they were imported.
    """
    importers: list[str] = []  # of the line at hand: the module at every depth above it
    found: list[str] = []
    for indent, name in reversed(_LINE.findall(report)):
        depth = len(indent) // 2
        importers = [*importers[:depth], name]
        top = name.partition(".")[0]
        own = depth > 0 and importers[depth - 1].partition(".")[0] == package
        if own and top != package and top not in sys.stdlib_module_names:
            found.append(name)
    return found[::-1]


def _time_imports(modules: Sequence[str]) -> Record:
    code = "; ".join(
        [
            "import time, resource",
            "before, start = resource.getrusage(0).ru_maxrss, time.perf_counter()",
            *(f"import {module}" for module in modules),
            "print(time.perf_counter() - start, before, resource.getrusage(0).ru_maxrss)",
        ]
    )
    seconds, before, peak = run_python("-c", code)[-1].split()
    unit = 1 if sys.platform == "darwin" else 1024
    return {"seconds": float(seconds), "memory_before": unit * int(before), "memory_peak": unit * int(peak)}
