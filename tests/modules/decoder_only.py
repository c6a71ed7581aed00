"""A small decoder-only language model with random weights, and what a pass through it gives, computed by hand."""

import pytest

torch = pytest.importorskip("torch")

N_TOKENS, N_FEATURES = 40, 12


class Block(torch.nn.Module):
    """Sees the mean of all tokens so far; returns a tuple, as blocks of language models do."""

    def __init__(self):
        super().__init__()
        self.mix = torch.nn.Linear(N_FEATURES, N_FEATURES)
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, x):
        so_far = x.cumsum(1) / torch.arange(1, x.shape[1] + 1)[:, None]
        return self.dropout(x + torch.tanh(self.mix(so_far))), so_far


class Output(dict):
    """Outputs with logits."""

    @property
    def logits(self):
        return self["logits"]


class DecoderOnly(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(N_TOKENS, N_FEATURES)
        self.blocks = torch.nn.ModuleList([Block(), Block()])
        self.head = torch.nn.Linear(N_FEATURES, N_TOKENS)

    def forward(self, input_ids, attention_mask=None, labels=None):
        x = self.embed(input_ids)
        for block in self.blocks:
            x = block(x)[0]
        return Output(logits=self.head(x))

    def behind_the_first_block(self, x):
        """Return the logits for other outputs of the first block, without any hook."""
        so_far = x.cumsum(1) / torch.arange(1, x.shape[1] + 1)[:, None]
        return self.head(x + torch.tanh(self.blocks[1].mix(so_far)))

    def first_block(self, input_ids):
        """Return the outputs of the first block, without any hook."""
        x = self.embed(input_ids)
        so_far = x.cumsum(1) / torch.arange(1, x.shape[1] + 1)[:, None]
        return x + torch.tanh(self.blocks[0].mix(so_far))


def decoder_only():
    torch.manual_seed(0)
    return DecoderOnly().double().eval()


def batches(n_batches=2):
    """Return batches of tokens, of unequal lengths, padded at the end."""
    generator = torch.Generator().manual_seed(1)
    made = []
    for number in range(n_batches):
        tokens = torch.randint(0, N_TOKENS, (3, 7 + number), generator=generator)
        mask = torch.ones_like(tokens)
        mask[1, 5:] = 0
        mask[2, 3:] = 0
        made.append({"input_ids": tokens, "attention_mask": mask})
    return made
