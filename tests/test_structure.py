"""What keeps the source readable: sizes of files, functions and classes, and who may import whom."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "rhohat"
FILES = sorted(SOURCE.rglob("*.py"))

_MOST_LINES, _MOST_LINES_OF_A_FUNCTION, _MOST_METHODS = 450, 50, 15

#: Files that have more lines, how many at most, and why they stay in one.
LONG_FILES = {
    "estimators/autoencoder.py": (545, "the public methods of all autoencoders, half of it docstrings"),
    "estimators/base.py": (605, "what all estimators share, a third of it docstrings"),
    "estimators/feedforward_regressor.py": (570, "the regressor, and the estimation of its noise"),
}
#: Functions whose bodies are longer, and why.
LONG_FUNCTIONS = {
    "cli/training.py: train": "a command whose parameters are its options",
}
#: The core: what every fit runs through.
CORE = ["common/blocks.py", "layers", "objective", "ops", "solvers/_scipy.py", "terms"]


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
        ("solvers/base.py", "from rhohat.layers.network import Network"),
        ("engines/threads.py", "from rhohat.terms.losses import Loss"),
        ("layers/network.py", "from rhohat.estimators import SparseAutoencoder"),
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


def layers_of_rooms():
    """Return the rooms as the first contract of import-linter has them, from the highest layer down."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    return [layer.split(" | ") for layer in contracts[0]["layers"]]


def test_the_architecture_says_who_may_import_whom_as_it_is_enforced():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split("## Who may import whom")[1].split("\n\n")[2]
    assert [re.findall(r"`(\w+)`", line) for line in text.splitlines()] == layers_of_rooms()


def test_the_architecture_has_a_section_for_every_room_and_names_files_that_are_there():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    sections = re.findall(r"^### `(\w+)/`.*?\n(.*?)(?=^##)", text, flags=re.DOTALL | re.MULTILINE)
    rooms = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert {room for room, _ in sections} == rooms == {room for layer in layers_of_rooms() for room in layer}
    for room, section in sections:
        names = {path.name for path in (SOURCE / room).rglob("*")}
        for row in re.findall(r"^\| (.*?) \|", section, flags=re.MULTILINE):
            assert {named.rstrip("/") for named in re.findall(r"`([\w./]+)`", row)} <= names


def test_there_are_few_rooms_and_no_modules_beside_them():
    entries = {path.name for path in SOURCE.iterdir()} - {"__pycache__", "__init__.py", "__main__.py", "py.typed"}
    assert len(entries) <= 17
    assert not [entry for entry in entries if entry.endswith(".py")]


def test_modules_import_one_another_without_circles():
    imports = {module_of(path): imported_by(path) for path in FILES}
    done, open_ = set(), []

    def visit(module):
        assert module not in open_, f"a circle: {[*open_[open_.index(module) :], module]}"
        if module in done:
            return
        open_.append(module)
        for other in sorted(imports.get(module, ())):
            visit(other)
        done.add(open_.pop())

    for module in imports:
        visit(module)


def module_of(path):
    return ".".join(("rhohat", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")


def imported_by(path):
    """Return the modules that a file imports from when it is imported, not when its functions are called."""
    modules = {module_of(file) for file in FILES}
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rhohat"):
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                found.add(submodule if submodule in modules else node.module)
    return found
