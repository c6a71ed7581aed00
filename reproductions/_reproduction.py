"""What a reproduction is: figures with targets, a run for each seed, a picture."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import pyplot

from reproductions._data import DataMissingError
from rhohat.common.exceptions import ConvergenceWarning, MissingExtraError

__all__ = ["NAMES", "Figure", "Finding", "Outcome", "Reproduction", "load", "reproduce"]

#: The scripts, in the order of the report.
NAMES = (
    "edges",
    "orientations",
    "pen_strokes",
    "colour",
    "softmax",
    "lenet",
    "digits_row_by_row",
    "self_taught",
    "convolved_features",
    "stacked",
    "denoising_filters",
    "denoising_photographs",
    "convolutional_denoising",
    "denoising_stack",
    "features",
    "noisy_labels",
    "tangent_propagation",
    "noise_covariance",
    "audio",
    "adding_problem",
    "jsb_chorales",
    "spectrogram_units",
    "dictionary_recovery",
    "many_features",
    "dictionary_frontier",
    "matryoshka_features",
    "transformer_states",
)


@dataclass(frozen=True)
class Figure:
    """A number that every run gives, and what its mean over the seeds is to reach.

    Attributes
    ----------
    name : str
    at_least, at_most : float or None
        The target. Without one, the figure is told and not judged.
    fast : float or None
        The limit in place of the target in a fast run, which sees fewer rows and iterations; None: it is not judged.
    form : str
        How it is printed, as in a format string; one that ends in % is for fractions.
    """

    name: str
    at_least: float | None = None
    at_most: float | None = None
    fast: float | None = None
    form: str = ".3f"

    def __post_init__(self) -> None:
        assert self.at_least is None or self.at_most is None, "one limit to a figure"

    def limit(self, fast: bool) -> str:
        """Return what is to be reached, in words, or nothing."""
        bound = self._bound(fast)
        return "" if bound is None else f"{'≥' if self.at_least is not None else '≤'} {self._show(bound)}"

    def is_reached(self, values: Sequence[float], fast: bool) -> bool:
        """Return whether the mean over seeds is on the right side; NaN is on none."""
        bound, mean = self._bound(fast), float(np.mean(values))
        if bound is None:
            return True
        return mean >= bound if self.at_least is not None else mean <= bound

    def show(self, values: Sequence[float]) -> str:
        """Return mean ± standard deviation over the seeds, or the number if there is one seed."""
        if len(values) == 1:
            return self._show(values[0])
        mean, deviation = self._show(np.mean(values)), self._show(np.std(values, ddof=1))
        return f"{mean.removesuffix(' %')} ± {deviation}"

    def _bound(self, fast: bool) -> float | None:
        if fast:
            return self.fast
        return self.at_most if self.at_least is None else self.at_least

    def _show(self, value: float) -> str:
        if self.form.endswith("%"):
            return f"{100 * value:{self.form.replace('%', 'f')}} %"
        return f"{value:{self.form}}"


@dataclass(frozen=True)
class Outcome:
    """What one run found: the figures by name, and whatever the picture needs."""

    figures: dict[str, float]
    shown: Any = None


@dataclass(frozen=True)
class Reproduction:
    """A published result and how to find it again.

    Attributes
    ----------
    published : str
        What was published, and where.
    figures : sequence of Figure
    run : callable
        (seed, fast) → Outcome, with a number for every figure.
    draw : callable
        (what each run gave to be shown, path of a PNG file) → None.
    n_seeds : int
    tried : str
        What was tried, where a figure falls short.
    """

    published: str
    figures: Sequence[Figure]
    run: Callable[[int, bool], Outcome]
    draw: Callable[[Sequence[Any], Path], None]
    n_seeds: int = 5
    tried: str = ""


@dataclass(frozen=True)
class Finding:
    """What came out: values of each figure over the seeds, by name, seconds of each run; or why there is nothing."""

    name: str
    title: str
    text: str
    reproduction: Reproduction
    fast: bool
    values: dict[str, list[float]] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    missing: str = ""

    @property
    def falls_short(self) -> list[Figure]:
        """The figures that miss their targets."""
        return [
            f
            for f in self.reproduction.figures
            if f.name in self.values and not f.is_reached(self.values[f.name], self.fast)
        ]


def load(name: str) -> tuple[str, str, Reproduction]:
    """Return title, text and definition of a reproduction."""
    module = import_module(f"reproductions.{name}")
    title, _, text = module.__doc__.strip().split("\n", 2)
    return title, text.strip(), module.REPRODUCTION


def reproduce(
    name: str, pictures: Path, fast: bool = False, announce: Callable[[str], None] = lambda line: None
) -> Finding:
    """Run a reproduction with its seeds, one in a fast run, and draw what they found.

    Nothing is said about fits that had not converged: the number of iterations is a choice of each script.
    """
    title, text, reproduction = load(name)
    values: dict[str, list[float]] = {figure.name: [] for figure in reproduction.figures}
    seconds, shown = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for seed in range(1 if fast else reproduction.n_seeds):
            start = time.perf_counter()
            try:
                outcome = reproduction.run(seed, fast)
            except (DataMissingError, MissingExtraError) as error:
                return Finding(name, title, text, reproduction, fast, missing=str(error))
            seconds.append(time.perf_counter() - start)
            for figure_name, column in values.items():
                column.append(float(outcome.figures[figure_name]))
            told = ", ".join(f"{f.name} {f.show([values[f.name][-1]])}" for f in reproduction.figures)
            announce(f"{title}, seed {seed}, {seconds[-1]:.0f} s: {told}")
            shown.append(outcome.shown)
        reproduction.draw(shown, pictures / f"{name}.png")
        pyplot.close("all")
    return Finding(name, title, text, reproduction, fast, values, seconds)
