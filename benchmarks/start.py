"""`rhohat --help`, beside an interpreter that imports what it needs of other packages: what rhohat adds itself.

python -m benchmarks.start
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from benchmarks.contenders.imports import packages_imported_by

_REPEATS = 11
_ALLOWED = 0.5  # seconds


def main() -> int:
    """Time both in turn, and say whether the difference of the medians is small enough."""
    found = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import rhohat.cli"], capture_output=True, text=True, check=True
    )
    needs = packages_imported_by("rhohat", found.stderr)
    commands = {
        "rhohat --help": [sys.executable, "-m", "rhohat", "--help"],
        "import what it needs": [sys.executable, "-c", "; ".join(f"import {module}" for module in needs)],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(_REPEATS):
        for name, command in commands.items():
            start = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
            seconds[name].append(time.perf_counter() - start)
    ours, theirs = (statistics.median(seconds[name]) for name in commands)
    for name, times in seconds.items():
        spread = f"{min(times):.3f} to {max(times):.3f}, {_REPEATS} runs"
        print(f"{name:<22}{statistics.median(times):.3f} s (from {spread})")
    print(f"{'difference':<22}{ours - theirs:.3f} s ({_ALLOWED} allowed)")
    return int(ours - theirs > _ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
