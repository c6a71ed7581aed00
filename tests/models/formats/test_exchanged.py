"""Dictionaries between formats and estimators: what is folded into their weights leaves codes as they are."""

from dataclasses import replace

import numpy as np
import pytest

from rhohat.common.exceptions import ModelFileError
from rhohat.models.formats.building import as_estimator
from rhohat.models.formats.exchanged import KINDS, ExchangedDictionary
from rhohat.models.formats.taking import of_estimator
from tests.models.formats.fixtures_of import made_by

ROWS = np.random.default_rng(0).standard_normal((30, 5))


def random_dictionary(kind, **changes):
    draw = np.random.default_rng(KINDS.index(kind))
    of_kind = {
        "relu": {},
        "topk": {"k": 3},
        "batch_topk": {"k": 2.5, "threshold": 0.4},
        "matryoshka": {"k": 2.5, "threshold": 0.4, "prefixes": (2, 8)},
        "jumprelu": {"thresholds": draw.random(8)},
        "gated": {"log_scale": 0.3 * draw.standard_normal(8), "magnitude_bias": 0.3 * draw.standard_normal(8)},
    }[kind]
    shapes = {"encoder": (5, 8), "decoder": (8, 5), "encoder_bias": (8,), "decoder_bias": (5,)}
    weights = {name: draw.standard_normal(shape) for name, shape in shapes.items()}
    return ExchangedDictionary(kind, **{**weights, "centered": True, **of_kind, **changes})


def check(dictionary, codes, reconstructions, rows=ROWS):
    for mine, expected in zip(made_by(as_estimator(dictionary), rows), (codes, reconstructions), strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_an_estimator_is_turned_into_the_dictionary_that_it_was_made_of(kind):
    dictionary = random_dictionary(kind, origin={"model_name": "gpt2", "layer": 3, "list": [1, 2]})
    again = of_estimator(as_estimator(dictionary))
    for name in ("encoder", "decoder", "encoder_bias", "decoder_bias", "thresholds", "log_scale", "magnitude_bias"):
        np.testing.assert_array_equal(getattr(again, name), getattr(dictionary, name))
    for name in ("kind", "centered", "normalizes_rows", "k", "threshold", "prefixes", "transcodes", "origin"):
        assert getattr(again, name) == getattr(dictionary, name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("centered", [True, False])
def test_a_bias_that_is_folded_changes_nothing(kind, centered):
    dictionary = random_dictionary(kind, centered=centered)
    other = dictionary.centering(not centered)
    assert other.centered != centered
    check(other, *made_by(as_estimator(dictionary), ROWS))
    assert dictionary.centering(centered) is dictionary


@pytest.mark.parametrize("kind", KINDS)
def test_a_factor_of_rows_that_is_folded_is_one_of_rows_and_reconstructions(kind):
    dictionary = random_dictionary(kind)
    codes, made = made_by(as_estimator(dictionary), 2.5 * ROWS)
    check(dictionary.for_scaled_rows(2.5), codes, made / 2.5)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "topk" not in kind and kind != "matryoshka"])
def test_factors_of_latents_are_factors_of_codes(kind):
    dictionary, factors = random_dictionary(kind), np.random.default_rng(9).random(8) + 0.5
    codes, made = made_by(as_estimator(dictionary), ROWS)
    check(dictionary.with_latents_scaled(factors), codes * factors, made)


def test_the_precision_is_the_widest():
    dictionary = random_dictionary("jumprelu")
    weights = {name: getattr(dictionary, name).astype(np.float32) for name in ("encoder", "decoder", "decoder_bias")}
    mixed = replace(dictionary, **weights)
    assert mixed.encoder.dtype == mixed.thresholds.dtype == np.float64
    single = replace(mixed, **weights, encoder_bias=dictionary.encoder_bias.astype(np.float32))
    assert single.thresholds.dtype == single.encoder.dtype == np.float32  # thresholds alone do not widen the rest


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"encoder": np.ones(5)}, "must have two axes"),
        ({"encoder": np.ones((5, 0)), "decoder": np.ones((0, 5))}, "at least one feature, one latent and one output"),
        ({"decoder": np.ones((7, 5))}, r"the decoder has the shape \(7, 5\), but must have \(8, 5\)"),
        ({"encoder_bias": np.ones(7)}, r"the encoder bias has the shape \(7,\), but must have \(8,\)"),
        ({"thresholds": np.ones(7)}, "the thresholds has the shape"),
        ({"skip": np.ones((5, 4))}, "the skip has the shape"),
        ({"decoder": np.ones((8, 4)), "decoder_bias": np.ones(4)}, "has 4 outputs, but an autoencoder of 5 features"),
        ({"transcodes": True}, "cannot subtract the bias of its decoder"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(changes, problem):
    with pytest.raises(ModelFileError, match=problem):
        random_dictionary("relu", **changes)


def test_a_long_origin_is_shortened():
    dictionary = random_dictionary("relu", origin={"text": "x" * 9000, **{str(n): n for n in range(400)}, "none": None})
    origin = as_estimator(dictionary).model_card_.origin
    assert origin["text"].endswith("…")
    assert len(origin) <= 256
    assert "none" not in origin
