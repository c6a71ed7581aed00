import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, softmax

from rhohat.layers.activations import (
    ACTIVATIONS,
    Activation,
    ElementwiseActivation,
    LeakyReLU,
    Maxout,
    ParametricReLU,
    ReLU,
    Sigmoid,
    Softmax,
    Units,
    as_activation,
)
from tests.tolerances import EXACT

#: Every activation by name, and some with other settings.
ALL = [
    *(make() for make in ACTIVATIONS.values()),
    LeakyReLU(0.0),
    LeakyReLU(0.7),
    ParametricReLU(0.0),
    ParametricReLU(-0.5),
    Maxout(3),
]
every = pytest.mark.parametrize("activation", ALL, ids=str)
elementwise = pytest.mark.parametrize(
    "activation", [activation for activation in ALL if isinstance(activation, ElementwiseActivation)], ids=str
)
N_ROWS, N_UNITS = 7, 4


class Layer:
    """An activation with pre-activations that are drawn at random, and its functions without side effects."""

    def __init__(self, activation, rng):
        self.activation = activation
        self.width = activation.width(N_UNITS)
        self.z = rng.normal(size=(N_ROWS, self.width))
        self.own = activation.initial_parameters(N_UNITS)
        self.phi = rng.normal(size=(N_ROWS, N_UNITS))
        self.beta = rng.normal(size=(N_ROWS, self.width))
        self.direction = rng.normal(size=self.own.shape)

    def forward(self, z=None, own=None):
        """z and a as they are after `forward`."""
        z = np.array(self.z if z is None else z)
        a = z if self.activation.in_place else np.full((len(z), N_UNITS), np.nan, z.dtype)
        self.activation.forward(Units(z, a, self.own if own is None else own))
        return z, a

    def pull_back(self, phi, z=None, own=None):
        """∂/∂z and ∂/∂parameters of φ · f(z)."""
        z, a = self.forward(z, own)
        delta = np.array(phi)
        out = delta if self.activation.in_place else np.full_like(z, np.nan)
        own = self.own if own is None else own
        gradient = np.zeros_like(own)
        self.activation.pull_back(Units(z, a, own), delta, out, gradient)
        return out, gradient

    def push_forward(self, beta, direction=None):
        z, a = self.forward()
        kept = z.copy(), a.copy(), beta.copy()
        alpha = self.activation.push_forward(Units(z, a, self.own), beta, direction)
        for now, before in zip((z, a, beta), kept, strict=True):
            np.testing.assert_array_equal(now, before)
        return alpha

    def curvature(self, phi, beta, direction=None):
        """∂/∂z and ∂/∂parameters of φ · push_forward(β)."""
        z, a = self.forward()
        kept, gradient = (z.copy(), a.copy(), phi.copy(), beta.copy()), np.zeros_like(self.own)
        by_z = self.activation.curvature(Units(z, a, self.own), phi, beta, direction, gradient)
        for now, before in zip((z, a, phi, beta), kept, strict=True):
            np.testing.assert_array_equal(now, before)
        return by_z, gradient


@given(st.lists(st.floats(-700, 700), min_size=1, max_size=40))
def test_sigmoid_agrees_with_scipy_to_full_relative_accuracy(z):
    a = np.array([z])
    Sigmoid().apply(a)
    np.testing.assert_allclose(a, expit([z]), rtol=1e-14, atol=0)


@given(st.lists(st.floats(-700, 700), min_size=1, max_size=40))
def test_softmax_agrees_with_scipy(z):
    a = np.array([z])
    Softmax().forward(Units(a, a, np.empty(0)))
    np.testing.assert_allclose(a, softmax([z], axis=1), rtol=EXACT, atol=0)
    np.testing.assert_allclose(a.sum(axis=1), 1, rtol=EXACT)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("activation", "expected"),
    [
        ("identity", [-1e30, 1e30]),
        ("sigmoid", [0, 1]),
        ("tanh", [-1, 1]),
        ("relu", [0, 1e30]),
        (LeakyReLU(0.5), [-0.5e30, 1e30]),
        (ParametricReLU(-0.5), [0.5e30, 1e30]),
        ("maxout", [1e30]),
        ("softmax", [0, 1]),
    ],
)
def test_extreme_inputs_give_the_bounds_and_no_warning(activation, expected, dtype):
    activation = as_activation(activation)
    z = np.array([[-1e30, 1e30]], dtype=dtype)
    a = z if activation.in_place else np.empty((1, len(expected)), dtype)
    own = activation.initial_parameters(len(expected)).astype(dtype)
    activation.forward(Units(z, a, own))
    np.testing.assert_array_equal(a, np.array([expected], dtype))
    beta, phi = np.ones_like(z), np.ones_like(a)
    assert np.all(np.isfinite(activation.push_forward(Units(z, a, own), beta, None)))
    assert np.all(np.isfinite(activation.curvature(Units(z, a, own), phi, beta, None, np.zeros_like(own))))
    out = phi if activation.in_place else np.empty_like(z)
    activation.pull_back(Units(z, a, own), phi, out, np.zeros_like(own))
    assert np.all(np.isfinite(out))


@every
def test_pull_back_agrees_with_a_difference_quotient(activation, rng):
    layer, step = Layer(activation, rng), 1e-6
    by_z, by_own = layer.pull_back(layer.phi)
    for column in range(layer.width):
        shift = step * np.eye(layer.width)[column]
        ahead, behind = (layer.forward(layer.z + sign * shift)[1] for sign in (1, -1))
        numerical = (layer.phi * (ahead - behind)).sum(axis=1) / (2 * step)
        np.testing.assert_allclose(by_z[:, column], numerical, rtol=1e-8, atol=1e-9)
    for unit in range(len(layer.own)):
        shift = step * np.eye(len(layer.own))[unit]
        ahead, behind = (layer.forward(own=layer.own + sign * shift)[1] for sign in (1, -1))
        numerical = (layer.phi * (ahead - behind)).sum() / (2 * step)
        np.testing.assert_allclose(by_own[unit], numerical, rtol=1e-8, atol=1e-9)


@every
def test_pull_back_is_linear_in_delta(activation, rng):
    layer = Layer(activation, rng)
    u, v = rng.normal(size=(2, N_ROWS, N_UNITS))
    for together, of_u, of_v in zip(*map(layer.pull_back, (2 * u - 3 * v, u, v)), strict=True):
        np.testing.assert_allclose(together, 2 * of_u - 3 * of_v, rtol=EXACT, atol=1e-14)


@every
def test_push_forward_is_the_transpose_of_pull_back(activation, rng):
    """φ · push_forward(β, v) = pull_back(φ) · (β, v)."""
    layer = Layer(activation, rng)
    by_z, by_own = layer.pull_back(layer.phi)
    alpha = layer.push_forward(layer.beta, layer.direction)
    pushed, pulled = np.vdot(layer.phi, alpha), np.vdot(by_z, layer.beta) + np.vdot(by_own, layer.direction)
    np.testing.assert_allclose(pushed, pulled, rtol=EXACT)
    row_by_row = (layer.phi * layer.push_forward(layer.beta)).sum(axis=1)
    np.testing.assert_allclose(row_by_row, (by_z * layer.beta).sum(axis=1), rtol=EXACT, atol=1e-14)


@every
def test_no_direction_is_a_direction_of_zeros(activation, rng):
    layer = Layer(activation, rng)
    nothing = np.zeros_like(layer.own)
    np.testing.assert_array_equal(layer.push_forward(layer.beta), layer.push_forward(layer.beta, nothing))
    for without, zero in zip(
        layer.curvature(layer.phi, layer.beta), layer.curvature(layer.phi, layer.beta, nothing), strict=True
    ):
        np.testing.assert_array_equal(without, zero)


@every
def test_one_tangent_for_all_rows_is_that_tangent_on_every_row(activation, rng):
    layer = Layer(activation, rng)
    one, repeated = layer.beta[:1], np.repeat(layer.beta[:1], N_ROWS, axis=0)
    np.testing.assert_array_equal(layer.push_forward(one), layer.push_forward(repeated))
    for found, expected in zip(layer.curvature(layer.phi, one), layer.curvature(layer.phi, repeated), strict=True):
        np.testing.assert_array_equal(found, expected)


@every
@pytest.mark.parametrize("with_direction", [False, True])
def test_second_push_forward_agrees_with_differences_of_push_forward(activation, with_direction, rng):
    """The derivative of push_forward(β) along (ζ, v) is ∂²a/∂z² · β · ζ, and what the direction adds."""
    layer, step = Layer(activation, rng), 1e-6
    zeta = rng.normal(size=layer.z.shape)
    direction = layer.direction if with_direction else None
    z, a = layer.forward()
    found = activation.second_push_forward(Units(z, a, layer.own), layer.beta, zeta, direction)
    numerical = 0.0
    for sign in (1, -1):
        own = layer.own + sign * step * (layer.direction if with_direction else 0)
        z, a = layer.forward(layer.z + sign * step * zeta, own)
        numerical += sign * activation.push_forward(Units(z, a, own), layer.beta, None) / (2 * step)
    np.testing.assert_allclose(found, numerical, rtol=1e-7, atol=1e-8)


@every
def test_third_order_agrees_with_differences_of_curvature(activation, rng):
    layer, step = Layer(activation, rng), 1e-6
    zeta = rng.normal(size=layer.z.shape)
    z, a = layer.forward()
    found = activation.third_order(Units(z, a, layer.own), layer.phi, layer.beta, zeta)
    numerical = 0.0
    for sign in (1, -1):
        z, a = layer.forward(layer.z + sign * step * zeta)
        unused = np.zeros_like(layer.own)
        bent = activation.curvature(Units(z, a, layer.own), layer.phi, layer.beta, None, unused)
        numerical = numerical + sign * bent / (2 * step)
    np.testing.assert_allclose(found, numerical, rtol=1e-7, atol=1e-8)


@every
@pytest.mark.parametrize("with_direction", [False, True])
def test_curvature_agrees_with_differences_of_pull_back(activation, with_direction, rng):
    """∂/∂z of the derivative of φ · f along (β, v) is the derivative of pull_back(φ) along (β, v)."""
    layer, step = Layer(activation, rng), 1e-6
    direction = layer.direction if with_direction else None
    along = layer.direction if with_direction else np.zeros_like(layer.own)
    found = layer.curvature(layer.phi, layer.beta, direction)
    ahead, behind = (
        layer.pull_back(layer.phi, layer.z + sign * step * layer.beta, layer.own + sign * step * along)
        for sign in (1, -1)
    )
    for exact, plus, minus in zip(found, ahead, behind, strict=True):
        np.testing.assert_allclose(exact, (plus - minus) / (2 * step), rtol=1e-7, atol=1e-8)


@every
def test_derivatives_by_the_parameters_are_added_to_what_is_there(activation, rng):
    layer = Layer(activation, rng)
    z, a = layer.forward()
    expected = 1 + layer.curvature(layer.phi, layer.beta)[1] + layer.pull_back(layer.phi)[1]
    gradient, delta = np.ones_like(layer.own), layer.phi.copy()
    activation.curvature(Units(z, a, layer.own), layer.phi, layer.beta, None, gradient)
    activation.pull_back(Units(z, a, layer.own), delta, delta if activation.in_place else np.empty_like(z), gradient)
    np.testing.assert_allclose(gradient, expected, rtol=EXACT)


@elementwise
def test_the_fast_product_is_that_with_the_derivative(activation, rng):
    layer = Layer(activation, rng)
    _, a = layer.forward()
    expected, delta = layer.phi * activation.derivative(a), layer.phi.copy()
    activation.multiply_by_derivative(a, delta)
    np.testing.assert_allclose(delta, expected, rtol=EXACT, atol=1e-15)


@every
def test_outputs_lie_within_the_bounds(activation, rng):
    layer = Layer(activation, rng)
    _, a = layer.forward(100 * rng.normal(size=(50, layer.width)))
    assert a.shape == (50, N_UNITS)
    assert a.min() >= activation.bounds[0]
    assert a.max() <= activation.bounds[1]


@pytest.mark.parametrize("activation", [f for f in ALL if f.monotonic], ids=str)
def test_an_activation_that_is_monotonic_grows_with_its_own_pre_activation(activation, rng):
    layer = Layer(activation, rng)
    before = layer.forward()[1]
    for unit in range(N_UNITS):
        after = layer.forward(layer.z + 0.5 * np.eye(N_UNITS)[unit])[1]
        assert np.all(after[:, unit] >= before[:, unit])
        assert np.any(after[:, unit] > before[:, unit])


@every
def test_work_is_done_in_the_given_precision(activation, rng):
    layer = Layer(activation, rng)
    for name in ("z", "own", "phi", "beta", "direction"):
        setattr(layer, name, getattr(layer, name).astype(np.float32))
    results = [
        layer.forward()[1],
        *layer.pull_back(layer.phi),
        layer.push_forward(layer.beta, layer.direction),
        *layer.curvature(layer.phi, layer.beta, layer.direction),
    ]
    assert {result.dtype for result in results} == {np.dtype(np.float32)}


@pytest.mark.parametrize("n_pieces", [2, 3, 5])
def test_equal_pieces_of_maxout_give_the_derivative_once_and_to_the_first(n_pieces, rng):
    activation, own = Maxout(n_pieces), np.empty(0)
    z, a = np.zeros((6, n_pieces * 4)), np.empty((6, 4))
    activation.forward(Units(z, a, own))
    np.testing.assert_array_equal(a, 0)
    phi, beta = rng.normal(size=a.shape), rng.normal(size=z.shape)
    np.testing.assert_array_equal(activation.push_forward(Units(z, a, own), beta, None), beta[:, :4])
    out = np.full_like(z, np.nan)
    activation.pull_back(Units(z, a, own), phi.copy(), out, own)
    np.testing.assert_array_equal(out[:, :4], phi)
    np.testing.assert_array_equal(out[:, 4:], 0)


def test_pieces_of_maxout_that_are_equal_but_not_the_first_share_nothing():
    """Unit 0 has the pieces 1, 2, 2 and unit 1 has 5, 0, 5."""
    activation, own = Maxout(3), np.empty(0)
    z, a, out = np.array([[1.0, 5.0, 2.0, 0.0, 2.0, 5.0]]), np.empty((1, 2)), np.empty((1, 6))
    activation.forward(Units(z, a, own))
    np.testing.assert_array_equal(a, [[2, 5]])
    beta = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]])
    np.testing.assert_array_equal(activation.push_forward(Units(z, a, own), beta, None), [[3, 2]])
    activation.pull_back(Units(z, a, own), np.array([[7.0, 8.0]]), out, own)
    np.testing.assert_array_equal(out, [[0, 8, 7, 0, 0, 0]])


@pytest.mark.parametrize("slope", [0.0, -0.5, 0.25, 2.0])
def test_slopes_are_learned_also_where_they_are_zero_or_negative(slope):
    """By hand, for z = −2, 3 and δ = 5, 7: a = −2s, 3; ∂/∂z = 5s, 7; ∂/∂s = 5 · (−2), 0."""
    activation, own = ParametricReLU(slope), np.full(2, slope)
    z, a = np.array([[-2.0, 3.0]]), np.empty((1, 2))
    activation.forward(Units(z, a, own))
    np.testing.assert_allclose(a, [[-2 * slope, 3]], rtol=EXACT)
    out, gradient = np.empty((1, 2)), np.zeros(2)
    activation.pull_back(Units(z, a, own), np.array([[5.0, 7.0]]), out, gradient)
    np.testing.assert_allclose(out, [[5 * slope, 7]], rtol=EXACT)
    np.testing.assert_array_equal(gradient, [-10, 0])


@pytest.mark.parametrize(
    ("activation", "slope"), [(ReLU(), 0.0), (LeakyReLU(0.1), 0.1), (ParametricReLU(0.3), 0.3)], ids=str
)
def test_the_derivative_at_a_kink_is_that_of_its_left(activation, slope):
    z = np.zeros((1, 1))
    a = z if activation.in_place else np.zeros((1, 1))
    own = activation.initial_parameters(1)
    activation.forward(Units(z, a, own))
    np.testing.assert_array_equal(activation.push_forward(Units(z, a, own), np.ones((1, 1)), None), [[slope]])


def test_a_slope_for_every_unit_and_pre_activations_for_every_piece():
    assert ParametricReLU().n_parameters(5) == 5
    np.testing.assert_array_equal(ParametricReLU(0.1).initial_parameters(3), [0.1, 0.1, 0.1])
    assert Maxout(3).width(5) == 15
    for activation in ALL:
        assert activation.initial_parameters(4).shape == (activation.n_parameters(4),)
        assert activation.twice_differentiable
        assert activation.thrice_differentiable


class Cubic(ElementwiseActivation):
    """z³, without a second derivative."""

    name = "cubic"
    bounds = (-np.inf, np.inf)

    def apply(self, z):
        z **= 3

    def derivative(self, a):
        return 3 * np.cbrt(a) ** 2


def test_an_activation_of_ones_own_needs_two_methods(rng):
    layer = Layer(Cubic(), rng)
    np.testing.assert_allclose(layer.pull_back(layer.phi)[0], 3 * layer.z**2 * layer.phi, rtol=EXACT)
    np.testing.assert_allclose(layer.push_forward(layer.beta), 3 * layer.z**2 * layer.beta, rtol=EXACT)
    assert not Cubic().twice_differentiable
    assert not Cubic().thrice_differentiable
    with pytest.raises(NotImplementedError, match="Cubic has no second derivative"):
        layer.curvature(layer.phi, layer.beta)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LeakyReLU(1.0), r"slope of a leaky ReLU must lie in \[0, 1\); got 1.0"),
        (lambda: LeakyReLU(-0.1), r"slope of a leaky ReLU must lie in \[0, 1\); got -0.1"),
        (lambda: LeakyReLU(np.nan), r"slope of a leaky ReLU must lie in \[0, 1\); got nan"),
        (lambda: ParametricReLU(np.inf), "initial_slope must be finite; got inf"),
        (lambda: Maxout(1), "n_pieces of maxout must be an integer, at least 2; got 1"),
        (lambda: Maxout(2.5), "n_pieces of maxout must be an integer, at least 2; got 2.5"),
        (lambda: as_activation("rleu"), r"activation must be one of \['identity', .*'tanh'\].*got 'rleu'"),
        (lambda: as_activation(3), "or an Activation; got 3"),
    ],
)
def test_what_is_no_activation_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_name_or_an_object_is_accepted():
    sigmoid = Sigmoid()
    assert as_activation(sigmoid) is sigmoid
    for name, cls in ACTIVATIONS.items():
        assert isinstance(as_activation(name), Activation)
        assert as_activation(name) == cls()
        assert cls.name == name


def test_a_subclass_with_a_function_of_its_own_is_not_passed_by():
    class Steep(Sigmoid):
        def apply(self, z):
            z *= 3
            super().apply(z)

    z = np.array([[0.5, -1.0]])
    bias = np.array([0.25, 0.0])
    expected = 1 / (1 + np.exp(-3 * (z + bias)))
    Steep().forward_with_bias(Units(z, z, np.empty(0)), bias)
    np.testing.assert_allclose(z, expected, rtol=1e-14)


def test_a_saturated_sigmoid_with_a_bias_is_silent():
    z = np.array([[-800.0, 800.0]])
    Sigmoid().forward_with_bias(Units(z, z, np.empty(0)), np.array([-100.0, 100.0]))
    np.testing.assert_array_equal(z, [[0.0, 1.0]])
