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
    Activation f of the hidden units. An object carries settings: ``LeakyReLU(slope=0.1)``.
""",
    "output": """
output_activation : {"auto", "sigmoid", "identity", ...} or Activation, default="auto"
    Activation g of the output units. "auto" chooses the activation that the loss contains; if it contains none,
    sigmoid if all of X lies in [0, 1], and otherwise identity (a linear decoder).
loss : {"squared_error", "binary_cross_entropy", ...} or Loss, default="squared_error"
    Cost of a reconstruction. "binary_cross_entropy" needs X in [0, 1].
""",
    "penalties": """
penalties : sequence of Penalty, or a single one, default=()
    Further terms of J: any of `WeightDecay`, `KLSparsity`, `L1Sparsity`, `Contraction`, or a penalty of your own.
""",
    "corruption": """
n_corruptions : int, default=1
    Number of corruptions of the rows on which a solver that sees all rows at once is run, one after the other. Each run
    takes at most `max_iter` iterations and starts where the previous one ended. Solvers by mini-batches draw a fresh
    corruption for every epoch.
""",
    "noise": """
corruption : {"masking", "gaussian", "salt_and_pepper"}, Corruption or None, default=None
    Noise that is applied to the rows during training, and not when rows are classified. Solvers that see all rows at
    once see one corruption of them; solvers by mini-batches see a fresh one in every epoch. Rows that are held out for
    early stopping are corrupted too. Tangents are used as they are given.
""",
    "training": """
solver : {"lbfgs", "conjugate_gradient", "newton_cg", "gradient_descent", "sgd", "adam"} or Solver, default="lbfgs"
    An object carries settings: ``Adam(learning_rate=1e-3, batch_size=256)``. `set_params` and grid searches reach them
    by names such as ``solver__learning_rate``.
initial_weights : {"uniform", "normal"}, default="uniform"
    Distribution of the weights at the start. "uniform" draws from ±√(6 / (fan_in + fan_out + 1)), "normal" from
    normal(0, 0.01²). Biases start at 0.
max_iter : int, default=400
    Largest number of iterations of the solver over all rows, or of epochs if it works in mini-batches. With more than
    2,000 rows, up to half as many iterations on random subsets of them come first, at most 200 on each subset; see
    `warm_up` of `FullBatchSolver`.
tol : float, default=1e-5
    The solver has converged when no component of the gradient exceeds this number.
warm_start : bool, default=False
    Whether to start from the parameters of the previous fit, if there is one. If so, a fit that Ctrl-C ends keeps the
    last iterate, but not attributes that take another pass over the rows, such as `mean_activation_`. If not, it leaves
    the estimator as it was.
random_state : int, RandomState, Generator or None, default=None
    Seed of initial weights, corruption, shuffling and the subsets of a warm-up. The same seed and data give the same
    bits.
n_jobs : int, default=None
    Number of threads. None uses as many as BLAS would, −1 one for every core. It changes the speed, but not a bit of
    the result.
engine : DaskEngine or None, default=None
    Engine that evaluates J: the workers of a Dask cluster, or with None the threads of this process. A cluster needs a
    solver that sees all rows at once.
{large}
callbacks : sequence of callable, default=None
    Functions that are called with an `IterationState` after every iteration over all rows, but not during a warm-up.
    The fit stops if one of them returns True. If a fit runs its solver several times, each run counts its iterations
    from 1.
verbose : int, default=0
    If positive, a line about every `verbose`-th iteration over all rows is printed to standard error.
""",
    "layers": """
layers : sequence of layers, default=None
    The hidden layers, such as ``[Convolution(20, 5), MaxPooling(2), Dense(500, "tanh")]``, in place of
    `hidden_layer_sizes`. A number stands for a dense layer of so many units. `activation` is then that of the layers
    that name none.
input_shape : tuple of int, default=None
    Shape of a row, if `layers` are given: (height, width, channels) for images, or (steps, channels) for sequences.
    None takes it from X, which may have the shape (n_samples, height, width) or (n_samples, height, width, channels).
""",
    "large": """
memory_limit : int, str or None, default=None
    Largest amount of memory that a fit may hold beside the interpreter, its libraries, and the arrays that it is given:
    a number of bytes, or a text such as "512 MB". The memory plan is printed to standard error before the fit starts,
    and kept as `memory_plan_` (for a stack, as that of each layer). Hidden activations that do not fit are computed
    twice. Subsets of a warm-up take at most a quarter of the limit, and the windows in which mini-batches from files
    are shuffled at most a third; smaller subsets or windows change the result. None allows 1 GiB for hidden
    activations, and 256 MB for a subset or the windows.
checkpoint : path, Checkpoint or None, default=None
    Folder into which `fit` writes its state once a minute, so that it can be resumed after any interruption, such as an
    exception in a callback. ``Checkpoint(folder, every="5 min", resume=True)`` also sets how often the state is
    written, and continues from a state that is there, to the same bits as without interruption; see `Checkpoint`. The
    folder must hold no checkpoint of an earlier fit, unless that fit is to be resumed. Each fit needs a folder of its
    own, so checkpoints do not work in a grid search. `partial_fit` writes no checkpoints. The solvers "lbfgs",
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
    Terms of J after each iteration, by name, except those of weight 0. They add up to J.
validation_curve_ : list of float
    J on the rows held out after each epoch, with early stopping; otherwise empty.
n_iter_ : int
    Number of iterations over all rows, or of epochs.
n_evaluations_ : int
    Number of evaluations of J and its gradient over all rows, or over mini-batches.
warm_up_evaluations_ : dict of int to int
    Number of evaluations over subsets of the rows during the warm-up, by the number of rows in the subset; empty if
    there was no warm-up.
solver_status_ : {"converged", "max_iter", "stalled", "stopped", "diverged", "not_finite", "interrupted", "given"}
    Reason why the solver ended. "interrupted" means Ctrl-C, with `warm_start=True`; "given" means that no solver was
    run, see `from_weights`.
solver_message_ : str
    The reason as a sentence that says what to do.
memory_plan_ : MemoryPlan
    Memory that the fit held, part by part. It prints as a table.
n_samples_fit_ : int
    Number of rows with a weight above 0 in the last fit, or in the last call of `partial_fit`.
data_name_ : str or None
    Name of the file from which these rows were read; None for rows that were given as an array.
training_range_ : array of shape (2, n_features)
    Smallest and largest value of each feature in these rows, and in those of earlier calls of `partial_fit`. Rows far
    outside of this range are passed through the network with a warning.
n_features_in_ : int
    Number of input features.
feature_names_in_ : array of shape (`n_features_in_`,)
    Names of the input features; only set if X has column names that are all strings.
""",
    "targets": """
target_names_ : tuple of str or None
    Names of the target columns in the order of the fit, if y had names as a DataFrame, a Series or a column of a table;
    otherwise None. A y with names that is given later is put into this order.
""",
    "code": """
components_ : array of shape (n_units, n_features)
    Transposed weights of the first layer: row j holds the input weights of unit j.
mean_activation_ : array of shape (n_components,), float64
    Mean activation ρ̂ of each unit of the code over the uncorrupted rows of the last fit, weighted by their sample
    weights. It is not set by `from_weights`.
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
