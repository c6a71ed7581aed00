"""exp, ln, tanh and their like are exact to three units in the last place, over the whole range."""

import numpy as np
import pytest

pytest.importorskip("numba", reason="the extra 'fast' is not installed")

from numba import njit

from rhohat.ops.compiled import elementary
from rhohat.ops.compiled_ops import COMPILED

MOST_ULP = 3

#: Largest number whose exponential is neither too large nor, with the other sign, too small for a normal number.
RANGES = {np.float64: 708.0, np.float32: 87.0}
dtypes = pytest.mark.parametrize("dtype", RANGES)


def numbers(dtype):
    """Numbers in the whole range, near 1, near 0, and where parts of the formulas change."""
    rng, most = np.random.default_rng(0), RANGES[dtype]
    halves = np.arange(-most, most, np.log(2) / 2)
    return np.concatenate(
        [rng.uniform(-most, most, 200_000), rng.normal(size=200_000), 1e-6 * rng.normal(size=20_000), halves]
    ).astype(dtype)


def assert_exact(found, exact):
    """`exact` are numbers of a longer type."""
    spacing = np.spacing(np.abs(exact.astype(found.dtype))).astype(np.longdouble)
    assert float((np.abs(found.astype(np.longdouble) - exact) / spacing).max()) <= MOST_ULP


def of_each(function, x):
    """Return a compiled function of each number."""

    @njit
    def loop(x, out):
        for i in range(x.size):
            out[i] = function(x[i])

    out = np.empty_like(x)
    loop(x, out)
    return out


@dtypes
def test_exp_and_ln_are_exact(dtype):
    bits = "64" if dtype == np.float64 else "32"
    x = numbers(dtype)
    assert_exact(of_each(getattr(elementary, f"_exp_{bits}"), x), np.exp(x.astype(np.longdouble)))
    positive = np.concatenate([np.exp(x), np.abs(1 + x[200_000:400_000] / 10) + dtype(1e-3)])
    assert_exact(of_each(getattr(elementary, f"_log_{bits}"), positive), np.log(positive.astype(np.longdouble)))


@dtypes
def test_sigmoid_tanh_and_softplus_are_exact(dtype):
    z = numbers(dtype)[None]
    wide, out = z.astype(np.longdouble), np.empty_like(z)
    COMPILED.sigmoid(z, out)
    assert_exact(out, 1 / (1 + np.exp(-wide)))
    COMPILED.tanh(z, out)
    assert_exact(out, np.tanh(wide))
    assert_exact(COMPILED.softplus_tail(z), np.log1p(np.exp(-np.abs(wide))))


@dtypes
def test_compiled_loops_are_made_of_instructions_for_vectors(dtype):
    """No number is computed by itself, and no function is called for it, on a processor with AVX."""
    from rhohat.ops.compiled.tiles import LANES

    if LANES < 4:
        pytest.skip("this processor has no AVX")
    sigmoid = elementary._sigmoid_64 if dtype == np.float64 else elementary._sigmoid_32

    @njit(fastmath={"contract", "nsz"}, error_model="numpy")
    def loop(x, out):
        for i in range(x.size):
            out[i] = sigmoid(x[i])

    loop(np.zeros(8, dtype), np.zeros(8, dtype))
    code = loop.inspect_asm(loop.signatures[0])
    assert "vdivpd" in code or "vdivps" in code
    assert "vfmadd" in code
    assert not any("exp" in line for line in code.splitlines() if "call" in line)
