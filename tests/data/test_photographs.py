import socket

import numpy as np
import pytest

from rhohat.data import photographs

SIZES = [(512, 512), (300, 451), (400, 600), (500, 741), (427, 640)]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*args, **kwargs):
        pytest.fail("the network was asked for")

    monkeypatch.setattr(socket, "socket", refuse)


@pytest.mark.parametrize(
    ("color", "shapes"), [(False, [*SIZES, (512, 512), (303, 384)]), (True, [(*size, 3) for size in SIZES])]
)
def test_photographs_are_at_hand_without_a_network(color, shapes):
    images = photographs(color=color)
    assert [image.shape for image in images] == shapes
    for image in images:
        assert image.dtype == np.float64
        assert image.min() >= 0
        assert image.max() <= 1
        assert image.std() > 0.05
