"""Codes of a part of the latents, for PyTorch's tensors: what they decode to, which others add to, and derivatives."""

from __future__ import annotations

import importlib
import importlib.util
from abc import ABC, abstractmethod
from typing import Any

import torch

from rhohat.common.extras import import_extra
from rhohat.ops import torch_codes as plain
from rhohat.ops.codes import ByLatent, Codes

__all__ = ["TorchCodeParts"]

Tensor = Any


class TorchCodeParts(ABC):
    """Reconstructions by some of the latents alone, which are completed by those of the others.

    Attributes
    ----------
    kernels : bool or None
        See `TorchCodeOps`.
    budget : int
        See `TorchCodeOps`.
    """

    kernels: bool | None
    budget: int

    @abstractmethod
    def gather(self, by_latent: ByLatent, latents: slice, factors: Tensor, vectors: Tensor, out: Tensor) -> None:
        """See `CodeOps.gather`."""

    def reconstruct(self, codes: Codes, W: Tensor, ends: Tensor, out: Tensor) -> None:
        """Write what the codes decode to by each prefix of the latents, without a bias.

        Parameters
        ----------
        codes : Codes
        W : tensor of shape (n_latents, n_outputs)
            Decoder.
        ends : tensor of shape (n_prefixes,)
            Number of latents in each prefix, rising, of which some may be equal or 0; the last is n_latents.
        out : tensor of shape (n_prefixes, n_rows, n_outputs)
            Overwritten.
        """
        latents: Any = codes.latents
        n_prefixes, n_rows, n_outputs = out.shape
        order: Any = torch.arange(len(latents), dtype=torch.int32, device=W.device)
        # The entries of a row are sorted by latent, so that those of each prefix alone lie together.
        segments = plain.rows_of_entries(codes).long() * n_prefixes + torch.searchsorted(ends, latents, right=True)
        starts: Any = torch.searchsorted(segments, torch.arange(n_rows * n_prefixes + 1, device=W.device))
        made = W.new_empty((n_rows * n_prefixes, n_outputs))
        self.gather(ByLatent(starts, latents, order), slice(0, len(made)), codes.values, W, made)
        out.copy_(made.view(n_rows, n_prefixes, n_outputs).transpose(0, 1))
        for prefix in range(1, n_prefixes):  # a cumulative sum on a GPU would not give the same bits each time
            out[prefix] += out[prefix - 1]

    def complete(self, out: Tensor, bias: Tensor, targets: Tensor, scale: float, errors: Tensor) -> None:
        """Turn reconstructions into residuals and errors, as `CodeOps.residuals` writes them.

        Parameters
        ----------
        out : tensor of shape (n_prefixes, n_rows, n_outputs)
            Reconstructions by the prefixes of all latents, without a bias; overwritten with residuals.
        bias : tensor of shape (n_outputs,)
        targets : tensor of shape (n_rows, n_outputs)
        scale : float
        errors : tensor of shape (n_rows,)
            Overwritten.
        """
        n_prefixes, known = len(out), bias - targets
        errors.zero_()
        for residual in out:
            residual += known
            errors += residual.square().sum(1, dtype=errors.dtype)
        errors *= 0.5 / n_prefixes
        out *= scale / n_prefixes
        for prefix in range(n_prefixes - 2, -1, -1):
            out[prefix] += out[prefix + 1]

    def differentiate(self, codes: Codes, W: Tensor, ends: Tensor, out: Tensor, derivatives: Tensor) -> None:
        """Write the derivatives by the entries of the codes, given residuals; see `CodeOps.residuals`."""
        if kernels := self._kernels("decoding", W):
            kernels.differentiate(codes, W, ends, out, derivatives)
        else:
            plain.differentiate(codes, W, ends, out, derivatives, self.budget)

    def _kernels(self, name: str, tensor: Tensor) -> Any:
        """Return the module of kernels of a name where kernels are used for a tensor, or None."""
        used = self.kernels
        if used is None:
            used = tensor.is_cuda and importlib.util.find_spec("triton") is not None
        if not used:
            return None
        import_extra("triton", "torch")
        return importlib.import_module(f"rhohat.ops.triton_kernels.{name}")
