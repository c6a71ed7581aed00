"""`make bench-profile`: what an evaluation, and a step of Adam, spend their time on, on one thread.

Each part is measured by itself, with arrays of the sizes that it has within the whole. What is left over is the calls
of Python, the reading of rows from memory, and what parts cost one another in the cache.
"""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
from threadpoolctl import threadpool_limits

from rhohat import Adam, DenoisingAutoencoder, KLSparsity, MaskingNoise, WeightDecay
from rhohat.engines import ThreadEngine
from rhohat.layers.activations import Sigmoid
from rhohat.layers.network import dense_network
from rhohat.objective import Problem, make_objective
from rhohat.ops import Ops
from rhohat.terms.corruption import corrupt_rows

__all__ = ["main"]

_CASES = {
    "J and ∇J, 10,000 × 64, 25 hidden": (10_000, 64, 25, 1024),
    "J and ∇J, 10,000 × 784, 196 hidden": (10_000, 784, 196, 256),
}
_REPEATS = 15


def measure(function: Callable[[], object], n_calls: int = 1) -> float:
    """Return the median seconds of a number of calls in a row."""
    function()
    seconds = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        for _ in range(n_calls):
            function()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def parts_of_evaluation(ops: Ops, n_rows: int, n: int, h: int, at_once: int, dtype: type) -> dict[str, float]:
    """Return the seconds of each part of an evaluation over all rows, which takes `at_once` rows at a time."""
    rng, n_calls = np.random.default_rng(0), -(-n_rows // at_once)

    def draw(*shape: int) -> np.ndarray:
        return rng.random(shape).astype(dtype)

    X, W1, W2, b1, b2 = draw(at_once, n), draw(n, h), draw(h, n), draw(h), draw(n)
    hidden, outputs, delta, of_hidden = draw(at_once, h), draw(at_once, n), draw(at_once, n), draw(at_once, h)
    g1, g2, total1, total2, ones = draw(n, h), draw(h, n), draw(1, h), draw(1, n), np.ones((1, at_once), dtype)

    def products() -> None:
        ops.multiply(X, W1, hidden)
        ops.multiply(hidden, W2, outputs)
        ops.multiply_transposed(hidden, delta, g2)
        ops.multiply(delta, W2.T, of_hidden)
        ops.multiply_transposed(X, of_hidden, g1)

    def activations() -> None:
        hidden[:], outputs[:] = 0.5, 0.5
        ops.sigmoid_with_bias(hidden, b1)
        ops.sigmoid_with_bias(outputs, b2)

    def pull_backs() -> None:
        ops.sigmoid_pull_back(outputs, delta)
        ops.add_row(of_hidden, b1)
        ops.sigmoid_pull_back(hidden, of_hidden)

    def sums() -> None:
        ops.sum_rows(hidden, ones, total1)
        ops.sum_rows(delta, ones, total2)
        ops.sum_rows(of_hidden, ones, total1)

    parts = {
        "matrix products": products,
        "biases and sigmoids": activations,
        "loss": lambda: ops.squared_error(outputs, X, delta),
        "pull-backs": pull_backs,
        "sums over rows": sums,
    }
    return {name: measure(part, n_calls) for name, part in parts.items()}


def profile_evaluation(title: str, n_rows: int, n: int, h: int, at_once: int, dtype: type) -> None:
    """Print the parts of an evaluation."""
    rng, engine = np.random.default_rng(0), ThreadEngine(1)
    network = dense_network((n, h, n), (Sigmoid(), Sigmoid()))
    problem = Problem(
        network, rng.random((n_rows, n)).astype(dtype), penalties=[WeightDecay(1e-4), KLSparsity(0.01, 3)]
    )
    objective, theta = make_objective(problem, engine), network.initial_theta(rng)
    with engine.session():
        whole = measure(lambda: objective(theta))
    show(f"{title}, {np.dtype(dtype)}", whole, parts_of_evaluation(problem.ops, n_rows, n, h, at_once, dtype))


def profile_adam(n_rows: int = 5_000, n: int = 784, h: int = 1000, batch_size: int = 256) -> None:
    """Print the parts of a step of Adam on corrupted rows, in float32."""
    rng = np.random.default_rng(0)
    X, n_steps = rng.random((n_rows, n), dtype=np.float32), -(-n_rows // batch_size)
    stamps: list[float] = []
    model = DenoisingAutoencoder(
        n_components=h,
        corruption=MaskingNoise(0.25),
        output_activation="sigmoid",
        tied_weights=False,
        weight_decay=0.0,
        solver=Adam(batch_size=batch_size),
        max_iter=8,
        tol=0.0,
        n_jobs=1,
        random_state=0,
        callbacks=[lambda state: stamps.append(time.perf_counter())],
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.fit(X)
    whole = statistics.median(np.diff(stamps)) / n_steps
    ops = Problem(model.network_, X).ops
    parts = parts_of_evaluation(ops, batch_size, n, h, batch_size, np.float32)
    theta, gradient, s, q, scratch = (rng.random(model.network_.n_parameters, dtype=np.float32) for _ in range(5))
    parts["update of θ and the moments"] = measure(
        lambda: ops.adam_step(theta, gradient, (s, q), scratch, betas=(0.9, 0.999), rate=1e-6, epsilon=1e-8)
    )
    order = rng.permutation(n_rows)[:batch_size]
    parts["gathering and corrupting rows"] = measure(lambda: corrupt_rows(MaskingNoise(0.25), X[order], seed=0))
    show(f"a step of Adam, {batch_size} × {n}, {h:,} hidden, float32", whole, parts)


def show(title: str, whole: float, parts: dict[str, float]) -> None:
    """Print the share of each part."""
    print(f"| {title} | {1e3 * whole:.2f} ms | 100% |")
    for name, seconds in {**parts, "the rest": whole - sum(parts.values())}.items():
        print(f"| — {name} | {1e3 * seconds:.2f} ms | {seconds / whole:.0%} |")


def main() -> None:
    """Print a table."""
    print("| what | time | share |\n|---|---|---|")
    with threadpool_limits(1), np.errstate(all="ignore"):
        for title, sizes in _CASES.items():
            for dtype in (np.float64, np.float32):
                profile_evaluation(title, *sizes, dtype)
        profile_adam()


if __name__ == "__main__":
    main()
