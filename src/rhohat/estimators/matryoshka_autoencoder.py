"""The Matryoshka autoencoder: a dictionary whose prefixes are dictionaries, too."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from numbers import Integral
from os import PathLike
from typing import Any, ClassVar

from rhohat.common.exceptions import SettingError
from rhohat.common.randomness import RandomState
from rhohat.common.words import Sentence, Setting
from rhohat.dictionaries.selections import Matryoshka, Selection
from rhohat.engines import EngineLike
from rhohat.estimators.dictionary_kinds import CountingDictionary
from rhohat.estimators.documentation import document
from rhohat.fitting.checkpoint_settings import Checkpoint
from rhohat.solvers import Callback, MiniBatchSolver

__all__ = ["MatryoshkaAutoencoder"]


@document
class MatryoshkaAutoencoder(CountingDictionary):
    """Matryoshka autoencoder: a dictionary whose prefixes reconstruct the rows, too.

    The codes are those of `BatchTopKAutoencoder`. Each of several nested prefixes of the dictionary reconstructs the
    rows, and their errors are averaged, so that general features come first, and are not absorbed by special ones.

    Parameters
    ----------
    n_components : int, default=1024
        Number of latents.
    k : float, default=32
        Mean number of active latents of a row, at most n_components; it need not be whole.
    prefixes : sequence of int, default=None
        Rising numbers of latents in the prefixes, of which the last is n_components. None means a sixteenth, an eighth,
        a quarter, half and all of the latents.
    {dictionary}

    Attributes
    ----------
    {fitted_dictionary}

    Notes
    -----
    With rows x, scaled by one factor or each by itself,

        a = (x − b_dec) W_enc + b_enc,    f = selection of a,    x̂ = f W_dec + b_dec

    and the mean over rows of ½‖x̂ − x‖², summed over features, is minimised; with prefixes, the mean over them of these
    errors.

    {dictionary_step}

    References
    ----------
    Bussmann, B., Nabeshima, N., Karvonen, A. and Nanda, N. (2025). Learning multi-level features with Matryoshka sparse
    autoencoders. arXiv 2503.17547.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import MatryoshkaAutoencoder
    >>> X = np.random.default_rng(0).standard_normal((500, 16))
    >>> dictionary = MatryoshkaAutoencoder(32, k=4, max_iter=20, random_state=0).fit(X)
    >>> dictionary.transform(X).shape
    (500, 32)
    """

    command_line_name: ClassVar[str | None] = "matryoshka"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **CountingDictionary._parameter_constraints,
        "prefixes": ["array-like", None],
    }

    def __init__(
        self,
        n_components: int = 1024,
        k: float = 32.0,
        *,
        prefixes: Sequence[int] | None = None,
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
        if self.prefixes is None:
            return Matryoshka(float(self.k), tuple(sorted({max(1, n_latents // part) for part in (16, 8, 4, 2, 1)})))
        sizes = list(self.prefixes)
        are_whole = all(isinstance(size, Integral) for size in sizes)
        if not sizes or not are_whole or sizes[-1] != n_latents or any(b <= a for a, b in pairwise([0, *sizes])):
            raise SettingError(
                Sentence(
                    *(Setting("prefixes"), " must be positive integers that rise, up to "),
                    *(Setting("n_components", n_latents, in_use=True), f"; got {self.prefixes}."),
                )
            )
        return Matryoshka(float(self.k), tuple(int(size) for size in sizes))
