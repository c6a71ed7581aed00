"""Steps past the end of a sequence, all numbers of which are NaN.

Sequences of unequal length are padded at their end to rows of the same length. A step whose first number is NaN does
not exist: it has no influence on anything, and what a layer computes for each step is NaN there as well. Layers do not
check that missing steps come last; gradients are wrong if a step follows a missing one. Estimators refuse such rows.
"""

from __future__ import annotations

from rhohat.common.arrays import FloatArray
from rhohat.ops import ops_of

__all__ = ["missing_steps", "overflow_to_infinity", "without_padding", "write_zeros"]


def missing_steps(rows: FloatArray, n_steps: int) -> FloatArray | None:
    """Return which steps of each row are padding, of shape (n_rows, n_steps); None if none is.

    Parameters
    ----------
    rows : array of shape (n_rows, n_steps × n_channels)
    n_steps : int
    """
    missing: FloatArray = ops_of(rows).xp.isnan(rows.reshape(len(rows), n_steps, -1)[:, :, 0])
    return missing if bool(missing.any()) else None


def without_padding(rows: FloatArray) -> FloatArray:
    """Return rows with zeros in place of NaN; the rows themselves if they contain no NaN."""
    xp = ops_of(rows).xp
    missing = xp.isnan(rows)
    return xp.where(missing, xp.zeros_like(rows), rows) if bool(missing.any()) else rows


def overflow_to_infinity(rows: FloatArray, missing: FloatArray | None) -> None:
    """Write infinity in place of NaN at steps that exist, so that NaN always means a missing step.

    Numbers that overflow can become NaN, and a loss that took these steps for padding would leave them out.

    Parameters
    ----------
    rows : array of shape (n_rows, n_steps × n_channels)
        What a layer has computed.
    missing : array of shape (n_rows, n_steps), or None
        The steps that are missing in its inputs, as `missing_steps` returns them.
    """
    wrong = ops_of(rows).xp.isnan(rows)
    if missing is not None:
        wrong.reshape(*missing.shape, -1)[missing] = False
    if bool(wrong.any()):
        rows[wrong] = float("inf")


def write_zeros(rows: FloatArray, missing: FloatArray | None) -> None:
    """Write zeros into the missing steps of rows; `missing` is a result of `missing_steps`."""
    if missing is not None:
        rows.reshape(*missing.shape, -1)[missing] = 0
