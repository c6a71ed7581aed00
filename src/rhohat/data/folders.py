"""Listing the data files in a folder without the files that the operating system has put there."""

from __future__ import annotations

from pathlib import Path, PurePath

__all__ = ["files_of_data", "is_of_the_system"]

_SYSTEM_NAMES = {
    "$recycle.bin",
    "@eadir",
    "__macosx",
    "desktop.ini",
    "ehthumbs.db",
    "icon\r",
    "system volume information",
    "thumbs.db",
}


def is_of_the_system(path: str | PurePath) -> bool:
    """Return whether a file is hidden, or was made by an operating system for its own use.

    Examples are `._name`, which a Mac puts beside every file on a foreign disk and into every archive, `.DS_Store`,
    `Thumbs.db`, and everything in a folder `__MACOSX`.

    Examples
    --------
    >>> is_of_the_system("._a.png"), is_of_the_system("__MACOSX/a.npy"), is_of_the_system("_DSC0001.JPG")
    (True, True, False)
    """
    return any(part.startswith(".") or part.lower() in _SYSTEM_NAMES for part in PurePath(path).parts if part != "..")


def files_of_data(folder: Path) -> list[Path]:
    """Return the paths in a folder, sorted by name, without hidden files and files that the operating system made."""
    return sorted(path for path in folder.iterdir() if not is_of_the_system(path.name))
