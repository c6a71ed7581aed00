"""Blocks of rows: rows that are read give the same bits, what is kept is not computed twice, and memory is bounded."""

import tracemalloc

import numpy as np
import pytest

from rhohat.common.blocks import row_blocks
from rhohat.data import RowSource
from rhohat.engines import ThreadEngine
from rhohat.layers import DenseLayer
from rhohat.layers.activations import Identity, Sigmoid
from rhohat.layers.dropout import DropoutLayer
from rhohat.layers.network import Network, dense_network
from rhohat.objective import Problem, make_objective
from rhohat.objective.batch import make_batch_evaluation
from rhohat.objective.evaluation import BlockEvaluation, ScratchPool, scratch_of
from rhohat.objective.objective import Objective
from rhohat.objective.passes import Pass
from rhohat.terms.penalties import KLSparsity, L1Sparsity
from tests.tolerances import EXACT

NETWORK = dense_network((6, 4, 6), (Sigmoid(), Sigmoid()))
PENALTIES = [KLSparsity(0.1, 3.0)]
N_ROWS = 6007
#: Bytes of the hidden activations of a row.
KEPT_BYTES = 4 * 8


class StoredRows(RowSource):
    """Rows that are read, always into memory that is there already."""

    def __init__(self, X):
        super().__init__("stored rows", X.shape, X.dtype)
        self.X = X

    def read(self, start, stop, out=None):
        assert out is not None
        return super().read(start, stop, out)

    def _read_into(self, start, stop, out):
        out[:] = self.X[start:stop]


class CountingSigmoid(Sigmoid):
    """A sigmoid that counts the rows that it has been applied to."""

    n_rows = 0

    def forward(self, units):
        CountingSigmoid.n_rows += len(units.z)
        super().forward(units)

    def forward_with_bias(self, units, bias):
        CountingSigmoid.n_rows += len(units.z)
        super().forward_with_bias(units, bias)


@pytest.fixture(name="theta")
def parameters(rng):
    return NETWORK.initial_theta(rng)


def blocks_of(n_rows):
    return row_blocks(n_rows, NETWORK.layer_sizes, NETWORK.multiply_adds, 8)


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("read", ["X", "y", "X and y", "X, which is y"])
def test_rows_that_are_read_give_the_bits_of_rows_in_memory(read, n_jobs, theta, rng):
    """In several blocks of different sizes, again and again, at other parameters, too."""
    assert len({block.stop - block.start for block in blocks_of(N_ROWS)}) > 1
    X, y = rng.random((2, N_ROWS, 6))
    y = None if read == "X, which is y" else y
    found, expected = (
        make_objective(Problem(NETWORK, *rows, penalties=PENALTIES), ThreadEngine(n_jobs))
        for rows in (
            (StoredRows(X) if "X" in read else X, StoredRows(y) if "y" in read and y is not None else y),
            (X, y),
        )
    )
    for point in (theta, theta + 0.1, theta):
        assert found.evaluate(point)[::2] == expected.evaluate(point)[::2]
        assert found.cost(point) == expected.cost(point)
        np.testing.assert_array_equal(found(point)[1], expected(point)[1])


def test_what_is_kept_for_pass_2_is_not_computed_again(theta, rng):
    network = dense_network((6, 4, 6), (CountingSigmoid(), Sigmoid()))
    X, edges = rng.random((N_ROWS, 6)), [block.stop for block in blocks_of(N_ROWS)]
    for cache_bytes, n_kept in (
        (2**30, N_ROWS),
        (N_ROWS * KEPT_BYTES, N_ROWS),
        (N_ROWS * KEPT_BYTES - 1, edges[-2]),
        (edges[0] * KEPT_BYTES, edges[0]),
        (edges[0] * KEPT_BYTES - 1, 0),
    ):
        J = make_objective(Problem(network, X, penalties=PENALTIES), ThreadEngine(1), cache_bytes)
        for evaluate in (J, J.cost):
            CountingSigmoid.n_rows = 0
            evaluate(theta)
            assert CountingSigmoid.n_rows == 2 * N_ROWS - n_kept


def test_evaluations_that_share_a_pool_share_its_scratch(theta, rng):
    problem, made = Problem(NETWORK, rng.random((N_ROWS, 6))), []

    def make():
        made.append(scratch_of(problem, N_ROWS)())
        return made[-1]

    pool = ScratchPool(make)
    for _ in range(2):
        Objective(BlockEvaluation(problem, ThreadEngine(1), pool=pool))(theta)
    assert len(made) == 1
    together, alone = pool.take(2), pool.take(1)
    assert len({id(one) for one in together + alone}) == len(made) == 3
    pool.put(together)
    pool.put(alone)
    assert {id(one) for one in pool.take(3)} == {id(one) for one in made}
    assert len(made) == 3


def peak_bytes(function):
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_beside_the_rows_is_that_of_a_block_and_of_what_is_kept(rng):
    """What is kept is a number for each unit of the hidden layers whose mean is penalised, not of those after them."""
    n_rows, network = 100_000, dense_network((2, 1, 30), (Sigmoid(), Identity()))
    X, y, theta = rng.random((n_rows, 2)), np.zeros((n_rows, 30)), network.initial_theta(rng)
    of_a_block = (
        4
        * max(b.stop - b.start for b in row_blocks(n_rows, network.layer_sizes, network.multiply_adds, 8))
        * (2 + 1 + 30)
        * 8
    )
    for penalties, kept in (([], 0), ([KLSparsity(0.1, 3.0)], 8 * n_rows), ([L1Sparsity(1.0)], 0)):
        problem = Problem(network, X, y, penalties=penalties)
        assert peak_bytes(lambda p=problem: make_objective(p, ThreadEngine(1))(theta)) < kept + of_a_block


class Seeing(Pass):
    """A pass that keeps all arrays that it is given, and sums the rows of the blocks."""

    def __init__(self):
        self.arrays = []

    def n_sums(self, cost):
        return 1

    def __call__(self, cost, vectors, block, sums):
        one = [*block.layers.a, *block.layers.z[1:], *block.deltas.a[1:], *block.deltas.z[1:], *block.hidden]
        parameters = [array for vector in vectors for group in vector[:2] for array in group]
        self.arrays += [*one, *parameters, block.read_targets(), block.weights, block.tangents, block.ones, sums]
        sums[0] = len(block.layers.a[0])


@pytest.mark.parametrize("make", [BlockEvaluation, make_batch_evaluation])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_passes_see_arrays_of_the_dtype_of_the_rows(make, dtype, theta, rng):
    X, weights = rng.random((40, 6)).astype(dtype), rng.random(40)
    tangents = rng.random((40, 2, 6)).astype(dtype)
    problem = Problem(NETWORK, X, penalties=PENALTIES, sample_weight=weights, tangents=tangents)
    seeing = Seeing()
    assert make(problem, ThreadEngine(1)).at(theta, theta)(seeing) == [40]
    assert {array.dtype for array in seeing.arrays} == {np.dtype(dtype)}
    np.testing.assert_array_equal(seeing.arrays[-4][:, 0], weights.astype(dtype))
    np.testing.assert_array_equal(seeing.arrays[-3], problem.tangents)
    np.testing.assert_array_equal(seeing.arrays[-2], np.ones((1, 40)))


class SumMasked(Pass):
    """A pass that sums the inputs times the masks of the second layer."""

    def n_sums(self, cost):
        return 4

    def __call__(self, cost, vectors, block, sums):
        sums[:] = (block.layers.a[0][:, :4] * block.layers.masks[2]).sum(0)


@pytest.mark.parametrize("make", [BlockEvaluation, make_batch_evaluation])
def test_every_block_has_the_masks_of_its_rows(make, rng):
    layers = [DenseLayer(6, 4, Sigmoid()), DropoutLayer(4, 4, 0.5), DenseLayer(4, 6, Sigmoid())]
    X, masks = rng.random((N_ROWS, 6)), rng.random((N_ROWS, 4))
    problem = Problem(Network(tuple(layers)), X).on_rows(X, masks=masks)
    found = make(problem, ThreadEngine(1)).at(NETWORK.initial_theta(rng))(SumMasked())
    np.testing.assert_allclose(found, (X[:, :4] * masks).sum(0), rtol=EXACT)
