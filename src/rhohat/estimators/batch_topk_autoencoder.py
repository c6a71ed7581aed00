"""The BatchTopK autoencoder: a dictionary of which a batch uses k latents a row, on average."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from os import PathLike
from typing import Any, ClassVar

from sklearn.utils._param_validation import Interval

from rhohat.common.randomness import RandomState
from rhohat.dictionaries.selections import BatchTopK, Selection
from rhohat.estimators.dictionary import BaseDictionary
from rhohat.estimators.documentation import document
from rhohat.fitting.checkpoint_settings import Checkpoint
from rhohat.solvers import Callback, MiniBatchSolver

__all__ = ["BatchTopKAutoencoder"]


@document
class BatchTopKAutoencoder(BaseDictionary):
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

    and the mean over rows of ½‖x̂ − x‖², summed over features, is minimised. The rows of W_dec have norm 1 if
    `decoder_norm` is true: the part of their gradient that would change the norm is removed, and they are scaled after
    each update. The initial W_enc is the transpose of W_dec, whose rows are random directions.

    In the auxiliary loss, the pre-activations of the n_features // 2 dead latents where they are largest in a row
    decode to ē, and α min(1, n_dead / (n_features // 2)) ½‖ē − (x − x̂)‖² is added, with x − x̂ held fixed.

    No array of (n_samples, n_components) is made, neither in training nor in `transform`.

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
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseDictionary._parameter_constraints,
        "k": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        n_components: int = 1024,
        k: float = 32.0,
        *,
        auxiliary_weight: float = 1 / 32,
        dead_after: int = 200_000,
        normalize: str | None = "mean_norm",
        center: bool = True,
        decoder_norm: bool = True,
        solver: str | MiniBatchSolver | None = None,
        max_iter: int = 10,
        sparse_output: bool = True,
        warm_start: bool = False,
        random_state: RandomState = None,
        n_jobs: int | None = None,
        memory_limit: int | str | None = None,
        checkpoint: str | PathLike[str] | Checkpoint | None = None,
        callbacks: Sequence[Callback] | None = None,
        verbose: int = 0,
    ) -> None:
        self._store(locals())

    def _selection(self, n_latents: int) -> Selection:
        if self.k > n_latents:
            raise ValueError(f"k={self.k} must not exceed n_components={n_latents}.")
        return BatchTopK(float(self.k))

    @property
    def _expected_l0(self) -> float:
        return float(self.k)
