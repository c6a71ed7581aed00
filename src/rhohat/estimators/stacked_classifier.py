"""The stacked autoencoder as a classifier: greedy pre-training, a softmax on top, and fine-tuning of the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from os import PathLike
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from rhohat.common.randomness import RandomState, keyed_generator
from rhohat.data import RowSource
from rhohat.engines import EngineLike, ThreadEngine
from rhohat.estimators.autoencoder import BaseAutoencoder
from rhohat.estimators.availability import available_where, works_in_mini_batches
from rhohat.estimators.base import BaseNetwork
from rhohat.estimators.class_weights import numbers_of_classes
from rhohat.estimators.classifier import BaseClassifier
from rhohat.estimators.documentation import document
from rhohat.estimators.model_parts import ModelReader, ModelWriter
from rhohat.estimators.named_parts import AT_LEAST_0
from rhohat.estimators.softmax_regression import SoftmaxRegression
from rhohat.estimators.stacked_autoencoder import HasLayers, StackedAutoencoder, check_layers
from rhohat.fitting.checkpoint_settings import Checkpoint
from rhohat.fitting.problems import check_solver
from rhohat.layers.activations import Activation
from rhohat.objective import Problem
from rhohat.solvers import Callback, Solver, SolverResult, as_solver
from rhohat.terms.corruption import Corruption
from rhohat.terms.penalties import Penalty, WeightDecay

__all__ = ["StackedAutoencoderClassifier"]


def _may_be_tuned_further(classifier: StackedAutoencoderClassifier) -> bool:
    if hasattr(classifier, "coefs_"):
        return works_in_mini_batches(classifier)
    raise AttributeError("partial_fit can only be called after fit, because the pre-training needs all rows at once.")


@document
class StackedAutoencoderClassifier(HasLayers, BaseClassifier):
    """Stacked autoencoder with a softmax on top: pre-trained layer by layer without labels, fine-tuned with labels.

    1. Pre-training: the layers are trained greedily on X with the sample weights, as in `StackedAutoencoder`.
    2. A softmax regression is trained on the codes of the last layer.
    3. Fine-tuning: the layers and the softmax are trained further as one network, with the cross-entropy of the labels,
       and on corrupted rows if `corruption` is given.

    Each of the three steps has its own weight decay. The defaults are as in the exercise of the UFLDL course.

    Parameters
    ----------
    layers : sequence of autoencoders, default=None
        Unfitted autoencoders of any of rhohat's classes; the fit clones them. Their parameters, including weight decay
        and sparsity, determine the pre-training. None means two sparse autoencoders of 200 units with ρ = 0.1, β = 3
        and λ = 3e-3.
    softmax_weight_decay : float, default=1e-4
        λ, the weight of the weight decay in the softmax regression on the codes; not negative.
    fine_tuning_weight_decay : float, default=3e-3
        λ, not negative: the weight of the weight decay in the fine-tuning, which acts on the weights of the softmax
        only; ``penalties=[WeightDecay(1e-4)]`` acts on the weights of all layers.
    tangent_weight : float, default=0.0
        Weight, in the fine-tuning, of the penalty on changes of the outputs along the tangents that `fit` receives; not
        negative.
    penalties : sequence of Penalty, or a single one, default=()
        Further penalties that are added to J in the fine-tuning.
    {noise}
    {class_weight}
    {training}
        `solver` and the parameters after it apply to the softmax regression and the fine-tuning; every layer has
        parameters of its own. The softmax regression has no penalty except its weight decay; `tangent_weight`,
        `penalties` and `corruption` apply only to the fine-tuning.

    Attributes
    ----------
    autoencoder_ : StackedAutoencoder
        The stack as it was before fine-tuning.
    softmax_ : SoftmaxRegression
        The softmax regression that was fitted on the codes of `autoencoder_`.
    accuracy_before_, accuracy_after_ : float
        Fraction of the training rows that are classified correctly before and after fine-tuning. For other rows, use
        `softmax_.score(autoencoder_.transform(X), y)` and `score(X, y)`.
    classes_ : array of shape (n_classes,)
        The class labels, sorted.
    {targets}
    n_outputs_ : int
        Number of output units, one for each class.
    {fitted}

    {warning}

    References
    ----------
    Ng, A., Ngiam, J., Foo, C. Y., Mai, Y. and Suen, C. (2011). Stacked autoencoders. UFLDL tutorial.
    Hinton, G. E. and Salakhutdinov, R. R. (2006). Reducing the dimensionality of data with neural networks. Science
    313, 504-507.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.preprocessing import minmax_scale
    >>> from rhohat import SparseAutoencoder, StackedAutoencoderClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> layers = [SparseAutoencoder(n_components=8, sparsity=0.1, tol=1e-3)]
    >>> classifier = StackedAutoencoderClassifier(layers, max_iter=2000, random_state=0).fit(minmax_scale(X), y)
    >>> classifier.accuracy_before_ <= classifier.accuracy_after_
    True
    """

    command_line_name: ClassVar[str | None] = "stacked-classifier"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseClassifier._parameter_constraints,
        "layers": [None, list, tuple],
        "softmax_weight_decay": [AT_LEAST_0],
        "fine_tuning_weight_decay": [AT_LEAST_0],
    }

    def __init__(
        self,
        layers: Sequence[BaseAutoencoder] | None = None,
        *,
        softmax_weight_decay: float = 1e-4,
        fine_tuning_weight_decay: float = 3e-3,
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

    @available_where(_may_be_tuned_further)
    def partial_fit(
        self,
        X: ArrayLike | RowSource,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        tangents: ArrayLike | None = None,
    ) -> Self:
        """Fine-tune a fitted classifier for one more epoch; see `FeedforwardClassifier.partial_fit`."""
        return super().partial_fit(X, y, classes, sample_weight, tangents)

    def fitted_parts(self) -> list[tuple[str, BaseNetwork]]:
        """Return the layers, the softmax regression on their codes, and the classifier itself as the fine-tuning."""
        check_is_fitted(self)
        parts: list[tuple[str, BaseNetwork]] = [("fine-tuning", self)]
        if hasattr(self, "autoencoder_"):  # missing if the weights were given, not learned
            parts = [*self.autoencoder_.fitted_parts(), ("softmax", self.softmax_), *parts]
        return parts

    _keys_of_learned: ClassVar[tuple[str, ...]] = (
        *BaseClassifier._keys_of_learned,
        *("autoencoder", "softmax", "accuracies"),
    )

    def _describe_learned(self, file: ModelWriter, prefix: str) -> dict[str, Any]:
        return {
            **super()._describe_learned(file, prefix),
            "autoencoder": file.model(self.autoencoder_, f"{prefix}autoencoder_."),
            "softmax": file.model(self.softmax_, f"{prefix}softmax_."),
            "accuracies": [self.accuracy_before_, self.accuracy_after_],
        }

    def _restore_learned(self, file: ModelReader, described: dict[str, Any], prefix: str) -> None:
        super()._restore_learned(file, described, prefix)
        parts = [file.get(described, name, dict) for name in ("autoencoder", "softmax")]
        self.autoencoder_ = file.model(parts[0], f"{prefix}autoencoder_.", BaseAutoencoder)
        self.softmax_ = file.model(parts[1], f"{prefix}softmax_.", SoftmaxRegression)
        accuracies = file.get(described, "accuracies", list)
        if len(accuracies) != 2 or not all(isinstance(accuracy, int | float) for accuracy in accuracies):
            raise ValueError("the description of the model must have two accuracies, which are numbers.")
        self.accuracy_before_, self.accuracy_after_ = accuracies

    def _weight_decay(self) -> WeightDecay:
        return WeightDecay(self.fine_tuning_weight_decay, layers=(-1,))

    def _hidden_layers(self) -> tuple[tuple[int, ...], list[Activation]]:
        stack = StackedAutoencoder(check_layers(self.layers))
        sizes = stack._encoder_sizes()
        return sizes, stack._hidden_activations(len(sizes))

    def _train_classifier(
        self,
        problem: Problem,
        X: ArrayLike | RowSource,
        labels: NDArray[np.generic],
        continues: bool,
        also: dict[str, Any],
    ) -> SolverResult:
        if continues:
            start = self._start(problem.network, self.theta_, part="fine-tuning")
            result = self._train(problem, X, start, continues=True, also=also, classes=numbers_of_classes(labels))
            self.accuracy_after_ = self._accuracy(problem, labels)
            return result
        ThreadEngine(self.n_jobs)
        check_solver(problem, as_solver(self.solver))
        self._fit()  # raises an error for impossible settings before the first layer is trained
        seed = self._keep_seed({"X": problem.X, "y": problem.y})
        autoencoder = StackedAutoencoder(
            check_layers(self.layers),
            random_state=int(keyed_generator(seed, "pre-training").integers(2**31)),
            n_jobs=self.n_jobs,
            **self._pass_on("pre-training"),
        )
        autoencoder._is_part = True
        autoencoder.fit(problem.X, sample_weight=problem.sample_weight)
        with ExitStack() as files:
            codes = self._codes(autoencoder, problem.X, problem.X, files)
            softmax = SoftmaxRegression(
                weight_decay=self.softmax_weight_decay,
                solver=self.solver,
                initial_weights=self.initial_weights,
                max_iter=self.max_iter,
                tol=self.tol,
                early_stopping=self.early_stopping,
                validation_fraction=self.validation_fraction,
                n_iter_no_change=self.n_iter_no_change,
                callbacks=self.callbacks,
                random_state=int(keyed_generator(seed, "softmax").integers(2**31)),
                n_jobs=self.n_jobs,
                verbose=self.verbose,
                **self._pass_on("softmax"),
            )
            softmax._is_part = True
            softmax.fit(codes, labels, problem.sample_weight)
            accuracy_before = softmax.score(codes, labels, problem.sample_weight)
        depth = problem.network.n_layers - 1
        theta = problem.network.pack(
            [*autoencoder.coefs_[:depth], *softmax.coefs_],
            [*autoencoder.intercepts_[:depth], *softmax.intercepts_],
            [*autoencoder.activation_parameters_[:depth], *softmax.activation_parameters_],
        )
        also |= {"autoencoder_": autoencoder, "softmax_": softmax, "accuracy_before_": accuracy_before}
        start = self._start(problem.network, theta, seed, part="fine-tuning")
        result = self._train(problem, X, start, continues=False, also=also, classes=numbers_of_classes(labels))
        self.accuracy_after_ = self._accuracy(problem, labels)
        return result

    def _accuracy(self, problem: Problem, labels: NDArray[np.generic]) -> float:
        """Return the (weighted) fraction of training rows whose most probable class is the true class."""
        hit = self._class_numbers(problem.X) == np.unique(labels, return_inverse=True)[1]
        return float(np.average(hit, weights=problem.sample_weight))
