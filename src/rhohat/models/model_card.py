"""What a person who is handed a model wants to know: a note, the data, and figures of how well the model does."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rhohat.models.pipelines import is_pipeline

__all__ = ["ModelCard", "card_of", "describes_rows", "set_card", "with_note"]

_LONGEST = {"note": 2**16, "data": 2**12}  # characters
_MOST_FIGURES, _LONGEST_NAME = 256, 128
_LONGEST_ORIGIN = 2**12


@dataclass(frozen=True)
class ModelCard:
    """What a model is for, what it was trained on, and how well it does; kept in the model file.

    Set it as the attribute `model_card_` of a fitted estimator, or pass it to `save` as `card`. A later fit of the
    estimator removes it. ``rhohat info MODEL`` prints it. The command line fills it in after a training.

    Parameters
    ----------
    note : str, default=""
        A text of your own, of at most 65,536 characters.
    data : str, default=""
        Description of the training data in one sentence, of at most 4,096 characters.
    figures : dict of str to float, default={}
        Figures of the model on its training rows, such as ``{"explained variance": 0.93}``; at most 256.
    held_out : dict of str to float, default={}
        The same figures on rows that the training did not use; at most 256.
    origin : dict of str to str, default={}
        Where the model comes from, such as ``{"model_name": "gpt2", "hook_name": "blocks.5.hook_resid_pre"}``: the
        network whose activations it was trained on, and the library, if it was loaded from files of another one; at
        most 256 entries of 4,096 characters. `export` writes them where the format has a place for them.

    Raises
    ------
    ValueError
        If a text is too long, if there are too many figures or entries, or if the name of one is empty or has more than
        128 characters.
    TypeError
        If a text is not a string, or if a figure is not a number.

    See Also
    --------
    save
    load

    Examples
    --------
    >>> ModelCard(note="For the demo.", figures={"explained variance": 0.93}).figures
    {'explained variance': 0.93}
    """

    note: str = ""
    data: str = ""
    figures: dict[str, float] = field(default_factory=dict)
    held_out: dict[str, float] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, longest in _LONGEST.items():
            text = getattr(self, name)
            if not isinstance(text, str):
                raise TypeError(f"{name} of a model card must be a string; got {text!r}.")
            if len(text) > longest:
                raise ValueError(f"{name} of a model card has at most {longest:,} characters; got {len(text):,}.")
        for name in ("figures", "held_out"):
            object.__setattr__(self, name, _checked_figures(getattr(self, name), name))
        object.__setattr__(self, "origin", _checked_origin(self.origin))


def _checked_figures(figures: Any, name: str) -> dict[str, float]:
    """Return a copy of figures as a dict of str to float; raise if something in it is something else, or too long."""
    if not isinstance(figures, Mapping):
        raise TypeError(f"{name} of a model card must be a dict of names to numbers; got {figures!r}.")
    if len(figures) > _MOST_FIGURES:
        raise ValueError(f"{name} of a model card has at most {_MOST_FIGURES} figures; got {len(figures):,}.")
    checked = {}
    for key, figure in figures.items():
        _check_name(key, f"a figure in {name}")
        try:
            checked[key] = float(figure)
        except (TypeError, ValueError, OverflowError):
            raise TypeError(f"{key!r} in {name} of a model card must be a number; got {figure!r}.") from None
    return checked


def _checked_origin(origin: Any) -> dict[str, str]:
    """Return a copy of an origin as a dict of str to str; raise if something in it is something else, or too long."""
    if not isinstance(origin, Mapping):
        raise TypeError(f"origin of a model card must be a dict of names to texts; got {origin!r}.")
    if len(origin) > _MOST_FIGURES:
        raise ValueError(f"origin of a model card has at most {_MOST_FIGURES} entries; got {len(origin):,}.")
    for key, text in origin.items():
        _check_name(key, "an entry in origin")
        if not isinstance(text, str):
            raise TypeError(f"{key!r} in origin of a model card must be a string; got {text!r}.")
        if len(text) > _LONGEST_ORIGIN:
            raise ValueError(
                f"{key!r} in origin of a model card has at most {_LONGEST_ORIGIN:,} characters; got {len(text):,}."
            )
    return dict(origin)


def _check_name(key: Any, what: str) -> None:
    """Raise ValueError if the name of a figure or an entry is no text, is empty, or is too long."""
    if not isinstance(key, str) or not 0 < len(key) <= _LONGEST_NAME:
        raise ValueError(
            f"the name of {what} of a model card must be a string of 1 to {_LONGEST_NAME} characters;"
            f" got {str(key)[:_LONGEST_NAME]!r}."
        )


def card_of(model: Any) -> ModelCard | None:
    """Return the card of a model, which is the `model_card_` of its last step if it is a pipeline; None without one.

    Raises
    ------
    TypeError
        If `model_card_` is something else than a `ModelCard`.
    """
    card = getattr(_holder(model), "model_card_", None)
    if card is not None and not isinstance(card, ModelCard):
        raise TypeError(f"model_card_ must be a rhohat.ModelCard; got {card!r}.")
    return card


def describes_rows(data: str, n_rows: int, name: str | None = None, *, times_seen: bool = False) -> bool:
    """Return whether a description of training data begins with their number of rows, as those of `train` do.

    Parameters
    ----------
    data : str
        The description.
    n_rows : int
        Number of rows of the training.
    name : str, default=None
        Name of the data, which the description must have.
    times_seen : bool, default=False
        Whether `n_rows` counts a row as often as it was seen, as dictionaries do, so that there may be fewer.

    Examples
    --------
    >>> describes_rows("1,200 rows of 8 columns of orders.csv.", 1200), describes_rows("Orders of May.", 1200)
    (True, False)
    >>> describes_rows("1,200 rows of 8 columns of orders.csv.", 12000, "orders.csv", times_seen=True)
    True
    """
    found = re.match(r"([\d,]+) rows? of ", data)
    if found is None or (name or "") not in data:
        return False
    described = int(found[1].replace(",", "") or 0)
    return described <= n_rows if times_seen else described == n_rows


def set_card(model: Any, card: ModelCard) -> None:
    """Set the card of a fitted model, as `card_of` finds it."""
    _holder(model).model_card_ = card


def with_note(card: ModelCard | None, note: str) -> ModelCard:
    """Return a card with another note."""
    return replace(card or ModelCard(), note=note)


def _holder(model: Any) -> Any:
    return model.steps[-1][1] if is_pipeline(model) else model
