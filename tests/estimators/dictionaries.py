"""Small dictionaries of each kind and rows for them, for the tests of dictionaries."""

import numpy as np

from rhohat import (
    Adam,
    BatchTopKAutoencoder,
    GatedAutoencoder,
    JumpReLUAutoencoder,
    L1Autoencoder,
    MatryoshkaAutoencoder,
    TopKAutoencoder,
)

__all__ = ["KINDS", "dictionary", "rows", "same"]

_L0 = 3
KINDS = {
    "topk": lambda n, **settings: TopKAutoencoder(n, min(_L0, n), **settings),
    "batch_topk": lambda n, **settings: BatchTopKAutoencoder(n, min(_L0, n), **settings),
    "matryoshka": lambda n, **settings: MatryoshkaAutoencoder(n, min(_L0, n), **settings),
    "l1": lambda n, **settings: L1Autoencoder(n, sparsity_weight=0.2, **settings),
    "gated": lambda n, **settings: GatedAutoencoder(n, sparsity_weight=0.2, **settings),
    "jumprelu": lambda n, **settings: JumpReLUAutoencoder(n, sparsity_weight=0.2, target_l0=None, **settings),
}


def dictionary(kind, n_components=16, batch_size=20, **settings):
    """Return an unfitted dictionary that is trained fast, on small batches, with latents that die and come back."""
    solver = Adam(learning_rate=0.01, batch_size=batch_size, schedule="trapezoid")
    how = {"solver": solver, "dead_after": 100, "max_iter": 3, "random_state": 0, **settings}
    return KINDS[kind](n_components, **how)


def rows(n_rows=240, n_features=6, dtype=np.float64):
    """Return rows that are sums of few directions, and noise."""
    draw = np.random.default_rng(5)
    codes = np.where(draw.random((n_rows, 20)) < 0.1, draw.random((n_rows, 20)), 0)
    made = 3 * codes @ draw.standard_normal((20, n_features)) + 0.1 * draw.standard_normal((n_rows, n_features)) + 0.5
    return made.astype(dtype)


def same(a, b, fvu=0.0):
    """Check that two fitted dictionaries have learned the same bits, on the same way.

    The fraction of unexplained variance may differ by `fvu`, relative, where the variance is that of other numbers.
    """
    for one, other in zip([*a.coefs_, *a.intercepts_], [*b.coefs_, *b.intercepts_], strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(a._state.theta, b._state.theta)
    np.testing.assert_array_equal(a.rows_since_fired_, b.rows_since_fired_)
    assert {**a.measures_curve_, "fvu": None} == {**b.measures_curve_, "fvu": None}
    np.testing.assert_allclose(a.measures_curve_["fvu"], b.measures_curve_["fvu"], rtol=fvu, atol=0)
    names = ("loss_curve_", "terms_curve_", "n_iter_", "n_steps_", "n_samples_fit_", "threshold_")
    for name in names:
        assert getattr(a, name) == getattr(b, name), name
