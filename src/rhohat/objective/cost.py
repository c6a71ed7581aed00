"""The terms of the cost J of a network, grouped by the quantities that are needed to compute them.

The loss, and the penalties on activations and on derivatives, are sums over rows, which the passes compute. Penalties
on mean activations need ρ̂, a mean over all rows; penalties on weights need no rows at all. Both are computed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.forks import cached
from rhohat.layers import DenseLayer
from rhohat.layers.activations import Identity, ReLU, Sigmoid, Softmax, Tanh
from rhohat.layers.layout import Parameters
from rhohat.layers.network import Network
from rhohat.ops import NUMPY, ChainPasses, Ops
from rhohat.terms.jacobian_penalties import JacobianPenalty
from rhohat.terms.losses import BinaryCrossEntropy, Loss, SoftmaxCrossEntropy, SquaredError
from rhohat.terms.penalties import ActivationPenalty, HiddenLayerPenalty, MeanActivationPenalty, Penalty, WeightPenalty

__all__ = ["Added", "Cost", "Weighting", "as_floats"]

#: Arrays that are added to ∂J/∂a, or to its tangent, for every layer but the input; None where nothing is added.
Added = list[FloatArray | None]


class Weighting(NamedTuple):
    """The divisors that turn sums over rows into means, and the factor of penalties on ρ̂.

    Attributes
    ----------
    total : float
        Divisor of sums of the loss and of gradients.
    of_means : float
        Divisor of sums of activations: the sum of the weights of these rows, because ρ̂ is a mean over these rows
        alone; 1 if that sum is 0.
    share : float
        Factor of a penalty on ρ̂: the sum of the weights of these rows divided by `total`.
    """

    total: float
    of_means: float
    share: float

    @classmethod
    def of(cls, n_samples: int, sample_weight: FloatArray | None, total: float | None = None) -> Weighting:
        """Return the weighting of rows; if None, `total` is the sum of the weights of these rows."""
        own = n_samples if sample_weight is None else float(np.sum(sample_weight, dtype=np.float64))
        total = float(own if total is None else total)
        return cls(total, own or 1.0, own / total if own else 0.0)


@dataclass(frozen=True)
class Cost:
    """The terms of the cost J without rows: the loss and the penalties of a network.

    Penalties of weight 0 are in none of the lists. The network, the loss and the penalties compute with the primitives
    of the array library of the rows.

    Attributes
    ----------
    network : Network
    loss : Loss
    dtype : dtype
        Dtype of the arithmetic.
    ops : Ops
        Primitives of the array library.
    penalty_names : list of str
        Names of the penalties, in the order in which they were given.
    on_weights : list of WeightPenalty
        Penalties on weights.
    on_means, on_activations : lists of lists of MeanActivationPenalty, and of ActivationPenalty
        Penalties on mean activations and on activations, one list for each hidden layer.
    on_derivatives : list of JacobianPenalty
        Penalties on derivatives with respect to the input.
    row_terms : list of str
        Names of the terms that are sums over rows: the loss first, then each penalty on rows.
    """

    network: Network
    loss: Loss
    dtype: np.dtype[Any]
    ops: Ops
    penalty_names: list[str]
    on_weights: list[WeightPenalty]
    on_means: list[list[MeanActivationPenalty]]
    on_activations: list[list[ActivationPenalty]]
    on_derivatives: list[JacobianPenalty]
    row_terms: list[str]

    @classmethod
    def of(
        cls, network: Network, loss: Loss, penalties: Sequence[Penalty], dtype: np.dtype[Any], ops: Ops = NUMPY
    ) -> Cost:
        """Return the cost of a network with the given loss and penalties."""
        network, loss = network.with_ops(ops), loss.with_ops(ops)
        active = [penalty.with_ops(ops) for penalty in penalties if penalty.weight > 0]

        def by_layer(kind: type[Any]) -> list[list[Any]]:
            found = [penalty for penalty in active if isinstance(penalty, kind)]
            return [[p for p in found if _acts_on(p, network, hidden)] for hidden in range(network.n_layers - 1)]

        of_rows = [p.name for p in active if isinstance(p, ActivationPenalty | JacobianPenalty)]
        return cls(
            network,
            loss,
            dtype,
            ops,
            penalty_names=list(dict.fromkeys(penalty.name for penalty in active)),
            on_weights=[penalty for penalty in active if isinstance(penalty, WeightPenalty)],
            on_means=by_layer(MeanActivationPenalty),
            on_activations=by_layer(ActivationPenalty),
            on_derivatives=[penalty for penalty in active if isinstance(penalty, JacobianPenalty)],
            row_terms=list(dict.fromkeys([loss.name, *of_rows])),
        )

    @cached
    def penalises_rows(self) -> bool:
        """Whether there is a penalty that is computed for each row."""
        return bool(self.on_derivatives) or any(self.on_activations)

    @cached
    def depth(self) -> int:
        """Number of hidden layers that have to be computed before ρ̂ is known wherever it is penalised."""
        return max((hidden + 1 for hidden, found in enumerate(self.on_means) if found), default=0)

    @cached
    def chain_passes(self) -> ChainPasses | None:
        """The passes over a block in one call each, if the primitives have them for this cost."""
        network = self.network
        is_plain = all(
            type(layer) is DenseLayer and type(layer.activation) in _PLAIN_ACTIVATIONS for layer in network.layers
        )
        if (
            not is_plain
            or network.tied
            or type(self.loss) not in _PLAIN_LOSSES
            or self.penalises_rows
            or self.depth > 1
        ):
            return None
        names = [activation.name for activation in network.activations]
        return self.ops.chain_passes(network.layer_sizes, names, self.loss.name)

    @property
    def from_z(self) -> bool:
        """Whether the loss takes the pre-activations of the output layer instead of its activations."""
        return self.loss.contains is not None

    def penalise_means(
        self, means: Sequence[FloatArray], share: float, n_places: Sequence[float] | None = None
    ) -> tuple[dict[str, float], Added]:
        """Return the values of the penalties on mean activations by name, and the arrays they add to ∂J/∂a.

        Parameters
        ----------
        means : sequence of arrays of shape (output_channels of the layer,)
            ρ̂ of the first `depth` hidden layers.
        share : float
            Factor of the penalties, see `Weighting`. The arrays that are added to ∂J/∂a need no such factor: sums are
            divided by the rows' weight for ρ̂ and by the total for J, and the share is the quotient of the two.
        n_places : sequence of float, default=None
            Mean number of places or steps of a row in each of these layers, over which ρ̂ is a mean; None means that no
            step is missing.
        """
        values: dict[str, float] = {}
        added: Added = [None] * self.network.n_layers
        for hidden, rho_hat in enumerate(means):
            bounds = self.network.activations[hidden].bounds
            for penalty in self._counting(hidden, share):
                value = share * penalty.value(rho_hat, bounds, self.dtype)
                values[penalty.name] = values.get(penalty.name, 0.0) + value
            places = self._n_places(hidden) if n_places is None else n_places[hidden]
            added[hidden] = self._derivative_by_mean(hidden, rho_hat, share, places)
        return values, added

    def penalise_mean_tangents(
        self,
        means: Sequence[FloatArray],
        tangents: Sequence[FloatArray],
        share: float,
        n_places: Sequence[float] | None = None,
    ) -> tuple[Added, Added]:
        """Return the arrays that penalties on mean activations add to ∂J/∂a, and the tangents of these arrays.

        Parameters
        ----------
        means, tangents : sequences of arrays of shape (output_channels of the layer,)
            ρ̂ of the hidden layers, and its tangents.
        share : float
            Factor of the penalties, see `Weighting`.
        n_places : sequence of float, default=None
            As for `penalise_means`.
        """
        added: Added = [None] * self.network.n_layers
        added_tangent: Added = [None] * self.network.n_layers
        for hidden, (rho_hat, tangent) in enumerate(zip(means, tangents, strict=True)):
            places = self._n_places(hidden) if n_places is None else n_places[hidden]
            added[hidden] = self._derivative_by_mean(hidden, rho_hat, share, places)
            penalties = self._counting(hidden, share)
            if penalties:
                bounds = self.network.activations[hidden].bounds
                second = sum(p.second_derivative(rho_hat, bounds, self.dtype) for p in penalties)
                added_tangent[hidden] = self.ops.asarray(self._at_places(hidden, second * tangent, places), self.dtype)
        return added, added_tangent

    def penalise_weights(self, theta: FloatArray, gradient: FloatArray | None = None) -> dict[str, float]:
        """Return the values of the penalties on weights by name, and add their gradient to `gradient`, if given."""
        values: dict[str, float] = {}
        if not self.on_weights:
            return values
        parameters = self.network.unpack(theta)
        gradients = None if gradient is None else self.network.unpack(gradient)
        for penalty in self.on_weights:
            seen = _seen_by(penalty, parameters)
            values[penalty.name] = values.get(penalty.name, 0.0) + penalty.value(seen)
            if gradients is not None:
                penalty.add_gradient(seen, _seen_by(penalty, gradients))
        return values

    def add_hessian_of_weights(self, theta: FloatArray, vector: FloatArray, product: FloatArray) -> None:
        """Add the Hessian of the penalties on weights times `vector` to `product`, in place."""
        for penalty in self.on_weights:
            seen = (_seen_by(penalty, self.network.unpack(one)) for one in (theta, vector, product))
            penalty.add_hessian_product(*seen)

    def terms(self, row_terms: FloatArray, *penalties: dict[str, float]) -> dict[str, float]:
        """Return the terms of J by name: the loss, then the penalties in the order in which they were given.

        Parameters
        ----------
        row_terms : array
            Means over rows of the terms that are sums over rows, in the order of the attribute `row_terms`.
        *penalties : dicts of str to float
            The values of the other penalties, by name.
        """
        found = dict(zip(self.row_terms, self.ops.numbers(row_terms), strict=True))
        terms = {self.loss.name: found.pop(self.loss.name)}
        for name in self.penalty_names:
            terms[name] = terms.get(name, 0.0) + sum(values.get(name, 0.0) for values in (found, *penalties))
        return terms

    def _counting(self, hidden: int, share: float) -> list[MeanActivationPenalty]:
        """Return the penalties on a layer's mean activations; none if the rows have the total weight 0."""
        return self.on_means[hidden] if share > 0 else []

    def _derivative_by_mean(self, hidden: int, rho_hat: FloatArray, share: float, n_places: float) -> FloatArray | None:
        """Return ∂/∂ρ̂ of the penalties on a layer's mean activations, clipped to the range of the dtype."""
        penalties = self._counting(hidden, share)
        if not penalties:
            return None
        bounds = self.network.activations[hidden].bounds
        derivative = self.ops.xp.zeros_like(rho_hat)
        for penalty in penalties:
            derivative += penalty.derivative(rho_hat, bounds, self.dtype)
        # A float32 cannot hold the derivative at ρ̂ = 1e-45; its product with f′ is what matters.
        derivative = self._at_places(hidden, derivative.clip(-self._largest, self._largest), n_places)
        return self.ops.asarray(derivative, self.dtype)

    def _n_places(self, hidden: int) -> int:
        """Return the number of places or steps of a hidden layer."""
        layer = self.network.layers[hidden]
        return layer.n_outputs // layer.output_channels

    def _at_places(self, hidden: int, derivative: FloatArray, n_places: float) -> FloatArray:
        """Return derivatives by the outputs of a hidden layer, from derivatives by the mean of each channel."""
        tiled: FloatArray = self.ops.xp.tile(derivative / n_places, (self._n_places(hidden),))
        return tiled

    @cached
    def _largest(self) -> float:
        return float(np.finfo(self.dtype).max) / 4


def as_floats(terms: Mapping[str, Any]) -> dict[str, float]:
    """Return terms as floats, for which the host waits for the device that computes them."""
    return {name: float(number) for name, number in terms.items()}


#: What primitives may know by name: not a subclass, which may compute something else under the same name.
_PLAIN_ACTIVATIONS = {Identity, Sigmoid, Tanh, ReLU, Softmax}
_PLAIN_LOSSES = {SquaredError, BinaryCrossEntropy, SoftmaxCrossEntropy}


def _seen_by(penalty: WeightPenalty, parameters: Parameters) -> list[FloatArray]:
    """Return the arrays that a penalty on weights is given: the weights, then the biases if it includes them."""
    return [*parameters.weights, *parameters.biases] if penalty.include_biases else parameters.weights


def _acts_on(penalty: HiddenLayerPenalty, network: Network, hidden: int) -> bool:
    return hidden in (network.hidden_with_weights if penalty.layers is None else penalty.layers)
