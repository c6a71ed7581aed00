"""A harvest whose process is killed at any moment goes on with the same call, and has every row once."""

import subprocess
import sys
from pathlib import Path

import numpy as np

import rhohat
from tests.modules.language_models import CONTEXT, texts

N_KILLED = 5

#: A process that harvests in a child of its own, kills that at random moments, and lets the last one come to its end.
SCRIPT = f"""
import json, os, random, signal, sys, time
from pathlib import Path

import torch

torch.set_num_threads(1)

import rhohat
from rhohat.modules import harvest_run
from rhohat.modules.language_models import load_language_model
from tests.modules.language_models import texts

harvest_run._PART_BYTES = 2500  # some hundred parts
folder, name = Path(sys.argv[2]), ["transformer.h.0", "transformer.h.1"]
model = load_language_model(sys.argv[1])
draw = random.Random(int(sys.argv[3]))


def n_rows():
    path = folder / "harvest.json"
    return json.loads(path.read_text())["n_rows"] if path.exists() else -1


def child():
    pid = os.fork()
    if pid:
        return pid
    try:
        rhohat.harvest(
            model.module, texts(150), folder, name, context={CONTEXT}, batch_size=2, tokenizer=model.tokenizer
        )
    finally:
        os._exit(0)


for _ in range({N_KILLED}):
    before, pid = n_rows(), child()
    until = before + draw.choice([-1, 1, 100, 200])
    while n_rows() < until and os.waitpid(pid, os.WNOHANG) == (0, 0):
        pass
    time.sleep(draw.random() * 0.03)
    os.kill(pid, signal.SIGKILL)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL, "it was killed before it came to its end"
    print(n_rows())
os.waitpid(child(), 0)
"""


def test_a_harvest_that_is_killed_five_times_has_every_row_once_and_an_index_that_fits(decoder, tmp_path):
    module, tokenizer = decoder.parts
    names = ["transformer.h.0", "transformer.h.1"]
    whole = tmp_path / "whole"
    rhohat.harvest(module, texts(150), whole, names, context=CONTEXT, batch_size=2, tokenizer=tokenizer)
    root = Path(__file__).parents[2]
    reached = subprocess.run(
        [sys.executable, "-c", SCRIPT, decoder.folder, tmp_path / "killed", "3"],
        check=True, capture_output=True, text=True, cwd=root,
    ).stdout.split()  # fmt: skip
    n_reached = [int(one) for one in reached]
    assert len(n_reached) == N_KILLED
    assert n_reached == sorted(n_reached)
    indices = [rhohat.HarvestIndex(folder) for folder in (whole, tmp_path / "killed")]
    n_rows = indices[0].n_rows
    assert indices[1].n_rows == n_rows > n_reached[-1] > 0
    assert len(indices[1].record.shards) > 20
    assert [indices[0].text(n) for n in range(indices[0].n_texts)] == [
        indices[1].text(n) for n in range(indices[1].n_texts)
    ]
    for name in names:
        with rhohat.open_rows(f"{whole}:/{name}") as one, rhohat.open_rows(f"{tmp_path / 'killed'}:/{name}") as other:
            np.testing.assert_allclose(one.read(0, n_rows), other.read(0, n_rows), rtol=2e-3, atol=1e-4)
    assert not list((tmp_path / "killed").rglob(".*"))
