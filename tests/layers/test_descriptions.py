"""What descriptions of layers share: the base class, and the check of counts."""

import re

import numpy as np
import pytest

from rhohat.layers.descriptions import LayerDescription, check_counts


def test_integers_of_at_least_one_are_counts():
    check_counts("Layer")
    check_counts("Layer", n_units=1, n_channels=np.int64(3), n_steps=10**9)


@pytest.mark.parametrize("count", [0, -1, 1.0, np.float64(2), True, False, np.True_, "1", None, (1,)], ids=repr)
def test_other_numbers_are_refused_by_name(count):
    message = f"n_units of Layer must be an integer of at least 1; got {count!r}."
    for others in ({}, {"n_channels": 2}):
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            check_counts("Layer", **others, n_units=count)


def test_the_first_number_that_is_no_count_is_named():
    with pytest.raises(ValueError, match=r"^second of Layer .* got 0\.$"):
        check_counts("Layer", first=1, second=0, third=-1)


def test_a_description_says_which_layers_it_becomes_and_its_mirror():
    class OnlyBuilds(LayerDescription):
        def build(self, shape, activation):
            return [], shape

    class OnlyMirrors(LayerDescription):
        def mirror(self, shape):
            return self

    for kind in (LayerDescription, OnlyBuilds, OnlyMirrors):
        with pytest.raises(TypeError, match="abstract"):
            kind()
    assert LayerDescription.takes_padding is False
