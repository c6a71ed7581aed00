"""Training of dictionaries: the state that passes from batch to batch, and the loop over batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray, empty_aligned
from rhohat.common.blocks import theta_parts
from rhohat.dictionaries.dead_latents import AuxiliaryLoss
from rhohat.dictionaries.parameters import Layout
from rhohat.dictionaries.scaling import Scaling
from rhohat.dictionaries.selections import Selection
from rhohat.dictionaries.step import Evaluated, Step
from rhohat.engines import ThreadEngine, TorchEngine
from rhohat.ops import ops_of
from rhohat.ops.base import Ops
from rhohat.ops.code_ops import CodeOps
from rhohat.solvers import MiniBatchSolver, RunState, SolverResult
from rhohat.solvers.schedules import as_schedule

__all__ = [
    "CONTROL",
    "LEAST_RATIO",
    "MOST_RATIO",
    "DictionaryProblem",
    "DictionaryState",
    "NotFiniteError",
    "Trainer",
    "share_that_stays",
]

_AVERAGING = 0.999  # largest share of an average of thresholds that stays when a batch is added
_REACH = 20  # before, an average reaches back over the last of so many parts of the training so far
_SIZE_AFTER_RESAMPLING = 0.2  # norm of the encoder's row of a latent that begins anew, as a share of the mean norm

#: Power of the ratio of L0 to its target, within bounds, by which the weight of a penalty changes in a step.
CONTROL, LEAST_RATIO, MOST_RATIO = 0.01, 0.1, 10.0


class NotFiniteError(ValueError):
    """Error of a batch on which J is not finite; nothing has been changed by the batch.

    Parameters
    ----------
    n_rows : int
        Number of rows seen before the batch.
    place : tuple of two int, default=None
        Row, counted from the start of the batch, and column of the first number in the batch that is NaN or infinite.
    """

    def __init__(self, n_rows: int, place: tuple[int, int] | None = None) -> None:
        super().__init__(f"J is not finite on the batch that begins after {n_rows:,} rows.")
        self.n_rows, self.place = n_rows, place


@dataclass(frozen=True)
class DictionaryProblem:
    """What is learned from rows, apart from the rows themselves.

    Attributes
    ----------
    selection : Selection
    layout : Layout
    scaling : Scaling
        What is done to rows before anything else.
    output_scaling : Scaling or None
        In a transcoder, what is done to the outputs; None if the rows themselves are to be reconstructed.
    center : bool
        Whether the decoder's bias is subtracted from the input of the encoder.
    decoder_norm : bool
        Whether the rows of the decoder have norm 1.
    auxiliary : AuxiliaryLoss or None
    dead_after : int
        Number of rows without being active after which a latent is dead.
    sparsity_weight : float
        Weight λ of the selection's penalty; the first weight, if it is controlled.
    target_l0 : float or None
        Mean number of active latents of a row towards which the weight is controlled; None if it is not.
    """

    selection: Selection
    layout: Layout
    scaling: Scaling
    center: bool = True
    decoder_norm: bool = True
    auxiliary: AuxiliaryLoss | None = None
    dead_after: int = 10_000_000
    sparsity_weight: float = 0.0
    target_l0: float | None = None
    output_scaling: Scaling | None = None


@dataclass
class DictionaryState:
    """The state of a training between two batches, which checkpoints hold.

    Attributes
    ----------
    theta : array of shape (n_parameters,)
        Parameters.
    moments : dict of str to array of shape (n_parameters,)
        Running sums of the solver.
    rows_since_fired : array of shape (n_latents,), int64
        Number of rows since each latent was active.
    threshold : array of shape (2,), float64
        Weighted sum of the smallest activations that batches kept, and the sum of the weights.
    weight : array of shape (1,), float64
        Weight λ of the penalty.
    resampled : array of shape (2,), int64
        How many times dead latents have begun anew, and the number of rows seen at the last time.
    step : int
        Number of updates done.
    n_rows : int
        Number of rows seen.
    """

    theta: FloatArray
    moments: dict[str, FloatArray]
    rows_since_fired: NDArray[np.int64]
    threshold: NDArray[np.float64]
    weight: NDArray[np.float64]
    resampled: NDArray[np.int64] = field(default_factory=lambda: np.zeros(2, np.int64))
    step: int = 0
    n_rows: int = 0

    @classmethod
    def at_start(cls, theta: FloatArray, problem: DictionaryProblem, solver: MiniBatchSolver) -> DictionaryState:
        """Return the state with which a training begins."""
        return cls(
            theta,
            {name: np.zeros_like(theta) for name in solver.moment_names},
            np.zeros(problem.layout.n_latents, np.int64),
            np.zeros(2),
            np.array([problem.sparsity_weight]),
        )

    @property
    def average_threshold(self) -> float | None:
        """Average of the thresholds of batches; None if there was none."""
        total, weight = self.threshold.tolist()
        return total / weight if weight > 0 else None

    def n_dead(self, dead_after: int) -> int:
        """Return the number of latents that have not been active for so many rows."""
        return int(np.count_nonzero(self.rows_since_fired >= dead_after))

    def as_run_state(self) -> RunState:
        """Return the state as the record and the arrays of a checkpoint; the arrays are not copied."""
        arrays: dict[str, Any] = {
            "theta": self.theta,
            **self.learned,
            **{f"moment {name}": array for name, array in self.moments.items()},
        }
        return RunState({"step": self.step, "n_rows": self.n_rows}, arrays)

    def restore(self, state: RunState) -> None:
        """Take over the state of a checkpoint."""
        self.theta = state.arrays["theta"]
        self._take(state.arrays)
        self.moments = {name: state.arrays[f"moment {name}"] for name in self.moments}
        self.step, self.n_rows = state.record["step"], state.record["n_rows"]

    def take_over(self, result: SolverResult) -> None:
        """Take over what an earlier training has learned, from its result; it has no moments."""
        self.theta, self.step = result.theta, result.n_evaluations
        self._take(result.arrays)
        self.n_rows = int(result.measures_curve.get("rows", [0.0])[-1])

    @property
    def learned(self) -> dict[str, Any]:
        """What is learned beside the parameters, as arrays by name."""
        return {
            "rows since fired": self.rows_since_fired,
            "threshold": self.threshold,
            "weight": self.weight,
            "resampled": self.resampled,
        }

    def _take(self, arrays: Mapping[str, Any]) -> None:
        self.rows_since_fired, self.threshold = arrays["rows since fired"], arrays["threshold"]
        self.weight, self.resampled = arrays["weight"], arrays["resampled"]


class Trainer:
    """Trains a dictionary, batch by batch.

    Parameters
    ----------
    problem : DictionaryProblem
    solver : MiniBatchSolver
        Solver whose update, learning rate and schedule are used.
    state : DictionaryState
        State from which the training goes on; changed in place.
    engine : ThreadEngine or TorchEngine
    ops, code_ops : Ops, CodeOps
        Primitives of the update, and of sparse codes.
    n_steps : int or None
        Number of updates from this state to the end, which schedules extend over. If None, it is not known, and the
        learning rate is constant.
    warm_up : int
        Number of updates over which the weight of the penalty rises.
    """

    def __init__(
        self,
        problem: DictionaryProblem,
        solver: MiniBatchSolver,
        state: DictionaryState,
        engine: ThreadEngine | TorchEngine,
        ops: Ops,
        code_ops: CodeOps,
        *,
        n_steps: int | None = None,
        warm_up: int = 0,
    ) -> None:
        self.problem, self.engine, self._state = problem, engine, state
        self._solver, self._schedule = solver.with_ops(ops), as_schedule(solver.schedule)
        self._n_steps, self._warm_up = n_steps, warm_up
        self._first_step = state.step
        self._step = Step(
            problem.selection, problem.layout, problem.center, problem.decoder_norm, problem.auxiliary, engine, code_ops
        )
        self._scratch = [np.empty(0, state.theta.dtype) for _ in range(engine.n_workers)]
        self._scaled: dict[tuple[str, int], FloatArray] = {}

    @property
    def state(self) -> DictionaryState:
        """The state between two batches, which may be changed."""
        return self._state

    def read(self) -> DictionaryState:
        """Return the state for reading only, which a device would have to take over if it were changed."""
        return self._state

    def note_length(self, n_steps: int) -> None:
        """Take note of the number of updates from the first state to the end, where it was not known at first."""
        self._n_steps = n_steps

    def settle(self) -> None:
        """Wait until the batches so far have been learned; raise NotFiniteError if J was not finite on one of them."""

    @property
    def n_steps(self) -> int:
        """Number of updates, which is known without waiting for a device."""
        return self._state.step

    @property
    def n_rows(self) -> int:
        """Number of rows seen, which is known without waiting for a device."""
        return self._state.n_rows

    @property
    def resampled(self) -> tuple[int, int]:
        """How many times dead latents have begun anew, and the number of rows seen at the last time."""
        n_times, n_rows = self._state.resampled.tolist()
        return n_times, n_rows

    @property
    def n_dead(self) -> int:
        """Number of dead latents."""
        return self._state.n_dead(self.problem.dead_after)

    def theta(self) -> FloatArray:
        """Return a copy of θ."""
        return self._state.theta.copy()

    def learn(self, X: FloatArray, Y: FloatArray | None = None) -> Evaluated:
        """Take a step on a batch, and return what was known of the batch before it.

        Rows are converted to the dtype of θ, which is another one if a training goes on with rows of another dtype.

        Raises
        ------
        NotFiniteError
            If J is not finite; then nothing is changed.
        """
        state, problem = self.state, self.problem
        step = state.step + 1
        dead = np.flatnonzero(state.rows_since_fired >= problem.dead_after)
        rate, rise = self._rate_and_rise(step)
        given = X
        X = np.ascontiguousarray(X, state.theta.dtype)
        X = problem.scaling.apply(X, self._room_for(X, "inputs"))
        if Y is not None and problem.output_scaling is not None:
            Y = np.ascontiguousarray(Y, state.theta.dtype)
            Y = problem.output_scaling.apply(Y, self._room_for(Y, "outputs"))
        with np.errstate(over="ignore", invalid="ignore"):
            evaluated = self._step(state.theta, X, dead, rise * float(state.weight[0]), self._updating(rate, step), Y)
        if not np.isfinite(sum(evaluated.terms.values())):
            places = np.argwhere(~np.isfinite(given))
            raise NotFiniteError(state.n_rows, (int(places[0][0]), int(places[0][1])) if len(places) else None)
        state.step = step
        state.n_rows += len(X)
        self._note(evaluated, len(X), rise == 1)
        return evaluated

    def agreed(self, ends: bool) -> bool:
        """Return whether the training ends, which several devices decide as the first of them does."""
        return ends

    @property
    def is_lost(self) -> bool:
        """Whether the state is not known any more, because one of several devices that held it has failed."""
        return False

    def come_home(self) -> None:
        """Bring the state to the host, before other processes that may hold parts of it end."""

    def serve(self) -> None:
        """In a process that follows another one, give what the other one asks for, until it ends this process."""

    def resample(self, draw: np.random.Generator) -> int:
        """Let dead latents begin anew at rows of the last batch that are reconstructed badly, and return their number.

        The decoder's row of each becomes the direction of a row of the last batch, which is drawn with a probability in
        proportion to the square of its loss. The encoder's row gets the same direction, and a fifth of the mean norm of
        the rows of latents that are alive. The bias and the moments become 0.

        References
        ----------
        Bricken, T. et al. (2023). Towards monosemanticity: decomposing language models with dictionary learning.
        Transformer Circuits Thread, on neuron resampling.
        """
        state, layout = self.state, self.problem.layout
        state.resampled[:] = state.resampled[0] + 1, state.n_rows
        dead = np.flatnonzero(state.rows_since_fired >= self.problem.dead_after)
        inputs, errors = (ops_of(array).to_numpy(array) for array in self._step.last_batch())
        chances = errors.astype(np.float64, copy=False) ** 2
        if len(dead) == 0 or layout.n_features != layout.n_outputs or not chances.any():
            return 0
        rows = draw.choice(len(inputs), len(dead), p=chances / chances.sum())
        directions = inputs[rows] / np.maximum(np.linalg.norm(inputs[rows], axis=1, keepdims=True), 1e-30)
        parameters = layout.views(state.theta)
        alive = np.delete(np.linalg.norm(parameters.encoder, axis=1), dead)
        size = _SIZE_AFTER_RESAMPLING * (float(alive.mean()) if len(alive) else 1.0)
        parameters.decoder[dead] = directions
        parameters.encoder[dead] = size * directions
        parameters.encoder_bias[dead] = 0
        for moment in state.moments.values():
            of_moment = layout.views(moment)
            for array in (of_moment.decoder, of_moment.encoder, of_moment.encoder_bias):
                array[dead] = 0
        state.rows_since_fired[dead] = 0
        return len(dead)

    def _rate_and_rise(self, step: int) -> tuple[float, float]:
        """Return the learning rate of a step, counted from 1, and the factor of the weight of the penalty."""
        rate = self._solver.learning_rate
        if self._n_steps is not None:
            rate *= self._schedule(min((step - 1 - self._first_step + 0.5) / self._n_steps, 1.0))
        return rate, min(1.0, step / self._warm_up) if self._warm_up else 1.0

    def _note(self, evaluated: Evaluated, n_rows: int, is_risen: bool) -> None:
        """Change the counters, the average of thresholds, and the weight of the penalty after a batch."""
        state, problem = self.state, self.problem
        active = evaluated.codes.latents[evaluated.codes.values > 0]
        state.rows_since_fired += n_rows
        state.rows_since_fired[active] = 0
        smallest = evaluated.smallest_kept
        if smallest is not None:
            stays = share_that_stays(state.step)
            state.threshold *= stays
            state.threshold += (1 - stays) * np.array([smallest, 1.0])
        if problem.target_l0 is not None and is_risen:
            ratio = len(active) / n_rows / problem.target_l0
            state.weight *= min(max(ratio, LEAST_RATIO), MOST_RATIO) ** CONTROL

    def _updating(self, rate: float, step: int) -> Any:
        """Return a function that updates a part of θ by its gradient."""
        moments = [self.state.moments[name] for name in self._solver.moment_names]

        def update(part: slice, gradient: FloatArray, worker: int) -> None:
            for small in theta_parts(part.stop - part.start):
                place = slice(part.start + small.start, part.start + small.stop)
                n_numbers = small.stop - small.start
                if self._scratch[worker].size < n_numbers:
                    self._scratch[worker] = empty_aligned((n_numbers,), self.state.theta.dtype)
                self._solver._update(
                    self.state.theta[place],
                    gradient[small],
                    [moment[place] for moment in moments],
                    self._scratch[worker][:n_numbers],
                    rate,
                    step,
                )

        return update

    def _room_for(self, X: FloatArray, name: str) -> FloatArray:
        """Return memory for scaled rows."""
        if (name, len(X)) not in self._scaled:
            self._scaled[name, len(X)] = empty_aligned(X.shape, X.dtype)
        return self._scaled[name, len(X)]


def share_that_stays(step: int) -> float:
    """Return the share of an average of thresholds that stays when that of a batch is added; steps count from 1."""
    return min(_AVERAGING, max(0.0, 1 - _REACH / step))
