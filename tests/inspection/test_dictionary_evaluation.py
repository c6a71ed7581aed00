"""What `evaluate` says of dictionaries, beside the definitions on dense arrays."""

import json

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rhohat import (
    Adam,
    BatchTopKAutoencoder,
    DictionaryEvaluation,
    JumpReLUAutoencoder,
    TopKAutoencoder,
    evaluate,
    load,
    save,
)
from tests.tolerances import EXACT

_HOW = {"solver": Adam(batch_size=100, learning_rate=1e-2), "max_iter": 3, "random_state": 0}
DICTIONARIES = {
    "topk": TopKAutoencoder(20, k=3, **_HOW),
    "layer_norm": TopKAutoencoder(20, k=3, normalize="layer_norm", **_HOW),
    "batch_topk": BatchTopKAutoencoder(20, k=3, **_HOW),
    "jumprelu": JumpReLUAutoencoder(20, target_l0=None, sparsity_weight=0.1, **_HOW),
}


@pytest.fixture
def rows(rng):
    """Sparse sums of a few directions, about a mean that is not zero, and a row of zeros."""
    codes = rng.random((400, 12)) * (rng.random((400, 12)) < 0.2)
    X = codes @ rng.normal(size=(12, 10)) + 0.5
    X[7] = 0
    return X


def by_definition(X, made, codes, decoder, encoder, threshold=0.0):
    """Return the figures of a dictionary, of all rows and all pairs of latents at once."""
    active, lengths = codes > threshold, np.linalg.norm(X, axis=1)
    some = lengths > 0
    unit, unit_encoder = (W / np.linalg.norm(W, axis=1, keepdims=True) for W in (decoder, encoder))
    between = unit @ unit.T
    np.fill_diagonal(between, -1)
    unexplained = ((X - made) ** 2).sum() / ((X - X.mean(axis=0)) ** 2).sum()
    lengths_made = np.linalg.norm(made, axis=1)
    return {
        "n_samples": len(X),
        "n_features": X.shape[1],
        "n_units": codes.shape[1],
        "threshold": threshold,
        "explained_variance": 1 - unexplained,
        "fraction_of_variance_unexplained": unexplained,
        "mean_squared_error": ((X - made) ** 2).mean(),
        "mean_cosine": ((X * made).sum(axis=1)[some] / (lengths * lengths_made)[some]).mean(),
        "norm_ratio": (lengths_made[some] / lengths[some]).mean(),
        "relative_reconstruction_bias": (made**2).sum() / (X * made).sum(),
        "l0": active.sum(axis=1).mean(),
        "l0_histogram": np.bincount(active.sum(axis=1)),
        "l1": np.abs(codes).sum(axis=1).mean(),
        "dead_fraction": 1 - active.any(axis=0).mean(),
        "dense_fraction": (active.mean(axis=0) > 0.1).mean(),
        "activation_frequency": active.mean(axis=0),
        "mean_activation": codes.mean(axis=0),
        "largest_activation": codes.max(axis=0),
        "decoder_cosine_median": np.median(between.max(axis=1)),
        "decoder_cosine_maximum": between.max(),
        "encoder_decoder_cosine_median": np.median((unit * unit_encoder).sum(axis=1)),
    }


@pytest.mark.parametrize("name", DICTIONARIES)
def test_an_evaluation_of_a_dictionary_is_that_of_the_definitions(name, rows, monkeypatch):
    monkeypatch.setattr("rhohat.data.rows.base._BYTES_AT_ONCE", 2**13)  # some hundred rows at a time
    model = clone(DICTIONARIES[name]).fit(rows)
    found = evaluate(model, rows)
    assert isinstance(found, DictionaryEvaluation)
    weights = model.components_, model.coefs_[0].T
    expected = by_definition(rows, model.reconstruct(rows), model.transform(rows).toarray(), *weights)
    for figure, value in expected.items():
        np.testing.assert_allclose(getattr(found, figure), value, rtol=EXACT, atol=EXACT, err_msg=figure)
    assert found.density_histogram.n_dead == round(20 * expected["dead_fraction"])
    assert found.density_histogram.counts.sum() + found.density_histogram.n_dead == 20
    assert found.explained_variance == pytest.approx(model.score(rows), rel=1e-12)
    assert (found.cost, found.terms, found.score, found.kl_to_target) == (None, {}, None, None)


def test_a_threshold_changes_what_counts_as_active(rows):
    model = clone(DICTIONARIES["topk"]).fit(rows)
    codes = model.transform(rows).toarray()
    threshold = float(np.median(codes[codes > 0]))
    found = evaluate(model, rows, threshold=threshold)
    assert found.l0 == (codes > threshold).sum() / len(rows)
    assert 0 < found.l0 < evaluate(model, rows).l0
    assert f"L0: latents above {threshold:.3g} in a row, mean" in str(found)


def test_a_pipeline_that_ends_in_a_dictionary_is_evaluated_on_what_the_dictionary_sees(rows, tmp_path):
    model = make_pipeline(StandardScaler(), clone(DICTIONARIES["topk"])).fit(rows)
    scaled = model[0].transform(rows)
    found = evaluate(model, rows).to_dict()
    assert found == evaluate(model[-1], scaled).to_dict()
    save(model, tmp_path / "model.safetensors")
    np.save(tmp_path / "rows.npy", rows)
    again = evaluate(load(tmp_path / "model.safetensors"), tmp_path / "rows.npy").to_dict()
    assert again["explained_variance"] == pytest.approx(found["explained_variance"], rel=1e-12)
    assert again["l0_histogram"] == found["l0_histogram"]


def test_a_single_latent_has_no_other_to_be_compared_with(rows):
    found = evaluate(TopKAutoencoder(1, k=1, **_HOW).fit(rows), rows)
    assert np.isnan(found.decoder_cosine_median)
    assert found.l0 <= 1


def test_the_table_of_a_dictionary_names_its_figures(rows):
    found = evaluate(clone(DICTIONARIES["topk"]).fit(rows), rows)
    printed = dict(line.split("  ", 1) for line in str(found).replace("\n  ", "\n").splitlines())
    printed = {name: value.strip() for name, value in printed.items()}
    assert printed["latents"] == "20"
    assert float(printed["variance unexplained (FVU)"]) == pytest.approx(
        found.fraction_of_variance_unexplained, rel=1e-5
    )
    assert float(printed["L0: active latents in a row, mean"]) == pytest.approx(found.l0, rel=1e-5)
    assert printed["density 0.1 to 1"] == str(found.density_histogram.counts[-1])
    assert printed["dead latents"].startswith(f"{found.density_histogram.n_dead} (")
    parsed = json.loads(json.dumps(found.to_dict()))
    assert parsed["density_histogram"]["counts"] == found.density_histogram.counts.tolist()
    assert parsed["l0_histogram"] == found.l0_histogram.tolist()


def test_rows_that_are_not_finite_are_refused(rows):
    model = clone(DICTIONARIES["topk"]).fit(rows)
    rows[3, 2] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity, first in row 3, column 2"):
        evaluate(model, rows)
