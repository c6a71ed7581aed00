"""Training of dictionaries on a device: what passes from batch to batch stays there, until the host asks for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from rhohat.common.arrays import FloatArray
from rhohat.dictionaries.device_step import DeviceStep
from rhohat.dictionaries.device_update import DeviceUpdate
from rhohat.dictionaries.scaling import Scaling
from rhohat.dictionaries.step import Evaluated
from rhohat.dictionaries.training import (
    CONTROL,
    LEAST_RATIO,
    MOST_RATIO,
    DictionaryProblem,
    DictionaryState,
    NotFiniteError,
    Trainer,
    share_that_stays,
)
from rhohat.engines import TorchEngine
from rhohat.ops import code_ops_of
from rhohat.ops.torch_code_ops import TorchCodeOps
from rhohat.ops.torch_ops import TorchOps
from rhohat.solvers import MiniBatchSolver

__all__ = ["DeviceTrainer", "StateThere", "scaling_there"]

Tensor = Any


@dataclass
class StateThere:
    """The state of a training on a device; see `DictionaryState`.

    Attributes
    ----------
    theta, moments, rows_since_fired, threshold, weight
        As there, as tensors.
    finite : tensor of shape (), bool
        Whether J has been finite on all batches since the state was put there. Where it is false, nothing changes.
    counts : tensor of shape (2,), int64
        Numbers of updates and of rows since then.
    place : tensor of shape (), int64
        Place of the first number that is not finite in the batch on which J was not, row by row; −1 if there is none.
    """

    theta: Tensor
    moments: dict[str, Tensor]
    rows_since_fired: Tensor
    threshold: Tensor
    weight: Tensor
    finite: Tensor
    counts: Tensor
    place: Tensor

    @classmethod
    def of(cls, state: DictionaryState, ops: TorchOps, dtype: np.dtype[Any]) -> StateThere:
        """Return a copy of a state on a device, with θ and its moments in a dtype."""

        def put(array: Any, kind: torch.dtype) -> Tensor:
            return torch.tensor(array, dtype=kind, device=ops.device)

        of_theta, wide = ops.type_of(dtype), ops.type_of(np.float64)
        return cls(
            put(state.theta, of_theta),
            {name: put(moment, of_theta) for name, moment in state.moments.items()},
            put(state.rows_since_fired, torch.int64),
            put(state.threshold, wide),
            put(state.weight, wide),
            put(True, torch.bool),
            put([0, 0], torch.int64),
            put(-1, torch.int64),
        )


class DeviceTrainer(Trainer):
    """Trains a dictionary batch by batch on a device, which the host does not wait for where that can be helped.

    It has to be waited for where a selection does not have k entries in every row, and, once latents may be dead, for
    their numbers. Whether J was finite is known when `settle` is called, or the state is asked for.

    Parameters
    ----------
    problem, solver, state, n_steps, warm_up
        See `Trainer`. The state is that of the host, and is brought up to date when it is asked for.
    engine : TorchEngine
    """

    def __init__(
        self,
        problem: DictionaryProblem,
        solver: MiniBatchSolver,
        state: DictionaryState,
        engine: TorchEngine,
        *,
        n_steps: int | None = None,
        warm_up: int = 0,
    ) -> None:
        ops: TorchOps = engine.device_ops
        code_ops = code_ops_of(ops)
        super().__init__(problem, solver, state, engine, ops, code_ops, n_steps=n_steps, warm_up=warm_up)
        assert isinstance(code_ops, TorchCodeOps)
        self._device_engine = engine
        self._ops, self._code_ops, self._dtype = ops, code_ops, engine.dtype
        self._there: StateThere | None = None
        self._begun = (state.step, state.n_rows)  # updates and rows when the state was put there
        self._since = (0, 0)  # updates and rows that the host has asked for since the state was put there
        self._is_read = False  # whether the state of the host is that of the device
        self._longest_since_fired = 0  # no latent has been inactive for more rows
        output_scaling = problem.output_scaling
        self._scaling = scaling_there(problem.scaling, ops, self._dtype)
        self._output_scaling = None if output_scaling is None else scaling_there(output_scaling, ops, self._dtype)

    @property
    def state(self) -> DictionaryState:
        """The state of the host, brought up to date; the device takes it over before the next batch."""
        state, self._there = self.read(), None
        return state

    def read(self) -> DictionaryState:
        """Return the state of the host, brought up to date, for reading only."""
        there, state = self._there, self._state
        if there is None or self._is_read:
            return state
        self._bring_latents(there, state)
        for array, tensor in ((state.threshold, there.threshold), (state.weight, there.weight)):
            array[...] = self._ops.to_numpy(tensor)
        n_steps, n_rows = there.counts.tolist()
        state.step, state.n_rows = self._begun[0] + n_steps, self._begun[1] + n_rows
        self._is_read = True
        return state

    def settle(self) -> None:
        """Wait until the batches so far have been learned.

        Raises
        ------
        NotFiniteError
            If J was not finite on one of them. The state is that before this batch, and no later batch has changed it.
        """
        if self._there is None or bool(self._there.finite):
            return
        state, place = self.read(), int(self._there.place)
        n_columns = self.problem.layout.n_features
        raise NotFiniteError(state.n_rows, None if place < 0 else divmod(place, n_columns))

    @property
    def n_steps(self) -> int:
        """Number of updates that the device has been given."""
        return self._state.step if self._there is None else self._begun[0] + self._since[0]

    @property
    def n_rows(self) -> int:
        """Number of rows that the device has been given."""
        return self._state.n_rows if self._there is None else self._begun[1] + self._since[1]

    @property
    def n_dead(self) -> int:
        """Number of dead latents, which the device is waited for if there may be some."""
        if self._there is None:
            return super().n_dead
        if self._longest_since_fired < self.problem.dead_after:
            return 0
        return self._count_dead(self._there)

    def agreed(self, ends: bool) -> bool:
        """Return whether the training ends, which several devices decide as the first of them does."""
        engine = self._device_engine
        return ends if engine.group is None else engine.group.told(ends, engine.device)

    def theta(self) -> FloatArray:
        """Return a copy of θ in the dtype of the host's state."""
        if self._there is None:
            return super().theta()
        return np.array(self._ops.to_numpy(self._there.theta), self._state.theta.dtype)

    def learn(self, X: Any, Y: Any = None) -> Evaluated:
        """Give the device the work of a step on a batch, and return what will be known of the batch before it.

        Parameters
        ----------
        X, Y : arrays or tensors
            Those of NumPy are brought to the device.
        """
        there, step = self._put()
        number, n_rows = self.n_steps + 1, len(X)
        rate, rise = self._rate_and_rise(number)
        given = self._ops.asarray(X, self._dtype)
        X = self._scaling.apply(given, self._room_for(given, "inputs"))
        if Y is not None:
            Y = self._ops.asarray(Y, self._dtype)
            if self._output_scaling is not None:
                Y = self._output_scaling.apply(Y, self._room_for(Y, "outputs"))
        weight = rise * there.weight[0] if self._state.weight[0] > 0 else 0.0
        moments = [there.moments[name] for name in self._solver.moment_names]
        update = DeviceUpdate(self._solver, self._code_ops, there.theta, moments, there.finite, rate, number)
        before = there.finite.clone()
        evaluated = step(there.theta, X, self._dead(there), weight, update, Y)
        bad = ~torch.isfinite(given).reshape(-1)
        first = torch.where(bad.any(), bad.to(torch.uint8).argmax(), -1)
        there.place = torch.where(before & ~there.finite, first, there.place)
        self._note_there(there, evaluated, n_rows, number, is_risen=rise == 1)
        self._since = self._since[0] + 1, self._since[1] + n_rows
        self._longest_since_fired += n_rows
        self._is_read = False
        return evaluated

    def _put(self) -> tuple[StateThere, DeviceStep]:
        """Return the state on the device and the step there, after putting them there if the host's state is newer."""
        if self._there is None:
            state = self._state
            self._there = self._bring_there(state)
            self._begun, self._since, self._is_read = (state.step, state.n_rows), (0, 0), True
            self._longest_since_fired = int(state.rows_since_fired.max())
        if not isinstance(self._step, DeviceStep):
            self._step = self._step_there()
        self._step.finite = self._there.finite
        return self._there, self._step

    # What is done otherwise where several devices hold some latents each.

    def _bring_there(self, state: DictionaryState) -> StateThere:
        """Return a copy of the state of the host on the device."""
        return StateThere.of(state, self._ops, self._dtype)

    def _bring_latents(self, there: StateThere, state: DictionaryState) -> None:
        """Copy what belongs to latents from the device into the state of the host."""
        pairs = [(state.theta, there.theta), (state.rows_since_fired, there.rows_since_fired)]
        pairs += [(moment, there.moments[name]) for name, moment in state.moments.items()]
        for array, tensor in pairs:
            array[...] = self._ops.to_numpy(tensor)

    def _step_there(self) -> DeviceStep:
        """Return the step that the device takes."""
        problem = self.problem
        how = problem.selection, problem.layout, problem.center, problem.decoder_norm, problem.auxiliary
        return DeviceStep(*how, self._device_engine, self._code_ops)

    def _count_dead(self, there: StateThere) -> int:
        """Return the number of dead latents, which the device is waited for."""
        return int((there.rows_since_fired >= self.problem.dead_after).sum())

    def _dead(self, there: StateThere) -> Any:
        """Return the numbers of the dead latents; the device is waited for only if there may be some."""
        dead_after = self.problem.dead_after
        if self._longest_since_fired < dead_after:
            return ()
        dead = (there.rows_since_fired >= dead_after).nonzero()[:, 0]
        if len(dead) == 0:
            self._longest_since_fired = int(there.rows_since_fired.max())
        return dead

    def _note_there(self, there: StateThere, evaluated: Evaluated, n_rows: int, step: int, *, is_risen: bool) -> None:
        """Change the counters, the average of thresholds, and the weight of the penalty; see `Trainer._note`."""
        problem, finite, codes = self.problem, there.finite, evaluated.codes
        values: Any = codes.values
        latents: Any = codes.latents
        # Latents of entries that are 0 are noted in a place beside the others.
        n_latents = len(there.rows_since_fired)
        fired = torch.zeros(n_latents + 1, dtype=torch.bool, device=values.device)
        fired[torch.where(values > 0, latents, n_latents)] = True
        since = (there.rows_since_fired + n_rows).masked_fill(fired[:-1], 0)
        there.rows_since_fired = since.where(finite, there.rows_since_fired)
        smallest = evaluated.smallest_kept
        if smallest is not None:
            stays = share_that_stays(step)
            new = stays * there.threshold + (1 - stays) * torch.stack([smallest, torch.ones_like(smallest)])
            there.threshold = new.where(finite, there.threshold)
        if problem.target_l0 is not None and is_risen:
            ratio = evaluated.n_active / n_rows / problem.target_l0
            new = there.weight * ratio.clip(LEAST_RATIO, MOST_RATIO) ** CONTROL
            there.weight = new.where(finite, there.weight)
        there.counts[0] += finite
        there.counts[1] += finite * n_rows

    def _room_for(self, X: Any, name: str) -> Any:
        """Return memory for scaled rows."""
        if (name, len(X)) not in self._scaled:
            room: Any = torch.empty_like(X)
            self._scaled[name, len(X)] = room
        return self._scaled[name, len(X)]


def scaling_there(scaling: Scaling, ops: TorchOps, dtype: np.dtype[Any]) -> Scaling:
    """Return a scaling of rows on a device."""
    return scaling if scaling.shift is None else replace(scaling, shift=ops.asarray(scaling.shift, dtype))
