"""The content of the page about a network: texts, charts and figures about the model, its units and its rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.common.forks import cached
from rhohat.common.words import counted
from rhohat.estimators.dead_units import remark_on_dead_units
from rhohat.inspection.evaluated import Evaluation
from rhohat.inspection.reporting.charts import draw_curves, draw_dots, lowest_drawn
from rhohat.inspection.reporting.confusion import Confusion
from rhohat.inspection.reporting.convolutions import Convolutions, convolutions_of
from rhohat.inspection.reporting.facts import Fit, network_of
from rhohat.inspection.reporting.figures import Figure, about_last, figures_of
from rhohat.inspection.reporting.measuring import Measurements
from rhohat.inspection.reporting.page_content import MOST_CURVE_ROWS, PageContent
from rhohat.inspection.reporting.page_data import PageData
from rhohat.inspection.reporting.record import UnitRecord
from rhohat.inspection.reporting.rounding import quantiles, show
from rhohat.inspection.reporting.sequences import OverTime, over_time_of
from rhohat.inspection.reporting.units import MOST_PIXELS_FITTED, MOST_UNITS_FITTED, Units, middle_place, middle_step
from rhohat.inspection.sequences import steps_of_code

__all__ = ["Content"]


@dataclass(frozen=True)
class Curves:
    """A chart of a fit, with its legend and a table of the same numbers."""

    fit: Fit
    svg: str
    legend: list[tuple[str, float]]
    table: list[tuple[int, list[float | None]]]


@dataclass(frozen=True, kw_only=True)
class Content(PageContent):
    """The complete content of the page about a network, as the template reads it.

    Attributes
    ----------
    measured : Measurements
        Statistics of the measured rows.
    units : Units
        Descriptions of the units.
    evaluated : Evaluation, default=None
        Evaluation on targets; None if no targets were given.
    confusion : Confusion, default=None
        Which classes a classifier takes for which others; None for other models, or if no targets were given.
    predicted : list of tuples of str, default=()
        Names of the targets of a regressor, and charts of its predictions; none if no targets were given.
    """

    noun_of_model: ClassVar[str] = "network"
    scripts: ClassVar[tuple[str, ...]] = ("common.js", "network.js")
    usual_ends: ClassVar[tuple[str, ...]] = ("stopped", "given")
    most_bytes: ClassVar[int] = 9_500_000

    measured: Measurements
    units: Units
    evaluated: Evaluation | None = None
    confusion: Confusion | None = None
    predicted: Sequence[tuple[str, str]] = ()

    @property
    def rows(self) -> NDArray[np.intp]:
        """Numbers of the rows that were measured, ascending."""
        return self.measured.rows

    @property
    def architecture(self) -> tuple[str, str]:
        """What the architecture of the model is called, and its description, as texts."""
        return "Layers", network_of(self.model)

    @property
    def n_units(self) -> int:
        """Number of units whose activations are the learned features."""
        return len(self.measured.activations.mean_activation)

    def status(self, fit: Fit) -> str:
        """Return why a fit ended, as text, with a word on units that have all collapsed."""
        return f"{super().status(fit)}{self._collapse if fit.status == 'converged' else ''}"

    def badge(self, fit: Fit) -> str:
        """Return how the status of a fit is to be seen; a fit whose units have all collapsed is no good one."""
        return "warn" if fit.status == "converged" and self._collapse else super().badge(fit)

    @cached
    def _collapse(self) -> str:
        """What is said beside the status if all units are dead or constant; else nothing."""
        activations = self.measured.activations
        if self.units_are_outputs or not self.measured.rows_differ:
            return ""
        if not activations.activation_frequency.any():
            return ", but all units are dead"
        return ", but all units are constant" if activations.constant.all() else ""

    @property
    def units_are_outputs(self) -> bool:
        """Whether the network has no hidden units, as a softmax regression, so that its units are its outputs."""
        return bool(self.estimator.code_layer_ == self.estimator.network_.n_layers)

    @property
    def maps(self) -> tuple[tuple[int, int], tuple[int, ...]] | None:
        """Place in the middle of the feature maps that are the code, and their shape; None if the code has no maps."""
        middle = middle_place(self.estimator)
        return (
            None
            if middle is None
            else (middle, self.estimator.network_.layers[self.estimator.code_layer_ - 1].output_shape)
        )

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest activation that the units can have."""
        low, high = self.estimator.network_.activations[self.estimator.code_layer_ - 1].bounds
        return float(low), float(high)

    @cached
    def target(self) -> float | None:
        """Target ρ, converted to an activation of the units; None if there is no target."""
        rho = self.estimator.sparsity_target_
        low, high = self.bounds
        return None if rho is None else low + (high - low) * rho

    @property
    def all_remarks(self) -> list[str]:
        """Remarks for the top of the page: warnings about the rows, and remarks on units that tell rows nothing."""
        n_dead = int(np.count_nonzero(self.measured.activations.activation_frequency == 0))
        dead = remark_on_dead_units(n_dead, self.n_units, self.estimator.sparsity_target_)
        remarks = [*self.remarks, *([] if dead is None else [str(dead)])]
        if not self.measured.rows_differ or not self.measured.activations.constant.all():
            return remarks
        subject = "The only unit gives" if self.n_units == 1 else "All units give"
        learned = (
            "the model has learned nothing but the means of the features"
            if self.estimator.reconstructs
            else "what the model predicts does not depend on the row"
        )
        held = "" if self.target is None else ", a smaller sparsity_weight"
        return [
            *remarks,
            f"{subject} the same activation for every row: {learned}. Try a smaller weight_decay{held}, or features"
            " that vary more, such as the output of StandardScaler.",
        ]

    @cached
    def figures(self) -> list[Figure]:
        """Figures that summarize the model."""
        noun = "row" if steps_of_code(self.estimator) is None else "step"
        outputs = self.units_are_outputs
        return figures_of(self.measured, self.units, self.evaluated, self.target, noun, are_outputs=outputs)

    @property
    def about_last(self) -> str:
        """Sentence on units that come last because they tell rows nothing; empty if there are none."""
        shown = self.units.numbers
        dead = self.measured.activations.activation_frequency[shown] == 0
        constant = self.measured.activations.constant[shown] & ~dead
        return about_last(int(dead.sum()), int(constant.sum()), len(shown), self.noun)

    @property
    def about_gabor(self) -> str:
        """Reason why the Gabor R² is missing; an empty string if it was computed, or if rows are not grey images."""
        if self.units.gabor_r2 is not None or self.image_shape is None or len(self.image_shape) != 2:
            return ""
        return (
            "Gabor R², which measures how much a unit looks like an edge detector, takes long to compute. It is left"
            f" out for more than {MOST_UNITS_FITTED} units or {MOST_PIXELS_FITTED} pixels unless you ask for it"
            " (--gabor on the command line, gabor=True in Python)."
        )

    @cached
    def fits(self) -> list[Curves]:
        """Charts of the cost J for each fit of the model."""
        return [self._curves(number, fit) for number, fit in enumerate(self.records)]

    def _curves(self, number: int, fit: Fit) -> Curves:
        curves = {name: values for name, values in fit.curves.items() if values}
        if not curves.get("J"):
            return Curves(fit, "", [], [])
        first, last = curves["J"][0], curves["J"][-1]
        svg = draw_curves(
            f"cost-{number}",
            curves,
            warm_up=list(fit.warm_up.values()),
            title=f"J and its terms over iterations{f', {fit.name}' if fit.name else ''}",
            description=f"J falls from {show(first)} to {show(last)} in {counted(len(curves['J']), 'iteration')}. The"
            " table below the chart has the numbers.",
        )
        length = len(curves["J"])
        shown = np.unique(np.linspace(0, length - 1, min(length, MOST_CURVE_ROWS)).round().astype(int))
        table = [
            (int(place) + 1, [values[place] if place < len(values) else None for values in curves.values()])
            for place in shown
        ]
        return Curves(fit, svg, [(name, values[-1]) for name, values in curves.items()], table)

    @cached
    def means(self) -> FloatArray:
        """Mean activation ρ̂ of each unit, or of each channel of feature maps, over all places."""
        means = self.measured.activations.mean_activation
        return means if self.maps is None else means.reshape(-1, self.maps[1][-1]).mean(axis=0)

    @property
    def noun(self) -> str:
        """What has a mean activation and a tile on the page: a unit, or a channel of feature maps."""
        return "unit" if self.maps is None else "channel"

    @property
    def middle_step(self) -> int | None:
        """Step in the middle of a code with steps, whose units have the maximal inputs; None if the code has none."""
        return None if steps_of_code(self.estimator) is None else middle_step(self.estimator)

    @cached
    def over_time(self) -> OverTime | None:
        """Activations of units over the steps of some sequences; None if no layer goes through steps."""
        return over_time_of(self.estimator, self.shown)

    @cached
    def convolutions(self) -> Convolutions | None:
        """Filters and feature maps of a network of convolutions; None for other networks."""
        return convolutions_of(self.estimator, self.shown)

    @cached
    def dots(self) -> str:
        """Chart of the mean activation ρ̂ of each unit or channel, with a line at the target ρ, as SVG."""
        means = self.means
        aim = "There is no target." if self.target is None else f"The line is the target, ρ = {show(self.target)}."
        return draw_dots(
            "rho",
            means,
            self.target,
            bounds=self.bounds,
            label="mean activation ρ̂",
            target_label="" if self.target is None else f"ρ = {show(self.target)}",
            noun=self.noun,
            title=f"Mean activation of each {self.noun}",
            description=f"{counted(len(means), self.noun)} in ascending order, from {show(float(means.min()))} to"
            f" {show(float(means.max()))}; half of them are below {show(quantiles(means, [0.5])[0])}. {aim}"
            f" {self.about_dots}",
        )

    @cached
    def about_dots(self) -> str:
        """Remark on units that are too far below the others for the axis of the chart; empty if there are none."""
        means = self.means
        lowest = lowest_drawn(means, self.target)
        n_below = int(np.count_nonzero(means < lowest))
        if n_below == 0:
            return ""
        are = "is" if n_below == 1 else "are"
        return (
            f"{counted(n_below, self.noun)} far below the others, below {show(lowest)}, {are} drawn at the lower edge."
        )

    @property
    def quantiles(self) -> list[tuple[str, float]]:
        """Quantiles of ρ̂ over units or channels, for the table beside the chart."""
        means = self.means
        names = [
            "smallest",
            f"a tenth of the {self.noun}s is below",
            "half are below",
            "nine tenths are below",
            "largest",
        ]
        return list(zip(names, quantiles(means, [0, 0.1, 0.5, 0.9, 1]), strict=True))

    def data(self, most_bytes: int) -> PageData:
        """Return the data from which the script of the page draws the units."""
        record = UnitRecord(self.estimator, self.measured, self.units, self.shown, self.row_labels)
        numbers = PageData(record.numbers() | {"aboutValues": self.about_values})
        return PageData(numbers.record | record.pictures(most_bytes - numbers.size))
