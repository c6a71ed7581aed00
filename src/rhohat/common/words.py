"""Parts of sentences: numbers with their nouns, and settings that Python and the command line write differently."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Sentence", "Setting", "counted", "joined", "listed", "message_of"]


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number followed by a noun, which is in the plural unless the number is 1.

    Parameters
    ----------
    number : int
    noun : str
        Noun in the singular.
    plural : str, default=""
        Noun in the plural, if it is not formed with "s".

    Examples
    --------
    >>> counted(1, "row"), counted(2500, "row"), counted(2, "pass", "passes")
    ('1 row', '2,500 rows', '2 passes')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def listed(names: Sequence[str]) -> str:
    """Return names as a list within a sentence.

    Examples
    --------
    >>> listed(["layer 0", "layer 1", "softmax"]), listed(["softmax"])
    ('layer 0, layer 1 and softmax', 'softmax')
    """
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


@dataclass(frozen=True)
class Setting:
    """A parameter that a sentence mentions, with a value or without one.

    Parameters
    ----------
    name : str
        Name of the parameter; the option of the command line has the same name, with hyphens.
    value : object, default=None
        The value; None if the sentence mentions the parameter without a value.
    code : str, default=""
        The setting as written in Python, if not as ``name=value``.
    in_use : bool, default=False
        Whether the value is the one that the parameter has, and not one that is proposed.
    """

    name: str
    value: object = None
    code: str = ""
    in_use: bool = False

    def __str__(self) -> str:
        """Return the setting as it is written in Python."""
        return self.code or (self.name if self.value is None else f"{self.name}={self.value!r}")


class Sentence(str):
    """String for an error or a warning that knows which of its parts are settings.

    As a string, it has the settings as they are written in Python; the command line replaces them with its options.
    If a sentence is put into an f-string, the result is an ordinary string, whose settings can no longer be replaced.
    If a sentence is one of the parts of another `Sentence`, its settings remain settings.

    Parameters
    ----------
    *parts : str or Setting
        Parts of the string, in order.

    Examples
    --------
    >>> sentence = Sentence("If the first line is a row, pass ", Setting("header", False), ".")
    >>> print(sentence)
    If the first line is a row, pass header=False.
    >>> Sentence("It has no rows. ", sentence).written(lambda setting: "--no-header")
    'It has no rows. If the first line is a row, pass --no-header.'
    """

    parts: tuple[str | Setting, ...]

    def __new__(cls, *parts: str | Setting) -> Sentence:
        """Create a sentence from its parts."""
        flat = tuple(inner for part in parts for inner in (part.parts if isinstance(part, Sentence) else (part,)))
        sentence = super().__new__(cls, "".join(map(str, flat)))
        sentence.parts = flat
        return sentence

    def __reduce__(self) -> tuple[Any, ...]:
        return Sentence, self.parts

    def written(self, write: Callable[[Setting], str]) -> str:
        """Return the string with each setting replaced by the result of a function of it."""
        return "".join(write(part) if isinstance(part, Setting) else part for part in self.parts)


def joined(sentences: Sequence[str], separator: str) -> Sentence:
    """Return sentences joined by a separator as one `Sentence`, in which settings can still be replaced by options."""
    parts = [part for sentence in sentences for part in (separator, sentence)]
    return Sentence(*parts[1:])


def message_of(error: BaseException) -> str:
    """Return the message of an error or a warning: a `Sentence` if it was raised with a `Sentence`, else a string."""
    text = error.args[0] if len(error.args) == 1 else None
    return text if isinstance(text, Sentence) and str(error) == text else str(error)
