"""Models are fitted to rows of any source, step after step, and see the same as scikit-learn's pipeline would."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.special import expit
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import rhohat
from rhohat.models.pipelines import (
    encode_blocks,
    estimator_of,
    feature_names_of,
    fit_model,
    open_model_rows,
    prepare_rows,
    preprocessing_of,
    reconstruct_blocks,
    suggest_preprocessing,
)

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def autoencoder(**settings):
    return rhohat.SparseAutoencoder(n_components=3, max_iter=10, random_state=0, **settings)


@pytest.fixture(name="X")
def rows_of_unequal_columns(rng):
    return rng.normal(size=(9000, 5)) * [1, 10, 100, 1000, 3] + 7


@pytest.fixture
def path(X, tmp_path):
    np.save(tmp_path / "rows.npy", X)
    return tmp_path / "rows.npy"


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [rhohat.RangeScaler()],
        [rhohat.ZCAWhitening(), rhohat.PatchNormalizer()],
        [StandardScaler(), "passthrough", MinMaxScaler()],
        [PCA(2), MinMaxScaler()],
    ],
    ids=str,
)
def test_a_fit_to_a_file_is_that_of_a_pipeline_in_memory(steps, X, path):
    model = make_pipeline(*steps, autoencoder()) if steps else autoencoder()
    expected = clone(model).fit(X)
    with rhohat.open_rows(path) as rows:
        assert fit_model(model, rows) is model
        prepared = prepare_rows(model, rows)
        codes = np.concatenate([block.copy() for block in encode_blocks(model, rows)])
        assert prepared.shape[0] == len(X)
        assert np.allclose(estimator_of(model).transform(prepared), codes, rtol=1e-12, atol=1e-15)
    assert np.allclose(estimator_of(model).theta_, estimator_of(expected).theta_, rtol=1e-6, atol=1e-9)
    assert np.allclose(codes, expected.transform(X), rtol=1e-6, atol=1e-9)
    assert np.allclose(model.transform(X), codes, rtol=1e-9, atol=1e-12)


def test_steps_forget_an_earlier_fit(X, path):
    scaler = MinMaxScaler().fit(1e6 * X)
    with rhohat.open_rows(path) as rows:
        fit_model(make_pipeline(scaler, autoencoder()), rows)
    assert np.allclose(scaler.data_max_, X.max(axis=0))


def test_reconstructions_are_in_the_units_of_the_data(X, path):
    model = make_pipeline(StandardScaler(), MinMaxScaler((0.1, 0.9)), autoencoder()).fit(X)
    by_hand = model.predict(X)
    for step in (model.steps[1][1], model.steps[0][1]):
        by_hand = step.inverse_transform(by_hand)
    with rhohat.open_rows(path) as rows:
        made = np.concatenate([block.copy() for block in reconstruct_blocks(model, rows)])
    assert np.allclose(made, by_hand, rtol=1e-12)


def test_classifiers_reconstruct_nothing_and_have_codes(X):
    classifier = rhohat.FeedforwardClassifier(hidden_layer_sizes=(4, 2), max_iter=3).fit(X, X[:, 0] > 7)
    hidden = X
    for layer in range(2):
        hidden = expit(hidden @ classifier.coefs_[layer] + classifier.intercepts_[layer])
    assert np.allclose(classifier.codes(X), hidden)
    with pytest.raises(ValueError, match="FeedforwardClassifier learns from targets and does not reconstruct rows"):
        next(reconstruct_blocks(classifier, rhohat.open_rows(X)))


def test_names_of_columns_belong_to_the_first_step(tmp_path):
    """So a pipeline takes frames and arrays afterwards, as one that was fitted to a frame does."""
    table = pd.DataFrame(np.random.default_rng(0).random((50, 3)) * 5, columns=["a", "b", "c"])
    table.assign(d="text").to_csv(tmp_path / "table.csv", index=False)
    model = make_pipeline(MinMaxScaler(), autoencoder())
    with rhohat.open_rows(tmp_path / "table.csv", columns=["c", "a"]) as rows:
        fit_model(model, rows)
    assert feature_names_of(model) == ["c", "a"]
    expected = model.transform(table[["c", "a"]])
    with open_model_rows(model, tmp_path / "table.csv") as rows:
        assert rows.feature_names == ["c", "a"]
        assert np.allclose(np.concatenate(list(encode_blocks(model, rows))), expected)
    assert np.allclose(np.concatenate(list(encode_blocks(model, open_model_rows(model, table)))), expected)


def test_other_columns_are_refused(X):
    model = make_pipeline(MinMaxScaler(), autoencoder()).fit(pd.DataFrame(X, columns=list("abcde")))
    with pytest.raises(ValueError, match="the array has 2 columns, but the model was fitted to rows of 5 columns"):
        prepare_rows(model, rhohat.open_rows(X[:, :2]))
    with pytest.raises(ValueError, match=r"the model was fitted to the columns \['a', 'b', 'c', 'd', 'e'\]"):
        prepare_rows(model, rhohat.open_rows(pd.DataFrame(X, columns=list("edcba"))))


def test_names_are_unknown_after_steps_that_mix_features(X):
    frame = pd.DataFrame(X, columns=list("abcde"))
    assert feature_names_of(make_pipeline(PCA(2), autoencoder()).fit(frame)) is None
    assert feature_names_of(make_pipeline(rhohat.ZCAWhitening(), autoencoder()).fit(frame)) == list("abcde")


@pytest.mark.parametrize("model", [PCA(), make_pipeline(PCA()), "model.safetensors"])
def test_what_is_no_model_is_refused(model):
    with pytest.raises(ValueError, match="must be an estimator of rhohat, or a Pipeline that ends in one"):
        estimator_of(model)


@pytest.mark.parametrize(
    ("rows", "kinds"),
    [
        (np.array([[0.0, 1.0]]), []),
        (np.array([[0.0, 9.0]]), [MinMaxScaler]),
        (np.array([[[0, 255], [3, 4]]]), [rhohat.RangeScaler]),
        (np.array([[[-1.0, 2], [3, 4]]]), [rhohat.PatchNormalizer]),
    ],
)
def test_what_suits_rows_is_suggested(rows, kinds):
    assert [type(step) for step in suggest_preprocessing(rhohat.open_rows(rows))] == kinds


def test_a_model_remembers_its_rows(X, path):
    in_memory = autoencoder().fit(X)
    assert (in_memory.n_samples_fit_, in_memory.data_name_) == (9000, None)
    model = make_pipeline(rhohat.RangeScaler(), rhohat.StackedAutoencoder([autoencoder()]))
    with rhohat.open_rows(path) as rows:
        fit_model(model, rows)
    stack = estimator_of(model)
    assert (stack.n_samples_fit_, stack.data_name_) == (9000, "rows.npy")
    assert preprocessing_of(model) == [model.steps[0][1]]


def test_a_stack_has_the_parts_that_its_fit_consisted_of(X):
    y = (X[:, 0] > 7).astype(int)
    layers = [autoencoder(sparsity=0.1), autoencoder(sparsity=0.1)]
    X = MinMaxScaler().fit_transform(X)[:50]
    stack = rhohat.StackedAutoencoderClassifier(layers, max_iter=3, random_state=0).fit(X, y[:50])
    names, parts = zip(*stack.fitted_parts(), strict=True)
    assert names == ("layer 0", "layer 1", "softmax", "fine-tuning")
    assert list(parts) == [*stack.autoencoder_.autoencoders_, stack.softmax_, stack]
    assert stack.autoencoder_.fitted_parts() == list(zip(names[:2], parts[:2], strict=True))
    assert parts[0].fitted_parts() == [("", parts[0])]


@pytest.mark.parametrize("normalize", ["mean_norm", "layer_norm"])
def test_a_pipeline_may_end_in_a_dictionary_whose_codes_stay_sparse(normalize, rng, monkeypatch):
    monkeypatch.setattr("rhohat.estimators.dictionary_use._ROWS_AT_ONCE", 64)
    monkeypatch.setattr("rhohat.data.rows.base._BYTES_AT_ONCE", 2**12)
    X = 3 + rng.normal(size=(300, 12)) * np.linspace(0.5, 2, 12)
    dictionary = rhohat.TopKAutoencoder(
        40, k=4, normalize=normalize, solver=rhohat.Adam(batch_size=50, learning_rate=1e-2), max_iter=3, random_state=0
    )
    model = fit_model(make_pipeline(StandardScaler(), dictionary), rhohat.open_rows(X))
    scaled = model[0].transform(X)
    codes = list(encode_blocks(model, rhohat.open_rows(X)))
    assert len(codes) > 2
    assert all(sparse.issparse(block) for block in codes)
    expected = model[-1].transform(scaled)
    np.testing.assert_allclose(sparse.vstack(codes).toarray(), expected.toarray(), rtol=1e-9, atol=1e-12)
    made = np.concatenate(list(reconstruct_blocks(model, rhohat.open_rows(X))))
    np.testing.assert_allclose(made, model[0].inverse_transform(model[-1].reconstruct(scaled)), rtol=1e-9, atol=1e-9)
    again = model[-1].decode(model[-1].codes(scaled), scaled)
    np.testing.assert_allclose(again, model[-1].reconstruct(scaled), rtol=1e-12)


def test_an_estimator_that_learns_from_targets_reconstructs_nothing(rng):
    X = rng.random((30, 4))
    classifier = rhohat.SoftmaxRegression(max_iter=5).fit(X, np.arange(30) % 2)
    assert not classifier.reconstructs
    for attempt in (
        lambda: next(reconstruct_blocks(classifier, rhohat.open_rows(X))),
        lambda: classifier.decode(classifier.codes(X), X),
    ):
        with pytest.raises(ValueError, match="SoftmaxRegression learns from targets and does not reconstruct rows"):
            attempt()
