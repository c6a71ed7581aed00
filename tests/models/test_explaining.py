"""Contributions of the columns of a table: those of what is made of a column are joined."""

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

import rhohat
from rhohat import AutoencoderDetector, TablePreprocessor, explain
from rhohat.models.explaining import values_of_rows
from tests.tolerances import EXACT


@pytest.fixture(scope="module")
def wines():
    """178 wines with their grapes, of which every ninth has no ash and every tenth no grape."""
    wines = load_wine(as_frame=True)
    grapes = np.array(["Barolo", "Grignolino", "Barbera"], dtype=object)[wines.target]
    table = wines.data[["alcohol", "ash", "proline"]].assign(grape=grapes, dark=wines.data["color_intensity"] > 5)
    table.loc[::9, "ash"] = np.nan
    table.loc[::10, "grape"] = None
    return table.set_index(pd.Index([f"wine {number}" for number in range(len(table))]))


def detector():
    return AutoencoderDetector(random_state=0)


def test_a_detector_behind_a_table_sends_to_the_function_that_explains_pipelines(wines):
    model = make_pipeline(rhohat.TablePreprocessor(), rhohat.AutoencoderDetector(random_state=0)).fit(wines)
    with pytest.raises(
        ValueError, match=r"columns that the detector was fitted to; got .*rhohat\.explain\(pipeline, X\)"
    ):
        model[-1].explain(wines)


@pytest.mark.parametrize("between", [[], [StandardScaler()]])
def test_contributions_of_categories_and_gaps_are_joined(wines, between):
    model = make_pipeline(TablePreprocessor(), *between, detector()).fit(wines)
    explained = explain(model, wines)
    assert list(explained.columns) == list(wines.columns)
    assert list(explained.index) == list(wines.index)
    np.testing.assert_allclose(explained.sum(axis=1), -model.score_samples(wines), rtol=EXACT)
    names = list(model[0].get_feature_names_out())
    seen = pd.DataFrame(model[-1].explain(model[:-1].transform(wines)), columns=names, index=wines.index)
    for column in wines.columns:
        own = [name for name in names if name.startswith(column)]
        np.testing.assert_allclose(explained[column], seen[own].sum(axis=1), rtol=EXACT)
    assert len(names) == 9


def test_columns_may_be_in_any_order_and_an_array_gives_an_array(wines):
    model = make_pipeline(TablePreprocessor(), detector()).fit(wines)
    mixed = explain(model, wines[wines.columns[::-1]].assign(further=1.0))
    pd.testing.assert_frame_equal(mixed, explain(model, wines))
    numbers = wines[["alcohol", "proline"]].to_numpy()
    found = explain(make_pipeline(TablePreprocessor(), detector()).fit(numbers), numbers)
    assert isinstance(found, np.ndarray)
    assert found.shape == (178, 2)


def test_of_a_detector_alone_they_are_those_of_its_method(wines):
    table = wines[["alcohol", "proline"]]
    alone = detector().fit(table)
    pd.testing.assert_frame_equal(explain(alone, table), alone.explain(table))
    scaled = make_pipeline(MinMaxScaler(), detector()).fit(table)
    assert list(explain(scaled, table).columns) == ["alcohol", "proline"]


def test_what_steps_mix_is_not_joined(wines):
    model = make_pipeline(TablePreprocessor(), PCA(4, random_state=0), detector()).fit(wines)
    explained = explain(model, wines)
    assert list(explained.columns) == ["column 0", "column 1", "column 2", "column 3"]
    np.testing.assert_allclose(explained.sum(axis=1), -model.score_samples(wines), rtol=EXACT)


def test_only_a_detector_explains(wines):
    model = make_pipeline(TablePreprocessor(), rhohat.SparseAutoencoder(n_components=2, max_iter=20, tol=1.0))
    with pytest.raises(ValueError, match="model must be an AutoencoderDetector, or a Pipeline that ends in one"):
        explain(model.fit(wines), wines)


def test_values_are_those_of_the_table(wines, tmp_path):
    wines.to_csv(tmp_path / "wines.csv", index=False)
    for data in (wines, tmp_path / "wines.csv"):
        rows = rhohat.models.pipelines.open_model_rows(make_pipeline(TablePreprocessor(), detector()).fit(wines), data)
        with rows:
            values = values_of_rows(rows, np.array([0, 1, 9]))
        assert values[0].tolist() == [14.23, None, 1065.0, None, True]
        assert values[1].tolist() == [13.2, 2.14, 1050.0, "Barolo", False]
        assert values[2][1] is None
