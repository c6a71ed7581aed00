"""Checkpoints on disk: all or nothing, the newest two, and what happens to damaged ones and full disks."""

import os
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from rhohat.common.exceptions import CheckpointError, CheckpointWarning
from rhohat.fitting.checkpoints import Checkpoints

ARRAYS = {"theta": np.arange(5.0), "single": np.ones((2, 3), np.float32), "nothing": np.empty((0, 4))}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_was_saved_is_loaded_to_the_bit(tmp_path):
    checkpoints = Checkpoints(tmp_path / "new" / "folder")
    assert checkpoints.newest() is None
    record = {"value": 0.1 + 0.2, "nan": float("nan"), "curve": [1e-320, 3.0], "name": "ρ̂", "nested": {"none": None}}
    checkpoints.save(record, ARRAYS)
    found, arrays = checkpoints.newest()
    assert repr(found) == repr(record)
    assert set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array, strict=True)
        arrays[name][...] = 0  # it is memory that may be written to
        assert array.size == 0 or arrays[name].ctypes.data % 64 == 0


def test_the_newest_two_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for number in range(4):
        checkpoints.save({"number": number}, {})
    assert names(tmp_path) == ["checkpoint-00000003.safetensors", "checkpoint-00000004.safetensors"]
    assert checkpoints.newest()[0] == {"number": 3}
    Checkpoints(tmp_path).save({"number": 4}, {})
    assert names(tmp_path) == ["checkpoint-00000004.safetensors", "checkpoint-00000005.safetensors"]


def test_a_damaged_file_gives_way_to_the_one_before(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save({"number": 0}, ARRAYS)
    checkpoints.save({"number": 1}, ARRAYS)
    newest = checkpoints.paths()[0]
    whole = newest.read_bytes()
    one_bit = bytes([*whole[:-3], whole[-3] ^ 4, *whole[-2:]])
    for content in (whole[:-9], b"", b"nonsense" * 9, one_bit):
        newest.write_bytes(content)
        with pytest.warns(CheckpointWarning, match="cannot be read.*the previous checkpoint is used"):
            assert checkpoints.newest()[0] == {"number": 0}
    checkpoints.paths()[1].write_bytes(b"")
    with pytest.warns(CheckpointWarning), pytest.raises(CheckpointError, match=r"cannot be read.*Delete"):
        checkpoints.newest()


def test_a_damaged_file_is_not_among_the_two_that_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for number in range(2):
        checkpoints.save({"number": number}, ARRAYS)
    checkpoints.paths()[0].write_bytes(b"")
    with pytest.warns(CheckpointWarning):
        checkpoints.newest()
    checkpoints.save({"number": 2}, ARRAYS)
    assert names(tmp_path) == ["checkpoint-00000001.safetensors", "checkpoint-00000003.safetensors"]


def test_numbers_of_numpy_are_numbers(tmp_path):
    Checkpoints(tmp_path).save({"a": np.int64(3), "b": np.float32(0.5), "c": np.bool_(True)}, {})
    assert Checkpoints(tmp_path).newest()[0] == {"a": 3, "b": 0.5, "c": True}


def test_a_child_that_was_forked_meanwhile_holds_no_lock(tmp_path):
    pytest.importorskip("fcntl", reason="there are no file locks here")
    checkpoints = Checkpoints(tmp_path)
    checkpoints.lock()
    child = os.fork()
    if child == 0:
        time.sleep(20)
        os._exit(0)
    try:
        checkpoints.unlock()
        checkpoints.lock()
    finally:
        checkpoints.unlock()
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_files_of_others_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    checkpoints = Checkpoints(tmp_path)
    for number in range(3):
        checkpoints.save({"number": number}, {})
    assert (tmp_path / "notes.txt").read_text() == "mine"
    other = tmp_path / "checkpoint-00000009.safetensors"
    from safetensors.numpy import save_file

    save_file({"x": np.zeros(1)}, other)
    with pytest.warns(CheckpointWarning, match="the format of the file is 'unknown'"):
        assert checkpoints.newest()[0] == {"number": 2}


def test_a_write_that_fails_leaves_the_earlier_ones_and_no_rest(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save({"number": 0}, {})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            checkpoints.save({"number": 1}, {"theta": np.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names(tmp_path) == ["checkpoint-00000001.safetensors"]
    assert checkpoints.newest()[0] == {"number": 0}


def test_a_folder_serves_one_fit_at_a_time(tmp_path):
    pytest.importorskip("fcntl", reason="there are no file locks here")
    first, second = Checkpoints(tmp_path), Checkpoints(tmp_path)
    first.lock()
    with pytest.raises(CheckpointError, match="another fit is writing its checkpoints"):
        second.lock()
    first.unlock()
    second.lock()
    second.unlock()


def test_a_lock_dies_with_its_process(tmp_path):
    pytest.importorskip("fcntl", reason="there are no file locks here")
    imports = "import os, sys; from rhohat.fitting.checkpoints import Checkpoints"
    code = f"{imports}; Checkpoints(sys.argv[1]).lock(); os._exit(9)"
    assert subprocess.run([sys.executable, "-c", code, tmp_path], check=False).returncode == 9
    checkpoints = Checkpoints(tmp_path)
    checkpoints.lock()
    checkpoints.unlock()
    assert os.listdir(tmp_path) == []
