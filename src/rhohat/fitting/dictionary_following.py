"""Fits of dictionaries on several devices: what the process where a fit began sends to the others, and what they do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rhohat.dictionaries.rows import BatchSource
from rhohat.dictionaries.run import ChangesTraining, train
from rhohat.dictionaries.training import DictionaryProblem, DictionaryState
from rhohat.engines import TorchEngine
from rhohat.engines.processes import Group, followed
from rhohat.fitting.memory import MemoryPlan
from rhohat.solvers import Callback, RunState

if TYPE_CHECKING:
    from rhohat.fitting.dictionary_fit import DictionaryFit

__all__ = ["check_following", "following"]


def check_following(engine: TorchEngine | None, sources: Sequence[Any], callbacks: Sequence[Callback]) -> None:
    """Raise ValueError if several devices are to do what only one can."""
    if engine is None or engine.devices is None:
        return
    if isinstance(sources[0], BatchSource):
        raise ValueError("several devices cannot share an iterator of batches; pass an array or a file, or one device.")
    for callback in callbacks:
        if isinstance(callback, ChangesTraining):
            raise ValueError(f"the callback {callback!r} changes the training, which is possible on one device only.")


@contextmanager
def following(
    fit: DictionaryFit,
    sources: Sequence[Any],
    seed: int,
    memory: MemoryPlan,
    start: tuple[DictionaryProblem, DictionaryState],
    first_pass: int,
    resumed: RunState | None,
) -> Iterator[None]:
    """Let other processes follow the fit inside the `with` block, if the engine has several devices.

    Parameters
    ----------
    fit : DictionaryFit
        Settings of the fit, whose engine takes part in the group meanwhile.
    sources : sequence of array or RowSource
    seed : int
    memory : MemoryPlan
    start : (DictionaryProblem, DictionaryState)
        Where the fit begins.
    first_pass : int
    resumed : RunState or None
        State from which the training goes on.
    """
    engine = fit.engine
    if engine is None or engine.devices is None:
        yield
        return
    settings = fit.of_followers()
    task = (settings, list(sources), seed, memory, start, first_pass, resumed)
    with followed(list(engine.devices), _follow, task) as group:
        engine.group = group
        try:
            yield
        finally:
            engine.group = None


def _follow(
    group: Group,
    device: str,
    fit: DictionaryFit,
    sources: Sequence[Any],
    seed: int,
    memory: MemoryPlan,
    start: tuple[DictionaryProblem, DictionaryState],
    first_pass: int,
    resumed: RunState | None,
) -> None:
    """Run the training of another process in this one, which encodes a part of the rows."""
    assert fit.engine is not None
    fit = fit.on(fit.engine.in_group(group, device))
    source = fit.batches(sources, seed, memory)
    record, _, _ = fit.prepare(source, seed, start)
    with record.trainer.engine.session():
        train([record], source, n_passes=fit.n_passes, first_pass=first_pass, resume_from=resumed)
