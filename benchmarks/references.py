"""`make bench-references`: what the case `mnist` scales times up by, from descents that are run to their ends.

The textbook's descent with SciPy's L-BFGS-B says which cost is to be reached, and how many evaluations that takes in
float64: PyTorch and JAX go the same way in float64, up to rounding. In float32 each has its own way. The result,
`benchmarks/references.json`, is kept in the repository.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.cases import DESCENTS_OF_REFERENCES, settings_of_mnist, shrunk
from benchmarks.tasks import Job, Record
from benchmarks.worker import ROOT, launch

__all__ = ["measure_references", "read_references"]

_FILE = ROOT / "benchmarks" / "references.json"


def read_references() -> dict[str, Any] | None:
    """Return what is stored, or None where nothing is."""
    if not _FILE.exists():
        return None
    stored: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return stored


def measure_references(quick: bool, launch: Callable[[Job], Record], tell: Callable[[str], None]) -> dict[str, Any]:
    """Run the descents whole.

    Parameters
    ----------
    quick : bool
        On tiny, made-up rows.
    launch, tell : callable
        As for `harness.run_case`.

    Returns
    -------
    dict
        The cost to reach, the cost at the start, and for every descent the evaluations that it took, None where it
        ended without reaching that cost; and how long each took. What is not installed is left out.
    """
    settings = shrunk(settings_of_mnist()) if quick else settings_of_mnist()
    references: dict[str, Any] = {"evaluations": {}, "seconds": {}}
    with tempfile.TemporaryDirectory(prefix="rhohat-bench-") as folder:
        data = launch(Job("benchmarks.data", "prepare", folder, settings))
        if "unavailable" in data:
            sys.exit(data["unavailable"])
        for name, contender in DESCENTS_OF_REFERENCES.items():
            tell(f"{name}: {contender.name}")
            target = references.get("target_cost")
            its_settings = replace(settings, **contender.settings, target_cost=target)
            job = Job(f"benchmarks.contenders.{contender.module}", contender.function, folder, its_settings)
            record = launch(job)
            if "unavailable" in record:
                tell(f"  {record['unavailable']}")
                continue
            if contender.sets_target:
                references["target_cost"] = record["cost"]
                references["start_cost"] = record["agreement"]["J at the start"]
            done = record["reached"] or contender.sets_target
            references["evaluations"][name] = record["evaluations"] if done else None
            references["seconds"][name] = round(record["seconds"], 1)
            tell(f"  J = {record['cost']:.9g} after {record['evaluations']} evaluations, {record['seconds']:.0f} s")
    return references


def main() -> None:
    """Measure, and write references.json; with --quick, on tiny rows, print instead."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.references", description="A quarter of an hour's work.")
    parser.add_argument("--quick", action="store_true", help=argparse.SUPPRESS)
    quick = parser.parse_args().quick
    references = measure_references(quick, launch, lambda text: print(text, file=sys.stderr, flush=True))
    from benchmarks.environment import describe

    text = json.dumps({**references, "environment": describe()}, indent=1, ensure_ascii=False)
    if quick:
        print(text)
    else:
        Path(_FILE).write_text(text + "\n", encoding="utf-8")
        print(f"written: {_FILE}")


if __name__ == "__main__":
    main()
