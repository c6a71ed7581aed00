"""Cells stand for numbers, truth values or nothing, in the notation that was said."""

import math

import pytest

from rhohat.data.tables.cells import TextFormat, is_plain_number


@pytest.mark.parametrize("text", ["0", "7", "-1", "+1", "10", "0.5", "-.5", "1.", "1.5e-05", "1e+30"])
def test_a_plain_number_is_one(text):
    assert is_plain_number(text)


@pytest.mark.parametrize(
    "text", ["", "007", "1E3", "0E8", "E10", "1e3", "1e5", "nan", "inf", "1_000", "0x10", "1 2", "."]
)
def test_a_code_is_no_plain_number(text):
    assert not is_plain_number(text)


@pytest.mark.parametrize(
    ("said", "cell", "number"),
    [
        ({}, " 1.5 ", 1.5),
        ({}, "True", 1.0),
        ({}, "false", 0.0),
        ({}, "1,5", None),
        ({"decimal": ","}, "1,5", 1.5),
        ({"decimal": ","}, "1.5", None),
        ({"thousands": ","}, "1,234.5", 1234.5),
        ({"decimal": ",", "thousands": "."}, "1.234,5", 1234.5),
        ({"thousands": " "}, "1 234", 1234.0),
        ({}, "2020-01-01", None),
    ],
)
def test_numbers_are_read_in_their_notation(said, cell, number):
    assert TextFormat(**said).number(cell) == number


@pytest.mark.parametrize("cell", ["", "NA", "NaN", "nan", "N/A", "?", "null", "None", "#N/A", "-"])
def test_what_is_missing_is_not_a_number(cell):
    assert math.isnan(TextFormat().number(cell))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"separator": ";;"}, "separator must be a single character"),
        ({"decimal": "5"}, "decimal must be a single character"),
        ({"thousands": "."}, "must differ from one another"),
        ({"separator": ",", "decimal": ","}, "must differ from one another"),
        ({"encoding": "klingon"}, "encoding must be the name of an encoding that Python knows"),
        ({"header": "yes"}, "header must be True, False or None"),
    ],
)
def test_a_notation_that_cannot_be_is_refused(said, message):
    with pytest.raises(ValueError, match=message):
        TextFormat(**said)
