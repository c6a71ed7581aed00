"""Every kernel of Triton beside NumPy: odd sizes, long lists, empty ones, and numbers that are not finite.

The kernels run on the CPU, in Triton's interpreter, unless TRITON_INTERPRET=0 is set where there is a GPU.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import triton

from rhohat.ops.code_ops import CodeOps, Codes
from rhohat.ops.torch_code_ops import TorchCodeOps
from rhohat.ops.torch_learning import AdamStep, LearnedRows
from rhohat.ops.triton_kernels import collecting, decoding, gathering, largest
from tests.ops.test_code_ops import some_codes
from tests.ops.test_torch_code_ops import LEARNED, as_tensors, assert_near, check_learning, filled, learning
from tests.ops.test_torch_code_ops import tensors as tensors_on

DEVICE = "cpu" if triton.knobs.runtime.interpret or not torch.cuda.is_available() else "cuda"
DTYPES = (np.float32, np.float64)
REFERENCE = CodeOps()
OPS = TorchCodeOps(kernels=True)


@pytest.fixture(name="draw")
def random_numbers():
    """Numbers that are new in every run; a failing test prints the seed."""
    seed = np.random.SeedSequence().entropy % 2**32
    print("seed", seed)  # shown where a test fails
    return np.random.default_rng(seed)


def tensors(*arrays):
    return tensors_on(*arrays, device=DEVICE)


def poisoned(shape, dtype):
    """A tensor of NaN, or of numbers that belong to no latent."""
    dtype = np.dtype(dtype)
    return torch.tensor(np.full(shape, np.nan if dtype.kind == "f" else -(2**20), dtype), device=DEVICE)


# The k largest.


def check_largest(a, k):
    """Check the kernel on a matrix of numbers, given as an array or as a tensor of bfloat16."""
    (given,) = (a,) if isinstance(a, torch.Tensor) else tensors(a)
    a = given.double().cpu().numpy()
    latents, values = poisoned((len(a), k), np.int32), poisoned((len(a), k), np.float64)
    largest.keep_largest(given, k, latents, values)
    chosen = filled(a, k)
    np.testing.assert_array_equal(latents.cpu().ravel(), np.nonzero(chosen)[1])
    np.testing.assert_array_equal(values.cpu().ravel(), np.where(a > 0, a, 0)[chosen])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 2, 15, 16, 17, 100, 1025, 5000])
def test_the_largest_are_those_that_sorting_finds(n, dtype, draw):
    a = draw.standard_normal((2, n)).astype(dtype)
    for k in {min(k, n) for k in (1, 2, 31, n if n < 1000 else 200)}:
        check_largest(a, k)


def test_of_equal_numbers_the_first_are_taken(draw):
    for n in (40, 2500):
        a = draw.integers(-3, 4, (2, n)).astype(np.float32)
        for k in (1, 5, 33, n // 2):
            check_largest(a, k)
        check_largest(np.ones((1, n)), 7)
        check_largest(-np.ones((1, n)), 7)


def test_rows_of_bfloat16(draw):
    for n in (33, 2300):
        check_largest(torch.tensor(draw.standard_normal((2, n)), device=DEVICE).bfloat16(), 9)


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_that_are_not_finite_zeros_with_a_sign_and_tiny_ones(dtype, draw):
    tiny = np.nextafter(dtype(0), dtype(1))
    special = np.array([np.nan, -np.nan, np.inf, -np.inf, 0, -0.0, tiny, -tiny, np.finfo(dtype).max], dtype)
    a = draw.standard_normal((5, 50)).astype(dtype)
    a[0] = np.nan
    a[1] = draw.permutation(np.concatenate([special, np.full(41, -1)]))
    a[2, ::3] = np.inf
    a[3, ::2], a[3, 1::2] = np.nan, -0.0
    a[4] = draw.choice(special, 50)
    for k in (1, 4, 20, 50):
        check_largest(a, k)


@pytest.mark.parametrize("k", [1, 2, 3, 29, 30, 31])
def test_it_does_not_matter_where_the_largest_are(k, draw):
    """A program looks at columns that are a block apart together, and keeps two numbers of them at first."""
    block = largest._COLUMNS
    a = draw.standard_normal((3, 3 * block + 100)).astype(np.float32)
    a[0, 7::block] = [50, 40, 60, 45]
    for lane in range(12):
        a[1, lane::block][:3] = 100 * 2.0**-lane + draw.random(3)
    a[2] = np.sort(a[2])
    check_largest(a, k)


def test_few_positive_numbers_are_filled_up(draw):
    block = largest._COLUMNS
    a = -np.abs(draw.standard_normal((2, 2 * block + 50)))
    a[0, [5, block + 5, 2 * block + 5, 6]] = [3, 1, 2, 1]
    for k in (1, 3, 4, 5, 64):
        check_largest(a, k)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_same_through_primitives(dtype, draw):
    X, W, bias = (draw.standard_normal(shape).astype(dtype) for shape in ((5, 7), (37, 7), 37))
    for budget in (2**30, 37 * 8 * 2, 1):
        found = TorchCodeOps(kernels=True, budget=budget).largest(*tensors(X, W, bias), 4)
        expected = REFERENCE.largest(X, W, bias, 4)
        kept = found.values > 0
        np.testing.assert_array_equal(found.starts.cpu(), 4 * np.arange(6))
        np.testing.assert_array_equal(found.latents[kept].cpu(), expected.latents)
        assert_near(found.values[kept], expected.values, dtype)


# Numbers above thresholds.


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 16, 37, 2100])
def test_what_is_collected_is_above_the_thresholds(n, dtype, draw):
    a, thresholds = draw.standard_normal((4, n)).astype(dtype), draw.standard_normal(n).astype(dtype)
    a[0], a[1, ::2], a[2, 1::2], thresholds[::7] = -9, np.nan, np.inf, -np.inf
    thresholds[-1] = np.nan
    counts, latents, values = collecting.collect(*tensors(a, thresholds), torch.float64)
    chosen = a > thresholds
    np.testing.assert_array_equal(counts.cpu(), chosen.sum(1))
    np.testing.assert_array_equal(latents.cpu(), np.nonzero(chosen)[1])
    np.testing.assert_array_equal(values.cpu(), a[chosen])


def test_codes_are_collected_some_rows_at_a_time(draw):
    X, W, bias = (draw.standard_normal(shape) for shape in ((5, 7), (37, 7), 37))
    expected = REFERENCE.collect(X, W, bias, bias + 0.5)
    for budget in (2**30, 37 * 8 * 2, 1):
        found = TorchCodeOps(kernels=True, budget=budget).collect(*tensors(X, W, bias, bias + 0.5))
        np.testing.assert_array_equal(found.starts.cpu(), expected.starts)
        np.testing.assert_array_equal(found.latents.cpu(), expected.latents)
        assert_near(found.values, expected.values, np.float64)
    none = OPS.collect(*tensors(X, W, bias, np.full(37, 1e9)))
    assert none.starts.tolist() == [0] * 6
    assert len(none.latents) == 0


# Codes decoded and differentiated.


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("ends", [(30,), (1, 30), (3, 11, 30)])
@pytest.mark.parametrize(("n_rows", "n_features"), [(1, 1), (5, 3), (9, 17), (6, 130), (2, 4099)])
def test_residuals_errors_and_derivatives(n_rows, n_features, ends, dtype, draw):
    codes, _ = some_codes(n_rows, 30, dtype, seed=draw)
    W, bias, targets = (
        draw.standard_normal(shape).astype(dtype) for shape in ((30, n_features), n_features, (n_rows, n_features))
    )
    check_residuals(codes, W, bias, targets, np.array(ends), dtype)


def check_residuals(codes, W, bias, targets, ends, dtype):
    shapes = (len(ends), *targets.shape), len(targets), len(codes.values)
    expected = [np.empty(one, kind) for one, kind in zip(shapes, (dtype, float, dtype), strict=True)]
    REFERENCE.residuals(codes, slice(0, len(targets)), W, bias, targets, ends, 0.3, *expected)
    found = [poisoned(one, kind) for one, kind in zip(shapes, (dtype, float, dtype), strict=True)]
    given = Codes(*tensors(*codes)), slice(0, len(targets)), *tensors(W, bias, targets, ends), 0.3
    OPS.residuals(*given, *found)
    for ours, theirs in zip(found, expected, strict=True):
        assert_near(ours, theirs, dtype)
    again = [poisoned(one, kind) for one, kind in zip(shapes, (dtype, float, dtype), strict=True)]
    OPS.residuals(*given, *again)
    assert all(torch.equal(*pair) for pair in zip(found, again, strict=True))


def test_rows_with_many_entries_and_latents_of_all_rows(draw):
    dense = draw.standard_normal((4, 150))
    dense[1, 5:], dense[2] = 0, 0
    starts = np.concatenate([[0], np.cumsum(np.count_nonzero(dense, axis=1))])
    codes = Codes(starts, np.nonzero(dense)[1].astype(np.int32), dense[dense != 0])
    W, bias, targets = draw.standard_normal((150, 20)), draw.standard_normal(20), draw.standard_normal((4, 20))
    for ends in ([150], [70, 71, 150]):
        check_residuals(codes, W, bias, targets, np.array(ends), np.float64)
    assert decoding.has_differentiated(torch.empty(150, 20), 1)
    assert not decoding.has_differentiated(torch.empty(150, 20), 2)


# Gradients gathered by latent, and used.


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("n_rows", "n_features"), [(1, 1), (9, 17), (60, 5), (4, 4099)])
def test_sums_over_the_rows_of_a_latent(n_rows, n_features, dtype, draw):
    codes, dense = some_codes(n_rows, 15, dtype, seed=draw)
    factors, vectors = (draw.standard_normal(one).astype(dtype) for one in (len(codes.values), (n_rows, n_features)))
    multiples = np.zeros_like(dense)
    multiples[np.nonzero(dense)] = factors
    by_latent = OPS.by_latent(Codes(*tensors(*codes)), 15)
    for latents, chunks in ((slice(0, 15), (2, 7)), (slice(4, 5), (3,)), (slice(7, 7), (1,)), (slice(6, 15), (64,))):
        for chunk in chunks:
            out = poisoned((latents.stop - latents.start, n_features), dtype)
            gathering.gather(by_latent, latents, *tensors(factors, vectors), out, chunk)
            assert_near(out, multiples[:, latents].T @ vectors, dtype)


def test_a_latent_that_all_rows_use(draw):
    n_rows, dense = 700, draw.standard_normal((700, 4))
    dense[:, 1], dense[300:, 2], dense[::3, 3] = 0, 0, 0
    starts = np.concatenate([[0], np.cumsum(np.count_nonzero(dense, axis=1))])
    codes = Codes(*tensors(starts, np.nonzero(dense)[1].astype(np.int32), dense[dense != 0]))
    vectors, out = draw.standard_normal((n_rows, 11)), poisoned((4, 11), float)
    by_latent = OPS.by_latent(codes, 4)
    OPS.gather(by_latent, slice(0, 4), codes.values, *tensors(vectors), out)
    assert_near(out, dense.T @ vectors, np.float64)
    assert not out[1].any()
    again = poisoned((4, 11), float)
    OPS.gather(by_latent, slice(0, 4), codes.values, *tensors(vectors), again)
    assert torch.equal(out, again)


def test_chunks_are_longer_where_their_sums_would_not_fit(draw):
    codes = Codes(*tensors(np.arange(2049), np.zeros(2048, np.int32), np.ones(2048)))
    vectors = torch.ones((2048, 3), dtype=torch.float64, device=DEVICE)
    for budget, chunk in ((2**30, 256), (100, 512), (80, 1024), (1, 4096)):
        ops, out = TorchCodeOps(kernels=True, budget=budget), poisoned((1, 3), float)
        by_latent = ops.by_latent(codes, 1)
        assert ops._chunk(by_latent, out) == chunk
        ops.gather(by_latent, slice(0, 1), codes.values, vectors, out)
        assert (out == 2048).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("settings", LEARNED)
def test_a_step_of_adam(settings, dtype, draw):
    for n_features in (1, 19):
        seed = int(draw.integers(2**31))
        check_learning(
            OPS, 30, n_features, dtype, slice(0, 23), [(n_features > 1, None)], DEVICE, seed=seed, **settings
        )
        check_learning(OPS, 30, n_features, dtype, slice(5, 9), device=DEVICE, seed=seed, **settings)


def test_a_step_of_adam_for_rows_that_are_too_long_for_registers(draw):
    seed = int(draw.integers(2**31))
    check_learning(OPS, 5, 8200, np.float64, slice(3, 6), device=DEVICE, seed=seed, on_sphere=True)
    check_learning(OPS, 5, 8190, np.float64, slice(3, 6), device=DEVICE, seed=seed, on_sphere=True)


def test_a_gradient_that_is_not_finite_leaves_no_trace(draw):
    codes, _ = some_codes(40, 23, np.float64)
    rows = as_tensors(learning(codes, 3, np.float64, on_sphere=True), DEVICE)
    before = [array.clone() for array in (rows.weights, rows.sums, rows.sums_of_squares)]
    rows.vectors[3] = torch.nan
    step, finite = AdamStep((0.9, 0.9), 0.1, 1e-8), torch.isfinite(rows.vectors).all()
    OPS.learn(OPS.by_latent(Codes(*tensors(*codes)), 23), slice(0, 23), rows, step, finite)
    for array, old in zip((rows.weights, rows.sums, rows.sums_of_squares), before, strict=True):
        assert torch.equal(array, old)


def test_vectors_may_have_fewer_digits_than_weights(draw):
    codes, dense = some_codes(20, 23, np.float32)
    vectors = torch.tensor(draw.standard_normal((20, 6)), device=DEVICE).bfloat16()
    given, out = Codes(*tensors(*codes)), poisoned((23, 6), np.float32)
    by_latent = OPS.by_latent(given, 23)
    OPS.gather(by_latent, slice(0, 23), given.values, vectors, out)
    assert_near(out, dense.T @ vectors.float().cpu().numpy(), np.float32)
    zeros = [torch.zeros((23, 6), device=DEVICE) for _ in range(3)]
    rows = LearnedRows(*zeros, given.values, vectors)
    OPS.learn(by_latent, slice(0, 23), rows, AdamStep((0.5, 0.5), 1.0, 1.0))
    assert torch.equal(zeros[1], out)


# What a GPU runs.


def test_every_kernel_compiles_for_a_gpu_and_has_no_atomic_operation(tmp_path):
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    outcome = subprocess.run(
        [sys.executable, "-m", "tests.ops.compiling_for_gpus"], env=environment, capture_output=True, text=True
    )
    assert outcome.returncode == 0, outcome.stderr
    names = {"_keep_largest", "_count", "_write", "_decode", "_differentiate", "_add_chunks", "_gather", "_learn"}
    assert set(outcome.stdout.split()) == names


def test_kernels_are_for_gpus_unless_they_are_asked_for():
    tensor = torch.zeros(3)
    assert TorchCodeOps()._kernels("largest", tensor) is None
    assert TorchCodeOps(kernels=False)._kernels("largest", tensor) is None
    assert OPS._kernels("largest", tensor) is largest
