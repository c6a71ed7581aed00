"""The command `match`, which compares what two models have learned."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from rhohat.cli.app import Json, Quiet, Traceback, check_writable, command, print_json
from rhohat.cli.declared import DATA, MODEL, OUTPUT
from rhohat.cli.files import DIGITS
from rhohat.cli.reading import ReadingOptions, reads_rows
from rhohat.cli.reporting import said_of_page
from rhohat.cli.texts import Texts, read_texts
from rhohat.common.arrays import FloatArray
from rhohat.common.whole_files import replacing
from rhohat.inspection.metrics import match_dictionaries
from rhohat.inspection.metrics.matching import ALIKE, DictionaryMatch
from rhohat.inspection.reporting import report
from rhohat.inspection.reporting.dictionaries.contexts import texts_of_harvest
from rhohat.models.formats import load
from rhohat.models.pipelines import estimator_of

__all__ = ["match"]

_AS_IT_COMES = ReadingOptions()
_MOST_LINES = 20  # of the printed table
_MOST_BY_CHANCE = 4096  # most directions of which random ones are matched, which takes seconds

_HELP = "A model file, or a dictionary of another library."


@command(
    """
    # See which units of two trainings, with different seeds, look for the same.
    rhohat match first.safetensors second.safetensors
    # Write all pairs.
    rhohat match first.safetensors second.safetensors -o pairs.csv
    # Write a page that shows the latents of two dictionaries side by side, with the rows that activate them.
    rhohat match a.safetensors b.safetensors --report page.html --data rows.npy
    """
)
@reads_rows
def match(
    ctx: typer.Context,
    first: Annotated[Path, typer.Argument(metavar="A", help=_HELP, show_default=False, rich_help_panel=MODEL)],
    second: Annotated[Path, typer.Argument(metavar="B", help=_HELP, show_default=False, rich_help_panel=MODEL)],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A .csv file to which all pairs are written.", rich_help_panel=OUTPUT),
    ] = None,
    absolute: Annotated[
        bool,
        typer.Option(
            "--absolute",
            help="Also pair two units if one looks for the negative of the other's pattern.",
            rich_help_panel=MODEL,
        ),
    ] = False,
    page: Annotated[
        Path | None,
        typer.Option(
            "--report",
            help="An .html file, or a folder, to which a page is written that shows the latents of two dictionaries"
            " side by side. This needs --data.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Rows for the page, on which both models are measured.", rich_help_panel=DATA),
    ] = None,
    texts: Texts = None,
    reading: ReadingOptions = _AS_IT_COMES,
    as_json: Json = False,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Pair the units, or the latents, of two models that look for the same pattern.

    Each unit has at most one partner, and the pairs are chosen so that the sum of their cosines is as large as
    possible. For dictionaries, the cosine is taken between the directions of two latents; for other models, between the
    inputs that activate two units most. 1 means that both look for the same, and 0 that they have nothing in common. If
    one model has more units than the other, some of its units have no partner.

    Compare the mean of the cosines with that of random directions, which is printed beside it: among many directions,
    some are similar by chance. Train the two models with different seeds: with the same seed, both begin at the same
    random directions and stay more alike than chance.
    """
    if output is not None:
        check_writable(output, first, second, endings=(".csv",))
    loaded = [load(path) for path in (first, second)]
    if page is not None:
        if data is None:
            raise typer.BadParameter("needs rows: pass --data as well.", param_hint="--report")
        check_writable(
            page,
            first,
            second,
            data,
            *([] if texts is None else [texts]),
            endings=(".html", ".htm"),
            option="--report",
            folder=True,
        )
    models = [estimator_of(model) for model in loaded]
    A, B = map(_directions, models)
    if A.shape[1] != B.shape[1]:
        raise ValueError(
            f"{first} and {second} cannot be compared: they look for patterns of {A.shape[1]} and of {B.shape[1]}"
            " numbers. Match models of the same data."
        )
    found = match_dictionaries(A, B, absolute=absolute)
    by_chance, alike_at_start = _mean_by_chance(A, B, absolute), _begin_alike(*models)
    written = None if page is None else _write_page(ctx, loaded, page, data, texts, reading)
    nouns = [model.noun_of_code for model in models]
    order = np.argsort(-found.cosine, kind="stable")
    pairs = [(int(found.rows[one]), int(found.columns[one]), float(found.cosine[one])) for one in order]
    if output is not None:
        _write_csv(output, pairs, nouns)
    if as_json:
        figures = {"mean_cosine": found.mean_cosine, "mean_cosine_by_chance": by_chance, "same_start": alike_at_start}
        named = [dict(zip(("a", "b", "cosine"), pair, strict=True)) for pair in pairs]
        print_json({**figures, "alike_fraction": found.alike_fraction, "pairs": named})
    elif not quiet:
        _print_table(pairs, nouns)
        _print_summary(found, by_chance, nouns[0], alike_at_start=alike_at_start)
        if output is not None:
            typer.echo(f"wrote {output}: {len(pairs)} pairs")
        if written is not None and page is not None:
            typer.echo(said_of_page(written, page))


def _print_summary(found: DictionaryMatch, by_chance: float | None, noun: str, *, alike_at_start: bool) -> None:
    n_alike = int(np.count_nonzero(found.cosine > ALIKE))
    chance = "" if by_chance is None else f", and {by_chance:.3f} for random directions"
    typer.echo(
        f"\n{n_alike} of {len(found.rows)} pairs have a cosine above {ALIKE};"
        f" the mean is {found.mean_cosine:.3f}{chance}"
    )
    if alike_at_start:
        typer.echo(
            "note: both models began at the same random directions, because they have the same seed and the same"
            f" number of {noun}s, so that they are more alike than chance; train one with another --seed"
        )


def _write_page(
    ctx: typer.Context, loaded: list[Any], page: Path, data: Path | None, texts: Path | None, reading: ReadingOptions
) -> str:
    """Write the page about the first model that shows the second one beside it."""
    assert data is not None  # the options were checked
    contexts = texts_of_harvest(loaded[0], data) if texts is None else read_texts(texts, reading.encoding)
    with reading.open_for(ctx, loaded[0], data) as rows:
        return report(loaded[0], rows, page, compare=loaded[1], texts=contexts)


def _directions(estimator: Any) -> FloatArray:
    """Return what each unit of a model looks for, or the direction of each latent of a dictionary."""
    found: FloatArray = estimator.components_ if estimator.has_sparse_codes else estimator.maximal_inputs()
    return found.reshape(len(found), -1)


def _mean_by_chance(A: FloatArray, B: FloatArray, absolute: bool) -> float | None:
    """Return the mean cosine of as many pairs of random directions; None if there are too many to be matched soon."""
    if max(len(A), len(B)) > _MOST_BY_CHANCE:
        return None
    draw = np.random.default_rng(0)
    return match_dictionaries(*map(draw.standard_normal, (A.shape, B.shape)), absolute=absolute).mean_cosine


def _begin_alike(first: Any, second: Any) -> bool:
    """Return whether two models began at the same random weights: of the same kind, seed and sizes."""
    seeds = [getattr(one, "random_state", None) for one in (first, second)]
    return (
        seeds[0] is not None
        and seeds[0] == seeds[1]
        and first.has_sparse_codes == second.has_sparse_codes
        and first.layer_sizes_ == second.layer_sizes_
    )


def _print_table(pairs: list[tuple[int, int, float]], nouns: list[str]) -> None:
    titles = [f"{noun} of {name}" for noun, name in zip(nouns, "AB", strict=True)]
    typer.echo(f"{titles[0]}  {titles[1]}  cosine")
    for a, b, cosine in pairs[:_MOST_LINES]:
        typer.echo(f"{a:>{len(titles[0])}}  {b:>{len(titles[1])}}  {cosine:>6.3f}")
    if len(pairs) > _MOST_LINES:
        typer.echo(f"… and {len(pairs) - _MOST_LINES} further pairs, which -o pairs.csv writes")


def _write_csv(path: Path, pairs: list[tuple[int, int, float]], nouns: list[str]) -> None:
    with replacing(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([f"{nouns[0]}_of_a", f"{nouns[1]}_of_b", "cosine"])
        writer.writerows([a, b, f"{cosine:.{DIGITS}g}"] for a, b, cosine in pairs)
