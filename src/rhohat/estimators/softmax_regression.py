"""Softmax regression, a linear classifier for raw rows or learned features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, ClassVar

from numpy.typing import ArrayLike

from rhohat.common.randomness import RandomState
from rhohat.engines import EngineLike
from rhohat.estimators.classifier import BaseClassifier
from rhohat.estimators.documentation import document
from rhohat.fitting.checkpoint_settings import Checkpoint
from rhohat.layers.activations import Activation
from rhohat.layers.network import Network
from rhohat.solvers import Callback, Solver
from rhohat.terms.penalties import Penalty

__all__ = ["SoftmaxRegression"]


@document
class SoftmaxRegression(BaseClassifier):
    """Softmax regression, or multinomial logistic regression: a network without hidden layers.

    Minimises, with p_ik = exp(z_ik) / Σ_j exp(z_ij) and z = x W + b,

        J = −1/m Σ_i ln p_i,y_i  +  λ/2 ‖W‖²

    This function is convex, so every solver finds the same minimum.

    Parameters
    ----------
    weight_decay : float, default=1e-4
        λ, the weight of the weight decay; not negative. scikit-learn's `LogisticRegression` is the same model with
        C = 1 / (λ n_samples).
    tangent_weight : float, default=0.0
        Weight of the penalty on changes of the outputs along the tangents that `fit` receives; not negative.
    penalties : sequence of Penalty, or a single one, default=()
        Further penalties that are added to J.
    {class_weight}
    {training}

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        The class labels, sorted.
    {targets}
    n_outputs_ : int
        Number of output units, one for each class.
    {fitted}

    {warning}

    References
    ----------
    Ng, A., Ngiam, J., Foo, C. Y., Mai, Y. and Suen, C. (2011). Softmax regression. UFLDL tutorial.
    Bishop, C. M. (2006). Pattern Recognition and Machine Learning, section 4.3.4.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from rhohat import SoftmaxRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> SoftmaxRegression(max_iter=2000, random_state=0).fit(X, y).score(X, y) > 0.97
    True
    """

    command_line_name: ClassVar[str | None] = "softmax"
    hidden_layer_sizes: Sequence[int] = ()
    activation: str | Activation | Sequence[str | Activation] = "identity"

    def _check_architecture(self, network: Network) -> None:
        if network.n_layers != 1:
            raise ValueError(
                f"a softmax regression has no hidden layers; it cannot have layers of the sizes {network.layer_sizes}."
            )

    def __init__(
        self,
        *,
        weight_decay: float = 1e-4,
        tangent_weight: float = 0.0,
        penalties: Sequence[Penalty] | Penalty = (),
        class_weight: Mapping[Any, float] | str | None = None,
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
