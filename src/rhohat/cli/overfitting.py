"""What `train` says of a training that ends at `--max-iter`: whether more iterations would help the held-out rows."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import numpy as np

from rhohat.cli.held_out import Held
from rhohat.common.arrays import FloatArray
from rhohat.common.exceptions import ConvergenceWarning, DeadLatentsWarning
from rhohat.common.words import Sentence, Setting, counted
from rhohat.inspection.evaluation import evaluate
from rhohat.models.pipelines import estimator_of
from rhohat.solvers import IterationState

__all__ = ["Overfitting"]

_KEPT_AT = (0.25, 0.5, 0.9)  # fractions of the iterations after which θ is kept
_CLEARLY = 0.01  # fraction by which the loss must have been lower earlier


class Overfitting:
    """Callback that keeps θ after some of the iterations, to compare the loss on held-out rows with that at the end.

    Parameters
    ----------
    max_iter : int or None, default=None
        Largest number of iterations; `expect` sets it where it is known later.
    """

    def __init__(self, max_iter: int | None = None) -> None:
        self._max_iter = max_iter
        self._kept: dict[int, FloatArray] = {}

    def expect(self, max_iter: int | None) -> None:
        """Take note of the largest number of iterations."""
        self._max_iter = max_iter

    def __call__(self, state: IterationState) -> None:
        """Keep θ after a quarter of the iterations, half of them, and nine tenths of them."""
        if self._max_iter is None or state.n_rows is not None or state.measures:
            return
        if state.iteration in {int(fraction * self._max_iter) for fraction in _KEPT_AT}:
            self._kept[state.iteration] = np.array(state.theta)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return the object itself, as scikit-learn copies the callbacks of estimators within others."""
        return self

    @contextmanager
    def judging(self, model: Any, held: Held) -> Iterator[None]:
        """Context manager around a fit, whose advice to iterate on is replaced if the held-out rows do not support it.

        Parameters
        ----------
        model : estimator or Pipeline
            What is fitted inside the `with` block.
        held : Held
            Rows of the training, and those that are held out.
        """
        advice: list[tuple[Any, Any, str, int]] = []
        with warnings.catch_warnings():
            # The summary says how many units are dead, on all rows.
            warnings.filterwarnings("ignore", message=r".* dead: no row activates", category=DeadLatentsWarning)
            show = warnings.showwarning

            def keep(message: Any, category: Any, filename: str, lineno: int, *more: Any, **named: Any) -> None:
                if held.out is not None and issubclass(category, ConvergenceWarning):
                    advice.append((message, category, filename, lineno))
                else:
                    show(message, category, filename, lineno, *more, **named)

            warnings.showwarning = keep
            yield
        said = self._said_of(model, held) if advice else None
        if said is not None:
            estimator_of(model).solver_message_ = str(said)
            advice = [(ConvergenceWarning(said), ConvergenceWarning, __file__, 0)]
        for message, category, filename, lineno in advice:
            warnings.showwarning(message, category, filename, lineno)

    def _said_of(self, model: Any, held: Held) -> Sentence | None:
        """Return what is said if the loss on the held-out rows was clearly lower before the end; else None."""
        estimator = estimator_of(model)
        if getattr(estimator, "solver_status_", "") != "max_iter":
            return None
        end = _loss(model, held)
        if end is None or not end > 0:
            return None
        earlier = {}
        for iteration, theta in self._kept.items():
            if theta.size == estimator.theta_.size:
                with _at(estimator, theta):
                    earlier[iteration] = _loss(model, held) or end
        best = min(earlier, key=lambda iteration: earlier[iteration], default=0)
        if not earlier or earlier[best] > end * (1 - _CLEARLY):
            return None
        lower = 100 * (1 - earlier[best] / end)
        return Sentence(
            f"{counted(estimator.n_iter_, 'iteration')} were done, and J was still falling on the rows of the training;"
            f" but the loss on the held-out rows no longer falls: it was {lower:.2g} % lower after {best:,}. More"
            " iterations would not help them; ",
            *(Setting("early_stopping", True), ", fewer units or a larger ", Setting("weight_decay"), " may."),
        )


def _loss(model: Any, held: Held) -> float | None:
    """Return the loss on the held-out rows, without penalties; None if it cannot be computed."""
    found = evaluate(model, held.out, held.y_out)
    return next(iter(found.terms.values()), None)


@contextmanager
def _at(estimator: Any, theta: FloatArray) -> Iterator[None]:
    """Context manager in which a network has the parameters θ."""
    names = ("coefs_", "intercepts_", "activation_parameters_")
    own = {name: getattr(estimator, name) for name in names}
    parts = estimator.network_.unpack(theta.astype(estimator.coefs_[0].dtype))
    try:
        for name, part in zip(names, parts, strict=True):
            setattr(estimator, name, part)
        yield
    finally:
        for name, part in own.items():
            setattr(estimator, name, part)
