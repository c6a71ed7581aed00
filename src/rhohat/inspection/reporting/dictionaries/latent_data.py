"""Data from which the script of the page shows latents: columns of numbers, and pictures and names of some rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.image_shapes import image_size
from rhohat.inspection.reporting.dictionaries.context_data import (
    SHARES,
    Passages,
    columns_of_windows,
    passages_of,
    size_of_windows,
)
from rhohat.inspection.reporting.dictionaries.measuring import DictionaryMeasurements, Latents
from rhohat.inspection.reporting.dictionaries.spread import N_BANDS, N_WEAKEST, PER_BAND
from rhohat.inspection.reporting.drawing import Pixels, in_sheets, pixels_about_0
from rhohat.inspection.reporting.page_data import Column, PageData
from rhohat.inspection.reporting.rounding import show
from rhohat.inspection.reporting.row_labels import RowLabels
from rhohat.inspection.reporting.shown_rows import ShownRows

__all__ = ["NO_ROW", "LatentData"]

NO_ROW = 2**32 - 1  # in place of a row number where a latent is active on few rows
_N_FEATURES = 8  # features of a direction that are shown where features have names
_LEVELS = 16  # shades of grey in pictures where those of all latents would take too much room
_BYTES_OF_NUMBER = 6  # of a row, as text
_BYTES_OF_NAMES = 500  # in the record, beside the files of pictures themselves
_SAMPLE = 512  # rows by whose pictures the size of all is estimated


@dataclass(frozen=True)
class LatentData:
    """The data about latents that the script of the page reads.

    Attributes
    ----------
    measured : DictionaryMeasurements
        Statistics of the measured rows.
    latents : Latents
        Descriptions of the latents.
    shown : ShownRows
        The measured rows, some of which the page shows.
    row_labels : RowLabels or None
        Names of the rows.
    """

    measured: DictionaryMeasurements
    latents: Latents
    shown: ShownRows
    row_labels: RowLabels | None

    def page_data(self, most_bytes: int) -> PageData:
        """Return the data of the page.

        Parameters
        ----------
        most_bytes : int
            Largest size of the data, for which pictures and names of rows are left out. Of the rows, those come first
            that activate a latent most, and among these, the rows of latents that are active most often.
        """
        statistics, top = self.measured.activations, self.measured.top
        record: dict[str, Any] = {
            "n": len(self.latents.directions),
            "nRows": len(self.measured.rows),
            "nTop": top.rows.shape[1],
            "nBands": N_BANDS,
            "perBand": PER_BAND,
            "nWeakest": N_WEAKEST,
            "nSimilar": self.latents.similar.shape[1],
            "threshold": show(statistics.threshold),
            "geometry": self.latents.geometry.record(),
        }
        columns = {**self._measures(), **self._top(), **self._similar(), **self._features(record)}
        columns |= self.latents.geometry.columns()
        data = PageData(record, columns)
        if self.measured.windows is not None:
            self._add_contexts(data, most_bytes - data.size)
        if self.row_labels is not None:
            share = 1.0 if self.shown.image_shape is None else 0.4
            self._add_labels(data, int(share * (most_bytes - data.size)))
        if self.shown.image_shape is not None:
            self._add_pictures(data, self.shown.image_shape, most_bytes - data.size - _BYTES_OF_NAMES)
        return data

    def _measures(self) -> dict[str, Column]:
        statistics = self.measured.activations
        n_active = np.rint(statistics.activation_frequency * len(self.measured.rows)).astype(np.uint32)
        return {
            "active": Column.of(n_active),
            "mean": Column.of(self.measured.mean_where_active.astype(np.float32)),
            "largest": Column.of(statistics.largest_activation.astype(np.float32)),
            "encoder": Column.of(_as_integers(self.latents.encoder_cosines)),
        }

    def _top(self) -> dict[str, Column]:
        """Return the numbers of the top rows and of the spread, and their activations as shares of the largest."""
        largest = np.maximum(self.measured.top.activations[:, :1], np.finfo(np.float64).tiny)
        columns: dict[str, Column] = {}
        for name, part in (("", self.measured.top), ("spread", self.measured.spread)):
            shares = np.rint(part.activations / largest * SHARES).astype(np.uint16)
            columns |= {
                _named(name, "rows"): Column.of(self._found(part.rows)),
                _named(name, "shares"): Column.of(shares),
            }
        return columns

    def _similar(self) -> dict[str, Column]:
        similar = self.latents.similar.astype(np.uint16 if len(self.latents.directions) <= 2**16 else np.uint32)
        return {"similar": Column.of(similar), "cosines": Column.of(_as_integers(self.latents.cosines))}

    def _features(self, record: dict[str, Any]) -> dict[str, Column]:
        """Return the strongest features of each direction if features have names, and add the names to the record."""
        if self.shown.names is None or self.shown.image_shape is not None:
            return {}
        directions, n_features = self.latents.directions, min(_N_FEATURES, len(self.shown.names))
        strongest = np.argsort(-np.abs(directions), axis=1, kind="stable")[:, :n_features]
        record |= {"features": list(self.shown.names), "nFeatures": n_features}
        weights = np.take_along_axis(directions, strongest, axis=1).astype(np.float32)
        return {"features": Column.of(strongest.astype(np.uint32)), "weights": Column.of(weights)}

    def _found(self, rows: NDArray[np.intp]) -> NDArray[np.uint32]:
        """Return the numbers that rows had in the data before some rows were left out."""
        kept = self.shown.source.kept
        numbers = rows if kept is None else kept[rows]
        return np.where(rows < 0, NO_ROW, numbers).astype(np.uint32)

    def _by_importance(self) -> NDArray[np.intp]:
        """Return the rows shown of all latents, each once: first those that activate a latent most."""
        often = np.argsort(-self.measured.activations.activation_frequency, kind="stable")
        ranked = self.measured.examples[often].T.ravel()
        ranked = ranked[ranked >= 0]
        _, first = np.unique(ranked, return_index=True)
        found: NDArray[np.intp] = ranked[np.sort(first)]
        return found

    def _add_contexts(self, data: PageData, most_bytes: int) -> None:
        """Add the contexts of as many rows of each latent as there is room for, the most telling ones first.

        The record has the number of the contexts of a latent that are left out.
        """
        windows = self.measured.windows
        assert windows is not None
        data.record["contexts"] = None
        order = _by_priority(self.measured.top.rows.shape[1])
        for n_each in (*range(len(order), 2, -2), 2, 1):
            keep = np.zeros(windows.counts.shape, np.bool_)
            keep[:, order[:n_each]] = self.measured.examples[:, order[:n_each]] >= 0
            size = size_of_windows(windows, keep)
            if size > most_bytes:
                continue
            passages = self._passages(keep)
            if size + passages.size <= most_bytes:
                data.record["contexts"] = {**passages.record, "leftOut": len(order) - n_each}
                largest = self.measured.activations.largest_activation
                data.columns.update({**passages.columns, **columns_of_windows(windows, keep, largest)})
                return

    def _passages(self, keep: NDArray[np.bool_]) -> Passages:
        """Return the passages around the examples that are to be shown."""
        assert self.measured.contexts is not None
        rows = np.unique(self.measured.examples[keep])
        return passages_of(rows, self.measured.contexts, self.measured.rows, self.shown.source.kept)

    def _add_labels(self, data: PageData, most_bytes: int) -> None:
        """Add the names of as many top rows as there is room for."""
        assert self.row_labels is not None
        rows = self._by_importance()
        labels = self.row_labels.of(rows)
        sizes = np.array([len(PageData({"": label}).as_json()) + _BYTES_OF_NUMBER for label in labels])
        chosen = np.flatnonzero(np.cumsum(sizes) <= most_bytes)
        chosen = chosen[np.argsort(rows[chosen])]
        data.columns["labelled"] = Column.of(self._found(rows[chosen]))
        data.record["labels"] = [labels[place] for place in chosen]

    def _add_pictures(self, data: PageData, shape: tuple[int, ...], most_bytes: int) -> None:
        """Add pictures of directions and of top rows, as many as there is room for."""
        data.record["image"] = dict(zip(("height", "width"), image_size(shape), strict=True))
        before = data.size
        self._add_directions(data, shape, most_bytes)
        left = most_bytes - (data.size - before)
        rows = self._by_importance()
        sample = np.sort(rows[:: -(-len(rows) // _SAMPLE)]) if len(rows) else rows
        if len(sample) == 0:
            return
        each = 4 * in_sheets(self.shown.pixels_of(sample, shape)).n_bytes / 3 / len(sample)
        rows = np.sort(rows[: max(0, int(0.95 * left / (each + _BYTES_OF_NUMBER)))])
        if len(rows):
            data.record["pictures"] = in_sheets(self.shown.pixels_of(rows, shape)).as_record()
            data.columns["pictured"] = Column.of(self._found(rows))

    def _add_directions(self, data: PageData, shape: tuple[int, ...], most_bytes: int) -> None:
        """Add pictures of the directions of all latents or, if these are too large, of those active most often."""
        pixels = pixels_about_0(self.latents.directions, shape)
        sheets = in_sheets(pixels)
        if 4 * sheets.n_bytes / 3 > most_bytes / 2:
            pixels = _coarse(pixels)
            sheets = in_sheets(pixels)
        share = 0.75 * most_bytes / (4 * sheets.n_bytes / 3)
        if share < 1:
            often = np.argsort(-self.measured.activations.activation_frequency, kind="stable")
            chosen = np.sort(often[: int(share * len(often))])
            data.columns["drawn"] = Column.of(chosen.astype(np.uint32))
            if len(chosen) == 0:
                return
            sheets = in_sheets(pixels[chosen])
        data.record["directions"] = sheets.as_record()


def _by_priority(n_top: int) -> list[int]:
    """Return the places of the examples of a latent, the most telling first: top rows, a weak one, the quarters."""
    first_of_bands = [n_top + band * PER_BAND for band in range(N_BANDS)]
    weakest = n_top + N_BANDS * PER_BAND
    order = [0, 1, 2, weakest, *first_of_bands, *range(3, n_top // 2)]
    return order + [place for place in range(weakest + N_WEAKEST) if place not in order]


def _named(prefix: str, name: str) -> str:
    """Return the name of a column that belongs to a part of the examples."""
    return f"{prefix}{name.title()}" if prefix else name


def _as_integers(cosines: NDArray[Any]) -> NDArray[np.int16]:
    """Return cosines in 32,767 parts."""
    return np.rint(32767 * cosines).astype(np.int16)


def _coarse(pixels: Pixels) -> Pixels:
    """Return pictures with few shades, which take less room."""
    step = 255 / (_LEVELS - 1)
    coarse: Pixels = np.rint(np.rint(pixels / step) * step).astype(np.uint8)
    return coarse
