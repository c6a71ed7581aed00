"""`make bench-cluster`: J and ∇J on a Dask cluster of one worker process and of two, each with a single thread.

The rows are the 60,000 training images of MNIST where RHOHAT_DATA names their folder, else random ones; the network is
784 → 196 → 784.
Rounds alternate between the clusters, so that whatever else the machine does strikes all of them alike.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.cases import available_cores
from benchmarks.data import read_idx
from rhohat import open_rows
from rhohat.engines import DaskEngine, ThreadEngine
from rhohat.layers.activations import Sigmoid
from rhohat.layers.network import dense_network
from rhohat.objective import Problem, make_objective
from rhohat.terms.penalties import KLSparsity, WeightDecay

_N_HIDDEN = 196
_ROUNDS = 7
_TARGET = 1.6


def main() -> None:
    """Print what an evaluation takes."""
    from dask.distributed import Client, LocalCluster

    X, what = _rows()
    network = dense_network((784, _N_HIDDEN, 784), (Sigmoid(), Sigmoid()))
    penalties = [WeightDecay(3e-3), KLSparsity(0.1, 3.0)]
    theta = network.initial_theta(np.random.default_rng(0))
    contenders: dict[str, Callable[[], tuple[float, np.ndarray]]] = {}
    with ExitStack() as stack:
        path = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "rows.npy"
        np.save(path, X)
        threads = ThreadEngine(1)
        local = make_objective(Problem(network, X, penalties=penalties), threads)
        stack.enter_context(threads.session())
        contenders["this process, one thread"] = partial(local, theta)
        for n_workers in (1, 2):
            cluster = LocalCluster(n_workers=n_workers, threads_per_worker=1, processes=True, dashboard_address=":0")
            client = stack.enter_context(Client(stack.enter_context(cluster)))
            rows = stack.enter_context(open_rows(path))
            engine = DaskEngine(client)
            objective = make_objective(Problem(network, rows, penalties=penalties), engine)
            contenders[f"Dask, {n_workers} × 1 thread"] = partial(objective, theta)
        values = {name: evaluate()[0] for name, evaluate in contenders.items()}  # the first makes scratch, too
        seconds = _alternate(contenders)
        contenders.clear()  # what the workers hold goes before they do
        del objective
    print(f"J and ∇J over {len(X)} × {X.shape[1]}, {_N_HIDDEN} hidden units; {what}; {available_cores()} cores")
    for name, rounds in seconds.items():
        print(f"  {name:26} {statistics.median(rounds):6.3f} s   (fastest {min(rounds):.3f})   J = {values[name]:.15g}")
    alone, one, two = (statistics.median(rounds) for rounds in seconds.values())
    ratios = [a / b for a, b in zip(*list(seconds.values())[1:], strict=True)]
    print(f"one worker takes {1000 * (one - alone):+.0f} ms beside this process alone")
    print(f"two workers are {one / two:.2f} times one (target {_TARGET}); round by round {_listed(ratios)}")


def _alternate(contenders: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(_ROUNDS):
        for name, evaluate in contenders.items():
            start = time.perf_counter()
            evaluate()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def _rows() -> tuple[np.ndarray, str]:
    images = Path(os.environ.get("RHOHAT_DATA", "")) / "mnist" / "train-images-idx3-ubyte.gz"
    if images.is_file():
        return read_idx(images, header=16).reshape(-1, 784) / 255, "MNIST"
    print("there is no MNIST in RHOHAT_DATA; rows are random", file=sys.stderr)
    return np.random.default_rng(0).random((60_000, 784)), "random rows"


def _listed(numbers: list[float]) -> str:
    return ", ".join(f"{number:.2f}" for number in numbers)


if __name__ == "__main__":
    main()
