"""Data from which the script of the page shows latents: columns of numbers, contexts, and pictures and names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhohat.common.image_shapes import image_size
from rhohat.inspection.reporting.dictionaries.comparing import Comparison
from rhohat.inspection.reporting.dictionaries.context_data import (
    columns_of_windows,
    passages_of,
    size_of_windows,
)
from rhohat.inspection.reporting.dictionaries.measuring import DictionaryMeasurements, Latents
from rhohat.inspection.reporting.dictionaries.model_data import NO_ROW, found_numbers, model_data
from rhohat.inspection.reporting.dictionaries.row_pictures import SIDE, RowPictures
from rhohat.inspection.reporting.dictionaries.spread import N_BANDS, N_WEAKEST, PER_BAND
from rhohat.inspection.reporting.drawing import Pixels, in_sheets, pixels_about_0
from rhohat.inspection.reporting.page_data import Column, PageData
from rhohat.inspection.reporting.row_labels import RowLabels
from rhohat.inspection.reporting.shown_rows import ShownRows

__all__ = ["LATENTS_PER_PAGE", "NO_ROW", "LatentData"]

LATENTS_PER_PAGE = 128  # of a page beside the first one

_OTHER = "other-"  # the names of the columns about a second dictionary begin with this
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
    comparison : Comparison, default=None
        A second dictionary on the same rows.
    is_in_folder : bool, default=False
        Whether there may be further pages, for contexts that have no room.
    pictures : RowPictures, default=None
        Image files that rows come from, which are shown where rows are no images themselves.
    """

    measured: DictionaryMeasurements
    latents: Latents
    shown: ShownRows
    row_labels: RowLabels | None
    comparison: Comparison | None = None
    is_in_folder: bool = False
    pictures: RowPictures | None = None

    def page_data(self, most_bytes: int) -> PageData:
        """Return the data of the page.

        Parameters
        ----------
        most_bytes : int
            Largest size of the data, for which pictures and names of rows are left out. Of the rows, those come first
            that activate a latent most, and among these, the rows of latents that are active most often.
        """
        data = model_data(self.measured, self.latents, self.shown)
        if self.comparison is not None:
            other = model_data(self.comparison.measured, self.comparison.latents, self.shown)
            data.record["other"] = other.record
            data.columns.update(self.comparison.counterparts.columns())
            columns = {**other.columns, **self.comparison.counterparts_of_second.columns()}
            data.columns.update({f"{_OTHER}{name}": column for name, column in columns.items()})
        if self.measured.windows is not None:
            self._add_contexts(data, most_bytes - data.size)
            known = data.record["contexts"]
            if self.is_in_folder and (known is None or known["leftOut"] > 0):
                data.record["pages"] = {"perPage": LATENTS_PER_PAGE}
        if self.row_labels is not None:
            share = 1.0 if self.shown.image_shape is None and self.pictures is None else 0.4
            self._add_labels(data, int(share * (most_bytes - data.size)))
        left = most_bytes - data.size - _BYTES_OF_NAMES
        shape, pictures = self.shown.image_shape, self.pictures
        if shape is not None:
            data.record["image"] = dict(zip(("height", "width"), image_size(shape), strict=True))
            before = data.size
            self._add_directions(data, shape, left)
            self._add_pictures(data, lambda rows: self.shown.pixels_of(rows, shape), left - (data.size - before))
        elif pictures is not None:
            data.record["image"] = {"height": SIDE, "width": SIDE}
            self._add_pictures(data, pictures.pixels_of, left)
        return data

    @property
    def sides(self) -> list[tuple[str, DictionaryMeasurements, Latents]]:
        """What the names of the columns about each dictionary begin with, and what is known of the dictionary."""
        first = ("", self.measured, self.latents)
        return [first] if (other := self.comparison) is None else [first, (_OTHER, other.measured, other.latents)]

    def _by_importance(self) -> NDArray[np.intp]:
        """Return the rows shown of all latents, each once: first those that activate a latent most."""
        of_sides = []
        for _, measured, _ in self.sides:
            often = np.argsort(-measured.activations.activation_frequency, kind="stable")
            of_sides.append(measured.examples[often].T)
        ranked = np.concatenate(of_sides, axis=1).ravel()
        ranked = ranked[ranked >= 0]
        _, first = np.unique(ranked, return_index=True)
        found: NDArray[np.intp] = ranked[np.sort(first)]
        return found

    def _add_contexts(self, data: PageData, most_bytes: int) -> None:
        """Add the contexts of as many rows of each latent as there is room for, the most telling ones first.

        The record has the number of the contexts of a latent that are left out.
        """
        data.record["contexts"] = None
        order = _by_priority(self.measured.top.rows.shape[1])
        for n_each in (*range(len(order), 2, -2), 2, 1):
            found = self._contexts(order[:n_each], most_bytes)
            if found is not None:
                data.record["contexts"] = {**found.record, "leftOut": len(order) - n_each}
                data.columns.update(found.columns)
                return

    def _contexts(self, places: list[int], most_bytes: int) -> PageData | None:
        """Return the contexts of some of the examples of each latent; None if they take too much room."""
        size, rows, columns = 0, [], {}
        for prefix, measured, _ in self.sides:
            assert measured.windows is not None
            keep = np.zeros(measured.windows.counts.shape, np.bool_)
            keep[:, places] = measured.examples[:, places] >= 0
            size += size_of_windows(measured.windows, keep)
            if size > most_bytes:
                return None
            rows.append(measured.examples[keep])
            found = columns_of_windows(measured.windows, keep, measured.activations.largest_activation)
            columns.update({f"{prefix}{name}": column for name, column in found.items()})
        assert self.measured.contexts is not None
        shown = np.unique(np.concatenate(rows))
        passages = passages_of(shown, self.measured.contexts, self.measured.rows, self.shown.source.kept)
        if size + passages.size > most_bytes:
            return None
        return PageData(passages.record, {**passages.columns, **columns})

    def _add_labels(self, data: PageData, most_bytes: int) -> None:
        """Add the names of as many top rows as there is room for."""
        assert self.row_labels is not None
        rows = self._by_importance()
        labels = self.row_labels.of(rows)
        sizes = np.array([len(PageData({"": label}).as_json()) + _BYTES_OF_NUMBER for label in labels])
        chosen = np.flatnonzero(np.cumsum(sizes) <= most_bytes)
        chosen = chosen[np.argsort(rows[chosen])]
        data.columns["labelled"] = Column.of(found_numbers(rows[chosen], self.shown))
        data.record["labels"] = [labels[place] for place in chosen]

    def _add_directions(self, data: PageData, shape: tuple[int, ...], most_bytes: int) -> None:
        """Add pictures of the directions of latents."""
        for prefix, measured, latents in self.sides:
            record = data.record["other"] if prefix else data.record
            found = _directions(measured, latents, shape, most_bytes // len(self.sides))
            record.update(found.record)
            data.columns.update({f"{prefix}{name}": column for name, column in found.columns.items()})

    def _add_pictures(self, data: PageData, pixels_of: Callable[[NDArray[np.intp]], Pixels], most_bytes: int) -> None:
        """Add pictures of the rows that are shown, as many as there is room for."""
        rows = self._by_importance()
        sample = np.sort(rows[:: -(-len(rows) // _SAMPLE)]) if len(rows) else rows
        if len(sample) == 0:
            return
        each = 4 * in_sheets(pixels_of(sample)).n_bytes / 3 / len(sample)
        rows = np.sort(rows[: max(0, int(0.95 * most_bytes / (each + _BYTES_OF_NUMBER)))])
        if len(rows):
            data.record["pictures"] = in_sheets(pixels_of(rows)).as_record()
            data.columns["pictured"] = Column.of(found_numbers(rows, self.shown))


def _directions(
    measured: DictionaryMeasurements, latents: Latents, shape: tuple[int, ...], most_bytes: int
) -> PageData:
    """Return pictures of the directions of all latents or, if these are too large, of those active most often."""
    data = PageData({})
    pixels = pixels_about_0(latents.directions, shape)
    sheets = in_sheets(pixels)
    if 4 * sheets.n_bytes / 3 > most_bytes / 2:
        pixels = _coarse(pixels)
        sheets = in_sheets(pixels)
    share = 0.75 * most_bytes / (4 * sheets.n_bytes / 3)
    if share < 1:
        often = np.argsort(-measured.activations.activation_frequency, kind="stable")
        chosen = np.sort(often[: int(share * len(often))])
        data.columns["drawn"] = Column.of(chosen.astype(np.uint32))
        if len(chosen) == 0:
            return data
        sheets = in_sheets(pixels[chosen])
    data.record["directions"] = sheets.as_record()
    return data


def _by_priority(n_top: int) -> list[int]:
    """Return the places of the examples of a latent, the most telling first: top rows, a weak one, the quarters."""
    first_of_bands = [n_top + band * PER_BAND for band in range(N_BANDS)]
    weakest = n_top + N_BANDS * PER_BAND
    order = [0, 1, 2, weakest, *first_of_bands, *range(3, n_top // 2)]
    return order + [place for place in range(weakest + N_WEAKEST) if place not in order]


def _coarse(pixels: Pixels) -> Pixels:
    """Return pictures with few shades, which take less room."""
    step = 255 / (_LEVELS - 1)
    coarse: Pixels = np.rint(np.rint(pixels / step) * step).astype(np.uint8)
    return coarse
