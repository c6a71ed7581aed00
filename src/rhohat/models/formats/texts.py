"""Text files that appear whole."""

from __future__ import annotations

from pathlib import Path

from rhohat.common.whole_files import replacing

__all__ = ["write_text"]


def write_text(path: Path, text: str) -> None:
    """Write a text to a file, which is replaced as a whole."""
    with replacing(path) as beside:
        beside.write_text(f"{text}\n", encoding="utf-8")
