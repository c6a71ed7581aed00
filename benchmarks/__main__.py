"""`make bench`: one evaluation of J and its gradient, against the textbook and against its matrix products alone."""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys

import numpy as np

CASES = {"10,000 × 64, 25 hidden": (10_000, 64, 25), "10,000 × 784, 196 hidden": (10_000, 784, 196)}
CONTENDERS = ("rhohat", "textbook", "products")
REPEATS = 7
SECONDS = 1.0  # of measuring, for each contender in each repeat


def measure(contender: str, sizes: tuple[int, ...]) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.contender", contender, *map(str, sizes), str(SECONDS)]
    result: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return result


def main() -> None:
    print(f"numpy {np.__version__}, Python {platform.python_version()}, {platform.machine()}")
    print(f"median of {REPEATS} alternating runs, each in a process of its own; ratios run by run\n")
    print("| one evaluation of J and ∇J, float64 | rhohat | textbook NumPy | products alone | textbook / rhohat |")
    print("|---|---|---|---|---|")
    for name, sizes in CASES.items():
        runs: dict[str, list[float]] = {contender: [] for contender in CONTENDERS}
        costs: dict[str, float] = {}
        for _ in range(REPEATS):
            for contender in CONTENDERS:
                result = measure(contender, sizes)
                runs[contender].append(result["seconds"])
                costs[contender] = result["cost"]
        if not np.isclose(costs["rhohat"], costs["textbook"], rtol=1e-12, atol=0):
            sys.exit(f"the contenders disagree on J: {costs}")
        ratio = statistics.median(t / r for t, r in zip(runs["textbook"], runs["rhohat"], strict=True))
        milliseconds = [f"{1e3 * statistics.median(runs[contender]):.1f} ms" for contender in CONTENDERS]
        print(f"| {name} | {' | '.join(milliseconds)} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
