"""The primitives of sparse codes on PyTorch's tensors agree with NumPy's, whatever the budget of memory."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from rhohat.ops import NUMPY, torch_codes
from rhohat.ops.code_ops import ByLatent, CodeOps, Codes
from rhohat.ops.torch_code_ops import TorchCodeOps
from rhohat.ops.torch_codes import rows_of_entries, segment_sums
from rhohat.ops.torch_learning import AdamStep, LearnedRows
from tests.ops.test_code_ops import k_largest, product, some_codes, whole_numbers
from tests.tolerances import EXACT

DTYPES = (np.float32, np.float64)
#: Rows, features and latents.
SHAPES = ((1, 1, 1), (2, 3, 15), (9, 17, 16), (33, 20, 70))
TOLERANCES = {np.dtype(np.float32): 1e-5, np.dtype(np.float64): EXACT}
REFERENCE = CodeOps()


@pytest.fixture(name="ops", params=[2**30, 1000, 1], ids=lambda budget: f"{budget} bytes")
def primitives(request):
    return TorchCodeOps(kernels=False, budget=request.param)


def draw(seed, *shapes, dtype=np.float64):
    numbers = np.random.default_rng(seed)
    return tuple(numbers.standard_normal(shape).astype(dtype) for shape in shapes)


def tensors(*arrays, device="cpu"):
    return tuple(None if array is None else torch.tensor(array, device=device) for array in arrays)


def poisoned(shape, dtype):
    return torch.tensor(np.full(shape, np.nan, dtype))


def assert_near(found, expected, dtype):
    """Check numbers against others that are about 1, or their sums."""
    tolerance = TOLERANCES[np.dtype(dtype)]
    scale = 1 + np.abs(expected).max(initial=0)
    np.testing.assert_allclose(found.cpu().numpy(), expected, rtol=0, atol=tolerance * scale)


def filled(a, k):
    """Which numbers `TorchCodeOps.largest` returns: the k largest, and then the first that are not positive."""
    chosen = k_largest(a, k)
    for row, numbers in zip(chosen, a, strict=True):
        row[np.flatnonzero(~(numbers > 0))[: min(k, len(row)) - row.sum()]] = True
    return chosen


def assert_largest(codes, a, k):
    chosen = filled(a, k)
    np.testing.assert_array_equal(codes.starts, min(k, a.shape[1]) * np.arange(len(a) + 1))
    np.testing.assert_array_equal(codes.latents, np.nonzero(chosen)[1])
    np.testing.assert_array_equal(codes.values, np.where(a > 0, a, 0)[chosen])
    assert codes.starts.dtype == torch.int64
    assert codes.latents.dtype == torch.int32


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_collected_is_what_numpy_collects(ops, shape, dtype):
    n_rows, n_features, n_latents = shape
    X, W, bias, thresholds = draw(0, (n_rows, n_features), (n_latents, n_features), n_latents, n_latents, dtype=dtype)
    found = ops.collect(*tensors(X, W, bias, thresholds))
    expected = REFERENCE.collect(X, W, bias, thresholds)
    np.testing.assert_array_equal(found.starts, expected.starts)
    np.testing.assert_array_equal(found.latents, expected.latents)
    assert_near(found.values, expected.values, dtype)
    np.testing.assert_array_equal(rows_of_entries(found), expected.rows)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_largest_are_those_that_sorting_finds_and_zeros(ops, shape, dtype):
    n_rows, n_features, n_latents = shape
    X, W = whole_numbers((n_rows, n_features), dtype), whole_numbers((n_latents, n_features), dtype, 1)
    bias = whole_numbers(n_latents, dtype, 2)
    X[n_rows // 2, 0], X[-1] = np.nan, 0
    a = product(X, W, bias)
    for k in (1, 2, 7, n_latents, n_latents + 5):
        assert_largest(ops.largest(*tensors(X, W, bias), k), a, k)


def test_numbers_that_are_not_finite(ops):
    X, W = np.array([[1.0], [-1.0]]), np.array([[np.inf], [-np.inf], [np.nan], [-0.0], [2.0], [1.0]])
    for k in range(1, 7):
        assert_largest(ops.largest(*tensors(X, W, np.zeros(6)), k), X @ W.T, k)
    found = ops.collect(*tensors(X, W, np.zeros(6), np.array([1.0, np.nan, 0, -1, np.inf, 0])))
    assert found.starts.tolist() == [0, 3, 4]
    assert found.latents.tolist() == [0, 3, 5, 3]


def test_there_may_be_no_entries(ops):
    X, W = whole_numbers((5, 6), float), whole_numbers((33, 6), float, 1)
    codes = ops.collect(*tensors(X, W, np.zeros(33), np.full(33, 1e9)))
    assert codes.starts.tolist() == [0] * 6
    assert len(codes.latents) == len(codes.values) == 0
    by_latent = ops.by_latent(codes, 33)
    assert by_latent.starts.tolist() == [0] * 34
    out, errors, sums = poisoned((1, 5, 6), float), poisoned(5, float), poisoned((33, 6), float)
    ops.residuals(codes, slice(0, 5), *tensors(W, np.zeros(6), X, np.array([33])), 1.0, out, errors, codes.values)
    np.testing.assert_array_equal(out[0], -X)
    ops.gather(by_latent, slice(0, 33), codes.values, torch.tensor(X), sums)
    assert not sums.any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shares", [(1.0,), (0.4, 1.0), (0.1, 0.3, 1.0)])
@pytest.mark.parametrize("shape", SHAPES)
def test_residuals_errors_and_derivatives_are_those_of_numpy(ops, shape, shares, dtype):
    n_rows, n_features, n_latents = shape
    ends = np.unique([max(1, round(share * n_latents)) for share in shares])
    codes, _ = some_codes(n_rows, n_latents, dtype)
    W, bias, targets = draw(1, (n_latents, n_features), n_features, (n_rows, n_features), dtype=dtype)
    shapes = (len(ends), n_rows, n_features), n_rows, len(codes.values)
    expected = [np.empty(one, kind) for one, kind in zip(shapes, (dtype, float, dtype), strict=True)]
    REFERENCE.residuals(codes, slice(0, n_rows), W, bias, targets, ends, 0.37, *expected)
    found = [poisoned(one, kind) for one, kind in zip(shapes, (dtype, float, dtype), strict=True)]
    given = Codes(*tensors(*codes))
    ops.residuals(given, slice(0, n_rows), *tensors(W, bias, targets, ends), 0.37, *found)
    for ours, theirs in zip(found, expected, strict=True):
        assert_near(ours, theirs, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_sums_over_the_rows_of_a_latent_are_those_of_numpy(ops, shape, dtype):
    n_rows, n_features, n_latents = shape
    codes, _ = some_codes(n_rows, n_latents, dtype)
    factors, vectors = draw(2, len(codes.values), (n_rows, n_features), dtype=dtype)
    expected_order, order = REFERENCE.by_latent(codes, n_latents), ops.by_latent(Codes(*tensors(*codes)), n_latents)
    for ours, theirs, kind in zip(order, expected_order, (torch.int64, torch.int32, torch.int32), strict=True):
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == kind
    for part in (slice(0, n_latents), slice(n_latents // 3, n_latents - n_latents // 4)):
        expected = np.empty((part.stop - part.start, n_features), dtype)
        REFERENCE.gather(expected_order, part, factors, vectors, expected)
        found = poisoned(expected.shape, dtype)
        ops.gather(order, part, *tensors(factors, vectors), found)
        assert_near(found, expected, dtype)
    sums = ops.sums_of_latents(Codes(*tensors(*codes)), order, torch.tensor(factors))
    assert sums.dtype == torch.float64
    assert_near(sums, REFERENCE.sums_of_latents(codes, expected_order, factors), dtype)


def learning(codes, n_features, dtype, seed=5, *, n_extra=0, multiples=False, on_sphere=False):
    """What is learned from codes, as arrays: weights, moments, and the parts of the gradient."""
    n_rows, n_latents = codes.n_rows, 23
    W, s, q, vectors, factors, extra, scales = draw(
        seed,
        *[(n_latents, n_features)] * 3,
        (n_rows, n_features),
        len(codes.values),
        (n_extra, n_features),
        n_latents,
        dtype=dtype,
    )
    if on_sphere:
        W /= np.linalg.norm(W, axis=1, keepdims=True)
    extra_of = np.full(n_latents, -1, np.int32)
    extra_of[np.random.default_rng(seed).permutation(n_latents)[:n_extra]] = np.arange(n_extra)
    has_extra = n_extra > 0
    return LearnedRows(
        W,
        s,
        q**2,
        factors,
        vectors,
        scales if multiples else None,
        extra if has_extra else None,
        extra_of if has_extra else None,
        on_sphere,
    )


def as_tensors(rows, device):
    arrays = [getattr(rows, name) for name in LearnedRows.__dataclass_fields__ if name != "on_sphere"]
    return LearnedRows(*tensors(*arrays, device=device), rows.on_sphere)


def learned_by_numpy(by_latent, latents, rows, betas, rate, epsilon):
    """Weights and moments after a step that is made of NumPy's primitives."""
    W, s, q = (array.copy() for array in (rows.weights, rows.sums, rows.sums_of_squares))
    gradient = np.empty_like(W[latents])
    REFERENCE.gather(by_latent, latents, rows.factors, rows.vectors, gradient)
    if rows.multiples is not None:
        gradient += rows.multiples[latents, None] * W[latents]
    if rows.extra is not None:
        for number, of in enumerate(rows.extra_of[latents]):
            gradient[number] += rows.extra[of] if of >= 0 else 0
    if rows.on_sphere:
        REFERENCE.project_off_rows(gradient, W[latents])
    NUMPY.adam_step(
        W[latents],
        gradient,
        (s[latents], q[latents]),
        np.empty_like(gradient),
        betas=betas,
        rate=rate,
        epsilon=epsilon,
    )
    if rows.on_sphere:
        REFERENCE.normalise_rows(W[latents])
    return W, s, q


#: What rows of weights that are learned have beside their gradients.
LEARNED = (
    {},
    {"multiples": True},
    {"n_extra": 5, "on_sphere": True},
    {"n_extra": 23, "multiples": True, "on_sphere": True},
)


#: The rate as a number or a tensor, and whether J is finite.
SITUATIONS = ((False, None), (True, True), (False, False))


def check_learning(ops, n_rows, n_features, dtype, latents, situations=SITUATIONS, device="cpu", **settings):
    """Check a step by these primitives against NumPy's; none is taken where J is not finite."""
    codes, _ = some_codes(n_rows, 23, dtype)
    rows, betas = learning(codes, n_features, dtype, **settings), (0.9, 0.97)
    expected = learned_by_numpy(REFERENCE.by_latent(codes, 23), latents, rows, betas, 0.3, 1e-3)
    by_latent: ByLatent = ops.by_latent(Codes(*tensors(*codes, device=device)), 23)
    for is_tensor, is_finite in situations:
        found = as_tensors(rows, device)
        numbers = tensors(*np.array([0.3, 1e-3], dtype), device=device) if is_tensor else (0.3, 1e-3)
        (finite,) = tensors(is_finite, device=device)
        ops.learn(by_latent, latents, found, AdamStep(betas, *numbers), finite)
        arrays = [array.cpu() for array in (found.weights, found.sums, found.sums_of_squares)]
        before = rows.weights, rows.sums, rows.sums_of_squares
        for ours, theirs, old in zip(arrays, expected, before, strict=True):
            if is_finite is False:
                np.testing.assert_array_equal(ours, old)
                continue
            assert_near(ours, theirs, dtype)
            untouched = np.ones(23, bool)
            untouched[latents] = False
            np.testing.assert_array_equal(ours[torch.tensor(untouched)], old[untouched])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("settings", LEARNED)
@pytest.mark.parametrize("n_features", [1, 17])
def test_a_step_of_adam_is_that_of_numpy(ops, n_features, settings, dtype):
    for latents in (slice(0, 23), slice(4, 11), slice(7, 7)):
        check_learning(ops, 40, n_features, dtype, latents, **settings)


def test_a_gradient_that_is_not_finite_leaves_no_trace(ops):
    codes, _ = some_codes(40, 23, np.float64)
    rows = as_tensors(learning(codes, 3, np.float64, on_sphere=True), "cpu")
    before = [array.clone() for array in (rows.weights, rows.sums, rows.sums_of_squares)]
    rows.vectors[3] = torch.nan
    by_latent, step = ops.by_latent(Codes(*tensors(*codes)), 23), AdamStep((0.9, 0.9), 0.1, 1e-8)
    ops.learn(by_latent, slice(0, 23), rows, step, torch.isfinite(rows.vectors).all())
    for array, old in zip((rows.weights, rows.sums, rows.sums_of_squares), before, strict=True):
        assert torch.equal(array, old)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_are_scaled_to_norm_one_and_gradients_lose_their_part_along_them(ops, dtype):
    W, G = draw(6, (17, 5), (17, 5), dtype=dtype)
    W[5] = 0
    found_W, found_G = tensors(W, G)
    ops.normalise_rows(found_W)
    ops.project_off_rows(found_G, found_W)
    REFERENCE.normalise_rows(W)
    REFERENCE.project_off_rows(G, W)
    assert_near(found_W, W, dtype)
    assert_near(found_G, G, dtype)
    assert not found_W[5].any()


def test_products_may_have_fewer_digits_but_not_those_of_float64():
    X, W, bias = draw(7, (30, 64), (100, 64), 100, dtype=np.float32)
    a = torch.addmm(*(torch.tensor(one).bfloat16() for one in (bias, X, W.T)))
    ops = TorchCodeOps(kernels=False, products="bfloat16")
    codes = ops.largest(*tensors(X, W, bias), 8)
    assert codes.values.dtype == torch.float32
    assert_largest(codes, a.float().numpy(), 8)
    found = ops.collect(*tensors(X, W, bias, np.ones(100, np.float32)))
    assert torch.equal(found.values, a[a > 1].float())
    exact = tensors(*draw(7, (30, 64), (100, 64), 100))
    known = TorchCodeOps(kernels=False).largest(*exact, 8)
    assert all(torch.equal(*pair) for pair in zip(ops.largest(*exact, 8), known, strict=True))


def test_the_budget_is_kept(monkeypatch):
    sizes, add = [], torch.addmm
    monkeypatch.setattr(torch, "addmm", lambda *given: sizes.append(add(*given).nbytes) or add(*given))
    X, W, bias = tensors(*draw(8, (100, 3), (50, 3), 50))
    for budget in (1, 10_000, 2**30):
        ops = TorchCodeOps(kernels=False, budget=budget)
        ops.largest(X, W, bias, 3)
        ops.collect(X, W, bias, bias)
        assert max(sizes) <= max(budget, 50 * 8)
    assert max(sizes) == 100 * 50 * 8


@pytest.mark.parametrize("ends", [[15], [4, 15]])
def test_nobody_waits_for_numbers_that_are_computed(ends):
    """Tensors without numbers raise errors where one is asked for, and are on a device without sums of segments."""
    ops = TorchCodeOps(kernels=False)
    with torch.device("meta"):
        X, W, bias = torch.empty(9, 4), torch.empty(15, 4), torch.empty(15)
        codes = ops.largest(X, W, bias, 3)
        given = codes, slice(0, 9), W, X[0], X, torch.tensor(ends), 0.1
        ops.residuals(*given, torch.empty(len(ends), 9, 4), torch.empty(9), codes.values)
        by_latent = ops.by_latent(codes, 15)
        ops.sums_of_latents(codes, by_latent, codes.values)
        ops.largest_of_all(codes, 5)
        ops.decode(codes, W)
        for number in (ops.total(codes.values), ops.count(codes.values), ops.nth_largest(bias, 2)):
            assert number.ndim == 0
        rows = LearnedRows(W, W, W, codes.values, X, bias, X, torch.zeros(15, dtype=torch.int32), on_sphere=True)
        ops.learn(by_latent, slice(0, 15), rows, AdamStep((0.9, 0.9), bias[0], 1e-8), torch.tensor(True))
        with pytest.raises(NotImplementedError):
            ops.collect(X, W, bias, bias)


def test_sums_of_segments_where_pytorch_has_none(monkeypatch):
    numbers, starts = torch.arange(12.0).view(6, 2), torch.tensor([1, 1, 3, 5])
    assert segment_sums(numbers, starts).tolist() == [[0, 0], [6, 8], [14, 16]]
    monkeypatch.setattr(torch_codes, "_WITH_SEGMENTS", ())
    assert segment_sums(numbers, starts).tolist() == [[0, 0], [6, 8], [14, 16]]


def test_one_part_has_all_rows_and_settings_are_checked():
    assert TorchCodeOps().row_parts(1000, 4) == [slice(0, 1000)]
    assert TorchCodeOps().name == "torch"
    with pytest.raises(ValueError, match=r"products must be one of \('exact', 'tf32', 'bfloat16'\); got 'half'"):
        TorchCodeOps(products="half")
    with pytest.raises(ValueError, match="budget must be a positive number of bytes, not 0"):
        TorchCodeOps(budget=0)


def test_without_triton_all_but_the_kernels_is_there():
    code = (
        "import sys; sys.modules['triton'] = None\n"
        "import torch; from rhohat.ops.torch_code_ops import TorchCodeOps\n"
        "given = torch.eye(3), torch.eye(3), torch.zeros(3), 2\n"
        "print(*TorchCodeOps().largest(*given).latents.tolist())\n"
        "try: TorchCodeOps(kernels=True).largest(*given)\n"
        "except ImportError as error: print(error)"
    )
    outcome = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    latents, message = outcome.stdout.splitlines()
    assert latents == "0 1 0 1 0 2"
    assert "triton is needed" in message


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_that_are_asked_of_codes_are_those_of_numpy(ops, dtype):
    """Whole numbers, of which many are equal, so that it is seen which of equal ones are taken."""
    codes, _ = some_codes(23, 15, dtype)
    codes = codes._replace(values=np.round(3 * codes.values))
    given, (numbers,) = Codes(*tensors(*codes)), tensors(codes.values)
    for n in (1, len(codes.values) // 3, len(codes.values) - 1):
        assert ops.nth_largest(numbers, n).item() == REFERENCE.nth_largest(codes.values, n)
        for ours, theirs in zip(ops.largest_of_all(given, n), REFERENCE.largest_of_all(codes, n), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    for ours, theirs in zip(ops.positive(given), REFERENCE.positive(codes), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert ops.total(numbers).item() == REFERENCE.total(codes.values)
    assert ops.count(numbers > 1).item() == REFERENCE.count(codes.values > 1)
    assert ops.number(3.5) == REFERENCE.number(3.5)
    (a, W) = draw(4, (9, 15), (15, 4), dtype=dtype)
    assert_near(ops.sum_of_squares(torch.tensor(a)), REFERENCE.sum_of_squares(a), dtype)
    a = np.round(2 * a)
    for k in (1, 4, 15, 20):
        np.testing.assert_array_equal(ops.largest_of_rows(torch.tensor(a), k), REFERENCE.largest_of_rows(a, k))
    assert_near(ops.decode(given, torch.tensor(W)), REFERENCE.decode(codes, W), dtype)
