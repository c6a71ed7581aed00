"""Dictionaries in training that are small enough to be worked out by hand, and what is asserted of them."""

import numpy as np
import pytest

from tests.dictionaries.reference import Reference
from tests.tolerances import EXACT

IDENTITY = [[1.0, 0.0], [0.0, 1.0]]
TERMS = ("loss", "sparsity", "gate", "auxiliary")


def make(
    kind,
    W_enc=IDENTITY,
    W_dec=IDENTITY,
    b_enc=(0, 0),
    b_dec=(0, 0),
    *,
    threshold=None,
    r_mag=None,
    b_mag=None,
    **settings,
):
    own = {"threshold": threshold, "r_mag": r_mag, "b_mag": b_mag}
    parameters = {"W_enc": W_enc, "W_dec": W_dec, "b_enc": b_enc, "b_dec": b_dec}
    parameters |= {name: values for name, values in own.items() if values is not None}
    return Reference(kind, parameters, **settings)


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=EXACT, atol=EXACT)


def assert_terms(found, **expected):
    """All terms are as expected; those that are not named are 0."""
    assert found == pytest.approx(dict.fromkeys(TERMS, 0.0) | expected, rel=EXACT, abs=EXACT)


def assert_gradients(found, **expected):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=EXACT, atol=EXACT, err_msg=name)


def gated_case(**settings):
    """x̃ = π = (2, 1), π + b_enc = (1, −2): gate 0 alone is open. Magnitudes: (2 · 2 − 1, 1 + 0.5) = (3, 1.5)."""
    return make(
        "gated",
        W_dec=[[1, 0.5], [0, 1]],
        b_enc=[-1, -3],
        b_dec=[1, 0],
        r_mag=[np.log(2), 0],
        b_mag=[-1, 0.5],
        **settings,
    )
