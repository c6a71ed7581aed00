"""Values on the page are those of the data where the scaling is known."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from rhohat import PatchNormalizer, SparseAutoencoder, TablePreprocessor, TopKAutoencoder, ZCAWhitening, report
from rhohat.inspection.reporting.own_units import OwnUnits
from tests.inspection.reporting.pages import record_of

QUICK = {"max_iter": 1000, "tol": 1e-2, "random_state": 0}


@pytest.fixture(scope="module")
def wine():
    return load_wine(as_frame=True).data


def values_of(page):
    """The values of rows and of their reconstructions, by row and feature."""
    found = {}
    for row, lines in re.findall(r"<caption>Row (\d+)(.*?)</table>", page, re.DOTALL):
        for name, *cells in re.findall(r'<th scope="row">(.*?)</th>.*?</svg></td><td>(.*?)</td><td>(.*?)</td>', lines):
            name = name.replace("<wbr>", "")
            found[int(row), name] = [float(cell.replace(",", "").replace("−", "-")) for cell in cells]
    return found


def test_a_table_shows_the_values_of_the_data_whatever_the_network_sees(wine):
    model = make_pipeline(StandardScaler(), SparseAutoencoder(n_components=6, **QUICK)).fit(wine)
    page = report(model, wine)
    scaler, autoencoder = model
    rebuilt = scaler.inverse_transform(autoencoder.reconstruct(scaler.transform(wine)))
    found = values_of(page)
    assert len(found) == 16 * wine.shape[1]
    for (row, name), values in found.items():
        place = list(wine.columns).index(name)
        assert values == pytest.approx([wine.iloc[row, place], rebuilt[row, place]], rel=6e-3)
    assert "Values are on the scale of the data. Errors are those that the network sees, after StandardScaler." in page
    record = record_of(page)
    assert record["aboutValues"] == "Values are on the scale of the data."
    for unit in range(6):
        for rank, place in enumerate(record["top"]["places"][unit]):
            row, columns = record["rows"]["numbers"][place], record["bars"]["features"][unit][:6]
            np.testing.assert_allclose(record["top"]["values"][unit][rank], wine.iloc[row, columns], rtol=1e-3)


def test_where_the_scaling_is_not_known_values_are_those_that_the_network_sees(wine):
    for step in (FunctionTransformer(np.log1p, feature_names_out="one-to-one"), ZCAWhitening(epsilon=1.0)):
        model = make_pipeline(step, SparseAutoencoder(n_components=3, **QUICK)).fit(wine)
        page = report(model, wine, n_reconstructions=1)
        seen = np.asarray(model[0].transform(wine))
        for (row, name), values in values_of(page).items():
            place = int(name.split()[1]) if name.startswith("feature") else list(wine.columns).index(name)
            assert values[0] == pytest.approx(seen[row, place], rel=6e-3)
        assert f"Values are those that the network sees, after {type(step).__name__}." in page


def test_black_and_white_are_values_of_the_data_where_all_pixels_are_scaled_alike(rng):
    patches = 50 + 20 * rng.normal(size=(200, 16))
    page = report(make_pipeline(PatchNormalizer(), SparseAutoencoder(n_components=3, **QUICK)).fit(patches), patches)
    black, white = re.findall(r"Black is (\S+), white is (\S+)\. ", page)[0]
    centred = patches - patches.mean(axis=1, keepdims=True)
    expected = np.quantile(centred, [0.005, 0.995])
    assert [float(black.replace("−", "-")), float(white)] == pytest.approx(expected.tolist(), rel=0.05)
    assert "on the scale of the data, without the mean of each row, which PatchNormalizer removes." in page
    page = report(make_pipeline(StandardScaler(), SparseAutoencoder(n_components=3, **QUICK)).fit(patches), patches)
    assert "These are values after StandardScaler." in page


def test_what_is_past_the_end_of_a_sequence_stays_so():
    scaler = StandardScaler().fit([[0.0, 10.0], [2.0, 30.0]])
    units = OwnUnits([scaler], known=True)
    np.testing.assert_array_equal(units.convert(np.array([[1.0, np.nan]])), [[2.0, np.nan]])
    assert units.ends((0.0, 1.0), 2) is None
    assert OwnUnits([], known=True).ends((-1e308, 1e308), 2) == (-1e308, 1e308)


def test_a_dictionary_too_shows_the_values_of_the_data(wine):
    model = make_pipeline(StandardScaler(), TopKAutoencoder(12, k=3, max_iter=2, random_state=0)).fit(wine)
    for (row, name), values in values_of(report(model, wine)).items():
        assert values[0] == pytest.approx(wine[name][row], rel=6e-3)


def test_names_of_rows_come_from_a_column(wine, tmp_path):
    table = wine.assign(bottle=[f"bottle {number:03}" for number in range(len(wine))])
    table.loc[0, "bottle"] = None
    table.to_csv(tmp_path / "wine.csv", index=False)
    table.to_parquet(tmp_path / "wine.parquet")
    model = make_pipeline(StandardScaler(), SparseAutoencoder(n_components=3, **QUICK)).fit(wine)
    pages = [report(model, data, title="t", row_names="bottle") for data in (table, tmp_path / "wine.csv")]
    pages.append(report(model, tmp_path / "wine.parquet", title="t", row_names=wine.shape[1]))
    for page in pages:
        rows = record_of(page)["rows"]
        assert rows["labels"] == ["" if number == 0 else f"bottle {number:03}" for number in rows["numbers"]]
        assert re.search(r"<caption>Row 11: bottle 011 ", page)
    with pytest.raises(ValueError, match="no column named 'cask'"):
        report(model, table, row_names="cask")
    with pytest.raises(ValueError, match="cannot name the rows: names are read from a column of a DataFrame"):
        report(model, wine.to_numpy(), row_names="bottle")


def test_texts_of_names_stay_as_they_are_written(tmp_path):
    frame = pd.DataFrame({"id": ["007", "1.10", "1.1"], "a": [0.1, 0.2, 0.3], "b": [1.0, 2.0, 4.0]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    model = SparseAutoencoder(n_components=1, **QUICK).fit(frame[["a", "b"]] / 10)
    page = report(model, tmp_path / "t.csv", row_names="id")
    assert set(record_of(page)["rows"]["labels"]) == {"007", "1.10", "1.1"}


def test_a_number_that_was_missing_is_shown_as_missing(wine):
    table = wine.iloc[:, :3].assign(vintage="old")
    table.loc[::2, "ash"] = np.nan
    model = make_pipeline(TablePreprocessor(), SparseAutoencoder(n_components=2, **QUICK)).fit(table)
    page = report(model, table)
    for row in (0, 11):
        (cell,) = re.findall(rf'<caption>Row {row} .*?<th scope="row">ash</th>.*?</svg></td><td>(.*?)</td>', page, re.S)
        assert (cell == "missing") == (row % 2 == 0)
    record = record_of(page)
    ash = record["features"].index("ash")
    columns = record["bars"]["features"][0][:6]
    for place, values in zip(record["top"]["places"][0], record["top"]["values"][0], strict=True):
        is_missing = record["rows"]["numbers"][place] % 2 == 0
        assert (values[columns.index(ash)] == "missing") == is_missing
        assert values.count("missing") == is_missing
