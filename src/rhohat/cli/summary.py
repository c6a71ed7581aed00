"""What `train` prints at its end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from rhohat.cli.app import print_json
from rhohat.models.pipelines import estimator_of, is_pipeline, last_step_of

__all__ = ["print_summary"]


def print_summary(model: Any, output: Path, shape: tuple[int, int], *, as_json: bool, quiet: bool) -> None:
    """Print what was trained."""
    estimator = estimator_of(model)
    layers = getattr(estimator, "autoencoders_", [estimator])
    layer_sizes = list(estimator.layer_sizes_)
    summary: dict[str, Any] = {
        "model": str(output),
        "kind": type(last_step_of(model)).__name__,
        "preprocessing": [type(step).__name__ for _, step in model.steps[:-1]] if is_pipeline(model) else [],
        "rows": shape[0],
        "layer_sizes": layer_sizes,
        "iterations": [layer.n_iter_ for layer in layers],
        "status": [layer.solver_status_ for layer in layers],
        "J": [layer.loss_curve_[-1] if layer.loss_curve_ else None for layer in layers],
    }
    if as_json:
        print_json(summary)
    elif not quiet:
        sizes = "-".join(map(str, layer_sizes))
        costs = ", ".join("none" if cost is None else f"{cost:.6g}" for cost in summary["J"])
        iterations = ", ".join(map(str, summary["iterations"]))
        typer.echo(f"wrote {output}: {summary['kind']} {sizes}, {iterations} iterations, J = {costs}")
