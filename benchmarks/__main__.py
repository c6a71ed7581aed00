"""The command line: `python -m benchmarks [CASE,CASE …] [--quick] [--full] [--avx2] [--output FOLDER]`."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.cases import make_cases
from benchmarks.harness import CaseResult, DisagreementError, run_case
from benchmarks.processors import AVX2, busy_processes
from benchmarks.references import read_references
from benchmarks.worker import ROOT, WorkerError, launch

_RESULTS = ROOT / "benchmarks" / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run cases, print their table and write the results; return 1 if a case failed, after what was measured."""
    options = _parse(arguments)
    cases = make_cases(options.quick, options.full, read_references())
    names = [name for text in options.cases for name in text.split(",") if name] or list(cases)
    if unknown := [name for name in names if name not in cases]:
        print(f"there is no case {', '.join(unknown)}; there are {', '.join(cases)}", file=sys.stderr)
        return 2
    if options.avx2:
        os.environ.update(AVX2)  # the processes of the contenders inherit it
    for process in busy_processes():
        _tell(f"warning: process {process} keeps a core busy, so times will be too long")
    results: list[CaseResult] = []
    failure = ""
    start = time.perf_counter()
    for name in names:
        try:
            results.append(run_case(cases[name], launch, _tell))
        except (DisagreementError, WorkerError) as error:
            failure = str(error)
            break
    _tell(f"{time.perf_counter() - start:.0f} s in all")
    _tell("")
    # NumPy and Matplotlib are loaded once the contenders are done: see `benchmarks.tasks`.
    from benchmarks import environment, report

    machine = environment.describe()
    print(report.render(results, machine))
    written = report.write(results, machine, options.output)
    print("written:", ", ".join(str(path) for path in written))
    if failure:
        print(f"stopped: {failure}", file=sys.stderr)
    return 1 if failure else 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Speed beside other ways to do the same.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="names, also joined by commas; all without")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: whether everything runs, not how fast")
    parser.add_argument("--full", action="store_true", help="run the descents on MNIST whole, which takes long")
    parser.add_argument("--avx2", action="store_true", help="keep every library to AVX2, where there is AVX-512")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help=f"for the results, {_RESULTS} without")
    options = parser.parse_args(arguments)
    if options.output is None:
        options.output = _RESULTS / "quick" if options.quick else _RESULTS / "avx2" if options.avx2 else _RESULTS
    return options


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
