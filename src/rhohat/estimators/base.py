"""The base class of all estimators: training parameters, fitting, and passing rows through a fitted network."""

from __future__ import annotations

import contextlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from numbers import Integral, Real
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

from rhohat.common.arrays import FloatArray, as_float_rows
from rhohat.common.fitted import FittedAttributes
from rhohat.common.pieces import check_flat
from rhohat.common.randomness import RandomState, keyed_generator, seed_from
from rhohat.common.words import Sentence
from rhohat.data import RowSource, open_rows
from rhohat.data.bad_numbers import naming_columns
from rhohat.data.ranges import range_of_features, warn_of_other_scale
from rhohat.data.rows import DaskRows, is_dask_array, remember_columns
from rhohat.data.sequences import check_steps
from rhohat.engines import DaskEngine, EngineLike, ThreadEngine, TorchEngine, as_engine, cluster_of, device_of
from rhohat.estimators.checks import as_callbacks, check_engine_of_network, check_rows, must_be_converted
from rhohat.estimators.early_stopping import check_early_stopping
from rhohat.estimators.given_weights import GivenWeights
from rhohat.estimators.initial_weights import theta_of_arrays
from rhohat.estimators.model_parts import ModelReader, ModelWriter
from rhohat.estimators.named_parts import AT_LEAST_0, AT_LEAST_1, NamedPart
from rhohat.estimators.nested import NestedParameters
from rhohat.estimators.network_use import UsableNetwork
from rhohat.estimators.partial_fitting import PartialFitting
from rhohat.estimators.sample_weights import check_sample_weight, rows_that_count
from rhohat.estimators.shaped_rows import ShapedRows, check_steps_of_network
from rhohat.fitting.checkpoint_settings import RESUME, Checkpoint, as_checkpoint
from rhohat.fitting.fit import Fit, Journals, Start
from rhohat.fitting.forward import ForwardPass
from rhohat.fitting.held_out import HeldOut
from rhohat.fitting.memory import MemoryPlan, as_bytes
from rhohat.fitting.problems import corrupt
from rhohat.layers import DenseLayer
from rhohat.layers.activations import Activation
from rhohat.layers.maximal_inputs import ascend_to_maximal_inputs
from rhohat.layers.network import INITIAL_WEIGHTS, Network, dense_network
from rhohat.objective import Objective, Problem, make_objective
from rhohat.solvers import (
    SOLVERS,
    Callback,
    MiniBatchSolver,
    PrintProgress,
    Solver,
    SolverResult,
    as_solver,
)
from rhohat.solvers.progress import ShowProgress
from rhohat.terms.penalties import KLSparsity, Penalty

__all__ = ["BaseNetwork"]


class BaseNetwork(UsableNetwork, PartialFitting, ShapedRows, FittedAttributes, NestedParameters, BaseEstimator):
    """Base class of networks that a solver trains. Every estimator documents the training parameters."""

    _set_by_fit = "coefs_"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "penalties": ["array-like", Penalty],
        "solver": [NamedPart(SOLVERS, Solver)],
        "initial_weights": [NamedPart(INITIAL_WEIGHTS), "array-like"],
        "max_iter": [AT_LEAST_1],
        "tol": [AT_LEAST_0],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [AT_LEAST_1],
        "warm_start": ["boolean"],
        "random_state": ["random_state", np.random.Generator],
        "n_jobs": [None, Integral],
        "engine": [None, DaskEngine, TorchEngine, str],
        "memory_limit": [None, Interval(Integral, 1, None, closed="left"), str],
        "checkpoint": [None, str, PathLike, Checkpoint],
        "callbacks": ["array-like", None],
        "verbose": ["verbose"],
    }

    penalties: Sequence[Penalty] | Penalty
    solver: str | Solver
    initial_weights: str | Sequence[ArrayLike]
    max_iter: int
    tol: float
    early_stopping: bool = False
    validation_fraction: float = 0.1
    n_iter_no_change: int = 10
    warm_start: bool
    random_state: RandomState
    n_jobs: int | None
    engine: EngineLike
    memory_limit: int | str | None
    checkpoint: str | PathLike[str] | Checkpoint | None
    callbacks: Sequence[Callback] | None
    verbose: int

    intercepts_: list[FloatArray]
    activation_parameters_: list[FloatArray]
    loss_curve_: list[float]
    terms_curve_: dict[str, list[float]]
    validation_curve_: list[float]
    n_iter_: int
    n_evaluations_: int
    training_range_: FloatArray
    warm_up_evaluations_: dict[int, int]
    warm_up_curves_: dict[int, list[float]]
    solver_status_: str
    solver_message_: str
    memory_plan_: MemoryPlan
    #: Whether this estimator is trained as a part of another estimator's fit.
    _is_part: bool = False

    def _validate_params(self) -> None:
        """Raise an error if a parameter is out of its range."""
        super()._validate_params()
        if self.memory_limit is not None:
            as_bytes(self.memory_limit)
        as_checkpoint(self.checkpoint)
        solver = getattr(self, "solver", None)  # a stack has no solver of its own
        if cluster_of(self.engine) is not None and solver is not None and as_solver(solver).in_mini_batches:
            raise ValueError(
                f"solver={solver!r} works in mini-batches, which are too small to be shared by the workers of a"
                " cluster; use a solver that sees all rows at once, such as 'lbfgs', or set engine=None."
            )
        if self.early_stopping:
            check_early_stopping(self.solver, cluster_of(self.engine))

    #: Keys of the dict that `_describe_learned` returns.
    _keys_of_learned: ClassVar[tuple[str, ...]] = ("network", "training", "partial_fit")

    def _describe_learned(self, file: ModelWriter, prefix: str) -> dict[str, Any]:
        """Return a description of what the estimator has learned, for a model file; subclasses add their own items."""
        return file.network(self, prefix)

    def _restore_learned(self, file: ModelReader, described: dict[str, Any], prefix: str) -> None:
        """Restore what the estimator had learned from a model file; the inverse of `_describe_learned`."""
        file.network(self, described, prefix)
        check_steps_of_network(self.network_)
        self._check_architecture(self.network_)
        self.n_features_in_ = self.network_.layer_sizes[0]

    def _check_architecture(self, network: Network) -> None:
        """Raise ValueError if a network from a file has an architecture that this kind of estimator cannot have."""

    def _store(self, arguments: dict[str, Any]) -> None:
        """Set every argument of the constructor, given as the constructor's locals(), as an attribute."""
        for name in self._get_param_names():
            setattr(self, name, arguments[name])

    @property
    def theta_(self) -> FloatArray:
        """All parameters of the network as one flat vector."""
        return self.network_.pack(self.coefs_, self.intercepts_, self.activation_parameters_)

    def maximal_inputs(self, units: Sequence[int] | NDArray[np.intp] | None = None) -> FloatArray:
        """Return, for each unit of the code or the last hidden layer, the input of norm 1 that activates it most.

        With one hidden layer this is x = w / ‖w‖, where w are the unit's weights. In deeper networks it is found by
        constrained ascent from several starts, in general a local maximum. An integer `random_state` seeds the starts,
        otherwise the seed is 0.

        Parameters
        ----------
        units : sequence of int, default=None
            Numbers of the units, from 0; None means all. The ascent takes long for all units of a large convolution.

        Returns
        -------
        array of shape (n_units, n_features)
            Zeros for a unit of a first layer whose weights are all zero.

        References
        ----------
        Ng, A. (2011). Sparse autoencoder. CS294A lecture notes, section 4.
        """
        check_is_fitted(self)
        layer = self.code_layer_
        first = self.network_.layers[0]
        if layer > 1 or not first.activation.monotonic or not isinstance(first, DenseLayer):
            parameters = self.network_.unpack(self.theta_.astype(np.float64))
            draw = keyed_generator(self._integer_seed(), "maximal inputs")
            inputs = ascend_to_maximal_inputs(self.network_, parameters, layer, draw, units=units)
            return inputs.astype(self.coefs_[0].dtype)
        weights = self.coefs_[0].T
        # Each unit's weights are scaled by a power of two, so that no square overflows or underflows to zero.
        weights = np.ldexp(weights, -np.frexp(np.abs(weights).max(axis=1, keepdims=True))[1])
        norms = np.linalg.norm(weights.astype(np.float64), axis=1, keepdims=True)
        unit = np.zeros_like(weights)
        np.divide(weights, norms, out=unit, where=norms > 0, casting="same_kind")
        return unit if units is None else unit[np.asarray(units, np.intp)]

    @property
    @abstractmethod
    def code_layer_(self) -> int:
        """Number of the layer of learned features, counted from 1: the code, or the last hidden layer."""

    @property
    def sparsity_target_(self) -> float | None:
        """Target ρ, in (0, 1), for the mean activation of the units of the code; None if there is no target."""
        hidden = self.code_layer_ - 1
        if self.code_layer_ == self.network_.n_layers:
            return None
        for penalty in self._penalties_on_code():
            if not isinstance(penalty, KLSparsity) or penalty.weight == 0:
                continue
            if penalty.layers is None or hidden in penalty.layers:
                return float(penalty.sparsity)
        return None

    def _penalties_on_code(self) -> list[Penalty]:
        """Return the penalties in which `sparsity_target_` looks for a target for the units of the code."""
        return self._extra_penalties()

    def fitted_parts(self) -> list[tuple[str, BaseNetwork]]:
        """Return the parts of the fit in order: the name of each part, and the estimator that was fitted in it.

        The layers of a stack are named "layer 0" and so on. In a stacked classifier they are followed by "softmax"
        and "fine-tuning", which is the estimator itself. Any other estimator is a single part with the name "".
        """
        check_is_fitted(self)
        return [("", self)]

    def codes(self, rows: FloatArray | RowSource) -> FloatArray:
        """Return the activations of the layer `code_layer_`, whose units are the learned features.

        Parameters
        ----------
        rows : array or RowSource of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_units)
        """
        check_is_fitted(self)
        return self._forward(self._validate(rows, all_rows=False), 0, self.code_layer_)

    def _integer_seed(self) -> int:
        """Return `random_state` if it is an integer, else 0; used for draws that must not advance a generator."""
        return int(self.random_state) if isinstance(self.random_state, Integral) else 0

    def _validate(self, X: ArrayLike | RowSource, *, all_rows: bool = True) -> Any:
        """Check rows against the columns of the fit, and return them as floats; bad input raises scikit-learn's errors.

        A row source is returned unchanged. Unless `all_rows` is False, it is read once to check that its numbers are
        finite.
        """
        self._check_shape_of_rows(X)
        if isinstance(X, RowSource):
            if X.shape[1] != self.n_features_in_:
                raise ValueError(
                    f"X has {X.shape[1]} features, but {type(self).__name__} is expecting {self.n_features_in_}"
                    " features as input."
                )
            known = getattr(self, "feature_names_in_", None)
            if known is not None and X.feature_names is not None and list(known) != X.feature_names:
                raise ValueError(
                    f"The columns of {X.name} are {X.feature_names}, but {type(self).__name__} was fitted to the"
                    f" columns {list(known)}, in this order."
                )
            return check_rows(X) if all_rows else X
        check_flat(X)
        with np.errstate(invalid="ignore"), naming_columns(X=X):  # for scikit-learn's sum that detects NaN
            n_steps = self._n_steps_of(X)
            finite = True if n_steps is None else "allow-nan"
            rows = as_float_rows(validate_data(self, X, dtype="numeric", reset=False, ensure_all_finite=finite))
        if n_steps is not None:
            check_steps(rows, n_steps)
            self._check_missing_steps(self.network_, rows)
        return rows

    def _weigh(self, X: FloatArray | RowSource, sample_weight: ArrayLike | None, *others: Any) -> tuple[Any, ...]:
        """Return rows, their weights in the dtype of the rows, and other arrays per row, without rows of weight 0.

        If memory is limited, rows in memory are read block by block instead of being copied.
        """
        weights = check_sample_weight(sample_weight, X, X.dtype)
        if self.memory_limit is not None and weights is not None and not weights.all():
            X = open_rows(X)
        return rows_that_count(X, weights, *others)

    def _open(self, X: Any, *, held: bool = False) -> Any:
        """Return the rows of a Dask array as a row source; with `held`, they are kept on the cluster if there is one.

        If `held` and memory is limited, an array that would have to be converted is read block by block. All other rows
        are returned unchanged.
        """
        X = self._flat(X, keeps_steps=not held or self._continues())
        if is_dask_array(X) or (held and self.memory_limit is not None and must_be_converted(X)):
            X = open_rows(X)
        engine, cluster = as_engine(self.engine), cluster_of(self.engine)
        if held and engine is not None:
            check_engine_of_network(engine)
        if isinstance(X, DaskRows) and cluster is not None:
            X = X.computed_by(cluster.compute)
            return X.persisted(cluster.persist) if held else X
        return X

    def _remember_columns(self, X: ArrayLike | RowSource, *, reset: bool) -> None:
        """Set `n_features_in_` and the names of the columns if `reset`; otherwise check them."""
        if not isinstance(X, RowSource):
            validate_data(self, X, skip_check_array=True, reset=reset)
            if reset:
                self.__dict__.pop("reading_", None)
        elif reset:
            remember_columns(self, X)

    def _was_interrupted(self) -> bool:
        """Return whether Ctrl-C ended the last fit and the last iterate was kept."""
        return getattr(self, "solver_status_", None) == "interrupted"

    def _continues(self) -> bool:
        """Return whether a fit starts from the parameters of the previous one."""
        return bool(self.warm_start) and hasattr(self, "coefs_")

    def _check_unchanged(self, network: Network) -> None:
        """Raise ValueError if a fit that continues an earlier one would change the architecture of the network."""
        if network != self.network_:
            raise ValueError(
                f"the fit continues a network of layer sizes {self.network_.layer_sizes} and activations"
                f" {self.network_.activations}, but the parameters or the data now require {network.layer_sizes} and"
                f" {network.activations}; restore the parameters and data, or fit anew with warm_start=False."
            )

    def _extra_penalties(self) -> list[Penalty]:
        penalties = [self.penalties] if isinstance(self.penalties, Penalty) else list(self.penalties)
        for penalty in penalties:
            if not isinstance(penalty, Penalty):
                raise ValueError(f"penalties must be a sequence of Penalty objects; one of its items is {penalty!r}.")
        return penalties

    def _fit(self, solver: Solver | None = None, **changed: Any) -> Fit:
        """Return the `Fit` that the parameters describe, with some of its settings replaced."""
        how: dict[str, Any] = {
            "max_iter": self.max_iter,
            "tol": self.tol,
            "callbacks": self._all_callbacks(),
            "n_jobs": self.n_jobs,
            "engine": as_engine(self.engine),
            "memory_limit": None if self.memory_limit is None else as_bytes(self.memory_limit),
            "journals": self._journals(),
        }
        if solver is None:
            solver = as_solver(self.solver)
            if self.early_stopping and isinstance(solver, MiniBatchSolver):
                fraction, patience = float(self.validation_fraction), int(self.n_iter_no_change)
                solver = replace(solver, early_stopping=True, validation_fraction=fraction, patience=patience)
        return Fit(solver, **{**how, **changed})

    def _held_out(self, classes: NDArray[np.intp] | None = None) -> HeldOut | None:
        """Return how rows are held out for early stopping, if they are; in the proportions of classes if given."""
        if not self.early_stopping:
            return None
        return HeldOut(float(self.validation_fraction), int(self.n_iter_no_change), classes)

    def _journals(self) -> Journals:
        """Return the `Journals` that the parameters describe: where a fit keeps its journal."""
        return Journals.of(self, is_part=self._is_part)

    def _keep_seed(self, rows: Mapping[str, Any]) -> int:
        """Return the seed of a fit that consists of several fits; see `Journals.keep_seed`."""
        return self._journals().keep_seed(rows, lambda: seed_from(self.random_state))

    def _start(self, network: Network, theta: FloatArray | None = None, seed: int | None = None, **how: Any) -> Start:
        """Return the start of a fit: at θ, or at drawn weights if θ is None. `random_state` gives a missing seed."""
        return Start(
            theta,
            draw_theta=partial(self._draw_theta, network),
            draw_seed=lambda: seed_from(self.random_state) if seed is None else seed,
            was_interrupted=self._was_interrupted(),
            **how,
        )

    def _train(
        self,
        problem: Problem,
        X: ArrayLike | RowSource,
        start: Start,
        *,
        continues: bool,
        also: Mapping[str, Any] | None = None,
        classes: NDArray[np.intp] | None = None,
    ) -> SolverResult:
        """Train the network, and set the fitted attributes from the result.

        Parameters
        ----------
        problem : Problem
        X : array-like
            Rows as the user gave them, from which the column names are taken.
        start : Start
        continues : bool
            Whether the fit continues an earlier one, whose columns are remembered.
        also : mapping, default=None
            Further attributes that are set together with the fitted ones.
        classes : array of int of shape (n_samples,), default=None
            Class of each row, in whose proportions rows are held out for early stopping.
        """

        def take_over(result: SolverResult, memory: MemoryPlan) -> None:
            self._remember_columns(X, reset=not continues)
            self._take_over(problem, result, {"memory_plan_": memory, **(also or {})})

        def keep(result: SolverResult, memory: MemoryPlan) -> None:
            if self.warm_start:
                take_over(self._with_advice(result), memory)

        with self._shown() as shown:
            fit = self._fit(held_out=self._held_out(classes), **shown)
            result, memory = fit.run(problem, start, keep)
        take_over(result, memory)  # only now, so that a fit that fails leaves the estimator unchanged
        return result

    @contextlib.contextmanager
    def _shown(self) -> Iterator[dict[str, Any]]:
        """Yield the callbacks of a fit by their name, with a display of its progress if `verbose` is 1."""
        if self.verbose != 1:
            yield {}
            return
        with ShowProgress(self.max_iter) as progress:
            yield {"callbacks": [*self._own_callbacks(), progress]}

    def _with_advice(self, result: SolverResult) -> SolverResult:
        """Return the result of an interrupted fit with a message that says how to continue it."""
        resume = Sentence("With ", RESUME, ", fit continues from the checkpoint.")
        how = "The next call of fit continues from the last iteration." if self.checkpoint is None else resume
        return replace(result, message=Sentence(result.message, " ", how))

    @classmethod
    def from_weights(
        cls,
        coefs: Sequence[ArrayLike],
        intercepts: Sequence[ArrayLike],
        *,
        activation_parameters: Sequence[ArrayLike | None] | None = None,
        **parameters: Any,
    ) -> Self:
        """Return a fitted estimator with given weights, for example from another program or a paper.

        It can do everything that an estimator can do after a fit. Its record has no iterations, and its status is
        "given".

        Parameters
        ----------
        coefs : sequence of arrays of shape (s_l, s_{l+1})
            Weights, layer by layer. Transpose them if the source multiplies from the left, as in W x. With tied
            weights, the weights of the encoder are enough.
        intercepts : sequence of arrays of shape (s_{l+1},)
            Biases, layer by layer.
        activation_parameters : sequence of arrays or None, default=None
            Learned parameters of the activations, layer by layer; None for a layer whose activation has none.
        **parameters : object
            Parameters of the constructor. The sizes of the layers follow from the weights. The output activation "auto"
            means the one that the loss contains, else the one of a fit to rows in [0, 1].

        Returns
        -------
        fitted estimator
            In float32 if all arrays are float32, else in float64.

        Raises
        ------
        ValueError
            If the arrays do not have these shapes or are not finite, or a parameter contradicts them.
        """
        estimator = cls(**parameters)
        if estimator._described_layers() is not None:
            raise ValueError(
                "from_weights can only make networks of dense layers, not networks that the parameter layers describes."
            )
        given = GivenWeights(
            coefs, intercepts, activation_parameters, tied=bool(getattr(estimator, "tied_weights", False))
        )
        for name, value in estimator._sizes_of(given).items():
            if parameters.get(name, value) not in (value, list(value) if isinstance(value, tuple) else value):
                raise ValueError(f"{name} must be {value}, which follows from the weights; got {parameters[name]!r}.")
            setattr(estimator, name, value)
        estimator._validate_params()
        network = estimator._network_of(given)
        estimator.network_ = network
        estimator.coefs_, estimator.intercepts_, estimator.activation_parameters_ = network.unpack(given.theta(network))
        estimator.n_features_in_ = network.layer_sizes[0]
        estimator.loss_curve_, estimator.terms_curve_, estimator.validation_curve_ = [], {}, []
        estimator.n_iter_ = estimator.n_evaluations_ = estimator.n_samples_fit_ = 0
        estimator.warm_up_evaluations_, estimator.warm_up_curves_, estimator.data_name_ = {}, {}, None
        estimator.solver_status_, estimator.solver_message_ = "given", "The weights were given, not learned."
        return estimator

    @abstractmethod
    def _sizes_of(self, given: GivenWeights) -> dict[str, Any]:
        """Return the parameters that follow from the shapes of the given weights, or raise ValueError."""

    @abstractmethod
    def _network_of(self, given: GivenWeights) -> Network:
        """Return the architecture of the network that gets the given weights."""

    def _build_network(
        self, layer_sizes: Sequence[int], activations: Sequence[Activation], tied: bool = False
    ) -> Network:
        """Return the architecture of a fit, which has dense layers unless a subclass overrides this method."""
        return dense_network(layer_sizes, activations, tied)

    def _start_of(self, problem: Problem) -> FloatArray:
        """Return the vector θ at which a fit to a problem starts."""
        if self._continues():
            return self.theta_.astype(np.float64)
        return self._draw_theta(problem.network, self._integer_seed())

    def _objective_of(self, problem: Problem) -> Objective:
        """Return the objective of a problem, for use outside a fit."""
        cache_bytes = 2**30 if self.memory_limit is None else min(2**30, as_bytes(self.memory_limit) // 2)
        engine = as_engine(self.engine) or ThreadEngine(self.n_jobs)
        return make_objective(corrupt(problem, self._integer_seed(), epoch=0), engine, cache_bytes)

    def _draw_theta(self, network: Network, seed: int) -> FloatArray:
        draw = keyed_generator(seed, "initial weights")
        if isinstance(self.initial_weights, str):
            return network.initial_theta(draw, self.initial_weights)
        return theta_of_arrays(network, self.initial_weights, network.initial_theta(draw))

    def _own_callbacks(self) -> list[Callback]:
        """Return the callbacks that the user has given, after a check."""
        return as_callbacks(self.callbacks)

    def _all_callbacks(self) -> list[Callback]:
        callbacks = self._own_callbacks()
        if self.verbose:
            callbacks.append(PrintProgress(every=int(self.verbose)))
        return callbacks

    def _take_over(self, problem: Problem, result: SolverResult, also: Mapping[str, Any] | None = None) -> None:
        """Set the fitted attributes from the result of a solver."""
        self.network_ = problem.network
        self._note_data(problem.X)
        parameters = problem.network.unpack(result.theta.astype(problem.X.dtype))
        self.coefs_, self.intercepts_, self.activation_parameters_ = parameters
        self.loss_curve_, self.terms_curve_ = result.loss_curve, result.terms_curve
        self.validation_curve_ = result.validation_curve
        self.n_iter_, self.n_evaluations_ = result.n_iter, result.n_evaluations
        self.warm_up_evaluations_, self.warm_up_curves_ = result.warm_up_evaluations, result.warm_up_curves
        self.solver_status_, self.solver_message_ = result.status, result.message
        self.__dict__.pop("_solver_state", None)
        self._forget_shape()
        self.__dict__.update(also or {})

    def _validate_for_use(self, X: ArrayLike | RowSource) -> Any:
        """Return rows ready for the fitted network; warn if their scale differs from the scale of the training rows."""
        rows = self._validate(self._open(X), all_rows=False)
        self._forget_shape()
        warn_of_other_scale(self, rows, stacklevel=4)
        return rows

    def _note_data(self, X: FloatArray | RowSource) -> None:
        """Set the number, the ranges and the name of the rows of a fit as attributes."""
        self.n_samples_fit_ = X.shape[0]
        network = vars(self).get("network_")  # a stack has none yet
        self.training_range_ = range_of_features(X, network is not None and network.n_steps_of_rows is not None)
        self.data_name_ = X.short_name if isinstance(X, RowSource) else None
        self.__dict__.pop("model_card_", None)  # it was about an earlier fit

    def forward_pass(self, X: FloatArray | RowSource, start: int, stop: int) -> ForwardPass:
        """Return an object that computes activations of layer `stop` from those of layer `start`, block by block.

        Parameters
        ----------
        X : array or RowSource of shape (n_samples, n_units)
            Activations of layer `start`, as floats in the dtype of the arithmetic.
        start, stop : int
            Numbers of the layers; 0 is the input.
        """
        check_is_fitted(self)
        engine = device_of(self.engine) or ThreadEngine(self.n_jobs)
        return ForwardPass(self.network_, self.theta_, X, start, stop, engine)

    def _forward(self, X: FloatArray | RowSource, start: int, stop: int, out: FloatArray | None = None) -> FloatArray:
        """Return the activations of layer `stop` for those of layer `start`, for all rows at once."""
        forward = self.forward_pass(X, start, stop)
        shape, dtype = forward.shape, X.dtype
        if out is None:
            out = np.empty(shape, dtype)
        elif not (isinstance(out, np.ndarray) and (out.shape, out.dtype) == (shape, dtype) and out.flags.carray):
            raise ValueError(f"out must be a C-ordered, writeable NumPy array of shape {shape} and dtype {dtype}.")
        elif not isinstance(X, RowSource) and np.may_share_memory(X, out):
            raise ValueError("out must not share memory with X: rows are read again after parts of out are written.")
        forward.write(forward.blocks, out)
        return out
