"""A model card: what it refuses, who carries it, when it goes, and that files keep it whole."""

import copy
import warnings
from dataclasses import replace

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import rhohat
from rhohat.common.exceptions import ModelFileError
from rhohat.models.model_card import card_of
from rhohat.models.model_file import describe
from tests.models.model_file.models import fitted
from tests.models.model_file.test_damaged_files import forge

X = load_iris().data
CARD = rhohat.ModelCard(
    note="Größe in Zentimetern.\nSecond line.",
    data="Fisher's irises, 150 rows",
    figures={"explained variance": 0.93, "J": float("inf")},
    held_out={"explained variance": np.float32(0.5), "rows": 15},
    origin={"model_name": "gpt2", "layer": "3"},
)


def model():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return rhohat.SparseAutoencoder(n_components=2, max_iter=3, random_state=0).fit(X)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"note": "a" * 65_537}, "note of a model card has at most 65,536 characters; got 65,537"),
        ({"data": "a" * 4_097}, "data of a model card has at most 4,096 characters"),
        ({"note": None}, "note of a model card must be a string; got None"),
        ({"figures": [0.9]}, "figures of a model card must be a dict of names to numbers"),
        ({"figures": {"R2": "high"}}, "'R2' in figures of a model card must be a number; got 'high'"),
        ({"held_out": {"": 1.0}}, "a string of 1 to 128 characters; got ''"),
        ({"held_out": {"a" * 129: 1.0}}, "a string of 1 to 128 characters"),
        ({"origin": ["gpt2"]}, "origin of a model card must be a dict of names to texts"),
        ({"origin": {"layer": 3}}, "'layer' in origin of a model card must be a string; got 3"),
        ({"origin": {"": "gpt2"}}, "the name of an entry in origin of a model card must be a string"),
        ({"origin": {"a": "b" * 4_097}}, "'a' in origin of a model card has at most 4,096 characters; got 4,097"),
        ({"origin": {str(number): "" for number in range(257)}}, "at most 256 entries; got 257"),
        ({"figures": {str(number): 0.0 for number in range(257)}}, "at most 256 figures; got 257"),
    ],
)
def test_a_card_says_what_it_refuses(arguments, problem):
    with pytest.raises((TypeError, ValueError), match=problem):
        rhohat.ModelCard(**arguments)


def test_a_card_is_a_value_of_its_own():
    figures = {"R2": 0.5}
    card = rhohat.ModelCard(figures=figures)
    figures["R2"] = 1.0
    assert card.figures == {"R2": 0.5}
    assert card == rhohat.ModelCard(figures={"R2": 0.5})
    with pytest.raises(AttributeError):
        card.note = "another"


def test_an_estimator_carries_a_card_without_being_another_one():
    estimator = model()
    before = (repr(estimator), estimator.get_params(), estimator.transform(X).tobytes())
    estimator.model_card_ = CARD
    assert (repr(estimator), estimator.get_params(), estimator.transform(X).tobytes()) == before
    assert not hasattr(clone(estimator), "model_card_")
    assert copy.deepcopy(estimator).model_card_ == CARD


@pytest.mark.parametrize("kind", ["sparse", "classifier", "topk", "stacked"])
def test_the_next_fit_removes_the_card(kind):
    estimator = copy.deepcopy(fitted(kind))  # others use the fitted one as well
    estimator.model_card_ = CARD
    rows = np.random.default_rng(7).random((60, 6))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(rows, np.arange(60) % 3)
    assert not hasattr(estimator, "model_card_")


def test_a_file_keeps_the_card_of_an_estimator_and_of_a_pipeline(tmp_path):
    path = tmp_path / "model.safetensors"
    estimator = model()
    rhohat.save(estimator, path)
    assert "card" not in describe(path)
    assert card_of(rhohat.load(path)) is None
    estimator.model_card_ = CARD
    rhohat.save(estimator, path)
    assert rhohat.load(path).model_card_ == CARD
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        pipeline = make_pipeline(StandardScaler(), clone(estimator)).fit(X)
    rhohat.save(pipeline, path, card=CARD)
    assert not hasattr(pipeline[-1], "model_card_")
    assert rhohat.load(path)[-1].model_card_ == card_of(rhohat.load(path)) == CARD


def test_a_note_replaces_that_of_the_card(tmp_path):
    path = tmp_path / "model.safetensors"
    estimator = model()
    estimator.model_card_ = CARD
    rhohat.save(estimator, path, note="Newer.")
    assert rhohat.load(path).model_card_ == replace(CARD, note="Newer.")
    assert estimator.model_card_ == CARD
    rhohat.save(model(), path, note="Alone.")
    assert rhohat.load(path).model_card_ == rhohat.ModelCard(note="Alone.")


@pytest.mark.parametrize("wrong", [{"card": {"note": "a dict"}}, {"note": 5}])
def test_what_is_no_card_is_refused_before_a_file_is_written(wrong, tmp_path):
    with pytest.raises(TypeError, match=r"card must be a rhohat\.ModelCard|note of a model card must be a string"):
        rhohat.save(model(), tmp_path / "model.safetensors", **wrong)
    estimator = model()
    estimator.model_card_ = "a text"
    with pytest.raises(TypeError, match=r"model_card_ must be a rhohat\.ModelCard"):
        rhohat.save(estimator, tmp_path / "model.safetensors")
    assert not list(tmp_path.iterdir())


def test_of_a_search_the_best_estimator_is_saved(tmp_path):
    from sklearn.model_selection import GridSearchCV

    softmax = rhohat.SoftmaxRegression(random_state=0)
    search = GridSearchCV(softmax, {"weight_decay": [0.1]}, cv=2).fit(X, load_iris().target)
    with pytest.raises(ModelFileError, match=r"^a model file cannot hold a GridSearchCV; save its best_estimator_\.$"):
        rhohat.save(search, tmp_path / "m.safetensors")


def test_what_a_file_cannot_hold_is_sent_to_joblib(tmp_path):
    from sklearn.decomposition import PCA

    with pytest.raises(ModelFileError, match=r"Use joblib\.dump for other models"):
        rhohat.save(PCA().fit(X), tmp_path / "model.safetensors")


@pytest.mark.parametrize(
    ("card", "problem"),
    [
        ("a text", "a model card must be of type dict"),
        ({"note": "", "data": "", "figures": {}}, "lacks the entry 'held_out'"),
        ({"note": "", "data": "", "figures": {}, "held_out": {}, "code": "x"}, "entries that are not known: 'code'"),
        ({"note": "a" * 65_537, "data": "", "figures": {}, "held_out": {}}, "at most 65,536 characters"),
        ({"note": "", "data": "", "figures": {"R2": "high"}, "held_out": {}}, "a figure must be of type float"),
        ({"note": "", "data": "", "figures": {"R2": 10**400}, "held_out": {}}, "must be a number"),
        ({"note": "", "data": "", "figures": {}, "held_out": {"R2": {"number": "high"}}}, "cannot be loaded"),
    ],
)
def test_a_forged_card_is_refused(card, problem, tmp_path):
    def another_card(record, arrays, metadata):
        record["card"] = card

    forge(tmp_path / "model.safetensors", another_card)
    with pytest.raises(ModelFileError, match=problem):
        rhohat.load(tmp_path / "model.safetensors")
