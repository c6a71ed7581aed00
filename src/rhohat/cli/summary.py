"""What `train` prints at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from rhohat.cli.app import print_json, written
from rhohat.cli.held_out import Held
from rhohat.estimators.large_rows import remark_on_large_rows
from rhohat.models.model_card import ModelCard
from rhohat.models.pipelines import estimator_of, is_pipeline, last_step_of, prepare_rows

__all__ = ["print_summary", "remark_on_rows"]


def remark_on_rows(model: Any, held: Held) -> str | None:
    """Return a remark if the rows of the training are too large for the units of a network; None otherwise."""
    estimator = estimator_of(model)
    if estimator.has_sparse_codes:
        return None
    remark = remark_on_large_rows(estimator.network_, prepare_rows(model, held.rows))
    return None if remark is None else written(remark)


def print_summary(
    model: Any,
    output: Path,
    held: Held,
    card: ModelCard,
    seconds: float,
    command: str,
    remark: str | None = None,
    *,
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
        for line in _lines(summary, held):
            typer.echo(line)


def _lines(summary: dict[str, Any], held: Held) -> list[str]:
    sizes = "-".join(map(str, summary["layer_sizes"]))
    costs = ", ".join("none" if cost is None else f"{cost:.6g}" for cost in summary["J"])
    iterations = ", ".join(map(str, summary["iterations"]))
    lines = [
        f"wrote {summary['model']}: {summary['kind']} {sizes}, {iterations} iterations, J = {costs},"
        f" {summary['seconds']:.1f} s"
    ]
    for name, rows, figures in (
        ("training", held.rows, summary["figures"]),
        ("held-out", held.out, summary["held_out"]),
    ):
        if rows is not None:
            shown = ", ".join(f"{figure} {_number(figure, value)}" for figure, value in figures.items())
            lines.append(f"on the {len(rows):,} {name} rows: {shown}")
    if summary["remark"]:
        lines.append(f"note: {summary['remark']}")
    return [*lines, f"next: {summary['next']}"]


def _number(name: str, value: float) -> str:
    return f"{value:.0f}" if name.startswith("dead") else f"{value:.1f}" if name == "L0" else f"{value:.4f}"
