"""The page about a dictionary of texts: contexts beside what the texts and the codes say."""

import json

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rhohat import Adam, SparseAutoencoder, TopKAutoencoder, open_rows, report
from rhohat.inspection.reporting.dictionaries.windows import N_AFTER, N_BEFORE
from tests.inspection.reporting.pages import column_of, record_of

NO_ROW = 2**32 - 1
N_LATENTS, N_EXAMPLES = 24, 22


@pytest.fixture
def texts(rng):
    lengths = rng.integers(1, 60, 40)
    return [[f" w{rng.integers(0, 90)}" for _ in range(length)] for length in lengths]


@pytest.fixture
def rows(texts, rng):
    return rng.normal(size=(sum(map(len, texts)), 8)).astype(np.float32)


@pytest.fixture
def dictionary(rows):
    how = {"k": 3, "solver": Adam(batch_size=100, learning_rate=1e-2), "max_iter": 2, "random_state": 0}
    return TopKAutoencoder(N_LATENTS, **how).fit(rows)


def contexts_of(page):
    """For each latent its examples, as the script of the page has them: row, tokens, marked place, activations."""
    record = record_of(page)
    known = record["contexts"]
    columns = {name: column_of(page, name) for name in ("tokens", "passages", "contextRows", "contextPlaces")}
    rows = np.hstack([column_of(page, name).reshape(record["n"], -1) for name in ("rows", "spreadRows")])
    counts = column_of(page, "contextCounts").reshape(rows.shape)
    offsets, shares = column_of(page, "contextOffsets"), column_of(page, "contextShares")
    starts = np.cumsum([0, *counts.ravel()])
    found = []
    for latent in range(record["n"]):
        found.append([])
        for place in range(N_EXAMPLES):
            row, entry = rows[latent, place], latent * N_EXAMPLES + place
            if row == NO_ROW or counts[latent, place] == 0:
                continue
            at = int(columns["contextPlaces"][np.searchsorted(columns["contextRows"], row)])
            passage = np.searchsorted(columns["passages"], at, side="right") - 1
            first, last = columns["passages"][passage : passage + 2].tolist()
            start, stop = max(first, at - known["before"]), min(last, at + known["after"] + 1)
            tokens = [known["vocabulary"][number] for number in columns["tokens"][start:stop]]
            some = slice(starts[entry], starts[entry + 1])
            values = dict(zip((at - start + offsets[some]).tolist(), shares[some] / 65535, strict=True))
            found[-1].append((int(row), tokens, int(at - start), values))
    return found


def test_contexts_are_the_tokens_around_rows_with_the_activations_on_them(texts, rows, dictionary):
    page = report(dictionary, rows, image_shape=None, texts=texts)
    assert record_of(page)["contexts"]["leftOut"] == 0
    codes = dictionary.transform(rows).toarray()
    of_rows = [(text, place) for text, tokens in enumerate(texts) for place in range(len(tokens))]
    n_checked = 0
    for latent, examples in enumerate(contexts_of(page)):
        for row, tokens, marked, values in examples:
            text, position = of_rows[row]
            start = max(0, position - N_BEFORE)
            assert tokens == texts[text][start : position + N_AFTER + 1]
            assert marked == position - start
            expected = codes[row - marked : row - marked + len(tokens), latent] / codes[:, latent].max()
            found = [values.get(place, 0) for place in range(len(tokens))]
            np.testing.assert_allclose(found, expected, atol=1e-4)
            assert expected[marked] > 0
            n_checked += 1
    assert n_checked > 300
    assert column_of(page, "withRow") is None


def test_passages_know_where_they_begin_and_end_in_their_texts(texts, rows, dictionary):
    page = report(dictionary, rows[:1], image_shape=None, texts=[texts[0][:1]], n_reconstructions=0)
    assert column_of(page, "passageEdges").tolist() == [3]
    whole = report(dictionary, rows, image_shape=None, texts=[[f"t{n}" for n in range(len(rows))]], max_rows=20)
    first, edges = column_of(whole, "passageFirst"), column_of(whole, "passageEdges")
    assert (np.diff(first.astype(int)) > 0).all()
    assert ((edges & 1) == (first == 0)).all()
    stops = first + np.diff(column_of(whole, "passages"))
    assert ((edges & 2 > 0) == (stops == len(rows))).all()
    assert column_of(whole, "withRow").sum() <= 20  # the other rows were not measured
    assert 0 < column_of(whole, "withRow").sum() < len(column_of(whole, "tokens"))


def test_a_text_for_each_row_is_shown_whole(rows, dictionary):
    page = report(dictionary, rows, image_shape=None, texts=[f"text {number // 2}" for number in range(len(rows))])
    for examples in contexts_of(page):
        shown = [tokens for _, tokens, _, _ in examples]
        assert all(tokens == [f"text {row // 2}"] for row, tokens, _, _ in examples)
        assert len(shown) == len({tuple(tokens) for tokens in shown})  # equal texts are shown once


def test_contexts_are_left_out_where_the_page_would_be_too_large(texts, rows, dictionary, monkeypatch):
    from rhohat.inspection.reporting.dictionaries import DictionaryContent

    whole = report(dictionary, rows, image_shape=None, texts=texts)
    everything = contexts_of(whole)
    sizes = []
    for room in (len(whole) - 500, len(whole) - 4_000, len(whole) - 7_000):
        monkeypatch.setattr(DictionaryContent, "most_bytes", room)
        page = report(dictionary, rows, image_shape=None, texts=texts)
        left_out = record_of(page)["contexts"]["leftOut"]
        found = contexts_of(page)
        assert len(page) <= room
        assert left_out > 0
        assert all(set(map(str, some)) <= set(map(str, all_of)) for some, all_of in zip(found, everything, strict=True))
        assert all(
            some[:1] == all_of[:1] for some, all_of in zip(found, everything, strict=True)
        )  # the strongest stays
        sizes.append(sum(map(len, found)))
    assert sizes[0] > sizes[1] > sizes[2] > 0
    monkeypatch.setattr(DictionaryContent, "most_bytes", 10_000)
    assert record_of(report(dictionary, rows, image_shape=None, texts=texts))["contexts"] is None


def test_rows_that_were_left_out_do_not_shift_the_texts(texts, rows, dictionary, tmp_path):
    table = rows.copy()
    table[::7, 2] = np.nan
    np.savetxt(tmp_path / "rows.csv", table, delimiter=",")
    with open_rows(tmp_path / "rows.csv", missing="drop") as source:
        page = report(dictionary, source, image_shape=None, texts=texts)
    flat = [token for tokens in texts for token in tokens]
    for examples in contexts_of(page):
        for row, tokens, marked, values in examples:
            assert row % 7
            assert tokens[marked] == flat[row]
            assert all((row + place - marked) % 7 for place in values)
    assert 0 < column_of(page, "withRow").mean() < 1


def test_texts_stay_texts(rows, dictionary):
    hostile = "</script><script>alert(1)</script><!--"
    page = report(dictionary, rows, image_shape=None, texts=[hostile] * len(rows))
    assert page.count("alert(1)") == 1
    assert page.count("</script") == report(dictionary, rows, image_shape=None).count("</script") + 10
    assert record_of(page)["contexts"]["vocabulary"] == [hostile]
    assert json.dumps(hostile)[1:-1] not in page


def test_texts_for_a_network_and_texts_for_other_rows_are_refused_before_work(texts, rows, dictionary, tmp_path):
    network = SparseAutoencoder(n_components=2, random_state=0, max_iter=2, tol=1.0).fit(rows)
    with pytest.raises(ValueError, match="texts is for the page about a dictionary only"):
        report(network, rows, tmp_path / "page.html", texts=texts)
    with pytest.raises(ValueError, match="texts must be about the"):
        report(dictionary, rows, tmp_path / "page.html", texts=texts[1:])
    assert list(tmp_path.iterdir()) == []


def test_a_pipeline_shows_contexts_of_rows_as_its_dictionary_sees_them(texts, rows, dictionary):
    model = make_pipeline(StandardScaler(), dictionary).fit(rows)
    page = report(model, rows, image_shape=None, texts=texts)
    assert sum(map(len, contexts_of(page))) > 300
