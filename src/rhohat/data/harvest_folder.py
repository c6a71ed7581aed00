"""The folder that a harvest of activations is written to: its files, and the record in `harvest.json`.

The format is described in `docs/harvest-folder.md`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

__all__ = [
    "DTYPES",
    "FORMAT",
    "RECORD",
    "ROWS",
    "HarvestRecord",
    "HarvestedLayer",
    "Shard",
    "folder_of_layer",
    "index_name",
    "is_harvest",
    "read_harvest_record",
    "rows_name",
]

FORMAT = "rhohat harvest 1"
RECORD = "harvest.json"
ROWS = "rows"  # name of the tensor in each file of rows
DTYPES = ("float16", "float32")
_LONGEST_RECORD = 2**26  # bytes


@dataclass(frozen=True)
class HarvestedLayer:
    """A layer whose activations were harvested.

    Parameters
    ----------
    name : str
        Name of the layer in its module.
    folder : str
        Name of the folder with its rows, in the folder of the harvest.
    n_features : int
        Number of columns of its rows.
    """

    name: str
    folder: str
    n_features: int


@dataclass(frozen=True)
class Shard:
    """Numbers of rows and texts in a part of a harvest: a file of rows for each layer, and a file of the index."""

    n_rows: int
    n_texts: int


@dataclass(frozen=True)
class HarvestRecord:
    """What `harvest.json` says.

    Parameters
    ----------
    model : str
        Name of the model, or its path.
    layers : tuple of HarvestedLayer
    dtype : {"float16", "float32"}
        The dtype of the stored rows.
    shards : tuple of Shard
        The parts of the harvest that are complete, in order.
    content : dict
        The whole record, with what else it says.
    """

    model: str
    layers: tuple[HarvestedLayer, ...]
    dtype: str
    shards: tuple[Shard, ...]
    content: dict[str, Any]

    @property
    def n_rows(self) -> int:
        """Number of rows of each layer."""
        return sum(shard.n_rows for shard in self.shards)

    @property
    def n_texts(self) -> int:
        """Number of texts that gave rows."""
        return sum(shard.n_texts for shard in self.shards)


def is_harvest(folder: Path) -> bool:
    """Return whether a folder has the record of a harvest."""
    return (folder / RECORD).is_file()


def folder_of_layer(name: str) -> str:
    """Return the name of the folder for the rows of a layer.

    Examples
    --------
    >>> folder_of_layer("encoder.layer.3"), folder_of_layer("a/b"), folder_of_layer("")
    ('encoder.layer.3', 'a%2Fb', 'module itself')
    """
    quoted = quote(name, safe="") or "module itself"  # no other name becomes one with a space
    return quoted.replace(".", "%2E") if quoted.startswith(".") else quoted


def rows_name(number: int) -> str:
    """Return the name of the file with the rows of a shard."""
    return f"rows-{number:05d}.safetensors"


def index_name(number: int) -> str:
    """Return the name of the file with the index of a shard."""
    return f"index-{number:05d}.jsonl"


def read_harvest_record(folder: Path) -> HarvestRecord:
    """Return the record of a harvest.

    Parameters
    ----------
    folder : Path

    Raises
    ------
    FileNotFoundError
        If the folder has no record.
    ValueError
        If the record is damaged, or of another version of the format.
    """
    path = folder / RECORD
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is not the folder of a harvest: it has no file {RECORD}.")
    try:
        if path.stat().st_size > _LONGEST_RECORD:
            raise ValueError("it is too long")
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it is not a JSON object")
    except (ValueError, RecursionError) as error:  # errors of decoding and of JSON are ValueErrors
        raise ValueError(f"{path} is damaged: {error}.") from None
    if content.get("format") != FORMAT:
        found = content.get("format", "no format")
        raise ValueError(f"{path} has the format {found!r}, but this version of rhohat reads {FORMAT!r}.")
    try:
        return _checked(content)
    except (KeyError, TypeError, ValueError) as error:
        said = f"the entry {error} is missing" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{path} is damaged: {said}.") from None


def _checked(content: dict[str, Any]) -> HarvestRecord:
    layers = tuple(
        HarvestedLayer(_text(one["name"]), _name_of_folder(one["folder"]), _count(one["n_features"], 1))
        for one in content["layers"]
    )
    shards = tuple(Shard(_count(one["n_rows"], 1), _count(one["n_texts"], 1)) for one in content["shards"])
    if not layers or len({layer.folder for layer in layers}) < len(layers):
        raise ValueError("it must name at least one layer, and each layer once")
    if content["dtype"] not in DTYPES:
        raise ValueError(f"the dtype must be {' or '.join(DTYPES)}; it is {content['dtype']!r}")
    return HarvestRecord(_text(content["model"]), layers, content["dtype"], shards, content)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a name must be a string; it is {value!r}")
    return value


def _name_of_folder(value: Any) -> str:
    """Return a name if it is that of a folder within the harvest, and not a path that leads out of it."""
    name = _text(value)
    if name in ("", ".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise ValueError(f"the folder of a layer must be a simple name; it is {name!r}")
    return name


def _count(value: Any, least: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**62:
        raise ValueError(f"a count must be a whole number of at least {least}; it is {value!r}")
    return value
