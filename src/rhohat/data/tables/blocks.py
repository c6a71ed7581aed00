"""Blocks of the rows of a table of text, as they are parsed, and what is collected of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.data.tables.cells import is_missing_label
from rhohat.data.tables.coding import Vocabulary

__all__ = ["Block", "Missing", "Parts", "are_missing", "coded"]

#: How rows with missing values are treated: they are refused, left out, or kept with NaN in place of the values; rows
#: without a target are not kept.
Missing = Literal["error", "drop", "keep"]


class Block(NamedTuple):
    """A block of rows: numbers of shape (n_rows, n_columns), and strings, of the targets first and then of columns."""

    numbers: FloatArray
    texts: NDArray[np.object_]


class Parts:
    """Collector of the target strings of blocks, and of the numbers of the rows that are kept."""

    def __init__(self, missing: Missing, n_targets: int) -> None:
        self.n_seen, self._n_targets = 0, n_targets
        self._drops, self.drops_unlabelled = missing == "drop", missing == "keep" and n_targets > 0
        self._texts: list[NDArray[np.object_]] = []
        self._kept: list[NDArray[np.intp]] = []

    def pass_numbers(self, blocks: Iterable[Block]) -> Iterator[FloatArray]:
        """Yield the numbers of blocks without dropped rows, and store the targets and which rows are kept."""
        for numbers, texts in blocks:
            if self._drops or self.drops_unlabelled:
                whole = ~are_missing(texts[:, : self._n_targets] if self.drops_unlabelled else texts).any(axis=1)
                whole &= self.drops_unlabelled | ~np.isnan(numbers).any(axis=1)
                self._kept.append(np.flatnonzero(whole) + self.n_seen)
                self.n_seen += len(numbers)
                numbers, texts = numbers[whole], texts[whole]
            else:
                self.n_seen += len(numbers)
            self._texts.append(texts[:, : self._n_targets])
            yield np.ascontiguousarray(numbers)

    def texts(self) -> NDArray[np.object_]:
        """Return the target strings of all blocks."""
        return np.concatenate(self._texts)

    def kept(self) -> NDArray[np.intp] | None:
        """Return the numbers of the rows that were kept; None if rows are never dropped."""
        return np.concatenate(self._kept) if self._kept else None


def coded(block: Block, vocabularies: Mapping[int, Vocabulary], n_columns: int, n_targets: int) -> Block:
    """Return a block with the codes of its texts at their places among its numbers, and with its targets."""
    numbers = np.empty((len(block.numbers), n_columns))
    numbers[:, [place for place in range(n_columns) if place not in vocabularies]] = block.numbers
    for column, (place, vocabulary) in enumerate(vocabularies.items(), n_targets):
        numbers[:, place] = vocabulary.encode(block.texts[:, column], len(numbers))
    return Block(numbers, block.texts[:, :n_targets])


def are_missing(texts: NDArray[np.object_]) -> NDArray[np.bool_]:
    """Return whether each text stands for a missing one."""
    return np.array([is_missing_label(text) for text in texts.flat], bool).reshape(texts.shape)
