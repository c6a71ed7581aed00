"""The command `patches`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from rhohat.cli.app import Json, Quiet, Traceback, app, check_writable, note, print_json
from rhohat.cli.files import write_rows
from rhohat.cli.progress import FitProgress
from rhohat.data import read_images, sample_patches, whiten_image

__all__ = ["patches"]


@app.command()
def patches(
    ctx: typer.Context,
    images: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGES", help="A folder of image files, one of them, a .npy or a .mat file.", show_default=False
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .npy file to write.", show_default=False)],
    size: Annotated[int, typer.Option(min=2, help="Height and width of a patch, in pixels.")] = 8,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many patches.")] = 10_000,
    color: Annotated[bool, typer.Option("--color", help="Keep the colours.")] = False,
    whiten: Annotated[
        bool, typer.Option(help="Flatten the spectrum of the images first, so that edges stand out.")
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random places.")] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Cut random patches out of your own images, to learn from them.

    Images smaller than a patch are left out. What is written is an array of shape (number, size, size), or (number,
    size, size, 3) with --color, which train takes.
    """
    check_writable(output, images, endings=(".npy",))
    with FitProgress(quiet=quiet) as progress:
        progress.announce(f"reading {images}")
        read = read_images(images, color=color)
        found = [image for image in read if min(image.shape[:2]) >= size]
        if len(found) < len(read):
            note(ctx, f"{len(read) - len(found)} of {len(read)} images are smaller than a patch, and left out")
        if not found:
            raise ValueError(f"{images} has no image of {size}×{size} pixels or more; give a smaller --size.")
        if whiten:
            progress.announce(f"whitening {len(found)} images")
            found = [whiten_image(image, boundary="reflect") for image in found]
        progress.announce(f"cutting out {number} patches")
        rows = sample_patches(found, size, number, seed).astype(np.float32)
    channels = (found[0].shape[2],) if found[0].ndim == 3 else ()
    write_rows(output, [rows.reshape(number, size, size, *channels)], number)
    shape = "×".join(map(str, (size, size, *channels)))
    if as_json:
        print_json({"images": len(found), "patches": number, "shape": [size, size, *channels]})
    elif not quiet:
        typer.echo(f"wrote {output}: {number} patches of {shape} pixels from {len(found)} image{'s'[: len(found) - 1]}")
