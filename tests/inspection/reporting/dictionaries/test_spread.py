"""Rows over the range of a latent's activations."""

import numpy as np
import pytest
from scipy import sparse

from rhohat.inspection.kept_rows import SparseSampledRows, SparseTopRows, SparseWeakestRows
from rhohat.inspection.reporting.dictionaries.spread import N_BANDS, N_SAMPLED, N_WEAKEST, PER_BAND, Spread


def spread_of(values):
    """The spread of a single latent with these activations."""
    kept = SparseTopRows(1, 12), SparseSampledRows(1, N_SAMPLED), SparseWeakestRows(1, N_WEAKEST)
    for one in kept:
        one.update(sparse.csr_array(values[:, np.newaxis]), 0)
    return Spread.of(*kept), *kept


def test_the_rows_of_quarters_are_from_strong_to_weak(rng):
    values = rng.permutation(np.arange(1.0, 2001))
    spread, top, sampled, _ = spread_of(values)
    left = np.sort(np.setdiff1d(sampled.activations[0], [*top.activations[0], 1, 2]))[::-1]
    bands = spread.activations[0, : N_BANDS * PER_BAND]
    expected = [left[len(left) * (2 * place + 1) // 16] for place in range(8)]
    assert bands.tolist() == expected
    assert (np.diff(bands) < 0).all()
    assert spread.activations[0, -N_WEAKEST:].tolist() == [1, 2]
    np.testing.assert_array_equal(values[spread.rows[0]], spread.activations[0])


@pytest.mark.parametrize("n_rows", range(31))
def test_rows_are_shown_once_and_of_few_rows_all(n_rows, rng):
    values = rng.permutation(np.arange(1.0, n_rows + 1)) if n_rows else np.zeros(1)
    spread, top, *_ = spread_of(values)
    shown = [row for row in [*top.rows[0], *spread.rows[0]] if row >= 0]
    assert len(shown) == len(set(shown)) == min(n_rows, 22)
    at_most = 12 + N_WEAKEST + N_BANDS * PER_BAND
    if n_rows <= at_most:
        assert set(shown) == set(range(n_rows))
    bands = spread.activations[0, :-N_WEAKEST]
    assert (np.diff(bands[bands > 0]) < 0).all()
