"""Language models of Hugging Face, from a folder or by their id, and the layers that they have."""

from __future__ import annotations

import hashlib
import inspect
import warnings
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rhohat.common.exceptions import SettingError
from rhohat.common.extras import import_extra
from rhohat.common.words import Sentence, Setting, counted
from rhohat.modules.layers import evaluating, first_tensor, run
from rhohat.modules.windows import batch_of, windows_of

if TYPE_CHECKING:
    import torch

__all__ = ["LanguageModel", "LayerShape", "layers_of", "load_language_model"]

_PRECISIONS = ("float32", "float16", "bfloat16")
_EXAMPLE = "The quick brown fox jumps over the lazy dog."
_NUMBERS_IN_DIGEST = 256  # of each tensor, for `fingerprint`
_UNLIMITED = 10**9  # tokenizers without a limit have a larger one than this
_MOST_NAMED = 5  # arrays of weights that a warning names
_CAUSAL = ("ForCausalLM", "LMHeadModel")


@dataclass(frozen=True)
class LanguageModel:
    """A module with its tokenizer.

    Parameters
    ----------
    module : torch.nn.Module
        Called with ``input_ids`` and ``attention_mask``.
    tokenizer : tokenizer of Transformers
    name : str
        Name of the model in what is written.
    """

    module: torch.nn.Module
    tokenizer: Any
    name: str

    @property
    def longest(self) -> int | None:
        """Largest number of tokens that the model can see; None if it is not known."""
        said = [
            getattr(getattr(self.module, "config", None), "max_position_embeddings", None),
            getattr(self.tokenizer, "model_max_length", None),
        ]
        known = [one for one in said if isinstance(one, int) and 0 < one < _UNLIMITED]
        return min(known, default=None)

    @property
    def padding(self) -> int:
        """Number of a token that may stand after the end of a text."""
        found = self.tokenizer.pad_token_id
        return 0 if found is None else int(found)

    def inputs(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Return the entries of a batch that the module takes."""
        taken = inspect.signature(self.module.forward).parameters
        if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in taken.values()):
            return batch
        return {name: value for name, value in batch.items() if name in taken}

    def fingerprint(self) -> str:
        """Return a digest of the names, shapes and some numbers of the module's parameters, and of the vocabulary."""
        digest = hashlib.sha256()
        for name, tensor in sorted(self.module.state_dict().items()):
            digest.update(f"{name} {tuple(tensor.shape)}".encode())
            some = tensor.detach().reshape(-1)[:_NUMBERS_IN_DIGEST]
            digest.update(some.cpu().to(import_extra("torch", "torch").float32).numpy().tobytes())
        digest.update(f"{len(self.tokenizer)} {type(self.tokenizer).__name__}".encode())
        return digest.hexdigest()


@dataclass(frozen=True)
class LayerShape:
    """A layer of a module: its name, its class, and the shape of its output for one text of `n_tokens` tokens."""

    name: str
    kind: str
    shape: tuple[int, ...] | None
    n_tokens: int

    @property
    def n_features(self) -> int | None:
        """Number of columns of its rows; None if its output is no tensor, or it did not run."""
        return self.shape[-1] if self.shape else None


def load_language_model(name: str | PathLike[str], *, precision: str = "float32", device: Any = None) -> LanguageModel:
    """Return a language model of Hugging Face in evaluation mode.

    A model that predicts the next token is loaded with its head, so that its layers have the names that they have in
    programs that generate text, such as ``"transformer.h.5"``; any other one is loaded without a head.

    Parameters
    ----------
    name : str or path
        A folder with ``config.json``, the weights and the tokenizer; or the id of a model on the Hugging Face Hub,
        which needs a network unless it is in Transformers' cache.
    precision : {"float32", "float16", "bfloat16"}, default="float32"
        The dtype that the model computes in.
    device : device, default=None
        Where it computes. None means the processor.

    Raises
    ------
    ValueError
        If there is no such model, or it cannot be loaded.
    MissingExtraError
        If Transformers is not installed.

    Warns
    -----
    UserWarning
        If the files lack some of the weights, so that these are random.
    """
    if precision not in _PRECISIONS:
        rule = f" must be one of {', '.join(_PRECISIONS)}; got {precision!r}."
        raise SettingError(Sentence(Setting("precision"), rule))
    torch, transformers = import_extra("torch", "transformers"), import_extra("transformers", "transformers")
    where, is_folder = fspath(name), Path(name).is_dir()
    if is_folder and not (Path(name) / "config.json").is_file():
        raise ValueError(f"{where} is not the folder of a language model: it has no config.json.")
    if not is_folder and (Path(name).exists() or where.count("/") > 1 or where.startswith((".", "/"))):
        raise ValueError(f"there is no folder {where} with a language model.")
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    try:
        config = transformers.AutoConfig.from_pretrained(where, local_files_only=is_folder)
        is_causal = any(one.endswith(_CAUSAL) for one in getattr(config, "architectures", None) or ())
        kind = transformers.AutoModelForCausalLM if is_causal else transformers.AutoModel
        tokenizer = transformers.AutoTokenizer.from_pretrained(where, local_files_only=is_folder)
        module, found = kind.from_pretrained(
            where, local_files_only=is_folder, dtype=getattr(torch, precision), output_loading_info=True
        )
    except Exception as error:  # reading damaged files may raise any exception
        problem = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ValueError(f"the language model {where} cannot be loaded: {problem}") from error
    _warn_of_missing(where, sorted(found["missing_keys"]))
    module = module.eval() if device is None else module.eval().to(device)
    return LanguageModel(module, tokenizer, "/".join(Path(where).resolve().parts[-2:]) if is_folder else where)


def _warn_of_missing(where: str, names: list[str]) -> None:
    if names:
        some = ", ".join(names[:_MOST_NAMED]) + (", …" if len(names) > _MOST_NAMED else "")
        warnings.warn(
            f"the files of {where} lack {counted(len(names), 'array')} of weights ({some}), which are random: do not"
            " harvest layers that these belong to.",
            stacklevel=3,
        )


def layers_of(model: LanguageModel) -> list[LayerShape]:
    """Return the layers of a model, with the shapes of their outputs for a short text.

    Parameters
    ----------
    model : LanguageModel

    Returns
    -------
    list of LayerShape
        In the order of ``module.named_modules()``, without the module itself.
    """
    (window, *_) = windows_of([("", _EXAMPLE)], model.tokenizer, 64)  # type: ignore[list-item]
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str) -> Any:
        def hook(_: Any, __: Any, output: Any) -> None:
            tensor = first_tensor(output)
            if tensor is not None:
                shapes[name] = tuple(tensor.shape)

        return hook

    named = [(name, layer) for name, layer in model.module.named_modules() if name]
    handles: list[Any] = []
    try:
        for name, layer in named:
            handles.append(layer.register_forward_hook(note(name)))
        with evaluating(model.module):
            batch = model.inputs(batch_of([window], model.padding))
            device = next(model.module.parameters()).device
            run(model.module, {key: value.to(device) for key, value in batch.items()})
    finally:
        for handle in handles:
            handle.remove()
    return [LayerShape(name, type(layer).__name__, shapes.get(name), len(window)) for name, layer in named]
