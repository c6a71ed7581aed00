"""The options of `train` that change settings of the solver, whichever it is: --learning-rate and --batch-size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import typer

from rhohat.estimators import AutoencoderDetector
from rhohat.estimators.stacked_autoencoder import HasLayers
from rhohat.solvers import MiniBatchSolver, as_solver

__all__ = ["check_nested_solver", "set_in_solver"]


#: The options, by the names of the settings of the solver.
_OPTIONS = {"learning_rate": "--learning-rate", "batch_size": "--batch-size"}


def check_nested_solver(estimator: Any, nested: dict[str, Any]) -> None:
    """Raise BadParameter if settings such as ``solver__batch_size`` are meant for a solver that is yet to be chosen."""
    settings = {name.partition("__")[2]: value for name, value in nested.items() if name.startswith("solver__")}
    if not settings or estimator.get_params(deep=False).get("solver", "") is not None:
        return
    name = type(estimator).command_line_name
    written = ", ".join(
        [
            *(f"{setting}={value}" for setting, value in settings.items()),
            *([] if "learning_rate" in settings else ["learning_rate=1e-3"]),
        ]
    )
    options = [f"{option} {settings[key]}" for key, option in _OPTIONS.items() if key in settings]
    instead = f" or {' '.join(options)}" if len(options) == len(settings) else ""
    raise typer.BadParameter(
        f"the solver of {name} is None, which chooses one by the numbers of latents and rows, so that it has no"
        f" settings yet; write --set 'solver=Adam({written})'{instead}.",
        param_hint="--set",
    )


def set_in_solver(
    estimator: Any, learning_rate: float | None, batch_size: int | None, n_rows: int, settings: list[str]
) -> None:
    """Change these two settings of the solver of an estimator, of its layers, or of the autoencoder of a detector.

    All other settings stay as they are, also those that a dictionary chooses if no solver is given.

    Parameters
    ----------
    estimator : estimator
        It is not fitted yet.
    learning_rate : float or None
    batch_size : int or None
    n_rows : int
        Number of rows of the training, on which the default batch size of a dictionary depends.
    settings : list of str
        Texts NAME=VALUE of the option --set.

    Raises
    ------
    BadParameter
        If a solver sees all rows at once, if the value is out of its range, or if --set says the same.
    """
    given = {"learning_rate": learning_rate, "batch_size": batch_size}
    changes = {name: value for name, value in given.items() if value is not None}
    said = {setting.partition("=")[0].strip() for setting in settings}
    for name in changes:
        if f"solver__{name}" in said:
            raise typer.BadParameter(
                f"pass this option or --set solver__{name}=..., not both.", param_hint=_OPTIONS[name]
            )
    if changes:
        _change(estimator, changes, n_rows)


def _change(estimator: Any, changes: dict[str, Any], n_rows: int) -> None:
    if isinstance(estimator, AutoencoderDetector):
        _change(estimator.autoencoder, changes, n_rows)
        return
    if isinstance(estimator, HasLayers):
        for layer in estimator.layers or ():
            _change(layer, changes, n_rows)
    if "solver" not in estimator.get_params(deep=False):
        return
    # None is the solver that a dictionary chooses by the number of rows that it will see in all passes.
    solver = estimator._solver(n_rows * estimator.max_iter) if estimator.solver is None else as_solver(estimator.solver)
    if not isinstance(solver, MiniBatchSolver):
        raise typer.BadParameter(
            f"the solver {type(solver).__name__} sees all rows at once; leave this option out, or pass --solver adam or"
            " --solver sgd, which learn from batches of rows.",
            param_hint=_OPTIONS[next(iter(changes))],
        )
    for name, value in changes.items():
        try:
            solver = replace(solver, **{name: value})
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint=_OPTIONS[name]) from None
    estimator.set_params(solver=solver)
