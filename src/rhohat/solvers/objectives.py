"""Protocols of the functions that solvers minimise: a callable, and the optional methods that it may have."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeAlias, runtime_checkable

from numpy.typing import NDArray

from rhohat.common.arrays import FloatArray

__all__ = [
    "ObjectiveFunction",
    "ObjectiveInParts",
    "ObjectiveWithBatches",
    "ObjectiveWithConstraint",
    "ObjectiveWithCost",
    "ObjectiveWithHessian",
    "ObjectiveWithState",
    "ObjectiveWithTerms",
    "ObjectiveWithValidation",
    "PartFunction",
]

#: Function θ → (value, gradient) or (value, gradient, terms), where terms is a dict of the named parts of the value.
ObjectiveFunction: TypeAlias = Callable[[FloatArray], Any]


@runtime_checkable
class ObjectiveWithTerms(Protocol):
    """An objective that names the parts of its value; solvers call `evaluate` instead of the objective itself."""

    def evaluate(self, theta: FloatArray) -> tuple[float, FloatArray, dict[str, float]]:
        """Return the value, the gradient and the terms at θ."""


@runtime_checkable
class ObjectiveWithCost(Protocol):
    """An objective that can compute its value without the gradient."""

    def cost(self, theta: FloatArray) -> tuple[float, dict[str, float]]:
        """Return the value and its terms at θ."""


@runtime_checkable
class ObjectiveWithHessian(Protocol):
    """An objective that computes products of its Hessian with a vector."""

    def hessian_vector_product(self, theta: FloatArray, v: FloatArray) -> FloatArray:
        """Return ∇²J(θ) v, of shape (n_parameters,)."""


#: Function that is called with a slice of θ's indices, the gradient of that slice, and the index of the calling thread.
PartFunction: TypeAlias = Callable[[slice, FloatArray, int], None]


@runtime_checkable
class ObjectiveInParts(Protocol):
    """An objective of a mini-batch that can pass its gradient on in parts, from several threads."""

    def evaluate_in_parts(self, theta: FloatArray, use: PartFunction) -> tuple[float, dict[str, float]]:
        """Call `use` for every part of θ if the value is finite, and return the value and its terms."""


@runtime_checkable
class ObjectiveWithBatches(Protocol):
    """An objective that is a mean over rows and can be evaluated on mini-batches.

    If the objective has an attribute `n_samples`, the number of rows in an epoch, schedules change the learning rate
    within an epoch; otherwise they change it only from epoch to epoch. If the objective has an attribute `dtype`, θ is
    kept in that precision during training.
    """

    def batches(self, epoch: int, batch_size: int) -> Iterable[tuple[ObjectiveFunction, int]]:
        """Yield a pair for every mini-batch of an epoch: its objective, and its number of rows.

        The implementation shuffles the rows; the same epoch, counted from 0, must give the same batches. The θ that is
        passed to a batch's objective is changed in place afterwards. A run that is resumed in the middle of an epoch
        calls ``batches(epoch, batch_size, first_batch=k)``, which yields the batches from the k-th on, counted from 0.
        """


@runtime_checkable
class ObjectiveWithValidation(Protocol):
    """An objective with held-out rows, on which it can be evaluated for early stopping."""

    def validate(self, theta: FloatArray) -> float:
        """Return the cost at θ on the held-out rows."""


@runtime_checkable
class ObjectiveWithState(Protocol):
    """An objective with state besides θ that persists from one mini-batch to the next, such as inactivity counters."""

    def step_state(self) -> dict[str, NDArray[Any]]:
        """Return the state as arrays by name; every call returns the same arrays.

        Evaluating a mini-batch with its gradient changes the arrays in place. They are stored in checkpoints, and
        restored in place when a run is resumed.
        """


@runtime_checkable
class ObjectiveWithConstraint(Protocol):
    """An objective whose θ must satisfy a constraint, such as that the rows of a matrix have norm 1."""

    def constrain(self, theta: FloatArray) -> None:
        """Make θ satisfy the constraint, in place; mini-batch solvers call this after every step."""
