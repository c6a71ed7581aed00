"""Missing values become the means of their columns, wherever the rows are."""

import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

import rhohat
from rhohat import MeanImputer, open_rows
from rhohat.models.pipelines import fit_model
from tests.tolerances import ORACLE


@parametrize_with_checks([MeanImputer()])
def test_the_contract_of_scikit_learn_is_kept(estimator, check):
    check(estimator)


@pytest.fixture(name="X")
def rows_with_gaps(rng):
    X = rng.normal(size=(9000, 4)) * [1, 10, 100, 1e6] + 5
    X[rng.random(X.shape) < 0.1] = np.nan
    return X


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_the_means_are_those_of_another_implementation(dtype, X):
    X = X.astype(dtype)
    ours, theirs = MeanImputer().fit(X), SimpleImputer().fit(X.astype(np.float64))
    assert np.allclose(ours.means_, theirs.statistics_, rtol=ORACLE)
    assert ours.transform(X).dtype == dtype
    assert np.allclose(ours.transform(X), theirs.transform(X), rtol=1e-6)


def test_a_table_is_filled_in_as_its_rows_in_memory_are(X, tmp_path):
    pd.DataFrame(X, columns=list("abcd")).to_csv(tmp_path / "t.csv", index=False)
    in_memory = MeanImputer().fit(X)
    with open_rows(tmp_path / "t.csv", missing="keep") as rows:
        imputer = MeanImputer().fit(rows)
        assert np.allclose(imputer.means_, in_memory.means_, rtol=1e-14)
        assert list(imputer.feature_names_in_) == list("abcd")
        assert np.array_equal(
            imputer.transform(rows).read(0, 9000), imputer.transform(pd.DataFrame(X, columns=list("abcd")))
        )


def test_means_of_the_largest_numbers_do_not_overflow():
    X = np.array([[1.7e308, 1], [1.5e308, np.nan], [np.nan, 3]])
    assert np.allclose(MeanImputer().fit(X).means_, [1.6e308, 2], rtol=ORACLE)


def test_a_column_without_a_number_has_no_mean():
    with pytest.raises(ValueError, match="column 1 of the array has no number at all"):
        MeanImputer().fit(np.array([[1, np.nan], [2, np.nan]]))
    for rows in (np.array([[np.inf, 1], [2, np.nan]]), open_rows(np.array([[np.inf, 1], [2, np.nan]]))):
        with pytest.raises(ValueError, match="infinit"):
            MeanImputer().fit(rows)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_model_keeps_the_means(X, tmp_path):
    pd.DataFrame(X, columns=list("abcd")).to_csv(tmp_path / "t.csv", index=False)
    model = make_pipeline(MeanImputer(), rhohat.RangeScaler(), rhohat.SparseAutoencoder(n_components=2, max_iter=3))
    with open_rows(tmp_path / "t.csv", missing="keep") as rows:
        fit_model(model, rows)
    rhohat.save(model, tmp_path / "m.safetensors")
    loaded = rhohat.load(tmp_path / "m.safetensors")
    frame = pd.DataFrame(X[:5], columns=list("abcd"))
    assert np.array_equal(loaded.transform(frame), model.transform(frame))
    evaluation = rhohat.evaluate(loaded, tmp_path / "t.csv")  # which has missing values still
    assert evaluation.n_samples == 9000
