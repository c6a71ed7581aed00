"""Dead latents, which have not been active for many rows, and the auxiliary loss that brings them back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.common.blocks import Engine
from rhohat.dictionaries.parameters import Parameters
from rhohat.ops import ops_of
from rhohat.ops.code_ops import CodeOps

__all__ = ["AuxiliaryLoss", "Dead", "Revival", "default_dead_after"]

_ROWS = 256  # rows whose pre-activations of dead latents are held at a time
_MOST_PARTS, _BYTES_OF_SUMS = 8, 2**26  # most parts of a batch that are summed apart, and the memory for their sums

#: Rows without being active after which a latent is dead by default: this part of a training, between these numbers.
_PART_OF_TRAINING, _FEWEST, _MOST = 10, 1000, 200_000


def default_dead_after(n_rows: int | None) -> int:
    """Return the number of rows without being active after which a latent is dead, if a user does not say.

    It is a tenth of all rows that a training sees, but at least 1,000 and at most 200,000.

    Parameters
    ----------
    n_rows : int or None
        Number of rows in all passes of a training together; None if it is not known.

    Examples
    --------
    >>> default_dead_after(10_000_000), default_dead_after(400_000), default_dead_after(50), default_dead_after(None)
    (200000, 40000, 1000, 200000)
    """
    return _MOST if n_rows is None else min(_MOST, max(_FEWEST, n_rows // _PART_OF_TRAINING))


@dataclass(frozen=True)
class Dead:
    """The dead latents of a dictionary; of one whose latents several devices hold, those that are here.

    Attributes
    ----------
    latents : array of shape (n_here,)
        Their numbers, in ascending order.
    ops : CodeOps
    """

    latents: NDArray[np.intp]
    ops: CodeOps

    def __len__(self) -> int:
        """Return the number of all dead latents, wherever they are."""
        return len(self.latents)

    @property
    def most(self) -> int:
        """Largest number of dead latents that are in one place."""
        return len(self.latents)

    def largest_of_rows(self, a: FloatArray, k: int) -> Any:
        """Return which numbers of those here are among the k largest of their row; of equal ones, the first are."""
        return self.ops.largest_of_rows(a, k)

    def whole(self, sums: FloatArray) -> FloatArray:
        """Return sums over all dead latents, given the sums over those that are here."""
        return sums


@dataclass(frozen=True)
class Revival:
    """Value and gradient of the auxiliary loss.

    Attributes
    ----------
    latents : array of shape (n_dead,)
        Numbers of the dead latents that are here, in ascending order.
    value : number
        The auxiliary loss with its weight, a mean over rows.
    encoder : array of shape (n_dead, n_features)
        Derivative by the encoder's weights of these latents.
    decoder : array of shape (n_dead, n_outputs)
        Derivative by the decoder's weights of these latents.
    bias : array of shape (n_dead,)
        Derivative by the encoder's biases of these latents.
    """

    latents: NDArray[np.intp]
    value: Any
    encoder: FloatArray
    decoder: FloatArray
    bias: FloatArray


@dataclass(frozen=True)
class AuxiliaryLoss:
    """The auxiliary loss AuxK: dead latents alone reconstruct what the others have left over.

    In each row, the k pre-activations that are largest among the dead latents decode to ē, without a bias. The loss is
    α min(1, n_dead / k) ½‖ē − (x − x̂)‖², a mean over rows, where x − x̂ is held fixed. There is no ReLU, so that
    gradients reach the encoder of a latent whose pre-activations are all negative.

    Attributes
    ----------
    weight : float
        Weight α.
    k : int
        Number of dead latents that are used in a row.

    References
    ----------
    Gao, L. et al. (2024). Scaling and evaluating sparse autoencoders. arXiv 2406.04093, section 2.4.
    """

    weight: float
    k: int

    def evaluate(
        self,
        dead: Dead,
        X: FloatArray,
        residual: FloatArray,
        scale: float,
        parameters: Parameters,
        engine: Engine,
        ops: CodeOps,
    ) -> Revival:
        """Return the value and the gradient over a batch.

        Parameters
        ----------
        dead : Dead
            The dead latents, at least one.
        X : array of shape (n_rows, n_features)
            The encoder's input x̃.
        residual : array of shape (n_rows, n_outputs)
            A multiple of x̂ − x.
        scale : float
            What the residual has to be multiplied with.
        parameters : Parameters
        engine : Engine
        ops : CodeOps
        """
        k, latents, xp = min(self.k, len(dead)), dead.latents, ops_of(X).xp
        encoder, decoder, bias = (
            array[latents] for array in (parameters.encoder, parameters.decoder, parameters.encoder_bias)
        )
        weight = float(ops_of(X).dtype_of(X).type(self.weight * min(1.0, len(dead) / self.k) / len(X)))
        at_once = ops.rows_at_once(_ROWS, dead.most)
        n_bytes = dead.most * (encoder.shape[1] + decoder.shape[1]) * encoder.itemsize
        edges = _edges(len(X), n_bytes, at_once)
        sums = [_Sums(*(xp.zeros_like(array) for array in (encoder, decoder, bias))) for _ in edges[1:]]

        def add(part: slice, _: int) -> None:
            for start in range(edges[part.start], edges[part.stop], at_once):
                rows = slice(start, min(start + at_once, edges[part.stop]))
                codes = X[rows] @ encoder.T + bias
                chosen = dead.largest_of_rows(codes, k)
                codes *= chosen
                difference = dead.whole(codes @ decoder)
                difference += float(scale) * residual[rows]
                squares = xp.einsum("ij,ij->", difference, difference)
                sums[part.start].value += 0.5 * weight * ops.number(squares)
                difference *= weight
                through = difference @ decoder.T
                through *= chosen
                sums[part.start].encoder += through.T @ X[rows]
                sums[part.start].decoder += codes.T @ difference
                sums[part.start].bias += through.sum(0)

        engine.for_each(add, [slice(number, number + 1) for number in range(len(sums))])
        total = sums[0]
        for others in sums[1:]:
            total.add(others)
        return Revival(latents, total.value, total.encoder, total.decoder, total.bias)


@dataclass
class _Sums:
    """Sums over the rows of a part of a batch."""

    encoder: FloatArray
    decoder: FloatArray
    bias: FloatArray
    value: Any = 0.0

    def add(self, others: _Sums) -> None:
        """Add the sums over another part."""
        self.encoder += others.encoder
        self.decoder += others.decoder
        self.bias += others.bias
        self.value += others.value


def _edges(n_rows: int, n_bytes: int, at_once: int) -> list[int]:
    """Return where the parts of a batch begin that are summed apart; by shapes alone, so that threads change no bit.

    Parameters
    ----------
    n_rows : int
    n_bytes : int
        Bytes of the sums over a part.
    at_once : int
        Fewest rows of a part.
    """
    n_parts = max(1, min(_MOST_PARTS, _BYTES_OF_SUMS // n_bytes, n_rows // at_once))
    return [part * n_rows // n_parts for part in range(n_parts + 1)]
