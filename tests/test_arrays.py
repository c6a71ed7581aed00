import numpy as np
import pytest

from rhohat.activations import ACTIVATIONS, as_activation
from rhohat.arrays import array_namespace, empty_aligned
from rhohat.losses import SquaredError
from rhohat.network import Network


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
    network = Network((6, 4, 6), (as_activation(name),) * 2)
    theta, X = network.initial_theta(rng), rng.random((9, 6))
    results = []
    for convert in (np.asarray, torch.from_numpy):
        xp = array_namespace(convert(X))
        a = [convert(X.copy()), xp.zeros((9, 4), dtype=xp.float64), xp.zeros((9, 6), dtype=xp.float64)]
        delta = [xp.zeros_like(a[1]), xp.zeros_like(a[2])]
        parameters, gradient = network.unpack(convert(theta)), network.unpack(convert(np.zeros_like(theta)))
        network.forward(parameters, a)
        loss = SquaredError().value_and_derivative(a[-1], a[0], out=delta[-1])
        ones, added = xp.ones((1, 9), dtype=xp.float64), [xp.ones(4, dtype=xp.float64), None]
        network.backward(parameters, a, delta, ones, added, gradient)
        results.append([loss, *(np.asarray(part) for part in (*gradient.weights, *gradient.biases))])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
