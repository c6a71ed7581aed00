"""The pages that --help prints, on terminals of several widths."""

import shlex

import pytest
from typer.testing import CliRunner

from rhohat.cli import app
from rhohat.cli.app import examples_of, functions_of_commands
from rhohat.cli.declared import OTHER, declared, usage_of

COMMANDS = functions_of_commands()


def help_of(*command, columns=80):
    result = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": str(columns)})
    assert result.exit_code == 0
    return result.stdout


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_help_fits_the_terminal_and_cuts_nothing_off(command, columns):
    shown = help_of(*command, columns=columns)
    assert max(map(len, shown.splitlines())) <= columns
    assert "…" not in shown
    assert "<" not in shown  # such as <bool>


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_in_a_panel_with_a_title_and_has_a_sentence(name):
    for one in declared(COMMANDS[name]):
        assert one.panel != OTHER, one.names
        assert one.help.endswith("."), one.names


def test_a_docstring_flows_with_the_width_of_the_terminal():
    first = "The model includes its preprocessing, so encode, report and the other commands"
    assert f" {first} take" in help_of("train", columns=200)
    assert f" {first} \n" in help_of("train", columns=80)


def test_panels_come_in_the_order_in_which_they_are_needed():
    shown = help_of("train")
    places = [shown.index(f"─ {title} ─") for title in ("Examples", "Data", "Model", "Training", "Output")]
    assert places == sorted(places)


def test_commands_are_grouped():
    shown = help_of()
    places = [shown.index(f"\u2502 {name} ") if name in COMMANDS else 0 for name in ("demo", "train", "encode", "plot")]
    assert places == sorted(places)
    assert "─ Look at a model ─" in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_fit_a_line_and_have_only_options_that_exist(name):
    lines = examples_of(name)
    comments, commands = lines[::2], lines[1::2]
    assert len(comments) == len(commands) >= 1
    options = {option for one in declared(COMMANDS[name]) if not one.is_argument for option in one.names}
    for comment, command in zip(comments, commands, strict=True):
        assert comment.startswith("# ")
        assert comment.endswith(".")
        words = shlex.split(command)
        assert words[:2] == ["rhohat", name]
        assert {word for word in words if word.startswith("-") and word != "-"} <= options
        assert len(command) <= 76, command


def test_the_usage_names_what_is_required():
    assert usage_of("train", list(declared(COMMANDS["train"]))) == "rhohat train DATA --output FILE [OPTIONS]"
    assert "Usage: rhohat info [MODEL] [OPTIONS]" in help_of("info")


def test_errors_show_the_usage_line_of_the_help(invoke):
    assert "Usage: rhohat train DATA --output FILE [OPTIONS]" in invoke("train", "x.npy", "--nope").output
    assert "Usage: rhohat COMMAND [ARGUMENTS] [OPTIONS]" in invoke("foo").output
    assert "Usage: rhohat COMMAND [ARGUMENTS] [OPTIONS]" in invoke("--help").output
