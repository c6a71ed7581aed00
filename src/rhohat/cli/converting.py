"""The command `convert`, which writes a dictionary in the format of another library."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rhohat.cli.app import Quiet, Traceback, check_writable, command
from rhohat.cli.declared import MODEL, OUTPUT
from rhohat.models.formats import FORMATS, PRECISIONS, export, load
from rhohat.models.model_file import save

__all__ = ["convert"]

_OWN = "rhohat"


@command(
    """
    # Write a dictionary for SAELens, which loads the folder.
    rhohat convert dictionary.safetensors for_saelens --format saelens
    # Make a model file of a dictionary of another library.
    rhohat convert pythia/trainer_0 dictionary.safetensors
    # Write it for another library in bfloat16, which takes half the space of float32.
    rhohat convert gemma/layer_3 half --format saelens --dtype bfloat16
    """
)
def convert(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="A model file, or a file or folder of SAELens, sparsify, dictionary_learning, OpenAI, Gemma Scope or"
            " Llama Scope.",
            show_default=False,
            rich_help_panel=MODEL,
        ),
    ],
    target: Annotated[
        Path,
        typer.Argument(
            metavar="TARGET",
            help="The folder to write; with --format rhohat, the model file to write.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ],
    format: Annotated[  # noqa: A002 - the name of the option
        str,
        typer.Option(
            metavar="FORMAT", help=f"Format to write: one of {', '.join([_OWN, *FORMATS])}.", rich_help_panel=OUTPUT
        ),
    ] = _OWN,
    dtype: Annotated[
        str | None,
        typer.Option(
            metavar="DTYPE",
            help=f"Precision of the weights: {', '.join(PRECISIONS)}. By default that of the model. It cannot be"
            " given with --format rhohat.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    activation_scale: Annotated[
        float | None,
        typer.Option(
            help="The factor by which rows were multiplied in the training. It is needed for folders of SAELens that do"
            " not contain it.",
            show_default=False,
            rich_help_panel=MODEL,
        ),
    ] = None,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Write a dictionary or a transcoder in another format: that of another library, or a model file of rhohat.

    If a format cannot hold the model, an error names the setting that does not fit, and nothing is written.
    """
    if format not in (_OWN, *FORMATS):
        raise typer.BadParameter(f"must be {', '.join([_OWN, *FORMATS])}; got {format!r}.", param_hint="--format")
    if format == _OWN and dtype is not None:
        raise typer.BadParameter("model files keep the precision of the model.", param_hint="--dtype")
    if dtype is not None and dtype not in PRECISIONS:
        raise typer.BadParameter(f"must be {', '.join(PRECISIONS)}; got {dtype!r}.", param_hint="--dtype")
    _check_target(source, target, format)
    model = load(source, activation_scale=activation_scale)
    if format == _OWN:
        save(model, target)
    else:
        export(model, target, format=format, dtype=dtype)
    if not quiet:
        typer.echo(f"wrote {target}: {_described(model)}")


def _described(model: Any) -> str:
    """Return what was written, in words."""
    dictionary = getattr(model, "dictionary_", model)  # of a transcoder
    sizes = getattr(dictionary, "layer_sizes_", None) if getattr(dictionary, "has_sparse_codes", False) else None
    if sizes is None:
        return type(model).__name__
    return f"{type(model).__name__} of {sizes[1]} latents for rows of {sizes[0]} features"


def _check_target(source: Path, target: Path, format: str) -> None:  # noqa: A002 - as above
    """Raise before any work is done if the target cannot be written, or is what is read."""
    if format == _OWN:
        check_writable(target, source, option="TARGET")
        return
    if target.exists() and not target.is_dir():
        raise typer.BadParameter(f"{target} is a file; name a folder.", param_hint="TARGET")
    if target.exists() and source.is_dir() and target.samefile(source):
        raise typer.BadParameter(f"{target} has the files that are read; name another folder.", param_hint="TARGET")
