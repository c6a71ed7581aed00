"""The feedforward regressor: a network of any depth that predicts one or several numbers per row."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import check_is_fitted

from rhohat.common.arrays import FloatArray
from rhohat.common.randomness import RandomState, seed_from
from rhohat.data import RowSource
from rhohat.engines import EngineLike, ThreadEngine
from rhohat.estimators.availability import available_where, works_in_mini_batches
from rhohat.estimators.checks import warn_unless_converged
from rhohat.estimators.documentation import document
from rhohat.estimators.feedforward import BaseFeedforward
from rhohat.estimators.model_parts import ModelReader, ModelWriter
from rhohat.estimators.named_parts import AT_LEAST_1, NamedPart
from rhohat.estimators.sample_weights import check_sample_weight
from rhohat.estimators.target_scaling import choose_scaling, r_squared, scaled_loss, warn_of_units
from rhohat.fitting.checkpoint_settings import Checkpoint
from rhohat.layers.activations import Activation, as_activation
from rhohat.layers.architecture import LayerDescription
from rhohat.objective import Problem
from rhohat.solvers import Callback, Solver
from rhohat.terms.losses import GaussianLoss, Loss, SquaredError, as_loss
from rhohat.terms.penalties import Penalty

__all__ = ["FeedforwardRegressor"]

_SMALLEST_GAIN = 1e-6  # relative rise of the log-likelihood above which Σ is estimated once more


@document
class FeedforwardRegressor(RegressorMixin, MultiOutputMixin, BaseFeedforward):
    """Feedforward network for regression, which predicts one or several numbers per row.

    Minimises, with a_i the outputs and t_i the targets of row i,

        J = 1/m Σ_i loss(a_i, t_i)  +  λ/2 Σ_l ‖W^(l)‖²  +  τ/2m Σ_i Σ_k ‖∂a_i/∂x_i · τ_ik‖²

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, default=(100,)
        Number of units in each hidden layer; () for no hidden layers.
    {layers}
    {network}
        A sequence gives one activation for each hidden layer.
    output_activation : {"identity", "sigmoid", "tanh", ...} or Activation, default="identity"
        Activation of the output units. If it has two bounds, each target is mapped linearly into the middle 80 % of its
        range, and predictions are mapped back, whatever `scale_targets` says; for softmax and cross-entropies, nothing
        is mapped.
    loss : {"squared_error", ...} or Loss, default="squared_error"
        Cost of the outputs for a row.
    scale_targets : bool, default=True
        Whether each target is standardised for the training, to a mean of 0 and a variance of 1 over the rows of the
        fit, and predictions are mapped back. If outputs are not negative, targets are divided only. The cost J, `tol`,
        weight decay and θ are then those of standardised targets, and do not depend on the units of y; predictions,
        scores and Σ are in these units. It applies to the squared error and to Gaussian noise, whose cost of a row is
        the same for scaled and unscaled targets; with other losses, targets stay as they are.
    noise_covariance : array-like of shape (n_targets, n_targets), "estimate" or None, default=None
        Covariance Σ of Gaussian noise in the targets; the loss is then ½ (t − a)ᵀ Σ⁻¹ (t − a). "estimate" first fits
        with squared error, then alternates between Σ = 1/m Σ_i (t_i − a_i)(t_i − a_i)ᵀ and a fit with this Σ,
        until the log-likelihood stops rising. With weight decay, the weights maximise the log-likelihood minus the
        penalty. If None, the loss is `loss`.
    max_covariance_updates : int, default=10
        Largest number of estimates of Σ.
    weight_decay : float, default=1e-4
        λ, the weight of the weight decay; not negative.
    tangent_weight : float, default=0.0
        τ, not negative: the weight of the penalty on changes of the outputs along the tangents that `fit` receives.
    penalties : sequence of Penalty, or a single one, default=()
        Further penalties that are added to J.
    {training}

    Attributes
    ----------
    noise_covariance_ : array of shape (n_targets, n_targets)
        The given or estimated Σ, in units of the targets; set only if `noise_covariance` is not None.
    log_likelihood_ : float
        Σ_i ln N(t_i | a_i, Σ) over the training rows, in nats; set only if `noise_covariance` is not None.
    log_likelihood_curve_ : list of float
        The log-likelihood after each fit of the network with a known Σ.
    {targets}
    n_outputs_ : int
        Number of output units.
    {fitted}

    {warning}

    References
    ----------
    Bishop, C. M. (2006). Pattern Recognition and Machine Learning, section 5.2 and exercise 5.3.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import FeedforwardRegressor
    >>> X = np.linspace(-1, 1, 100)[:, None]
    >>> regressor = FeedforwardRegressor(hidden_layer_sizes=(10,), activation="tanh", weight_decay=0.0, max_iter=2000,
    ...                                  tol=1e-4, random_state=0).fit(X, np.sin(3 * X[:, 0]))
    >>> regressor.score(X, np.sin(3 * X[:, 0])) > 0.999
    True
    """

    command_line_name: ClassVar[str | None] = "regressor"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseFeedforward._parameter_constraints,
        "scale_targets": ["boolean"],
        "noise_covariance": [None, NamedPart({"estimate"}), "array-like"],
        "max_covariance_updates": [AT_LEAST_1],
    }

    def __init__(
        self,
        *,
        hidden_layer_sizes: Sequence[int] = (100,),
        layers: Sequence[LayerDescription | int] | None = None,
        input_shape: Sequence[int] | None = None,
        activation: str | Activation | Sequence[str | Activation] = "sigmoid",
        output_activation: str | Activation = "identity",
        loss: str | Loss = "squared_error",
        scale_targets: bool = True,
        noise_covariance: ArrayLike | str | None = None,
        max_covariance_updates: int = 10,
        weight_decay: float = 1e-4,
        tangent_weight: float = 0.0,
        penalties: Sequence[Penalty] | Penalty = (),
        solver: str | Solver = "lbfgs",
        initial_weights: str | Sequence[ArrayLike] = "uniform",
        max_iter: int = 400,
        tol: float = 1e-5,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        warm_start: bool = False,
        random_state: RandomState = None,
        n_jobs: int | None = None,
        engine: EngineLike = None,
        memory_limit: int | str | None = None,
        checkpoint: str | PathLike[str] | Checkpoint | None = None,
        callbacks: Sequence[Callback] | None = None,
        verbose: int = 0,
    ) -> None:
        self._store(locals())

    def _described_layers(self) -> Sequence[LayerDescription | int] | None:
        return self.layers

    scale_targets: bool
    noise_covariance_: FloatArray
    log_likelihood_: float
    log_likelihood_curve_: list[float]
    _scaling: tuple[FloatArray, FloatArray]

    def fit(
        self,
        X: ArrayLike | RowSource,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        tangents: ArrayLike | None = None,
    ) -> Self:
        """Learn the weights from rows and their targets.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, not negative: how often it counts. Rows of weight 0 have no effect, but must be finite.
        tangents : array-like of shape (n_samples, n_tangents, n_features), default=None
            Directions in which the outputs should not change, used with `tangent_weight`; see `rhohat.image_tangents`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is out of its range; X or y is not an array of finite numbers; their lengths differ; weights,
            tangents or the noise covariance have the wrong shape; y, weights or tangents are a row source; or Σ is not
            positive definite.
        """
        self._validate_params()
        X = self._open(X, held=True)
        continues = self._continues()
        y = self.targets_in_order(y) if continues else y
        rows, targets, output, one_dimensional = self._check_targets(X, y)
        rows, targets, weights, directions = self._weigh_with_tangents(rows, targets, sample_weight, tangents)
        given = self.noise_covariance is not None and not isinstance(self.noise_covariance, str)
        self._check_covariance_makes_sense(targets)
        self._look_through(X, fitted=continues)
        loss = GaussianLoss(self.noise_covariance) if given else as_loss(self.loss)
        scaling = self._scaling_of(targets, output, loss, weights, continues)
        problem = self._make_regression_problem(rows, targets, output, loss, scaling, weights, directions, continues)
        also = {
            "_scaling": scaling,
            "_one_dimensional": one_dimensional,
            "target_names_": self._names_of_targets(y, X, fitted=continues),
        }
        trained = copy(self)  # if one of several runs of the solver fails, this estimator stays unchanged
        try:
            unsettled = trained._solve(problem, X, targets, continues, given, also)
        except KeyboardInterrupt:
            kept = vars(trained).get("loss_curve_") is not vars(self).get("loss_curve_")
            if kept and trained._was_interrupted():
                self.__dict__ = trained.__dict__
            raise
        self.__dict__ = trained.__dict__
        warn_unless_converged(self.fitted_parts(), unsettled, network=self.network_, rows=rows)
        in_their_units = not self.scale_targets and np.all(scaling[1] == 1)
        if isinstance(as_loss(self.loss), SquaredError) and not given and in_their_units:
            warn_of_units(targets)
        return self

    @property
    def target_shift_(self) -> FloatArray:
        """Number that is subtracted from each target, before `target_scale_` divides it, of shape (n_targets,)."""
        check_is_fitted(self)
        return self._scaling[0]

    @property
    def target_scale_(self) -> FloatArray:
        """Number by which each target is divided, of shape (n_targets,): outputs · scale + shift are predictions."""
        check_is_fitted(self)
        return self._scaling[1]

    _keys_of_learned: ClassVar[tuple[str, ...]] = (
        *BaseFeedforward._keys_of_learned,
        *("one_dimensional", "log_likelihood"),
    )

    def _describe_learned(self, file: ModelWriter, prefix: str) -> dict[str, Any]:
        for name, array in zip(("shift", "scale"), self._scaling, strict=True):
            file.arrays[f"{prefix}target_{name}"] = array
        if hasattr(self, "noise_covariance_"):
            file.arrays[f"{prefix}noise_covariance_"] = self.noise_covariance_
            file.curve(f"{prefix}log_likelihood_curve_", getattr(self, "log_likelihood_curve_", []))
        return {
            **super()._describe_learned(file, prefix),
            "one_dimensional": bool(self._one_dimensional),
            "log_likelihood": getattr(self, "log_likelihood_", None),
        }

    def _restore_learned(self, file: ModelReader, described: dict[str, Any], prefix: str) -> None:
        super()._restore_learned(file, described, prefix)
        shape = (self.n_outputs_,)
        self._scaling = file.take(f"{prefix}target_shift", shape), file.take(f"{prefix}target_scale", shape)
        self._one_dimensional = file.get(described, "one_dimensional", bool)
        if file.has(f"{prefix}noise_covariance_"):
            self.noise_covariance_ = file.take(f"{prefix}noise_covariance_", shape * 2)
            self.log_likelihood_curve_ = file.curve(f"{prefix}log_likelihood_curve_")
        if described.get("log_likelihood") is not None:
            self.log_likelihood_ = file.get(described, "log_likelihood", float)

    def _solve(
        self,
        problem: Problem,
        X: ArrayLike | RowSource,
        targets: FloatArray,
        continues: bool,
        given: bool,
        also: dict[str, Any],
    ) -> str:
        """Train the network; if `noise_covariance` is not None, set the covariance and the log-likelihood as well.

        Return what is to be said if the estimate of the covariance has not settled, otherwise "".
        """
        self._forget_noise()
        in_turn = self.noise_covariance is not None and not given
        seed = seed_from(self.random_state) if not in_turn else self._keep_seed({"X": problem.X, "y": problem.y})
        part = "squared error" if in_turn else ""
        with ThreadEngine(1).session():  # so that products of residuals do not depend on threads
            start = self._start(problem.network, self.theta_ if continues else None, seed, part=part)
            self._train(problem, X, start, continues=continues, also=also)
            if given:
                self.noise_covariance_ = np.array(self.noise_covariance, dtype=np.float64)
                self.log_likelihood_ = self._log_likelihood(problem, targets, self.noise_covariance_)
                self.log_likelihood_curve_ = [self.log_likelihood_]
            elif in_turn:
                return self._estimate_covariance(problem, X, targets, seed)
        return ""

    @available_where(works_in_mini_batches)
    def partial_fit(
        self,
        X: ArrayLike | RowSource,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        tangents: ArrayLike | None = None,
    ) -> Self:
        """Train for one more epoch on rows and their targets; available with solvers that work in mini-batches.

        The targets of the first call determine how targets are scaled, see `scale_targets`, or mapped into the range of
        bounded outputs.

        Parameters
        ----------
        X, y, sample_weight, tangents
            See `fit`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            In the same cases as `fit`; or if `noise_covariance` is given, which a single epoch cannot estimate.
        """
        self._validate_params()
        if self.noise_covariance is not None:
            raise ValueError(
                "partial_fit requires noise_covariance=None; pass loss=GaussianLoss(covariance) instead, or use fit."
            )
        X = self._open(X)
        begun = hasattr(self, "coefs_")
        y = self.targets_in_order(y) if begun else y
        rows, targets, output, one_dimensional = self._check_targets(X, y)
        rows, targets, weights, directions = self._weigh_with_tangents(rows, targets, sample_weight, tangents)
        self._look_through(X, fitted=begun)
        loss = as_loss(self.loss)
        scaling = self._scaling_of(targets, output, loss, weights, begun)
        problem = self._make_regression_problem(rows, targets, output, loss, scaling, weights, directions, begun)
        self._train_an_epoch(problem, X)
        self._forget_noise()
        self._scaling, self._one_dimensional = scaling, one_dimensional
        self.target_names_ = self._names_of_targets(y, X, fitted=begun)
        return self

    def predict(self, X: ArrayLike | RowSource) -> FloatArray:
        """Return the predicted numbers for each row.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,) or (n_samples, n_targets), float64
            Predictions, a vector if the y of the fit was a vector.
        """
        check_is_fitted(self)
        return self.predict_rows(self._validate_for_use(X))

    def score(self, X: ArrayLike | RowSource, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the R² of the predictions, averaged over targets.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        float
        """
        check_is_fitted(self)
        weights = check_sample_weight(sample_weight, X, np.float64)
        return r_squared(self.targets_in_order(y), self.predict(X), weights)

    def predict_rows(self, X: FloatArray | RowSource) -> FloatArray:
        """Return the predictions for rows that are validated already, as floats in the dtype of the arithmetic."""
        check_is_fitted(self)
        predicted = self._predict_columns(X)
        return predicted[:, 0] if self._one_dimensional else predicted

    @classmethod
    def from_weights(
        cls,
        coefs: Sequence[ArrayLike],
        intercepts: Sequence[ArrayLike],
        *,
        activation_parameters: Sequence[ArrayLike | None] | None = None,
        **parameters: Any,
    ) -> Self:
        """Return a fitted regressor with given weights, for example from another program or a paper.

        The predictions are the outputs themselves, whatever `scale_targets` says. With one output unit, they are a
        vector.

        Parameters
        ----------
        coefs, intercepts, activation_parameters, **parameters
            See `SparseAutoencoder.from_weights`.

        Returns
        -------
        fitted regressor

        Raises
        ------
        ValueError
            In the same cases as `SparseAutoencoder.from_weights`.
        """
        regressor = super().from_weights(coefs, intercepts, activation_parameters=activation_parameters, **parameters)
        n_outputs = regressor.n_outputs_
        regressor._scaling, regressor._one_dimensional = (np.zeros(n_outputs), np.ones(n_outputs)), n_outputs == 1
        regressor.target_names_ = None
        return regressor

    def _problem_of(
        self,
        X: ArrayLike | RowSource,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        tangents: ArrayLike | None,
        *,
        fitted: bool,
    ) -> Problem:
        rows, targets, output, _ = self._check_targets(self._open(X), self.targets_in_order(y) if fitted else y)
        self._look_through(rows, fitted=fitted)
        rows, targets, weights, directions = self._weigh_with_tangents(rows, targets, sample_weight, tangents)
        covariance = self.noise_covariance
        if isinstance(covariance, str):  # unknown before a fit, which starts with squared error
            covariance = self.__dict__.get("noise_covariance_") if fitted else None
        loss = as_loss(self.loss) if covariance is None else GaussianLoss(covariance)
        scaling = self._scaling_of(targets, output, loss, weights, fitted)
        problem = self._make_regression_problem(rows, targets, output, loss, scaling, weights, directions, False)
        return replace(problem, network=self.network_) if fitted else problem

    def _output(self) -> Activation:
        return as_activation(self.output_activation)

    def _predict_columns(self, X: FloatArray | RowSource) -> FloatArray:
        shift, scale = self._scaling
        outputs = self._forward(X, 0, self.network_.n_layers)
        return outputs * scale + shift  # float64 like the targets: float32 may be too coarse for their offset

    def _check_targets(
        self, X: ArrayLike | RowSource, y: ArrayLike
    ) -> tuple[FloatArray | RowSource, FloatArray, Activation, bool]:
        """Return rows, targets as columns, the output activation, and whether the targets are a vector."""
        rows, targets = self._check_rows_and_targets(X, y, y_numeric=True)
        columns = targets.reshape(len(targets), -1).astype(np.float64, copy=False)
        return rows, columns, self._output(), targets.ndim == 1

    def _scaling_of(
        self, targets: FloatArray, output: Activation, loss: Loss, weights: FloatArray | None, fitted: bool
    ) -> tuple[FloatArray, FloatArray]:
        """Return shift and scale of the targets, which are those of the first fit if there was one."""
        if not fitted:
            return choose_scaling(output, loss, targets, weights, standardises=self.scale_targets)
        if targets.shape[1] != self.n_outputs_:
            raise ValueError(
                f"y must have {self.n_outputs_} columns, as in the first fit; got {targets.shape[1]}. To use other"
                " targets, fit anew with warm_start=False."
            )
        return self._scaling

    def _check_reach(
        self, targets: FloatArray, output: Activation, loss: Loss, scaling: tuple[FloatArray, FloatArray]
    ) -> None:
        """Raise ValueError if targets, scaled as in the first fit, lie outside of the range of the outputs."""
        scaled, (low, high) = (targets - scaling[0]) / scaling[1], output.bounds
        if loss.contains is None and (scaled.min() < low or scaled.max() > high):
            lowest, highest = (np.array([low, high])[:, None] * scaling[1] + scaling[0]).tolist()
            raise ValueError(
                f"y lies outside of the range that output_activation={output.name!r} reaches, {lowest} to {highest},"
                " which the targets of the first fit have determined; fit anew on all targets, or use"
                " output_activation='identity'."
            )

    def _make_regression_problem(
        self,
        X: FloatArray | RowSource,
        targets: FloatArray,
        output: Activation,
        loss: Loss,
        scaling: tuple[FloatArray, FloatArray],
        weights: FloatArray | None,
        tangents: FloatArray | None,
        continues: bool,
    ) -> Problem:
        """Return the problem to minimise, with targets mapped into the output's range."""
        if continues:
            self._check_reach(targets, output, loss, scaling)
        if isinstance(loss, GaussianLoss):
            loss = scaled_loss(loss, scaling[1])
        scaled = (targets - scaling[0]) / scaling[1]
        return self._make_supervised_problem(X, scaled, output, loss, weights, tangents, continues)

    def _check_covariance_makes_sense(self, targets: FloatArray) -> None:
        """Raise ValueError if `noise_covariance` contradicts the loss, or cannot be estimated from the targets."""
        if self.noise_covariance is None:
            return
        if not isinstance(as_loss(self.loss), SquaredError):
            raise ValueError(
                "noise_covariance replaces the loss with the loss of Gaussian noise, so loss must stay"
                f" 'squared_error'; got {self.loss!r}."
            )
        if not isinstance(self.noise_covariance, str):
            return
        with np.errstate(over="ignore", invalid="ignore"):
            variances = targets.var(axis=0)
        held = np.finfo(np.float64)
        if not np.all((variances < held.max * held.eps) & (variances > held.tiny / held.eps)):
            raise ValueError(
                "noise_covariance='estimate' needs targets whose variances are neither too small nor too large for"
                f" float64; got the variances {variances.tolist()}. Scale y, or leave out columns that are constant."
            )
        if targets.shape[1] > 1:
            rank = int(np.linalg.matrix_rank(targets - targets.mean(axis=0)))
            if rank < targets.shape[1]:
                raise ValueError(
                    "noise_covariance='estimate' needs linearly independent targets, but the"
                    f" {targets.shape[1]} columns of y minus their means have rank {rank}. Leave out dependent columns."
                )

    def _forget_noise(self) -> None:
        for name in ("noise_covariance_", "log_likelihood_", "log_likelihood_curve_"):
            self.__dict__.pop(name, None)

    def _estimate_covariance(self, problem: Problem, X: ArrayLike | RowSource, targets: FloatArray, seed: int) -> str:
        """Alternate between estimating Σ from residuals and training with Σ until the log-likelihood stops rising.

        Return "", or a sentence if it still rises after the last estimate.
        """
        self.noise_covariance_ = self._covariance(problem, targets)
        self.log_likelihood_curve_ = []
        likelihood = -np.inf
        for number in range(self.max_covariance_updates):
            record = self._record()
            loss = scaled_loss(GaussianLoss(self.noise_covariance_), self._scaling[1])
            start = self._start(problem.network, self.theta_, seed, part=f"covariance {number + 1}")
            self._train(replace(problem, loss=loss), X, start, continues=True)
            self._prepend(record)
            self.noise_covariance_ = self._covariance(problem, targets)
            before, likelihood = likelihood, self._log_likelihood(problem, targets, self.noise_covariance_)
            self.log_likelihood_curve_.append(likelihood)
            self.log_likelihood_ = likelihood
            if likelihood - before <= _SMALLEST_GAIN * abs(likelihood):
                return ""
        return (
            f"The log-likelihood still rises after {self.max_covariance_updates} estimates of the noise covariance;"
            " raise max_covariance_updates, or accept the last estimate."
        )

    def _covariance(self, problem: Problem, targets: FloatArray) -> FloatArray:
        """Return the maximum-likelihood estimate of Σ: the (weighted) mean of r rᵀ over rows with residuals r."""
        residual = targets - self._predict_columns(problem.X)
        covariance: FloatArray = np.cov(residual.T, bias=True, aweights=problem.sample_weight).reshape(
            residual.shape[1], -1
        )
        mean = np.average(residual, axis=0, weights=problem.sample_weight)
        return covariance + np.outer(mean, mean)

    def _log_likelihood(self, problem: Problem, targets: FloatArray, covariance: FloatArray) -> float:
        residual = targets - self._predict_columns(problem.X)
        return GaussianLoss(covariance).log_likelihood(residual, problem.sample_weight)
