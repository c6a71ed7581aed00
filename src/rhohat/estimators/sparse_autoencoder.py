"""The sparse autoencoder: one hidden layer, with a penalty that keeps the mean activation of its units low."""

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

__all__ = ["SparseAutoencoder"]


@document
class SparseAutoencoder(BaseAutoencoder):
    """Sparse autoencoder: learns hidden units that are seldom active and from which the input can be rebuilt.

    Minimises, over all rows at once,

        J = 1/m Σ_i ½‖x̂_i − x_i‖²  +  λ/2 (‖W1‖² + ‖W2‖²)  +  β Σ_j KL(ρ ‖ ρ̂_j)

    with h = f(x W1 + b1), x̂ = g(h W2 + b2), and ρ̂_j the mean activation of hidden unit j.

    Parameters
    ----------
    n_components : int, default=25
        Number of hidden units.
    {network}
        Activations without bounds, such as "identity" or "relu", need `sparsity_weight=0`.
    {output}
    sparsity : float, default=0.01
        ρ, the target for the mean activation of each hidden unit, in (0, 1). For tanh units, ρ is the target for the
        mean of (1 + h)/2.
    sparsity_weight : float, default=3.0
        β, the weight of the sparsity penalty; not negative.
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

    Notes
    -----
    With float32 data, the arithmetic is float32, and sums across blocks of rows are float64. With all other data, the
    arithmetic is float64.

    References
    ----------
    Ng, A. (2011). Sparse autoencoder. CS294A lecture notes, Stanford University.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import SparseAutoencoder
    >>> X = np.random.default_rng(0).random((200, 16))
    >>> autoencoder = SparseAutoencoder(n_components=4, sparsity=0.1, max_iter=2000, random_state=0).fit(X)
    >>> autoencoder.transform(X).shape
    (200, 4)
    >>> autoencoder.solver_status_
    'converged'
    """

    command_line_name: ClassVar[str | None] = "sparse"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseAutoencoder._parameter_constraints,
        "n_components": [AT_LEAST_1],
    }

    def __init__(
        self,
        *,
        n_components: int = 25,
        activation: str | Activation = "sigmoid",
        output_activation: str | Activation = "auto",
        loss: str | Loss = "squared_error",
        sparsity: float = 0.01,
        sparsity_weight: float = 3.0,
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
        return (self.n_components,)
