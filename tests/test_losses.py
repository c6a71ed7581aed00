import numpy as np

from rhohat.losses import SquaredError
from tests.tolerances import EXACT


def test_squared_error_is_half_the_sum_over_features_and_rows(rng):
    a, y = rng.normal(size=(2, 7, 5))
    derivative = np.empty_like(a)
    value = SquaredError().value_and_derivative(a, y, derivative)
    np.testing.assert_allclose(value, 0.5 * np.sum((a - y) ** 2), rtol=EXACT)
    np.testing.assert_array_equal(derivative, a - y)


def test_derivative_agrees_with_a_difference_quotient(rng):
    a, y, direction = rng.normal(size=(3, 7, 5))
    derivative, unused = np.empty_like(a), np.empty_like(a)
    loss = SquaredError()
    loss.value_and_derivative(a, y, derivative)
    ahead = loss.value_and_derivative(a + 1e-4 * direction, y, unused)
    behind = loss.value_and_derivative(a - 1e-4 * direction, y, unused)
    np.testing.assert_allclose((ahead - behind) / 2e-4, np.sum(derivative * direction), rtol=1e-9)
