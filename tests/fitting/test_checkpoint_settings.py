"""The parameter `checkpoint`: a path or an object, which checks itself and goes wherever parameters go."""

import pickle
import re
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import rhohat
from rhohat import AutoencoderDetector, Checkpoint, SparseAutoencoder, StackedAutoencoder, StackedAutoencoderClassifier
from rhohat.fitting.checkpoint_settings import as_checkpoint
from rhohat.fitting.checkpoints import Checkpoints
from rhohat.models.components import ESTIMATORS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.fixture(name="X", scope="module")
def rows():
    return np.random.default_rng(0).random((60, 5))


# The object.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"folder": ""}, "checkpoint must name a folder, such as 'checkpoints'; got an empty path."),
        ({"folder": None}, "checkpoint must name a folder, such as 'checkpoints'; got None."),
        ({"folder": 3}, "checkpoint must name a folder, such as 'checkpoints'; got 3."),
        ({"folder": b"a"}, "checkpoint must name a folder, such as 'checkpoints'; got b'a'."),
        *(
            (
                {"folder": "a", "every": every},
                f"the parameter every must be a number of iterations, at least 1, .* got {every!r}.",
            )
            for every in ("soon", "5 years", "-1 s", "", "3", 0, -1, 1.5, True, None)
        ),
        ({"folder": "a", "resume": "yes"}, "resume must be True or False; got 'yes'."),
        ({"folder": "a", "resume": 1}, "resume must be True or False; got 1."),
    ],
    ids=str,
)
def test_what_is_no_checkpoint_is_refused_at_once(arguments, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Checkpoint(**arguments)


@pytest.mark.parametrize(
    ("every", "seconds"),
    [("30 s", 30), ("1.5 min", 90), (" 2h ", 7200), ("0 s", 0), (1, None), (np.int64(7), None)],
)
def test_times_are_told_from_numbers_of_iterations(every, seconds):
    assert Checkpoint("a", every).seconds == seconds


def test_a_checkpoint_is_a_value():
    checkpoint = Checkpoint("a")
    assert repr(checkpoint) == "Checkpoint(folder='a', every='60 s', resume=False)"
    assert checkpoint == Checkpoint("a", "60 s", False)
    assert len({checkpoint, Checkpoint("a"), Checkpoint("b")}) == 2
    assert pickle.loads(pickle.dumps(checkpoint)) == checkpoint  # noqa: S301
    with pytest.raises(FrozenInstanceError):
        checkpoint.resume = True


def test_a_part_of_a_fit_has_a_folder_within():
    whole = Checkpoint("a", every=3, resume=True)
    assert whole.of_part("layer 0") == Checkpoint(Path("a/layer 0"), every=3, resume=True)
    assert whole.of_part("") == Checkpoint(Path("a"), every=3, resume=True)


def test_a_path_stands_for_a_checkpoint_with_defaults():
    assert as_checkpoint(None) is None
    assert as_checkpoint("a") == Checkpoint("a")
    assert as_checkpoint(Path("a")) == Checkpoint(Path("a"))
    whole = Checkpoint("a", every=3)
    assert as_checkpoint(whole) is whole


# In estimators.


@pytest.mark.parametrize("cls", [cls for cls in ESTIMATORS.values() if cls is not AutoencoderDetector])
def test_every_estimator_that_trains_itself_takes_one_as_scikit_learn_expects(cls):
    checkpoint = Checkpoint(Path("a"), every=3, resume=True)
    assert not {"checkpoint_every", "resume"} & cls().get_params().keys()
    model = cls(checkpoint=checkpoint)
    assert model.checkpoint is checkpoint
    assert clone(model).checkpoint == checkpoint
    assert pickle.loads(pickle.dumps(model)).checkpoint == checkpoint  # noqa: S301
    assert f"checkpoint={checkpoint!r}" in re.sub(r"\s+", " ", repr(model)).replace("( ", "(")
    assert model.get_params()["checkpoint__every"] == 3
    assert model.set_params(checkpoint__resume=False).checkpoint == Checkpoint(Path("a"), every=3)
    assert checkpoint.resume


@pytest.mark.parametrize(
    ("checkpoint", "message"),
    [
        ("", "checkpoint must name a folder.*empty path"),
        (3, "'checkpoint' parameter .* must be .*Checkpoint"),
        (True, "'checkpoint' parameter .* Got True"),
    ],
)
def test_something_else_is_refused_before_work(checkpoint, message, X):
    for model in (SparseAutoencoder(), StackedAutoencoder()):
        with pytest.raises(ValueError, match=message):
            model.set_params(checkpoint=checkpoint).fit(X)


def test_a_path_and_an_object_do_the_same(X, tmp_path):
    model = SparseAutoencoder(n_components=3, max_iter=4, random_state=0)
    whole = clone(model).fit(X).theta_
    for name, checkpoint in {
        "text": str(tmp_path / "text"),
        "path": tmp_path / "path",
        "object": Checkpoint(tmp_path / "object"),
    }.items():
        np.testing.assert_array_equal(clone(model).set_params(checkpoint=checkpoint).fit(X).theta_, whole)
        assert Checkpoints(tmp_path / name).newest()[0]["complete"]["n_iter"] == 4


def test_a_fit_in_a_pipeline_is_resumed(X, tmp_path):
    def stop(state):
        return state.iteration == 3

    model = SparseAutoencoder(n_components=3, max_iter=8, random_state=0, checkpoint=Checkpoint(tmp_path, every=1))
    pipeline = make_pipeline(MinMaxScaler(), model)
    whole = clone(pipeline).set_params(sparseautoencoder__checkpoint=None).fit(X)
    stopped = clone(pipeline).set_params(sparseautoencoder__callbacks=[stop]).fit(X)
    assert stopped[-1].n_iter_ == 3
    resumed = clone(pipeline).set_params(sparseautoencoder__checkpoint__resume=True).fit(X)
    assert resumed[-1].checkpoint == Checkpoint(tmp_path, every=1, resume=True)
    np.testing.assert_array_equal(resumed[-1].theta_, whole[-1].theta_)


@pytest.mark.parametrize("as_object", [True, False])
def test_a_stack_hands_its_own_on_to_its_parts(as_object, X, tmp_path):
    layers = [SparseAutoencoder(n_components=n, sparsity=0.1, max_iter=2) for n in (4, 3)]
    given = Checkpoint(tmp_path, every=2, resume=True) if as_object else tmp_path
    one = as_checkpoint(given)
    model = StackedAutoencoderClassifier(layers, max_iter=2, random_state=0, checkpoint=given)
    model.fit(X, (X[:, 0] > 0.5).astype(int))
    stack = model.autoencoder_
    assert stack.checkpoint == one.of_part("pre-training")
    assert [layer.checkpoint for layer in stack.autoencoders_] == [
        one.of_part("pre-training/layer 0"),
        one.of_part("pre-training/layer 1"),
    ]
    assert model.softmax_.checkpoint == one.of_part("softmax")
    assert [layer.checkpoint for layer in layers] == [None, None]
    for folder in ("", "pre-training/layer 1", "softmax", "fine-tuning"):
        assert Checkpoints(tmp_path / folder).paths()


def test_a_fitted_model_with_one_is_pickled_and_saved_without_it(X, tmp_path):
    model = SparseAutoencoder(n_components=3, max_iter=2, checkpoint=Checkpoint(tmp_path / "a", every=1)).fit(X)
    again = pickle.loads(pickle.dumps(model))  # noqa: S301
    assert again.checkpoint == model.checkpoint
    np.testing.assert_array_equal(again.transform(X), model.transform(X))
    rhohat.save(model, tmp_path / "model.safetensors")
    assert rhohat.load(tmp_path / "model.safetensors").checkpoint is None
