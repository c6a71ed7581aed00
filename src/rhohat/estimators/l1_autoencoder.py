"""The L1 autoencoder: a dictionary with ReLU codes whose L1 norm is kept small."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from os import PathLike
from typing import Any, ClassVar

from sklearn.utils._param_validation import Interval

from rhohat.common.randomness import RandomState
from rhohat.dictionaries.selections import L1, Selection
from rhohat.estimators.dictionary import BaseDictionary
from rhohat.estimators.documentation import document
from rhohat.estimators.named_parts import AT_LEAST_0
from rhohat.fitting.checkpoint_settings import Checkpoint
from rhohat.solvers import Callback, MiniBatchSolver

__all__ = ["L1Autoencoder"]

_EXPECTED_L0 = 32.0  # number of active latents at which the start aims if there is no target


@document
class L1Autoencoder(BaseDictionary):
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

    and the mean over rows of ½‖x̂ − x‖², summed over features, is minimised, with the
    penalty. The rows of W_dec have norm 1 if
    `decoder_norm` is true: the part of their gradient that would change the norm is removed, and they are scaled after
    each update. The initial W_enc is the transpose of W_dec, whose rows are random directions.

    In the auxiliary loss, the pre-activations of the n_features // 2 dead latents where they are largest in a row
    decode to ē, and α min(1, n_dead / (n_features // 2)) ½‖ē − (x − x̂)‖² is added, with x − x̂ held fixed.

    No array of (n_samples, n_components) is made, neither in training nor in `transform`.

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
    _is_thresholded: ClassVar[bool] = True
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseDictionary._parameter_constraints,
        "sparsity_weight": [AT_LEAST_0],
        "target_l0": [None, Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        n_components: int = 1024,
        *,
        sparsity_weight: float = 1.0,
        target_l0: float | None = None,
        auxiliary_weight: float = 1 / 32,
        dead_after: int = 200_000,
        normalize: str | None = "mean_norm",
        center: bool = True,
        decoder_norm: bool = False,
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
        return L1()

    @property
    def _expected_l0(self) -> float:
        return min(_EXPECTED_L0 if self.target_l0 is None else float(self.target_l0), float(self.n_components))

    def _penalty(self, n_features: int) -> tuple[float, float | None]:
        return float(self.sparsity_weight), self.target_l0
