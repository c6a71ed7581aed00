"""The command `probe`: which units or latents go with labels of rows, and how well few of them tell classes apart."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from scipy.sparse import issparse, vstack

from rhohat.cli.app import Data, Json, Labels, Model, Quiet, Traceback, command, print_json
from rhohat.cli.declared import DATA, OUTPUT
from rhohat.cli.progress import FitProgress
from rhohat.cli.reading import ReadingOptions, as_classes, reads_rows
from rhohat.common.words import counted
from rhohat.data import RowSource
from rhohat.inspection.metrics import ClassLatents, SparseProbing, class_latents, sparse_probing
from rhohat.models.formats import load
from rhohat.models.pipelines import encode_blocks, estimator_of

__all__ = ["check_not_both", "classes_of_rows", "probe"]

_AS_IT_COMES = ReadingOptions()
_LONGEST = 24  # letters of a class in the printed table


@command(
    """
    # Print which latents are active on rows with each label, and how well a few of them predict it.
    rhohat probe latents.safetensors rows.npy --labels labels.txt
    # Take the labels from a column of the table, and fit probes that see 1 and 10 latents.
    rhohat probe latents.safetensors table.csv --target species --k 1,10
    """
)
@reads_rows
def probe(
    ctx: typer.Context,
    model: Model,
    data: Data,
    labels: Labels = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="The column of DATA that holds the labels, in place of --labels.",
            show_default=False,
            rich_help_panel=DATA,
        ),
    ] = None,
    k: Annotated[
        str,
        typer.Option(
            "--k",
            metavar="NUMBERS",
            help="How many units a probe sees. Several numbers, with commas between them, give a probe each.",
            rich_help_panel=OUTPUT,
        ),
    ] = "1,2,5",
    strongest: Annotated[
        int,
        typer.Option(min=1, help="How many units to print for each class.", rich_help_panel=OUTPUT),
    ] = 5,
    reading: ReadingOptions = _AS_IT_COMES,
    as_json: Json = False,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Print which units, or latents, are active on the rows of a class, and how well a few of them predict the class.

    The labels of the rows come from a file, --labels, or from a column of the table, --target. For each class, the
    command prints the units whose activation is correlated most with it. It also fits probes: logistic regressions that
    decide whether a row belongs to the class, and that see only k units. These are the units whose mean activation on
    the rows of the class differs most from that on the other rows. Half of the rows that a probe is given belong to the
    class. It is fitted to four fifths of them, and its accuracy is that on the last fifth, where guessing gives 0.5.

    The activations of all rows are kept in memory. If there are many rows, choose some of them with --rows.
    """
    sizes = _numbers(k)
    if labels is None and target is None:
        raise typer.BadParameter("is needed, or --target COLUMN: labels of the rows.", param_hint="--labels")
    check_not_both(labels, target)
    loaded = load(model)
    with FitProgress(quiet=quiet) as progress, reading.open_for(ctx, loaded, data, target) as rows:
        classes = classes_of_rows(rows, labels, reading)
        progress.announce(f"encoding {len(rows)} rows")
        blocks = list(encode_blocks(loaded, rows))
        codes = vstack(blocks, format="csr") if issparse(blocks[0]) else np.concatenate(blocks)
        codes = codes.reshape(len(rows), -1)
        progress.announce("fitting probes")
        probing, found = sparse_probing(codes, classes, sizes), class_latents(codes, classes, strongest)
    if as_json:
        print_json(_as_dict(probing, found))
    else:
        _print(probing, found, estimator_of(loaded).noun_of_code)


def check_not_both(labels: Path | None, target: str | None) -> None:
    """Raise if labels are given by both --labels and --target."""
    if labels is not None and target is not None:
        raise typer.BadParameter("pass --labels or --target, not both.", param_hint="--labels")


def classes_of_rows(rows: RowSource, labels: Path | None, reading: ReadingOptions) -> NDArray[Any]:
    """Return the label of each row, from a file or from a column of the table."""
    found = rows.targets if labels is None else reading.labels(labels, rows)
    assert found is not None  # rows that are opened with a target have it
    return as_classes(found)


def _numbers(text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) >= 1 for part in parts):
        raise typer.BadParameter(
            f"must be positive whole numbers with commas between them, such as 1,2,5; got {text!r}.", param_hint="--k"
        )
    return [int(part) for part in parts]


def _as_dict(probing: SparseProbing, found: ClassLatents) -> dict[str, Any]:
    return {
        "k": list(probing.k),
        "mean_accuracy": probing.mean_accuracy.tolist(),
        "probes": [
            {"class": label, "units": units, "accuracy": accuracy}
            for label, units, accuracy in zip(
                probing.classes.tolist(), probing.latents.tolist(), probing.accuracy.tolist(), strict=True
            )
        ],
        "strongest": [
            {
                "class": label,
                "units": units,
                "correlation": correlation,
                "density_inside": inside,
                "density_outside": out,
            }
            for label, units, correlation, inside, out in zip(
                found.classes.tolist(),
                found.latents.tolist(),
                found.correlation.tolist(),
                found.density_inside.tolist(),
                found.density_outside.tolist(),
                strict=True,
            )
        ],
    }


def _print(probing: SparseProbing, found: ClassLatents, noun: str) -> None:
    names = {label: _shortened(str(label)) for label in found.classes.tolist()}
    width = max(5, *map(len, names.values()))
    titles = [counted(number, noun) for number in probing.k]
    typer.echo("accuracy of probes that see so many units, on rows held out".replace("units", f"{noun}s"))
    typer.echo("  ".join(["class".ljust(width), *titles]))
    for label, accuracy in zip(probing.classes.tolist(), probing.accuracy, strict=True):
        cells = [f"{value:.3f}".rjust(len(title)) for value, title in zip(accuracy, titles, strict=True)]
        typer.echo("  ".join([names[label].ljust(width), *cells]))
    if len(probing.classes) > 1:
        cells = [f"{value:.3f}".rjust(len(title)) for value, title in zip(probing.mean_accuracy, titles, strict=True)]
        typer.echo("  ".join(["mean".ljust(width), *cells]))
    typer.echo(f"\n{noun}s that are correlated most with each class")
    typer.echo(f"{'class'.ljust(width)}  {noun:>6}  correlation  active inside  active outside")
    for label, *columns in zip(
        found.classes.tolist(),
        found.latents,
        found.correlation,
        found.density_inside,
        found.density_outside,
        strict=True,
    ):
        for unit, correlation, inside, outside in zip(*columns, strict=True):
            typer.echo(
                f"{names[label].ljust(width)}  {unit:>6}  {correlation:>11.3f}  {100 * inside:>11.2f} %"
                f"  {100 * outside:>12.2f} %"
            )


def _shortened(label: str) -> str:
    text = " ".join(label.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
