"""Weights for rows as they are, of a dictionary that was trained on scaled rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rhohat.common.arrays import FloatArray
from rhohat.common.forks import cached
from rhohat.dictionaries.parameters import Parameters
from rhohat.dictionaries.scaling import Scaling
from rhohat.dictionaries.training import DictionaryProblem

__all__ = ["Folding", "folded", "unfolded"]


class Folding:
    """A dictionary that takes rows as they are, made of one that was trained on scaled rows when it is first needed.

    Parameters
    ----------
    problem : DictionaryProblem
    theta : array of shape (n_parameters,)
    """

    def __init__(self, problem: DictionaryProblem, theta: FloatArray) -> None:
        self._problem, self._theta = problem, theta

    @cached
    def in_use(self) -> tuple[DictionaryProblem, FloatArray]:
        """Problem and θ of the dictionary that takes rows as they are."""
        return folded(self._problem, self._theta)


def folded(problem: DictionaryProblem, theta: FloatArray) -> tuple[DictionaryProblem, FloatArray]:
    """Return an equal dictionary that takes rows as they are: the common factor of all rows is part of its weights.

    What is done to each row by itself stays.

    Parameters
    ----------
    problem : DictionaryProblem
    theta : array of shape (n_parameters,)

    Returns
    -------
    problem : DictionaryProblem
    theta : array of shape (n_parameters,)
        The array itself if there is nothing to be done.
    """
    scaling, outputs = problem.scaling, problem.output_scaling or problem.scaling
    factor, output_factor = theta.dtype.type(scaling.factor), theta.dtype.type(outputs.factor)
    if factor == 1 and output_factor == 1 and scaling.shift is None:
        return problem, theta
    known, rows_by_themselves = problem.layout.views(theta), scaling.by_rows
    bias, of_latents = known.encoder_bias, known.of_latents
    if scaling.shift is not None:
        products = known.encoder @ scaling.shift.astype(theta.dtype)
        bias, of_latents = bias - products, problem.selection.unshifted(of_latents, products)
    skip, decoder_bias = known.skip, known.decoder_bias / output_factor
    if skip is not None:
        skip = skip * (factor / output_factor)
        if scaling.shift is not None:
            decoder_bias = decoder_bias - scaling.shift.astype(theta.dtype) @ skip / factor
    parameters = Parameters(
        np.multiply(known.encoder, factor),
        np.divide(known.decoder, output_factor),
        bias,
        decoder_bias,
        of_latents,
        skip,
    )
    unscaled = Scaling(by_rows=rows_by_themselves)
    output_scaling = None if problem.output_scaling is None else Scaling()
    return replace(problem, scaling=unscaled, output_scaling=output_scaling), problem.layout.pack(parameters)


def unfolded(problem: DictionaryProblem, theta: FloatArray, factor: float) -> tuple[DictionaryProblem, FloatArray]:
    """Return an equal dictionary that takes rows that are scaled by a factor; the inverse of `folded` up to rounding.

    Parameters
    ----------
    problem : DictionaryProblem
        Problem of an autoencoder without a common factor.
    theta : array of shape (n_parameters,)
    factor : float

    Returns
    -------
    problem : DictionaryProblem
    theta : array of shape (n_parameters,)
        The array itself if the factor is 1.
    """
    if factor == 1:
        return problem, theta
    known, by = problem.layout.views(theta), theta.dtype.type(factor)
    with np.errstate(all="ignore"):
        parameters = replace(
            known, encoder=known.encoder / by, decoder=known.decoder * by, decoder_bias=known.decoder_bias * by
        )
    return replace(problem, scaling=replace(problem.scaling, factor=factor)), problem.layout.pack(parameters)
