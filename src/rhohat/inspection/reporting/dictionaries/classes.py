"""Classes of labelled rows on the page about a dictionary: their strongest latents, and probes of few latents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array, vstack

from rhohat.data import RowSource
from rhohat.inspection.metrics import SparseProbing, sparse_probing
from rhohat.inspection.metrics.class_labels import check_classes
from rhohat.inspection.metrics.labels import ClassStatistics
from rhohat.inspection.reporting.page_data import Column, PageData

__all__ = ["ClassesOfRows", "MeasuredClasses"]

_MOST_CLASSES = 200
_MOST_PROBED = 20_000  # rows whose codes are kept for probes
_MOST_NUMBERS = 500_000  # correlations of all latents with all classes, by which latents are sorted
_N_STRONGEST = 10  # latents of each class
_K = (1, 2, 5)  # latents of a probe


@dataclass(frozen=True)
class ClassesOfRows:
    """The classes of the rows of a source.

    Attributes
    ----------
    classes : array of shape (n_classes,)
        Labels of the classes, sorted.
    numbers : array of int, of shape (n_rows,)
        Number of the class of each row.
    """

    classes: NDArray[Any]
    numbers: NDArray[np.intp]

    @classmethod
    def of(cls, labels: ArrayLike, source: RowSource) -> ClassesOfRows:
        """Return the classes that labels say, one for each row or for each row found before some were left out.

        Raises
        ------
        ValueError
            If there is not one label for each row, or there are less than 2 or more than 200 classes.
        """
        found = np.asarray(labels)
        if source.kept is not None and len(found) == source.n_rows_found:
            found = found[source.kept]
        classes, numbers = check_classes(found, len(source), source.name)
        if len(classes) > _MOST_CLASSES:
            raise ValueError(
                f"labels must have at most {_MOST_CLASSES} classes; got {len(classes):,}. Numbers that are no classes"
                " must be put into few groups first."
            )
        return cls(classes, numbers)


class MeasuredClasses:
    """What is known of classes after a pass over rows.

    Parameters
    ----------
    classes : ClassesOfRows
    n_measured : int
        Number of rows that will be measured, of which some are kept for probes, spread evenly.

    Attributes
    ----------
    classes : ClassesOfRows
    statistics : ClassStatistics
    """

    def __init__(self, classes: ClassesOfRows, n_measured: int) -> None:
        self.classes, self.statistics = classes, ClassStatistics(len(classes.classes))
        self._step, self._seen = -(-n_measured // _MOST_PROBED), 0
        self._codes: list[csr_array] = []
        self._numbers: list[NDArray[np.intp]] = []

    def update(self, codes: csr_array, first: int) -> None:
        """Add the codes of successive rows, the first of which has the number `first`."""
        numbers = self.classes.numbers[first : first + codes.shape[0]]
        self.statistics.update(codes, numbers)
        kept = np.arange(-self._seen % self._step, codes.shape[0], self._step)
        self._codes.append(codes[kept])
        self._numbers.append(numbers[kept])
        self._seen += codes.shape[0]

    def probing(self) -> tuple[SparseProbing, int] | None:
        """Return probes of the kept rows and the number of these rows; None if fewer than two classes have two rows."""
        codes, numbers = csr_array(vstack(self._codes)), np.concatenate(self._numbers)
        enough = np.bincount(numbers, minlength=len(self.classes.classes)) >= 2
        if np.count_nonzero(enough) < 2:
            return None
        kept = np.flatnonzero(enough[numbers])
        k = [number for number in _K if number <= codes.shape[1]]
        return sparse_probing(codes[kept], self.classes.classes[numbers[kept]], k), len(kept)

    def page_data(self) -> PageData:
        """Return the classes, their strongest latents and the accuracy of probes, for the script of the page."""
        names = [str(name) for name in self.classes.classes]
        found = self.statistics.strongest(self.classes.classes, _N_STRONGEST)
        probed = self.probing()
        record: dict[str, Any] = {
            "names": names,
            "counts": self.statistics.n_rows.tolist(),
            "latents": found.latents.tolist(),
            "correlations": found.correlation.round(4).tolist(),
            "inside": found.density_inside.round(5).tolist(),
            "outside": found.density_outside.round(5).tolist(),
        }
        if probed is not None:
            probing, n_rows = probed
            accuracy = {str(name): values for name, values in zip(probing.classes, probing.accuracy, strict=True)}
            record["probing"] = {
                "k": list(probing.k),
                "nRows": n_rows,
                "accuracy": [accuracy[name].round(4).tolist() if name in accuracy else None for name in names],
            }
        correlation = self.statistics.correlation
        if correlation.size > _MOST_NUMBERS:
            return PageData({"classes": record})
        numbers = np.rint(32767 * correlation).astype(np.int16)
        return PageData({"classes": record}, {"classCorrelations": Column.of(numbers)})
