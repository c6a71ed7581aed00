"""What the page shows: figures and what they mean, charts, reconstructions, and what its script draws units from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray, in_safe_units
from rhohat.common.forks import cached
from rhohat.common.image_shapes import image_size
from rhohat.common.words import counted
from rhohat.data import RowSource, open_rows
from rhohat.estimators.autoencoder import BaseAutoencoder
from rhohat.inspection.evaluation import Evaluation
from rhohat.inspection.reporting.charts import draw_curves, draw_dots, lowest_drawn
from rhohat.inspection.reporting.drawing import (
    Sheets,
    as_uri,
    fractions_between,
    in_sheets,
    pixels_about_0,
    pixels_between,
    png,
)
from rhohat.inspection.reporting.facts import Fit, Step, fits_of, names_of_units, network_of, steps_of
from rhohat.inspection.reporting.measuring import Measurements
from rhohat.inspection.reporting.units import MOST_PIXELS_FITTED, MOST_UNITS_FITTED, Units
from rhohat.models.pipelines import estimator_of, preprocessing_of

__all__ = ["Content"]

MOST_TOP_ROWS, _FEWEST_TOP_ROWS = 12, 3
_RAW_BYTES = 2**26  # of pictures of top rows, before they are packed
_SAMPLE = 256  # rows whose numbers say which are black and white
_BYTES_OF_TOP_ROW = 16  # of its place and its activation, as text
_MOST_BARS = 200  # features drawn of a unit, the strongest; all, where there are no more
_NAMED_VALUES = 6  # features of a unit whose values in its top rows are told
_MOST_CURVE_ROWS = 25  # of the table beside a chart
_MOST_FEATURES_OF_A_ROW = 16  # in a table of reconstructions


@dataclass(frozen=True)
class Figure:
    """A number with its name, and what it means in plain words."""

    name: str
    value: str
    meaning: str


@dataclass(frozen=True)
class Curves:
    """A chart of J, with its legend and a table of the same numbers."""

    fit: Fit
    svg: str
    legend: list[tuple[str, float]]
    table: list[tuple[int, list[float | None]]]


@dataclass(frozen=True)
class Reconstruction:
    """A row and what the model makes of it: two pictures, or features with both values."""

    row: int
    error: float
    original: str = ""
    made: str = ""
    features: tuple[tuple[str, float, float, float, float], ...] = ()
    n_left_out: int = 0


@dataclass(frozen=True)
class Content:
    """All that the page shows.

    Attributes
    ----------
    model : fitted model
    source : RowSource
        Rows as the network sees them.
    title : str
    image_shape : tuple of int, or None
    names : list of str, or None
        Of features.
    measured : Measurements
    units : Units
    n_reconstructions : int
    evaluated : Evaluation, default=None
        Where it was said what is to be predicted.
    remarks : sequence of str, default=()
        What is to be said of the rows, such as that they are on another scale than those of the fit.
    """

    model: Any
    source: RowSource
    title: str
    image_shape: tuple[int, ...] | None
    names: list[str] | None
    measured: Measurements
    units: Units
    n_reconstructions: int
    evaluated: Evaluation | None = None
    remarks: Sequence[str] = ()

    @property
    def estimator(self) -> Any:
        """Who has the units."""
        return estimator_of(self.model)

    @property
    def kind(self) -> str:
        """The estimator's class."""
        return type(self.estimator).__name__

    @property
    def network(self) -> str:
        """Its layers, as text."""
        return network_of(self.model)

    @property
    def preprocessing(self) -> list[str]:
        """What is done to rows before the network sees them."""
        return [type(step).__name__ for step in preprocessing_of(self.model)]

    @property
    def steps(self) -> list[Step]:
        """With their parameters."""
        return steps_of(self.model)

    @property
    def n_units(self) -> int:
        """Whose activations are the features learned."""
        return len(self.units.norms)

    @property
    def trained_on(self) -> str:
        """The rows of the fit."""
        name = self.estimator.data_name_
        rows = counted(self.estimator.n_samples_fit_, "row")
        return f"{rows} in memory" if name is None else f"{rows} of {name}"

    @property
    def looked_at(self) -> str:
        """The rows that the figures are of."""
        n_rows, n_found, name = self.n_rows, self.source.shape[0], self.source.short_name
        if n_rows == 1 < n_found:
            return f"1 of the {n_found:,} of {name}"
        if n_rows < n_found:
            return f"{n_rows:,}, spread evenly over the {n_found:,} of {name}"
        return f"the only row of {name}" if n_rows == 1 else f"all {n_rows:,} of {name}"

    @property
    def kind_of_rows(self) -> str:
        """What a row is: an image, or features."""
        if self.image_shape is None:
            return counted(self.n_features, "feature")
        size = " × ".join(str(length) for length in image_size(self.image_shape))
        colour = " in colour" if len(self.image_shape) == 3 else ""
        image = "an image" if self.n_rows == 1 else "images"
        return f"{image} of {size} pixel{'' if size == '1 × 1' else 's'}{colour}"

    @property
    def image_size(self) -> tuple[int, int] | None:
        """Height and width of rows that are drawn as pictures."""
        return None if self.image_shape is None else image_size(self.image_shape)

    @property
    def n_features(self) -> int:
        """That the network sees."""
        return self.source.shape[1]

    @property
    def n_rows(self) -> int:
        """Looked at."""
        return len(self.measured.rows)

    @property
    def threshold(self) -> float:
        """Above which a unit counts as active."""
        return self.measured.activations.threshold

    @property
    def bounds(self) -> tuple[float, float]:
        """The smallest and the largest activation that units can have."""
        low, high = self.estimator.network_.activations[self.estimator.code_layer_ - 1].bounds
        return float(low), float(high)

    @cached
    def target(self) -> float | None:
        """ρ, as an activation of the units."""
        rho = self.estimator.sparsity_target_
        low, high = self.bounds
        return None if rho is None else low + (high - low) * rho

    @property
    def all_remarks(self) -> list[str]:
        """What is to be said near the top: of the rows, and of units that tell none of them from another."""
        if not self.measured.rows_differ or not self.measured.activations.constant.all():
            return list(self.remarks)
        subject = "The only unit gives" if self.n_units == 1 else "All units give"
        learned = (
            "the model has learned nothing but the means of the features"
            if isinstance(self.estimator, BaseAutoencoder)
            else "what the model predicts does not depend on the row"
        )
        held = "" if self.target is None else ", a smaller sparsity_weight"
        return [
            *self.remarks,
            f"{subject} the same activation for every row: {learned}. Try a smaller weight_decay{held}, or features"
            " that vary more, such as those that StandardScaler makes.",
        ]

    @cached
    def dead(self) -> NDArray[np.bool_]:
        """Whether each unit was active on no row."""
        silent: NDArray[np.bool_] = self.measured.activations.activation_frequency == 0
        return silent

    @cached
    def figures(self) -> list[Figure]:
        """The numbers that sum the model up."""
        activations, made = self.measured.activations, self.measured.reconstructions
        active = f"A unit is active on a row where its activation is above {show(self.threshold)}."
        figures = []
        if self.evaluated is not None and self.evaluated.score is not None:
            meanings = {
                "accuracy": "Fraction of all rows that are classified correctly.",
                "R²": "How much of the targets’ variance the predictions keep: 1 is all, 0 no better than their means.",
            }
            name = self.evaluated.score_name or "score"
            figures.append(Figure(name, show(self.evaluated.score), meanings[name]))
        if made is not None:
            figures += [
                Figure(
                    "explained variance",
                    show(made.explained_variance),
                    "How much of the rows’ variance, about the mean of each feature, the reconstructions keep:"
                    " 1 is all of it, 0 is no better than those means.",
                ),
                Figure(
                    "mean squared error",
                    show(made.mean_squared_error),
                    "Between rows and reconstructions, mean over rows and over features.",
                ),
            ]
        means, unit = in_safe_units(activations.mean_activation)
        mean = float(means.mean()) * unit
        aim = "" if self.target is None else f" Each unit is held to ρ = {show(self.target)}."
        n_dead, n_constant = int(self.dead.sum()), int(activations.constant.sum())
        figures += [
            Figure("L0", show(activations.l0), f"Units active on a row, of {self.n_units:,}, mean over rows. {active}"),
            Figure(
                "dead units",
                f"{n_dead:,}",
                f"{show(100 * activations.dead_fraction)} % of the units: active on none of these rows.",
            ),
            Figure(
                "units that do not vary",
                f"{n_constant:,}",
                f"{show(100 * activations.constant_fraction)} % of the units: their activation is the same on every"
                " row, within a thousandth of its mean, so that they tell no row from another.",
            ),
            Figure("mean activation", show(mean), f"ρ̂, mean over rows, here also over units.{aim}"),
        ]
        if self.units.gabor_r2 is not None:
            figures.append(
                Figure(
                    "Gabor R²",
                    show(float(np.median(self.units.gabor_r2))),
                    "Median over units. How well the best Gabor function, a wave under a bell, fits what a unit looks"
                    " for: near 1 for edges and bars, low for noise.",
                )
            )
        return figures

    @property
    def about_gabor(self) -> str:
        """Why there is no Gabor R², where images would have one."""
        if self.units.gabor_r2 is not None or self.image_shape is None or len(self.image_shape) != 2:
            return ""
        return (
            "Gabor R², how edge-like a unit is, takes a while to compute, and is left out for more than"
            f" {MOST_UNITS_FITTED} units or {MOST_PIXELS_FITTED} pixels unless it is asked for (--gabor)."
        )

    @cached
    def fits(self) -> list[Curves]:
        """How each fit went."""
        return [self._curves(number, fit) for number, fit in enumerate(fits_of(self.estimator))]

    def _curves(self, number: int, fit: Fit) -> Curves:
        curves = {name: values for name, values in fit.curves.items() if values}
        if not curves.get("J"):
            return Curves(fit, "", [], [])
        first, last = curves["J"][0], curves["J"][-1]
        svg = draw_curves(
            f"cost-{number}",
            curves,
            title=f"J and its terms over iterations{f', {fit.name}' if fit.name else ''}",
            description=f"J falls from {show(first)} to {show(last)} in {counted(len(curves['J']), 'iteration')}. The"
            " table below the chart has the numbers.",
        )
        length = len(curves["J"])
        shown = np.unique(np.linspace(0, length - 1, min(length, _MOST_CURVE_ROWS)).round().astype(int))
        table = [
            (int(place) + 1, [values[place] if place < len(values) else None for values in curves.values()])
            for place in shown
        ]
        return Curves(fit, svg, [(name, values[-1]) for name, values in curves.items()], table)

    @cached
    def dots(self) -> str:
        """ρ̂ of each unit against ρ, as SVG."""
        means = self.measured.activations.mean_activation
        aim = "There is no target." if self.target is None else f"The line is the target, ρ = {show(self.target)}."
        return draw_dots(
            "rho",
            means,
            self.target,
            bounds=self.bounds,
            label="mean activation ρ̂",
            target_label="" if self.target is None else f"ρ = {show(self.target)}",
            title="Mean activation of each unit",
            description=f"{counted(len(means), 'unit')} in ascending order, from {show(float(means.min()))} to"
            f" {show(float(means.max()))}; half of them are below {show(_quantiles(means, [0.5])[0])}. {aim}"
            f" {self.about_dots}",
        )

    @cached
    def about_dots(self) -> str:
        """Which units have no place on the axis of the chart; "" where all have."""
        means = self.measured.activations.mean_activation
        lowest = lowest_drawn(means, self.target)
        n_below = int(np.count_nonzero(means < lowest))
        if n_below == 0:
            return ""
        are = "is" if n_below == 1 else "are"
        return f"{counted(n_below, 'unit')} far below the others, below {show(lowest)}, {are} drawn at the lower edge."

    @property
    def quantiles(self) -> list[tuple[str, float]]:
        """Of ρ̂ over units: the table beside the chart."""
        means = self.measured.activations.mean_activation
        names = ["smallest", "a tenth is below", "half are below", "nine tenths are below", "largest"]
        return list(zip(names, _quantiles(means, [0, 0.1, 0.5, 0.9, 1]), strict=True))

    @cached
    def scale(self) -> tuple[float, float]:
        """The numbers that are drawn as black and as white: nearly the smallest and the largest of some rows."""
        sample = self.source.take(self._spread_rows(_SAMPLE))
        low, high = _quantiles(sample, [0.005, 0.995])
        return (low, high) if low < high else (float(sample.min()), float(sample.max()))

    @cached
    def reconstructions(self) -> list[Reconstruction]:
        """Of rows spread evenly over those looked at."""
        if not isinstance(self.estimator, BaseAutoencoder) or self.n_reconstructions == 0:
            return []
        numbers = self._spread_rows(self.n_reconstructions)
        rows, named = self.source.take(numbers), self._numbers_found(numbers)
        made = np.asarray(self.estimator.inverse_transform(self.estimator.codes(open_rows(rows))))
        with np.errstate(over="ignore"):
            errors = ((rows.astype(np.float64) - made) ** 2).mean(axis=1)
        if self.image_shape is not None:
            originals, pictures = (pixels_between(part, self.scale, self.image_shape) for part in (rows, made))
            return [
                Reconstruction(number, float(error), as_uri(png(above)), as_uri(png(below)))
                for number, error, above, below in zip(named, errors, originals, pictures, strict=True)
            ]
        sample = self.source.take(self._spread_rows(_SAMPLE))
        low = np.minimum(sample.min(axis=0), rows.min(axis=0))
        high = np.maximum(sample.max(axis=0), rows.max(axis=0))
        return [
            self._compare(number, row, one, float(error), (low, high))
            for number, row, one, error in zip(named, rows, made, errors, strict=True)
        ]

    def _compare(
        self, number: int, row: FloatArray, made: FloatArray, error: float, span: tuple[FloatArray, FloatArray]
    ) -> Reconstruction:
        """Return the features of a row and of its reconstruction, those that it misses most where there are many."""
        low, high = span
        chosen = np.arange(len(row))
        if len(row) > _MOST_FEATURES_OF_A_ROW:
            (first, last, ours, theirs), _ = in_safe_units(np.array([low, high, row, made]))
            with np.errstate(divide="ignore"):  # logarithms, as a quotient might overflow
                missed = np.log2(np.abs(ours - theirs)) - np.log2(np.where(last > first, last - first, 1))
            chosen = np.sort(np.argsort(-missed, kind="stable")[:_MOST_FEATURES_OF_A_ROW])
        places = [100 * fractions_between(part, low, high) for part in (row, made)]
        features = tuple(
            (self.feature_name(j), float(row[j]), float(made[j]), float(places[0][j]), float(places[1][j]))
            for j in chosen.tolist()
        )
        return Reconstruction(number, error, features=features, n_left_out=len(row) - len(chosen))

    def feature_name(self, feature: int) -> str:
        """Return a name for a feature, where it has none, its number."""
        return f"feature {feature}" if self.names is None else self.names[feature]

    def numbers(self) -> dict[str, Any]:
        """Return what the page's script says of units, by name: numbers, texts, lists and dicts."""
        measured, units = self.measured, self.units
        statistics = measured.activations
        measures = [
            ("mean", "mean activation", statistics.mean_activation),
            ("frequency", "activation frequency", statistics.activation_frequency),
            ("largest", "largest activation", statistics.largest_activation),
            ("norm", "norm of weights", units.norms),
        ]
        if units.gabor_r2 is not None:
            measures.append(("gabor", "Gabor R²", units.gabor_r2))
        low, high = statistics.smallest_activation, statistics.largest_activation
        return {
            "n": self.n_units,
            "labels": names_of_units(self.estimator),
            "measures": [{"key": key, "name": name, "values": rounded(values)} for key, name, values in measures],
            "dead": np.flatnonzero(self.dead).tolist(),
            "constant": np.flatnonzero(statistics.constant).tolist(),
            "threshold": show(self.threshold),
            "histogram": {"low": rounded(low), "high": rounded(high), "counts": measured.histograms.tolist()},
            "similar": {"units": units.similar.tolist(), "cosines": rounded(units.cosines)},
        }

    def pictures(self, most_bytes: int) -> dict[str, Any]:
        """Return what the page's script draws units and rows from: images, or features and their numbers.

        Parameters
        ----------
        most_bytes : int
            Of what is returned, as text. Of each unit, 12 top rows are shown, or fewer images, but no less than 3.
        """
        return self._bars() if self.image_shape is None else self._images(self.image_shape, most_bytes)

    def _images(self, shape: tuple[int, ...], most_bytes: int) -> dict[str, Any]:
        inputs = in_sheets(pixels_about_0(self.units.inputs, shape))
        top = self.measured.top.rows
        n_top = int(np.clip(_RAW_BYTES // (len(top) * int(np.prod(shape))), _FEWEST_TOP_ROWS, MOST_TOP_ROWS))
        left = most_bytes - _in_text(inputs)
        while True:
            numbers = np.unique(top[:, :n_top][top[:, :n_top] >= 0])
            sheets = in_sheets(self._pixels_of(numbers, shape))
            size = _in_text(sheets) + _BYTES_OF_TOP_ROW * len(top) * n_top
            if n_top == _FEWEST_TOP_ROWS or size <= left:
                break
            n_top = max(_FEWEST_TOP_ROWS, min(n_top - 1, int(n_top * max(left, 0) / size)))
        return {
            "image": dict(zip(("height", "width"), image_size(shape), strict=True)),
            "inputs": inputs.as_record(),
            "rows": {"numbers": self._numbers_found(numbers), **sheets.as_record()},
            "top": self._top(numbers, n_top),
        }

    def _pixels_of(self, numbers: NDArray[np.intp], shape: tuple[int, ...]) -> NDArray[np.uint8]:
        at_once = self.source.rows_at_once
        parts = (numbers[start : start + at_once] for start in range(0, len(numbers), at_once))
        return np.concatenate([pixels_between(self.source.take(part), self.scale, shape) for part in parts])

    def _bars(self) -> dict[str, Any]:
        inputs, top = self.units.inputs, self.measured.top.rows
        strongest = np.argsort(-np.abs(inputs), axis=1, kind="stable")[:, :_MOST_BARS]
        named = strongest[:, :_NAMED_VALUES]
        numbers = np.unique(top[top >= 0])
        places = np.searchsorted(numbers, top)
        values = np.zeros((*top.shape, named.shape[1]))
        at_once = self.source.rows_at_once
        for start in range(0, len(numbers), at_once):
            rows = self.source.take(numbers[start : start + at_once])
            units, ranks = np.nonzero((places >= start) & (places < start + len(rows)) & (top >= 0))
            values[units, ranks] = rows[places[units, ranks, None] - start, named[units]]
        shown = self._top(numbers, MOST_TOP_ROWS)
        n_top = len(shown["places"][0])
        return {
            "features": [self.feature_name(j) for j in range(self.n_features)],
            "bars": {
                "features": strongest.tolist(),
                "weights": rounded(np.take_along_axis(inputs, strongest, axis=1)),
            },
            "rows": {"numbers": self._numbers_found(numbers)},
            "top": {**shown, "values": rounded(values[:, :n_top])},
        }

    def _top(self, numbers: NDArray[np.intp], n_top: int) -> dict[str, Any]:
        """Return which rows activate each unit most, as places among the numbers given, and how much."""
        n_top = min(n_top, len(self.measured.rows))
        rows, activations = self.measured.top.rows[:, :n_top], self.measured.top.activations[:, :n_top]
        return {"places": np.searchsorted(numbers, rows).tolist(), "activations": rounded(activations)}

    def _numbers_found(self, rows: NDArray[np.intp]) -> list[int]:
        """Return which rows these are of those that were found, before some were left out."""
        kept = self.source.kept
        numbers: list[int] = (rows if kept is None else kept[rows]).tolist()
        return numbers

    def _spread_rows(self, most: int) -> NDArray[np.intp]:
        """Return numbers of so many rows, spread evenly over those looked at."""
        rows = self.measured.rows
        n_rows = min(most, len(rows))
        return rows[np.arange(n_rows) * len(rows) // n_rows]


def _in_text(sheets: Sheets) -> int:
    return 4 * sheets.n_bytes // 3


def rounded(values: FloatArray) -> Any:
    """Return numbers of four digits, in lists."""
    array = np.asarray(values, dtype=np.float64)
    short = np.array([float(f"{value:.4g}") for value in array.ravel()]).reshape(array.shape)
    largest = np.finfo(np.float64).max
    return np.where(np.isfinite(array), short.clip(-largest, largest), short).tolist()  # it may be rounded to infinity


def _quantiles(values: FloatArray, fractions: Sequence[float]) -> list[float]:
    """Return quantiles of numbers of any size."""
    numbers, unit = in_safe_units(values)
    return [float(quantile) * unit for quantile in np.quantile(numbers, fractions)]


def show(value: float, digits: int = 4) -> str:
    """Return a number as text that is read easily.

    Examples
    --------
    >>> show(0.012345), show(12345.6), show(0.5), show(-3e-9)
    ('0.01235', '12,346', '0.5', '−3e−09')
    """
    text = f"{value:,.0f}" if abs(value) >= 1e4 and abs(value) < 1e9 else f"{value:.{digits}g}"
    return text.replace("-", "−")
