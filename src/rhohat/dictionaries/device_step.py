"""A training step of a dictionary on a device, which the host gives its work and does not wait for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rhohat.dictionaries.dead_latents import Revival
from rhohat.dictionaries.device_update import DeviceUpdate
from rhohat.dictionaries.parameters import Parameters
from rhohat.dictionaries.shared_codes import codes_of_all, own_rows
from rhohat.dictionaries.step import Back, Step
from rhohat.engines import TorchEngine
from rhohat.ops.code_ops import Codes

__all__ = ["DeviceStep"]

Tensor = Any


@dataclass
class DeviceStep(Step):
    """The training step of a dictionary on a device; all arrays are tensors there.

    Numbers such as the terms of J are tensors of shape (), and updates are given to the device whatever J is.

    Attributes
    ----------
    finite : tensor of shape (), bool
        Whether J has been finite on all batches; changed in place. Where it is false, an update changes nothing.
    """

    engine: TorchEngine
    finite: Tensor = None
    _tensors: dict[int, Tensor] = field(default_factory=dict, init=False)

    def _parts_of_rows(self, n_rows: int) -> list[slice]:
        return [slice(0, n_rows)]  # which the threads of the device share

    def _parts_to_encode(self, n_rows: int) -> list[slice]:
        group = self.engine.group
        return super()._parts_to_encode(n_rows) if group is None else [own_rows(group, n_rows)]

    def _together(self, codes: Codes, n_rows: int) -> Codes:
        group = self.engine.group
        return codes if group is None else codes_of_all(codes, group, n_rows)

    def _ends(self, prefixes: NDArray[np.int64]) -> Tensor:
        if len(prefixes) not in self._tensors:
            self._tensors[len(prefixes)] = torch.as_tensor(prefixes, device=self.finite.device)
        return self._tensors[len(prefixes)]

    def _is_to_learn(self, J: Any) -> bool:
        self.finite &= torch.isfinite(J)
        return True

    def _update(self, theta: Tensor, parameters: Parameters, back: Back, update: DeviceUpdate) -> None:
        """Update all of θ; the gradients of both matrices are not kept where kernels compute them."""
        layout, pulled, revival, by_latent = self.layout, back.pulled, back.revival, back.sums.by_latent
        whole, residuals = slice(0, layout.n_latents), back.residuals
        through: Any
        through, bias = back.of_biases()
        of_output: Tensor = residuals[0].sum(0, dtype=through.dtype)
        if self.center:  # with the encoder as it was
            of_output -= self._whole(through.to(theta.dtype) @ parameters.encoder)
        extra_of = None if revival is None else self._extra_of(revival)
        update.rows(
            layout.encoder_rows,
            layout.n_latents,
            by_latent,
            whole,
            factors=pulled.pre_activations,
            vectors=back.inputs,
            extra=None if revival is None else revival.encoder,
            extra_of=extra_of,
        )
        start = 0
        for prefix, end in enumerate(self.selection.prefixes(layout.n_latents).tolist()):
            if end == start:  # of a prefix without latents here
                continue
            update.rows(
                layout.decoder_rows,
                layout.n_latents,
                by_latent,
                slice(start, end),
                factors=back.sums.codes.values,
                vectors=residuals[prefix],
                multiples=pulled.decoder_multiples,
                extra=None if revival is None else revival.decoder,
                extra_of=extra_of,
                on_sphere=self.decoder_norm,
            )
            start = end
        update.vector(layout.encoder_bias, bias)
        update.vector(layout.decoder_bias, of_output)
        if parameters.skip is not None:
            update.vector(layout.skip, (back.inputs.T @ residuals[0]).reshape(-1))
        for name, gradient in pulled.of_latents.items():
            update.vector(layout.of_latents(name), gradient)
        self.selection.constrain(parameters)

    def _extra_of(self, revival: Revival) -> Tensor:
        """Return the number of each latent among those that the auxiliary loss brings back; −1 for the others."""
        latents: Tensor = revival.latents
        numbers = torch.full((self.layout.n_latents,), -1, dtype=torch.int32, device=latents.device)
        numbers[latents] = torch.arange(len(latents), dtype=torch.int32, device=latents.device)
        return numbers
