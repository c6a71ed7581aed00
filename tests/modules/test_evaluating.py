"""How much of a module's loss the reconstructions of a layer recover."""

import json
import math

import numpy as np
import pytest

import rhohat
from tests.tolerances import EXACT

torch = pytest.importorskip("torch")

from tests.modules.decoder_only import N_FEATURES, batches, decoder_only  # noqa: E402

LAYER = "blocks.0"


def probabilities(logits):
    shifted = np.exp(logits - logits.max(-1, keepdims=True))
    return shifted / shifted.sum(-1, keepdims=True)


def direct(module, change):
    """Return the mean loss and the mean divergence with changed activations, token by token in NumPy."""
    losses, divergences = [], []
    for batch in batches():
        tokens, mask = batch["input_ids"].numpy(), batch["attention_mask"].numpy()
        with torch.no_grad():
            x = module.first_block(batch["input_ids"])
            plain = probabilities(module.behind_the_first_block(x).numpy())
            changed = probabilities(module.behind_the_first_block(torch.as_tensor(change(x.numpy()))).numpy())
        for text in range(len(tokens)):
            for place in range(tokens.shape[1]):
                if not mask[text, place]:
                    continue
                p, q = plain[text, place], changed[text, place]
                divergences.append(float((p * np.log(p / q)).sum()))
                if place + 1 < tokens.shape[1] and mask[text, place + 1]:
                    losses.append(-math.log(q[tokens[text, place + 1]]))
    return float(np.mean(losses)), float(np.mean(divergences)), len(losses)


@pytest.fixture(name="dictionary", scope="module")
def a_dictionary():
    with torch.no_grad():
        tokens = torch.randint(0, 40, (40, 10), generator=torch.Generator().manual_seed(2))
        rows = decoder_only().first_block(tokens).reshape(-1, N_FEATURES).numpy()
    solver = rhohat.Adam(batch_size=50, learning_rate=1e-2)
    return rhohat.TopKAutoencoder(30, 4, solver=solver, max_iter=20, random_state=0).fit(rows)


def test_an_identity_recovers_everything_and_zeros_nothing():
    module = decoder_only()
    same = rhohat.evaluate_in_model(lambda rows: rows, module, LAYER, batches())
    assert (same.loss_recovered, same.kl_recovered) == (1.0, 1.0)
    assert same.loss == same.loss_reconstructed != same.loss_zeros
    nothing = rhohat.evaluate_in_model(np.zeros_like, module, LAYER, batches())
    assert (nothing.loss_recovered, nothing.kl_recovered) == (0.0, 0.0)
    assert nothing.loss_reconstructed == nothing.loss_zeros


def test_figures_are_those_of_a_direct_computation(dictionary):
    module = decoder_only()
    found = rhohat.evaluate_in_model(dictionary, module, LAYER, iter(batches()))

    def reconstructed(x):
        return dictionary.reconstruct(x.reshape(-1, N_FEATURES)).reshape(x.shape)

    (loss, _, n_losses), (with_it, kl, _), (zeros, kl_of_zeros, _) = (
        direct(module, change) for change in (lambda x: x, reconstructed, np.zeros_like)
    )
    assert (found.n_batches, found.n_losses) == (2, n_losses)
    assert found.loss == pytest.approx(loss, rel=EXACT)
    assert found.loss_reconstructed == pytest.approx(with_it, rel=EXACT)
    assert found.loss_zeros == pytest.approx(zeros, rel=EXACT)
    assert found.kl_reconstructed == pytest.approx(kl, rel=1e-10)
    assert found.kl_zeros == pytest.approx(kl_of_zeros, rel=1e-10)
    assert found.loss_recovered == pytest.approx((zeros - with_it) / (zeros - loss), rel=1e-10)
    assert found.kl_recovered == pytest.approx(1 - kl / kl_of_zeros, rel=1e-10)
    assert 0 < found.kl_recovered < 1


def test_a_decoder_only_model_of_transformers_is_evaluated():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=50, n_positions=16, n_embd=24, n_layer=2, n_head=2)
    module = transformers.GPT2LMHeadModel(config).train()
    made = batches()
    same = rhohat.evaluate_in_model(lambda rows: rows, module, "transformer.h.0", made)
    assert (same.loss_recovered, same.kl_recovered) == (1.0, 1.0)
    nothing = rhohat.evaluate_in_model(np.zeros_like, module, "transformer.h.0", made)
    assert (nothing.loss_recovered, nothing.kl_recovered) == (0.0, 0.0)
    assert module.training
    module.eval()
    losses = [
        module(**one, labels=one["input_ids"].masked_fill(one["attention_mask"] == 0, -100)).loss.item() for one in made
    ]
    counts = [int(one["attention_mask"][:, 1:].sum()) for one in made]
    assert same.n_losses == sum(counts)
    assert same.loss == pytest.approx(np.average(losses, weights=counts), rel=1e-6)


def test_positions_that_are_left_out_stay_as_they_are(dictionary):
    module, made = decoder_only(), batches()
    all_of_them = rhohat.evaluate_in_model(dictionary, module, LAYER, made)
    later = rhohat.evaluate_in_model(dictionary, module, LAYER, made, positions=slice(1, None))
    assert later.loss == all_of_them.loss
    assert later.kl_zeros != all_of_them.kl_zeros

    def zeros_but_for_the_first(x):
        return np.where(np.arange(x.shape[1])[:, np.newaxis] == 0, x, 0.0)

    assert later.loss_zeros == pytest.approx(direct(module, zeros_but_for_the_first)[0], rel=EXACT)


def test_labels_say_which_tokens_are_predicted(dictionary):
    module = decoder_only()
    batch = batches(1)[0]
    labels = torch.full_like(batch["input_ids"], -100)
    labels[0, 3] = 5
    found = rhohat.evaluate_in_model(dictionary, module, LAYER, [{**batch, "labels": labels}])
    with torch.no_grad():
        logits = module(batch["input_ids"]).logits[0, 2].numpy()
    assert found.n_losses == 1
    assert found.loss == pytest.approx(-math.log(probabilities(logits)[5]), rel=EXACT)


def test_any_loss_can_be_measured_of_any_module():
    """A classifier of PyTorch, with batches that are tuples of rows and targets."""
    torch.manual_seed(0)
    inner = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 3)).double()

    class Classifier(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = inner

        def forward(self, x, _):
            return self.inner(x)

    made = [(torch.randn(n, 4).double(), torch.randint(0, 3, (n,))) for n in (5, 8)]

    def each(outputs, batch):
        return torch.nn.functional.cross_entropy(outputs, batch[1], reduction="none")

    def mean(outputs, batch):
        return each(outputs, batch).mean()

    module = Classifier()
    halved = rhohat.evaluate_in_model(lambda rows: rows / 2, module, "inner.1", made, loss=each)
    assert (halved.n_losses, halved.kl_zeros) == (13, None)
    with torch.no_grad():
        hidden = torch.relu(inner[0](torch.cat([x for x, _ in made])))
        y = torch.cat([y for _, y in made])
        expected = [float(torch.nn.functional.cross_entropy(inner[2](h), y)) for h in (hidden, hidden / 2, 0 * hidden)]
    assert [halved.loss, halved.loss_reconstructed, halved.loss_zeros] == pytest.approx(expected, rel=EXACT)
    by_batches = rhohat.evaluate_in_model(
        lambda rows: rows / 2, module, "inner.1", made, loss=mean, logits=lambda outputs: outputs
    )
    assert by_batches.n_losses == 2
    assert by_batches.kl_reconstructed > 0


def test_the_table_and_the_dict_have_all_figures(dictionary):
    found = rhohat.evaluate_in_model(dictionary, decoder_only(), LAYER, batches())
    printed = str(found)
    for name in ("loss recovered", "with zeros", "KL divergence with reconstructions", "KL recovered"):
        assert name in printed
    assert json.loads(json.dumps(found.to_dict()))["loss_recovered"] == found.loss_recovered


def test_where_zeros_change_nothing_nothing_can_be_recovered():
    module = decoder_only()
    with torch.no_grad():
        module.blocks[1].mix.weight.zero_()
    found = rhohat.evaluate_in_model(lambda rows: rows, module, "blocks.1.mix", batches(), positions=[])
    assert math.isnan(found.loss_recovered)
    assert "nan" in str(found)


def test_bad_input_is_refused(dictionary):
    module, made, rows = decoder_only(), batches(), torch.ones(3, N_FEATURES).double()

    def evaluate(batches=made, module=module, model=dictionary, layer=LAYER, **settings):
        return rhohat.evaluate_in_model(model, module, layer, batches, **settings)

    for error, said, call in (
        (ValueError, "no layer named", lambda: evaluate(layer="blocks.7")),
        (ValueError, "at least one batch", lambda: evaluate([])),
        (TypeError, "batches must be a list .* Tensor", lambda: evaluate(made[0]["input_ids"])),
        (TypeError, "batches must be a list .* dict", lambda: evaluate(made[0])),
        (ValueError, "pass a function as loss", lambda: evaluate([rows], module.head, np.zeros_like, "")),
        (ValueError, "loss must return a tensor .* NoneType", lambda: evaluate(loss=lambda outputs, batch: None)),
        (ValueError, "logits must return a tensor; got list", lambda: evaluate(logits=lambda outputs: [])),
        (ValueError, "losses are not finite", lambda: evaluate(loss=lambda outputs, batch: float("nan"))),
    ):  # fmt: skip
        with pytest.raises(error, match=said):
            call()
