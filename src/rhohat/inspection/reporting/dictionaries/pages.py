"""Pages beside the page about a dictionary, each with all contexts of some latents."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from rhohat.inspection.reporting.dictionaries.context_data import SHARES, columns_of_windows, passages_of
from rhohat.inspection.reporting.dictionaries.latent_data import LATENTS_PER_PAGE, LatentData
from rhohat.inspection.reporting.dictionaries.measuring import DictionaryMeasurements
from rhohat.inspection.reporting.dictionaries.model_data import found_numbers
from rhohat.inspection.reporting.dictionaries.spread import N_BANDS, N_WEAKEST, PER_BAND
from rhohat.inspection.reporting.dictionaries.windows import Windows
from rhohat.inspection.reporting.page_data import Column, PageData
from rhohat.inspection.reporting.rendering import filled

__all__ = ["pages_of_latents"]

_SCRIPTS = (
    "common.js",
    *(f"dictionaries/{name}.js" for name in ("columns", "latents", "contexts", "examples", "pages")),
)
_MOST_NAMES = 2_000_000  # characters of names of rows on a page


def pages_of_latents(data: LatentData, title: str) -> Iterator[tuple[str, str]]:
    """Yield the names and the texts of the pages with the contexts of all latents, some latents on each page."""
    for prefix, measured, _ in data.sides:
        n_latents = len(measured.n_not_zero)
        ends = np.concatenate([[0], np.cumsum(measured.windows.counts.sum(axis=1))]) if measured.windows else None
        assert ends is not None
        for number, start in enumerate(range(0, n_latents, LATENTS_PER_PAGE)):
            some = slice(start, min(start + LATENTS_PER_PAGE, n_latents))
            found = _data_of(data, measured, some, (int(ends[some.start]), int(ends[some.stop])))
            names = [f"{prefix or 'latents-'}{place:05}.html" for place in (number - 1, number, number + 1)]
            is_last = some.stop == n_latents
            fill = filled(
                "latents.html.j2",
                _SCRIPTS,
                title=title,
                first=some.start,
                last=some.stop - 1,
                model="the second dictionary" if prefix else "",
                previous=names[0] if number else None,
                following=None if is_last else names[2],
            )
            yield names[1], fill(data=found)


def _data_of(data: LatentData, measured: DictionaryMeasurements, some: slice, ends: tuple[int, int]) -> PageData:
    """Return the figures and all contexts of some latents."""
    assert measured.windows is not None
    assert measured.contexts is not None
    examples = measured.examples[some]
    rows = np.unique(examples[examples >= 0])
    windows = Windows(
        measured.windows.counts[some],
        measured.windows.offsets[ends[0] : ends[1]],
        measured.windows.activations[ends[0] : ends[1]],
    )
    largest = measured.activations.largest_activation[some]
    passages = passages_of(rows, measured.contexts, measured.rows, data.shown.source.kept)
    record: dict[str, Any] = {
        "n": len(examples),
        "first": some.start,
        "nRows": len(measured.rows),
        "nTop": measured.top.rows.shape[1],
        "nBands": N_BANDS,
        "perBand": PER_BAND,
        "nWeakest": N_WEAKEST,
        "nSimilar": 0,
        "contexts": {**passages.record, "leftOut": 0},
    }
    n_active = np.rint(measured.activations.activation_frequency[some] * len(measured.rows)).astype(np.uint32)
    columns = {
        "active": Column.of(n_active),
        "mean": Column.of(measured.mean_where_active[some].astype(np.float32)),
        "largest": Column.of(largest.astype(np.float32)),
        **passages.columns,
        **columns_of_windows(windows, examples >= 0, largest),
    }
    scale = np.maximum(measured.top.activations[some, :1], np.finfo(np.float64).tiny)
    for names, part in ((("rows", "shares"), measured.top), (("spreadRows", "spreadShares"), measured.spread)):
        shares = np.rint(part.activations[some] / scale * SHARES).astype(np.uint16)
        columns[names[0]] = Column.of(found_numbers(part.rows[some], data.shown))
        columns[names[1]] = Column.of(shares)
    if data.row_labels is not None:
        labels = data.row_labels.of(rows)
        kept = np.flatnonzero(np.cumsum([len(label) for label in labels]) <= _MOST_NAMES)
        columns["labelled"] = Column.of(found_numbers(rows[kept], data.shown))
        record["labels"] = [labels[place] for place in kept]
    return PageData(record, columns)
