"""J of a proof case with convolution, pooling or recurrent layers by PyTorch's automatic differentiation, in float64.

Written from the formulas, apart from the package, which it checks: of a case it reads sizes, names, settings and
numbers, and computes everything anew with PyTorch's convolution and pooling. PyTorch has channels first, and rhohat has
them last. Recurrent layers go through each sequence by itself, cut to the steps that it has; what comes of it is padded
with NaN again.
"""

from contextlib import contextmanager
from math import prod

import torch
from torch.nn import functional

FUNCTIONS = {
    "identity": lambda f, z, own: z,
    "sigmoid": lambda f, z, own: torch.sigmoid(z),
    "tanh": lambda f, z, own: torch.tanh(z),
    "relu": lambda f, z, own: torch.where(z > 0, z, 0.0),
    "leaky_relu": lambda f, z, own: torch.where(z > 0, z, f.slope * z),
    "parametric_relu": lambda f, z, own: torch.where(z > 0, z, own * z),
    "maxout": lambda f, z, own: z.reshape(len(z), f.n_pieces, -1).amax(1),
    "softmax": lambda f, z, own: torch.softmax(z, 1),
}


def squared_error(loss, a, y):
    return 0.5 * ((a - y) ** 2).sum(1)


def binary_cross_entropy(loss, a, y):
    return -(y * torch.log(a) + (1 - y) * torch.log(1 - a)).sum(1)


def label_noise_cross_entropy(loss, a, y):
    p = (1 - loss.epsilon) * a + loss.epsilon * (1 - a)
    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).sum(1)


def softmax_cross_entropy(loss, a, y):
    return -(y * torch.log(a)).sum(1)


def gaussian(loss, a, y):
    return 0.5 * ((y - a) * torch.linalg.solve(torch.tensor(loss.covariance), (y - a).T).T).sum(1)


LOSSES = {
    function.__name__: function
    for function in (squared_error, binary_cross_entropy, label_noise_cross_entropy, softmax_cross_entropy, gaussian)
}


def activate(layer, z, own):
    """The activations of a layer; a function of each step sees the steps as rows."""
    function = layer.activation
    if type(function).__name__ == "PerStep":
        steps = z.reshape(len(z) * function.n_steps, -1)
        return FUNCTIONS[function.name](function.activation, steps, own).reshape(z.shape)
    return FUNCTIONS[function.name](function, z, own)


def losses(loss, a, y):
    """The loss of each row; the loss of steps is the sum over the steps that have an output and a target."""
    if type(loss).__name__ != "StepwiseLoss":
        return LOSSES[loss.name](loss, a, y)
    of_steps = a.reshape(len(a) * loss.n_steps, -1), y.reshape(len(y) * loss.n_steps, -1)
    exists = ~(torch.isnan(of_steps[0]) | torch.isnan(of_steps[1])).any(1)
    values = torch.zeros(len(exists), dtype=torch.float64)
    values[exists] = LOSSES[loss.name](loss.loss, *(one[exists] for one in of_steps))
    return values.reshape(len(a), -1).sum(1)


def zeros_around(windows):
    """How many zeros padding adds above, below, to the left and to the right of an image."""
    if windows.padding == "valid":
        return [(0, 0), (0, 0)]
    found = []
    for size, window, stride in zip(windows.size, windows.window, windows.stride, strict=True):
        n_places = -(-size // stride)
        total = max((n_places - 1) * stride + window - size, 0)
        found.append((total // 2, total - total // 2))
    return found


def places(windows):
    """How many places a window has along both axes."""
    padded = [size + sum(zeros) for size, zeros in zip(windows.size, zeros_around(windows), strict=True)]
    return [(n - k) // s + 1 for n, k, s in zip(padded, windows.window, windows.stride, strict=True)]


def images(rows, size, n_channels):
    """Flat rows with channels last as images with channels first."""
    return rows.reshape(len(rows), *size, n_channels).permute(0, 3, 1, 2)


def flat(pictures):
    return pictures.permute(0, 2, 3, 1).flatten(1)


def cut_to_image(full, windows):
    """What is left of the sums over windows without the zeros around; what no window reaches is 0."""
    (top, _), (left, _) = zeros_around(windows)
    height, width = windows.size
    missing = (0, max(left + width - full.shape[3], 0), 0, max(top + height - full.shape[2], 0))
    return functional.pad(full, missing)[:, :, top : top + height, left : left + width]


def dense(layer, given, W, b):
    return given @ W + b


def dense_width(layer):
    """How many pre-activations a dense layer has: maxout has several for each unit."""
    return layer.n_outputs * (layer.activation.n_pieces if layer.activation.name == "maxout" else 1)


def convolution(layer, given, W, b):
    (top, bottom), (left, right) = zeros_around(layer.windows)
    padded = functional.pad(images(given, layer.windows.size, layer.n_channels), (left, right, top, bottom))
    return flat(functional.conv2d(padded, W.permute(3, 2, 0, 1).contiguous(), b, layer.windows.stride))


def transposed_convolution(layer, given, W, b):
    """The weights are (filters, channels, columns, rows): those of a convolution with all axes in reverse."""
    places_ = images(given, places(layer.windows), layer.n_filters)
    full = functional.conv_transpose2d(places_, W.permute(0, 1, 3, 2).contiguous(), None, layer.windows.stride)
    return flat(cut_to_image(full, layer.windows) + b[:, None, None])


def max_pooling(layer, given, W, b):
    pictures = images(given, layer.windows.size, layer.n_channels)
    return flat(functional.max_pool2d(pictures, layer.windows.window, layer.windows.stride))


def mean_pooling(layer, given, W, b):
    pictures = images(given, layer.windows.size, layer.n_channels)
    return flat(functional.avg_pool2d(pictures, layer.windows.window, layer.windows.stride))


def upsampling(layer, given, W, b):
    pictures = images(given, places(layer.windows), layer.n_channels)
    ones = torch.ones(layer.n_channels, 1, *layer.windows.window, dtype=torch.float64)
    full = functional.conv_transpose2d(pictures, ones, None, layer.windows.stride, groups=layer.n_channels)
    return flat(cut_to_image(full, layer.windows))


def stepwise_dense(layer, given, W, b):
    """A dense layer at each step that exists."""
    steps = given.reshape(-1, layer.n_channels)
    exists = ~torch.isnan(steps).any(1)
    z = torch.full((len(steps), layer.n_units), torch.nan, dtype=torch.float64)
    z[exists] = steps[exists] @ W + b
    return z.reshape(len(given), -1)


def simple_cell(layer, W, U, b, own, x, state):
    """h_t = f(x_t W + h_{t−1} U + b)."""
    return (FUNCTIONS[layer.activation.name](layer.activation, x @ W + state[0] @ U + b, None),)


def lstm_cell(layer, W, U, b, own, x, state):
    """Columns are those of the gates i, f and o, then of g; peepholes those of i, f and o."""
    h, c = state
    z_i, z_f, z_o, z_g = (x @ W + h @ U + b).chunk(4, 1)
    p_i, p_f, p_o = own.reshape(3, -1) if len(own) else torch.zeros(3, 1, dtype=torch.float64)
    i, f = torch.sigmoid(z_i + p_i * c), torch.sigmoid(z_f + p_f * c)
    c = f * c + i * torch.tanh(z_g)
    return torch.sigmoid(z_o + p_o * c) * torch.tanh(c), c


def gru_cell(layer, W, U, b, own, x, state):
    """The columns of W are those of n, u and r, those of U are u, r and n, and b has another one for h U_n."""
    (h,) = state
    (W_n, W_u, W_r), (U_u, U_r, U_n), (b_n, b_u, b_r, b_h) = W.chunk(3, 1), U.chunk(3, 1), b.chunk(4)
    u, r = torch.sigmoid(x @ W_u + h @ U_u + b_u), torch.sigmoid(x @ W_r + h @ U_r + b_r)
    n = torch.tanh(x @ W_n + b_n + r * (h @ U_n + b_h))
    return ((1 - u) * n + u * h,)


#: How each kind of recurrent layer computes one step; its groups of columns and of biases, and its arrays of state.
CELLS = {
    "SimpleRecurrentLayer": (simple_cell, 1, 1, 1),
    "LSTMLayer": (lstm_cell, 4, 4, 2),
    "GRULayer": (gru_cell, 3, 4, 1),
}


def through_time(layer, W, b, own, x):
    """The units after each step of one sequence x, of shape (n_steps, n_channels), and after the last one."""
    cell, _, _, n_state = CELLS[kind(layer)]
    state, found = (torch.zeros(1, layer.n_units, dtype=torch.float64),) * n_state, []
    for t in range(len(x)):
        if layer.truncate is not None and t % layer.truncate == 0:
            state = tuple(one.detach() for one in state)
        state = cell(layer, W[: layer.n_channels], W[layer.n_channels :], b, own, x[t : t + 1], state)
        found.append(state[0])
    return torch.cat([x.new_zeros(0, layer.n_units), *found]), state[0][0]


def recurrent(layer, given, W, b, own):
    """The outputs of a recurrent layer for each sequence, cut to its steps; the second direction starts at its end."""
    n_directions = 2 if layer.bidirectional else 1
    of_directions = list(
        zip(W.chunk(n_directions, 1), b.chunk(n_directions), own.reshape(n_directions, -1), strict=True)
    )
    rows = []
    for row in given.reshape(len(given), layer.n_steps, layer.n_channels):
        x = row[~torch.isnan(row).any(1)]
        found = [through_time(layer, *of_directions[0], x)]
        if layer.bidirectional:
            of_steps, last = through_time(layer, *of_directions[1], x.flip(0))
            found.append((of_steps.flip(0), last))
        if layer.return_sequences:
            padding = torch.full((layer.n_steps - len(x), n_directions * layer.n_units), torch.nan, dtype=torch.float64)
            rows.append(torch.cat([torch.cat([of_steps for of_steps, _ in found], 1), padding]).flatten())
        else:
            rows.append(torch.cat([last for _, last in found]))
    return torch.stack(rows)


def shapes_of_recurrent(layer):
    n_directions, (_, n_columns, n_biases, _) = 2 if layer.bidirectional else 1, CELLS[kind(layer)]
    return (
        (layer.n_channels + layer.n_units, n_directions * n_columns * layer.n_units),
        (n_directions * n_biases * layer.n_units,),
    )


#: How each kind of layer computes its pre-activations, and the shapes of its weights and of its biases.
MAPS = {
    "DenseLayer": (dense, lambda one: ((one.n_inputs, dense_width(one)), (dense_width(one),))),
    "ConvolutionLayer": (
        convolution,
        lambda one: ((*one.windows.window, one.n_channels, one.n_filters), (one.n_filters,)),
    ),
    "TransposedConvolutionLayer": (
        transposed_convolution,
        lambda one: ((one.n_filters, one.n_channels, *one.windows.window[::-1]), (one.n_channels,)),
    ),
    "MaxPoolingLayer": (max_pooling, None),
    "MeanPoolingLayer": (mean_pooling, None),
    "UpsamplingLayer": (upsampling, None),
    "StepwiseDenseLayer": (stepwise_dense, lambda one: ((one.n_channels, one.n_units), (one.n_units,))),
    **dict.fromkeys(CELLS, (None, shapes_of_recurrent)),
}


def kind(layer):
    return type(layer).__name__


def shapes(layer):
    """Shapes of the weights and biases; None for a layer without any."""
    of_layer = MAPS[kind(layer)][1]
    return None if of_layer is None else of_layer(layer)


def n_own(layer):
    """How many parameters a layer has beside weights and biases: slopes, or peepholes."""
    if kind(layer) == "LSTMLayer":
        return (2 if layer.bidirectional else 1) * 3 * layer.n_units if layer.peepholes else 0
    return layer.n_outputs if layer.activation.name == "parametric_relu" else 0


def unpack(network, theta):
    """θ is the weights of the layers that have their own, in C order, all biases, the layers' further parameters."""
    n_free = len(network.layers) // 2 if network.tied else len(network.layers)
    start = 0

    def take(shape):
        nonlocal start
        start += prod(shape)
        return theta[start - prod(shape) : start].reshape(shape)

    found = [shapes(layer) for layer in network.layers]
    weights = [one and take(one[0]) for one in found[:n_free]]
    if network.tied:
        weights += [None if W is None else W.permute(*range(W.ndim)[::-1]) for W in weights[::-1]]
    biases = [one and take(one[1]) for one in found]
    own = [take((n_own(one),)) for one in network.layers]
    assert start == len(theta)
    return weights, biases, own


def activations_of_layers(case, theta, X):
    """The input and the activations of every layer after it."""
    a = [X]
    for layer, W, b, own in zip(case.problem.network.layers, *unpack(case.problem.network, theta), strict=True):
        if kind(layer) in CELLS:
            a.append(recurrent(layer, a[-1], W, b, own))
        else:
            a.append(activate(layer, MAPS[kind(layer)][0](layer, a[-1], W, b), own))
    return a


def input_jacobian(case, theta, layer):
    """∂a/∂x of a layer, of shape (n_units, n_rows, n_features); a row of activations depends on its own input alone."""
    X = torch.tensor(case.problem.X, requires_grad=True)
    a = activations_of_layers(case, theta, X)[layer]
    return torch.stack([torch.autograd.grad(unit.sum(), X, create_graph=True)[0] for unit in a.T])


def channel_means(layer, share, a):
    """ρ̂: the mean of each unit of a dense layer, and of each channel of another one, over rows and places.

    Steps that do not exist are no places: a row counts as often as it has steps.
    """
    if getattr(layer, "return_sequences", kind(layer) == "StepwiseDenseLayer"):
        steps = a.reshape(len(a), layer.n_steps, -1)
        exists = ~torch.isnan(steps)
        weights = share[:, None, None] * exists
        return (weights * torch.where(exists, steps, 0.0)).sum((0, 1)) / weights.sum((0, 1))
    n_channels = {"ConvolutionLayer": "n_filters", "TransposedConvolutionLayer": "n_channels"}.get(kind(layer))
    of_rows = share @ a
    return of_rows if n_channels is None else of_rows.reshape(-1, getattr(layer, n_channels)).mean(0)


def cost(case, theta):
    """J(θ)."""
    problem, network = case.problem, case.problem.network
    m, n_layers = len(problem.X), len(network.layers)
    of_rows = (
        torch.ones(m, dtype=torch.float64) if problem.sample_weight is None else torch.tensor(problem.sample_weight)
    )
    share = of_rows / of_rows.sum()
    weights, biases = ([one for one in found if one is not None] for found in unpack(network, theta)[:2])
    a = activations_of_layers(case, theta, torch.tensor(problem.X))
    J = (share * losses(problem.loss, a[-1], torch.tensor(problem.y))).sum()
    with_weights = [h for h in range(n_layers - 1) if shapes(network.layers[h]) is not None]
    for penalty in problem.penalties:
        hidden = with_weights if getattr(penalty, "layers", None) is None else penalty.layers
        if penalty.name == "weight_decay":
            decayed = weights + biases if penalty.include_biases else weights
            J = J + penalty.weight / 2 * sum((W**2).sum() for W in decayed)
        elif penalty.name == "l1_sparsity":
            J = J + penalty.weight * sum((share * a[h + 1].abs().nansum(1)).sum() for h in hidden)
        elif penalty.name == "kl_sparsity":
            rho = penalty.sparsity
            for h in hidden:
                is_tanh = network.layers[h].activation.name == "tanh"
                rho_hat = channel_means(network.layers[h], share, (1 + a[h + 1]) / 2 if is_tanh else a[h + 1])
                KL = rho * torch.log(rho / rho_hat) + (1 - rho) * torch.log((1 - rho) / (1 - rho_hat))
                J = J + penalty.weight * KL.sum()
        elif penalty.name == "contraction":
            code = max(n_layers // 2, 1) if penalty.layer is None else penalty.layer + 1
            J = J + penalty.weight * (share * (input_jacobian(case, theta, code) ** 2).sum((0, 2))).sum()
        elif penalty.name == "tangent_propagation":
            tangents = torch.tensor(problem.tangents)
            along = torch.einsum("kmi,mti->mtk", input_jacobian(case, theta, n_layers), tangents)
            J = J + penalty.weight / 2 * (share * (along**2).sum((1, 2))).sum()
        else:
            raise NotImplementedError(penalty.name)
    return J


@contextmanager
def one_thread():
    """Several threads would wait for one another longer than they compute."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@one_thread()
def value_and_gradient(case, theta):
    """J(θ) and ∇J(θ)."""
    theta = torch.tensor(theta, requires_grad=True)
    J = cost(case, theta)
    return J.item(), torch.autograd.grad(J, theta)[0].numpy()


@one_thread()
def hessian_vector_product(case, theta, vector):
    """∇²J(θ) v, as the gradient of ∇J · v."""
    theta = torch.tensor(theta, requires_grad=True)
    (gradient,) = torch.autograd.grad(cost(case, theta), theta, create_graph=True)
    return torch.autograd.grad(gradient @ torch.tensor(vector), theta)[0].numpy()
