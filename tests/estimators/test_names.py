"""Names that say what they hold: the decoder and the encoder; initial weights as arrays; groups of parameters."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits

import rhohat
from rhohat import DeepAutoencoder, FeedforwardClassifier, SparseAutoencoder, TopKAutoencoder
from rhohat.estimators.parameter_groups import GROUPS, HOW_TO_CHOOSE, HOW_TO_CHOOSE_FOR_DICTIONARIES, group_of
from rhohat.models.components import ESTIMATORS

X = load_digits().data[:100] / 16


def fitted(estimator, *rows):
    return estimator.set_params(max_iter=2, random_state=0).fit(*rows or (X,))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_decoder_is_the_dictionary_and_components_are_the_encoder():
    model = fitted(SparseAutoencoder(n_components=5, output_activation="identity"))
    assert model.decoder_.shape == model.components_.shape == (5, 64)
    np.testing.assert_allclose(model.transform(X) @ model.decoder_ + model.intercepts_[1], model.reconstruct(X))
    np.testing.assert_array_equal(model.components_, model.coefs_[0].T)
    assert fitted(DeepAutoencoder(hidden_layer_sizes=(6, 3))).decoder_.shape == (6, 64)
    images = X.reshape(-1, 8, 8)
    convolutional = fitted(rhohat.ConvolutionalAutoencoder(layers=[rhohat.Convolution(4, 3)]), images)
    assert convolutional.decoder_.shape == convolutional.components_.shape == (4, 3, 3, 1)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_dictionaries_have_both_under_the_same_names():
    model = fitted(TopKAutoencoder(12, k=3))
    assert model.decoder_.shape == model.encoder_.shape == (12, 64)
    np.testing.assert_array_equal(model.decoder_, model.components_)
    np.testing.assert_allclose(
        model.transform(X) @ model.decoder_ + model.intercepts_[1], model.reconstruct(X), atol=1e-6
    )


def given_weights(model):
    start = model.initial_theta(X)
    weights, biases, _ = fitted(clone(model)).network_.unpack(start)
    return start, list(weights), list(biases)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("tied", [False, True])
def test_a_fit_starts_at_arrays_that_are_given(tied):
    model = SparseAutoencoder(n_components=3, tied_weights=tied, random_state=5)
    start, weights, biases = given_weights(model)
    weights = weights[:1] if tied else weights
    biases = [one + 0.5 for one in biases]
    other = clone(model).set_params(random_state=0)
    np.testing.assert_array_equal(other.set_params(initial_weights=weights).initial_theta(X), start)
    np.testing.assert_array_equal(other.set_params(initial_weights=start).initial_theta(X), start)
    np.testing.assert_array_equal(other.set_params(initial_weights=start.tolist()).initial_theta(X), start)
    with_biases = other.set_params(initial_weights=[*weights, *biases]).initial_theta(X)
    np.testing.assert_array_equal(with_biases[-67:], start[-67:] + 0.5)
    np.testing.assert_array_equal(with_biases[:-67], start[:-67])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_arrays_are_part_of_clones_and_of_model_files(tmp_path):
    weights = given_weights(SparseAutoencoder(n_components=3, random_state=5))[1]
    model = fitted(clone(SparseAutoencoder(n_components=3, initial_weights=weights)))
    rhohat.save(model, tmp_path / "model.safetensors")
    loaded = rhohat.load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(loaded.initial_weights[1], weights[1])


WRONG = [
    [np.zeros((64, 4)), np.zeros((4, 64))],
    [np.full((64, 3), np.nan), np.zeros((3, 64))],
    np.zeros(7),
    ["a"],
    [],
]


@pytest.mark.parametrize("given", WRONG)
def test_arrays_of_other_shapes_are_refused_with_the_shapes_that_are_expected(given):
    with pytest.raises(ValueError, match=r"the shapes \[\(64, 3\), \(3, 64\)\]|must have finite numbers"):
        SparseAutoencoder(n_components=3, initial_weights=given).fit(X)
    with pytest.raises(ValueError, match="initial_weights"):
        FeedforwardClassifier(initial_weights="zeros").fit(X, np.arange(100) % 2)


@pytest.mark.parametrize("name", sorted(ESTIMATORS))
def test_docstrings_list_parameters_in_groups_and_say_how_to_choose_each(name):
    cls = ESTIMATORS[name]
    if not cls.__module__.startswith("rhohat.") or "Parameters\n----------" not in (cls.__doc__ or ""):
        pytest.skip("no estimator of rhohat with a section on parameters")
    overview, _, described = cls.__doc__.partition("Parameters\n----------\n")
    words = " ".join(described.split())
    for parameter in cls._get_param_names():
        groups = [line for line in overview.split("\n- ") if f"`{parameter}`" in line]
        assert any(group.startswith(f"{group_of(parameter)}: ") for group in groups), parameter
        sentences = {HOW_TO_CHOOSE.get(parameter), HOW_TO_CHOOSE_FOR_DICTIONARIES.get(parameter)} - {None}
        assert any(sentence in words for sentence in sentences), parameter


def test_a_parameter_is_in_one_group():
    names = [name for group in GROUPS.values() for name in group]
    assert len(names) == len(set(names))
