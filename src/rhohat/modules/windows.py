"""Windows of tokens: texts, cut into pieces of so many tokens as a language model is to see at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rhohat.common.exceptions import SettingError
from rhohat.common.extras import import_extra
from rhohat.common.words import Sentence, Setting
from rhohat.modules.texts import NamedText

if TYPE_CHECKING:
    import torch

__all__ = ["Window", "batch_of", "check_context", "windows_of"]

_LONGEST_PIECE = 2**20  # characters that are tokenised at once
_LONGEST_TOKEN = 200  # characters that are kept of a token, and of the spaces before it
_MASK = "attention_mask"


@dataclass(frozen=True)
class Window:
    """Successive tokens of a text.

    Parameters
    ----------
    name : str
        Where the text came from.
    number : int
        Number of this window among those of the text.
    inputs : dict of str to list of int
        What the model is given for each token, by the names of its arguments: ``input_ids``, and, of some models,
        ``token_type_ids``.
    special : list of bool
        Which tokens the tokenizer has added, such as ``[CLS]``.
    tokens : list of str
        The tokens as they stand in the text, with the spaces before them; at most 200 characters of each.
    """

    name: str
    number: int
    inputs: dict[str, list[int]]
    special: list[bool]
    tokens: list[str]

    def __len__(self) -> int:
        return len(self.tokens)


def check_context(tokenizer: Any, context: int, longest: int | None) -> None:
    """Raise ValueError if windows of `context` tokens have no room for text, or are longer than a model allows.

    Parameters
    ----------
    tokenizer : tokenizer of Transformers
    context : int
        Number of tokens in a window.
    longest : int or None
        Largest number of tokens that the model allows; None if it is not known.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise ValueError(
            f"the tokenizer {type(tokenizer).__name__} does not say where in a text its tokens are; use a fast"
            " tokenizer of Transformers (PreTrainedTokenizerFast)."
        )
    least = tokenizer.num_special_tokens_to_add() + 1
    if context < least:
        rule = f" must be at least {least}, with room for the tokens that are added; got {context}."
        raise SettingError(Sentence(Setting("context"), rule))
    if longest is not None and context > longest:
        rule = f" must be at most {longest}, the longest text that the model can see; got {context}."
        raise SettingError(Sentence(Setting("context"), rule))


def windows_of(texts: Iterable[NamedText], tokenizer: Any, context: int) -> Iterator[Window]:
    """Yield the windows of texts, in order; a text without tokens has none.

    Parameters
    ----------
    texts : iterable of NamedText
    tokenizer : tokenizer of Transformers
        It adds its special tokens to each window.
    context : int
        Largest number of tokens in a window, special ones included.
    """
    for name, text in texts:
        number = 0
        # Tokenizers fail at half of a surrogate pair, which JSON may have.
        whole = text.encode("utf-8", "replace").decode()
        for piece in _pieces(whole):
            for window in _windows_of_piece(piece, name, number, tokenizer, context):
                yield window
                number = window.number + 1


def _pieces(text: str) -> Iterator[str]:
    """Yield a text in pieces that can be tokenised at once, cut at ends of lines or between words where possible."""
    start = 0
    while len(text) - start > _LONGEST_PIECE:
        ends = (text.rfind(mark, start + 1, start + _LONGEST_PIECE) for mark in ("\n", " "))
        stop = next((end for end in ends if end > start), start + _LONGEST_PIECE)
        yield text[start:stop]
        start = stop
    yield text[start:]


def _windows_of_piece(text: str, name: str, first: int, tokenizer: Any, context: int) -> Iterator[Window]:
    encoded = tokenizer(
        [text],
        truncation=True,
        max_length=context,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
    )
    names = [one for one in tokenizer.model_input_names if one in encoded and one != _MASK]
    end, number = 0, first
    for window, ids in enumerate(encoded["input_ids"]):
        special = [bool(one) for one in encoded["special_tokens_mask"][window]]
        if all(special):
            continue
        tokens = tokenizer.convert_ids_to_tokens(ids)
        for place, (start, stop) in enumerate(encoded["offset_mapping"][window]):
            if not special[place]:
                # A character may be several tokens, all of which have its place: the first shows it.
                tokens[place] = _shown(text[end : max(end, stop)], max(0, start - end))
                end = max(end, stop)
        yield Window(name, number, {one: encoded[one][window] for one in names}, special, tokens)
        number += 1


def _shown(text: str, n_before: int) -> str:
    """Return a token with what stands before it, which are spaces; both are shortened if they are very long."""
    before, token = text[:n_before], text[n_before:]
    return before[-_LONGEST_TOKEN:] + (token if len(token) <= _LONGEST_TOKEN else f"{token[: _LONGEST_TOKEN - 1]}…")


def batch_of(windows: list[Window], padding: int) -> dict[str, torch.Tensor]:
    """Return windows as a batch, padded on the right to the length of the longest.

    Parameters
    ----------
    windows : list of Window
    padding : int
        Number of the token that stands after the end of a window; the ``attention_mask`` is 0 there.

    Returns
    -------
    dict of str to tensor of int64, of shape (n_windows, n_tokens)
    """
    torch = import_extra("torch", "torch")
    longest = max(map(len, windows))
    batch = {}
    for name in windows[0].inputs:
        fill = padding if name == "input_ids" else 0
        padded = [window.inputs[name] + [fill] * (longest - len(window)) for window in windows]
        batch[name] = torch.tensor(padded, dtype=torch.int64)
    lengths = torch.tensor([len(window) for window in windows])
    batch[_MASK] = (torch.arange(longest) < lengths[:, None]).to(torch.int64)
    return batch
