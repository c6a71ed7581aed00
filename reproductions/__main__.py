"""`python -m reproductions [--fast] [name …]`: finds published results again and writes them down."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

from reproductions._report import render, section
from reproductions._reproduction import NAMES, Finding, reproduce

FOLDER = Path(__file__).parent
UNDER_WAY = FOLDER / "partial"


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; return 1 if a figure falls short or a result could not be run, else 0.

    Everything is written to the folder `partial` as it comes. A run of all results in full, once it is complete, takes
    the place of RESULTS.md and the pictures.
    """
    parser = argparse.ArgumentParser(prog="python -m reproductions", description="Published results, found again.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"all, unless some are named: {', '.join(NAMES)}")
    parser.add_argument("--fast", action="store_true", help="reduced: fewer rows and iterations, one seed")
    parser.add_argument("--output", type=Path, default=FOLDER, help="where RESULTS.md and pictures/ go; default: here")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    names = options.names or list(NAMES)

    pictures = UNDER_WAY / "pictures"
    shutil.rmtree(UNDER_WAY, ignore_errors=True)
    pictures.mkdir(parents=True)
    findings: list[Finding] = []
    start = time.perf_counter()
    for name in names:
        findings.append(reproduce(name, pictures, options.fast, lambda line: print(line, file=sys.stderr, flush=True)))
        print(section(findings[-1]), flush=True)
        page = render(findings, (time.perf_counter() - start) / 60)
        (UNDER_WAY / "RESULTS.md").write_text(page, encoding="utf-8")
    if len(names) == len(NAMES) and not options.fast:
        options.output.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(options.output / "pictures", ignore_errors=True)
        shutil.move(pictures, options.output / "pictures")
        shutil.move(UNDER_WAY / "RESULTS.md", options.output / "RESULTS.md")
        shutil.rmtree(UNDER_WAY)
    return int(any(finding.falls_short or finding.missing for finding in findings))


if __name__ == "__main__":
    sys.exit(main())
