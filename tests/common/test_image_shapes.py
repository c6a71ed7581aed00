import numpy as np
import pytest

from rhohat.common.image_shapes import as_images, check_image_shape, image_size, is_image_shape, square_image_shape


@pytest.mark.parametrize(("height", "width"), [(1, 1), (4, 6), (3, 5), (5, 1)])
def test_planes_and_pixels_of_one_picture_are_one_picture(height, width, rng):
    images = rng.random((7, height, width, 3))
    for shape, axes in (((height, width, 3), (0, 1, 2, 3)), ((3, height, width), (0, 3, 1, 2))):
        np.testing.assert_array_equal(as_images(images.transpose(axes).reshape(7, -1), shape), images)
        assert image_size(shape) == (height, width)


def test_grey_pictures_have_no_axis_of_colours(rng):
    rows = rng.random((7, 12))
    np.testing.assert_array_equal(as_images(rows, (3, 4)), rows.reshape(7, 3, 4))
    assert image_size((3, 4)) == (3, 4)


def test_colours_are_the_last_axis_where_both_ends_could_be(rng):
    rows = rng.random((2, 36))
    np.testing.assert_array_equal(as_images(rows, (3, 4, 3)), rows.reshape(2, 3, 4, 3))
    assert image_size((3, 4, 3)) == (3, 4)


@pytest.mark.parametrize(
    ("given", "shape"),
    [
        ((4, 6), (4, 6)),
        ((1, 6), (1, 6)),
        ((4, 6, 1), (4, 6)),
        ((1, 4, 6), (4, 6)),
        ((1, 4, 3), (1, 4, 3)),
        ((4, 6, 3), (4, 6, 3)),
        ([3, np.int64(4), 6], (3, 4, 6)),
    ],
)
def test_shapes_that_are_given_lose_the_axis_of_a_single_channel(given, shape):
    assert check_image_shape(given, int(np.prod(given))) == shape


@pytest.mark.parametrize("given", [(24,), (4, 5), (2, 6, 2), (4, 6, 1, 1), (-4, -6), (0, 24), ()])
def test_shapes_in_which_rows_cannot_be_drawn_are_refused(given):
    with pytest.raises(
        ValueError, match=r"image_shape must be .*, and its product must be 24, the number of features; got"
    ):
        check_image_shape(given, 24)


def test_what_can_be_drawn():
    assert all(map(is_image_shape, [(4, 6), (4, 6, 3), (3, 4, 6)]))
    assert not any(map(is_image_shape, [(24,), (4, 6, 4), (4, 6, 2), (3, 4, 6, 1)]))
    assert [square_image_shape(n) for n in (64, 192, 10)] == [(8, 8), (8, 8, 3), None]
