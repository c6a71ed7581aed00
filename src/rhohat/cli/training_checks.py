"""What `train` refuses before or after a training, and what it remarks on."""

from __future__ import annotations

import csv
import shlex
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import typer
from numpy.typing import NDArray

from rhohat.cli.app import note
from rhohat.common.words import Sentence, counted, listed
from rhohat.data import RowSource
from rhohat.data.identifiers import columns_of_identifiers
from rhohat.data.readers import image_files
from rhohat.models.model_card import ModelCard
from rhohat.models.pipelines import estimator_of

__all__ = [
    "check_note",
    "check_options",
    "check_outcome",
    "check_targets",
    "check_texts",
    "note_on_classes",
    "note_on_identifiers",
    "note_on_sparsity",
]

_MANY_CLASSES, _FEW_ROWS = 20, 5  # labels of more classes, with fewer rows each, look like values of a quantity


def check_note(text: str | None) -> None:
    """Raise BadParameter if a note is longer than model cards allow."""
    try:
        ModelCard(note=text or "")
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--note") from None


def check_texts(missing: str | None, one_hot: bool, min_frequency: int | None) -> None:
    """Raise BadParameter if what is said of texts contradicts what is said of missing values, or of their encoding."""
    if min_frequency is not None and not one_hot:
        raise typer.BadParameter("counts texts, which need --one-hot.", param_hint="--min-frequency")
    if one_hot and missing == "mean":
        raise typer.BadParameter(
            "mean fills in numbers only; together with --one-hot, pass --missing impute.", param_hint="--missing"
        )


def check_options(data: Path, columns: str | None, drop: str | None) -> None:
    """Raise if options contradict one another, or if the data are images that `patches` must prepare first."""
    if columns is not None and drop is not None:
        raise typer.BadParameter(
            "cannot be combined with --columns: name either the columns to read or the columns to leave out.",
            param_hint="--drop",
        )
    if data.is_dir() and image_files(data):
        raise ValueError(f"{data} holds image files and no rows. Cut patches out of them first, with rhohat patches.")


def check_targets(kind: type[Any], labels: Path | None, target: str | None) -> None:
    """Raise unless targets are given once to an estimator that learns from targets, and not to any other estimator."""
    supervised, name = kind.learns_from_targets, kind.command_line_name
    option = "--target" if labels is None else "--labels"
    if (labels or target) and not supervised:
        raise typer.BadParameter(
            f"{name} learns without targets; leave this option out, or pass -e classifier or -e regressor.",
            param_hint=option,
        )
    if labels and target:
        raise typer.BadParameter("pass --labels or --target, not both.", param_hint=option)
    if supervised and not (labels or target):
        raise typer.BadParameter(
            f"{name} needs targets to learn from; pass --target COLUMN or --labels FILE.", param_hint=option
        )


def note_on_classes(ctx: Any, y: NDArray[Any]) -> None:
    """Print a note if the labels of a classifier look like values of a quantity; raise ValueError if they must be.

    Classes of about one row each are refused before a training that could not be judged, numbers or not.
    """
    is_numeric, n_classes = y.dtype.kind in "iuf", len(set(y.ravel().tolist()))
    decimals = y[np.isfinite(y) & (y != np.floor(y))] if is_numeric else y[:0]
    if len(decimals):
        raise ValueError(
            f"the target has numbers with decimals, such as {decimals[0]:g}, which are no classes; pass -e regressor,"
            " which predicts numbers."
        )
    if y.ndim == 1 and n_classes > max(_MANY_CLASSES, len(y) // 2):
        raise ValueError(
            f"the target has {n_classes:,} classes in {len(y):,} rows, about one row each, from which nothing can be"
            " learned of a class; pass -e regressor if these are values of a quantity, or another --target."
        )
    if is_numeric and n_classes > _MANY_CLASSES and len(y) < _FEW_ROWS * n_classes:
        note(
            ctx,
            f"note: the target has {n_classes:,} classes in {len(y):,} rows, about"
            f" {counted(round(len(y) / n_classes), 'row')} each; if the targets are values of a quantity, pass -e"
            " regressor, which predicts numbers.",
        )


def note_on_sparsity(ctx: Any, network: Any, sparsity: float | None) -> None:
    """Print a note if a target ρ is given to a model whose penalty on sparsity has the weight 0."""
    parameters = network.get_params().items()
    weights = [value for name, value in parameters if name.rpartition("__")[2] == "sparsity_weight"]
    if sparsity is not None and weights and not any(weights):
        note(ctx, "note: --sparsity has no effect while the weight of its penalty is 0; give it one with --beta.")


def note_on_identifiers(ctx: Any, rows: RowSource) -> None:
    """Print a note if columns of a table look like numbers of the rows, from which nothing can be learned."""
    found = columns_of_identifiers(rows)
    if not found:
        return
    line = StringIO()
    csv.writer(line, lineterminator="").writerow(found)
    has, it = ("has", "it") if len(found) == 1 else ("have", "them")
    note(
        ctx,
        f"note: {listed([repr(name) for name in found])} {has} another number in each row, like an identifier, from"
        f" which nothing can be learned; leave {it} out with --drop {shlex.quote(line.getvalue())}.",
    )


def check_outcome(model: Any) -> None:
    """Raise ValueError if a fit diverged or ended with values that are not finite."""
    for _, part in estimator_of(model).fitted_parts():
        if part.solver_status_ in ("diverged", "not_finite"):
            raise ValueError(Sentence("no model was written: ", part.solver_message_))
