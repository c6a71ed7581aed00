"""A module runs with latents of a dictionary added, set or taken away, or with reconstructions of a layer."""

import numpy as np
import pytest
from scipy.sparse import csr_array
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

import rhohat
from tests.tolerances import EXACT

torch = pytest.importorskip("torch")

from tests.modules.decoder_only import N_FEATURES, batches, decoder_only  # noqa: E402

LAYER = "blocks.0"
SOLVER = rhohat.Adam(batch_size=50, learning_rate=1e-2)


@pytest.fixture(name="module", scope="module")
def a_module():
    return decoder_only()


@pytest.fixture(name="tokens", scope="module")
def some_tokens():
    return batches(1)[0]["input_ids"]


@pytest.fixture(name="rows", scope="module")
def activations(module):
    with torch.no_grad():
        tokens = torch.randint(0, 40, (40, 10), generator=torch.Generator().manual_seed(2))
        return module.first_block(tokens).reshape(-1, N_FEATURES).numpy()


def fitted(cls, rows, **settings):
    return cls(n_components=20, solver=SOLVER, max_iter=5, random_state=0, **settings).fit(rows)


@pytest.fixture(
    name="dictionary",
    scope="module",
    params=[
        (rhohat.TopKAutoencoder, {"k": 3}),
        (rhohat.TopKAutoencoder, {"k": 3, "normalize": "layer_norm"}),
        (rhohat.JumpReLUAutoencoder, {"target_l0": 8}),
        (rhohat.GatedAutoencoder, {"center": False}),
    ],
    ids=["topk", "layer_norm", "jumprelu", "gated"],
)
def a_dictionary(request, rows):
    cls, settings = request.param
    return fitted(cls, rows, **settings)


def run(module, tokens):
    with torch.no_grad():
        return module(tokens).logits.numpy()


def behind(module, x):
    """Return the logits for activations of the layer, computed without hooks."""
    with torch.no_grad():
        return module.behind_the_first_block(torch.as_tensor(x)).numpy()


def before(module, tokens):
    with torch.no_grad():
        return module.first_block(tokens).numpy()


def test_steering_adds_the_direction_of_a_latent_in_the_units_of_the_activations(module, tokens, dictionary):
    direction = dictionary.decoder_[7] / np.linalg.norm(dictionary.decoder_[7])
    other = dictionary.decoder_[2] / np.linalg.norm(dictionary.decoder_[2])
    plain = run(module, tokens)
    with rhohat.steer(module, LAYER, dictionary, {7: 3.5, 2: -1.0}):
        steered = run(module, tokens)
    expected = behind(module, before(module, tokens) + 3.5 * direction - other)
    np.testing.assert_allclose(steered, expected, rtol=EXACT, atol=EXACT)
    assert np.abs(steered - plain).max() > 0.1
    np.testing.assert_array_equal(run(module, tokens), plain)


def test_setting_a_latent_gives_it_this_activation_and_keeps_what_is_not_reconstructed(module, tokens, dictionary):
    x = before(module, tokens)
    flat = x.reshape(-1, N_FEATURES)
    codes = dictionary.codes(flat).toarray()
    wanted = codes.copy()
    wanted[:, 4], wanted[:, 9] = 2.0, 0.0
    error = flat - dictionary.reconstruct(flat)
    made = dictionary.decode(csr_array(wanted), flat) + error
    with rhohat.steer(module, LAYER, dictionary, {4: 2.0, 9: 0.0}, how="set"):
        steered = run(module, tokens)
    np.testing.assert_allclose(steered, behind(module, made.reshape(x.shape)), rtol=1e-10, atol=1e-10)


def test_ablating_takes_the_contribution_of_a_latent_away(module, tokens, dictionary):
    x = before(module, tokens)
    flat = x.reshape(-1, N_FEATURES)
    codes = dictionary.codes(flat).toarray()
    latent = int(np.argmax(codes.sum(0)))
    scale = flat.std(1, ddof=1, keepdims=True) + 1e-5 if dictionary.normalize == "layer_norm" else 1.0
    without = flat - scale * codes[:, [latent]] * dictionary.decoder_[latent]
    with rhohat.ablate(module, LAYER, dictionary, latent):
        ablated = run(module, tokens)
    np.testing.assert_allclose(ablated, behind(module, without.reshape(x.shape)), rtol=1e-10, atol=1e-10)
    assert np.abs(ablated - run(module, tokens)).max() > 1e-3


def test_where_a_latent_is_not_active_ablating_it_changes_no_bit(module, tokens, rows):
    dictionary = fitted(rhohat.TopKAutoencoder, rows, k=1)
    codes = dictionary.codes(before(module, tokens).reshape(-1, N_FEATURES))
    inactive = [int(one) for one in np.flatnonzero(codes.sum(axis=0) == 0)]
    assert inactive
    plain = run(module, tokens)
    with rhohat.ablate(module, LAYER, dictionary, inactive):
        np.testing.assert_array_equal(run(module, tokens), plain)


def test_splicing_puts_reconstructions_in_place_of_activations(module, tokens, dictionary):
    x = before(module, tokens)
    made = dictionary.reconstruct(x.reshape(-1, N_FEATURES)).reshape(x.shape)
    with rhohat.splice(module, LAYER, dictionary):
        spliced = run(module, tokens)
    np.testing.assert_allclose(spliced, behind(module, made), rtol=EXACT, atol=EXACT)


def test_only_the_positions_that_are_named_change(module, tokens, rows):
    dictionary = fitted(rhohat.TopKAutoencoder, rows, k=3)
    x = before(module, tokens)
    made = dictionary.reconstruct(x.reshape(-1, N_FEATURES)).reshape(x.shape)
    mask = torch.zeros(x.shape[:2], dtype=torch.bool)
    mask[0, 1] = mask[2, 3] = True
    for positions, key in ((slice(1, None), np.s_[:, 1:]), ([0, 2], np.s_[:, [0, 2]]), (mask, mask.numpy())):
        expected = x.copy()
        expected[key] = made[key]
        with rhohat.splice(module, LAYER, dictionary, positions=positions):
            np.testing.assert_allclose(run(module, tokens), behind(module, expected), rtol=EXACT, atol=EXACT)
    direction = dictionary.decoder_[0] / np.linalg.norm(dictionary.decoder_[0])
    expected = x.copy()
    expected[mask.numpy()] += 2 * direction
    with rhohat.steer(module, LAYER, dictionary, {0: 2.0}, positions=mask):
        np.testing.assert_allclose(run(module, tokens), behind(module, expected), rtol=EXACT, atol=EXACT)


def test_a_pass_without_any_of_the_positions_stays_as_it_is(module, tokens, rows):
    """As when a language model generates text, and sees one further token at a time."""
    dictionary = fitted(rhohat.TopKAutoencoder, rows, k=3)
    first = tokens[:, :1]
    plain = run(module, first)
    for change in (
        rhohat.steer(module, LAYER, dictionary, {0: 5.0}, positions=slice(1, None)),
        rhohat.steer(module, LAYER, dictionary, {0: 5.0}, how="set", positions=slice(1, None)),
        rhohat.splice(module, LAYER, dictionary, positions=slice(1, None)),
    ):
        with change:
            np.testing.assert_array_equal(run(module, first), plain)


def test_a_transcoder_takes_the_place_of_a_layer(module, tokens):
    """The layer `blocks.1.mix` is linear; its transcoder sees its input and gives its output."""
    rows = np.random.default_rng(0).standard_normal((300, N_FEATURES))
    with torch.no_grad():
        outputs = module.blocks[1].mix(torch.as_tensor(rows)).numpy()
    transcoder = rhohat.Transcoder(rhohat.TopKAutoencoder(20, 4, solver=SOLVER, random_state=0)).fit(rows, outputs)
    x = torch.as_tensor(before(module, tokens))
    so_far = x.cumsum(1) / torch.arange(1, x.shape[1] + 1)[:, None]
    flat = so_far.reshape(-1, N_FEATURES).numpy()

    def behind_the_mix(mixed):
        with torch.no_grad():
            return module.head(x + torch.tanh(torch.as_tensor(mixed).reshape(x.shape))).numpy()

    with rhohat.splice(module, "blocks.1.mix", transcoder):
        np.testing.assert_allclose(
            run(module, tokens), behind_the_mix(transcoder.predict(flat)), rtol=EXACT, atol=EXACT
        )
    codes = transcoder.transform(flat).toarray()
    with torch.no_grad():
        mixed = module.blocks[1].mix(so_far).reshape(-1, N_FEATURES).numpy()
    latent = int(np.argmax(codes.sum(0)))
    without = mixed - codes[:, [latent]] * transcoder.dictionary_.decoder_[latent]
    with rhohat.ablate(module, "blocks.1.mix", transcoder, latent):
        np.testing.assert_allclose(run(module, tokens), behind_the_mix(without), rtol=1e-10, atol=1e-10)
    with (
        pytest.raises(ValueError, match="of must be 'output' for a Transcoder"),
        rhohat.splice(module, "blocks.1.mix", transcoder, of="input"),
    ):
        pass


def test_a_pipeline_and_a_network_and_a_function_can_be_spliced_in(module, tokens, rows):
    x = before(module, tokens)
    flat = x.reshape(-1, N_FEATURES)
    pipeline = make_pipeline(rhohat.ActivationScaler(), rhohat.TopKAutoencoder(20, 3, solver=SOLVER, random_state=0))
    pipeline.fit(rows)
    network = rhohat.SparseAutoencoder(n_components=5, output_activation="identity", max_iter=3000, random_state=0).fit(
        rows
    )
    in_units = pipeline[0].inverse_transform(pipeline[1].reconstruct(pipeline[0].transform(flat)))
    for model, made in ((pipeline, in_units), (network, network.reconstruct(flat)), (lambda rows: rows / 2, flat / 2)):
        with rhohat.splice(module, LAYER, model):
            np.testing.assert_allclose(
                run(module, tokens), behind(module, made.reshape(x.shape)), rtol=1e-10, atol=1e-10
            )


def test_the_input_of_a_layer_can_be_changed(module, tokens, rows):
    dictionary = fitted(rhohat.TopKAutoencoder, rows, k=3)
    x = before(module, tokens)
    made = dictionary.reconstruct(x.reshape(-1, N_FEATURES)).reshape(x.shape)
    with rhohat.splice(module, "blocks.1", dictionary, of="input"):
        np.testing.assert_allclose(run(module, tokens), behind(module, made), rtol=EXACT, atol=EXACT)


def test_gradients_pass_through_a_steered_layer(module, tokens, rows):
    dictionary = fitted(rhohat.TopKAutoencoder, rows, k=3)

    def gradient():
        module.zero_grad()
        module(tokens).logits.sum().backward()
        return module.embed.weight.grad.clone()

    with rhohat.steer(module, LAYER, dictionary, {0: 1e-9}):
        steered = gradient()
    torch.testing.assert_close(steered, gradient(), rtol=1e-6, atol=1e-6)
    assert steered.abs().max() > 0
    module.zero_grad()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_modules_of_fewer_bits_keep_their_dtype(rows, tokens, dtype):
    module = decoder_only().to(getattr(torch, dtype))
    dictionary = fitted(rhohat.TopKAutoencoder, rows.astype(np.float32), k=3)
    for change in (
        rhohat.steer(module, LAYER, dictionary, {3: 2.0}),
        rhohat.ablate(module, LAYER, dictionary, [1, 2, 3]),
        rhohat.splice(module, LAYER, dictionary),
    ):
        with torch.no_grad(), change:
            logits = module(tokens).logits
        assert logits.dtype == getattr(torch, dtype)
        assert torch.isfinite(logits).all()


@pytest.mark.parametrize(
    ("latents", "said"),
    [
        ({20: 1.0}, "whole numbers from 0 to 19; got 20"),
        ({-1: 1.0}, "whole numbers from 0 to 19; got -1"),
        ({1.5: 1.0}, r"got 1\.5"),
        ({}, "at least one latent"),
        ({1: float("nan")}, "finite numbers"),
    ],
)
def test_latents_that_there_are_not_are_refused_before_the_module_runs(module, rows, latents, said):
    dictionary = fitted(rhohat.TopKAutoencoder, rows, k=3)
    with pytest.raises(ValueError, match=said), rhohat.steer(module, LAYER, dictionary, latents):
        pass


def test_other_bad_input_is_refused(module, tokens, rows):
    dictionary = fitted(rhohat.TopKAutoencoder, rows, k=3)
    network = rhohat.SparseAutoencoder(n_components=5, output_activation="identity", max_iter=3000).fit(rows)
    softmax = rhohat.SoftmaxRegression(max_iter=1000).fit(rows, rows[:, 0] > 0)
    for error, said, change in (
        (ValueError, "no layer named 'blocks.9'", rhohat.splice(module, "blocks.9", dictionary)),
        (ValueError, "how must be 'add' or 'set'", rhohat.steer(module, LAYER, dictionary, {0: 1}, how="scale")),
        (ValueError, "different from one another", rhohat.ablate(module, LAYER, dictionary, [1, 1])),
        (TypeError, "directions that add up; got SparseAuto", rhohat.ablate(module, LAYER, network, 1)),
        (ValueError, "SoftmaxRegression does not", rhohat.splice(module, LAYER, softmax)),
        (ValueError, "or a callable; got 5", rhohat.splice(module, LAYER, 5)),
        (TypeError, "positions must be a slice", rhohat.splice(module, LAYER, dictionary, positions="last")),
        (NotFittedError, "not fitted", rhohat.splice(module, LAYER, rhohat.TopKAutoencoder(20))),
        (NotFittedError, "not fitted", rhohat.ablate(module, LAYER, rhohat.TopKAutoencoder(20), 0)),
    ):
        with pytest.raises(error, match=said), change:
            pass
    narrow = rhohat.TopKAutoencoder(20, 3, solver=SOLVER, max_iter=1).fit(rows[:, :5])
    with pytest.raises(ValueError, match=r"have 12 features .* rows of 5"), rhohat.splice(module, LAYER, narrow):
        run(module, tokens)
    mask = torch.ones(2, 2, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"shape \(2, 2\)"), rhohat.splice(module, LAYER, dictionary, positions=mask):
        run(module, tokens)
    with pytest.raises(ValueError, match="21 rows of 12 features"), rhohat.splice(module, LAYER, lambda rows: rows[1:]):
        run(module, tokens)


def test_hooks_are_gone_after_an_error(module, tokens, rows):
    dictionary = fitted(rhohat.TopKAutoencoder, rows, k=3)
    plain = run(module, tokens)
    with pytest.raises(KeyboardInterrupt), rhohat.splice(module, LAYER, dictionary):
        raise KeyboardInterrupt
    np.testing.assert_array_equal(run(module, tokens), plain)
