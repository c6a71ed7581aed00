"""What keeps the source readable: sizes of files, functions and classes, and who may import whom."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "rhohat"
FILES = sorted(SOURCE.rglob("*.py"))

_MOST_LINES, _MOST_LINES_OF_A_FUNCTION, _MOST_METHODS = 450, 50, 15

#: Files that have more lines, how many at most, and why they stay in one.
LONG_FILES = {
    "data/preprocessing.py": (500, "three transformers whose docstrings, with formulas and examples, are half of it"),
    "data/rows/base.py": (480, "the contract of row sources, half of it docstrings"),
    "data/rows/opening.py": (590, "every way from a path or an object to rows, with the options that they share"),
    "engines/dask.py": (520, "the engine and the parts that it holds, which share its cluster's state"),
    "estimators/autoencoder.py": (540, "the public methods of all autoencoders, half of it docstrings"),
    "estimators/base.py": (730, "what all estimators share; to be divided when fitting gets a place of its own"),
    "estimators/classifier.py": (470, "the public methods of all classifiers, half of it docstrings"),
    "estimators/regressor.py": (570, "the regressor, and the estimation of its noise"),
    "metrics.py": (740, "one metric beside the other, each with its definition"),
    "reporting/content.py": (540, "what the page shows, section by section"),
    "solvers/base.py": (640, "the contract of solvers, results, states and the run that all of them share"),
}
#: Functions whose bodies are longer, and why.
LONG_FUNCTIONS = {
    "cli/training.py: train": "a command whose parameters are its options",
    "reporting/content.py: figures": "the list of the figures of the page",
}
#: The core: what every fit runs through.
CORE = ["activations", "layers", "objective", "ops", "solvers/_scipy.py"]
CORE += ["blocks.py", "jacobian_penalties.py", "layout.py", "losses.py", "mini_batches.py"]
CORE += ["network.py", "penalties.py", "tangents.py"]


def name_of(path):
    return path.relative_to(SOURCE).as_posix()


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_file_is_long_without_a_reason(path):
    most, _ = LONG_FILES.get(name_of(path), (_MOST_LINES, ""))
    assert len(path.read_text(encoding="utf-8").splitlines()) <= most


def test_exceptions_are_of_files_and_functions_that_need_them():
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert [name for name in LONG_FILES if lengths.get(name, 0) <= _MOST_LINES] == []
    assert LONG_FUNCTIONS.keys() <= {name for path in FILES for name in long_functions(path)}


def long_functions(path):
    """Return the functions of a file whose bodies, without docstrings, have too many lines."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            if body and body[-1].end_lineno - body[0].lineno + 1 > _MOST_LINES_OF_A_FUNCTION:
                found.append(f"{name_of(path)}: {node.name}")
    return found


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_function_is_long_without_a_reason(path):
    assert set(long_functions(path)) <= LONG_FUNCTIONS.keys()


@pytest.mark.parametrize("path", [path for path in FILES if name_of(path).startswith(tuple(CORE))], ids=name_of)
def test_no_class_of_the_core_has_many_methods(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            assert sum(isinstance(part, ast.FunctionDef) for part in node.body) <= _MOST_METHODS, node.name


def test_an_objective_is_extended_by_nobody():
    """By composition only: no class derives from it, and no method is called by a name that is put together."""
    for path in (SOURCE / "objective").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert "super().__init__" not in text
        assert "getattr(self" not in text
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                assert "Objective" not in {getattr(base, "id", "") for base in node.bases}


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("solvers/sgd.py", "from rhohat.objective import Objective"),
        ("solvers/base.py", "from rhohat.network import Network"),
        ("engines/threads.py", "from rhohat.losses import Loss"),
        ("network.py", "from rhohat.estimators import SparseAutoencoder"),
    ],
)
def test_an_import_that_is_forbidden_breaks_a_contract(path, line, tmp_path):
    assert check_contracts(tmp_path / "as it is").returncode == 0
    broken = check_contracts(tmp_path / "broken", path, line)
    assert broken.returncode != 0
    assert "BROKEN" in broken.stdout


def check_contracts(folder, path=None, line=""):
    """Run import-linter over a copy of the source, with a line added to a file."""
    shutil.copytree(SOURCE, folder / "rhohat", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    if path is not None:
        with (folder / "rhohat" / path).open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")
    script = "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports_command as c; c()"
    return subprocess.run(
        [sys.executable, "-c", script, "--no-cache"], cwd=folder, capture_output=True, text=True, check=False
    )
