"""Rows that come in pieces are refused, by all who need them in one array, with what to do."""

import numpy as np
import pytest

import rhohat
from rhohat.common.pieces import check_flat, is_stream, refuse_pieces

PIECES = [np.zeros((4, 3)), np.ones((2, 3))]


class Loader:
    """What PyTorch's DataLoader is: an iterable with a length, and no array."""

    def __len__(self):
        return 2

    def __iter__(self):
        return iter(PIECES)


class Dataset:
    """What PyTorch's TensorDataset is: a tuple with the row for each number."""

    def __len__(self):
        return 6

    def __getitem__(self, number):
        if not 0 <= number < 6:
            raise IndexError
        return (np.zeros(3),)


GIVEN = {
    "loader": (Loader, "X is a Loader, which yields its rows in pieces, but they are needed in one array"),
    "iterator": (lambda: iter(PIECES), "X is a list_iterator, which yields its rows in pieces"),
    "list": (lambda: PIECES, "X is a list of 2 two-dimensional arrays, but they are needed in one array"),
    "data set": (Dataset, r"X is a Dataset, each item of which is a tuple and no row of numbers\. Pass the rows as"),
}
FITS = {
    "sparse": lambda X: rhohat.SparseAutoencoder().fit(X),
    "partial": lambda X: rhohat.SparseAutoencoder(solver="adam").partial_fit(X),
    "deep": lambda X: rhohat.DeepAutoencoder().fit(X),
    "stack": lambda X: rhohat.StackedAutoencoder().fit(X),
    "classifier": lambda X: rhohat.FeedforwardClassifier().fit(X, [0, 1] * 3),
    "regressor": lambda X: rhohat.FeedforwardRegressor().fit(X, np.arange(6.0)),
    "softmax": lambda X: rhohat.SoftmaxRegression().fit(X, [0, 1] * 3),
    "stacked classifier": lambda X: rhohat.StackedAutoencoderClassifier().fit(X, [0, 1] * 3),
    "detector": lambda X: rhohat.AutoencoderDetector().fit(X),
    "whitening": lambda X: rhohat.ZCAWhitening().fit(X),
    "imputer": lambda X: rhohat.MeanImputer().fit(X),
    "table": lambda X: rhohat.TablePreprocessor().fit(X),
    "use": lambda X: _FITTED.transform(X),
}
_ROWS = np.random.default_rng(0).random((20, 3))
_FITTED = rhohat.SparseAutoencoder(n_components=4, sparsity=0.3, random_state=0).fit(_ROWS)


@pytest.mark.parametrize("what", FITS)
@pytest.mark.parametrize("kind", GIVEN)
def test_who_needs_one_array_refuses_pieces_and_says_what_to_do(what, kind):
    make, message = GIVEN[kind]
    with pytest.raises(ValueError, match=message) as refused:
        FITS[what](make())
    assert ("np.concatenate" if kind != "data set" else "dataset.tensors[0]") in str(refused.value)
    assert "DataLoader" in str(refused.value)


@pytest.mark.parametrize("network", [rhohat.ConvolutionalAutoencoder, rhohat.RecurrentAutoencoder])
def test_networks_of_images_and_sequences_refuse_loaders_as_well(network):
    with pytest.raises(ValueError, match="X is a Loader, which yields its rows in pieces"):
        network().fit(Loader())


def test_codes_of_a_loader_are_refused_with_what_to_do():
    model = rhohat.TopKAutoencoder(4, 2, max_iter=1, random_state=0).fit(PIECES)
    with pytest.raises(ValueError, match="A fitted model takes one piece after the other"):
        model.transform(Loader())


@pytest.mark.parametrize("make", [Loader, lambda: iter(PIECES), Dataset])
def test_opening_refuses_what_is_no_array(make):
    with pytest.raises(ValueError, match=r"^data is a "):
        rhohat.open_rows(make())


def test_lists_of_images_are_opened_as_rows():
    with rhohat.open_rows([np.zeros((2, 3)), np.ones((2, 3))]) as rows:
        assert rows.shape == (2, 6)


@pytest.mark.parametrize(
    "rows",
    [[[1.0, 2.0]], np.zeros((2, 2)), [np.zeros(2), np.ones(2)], [(1, 2), (3, 4)], range(3), "text", []],
)
def test_rows_and_what_others_refuse_are_no_pieces(rows):
    refuse_pieces(rows)
    assert not is_stream(rows)


def test_a_table_of_pandas_is_no_data_set():
    pandas = pytest.importorskip("pandas", reason="the extra 'tables' is not installed")
    refuse_pieces(pandas.DataFrame({0: [(1, 2)], 1: [3]}))


def test_rows_with_axes_are_refused_with_what_to_do():
    with pytest.raises(ValueError, match=r"Y has the shape \(2, 3, 4\), but each row must be flat; pass Y\.reshape"):
        check_flat(np.zeros((2, 3, 4)), "Y")
