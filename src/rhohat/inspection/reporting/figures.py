"""The figures at the top of the page: numbers with their names and an explanation in plain words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rhohat.common.arrays import FloatArray, in_safe_units
from rhohat.inspection.evaluated import Evaluation
from rhohat.inspection.metrics import ActivationStatistics, ReconstructionStatistics
from rhohat.inspection.reporting.measuring import Measurements
from rhohat.inspection.reporting.rounding import show
from rhohat.inspection.reporting.units import Units

__all__ = ["Figure", "about_dead", "about_last", "figures_of"]


@dataclass(frozen=True)
class Figure:
    """A number with its name and an explanation in plain words."""

    name: str
    value: str
    meaning: str


def about_dead(n_dead: int, n_units: int, noun: str, place: str = "row") -> str:
    """Return a sentence about the units or latents that are active on no row.

    Examples
    --------
    >>> about_dead(2, 8, "latent")
    '25 % of the latents: those that are active on none of these rows. They come last below.'
    >>> about_dead(0, 8, "unit", "step")
    'Every unit is active on at least one of these steps.'
    """
    if n_dead == 0:
        return f"Every {noun} is active on at least one of these {place}s."
    share, those = show(100 * n_dead / n_units), "the one that is" if n_dead == 1 else "those that are"
    last = "It comes last below." if n_dead == 1 else "They come last below."
    return f"{share} % of the {noun}s: {those} active on none of these {place}s. {last}"


def about_last(n_dead: int, n_constant: int, n_units: int, noun: str) -> str:
    """Return a sentence about the units that come last, whatever they are sorted by; empty if there are none.

    Examples
    --------
    >>> about_last(1, 0, 8, "latent")
    'The dead latent, which no row activates, comes last.'
    >>> about_last(0, 3, 8, "unit")
    'The 3 constant units, whose activation hardly differs among rows, come last.'
    >>> about_last(8, 0, 8, "unit")
    'All 8 units are dead: no row activates them.'
    """
    if n_dead == n_units > 1:
        return f"All {n_units:,} {noun}s are dead: no row activates them."
    kinds = (
        (n_constant, "constant", "whose activation hardly differs among rows"),
        (n_dead, "dead", "which no row activates"),
    )
    parts = [
        f"the {word} {noun}, {why}," if n == 1 else f"the {n:,} {word} {noun}s, {why}," for n, word, why in kinds if n
    ]
    if not parts:
        return ""
    text = " and ".join(parts)
    return f"{text[0].upper()}{text[1:]} {'comes' if n_dead + n_constant == 1 else 'come'} last."


def about_both(n_both: int, n_constant: int) -> str:
    """Return a sentence on how many of the constant units are dead as well; empty if no unit is constant.

    Examples
    --------
    >>> about_both(2, 2), about_both(1, 3), about_both(0, 1)
    ('All of them are dead as well.', '1 of them is dead as well.', 'None of them is dead.')
    """
    if n_constant == 0:
        return ""
    if n_both == 0:
        return "None of them is dead."
    if n_both == n_constant:
        return "All of them are dead as well." if n_both > 1 else "It is dead as well."
    return f"{n_both:,} of them {'is' if n_both == 1 else 'are'} dead as well."


def figures_of(
    measured: Measurements,
    units: Units,
    evaluated: Evaluation | None,
    target: float | None,
    noun: str = "row",
    *,
    are_outputs: bool = False,
) -> list[Figure]:
    """Return the figures that summarize a model.

    Parameters
    ----------
    measured : Measurements
        Statistics of the measured rows.
    units : Units
        Descriptions of the units.
    evaluated : Evaluation, or None
        Evaluation on targets; None if no targets were given.
    target : float, or None
        Target ρ, converted to an activation of the units; None if there is no target.
    noun : str, default="row"
        What has activations: a row, or a step of a sequence.
    are_outputs : bool, default=False
        Whether there are no hidden units, so that figures of units would be about predictions.
    """
    return [
        *_of_predictions(evaluated),
        *_of_reconstructions(measured.reconstructions),
        *([] if are_outputs else _of_activations(measured.activations, target, noun)),
        *([] if are_outputs else _of_edges(units)),
    ]


def _of_predictions(evaluated: Evaluation | None) -> list[Figure]:
    if evaluated is None or evaluated.score is None:
        return []
    meanings = {
        "accuracy": "Fraction of all rows that are classified correctly.",
        "R²": "Fraction of the targets’ variance that the predictions explain: 1 is all of it, 0 is no better than the"
        " means of the targets.",
    }
    name = evaluated.score_name or "score"
    figures = [Figure(name, show(evaluated.score), meanings[name])]
    if evaluated.largest_share is not None and evaluated.balanced_accuracy is not None:
        meaning = f"Accuracy of always predicting the largest class, ‘{evaluated.largest_class}’."
        figures.append(Figure("share of the largest class", show(evaluated.largest_share), meaning))
        meaning = "Fraction of the rows of a class that are found, averaged over classes."
        figures.append(Figure("balanced accuracy", show(evaluated.balanced_accuracy), meaning))
    absolute, squared = evaluated.mean_absolute_error, evaluated.root_mean_squared_error
    if absolute is not None and squared is not None and len(absolute) == 1:
        meaning = "Distance of predictions from the targets, averaged over rows, in the units of the target."
        figures.append(Figure("mean absolute error", show(float(absolute[0])), meaning))
        meaning = "Root of the mean of the squared distances, in the units of the target; large errors count more."
        figures.append(Figure("root mean squared error", show(float(squared[0])), meaning))
    return figures


def _of_reconstructions(made: ReconstructionStatistics | None) -> list[Figure]:
    if made is None:
        return []
    return [
        Figure(
            "explained variance",
            show(made.explained_variance),
            "Fraction of the rows’ variance, about the mean of each feature, that the reconstructions explain:"
            " 1 is all of it, 0 is no better than those means.",
        ),
        Figure(
            "mean squared error",
            show(made.mean_squared_error),
            "Squared difference between rows and their reconstructions, averaged over rows and features.",
        ),
    ]


def _of_activations(activations: ActivationStatistics, target: float | None, noun: str) -> list[Figure]:
    active = f"A unit is active on a {noun} where its activation is above {show(activations.threshold)}."
    frequency, constant = activations.activation_frequency, activations.constant
    n_dead, n_constant = int(np.count_nonzero(frequency == 0)), int(np.count_nonzero(constant))
    n_both = int(np.count_nonzero(constant & (frequency == 0)))
    means, unit = in_safe_units(activations.mean_activation)
    mean = float(means.mean()) * unit
    aim = "" if target is None else f" The target for each unit is ρ = {show(target)}."
    return [
        Figure(
            "L0",
            show(activations.l0),
            f"Number of units, out of {len(constant):,}, that are active on a {noun}, averaged over {noun}s. {active}",
        ),
        Figure(
            "dead units",
            f"{n_dead:,}",
            about_dead(n_dead, len(constant), "unit", noun),
        ),
        Figure(
            "constant units",
            f"{n_constant:,}",
            (f"{show(100 * activations.constant_fraction)} % of the units. " if n_constant else "")
            + f"Units whose activation hardly differs among {noun}s, by a standard deviation of at most 2 % of its"
            f" mean, so that they do not distinguish {noun}s. {about_both(n_both, n_constant)}".rstrip(),
        ),
        Figure(
            "mean activation",
            show(mean),
            f"ρ̂, the mean over {noun}s, here also averaged over units: {_range_of(activations.mean_activation)}.{aim}",
        ),
    ]


def _range_of(means: FloatArray) -> str:
    return f"that of each unit lies between {show(float(means.min()))} and {show(float(means.max()))}"


def _of_edges(units: Units) -> list[Figure]:
    if units.gabor_r2 is None:
        return []
    return [
        Figure(
            "Gabor R²",
            show(float(np.median(units.gabor_r2))),
            "How well the best-fitting Gabor function, a wave under a bell curve, fits the input that a unit looks"
            " for: near 1 for edges and bars, low for noise. This is the median over units.",
        )
    ]
