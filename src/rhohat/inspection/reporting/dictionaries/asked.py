"""What can be asked of a page about a dictionary beyond what all pages show: texts, labels, a second one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sklearn.utils.validation import check_is_fitted

from rhohat.data import RowSource
from rhohat.estimators.dictionary_use import UsableDictionary
from rhohat.inspection.dictionary_evaluation import evaluation_of
from rhohat.inspection.reporting.dictionaries.classes import ClassesOfRows
from rhohat.inspection.reporting.dictionaries.comparing import Comparison, compared
from rhohat.inspection.reporting.dictionaries.contexts import open_contexts, texts_of_harvest
from rhohat.inspection.reporting.dictionaries.geometry import check_projection
from rhohat.inspection.reporting.dictionaries.measuring import (
    DictionaryMeasurements,
    Latents,
    describe_latents,
    measure_dictionary,
)
from rhohat.inspection.reporting.dictionaries.row_pictures import RowPictures
from rhohat.models.pipelines import estimator_of, prepare_rows

__all__ = ["AskedOfDictionary"]


#: Parameters for dictionaries only, and what to do with other models.
_ELSEWHERE = {
    "texts": "name the rows by row_names instead",
    "compare": "leave it out",
    "images": "pass rows that are images",
    "labels": "pass the targets of a classifier as y",
}


@dataclass(frozen=True, kw_only=True)
class AskedOfDictionary:
    """The parameters of `report` that are for dictionaries only, see there."""

    texts: Any = None
    projection: str = "auto"
    compare: Any = None
    labels: Any = None
    images: Any = None

    def checked(self, model: Any, data: Any) -> AskedOfDictionary:
        """Return these parameters for a model and the data of its page, with the texts of a harvest.

        Raises
        ------
        ValueError
            If the model is no dictionary, but something was asked that only a page about a dictionary shows; if there
            is no such projection, or the second model is no dictionary.
        NotFittedError
            If the second model is not fitted.
        """
        check_projection(self.projection)
        if not estimator_of(model).has_sparse_codes:
            for name, instead in _ELSEWHERE.items():
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} is for the page about a dictionary only; {instead}.")
            return self
        if self.compare is not None:
            other = estimator_of(self.compare)
            check_is_fitted(other)
            if not other.has_sparse_codes:
                raise ValueError(f"compare must be a dictionary, as the model is; got {type(other).__name__}.")
        return self if self.texts is not None else replace(self, texts=texts_of_harvest(model, data))

    def content(
        self, model: Any, source: RowSource, prepared: RowSource, *, threshold: float, max_rows: int | None
    ) -> dict[str, Any]:
        """Return the measurements of a dictionary and whatever else was asked for, as arguments of its content.

        Parameters
        ----------
        model : fitted dictionary or pipeline
        source, prepared : RowSource
            The rows as they were opened for the model, and as the dictionary sees them.
        threshold : float
            A latent is active on a row if its activation is above this number.
        max_rows : int or None
            Largest number of rows to measure.
        """
        pictures = None if self.images is None else RowPictures(self.images, source)
        contexts = None if self.texts is None else open_contexts(self.texts, source)
        classes = None if self.labels is None else ClassesOfRows.of(self.labels, source)
        how: dict[str, Any] = {"threshold": threshold, "max_rows": max_rows, "contexts": contexts, "classes": classes}
        of_other = None if self.compare is None else _prepared_for(self.compare, source, prepared)
        measured = measure_dictionary(estimator_of(model), prepared, **how)
        latents = describe_latents(estimator_of(model), self.projection)
        found = {"measured": measured, "latents": latents, "pictures": pictures}
        if of_other is None:
            return found
        second = measure_dictionary(estimator_of(self.compare), of_other, **how)
        latents_of_second = describe_latents(estimator_of(self.compare), self.projection)
        comparison = _comparison(estimator_of(self.compare), (measured, latents), (second, latents_of_second))
        return {**found, "comparison": comparison}


def _prepared_for(model: Any, source: RowSource, prepared: RowSource) -> RowSource:
    """Return the rows as a second dictionary sees them, whose directions must be comparable with those of the first."""
    n_features = getattr(model, "n_features_in_", source.shape[1])
    if n_features != source.shape[1]:
        raise ValueError(
            f"compare must be a dictionary of the same rows: it has learned from {n_features} features, but"
            f" {source.name} has {source.shape[1]}."
        )
    of_other = prepare_rows(model, source)
    if of_other.shape[1] != prepared.shape[1]:
        raise ValueError(
            f"compare must be a dictionary that sees as many features as the first, after preprocessing:"
            f" {prepared.shape[1]}; it sees {of_other.shape[1]}."
        )
    return of_other


def _comparison(
    dictionary: UsableDictionary,
    first: tuple[DictionaryMeasurements, Latents],
    second: tuple[DictionaryMeasurements, Latents],
) -> Comparison:
    measured, latents = second
    evaluated = evaluation_of(dictionary, measured.activations, measured.reconstructions, latents.nearest_cosines)
    return Comparison(
        dictionary=dictionary, measured=measured, latents=latents, evaluated=evaluated, **compared(first, second)
    )
