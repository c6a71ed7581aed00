"""What windows of texts give: the rows of layers at their tokens, without padding, added tokens and outliers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.common.exceptions import SettingError
from rhohat.common.extras import import_extra
from rhohat.common.words import Sentence, Setting
from rhohat.modules.activations import as_array
from rhohat.modules.harvest_writer import Harvested
from rhohat.modules.language_models import LanguageModel
from rhohat.modules.passes import LayerPasses
from rhohat.modules.positions import by_sample, rows_at
from rhohat.modules.windows import Window, batch_of

if TYPE_CHECKING:
    import torch

__all__ = ["WindowRows", "norms_of"]

_BATCHES_TOGETHER = 8  # whose windows are sorted by length, so that batches need little padding
_BYTES_TOGETHER = 2**26  # of the rows of these batches, which limits their number


class WindowRows:
    """Rows of windows, computed batch by batch, in which windows of similar lengths stand together.

    Parameters
    ----------
    model : LanguageModel
    passes : LayerPasses
        Passes of its module.
    positions : {"all", "last", "mean"}
    special_tokens : bool
        Whether tokens that the tokenizer has added become rows.
    dtype : {"float16", "float32"}
        The dtype of the rows.
    batch_size : int
        Largest number of windows in a batch.
    """

    def __init__(
        self,
        model: LanguageModel,
        passes: LayerPasses,
        *,
        positions: str,
        special_tokens: bool,
        dtype: str,
        batch_size: int,
    ) -> None:
        self._model, self._passes, self._positions = model, passes, positions
        self._special_tokens, self._dtype, self._batch_size = special_tokens, np.dtype(dtype), batch_size

    def widths(self, window: Window) -> dict[str, int]:
        """Return the number of columns of the rows of each layer, which a window shows."""
        _, tensors = self._passes(self._model.inputs(batch_of([window], self._model.padding)))
        return {name: tensor.shape[-1] for name, tensor in tensors.items()}

    def some(
        self, windows: Iterator[Window], n_wanted: int, context: int, width: int, note: Callable[[int], None]
    ) -> list[tuple[Window, list[int], dict[str, FloatArray]]]:
        """Take some windows, and return what each gave, in float32 and with outliers.

        Parameters
        ----------
        windows : iterator of Window
            Windows are taken from it: at most a few batches, and hardly more than are needed.
        n_wanted : int
            Number of rows that are wanted.
        context : int
            Largest number of tokens in a window.
        width : int
            Number of columns of all layers together.
        note : callable
            Called after each batch with the number of rows of all batches so far.

        Returns
        -------
        list of (window, positions, rows)
            In the order of the windows.
        """
        n_batches = int(np.clip(_BYTES_TOGETHER // (4 * width * context * self._batch_size), 1, _BATCHES_TOGETHER))
        each = context if self._positions == "all" else 1
        n_windows = int(np.clip(-(-n_wanted // each), self._batch_size, n_batches * self._batch_size))
        taken = list(islice(windows, n_windows))
        order = sorted(range(len(taken)), key=lambda number: len(taken[number]), reverse=True)
        found: dict[int, tuple[Window, list[int], dict[str, FloatArray]]] = {}
        for start in range(0, len(order), self._batch_size):
            numbers = order[start : start + self._batch_size]
            batch = self._of_batch([taken[number] for number in numbers])
            found.update(zip(numbers, batch, strict=True))
            note(sum(len(positions) for _, positions, _ in found.values()))
        return [found[number] for number in range(len(taken))]

    def finished(
        self,
        window: Window,
        positions: list[int],
        rows: dict[str, FloatArray],
        outliers: float | None,
        medians: dict[str, float] | None,
    ) -> Harvested:
        """Return what a window gave, without outliers, in the dtype in which it is stored.

        Raises
        ------
        ValueError
            If an activation is not finite, or too large for the dtype.
        """
        kept = np.ones(len(positions), bool)
        if outliers is not None and medians is not None:
            for name, some in rows.items():
                kept &= norms_of(some) <= outliers * medians[name]
        stored = {name: self._stored(some[kept], name, window) for name, some in rows.items()}
        places = [position for position, keep in zip(positions, kept.tolist(), strict=True) if keep]
        return Harvested(window, places, stored, int(len(kept) - kept.sum()))

    def _of_batch(self, windows: Sequence[Window]) -> list[tuple[Window, list[int], dict[str, FloatArray]]]:
        torch = import_extra("torch", "torch")
        batch = batch_of(list(windows), self._model.padding)
        mask = batch["attention_mask"] != 0
        if not self._special_tokens:
            for number, window in enumerate(windows):
                mask[number, : len(window)] &= ~torch.tensor(window.special)
        given, tensors = self._passes(self._model.inputs(batch))
        positions = [self._places(np.flatnonzero(one)) for one in mask.numpy()]
        edges = np.cumsum([0, *map(len, positions)])
        rows = {}
        for name, tensor in tensors.items():
            fitted = self._fitted(by_sample(tensor, given), mask, name)
            rows[name] = as_array(rows_at(fitted[0], fitted[1], self._positions), np.dtype(np.float32))
        return [
            (window, positions[number], {name: some[edges[number] : edges[number + 1]] for name, some in rows.items()})
            for number, window in enumerate(windows)
        ]

    def _places(self, places: NDArray[np.intp]) -> list[int]:
        """Return the positions of the rows of a window, of which these places may have rows."""
        if not len(places) or self._positions == "all":
            return places.tolist()
        return [int(places[-1])] if self._positions == "last" else [-1]

    def _fitted(self, tensor: torch.Tensor, mask: torch.Tensor, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the activations of a layer, and which of its positions may become rows."""
        if tuple(tensor.shape[:2]) == tuple(mask.shape):
            return tensor, mask.to(tensor.device)
        if tuple(tensor.shape[:2]) != (len(mask), 1):
            raise ValueError(
                f"the layer {name!r} has activations of the shape {tuple(tensor.shape)}, which are not those of"
                f" {mask.shape[0]} texts with {mask.shape[1]} tokens each; choose another layer."
            )
        if self._positions != "mean":
            start = f"the layer {name!r} has one row for each text and not for each token; pass "
            raise SettingError(Sentence(start, Setting("positions", "mean"), " to harvest it."))
        return tensor, mask.any(dim=1, keepdim=True).to(tensor.device)

    def _stored(self, rows: FloatArray, name: str, window: Window) -> NDArray[Any]:
        with np.errstate(over="ignore"):
            stored = rows.astype(self._dtype)
        if np.isfinite(stored).all():
            return stored
        if not np.isfinite(rows).all():
            raise ValueError(f"the layer {name!r} has activations that are not finite, in a text of {window.name}.")
        raise ValueError(
            Sentence(
                f"the layer {name!r} has an activation of {np.abs(rows).max():.6g}, which float16 cannot hold; pass ",
                Setting("dtype", "float32"),
                ", or leave such rows out with ",
                Setting("outliers", 10),
                ".",
            )
        )


def norms_of(rows: FloatArray) -> FloatArray:
    """Return the Euclidean norm of each row."""
    norms: FloatArray = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    return norms
