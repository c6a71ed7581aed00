"""Numbers that are asked of sparse codes which are PyTorch's tensors: sums, counts, and the largest of them."""

from __future__ import annotations

from typing import Any, cast

import torch

from rhohat.ops import torch_codes as plain
from rhohat.ops.code_numbers import CodeNumbers
from rhohat.ops.codes import ByLatent, Codes

__all__ = ["TorchCodeNumbers", "codes_of", "starts_of"]

Tensor = Any


class TorchCodeNumbers(CodeNumbers):
    """Sums and counts of tensors, which are tensors without axes: the host does not wait for them."""

    def sums_of_latents(self, codes: Codes, by_latent: ByLatent, numbers: Tensor) -> Tensor:
        """See `CodeNumbers.sums_of_latents`; in float32 on devices that have no float64."""
        entries: Any = by_latent.entries
        return plain.segment_sums(numbers[entries].to(_wide(numbers))[:, None], by_latent.starts)[:, 0]

    def number(self, value: Any) -> Any:
        """Return a number as it is, because the host would have to wait for a device."""
        return value

    def total(self, numbers: Tensor) -> Tensor:
        """See `CodeNumbers.total`."""
        return numbers.sum(dtype=_wide(numbers))

    def count(self, chosen: Tensor) -> Tensor:
        """See `CodeNumbers.count`."""
        return torch.count_nonzero(chosen).to(_wide(chosen))

    def sum_of_squares(self, numbers: Tensor) -> Tensor:
        """See `CodeNumbers.sum_of_squares`."""
        return numbers.square().sum(dtype=_wide(numbers))

    def nth_largest(self, numbers: Tensor, n: int) -> Tensor:
        """See `CodeNumbers.nth_largest`."""
        return torch.sort(numbers).values[len(numbers) - n]

    def largest_of_rows(self, a: Tensor, k: int) -> Tensor:
        """See `CodeNumbers.largest_of_rows`."""
        return plain.largest_of_rows(a, k)

    def largest_of_each(self, codes: Codes, k: int) -> Codes:
        """See `CodeNumbers.largest_of_each`; 0 stands in place of entries that are not positive, and nobody waits."""
        values, latents = (cast("Any", array).view(codes.n_rows, -1) for array in (codes.values, codes.latents))
        columns = torch.empty((codes.n_rows, k), dtype=torch.int32, device=values.device)
        kept = torch.empty((codes.n_rows, k), dtype=values.dtype, device=values.device)
        plain.keep_largest(values, k, columns, kept)
        starts = torch.arange(codes.n_rows + 1, device=values.device) * k
        return codes_of(starts, latents.gather(1, columns.long()).view(-1), kept.view(-1))

    def positive(self, codes: Codes) -> Codes:
        """See `CodeNumbers.positive`; the host waits for the number of entries."""
        values, latents, starts = (cast("Any", array) for array in (codes.values, codes.latents, codes.starts))
        chosen = values > 0
        return codes_of(starts_of(chosen)[starts], latents[chosen], values[chosen])

    def largest_of_all(self, codes: Codes, n: int) -> Codes:
        """See `CodeNumbers.largest_of_all`; the host does not wait."""
        values: Any = codes.values
        least = self.nth_largest(values, n)
        chosen, equal = values > least, values == least
        chosen |= equal & (torch.cumsum(equal, 0) <= n - chosen.sum())
        before = starts_of(chosen)
        # What is not chosen goes to a place beside those that are kept.
        places = torch.where(chosen, before[:-1], n)
        entries = torch.empty(n + 1, dtype=torch.int64, device=values.device)
        entries.scatter_(0, places, torch.arange(len(values), device=values.device))
        kept, latents = entries[:n], cast("Any", codes.latents)
        return codes_of(before[cast("Any", codes.starts)], latents[kept], values[kept])


def codes_of(*arrays: Any) -> Codes:
    """Return codes whose arrays are tensors."""
    return Codes(*arrays)


def starts_of(counts: Tensor) -> Any:
    """Return where each row begins, and then the number of entries."""
    starts = torch.zeros(len(counts) + 1, dtype=torch.int64, device=counts.device)
    torch.cumsum(counts, 0, out=starts[1:])
    return starts


def _wide(numbers: Tensor) -> torch.dtype:
    """Return float64, or float32 on devices that have no other."""
    return torch.float32 if numbers.device.type == "mps" else torch.float64
