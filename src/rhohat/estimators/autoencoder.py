"""The base class of all autoencoders: fitting, encoding, decoding, and the cost."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from numbers import Real
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from rhohat.common.arrays import FloatArray
from rhohat.common.words import Sentence, Setting, joined
from rhohat.data import RowSource, open_rows
from rhohat.data.ranges import some_rows
from rhohat.data.rows import DaskRows
from rhohat.engines import ThreadEngine, cluster_of, device_of
from rhohat.estimators.availability import available_where, works_in_mini_batches
from rhohat.estimators.base import BaseNetwork
from rhohat.estimators.checks import as_activations, check_rows, warn_of_dead_units, warn_unless_converged
from rhohat.estimators.dead_units import warn_of_dead_codes
from rhohat.estimators.explained_variance import explained_variance
from rhohat.estimators.given_weights import GivenWeights
from rhohat.estimators.model_parts import ModelReader, ModelWriter
from rhohat.estimators.named_parts import AT_LEAST_0, AT_LEAST_1, NamedPart
from rhohat.estimators.sample_weights import check_sample_weight, rows_that_count
from rhohat.fitting.forward import pass_rows
from rhohat.fitting.problems import check_solver
from rhohat.layers.activations import ACTIVATIONS, Activation, Identity, Sigmoid, as_activation
from rhohat.layers.network import Network
from rhohat.objective import Objective, Problem, make_objective
from rhohat.solvers import as_solver
from rhohat.terms.corruption import CORRUPTIONS, Corruption, as_corruption
from rhohat.terms.jacobian_penalties import Contraction
from rhohat.terms.losses import LOSSES, Loss, as_loss
from rhohat.terms.penalties import KLSparsity, Penalty, WeightDecay

__all__ = ["BaseAutoencoder"]

_CONSTANT = 1e-3  # codes that vary by at most this fraction of their largest magnitude count as constant
_FEWEST_ROWS = 20  # fewest rows on which codes are checked for being constant
_FEWEST_ITERATIONS = 20  # fewest iterations after which a fit that has not converged is checked


class BaseAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseNetwork):
    """Base class of all autoencoders, which are scikit-learn transformers.

    A subclass defines the constructor and the sizes of the encoder's layers. Parameters that a subclass does not have
    keep the values of this class.
    """

    reconstructs: ClassVar[bool] = True
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseNetwork._parameter_constraints,
        "activation": [NamedPart(ACTIVATIONS, Activation), list, tuple],
        "output_activation": [NamedPart({"auto", *ACTIVATIONS}, Activation)],
        "loss": [NamedPart(LOSSES, Loss)],
        "sparsity": [Interval(Real, 0, 1, closed="neither")],
        "sparsity_weight": [AT_LEAST_0],
        "sparsity_layers": [None, "array-like"],
        "weight_decay": [AT_LEAST_0],
        "contraction_weight": [AT_LEAST_0],
        "corruption": [None, NamedPart(CORRUPTIONS, Corruption)],
        "n_corruptions": [AT_LEAST_1],
        "tied_weights": ["boolean"],
    }

    activation: str | Activation | Sequence[str | Activation]
    output_activation: str | Activation
    weight_decay: float
    loss: str | Loss = "squared_error"
    tied_weights: bool = False
    penalties: Sequence[Penalty] | Penalty = ()
    sparsity: float | None = None
    sparsity_weight: float = 0.0
    sparsity_layers: Sequence[int] | None = None
    contraction_weight: float | None = None
    corruption: str | Corruption | None = None
    n_corruptions: int = 1

    def _restore_learned(self, file: ModelReader, described: dict[str, Any], prefix: str) -> None:
        super()._restore_learned(file, described, prefix)
        if file.has(f"{prefix}mean_activation_"):
            n_means = self.network_.layers[self.code_layer_ - 1].output_channels
            self.mean_activation_ = file.take(f"{prefix}mean_activation_", (n_means,), np.float64)

    def _describe_learned(self, file: ModelWriter, prefix: str) -> dict[str, Any]:
        if hasattr(self, "mean_activation_"):
            file.arrays[f"{prefix}mean_activation_"] = self.mean_activation_
        return super()._describe_learned(file, prefix)

    def _check_architecture(self, network: Network) -> None:
        if network.n_layers % 2 or network.layer_sizes[0] != network.layer_sizes[-1]:
            raise ValueError(
                f"an autoencoder cannot have layers of the sizes {network.layer_sizes}; it must have an odd number of"
                " hidden layers, and as many outputs as inputs."
            )

    @abstractmethod
    def _encoder_sizes(self) -> tuple[int, ...]:
        """Return the number of units in each layer of the encoder; the last layer is the code."""

    def fit(self, X: ArrayLike | RowSource, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Learn the weights from rows.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
        y : ignored
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row: how often the row counts; not negative. All means over rows are weighted, including ρ̂.
            None means 1 for each row. A row of weight 0 has no effect, but its numbers must be finite.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If a parameter is out of its range; X is not a dense two-dimensional array of finite numbers with at least
            one row; X is outside of the range of the output activation, or this activation contradicts the loss; KL
            sparsity is combined with unbounded units; weights cannot be tied; sample weights are negative, all 0, or
            not an array in memory with one number per row; or `warm_start` finds fitted parameters of other shapes.
        """
        self._validate_params()
        X = self._open(X, held=True)
        continues = self._continues()
        rows = self._validate(X) if continues else check_rows(X, n_steps=self._n_steps_of(X))
        rows, weights = self._weigh(rows, sample_weight)
        problem = self._make_problem(rows, self._choose_network(rows, continues), weights)
        start = self._start(problem.network, self.theta_ if continues else None, n_corruptions=self.n_corruptions)
        result = self._train(problem, X, start, continues=continues)
        self._measure_mean_activation(problem)
        if not self._is_part:
            warn_unless_converged(self.fitted_parts(), network=self.network_, rows=rows)
        self._warn_of_constant_codes(rows)
        warn_of_dead_units(self.mean_activation_, self.network_.activations[self.code_layer_ - 1], result)
        return self

    @available_where(works_in_mini_batches)
    def partial_fit(self, X: ArrayLike | RowSource, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Train for one more epoch on rows; available with solvers that work in mini-batches.

        The solver's state, such as Adam's moments, is kept from call to call; schedules and early stopping are not
        applied. `mean_activation_` is set from these rows. An interrupted call changes nothing.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
        y : ignored
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row: how often the row counts; not negative. The weight of a mini-batch is the sum over rows.

        Returns
        -------
        self
        """
        self._validate_params()
        begun = hasattr(self, "coefs_")
        X = self._open(X)
        rows = self._validate(X) if begun else check_rows(X, n_steps=self._n_steps_of(X))
        rows, weights = self._weigh(rows, sample_weight)
        problem = self._make_problem(rows, self._choose_network(rows, continues=begun), weights)
        self._train_an_epoch(problem, X)
        self._measure_mean_activation(problem)
        return self

    def transform(self, X: ArrayLike | RowSource, out: FloatArray | None = None) -> FloatArray:
        """Return the activations of the code, which is the hidden layer in the middle.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
        out : array of shape (n_samples, n_components), default=None
            C-ordered array for the result: float32 for float32 rows, else float64. A memory map is allowed.

        Returns
        -------
        array of shape (n_samples, n_components)
            The activations: in `out` if it was given, else in the container that was chosen with `set_output`, if any.

        Raises
        ------
        ValueError
            If X has the wrong number of columns; `out` has the wrong shape, dtype or order, or shares memory with X.
        """
        check_is_fitted(self)
        return self._forward(self._validate_for_use(X), 0, self.code_layer_, out)

    def inverse_transform(self, H: ArrayLike | RowSource) -> FloatArray:
        """Return the rows that the decoder computes from activations of the code.

        Parameters
        ----------
        H : array-like of shape (n_samples, n_components)

        Returns
        -------
        array of shape (n_samples, n_features)

        Raises
        ------
        ValueError
            If H does not have one column for each unit of the code.
        """
        check_is_fitted(self)
        opened = self._open(H)
        codes = opened if isinstance(opened, DaskRows) else check_rows(opened, "H")
        if codes.shape[1] != self._n_features_out:
            raise ValueError(
                f"H must have {self._n_features_out} columns, one for each unit of the code; got {codes.shape[1]}."
            )
        return self._forward(codes, self.code_layer_, self.network_.n_layers)

    def reconstruct(self, X: ArrayLike | RowSource, out: FloatArray | None = None) -> FloatArray:
        """Return the reconstruction of rows, which are encoded and then decoded.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
        out : array of shape (n_samples, n_features), default=None
            C-ordered array for the result, with the dtype as in `transform`.

        Returns
        -------
        array of shape (n_samples, n_features)
            The reconstructions; the array `out` if it was given.

        Raises
        ------
        ValueError
            In the same cases as `transform`.
        """
        check_is_fitted(self)
        return self._forward(self._validate_for_use(X), 0, self.network_.n_layers, out)

    def predict(self, X: ArrayLike | RowSource) -> FloatArray:
        """Return `reconstruct(X)`, under the name that scikit-learn's tools expect."""
        return self.reconstruct(X)

    def score(self, X: ArrayLike | RowSource, y: object = None, sample_weight: ArrayLike | None = None) -> float:
        """Return the fraction of the variance of X, about its column means, that the reconstruction explains.

        1 − Σ_ij (x_ij − x̂_ij)² / Σ_ij (x_ij − x̄_j)²; 1 is perfect, 0 is as good as the column means.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
        y : ignored
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row, not negative: how often the row counts in both sums and in the means.

        Returns
        -------
        float
            The explained fraction. If all rows are equal, it is 1 for a perfect reconstruction, else 0.
        """
        check_is_fitted(self)
        rows = open_rows(self._validate_for_use(X))
        rows, weights = rows_that_count(rows, check_sample_weight(sample_weight, rows, np.float64))
        return explained_variance(rows, weights, self._forward_rows(rows, 0, self.network_.n_layers))

    def objective(
        self, X: ArrayLike | RowSource, y: object = None, sample_weight: ArrayLike | None = None
    ) -> Objective:
        """Return the function θ → (J, ∇J) that `fit` minimises on these rows, for inspection.

        No fit is needed. After a fit, the function uses the architecture of the fitted network; weights of penalties
        are the current values of parameters such as `weight_decay`. θ is the flat vector [weights, biases]. If there is
        a corruption, rows are corrupted as at the start of a fit, provided that `random_state` is an integer.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
        y : ignored
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row: how often the row counts. Weights must not be negative.

        Returns
        -------
        Objective
            The function; see `Objective` for its methods.

        See Also
        --------
        initial_theta : Where the fit starts.

        Examples
        --------
        >>> from rhohat import SparseAutoencoder, check_gradient
        >>> X = np.random.default_rng(0).random((20, 6))
        >>> autoencoder = SparseAutoencoder(n_components=3, random_state=0)
        >>> check_gradient(autoencoder.objective(X), autoencoder.initial_theta(X)).relative_difference < 1e-8
        True
        """
        self._validate_params()
        fitted = hasattr(self, "coefs_")
        X = self._open(X)
        rows = self._validate(X) if fitted else check_rows(X, n_steps=self._n_steps_of(X))
        rows, weights = self._weigh(rows, sample_weight)
        network = self.network_ if fitted else self._choose_network(rows, continues=False)
        return self._objective_of(self._make_problem(rows, network, weights))

    def initial_theta(self, X: ArrayLike | RowSource, y: object = None) -> FloatArray:
        """Return the θ at which a fit to these rows starts: initial weights and biases as a flat vector.

        No fit is needed. After a fit, if `warm_start` is True, the result is the θ of the fitted network.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
        y : ignored

        Returns
        -------
        array of shape (n_parameters,), float64
            The start of `fit`, to the last bit, if `random_state` is an integer; otherwise a start drawn with the seed
            0. If the solver first warms up on some of the rows (see `FullBatchSolver`), the warm-up starts at this θ.

        Examples
        --------
        >>> from rhohat import SparseAutoencoder
        >>> X = np.random.default_rng(0).random((20, 6))
        >>> SparseAutoencoder(n_components=3, random_state=0).initial_theta(X).shape
        (45,)
        """
        self._validate_params()
        X, continues = self._open(X), self._continues()
        rows = self._validate(X) if continues else check_rows(X, n_steps=self._n_steps_of(X))
        return self._start_of(self._make_problem(rows, self._choose_network(rows, continues)))

    def cost(
        self, X: ArrayLike | RowSource, y: object = None, sample_weight: ArrayLike | None = None
    ) -> tuple[float, dict[str, float]]:
        """Return the cost J of the fitted network on these rows, and the terms of J.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
        y : ignored
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row: how often the row counts. Weights must not be negative.

        Returns
        -------
        value : float
            The cost J.
        terms : dict of str to float
            Terms of J by name: the loss, summed over features and averaged over samples, and every penalty whose weight
            is not 0. The terms add up to J.
        """
        check_is_fitted(self)
        return self.objective(X, sample_weight=sample_weight).cost(self.theta_)

    def _forward(self, X: FloatArray | RowSource, start: int, stop: int, out: FloatArray | None = None) -> Any:
        """Return the activations of layer `stop`, given those of layer `start`; a Dask array if X is a Dask array."""
        if not isinstance(X, DaskRows):
            return super()._forward(X, start, stop, out)
        if out is not None:
            raise ValueError("out must be None for a Dask array X, as the result is then also a Dask array.")
        return X.map_rows(self._forward_rows(X, start, stop), self.network_.layer_sizes[stop])

    def _forward_rows(
        self, X: FloatArray | RowSource, start: int, stop: int
    ) -> Callable[[FloatArray, int], FloatArray]:
        """Return a picklable function that maps activations of layer `start` to activations of layer `stop`."""
        n_jobs = 1 if isinstance(X, RowSource) and X.edges is not None else self.n_jobs
        return partial(pass_rows, self.network_, self.theta_, start, stop, n_jobs)

    @property
    def components_(self) -> FloatArray:
        """Weights of the first layer: one row per unit or channel, or per linear piece of a maxout unit."""
        return np.moveaxis(self.coefs_[0], -1, 0)

    @property
    def decoder_(self) -> FloatArray:
        """Weights of the last layer, the dictionary: row j is what unit j of the layer before adds to the output."""
        return np.moveaxis(self.coefs_[-1].T, -1, 0)

    @property
    def output_activation_(self) -> str:
        """Name of the activation of the output units."""
        return self.network_.activations[-1].name

    @property
    def _n_features_out(self) -> int:
        return int(self.network_.layer_sizes[self.code_layer_])

    @property
    def code_layer_(self) -> int:
        """Number of the layer in the middle, whose activations `transform` returns."""
        return self.network_.n_layers // 2

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _check_before_fit(self, n_features: int) -> None:
        """Raise the errors that a fit to rows of `n_features` features would raise for any such rows."""
        self._all_callbacks()
        self._validate_params()
        ThreadEngine(self.n_jobs)
        self._fit()  # raises an error for impossible settings before anything is trained
        row = np.full((1, n_features), 1 / n_features)  # a row that every loss accepts
        check_solver(self._make_problem(row, self._choose_network(row, continues=False)), as_solver(self.solver))

    def _choose_network(self, X: FloatArray | RowSource, continues: bool) -> Network:
        """Return the architecture of the network for X, after checking that the output can reach X."""
        low, high = (
            X.extent() if isinstance(X, RowSource) else (float(np.fmin.reduce(X, None)), float(np.fmax.reduce(X, None)))
        )
        contained = as_loss(self.loss).contains
        rounding = 4 * float(np.finfo(X.dtype).eps)  # scaled rows may exceed the bounds by this much
        output: Activation
        if self.output_activation != "auto":
            output = as_activation(self.output_activation)
        elif contained is not None:
            output = as_activation(contained)
        elif continues:
            output = self.network_.activations[-1]
        else:
            output = self._automatic_output(low >= -rounding and high <= 1 + rounding)
        if contained is None and (low < output.bounds[0] - rounding or high > output.bounds[1] + rounding):
            scalers = (("patches", "rhohat.PatchNormalizer"), ("minmax", "sklearn.preprocessing.MinMaxScaler"))
            names = joined([Sentence(Setting("preprocess", name, code)) for name, code in scalers], " or ")
            said = f"X lies in [{low:g}, {high:g}], but output_activation={output.name!r} only reaches the range"
            said += f" [{output.bounds[0]:g}, {output.bounds[1]:g}]; use "
            scale = " (a linear decoder), or scale X into this range, for example with "
            raise ValueError(Sentence(said, Setting("output_activation", "identity"), scale, names, "."))
        network = self._network_for(X.shape[1], output)
        self._check_missing_steps(network, X)
        if continues:
            self._check_unchanged(network)
        return network

    def _automatic_output(self, in_unit_interval: bool) -> Activation:
        """Return the output activation that "auto" means for rows that all lie in [0, 1], or that do not."""
        return Sigmoid() if in_unit_interval else Identity()

    def _network_for(self, n_features: int, output: Activation) -> Network:
        """Return the network of a fit to rows with `n_features` features, with the given output activation."""
        encoder = self._encoder_sizes()
        hidden = self._hidden_activations(len(encoder))
        return self._build_network(
            (n_features, *encoder, *encoder[-2::-1], n_features),
            (*hidden, *hidden[-2::-1], output),
            tied=bool(self.tied_weights),
        )

    def _sizes_of(self, given: GivenWeights) -> dict[str, Any]:
        """Return the parameter that sets the sizes of the encoder's layers, and its value for the given weights."""
        if len(given.layer_sizes) % 2:
            raise ValueError(
                f"coefs must have as many matrices for the decoder as for the encoder; got {len(given.layer_sizes)}."
            )
        sizes = given.layer_sizes[1 : len(given.layer_sizes) // 2 + 1]
        if "n_components" not in self._get_param_names():
            return {"hidden_layer_sizes": sizes}
        if len(sizes) > 1:
            raise ValueError(
                f"{type(self).__name__} has one hidden layer, but coefs belong to {2 * len(sizes) - 1} hidden layers;"
                " use DeepAutoencoder.from_weights."
            )
        return {"n_components": sizes[0]}

    def _network_of(self, given: GivenWeights) -> Network:
        """Return the architecture that a fit to rows in [0, 1] would have."""
        return self._choose_network(np.zeros((1, given.layer_sizes[0])), continues=False)

    def _hidden_activations(self, n_layers: int) -> list[Activation]:
        """Return the activations of the encoder's layers, which the decoder mirrors."""
        return as_activations(self.activation, n_layers)

    def _make_problem(
        self, X: FloatArray | RowSource, network: Network, sample_weight: FloatArray | None = None
    ) -> Problem:
        return Problem(
            network,
            X,
            loss=self._loss_of_rows(network, as_loss(self.loss)),
            penalties=[*self._own_penalties(network), *self._extra_penalties()],
            sample_weight=sample_weight,
            corruption=as_corruption(self.corruption),
        )

    def _penalties_on_code(self) -> list[Penalty]:
        return [*self._own_penalties(self.network_), *self._extra_penalties()]

    def _own_penalties(self, network: Network) -> list[Penalty]:
        """Return the penalties that have a parameter of their own, such as weight decay and sparsity."""
        penalties: list[Penalty] = [WeightDecay(self.weight_decay)]
        if self.sparsity is not None:
            layers = self._sparse_layers(network)
            penalties.append(KLSparsity(self.sparsity, self.sparsity_weight, layers))
        if self.contraction_weight is not None:
            penalties.append(Contraction(self.contraction_weight))
        return penalties

    def _sparse_layers(self, network: Network) -> tuple[int, ...] | None:
        """Return the numbers of the hidden layers that have the sparsity penalty; None stands for all."""
        return None if self.sparsity_layers is None else tuple(self.sparsity_layers)

    def _measure_mean_activation(self, problem: Problem) -> None:
        """Set `mean_activation_` to the mean activation of the code, weighted, over uncorrupted rows."""
        # Rows in memory are not sent to a cluster.
        engine = cluster_of(self.engine) if isinstance(problem.X, RowSource) else None
        clean = Problem(self.network_, problem.X, sample_weight=problem.sample_weight)
        objective = make_objective(clean, engine or device_of(self.engine) or ThreadEngine(self.n_jobs))
        self.mean_activation_ = objective.mean_activations(self.theta_)[self.code_layer_ - 1]

    def _warn_of_constant_codes(self, X: FloatArray | RowSource) -> None:
        """Warn if a sample of rows that differ from one another all have the same code."""
        if self.n_iter_ < (1 if self.solver_status_ == "converged" else _FEWEST_ITERATIONS):
            return  # weights that have hardly moved may be small
        some = some_rows(X)
        if some is None or len(some) < _FEWEST_ROWS or _is_constant(some):
            return
        codes = self._forward(some, 0, self.code_layer_)
        if _is_constant(codes):
            advice = "a smaller sparsity_weight, or rows that RangeScaler or PatchNormalizer has scaled"
            if self.weight_decay > 0:
                advice = f"a smaller weight_decay (now {self.weight_decay:g}), {advice}"
            warnings.warn(
                "The code is the same for every row, up to a thousandth of its largest activation: this model has"
                f" learned only the means of the features. Try {advice}.",
                stacklevel=3,
            )
        elif self.solver_status_ == "converged" and self.n_iter_ >= _FEWEST_ITERATIONS:  # else they may be active later
            warn_of_dead_codes(codes, self.network_.activations[self.code_layer_ - 1], self.sparsity_target_, 3)


def _is_constant(rows: FloatArray) -> bool:
    """Return whether no column of rows varies by more than a thousandth of the largest magnitude."""
    with np.errstate(over="ignore"):
        spread = rows.max(axis=0) - rows.min(axis=0)
    return bool(spread.max() <= _CONSTANT * np.abs(rows).max())
