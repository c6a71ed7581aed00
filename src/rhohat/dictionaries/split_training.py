"""Training of a dictionary whose latents are split over devices; no device ever holds all of θ.

The process where a fit began has the state of the whole dictionary on its host. It hands out the slices of the latents,
tells the others when a step begins, and collects their slices, one after another, when the state is asked for. So the
others wait for what it tells them between two steps, and callbacks and checkpoints are its own affair.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum, auto
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray
from rhohat.common.exceptions import ClusterError
from rhohat.common.forks import cached
from rhohat.dictionaries.device_step import DeviceStep
from rhohat.dictionaries.device_training import DeviceTrainer, StateThere
from rhohat.dictionaries.parameters import Parameters
from rhohat.dictionaries.split_latents import DeadOfAll, SplitLatents
from rhohat.dictionaries.split_step import SplitStep
from rhohat.dictionaries.step import Evaluated
from rhohat.dictionaries.training import DictionaryState

__all__ = ["SplitTrainer"]

Tensor = Any


class _Told(IntEnum):
    """What the first process tells the others."""

    TAKE = auto()  # a slice of the state is sent to each
    LEARN = auto()  # all take a step on the next batch
    COUNT_DEAD = auto()
    GIVE_THETA = auto()  # each sends its slice of θ
    GIVE_ALL = auto()  # each sends its slice of the state
    GO_ON = auto()  # a block of updates has ended
    STOP = auto()  # so has the training
    KEEP = auto()  # the fit has ended, and all processes get the state of the whole dictionary


class SplitTrainer(DeviceTrainer):
    """Trains a dictionary with other processes, each of which holds a slice of the latents on its device.

    The engine has to be in a group when the first batch is learned. The state of the host is that of the whole
    dictionary in the process where the fit began. In the others, what it says of latents is of no meaning before
    `come_home`. See `DeviceTrainer` for the parameters.
    """

    _is_cut = False  # whether an exchange with the other processes has begun that has not ended

    @cached
    def split(self) -> SplitLatents:
        """The latents of the processes, which are known once the engine is in a group."""
        group = self._device_engine.group
        assert group is not None
        return SplitLatents(group, self.problem.layout)

    @property
    def leads(self) -> bool:
        """Whether the fit began in this process, which tells the others what to do."""
        group = self._device_engine.group
        return group is None or group.rank == 0

    @property
    def is_lost(self) -> bool:
        """See `Trainer.is_lost`."""
        return self._is_cut

    def learn(self, X: Any, Y: Any = None) -> Evaluated:
        """See `DeviceTrainer.learn`; a process that follows waits until it is told to."""
        if self.leads:
            self._put()
        else:
            self._obey_until(_Told.LEARN)
        with self._exchange(_Told.LEARN):
            return super().learn(X, Y)

    def read(self) -> DictionaryState:
        """See `DeviceTrainer.read`; the slices of the other processes are collected if they have learned since.

        Raises
        ------
        ClusterError
            If an exchange with the other processes has failed before.
        """
        if self._is_cut:
            raise ClusterError("the state of the training is lost, because a process that held a part of it has ended.")
        return super().read()

    def theta(self) -> FloatArray:
        """See `DeviceTrainer.theta`."""
        if self._there is None or self._is_read or not self.leads:
            return self._state.theta.copy()
        theta = np.empty_like(self._state.theta)
        with self._exchange(_Told.GIVE_THETA):
            self._collect(self._there.theta, theta)
        return theta

    def agreed(self, ends: bool) -> bool:
        """Return whether the training ends, which the process decides in which the fit began."""
        if self.leads:
            with self._exchange(_Told.STOP if ends else _Told.GO_ON):
                return ends
        return self._obey_until(_Told.STOP, _Told.GO_ON) is _Told.STOP

    def come_home(self) -> None:
        """Bring the state of the whole dictionary to the host; see `Trainer.come_home`.

        All processes get it if they were a group before the fit, as each of them goes on with what was fitted.
        """
        group = self._device_engine.group
        if self._is_cut or group is None:
            return
        state = self.read()
        if group.is_joined:
            if not self.leads:
                self._obey_until(_Told.KEEP)
            with self._exchange(_Told.KEEP):
                self._spread(state)
        self._there = None

    def serve(self) -> None:
        """See `Trainer.serve`."""
        self._obey_until()

    # What the first process does.

    @contextmanager
    def _exchange(self, told: _Told) -> Iterator[None]:
        """Tell the others what to do, and note that the state is lost if what is done in the block does not end."""
        self._is_cut = True
        if self.leads:
            self.split.group.tell(told)
        yield
        self._is_cut = False

    def _bring_there(self, state: DictionaryState) -> StateThere:
        """Hand out the slices of the state, and return that of this process."""
        head = np.array(
            [*state.threshold, *state.weight, state.step, state.n_rows, state.rows_since_fired.max()], np.float64
        )
        with self._exchange(_Told.TAKE):
            for rank, latents in enumerate(self.split.each[1:], start=1):
                self.split.group.send(head, rank)
                for array in self._arrays_of(state, latents):
                    self.split.group.send(array, rank)
        return self._there_of(head, self._arrays_of(state, self.split.own))

    def _arrays_of(self, state: DictionaryState, latents: slice) -> Iterator[Any]:
        """Yield copies of what some latents have: θ, moments, and the rows since each was active."""
        layout = self.split.layout_of(latents)
        for array in self._wholes_of(state):
            yield layout.pack(self.split.part_of(array, latents)).astype(self._dtype, copy=False)
        yield state.rows_since_fired[latents].copy()

    def _bring_latents(self, there: StateThere, state: DictionaryState) -> None:
        if not self.leads:
            return
        with self._exchange(_Told.GIVE_ALL):
            for tensor, array in zip(self._tensors_of(there), self._wholes_of(state), strict=True):
                self._collect(tensor, array)
            state.rows_since_fired[self.split.own] = self._ops.to_numpy(there.rows_since_fired)
            for rank, latents in enumerate(self.split.each[1:], start=1):
                state.rows_since_fired[latents] = self.split.group.receive(
                    np.empty(latents.stop - latents.start, np.int64), rank
                )

    def _collect(self, own: Tensor, whole: FloatArray) -> None:
        """Write the slices of θ, or of moments, of all processes into an array of all latents."""
        views, split = self.problem.layout.views(whole), self.split
        given = split.layout_of(split.own).views(self._ops.to_numpy(own))
        views.decoder_bias[...] = given.decoder_bias
        if views.skip is not None:
            views.skip[...] = given.skip
        for rank, latents in enumerate(split.each):
            layout = split.layout_of(latents)
            if rank > 0:
                given = layout.views(split.group.receive(np.empty(layout.n_parameters, self._dtype), rank))
            _assign(split.part_of(whole, latents), given)

    def _spread(self, state: DictionaryState) -> None:
        """Send the state of the whole dictionary to the other processes, or receive it from the first one."""
        arrays: list[Any] = [*self._wholes_of(state), *state.learned.values()]
        for array in arrays:
            if self.leads:
                for rank in range(1, self.split.group.size):
                    self.split.group.send(np.ascontiguousarray(array), rank)
            else:
                array[...] = self.split.group.receive(np.empty_like(array), 0)

    # What the others do.

    def _obey_until(self, *last: _Told) -> _Told:
        """Do what the first process tells, until it tells one of the last things, and return this."""
        group = self.split.group
        while (told := _Told(group.hear())) not in last:
            if told is _Told.TAKE:
                self._take()
            elif told is _Told.COUNT_DEAD:
                self._count_dead_of_all()
            elif told in (_Told.GIVE_THETA, _Told.GIVE_ALL):
                self._give(all_of_it=told is _Told.GIVE_ALL)
            else:
                raise ClusterError("the process in which the fit began has ended it.")
        return told

    def _take(self) -> None:
        """Put the slice of the state on the device that the first process sends."""
        group, n_latents = self.split.group, self.split.own.stop - self.split.own.start
        n_parameters = self.split.layout_of(self.split.own).n_parameters
        head = group.receive(np.empty(6), 0)
        arrays = [group.receive(np.empty(n_parameters, self._dtype), 0) for _ in range(1 + len(self._state.moments))]
        self._there = self._there_of(head, iter([*arrays, group.receive(np.empty(n_latents, np.int64), 0)]))
        n_steps, n_rows, longest = (int(number) for number in head[3:])
        self._begun, self._since, self._longest_since_fired = (n_steps, n_rows), (0, 0), longest

    def _give(self, *, all_of_it: bool) -> None:
        """Send the slice of θ to the first process, or that of the whole state."""
        there, group = self._there, self.split.group
        assert there is not None
        theta, *moments = self._tensors_of(there)
        group.send(self._ops.to_numpy(theta), 0)
        if all_of_it:
            for tensor in (*moments, there.rows_since_fired):
                group.send(self._ops.to_numpy(tensor), 0)

    # What all do.

    def _there_of(self, head: NDArray[np.float64], arrays: Iterator[Any]) -> StateThere:
        """Return a slice of the state on the device."""
        *of_parameters, rows_since_fired = arrays
        names = self._solver.moment_names
        moments = dict(zip(names, of_parameters[1:], strict=True))
        state = DictionaryState(of_parameters[0], moments, rows_since_fired, head[:2], head[2:3])
        return StateThere.of(state, self._ops, self._dtype)

    def _step_there(self) -> DeviceStep:
        problem, split = self.problem, self.split
        selection, layout = problem.selection.of_slice(split.own), split.layout_of(split.own)
        how = selection, layout, problem.center, problem.decoder_norm, problem.auxiliary
        return SplitStep(*how, self._device_engine, self._code_ops, split=split)

    def _dead(self, there: StateThere) -> Any:
        """Return the dead latents of all processes; devices are waited for only if there may be some."""
        since, dead_after = there.rows_since_fired, self.problem.dead_after
        if self._longest_since_fired < dead_after:
            return ()
        dead = (since >= dead_after).nonzero()[:, 0]
        own = torch.stack([since.new_tensor(len(dead)), since.max()])
        counts, longest = torch.stack(self.split.group.gather(own)).T.tolist()
        if sum(counts) == 0:
            self._longest_since_fired = max(longest)
            return ()
        return DeadOfAll(dead, self._code_ops, counts, self.split)

    def _count_dead(self, there: StateThere) -> int:
        if not self.leads:
            self._obey_until(_Told.COUNT_DEAD)
            return self._count_dead_of_all()
        with self._exchange(_Told.COUNT_DEAD):
            return self._count_dead_of_all()

    def _count_dead_of_all(self) -> int:
        assert self._there is not None
        dead = (self._there.rows_since_fired >= self.problem.dead_after).sum()
        return int(self.split.whole(dead))

    def _wholes_of(self, state: DictionaryState) -> list[FloatArray]:
        """Return θ of the host and its moments, in the order of the solver."""
        return [state.theta, *(state.moments[name] for name in self._solver.moment_names)]

    def _tensors_of(self, there: StateThere) -> list[Tensor]:
        """Return θ of the device and its moments, in the order of the solver."""
        return [there.theta, *(there.moments[name] for name in self._solver.moment_names)]


def _assign(there: Parameters, given: Parameters) -> None:
    """Overwrite the parameters of some latents."""
    there.encoder[...], there.decoder[...], there.encoder_bias[...] = given.encoder, given.decoder, given.encoder_bias
    for name, array in there.of_latents.items():
        array[...] = given.of_latents[name]
