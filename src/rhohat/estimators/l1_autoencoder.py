"""The L1 autoencoder: a dictionary with ReLU codes whose L1 norm is kept small."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import ClassVar

from rhohat.common.randomness import RandomState
from rhohat.dictionaries.selections import L1, Selection
from rhohat.engines import EngineLike
from rhohat.estimators.dictionary_kinds import PenalisedDictionary
from rhohat.estimators.documentation import document
from rhohat.fitting.checkpoint_settings import Checkpoint
from rhohat.solvers import Callback, MiniBatchSolver

__all__ = ["L1Autoencoder"]


@document
class L1Autoencoder(PenalisedDictionary):
    """L1 autoencoder: a dictionary with ReLU codes, whose sum is penalised.

    The codes are f = max(0, a), and λ Σ_j f_j ‖d_j‖ is added to the error of a row, where d_j is row j of the decoder.

    Parameters
    ----------
    n_components : int, default=1024
        Number of latents.
    sparsity_weight : float, default=1.0
        Weight λ of the penalty, not negative; with `target_l0` the first weight.
    target_l0 : float or None, default=None
        Mean number of active latents of a row towards which the weight is controlled; None means that it stays.
    {dictionary}

    Attributes
    ----------
    {fitted_dictionary}

    Notes
    -----
    With rows x, scaled by one factor or each by itself,

        a = (x − b_dec) W_enc + b_enc,    f = selection of a,    x̂ = f W_dec + b_dec

    and the mean over rows of ½‖x̂ − x‖², summed over features, is minimised, with the penalty.

    {dictionary_step}

    References
    ----------
    Conerly, T. et al. (2024). Update on how we train SAEs. Transformer Circuits Thread, April update.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import L1Autoencoder
    >>> X = np.random.default_rng(0).standard_normal((500, 16))
    >>> dictionary = L1Autoencoder(32, sparsity_weight=0.5, max_iter=20, random_state=0).fit(X)
    >>> dictionary.transform(X).shape
    (500, 32)
    """

    command_line_name: ClassVar[str | None] = "l1"

    def __init__(
        self,
        n_components: int = 1024,
        *,
        sparsity_weight: float = 1.0,
        target_l0: float | None = None,
        auxiliary_weight: float = 1 / 32,
        dead_after: int | None = None,
        normalize: str | None = "mean_norm",
        center: bool = True,
        decoder_norm: bool = False,
        solver: str | MiniBatchSolver | None = None,
        max_iter: int = 10,
        sparse_output: bool = True,
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

    def _selection(self, n_latents: int) -> Selection:
        return L1()
