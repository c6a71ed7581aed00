"""Classes of labelled rows on the page about a dictionary."""

import numpy as np
import pandas as pd
import pytest

from rhohat import Adam, TopKAutoencoder, open_rows, report
from rhohat.inspection.metrics import class_latents, sparse_probing
from rhohat.inspection.reporting.dictionaries import classes
from tests.inspection.reporting.pages import column_of, record_of

NAMES = np.array(["</script><b>", "dog", "owl"])


@pytest.fixture
def labels(rng):
    return rng.integers(0, 3, 500)


@pytest.fixture
def rows(labels, rng):
    return (rng.normal(size=(500, 8)) + 2 * np.eye(8)[labels]).astype(np.float32)


@pytest.fixture
def dictionary(rows):
    how = {"k": 3, "solver": Adam(batch_size=100, learning_rate=1e-2), "max_iter": 3, "random_state": 0}
    return TopKAutoencoder(20, **how).fit(rows)


def test_classes_have_the_latents_and_the_probes_of_the_metrics(rows, labels, dictionary):
    page = report(dictionary, rows, image_shape=None, labels=NAMES[labels])
    found, codes = record_of(page)["classes"], dictionary.transform(rows)
    expected = class_latents(codes, NAMES[labels], 20)
    assert found["names"] == NAMES.tolist()
    assert found["counts"] == np.bincount(labels).tolist()
    assert found["latents"] == expected.latents[:, :10].tolist()
    np.testing.assert_allclose(found["correlations"], expected.correlation[:, :10], atol=1e-4)
    np.testing.assert_allclose(found["inside"], expected.density_inside[:, :10], atol=1e-5)
    np.testing.assert_allclose(found["outside"], expected.density_outside[:, :10], atol=1e-5)
    probing = sparse_probing(codes, NAMES[labels])
    assert (found["probing"]["k"], found["probing"]["nRows"]) == ([1, 2, 5], 500)
    np.testing.assert_allclose(found["probing"]["accuracy"], probing.accuracy, atol=1e-4)
    whole = column_of(page, "classCorrelations").reshape(3, 20) / 32767
    ordered = np.take_along_axis(whole, expected.latents, axis=1)
    np.testing.assert_allclose(ordered, expected.correlation, atol=1e-4)
    assert page.count("</script><b>") == 0


@pytest.mark.parametrize("most", [1, 40, 499])
def test_probes_see_rows_that_are_spread_evenly(most, rows, labels, dictionary, monkeypatch):
    monkeypatch.setattr(classes, "_MOST_PROBED", most)
    monkeypatch.setattr("rhohat.inspection.top_rows._BYTES_AT_ONCE", 32 * 70)
    found = record_of(report(dictionary, rows, image_shape=None, labels=labels))["classes"]
    if most == 1:
        assert "probing" not in found
        return
    kept = np.arange(0, 500, -(-500 // most))
    assert found["probing"]["nRows"] == len(kept)
    expected = sparse_probing(dictionary.transform(rows[kept]), labels[kept])
    np.testing.assert_allclose(found["probing"]["accuracy"], expected.accuracy, atol=1e-4)


def test_of_two_classes_one_is_probed_and_a_class_of_one_row_is_not(rows, labels, dictionary):
    two = record_of(report(dictionary, rows, image_shape=None, labels=labels == 1))["classes"]
    assert two["names"] == ["False", "True"]
    assert two["probing"]["accuracy"][0] is None
    rare = np.where(np.arange(500) == 3, 9, labels)
    found = record_of(report(dictionary, rows, image_shape=None, labels=rare))["classes"]
    assert [accuracy is None for accuracy in found["probing"]["accuracy"]] == [False, False, False, True]
    assert found["counts"][3] == 1


def test_correlations_of_all_latents_are_left_out_where_they_are_too_many(rows, labels, dictionary, monkeypatch):
    monkeypatch.setattr(classes, "_MOST_NUMBERS", 3 * 20 - 1)
    page = report(dictionary, rows, image_shape=None, labels=labels)
    assert column_of(page, "classCorrelations") is None
    assert len(record_of(page)["classes"]["latents"][0]) == 10


def test_labels_of_rows_that_were_left_out_are_left_out_too(rows, labels, dictionary, tmp_path):
    table = pd.DataFrame(rows)
    table.iloc[::5, 3] = np.nan
    table.to_csv(tmp_path / "rows.csv", index=False, header=False)
    kept = np.arange(500) % 5 > 0
    with open_rows(tmp_path / "rows.csv", missing="drop") as source:
        of_all, of_kept = (
            record_of(report(dictionary, source, image_shape=None, labels=some))["classes"]
            for some in (labels, labels[kept])
        )
    assert of_all == of_kept
    assert of_all["counts"] == np.bincount(labels[kept]).tolist()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["a"] * 500, "at least two classes"),
        (["a", "b"] * 100, "for each of the 500 rows"),
        (np.arange(500), "at most 200 classes; got 500"),
    ],
)
def test_labels_that_cannot_be_used_are_refused_before_work(given, said, rows, dictionary, tmp_path):
    with pytest.raises(ValueError, match=said):
        report(dictionary, rows, tmp_path / "page.html", labels=given)
    assert list(tmp_path.iterdir()) == []
