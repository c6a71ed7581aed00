"""The training of dictionaries beside the reference by automatic differentiation, step for step."""

import numpy as np
import pytest

from rhohat.dictionaries.dead_latents import AuxiliaryLoss
from rhohat.dictionaries.encoding import Coder
from rhohat.dictionaries.parameters import Layout, Parameters
from rhohat.dictionaries.scaling import Scaling
from rhohat.dictionaries.selections import L1, BatchTopK, Gated, JumpReLU, Matryoshka, TopK
from rhohat.dictionaries.training import DictionaryProblem, DictionaryState, NotFiniteError, Trainer
from rhohat.engines import ThreadEngine
from rhohat.ops import NUMPY, code_ops_of, ops_named
from rhohat.solvers import Adam
from tests.dictionaries.reference import Reference

N_FEATURES, N_LATENTS = 12, 40
PREFIXES = (3, 8, 20, 40)
OPS = ("numpy", "compiled")
#: Names of the parameters that a selection has for each latent, in the reference.
NAMES = {"threshold": "threshold", "log_scale": "r_mag", "magnitude_bias": "b_mag"}

CASES = {
    "TopK": ("topk", TopK(4), {"k": 4}, 0.0),
    "BatchTopK": ("batchtopk", BatchTopK(3.7), {"k": 3.7}, 0.0),
    "Matryoshka": ("matryoshka", Matryoshka(4.0, PREFIXES), {"k": 4.0, "prefixes": list(PREFIXES)}, 0.0),
    "L1": ("l1", L1(), {}, 0.3),
    "JumpReLU": ("jumprelu", JumpReLU(0.4), {"bandwidth": 0.4}, 0.1),
    "JumpReLU with a target": ("jumprelu", JumpReLU(0.4, target_l0=5.0), {"bandwidth": 0.4, "target_l0": 5.0}, 2.0),
    "Gated": ("gated", Gated(), {}, 0.2),
}


def start(selection, seed=0):
    """Parameters of which some latents are active in no row."""
    draw = np.random.default_rng(seed)
    directions = draw.standard_normal((N_LATENTS, N_FEATURES))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    encoder = directions + 0.1 * draw.standard_normal(directions.shape)
    bias = 0.1 * draw.standard_normal(N_LATENTS)
    bias[-15:] = -8.0
    own = {name: 0.2 + 0.1 * draw.random(N_LATENTS) for name in selection.names}
    return Parameters(encoder, directions, bias, 0.3 * draw.standard_normal(N_FEATURES), own)


def batches(n_steps, n_rows=37):
    draw = np.random.default_rng(7)
    return [2 * draw.standard_normal((n_rows, N_FEATURES)) + 0.5 for _ in range(n_steps)]


def trainer_of(selection, weight, *, ops, center=True, decoder_norm=True, n_jobs=2, auxiliary=1 / 32, dead_after=150):
    layout = Layout(N_FEATURES, N_LATENTS, N_FEATURES, selection.names)
    problem = DictionaryProblem(
        selection,
        layout,
        Scaling(),
        center=center,
        decoder_norm=decoder_norm,
        auxiliary=AuxiliaryLoss(auxiliary, N_FEATURES // 2) if auxiliary else None,
        dead_after=dead_after,
        sparsity_weight=weight,
    )
    solver = Adam(learning_rate=0.01)
    state = DictionaryState.at_start(layout.pack(start(selection)), problem, solver)
    chosen = NUMPY if ops == "numpy" else ops_named(ops)
    return Trainer(problem, solver, state, ThreadEngine(n_jobs), chosen, code_ops_of(chosen))


def reference_of(kind, selection, weight, settings, **how):
    begun = start(selection)
    parameters = {
        "W_enc": begun.encoder,
        "W_dec": begun.decoder,
        "b_enc": begun.encoder_bias,
        "b_dec": begun.decoder_bias,
    }
    parameters |= {NAMES[name]: values for name, values in begun.of_latents.items()}
    return Reference(kind, parameters, sparsity_weight=weight, dead_after=150, **settings, **how)


def theta_of(reference, layout):
    p = reference.parameters
    own = {name: p[NAMES[name]] for name in layout.names}
    return layout.pack(Parameters(p["W_enc"], p["W_dec"], p["b_enc"], p["b_dec"], own))


@pytest.mark.parametrize("ops", OPS)
@pytest.mark.parametrize("name", CASES)
def test_fifty_steps_are_those_of_the_reference(name, ops):
    if ops == "compiled":
        pytest.importorskip("numba", reason="the extra 'fast' is not installed")
    kind, selection, settings, weight = CASES[name]
    trainer = trainer_of(selection, weight, ops=ops)
    reference = reference_of(kind, selection, weight, settings)
    n_revivals = 0
    with trainer.engine.session():
        for X in batches(50):
            terms = trainer.learn(X).terms
            expected = reference.step(X, 0.01)
            n_revivals += expected["auxiliary"] > 0
            assert {key: terms.get(key, 0.0) for key in expected} == pytest.approx(expected, rel=1e-10, abs=1e-12)
            np.testing.assert_array_equal(trainer.state.rows_since_fired, reference.rows_since_fired)
    assert n_revivals > 20
    np.testing.assert_allclose(trainer.state.theta, theta_of(reference, trainer.problem.layout), rtol=0, atol=1e-9)
    assert trainer.state.threshold == pytest.approx([reference.threshold_sum, reference.threshold_weight], rel=1e-10)


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("decoder_norm", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_steps_without_centre_or_constraint_are_those_of_the_reference(name, center, decoder_norm):
    kind, selection, settings, weight = CASES[name]
    how = {"center": center, "decoder_norm": decoder_norm}
    trainer = trainer_of(selection, weight, ops="numpy", **how)
    reference = reference_of(kind, selection, weight, settings, **how)
    for X in batches(12):
        trainer.learn(X)
        reference.step(X, 0.01)
    np.testing.assert_allclose(trainer.state.theta, theta_of(reference, trainer.problem.layout), rtol=0, atol=1e-9)


@pytest.mark.parametrize("ops", OPS)
@pytest.mark.parametrize("name", CASES)
def test_any_number_of_threads_gives_the_same_bits(name, ops):
    if ops == "compiled":
        pytest.importorskip("numba", reason="the extra 'fast' is not installed")
    _, selection, _, weight = CASES[name]
    found = []
    for n_jobs in (1, 2, 3):
        trainer = trainer_of(selection, weight, ops=ops, n_jobs=n_jobs)
        for X in batches(12, n_rows=300):
            trainer.learn(X)
        found.append(trainer.state.theta)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


@pytest.mark.parametrize("name", CASES)
def test_compiled_float32_agrees_with_numpy(name):
    pytest.importorskip("numba", reason="the extra 'fast' is not installed")
    _, selection, _, weight = CASES[name]
    found = []
    for ops in OPS:
        trainer = trainer_of(selection, weight, ops=ops)
        trainer.state.theta = trainer.state.theta.astype(np.float32)
        trainer.state.moments = {key: one.astype(np.float32) for key, one in trainer.state.moments.items()}
        for X in batches(3):
            trainer.learn(X.astype(np.float32))
        found.append(trainer.state.theta)
        assert found[-1].dtype == np.float32
    assert np.abs(found[0] - found[1]).max() < 2e-3  # Adam divides rounding errors by small gradients
    assert np.abs(found[0] - found[1]).mean() < 1e-5


@pytest.mark.parametrize("name", CASES)
def test_encoding_after_training_is_that_of_the_reference(name):
    kind, selection, settings, weight = CASES[name]
    trainer, reference = trainer_of(selection, weight, ops="numpy"), reference_of(kind, selection, weight, settings)
    X = batches(1)[0]
    for batch in batches(5):
        trainer.learn(batch)
        reference.step(batch, 0.01)
    state = trainer.state
    coder = Coder(trainer.problem, state.theta, state.average_threshold, trainer.engine, code_ops_of(NUMPY))
    codes = coder.encode(X)
    assert (codes.values > 0).all()
    np.testing.assert_allclose(codes.as_matrix(N_LATENTS).toarray(), reference.encode(X), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("ops", OPS)
def test_a_batch_that_is_not_finite_changes_nothing(ops):
    if ops == "compiled":
        pytest.importorskip("numba", reason="the extra 'fast' is not installed")
    for _, selection, _, weight in CASES.values():
        trainer = trainer_of(selection, weight, ops=ops)
        good, bad = batches(2)
        trainer.learn(good)
        before = [array.copy() for array in trainer.state.as_run_state().arrays.values()]
        bad[20, 3] = np.nan
        with pytest.raises(NotFiniteError, match="after 37 rows"):
            trainer.learn(bad)
        for array, known in zip(trainer.state.as_run_state().arrays.values(), before, strict=True):
            np.testing.assert_array_equal(array, known)
        assert trainer.state.step == 1
