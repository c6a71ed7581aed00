"""JAX on the CPU: the cost written plainly, compiled together with its gradient."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.measuring import time_epochs, time_evaluations
from benchmarks.tasks import Record, Task

__all__ = ["descent", "evaluation", "training"]


def evaluation(task: Task) -> Record:
    """Time J and its gradient, whole batch."""
    value_and_gradient, X = _compile(task)
    theta = jnp.asarray(task.theta, dtype=X.dtype)

    def evaluate() -> tuple[float, list[jax.Array]]:
        J, gradient = jax.block_until_ready(value_and_gradient(theta, X))
        return float(J), [gradient]

    return time_evaluations(evaluate, task)


def descent(task: Task) -> Record:
    """Go down to the cost of the settings with SciPy's L-BFGS-B."""
    from benchmarks.descents import descend_with_scipy

    value_and_gradient, X = _compile(task)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        J, gradient = value_and_gradient(jnp.asarray(flat, dtype=X.dtype), X)
        return float(J), np.asarray(gradient, dtype=np.float64)

    return descend_with_scipy(objective, task, one_blas_thread=True)


def training(task: Task) -> Record:
    """Time epochs of Adam on mini-batches, drawn and masked afresh, one compiled step for each."""
    settings = task.settings
    X = jnp.asarray(task.X)
    parameters = tuple(jnp.asarray(part) for part in task.initial_parameters())
    state = (parameters, *(jax.tree.map(jnp.zeros_like, parameters) for _ in range(2)), jnp.zeros((), jnp.int32))
    step, key = _make_adam_step(task), jax.random.key(0)
    shuffle = np.random.default_rng(0)

    def epoch() -> float:
        nonlocal state
        losses, sizes = [], []
        order = shuffle.permutation(len(X)).astype(np.int32)
        for start in range(0, len(order), settings.batch_size):
            rows = order[start : start + settings.batch_size]
            state, loss = step(state, X, rows, key)
            losses.append(loss)
            sizes.append(len(rows))
        jax.block_until_ready(state)
        return float(np.average(np.asarray(jnp.stack(losses)), weights=sizes))

    return time_epochs(epoch, task)


def _make_adam_step(task: Task) -> Callable[..., tuple[Any, jax.Array]]:
    """Return a step of Adam on some rows; the state that it is given is used up."""
    settings = task.settings
    beta_1, beta_2, epsilon = 0.9, 0.999, 1e-8

    def mean_loss(parameters: Any, seen: jax.Array, clean: jax.Array) -> jax.Array:
        W1, W2, b1, b2 = parameters
        Y = jax.nn.sigmoid(seen @ W1 + b1) @ W2 + b2
        if settings.output == "sigmoid":
            Y = jax.nn.sigmoid(Y)
        return 0.5 * jnp.sum((Y - clean) ** 2) / len(clean)

    @partial(jax.jit, donate_argnums=0)
    def step(state: Any, X: jax.Array, rows: jax.Array, key: jax.Array) -> tuple[Any, jax.Array]:
        parameters, mean, square, t = state
        t = t + 1
        clean = X[rows]
        seen = clean
        if settings.masked:
            kept = jax.random.bernoulli(jax.random.fold_in(key, t), 1 - settings.masked, clean.shape)
            seen = jnp.where(kept, clean, 0)
        loss, gradient = jax.value_and_grad(mean_loss)(parameters, seen, clean)
        mean = jax.tree.map(lambda m, g: beta_1 * m + (1 - beta_1) * g, mean, gradient)
        square = jax.tree.map(lambda v, g: beta_2 * v + (1 - beta_2) * g**2, square, gradient)
        rate, scale = settings.learning_rate / (1 - beta_1**t), 1 / (1 - beta_2**t)
        parameters = jax.tree.map(
            lambda p, m, v: p - rate * m / (jnp.sqrt(scale * v) + epsilon), parameters, mean, square
        )
        return (parameters, mean, square, t), loss

    return step


def _compile(task: Task) -> tuple[Callable[..., tuple[jax.Array, jax.Array]], jax.Array]:
    """Return the compiled function (θ, X) → (J, ∇J), and X as it wants it."""
    if task.settings.dtype == "float64":
        jax.config.update("jax_enable_x64", True)
    n, h, _ = task.layer_sizes
    edges = np.cumsum(task.parameter_sizes)[:-1]
    rho, beta, decay = task.settings.sparsity, task.settings.sparsity_weight, task.settings.weight_decay

    def cost(theta: jax.Array, X: jax.Array) -> jax.Array:
        W1, W2, b1, b2 = jnp.split(theta, edges)
        W1, W2 = W1.reshape(n, h), W2.reshape(h, n)
        H = jax.nn.sigmoid(X @ W1 + b1)
        Y = jax.nn.sigmoid(H @ W2 + b2)
        rho_hat = H.mean(axis=0)
        kl = rho * jnp.log(rho / rho_hat) + (1 - rho) * jnp.log((1 - rho) / (1 - rho_hat))
        decayed = jnp.sum(W1**2) + jnp.sum(W2**2)
        return 0.5 * jnp.sum((Y - X) ** 2) / len(X) + 0.5 * decay * decayed + beta * jnp.sum(kl)

    return jax.jit(jax.value_and_grad(cost)), jnp.asarray(task.X)
