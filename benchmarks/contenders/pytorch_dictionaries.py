"""PyTorch on the CPU: the training step of a dictionary written densely, with autograd."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.measuring import time_calls, time_steps
from benchmarks.tasks import Record, Task

__all__ = ["dictionary_encoding", "dictionary_training"]


class _Jump(torch.autograd.Function):
    """Codes above thresholds and their number, with pseudo-gradients by the thresholds."""

    @staticmethod
    def forward(ctx: Any, a: torch.Tensor, threshold: torch.Tensor, width: float) -> tuple[torch.Tensor, torch.Tensor]:
        ctx.save_for_backward(a, threshold)
        ctx.width = width
        above = (a > threshold).to(a.dtype)
        return a * above, above

    @staticmethod
    def backward(ctx: Any, of_codes: torch.Tensor, of_number: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:  # type: ignore[override]
        a, threshold = ctx.saved_tensors
        near = (((a - threshold) / ctx.width).abs() < 0.5).to(a.dtype) / ctx.width
        of_threshold = -(threshold * near * of_codes).sum(0) - (near * of_number).sum(0)
        return of_codes * (a > threshold), of_threshold, None


def dictionary_training(task: Task) -> Record:
    """Time the steps of a dictionary, batch after batch."""
    settings = task.settings
    W_dec = torch.from_numpy(task.decoder).clone().requires_grad_()
    W_enc = torch.from_numpy(task.decoder.T.copy()).requires_grad_()
    b_enc = torch.full((settings.n_hidden,), settings.encoder_bias).requires_grad_()
    b_dec = torch.zeros(task.X.shape[1]).requires_grad_()
    threshold = torch.full((settings.n_hidden,), settings.threshold).requires_grad_()
    parameters = [W_enc, W_dec, b_enc, b_dec] + ([threshold] if settings.selection == "jumprelu" else [])
    optimizer = torch.optim.Adam(parameters, lr=settings.learning_rate, fused=True)
    select = _selection(task, threshold)

    def step(rows: np.ndarray) -> float:
        x = torch.from_numpy(rows)
        a = (x - b_dec) @ W_enc + b_enc
        codes, penalty = select(a)
        loss = 0.5 * ((codes @ W_dec + b_dec - x) ** 2).sum(1).mean() + penalty
        optimizer.zero_grad()
        loss.backward()
        with torch.no_grad():
            assert W_dec.grad is not None
            W_dec.grad.sub_((W_dec.grad * W_dec).sum(1, keepdim=True) * W_dec)
            optimizer.step()
            W_dec.div_(W_dec.norm(dim=1, keepdim=True))
        return loss.item()

    return time_steps(step, task)


def dictionary_encoding(task: Task) -> Record:
    """Time the codes of a batch: a product and the largest numbers of each row."""
    W_enc, rows = torch.from_numpy(task.decoder.T.copy()), torch.from_numpy(task.X[: task.settings.batch_size])
    with torch.inference_mode():
        return time_calls(lambda: torch.topk(torch.relu(rows @ W_enc), task.settings.k, dim=1), task.settings.seconds)[
            0
        ]


def _selection(task: Task, threshold: torch.Tensor) -> Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]:
    """Return a function from pre-activations to codes and a penalty."""
    settings, none = task.settings, torch.zeros(())

    def topk(a: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        values, places = torch.topk(torch.relu(a), settings.k, dim=1)
        return torch.zeros_like(a).scatter(1, places, values), none

    def batch_topk(a: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        flat = torch.relu(a).flatten()
        values, places = torch.topk(flat, settings.k * len(a), sorted=False)
        return torch.zeros_like(flat).scatter(0, places, values).reshape(a.shape), none

    def jumprelu(a: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        codes, above = _Jump.apply(a, threshold, settings.bandwidth)
        return codes, settings.sparsity_weight * (above.sum(1).mean() / settings.k - 1) ** 2

    return {"topk": topk, "batchtopk": batch_topk, "jumprelu": jumprelu}[settings.selection]
