"""`python -m reproductions [--fast] [name …]`: finds published results again and writes them down."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path

import matplotlib as mpl

from reproductions._report import add, render, section
from reproductions._reproduction import NAMES, Finding, load, reproduce

FOLDER = Path(__file__).parent


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for; return 1 if a figure falls short or a result could not be run, else 0.

    What was found is written once all is there, or something ended the run. All results in full take the place of
    RESULTS.md and pictures/ in this folder; anything less goes to its folder `partial`, or with `--add` to its place
    in RESULTS.md.
    """
    parser = argparse.ArgumentParser(prog="python -m reproductions", description="Reproduced results.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"all, unless some are named: {', '.join(NAMES)}")
    parser.add_argument("--fast", action="store_true", help="reduced: fewer rows and iterations, one seed")
    parser.add_argument("--add", action="store_true", help="put what is named into RESULTS.md, and keep all else in it")
    parser.add_argument("--output", type=Path, help="where RESULTS.md and pictures/ go, whatever was run")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(NAMES):
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    names = list(dict.fromkeys(options.names))
    folder = options.output or FOLDER
    if options.add and (options.fast or not names or not (folder / "RESULTS.md").exists()):
        parser.error("--add needs names, a RESULTS.md to add them to, and a run in full")
    mpl.use("Agg")

    folder.mkdir(parents=True, exist_ok=True)
    under_way = Path(tempfile.mkdtemp(prefix=".under-way-", dir=folder))
    (under_way / "pictures").mkdir()
    findings: list[Finding] = []
    start = time.perf_counter()
    try:
        for name in names or NAMES:
            findings.append(reproduce(name, under_way / "pictures", options.fast, _announce))
            print(section(findings[-1]), flush=True)
    finally:
        minutes, found = (time.perf_counter() - start) / 60, {f.name for f in findings if not f.missing}
        if options.add and found == set(names):
            page = (folder / "RESULTS.md").read_text(encoding="utf-8")
            page = add(page, findings, minutes, [load(name)[0] for name in NAMES])
            (folder / "RESULTS.md").write_text(page, encoding="utf-8")
            for name in names:
                (under_way / "pictures" / f"{name}.png").replace(folder / "pictures" / f"{name}.png")
        elif findings:
            (under_way / "RESULTS.md").write_text(render(findings, names, minutes), encoding="utf-8")
            whole = found == set(NAMES) and not options.fast
            _replace(options.output or (FOLDER if whole else FOLDER / "partial"), under_way)
        shutil.rmtree(under_way)
    return int(any(finding.falls_short or finding.missing for finding in findings))


def _announce(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _replace(folder: Path, under_way: Path) -> None:
    """Move page and pictures into a folder, in the place of those that are there."""
    folder.mkdir(exist_ok=True)
    shutil.rmtree(folder / "pictures", ignore_errors=True)
    for name in ("pictures", "RESULTS.md"):
        (under_way / name).replace(folder / name)
    print(f"written to {folder / 'RESULTS.md'}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
