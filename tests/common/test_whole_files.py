"""A file appears whole or stays as it was, and an error speaks of the file that somebody named."""

import errno

import pytest

from rhohat.common.whole_files import replacing


def test_an_error_names_the_file_and_not_the_one_that_is_written_first(tmp_path):
    path = tmp_path / "none" / "model.safetensors"
    with pytest.raises(FileNotFoundError) as caught, replacing(path) as unfinished:
        unfinished.write_bytes(b"content")
    assert caught.value.filename == str(path)
    assert caught.value.errno == errno.ENOENT


def test_other_errors_pass_through(tmp_path):
    (tmp_path / "a").write_text("before")
    with pytest.raises(OSError, match="mine"), replacing(tmp_path / "a"):
        raise OSError(errno.EIO, "mine", "elsewhere")
    assert (tmp_path / "a").read_text() == "before"
    assert [one.name for one in tmp_path.iterdir()] == ["a"]
