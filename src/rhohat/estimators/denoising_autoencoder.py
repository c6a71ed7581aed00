"""The denoising autoencoder, which learns to reconstruct clean rows from corrupted ones."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any, ClassVar

from numpy.typing import ArrayLike

from rhohat.common.randomness import RandomState
from rhohat.engines import EngineLike
from rhohat.estimators.autoencoder import BaseAutoencoder
from rhohat.estimators.documentation import document
from rhohat.estimators.named_parts import AT_LEAST_1
from rhohat.fitting.checkpoint_settings import Checkpoint
from rhohat.layers.activations import Activation
from rhohat.solvers import Callback, Solver
from rhohat.terms.corruption import Corruption
from rhohat.terms.losses import Loss
from rhohat.terms.penalties import Penalty

__all__ = ["DenoisingAutoencoder"]


@document
class DenoisingAutoencoder(BaseAutoencoder):
    """Denoising autoencoder: learns hidden units that rebuild a clean row from a corrupted copy of the row.

    Minimises, with x̃_i a corrupted x_i, h = f(x̃ W1 + b1) and x̂ = g(h W2 + b2),

        J = 1/m Σ_i loss(x̂_i, x_i)  +  λ/2 (‖W1‖² + ‖W2‖²)

    Parameters
    ----------
    n_components : int, default=100
        Number of hidden units.
    corruption : {"masking", "gaussian", "salt_and_pepper"} or Corruption, default="masking"
        Corruption of the input. An object has parameters of its own: ``MaskingNoise(q=0.5)``.
    {corruption}
    {network}
    {output}
    weight_decay : float, default=0.0
        λ, the weight of the weight decay; not negative.
    tied_weights : bool, default=True
        Whether the decoder uses the transposed weights of the encoder.
    {penalties}
    {training}

    Attributes
    ----------
    {code}
    {fitted}

    {warning}

    Notes
    -----
    `transform` and `reconstruct` do not corrupt the rows. The corruption of a row depends only on the seed, the epoch
    and the number of the row, not on the solver, the blocks of rows or the number of threads.

    References
    ----------
    Vincent, P., Larochelle, H., Lajoie, I., Bengio, Y. and Manzagol, P.-A. (2010). Stacked denoising autoencoders:
    learning useful representations in a deep network with a local denoising criterion. JMLR 11, 3371-3408.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import DenoisingAutoencoder
    >>> from rhohat.solvers import Adam
    >>> X = np.random.default_rng(0).random((200, 16))
    >>> autoencoder = DenoisingAutoencoder(n_components=8, solver=Adam(batch_size=50), max_iter=5, tol=0.1,
    ...                                    random_state=0).fit(X)
    >>> autoencoder.transform(X).shape
    (200, 8)
    """

    command_line_name: ClassVar[str | None] = "denoising"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseAutoencoder._parameter_constraints,
        "n_components": [AT_LEAST_1],
    }

    def __init__(
        self,
        *,
        n_components: int = 100,
        corruption: str | Corruption | None = "masking",
        n_corruptions: int = 1,
        activation: str | Activation = "sigmoid",
        output_activation: str | Activation = "auto",
        loss: str | Loss = "squared_error",
        weight_decay: float = 0.0,
        tied_weights: bool = True,
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
        return (self.n_components,)
