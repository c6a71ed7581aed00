"""The documentation keeps what it says: its Python runs, its commands, links, names and equations are there."""

import importlib
import inspect
import re
import shlex
import warnings
from itertools import takewhile
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
import typer.main
from typer.testing import CliRunner

import rhohat
from benchmarks.cases import make_cases
from benchmarks.report import SUMMARY_HEADER
from rhohat.cli import app
from rhohat.common.exceptions import ConvergenceWarning, DeadLatentsWarning

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
GENERATED = ("_build", "gallery", "api/generated")
PAGES = {
    path.relative_to(DOCS).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(DOCS.rglob("*.md"))
    if not path.relative_to(DOCS).as_posix().startswith(GENERATED)
}
REFERENCE = "".join(path.read_text(encoding="utf-8") for path in (DOCS / "api").glob("*.rst"))
EQUATION = re.compile(r"```\{math\}\n(.*?)```\n+(.*?)(?=\n\n|\Z)", flags=re.DOTALL)
ROLE = re.compile(r"\{(?:func|meth|class|attr|mod|exc)\}`~?([\w.]+)`")


#: Pages whose commands run as well, with the files that the Python code before them writes.
WITH_COMMANDS = (
    "how_to/anomalies.md",
    "how_to/exchange.md",
    "how_to/harvest.md",
    "how_to/predicting.md",
    "how_to/tabular.md",
)


def blocks(page, language):
    """Return the blocks of a page in a language, with the number of the line before each."""
    found = re.finditer(rf"^```{language}\n(.*?)^```", PAGES[page], flags=re.DOTALL | re.MULTILINE)
    return [(PAGES[page][: match.start(1)].count("\n"), match[1]) for match in found]


def run_commands(block):
    """Run the commands of a block, and see that they print the lines that follow them."""
    for part in block.replace("\\\n", "").split("$ ")[1:]:
        line, *expected = part.splitlines()
        result = CliRunner().invoke(app, shlex.split(line)[1:])
        assert result.exit_code == 0, f"{line}: {result.output}"
        missing = [one for one in expected if one.strip() and one not in result.output]
        assert not missing, f"{line} prints {result.output} without {missing}"


def console_lines(program):
    found = [block.replace("\\\n", "") for page in PAGES for _, block in blocks(page, "console")]
    lines = [line for block in found for line in block.splitlines()]
    return sorted({line.removeprefix("$ ") for line in lines if line.startswith(f"$ {program} ")})


def resolve(name):
    """Return what a dotted name stands for, or raise AttributeError."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for attribute in parts[length:]:
            found = getattr(found, attribute)
        return found
    raise AttributeError(name)


@pytest.fixture(name="to_mathml")
def mathml_extension(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    return importlib.import_module("mathml").to_mathml


def test_formulas_become_elements_that_browsers_draw(to_mathml):
    formula = ElementTree.fromstring(to_mathml(r"\hat\rho_j = \frac{1}{m} \sum_i f'(z_{ij}) \ln \tilde{x}", "block"))  # noqa: S314 - our own
    assert formula.get("display") == "block"
    over = [one.get("accent") for one in formula.iter() if one.tag.endswith("}mover")]
    assert over == ["true", "true"]
    assert [one.text for one in formula.iter() if one.tag.endswith("}mo")] == ["^", "=", "∑", "′", "(", ")", "ln", "~"]


def test_a_formula_that_is_not_understood_is_refused(to_mathml):
    with pytest.raises(ValueError, match="arg"):
        to_mathml(r"\arg\min_x J", "inline")


def test_letters_with_accents_become_formulas(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    split_accents = importlib.import_module("accents").split_accents
    expected = [("the mean ", False), (r"\hat{\rho}_j", True), (" of ", False), (r"\tilde{x}", True)]
    assert split_accents("the mean ρ\u0302_j of x\u0303") == expected
    assert split_accents("ρ and x^2") == [("ρ and x^2", False)]


@pytest.mark.parametrize("page", PAGES)
def test_lines_of_code_fit_a_page(page):
    """There is room for 88 columns where a window is 1,300 pixels wide."""
    for block in re.findall(r"^```(?:python|console)\n(.*?)^```", PAGES[page], flags=re.DOTALL | re.MULTILINE):
        assert [line for line in block.splitlines() if len(line) > 88] == []


def test_pages_are_found():
    assert {"index.md", "getting_started.md", "guide/cost.md", "how_to/own_penalty.md"} <= set(PAGES)


#: Pages whose fits converge, so that whoever runs their code sees no warning.
CONVERGES = {"how_to/classifier_features.md"}


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")])
def test_python_runs_block_by_block_and_prints_what_comments_say(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "page"}
    commands = dict(blocks(page, "console") if page in WITH_COMMANDS else ())
    for line, block in sorted([*blocks(page, "python"), *commands.items()]):
        if line in commands:
            run_commands(block)
            capsys.readouterr()
            continue
        with warnings.catch_warnings():
            if page not in CONVERGES:
                warnings.simplefilter("ignore", ConvergenceWarning)
            if page == "how_to/cs294a.md":  # which shows what too small a ρ does
                warnings.simplefilter("ignore", DeadLatentsWarning)
            exec(compile("\n" * line + block, page, "exec"), namespace)  # noqa: S102 - our own pages
        printed = iter(capsys.readouterr().out.splitlines())
        for expected in re.findall(r"^print\(.*\)  # (.+)$", block, flags=re.MULTILINE):
            assert expected in printed, f"{page} says that it prints: {expected}"


@pytest.mark.parametrize("line", console_lines("rhohat"))
def test_commands_and_their_options_exist(line):
    command, words = typer.main.get_command(app), shlex.split(line)[1:]
    if words[0] == "--import":  # the program's own, before the command
        words = words[2:]
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, f"there is no command rhohat {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    context = type(command).context_class(command, info_name="rhohat", resilient_parsing=True)
    _, left, _ = command.make_parser(context).parse_args(args=list(words))
    assert not left, f"too many arguments: {left}"
    given = command.make_parser(context).parse_args(args=list(words))[0]
    missing = [one.name for one in command.params if one.required and given.get(one.name) in (None, ())]
    assert not missing, f"missing: {missing}"


@pytest.mark.parametrize(
    "target", sorted({name for text in PAGES.values() for name in re.findall(r"`make (\S+?)`", text)})
)
def test_make_targets_exist(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("guide/") and "{math}" in PAGES[page]])
def test_every_equation_names_what_computes_it_and_its_source(page):
    found = EQUATION.findall(PAGES[page])
    assert len(found) == PAGES[page].count("```{math}") > 0
    for equation, after in found:
        label = re.match(r":label: (eq-[\w-]+)\n", equation)
        assert label, f"no label: {equation}"
        assert after.startswith("Computed by "), f"{label[1]}: nobody computes it"
        first = ROLE.match(after, len("Computed by "))
        assert first, f"{label[1]}: a role must follow"
        assert callable(resolve(first[1])), f"{label[1]}: {first[1]} computes nothing"
        assert re.search(r"\b[Ss]ource:", after), f"{label[1]}: no source"


def test_equations_that_are_referred_to_exist():
    everything = "".join(PAGES.values())
    labels = re.findall(r"^:label: (\S+)$", everything, flags=re.MULTILINE)
    assert len(labels) == len(set(labels)) >= 50
    assert set(re.findall(r"\{eq\}`([^`]+)`", everything)) <= set(labels)


@pytest.mark.parametrize("page", PAGES)
def test_names_in_pages_can_be_imported(page):
    for name in ROLE.findall(PAGES[page]):
        resolve(name)


def test_every_public_name_is_in_the_reference():
    listed = re.findall(r"^   ~?(rhohat\.[\w.]+)$", REFERENCE, flags=re.MULTILINE)
    assert len(listed) == len(set(listed))
    shown = [resolve(name) for name in listed]
    for name in rhohat.__all__:
        one = getattr(rhohat, name)
        if inspect.ismodule(one):  # its names are listed instead
            missing = [each for each in one.__all__ if not any(getattr(one, each) is other for other in shown)]
            assert not missing, f"docs/api lacks these of rhohat.{name}: {missing}"
        else:
            assert f"rhohat.{name}" in listed, f"docs/api lacks rhohat.{name}"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", PAGES[page], flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        link = urlsplit(target)
        if link.scheme:
            assert link.scheme == "https", f"{target} is not https"
            assert re.fullmatch(r"[\w-]+(\.[\w-]+)+", link.netloc), f"{target} has no host"
        elif link.path and not link.path.startswith(
            ("gallery/", "../gallery/")
        ):  # made by the build, which checks them
            assert ((DOCS / page).parent / link.path).exists(), f"{target} does not exist"


def test_the_page_of_benchmarks_has_every_case_that_has_a_goal():
    lines = PAGES["benchmarks.md"].splitlines()
    rows = takewhile(lambda line: line.startswith("| "), lines[lines.index(SUMMARY_HEADER) + 2 :])
    shown = [row.split(" | ")[0].removeprefix("| ") for row in rows]
    cases = make_cases(references={"float64": {}}).values()
    assert shown == [case.title for case in cases if any(one.target is not None for one in case.contenders)]
