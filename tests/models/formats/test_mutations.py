"""Damaged and forged files of other libraries are refused, or work: a sample of what `make mutations` tries."""

import warnings

import pytest

from tests.models.formats.mutations import FORMATS, try_many


@pytest.mark.parametrize("kind", FORMATS)
def test_mutated_files_are_refused_or_loaded_to_what_they_say(kind, tmp_path):
    if kind in ("dictionary_learning", "openai"):
        pytest.importorskip("torch")  # the independent reader
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of weights that are nearly infinite
        seen = try_many(kind, 250, 7, tmp_path)
    refused = sum(count for (_, what), count in seen.items() if what == "refused")
    assert refused > 75
    assert refused < seen.total()
