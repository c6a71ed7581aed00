"""What a model file holds of a preprocessor of tables: what was learned of each column."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from rhohat.common.exceptions import ModelFileError
from rhohat.data.table_columns import TableColumn
from rhohat.data.table_dtypes import are_dtypes
from rhohat.data.tables.coding import Kind

__all__ = ["KEYS_OF_TABLE", "describe_table", "restore_table"]

_LEARNED = ("fill", "shift", "scale")
#: Keys of the dict that `describe_table` returns.
KEYS_OF_TABLE = ("kinds", "has_rare", "has_missing", "dtypes")


def describe_table(
    columns: Sequence[TableColumn], dtypes: Sequence[str] | None, file: Any, prefix: str
) -> dict[str, Any]:
    """Return what was learned as JSON, with the scales and the categories as tensors; see docs/model-file.md."""
    for name in _LEARNED:
        file.arrays[f"{prefix}{name}"] = np.array([getattr(column, name) for column in columns])
    for name in ("categories", "rare"):
        texts = json.dumps([getattr(column, name) for column in columns]).encode()
        file.arrays[f"{prefix}{name}"] = np.frombuffer(texts, np.uint8)
    return {
        "kinds": [str(column.kind) for column in columns],
        "has_rare": [column.has_rare for column in columns],
        "has_missing": [column.has_missing for column in columns],
        "dtypes": None if dtypes is None else list(dtypes),
    }


def restore_table(
    file: Any, described: dict[str, Any], prefix: str
) -> tuple[tuple[TableColumn, ...], tuple[str, ...] | None]:
    """Return the columns of a table and their dtypes, from what `describe_table` has returned and put into a file.

    Raises
    ------
    ModelFileError
        If what the file says does not fit together.
    """
    kinds = [Kind(one) for one in file.get(described, "kinds", list)]
    flags = [file.get(described, name, list) for name in ("has_rare", "has_missing")]
    categories = json.loads(file.take(f"{prefix}categories", None, np.uint8).tobytes())
    held = file.holds(f"{prefix}rare")
    rare = json.loads(file.take(f"{prefix}rare", None, np.uint8).tobytes()) if held else [None] * len(kinds)
    numbers = [file.take(f"{prefix}{name}", (len(kinds),), np.float64) for name in _LEARNED]
    lists = (*flags, categories, rare)
    if not all(isinstance(one, list) for one in lists) or not {len(kinds)} == {len(one) for one in lists}:
        raise ModelFileError("the columns of the table are described in lists of different lengths.")
    for kind, own, others, *said in zip(kinds, categories, rare, *flags, strict=True):
        if not (_are_sorted(own) and _are_sorted(others or []) and all(isinstance(flag, bool) for flag in said)):
            raise ModelFileError("the categories of a column of the table are not sorted and different texts.")
        if kind == Kind.DATE or (kind != Kind.TEXT and (own or others or said[0])):
            raise ModelFileError("a column of the table has categories, but holds no texts.")
    if not kinds or np.any(numbers[2] <= 0):
        raise ModelFileError("the table has no columns, or a scale that is not positive.")
    dtypes = described.get("dtypes")
    if not are_dtypes(dtypes, len(kinds)):
        raise ModelFileError("the dtypes of the columns of the table are not known.")
    columns = tuple(
        TableColumn(
            kind,
            **{name: float(numbers[number][place]) for number, name in enumerate(_LEARNED)},
            categories=tuple(categories[place]),
            has_rare=flags[0][place],
            has_missing=flags[1][place],
            rare=None if (others := rare[place]) is None else tuple(others),
        )
        for place, kind in enumerate(kinds)
    )
    if sum(column.n_outputs for column in columns) == 0:
        raise ModelFileError("the columns of the table become no numbers.")
    return columns, None if dtypes is None else tuple(dtypes)


def _are_sorted(texts: Any) -> bool:
    """Return whether something from a file is a list of texts that are sorted and different."""
    return isinstance(texts, list) and all(isinstance(text, str) for text in texts) and texts == sorted(set(texts))
