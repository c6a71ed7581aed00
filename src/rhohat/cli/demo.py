"""The command `demo`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from rhohat.cli.app import Jobs, Quiet, Traceback, command
from rhohat.cli.declared import DATA, MODEL, OUTPUT, TRAINING
from rhohat.cli.demonstration import DemoResult, run_demo
from rhohat.cli.progress import FitProgress

__all__ = ["demo"]


@command(
    """
    # Learn 25 edge detectors; the pictures are then in the folder demo.
    rhohat demo
    # Learn more of them from more patches.
    rhohat demo --hidden 64 --patches 50000 -o edges
    """
)
def demo(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the pictures.", rich_help_panel=OUTPUT)
    ] = Path("demo"),
    patches: Annotated[
        int, typer.Option(min=100, help="Number of patches to learn from.", rich_help_panel=DATA)
    ] = 10_000,
    hidden: Annotated[int, typer.Option(min=1, max=64, help="Number of hidden units.", rich_help_panel=MODEL)] = 25,
    max_iter: Annotated[int, typer.Option(min=1, help="Largest number of iterations.", rich_help_panel=TRAINING)] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random draw.", rich_help_panel=TRAINING)] = 0,
    jobs: Jobs = None,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Learn edge detectors from photographs, print how good they are, and write pictures."""
    if jobs == 0:
        raise typer.BadParameter("must not be 0.", param_hint="--jobs")
    start = time.perf_counter()
    try:
        with FitProgress(max_iter, quiet=quiet) as progress:
            result = run_demo(
                output,
                n_patches=patches,
                n_components=hidden,
                max_iter=max_iter,
                seed=seed,
                n_jobs=jobs,
                callback=progress,
                announce=progress.announce,
            )
    except OSError as error:
        raise typer.BadParameter(f"cannot write the pictures: {error}", param_hint="--output") from error
    _print_demo(result, time.perf_counter() - start)
    if not quiet:
        _print_next(output)


def _print_demo(result: DemoResult, total_seconds: float) -> None:
    """Print the results as plain text: names on the left, and values, which may take several lines, on the right."""
    seconds = ", ".join(f"{name} {value:.2f}" for name, value in result.seconds.items())
    pictures = "\n".join(map(str, result.pictures))
    rows = [*_demo_rows(result), ("seconds", f"{seconds}; in all {total_seconds:.2f}"), ("wrote", pictures)]
    for name, value in rows:
        for number, line in enumerate(value.splitlines()):
            typer.echo(f"{'' if number else name:<20}{line}")


def _print_next(folder: Path) -> None:
    """Print what to look at, and what to type next."""
    filters = folder / "filters.png"
    typer.echo(
        f"\nLook at {filters}: most units have become detectors of edges, although nobody told them what an edge is.\n"
        "Then learn from pictures of your own:\n"
        "  rhohat patches FOLDER -o patches.npy\n"
        "  rhohat train patches.npy -o edges.safetensors --hidden 64\n"
        "  rhohat report edges.safetensors patches.npy -o edges.html"
    )


def _demo_rows(result: DemoResult) -> list[tuple[str, str]]:
    autoencoder, check = result.autoencoder, result.gradient_check
    n_units = len(result.gabor_r2)
    rho_hat = autoencoder.mean_activation_
    terms = "\n".join(f"{value:.6f}  {name.replace('_', ' ')}" for name, value in result.terms.items())
    return [
        ("gradient check", f"relative difference {check.relative_difference:.2e} over {check.n_parameters} parameters"),
        ("iterations", f"{autoencoder.n_iter_} ({autoencoder.n_evaluations_} evaluations)"),
        ("J", f"{result.cost:.6f}, of which\n{terms}"),
        ("mean activation", f"{rho_hat.min():.4f} to {rho_hat.max():.4f} (target {autoencoder.sparsity:g})"),
        ("explained variance", f"{result.explained_variance:.3f}"),
        (
            "Gabor R², median",
            f"{np.median(result.gabor_r2):.3f} for the {n_units} hidden units\n"
            f"{np.median(result.gabor_r2_pca):.3f} for {n_units} principal components of the same patches",
        ),
    ]
