"""The content of the page about a dictionary: texts, figures, curves and histograms, and data about its latents."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.common.forks import cached
from rhohat.common.words import counted
from rhohat.estimators.dictionary_messages import ending_of
from rhohat.inspection.dictionary_evaluation import evaluation_of
from rhohat.inspection.evaluated import DictionaryEvaluation
from rhohat.inspection.reporting.charts import draw_curves
from rhohat.inspection.reporting.dictionaries.classes import MeasuredClasses
from rhohat.inspection.reporting.dictionaries.comparing import Comparison
from rhohat.inspection.reporting.dictionaries.figures import figures_of_dictionary
from rhohat.inspection.reporting.dictionaries.histograms import Histogram, histogram_of_densities, histogram_of_l0
from rhohat.inspection.reporting.dictionaries.latent_data import LatentData
from rhohat.inspection.reporting.dictionaries.measuring import DictionaryMeasurements, Latents
from rhohat.inspection.reporting.dictionaries.pages import pages_of_latents
from rhohat.inspection.reporting.dictionaries.row_pictures import RowPictures
from rhohat.inspection.reporting.facts import Fit
from rhohat.inspection.reporting.figures import Figure, about_last
from rhohat.inspection.reporting.page_content import MOST_CURVE_ROWS, PageContent
from rhohat.inspection.reporting.page_data import PageData
from rhohat.inspection.reporting.rounding import show

__all__ = ["DictionaryContent"]

#: Measures that are recorded in a training: their names in the record, on the page, and a sentence about each.
_MEASURES = {
    "fvu": (
        "FVU",
        "Fraction of the variance of the rows that was not explained, while the dictionary was trained: a mean over up"
        " to 50 updates.",
    ),
    "l0": ("L0", "Number of active latents of a row, averaged over rows and up to 50 updates."),
    "dead": ("Dead latents", "Number of latents that had not been active for {dead_after} (dead_after)."),
}
_DEFAULT_DEAD_AFTER = "a tenth of the rows that the fit was to see, at least 1,000 and at most 200,000"


@dataclass(frozen=True)
class Curve:
    """A chart over the rows seen: its name, a sentence about it, the SVG, and the legend.

    The SVG is empty for a figure that never changed.
    """

    name: str
    meaning: str
    svg: str
    legend: list[tuple[str, float]]


@dataclass(frozen=True, kw_only=True)
class DictionaryContent(PageContent):
    """The complete content of the page about a dictionary, as the template reads it.

    Attributes
    ----------
    measured : DictionaryMeasurements
        Statistics of the measured rows.
    latents : Latents
        Descriptions of the latents.
    comparison : Comparison, default=None
        A second dictionary on the same rows.
    pictures : RowPictures, default=None
        Image files that the rows come from.
    """

    noun_of_model: ClassVar[str] = "dictionary"
    scripts: ClassVar[tuple[str, ...]] = (
        "common.js",
        *(
            f"dictionaries/{name}.js"
            for name in ("columns", "latents", "contexts", "examples", "map", "table", "dialog", "classes")
        ),
    )
    usual_ends: ClassVar[tuple[str, ...]] = ("max_iter", "stopped", "given")
    most_bytes: ClassVar[int] = 14_500_000

    measured: DictionaryMeasurements
    latents: Latents
    comparison: Comparison | None = None
    pictures: RowPictures | None = None

    @property
    def rows(self) -> NDArray[np.intp]:
        """Numbers of the rows that were measured, ascending."""
        return self.measured.rows

    @property
    def n_latents(self) -> int:
        """Number of latents."""
        return len(self.latents.directions)

    @property
    def architecture(self) -> tuple[str, str]:
        """What the architecture of the model is called, and its description, as texts."""
        described = self.estimator.describe()
        own = described["thresholds"]
        thresholds = "" if own is None else f"; thresholds {show(own[0])} to {show(own[2])}, median {show(own[1])}"
        return "Dictionary", (
            f"{counted(self.n_latents, 'latent')} of {counted(self.n_features, 'feature')}, {described['selection']}"
            f"{thresholds}"
        )

    @property
    def trained_on(self) -> str:
        """Number and origin of the rows that were seen in the fit, as text; a row counts as often as it was seen.

        The origin is left out where the card says it.
        """
        name = None if self.card_says_rows else self.estimator.data_name_
        rows = f"{counted(self.estimator.n_samples_fit_, 'row')} seen in all passes"
        return rows if name is None else f"{rows}, of {name}"

    def amount(self, fit: Fit) -> str:
        """Return how much was done in the fit, as text."""
        return ending_of(self.estimator)

    def status(self, fit: Fit) -> str:
        """Return why the fit ended, as text, which `amount` follows."""
        return "ended" if fit.status == "max_iter" else super().status(fit)

    @cached
    def evaluated(self) -> DictionaryEvaluation:
        """Evaluation of the dictionary on the measured rows."""
        measured = self.measured
        return evaluation_of(
            self.estimator, measured.activations, measured.reconstructions, self.latents.nearest_cosines
        )

    @cached
    def figures(self) -> list[Figure]:
        """Figures that summarize the dictionary."""
        return figures_of_dictionary(self.evaluated, getattr(self.estimator, "target_l0", None))

    @property
    def classes(self) -> MeasuredClasses | None:
        """What is known of the classes of the rows; None if they have no labels."""
        return self.measured.classes

    @property
    def has_contexts(self) -> bool:
        """Whether the texts are known that rows come from."""
        return self.measured.contexts is not None

    @property
    def about_map(self) -> str:
        """How the map of the directions was made, as a sentence."""
        if self.latents.geometry.method == "umap":
            return (
                "The map is made by UMAP, which keeps latents together whose directions are similar; distances between"
                " groups say little."
            )
        return (
            "The map shows the first two principal components of the directions, so that most of what tells them apart"
            " is not seen on it."
        )

    @property
    def about_last(self) -> str:
        """Sentence on dead latents, which come last; empty if there are none."""
        return about_last(self.evaluated.density_histogram.n_dead, 0, self.n_latents, "latent")

    @property
    def all_remarks(self) -> list[str]:
        """Remarks for the top of the page."""
        return list(self.remarks)

    @cached
    def rows_seen(self) -> FloatArray:
        """Number of rows seen after each block of updates in the fit, of shape (n_blocks,)."""
        return np.array(self.estimator.measures_curve_.get("rows", []), np.float64)

    @cached
    def curves(self) -> list[Curve]:
        """Charts over the rows seen in the fit: of J and its terms, and of each measure; none without a record."""
        fit = self.records[0]
        terms = {name: values for name, values in fit.curves.items() if len(values) == len(self.rows_seen)}
        if len(self.rows_seen) == 0 or "J" not in terms:
            return []
        found = [self._curve("J and its terms", "The fit minimises J, which is the sum of its terms.", terms)]
        dead_after = self.estimator.dead_after
        dead_after = _DEFAULT_DEAD_AFTER if dead_after is None else counted(dead_after, "row")
        for key, (name, meaning) in _MEASURES.items():
            values = self.estimator.measures_curve_.get(key, [])
            if np.isfinite(values).any():
                found.append(self._curve(name, meaning.format(dead_after=dead_after), {name: values}))
        return found

    def _curve(self, name: str, meaning: str, lines: dict[str, list[float]]) -> Curve:
        first = next(iter(lines.values()))
        if len(lines) == 1 and len(set(first)) == 1:  # a chart of a constant says less than a sentence
            return Curve(name, meaning, "", [(name, first[-1])])
        svg = draw_curves(
            f"curve-{name.split()[0].lower()}",
            lines,
            places=self.rows_seen,
            across="rows seen",
            up="cost" if len(lines) > 1 else name,
            from_zero=len(lines) == 1,
            title=f"{name} over the rows seen",
            description=f"{next(iter(lines))} goes from {show(first[0])} to {show(first[-1])} over"
            f" {counted(int(self.rows_seen[-1]), 'row')}. The table below has the numbers.",
        )
        return Curve(name, meaning, svg, [(label, values[-1]) for label, values in lines.items()])

    @cached
    def table_of_curves(self) -> list[list[float]]:
        """Rows seen, J, FVU, L0 and dead latents, after some of the blocks of updates in the fit."""
        measures = [self.estimator.measures_curve_.get(key, []) for key in _MEASURES]
        length = len(self.rows_seen)
        shown = np.unique(np.linspace(0, length - 1, min(length, MOST_CURVE_ROWS)).round().astype(int))
        columns = [self.rows_seen, self.estimator.loss_curve_, *measures]
        return [[float(column[place]) for column in columns] for place in shown]

    @cached
    def densities(self) -> Histogram:
        """Histogram of the densities of the latents."""
        return histogram_of_densities(self.evaluated.activation_frequency, self.n_rows)

    @cached
    def l0_of_rows(self) -> Histogram:
        """Histogram of the number of active latents of a row."""
        return histogram_of_l0(self.evaluated.l0_histogram)

    def further_pages(self, data: PageData) -> Iterator[tuple[str, str]]:
        """Yield the names and the texts of pages with the contexts of some latents each, if the page lacks some."""
        if "pages" in data.record:
            yield from pages_of_latents(self._latent_data, self.title)

    def remark_on_size(self, data: PageData) -> str:
        """Return a sentence on contexts that are left out; empty if there are none, or further pages have them."""
        if not self.has_contexts or self.is_in_folder:
            return ""
        known = data.record["contexts"]
        if known is not None and known["leftOut"] == 0:
            return ""
        what = "All contexts" if known is None else f"Up to {counted(known['leftOut'], 'context')} of each latent"
        return f"{what} are left out, with which it would be too large; name a folder as its path to have them."

    @property
    def _latent_data(self) -> LatentData:
        return LatentData(
            self.measured,
            self.latents,
            self.shown,
            self.row_labels,
            self.comparison,
            is_in_folder=self.is_in_folder,
            pictures=self.pictures,
        )

    def data(self, most_bytes: int) -> PageData:
        """Return the data from which the script of the page shows the latents."""
        return self._latent_data.page_data(most_bytes)
