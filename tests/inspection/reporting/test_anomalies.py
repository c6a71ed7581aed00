"""The page about a detector: its scores as a histogram, and the rows that are most unusual, with their columns."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import rhohat
from rhohat import AutoencoderDetector, report
from rhohat.inspection.reporting.anomalies import find_anomalies, histogram_of_errors

TABLE = load_wine(as_frame=True).data


@pytest.fixture(scope="module")
def table():
    """A table of wines, of which row 100 has eight times as much magnesium as usual."""
    changed = TABLE.copy()
    changed.loc[100, "magnesium"] = 800.0
    return changed


@pytest.fixture(scope="module")
def detector(table):
    return AutoencoderDetector(contamination=0.05, random_state=0).fit(table)


def section_of(page):
    """The section about unusual rows, without its chart, as text."""
    (section,) = re.findall(r'<section id="anomalies".*?</section>', page, re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<svg.*?</svg>", "", section, flags=re.DOTALL)).split())


def test_the_page_begins_with_the_unusual_rows_and_goes_on_with_the_autoencoder(detector, table):
    page = report(detector, table)
    assert page.index('id="anomalies"') < page.index("explained variance") < page.index('id="units"')
    assert "<h1>AutoencoderDetector, 10 units, on " in page
    text = section_of(page)
    assert "9 of 178 rows are outliers" in text
    row = text[text.index("Row 100") :]
    assert row.startswith("Row 100 score −")
    assert re.match(r"Row 100 score −[\d.]+, outlier column value expected part magnesium 800 [\d.,]+ \d+ %", row)
    assert text.count("score −") == 12
    assert 'id="anomalies"' not in report(detector.autoencoder_, detector.scaler_.transform(table.to_numpy()))


def test_values_are_those_of_the_data_and_expected_ones_in_their_units(detector, table):
    found = find_anomalies(detector, rhohat.open_rows(table), None)
    scores, made, contributions = detector.score_samples(table), detector.reconstruct(table), detector.explain(table)
    assert [row.number for row in found.rows] == np.argsort(scores)[:12].tolist()
    for row in found.rows:
        assert row.score == pytest.approx(scores[row.number])
        assert row.is_outlier == (detector.predict(table)[row.number] == -1)
        strongest = contributions.loc[row.number].nlargest(3)
        assert [column for column, *_ in row.columns] == strongest.index.tolist()
        for name, value, expected, share in row.columns:
            assert value == table.loc[row.number, name]
            assert expected == pytest.approx(made[row.number, table.columns.get_loc(name)])
            assert share == pytest.approx(strongest[name] / contributions.loc[row.number].sum())


@pytest.mark.parametrize("step", [StandardScaler(), rhohat.TablePreprocessor("standard")])
def test_values_are_those_of_the_data_behind_steps_that_scale(detector, table, step):
    """The steps of a pipeline are undone, and the detector's own scaling is undone once."""
    model = make_pipeline(step, AutoencoderDetector(random_state=0)).fit(table)
    found = find_anomalies(model, rhohat.open_rows(table), None)
    assert found.units == "on the scale of the data"
    expected = model[0].inverse_transform(model[-1].reconstruct(model[0].transform(table)))
    for row in found.rows:
        for name, value, made, _ in row.columns:
            assert value == pytest.approx(table.loc[row.number, name])
            assert made == pytest.approx(np.asarray(expected)[row.number, table.columns.get_loc(name)])
    mixed = make_pipeline(PCA(5, random_state=0), AutoencoderDetector(random_state=0)).fit(table)
    assert find_anomalies(mixed, rhohat.open_rows(table), None).units == "after the preprocessing"


def test_rows_have_their_names_and_text_is_text(detector, table):
    names = [f"<b>wine {number}</b>" for number in range(len(table))]
    page = report(detector, table, row_names=names)
    assert "Row 100, &lt;b&gt;wine 100&lt;/b&gt;" in page
    assert "<b>wine" not in page


def test_preprocessing_before_the_detector_and_rows_that_were_left_out(table):
    holes = table.copy()
    holes.loc[[0, 5], "ash"] = np.nan
    model = make_pipeline(rhohat.MeanImputer(), AutoencoderDetector(random_state=0)).fit(holes)
    assert find_anomalies(model, rhohat.open_rows(holes, missing="keep"), None).rows[0].number == 100
    dropped = rhohat.open_rows(holes, missing="drop")
    detector = AutoencoderDetector(random_state=0).fit(dropped)
    assert find_anomalies(detector, dropped, None).rows[0].number == 100


def test_a_detector_over_a_dictionary_has_the_section_as_well(table):
    dictionary = rhohat.TopKAutoencoder(16, 3, max_iter=30)
    detector = AutoencoderDetector(dictionary, contamination=0.1, random_state=0).fit(table)
    page = report(detector, table)
    assert "18 of 178 rows are outliers" in section_of(page)
    assert 'id="latents"' in page or "latents" in page


def test_every_row_is_in_one_bar_and_the_threshold_is_an_edge(detector, table):
    errors = -detector.score_samples(table)
    for threshold in (-detector.offset_, errors.max(), errors.min(), 100 * errors.max(), np.sort(errors)[7]):
        found = histogram_of_errors(errors, threshold)
        assert sum(count for _, count in found.table) == len(errors)
        assert found.svg.count('class="count special"') <= np.sum(errors > threshold)
        assert ('class="count special"' in found.svg) == bool(np.sum(errors > threshold))


@pytest.mark.parametrize("errors", [np.zeros(5), np.array([0.0, 1.0, 1e300]), np.array([1e-300]), np.ones(9)])
@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_errors_of_any_size_are_drawn(errors, threshold):
    found = histogram_of_errors(errors, threshold)
    assert sum(count for _, count in found.table) == len(errors)
    assert len(found.table) < 100
    assert "nan" not in found.svg


def test_the_command_writes_the_same(detector, table, tmp_path):
    from typer.testing import CliRunner

    from rhohat.cli import app

    rhohat.save(detector, tmp_path / "model.safetensors")
    pd.DataFrame(table).to_csv(tmp_path / "wine.csv", index=False)
    arguments = [str(tmp_path / "model.safetensors"), str(tmp_path / "wine.csv"), "-o", str(tmp_path / "page.html")]
    assert CliRunner().invoke(app, ["report", *arguments]).exit_code == 0
    assert "Row 100 score −" in section_of((tmp_path / "page.html").read_text(encoding="utf-8"))


def test_frames_of_pandas_between_steps_do_not_stop_the_page(table):
    preprocessor = rhohat.TablePreprocessor("standard").set_output(transform="pandas")
    model = make_pipeline(preprocessor, AutoencoderDetector(random_state=0)).fit(table)
    assert "The most unusual rows" in report(model, table)
    assert rhohat.evaluate(model, table).n_samples == len(table)
