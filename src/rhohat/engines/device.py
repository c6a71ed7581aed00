"""The engine that computes on a device with PyTorch, such as a GPU.

The host gives a device its work and does not wait for it, unless it needs a number. Blocks are therefore computed one
after another, in two memories by turns, so that rows of one block can be read and copied while another is computed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike

from rhohat.common.exceptions import SettingError
from rhohat.common.extras import import_extra
from rhohat.engines.group import Group
from rhohat.engines.threads import ThreadEngine

__all__ = ["TorchEngine"]

_DEVICES = re.compile(r"(cpu|cuda|mps|xpu)(:[0-9]+)?")
_PRODUCTS = ("exact", "tf32", "bfloat16")
_SPLITS = ("rows", "latents")
_BLOCK_BYTES = {"cpu": 2**25}  # memory for the layers and deltas of a block, by kind of device
_BLOCK_BYTES_ELSEWHERE = 2**30
_SHARE_FOR_ROWS = 0.5  # of the free memory of a device


class TorchEngine:
    """Engine that computes on a device with PyTorch, such as a GPU.

    To use it, pass it to an estimator as ``engine=TorchEngine("cuda")``, or ``engine="cuda"`` for short. Every network
    and dictionary takes it.

    Rows are put on the device once if they fit into `row_bytes`. Otherwise they are read block by block, while the
    device computes the block before. L-BFGS and the other solvers that see all rows in every iteration run on the
    host, and J and its derivatives on the device. Solvers in mini-batches run on the device.

    Parameters
    ----------
    device : str, default="cuda"
        Name of the device: "cuda" or "cuda:1" for NVIDIA's and AMD's GPUs, "mps" for Apple's, "xpu" for Intel's, and
        "cpu", which computes with PyTorch on the processor.
    dtype : {"float32", "float64"}, default="float32"
        Dtype of the arithmetic, whatever the dtype of the rows is. float64 is slow on most GPUs, and "mps" has none.
    products : {"exact", "tf32", "bfloat16"}, default="exact"
        What the numbers that enter matrix products are rounded to, if `dtype` is float32. "tf32", which NVIDIA's GPUs
        have, keeps 10 bits of the fraction, and "bfloat16" 7; both are made to be faster. Sums and everything else stay
        in float32.
    row_bytes : int, default=None
        Largest number of bytes of rows that stay on the device during a fit; 0 keeps none there. None means half of
        the device's free memory, or no limit where PyTorch does not tell how much is free.
    devices : sequence of str or int, default=None
        Several devices of one kind, which share the work: their names, or their numbers among the CUDA devices. A
        process of its own computes on each, and ends with the fit. They stand in place of `device`.
    split : {"rows", "latents"}, default="rows"
        What several devices share. With "rows" each computes a part of the rows, and holds all parameters. With
        "latents", for dictionaries that one device cannot hold, each computes all rows with a part of the latents, and
        holds the parameters and moments of these alone.

    Raises
    ------
    ValueError
        If a parameter has another value.

    Notes
    -----
    The same device gives the same bits each time. Another device gives other digits, because it adds in another order.
    All random numbers are drawn by the host, so that they do not depend on the device.

    Examples
    --------
    >>> from rhohat import SparseAutoencoder, TorchEngine
    >>> model = SparseAutoencoder(n_components=196, engine=TorchEngine("cuda"))
    """

    ops: str | None = None
    n_workers = 2

    def __init__(
        self,
        device: str = "cuda",
        *,
        dtype: DTypeLike = "float32",
        products: Literal["exact", "tf32", "bfloat16"] = "exact",
        row_bytes: int | None = None,
        devices: Sequence[str | int] | None = None,
        split: Literal["rows", "latents"] = "rows",
    ) -> None:
        self.devices = _named(devices)
        if self.devices is not None:
            if device != "cuda":
                raise ValueError(f"device and devices exclude one another; got {device!r} and {devices!r}.")
            device = self.devices[0]
        if not _DEVICES.fullmatch(str(device)):
            raise SettingError(
                f"device must be 'cuda', 'mps', 'xpu' or 'cpu', or one of several, such as 'cuda:1'; got {device!r}."
            )
        if np.dtype(dtype) not in (np.float32, np.float64):
            raise ValueError(f"dtype must be 'float32' or 'float64'; got {dtype!r}.")
        if str(device).startswith("mps") and np.dtype(dtype) == np.float64:
            raise ValueError("dtype must be 'float32' on the device 'mps', which has no float64.")
        if products not in _PRODUCTS:
            raise ValueError(f"products must be one of {_PRODUCTS}; got {products!r}.")
        if products != "exact" and np.dtype(dtype) == np.float64:
            raise ValueError(f"products={products!r} needs dtype='float32'; with float64, they are exact.")
        if row_bytes is not None and not row_bytes >= 0:
            raise ValueError(f"row_bytes must be a number of bytes, at least 0, or None; got {row_bytes!r}.")
        if split not in _SPLITS:
            raise ValueError(f"split must be one of {_SPLITS}; got {split!r}.")
        if split == "latents" and self.devices is None:
            raise ValueError("split='latents' needs several devices, such as devices=[0, 1]; one holds all latents.")
        self.device, self.dtype, self.products, self.row_bytes = str(device), np.dtype(dtype), products, row_bytes
        self.split = split
        self.block_bytes: int | None = _BLOCK_BYTES.get(self.device.partition(":")[0], _BLOCK_BYTES_ELSEWHERE)
        self.group: Group | None = None  # during a fit on several devices
        self._threads: ThreadEngine | None = None
        self._ops: Any = None

    def in_group(self, group: Group, device: str) -> TorchEngine:
        """Return the engine of one process of a group, which computes on the given device."""
        engine = copy(self)
        engine.device, engine.group, engine._threads, engine._ops = device, group, None, None
        return engine

    def here(self) -> TorchEngine:
        """Return a copy for this process, which has a device of its own if it is in a group of PyTorch already."""
        engine, distributed = copy(self), import_extra("torch", "torch").distributed
        if self.devices is not None and distributed.is_initialized():
            engine.device, engine._ops = self.devices[distributed.get_rank() % len(self.devices)], None
        return engine

    def joined(self) -> Group | None:
        """Return the group in which this process calls fits already, as a program of torchrun does, or None."""
        if self.devices is None:
            return None
        distributed = import_extra("torch", "torch").distributed
        if not distributed.is_initialized():
            return None
        return Group(distributed.get_rank(), distributed.get_world_size(), is_joined=True)

    @property
    def n_parts(self) -> int:
        """Number of parts in which the rows of a sum are computed, at least."""
        return 1 if self.group is None else self.group.size

    @property
    def threads(self) -> ThreadEngine:
        """The thread engine for work that the host does."""
        if self._threads is None:
            self._threads = ThreadEngine()
        return self._threads

    @property
    def device_ops(self) -> Any:
        """The primitives of the device."""
        if self._ops is None:
            self.check()
            from rhohat.ops.torch_ops import TorchOps, named_device

            self._ops = TorchOps(named_device(self.device), self.products)
        return self._ops

    def check(self) -> None:
        """Raise ImportError if PyTorch is not installed, and ValueError if it cannot use the device."""
        for device in self.devices or (self.device,):
            _check_device(device)

    def has_room_for(self, n_bytes: int) -> bool:
        """Return whether rows of so many bytes can stay on the device during a fit."""
        if self.row_bytes is not None:
            return n_bytes <= self.row_bytes
        torch = import_extra("torch", "torch")
        backend = getattr(torch, self.device.partition(":")[0])
        if not hasattr(backend, "mem_get_info"):
            return True
        free, _ = backend.mem_get_info(self.device)
        return bool(n_bytes <= _SHARE_FOR_ROWS * free)

    @contextmanager
    def session(self) -> Iterator[None]:
        """Set the precision of PyTorch's products inside the `with` block, as `products` asks.

        Raises
        ------
        MemoryError
            If the memory of the device is not enough for what is done in the block.
        """
        torch = import_extra("torch", "torch")
        before = torch.get_float32_matmul_precision()
        with self.threads.session():
            torch.set_float32_matmul_precision("high" if self.products == "tf32" else "highest")
            try:
                yield
            except torch.OutOfMemoryError as error:
                raise MemoryError(
                    f"the memory of the device {self.device!r} is not enough: use smaller mini-batches or fewer units,"
                    f" or a TorchEngine with a smaller row_bytes (now {self.row_bytes}), which keeps fewer rows there."
                    f" PyTorch says: {str(error).splitlines()[0]}"
                ) from error
            finally:
                torch.set_float32_matmul_precision(before)

    def sum_blocks(
        self,
        function: Callable[[slice, int, Any], None],
        blocks: Sequence[slice],
        n_sums: int,
        dtype: DTypeLike,
    ) -> Any:
        """Return the sums that `function` computes for each block of rows, added over all blocks in their order.

        The arguments are those of `ThreadEngine.sum_blocks`, except that `sums` is a tensor on the device, and so is
        the result, in float64 where the device has it.
        """
        ops, total = self.device_ops, None
        for number, rows in enumerate(blocks if self.group is None else self.group.own(list(blocks))):
            sums = ops.empty((n_sums,), dtype)
            function(rows, number % self.n_workers, sums)
            if total is None:
                total = ops.asarray(sums, np.float64)
            else:
                total += sums
        if self.group is not None:
            total = ops.zeros((n_sums,), np.float64) if total is None else total
            self.group.add_up(total)
        return total

    def for_each(self, function: Callable[[slice, int], None], parts: Sequence[slice]) -> None:
        """Call a function with each of the parts, in their order; see `ThreadEngine.for_each`."""
        for number, part in enumerate(parts):
            function(part, number % self.n_workers)

    def __repr__(self) -> str:
        shown = [repr(self.device) if self.devices is None else f"devices={list(self.devices)}"]
        shown += [f"dtype={self.dtype.name!r}"] if self.dtype != np.float32 else []
        shown += [f"products={self.products!r}"] if self.products != "exact" else []
        shown += [f"row_bytes={self.row_bytes}"] if self.row_bytes is not None else []
        shown += [f"split={self.split!r}"] if self.split != "rows" else []
        return f"TorchEngine({', '.join(shown)})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TorchEngine) and self._settings == other._settings

    def __hash__(self) -> int:
        return hash(self._settings)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_threads": None, "_ops": None, "group": None}

    def __deepcopy__(self, _: dict[int, Any]) -> TorchEngine:
        return self  # it has settings only

    @property
    def _settings(self) -> tuple[Any, ...]:
        return self.device, self.dtype, self.products, self.row_bytes, self.devices, self.split


def _named(devices: Sequence[str | int] | None) -> tuple[str, ...] | None:
    """Return the names of several devices, or None; a number is that of a CUDA device."""
    if devices is None:
        return None
    names = tuple(f"cuda:{device}" if isinstance(device, int) else str(device) for device in devices)
    wrong = [name for name in names if not _DEVICES.fullmatch(name)]
    kinds = {name.partition(":")[0] for name in names}
    if isinstance(devices, str) or len(names) < 2 or wrong or len(kinds) > 1:
        raise ValueError(
            f"devices must be at least two names or numbers of devices of one kind, such as [0, 1]; got {devices!r}."
        )
    return names


def _check_device(device: str) -> None:
    """Raise an error if PyTorch cannot use a device."""
    torch = import_extra("torch", "torch")
    kind, _, number = device.partition(":")
    if kind == "cpu":
        return
    backend = getattr(torch, kind, None)
    if backend is None or not backend.is_available():
        raise ValueError(
            f"PyTorch {torch.__version__} finds no device {kind!r} on this machine. Name no device, so that the"
            " processor computes, or install a build of PyTorch for the device."
        )
    if number and int(number) >= backend.device_count():
        raise ValueError(
            f"there is no device {device!r}: this machine has {backend.device_count()} of them, counted from {kind}:0."
        )
