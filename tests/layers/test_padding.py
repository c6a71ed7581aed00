"""Which steps of rows are padding."""

import numpy as np
import pytest
import torch

from rhohat.layers.padding import missing_steps, without_padding

ROWS = np.array([[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [1.0, np.nan, 3.0, 4.0, np.nan, np.nan]])


@pytest.mark.parametrize("of", [np.asarray, torch.tensor])
def test_a_step_is_missing_if_its_first_number_is(of):
    found = missing_steps(of(ROWS), 3)
    np.testing.assert_array_equal(np.asarray(found), [[False, False, False], [False, False, True]])
    found = missing_steps(of(ROWS), 6)
    np.testing.assert_array_equal(np.asarray(found), np.isnan(ROWS))


@pytest.mark.parametrize("of", [np.asarray, torch.tensor])
def test_rows_without_padding_have_no_missing_steps_and_are_themselves(of):
    rows = of(ROWS[:1])
    assert missing_steps(rows, 3) is None
    assert without_padding(rows) is rows


@pytest.mark.parametrize("of", [np.asarray, torch.tensor])
def test_zeros_replace_padding_in_a_copy(of):
    rows = of(ROWS)
    np.testing.assert_array_equal(np.asarray(without_padding(rows)), np.nan_to_num(ROWS))
    np.testing.assert_array_equal(np.asarray(rows), ROWS)
    assert without_padding(of(ROWS.astype(np.float32))).dtype == of(ROWS.astype(np.float32)).dtype
