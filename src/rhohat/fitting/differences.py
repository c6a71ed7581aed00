"""What is said of a checkpoint that belongs to another fit."""

from __future__ import annotations

from typing import Any

from rhohat.common.words import Sentence, Setting, counted

__all__ = ["differences_of"]

#: Names of the rows that are learned from, of networks and of dictionaries.
_ROWS = ("X", "rows 0")

#: Parameters for which the command line has options.
_OPTIONS = (
    "n_components",
    "k",
    "max_iter",
    "sparsity",
    "sparsity_weight",
    "weight_decay",
    "activation",
    "random_state",
)


def differences_of(before: Any, now: Any, name: str = "") -> Any:
    """Yield a phrase for every difference between two descriptions, of a fit before and of one now."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in [*before, *(key for key in now if key not in before)]:
            inner = f"{name}.{key}" if name else key
            yield from differences_of(before.get(key), now.get(key), inner)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for index, (one, other) in enumerate(zip(before, now, strict=True)):
            yield from differences_of(one, other, f"{name}[{index}]")
    elif before != now and not (before != before and now != now):
        if name.endswith(".digest"):
            array = name.removesuffix(".digest")
            yield "the values in the rows differ" if array in _ROWS else f"the numbers in {array} are not the same"
        elif name.endswith(".shape[0]") and name.removesuffix(".shape[0]") in _ROWS:
            yield f"that fit had {counted(before, 'row')}, this one has {now:,}"
        else:
            yield Sentence(
                Setting(name) if name in _OPTIONS else name, f" was {before!r} in that fit and is {now!r} now"
            )
