"""Resolution of a path into a file and the name of an array in it, and detection of the file format."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

from rhohat.common.words import Sentence, Setting
from rhohat.data.image_files import IMAGE_SUFFIXES
from rhohat.data.rows.flat import is_idx, is_safetensors
from rhohat.data.rows.positioned import PositionedFile
from rhohat.data.tables.dialect import begins_as_text

__all__ = ["TABLES", "open_file", "path_and_key"]

#: File formats whose columns may hold values of different types.
TABLES = ("text", "Parquet")

#: The file format that the suffix of a file name indicates.
_PROMISES = {
    ".npy": "NumPy", ".npz": "zipped NumPy", ".h5": "HDF5", ".hdf5": "HDF5", ".parquet": "Parquet", ".mat": "MATLAB",
    ".safetensors": "safetensors", ".csv": "text", ".tsv": "text", ".txt": "text",
}  # fmt: skip
#: The file format that the first bytes of a file indicate.
_MAGIC = {
    b"\x93NUMPY": "NumPy",
    b"PK\x03\x04": "zipped NumPy",
    b"PAR1": "Parquet",
    b"MATLAB 5.0": "MATLAB",
    b"MATLAB 7.3": "MATLAB 7.3",
    b"# Created by Octave": "Octave",
    b"# name: ": "Octave",
    b"Octave-1-": "Octave",
}
#: Other formats that a file may have, by the format that its name indicates.
_ALSO = {"MATLAB": ("MATLAB 7.3",), "HDF5": ("MATLAB 7.3",)}
_HDF5 = b"\x89HDF\r\n\x1a\n"
_GZIP = b"\x1f\x8b"
_UNPACKED = ("NumPy", "IDX", "safetensors", "text")  # formats of files that may be gzipped


def path_and_key(path: str) -> tuple[Path, str | None]:
    """Split ``PATH:/NAME`` into a file's path and an array's name, which is None if the whole string is a path."""
    whole = Path(path)
    if whole.exists() or ":" not in path:
        return whole, None
    file, _, key = path.rpartition(":")
    return (Path(file), key) if Path(file).exists() else (whole, None)


def open_file(path: Path, name: str, *, is_text: bool = False) -> tuple[PositionedFile, str]:
    """Open a file and determine its format; a gzipped file is unpacked into a temporary file.

    Parameters
    ----------
    path : Path
    name : str
        Name of the file in messages.
    is_text : bool, default=False
        Whether a file with the suffix of a text file counts as text even if its first bytes do not look like text, as
        in some encodings.

    Returns
    -------
    file : PositionedFile
    kind : str
        "NumPy", "zipped NumPy", "IDX", "safetensors", "HDF5", "MATLAB", "MATLAB 7.3", "Parquet", or "text".

    Raises
    ------
    ValueError
        If the file is empty or damaged, or its format is unknown or differs from the format that its name indicates.
    """
    file = PositionedFile(path)
    try:
        start = file.read(0, 128)
        if not start.startswith(_GZIP):
            return file, _kind_of(file, start, path.name, name, is_text)
        with gzip.open(path) as packed:
            unpacked = PositionedFile.unpacked(path, packed)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        file.close()
        raise ValueError(f"{name} cannot be unpacked: {error}") from error
    except BaseException:
        file.close()
        raise
    file.close()
    try:
        kind = _kind_of(unpacked, unpacked.read(0, 128), path.name.removesuffix(".gz"), name, is_text)
        if kind not in _UNPACKED:
            raise ValueError(f"{name} is a gzipped {kind} file; unpack it first.")
    except BaseException:
        unpacked.close()
        raise
    return unpacked, kind


def _kind_of(file: PositionedFile, start: bytes, file_name: str, name: str, is_text: bool) -> str:
    """Return the format of a file that starts with these bytes."""
    if Path(file_name).suffix.lower() in IMAGE_SUFFIXES:
        raise ValueError(
            f"{name} is an image file and holds no rows. Cut patches out of it first: with rhohat.read_images and"
            " rhohat.sample_patches in Python, or with rhohat patches on the command line."
        )
    if not start:
        raise ValueError(f"{name} is empty.")
    promised = _PROMISES.get(Path(file_name).suffix.lower())
    found = _kind_by_content(file, start, promised)
    if found is None and is_text and promised == "text":
        found = promised
    if found == "Octave":
        raise ValueError(
            f"{name} is in Octave's own format, which cannot be read; load it in Octave and save it in MATLAB's format,"
            " with: save -v7 FILE.mat NAME."
        )
    if found is None:
        if promised:
            subject = f"{name} is named like a {promised} file, but does not begin as such a file does"
            hint = Sentence("; if it is text in an encoding such as UTF-16, pass ", Setting("encoding", "utf-16-le"))
            raise ValueError(Sentence(subject, hint if promised == "text" else "", "."))
        raise ValueError(
            f"{name} has an unknown file format; the known formats are .npy, .npz, IDX, safetensors, HDF5, MATLAB,"
            " Parquet and text."
        )
    if promised not in (None, found) and found not in _ALSO.get(promised, ()):
        raise ValueError(f"{name} is named like a {promised} file, but is a {found} file.")
    return found


def _kind_by_content(file: PositionedFile, start: bytes, promised: str | None) -> str | None:
    """Return the format of a file by its first bytes, or None; in doubt, `promised`, by its name, decides."""
    if _is_hdf5(file, start):
        return "MATLAB 7.3" if start.startswith(b"MATLAB ") or promised == "MATLAB" else "HDF5"
    for magic, kind in _MAGIC.items():
        if start.startswith(magic):
            return kind
    if is_safetensors(start) and promised in (None, "safetensors"):
        return "safetensors"
    if is_idx(start) and promised is None:
        return "IDX"
    if begins_as_text(start) and promised in (None, "text"):
        return "text"
    return "MATLAB" if promised == "MATLAB" else None  # files of version 4 begin with numbers


def _is_hdf5(file: PositionedFile, start: bytes) -> bool:
    """Return whether a file is an HDF5 file, which may begin with a user block of 512, 1024, 2048, … bytes."""
    if start.startswith(_HDF5):
        return True
    offset = 512
    while offset < file.size:
        if file.read(offset, len(_HDF5)) == _HDF5:
            return True
        offset *= 2
    return False
