"""Atomic replacement of files, which are written completely or not at all even if the process is killed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

__all__ = ["replacing"]


@contextmanager
def replacing(path: Path, unfinished: Path | None = None) -> Iterator[Path]:
    """Replace a file atomically: yield a temporary path to write to, and rename it when the `with` block succeeds.

    The temporary file is in the same folder. It is forced to the disk and then renamed, in one atomic step. If the
    block raises an exception, the file stays as it was. An OSError that names the temporary path is raised again with
    the name of the file.

    Parameters
    ----------
    path : Path
        Path of the file, which is replaced if it exists.
    unfinished : Path, default=None
        The temporary path. None stands for a hidden file in the same folder, with a name that no other process uses.

    Yields
    ------
    Path
        The temporary path.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "greeting.txt"
    >>> with replacing(path) as unfinished:
    ...     _ = unfinished.write_text("hello")
    ...     path.exists()
    False
    >>> path.read_text()
    'hello'
    """
    given, path = path, path.resolve()  # if the path is a link, its target is replaced
    beside = path.with_name(f".{uuid4().hex}") if unfinished is None else unfinished
    try:
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException as error:
        with suppress(OSError):
            beside.unlink()
        if isinstance(error, OSError) and error.filename == str(beside):  # a name that the user does not know
            raise type(error)(error.errno, error.strerror, str(given)) from None
        raise
    with suppress(OSError):  # not all systems can force the names in a folder to the disk
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
