"""Rows that are kept of each latent, beside sorting of all of them."""

import numpy as np
import pytest
from scipy import sparse

from rhohat.inspection import kept_rows
from rhohat.inspection.kept_rows import SparseSampledRows, SparseTopRows, SparseWeakestRows


def updated(kept, codes, n_rows, texts=None):
    for first in range(0, len(codes), n_rows):
        some = slice(first, first + n_rows)
        block = sparse.csr_array(codes[some].astype(np.float32))
        kept.update(block, first, None if texts is None else texts[some])
    return kept


@pytest.fixture
def codes(rng):
    return rng.integers(1, 6, (100, 9)) * (rng.random((100, 9)) < np.linspace(0, 0.5, 9))  # with many ties


@pytest.mark.parametrize("n_rows", [1, 7, 100])
@pytest.mark.parametrize("most_waiting", [0, 20, 10**6])
@pytest.mark.parametrize(("kind", "sign"), [(SparseTopRows, -1), (SparseWeakestRows, 1)])
def test_rows_of_sparse_codes_are_those_of_a_stable_sort(kind, sign, most_waiting, n_rows, codes, monkeypatch):
    monkeypatch.setattr(kept_rows, "_MOST_WAITING", most_waiting)
    kept = updated(kind(9, 4), codes, n_rows)
    for latent, column in enumerate(codes.T):
        best = np.argsort(sign * np.where(column > 0, column, sign * np.inf), kind="stable")
        best = best[column[best] > 0][:4]
        missing = 4 - len(best)
        assert kept.rows[latent].tolist() == [*best, *[-1] * missing]
        assert kept.activations[latent].tolist() == [*column[best], *[0] * missing]
    assert (kept.rows[0] == -1).all()


@pytest.mark.parametrize("n_rows", [1, 7, 100])
@pytest.mark.parametrize("most_waiting", [0, 20, 10**6])
def test_of_each_text_only_the_row_with_the_largest_activation_is_kept(most_waiting, n_rows, codes, monkeypatch):
    monkeypatch.setattr(kept_rows, "_MOST_WAITING", most_waiting)
    texts = np.arange(100) // 6
    kept = updated(SparseTopRows(9, 4), codes, n_rows, texts)
    for latent, column in enumerate(codes.T):
        best = {}
        for row in np.argsort(-column, kind="stable"):
            if column[row] > 0:
                best.setdefault(texts[row], row)
        rows = list(best.values())[:4]
        assert kept.rows[latent, : len(rows)].tolist() == rows
        assert (kept.rows[latent, len(rows) :] == -1).all()
        assert kept.texts[latent, : len(rows)].tolist() == [texts[row] for row in rows]


def test_rows_that_are_not_above_the_threshold_do_not_count(codes):
    kept = updated(SparseWeakestRows(9, 4, threshold=2.0), codes, 10)
    assert kept.activations[kept.rows >= 0].min() == 3


def test_a_sample_does_not_depend_on_blocks_and_is_drawn_evenly(rng):
    codes = np.ones((3000, 8)) * np.linspace(1, 2, 3000)[:, np.newaxis]
    one, other = (updated(SparseSampledRows(8, 200), codes, n_rows) for n_rows in (17, 3000))
    np.testing.assert_array_equal(one.rows, other.rows)
    assert all(len(set(rows)) == 200 for rows in one.rows.tolist())
    assert len({frozenset(rows) for rows in one.rows.tolist()}) == 8  # each latent has its own
    counts = np.histogram(one.rows, bins=6, range=(0, 3000))[0]  # 1,600 rows; the standard deviation is below 15
    assert counts.sum() == 1600
    assert np.abs(counts - 1600 / 6).max() < 75
