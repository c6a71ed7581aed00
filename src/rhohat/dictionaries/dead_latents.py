"""Dead latents, which have not been active for many rows, and the auxiliary loss that brings them back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.common.blocks import Engine
from rhohat.dictionaries.parameters import Parameters
from rhohat.ops.code_ops import largest_of_rows

__all__ = ["AuxiliaryLoss", "Revival"]

_ROWS = 256  # rows whose pre-activations of dead latents are held at a time


@dataclass(frozen=True)
class Revival:
    """Value and gradient of the auxiliary loss.

    Attributes
    ----------
    latents : array of shape (n_dead,)
        Numbers of the dead latents, in ascending order.
    value : float
        The auxiliary loss with its weight, a mean over rows.
    encoder : array of shape (n_dead, n_features)
        Derivative by the encoder's weights of these latents.
    decoder : array of shape (n_dead, n_outputs)
        Derivative by the decoder's weights of these latents.
    bias : array of shape (n_dead,)
        Derivative by the encoder's biases of these latents.
    """

    latents: NDArray[np.intp]
    value: float
    encoder: FloatArray
    decoder: FloatArray
    bias: FloatArray


@dataclass(frozen=True)
class AuxiliaryLoss:
    """The auxiliary loss AuxK: dead latents alone reconstruct what the others have left over.

    In each row, the k pre-activations that are largest among the dead latents decode to ē, without a bias. The loss is
    α min(1, n_dead / k) ½‖ē − (x − x̂)‖², a mean over rows, where x − x̂ is held fixed. There is no ReLU, so that
    gradients reach the encoder of a latent whose pre-activations are all negative.

    Attributes
    ----------
    weight : float
        Weight α.
    k : int
        Number of dead latents that are used in a row.

    References
    ----------
    Gao, L. et al. (2024). Scaling and evaluating sparse autoencoders. arXiv 2406.04093, section 2.4.
    """

    weight: float
    k: int

    def evaluate(
        self,
        latents: NDArray[np.intp],
        X: FloatArray,
        residual: FloatArray,
        scale: float,
        parameters: Parameters,
        engine: Engine,
    ) -> Revival:
        """Return the value and the gradient over a batch.

        Parameters
        ----------
        latents : array of shape (n_dead,)
            Numbers of the dead latents, in ascending order; at least one.
        X : array of shape (n_rows, n_features)
            The encoder's input x̃.
        residual : array of shape (n_rows, n_outputs)
            A multiple of x̂ − x.
        scale : float
            What the residual has to be multiplied with.
        parameters : Parameters
        engine : Engine
        """
        n_dead, k = len(latents), min(self.k, len(latents))
        encoder, decoder = parameters.encoder[latents], parameters.decoder[latents]
        bias, dtype = parameters.encoder_bias[latents], X.dtype
        weight = dtype.type(self.weight * min(1.0, n_dead / self.k) / len(X))
        sizes = (encoder.size, decoder.size, n_dead, 1)
        ends = np.cumsum(sizes)

        def add(rows: slice, worker: int, sums: FloatArray) -> None:
            of_encoder, of_decoder, of_bias, value = np.split(sums, ends[:-1])
            codes = X[rows] @ encoder.T + bias
            chosen = largest_of_rows(codes, k)
            codes *= chosen
            difference = codes @ decoder
            difference += dtype.type(scale) * residual[rows]
            value[0] = 0.5 * weight * np.einsum("ij,ij->", difference, difference)
            difference *= weight
            np.matmul(codes.T, difference, out=of_decoder.reshape(decoder.shape))
            through = difference @ decoder.T
            through *= chosen
            np.matmul(through.T, X[rows], out=of_encoder.reshape(encoder.shape))
            of_bias[:] = through.sum(0)

        blocks = [slice(start, min(start + _ROWS, len(X))) for start in range(0, len(X), _ROWS)]
        of_encoder, of_decoder, of_bias, value = np.split(
            engine.sum_blocks(add, blocks, int(ends[-1]), dtype), ends[:-1]
        )
        return Revival(
            latents,
            float(value[0]),
            of_encoder.reshape(encoder.shape),
            of_decoder.reshape(decoder.shape),
            of_bias,
        )
