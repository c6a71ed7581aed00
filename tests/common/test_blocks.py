from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rhohat.common.blocks import row_blocks

sizes = st.lists(st.integers(1, 2000), min_size=2, max_size=5)


def blocks_of_dense_layers(n_rows, layer_sizes, itemsize):
    multiply_adds = sum(fan_in * fan_out for fan_in, fan_out in pairwise(layer_sizes))
    return row_blocks(n_rows, layer_sizes, multiply_adds, itemsize)


@given(st.integers(1, 50_000), sizes, st.sampled_from([4, 8]))
def test_blocks_cover_every_row_once_in_order(n_rows, layer_sizes, itemsize):
    blocks = blocks_of_dense_layers(n_rows, layer_sizes, itemsize)
    rows = np.concatenate([np.arange(n_rows)[block] for block in blocks])
    np.testing.assert_array_equal(rows, np.arange(n_rows))
    lengths = [block.stop - block.start for block in blocks]
    assert max(lengths) - min(lengths) <= 64
    assert min(lengths) >= 1
    assert all(length % 32 == 0 for length in lengths[:-1])


@given(st.integers(1, 50_000), sizes, st.sampled_from([4, 8]))
def test_more_than_two_blocks_share_the_work_evenly_among_four_threads(n_rows, layer_sizes, itemsize):
    n_blocks = len(blocks_of_dense_layers(n_rows, layer_sizes, itemsize))
    assert n_blocks <= 2 or n_blocks % 4 == 0


@given(st.integers(1, 50_000), sizes)
def test_no_block_is_larger_than_the_largest_and_wide_layers_make_them_smaller(n_rows, layer_sizes):
    lengths = [block.stop - block.start for block in blocks_of_dense_layers(n_rows, layer_sizes, 8)]
    assert max(lengths) <= 4096 + 32
    wider = blocks_of_dense_layers(n_rows, [10 * size for size in layer_sizes], 8)
    assert len(wider) >= len(lengths)


@pytest.mark.parametrize(("n_rows", "n_blocks"), [(1, 1), (1535, 1), (1536, 2), (3072, 4), (16384, 4), (16385, 8)])
def test_narrow_rows_are_cut_into_blocks_of_4096_at_most(n_rows, n_blocks):
    assert len(row_blocks(n_rows, (8, 5, 8), 80, 8)) == n_blocks


@given(st.integers(1, 2000), st.integers(1, 10**7))
def test_few_rows_with_much_work_are_cut_into_blocks_none_of_which_is_empty(n_rows, multiply_adds):
    blocks = row_blocks(n_rows, (200, 30_000, 1), multiply_adds, 4, fewest=32)
    assert all(block.start < block.stop for block in blocks)
    assert [block.start for block in blocks[1:]] == [block.stop for block in blocks[:-1]]
    assert (blocks[0].start, blocks[-1].stop) == (0, n_rows)


def test_rows_with_much_work_are_cut_into_more_blocks_than_their_sizes_say():
    assert len(row_blocks(400, (8, 5, 8), 80, 8)) == 1
    assert len(row_blocks(400, (8, 5, 8), 10**6, 8)) == 4
