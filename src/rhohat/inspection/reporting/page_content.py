"""What every page shows, whatever the model is: where it comes from, which rows it is about, its parameters."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rhohat.common.forks import cached
from rhohat.common.image_shapes import image_size
from rhohat.common.words import counted
from rhohat.data import RowSource
from rhohat.inspection.reporting.anomalies import Anomalies
from rhohat.inspection.reporting.facts import Fit, Step, fits_of, steps_of
from rhohat.inspection.reporting.held_out import HeldOutFigure, held_out_of
from rhohat.inspection.reporting.own_units import OwnUnits
from rhohat.inspection.reporting.page_data import PageData
from rhohat.inspection.reporting.reconstructions import Reconstruction, reconstructions_of
from rhohat.inspection.reporting.row_labels import RowLabels
from rhohat.inspection.reporting.shown_rows import ShownRows
from rhohat.models.model_card import ModelCard, card_of, describes_rows
from rhohat.models.pipelines import estimator_of, preprocessing_of
from rhohat.solvers.messages import how_it_ended

__all__ = ["MOST_CURVE_ROWS", "PageContent"]

MOST_CURVE_ROWS = 25  # largest number of rows in the table beside a chart


@dataclass(frozen=True, kw_only=True)
class PageContent:
    """The part of a page's content that does not depend on the kind of the model.

    Attributes
    ----------
    model : fitted model
        Estimator or pipeline that the page is about.
    source : RowSource
        Rows as the estimator sees them, after preprocessing.
    title : str
        Title of the page.
    image_shape : tuple of int, or None
        Shape in which rows are drawn as images; None if they are not images.
    names : list of str, or None
        Names of the features; None if they have none.
    n_reconstructions : int
        Number of rows that are shown beside their reconstructions.
    row_labels : RowLabels, default=None
        Names of the rows; None if they have none.
    remarks : sequence of str, default=()
        Warnings about the rows or targets, for example that the scale of the rows differs from the scale in the fit.
    is_in_folder : bool, default=False
        Whether there may be further pages beside this one.
    anomalies : Anomalies, default=None
        What a detector has found of the rows; None for other models.
    noun_of_model : str
        What the model is: a network or a dictionary. Its template has this name.
    scripts : tuple of str
        Names of the files that the script of the page is made of, in order.
    usual_ends : tuple of str
        Statuses of a fit that has ended as it should, beside "converged", without having converged.
    most_bytes : int
        Largest size of the page, for which pictures and names of rows are left out.
    """

    noun_of_model: ClassVar[str]
    scripts: ClassVar[tuple[str, ...]]
    usual_ends: ClassVar[tuple[str, ...]]
    most_bytes: ClassVar[int]

    model: Any
    source: RowSource
    title: str
    image_shape: tuple[int, ...] | None
    names: list[str] | None
    n_reconstructions: int
    row_labels: RowLabels | None = None
    remarks: Sequence[str] = ()
    is_in_folder: bool = False
    anomalies: Anomalies | None = None

    def further_pages(self, data: PageData) -> Iterator[tuple[str, str]]:
        """Yield the names and the texts of further pages, given the data that the page itself has."""
        yield from ()

    def remark_on_size(self, data: PageData) -> str:
        """Return what was left out of the page to keep it small, as a sentence; empty if nothing was."""
        return ""

    @abstractmethod
    def data(self, most_bytes: int) -> PageData:
        """Return the data for the script of the page, of at most so many characters where that is possible."""

    @property
    @abstractmethod
    def rows(self) -> NDArray[np.intp]:
        """Numbers of the rows that were measured, ascending."""

    @property
    @abstractmethod
    def architecture(self) -> tuple[str, str]:
        """What the architecture of the model is called, and its description, as texts."""

    @property
    def estimator(self) -> Any:
        """The estimator whose units are shown: the model, or the last step of a pipeline."""
        return estimator_of(self.model)

    @property
    def kind(self) -> str:
        """Name of the class of the estimator."""
        return type(self.estimator).__name__

    @property
    def preprocessing(self) -> list[str]:
        """Names of the classes of the preprocessing steps, in order."""
        return [type(step).__name__ for step in preprocessing_of(self.model)]

    @property
    def steps(self) -> list[Step]:
        """Steps of the model, with their parameters."""
        return steps_of(self.model)

    def amount(self, fit: Fit) -> str:
        """Return how much was done in a fit, as text."""
        return counted(fit.n_iter, "iteration")

    def status(self, fit: Fit) -> str:
        """Return why a fit ended, as text."""
        return how_it_ended(fit.status)

    def badge(self, fit: Fit) -> str:
        """Return how the status of a fit is to be seen: "good", "warn", or "neutral" if nothing is wrong with it."""
        if fit.status == "converged":
            return "good"
        return "neutral" if fit.status in self.usual_ends or fit.has_flattened else "warn"

    @cached
    def card(self) -> ModelCard:
        """The card of the model, which is empty if the model has none."""
        return card_of(self.model) or ModelCard()

    @property
    def shows_rows_of_training(self) -> bool:
        """Whether a model that predicts is shown on the data that it was trained on, as far as their name tells."""
        name = self.estimator.data_name_
        return self.estimator.learns_from_targets and name is not None and name == self.source.short_name

    @property
    def card_says_rows(self) -> bool:
        """Whether the card says which rows the model was trained on, so that nothing else has to say it."""
        model = self.estimator
        seen = model.has_sparse_codes
        return describes_rows(self.card.data, model.n_samples_fit_, model.data_name_, times_seen=seen)

    @cached
    def held_out(self) -> list[HeldOutFigure]:
        """Figures of the model on rows that its training did not use; none if they are not known."""
        return held_out_of(self.card)

    @cached
    def own_units(self) -> OwnUnits:
        """Conversion of rows from the values that the estimator sees to those of the data."""
        return OwnUnits.of(self.model)

    @cached
    def records(self) -> list[Fit]:
        """Records of the fits that produced the model, in order."""
        return fits_of(self.estimator)

    @property
    def trained_on(self) -> str:
        """Number and origin of the rows of the fit, as far as the card does not say them, as text."""
        if self.card_says_rows:
            return ""
        name = self.estimator.data_name_
        rows = counted(self.estimator.n_samples_fit_, "row")
        return f"{rows} in memory" if name is None else f"{rows} of {name}"

    @property
    def looked_at(self) -> str:
        """Number and origin of the rows that were measured, as text."""
        n_rows, n_found, name = self.n_rows, self.source.shape[0], self.source.short_name
        if n_rows == 1 < n_found:
            return f"1 of the {n_found:,} rows of {name}"
        if n_rows < n_found:
            return f"{n_rows:,} rows, spread evenly over the {n_found:,} rows of {name}"
        return f"the only row of {name}" if n_rows == 1 else f"all {n_rows:,} rows of {name}"

    @property
    def kind_of_rows(self) -> str:
        """Description of what a row is, as text: an image of some size, or a number of features."""
        if self.image_shape is None and self.n_steps is not None:
            sequences = "a sequence" if self.n_rows == 1 else "sequences"
            channels = counted(self.n_features // self.n_steps, "channel")
            return f"{sequences} of at most {counted(self.n_steps, 'step')} with {channels}"
        if self.image_shape is None:
            return counted(self.n_features, "feature")
        size = " × ".join(str(length) for length in image_size(self.image_shape))
        colour = " in colour" if len(self.image_shape) == 3 else ""
        image = "an image" if self.n_rows == 1 else "images"
        return f"{image} of {size} pixel{'' if size == '1 × 1' else 's'}{colour}"

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width of rows that are drawn as images; None if rows are not images."""
        return None if self.image_shape is None else image_size(self.image_shape)

    @property
    def n_features(self) -> int:
        """Number of features of the rows, as the model sees them."""
        return self.source.shape[1]

    @property
    def n_rows(self) -> int:
        """Number of rows that were measured."""
        return len(self.rows)

    @property
    def n_steps(self) -> int | None:
        """Largest number of steps of the rows if they are sequences; None for other rows."""
        n_steps: int | None = self.estimator.n_steps_of_rows_
        return n_steps

    @cached
    def shown(self) -> ShownRows:
        """The measured rows, in a form that pictures and values of some of them are taken from."""
        n_channels = None if self.n_steps is None else self.n_features // self.n_steps
        return ShownRows(self.source, self.rows, self.image_shape, self.names, n_channels, self.own_units)

    @property
    def scale(self) -> tuple[float, float]:
        """The feature value that is drawn as black, and the one that is drawn as white, in the units of the data."""
        return self.own_units.ends(self.shown.scale, self.n_features) or self.shown.scale

    @property
    def about_scale(self) -> str:
        """In which units `scale` is, as a sentence; empty if rows are not scaled."""
        if not self.preprocessing:
            return ""
        if self.own_units.ends(self.shown.scale, self.n_features) is None:
            return f"These are values after {', '.join(self.preprocessing)}."
        return f"These are values on the scale of the data{self.own_units.loss}."

    @property
    def about_values(self) -> str:
        """In which units values of rows are, as a sentence; empty if rows are not scaled."""
        if not self.preprocessing:
            return ""
        if not self.own_units.known:
            return f"Values are those that the {self.noun_of_model} sees, after {', '.join(self.preprocessing)}."
        return f"Values are on the scale of the data{self.own_units.loss}."

    @property
    def about_errors(self) -> str:
        """In which units errors of reconstructions are, as a sentence; empty if these are the units of the values."""
        if not (self.preprocessing and self.own_units.known):
            return ""
        return f"Errors are those that the {self.noun_of_model} sees, after {', '.join(self.preprocessing)}."

    @cached
    def reconstructions(self) -> list[Reconstruction]:
        """Reconstructions of rows that are spread evenly over the measured rows."""
        return reconstructions_of(self.estimator, self.shown, self.n_reconstructions, self.row_labels)
