import math
import pickle
import sys

import numpy as np
import pytest
from sklearn.base import clone

from rhohat import Adam, DenoisingAutoencoder, SparseAutoencoder
from rhohat.callbacks import MLflowWriter, TensorBoardWriter
from rhohat.common.exceptions import MissingExtraError
from tests.callbacks.states import state

pytestmark = pytest.mark.filterwarnings("ignore:.*iterations? (was|were) done:sklearn.exceptions.ConvergenceWarning")


def events(folder):
    """What TensorBoard reads: (step, value) by tag."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    read = accumulator.EventAccumulator(str(folder), size_guidance={accumulator.TENSORS: 0}).Reload()
    return {tag: [(e.step, e.tensor_proto.float_val[0]) for e in read.Tensors(tag)] for tag in read.Tags()["tensors"]}


@pytest.fixture
def mlflow(tmp_path, monkeypatch):
    """MLflow, which keeps its runs in a folder, as it does without a server or a database."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    module = pytest.importorskip("mlflow")
    before = module.get_tracking_uri()
    module.set_tracking_uri((tmp_path / "runs").as_uri())
    yield module
    while module.active_run() is not None:
        module.end_run()
    module.set_tracking_uri(before)


def logged(mlflow, run_id, name):
    """What MLflow has of a metric: (step, value)."""
    return [(metric.step, metric.value) for metric in mlflow.MlflowClient().get_metric_history(run_id, name)]


def fit(callback, **settings):
    X = np.random.default_rng(0).random((40, 5))
    settings = {"n_components": 3, "max_iter": 5, "tol": 0, "random_state": 0, **settings}
    return SparseAutoencoder(callbacks=[callback], **settings).fit(X)


@pytest.mark.parametrize("solver", ["lbfgs", Adam()])
def test_tensorboard_shows_the_numbers_of_a_fit(tmp_path, solver):
    with TensorBoardWriter(tmp_path / "a" / "run") as writer:
        model = fit(writer, solver=solver)
    found = events(tmp_path / "a" / "run")
    assert set(found) == {"value", "gradient_norm", *(f"terms/{name}" for name in model.terms_curve_)}
    for tag, curve in {"value": model.loss_curve_, "terms/squared_error": model.terms_curve_["squared_error"]}.items():
        assert [step for step, _ in found[tag]] == [1, 2, 3, 4, 5]
        np.testing.assert_array_equal([value for _, value in found[tag]], np.float32(curve))


def test_tensorboard_shows_what_there_is_while_the_fit_goes_on(tmp_path):
    writer = TensorBoardWriter(tmp_path)
    for iteration in (1, 2):
        writer(state(iteration, value=iteration / 2))
        assert len(events(tmp_path)["value"]) == iteration
    writer(state(3, value=math.nan))
    assert math.isnan(events(tmp_path)["value"][2][1])
    writer.close()
    writer.close()
    writer(state(1))  # another file, and the next step
    writer.close()
    assert [step for step, _ in events(tmp_path)["value"]] == [1, 2, 3, 4]
    assert len(list(tmp_path.iterdir())) == 2


def test_steps_count_the_iterations_of_all_solves_of_a_fit(tmp_path, mlflow):
    settings = {"n_components": 3, "n_corruptions": 2, "max_iter": 3, "tol": 0, "solver": "lbfgs", "random_state": 0}
    with TensorBoardWriter(tmp_path / "tensorboard") as writer, MLflowWriter("fits") as logger:
        model = DenoisingAutoencoder(**settings, callbacks=[writer, logger]).fit(np.eye(9))
    steps = list(range(1, model.n_iter_ + 1))
    assert len(steps) > 3
    assert [step for step, _ in events(tmp_path / "tensorboard")["value"]] == steps
    assert logged(mlflow, logger.run_id, "value") == list(zip(steps, model.loss_curve_, strict=True))


def test_clones_and_pickles_write_files_of_their_own(tmp_path):
    writer = TensorBoardWriter(tmp_path)
    model = fit(writer)
    pickled = pickle.dumps(model)  # while its file is open
    clone(model).fit(np.eye(5)).callbacks[0].close()
    pickle.loads(pickled).fit(np.eye(5)).callbacks[0].close()  # noqa: S301 - our own
    writer.close()
    assert len(list(tmp_path.iterdir())) == 3


def test_mlflow_has_the_numbers_of_a_fit_in_the_active_run(mlflow):
    with mlflow.start_run() as run:
        model = fit(MLflowWriter())
    client = mlflow.MlflowClient()
    assert client.get_run(run.info.run_id).info.status == "FINISHED"
    metrics = client.get_run(run.info.run_id).data.metrics
    assert set(metrics) == {"value", "gradient_norm", *(f"terms/{name}" for name in model.terms_curve_)}
    steps = [1, 2, 3, 4, 5]
    assert logged(mlflow, run.info.run_id, "value") == list(zip(steps, model.loss_curve_, strict=True))
    curve = model.terms_curve_["weight_decay"]
    assert logged(mlflow, run.info.run_id, "terms/weight_decay") == list(zip(steps, curve, strict=True))


def test_mlflow_makes_a_run_in_an_experiment_and_ends_it(mlflow):
    client = mlflow.MlflowClient()
    with mlflow.start_run() as active:
        for _ in range(2):  # the experiment is made once
            with MLflowWriter("edges of photographs") as logger:
                assert client.get_run(logger.run_id).info.status == "RUNNING"
                fit(logger)
            run = client.get_run(logger.run_id)
            assert run.info.status == "FINISHED"
            assert client.get_experiment(run.info.experiment_id).name == "edges of photographs"
            assert logger.run_id != active.info.run_id
    assert len(client.search_runs([run.info.experiment_id])) == 2


def test_mlflow_goes_on_with_a_run_by_its_id(mlflow, tmp_path):
    with mlflow.start_run() as run:
        pass
    with MLflowWriter(run=run.info.run_id) as logger:
        logger(state(1, value=math.nan))
        mlflow.set_tracking_uri((tmp_path / "elsewhere").as_uri())  # it logs to where it was made
        logger(state(2, value=0.5))
    mlflow.set_tracking_uri((tmp_path / "runs").as_uri())
    (_, first), second = logged(mlflow, run.info.run_id, "value")
    assert math.isnan(first)
    assert second == (2, 0.5)


def test_a_copy_logs_to_the_same_run_and_leaves_it_running(mlflow):
    logger = MLflowWriter("fits")
    copies = [clone(SparseAutoencoder(callbacks=[logger])).callbacks[0], pickle.loads(pickle.dumps(logger))]  # noqa: S301 - our own
    for copy in copies:
        with copy:
            copy(state(1))
    assert len(logged(mlflow, logger.run_id, "value")) == 2
    assert mlflow.MlflowClient().get_run(logger.run_id).info.status == "RUNNING"
    logger.close()
    assert mlflow.MlflowClient().get_run(logger.run_id).info.status == "FINISHED"


def test_what_cannot_be_logged_to_is_refused_before_a_fit(mlflow, tmp_path):
    with pytest.raises(mlflow.MlflowException, match="'nowhere' not found"):
        MLflowWriter(run="nowhere")
    with pytest.raises(ValueError, match="experiment and run cannot both be given"):
        MLflowWriter("fits", run="nowhere")
    with pytest.raises(ValueError, match="no MLflow run is active"):
        MLflowWriter()
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        TensorBoardWriter(tmp_path / "file" / "run")


@pytest.mark.parametrize(("package", "make"), [("tensorboard", TensorBoardWriter), ("mlflow", MLflowWriter)])
def test_a_missing_package_is_noticed_before_a_fit(monkeypatch, tmp_path, package, make):
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"{package} is needed.*pip install .*\[trackers\]'"):
        make(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
