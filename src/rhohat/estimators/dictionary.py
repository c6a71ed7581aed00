"""The base class of dictionaries: sparse autoencoders whose codes are selected, and sparse in memory and in time."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import replace
from functools import partial
from numbers import Integral
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

from rhohat.common.arrays import FloatArray
from rhohat.common.pieces import as_one_array, is_stream
from rhohat.common.randomness import RandomState, seed_from
from rhohat.data import RowSource, open_rows
from rhohat.data.ranges import range_of_features
from rhohat.data.rows import is_dask_array, remember_columns
from rhohat.dictionaries.dead_latents import default_dead_after
from rhohat.dictionaries.folding import Folding
from rhohat.dictionaries.rows import BatchSource, StreamedBatches, width_of
from rhohat.dictionaries.run import joined_curves
from rhohat.dictionaries.scaling import NORMALIZATIONS, Scaling
from rhohat.dictionaries.selections import Selection
from rhohat.dictionaries.start import DictionaryStart
from rhohat.dictionaries.training import DictionaryProblem, DictionaryState, NotFiniteError
from rhohat.engines import DaskEngine, EngineLike, TorchEngine, device_of
from rhohat.estimators.checks import as_callbacks, check_engine_of_dictionary, check_rows
from rhohat.estimators.dictionary_file import describe_dictionary, restore_dictionary
from rhohat.estimators.dictionary_messages import (
    explain_not_finite,
    n_passes_over,
    refuse_network_callbacks,
    tell_of_few_updates,
    warn_of_l0,
)
from rhohat.estimators.dictionary_use import UsableDictionary
from rhohat.estimators.model_parts import ModelReader, ModelWriter
from rhohat.estimators.named_parts import AT_LEAST_0, AT_LEAST_1, NamedPart
from rhohat.fitting.checkpoint_settings import Checkpoint
from rhohat.fitting.dictionary_fit import DictionaryFit, Fitted
from rhohat.fitting.fit import Journals
from rhohat.fitting.memory import MemoryPlan, as_bytes
from rhohat.solvers import SOLVERS, Adam, Callback, MiniBatchSolver, PrintProgress, as_solver
from rhohat.solvers.progress import ShowProgress

__all__ = ["BaseDictionary"]

_SMALLEST_BATCH, _LARGEST_BATCH = 256, 4096
_BATCH_OF_STREAM = 1024  # where it is not known how many rows will follow
_FEWEST_UPDATES = 1000  # which smaller batches than the largest are chosen for
_RATE, _LATENTS_OF_RATE = 2e-4, 2**14  # learning rate at so many latents; with fewer it is larger
_SETTINGS_OF_TRAINING = ("max_iter", "auxiliary_weight", "dead_after", "normalize", "center", "decoder_norm")
_MORE_ACTIVE = 4  # how many times as many latents are active at the start as in the end, where biases decide it


class BaseDictionary(UsableDictionary):
    """Base class of dictionaries, which are scikit-learn transformers with sparse codes.

    A subclass defines the constructor and the selection.
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "n_components": [AT_LEAST_1],
        "auxiliary_weight": [AT_LEAST_0],
        "dead_after": [AT_LEAST_1, None],
        "normalize": [NamedPart([name for name in NORMALIZATIONS if name]), None],
        "center": ["boolean"],
        "decoder_norm": ["boolean"],
        "solver": [NamedPart([name for name, cls in SOLVERS.items() if cls.in_mini_batches], MiniBatchSolver), None],
        "max_iter": [AT_LEAST_1],
        "sparse_output": ["boolean"],
        "warm_start": ["boolean"],
        "random_state": ["random_state", np.random.Generator],
        "n_jobs": [None, Integral],
        "engine": [None, DaskEngine, TorchEngine, str],
        "memory_limit": [None, Interval(Integral, 1, None, closed="left"), str],
        "checkpoint": [None, str, PathLike, Checkpoint],
        "callbacks": ["array-like", None],
        "verbose": ["verbose"],
    }

    n_components: int
    auxiliary_weight: float
    dead_after: int | None
    normalize: str | None
    center: bool
    decoder_norm: bool
    solver: str | MiniBatchSolver | None
    max_iter: int
    sparse_output: bool
    warm_start: bool
    random_state: RandomState
    n_jobs: int | None
    engine: EngineLike
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
    threshold_: float | None
    rows_since_fired_: Any
    solver_status_: str
    solver_message_: str
    memory_plan_: MemoryPlan
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

    def _penalty(self, n_features: int) -> tuple[float, float | None]:
        """Return the weight of the penalty, and the L0 towards which it is controlled, or None if it is not."""
        return 0.0, None

    #: Whether a linear connection leads from the input to the output.
    _has_skip: bool = False

    #: Whether biases of the encoder decide how many latents are active at the start.
    _is_thresholded: ClassVar[bool] = False

    #: Keys of the dict that `_describe_learned` returns.
    _keys_of_learned: ClassVar[tuple[str, ...]] = ("dictionary", "training")

    def _describe_learned(self, file: ModelWriter, prefix: str) -> dict[str, Any]:
        """Return a description of what the dictionary has learned, for a model file."""
        return describe_dictionary(self, self._problem, self._state, file, prefix)

    def _restore_learned(self, file: ModelReader, described: dict[str, Any], prefix: str) -> None:
        """Restore what the dictionary had learned from a model file; the inverse of `_describe_learned`."""
        restore_dictionary(
            self, lambda sample: self._start(sample[0].shape[1]).problem(sample), file, described, prefix
        )

    def describe(self) -> dict[str, Any]:
        """Return the selection, the sizes, the last measures and the settings of the training, as JSON can hold them.

        Returns
        -------
        dict
            "selection", "latents", "features", "n_parameters" and "dtype"; "threshold", as `threshold_`, and
            "thresholds", the smallest, median and largest of latents that have their own, else None; "rows_seen"; of
            the last block of updates in the training, "fvu" (fraction of variance unexplained), "l0" (active latents of
            a row) and "dead"; and as "learning" the solver and other settings of the training, each as it is written in
            Python.
        """
        settings = {name: repr(getattr(self, name)) for name in _SETTINGS_OF_TRAINING}
        return {**super().describe(), "learning": {"solver": repr(self._solver_used()), **settings}}

    def fitted_parts(self) -> list[tuple[str, Self]]:
        """Return the parts of the fit: a dictionary is a single part, with the name ""."""
        check_is_fitted(self)
        return [("", self)]

    def _store(self, arguments: dict[str, Any]) -> None:
        """Set every argument of the constructor, given as the constructor's locals(), as an attribute."""
        for name in self._get_param_names():
            setattr(self, name, arguments[name])

    def _validate_params(self) -> None:
        """Raise an error if a parameter is out of its range, or the engine or a callback cannot be used here."""
        super()._validate_params()
        check_engine_of_dictionary(self.engine)
        refuse_network_callbacks(self._own_callbacks())

    def fit(self, X: ArrayLike | RowSource | Iterator[Any], y: object = None) -> Self:
        """Learn a dictionary from rows.

        Parameters
        ----------
        X : array-like, RowSource, iterator or iterable, of shape (n_samples, n_features)
            Rows. An iterator yields them in pieces of any length, each of shape (any, n_features), such as activations
            that are made on the fly; its rows are used once, in their order. An iterable that is no array, such as
            PyTorch's DataLoader, yields such pieces as well, but is read `max_iter` times. A list of two-dimensional
            arrays is used like the one array of all their rows.
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

        Warns
        -----
        UserWarning
            If the mean number of active latents of a row in the last block of updates is more than half of `target_l0`
            away from it; if an iterator gave so few rows that fewer than 200 updates were made; or if the rows are to
            be read several times, by a `max_iter` that was set, but an iterator can be read only once.
        DeadLatentsWarning
            If half of the latents are dead.
        """
        self._validate_params()
        X = as_one_array(X)
        return self._learn(X, self._sources(X, continues=self._continues()))

    def _learn(self, X: Any, sources: Sequence[Any]) -> Self:
        """Learn from sources: rows as they were given, and as a list with arrays, row sources or batches."""
        continues = self._continues()
        n_rows, n_passes = self._n_rows_to_see(sources), n_passes_over(self, sources, stacklevel=3)
        start = self._start_again(sources, n_rows) if continues else None
        first_pass = self._passes if continues else 0

        kept = "Nothing was learned before."

        def keep(fitted: Fitted) -> None:
            nonlocal kept
            if self.warm_start or fitted.result.status == "not_finite":
                self._take_over(X, sources, fitted, first_pass)
                kept = "What was learned before this batch is kept."

        try:
            with ShowProgress(None) if self.verbose == 1 else nullcontext() as progress:
                shown = {} if progress is None else {"callbacks": [*self._own_callbacks(), progress]}
                fitted = self._fit(n_rows, n_passes=n_passes, solver=self._solver(n_rows), **shown).run(
                    sources,
                    (lambda: self._seed) if continues else self._draw_seed,
                    self.n_components,
                    start=start,
                    first_pass=first_pass,
                    interrupted=keep,
                )
        except NotFiniteError as error:
            raise ValueError(self._explain(error, sources, kept)) from None
        self._take_over(X, sources, fitted, first_pass + n_passes)
        warn_of_l0(self, stacklevel=3)
        tell_of_few_updates(self, sources, stacklevel=3)
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
        X = as_one_array(X)
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
            raise ValueError(self._explain(error, sources, "The dictionary is what it was before this call.")) from None
        earlier = (self.loss_curve_, self.terms_curve_, self.measures_curve_, self.n_iter_) if begun else None
        self._take_over(X, sources, fitted, passes + 1)
        if earlier is not None:
            self.loss_curve_ = [*earlier[0], *self.loss_curve_]
            self.terms_curve_ = joined_curves(earlier[1], self.terms_curve_)
            self.measures_curve_ = joined_curves(earlier[2], self.measures_curve_)
            self.n_iter_ += earlier[3]
        return self

    def _n_rows_to_see(self, sources: Sequence[Any]) -> int | None:
        """Return the number of rows that a fit sees in all passes together; None if it is not known."""
        return None if isinstance(sources[0], BatchSource) else int(sources[0].shape[0]) * self.max_iter

    def _solver(self, n_rows: int | None = None) -> MiniBatchSolver:
        """Return the solver; by default Adam, whose learning rate falls with more latents.

        By default the batches are as large as they may be for 1,000 updates, and have 256 to 4,096 rows; 1,024 where
        the number of rows is not known.

        Parameters
        ----------
        n_rows : int, default=None
            Number of rows in all passes together; None if it is not known.
        """
        if self.solver is None:
            rate = _RATE / float(np.sqrt(self.n_components / _LATENTS_OF_RATE))
            batch_size = _BATCH_OF_STREAM if n_rows is None else _LARGEST_BATCH
            while batch_size > _SMALLEST_BATCH and n_rows is not None and n_rows < _FEWEST_UPDATES * batch_size:
                batch_size //= 2
            return Adam(learning_rate=rate, batch_size=batch_size, schedule="trapezoid")
        solver = as_solver(self.solver)
        assert isinstance(solver, MiniBatchSolver)
        if solver.early_stopping or solver.max_gradient_norm is not None:
            raise ValueError(
                "dictionaries take a solver without early stopping and without max_gradient_norm, because neither rows"
                f" are held out nor is the whole gradient known at a time; got {solver!r}."
            )
        return solver

    def _solver_used(self) -> MiniBatchSolver:
        """Return the solver of the training so far, where it was chosen with the smallest batches that give as many."""
        mean = self.n_samples_fit_ / max(1, self.n_steps_)  # batches of a pass are as equal as possible
        batch_size = _SMALLEST_BATCH
        while batch_size < min(mean, _LARGEST_BATCH):
            batch_size *= 2
        return self._solver(batch_size * _FEWEST_UPDATES)

    def _fit(self, n_rows: int | None = None, **changed: Any) -> DictionaryFit:
        """Return a fit; `n_rows` is the number of rows in all passes together, None if it is not known."""
        device = device_of(self.engine)
        how: dict[str, Any] = {
            "solver": self._solver(),
            "n_passes": self.max_iter,
            "callbacks": self._all_callbacks(),
            "l0": self._expected_l0,
            "n_jobs": self.n_jobs,
            "engine": None if device is None else device.here(),
            "memory_limit": None if self.memory_limit is None else as_bytes(self.memory_limit),
            "journals": Journals.of(self),
        }
        return DictionaryFit(partial(self._begin, n_rows), **{**how, **changed})

    def _begin(self, n_rows: int | None, sample: list[FloatArray], seed: int) -> tuple[DictionaryProblem, FloatArray]:
        """Return the problem and the initial θ for a sample of the rows, and of the outputs of a transcoder."""
        return self._start(sample[0].shape[1], n_rows).problem_and_theta(sample, seed)

    def _start(self, n_features: int, n_rows: int | None = None) -> DictionaryStart:
        """Return the settings by which a dictionary for rows of so many features begins; `n_rows` as for `_fit`."""
        weight, controlled = self._penalty(n_features)
        return DictionaryStart(
            self._selection(self.n_components),
            self.n_components,
            normalize=self.normalize,
            center=self.center,
            decoder_norm=self.decoder_norm,
            auxiliary_weight=self.auxiliary_weight,
            dead_after=default_dead_after(n_rows) if self.dead_after is None else self.dead_after,
            sparsity_weight=weight,
            target_l0=controlled,
            active_at_start=_MORE_ACTIVE * self._expected_l0 if self._is_thresholded else None,
            has_skip=self._has_skip,
        )

    def _start_again(
        self, sources: Sequence[Any], n_rows: int | None = None
    ) -> tuple[DictionaryProblem, DictionaryState]:
        """Return the problem, with the parameters that were changed since, and a copy of the state to go on from."""
        layout, width = self._problem.layout, width_of(sources[0])
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
        now = self._start(width, n_rows)
        if now.sparsity_weight != self._problem.sparsity_weight:
            state.weight[:] = now.sparsity_weight
        return now.changed(self._problem), state

    def _sources(self, X: Any, *, continues: bool) -> list[Any]:
        """Return rows as a list with an array, a row source, or the batches of an iterator."""
        if is_stream(X):
            return [StreamedBatches(X, batch_size=self._solver().batch_size)]
        if is_dask_array(X):
            X = open_rows(X)
        if isinstance(X, RowSource):
            return [X]
        return [self._known_rows(X) if continues else check_rows(X)]

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
        self._take(fitted.problem, fitted.state, seed=fitted.seed, passes=passes)
        self.loss_curve_, self.terms_curve_ = result.loss_curve, result.terms_curve
        self.measures_curve_ = result.measures_curve
        self.n_iter_, self.n_steps_, self.n_samples_fit_ = result.n_iter, fitted.state.step, fitted.state.n_rows
        self.solver_status_, self.solver_message_ = result.status, result.message
        self.memory_plan_ = fitted.memory

    def _take(self, problem: DictionaryProblem, state: DictionaryState, *, seed: int, passes: int) -> None:
        """Set what is known of a training from its problem and its state."""
        self.__dict__.pop("model_card_", None)  # it was about an earlier fit
        self.scaling_, self._problem, self._state = problem.scaling, problem, state
        self._seed, self._passes, self._folding = seed, passes, Folding(problem, state.theta)
        self.threshold_, self.rows_since_fired_ = state.average_threshold, state.rows_since_fired

    def _own_callbacks(self) -> list[Callback]:
        return as_callbacks(self.callbacks)

    def _all_callbacks(self) -> list[Callback]:
        callbacks = self._own_callbacks()
        if self.verbose:
            callbacks.append(PrintProgress(every=int(self.verbose)))
        return callbacks

    def _explain(self, error: NotFiniteError, sources: Sequence[Any], kept: str) -> str:
        return explain_not_finite(error, sources, self._solver().learning_rate, kept)
