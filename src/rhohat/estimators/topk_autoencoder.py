"""The TopK autoencoder: a dictionary of which each row uses the k latents that are largest."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any, ClassVar

from rhohat.common.randomness import RandomState
from rhohat.dictionaries.selections import Selection, TopK
from rhohat.engines import EngineLike
from rhohat.estimators.dictionary_kinds import CountingDictionary
from rhohat.estimators.documentation import document
from rhohat.estimators.named_parts import AT_LEAST_1
from rhohat.fitting.checkpoint_settings import Checkpoint
from rhohat.solvers import Callback, MiniBatchSolver

__all__ = ["TopKAutoencoder"]


@document
class TopKAutoencoder(CountingDictionary):
    """TopK autoencoder: a dictionary of which each row uses k latents.

    The codes of a row are its k largest pre-activations, as far as they are positive.

    Parameters
    ----------
    n_components : int, default=1024
        Number of latents.
    k : int, default=32
        Number of active latents of a row, at most n_components.
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

    References
    ----------
    Gao, L., Dupré la Tour, T., Tillman, H., Goh, G., Troll, R., Radford, A., Sutskever, I., Leike, J. and Wu, J.
    (2024). Scaling and evaluating sparse autoencoders. arXiv 2406.04093.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import TopKAutoencoder
    >>> X = np.random.default_rng(0).standard_normal((500, 16))
    >>> dictionary = TopKAutoencoder(32, k=4, max_iter=20, random_state=0).fit(X)
    >>> dictionary.transform(X).shape
    (500, 32)
    """

    command_line_name: ClassVar[str | None] = "topk"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **CountingDictionary._parameter_constraints,
        "k": [AT_LEAST_1],
    }

    def __init__(
        self,
        n_components: int = 1024,
        k: int = 32,
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
        return TopK(int(self.k))
