"""The command line: parse, call the Python API, print."""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, SpinnerColumn, TextColumn, TimeRemainingColumn

from rhohat.demo import DemoResult, run_demo
from rhohat.proofs import Proof, proof_cases, prove
from rhohat.solvers import IterationState

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Learn sparse features from unlabelled data.",
)


@app.callback(invoke_without_command=True)
def _main(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    if show_version:
        typer.echo(f"rhohat {version('rhohat')}")
        raise typer.Exit


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the pictures.")] = Path("demo"),
    patches: Annotated[int, typer.Option(min=100, help="Number of patches to learn from.")] = 10_000,
    hidden: Annotated[int, typer.Option(min=1, max=64, help="Number of hidden units.")] = 25,
    max_iter: Annotated[int, typer.Option(min=1, help="Most iterations.")] = 400,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random draw.")] = 0,
    jobs: Annotated[int | None, typer.Option(help="Threads; as many as BLAS would use by default.")] = None,
) -> None:
    """Learn edge detectors from photographs, print the evidence, and write pictures."""
    if jobs == 0:
        raise typer.BadParameter("must not be 0.", param_hint="--jobs")
    start = time.perf_counter()
    try:
        with _FitProgress(Console(stderr=True), max_iter) as progress:
            result = run_demo(
                output,
                n_patches=patches,
                n_components=hidden,
                max_iter=max_iter,
                seed=seed,
                n_jobs=jobs,
                callback=progress.show_iteration,
                announce=progress.announce,
            )
    except OSError as error:
        raise typer.BadParameter(f"cannot write the pictures: {error}", param_hint="--output") from error
    _print_demo(result, time.perf_counter() - start)


_PROOF_COLUMNS = (
    "activation",
    "loss",
    "penalty",
    "weights",
    "hidden layers",
    "corruption",
    "parameters",
    "gradient",
    "Hessian · v",
)


@app.command()
def check_gradient(
    every: Annotated[bool, typer.Option("--all", help="Check every combination.")] = False,
    activation: Annotated[str | None, typer.Option(help="Only this activation, such as tanh.")] = None,
    loss: Annotated[str | None, typer.Option(help="Only this loss, such as squared_error.")] = None,
    penalty: Annotated[str | None, typer.Option(help="Only with this penalty, such as kl_sparsity.")] = None,
) -> None:
    """Compare gradients with central differences, for activations × losses × penalties × tied weights × depths.

    Prints a table of relative differences, those of exact Hessian-vector products beside those of gradients. The exit
    status is 1 where a gradient is off by more than 1e-8, or a Hessian-vector product by more than 1e-6.
    """
    if not (every or activation or loss or penalty):
        raise typer.BadParameter("say --all, or --activation, --loss or --penalty.")
    cases = [
        case
        for case in proof_cases()
        if activation in (None, case.activation)
        and loss in (None, case.loss.name)
        and (penalty is None or penalty in case.penalty.split(" + "))
    ]
    if not cases:
        raise typer.BadParameter("no combination has these; see rhohat check-gradient --all for those there are.")
    typer.echo(f"| {' | '.join(_PROOF_COLUMNS)} |")
    typer.echo(f"|{'---|' * len(_PROOF_COLUMNS)}")
    proofs = []
    for case in cases:
        proofs.append(prove(case))
        typer.echo(f"| {' | '.join(_proof_row(proofs[-1]))} |")
    gradient = max(proof.gradient_difference for proof in proofs)
    hessian = [proof.hessian_difference for proof in proofs if proof.hessian_difference is not None]
    typer.echo(
        f"\n{len(proofs)} rows. The largest relative difference of a gradient is {gradient:.1e}"
        + (f", of a Hessian-vector product {max(hessian):.1e}." if hessian else ".")
    )
    wrong = [proof for proof in proofs if not proof.holds]
    for proof in wrong:
        found = f"gradient {proof.gradient_difference:.1e}, Hessian · v {proof.hessian_difference or 0:.1e}"
        typer.echo(f"wrong: {proof.case}: {found}", err=True)
    if wrong:
        raise typer.Exit(1)


def _proof_row(proof: Proof) -> list[str]:
    case = proof.case
    return [
        case.activation,
        case.loss.name,
        case.penalty,
        "tied" if case.network.tied else "untied",
        str(case.n_hidden_layers),
        case.corruption,
        str(proof.n_parameters),
        f"{proof.gradient_difference:.1e}",
        "" if proof.hessian_difference is None else f"{proof.hessian_difference:.1e}",
    ]


class _FitProgress:
    """A live line that tells the step, and during a fit the iteration, J, its terms and the time left."""

    def __init__(self, console: Console, max_iter: int) -> None:
        columns: tuple[ProgressColumn, ...] = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            TimeRemainingColumn(compact=True),
        )
        self._progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._max_iter = max_iter

    def __enter__(self) -> _FitProgress:
        self._task = self._progress.add_task("", total=None)
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def announce(self, step: str) -> None:
        self._progress.reset(self._task, total=None, description=step)

    def show_iteration(self, state: IterationState) -> None:
        terms = " + ".join(f"{value:.4f} {name.replace('_', ' ')}" for name, value in state.terms.items())
        self._progress.update(
            self._task,
            total=self._max_iter,
            completed=state.iteration,
            description=f"iteration {state.iteration}/{self._max_iter}  J {state.value:.4f} = {terms}",
        )


def _print_demo(result: DemoResult, total_seconds: float) -> None:
    """Print names on the left and values, of a line or more, on the right; plain text, which may go into a file."""
    seconds = ", ".join(f"{name} {value:.2f}" for name, value in result.seconds.items())
    pictures = "\n".join(map(str, result.pictures))
    rows = [*_demo_rows(result), ("seconds", f"{seconds}; in all {total_seconds:.2f}"), ("wrote", pictures)]
    for name, value in rows:
        for number, line in enumerate(value.splitlines()):
            typer.echo(f"{'' if number else name:<20}{line}")


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
        ("variance explained", f"{result.explained_variance:.3f}"),
        (
            "Gabor R², median",
            f"{np.median(result.gabor_r2):.3f} for the {n_units} hidden units\n"
            f"{np.median(result.gabor_r2_pca):.3f} for {n_units} principal components of the same patches",
        ),
    ]
