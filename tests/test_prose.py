import subprocess
import sys

import pytest

pytest.importorskip("proselint", reason="needs proselint")

from tests.prose import findings, prose_of


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("At this point in time, it is very unique.\n", {1}),
        ("# Heading\n\nThe unit fires on edges.\n", {3}),
        ("One.\n\nIt tells the the reader.\n", {3}),
        ("The variance explained is 0.9, and\nno dead neurons are left.\n", {1, 2}),
    ],
)
def test_what_is_to_be_changed_is_told_with_its_line(text, lines):
    found = findings(text, "page.md")
    assert {int(line.split(":")[1]) for line in found} == lines
    assert all(line.startswith("page.md:") for line in found)


@pytest.mark.parametrize(
    "text",
    [
        "It resumes with `make check FIRES=1`, in colour: `color=True`.\n",
        "```python\nfires = very = unique\n```\n",
        "In a block::\n\n    the the unit fires\n\nAnd so on.\n",
        "# A dictionary\n\nA dictionary is a matrix.\n",
        "| a | b |\n|---|---|\n| 0 | 0 |\n| cost 1.0 0.5 | cost<br>cost |\n",
        "The figure is ![of units](fires/very-unique.png) below, where $fires$ is\n$$fires = 1$$\n",
    ],
)
def test_code_and_tables_are_not_read_as_prose(text):
    assert findings(text, "page.md") == []
    assert prose_of(text).count("\n") == text.count("\n")


@pytest.mark.parametrize(("text", "code"), [("The unit is active.\n", 0), ("The unit fires.\n", 1)])
def test_the_command_reads_folders_and_ends_with_1_if_something_is_found(tmp_path, text, code):
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "a.md").write_text(text)
    (tmp_path / "_build").mkdir()
    (tmp_path / "_build" / "b.md").write_text("The unit fires.\n")
    done = subprocess.run([sys.executable, "-m", "tests.prose", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == code
    assert ("a.md:1: write 'is active' instead of 'fires'." in done.stderr) == bool(code)
    assert "b.md" not in done.stderr
