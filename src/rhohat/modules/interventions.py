"""Interventions in a module of PyTorch by what a dictionary has learned of one of its layers.

`steer` adds directions of latents to activations, `ablate` takes the contributions of latents away, and `splice` puts
reconstructions in place of activations. The module runs as always meanwhile, with all that is before and behind the
layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from rhohat.common.arrays import FloatArray
from rhohat.data import open_rows
from rhohat.estimators.dictionary_use import UsableDictionary
from rhohat.estimators.transcoder import Transcoder
from rhohat.models.pipelines import is_pipeline, last_step_of, reconstruct_blocks
from rhohat.modules.layers import Where, reading, replacing
from rhohat.modules.tensor_rows import Positions, RowsOfTensor

if TYPE_CHECKING:
    import torch

__all__ = ["ablate", "splice", "steer"]

_Function = Callable[[FloatArray], FloatArray]


@contextmanager
def steer(
    module: torch.nn.Module,
    layer: str,
    model: UsableDictionary | Transcoder,
    latents: Mapping[int, float],
    *,
    how: Literal["add", "set"] = "add",
    positions: Positions = None,
    of: Where = "output",
    item: int | str | None = None,
) -> Iterator[None]:
    """Steer a module by latents of a dictionary, as long as the ``with`` block lasts.

    With ``how="add"``, x becomes x + Σ_j α_j W_dec,j / ‖W_dec,j‖ for each activation x of the layer, whether or not the
    latents are active there. With ``how="set"``, each latent j gets the activation α_j: x becomes
    x + Σ_j (α_j − f_j(x)) W_dec,j, so that what the dictionary does not reconstruct stays as it is.

    Parameters
    ----------
    module : torch.nn.Module
        Network that is steered. Neither its parameters nor its modes are changed.
    layer : str
        Name of a layer, as ``module.named_modules()`` has it.
    model : fitted dictionary or Transcoder
        What was learned from activations of this layer, such as a `TopKAutoencoder`. The codes of a transcoder are
        those of the input of the layer, and its directions those of the output.
    latents : mapping of int to float
        Numbers of latents, from 0, and α for each: for ``"add"``, in the units of the activations; for ``"set"``, in
        the units of the codes that `transform` returns.
    how : {"add", "set"}, default="add"
        Whether directions of latents are added to the activations, or latents get the activations α.
    positions : slice, sequence of int, or tensor of bool, default=None
        Which positions are changed: places along the second axis of the activations, such as tokens; or a tensor that
        is True where an activation is changed, of the shape of the activations without its last axis. None means all.
    of : {"output", "input"}, default="output"
        Whether the output of the layer is changed, or its input.
    item : int or str, default=None
        Which item of a tuple or mapping is meant; if None, the first tensor in it.

    Raises
    ------
    ValueError
        If the layer does not exist, a latent does not exist, its direction is 0, or α is not finite; or, while the
        module runs, if the last axis of the activations is not as long as the rows of the dictionary.
    TypeError
        If the model is not a dictionary or a transcoder.
    sklearn.exceptions.NotFittedError
        If the model is not fitted.

    See Also
    --------
    ablate
    splice

    Notes
    -----
    What is added counts as a constant, so that gradients pass through the layer as if it were not steered. ``"add"``
    takes next to no time. ``"set"`` has to compute the codes of all activations that it changes.

    References
    ----------
    Templeton, A. et al. (2024). Scaling monosemanticity, on setting latents. Transformer Circuits Thread.

    Turner, A. M. et al. (2023). Steering language models with activation engineering. arXiv 2308.10248.

    Examples
    --------
    A dictionary has learned from the activations of the layer ``"0"`` of a module. The module runs with latent 7 added
    to these activations::

        with rhohat.steer(module, "0", dictionary, {7: 4.0}):
            steered = module(batch)
    """
    dictionary = _dictionary_of(model)
    numbers = _checked_latents(dictionary, list(latents))
    strengths = np.array([float(value) for value in latents.values()])
    if not np.isfinite(strengths).all():
        raise ValueError(f"latents must map numbers of latents to finite numbers; got {dict(latents)!r}.")
    if how == "add":
        change = _adding(dictionary, numbers, strengths)
    elif how == "set":
        change = _setting(dictionary, numbers, strengths)
    else:
        raise ValueError(f"how must be 'add' or 'set'; got {how!r}.")
    with _computing(module, layer, model, change, RowsOfTensor.add, positions, of, item):
        yield


@contextmanager
def ablate(
    module: torch.nn.Module,
    layer: str,
    model: UsableDictionary | Transcoder,
    latents: int | Sequence[int],
    *,
    positions: Positions = None,
    of: Where = "output",
    item: int | str | None = None,
) -> Iterator[None]:
    """Take the contributions of latents out of the activations of a layer, as long as the ``with`` block lasts.

    x becomes x − Σ_j f_j(x) W_dec,j, with f(x) the codes of x. Where none of the latents is active, x stays the same to
    the last bit.

    Parameters
    ----------
    module, layer, model
        As for `steer`.
    latents : int or sequence of int
        Numbers of latents, from 0.
    positions, of, item
        As for `steer`.

    Raises
    ------
    ValueError, TypeError, sklearn.exceptions.NotFittedError
        In the same cases as `steer`.

    See Also
    --------
    steer
    splice

    Notes
    -----
    What is subtracted counts as a constant, so that gradients pass through the layer as if nothing were subtracted.

    Examples
    --------
    ::

        with rhohat.ablate(module, "0", dictionary, [7, 12]):
            without = module(batch)
    """
    dictionary = _dictionary_of(model)
    numbers = _checked_latents(dictionary, [latents] if isinstance(latents, int | np.integer) else list(latents))
    change = _setting(dictionary, numbers, np.zeros(len(numbers)))
    with _computing(module, layer, model, change, RowsOfTensor.add, positions, of, item):
        yield


@contextmanager
def splice(
    module: torch.nn.Module,
    layer: str,
    model: Any,
    *,
    positions: Positions = None,
    of: Where = "output",
    item: int | str | None = None,
) -> Iterator[None]:
    """Put reconstructions in place of the activations of a layer, as long as the ``with`` block lasts.

    Parameters
    ----------
    module, layer
        As for `steer`.
    model : fitted autoencoder, dictionary, Transcoder or Pipeline, or callable
        What reconstructs rows. A transcoder gets the input of the layer, and its prediction takes the place of the
        output. A callable takes rows as an array of shape (n_rows, n_features) and returns rows of the same shape.
    positions, of, item
        As for `steer`.

    Raises
    ------
    ValueError
        If the layer does not exist; if the model does not reconstruct; if `of` is "input" for a transcoder; or, while
        the module runs, if the last axis of the activations is not as long as the rows of the model.
    sklearn.exceptions.NotFittedError
        If the model is not fitted.

    See Also
    --------
    evaluate_in_model : How much of the module's loss the reconstructions recover.

    Notes
    -----
    Rows are computed by the model, and not by PyTorch: they are copied from the device of the module and back, and no
    gradients pass through what is replaced.

    Examples
    --------
    ::

        with rhohat.splice(module, "0", dictionary):
            reconstructed = module(batch)
    """
    with _computing(module, layer, model, reconstructing(model), RowsOfTensor.put, positions, of, item):
        yield


def reconstructing(model: Any) -> _Function:
    """Return the function that gives the reconstructions of rows by a model, or a callable itself.

    Raises
    ------
    ValueError
        If the model does not reconstruct rows.
    """
    if isinstance(model, Transcoder):
        check_is_fitted(model)
        return model.predict
    if is_pipeline(model) or hasattr(model, "reconstructs"):
        check_is_fitted(model)
        estimator = last_step_of(model)
        if not estimator.reconstructs:
            raise ValueError(
                "model must reconstruct rows, as autoencoders and dictionaries do, to take the place of activations;"
                f" {type(estimator).__name__} does not."
            )
        if not is_pipeline(model):
            function: _Function = model.reconstruct
            return function
        return lambda rows: np.concatenate(list(reconstruct_blocks(model, open_rows(rows))))
    if callable(model):
        given: _Function = model
        return given
    raise ValueError(f"model must be a fitted model of rhohat that reconstructs rows, or a callable; got {model!r}.")


def _adding(dictionary: UsableDictionary, numbers: NDArray[np.intp], strengths: FloatArray) -> _Function:
    """Return the function that gives what is added to rows if directions are added to all of them."""
    directions = dictionary.decoder_[numbers].astype(np.float64)
    norms = np.linalg.norm(directions, axis=1)
    if not norms.all():
        raise ValueError(f"the direction of latent {numbers[norms == 0][0]} is 0, so nothing can be steered by it.")
    added = (strengths / norms) @ directions
    return lambda rows: np.broadcast_to(added.astype(rows.dtype), (len(rows), len(added)))


def _setting(dictionary: UsableDictionary, numbers: NDArray[np.intp], wanted: FloatArray) -> _Function:
    """Return the function that gives what is added to rows so that latents have the activations that are wanted."""
    directions = dictionary.decoder_[numbers]

    def added(rows: FloatArray) -> FloatArray:
        missing = wanted.astype(directions.dtype) - dictionary.codes(rows)[:, numbers].toarray()
        change: FloatArray = missing @ directions
        scaling = dictionary.scaling_
        return change * scaling.statistics(rows)[1] if scaling.by_rows else change

    return added


@contextmanager
def _computing(
    module: torch.nn.Module,
    layer: str,
    model: Any,
    function: _Function,
    place: Callable[[RowsOfTensor, torch.Tensor, FloatArray], torch.Tensor],
    positions: Positions,
    of: Where,
    item: int | str | None,
) -> Iterator[None]:
    """Place what a function makes of rows into the activations of a layer; a transcoder gets the rows of the input."""
    chosen = RowsOfTensor(positions, getattr(model, "n_features_in_", None))

    def replaced(activations: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        rows = chosen.rows(source)
        if not len(rows):  # as in a pass over one further token, which has no later positions
            return activations
        return place(chosen, activations, function(rows))

    if not isinstance(model, Transcoder):
        with replacing(module, layer, lambda x: replaced(x, x), of=of, item=item):
            yield
        return
    if of != "output":
        raise ValueError("of must be 'output' for a Transcoder, which takes the place of the output of a layer.")
    with (
        reading(module, layer, of="input") as read,
        replacing(module, layer, lambda x: replaced(x, read[layer]), item=item),
    ):
        yield


def _dictionary_of(model: Any) -> UsableDictionary:
    """Return the fitted dictionary that knows the directions of latents."""
    if isinstance(model, Transcoder):
        check_is_fitted(model)
        return model.dictionary_
    if not isinstance(model, UsableDictionary):
        raise TypeError(
            "model must be a fitted dictionary, such as TopKAutoencoder, or a Transcoder, because the latents of other"
            f" models have no directions that add up; got {type(model).__name__}."
        )
    check_is_fitted(model)
    return model


def _checked_latents(dictionary: UsableDictionary, latents: Sequence[Any]) -> NDArray[np.intp]:
    n_latents = dictionary.n_components_
    if not latents:
        raise ValueError("latents must name at least one latent; got none.")
    for latent in latents:
        if isinstance(latent, bool) or not isinstance(latent, int | np.integer) or not 0 <= latent < n_latents:
            raise ValueError(f"latents must be whole numbers from 0 to {n_latents - 1}; got {latent!r}.")
    if len(set(latents)) < len(latents):
        raise ValueError(f"latents must be different from one another; got {list(latents)!r}.")
    return np.array(latents, np.intp)
