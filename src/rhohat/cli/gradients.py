"""The command `check-gradient`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from rhohat.checking.proofs import Proof, ProofCase, proof_cases, prove
from rhohat.cli.app import Json, Traceback, command, print_json
from rhohat.cli.declared import MODEL

__all__ = ["PROOF_COLUMNS", "check_gradient"]

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
    # Check every combination; this takes some minutes.
    rhohat check-gradient --all
    # Check what has to do with one activation.
    rhohat check-gradient --activation tanh
    """,
    name="check-gradient",
)
def check_gradient(
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
    as_json: Json = False,
    traceback: Traceback = False,
) -> None:
    """Compare gradients with central differences, for architectures × activations × losses × penalties × tied weights.

    Prints a table of the relative differences of gradients and of exact Hessian-vector products. The exit status is 1
    if the relative difference of a gradient is more than 1e-8, or of a Hessian-vector product more than 1e-6.
    """
    if not (every or architecture or activation or loss or penalty):
        raise typer.BadParameter(
            "pass --all, or choose combinations by --architecture, --activation, --loss or --penalty."
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
