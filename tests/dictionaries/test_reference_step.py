"""Dead latents, counters, constraints and steps of the reference are what small cases, worked out by hand, give."""

import numpy as np
import pytest
import torch

from tests.dictionaries.by_hand import assert_close, assert_gradients, assert_terms, gated_case, make

# AuxK.


def auxiliary_case(kind="topk", **settings):
    """x = (2, 1), a = (2, 1, −2), f = (2, 0, 0), e = x − x̂ = (0, 1); the last latent is dead."""
    reference = make(
        kind,
        [[1, 0], [0, 1], [-1, 0]],
        [[1, 0], [0, 1], [0, 0.5]],
        np.zeros(3),
        dead_after=10,
        **({"auxiliary_weight": 0.25} | settings),
    )
    reference.rows_since_fired = np.array([0, 9, 10])
    return reference


def test_auxk_reaches_the_encoder_of_a_dead_latent_whose_pre_activation_is_negative():
    # z = −2, ē = −2 (0, 0.5) = (0, −1), ē − e = (0, −2): α ½ 4 = 0.5, for k_aux = n // 2 = 1 = n_dead.
    # ∂/∂z = α (0, −2) · (0, 0.5) = −0.25, which b_dec has too, by x̃: −(−0.25) (−1, 0).
    # Of the loss r = (0, −1): W_dec of latent 0 has 2 r and its code no gradient. As e is held fixed, that is all.
    reference = auxiliary_case(k=1)
    assert_terms(reference.loss([[2, 1]]), loss=0.5, auxiliary=0.5)
    assert_gradients(
        reference.gradients([[2, 1]]),
        W_enc=[[0, 0], [0, 0], [-0.5, -0.25]],
        W_dec=[[0, -2], [0, 0], [0, 1]],
        b_enc=[0, 0, -0.25],
        b_dec=[-0.25, -1],
    )


def test_auxk_reconstructs_without_the_bias_and_not_through_b_dec_where_rows_are_not_centred():
    # b_dec = (1, 0): a = (2, 1, −2) again, x̂ = (3, 0), e = (−1, 1), ē − e = (1, −2): α ½ 5.
    reference = auxiliary_case(k=1, center=False)
    reference.parameters["b_dec"][:] = [1, 0]
    assert_terms(reference.loss([[2, 1]]), loss=1, auxiliary=0.625)
    assert_close(reference.gradients([[2, 1]])["b_dec"], [1, -1])


def test_the_weight_of_auxk_is_a_share_where_fewer_latents_are_dead_than_might_be_used():
    assert_terms(auxiliary_case(k=1, n_auxiliary=4).loss([[2, 1]]), loss=0.5, auxiliary=0.125)


def test_auxk_uses_the_largest_pre_activations_among_the_dead_latents_and_of_equal_ones_the_first():
    # Both latents 1 and 2 are dead; k_aux = 1. a_1 = 1 is larger than −2: ē = (0, 1), y − x̂ = (0, 3), α ½ 4.
    reference = auxiliary_case(k=1)
    reference.rows_since_fired[1] = 10
    assert_terms(reference.loss([[2, 1]], [[2, 3]]), loss=4.5, auxiliary=0.5)
    # a_1 = a_2 = −2: with latent 1, ē = (0, −2) and x̂ = (2, 0), e = (0, −2); latent 2 would leave (0, 1).
    assert_terms(reference.loss([[2, -2]]), loss=2)
    # With two, ē = 1 (0, 1) − 2 (0, 0.5) = 0 and ē − e = (0, −1).
    reference.n_auxiliary = 2
    assert_terms(reference.loss([[2, 1]]), loss=0.5, auxiliary=0.125)


def test_no_auxk_without_dead_latents_or_without_a_weight():
    assert_terms(auxiliary_case(k=1, auxiliary_weight=0.0).loss([[2, 1]]), loss=0.5)
    reference = auxiliary_case(k=1)
    reference.rows_since_fired[2] = 9
    assert_terms(reference.loss([[2, 1]]), loss=0.5)


def test_auxk_of_matryoshka_reconstructs_what_the_whole_dictionary_leaves():
    # f = (2, 1, 0): x̂¹ = (2, 0), x̂² = x, e = 0. ē = −2 (0, 0.5) = (0, −1): α ½, and the loss is the mean of ½ and 0.
    assert_terms(auxiliary_case("matryoshka", k=2, prefixes=[1, 3]).loss([[2, 1]]), loss=0.25, auxiliary=0.125)


def test_auxk_of_gated_uses_the_pre_activations_of_the_gate():
    # Latent 1 is dead: z = π_1 + b_enc = −2, ē = (0, −2), e = (−1, −0.5), ē − e = (1, −1.5): α ½ 3.25.
    # ∂/∂z = α (1, −1.5) · (0, 1) = −0.375.
    reference = gated_case(auxiliary_weight=0.25, dead_after=10)
    reference.rows_since_fired[1] = 10
    assert_terms(reference.loss([[3, 1]]), loss=0.625, gate=0.625, auxiliary=0.40625)
    gradients = reference.gradients([[3, 1]])
    assert_close([gradients[name][1] for name in ("b_enc", "b_mag", "r_mag")], [-0.375, 0, 0])
    assert_close(gradients["W_enc"][1], [-0.75, -0.375])
    assert_close(gradients["W_dec"][1], [0.25 * -2 * 1, 0.25 * -2 * -1.5])


# Counters.


def test_counters_count_the_rows_since_a_latent_was_selected():
    # Of (5, 1), (4, 2) and (3, 6) three are kept: 6, 5 and 4. Then 5 and 4 of latent 0 alone.
    reference = make("batchtopk", k=1)
    reference.step([[5, 1], [4, 2], [3, 6]], 0.0)
    assert reference.rows_since_fired.tolist() == [0, 0]
    reference.step([[5, 1], [4, 2]], 0.0)
    reference.loss([[1, 2]])
    assert reference.rows_since_fired.tolist() == [0, 2]
    reference.step([[-1, -1]], 0.0)
    assert reference.rows_since_fired.tolist() == [1, 3]
    assert reference.rows_since_fired.dtype == np.int64


def test_a_latent_that_was_dead_before_a_step_is_dead_in_it_even_if_it_fires():
    # f = (2, 1): x̂ = x, e = 0. z = a_1 = 1, ē = (0, 1): α ½.
    reference = make("topk", k=2, auxiliary_weight=0.25, dead_after=1)
    reference.rows_since_fired[1] = 1
    assert_terms(reference.step([[2, 1]], 0.0), loss=0, auxiliary=0.125)
    assert_terms(reference.step([[2, 1]], 0.0), loss=0)


# The step.


def test_a_step_keeps_decoder_rows_at_norm_1_and_takes_no_part_of_the_gradient_along_them():
    # f = x̂ = (1, 0), r = x̂ − y = (−4, 1). The gradient of row 0 is f r = (−4, 1), and without −4 (1, 0) it is (0, 1).
    # With ε = 1 the first step of Adam is the learning rate times g / (|g| + 1): (1, −1.5 · 0.5), of norm 1.25.
    reference = make("topk", k=1, epsilon=1.0)
    terms = reference.step([[1, -1]], 1.5, [[5, -1]])
    assert_terms(terms, loss=(16 + 1) / 2)
    assert_close(reference.parameters["W_dec"], [[0.8, -0.6], [0, 1]])
    # ∂J/∂f = −4, so that W_enc has −4 (1, −1), and g / (|g| + 1) is ±0.8.
    assert_close(reference.parameters["b_enc"], [1.2, 0])
    assert_close(reference.parameters["W_enc"], [[2.2, -1.2], [0, 1]])
    # By x̃: r − (−4) (1, 0) = (0, 1).
    assert_close(reference.parameters["b_dec"], [0, -0.75])


def test_without_the_constraint_decoder_rows_are_neither_projected_nor_scaled():
    reference = make("topk", k=1, epsilon=1.0, decoder_norm=False)
    reference.step([[1, -1]], 1.5, [[5, -1]])  # the gradient of row 0 is (−4, 1)
    assert_close(reference.parameters["W_dec"], [[1 + 1.5 * 0.8, -0.75], [0, 1]])


def test_a_decoder_row_of_zeros_stays_and_the_others_are_scaled_to_norm_1():
    # A learning rate of 0, so that the constraint alone acts.
    reference = make("topk", W_dec=[[3, 4], [0, 0]], k=1)
    reference.step([[1, 0]], 0.0)
    assert_close(reference.parameters["W_dec"], [[0.6, 0.8], [0, 0]])


def test_steps_are_those_of_adam_in_torch(rng):
    arrays = {
        name: rng.normal(size=shape)
        for name, shape in [("W_enc", (5, 4)), ("W_dec", (5, 4)), ("b_enc", 5), ("b_dec", 4)]
    }
    reference = make("l1", **arrays, sparsity_weight=0.1, decoder_norm=False, betas=(0.8, 0.95), epsilon=1e-3)
    tensors = {name: torch.tensor(values, requires_grad=True) for name, values in arrays.items()}
    adam = torch.optim.Adam(tensors.values(), betas=(0.8, 0.95), eps=1e-3)
    for learning_rate in (0.1, 0.05, 0.2, 0.01):
        X = rng.normal(size=(6, 4))
        for name, gradient in reference.gradients(X).items():
            tensors[name].grad = torch.tensor(gradient)
        adam.param_groups[0]["lr"] = learning_rate
        adam.step()
        reference.step(X, learning_rate)
        for name, tensor in tensors.items():
            assert_close(reference.parameters[name], tensor.detach().numpy())


def test_a_kind_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="kind"):
        make("top_k", k=1)
