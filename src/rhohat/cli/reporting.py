"""The command `report`, which writes a page about a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rhohat.cli.app import (
    Data,
    Labels,
    Model,
    Quiet,
    Threshold,
    Traceback,
    check_writable,
    command,
    parse_image_shape,
)
from rhohat.cli.declared import DATA, MODEL, OUTPUT
from rhohat.cli.files import read_lines
from rhohat.cli.looking import ImageShape, Target, check_targets, note_without_targets, targets_for
from rhohat.cli.probing import check_not_both, classes_of_rows
from rhohat.cli.progress import FitProgress
from rhohat.cli.reading import ReadingOptions, reads_rows
from rhohat.cli.texts import Texts, read_image_paths, read_texts
from rhohat.common.words import counted, message_of
from rhohat.data import RowSource
from rhohat.data.row_names import names_of_rows
from rhohat.inspection.reporting import report as write_report
from rhohat.inspection.reporting.dictionaries.contexts import texts_of_harvest
from rhohat.inspection.reporting.writing import Page
from rhohat.models.formats import load
from rhohat.models.pipelines import estimator_of

__all__ = ["report", "said_of_page"]

_AS_IT_COMES = ReadingOptions()


@command(
    """
    # Write a page that shows what each unit looks for.
    rhohat report edges.safetensors patches.npy -o edges.html
    # The same for a table, with a bar for each column.
    rhohat report species.safetensors flowers.csv --tabular
    # Show the contexts that activate each latent, if there is a text for each row.
    rhohat report latents.safetensors rows.npy --texts texts.txt
    """
)
@reads_rows
def report(
    ctx: typer.Context,
    model: Model,
    data: Data,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The .html file to write, or a folder. In a folder, contexts of latents that do not fit on one page"
            " are written to further pages.",
            rich_help_panel=OUTPUT,
        ),
    ] = Path("report.html"),
    labels: Labels = None,
    target: Target = None,
    image_shape: ImageShape = None,
    tabular: Annotated[
        bool,
        typer.Option(
            "--tabular",
            help="Draw units and rows as bars, one for each column, instead of pictures.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    threshold: Threshold = None,
    title: Annotated[
        str | None, typer.Option(help="Title of the page.", show_default=False, rich_help_panel=OUTPUT)
    ] = None,
    max_rows: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Use only this many rows, evenly spaced over the data.",
            show_default=False,
            rich_help_panel=DATA,
        ),
    ] = None,
    gabor: Annotated[
        bool | None,
        typer.Option(
            help="Fit a Gabor function, which looks like an edge or a bar, to each unit of grey images.",
            show_default="for at most 256 pixels and 256 units",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    row_names: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="A column of DATA that names the rows, by its name or by its number from 0: a text, an identifier, a"
            " date. The page about a dictionary has a search for these names.",
            show_default=False,
            rich_help_panel=DATA,
        ),
    ] = None,
    row_labels: Annotated[
        Path | None,
        typer.Option(
            "--row-labels",
            help="A text file with a name for each row, one per line, in place of --row-names.",
            show_default=False,
            rich_help_panel=DATA,
        ),
    ] = None,
    texts: Texts = None,
    images: Annotated[
        Path | None,
        typer.Option(
            "--images",
            metavar="FOLDER",
            help="The images that the rows of a dictionary come from, if rows are no images themselves: a folder, whose"
            " files are taken in the order of their names, or a text file with one path per line.",
            show_default=False,
            rich_help_panel=DATA,
        ),
    ] = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            "--compare",
            metavar="MODEL",
            help="A second dictionary, whose latents are shown beside those of the first; both are measured on DATA.",
            show_default=False,
            rich_help_panel=MODEL,
        ),
    ] = None,
    reading: ReadingOptions = _AS_IT_COMES,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Write a page for any browser, which shows what each unit looks for, and how the training went.

    The page about a dictionary has a table of latents, with the rows that activate each of them most, or the texts that
    they come from. With --labels or --target, it shows which latents go with which label.

    --id is another name of --row-names.
    """
    others = [path for path in (row_labels, texts, compare) if path is not None]
    check_writable(output, model, data, *others, endings=(".html", ".htm"), folder=True)
    if tabular and image_shape is not None:
        raise typer.BadParameter("cannot be combined with --image-shape.", param_hint="--tabular")
    if row_names is not None and row_labels is not None:
        raise typer.BadParameter("cannot be combined with --row-labels.", param_hint="--row-names")
    shape = None if tabular else parse_image_shape(image_shape) or "auto"
    loaded = load(model)
    has_classes = bool(labels or target) and estimator_of(loaded).has_sparse_codes
    if has_classes:
        check_not_both(labels, target)
    else:
        check_targets(loaded, labels, target)
    other = None if compare is None else load(compare)
    contexts = texts_of_harvest(loaded, data) if texts is None else read_texts(texts, reading.encoding)
    with FitProgress(quiet=quiet) as progress, reading.open_for(ctx, loaded, data, target, scores=not labels) as rows:
        y = None if has_classes else targets_for(loaded, rows, labels, reading)
        note_without_targets(ctx, loaded, rows, y)
        progress.announce(f"looking at {len(rows)} rows")
        page = write_report(
            loaded,
            rows,
            output,
            y,
            image_shape=shape,
            threshold=threshold,
            title=title,
            max_rows=max_rows,
            gabor=gabor,
            row_names=_names_of_rows(data, rows, row_names, row_labels, reading),
            texts=contexts,
            compare=other,
            images=None if images is None else read_image_paths(images, reading.encoding),
            labels=classes_of_rows(rows, labels, reading) if has_classes else None,
        )
    if not quiet:
        typer.echo(said_of_page(page, output))


def said_of_page(page: str, output: Path) -> str:
    """Return what is said of a page that was written."""
    assert isinstance(page, Page)
    if page.n_further:
        verb = "is" if page.n_further == 1 else "are"
        further = f"{counted(page.n_further, 'further page')} {verb} in the folder"
        return f"wrote {output}: open {page.path} in a browser; {further}"
    left_out = page.remark.replace("name a folder as its path", "pass a folder as --output")
    return f"wrote {page.path}: open it in a browser{'. ' if left_out else ''}{left_out}"


def _names_of_rows(
    data: Path, rows: RowSource, column: str | None, labels: Path | None, reading: ReadingOptions
) -> list[str] | None:
    """Return the names of rows from a column of the data, or from the lines of a file; None if neither is given."""
    if labels is not None:
        lines = read_lines(labels, reading.encoding)
        if len(lines) not in (len(rows), rows.n_rows_found):
            n_rows = counted(len(rows), "row")
            problem = (
                f"{labels}, given as --row-labels, must have one line for each of the {n_rows}; it has {len(lines):,}."
            )
            raise ValueError(problem)
        return lines
    if column is None:
        return None
    try:
        return names_of_rows(data, column, None if rows.reading is None else rows.reading.text)
    except ValueError as error:
        problem, for_python, _ = message_of(error).partition(" Pass the names themselves")
        instead = " Write the names to a text file, one in a line, and pass it as --row-labels." if for_python else ""
        raise ValueError(problem + instead) from None
