"""A training step of a dictionary: a batch encoded, decoded and differentiated, and its parameters updated.

Codes stay sparse throughout. No array of (rows, latents) is made, and the gradient exists for some latents at a time
only: it is computed, given to the optimiser, and forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray, empty_aligned
from rhohat.common.blocks import Engine
from rhohat.dictionaries.dead_latents import AuxiliaryLoss, Dead, Revival
from rhohat.dictionaries.parameters import Layout, Parameters
from rhohat.dictionaries.selections import PullBack, Selection, Sums
from rhohat.ops import ops_of
from rhohat.ops.code_ops import CodeOps, Codes, joined

__all__ = ["Back", "Evaluated", "Step", "Update"]

_ROWS = 128  # rows that a thread decodes at a time
_GRADIENT_BYTES = 2**18  # size of the gradient of some latents, which is in the cache until it has been used
_FLOORS = (1.0, 0.5, 0.25, 0.0)  # shares of a guessed floor that are tried, where a batch has less above it

#: Function that updates a part of θ by its gradient; the last argument is the index of the calling thread.
Update = Callable[[slice, FloatArray, int], None]


@dataclass(frozen=True)
class Evaluated:
    """What is known of a batch once it is encoded and decoded.

    Attributes
    ----------
    terms : dict of str to number
        The terms of J, which add up to it.
    codes : Codes
        The codes, some of which may be 0; where several devices hold some latents each, those of the latents here.
    squared_error : number
        Squared error of the whole dictionary, summed over features and rows.
    n_active : number
        How many of the codes of all latents are not 0.
    smallest_kept : number or None
        The smallest activation, for selections whose threshold is averaged.
    """

    terms: dict[str, Any]
    codes: Codes
    squared_error: Any
    n_active: Any
    smallest_kept: Any = None


@dataclass
class Step:
    """The training step of a dictionary.

    Attributes
    ----------
    selection : Selection
    layout : Layout
    center : bool
        Whether the decoder's bias is subtracted from the input of the encoder.
    decoder_norm : bool
        Whether the rows of the decoder have norm 1: their gradient is projected, and they are scaled after the update.
    auxiliary : AuxiliaryLoss or None
    engine : Engine
    ops : CodeOps
    """

    selection: Selection
    layout: Layout
    center: bool
    decoder_norm: bool
    auxiliary: AuxiliaryLoss | None
    engine: Engine
    ops: CodeOps
    _floor: Any = field(default=None, init=False)
    _rooms: dict[int, _Room] = field(default_factory=dict, init=False)
    _last: tuple[FloatArray, NDArray[np.float64]] | None = field(default=None, init=False)

    def __call__(
        self,
        theta: FloatArray,
        X: FloatArray,
        dead: NDArray[np.intp],
        weight: Any,
        update: Any,
        Y: FloatArray | None = None,
    ) -> Evaluated:
        """Evaluate a batch, and call `update` for every part of θ if J is finite.

        Parameters
        ----------
        theta : array of shape (n_parameters,)
            Changed in place by `update`, and then scaled where rows have to have norm 1.
        X : array of shape (n_rows, n_features)
            Input.
        dead : array of int
            Numbers of the dead latents, in ascending order.
        weight : number
            Weight λ of the selection's penalty.
        update : Update
        Y : array of shape (n_rows, n_outputs), default=None
            Output; None stands for the input.

        Returns
        -------
        Evaluated
            The value at θ as it was before.
        """
        parameters, room = self.layout.views(theta), self._room(X)
        inputs = room.inputs if self.center else X
        codes = self._encode(parameters, X, inputs)
        activations = self.selection.activations(codes, parameters)
        prefixes = self.selection.prefixes(self.layout.n_latents)
        if Y is None and self.center:  # x̂ − x = f W_dec − x̃
            targets, bias = inputs, ops_of(X).xp.zeros_like(parameters.decoder_bias)
        else:
            targets, bias = X if Y is None else Y, parameters.decoder_bias
        if parameters.skip is not None:
            targets = targets - inputs @ parameters.skip
        chosen = codes._replace(values=activations)
        derivatives = self._decode(chosen, parameters, targets, bias, prefixes, room.residuals, room.errors)
        self._last = inputs, room.errors
        terms = {"loss": self.ops.number(room.errors.mean())}
        of_gate, gate = None, self.selection.gate(codes)
        if gate is not None:
            whole = prefixes[-1:]
            of_gate = self._decode(
                codes._replace(values=gate), parameters, targets, bias, whole, room.other_residuals(), room.other_errors
            )
        sums = Sums(self.ops, chosen, self.ops.by_latent(chosen, self.layout.n_latents), self._whole)
        pulled = self.selection.pull_back(codes, activations, derivatives, parameters, weight, sums, of_gate)
        if not isinstance(weight, float) or weight > 0:  # a device has none that is 0
            terms["sparsity"] = pulled.penalty
        if gate is not None:
            terms["gate"] = self.ops.number(room.other_errors.mean())
        scale = float(len(X) * len(prefixes))
        revival = None
        if self.auxiliary is not None:
            terms["auxiliary"] = 0.0
            if len(dead):
                revival = self.auxiliary.evaluate(
                    self._dead(dead), inputs, room.residuals[-1], scale, parameters, self.engine, self.ops
                )
                terms["auxiliary"] = revival.value
        if self._is_to_learn(sum(terms.values())):
            back = Back(inputs, room.residuals, pulled, revival, sums)
            self._update(theta, parameters, back, update)
            self._floor = self.selection.next_floor(self.ops, self._of_all_latents(chosen))
        squared_error = 2 * len(X) * terms["loss"]
        if len(prefixes) > 1:
            squared_error = scale**2 * self.ops.sum_of_squares(room.residuals[-1])
        smallest_kept = self.selection.smallest_kept(self.ops, self._of_all_latents(chosen))
        return Evaluated(terms, chosen, squared_error, self._whole(self.ops.count(activations)), smallest_kept)

    def last_batch(self) -> tuple[FloatArray, NDArray[np.float64]]:
        """Return the encoder's input of the last batch, and half of the squared error of each row."""
        if self._last is None:
            raise ValueError("no batch has been evaluated yet.")
        return self._last

    def _encode(self, parameters: Parameters, X: FloatArray, inputs: FloatArray) -> Codes:
        """Return the chosen entries with their pre-activations, after subtracting the bias from the inputs."""
        if self.center:

            def center(rows: slice, _: int) -> None:
                ops_of(X).xp.subtract(X[rows], parameters.decoder_bias, out=inputs[rows])

            self.engine.for_each(center, self._parts_of_rows(len(X)))
        floor = self._floor
        if floor is None:
            floor = self._first_floor(inputs, parameters)
        parts = self._parts_to_encode(len(X))
        found: list[Codes] = [None] * len(parts)  # type: ignore[list-item]
        for share in _FLOORS:

            def find(part: slice, _: int, floor: Any = share and share * floor) -> None:
                found[part.start] = self.selection.find(self.ops, inputs[parts[part.start]], parameters, floor)

            self.engine.for_each(find, [slice(index, index + 1) for index in range(len(parts))])
            chosen = self.selection.choose(self.ops, self._together(joined(found), len(X)), share and share * floor)
            if chosen is not None:
                return self._of_latents_here(chosen)
        raise AssertionError("a selection must choose among all entries that there are")

    def _parts_to_encode(self, n_rows: int) -> list[slice]:
        """Return the rows of a batch that are encoded here, as the parts that threads encode at a time."""
        return self.ops.row_parts(n_rows, self.engine.n_workers)

    def _first_floor(self, inputs: FloatArray, parameters: Parameters) -> Any:
        """Return a guess for the first batch; see `Selection.first_floor`."""
        return self.selection.first_floor(self.ops, inputs, parameters)

    # What several devices override, of which each computes a part of the rows or of the latents.

    def _together(self, codes: Codes, n_rows: int) -> Codes:
        """Return what all devices have found for a batch of so many rows, given what was found here."""
        return codes

    def _of_latents_here(self, codes: Codes) -> Codes:
        """Return the codes of the latents that are here, given those that were chosen among all."""
        return codes

    def _of_all_latents(self, codes: Codes) -> Codes:
        """Return the chosen codes of all latents, given those of the latents that are here."""
        return codes

    def _whole(self, numbers: Any) -> Any:
        """Return sums over all latents, given the sums over those that are here."""
        return numbers

    def _dead(self, dead: Any) -> Dead:
        """Return the dead latents, given their numbers."""
        return Dead(dead, self.ops)

    def _decode(
        self,
        codes: Codes,
        parameters: Parameters,
        targets: FloatArray,
        bias: FloatArray,
        prefixes: NDArray[np.int64],
        residuals: FloatArray,
        errors: NDArray[np.float64],
    ) -> FloatArray:
        """Write residuals and errors of the rows, and return the derivatives by the codes."""
        derivatives: FloatArray = ops_of(codes.values).xp.empty_like(codes.values)
        ends = self._ends(prefixes)
        scale = 1 / codes.n_rows

        def decode(rows: slice, _: int) -> None:
            self.ops.residuals(
                codes, rows, parameters.decoder, bias, targets, ends, scale, residuals, errors, derivatives
            )

        self.engine.for_each(decode, self._parts_of_rows(codes.n_rows))
        return derivatives

    def _parts_of_rows(self, n_rows: int) -> list[slice]:
        """Return the rows that are centred or decoded at a time."""
        return [slice(start, min(start + _ROWS, n_rows)) for start in range(0, n_rows, _ROWS)]

    def _ends(self, prefixes: NDArray[np.int64]) -> Any:
        """Return the prefixes as an array of the library that computes."""
        return prefixes

    def _is_to_learn(self, J: Any) -> bool:
        """Return whether θ is to be updated by a batch with this value of J."""
        return bool(np.isfinite(J))

    def _update(
        self,
        theta: FloatArray,
        parameters: Parameters,
        back: Back,
        update: Any,
    ) -> None:
        """Compute the gradient of some latents at a time, and call `update` with it."""
        layout, pulled, revival, inputs = self.layout, back.pulled, back.revival, back.inputs
        codes, by_latent, residuals = back.sums.codes, back.sums.by_latent, back.residuals
        prefixes = self.selection.prefixes(layout.n_latents)
        through, bias = back.of_biases()
        parts = _parts_of_latents(prefixes, layout.n_features + layout.n_outputs, theta.itemsize)
        gradients = [self._gradients(parts, theta.dtype) for _ in range(self.engine.n_workers)]
        shifts = np.zeros((len(parts), layout.n_features), theta.dtype)

        def learn(numbers: slice, worker: int) -> None:
            latents = parts[numbers.start]
            n_there = latents.stop - latents.start
            of_encoder, of_decoder = (gradient[:n_there] for gradient in gradients[worker])
            encoder, decoder = parameters.encoder[latents], parameters.decoder[latents]
            prefix = int(np.searchsorted(prefixes, latents.start, side="right"))
            self.ops.gather(by_latent, latents, pulled.pre_activations, inputs, of_encoder)
            self.ops.gather(by_latent, latents, codes.values, residuals[prefix], of_decoder)
            if pulled.decoder_multiples is not None:
                of_decoder += pulled.decoder_multiples[latents, None].astype(theta.dtype) * decoder
            if revival is not None:
                first, last = np.searchsorted(revival.latents, (latents.start, latents.stop))
                there = revival.latents[first:last] - latents.start
                of_encoder[there] += revival.encoder[first:last]
                of_decoder[there] += revival.decoder[first:last]
            if self.center:
                np.matmul(through[latents].astype(theta.dtype), encoder, out=shifts[numbers.start])
            if self.decoder_norm:
                self.ops.project_off_rows(of_decoder, decoder)
            update(layout.encoder_rows(latents), of_encoder.ravel(), worker)
            update(layout.decoder_rows(latents), of_decoder.ravel(), worker)
            if self.decoder_norm:
                self.ops.normalise_rows(decoder)

        self.engine.for_each(learn, [slice(number, number + 1) for number in range(len(parts))])
        of_output: FloatArray = residuals[0].sum(0, dtype=np.float64)
        if self.center:
            of_output -= shifts.sum(0, dtype=np.float64)
        update(layout.encoder_bias, bias.astype(theta.dtype), 0)
        update(layout.decoder_bias, of_output.astype(theta.dtype), 0)
        if parameters.skip is not None:
            update(layout.skip, (inputs.T @ residuals[0]).ravel(), 0)
        for name, gradient in pulled.of_latents.items():
            update(layout.of_latents(name), gradient.astype(theta.dtype), 0)
        self.selection.constrain(parameters)

    def _gradients(self, parts: list[slice], dtype: np.dtype[np.floating]) -> tuple[FloatArray, FloatArray]:
        longest = max(part.stop - part.start for part in parts)
        return (
            empty_aligned((longest, self.layout.n_features), dtype),
            empty_aligned((longest, self.layout.n_outputs), dtype),
        )

    def _room(self, X: FloatArray) -> _Room:
        """Return memory for a batch with as many rows as X."""
        if len(X) not in self._rooms:
            n_prefixes = len(self.selection.prefixes(self.layout.n_latents))
            self._rooms[len(X)] = _Room(self.layout, n_prefixes, X)
        return self._rooms[len(X)]


@dataclass(frozen=True)
class Back:
    """What passes back to the parameters of a dictionary.

    Attributes
    ----------
    inputs : array of shape (n_rows, n_features)
        The encoder's input.
    residuals : array of shape (n_prefixes, n_rows, n_outputs)
        See `CodeOps.residuals`.
    pulled : PullBack
    revival : Revival or None
    sums : Sums
        With the codes of the batch.
    """

    inputs: FloatArray
    residuals: FloatArray
    pulled: PullBack
    revival: Revival | None
    sums: Sums

    def of_biases(self) -> tuple[FloatArray, FloatArray]:
        """Return the derivatives by the product of the mean input and the encoder, and by the encoder's bias."""
        pulled, revival = self.pulled, self.revival
        through = self.sums.of_latents(pulled.pre_activations)
        bias = ops_of(through).copy(through) if pulled.bias is None else pulled.bias
        if revival is not None:
            through[revival.latents] += revival.bias
            bias[revival.latents] += revival.bias
        return through, bias


class _Room:
    """Memory for a batch of a certain number of rows.

    Attributes
    ----------
    inputs : array of shape (n_rows, n_features)
        The encoder's input.
    residuals : array of shape (n_prefixes, n_rows, n_outputs)
        See `CodeOps.residuals`.
    errors, other_errors : arrays of shape (n_rows,)
        Errors of the rows; the others are those of a second reconstruction.
    """

    def __init__(self, layout: Layout, n_prefixes: int, X: FloatArray) -> None:
        ops, n_rows = ops_of(X), len(X)
        self.inputs: FloatArray = ops.empty((n_rows, layout.n_features), ops.dtype_of(X))
        self.residuals: FloatArray = ops.empty((n_prefixes, n_rows, layout.n_outputs), ops.dtype_of(X))
        self.errors: Any = ops.empty((n_rows,), np.float64)
        self.other_errors: Any = ops.empty((n_rows,), np.float64)
        self._other: FloatArray | None = None

    def other_residuals(self) -> FloatArray:
        """Return memory for the residuals of a second reconstruction, of shape (1, n_rows, n_outputs)."""
        if self._other is None:
            self._other = ops_of(self.residuals).xp.empty_like(self.residuals[:1])
            assert self._other is not None
        return self._other


def _parts_of_latents(prefixes: NDArray[np.int64], n_numbers: int, itemsize: int) -> list[slice]:
    """Return successive latents whose gradients are computed together, none of which crosses the end of a prefix.

    Parameters
    ----------
    prefixes : array of shape (n_prefixes,)
        Numbers of latents in the prefixes, rising.
    n_numbers : int
        Numbers in the gradient of a latent.
    itemsize : int
        Bytes of a number.
    """
    most = max(1, _GRADIENT_BYTES // (n_numbers * itemsize))
    parts, start = [], 0
    for end in prefixes.tolist():
        parts += [slice(first, min(first + most, end)) for first in range(start, end, most)]
        start = end
    return parts
