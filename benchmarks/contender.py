"""One contender of a benchmark, alone in a process of its own: prints seconds per evaluation, and the cost.

A process each, because what one leaves behind in the memory allocator changes how fast another runs.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import numpy as np

from rhohat.activations import Sigmoid
from rhohat.engines import ThreadEngine
from rhohat.network import Network
from rhohat.objective import Objective
from rhohat.penalties import KLSparsity, WeightDecay
from tests.textbook import sparse_cost

WEIGHT_DECAY, SPARSITY, SPARSITY_WEIGHT = 1e-4, 0.01, 3.0


def make_evaluation(name: str, n_samples: int, n_features: int, n_hidden: int) -> Callable[[], float]:
    """Return a function that evaluates J and its gradient once and returns J."""
    rng = np.random.default_rng(0)
    X = rng.random((n_samples, n_features))
    network = Network((n_features, n_hidden, n_features), (Sigmoid(), Sigmoid()))
    theta = network.initial_theta(rng)
    if name == "textbook":
        layers = network.layer_sizes, ["sigmoid", "sigmoid"]
        return lambda: sparse_cost(theta, X, X, *layers, WEIGHT_DECAY, SPARSITY, SPARSITY_WEIGHT)[0]
    if name == "products":
        return _five_products(X, *network.unpack(theta).weights)
    penalties = [WeightDecay(WEIGHT_DECAY), KLSparsity(SPARSITY, SPARSITY_WEIGHT)]
    objective = Objective(network, X, penalties=penalties, engine=ThreadEngine())
    return lambda: objective(theta)[0]


def _five_products(X: np.ndarray, W1: np.ndarray, W2: np.ndarray) -> Callable[[], float]:
    """Return the matrix products of an evaluation and nothing else: what no implementation gets below."""
    hidden, out = np.empty((len(X), W1.shape[1])), np.empty_like(X)
    gradients = np.empty_like(W1), np.empty_like(W2)

    def evaluate() -> float:
        np.matmul(X, W1, out=hidden)
        np.matmul(hidden, W2, out=out)
        np.matmul(hidden.T, out, out=gradients[1])
        np.matmul(out, W2.T, out=hidden)
        np.matmul(X.T, hidden, out=gradients[0])
        return float("nan")

    return evaluate


def main() -> None:
    name, *sizes, budget = sys.argv[1:]
    evaluate = make_evaluation(name, *map(int, sizes))
    cost = evaluate()  # and a warm-up
    seconds: list[float] = []
    end = time.perf_counter() + float(budget)
    while time.perf_counter() < end or len(seconds) < 3:
        start = time.perf_counter()
        evaluate()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"cost": cost, "seconds": float(np.median(seconds))}))


if __name__ == "__main__":
    main()
