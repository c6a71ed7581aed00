import gzip
import struct

import h5py
import numpy as np
import pytest
import zarr
from safetensors.numpy import save_file
from scipy.io import savemat
from skimage.io import imsave

from rhohat.data import read_images
from tests.data.matlab73 import save73
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
            ValueError, match=r"holds IMAGES \(4, 4, 2\), IMAGESr \(5, 5, 3\), note \(1,\); add the name of an array"
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
    with pytest.raises(
        ValueError, match=r"holds no image files; the names of image files end in \.bmp, \.gif, .*, \.tiff or \.webp\."
    ):
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
    with pytest.raises(ValueError, match=rf"{name} (cannot be read as|is named like a NumPy file, but does not begin)"):
        read_images(tmp_path / name)


def test_an_archive_under_the_name_of_an_array_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.eye(3))
    with pytest.raises(ValueError, match="is named like a NumPy file, but is a zipped NumPy file"):
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
        (
            np.zeros((2, 3, 4, 3)),
            {"image_axis": None},
            "not a single image. Pass the axis that counts the images as image_axis",
        ),
    ],
)
def test_arrays_that_are_no_images_are_refused(save, array, options, message):
    with pytest.raises(ValueError, match=message):
        read_images(save("a.npy", array), **options)


def test_a_file_of_unknown_kind_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("1,2")
    with pytest.raises(
        ValueError, match=r"a\.csv holds no images: it is a text file, but arrays of images are read from \.npy"
    ):
        read_images(tmp_path / "a.csv")


# Folders as people have them.

APPLE_DOUBLE = b"\0\x05\x16\x07\0\x02\0\0Mac OS X        " + bytes(40)
OF_SYSTEMS = ["._a.png", "._b.TIF", ".hidden.png", ".DS_Store", "Thumbs.db", "thumbs.db", "desktop.ini"]


def fill_as_systems_do(folder):
    for name in OF_SYSTEMS:
        (folder / name).write_bytes(APPLE_DOUBLE)
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "._a.png").write_bytes(APPLE_DOUBLE)


def test_what_a_system_put_into_a_folder_is_passed_over(save, tmp_path):
    for name, width in [("a.png", 1), ("B.JPG", 2), ("_DSC0001.Tiff", 3)]:
        save(name, np.zeros((9, width, 3), dtype=np.uint8))
    (tmp_path / "c.png").mkdir()
    fill_as_systems_do(tmp_path)
    assert sorted(image.shape[1] for image in read_images(tmp_path)) == [1, 2, 3]


def test_a_folder_of_what_systems_put_there_holds_no_images(tmp_path):
    fill_as_systems_do(tmp_path)
    with pytest.raises(ValueError, match="holds no image files"):
        read_images(tmp_path)


@pytest.fixture
def damaged(save, tmp_path):
    """A folder of two pictures and four files that are none."""
    for name in ("a.png", "z.png"):
        save(name, np.zeros((9, 7), dtype=np.uint8))
    save("cut.png", np.random.default_rng(0).integers(0, 255, (90, 70), dtype=np.uint8))
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:900])
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "lost.png").symlink_to(tmp_path / "none.png")
    save("several.gif", np.random.default_rng(0).integers(0, 255, (3, 9, 7), dtype=np.uint8))
    return tmp_path


@pytest.mark.parametrize("name", ["cut.png", "empty.jpg", "lost.png", "several.gif"])
def test_an_unreadable_picture_in_a_folder_is_named_with_the_remedy(name, damaged):
    for other in ("cut.png", "empty.jpg", "lost.png", "several.gif"):
        if other != name:
            (damaged / other).unlink()
    with pytest.raises(ValueError, match=rf"{name} cannot be read as an image: .*skip_unreadable=True"):
        read_images(damaged)


def test_unreadable_pictures_are_skipped_where_that_is_asked_for(damaged):
    with pytest.warns(
        UserWarning, match=r"4 of 6 image files were skipped: .*cut\.png.*empty\.jpg.*lost\.png.*several"
    ):
        images = read_images(damaged, skip_unreadable=True)
    assert [image.shape for image in images] == [(9, 7), (9, 7)]


def test_a_folder_without_a_readable_picture_is_refused(damaged):
    for name in ("a.png", "z.png"):
        (damaged / name).unlink()
    with pytest.raises(ValueError, match=r"no image file in the folder .* can be read: .*cut\.png"):
        read_images(damaged, skip_unreadable=True)


# Arrays in files of every kind.


def write_npz(path, X):
    np.savez(path / "a.npz", images=X, labels=np.arange(9))
    return f"{path / 'a.npz'}:/images"


def write_packed_npz(path, X):
    np.savez_compressed(path / "a.npz", images=X, labels=np.arange(9))
    return f"{path / 'a.npz'}:/images"


def write_hdf5(path, X):
    with h5py.File(path / "a.h5", "w") as file:
        file["train/images"], file["labels"] = X, np.arange(9)
    return f"{path / 'a.h5'}:/train/images"


def write_zarr(path, X):
    zarr.save_group(str(path / "a.zarr"), images=X, labels=np.arange(9))
    return f"{path / 'a.zarr'}:/images"


def write_safetensors(path, X):
    save_file({"images": X.copy(), "labels": np.arange(9)}, path / "a.safetensors")
    return f"{path / 'a.safetensors'}:/images"


def write_mat(path, X):
    savemat(path / "a.mat", {"images": X, "labels": np.arange(9)[:, np.newaxis]})
    return f"{path / 'a.mat'}:/images"


def write_mat73(path, X):
    return f"{save73(path / 'a.mat', {'images': X, 'labels': np.arange(9)[:, np.newaxis]})}:/images"


def write_mat73_as_h5(path, X):
    return f"{save73(path / 'a.h5', {'images': X, 'labels': np.arange(9)[:, np.newaxis]})}:/images"


def write_npy(path, X):
    np.save(path / "a.npy", X)
    return path / "a.npy"


def write_npy_in_fortran_order(path, X):
    return write_npy(path, np.asfortranarray(X))


WRITERS = [
    write_npy, write_npy_in_fortran_order, write_npz, write_packed_npz, write_hdf5, write_zarr, write_safetensors,
    write_mat, write_mat73, write_mat73_as_h5,
]  # fmt: skip


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((12, 16, 16), 0),
        ((16, 16, 12), -1),
        ((12, 16, 20, 3), 0),
        ((16, 20, 3, 12), -1),
        ((3, 16, 20, 3), 0),
        ((16, 20, 3, 4), -1),
        ((12, 16, 20, 1), 0),
        ((12, 16, 20, 4), 0),
        ((16, 20, 4, 12), -1),
    ],
)
def test_the_axis_that_counts_images_is_found_by_the_shape(write, shape, axis, rng, tmp_path):
    """As in MNIST, the course's IMAGES, CIFAR, SVHN."""
    X = rng.integers(0, 256, shape, dtype=np.uint8)
    name = write(tmp_path, X)
    images = read_images(name)
    assert len(images) == shape[axis]
    for index, image in enumerate(images):
        assert image.dtype == np.float64
        np.testing.assert_array_equal(image, X.take(index, axis=axis))


@pytest.mark.parametrize("write", [write_npy, write_hdf5, write_mat73])
def test_channels_that_come_first_are_moved_to_the_end(write, rng, tmp_path):
    X = rng.random((12, 3, 16, 20))
    path = write(tmp_path, X)
    for images in (read_images(path), read_images(path, image_axis=0)):
        np.testing.assert_array_equal(np.stack(images), np.moveaxis(X, 1, -1))


@pytest.mark.parametrize("write", WRITERS)
def test_the_only_array_of_images_need_not_be_named(write, rng, tmp_path):
    X = rng.random((12, 16, 20, 3)).astype(np.float32)
    path, _, _ = str(write(tmp_path, X)).rpartition(":/")
    images = read_images(path or tmp_path / "a.npy")
    assert images[0].dtype == np.float32
    np.testing.assert_array_equal(np.stack(images), X)


@pytest.mark.parametrize("write", [write_npy, write_npz, write_hdf5])
@pytest.mark.parametrize("shape", [(12, 16, 20), (16, 16, 16), (9, 10, 11, 12), (3, 16, 3, 3)])
def test_a_shape_that_leaves_a_choice_is_named(write, shape, tmp_path):
    message = rf"holds an array of shape \({', '.join(map(str, shape))}\), which does not tell .*image_axis=0 .*=-1"
    path = write(tmp_path, np.zeros(shape))
    with pytest.raises(ValueError, match=message):
        read_images(path)
    assert len(read_images(path, image_axis=0)) == shape[0]
    assert len(read_images(path, image_axis=-1)) == shape[-1]


@pytest.mark.parametrize("write", [write_mat, write_mat73, write_mat73_as_h5])
@pytest.mark.parametrize("shape", [(12, 16, 20), (16, 16, 16), (9, 10, 11, 12)])
def test_in_matlab_the_last_axis_counts_images_where_the_shape_leaves_a_choice(write, shape, rng, tmp_path):
    X = rng.random(shape)
    np.testing.assert_array_equal(np.stack(read_images(write(tmp_path, X)), axis=-1), X)


@pytest.mark.parametrize("packed", [False, True])
def test_in_idx_the_first_axis_counts_images(packed, rng, tmp_path):
    X = rng.integers(0, 256, (12, 16, 20), dtype=np.uint8)
    content = struct.pack(">BBBB3I", 0, 0, 8, 3, *X.shape) + X.tobytes()
    (tmp_path / "images-idx3-ubyte").write_bytes(gzip.compress(content) if packed else content)
    np.testing.assert_array_equal(np.stack(read_images(tmp_path / "images-idx3-ubyte")), X)


def test_a_single_picture_in_an_array_may_have_colours(rng, tmp_path):
    X = rng.random((16, 20, 3))
    path = write_npy(tmp_path, X)
    for (image,) in (read_images(path, color=True), read_images(path, image_axis=None)):
        np.testing.assert_array_equal(image, X)


@pytest.mark.parametrize("axis", [4, -5, "first", 1.0])
def test_an_axis_that_there_is_not_is_refused(axis, tmp_path):
    with pytest.raises(ValueError, match="image_axis must be an axis of the array, from 0 to 3, None or 'auto'; got"):
        read_images(write_npy(tmp_path, np.zeros((12, 16, 20, 3))), image_axis=axis)


def test_an_array_is_named_once(tmp_path):
    name = write_npz(tmp_path, np.zeros((12, 16, 20, 3)))
    assert len(read_images(name.rpartition(":")[0], variable="images")) == 12
    with pytest.raises(ValueError, match="variable must be None if a name follows the path"):
        read_images(name, variable="images")


def test_photographs_of_a_data_set_are_read_as_they_were_published(data_dir):
    images = read_images(data_dir / "cifar10_first10000.npz")
    assert len(images) == 10_000
    assert images[0].shape == (32, 32, 3)
    digits = read_images(data_dir / "mnist" / "t10k-images-idx3-ubyte.gz")
    assert (len(digits), digits[0].shape) == (10_000, (28, 28))
