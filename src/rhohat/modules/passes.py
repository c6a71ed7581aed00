"""Passes of a module over batches, which end as soon as the wanted layers have run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rhohat.common.extras import import_extra
from rhohat.common.words import counted
from rhohat.modules.layers import Read, Where, evaluating, find_layer, reading, run

if TYPE_CHECKING:
    import torch

__all__ = ["LayerPasses", "moved"]

_UNCLEAR_AXES = 4  # an output with so many axes, such as images, may have its features first or last


class _EnoughError(Exception):
    """Every wanted layer has run, so that the rest of the module need not."""


class LayerPasses:
    """Passes of a module in evaluation mode and without gradients, of which the activations of some layers are kept.

    The first pass runs to its end, to see that each layer runs once. Those after it end when the last of the wanted
    layers has run.

    Parameters
    ----------
    module : torch.nn.Module
    layers : sequence of str
        Names of the layers.
    of : {"output", "input"}
    item : int or str, default=None
        See `rhohat.modules.layers`.
    feature_axis : int, default=None
        Axis of the features; None stands for the last one of outputs with two or three axes.
    device : device, default=None
        Where batches are brought to; None stands for the device of the first parameter of the module.

    Raises
    ------
    ValueError
        If there is no such layer.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        layers: Sequence[str],
        *,
        of: Where = "output",
        item: int | str | None = None,
        feature_axis: int | None = None,
        device: Any = None,
    ) -> None:
        for name in layers:
            find_layer(module, name)
        self._module, self.layers, self._of, self._item = module, tuple(layers), of, item
        self._feature_axis, self._checked = feature_axis, False
        first = next(module.parameters(), None)
        self._device = device if device is not None or first is None else first.device

    def __call__(self, batch: Any) -> tuple[Any, dict[str, torch.Tensor]]:
        """Run the module.

        Parameters
        ----------
        batch : tensor, sequence of arguments, or mapping of named arguments
            Its first axis counts samples.

        Returns
        -------
        batch : like `batch`
            The batch on the module's device.
        activations : dict of str to tensor of shape (n_samples, n_positions, n_features)
            What went through each layer. All axes but the first and that of the features count positions.

        Raises
        ------
        ValueError
            If a layer has not run, has run several times, or has activations of another form.
        """
        batch = moved(batch, self._device)
        with evaluating(self._module):
            read = self._run(batch)
        return batch, {name: self._arranged(read[name], name) for name in self.layers}

    def _run(self, batch: Any) -> Read:
        found: list[Read] = []

        def stop_early() -> None:
            if self._checked and len(found[0]) == len(self.layers):
                raise _EnoughError

        with reading(self._module, self.layers, of=self._of, item=self._item, then=stop_early) as read:
            found.append(read)
            try:
                run(self._module, batch)
            except _EnoughError:
                return read
        for name, n_runs in read.n_runs.items():
            if n_runs > 1:
                raise ValueError(
                    f"the layer {name!r} runs {counted(n_runs, 'time')} in a pass, so that its activations are unclear;"
                    " choose a layer that runs once."
                )
        self._checked = True
        return read

    def _arranged(self, tensor: torch.Tensor, name: str) -> torch.Tensor:
        """Return activations with their features in the last axis, and one axis for all positions."""
        if tensor.ndim < 2:
            raise ValueError(
                f"the {self._of} of the layer {name!r} has the shape {tuple(tensor.shape)}; it must have an axis of"
                " samples and one of features."
            )
        if self._feature_axis is None and tensor.ndim >= _UNCLEAR_AXES:
            raise ValueError(
                f"the {self._of} of the layer {name!r} has the shape {tuple(tensor.shape)}, of which it is not clear"
                " where the features are: pass feature_axis=1 for channels that come first, as in convolutions, or"
                " feature_axis=-1."
            )
        axis = -1 if self._feature_axis is None else self._feature_axis
        if not -tensor.ndim <= axis < tensor.ndim or axis in (0, -tensor.ndim):
            raise ValueError(
                f"feature_axis must be an axis after the first of the shape {tuple(tensor.shape)} that the layer"
                f" {name!r} has; got {axis}."
            )
        last = tensor.movedim(axis, -1)
        return last.reshape(last.shape[0], -1, last.shape[-1])


def moved(batch: Any, device: Any) -> Any:
    """Return a batch with its tensors on a device; what is no tensor stays as it is.

    Parameters
    ----------
    batch : tensor, or sequence or mapping of these
    device : device, or None
        None leaves all tensors where they are.
    """
    torch = import_extra("torch", "torch")
    if isinstance(batch, torch.Tensor):
        return batch if device is None else batch.to(device)
    if isinstance(batch, Mapping):
        return {name: moved(value, device) for name, value in batch.items()}
    if isinstance(batch, list | tuple):
        return [moved(value, device) for value in batch]
    return batch
