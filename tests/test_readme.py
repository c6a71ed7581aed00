"""The README's Python runs as it stands, and its commands exist."""

import re
import warnings
from pathlib import Path

import pytest

from rhohat.exceptions import ConvergenceWarning

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_examples_run_one_after_another(capsys):
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(blocks) == 2
    namespace = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for block in blocks:
            exec(block, namespace)  # noqa: S102 - our own README
    printed = capsys.readouterr().out
    assert "kl_sparsity" in printed
    assert "relative difference" in printed
    assert namespace["codes"].shape == (10_000, 25)


@pytest.mark.parametrize("target", re.findall(r"`?make (\w+)", README))
def test_every_make_target_that_is_named_exists(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_the_table_of_the_benchmark_is_there():
    header = "| one evaluation of J and ∇J, float64 |"
    assert header in README
    assert header in (ROOT / "benchmarks" / "__main__.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#:]+)\)", README))
def test_every_link_leads_to_a_file(path):
    assert (ROOT / path).exists()
