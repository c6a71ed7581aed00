"""Methods that only some objects have say why others do not."""

import inspect
import pickle

import pytest

from rhohat import SparseAutoencoder
from rhohat.estimators.availability import available_where


def is_even(one):
    if one.number % 2 == 0:
        return True
    raise AttributeError(f"halve is for even numbers; got {one.number}.")


class Number:
    def __init__(self, number):
        self.number = number

    @available_where(is_even)
    def halve(self, times: int = 1) -> float:
        """Return half of it."""
        return self.number / 2**times


def test_the_reason_is_what_the_error_says():
    assert Number(4).halve(times=2) == 1
    assert not hasattr(Number(3), "halve")
    with pytest.raises(AttributeError, match=r"^halve is for even numbers; got 3\.$") as caught:
        _ = Number(3).halve
    assert caught.value.__cause__ is None


def test_of_the_class_it_is_a_function_with_its_signature_and_words():
    assert inspect.isfunction(Number.halve)
    assert Number.halve.__doc__ == "Return half of it."
    assert list(inspect.signature(Number.halve).parameters) == ["self", "times"]
    assert Number.halve(Number(6)) == 3


def test_an_estimator_with_such_a_method_can_be_copied():
    model = SparseAutoencoder(solver="adam")
    assert pickle.loads(pickle.dumps(model)).solver == "adam"  # noqa: S301 - our own bytes
    assert callable(model.partial_fit)
