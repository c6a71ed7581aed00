"""The value between formats and estimators: the weights of a dictionary, and what they mean."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.exceptions import ModelFileError

__all__ = ["DEVIATIONS", "KINDS", "ExchangedDictionary"]

#: How codes are made of pre-activations a, by the names that this room has for it.
KINDS = ("relu", "topk", "batch_topk", "matryoshka", "jumprelu", "gated")

#: What is to be known of dictionaries that normalise each row by itself.
DEVIATIONS = (
    "Rows are divided by their standard deviation plus 1e-5. Reconstructions are multiplied by the same number here,"
    " but by the standard deviation alone in the library that the dictionary comes from."
)

_SMALLEST_NORM = 1e-8  # of a row of the decoder that others are divided by, as in SAELens


@dataclass(frozen=True)
class ExchangedDictionary:
    """A dictionary as formats know it, for rows as they are.

    With rows x, a = (x − b_dec) W_enc + b_enc, or a = x W_enc + b_enc if `centered` is false; the codes f are made of a
    as `kind` says; and f W_dec + b_dec is reconstructed, to which x W_skip is added if there is a skip connection.

    Attributes
    ----------
    kind : {"relu", "topk", "batch_topk", "matryoshka", "jumprelu", "gated"}
        "relu": max(0, a). "topk": the k largest of a row, as far as they are positive. "batch_topk" and "matryoshka":
        a where it exceeds `threshold`. "jumprelu": a where it exceeds `thresholds`. "gated": where a > 0,
        max(0, exp(`log_scale`) π + `magnitude_bias`), with π = a − b_enc.
    encoder : array of shape (n_features, n_latents)
        W_enc.
    decoder : array of shape (n_latents, n_outputs)
        W_dec.
    encoder_bias : array of shape (n_latents,)
        b_enc; of gated dictionaries the bias of the gate.
    decoder_bias : array of shape (n_outputs,)
        b_dec.
    centered : bool
        Whether b_dec is subtracted from the rows before they are encoded.
    normalizes_rows : bool, default=False
        Whether each row is first centred at its mean and divided by its standard deviation, and reconstructions are
        brought back.
    k : float, default=None
        Number of active latents of a row, of "topk", or its mean, of "batch_topk" and "matryoshka".
    threshold : float, default=None
        Threshold of all latents, of "batch_topk" and "matryoshka"; None means that there is none yet, which is like 0.
    thresholds : array of shape (n_latents,), default=None
        Threshold of each latent, of "jumprelu".
    log_scale, magnitude_bias : array of shape (n_latents,), default=None
        The parameters of "gated".
    prefixes : tuple of int, default=None
        Numbers of latents in the nested prefixes, of "matryoshka".
    skip : array of shape (n_features, n_outputs), default=None
        W_skip.
    transcodes : bool, default=False
        Whether other rows are reconstructed than those that are encoded.
    settings : dict of str to object, default={}
        Parameters of the estimator by which its training may go on, such as ``"bandwidth"``.
    origin : dict of str to object, default={}
        What is known of where the dictionary comes from, such as ``"model_name"``.
    remarks : tuple of str, default=()
        Sentences on what a user should know of how the dictionary was translated.
    """

    kind: str
    encoder: FloatArray
    decoder: FloatArray
    encoder_bias: FloatArray
    decoder_bias: FloatArray
    centered: bool
    normalizes_rows: bool = False
    k: float | None = None
    threshold: float | None = None
    thresholds: FloatArray | None = None
    log_scale: FloatArray | None = None
    magnitude_bias: FloatArray | None = None
    prefixes: tuple[int, ...] | None = None
    skip: FloatArray | None = None
    transcodes: bool = False
    settings: dict[str, Any] = field(default_factory=dict)
    origin: dict[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Bring all arrays to one precision, and raise ModelFileError if the parts do not fit together."""
        if self.encoder.ndim != 2 or self.decoder.ndim != 2:
            raise ModelFileError(
                "the weights of the encoder and of the decoder must have two axes; got the shapes"
                f" {self.encoder.shape} and {self.decoder.shape}."
            )
        n_features, n_latents = self.encoder.shape
        n_outputs = self.decoder.shape[1]
        of_latents = ("encoder_bias", "thresholds", "log_scale", "magnitude_bias")
        shapes = {
            "decoder": (n_latents, n_outputs),
            "decoder_bias": (n_outputs,),
            "skip": (n_features, n_outputs),
            **dict.fromkeys(of_latents, (n_latents,)),
        }
        if 0 in (n_features, n_latents, n_outputs):
            raise ModelFileError("a dictionary must have at least one feature, one latent and one output.")
        for name, shape in shapes.items():
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise ModelFileError(
                    f"the {name.replace('_', ' ')} has the shape {array.shape}, but must have {shape}, since the"
                    f" encoder maps {n_features} features to {n_latents} latents."
                )
        if self.transcodes and self.centered:
            raise ModelFileError("a transcoder cannot subtract the bias of its decoder from the rows that it encodes.")
        if not self.transcodes and n_outputs != n_features:
            raise ModelFileError(
                f"the decoder has {n_outputs} outputs, but an autoencoder of {n_features} features must have as many."
            )
        dtype = self.dtype
        for name in ("encoder", *shapes):
            array = getattr(self, name)
            if array is not None:
                object.__setattr__(self, name, np.ascontiguousarray(array, dtype))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Precision of all arrays together: float64 if one of them is, else float32."""
        named = (self.encoder, self.decoder, self.encoder_bias, self.decoder_bias)
        return np.dtype(np.float64 if np.float64 in [array.dtype for array in named] else np.float32)

    @property
    def n_latents(self) -> int:
        """Number of latents."""
        return int(self.encoder.shape[1])

    def for_scaled_rows(self, factor: float) -> ExchangedDictionary:
        """Return an equal dictionary for rows as they are, if this one is for rows that are multiplied by a factor.

        Codes stay what they are, and reconstructions are divided by the factor. For autoencoders without a skip
        connection.
        """
        by = self.encoder.dtype.type(factor)
        return replace(self, encoder=self.encoder * by, decoder=self.decoder / by, decoder_bias=self.decoder_bias / by)

    def with_latents_scaled(self, factors: FloatArray) -> ExchangedDictionary:
        """Return an equal dictionary whose codes are multiplied by positive factors of latents.

        The rows of the decoder are divided by them, and everything that codes are compared to is multiplied. It changes
        which latents are the largest, so that for "topk" it belongs to a dictionary whose latents are selected by the
        codes that come of it.
        """

        def scaled(array: FloatArray | None) -> FloatArray | None:
            return None if array is None else array * factors

        return replace(
            self,
            encoder=self.encoder * factors,
            encoder_bias=self.encoder_bias * factors,
            decoder=self.decoder / factors[:, np.newaxis],
            thresholds=scaled(self.thresholds),
            magnitude_bias=scaled(self.magnitude_bias),
        )

    def decoder_norms(self, smallest: float = _SMALLEST_NORM) -> FloatArray:
        """Return the norms of the rows of the decoder, of shape (n_latents,), none of them below a number."""
        return np.maximum(np.linalg.norm(self.decoder, axis=1), self.dtype.type(smallest))

    def centering(self, centered: bool) -> ExchangedDictionary:
        """Return an equal dictionary that subtracts b_dec from rows, or does not, for a format that knows only one way.

        The difference is in the biases of latents, which are rounded.
        """
        if centered == self.centered:
            return self
        change = (self.decoder_bias.astype(np.float64) @ self.encoder) * (1 if centered else -1)
        magnitude = self.magnitude_bias
        if magnitude is not None:
            assert self.log_scale is not None
            magnitude = (magnitude + np.exp(self.log_scale.astype(np.float64)) * change).astype(self.dtype)
        bias = (self.encoder_bias + change).astype(self.dtype)
        return replace(self, centered=centered, encoder_bias=bias, magnitude_bias=magnitude)
