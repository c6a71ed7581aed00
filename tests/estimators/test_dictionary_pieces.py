"""Dictionaries learn from rows in pieces: once from an iterator, in every pass from an iterable, and from a list."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone

from rhohat import Adam, Checkpoint, TopKAutoencoder, Transcoder, fit_together
from tests.estimators.dictionaries import KINDS, dictionary, rows, same

pytestmark = [
    pytest.mark.filterwarnings("ignore:only .* made:UserWarning"),
    pytest.mark.filterwarnings("ignore:in the last updates a row had:UserWarning"),
]

X = rows()
PIECES = np.split(X, [50, 100, 170])
CONSTANT = Adam(learning_rate=0.01, batch_size=20)


class Loader:
    """What PyTorch's DataLoader is: an iterable of lists of arrays, with a length, and no array."""

    def __init__(self, pieces=PIECES):
        self.pieces, self.n_begun, self.n_yielded = pieces, 0, 0

    def __len__(self):
        return len(self.pieces)

    def __iter__(self):
        self.n_begun += 1
        return self._yield()

    def _yield(self):
        for piece in self.pieces:
            self.n_yielded += 1
            yield [piece]


class Once:
    """An iterable that gives the same iterator each time, and so can be read only once."""

    def __init__(self):
        self.pieces = iter(PIECES)

    def __iter__(self):
        return self.pieces


@pytest.mark.parametrize("kind", KINDS)
def test_an_iterable_is_read_in_every_pass(kind):
    loader = Loader()
    model = dictionary(kind, solver=CONSTANT, max_iter=3).fit(loader)
    assert (loader.n_begun, loader.n_yielded) == (3, 12)
    assert (model.n_samples_fit_, model.n_steps_) == (3 * 240, 36)
    assert model.solver_message_.startswith("The training has seen 720 rows in 3 passes, with 36 updates.")
    thrice = dictionary(kind, solver=CONSTANT, max_iter=1).fit(iter(PIECES * 3))
    np.testing.assert_array_equal(model._state.theta, thrice._state.theta)


def test_the_loader_of_pytorch_is_read_in_every_pass():
    torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    from torch.utils.data import DataLoader, TensorDataset

    for data in (torch.tensor(X), TensorDataset(torch.tensor(X))):
        loader = DataLoader(data, batch_size=50)
        same(dictionary("topk").fit(loader), dictionary("topk").fit(Loader(np.split(X, [50, 100, 150, 200]))))


def test_an_iterable_is_read_in_every_pass_by_dictionaries_that_are_fitted_together():
    loader = Loader()
    together = fit_together([dictionary("topk"), dictionary("l1")], loader)
    assert loader.n_begun == 3
    for one, kind in zip(together, ["topk", "l1"], strict=True):
        same(one, dictionary(kind).fit(Loader()))


def test_the_schedule_extends_over_the_passes_once_their_length_is_known():
    seen = []
    solver = Adam(learning_rate=0.01, batch_size=20, schedule=lambda progress: seen.append(progress) or 1.0)
    dictionary("topk", solver=solver, max_iter=3).fit(Loader())
    np.testing.assert_allclose(seen, (np.arange(12, 36) + 0.5) / 36)


@pytest.mark.parametrize("last", [2, 4, 5])
def test_a_fit_to_an_iterable_that_is_interrupted_goes_on_to_the_same_bits(last, tmp_path):
    class Enough(Exception):  # noqa: N818 - it is thrown to get out of a fit
        pass

    def fail(state):
        if state.iteration == last:
            raise Enough

    solver = Adam(learning_rate=0.01, batch_size=2, schedule="linear")
    model = dictionary("batch_topk", solver=solver, max_iter=2)
    whole = clone(model).fit(Loader())
    assert whole.n_iter_ == 6
    with pytest.raises(Enough):
        clone(model).set_params(checkpoint=Checkpoint(tmp_path, every=1), callbacks=[fail]).fit(Loader())
    same(clone(model).set_params(checkpoint=Checkpoint(tmp_path, resume=True)).fit(Loader()), whole)


@pytest.mark.parametrize("fit", [lambda one, rows: one.fit(rows), lambda one, rows: fit_together([one], rows)[0]])
def test_an_iterator_is_read_once_and_a_number_of_passes_that_was_set_is_remarked_on(fit):
    with pytest.warns(UserWarning, match=r"read only once, so that max_iter=3 makes one pass .* DataLoader") as warned:
        model = fit(dictionary("topk", max_iter=3), iter(PIECES))
    assert [one.filename for one in warned if "max_iter=3" in str(one.message)] == [__file__]
    assert (model.n_samples_fit_, model._passes) == (240, 1)
    same(model, dictionary("topk", max_iter=1).fit(iter(PIECES)))


def test_the_default_number_of_passes_is_not_remarked_on():
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="an iterator can be read only once")
        TopKAutoencoder(16, 3, random_state=0).fit(iter(PIECES))


def test_an_iterable_that_cannot_be_read_again_ends_the_training():
    with pytest.warns(UserWarning, match="the Once of batches yielded no rows when it was read again"):
        model = dictionary("topk", max_iter=3).fit(Once())
    assert model.n_samples_fit_ == 240
    assert model.solver_message_.startswith("The training has seen 240 rows in 1 pass, with 12 updates.")


@pytest.mark.parametrize("pieces", [PIECES, tuple(PIECES), [[piece] for piece in PIECES], list(np.split(X, 4))])
def test_a_list_of_pieces_is_the_array_of_their_rows(pieces):
    model = dictionary("topk").fit(X)
    same(dictionary("topk").fit(pieces), model)
    same(fit_together([dictionary("topk")], pieces)[0], model)
    same(dictionary("topk").partial_fit(pieces), dictionary("topk").partial_fit(X))
    np.testing.assert_array_equal(model.transform(pieces).toarray(), model.transform(X).toarray())
    np.testing.assert_array_equal(model.reconstruct(pieces), model.reconstruct(X))
    assert model.score(pieces) == model.score(X)
    whole, parts = (Transcoder(dictionary("topk")).fit(one, other) for one, other in ((X, X), (pieces, pieces)))
    same(parts.dictionary_, whole.dictionary_)


def test_a_list_of_tensors_is_the_array_of_their_rows():
    torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    same(dictionary("topk").fit([torch.tensor(piece) for piece in PIECES]), dictionary("topk").fit(X))


def test_pieces_of_different_widths_are_refused():
    with pytest.raises(ValueError, match=r"piece 1 has the shape \(240, 3\), but piece 0 has the shape \(240, 6\)"):
        dictionary("topk").fit([X, X[:, :3]])


@pytest.mark.parametrize(
    ("piece", "message"),
    [
        ([X, np.arange(240)], r"got a list of 2 arrays, such as rows and their labels\. Pass the rows alone"),
        ({"rows": X, "labels": X}, r"got a dict with the keys 'rows', 'labels'\. Pass pieces that are arrays"),
    ],
)
def test_pieces_with_more_than_rows_are_refused(piece, message):
    with pytest.raises(ValueError, match=message):
        dictionary("topk", max_iter=1).fit(iter([piece]))
