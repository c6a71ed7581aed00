"""Functions of tests that run in several processes, which are a group of PyTorch.

`python -m tests.groups MODULE FUNCTION RANK SIZE PORT` is one of these processes.
"""

import importlib
import os
import socket
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np

__all__ = ["in_a_group"]

_ROOT = Path(__file__).parents[1]


def in_a_group(function, size, folder):
    """Call a function of a module in each process of a group, and return what it returned there, by process.

    Parameters
    ----------
    function : callable
        Function without arguments that returns a dict of arrays; it is called in `folder`.
    size : int
        Number of processes.
    folder : path
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    source = os.pathsep.join((str(_ROOT), str(_ROOT / "src")))
    numbers = range(size)
    started = [
        subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.groups",
                function.__module__,
                function.__name__,
                *map(str, (rank, size, port)),
            ],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": source},
            stderr=subprocess.PIPE,
        )
        for rank in numbers
    ]
    try:
        said = [process.communicate(timeout=300)[1].decode() for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0] * size, "\n".join(said)
    return [dict(np.load(Path(folder) / f"returned{rank}.npz")) for rank in numbers]


def _main(module, function, rank, size, port):
    import torch

    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"tcp://127.0.0.1:{port}", rank=int(rank), world_size=int(size)
    )
    warnings.simplefilter("ignore")
    returned = getattr(importlib.import_module(module), function)()
    np.savez(f"returned{rank}.npz", **returned)
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    _main(*sys.argv[1:])
