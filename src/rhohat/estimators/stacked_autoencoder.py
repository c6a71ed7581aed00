"""The stacked autoencoder: autoencoders trained one after the other, each on the codes of the previous one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from os import PathLike
from typing import Any, ClassVar, Self

from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from rhohat.common.arrays import FloatArray
from rhohat.common.exceptions import SettingError
from rhohat.common.randomness import RandomState, keyed_generator
from rhohat.data import RowSource
from rhohat.data.rows import DaskRows, FlatRows
from rhohat.engines import EngineLike, ThreadEngine
from rhohat.estimators.autoencoder import BaseAutoencoder
from rhohat.estimators.base import BaseNetwork
from rhohat.estimators.checks import check_rows, warn_unless_converged
from rhohat.estimators.documentation import document
from rhohat.estimators.model_parts import ModelReader, ModelWriter
from rhohat.estimators.sparse_autoencoder import SparseAutoencoder
from rhohat.fitting.checkpoint_settings import Checkpoint, as_checkpoint
from rhohat.layers.activations import Activation
from rhohat.layers.network import Network, dense_network
from rhohat.objective import Objective, Problem
from rhohat.terms.losses import as_loss

__all__ = ["HasLayers", "StackedAutoencoder", "check_layers"]


class HasLayers:
    """Base class of estimators whose parameter `layers` is a sequence of autoencoders."""

    layers: Sequence[BaseAutoencoder] | None
    engine: EngineLike
    memory_limit: int | str | None
    checkpoint: str | PathLike[str] | Checkpoint | None

    #: If the codes of a row source need more bytes than this, they are kept in a file instead of in memory.
    _most_bytes_of_codes: ClassVar[int] = 2**28

    @classmethod
    def from_weights(cls, *arrays: Any, **parameters: Any) -> Self:
        """Raise ValueError, since weights alone do not determine the fitted layers of a stack."""
        raise ValueError(
            f"a {cls.__name__} cannot be made from weights, because they do not determine its layers, which are fitted"
            " one after the other; use DeepAutoencoder.from_weights, or FeedforwardClassifier.from_weights for a"
            " classifier."
        )

    def initial_theta(self, X: ArrayLike | RowSource, y: object = None) -> FloatArray:
        """Raise ValueError, since each layer of a stack has its own start; see the `initial_theta` of a layer."""
        raise ValueError(
            "a stack has no initial theta as a whole, because its layers are trained one after the other, each on the"
            " codes of the layer below; use initial_theta of the first layer."
        )

    def _exceed_memory(self, X: FloatArray | RowSource, n_units: int) -> bool:
        """Return whether codes of `n_units` units go to a file; they do not if X is in memory and there is no limit."""
        if self.memory_limit is not None:
            return True
        return isinstance(X, RowSource) and X.shape[0] * n_units * X.dtype.itemsize > self._most_bytes_of_codes

    def _pass_on(self, part: str) -> dict[str, Any]:
        """Return the parameters that this estimator passes on to the estimator that does a part of its fit."""
        passed_on: dict[str, Any] = {"engine": self.engine, "memory_limit": self.memory_limit}
        passed_on = {name: value for name, value in passed_on.items() if value is not None}
        checkpoint = as_checkpoint(self.checkpoint)
        if checkpoint is not None:
            passed_on["checkpoint"] = checkpoint.of_part(part)
        return passed_on

    def _codes(
        self, autoencoder: BaseAutoencoder, X: Any, rows: FloatArray | RowSource, files: ExitStack
    ) -> FloatArray | RowSource:
        """Return the codes of rows, in memory or in a temporary file.

        Parameters
        ----------
        autoencoder : BaseAutoencoder
            A fitted autoencoder.
        X : array or RowSource of shape (n_samples, n_features)
            Rows to which the autoencoder was fitted.
        rows : array or RowSource
            Rows to which the stack is fitted; their type decides whether codes may go to a file.
        files : ExitStack
            Context that deletes the temporary file when the context ends.
        """
        n_units = autoencoder._n_features_out
        if isinstance(X, DaskRows) or not self._exceed_memory(rows, n_units):
            codes: FloatArray = autoencoder.transform(X)
            return codes
        blocks = (codes for _, codes in autoencoder.forward_pass(X, 0, autoencoder.code_layer_).in_order())
        return files.enter_context(FlatRows.written(blocks, "the codes of a layer", (X.shape[0], n_units), X.dtype))


@document
class StackedAutoencoder(HasLayers, BaseAutoencoder):
    """Stacked autoencoder: learns layers of features greedily, each from the codes of the layer below.

    The first autoencoder learns from the rows, the second from the codes of the first, and so on. Then the encoders in
    this order and the decoders in reverse order are joined into one deep network, through which `transform`,
    `inverse_transform` and `reconstruct` pass rows.

    Parameters
    ----------
    layers : sequence of autoencoders, default=None
        Unfitted autoencoders of any of rhohat's classes; the fit clones them. In a grid search, their parameters have
        names such as ``layers__0__n_components``. None means two sparse autoencoders of 200 units with ρ = 0.1, β = 3
        and λ = 3e-3, as in the exercise of the UFLDL course.
    random_state : int, RandomState, Generator or None, default=None
        Source of random numbers for the layers whose own `random_state` is None.
    n_jobs : int, default=None
        Number of threads in `transform` and similar methods; the fit of each layer uses the layer's `n_jobs`.
    engine : DaskEngine or None, default=None
        Dask cluster whose workers evaluate the cost. If None, threads of this process do so. This parameter and the
        following parameters are passed on to the layers.
    {large}
        If there is a limit, the codes of each layer are kept in a temporary file.

    Attributes
    ----------
    autoencoders_ : list of autoencoders
        The fitted layers; their attributes, such as `loss_curve_`, describe the training.
    {code}
    coefs_, intercepts_, activation_parameters_, network_, theta_
        Parameters and architecture of the deep network: encoders first, then decoders.
    n_samples_fit_, data_name_
        Number of the rows with a weight above 0 in the fit, and the name of the file from which the rows were read, if
        any.
    n_features_in_ : int
        Number of input features.
    feature_names_in_ : array of shape (`n_features_in_`,)
        Names of the input features; only if X has column names that are all strings.

    See Also
    --------
    StackedAutoencoderClassifier : A stack with a softmax on top, fine-tuned as a whole.

    References
    ----------
    Bengio, Y., Lamblin, P., Popovici, D. and Larochelle, H. (2007). Greedy layer-wise training of deep networks. NIPS
    19.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import SparseAutoencoder, StackedAutoencoder
    >>> X = np.random.default_rng(0).random((200, 16))
    >>> layers = [SparseAutoencoder(n_components=8, sparsity=0.1, tol=1e-3),
    ...           SparseAutoencoder(n_components=4, sparsity=0.1, tol=1e-3)]
    >>> stack = StackedAutoencoder(layers, random_state=0).fit(X)
    >>> stack.network_.layer_sizes
    (16, 8, 4, 8, 16)
    """

    command_line_name: ClassVar[str | None] = "stacked"
    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseAutoencoder._parameter_constraints,
        "layers": [None, list, tuple],
    }

    output_activation: str | Activation = "auto"
    weight_decay: float = 0.0
    warm_start: bool = False

    def __init__(
        self,
        layers: Sequence[BaseAutoencoder] | None = None,
        *,
        random_state: RandomState = None,
        n_jobs: int | None = None,
        engine: EngineLike = None,
        memory_limit: int | str | None = None,
        checkpoint: str | PathLike[str] | Checkpoint | None = None,
    ) -> None:
        self._store(locals())

    def fit(self, X: ArrayLike | RowSource, y: object = None, sample_weight: ArrayLike | None = None) -> Self:
        """Train the layers of the stack, one after the other.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
            If the codes of a row source take more than 256 MB in a layer, they are kept in a temporary file until the
            fit ends, in the folder that the environment variable TMPDIR names.
        y : ignored
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row: how often the row counts in every layer; not negative. A row of weight 0 has no effect,
            but its numbers must be finite.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            If `layers` is not a sequence of autoencoders; or if the fit of a layer raises a ValueError.
        """
        self._validate_params()
        X = self._open(X, held=True)
        if isinstance(X, RowSource):
            self._check_before_fit(X.shape[1])
        rows = check_rows(X)
        self._check_before_fit(rows.shape[1])
        rows, weights = self._weigh(rows, sample_weight)
        layers = check_layers(self.layers)
        seed = self._keep_seed({"X": rows} if weights is None else {"X": rows, "sample_weight": weights})
        fitted: list[BaseAutoencoder] = []
        codes = rows
        with ExitStack() as files:
            for number, layer in enumerate(layers):
                autoencoder = clone(layer)
                if autoencoder.random_state is None:
                    draw = keyed_generator(seed, "layer of a stack", block=number)
                    autoencoder.set_params(random_state=int(draw.integers(2**31)))
                autoencoder.set_params(**self._pass_on(f"layer {number}"))
                autoencoder._is_part = True
                fitted.append(autoencoder.fit(codes, sample_weight=weights))
                if number + 1 < len(layers):
                    codes = self._codes(autoencoder, codes, rows, files)
        self._remember_columns(X, reset=True)
        self._note_data(rows)
        self.autoencoders_ = fitted
        self._join(fitted)
        self.mean_activation_ = fitted[-1].mean_activation_
        if not self._is_part:
            warn_unless_converged(self.fitted_parts(), network=self.network_, rows=rows)
        return self

    def objective(
        self, X: ArrayLike | RowSource, y: object = None, sample_weight: ArrayLike | None = None
    ) -> Objective:
        """Return the function θ → (J, ∇J) for the cost of reconstructing rows with the whole stack, without penalties.

        `fit` does not minimise this function, but trains one layer after the other; see the `objective` of each layer.

        Parameters
        ----------
        X : array-like or RowSource of shape (n_samples, n_features)
        y : ignored
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row: how often the row counts. Weights must not be negative.

        Returns
        -------
        Objective
            The function; see `Objective` for its methods.
        """
        check_is_fitted(self)
        return super().objective(X, sample_weight=sample_weight)

    _keys_of_learned: ClassVar[tuple[str, ...]] = ("autoencoders",)

    def _describe_learned(self, file: ModelWriter, prefix: str) -> dict[str, Any]:
        layers = enumerate(self.autoencoders_)
        return {"autoencoders": [file.model(layer, f"{prefix}autoencoders_.{number}.") for number, layer in layers]}

    def _restore_learned(self, file: ModelReader, described: dict[str, Any], prefix: str) -> None:
        self.autoencoders_ = [
            file.model(layer, f"{prefix}autoencoders_.{number}.", BaseAutoencoder)
            for number, layer in enumerate(file.get(described, "autoencoders", list))
        ]
        for below, above in pairwise(self.autoencoders_):
            if below._n_features_out != above.n_features_in_:
                raise ValueError(
                    f"a layer of the stack has {above.n_features_in_} inputs, but the code of the layer below has"
                    f" {below._n_features_out} units."
                )
        self._join(self.autoencoders_)
        self._check_architecture(self.network_)
        self.n_features_in_ = self.network_.layer_sizes[0]
        self.mean_activation_ = self.autoencoders_[-1].mean_activation_

    @property
    def sparsity_target_(self) -> float | None:
        """Target ρ for the mean activation of the units of the last layer; None if there is no target."""
        return self.autoencoders_[-1].sparsity_target_

    def fitted_parts(self) -> list[tuple[str, BaseNetwork]]:
        """Return the fitted layers with their names "layer 0", "layer 1" and so on."""
        check_is_fitted(self)
        return [(f"layer {number}", layer) for number, layer in enumerate(self.autoencoders_)]

    def _check_before_fit(self, n_features: int) -> None:
        """Raise the errors that the fits of the layers would raise, before the first layer is trained."""
        self._validate_params()
        ThreadEngine(self.n_jobs)
        for layer in check_layers(self.layers):
            clone(layer).set_params(**self._pass_on("layer"))._check_before_fit(n_features)
            n_features = layer._encoder_sizes()[-1]

    def _encoder_sizes(self) -> tuple[int, ...]:
        return tuple(size for layer in check_layers(self.layers) for size in layer._encoder_sizes())

    def _hidden_activations(self, n_layers: int) -> list[Activation]:
        layers = check_layers(self.layers)
        return [a for layer in layers for a in layer._hidden_activations(len(layer._encoder_sizes()))]

    def _make_problem(
        self, X: FloatArray | RowSource, network: Network, sample_weight: FloatArray | None = None
    ) -> Problem:
        loss = as_loss(check_layers(self.layers)[0].loss)
        return Problem(network, X, loss=loss, sample_weight=sample_weight)

    def _join(self, autoencoders: Sequence[BaseAutoencoder]) -> None:
        """Set the deep network, which consists of the fitted layers, as attributes."""
        encoder: list[int] = []
        parts: tuple[list[FloatArray], list[FloatArray], list[FloatArray]] = ([], [], [])
        activations: list[Activation] = []
        for autoencoder in autoencoders:
            encoder += autoencoder.network_.layer_sizes[1 : autoencoder.code_layer_ + 1]
        decoder = [*encoder[-2::-1], autoencoders[0].network_.layer_sizes[0]]
        for half in (0, 1):
            for autoencoder in autoencoders if half == 0 else reversed(autoencoders):
                middle = autoencoder.code_layer_
                layers = slice(0, middle) if half == 0 else slice(middle, None)
                activations += autoencoder.network_.activations[layers]
                fitted = (autoencoder.coefs_, autoencoder.intercepts_, autoencoder.activation_parameters_)
                for part, own in zip(parts, fitted, strict=True):
                    part += [array.copy() for array in own[layers]]
        self.network_ = dense_network((decoder[-1], *encoder, *decoder), tuple(activations))
        self.coefs_, self.intercepts_, self.activation_parameters_ = parts


def check_layers(layers: Sequence[BaseAutoencoder] | None) -> list[BaseAutoencoder]:
    """Return the autoencoders of a stack; raise ValueError if `layers` is not a sequence of autoencoders."""
    if layers is None:
        course: dict[str, Any] = {"n_components": 200, "sparsity": 0.1, "sparsity_weight": 3.0, "weight_decay": 3e-3}
        return [SparseAutoencoder(**course) for _ in range(2)]
    is_list = isinstance(layers, Sequence) and not isinstance(layers, str)
    if not is_list or len(layers) == 0 or not all(isinstance(layer, BaseAutoencoder) for layer in layers):
        raise SettingError(
            f"layers must be a sequence of autoencoders, such as [SparseAutoencoder(n_components=200)]; got {layers!r}."
        )
    return list(layers)
