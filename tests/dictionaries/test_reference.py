"""Terms and gradients of the reference, for each kind, are what small cases, worked out by hand, give."""

import numpy as np
import pytest

from tests.dictionaries.by_hand import assert_close, assert_gradients, assert_terms, gated_case, make
from tests.dictionaries.reference import default_prefixes

# TopK.


def topk_case(**settings):
    """x̃ = (2, 1), a = (2, 1, 3): latent 2 alone is kept."""
    return make("topk", [[1, 0], [0, 1], [1, 1]], [[1, 0], [0, 1], [0.5, 0.25]], np.zeros(3), [1, 0], k=1, **settings)


def test_topk_keeps_the_largest_and_no_other_latent_has_a_gradient():
    # f = (0, 0, 3), x̂ = 3 (0.5, 0.25) + (1, 0) = (2.5, 0.75), r = x̂ − (3, 1) = (−0.5, −0.25).
    # ∂J/∂f = r · (0.5, 0.25) = −0.3125, and x̃ = x − b_dec: ∂J/∂b_dec = r − (−0.3125) (1, 1).
    reference = topk_case()
    assert_close(reference.encode([[3, 1]]), [[0, 0, 3]])
    assert_terms(reference.loss([[3, 1]]), loss=(0.25 + 0.0625) / 2)
    assert_gradients(
        reference.gradients([[3, 1]]),
        W_enc=[[0, 0], [0, 0], [-0.625, -0.3125]],
        W_dec=[[0, 0], [0, 0], [-1.5, -0.75]],
        b_enc=[0, 0, -0.3125],
        b_dec=[-0.1875, 0.0625],
    )


def test_without_centring_the_encoder_sees_x_and_b_dec_is_a_bias_alone():
    # a = (2, 2, 4), f = (0, 0, 4), x̂ = 4 (0.5, 0.25) + (1, 0) = (3, 1), r = (1, −1), ∂J/∂f = r · (0.5, 0.25) = 0.25.
    reference = topk_case(center=False)
    assert_terms(reference.loss([[2, 2]]), loss=1)
    assert_gradients(
        reference.gradients([[2, 2]]),
        W_enc=[[0, 0], [0, 0], [0.5, 0.5]],
        W_dec=[[0, 0], [0, 0], [4, -4]],
        b_enc=[0, 0, 0.25],
        b_dec=[1, -1],
    )


def test_targets_other_than_the_rows_are_what_is_reconstructed():
    # x̂ = (2.5, 0.75) as above, y = (0.5, 1.75): r = (2, −1), ∂J/∂f = 0.75.
    reference = topk_case()
    assert_terms(reference.loss([[3, 1]], [[0.5, 1.75]]), loss=2.5)
    assert_close(reference.gradients([[3, 1]], [[0.5, 1.75]])["b_enc"], [0, 0, 0.75])


def test_the_error_is_averaged_over_rows():
    # Row 0 as above; row 1 has x̃ = (−1, −1), nothing positive, f = 0 and r = b_dec − x = (1, 1).
    reference = topk_case()
    X = [[3, 1], [0, -1]]
    assert_terms(reference.loss(X), loss=(0.15625 + 1) / 2)
    assert_close(reference.gradients(X)["W_dec"][2], [-0.75, -0.375])
    assert_close(reference.gradients(X)["b_dec"], [(-0.1875 + 1) / 2, (0.0625 + 1) / 2])


def test_of_equal_pre_activations_topk_keeps_the_lower_latent():
    reference = make("topk", [[1, 0], [0, 1], [1, 0]], [[1, 0], [0, 1], [1, 0]], np.zeros(3), k=1)
    assert_close(reference.encode([[2, 2], [1, 0], [-1, -1]]), [[2, 0, 0], [1, 0, 0], [0, 0, 0]])
    # Among many, too, where a sort need not keep their order: the first 100 of 200.
    many = make("topk", np.ones((200, 1)), np.ones((200, 1)), np.zeros(200), [0], k=100)
    assert_close(many.encode([[1]]), [[1] * 100 + [0] * 100])


def test_topk_makes_a_selected_latent_that_is_not_positive_0_and_gives_it_no_gradient():
    # k = 2 of a = (1, −1, −2) selects −1 too; and of (1, 0, −2) it selects 0, where the derivative of ReLU is 0.
    reference = make("topk", [[1, 0], [0, 1], [0, 2]], [[2, 0], [1, 1], [1, 1]], [0, 0, 0], k=2)
    for x, b_enc in [([1, -1], [2, 0, 0]), ([1, 0], [2, 0, 0])]:  # r = (2, 0) − x, r · (2, 0) = 2
        assert_close(reference.encode([x]), [[1, 0, 0]])
        assert_close(reference.gradients([x])["b_enc"], b_enc)


# BatchTopK.


def test_batchtopk_keeps_the_largest_of_the_whole_batch_and_a_row_may_get_none():
    # round(1 · 3) = 3 are kept: 5, 4 and 3. Row 2 has x̂ = b_dec = 0, r = −x = (−1, −2); row 1 has r = (0, −0.5).
    reference = make("batchtopk", k=1)
    X = [[5, 4], [3, 0.5], [1, 2]]
    assert_terms(reference.loss(X), loss=(0 + 0.125 + 2.5) / 3)
    # The codes of rows 0 and 1 have no residual of their own; every residual reaches b_dec.
    assert_gradients(
        reference.gradients(X),
        W_enc=np.zeros((2, 2)),
        W_dec=[[0, 3 * -0.5 / 3], [0, 0]],
        b_enc=[0, 0],
        b_dec=[-1 / 3, -2.5 / 3],
    )


@pytest.mark.parametrize(("k", "n_rows", "n_kept"), [(0.5, 1, 0), (0.5, 3, 2), (0.5, 5, 2), (1.5, 1, 2), (1.2, 3, 4)])
def test_batchtopk_rounds_halves_to_even(k, n_rows, n_kept):
    # Rows are (1, 1), and each activation that is not kept costs ½.
    reference = make("batchtopk", k=k)
    assert_terms(reference.loss(np.ones((n_rows, 2))), loss=(2 * n_rows - n_kept) / 2 / n_rows)


def test_batchtopk_keeps_no_activation_that_is_not_positive():
    # Four may be kept, two are positive: r is (0, 1) and (1, 0), the parts below 0.
    reference = make("batchtopk", k=2)
    X = [[5, -1], [-1, 3]]
    assert_terms(reference.loss(X), loss=0.5)
    assert_close(reference.gradients(X)["W_dec"], [[0, 2.5], [1.5, 0]])
    assert_close(reference.gradients(X)["b_enc"], [0, 0])


def test_of_equal_activations_batchtopk_keeps_the_lower_row_then_the_lower_latent():
    # One of the four is kept, of two that are 2: latent 1 of row 0, with r = (−1, 0) there; W_dec has 2 (−1, 0) / 2.
    assert_close(make("batchtopk", k=0.5).gradients([[1, 2], [2, 1]])["W_dec"], [[0, 0], [-1, 0]])
    # One of the two is kept: latent 0, with r = (0, −2).
    assert_close(make("batchtopk", k=1).gradients([[2, 2]])["W_dec"], [[0, -4], [0, 0]])


def test_the_threshold_is_an_average_of_the_smallest_kept_activations_of_batches_that_keep_any():
    reference = make("batchtopk", k=1)
    reference._n_steps = 10**6  # from 20,000 on, 0.999 of the average stays
    X = [[1, 3], [2, 0.25], [-0.5, 2.5]]
    assert_close(reference.encode(X), [[1, 3], [2, 0.25], [0, 2.5]])  # ReLU, as long as there is no average
    reference.loss(X)
    reference.gradients(X)
    assert reference.threshold_weight == 0
    reference.step([[5, 4], [0, 1]], 0.0)  # keeps 5 and 4
    assert_close([reference.threshold_sum, reference.threshold_weight], [0.001 * 4.0, 0.001])
    reference.step([[-1, -1]], 0.0)  # keeps none
    assert_close([reference.threshold_sum, reference.threshold_weight], [0.001 * 4.0, 0.001])
    reference.step([[1, 0]], 0.0)
    assert_close(reference.threshold_sum, 0.999 * 0.004 + 0.001)
    assert_close(reference.threshold_weight, 0.999 * 0.001 + 0.001)
    # θ = (0.999 · 4 + 1) / 1.999 = 2.4992…
    assert_close(reference.encode(X), [[0, 3], [0, 0], [0, 2.5]])


def test_the_average_of_thresholds_reaches_back_over_a_twentieth_of_the_training():
    reference = make("batchtopk", k=1)
    reference.step([[5, 4], [0, 1]], 0.0)  # the first step: nothing stays of what was before
    assert_close([reference.threshold_sum, reference.threshold_weight], [4, 1])
    reference._n_steps = 39  # the next is the 40th, of which half stays: 1 − 20/40
    reference.step([[1, 0]], 0.0)
    assert_close([reference.threshold_sum, reference.threshold_weight], [0.5 * 4 + 0.5 * 1, 1])


def test_an_activation_equal_to_the_threshold_is_0_at_inference():
    reference = make("batchtopk", k=1)
    reference.threshold_sum, reference.threshold_weight = 2.0, 0.5
    assert_close(reference.encode([[4, 4.5]]), [[0, 4.5]])


# Matryoshka.


def test_matryoshka_averages_the_errors_of_the_nested_dictionaries():
    # f = (2, 1). x̂¹ = 2 (0.5, 0.5) = (1, 1), r¹ = (−1, 0); x̂² = (1, 1) + (0, 1) = (1, 2), r² = (−1, 1).
    # Latent 0 is in both and gets the mean of their residuals, (−1, 0.5); latent 1 gets half of r², (−0.5, 0.5).
    # ∂J/∂f = ((−1, 0.5) · (0.5, 0.5), (−0.5, 0.5) · (0, 1)) = (−0.25, 0.5).
    reference = make("matryoshka", W_dec=[[0.5, 0.5], [0, 1]], k=2, prefixes=[1, 2])
    assert_terms(reference.loss([[2, 1]]), loss=(0.5 + 1) / 2)
    assert_gradients(
        reference.gradients([[2, 1]]),
        W_enc=[[-0.5, -0.25], [1, 0.5]],
        W_dec=[[-2, 1], [-0.5, 0.5]],
        b_enc=[-0.25, 0.5],
        b_dec=[-1 + 0.25, 0.5 - 0.5],
    )


def test_matryoshka_selects_once_for_all_prefixes():
    # One of the four is kept, 3: the first dictionary reconstructs nothing.
    reference = make("matryoshka", k=0.5, prefixes=[1, 2])
    X = [[2, 3], [1, 1]]
    assert_terms(reference.loss(X), loss=((4 + 9 + 2) / 4 + (4 + 2) / 4) / 2)
    reference.step(X, 0.0)
    assert reference.threshold_sum == 3  # of the first batch alone
    assert_close(reference.encode([[3, 4]]), [[0, 4]])


def test_prefixes_are_halves_of_halves_by_default():
    assert default_prefixes(40) == [2, 5, 10, 20, 40]
    assert default_prefixes(3) == [1, 3]
    # Without prefixes the case above has those of two latents, 1 and 2.
    assert make("matryoshka", k=2).prefixes == [1, 2]


# L1.


def test_l1_weighs_codes_with_the_norms_of_their_decoder_rows():
    # f = ((1, 2), (3, 0)), norms (1, 2): λ ½ (1 · 1 + 2 · 2 + 3 · 1) = 2.
    # x̂ = ((0.6, 4.8), (1.8, 2.4)), r = ((−0.4, 2.8), (−1.2, 3.4)).
    reference = make("l1", W_dec=[[0.6, 0.8], [0, 2]], sparsity_weight=0.5)
    X = [[1, 2], [3, -1]]
    assert_terms(reference.loss(X), loss=(0.16 + 7.84 + 1.44 + 11.56) / 4, sparsity=2)
    # r W_decᵀ / 2 = ((1, 2.8), (1, ·)), and λ ‖w‖ / 2 = (0.25, 0.5): ∂J/∂a = ((1.25, 3.3), (1.25, 0)).
    # Decoder: fᵀ r / 2 = ((−2, 6.5), (−0.4, 2.8)), and λ (sum of codes) / 2 along w / ‖w‖: 1 (0.6, 0.8), 0.5 (0, 1).
    assert_gradients(
        reference.gradients(X),
        W_enc=[[1.25 * 4, 1.25], [3.3, 6.6]],
        W_dec=[[-2 + 0.6, 6.5 + 0.8], [-0.4, 2.8 + 0.5]],
        b_enc=[2.5, 3.3],
        b_dec=[-0.8 - 2.5, 3.1 - 3.3],
    )


def test_l1_has_no_gradient_where_a_pre_activation_is_0_or_a_decoder_row_is_0():
    # a = (0, 1); the row of zeros has no direction in which its norm grows: f r = 1 · (0, −1) alone.
    reference = make("l1", W_dec=[[1, 0], [0, 0]], sparsity_weight=0.5)
    gradients = reference.gradients([[0, 1]])
    assert_close(gradients["b_enc"], [0, 0])
    assert_close(gradients["W_dec"], [[0, 0], [0, -1]])


# JumpReLU.

#: a − θ is 0.25 and −0.25 in the first row, 2 and −2 in the second.
JUMP_ROWS = [[1.25, 1.75], [3, 0]]


def jump_case(**settings):
    return make("jumprelu", W_dec=[[2, 0], [0, 1]], threshold=[1, 2], **settings)


def test_jumprelu_has_gradients_of_thresholds_inside_the_window_on_either_side():
    # f = ((1.25, 0), (3, 0)), x̂ = ((2.5, 0), (6, 0)), r = ((1.25, −1.75), (3, 0)).
    # ∂J/∂f = r W_decᵀ / 2 = ((1.25, −0.875), (3, 0)).
    # The window of 2 reaches 1 to either side: row 0 is inside, row 1 outside.
    # By f: −θ/ε = (−0.5, −1) times (1.25, −0.875); by H: −1/ε · λ/2 = −0.125.
    reference = jump_case(bandwidth=2.0, sparsity_weight=0.5)
    assert_close(reference.encode(JUMP_ROWS), [[1.25, 0], [3, 0]])
    assert_terms(reference.loss(JUMP_ROWS), loss=(1.5625 + 3.0625 + 9) / 4, sparsity=0.5 * 1)
    assert_gradients(
        reference.gradients(JUMP_ROWS),
        W_enc=[[1.25 * 1.25 + 3 * 3, 1.25 * 1.75], [0, 0]],
        W_dec=[[(1.25 * 1.25 + 9) / 2, 1.25 * -1.75 / 2], [0, 0]],
        b_enc=[4.25, 0],
        b_dec=[2.125 - 4.25, -0.875],
        threshold=[-0.625 - 0.125, 0.875 - 0.125],
    )


@pytest.mark.parametrize("bandwidth", [0.5, 0.1])
def test_jumprelu_has_no_gradient_of_thresholds_at_the_edge_of_the_window_or_outside(bandwidth):
    gradients = jump_case(bandwidth=bandwidth, sparsity_weight=0.5).gradients(JUMP_ROWS)
    assert_close(gradients["threshold"], [0, 0])
    assert_close(gradients["b_enc"], [4.25, 0])


def test_jumprelu_is_drawn_to_a_number_of_active_latents():
    # L0 = 1 of 2: 3 (½ − 1)² = 0.75. Its derivative by L0 is 2 · 3 (½ − 1) / 2 = −1.5, and that of L0 by each θ
    # −1/ε · 1/2 = −0.25, so that 0.375 is added to what comes by f.
    reference = jump_case(bandwidth=2.0, sparsity_weight=3.0, target_l0=2.0)
    assert_terms(reference.loss(JUMP_ROWS), loss=13.625 / 4, sparsity=0.75)
    assert_close(reference.gradients(JUMP_ROWS)["threshold"], [-0.625 + 0.375, 0.875 + 0.375])


def test_jumprelu_is_0_at_its_threshold_and_thresholds_stay_at_0_or_above():
    reference = jump_case(sparsity_weight=0.5)
    assert_close(reference.encode([[1, 2.5]]), [[0, 2.5]])
    assert_terms(reference.loss([[1, 2.5]]), loss=0.5, sparsity=0.5)
    # The gradients are (−0.75, 0.75): the first step of Adam is 5 · 0.75 / (0.75 + 0.25) = 3.75 against their signs.
    reference = jump_case(bandwidth=2.0, sparsity_weight=0.5, decoder_norm=False, epsilon=0.25)
    reference.step(JUMP_ROWS, 5.0)
    assert_close(reference.parameters["threshold"], [4.75, 0])


# Gated.


def test_the_auxiliary_part_of_gated_reaches_the_gate_and_leaves_the_decoder_alone():
    # f = (3, 0), x̂ = (4, 1.5), r = (1, 0.5). The gate's own reconstruction: 1 (1, 0.5) + (1, 0), r' = (−1, −0.5).
    # By f: r · (1, 0.5) = 1.25, times e^r π = 4 for r_mag, 1 for b_mag, e^r = 2 for π.
    # By ReLU(π + b_enc): λ + r' · (1, 0.5) = 0.5 − 1.25 = −0.75. Together π has 2.5 − 0.75 = 1.75.
    # W_dec has f r alone. b_dec has r and, by x̃, −1.75 (1, 0): there the auxiliary part does reach it.
    reference = gated_case(sparsity_weight=0.5)
    assert_close(reference.encode([[3, 1]]), [[3, 0]])
    assert_terms(reference.loss([[3, 1]]), loss=0.625, sparsity=0.5 * 1, gate=0.625)
    assert_gradients(
        reference.gradients([[3, 1]]),
        W_enc=[[3.5, 1.75], [0, 0]],
        W_dec=[[3, 1.5], [0, 0]],
        b_enc=[-0.75, 0],
        b_dec=[1 - 1.75, 0.5],
        r_mag=[5, 0],
        b_mag=[1.25, 0],
    )


def test_an_open_gate_of_gated_lets_no_negative_magnitude_pass():
    # x̃ = (1.25, 4): both gates are open; magnitudes e^r π + b_mag = (0.25 · 1.25 − 1, 4 + 0.5).
    reference = gated_case(sparsity_weight=0.5)
    reference.parameters["r_mag"][0] = np.log(0.25)
    assert_close(reference.encode([[2.25, 4]]), [[0, 4.5]])
    assert_close(reference.gradients([[2.25, 4]])["r_mag"][0], 0)


def test_targets_are_those_of_the_auxiliary_part_of_gated_too():
    # x̂ = (4, 1.5) and (2, 0.5), y = (2, 0.5): r = (2, 1) and (0, 0).
    assert_terms(gated_case().loss([[3, 1]], [[2, 0.5]]), loss=2.5)
