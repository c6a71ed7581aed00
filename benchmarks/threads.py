"""`make bench-threads`: the same work in several threads at a time, beside one after the other.

Each figure is a ratio of times that were taken in turns; below 1, doing it at the same time is faster. The work is a
fit of 10,000 × 64 with 25 hidden units, in full batches and in mini-batches, and passing such rows forward.
"""

from __future__ import annotations

import statistics
import threading
import time
import warnings
from collections.abc import Callable, Sequence

import numpy as np

from rhohat import SparseAutoencoder
from rhohat.common.exceptions import ConvergenceWarning

_REPEATS = 9
_N_THREADS = (2, 4)


def make_jobs() -> dict[str, Callable[[], object]]:
    """Return what is measured, by name; each takes some tenths of a second."""
    X = np.random.default_rng(0).random((10_000, 64))
    X32 = X.astype(np.float32)
    fitted = _model(max_iter=1).fit(X)
    return {
        "L-BFGS, float64": lambda: _model(max_iter=40).fit(X),
        "L-BFGS, float32": lambda: _model(max_iter=40).fit(X32),
        "Adam, float64": lambda: _model(solver="adam", max_iter=5).fit(X),
        "Adam, float32": lambda: _model(solver="adam", max_iter=5).fit(X32),
        "rows forward, float64": lambda: [fitted.transform(X) for _ in range(40)],
    }


def _model(**parameters: object) -> SparseAutoencoder:
    return SparseAutoencoder(n_components=25, random_state=0, **parameters)


def one_after_the_other(jobs: Sequence[Callable[[], object]]) -> float:
    """Return the seconds that jobs take in this thread."""
    start = time.perf_counter()
    for job in jobs:
        job()
    return time.perf_counter() - start


def at_a_time(jobs: Sequence[Callable[[], object]]) -> float:
    """Return the seconds that jobs take in a thread each."""
    threads = [threading.Thread(target=job) for job in jobs]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start


def ratios(job: Callable[[], object], n_threads: int, repeats: int = _REPEATS) -> list[float]:
    """Return the time of a job in so many threads at a time as a part of that of as many in a row, ascending."""
    jobs = [job] * n_threads
    return sorted(at_a_time(jobs) / one_after_the_other(jobs) for _ in range(repeats))


def main() -> None:
    """Print a table."""
    warnings.simplefilter("ignore", ConvergenceWarning)
    print("| work | threads | median ratio | lowest | highest |\n|---|---|---|---|---|")
    for name, job in make_jobs().items():
        job()
        for n_threads in _N_THREADS:
            found = ratios(job, n_threads)
            print(
                f"| {name} | {n_threads} | {statistics.median(found):.2f} | {found[0]:.2f} | {found[-1]:.2f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
