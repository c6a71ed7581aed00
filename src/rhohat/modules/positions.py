"""Choice of positions: which tokens of a batch of texts become rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from rhohat.common.extras import import_extra

if TYPE_CHECKING:
    import torch

__all__ = ["NAMES", "Positions", "by_sample", "check_positions", "mask_of", "rows_at"]

#: A name in `NAMES`, a mask, or a function of a batch that returns one.
Positions: TypeAlias = "str | Any | Callable[[Any], Any]"

NAMES = ("all", "last", "mean")


def check_positions(positions: Positions) -> None:
    """Raise ValueError if `positions` is a string that is none of `NAMES`."""
    if isinstance(positions, str) and positions not in NAMES:
        raise ValueError(
            f"positions must be 'all', 'last', 'mean', a mask, or a function of a batch that returns one; got"
            f" {positions!r}."
        )


def by_sample(activations: torch.Tensor, batch: Any) -> torch.Tensor:
    """Return activations with an axis of samples, also of a layer that gets the positions of all samples as rows.

    Parameters
    ----------
    activations : tensor of shape (n_samples, n_positions, n_features)
    batch : tensor, sequence or mapping
        Its ``attention_mask`` says how many samples and positions there are.
    """
    attention = _attention_of(batch)
    flat = attention is not None and activations.shape[1] == 1 and attention.shape[0] != activations.shape[0]
    if flat and attention.ndim == 2 and attention.numel() == activations.shape[0]:
        return activations.reshape(*attention.shape, -1)
    return activations


def mask_of(batch: Any, positions: Positions, shape: tuple[int, int], device: Any) -> torch.Tensor:
    """Return which positions of a batch may become rows: those that are no padding, and that a mask chooses.

    Parameters
    ----------
    batch : tensor, sequence or mapping
        If it is a mapping with an ``attention_mask`` of shape (n_samples, n_positions), positions where this is 0 are
        padding.
    positions : str, mask, or callable
        A mask has a shape that can be broadcast to `shape`.
    shape : tuple of two int
        (n_samples, n_positions) of the activations.
    device : device
        Where the mask is needed.

    Returns
    -------
    tensor of bool, of shape (n_samples, n_positions)

    Raises
    ------
    ValueError
        If a mask does not fit the activations.
    """
    torch = import_extra("torch", "torch")
    mask = torch.ones(shape, dtype=torch.bool, device=device)
    attention = _attention_of(batch)
    if attention is not None:
        mask &= _fitted(attention.to(device) != 0, shape)
    if isinstance(positions, str):
        return mask
    chosen = positions(batch) if callable(positions) else positions
    chosen = torch.as_tensor(chosen, device=device)
    if chosen.dtype != torch.bool:
        raise ValueError(f"the mask of positions must hold truth values; its dtype is {chosen.dtype}.")
    try:
        return mask & chosen.broadcast_to(shape)
    except RuntimeError:
        raise ValueError(
            f"the mask of positions has the shape {tuple(chosen.shape)}, which does not fit activations of"
            f" {shape[0]} samples with {shape[1]} positions each."
        ) from None


def rows_at(activations: torch.Tensor, mask: torch.Tensor, positions: Positions) -> torch.Tensor:
    """Return the rows of a batch: the activations at the chosen positions, sample by sample.

    Parameters
    ----------
    activations : tensor of shape (n_samples, n_positions, n_features)
    mask : tensor of bool, of shape (n_samples, n_positions)
        Positions that may become rows.
    positions : str, mask, or callable
        "last" stands for the last of these positions in each sample, and "mean" for the mean over them; a sample
        without any has no row.

    Returns
    -------
    tensor of shape (n_rows, n_features)
    """
    torch = import_extra("torch", "torch")
    if not isinstance(positions, str) or positions == "all":
        return activations[mask]
    some = mask.any(dim=1)
    if positions == "last":
        places = torch.arange(mask.shape[1], device=mask.device)
        last = torch.where(mask, places, -1).amax(dim=1)
        return activations[some, last[some]]
    weights = mask[some].unsqueeze(-1)
    wide = torch.float64 if activations.dtype == torch.float64 else torch.float32
    kept = torch.where(weights, activations[some].to(wide), 0.0)  # padding may hold NaN, which no weight removes
    return kept.sum(dim=1) / weights.sum(dim=1)


def _attention_of(batch: Any) -> Any:
    """Return the ``attention_mask`` of a batch as a tensor; None if there is none."""
    attention = batch.get("attention_mask") if isinstance(batch, Mapping) else None
    return None if attention is None else import_extra("torch", "torch").as_tensor(attention)


def _fitted(mask: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Return a mask in the shape of the activations; a layer that has no positions has a row for each sample."""
    if tuple(mask.shape) == shape:
        return mask
    if mask.ndim == 2 and shape == (mask.shape[0], 1):
        return mask.any(dim=1, keepdim=True)
    raise ValueError(
        f"attention_mask has the shape {tuple(mask.shape)}, which does not fit the activations: they have"
        f" {shape[0]} samples with {shape[1]} positions each. Samples must be the first axis of both."
    )
