"""Fits of dictionaries: a training within a memory plan, with a journal from which it can be resumed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.blocks import in_memory
from rhohat.common.exceptions import SettingError
from rhohat.common.words import Sentence, Setting, counted
from rhohat.dictionaries.rows import MOST_SAMPLED, BatchSource, ShuffledBatches
from rhohat.dictionaries.run import Record, train
from rhohat.dictionaries.scaling import distances
from rhohat.dictionaries.training import DictionaryProblem, DictionaryState, NotFiniteError, Trainer
from rhohat.engines import ThreadEngine, TorchEngine
from rhohat.fitting.device_memory import explaining_memory_of_device, shown_memory_of_device
from rhohat.fitting.dictionary_following import Begun, check_following, following
from rhohat.fitting.fit import Journals
from rhohat.fitting.memory import MemoryPlan, show_bytes
from rhohat.ops import code_ops_of, ops_for
from rhohat.solvers import Callback, MiniBatchSolver, SolverResult

if TYPE_CHECKING:
    from rhohat.dictionaries.device_training import DeviceTrainer

__all__ = ["DictionaryFit", "Fitted", "plan_dictionary_memory"]

_WINDOW = 2**28  # bytes of the windows in which rows from files are shuffled, if there is no limit
_ENTRY_BYTES = 64  # bytes of an active latent of a row, in codes, their derivatives, and both orders of them
#: Updates over which the weight of a penalty rises: this share of them, at most so many, and where their number is not
#: known, as with an iterator, so many.
_WARM_UP_SHARE, _LONGEST_WARM_UP, _WARM_UP = 0.05, 1000, 100


@dataclass(frozen=True)
class Fitted:
    """What a fit has learned.

    Attributes
    ----------
    problem : DictionaryProblem
    state : DictionaryState
    result : SolverResult
    memory : MemoryPlan
    seed : int
    """

    problem: DictionaryProblem
    state: DictionaryState
    result: SolverResult
    memory: MemoryPlan
    seed: int


@dataclass(frozen=True)
class DictionaryFit:
    """Settings with which a dictionary is fitted.

    Attributes
    ----------
    begin : callable(sample, seed) -> (DictionaryProblem, array of shape (n_parameters,))
        Function that returns the problem and the initial θ for a sample of the rows, a list of arrays, and a seed.
    solver : MiniBatchSolver
    n_passes : int
        Number of passes over the rows.
    callbacks : sequence of callable
    l0 : float
        Number of active latents of a row that memory is planned for.
    n_jobs : int or None
    engine : TorchEngine or None
        Device that computes; None stands for threads.
    memory_limit : int or None
        Largest number of bytes that the fit may hold, on the host.
    journals : Journals
    """

    begin: Callable[[list[FloatArray], int], tuple[DictionaryProblem, FloatArray]]
    solver: MiniBatchSolver
    n_passes: int
    callbacks: Sequence[Callback]
    l0: float
    n_jobs: int | None = None
    engine: TorchEngine | None = None
    memory_limit: int | None = None
    journals: Journals = field(default_factory=Journals)

    def run(
        self,
        sources: Sequence[Any],
        draw_seed: Callable[[], int],
        n_latents: int,
        *,
        start: tuple[DictionaryProblem, DictionaryState] | None = None,
        first_pass: int = 0,
        interrupted: Callable[[Fitted], None] = lambda fitted: None,
    ) -> Fitted:
        """Fit a dictionary to rows.

        Parameters
        ----------
        sources : sequence of array, RowSource or BatchSource
            Input, and in a transcoder the output; or batches that come from an iterator.
        draw_seed : callable
            Function without arguments that returns the seed.
        n_latents : int
        start : (DictionaryProblem, DictionaryState), default=None
            Where the fit goes on from; the state is changed. None means a new start.
        first_pass : int, default=0
            Number of the first pass, which the order of the rows depends on.
        interrupted : callable
            Called with what was learned so far if Ctrl-C or rows that are not finite end the fit.
        """
        check_following(self.engine, sources, self.callbacks, n_latents)
        streamed = isinstance(sources[0], BatchSource)
        described = {} if streamed else {f"rows {number}": source for number, source in enumerate(sources)}
        settings = {"start": None if start is None else start[1].theta}
        with self.journals.open("", described, settings) as journal:
            seed = journal.keep_seed(draw_seed)
            memory = self.plan_memory(sources, n_latents)
            if memory.limit is not None:
                print(memory, file=sys.stderr)
                if self.engine is not None:
                    print(shown_memory_of_device(self._sizes(sources, n_latents), self.engine), file=sys.stderr)
            source = self.batches(sources, seed, memory)
            record, problem, state = self.prepare(source, seed, start)
            if journal.result is not None:
                result = journal.result
                state.take_over(result)
                return Fitted(problem, state, result, memory, seed)

            def minimise(**kept: Any) -> SolverResult:
                begun = Begun(problem, record.trainer.read(), first_pass, kept["resume_from"])
                with following(self, sources, seed, memory, begun, record.trainer, kept["keeper"]):
                    return train([record], source, n_passes=self.n_passes, first_pass=first_pass, **kept)[0]

            with record.trainer.engine.session(), self.explaining_memory(sources, n_latents):
                try:
                    result = journal.solve("passes", minimise)
                except (KeyboardInterrupt, NotFiniteError) as error:
                    if not record.trainer.is_lost and record.trainer.read().step > 0:
                        message = f"The training was interrupted after {counted(state.step, 'update')}."
                        status = "interrupted" if isinstance(error, KeyboardInterrupt) else "not_finite"
                        interrupted(Fitted(problem, state, record.result(status, message), memory, seed))
                    raise
            journal.finish(result)
        return Fitted(problem, state, result, memory, seed)

    def on(self, engine: TorchEngine) -> DictionaryFit:
        """Return these settings for another engine."""
        return replace(self, engine=engine)

    def of_followers(self) -> DictionaryFit:
        """Return these settings for processes that follow this one, which write nothing and call nothing back."""
        return replace(self, begin=_begun_elsewhere, callbacks=(), journals=Journals())

    def prepare(
        self, source: BatchSource, seed: int, start: tuple[DictionaryProblem, DictionaryState] | None = None
    ) -> tuple[Record, DictionaryProblem, DictionaryState]:
        """Return the record of a training that is about to begin, its problem and its state."""
        sample = _finite(source.sample())
        if start is None:
            problem, theta = self.begin(sample, seed)
            state = DictionaryState.at_start(theta.astype(source.dtype), problem, self.solver)
        else:
            problem, state = start
        scaling = problem.output_scaling or problem.scaling
        outputs = scaling.apply(sample[-1], np.empty_like(sample[-1]))
        variance = float((distances(outputs) ** 2).mean())
        callbacks = self.callbacks if self._calls_back else ()
        return Record(self._trainer(problem, state, source), variance, callbacks), problem, state

    @property
    def _calls_back(self) -> bool:
        """Whether this process knows all latents, so that it can call callbacks."""
        if self.engine is None or self.engine.split == "rows":
            return True
        group = self.engine.joined()
        return group is None or group.rank == 0

    def batches(self, sources: Sequence[Any], seed: int, memory: MemoryPlan) -> BatchSource:
        """Return the batches of rows, on the device if there is one; see `run` for the sources."""
        source: BatchSource = sources[0]
        if not isinstance(source, BatchSource):
            size, window_bytes = self.solver.batch_size, memory.window_bytes
            source = ShuffledBatches(list(sources), seed=seed, batch_size=size, window_bytes=window_bytes)
        if self.engine is None:
            return source
        from rhohat.dictionaries.device_rows import batches_there

        return batches_there(source, self.engine)

    def _trainer(self, problem: DictionaryProblem, state: DictionaryState, source: BatchSource) -> Trainer:
        """Return what trains the dictionary: threads, or a device."""
        layout = problem.layout
        n_steps = None if source.n_batches is None else self.n_passes * source.n_batches
        warm_up = _WARM_UP if n_steps is None else min(_LONGEST_WARM_UP, int(_WARM_UP_SHARE * n_steps))
        if self.engine is not None:
            trainer = _trainer_class(self.engine)
            return trainer(problem, self.solver, state, self.engine, n_steps=n_steps, warm_up=warm_up)
        n_rows, engine = (source.n_batches or 2**20) * self.solver.batch_size, ThreadEngine(self.n_jobs)
        ops = ops_for(state.theta, n_rows * layout.n_latents * layout.n_features, engine.ops)
        return Trainer(problem, self.solver, state, engine, ops, code_ops_of(ops), n_steps=n_steps, warm_up=warm_up)

    def explaining_memory(self, sources: Sequence[Any], n_latents: int) -> AbstractContextManager[None]:
        """Return a context manager that says what to lower where a device has too little memory."""
        if self.engine is None:
            return nullcontext()
        return explaining_memory_of_device(self._sizes(sources, n_latents), self.engine)

    def plan_memory(self, sources: Sequence[Any], n_latents: int) -> MemoryPlan:
        """Return the plan of what the fit will hold in memory; see `plan_dictionary_memory`."""
        return plan_dictionary_memory(
            self._sizes(sources, n_latents),
            self.memory_limit,
            checkpoints=self.journals.checkpoint is not None,
            n_workers=ThreadEngine(self.n_jobs).n_workers,
        )

    def _sizes(self, sources: Sequence[Any], n_latents: int) -> dict[str, Any]:
        """Return the sizes that memory is planned by; see `plan_dictionary_memory`."""
        if isinstance(sources[0], BatchSource):
            widths, n_rows, read, itemsize = list(sources[0].widths), None, False, sources[0].dtype.itemsize
        else:
            widths, n_rows = [source.shape[1] for source in sources], sources[0].shape[0]
            read, itemsize = not in_memory(sources[0]), 8 if sources[0].dtype == np.float64 else 4
        n_batch = self.solver.batch_size if n_rows is None else min(self.solver.batch_size, n_rows)
        return {
            "n_latents": n_latents,
            "n_parameters": n_latents * (widths[0] + widths[-1] + 3) + widths[-1],
            "n_moments": len(self.solver.moment_names),
            "n_batch": n_batch,
            "width": sum(widths),
            "l0": self.l0,
            "itemsize": itemsize,
            "n_rows": n_rows,
            "is_read": read,
        }


def _trainer_class(engine: TorchEngine) -> type[DeviceTrainer]:
    """Return the class of what trains on a device, or on several."""
    if engine.split == "latents":
        from rhohat.dictionaries.split_training import SplitTrainer

        return SplitTrainer
    from rhohat.dictionaries.device_training import DeviceTrainer

    return DeviceTrainer


def _begun_elsewhere(sample: list[FloatArray], seed: int) -> tuple[DictionaryProblem, FloatArray]:
    raise AssertionError("a process that follows another is told where the fit begins")


def _finite(sample: list[FloatArray]) -> list[FloatArray]:
    """Return the rows of a sample that are finite: what is learned before the others are reached can then be kept."""
    finite = np.logical_and.reduce([np.isfinite(rows).all(1) for rows in sample])
    if not finite.any():
        raise ValueError("the rows contain NaN or infinity: none of those that the start is chosen by is finite.")
    return sample if finite.all() else [rows[finite] for rows in sample]


def plan_dictionary_memory(
    sizes: Mapping[str, Any], limit: int | None, *, checkpoints: bool, n_workers: int
) -> MemoryPlan:
    """Return the plan of what the fit of a dictionary will hold in memory.

    Parameters
    ----------
    sizes : mapping
        Numbers of parameters, of the solver's moments, of rows in a batch and of columns, by name; the expected number
        of active latents; bytes of a number; the number of rows, None if it is not known; and whether rows are read.
    limit : int or None
        Limit in bytes.
    checkpoints : bool
        Whether checkpoints are written.
    n_workers : int
        Number of threads.

    Raises
    ------
    ValueError
        If the limit is too low; the message names one that would be enough.
    """
    itemsize, n_batch, width = sizes["itemsize"], sizes["n_batch"], sizes["width"]
    theta = itemsize * sizes["n_parameters"]
    n_sample = MOST_SAMPLED if sizes["n_rows"] is None else min(MOST_SAMPLED, sizes["n_rows"])
    parts = [
        ("parameters", theta),
        (f"moments of the solver, {sizes['n_moments']} for each parameter", sizes["n_moments"] * theta),
        ("a batch and its residuals, or before them a sample", itemsize * width * max(5 * n_batch, 2 * n_sample)),
        ("sparse codes and their derivatives", int(_ENTRY_BYTES * 4 * n_batch * sizes["l0"])),
        (f"working memory of {counted(n_workers, 'thread')}", n_workers * 2**22),
    ]
    if checkpoints:
        parts.append(("a checkpoint while it is written", 2 * (1 + sizes["n_moments"]) * theta))
    window = 0
    if sizes["is_read"]:
        window = _WINDOW if limit is None else min(_WINDOW, limit // 3)
        parts.append(("windows in which rows are shuffled", min(window, 2 * itemsize * sizes["n_rows"] * width)))
    if sizes["n_rows"] is not None:
        parts.append(("the order of the rows", 16 * sizes["n_rows"]))
    plan = MemoryPlan(limit, tuple(parts), 0, 0, window, True)
    if limit is not None and plan.total > limit:
        fixed = plan.total - min(window, plan.total)
        enough = int(1.5 * fixed) + 2**22 if window else plan.total
        raise SettingError(
            Sentence(
                *(Setting("memory_limit", show_bytes(limit), f"memory_limit={show_bytes(limit)}"), " is too low: "),
                *(f"{show_bytes(enough)} would be enough. Raise ", Setting("memory_limit")),
                ", or use smaller batches.",
            )
        )
    return plan
