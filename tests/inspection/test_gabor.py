import numpy as np
import pytest

from rhohat.inspection.gabor import gabor_fit


def gabor(height, width, x0, y0, angle, sigma_u, sigma_v, frequency, phase):
    y, x = np.mgrid[:height, :width].astype(float)
    x, y = x - (width - 1) / 2 - x0, y - (height - 1) / 2 - y0
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    envelope = np.exp(-(u**2) / (2 * sigma_u**2) - v**2 / (2 * sigma_v**2))
    return (envelope * np.cos(2 * np.pi * frequency * u + phase)).ravel()


def random_gabors(n, height, width, rng):
    """Gabor functions well inside the filter, with waves enough for their mean to be near 0."""
    size = min(height, width)
    return np.array(
        [
            gabor(
                height,
                width,
                *rng.uniform(-0.15, 0.15, 2) * (width, height),
                rng.uniform(0, np.pi),
                *rng.uniform(0.18, 0.3, 2) * size,
                rng.uniform(2, 3) / size,
                rng.uniform(0, 2 * np.pi),
            )
            for _ in range(n)
        ]
    )


@pytest.mark.parametrize(("height", "width"), [(8, 8), (12, 12), (8, 14)])
def test_gabor_functions_are_recovered(height, width, rng):
    r2 = gabor_fit(random_gabors(12, height, width, rng), (height, width))
    assert r2.shape == (12,)
    assert r2.min() > 0.99
    assert r2.max() <= 1


def test_the_phase_of_an_odd_gabor_does_not_matter():
    """Sines have mean 0, so the fit is perfect however low the frequency."""
    filters = [gabor(8, 8, 0, 0, angle, 1.8, 2.0, 0.1, np.pi / 2) for angle in (0, 0.4, 1.3, 2.5)]
    np.testing.assert_allclose(gabor_fit(filters, (8, 8)), 1, atol=1e-6)


def test_scale_sign_and_offset_do_not_matter(rng):
    w = random_gabors(1, 8, 8, rng)[0] + 0.1 * rng.normal(size=64)
    r2 = gabor_fit([w, -w, 1e6 * w, 1e-15 * w, w + 3], (8, 8))
    assert 0.5 < r2[0] < 0.999
    np.testing.assert_allclose(r2, r2[0], rtol=1e-5)


def test_noise_is_fitted_badly(rng):
    assert np.median(gabor_fit(rng.normal(size=(20, 64)), (8, 8))) < 0.5


@pytest.mark.parametrize("value", [0, 0.1, -1e9 / 7, 1e-20])
def test_a_constant_filter_has_no_gabor(value):
    np.testing.assert_array_equal(gabor_fit(np.full((2, 64), value), (8, 8)), 0)


def test_height_comes_before_width():
    w = gabor(6, 12, 2.0, 0.5, 0.3, 1.8, 1.5, 0.25, 1.0)
    assert gabor_fit([w], (6, 12))[0] > 0.99
    assert gabor_fit([w], (12, 6))[0] < 0.9


@pytest.mark.parametrize("shape", [(1, 6), (2, 3), (3, 3), (3, 9)])
def test_small_filters_are_fitted_too(shape, rng):
    r2 = gabor_fit(rng.normal(size=(3, shape[0] * shape[1])), shape)
    assert np.all((r2 > 0) & (r2 <= 1))


@pytest.mark.parametrize("exponent", [-600, 300, 600, 1000])
def test_the_fit_does_not_depend_on_the_size_of_filters(exponent, rng):
    filters = rng.normal(size=(2, 36))
    np.testing.assert_array_equal(gabor_fit(np.ldexp(filters, exponent), (6, 6)), gabor_fit(filters, (6, 6)))


def test_filters_are_left_as_they_are(rng):
    filters = rng.normal(size=(2, 64))
    before = filters.copy()
    gabor_fit(filters, (8, 8))
    np.testing.assert_array_equal(filters, before)


@pytest.mark.parametrize(
    ("filters", "shape"),
    [
        (np.ones(64), (8, 8)),
        (np.ones((2, 63)), (8, 8)),
        (np.full((1, 64), np.inf), (8, 8)),
        (np.ones((2, 8, 8)), (8, 8)),
    ],
)
def test_filters_that_do_not_fit_their_shape_are_refused(filters, shape):
    with pytest.raises(ValueError, match=r"filters must be an array of shape \(n_filters, 64\) for 8×8 pixels"):
        gabor_fit(filters, shape)
