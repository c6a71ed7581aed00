"""The deep autoencoder: an encoder of several layers and a decoder that mirrors it, trained together."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any, ClassVar

from numpy.typing import ArrayLike

from rhohat.common.randomness import RandomState
from rhohat.engines import EngineLike
from rhohat.estimators.autoencoder import BaseAutoencoder
from rhohat.estimators.checks import as_layer_sizes
from rhohat.estimators.documentation import document
from rhohat.estimators.named_parts import AT_LEAST_1
from rhohat.fitting.checkpoint_settings import Checkpoint
from rhohat.layers.activations import Activation
from rhohat.solvers import Callback, Solver
from rhohat.terms.corruption import Corruption
from rhohat.terms.losses import Loss
from rhohat.terms.penalties import Penalty

__all__ = ["DeepAutoencoder"]


@document
class DeepAutoencoder(BaseAutoencoder):
    """Deep autoencoder: an encoder of several layers and a decoder that mirrors it, trained together.

    Minimises

        J = 1/m Σ_i loss(x̂_i, x_i)  +  λ/2 Σ_l ‖W^(l)‖²  +  β Σ_l Σ_j KL(ρ ‖ ρ̂_j^(l))

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, default=(100, 30)
        Number of units in each layer of the encoder; the last layer is the code, which `transform` returns.
    {network}
        A sequence gives one activation for each layer of the encoder.
    {output}
    sparsity : float, default=0.05
        ρ, the target for the mean activation of each hidden unit, in (0, 1).
    sparsity_weight : float, default=0.0
        β, the weight of the sparsity penalty; not negative.
    sparsity_layers : sequence of int, default=None
        Numbers, counted from 0, of the hidden layers to which the sparsity penalty is applied. None means all hidden
        layers, including those of the decoder.
    weight_decay : float, default=1e-4
        λ, the weight of the weight decay; not negative.
    tied_weights : bool, default=False
        Whether the decoder uses the transposed weights of the encoder.
    corruption : {"masking", "gaussian", "salt_and_pepper"}, Corruption or None, default=None
        Corruption of the input; the target of the reconstruction is not corrupted.
    {corruption}
    {penalties}
    {training}

    Attributes
    ----------
    {code}
    {fitted}

    {warning}

    References
    ----------
    Hinton, G. E. and Salakhutdinov, R. R. (2006). Reducing the dimensionality of data with neural networks. Science
    313, 504-507.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import DeepAutoencoder
    >>> X = np.random.default_rng(0).random((200, 16))
    >>> autoencoder = DeepAutoencoder(hidden_layer_sizes=(8, 2), activation="tanh", max_iter=5, tol=0.1,
    ...                               random_state=0).fit(X)
    >>> autoencoder.network_.layer_sizes
    (16, 8, 2, 8, 16)
    """

    command_line_name: ClassVar[str | None] = "deep"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseAutoencoder._parameter_constraints,
        "hidden_layer_sizes": ["array-like", AT_LEAST_1],
    }

    def __init__(
        self,
        *,
        hidden_layer_sizes: Sequence[int] = (100, 30),
        activation: str | Activation | Sequence[str | Activation] = "sigmoid",
        output_activation: str | Activation = "auto",
        loss: str | Loss = "squared_error",
        sparsity: float = 0.05,
        sparsity_weight: float = 0.0,
        sparsity_layers: Sequence[int] | None = None,
        weight_decay: float = 1e-4,
        tied_weights: bool = False,
        corruption: str | Corruption | None = None,
        n_corruptions: int = 1,
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

    def _encoder_sizes(self) -> tuple[int, ...]:
        return as_layer_sizes(self.hidden_layer_sizes, smallest=1)
