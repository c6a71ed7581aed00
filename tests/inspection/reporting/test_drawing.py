import io

import numpy as np
import pytest
from PIL import Image

from rhohat.inspection.reporting.drawing import in_sheets, pixels_about_0, pixels_between, png


@pytest.mark.parametrize("shape", [(1, 1), (5, 7), (300, 4), (6, 9, 3)])
def test_png_files_are_read_back_by_another_program(shape, rng):
    pixels = rng.integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png(pixels)))), pixels)


@pytest.mark.parametrize("shape", [(3, 5), (4, 2, 3), (900, 700), (2100, 1100)])
@pytest.mark.parametrize("n_images", [1, 7])
def test_every_image_is_found_in_the_sheets(n_images, shape, rng):
    images = rng.integers(0, 256, (n_images, *shape), dtype=np.uint8)
    sheets = in_sheets(images)
    height, width = shape[:2]
    for number, image in enumerate(images):
        file = sheets.files[number // sheets.per_sheet]
        sheet = np.asarray(Image.open(io.BytesIO(file)))
        row, column = divmod(number % sheets.per_sheet, sheets.columns)
        found = sheet[row * height : (row + 1) * height, column * width : (column + 1) * width]
        np.testing.assert_array_equal(found, image)


def test_many_images_are_in_several_sheets_of_moderate_size():
    sheets = in_sheets(np.zeros((6000, 28, 28), np.uint8))
    sizes = [Image.open(io.BytesIO(file)).size for file in sheets.files]
    assert len(sizes) > 1
    assert all(width <= 1024 and height <= 2048 for width, height in sizes)


def test_maximal_inputs_have_grey_for_0_and_their_own_largest_value_as_black_or_white():
    pixels = pixels_about_0(np.array([[0.0, 2.0, -1.0, 0.0], [0.0, 0.0, 0.0, -4.0], [0.0] * 4]), (2, 2))
    np.testing.assert_array_equal(pixels.reshape(3, 4), [[128, 255, 64, 128], [128, 128, 128, 0], [128] * 4])


@pytest.mark.parametrize("draw", [pixels_about_0, lambda rows, shape: pixels_between(rows, (0.0, 1.0), shape)])
def test_colours_that_come_plane_by_plane_look_like_those_that_come_pixel_by_pixel(draw, rng):
    images = rng.random((5, 4, 6, 3))
    planes = images.transpose(0, 3, 1, 2).reshape(5, -1)
    np.testing.assert_array_equal(draw(planes, (3, 4, 6)), draw(images.reshape(5, -1), (4, 6, 3)))


def test_rows_share_a_scale_and_are_clipped_to_it():
    pixels = pixels_between(np.array([[-1.0, 0.0, 0.5, 2.0]]), (0.0, 1.0), (1, 4))
    np.testing.assert_array_equal(pixels.ravel(), [0, 0, 128, 255])
    np.testing.assert_array_equal(pixels_between(np.ones((1, 4)), (1.0, 1.0), (2, 2)).ravel(), [0] * 4)
    largest = np.finfo(np.float64).max
    widest = pixels_between(largest * np.array([[-1.0, -0.5, 0.0, 1.0]]), (-largest, largest), (1, 4))
    np.testing.assert_array_equal(widest.ravel(), [0, 64, 128, 255])
