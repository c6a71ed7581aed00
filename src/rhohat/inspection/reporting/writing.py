"""Writing of a page to a file, or of several pages to a folder, which appear whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from os import PathLike
from pathlib import Path

from rhohat.common.whole_files import replacing

__all__ = ["INDEX", "Page", "is_folder", "writing"]

INDEX = "index.html"
_SUFFIXES = (".html", ".htm")

#: A function that writes a page and further pages, by their names; returns the path of the page, and how many others.
Write = Callable[[str, Iterable[tuple[str, str]]], tuple[str | None, int]]


class Page(str):
    """String with a page, whose representation is short, as notebooks show that of a result.

    Attributes
    ----------
    path : str or None
        Path of the file that was written.
    n_further : int
        Number of further pages in the same folder.
    remark : str
        What is left out of the page, as a sentence; empty if nothing is.
    """

    path: str | None
    n_further: int
    remark: str

    def __new__(cls, text: str, path: str | None = None, n_further: int = 0, remark: str = "") -> Page:
        """Return a page with what is known of it."""
        page = super().__new__(cls, text)
        page.path, page.n_further, page.remark = path, n_further, remark
        return page

    def __repr__(self) -> str:
        where = "" if self.path is None else f", written to {self.path}"
        further = f", with {self.n_further:,} further pages in its folder" if self.n_further else ""
        return f"<page of {len(self):,} characters{where}{further}>{' ' if self.remark else ''}{self.remark}"


def is_folder(path: str | PathLike[str] | None) -> bool:
    """Return whether pages go to a folder: a path that is one, or that does not end in .html or .htm."""
    return path is not None and (Path(path).is_dir() or Path(path).suffix.lower() not in _SUFFIXES)


@contextmanager
def writing(path: str | PathLike[str] | None) -> Iterator[Write]:
    """Yield a function that writes pages, which replace what is at `path` only if the block succeeds.

    Raises
    ------
    OSError
        If nothing can be written at `path`, or it is a folder with files that are no pages of a report; raised before
        the block is entered.
    """
    if path is None:
        yield lambda page, further: (None, 0)
        return
    place = Path(path)
    if not place.absolute().parent.is_dir():
        raise FileNotFoundError(f"the page cannot be written to {place}: there is no folder {place.parent}.")
    if is_folder(path):
        with _replacing_folder(place) as unfinished:
            yield lambda page, further: _write_folder(page, further, unfinished, place)
        return
    with replacing(place) as unfinished, unfinished.open("x", encoding="utf-8", newline="\n") as file:

        def write(page: str, further: Iterable[tuple[str, str]]) -> tuple[str, int]:
            file.write(page)
            return str(place), 0

        yield write


def _write_folder(page: str, further: Iterable[tuple[str, str]], folder: Path, place: Path) -> tuple[str, int]:
    n_pages = 0
    for name, text in chain([(INDEX, page)], further):
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
        n_pages += 1
    return str(place / INDEX), n_pages - 1


@contextmanager
def _replacing_folder(place: Path) -> Iterator[Path]:
    """Yield a new folder beside a place, which takes the place when the block succeeds."""
    if place.exists():
        if not place.is_dir():
            raise FileExistsError(f"path must end in .html or name a folder; {place} is another file.")
        others = [one.name for one in place.iterdir() if not _is_page(one)]
        if others:
            raise FileExistsError(
                f"the folder {place} has files that are no pages of a report, such as {sorted(others)[0]}; name a new"
                " or an empty folder."
            )
    beside = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.absolute().parent))
    unfinished, old = beside / "new", beside / "old"
    unfinished.mkdir()
    try:
        yield unfinished
        if place.exists():
            place.replace(old)
        unfinished.replace(place)
    finally:
        if old.exists() and not place.exists():
            old.replace(place)  # the new one could not take its place
        shutil.rmtree(beside, ignore_errors=True)


def _is_page(path: Path) -> bool:
    names = (INDEX, "latents-", "other-")
    return path.is_file() and path.suffix == ".html" and path.name.startswith(names)
