"""Activations of a language model, harvested from texts into a folder of rows and an index of their tokens."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from numbers import Integral
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rhohat.common.exceptions import SettingError
from rhohat.common.words import Sentence, Setting, counted
from rhohat.data.harvest_folder import DTYPES, HarvestRecord
from rhohat.fitting.memory import as_bytes
from rhohat.modules.harvest_rows import WindowRows
from rhohat.modules.harvest_run import HarvestRun, HarvestState
from rhohat.modules.harvest_writer import HarvestWriter
from rhohat.modules.language_models import LanguageModel, load_language_model
from rhohat.modules.layers import Where, check_where, find_layer
from rhohat.modules.passes import LayerPasses
from rhohat.modules.positions import NAMES
from rhohat.modules.texts import NamedText, Texts
from rhohat.modules.windows import check_context, windows_of

if TYPE_CHECKING:
    import torch

__all__ = ["harvest"]

_MOST_NAMED = 3  # unreadable texts that a warning names


def harvest(
    model: str | PathLike[str] | torch.nn.Module,
    texts: str | PathLike[str] | Iterable[Any],
    folder: str | PathLike[str],
    layer: str | Sequence[str],
    *,
    n_rows: int = 1_000_000,
    of: Where = "output",
    item: int | str | None = None,
    positions: str = "all",
    context: int = 128,
    special_tokens: bool = False,
    dtype: str = "float16",
    outliers: float | None = None,
    max_bytes: int | str | None = None,
    batch_size: int = 32,
    column: str | None = None,
    tokenizer: Any = None,
    precision: str = "float32",
    device: Any = None,
    progress: Callable[[HarvestState], None] | None = None,
) -> HarvestRecord:
    """Write the activations of a language model on texts to a folder, with an index of the tokens that they belong to.

    The model sees each text in windows of at most `context` tokens, and each token gives a row: the activations of a
    layer at this token. The folder has the rows of each layer in files that `open_rows` reads as one source, and an
    index that `HarvestIndex` reads. If a harvest was interrupted or killed, a call with the same arguments continues
    it. A complete harvest continues if more rows are wanted than before. Padding never becomes a row.

    Parameters
    ----------
    model : str, path or torch.nn.Module
        A folder with a language model of Hugging Face; the id of a model on the Hugging Face Hub, which needs an
        internet connection; or a module, which is called with ``input_ids`` and ``attention_mask``.
    texts : path, sequence of paths, or iterable of (name, text)
        Files and folders of texts: ``.txt``, ``.md``, ``.rst``, ``.py``, ``.html``, ``.jsonl``, ``.csv``, ``.parquet``.
        In a folder, tables (the last three) are read only if `column` is given. Files that cannot be read are left out,
        and named in a warning. Or pairs of a name and a text. A harvest can continue only if it gets the same texts
        again.
    folder : path
        Folder to write to, which is created. It may hold nothing else.
    layer : str or sequence of str
        Name of a layer, as ``module.named_modules()`` has it, or names of several, which share the index.
    n_rows : int, default=1_000_000
        Number of rows. The harvest ends after the window in which it reaches this number.
    of : {"output", "input"}, default="output"
        Whether the output of each layer is harvested, or its input.
    item : int or str, default=None
        Which item of a layer's output is harvested if it is a tuple or mapping; if None, the first tensor.
    positions : {"all", "last", "mean"}, default="all"
        Which tokens of a window become rows: all; the last one only; or one row, which is the mean over all.
    context : int, default=128
        Largest number of tokens in a window, including those that the tokenizer adds.
    special_tokens : bool, default=False
        Whether tokens that the tokenizer adds to each window, such as ``[CLS]``, become rows. The model sees them
        anyway.
    dtype : {"float16", "float32"}, default="float16"
        The dtype of the stored rows. They are read as float32.
    outliers : float, default=None
        Rows whose norm is more than this many times the median norm are left out, and counted. The median is that of
        the first few thousand rows of the layer. If a row of one layer is left out, it is left out of all layers.
    max_bytes : int or str, default=None
        The largest number of bytes of all files together, such as "5 GB". A harvest that would need more by an estimate
        is refused before it begins. If the estimate was too low, the harvest ends when there is no further room.
    batch_size : int, default=32
        Number of windows that the model sees at once.
    column : str, default=None
        Column of tables and key of JSON lines that holds the texts. None means "text".
    tokenizer : tokenizer of Transformers, default=None
        Tokenizer of `model`, which must be given if `model` is a module, and must be a fast tokenizer.
    precision : {"float32", "float16", "bfloat16"}, default="float32"
        The dtype in which the model computes, if it is loaded from a folder or by its id. A module keeps its own.
    device : device, default=None
        Where the model computes, if it is loaded; None means the processor. A given module is not moved: for it, leave
        this at None.
    progress : callable, default=None
        Called with a `HarvestState` after each batch.

    Returns
    -------
    HarvestRecord
        What was harvested. The entry "ended" of its `content` says why the harvest ended: "rows", if there are as many
        rows as wanted; "texts", if there are no further texts; or "bytes", if there is no further room.

    Raises
    ------
    FileNotFoundError
        If a file or folder of texts does not exist.
    ValueError
        If there is no such model or layer, or a parameter does not fit; if the folder holds something else, or a
        harvest with other settings or other texts; if the rows would need more than the disk budget or the free disk;
        if an activation is not finite, or too large for `dtype`; or if the texts give no rows.
    TypeError
        If `model` is neither a path, an id nor a module of PyTorch.
    MissingExtraError
        If PyTorch is not installed; or Transformers, if the model is loaded.

    Warns
    -----
    UserWarning
        If texts could not be read.

    See Also
    --------
    activations : Yield the activations of any module, without writing them.
    HarvestIndex : Find the token of a row.
    """
    names = [layer] if isinstance(layer, str) else list(layer)
    budget = None if max_bytes is None else as_bytes(max_bytes, "max_bytes")
    check_where(of)
    _check(names, n_rows, positions, context, dtype, outliers, batch_size)
    source = _as_texts(texts, column)
    loaded = _as_model(model, tokenizer, precision, device)
    for name in names:
        find_layer(loaded.module, name)
    check_context(loaded.tokenizer, context, loaded.longest)
    settings = {
        "model_sha256": loaded.fingerprint(),
        "layer": names,
        "of": of,
        "item": item,
        "positions": positions,
        "context": context,
        "special_tokens": special_tokens,
        "dtype": dtype,
        "outliers": outliers,
        "precision": _precision_of(loaded.module),
    }
    passes = LayerPasses(loaded.module, names, of=of, item=item, device=device)
    rows = WindowRows(
        loaded, passes, positions=positions, special_tokens=special_tokens, dtype=dtype, batch_size=batch_size
    )
    writer = HarvestWriter(Path(folder), settings, loaded.name, budget)
    run = HarvestRun(writer, rows, n_rows=n_rows, context=context, outliers=outliers, progress=progress)
    record = run(windows_of(source, loaded.tokenizer, context))
    _warn_of_unreadable(source)
    return record


def _check(
    names: list[str],
    n_rows: int,
    positions: str,
    context: int,
    dtype: str,
    outliers: float | None,
    batch_size: int,
) -> None:
    """Raise ValueError if a parameter has a value that is not allowed, whatever the model is."""
    if not names or len(set(names)) < len(names):
        rule = f" must name at least one layer, and each layer once; got {names!r}."
        raise SettingError(Sentence(Setting("layer"), rule))
    for name, value in (("n_rows", n_rows), ("context", context), ("batch_size", batch_size)):
        if not isinstance(value, Integral) or value < 1:
            raise SettingError(Sentence(Setting(name), f" must be a whole number of at least 1; got {value!r}."))
    for name, text, allowed in (("positions", positions, NAMES), ("dtype", dtype, DTYPES)):
        if text not in allowed:
            raise SettingError(Sentence(Setting(name), f" must be one of {', '.join(allowed)}; got {text!r}."))
    if outliers is not None and not outliers > 1:
        raise SettingError(Sentence(Setting("outliers"), f" must be a number above 1, or None; got {outliers!r}."))


def _as_texts(texts: Any, column: str | None) -> Iterable[NamedText]:
    """Return texts with their names: those of files, or pairs as they were given."""
    if isinstance(texts, str | PathLike):
        return Texts([texts], column)
    if isinstance(texts, Sequence) and all(isinstance(one, str | PathLike) for one in texts):
        return Texts(texts, column)
    return _pairs(texts)


def _pairs(texts: Iterable[Any]) -> Iterator[NamedText]:
    for one in texts:
        if not (isinstance(one, tuple) and len(one) == 2 and all(isinstance(part, str) for part in one)):
            raise ValueError(
                f"texts must be paths, or pairs of a name and a text, which are strings; got {one!r:.200}."
            )
        yield NamedText(*one)


def _as_model(model: Any, tokenizer: Any, precision: str, device: Any) -> LanguageModel:
    """Return a model with its tokenizer, which is loaded if a path or an id was given."""
    if isinstance(model, str | PathLike):
        return load_language_model(model, precision=precision, device=device)
    find_layer(model, "")  # refuses what is no module
    if tokenizer is None:
        raise ValueError("tokenizer must be given if model is a module; got None.")
    if device is not None:
        raise ValueError(
            f"device must be None if model is a module, which computes where it is; got {device!r}. Move the module, as"
            f" in model.to({str(device)!r})."
        )
    return LanguageModel(model, tokenizer, type(model).__name__)


def _precision_of(module: Any) -> str | None:
    """Return the name of the dtype of the first parameter; None for a module without parameters."""
    first = next(module.parameters(), None)
    return None if first is None else str(first.dtype).rpartition(".")[2]


def _warn_of_unreadable(texts: Iterable[NamedText]) -> None:
    unreadable = texts.unreadable if isinstance(texts, Texts) else {}
    if unreadable:
        some = "; ".join(f"{name}: {why}" for name, why in list(unreadable.items())[:_MOST_NAMED])
        more = f"; and {len(unreadable) - _MOST_NAMED} more" if len(unreadable) > _MOST_NAMED else ""
        warnings.warn(
            f"{counted(len(unreadable), 'text')} could not be read, and {'is' if len(unreadable) == 1 else 'are'} left"
            f" out: {some}{more}.",
            stacklevel=3,
        )
