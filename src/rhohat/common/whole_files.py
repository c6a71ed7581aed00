"""Files that appear whole or not at all, whenever a process ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

__all__ = ["replacing"]


@contextmanager
def replacing(path: Path, unfinished: Path | None = None) -> Iterator[Path]:
    """Give another name in the same folder to write to, which becomes the file when the block ends well.

    What was written is forced to the disk before it is renamed, which happens as a whole or not at all. If the block
    raises, the file stays as it was. An OSError about the other name becomes one about the file.

    Parameters
    ----------
    path : Path
        Replaced where it exists.
    unfinished : Path, default=None
        The other name. None makes one up, hidden, that no two processes share.

    Yields
    ------
    Path

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
    given, path = path, path.resolve()  # where it is a link, what that leads to is replaced
    beside = path.with_name(f".{uuid4().hex}") if unfinished is None else unfinished
    try:
        yield beside
        with beside.open("rb") as file:
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException as error:
        with suppress(OSError):
            beside.unlink()
        if isinstance(error, OSError) and error.filename == str(beside):  # a name that nobody knows
            raise type(error)(error.errno, error.strerror, str(given)) from None
        raise
    with suppress(OSError):  # not all systems force the names in a folder to the disk
        descriptor = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
