"""Codes of a batch that several devices find together: each encodes some of the rows, and all get the codes of all.

Everything after that is computed on every device from the same codes, so that all take the same steps. Codes are far
smaller than a gradient: k numbers for each row, and not one for each parameter.
"""

from __future__ import annotations

from typing import Any

import torch

from rhohat.engines.group import Group
from rhohat.ops.code_ops import Codes
from rhohat.ops.torch_code_numbers import codes_of

__all__ = ["codes_of_all", "own_rows"]

Tensor = Any


def own_rows(group: Group, n_rows: int) -> slice:
    """Return the rows of a batch that a process encodes."""
    return _rows_of(group.rank, group.size, n_rows)


def codes_of_all(codes: Codes, group: Group, n_rows: int) -> Codes:
    """Return the codes of all rows of a batch, of which a process has those of its own.

    Parameters
    ----------
    codes : Codes
        Of the rows that `own_rows` returns; tensors.
    group : Group
    n_rows : int
        Number of rows of the batch.
    """
    starts: Tensor = codes.starts
    n_entries = [int(number) for number in group.gather(starts[-1:].to(torch.int64))]
    each = [_rows_of(rank, group.size, n_rows) for rank in range(group.size)]
    counts = torch.cat(group.gather_of_lengths(starts.diff(), [rows.stop - rows.start for rows in each]))
    ends = torch.zeros(n_rows + 1, dtype=starts.dtype, device=starts.device)
    torch.cumsum(counts, 0, out=ends[1:])
    latents, values = (torch.cat(group.gather_of_lengths(array, n_entries)) for array in (codes.latents, codes.values))
    return codes_of(ends, latents, values)


def _rows_of(rank: int, size: int, n_rows: int) -> slice:
    return slice(n_rows * rank // size, n_rows * (rank + 1) // size)
