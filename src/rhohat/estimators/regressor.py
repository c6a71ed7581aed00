"""The feedforward regressor: a network of any depth from rows to one or several numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import MultiOutputMixin, RegressorMixin
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from rhohat.activations import Activation, as_activation
from rhohat.arrays import FloatArray
from rhohat.data import RowSource
from rhohat.engines import DaskEngine, ThreadEngine
from rhohat.estimators.base import warn_unless_converged, works_in_mini_batches
from rhohat.estimators.documentation import document
from rhohat.estimators.feedforward import BaseFeedforward
from rhohat.estimators.training import Problem
from rhohat.losses import GaussianLoss, Loss, SquaredError, as_loss
from rhohat.penalties import Penalty
from rhohat.randomness import RandomState, seed_from
from rhohat.solvers import Callback, Solver, SolverResult

__all__ = ["FeedforwardRegressor"]

#: Targets fill this part of a bounded output's range: at its ends units would have to saturate.
_INNER = (0.1, 0.9)

_SMALLEST_GAIN = 1e-6  # of the log-likelihood, relative, for which Σ is estimated once more


@document
class FeedforwardRegressor(RegressorMixin, MultiOutputMixin, BaseFeedforward):
    """Feedforward network that predicts one or several numbers.

    Minimises, with a_i the outputs and t_i the targets of row i,

        J = 1/m Σ_i loss(a_i, t_i)  +  λ/2 Σ_l ‖W^(l)‖²  +  τ/2m Σ_i Σ_k ‖∂a_i/∂x_i · τ_ik‖²

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, default=(100,)
        Units of each hidden layer; () for none.
    {network}
        A sequence gives one for each hidden layer.
    output_activation : {"identity", "sigmoid", "tanh", ...} or Activation, default="identity"
        Where the output has two bounds, targets are mapped linearly into the middle 80 % of its range, each output by
        itself, and predictions back. Else they stay as they are, and also for softmax and for cross-entropies.
    loss : {"squared_error", ...} or Loss, default="squared_error"
    noise_covariance : array-like of shape (n_targets, n_targets), "estimate" or None, default=None
        Σ, the covariance of Gaussian noise in the targets: the loss is ½ (t − a)ᵀ Σ⁻¹ (t − a) then. "estimate": Σ = 1/m
        Σ_i (t_i − a_i)(t_i − a_i)ᵀ after a first solve by squared error, then solve and estimate in turn until the
        log-likelihood stops rising; with weight decay, the weights maximise it less the penalty. None: no such loss.
    max_covariance_updates : int, default=10
        Most estimates of Σ.
    weight_decay : float, default=1e-4
        λ, at least 0.
    tangent_weight : float, default=0.0
        τ, at least 0: how much outputs that change along the tangents given to `fit` cost.
    penalties : sequence of Penalty, default=()
        What else is added to J.
    {training}

    Attributes
    ----------
    noise_covariance_ : array of shape (n_targets, n_targets)
        Σ, given or estimated, in units of the targets; only with `noise_covariance`.
    log_likelihood_ : float
        Σ_i ln N(t_i | a_i, Σ) of the training rows, in nats; only with `noise_covariance`.
    log_likelihood_curve_ : list of float
        After each solve with a known Σ.
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

    def __init__(
        self,
        *,
        hidden_layer_sizes: Sequence[int] = (100,),
        activation: str | Activation | Sequence[str | Activation] = "sigmoid",
        output_activation: str | Activation = "identity",
        loss: str | Loss = "squared_error",
        noise_covariance: ArrayLike | str | None = None,
        max_covariance_updates: int = 10,
        weight_decay: float = 1e-4,
        tangent_weight: float = 0.0,
        penalties: Sequence[Penalty] = (),
        solver: str | Solver = "lbfgs",
        initial_weights: str = "uniform",
        max_iter: int = 400,
        tol: float = 1e-5,
        warm_start: bool = False,
        random_state: RandomState = None,
        n_jobs: int | None = None,
        engine: DaskEngine | None = None,
        memory_limit: int | str | None = None,
        checkpoint: str | PathLike[str] | None = None,
        checkpoint_every: int | str = "60 s",
        resume: bool = False,
        callbacks: Sequence[Callback] | None = None,
        verbose: int = 0,
    ) -> None:
        self._store(locals())

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
            How often each row counts, at least 0.
        tangents : array-like of shape (n_samples, n_tangents, n_features), default=None
            Directions in which the outputs should not change, with `tangent_weight`.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is out of its range; X or y is no array of finite numbers; their lengths differ; weights,
            tangents or the noise covariance have another shape; y, weights or tangents are a row source; or Σ is not
            positive definite.
        """
        self._validate_params()
        X = self._open(X, held=True)
        continues = self._continues()
        rows, targets, output, one_dimensional = self._check_targets(X, y)
        given = self.noise_covariance is not None and not isinstance(self.noise_covariance, str)
        self._check_covariance_makes_sense(targets)
        self._look_through(X, fitted=continues)
        loss = GaussianLoss(self.noise_covariance) if given else as_loss(self.loss)
        problem, scaling = self._make_regression_problem(
            rows, targets, output, loss, sample_weight, tangents, continues
        )
        before = dict(self.__dict__)
        also = {"_scaling": scaling, "_one_dimensional": one_dimensional}
        try:
            result = self._solve(problem, X, targets, continues, given, also)
        except BaseException:  # in whichever of several solves: an earlier fit stays as it was
            if self.__dict__.get("loss_curve_") is before.get("loss_curve_") or not self._was_interrupted():
                self.__dict__.clear()
                self.__dict__.update(before)
            raise
        warn_unless_converged(result)
        return self

    def _solve(
        self,
        problem: Problem,
        X: ArrayLike | RowSource,
        targets: FloatArray,
        continues: bool,
        given: bool,
        also: dict[str, Any],
    ) -> SolverResult:
        """Train, and find the noise covariance and the log-likelihood where they are asked for."""
        self._forget_noise()
        in_turn = self.noise_covariance is not None and not given
        seed = self._keep_seed({"X": problem.X, "y": problem.y}) if in_turn else seed_from(self.random_state)
        part = "squared error" if in_turn else ""
        with ThreadEngine(1).session():  # products of residuals have the same bits in any thread, too
            result = self._train(problem, X, continues=continues, seed_given=seed, part=part, also=also)
            if given:
                self.noise_covariance_ = np.array(self.noise_covariance, dtype=np.float64)
                self.log_likelihood_ = self._log_likelihood(problem, targets, self.noise_covariance_)
                self.log_likelihood_curve_ = [self.log_likelihood_]
            elif in_turn:
                result = self._estimate_covariance(problem, X, targets, seed)
        return result

    @available_if(works_in_mini_batches)  # type: ignore[untyped-decorator]
    def partial_fit(
        self,
        X: ArrayLike | RowSource,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        tangents: ArrayLike | None = None,
    ) -> Self:
        """Train for one epoch on rows, from where the last call ended; for solvers that work in mini-batches.

        Where the output is bounded, the targets of the first call decide how targets are mapped into its range.

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
            As `fit` does; or if `noise_covariance` is given, which a single epoch cannot estimate.
        """
        self._validate_params()
        if self.noise_covariance is not None:
            raise ValueError(
                "partial_fit works without noise_covariance only; pass loss=GaussianLoss(covariance), or use fit."
            )
        X = self._open(X)
        begun = hasattr(self, "coefs_")
        rows, targets, output, one_dimensional = self._check_targets(X, y)
        self._look_through(X, fitted=begun)
        problem, scaling = self._make_regression_problem(
            rows, targets, output, as_loss(self.loss), sample_weight, tangents, begun
        )
        self._train_an_epoch(problem, X)
        self._forget_noise()
        self._scaling, self._one_dimensional = scaling, one_dimensional
        return self

    def predict(self, X: ArrayLike | RowSource) -> FloatArray:
        """Return the predicted numbers.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,) or (n_samples, n_targets), float64
            As the y of the fit had it.
        """
        check_is_fitted(self)
        predicted = self._predict_columns(self._validate(self._open(X), all_rows=False))
        return predicted[:, 0] if self._one_dimensional else predicted

    def score(self, X: ArrayLike | RowSource, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return R² of the predictions, averaged over targets.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
        sample_weight : array-like of shape (n_samples,), default=None

        Returns
        -------
        float
        """
        return float(super().score(X, y, sample_weight))

    def _predict_columns(self, X: FloatArray | RowSource) -> FloatArray:
        shift, scale = self._scaling
        outputs = self._forward(X, 0, self.network_.n_layers)
        return outputs * scale + shift  # float64, as the targets were: a float32 might not hold their offset

    def _check_targets(
        self, X: ArrayLike | RowSource, y: ArrayLike
    ) -> tuple[FloatArray | RowSource, FloatArray, Activation, bool]:
        """Return rows, targets as columns, the output activation, and whether the targets were a vector."""
        rows, targets = self._check_rows_and_targets(X, y, y_numeric=True)
        columns = targets.reshape(len(targets), -1).astype(np.float64, copy=False)
        return rows, columns, as_activation(self.output_activation), targets.ndim == 1

    def _make_regression_problem(
        self,
        X: FloatArray | RowSource,
        targets: FloatArray,
        output: Activation,
        loss: Loss,
        sample_weight: ArrayLike | None,
        tangents: ArrayLike | None,
        continues: bool,
    ) -> tuple[Problem, tuple[FloatArray, FloatArray]]:
        """Return what is to be minimised, and how targets were mapped into the output's range for it."""
        if continues and targets.shape[1] != self.n_outputs_:
            raise ValueError(
                f"y must have {self.n_outputs_} columns, as in the first fit; got {targets.shape[1]}. Fit anew, with"
                " warm_start=False."
            )
        scaling = self._scaling if continues else _scaling(output, loss, targets)
        scaled = (targets - scaling[0]) / scaling[1]
        low, high = output.bounds
        if continues and loss.contains is None and (scaled.min() < low or scaled.max() > high):
            lowest, highest = (np.array([low, high])[:, None] * scaling[1] + scaling[0]).tolist()
            raise ValueError(
                f"y lies outside of what output_activation={output.name!r} reaches, {lowest} to {highest}, with the"
                " targets of the first fit mapped into its range; fit anew on all of them, or use"
                " output_activation='identity'."
            )
        if isinstance(loss, GaussianLoss):
            loss = _scaled_loss(loss, scaling[1])
        return self._make_supervised_problem(X, scaled, output, loss, sample_weight, tangents, continues), scaling

    def _check_covariance_makes_sense(self, targets: FloatArray) -> None:
        """Raise ValueError where `noise_covariance` contradicts the loss, or cannot be estimated."""
        if self.noise_covariance is None:
            return
        if not isinstance(as_loss(self.loss), SquaredError):
            raise ValueError(
                "noise_covariance makes the loss that of Gaussian noise, so leave loss='squared_error'; got"
                f" {self.loss!r}."
            )
        if isinstance(self.noise_covariance, str) and targets.shape[1] > 1:
            rank = int(np.linalg.matrix_rank(targets - targets.mean(axis=0)))
            if rank < targets.shape[1]:
                raise ValueError(
                    f"noise_covariance='estimate' needs targets of which none depends linearly on the others; the"
                    f" {targets.shape[1]} columns of y have rank {rank} about their means. Leave out columns."
                )

    def _forget_noise(self) -> None:
        for name in ("noise_covariance_", "log_likelihood_", "log_likelihood_curve_"):
            self.__dict__.pop(name, None)

    def _estimate_covariance(
        self, problem: Problem, X: ArrayLike | RowSource, targets: FloatArray, seed: int
    ) -> SolverResult:
        """Estimate Σ from the residuals and solve with it, in turn, until the log-likelihood stops rising."""
        self.noise_covariance_ = self._covariance(problem, targets)
        self.log_likelihood_curve_ = []
        likelihood = -np.inf
        for number in range(self.max_covariance_updates):
            record = self._record()
            loss = _scaled_loss(GaussianLoss(self.noise_covariance_), self._scaling[1])
            part = f"covariance {number + 1}"
            result = self._train(
                replace(problem, loss=loss), X, continues=True, start=self.theta_, seed_given=seed, part=part
            )
            self._prepend(record)
            self.noise_covariance_ = self._covariance(problem, targets)
            before, likelihood = likelihood, self._log_likelihood(problem, targets, self.noise_covariance_)
            self.log_likelihood_curve_.append(likelihood)
            self.log_likelihood_ = likelihood
            if likelihood - before <= _SMALLEST_GAIN * abs(likelihood):
                return result
        message = (
            f"The log-likelihood still rises after {self.max_covariance_updates} estimates of the noise covariance;"
            " raise max_covariance_updates, or accept the estimate reached."
        )
        return replace(result, status="max_iter", message=message)

    def _covariance(self, problem: Problem, targets: FloatArray) -> FloatArray:
        """Return the maximum-likelihood estimate of Σ, the (weighted) mean of r rᵀ over rows."""
        residual = targets - self._predict_columns(problem.X)
        covariance: FloatArray = np.cov(residual.T, bias=True, aweights=problem.sample_weight).reshape(
            residual.shape[1], -1
        )
        mean = np.average(residual, axis=0, weights=problem.sample_weight)
        return covariance + np.outer(mean, mean)

    def _log_likelihood(self, problem: Problem, targets: FloatArray, covariance: FloatArray) -> float:
        residual = targets - self._predict_columns(problem.X)
        return GaussianLoss(covariance).log_likelihood(residual, problem.sample_weight)


def _scaled_loss(loss: GaussianLoss, scale: FloatArray) -> GaussianLoss:
    """Return the loss for targets that are divided by `scale`, its Σ being in their own units."""
    loss.check_targets(np.empty((1, len(scale))))
    return GaussianLoss(loss.covariance / np.outer(scale, scale))


def _scaling(output: Activation, loss: Loss, targets: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return shift and scale, of shape (n_targets,): (targets − shift) / scale suits the output's range.

    Targets stay as they are where the output has no two bounds, where its units depend on one another, as those of
    softmax do, and where the loss says itself what targets mean.
    """
    low, high = output.bounds
    if not (np.isfinite(low) and np.isfinite(high) and output.monotonic) or loss.contains is not None:
        return np.zeros(targets.shape[1]), np.ones(targets.shape[1])
    smallest, width = targets.min(axis=0), np.ptp(targets, axis=0)
    scale = np.where(width > 0, width, 1) / ((_INNER[1] - _INNER[0]) * (high - low))
    return smallest - scale * (low + _INNER[0] * (high - low)), scale
