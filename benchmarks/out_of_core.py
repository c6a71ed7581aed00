"""Many more rows than memory is allowed for: `make bench-out-of-core`.

Writes a .npy file of 2,000,000 × 784 random float32 numbers (6.3 GB), fits 196 hidden units to it within 512
MB, in a process of its own, and does the same with 100,000 of these rows in memory. Prints the peak of the resident
memory, and the time per row and evaluation of the one in units of the other. The file is deleted afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

LIMIT = "512 MB"
N_FEATURES, N_UNITS, N_ITERATIONS = 784, 196, 4
ROWS_IN_MEMORY = 100_000

#: What is measured: PATH and LIMIT are its arguments; all rows are in memory if LIMIT is empty.
FIT = f"""
import json, re, resource, sys, time, warnings
from pathlib import Path
import numpy as np
import rhohat
from rhohat.objective import Objective

warnings.simplefilter("ignore")
path, limit = sys.argv[1], sys.argv[2] or None
rows = rhohat.open_rows(path) if limit else np.load(path)
evaluate, seconds = Objective.evaluate, []

def timed(self, theta):
    begin = time.perf_counter()
    found = evaluate(self, theta)
    if self.n_samples == len(rows):  # not in the warm-up
        seconds.append(time.perf_counter() - begin)
    return found

Objective.evaluate = timed
begin = time.perf_counter()
rhohat.SparseAutoencoder(
    n_components={N_UNITS}, sparsity=0.1, output_activation="sigmoid", max_iter={N_ITERATIONS}, random_state=0,
    memory_limit=limit,
).fit(rows)
total = time.perf_counter() - begin
status = Path("/proc/self/status")
if status.exists():
    peak = 1024 * int(re.search(r"VmHWM:\\s*(\\d+)", status.read_text())[1])
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({{"per row": float(np.median(seconds)) / len(rows), "seconds": total, "peak": peak}}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--folder", default=None, help="where there is room for the file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        many, few = Path(folder) / "many.npy", Path(folder) / "few.npy"
        print(f"writing {arguments.rows:,} × {N_FEATURES} float32 ...", flush=True)
        write_rows(many, arguments.rows)
        write_rows(few, min(ROWS_IN_MEMORY, arguments.rows))
        within = [measure(few, ""), measure(many, LIMIT), measure(few, "")]
    out_of_core, in_memory = within[1], [within[0], within[2]]
    ratio = out_of_core["per row"] / float(np.mean([one["per row"] for one in in_memory]))
    print(f"peak resident memory   {out_of_core['peak'] / 1e6:.0f} MB, with memory_limit={LIMIT!r}")
    print(f"time per row and evaluation, in units of that of rows in memory   {ratio:.2f}")
    print(
        f"an evaluation takes {out_of_core['per row'] * arguments.rows:.1f} s, the fit {out_of_core['seconds']:.0f} s"
    )


def write_rows(path: Path, n_rows: int) -> None:
    """Write random rows, some at a time."""
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (n_rows, N_FEATURES)}
        np.lib.format.write_array_header_2_0(file, header)
        for start in range(0, n_rows, 10_000):
            rng.random((min(10_000, n_rows - start), N_FEATURES), dtype=np.float32).tofile(file)
        file.flush()
        os.fsync(file.fileno())


def measure(path: Path, limit: str) -> dict[str, float]:
    """Fit in a process of its own; its peak of memory is its own, too."""
    run = subprocess.run([sys.executable, "-c", FIT, str(path), limit], stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, float] = json.loads(run.stdout)
    return found


if __name__ == "__main__":
    main()
