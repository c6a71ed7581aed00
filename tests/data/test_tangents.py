import numpy as np
import pytest
from scipy import ndimage
from sklearn.datasets import load_digits

from rhohat.data import image_tangents
from tests.tolerances import EXACT, FLOAT32

ALL = ["horizontal_shift", "vertical_shift", "rotation", "scaling", "thickening"]
WARPS = ALL[:4]
HEIGHT, WIDTH = 41, 51


def coordinates(height=HEIGHT, width=WIDTH):
    """x to the right and y down, from the centre."""
    return np.meshgrid(np.arange(width) - (width - 1) / 2, np.arange(height) - (height - 1) / 2)


def blob(x_0=0.0, y_0=0.0, sigma=5.0, scale=1.0, height=HEIGHT, width=WIDTH):
    x, y = coordinates(height, width)
    return scale * np.exp(-((x - x_0) ** 2 + (y - y_0) ** 2) / (2 * sigma**2))


def tangent(image, transformation, **options):
    return image_tangents(image.reshape(1, -1), image.shape, [transformation], **options).reshape(image.shape)


def warp(images, transformation, alpha, order=1):
    """The images transformed by alpha: every pixel looks up where it came from."""
    cos, sin = np.cos(alpha), np.sin(alpha)
    matrix, origin = {
        "horizontal_shift": (np.eye(2), (0, alpha)),
        "vertical_shift": (np.eye(2), (alpha, 0)),
        "rotation": (np.array([[cos, sin], [-sin, cos]]), (0, 0)),  # for (y, x), with y down: counterclockwise
        "scaling": (np.eye(2) / (1 + alpha), (0, 0)),
    }[transformation]
    centre = (np.array(images.shape[1:]) - 1) / 2
    offset = centre - matrix @ (centre + origin)
    return np.stack([ndimage.affine_transform(image, matrix, offset, order=order, mode="nearest") for image in images])


def cosine(a, b):
    return np.vdot(a, b) / np.sqrt(np.vdot(a, a) * np.vdot(b, b))


def test_the_shift_tangent_of_a_blob_is_its_derivative():
    x, y = coordinates()
    image = blob(3.0, -2.0)
    np.testing.assert_allclose(tangent(image, "horizontal_shift"), (x - 3) / 25 * image, atol=2e-3)
    np.testing.assert_allclose(tangent(image, "vertical_shift"), (y + 2) / 25 * image, atol=2e-3)


def test_tangents_of_a_quadratic_image_are_exact_inside():
    """Central differences make no error there: I = 2x² + xy − 3y² + x has I_x = 4x + y + 1 and I_y = x − 6y."""
    x, y = coordinates()
    image = 2 * x**2 + x * y - 3 * y**2 + x
    I_x, I_y = 4 * x + y + 1, x - 6 * y
    expected = [-I_x, -I_y, x * I_y - y * I_x, -x * I_x - y * I_y, np.hypot(I_x, I_y)]
    tangents = image_tangents(image.reshape(1, -1), image.shape).reshape(5, HEIGHT, WIDTH)
    inside = (slice(None), slice(1, -1), slice(1, -1))
    np.testing.assert_allclose(tangents[inside], np.stack(expected)[inside], rtol=EXACT, atol=1e-11)


def test_tangents_of_a_ramp_are_exact_up_to_the_border():
    x, y = coordinates()
    tangents = image_tangents((3 * x - 4 * y).reshape(1, -1), x.shape).reshape(5, HEIGHT, WIDTH)
    expected = [np.full(x.shape, -3.0), np.full(x.shape, 4.0), -4 * x - 3 * y, 4 * y - 3 * x, np.full(x.shape, 5.0)]
    np.testing.assert_allclose(tangents, expected, rtol=EXACT, atol=1e-11)


@pytest.mark.parametrize("size", [HEIGHT, HEIGHT + 1])
def test_turning_a_round_image_changes_nothing(size):
    image = blob(height=size, width=size)
    assert np.abs(tangent(image, "rotation")).max() < 0.01 * np.abs(tangent(image, "scaling")).max()


@pytest.mark.parametrize(
    ("transformation", "velocity"),
    [
        ("horizontal_shift", (1, 0)),  # to the right
        ("vertical_shift", (0, 1)),  # down
        ("rotation", (-4, -7)),  # what is right of the centre and above goes up and left: (y_0, −x_0)
        ("scaling", (7, -4)),
    ],
)
def test_the_centre_of_mass_moves_as_it_should(transformation, velocity):
    x, y = coordinates()
    x_0, y_0 = 7.0, -4.0
    image = blob(x_0, y_0, sigma=2.5)
    moved = tangent(image, transformation)
    mass = image.sum()
    speed = [((x - x_0) * moved).sum() / mass, ((y - y_0) * moved).sum() / mass]
    np.testing.assert_allclose(speed, velocity, atol=1e-6)


@pytest.mark.parametrize(
    ("transformation", "alpha"),
    [("horizontal_shift", 0.5), ("vertical_shift", -0.5), ("rotation", 0.05), ("scaling", 0.05)],
)
def test_the_image_plus_alpha_times_its_tangent_is_the_transformed_image(transformation, alpha):
    image = blob(7.0, -4.0)
    change = alpha * tangent(image, transformation)
    truth = warp(image[np.newaxis], transformation, alpha, order=3)[0] - image
    assert cosine(change, truth) > 0.99
    assert np.linalg.norm(change - truth) < 0.15 * np.linalg.norm(truth)


def test_thickening_lets_a_stroke_grow_by_alpha_on_either_side():
    """A disc with a soft edge at radius r becomes one of radius r + alpha; dilation by a disc does the same."""
    radius = np.hypot(*coordinates())
    disc, thicker = (1 / (1 + np.exp(radius - r)) for r in (10.0, 10.5))
    change = 0.5 * tangent(disc, "thickening")
    assert np.linalg.norm(change - (thicker - disc)) < 0.15 * np.linalg.norm(thicker - disc)
    dilated = ndimage.grey_dilation(disc, footprint=[[0, 1, 0], [1, 1, 1], [0, 1, 0]])
    assert cosine(change, dilated - disc) > 0.95


@pytest.mark.parametrize("transformation", WARPS)
def test_tangents_are_central_differences_of_warped_digits(transformation):
    digits = load_digits().images[:50]
    digits = np.pad(digits, ((0, 0), (2, 2), (2, 2)))  # so that nothing crosses the border
    step = 1e-7
    expected = (warp(digits, transformation, step) - warp(digits, transformation, -step)) / (2 * step)
    tangents = image_tangents(digits.reshape(50, -1), (12, 12), [transformation]).reshape(50, 12, 12)
    np.testing.assert_allclose(tangents, expected, atol=1e-4)


def test_shift_tangents_are_central_differences_of_shifts_by_one_pixel(rng):
    images = np.pad(rng.random((5, 7, 9)), ((0, 0), (2, 2), (2, 2)))
    tangents = image_tangents(images.reshape(5, -1), (11, 13), ALL[:2]).reshape(5, 2, 11, 13)
    for index, axis in [(0, 2), (1, 1)]:
        expected = (np.roll(images, 1, axis) - np.roll(images, -1, axis)) / 2
        np.testing.assert_allclose(tangents[:, index], expected, rtol=EXACT, atol=1e-14)


@pytest.mark.parametrize(("alpha", "better", "worse"), [(1, 0.0, 1.0), (2, 1.0, 0.0)])
def test_smoothing_suits_larger_shifts_of_digits(alpha, better, worse):
    digits = np.pad(load_digits().images[:200], ((0, 0), (2, 2), (2, 2)))
    shifted = warp(digits, "horizontal_shift", alpha)
    errors = []
    for smoothing in (better, worse):
        tangents = image_tangents(digits.reshape(200, -1), (12, 12), ["horizontal_shift"], smoothing)
        errors.append(np.linalg.norm(digits + alpha * tangents.reshape(digits.shape) - shifted))
    assert errors[0] < 0.9 * errors[1]


def test_smoothing_differentiates_the_blurred_image():
    image = blob(7.0, -4.0, sigma=3.0)
    blurred = blob(7.0, -4.0, sigma=5.0, scale=9 / 25)  # variances add up: 9 + 16
    for transformation in ALL:
        expected = tangent(blurred, transformation)
        smoothed = tangent(image, transformation, smoothing=4.0)
        np.testing.assert_allclose(smoothed, expected, atol=2e-3 * np.abs(expected).max())


@pytest.mark.parametrize("smoothing", [0.0, 0.9])
def test_rows_and_channels_are_taken_one_by_one(smoothing, rng):
    images = rng.random((4, 6, 9, 3))
    together = image_tangents(images.reshape(4, -1), (6, 9, 3), smoothing=smoothing)
    assert together.shape == (4, 5, 6 * 9 * 3)
    for row in range(4):
        for channel in range(3):
            alone = image_tangents(images[row, ..., channel].reshape(1, -1), (6, 9), smoothing=smoothing)
            np.testing.assert_allclose(together[row].reshape(5, -1, 3)[..., channel], alone[0], rtol=EXACT, atol=1e-13)


def test_transformations_come_in_the_order_asked_for(rng):
    X = rng.random((3, 30))
    everything = image_tangents(X, (5, 6))
    np.testing.assert_array_equal(everything, image_tangents(X, (5, 6), ALL))
    np.testing.assert_array_equal(image_tangents(X, (5, 6), ["scaling", "vertical_shift"]), everything[:, [3, 1]])


@pytest.mark.parametrize("smoothing", [0.0, 0.9])
def test_precision_is_kept_and_the_images_too(smoothing, rng):
    X = rng.random((3, 30))
    single = X.astype(np.float32)
    before = single.copy()
    tangents = image_tangents(single, (5, 6), smoothing=smoothing)
    assert tangents.dtype == np.float32
    np.testing.assert_array_equal(single, before)
    np.testing.assert_allclose(tangents, image_tangents(X, (5, 6), smoothing=smoothing), atol=FLOAT32)
    assert image_tangents(np.arange(12).reshape(1, 12), (3, 4)).dtype == np.float64
    assert image_tangents(np.empty((0, 12)), (3, 4)).shape == (0, 5, 12)


@pytest.mark.parametrize(
    ("X", "options", "message"),
    [
        (np.ones((2, 11)), {}, r"X must have the shape \(n_samples, 12\).*\(3, 4\); got \(2, 11\)"),
        (np.ones(12), {}, r"X must have the shape \(n_samples, 12\)"),
        (np.ones((2, 3, 4)), {}, "X must have the shape"),
        (np.full((2, 12), np.nan), {}, "X must hold finite real numbers"),
        ([["a"] * 12], {}, "X must hold finite real numbers"),
        (np.ones((2, 12)), {"image_shape": (12,)}, r"image_shape must be \(height, width\)"),
        (np.ones((2, 12)), {"image_shape": (1, 12)}, "at least 2"),
        (np.ones((2, 12)), {"image_shape": (3.0, 4.0)}, "integers"),
        (np.ones((2, 12)), {"image_shape": (3, 4, 0)}, "image_shape must be"),
        (
            np.ones((2, 12)),
            {"transformations": ["shear"]},
            r"one of \['horizontal_shift', .*'thickening'\]; got \['shear'\]",
        ),
        (np.ones((2, 12)), {"transformations": "rotation"}, "must be a sequence.*got 'rotation'"),
        (np.ones((2, 12)), {"transformations": []}, "at least one"),
        (np.ones((2, 12)), {"smoothing": -1.0}, "smoothing must be finite and at least 0"),
        (np.ones((2, 12)), {"smoothing": np.inf}, "smoothing must be finite"),
    ],
)
def test_what_has_no_tangents_is_refused(X, options, message):
    with pytest.raises(ValueError, match=message):
        image_tangents(X, **{"image_shape": (3, 4), **options})
