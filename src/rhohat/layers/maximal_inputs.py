"""Search for the input of norm 1 that activates a unit of a deep network most, by constrained gradient ascent."""

from __future__ import annotations

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.layers.dense import DenseLayer
from rhohat.layers.layout import Parameters
from rhohat.layers.network import Network
from rhohat.layers.tangents import TangentPass

__all__ = ["ascend_to_maximal_inputs"]

_SMALLEST_STEP = 1e-6


def ascend_to_maximal_inputs(
    network: Network,
    parameters: Parameters,
    layer: int,
    generator: np.random.Generator,
    *,
    n_starts: int = 10,
    max_iter: int = 200,
) -> FloatArray:
    """Maximise the activation of each unit of a layer over inputs x with ‖x‖ = 1.

    The search starts from random points of the unit sphere. Each step follows the gradient and then returns to the
    sphere: x ← (x + η ∇) / ‖x + η ∇‖, with ∇ scaled to norm 1. A step that does not raise the activation is rejected,
    and η is halved; after an accepted step, η is multiplied by 1.5. The best point found from all starts is returned.
    It is, in general, a local maximum.

    Parameters
    ----------
    network : Network
    parameters : Parameters
    layer : int
        Layer whose units are considered; 1 is the first hidden layer.
    generator : numpy.random.Generator
        Generator that draws the starting points.
    n_starts : int, default=10
        Number of starting points for each unit. If the first layer is dense, half of them lie near the weights of
        randomly chosen units of this layer, with random noise added. The others are uniformly random.
    max_iter : int, default=200
        Largest number of steps.

    Returns
    -------
    array of shape (n_units, n_features)

    Notes
    -----
    If the layer's activation is monotonic, the pre-activation is maximised instead, because its gradient does not
    vanish where a unit saturates.

    References
    ----------
    Erhan, D., Bengio, Y., Courville, A. and Vincent, P. (2009). Visualizing higher-layer features of a deep network.
    Université de Montréal, technical report 1341.
    """
    n_units, n_features = network.layer_sizes[layer], network.layer_sizes[0]
    starts = generator.normal(size=(n_units * n_starts, n_features))
    if isinstance(network.layers[0], DenseLayer):
        first = parameters.weights[0].T.astype(np.float64)
        from_units = generator.integers(0, len(first), len(starts) // 2)
        starts[: len(starts) // 2] += 10 * _on_sphere(first)[from_units] * np.sqrt(n_features)
    x = _on_sphere(starts)
    units = np.tile(np.arange(n_units), n_starts)
    chosen = np.eye(n_units)[units]
    step = np.ones((len(x), 1))
    height, gradient = _climb(network, parameters, layer, x, chosen)
    for _ in range(max_iter):
        trial = _on_sphere(x + step * _on_sphere(gradient))
        trial_height, trial_gradient = _climb(network, parameters, layer, trial, chosen)
        higher = trial_height > height
        x[higher], height[higher], gradient[higher] = trial[higher], trial_height[higher], trial_gradient[higher]
        step = np.where(higher[:, None], step * 1.5, step / 2)
        if step.max() < _SMALLEST_STEP:
            break
    best = np.array([np.flatnonzero(units == unit)[np.argmax(height[units == unit])] for unit in range(n_units)])
    return x[best]


def _climb(
    network: Network, parameters: Parameters, layer: int, x: FloatArray, chosen: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return, for each row, the quantity to maximise at its chosen unit, and the gradient of that quantity."""
    layers = network.allocate(len(x), np.empty, stop=layer)
    layers.a[0] = x
    monotonic = network.layers[layer - 1].monotonic
    network.forward(parameters, layers, without_activation=layer if monotonic else None)
    top = layers.z[-1] if monotonic else layers.a[-1]
    height: FloatArray = np.einsum("ij,ij->i", top, chosen)
    return height, TangentPass(network, parameters, layers).pull_back_to_input(chosen)


def _on_sphere(x: FloatArray) -> FloatArray:
    """Return the rows, each scaled to norm 1; a row of zeros stays unchanged."""
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    scaled: FloatArray = x / np.where(norms > 0, norms, 1)
    return scaled
