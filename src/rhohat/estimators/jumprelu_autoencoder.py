"""The JumpReLU autoencoder: a dictionary whose latents have thresholds that are learned."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from os import PathLike
from typing import Any, ClassVar

from sklearn.utils._param_validation import Interval

from rhohat.common.arrays import FloatArray
from rhohat.common.randomness import RandomState
from rhohat.dictionaries.selections import JumpReLU, Selection
from rhohat.engines import EngineLike
from rhohat.estimators.dictionary_kinds import PenalisedDictionary
from rhohat.estimators.documentation import document
from rhohat.estimators.named_parts import AT_LEAST_0
from rhohat.fitting.checkpoint_settings import Checkpoint
from rhohat.solvers import Callback, MiniBatchSolver

__all__ = ["JumpReLUAutoencoder"]


@document
class JumpReLUAutoencoder(PenalisedDictionary):
    """JumpReLU autoencoder: a dictionary whose latents have thresholds that are learned.

    The codes are f = a where a > θ_j, else 0. The number of active latents of a row is penalised with the weight λ or,
    with a target L0*, the mean number L0 of a batch with λ (L0/L0* − 1)².

    Parameters
    ----------
    n_components : int, default=1024
        Number of latents.
    sparsity_weight : float or None, default=None
        Weight λ of the penalty, not negative. None means half the number of features with a target, which is about what
        the error of a row is at the start, and 1 without one.
    target_l0 : float or None, default=32.0
        Mean number of active latents of a row towards which the penalty draws; None means that their number itself is
        penalised.
    bandwidth : float, default=0.05
        Width ε of the window around a threshold within which pre-activations change it; positive.
    {dictionary}

    Attributes
    ----------
    thresholds_ : array of shape (n_components,)
        Learned threshold θ_j of each latent, to which `transform` compares the pre-activations of rows as they are.
    {fitted_dictionary}

    Notes
    -----
    With rows x, scaled by one factor or each by itself,

        a = (x − b_dec) W_enc + b_enc,    f = selection of a,    x̂ = f W_dec + b_dec

    and the mean over rows of ½‖x̂ − x‖², summed over features, is minimised, with the penalty.

    {dictionary_step}

    The derivatives by thresholds are pseudo-gradients: −(θ/ε) K((a − θ)/ε) of a code, −(1/ε) K((a − θ)/ε) of the number
    of active latents, where K(u) is 1 for −½ < u < ½, else 0.

    References
    ----------
    Rajamanoharan, S., Lieberum, T., Sonnerat, N., Conmy, A., Varma, V., Kramár, J. and Nanda, N. (2024). Jumping ahead:
    improving reconstruction fidelity with JumpReLU sparse autoencoders. arXiv 2407.14435.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import JumpReLUAutoencoder
    >>> X = np.random.default_rng(0).standard_normal((500, 16))
    >>> dictionary = JumpReLUAutoencoder(32, target_l0=8, max_iter=200, random_state=0).fit(X)
    >>> dictionary.transform(X).shape
    (500, 32)
    """

    command_line_name: ClassVar[str | None] = "jumprelu"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **PenalisedDictionary._parameter_constraints,
        "sparsity_weight": [AT_LEAST_0, None],
        "bandwidth": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        n_components: int = 1024,
        *,
        sparsity_weight: float | None = None,
        target_l0: float | None = 32.0,
        bandwidth: float = 0.05,
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
    def thresholds_(self) -> FloatArray:
        """Learned threshold of each latent, of shape (n_components,); a latent is active above it.

        The pre-activations that are compared are (x − b) W_enc + b_enc of rows as they are, with `coefs_` and
        `intercepts_`.
        """
        problem, theta = self._in_use()
        return problem.layout.views(theta).of_latents["threshold"].copy()

    def _selection(self, n_latents: int) -> Selection:
        return JumpReLU(float(self.bandwidth), target_l0=self.target_l0)

    def _penalty(self, n_features: int) -> tuple[float, float | None]:
        if self.sparsity_weight is not None:
            return float(self.sparsity_weight), None
        return (1.0 if self.target_l0 is None else n_features / 2), None
