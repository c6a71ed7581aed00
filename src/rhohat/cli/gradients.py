"""The command `check-gradient`: of a model on its rows, or of all combinations of the parts of models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from rhohat.checking.gradcheck import GradientCheck
from rhohat.checking.gradcheck import check_gradient as compare_with_differences
from rhohat.checking.proofs import Proof, ProofCase, proof_cases, prove
from rhohat.cli.app import Json, Labels, Quiet, Traceback, command, print_json
from rhohat.cli.declared import DATA, MODEL
from rhohat.cli.looking import Target, check_targets, targets_for
from rhohat.cli.progress import FitProgress
from rhohat.cli.reading import ReadingOptions, reads_rows
from rhohat.models.formats import load
from rhohat.models.pipelines import estimator_of, last_step_of, prepare_rows

__all__ = ["PROOF_COLUMNS", "check_gradient"]

_AS_IT_COMES = ReadingOptions()
_MOST_ROWS = 100  # largest number of rows on which the gradient of a model is checked

PROOF_COLUMNS = (
    "architecture",
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


@command(
    """
    # Check the gradient of the cost that train has minimised, on 100 of the rows.
    rhohat check-gradient edges.safetensors patches.npy
    # Check every combination; this takes some minutes.
    rhohat check-gradient --all
    # Check only the models with one activation.
    rhohat check-gradient --activation tanh
    """,
    name="check-gradient",
)
@reads_rows
def check_gradient(
    ctx: typer.Context,
    model: Annotated[
        Path | None,
        typer.Argument(
            metavar="[MODEL]",
            help="A model file that train has written; the gradient of its cost is checked.",
            show_default=False,
            rich_help_panel=MODEL,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATA]",
            help="Rows for this model, in any file that train accepts.",
            show_default=False,
            rich_help_panel=DATA,
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Check every combination.", rich_help_panel=MODEL)] = False,
    architecture: Annotated[
        str | None, typer.Option(help="Only this architecture, such as max_pooling.", rich_help_panel=MODEL)
    ] = None,
    activation: Annotated[
        str | None, typer.Option(help="Only this activation, such as tanh.", rich_help_panel=MODEL)
    ] = None,
    loss: Annotated[
        str | None, typer.Option(help="Only this loss, such as squared_error.", rich_help_panel=MODEL)
    ] = None,
    penalty: Annotated[
        str | None, typer.Option(help="Only with this penalty, such as kl_sparsity.", rich_help_panel=MODEL)
    ] = None,
    labels: Labels = None,
    target: Target = None,
    reading: ReadingOptions = _AS_IT_COMES,
    as_json: Json = False,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Compare gradients with central differences: of a model's cost on rows, or of all kinds of models.

    With MODEL and DATA, the gradient of the model's cost J is checked on 100 of the rows, evenly spaced, at the weights
    with which a training starts: where a training ends, the gradient is nearly 0, and rounding would hide it. All
    parameters, such as weights and biases, are checked, or 2,000 drawn at random if there are more.

    Without MODEL and DATA, the command prints a table for combinations of architectures, activations, losses, penalties
    and tied weights: relative differences of gradients and of exact Hessian-vector products. The exit status is 1 if
    the relative difference of a gradient is more than 1e-8, or of a Hessian-vector product more than 1e-6.
    """
    chosen = every or architecture or activation or loss or penalty
    if model is not None:
        if data is None:
            raise typer.BadParameter("a model needs rows to be checked on: rhohat check-gradient MODEL DATA.")
        if chosen:
            raise typer.BadParameter("MODEL cannot be combined with --all or with a choice of combinations.")
        _check_model(ctx, model, data, labels, target, reading, as_json=as_json, quiet=quiet)
        return
    if not chosen:
        raise typer.BadParameter(
            "pass a model and rows, as MODEL DATA; or pass --all, or choose combinations by --architecture,"
            " --activation, --loss or --penalty."
        )
    cases = [
        case
        for case in proof_cases()
        if architecture in (None, case.architecture)
        and activation in (None, case.activation)
        and loss in (None, case.problem.loss.name)
        and (penalty is None or penalty in case.penalty.split(" + "))
    ]
    if not cases:
        raise typer.BadParameter(
            "no combination has these properties; rhohat check-gradient --all lists all combinations."
        )
    _check_combinations(cases, as_json=as_json)


def _check_model(
    ctx: Any,
    path: Path,
    data: Path,
    labels: Path | None,
    target: str | None,
    reading: ReadingOptions,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Check the gradient of the cost of a model on some rows, and print the verdict."""
    loaded = load(path)
    estimator: Any = estimator_of(loaded)
    if estimator.has_sparse_codes or getattr(estimator, "needs_tangents", False):
        why = "it has no cost J beside its training" if estimator.has_sparse_codes else "its cost J needs tangents"
        raise ValueError(f"the gradient of {type(last_step_of(loaded)).__name__} cannot be checked: {why}.")
    check_targets(loaded, labels, target)
    with FitProgress(quiet=quiet) as progress, reading.open_for(ctx, loaded, data, target, scores=not labels) as rows:
        y = targets_for(loaded, rows, labels, reading)
        if y is None and estimator.learns_from_targets:
            raise typer.BadParameter("the cost of this model needs targets; pass --labels or --target.")
        prepared = prepare_rows(loaded, rows)
        chosen = np.linspace(0, len(rows) - 1, min(_MOST_ROWS, len(rows))).astype(np.intp)
        given = (prepared.take(chosen),) if y is None else (prepared.take(chosen), np.asarray(y)[chosen])
        progress.announce("checking the gradient")
        found = compare_with_differences(estimator.objective(*given), estimator.initial_theta(*given))
    if as_json:
        print_json({**_check_as_dict(found), "rows": len(chosen)})
    else:
        typer.echo(f"checked on {len(chosen)} of {len(rows):,} rows, at the weights with which a training starts")
        typer.echo(str(found))
    if not found.is_right:
        raise typer.Exit(1)


def _check_as_dict(found: GradientCheck) -> dict[str, Any]:
    return {
        "relative_difference": found.relative_difference,
        "is_right": found.is_right,
        "checked": len(found.indices),
        "parameters": found.n_parameters,
        "epsilon": found.epsilon,
    }


def _check_combinations(cases: Sequence[ProofCase], *, as_json: bool) -> None:
    """Check the gradients of the given cases, print a table, and exit with the status 1 if one is wrong."""
    if as_json:
        proofs = [prove(case) for case in cases]
        print_json([_as_dict(proof) for proof in proofs])
    else:
        proofs = _print_table(cases)
    wrong = [proof for proof in proofs if not proof.holds]
    for proof in wrong:
        found = f"gradient {proof.gradient_difference:.1e}, Hessian · v {proof.hessian_difference or 0:.1e}"
        typer.echo(f"wrong: {proof.case}: {found}", err=True)
    if wrong:
        raise typer.Exit(1)


def _print_table(cases: Sequence[ProofCase]) -> list[Proof]:
    """Check the gradients of the given cases, and print a table row for each case as soon as it is checked."""
    typer.echo(f"| {' | '.join(PROOF_COLUMNS)} |")
    typer.echo(f"|{'---|' * len(PROOF_COLUMNS)}")
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
    return proofs


def _proof_row(proof: Proof) -> list[str]:
    case = proof.case
    return [
        case.architecture,
        case.activation,
        case.problem.loss.name,
        case.penalty,
        "tied" if case.problem.network.tied else "untied",
        str(case.n_hidden_layers),
        case.corruption,
        str(proof.n_parameters),
        f"{proof.gradient_difference:.1e}",
        "" if proof.hessian_difference is None else f"{proof.hessian_difference:.1e}",
    ]


def _as_dict(proof: Proof) -> dict[str, Any]:
    names = [name.lower().replace(" ", "_") for name in PROOF_COLUMNS[:7]]
    return {
        **dict(zip(names, _proof_row(proof), strict=False)),
        "hidden_layers": proof.case.n_hidden_layers,
        "parameters": proof.n_parameters,
        "gradient_difference": proof.gradient_difference,
        "hessian_difference": proof.hessian_difference,
        "holds": proof.holds,
    }
