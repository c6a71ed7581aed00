"""The page about a dictionary, beside what the dictionary itself says of rows."""

import re

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rhohat import Adam, BatchTopKAutoencoder, TopKAutoencoder, evaluate, load, open_rows, report, save
from tests.inspection.reporting.pages import column_of, figures_of, image_of, record_of

NO_ROW = 2**32 - 1


@pytest.fixture
def rows(rng):
    codes = rng.random((400, 12)) * (rng.random((400, 12)) < 0.2)
    return (codes @ rng.normal(size=(12, 16)) + 0.5).astype(np.float32)


def fitted(X, n_components=30, **parameters):
    how = {"k": 3, "solver": Adam(batch_size=100, learning_rate=1e-2), "max_iter": 3, "random_state": 0}
    return TopKAutoencoder(n_components, **{**how, **parameters}).fit(X)


def shown_rows(page):
    """Numbers of the rows that the page shows for its latents, ascending."""
    rows = np.concatenate([column_of(page, "rows"), column_of(page, "spreadRows")])
    return np.unique(rows[rows != NO_ROW])


def test_the_columns_are_those_of_the_dictionary(rows):
    dictionary = fitted(rows)
    page = report(dictionary, rows, image_shape=None)
    record, codes = record_of(page), dictionary.transform(rows).toarray()
    assert (record["n"], record["nRows"], record["nTop"], record["nSimilar"]) == (30, 400, 12, 6)
    n_active = (codes > 0).sum(axis=0)
    assert 0 < np.count_nonzero(n_active < 12) < 30  # some latents have fewer rows than are shown
    np.testing.assert_array_equal(column_of(page, "active"), n_active)
    np.testing.assert_allclose(column_of(page, "mean"), codes.sum(axis=0) / np.maximum(n_active, 1), rtol=1e-5)
    np.testing.assert_allclose(column_of(page, "largest"), codes.max(axis=0), rtol=1e-6)
    top, shares = column_of(page, "rows").reshape(30, 12), column_of(page, "shares").reshape(30, 12)
    for latent, column in enumerate(codes.T):
        best = np.argsort(-column, kind="stable")[: min(12, n_active[latent])]
        assert top[latent].tolist() == [*best, *[NO_ROW] * (12 - len(best))]
        np.testing.assert_allclose(
            shares[latent, : len(best)] / 65535 * column.max(), column[best], atol=1e-4 * column.max()
        )
    unit = dictionary.components_ / np.linalg.norm(dictionary.components_, axis=1, keepdims=True)
    cosines = unit @ unit.T - 2 * np.eye(30)
    similar = column_of(page, "similar").reshape(30, 6)
    np.testing.assert_array_equal(similar, np.argsort(-cosines, axis=1)[:, :6])
    expected = np.take_along_axis(cosines, similar.astype(int), axis=1)
    np.testing.assert_allclose(column_of(page, "cosines").reshape(30, 6) / 32767, expected, atol=2e-5)


def test_figures_are_those_of_an_evaluation_and_each_has_a_sentence(rows):
    dictionary = fitted(rows)
    page = report(dictionary, rows)
    figures, found = figures_of(page), evaluate(dictionary, rows)
    expected = {
        "explained variance": found.explained_variance,
        "FVU": found.fraction_of_variance_unexplained,
        "cosine": found.mean_cosine,
        "norm ratio": found.norm_ratio,
        "relative bias": found.relative_reconstruction_bias,
        "L0": found.l0,
        "L1": found.l1,
        "dead latents": found.density_histogram.n_dead,
        "dense latents": (found.activation_frequency > 0.1).sum(),
        "nearest cosine, median": found.decoder_cosine_median,
        "nearest cosine, maximum": found.decoder_cosine_maximum,
        "encoder–decoder cosine": found.encoder_decoder_cosine_median,
    }
    assert figures == pytest.approx(expected, rel=1e-3)
    meanings = re.findall(r'<dd class="meaning">([^<]*)</dd>', page)
    assert len(meanings) == len(expected)
    assert all(meaning.endswith(".") and len(meaning) > 30 for meaning in meanings)


def test_pictures_are_the_directions_and_the_rows(rows):
    dictionary = fitted(rows)
    page = report(dictionary, rows.reshape(400, 4, 4))
    record = record_of(page)
    assert record["image"] == {"height": 4, "width": 4}
    assert column_of(page, "drawn") is None
    for latent in (0, 29):
        direction = dictionary.components_[latent]
        expected = np.rint(255 * (0.5 + 0.5 * direction / np.abs(direction).max())).reshape(4, 4)
        np.testing.assert_array_equal(image_of(record["directions"], latent, 4, 4), expected)
    pictured = column_of(page, "pictured")
    np.testing.assert_array_equal(pictured, shown_rows(page))
    low, high = np.quantile(rows[np.arange(256) * 400 // 256], [0.005, 0.995])
    for place in (0, len(pictured) - 1):
        expected = np.rint(255 * np.clip((rows[pictured[place]] - low) / (high - low), 0, 1)).reshape(4, 4)
        assert np.abs(image_of(record["pictures"], place, 4, 4) - expected).max() <= 1
    assert "images of 4 × 4 pixels" in page


def test_names_of_rows_are_those_of_the_top_rows_and_stay_texts(rows):
    labels = [f"</script>row {number}\nä <b>" for number in range(400)]
    page = report(fitted(rows), rows, image_shape=None, row_names=labels)
    record = record_of(page)
    labelled = column_of(page, "labelled")
    np.testing.assert_array_equal(labelled, shown_rows(page))
    assert record["labels"] == [f"</script>row {number} ä <b>" for number in labelled]
    assert page.count("</script>row") == 0
    assert 'id="search"' in page
    assert 'id="search"' not in report(fitted(rows), rows, image_shape=None)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["a"] * 399, "one string for each of the 400 rows; got 399"),
        ("a" * 400, "cannot name the rows: names are read from a column of a DataFrame"),
        ([1] * 400, "sequence of strings"),
    ],
)
def test_names_that_are_not_one_text_for_each_row_are_refused(labels, said, rows):
    with pytest.raises(ValueError, match=said):
        report(fitted(rows), rows, row_names=labels)


def test_long_names_are_shortened(rows):
    page = report(fitted(rows), rows, image_shape=None, row_names=["x" * 1000] * 400)
    assert {len(label) for label in record_of(page)["labels"]} == {240}


def test_rows_that_were_left_out_keep_the_numbers_and_the_names_of_the_others(rows, tmp_path):
    dictionary = fitted(rows)
    table = pd.DataFrame(rows)
    table.iloc[:100, 3] = np.nan
    table.to_csv(tmp_path / "rows.csv", index=False, header=False)
    labels = [f"name {number}" for number in range(400)]
    with open_rows(tmp_path / "rows.csv", missing="drop") as source:
        page = report(dictionary, source, image_shape=None, row_names=labels)
        again = report(dictionary, source, image_shape=None, row_names=labels[100:])
    top = column_of(page, "rows")
    numbers = shown_rows(page)
    assert numbers.min() >= 100
    codes = dictionary.transform(rows[100:]).toarray()
    active = int(codes.sum(axis=0).argmax())
    assert top.reshape(30, 12)[active, 0] == 100 + codes[:, active].argmax()
    assert record_of(page)["labels"] == [f"name {number}" for number in numbers]
    assert record_of(again)["labels"] == record_of(page)["labels"]


def test_features_with_names_are_shown_where_a_direction_is_strongest(rows):
    table = pd.DataFrame(rows, columns=[f"column {number}" for number in range(16)])
    dictionary = fitted(table)
    page = report(dictionary, table)
    record = record_of(page)
    assert record["features"] == [f"column {number}" for number in range(16)]
    features, weights = column_of(page, "features").reshape(30, 8), column_of(page, "weights").reshape(30, 8)
    order = np.argsort(-np.abs(dictionary.components_), axis=1, kind="stable")[:, :8]
    np.testing.assert_array_equal(features, order)
    np.testing.assert_array_equal(weights, np.take_along_axis(dictionary.components_, order, axis=1))
    assert column_of(report(fitted(rows), rows, image_shape=None), "features") is None


def test_a_page_of_a_pipeline_from_a_file_shows_rows_as_the_dictionary_sees_them(rows, tmp_path):
    model = make_pipeline(StandardScaler(), fitted(rows)).fit(rows)
    save(model, tmp_path / "model.safetensors")
    page = report(load(tmp_path / "model.safetensors"), rows, tmp_path / "page.html", image_shape=None)
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page
    codes = model[-1].transform(model[0].transform(rows)).toarray()
    np.testing.assert_array_equal(column_of(page, "active"), (codes > 0).sum(axis=0))
    assert "as the dictionary sees them: after StandardScaler" in page
    assert "30 latents of 16 features, TopK(k=3)" in page
    assert "1,200 rows seen in all passes" in page


def test_some_rows_are_measured_if_there_are_more_than_were_asked_for(rows):
    page = report(fitted(rows), rows, max_rows=50, image_shape=None)
    assert record_of(page)["nRows"] == 50
    assert "50 rows, spread evenly over the 400 rows" in page
    assert column_of(page, "active").sum() == 50 * 3


def test_a_threshold_counts_and_the_mean_is_that_of_all_entries(rows):
    dictionary = fitted(rows)
    codes = dictionary.transform(rows).toarray()
    threshold = float(np.median(codes[codes > 0]))
    page = report(dictionary, rows, threshold=threshold, image_shape=None)
    np.testing.assert_array_equal(column_of(page, "active"), (codes > threshold).sum(axis=0))
    expected = codes.sum(axis=0) / np.maximum((codes > 0).sum(axis=0), 1)
    np.testing.assert_allclose(column_of(page, "mean"), expected, rtol=1e-5)


def test_a_page_of_a_single_latent_and_a_single_row_is_made(rows):
    dictionary = fitted(rows, 1, k=1)
    record = record_of(report(dictionary, rows[:1], n_reconstructions=0))
    assert (record["n"], record["nSimilar"], record["nRows"]) == (1, 0, 1)


def test_the_curves_are_over_the_rows_seen(rows):
    dictionary = fitted(rows)
    page = report(dictionary, rows)
    for title in ("J and its terms", "FVU", "L0", "Dead latents"):
        assert f"<h3>{title}</h3>" in page
    (table,) = re.findall(r"<th scope=\"col\">dead latents</th></tr></thead>(.*?)</table>", page, re.DOTALL)
    lines = re.findall(r'<th scope="row">([\d,]+)</th>((?:<td>[^<]*</td>)+)', table)
    assert [int(rows_seen.replace(",", "")) for rows_seen, _ in lines] == dictionary.measures_curve_["rows"]
    last = [float(cell) for cell in re.findall(r"<td>([^<]*)</td>", lines[-1][1])]
    measures = [dictionary.measures_curve_[name][-1] for name in ("fvu", "l0", "dead")]
    assert last == pytest.approx([dictionary.loss_curve_[-1], *measures], rel=1e-3)


def test_a_batch_topk_dictionary_has_rows_of_any_l0(rows):
    dictionary = BatchTopKAutoencoder(
        30, k=3, solver=Adam(batch_size=100, learning_rate=1e-2), max_iter=3, random_state=0
    ).fit(rows)
    page = report(dictionary, rows)
    counts = np.bincount((dictionary.transform(rows).toarray() > 0).sum(axis=1))
    (table,) = re.findall(r"<th scope=\"col\">active latents</th>.*?</table>", page, re.DOTALL)
    found = re.findall(r'<th scope="row">([\d,]+)</th><td>([\d,]+)</td>', table)
    assert {int(number): int(count) for number, count in found} == {
        number: count for number, count in enumerate(counts) if count
    }
