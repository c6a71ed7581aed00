import numpy as np
import pytest
from scipy.spatial.distance import cdist

from rhohat.inspection.metrics import encoder_decoder_cosine, largest_cosine, weights
from tests.tolerances import EXACT, FLOAT32


@pytest.fixture
def decoder(rng):
    decoder = rng.normal(size=(23, 6))
    decoder[4], decoder[20] = 0, 3 * decoder[11]
    return decoder


def largest_of_all(W):
    """From the array of all cosines."""
    with np.errstate(invalid="ignore"):
        cosine = np.nan_to_num(1 - cdist(W, W, "cosine"))
    np.fill_diagonal(cosine, -np.inf)
    return cosine.max(axis=1)


@pytest.mark.parametrize("at_once", [1, 23, 23 * 5, 10**6])
def test_each_row_has_its_largest_cosine_with_another_row(decoder, at_once, monkeypatch):
    monkeypatch.setattr(weights, "_COSINES_AT_ONCE", at_once)
    found = largest_cosine(decoder)
    np.testing.assert_allclose(found, largest_of_all(decoder), rtol=EXACT, atol=1e-14)
    np.testing.assert_allclose(found[[11, 20]], 1, rtol=EXACT)
    assert found.dtype == np.float64


def test_a_feature_and_its_opposite_are_not_the_same():
    np.testing.assert_allclose(largest_cosine([[1.0, 2.0], [-2.0, -4.0]]), -1)


def test_lengths_of_rows_do_not_matter_and_rows_of_zeros_have_cosine_0(decoder, rng):
    lengths = 10.0 ** rng.integers(-300, 300, size=(23, 1))
    np.testing.assert_allclose(largest_cosine(decoder * lengths), largest_of_all(decoder), rtol=EXACT, atol=1e-14)
    assert largest_cosine([[0.0, 0.0], [1.0, 1.0]]).tolist() == [0, 0]


def test_float32_weights_are_compared_in_float32(decoder):
    found = largest_cosine(decoder.astype(np.float32))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, largest_of_all(decoder), rtol=FLOAT32, atol=FLOAT32)
    assert found.max() <= 1


def test_encoders_are_compared_with_the_decoders_of_the_same_latents(decoder, rng):
    encoder = decoder + rng.normal(size=decoder.shape)
    expected = [a @ b / np.sqrt((a @ a) * (b @ b)) if b.any() else 0 for a, b in zip(encoder, decoder, strict=True)]
    np.testing.assert_allclose(encoder_decoder_cosine(encoder, decoder), expected, rtol=EXACT, atol=1e-15)
    np.testing.assert_allclose(encoder_decoder_cosine(1e200 * encoder, decoder), expected, rtol=EXACT, atol=1e-15)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: largest_cosine(np.ones((1, 3))), "W must have at least two rows.*got 1"),
        (lambda: largest_cosine(np.ones(3)), "W must be an array of numbers"),
        (lambda: largest_cosine([[np.nan, 1.0], [1.0, 1.0]]), "W contains NaN or infinity"),
        (lambda: encoder_decoder_cosine(np.ones((3, 2)), np.ones((2, 3))), r"same shape.*got \(3, 2\) and \(2, 3\)"),
        (lambda: encoder_decoder_cosine(np.ones((0, 2)), np.ones((0, 2))), "encoder must be an array of numbers"),
        (lambda: encoder_decoder_cosine(np.ones((1, 2)), [[1.0, np.inf]]), "decoder contains NaN or infinity"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
