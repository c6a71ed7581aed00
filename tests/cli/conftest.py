"""A command line that runs in an empty folder, and data for it."""

import numpy as np
import pytest
from typer.testing import CliRunner

from rhohat.cli import app


@pytest.fixture
def invoke(tmp_path, monkeypatch):
    """A function that runs the command line in an empty folder, on a wide terminal."""
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, [str(one) for one in arguments], env={"COLUMNS": "200"})


@pytest.fixture
def run(invoke):
    """A function that runs a command which is to succeed, and gives its standard output."""

    def succeed(*arguments):
        result = invoke(*arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    return succeed


@pytest.fixture
def table(tmp_path):
    """A CSV of 40 rows: three columns of numbers, one of words, one of targets."""
    draw = np.random.default_rng(0)
    rows = draw.normal(size=(40, 3)) * [1, 10, 1000]
    words = np.where(rows[:, 0] > 0, "warm", "cold")
    lines = [f"{a:.4f},{word},{b:.4f},{c:.4f},{2 * a:.4f}" for (a, b, c), word in zip(rows, words, strict=True)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["heat,feeling,mass,price,twice", *lines]) + "\n")
    return path


@pytest.fixture
def images(tmp_path):
    """60 small grey images as they come from a camera, 0 to 255, in one file."""
    path = tmp_path / "images.npy"
    np.save(path, np.random.default_rng(1).integers(0, 256, (60, 4, 5), np.uint8))
    return path
