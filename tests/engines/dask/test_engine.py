"""Sums on real worker processes: the same as in this process, whatever happens to the workers."""

import gc
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
import warnings
from copy import deepcopy
from functools import partial
from itertools import pairwise

import dask
import dask.array as da
import numpy as np
import pytest
from distributed import Client, LocalCluster
from sklearn.base import clone, is_classifier

import rhohat
from rhohat import (
    Checkpoint,
    ClusterError,
    DenoisingAutoencoder,
    FeedforwardClassifier,
    FeedforwardRegressor,
    SoftmaxRegression,
    SparseAutoencoder,
    StackedAutoencoder,
    StackedAutoencoderClassifier,
    check_gradient,
    open_rows,
)
from rhohat.common.blocks import row_blocks
from rhohat.data.rows import ConvertedRows, CorruptedRows
from rhohat.engines import DaskEngine, ThreadEngine
from rhohat.fitting.checkpoints import Checkpoints
from rhohat.layers.activations import Sigmoid, Softmax
from rhohat.layers.network import dense_network
from rhohat.objective import Problem, make_objective
from rhohat.objective.cluster import _Part, _Recipe, _Vectors
from rhohat.objective.cost import Cost
from rhohat.objective.passes import SumActivations, SumLossAndGradient
from rhohat.terms.corruption import MaskingNoise, corrupt_rows
from rhohat.terms.jacobian_penalties import Contraction, TangentPropagation
from rhohat.terms.losses import BinaryCrossEntropy, SoftmaxCrossEntropy
from rhohat.terms.penalties import KLSparsity, L1Sparsity, WeightDecay
from tests.conftest import relative_difference
from tests.tolerances import EXACT, FLOAT32, GRADIENT

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

N_ROWS, N_FEATURES, N_HIDDEN = 2503, 12, 7
PENALTIES = [WeightDecay(1e-3), KLSparsity(0.1, 3.0)]


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def client(cluster):
    with Client(cluster) as client:
        yield client


@pytest.fixture
def engine(client):
    client.wait_for_workers(2, timeout=60)
    return DaskEngine(client, timeout=20)


def network(*sizes, output=None):
    return dense_network(sizes, (*[Sigmoid()] * (len(sizes) - 2), output or Sigmoid()))


def autoencoder(**options):
    """Return the arguments of an objective on rows of their own, and θ."""
    rng = np.random.default_rng(0)
    dtype = options.pop("dtype", np.float64)
    net = options.pop("network", network(N_FEATURES, N_HIDDEN, N_FEATURES))
    X = rng.random((N_ROWS, N_FEATURES)).astype(dtype)
    return {"network": net, "X": X, "penalties": PENALTIES, **options}, net.initial_theta(rng)


def corrupted():
    arguments, theta = autoencoder()
    X = arguments["X"]
    return {**arguments, "X": corrupt_rows(MaskingNoise(0.3), X, seed=3, epoch=1), "y": X}, theta


def classifier():
    rng = np.random.default_rng(1)
    weights, tangents = rng.random(N_ROWS), rng.standard_normal((N_ROWS, 2, N_FEATURES))
    weights[:1500] = 0  # whole parts of no weight
    return autoencoder(
        network=network(N_FEATURES, N_HIDDEN, 3, output=Softmax()),
        y=np.eye(3)[rng.integers(3, size=N_ROWS)],
        loss=SoftmaxCrossEntropy(),
        penalties=[WeightDecay(1e-3), KLSparsity(0.2, 1.0), TangentPropagation(0.1)],
        sample_weight=weights,
        tangents=tangents,
    )


CASES = {
    "plain": lambda: autoencoder(penalties=[]),
    "sparse": autoencoder,
    "deep": lambda: autoencoder(network=network(12, 7, 4, 7, 12), penalties=[KLSparsity(0.1, 1.0, layers=(1,))]),
    "cross-entropy": lambda: autoencoder(loss=BinaryCrossEntropy(), penalties=[*PENALTIES, L1Sparsity(0.1)]),
    "contractive": lambda: autoencoder(penalties=[Contraction(0.3), KLSparsity(0.1, 1.0)]),
    "denoising": corrupted,
    "weights and tangents": classifier,
}


def relative(a, b):
    return relative_difference(np.atleast_1d(a), np.atleast_1d(b))


def assert_agree(on_cluster, here, theta, tolerance=EXACT):
    (value, gradient, terms), expected = on_cluster.evaluate(theta), here.evaluate(theta)
    assert relative(value, expected[0]) <= tolerance
    assert relative(gradient, expected[1]) <= tolerance
    assert gradient.flags.writeable
    assert terms.keys() == expected[2].keys()
    for name, term in terms.items():
        assert term == pytest.approx(expected[2][name], rel=tolerance, abs=0)
    assert relative(on_cluster.cost(theta)[0], expected[0]) <= tolerance
    for ours, theirs in zip(on_cluster.mean_activations(theta), here.mean_activations(theta), strict=True):
        assert relative(ours, theirs) <= tolerance


@pytest.mark.parametrize("case", CASES)
def test_the_cluster_agrees_with_this_process(case, engine):
    arguments, theta = CASES[case]()
    on_cluster, here = (
        make_objective(Problem(**arguments), engine),
        make_objective(Problem(**arguments), ThreadEngine(1)),
    )
    assert_agree(on_cluster, here, theta)
    direction = np.random.default_rng(5).standard_normal(theta.size)
    product = on_cluster.hessian_vector_product(theta, direction)
    assert relative(product, here.hessian_vector_product(theta, direction)) <= EXACT


def test_float32_agrees_as_far_as_it_goes(engine):
    arguments, theta = autoencoder(dtype=np.float32)
    on_cluster, here = (
        make_objective(Problem(**arguments), engine),
        make_objective(Problem(**arguments), ThreadEngine(1)),
    )
    assert_agree(on_cluster, here, theta, FLOAT32 / 10)


def test_the_gradient_agrees_with_central_differences(engine):
    arguments, theta = autoencoder(network=network(12, 2, 12))
    assert check_gradient(make_objective(Problem(**arguments), engine), theta).relative_difference <= GRADIENT


@pytest.mark.parametrize("holds", [True, False])
def test_rows_of_a_file_give_the_same(holds, engine, tmp_path, monkeypatch):
    """Each worker opens the file itself, and reads it once, or in every pass where it would not fit."""
    arguments, theta = autoencoder()
    np.save(tmp_path / "rows.npy", arguments.pop("X"))
    if not holds:
        monkeypatch.setattr(engine, "memory_of_workers", lambda: [1000.0, 1000.0])
    with open_rows(tmp_path / "rows.npy", transform=lambda rows: rows / 2) as clean:
        rows = CorruptedRows(clean, MaskingNoise(0.3), 3, 1)
        on_cluster = make_objective(Problem(X=rows, y=clean, **arguments), engine)
        assert_agree(on_cluster, make_objective(Problem(X=rows, y=clean, **arguments), ThreadEngine(1)), theta)


def test_what_is_in_no_file_is_sent(engine):
    """That is an array, and whatever cannot be opened again."""
    arguments, theta = autoencoder()
    X = arguments.pop("X")
    here = make_objective(Problem(X=X.astype(np.float32), **arguments), ThreadEngine(1))
    rows = ConvertedRows(open_rows(X), np.float32)
    assert_agree(make_objective(Problem(X=rows, **arguments), engine), here, theta, FLOAT32 / 10)


@pytest.mark.parametrize("chunks", [((1, 700, 2, 1500, 300), (5, 7)), ((40,) * 62 + (23,), 12)])
def test_rows_of_a_dask_array_stay_in_its_chunks(chunks, engine):
    arguments, theta = autoencoder()
    X = arguments.pop("X")
    array = da.from_array(X, chunks=chunks)
    rows = open_rows(array)
    assert len(rows.edges) - 1 <= 17  # small ones are joined where there are many
    noisy = CorruptedRows(rows, MaskingNoise(0.3), 3, 1)
    here = make_objective(Problem(X=corrupt_rows(MaskingNoise(0.3), X, 3, 1), y=X, **arguments), ThreadEngine(1))
    on_cluster = make_objective(Problem(X=noisy, y=rows.computed_by(engine.compute), **arguments), engine)
    assert_agree(on_cluster, here, theta)


def test_any_number_of_workers_gives_the_same_bits(engine, client):
    arguments, theta = autoencoder()
    two = make_objective(Problem(**arguments), engine).evaluate(theta)
    with (
        LocalCluster(n_workers=1, threads_per_worker=3, processes=True, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as other,
    ):
        one = make_objective(Problem(**arguments), DaskEngine(other)).evaluate(theta)
        without_cache = make_objective(Problem(**arguments), DaskEngine(other), cache_bytes=0).evaluate(theta)
    for result in (one, without_cache):
        assert result[0] == two[0]
        assert np.array_equal(result[1], two[1])


def test_a_worker_killed_between_the_passes_changes_nothing(engine, client, monkeypatch):
    """What pass 1 left on it is computed again by whoever takes over."""
    arguments, theta = autoencoder()
    objective = make_objective(Problem(**arguments), engine)
    expected = objective.evaluate(theta)
    killed = []
    penalise = Cost.penalise_means

    def kill_and_penalise(*args):
        if not killed:
            killed.append(kill_a_worker(client))
        return penalise(*args)

    monkeypatch.setattr(Cost, "penalise_means", kill_and_penalise)
    value, gradient, _ = objective.evaluate(theta)
    assert killed
    assert value == expected[0]
    assert np.array_equal(gradient, expected[1])
    client.wait_for_workers(2, timeout=60)
    time.sleep(1.1)  # until the cluster is looked at again
    assert objective.evaluate(theta)[0] == expected[0]
    assert set(objective._evaluation._held._homes) == set(
        client.scheduler_info()["workers"]
    )  # the new one has its share


def test_the_only_worker_may_be_killed():
    """Dask itself would leave what is to be done preferably on that one undone."""
    arguments, theta = autoencoder()
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        objective = make_objective(Problem(**arguments), DaskEngine(client))
        expected = objective(theta)
        kill_a_worker(client)
        value, gradient = objective(theta)
    assert value == expected[0]
    assert np.array_equal(gradient, expected[1])


def kill_a_worker(client):
    pids = client.run(os.getpid)
    pid = pids[max(pids)]
    os.kill(pid, signal.SIGKILL)
    return pid


def test_errors_of_rows_pass_through(engine, tmp_path):
    arguments, _ = autoencoder()
    np.save(tmp_path / "rows.npy", arguments.pop("X"))
    with open_rows(tmp_path / "rows.npy") as rows:
        os.truncate(tmp_path / "rows.npy", 5000)
        with pytest.raises(ValueError, match="is truncated"):
            make_objective(Problem(X=rows, **arguments), engine)
        (tmp_path / "rows.npy").unlink()
        with pytest.raises(FileNotFoundError, match="every worker must be able to open the rows"):
            make_objective(Problem(X=rows, **arguments), engine)


def test_bad_rows_of_a_dask_array_are_found_on_the_workers(engine):
    X = np.random.default_rng(0).random((100, 4))
    X[57, 2] = np.nan
    rows = open_rows(da.from_array(X, chunks=(30, 2))).computed_by(engine.compute)
    with pytest.raises(ValueError, match="NaN or infinity, first in row 57"):
        rows.extent()
    negative = open_rows(da.from_array(np.nan_to_num(X) - 5, chunks=(30, 4))).computed_by(engine.compute)
    with pytest.raises(ValueError, match="targets"):
        make_objective(Problem(network(4, 2, 4), negative, loss=BinaryCrossEntropy()), engine)


def test_a_part_that_moves_takes_its_rows_along_and_no_more(engine):
    net = network(N_FEATURES, N_HIDDEN, N_FEATURES)
    X = np.random.default_rng(0).random((500, N_FEATURES))
    problem = Problem(net, X, penalties=PENALTIES).on_rows(None)
    recipe = _Recipe("token", problem, 2**30, 500, True, partial(ThreadEngine, 1))
    part = _Part.made(recipe, X, None, None, None)
    assert part._rows[0] is X
    assert X.nbytes <= sys.getsizeof(part) < 2 * X.nbytes
    size = len(pickle.dumps(part))
    vectors = _Vectors(1, [net.initial_theta(np.random.default_rng(0))])
    part.sum(vectors, SumActivations(1))
    moved = pickle.loads(pickle.dumps(part))  # noqa: S301 - our own
    assert len(pickle.dumps(part)) < size + 1000  # nothing of what the sum is made with
    added = [np.zeros(N_HIDDEN), None]
    sums = [one.sum(vectors, SumLossAndGradient(added)) for one in (part, moved)]
    assert np.array_equal(*sums)


def test_parts_are_whole_blocks_of_the_rows(engine):
    arguments, _ = autoencoder()
    objective = make_objective(Problem(**arguments), engine)
    network = arguments["network"]
    starts = {block.start for block in row_blocks(N_ROWS, network.layer_sizes, network.multiply_adds, 8)}
    edges = objective._evaluation.edges
    assert edges[-1] == N_ROWS
    assert set(edges[:-1]) <= starts
    assert all(start < stop for start, stop in pairwise(edges))


def test_what_is_no_client_is_refused():
    with pytest.raises(ValueError, match="must be a distributed"):
        DaskEngine("tcp://host:8786")
    with pytest.raises(ValueError, match="above 0"):
        DaskEngine(_Pretender(), timeout=0)


class _Pretender:
    scheduler_info = submit = asynchronous = None


def test_an_engine_is_copied_with_its_client_and_pickled_without(engine):
    assert deepcopy(engine) is engine
    loaded = pickle.loads(pickle.dumps(engine))  # noqa: S301 - our own
    assert loaded.timeout == engine.timeout
    with pytest.raises(ClusterError, match="has no client"):
        loaded.check()


def test_another_version_on_the_cluster_is_refused(engine, monkeypatch):
    monkeypatch.setattr(rhohat.engines.dask.connection, "version", lambda _: "0.0.1")
    with pytest.raises(
        ClusterError, match=r"rhohat .* is installed where the worker .* but this process uses rhohat 0\.0\.1"
    ):
        engine.check()


def test_without_workers_there_is_an_error_at_once():
    with (
        LocalCluster(n_workers=0, processes=True, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as client,
        pytest.raises(ClusterError, match="no workers; start workers"),
    ):
        DaskEngine(client).check()


def evaluate_for_ever(objective, theta):
    while True:
        objective(theta)


def estimator(**options):
    return SparseAutoencoder(n_components=N_HIDDEN, sparsity=0.1, max_iter=12, random_state=0, **options)


def rows_in_memory():
    return np.random.default_rng(0).random((N_ROWS, N_FEATURES))


def assert_same_fit(model, expected, tolerance=1e-10):
    assert relative(model.theta_, expected.theta_) <= tolerance
    assert relative(model.mean_activation_, expected.mean_activation_) <= tolerance
    assert relative(model.loss_curve_, expected.loss_curve_) <= tolerance
    assert model.n_iter_ == expected.n_iter_


@pytest.mark.parametrize("rows", ["array", "Dask array", "file"])
def test_a_fit_on_a_cluster_is_the_fit_in_this_process(rows, engine, tmp_path):
    X = rows_in_memory()
    expected = estimator().fit(X)
    np.save(tmp_path / "rows.npy", X)
    given = {
        "array": lambda: X,
        "Dask array": lambda: da.from_array(X, chunks=(500, 5)),
        "file": lambda: open_rows(tmp_path / "rows.npy"),
    }[rows]()
    model = estimator(engine=engine).fit(given)
    assert_same_fit(model, expected)
    assert relative(model.score(given), expected.score(X)) <= 1e-10
    cost, terms = model.cost(given)
    assert relative(cost, expected.cost(X)[0]) <= 1e-10
    assert sum(terms.values()) == pytest.approx(cost, rel=EXACT)
    if rows == "file":
        given.close()


@pytest.mark.parametrize("engine_of", [lambda engine: engine, lambda _: None], ids=["cluster", "threads"])
def test_more_estimators_learn_from_dask_arrays(engine_of, engine):
    X = rows_in_memory()[:1200]
    array = da.from_array(X, chunks=(500, 12))
    for model in (
        DenoisingAutoencoder(n_components=4, max_iter=3, random_state=0),
        StackedAutoencoder([SparseAutoencoder(n_components=n, max_iter=3) for n in (6, 3)], random_state=0),
    ):
        expected = clone(model).fit(X)
        model = clone(model).set_params(engine=engine_of(engine)).fit(array)
        assert relative(model.theta_, expected.theta_) <= 1e-9
        assert relative(model.score(array), expected.score(X)) <= 1e-9


@pytest.mark.parametrize("engine_of", [lambda engine: engine, lambda _: None], ids=["cluster", "threads"])
def test_autoencoders_learn_from_dask_arrays_with_weights_of_rows(engine_of, engine):
    X = rows_in_memory()
    weights = np.arange(len(X)) % 3
    array = da.from_array(X, chunks=(700, 12))
    model = SparseAutoencoder(n_components=4, sparsity=0.2, max_iter=4, random_state=0)
    expected = clone(model).fit(X, sample_weight=weights)
    model = clone(model).set_params(engine=engine_of(engine)).fit(array, sample_weight=weights)
    assert relative(model.theta_, expected.theta_) <= 1e-9
    assert relative(model.mean_activation_, expected.mean_activation_) <= 1e-9
    assert relative(model.score(array, None, weights), expected.score(X, None, weights)) <= 1e-9
    assert relative(model.cost(array, sample_weight=weights)[0], expected.cost(X, sample_weight=weights)[0]) <= 1e-9


@pytest.mark.parametrize("kind", ["dask", "file", "array"])
def test_a_row_of_weight_zero_is_not_there_on_a_cluster_either(kind, engine, tmp_path):
    X = rows_in_memory()
    weights = np.arange(len(X)) % 3 * 1.0
    weights[700:1400] = 0  # a whole chunk
    counting = weights > 0
    wild = np.where(counting[:, None], X, 1e200)
    np.save(tmp_path / "rows.npy", wild)
    opened = {"dask": da.from_array(wild, chunks=(700, 12)), "file": tmp_path / "rows.npy", "array": wild}
    model = SparseAutoencoder(n_components=4, sparsity=0.2, max_iter=4, random_state=0)
    expected = clone(model).fit(X[counting], sample_weight=weights[counting])
    with open_rows(opened[kind]) as rows:
        found = clone(model).set_params(engine=engine).fit(rows, sample_weight=weights)
        assert found.cost(rows, sample_weight=weights)[0] == pytest.approx(expected.loss_curve_[-1], rel=1e-9)
    assert relative(found.theta_, expected.theta_) <= 1e-9
    assert relative(found.mean_activation_, expected.mean_activation_) <= 1e-9
    np.testing.assert_array_equal(found.training_range_, expected.training_range_)
    assert found.output_activation_ == "sigmoid"


@pytest.mark.parametrize("engine_of", [lambda engine: engine, lambda _: None], ids=["cluster", "threads"])
def test_classifiers_and_regressors_learn_from_dask_arrays(engine_of, engine):
    X = rows_in_memory()
    labels = np.digitize(X[:, 0], [0.3, 0.6])
    array = da.from_array(X, chunks=(700, 12))
    layers = [SparseAutoencoder(n_components=5, max_iter=2)]
    for model, y in (
        (FeedforwardClassifier(hidden_layer_sizes=(4,), max_iter=4, random_state=0), labels),
        (SoftmaxRegression(max_iter=4, random_state=0), labels),
        (FeedforwardRegressor(hidden_layer_sizes=(4,), max_iter=4, random_state=0), X[:, :2] ** 2),
        (StackedAutoencoderClassifier(layers, max_iter=3, random_state=0), labels),
    ):
        expected = clone(model).fit(X, y)
        model = clone(model).set_params(engine=engine_of(engine)).fit(array, y)
        assert relative(model.theta_, expected.theta_) <= 1e-9
        assert model.n_features_in_ == N_FEATURES
        predicted = model.predict(array)
        if is_classifier(model):
            np.testing.assert_array_equal(predicted, expected.predict(X))
            assert relative(model.predict_proba(array), expected.predict_proba(X)) <= 1e-9
        else:
            assert relative(predicted, expected.predict(X)) <= 1e-9
        assert model.score(array, y) == pytest.approx(expected.score(X, y), rel=1e-9)


@pytest.mark.parametrize("chunk", [100, 2503])
def test_a_dask_array_has_the_fingerprint_of_its_rows(chunk, engine):
    X = np.vstack([rows_in_memory()] * 4)  # more than a digest takes at a time
    rows = open_rows(da.from_array(X, chunks=(chunk, 5)))
    assert rows.fingerprint() == open_rows(X).fingerprint()
    assert rows.computed_by(engine.compute).fingerprint() == open_rows(X).fingerprint()


def test_a_dask_array_is_transformed_lazily_in_its_chunks(engine, client):
    X = rows_in_memory().astype(np.float32)
    model = estimator().fit(X)
    array = da.from_array(X, chunks=(40, 5))
    for transform, columns in ((model.transform, N_HIDDEN), (model.predict, N_FEATURES)):
        lazy = transform(array)
        assert isinstance(lazy, da.Array)
        assert lazy.shape == (N_ROWS, columns)
        assert lazy.chunks == (array.chunks[0], (columns,))
        assert lazy.dtype == lazy._meta.dtype == np.float32
        (optimised,) = dask.optimize(lazy)
        tasks = dict(optimised.__dask_graph__()).values()
        assert sum(model.theta_.tobytes()[:64] in pickle.dumps(task) for task in tasks) == 1
        computed = client.compute(lazy).result()
        assert computed.dtype == np.float32
        assert relative(computed, transform(X)) <= FLOAT32 / 10
    codes = model.transform(array)
    assert relative(model.inverse_transform(codes).compute(), model.reconstruct(X)) <= FLOAT32 / 10
    with pytest.raises(ValueError, match="the result is then also a Dask array"):
        model.transform(array, out=np.empty((N_ROWS, N_HIDDEN), np.float32))
    with pytest.raises(ValueError, match="5 features"):
        model.transform(array[:, :5])
    broken = array * np.where(np.arange(N_ROWS) == 99, np.nan, 1).astype(np.float32)[:, None]
    with pytest.raises(ValueError, match="NaN or infinity"):
        model.transform(broken).compute()


def test_a_worker_killed_in_mid_fit_changes_nothing(engine, client):
    X = rows_in_memory()
    expected = estimator(engine=engine).fit(X)
    killed = []

    def kill(state):
        if state.iteration == 4:
            killed.append(kill_a_worker(client))

    model = estimator(engine=engine, callbacks=[kill]).fit(X)
    assert killed
    assert np.array_equal(model.theta_, expected.theta_)
    assert_same_fit(model, estimator().fit(X))


def test_mini_batches_are_refused_on_a_cluster(engine):
    with pytest.raises(ValueError, match=r"works in mini-batches.*engine=None"):
        estimator(engine=engine).set_params(solver="adam").fit(rows_in_memory())


def test_ctrl_c_leaves_no_tasks_behind(engine, client):
    def interrupt(state):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        estimator(engine=engine, callbacks=[interrupt]).fit(da.from_array(rows_in_memory(), chunks=(500, -1)))
    gc.collect()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(client.has_what().values()):
        time.sleep(0.1)
    assert not any(client.has_what().values())
    assert not any(client.processing().values())


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture
def separate():
    """A scheduler and a worker as they are started on several machines: their processes, and the address."""
    address, started = f"tcp://127.0.0.1:{free_port()}", []

    def start(*command):
        process = subprocess.Popen(
            [sys.executable, "-m", "dask", *command, "--dashboard-address", ":0"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        started.append(process)
        return process

    scheduler = start("scheduler", "--host", "127.0.0.1", "--port", address.rpartition(":")[2])
    worker = start("worker", address, "--nthreads", "1", "--no-nanny")
    yield scheduler, worker, address
    for process in started:
        process.kill()
        process.wait()


def test_a_scheduler_or_workers_that_go_away_are_an_error_and_no_hang(separate):
    scheduler, worker, address = separate
    arguments, theta = autoencoder()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Dask says of a connection that is gone
        with Client(address, set_as_default=False, timeout=30) as client:
            client.wait_for_workers(1, timeout=60)
            objective = make_objective(Problem(**arguments), DaskEngine(client, timeout=8))
            expected = objective(theta)[0]
            worker.kill()
            start = time.monotonic()
            with pytest.raises(ClusterError, match="no workers for"):
                objective(theta)
            assert time.monotonic() - start < 30
            second = subprocess.Popen(
                [sys.executable, "-m", "dask", "worker", address, "--nthreads", "1", "--no-nanny"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                client.wait_for_workers(1, timeout=60)
                assert objective(theta)[0] == expected  # the rows are made anew from what the scheduler knows
                scheduler.kill()
                start = time.monotonic()
                with pytest.raises(ClusterError, match="scheduler"):
                    evaluate_for_ever(objective, theta)
                assert time.monotonic() - start < 20
            finally:
                second.kill()
                second.wait()


def test_a_scheduler_that_goes_away_in_mid_fit_leaves_a_checkpoint(separate, engine, tmp_path):
    """From which another cluster goes on to the bits of a fit that nothing happened to."""
    scheduler, _, address = separate
    array = da.from_array(rows_in_memory(), chunks=(500, N_FEATURES))
    calls = []

    def kill_it(state):
        if state.n_rows is not None:
            return
        calls.append(state.iteration)
        if len(calls) == 4:
            scheduler.kill()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Dask says of a connection that is gone
        with Client(address, set_as_default=False, timeout=30) as client:
            client.wait_for_workers(1, timeout=60)
            model = estimator(engine=DaskEngine(client), checkpoint=Checkpoint(tmp_path, every="1 h"))
            with pytest.raises(ClusterError, match="scheduler"):
                model.set_params(callbacks=[kill_it]).fit(array)
    assert calls == [1, 2, 3, 4]
    record, _ = Checkpoints(tmp_path).newest()
    assert record["run"]["n_iter"] == 4
    resumed = estimator(engine=engine, checkpoint=Checkpoint(tmp_path, resume=True)).fit(array)
    np.testing.assert_array_equal(resumed.theta_, estimator(engine=engine).fit(array).theta_)
