import numpy as np
import pytest
from scipy.stats import chisquare

from rhohat.data import sample_patches, whiten_image
from tests.tolerances import EXACT, FLOAT32


def every_patch(images, height, width):
    """All patches by plain loops, as bytes."""
    return {
        image[top : top + height, left : left + width].tobytes()
        for image in images
        for top in range(image.shape[0] - height + 1)
        for left in range(image.shape[1] - width + 1)
    }


@pytest.mark.parametrize(("cutoff", "exponent"), [(0.4, 4.0), (0.2, 2.0)])
@pytest.mark.parametrize(("k_y", "k_x"), [(0, 3), (5, 0), (4, 7), (2, -6)])
def test_a_wave_is_scaled_by_the_filter_at_its_frequency(k_y, k_x, cutoff, exponent):
    y, x = np.mgrid[:32, :40]
    wave = np.cos(2 * np.pi * (k_y * y / 32 + k_x * x / 40) + 0.3)
    f = np.hypot(k_y / 32, k_x / 40)
    expected = f * np.exp(-((f / cutoff) ** exponent)) * wave
    np.testing.assert_allclose(whiten_image(5 + wave, cutoff, exponent), expected, atol=1e-13)


@pytest.mark.parametrize(("dtype", "exponent"), [(np.float64, 1022), (np.float64, -1000), (np.float32, 126)])
def test_images_of_any_size_are_filtered_alike(dtype, exponent, rng):
    image = rng.uniform(-1, 1, (40, 33)).astype(dtype)
    expected = np.ldexp(whiten_image(image), exponent)
    np.testing.assert_array_equal(whiten_image(np.ldexp(image, exponent)), expected)


@pytest.mark.parametrize("boundary", ["periodic", "reflect"])
def test_the_mean_is_gone(boundary, rng):
    whitened = whiten_image(100 + rng.normal(size=(24, 36)), boundary=boundary)
    assert abs(whitened.mean()) < 1e-12
    assert whitened.std() > 0.1


@pytest.mark.parametrize("boundary", ["periodic", "reflect"])
@pytest.mark.parametrize("shape", [(16, 20), (15, 21), (1, 9)])
def test_channels_are_whitened_one_by_one(boundary, shape, rng):
    image = rng.random((*shape, 3))
    whitened = whiten_image(image, boundary=boundary)
    assert whitened.shape == image.shape
    for channel in range(3):
        alone = whiten_image(image[..., channel], boundary=boundary)
        np.testing.assert_allclose(whitened[..., channel], alone, rtol=EXACT, atol=1e-14)


def test_reflect_is_the_periodic_filter_of_the_mirrored_image(rng):
    image = rng.random((12, 18))
    mirrored = np.block([[image, image[:, ::-1]], [image[::-1], image[::-1, ::-1]]])
    np.testing.assert_allclose(whiten_image(image, boundary="reflect"), whiten_image(mirrored)[:12, :18], atol=1e-14)


def test_a_ramp_has_a_false_edge_at_the_border_only_if_periodic():
    ramp = np.tile(np.arange(64.0), (64, 1))
    periodic, reflect = (np.abs(whiten_image(ramp, boundary=boundary)) for boundary in ("periodic", "reflect"))
    assert periodic[:, 0].min() > 5 * reflect[:, 0].max()


def test_whitening_is_linear(rng):
    a, b = rng.random((2, 20, 20))
    np.testing.assert_allclose(whiten_image(2 * a - 3 * b), 2 * whiten_image(a) - 3 * whiten_image(b), atol=1e-13)


def test_whitening_keeps_float32_and_its_input(rng):
    image = rng.random((20, 30))
    single = image.astype(np.float32)
    before = single.copy()
    whitened = whiten_image(single, boundary="reflect")
    assert whitened.dtype == np.float32
    np.testing.assert_array_equal(single, before)
    np.testing.assert_allclose(whitened, whiten_image(image, boundary="reflect"), atol=FLOAT32)
    assert whiten_image(np.arange(12).reshape(3, 4)).dtype == np.float64


@pytest.mark.parametrize(
    ("image", "options", "message"),
    [
        (np.zeros(5), {}, r"image must have the shape \(height, width\)"),
        (np.zeros((2, 3, 4, 5)), {}, "image must have the shape"),
        (np.zeros((0, 5)), {}, "image must have the shape"),
        ([["a", "b"]], {}, "must hold real numbers"),
        (np.zeros((3, 3), dtype=complex), {}, "must hold real numbers"),
        ([[1.0, np.nan]], {}, "holds NaN or infinite values"),
        (np.eye(4), {"cutoff": 0}, "cutoff and exponent must be positive"),
        (np.eye(4), {"exponent": -1}, "cutoff and exponent must be positive"),
        (np.eye(4), {"boundary": "zero"}, "boundary must be one of"),
    ],
)
def test_what_cannot_be_whitened_is_refused(image, options, message):
    with pytest.raises(ValueError, match=message):
        whiten_image(image, **options)


@pytest.mark.parametrize("tail", [(), (1,), (3,)])
@pytest.mark.parametrize(("patch_size", "height", "width"), [(4, 4, 4), ((3, 5), 3, 5), ((1, 7), 1, 7)])
def test_every_patch_stands_somewhere_in_an_image(patch_size, height, width, tail, rng):
    images = [rng.random((*shape, *tail)) for shape in [(9, 14), (20, 7), (5, 8)]]
    patches = sample_patches(images, patch_size, n_patches=300, random_state=0)
    assert patches.shape == (300, height * width * (tail[0] if tail else 1))
    there = every_patch(images, height, width)
    assert all(patch.tobytes() in there for patch in patches)


def test_every_position_of_every_image_is_equally_likely():
    shapes = [(5, 6), (3, 3), (4, 8)]  # 12, 1 and 12 positions of 3×3 pixels
    images = [1000.0 * index + np.arange(np.prod(shape)).reshape(shape) for index, shape in enumerate(shapes)]
    corners = sample_patches(images, 3, n_patches=25_000, random_state=0)[:, 0]
    positions, counts = np.unique(corners, return_counts=True)
    assert len(positions) == 25
    assert chisquare(counts).pvalue > 1e-3


def test_the_same_seed_gives_the_same_patches(rng):
    images = [rng.random((30, 30))]
    first, again, other = (sample_patches(images, 5, 50, seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_patch_may_be_as_large_as_the_image(rng):
    image = rng.random((6, 9, 3))
    np.testing.assert_array_equal(sample_patches([image], (6, 9), 4), np.tile(image.ravel(), (4, 1)))


def test_one_grey_image_and_an_array_of_colour_images_may_stand_alone(rng):
    grey, stack = rng.random((10, 10)), rng.random((2, 10, 10, 3))
    np.testing.assert_array_equal(sample_patches(grey, 4, 9, 0), sample_patches([grey], 4, 9, 0))
    np.testing.assert_array_equal(sample_patches(stack, 4, 9, 0), sample_patches(list(stack), 4, 9, 0))


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        ((np.float32, np.float32), np.float32),
        ((np.float32, np.float64), np.float64),
        ((np.uint8, np.uint8), np.float64),
    ],
)
def test_patches_are_float32_where_all_images_are(dtypes, expected):
    assert sample_patches([np.ones((8, 8), dtype=dtype) for dtype in dtypes], 4, 5).dtype == expected


@pytest.mark.parametrize(
    ("images", "options", "message"),
    [
        ([np.eye(20), np.ones((7, 9))], {}, r"patch of 8×8 pixels does not fit into images\[1\], which has 7×9"),
        ([np.eye(20)], {"patch_size": (4, 21)}, "does not fit"),
        (np.zeros((20, 20, 3)), {}, r"could be one colour image.*\[image\].*list\(stack\).*moveaxis"),
        ([np.zeros((20, 20)), np.zeros((20, 20, 3))], {}, "all be grey, or all have the same number of channels"),
        ([np.eye(20), np.full((20, 20), np.nan)], {}, r"images\[1\] holds NaN"),
        ([], {}, "at least one image"),
        (["a.png"], {}, r"images\[0\] must have the shape"),
        (np.array([["a", "b"]]), {}, "must hold real numbers"),
        ([np.eye(20)], {"n_patches": 0}, "n_patches must be an integer >= 1"),
        ([np.eye(20)], {"n_patches": 10.0}, "n_patches must be an integer >= 1"),
        ([np.eye(20)], {"patch_size": 0}, "patch_size must be an integer >= 1"),
        ([np.eye(20)], {"patch_size": 8.0}, "patch_size must be an integer >= 1"),
        ([np.eye(20)], {"patch_size": (4, 4, 3)}, "patch_size must be an integer >= 1 or a pair"),
    ],
)
def test_what_has_no_patches_is_refused(images, options, message):
    with pytest.raises(ValueError, match=message):
        sample_patches(images, **options)
