import numpy as np
import pytest
from scipy import sparse

from rhohat.inspection.top_rows import SparseTopRows


@pytest.mark.parametrize("n_rows", [1, 7, 100])
def test_top_rows_of_sparse_codes_are_those_of_a_stable_sort(n_rows, rng):
    codes = rng.integers(1, 6, (100, 9)) * (rng.random((100, 9)) < np.linspace(0, 0.5, 9))  # with many ties
    top = SparseTopRows(9, 4)
    for first in range(0, 100, n_rows):
        top.update(sparse.csr_array(codes[first : first + n_rows].astype(np.float32)), first)
    for latent, column in enumerate(codes.T):
        best = np.argsort(-column, kind="stable")[:4]
        best = best[column[best] > 0]
        missing = 4 - len(best)
        assert top.rows[latent].tolist() == [*best, *[-1] * missing]
        assert top.activations[latent].tolist() == [*column[best], *[0] * missing]
    assert (top.rows[0] == -1).all()
