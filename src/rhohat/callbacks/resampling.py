"""The callback by which dead latents of a dictionary begin anew."""

from __future__ import annotations

from typing import Any

from rhohat.common.randomness import keyed_generator
from rhohat.solvers import IterationState

__all__ = ["ResampleDeadLatents"]


class ResampleDeadLatents:
    """Callback for dictionaries that lets dead latents begin anew at rows that are reconstructed badly.

    Every so many rows, the decoder's row of each dead latent becomes the direction of a row of the last batch, drawn in
    proportion to its squared loss; the encoder's row the same direction, at a fifth of the mean norm of the others; and
    its bias and the solver's moments become 0. A latent is dead after `dead_after` rows without being active, which is
    a parameter of the dictionary. It helps where the auxiliary loss does not, or in its place.

    Parameters
    ----------
    every : int, default=1_000_000
        Number of rows from one time to the next, at least 1; it takes place at the end of an iteration.
    n_times : int, default=4
        Largest number of times, at least 1, so that a training ends undisturbed.
    seed : int, default=0
        Seed of the draws.

    Attributes
    ----------
    n_resampled : list of int
        Number of latents that began anew, for each time; a fit that is resumed goes on with its count.

    References
    ----------
    Bricken, T. et al. (2023). Towards monosemanticity: decomposing language models with dictionary learning.
    Transformer Circuits Thread, on neuron resampling.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import TopKAutoencoder
    >>> from rhohat.callbacks import ResampleDeadLatents
    >>> X = np.random.default_rng(0).standard_normal((500, 16))
    >>> resampling = ResampleDeadLatents(every=1000)
    >>> dictionary = TopKAutoencoder(64, 2, dead_after=500, max_iter=20, random_state=0, callbacks=[resampling]).fit(X)
    >>> len(resampling.n_resampled)
    4
    """

    def __init__(self, every: int = 1_000_000, n_times: int = 4, seed: int = 0) -> None:
        if every < 1 or n_times < 1:
            raise ValueError(f"every and n_times must be at least 1; got {every} and {n_times}.")
        self.every, self.n_times, self.seed = every, n_times, seed
        self.n_resampled: list[int] = []

    def __call__(self, state: IterationState) -> None:
        """Do nothing; dictionaries call `change`, which lets dead latents begin anew."""

    def change(self, trainer: Any) -> None:
        """Let dead latents begin anew, if it is time."""
        n_done, rows_then = trainer.resampled
        self.n_resampled = self.n_resampled[:n_done]  # fewer in another fit
        if n_done < self.n_times and trainer.n_rows - rows_then >= self.every:
            draw = keyed_generator(self.seed, "resampling", trainer.n_steps)
            self.n_resampled.append(trainer.resample(draw))
