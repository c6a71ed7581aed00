"""The command `harvest`, which writes the activations of a language model to a folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from rhohat.cli.app import Json, Quiet, Traceback, command, note, print_json
from rhohat.cli.declared import DATA, MODEL, OUTPUT
from rhohat.cli.progress import HarvestProgress
from rhohat.common.words import counted, listed
from rhohat.data.harvest_folder import HarvestRecord, is_harvest, read_harvest_record
from rhohat.modules.harvest import harvest as write_harvest
from rhohat.modules.language_models import LayerShape, layers_of, load_language_model

__all__ = ["harvest"]

_LATENTS = 8  # of the suggested dictionary, as a multiple of the features


def _of_data(help_text: str, *names: str, **settings: Any) -> Any:
    """Return an option that says which texts and tokens are used."""
    return typer.Option(*names, help=help_text, rich_help_panel=DATA, **settings)


def _of_model(help_text: str, *names: str, **settings: Any) -> Any:
    """Return an option that says what of the model is harvested, and how it computes."""
    return typer.Option(*names, help=help_text, rich_help_panel=MODEL, **{"show_default": False, **settings})


def _of_output(help_text: str, *names: str, **settings: Any) -> Any:
    """Return an option that says what is written."""
    return typer.Option(*names, help=help_text, rich_help_panel=OUTPUT, **settings)


@command(
    """
    # See the layers of a model.
    rhohat harvest models/minilm --list
    # Write a million rows of a layer, on the texts of a folder.
    rhohat harvest models/minilm texts -o rows --layer encoder.layer.3
    # Read the texts from a table, and leave out tokens whose activations have an unusually large norm.
    rhohat harvest gpt2 web.jsonl -o rows --layer transformer.h.4 --outliers 10
    # Write at most 20 GB to the disk.
    rhohat harvest gpt2 texts -o rows --layer transformer.h.4 --max-bytes 20GB
    """
)
def harvest(
    ctx: typer.Context,
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A folder with a language model of Hugging Face; or the id of a model on the Hugging Face Hub, which"
            " needs an internet connection.",
            show_default=False,
            rich_help_panel=MODEL,
        ),
    ],
    texts: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="TEXTS...",
            help="Files and folders of texts: .txt, .md, .rst, .py, .html, .jsonl, .csv and .parquet. In a folder, the"
            " tables (.jsonl, .csv and .parquet) are read only with --column.",
            show_default=False,
            rich_help_panel=DATA,
        ),
    ] = None,
    output: Annotated[
        Path | None, _of_output("The folder to write.", "--output", "-o", metavar="FOLDER", show_default=False)
    ] = None,
    layer: Annotated[
        list[str] | None,
        _of_model(
            "Name of a layer; --list prints the names. This option may be given several times. Then one index is"
            " written for all of the layers."
        ),
    ] = None,
    list_layers: Annotated[
        bool, _of_model("Print the layers of the model, with the shapes of their outputs, and stop.", "--list")
    ] = False,
    rows: Annotated[int, _of_data("Number of rows. The harvest ends after the window in which this is reached.")] = (
        1_000_000
    ),
    positions: Annotated[
        str,
        _of_data(
            "Which tokens of a window become rows: all; last, the last one only; or mean, one row that is the mean of"
            " all.",
            metavar="NAME",
        ),
    ] = "all",
    context: Annotated[int, _of_data("Largest number of tokens that the model sees at once.")] = 128,
    special_tokens: Annotated[
        bool, _of_data("Let tokens that the tokenizer adds, such as [CLS], become rows as well.", "--special-tokens")
    ] = False,
    outliers: Annotated[
        float | None,
        _of_data(
            "Leave out rows whose norm is more than this many times the median norm. The summary says how many they"
            " were.",
            show_default=False,
        ),
    ] = None,
    column: Annotated[
        str | None,
        _of_data(
            "Column of the tables, or key of the JSON lines, that holds the texts. By default, it is called text.",
            metavar="NAME",
            show_default=False,
        ),
    ] = None,
    of: Annotated[
        str, _of_model("Whether the output of the layer is harvested, or its input.", metavar="NAME", show_default=True)
    ] = "output",
    item: Annotated[
        str | None,
        _of_model(
            "Which item of a layer's output, if that is a tuple or mapping: its number or its key. By default, the"
            " first tensor."
        ),
    ] = None,
    batch_size: Annotated[
        int, _of_model("Number of windows that the model sees at the same time.", show_default=True)
    ] = 32,
    precision: Annotated[
        str,
        _of_model(
            "Precision in which the model computes: float32, float16 or bfloat16.", metavar="NAME", show_default=True
        ),
    ] = "float32",
    device: Annotated[
        str | None, _of_model("Where the model computes, such as cuda. By default, on the processor.")
    ] = None,
    dtype: Annotated[
        str, _of_output("Precision in which rows are stored: float16 or float32.", metavar="NAME")
    ] = "float16",
    max_bytes: Annotated[
        str | None,
        _of_output(
            "Largest size of all files together, such as 5GB. By default, what is free on the disk.",
            metavar="SIZE",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Write the activations of a language model on your texts to a folder, which train accepts as DATA.

    The model sees each text in windows of at most --context tokens, which are words or pieces of words. Each token
    gives a row: the numbers that a layer of the model computes for it. The folder also has an index that says which
    token of which text a row belongs to; report uses it to show the texts.

    If a harvest was interrupted by Ctrl-C, or killed, the same command continues it. If you ask for more --rows than
    before, a complete harvest continues as well.
    """
    if list_layers:
        _print_layers(load_language_model(model, precision=precision, device=device), as_json)
        return
    for what, given, how in (
        ("TEXTS", texts, "name files or folders of texts after the model"),
        ("--output", output, "name the folder to write with -o FOLDER"),
        ("--layer", layer, f"rhohat harvest {model} --list shows the layers"),
    ):
        if not given:
            raise typer.BadParameter(f"is missing; {how}.", param_hint=what)
    assert output is not None
    assert layer
    start = time.monotonic()
    with HarvestProgress(quiet=quiet) as progress:
        progress.announce(f"loading {model}")
        try:
            record = write_harvest(
                model,
                list(texts or []),
                output,
                layer[0] if len(layer) == 1 else layer,
                n_rows=rows,
                of=of,  # type: ignore[arg-type] # it is checked there
                item=int(item) if item is not None and item.isdecimal() else item,
                positions=positions,
                context=context,
                special_tokens=special_tokens,
                dtype=dtype,
                outliers=outliers,
                max_bytes=max_bytes,
                batch_size=batch_size,
                column=column,
                precision=precision,
                device=device,
                progress=progress,
            )
        except KeyboardInterrupt:
            _tell_of_interruption(ctx, output)
            raise
    _print_summary(record, output, time.monotonic() - start, progress, as_json=as_json, quiet=quiet)


def _print_layers(model: Any, as_json: bool) -> None:
    layers = layers_of(model)
    if as_json:
        print_json([{"name": one.name, "class": one.kind, "shape": one.shape} for one in layers])
        return
    width = max(len("layer"), *(len(one.name) for one in layers))
    kinds = max(len("class"), *(len(one.kind) for one in layers))
    typer.echo(f"{'layer':<{width}}  {'class':<{kinds}}  output for a text")
    for one in layers:
        typer.echo(f"{one.name:<{width}}  {one.kind:<{kinds}}  {_shape(one)}")


def _shape(layer: LayerShape) -> str:
    """Return the shape of the output of a layer, in words where it has a row for each token."""
    if layer.shape is None:
        return "–"
    if layer.shape[:-1] == (1, layer.n_tokens):
        return f"{layer.shape[-1]} numbers for each token"
    return " × ".join(map(str, layer.shape))


def _tell_of_interruption(ctx: Any, output: Path) -> None:
    n_rows = read_harvest_record(output).n_rows if is_harvest(output) else 0
    note(ctx, f"{output} holds {counted(n_rows, 'row')}; the same command goes on from there.")


def _print_summary(
    record: HarvestRecord, output: Path, seconds: float, progress: HarvestProgress, *, as_json: bool, quiet: bool
) -> None:
    """Print what was harvested, why it ended, and what to type next."""
    content = record.content
    layers = {layer.name: layer.n_features for layer in record.layers}
    rows = f"{output}:/{record.layers[0].folder}" if len(layers) > 1 else str(output)
    hidden = _LATENTS * record.layers[0].n_features
    following = f"rhohat train {rows} -e topk --hidden {hidden} --k 32 -o dictionary.safetensors"
    if as_json:
        figures = {name: content[name] for name in ("n_rows", "n_texts", "n_windows", "n_outliers", "medians", "ended")}
        print_json({"folder": str(output), "layers": layers, **figures, "seconds": seconds, "next": following})
        return
    if quiet:
        return
    names = listed([f"{name or 'the model'} ({n_features} numbers)" for name, n_features in layers.items()])
    what = f"{counted(record.n_rows, 'row')} of {names}, from {counted(record.n_texts, 'window')} of text"
    if progress.has_begun:
        typer.echo(f"wrote {output}: {what}, {seconds:.1f} s{progress.speed}")
    else:
        typer.echo(f"{output} is as it was: it has {what}")
    if content["settings"]["outliers"] is not None:
        typer.echo(f"left out: {counted(content['n_outliers'], 'row')} of unusual norm")
    if content["ended"] == "texts":
        typer.echo("the texts ended before there were as many rows as wanted")
    elif content["ended"] == "bytes":
        typer.echo("the harvest ended because there is no further room")
    typer.echo(f"next: {following}")
