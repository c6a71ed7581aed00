"""J of a proof case by automatic differentiation: every formula as a textbook has it, and no derivative by hand.

Written from the formulas, apart from the package, which it checks: of a case it reads sizes, names, settings and
numbers, and computes everything anew in `autograd.numpy` (autograd 1.9.1). Jacobians of the network by its input are
true ones, by reverse differentiation.
"""

from itertools import pairwise

import autograd.numpy as np
from autograd import grad

FUNCTIONS = {
    "identity": lambda f, z, own: z,
    "sigmoid": lambda f, z, own: 1 / (1 + np.exp(-z)),
    "tanh": lambda f, z, own: np.tanh(z),
    "relu": lambda f, z, own: np.where(z > 0, z, 0.0),
    "leaky_relu": lambda f, z, own: np.where(z > 0, z, f.slope * z),
    "parametric_relu": lambda f, z, own: np.where(z > 0, z, own * z),
    "maxout": lambda f, z, own: np.max(np.reshape(z, (len(z), f.n_pieces, -1)), axis=1),
    "softmax": lambda f, z, own: np.exp(z) / np.sum(np.exp(z), axis=1, keepdims=True),
}


def squared_error(loss, a, y):
    return 0.5 * np.sum((a - y) ** 2, axis=1)


def binary_cross_entropy(loss, a, y):
    return -np.sum(y * np.log(a) + (1 - y) * np.log(1 - a), axis=1)


def label_noise_cross_entropy(loss, a, y):
    p = (1 - loss.epsilon) * a + loss.epsilon * (1 - a)
    return -np.sum(y * np.log(p) + (1 - y) * np.log(1 - p), axis=1)


def softmax_cross_entropy(loss, a, y):
    return -np.sum(y * np.log(a), axis=1)


def gaussian(loss, a, y):
    return 0.5 * np.sum((y - a) * np.linalg.solve(loss.covariance, (y - a).T).T, axis=1)


LOSSES = {
    function.__name__: function
    for function in (squared_error, binary_cross_entropy, label_noise_cross_entropy, softmax_cross_entropy, gaussian)
}


def unpack(network, theta):
    """θ is the weights of the layers that have their own, in C order, all biases, the activations' parameters."""
    sizes, activations = network.layer_sizes, network.activations
    pieces = [f.n_pieces if f.name == "maxout" else 1 for f in activations]
    start, parts = 0, []
    n_free = len(activations) // 2 if network.tied else len(activations)
    shapes = [(fan_in, k * fan_out) for (fan_in, fan_out), k in zip(pairwise(sizes), pieces, strict=True)]
    shapes = shapes[:n_free] + [(fan_out,) for _, fan_out in shapes]
    shapes += [(size if f.name == "parametric_relu" else 0,) for f, size in zip(activations, sizes[1:], strict=True)]
    for shape in shapes:
        n = int(np.prod(shape))
        parts.append(np.reshape(theta[start : start + n], shape))
        start += n
    assert start == len(theta)
    weights = parts[:n_free]
    if network.tied:
        weights = weights + [W.T for W in weights[::-1]]
    rest = parts[n_free:]
    return weights, rest[: len(activations)], rest[len(activations) :]


def layers(case, theta, X):
    """The input and the activations of every layer after it."""
    a = [X]
    for f, W, b, own in zip(case.problem.network.activations, *unpack(case.problem.network, theta), strict=True):
        a.append(FUNCTIONS[f.name](f, np.dot(a[-1], W) + b, own))
    return a


def input_jacobian(case, theta, layer):
    """∂a/∂x of a layer, of shape (n_units, n_rows, n_features); a row of activations depends on its own input alone."""
    n_units = case.problem.network.layer_sizes[layer]
    by_input = [grad(lambda X, j=j: np.sum(layers(case, theta, X)[layer][:, j])) for j in range(n_units)]
    return np.stack([gradient(case.problem.X) for gradient in by_input])


def cost(case, theta):
    """J(θ)."""
    m, n_layers = len(case.problem.X), len(case.problem.network.activations)
    share = (
        np.ones(m) / m
        if case.problem.sample_weight is None
        else case.problem.sample_weight / np.sum(case.problem.sample_weight)
    )
    weights, biases, _ = unpack(case.problem.network, theta)
    a = layers(case, theta, case.problem.X)
    J = np.sum(share * LOSSES[case.problem.loss.name](case.problem.loss, a[-1], case.problem.y))
    for penalty in case.problem.penalties:
        hidden = range(n_layers - 1) if getattr(penalty, "layers", None) is None else penalty.layers
        if penalty.name == "weight_decay":
            decayed = weights + biases if penalty.include_biases else weights
            J = J + penalty.weight / 2 * sum(np.sum(W**2) for W in decayed)
        elif penalty.name == "l1_sparsity":
            J = J + penalty.weight * sum(np.sum(share * np.sum(np.abs(a[h + 1]), axis=1)) for h in hidden)
        elif penalty.name == "kl_sparsity":
            rho = penalty.sparsity
            for h in hidden:
                is_tanh = case.problem.network.activations[h].name == "tanh"
                rho_hat = np.dot(share, (1 + a[h + 1]) / 2 if is_tanh else a[h + 1])
                KL = rho * np.log(rho / rho_hat) + (1 - rho) * np.log((1 - rho) / (1 - rho_hat))
                J = J + penalty.weight * np.sum(KL)
        elif penalty.name == "contraction":
            code = max(n_layers // 2, 1) if penalty.layer is None else penalty.layer + 1
            jacobian = input_jacobian(case, theta, code)
            J = J + penalty.weight * np.sum(share * np.sum(jacobian**2, axis=(0, 2)))
        elif penalty.name == "tangent_propagation":
            along = np.einsum("kmi,mti->mtk", input_jacobian(case, theta, n_layers), case.problem.tangents)
            J = J + penalty.weight / 2 * np.sum(share * np.sum(along**2, axis=(1, 2)))
        else:
            raise NotImplementedError(penalty.name)
    return J


def gradient(case, theta):
    """∇J(θ)."""
    return grad(lambda t: cost(case, t))(theta)


def value_and_gradient(case, theta):
    """J(θ) and ∇J(θ)."""
    return cost(case, theta), gradient(case, theta)


def hessian_vector_product(case, theta, vector):
    """∇²J(θ) v, as the gradient of ∇J · v."""
    return grad(lambda t: np.dot(gradient(case, t), vector))(theta)
