"""Checks of rows and of parameters that several estimators share."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_array
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _num_samples

from rhohat.common.arrays import FloatArray, as_float_rows, without_tensors
from rhohat.common.exceptions import ConvergenceWarning, DeadLatentsWarning, SettingError
from rhohat.common.pieces import check_flat, refuse_pieces
from rhohat.common.words import Sentence, Setting, joined, listed
from rhohat.data import RowSource
from rhohat.data.bad_numbers import naming_columns
from rhohat.data.sequences import check_steps
from rhohat.engines import DaskEngine, EngineLike, TorchEngine, cluster_of, device_of
from rhohat.estimators.large_rows import remark_on_large_rows
from rhohat.layers.activations import Activation, as_activation
from rhohat.layers.network import Network
from rhohat.solvers import SolverResult
from rhohat.solvers.flattening import fall_at_end, has_flattened, n_at_end
from rhohat.solvers.messages import ended_at_max_iter

__all__ = [
    "as_activations",
    "as_callbacks",
    "as_layer_sizes",
    "check_class_labels",
    "check_engine_of_dictionary",
    "check_engine_of_network",
    "check_lengths",
    "check_rows",
    "must_be_converted",
    "warn_of_dead_units",
    "warn_unless_converged",
]

_FEWEST_ITERATIONS = 20  # fewest iterations after which a fit warns of dead units
_MANY_DEAD = 0.5  # fraction of units that are active on no row, of which a fit warns


def as_activations(activation: str | Activation | Sequence[str | Activation], n_layers: int) -> list[Activation]:
    """Return a list of one activation per hidden layer, given one for all layers or one for each layer."""
    if isinstance(activation, str | Activation):
        return [as_activation(activation)] * n_layers
    if len(activation) != n_layers:
        raise SettingError(
            Sentence(
                Setting("activation"),
                f" must be one activation for all hidden layers, or a sequence of {n_layers}, one for each layer; got a"
                f" sequence of {len(activation)}.",
            )
        )
    return [as_activation(one) for one in activation]


def warn_unless_converged(
    parts: Sequence[tuple[str, Any]], unsettled: str = "", *, network: Network, rows: FloatArray | RowSource
) -> None:
    """Warn once, in a sentence, of all parts of a fit whose solver did not succeed and whose cost had not flattened.

    Called directly by `fit`, after all fitted attributes are set.

    Parameters
    ----------
    parts : sequence of (str, estimator)
        Parts of the fit, as `fitted_parts` returns them.
    unsettled : str, default=""
        What is said of something that the fit repeats the solver for, if this has not settled; it is said instead.
    network : Network
        Network that was fitted.
    rows : array or RowSource
        Rows of the fit. If they are large for the units, this is said as well.
    """
    failed = [(name, part) for name, part in _with_inner_parts(parts) if not _is_settled(part)]
    if failed or unsettled:
        said: list[str] = [unsettled or _said_of(failed)]
        if all(part.solver_status_ == "max_iter" for _, part in failed):  # others say how large numbers should be
            said += filter(None, [remark_on_large_rows(network, rows)])
        warnings.warn(joined(said, " "), ConvergenceWarning, stacklevel=3)


def _with_inner_parts(parts: Sequence[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yield the parts of a fit, those of a stack within a stack one by one."""
    for name, part in parts:
        if hasattr(part, "solver_status_"):
            yield name, part
        else:
            yield from ((f"{inner} of {name}", one) for inner, one in _with_inner_parts(part.fitted_parts()))


def _is_settled(part: Any) -> bool:
    """Return whether a solver succeeded, or ended where more iterations would have changed little."""
    if part.solver_status_ in ("max_iter", "stalled"):
        return has_flattened(part.loss_curve_, part.validation_curve_)
    return part.solver_status_ in ("converged", "stopped", "given")


def _said_of(parts: Sequence[tuple[str, Any]]) -> Sentence:
    """Return what is said of parts that did not converge: once of those of which the same is to be said."""
    falling: dict[int, list[tuple[str, float]]] = {}
    others: dict[str, list[str]] = {}
    for name, part in parts:
        fall = fall_at_end(part.loss_curve_, part.validation_curve_)
        if name and part.solver_status_ == "max_iter" and fall > 0:
            falling.setdefault(part.n_iter_, []).append((name, fall))
        else:
            others.setdefault(part.solver_message_, []).append(name)
    said: list[str] = []
    for n_iter, found in falling.items():
        names, falls = zip(*found, strict=True)
        said.append(ended_at_max_iter(n_iter, n_at_end(n_iter), falls, parts=names))
    said += [Sentence(f"{listed(names)}: ", message) if names[0] else message for message, names in others.items()]
    return joined(said, " ")


def warn_of_dead_units(mean_activation: FloatArray, activation: Activation, result: SolverResult) -> None:
    """Warn if half of the units or more are active on no row; called directly by `fit`.

    Parameters
    ----------
    mean_activation : array of shape (n_units,)
        Mean activation of each unit over the rows of a fit.
    activation : Activation
        Activation of the units. Only those that are never negative, but may be 0, can be dead.
    result : SolverResult
        Result of the fit. After a few iterations, units may be as they were drawn, and there is no warning.
    """
    if result.n_iter < _FEWEST_ITERATIONS:
        return
    n_units, n_dead = len(mean_activation), int(np.count_nonzero(mean_activation == 0))
    if activation.bounds == (0.0, np.inf) and n_dead >= _MANY_DEAD * n_units:
        warnings.warn(
            f"{n_dead:,} of {n_units:,} units are dead: they are active on no row of the fit, and learn nothing. Rows"
            " that are centred and scaled help, and so do a lower learning rate, a smaller weight of a penalty or fewer"
            " units; dictionaries, such as TopKAutoencoder, keep their units alive.",
            DeadLatentsWarning,
            stacklevel=3,
        )


def check_lengths(X: ArrayLike | RowSource, y: ArrayLike) -> None:
    """Raise ValueError if X and y have different lengths; objects without a length are refused by later checks."""
    refuse_pieces(X)
    try:
        n_rows, n_targets = _num_samples(X), _num_samples(y)
    except TypeError:
        return
    if n_rows != n_targets:
        raise ValueError(f"y must have an entry for each of the {n_rows} rows of X; got {n_targets}.")


def check_class_labels(labels: NDArray[Any], regressor: str = "FeedforwardRegressor") -> None:
    """Raise ValueError if labels are not those of classes; `regressor` is the estimator that the message recommends."""
    try:
        with np.errstate(invalid="ignore"), naming_columns(y=labels):  # for scikit-learn's look at NaN
            check_classification_targets(labels)
    except ValueError as error:
        if "There is no value of" in str(error):
            raise
        raise ValueError(
            f"y must hold class labels: integers, strings or booleans; for continuous numbers use {regressor}."
            f" {str(error).partition(' Maybe')[0]}"
        ) from error


def check_rows(X: ArrayLike | RowSource, name: str = "X", n_steps: int | None = None) -> Any:
    """Return rows with any number of columns as floats, or raise the errors of scikit-learn for bad input.

    A row source is read once to check that its numbers are finite, and returned unchanged. If `n_steps` is given, rows
    are sequences of so many steps, the last of which may be missing, as NaN.
    """
    if isinstance(X, RowSource):
        X.extent()
        return X
    X = without_tensors(X)
    check_flat(X, name)
    with np.errstate(invalid="ignore"), naming_columns(**{name: X}):  # for scikit-learn's sum that detects NaN
        finite = True if n_steps is None else "allow-nan"
        rows = as_float_rows(check_array(X, dtype="numeric", input_name=name, ensure_all_finite=finite))
    if n_steps is not None:
        check_steps(rows, n_steps, name)
    return rows


def must_be_converted(X: Any) -> bool:
    """Return whether rows are a numeric array that must be copied and converted before computing with it."""
    if not (isinstance(X, np.ndarray) and X.ndim == 2 and X.size and X.dtype.kind in "biuf"):
        return False
    return not (X.dtype in (np.float32, np.float64) and X.flags.c_contiguous)


def as_callbacks(callbacks: Sequence[Any] | None) -> list[Any]:
    """Return `callbacks` as a list; raise ValueError if one of them cannot be called."""
    found = [] if callbacks is None else list(callbacks)
    for callback in found:
        if not callable(callback):
            raise SettingError(
                f"callbacks must be a list of callables that take an IterationState; {callback!r} is not callable."
            )
    return found


def as_layer_sizes(hidden_layer_sizes: int | Sequence[int], smallest: int = 0) -> tuple[int, ...]:
    """Return `hidden_layer_sizes` as a tuple; raise SettingError unless it has `smallest` or more positive integers."""
    sizes = tuple(hidden_layer_sizes) if np.iterable(hidden_layer_sizes) else (hidden_layer_sizes,)
    if len(sizes) < smallest or not all(isinstance(size, Integral) and size >= 1 for size in sizes):
        raise SettingError(
            Sentence(
                Setting("hidden_layer_sizes"),
                f" must be a sequence of integers, each at least 1, such as (100, 30); got {hidden_layer_sizes!r}.",
            )
        )
    return tuple(int(size) for size in sizes)


def check_engine_of_network(engine: DaskEngine | TorchEngine) -> None:
    """Raise an error if the engine of a network cannot be used here, or is one for dictionaries."""
    if isinstance(engine, TorchEngine) and engine.split == "latents":
        raise ValueError(
            "the engine has split='latents', which is for dictionaries; use split='rows' for a network, so that several"
            " devices share the rows."
        )
    engine.check()


def check_engine_of_dictionary(engine: EngineLike) -> None:
    """Raise an error if the engine of a dictionary is a cluster, or one that cannot be used here."""
    if cluster_of(engine) is not None:
        raise ValueError(
            "engine must be None, a TorchEngine, or the name of a device such as 'cuda'; got a DaskEngine, but"
            " dictionaries are trained in mini-batches, which are too small to be shared by the workers of a cluster."
        )
    device = device_of(engine)
    if device is None:
        return
    device.check()
