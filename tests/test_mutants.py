"""Survivors of mutation testing are explained by function and change."""

import json

import pytest

from tests import mutant_runner
from tests.mutants import EXPLAINED, chosen, explained_by_kind, name_and_change, read_explained

MUTANTS = [f"rhohat.terms.penalties.x_check__mutmut_{n}" for n in range(6)] + ["rhohat.layers.base.x_f__mutmut_1"]
DIFFERENCE = """--- src/rhohat/terms/penalties.py
+++ src/rhohat/terms/penalties.py
@@ -1,3 +1,3 @@
     def value(self):
-        return 1
+        return 2
"""


def test_a_mutant_is_known_by_its_function_and_what_it_changes():
    method = "rhohat.terms.penalties.xǁWeightDecayǁvalue__mutmut_3"
    assert name_and_change(method, DIFFERENCE) == ("terms.penalties.WeightDecay.value", "return 1 -> return 2")
    function = "rhohat.terms.penalties.x__check_layers__mutmut_12"
    assert name_and_change(function, DIFFERENCE)[0] == "terms.penalties._check_layers"
    with pytest.raises(ValueError, match="no name of a mutant"):
        name_and_change("rhohat", DIFFERENCE)


def test_mutants_are_chosen_by_file_and_spread_evenly():
    assert chosen(MUTANTS, ["terms/penalties.py"], None) == MUTANTS[:6]
    assert chosen(MUTANTS, ["src/rhohat/layers/"], 5) == MUTANTS[6:]
    assert chosen(MUTANTS, [], 3) == [MUTANTS[0], MUTANTS[2], MUTANTS[4]]
    assert chosen(MUTANTS, ["term"], None) == []


def test_explanations_have_reasons():
    assert read_explained("# a note\na.f: x -> y\n  Since it is so,\n  and so.\n") == {
        ("a.f", "x -> y"): "Since it is so, and so."
    }
    for text in ("a.f: x -> y\n", "a.f: x -> y\nb.g: x -> y\n  Why.\n"):
        with pytest.raises(ValueError, match="no reason for a"):
            read_explained(text)
    with pytest.raises(ValueError, match="what is this a reason for: Why"):
        read_explained("  Why.\n")
    assert read_explained(EXPLAINED.read_text(encoding="utf-8"))


ZIP = "for a, b in zip(first, (1, 2), strict=True):"
TEXT = 'raise ValueError("the number of rows must be " + "even")'


@pytest.mark.parametrize(
    "change",
    [
        f"{ZIP} -> for a, b in zip(first, (1, 2), strict=False):",
        f"{ZIP} -> for a, b in zip(first, (1, 2), strict=None):",
        f"{ZIP} -> for a, b in zip(first, (1, 2), ):",
        "pairs = tuple(zip(a, b, strict=False)) -> pairs = tuple(zip(a, b, ))",
        "rows = lines.reshape(len(lines) // 2, -1) -> rows = lines.reshape(len(lines) // 2, -2)",
        "y = f(x.reshape(-1, n), -1) -> y = f(x.reshape(-2, n), -1)",
        f'{TEXT} -> raise ValueError("XXthe number of rows must be XX" + "even")',
        f'{TEXT} -> raise ValueError("THE NUMBER OF ROWS MUST BE " + "even")',
    ],
)
def test_some_kinds_of_changes_need_no_reason_of_their_own(change):
    assert explained_by_kind(change)


@pytest.mark.parametrize(
    "change",
    [
        f"{ZIP} -> for a, b in zip(first, None, strict=True):",
        f"{ZIP} -> for a, b in zip(first, (1, 3), strict=False):",
        f"{ZIP} -> for a, b in zip(first, strict=True):",
        "zip(a, b, strict=False) -> zip(a, b, strict=True)",
        "check(a, b, strict=True) -> check(a, b, strict=False)",
        "return 1 -> return 2",
        "y = f(x.reshape(-1, n), -1) -> y = f(x.reshape(-1, n), -2)",
        "y = x.reshape(-1, n) -> y = x.reshape(+1, n)",
        "return 1 -> return 1",
        f"{TEXT} -> raise ValueError(None)",
        f'{TEXT} -> raise ValueError("the number of rows must be " - "even")',
        f'{TEXT} -> raise ValueError("the number of rows must be " + "XXevenXX")',
        f'{TEXT} -> raise TypeError("THE NUMBER OF ROWS MUST BE " + "even")',
        f'{TEXT} -> raise ValueError("THE NUMBER OF ROWS MUST BE " + "EVEN")',
        'draw("noise of a batch") -> draw("NOISE OF A BATCH")',
        'draw("noise of a whole batch") -> draw("noise of a whole block")',
    ],
)
def test_no_other_change_is_explained_by_its_kind(change):
    assert not explained_by_kind(change)


SOURCE = """
import os

def double(x):
    mutant = os.environ["MUTANT_UNDER_TEST"]
    if mutant == "doubling.x_double__mutmut_4":
        os.kill(os.getpid(), 9)
    return {"doubling.x_double__mutmut_1": 3 * x, "doubling.x_double__mutmut_2": x + x}.get(mutant, 2 * x)
"""
TESTS = """
import pytest
from doubling import double

def test_fast(): assert double(0) == 0
def test_slow(): assert double(1) == 2
def test_new(): assert double(-1) != -4
def test_skipped(): pytest.skip("not here")
def test_that_fails_always(): raise AssertionError
"""


@pytest.fixture
def folder_of_mutants(tmp_path):
    """A folder as mutmut makes it, with a function and its tests, two of which are known to be called."""
    seconds = {"tests/test_doubling.py::test_fast": 0.01, "tests/test_doubling.py::test_slow": 0.2}
    known = {"duration_by_test": seconds, "tests_by_mangled_function_name": {"doubling.x_double": list(seconds)}}
    (tmp_path / "mutmut-stats.json").write_text(json.dumps(known))
    for name, text in (("src/doubling.py", SOURCE), ("tests/test_doubling.py", TESTS)):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_mutant_is_run_with_the_tests_of_its_function_and_with_new_ones(folder_of_mutants):
    mutants = [f"doubling.x_double__mutmut_{number}" for number in (1, 2, 3, 4)] + ["doubling.x_other__mutmut_1"]
    arguments = ["tests", "--deselect=tests/test_doubling.py::test_that_fails_always"]
    of_all = mutant_runner.run(folder_of_mutants, mutants, arguments)
    assert [of_all[mutant] for mutant in mutants] == ["killed", "survived", "survived", "timeout", "survived"]
    of_fast = mutant_runner.run(folder_of_mutants, mutants[:2], arguments, longest=0.1)
    assert list(of_fast.values()) == ["survived", "survived"]
    old = [*arguments, "--deselect=tests/test_doubling.py::test_new", "--deselect=tests/test_doubling.py::test_skipped"]
    assert mutant_runner.run(folder_of_mutants, mutants[-1:], old) == {mutants[-1]: "no tests"}


def test_tests_that_fail_without_a_mutant_say_nothing_of_mutants(folder_of_mutants, capfd):
    with pytest.raises(mutant_runner.TestsFailError):
        mutant_runner.run(folder_of_mutants, ["doubling.x_double__mutmut_1"], ["tests"])
    assert "test_that_fails_always fails without any mutant" in capfd.readouterr().err
