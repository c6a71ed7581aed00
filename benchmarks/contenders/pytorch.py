"""PyTorch on the CPU: the cost written plainly, its gradient by autograd."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from benchmarks.measuring import time_calls, time_epochs, time_evaluations
from benchmarks.tasks import Record, Task

__all__ = [
    "descent",
    "evaluation",
    "lenet_training",
    "lstm_training",
    "own_descent",
    "reconstruction",
    "training",
    "transformation",
]


def evaluation(task: Task) -> Record:
    """Time J and its gradient, whole batch."""
    cost = _make_cost(task)
    theta = torch.from_numpy(task.theta).to(_dtype(task)).requires_grad_()

    def evaluate() -> tuple[float, list[torch.Tensor]]:
        theta.grad = None
        J = cost(theta)
        J.backward()
        return J.item(), [theta.grad]

    return time_evaluations(evaluate, task)


def descent(task: Task) -> Record:
    """Go down to the cost of the settings with SciPy's L-BFGS-B."""
    from benchmarks.descents import descend_with_scipy

    cost = _make_cost(task)

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        theta = torch.from_numpy(flat).to(_dtype(task)).requires_grad_()
        J = cost(theta)
        (gradient,) = torch.autograd.grad(J, theta)
        return J.item(), gradient.double().numpy()

    return descend_with_scipy(objective, task, one_blas_thread=True)


def own_descent(task: Task) -> Record:
    """Go down with PyTorch's own L-BFGS."""
    from benchmarks.descents import Finished, Watch, iterations_allowed

    cost = _make_cost(task)
    theta = torch.from_numpy(task.theta.copy()).to(_dtype(task)).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [theta],
        max_iter=iterations_allowed(task),
        max_eval=2**31 - 1,
        history_size=task.settings.memory,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )
    start_cost = cost(theta)
    start_cost.backward()
    watch = Watch(task)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        J = cost(theta)
        J.backward()
        watch.see(J.item(), theta.detach())
        return J

    with suppress(Finished):
        optimizer.step(closure)
    return watch.record(start_cost.item())


def training(task: Task) -> Record:
    """Time epochs of Adam on mini-batches, drawn and masked afresh."""
    settings = task.settings
    torch.manual_seed(0)
    X = torch.from_numpy(task.X)
    model = _make_model(task, nn.Sigmoid() if settings.output == "sigmoid" else nn.Identity())
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate, fused=settings.fused or None)

    def epoch() -> float:
        loss_sum = 0.0
        for rows in torch.randperm(len(X)).split(settings.batch_size):
            clean = X[rows]
            seen = clean * (torch.rand_like(clean) >= settings.masked) if settings.masked else clean
            loss = 0.5 / len(rows) * mse_loss(model(seen), clean, reduction="sum")
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(rows)
        return loss_sum / len(X)

    return time_epochs(epoch, task)


def lenet_training(task: Task) -> Record:
    """Time epochs of Adam of a convolutional network, from the same start."""
    return _classifier_training(task, _make_lenet(task), (1, 28, 28))


def lstm_training(task: Task) -> Record:
    """Time epochs of Adam of a recurrent network, from the same start."""
    return _classifier_training(task, _LSTMClassifier(task), (28, 28))


def _classifier_training(task: Task, model: nn.Module, shape: tuple[int, ...]) -> Record:
    settings = task.settings
    torch.manual_seed(0)
    X, y = torch.from_numpy(task.X).reshape(-1, *shape), torch.from_numpy(task.labels)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)

    def epoch() -> float:
        loss_sum = 0.0
        for rows in torch.randperm(len(X)).split(settings.batch_size):
            loss = cross_entropy(model(X[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss_sum += loss.item() * len(rows)
        return loss_sum / len(X)

    return time_epochs(epoch, task)


def _make_lenet(task: Task) -> nn.Sequential:
    """Return the network with the parameters at the start: θ holds all weights, with channels last, then all biases."""
    first, second, hidden, output = nn.Conv2d(1, 20, 5), nn.Conv2d(20, 50, 5), nn.Linear(800, 500), nn.Linear(500, 10)
    shapes = [(5, 5, 1, 20), (5, 5, 20, 50), (4, 4, 50, 500), (500, 10)]
    theta = torch.from_numpy(task.theta).to(_dtype(task))
    *weights, biases = theta.split([*(int(np.prod(shape)) for shape in shapes), 20 + 50 + 500 + 10])
    W1, W2, W3, W4 = (part.reshape(shape) for part, shape in zip(weights, shapes, strict=True))
    moved = (W1.permute(3, 2, 0, 1), W2.permute(3, 2, 0, 1), W3.permute(3, 2, 0, 1).reshape(500, 800), W4.T)
    layers = (first, second, hidden, output)
    with torch.no_grad():
        for layer, W, b in zip(layers, moved, biases.split([20, 50, 500, 10]), strict=True):
            layer.weight.copy_(W)
            layer.bias.copy_(b)
    pooled = [nn.Tanh(), nn.MaxPool2d(2)]
    return nn.Sequential(first, *pooled, second, *pooled, nn.Flatten(), hidden, nn.Tanh(), output)


class _LSTMClassifier(nn.Module):
    """The network with the parameters at the start: θ holds all weights, then all biases, with gates in another order.

    PyTorch has two biases where one is enough; the second stays at 0.
    """

    def __init__(self, task: Task, n_units: int = 128) -> None:
        super().__init__()
        self.memory = nn.LSTM(28, n_units, batch_first=True, dtype=_dtype(task))
        self.output = nn.Linear(n_units, 10, dtype=_dtype(task))
        theta = torch.from_numpy(task.theta).to(_dtype(task))
        W, W_output, b, b_output = theta.split([(28 + n_units) * 4 * n_units, n_units * 10, 4 * n_units, 10])
        # rhohat has the gates in the order i, f, o, g, and PyTorch in the order i, f, g, o.
        W, b = W.reshape(28 + n_units, 4, n_units)[:, [0, 1, 3, 2]], b.reshape(4, n_units)[[0, 1, 3, 2]]
        W = W.reshape(28 + n_units, 4 * n_units).T
        with torch.no_grad():
            self.memory.weight_ih_l0.copy_(W[:, :28])
            self.memory.weight_hh_l0.copy_(W[:, 28:])
            self.memory.bias_ih_l0.copy_(b.reshape(-1))
            self.memory.bias_hh_l0.zero_().requires_grad_(False)
            self.output.weight.copy_(W_output.reshape(n_units, 10).T)
            self.output.bias.copy_(b_output)

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        """Return what the network says after the last step."""
        return self.output(self.memory(X)[0][:, -1])


def transformation(task: Task) -> Record:
    """Time the encoder."""
    return _application(task, _make_model(task, nn.Sigmoid())[:2])


def reconstruction(task: Task) -> Record:
    """Time the encoder and the decoder."""
    return _application(task, _make_model(task, nn.Sigmoid()))


def _application(task: Task, model: nn.Module) -> Record:
    X = torch.from_numpy(task.X)
    with torch.no_grad():
        record, out = time_calls(lambda: model(X), task.settings.seconds)
    return {**record, "agreement": {"mean of the output": out.mean(dtype=torch.float64).item()}}


def _make_model(task: Task, output: nn.Module) -> nn.Sequential:
    """Return an autoencoder with the parameters at the start."""
    W1, W2, b1, b2 = (torch.from_numpy(part) for part in task.initial_parameters())
    encoder, decoder = (nn.Linear(*W.shape, dtype=_dtype(task)) for W in (W1, W2))
    with torch.no_grad():
        for layer, W, b in ((encoder, W1, b1), (decoder, W2, b2)):
            layer.weight.copy_(W.T)
            layer.bias.copy_(b)
    return nn.Sequential(encoder, nn.Sigmoid(), decoder, output)


def _make_cost(task: Task) -> Callable[[torch.Tensor], torch.Tensor]:
    X, sizes = torch.from_numpy(task.X), task.parameter_sizes
    n, h, _ = task.layer_sizes
    rho, beta, decay = task.settings.sparsity, task.settings.sparsity_weight, task.settings.weight_decay

    def cost(theta: torch.Tensor) -> torch.Tensor:
        W1, W2, b1, b2 = theta.split(sizes)
        W1, W2 = W1.view(n, h), W2.view(h, n)
        H = torch.sigmoid(torch.addmm(b1, X, W1))
        Y = torch.sigmoid(torch.addmm(b2, H, W2))
        rho_hat = H.mean(dim=0)
        kl = rho * torch.log(rho / rho_hat) + (1 - rho) * torch.log((1 - rho) / (1 - rho_hat))
        error = 0.5 / len(X) * mse_loss(Y, X, reduction="sum")
        return error + 0.5 * decay * (W1.square().sum() + W2.square().sum()) + beta * kl.sum()

    return cost


def _dtype(task: Task) -> torch.dtype:
    return torch.float32 if task.settings.dtype == "float32" else torch.float64
