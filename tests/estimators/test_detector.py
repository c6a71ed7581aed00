"""The detector of unusual rows: its scores, its threshold, the columns that explain them, and what it refuses."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import rhohat
from rhohat import AutoencoderDetector, DeepAutoencoder, TopKAutoencoder
from rhohat.estimators.detector import default_autoencoder
from tests.tolerances import EXACT

TABLE = load_wine(as_frame=True).data
ROWS = TABLE.to_numpy()


@pytest.fixture(scope="module")
def detector():
    return AutoencoderDetector(random_state=0).fit(TABLE)


def test_the_error_is_that_of_the_equation(detector):
    scaled = StandardScaler().fit_transform(ROWS)
    errors = (scaled - detector.autoencoder_.reconstruct(scaled)) ** 2
    usual = errors.mean(axis=0)
    assert np.allclose(detector.usual_errors_, usual, rtol=EXACT)
    assert np.allclose(detector.score_samples(TABLE), -(errors / usual).mean(axis=1), rtol=EXACT)
    assert detector.score_samples(TABLE).mean() == pytest.approx(-1)


def test_contributions_add_up_to_the_error(detector):
    contributions = detector.explain(TABLE[:9])
    assert contributions.shape == (9, 13)
    assert (contributions.to_numpy() >= 0).all()
    assert np.allclose(contributions.sum(axis=1), -detector.score_samples(TABLE[:9]), rtol=EXACT)


def test_a_table_gives_a_table_with_the_names_of_its_rows_and_columns(detector):
    named = TABLE[:3].set_index(pd.Index(["x", "y", "z"]))
    contributions = detector.explain(named)
    assert list(contributions.columns) == list(TABLE.columns)
    assert list(contributions.index) == ["x", "y", "z"]
    assert isinstance(AutoencoderDetector(random_state=0).fit(ROWS).explain(ROWS[:3]), np.ndarray)


def test_the_column_that_was_changed_is_the_one_that_explains_the_row(detector):
    """Each column of a usual row in turn gets a number that is far from the others."""
    usual = TABLE.iloc[[int(detector.score_samples(TABLE).argmax())]]
    for column in TABLE.columns:
        changed = usual.assign(**{column: TABLE[column].mean() + 8 * TABLE[column].std()})
        assert detector.predict(changed).tolist() == [-1]
        assert detector.explain(changed).iloc[0].idxmax() == column


def test_the_share_of_outliers_is_the_one_that_was_asked_for():
    for share in (0.05, 0.1, 0.5):
        detector = AutoencoderDetector(contamination=share, random_state=0)
        found = detector.fit_predict(ROWS)
        assert set(found) == {-1, 1}
        assert np.mean(found == -1) == pytest.approx(share, abs=1 / len(ROWS))
        assert np.array_equal(found == -1, detector.decision_function(ROWS) < 0)
        assert np.array_equal(detector.decision_function(ROWS), detector.score_samples(ROWS) - detector.offset_)


def test_auto_is_the_fence_of_the_roots_of_the_errors(detector):
    roots = np.sqrt(-detector.score_samples(TABLE))
    lower, upper = np.quantile(roots, [0.25, 0.75])
    assert np.array_equal(detector.predict(TABLE) == -1, roots > upper + 1.5 * (upper - lower))
    assert 0 < np.mean(detector.predict(TABLE) == -1) < 0.1


def test_malignant_cells_are_unusual_to_a_detector_that_has_seen_benign_ones():
    X, y = load_breast_cancer(return_X_y=True)
    detector = AutoencoderDetector(random_state=0).fit(X[y == 1][:200])
    rows, truth = np.concatenate([X[y == 1][200:], X[y == 0]]), np.repeat([0, 1], [157, 212])
    assert roc_auc_score(truth, -detector.score_samples(rows)) > 0.9


def test_a_constant_column_breaks_nothing_and_is_unusual_once_it_changes():
    X = np.column_stack([ROWS, np.full(len(ROWS), 1e6)])
    detector = AutoencoderDetector(random_state=0).fit(X)
    assert np.isfinite(detector.score_samples(X)).all()
    changed = X[:1].copy()
    changed[0, -1] += 1
    assert detector.predict(changed).tolist() == [-1]
    assert int(detector.explain(changed)[0].argmax()) == X.shape[1] - 1


def test_rows_that_are_all_equal_are_all_usual():
    detector = AutoencoderDetector(random_state=0).fit(np.ones((30, 4)))
    assert np.isfinite(detector.score_samples(np.ones((3, 4)))).all()
    assert (detector.predict(np.ones((3, 4))) == 1).all()


@pytest.mark.parametrize(
    "autoencoder",
    [
        rhohat.SparseAutoencoder(n_components=5, max_iter=50, tol=0.1),
        rhohat.DenoisingAutoencoder(n_components=5, max_iter=100, tol=0.1),
        rhohat.StackedAutoencoder([DeepAutoencoder(hidden_layer_sizes=(6,), max_iter=100, tol=0.1)]),
        rhohat.RecurrentAutoencoder(layers=[rhohat.LSTM(4)], input_shape=(13, 1), max_iter=30, tol=1.0),
        rhohat.ConvolutionalAutoencoder(
            layers=[rhohat.Convolution(3, 3, padding="same")], input_shape=(13, 1), max_iter=30, tol=1.0
        ),
        TopKAutoencoder(16, 3, max_iter=30),
        rhohat.L1Autoencoder(16, max_iter=30),
    ],
    ids=lambda autoencoder: type(autoencoder).__name__,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:.*are dead:UserWarning")
def test_any_autoencoder_will_do(autoencoder):
    detector = AutoencoderDetector(autoencoder, contamination=0.1, random_state=0).fit(ROWS)
    assert not hasattr(autoencoder, "coefs_")
    assert np.mean(detector.predict(ROWS) == -1) == pytest.approx(0.1, abs=1 / len(ROWS))
    assert np.allclose(detector.explain(ROWS).sum(axis=1), -detector.score_samples(ROWS), rtol=EXACT)
    same = AutoencoderDetector(clone(autoencoder), contamination=0.1, random_state=0).fit(ROWS)
    assert np.array_equal(same.score_samples(ROWS), detector.score_samples(ROWS))


def test_a_seed_of_the_autoencoder_comes_first():
    first = AutoencoderDetector(default_autoencoder().set_params(random_state=1), random_state=2).fit(ROWS)
    assert first.autoencoder_.random_state == 1
    assert AutoencoderDetector(random_state=2).fit(ROWS).autoencoder_.random_state == 2


def test_rows_from_a_file_give_the_scores_of_rows_in_memory(tmp_path):
    TABLE.to_csv(tmp_path / "wine.csv", index=False)
    detector = AutoencoderDetector(random_state=0).fit(TABLE)
    with rhohat.open_rows(tmp_path / "wine.csv", header=True) as rows:
        streamed = AutoencoderDetector(random_state=0).fit(rows)
        assert streamed.data_name_ == "wine.csv"
        assert list(streamed.feature_names_in_) == list(TABLE.columns)
        assert np.allclose(streamed.score_samples(rows), detector.score_samples(TABLE), rtol=1e-6)
        assert np.allclose(streamed.explain(rows), detector.explain(TABLE), rtol=1e-6, atol=1e-9)


def test_rows_that_do_not_fit_are_scaled_whenever_they_are_read(monkeypatch):
    held = AutoencoderDetector(random_state=0).fit(rhohat.open_rows(ROWS))
    monkeypatch.setattr("rhohat.estimators.detector._BYTES_HELD", 0)
    read = AutoencoderDetector(random_state=0).fit(rhohat.open_rows(ROWS))
    assert np.array_equal(held.score_samples(ROWS), read.score_samples(ROWS))


def test_rows_may_keep_their_scale():
    digits = load_digits().data[:300] / 16
    detector = AutoencoderDetector(DeepAutoencoder(hidden_layer_sizes=(9,), tol=1e-3), scale=False, random_state=0).fit(
        digits
    )
    assert detector.scaler_ is None
    assert np.array_equal(detector.reconstruct(digits[:2]), detector.autoencoder_.reconstruct(digits[:2]))


def test_reconstructions_are_in_the_units_of_the_rows(detector):
    made = detector.reconstruct(TABLE)
    assert made.shape == TABLE.shape
    assert np.allclose(made.mean(axis=0), ROWS.mean(axis=0), rtol=0.02)


def test_no_row_is_told_to_be_on_another_scale(detector):
    """A warning would be an error here; that a row is far away is what the score says."""
    assert detector.predict(TABLE * 1000).tolist() == [-1] * len(TABLE)


def test_parameters_of_the_autoencoder_are_set_by_nested_names():
    detector = AutoencoderDetector(default_autoencoder(), random_state=0)
    detector.set_params(autoencoder__hidden_layer_sizes=(3,))
    assert detector.fit(ROWS).layer_sizes_ == (13, 3, 13)


def test_it_is_the_last_step_of_a_pipeline():
    holes = TABLE.mask(np.random.default_rng(0).random(TABLE.shape) < 0.05)
    model = make_pipeline(rhohat.MeanImputer(), AutoencoderDetector(random_state=0)).fit(holes)
    assert set(model.predict(holes)) == {-1, 1}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"contamination": 0}, "'contamination' parameter .* Got 0 instead"),
        ({"contamination": 0.6}, "'contamination' parameter .* Got 0.6 instead"),
        ({"contamination": "most"}, "'contamination' parameter .* Got 'most' instead"),
        ({"autoencoder": StandardScaler()}, "'autoencoder' parameter .* must be"),
        ({"autoencoder": AutoencoderDetector()}, "'autoencoder' parameter .* must be"),
        ({"autoencoder": rhohat.FeedforwardClassifier()}, "'autoencoder' parameter .* must be"),
    ],
)
def test_what_is_out_of_range_is_refused(parameters, message):
    with pytest.raises(ValueError, match=message):
        AutoencoderDetector(**parameters).fit(ROWS)


def test_other_columns_are_refused(detector):
    with pytest.raises(ValueError, match="feature names"):
        detector.predict(TABLE[TABLE.columns[::-1]])
    with pytest.raises(ValueError, match="has 2 columns, but AutoencoderDetector was fitted to rows of 13"):
        detector.predict(rhohat.open_rows(ROWS[:, :2]))
    with pytest.raises(ValueError, match=r"fitted to the columns .*, in this order"):
        detector.predict(rhohat.open_rows(TABLE[TABLE.columns[::-1]]))
    with pytest.raises(ValueError, match="contains NaN"):
        detector.predict(TABLE.mask(TABLE > 1000))
