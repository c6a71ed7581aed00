"""The command `demo`."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from pathlib import Path
from textwrap import fill
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
    # Learn 25 edge detectors; their pictures, the model and the patches are then in the folder demo.
    rhohat demo
    # Learn more of them from more patches.
    rhohat demo --hidden 64 --patches 50000 -o edges
    """
)
def demo(
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Folder for the pictures, the model and the patches.",
            rich_help_panel=OUTPUT,
        ),
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
    """Learn edge detectors from photographs, print how good they are, and write pictures, the model and the patches."""
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
        raise typer.BadParameter(f"cannot write the pictures or the model: {error}", param_hint="--output") from error
    _print_demo(result, time.perf_counter() - start)
    if not quiet:
        _print_next(output, result)


def _print_demo(result: DemoResult, total_seconds: float) -> None:
    """Print the results as plain text: names on the left, and values, which may take several lines, on the right."""
    each = ", ".join(f"{name} {value:.2f}" for name, value in result.seconds.items())
    seconds = fill(f"{each}; in all {total_seconds:.2f}", 60)
    written = "\n".join(map(str, [*result.pictures, *result.files]))
    rows = [*_demo_rows(result), ("seconds", seconds), ("wrote", written)]
    for name, value in rows:
        for number, line in enumerate(value.splitlines()):
            typer.echo(f"{'' if number else name:<20}{line}")


def _print_next(folder: Path, result: DemoResult) -> None:
    """Print what to look at, and what to type next."""
    rhohat = _program()
    model, patches = (shlex.quote(str(file)) for file in result.files)
    page, dense, picture = (
        shlex.quote(str(folder / name)) for name in ("report.html", "rho-0.05.safetensors", "rho-0.05.png")
    )
    typer.echo(
        f"\nLook at {folder / 'filters.png'}: most units have become detectors of edges, although\n"
        "nobody told them what an edge is. To see more of the model that was learned:\n"
        f"  {rhohat} report {model} {patches} -o {page}\n"
        f"  {rhohat} evaluate {model} {patches}\n"
        f"  {rhohat} check-gradient {model} {patches}\n"
        "Then change ρ, to 0.05 for example, and compare the pictures:\n"
        f"  {rhohat} train {patches} -o {dense} --rho 0.05\n"
        f"  {rhohat} plot {dense} -o {picture}\n"
        "Then learn from pictures of your own:\n"
        f"  {rhohat} patches FOLDER -o patches.npy\n"
        f"  {rhohat} train patches.npy -o edges.safetensors --hidden 64\n"
        f"  {rhohat} report edges.safetensors patches.npy -o edges.html"
    )


def _program() -> str:
    """Return how to call the program: by its path if it was called so, as make demo does, and the shell lacks it."""
    called = Path(sys.argv[0])
    return shlex.quote(str(called)) if called.stem == "rhohat" and shutil.which("rhohat") is None else "rhohat"


def _demo_rows(result: DemoResult) -> list[tuple[str, str]]:
    autoencoder, check = result.autoencoder, result.gradient_check
    n_units = len(result.gabor_r2)
    rho_hat = autoencoder.mean_activation_
    terms = "\n".join(f"{value:.6f}  {name.replace('_', ' ')}" for name, value in result.terms.items())
    return [
        (
            "gradient check",
            f"relative difference {check.relative_difference:.2e} over {check.n_parameters} parameters\n"
            "of a smaller net, of 5 units; below 1e-8 is right",
        ),
        ("iterations", f"{autoencoder.n_iter_} ({autoencoder.n_evaluations_} evaluations of J and its gradient)"),
        ("J", f"{result.cost:.6f}, of which\n{terms}"),
        (
            "mean activation",
            f"{rho_hat.min():.4f} to {rho_hat.max():.4f}, of each unit (target ρ = {autoencoder.sparsity:g})",
        ),
        (
            "explained variance",
            f"{result.explained_variance:.3f}; more units or a larger ρ raise it",
        ),
        (
            "dead units",
            f"{result.n_dead} of {n_units}, which no patch activates"
            + (":\nthe last squares of filters.png" if result.n_dead else ""),
        ),
        (
            "Gabor R², median",
            f"{np.median(result.gabor_r2):.3f} for the {n_units} hidden units\n"
            f"{np.median(result.gabor_r2_pca):.3f} for {n_units} principal components of the same patches\n"
            "1: a filter looks exactly like an edge or a bar",
        ),
    ]
