"""One contender, alone in a process of its own: reads a job from its command line, prints its record as JSON.

A process each, because what one leaves behind in the memory allocator changes how fast another runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from benchmarks.tasks import Job, Record, Task

__all__ = ["WorkerError", "launch", "peak_memory", "perform"]

ROOT = Path(__file__).parent.parent

#: Contenders that need a package which nobody has to have.
_PEERS = tuple(
    f"benchmarks.contenders.{name}"
    for name in ("pytorch", "pytorch_dictionaries", "dictionary_learning", "sae_lens", "jax", "scikit_learn")
)

#: What functions load only when they are called, which is no memory of theirs.
_LOADS = dict.fromkeys(("descent", "own_descent"), "benchmarks.descents")


class WorkerError(Exception):
    """A process ended with an error of its own."""


def launch(job: Job) -> Record:
    """Perform a job in a new process.

    Raises
    ------
    WorkerError
        If it fails; the message has the end of what it wrote.
    """
    lines = run_python("-m", "benchmarks.worker", job.to_json())
    record: Record = json.loads(lines[-1])
    return record


def run_python(*arguments: str) -> list[str]:
    """Run this interpreter in the folder of the project, and return the lines it printed.

    Raises
    ------
    WorkerError
        If it fails.
    """
    # Modules are compiled once, as an installed package is, whatever the environment says of bytecode.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, cwd=ROOT, env=environment)
    if done.returncode:
        raise WorkerError(f"{' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
    return done.stdout.splitlines()


def perform(job: Job) -> Record:
    """Perform a job in this process.

    Returns
    -------
    dict
        The contender's record, with the peak memory of the process in bytes, before the work and after it. A descent
        gets the cost that it ended at, by the textbook in float64 on all rows.
    """
    try:
        module = import_module(job.module)
    except ImportError:
        if job.module not in _PEERS:
            raise
        return {"unavailable": "not installed"}
    if job.function in _LOADS:
        import_module(_LOADS[job.function])
    task = Task.load(job)
    before = peak_memory()
    record: Record = {"memory_before": before, **getattr(module, job.function)(task)}
    record.setdefault("memory_peak", peak_memory())
    theta = record.pop("theta", None)
    if theta is not None:
        from benchmarks.contenders.textbook import cost_in_float64

        record["verified_cost"] = cost_in_float64(job, theta)
    return record


def peak_memory() -> int:
    """Return the most memory that this process has held at a time, in bytes."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


if __name__ == "__main__":
    print(json.dumps(perform(Job.from_json(sys.argv[1]))))
