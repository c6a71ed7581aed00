"""Layers of a module of PyTorch: found by name, read, and replaced while the module runs.

These four functions are all that steering, ablation and harvesting need:

* `find_layer(module, name)` returns a layer, or says which layers there are.
* ``with reading(module, names) as read: run(module, batch); read[name]`` gives what went through layers.
* ``with replacing(module, name, function): run(module, batch)`` puts ``function(tensor)`` in its place.
* ``with evaluating(module): ...`` switches dropout and gradients off meanwhile.

Layers are read and replaced by hooks, which are removed when the ``with`` block ends, however it ends. Nothing else of
the module is changed: `reading` and `replacing` leave its training mode and gradients as they are, so that gradients
pass through a replaced output; `evaluating` restores both. Several blocks may be nested, and the inner `replacing` sees
what the outer one has made.

Most layers return a tensor. If a layer returns a tuple, as many blocks of language models do, the tensor is the first
one in it; if it returns a mapping, such as a ``ModelOutput`` of Transformers, it is the first tensor among its values.
`item` names another one, by its place or its key. The same holds for the arguments of a layer, with ``of="input"``.
"""

from __future__ import annotations

import copy
import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from rhohat.common.exceptions import SettingError
from rhohat.common.extras import import_extra
from rhohat.common.words import Sentence, Setting

if TYPE_CHECKING:
    import torch

__all__ = ["Read", "Where", "check_where", "evaluating", "find_layer", "first_tensor", "reading", "replacing", "run"]

#: Which side of a layer is read or replaced.
Where = Literal["output", "input"]

_MOST_SHOWN = 30  # names of layers in a message


def find_layer(module: torch.nn.Module, name: str) -> torch.nn.Module:
    """Return the layer of a module that has a name.

    Parameters
    ----------
    module : torch.nn.Module
    name : str
        Name of the layer as ``module.named_modules()`` has it, such as ``"encoder.layer.3"``; the module itself has the
        empty name.

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    ValueError
        If the module has no layer with this name; the message names similar ones, or those that there are.
    TypeError
        If `module` is not a module of PyTorch, or `name` is not a string.
    """
    torch = import_extra("torch", "torch")
    if not isinstance(module, torch.nn.Module):
        raise TypeError(f"module must be a torch.nn.Module; got an object of the class {type(module).__name__}.")
    if not isinstance(name, str):
        raise TypeError(f"layer must be the name of a layer of the module, such as 'encoder.layer.3'; got {name!r}.")
    layers: dict[str, Any] = dict(module.named_modules())
    if name in layers:
        return layers[name]
    raise ValueError(_unknown_layer(module, name, [one for one in layers if one]))


def run(module: torch.nn.Module, batch: Any) -> Any:
    """Call a module with a batch, and return its output.

    Parameters
    ----------
    module : torch.nn.Module
    batch : tensor, sequence of arguments, or mapping of named arguments
        A mapping, such as a tokenizer's output, becomes keyword arguments; a tuple or list becomes positional
        arguments; anything else is the only argument.
    """
    if isinstance(batch, Mapping):
        return module(**batch)
    if isinstance(batch, list | tuple):
        return module(*batch)
    return module(batch)


def first_tensor(value: Any) -> torch.Tensor | None:
    """Return what goes through a layer if it is a tensor, or the first tensor in it; None if there is none.

    Parameters
    ----------
    value : tensor, tuple, list or mapping
        Output of a layer.
    """
    torch = import_extra("torch", "torch")
    parts = [value] if isinstance(value, torch.Tensor) else (_items(value) or {}).values()
    return next((part for part in parts if isinstance(part, torch.Tensor)), None)


class Read:
    """What went through the layers that `reading` watches, in the last pass.

    ``read[name]`` is the tensor that went through a layer, as the module has it: on its device, and with its gradient
    if gradients are on. It is not a copy. `clear` forgets all tensors, which must be done before the next pass of the
    module if a layer might not run in it.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self.n_runs = dict.fromkeys(self.names, 0)
        self._tensors: dict[str, torch.Tensor] = {}

    def __getitem__(self, name: str) -> torch.Tensor:
        if name not in self._tensors:
            raise ValueError(
                f"the layer {name!r} has not run: it may be unused in this module, or the module was not called."
            )
        return self._tensors[name]

    def __len__(self) -> int:
        return len(self._tensors)

    def note(self, name: str, tensor: torch.Tensor) -> None:
        """Keep a tensor that has just gone through a layer."""
        self._tensors[name] = tensor
        self.n_runs[name] += 1

    def clear(self) -> None:
        """Forget all tensors, and how often layers ran."""
        self._tensors.clear()
        self.n_runs = dict.fromkeys(self.names, 0)


@contextmanager
def reading(
    module: torch.nn.Module,
    names: str | Sequence[str],
    *,
    of: Where = "output",
    item: int | str | None = None,
    then: Callable[[], None] | None = None,
) -> Iterator[Read]:
    """Context manager that keeps what goes through layers whenever the module runs.

    Parameters
    ----------
    module : torch.nn.Module
    names : str or sequence of str
        Names of layers.
    of : {"output", "input"}, default="output"
        Whether the output of each layer is read, or its input.
    item : int or str, default=None
        Which item of a tuple or mapping is read; if None, the first tensor.
    then : callable, default=None
        Called after each layer has run. It may raise an exception of its own to end the pass early.

    Yields
    ------
    Read
        The tensors of the last pass, by the names of the layers.

    Raises
    ------
    ValueError
        If there is no such layer; or, while the module runs, if a layer has no such item, or none that is a tensor.
    """
    wanted = [names] if isinstance(names, str) else list(names)
    layers = [find_layer(module, name) for name in wanted]
    check_where(of)
    read = Read(wanted)

    def noting(name: str) -> Callable[[Any], None]:
        def note(value: Any) -> None:
            read.note(name, _pick(value, item, _place(name, of))[1])
            if then is not None:
                then()

        return note

    handles: list[Any] = []
    try:
        for name, layer in zip(wanted, layers, strict=True):
            handles.append(_watch(layer, of, noting(name)))
        yield read
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def replacing(
    module: torch.nn.Module,
    name: str,
    function: Callable[[torch.Tensor], torch.Tensor],
    *,
    of: Where = "output",
    item: int | str | None = None,
) -> Iterator[None]:
    """Context manager that puts something else in place of what goes through a layer, whenever the module runs.

    Parameters
    ----------
    module : torch.nn.Module
    name : str
        Name of the layer.
    function : callable(tensor)
        Called with the tensor that went through the layer. It returns the tensor that takes its place, of the same
        shape, dtype and device.
    of : {"output", "input"}, default="output"
        Whether the output of the layer is replaced, or its input.
    item : int or str, default=None
        Which item of a tuple or mapping is replaced; if None, the first tensor. The others stay.

    Raises
    ------
    ValueError
        If there is no such layer; or, while the module runs, if the layer has no such item, or if `function` returns
        something other than a tensor like the one that it got.
    """
    layer = find_layer(module, name)
    check_where(of)
    place = _place(name, of)

    def replaced(value: Any) -> Any:
        key, tensor = _pick(value, item, place)
        new = function(tensor)
        _check_alike(new, tensor, place)
        return _with(value, key, new)

    handle = _change(layer, of, replaced)
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Context manager that puts a module into evaluation mode, without gradients, and restores its modes afterwards.

    Parameters
    ----------
    module : torch.nn.Module
        Each of its layers gets back the mode that it had, also where some were frozen in evaluation mode.
    """
    torch = import_extra("torch", "torch")
    modes = [(layer, layer.training) for layer in module.modules()]
    try:
        module.eval()
        with torch.no_grad():
            yield
    finally:
        for layer, mode in modes:
            layer.training = mode


def _unknown_layer(module: torch.nn.Module, name: str, names: list[str]) -> str:
    ending = [one for one in names if one.endswith(f".{name}")]
    close = ending[:3] or difflib.get_close_matches(name, names, 3, 0.6)
    hint = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    shown = ", ".join(map(repr, names[:_MOST_SHOWN]))
    more = f", … ({len(names)} in all)" if len(names) > _MOST_SHOWN else ""
    there = f"its layers are {shown}{more}" if names else "it has no layers but itself, whose name is ''"
    return f"{type(module).__name__} has no layer named {name!r}; {there}.{hint}"


def check_where(of: str) -> None:
    """Raise ValueError if `of` is neither "output" nor "input"."""
    if of not in ("output", "input"):
        raise SettingError(Sentence(Setting("of"), f" must be 'output' or 'input'; got {of!r}."))


def _place(name: str, of: Where) -> str:
    return f"the {of} of {f'the layer {name!r}' if name else 'the module'}"


def _watch(layer: torch.nn.Module, of: Where, note: Callable[[Any], None]) -> Any:
    """Call a function with the output of a layer, or with its arguments, whenever it runs."""
    if of == "output":
        return layer.register_forward_hook(lambda _, __, output: note(output))
    return layer.register_forward_pre_hook(lambda _, args, kwargs: note(_Arguments(args, kwargs)), with_kwargs=True)


def _change(layer: torch.nn.Module, of: Where, change: Callable[[Any], Any]) -> Any:
    """Put the result of a function in place of the output of a layer, or of its arguments, whenever it runs."""
    if of == "output":
        return layer.register_forward_hook(lambda _, __, output: change(output))

    def changed(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        new = change(_Arguments(args, kwargs))
        return new.args, new.kwargs

    return layer.register_forward_pre_hook(changed, with_kwargs=True)


class _Arguments:
    """Arguments of a call: those by place have numbers as keys, those by name their names."""

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.args, self.kwargs = args, kwargs

    def with_item(self, key: int | str, value: Any) -> _Arguments:
        """Return the same arguments with another value of one of them."""
        if isinstance(key, str):
            return _Arguments(self.args, {**self.kwargs, key: value})
        return _Arguments(tuple(value if place == key else one for place, one in enumerate(self.args)), self.kwargs)


def _items(value: Any) -> dict[Any, Any] | None:
    """Return the parts of a tuple, a mapping or arguments by their keys; None if there are no parts."""
    if isinstance(value, _Arguments):
        return {**dict(enumerate(value.args)), **value.kwargs}
    if isinstance(value, Mapping):
        return dict(value.items())
    if isinstance(value, list | tuple):
        return dict(enumerate(value))
    return None


def _pick(value: Any, item: int | str | None, place: str) -> tuple[Any, torch.Tensor]:
    """Return the key and the wanted tensor of what went through a layer; the key of a bare tensor is None."""
    torch = import_extra("torch", "torch")
    if isinstance(value, torch.Tensor) and item is None:
        return None, value
    items = _items(value)
    if items is None:
        problem = f"{place} is an object of the class {type(value).__name__}"
        raise ValueError(
            f"{problem}, {'without items; pass item=None' if item is not None else 'which has no tensor'}."
        )
    tensors = [key for key, one in items.items() if isinstance(one, torch.Tensor)]
    key = item
    if item is None and tensors:
        key = tensors[0]
    elif isinstance(item, int) and item not in items and isinstance(value, Mapping) and 0 <= item < len(items):
        key = list(items)[item]
    if key is None or key not in tensors:
        there = ", ".join(map(repr, tensors)) or "none"
        asked = "no tensor" if item is None else f"no tensor as item {item!r}"
        raise ValueError(f"{place} has {asked}; the items that are tensors: {there}. Pass one of them as item.")
    return key, items[key]


def _with(value: Any, key: Any, tensor: torch.Tensor) -> Any:
    """Return what went through a layer with another tensor in it; the value itself is not changed."""
    if key is None:
        return tensor
    if isinstance(value, _Arguments):
        return value.with_item(key, tensor)
    if isinstance(value, Mapping):
        changed: Any = copy.copy(value)
        changed[key] = tensor
        return changed
    parts = [tensor if place == key else one for place, one in enumerate(value)]
    make: Callable[[list[Any]], Any] = getattr(type(value), "_make", type(value))  # named tuples are made otherwise
    return make(parts)


def _check_alike(new: Any, tensor: torch.Tensor, place: str) -> None:
    """Raise if a tensor cannot take the place of another one."""
    torch = import_extra("torch", "torch")
    if not isinstance(new, torch.Tensor):
        raise ValueError(
            f"what replaces {place} must be a tensor; the function returned an object of the class"
            f" {type(new).__name__}."
        )
    for what in ("shape", "dtype", "device"):
        ours, theirs = getattr(tensor, what), getattr(new, what)
        if ours != theirs:
            as_text = tuple if what == "shape" else str
            raise ValueError(
                f"what replaces {place} must have its {what}, {as_text(ours)}; the function returned a tensor with the"
                f" {what} {as_text(theirs)}."
            )
