"""Small language models with random weights, in folders as Hugging Face has them, and their activations by hand."""

import json
import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from rhohat.common.forks import cached

os.environ["HF_HUB_OFFLINE"] = "1"
torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

WORDS = [
    *("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy", "dog", "and", "an", "old", "cat", "sits", "on"),
    *("red", "mats", "while", "it", "rains", "in", "spring"),
]
CONTEXT = 16


def texts(n_texts=12, seed=0):
    """Return names and texts of unequal lengths."""
    draw = np.random.default_rng(seed)
    made = []
    for number in range(n_texts):
        words = draw.choice(WORDS, size=int(draw.integers(1, 60)))
        made.append((f"text {number}", " ".join(words) + draw.choice([".", "!\n", " …"])))
    return made


def write_texts(folder, made):
    """Write texts to files of a folder, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (_, text) in enumerate(made):
        (folder / f"{number:03d}.txt").write_text(text, encoding="utf-8")
    return folder


def write_decoder(folder):
    """Write a model like GPT-2, with a tokenizer of bytes that adds no tokens and has none for padding."""
    tokenizer = tokenizers.ByteLevelBPETokenizer()
    tokenizer.train_from_iterator([text for _, text in texts(50)], vocab_size=320, show_progress=False)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer._tokenizer, model_max_length=64)
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=len(fast), n_positions=64, n_embd=16, n_layer=2, n_head=2, bos_token_id=None, eos_token_id=None
    )
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    return folder


def write_encoder(folder):
    """Write a model like BERT, with a tokenizer of words and their pieces that adds [CLS] and [SEP]."""
    folder.mkdir(parents=True, exist_ok=True)
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        "[MASK]",
        *WORDS,
        *".,!…",
        *"abcdefghij",
        *(f"##{c}" for c in "stuvw"),
    ]
    (folder / "vocab.txt").write_text("\n".join(pieces), encoding="utf-8")
    fast = tokenizers.BertWordPieceTokenizer(str(folder / "vocab.txt"))
    names = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=fast._tokenizer,
        model_max_length=32,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **names,
    ).save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=len(pieces),
        hidden_size=12,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=20,
        max_position_embeddings=32,
    )
    transformers.BertModel(config).save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["architectures"] == ["BertModel"]
    return folder


class Small:
    """A small model in a folder, and what it computes for a text without a hook."""

    def __init__(self, folder: Path):
        self.folder, self.name = folder, folder.name
        self.states = cache(self._states)

    def load(self):
        """Return the module and its tokenizer, made anew."""
        kind = transformers.AutoModelForCausalLM if self.name == "decoder" else transformers.AutoModel
        return kind.from_pretrained(self.folder).eval(), transformers.AutoTokenizer.from_pretrained(self.folder)

    @cached
    def parts(self):
        """The module and its tokenizer, which tests share and do not change."""
        return self.load()

    def _states(self, text, layer, context=CONTEXT):
        """Return numbers, places and activations after a block of the tokens of a text, window by window.

        Returns
        -------
        list of (array of bool, array of shape (n_tokens, n_features))
            Which tokens were added, and the activations.
        """
        module, tokenizer = self.parts
        added = tokenizer.num_special_tokens_to_add()
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        found = []
        for start in range(0, len(ids), context - added):
            some = ids[start : start + context - added]
            if added:
                some = [tokenizer.cls_token_id, *some, tokenizer.sep_token_id]
            with torch.no_grad():
                states = module(input_ids=torch.tensor([some]), output_hidden_states=True).hidden_states
            special = np.zeros(len(some), bool)
            special[[0, -1]] = added > 0
            found.append((special, states[layer + 1][0].numpy()))
        return found
