"""A step of Adam for rows of weights whose gradients are sums over the entries of codes, for PyTorch's tensors.

What is learned is handed over in one piece, so that an implementation may read and write each row of weights and
moments once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

__all__ = ["AdamStep", "LearnedRows", "complete", "scalar", "take_step"]

Tensor = Any


@dataclass(frozen=True)
class LearnedRows:
    """A matrix with a row of weights for each latent, its moments, and what its gradient is the sum of.

    The gradient of a row is Σ factor · vector over the entries of its latent, and then what `multiples` and `extra`
    add to it.

    Attributes
    ----------
    weights : tensor of shape (n_latents, n)
        The encoder or the decoder; changed in place, contiguous as are all others.
    sums, sums_of_squares : tensors of shape (n_latents, n)
        Adam's moments s and q; changed in place.
    factors : tensor of shape (n_entries,)
        Factor of each entry of the codes, in their order.
    vectors : tensor of shape (n_rows, n)
        Vector of each row of the batch, possibly in fewer digits than the weights.
    multiples : tensor of shape (n_latents,), default=None
        What is added to the gradient of each row, as a multiple of this row.
    extra : tensor of shape (n_extra, n), default=None
        Gradients, at least one, that are added to those of some latents.
    extra_of : tensor of shape (n_latents,), int32, default=None
        Number of the row of `extra` that belongs to each latent; −1 if none does.
    on_sphere : bool, default=False
        Whether rows have norm 1: their gradients lose their part along the row, and rows are divided by their norm
        after the step.
    """

    weights: Tensor
    sums: Tensor
    sums_of_squares: Tensor
    factors: Tensor
    vectors: Tensor
    multiples: Tensor | None = None
    extra: Tensor | None = None
    extra_of: Tensor | None = None
    on_sphere: bool = False


@dataclass(frozen=True)
class AdamStep:
    """The step s ← β₁ s + g, q ← β₂ q + g², θ ← θ − rate s / (√q + ε), as in `Steps.adam_step`.

    Attributes
    ----------
    betas : tuple of two float
        β₁ and β₂.
    rate, epsilon : float or tensor of shape ()
        The factor, and ε. Tensors on the device let a recorded graph of work be replayed with other numbers; they have
        the dtype of the weights.
    """

    betas: tuple[float, float]
    rate: float | Tensor
    epsilon: float | Tensor


def scalar(value: float | Tensor, like: Tensor) -> Tensor:
    """Return a number as a tensor of shape () on the device and in the dtype of another; the host does not wait."""
    if isinstance(value, torch.Tensor):
        return value.to(like.dtype)
    return torch.full((), value, dtype=like.dtype, device=like.device)


def complete(rows: LearnedRows, latents: slice, gradient: Tensor) -> None:
    """Add to the gradient of some latents what is beside the sums over the entries, and project it, in place."""
    weights = rows.weights[latents]
    if rows.multiples is not None:
        gradient += rows.multiples[latents, None].to(gradient.dtype) * weights
    if rows.extra is not None and rows.extra_of is not None:
        numbers = rows.extra_of[latents].long()
        there = rows.extra[numbers.clamp(min=0)].to(gradient.dtype)
        gradient += torch.where((numbers >= 0)[:, None], there, torch.zeros_like(there))
    if rows.on_sphere:
        gradient -= (gradient * weights).sum(1, keepdim=True) * weights


def take_step(rows: LearnedRows, latents: slice, gradient: Tensor, step: AdamStep, finite: Tensor | None) -> None:
    """Take a step for some latents.

    Parameters
    ----------
    rows : LearnedRows
    latents : slice
        Successive latents.
    gradient : tensor of shape (number of these latents, n)
        The sums over the entries; overwritten.
    step : AdamStep
    finite : tensor of shape (), bool, or None
        Nothing is changed where this is false.
    """
    complete(rows, latents, gradient)
    old = [array[latents] for array in (rows.weights, rows.sums, rows.sums_of_squares)]
    weights = old[0]
    sums = old[1] * step.betas[0] + gradient
    squares = old[2] * step.betas[1] + gradient * gradient
    moved = weights - scalar(step.rate, weights) * sums / (squares.sqrt() + scalar(step.epsilon, weights))
    if rows.on_sphere:
        norms = moved.square().sum(1, keepdim=True).sqrt()
        moved /= torch.where(norms > 0, norms, torch.ones_like(norms))
    for array, new in zip(old, (moved, sums, squares), strict=True):
        array.copy_(new if finite is None else torch.where(finite, new, array))
