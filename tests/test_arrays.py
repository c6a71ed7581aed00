import numpy as np
import pytest

from rhohat.activations import ACTIVATIONS, as_activation
from rhohat.arrays import array_namespace, empty_aligned
from rhohat.losses import LOSSES, LabelNoiseCrossEntropy, SquaredError
from rhohat.network import dense_network
from rhohat.tangents import TangentPass


@pytest.mark.parametrize("shape", [(3,), (7, 5), (0, 4)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scratch_starts_on_a_cache_line(shape, dtype):
    for _ in range(5):
        array = empty_aligned(shape, dtype)
        assert array.shape == shape
        assert array.dtype == dtype
        assert array.size == 0 or array.ctypes.data % 64 == 0
        assert array.flags.c_contiguous


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_the_mathematics_runs_on_tensors_of_pytorch(name, rng):
    """The same code computes on both, so that an engine for GPUs needs no second copy of it."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    assert array_namespace(torch.zeros(1)) is torch
    network = dense_network((6, 4, 6), (as_activation(name),) * 2)
    theta, X = network.initial_theta(rng), rng.random((9, 6))
    vector, tangent, phi = rng.normal(size=theta.size), rng.random((1, 6)), rng.random((9, 6))
    numpy_results, torch_results = (
        compute(network, convert, theta, X, vector, tangent, phi) for convert in (np.array, torch.tensor)
    )
    assert all(torch.is_tensor(result) for result in torch_results)
    for ours, theirs in zip(numpy_results, torch_results, strict=True):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("loss", [*(make() for make in LOSSES.values()), LabelNoiseCrossEntropy(0.0)], ids=str)
def test_losses_run_on_tensors_of_pytorch(loss, rng):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    outputs, y, tangent = rng.normal(size=(9, 6)), rng.dirichlet(np.ones(6), 9), rng.normal(size=(9, 6))
    results = []
    for convert in (np.array, torch.tensor):
        given, derivative = [convert(array) for array in (outputs, y, tangent)], convert(np.zeros_like(outputs))
        values = loss.value_and_derivative(*given[:2], derivative)
        results.append([np.asarray(part) for part in (values, derivative, loss.second_derivative(*given))])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-14)


def compute(network, convert, theta, X, vector, tangent, phi):
    """All that `Network` computes, on the arrays that `convert` makes."""
    xp = array_namespace(convert(X))
    parameters, direction = network.unpack(convert(theta)), network.unpack(convert(vector))
    layers, delta = (network.allocate(9, lambda shape: xp.zeros(shape, dtype=xp.float64)) for _ in range(2))
    layers.a[0] = convert(X)
    network.forward(parameters, layers)
    results = [part + 0.0 for group in layers for part in group[1:]]
    values = SquaredError().value_and_derivative(layers.a[-1], layers.a[0], out=delta.a[-1])
    tangent_pass = TangentPass(network, parameters, layers, direction)
    pushed = tangent_pass.push_forward(convert(tangent))
    flat = convert(np.zeros_like(theta))
    added_z = [None, None]
    tangent_pass.pull_back(pushed, convert(phi), network.unpack(flat), added_z)
    ones, added = xp.ones((1, 9), dtype=xp.float64), [xp.ones(4, dtype=xp.float64), None]
    product = convert(np.zeros_like(theta))
    tangent_pass.backward(
        pushed,
        delta.a[-1] + 0.0,
        pushed.a[-1] + 0.0,
        ones,
        added,
        [None, None],
        network.unpack(product),
    )
    by_input = tangent_pass.pull_back_to_input(convert(phi))
    network.backward(parameters, layers, delta, ones, added, added_z, network.unpack(flat), accumulate=True)
    return [*results, values, *pushed.z, *pushed.a, by_input, flat, product]
