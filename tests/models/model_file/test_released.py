"""Files that released versions have written are read for good."""

from pathlib import Path

import numpy as np
import pytest

import rhohat
from rhohat.common.tensor_files import read_tensor_file, write_tensor_file
from rhohat.models.model_file import describe
from tests.tolerances import ORACLE

FILES = sorted((Path(__file__).parent / "released").glob("*.safetensors"))


def test_there_is_a_file_of_this_version():
    assert any(file.name.startswith(rhohat.__version__) for file in FILES)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_of_a_released_version_gives_what_it_gave(file):
    known = np.load(file.with_suffix(".npz"))
    model = rhohat.load(file)
    outputs = model.transform(known["X"]) if hasattr(model, "transform") else model.predict_proba(known["X"])
    assert np.abs(outputs - known["outputs"]).max() <= ORACLE
    assert describe(file)["versions"]["rhohat"] == file.name.split("-")[0]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_parameter_that_said_nothing_of_what_is_learned_is_passed_over(file):
    record, _ = read_tensor_file(file, "rhohat model 1")
    assert "checkpoint_every" in str(record)
    assert "checkpoint_every" not in str(rhohat.load(file).get_params())


def test_a_regressor_of_a_file_without_scaled_targets_predicts_what_it_did(tmp_path):
    """Files of 0.1.0 know no `scale_targets`; their targets were as they are."""
    model = rhohat.FeedforwardRegressor(hidden_layer_sizes=(3,), scale_targets=False, max_iter=500, random_state=0)
    rows = np.random.default_rng(0).random((30, 2))
    model.fit(rows, 3 + rows[:, 0])
    rhohat.save(model, tmp_path / "model.safetensors")
    record, arrays = read_tensor_file(tmp_path / "model.safetensors", "rhohat model 1")
    del record["model"]["parameters"]["scale_targets"]
    write_tensor_file(tmp_path / "old.safetensors", "rhohat model 1", record, arrays)
    old = rhohat.load(tmp_path / "old.safetensors")
    np.testing.assert_array_equal(old.predict(rows), model.predict(rows))
    assert old.target_scale_ == [1.0]
