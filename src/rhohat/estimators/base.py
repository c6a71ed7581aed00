"""What all autoencoders share: validation, fitting, encoding and decoding, on top of a network and an objective."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags, check_array
from sklearn.utils.validation import check_is_fitted, validate_data

from rhohat.activations import Activation, Identity, Sigmoid, as_activation
from rhohat.arrays import FloatArray, as_float_rows
from rhohat.engines import ThreadEngine
from rhohat.exceptions import ConvergenceWarning
from rhohat.network import Network, Parameters
from rhohat.objective import Objective, row_blocks
from rhohat.penalties import Penalty
from rhohat.randomness import keyed_generator, seed_from
from rhohat.solvers import Callback, PrintProgress, SolverResult, as_solver

__all__ = ["BaseAutoencoder"]


class BaseAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """An autoencoder as a scikit-learn transformer.

    A subclass has the constructor, with at least the parameters that are used here, and says what the network and
    the penalties are.
    """

    output_activation: str | Activation

    @abstractmethod
    def _make_network(self, n_features: int, output: Activation) -> Network:
        """Return the architecture for data with so many features and the output activation that was chosen."""

    @abstractmethod
    def _make_penalties(self) -> list[Penalty]:
        """Return what is added to the mean loss."""

    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Learn the weights from rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is out of its range; X is not a dense two-dimensional array of finite numbers with at
            least one row; the output activation cannot reach X; KL sparsity is asked of unbounded units; or
            `warm_start` meets parameters of other shapes.
        """
        self._validate_params()
        continues = self.warm_start and hasattr(self, "coefs_")
        rows = self._validate(X) if continues else _check_rows(X)
        network = self._choose_network(rows, continues)
        callbacks = self._all_callbacks()
        engine = ThreadEngine(self.n_jobs)
        with engine.session():
            objective = self._make_objective(rows, network, engine)
            result = as_solver(self.solver).minimize(
                objective.evaluate,
                self.theta_ if continues else self._draw_theta(network),
                max_iter=self.max_iter,
                tol=self.tol,
                callbacks=callbacks,
            )
            mean_activations = objective.mean_activations(result.theta)
        # Only now, so that a fit that fails or is interrupted leaves an earlier one as it was.
        validate_data(self, X, skip_check_array=True, reset=not continues)
        self._take_over(network, result, rows.dtype, mean_activations)
        if not result.success:
            warnings.warn(result.message, ConvergenceWarning, stacklevel=2)
        return self

    def transform(self, X: ArrayLike) -> FloatArray:
        """Return the activations of the hidden units.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_components)
        """
        check_is_fitted(self)
        return self._forward(self._validate(X), 0, self._code_layer)

    def inverse_transform(self, H: ArrayLike) -> FloatArray:
        """Return the rows that hidden activations stand for: the decoder alone.

        Parameters
        ----------
        H : array-like of shape (n_samples, n_components)

        Returns
        -------
        array of shape (n_samples, n_features)

        Raises
        ------
        ValueError
            If H has another number of columns.
        """
        check_is_fitted(self)
        H = _check_rows(H, "H")
        if H.shape[1] != self._n_features_out:
            raise ValueError(
                f"H must have {self._n_features_out} columns, the activations of as many hidden units; got"
                f" {H.shape[1]}."
            )
        return self._forward(H, self._code_layer, self.network_.n_layers)

    def reconstruct(self, X: ArrayLike) -> FloatArray:
        """Return what the autoencoder makes of rows: encoded, then decoded.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, n_features)
        """
        check_is_fitted(self)
        return self._forward(self._validate(X), 0, self.network_.n_layers)

    def predict(self, X: ArrayLike) -> FloatArray:
        """Return `reconstruct(X)`; the name that scikit-learn's tools ask for."""
        return self.reconstruct(X)

    def score(self, X: ArrayLike, y: object = None) -> float:
        """Return the fraction of the variance of X, about its column means, that the reconstruction explains.

        1 − Σ_ij (x_ij − x̂_ij)² / Σ_ij (x_ij − x̄_j)²; 1 is perfect, 0 is as good as the column means.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        float
            Where X has no variance at all: 1 for a perfect reconstruction, else 0.
        """
        check_is_fitted(self)
        X = self._validate(X)
        # In units of the largest number, so that no square overflows.
        unit = float(np.abs(X).max()) or 1.0
        rows = X / np.float64(unit)
        reconstruction = self._forward(X, 0, self.network_.n_layers) / np.float64(unit)
        with np.errstate(over="ignore"):
            residual = float(np.sum((rows - reconstruction) ** 2))
        variance = float(np.sum((rows - rows.mean(axis=0)) ** 2))
        # The mean of equal numbers is off by a rounding, so a variance of nothing seldom is 0 exactly.
        rounding = 16 * float(np.finfo(X.dtype).eps) ** 2 * float(np.sum(rows**2))
        if variance <= rounding:
            return float(residual <= rounding)
        return 1 - residual / variance

    def objective(self, X: ArrayLike) -> Objective:
        """Return the function that `fit` minimises on these rows, for study: θ → (J, ∇J).

        It needs no fit. After one it has the fitted network, and the weights of the penalties as the parameters say
        now. θ is [W1, W2, b1, b2], flat; see `Objective` for its methods.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        Objective

        Examples
        --------
        >>> from rhohat import SparseAutoencoder, check_gradient
        >>> X = np.random.default_rng(0).random((20, 6))
        >>> J = SparseAutoencoder(n_components=3).objective(X)
        >>> theta = J.network.initial_theta(np.random.default_rng(1))
        >>> check_gradient(J, theta).relative_difference < 1e-8
        True
        """
        self._validate_params()
        if hasattr(self, "coefs_"):
            return self._make_objective(self._validate(X), self.network_, ThreadEngine(self.n_jobs))
        rows = _check_rows(X)
        return self._make_objective(rows, self._choose_network(rows, continues=False), ThreadEngine(self.n_jobs))

    def cost(self, X: ArrayLike) -> tuple[float, dict[str, float]]:
        """Return J of the fitted network on these rows, and its terms.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        value : float
            J.
        terms : dict of str to float
            "squared_error" (½ squared error, summed over features, mean over samples), "weight_decay" and
            "kl_sparsity"; they add up to J.
        """
        check_is_fitted(self)
        return self.objective(X).cost(self.theta_)

    @property
    def components_(self) -> FloatArray:
        """Weights of the first layer, transposed: one row per hidden unit."""
        return self.coefs_[0].T

    @property
    def theta_(self) -> FloatArray:
        """All parameters as the flat vector that `objective` takes."""
        return self.network_.pack(self.coefs_, self.intercepts_)

    @property
    def output_activation_(self) -> str:
        """Name of the output activation in use."""
        return self.network_.activations[-1].name

    @property
    def _n_features_out(self) -> int:
        return int(self.network_.layer_sizes[self._code_layer])

    @property
    def _code_layer(self) -> int:
        """The layer in the middle, whose activations `transform` returns."""
        return self.network_.n_layers // 2

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _validate(self, X: ArrayLike) -> FloatArray:
        """Return rows like those of the fit as floats, or raise what scikit-learn raises for bad input."""
        return as_float_rows(validate_data(self, X, dtype="numeric", reset=False))

    def _choose_network(self, X: FloatArray, continues: bool) -> Network:
        """Return the architecture for X, having checked that the output can reach X."""
        low, high = float(X.min()), float(X.max())
        output: Activation
        if self.output_activation != "auto":
            output = as_activation(self.output_activation)
        elif continues:
            output = self.network_.activations[-1]
        else:
            output = Sigmoid() if low >= 0 and high <= 1 else Identity()
        if low < output.bounds[0] or high > output.bounds[1]:
            raise ValueError(
                f"output_activation={output.name!r} reaches [{output.bounds[0]:g}, {output.bounds[1]:g}] only, and X"
                f" lies in [{low:g}, {high:g}]; use output_activation='identity' (a linear decoder), or scale X into"
                " that interval, for example with rhohat.PatchNormalizer or sklearn.preprocessing.MinMaxScaler."
            )
        network = self._make_network(X.shape[1], output)
        if continues and network != self.network_:
            raise ValueError(
                f"warm_start=True continues a network of layer sizes {self.network_.layer_sizes} and activations"
                f" {self.network_.activations}, and the parameters now ask for {network.layer_sizes} and"
                f" {network.activations}; restore them, or set warm_start=False."
            )
        return network

    def _make_objective(self, X: FloatArray, network: Network, engine: ThreadEngine) -> Objective:
        return Objective(network, X, penalties=self._make_penalties(), engine=engine)

    def _draw_theta(self, network: Network) -> FloatArray:
        generator = keyed_generator(seed_from(self.random_state), "initial weights")
        return network.initial_theta(generator, self.initial_weights)

    def _all_callbacks(self) -> list[Callback]:
        callbacks = [] if self.callbacks is None else list(self.callbacks)
        for callback in callbacks:
            if not callable(callback):
                raise ValueError(
                    f"callbacks must be a list of callables that take an IterationState; got {callback!r}."
                )
        if self.verbose:
            callbacks.append(PrintProgress(every=int(self.verbose)))
        return callbacks

    def _take_over(
        self, network: Network, result: SolverResult, dtype: np.dtype[Any], mean_activations: list[FloatArray]
    ) -> None:
        """Set the fitted attributes."""
        self.network_ = network
        self.coefs_, self.intercepts_ = network.unpack(result.theta.astype(dtype))
        self.mean_activation_ = mean_activations[self._code_layer - 1]
        self.loss_curve_, self.terms_curve_ = result.loss_curve, result.terms_curve
        self.n_iter_, self.n_evaluations_ = result.n_iter, result.n_evaluations
        self.solver_status_, self.solver_message_ = result.status, result.message

    def _forward(self, X: FloatArray, start: int, stop: int) -> FloatArray:
        """Return the activations of layer `stop` for those of layer `start`, computed in blocks of rows."""
        network, dtype = self.network_, X.dtype
        sizes = network.layer_sizes[start : stop + 1]
        parameters = Parameters(
            [W.astype(dtype, copy=False) for W in self.coefs_],
            [b.astype(dtype, copy=False) for b in self.intercepts_],
        )
        out = np.empty((X.shape[0], sizes[-1]), dtype)

        def forward_block(rows: slice, worker: int, sums: FloatArray) -> None:
            n_rows = rows.stop - rows.start
            hidden = [np.empty((n_rows, size), dtype) for size in sizes[1:-1]]
            network.forward(parameters, [X[rows], *hidden, out[rows]], start)

        ThreadEngine(self.n_jobs).sum_blocks(forward_block, row_blocks(X.shape[0], sizes, dtype.itemsize), 0, dtype)
        return out


def _check_rows(X: ArrayLike, name: str = "X") -> FloatArray:
    """Return rows of any width as floats, or raise what scikit-learn raises for bad input."""
    return as_float_rows(check_array(X, dtype="numeric", input_name=name))
