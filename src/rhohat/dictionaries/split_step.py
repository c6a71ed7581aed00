"""A training step of a dictionary on a device that holds some of its latents; other devices hold the others.

Every device encodes all rows by its own latents, and decodes their entries. The sum of the reconstructions, and so the
residual, is the same everywhere; from it each device learns its own latents.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from numpy.typing import NDArray

from rhohat.dictionaries.device_step import DeviceStep
from rhohat.dictionaries.device_update import DeviceUpdate
from rhohat.dictionaries.parameters import Parameters
from rhohat.dictionaries.split_latents import DeadOfAll
from rhohat.dictionaries.step import Back
from rhohat.ops.code_ops import Codes
from rhohat.ops.torch_code_ops import TorchCodeOps

__all__ = ["SplitStep"]

Tensor = Any


@dataclass
class SplitStep(DeviceStep):
    """The training step of the latents that this process holds; `selection`, `layout` and θ are theirs alone.

    What belongs to no latent, such as the decoder's bias, every process holds and updates alike.

    Attributes
    ----------
    ops : TorchCodeOps
    split : SplitLatents
    """

    ops: TorchCodeOps
    split: Any = None  # there is always one, but a dataclass asks for a value after those that have one
    _chosen: Codes | None = field(default=None, init=False)

    def _parts_to_encode(self, n_rows: int) -> list[slice]:
        return self.ops.row_parts(n_rows, self.engine.n_workers)

    def _first_floor(self, inputs: Tensor, parameters: Parameters) -> Tensor:
        """Return the largest guess: with the latents of others, there are still more above it."""
        own = torch.as_tensor(super()._first_floor(inputs, parameters), device=inputs.device)
        floors = self.split.group.gather(own.to(torch.float64).view(1))
        return torch.cat(floors).max().to(inputs.dtype)

    def _together(self, codes: Codes, n_rows: int) -> Codes:
        return self.split.candidates(codes) if self.selection.compares_latents else codes

    def _of_latents_here(self, codes: Codes) -> Codes:
        if not self.selection.compares_latents:
            return codes
        self._chosen = codes
        return self.split.of_own(codes)

    def _of_all_latents(self, codes: Codes) -> Codes:
        return codes if self._chosen is None else self._chosen

    def _whole(self, numbers: Tensor) -> Tensor:
        return self.split.whole(numbers)

    def _dead(self, dead: DeadOfAll) -> DeadOfAll:
        return dead

    def _decode(
        self,
        codes: Codes,
        parameters: Parameters,
        targets: Tensor,
        bias: Tensor,
        prefixes: NDArray[Any],
        residuals: Tensor,
        errors: Tensor,
    ) -> Tensor:
        values: Any = codes.values
        ends, derivatives = self._ends(prefixes), torch.empty_like(values)
        self.ops.reconstruct(codes, parameters.decoder, ends, residuals)
        self.split.whole(residuals)
        self.ops.complete(residuals, bias, targets, 1 / codes.n_rows, errors)
        self.ops.differentiate(codes, parameters.decoder, ends, residuals, derivatives)
        return derivatives

    def _update(self, theta: Tensor, parameters: Parameters, back: Back, update: DeviceUpdate) -> None:
        if back.revival is not None and len(back.revival.latents) == 0:  # others have dead latents
            back = replace(back, revival=None)
        super()._update(theta, parameters, back, update)
