"""Parts from outside the package, made known to it, are trained, saved, loaded, reported and asked for."""

import json
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.pipeline import make_pipeline

import rhohat
from rhohat.models import components

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

#: A module as a user has it: nothing but what is new, each class with a line that makes it known.
MODULE = '''
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin

import rhohat
from rhohat.solvers import MiniBatchSolver


@rhohat.register
@dataclass(frozen=True)
class SignDescent(MiniBatchSolver):
    """θ ← θ − α sign(m), m being a running sum of gradients."""

    learning_rate: float = 0.01
    memory: float = 0.5
    moment_names: ClassVar[tuple[str, ...]] = ("sum",)

    def _update(self, theta, gradient, moments, scratch, learning_rate, step):
        moments[0][:] = self.memory * moments[0] + gradient
        theta -= learning_rate * np.sign(moments[0])


@rhohat.register
class Centring(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """x − mean + shift."""

    command_line_name = "centre"
    learned_shapes = {"mean_": lambda n_features: (n_features,)}

    def __init__(self, shift=0.5):
        self.shift = shift

    def fit(self, X, y=None):
        X = self._rows(X)
        self.mean_, self.n_features_in_ = X.mean(axis=0), X.shape[1]
        return self

    def transform(self, X):
        return self._rows(X) - self.mean_ + self.shift

    def inverse_transform(self, X):
        return self._rows(X) + self.mean_ - self.shift

    def _rows(self, X):
        return X.read(0, X.shape[0]) if hasattr(X, "read") else np.asarray(X)


@rhohat.register
class RangedAutoencoder(rhohat.SparseAutoencoder):
    """A sparse autoencoder that remembers the range of its codes."""

    command_line_name = "ranged"
    _keys_of_learned = (*rhohat.SparseAutoencoder._keys_of_learned, "n_fits")

    def fit(self, X, y=None, sample_weight=None):
        super().fit(X, y, sample_weight)
        codes = self.transform(X)
        self.code_range_, self.n_fits_ = np.array([codes.min(axis=0), codes.max(axis=0)]), 1
        return self

    def _describe_learned(self, file, prefix):
        file.arrays[f"{prefix}code_range_"] = self.code_range_
        return super()._describe_learned(file, prefix) | {"n_fits": self.n_fits_}

    def _restore_learned(self, file, described, prefix):
        super()._restore_learned(file, described, prefix)
        self.code_range_ = file.take(f"{prefix}code_range_", (2, self._n_features_out))
        self.n_fits_ = file.get(described, "n_fits", int)
'''


@pytest.fixture(name="parts")
def import_parts(tmp_path, monkeypatch):
    """Import the module, and forget what it has registered afterwards."""
    (tmp_path / "parts_of_a_user.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    known = [dict(one) for one in (components.ESTIMATORS, components.COMPONENTS, components._TRANSFORMERS)]
    import parts_of_a_user

    yield parts_of_a_user
    del sys.modules["parts_of_a_user"]
    for one, before in zip(
        (components.ESTIMATORS, components.COMPONENTS, components._TRANSFORMERS), known, strict=True
    ):
        one.clear()
        one.update(before)


@pytest.fixture(name="X")
def rows(rng):
    return rng.normal(size=(150, 2)) @ rng.normal(size=(2, 6))


def make(parts, **settings):
    solver = parts.SignDescent(batch_size=50)
    network = parts.RangedAutoencoder(
        n_components=3, sparsity=0.2, output_activation="identity", solver=solver, max_iter=4, random_state=0
    )
    return make_pipeline(parts.Centring(), network.set_params(**settings))


def test_a_model_of_parts_from_outside_is_saved_loaded_and_reported(parts, X, tmp_path):
    model = make(parts).fit(X)
    rhohat.save(model, tmp_path / "model.safetensors")
    loaded = rhohat.load(tmp_path / "model.safetensors")
    assert [type(step).__name__ for _, step in loaded.steps] == ["Centring", "RangedAutoencoder"]
    assert loaded[-1].solver == parts.SignDescent(batch_size=50)
    np.testing.assert_array_equal(loaded.transform(X), model.transform(X))
    np.testing.assert_array_equal(loaded[-1].code_range_, model[-1].code_range_)
    assert loaded[-1].n_fits_ == 1
    rhohat.report(loaded, X, tmp_path / "page.html")
    assert "RangedAutoencoder" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert rhohat.evaluate(loaded, X).explained_variance == rhohat.evaluate(model, X).explained_variance


def test_its_training_is_resumed_to_the_same_bits(parts, X, tmp_path):
    expected = make(parts).fit(X)[-1]

    def break_off(state):
        if state.iteration == 2:
            raise RuntimeError

    kept = rhohat.Checkpoint(tmp_path, every=1)
    with pytest.raises(RuntimeError):
        make(parts, checkpoint=kept, callbacks=[break_off]).fit(X)
    resumed = make(parts, checkpoint=kept, checkpoint__resume=True).fit(X)[-1]
    np.testing.assert_array_equal(resumed.theta_, expected.theta_)


def test_its_memory_is_planned_by_what_the_solver_says(parts, X):
    plan = dict(make(parts).fit(X)[-1].memory_plan_.parts)
    assert plan["running sums of the solver"] == 8 * (2 * 6 * 3 + 3 + 6)


def test_the_command_line_knows_them_when_it_is_told_to_import_them(X, tmp_path):
    (tmp_path / "parts_of_a_user.py").write_text(MODULE, encoding="utf-8")
    np.save(tmp_path / "rows.npy", X)

    def run(command):
        return subprocess.run(
            [sys.executable, "-m", "rhohat", *command.split()],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    train = "train rows.npy -o model.safetensors -e ranged --hidden 3 --preprocess centre --max-iter 4"
    unknown = run(train)
    assert unknown.returncode == 2
    assert "'ranged' is not one of" in unknown.stderr
    trained = run(f"--import parts_of_a_user {train} --set solver=SignDescent(batch_size=50) --set sparsity=0.2")
    assert trained.returncode == 0, trained.stderr
    assert "RangedAutoencoder 6-3-6" in trained.stdout
    encoded = run("--import parts_of_a_user encode model.safetensors rows.npy -o codes.npy")
    assert encoded.returncode == 0, encoded.stderr
    assert np.load(tmp_path / "codes.npy").shape == (150, 3)
    described = run("--import parts_of_a_user info model.safetensors --json")
    assert "SignDescent" in json.dumps(json.loads(described.stdout))
    refused = run("info model.safetensors")
    assert refused.returncode == 1
    assert "which this version of rhohat does not know" in refused.stderr


def test_what_cannot_be_registered_is_refused(parts):
    with pytest.raises(ValueError, match="takes a class; got 3"):
        rhohat.register(3)
    with pytest.raises(ValueError, match="must be a subclass of one of rhohat's estimators"):
        rhohat.register(int)
    with pytest.raises(ValueError, match="needs an attribute learned_shapes"):
        rhohat.register(type("Unsaid", (BaseEstimator,), {"fit": None, "transform": None}))
    with pytest.raises(ValueError, match="another class with the name SparseAutoencoder is known already"):
        rhohat.register(type("SparseAutoencoder", (rhohat.SparseAutoencoder,), {}))
    with pytest.raises(ValueError, match="'sparse' is already the name of SparseAutoencoder on the command line"):
        rhohat.register(type("Sparser", (rhohat.SparseAutoencoder,), {"command_line_name": "sparse"}))
    for name, message in (
        ("minmax", "'minmax' is already the name of MinMaxScaler"),
        ("auto", "must not be 'auto' or 'none'"),
    ):
        with pytest.raises(ValueError, match=message):
            rhohat.register(type("Scaling", (parts.Centring,), {"command_line_name": name}))
    assert rhohat.register(parts.Centring) is parts.Centring


@pytest.mark.usefixtures("parts")
def test_a_class_without_a_name_of_its_own_is_known_to_model_files_alone(X, tmp_path):
    class Nameless(rhohat.SparseAutoencoder):
        pass

    rhohat.register(Nameless)
    assert components.command_line_name(Nameless) is None
    model = Nameless(n_components=2, output_activation="identity", max_iter=2, random_state=0).fit(X)
    rhohat.save(model, tmp_path / "model.safetensors")
    assert type(rhohat.load(tmp_path / "model.safetensors")) is Nameless


def test_every_parameter_of_every_estimator_has_its_constraint():
    for cls in components.ESTIMATORS.values():
        assert set(cls().get_params(deep=False)) <= set(cls._parameter_constraints), cls
