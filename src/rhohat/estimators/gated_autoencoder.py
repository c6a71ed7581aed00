"""The gated autoencoder: a dictionary whose latents have a gate and a magnitude."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import ClassVar

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.randomness import RandomState
from rhohat.dictionaries.selections import Gated, Selection
from rhohat.engines import EngineLike
from rhohat.estimators.dictionary_kinds import PenalisedDictionary
from rhohat.estimators.documentation import document
from rhohat.fitting.checkpoint_settings import Checkpoint
from rhohat.solvers import Callback, MiniBatchSolver

__all__ = ["GatedAutoencoder"]


@document
class GatedAutoencoder(PenalisedDictionary):
    """Gated autoencoder: a dictionary whose latents have a gate, which is penalised, and a magnitude, which is not.

    With π = (x − b_dec) W_enc, a latent is active where π + b_enc > 0, with the value max(0, exp(r) π + b). The sum of
    max(0, π + b_enc) is penalised with the weight λ, and these numbers alone have to reconstruct the row as well, with
    a decoder that is held fixed. So the penalty does not shrink the codes.

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
    magnitude_scales_, magnitude_biases_ : array of shape (n_components,)
        exp(r) and b, by which the magnitude of a latent differs from its gate.
    {fitted_dictionary}

    Notes
    -----
    With rows x, scaled by one factor or each by itself,

        a = (x − b_dec) W_enc + b_enc,    f = selection of a,    x̂ = f W_dec + b_dec

    and the mean over rows of ½‖x̂ − x‖², summed over features, is minimised, with the two terms of the gate.

    {dictionary_step}

    References
    ----------
    Rajamanoharan, S., Conmy, A., Smith, L., Lieberum, T., Varma, V., Kramár, J., Shah, R. and Nanda, N. (2024).
    Improving dictionary learning with gated sparse autoencoders. arXiv 2404.16014.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import GatedAutoencoder
    >>> X = np.random.default_rng(0).standard_normal((500, 16))
    >>> dictionary = GatedAutoencoder(32, sparsity_weight=0.5, max_iter=20, random_state=0).fit(X)
    >>> dictionary.transform(X).shape
    (500, 32)
    """

    command_line_name: ClassVar[str | None] = "gated"

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
        decoder_norm: bool = True,
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

    @property
    def magnitude_scales_(self) -> FloatArray:
        """Factor exp(r) of the magnitude of each latent, of shape (n_components,)."""
        problem, theta = self._in_use()
        scales: FloatArray = np.exp(problem.layout.views(theta).of_latents["log_scale"])
        return scales

    @property
    def magnitude_biases_(self) -> FloatArray:
        """Bias b of the magnitude of each latent, of shape (n_components,).

        With `coefs_` and `intercepts_`, a = (x − b_dec) W_enc + b_enc of rows as they are, and the codes are
        max(0, exp(r) (a − b_enc) + b) where a is above 0.
        """
        problem, theta = self._in_use()
        return problem.layout.views(theta).of_latents["magnitude_bias"].copy()

    def _selection(self, n_latents: int) -> Selection:
        return Gated()
