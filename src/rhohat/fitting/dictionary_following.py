"""Fits of dictionaries on several devices: what the process where a fit began sends to the others, and what they do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from rhohat.dictionaries.rows import BatchSource
from rhohat.dictionaries.run import ChangesTraining, train
from rhohat.dictionaries.training import DictionaryProblem, DictionaryState, NotFiniteError, Trainer
from rhohat.engines import TorchEngine
from rhohat.engines.group import Group
from rhohat.engines.processes import followed
from rhohat.fitting.memory import MemoryPlan
from rhohat.solvers import Callback, RunState
from rhohat.solvers.states import Keeper

if TYPE_CHECKING:
    from rhohat.fitting.dictionary_fit import DictionaryFit

__all__ = ["Begun", "check_following", "following"]


@dataclass(frozen=True)
class Begun:
    """Where a fit begins, in the process where it began and in those that follow.

    Attributes
    ----------
    problem : DictionaryProblem
    state : DictionaryState
    first_pass : int
    resumed : RunState or None
        State from which the training goes on.
    """

    problem: DictionaryProblem
    state: DictionaryState
    first_pass: int
    resumed: RunState | None

    def without_latents(self) -> Begun:
        """Return the same without what latents have, of which each process is sent its own when it begins."""
        state, resumed = self.state, self.resumed
        moments = {name: moment[:0] for name, moment in state.moments.items()}
        state = replace(state, theta=state.theta[:0], moments=moments, rows_since_fired=state.rows_since_fired[:0])
        if resumed is not None:
            of_latents = state.as_run_state().arrays
            few = {
                name: array for name, array in resumed.arrays.items() if name in ("threshold", "weight", "resampled")
            }
            resumed = RunState(resumed.record, {**of_latents, **few})
        return replace(self, state=state, resumed=resumed)


def check_following(
    engine: TorchEngine | None, sources: Sequence[Any], callbacks: Sequence[Callback], n_latents: int
) -> None:
    """Raise ValueError if several devices are to do what only one can."""
    if engine is None or engine.devices is None:
        return
    if isinstance(sources[0], BatchSource):
        raise ValueError("several devices cannot share an iterator of batches; pass an array or a file, or one device.")
    if engine.split == "latents":
        if n_latents < len(engine.devices):
            raise ValueError(
                f"n_components must be at least the number of devices that the latents are split over; got {n_latents}"
                f" and {len(engine.devices)} devices. Name fewer devices, or use split='rows'."
            )
        return
    for callback in callbacks:
        if isinstance(callback, ChangesTraining):
            raise ValueError(
                f"the callback {callback!r} changes the training, which is possible on one device, or on several with"
                " split='latents'."
            )


@contextmanager
def following(
    fit: DictionaryFit,
    sources: Sequence[Any],
    seed: int,
    memory: MemoryPlan,
    begun: Begun,
    trainer: Trainer,
    keeper: Keeper,
) -> Iterator[None]:
    """Let other processes follow the fit inside the `with` block, if the engine has several devices.

    Parameters
    ----------
    fit : DictionaryFit
        Settings of the fit, whose engine takes part in the group meanwhile.
    sources : sequence of array or RowSource
    seed : int
    memory : MemoryPlan
    begun : Begun
    trainer : Trainer
        What trains in this process. Its state is on the host when the block ends, unless a process has failed.
    keeper : Keeper
        What the state is withdrawn from if it is lost.
    """
    engine = fit.engine
    if engine is None or engine.devices is None:
        yield
        return
    if engine.split == "latents":
        begun = begun.without_latents()
    with followed(list(engine.devices), _follow, (fit.of_followers(), list(sources), seed, memory, begun)) as group:
        engine.group = group
        try:
            yield
            trainer.come_home()
        except BaseException:
            with suppress(RuntimeError):  # another process has failed as well; what failed first is said
                trainer.come_home()
            raise
        finally:
            if trainer.is_lost:
                keeper.withdraw()
            engine.group = None


def _follow(
    group: Group, device: str, fit: DictionaryFit, sources: Sequence[Any], seed: int, memory: MemoryPlan, begun: Begun
) -> None:
    """Run the training of another process in this one, which computes a part of each step."""
    assert fit.engine is not None
    fit = fit.on(fit.engine.in_group(group, device))
    source = fit.batches(sources, seed, memory)
    record, _, _ = fit.prepare(source, seed, (begun.problem, begun.state))
    with record.trainer.engine.session():
        with suppress(NotFiniteError):  # which the first process finds as well
            train([record], source, n_passes=fit.n_passes, first_pass=begun.first_pass, resume_from=begun.resumed)
        record.trainer.serve()
