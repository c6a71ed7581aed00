"""What `train` lets a user choose by name: estimators, and steps of preprocessing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import typer

from rhohat.data import RowSource, TablePreprocessor
from rhohat.estimators import AutoencoderDetector
from rhohat.estimators.dictionary import BaseDictionary
from rhohat.estimators.shaped_rows import takes_padding
from rhohat.models.components import ESTIMATORS, command_line_name, names_of_steps, transformers
from rhohat.models.pipelines import suggest_preprocessing

__all__ = [
    "estimator_named",
    "estimators",
    "preprocessing",
    "preprocessing_as_text",
    "step_named",
    "steps",
    "table_preprocessing",
]

_ALONE = "auto and none cannot be combined with other steps."


def estimators() -> dict[str, type[Any]]:
    """Return the estimators that `train` offers, keyed by their names on the command line."""
    return _named(ESTIMATORS.values())


def steps() -> dict[str, type[Any]]:
    """Return the transformers that can preprocess rows, keyed by their names on the command line."""
    return _named(transformers().values())


def _named(classes: Iterable[type[Any]]) -> dict[str, type[Any]]:
    """Return the classes that have a name on the command line, keyed by this name."""
    names = {cls: command_line_name(cls) for cls in classes}
    return {name: cls for cls, name in names.items() if name is not None}


def _choice(text: str, names: Iterable[str]) -> str:
    """Return a string if it is one of the given names; raise BadParameter otherwise."""
    if text not in names:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(map(repr, names))}.")
    return text


def estimator_named(name: str) -> type[Any]:
    """Return the estimator of this name; raise BadParameter if there is none."""
    return estimators()[_choice(name, estimators())]


def step_named(name: str) -> str:
    """Return the name of a step of preprocessing, or auto or none; raise BadParameter for any other string."""
    return _choice(name, ("auto", "none", *names_of_steps()))


def preprocessing(chosen: list[str] | None, rows: RowSource, network: Any) -> list[Any]:
    """Return the chosen steps of preprocessing; by default, steps that suit the rows and the network."""
    chosen = chosen or ["auto"]
    if len(chosen) > 1 and set(chosen) & {"auto", "none"}:
        raise typer.BadParameter(_ALONE, param_hint="--preprocess")
    if chosen == ["auto"]:
        scales_itself = isinstance(network, BaseDictionary | AutoencoderDetector) or takes_padding(network)
        return [] if scales_itself else suggest_preprocessing(rows)
    return [steps()[step]() for step in chosen if step != "none"]


def preprocessing_as_text(steps: list[Any], network: Any) -> str:
    """Return the line that says which steps are applied to the rows, and what a dictionary does to them itself."""
    names = ", ".join(type(step).__name__ for step in steps) or "none; the rows are used as they are"
    if not isinstance(network, BaseDictionary):
        return f"preprocessing: {names}"
    scales = {None: "", "mean_norm": "divides all numbers by one factor", "layer_norm": "standardises each row"}
    own = scales.get(network.normalize)  # what it cannot be is refused by the fit
    return f"preprocessing: {names}" + (f", and the dictionary {own} (normalize={network.normalize})" if own else "")


def table_preprocessing(chosen: list[str] | None, *, imputes: bool, min_frequency: int | None = None) -> list[Any]:
    """Return the steps for a table that holds texts or lacks values: its own, which scales the numbers, and others.

    Parameters
    ----------
    chosen : list of str or None
        Names of steps. minmax, standard or none, as the first one, says how numbers are scaled; auto is minmax.
    imputes : bool
        Whether missing values are imputed.
    min_frequency : int or None, default=None
        Number of rows in which a text must be found to be a category of its own; None for the usual number.
    """
    chosen = chosen or ["auto"]
    if len(chosen) > 1 and set(chosen) & {"auto", "none"}:
        raise typer.BadParameter(_ALONE, param_hint="--preprocess")
    first, *others = chosen
    if "range" in chosen:
        raise typer.BadParameter(
            "range scales all numbers of a table alike, whatever their units; pass minmax, which brings each column to"
            " the range from 0 to 1.",
            param_hint="--preprocess",
        )
    scales = {"auto": "minmax", "minmax": "minmax", "standard": "standard", "none": "none"}
    if first not in scales:
        first, others = "none", [first, *others]
    table = TablePreprocessor(scales[first], "impute" if imputes else "error")
    if min_frequency is not None:
        table.set_params(min_frequency=min_frequency)
    return [table, *(steps()[step]() for step in others)]
