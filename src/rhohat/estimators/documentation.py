"""What the docstrings of the estimators have in common, written once."""

from __future__ import annotations

import inspect
import textwrap
from typing import TypeVar

__all__ = ["document"]

_Class = TypeVar("_Class", bound=type)

_SHARED = {
    "network": """
activation : {"sigmoid", "tanh", "relu", "leaky_relu", "parametric_relu", "maxout", "softmax", "identity"} or \
Activation, default="sigmoid"
    f, of the hidden units. An object carries settings: ``LeakyReLU(slope=0.1)``.
""",
    "output": """
output_activation : {"auto", "sigmoid", "identity", ...} or Activation, default="auto"
    g, of the output. "auto": the one that the loss contains; else sigmoid where all of X lies in [0, 1], else
    identity (a linear decoder).
loss : {"squared_error", "binary_cross_entropy", ...} or Loss, default="squared_error"
    What a reconstruction costs. "binary_cross_entropy" is for X in [0, 1].
""",
    "penalties": """
penalties : sequence of Penalty, or a single one, default=()
    What else is added to J: any of `WeightDecay`, `KLSparsity`, `L1Sparsity`, `Contraction`, or your own.
""",
    "corruption": """
n_corruptions : int, default=1
    Solvers that see all rows at once minimise over one fixed corruption of them. With a larger number they are run so
    often, `max_iter` iterations each, on a fresh corruption and from where the last run ended. Solvers by mini-batches
    draw a fresh corruption for every epoch.
""",
    "noise": """
corruption : {"masking", "gaussian", "salt_and_pepper"}, Corruption or None, default=None
    What is done to the rows while learning from them; rows to be classified are left as they are. Solvers that see all
    rows at once see one corruption of them, solvers by mini-batches a fresh one in every epoch. Rows held out for early
    stopping are corrupted too; tangents stay those that were given.
""",
    "training": """
solver : {"lbfgs", "conjugate_gradient", "newton_cg", "gradient_descent", "sgd", "adam"} or Solver, default="lbfgs"
    An object carries settings: ``Adam(learning_rate=1e-3, batch_size=256)``. `set_params` and grid searches reach them
    by names such as ``solver__learning_rate``.
initial_weights : {"uniform", "normal"}, default="uniform"
    "uniform": in ±√(6 / (fan_in + fan_out + 1)). "normal": normal(0, 0.01²). Biases start at 0.
max_iter : int, default=400
    Most iterations of the solver over all rows; epochs, where it works in mini-batches. Where there are more than 2,000
    rows, half as many on random subsets of them come first, 200 at most on each: `warm_up` of `FullBatchSolver`.
tol : float, default=1e-5
    Converged when no component of the gradient exceeds this.
warm_start : bool, default=False
    Start from the parameters of the previous fit, where there is one. A fit that Ctrl-C ends leaves the last iterate
    then, but not what takes another pass over the rows, as `mean_activation_` does; else it leaves all as it was.
random_state : int, RandomState, Generator or None, default=None
    For initial weights, corruption, shuffling and the subsets of a warm-up. The same seed and data give the same bits.
n_jobs : int, default=None
    Threads. None: as many as BLAS would use; −1: every core. It changes the speed, never a bit of the result.
engine : DaskEngine or None, default=None
    Who computes: the workers of a Dask cluster, or with None the threads of this process. With a cluster, the solver
    must see all rows at once.
{large}
callbacks : sequence of callable, default=None
    Called with an `IterationState` after every iteration over all rows, not during a warm-up; the fit stops if one
    returns True. Where a fit solves several times, each solve counts its iterations from 1.
verbose : int, default=0
    Print a line to standard error about every `verbose`-th iteration over all rows; 0 prints nothing.
""",
    "large": """
memory_limit : int, str or None, default=None
    Most memory that a fit may hold beside the interpreter, its libraries, and arrays that it was given: bytes, or as
    "512 MB". What will be held is printed to standard error before the fit starts, and kept as `memory_plan_` (of a
    stack: by its layers). Hidden activations that do not fit are computed twice. Subsets of a warm-up take a quarter of
    it at most, the windows that mini-batches from files are shuffled in a third; smaller ones give another result.
    None: 1 GiB for hidden activations, 256 MB for a subset or the windows.
checkpoint : path, Checkpoint or None, default=None
    Folder into which `fit` writes its state once a minute, so that it can be resumed after whatever ended it, a
    callback among that. ``Checkpoint(folder, every="5 min", resume=True)`` says how often, and goes on from the state
    that is there, to the same bits as without interruption; see `Checkpoint`. The folder must hold no checkpoint of an
    earlier fit, unless that is to be resumed: each fit has a folder of its own, so a grid search has no use for it.
    `partial_fit` writes none. Solvers: "lbfgs", "gradient_descent", "sgd" and "adam".
""",
    "fitted": """
coefs_ : list of arrays of shape (s_l, s_{l+1})
    Weights, layer by layer.
intercepts_ : list of arrays of shape (s_{l+1},)
    Biases, layer by layer.
activation_parameters_ : list of arrays
    What the activations have learned, layer by layer: the slopes of parametric ReLU units, nothing for most others.
network_ : Network
    The architecture.
theta_ : array of shape (n_parameters,)
    All parameters as the flat vector that `objective` takes.
loss_curve_ : list of float, of length `n_iter_`
    J after each iteration; for mini-batches, its mean over each epoch.
terms_curve_ : dict of str to list of float
    The terms of J that have a weight after each iteration, by name; they add up to J.
validation_curve_ : list of float
    With early stopping: J on the rows held out, after each epoch. Else empty.
n_iter_ : int
    Iterations done.
n_evaluations_ : int
    Evaluations of J and its gradient over all rows, or over mini-batches.
warm_up_evaluations_ : dict of int to int
    Those before them over subsets of the rows, by number of rows; empty where there was no warm-up.
solver_status_ : {"converged", "max_iter", "stalled", "stopped", "diverged", "not_finite", "interrupted", "given"}
    Why the solver ended. "interrupted": by Ctrl-C, with `warm_start=True`. "given": there was none, see `from_weights`.
solver_message_ : str
    The same as a sentence.
memory_plan_ : MemoryPlan
    What was held in memory: printed, it is a table.
n_samples_fit_ : int
    Rows of the last fit, or call of `partial_fit`, of a weight above 0.
data_name_ : str or None
    What these rows are called: the name of their file; None for rows that were an array.
training_range_ : array of shape (2, n_features)
    The least and the largest number of each feature in these rows, and in those of earlier calls of `partial_fit`. Rows
    that lie far outside are passed through the network with a warning.
n_features_in_ : int
feature_names_in_ : array of shape (`n_features_in_`,)
    Only where X has column names that are all strings.
""",
    "targets": """
target_names_ : tuple of str or None
    Of the columns that are predicted, in the order of the fit, where y had names: as a DataFrame, a Series, or from a
    column of a table. A y with names that is given later is put into this order. None where y had none.
""",
    "code": """
components_ : array of shape (n_units, n_features)
    Weights of the first layer, transposed: row j is what unit j weighs its input with.
mean_activation_ : array of shape (n_components,), float64
    ρ̂, the mean activation of each unit of the code over the rows of the last fit, clean, by their weights. Not there
    where weights were given.
output_activation_ : str
    Name of the output activation in use.
""",
    "warning": """
Warns
-----
ConvergenceWarning
    Where the solver neither converged nor was stopped by a callback or by early stopping.
""",
}


def document(cls: _Class) -> _Class:
    """Put the shared parts into a class docstring, where a line such as ``{training}`` asks for them."""
    cls.__doc__ = _with_shared_parts(inspect.cleandoc(cls.__doc__ or ""))
    return cls


def _with_shared_parts(text: str) -> str:
    lines = []
    for line in text.splitlines():
        name = line.strip().removeprefix("{").removesuffix("}")
        shared = _SHARED.get(name) if line.strip() == f"{{{name}}}" else None
        lines.append(line if shared is None else _with_shared_parts(textwrap.dedent(shared).strip("\n")))
    return "\n".join(lines)
