"""Primitives of sparse codes beside dense matrices: values, ties, numbers that are not finite, and what is near."""

import threading

import numpy as np
import pytest

from rhohat.ops.code_ops import CodeOps, Codes, joined
from tests.tolerances import EXACT, FLOAT32

ROWS = (*range(1, 10), 63, 64, 65, 130)
LATENTS = (1, 15, 16, 17, 255, 256, 257, 300)
FEATURES = (1, 3, 255, 257, 600)
DTYPES = (np.float32, np.float64)
#: Numbers of latents in prefixes, as shares of the dictionary.
PREFIXES = ((1.0,), (0.4, 1.0), (0.1, 0.3, 1.0))


@pytest.fixture(name="ops", params=["numpy", "compiled"])
def primitives(request):
    if request.param == "numpy":
        return CodeOps()
    pytest.importorskip("numba", reason="the extra 'fast' is not installed")
    from rhohat.ops.compiled_code_ops import CompiledCodeOps

    return CompiledCodeOps()


class Guarded:
    """Arrays between others that no primitive may read or change; they begin at no multiple of 16 bytes."""

    def __init__(self):
        self._whole = []

    def __call__(self, array, *, read_only=True):
        guard = np.nan if array.dtype.kind == "f" else -(2**20)
        whole = np.full(array.size + 2 * 129, guard, array.dtype)
        first = 129 if (whole.ctypes.data + 129 * array.itemsize) % 16 else 128
        inside = whole[first : first + array.size].reshape(array.shape)
        inside[...] = array
        if read_only:
            inside.flags.writeable = False
        assert array.size == 0 or inside.ctypes.data % 16
        self._whole.append((whole, first, array.size))
        return inside

    def check(self):
        for whole, first, size in self._whole:
            guard = np.nan if whole.dtype.kind == "f" else -(2**20)
            np.testing.assert_array_equal(whole[:first], guard)
            np.testing.assert_array_equal(whole[first + size :], guard)


def whole_numbers(shape, dtype, seed=0, largest=2):
    """Small whole numbers, whose products and sums are exact, and of which many are equal."""
    return np.random.default_rng(seed).integers(-largest, largest + 1, shape).astype(dtype)


def product(X, W, bias):
    with np.errstate(invalid="ignore"):
        return X @ W.T + bias


def k_largest(a, k):
    """Which positive numbers of each row are among its k largest, the first of equal ones, found by sorting."""
    chosen = np.zeros(a.shape, bool)
    for row, numbers in enumerate(a.tolist()):
        positive = [latent for latent, number in enumerate(numbers) if number > 0]
        chosen[row, sorted(positive, key=lambda latent: -numbers[latent])[:k]] = True
    return chosen


def same_codes(codes, a, chosen, **tolerance):
    """Check that codes are the chosen numbers of a dense matrix."""
    np.testing.assert_array_equal(np.diff(codes.starts), chosen.sum(1))
    assert codes.starts[0] == 0
    np.testing.assert_array_equal(codes.latents, np.nonzero(chosen)[1])
    assert codes.values.dtype == a.dtype
    np.testing.assert_allclose(codes.values, a[chosen], **(tolerance or {"rtol": 0}))


def some_codes(n_rows, n_latents, dtype, density=0.3, seed=3):
    """Codes and the dense matrix of them; some rows and latents have no entry."""
    draw = np.random.default_rng(seed)
    dense = np.where(draw.random((n_rows, n_latents)) < density, draw.integers(1, 5, (n_rows, n_latents)), 0)
    dense[::4], dense[:, ::5] = 0, 0
    starts = np.concatenate([[0], np.cumsum(np.count_nonzero(dense, axis=1))])
    return Codes(starts, np.nonzero(dense)[1].astype(np.int32), dense[dense > 0].astype(dtype)), dense.astype(dtype)


# Codes found.


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_features", FEATURES)
@pytest.mark.parametrize("n_latents", LATENTS)
def test_what_is_collected_is_what_a_dense_product_has_above_the_thresholds(ops, n_latents, n_features, dtype):
    W = whole_numbers((n_latents, n_features), dtype, 1)
    bias, thresholds = whole_numbers(n_latents, dtype, 2), whole_numbers(n_latents, dtype, 3, largest=5)
    for n_rows in ROWS:
        X, guarded = whole_numbers((n_rows, n_features), dtype), Guarded()
        codes = ops.collect(guarded(X), guarded(W), guarded(bias), guarded(thresholds))
        a = product(X, W, bias)
        same_codes(codes, a, a > thresholds)
        guarded.check()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_features", [3, 257])
@pytest.mark.parametrize("n_latents", LATENTS)
def test_the_largest_are_those_that_sorting_finds_whatever_the_floor(ops, n_latents, n_features, dtype):
    W, bias = whole_numbers((n_latents, n_features), dtype, 1), whole_numbers(n_latents, dtype, 2)
    for n_rows in (1, 7, 8, 9, 65):
        X, guarded = whole_numbers((n_rows, n_features), dtype), Guarded()
        a = product(X, W, bias)
        X[n_rows // 2] = 0
        a[n_rows // 2] = bias
        inputs = guarded(X), guarded(W), guarded(bias)
        for k in (1, 2, 7, n_latents, n_latents + 5):
            chosen = k_largest(a, k)
            for floor in (0.0, float(np.median(a.max(1))), float(a.max()) + 1, np.inf):
                same_codes(ops.largest(*inputs, k, max(floor, 0.0)), a, chosen)
        guarded.check()


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_that_are_not_whole_agree_up_to_rounding(ops, dtype):
    draw = np.random.default_rng(0)
    X, W, bias = (draw.standard_normal(shape).astype(dtype) for shape in ((65, 600), (257, 600), 257))
    a, tolerance = product(X, W, bias), FLOAT32 if dtype == np.float32 else 1e-10
    thresholds = np.full(257, 0.5 * np.mean(np.sort(a.ravel())[-500:-498]), dtype)
    assert np.abs(a - thresholds).min() > 1e-6  # so that rounding decides on none
    same_codes(ops.collect(X, W, bias, thresholds), a, a > thresholds, rtol=tolerance)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n_rows", [1, 9, 65])
def test_nan_is_never_chosen_and_takes_the_place_of_no_other_number(ops, n_rows, bad, dtype):
    n_latents, n_features = 273, 20
    for place in ("X", "W", "bias"):
        X, W = whole_numbers((n_rows, n_features), dtype), whole_numbers((n_latents, n_features), dtype, 1)
        bias = whole_numbers(n_latents, dtype, 2)
        if place == "X":
            X[0, 3] = X[n_rows // 2, 19] = bad
        elif place == "W":
            W[2, 3] = W[16, 0] = W[272, 19] = bad
        else:
            bias[[2, 16, 272]] = bad
        a = product(X, W, bias)
        with np.errstate(invalid="ignore"):
            for threshold in (0, -3):
                same_codes(ops.collect(X, W, bias, np.full(n_latents, threshold, dtype)), a, a > threshold)
            for k, floor in ((1, 0.0), (4, 0.0), (4, 3.0), (300, 0.0)):
                same_codes(ops.largest(X, W, bias, k, floor), a, k_largest(a, k))


def test_thresholds_that_are_not_finite(ops):
    X, W, bias = whole_numbers((9, 5), float), whole_numbers((40, 5), float, 1), np.zeros(40)
    a = product(X, W, bias)
    thresholds = np.zeros(40)
    thresholds[::3], thresholds[1::3] = np.nan, np.inf
    thresholds[20] = -np.inf
    same_codes(ops.collect(X, W, bias, thresholds), a, a > thresholds)
    assert (a > thresholds)[:, 20].all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_rows", [3, 70])
def test_there_may_be_as_many_entries_as_numbers(ops, n_rows, dtype):
    X, W, bias = whole_numbers((n_rows, 6), dtype), whole_numbers((300, 6), dtype, 1), np.full(300, 100, dtype)
    a = product(X, W, bias)
    whole = np.ones(a.shape, bool)
    for _ in range(2):  # the second call has the memory of the first
        same_codes(ops.collect(X, W, bias, np.zeros(300, dtype)), a, whole)
        same_codes(ops.largest(X, W, bias, 250), a, k_largest(a, 250))


def test_there_may_be_no_entries(ops):
    X, W = whole_numbers((12, 6), float), whole_numbers((33, 6), float, 1)
    for codes in (
        ops.collect(X, W, np.zeros(33), np.full(33, 1e9)),
        ops.largest(X, W, np.full(33, -1e9), 3),
        ops.largest(X, W, np.full(33, -1e9), 3, 5.0),
    ):
        assert codes.starts.tolist() == [0] * 13
        assert codes.latents.size == codes.values.size == 0


def test_memory_of_one_dtype_serves_no_other(ops):
    for dtype in (np.float32, np.float64, np.float32):
        X, W, bias = (whole_numbers(shape, dtype) for shape in ((20, 6), (33, 6), 33))
        a = product(X, W, bias)
        same_codes(ops.collect(X, W, bias, np.zeros(33, dtype)), a, a > 0)


def test_results_of_a_row_do_not_depend_on_those_beside_it(ops):
    draw = np.random.default_rng(0)
    X, W, bias = (draw.standard_normal(shape).astype(np.float32) for shape in ((203, 37), (270, 37), 270))
    whole = ops.largest(X, W, bias, 5, 1.0)
    for n_workers in (2, 3, 7):
        parts = ops.row_parts(203, n_workers)
        assert [part.start for part in parts] == [0, *(part.stop for part in parts[:-1])]
        assert parts[-1].stop == 203
        found = joined([ops.largest(X[part], W, bias, 5, 1.0) for part in parts])
        if ops.name == "compiled":
            assert [one.tobytes() for one in found] == [one.tobytes() for one in whole]
        else:
            np.testing.assert_array_equal(found.latents, whole.latents)


def test_threads_do_not_share_memory(ops):
    inputs = [[whole_numbers(shape, float, seed) for shape in ((40, 9), (70, 9), 70)] for seed in range(2)]
    expected = [product(*one) for one in inputs]
    barrier, failures = threading.Barrier(2), []

    def work(number):
        X, W, bias = inputs[number]
        for _ in range(50):
            barrier.wait()
            try:
                same_codes(ops.collect(X, W, bias, np.zeros(70)), expected[number], expected[number] > 0)
            except AssertionError as error:
                failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize("dtype", DTYPES)
def test_nothing_is_written_beyond_the_room_for_entries(dtype):
    kernels = pytest.importorskip("rhohat.ops.compiled.codes", reason="the extra 'fast' is not installed")
    X, W, bias = whole_numbers((9, 4), dtype), whole_numbers((40, 4), dtype, 1), whole_numbers(40, dtype, 2)
    a = product(X, W, bias)
    for capacity in (0, 1, 5, 17):
        guarded = Guarded()
        rows, latents = (guarded(np.zeros(capacity, np.int32), read_only=False) for _ in range(2))
        values = guarded(np.zeros(capacity, dtype), read_only=False)
        n_found = kernels.collect(X, W, bias, np.zeros(40, dtype), rows, latents, values)
        assert n_found == (a > 0).sum() > capacity
        np.testing.assert_array_equal(values, a[rows, latents])
        guarded.check()


# Codes decoded and differentiated.


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shares", PREFIXES)
@pytest.mark.parametrize("n_features", FEATURES)
def test_residuals_errors_and_derivatives_are_those_of_dense_codes(ops, n_features, shares, dtype):
    for n_rows, n_latents in ((1, 1), (2, 15), (9, 17), (65, 300)):
        ends = np.unique([max(1, round(share * n_latents)) for share in shares])
        codes, dense = some_codes(n_rows, n_latents, dtype)
        W, bias = whole_numbers((n_latents, n_features), dtype, 1), whole_numbers(n_features, dtype, 2)
        targets, scale, n_prefixes = whole_numbers((n_rows, n_features), dtype, 4), 0.37, len(ends)
        rows = slice(n_rows // 3, n_rows - n_rows // 4)
        there = np.zeros(n_rows, bool)
        there[rows] = True

        guarded = Guarded()
        out = guarded(np.full((n_prefixes, n_rows, n_features), np.nan, dtype), read_only=False)
        errors = guarded(np.full(n_rows, np.nan), read_only=False)
        derivatives = guarded(np.full(len(codes.values), np.nan, dtype), read_only=False)
        inputs = Codes(*(guarded(one) for one in codes)), rows, guarded(W), guarded(bias), guarded(targets)
        ops.residuals(*inputs, ends, scale, out, errors, derivatives)
        guarded.check()

        exact = [dense[:, :end].astype(float) @ W[:end] + bias - targets for end in ends]
        by_entry = sum(
            scale / n_prefixes * (one @ W.T) * (np.arange(n_latents) < end)
            for one, end in zip(exact, ends, strict=True)
        )
        tolerance = {"rtol": 0, "atol": (FLOAT32 if dtype == np.float32 else EXACT) * (1 + np.abs(by_entry).max())}
        for prefix in range(n_prefixes):
            expected = scale / n_prefixes * np.sum(exact[prefix:], axis=0)
            np.testing.assert_allclose(out[prefix][there], expected[there], **tolerance)
        np.testing.assert_allclose(errors[there], 0.5 * np.mean([(one**2).sum(1) for one in exact], axis=0)[there])
        row_of, latent_of = np.nonzero(dense)
        np.testing.assert_allclose(derivatives[there[row_of]], by_entry[row_of, latent_of][there[row_of]], **tolerance)
        for untouched in (out[:, ~there], errors[~there], derivatives[~there[row_of]]):
            assert np.isnan(untouched).all()


def test_rows_without_entries_decode_to_the_bias(ops):
    codes = Codes(np.zeros(4, np.int64), np.empty(0, np.int32), np.empty(0))
    out, errors = np.empty((2, 3, 2)), np.empty(3)
    targets = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 2.0]])
    ops.residuals(
        codes,
        slice(0, 3),
        np.ones((4, 2)),
        np.array([1.0, 2.0]),
        targets,
        np.array([1, 4]),
        1.0,
        out,
        errors,
        codes.values,
    )
    np.testing.assert_array_equal(errors, [2.5, 0, 2])
    np.testing.assert_array_equal(out[0], [[1, 2], [0, 0], [-2, 0]])
    np.testing.assert_array_equal(out[1], out[0] / 2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_features", [1, 3, 257])
@pytest.mark.parametrize("n_latents", [1, 15, 17, 300])
def test_sums_over_the_rows_of_a_latent_are_those_of_dense_codes(ops, n_latents, n_features, dtype):
    for n_rows in (1, 5, 9, 65):
        codes, dense = some_codes(n_rows, n_latents, dtype)
        guarded = Guarded()
        by_latent = ops.by_latent(Codes(*(guarded(one) for one in codes)), n_latents)
        rows, latents = np.nonzero(dense)
        order = np.lexsort((rows, latents))
        np.testing.assert_array_equal(by_latent.starts, [0, *np.cumsum(np.count_nonzero(dense, axis=0))])
        np.testing.assert_array_equal(by_latent.rows, rows[order])
        np.testing.assert_array_equal(by_latent.entries, order)

        factors, vectors = whole_numbers(len(rows), dtype, 1), whole_numbers((n_rows, n_features), dtype, 2)
        multiples = np.zeros_like(dense)
        multiples[rows, latents] = factors
        for part in (slice(0, n_latents), slice(n_latents // 3, n_latents - n_latents // 4)):
            out = guarded(np.full((part.stop - part.start, n_features), np.nan, dtype), read_only=False)
            ops.gather(by_latent, part, guarded(factors), guarded(vectors), out)
            np.testing.assert_array_equal(out, multiples[:, part].T @ vectors)
        guarded.check()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_features", FEATURES)
def test_rows_are_scaled_to_norm_one_and_gradients_lose_their_part_along_them(ops, n_features, dtype):
    tolerance = FLOAT32 if dtype == np.float32 else EXACT
    draw, guarded = np.random.default_rng(0), Guarded()
    weights = draw.standard_normal((17, n_features)).astype(dtype)
    weights[5] = 0
    norms = np.linalg.norm(weights.astype(float), axis=1)
    norms[5] = 1
    W = guarded(weights, read_only=False)
    ops.normalise_rows(W)
    np.testing.assert_allclose(W, weights / norms[:, None], rtol=tolerance)
    np.testing.assert_array_equal(W[5], 0)

    G = draw.standard_normal((17, n_features)).astype(dtype)
    gradient = guarded(G, read_only=False)
    ops.project_off_rows(gradient, W)
    unit = W.astype(float)
    expected = [g - (g @ w) * w for g, w in zip(G.astype(float), unit, strict=True)]
    np.testing.assert_allclose(gradient, expected, rtol=tolerance, atol=tolerance)
    guarded.check()


# Codes as values.


def test_parts_of_codes():
    codes, dense = some_codes(11, 8, np.float64)
    np.testing.assert_array_equal(codes.as_matrix(8).toarray(), dense)
    np.testing.assert_array_equal(codes.rows, np.nonzero(dense)[0])
    assert codes.n_rows == 11
    parts = [codes.of_rows(slice(*borders)) for borders in ((0, 3), (3, 3), (3, 10), (10, 11))]
    for part, rows in zip(parts, (dense[:3], dense[3:3], dense[3:10], dense[10:]), strict=True):
        np.testing.assert_array_equal(part.as_matrix(8).toarray(), rows)
    np.testing.assert_array_equal(joined(parts).as_matrix(8).toarray(), dense)
    large = codes.where(codes.values > 2)
    np.testing.assert_array_equal(large.as_matrix(8).toarray(), np.where(dense > 2, dense, 0))
