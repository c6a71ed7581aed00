"""The primitives that Numba compiles agree with NumPy's, wherever they are used."""

import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("numba", reason="the extra 'fast' is not installed")

from rhohat.checking.proofs import proof_cases
from rhohat.engines import ThreadEngine
from rhohat.layers import GRULayer, LSTMLayer, MaxPoolingLayer, Windows
from rhohat.layers.activations import Identity, LeakyReLU, ReLU, Sigmoid, Softmax, Tanh
from rhohat.layers.network import dense_network, network_of
from rhohat.layers.recurrent import Direction
from rhohat.layers.simple_recurrent import SimpleRecurrentLayer
from rhohat.objective import Problem, make_objective
from rhohat.objective.mini_batches import MiniBatches
from rhohat.ops import NUMPY
from rhohat.ops.compiled_ops import COMPILED
from rhohat.ops.numpy_ops import NumpyOps
from rhohat.solvers import SGD, Adam
from rhohat.terms.losses import BinaryCrossEntropy, SoftmaxCrossEntropy, SquaredError
from rhohat.terms.penalties import KLSparsity, WeightDecay
from tests.checking.test_proofs import OTHERS
from tests.tolerances import FLOAT32_COST

CASES = {f"{number}, {case}": case for number, case in enumerate(proof_cases())} | OTHERS

#: Relative difference that primitives may have, by data type.
TOLERANCES = {np.float64: 1e-13, np.float32: 1e-5}
dtypes = pytest.mark.parametrize("dtype", TOLERANCES)

#: Around the sizes at which products change their form: whole and broken tiles, vectors, groups and panels.
SHAPES = [
    (8, 1, 1), (8, 3, 2), (9, 7, 8), (13, 5, 33), (24, 64, 25), (31, 25, 64), (255, 17, 9), (256, 8, 16), (257, 31, 65),
    (64, 37, 530), (300, 300, 12), (600, 12, 100), (700, 140, 150), (1024, 64, 25),
]  # fmt: skip
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


class Doubled(Sigmoid):
    """An activation of a user, with an inherited name."""

    def apply(self, z):
        super().apply(z)
        z *= 2


def assert_agree(found, expected, dtype, scale=None):
    """The difference is small beside the largest number, or beside `scale`."""
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    assert found.shape == expected.shape
    scale = np.abs(expected).max(initial=0) if scale is None else scale
    assert np.abs(found - expected).max(initial=0) <= TOLERANCES[dtype] * scale


def draw(shape, dtype, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


# Products and sums.


@dtypes
@shapes
def test_products_agree(shape, dtype):
    m, k, n = shape
    A, B, D = draw((m, k), dtype), draw((k, n), dtype, 1), draw((m, n), dtype, 2)
    out, back, gradient = (np.full(size, np.nan, dtype) for size in ((m, n), (m, k), (k, n)))
    COMPILED.multiply(A, B, out)
    COMPILED.multiply(D, B.T, back)
    COMPILED.multiply_transposed(A, D, gradient)
    A, B, D = (one.astype(np.float64) for one in (A, B, D))
    for found, left, right in ((out, A, B), (back, D, B.T), (gradient, A.T, D)):
        assert_agree(found, left @ right, dtype, scale=(np.abs(left) @ np.abs(right)).max())


@dtypes
def test_a_product_reads_nothing_after_the_end_of_a_matrix(dtype):
    """What follows a matrix in memory may be anything; NaN would show in the product."""
    m, k, n = 64, 20, 25
    memory = np.full(k * n + m * n + 200, np.nan, dtype)
    B, D = memory[: k * n].reshape(k, n), memory[k * n + 100 :][: m * n].reshape(m, n)
    B[:], D[:] = draw((k, n), dtype), draw((m, n), dtype)
    A, out, gradient = draw((m, k), dtype), np.empty((m, n), dtype), np.empty((k, n), dtype)
    COMPILED.multiply(A, B, out)
    COMPILED.multiply_transposed(A, D, gradient)
    assert np.isfinite(out).all()
    assert np.isfinite(gradient).all()


@dtypes
@pytest.mark.parametrize(("n_columns", "k"), [(1, 1), (8, 16), (37, 70), (64, 300)])
def test_a_transposed_matrix_may_be_some_columns_of_a_larger_one(n_columns, k, dtype):
    """What is beside it in memory may be anything."""
    memory = np.full((n_columns + 2, k + 9), np.nan, dtype)
    B = memory[1:-1, 5:-4]
    B[:] = draw(B.shape, dtype)
    A, out = draw((40, k), dtype, 1), np.empty((40, n_columns), dtype)
    memory.flags.writeable = False
    COMPILED.multiply(A, B.T, out)
    assert_agree(out, A.astype(np.float64) @ B.T, dtype, scale=(np.abs(A) @ np.abs(B.T)).max())


@dtypes
@shapes
def test_products_in_new_memory_agree(shape, dtype):
    """Either factor may be transposed, as in the gradient of tied weights and on the way back through steps."""
    m, k, n = shape
    A, B = draw((m, k), dtype), draw((k, n), dtype, 1)
    expected, scale = A.astype(np.float64) @ B, (np.abs(A) @ np.abs(B)).max()
    for left in (A, np.asfortranarray(A)):
        for right in (B, np.asfortranarray(B)):
            found = COMPILED.product(left, right)
            assert found.dtype == dtype
            assert found.flags.c_contiguous
            assert_agree(found, expected, dtype, scale)


@dtypes
def test_products_in_new_memory_take_any_factors(dtype):
    """Single rows and none, every second column, stacks of matrices, and matrices of two data types."""
    A, B = draw((40, 24), dtype), draw((24, 30), dtype, 1)
    A.flags.writeable = B.flags.writeable = False
    for left, right in [
        (A[:1], B), (A[:0], B), (A, B[:, :1]), (A, B[:, :0]), (A[:, :0], B[:0]), (A[:, ::2], B[::2]), (A[:, :1], B[:1]),
        (A.reshape(5, 8, 24), B), (A, B.astype(np.float64)),
    ]:  # fmt: skip
        found, expected = COMPILED.product(left, right), NUMPY.product(left, right)
        assert found.dtype == expected.dtype
        assert_agree(found, expected, dtype)
    A = A.copy()
    A[17, 3] = np.nan
    assert (np.isnan(COMPILED.product(A, B)).any(axis=1) == (np.arange(40) == 17)).all()


@dtypes
def test_products_write_nothing_beside_the_result(dtype):
    m, k, n = 37, 9, 13
    memory = np.full((m + 2, n), 7, dtype)
    COMPILED.multiply(draw((m, k), dtype), draw((k, n), dtype), memory[1:-1])
    assert (memory[[0, -1]] == 7).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_row(bad):
    A, B, out = draw((40, 16), np.float64), draw((16, 24), np.float64), np.empty((40, 24))
    A[17, 3] = bad
    COMPILED.multiply(A, B, out)
    assert not np.isfinite(out[17]).any()
    assert np.isfinite(np.delete(out, 17, axis=0)).all()


@dtypes
def test_matrices_that_are_not_contiguous_are_taken_by_numpy(dtype):
    A, B = draw((64, 40), dtype)[:, 3:30], draw((27, 50), dtype)[:, ::2]
    out, gradient = np.empty((64, 60), dtype)[:, 5:30], np.empty((27, 25), dtype)
    COMPILED.multiply(A, B, out)
    COMPILED.multiply_transposed(A, out, gradient)
    assert_agree(out, A @ B, dtype)
    assert_agree(gradient, A.T @ out, dtype)


def test_matrices_that_only_numpy_can_multiply_are_left_to_it():
    """Rows in reverse order, one row again and again, rows that overlap, and a product that overwrites a factor."""
    A, row = draw((40, 20), np.float64), draw(25, np.float64)
    overlapping = np.lib.stride_tricks.as_strided(draw(100, np.float64), (20, 25), (8, 8))
    for B in (draw((20, 25), np.float64)[::-1], np.broadcast_to(row, (20, 25)), overlapping):
        out, gradient = np.empty((40, 25)), np.empty((20, 25))
        COMPILED.multiply(A, B, out)
        assert_agree(out, A @ B, np.float64)
        COMPILED.multiply_transposed(A[:20], B, gradient)
        assert_agree(gradient, A[:20].T @ B, np.float64)
    S, W = draw((40, 25), np.float64), draw((25, 25), np.float64)
    expected = S @ W
    COMPILED.multiply(S, W, S)
    assert_agree(S, expected, np.float64)
    half = draw((40, 20), np.float16)
    COMPILED.multiply(half, half.T, np.empty((40, 40), np.float16))


def test_a_product_that_is_not_one_is_refused():
    with pytest.raises(ValueError, match="mismatch"):
        COMPILED.multiply(np.ones((16, 4)), np.ones((3, 9)), np.empty((16, 9)))
    fixed = np.ones((16, 9))
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        COMPILED.multiply(np.ones((16, 4)), np.ones((4, 9)), fixed)
    assert (fixed == 1).all()


@dtypes
@pytest.mark.parametrize("n", [1, 25, 512, 700])
@pytest.mark.parametrize("n_rows", [1, 33, 5000])
def test_sums_agree(n_rows, n, dtype):
    X, row, ones = np.abs(draw((n_rows, n), dtype)), draw(n, dtype), np.ones((1, n_rows), dtype)
    out, weights = np.empty((1, n), dtype), np.abs(draw((1, n_rows), dtype))
    exact = X.astype(np.float64)
    COMPILED.sum_rows(X, ones, out)
    assert_agree(out[0], exact.sum(0), dtype)
    assert_agree(COMPILED.column_sums(X), exact.sum(0), dtype)
    COMPILED.sum_rows(X, ones, out, weights)
    assert_agree(out[0], weights[0].astype(np.float64) @ exact, dtype)
    assert COMPILED.sum_of_squares(X) == pytest.approx((exact**2).sum(), rel=TOLERANCES[dtype])
    COMPILED.add_row(X, row)
    np.testing.assert_array_equal(X, exact.astype(dtype) + row)


# Functions.

#: Pre-activations at which the parts of the formulas change, in all directions and to the ends.
Z = np.concatenate(
    [
        np.linspace(-40, 40, 4001),
        *(np.array([1, -1])[:, None] * np.logspace(-300, 300, 1201)),
        [0.0, -0.0, np.inf, -np.inf, np.nan],
    ]
)


def pre_activations(dtype):
    with np.errstate(over="ignore", under="ignore"):
        return Z.astype(dtype)


def assert_close_everywhere(found, expected, dtype):
    """Relative to each number; where one is too small to be normal, the other is so too."""
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    ulp = 4 * np.finfo(dtype).eps
    tiny = np.finfo(dtype).tiny
    np.testing.assert_allclose(found, expected, rtol=ulp, atol=tiny)


@dtypes
@pytest.mark.filterwarnings("ignore:overflow|underflow")
def test_functions_are_exact_everywhere(dtype):
    z = pre_activations(dtype)[None]
    wide = z.astype(np.longdouble)
    out = np.empty_like(z)
    with np.errstate(all="ignore"):
        COMPILED.sigmoid(z, out)
        assert_close_everywhere(out, (1 / (1 + np.exp(-wide))).astype(dtype), dtype)
        COMPILED.tanh(z, out)
        assert_close_everywhere(out, np.tanh(wide).astype(dtype), dtype)
        assert (np.signbit(out) == np.signbit(z)).all()
        assert_close_everywhere(COMPILED.softplus_tail(z), np.log1p(np.exp(-np.abs(wide))).astype(dtype), dtype)


@dtypes
@pytest.mark.parametrize("n", [1, 10, 25, 700])
def test_activations_with_bias_and_their_pull_backs_agree(n, dtype):
    bias, deltas = draw(n, dtype), draw((50, n), dtype, 3)
    for name in ("sigmoid", "tanh", "relu"):
        z = 3 * draw((50, n), dtype)
        found, expected = z.copy(), z.copy()
        getattr(COMPILED, f"{name}_with_bias")(found, bias)
        getattr(NUMPY, f"{name}_with_bias")(expected, bias)
        assert_agree(found, expected, dtype)
        delta, expected_delta = deltas.copy(), deltas.copy()
        getattr(COMPILED, f"{name}_pull_back")(found, delta)
        getattr(NUMPY, f"{name}_pull_back")(expected, expected_delta)
        assert_agree(delta, expected_delta, dtype)


def test_a_rectified_nan_stays_nan_and_shows_in_the_gradient():
    z = np.array([[np.nan, -1.0, 1.0, 0.0]])
    COMPILED.relu_with_bias(z, np.zeros(4))
    np.testing.assert_array_equal(z, [[np.nan, 0, 1, 0]])
    delta = np.array([[1.0, 1.0, 1.0, np.nan]])
    COMPILED.relu_pull_back(z, delta)
    np.testing.assert_array_equal(delta, [[np.nan, 0, 1, np.nan]])


@dtypes
@pytest.mark.parametrize("n", [1, 2, 10, 600])
def test_losses_agree(n, dtype):
    z, y = 4 * draw((70, n), dtype), np.abs(draw((70, n), dtype, 1)) + 0.01
    z[0] *= 50  # a row that is all but certain
    y /= y.sum(1, keepdims=True)
    y = y.astype(dtype)
    found, expected = np.empty_like(z), np.empty_like(z)
    assert_agree(COMPILED.squared_error(z, y, found), NUMPY.squared_error(z, y, expected), dtype)
    assert_agree(found, expected, dtype)
    for name in ("softmax_cross_entropy", "binary_cross_entropy"):
        assert_agree(getattr(COMPILED, name)(z, y, found), getattr(NUMPY, name)(z, y, expected), dtype)
        assert_agree(found, expected, dtype)
    COMPILED.softmax(z, found)
    NUMPY.softmax(z, expected)
    assert_agree(found, expected, dtype)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_softmax_of_what_is_not_finite_is_not_finite(bad):
    z, y, out = np.zeros((3, 4)), np.full((3, 4), 0.25), np.empty((3, 4))
    z[1, 2] = bad
    with np.errstate(invalid="ignore"):
        values = COMPILED.softmax_cross_entropy(z, y, out)
    assert not np.isfinite(values[1])
    assert np.isnan(out[1]).all()
    assert np.isfinite(values[[0, 2]]).all()
    assert np.isfinite(out[[0, 2]]).all()


# Steps of recurrent layers.


def steps_of_layer(layer, x, state, of_h, W):
    """What a simple recurrent layer computes and keeps at one of several steps, and on its way back."""
    n, n_units = len(x), layer.n_units
    kept, of_z = np.full((n, 3, 2 * n_units), 7, x.dtype), np.full((n, n_units), 7, x.dtype)
    at = Direction(W, W[layer.n_channels :], W[0].copy(), W[:0])
    with np.errstate(all="ignore"):
        (h,) = layer.step(at, x, (state,), kept[:, 1])
        layer.step_back(at, kept[:, 1], (state,), (of_h,), of_z, W[:0])
    assert (kept[:, [0, 2]] == 7).all()
    return h, kept[:, 1], of_z


@dtypes
@pytest.mark.parametrize("n_rows", [0, 1, 37])
@pytest.mark.parametrize("activation", [Identity(), Sigmoid(), Tanh(), ReLU(), LeakyReLU()], ids=lambda one: one.name)
def test_steps_of_a_simple_recurrent_layer_agree(activation, n_rows, dtype):
    layer = SimpleRecurrentLayer(3, 9, 21, activation=activation)
    x, state, of_h = draw((n_rows, 5, 9), dtype)[:, 2], draw((n_rows, 21), dtype, 1), draw((21, n_rows), dtype, 2).T
    W = draw((30, 21), dtype, 3)
    x.flags.writeable = state.flags.writeable = of_h.flags.writeable = W.flags.writeable = False
    given = layer, x, state, of_h, W
    for found, expected in zip(
        steps_of_layer(layer.with_ops(COMPILED), *given[1:]), steps_of_layer(*given), strict=True
    ):
        assert_agree(found, expected, dtype)


def test_a_nan_stays_in_its_row_of_a_recurrent_step():
    layer = SimpleRecurrentLayer(3, 9, 21, activation=ReLU()).with_ops(COMPILED)
    x, state, of_h, W = (
        draw(shape, np.float64, seed) for seed, shape in enumerate([(16, 9), (16, 21), (16, 21), (30, 21)])
    )
    x[5, 2] = np.nan
    for found in steps_of_layer(layer, x, state, of_h, W):
        assert (np.isnan(found).any(axis=1) == (np.arange(16) == 5)).all()


def test_an_activation_with_an_inherited_name_is_computed_as_it_says():
    given = [draw(shape, np.float64, seed) for seed, shape in enumerate([(16, 9), (16, 21), (16, 21), (30, 21)])]
    layer = SimpleRecurrentLayer(3, 9, 21, activation=Doubled()).with_ops(COMPILED)
    single = SimpleRecurrentLayer(3, 9, 21, activation=Sigmoid()).with_ops(COMPILED)
    np.testing.assert_array_equal(steps_of_layer(layer, *given)[0], 2 * steps_of_layer(single, *given)[0])


# Steps of optimisers.


@dtypes
@pytest.mark.parametrize("of_gradient", [np.float32, np.float64])
def test_steps_agree(of_gradient, dtype):
    theta, gradient, first, second = (
        draw(1001, one, seed) for seed, one in enumerate((dtype, of_gradient, dtype, dtype))
    )
    results = []
    for ops in (COMPILED, NUMPY):
        t, s, q, v, scratch = theta.copy(), first.copy(), np.abs(second), first.copy(), np.empty_like(theta)
        ops.adam_step(t, gradient, (s, q), scratch, betas=(0.9, 0.999), rate=0.01, epsilon=1e-8)
        ops.momentum_step(t, gradient, v, scratch, momentum=0.9, learning_rate=0.1)
        results.append((t, s, q, v))
    tolerance = np.float32 if np.float32 in (dtype, of_gradient) else np.float64
    for found, expected in zip(*results, strict=True):
        assert found.dtype == dtype
        assert_agree(found, expected, tolerance)


# Whole objectives.


def everything(problem, theta, ops):
    """All that an objective computes."""
    J = make_objective(problem, ThreadEngine(1, ops))
    assert J.problem.ops.name == ops
    value, gradient, terms = J.evaluate(theta)
    found = [value, *terms.values(), J.cost(theta)[0], gradient, *J.mean_activations(theta)]
    try:
        J.check_second_derivative()
    except ValueError:
        return found
    return [*found, J.hessian_vector_product(theta, np.random.default_rng(0).normal(size=theta.size))]


def assert_objectives_agree(problem, theta, dtype):
    for ours, theirs in zip(everything(problem, theta, "compiled"), everything(problem, theta, "numpy"), strict=True):
        assert_agree(ours, theirs, dtype)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_every_model_of_the_table_of_proofs_is_the_same(case):
    """Every layer, activation, loss and penalty, tied or not; corrupted or not, with weights or without."""
    assert_objectives_agree(case.problem, case.theta, np.float64)


ACTIVATIONS = [Identity(), Sigmoid(), Tanh(), ReLU()]
ENDS = [
    *((f, SquaredError()) for f in ACTIVATIONS),
    (Sigmoid(), BinaryCrossEntropy()),
    (Softmax(), SoftmaxCrossEntropy()),
]


@dtypes
@pytest.mark.parametrize("sizes", [(9, 8), (20, 13, 9), (16, 24, 10, 17)], ids=str)
@pytest.mark.parametrize("n_rows", [8, 127, 700])
@pytest.mark.parametrize(("output", "loss"), ENDS, ids=lambda one: one.name)
def test_passes_of_narrow_chains_agree(output, loss, n_rows, sizes, dtype):
    """Every activation in every place, with rows that are one part, broken or several."""
    rng = np.random.default_rng(n_rows)
    hidden = [ACTIVATIONS[(place + n_rows) % 4] for place in range(len(sizes) - 2)]
    y = rng.random((n_rows, sizes[-1])) + 0.01
    y /= y.sum(1, keepdims=True)
    penalties = [WeightDecay(0.01)]
    if hidden and np.isfinite(hidden[0].bounds).all():
        penalties.append(KLSparsity(0.3, 0.5, layers=[0]))
    network = dense_network(sizes, (*hidden, output))
    problem = Problem(network, rng.normal(size=(n_rows, sizes[0])).astype(dtype), y.astype(dtype), loss, penalties)
    assert problem.with_ops("compiled").cost.chain_passes is not None
    assert_objectives_agree(problem, network.initial_theta(rng), dtype)


@pytest.mark.parametrize(
    ("change", "takes"),
    [
        ({}, True),
        ({"network": dense_network((20, 12, 20), (Doubled(), Sigmoid()))}, False),
        ({"network": dense_network((20, 12, 20), (Sigmoid(), Sigmoid()), tied=True)}, False),
        ({"network": dense_network((20, 7, 20), (Sigmoid(), Sigmoid()))}, False),
        ({"network": dense_network((20, 900, 20), (Sigmoid(), Sigmoid()))}, False),
        ({"network": dense_network((20, 12, 9, 20), (Sigmoid(),) * 3), "penalties": [KLSparsity(0.1, 1.0)]}, False),
    ],
)
def test_only_plain_and_narrow_chains_are_passed_in_one_call(change, takes, rng):
    problem = replace(Problem(dense_network((20, 12, 20), (Sigmoid(), Sigmoid())), rng.random((500, 20))), **change)
    assert (problem.with_ops("compiled").cost.chain_passes is not None) == takes
    assert problem.with_ops("numpy").cost.chain_passes is None
    assert_objectives_agree(problem, problem.network.initial_theta(rng), np.float64)


@dtypes
@pytest.mark.parametrize("hidden", [25, 200])
def test_any_number_of_threads_gives_the_same_bits(hidden, dtype, rng):
    problem = Problem(
        dense_network((64, hidden, 64), (Sigmoid(), Sigmoid())),
        rng.random((9000, 64)).astype(dtype),
        penalties=[KLSparsity(0.1, 1.0), WeightDecay(1e-3)],
    )
    theta = problem.network.initial_theta(rng)
    found = [make_objective(problem, ThreadEngine(n_jobs, "compiled"))(theta) for n_jobs in (1, 2, 4)]
    for value, gradient in found[1:]:
        assert value == found[0][0]
        np.testing.assert_array_equal(gradient, found[0][1])


@pytest.mark.parametrize("cache_bytes", [0, 3000 * 16 * 8])
def test_hidden_activations_may_be_kept_for_some_rows_or_none(cache_bytes, rng):
    problem = Problem(
        dense_network((20, 16, 20), (Sigmoid(), Identity())), rng.random((9000, 20)), penalties=[KLSparsity(0.1, 1.0)]
    )
    theta = problem.network.initial_theta(rng)
    kept, other = (make_objective(problem, ThreadEngine(2, "compiled"), one) for one in (2**30, cache_bytes))
    np.testing.assert_array_equal(kept(theta)[1], other(theta)[1])


@pytest.mark.parametrize("solver", [Adam(learning_rate=0.01), SGD(learning_rate=0.1, momentum=0.9)])
def test_epochs_agree(solver, rng):
    problem = Problem(dense_network((30, 20, 30), (Tanh(), Identity())), rng.random((1000, 30)))
    theta = problem.network.initial_theta(rng)
    found, expected = (
        solver.with_ops(ops).minimize(MiniBatches(problem, ThreadEngine(1, ops.name), seed=0), theta, max_iter=3)
        for ops in (COMPILED, NUMPY)
    )
    assert_agree(found.theta, expected.theta, np.float64)


def test_what_is_pickled_is_compiled_where_it_is_used(rng):
    problem = Problem(dense_network((20, 12, 20), (Sigmoid(), Sigmoid())), rng.random((50, 20))).with_ops("compiled")
    assert problem.cost.ops is COMPILED
    make_objective(problem, ThreadEngine(1))(problem.network.initial_theta(rng))
    assert problem.cost.chain_passes is not None
    pickled = pickle.dumps(problem)
    other = pickle.loads(pickled)  # noqa: S301 - our own
    assert other.cost.ops is COMPILED
    assert other.cost.chain_passes is not None
    code = "import pickle, sys; sys.modules['numba'] = None; print(pickle.load(sys.stdin.buffer).cost.ops.name)"
    elsewhere = subprocess.run([sys.executable, "-c", code], input=pickled, capture_output=True, check=True)
    assert elsewhere.stdout.strip() == b"numpy"


@dtypes
@pytest.mark.parametrize("ops", [COMPILED, NUMPY], ids=lambda ops: ops.name)
def test_what_is_not_finite_is_found_wherever_it_is(ops, dtype):
    X = draw((50, 200), dtype)
    X[0, 0] = np.finfo(dtype).max
    X[1, 1] = np.finfo(dtype).smallest_subnormal
    assert ops.all_finite(X) is True
    for bad in (np.nan, np.inf, -np.inf):
        for place in (0, 4095, 4096, 9999):
            other = X.copy()
            other.reshape(-1)[place] = bad
            assert ops.all_finite(other) is False


@dtypes
@pytest.mark.parametrize("channels", [1, 3, 16])
@pytest.mark.parametrize("stride", [(1, 1), (2, 3)])
def test_windows_are_gathered_and_scattered_alike(stride, channels, dtype):
    images = draw((5, 11, 13, channels), dtype)
    places = [(11 - 3) // stride[0] + 1, (13 - 4) // stride[1] + 1]
    found, expected = (np.full((5, *places, 2, 4, channels), np.nan, dtype) for _ in range(2))
    for ops, out in ((COMPILED, found), (NUMPY, expected)):
        ops.gather(images, out, 1, stride)
    np.testing.assert_array_equal(found, expected)
    windows = draw((5, *places, 3, 4, channels), dtype)
    back, expected_back = np.full_like(images, np.nan), np.full_like(images, np.nan)
    for ops, out in ((COMPILED, back), (NUMPY, expected_back)):
        ops.scatter(windows, out, stride)
    assert_agree(back, expected_back, dtype)


@dtypes
@pytest.mark.parametrize("window", [(2, 2), (3, 2), (1, 1)])
@pytest.mark.parametrize("stride", [(2, 2), (1, 3)])
def test_max_pooling_agrees_where_numbers_are_equal_too(stride, window, dtype):
    windows = Windows((7, 10), window, stride, "valid")
    layers = [MaxPoolingLayer(windows, 5).with_ops(ops) for ops in (COMPILED, NUMPY)]
    X = np.round(2 * draw((6, 7 * 10 * 5), dtype))
    X[2, 3] = np.nan
    forward = [layer.apply(X, X) for layer in layers]
    np.testing.assert_array_equal(*forward)
    X[2, 3] = 0
    delta = draw(forward[0].shape, dtype)
    back = [layer.linear_transposed(X, delta, X) for layer in layers]
    assert_agree(*back, dtype)
    assert (back[0] != 0).sum() == (back[1] != 0).sum()


@pytest.mark.parametrize("n", [25, 700])
def test_sums_over_many_rows_of_float32_lose_few_digits(n):
    """Numbers of one sign: added one after another, their errors would add up."""
    X = np.abs(draw((20_000, n), np.float32)) + 1
    out = np.empty((1, n), np.float32)
    COMPILED.sum_rows(X, np.ones((1, 20_000), np.float32), out)
    np.testing.assert_allclose(out[0], X.sum(0, dtype=np.float64), rtol=FLOAT32_COST)


def test_one_input_of_max_pooling_may_stand_for_all_rows():
    layer, nothing = MaxPoolingLayer(Windows((4, 4), (2, 2), (2, 2), "valid"), 2), np.empty(0)
    at, delta = draw((1, 32), np.float64), draw((5, 8), np.float64, 1)
    expected = layer.linear_transposed(np.repeat(at, 5, 0), delta, nothing)
    for one in (layer, layer.with_ops(COMPILED)):
        np.testing.assert_array_equal(one.linear_transposed(at, delta, nothing), expected)


@pytest.mark.parametrize("kind", [LSTMLayer, GRULayer])
def test_steps_ask_for_memory_of_the_dtype_of_their_rows(kind, monkeypatch):
    asked, made = [], NumpyOps.empty
    monkeypatch.setattr(NumpyOps, "empty", lambda self, shape, dtype: asked.append(dtype) or made(self, shape, dtype))
    network = network_of([kind(3, 2, 4).with_ops(COMPILED)], (3, 2))
    layers = network.allocate(5, lambda shape: np.zeros(shape, np.float32))
    layers.a[0] = draw((5, 6), np.float32)
    network.forward(network.unpack(draw(network.n_parameters, np.float32)), layers)
    assert asked
    assert all(dtype is not None and dtype == np.float32 for dtype in asked)
