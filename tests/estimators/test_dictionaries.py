"""Dictionaries as scikit-learn knows them: in pipelines and searches, copied, stored; their dtypes and their memory."""

import pickle
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rhohat import Adam, BatchTopKAutoencoder, TopKAutoencoder, Transcoder, fit_together, open_rows
from tests.estimators.dictionaries import KINDS, dictionary, rows, same
from tests.peak_memory import PEAK
from tests.tolerances import EXACT, FLOAT32

X = rows()


# What is learned, by its definition.


def expected_codes(kind, model, a):
    """Return the codes of rows with the pre-activations a, computed from public attributes."""
    if kind == "topk":
        return np.where(a >= np.sort(a, axis=1)[:, -3:-2], np.maximum(a, 0), 0)
    if kind == "l1":
        return np.maximum(a, 0)
    if kind == "gated":
        magnitudes = model.magnitude_scales_ * (a - model.intercepts_[0]) + model.magnitude_biases_
        assert not np.allclose(magnitudes, a, rtol=0.01)  # it has learned other magnitudes than those of the gate
        return np.where(a > 0, np.maximum(magnitudes, 0), 0)
    return np.where(a > (model.thresholds_ if kind == "jumprelu" else model.threshold_), a, 0)


@pytest.mark.parametrize("normalize", ["mean_norm", "layer_norm", None])
@pytest.mark.parametrize("kind", KINDS)
def test_codes_and_reconstructions_are_those_of_the_public_weights(kind, normalize):
    model = dictionary(kind, normalize=normalize).fit(X)
    (encoder, decoder), (bias, mean) = model.coefs_, model.intercepts_
    seen, scale, shift = X, 1.0, 0.0
    if normalize == "layer_norm":
        shift, scale = X.mean(1, keepdims=True), X.std(1, keepdims=True, ddof=1) + 1e-5
        seen = (X - shift) / scale
    a = (seen - mean) @ encoder + bias
    codes = model.transform(X).toarray()
    assert (codes >= 0).all()
    assert model.transform(X).nnz == np.count_nonzero(codes)
    expected = expected_codes(kind, model, a)
    np.testing.assert_allclose(codes, expected, rtol=1e-9, atol=1e-12)
    made = codes @ decoder + mean
    np.testing.assert_allclose(model.inverse_transform(sparse.csr_array(codes)), made, rtol=EXACT, atol=1e-11)
    np.testing.assert_allclose(model.inverse_transform(codes), made, rtol=EXACT, atol=1e-11)
    np.testing.assert_allclose(model.reconstruct(X), made * scale + shift, rtol=EXACT, atol=1e-11)
    np.testing.assert_array_equal(model.predict(X), model.reconstruct(X))
    np.testing.assert_array_equal(model.components_, decoder)
    left = ((X - made * scale - shift) ** 2).sum() / ((X - X.mean(0)) ** 2).sum()
    assert model.score(X) == pytest.approx(1 - left, rel=1e-9)


@pytest.mark.filterwarnings("ignore::rhohat.DeadLatentsWarning")
@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_codes_of_a_transcoder_are_those_of_the_training(kind, center):
    """In the training, rows are scaled and shifted; the public weights are for rows as they are."""
    model = Transcoder(dictionary(kind, center=center, max_iter=20)).fit(X + 5, X[:, :2]).dictionary_
    shifted = model._problem.scaling.apply(X + 5, np.empty_like(X))
    known = model._problem.layout.views(model._state.theta)
    a = shifted @ known.encoder.T + known.encoder_bias
    of_training = expected_codes(kind, _AsTrained(model, known), a)
    np.testing.assert_allclose(model.transform(X + 5).toarray(), of_training, rtol=1e-9, atol=1e-9)
    a = (X + 5) @ model.coefs_[0] + model.intercepts_[0]
    np.testing.assert_allclose(expected_codes(kind, model, a), of_training, rtol=1e-9, atol=1e-9)


class _AsTrained:
    """The attributes that `expected_codes` asks for, of a dictionary for rows as they are in its training."""

    def __init__(self, model, known):
        self.intercepts_, self.threshold_ = [known.encoder_bias], model.threshold_
        self.magnitude_scales_ = np.exp(known.of_latents.get("log_scale", np.zeros(1)))
        self.magnitude_biases_ = known.of_latents.get("magnitude_bias")
        self.thresholds_ = known.of_latents.get("threshold")


@pytest.mark.parametrize("normalize", ["mean_norm", None])
def test_without_centring_no_bias_is_subtracted_and_rows_of_the_decoder_have_one_norm(normalize):
    model = dictionary("l1", center=False, normalize=normalize, decoder_norm=True).fit(X)
    expected = np.maximum(X @ model.coefs_[0] + model.intercepts_[0], 0)
    np.testing.assert_allclose(model.transform(X).toarray(), expected, rtol=1e-9, atol=1e-12)
    norms = np.linalg.norm(model.decoder_, axis=1)
    np.testing.assert_allclose(norms, 1 / model.scaling_.factor, rtol=1e-12)
    assert (model.scaling_.factor == 1) == (normalize is None)


@pytest.mark.parametrize("kind", ["topk", "l1", "gated", "jumprelu"])
def test_the_loss_is_half_of_the_squared_error_of_scaled_rows(kind):
    """A step that changes next to nothing, so that the loss before it is that of the fitted dictionary."""
    model = dictionary(kind, solver=Adam(learning_rate=1e-12, batch_size=240), max_iter=1).fit(X)
    errors = ((X - model.reconstruct(X)) ** 2).sum(1)
    factor = model.scaling_.factor
    assert model.terms_curve_["loss"][0] == pytest.approx(factor**2 * errors.mean() / 2, rel=1e-4)
    assert np.linalg.norm(factor * (X - X.mean(0)), axis=1).mean() == pytest.approx(np.sqrt(6), rel=EXACT)
    left = errors.sum() / ((X - X.mean(0)) ** 2).sum()
    assert model.measures_curve_["fvu"][0] == pytest.approx(left, rel=1e-4)
    # The first biases are such that a row of each latent is on the border.
    assert model.measures_curve_["l0"][0] == pytest.approx(model.transform(X).nnz / 240, abs=16 / 240)


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.parametrize("kind", ["topk", "l1"])
def test_predictions_of_a_transcoder_are_those_of_the_public_weights(kind, skip):
    Y = np.maximum(X @ rows(6, 4)[:, :4] + 1, 0)
    transcoder = Transcoder(dictionary(kind, max_iter=30), skip=skip).fit(X, Y)
    (encoder, decoder), (bias, mean) = transcoder.dictionary_.coefs_, transcoder.dictionary_.intercepts_
    assert decoder.shape == (16, 4)
    codes = transcoder.transform(X).toarray()
    a = X @ encoder + bias
    np.testing.assert_allclose(codes[codes > 0], a[codes > 0], rtol=1e-9)
    made = codes @ decoder + mean
    if skip:
        made += X @ transcoder.skip_weights_
    else:
        assert transcoder.skip_weights_ is None
    np.testing.assert_allclose(transcoder.predict(X), made, rtol=1e-9, atol=1e-11)
    left = ((Y - made) ** 2).sum() / ((Y - Y.mean(0)) ** 2).sum()
    assert transcoder.score(X, Y) == pytest.approx(1 - left, rel=1e-9)
    assert transcoder.score(X, Y) > 0.3


def test_what_a_callback_keeps_is_not_changed_later():
    thetas, norms = [], []
    model = dictionary("topk")
    model.set_params(callbacks=[lambda s: thetas.append(s.theta), lambda s: norms.append(np.linalg.norm(s.theta))])
    model.fit(X)
    assert [np.linalg.norm(theta) for theta in thetas] == norms
    assert len(set(norms)) == len(norms) == 3
    np.testing.assert_array_equal(thetas[-1], model._state.theta)
    with pytest.raises(ValueError, match="read-only"):
        thetas[0][0] = 1


def test_the_weight_of_a_penalty_rises_over_100_updates_with_an_iterator():
    model = dictionary("l1", solver=Adam(learning_rate=1e-15, batch_size=20), max_iter=1).fit(iter([X[:20]] * 200))
    terms = np.array(model.terms_curve_["sparsity"])
    np.testing.assert_allclose(terms / terms[-1], [0.255, 0.755, 1, 1], rtol=1e-6)  # an iteration has 50 updates


def test_more_passes_explain_more():
    scores = [dictionary("topk", max_iter=n).fit(X).score(X) for n in (1, 10, 100)]
    assert scores[0] < scores[1] < scores[2]
    assert scores[2] > 0.8


# scikit-learn's tools.


def test_prefixes_are_described_by_their_name():
    model = dictionary("matryoshka", prefixes=[4, 16], max_iter=1).fit(X)
    assert model.describe()["selection"].endswith("prefixes=(4, 16))")


def test_codes_may_be_dense():
    model = dictionary("topk").fit(X)
    codes = model.transform(X)
    assert isinstance(codes, sparse.csr_array)
    dense = model.set_params(sparse_output=False).transform(X)
    assert isinstance(dense, np.ndarray)
    np.testing.assert_array_equal(dense, codes.toarray())


def test_codes_as_a_frame_must_be_dense():
    model = dictionary("topk", sparse_output=False).set_output(transform="pandas").fit(X)
    frame = model.transform(X)
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == [f"topkautoencoder{latent}" for latent in range(16)]
    np.testing.assert_array_equal(frame.to_numpy(), dictionary("topk", sparse_output=False).fit(X).transform(X))
    with pytest.raises(ValueError, match=r"sparse matrix\. Try to set the transformer output to a dense array"):
        model.set_params(sparse_output=True).transform(X)


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_latents_and_columns(kind):
    frame = pd.DataFrame(X, columns=list("abcdef"))
    model = dictionary(kind).fit(frame)
    assert list(model.feature_names_in_) == list("abcdef")
    prefix = type(model).__name__.lower()
    assert list(model.get_feature_names_out()) == [f"{prefix}{latent}" for latent in range(16)]
    with pytest.raises(ValueError, match="feature names"):
        model.transform(frame[list("bacdef")])


@pytest.mark.parametrize("kind", KINDS)
def test_pipelines_pass_codes_to_a_classifier(kind):
    labels = (X[:, 0] > X[:, 1]).astype(int)
    pipeline = make_pipeline(StandardScaler(), dictionary(kind, max_iter=20), LogisticRegression()).fit(X, labels)
    assert pipeline.score(X, labels) > 0.7


def test_a_search_over_k_and_the_learning_rate():
    grid = {"k": [1, 4], "solver__learning_rate": [1e-5, 0.02]}
    search = GridSearchCV(dictionary("topk", max_iter=40), grid, cv=2).fit(X)
    assert search.best_params_ == {"k": 4, "solver__learning_rate": 0.02}
    assert search.best_estimator_.solver.learning_rate == 0.02
    assert search.best_estimator_.get_params()["solver__batch_size"] == 20


@pytest.mark.parametrize("kind", KINDS)
def test_clones_have_the_parameters_only_and_copies_learn_on(kind):
    model = dictionary(kind).fit(X)
    again = clone(model)
    assert not hasattr(again, "coefs_")
    same(again.fit(X), model)
    copy = pickle.loads(pickle.dumps(model))  # noqa: S301 - of what the line before has written
    same(copy, model)
    np.testing.assert_array_equal(copy.transform(X).toarray(), model.transform(X).toarray())
    for _ in range(3):
        same(copy.partial_fit(X), model.partial_fit(X))


# Numbers and their sources.


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8])
def test_what_is_computed_has_the_dtype_of_the_rows(dtype):
    some = np.round(2 * X).astype(dtype)
    expected = np.float32 if dtype in (np.float16, np.float32) else np.float64
    model = dictionary("topk").fit(some)
    assert {array.dtype for array in (*model.coefs_, *model.intercepts_)} == {np.dtype(expected)}
    assert model.transform(some).dtype == model.reconstruct(some).dtype == expected
    assert model.transform(some.astype(np.float64)).dtype == expected
    same(dictionary("topk").fit(open_rows(some)), model)
    exact = dictionary("topk").fit(some.astype(np.float64))
    np.testing.assert_allclose(model.loss_curve_, exact.loss_curve_, rtol=FLOAT32)


@pytest.mark.filterwarnings("ignore:only .* made:UserWarning")
@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32", "float64"])
def test_tensors_are_rows_in_memory_and_from_an_iterator(dtype):
    torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    whole = np.round(X)  # numbers that bfloat16 holds
    tensor = torch.tensor(whole).to(getattr(torch, dtype))
    as_array = whole.astype(np.float64 if dtype == "float64" else np.float32)
    model = dictionary("topk").fit(as_array)
    same(dictionary("topk").fit(tensor), model)
    np.testing.assert_array_equal(model.transform(tensor).toarray(), model.transform(as_array).toarray())
    streamed = [dictionary("topk", max_iter=1).fit(iter([one[:90], one[90:]])) for one in (as_array, tensor)]
    same(*streamed)


def test_codes_and_scores_of_a_source_are_those_of_the_rows(tmp_path):
    many = rows(9000)  # more than are encoded at a time
    np.save(tmp_path / "rows.npy", many)
    model = dictionary("batch_topk", batch_size=500).fit(many)
    with open_rows(tmp_path / "rows.npy") as source:
        for a, b in zip(model.encode(source), model.encode(many), strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_allclose(model.reconstruct(source), model.reconstruct(many), rtol=EXACT, atol=1e-12)
        assert model.score(source) == pytest.approx(model.score(many), rel=1e-9)


# Batches.


@pytest.mark.parametrize(
    ("n_rows", "max_iter", "batch_size"), [(100, 1, 256), (1000, 600, 512), (4096, 1000, 4096), (10**6, 10, 4096)]
)
def test_batches_are_as_large_as_they_may_be_for_a_thousand_updates(n_rows, max_iter, batch_size):
    dictionary = TopKAutoencoder(64, 4, max_iter=max_iter)
    n_seen = dictionary._n_rows_to_see([np.empty((n_rows, 2), np.float32)])
    assert dictionary._solver(n_seen).batch_size == batch_size
    assert dictionary._solver().batch_size == 1024


def test_a_fit_to_few_rows_takes_small_batches_and_says_so():
    X = np.random.default_rng(0).standard_normal((1000, 8), dtype=np.float32)
    dictionary = TopKAutoencoder(16, 4, max_iter=3, random_state=0).fit(X)
    assert dictionary.n_steps_ == 3 * 4
    assert "batch_size=256" in dictionary.describe()["learning"]["solver"]
    # A call of partial_fit does not know how many will follow.
    dictionary = TopKAutoencoder(16, 4, random_state=0).partial_fit(np.tile(X, (9, 1)))
    assert dictionary.n_steps_ == 9
    assert "batch_size=1024" in dictionary.describe()["learning"]["solver"]


@pytest.mark.parametrize("fit", [lambda one, rows: one.fit(rows), lambda one, rows: fit_together([one], rows)[0]])
def test_few_updates_are_told_of_and_warned_of_where_an_iterator_ended(fit):
    made = "nly 12 updates were made"
    with pytest.warns(UserWarning, match=f"o{made}; more rows or a smaller batch, solver=Adam") as warned:
        streamed = fit(dictionary("topk", max_iter=1), iter([X]))
    assert [one.filename for one in warned] == [__file__]
    assert f"O{made}" in streamed.solver_message_
    in_memory = fit(dictionary("topk", max_iter=1), X)
    assert f"O{made}; more passes (max_iter) or a smaller batch" in in_memory.solver_message_
    long = fit(dictionary("topk", max_iter=17), X)
    assert long.n_steps_ == 17 * 12
    assert "updates were made" not in long.solver_message_


def test_a_batch_size_that_is_chosen_is_compared_with_one_that_is_given():
    X = np.random.default_rng(0).standard_normal((1000, 8))
    chosen = TopKAutoencoder(16, 4, max_iter=3, random_state=0)
    given = TopKAutoencoder(16, 4, max_iter=3, random_state=0, solver=Adam(batch_size=4096))
    with pytest.raises(ValueError, match=r"same batch size; got 256, 4096\."):
        fit_together([chosen, given], X)


# ----------------------------------------------------------------------------------------------------------------------
# Memory.

FIT = """
from rhohat import Adam, TopKAutoencoder

draw = np.random.default_rng(0)
X = draw.standard_normal((8192, 384), dtype=np.float32)
TopKAutoencoder(1024, 8, max_iter=1, random_state=0).fit(X[:4096])  # compiles
before = peak()
dictionary = TopKAutoencoder(8192, 32, max_iter=1, random_state=0, solver=Adam(batch_size=4096)).fit(X)
print(peak() - before, dictionary.memory_plan_.total, dictionary.n_steps_)
"""


def test_a_fit_holds_parameters_and_moments_and_little_else():
    process = subprocess.run([sys.executable, "-c", PEAK + FIT], capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr
    used, planned, n_steps = map(int, process.stdout.split())
    assert n_steps == 2
    theta = 4 * (2 * 8192 * 384 + 8192 + 384)
    assert used < 1.3 * (3 * theta + 100e6)
    assert used < 1.1 * planned


def test_the_memory_plan_adds_up_and_knows_of_everything(tmp_path):
    model = dictionary("topk", checkpoint=tmp_path).fit(X)
    parts = dict(model.memory_plan_.parts)
    assert model.memory_plan_.total == sum(parts.values())
    assert parts["parameters"] >= model._state.theta.nbytes
    assert parts["moments of the solver, 2 for each parameter"] == 2 * parts["parameters"]
    assert parts["a checkpoint while it is written"] == 6 * parts["parameters"]


@pytest.mark.filterwarnings("ignore:only .* made:UserWarning")
@pytest.mark.parametrize("kind", ["array", "file", "iterator"])
def test_a_limit_that_is_too_low_is_refused_with_one_that_is_enough(kind, tmp_path, capsys):
    np.save(tmp_path / "rows.npy", X)

    def fit(limit):
        model = TopKAutoencoder(40, 3, memory_limit=limit, max_iter=1, n_jobs=1, random_state=0)
        with open_rows(tmp_path / "rows.npy") as source:
            return model.fit({"array": X, "file": source, "iterator": iter([X])}[kind])

    with pytest.raises(ValueError, match=r"memory_limit=10 kB is too low: .* would be enough\. Raise") as refused:
        fit("10KB")
    assert capsys.readouterr().err == ""
    amount, unit = str(refused.value).split("too low: ")[1].split(" would")[0].split()
    enough = int(float(amount) * {"kB": 1e3, "MB": 1e6}[unit] * 1.01)  # what is shown is rounded
    assert fit(enough).memory_plan_.total <= enough
    assert "memory that the fit will hold" in capsys.readouterr().err


def test_half_of_the_latents_dead_is_warned_of():
    far = BatchTopKAutoencoder(64, 1, dead_after=30, auxiliary_weight=0, max_iter=3, random_state=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        far.fit(np.repeat(X[:2], 60, axis=0))
    messages = [str(one.message) for one in caught]
    assert len(messages) == 1
    assert "of 64 latents are dead: they have not been active for 30 rows" in messages[0]
    assert np.count_nonzero(far.rows_since_fired_ >= 30) >= 32


@pytest.mark.parametrize(("n_rows", "dead_after"), [(400, 1000), (400_000, 40_000), (4_000_000, 200_000)])
def test_a_latent_is_dead_after_a_tenth_of_a_short_training(n_rows, dead_after):
    problem, _ = TopKAutoencoder(8, 2)._begin(n_rows, [X], 0)
    assert problem.dead_after == dead_after


@pytest.mark.filterwarnings("ignore:only .* made:UserWarning")
def test_the_rows_of_all_passes_decide_when_a_latent_is_dead():
    short = {"max_iter": 50, "random_state": 0}
    tenth = 50 * len(X) // 10
    assert tenth > 1000
    assert TopKAutoencoder(8, 2, **short).fit(X)._problem.dead_after == tenth
    assert fit_together([TopKAutoencoder(8, 2, **short)], X)[0]._problem.dead_after == tenth
    for unknown in (
        TopKAutoencoder(8, 2, **{**short, "max_iter": 1}).fit(iter([X])),
        TopKAutoencoder(8, 2, **short).partial_fit(X),
        TopKAutoencoder(8, 2, dead_after=200_000, **short).fit(X),
    ):
        assert unknown._problem.dead_after == 200_000
