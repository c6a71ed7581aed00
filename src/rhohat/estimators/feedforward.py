"""The base class of classifiers and regressors: a network that maps rows to targets."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from math import prod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import _check_y, check_array, check_is_fitted, check_X_y

from rhohat.common.arrays import FloatArray, as_float_rows
from rhohat.common.pieces import check_flat
from rhohat.data import RowSource
from rhohat.data.bad_numbers import naming_columns
from rhohat.data.sequences import check_steps
from rhohat.estimators.base import BaseNetwork
from rhohat.estimators.checks import as_activations, as_layer_sizes, check_lengths, check_rows
from rhohat.estimators.given_weights import GivenWeights
from rhohat.estimators.model_parts import ModelReader, ModelWriter
from rhohat.estimators.named_parts import AT_LEAST_0, AT_LEAST_1, NamedPart
from rhohat.estimators.sample_weights import check_in_memory
from rhohat.estimators.targets import names_of_targets, with_columns_of_the_fit
from rhohat.layers import DenseLayer, Layer
from rhohat.layers.activations import ACTIVATIONS, Activation
from rhohat.layers.architecture import Shape
from rhohat.layers.network import Network, dense_network, network_of
from rhohat.objective import Objective, Problem, check_tangents
from rhohat.terms.corruption import CORRUPTIONS, Corruption, as_corruption
from rhohat.terms.jacobian_penalties import JacobianPenalty, TangentPropagation
from rhohat.terms.losses import LOSSES, Loss
from rhohat.terms.penalties import Penalty, WeightDecay

__all__ = ["BaseFeedforward"]

_DEFAULT_SIZES = (100,)  # of the hidden layers


class BaseFeedforward(BaseNetwork):
    """Base class of classifiers and regressors: a network that maps rows to targets.

    A subclass defines the constructor, the targets and the output activation.
    """

    learns_from_targets: ClassVar[bool] = True
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseNetwork._parameter_constraints,
        "hidden_layer_sizes": ["array-like", AT_LEAST_1],
        "layers": [None, list, tuple],
        "input_shape": [None, list, tuple],
        "activation": [NamedPart(ACTIVATIONS, Activation), list, tuple],
        "output_activation": [NamedPart({"auto", *ACTIVATIONS}, Activation)],
        "loss": [NamedPart({"auto", *LOSSES}, Loss)],
        "weight_decay": [AT_LEAST_0],
        "tangent_weight": [AT_LEAST_0],
        "corruption": [None, NamedPart(CORRUPTIONS, Corruption)],
    }

    hidden_layer_sizes: Sequence[int]
    activation: str | Activation | Sequence[str | Activation]
    weight_decay: float
    tangent_weight: float
    corruption: str | Corruption | None = None

    target_names_: tuple[str, ...] | None

    _keys_of_learned: ClassVar[tuple[str, ...]] = (*BaseNetwork._keys_of_learned, "target_names")

    def _describe_learned(self, file: ModelWriter, prefix: str) -> dict[str, Any]:
        described = super()._describe_learned(file, prefix)
        if getattr(self, "target_names_", None) is not None:
            described["target_names"] = list(self.target_names_ or ())
        return described

    def _restore_learned(self, file: ModelReader, described: dict[str, Any], prefix: str) -> None:
        super()._restore_learned(file, described, prefix)
        self.target_names_ = None  # files of earlier versions have no names
        if "target_names" in described:
            names = file.get(described, "target_names", list)
            if not all(isinstance(name, str) for name in names):
                raise ValueError("the names of the targets must be strings in the description of the model.")
            if not len(names) == len(set(names)) == self._n_targets():
                raise ValueError(
                    f"the description of the model must have {self._n_targets()} different names of targets; it has"
                    f" {names}."
                )
            self.target_names_ = tuple(names)

    def _n_targets(self) -> int:
        """Return the number of target columns that are predicted."""
        return self.n_outputs_

    def objective(
        self,
        X: ArrayLike | RowSource,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        tangents: ArrayLike | None = None,
    ) -> Objective:
        """Return the function θ → (J, ∇J) that `fit` minimises on these rows and targets, for inspection.

        No fit is needed. After a fit, the function uses the architecture of the fitted network; weights of penalties
        are the current values of parameters such as `weight_decay`. θ is the flat vector [weights, biases]. If there is
        a corruption, rows are corrupted as at the start of a fit, provided that `random_state` is an integer.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_targets)
            Targets as for `fit`. After a fit, the labels of a classifier must be classes of that fit, and the targets
            of a regressor must have the same number of columns as in that fit.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row: how often the row counts. Weights must not be negative.
        tangents : array-like of shape (n_samples, n_tangents, n_features), default=None
            Directions in which the outputs should not change; required if `tangent_weight` is above 0.

        Returns
        -------
        Objective
            The function; see `Objective` for its methods.

        Raises
        ------
        ValueError
            In the same cases as `fit`.

        See Also
        --------
        initial_theta : Where the fit starts.

        Examples
        --------
        >>> from rhohat import SoftmaxRegression, check_gradient
        >>> X, y = np.random.default_rng(0).random((20, 6)), np.arange(20) % 3
        >>> classifier = SoftmaxRegression(random_state=0)
        >>> J = classifier.objective(X, y)
        >>> check_gradient(J, classifier.initial_theta(X, y)).relative_difference < 1e-8
        True
        """
        self._validate_params()
        return self._objective_of(self._problem_of(X, y, sample_weight, tangents, fitted=hasattr(self, "coefs_")))

    def initial_theta(self, X: ArrayLike | RowSource, y: ArrayLike) -> FloatArray:
        """Return the θ at which a fit to these rows and targets starts: initial weights and biases as a flat vector.

        No fit is needed. After a fit, if `warm_start` is True, the result is the θ of the fitted network.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
        y : array-like of shape (n_samples,) or (n_samples, n_targets)

        Returns
        -------
        array of shape (n_parameters,), float64
            The start of `fit`, to the last bit, if `random_state` is an integer; otherwise a start drawn with the seed
            0. If the solver first warms up on some of the rows (see `FullBatchSolver`), the warm-up starts at this θ.
        """
        self._validate_params()
        X = self._open(X)
        shape = X.shape if isinstance(X, RowSource) else np.shape(X)
        # θ does not depend on tangents, but a problem with a penalty on tangents cannot be made without them.
        tangents = np.zeros((shape[0], 1, *shape[1:])) if self.needs_tangents else None
        return self._start_of(self._problem_of(X, y, None, tangents, fitted=self._continues()))

    def cost(
        self,
        X: ArrayLike | RowSource,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        tangents: ArrayLike | None = None,
    ) -> tuple[float, dict[str, float]]:
        """Return the cost J of the fitted network on these rows and targets, and the terms of J.

        Parameters
        ----------
        X, y, sample_weight, tangents
            See `objective`.

        Returns
        -------
        value : float
            The cost J.
        terms : dict of str to float
            Terms of J by name: the loss, summed over outputs and averaged over samples, and every penalty whose weight
            is not 0. The terms add up to J.
        """
        check_is_fitted(self)
        return self.objective(X, y, sample_weight, tangents).cost(self.theta_)

    @property
    def needs_tangents(self) -> bool:
        """Whether the cost J has a penalty that needs tangents, which are directions given for every row."""
        penalties = [TangentPropagation(self.tangent_weight), *self._extra_penalties()]
        return any(isinstance(p, JacobianPenalty) and p.needs_tangents and p.weight > 0 for p in penalties)

    @abstractmethod
    def _problem_of(
        self,
        X: ArrayLike | RowSource,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        tangents: ArrayLike | None,
        *,
        fitted: bool,
    ) -> Problem:
        """Return the problem to minimise, for the fitted network or for the network of a new fit."""

    def _sizes_of(self, given: GivenWeights) -> dict[str, Any]:
        """Return the parameter `hidden_layer_sizes` with its value, if the estimator has this parameter."""
        sizes = given.layer_sizes[1:]
        if "hidden_layer_sizes" in self._get_param_names():
            return {"hidden_layer_sizes": sizes}
        if sizes:
            raise ValueError(f"{type(self).__name__} has one layer of weights; coefs has {len(sizes) + 1} layers.")
        return {}

    def _network_of(self, given: GivenWeights) -> Network:
        """Return the architecture whose number of outputs follows from the number of output biases."""
        sizes, hidden = self._hidden_layers()
        output = self._output()
        n_outputs, rest = divmod(given.width, output.width(1))
        if rest:
            raise ValueError(
                f"the last array of intercepts must have {output.width(1)} numbers for each output unit, as the output"
                f" activation is {output.name!r}; got {given.width} numbers in all."
            )
        return dense_network((given.layer_sizes[0], *sizes, n_outputs), (*hidden, output))

    @abstractmethod
    def _output(self) -> Activation:
        """Return the activation of the output layer that the parameters choose."""

    def targets_in_order(self, y: Any) -> Any:
        """Return targets for the fitted network; columns with names are put into the order of the fit."""
        check_is_fitted(self)
        return with_columns_of_the_fit(y, getattr(self, "target_names_", None))

    def _names_of_targets(self, y: Any, X: ArrayLike | RowSource, *, fitted: bool) -> tuple[str, ...] | None:
        """Return the target names that an earlier fit stored, if any, else the names of the targets in `y` or `X`."""
        known = getattr(self, "target_names_", None) if fitted else None
        return known or names_of_targets(y, X)

    def _check_rows_and_targets(
        self, X: ArrayLike | RowSource, y: ArrayLike, *, y_numeric: bool = False
    ) -> tuple[Any, NDArray[Any]]:
        """Return rows as floats, and targets; raise the errors of scikit-learn for bad input.

        A row source is returned unchanged; `_look_through` checks its numbers.
        """
        if y is None:
            raise ValueError("This estimator requires y to be passed, but the target y is None.")
        check_in_memory(y, "y")
        check_lengths(X, y)
        with np.errstate(invalid="ignore"), naming_columns(X=X, y=y):  # for scikit-learn's sum that detects NaN
            if getattr(getattr(y, "dtype", None), "kind", "") == "O" and any(one is None for one in np.ravel(y)):
                raise ValueError("Input y contains NaN.")  # which scikit-learn accepts
            if isinstance(X, RowSource):
                return X, _check_y(y, multi_output=True, y_numeric=y_numeric)
            n_steps = self._n_steps_of(X)
            finite = True if n_steps is None else "allow-nan"
            check_flat(X)
            rows, targets = check_X_y(
                X, y, dtype="numeric", multi_output=True, y_numeric=y_numeric, ensure_all_finite=finite
            )
        rows = as_float_rows(rows)
        if n_steps is not None:
            check_steps(rows, n_steps)
        return rows, targets

    def _weigh_with_tangents(
        self,
        X: FloatArray | RowSource,
        targets: NDArray[Any],
        sample_weight: ArrayLike | None,
        tangents: ArrayLike | None,
    ) -> tuple[Any, NDArray[Any], FloatArray | None, FloatArray | None]:
        """Return rows, targets, weights (or None) and tangents (or None), without the rows of weight 0."""
        directions: FloatArray | None = None
        if tangents is not None:
            check_in_memory(tangents, "tangents")
            with np.errstate(invalid="ignore"):  # for scikit-learn's sum that detects NaN
                directions = check_array(tangents, dtype=X.dtype, ensure_2d=False, allow_nd=True, input_name="tangents")
            check_tangents(X, directions)
        rows, weights, targets, directions = self._weigh(X, sample_weight, targets, directions)
        return rows, targets, weights, directions

    def _look_through(self, X: ArrayLike | RowSource, *, fitted: bool) -> None:
        """Compare the columns with the columns of an earlier fit, if any, and check that a row source is finite."""
        if fitted:
            self._validate(X)
        elif isinstance(X, RowSource):
            check_rows(X)

    def _make_supervised_problem(
        self,
        X: FloatArray | RowSource,
        targets: FloatArray | RowSource,
        output: Activation,
        loss: Loss,
        weights: FloatArray | None,
        tangents: FloatArray | None,
        continues: bool,
    ) -> Problem:
        """Return the problem to minimise over rows and targets of shape (n_samples, n_outputs)."""
        network = self._network_for(X.shape[1], targets.shape[1], output)
        self._check_missing_steps(network, X)
        if continues:
            self._check_unchanged(network)
        penalties: list[Penalty] = [self._weight_decay()]
        if self.tangent_weight > 0 or tangents is not None:
            penalties.append(TangentPropagation(self.tangent_weight))
        return Problem(
            network,
            X,
            targets if isinstance(targets, RowSource) else np.ascontiguousarray(targets, dtype=X.dtype),
            loss=self._loss_of_rows(network, loss),
            penalties=[*penalties, *self._extra_penalties()],
            sample_weight=weights,
            tangents=tangents,
            corruption=as_corruption(self.corruption),
        )

    def _network_for(self, n_features: int, n_outputs: int, output: Activation) -> Network:
        """Return the network of a fit to rows with `n_features` features and `n_outputs` outputs."""
        if self._described_layers() is None:
            sizes, hidden = self._hidden_layers()
            return self._build_network((n_features, *sizes, n_outputs), (*hidden, output))
        if tuple(getattr(self, "hidden_layer_sizes", _DEFAULT_SIZES)) != _DEFAULT_SIZES:
            raise ValueError("hidden_layer_sizes and layers both describe the hidden layers; set only one of them.")
        layers, shapes = self._hidden_of_layers(n_features)
        return network_of([*layers, self._output_layer(shapes[-1], n_outputs, output)], shapes[0])

    def _output_layer(self, shape: Shape, n_outputs: int, output: Activation) -> Layer:
        """Return the output layer after hidden layers whose last output has a shape."""
        return DenseLayer(prod(shape), n_outputs, output)

    def _weight_decay(self) -> WeightDecay:
        """Return the weight decay penalty."""
        return WeightDecay(self.weight_decay)

    def _hidden_layers(self) -> tuple[tuple[int, ...], list[Activation]]:
        """Return the sizes and activations of the hidden layers."""
        sizes = as_layer_sizes(self.hidden_layer_sizes)
        return sizes, as_activations(self.activation, len(sizes))

    @property
    def code_layer_(self) -> int:
        """Number of the last hidden layer; of the output layer if there are no hidden layers."""
        return max(self.network_.n_layers - 1, 1)

    @property
    def n_outputs_(self) -> int:
        """Number of output units."""
        return self.network_.layer_sizes[-1]
