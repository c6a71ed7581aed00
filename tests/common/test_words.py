import copy
import pickle
import warnings

import pytest

from rhohat.common.words import Sentence, Setting, counted, joined, message_of

HEADER, TOL = Setting("header", False), Setting("tol")
SENTENCE = Sentence("If it is a row, pass ", HEADER, "; raise ", TOL, ".")


def as_option(setting):
    """Return a setting written in another way than Python's."""
    return f"<{setting.name}:{setting.value}>"


@pytest.mark.parametrize(
    ("number", "expected"), [(0, "0 features"), (1, "1 feature"), (2, "2 features"), (12345, "12,345 features")]
)
def test_one_is_in_the_singular_and_all_others_in_the_plural(number, expected):
    assert counted(number, "feature") == expected


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (Setting("max_iter"), "max_iter"),
        (Setting("header", False), "header=False"),
        (Setting("image_axis", 0), "image_axis=0"),
        (Setting("separator", ";"), "separator=';'"),
        (Setting("thousands", "'"), 'thousands="\'"'),
        (Setting("drop", 0, "drop=[0]"), "drop=[0]"),
    ],
)
def test_a_setting_reads_as_python_writes_it(setting, expected):
    assert str(setting) == expected
    assert Sentence("Pass ", setting, ".") == f"Pass {expected}."


def test_a_sentence_is_a_text_whose_settings_may_be_written_otherwise():
    assert isinstance(SENTENCE, str)
    assert SENTENCE == "If it is a row, pass header=False; raise tol."
    assert SENTENCE.written(as_option) == "If it is a row, pass <header:False>; raise <tol:None>."
    assert Sentence("a", "b").written(as_option) == "ab"
    assert Sentence() == "" == Sentence().written(as_option)


def test_a_sentence_within_a_sentence_keeps_its_settings():
    nested = Sentence("No rows. ", Sentence(Sentence(HEADER), " or ", Sentence(TOL)), " ", SENTENCE)
    assert nested.parts == ("No rows. ", HEADER, " or ", TOL, " ", *SENTENCE.parts)
    assert nested == f"No rows. header=False or tol {SENTENCE}"
    assert nested.written(as_option) == f"No rows. <header:False> or <tol:None> {SENTENCE.written(as_option)}"


def test_within_an_f_string_a_sentence_is_plain_text():
    assert type(f"{SENTENCE}") is str
    assert type(SENTENCE + "") is str
    assert Sentence(f"{SENTENCE}").parts == (str(SENTENCE),)


def pickled(protocol):
    """Return a function that gives what becomes of an object that is pickled and unpickled."""
    return lambda found: pickle.loads(pickle.dumps(found, protocol))  # noqa: S301 - our own bytes


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, *map(pickled, range(pickle.HIGHEST_PROTOCOL + 1))])
def test_copies_keep_the_settings(copied):
    """Also as messages of errors, which come from workers of a cluster as pickles."""
    for found in (copied(SENTENCE), message_of(copied(ValueError(SENTENCE)))):
        assert type(found) is Sentence
        assert (found, found.parts) == (SENTENCE, SENTENCE.parts)


def test_sentences_are_joined_with_their_settings():
    found = joined([Sentence(HEADER), "a text", Sentence(TOL)], ", ")
    assert found == "header=False, a text, tol"
    assert found.written(as_option) == "<header:False>, a text, <tol:None>"
    assert joined([SENTENCE], ", ").parts == SENTENCE.parts
    assert joined([], ", ") == ""


def test_the_message_of_an_error_or_a_warning_is_the_sentence_that_it_was_raised_with():
    for error in (ValueError(SENTENCE), UserWarning(SENTENCE)):
        assert message_of(error) is SENTENCE
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.warn(SENTENCE, stacklevel=1)
    assert message_of(caught[0].message) is SENTENCE


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a text"),
        ValueError(),
        ValueError(SENTENCE, 1),
        KeyError(SENTENCE),
        FileNotFoundError(2, "none", "a"),
    ],
)
def test_the_message_of_any_other_error_is_its_text(error):
    """The text of a KeyError is not the message that it was raised with, but that message in quotes."""
    found = message_of(error)
    assert type(found) is str
    assert found == str(error)
