import pytest

from rhohat.common.words import counted


@pytest.mark.parametrize(
    ("number", "expected"), [(0, "0 features"), (1, "1 feature"), (2, "2 features"), (12345, "12,345 features")]
)
def test_one_is_in_the_singular_and_all_others_in_the_plural(number, expected):
    assert counted(number, "feature") == expected
