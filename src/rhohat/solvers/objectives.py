"""What solvers ask of the function that they minimise: a callable, and what else it may be able to do."""

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

#: θ → (value, gradient) or (value, gradient, terms), terms being a dict of named parts of the value.
ObjectiveFunction: TypeAlias = Callable[[FloatArray], Any]


@runtime_checkable
class ObjectiveWithTerms(Protocol):
    """An objective that names the parts of its value; `evaluate` is called instead of the objective itself."""

    def evaluate(self, theta: FloatArray) -> tuple[float, FloatArray, dict[str, float]]:
        """Return the value, the gradient and the terms at θ."""


@runtime_checkable
class ObjectiveWithCost(Protocol):
    """An objective whose value can be had without the gradient."""

    def cost(self, theta: FloatArray) -> tuple[float, dict[str, float]]:
        """Return the value and its terms at θ."""


@runtime_checkable
class ObjectiveWithHessian(Protocol):
    """An objective that knows its second derivatives, one product at a time."""

    def hessian_vector_product(self, theta: FloatArray, v: FloatArray) -> FloatArray:
        """Return ∇²J(θ) v, of shape (n_parameters,)."""


#: Called with a part of θ's places, the gradient there, and the number of the thread that calls.
PartFunction: TypeAlias = Callable[[slice, FloatArray, int], None]


@runtime_checkable
class ObjectiveInParts(Protocol):
    """An objective of a mini-batch that can hand its gradient over part by part, by several threads."""

    def evaluate_in_parts(self, theta: FloatArray, use: PartFunction) -> tuple[float, dict[str, float]]:
        """Return the value and its terms, having called `use` for every part, unless the value is not finite."""


@runtime_checkable
class ObjectiveWithBatches(Protocol):
    """An objective that is a mean over rows and can be had a few rows at a time.

    With an attribute `n_samples`, the number of rows in an epoch, schedules of the learning rate go on within an
    epoch; without, from epoch to epoch. With an attribute `dtype`, θ is kept in that precision while it is trained.
    """

    def batches(self, epoch: int, batch_size: int) -> Iterable[tuple[ObjectiveFunction, int]]:
        """Yield a pair for every mini-batch of an epoch: its objective, and its number of rows.

        The rows are shuffled by whoever implements this; the same epoch, counted from 0, gives the same batches.
        The θ that a batch's objective gets is changed in place afterwards. A run that is resumed in the middle of an
        epoch asks for ``batches(epoch, batch_size, first_batch=k)``: those from the k-th on, counted from 0.
        """


@runtime_checkable
class ObjectiveWithValidation(Protocol):
    """An objective that holds rows out."""

    def validate(self, theta: FloatArray) -> float:
        """Return the cost at θ on the rows held out."""


@runtime_checkable
class ObjectiveWithState(Protocol):
    """An objective with something beside θ that has to survive a mini-batch, such as counters of silent units."""

    def step_state(self) -> dict[str, NDArray[Any]]:
        """Return arrays by name, the same ones each time.

        Mini-batches change them in place while they are evaluated with their gradient. They are kept in checkpoints,
        and put back, in place, when a run is resumed.
        """


@runtime_checkable
class ObjectiveWithConstraint(Protocol):
    """An objective whose θ has to stay somewhere, such as where rows of a matrix have the norm 1."""

    def constrain(self, theta: FloatArray) -> None:
        """Bring θ back, in place; called after every step of a solver by mini-batches."""
