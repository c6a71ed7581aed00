"""Sections that the docstrings of several estimators share, and the decorator that inserts them."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Mapping
from typing import TypeVar

from rhohat.estimators.parameter_groups import (
    GROUPS,
    HOW_TO_CHOOSE,
    HOW_TO_CHOOSE_FOR_DICTIONARIES,
    group_of,
)

__all__ = ["document"]

_Class = TypeVar("_Class", bound=type)

_PARAMETERS = "Parameters\n----------\n"

_SHARED = {
    "dictionary": """
auxiliary_weight : float, default=1/32
    Weight α of the auxiliary loss, in which dead latents reconstruct what the others have left over; see the notes. 0
    turns it off.
dead_after : int or None, default=None
    Number of rows without being active after which a latent is dead. None means a tenth of the rows that the fit sees
    in all passes, but at least 1,000 and at most 200,000; for iterators, loaders and `partial_fit`, 200,000.
normalize : {"mean_norm", "layer_norm"} or None, default="mean_norm"
    What is done to rows first. "mean_norm" multiplies all of them with one factor, such that their mean norm is
    √n_features, measured about their mean if `center` is True; the factor is part of `coefs_` and `intercepts_`.
    "layer_norm" centres and scales each row by itself.
center : bool, default=True
    Whether the bias of the decoder, which begins as the mean of the rows, is subtracted from the input of the encoder.
decoder_norm : bool, default=True
    Whether the rows of the decoder are kept at norm 1; otherwise they may have any norm.
solver : {"adam", "sgd"}, MiniBatchSolver or None, default=None
    Solver whose update is used. None means ``Adam(learning_rate=2e-4 / sqrt(n_components / 2**14), batch_size=...,
    schedule="trapezoid")`` with the largest batches of 256, 512, 1024, 2048 or 4096 rows that leave 1,000 updates; with
    iterators, loaders and `partial_fit`, batches have 1024 rows; the schedule is applied from the second pass of a
    loader on, because the length of a pass is counted in the first, and not to an iterator. A solver with early
    stopping or `max_gradient_norm` is refused.
max_iter : int, default=10
    Number of passes over the rows. There is only one over an iterator, which cannot be read again.
sparse_output : bool, default=True
    Whether `transform` returns a sparse matrix rather than an array.
warm_start : bool, default=False
    Whether `fit` goes on from the dictionary of the previous fit, if there is one. If True, a fit that Ctrl-C ends sets
    the fitted attributes from what it has learned; if False, it leaves the estimator unchanged.
random_state : int, RandomState, Generator or None, default=None
    Seed of initial weights and of the order of the rows. The same seed and data give the same bits.
n_jobs : int, default=None
    Number of threads. None means as many as BLAS would use, −1 one for every core. The number affects the speed, but no
    bit of the result.
engine : TorchEngine, str or None, default=None
    What trains and encodes. None means threads of this process. "cuda", "mps" or another name of a device of PyTorch,
    short for ``TorchEngine("cuda")``, means this device, which computes in float32 unless the engine says otherwise. A
    `DaskEngine` is refused.
memory_limit : int or str, default=None
    Most memory of the host that the fit may take beside the rows that were passed, in bytes or as "2 GB".
checkpoint : path or Checkpoint, default=None
    Folder into which `fit` writes its state, and how often; see `Checkpoint`.
callbacks : sequence of callable, default=None
    Functions that are called with an `IterationState` after every block of at most 50 updates; its `measures` has
    the figures of the block and of the training so far. The fit stops if one of them returns True.
verbose : int, default=0
    If 1, a bar with the passes and the time is shown, or a line every ten seconds where standard error is neither a
    terminal nor a notebook. A larger number prints a line for every so many blocks of updates.
""",
    "dictionary_step": """
The rows of W_dec have norm 1 if `decoder_norm` is true: the part of their gradient that would change the norm is
removed, and they are scaled after each update. The initial W_enc is the transpose of W_dec, whose rows are random
directions.

In the auxiliary loss, the pre-activations of the n_features // 2 dead latents where they are largest in a row decode to
ē, and α min(1, n_dead / (n_features // 2)) ½‖ē − (x − x̂)‖² is added, with x − x̂ held fixed.

No array of (n_samples, n_components) is made, neither in training nor in `transform`.
""",
    "fitted_dictionary": """
decoder_ : array of shape (n_components, n_features)
    Rows of the decoder, the dictionary: the direction of each latent, in the units of the rows. If `decoder_norm` is
    True, all have the norm ``1 / scaling_.factor``.
encoder_ : array of shape (n_components, n_features)
    Rows of the encoder: what each latent looks for, in the units of the rows.
components_ : array of shape (n_components, n_features)
    The same as `decoder_`, as in scikit-learn's `DictionaryLearning`. Of an autoencoder with dense codes, `components_`
    are the rows of the encoder.
coefs_, intercepts_ : lists of two arrays
    Weights and biases of the encoder and of the decoder, for rows as they are. The codes are selected from
    ``(X - intercepts_[1]) @ coefs_[0] + intercepts_[0]``, without the subtraction if `center` is False; the
    reconstructions of codes f are ``f @ coefs_[1] + intercepts_[1]``.
scaling_ : Scaling
    What is done to rows first.
threshold_ : float or None
    Average threshold of the batches above which a latent is active after training, if the selection has one.
rows_since_fired_ : array of shape (n_components,)
    Number of rows since each latent was active.
loss_curve_ : list of float
    J for each block of at most 50 updates, a mean over the batches of the block while the dictionary was learning.
terms_curve_, measures_curve_ : dict of str to list of float
    The terms of J for each block; and the fraction of variance unexplained ("fvu") and the mean number of active
    latents ("l0"), means like J, and after the block the number of dead latents ("dead") and of rows seen ("rows").
    On held-out rows, `score` and `rhohat.evaluate` give the figures of the dictionary as it is in the end.
n_iter_, n_steps_, n_samples_fit_ : int
    Number of blocks of at most 50 updates, which is the length of `loss_curve_`; of updates of the parameters, one for
    each batch; and of rows seen, over all passes. `max_iter` counts passes.
solver_status_, solver_message_ : str
    Why the training ended.
memory_plan_ : MemoryPlan
    What the fit planned to hold in memory.
n_features_in_ : int
    Number of features.
feature_names_in_ : array of shape (n_features,)
    Names of the features, if all are strings.
""",
    "network": """
activation : {"sigmoid", "tanh", "relu", "leaky_relu", "parametric_relu", "maxout", "softmax", "identity"} or \
Activation, default="sigmoid"
    Activation f of the hidden units. An object has parameters of its own: ``LeakyReLU(slope=0.1)``.
""",
    "output": """
output_activation : {"auto", "sigmoid", "identity", ...} or Activation, default="auto"
    Activation g of the output units. "auto" chooses the activation that the loss contains. If the loss contains none,
    "auto" chooses sigmoid if all of X lies in [0, 1], and otherwise identity (a linear decoder).
loss : {"squared_error", "binary_cross_entropy", ...} or Loss, default="squared_error"
    Cost of the reconstruction of a row. "binary_cross_entropy" needs X in [0, 1].
""",
    "linear_output": """
output_activation : {"auto", "sigmoid", "identity", ...} or Activation, default="auto"
    Activation g of the output units. "auto" chooses the activation that the loss contains, and otherwise identity (a
    linear decoder).
loss : {"squared_error", "binary_cross_entropy", ...} or Loss, default="squared_error"
    Cost of the reconstruction of a row. "binary_cross_entropy" needs X in [0, 1].
""",
    "penalties": """
penalties : sequence of Penalty, or a single one, default=()
    Further terms of J: any of `WeightDecay`, `KLSparsity`, `L1Sparsity`, `Contraction`, or a penalty of your own.
""",
    "corruption": """
n_corruptions : int, default=1
    Number of times that a solver that sees all rows at once is run, each time on a fresh corruption of the rows. Each
    run takes at most `max_iter` iterations and starts where the previous run ended. Solvers that work in mini-batches
    are run once, with a fresh corruption for every epoch.
""",
    "noise": """
corruption : {"masking", "gaussian", "salt_and_pepper"}, Corruption or None, default=None
    Noise that is applied to the rows during training, but not when rows are classified. Solvers that see all rows at
    once use the same corrupted rows throughout; solvers that work in mini-batches corrupt the rows afresh in every
    epoch. Rows that are held out for early stopping are corrupted too. Tangents are not corrupted.
""",
    "class_weight": """
class_weight : dict, "balanced" or None, default=None
    Weights of the classes, which multiply the sample weights of their rows. "balanced" weights each class such that all
    count equally. A class that a dict does not name has the weight 1.
""",
    "training": """
solver : {"lbfgs", "conjugate_gradient", "newton_cg", "gradient_descent", "sgd", "adam"} or Solver, default="lbfgs"
    Algorithm that minimises J. An object has parameters of its own: ``Adam(learning_rate=1e-3, batch_size=256)``. For
    `set_params` and grid searches, these parameters have names such as ``solver__learning_rate``.
initial_weights : {"uniform", "normal"} or arrays, default="uniform"
    Distribution of the initial weights, or the weights themselves: a list of arrays of the shapes of `coefs_`, if you
    like followed by those of `intercepts_`, or the vector `theta_`. "uniform" draws uniformly between
    ±√(6 / (fan_in + fan_out + 1)), where fan_in and fan_out are the numbers of inputs and outputs of a layer; "normal"
    draws from the normal distribution with mean 0 and standard deviation 0.01. Biases start at 0. With "uniform", the
    weights of recurrent layers for the outputs of the step before are orthogonal matrices; biases of the forget gates
    of an LSTM start at 1.
max_iter : int, default=400
    Largest number of iterations of the solver over all rows, or of epochs if the solver works in mini-batches. With
    more than 2,000 rows, a solver that sees all rows at once first warms up on random subsets of the rows, with at most
    half of `max_iter` iterations, and at most 200, on each subset; see `warm_up` of `FullBatchSolver`.
tol : float, default=1e-5
    The solver has converged when no component of the gradient exceeds this number.
early_stopping : bool, default=False
    Whether to hold out some of the rows, to end the fit when the cost on them no longer falls, and to keep the
    parameters at which it was lowest. A classifier holds out rows of all classes in their proportions. Penalties are
    part of the cost, and `validation_curve_` has it after each iteration.
validation_fraction : float, default=0.1
    Fraction of the rows that early stopping holds out, between 0 and 1.
n_iter_no_change : int, default=10
    Number of iterations, or of epochs, in which the cost on the held-out rows does not fall, after which early stopping
    ends the fit.
warm_start : bool, default=False
    Whether to start from the parameters of the previous fit, if there is one. If True, a fit that Ctrl-C ends sets the
    fitted attributes from the last iteration, except those that need another pass over the rows, such as
    `mean_activation_`. If False, such a fit leaves the estimator unchanged.
random_state : int, RandomState, Generator or None, default=None
    Seed of initial weights, corruption, shuffling and the subsets of a warm-up. The same seed and data give the same
    bits.
n_jobs : int, default=None
    Number of threads. None means as many as BLAS would use, −1 one for every core. The number affects the speed, but no
    bit of the result.
engine : TorchEngine, str, DaskEngine or None, default=None
    What computes. None means threads of this process. "cuda", "mps" or another name of a device of PyTorch, short for
    ``TorchEngine("cuda")``, means this device. With a `DaskEngine`, the workers of a cluster evaluate J, and the solver
    must see all rows at once.
{large}
callbacks : sequence of callable, default=None
    Functions that are called with an `IterationState` after every iteration. The fit stops if one of them returns
    True. If a fit runs its solver several times, each run counts its iterations from 1. In the warm-up, the attribute
    ``n_rows`` of the state is the number of rows on which J was computed, and True ends the iterations on these rows
    only; in iterations over all rows, ``n_rows`` is None.
verbose : int, default=0
    If 1, a bar with J and the time is shown, by Rich or tqdm if one of them is installed; where standard error is
    neither a terminal nor a notebook, a line is printed every ten seconds. A larger number prints a line about every
    `verbose`-th iteration.
""",
    "layers": """
layers : sequence of layers, default=None
    The hidden layers, such as ``[Convolution(20, 5), MaxPooling(2), Dense(500, "tanh")]``, in place of
    `hidden_layer_sizes`. A number stands for a dense layer with this number of units. If `layers` are given,
    `activation` is used for the layers that have no activation of their own.
input_shape : tuple of int, default=None
    Shape of a row, if `layers` are given: (height, width, channels) for images, or (steps, channels) for sequences.
    If None, it is taken from X, of shape (n_samples, height, width) or (n_samples, height, width, channels).
""",
    "large": """
memory_limit : int, str or None, default=None
    Largest amount of memory that a fit may hold in addition to the interpreter, its libraries, and the arrays passed to
    `fit`: a number of bytes, or a string such as "512 MB". If there is a limit, the memory plan is printed to standard
    error before the fit starts. The plan is stored as `memory_plan_`, in a stack by each of the layers. Hidden
    activations that do not fit are computed twice. Subsets of a warm-up take at most a quarter of the limit, and the
    windows in which mini-batches from files are shuffled at most a third; smaller subsets or windows change the result.
    If None, hidden activations may take 1 GiB, and a subset or the windows 256 MB.
checkpoint : path, Checkpoint or None, default=None
    Folder into which `fit` writes its state once a minute, so that the fit can be resumed after any interruption, such
    as an exception in a callback. ``Checkpoint(folder, every="5 min", resume=True)`` writes the state every five
    minutes, and continues from the newest state in the folder, if any, with the same result, bit for bit, as without
    interruption; see `Checkpoint`. If `resume` is False, the folder must hold no checkpoints. Each fit needs its own
    folder, so checkpoints do not work in a grid search. `partial_fit` writes no checkpoints. The solvers "lbfgs",
    "gradient_descent", "sgd" and "adam" can be resumed.
""",
    "fitted": """
coefs_ : list of arrays of shape (s_l, s_{l+1})
    Weights, layer by layer.
intercepts_ : list of arrays of shape (s_{l+1},)
    Biases, layer by layer.
activation_parameters_ : list of arrays
    Parameters of the activations, layer by layer: the slopes of parametric ReLU units; empty for most activations.
network_ : Network
    Architecture of the network.
theta_ : array of shape (n_parameters,)
    All parameters as the flat vector that `objective` takes.
loss_curve_ : list of float, of length `n_iter_`
    J after each iteration; for mini-batches, its mean over each epoch.
terms_curve_ : dict of str to list of float
    Terms of J after each iteration, by name, without terms of weight 0. The terms add up to J.
validation_curve_ : list of float
    J on the held-out rows after each iteration or epoch with early stopping; otherwise empty.
n_iter_ : int
    Number of iterations over all rows, or of epochs if the solver works in mini-batches.
n_evaluations_ : int
    Number of evaluations of J and its gradient over all rows, or over mini-batches.
warm_up_evaluations_ : dict of int to int
    Number of evaluations of J on each subset of the rows during the warm-up, by the number of rows in the subset; empty
    if there was no warm-up.
warm_up_curves_ : dict of int to list of float
    J on each subset of the rows after each iteration of the warm-up, by the number of rows in the subset.
solver_status_ : {"converged", "max_iter", "stalled", "stopped", "diverged", "not_finite", "interrupted", "given"}
    Reason why the solver ended. "interrupted" means that Ctrl-C ended a fit with `warm_start=True`; "given" means that
    no solver was run, because the weights were passed to `from_weights`.
solver_message_ : str
    The reason in `solver_status_` as a sentence, with advice.
memory_plan_ : MemoryPlan
    Memory that the fit held, part by part. `print` shows it as a table.
n_samples_fit_ : int
    Number of rows with a weight above 0 in the last fit, or in the last call of `partial_fit`.
data_name_ : str or None
    Name of the file from which the rows of the last fit were read; None for rows that were given as an array.
training_range_ : array of shape (2, n_features)
    Smallest and largest value of each feature in the rows of the last fit and of all later calls of `partial_fit`.
    If rows far outside of this range are passed through the network, there is a warning.
n_features_in_ : int
    Number of input features.
feature_names_in_ : array of shape (`n_features_in_`,)
    Names of the input features; only set if X has column names that are all strings.
""",
    "targets": """
target_names_ : tuple of str or None
    Names of the target columns in the order of the fit, if y was a DataFrame, a Series or columns of a table with
    names; otherwise None. If a y with names is given later, its columns are put into this order.
""",
    "code": """
components_ : array of shape (n_units, n_features)
    The encoder, as the transposed weights of the first layer: row j holds the input weights of unit j. For a
    convolution, the array has the shape (n_filters, kernel height, kernel width, n_channels).
decoder_ : array of shape (n_units, n_features)
    The decoder, or dictionary, as the weights of the last layer: row j is what unit j of the last hidden layer adds to
    the output, before the output activation. For a convolution, the array has the shape of `components_`.
mean_activation_ : array of shape (n_components,), float64
    Mean activation ρ̂ of each unit of the code over the uncorrupted rows of the last fit, weighted by their sample
    weights. For a convolution, it is the mean of each channel over rows and places. `from_weights` does not set it.
output_activation_ : str
    Name of the output activation in use.
""",
    "warning": """
Warns
-----
ConvergenceWarning
    If the solver neither converged nor was stopped by a callback or by early stopping.
""",
}


def document(cls: _Class) -> _Class:
    """Put the shared parts into a class docstring, where a line such as ``{training}`` asks for them.

    The list of the parameters in groups precedes their descriptions, each of which ends with how to choose it.
    """
    text = inspect.cleandoc(cls.__doc__ or "")
    of_its_kind = HOW_TO_CHOOSE_FOR_DICTIONARIES if "{dictionary}" in text else {}
    cls.__doc__ = _with_groups(_with_shared_parts(text), {**HOW_TO_CHOOSE, **of_its_kind})
    return cls


def _with_shared_parts(text: str) -> str:
    lines = []
    for line in text.splitlines():
        name = line.strip().removeprefix("{").removesuffix("}")
        shared = _SHARED.get(name) if line.strip() == f"{{{name}}}" else None
        lines.append(line if shared is None else _with_shared_parts(textwrap.dedent(shared).strip("\n")))
    return "\n".join(lines)


def _with_groups(text: str, how_to_choose: Mapping[str, str]) -> str:
    """Return a docstring with its parameters listed in groups, and with how to choose each."""
    before, title, rest = text.partition(_PARAMETERS)
    described, blank, after = rest.partition("\n\n")
    if not title:
        return text
    entries = re.split(r"\n(?=\S)", described.strip("\n"))
    names = [entry.partition(" : ")[0] for entry in entries]
    groups = {group: [f"`{name}`" for name in names if group_of(name) == group] for group in GROUPS}
    listed = [_wrapped(f"- {group}: {', '.join(found)}.", "  ") for group, found in groups.items() if found]
    chosen = [_with_sentence(entry, how_to_choose.get(name, "")) for entry, name in zip(entries, names, strict=True)]
    overview = "\n".join(["The parameters in groups:", "", *listed])
    return f"{before}{overview}\n\n{title}" + "\n".join(chosen) + blank + after


def _with_sentence(entry: str, sentence: str) -> str:
    return entry if not sentence else f"{entry}\n{_wrapped(f'    {sentence}', '    ')}"


def _wrapped(text: str, indent: str) -> str:
    return textwrap.fill(text, 116, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
