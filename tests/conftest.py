import os
import signal
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import settings

mpl.use("Agg")

# Triton decides when it is imported whether its kernels run on the CPU. With 0 they run on a GPU, if there is one.
os.environ.setdefault("TRITON_INTERPRET", "1")

# No test depends on how fast the machine is.
settings.register_profile("rhohat", deadline=None)
settings.load_profile("rhohat")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what runs in the background so; but tests interrupt fits, here and in processes that they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    from matplotlib import pyplot

    pyplot.close("all")


@pytest.fixture
def rng():
    return np.random.default_rng(20240229)


@pytest.fixture(scope="session")
def data_dir():
    """The folder of real data; tests that need it skip, with the reason, where there is none."""
    folder = os.environ.get("RHOHAT_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs the real data files: set RHOHAT_DATA to their folder")
    return Path(folder)


def relative_difference(a, b):
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))
