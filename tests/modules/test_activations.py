"""Activations of a module are rows: those of a direct computation, without padding, of chosen positions."""

import numpy as np
import pytest

import rhohat
from tests.tolerances import EXACT

torch = pytest.importorskip("torch")

from tests.modules.decoder_only import N_FEATURES, batches, decoder_only  # noqa: E402

LENGTHS = [7, 5, 3]  # of the texts of the first batch, without padding


@pytest.fixture(name="module")
def language_model():
    return decoder_only()


def by_hand(module, batch):
    """Return the activations of the first block for each text of a batch, without its padding."""
    with torch.no_grad():
        found = module.first_block(batch["input_ids"]).numpy()
    return [rows[:n] for rows, n in zip(found, batch["attention_mask"].sum(1).tolist(), strict=True)]


def test_rows_are_those_of_a_direct_computation_and_padding_never_is_one(module):
    found = list(rhohat.activations(module, "blocks.0", batches(), dtype="float64"))
    for rows, batch in zip(found, batches(), strict=True):
        np.testing.assert_array_equal(rows, np.concatenate(by_hand(module, batch)))
    assert [len(rows) for rows in found] == [sum(LENGTHS), 8 + 5 + 3]


@pytest.mark.parametrize(
    ("positions", "chosen"),
    [
        ("last", lambda rows: rows[-1:]),
        ("mean", lambda rows: rows.mean(axis=0, keepdims=True)),
        (torch.arange(7) % 2 == 0, lambda rows: rows[::2]),
        (np.array([[True] * 2 + [False] * 5] * 3), lambda rows: rows[:2]),
        (lambda batch: batch["input_ids"] >= 0, lambda rows: rows),
        (lambda batch: (torch.arange(7) > 3).numpy(), lambda rows: rows[4:]),
    ],
    ids=["last", "mean", "mask of positions", "mask", "function", "function of arrays"],
)
def test_positions_are_chosen(module, positions, chosen):
    (rows,) = rhohat.activations(module, "blocks.0", batches(1), positions=positions, dtype="float64")
    expected = np.concatenate([chosen(one) for one in by_hand(module, batches(1)[0])])
    np.testing.assert_allclose(rows, expected, rtol=EXACT, atol=0)


def test_padding_that_is_not_a_number_does_not_reach_a_mean():
    module = torch.nn.Identity()
    module.forward = lambda x, attention_mask: x
    x = torch.tensor([[[1.0], [3.0], [torch.nan]], [[torch.inf], [1.0], [1.0]]])
    batch = {"x": x, "attention_mask": torch.tensor([[1, 1, 0], [0, 0, 0]])}
    (rows,) = rhohat.activations(module, "", [batch], positions="mean")
    np.testing.assert_array_equal(rows, [[2.0]])
    (rows,) = rhohat.activations(module, "", [batch], positions="last")
    np.testing.assert_array_equal(rows, [[3.0]])


@pytest.mark.parametrize(("positions", "row"), [("last", 3.0), ("mean", 2.5)])
def test_padding_may_come_first(positions, row):
    module = torch.nn.Identity()
    module.forward = lambda x, attention_mask: x
    batch = {"x": torch.arange(4.0).reshape(1, 4, 1), "attention_mask": torch.tensor([[0, 0, 1, 1]])}
    (rows,) = rhohat.activations(module, "", [batch], positions=positions)
    np.testing.assert_array_equal(rows, [[row]])


def test_several_layers_give_rows_of_the_same_positions(module):
    found = list(rhohat.activations(module, ["blocks.1", "embed"], batches(), dtype="float64"))
    for rows, batch in zip(found, batches(), strict=True):
        assert list(rows) == ["blocks.1", "embed"]
        with torch.no_grad():
            embedded = module.embed(batch["input_ids"])[batch["attention_mask"] != 0]
        np.testing.assert_array_equal(rows["embed"], embedded)
        assert rows["blocks.1"].shape == embedded.shape


def test_the_input_of_a_layer_and_another_item_of_its_output_are_read(module):
    batch = batches(1)
    (inputs,) = rhohat.activations(module, "blocks.1", batch, of="input", dtype="float64")
    (outputs,) = rhohat.activations(module, "blocks.0", batch, dtype="float64")
    np.testing.assert_array_equal(inputs, outputs)
    (so_far,) = rhohat.activations(module, "blocks.0", batch, item=1, dtype="float64")
    (embedded,) = rhohat.activations(module, "embed", batch, dtype="float64")
    np.testing.assert_array_equal(so_far[0], embedded[0])
    np.testing.assert_allclose(so_far[1], embedded[:2].mean(axis=0), rtol=EXACT)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("of_module", [torch.float64, torch.bfloat16])
def test_rows_have_the_dtype_that_is_wanted(dtype, of_module):
    module = torch.nn.Linear(3, 2).to(of_module)
    x = torch.ones(4, 3, dtype=of_module)
    (rows,) = rhohat.activations(module, "", [x], dtype=dtype)
    assert rows.dtype == dtype
    np.testing.assert_array_equal(rows, module(x).detach().double().numpy().astype(dtype))


def test_rows_are_not_changed_by_later_passes():
    module = torch.nn.Identity()
    x = torch.zeros(2, 3)
    rows = rhohat.activations(module, "", [x, x])
    first = next(rows)
    x += 1
    next(rows)
    np.testing.assert_array_equal(first, 0)


def test_the_features_of_images_are_on_the_axis_that_is_named():
    module = torch.nn.Conv2d(3, 5, 3)
    x = torch.randn(2, 3, 6, 4)
    (rows,) = rhohat.activations(module, "", [x], feature_axis=1)
    expected = module(x).detach().numpy().transpose(0, 2, 3, 1).reshape(-1, 5)
    np.testing.assert_array_equal(rows, expected)
    with pytest.raises(ValueError, match=r"shape \(2, 5, 4, 2\), of which it is not clear where the features are"):
        next(rhohat.activations(module, "", [x]))
    with pytest.raises(ValueError, match=r"feature_axis must be an axis after the first .* got 4"):
        next(rhohat.activations(module, "", [x], feature_axis=4))


def test_a_layer_without_positions_has_a_row_for_each_text():
    class Pooling(torch.nn.Module):
        def forward(self, x, attention_mask):
            return x.mean(1)

    batch = {"x": torch.randn(3, 4, 2), "attention_mask": torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [0, 0, 0, 0]])}
    (rows,) = rhohat.activations(Pooling(), "", [batch])
    np.testing.assert_array_equal(rows, batch["x"].mean(1)[:2])


@pytest.mark.parametrize("positions", ["all", "last"])
def test_a_layer_that_gets_all_positions_as_rows_is_read_text_by_text(positions):
    class Flat(torch.nn.Module):
        def forward(self, x, attention_mask):
            return x.reshape(-1, 2)

    x = torch.randn(2, 3, 2)
    batch = {"x": x, "attention_mask": torch.tensor([[1, 1, 1], [1, 1, 0]])}
    (rows,) = rhohat.activations(Flat(), "", [batch], positions=positions)
    expected = torch.cat([x[0], x[1, :2]]) if positions == "all" else torch.stack([x[0, 2], x[1, 1]])
    np.testing.assert_array_equal(rows, expected)


def test_a_pass_ends_early_after_the_first_batch_and_the_module_is_left_as_it_was(module):
    module.train()
    module.blocks[1].eval()
    ran = []
    module.head.register_forward_hook(lambda *_: ran.append(True))
    rows = rhohat.activations(module, ["embed", "blocks.0"], batches(3))
    assert not ran
    for _ in rows:
        assert torch.is_grad_enabled()
        assert module.training
        assert not module.blocks[0]._forward_hooks
    assert len(ran) == 1
    assert not module.blocks[1].training


def test_dropout_is_off():
    module = torch.nn.Sequential(torch.nn.Dropout(0.9))
    assert module.training
    (rows,) = rhohat.activations(module, "0", [torch.ones(50, 4)])
    np.testing.assert_array_equal(rows, 1)


def test_a_dictionary_learns_from_activations_while_they_are_computed(module):
    dictionary = rhohat.TopKAutoencoder(n_components=20, k=3, solver=rhohat.Adam(batch_size=8), random_state=0)
    with pytest.warns(UserWarning, match="updates were made"):
        dictionary.fit(rhohat.activations(module, "blocks.0", batches(20)))
    assert dictionary.n_features_in_ == N_FEATURES
    assert dictionary.n_samples_fit_ == sum(int(batch["attention_mask"].sum()) for batch in batches(20))


def test_a_batch_without_rows_is_passed_over():
    found = list(rhohat.activations(torch.nn.Identity(), "", [torch.ones(2, 3)] * 2, positions=np.array([False])))
    assert found == []


def test_a_layer_that_runs_several_times_in_a_pass_is_refused():
    shared = torch.nn.Linear(2, 2)
    module = torch.nn.Sequential(shared, torch.nn.ReLU(), shared)
    with pytest.raises(ValueError, match="the layer '0' runs 2 times in a pass, so that its activations are unclear"):
        next(rhohat.activations(module, "0", [torch.ones(1, 2)]))


def test_a_layer_that_does_not_run_is_refused(module):
    module.unused = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match="the layer 'unused' has not run"):
        next(rhohat.activations(module, ["unused", "embed"], batches()))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"layer": "blocks.7"}, "no layer named 'blocks.7'"),
        ({"layer": []}, r"must name at least one layer, and each layer once; got \[\]"),
        ({"layer": ["embed", "embed"]}, "each layer once"),
        ({"positions": "first"}, "positions must be 'all', 'last', 'mean', a mask, .*; got 'first'"),
        ({"of": "both"}, "of must be 'output' or 'input'; got 'both'"),
        ({"dtype": "int8"}, "dtype must be one of float16, float32, float64; got 'int8'"),
    ],
)
def test_bad_settings_are_refused_before_the_first_batch(module, settings, said):
    def never():
        raise AssertionError
        yield

    with pytest.raises(ValueError, match=said):
        rhohat.activations(module, **{"layer": "embed", "batches": never(), **settings})


@pytest.mark.parametrize(
    ("positions", "said"),
    [
        (torch.ones(4, dtype=torch.bool), r"has the shape \(4,\), which does not fit activations of 3 samples with 7"),
        (torch.ones(3, 7), "must hold truth values; its dtype is torch.float32"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(module, positions, said):
    with pytest.raises(ValueError, match=said):
        next(rhohat.activations(module, "embed", batches(1), positions=positions))


def test_an_attention_mask_of_another_form_is_refused(module):
    batch = batches(1)[0] | {"attention_mask": torch.ones(3, 6)}
    with pytest.raises(
        ValueError, match=r"attention_mask has the shape \(3, 6\), which does not fit .* 3 samples with 7"
    ):
        next(rhohat.activations(module, "embed", [batch]))


def test_layers_with_different_numbers_of_rows_are_refused():
    class Half(torch.nn.Module):
        def forward(self, x):
            return x[:, ::2]

    module = torch.nn.Sequential(torch.nn.Identity(), Half())
    with pytest.raises(ValueError, match="different numbers of rows in a batch"):
        next(rhohat.activations(module, ["0", "1"], [torch.ones(2, 4, 3)]))


def test_activations_without_an_axis_of_features_are_refused():
    with pytest.raises(ValueError, match=r"has the shape \(3,\); it must have an axis of samples and one of features"):
        next(rhohat.activations(torch.nn.Flatten(0), "", [torch.ones(3)]))
