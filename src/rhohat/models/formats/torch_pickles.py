"""Pickles of torch.save, read without running them: only tensors and plain containers, numbers and texts are known.

A pickle is a program for a small machine, which can call any function. The machine here knows only the instructions
that torch.save writes, keeps values in lists, dicts and tuples, and replaces the few functions of PyTorch that make
tensors by descriptions of these. Anything else is refused by name.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from rhohat.common.exceptions import ModelFileError

__all__ = ["LONGEST", "PickledStorage", "PickledTensor", "read_pickle"]

LONGEST = 2**23  # bytes of a pickle; those of weights have some thousand

#: Types of the numbers in a storage, as safetensors names them, by the classes that stand for them in a pickle.
_STORAGES = {
    "DoubleStorage": "F64",
    "FloatStorage": "F32",
    "HalfStorage": "F16",
    "BFloat16Storage": "BF16",
    "LongStorage": "I64",
    "IntStorage": "I32",
    "ShortStorage": "I16",
    "CharStorage": "I8",
    "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}
#: Constants of PyTorch that settings may hold.
_PRECISIONS = ("float64", "float32", "float16", "bfloat16", "double", "float", "half", "int64", "int32", "long", "int")


@dataclass(frozen=True)
class PickledStorage:
    """Numbers of one type that lie in the file beside the pickle, under a key.

    Attributes
    ----------
    kind : str
        Type of the numbers, as safetensors names it.
    key : str
    n_numbers : int
    view : tuple of (str, int, int) or None
        In the layout before version 1.6, the key of a part of another storage, where it begins, and its length.
    """

    kind: str
    key: str
    n_numbers: int
    view: tuple[str, int, int] | None = None


@dataclass(frozen=True)
class PickledTensor:
    """A tensor: where in a storage its numbers are."""

    storage: PickledStorage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class _Named:
    """A class or function that a pickle names; only those that are known are made."""

    module: str
    name: str


_Mark: Any = object()


def read_pickle(file: BinaryIO, storages: dict[str, PickledStorage] | None = None) -> Any:
    """Return the value of the pickle that begins where a file is, and leave the file behind it.

    Parameters
    ----------
    file : file of bytes in memory
    storages : dict of str to PickledStorage, default=None
        What the storages that the pickle names are added to, by their keys.

    Returns
    -------
    object
        Dicts, lists, tuples, texts, numbers, truth values and None, with a `PickledTensor` in place of each tensor.

    Raises
    ------
    ModelFileError
        If the pickle asks for anything else, or is damaged.
    """
    machine = _Machine({} if storages is None else storages)
    try:
        for instruction, argument, _ in pickletools.genops(file):
            if instruction.name == "STOP":
                return machine.result()
            step = _STEPS.get(instruction.name)
            if step is None:
                raise ModelFileError(
                    f"the file has a pickle with the instruction {instruction.name}, which torch.save does not write"
                    " for weights; it is not carried out."
                )
            step(machine, argument)
    except (IndexError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise (
            error
            if isinstance(error, ModelFileError)
            else ModelFileError(f"the file has a pickle that is damaged: {str(error)[:200]}")
        ) from None
    raise ModelFileError("the file has a pickle without an end.")


class _Machine:
    """The stack and the memory of a pickle."""

    def __init__(self, storages: dict[str, PickledStorage]) -> None:
        self._storages = storages
        self._stack: list[Any] = []
        self._memory: dict[int, Any] = {}

    def result(self) -> Any:
        """Return the value that is left in the end."""
        value = self._pop()
        if self._stack:
            raise ValueError("values are left over")
        return value

    def push(self, value: Any) -> None:
        """Put a value onto the stack."""
        self._stack.append(value)

    def _pop(self) -> Any:
        value = self._stack.pop()
        if value is _Mark:
            raise ValueError("a value is missing")
        return value

    def _pop_to_mark(self) -> list[Any]:
        values = []
        while (value := self._stack.pop()) is not _Mark:
            values.append(value)
        return values[::-1]

    def remember(self, place: int | None) -> None:
        """Keep the value on top of the stack under a number, by default the next one."""
        self._memory[len(self._memory) if place is None else place] = self._stack[-1]

    def recall(self, place: int) -> None:
        """Put a value that was kept onto the stack."""
        self.push(self._memory[place])

    def make_tuple(self, size: int | None) -> None:
        """Join the values on top of the stack into a tuple; those down to the mark if there is no size."""
        values = self._pop_to_mark() if size is None else [self._pop() for _ in range(size)][::-1]
        self.push(tuple(values))

    def append(self, *, many: bool) -> None:
        """Add values to the list below them."""
        values = self._pop_to_mark() if many else [self._pop()]
        self._container(list).extend(values)

    def set_items(self, *, many: bool) -> None:
        """Add pairs of keys and values to the dict below them."""
        values = self._pop_to_mark() if many else [self._pop(), self._pop()][::-1]
        if len(values) % 2:
            raise ValueError("a key has no value")
        keys = values[::2]
        if not all(isinstance(key, str | int | float | bool | None) for key in keys):
            raise ValueError("a key of a dict is neither a text nor a number")
        self._container(dict).update(zip(keys, values[1::2], strict=True))

    def _container(self, kind: type[Any]) -> Any:
        container = self._stack[-1]
        if type(container) is not kind:
            raise ValueError(f"a {kind.__name__} is missing")
        return container

    def name(self, argument: str) -> None:
        """Put a class or function onto the stack by its name, if it is one of those that are known."""
        module, _, name = argument.partition(" ")
        self.push(_known(module, name))

    def name_of_stack(self) -> None:
        """Put a class or function onto the stack whose module and name are on top of it."""
        name, module = self._pop(), self._pop()
        self.push(_known(str(module), str(name)))

    def call(self) -> None:
        """Replace a function and its arguments by what stands for its result."""
        arguments, function = self._pop(), self._pop()
        if not isinstance(function, _Named) or type(arguments) is not tuple:
            raise ValueError("something is called that is no function")
        self.push(_CALLED[function.module, function.name](*arguments))

    def build(self) -> None:
        """Drop the attributes of an ordered dict, such as the versions of modules; nothing else may have any."""
        attributes = self._pop()
        self._container(dict)
        if type(attributes) is not dict:
            raise ValueError("attributes are set that are no dict")

    def find_storage(self) -> None:
        """Replace the description of a storage, a tuple, by a storage."""
        described = self._pop()
        if type(described) is not tuple or len(described) not in (5, 6) or described[0] != "storage":
            raise ValueError("something outside the pickle is named that is no storage")
        kind, key, _, n_numbers = described[1:5]
        if not isinstance(kind, _Named) or kind.name not in _STORAGES:
            raise ValueError("a storage has no type")
        if not isinstance(key, str) or type(n_numbers) is not int or n_numbers < 0:
            raise ValueError("a storage has no name or no size")
        view = described[5] if len(described) == 6 else None
        if view is not None:
            is_known = type(view) is tuple and len(view) == 3 and isinstance(view[0], str)
            if not is_known or not _are_counts(view[1:]):
                raise ValueError("the part of a storage is impossible")
        storage = PickledStorage(_STORAGES[kind.name], key, n_numbers, view)
        self._storages[key] = storage
        self.push(storage)


def _known(module: str, name: str) -> Any:
    """Return what stands for a class or function; raise ModelFileError unless it is one that torch.save writes."""
    if (module, name) in _CALLED or (module == "torch" and name in _STORAGES):
        return _Named(module, name)
    if module == "torch" and name in _PRECISIONS:
        return f"torch.{name}"
    raise ModelFileError(
        f"the file has a pickle that asks for {f'{module}.{name}'[:100]!r}. rhohat reads tensors, numbers, texts and"
        " plain containers, and runs nothing that a file asks for."
    )


def _tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, requires_grad: Any = False, hooks: Any = None, *_: Any
) -> PickledTensor:
    """Return a tensor in place of `torch._utils._rebuild_tensor_v2`."""
    if not isinstance(storage, PickledStorage) or type(shape) is not tuple or type(strides) is not tuple:
        raise ValueError("a tensor has no storage or no shape")
    if not _are_counts((offset, *shape, *strides)) or len(shape) != len(strides) or len(shape) > 8:
        raise ValueError("the shape of a tensor is impossible")
    size = math.prod(shape)
    last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
    if size > storage.n_numbers or (size and last >= storage.n_numbers):
        raise ModelFileError("the file has a tensor that does not lie within its numbers.")
    return PickledTensor(storage, offset, shape, strides)


def _parameter(tensor: Any, *_: Any) -> PickledTensor:
    """Return a tensor in place of `torch._utils._rebuild_parameter`."""
    if not isinstance(tensor, PickledTensor):
        raise ValueError("a parameter is no tensor")
    return tensor


def _ordered_dict(*pairs: Any) -> dict[Any, Any]:
    """Return a dict in place of an ordered one."""
    if not pairs:
        return {}
    (listed,) = pairs
    if type(listed) is not list or not all(type(pair) in (list, tuple) and len(pair) == 2 for pair in listed):
        raise ValueError("an ordered dict is not made of pairs")
    return {key: value for key, value in listed if isinstance(key, str | int | float | bool | None)}


def _size(*numbers: Any) -> tuple[int, ...]:
    """Return a tuple in place of `torch.Size`."""
    (listed,) = numbers
    return tuple(listed)


def _device(*described: Any) -> str:
    """Return a text in place of `torch.device`."""
    return ":".join(str(part)[:20] for part in described)


def _are_counts(numbers: Any) -> bool:
    return all(type(number) is int and 0 <= number < 2**48 for number in numbers)


#: What stands for the functions that a pickle may call.
_CALLED: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): _ordered_dict,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "Size"): _size,
    ("torch", "device"): _device,
}
#: Instructions that do nothing here: those that only group or number what follows.
_NOTHING = ("PROTO", "FRAME")
#: Instructions whose argument is the value that they put onto the stack.
_VALUES = (
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINSTRING", "SHORT_BINSTRING"),
)
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(_NOTHING, lambda machine, _: None),
    **dict.fromkeys(_VALUES, _Machine.push),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "MARK": lambda machine, _: machine.push(_Mark),
    "TUPLE": lambda machine, _: machine.make_tuple(None),
    "TUPLE1": lambda machine, _: machine.make_tuple(1),
    "TUPLE2": lambda machine, _: machine.make_tuple(2),
    "TUPLE3": lambda machine, _: machine.make_tuple(3),
    "APPEND": lambda machine, _: machine.append(many=False),
    "APPENDS": lambda machine, _: machine.append(many=True),
    "SETITEM": lambda machine, _: machine.set_items(many=False),
    "SETITEMS": lambda machine, _: machine.set_items(many=True),
    "BINPUT": _Machine.remember,
    "LONG_BINPUT": _Machine.remember,
    "MEMOIZE": _Machine.remember,
    "BINGET": _Machine.recall,
    "LONG_BINGET": _Machine.recall,
    "GLOBAL": _Machine.name,
    "STACK_GLOBAL": lambda machine, _: machine.name_of_stack(),
    "REDUCE": lambda machine, _: machine.call(),
    "BUILD": lambda machine, _: machine.build(),
    "BINPERSID": lambda machine, _: machine.find_storage(),
}
