"""The reference in the documentation is what the commands say of themselves."""

import runpy
from pathlib import Path

from typer.testing import CliRunner

from rhohat.cli import app
from rhohat.cli.app import functions_of_commands

DOCS = Path(__file__).parent.parent.parent / "docs"


def written_reference():
    return runpy.run_path(str(DOCS / "write_cli_reference.py"))["reference"]()


def test_the_page_is_not_stale():
    """If this fails: python docs/write_cli_reference.py."""
    assert (DOCS / "cli.md").read_text(encoding="utf-8") == written_reference()


def test_every_option_of_help_is_on_the_page():
    page = written_reference()
    for command in functions_of_commands():
        section = page.split(f"\n## {command}\n")[1].split("\n## ")[0]
        shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "300"}).output
        options = {word.strip("`,│[] ") for word in shown.split() if word.startswith("--") and len(word) > 3} - {
            "--help"
        }
        assert options, command
        missing = [option for option in options if option not in section]
        assert not missing, f"{command}: {missing}"
