"""The base class of dictionaries: sparse autoencoders whose codes are selected, and sparse in memory and in time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from numbers import Integral
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

from rhohat.common.arrays import FloatArray, as_float_rows
from rhohat.common.fitted import FittedAttributes
from rhohat.common.randomness import RandomState, keyed_generator, seed_from
from rhohat.common.words import Sentence
from rhohat.data import RowSource, open_rows
from rhohat.data.bad_numbers import naming_columns
from rhohat.data.ranges import range_of_features, warn_of_other_scale
from rhohat.data.rows import is_dask_array, remember_columns
from rhohat.dictionaries.dead_latents import AuxiliaryLoss
from rhohat.dictionaries.encoding import Coder
from rhohat.dictionaries.parameters import Layout, Parameters
from rhohat.dictionaries.rows import StreamedBatches
from rhohat.dictionaries.scaling import NORMALIZATIONS, Scaling, scaling_of
from rhohat.dictionaries.selections import Selection
from rhohat.dictionaries.training import DictionaryProblem, DictionaryState, NotFiniteError
from rhohat.engines import ThreadEngine
from rhohat.estimators.checks import check_rows
from rhohat.estimators.explained_variance import explained_variance
from rhohat.estimators.named_parts import AT_LEAST_0, AT_LEAST_1, NamedPart
from rhohat.estimators.nested import NestedParameters
from rhohat.fitting.checkpoint_settings import Checkpoint, as_checkpoint
from rhohat.fitting.dictionary_fit import DictionaryFit, Fitted
from rhohat.fitting.fit import Journals
from rhohat.fitting.journal import describe_estimator
from rhohat.fitting.memory import MemoryPlan, as_bytes
from rhohat.ops import code_ops_of, ops_for
from rhohat.ops.code_ops import Codes, joined
from rhohat.solvers import SOLVERS, Adam, Callback, MiniBatchSolver, PrintProgress, as_solver

__all__ = ["BaseDictionary"]

_BATCH_SIZE = 4096
_RATE, _LATENTS_OF_RATE = 2e-4, 2**14  # learning rate at so many latents; with fewer it is larger
_ROWS_FOR_BIASES = 4096  # rows by which initial biases are chosen
_MORE_ACTIVE = 4  # how many times as many latents are active at the start as in the end, where biases decide it


class BaseDictionary(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, FittedAttributes, NestedParameters, BaseEstimator
):
    """Base class of dictionaries, which are scikit-learn transformers with sparse codes.

    A subclass defines the constructor and the selection.
    """

    command_line_name: ClassVar[str | None] = None
    learns_from_targets: ClassVar[bool] = False
    _set_by_fit = "scaling_"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_components": [AT_LEAST_1],
        "auxiliary_weight": [AT_LEAST_0],
        "dead_after": [AT_LEAST_1],
        "normalize": [NamedPart([name for name in NORMALIZATIONS if name]), None],
        "center": ["boolean"],
        "decoder_norm": ["boolean"],
        "solver": [NamedPart([name for name, cls in SOLVERS.items() if cls.in_mini_batches], MiniBatchSolver), None],
        "max_iter": [AT_LEAST_1],
        "sparse_output": ["boolean"],
        "warm_start": ["boolean"],
        "random_state": ["random_state", np.random.Generator],
        "n_jobs": [None, Integral],
        "memory_limit": [None, Interval(Integral, 1, None, closed="left"), str],
        "checkpoint": [None, str, PathLike, Checkpoint],
        "callbacks": ["array-like", None],
        "verbose": ["verbose"],
    }

    n_components: int
    auxiliary_weight: float
    dead_after: int
    normalize: str | None
    center: bool
    decoder_norm: bool
    solver: str | MiniBatchSolver | None
    max_iter: int
    sparse_output: bool
    warm_start: bool
    random_state: RandomState
    n_jobs: int | None
    memory_limit: int | str | None
    checkpoint: str | PathLike[str] | Checkpoint | None
    callbacks: Sequence[Callback] | None
    verbose: int

    scaling_: Scaling
    loss_curve_: list[float]
    terms_curve_: dict[str, list[float]]
    measures_curve_: dict[str, list[float]]
    n_iter_: int
    n_steps_: int
    n_samples_fit_: int
    threshold_: float | None
    rows_since_fired_: Any
    solver_status_: str
    solver_message_: str
    memory_plan_: MemoryPlan
    data_name_: str | None
    _problem: DictionaryProblem
    _state: DictionaryState
    _seed: int
    _passes: int

    @abstractmethod
    def _selection(self, n_latents: int) -> Selection:
        """Return the selection that the parameters describe."""

    @property
    @abstractmethod
    def _expected_l0(self) -> float:
        """Number of active latents of a row that is aimed at, as far as it is known."""

    def _penalty(self) -> tuple[float, float | None]:
        """Return the weight of the penalty, and the L0 towards which it is controlled, or None if it is not."""
        return 0.0, None

    #: Whether a linear connection leads from the input to the output.
    _has_skip: bool = False

    #: Whether biases of the encoder decide how many latents are active at the start.
    _is_thresholded: ClassVar[bool] = False

    def _store(self, arguments: dict[str, Any]) -> None:
        """Set every argument of the constructor, given as the constructor's locals(), as an attribute."""
        for name in self._get_param_names():
            setattr(self, name, arguments[name])

    def fit(self, X: ArrayLike | RowSource | Iterator[Any], y: object = None) -> Self:
        """Learn a dictionary from rows.

        Parameters
        ----------
        X : array-like, RowSource or iterator, of shape (n_samples, n_features)
            Rows. An iterator yields them in pieces of any length, each of shape (any, n_features), such as activations
            that are made on the fly; its rows are used once, in their order.
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is out of its range; X is not a dense two-dimensional array of finite numbers with at least
            one row; or `warm_start` finds a dictionary of another shape. If rows that are read while the dictionary is
            trained are not finite, what was learned before is kept.
        """
        self._validate_params()
        return self._learn(X, self._sources(X, continues=self._continues()))

    def _learn(self, X: Any, sources: Sequence[Any]) -> Self:
        """Learn from sources: rows as they were given, and as a list with arrays, row sources or batches."""
        continues = self._continues()
        start = self._start_again(sources) if continues else None
        first_pass = self._passes if continues else 0

        def keep(fitted: Fitted) -> None:
            if self.warm_start or fitted.result.status == "not_finite":
                self._take_over(X, sources, fitted, first_pass)

        try:
            fitted = self._fit().run(
                sources,
                (lambda: self._seed) if continues else self._draw_seed,
                self.n_components,
                start=start,
                first_pass=first_pass,
                interrupted=keep,
            )
        except NotFiniteError as error:
            raise ValueError(self._explain(error)) from None
        self._take_over(X, sources, fitted, first_pass + self.max_iter)
        return self

    def _draw_seed(self) -> int:
        return seed_from(self.random_state)

    def _continues(self) -> bool:
        """Return whether a fit goes on from the dictionary of the previous one."""
        return bool(self.warm_start) and hasattr(self, "scaling_")

    def partial_fit(self, X: ArrayLike | RowSource, y: object = None) -> Self:
        """Train for one more pass over rows; the first call begins a dictionary as `fit` does.

        The state of the solver, the counters of dead latents and the average of thresholds are kept from call to call;
        schedules are not applied. A call that is interrupted changes nothing.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        self
        """
        self._validate_params()
        begun = hasattr(self, "scaling_")
        sources = self._sources(X, continues=begun)
        start = self._start_again(sources) if begun else None
        passes = self._passes if begun else 0
        fit = self._fit(n_passes=1, journals=Journals(), solver=replace(self._solver(), schedule="constant"))
        try:
            fitted = fit.run(
                sources,
                (lambda: self._seed) if begun else self._draw_seed,
                self.n_components,
                start=start,
                first_pass=passes,
            )
        except NotFiniteError as error:
            raise ValueError(self._explain(error)) from None
        earlier = (self.loss_curve_, self.terms_curve_, self.measures_curve_, self.n_iter_) if begun else None
        self._take_over(X, sources, fitted, passes + 1)
        if earlier is not None:
            self.loss_curve_ = [*earlier[0], *self.loss_curve_]
            self.terms_curve_ = _joined(earlier[1], self.terms_curve_)
            self.measures_curve_ = _joined(earlier[2], self.measures_curve_)
            self.n_iter_ += earlier[3]
        return self

    def transform(self, X: ArrayLike | RowSource) -> Any:
        """Return the sparse codes of rows.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)

        Returns
        -------
        csr_array of shape (n_samples, n_components), or array if `sparse_output` is False
            The codes, which are not negative.
        """
        codes = self.encode(X).as_matrix(self.n_components_)
        return codes if self.sparse_output else codes.toarray()

    def encode(self, X: ArrayLike | RowSource) -> Codes:
        """Return the codes of rows as the arrays of a matrix in compressed sparse row format.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)

        Returns
        -------
        Codes
            Named tuple of `starts`, of shape (n_samples + 1,), and of `latents` and `values`, of shape (n_entries,).
        """
        rows = self._validate_for_use(X)
        coder = self._coder(rows)
        with coder.engine.session():
            if not isinstance(rows, RowSource):
                return coder.encode(rows)
            return joined([coder.encode(block) for block in self._blocks(rows)])

    def inverse_transform(self, H: Any) -> FloatArray:
        """Return the rows that codes decode to.

        Parameters
        ----------
        H : sparse matrix or array-like of shape (n_samples, n_components)
            Codes.

        Returns
        -------
        array of shape (n_samples, n_features)
            With ``normalize="layer_norm"`` in units of normalised rows, because codes do not hold the scale of a row.
        """
        check_is_fitted(self)
        codes = sparse.csr_array(H) if sparse.issparse(H) else check_rows(H, "H")
        if codes.shape[1] != self.n_components_:
            raise ValueError(f"H must have {self.n_components_} columns, one for each latent; got {codes.shape[1]}.")
        parameters = self._problem.layout.views(self._state.theta)
        made = codes.astype(self._state.theta.dtype) @ parameters.decoder + parameters.decoder_bias
        scaling = self._problem.output_scaling or self.scaling_
        return made if scaling.by_rows else scaling.undo(made, made)

    def reconstruct(self, X: ArrayLike | RowSource) -> FloatArray:
        """Return the reconstructions of rows, which are encoded and then decoded.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_features)
        """
        rows = self._validate_for_use(X)
        coder = self._coder(rows)
        with coder.engine.session():
            blocks = self._blocks(rows) if isinstance(rows, RowSource) else [rows]
            return np.concatenate([coder.reconstruct(block) for block in blocks])

    def predict(self, X: ArrayLike | RowSource) -> FloatArray:
        """Return `reconstruct(X)`, under the name that scikit-learn's tools expect."""
        return self.reconstruct(X)

    def score(self, X: ArrayLike | RowSource, y: object = None) -> float:
        """Return the fraction of the variance of X, about its column means, that the reconstruction explains.

        1 − Σ_ij (x_ij − x̂_ij)² / Σ_ij (x_ij − x̄_j)²; 1 is perfect, 0 is as good as the column means.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        float
            The explained fraction. If all rows are equal, it is 1 for a perfect reconstruction, else 0.
        """
        rows = self._validate_for_use(X)
        coder = self._coder(rows)

        def reconstruct(block: FloatArray, _: int) -> FloatArray:
            return coder.reconstruct(np.ascontiguousarray(block, self._state.theta.dtype))

        with coder.engine.session():
            return explained_variance(open_rows(rows), None, reconstruct)

    @property
    def components_(self) -> FloatArray:
        """Rows of the decoder, of shape (n_components, n_features): the direction of each latent."""
        return np.ascontiguousarray(self.coefs_[1])

    @property
    def coefs_(self) -> list[FloatArray]:
        """Weights of the encoder, (n_features, n_components), and of the decoder, (n_components, n_features).

        The factor by which `normalize` scales all rows is folded into them, so that they are for rows as they are.
        """
        parameters = self._problem.layout.views(self._state.theta)
        return [parameters.encoder.T * self._factor, parameters.decoder / self._output_factor]

    @property
    def intercepts_(self) -> list[FloatArray]:
        """Biases of the encoder, (n_components,), and of the decoder, (n_features,); for rows as they are."""
        parameters = self._problem.layout.views(self._state.theta)
        bias = parameters.encoder_bias.copy()
        if self.scaling_.shift is not None:
            bias -= parameters.encoder @ self.scaling_.shift.astype(bias.dtype)
        return [bias, parameters.decoder_bias / self._output_factor]

    def _skip_weights(self) -> FloatArray | None:
        """Return the weights of a transcoder from the input to the output, in the units of the rows."""
        skip = self._problem.layout.views(self._state.theta).skip
        return None if skip is None else skip * (self._factor / self._output_factor)

    @property
    def n_components_(self) -> int:
        """Number of latents of the fitted dictionary."""
        check_is_fitted(self)
        return self._problem.layout.n_latents

    @property
    def _factor(self) -> Any:
        return self._state.theta.dtype.type(self.scaling_.factor)

    @property
    def _output_factor(self) -> Any:
        scaling = self._problem.output_scaling
        return self._factor if scaling is None else self._state.theta.dtype.type(scaling.factor)

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _solver(self) -> MiniBatchSolver:
        """Return the solver; by default Adam with large batches, and a learning rate that falls with more latents."""
        if self.solver is None:
            rate = _RATE / float(np.sqrt(self.n_components / _LATENTS_OF_RATE))
            return Adam(learning_rate=rate, batch_size=_BATCH_SIZE, schedule="trapezoid")
        solver = as_solver(self.solver)
        assert isinstance(solver, MiniBatchSolver)
        return solver

    def _fit(self, **changed: Any) -> DictionaryFit:
        checkpoint = as_checkpoint(self.checkpoint)
        how: dict[str, Any] = {
            "solver": self._solver(),
            "n_passes": self.max_iter,
            "callbacks": self._all_callbacks(),
            "l0": self._expected_l0,
            "n_jobs": self.n_jobs,
            "memory_limit": None if self.memory_limit is None else as_bytes(self.memory_limit),
            "journals": Journals(checkpoint, None if checkpoint is None else describe_estimator(self)),
        }
        return DictionaryFit(self._begin, **{**how, **changed})

    def _begin(self, sample: list[FloatArray], seed: int) -> tuple[DictionaryProblem, FloatArray]:
        """Return the problem and the initial θ for a sample of the rows, and of the outputs of a transcoder."""
        X, Y = sample[0], sample[1] if len(sample) > 1 else None
        n_features, n_latents = X.shape[1], self.n_components
        n_outputs = n_features if Y is None else Y.shape[1]
        selection = self._selection(n_latents)
        layout = Layout(n_features, n_latents, n_outputs, selection.names, has_skip=self._has_skip)
        weight, controlled = self._penalty()
        scaling = scaling_of(self.normalize, X, self.center)
        rows = scaling.apply(X, np.empty_like(X)).astype(np.float64)
        mean, output_scaling = rows.mean(0), None
        if Y is not None:
            output_scaling = scaling_of("mean_norm" if self.normalize else None, Y, self.center)
            if self.center:
                scaling, rows = replace(scaling, shift=mean), rows - mean
            mean = output_scaling.apply(Y, np.empty_like(Y)).astype(np.float64).mean(0)
        problem = DictionaryProblem(
            selection,
            layout,
            scaling,
            center=self.center and Y is None,
            decoder_norm=self.decoder_norm,
            auxiliary=AuxiliaryLoss(self.auxiliary_weight, max(1, n_outputs // 2)) if self.auxiliary_weight else None,
            dead_after=self.dead_after,
            sparsity_weight=weight,
            target_l0=controlled,
            output_scaling=output_scaling,
        )
        draw = keyed_generator(seed, "initial weights")
        encoder = _directions(draw, n_latents, n_features)
        decoder = encoder if Y is None else _directions(draw, n_latents, n_outputs)
        bias: FloatArray = np.zeros(n_latents)
        if self._is_thresholded:
            share = min(0.5, _MORE_ACTIVE * self._expected_l0 / n_latents)
            bias = _biases_for_share(rows - mean if problem.center else rows, encoder, share)
        skip = np.zeros((n_features, n_outputs)) if self._has_skip else None
        return problem, layout.pack(Parameters(encoder, decoder, bias, mean, selection.initial(n_latents), skip))

    def _start_again(self, sources: Sequence[Any]) -> tuple[DictionaryProblem, DictionaryState]:
        """Return a copy of the problem and the state from which the training goes on."""
        layout, width = self._problem.layout, _width(sources[0])
        if width != layout.n_features:
            raise ValueError(
                f"X has {width} features, but {type(self).__name__} is expecting {layout.n_features} features as input."
            )
        if self.n_components != layout.n_latents:
            raise ValueError(
                f"the fit continues a dictionary of {layout.n_latents} latents, but n_components={self.n_components};"
                " restore it, or fit anew with warm_start=False."
            )
        state = deepcopy(self._state)
        solver = self._solver()
        if set(state.moments) != set(solver.moment_names):
            state.moments = {name: np.zeros_like(state.theta) for name in solver.moment_names}
        return self._problem, state

    def _sources(self, X: Any, *, continues: bool) -> list[Any]:
        """Return rows as a list with an array, a row source, or the batches of an iterator."""
        if isinstance(X, Iterator):
            return [StreamedBatches(X, batch_size=self._solver().batch_size)]
        if is_dask_array(X):
            X = open_rows(X)
        if isinstance(X, RowSource):
            return [X]
        return [self._known_rows(X) if continues else check_rows(X)]

    def _known_rows(self, X: Any) -> FloatArray:
        """Return rows in memory as floats, after checking them against the columns of the fit."""
        with np.errstate(invalid="ignore"), naming_columns(X=X):  # for scikit-learn's sum that detects NaN
            return as_float_rows(validate_data(self, X, dtype="numeric", reset=False))

    def _take_over(self, X: Any, sources: Sequence[Any], fitted: Fitted, passes: int) -> None:
        """Set the fitted attributes."""
        rows = sources[0]
        if isinstance(rows, StreamedBatches):
            self.n_features_in_ = fitted.problem.layout.n_features
            self.data_name_ = None
        elif isinstance(rows, RowSource):
            remember_columns(self, rows)
            self.data_name_ = rows.short_name
        else:
            validate_data(self, X, skip_check_array=True, reset=True)
            self.data_name_ = None
            self.training_range_ = range_of_features(rows)
        result = fitted.result
        self.scaling_, self._problem, self._state = fitted.problem.scaling, fitted.problem, fitted.state
        self._seed, self._passes = fitted.seed, passes
        self.threshold_ = fitted.state.average_threshold
        self.rows_since_fired_ = fitted.state.rows_since_fired
        self.loss_curve_, self.terms_curve_ = result.loss_curve, result.terms_curve
        self.measures_curve_ = result.measures_curve
        self.n_iter_, self.n_steps_, self.n_samples_fit_ = result.n_iter, fitted.state.step, fitted.state.n_rows
        self.solver_status_, self.solver_message_ = result.status, result.message
        self.memory_plan_ = fitted.memory

    def _validate_for_use(self, X: Any) -> Any:
        """Return rows that are ready for the fitted dictionary, in its dtype; a row source is returned as it is."""
        check_is_fitted(self)
        if is_dask_array(X):
            X = open_rows(X)
        if isinstance(X, RowSource):
            if X.shape[1] != self.n_features_in_:
                raise ValueError(
                    f"X has {X.shape[1]} features, but {type(self).__name__} is expecting {self.n_features_in_}"
                    " features as input."
                )
            return X
        rows = self._known_rows(X)
        if hasattr(self, "training_range_"):
            warn_of_other_scale(self, rows, stacklevel=4)
        return np.ascontiguousarray(rows, self._state.theta.dtype)

    def _blocks(self, rows: RowSource) -> Iterator[FloatArray]:
        """Yield the rows of a source, some at a time, in the dtype of the dictionary."""
        for block in rows.blocks(max(4096, rows.rows_at_once)):
            if not np.isfinite(block).all():
                raise ValueError(f"{rows.name} contains NaN or infinity.")
            yield np.ascontiguousarray(block, self._state.theta.dtype)

    def _coder(self, rows: Any) -> Coder:
        engine, layout = ThreadEngine(self.n_jobs), self._problem.layout
        ops = ops_for(rows, rows.shape[0] * layout.n_latents * layout.n_features, engine.ops)
        return Coder(self._problem, self._state.theta, self.threshold_, engine, code_ops_of(ops))

    def _all_callbacks(self) -> list[Callback]:
        callbacks = [] if self.callbacks is None else list(self.callbacks)
        if self.verbose:
            callbacks.append(PrintProgress(every=int(self.verbose)))
        return callbacks

    def _explain(self, error: Exception) -> Sentence:
        """Return the message of an error of numbers that are not finite."""
        return Sentence(
            f"{error} The rows of this batch contain NaN or infinity, or are too large, or the learning rate is too"
            f" high (now {self._solver().learning_rate:g}). What was learned before this batch is kept."
        )


def _directions(draw: np.random.Generator, n: int, n_features: int) -> FloatArray:
    """Return random rows of norm 1."""
    rows: FloatArray = draw.standard_normal((n, n_features))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def _biases_for_share(rows: FloatArray, directions: FloatArray, share: float) -> FloatArray:
    """Return biases with which each latent is active in a given share of some of the rows."""
    rows = rows[:_ROWS_FOR_BIASES]
    place = min(int((1 - share) * len(rows)), len(rows) - 1)
    parts = [directions[start : start + 256] for start in range(0, len(directions), 256)]
    return np.concatenate([-np.partition(rows @ part.T, place, axis=0)[place] for part in parts])


def _width(source: Any) -> int:
    """Return the number of columns of rows, or of the batches of an iterator."""
    return int(source.widths[0] if isinstance(source, StreamedBatches) else source.shape[1])


def _joined(before: dict[str, list[float]], after: dict[str, list[float]]) -> dict[str, list[float]]:
    """Return curves of two trainings, one after the other."""
    return {name: [*before.get(name, []), *after.get(name, [])] for name in {**before, **after}}
