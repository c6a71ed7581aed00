"""The contractive autoencoder, whose code changes little when the input changes."""

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
from rhohat.terms.losses import Loss
from rhohat.terms.penalties import Penalty

__all__ = ["ContractiveAutoencoder"]


@document
class ContractiveAutoencoder(BaseAutoencoder):
    """Contractive autoencoder: learns a code from which each input can be rebuilt, and which changes little around it.

    Minimises, with h = f(x W1 + b1) and x̂ = g(h W2 + b2),

        J = 1/m Σ_i loss(x̂_i, x_i) + γ ‖∂h_i/∂x_i‖²_F  +  λ/2 (‖W1‖² + ‖W2‖²)

    Parameters
    ----------
    n_components : int, default=100
        Number of hidden units.
    contraction_weight : float, default=0.1
        γ, the weight of the contraction penalty; not negative.
    {network}
    {output}
    weight_decay : float, default=0.0
        λ, the weight of the weight decay; not negative.
    tied_weights : bool, default=True
        Whether the decoder uses the transposed weights of the encoder. With untied weights, a small encoder and a large
        decoder would lower the penalty without making the code more robust.
    {penalties}
    {training}

    Attributes
    ----------
    {code}
    {fitted}

    {warning}

    See Also
    --------
    DeepAutoencoder : With ``penalties=[Contraction(0.1)]`` for an encoder of several layers.

    References
    ----------
    Rifai, S., Vincent, P., Muller, X., Glorot, X. and Bengio, Y. (2011). Contractive auto-encoders: explicit
    invariance during feature extraction. ICML.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import ContractiveAutoencoder
    >>> X = np.random.default_rng(0).random((200, 16))
    >>> autoencoder = ContractiveAutoencoder(n_components=8, max_iter=2000, random_state=0).fit(X)
    >>> list(autoencoder.cost(X)[1])
    ['squared_error', 'contraction']
    """

    command_line_name: ClassVar[str | None] = "contractive"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseAutoencoder._parameter_constraints,
        "n_components": [AT_LEAST_1],
    }

    def __init__(
        self,
        *,
        n_components: int = 100,
        contraction_weight: float = 0.1,
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
