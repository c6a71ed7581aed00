"""Dead latents begin anew, as the recipe says."""

import numpy as np
import pytest

from rhohat import Adam, Checkpoint, TopKAutoencoder
from rhohat.callbacks import ResampleDeadLatents
from tests.dictionaries.test_step_by_step import CASES, batches, trainer_of


def test_a_dead_latent_gets_the_direction_of_a_row_and_nothing_else_changes():
    _, selection, _, weight = CASES["TopK"]
    trainer = trainer_of(selection, weight, ops="numpy")
    for X in batches(4):
        trainer.learn(X)
    state, layout = trainer.state, trainer.problem.layout
    state.rows_since_fired[[3, 7]] = 10**6
    dead = np.flatnonzero(state.rows_since_fired >= 150)
    alive = np.flatnonzero(state.rows_since_fired < 150)
    before = state.theta.copy()
    inputs, errors = (array.copy() for array in trainer._step.last_batch())
    n_resampled = trainer.resample(np.random.default_rng(0))
    new, old = layout.views(state.theta), layout.views(before)
    assert n_resampled == len(dead) >= 2
    directions = inputs / np.linalg.norm(inputs, axis=1, keepdims=True)
    for latent in dead:
        row = int(np.argmax(directions @ new.decoder[latent]))
        np.testing.assert_allclose(new.decoder[latent], directions[row], rtol=1e-12)
        assert errors[row] > 0
    size = 0.2 * np.linalg.norm(old.encoder[alive], axis=1).mean()
    np.testing.assert_allclose(new.encoder[dead], size * new.decoder[dead], rtol=1e-12)
    assert (new.encoder_bias[dead] == 0).all()
    assert (state.rows_since_fired[dead] == 0).all()
    for array, known in ((new.decoder, old.decoder), (new.encoder, old.encoder), (new.encoder_bias, old.encoder_bias)):
        np.testing.assert_array_equal(array[alive], known[alive])
    for moment in state.moments.values():
        views = layout.views(moment)
        assert not views.decoder[dead].any()
        assert not views.encoder[dead].any()
        assert views.decoder[alive].any()


def test_rows_are_drawn_in_proportion_to_their_squared_loss():
    _, selection, _, weight = CASES["TopK"]
    trainer = trainer_of(selection, weight, ops="numpy")
    trainer.learn(batches(1)[0])
    inputs, errors = trainer._step.last_batch()
    errors[:] = 0
    errors[[4, 9]] = 1.0, 2.0
    trainer.state.rows_since_fired[:] = 10**6
    counts = np.zeros(len(inputs))
    directions = inputs / np.linalg.norm(inputs, axis=1, keepdims=True)
    for seed in range(50):
        trainer.state.rows_since_fired[:] = 10**6
        trainer.resample(np.random.default_rng(seed))
        found = trainer.problem.layout.views(trainer.state.theta).decoder @ directions.T
        counts += np.bincount(found.argmax(1), minlength=len(inputs))
    assert counts[[4, 9]].sum() == counts.sum()
    assert counts[9] / counts[4] == pytest.approx(4, rel=0.2)  # squares of 1 and 2


def test_the_callback_counts_rows_and_goes_on_where_a_fit_was_stopped(tmp_path):
    X = np.random.default_rng(0).standard_normal((400, 12))

    def dictionary(resampling, *others, **how):
        return TopKAutoencoder(
            200,
            1,
            solver=Adam(batch_size=400),
            dead_after=100,
            max_iter=12,
            random_state=0,
            callbacks=[resampling, *others],
            **how,
        )

    whole = ResampleDeadLatents(every=1000, n_times=3)
    known = dictionary(whole).fit(X)
    assert len(whole.n_resampled) == 3
    assert max(whole.n_resampled) > 0
    folder = tmp_path / "state"
    dictionary(ResampleDeadLatents(1000, 3), lambda state: state.iteration == 7, checkpoint=folder).fit(X)
    rest = dictionary(ResampleDeadLatents(1000, 3), checkpoint=Checkpoint(folder, resume=True)).fit(X)
    np.testing.assert_array_equal(rest.coefs_[0], known.coefs_[0])


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="at least 1; got 0 and 4"):
        ResampleDeadLatents(0)
