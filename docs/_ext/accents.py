"""Letters with an accent, such as ρ̂, as formulas: many fonts set the accent beside the letter."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform

__all__ = ["AccentsAsFormulas", "setup", "split_accents"]

_ACCENTS = {"\u0302": "hat", "\u0303": "tilde", "\u0304": "bar", "\u0307": "dot"}
_GREEK = {"α": r"\alpha", "β": r"\beta", "ρ": r"\rho"}
_LETTER = re.compile(
    f"([a-zA-Z{''.join(_GREEK)}])([{''.join(_ACCENTS)}])(?:_([a-zA-Z]))?"
)


def split_accents(text: str) -> list[tuple[str, bool]]:
    """Return a text in parts: plain text, and LaTeX with True beside it for each letter with an accent."""
    parts, end = [], 0
    for found in _LETTER.finditer(text):
        letter, accent, index = found.groups()
        latex = rf"\{_ACCENTS[accent]}{{{_GREEK.get(letter, letter)}}}" + (
            f"_{index}" if index else ""
        )
        parts += [(text[end : found.start()], False), (latex, True)]
        end = found.end()
    return [part for part in [*parts, (text[end:], False)] if part[0]]


class AccentsAsFormulas(SphinxPostTransform):
    """Replace letters with an accent in running text by formulas; code and titles stay as they are."""

    default_priority = 700
    formats = ("html",)

    def run(self, **kwargs: object) -> None:
        """Replace them on one page."""
        kept = (
            nodes.literal,
            nodes.literal_block,
            nodes.math,
            nodes.math_block,
            nodes.title,
            nodes.raw,
        )
        for text in list(self.document.findall(nodes.Text)):
            parts = split_accents(text.astext())
            parent = text.parent
            inside = parent
            while inside is not None and not isinstance(inside, kept):
                inside = inside.parent
            if inside is None and any(is_formula for _, is_formula in parts):
                parent.replace(
                    text,
                    [
                        nodes.math(part, part) if formula else nodes.Text(part)
                        for part, formula in parts
                    ],
                )


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the transform."""
    app.add_post_transform(AccentsAsFormulas)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
