"""Before a fit, whatever is known after one only says that there was none."""

import copy
import inspect
import pickle

import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

import rhohat
from rhohat import PatchNormalizer, SparseAutoencoder, evaluate, plot_loss_curve, report, save
from rhohat.callbacks import BestModel
from rhohat.models.pipelines import encode_blocks, open_model_rows, prepare_rows, reconstruct_blocks
from tests.models.model_file.models import KINDS, LABELS, X, fitted

SINGLE = [kind for kind in KINDS if not hasattr(fitted(kind), "steps")]
each = pytest.mark.parametrize("kind", SINGLE)

#: What needs no fit, or does one.
FREE = {"fit", "fit_transform", "partial_fit", "objective", "initial_theta", "get_params", "set_params", "set_output"}
FREE |= {"from_weights", "get_metadata_routing", "fit_predict"}


def attributes_of(model):
    """Return the names of attributes that a fit has set, and of properties of that kind."""
    own = [name for name in vars(model) if name.endswith("_") and not name.startswith("_")]
    described = [name for name in dir(type(model)) if name.endswith("_") and not name.startswith("_")]
    return sorted({*own, *described})


def methods_of(model):
    names = [name for name in dir(type(model)) if not name.startswith(("_", "set_")) and name not in FREE]
    return [name for name in names if callable(getattr(type(model), name)) and hasattr(model, name)]


@each
def test_every_fitted_attribute_raises_the_error_of_scikit_learn_before_a_fit(kind):
    unfitted = clone(fitted(kind))
    names = attributes_of(fitted(kind))
    assert len(names) >= 2
    for name in names:
        assert hasattr(fitted(kind), name)
        assert not hasattr(unfitted, name)
        with pytest.raises(
            NotFittedError, match=f"This {type(unfitted).__name__} instance is not fitted yet.*{name!r}"
        ):
            getattr(unfitted, name)


@each
def test_every_method_that_needs_a_fit_asks_for_it(kind):
    unfitted = clone(fitted(kind))
    names = methods_of(fitted(kind))
    assert names
    for name in names:
        needed = [p for p in inspect.signature(getattr(unfitted, name)).parameters.values() if p.default is p.empty]
        with pytest.raises(NotFittedError):
            getattr(unfitted, name)(*[X, LABELS, None][: len(needed)])


@each
def test_what_is_fitted_is_known_to_scikit_learn(kind):
    check_is_fitted(fitted(kind))
    with pytest.raises(NotFittedError):
        check_is_fitted(clone(fitted(kind)))


@each
def test_an_attribute_that_no_fit_sets_is_missing_as_any_other(kind):
    with pytest.raises(AttributeError, match="has no attribute 'nothing_'") as caught:
        _ = fitted(kind).nothing_
    assert not isinstance(caught.value, NotFittedError)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'") as caught:
        _ = clone(fitted(kind)).nothing
    assert not isinstance(caught.value, NotFittedError)


@each
def test_copies_and_pickles_are_as_fitted_as_what_they_are_of(kind):
    for model in (fitted(kind), clone(fitted(kind))):
        for again in (copy.copy(model), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):  # noqa: S301
            assert again.__sklearn_is_fitted__() == model.__sklearn_is_fitted__()


OF_MODELS = {
    "evaluate": lambda model, path: evaluate(model, X),
    "report": lambda model, path: report(model, X, path),
    "save": lambda model, path: save(model, path),
    "prepare": lambda model, path: prepare_rows(model, rhohat.open_rows(X)),
    "encode": lambda model, path: next(encode_blocks(model, rhohat.open_rows(X))),
    "reconstruct": lambda model, path: next(reconstruct_blocks(model, rhohat.open_rows(X))),
}
OF_ESTIMATORS = {
    "plot": lambda model, path: plot_loss_curve(model),
    "restore": lambda model, path: BestModel().restore(model),
    "codes": lambda model, path: model.codes(X),
}


@pytest.mark.parametrize("name", [*OF_MODELS, *OF_ESTIMATORS])
def test_functions_that_take_a_fitted_model_say_that_it_is_not(name, tmp_path):
    models = [SparseAutoencoder()]
    if name in OF_MODELS:
        models.append(make_pipeline(PatchNormalizer(), SparseAutoencoder()))
    for model in models:
        with pytest.raises(NotFittedError):
            {**OF_MODELS, **OF_ESTIMATORS}[name](model, tmp_path / "file")
        assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("model", [SparseAutoencoder(), make_pipeline(StandardScaler(), SparseAutoencoder())])
@pytest.mark.parametrize("use", [open_model_rows, evaluate, report])
def test_what_uses_a_model_says_that_it_is_not_fitted(use, model):
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        use(model, X)


def test_a_fit_that_fails_leaves_an_estimator_that_is_not_fitted():
    model = PatchNormalizer(n_deviations=1e300)
    with pytest.raises(ValueError, match="times the standard deviation of X"):
        model.fit(1e300 * (X - 0.5))
    with pytest.raises(NotFittedError):
        model.transform(X)
