"""The convolutional autoencoder: an encoder of convolutions, and a decoder that mirrors it."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any, ClassVar

from numpy.typing import ArrayLike

from rhohat.common.randomness import RandomState
from rhohat.engines import EngineLike
from rhohat.estimators.autoencoder import BaseAutoencoder
from rhohat.estimators.documentation import document
from rhohat.estimators.shaped_rows import Convolves
from rhohat.fitting.checkpoint_settings import Checkpoint
from rhohat.layers.activations import Activation, Identity
from rhohat.layers.architecture import Convolution, LayerDescription
from rhohat.layers.network import Network
from rhohat.solvers import Callback, Solver
from rhohat.terms.corruption import Corruption
from rhohat.terms.losses import Loss
from rhohat.terms.penalties import Penalty

__all__ = ["ConvolutionalAutoencoder"]

_DEFAULT = (Convolution(16, 5, stride=2, padding="same"), Convolution(32, 5, stride=2, padding="same"))


@document
class ConvolutionalAutoencoder(Convolves, BaseAutoencoder):
    """Convolutional autoencoder: an encoder of convolutions and a decoder that mirrors it, trained together.

    Minimises

        J = 1/m Σ_i loss(x̂_i, x_i)  +  λ/2 Σ_l ‖W^(l)‖²  +  β Σ_l Σ_j KL(ρ ‖ ρ̂_j^(l))

    ρ̂_j of a channel of a convolution is the mean of its activations over rows and places.

    Parameters
    ----------
    layers : sequence of layers, default=None
        The layers of the encoder, such as ``[Convolution(16, 5), MaxPooling(2), Dense(30)]``; the last one is the code,
        which `transform` returns as flat rows. The decoder mirrors them: transposed convolutions undo convolutions, and
        upsampling undoes pooling. None means two convolutions with a kernel of 5 and a stride of 2, of 16 and 32
        channels.
    input_shape : tuple of int, default=None
        Shape of a row: (height, width, channels) for images, or (steps, channels) for sequences. If None, it is
        taken from X, of shape (n_samples, height, width) or (n_samples, height, width, channels); if the rows of X are
        flat, each is a sequence of one channel.
    {network}
    {linear_output}
    sparsity : float, default=0.05
        ρ, the target for the mean activation of each channel, or of each unit of a dense layer, in (0, 1).
    sparsity_weight : float, default=0.0
        β, the weight of the sparsity penalty; not negative.
    sparsity_layers : sequence of int, default=None
        Numbers, from 0 on, of the hidden layers with the sparsity penalty. None means all, including the decoder's.
    weight_decay : float, default=1e-4
        λ, the weight of the weight decay; not negative.
    tied_weights : bool, default=False
        Whether the decoder uses the transposed weights of the encoder.
    corruption : {"masking", "gaussian", "salt_and_pepper"}, Corruption or None, default=None
        Corruption of the input; the target stays clean.
    {corruption}
    {penalties}
    {training}

    Attributes
    ----------
    {code}
    input_shape_ : tuple of int
        Shape of a row of the fit.
    {fitted}

    {warning}

    References
    ----------
    Masci, J., Meier, U., Ciresan, D. and Schmidhuber, J. (2011). Stacked convolutional auto-encoders for hierarchical
    feature extraction. ICANN, 52-59.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import Convolution, ConvolutionalAutoencoder, MaxPooling
    >>> X = np.random.default_rng(0).random((50, 8, 8))
    >>> autoencoder = ConvolutionalAutoencoder(layers=[Convolution(4, 3), MaxPooling(2)], tol=10, random_state=0)
    >>> autoencoder.fit(X).transform(X).shape
    (50, 36)
    """

    command_line_name: ClassVar[str | None] = "convolutional-autoencoder"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseAutoencoder._parameter_constraints,
        **Convolves._constraints,
    }

    def __init__(
        self,
        *,
        layers: Sequence[LayerDescription | int] | None = None,
        input_shape: Sequence[int] | None = None,
        activation: str | Activation = "relu",
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
        solver: str | Solver = "adam",
        initial_weights: str | Sequence[ArrayLike] = "uniform",
        max_iter: int = 100,
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
        return _DEFAULT if self.layers is None else self.layers

    def _automatic_output(self, in_unit_interval: bool) -> Activation:
        return Identity()  # sigmoid units of a decoder that is trained from scratch with squared error saturate at 0

    def _encoder_sizes(self) -> tuple[int, ...]:
        raise NotImplementedError("the layers of a convolutional autoencoder are not described by numbers of units.")

    def _network_for(self, n_features: int, output: Activation) -> Network:
        return self._autoencoder_of_layers(n_features, output, bool(self.tied_weights))
