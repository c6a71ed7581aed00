"""Figures of a model on rows that its training did not use, beside those on its training rows."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rhohat.inspection.reporting.rounding import show
from rhohat.models.model_card import ModelCard

__all__ = ["HeldOutFigure", "held_out_of"]


@dataclass(frozen=True)
class HeldOutFigure:
    """A figure on rows that the training did not use, and on its training rows, as texts; "" if it is not known."""

    name: str
    held_out: str
    training: str


def held_out_of(card: ModelCard) -> list[HeldOutFigure]:
    """Return the figures of a card that are known of rows held out; none if there are none.

    Examples
    --------
    >>> held_out_of(ModelCard(figures={"accuracy": 0.98, "L0": 3}, held_out={"accuracy": 0.9512}))
    [HeldOutFigure(name='accuracy', held_out='0.9512', training='0.98')]
    """
    return [HeldOutFigure(name, _text(value), _text(card.figures.get(name))) for name, value in card.held_out.items()]


def _text(value: float | None) -> str:
    return "" if value is None else show(value) if math.isfinite(value) else "unknown"
