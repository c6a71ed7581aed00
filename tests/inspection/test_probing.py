import numpy as np
import pytest
from scipy.sparse import csc_array, csr_array
from sklearn.linear_model import LogisticRegression

from rhohat.inspection.metrics import probing, sparse_probing
from tests.tolerances import EXACT

NAMES = np.array(["ant", "bee", "cat"])


@pytest.fixture
def labels(rng):
    """Of three classes with 60, 100 and 40 rows."""
    return rng.permutation(np.repeat(NAMES, [60, 100, 40]))


@pytest.fixture
def codes(rng, labels):
    """Sparse codes: latents 3, 5 and 7 fire more often on rows of one class each."""
    codes = np.maximum(rng.normal(-1, 1, size=(200, 12)), 0)
    for name, latent in zip(NAMES, [3, 5, 7], strict=True):
        codes[:, latent] += (labels == name) * (rng.random(200) < 0.8)
    return codes


@pytest.fixture
def rows_of_probes(monkeypatch):
    """The rows that each probe is trained and tested on: (rows of the class, other rows) of both parts."""
    seen, compute = [], probing._accuracy

    def spy(codes, latents, train, test):
        seen.append((train, test))
        return compute(codes, latents, train, test)

    monkeypatch.setattr(probing, "_accuracy", spy)
    return seen


def of_the_definition(codes, k, train, test):
    """Return the chosen latents and the accuracy for (rows of the class, other rows) to train and to test on."""
    difference = abs(codes[train[0]].mean(axis=0) - codes[train[1]].mean(axis=0))
    latents = sorted(range(codes.shape[1]), key=lambda latent: (-difference[latent], latent))[:k]
    (X, y), (X_test, y_test) = (
        (codes[np.concatenate(part)][:, latents], np.arange(2 * len(part[0])) < len(part[0])) for part in (train, test)
    )
    probe = LogisticRegression(C=1.0, max_iter=1000).fit(X, y)
    return latents, (probe.predict(X_test) == y_test).mean()


@pytest.mark.parametrize("kind", [np.asarray, csr_array, csc_array])
def test_probes_are_those_of_the_definition(codes, labels, kind, rows_of_probes):
    found = sparse_probing(kind(codes), labels, k=(1, 2, 5))
    assert (found.accuracy.shape, found.latents.shape, found.k) == ((3, 3), (3, 5), (1, 2, 5))
    assert found.classes.tolist() == NAMES.tolist()
    for number, (train, test) in enumerate(rows_of_probes):
        latents, accuracy = of_the_definition(codes, found.k[number % 3], train, test)
        assert found.latents[number // 3, : len(latents)].tolist() == latents
        np.testing.assert_allclose(found.accuracy[number // 3, number % 3], accuracy, rtol=EXACT)
    np.testing.assert_allclose(found.mean_accuracy, found.accuracy.mean(axis=0), rtol=EXACT)


def test_rows_are_split_in_the_same_proportion_and_balanced(codes, labels, rows_of_probes):
    sparse_probing(codes, labels, k=[1], test_size=0.25)
    held_out = set()
    for name, n_rows, (train, test) in zip(NAMES, [60, 100, 40], rows_of_probes, strict=True):
        for (inside, outside), n_expected in ((train, 0.75 * n_rows), (test, 0.25 * n_rows)):
            assert len(inside) == len(outside) == n_expected
            assert set(labels[inside]) == {name}
            assert set(labels[outside]) == set(NAMES) - {name}
            assert len(set(outside)) == len(outside)
        held_out |= set(np.concatenate(test))
    assert not held_out & {row for train, _ in rows_of_probes for row in np.concatenate(train)}


def test_a_class_with_more_rows_than_all_others_gives_some(codes, rows_of_probes):
    sparse_probing(codes, np.arange(200) < 150, k=[1])
    ((train, test),) = rows_of_probes
    assert [len(part) for part in (*train, *test)] == [40, 40, 10, 10]
    assert train[0].max() < 150 <= train[1].min()


def test_the_latent_of_each_class_is_found(codes, labels):
    found = sparse_probing(codes, labels)
    assert found.latents[:, 0].tolist() == [3, 5, 7]
    assert (found.accuracy > 0.7).all()


def test_a_latent_that_fires_on_all_other_rows_is_as_good_as_one_that_fires_on_the_class(rng):
    labels = np.arange(100) % 2
    codes = np.column_stack([rng.random(100) * 0.1, 2.0 * (labels == 0)])
    found = sparse_probing(codes, labels, k=[1])
    assert (found.latents.tolist(), found.accuracy.tolist(), found.classes.tolist()) == ([[1]], [[1.0]], [1])


def test_of_latents_that_differ_equally_the_first_are_chosen():
    labels = np.arange(100) % 2
    codes = np.repeat(labels[:, None].astype(float), 500, axis=1)
    codes[:, :4] = 0
    assert sparse_probing(codes, labels).latents.tolist() == [[4, 5, 6, 7, 8]]


def test_codes_that_say_nothing_are_at_chance(rng):
    found = sparse_probing(rng.random((4000, 6)), np.arange(4000) % 4)
    np.testing.assert_allclose(found.mean_accuracy, 0.5, atol=0.05)


def test_the_same_seed_gives_the_same_probes(codes, labels):
    first, again, other = (sparse_probing(codes, labels, random_state=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.accuracy, again.accuracy)
    assert (first.accuracy != other.accuracy).any()


def test_the_draws_of_a_class_do_not_depend_on_k(codes, labels):
    few, many = (sparse_probing(codes, labels, k=k).accuracy for k in ([2], [1, 2, 12]))
    np.testing.assert_array_equal(few[:, 0], many[:, 1])


@pytest.mark.parametrize(
    "labels",
    [np.arange(6) % 2 == 0, np.arange(6) % 2 * 0.5, list("ababab"), [-1, 1] * 3, np.array(list("ababab"), object)],
)
def test_labels_of_any_kind_are_told_apart_with_two_rows_of_each_at_least(labels):
    codes = np.eye(2)[np.arange(6) % 2]
    found = sparse_probing(codes, labels, k=[1], test_size=0.01)
    assert (found.accuracy.tolist(), len(found.classes)) == ([[1.0]], 1)
    assert found.classes[0] == max(labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"codes": np.ones((4, 0))}, "codes must be an array of numbers"),
        ({"codes": np.full((4, 2), np.nan)}, "codes contains NaN or infinity"),
        ({"codes": csr_array(np.full((4, 2), np.inf))}, "codes contains NaN or infinity"),
        ({"labels": [0, 1, 0]}, r"for each of the 4 rows of codes; got an array of shape \(3,\)"),
        ({"labels": [[0], [1], [0], [1]]}, r"shape \(4, 1\)"),
        ({"labels": [None, 1, 0, 1]}, "dtype object"),
        ({"labels": [0, 1, 0, np.nan]}, "labels contain NaN or infinity"),
        ({"labels": [7, 7, 7, 7]}, "at least two classes; all are 7"),
        ({"labels": ["a", "b", "b", "b"]}, "at least two rows of each class, one to be held out; a has 1"),
        ({"k": []}, r"k must be a sequence of integers, each the number of latents of a probe; got \[\]"),
        ({"k": 2}, "k must be a sequence of integers"),
        ({"k": [1.0]}, "k must be a sequence of integers"),
        ({"k": [0]}, r"k must be from 1 to the number of latents, 2; got \[0\]"),
        ({"k": [1, 3]}, "k must be from 1 to the number of latents, 2"),
        ({"test_size": 1.0}, r"test_size must be a share of the rows, in \(0, 1\); got 1.0"),
        ({"test_size": 0}, "test_size must be"),
        ({"random_state": "x"}, "random_state must be"),
    ],
)
def test_bad_input_is_refused(change, message):
    arguments = {"codes": np.eye(2)[[0, 1, 0, 1]], "labels": [0, 1, 0, 1], "k": [1], **change}
    with pytest.raises(ValueError, match=message):
        sparse_probing(**arguments)
