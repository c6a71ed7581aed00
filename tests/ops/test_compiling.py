"""Machine code is kept in files, by any number of processes at a time, and is done without where it cannot be kept."""

import os
import subprocess
import sys

import pytest

pytest.importorskip("numba", reason="the extra 'fast' is not installed")

#: Fits with compiled primitives, and prints θ, how often machine code was read from a file, and how often compiled.
FIT = """
import hashlib, sys
import numpy as np
from rhohat import Adam, SparseAutoencoder
from rhohat.ops.compiled import functions, products
X = np.random.default_rng(0).random((300, 20))
model = SparseAutoencoder(
    n_components=12, solver=Adam(), max_iter=2, random_state=0, output_activation="sigmoid"
).fit(X)
found = [function.stats for function in (products.multiply, functions.sigmoid_with_bias)]
print(hashlib.sha256(model.theta_.tobytes()).hexdigest())
print(sum(sum(one.cache_hits.values()) for one in found), sum(sum(one.cache_misses.values()) for one in found))
"""

#: As if neither the package's folder nor the user's could be written to.
WITHOUT_FOLDERS = """
from numba.core import caching
def refuse(self):
    raise OSError("read-only file system")
caching._CacheLocator.ensure_cache_path = refuse
"""


def start(folder, code=FIT):
    environment = os.environ | {"RHOHAT_OPS": "compiled", "NUMBA_CACHE_DIR": str(folder)}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def result(process):
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    digest, counts = output.splitlines()
    hits, misses = map(int, counts.split())
    return digest, hits, misses


def test_processes_that_compile_at_once_and_later_ones_get_the_same_bits(tmp_path):
    first, second = [result(process) for process in [start(tmp_path), start(tmp_path)]]
    later = result(start(tmp_path))
    without = result(start(tmp_path, WITHOUT_FOLDERS + FIT))
    assert first[0] == second[0] == later[0] == without[0]
    assert first[2] + second[2] > 0  # one may find what the other has just compiled
    assert later[1:] == (first[1] + first[2], 0)
    assert without[1] == 0
    assert list(tmp_path.rglob("*.nbc"))


def test_machine_code_is_out_of_date_when_any_file_of_the_folder_changes(monkeypatch, tmp_path):
    from rhohat.ops.compiled import compiling

    files = {"a.py": b"1", "b.py": b"2"}
    stamps = set()
    for change in (None, "a.py", "b.py"):
        for name, content in files.items():
            (tmp_path / name).write_bytes(content + (b" " if name == change else b""))
        monkeypatch.setattr(compiling, "__file__", str(tmp_path / "a.py"))
        stamps.add(compiling._stamp_of_sources.__wrapped__())
    assert len(stamps) == 3
