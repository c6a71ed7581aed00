"""How well a module of PyTorch runs on the reconstructions of a layer's activations: the loss that they recover."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rhohat.common.extras import import_extra
from rhohat.modules.interventions import splice
from rhohat.modules.layers import Where, evaluating, find_layer, run
from rhohat.modules.tensor_rows import Positions

if TYPE_CHECKING:
    import torch

__all__ = ["InModelEvaluation", "evaluate_in_model"]

_AT_ONCE = 2**22  # logits that are compared in float64 at a time
_IGNORED = -100  # the label of a token that is not predicted, as in PyTorch's cross-entropy


@dataclass(frozen=True)
class InModelEvaluation:
    """The results of `evaluate_in_model`, which `print` shows as a table.

    Attributes
    ----------
    n_batches, n_losses : int
        Number of batches, and number of losses of which the means are taken, such as those of all predicted tokens.
    loss : float
        Mean loss of the module as it is.
    loss_reconstructed : float
        Mean loss with reconstructions in place of the activations.
    loss_zeros : float
        Mean loss with zeros in place of the activations.
    loss_recovered : float
        (loss_zeros − loss_reconstructed) / (loss_zeros − loss): 1 if reconstructions are as good as the activations, 0
        if they are as good as zeros. NaN if zeros do not change the loss.
    kl_reconstructed, kl_zeros : float or None
        Mean KL divergence KL(p ‖ q) in nats, with p the predictions of the module as it is, and q those with
        reconstructions or with zeros in place of the activations. None if the outputs have no logits.
    kl_recovered : float or None
        1 − kl_reconstructed / kl_zeros. NaN if zeros do not change the predictions.
    """

    n_batches: int
    n_losses: int
    loss: float
    loss_reconstructed: float
    loss_zeros: float
    loss_recovered: float
    kl_reconstructed: float | None
    kl_zeros: float | None
    kl_recovered: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the figures by their names, as JSON can hold them."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [
            ("batches", f"{self.n_batches} with {self.n_losses} losses"),
            ("loss", f"{self.loss:.4f}"),
            ("  with reconstructions", f"{self.loss_reconstructed:.4f}"),
            ("  with zeros", f"{self.loss_zeros:.4f}"),
            ("loss recovered", f"{self.loss_recovered:.1%}"),
        ]
        if self.kl_reconstructed is not None and self.kl_zeros is not None:
            lines += [
                ("KL divergence with reconstructions", f"{self.kl_reconstructed:.4f}"),
                ("  with zeros", f"{self.kl_zeros:.4f}"),
                ("KL recovered", f"{self.kl_recovered:.1%}"),
            ]
        width = max(len(name) for name, _ in lines)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)


def evaluate_in_model(
    model: Any,
    module: torch.nn.Module,
    layer: str,
    batches: Iterable[Any],
    *,
    loss: Callable[[Any, Any], torch.Tensor] | None = None,
    logits: Callable[[Any], torch.Tensor] | None = None,
    positions: Positions = None,
    of: Where = "output",
    item: int | str | None = None,
) -> InModelEvaluation:
    """Return how much of a module's loss is recovered by reconstructions in place of the activations of a layer.

    Each batch runs through the module three times: as it is, with reconstructions in place of the activations, and with
    zeros in their place.

    Parameters
    ----------
    model : fitted autoencoder, dictionary, Transcoder or Pipeline, or callable
        What reconstructs rows; see `splice`.
    module : torch.nn.Module
        Network that runs, in evaluation mode and without gradients; its modes are restored.
    layer : str
        Name of the layer, as ``module.named_modules()`` has it.
    batches : iterable
        What the module is called with: a mapping becomes named arguments, a tuple or list becomes positional arguments,
        and anything else is the only argument. Their tensors must be on the device of the module. They are read once.
    loss : callable(outputs, batch), default=None
        Returns a tensor of losses, whose mean over all batches is taken: one number for each prediction, or a single
        number, which then counts once for each batch. None stands for the cross-entropy of the next token: the
        batch must have "input_ids", or be a tensor of tokens, and the outputs must have logits. Tokens with 0 in
        "attention_mask", or with the label −100 in "labels", are not counted as predicted.
    logits : callable(outputs), default=None
        Returns the logits in the outputs, with classes along the last axis, for the KL divergence. None stands for
        ``outputs.logits``, or outputs that are a tensor if `loss` is None; without such logits, no divergence is given.
        It is a mean over all positions whose "attention_mask" is not 0.
    positions : slice, sequence of int, or tensor of bool, default=None
        Which positions are replaced, see `splice`. ``slice(1, None)`` leaves the first token as it is, whose
        activations are far from all others in many language models.
    of : {"output", "input"}, default="output"
        Whether the output of the layer is replaced, or its input.
    item : int or str, default=None
        Which item of a tuple or mapping is meant; if None, the first tensor in it.

    Returns
    -------
    InModelEvaluation

    Raises
    ------
    ValueError
        If the layer does not exist; the model does not reconstruct; there are no batches; the outputs or the batch lack
        what the default loss needs; or losses are not finite.
    TypeError
        If `batches` is a single batch, such as a tensor or a mapping, instead of a list of batches.

    See Also
    --------
    splice

    References
    ----------
    Bricken, T. et al. (2023). Towards monosemanticity. Transformer Circuits Thread, on the loss that a dictionary
    recovers.

    Examples
    --------
    A dictionary has learned from the output of the layer ``transformer.h.4`` of a language model of Transformers. The
    model runs on tokenized texts::

        batches = [tokenizer(texts, return_tensors="pt", padding=True)]
        print(rhohat.evaluate_in_model(dictionary, language_model, "transformer.h.4", batches))
    """
    find_layer(module, layer)
    _check_batches(batches)
    losses, divergences = np.zeros(3), np.zeros(2)
    n_batches = n_losses = n_compared = 0
    ways: list[Callable[[], AbstractContextManager[None]]] = [
        nullcontext,
        lambda: splice(module, layer, model, positions=positions, of=of, item=item),
        lambda: splice(module, layer, np.zeros_like, positions=positions, of=of, item=item),
    ]
    for batch in batches:
        outputs = list(_outputs(module, batch, ways))
        each = [_losses(one, batch, loss) for one in outputs]
        losses += [float(one.sum()) for one in each]
        n_losses += each[0].numel()
        n_batches += 1
        predictions = [_logits(one, logits, is_default=loss is None) for one in outputs]
        if predictions[0] is not None:
            kept = _attended(batch, predictions[0])
            divergences += [_divergence(predictions[0][kept], other[kept]) for other in predictions[1:]]
            n_compared += int(predictions[0][kept].shape[:-1].numel())
    if n_losses == 0:
        raise ValueError("batches must hold at least one batch that gives a loss; got none.")
    losses /= n_losses
    _check_finite(losses)
    kl = divergences / n_compared if n_compared else None
    return InModelEvaluation(
        n_batches=n_batches,
        n_losses=n_losses,
        loss=float(losses[0]),
        loss_reconstructed=float(losses[1]),
        loss_zeros=float(losses[2]),
        loss_recovered=_ratio(losses[2] - losses[1], losses[2] - losses[0]),
        kl_reconstructed=None if kl is None else float(kl[0]),
        kl_zeros=None if kl is None else float(kl[1]),
        kl_recovered=None if kl is None else _ratio(kl[1] - kl[0], kl[1]),
    )


def _outputs(
    module: torch.nn.Module, batch: Any, ways: Iterable[Callable[[], AbstractContextManager[None]]]
) -> Iterator[Any]:
    """Yield the outputs of a module for a batch in each of several ways."""
    for way in ways:
        with evaluating(module), way():
            yield run(module, batch)


def _losses(outputs: Any, batch: Any, loss: Callable[[Any, Any], torch.Tensor] | None) -> torch.Tensor:
    """Return the losses of the outputs, of shape (n_losses,), in float64."""
    torch = import_extra("torch", "torch")
    if loss is None:
        return _of_next_tokens(outputs, batch)
    found = loss(outputs, batch)
    if not isinstance(found, torch.Tensor | float | int):
        raise ValueError(f"loss must return a tensor of losses, or a number; got {type(found).__name__}.")
    return torch.as_tensor(found).detach().double().reshape(-1)


def _of_next_tokens(outputs: Any, batch: Any) -> torch.Tensor:
    """Return the cross-entropies of the tokens that follow others, in nats."""
    torch = import_extra("torch", "torch")
    logits = _logits(outputs, None, is_default=True)
    tokens = batch.get("labels", batch.get("input_ids")) if isinstance(batch, Mapping) else batch
    if isinstance(tokens, list | tuple) and len(tokens) == 1:
        tokens = tokens[0]
    are_tokens = isinstance(tokens, torch.Tensor) and tokens.ndim == 2 and not tokens.is_floating_point()
    if logits is None or not are_tokens or logits.shape[:-1] != tokens.shape:
        raise ValueError(
            "without a loss, the cross-entropy of the next token is computed, for which the batch must have tokens of"
            ' the shape (batch, positions), as "input_ids" or by themselves, and the outputs must have a tensor of'
            " logits of the shape (batch, positions, vocabulary); pass a function as loss for other modules."
        )
    predicted = tokens[:, 1:] != _IGNORED
    mask = batch.get("attention_mask") if isinstance(batch, Mapping) else None
    if mask is not None:
        predicted &= (mask[:, 1:] != 0) & (mask[:, :-1] != 0)
    scores = logits[:, :-1][predicted]
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    return torch.nn.functional.cross_entropy(scores, tokens[:, 1:][predicted], reduction="none").double()


def _logits(outputs: Any, logits: Callable[[Any], Any] | None, *, is_default: bool) -> Any:
    """Return the logits in the outputs of a module; None if they have none."""
    torch = import_extra("torch", "torch")
    if logits is not None:
        found = logits(outputs)
        if not isinstance(found, torch.Tensor):
            raise ValueError(f"logits must return a tensor; got {type(found).__name__}.")
        return found
    if isinstance(outputs, torch.Tensor):
        return outputs if is_default else None
    found = outputs.get("logits") if isinstance(outputs, Mapping) else getattr(outputs, "logits", None)
    return found if isinstance(found, torch.Tensor) else None


def _attended(batch: Any, logits: torch.Tensor) -> Any:
    """Return the index of the positions that are no padding."""
    mask = batch.get("attention_mask") if isinstance(batch, Mapping) else None
    if mask is None or mask.shape != logits.shape[:-1]:
        return ...
    return mask != 0


def _divergence(logits: torch.Tensor, others: torch.Tensor) -> float:
    """Return the sum over rows of KL(p ‖ q), with p of the first logits and q of the others."""
    torch = import_extra("torch", "torch")
    total, width = 0.0, logits.shape[-1]
    first, second = logits.reshape(-1, width), others.reshape(-1, width)
    n_rows = max(1, _AT_ONCE // width)
    for start in range(0, len(first), n_rows):
        rows = slice(start, start + n_rows)
        log_p, log_q = (one[rows].double().log_softmax(-1) for one in (first, second))
        total += float(torch.nn.functional.kl_div(log_q, log_p, reduction="sum", log_target=True))
    return total


def _check_batches(batches: Any) -> None:
    torch = import_extra("torch", "torch")
    if isinstance(batches, torch.Tensor | Mapping | str | bytes) or not isinstance(batches, Iterable):
        raise TypeError(
            "batches must be a list or another iterable of what the module is called with, such as"
            f" [tokenizer(texts, return_tensors='pt')]; got an object of the class {type(batches).__name__}."
        )


def _check_finite(losses: np.ndarray[Any, Any]) -> None:
    if not np.isfinite(losses).all():
        as_it_is, *others = (f"{one:.4g}" for one in losses)
        raise ValueError(
            f"the losses are not finite: the mean is {as_it_is} as the module is, {others[0]} with reconstructions, and"
            f" {others[1]} with zeros."
        )


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator != 0 else float("nan")
