"""The figures at the top of the page about a dictionary, each explained in a sentence."""

from __future__ import annotations

from rhohat.inspection.evaluated import DictionaryEvaluation
from rhohat.inspection.reporting.figures import Figure, about_dead
from rhohat.inspection.reporting.rounding import show

__all__ = ["figures_of_dictionary"]


def figures_of_dictionary(found: DictionaryEvaluation, target_l0: float | None = None) -> list[Figure]:
    """Return the figures that summarize a dictionary, which the fit may have drawn towards a mean L0."""
    return [*_of_reconstructions(found), *_of_codes(found, target_l0), *_of_weights(found)]


def _of_reconstructions(found: DictionaryEvaluation) -> list[Figure]:
    return [
        Figure(
            "explained variance",
            show(found.explained_variance or 0.0),
            "Fraction of the rows’ variance, about the mean of each feature, that the reconstructions explain: 1 is all"
            " of it, 0 is no better than those means.",
        ),
        Figure(
            "FVU",
            show(found.fraction_of_variance_unexplained),
            "Fraction of the rows’ variance that remains unexplained: 1 − explained variance.",
        ),
        Figure(
            "cosine",
            show(found.mean_cosine),
            "Cosine of the angle between a row and its reconstruction, averaged over rows: 1 is the same direction.",
        ),
        Figure(
            "norm ratio",
            show(found.norm_ratio),
            "Norm of a reconstruction divided by the norm of its row, averaged over rows: below 1, reconstructions are"
            " too small.",
        ),
        Figure(
            "relative bias",
            show(found.relative_reconstruction_bias),
            "Squared norms of the reconstructions divided by their inner products with the rows: 1 is unbiased, less"
            " means that reconstructions shrink.",
        ),
    ]


def _of_codes(found: DictionaryEvaluation, target_l0: float | None) -> list[Figure]:
    above = "above 0" if found.threshold == 0 else f"above {show(found.threshold)}"
    target = "" if target_l0 is None else f" The fit aimed at {target_l0:g} (target_l0)."
    n_dense = round(found.dense_fraction * found.n_units)
    return [
        Figure(
            "L0",
            show(found.l0),
            f"Number of latents, out of {found.n_units:,}, that are active on a row, averaged over rows. A latent is"
            f" active where its activation is {above}.{target}",
        ),
        Figure("L1", show(found.l1), "Sum of the activations of a row, averaged over rows."),
        Figure(
            "dead latents",
            f"{found.density_histogram.n_dead:,}",
            about_dead(found.density_histogram.n_dead, found.n_units, "latent"),
        ),
        Figure(
            "dense latents",
            f"{n_dense:,}",
            (f"{show(100 * found.dense_fraction)} % of the latents. " if n_dense else "")
            + "Latents that are active on more than a tenth of these rows.",
        ),
    ]


def _of_weights(found: DictionaryEvaluation) -> list[Figure]:
    encoder = Figure(
        "encoder–decoder cosine",
        show(found.encoder_decoder_cosine_median),
        "Cosine of the angle between the encoder’s and the decoder’s weights of a latent: the median over latents.",
    )
    if found.n_units == 1:
        return [encoder]
    return [
        Figure(
            "nearest cosine, median",
            show(found.decoder_cosine_median),
            "Cosine of the angle between a latent’s row of the decoder and the one nearest to it: the median over"
            " latents.",
        ),
        Figure(
            "nearest cosine, maximum",
            show(found.decoder_cosine_maximum),
            "The same for the two latents that are nearest to each other: near 1, two latents have learned the same.",
        ),
        encoder,
    ]
