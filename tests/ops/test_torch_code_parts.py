"""Codes of a part of the latents: what parts decode to adds up to the whole, and so do derivatives."""

import itertools

import numpy as np
import pytest
import torch

from rhohat.ops.code_ops import CodeOps, Codes
from rhohat.ops.torch_code_ops import TorchCodeOps
from tests.ops.test_code_ops import some_codes
from tests.ops.test_torch_code_ops import DTYPES, assert_near, draw, poisoned, tensors

N_ROWS, N_LATENTS, N_OUTPUTS = 11, 23, 7
#: Where each part of the latents begins, and where the last one ends; the last part but one has a single latent.
PARTS = (0, 9, 22, 23)
PREFIXES = {"one": (23,), "several": (2, 9, 15, 23), "all within a part": (9, 10, 11, 23)}


def part_of(codes, first, last):
    """Entries of some latents, which are counted from the first of them."""
    some = codes.where((codes.latents >= first) & (codes.latents < last))
    return some._replace(latents=some.latents - np.int32(first))


@pytest.mark.parametrize("kernels", [False, True])
@pytest.mark.parametrize("prefixes", PREFIXES.values(), ids=PREFIXES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_parts_add_up_to_residuals_and_derivatives(dtype, prefixes, kernels):
    codes, _ = some_codes(N_ROWS, N_LATENTS, dtype)
    W, bias, targets = draw(2, (N_LATENTS, N_OUTPUTS), N_OUTPUTS, (N_ROWS, N_OUTPUTS), dtype=dtype)
    ends, shape = np.array(prefixes), (len(prefixes), N_ROWS, N_OUTPUTS)
    out, errors, derivatives = np.empty(shape, dtype), np.empty(N_ROWS), np.empty(len(codes.values), dtype)
    CodeOps().residuals(codes, slice(0, N_ROWS), W, bias, targets, ends, 0.25, out, errors, derivatives)

    ops, total, parts = TorchCodeOps(kernels=kernels), torch.zeros(shape, dtype=poisoned((), dtype).dtype), []
    for first, last in itertools.pairwise(PARTS):
        own = Codes(*tensors(*part_of(codes, first, last)))
        own = own._replace(starts=own.starts.long())
        (own_ends,) = tensors(np.clip(ends, first, last) - first)
        (decoder,) = tensors(W[first:last])
        made = poisoned(shape, dtype)
        ops.reconstruct(own, decoder, own_ends, made)
        total += made
        parts.append((own, decoder, own_ends, first))
    found_errors = poisoned(N_ROWS, np.float64)
    ops.complete(total, *tensors(bias, targets), 0.25, found_errors)
    assert_near(total, out, dtype)
    assert_near(found_errors, errors, dtype)
    for own, decoder, own_ends, first in parts:
        found = poisoned(len(own.values), dtype)
        ops.differentiate(own, decoder, own_ends, total, found)
        of_part = (codes.latents >= first) & (codes.latents < first + len(decoder))
        assert_near(found, derivatives[of_part], dtype)


@pytest.mark.parametrize("k", [1, 3, 6])
def test_the_largest_entries_of_each_row_are_kept_and_the_first_of_equal_ones(k):
    """Whole numbers, so that many are equal; those of NumPy have no zeros in them."""
    values = np.random.default_rng(0).integers(0, 4, (9, 6)).astype(np.float64)
    latents = np.sort(np.random.default_rng(1).permuted(np.tile(np.arange(20), (9, 1)), axis=1)[:, :6], axis=1)
    codes = Codes(6 * np.arange(10), latents.ravel().astype(np.int32), values.ravel())
    expected = [sorted(range(6), key=lambda place, row=row: (-row[place], place))[:k] for row in values]
    for found in (CodeOps().largest_of_each(codes, k), TorchCodeOps().largest_of_each(Codes(*tensors(*codes)), k)):
        found = Codes(*(np.asarray(array) for array in found))
        np.testing.assert_array_equal(found.starts, k * np.arange(10))
        for row, places in enumerate(expected):
            there = found.of_rows(slice(row, row + 1))
            np.testing.assert_array_equal(there.latents, latents[row, sorted(places)])
            np.testing.assert_array_equal(there.values, values[row, sorted(places)])
