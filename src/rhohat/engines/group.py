"""The processes that compute a fit together, seen from one of them: what they add up, exchange, and tell one another.

All of them have to ask for the same sums in the same order. Where only the first knows what comes next, the others wait
for what it tells them.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from rhohat.common.extras import import_extra

__all__ = ["TIMEOUT", "Group"]

TIMEOUT = timedelta(minutes=10)  # after which a process that waits for another gives up


class Group:
    """The processes that compute a fit together, seen from one of them.

    Attributes
    ----------
    rank : int
        Number of this process; the fit began in process 0.
    size : int
        Number of processes.
    is_joined : bool
        Whether the processes were a group before the fit, so that all of them go on after it.
    """

    def __init__(self, rank: int, size: int, *, is_joined: bool = False) -> None:
        self.rank, self.size, self.is_joined = rank, size, is_joined
        self._torch = import_extra("torch", "torch")
        self._distributed = self._torch.distributed
        self._hosts: Any = None

    def own(self, parts: list[slice]) -> list[slice]:
        """Return the successive parts of the rows that this process computes."""
        n = len(parts)
        return parts[n * self.rank // self.size : n * (self.rank + 1) // self.size]

    # Sums and exchanges between devices.

    def add_up(self, numbers: Any) -> None:
        """Replace a tensor by its sum over all processes."""
        self._distributed.all_reduce(numbers)

    def add_up_in_order(self, numbers: Any) -> None:
        """Replace a tensor by its sum over all processes in their order; all get the same bits.

        Each process adds up a part of the numbers, and all get the sums, so that as much is sent as in other sums.
        """
        n = numbers.numel()
        length = -(-n // self.size)
        given = numbers.new_zeros(length * self.size)
        given[:n] = numbers.reshape(-1)
        received = self._torch.empty_like(given)
        self._distributed.all_to_all_single(received, given)
        first, *others = received.view(self.size, length)
        total = first.clone()
        for other in others:
            total += other
        numbers.copy_(self._torch.cat(self.gather(total))[:n].view(numbers.shape))

    def gather(self, numbers: Any) -> list[Any]:
        """Return the tensors of all processes, which have the same shape."""
        gathered = [numbers.new_empty(numbers.shape) for _ in range(self.size)]
        self._distributed.all_gather(gathered, numbers.contiguous())
        return gathered

    def gather_of_lengths(self, numbers: Any, lengths: list[int]) -> list[Any]:
        """Return the tensors of all processes, which have one axis, given the length of each."""
        padded = numbers.new_zeros(max(1, *lengths))
        padded[: len(numbers)] = numbers
        return [part[:length] for part, length in zip(self.gather(padded), lengths, strict=True)]

    def told(self, wish: bool, device: str) -> bool:
        """Return what the first process wishes; `wish` is its wish, and is not looked at in the others."""
        told = self._torch.tensor([float(wish)], device=device)
        self._distributed.broadcast(told, 0)
        return bool(told.item())

    def meet(self) -> None:
        """Wait until all processes have come here."""
        self._distributed.barrier(group=self._on_hosts())

    # What the first process tells the others. The numbers are on the hosts, so that no device is waited for.

    def tell(self, number: int) -> None:
        """Tell the other processes a number; for the first process."""
        self._distributed.broadcast(self._torch.tensor([number]), 0, group=self._on_hosts())

    def hear(self) -> int:
        """Wait for the first process to tell a number, and return it; for the other processes."""
        heard = self._torch.zeros(1, dtype=self._torch.int64)
        self._distributed.broadcast(heard, 0, group=self._on_hosts())
        return int(heard.item())

    def send(self, array: Any, rank: int) -> None:
        """Send an array of NumPy to a process, which has to receive it."""
        given = self._torch.from_numpy(array)
        self._distributed.send(given, rank, group=self._on_hosts())

    def receive(self, array: Any, rank: int) -> Any:
        """Overwrite an array of NumPy by the one that a process sends, which has its shape and dtype, and return it."""
        self._distributed.recv(self._torch.from_numpy(array), rank, group=self._on_hosts())
        return array

    def _on_hosts(self) -> Any:
        """Return the processes as those of hosts, which have to ask for it in the same order; None stands for all."""
        if self._hosts is None and self._distributed.get_backend() != "gloo":
            self._hosts = self._distributed.new_group(backend="gloo", timeout=TIMEOUT)
        return self._hosts
