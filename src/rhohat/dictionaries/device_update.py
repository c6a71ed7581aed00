"""Updates of θ on a device, which are taken where J was finite, so that the host need not wait to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rhohat.ops.code_ops import ByLatent
from rhohat.ops.torch_code_ops import TorchCodeOps
from rhohat.ops.torch_learning import AdamStep, LearnedRows, complete
from rhohat.solvers import Adam, MiniBatchSolver

__all__ = ["DeviceUpdate"]

Tensor = Any


@dataclass(frozen=True)
class DeviceUpdate:
    """The update of θ by a batch.

    Attributes
    ----------
    solver : MiniBatchSolver
        With the primitives of the device.
    ops : TorchCodeOps
    theta : tensor of shape (n_parameters,)
        Changed in place.
    moments : list of tensors of shape (n_parameters,)
        Running sums of the solver; changed in place.
    finite : tensor of shape (), bool
        Nothing is changed where it is false.
    rate : float
        Learning rate.
    step : int
        Number of this update, counted from 1.
    """

    solver: MiniBatchSolver
    ops: TorchCodeOps
    theta: Tensor
    moments: list[Tensor]
    finite: Tensor
    rate: float
    step: int

    def vector(self, part: slice, gradient: Tensor) -> None:
        """Update a part of θ by its gradient."""
        self._take([array[part] for array in (self.theta, *self.moments)], gradient.to(self.theta.dtype))

    def rows(
        self, place: Callable[[slice], slice], n_latents: int, by_latent: ByLatent, latents: slice, **gradient: Any
    ) -> None:
        """Update some rows of a matrix with a row for each latent.

        Parameters
        ----------
        place : callable
            Function that returns where the rows of successive latents are in θ.
        n_latents : int
            Number of rows of the whole matrix.
        by_latent : ByLatent
        latents : slice
            Successive latents, whose rows are updated.
        **gradient
            What the gradient consists of, and whether rows have norm 1; see `LearnedRows`.
        """
        whole = place(slice(0, n_latents))
        weights, *moments = (array[whole].view(n_latents, -1) for array in (self.theta, *self.moments))
        if type(self.solver) is Adam:
            betas = self.solver.beta_1, self.solver.beta_2
            step = AdamStep(betas, *self.solver._rate_and_epsilon(self.rate, self.step))
            self.ops.learn(by_latent, latents, LearnedRows(weights, *moments, **gradient), step, self.finite)
            return
        rows = LearnedRows(weights, None, None, **gradient)
        at_once = self.ops.rows_at_once(latents.stop - latents.start, weights.shape[1])
        for start in range(latents.start, latents.stop, at_once):
            part = slice(start, min(start + at_once, latents.stop))
            of_part = weights.new_empty(weights[part].shape)
            self.ops.gather(by_latent, part, rows.factors, rows.vectors, of_part)
            complete(rows, part, of_part)
            self._take([array[part] for array in (weights, *moments)], of_part, on_sphere=rows.on_sphere)

    def _take(self, old: list[Tensor], gradient: Tensor, *, on_sphere: bool = False) -> None:
        """Update parts of θ and of the moments, which are tensors of one shape, where J was finite."""
        new = [array.clone() for array in old]
        theta, *moments = (array.view(-1) for array in new)
        scratch = theta.new_empty(theta.shape)
        self.solver._update(theta, gradient.reshape(-1), moments, scratch, self.rate, self.step)
        if on_sphere:
            self.ops.normalise_rows(new[0])
        for array, changed in zip(old, new, strict=True):
            array.copy_(changed.where(self.finite, array))
