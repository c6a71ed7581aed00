import os
import re
from html import unescape
from html.parser import HTMLParser
from unittest.mock import ANY

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from rhohat import (
    Checkpoint,
    DenoisingAutoencoder,
    FeedforwardClassifier,
    PatchNormalizer,
    SoftmaxRegression,
    SparseAutoencoder,
    StackedAutoencoder,
    StackedAutoencoderClassifier,
    open_rows,
)
from rhohat.inspection.metrics import ReconstructionStatistics, default_threshold
from rhohat.inspection.reporting import report
from rhohat.inspection.reporting.rendering import unbroken
from tests.inspection.reporting.pages import figures_of, image_of, pixels_of, record_of

HOSTILE = ["</script><img src=x onerror=alert(1)>", "a \"b\" 'c' &amp; <b>", "größe\u2028ρ̂", "plain", "{{ 7 * 7 }}"]


def fitted(X, n_components=5, **parameters):
    defaults = {"sparsity": 0.2, "sparsity_weight": 0.3, "max_iter": 1000, "tol": 1e-2, "random_state": 0}
    return SparseAutoencoder(n_components=n_components, **{**defaults, **parameters}).fit(X)


class _Elements(HTMLParser):
    """All start tags of a page, and the text outside scripts and styles."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.open = [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "link", "img", "input", "br", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> ends nothing"
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))


def test_the_representation_of_a_page_is_short(tmp_path):
    X = np.random.default_rng(0).random((30, 4))
    model = SparseAutoencoder(n_components=2, max_iter=100, tol=1e-1, random_state=0).fit(X)
    page = report(model, X, tmp_path / "page.html")
    assert repr(page) == f"<page of {len(page):,} characters, written to {tmp_path / 'page.html'}>"
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page
    assert repr(report(model, X)).endswith(" characters>")


def test_every_element_that_begins_also_ends(rng):
    X = rng.random((80, 16))
    for shape in (None, (4, 4)):
        assert _Elements(report(fitted(X), X, image_shape=shape)).open == []


def test_the_page_needs_nothing_but_itself(rng):
    X = rng.random((80, 16))
    page = report(fitted(X), X)
    elements = _Elements(page)
    for _, attributes in elements.tags:
        for name in ("src", "href"):
            assert attributes.get(name, "#").startswith(("#", "data:"))
        assert not any(name.startswith("on") or name == "style" for name in attributes)
    (policy,) = [a["content"] for _, a in elements.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy


def test_pictures_and_top_rows_are_those_of_the_model(rng):
    X = rng.random((300, 20))
    autoencoder = fitted(X)
    page = report(autoencoder, X.reshape(300, 4, 5))
    record = record_of(page)
    codes = autoencoder.transform(X)
    assert record["image"] == {"height": 4, "width": 5}
    low, high = np.quantile(X[np.arange(256) * 300 // 256], [0.005, 0.995])
    for unit in range(5):
        best = np.argsort(-codes[:, unit], kind="stable")[:12]
        places = record["top"]["places"][unit]
        assert [record["rows"]["numbers"][place] for place in places] == best.tolist()
        np.testing.assert_allclose(record["top"]["activations"][unit], codes[best, unit], rtol=1e-3)
        for row, place in zip(best, places, strict=True):
            expected = np.rint(255 * np.clip((X[row] - low) / (high - low), 0, 1)).reshape(4, 5)
            np.testing.assert_array_equal(image_of(record["rows"], place, 4, 5), expected)
        unit_input = autoencoder.maximal_inputs()[unit]
        expected = np.rint(255 * (0.5 + 0.5 * unit_input / np.abs(unit_input).max())).reshape(4, 5)
        np.testing.assert_array_equal(image_of(record["inputs"], unit, 4, 5), expected)


def test_names_of_rows_stand_beside_their_numbers(rng):
    X = rng.random((100, 16))
    labels = [f"<b>name\n{number}" for number in range(100)]
    for shape in ((4, 4), None):
        page = report(fitted(X), X, image_shape=shape, row_names=labels)
        rows = record_of(page)["rows"]
        assert rows["labels"] == [f"<b>name {number}" for number in rows["numbers"]]
        assert "<b>name" not in page
    assert "labels" not in record_of(report(fitted(X), X))["rows"]
    with pytest.raises(ValueError, match="one string for each of the 100 rows; got 99"):
        report(fitted(X), X, row_names=labels[1:])


def test_figures_and_measures_are_those_of_the_model(rng):
    X = rng.random((300, 16))
    autoencoder = fitted(X)
    page = report(autoencoder, X, threshold=0.25)
    record, figures = record_of(page), figures_of(page)
    codes = autoencoder.transform(X)
    by_key = {measure["key"]: measure["values"] for measure in record["measures"]}
    np.testing.assert_allclose(by_key["mean"], codes.mean(axis=0), rtol=1e-3)
    np.testing.assert_allclose(by_key["frequency"], (codes > 0.25).mean(axis=0), rtol=1e-3)
    np.testing.assert_allclose(by_key["largest"], codes.max(axis=0), rtol=1e-3)
    np.testing.assert_allclose(by_key["norm"], np.linalg.norm(autoencoder.components_, axis=1), rtol=1e-3)
    assert len(by_key["gabor"]) == 5
    assert figures["L0"] == pytest.approx((codes > 0.25).sum(axis=1).mean(), rel=1e-3)
    assert figures["explained variance"] == pytest.approx(autoencoder.score(X), rel=1e-3)
    assert record["threshold"] == "0.25"
    assert "above 0.25" in page


def test_dead_units_are_named_and_counted(rng):
    X = rng.random((100, 16))
    autoencoder = fitted(X, activation="relu", sparsity_weight=0.0)
    for unit in (1, 3):
        autoencoder.coefs_[0][:, unit], autoencoder.intercepts_[0][unit] = 0, -1
    page = report(autoencoder, X)
    codes = autoencoder.transform(X)
    dead = np.flatnonzero((codes <= 0).all(axis=0)).tolist()
    assert {1, 3} <= set(dead)
    assert record_of(page)["dead"] == dead
    assert figures_of(page)["dead units"] == len(dead)


def test_reconstructions_stand_beside_their_originals(rng):
    X = rng.random((50, 16))
    autoencoder = fitted(X)
    page = report(autoencoder, X, n_reconstructions=5)
    images = [attributes for tag, attributes in _Elements(page).tags if tag == "img"]
    shown = [int(image["alt"].removeprefix("Row ")) for image in images[::2]]
    assert [image["alt"] for image in images[1::2]] == [f"Reconstruction of row {row}" for row in shown]
    contrasts = X.std(axis=1)
    assert (shown[0], shown[-1]) == (contrasts.argmax(), contrasts.argmin())
    assert (np.diff(contrasts[shown]) < 0).all()
    low, high = np.quantile(X, [0.005, 0.995])
    for row, original, made in zip(shown, images[::2], images[1::2], strict=True):
        for picture, values in ((original, X[row]), (made, autoencoder.reconstruct(X[row : row + 1])[0])):
            expected = np.rint(255 * np.clip((values - low) / (high - low), 0, 1)).reshape(4, 4)
            np.testing.assert_array_equal(pixels_of(picture["src"]), expected)
    assert "<img" not in report(autoencoder, X, n_reconstructions=0)


@pytest.mark.parametrize("suffix", [".npy", ".csv"])
def test_a_file_gives_the_page_of_the_same_rows_in_memory(suffix, tmp_path, rng):
    X = rng.random((200, 16)).round(6)
    autoencoder = fitted(X)
    path = tmp_path / f"rows{suffix}"
    if suffix == ".npy":
        np.save(path, X)
    else:
        np.savetxt(path, X, delimiter=",", fmt="%.6f")
    assert record_of(report(autoencoder, path)) == record_of(report(autoencoder, X))


def test_a_row_source_stays_open_and_a_file_is_closed(tmp_path, rng):
    X = rng.random((60, 16))
    np.save(tmp_path / "rows.npy", X)
    with open_rows(tmp_path / "rows.npy") as rows:
        report(fitted(X), rows)
        np.testing.assert_array_equal(rows.read(0, 60), X)


def test_a_page_names_files_without_their_folders(tmp_path, rng):
    table = pd.DataFrame(rng.random((60, 5)), columns=list("abcde"))
    table.iloc[:2, 1] = np.nan
    folder = tmp_path / "jane" / "secret project"
    folder.mkdir(parents=True)
    table.to_csv(folder / "rows.csv", index=False)
    table.dropna().to_parquet(folder / "rows.parquet")
    np.savez(folder / "rows.npz", X=table.dropna().to_numpy())
    for name in ("rows.csv", "rows.parquet", "rows.npz"):
        with open_rows(folder / name, missing="drop" if name == "rows.csv" else "error") as rows:
            model = fitted(rows, 2, checkpoint=Checkpoint(folder / "states" / name))
            for data in (rows, rows[3:30]):
                for max_rows in (None, 7, 1):
                    page = report(model, data, max_rows=max_rows)
                    assert name in page
                    assert "jane" not in page
                    assert "secret" not in page


def test_one_is_in_the_singular_everywhere(rng):
    X = rng.random((40, 1))
    model = fitted(X, 1)
    model.n_iter_ = model.n_evaluations_ = 1
    page = report(model, X[:1], title="A model")
    text = re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", page, flags=re.DOTALL)
    assert re.findall(r"(?<![\d.,])1 (?!is\b)[a-z]+s\b", text) == []
    assert "the only row of" in text
    assert "1 feature," in text
    assert "1 iteration, 1 evaluation of J" in text
    text = report(fitted(X[:1], 1), X, max_rows=1)
    assert "1 row in memory" in text
    assert "1 of the 40 rows of" in text
    wide = rng.random((30, 17))
    assert "1 other is left out" in report(fitted(wide, 2), wide, image_shape=None)
    image = report(fitted(wide, 2), wide[:1], image_shape=(1, 17))
    assert "the only row of the array; an image of 1 × 17 pixels" in image


def test_one_row_that_is_left_out_is_in_the_singular(tmp_path, rng):
    table = pd.DataFrame(rng.random((60, 5)), columns=list("abcde"))
    table.iloc[7, 1] = np.nan
    table.to_csv(tmp_path / "holes.csv", index=False)
    with open_rows(tmp_path / "holes.csv", missing="drop") as rows:
        assert "1 of the 60 rows of holes.csv has missing values and is left out." in report(fitted(rows, 2), rows)


def constant_units(estimator, units):
    """Let units of the first layer give one activation for every row, but for rounding."""
    estimator.coefs_[0][:, units] *= 1e-9
    return estimator


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_units_that_do_not_vary_are_counted_and_named(dtype, rng):
    X = rng.random((100, 16)).astype(dtype)
    autoencoder = constant_units(fitted(X), [1, 3])
    page = report(autoencoder, X)
    codes = autoencoder.transform(X).astype(np.float64)
    assert np.flatnonzero(np.ptp(codes, axis=0) <= 1e-3 * codes.mean(axis=0)).tolist() == [1, 3]
    assert figures_of(page)["constant units"] == 2
    dead = (codes[:, [1, 3]].max(axis=0) <= 0.1).sum()
    said = {0: "None of them is dead.", 1: "1 of them is dead as well.", 2: "All of them are dead as well."}
    assert said[dead] in page
    assert record_of(page)["constant"] == [1, 3]
    assert 'class="remarks"' not in page


def test_a_model_of_which_no_unit_varies_is_remarked_on_near_the_top(rng):
    X = rng.random((100, 16))
    page = report(constant_units(fitted(X), slice(None)), X)
    (remark,) = re.findall(r'<ul class="remarks"[^>]*>\s*<li>(.*?)</li>\s*</ul>', page, re.DOTALL)
    assert remark.startswith(
        "All units give the same activation for every row: the model has learned nothing but the means of the features."
    )
    assert "smaller weight_decay, a smaller sparsity_weight" in remark
    assert page.index('class="remarks"') < page.index('id="figures-heading"')
    labels = np.arange(100) % 2
    classifier = FeedforwardClassifier(hidden_layer_sizes=(3,), max_iter=200, tol=1e-2, random_state=0).fit(X, labels)
    page = report(constant_units(classifier, slice(None)), X)
    assert (
        "All units give the same activation for every row: what the model predicts does not depend on the row" in page
    )


def test_rows_that_are_all_the_same_say_nothing_about_a_model(rng):
    X = rng.random((100, 16))
    autoencoder = fitted(X)
    for rows in (X[:1], np.repeat(X[:1], 5, axis=0)):
        assert 'class="remarks"' not in report(autoencoder, rows)


def test_units_that_have_no_place_on_the_chart_are_told_in_words(rng):
    X = rng.random((100, 16))
    autoencoder = fitted(X, 6)
    assert "lower edge" not in report(autoencoder, X)
    autoencoder.intercepts_[0][:3] = -60.0, -40.0, -4.5
    page = report(autoencoder, X)
    (chart,) = re.findall(r"<figure>(?:(?!<figure>).)*Mean activation ρ̂ of each unit.*?</figure>", page, re.DOTALL)
    means = autoencoder.transform(X).mean(axis=0)
    smallest = np.sort(means)[2]
    assert means.max() / smallest > 20
    texts = re.findall(r"2 units far below the others, below ([\d.]+), are drawn at the lower edge\.", chart)
    assert [float(text) for text in texts] == pytest.approx([smallest] * 2, rel=1e-3)  # to be seen, and to be heard


def test_numbers_in_sentences_are_not_broken_at_their_signs_or_points():
    assert str(unbroken("<b> 1.4e-04 or -2e-5, e-mail, 17, x=0.25.")) == (
        '&lt;b&gt; <span class="whole">1.4e-04</span> or <span class="whole">-2e-5</span>, e-mail, 17,'
        ' x=<span class="whole">0.25</span>.'
    )


def test_some_of_the_rows_are_spread_over_all(rng):
    X = rng.random((1000, 16))
    page = report(fitted(X), X, max_rows=100)
    assert "100 rows, spread evenly over the 1,000 rows" in page
    numbers = record_of(page)["rows"]["numbers"]
    assert min(numbers) < 100
    assert max(numbers) > 900
    assert np.sum(record_of(page)["histogram"]["counts"]) == 5 * 100


@pytest.mark.parametrize("n_units", [1, 2])
@pytest.mark.parametrize("n_rows", [1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_few_units_and_few_rows_are_enough(n_units, n_rows, dtype, rng):
    X = rng.random((40, 16)).astype(dtype)
    record = record_of(report(fitted(X, n_units), X[:n_rows]))
    assert len(record["similar"]["units"][0]) == n_units - 1
    assert [len(places) for places in record["top"]["places"]] == [n_rows] * n_units


@pytest.mark.parametrize("size", [5e-324, 1e-310, 1e-200, 1e77, 1e155, 1.7e308])
@pytest.mark.parametrize("shape", ["auto", None])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_numbers_of_any_size_are_drawn(size, shape, rng):
    """Nothing overflows, which would be a warning, and nothing is drawn that is no number."""
    X = (2 * rng.random((30, 16)) - 1) * size
    page = report(fitted(X, max_iter=3), X, image_shape=shape)
    record = record_of(page)
    assert np.sum(record["histogram"]["counts"]) == 5 * 30
    assert "NaN" not in page


def test_tables_are_shown_by_their_features(rng):
    names = ["height", "width", "depth", "weight"]
    table = pd.DataFrame(rng.random((90, 4)), columns=names)
    autoencoder = fitted(table, 3)
    page = report(autoencoder, table)
    record = record_of(page)
    assert record["features"] == names
    assert "image" not in record
    codes = autoencoder.transform(table)
    inputs = autoencoder.maximal_inputs()
    for unit in range(3):
        strongest = np.argsort(-np.abs(inputs[unit]))
        assert record["bars"]["features"][unit] == strongest.tolist()
        np.testing.assert_allclose(record["bars"]["weights"][unit], inputs[unit][strongest], rtol=1e-3)
        best = np.argsort(-codes[:, unit], kind="stable")[:12]
        expected = table.to_numpy()[best][:, strongest]
        np.testing.assert_allclose(record["top"]["values"][unit], expected, rtol=1e-3)
    for name in names:
        assert re.search(rf'<th scope="row">{name}</th>', page)


def test_wide_tables_show_the_strongest_features_and_those_missed_most(rng):
    X = rng.random((60, 300))
    autoencoder = fitted(X, 2)
    page = report(autoencoder, X, image_shape=None, n_reconstructions=1)
    assert np.shape(record_of(page)["bars"]["features"]) == (2, 200)
    made = autoencoder.reconstruct(X[:1])[0]
    missed = np.abs(X[0] - made) / np.ptp(X, axis=0)
    expected = np.sort(np.argsort(-missed)[:16])
    shown = [int(number) for number in re.findall(r'<th scope="row">feature (\d+)</th>', page)]
    assert shown == expected.tolist()
    assert "284 others are left out" in page


def test_what_is_shown_is_what_the_network_sees(rng):
    patches = 50 + 10 * rng.normal(size=(200, 8, 8))
    X = patches.reshape(200, 64)
    model = make_pipeline(
        PatchNormalizer(), SparseAutoencoder(n_components=4, sparsity=0.2, tol=1e-2, max_iter=1000, random_state=0)
    ).fit(X)
    page = report(model, patches)
    record = record_of(page)
    seen = model[0].transform(X)
    codes = model[-1].transform(seen)
    assert record["image"] == {"height": 8, "width": 8}
    best = [record["rows"]["numbers"][places[0]] for places in record["top"]["places"]]
    assert best == codes.argmax(axis=0).tolist()
    statistics = ReconstructionStatistics()
    statistics.update(seen, model[-1].reconstruct(seen))
    assert figures_of(page)["explained variance"] == pytest.approx(statistics.explained_variance, rel=1e-3)
    assert "as the network sees them: after PatchNormalizer" in page


def test_what_a_pca_makes_of_images_is_no_image(rng):
    X = rng.random((100, 36))
    parameters = {"n_components": 3, "sparsity": 0.2, "tol": 1e-2, "max_iter": 1000, "random_state": 0}
    reduced = make_pipeline(PCA(16), SparseAutoencoder(**parameters)).fit(X)
    assert "image" not in record_of(report(reduced, X))
    same = make_pipeline(FunctionTransformer(np.sqrt), SparseAutoencoder(**parameters)).fit(X)
    assert record_of(report(same, X))["image"] == {"height": 6, "width": 6}


@pytest.mark.parametrize(
    ("row_shape", "asked", "expected"),
    [
        ((6, 6, 3), "auto", (6, 6)),
        ((108,), "auto", (6, 6)),
        ((4, 27), "auto", (4, 27)),
        ((6, 18, 1), "auto", (6, 18)),
        ((108,), (12, 9), (12, 9)),
        ((108,), (2, 18, 3), (2, 18)),
        ((3, 4, 9), "auto", (4, 9)),
        ((108,), (3, 4, 9), (4, 9)),
        ((1, 6, 18), "auto", (6, 18)),
        ((108,), (1, 6, 18), (6, 18)),
        ((6, 6, 4), "auto", None),
        ((4, 6, 6), "auto", None),
        ((2, 2, 6, 6), "auto", None),
        ((6, 6, 3), None, None),
        ((9,), "auto", None),
        ((20,), "auto", None),
        ((1, 25), "auto", (5, 5)),
    ],
)
def test_rows_are_drawn_in_their_shape_or_as_squares(row_shape, asked, expected, rng):
    X = rng.random((50, int(np.prod(row_shape))))
    record = record_of(report(fitted(X, 2), X.reshape(50, *row_shape), image_shape=asked))
    found = record.get("image")
    assert (found and (found["height"], found["width"])) == expected


def test_colour_stays_colour(rng):
    X = rng.random((50, 6, 6, 3))
    autoencoder = fitted(X.reshape(50, -1), 2)
    record = record_of(report(autoencoder, X))
    assert image_of(record["inputs"], 1, 6, 6).shape == (6, 6, 3)
    unit_input = autoencoder.maximal_inputs()[1]
    expected = np.rint(255 * (0.5 + 0.5 * unit_input / np.abs(unit_input).max())).reshape(6, 6, 3)
    np.testing.assert_array_equal(image_of(record["inputs"], 1, 6, 6), expected)


def test_colours_that_come_plane_by_plane_look_like_those_that_come_pixel_by_pixel(rng):
    images = rng.random((50, 5, 7, 3))
    planes = np.ascontiguousarray(images.transpose(0, 3, 1, 2))
    autoencoder = fitted(planes.reshape(50, -1), 2)
    for data, shape in ((planes, "auto"), (planes.reshape(50, -1), (3, 5, 7))):
        page = report(autoencoder, data, image_shape=shape)
        record = record_of(page)
        assert "images of 5 × 7 pixels in colour" in page
        assert 'width="7" height="5"' in page
        unit_input = autoencoder.maximal_inputs()[1].reshape(3, 5, 7).transpose(1, 2, 0)
        expected = np.rint(255 * (0.5 + 0.5 * unit_input / np.abs(unit_input).max()))
        np.testing.assert_array_equal(image_of(record["inputs"], 1, 5, 7), expected)
        low, high = np.quantile(planes, [0.005, 0.995])
        for place, number in enumerate(record["rows"]["numbers"]):
            row = np.rint(255 * np.clip((images[number] - low) / (high - low), 0, 1))
            np.testing.assert_array_equal(image_of(record["rows"], place, 5, 7), row)
        source, number = re.search(r'<img src="([^"]*)" width="7" height="5" alt="Row (\d+)">', page).groups()
        row = np.rint(255 * np.clip((images[int(number)] - low) / (high - low), 0, 1))
        np.testing.assert_array_equal(pixels_of(source), row)


def test_flat_rows_are_drawn_in_the_shape_of_those_of_the_fit(rng):
    images = rng.random((50, 3, 4, 9))
    with open_rows(images) as rows:
        autoencoder = fitted(rows, 2)
    flat = images.reshape(50, -1)
    assert record_of(report(autoencoder, flat))["image"] == {"height": 4, "width": 9}
    autoencoder.fit(flat)
    assert record_of(report(autoencoder, flat))["image"] == {"height": 6, "width": 6}


def test_rows_on_another_scale_than_those_of_the_fit_are_remarked_on_near_the_top(rng):
    X = rng.random((80, 16))
    autoencoder = fitted(X)
    assert 'class="remarks"' not in report(autoencoder, X)
    with pytest.warns(UserWarning, match="lie far outside of the range of the training rows") as warned:
        page = report(autoencoder, 255 * X)
    assert warned[0].filename == __file__
    (remarks,) = re.findall(r'<ul class="remarks"[^>]*>(.*?)</ul>', page, re.DOTALL)
    assert "Most of these rows lie far outside of the range of the training rows: these rows range from" in remarks
    assert page.index('class="remarks"') < page.index('id="figures-heading"')


@pytest.mark.parametrize("shape", [None, (4, 4)])
@pytest.mark.parametrize("scaled", [False, True])
def test_a_part_of_the_rows_is_named_and_its_rows_have_their_numbers(shape, scaled, rng, tmp_path):
    X = rng.random((80, 16))
    np.save(tmp_path / "rows.npy", X)
    model = make_pipeline(StandardScaler(), fitted(StandardScaler().fit_transform(X))) if scaled else fitted(X)
    if scaled:
        model[0].fit(X)
    with open_rows(tmp_path / "rows.npy") as rows:
        page = report(model, rows[30:70], image_shape=shape)
        assert "all 40 rows of rows.npy[30:70];" in page
        assert "on rows.npy[30:70]</h1>" in page
        assert "all 80 rows of rows.npy;" in report(model, rows[:], image_shape=shape)
    numbers = record_of(page)["rows"]["numbers"]
    assert min(numbers) >= 30
    assert max(numbers) < 70
    codes = model.transform(X)[30:70]
    best = [numbers[places[0]] for places in record_of(page)["top"]["places"]]
    assert best == (30 + codes.argmax(axis=0)).tolist()
    shown = re.findall(r'alt="Row (\d+)"|<caption>Row (\d+) ', page)
    expected = 30 + np.argsort(-model[:-1].transform(X)[30:70].std(axis=1) if scaled else -X[30:70].std(axis=1))
    assert [int(one or other) for one, other in shown][:2] == ([30, 32] if shape is None else [expected[0], ANY])


def test_rows_that_were_left_out_are_told_and_the_others_keep_their_numbers(rng, tmp_path):
    table = pd.DataFrame(rng.random((60, 5)), columns=list("abcde"))
    table.iloc[:20, 1] = np.nan
    table.to_csv(tmp_path / "holes.csv", index=False)
    with open_rows(tmp_path / "holes.csv", missing="drop") as rows:
        page = report(fitted(rows, 2), rows)
    assert "20 of the 60 rows of" in page
    assert "have missing values and are left out" in page
    assert min(record_of(page)["rows"]["numbers"]) >= 20
    assert "<caption>Row 20 " in page


def test_images_on_a_cluster_keep_their_shape(rng):
    dask = pytest.importorskip("dask.array")
    with open_rows(dask.from_array(rng.random((60, 3, 4, 5)), chunks=(20, -1, -1, -1))) as rows:
        autoencoder = fitted(rows, 2)
        for data in (rows, rows[10:40], rows.computed_by(rows._compute_all), rows.persisted(lambda array: array)):
            assert record_of(report(autoencoder, data))["image"] == {"height": 4, "width": 5}


def test_supervised_models_show_their_last_hidden_layer_and_no_reconstructions(rng):
    X, y = rng.random((60, 16)), np.arange(60) % 3
    classifier = FeedforwardClassifier(hidden_layer_sizes=(6, 4), max_iter=2000, tol=1e-2, random_state=0).fit(X, y)
    page = report(classifier, X)
    assert record_of(page)["n"] == 4
    assert "explained variance" not in figures_of(page)
    assert 'id="reconstructions"' not in page


def test_units_of_the_output_are_named_after_the_classes(rng):
    X, y = rng.random((60, 16)), np.array(["cat", "dog", "</script>"])[np.arange(60) % 3]
    record = record_of(report(SoftmaxRegression(max_iter=2000, tol=1e-2, random_state=0).fit(X, y), X))
    assert record["labels"] == ["</script>", "cat", "dog"]


def test_a_stack_shows_the_fit_of_every_layer(rng):
    X, y = rng.random((80, 16)), np.arange(80) % 2
    layers = [
        SparseAutoencoder(n_components=6, sparsity=0.2, tol=1e-2, max_iter=1000),
        DenoisingAutoencoder(n_components=3, tol=1e-1, max_iter=1000),
    ]
    page = report(StackedAutoencoder(layers, random_state=0).fit(X), X)
    assert re.findall(r"<h3>J and its terms: ([^<]*)</h3>", page) == ["layer 0", "layer 1"]
    assert "16 → 6 → 3 → 6 → 16" in page
    page = report(StackedAutoencoderClassifier(layers, tol=1e-2, max_iter=2000, random_state=0).fit(X, y), X)
    assert re.findall(r"<h3>J and its terms: ([^<]*)</h3>", page) == [
        "layer 0",
        "layer 1",
        "softmax",
        "fine-tuning",
    ]


def test_the_target_is_that_of_the_layer_shown_as_an_activation_of_its_units(rng):
    X = rng.random((80, 16))
    assert "ρ = 0.2" in report(fitted(X), X)
    assert "ρ = −0.6" in report(fitted(X, activation="tanh"), X)
    assert "There is no target for the mean activation" in report(fitted(X, sparsity_weight=0.0), X)


def test_parameters_that_were_chosen_come_before_defaults(rng):
    X = rng.random((80, 16))
    page = report(fitted(X, sparsity=0.17), X)
    chosen, left = page.split("left at the default")
    assert re.search(r'<th scope="row">ρ, sparsity</th><td><span class="whole">0.17</span></td>', chosen)
    assert re.search(r'<th scope="row">warm_start</th><td>False</td>', left)


def test_the_weights_of_the_penalties_of_a_sparse_autoencoder_are_always_seen(rng):
    X = rng.random((80, 16))
    seen, left = report(fitted(X, sparsity=0.01, sparsity_weight=3.0), X).split("left at the default")
    for name, value in (("ρ, sparsity", "0.01"), ("β, sparsity_weight", "3.0"), ("λ, weight_decay", "0.0001")):
        assert re.search(rf'<th scope="row">{name}</th><td>(<span class="whole">)?{value}<', seen)
    assert "weight_decay" not in left
    seen, left = report(fitted(X, sparsity_weight=0), X).split("left at the default")
    assert '<th scope="row">weight_decay</th>' in left


def test_j_and_its_terms_are_told_in_numbers(rng):
    X = rng.random((80, 16))
    autoencoder = fitted(X)
    page = report(autoencoder, X)
    terms = {
        name.replace("_", " ").replace("kl", "KL"): values[-1] for name, values in autoencoder.terms_curve_.items()
    }
    legend = re.findall(r"</svg>([^<]*) <b>([^<]*)</b></li>", page)
    assert [name for name, _ in legend] == ["J", *terms]
    for (_, text), value in zip(legend, [autoencoder.loss_curve_[-1], *terms.values()], strict=True):
        assert float(text) == pytest.approx(value, rel=1e-3)


def test_names_from_outside_are_text_wherever_they_stand(tmp_path, rng):
    table = pd.DataFrame(rng.random((90, 5)), columns=HOSTILE)
    path = tmp_path / "<img src=x onerror=alert(2)>.csv"
    table.to_csv(path, index=False)
    autoencoder = fitted(table, 3)
    page = report(autoencoder, path, title=HOSTILE[0])
    elements = _Elements(page)
    assert elements.open == []
    assert not any(tag == "img" for tag, _ in elements.tags)
    assert sum(tag == "script" for tag, _ in elements.tags) == 2
    assert record_of(page)["features"] == HOSTILE
    shown = re.findall(r'<th scope="row"[^>]*>(.*?)</th><td class="track">', page)
    assert [unescape(name) for name in shown[:5]] == HOSTILE
    assert "<title>&lt;/script&gt;&lt;img src=x onerror=alert(1)&gt;</title>" in page
    assert page.split('id="record">')[1].split("</script>")[0].isascii()
    assert str(path.name) not in page


def test_the_page_is_written_whole_or_not_at_all(tmp_path, rng):
    X = rng.random((60, 16))
    autoencoder = fitted(X)
    path = tmp_path / "page.html"
    page = report(autoencoder, X, path)
    assert path.read_text("utf-8") == page
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]
    X[5, 5] = np.inf
    with pytest.raises(ValueError, match="NaN or infinity"):
        report(autoencoder, X, path)
    assert path.read_text("utf-8") == page
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_a_place_that_cannot_be_written_to_is_refused_before_work(tmp_path, rng):
    X = rng.random((60, 16))
    autoencoder = fitted(X)
    never_read = tmp_path / "there is no such file.npy"
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        report(autoencoder, never_read, tmp_path / "no" / "page.html")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="has files that are no pages of a report"):
        report(autoencoder, never_read, tmp_path)
    if os.geteuid() != 0:
        tmp_path.chmod(0o500)
        with pytest.raises(PermissionError):
            report(autoencoder, never_read, tmp_path / "page.html")
        tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_shape": "square"}, "image_shape must be 'auto', None, or a tuple"),
        (
            {"image_shape": (3, 5)},
            r"image_shape must be .*, and its product must be 16, the number of features; got \(3, 5\)",
        ),
        ({"max_rows": 0}, "max_rows must be an integer, at least 1, or None; got 0"),
        ({"max_rows": 2.5}, "max_rows must be"),
        ({"n_reconstructions": -1}, "n_reconstructions must be an integer, at least 0; got -1"),
        ({"n_reconstructions": None}, "n_reconstructions must be"),
        ({"threshold": np.nan}, "threshold must be a finite number"),
    ],
)
def test_parameters_out_of_range_are_refused(options, message, rng):
    X = rng.random((60, 16))
    with pytest.raises(ValueError, match=message):
        report(fitted(X, 2), X, **options)


def test_other_models_and_other_rows_are_refused(rng):
    X = rng.random((60, 16))
    with pytest.raises(ValueError, match="model must be an estimator of rhohat"):
        report(StandardScaler().fit(X), X)
    with pytest.raises(NotFittedError):
        report(SparseAutoencoder(), X)
    with pytest.raises(ValueError, match="fitted to rows of 16"):
        report(fitted(X, 2), X[:, :9])


def test_the_default_threshold_is_that_of_the_metrics(rng):
    X = rng.random((60, 16))
    autoencoder = fitted(X, 2, activation="tanh")
    threshold = default_threshold(autoencoder.network_.activations[0])
    assert float(record_of(report(autoencoder, X))["threshold"].replace("−", "-")) == pytest.approx(threshold)


def test_a_thousand_units_of_28_by_28_pixels_take_10_mb_at_most(rng):
    X = rng.random((13_000, 784), dtype=np.float32)  # noise, which does not pack: the largest page that there is
    autoencoder = SparseAutoencoder(n_components=1000, tol=1e6, max_iter=1, random_state=0).fit(X[:50])
    page = report(autoencoder, X)
    record = record_of(page)
    n_top = len(record["top"]["places"][0])
    assert 8_000_000 < len(page.encode()) <= 10_000_000
    assert 3 <= n_top < 12
    assert len(record["rows"]["numbers"]) == len(np.unique(record["top"]["places"]))


def test_what_was_to_be_predicted_shows_how_well_it_is(rng):
    X = rng.random((60, 5))
    labels = (X[:, 0] > 0.5).astype(int)
    classifier = FeedforwardClassifier(hidden_layer_sizes=(3,), max_iter=200, tol=1e-3, random_state=0).fit(X, labels)
    assert "accuracy" not in figures_of(report(classifier, X))
    assert figures_of(report(classifier, X, y=labels))["accuracy"] == pytest.approx(
        classifier.score(X, labels), abs=1e-3
    )
    with pytest.raises(ValueError, match="y must have one entry for each of the 60 rows; got 59"):
        report(classifier, X, y=labels[1:])


@pytest.mark.filterwarnings("ignore:.*iterations? (was|were) done:sklearn.exceptions.ConvergenceWarning")
def test_the_warm_up_is_drawn_and_explained(rng):
    X = rng.random((3000, 4))
    model = SparseAutoencoder(n_components=2, sparsity=0.2, max_iter=20, tol=1e-4, random_state=0).fit(X)
    n_before = sum(model.warm_up_evaluations_.values())
    assert n_before > 0
    page = report(model, X)
    assert f"J was computed on 1,000 rows only, with {n_before} evaluations" in page
    assert 'class="curve warm-up"' in page
    few = SparseAutoencoder(n_components=2, sparsity=0.2, max_iter=20, tol=1e-1, random_state=0).fit(X[:50])
    assert "warm-up" not in report(few, X).split("</style>")[-1]


def test_a_model_without_hidden_units_has_no_figures_of_units(rng):
    X = rng.random((90, 16))
    model = SoftmaxRegression(random_state=0).fit(X, np.arange(90) % 3)
    page = report(model, X, y=np.arange(90) % 3)
    figures = figures_of(page)
    assert "accuracy" in figures
    assert not {"L0", "dead units", "constant units", "mean activation", "Gabor R²"} & set(figures)
    assert "Mean activation ρ̂ of each" not in page
    assert "There are no hidden units: each unit is an output of the model, one for each class." in page
