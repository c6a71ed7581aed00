"""Pictures of rows from image files."""

import numpy as np
import pytest
from skimage.io import imsave

from rhohat import Adam, SparseAutoencoder, TopKAutoencoder, open_rows, report
from rhohat.inspection.reporting.dictionaries.row_pictures import RowPictures
from tests.inspection.reporting.pages import column_of, image_of, record_of

N_ROWS = 40


@pytest.fixture
def folder(tmp_path):
    """A folder with an image for each row, wide, high, large and small ones in turns, each in a colour of its own."""
    (tmp_path / "images").mkdir()
    for row in range(N_ROWS):
        shape = [(32, 128), (96, 24), (200, 200), (8, 8)][row % 4]
        colour = np.array([6 * row, 250 - 6 * row, 100], np.uint8)
        imsave(tmp_path / "images" / f"{row:03}.png", np.broadcast_to(colour, (*shape, 3)), check_contrast=False)
    return tmp_path / "images"


@pytest.fixture
def rows(rng):
    return rng.normal(size=(N_ROWS, 6)).astype(np.float32)


@pytest.fixture
def dictionary(rows):
    how = {"k": 2, "solver": Adam(batch_size=20, learning_rate=1e-2), "max_iter": 2, "random_state": 0}
    return TopKAutoencoder(8, **how).fit(rows)


def check(picture, row):
    height, width = [(16, 64), (64, 16), (64, 64), (64, 64)][row % 4]
    is_inside = np.zeros((64, 64), np.bool_)
    top, left = (64 - height) // 2, (64 - width) // 2
    is_inside[top : top + height, left : left + width] = True
    assert np.abs(picture[is_inside].astype(int) - [6 * row, 250 - 6 * row, 100]).max() <= 1
    assert (picture[~is_inside] == 255).all()


def test_pictures_keep_their_proportions_within_a_square(folder, rows):
    pixels = RowPictures(folder, open_rows(rows)).pixels_of(np.array([3, 0, 5, 2]))
    for picture, row in zip(pixels, (3, 0, 5, 2), strict=True):
        check(picture, row)


@pytest.mark.parametrize("as_list", [True, False])
def test_the_page_shows_the_picture_of_each_row(as_list, folder, rows, dictionary):
    images = sorted(folder.iterdir()) if as_list else str(folder)
    page = report(dictionary, rows, image_shape=None, images=images)
    record, pictured = record_of(page), column_of(page, "pictured")
    assert record["image"] == {"height": 64, "width": 64}
    assert "directions" not in record
    assert len(pictured) > 20
    for place in (0, len(pictured) - 1):
        check(image_of(record["pictures"], place, 64, 64), pictured[place])


def test_images_that_do_not_fit_the_rows_are_refused_before_work(folder, rows, dictionary, tmp_path):
    def refused(error, said, images, model=dictionary):
        with pytest.raises(error, match=said):
            report(model, rows, tmp_path / "page.html", image_shape=None, images=images)
        assert not (tmp_path / "page.html").exists()

    paths = sorted(folder.iterdir())
    refused(ValueError, "one image file for each of the 40 rows of .*; got 39 files", paths[1:])
    refused(ValueError, "a folder of image files, or a list of paths", [1] * N_ROWS)
    refused(FileNotFoundError, "there is no file", [tmp_path / "no.png"] * N_ROWS)
    refused(FileNotFoundError, "must be a folder", tmp_path / "no")
    network = SparseAutoencoder(n_components=2, random_state=0, max_iter=2, tol=1.0).fit(rows)
    refused(ValueError, "images is for the page about a dictionary only", folder, network)
    paths[7].write_bytes(b"no image")
    refused(ValueError, r"007\.png cannot be read as an image", folder)
