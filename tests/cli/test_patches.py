"""`rhohat patches` cuts patches out of a folder of pictures of any kind."""

import gzip
import json
import struct

import numpy as np
import pytest
from scipy.io import savemat
from skimage.color import rgb2gray
from skimage.io import imsave

from tests.cli.test_demo import sentence
from tests.data.matlab73 import save73


@pytest.fixture
def folder(tmp_path):
    """Pictures as people have them: grey and coloured, of several sizes and kinds, with a text among them."""
    draw = np.random.default_rng(0)
    path = tmp_path / "my pictures"
    path.mkdir()
    imsave(path / "größe.png", draw.integers(0, 256, (40, 30, 3), np.uint8), check_contrast=False)
    imsave(path / "grey.jpg", draw.integers(0, 256, (25, 60), np.uint8), check_contrast=False)
    imsave(path / "clear.png", draw.integers(0, 256, (30, 30, 4), np.uint8), check_contrast=False)
    (path / "notes.txt").write_text("of the holidays")
    return path


def test_patches_have_the_shape_that_was_asked_for(run, folder, tmp_path):
    said = run("patches", folder, "-o", "p.npy", "-n", "50", "--size", "6")
    begin, how = said.split(" (")
    assert begin == "wrote p.npy: 50 patches of 6×6 pixels from 3 images"
    assert how == "whitened first; --no-whiten leaves images as they are)\n"
    patches = np.load(tmp_path / "p.npy")
    assert (patches.shape, patches.dtype) == ((50, 6, 6), np.float32)
    assert patches.min() < 0 < patches.max()  # whitened
    assert run("patches", folder, "-o", "c.npy", "-n", "20", "--no-whiten").endswith("from 3 images (not whitened)\n")
    found = json.loads(run("patches", folder, "-o", "c.npy", "-n", "20", "--color", "--no-whiten", "--json"))
    assert found == {"images": 3, "patches": 20, "shape": [8, 8, 3]}
    colours = np.load(tmp_path / "c.npy")
    assert colours.shape == (20, 8, 8, 3)
    assert 0 <= colours.min() < colours.max() <= 1


def test_images_smaller_than_a_patch_are_left_out(invoke, folder):
    result = invoke("patches", folder, "-o", "p.npy", "--size", "27", "-n", "10")
    assert result.exit_code == 0
    assert "1 of 3 images are smaller than a patch, and are left out" in sentence(result.stderr)


def test_the_seed_decides(run, folder, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run("patches", folder, "-o", f"{name}.npy", "-n", "20", "--seed", seed)
    a, b, c = (np.load(tmp_path / f"{name}.npy") for name in "abc")
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere", "-o", "p.npy"], 1, "there is no file or folder nowhere"),
        (["my pictures", "-o", "p.csv"], 2, "must end in .npy"),
        (["my pictures", "-o", "p.npy", "--size", "41"], 1, "has no image of 41×41 pixels or more"),
        (["empty", "-o", "p.npy"], 1, "empty"),
        (["my pictures", "-o", "p.npy", "--image-axis", "first"], 2, "must be a number such as 0 or -1, none, or auto"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_cannot_be_cut_is_said(arguments, code, message, invoke, tmp_path):
    (tmp_path / "empty").mkdir()
    result = invoke("patches", *arguments)
    assert result.exit_code == code, result.output
    assert message in sentence(result.stderr)
    assert not (tmp_path / "p.npy").exists()


# Folders as people have them.


def test_what_a_mac_put_into_a_folder_is_passed_over(run, folder):
    for name in ("._größe.png", ".DS_Store", "Thumbs.db"):
        (folder / name).write_bytes(b"\0\x05\x16\x07\0\x02\0\0Mac OS X")
    assert "from 3 images (" in run("patches", folder, "-o", "p.npy", "-n", "10")


def test_an_unreadable_picture_is_named_and_skipped_where_that_is_asked_for(invoke, folder, tmp_path):
    (folder / "broken.png").write_bytes((folder / "clear.png").read_bytes()[:500])
    (folder / "empty.jpg").touch()
    result = invoke("patches", folder, "-o", "p.npy", "-n", "10")
    assert result.exit_code == 1
    assert "broken.png cannot be read as an image" in sentence(result.stderr)
    assert "remove this file from the folder, or pass --skip-unreadable to skip unreadable files." in sentence(
        result.stderr
    )
    assert not (tmp_path / "p.npy").exists()

    result = invoke("patches", folder, "-o", "p.npy", "-n", "10", "--skip-unreadable")
    assert result.exit_code == 0
    assert "from 3 images, 2 skipped" in result.stdout
    assert "2 of 5 image files were skipped" in sentence(result.stderr)
    assert "broken.png" in result.stderr
    assert "empty.jpg" in result.stderr
    found = json.loads(invoke("patches", folder, "-o", "p.npy", "-n", "10", "--skip-unreadable", "--json").stdout)
    assert found == {"images": 3, "skipped": 2, "patches": 10, "shape": [8, 8]}


def test_a_folder_without_a_readable_picture_fails(invoke, tmp_path):
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.png").touch()
    result = invoke("patches", "pictures", "-o", "p.npy", "--skip-unreadable")
    assert result.exit_code == 1
    assert "no image file in the folder pictures can be read" in sentence(result.stderr)


# Arrays in files.


def cut_all(run, images, *options):
    """Return the patches of a file whose images have the size of a patch: the images themselves, drawn at random."""
    run("patches", images, "-o", "p.npy", "--size", "8", "-n", "500", "--no-whiten", *options)
    return np.load("p.npy")


def assert_drawn_from(patches, images):
    """Check that patches are images, and all images are among them."""
    images = {image.tobytes() for image in np.asarray(images, np.float32)}
    assert {patch.tobytes() for patch in patches} == images


@pytest.mark.parametrize("write", [savemat, save73])
@pytest.mark.parametrize("name", ["train.mat:/X", "train.mat:X", "train.mat"])
def test_colours_of_matlab_count_images_last(write, name, run, rng, tmp_path):
    """As in the Street View House Numbers: X of shape (height, width, 3, n), and y of shape (n, 1)."""
    X = rng.integers(0, 256, (8, 8, 3, 20), dtype=np.uint8)
    write(tmp_path / "train.mat", {"X": X, "y": np.arange(1, 21)[:, np.newaxis]})
    assert_drawn_from(cut_all(run, name, "--color"), np.moveaxis(X, -1, 0))
    grey = rgb2gray(np.moveaxis(X, -1, 0).astype(float))
    np.testing.assert_allclose(np.unique(cut_all(run, name)), np.unique(grey.astype(np.float32)), rtol=1e-6)


@pytest.mark.parametrize("name", ["cifar.npz:/images", "cifar.npz"])
def test_colours_of_numpy_count_images_first(name, run, rng, tmp_path):
    X = rng.integers(0, 256, (20, 8, 8, 3), dtype=np.uint8)
    np.savez(tmp_path / "cifar.npz", images=X, labels=np.arange(20))
    assert_drawn_from(cut_all(run, name, "--color"), X)
    assert cut_all(run, name).shape == (500, 8, 8)


def test_digits_are_read_from_the_format_of_mnist(run, rng, tmp_path):
    X = rng.integers(0, 256, (20, 8, 8), dtype=np.uint8)
    content = struct.pack(">BBBB3I", 0, 0, 8, 3, *X.shape) + X.tobytes()
    (tmp_path / "images-idx3-ubyte.gz").write_bytes(gzip.compress(content))
    assert_drawn_from(cut_all(run, "images-idx3-ubyte.gz"), X)


def test_one_of_several_arrays_is_named(run, invoke, rng, tmp_path):
    savemat(tmp_path / "two.mat", {"IMAGES": rng.random((8, 8, 20)), "other": rng.random((8, 8, 5))})
    assert len(np.unique(cut_all(run, "two.mat:/IMAGES")[:, 0, 0])) == 20
    result = invoke("patches", "two.mat", "-o", "p.npy")
    assert result.exit_code == 1
    assert "two.mat holds IMAGES (8, 8, 20), other (8, 8, 5); add the name of an array to the path" in sentence(
        result.stderr
    )


def test_the_axis_that_counts_images_is_asked_for_where_it_cannot_be_told(run, invoke, rng, tmp_path):
    X = rng.random((10, 8, 9)).astype(np.float32)
    np.save(tmp_path / "x.npy", X)
    result = invoke("patches", "x.npy", "-o", "p.npy")
    assert result.exit_code == 1
    assert "an array of shape (10, 8, 9), which does not tell which axis counts" in sentence(result.stderr)
    assert "Pass --image-axis 0 for the first axis, or --image-axis -1 for the last." in sentence(result.stderr)
    for axis, n_images in (("0", 10), ("-1", 9)):
        assert f"from {n_images} images" in run("patches", "x.npy", "-o", "p.npy", "--image-axis", axis)
    np.save(tmp_path / "one.npy", rng.random((10, 11, 3)))
    for option in (["--image-axis", "none"], ["--color"]):
        assert "8×8×3 pixels from 1 image (" in run("patches", "one.npy", "-o", "p.npy", "--color", *option)


def test_a_file_that_is_read_is_not_overwritten(invoke, tmp_path):
    np.savez(tmp_path / "a.npz", images=np.zeros((9, 8, 8, 3)))
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    result = invoke("patches", "a.npy:/images", "-o", "a.npy")
    assert result.exit_code == 2
    assert "would be overwritten" in sentence(result.stderr)
