"""Windows beside their definition, one number after the other."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhohat.layers import Windows
from rhohat.ops import NUMPY
from tests.tolerances import EXACT

CASES = {
    "valid": Windows((5, 6), (3, 2), (1, 1), "valid"),
    "valid, with pixels left over": Windows((6, 5), (2, 2), (3, 2), "valid"),
    "valid, steps longer than the window": Windows((7, 6), (2, 1), (3, 4), "valid"),
    "one place": Windows((3, 4), (3, 4), (1, 1), "valid"),
    "same": Windows((5, 4), (3, 3), (1, 1), "same"),
    "same, even window": Windows((5, 6), (4, 2), (1, 1), "same"),
    "same, steps": Windows((5, 7), (3, 3), (2, 3), "same"),
    "same, steps longer than the window": Windows((5, 7), (1, 2), (3, 3), "same"),
    "same, window larger than the image": Windows((2, 3), (5, 4), (1, 2), "same"),
    "sequence": Windows((1, 9), (1, 3), (1, 2), "valid"),
    "sequence, same": Windows((1, 8), (1, 4), (1, 1), "same"),
}
every_case = pytest.mark.parametrize("windows", CASES.values(), ids=CASES)
few_or_many_channels = pytest.mark.parametrize("channels", [1, 3, 9])


def places_and_zeros(size, window, stride, padding):
    """Number of places along one axis, and of zeros before the image, as TensorFlow documents them."""
    if padding == "valid":
        return math.ceil((size - window + 1) / stride), 0
    n_places = math.ceil(size / stride)
    total = max(window - stride, 0) if size % stride == 0 else max(window - size % stride, 0)
    return n_places, total // 2


def pixels(windows):
    """Yield place, number of the window, and pixel of the image, for all numbers of windows that are in the image."""
    axes = list(zip(windows.size, windows.window, windows.stride, strict=True))
    (n_down, above), (n_right, left) = (places_and_zeros(*axis, windows.padding) for axis in axes)
    for y, x, u, v in np.ndindex(n_down, n_right, *windows.window):
        row, column = y * windows.stride[0] + u - above, x * windows.stride[1] + v - left
        if 0 <= row < windows.size[0] and 0 <= column < windows.size[1]:
            yield (y, x), (u, v), (row, column)


@given(st.integers(1, 20), st.integers(1, 8), st.integers(1, 5), st.sampled_from(["same", "valid"]))
def test_the_places_and_zeros_are_those_that_tensorflow_documents(size, window, stride, padding):
    if padding == "valid" and window > size:
        return
    windows = Windows((size, 6), (window, 6), (stride, 1), padding)
    n_places, before = places_and_zeros(size, window, stride, padding)
    assert windows.places[0] == n_places
    assert windows.before[0] == before
    assert windows.n_places == n_places * (1 if padding == "valid" else 6)
    last = (n_places - 1) * stride + window  # where the last window ends
    assert last <= windows.padded[0]
    assert padding == "valid" or windows.padded[0] == max(last, size)


def test_an_odd_number_of_zeros_has_the_larger_half_after_the_image():
    windows = Windows((5, 5), (4, 2), (1, 1), "same")
    assert windows.padded == (8, 6)
    assert windows.before == (1, 0)


@few_or_many_channels
@every_case
def test_windows_are_gathered_as_the_definition_says(windows, channels, rng):
    images = rng.normal(size=(3, *windows.size, channels))
    found = windows.gather(NUMPY, images)
    expected = np.zeros(found.shape)
    for place, number, pixel in pixels(windows):
        expected[:, *place, *number] = images[:, *pixel]
    np.testing.assert_array_equal(found, expected)
    for u in range(windows.window[0]):
        lines = windows.gather(NUMPY, images, slice(u, u + 1))
        np.testing.assert_array_equal(lines, expected[:, :, :, u : u + 1])


@few_or_many_channels
@every_case
def test_windows_are_scattered_as_the_definition_says(windows, channels, rng):
    gathered = rng.normal(size=(3, *windows.places, *windows.window, channels))
    found = np.full((3, *windows.size, channels), np.nan)
    windows.scatter(NUMPY, gathered, found)
    expected = np.zeros(found.shape)
    for place, number, pixel in pixels(windows):
        expected[:, *pixel] += gathered[:, *place, *number]
    np.testing.assert_allclose(found, expected, rtol=EXACT, atol=1e-14)


@few_or_many_channels
@every_case
def test_scatter_is_the_transpose_of_gather(windows, channels, rng):
    images = rng.normal(size=(3, *windows.size, channels))
    gathered = windows.gather(NUMPY, images)
    cotangent, scattered = rng.normal(size=gathered.shape), np.empty_like(images)
    windows.scatter(NUMPY, cotangent, scattered)
    assert np.sum(gathered * cotangent) == pytest.approx(np.sum(images * scattered), rel=EXACT)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@few_or_many_channels
def test_gathered_windows_keep_the_data_type(channels, dtype):
    for windows in CASES.values():
        assert windows.gather(NUMPY, np.ones((2, *windows.size, channels), dtype)).dtype == dtype


def test_chunks_contain_every_row_once_and_their_windows_are_few(monkeypatch):
    monkeypatch.setattr("rhohat.layers.windows._CHUNK", 1000)
    windows = Windows((6, 6), (3, 3), (1, 1), "valid")  # 16 places of 9 numbers
    chunks = list(windows.chunks(20, 2))
    assert [i for rows in chunks for i in range(20)[rows]] == list(range(20))
    assert {rows.stop - rows.start for rows in chunks[:-1]} == {3}  # 3 · 16 · 9 · 2 = 864
    assert list(windows.chunks(2, 100)) == [slice(0, 1), slice(1, 2)]


@pytest.mark.parametrize("padding", ["full", "SAME", None, 1])
def test_an_unknown_padding_is_refused(padding):
    with pytest.raises(ValueError, match=r"padding must be 'valid' or 'same'; got"):
        Windows((5, 5), (3, 3), (1, 1), padding)


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-3, -3), (5,), (5, 5, 3), (5.0, 5)])
def test_an_image_without_pixels_is_refused(size):
    with pytest.raises(ValueError, match=r"windows need two integers of at least 1 for each of size, .*; got the size"):
        Windows(size, (3, 3), (1, 1), "same")


@pytest.mark.parametrize(
    ("window", "stride"),
    [((3,), (1, 1)), ((3, 3), (1,)), ((3, 3, 3), (1, 1)), ((0, 3), (1, 1)), ((3, 0), (1, 1)), ((3, 3), (1, -1))],
)
def test_a_window_or_a_stride_that_is_no_pair_of_counts_is_refused(window, stride):
    with pytest.raises(ValueError, match=r"windows need two integers of at least 1 .* the window .* and the stride"):
        Windows((5, 5), window, stride, "same")


def test_numbers_that_are_refused_are_said_in_a_sentence():
    message = (
        r"^windows need two integers of at least 1 for each of size, window and stride; got the size \(5, 0\),"
        r" the window \(3, 2\) and the stride \(1, 4\)\.$"
    )
    with pytest.raises(ValueError, match=message):
        Windows((5, 0), (3, 2), (1, 4), "same")
