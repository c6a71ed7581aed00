import numpy as np
import pytest

from rhohat.common.arrays import empty_aligned


@pytest.mark.parametrize("shape", [(3,), (7, 5), (0, 4)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scratch_starts_on_a_cache_line(shape, dtype):
    for _ in range(5):
        array = empty_aligned(shape, dtype)
        assert array.shape == shape
        assert array.dtype == dtype
        assert array.size == 0 or array.ctypes.data % 64 == 0
        assert array.flags.c_contiguous
