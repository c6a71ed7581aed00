"""Units that are active on no row of a fit are warned of, and fits that end so are not simply called converged."""

import warnings

import numpy as np
import pytest

import rhohat
from rhohat.estimators.dead_units import warn_of_dead_codes
from rhohat.layers.activations import as_activation

X = np.random.default_rng(0).random((300, 20))


def collapsed():
    return rhohat.SparseAutoencoder(n_components=10, sparsity=0.001, random_state=0)


def test_a_fit_whose_sigmoid_units_are_dead_warns_where_it_is_called():
    with pytest.warns(
        rhohat.DeadLatentsWarning, match=r"10 of 10 units are dead: .* a larger sparsity \(ρ\)"
    ) as warned:
        model = collapsed().fit(X)
    assert [one.filename for one in warned] == [__file__]
    assert rhohat.evaluate(model, X).dead_fraction == 1


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_fit_whose_units_are_alive_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error", rhohat.DeadLatentsWarning)
        model = rhohat.SparseAutoencoder(n_components=10, sparsity=0.1, random_state=0).fit(X)
    assert rhohat.evaluate(model, X).dead_fraction == 0


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_units_that_may_become_active_are_not_warned_of():
    with warnings.catch_warnings():
        warnings.simplefilter("error", rhohat.DeadLatentsWarning)
        model = collapsed().set_params(max_iter=25).fit(X)
    assert rhohat.evaluate(model, X).dead_fraction == 1
    assert "but all units are dead" not in str(rhohat.report(model, X))


@pytest.mark.parametrize(("n_dead", "is_warned_of"), [(4, False), (5, True), (10, True)])
def test_half_of_the_units_must_be_dead(n_dead, is_warned_of):
    codes = np.full((30, 10), 0.5)
    codes[:, :n_dead] = 0.1
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_dead_codes(codes, as_activation("sigmoid"), 0.01, 1)
        warn_of_dead_codes(codes, as_activation("sigmoid"), None, 1)  # without a target there is no remedy to name
        warn_of_dead_codes(codes, as_activation("relu"), 0.01, 1)  # told by mean activations
    assert len(caught) == is_warned_of


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore::rhohat.DeadLatentsWarning")
def test_a_report_does_not_call_a_collapsed_model_simply_converged():
    model = collapsed().fit(X)
    page = str(rhohat.report(model, X))
    assert '<span class="status warn">converged, but all units are dead</span>' in page
    alive = rhohat.SparseAutoencoder(n_components=10, sparsity=0.1, random_state=0).fit(X)
    assert "but all units are" not in str(rhohat.report(alive, X))
