import numpy as np
import pytest
from scipy.io import savemat
from skimage.io import imsave

from rhohat.data import read_images
from tests.tolerances import EXACT


@pytest.fixture
def save(tmp_path):
    """A function that writes an array into the file of the given name and returns its path."""

    def write(name, array, **variables):
        path = tmp_path / name
        if path.suffix == ".npy":
            np.save(path, array, allow_pickle=True)
        elif path.suffix == ".mat":
            savemat(path, variables or {"IMAGES": array}, do_compression=True)
        else:
            imsave(path, array, check_contrast=False)
        return path

    return write


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.uint8])
def test_a_2d_array_is_one_image_with_its_values(save, dtype, rng):
    array = (100 * rng.random((5, 7))).astype(dtype)
    (image,) = read_images(save("a.npy", array))
    assert image.dtype == (np.float32 if dtype == np.float32 else np.float64)
    np.testing.assert_array_equal(image, array)


@pytest.mark.parametrize("suffix", [".npy", ".mat"])
@pytest.mark.parametrize(
    ("shape", "image_axis"), [((5, 7, 4), -1), ((4, 5, 7), 0), ((4, 5, 7, 3), 0), ((5, 7, 3, 4), -1), ((5, 4, 7), 1)]
)
def test_the_image_axis_counts_images(save, suffix, shape, image_axis, rng):
    array = rng.random(shape)
    images = read_images(save(f"a{suffix}", array), image_axis=image_axis)
    assert len(images) == 4
    for index, image in enumerate(images):
        np.testing.assert_array_equal(image, array.take(index, axis=image_axis))


def test_without_an_image_axis_the_array_is_one_image(save, rng):
    array = rng.random((5, 7, 3))
    (image,) = read_images(save("a.npy", array), image_axis=None)
    np.testing.assert_array_equal(image, array)


def test_the_only_array_of_a_mat_file_is_found_and_one_of_several_is_named(save, rng):
    a, b = rng.random((4, 4, 2)), rng.random((5, 5, 3))
    assert len(read_images(save("one.mat", a))) == 2
    several = save("several.mat", None, IMAGES=a, IMAGESr=b, note="text")
    np.testing.assert_array_equal(read_images(several, variable="IMAGESr")[2], b[:, :, 2])
    for wrong in (None, "other"):
        with pytest.raises(
            ValueError, match=r"holds IMAGES \(4, 4, 2\), IMAGESr \(5, 5, 3\), note \(1,\); name the array"
        ):
            read_images(several, variable=wrong)
    with pytest.raises(ValueError, match="must hold numbers"):
        read_images(several, variable="note")


@pytest.mark.parametrize(("dtype", "largest"), [(np.uint8, 255), (np.uint16, 65535)])
def test_a_grey_png_is_scaled_to_the_unit_interval(save, dtype, largest, rng):
    array = rng.integers(0, largest, (6, 9), dtype=dtype, endpoint=True)
    array[0, :2] = 0, largest
    (image,) = read_images(save("a.png", array))
    assert image.dtype == np.float64
    np.testing.assert_allclose(image, array / largest, rtol=EXACT)
    (colored,) = read_images(save("a.png", array), color=True)
    np.testing.assert_array_equal(colored, np.repeat(image[..., np.newaxis], 3, axis=2))


@pytest.mark.parametrize("name", ["a.gif", "a.bmp", "a.tif", "a.tiff", "a.pgm", "a.webp", "a.jpg"])
@pytest.mark.parametrize("color", [False, True])
def test_other_kinds_of_image_files_are_read(save, name, color):
    array = np.full((16, 24), 102, dtype=np.uint8)
    array[:, 8:16] = 204
    if name == "a.webp":
        array = np.repeat(array[..., np.newaxis], 3, axis=2)
    (image,) = read_images(save(name, array), color=color)
    assert image.shape == ((16, 24, 3) if color else (16, 24))
    for column, level in [(3, 0.4), (11, 0.8), (20, 0.4)]:
        np.testing.assert_allclose(image[4:12, column], level, atol=0.03)


def test_a_colour_png_is_read_in_colour_or_as_luminance(save, rng):
    array = rng.integers(0, 255, (6, 9, 3), dtype=np.uint8)
    path = save("a.PNG", array)
    np.testing.assert_allclose(read_images(path, color=True)[0], array / 255, rtol=EXACT)
    np.testing.assert_allclose(read_images(path)[0], array @ [0.2125, 0.7154, 0.0721] / 255, rtol=EXACT)


@pytest.mark.parametrize("n_colors", [1, 3])
def test_transparency_is_blended_with_white(save, n_colors, rng):
    array = rng.integers(0, 255, (6, 9, n_colors + 1), dtype=np.uint8)
    blended = 1 - (array[..., -1:] / 255) * (1 - array[..., :-1] / 255)
    (image,) = read_images(save("a.png", array), color=True)
    np.testing.assert_allclose(image, np.broadcast_to(blended, (6, 9, 3)), rtol=1e-9)


@pytest.mark.parametrize(("color", "tail"), [(False, ()), (True, (3,))])
def test_a_folder_is_read_in_the_order_of_names_without_other_files(save, tmp_path, color, tail):
    for name, level in [("b.png", 2), ("c.tif", 3), ("a.png", 1)]:
        save(name, np.full((4, level, 3), 51 * level, dtype=np.uint8))
    save("d.npy", np.zeros((4, 4)))
    (tmp_path / "a.txt").write_text("no image")
    images = read_images(str(tmp_path), color=color)
    assert [image.shape for image in images] == [(4, 1, *tail), (4, 2, *tail), (4, 3, *tail)]
    for level, image in enumerate(images, start=1):
        np.testing.assert_allclose(image, 0.2 * level, rtol=1e-9)


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file or folder .*nowhere\.npy"):
        read_images(tmp_path / "nowhere.npy")


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no image files; names must end in one of"):
        read_images(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.npy", "cannot be read|is empty"),
        ("a.mat", "cannot be read as a MATLAB file|is empty"),
        ("a.png", "cannot be read as an image"),
        ("a.tif", "cannot be read as an image"),
    ],
)
@pytest.mark.parametrize("fraction", [0, 0.01, 0.2, 0.6])
def test_a_truncated_file_is_refused(save, name, message, fraction, rng):
    path = save(name, rng.integers(0, 255, (40, 40), dtype=np.uint8))
    content = path.read_bytes()
    path.write_bytes(content[: int(fraction * len(content))])
    with pytest.raises(ValueError, match=rf"{name} ({message})"):
        read_images(path)


@pytest.mark.parametrize("n_bytes", range(20, 331, 15))
def test_a_mat_file_truncated_in_its_first_variable_is_refused(tmp_path, n_bytes):
    path = tmp_path / "a.mat"
    savemat(path, {"IMAGES": np.ones((9, 9))})
    path.write_bytes(path.read_bytes()[:n_bytes])
    with pytest.raises(ValueError, match="cannot be read as a MATLAB file"):
        read_images(path)


@pytest.mark.parametrize("name", ["a.npy", "a.mat", "a.png"])
def test_a_text_file_under_another_name_is_refused(tmp_path, name):
    (tmp_path / name).write_text("One morning, when Gregor Samsa woke from troubled dreams, " * 10)
    with pytest.raises(ValueError, match=rf"{name} (cannot be read as|is named like a NumPy file and does not begin)"):
        read_images(tmp_path / name)


def test_an_archive_under_the_name_of_an_array_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.eye(3))
    with pytest.raises(ValueError, match="is named like a NumPy file and holds zipped NumPy"):
        read_images((tmp_path / "a.npz").rename(tmp_path / "a.npy"))


@pytest.mark.parametrize(
    ("array", "options", "message"),
    [
        (np.array([[None, {}]], dtype=object), {}, "cannot be read as a NumPy array.*pickle"),
        (np.array([["a", "b"]]), {}, "must hold numbers"),
        (np.eye(3) * 1j, {}, "must hold numbers"),
        (np.zeros(9), {}, r"got an array of shape \(9,\)"),
        (np.zeros((2, 2, 2, 2, 2)), {}, r"got an array of shape \(2, 2, 2, 2, 2\)"),
        (np.zeros((0, 4)), {}, r"got an array of shape \(0, 4\)"),
        (np.zeros((2, 3, 4)), {"image_axis": 3}, "out of bounds"),
        (np.zeros((2, 3, 4, 3)), {"image_axis": None}, "no single image; give image_axis"),
    ],
)
def test_arrays_that_are_no_images_are_refused(save, array, options, message):
    with pytest.raises(ValueError, match=message):
        read_images(save("a.npy", array), **options)


def test_a_file_of_unknown_kind_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("1,2")
    with pytest.raises(
        ValueError, match=r"a\.csv holds no images: it is text, and arrays of images are read from \.npy"
    ):
        read_images(tmp_path / "a.csv")
