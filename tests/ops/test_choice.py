"""Which primitives are chosen, and that nothing but the rows, the work and the user's wish decides."""

import subprocess
import sys

import numpy as np
import pytest

from rhohat.common.exceptions import MissingExtraError
from rhohat.engines import ThreadEngine
from rhohat.layers.activations import Sigmoid
from rhohat.layers.network import dense_network
from rhohat.objective import Problem, make_objective
from rhohat.ops import NUMPY, compiled_or_numpy, ops_for, ops_named, wanted_ops
from rhohat.ops.choice import _WORTH_COMPILING

BEST = compiled_or_numpy()


@pytest.fixture(autouse=True)
def _no_wish(monkeypatch):
    monkeypatch.delenv("RHOHAT_OPS", raising=False)


@pytest.mark.parametrize(("work", "expected"), [(0, NUMPY), (_WORTH_COMPILING - 1, NUMPY), (_WORTH_COMPILING, BEST)])
def test_the_work_decides(work, expected):
    assert ops_for(np.zeros((2, 2)), work) is expected


def test_a_problem_keeps_its_choice_for_some_of_its_rows(rng):
    """Also in another precision: a warm-up on few rows computes as the fit does."""
    X = rng.random((40_000, 10))
    problem = Problem(dense_network((10, 30, 10), (Sigmoid(), Sigmoid())), X)
    assert problem.ops is BEST
    assert problem.on_rows(X[:10]).cost.ops is BEST
    assert problem.on_rows(X[:10].astype(np.float32)).cost.ops is BEST
    assert problem.on_rows(X[:10].astype(np.float32)).cost.dtype == np.float32
    assert Problem(problem.network, X[:10]).ops is NUMPY


@pytest.mark.parametrize(
    "name",
    [
        "numpy",
        pytest.param("compiled", marks=pytest.mark.skipif(BEST is NUMPY, reason="the extra 'fast' is not installed")),
    ],
)
def test_the_environment_decides_before_the_work_and_the_engine_before_both(name, monkeypatch, rng):
    problem = Problem(dense_network((4, 3, 4), (Sigmoid(), Sigmoid())), rng.random((10, 4)))
    assert make_objective(problem, ThreadEngine(1, name)).problem.ops.name == name
    monkeypatch.setenv("RHOHAT_OPS", name)
    assert wanted_ops() == name
    assert ops_for(problem.X, 0).name == name
    assert ops_for(problem.X, 0, "numpy").name == "numpy"
    monkeypatch.setenv("RHOHAT_OPS", "")
    assert wanted_ops() is None


def test_a_wish_that_cannot_be_fulfilled_is_an_error(monkeypatch):
    with pytest.raises(ValueError, match=r"ops must be one of \('numpy', 'compiled'\), or None; got 'cuda'"):
        ops_named("cuda")
    with pytest.raises(ValueError, match="ops must be one of"):
        ThreadEngine(ops="cuda")
    monkeypatch.setenv("RHOHAT_OPS", "fast")
    with pytest.raises(ValueError, match="RHOHAT_OPS must be one of"):
        ops_for(np.zeros((2, 2)), 0)


WITHOUT_NUMBA = """
import sys
sys.modules["numba"] = None
import numpy as np
from rhohat.ops import NUMPY, compiled_or_numpy, ops_for, ops_named
assert compiled_or_numpy() is NUMPY
assert ops_for(np.zeros((2, 2)), 10**12) is NUMPY
try:
    ops_named("compiled")
except ImportError as error:
    print(error)
"""


def test_without_numba_everything_is_numpy_and_a_wish_names_the_extra():
    done = subprocess.run([sys.executable, "-c", WITHOUT_NUMBA], capture_output=True, text=True, check=True)
    assert "fast" in done.stdout
    assert issubclass(MissingExtraError, ImportError)


def test_numba_is_not_imported_before_it_is_used():
    code = "import sys, rhohat, rhohat.engines, rhohat.ops; print('numba' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
