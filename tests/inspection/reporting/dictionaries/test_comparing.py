"""Two dictionaries on the same rows: partners, and latents without a counterpart."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rhohat import Adam, SparseAutoencoder, TopKAutoencoder, evaluate, report
from rhohat.inspection.reporting.dictionaries import comparing
from tests.inspection.reporting.pages import column_of, record_of

NO_ROW = 2**32 - 1


def fitted(X, n_components, seed):
    how = {"k": 3, "solver": Adam(batch_size=100, learning_rate=1e-2), "max_iter": 4}
    return TopKAutoencoder(n_components, random_state=seed, **how).fit(X)


def kill(dictionary, latent):
    dictionary._problem.layout.views(dictionary._state.theta).encoder_bias[latent] = -1000
    dictionary._folded = None


@pytest.fixture
def rows(rng):
    codes = rng.random((600, 20)) * (rng.random((600, 20)) < 0.2)
    return (codes @ rng.normal(size=(20, 12))).astype(np.float32)


@pytest.fixture
def pair(rows):
    """Two dictionaries, the first of which has more latents; each has one that is dead."""
    first, second = fitted(rows, 30, 0), fitted(rows, 22, 1)
    kill(first, 4)
    kill(second, 6)
    return first, second


def cosines_of(first, second):
    """Cosines between all directions; −1 for those of latents that are dead."""
    units = [one.components_ / np.linalg.norm(one.components_, axis=1, keepdims=True) for one in (first, second)]
    return units[0] @ units[1].T


def test_partners_are_those_of_the_best_assignment_of_latents_that_are_alive(rows, pair):
    page = report(pair[0], rows, image_shape=None, compare=pair[1])
    alive = [(model.transform(rows).toarray() > 0).any(axis=0) for model in pair]
    cosines = cosines_of(*pair)
    living = cosines[np.ix_(*alive)]
    chosen = linear_sum_assignment(living, maximize=True)
    expected = {
        (int(np.flatnonzero(alive[0])[a]), int(np.flatnonzero(alive[1])[b])) for a, b in zip(*chosen, strict=True)
    }
    partners, of_others = column_of(page, "partners"), column_of(page, "other-partners")
    assert {(a, int(b)) for a, b in enumerate(partners) if b != NO_ROW} == expected
    assert {(int(a), b) for b, a in enumerate(of_others) if a != NO_ROW} == expected
    assert partners[4] == NO_ROW == of_others[6]
    found = column_of(page, "partnerCosines") / 32767
    for a, b in expected:
        assert found[a] == pytest.approx(cosines[a, b], abs=1e-4)
    assert found[4] == -1
    for name, matrix, others in (
        ("", np.where(alive[1], cosines, -2), alive[0]),
        ("other-", np.where(alive[0], cosines.T, -2), alive[1]),
    ):
        nearest = column_of(page, f"{name}nearestOther")
        np.testing.assert_array_equal(nearest[others], matrix.argmax(axis=1)[others])
        assert (nearest[~others] == NO_ROW).all()
        most = column_of(page, f"{name}nearestOtherCosines") / 32767
        np.testing.assert_allclose(most[others], matrix.max(axis=1)[others], atol=1e-4)


def test_many_latents_are_partners_if_each_is_most_similar_to_the_other(rows, pair, monkeypatch):
    exact = report(pair[0], rows, image_shape=None, compare=pair[1])
    assert "pairs are those whose cosines have the largest sum" in exact
    monkeypatch.setattr(comparing, "_MOST_MATCHED", 10)
    page = report(pair[0], rows, image_shape=None, compare=pair[1])
    assert "Two latents are partners if each is the most similar one to the other" in page
    nearest, back = column_of(page, "nearestOther"), column_of(page, "other-nearestOther")
    expected = [b if b != NO_ROW and back[b] == a else NO_ROW for a, b in enumerate(nearest.tolist())]
    assert column_of(page, "partners").tolist() == expected
    assert 5 < sum(partner != NO_ROW for partner in expected) < 22


def test_the_second_dictionary_is_measured_on_the_same_rows_with_its_own_preprocessing(rows, pair):
    second = make_pipeline(StandardScaler(), pair[1]).fit(rows)
    texts = [[f" t{row}"] for row in range(len(rows))]
    page = report(pair[0], rows, image_shape=None, compare=second, texts=texts)
    codes = second.transform(rows).toarray()
    np.testing.assert_array_equal(column_of(page, "other-active"), (codes > 0).sum(axis=0))
    assert column_of(page, "other-contextCounts").size == 22 * 22
    shown = np.unique(
        np.concatenate([column_of(page, f"{name}ows") for name in ("r", "spreadR", "other-r", "other-spreadR")])
    )
    np.testing.assert_array_equal(column_of(page, "contextRows"), shown[shown != NO_ROW])
    assert record_of(page)["other"]["n"] == 22


def test_figures_of_both_stand_side_by_side_and_what_each_lacks_is_counted(rows, pair):
    page = report(pair[0], rows, image_shape=None, compare=pair[1])
    for model in pair:
        assert f"<td>{evaluate(model, rows).explained_variance:.4g}</td>" in page
    lacking = [int((column_of(page, f"{name}nearestOtherCosines") / 32767 < 0.5).sum()) - 1 for name in ("", "other-")]
    assert lacking[0] > 0  # of the dead latent, nothing is said
    texts = [f"{number} latent{'' if number == 1 else 's'} of the" for number in lacking]
    assert f"{texts[0]} first dictionary and {texts[1]} second have no counterpart" in page.replace("\n", " ")


def test_a_dictionary_is_its_own_counterpart(rows, pair):
    page = report(pair[0], rows, image_shape=None, compare=pair[0])
    partners = column_of(page, "partners")
    assert partners.tolist() == [NO_ROW if latent == 4 else latent for latent in range(30)]


def test_nothing_is_matched_if_all_latents_are_dead(rows, pair):
    for latent in range(22):
        kill(pair[1], latent)
    page = report(pair[0], rows, image_shape=None, compare=pair[1])
    assert "no latent that is active on these rows, so that nothing is matched" in page
    assert (column_of(page, "partners") == NO_ROW).all()


def test_what_cannot_be_compared_is_refused_before_work(rows, pair, tmp_path):
    network = SparseAutoencoder(n_components=2, random_state=0, max_iter=2, tol=1.0).fit(rows)
    with pytest.raises(ValueError, match="compare must be a dictionary, as the model is; got SparseAutoencoder"):
        report(pair[0], rows, tmp_path / "page.html", compare=network)
    with pytest.raises(ValueError, match="compare is for the page about a dictionary only"):
        report(network, rows, tmp_path / "page.html", compare=pair[0])
    with pytest.raises(ValueError, match=r"it has learned from 5 features, but .* has 12"):
        report(pair[0], rows, tmp_path / "page.html", compare=fitted(rows[:, :5], 8, 0))
    assert list(tmp_path.iterdir()) == []


def test_pages_of_two_dictionaries_of_images_have_pictures_of_both(rows, pair):
    page = report(pair[0], rows.reshape(-1, 3, 4), compare=pair[1])
    record = record_of(page)
    assert record["directions"]["files"] != record["other"]["directions"]["files"]
    shown = np.unique(np.concatenate([column_of(page, "other-rows"), column_of(page, "rows")]))
    assert set(shown[shown != NO_ROW]) <= set(column_of(page, "pictured"))
