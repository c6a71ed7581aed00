"""The feedforward classifier: a network of any depth whose outputs are probabilities of classes."""

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
from rhohat.layers.architecture import LayerDescription
from rhohat.solvers import Callback, Solver
from rhohat.terms.corruption import Corruption
from rhohat.terms.losses import Loss
from rhohat.terms.penalties import Penalty

__all__ = ["FeedforwardClassifier"]


@document
class FeedforwardClassifier(BaseClassifier):
    """Feedforward network for classification, with any number of hidden layers, trained by backpropagation.

    Minimises, with a_i the outputs and t_i the targets of row i,

        J = 1/m Σ_i loss(a_i, t_i)  +  λ/2 Σ_l ‖W^(l)‖²  +  τ/2m Σ_i Σ_k ‖∂a_i/∂x_i · τ_ik‖²

    Parameters
    ----------
    hidden_layer_sizes : sequence of int, default=(100,)
        Number of units in each hidden layer; () for no hidden layers.
    {layers}
    {network}
        A sequence gives one activation for each hidden layer.
    output_activation : {"auto", "softmax", "sigmoid", "tanh", ...} or Activation, default="auto"
        Activation of the output units. There is one unit for each class, or a single unit for two classes if the
        activation is not softmax. Targets are 0 and 1, or −1 and +1 for tanh units. "auto" means the activation that
        the loss contains, or softmax if the loss contains none.
    loss : {"auto", "softmax_cross_entropy", "binary_cross_entropy", "squared_error", ...} or Loss, default="auto"
        Cost of the outputs for a row. "auto" means cross-entropy for softmax outputs, and squared error for others.
        `LabelNoiseCrossEntropy(epsilon)`, with sigmoid output units, assumes that a fraction ε of the labels is wrong.
    weight_decay : float, default=1e-4
        λ, the weight of the weight decay; not negative.
    tangent_weight : float, default=0.0
        τ, not negative: the weight of the penalty on changes of the outputs along the tangents that `fit` receives.
    penalties : sequence of Penalty, or a single one, default=()
        Further penalties that are added to J.
    {noise}
    {class_weight}
    {training}

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        The class labels, sorted.
    {targets}
    n_outputs_ : int
        Number of output units.
    {fitted}

    {warning}

    References
    ----------
    Bishop, C. M. (2006). Pattern Recognition and Machine Learning, chapter 5.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from rhohat import FeedforwardClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = FeedforwardClassifier(hidden_layer_sizes=(5,), max_iter=2000, random_state=0).fit(X, y)
    >>> classifier.score(X, y) > 0.97
    True
    """

    command_line_name: ClassVar[str | None] = "classifier"

    def __init__(
        self,
        *,
        hidden_layer_sizes: Sequence[int] = (100,),
        layers: Sequence[LayerDescription | int] | None = None,
        input_shape: Sequence[int] | None = None,
        activation: str | Activation | Sequence[str | Activation] = "sigmoid",
        output_activation: str | Activation = "auto",
        loss: str | Loss = "auto",
        weight_decay: float = 1e-4,
        tangent_weight: float = 0.0,
        penalties: Sequence[Penalty] | Penalty = (),
        corruption: str | Corruption | None = None,
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

    def _described_layers(self) -> Sequence[LayerDescription | int] | None:
        return self.layers
