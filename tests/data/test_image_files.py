"""Whatever a file stores, its picture is read as the grey levels or the RGB that it shows, within [0, 1]."""

import struct
import warnings
import zlib

import numpy as np
import PIL
import pytest
import tifffile
from PIL import Image, ImageCms
from skimage.color import rgb2gray

from rhohat.data.image_files import read_image
from tests.tolerances import EXACT

EIGHT_BITS = 1.5 / 255  # one level, and what rounding adds


@pytest.fixture(name="rgb")
def rgb_original(rng):
    """Levels of a picture, of which 0 and 255 are some, and a colour that shows mistakes."""
    levels = rng.integers(0, 256, (12, 17, 3), dtype=np.uint8)
    levels[0, :3] = [[0, 0, 0], [255, 255, 255], [200, 40, 40]]
    return levels


@pytest.fixture
def save(tmp_path):
    """A function that writes an array or a Pillow image under a name, and returns the path."""

    def write(name, picture, **options):
        path = tmp_path / name
        if isinstance(picture, Image.Image):
            picture.save(path, **options)
        else:
            tifffile.imwrite(path, picture, **options)
        return path

    return write


def assert_shows(path, rgb, **tolerance):
    """Check a file against the RGB that it shows, in colour and in grey."""
    tolerance = tolerance or {"rtol": EXACT, "atol": EXACT}
    in_color, in_grey = read_image(path, color=True), read_image(path)
    assert (in_color.dtype, in_grey.dtype) == (np.float64, np.float64)
    assert min(in_color.min(), in_grey.min()) >= 0
    assert max(in_color.max(), in_grey.max()) <= 1 + EXACT
    np.testing.assert_allclose(in_color, rgb, **tolerance)
    np.testing.assert_allclose(in_grey, rgb2gray(rgb), **tolerance)


def grey_as_rgb(levels):
    return np.repeat(levels[..., np.newaxis], 3, axis=2)


# Colours.


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.ppm", "a.PNG", "a.TIFF"])
def test_rgb_is_read_as_it_was_written(name, rgb, save):
    assert_shows(save(name, Image.fromarray(rgb)), rgb / 255)


def test_cmyk_shows_the_rgb_that_it_was_made_of(rgb, save):
    """(200, 40, 40) was once read as if its fourth number were transparency."""
    cmyk = Image.fromarray(rgb).convert("CMYK")
    assert_shows(save("a.tif", cmyk), rgb / 255)
    assert_shows(save("lzw.tif", cmyk, compression="tiff_lzw"), rgb / 255)
    flat = Image.new("RGB", (16, 16), (200, 40, 40)).convert("CMYK")
    path = save("a.jpg", flat, quality=100)
    assert_shows(path, np.full((16, 16, 3), [200, 40, 40]) / 255, atol=EIGHT_BITS)


def test_the_black_of_cmyk_darkens(rng, save):
    for dtype, largest in ((np.uint8, 255), (np.uint16, 65535)):
        cmyk = rng.integers(0, largest, (12, 17, 4), dtype=dtype, endpoint=True)
        shown = (1 - cmyk[..., :3] / largest) * (1 - cmyk[..., 3:] / largest)
        assert_shows(save("a.tif", cmyk, photometric="separated"), shown)


@pytest.mark.parametrize("name", ["a.png", "a.gif", "a.tif", "a.bmp"])
def test_a_palette_is_looked_up(name, rgb, save):
    few = (rgb // 128) * 127
    assert_shows(save(name, Image.fromarray(few).quantize(8)), few / 255)


def test_a_palette_of_16_bits_is_looked_up(rng, save):
    palette = rng.integers(0, 65536, (3, 65536), dtype=np.uint16)
    numbers = rng.integers(0, 65536, (12, 17), dtype=np.uint16)
    path = save("a.tif", numbers, photometric="palette", colormap=palette)
    assert_shows(path, np.moveaxis(palette, 0, -1)[numbers] / 65535)


def test_lab_shows_the_rgb_that_it_was_made_of(save, rgb):
    """Against LittleCMS, which rounds to 8 bits on the way; those of LAB are coarser than those of RGB."""
    rgb = 64 + rgb // 2  # inside of what LAB with 8 bits holds
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    lab = ImageCms.applyTransform(Image.fromarray(rgb), to_lab)
    assert_shows(save("a.tif", lab), rgb / 255, atol=5 / 255)
    assert_shows(save("lzw.tif", lab, compression="tiff_lzw"), rgb / 255, atol=5 / 255)


def test_lab_is_the_same_however_it_is_coded(rng, save):
    lightness, axes = rng.uniform(30, 70, (12, 17, 1)), rng.uniform(-20, 20, (12, 17, 2))
    coded = {
        ("cielab", np.uint8): np.concatenate([lightness * 2.55, axes % 256], axis=2),
        ("icclab", np.uint8): np.concatenate([lightness * 2.55, axes + 128], axis=2),
        ("cielab", np.uint16): np.concatenate([lightness * 655.35, axes * 256 % 65536], axis=2),
        ("icclab", np.uint16): np.concatenate([lightness * 652.8, (axes + 128) * 256], axis=2),
    }
    shown = [
        read_image(save("a.tif", np.round(numbers).astype(dtype), photometric=meaning), color=True)
        for (meaning, dtype), numbers in coded.items()
    ]
    assert np.ptp(shown[-1]) > 0.2
    for other in shown[:-1]:
        np.testing.assert_allclose(other, shown[-1], atol=0.02)


def test_grey_of_lab_is_neutral(save):
    """A lightness of 50 is level 119 of sRGB, whatever the white."""
    lab = np.full((12, 17, 3), [128, 0, 0], np.uint8)
    image = read_image(save("a.tif", lab, photometric="cielab"), color=True)
    np.testing.assert_allclose(image, 119.5 / 255, atol=1 / 255)


def test_luminance_and_colour_differences_become_rgb(save, rgb):
    if int(PIL.__version__.split(".")[0]) < 13:
        pytest.skip("this Pillow cannot read the TIFF files of luminance and colour differences that it writes")
    flat = Image.new("RGB", (16, 16), (200, 40, 40))
    for options in ({"compression": "jpeg"}, {}):
        path = save("a.tif", flat.convert("YCbCr") if not options else flat, **options)
        assert_shows(path, np.full((16, 16, 3), [200, 40, 40]) / 255, atol=3 / 255)


def test_channels_that_follow_one_another_are_put_together(rgb, save):
    for dtype, largest in ((np.uint8, 255), (np.uint16, 65535)):
        levels = rgb.astype(dtype) * dtype(largest // 255)
        path = save("a.tif", np.moveaxis(levels, -1, 0), photometric="rgb", planarconfig="separate")
        assert_shows(path, rgb / 255)


def test_what_a_sensor_recorded_is_refused(rgb, save):
    with pytest.raises(ValueError, match=r"a\.tif cannot be read as an image: its samples are of the kind CFA"):
        read_image(save("a.tif", rgb[..., 0].astype(np.uint16), photometric="cfa"))


# Numbers.

NUMBERS = [
    ("u1", 255), ("u2", 65535), ("u4", 255), ("u4", 65535), ("u4", 2**32 - 1), ("i1", 127), ("i2", 255), ("i2", 32767),
    ("i4", 1), ("i4", 255), ("i4", 65535), ("i4", 2**31 - 1), ("u8", 255), ("i8", 2**32 - 1),
    ("f2", 1), ("f4", 1), ("f8", 1), ("f4", 255), ("f8", 255), ("f4", 65535), ("f8", 65535), ("f8", 2**31 - 1),
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "largest"), NUMBERS)
@pytest.mark.parametrize("n_channels", [1, 3])
def test_numbers_of_every_type_are_scaled_by_the_largest_that_is_possible(dtype, largest, n_channels, rng, save):
    levels = rng.random((12, 17, 3))
    levels[0, 0], levels[1, 1] = 0, 1
    numbers = (levels * largest if np.dtype(dtype).kind == "f" else np.round(levels * largest)).astype(dtype)
    if n_channels == 1:
        numbers = numbers[..., 0]
        shown = grey_as_rgb(numbers.astype(np.float64) / largest)
    else:
        shown = numbers.astype(np.float64) / largest
    kind = {"photometric": "rgb"} if n_channels == 3 else {}
    assert_shows(save("a.tif", numbers, **kind), shown)
    assert_shows(save("packed.tif", numbers, compression="zlib", **kind), shown)


def test_floats_and_integers_of_32_bits_equal_the_rgb_that_they_were_made_of(rgb, save):
    for dtype in (np.float32, np.float64, np.int32, np.uint32, np.int16):
        assert_shows(save("a.tif", rgb.astype(dtype), photometric="rgb"), rgb / 255)
        assert_shows(save("grey.tif", rgb[..., 0].astype(dtype)), grey_as_rgb(rgb[..., 0] / 255))
    for mode, dtype in (("F", np.float32), ("I", np.int32)):
        image = Image.fromarray(rgb[..., 0].astype(dtype))
        assert image.mode == mode
        for options in ({}, {"compression": "tiff_lzw"}):  # which Pillow alone reads
            assert_shows(save(f"{mode}.tif", image, **options), grey_as_rgb(rgb[..., 0] / 255))


def test_floats_that_rounding_put_outside_are_put_back(save):
    levels = np.array([[-1e-9, 0.25, 1 + 1e-7], [0, 0.5, 1]])
    np.testing.assert_allclose(read_image(save("a.tif", levels)), np.clip(levels, 0, 1), atol=1e-12)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (np.array([[0.5, np.nan], [0, 1]]), "NaN or infinite"),
        (np.array([[0.5, np.inf], [0, 1]]), "NaN or infinite"),
        (np.array([[0.5, -0.25], [0, 1]]), r"negative numbers, the smallest of which is -0\.25"),
        (np.array([[3, -2], [0, 1]], np.int32), "negative numbers, the smallest of which is -2"),
        (np.array([[3e12, 2], [0, 1]]), r"numbers of up to 3e\+12; divide them by a constant"),
        (np.array([[3j, 2], [0, 1]]), "complex128, which cannot be grey levels"),
    ],
)
def test_numbers_that_are_no_levels_are_refused(numbers, message, save):
    with pytest.raises(ValueError, match=rf"a\.tif cannot be read as an image: it holds .*{message}"):
        read_image(save("a.tif", numbers))


def write_png(path, levels, *chunks):
    """Write a PNG of 8 or 16 bits with whatever channels; Pillow writes no colours of 16 bits."""
    n_channels = levels.shape[2]
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[n_channels]
    header = struct.pack(">IIBBBBB", levels.shape[1], levels.shape[0], 8 * levels.itemsize, color_type, 0, 0, 0)
    lines = b"".join(b"\0" + line.astype(line.dtype.newbyteorder(">")).tobytes() for line in levels)
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(lines)), (b"IEND", b"")]:
        content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(content)
    return path


def test_16_bits_are_kept_where_they_can_be(rng, save, tmp_path):
    levels = rng.integers(0, 65536, (12, 17, 3), dtype=np.uint16)
    grey = levels[..., :1]
    assert_shows(save("a.tif", levels, photometric="rgb"), levels / 65535)
    assert_shows(write_png(tmp_path / "a.png", grey), grey_as_rgb(grey[..., 0] / 65535))
    assert_shows(save("a.pgm", Image.fromarray(grey[..., 0].astype(np.int32))), grey_as_rgb(grey[..., 0] / 65535))
    assert_shows(
        save("lzw.tif", Image.fromarray(grey[..., 0]), compression="tiff_lzw"), grey_as_rgb(grey[..., 0] / 65535)
    )


def test_dark_pictures_of_16_bits_stay_dark(save, tmp_path):
    grey = np.full((12, 17), 200, np.uint16)
    for path in (
        write_png(tmp_path / "a.png", grey[..., np.newaxis]),
        save("a.tif", grey),
        save("a.pgm", Image.fromarray(grey.astype(np.int32))),
    ):
        np.testing.assert_allclose(read_image(path), 200 / 65535, rtol=EXACT)


@pytest.mark.parametrize("n_channels", [2, 3, 4])
def test_colours_of_16_bits_in_png_keep_8(n_channels, rng, tmp_path):
    levels = rng.integers(0, 65536, (12, 17, n_channels), dtype=np.uint16)
    shown = levels / 65535
    if n_channels in (2, 4):
        shown = 1 - shown[..., -1:] * (1 - shown[..., :-1])
    shown = np.broadcast_to(shown, (12, 17, 3))
    assert_shows(write_png(tmp_path / "a.png", levels), shown, atol=2 / 255)


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp", "a.gif"])
def test_one_bit_is_black_or_white(name, rng, save):
    white = rng.random((12, 17)) < 0.5
    assert_shows(save(name, Image.fromarray(white)), grey_as_rgb(white.astype(float)))


@pytest.mark.parametrize(("dtype", "largest"), [(np.uint8, 255), (np.uint16, 65535)])
def test_scans_in_which_0_is_white_are_inverted(dtype, largest, rng, save):
    ink = rng.integers(0, largest, (12, 17), dtype=dtype, endpoint=True)
    assert_shows(save("a.tif", ink, photometric="miniswhite"), grey_as_rgb(1 - ink / largest))


# Transparency.


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.webp"])
def test_transparency_is_blended_with_white(name, rgb, rng, save):
    alpha = rng.integers(0, 256, (12, 17, 1), dtype=np.uint8)
    alpha[0, :2] = [[0], [255]]
    options = {"lossless": True, "exact": True} if name == "a.webp" else {}
    path = save(name, Image.fromarray(np.concatenate([rgb, alpha], axis=2)), **options)
    assert_shows(path, 1 - alpha / 255 * (1 - rgb / 255))


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_grey_with_transparency_is_blended_with_white(name, rng, save):
    levels = rng.integers(0, 256, (12, 17, 2), dtype=np.uint8)
    shown = 1 - levels[..., 1] / 255 * (1 - levels[..., 0] / 255)
    assert_shows(save(name, Image.fromarray(levels)), grey_as_rgb(shown))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_alpha_in_tiff_is_what_the_file_says(dtype, rng, save):
    largest = 1 if dtype == np.float32 else np.iinfo(dtype).max
    alpha = rng.random((12, 17, 1))
    rgb = rng.random((12, 17, 3))
    stored = (np.concatenate([rgb, alpha], axis=2) * largest).astype(dtype)
    blended = 1 - stored[..., 3:] / largest * (1 - stored[..., :3] / largest)
    assert_shows(save("a.tif", stored, photometric="rgb", extrasamples=["unassalpha"]), blended, atol=1e-6)
    multiplied = (np.concatenate([rgb * alpha, alpha], axis=2) * largest).astype(dtype)
    blended = 1 - multiplied[..., 3:] / largest + multiplied[..., :3] / largest
    assert_shows(save("b.tif", multiplied, photometric="rgb", extrasamples=["assocalpha"]), blended, atol=1e-6)
    opaque = stored[..., :3] / largest
    assert_shows(save("c.tif", stored, photometric="rgb", extrasamples=["unspecified"]), opaque, atol=1e-6)


def test_a_colour_that_stands_for_transparency_is_white(rgb, save, tmp_path):
    shown = rgb / 255
    shown[(rgb == [200, 40, 40]).all(axis=2)] = 1
    assert_shows(save("a.png", Image.fromarray(rgb), transparency=(200, 40, 40)), shown)
    grey = rgb[..., 0]
    shown = grey_as_rgb(np.where(grey == 200, 1, grey / 255))
    assert_shows(save("b.png", Image.fromarray(grey), transparency=200), shown)
    palette = Image.fromarray(rgb // 128 * 127).quantize(8)
    hidden = np.asarray(palette) == 0
    shown = np.asarray(palette.convert("RGB")) / 255
    shown[hidden] = 1
    assert_shows(save("c.png", palette, transparency=0), shown)
    assert_shows(save("c.gif", palette, transparency=0), shown)
    wide = grey.astype(np.uint16)[..., np.newaxis] * 257
    path = write_png(tmp_path / "d.png", wide, (b"tRNS", struct.pack(">H", 200 * 257)))
    assert_shows(path, grey_as_rgb(np.where(grey == 200, 1, grey / 255)))


# Orientation.

TURNED = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright),
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("orientation", TURNED)
def test_pictures_that_are_marked_as_turned_are_turned_upright(orientation, rgb, save):
    stored = np.ascontiguousarray(TURNED[orientation](rgb))
    exif = Image.Exif()
    exif[274] = orientation
    assert_shows(save("a.png", Image.fromarray(stored), exif=exif), rgb / 255)
    assert_shows(save("a.webp", Image.fromarray(stored), exif=exif, lossless=True), rgb / 255)
    tags = [(274, "H", 1, orientation, True)]
    assert_shows(save("a.tif", stored, photometric="rgb", extratags=tags), rgb / 255)
    wide = stored.astype(np.uint16) * 257
    assert_shows(save("b.tif", wide, photometric="rgb", extratags=tags), rgb / 255)
    assert_shows(save("c.tif", Image.fromarray(stored), tiffinfo={274: orientation}, compression="tiff_lzw"), rgb / 255)
    flat = np.ascontiguousarray(TURNED[orientation](np.repeat(np.repeat(rgb[:2, :3] // 2 + 64, 16, 0), 16, 1)))
    path = save("a.jpg", Image.fromarray(flat), exif=exif, quality=100, subsampling=0)
    np.testing.assert_allclose(read_image(path, color=True)[8::16, 8::16], (rgb[:2, :3] // 2 + 64) / 255, atol=0.02)


# What is no single picture.


@pytest.mark.parametrize("name", ["a.gif", "a.tif", "a.png", "a.webp"])
def test_several_frames_are_refused_with_their_number(name, rng, save):
    frames = [Image.fromarray(frame) for frame in rng.integers(0, 256, (5, 12, 17, 3), dtype=np.uint8)]
    path = save(name, frames[0], save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match=rf"{name} cannot be read as an image: it holds 5 frames or pages; save each"):
        read_image(path)


@pytest.mark.parametrize("options", [{"imagej": True}, {"photometric": "minisblack"}, {"compression": "zlib"}])
def test_stacks_in_tiff_are_refused_with_their_number(options, rng, save):
    path = save("a.tif", rng.integers(0, 256, (5, 12, 17), dtype=np.uint16), **options)
    with pytest.raises(ValueError, match="it holds 5 frames or pages"):
        read_image(path)


def test_a_smaller_copy_beside_a_picture_is_no_second_one(rgb, tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(rgb.astype(np.uint16), photometric="rgb", metadata=None)
        writer.write(rgb[::2, ::2].astype(np.uint16), photometric="rgb", subfiletype=1, metadata=None)
    assert_shows(tmp_path / "a.tif", rgb / 65535)


def test_samples_of_no_stated_meaning_are_refused(rng, save):
    path = save(
        "a.tif", rng.integers(0, 256, (12, 17, 5), dtype=np.uint16), photometric="minisblack", planarconfig="contig"
    )
    with pytest.raises(ValueError, match=r"not a single grey or colour image; its array has the shape \(12, 17, 5\)"):
        read_image(path)


@pytest.mark.parametrize(
    "content", [b"", b"\x89PNG\r\n\x1a\n", b"II*\0" + bytes(20), b"no picture", b"\xff\xd8\xff\xe0"]
)
def test_what_is_no_picture_is_refused_by_its_name(content, tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.png cannot be read as an image: ") as raised:
        read_image(path)
    assert "BufferedReader" not in str(raised.value)
    assert ("it is empty" in str(raised.value)) == (not content)


def test_the_content_decides_what_kind_of_picture_it_is(rgb, save, tmp_path):
    assert_shows(save("a.tif", Image.fromarray(rgb)).rename(tmp_path / "a.png"), rgb / 255)
    assert_shows(save("a.png", Image.fromarray(rgb)).rename(tmp_path / "a.tif"), rgb / 255)
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "none.png")


def test_the_picture_that_a_camera_stores_first_counts(rgb, save):
    flat = [Image.new("RGB", (16, 16), tuple(color)) for color in rgb[0, 2:4].tolist()]
    path = save("a.jpg", flat[0], format="MPO", save_all=True, append_images=flat[1:], quality=100)
    assert_shows(path, np.full((16, 16, 3), rgb[0, 2]) / 255, atol=0.02)


def test_nothing_is_warned_of(rgb, save):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_image(save("a.png", Image.fromarray(rgb).quantize(8), transparency=bytes([0, 128, 255])))


def test_scans_that_pillow_takes_for_an_attack_are_read_from_tiff(rgb, save, monkeypatch):
    paths = [
        save("a.tif", rgb),
        save("b.tif", rgb[..., 0], photometric="minisblack"),
        save("a.png", Image.fromarray(rgb)),
    ]
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    assert_shows(paths[0], rgb / 255)
    assert_shows(paths[1], grey_as_rgb(rgb[..., 0] / 255))
    with pytest.raises(ValueError, match=r"a\.png cannot be read as an image: Image size \(204 pixels\) exceeds limit"):
        read_image(paths[2])
