import numpy as np
import pytest

from rhohat.randomness import keyed_generator, seed_from


def test_streams_differ_by_every_part_of_their_key():
    keys = [(0, "a", 0, 0), (1, "a", 0, 0), (0, "b", 0, 0), (0, "a", 1, 0), (0, "a", 0, 1)]
    draws = {keyed_generator(*key).random() for key in keys}
    assert len(draws) == len(keys)


def test_a_stream_is_determined_by_its_key():
    a, b = (keyed_generator(3, "weights", 1, 2).normal(size=5) for _ in range(2))
    np.testing.assert_array_equal(a, b)


def test_global_state_is_neither_read_nor_changed():
    np.random.seed(0)  # noqa: NPY002 - the global state is what this is about
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    assert seed_from(None) != seed_from(None)
    keyed_generator(seed_from(None), "weights").random()
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def test_generators_give_a_seed_and_advance():
    for make in (np.random.RandomState, np.random.default_rng):
        generator = make(0)
        first, second = seed_from(generator), seed_from(generator)
        assert first != second
        assert first == seed_from(make(0))


@pytest.mark.parametrize("bad", [-1, 0.5, "0"])
def test_other_seeds_are_refused(bad):
    with pytest.raises(ValueError, match="random_state must be an integer >= 0"):
        seed_from(bad)
