"""The command `patches`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from rhohat.cli.app import Json, Quiet, Traceback, check_writable, command, note, print_json
from rhohat.cli.declared import DATA, OUTPUT
from rhohat.cli.files import write_rows
from rhohat.cli.progress import FitProgress
from rhohat.data import read_images, sample_patches, whiten_image
from rhohat.data.image_files import to_grey
from rhohat.data.readers import image_files

__all__ = ["patches"]


@command(
    """
    # Cut 10,000 patches of 8 × 8 pixels out of the photographs in a folder.
    rhohat patches photographs -o patches.npy
    # The same with colours and larger patches.
    rhohat patches photographs -o patches.npy --color --size 16
    """
)
def patches(
    ctx: typer.Context,
    images: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGES",
            help="A folder of image files; an image file; or a .npy, .npz, IDX, safetensors, HDF5, Zarr or MATLAB file."
            " If a file holds several arrays: PATH:/NAME.",
            show_default=False,
            rich_help_panel=DATA,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The .npy file to write.", show_default=False, rich_help_panel=OUTPUT),
    ],
    size: Annotated[int, typer.Option(min=2, help="Height and width of a patch, in pixels.", rich_help_panel=DATA)] = 8,
    number: Annotated[
        int, typer.Option("--number", "-n", min=1, help="Number of patches.", rich_help_panel=DATA)
    ] = 10_000,
    color: Annotated[bool, typer.Option("--color", help="Keep the colours.", rich_help_panel=DATA)] = False,
    image_axis: Annotated[
        str,
        typer.Option(
            metavar="AXIS",
            help="The axis of an array that counts images: 0 for the first, -1 for the last, or none if the array is"
            " one image. By default, the axis is inferred from the shape.",
            show_default=False,
            rich_help_panel=DATA,
        ),
    ] = "auto",
    skip_unreadable: Annotated[
        bool,
        typer.Option(
            "--skip-unreadable",
            help="Leave out image files of a folder that cannot be read.",
            rich_help_panel=DATA,
        ),
    ] = False,
    whiten: Annotated[
        bool,
        typer.Option(help="Flatten the spectrum of the images first, so that edges stand out.", rich_help_panel=DATA),
    ] = True,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random positions.", rich_help_panel=DATA)] = 0,
    as_json: Json = False,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Cut random patches out of your own images, to learn from them.

    Images smaller than a patch are left out, and so are files that an operating system puts into folders, such as
    ._name and Thumbs.db. The output is an array of shape (number, size, size), or (number, size, size, 3) with
    --color, which train accepts as DATA.
    """
    check_writable(output, images, endings=(".npy",))
    axis = _parse_axis(image_axis)
    with FitProgress(quiet=quiet) as progress:
        progress.announce(f"reading {images}")
        read = read_images(images, image_axis=axis, color=color, skip_unreadable=skip_unreadable)
        listed = image_files(images) if images.is_dir() else []
        n_skipped = len(listed) - len(read) if listed else 0
        found = [image if color else to_grey(image) for image in read if min(image.shape[:2]) >= size]
        if len(found) < len(read):
            note(ctx, f"{len(read) - len(found)} of {len(read)} images are smaller than a patch, and are left out")
        if not found:
            raise ValueError(f"{images} has no image of {size}×{size} pixels or more; pass a smaller --size.")
        if whiten:
            progress.announce(f"whitening {len(found)} images")
            found = [whiten_image(image, boundary="reflect") for image in found]
        progress.announce(f"cutting out {number} patches")
        rows = sample_patches(found, size, number, seed).astype(np.float32)
    channels = (found[0].shape[2],) if found[0].ndim == 3 else ()
    write_rows(output, [rows.reshape(number, size, size, *channels)], number)
    shape = "×".join(map(str, (size, size, *channels)))
    if as_json:
        summary = {"images": len(found), "patches": number, "shape": [size, size, *channels]}
        print_json({**summary, "skipped": n_skipped} if skip_unreadable else summary)
    elif not quiet:
        skipped = f", {n_skipped} skipped" if n_skipped else ""
        images_found = f"{len(found)} image{'s'[: len(found) - 1]}"
        how = "whitened first; --no-whiten leaves images as they are" if whiten else "not whitened"
        typer.echo(f"wrote {output}: {number} patches of {shape} pixels from {images_found}{skipped} ({how})")


def _parse_axis(text: str) -> int | str | None:
    """Parse auto, none or a number into the value that `read_images` takes as `image_axis`."""
    if text in ("auto", "none"):
        return None if text == "none" else text
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(
            f"must be a number such as 0 or -1, none, or auto; got {text!r}.", param_hint="--image-axis"
        ) from None
