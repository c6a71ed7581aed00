"""The commands that examine a model on rows: `evaluate` and `plot`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from sklearn.base import is_regressor

from rhohat.cli.app import (
    Data,
    Json,
    Labels,
    Model,
    Quiet,
    Threshold,
    Traceback,
    check_writable,
    command,
    note,
    parse_image_shape,
    print_json,
)
from rhohat.cli.declared import DATA, OUTPUT
from rhohat.cli.progress import FitProgress
from rhohat.cli.reading import ReadingOptions, as_classes, as_numbers, name_of_targets, reads_rows
from rhohat.common.extras import import_extra
from rhohat.common.whole_files import replacing
from rhohat.common.words import counted, listed
from rhohat.data import RowSource
from rhohat.estimators.targets import check_labels
from rhohat.inspection.column_plots import MOST_UNITS, directions_of, n_units_of, plot_columns
from rhohat.inspection.contrast import of_varied_contrast
from rhohat.inspection.evaluation import evaluate as evaluate_model
from rhohat.inspection.plots import plot_feature_maps, plot_filters, plot_loss_curve, plot_reconstructions
from rhohat.inspection.reporting.appearance import choose_image_shape, choose_names
from rhohat.layers import ConvolutionLayer
from rhohat.models.formats import load
from rhohat.models.pipelines import estimator_of, prepare_rows, prepared_block

__all__ = ["ImageShape", "Target", "check_targets", "evaluate", "note_without_targets", "plot", "targets_for"]

_AS_IT_COMES = ReadingOptions()

ImageShape = Annotated[
    str | None,
    typer.Option(
        help="Shape of a picture in a row: 28x28 for grey; 32x32x3 for colour; 3x32x32 if all red values come first,"
        " then all green, then all blue. By default, the shape of the rows, or of the rows of the training; flat rows"
        " are drawn as squares, in grey or as 32x32x3, but not those of dictionaries.",
        show_default=False,
        rich_help_panel=DATA,
    ),
]

Target = Annotated[
    str | None,
    typer.Option(
        help="The column of DATA to predict, or several. By default the target columns of the training, if DATA is a"
        " table that has them.",
        rich_help_panel=DATA,
    ),
]


@command(
    """
    # Print how well an autoencoder does on other rows than those of its training.
    rhohat evaluate edges.safetensors more-patches.npy
    # Print the accuracy of a classifier.
    rhohat evaluate species.safetensors flowers.csv --target species
    """
)
@reads_rows
def evaluate(
    ctx: typer.Context,
    model: Model,
    data: Data,
    labels: Labels = None,
    target: Target = None,
    threshold: Threshold = None,
    reading: ReadingOptions = _AS_IT_COMES,
    as_json: Json = False,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Print how well a model does: explained variance, sparsity, dead units and, except for dictionaries, cost J.

    For a classifier, it first prints the accuracy beside the share of the largest class, the recall and the precision
    of each class, and, for two classes, the area under the ROC curve (AUC); --json has the confusion matrix, too. For a
    regressor, it prints R², and the mean absolute error and the root of the mean squared error in the units of the
    targets; for a detector the share of outliers. The other figures of a detector are those of its autoencoder.

    For a dictionary, it also prints the norms and directions of its reconstructions, the densities of its latents, and
    how near they are to one another.
    """
    loaded = load(model)
    check_targets(loaded, labels, target)
    with FitProgress(quiet=quiet) as progress, reading.open_for(ctx, loaded, data, target, scores=not labels) as rows:
        y = targets_for(loaded, rows, labels, reading)
        note_without_targets(ctx, loaded, rows, y)
        progress.announce(f"evaluating {len(rows)} rows")
        found = evaluate_model(loaded, rows, y, threshold=threshold)
    if as_json:
        print_json(found.to_dict())
    else:
        typer.echo(str(found))


def check_targets(loaded: Any, labels: Path | None, target: str | None) -> None:
    """Raise if an autoencoder is given targets, or if targets are given by both --labels and --target."""
    if (labels or target) and not estimator_of(loaded).learns_from_targets:
        option = "--labels" if labels else "--target"
        raise typer.BadParameter("an autoencoder predicts no targets; leave this option out.", param_hint=option)
    if labels and target:
        raise typer.BadParameter("pass --labels or --target, not both.", param_hint="--labels")


def targets_for(loaded: Any, rows: RowSource, labels: Path | None, reading: ReadingOptions) -> NDArray[Any] | None:
    """Return targets from the file of labels or from the table, checked against the model; None if none are given."""
    estimator: Any = estimator_of(loaded)
    per_step = bool(getattr(estimator, "per_step", False))
    y = rows.targets if labels is None else reading.labels(labels, rows, per_step=per_step)
    if y is None:
        return None
    if is_regressor(estimator):
        return as_numbers(y)
    if per_step:  # evaluate checks the labels of the steps that exist
        return as_classes(y, per_step=True)
    check_labels(as_classes(y), estimator.classes_, name_of_targets(rows) if labels is None else str(labels))
    return y


def note_without_targets(ctx: Any, loaded: Any, rows: RowSource, y: NDArray[Any] | None) -> None:
    """Print a note if a model that predicts cannot be judged by its predictions, as no targets are given."""
    estimator: Any = estimator_of(loaded)
    if y is not None or not estimator.learns_from_targets:
        return
    names = [repr(name) for name in getattr(estimator, "target_names_", None) or ()]
    lacks = f"{rows.name} has no column {listed(names)}" if names else "no targets are given"
    figure = "R²" if is_regressor(estimator) else "accuracy"
    note(ctx, f"note: {lacks}, so that {figure} cannot be measured; pass --target or --labels.")


class _Picture(StrEnum):
    """Pictures that the command `plot` can draw."""

    FILTERS = "filters"
    LOSS = "loss"
    RECONSTRUCTIONS = "reconstructions"
    FEATURE_MAPS = "feature-maps"


@command(
    """
    # Draw what each unit looks for.
    rhohat plot edges.safetensors -o edges.png
    # The same for a table: bars for the strongest columns of each unit.
    rhohat plot species.safetensors -o units.png
    # Draw the curve of the training.
    rhohat plot edges.safetensors --what loss -o loss.svg
    # Draw some rows above their reconstructions.
    rhohat plot edges.safetensors patches.npy --what reconstructions
    """
)
@reads_rows
def plot(
    ctx: typer.Context,
    model: Model,
    data: Annotated[
        Path | None,
        typer.Argument(metavar="[DATA]", help="Rows, for reconstructions and feature maps.", rich_help_panel=DATA),
    ] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="A .png, .svg or .pdf file to write.", rich_help_panel=OUTPUT)
    ] = Path("plot.png"),
    what: Annotated[_Picture, typer.Option(help="What to draw.", rich_help_panel=OUTPUT)] = _Picture.FILTERS,
    image_shape: ImageShape = None,
    reading: ReadingOptions = _AS_IT_COMES,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Draw what each unit looks for, how the training went, rows above their reconstructions, or feature maps.

    For a model of a table, what a unit looks for is drawn as a bar for each of the ten columns with the largest
    weights. If the first layer of a network is a convolution, filters are those of this layer. Feature maps stand
    beside the images that activate a channel most.
    """
    check_writable(output, model, *([] if data is None else [data]), endings=(".png", ".svg", ".pdf"))
    asked = parse_image_shape(image_shape) or "auto"
    loaded = load(model)
    estimator: Any = estimator_of(loaded)
    figure = import_extra("matplotlib.figure", "app").Figure(figsize=(8, 6))
    drawn = ""
    if what is _Picture.LOSS:
        if not hasattr(estimator, "loss_curve_"):
            raise ValueError(
                f"{type(estimator).__name__} has no loss curve of its own; rhohat report shows the curves of its"
                " layers."
            )
        plot_loss_curve(estimator, ax=figure.subplots())
    elif what is _Picture.FILTERS:
        drawn = _plot_filters(loaded, image_shape, asked, figure)
    else:
        if what is _Picture.RECONSTRUCTIONS and not estimator.reconstructs:
            raise ValueError(
                f"{type(estimator).__name__} does not reconstruct rows; pass --what filters or --what loss instead."
            )
        if data is None:
            raise typer.BadParameter(
                f"{what.value.replace('-', ' ')} need rows: rhohat plot MODEL DATA --what {what.value}.",
                param_hint="DATA",
            )
        with reading.open_for(ctx, loaded, data) as rows:
            if what is _Picture.FEATURE_MAPS:
                plot_feature_maps(loaded, rows, ax=figure.subplots())
            else:
                _plot_reconstructions(loaded, rows, asked, figure.subplots())
    with replacing(output) as unfinished:
        figure.savefig(unfinished, bbox_inches="tight", dpi=150, format=output.suffix[1:])
    if not quiet:
        typer.echo(f"wrote {output}{drawn}")


def _plot_filters(loaded: Any, image_shape: str | None, asked: tuple[int, ...] | str, figure: Any) -> str:
    """Draw what each unit looks for, as pictures or as bars for columns; return what is to be said of the bars."""
    estimator = estimator_of(loaded)
    if _convolves(estimator):
        if image_shape is not None:
            raise typer.BadParameter("the filters of a convolution have their own shape.", param_hint="--image-shape")
        plot_filters(loaded, ax=figure.subplots())
        return ""
    if estimator.n_steps_of_rows_ is None and choose_image_shape(asked, loaded, choose_names(loaded)) is None:
        plot_columns(loaded, figure=figure)
        n_units, noun = n_units_of(estimator), "latent" if estimator.has_sparse_codes else "unit"
        some = f"{MOST_UNITS} of {n_units:,} {noun}s" if n_units > MOST_UNITS else counted(n_units, noun)
        hint = "" if choose_names(loaded) else "; if rows are pictures, pass --image-shape, such as 28x28"
        return f": the strongest columns of {some}{hint}"
    plot_filters(directions_of(estimator), _picture_shape(asked, loaded), ax=figure.subplots())
    return ""


def _convolves(estimator: Any) -> bool:
    """Return whether the first layer of a network is a convolution."""
    network = getattr(estimator, "network_", None)
    return network is not None and isinstance(network.layers[0], ConvolutionLayer)


def _plot_reconstructions(model: Any, rows: RowSource, asked: tuple[int, ...] | str, ax: Any) -> None:
    """Draw rows from strong contrasts to faint ones, as the network sees them, above their reconstructions."""
    prepared, estimator = prepare_rows(model, rows), estimator_of(model)
    some = prepared.take(np.linspace(0, len(rows) - 1, min(256, len(rows))).astype(np.intp))
    some = some[of_varied_contrast(some, 14)]
    shape = _picture_shape(asked, model, rows, prepared)
    plot_reconstructions(some, estimator.reconstruct(prepared_block(some)), shape, n_images=len(some), ax=ax)


def _picture_shape(
    asked: tuple[int, ...] | str, model: Any, rows: RowSource | None = None, prepared: RowSource | None = None
) -> tuple[int, ...]:
    """Return the shape in which rows are drawn, chosen as for the report, or raise ValueError if there is none."""
    shape = choose_image_shape(asked, model, choose_names(model, rows), prepared)
    if shape is None:
        raise ValueError(
            f"a row has {estimator_of(model).n_features_in_} numbers, and it is not known whether they form a"
            " picture. If they do, pass --image-shape, such as 28x28, or 32x32x3 or 3x32x32 for colours; if not, use"
            " rhohat report, which draws bars."
        )
    return shape
