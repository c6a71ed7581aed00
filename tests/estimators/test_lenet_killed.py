"""A fit of LeNet that is killed goes on from its checkpoint, and ends with the same bits."""

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from rhohat import Adam, Checkpoint, Convolution, ConvolutionalClassifier, Dense, MaxPooling

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

KILLED = """
    import os, signal, sys
    from tests.estimators.test_lenet_killed import images, lenet

    def kill(state):
        if state.iteration == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    lenet(sys.argv[1], callbacks=[kill]).fit(*images())
"""


def images():
    """Return 96 noisy images of 28×28 pixels of ten classes, and the classes."""
    rng = np.random.default_rng(0)
    y = np.arange(96) % 10
    return (rng.random((10, 28, 28))[y] + rng.normal(0, 0.3, (96, 28, 28))).astype(np.float32), y


def lenet(folder=None, **parameters):
    layers = [Convolution(20, 5), MaxPooling(2), Convolution(50, 5), MaxPooling(2), Dense(500, "tanh")]
    settings = {"solver": Adam(batch_size=32), "activation": "tanh", "max_iter": 4, "random_state": 0, **parameters}
    checkpoint = None if folder is None else Checkpoint(folder, every=1)
    return ConvolutionalClassifier(layers=layers, **{"checkpoint": checkpoint, **settings})


def test_lenet_that_was_killed_is_resumed_to_the_same_bits(tmp_path):
    folder = tmp_path / "checkpoints"
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(folder)],
        capture_output=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert process.returncode == -9, process.stderr
    resumed = lenet(checkpoint=Checkpoint(folder, resume=True)).fit(*images())
    expected = lenet().fit(*images())
    np.testing.assert_array_equal(resumed.theta_, expected.theta_)
    assert resumed.loss_curve_ == expected.loss_curve_
    assert len(expected.loss_curve_) > 3
