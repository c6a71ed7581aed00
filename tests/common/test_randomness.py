import threading
from itertools import pairwise

import numpy as np
import pytest
from scipy.stats import kstest

from rhohat.common.randomness import RowStreams, keyed_generator, seed_from

KINDS = ["uniform", "normal"]
DTYPES = [np.float32, np.float64]


def drawn(kind, rows, n_features=5, dtype=np.float64, key=(0, "corruption", 0)):
    n_rows = rows.stop - (rows.start or 0) if isinstance(rows, slice) else len(rows)
    out = np.full((n_rows, n_features), np.nan, dtype=dtype)
    getattr(RowStreams(*key), kind)(rows, out)
    return out


def test_streams_differ_by_every_part_of_their_key():
    keys = [(0, "a", 0, 0), (1, "a", 0, 0), (0, "b", 0, 0), (0, "a", 1, 0), (0, "a", 0, 1)]
    draws = {keyed_generator(*key).random() for key in keys}
    assert len(draws) == len(keys)


def test_a_stream_is_determined_by_its_key():
    a, b = (keyed_generator(3, "weights", 1, 2).normal(size=5) for _ in range(2))
    np.testing.assert_array_equal(a, b)


def test_global_state_is_neither_read_nor_changed():
    np.random.seed(0)  # noqa: NPY002 - the global state is what this is about
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    assert seed_from(None) != seed_from(None)
    keyed_generator(seed_from(None), "weights").random()
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_generators_give_a_seed_and_advance():
    for make in (np.random.RandomState, np.random.default_rng):
        generator = make(0)
        first, second = seed_from(generator), seed_from(generator)
        assert first != second
        assert first == seed_from(make(0))


@pytest.mark.parametrize("bad", [-1, 0.5, "0"])
def test_other_seeds_are_refused(bad):
    with pytest.raises(ValueError, match="random_state must be an integer >= 0"):
        seed_from(bad)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_features", [1, 3, 7, 50])
def test_a_row_keeps_its_draws_in_any_company(kind, dtype, n_features):
    together = drawn(kind, range(100, 140), n_features, dtype)
    order = np.random.default_rng(0).permutation(40)
    np.testing.assert_array_equal(drawn(kind, 100 + order, n_features, dtype), together[order])
    np.testing.assert_array_equal(drawn(kind, [139, 100, 100], n_features, dtype), together[[39, 0, 0]])
    np.testing.assert_array_equal(drawn(kind, slice(110, 113), n_features, dtype), together[10:13])
    for edges in ([0, 40], [0, 1, 17, 40], range(41)):
        blocks = [drawn(kind, range(100 + a, 100 + b), n_features, dtype) for a, b in pairwise(edges)]
        np.testing.assert_array_equal(np.concatenate(blocks), together)


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_drawn_before_does_not_matter(kind):
    """An odd number of float32 draws leaves half a word behind, which the next row must not get."""
    streams, out = RowStreams(0, "corruption"), np.empty((1, 5))
    streams.uniform([3], np.empty((1, 3), dtype=np.float32))
    getattr(streams, kind)([8], out)
    np.testing.assert_array_equal(out, drawn(kind, [8]))
    single = np.empty((1, 5), dtype=np.float32)
    streams.normal([3], np.empty((1, 3), dtype=np.float32))
    getattr(streams, kind)([8], single)
    np.testing.assert_array_equal(single, drawn(kind, [8], dtype=np.float32))


def test_threads_that_make_their_own_streams_draw_the_same():
    together, out = drawn("normal", range(64)), np.empty((64, 5))

    def work(rows):
        RowStreams(0, "corruption").normal(rows, out[rows])

    threads = [threading.Thread(target=work, args=(slice(start, start + 16),)) for start in range(0, 64, 16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(out, together)


@pytest.mark.parametrize("kind", KINDS)
def test_row_streams_differ_by_every_part_of_their_key(kind):
    keys = [(0, "a", 0), (1, "a", 0), (0, "b", 0), (0, "a", 1)]
    draws = np.stack([drawn(kind, range(3), key=key) for key in keys])
    assert len(np.unique(draws)) == draws.size


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("kind", "distribution"), [("uniform", "uniform"), ("normal", "norm")])
def test_draws_have_their_distribution(kind, distribution, dtype):
    draws = drawn(kind, range(400), 250, dtype)
    assert draws.dtype == dtype
    assert kstest(draws.ravel(), distribution).pvalue > 1e-3
    assert kstest(drawn(kind, range(100_000), 1, dtype)[:, 0], distribution).pvalue > 1e-3


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "other", [{"rows": range(1, 401)}, {"key": (0, "corruption", 1)}, {"key": (1, "corruption", 0)}]
)
def test_neighbouring_rows_epochs_and_seeds_are_independent(kind, other):
    a = drawn(kind, range(400), 250)
    b = drawn(kind, **{"rows": range(400), "n_features": 250, **other})
    for shift in (0, 1):
        correlation = np.corrcoef(a[:, shift:].ravel(), b[:, : 250 - shift].ravel())[0, 1]
        assert abs(correlation) < 5 / np.sqrt(100_000)


def test_row_numbers_reach_far():
    far = drawn("uniform", [2**32, 2**62, 2**32 + 1, 0])
    assert len(np.unique(far)) == far.size
    np.testing.assert_array_equal(drawn("uniform", np.array([2**62], dtype=np.uint64)), far[1:2])


@pytest.mark.parametrize("kind", KINDS)
def test_no_rows_draw_nothing(kind):
    assert drawn(kind, []).shape == drawn(kind, range(0)).shape == (0, 5)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (range(3), "rows must hold a row number for each of the 4 rows of out; got 3"),
        (slice(0, None), "slice with a stop"),
        ([0.0, 1.0, 2.0, 3.0], "sequence of integers"),
        (np.array([True, False, True, True]), "sequence of integers"),
        (np.zeros((4, 1), dtype=int), "sequence of integers"),
        (range(-1, 3), "rows must not contain negative numbers.*the smallest number is -1"),
        ([0, 1, 2, -5], "rows must not contain negative numbers.*the smallest number is -5"),
    ],
)
def test_other_row_numbers_are_refused(rows, message):
    out = np.full((4, 2), 7.0)
    with pytest.raises(ValueError, match=message):
        RowStreams(0, "corruption").uniform(rows, out)
    np.testing.assert_array_equal(out, 7.0)


@pytest.mark.parametrize("key", [(-1, "a", 0), (0, "a", -1)])
def test_negative_keys_are_refused(key):
    with pytest.raises(ValueError, match="non-negative"):
        RowStreams(*key)
