"""Contexts: where rows are in texts, and the activations of latents around them."""

from types import SimpleNamespace

import numpy as np
import pytest

from rhohat import Adam, TopKAutoencoder, open_rows
from rhohat.inspection.reporting.dictionaries import windows
from rhohat.inspection.reporting.dictionaries.contexts import IndexedTexts, TextsOfRows, TokensOfRows, open_contexts
from rhohat.inspection.reporting.dictionaries.measuring import measure_dictionary

N_BEFORE, N_AFTER = windows.N_BEFORE, windows.N_AFTER


class Index:
    """An index of harvested rows, of which some tokens have none, made by other means."""

    def __init__(self, lengths, rng):
        rows = [(text, at) for text, length in enumerate(lengths) for at in range(length) if rng.random() < 0.7]
        self._of_rows = np.array(rows)
        self._lengths = lengths
        self.n_rows = len(rows)

    def texts(self, rows):
        return self._of_rows[rows, 0]

    def positions(self, rows):
        return self._of_rows[rows, 1]

    def text(self, number):
        tokens = tuple(f" t{number}.{at}" for at in range(self._lengths[number]))
        positions = self._of_rows[self._of_rows[:, 0] == number, 1]
        return SimpleNamespace(name=f"file {number}", positions=positions, tokens=tokens)


@pytest.fixture
def index(rng):
    return Index([1, 60, 3, 80, 20, 40, 7, 90], rng)


@pytest.fixture
def fitted(index, rng):
    X = rng.normal(size=(index.n_rows, 6)).astype(np.float32)
    how = {"k": 3, "solver": Adam(batch_size=50, learning_rate=1e-2), "max_iter": 2, "random_state": 0}
    return TopKAutoencoder(20, **how).fit(X), X


def test_rows_are_found_in_their_texts():
    tokens = TokensOfRows([["a", "b"], [], ["c", " d", "e"]])
    texts, positions = tokens.locate(np.arange(5))
    assert tokens.n_rows == 5
    assert (texts.tolist(), positions.tolist()) == ([0, 0, 2, 2, 2], [0, 1, 0, 1, 2])
    assert list(tokens.tokens(0)) == ["a", " b"]  # words, between which spaces are missing
    assert list(tokens.tokens(2)) == ["c", " d", "e"]
    whole = TextsOfRows(["x", "y", "x"])
    assert whole.locate(np.arange(3))[0].tolist() == [0, 1, 0]
    assert list(whole.tokens(1)) == ["y"]


def test_a_row_of_a_whole_harvested_text_is_shown_with_all_of_it():
    text = SimpleNamespace(name="n", positions=[-1], tokens=("a", " b"))
    index = SimpleNamespace(n_rows=1, texts=lambda rows: rows, positions=lambda rows: rows * 0 - 1, text=lambda _: text)
    contexts = IndexedTexts(index)
    assert contexts.locate(np.array([0]))[1].tolist() == [0]
    assert contexts.tokens(0) == ["a b"]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ("abc", "texts must be a sequence of strings, one for each row, or a sequence of lists of tokens.*got str"),
        (3, "got int"),
        (["a", "b"], "must be about the 3 rows of .*, but are about 2"),
        ([["a"], ["b", "c", "d"]], "but are about 4"),
        ([["a"], "bc"], "item 1 is of another type: 'bc'"),
        ([["a"], [1, 2]], r"item 1 is of another type: \[1, 2\]"),
    ],
)
def test_texts_that_do_not_fit_the_rows_are_refused(texts, said):
    with pytest.raises(ValueError, match=said):
        open_contexts(texts, open_rows(np.zeros((3, 2))))


@pytest.mark.parametrize("are_kept", [True, False])
@pytest.mark.parametrize("at_once", [3, 50, 1000])
@pytest.mark.parametrize("max_rows", [None, 100])
def test_activations_around_rows_are_those_of_the_codes(max_rows, at_once, are_kept, index, fitted, monkeypatch):
    """Whether codes are kept or computed again, and whatever the blocks are, which cut windows."""
    if not are_kept:
        monkeypatch.setattr(windows, "_MOST_BYTES", 0)
    monkeypatch.setattr("rhohat.inspection.top_rows._BYTES_AT_ONCE", 24 * at_once)
    dictionary, X = fitted
    found = measure_dictionary(dictionary, open_rows(X), max_rows=max_rows, contexts=IndexedTexts(index))
    codes = dictionary.transform(X).toarray()
    codes[np.setdiff1d(np.arange(len(X)), found.rows)] = 0  # rows that are not measured
    every = np.arange(index.n_rows)
    texts, positions = index.texts(every), index.positions(every)
    start, n_found = 0, 0
    for (latent, place), row in np.ndenumerate(found.examples):
        stop = start + found.windows.counts[latent, place]
        if row >= 0:
            steps = positions - positions[row]
            near = (texts == texts[row]) & (steps >= -N_BEFORE) & (steps <= N_AFTER) & (codes[:, latent] > 0)
            assert found.windows.offsets[start:stop].tolist() == steps[near].tolist()
            np.testing.assert_allclose(found.windows.activations[start:stop], codes[near, latent], rtol=1e-5)
            n_found += stop - start > 1
        start = stop
    assert start == len(found.windows.offsets)
    assert n_found > 30


def test_no_two_examples_of_a_latent_are_of_the_same_text(index, fitted):
    dictionary, X = fitted
    found = measure_dictionary(dictionary, open_rows(X), contexts=IndexedTexts(index))
    of_texts = index.texts(np.arange(index.n_rows))
    for rows in found.examples:
        texts = of_texts[rows[rows >= 0]].tolist()
        assert len(texts) == len(set(texts))
