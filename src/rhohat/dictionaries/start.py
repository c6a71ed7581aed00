"""The start of a dictionary: its problem and its first parameters, by a sample of the rows that it will learn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.randomness import keyed_generator
from rhohat.dictionaries.dead_latents import AuxiliaryLoss
from rhohat.dictionaries.parameters import Layout, Parameters
from rhohat.dictionaries.scaling import scaling_of
from rhohat.dictionaries.selections import Selection
from rhohat.dictionaries.training import DictionaryProblem

__all__ = ["DictionaryStart"]

_ROWS_FOR_BIASES = 4096  # rows by which initial biases are chosen
_LATENTS_AT_ONCE = 256  # latents whose pre-activations on these rows are held at a time


@dataclass(frozen=True)
class DictionaryStart:
    """Settings of a dictionary, from which a sample of rows makes its problem and its first parameters.

    Attributes
    ----------
    selection : Selection
    n_latents : int
    normalize : {"mean_norm", "layer_norm"} or None
        See `scaling_of`.
    center : bool
        Whether the encoder sees rows about their mean.
    decoder_norm, dead_after, sparsity_weight, target_l0
        See `DictionaryProblem`.
    auxiliary_weight : float
        Weight α of the auxiliary loss; 0 for none.
    active_at_start : float or None
        Mean number of latents that are active at the start, which biases of the encoder see to; None for biases of 0.
    has_skip : bool
        Whether a linear connection leads from the input to the output.
    """

    selection: Selection
    n_latents: int
    normalize: str | None
    center: bool
    decoder_norm: bool
    auxiliary_weight: float
    dead_after: int
    sparsity_weight: float
    target_l0: float | None
    active_at_start: float | None
    has_skip: bool

    def problem(self, sample: Sequence[FloatArray]) -> DictionaryProblem:
        """Return the problem for a sample of the rows, and of the outputs of a transcoder."""
        X, Y = sample[0], sample[1] if len(sample) > 1 else None
        n_outputs = X.shape[1] if Y is None else Y.shape[1]
        scaling, output_scaling = scaling_of(self.normalize, X, self.center), None
        if Y is not None:
            output_scaling = scaling_of("mean_norm" if self.normalize else None, Y, self.center)
            if self.center:
                rows = scaling.apply(X, np.empty_like(X))
                scaling = replace(scaling, shift=rows.mean(0, dtype=np.float64))
        return DictionaryProblem(
            layout=Layout(X.shape[1], self.n_latents, n_outputs, self.selection.names, has_skip=self.has_skip),
            scaling=scaling,
            center=self.center and Y is None,
            decoder_norm=self.decoder_norm,
            auxiliary=self._auxiliary(n_outputs),
            output_scaling=output_scaling,
            **self._settings,
        )

    def problem_and_theta(self, sample: Sequence[FloatArray], seed: int) -> tuple[DictionaryProblem, FloatArray]:
        """Return the problem, and the initial θ that a seed draws for it.

        The rows of the decoder are random directions. The encoder has the same ones, or its own in a transcoder. The
        bias of the decoder is the mean of the rows.
        """
        problem = self.problem(sample)
        layout, X, Y = problem.layout, sample[0], sample[-1]
        rows = outputs = problem.scaling.apply(X, np.empty_like(X))
        if problem.output_scaling is not None:
            outputs = problem.output_scaling.apply(Y, np.empty_like(Y))
        mean: FloatArray = outputs.mean(0, dtype=np.float64)
        draw = keyed_generator(seed, "initial weights")
        encoder = _directions(draw, layout.n_latents, layout.n_features)
        decoder = encoder if len(sample) == 1 else _directions(draw, layout.n_latents, layout.n_outputs)
        bias: FloatArray = np.zeros(layout.n_latents)
        if self.active_at_start is not None:
            share = min(0.5, self.active_at_start / layout.n_latents)
            some = rows[:_ROWS_FOR_BIASES].astype(np.float64)
            bias = _biases_for_share(some - mean if problem.center else some, encoder, share)
        skip = np.zeros((layout.n_features, layout.n_outputs)) if self.has_skip else None
        own = self.selection.initial(layout.n_latents)
        return problem, layout.pack(Parameters(encoder.astype(X.dtype), decoder, bias, mean, own, skip))

    def changed(self, problem: DictionaryProblem) -> DictionaryProblem:
        """Return the problem of a training that goes on with these settings.

        What its parameters were learned with stays: how rows are scaled and centred, and whether the decoder has norms.
        """
        return replace(problem, **self._settings, auxiliary=self._auxiliary(problem.layout.n_outputs))

    @property
    def _settings(self) -> dict[str, Any]:
        return {
            "selection": self.selection,
            "dead_after": self.dead_after,
            "sparsity_weight": self.sparsity_weight,
            "target_l0": self.target_l0,
        }

    def _auxiliary(self, n_outputs: int) -> AuxiliaryLoss | None:
        return AuxiliaryLoss(self.auxiliary_weight, max(1, n_outputs // 2)) if self.auxiliary_weight else None


def _directions(draw: np.random.Generator, n: int, n_features: int) -> FloatArray:
    """Return random rows of norm 1."""
    rows: FloatArray = draw.standard_normal((n, n_features))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def _biases_for_share(rows: FloatArray, directions: FloatArray, share: float) -> FloatArray:
    """Return biases with which each latent is active in a given share of the rows."""
    place = min(int((1 - share) * len(rows)), len(rows) - 1)
    parts = [directions[start : start + _LATENTS_AT_ONCE] for start in range(0, len(directions), _LATENTS_AT_ONCE)]
    return np.concatenate([-np.partition(rows @ part.T, place, axis=0)[place] for part in parts])
