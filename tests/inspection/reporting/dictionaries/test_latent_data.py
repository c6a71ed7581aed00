"""The data of a page is compact: pictures and names are left out where there is no room for them."""

import numpy as np
import pytest
from scipy import sparse

from rhohat import open_rows
from rhohat.inspection.kept_rows import SparseSampledRows, SparseTopRows, SparseWeakestRows
from rhohat.inspection.metrics import ActivationStatistics, ReconstructionStatistics
from rhohat.inspection.reporting.dictionaries.geometry import geometry_of
from rhohat.inspection.reporting.dictionaries.latent_data import LatentData
from rhohat.inspection.reporting.dictionaries.measuring import DictionaryMeasurements, Latents
from rhohat.inspection.reporting.dictionaries.spread import N_SAMPLED, N_WEAKEST, Spread
from rhohat.inspection.reporting.row_labels import RowLabels
from rhohat.inspection.reporting.shown_rows import ShownRows
from rhohat.inspection.reporting.units import most_similar

N_ROWS, N_LATENTS = 2000, 500


@pytest.fixture
def make(rng):
    """A function that makes the data of a dictionary, of which the first latents are active most often."""
    codes = rng.random((N_ROWS, N_LATENTS)) * (rng.random((N_ROWS, N_LATENTS)) < np.linspace(0.02, 0, N_LATENTS))
    X = rng.random((N_ROWS, 64))
    directions = rng.normal(size=(N_LATENTS, 64)).astype(np.float32)
    activations = ActivationStatistics()
    activations.update(codes)
    kept = (
        SparseTopRows(N_LATENTS, 12),
        SparseSampledRows(N_LATENTS, N_SAMPLED),
        SparseWeakestRows(N_LATENTS, N_WEAKEST),
    )
    for one in kept:
        one.update(sparse.csr_array(codes), 0)
    measured = DictionaryMeasurements(
        np.arange(N_ROWS), activations, ReconstructionStatistics(), (codes > 0).sum(axis=0), kept[0], Spread.of(*kept)
    )
    latents = Latents(directions, *most_similar(directions), np.ones(N_LATENTS), geometry_of(directions))
    source = open_rows(X)

    def make_one(image_shape=(8, 8), labels=None):
        shown = ShownRows(source, np.arange(N_ROWS), image_shape, None)
        row_labels = None if labels is None else RowLabels(labels, source)
        return LatentData(measured, latents, shown, row_labels), measured

    return make_one


def numbers(column):
    import base64

    dtype = {"Uint32Array": "<u4", "Uint16Array": "<u2"}[column.kind]
    return np.frombuffer(base64.b64decode(column.text), dtype)


def examples_of(measured):
    """The rows that are shown of each latent, by priority."""
    return [rows[rows >= 0] for rows in measured.examples]


def test_everything_is_there_if_there_is_room(make):
    data, measured = make(labels=[f"row {number}" for number in range(N_ROWS)])
    page = data.page_data(10**8)
    everything = np.unique(np.concatenate(examples_of(measured)))
    np.testing.assert_array_equal(numbers(page.columns["pictured"]), everything)
    np.testing.assert_array_equal(numbers(page.columns["labelled"]), everything)
    assert page.record["labels"] == [f"row {number}" for number in everything]
    assert "drawn" not in page.columns


@pytest.mark.parametrize("labels", [None, ["a name of a row " * 4] * N_ROWS])
@pytest.mark.parametrize("room", [190_000, 220_000, 290_000])
def test_the_data_are_no_larger_than_they_may_be(room, labels, make):
    data, measured = make(labels=labels)
    page = data.page_data(room)
    assert 0.5 * room < page.size <= room
    everything = np.unique(np.concatenate(examples_of(measured)))
    pictured = numbers(page.columns["pictured"]) if "pictured" in page.columns else []
    assert len(pictured) < len(everything)
    assert set(pictured) <= set(everything)


def test_rows_that_activate_a_latent_most_come_first(make):
    data, measured = make(image_shape=None, labels=["a name of a row"] * N_ROWS)
    without = data.page_data(0)
    assert without.record["labels"] == []
    page = data.page_data(without.size + 20 * 200)
    labelled = set(numbers(page.columns["labelled"]))
    often = np.argsort(-measured.activations.activation_frequency, kind="stable")
    best = [top[0] for top in (examples_of(measured)[latent] for latent in often) if len(top)]
    expected = list(dict.fromkeys(best))[: len(labelled)]
    assert 50 < len(labelled) < len(set(best))
    assert labelled == set(expected)


def test_pictures_of_rows_that_activate_a_latent_most_come_first(make):
    data, measured = make()
    everything = data.page_data(10**8)
    page = data.page_data(everything.size - 60_000)
    pictured = set(numbers(page.columns["pictured"]))
    tops = examples_of(measured)
    best = {top[0] for top in tops if len(top)}
    last = set(np.concatenate(tops)) - set(np.concatenate([top[:11] for top in tops]))
    assert best <= pictured
    assert len(pictured) < len(set(np.concatenate(tops)))
    assert len(pictured & last) < len(last) / 10


def test_directions_of_latents_that_are_active_most_often_come_first(make):
    data, measured = make()
    everything = data.page_data(10**8)
    numbers_only = everything.size - sum(len(str(everything.record[name])) for name in ("directions", "pictures"))
    page = data.page_data(numbers_only + 20_000)
    drawn = numbers(page.columns["drawn"])
    often = np.argsort(-measured.activations.activation_frequency, kind="stable")
    assert 10 < len(drawn) < N_LATENTS
    assert set(drawn) == set(often[: len(drawn)])
