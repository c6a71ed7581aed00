"""What `train` prints at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from rhohat.cli.app import print_json
from rhohat.cli.held_out import MOST_ROWS, Held
from rhohat.cli.option_names import Typed
from rhohat.common.words import counted
from rhohat.estimators.dead_units import remark_on_dead_units
from rhohat.estimators.dictionary_messages import remark_on_updates
from rhohat.estimators.large_rows import remark_on_large_rows
from rhohat.models.model_card import ModelCard
from rhohat.models.pipelines import estimator_of, is_pipeline, last_step_of, prepare_rows

__all__ = ["amount_of_training", "print_summary", "remark_on_training"]


def remark_on_training(model: Any, held: Held, card: ModelCard, typed: Typed) -> str | None:
    """Return what a user should know, in the words of the command line.

    It is that rows are too large for units, that many units are dead, or that updates were few.
    """
    estimator = estimator_of(model)
    if estimator.has_sparse_codes:
        remarks = [remark_on_updates(estimator)]
    else:
        n_dead, n_units = int(card.figures.get("dead units", 0)), estimator.layer_sizes_[estimator.code_layer_]
        remarks = [
            remark_on_large_rows(estimator.network_, prepare_rows(model, held.rows)),
            remark_on_dead_units(n_dead, n_units, estimator.sparsity_target_),
        ]
    return " ".join(typed.written(remark) for remark in remarks if remark is not None) or None


def amount_of_training(part: Any) -> str:
    """Return how much a part of a fit was trained: the number of iterations, or of rows and updates of a dictionary."""
    if part.has_sparse_codes:
        return f"{counted(part.n_samples_fit_, 'row')} seen in {counted(part.n_steps_, 'update')}"
    return counted(part.n_iter_, "iteration")


def print_summary(
    model: Any,
    output: Path,
    held: Held,
    card: ModelCard,
    seconds: float,
    command: str,
    remark: str | None = None,
    *,
    is_resumed: bool = False,
    as_json: bool,
    quiet: bool,
) -> None:
    """Print what was trained, how long it took, how well the model does, and what to type next."""
    estimator = estimator_of(model)
    layers = getattr(estimator, "autoencoders_", [estimator])
    summary: dict[str, Any] = {
        "model": str(output),
        "kind": type(last_step_of(model)).__name__,
        "preprocessing": [type(step).__name__ for _, step in model.steps[:-1]] if is_pipeline(model) else [],
        "rows": len(held.rows),
        "layer_sizes": list(estimator.layer_sizes_),
        "iterations": [layer.n_iter_ for layer in layers],
        "status": [layer.solver_status_ for layer in layers],
        "updates": estimator.n_steps_ if estimator.has_sparse_codes else None,
        "J": [layer.loss_curve_[-1] if layer.loss_curve_ else None for layer in layers],
        "seconds": seconds,
        "figures": card.figures,
        "held_out": card.held_out,
        "remark": remark,
        "next": command,
    }
    if as_json:
        print_json(summary)
    elif not quiet:
        trained = _of_dictionary(estimator) if estimator.has_sparse_codes else _of_networks(summary)
        took = f"{seconds:.1f} s" + (" since it was resumed" if is_resumed else "")
        for line in _lines(summary, trained, held, took):
            typer.echo(line)


def _of_networks(summary: dict[str, Any]) -> list[str]:
    """Return how much one network, or the layers of a stack, were trained, and J at the end."""
    costs = ", ".join("none" if cost is None else f"{cost:.6g}" for cost in summary["J"])
    iterations = summary["iterations"]
    done = (
        counted(iterations[0], "iteration") if len(iterations) == 1 else f"{', '.join(map(str, iterations))} iterations"
    )
    return [f"{done}, J = {costs}"]


def _of_dictionary(dictionary: Any) -> list[str]:
    """Return how much a dictionary was trained, and its figures at the end, which are means over updates."""
    lines = [amount_of_training(dictionary)]
    if dictionary.loss_curve_:
        fvu, l0 = (dictionary.measures_curve_[name][-1] for name in ("fvu", "l0"))
        end = f"J {dictionary.loss_curve_[-1]:.6g}, FVU {fvu:.4f}, L0 {l0:.1f}"
        lines.append(f"mean over the last block of updates of the training: {end}")
    return lines


def _lines(summary: dict[str, Any], trained: list[str], held: Held, took: str) -> list[str]:
    sizes = "-".join(map(str, summary["layer_sizes"]))
    lines = [f"wrote {summary['model']}: {summary['kind']} {sizes}, {trained[0]}, {took}", *trained[1:]]
    n_rows, n_looked_at = len(held.rows), min(len(held.rows), MOST_ROWS)
    some = "" if n_looked_at == n_rows else f"{n_looked_at:,} of "
    lines.append(f"on {some}the {n_rows:,} training rows: {_shown(summary['figures'])}")
    if held.out is not None:
        lines.append(f"on the {len(held.out):,} held-out rows: {_shown(summary['held_out'])}")
    if summary["remark"]:
        lines.append(f"note: {summary['remark']}")
    return [*lines, f"next: {summary['next']}"]


def _shown(figures: dict[str, float]) -> str:
    return ", ".join(f"{figure} {_number(figure, value)}" for figure, value in figures.items())


def _number(name: str, value: float) -> str:
    if name.startswith(("dead", "outliers")):
        return f"{value:.0f}"
    return f"{value:.1f}" if name == "L0" else f"{value:.4g}" if "MAE" in name or "RMSE" in name else f"{value:.4f}"
