"""`rhohat patches` cuts patches out of a folder of pictures of any kind."""

import json

import numpy as np
import pytest
from skimage.io import imsave

from tests.cli.test_demo import sentence


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
    assert "wrote p.npy: 50 patches of 6×6 pixels from 3 images" in run(
        "patches", folder, "-o", "p.npy", "-n", "50", "--size", "6"
    )
    patches = np.load(tmp_path / "p.npy")
    assert (patches.shape, patches.dtype) == ((50, 6, 6), np.float32)
    assert patches.min() < 0 < patches.max()  # whitened
    found = json.loads(run("patches", folder, "-o", "c.npy", "-n", "20", "--color", "--no-whiten", "--json"))
    assert found == {"images": 3, "patches": 20, "shape": [8, 8, 3]}
    colours = np.load(tmp_path / "c.npy")
    assert colours.shape == (20, 8, 8, 3)
    assert 0 <= colours.min() < colours.max() <= 1


def test_images_smaller_than_a_patch_are_left_out(invoke, folder):
    result = invoke("patches", folder, "-o", "p.npy", "--size", "27", "-n", "10")
    assert result.exit_code == 0
    assert "1 of 3 images are smaller than a patch, and left out" in sentence(result.stderr)


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
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_cannot_be_cut_is_said(arguments, code, message, invoke, tmp_path):
    (tmp_path / "empty").mkdir()
    result = invoke("patches", *arguments)
    assert result.exit_code == code, result.output
    assert message in sentence(result.stderr)
    assert not (tmp_path / "p.npy").exists()
