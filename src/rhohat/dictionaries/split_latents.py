"""Latents that several devices hold together: each has a slice of them, and what all need to know is exchanged.

Sums over all latents are added up in the order of the processes, so that the same bits come each time, and the same on
every device. Whether a latent is active is decided on every device alike, from the candidates of all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from rhohat.dictionaries.dead_latents import Dead
from rhohat.dictionaries.parameters import Layout, Parameters
from rhohat.engines.group import Group
from rhohat.ops import torch_codes as plain
from rhohat.ops.codes import Codes
from rhohat.ops.torch_code_numbers import codes_of, starts_of

__all__ = ["DeadOfAll", "SplitLatents", "slices_of"]

Tensor = Any


def slices_of(n_latents: int, size: int) -> list[slice]:
    """Return the latents of each of some processes; the numbers of latents differ by at most 1."""
    return [slice(n_latents * rank // size, n_latents * (rank + 1) // size) for rank in range(size)]


@dataclass(frozen=True)
class SplitLatents:
    """The latents of a dictionary, of which this process holds a slice.

    Attributes
    ----------
    group : Group
    layout : Layout
        That of the whole dictionary.
    """

    group: Group
    layout: Layout

    @property
    def each(self) -> list[slice]:
        """The latents of each process."""
        return slices_of(self.layout.n_latents, self.group.size)

    @property
    def own(self) -> slice:
        """The latents that this process holds."""
        return self.each[self.group.rank]

    def whole(self, numbers: Tensor) -> Tensor:
        """Add up the numbers of all processes, in place, and return them; the same bits in every process."""
        self.group.add_up_in_order(numbers)
        return numbers

    def candidates(self, codes: Codes) -> Codes:
        """Return the entries that all processes have found for the same rows, as one code of all latents.

        Parameters
        ----------
        codes : Codes
            Those that this process has found among its own latents, which it counts from 0; tensors.
        """
        starts: Tensor = codes.starts
        counts = torch.stack(self.group.gather(starts.diff()))
        lengths: list[int] = counts.sum(1).tolist()
        parts_of_latents = self.group.gather_of_lengths(codes.latents + self.own.start, lengths)
        parts_of_values = self.group.gather_of_lengths(codes.values, lengths)
        latents, values = (parts[0].new_empty(sum(lengths)) for parts in (parts_of_latents, parts_of_values))
        before = starts_of(counts.sum(0))[:-1] + counts.cumsum(0) - counts  # where those of each process and row go
        numbers = torch.arange(codes.n_rows, device=starts.device)
        for rank, length in enumerate(lengths):
            first = before[rank] - starts_of(counts[rank])[:-1]
            rows = torch.repeat_interleave(numbers, counts[rank], output_size=length)
            places = torch.arange(length, device=starts.device) + first[rows]
            latents[places], values[places] = parts_of_latents[rank], parts_of_values[rank]
        return codes_of(starts_of(counts.sum(0)), latents, values)

    def of_own(self, codes: Codes) -> Codes:
        """Return the positive entries of this process's latents, which it counts from 0, among those of all latents."""
        latents, values = codes.latents, codes.values
        chosen: Tensor = (latents >= self.own.start) & (latents < self.own.stop) & (values > 0)
        starts: Any = starts_of(chosen)[codes.starts]
        return codes_of(starts, latents[chosen] - self.own.start, values[chosen])

    def part_of(self, theta: Any, latents: slice) -> Parameters:
        """Return views of the parameters of some latents, and of those that belong to no latent, in the whole θ."""
        return part_of(self.layout.views(theta), latents)

    def layout_of(self, latents: slice) -> Layout:
        """Return the layout of the parameters of some latents."""
        return replace(self.layout, n_latents=latents.stop - latents.start)


def part_of(parameters: Parameters, latents: slice) -> Parameters:
    """Return views of the parameters of some latents, and of those that belong to no latent."""
    return Parameters(
        parameters.encoder[latents],
        parameters.decoder[latents],
        parameters.encoder_bias[latents],
        parameters.decoder_bias,
        {name: array[latents] for name, array in parameters.of_latents.items()},
        parameters.skip,
    )


@dataclass(frozen=True)
class DeadOfAll(Dead):
    """The dead latents of a dictionary whose latents several processes hold.

    Attributes
    ----------
    counts : list of int
        How many each process holds.
    split : SplitLatents
    """

    counts: list[int]
    split: SplitLatents

    def __len__(self) -> int:
        """See `Dead`."""
        return sum(self.counts)

    @property
    def most(self) -> int:
        """See `Dead`."""
        return max(self.counts)

    def whole(self, sums: Any) -> Any:
        """See `Dead`."""
        return self.split.whole(sums)

    def largest_of_rows(self, a: Any, k: int) -> Tensor:
        """See `Dead`. Each process hands over the k largest of each row that it has, in the order of its latents."""
        (n_rows, n_here), width = a.shape, min(k, self.most)
        columns = torch.full((n_rows, width + 1), n_here, dtype=torch.int64, device=a.device)
        values = torch.full((n_rows, width + 1), -torch.inf, dtype=a.dtype, device=a.device)
        if n_here:
            chosen = plain.largest_of_rows(a, min(k, n_here))
            # What is not chosen goes to a place beside those that are handed over.
            places = torch.where(chosen, torch.cumsum(chosen, 1) - 1, width)
            columns.scatter_(1, places, torch.arange(n_here, device=a.device).expand_as(a))
            values.scatter_(1, places, a)
        each = self.split.group.gather(values[:, :width])
        among = plain.largest_of_rows(torch.cat(each, 1), k)
        rank = self.split.group.rank
        found = torch.zeros((n_rows, n_here + 1), dtype=torch.bool, device=a.device)
        found.scatter_(1, columns[:, :width], among[:, rank * width : (rank + 1) * width])
        return found[:, :-1]
