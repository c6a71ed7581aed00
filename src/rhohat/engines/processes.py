"""Processes that compute together, each on a device of its own: how they are started, add up numbers, and end.

The process in which a fit begins is the first of a group. The others follow it: they run the same training on the same
rows, without callbacks and checkpoints, so that all reach the same sums in the same order. When the first process ends,
in whatever way, the others end as well. If one of the others ends, the next sum fails, and the first process says which
one it was.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from rhohat.common.exceptions import ClusterError
from rhohat.common.extras import import_extra
from rhohat.engines.group import TIMEOUT, Group

__all__ = ["followed"]

_PAUSE, _GRACE = 0.02, 5.0  # seconds between looks at others; seconds that one may take to end after it has failed
_LAST_WORDS = 2000  # characters of what a process has said before it ended


@contextmanager
def followed(devices: list[str], follow: Callable[..., None], arguments: tuple[Any, ...]) -> Iterator[Group]:
    """Start processes that follow this one, and yield the group; the processes end with the `with` block.

    If this process is in a group of PyTorch already, such as one that torchrun has started, no process is started: each
    process of the group runs the same program, and they compute together.

    Parameters
    ----------
    devices : list of str
        Device of each process, by its number; this process is the first, unless it is in a group already.
    follow : callable(group, device, *arguments)
        What the other processes run, a function of a module.
    arguments : tuple
        Sent to the other processes, as a file that only this user can read.

    Raises
    ------
    ClusterError
        If one of the processes ends, or does not answer.
    """
    torch = import_extra("torch", "torch")
    size, distributed = len(devices), torch.distributed
    if distributed.is_initialized():
        if distributed.get_world_size() != size:
            raise ClusterError(
                f"this process is in a group of {distributed.get_world_size()} processes already, and the engine has"
                f" {size} devices; name a device for each process of the group, or end the group."
            )
        yield Group(distributed.get_rank(), size, is_joined=True)
        return
    store = distributed.TCPStore("127.0.0.1", 0, size, True, wait_for_workers=False, timeout=TIMEOUT)
    with tempfile.TemporaryDirectory(prefix="rhohat-") as name:
        folder, followers = Path(name), []
        _write_task(folder / "task", (follow, devices, arguments))
        try:
            followers += [_start(folder, store.port, rank) for rank in range(1, size)]
            while not store.check([_is_ready(rank) for rank in range(1, size)]):  # joining a group would not end
                if ended := _ended(followers, devices, folder):
                    raise ClusterError(f"{ended} The fit has not begun.")
                time.sleep(_PAUSE)
            _join(torch, store, 0, devices)
            yield Group(0, size)
        except ClusterError:
            raise
        except RuntimeError as error:
            ended = _ended(followers, devices, folder, timeout=_GRACE)
            if ended is None:
                raise
            raise ClusterError(f"{ended} The fit has ended; if it wrote checkpoints, it can be resumed.") from error
        finally:
            _end(followers)
            if distributed.is_initialized():
                distributed.destroy_process_group()


class _Pickler(pickle.Pickler):
    """Pickles rows that are read from files as what opens them again."""

    def reducer_override(self, value: Any) -> Any:
        if not (hasattr(value, "recipes") and hasattr(value, "read")):
            return NotImplemented
        (recipe,) = value.recipes([0, value.shape[0]])
        return (recipe, ()) if callable(recipe) else (np.asarray, (recipe,))


def _write_task(path: Path, task: Any) -> None:
    """Write what the other processes run, or raise ValueError if they could not read it."""
    try:
        with path.open("wb") as file:
            _Pickler(file, protocol=5).dump(task)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise ValueError(
            f"on several devices, what is trained is sent to other processes, and a part of it cannot be: {error}. Put"
            " classes and functions of your own into a module, or use one device."
        ) from error


def _start(folder: Path, port: int, rank: int) -> subprocess.Popen[bytes]:
    """Start a process that follows, which finds the modules that this one finds."""
    command = [sys.executable, "-m", "rhohat.engines.processes", str(folder), str(port), str(rank)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)}
    with (folder / f"said {rank}").open("wb") as said:
        return subprocess.Popen(command, stdout=said, stderr=said, env=environment, start_new_session=True)  # noqa: S603


def _is_ready(rank: int) -> str:
    """Return the name under which a process says that it has read its task."""
    return f"process {rank} is ready"


def _join(torch: Any, store: Any, rank: int, devices: list[str]) -> None:
    """Join the group, which waits for all others."""
    if devices[rank].startswith("cuda"):
        torch.cuda.set_device(devices[rank])
    backend = "nccl" if devices[rank].startswith("cuda") else "gloo"
    torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=len(devices), timeout=TIMEOUT)


def _ended(
    followers: list[subprocess.Popen[bytes]], devices: list[str], folder: Path, timeout: float = 0.0
) -> str | None:
    """Return a sentence on a process that has ended or ends within some seconds, or None if all are running."""
    for rank, follower in enumerate(followers, start=1):
        try:
            code = follower.wait(timeout)
        except subprocess.TimeoutExpired:
            continue
        how = f"was killed by the signal {signal.Signals(-code).name}" if code < 0 else f"ended with the code {code}"
        said = (folder / f"said {rank}").read_text(encoding="utf-8", errors="replace")[-_LAST_WORDS:].strip()
        last = f' Its last words were "{said.splitlines()[-1]}".' if said else ""
        return f"process {rank} of {len(devices)}, which computed on {devices[rank]!r}, {how}.{last}"
    return None


def _end(followers: list[subprocess.Popen[bytes]]) -> None:
    """End the processes that follow, and wait until they have."""
    for follower in followers:
        follower.kill()
    for follower in followers:
        follower.wait()


def _follow(folder: str, port: str, rank: str) -> None:
    """Run in a process that follows: join the group, and run what all run."""
    torch = import_extra("torch", "torch")
    with (Path(folder) / "task").open("rb") as file:
        follow, devices, arguments = pickle.load(file)  # noqa: S301 - a file of this user's own process
    store = torch.distributed.TCPStore("127.0.0.1", int(port), len(devices), False, timeout=TIMEOUT)
    store.set(_is_ready(int(rank)), "")
    _join(torch, store, int(rank), devices)
    follow(Group(int(rank), len(devices)), devices[int(rank)], *arguments)
    os._exit(0)  # without waiting for the first process, which may be gone


if __name__ == "__main__":
    _follow(*sys.argv[1:])
