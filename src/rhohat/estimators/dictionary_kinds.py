"""Base classes of two kinds of dictionaries: of those that use so many latents, and of those that penalise them."""

from __future__ import annotations

from numbers import Real
from typing import Any, ClassVar

from sklearn.utils._param_validation import Interval, InvalidParameterError

from rhohat.common.words import Sentence, Setting
from rhohat.estimators.dictionary import BaseDictionary
from rhohat.estimators.named_parts import AT_LEAST_0

__all__ = ["CountingDictionary", "PenalisedDictionary"]

_EXPECTED_L0 = 32.0  # number of active latents at which the start aims if there is no target


class CountingDictionary(BaseDictionary):
    """Base class of dictionaries of which a row uses k latents, each or on average."""

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseDictionary._parameter_constraints,
        "k": [Interval(Real, 0, None, closed="neither")],
    }

    k: float

    def _check_k(self, n_latents: int) -> None:
        """Raise InvalidParameterError if there are fewer latents than a row is to use."""
        if self.k > n_latents:
            too_many, all_latents = Setting("k", self.k, in_use=True), Setting("n_components", n_latents, in_use=True)
            raise InvalidParameterError(Sentence(too_many, " must not exceed ", all_latents, "."))

    @property
    def _expected_l0(self) -> float:
        return float(self.k)


class PenalisedDictionary(BaseDictionary):
    """Base class of dictionaries in which a penalty decides how many latents a row uses."""

    _is_thresholded: ClassVar[bool] = True
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseDictionary._parameter_constraints,
        "sparsity_weight": [AT_LEAST_0],
        "target_l0": [None, Interval(Real, 0, None, closed="neither")],
    }

    sparsity_weight: float | None
    target_l0: float | None

    @property
    def _expected_l0(self) -> float:
        return min(_EXPECTED_L0 if self.target_l0 is None else float(self.target_l0), float(self.n_components))

    def _penalty(self, n_features: int) -> tuple[float, float | None]:
        assert self.sparsity_weight is not None
        return float(self.sparsity_weight), self.target_l0
