"""Where the parameters of a dictionary are in the flat vector θ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rhohat.common.arrays import FloatArray

__all__ = ["Layout", "Parameters"]


@dataclass(frozen=True)
class Parameters:
    """The parameters of a dictionary, as views of θ. Both matrices have a row for each latent.

    Attributes
    ----------
    encoder : array of shape (n_latents, n_features)
    decoder : array of shape (n_latents, n_outputs)
    encoder_bias : array of shape (n_latents,)
    decoder_bias : array of shape (n_outputs,)
    of_latents : dict of str to array of shape (n_latents,)
        Parameters that a selection has beside these, such as thresholds, by name.
    skip : array of shape (n_features, n_outputs) or None
        Weights of the connection from the input to the output, which a transcoder may have.
    """

    encoder: FloatArray
    decoder: FloatArray
    encoder_bias: FloatArray
    decoder_bias: FloatArray
    of_latents: dict[str, FloatArray]
    skip: FloatArray | None = None


@dataclass(frozen=True)
class Layout:
    """The sizes of a dictionary, and the places of its parameters in θ: weights, then biases, then the rest.

    Attributes
    ----------
    n_features : int
        Number of features of the input.
    n_latents : int
        Number of latents.
    n_outputs : int
        Number of features of the output; in an autoencoder that of the input.
    names : tuple of str
        Names of the parameters that the selection has for each latent.
    has_skip : bool
        Whether a linear connection leads from the input to the output.
    """

    n_features: int
    n_latents: int
    n_outputs: int
    names: tuple[str, ...] = ()
    has_skip: bool = False

    @property
    def n_parameters(self) -> int:
        """Number of parameters."""
        n_skip = self.n_features * self.n_outputs if self.has_skip else 0
        return self.n_latents * (self.n_features + self.n_outputs + 1 + len(self.names)) + self.n_outputs + n_skip

    def encoder_rows(self, latents: slice) -> slice:
        """Return the place of the encoder's weights of successive latents."""
        return slice(latents.start * self.n_features, latents.stop * self.n_features)

    def decoder_rows(self, latents: slice) -> slice:
        """Return the place of the decoder's weights of successive latents."""
        first = self.n_latents * self.n_features
        return slice(first + latents.start * self.n_outputs, first + latents.stop * self.n_outputs)

    @property
    def encoder_bias(self) -> slice:
        """Place of the encoder's biases."""
        start = self.n_latents * (self.n_features + self.n_outputs)
        return slice(start, start + self.n_latents)

    @property
    def decoder_bias(self) -> slice:
        """Place of the decoder's biases."""
        start = self.encoder_bias.stop
        return slice(start, start + self.n_outputs)

    def of_latents(self, name: str) -> slice:
        """Return the place of a parameter that the selection has for each latent."""
        start = self.decoder_bias.stop + self.names.index(name) * self.n_latents
        return slice(start, start + self.n_latents)

    @property
    def skip(self) -> slice:
        """Place of the weights from the input to the output, if there are some."""
        start = self.decoder_bias.stop + len(self.names) * self.n_latents
        return slice(start, start + self.n_features * self.n_outputs)

    def views(self, theta: FloatArray) -> Parameters:
        """Return views of θ by their names."""
        whole = slice(0, self.n_latents)
        return Parameters(
            theta[self.encoder_rows(whole)].reshape(self.n_latents, self.n_features),
            theta[self.decoder_rows(whole)].reshape(self.n_latents, self.n_outputs),
            theta[self.encoder_bias],
            theta[self.decoder_bias],
            {name: theta[self.of_latents(name)] for name in self.names},
            theta[self.skip].reshape(self.n_features, self.n_outputs) if self.has_skip else None,
        )

    def pack(self, parameters: Parameters) -> FloatArray:
        """Return parameters as a new vector θ, in the dtype of the encoder."""
        of_latents = [parameters.of_latents[name] for name in self.names]
        parts = [parameters.encoder, parameters.decoder, parameters.encoder_bias, parameters.decoder_bias, *of_latents]
        if parameters.skip is not None:
            parts.append(parameters.skip)
        return np.concatenate([np.ravel(part) for part in parts], dtype=parameters.encoder.dtype)
