"""The command `train`."""

from __future__ import annotations

import time
from contextlib import nullcontext, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Annotated, Any

import typer
from sklearn.base import is_classifier

from rhohat.cli.app import Data, Jobs, Json, Labels, Quiet, Traceback, check_writable, command, note, typed_in
from rhohat.cli.choices import (
    estimator_named,
    estimators,
    preprocessing,
    preprocessing_as_text,
    step_named,
    table_preprocessing,
)
from rhohat.cli.declared import DATA, MODEL, OUTPUT, TRAINING
from rhohat.cli.held_out import card_of_training, described_data, hold_out, next_command
from rhohat.cli.interrupted import keeping_what_was_reached
from rhohat.cli.making import l1_penalty, make_estimator
from rhohat.cli.overfitting import Overfitting
from rhohat.cli.progress import FitProgress
from rhohat.cli.reading import Missing, ReadingOptions, as_classes, as_numbers, reads_rows
from rhohat.cli.solver_settings import set_in_solver
from rhohat.cli.summary import print_summary, remark_on_training
from rhohat.cli.training_checks import (
    check_note,
    check_options,
    check_outcome,
    check_targets,
    check_texts,
    note_on_classes,
    note_on_identifiers,
    note_on_sparsity,
)
from rhohat.cli.training_setup import HISTORIES, checkpoint_settings, connected, history_file
from rhohat.common.stand_ins import stand_ins
from rhohat.data import MeanImputer
from rhohat.models.components import names_of_steps
from rhohat.models.model_card import ModelCard
from rhohat.models.model_file import save
from rhohat.models.pipelines import fit_model

__all__ = ["train"]

_AS_IT_COMES = ReadingOptions()


def _of_model(help_text: str) -> Any:
    """Return an option that says what the model is; without it, the default of the estimator applies."""
    return typer.Option(help=help_text, show_default=False, rich_help_panel=MODEL)


def _of_training(help_text: str, *names: str, **settings: Any) -> Any:
    """Return an option that says how the model is trained."""
    return typer.Option(*names, help=help_text, rich_help_panel=TRAINING, **{"show_default": False, **settings})


def _of_data(help_text: str) -> Any:
    """Return an option that says what of the data is used."""
    return typer.Option(help=help_text, show_default=False, rich_help_panel=DATA)


def _pipeline(*steps: Any) -> Any:
    """Return a pipeline of scikit-learn."""
    with stand_ins():
        from sklearn.pipeline import make_pipeline  # imported here, as it is slow and commands show their help without

    return make_pipeline(*steps)


@command(
    """
    # Learn 64 features of patches of images.
    rhohat train patches.npy -o edges.safetensors --hidden 64
    # Learn to predict a column of a table.
    rhohat train flowers.csv -o iris.safetensors -e classifier --target species
    # Learn a dictionary; 32 of its latents are active in each row.
    rhohat train rows.npy -o sparse.safetensors -e topk --k 32 --hidden 4096
    # Learn to find unusual rows of a table; rhohat score names them.
    rhohat train orders.csv -o detector.safetensors -e detector
    """
)
@reads_rows
def train(
    ctx: typer.Context,
    data: Data,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="The model file to write, as model.safetensors.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ],
    estimator: Annotated[
        Any,
        typer.Option(
            "--estimator",
            "-e",
            parser=estimator_named,
            metavar="NAME",
            help=f"What to train. One of {', '.join(estimators())}.",
            rich_help_panel=MODEL,
        ),
    ] = "sparse",
    hidden: Annotated[
        str | None, _of_model("Number of hidden units, such as 25; or of each layer, such as 100,30.")
    ] = None,
    layers: Annotated[
        str | None,
        _of_model(
            "Layers of a convolutional or recurrent network, separated by commas. The settings of each follow it, in"
            " their order or as NAME=VALUE: convolution 20 5, max-pooling 2, dense 500 tanh. There are"
            " convolution, dense, dropout, flatten, gru, lstm, max-pooling, mean-pooling, recurrent,"
            " transposed-convolution and upsampling; a number alone is a dense layer of that size. A window is"
            " written as 5 if it is a square, else as 3x5: convolution 16 3x5 stride=2 padding=same, 100."
        ),
    ] = None,
    input_shape: Annotated[
        str | None,
        _of_model(
            "Shape of each row, for --layers: 28x28x1 for images with their channels last, 100x3 for sequences of"
            " 100 steps. By default that of the rows."
        ),
    ] = None,
    k: Annotated[
        float | None,
        _of_model(
            "Number of active latents of a row, for topk, batch-topk and matryoshka. For jumprelu, l1 and gated, --set"
            " target_l0=32 aims at a mean number of 32."
        ),
    ] = None,
    sparsity: Annotated[float | None, _of_model("ρ: target for the mean activation of a hidden unit.")] = None,
    beta: Annotated[float | None, _of_model("β: weight of the sparsity penalty.")] = None,
    l1: Annotated[
        float | None,
        _of_model(
            "Weight of an L1 penalty on the activations of the hidden units (for l1 and gated: of the latents). The"
            " penalty of β remains; --beta 0 switches it off."
        ),
    ] = None,
    weight_decay: Annotated[
        float | None, _of_model("λ: weight of the weight decay; for a stack, in the pre-training of its layers.")
    ] = None,
    softmax_weight_decay: Annotated[
        float | None, _of_model("λ of the softmax regression on the codes; only for stacked-classifier.")
    ] = None,
    fine_tuning_weight_decay: Annotated[
        float | None, _of_model("λ of the softmax's weights in the fine-tuning; only for stacked-classifier.")
    ] = None,
    activation: Annotated[str | None, _of_model("Activation of the hidden units, such as sigmoid, tanh, relu.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Any parameter of the estimator, such as tol=1e-4. Values are written as in Python, also dicts,"
            " class_weight={yes: 5, no: 1}, and objects of rhohat's classes: solver=Adam(learning_rate=0.01),"
            " corruption=MaskingNoise(0.3). May be given several times.",
            rich_help_panel=MODEL,
        ),
    ] = None,
    preprocess: Annotated[
        list[Any] | None,
        typer.Option(
            parser=step_named,
            metavar="NAME",
            help="Preprocessing of the rows, and of all rows that the model is given later: minmax (each"
            " column to 0 to 1), standard (each column to mean 0 and variance 1), patches (normalise each patch), range"
            " (all pixels of images alike, to 0 to 1), whiten (ZCA), activations (one factor for all numbers), none."
            " May be given several times; the steps are applied in their order. auto chooses steps that suit the data,"
            " and prints them; it chooses none for dictionaries and for networks of sequences. With sigmoid or tanh"
            " units, numbers should be of about 1 or less."
            f" One of auto, none, {', '.join(names_of_steps())}.",
            show_default="auto",
            rich_help_panel=MODEL,
        ),
    ] = None,
    solver: Annotated[str | None, _of_training("Solver, such as lbfgs, adam, sgd.")] = None,
    max_iter: Annotated[
        int | None,
        _of_training(
            "Largest number of iterations; for adam and sgd, of epochs; for dictionaries, of passes over the rows. The"
            " iterations of the warm-up on some of the rows, which comes first, are not counted."
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        _of_training(
            "Learning rate of a solver that learns from batches: adam, sgd, or a dictionary's own. A dictionary's is"
            " 2e-4 / sqrt(latents / 16384) by default; for fewer than ten million rows in all passes, a larger one such"
            " as 3e-3 is often better."
        ),
    ] = None,
    batch_size: Annotated[
        int | None, _of_training("Largest number of rows in a batch, for a solver that learns from batches.", min=1)
    ] = None,
    seed: Annotated[int, _of_training("Seed of every random draw.", min=0, show_default=True)] = 0,
    columns: Annotated[str | None, _of_data("Columns to learn from, by name or number: a,b,c. All by default.")] = None,
    drop: Annotated[str | None, _of_data("Columns to leave out, by name or number.")] = None,
    labels: Labels = None,
    target: Annotated[
        str | None, _of_data("The column of DATA to predict, or several. They are left out of the rows.")
    ] = None,
    one_hot: Annotated[
        bool,
        typer.Option(
            "--one-hot",
            help="Let columns of a table hold texts, such as categories: each category becomes a column of 0 and 1, in"
            " the model as in the training. Numbers are scaled from 0 to 1, or as --preprocess standard or none says.",
            rich_help_panel=DATA,
        ),
    ] = False,
    min_frequency: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --one-hot, the number of rows in which a text must be found to be a category of its own. All"
            " rarer texts of a column share one category. By default 2.",
            show_default=False,
            rich_help_panel=DATA,
        ),
    ] = None,
    reading: ReadingOptions = _AS_IT_COMES,
    validation: Annotated[
        float | None,
        _of_training(
            "Fraction of the rows, drawn at random, that is held out to judge the model, such as 0.2. By default 0.1"
            " for classifiers and regressors, and 0 for all others."
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None, _of_training("Folder for checkpoints, from which the training can be resumed.", metavar="DIR")
    ] = None,
    checkpoint_every: Annotated[
        str | None,
        _of_training(
            "How often to write a checkpoint: 30 s, 5 min, or a number of iterations; for adam, sgd and dictionaries,"
            " of updates.",
            metavar="TEXT",
            show_default="60 s",
        ),
    ] = None,
    resume: Annotated[bool, _of_training("Continue from the checkpoint, if there is one.", "--resume")] = False,
    memory_limit: Annotated[str | None, _of_training("Largest amount of memory to use, such as 512 MB.")] = None,
    dask: Annotated[str | None, _of_training("Address of the scheduler of a Dask cluster.", metavar="ADDRESS")] = None,
    device: Annotated[
        str | None,
        _of_training(
            "Device on which PyTorch computes, such as cuda or mps. Several devices, such as cuda:0,cuda:1, share the"
            " work.",
            metavar="NAME",
        ),
    ] = None,
    split_latents: Annotated[
        bool,
        _of_training(
            "Let each of several devices hold a part of the latents, if one device cannot hold the dictionary.",
            "--split-latents",
        ),
    ] = False,
    history: Annotated[
        Path | None,
        typer.Option(
            help="A .jsonl or .csv file to which J is written after every iteration over all rows; for dictionaries,"
            " after every block of at most 50 updates, with passes, rows seen, FVU, L0, dead latents and seconds.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    note_text: Annotated[
        str | None,
        typer.Option(
            "--note",
            metavar="TEXT",
            help="A note about the model, kept in its file; info prints it.",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    jobs: Jobs = None,
    as_json: Json = False,
    quiet: Quiet = False,
    traceback: Traceback = False,
) -> None:
    """Learn from any number of rows, from files of many formats, and write a model file.

    The model includes its preprocessing, so encode, report and the other commands take the same data as train.
    Classifiers and regressors need --labels or --target. If Ctrl-C ends a training, what has been learned so far is
    written to NAME.partial.safetensors; if it was started with --checkpoint DIR, it can be continued with --resume.

    A stack is trained in parts: its layers are pre-trained, and stacked-classifier then trains a softmax on their codes
    and fine-tunes the whole network. --hidden, --sparsity, --beta, --weight-decay, --activation, and parameters that
    only layers have, apply to the layers. --solver, --max-iter and the other options of the minimisation apply to every
    part. For stacked-classifier, penalties, corruption and tangent_weight, set with --set, apply to the fine-tuning.
    --set layers__0__NAME=VALUE sets a parameter of the first layer only; --set layers=[...] gives whole layers, with
    all their settings.

    A detector contains an autoencoder. --hidden, and all parameters that the detector does not have itself, apply to
    this autoencoder. --set contamination=0.01 sets the share of the rows that the detector takes for outliers. It
    standardises all columns itself, so that it finds the same after --preprocess minmax, standard or none.

    --latents, --epochs, --rho and --lambda are other names of --hidden, --max-iter, --sparsity and --weight-decay.
    """
    check_writable(output, data, *([] if labels is None else [labels]), endings=(".safetensors",))
    if history is not None:
        check_writable(history, data, endings=tuple(HISTORIES), option="--history")
    check_note(note_text)
    check_options(data, columns, drop)
    check_texts(reading.missing, one_hot, min_frequency)
    check_targets(estimator, labels, target)
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
        "checkpoint": checkpoint_settings(checkpoint, checkpoint_every, resume),
        **l1_penalty(estimator, l1, settings or []),
    }
    with (
        FitProgress(quiet=quiet) as progress,
        connected(dask, device, split_latents=split_latents) as engine,
        reading.open(
            ctx, data, columns, drop, target, supervised=estimator.learns_from_targets, one_hot=one_hot
        ) as rows,
        redirect_stderr(StringIO()) if quiet else nullcontext(),
    ):
        overfitting = Overfitting()
        callbacks: list[Any] = [progress, overfitting, *([] if history is None else [history_file(history, resume)])]
        given |= {"engine": engine, "callbacks": callbacks}
        network = make_estimator(estimator, given, hidden, layers, input_shape, settings or [])
        note_on_sparsity(ctx, network, sparsity)
        per_step = bool(getattr(network, "per_step", False))
        y = rows.targets if labels is None else reading.labels(labels, rows, per_step=per_step)
        if y is not None:
            y = as_classes(y, per_step=per_step) if is_classifier(network) else as_numbers(y)
            if labels is None:
                rows.targets = y  # the same array as in fit, so that it finds the names
            if is_classifier(network):
                note_on_classes(ctx, y)
        held = hold_out(validation, rows, y, network, seed, targets_of_table=labels is None and y is not None)
        if held.out is not None:
            note(ctx, f"{len(held.out)} of {len(rows)} rows are held out, to judge the model; --validation 0 uses all")
        set_in_solver(network, learning_rate, batch_size, held.rows.shape[0], settings or [])
        progress.expect(getattr(network, "max_iter", None))
        overfitting.expect(getattr(getattr(network, "autoencoder", network), "max_iter", None))
        progress.announce(f"looking through {rows.name}")
        note_on_identifiers(ctx, rows)
        if one_hot or reading.missing is Missing.IMPUTE:
            imputes = reading.missing is Missing.IMPUTE
            steps = table_preprocessing(preprocess, imputes=imputes, min_frequency=min_frequency)
        else:
            imputers = [MeanImputer()] if reading.missing is Missing.MEAN else []
            whole = imputers[0].fit(held.rows).transform(held.rows) if imputers else held.rows
            steps = [*imputers, *preprocessing(preprocess, whole, network)]
        note(ctx, preprocessing_as_text(steps, network))
        model = _pipeline(*steps, network) if steps else network
        is_resumed = False
        if resume and checkpoint is not None:
            states = sorted(checkpoint.rglob("checkpoint-*.safetensors"), key=lambda state: state.stat().st_mtime)
            note(
                ctx,
                f"the newest checkpoint is {states[-1]}" if states else f"there is no checkpoint in {checkpoint} yet",
            )
            is_resumed = bool(states)
        progress.announce(f"training on {held.rows.shape[0]} rows of {held.rows.shape[1]} columns")
        start = time.perf_counter()
        known = ModelCard(note=note_text or "", data=described_data(held, rows.short_name))
        with keeping_what_was_reached(ctx, model, output, checkpoint, known), overfitting.judging(model, held):
            fit_model(model, held.rows, held.y)
        seconds = time.perf_counter() - start
        check_outcome(model)
        progress.announce("looking at what was learned")
        card = card_of_training(model, held, rows.short_name)
        remark = remark_on_training(model, held, card, typed_in(ctx))
    save(model, output, card=card, note=note_text)
    command = next_command(model, output, data, labels, reading.rows)
    print_summary(
        model, output, held, card, seconds, command, remark, is_resumed=is_resumed, as_json=as_json, quiet=quiet
    )
