"""The BatchTopK autoencoder: a dictionary of which a batch uses k latents a row, on average."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import ClassVar

from rhohat.common.randomness import RandomState
from rhohat.dictionaries.selections import BatchTopK, Selection
from rhohat.engines import EngineLike
from rhohat.estimators.dictionary_kinds import CountingDictionary
from rhohat.estimators.documentation import document
from rhohat.fitting.checkpoint_settings import Checkpoint
from rhohat.solvers import Callback, MiniBatchSolver

__all__ = ["BatchTopKAutoencoder"]


@document
class BatchTopKAutoencoder(CountingDictionary):
    """BatchTopK autoencoder: a dictionary of which a batch of rows uses k latents a row, on average.

    In training, the codes of a batch of m rows are its k m largest pre-activations, as far as they are positive, so
    that rows that are hard to reconstruct get more. Afterwards they are all that exceed `threshold_`.

    Parameters
    ----------
    n_components : int, default=1024
        Number of latents.
    k : float, default=32
        Mean number of active latents of a row, at most n_components; it need not be whole.
    {dictionary}

    Attributes
    ----------
    {fitted_dictionary}

    Notes
    -----
    With rows x, scaled by one factor or each by itself,

        a = (x − b_dec) W_enc + b_enc,    f = selection of a,    x̂ = f W_dec + b_dec

    and the mean over rows of ½‖x̂ − x‖², summed over features, is minimised.

    {dictionary_step}

    `threshold_` is an average of the smallest activation that each batch keeps, corrected for the start. What was
    before has the weight 1 − 20 / number of updates so far, at most 0.999, so that the average reaches back over about
    a twentieth of a training of fewer than 20,000 updates.

    References
    ----------
    Bussmann, B., Leask, P. and Nanda, N. (2024). BatchTopK sparse autoencoders. arXiv 2412.06410.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import BatchTopKAutoencoder
    >>> X = np.random.default_rng(0).standard_normal((500, 16))
    >>> dictionary = BatchTopKAutoencoder(32, k=4, max_iter=20, random_state=0).fit(X)
    >>> dictionary.transform(X).shape
    (500, 32)
    """

    command_line_name: ClassVar[str | None] = "batch-topk"

    def __init__(
        self,
        n_components: int = 1024,
        k: float = 32.0,
        *,
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

    def _selection(self, n_latents: int) -> Selection:
        self._check_k(n_latents)
        return BatchTopK(float(self.k))
