"""The examples run as they stand, from the command line."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


@pytest.fixture(name="rows")
def file_of_rows(tmp_path):
    path = tmp_path / "rows.npy"
    np.save(path, np.random.default_rng(0).random((5000, 30), dtype=np.float32))
    return path


def run(name, *arguments):
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def test_the_out_of_core_fit_goes_on_where_it_was(rows, tmp_path):
    first = run("out_of_core_fit.py", rows, tmp_path / "a")
    assert first.returncode == 0, first.stderr
    assert "memory that the fit will hold" in first.stderr
    assert "the fit starts" in first.stderr
    assert "rows.npy: 5,000 rows; J = " in first.stdout
    codes = np.load(tmp_path / "a" / "codes.npy")
    assert codes.shape == (5000, 100)
    again = run("out_of_core_fit.py", rows, tmp_path / "a")
    assert (again.returncode, again.stdout) == (0, first.stdout)
    np.testing.assert_array_equal(np.load(tmp_path / "a" / "codes.npy"), codes)


def test_the_cluster_fit_starts_a_cluster_of_its_own():
    outcome = run("cluster_fit.py")
    assert outcome.returncode == 0, outcome.stderr
    assert "processes=2" in outcome.stdout
    assert "dask.array" in outcome.stdout
    assert "each unit is active" in outcome.stdout
