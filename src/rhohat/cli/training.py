"""The command `train`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from sklearn.base import is_classifier
from sklearn.pipeline import make_pipeline

from rhohat.callbacks import CSVHistory, JSONLinesHistory
from rhohat.cli.app import Data, Jobs, Json, Labels, Quiet, Traceback, app, check_writable, note, print_json
from rhohat.cli.making import make_estimator
from rhohat.cli.progress import FitProgress
from rhohat.cli.reading import Missing, ReadingOptions, as_classes, as_numbers, reads_rows
from rhohat.common.extras import import_extra
from rhohat.common.words import Sentence
from rhohat.data import MeanImputer, RowSource
from rhohat.data.readers import image_files
from rhohat.engines import DaskEngine
from rhohat.estimators.dictionary import BaseDictionary
from rhohat.estimators.shaped_rows import takes_padding
from rhohat.fitting.checkpoint_settings import Checkpoint
from rhohat.models.components import ESTIMATORS, command_line_name, transformers
from rhohat.models.model_card import ModelCard
from rhohat.models.model_file import save
from rhohat.models.pipelines import estimator_of, fit_model, is_pipeline, suggest_preprocessing

__all__ = ["train"]


def _estimators() -> dict[str, type[Any]]:
    """Return the estimators that `train` offers, keyed by their names on the command line."""
    return _named(ESTIMATORS.values())


def _steps() -> dict[str, type[Any]]:
    """Return the transformers that can preprocess rows, keyed by their names on the command line."""
    return _named(transformers().values())


def _named(classes: Iterable[type[Any]]) -> dict[str, type[Any]]:
    """Return the classes that have a name on the command line, keyed by this name."""
    names = {cls: command_line_name(cls) for cls in classes}
    return {name: cls for cls, name in names.items() if name is not None}


def _choice(text: str, names: Iterable[str]) -> str:
    """Return a string if it is one of the given names; raise BadParameter otherwise."""
    if text not in names:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(map(repr, names))}.")
    return text


def _estimator_named(name: str) -> type[Any]:
    return _estimators()[_choice(name, _estimators())]


def _step_named(name: str) -> str:
    return _choice(name, ("auto", "none", *_steps()))


_MANY_CLASSES, _FEW_ROWS = 20, 5  # labels of more classes, with fewer rows each, look like values of a quantity
_OWN = "the estimator's own"
_AS_IT_COMES = ReadingOptions()


def _own_default(help_text: str, *names: str) -> Any:
    return typer.Option(*names, help=help_text, show_default=_OWN)


@app.command()
@reads_rows
def train(
    ctx: typer.Context,
    data: Data,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The model file to write, as model.safetensors.", show_default=False)
    ],
    estimator: Annotated[
        Any,
        typer.Option(
            "--estimator",
            "-e",
            parser=_estimator_named,
            metavar=f"[{'|'.join(_estimators())}]",
            help="What to train.",
        ),
    ] = "sparse",
    hidden: Annotated[str | None, _own_default("Hidden units: 25, or layer by layer, 100,30.")] = None,
    layers: Annotated[
        str | None,
        _own_default(
            "Layers of a convolutional or recurrent network, separated by commas, each with its settings in the order"
            " or by the names of the Python class: convolution 20 5, max-pooling 2, dense 500 tanh."
        ),
    ] = None,
    input_shape: Annotated[
        str | None,
        typer.Option(
            help="Shape of each row, for --layers: 28x28x1 for images with their channels last, 100x3 for sequences of"
            " 100 steps.",
            show_default="that of the rows",
        ),
    ] = None,
    k: Annotated[float | None, _own_default("Active latents of a row, for topk, batch-topk and matryoshka.")] = None,
    sparsity: Annotated[float | None, _own_default("ρ: target for the mean activation of a hidden unit.")] = None,
    beta: Annotated[float | None, _own_default("β: weight of the sparsity penalty.")] = None,
    weight_decay: Annotated[
        float | None, _own_default("λ: weight of the weight decay; for a stack, in the pre-training of its layers.")
    ] = None,
    softmax_weight_decay: Annotated[
        float | None, _own_default("λ of the softmax regression on the codes; only for stacked-classifier.")
    ] = None,
    fine_tuning_weight_decay: Annotated[
        float | None, _own_default("λ of the softmax's weights in the fine-tuning; only for stacked-classifier.")
    ] = None,
    activation: Annotated[
        str | None, _own_default("Activation of the hidden units, such as sigmoid, tanh, relu.")
    ] = None,
    solver: Annotated[str | None, _own_default("Solver, such as lbfgs, adam, sgd.")] = None,
    max_iter: Annotated[
        int | None, _own_default("Largest number of iterations, or of epochs for adam and sgd.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of every random draw.")] = 0,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Any parameter of the estimator, such as tol=1e-4."),
    ] = None,
    preprocess: Annotated[
        list[Any] | None,
        typer.Option(
            parser=_step_named,
            metavar=f"[{'|'.join(('auto', 'none', *_steps()))}]",
            help="Preprocessing of the rows, and of all rows that the model is given later: patches (normalise each"
            " patch), range (map all numbers to 0 to 1), whiten (ZCA), minmax, standard (scale each column), none."
            " Several steps are applied in their order. auto chooses steps that suit the data, and prints them;"
            " none if the first layer goes through the steps of sequences.",
            show_default="auto",
        ),
    ] = None,
    columns: Annotated[
        str | None, typer.Option(help="Columns to learn from, by name or number: a,b,c. All by default.")
    ] = None,
    drop: Annotated[str | None, typer.Option(help="Columns to leave out, by name or number.")] = None,
    labels: Labels = None,
    target: Annotated[
        str | None, typer.Option(help="The column of DATA to predict, or several; left out of the rows.")
    ] = None,
    reading: ReadingOptions = _AS_IT_COMES,
    checkpoint: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder for checkpoints, from which the training can be resumed.")
    ] = None,
    checkpoint_every: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="How often to write a checkpoint: 30 s, 5 min, or a number of iterations.",
            show_default="60 s",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the checkpoint, if there is one.")] = False,
    memory_limit: Annotated[str | None, typer.Option(help="Largest amount of memory to hold, such as 512 MB.")] = None,
    dask: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Address of the scheduler of a Dask cluster.")
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(help="A .jsonl or .csv file to which J is written after every iteration over all rows."),
    ] = None,
    note_text: Annotated[
        str | None,
        typer.Option("--note", metavar="TEXT", help="A note about the model, kept in its file; info prints it."),
    ] = None,
    jobs: Jobs = None,
    as_json: Json = False,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Learn from any number of rows, from files of many formats, and write a model file.

    The model includes its preprocessing, so encode, report and the other commands take the same data as train.
    Classifiers and regressors need --labels or --target. A training that is interrupted writes no model; if it was
    started with --checkpoint DIR, it can be continued with --resume.

    --set takes values as they are written in Python, and rhohat's own classes: --set solver=Adam(learning_rate=0.01),
    --set corruption=MaskingNoise(0.3), --set layers__0__max_iter=50. It may be given several times.

    --layers describes networks of convolutions and recurrent networks. The layers are convolution, dense, dropout,
    flatten, gru, lstm, max-pooling, mean-pooling, recurrent, transposed-convolution and upsampling; a number alone is a
    dense layer of so many units. A window is written as 5 if it is a square, else as 3x5: --layers "convolution 16 3x5
    stride=2 padding=same, 100".

    A stack is trained in parts: its layers are pre-trained, and stacked-classifier then trains a softmax on their codes
    and fine-tunes the whole network. --hidden, --sparsity, --beta, --weight-decay, --activation, and parameters that
    only layers have, apply to the layers. --solver, --max-iter and the other options of the minimisation apply to every
    part. For stacked-classifier, penalties, corruption and tangent_weight, set with --set, apply to the fine-tuning.
    layers__0__NAME is the parameter NAME of the first layer only; layers=[...] gives whole layers, with all their
    settings.
    """
    check_writable(output, data, *([] if labels is None else [labels]), endings=(".safetensors",))
    if history is not None:
        check_writable(history, data, endings=tuple(_HISTORIES), option="--history")
    _check_note(note_text)
    _check_options(data, columns, drop)
    _check_targets(estimator, labels, target)
    given: dict[str, Any] = {
        "k": None if k is None else int(k) if k == int(k) else k,
        "sparsity": sparsity,
        "sparsity_weight": beta,
        "weight_decay": weight_decay,
        "softmax_weight_decay": softmax_weight_decay,
        "fine_tuning_weight_decay": fine_tuning_weight_decay,
        "activation": activation,
        "solver": solver,
        "max_iter": max_iter,
        "n_jobs": jobs,
        "random_state": seed,
        "memory_limit": memory_limit,
        "checkpoint": _checkpoint(checkpoint, checkpoint_every, resume),
    }
    with (
        FitProgress(quiet=quiet) as progress,
        _connected(dask) as engine,
        reading.open(ctx, data, columns, drop, target, supervised=estimator.learns_from_targets) as rows,
        redirect_stderr(StringIO()) if quiet else nullcontext(),
    ):
        callbacks: list[Any] = [progress.show_iteration, *([] if history is None else [_history(history, resume)])]
        given |= {"engine": engine, "callbacks": callbacks}
        network = make_estimator(estimator, given, hidden, layers, input_shape, settings or [])
        per_step = bool(getattr(network, "per_step", False))
        y = rows.targets if labels is None else reading.labels(labels, rows, per_step=per_step)
        if y is not None:
            y = as_classes(y, per_step=per_step) if is_classifier(network) else as_numbers(y)
            if labels is None:
                rows.targets = y  # the same array as in fit, so that it finds the names
            if is_classifier(network):
                _note_on_classes(ctx, y)
        progress.expect(getattr(network, "max_iter", None))
        progress.announce(f"looking through {rows.name}")
        imputers = [MeanImputer()] if reading.missing is Missing.MEAN else []
        whole = imputers[0].fit(rows).transform(rows) if imputers else rows
        steps = [*imputers, *_preprocessing(preprocess, whole, network)]
        if steps:
            note(ctx, f"preprocessing: {', '.join(type(step).__name__ for step in steps)}")
        model = make_pipeline(*steps, network) if steps else network
        if resume and checkpoint is not None:
            states = sorted(checkpoint.rglob("checkpoint-*.safetensors"), key=lambda state: state.stat().st_mtime)
            note(ctx, f"continuing from {states[-1]}" if states else f"there is no checkpoint in {checkpoint} yet")
        progress.announce(f"training on {rows.shape[0]} rows of {rows.shape[1]} columns")
        try:
            fit_model(model, rows, y)
        except KeyboardInterrupt:
            how = (
                "add --resume to continue from the checkpoint"
                if checkpoint
                else "--checkpoint DIR would have kept the state of the training"
            )
            note(ctx, f"no model was written; {how}")
            raise
    _check_outcome(model)
    save(model, output, note=note_text)
    _print_summary(model, output, rows.shape, as_json=as_json, quiet=quiet)


def _checkpoint(folder: Path | None, every: str | None, resume: bool) -> Checkpoint | None:
    """Return the checkpoint settings, or None without a folder; raise if the options contradict one another."""
    if folder is None:
        if resume:
            raise typer.BadParameter(
                "this option needs --checkpoint DIR, the folder that holds the checkpoint.", param_hint="--resume"
            )
        if every is not None:
            raise typer.BadParameter(
                "this option needs --checkpoint DIR, the folder in which to write checkpoints.",
                param_hint="--checkpoint-every",
            )
        return None
    if every is None:
        return Checkpoint(folder, resume=resume)
    try:
        return Checkpoint(folder, int(every) if every.strip().isdecimal() else every, resume)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--checkpoint-every") from None


@contextmanager
def _connected(address: str | None) -> Iterator[DaskEngine | None]:
    """Context manager that yields an engine connected to a Dask cluster, or None if there is no address."""
    if address is None:
        yield None
        return
    client_class = import_extra("distributed", "dask").Client
    try:
        client = client_class(address, timeout=10)
    except OSError as error:
        raise OSError(f"there is no Dask scheduler at {address}: {error}") from None
    with client:
        yield DaskEngine(client)


def _check_note(text: str | None) -> None:
    """Raise BadParameter if a note is longer than model cards allow."""
    try:
        ModelCard(note=text or "")
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--note") from None


def _check_options(data: Path, columns: str | None, drop: str | None) -> None:
    """Raise if options contradict one another, or if the data are images that `patches` must prepare first."""
    if columns is not None and drop is not None:
        raise typer.BadParameter(
            "cannot be combined with --columns: name either the columns to read or the columns to leave out.",
            param_hint="--drop",
        )
    if data.is_dir() and image_files(data):
        raise ValueError(f"{data} holds image files and no rows. Cut patches out of them first, with rhohat patches.")


def _check_targets(kind: type[Any], labels: Path | None, target: str | None) -> None:
    """Raise unless targets are given once to an estimator that learns from targets, and not to any other estimator."""
    supervised, name = kind.learns_from_targets, kind.command_line_name
    option = "--target" if labels is None else "--labels"
    if (labels or target) and not supervised:
        raise typer.BadParameter(
            f"{name} learns without targets; leave this option out, or pass -e classifier or -e regressor.",
            param_hint=option,
        )
    if labels and target:
        raise typer.BadParameter("pass --labels or --target, not both.", param_hint=option)
    if supervised and not (labels or target):
        raise typer.BadParameter(
            f"{name} needs targets to learn from; pass --target COLUMN or --labels FILE.", param_hint=option
        )


def _note_on_classes(ctx: Any, y: NDArray[Any]) -> None:
    """Print a note if the labels of a classifier look like values of a quantity."""
    if y.dtype.kind not in "iuf":
        return
    n_classes = len(np.unique(y))
    if n_classes > _MANY_CLASSES and len(y) < _FEW_ROWS * n_classes:
        note(
            ctx,
            f"note: {n_classes} classes in {len(y)} rows have {len(y) / n_classes:.2g} rows each on average; if the"
            " targets are values of a quantity, pass -e regressor, which predicts numbers.",
        )


def _check_outcome(model: Any) -> None:
    """Raise ValueError if a fit diverged or ended with values that are not finite."""
    for _, part in estimator_of(model).fitted_parts():
        if part.solver_status_ in ("diverged", "not_finite"):
            raise ValueError(Sentence("no model was written: ", part.solver_message_))


def _preprocessing(chosen: list[str] | None, rows: RowSource, network: Any) -> list[Any]:
    chosen = chosen or ["auto"]
    if len(chosen) > 1 and set(chosen) & {"auto", "none"}:
        raise typer.BadParameter("auto and none cannot be combined with other steps.", param_hint="--preprocess")
    if chosen == ["auto"]:
        scales_itself = isinstance(network, BaseDictionary) or takes_padding(network)
        return [] if scales_itself else suggest_preprocessing(rows)
    return [_steps()[step]() for step in chosen if step != "none"]


_HISTORIES: dict[str, Any] = {".jsonl": JSONLinesHistory, ".csv": CSVHistory}


def _history(path: Path, resume: bool) -> Any:
    return _HISTORIES[path.suffix](path, append=resume)


def _print_summary(model: Any, output: Path, shape: tuple[int, int], *, as_json: bool, quiet: bool) -> None:
    estimator = estimator_of(model)
    layers = getattr(estimator, "autoencoders_", [estimator])
    layer_sizes = list(estimator.layer_sizes_)
    summary: dict[str, Any] = {
        "model": str(output),
        "kind": type(estimator).__name__,
        "preprocessing": [type(step).__name__ for _, step in model.steps[:-1]] if is_pipeline(model) else [],
        "rows": shape[0],
        "layer_sizes": layer_sizes,
        "iterations": [layer.n_iter_ for layer in layers],
        "status": [layer.solver_status_ for layer in layers],
        "J": [layer.loss_curve_[-1] if layer.loss_curve_ else None for layer in layers],
    }
    if as_json:
        print_json(summary)
    elif not quiet:
        sizes = "-".join(map(str, layer_sizes))
        costs = ", ".join("none" if cost is None else f"{cost:.6g}" for cost in summary["J"])
        iterations = ", ".join(map(str, summary["iterations"]))
        typer.echo(f"wrote {output}: {summary['kind']} {sizes}, {iterations} iterations, J = {costs}")
