"""Rows that `train` holds out, and how well a model does on them and on the rows of its training."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray
from sklearn.base import is_classifier

from rhohat.common.randomness import keyed_generator
from rhohat.common.words import counted
from rhohat.data import RowSource
from rhohat.data.rows import select_rows
from rhohat.inspection.evaluation import evaluate
from rhohat.models.explaining import is_detector
from rhohat.models.model_card import ModelCard
from rhohat.models.pipelines import estimator_of
from rhohat.objective.held_out import draw_held_out

__all__ = ["MOST_ROWS", "Held", "card_of_training", "described_data", "hold_out", "next_command"]

_DEFAULT = 0.1  # fraction of the rows that is held out for estimators that predict
_FEWEST_ROWS = 50  # with fewer rows, none are held out unless they are asked for
_MOST_CLASSES, _LONGEST_CLASS = 4, 20  # classes, and letters of their names, up to which recalls are told
MOST_ROWS = 20_000  # of the training that are looked at again


@dataclass(frozen=True)
class Held:
    """Rows and targets for the training, and those that are held out; `out` is None if no row is held out."""

    rows: RowSource
    y: NDArray[Any] | None
    out: RowSource | None = None
    y_out: NDArray[Any] | None = None


def hold_out(
    fraction: float | None, rows: RowSource, y: NDArray[Any] | None, network: Any, seed: int, *, targets_of_table: bool
) -> Held:
    """Return the rows for the training, and those that are held out.

    Parameters
    ----------
    fraction : float or None
        Fraction of the rows to hold out, at least 0 and less than 1. If None, a tenth for an estimator that learns from
        targets, with 50 rows or more, and none for other estimators.
    rows : RowSource
    y : array, with a target for each row, or None
    network : estimator
        Estimator that is to be trained.
    seed : int
        Seed of the draw.
    targets_of_table : bool
        Whether the targets are columns of the table that the rows are from.

    Raises
    ------
    BadParameter
        If the fraction is out of range, or no row would be held out or left for the training.
    """
    if fraction is not None and not 0 <= fraction < 1:
        raise typer.BadParameter(f"must be at least 0 and less than 1; got {fraction:g}.", param_hint="--validation")
    if fraction is None:
        fraction = _DEFAULT if network.learns_from_targets and len(rows) >= _FEWEST_ROWS else 0.0
    if fraction == 0:
        return Held(rows, y)
    if not 0 < round(fraction * len(rows)) < len(rows):
        raise typer.BadParameter(
            f"{fraction:g} of {len(rows)} rows leaves none to hold out, or none to learn from.",
            param_hint="--validation",
        )
    by_class = is_classifier(network) and y is not None and y.ndim == 1
    classes = np.unique(np.asarray(y), return_inverse=True)[1] if by_class else None
    chosen = draw_held_out(keyed_generator(seed, "rows held out by train"), len(rows), fraction, classes)
    is_out = np.zeros(len(rows), np.bool_)
    is_out[chosen] = True
    parts: list[Any] = []
    for numbers in (np.flatnonzero(~is_out), np.flatnonzero(is_out)):
        part, targets = select_rows(rows, numbers), None if y is None else y[numbers]
        if targets_of_table:
            part.targets = targets  # the same array as in fit, so that it finds the names
        parts += [part, targets]
    return Held(*parts)


def described_data(held: Held, name: str) -> str:
    """Return a sentence on the rows of a training, and on those that are held out."""
    data = f"{counted(len(held.rows), 'row')} of {counted(held.rows.shape[1], 'column')} of {name}"
    if held.out is not None:
        data += f"; {counted(len(held.out), 'further row')} {'was' if len(held.out) == 1 else 'were'} held out"
    return f"{data}."


def card_of_training(model: Any, held: Held, name: str) -> ModelCard:
    """Return the card of a model: its data, and figures on the rows of the training and on those held out."""
    rows, y = held.rows, held.y
    if len(rows) > MOST_ROWS:
        some = np.linspace(0, len(rows) - 1, MOST_ROWS).astype(np.intp)
        rows, y = select_rows(rows, some), None if y is None else y[some]
    return ModelCard(
        data=described_data(held, name),
        figures=_figures(model, rows, y),
        held_out={} if held.out is None else _without_dead(_figures(model, held.out, held.y_out)),
    )


def _figures(model: Any, rows: RowSource, y: NDArray[Any] | None) -> dict[str, float]:
    found, is_dictionary = evaluate(model, rows, y, cost=False), estimator_of(model).has_sparse_codes
    figures = {
        "explained variance": found.explained_variance,
        found.score_name or "score": found.score,
        "share of the largest class": found.largest_share,
        "balanced accuracy": found.balanced_accuracy,
        **_recalls(found.recalls),
        "AUC": found.roc_auc,
        **_errors("MAE", found.mean_absolute_error, estimator_of(model)),
        **_errors("RMSE", found.root_mean_squared_error, estimator_of(model)),
        "outliers": None if found.outlier_fraction is None else round(found.outlier_fraction * len(rows)),
        "L0": found.l0 if is_dictionary else None,
        "dead latents" if is_dictionary else "dead units": (
            None if found.units_are_outputs else round(found.dead_fraction * found.n_units)
        ),
    }
    return {name: float(value) for name, value in figures.items() if value is not None}


def _recalls(recalls: dict[str, float]) -> dict[str, float]:
    """Return the recalls of a few classes, by the names of figures."""
    few = len(recalls) <= _MOST_CLASSES and all(len(name) <= _LONGEST_CLASS for name in recalls)
    return {f"recall of {name!r}": recall for name, recall in recalls.items()} if few else {}


def _errors(name: str, errors: Any, estimator: Any) -> dict[str, float]:
    """Return the errors of a regressor, by the names of the targets if there are several."""
    if errors is None:
        return {}
    if len(errors) == 1:
        return {name: float(errors[0])}
    targets = getattr(estimator, "target_names_", None) or [f"target {number}" for number in range(len(errors))]
    return {f"{name} of {target}": float(error) for target, error in zip(targets, errors, strict=True)}


def _without_dead(figures: dict[str, float]) -> dict[str, float]:
    """Return figures without the number of dead units, as a unit that no held-out row activates is not dead for it."""
    return {name: value for name, value in figures.items() if not name.startswith("dead")}


def next_command(model: Any, output: Path, data: Path, labels: Path | None, rows: str | None) -> str:
    """Return the command that shows what was learned."""
    if is_detector(model):
        return shlex.join(["rhohat", "score", str(output), str(data), *([] if rows is None else ["--rows", rows])])
    words = ["rhohat", "report", str(output), str(data), "-o", str(output.with_suffix(".html"))]
    words += [] if labels is None else ["--labels", str(labels)]
    words += [] if rows is None else ["--rows", rows]
    return shlex.join(words)
