"""The recurrent autoencoder: an encoder that reads a sequence, and a decoder that writes it again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from os import PathLike
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from rhohat.common.arrays import FloatArray
from rhohat.common.randomness import RandomState
from rhohat.data import RowSource, open_rows
from rhohat.data.rows import DaskRows, is_dask_array
from rhohat.engines import EngineLike
from rhohat.estimators.autoencoder import BaseAutoencoder
from rhohat.estimators.checks import check_rows
from rhohat.estimators.documentation import document
from rhohat.estimators.explained_variance import explained_variance
from rhohat.estimators.sample_weights import check_sample_weight, rows_that_count
from rhohat.estimators.sequences import ReadsSequences
from rhohat.fitting.checkpoint_settings import Checkpoint
from rhohat.layers import StepwiseDenseLayer
from rhohat.layers.activations import Activation, Identity
from rhohat.layers.architecture import LayerDescription, build_layers, mirrored
from rhohat.layers.network import Network, network_of
from rhohat.solvers import Callback, Solver
from rhohat.terms.corruption import Corruption
from rhohat.terms.losses import Loss
from rhohat.terms.penalties import Penalty

__all__ = ["RecurrentAutoencoder"]


@document
class RecurrentAutoencoder(ReadsSequences, BaseAutoencoder):
    """Recurrent autoencoder: an encoder turns a sequence into a code, from which a decoder writes the sequence.

    Minimises, with ρ̂_j the mean activation of unit j over sequences (and over their steps, if the code has steps),

        J = 1/m Σ_i Σ_t loss(x̂_it, x_it)  +  λ/2 Σ_l ‖W^(l)‖²  +  β Σ_l Σ_j KL(ρ ‖ ρ̂_j^(l))

    The decoder has the encoder's layers in reverse order, each of which returns all steps, and then a dense layer that
    acts on each step. A code without steps is repeated for each step of the decoder. X may be an array of shape
    (n_samples, n_steps, n_channels), a list of arrays of shape (n_steps_i, n_channels), or what `as_sequences` returns.
    Steps past the end of a sequence are NaN, and have no influence on anything.

    Parameters
    ----------
    layers : sequence of layers, default=None
        The layers of the encoder, such as ``[LSTM(64), LSTM(20)]``, of which the last is the code. With
        ``return_sequences=True`` of the last layer, each step has a code. None means ``[LSTM(100)]``.
    input_shape : tuple of int, default=None
        Steps and channels of a row, (n_steps, n_channels). None takes them from the X of the fit; give them if later
        sequences may have more steps. Flat rows are sequences of one channel.
    activation : str or Activation, default="tanh"
        Activation of simple recurrent and dense layers whose descriptions name none.
    {linear_output}
    sparsity : float, default=0.05
        ρ, the target for the mean activation of each unit, in (0, 1): the fraction of its range, which is (−1, 1) for
        LSTM, GRU and tanh units.
    sparsity_weight : float, default=0.0
        β, the weight of the sparsity penalty, at least 0.
    sparsity_layers : sequence of int, default=None
        Numbers of the hidden layers that have the sparsity penalty, from 0. None means those of the encoder.
    weight_decay : float, default=1e-4
        λ, the weight of the weight decay, at least 0.
    corruption : {"masking", "gaussian", "salt_and_pepper"}, Corruption or None, default=None
        Corruption of the input; the target stays clean.
    {corruption}
    {penalties}
    {training}

    Attributes
    ----------
    {code}
    input_shape_ : tuple of int
        Steps and channels of a row of the fit.
    {fitted}

    {warning}

    References
    ----------
    Srivastava, N., Mansimov, E. and Salakhutdinov, R. (2015). Unsupervised learning of video representations using
    LSTMs. ICML.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import LSTM, RecurrentAutoencoder
    >>> X = [np.sin(np.arange(length) / 2)[:, None] for length in (6, 9, 12, 20)]
    >>> autoencoder = RecurrentAutoencoder(layers=[LSTM(5)], max_iter=3, tol=10, random_state=0).fit(X)
    >>> autoencoder.transform(X).shape
    (4, 5)
    """

    command_line_name: ClassVar[str | None] = "recurrent-autoencoder"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseAutoencoder._parameter_constraints,
        **ReadsSequences._constraints,
    }

    def __init__(
        self,
        *,
        layers: Sequence[LayerDescription | int] | None = None,
        input_shape: Sequence[int] | None = None,
        activation: str | Activation = "tanh",
        output_activation: str | Activation = "auto",
        loss: str | Loss = "squared_error",
        sparsity: float = 0.05,
        sparsity_weight: float = 0.0,
        sparsity_layers: Sequence[int] | None = None,
        weight_decay: float = 1e-4,
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

    @property
    def code_layer_(self) -> int:
        """Number of the layer whose activations `transform` returns: the last one of the encoder."""
        return self._n_encoder(self.network_)

    def reconstruct(self, X: ArrayLike | RowSource, out: FloatArray | None = None) -> FloatArray:
        """Return the reconstruction of sequences, which are encoded and then decoded.

        Parameters
        ----------
        X : array-like, list of arrays, or RowSource
        out : array of shape (n_samples, n_steps × n_channels), default=None
            C-ordered array for the result, with the dtype as in `transform`.

        Returns
        -------
        array of shape (n_samples, n_steps × n_channels)
            The reconstructions, which are NaN past the end of a sequence; the array `out` if it was given.
        """
        check_is_fitted(self)
        rows = self._validate_for_use(X)
        if isinstance(rows, DaskRows) and out is None:
            whole = self._forward_rows(rows, 0, self.network_.n_layers)
            return rows.map_rows(partial(_without_missing, whole), self.network_.layer_sizes[-1])
        result = self._forward(rows, 0, self.network_.n_layers, out)
        for start in range(0, len(result), _AT_ONCE):
            some = slice(start, min(start + _AT_ONCE, len(result)))
            read = rows.read(some.start, some.stop) if isinstance(rows, RowSource) else rows[some]
            result[some][np.isnan(read)] = np.nan
        return result

    def inverse_transform(self, H: ArrayLike | RowSource) -> FloatArray:
        """Return the sequences that the decoder computes from codes.

        Parameters
        ----------
        H : array-like of shape (n_samples, n_components)
            Codes, as `transform` returns them.

        Returns
        -------
        array of shape (n_samples, n_steps × n_channels)
            If the code has no steps, all steps are there, as it does not say how long a sequence was; otherwise they
            are NaN where the code is.
        """
        check_is_fitted(self)
        codes: Any = open_rows(H) if is_dask_array(H) else H
        n_steps = self.network_.layers[self.code_layer_ - 1].n_padded_steps
        if isinstance(codes, RowSource):
            codes.n_steps = n_steps
        codes = codes if isinstance(codes, DaskRows) else check_rows(codes, "H", n_steps)
        if codes.shape[1] != self._n_features_out:
            raise ValueError(
                f"H must have {self._n_features_out} columns, one for each unit of the code; got {codes.shape[1]}."
            )
        decoded: FloatArray = self._forward(codes, self.code_layer_, self.network_.n_layers)
        return decoded

    def score(self, X: ArrayLike | RowSource, y: object = None, sample_weight: ArrayLike | None = None) -> float:
        """Return the fraction of the variance of X, about the means of the channels, that the reconstruction explains.

        1 − Σ (x_itc − x̂_itc)² / Σ (x_itc − x̄_c)², with sums over sequences, steps that exist, and channels.

        Parameters
        ----------
        X : array-like, list of arrays, or RowSource
        y : ignored
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each sequence, not negative.

        Returns
        -------
        float
            The explained fraction. If all steps are equal, it is 1 for a perfect reconstruction, else 0.
        """
        check_is_fitted(self)
        n_steps, rows = self.input_shape_[0], open_rows(self._validate_for_use(X))
        rows.n_steps = n_steps
        rows, weights = rows_that_count(rows, check_sample_weight(sample_weight, rows, np.float64))
        return explained_variance(rows, weights, self._forward_rows(rows, 0, self.network_.n_layers), n_steps)

    def _automatic_output(self, in_unit_interval: bool) -> Activation:
        return Identity()  # sigmoid units of a decoder that is trained from scratch with squared error saturate at 0

    def _encoder_sizes(self) -> tuple[int, ...]:
        raise NotImplementedError("the layers of a recurrent autoencoder are not described by numbers of units.")

    def _check_architecture(self, network: Network) -> None:
        if network.layer_sizes[0] != network.layer_sizes[-1] or network.layers[-1].n_padded_steps is None:
            raise ValueError(f"a recurrent autoencoder cannot have layers of the sizes {network.layer_sizes}.")

    def _network_for(self, n_features: int, output: Activation) -> Network:
        described, (encoder, shapes) = self._described_layers() or (), self._hidden_of_layers(n_features)
        if not encoder:
            raise ValueError("layers must have at least one layer, as the last of them is the code; got none.")
        decoder, to = build_layers(mirrored(described, shapes), shapes[-1], self._activation_of_layers())
        if len(to[-1]) != 2:
            raise ValueError("the first of the layers of a recurrent autoencoder must be recurrent.")
        last = StepwiseDenseLayer(*to[-1], shapes[0][1], output)
        return network_of([*encoder, *decoder, last], shapes[0])

    def _sparse_layers(self, network: Network) -> tuple[int, ...] | None:
        if self.sparsity_layers is not None:
            return tuple(self.sparsity_layers)
        n_encoder = self._n_encoder(network)
        return tuple(index for index in network.hidden_with_weights if index < n_encoder)

    def _n_encoder(self, network: Network) -> int:
        """Return the number of layers of the encoder of a network that the parameters describe."""
        described = self._described_layers() or ()
        return len(build_layers(described, network.input_shape, self._activation_of_layers())[0])


_AT_ONCE = 1024  # rows that are compared with their reconstructions at a time


def _without_missing(function: Callable[[FloatArray, int], FloatArray], rows: FloatArray, first: int) -> FloatArray:
    """Return what a function makes of rows, which has as many columns, with NaN where numbers are missing in them."""
    made = function(rows, first)
    made[np.isnan(rows)] = np.nan
    return made
