"""Which format is at a path, told by the names of files, and by what is in a file of torch.save."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rhohat.common.exceptions import ModelFileError
from rhohat.common.tensor_files import read_format
from rhohat.models.formats import dictionary_learning, gemma_scope, llama_scope, openai, plain, saelens, sparsify
from rhohat.models.formats.exchanged import ExchangedDictionary
from rhohat.models.formats.torch_files import TorchFile

__all__ = ["is_foreign", "reading_of"]

_OWN = "rhohat model "  # with which the format of a model file begins
_PICKLED = (".pt", ".pth", ".bin")
#: Files by whose names formats are told apart, and which stand for the folders that they are in.
_NAMES = {
    "SAELens": (saelens.CONFIGURATION, saelens.WEIGHTS),
    "sparsify": (sparsify.CONFIGURATION, sparsify.WEIGHTS),
    "dictionary_learning": (dictionary_learning.WEIGHTS,),
    "Llama Scope": (llama_scope.CONFIGURATION, llama_scope.WEIGHTS),
    "Gemma Scope": (gemma_scope.WEIGHTS,),
    "Gemma Scope 2": (gemma_scope.WEIGHTS_2,),
    "rhohat.export": (plain.FILE,),
}


def is_foreign(path: Path) -> bool:
    """Return whether a path leads to a folder, or to a file that has the name or the content of another library's."""
    if path.is_dir():
        return True
    if not path.is_file():
        return False
    found = read_format(path)
    if found is not None and found.startswith(_OWN):
        return False  # whatever its name is
    names = {Path(name).name for files in _NAMES.values() for name in files}
    return path.name in names or path.suffix in (*_PICKLED, ".npz") or found == plain.FORMAT


def reading_of(path: Path, activation_scale: float | None) -> Callable[[], ExchangedDictionary]:
    """Return the function that reads what is at a path.

    Parameters
    ----------
    path : Path
        A path of which `is_foreign` is true.
    activation_scale : float or None
        Factor of rows, for SAELens.

    Raises
    ------
    ModelFileError
        If no format is recognised, or if `activation_scale` is given for another one than SAELens.
    """
    if path.is_file():
        if _is_plain(path):
            return _without(activation_scale, lambda: plain.read_plain(path))
        if path.suffix in _PICKLED:
            return _without(activation_scale, lambda: _read_pickled(path))
        if path.suffix == ".npz" or path.name == gemma_scope.WEIGHTS_2:
            return _without(activation_scale, lambda: gemma_scope.read_gemma_scope(path))
        path = path.parent.parent if path.parent.name == "checkpoints" else path.parent
    found = [name for name, files in _NAMES.items() if all((path / file).is_file() for file in files)]
    if "rhohat.export" in found and not _is_plain(path / plain.FILE):
        found.remove("rhohat.export")
    if "SAELens" in found:
        return lambda: saelens.read_saelens(path, activation_scale)
    readers: dict[str, Callable[[], ExchangedDictionary]] = {
        "sparsify": lambda: sparsify.read_sparsify(path),
        "dictionary_learning": lambda: _read_pickled(path / dictionary_learning.WEIGHTS),
        "Llama Scope": lambda: llama_scope.read_llama_scope(path),
        "Gemma Scope": lambda: gemma_scope.read_gemma_scope(path / gemma_scope.WEIGHTS),
        "Gemma Scope 2": lambda: gemma_scope.read_gemma_scope(path / gemma_scope.WEIGHTS_2),
        "rhohat.export": lambda: plain.read_plain(path / plain.FILE),
    }
    pickled = [one for one in sorted(path.iterdir()) if one.suffix in _PICKLED] if path.is_dir() else []
    if not found and len(pickled) == 1:
        return _without(activation_scale, lambda: _read_pickled(pickled[0]))
    for name in found:
        return _without(activation_scale, readers[name])
    raise ModelFileError(_nothing(path))


def _without(
    activation_scale: float | None, read: Callable[[], ExchangedDictionary]
) -> Callable[[], ExchangedDictionary]:
    if activation_scale is not None:
        raise ModelFileError("activation_scale is for folders of SAELens, and this is none.")
    return read


def _read_pickled(path: Path) -> ExchangedDictionary:
    """Return the dictionary in a file of torch.save, of OpenAI or of dictionary_learning."""
    file = TorchFile(path)
    if openai.is_openai(file.content):
        return openai.read_openai(file)
    return dictionary_learning.read_dictionary_learning(path, file)


def _is_plain(path: Path) -> bool:
    """Return whether a file is a plain safetensors file of `export`, whatever its name."""
    return read_format(path) == plain.FORMAT


def _nothing(folder: Path) -> str:
    """Return the message for a folder in which nothing is recognised."""
    known = "; ".join(f"{' and '.join(files)} ({name})" for name, files in _NAMES.items())
    within = sorted(one.name for one in folder.iterdir() if one.is_dir())[:5] if folder.is_dir() else []
    hint = f" It has folders, such as {', '.join(within)}: name one of them." if within else ""
    return f"the folder {folder} has no files that rhohat recognises, which are {known}.{hint}"
