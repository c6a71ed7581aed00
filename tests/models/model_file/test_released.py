"""Files that released versions have written are read for good."""

from pathlib import Path

import numpy as np
import pytest

import rhohat
from rhohat.common.tensor_files import read_tensor_file
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
