"""The convolutional classifier: a network of convolutions, pooling and dense layers for images and sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any, ClassVar

from numpy.typing import ArrayLike

from rhohat.common.randomness import RandomState
from rhohat.engines import EngineLike
from rhohat.estimators.classifier import BaseClassifier
from rhohat.estimators.documentation import document
from rhohat.estimators.shaped_rows import Convolves
from rhohat.fitting.checkpoint_settings import Checkpoint
from rhohat.layers.activations import Activation
from rhohat.layers.architecture import Convolution, Dense, LayerDescription
from rhohat.solvers import Callback, Solver
from rhohat.terms.corruption import Corruption
from rhohat.terms.losses import Loss
from rhohat.terms.penalties import Penalty

__all__ = ["ConvolutionalClassifier"]

_DEFAULT = (Convolution(16, 5, stride=2, padding="same"), Convolution(32, 5, stride=2, padding="same"), Dense(100))


@document
class ConvolutionalClassifier(Convolves, BaseClassifier):
    """Convolutional network for classification of images and sequences, trained by backpropagation.

    Minimises, with a_i the outputs and t_i the targets of row i,

        J = 1/m Σ_i loss(a_i, t_i)  +  λ/2 Σ_l ‖W^(l)‖²  +  τ/2m Σ_i Σ_k ‖∂a_i/∂x_i · τ_ik‖²

    Parameters
    ----------
    layers : sequence of layers, default=None
        The hidden layers, such as ``[Convolution(20, 5), MaxPooling(2), Dense(500, "tanh")]``. None means two
        convolutions with a kernel of 5 and a stride of 2, of 16 and 32 channels, and a dense layer of 100 units.
    input_shape : tuple of int, default=None
        Shape of a row: (height, width, channels) for images, or (steps, channels) for sequences. If None, it is
        taken from X, of shape (n_samples, height, width) or (n_samples, height, width, channels); if the rows of X are
        flat, each is a sequence of one channel.
    {network}
    output_activation : {"auto", "softmax", "sigmoid", "tanh", ...} or Activation, default="auto"
        Activation of the output units; see `FeedforwardClassifier`.
    loss : {"auto", "softmax_cross_entropy", "binary_cross_entropy", "squared_error", ...} or Loss, default="auto"
        "auto" means cross-entropy for a softmax output, else squared error.
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
    input_shape_ : tuple of int
        Shape of a row of the fit.
    {fitted}

    {warning}

    References
    ----------
    LeCun, Y., Bottou, L., Bengio, Y. and Haffner, P. (1998). Gradient-based learning applied to document recognition.
    Proceedings of the IEEE 86, 2278-2324.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from rhohat import Convolution, ConvolutionalClassifier, MaxPooling
    >>> digits = load_digits()
    >>> layers = [Convolution(16, 3), MaxPooling(2), 50]
    >>> classifier = ConvolutionalClassifier(layers=layers, solver="lbfgs", max_iter=60, tol=0.01, random_state=0)
    >>> classifier.fit(digits.images / 16, digits.target).score(digits.images / 16, digits.target) > 0.99
    True
    """

    command_line_name: ClassVar[str | None] = "convolutional-classifier"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseClassifier._parameter_constraints,
        **Convolves._constraints,
    }

    def __init__(
        self,
        *,
        layers: Sequence[LayerDescription | int] | None = None,
        input_shape: Sequence[int] | None = None,
        activation: str | Activation = "relu",
        output_activation: str | Activation = "auto",
        loss: str | Loss = "auto",
        weight_decay: float = 1e-4,
        tangent_weight: float = 0.0,
        penalties: Sequence[Penalty] | Penalty = (),
        corruption: str | Corruption | None = None,
        class_weight: Mapping[Any, float] | str | None = None,
        solver: str | Solver = "adam",
        initial_weights: str | Sequence[ArrayLike] = "uniform",
        max_iter: int = 100,
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
        return _DEFAULT if self.layers is None else self.layers
