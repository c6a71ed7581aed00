"""The report: one page about a fitted model, as a single file of HTML."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from rhohat.common.extras import import_extra
from rhohat.common.words import counted
from rhohat.estimators.large_rows import remark_on_large_rows
from rhohat.inspection.evaluation import evaluate
from rhohat.inspection.metrics import default_threshold
from rhohat.inspection.reporting.anomalies import find_anomalies
from rhohat.inspection.reporting.appearance import choose_image_shape, choose_names
from rhohat.inspection.reporting.confusion import confusion_of
from rhohat.inspection.reporting.content import Content
from rhohat.inspection.reporting.dictionaries import AskedOfDictionary, DictionaryContent
from rhohat.inspection.reporting.measuring import measure
from rhohat.inspection.reporting.page_content import PageContent
from rhohat.inspection.reporting.predicted import charts_of_predictions
from rhohat.inspection.reporting.record import MOST_TOP_ROWS
from rhohat.inspection.reporting.rendering import render
from rhohat.inspection.reporting.row_labels import RowLabels
from rhohat.inspection.reporting.units import describe_units, units_shown
from rhohat.inspection.reporting.writing import Page, is_folder, writing
from rhohat.inspection.sequences import n_units_of_code
from rhohat.models.pipelines import estimator_of, last_step_of, open_model_rows, prepare_rows

__all__ = ["report"]


def report(
    model: Any,
    data: Any,
    path: str | PathLike[str] | None = None,
    y: ArrayLike | None = None,
    *,
    image_shape: tuple[int, ...] | str | None = "auto",
    threshold: float | None = None,
    title: str | None = None,
    max_rows: int | None = None,
    n_reconstructions: int = 16,
    gabor: bool | None = None,
    row_names: str | int | Sequence[str] | None = None,
    texts: Any = None,
    projection: str = "auto",
    compare: Any = None,
    labels: ArrayLike | None = None,
    images: str | PathLike[str] | Sequence[str | PathLike[str]] | None = None,
) -> str:
    """Return one HTML page that shows what a model has learned, and optionally write it to a file.

    The page contains everything that it needs, and opens without an internet connection. It shows how the fit went,
    the mean activations and their target, explained variance, L0 and dead units, reconstructions beside the originals,
    and all units, which the reader can sort and filter. For each unit it shows the maximal input, the rows that
    activate the unit most, the histogram of its activations, and the units most similar to it.

    The page about a dictionary has a table of latents instead of a picture for each unit, so that there may be tens of
    thousands of them. It shows curves over the rows seen, histograms of densities and of L0, and for each latent its
    density, its mean and largest activation, the rows that activate it most, and the latents nearest to it.

    Parameters
    ----------
    model : fitted estimator, or Pipeline that ends in one
        An autoencoder, a stack of autoencoders, a supervised network, whose last hidden layer is shown, a dictionary,
        or a detector: its page begins with a histogram of its scores and the most unusual rows, with the columns that
        make them unusual, and continues with its autoencoder.
    data : path, array, DataFrame, Dask array or RowSource
        Rows in the form that the model was fitted to: anything that `open_rows` opens. They are read block by block,
        twice for a network and once for a dictionary, and are shown as the model sees them, after its preprocessing. A
        row source that is passed in stays open.
    path : path, default=None
        Path of the file to write, which ends in .html or .htm, or of a folder. An existing file is replaced once the
        new one is complete. In a folder, the page is index.html, and contexts of latents that have no room on it stand
        on further pages, which it links to. If None, no file is written.
    y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
        Targets of a classifier or regressor, for which the page then shows the score and, for a classifier, which
        classes it takes for which others. Other models ignore y.
    image_shape : {"auto"}, tuple of int or None, default="auto"
        Shape in which rows are drawn: (height, width) in grey; (height, width, 3) in colour; or (3, height, width) in
        colour if the rows hold all red values first, then all green, then all blue ones. If None, rows are drawn as
        bars, one for each feature. "auto": the shape that the rows have in `data`, or had in the fit. If the rows were
        flat, and there are 16 or more features without names, rows are drawn as squares where their number allows it,
        in grey or as (height, width, 3).
    threshold : float, default=None
        A unit is active on a row if its activation is above this number. If None, the threshold is the value that
        `rhohat.inspection.metrics.default_threshold` returns.
    title : str, default=None
        Title of the page. If None, the title consists of the names of the model and the data.
    max_rows : int, default=None
        Largest number of rows to measure. If there are more rows, a selection spread evenly over all rows is measured.
        If None, all rows are measured.
    n_reconstructions : int, default=16
        Number of rows that are shown beside their reconstructions.
    gabor : bool, default=None
        Whether to compute the R² of the best Gabor function for every unit, which is possible for grey images only: see
        `rhohat.gabor_fit`. This takes a while, and longer for larger images. If None, it is computed if images have at
        most 256 pixels and there are at most 256 units. It is not computed for dictionaries.
    row_names : str, int or sequence of str, default=None
        Names by which a reader recognises rows, such as texts, file names or dates: the name or the number of a column
        of `data`, if `data` is a DataFrame, a table of text such as CSV, or a Parquet file; or one string for each row
        of `data`. They stand beside the numbers of rows; in the page about a dictionary, latents are found by the names
        of their rows.
    texts : sequence of str, sequence of lists of str, or index of a harvest, default=None
        The texts that the rows come from, for the page about a dictionary: one text for each row; or the tokens of each
        text, with one row for each token, in the order of the rows. For each latent the page then shows the contexts
        that activate it most, with its activation on each token, and latents are found by what their contexts contain.
        No two of these contexts are of the same text. If None, and `data` is the folder of a harvest, its own texts are
        shown.
    projection : {"auto", "pca", "umap"}, default="auto"
        How the map of a dictionary's directions is made: by their first two principal components, or by UMAP, which
        needs the package umap-learn. "auto": by UMAP if it is installed and there are 20 to 30,000 latents.
    compare : fitted dictionary, or Pipeline that ends in one, default=None
        A second dictionary, for rows of as many features, which is measured on the same data: the page then shows
        which latents of the two are partners, side by side, and which have no counterpart. Up to 10,000 latents that
        are alive are matched so that the sum of the cosines of all pairs is largest. If there are more, two latents are
        partners if each is the most similar one to the other.
    labels : array-like of shape (n_samples,), default=None
        A class for each row, for the page about a dictionary: numbers or strings, 2 to 200 different ones. It then
        shows the latents whose activation is correlated most with each class, sorts latents by this correlation, and
        says how well probes of 1, 2 and 5 latents tell the class from others, see
        `rhohat.inspection.metrics.sparse_probing`. Probes see at most 20,000 rows, spread evenly.
    images : path of a folder, or sequence of paths, default=None
        An image file for each row, for the page about a dictionary of rows that are no images themselves, such as
        activations of a network that sees images. The page shows them small. The files of a folder are taken in the
        order of their names.

    Returns
    -------
    str
        The page as HTML. Its representation, which notebooks show, is short, and says what was left out.

    Raises
    ------
    ValueError
        If the model is neither an estimator of rhohat nor a pipeline that ends in one, the columns of the rows differ
        from the columns in the fit, the rows are not finite, a parameter is out of its range, or there is not one name
        for each row.
    NotFittedError
        If the model is not fitted.
    OSError
        If the file cannot be written; this is checked before any work is done.
    MissingExtraError
        If Jinja2 is not installed.

    Notes
    -----
    A page for 1,000 units of 28 × 28 pixels takes at most 10 MB. It shows the 12 rows that activate each unit most, or
    fewer rows if 12 would make the page larger. A page for a dictionary of 32,768 latents takes at most 15 MB; where
    contexts, pictures or names of rows would make it larger, those that activate latents most have priority.

    Examples
    --------
    >>> import numpy as np
    >>> from rhohat import SparseAutoencoder
    >>> X = np.random.default_rng(0).random((100, 16))
    >>> autoencoder = SparseAutoencoder(n_components=4, sparsity=0.1, tol=1e-3, random_state=0).fit(X)
    >>> page = report(autoencoder, X)
    >>> page[:15], "explained variance" in page
    ('<!doctype html>', True)
    """
    estimator = estimator_of(model)
    check_is_fitted(estimator)
    _check(max_rows=max_rows, n_reconstructions=n_reconstructions)
    import_extra("jinja2", "app")  # raises an error before any work is done
    asked = AskedOfDictionary(
        texts=texts, projection=projection, compare=compare, labels=labels, images=images
    ).checked(model, data)
    make = _dictionary_content if estimator.has_sparse_codes else _network_content
    with writing(path) as write:
        source = open_model_rows(model, data)
        try:
            named = None if row_names is None else RowLabels.named(row_names, data, source)
            with _listening() as remarks:
                prepared = prepare_rows(model, source)
            names = choose_names(model, source)
            of_page: dict[str, Any] = {
                "model": model,
                "source": prepared,
                "title": _title(model, source.short_name) if title is None else title,
                "image_shape": choose_image_shape(image_shape, model, names, prepared),
                "names": names,
                "n_reconstructions": n_reconstructions,
                "row_labels": named,
                "remarks": remarks,
                "is_in_folder": is_folder(path),
                "anomalies": find_anomalies(model, source, named),
            }
            content = make(of_page, source, y, asked, threshold=threshold, max_rows=max_rows, gabor=gabor)
            page = render(content)
            written, n_further = write(page.text, content.further_pages(page.data))
        finally:
            if source is not data:
                source.close()
    return Page(page.text, written, n_further, content.remark_on_size(page.data))


def _title(model: Any, name: str) -> str:
    estimator = estimator_of(model)
    size = counted(n_units_of_code(estimator), estimator.noun_of_code)
    return f"{type(last_step_of(model)).__name__}, {size}, on {name}"


def _network_content(
    of_page: dict[str, Any],
    source: Any,
    y: ArrayLike | None,
    asked: AskedOfDictionary,
    *,
    threshold: float | None,
    max_rows: int | None,
    gabor: bool | None,
) -> PageContent:
    """Return the content of the page about a network."""
    model, estimator = of_page["model"], estimator_of(of_page["model"])
    if threshold is None:
        threshold = default_threshold(estimator.network_.activations[estimator.code_layer_ - 1])
    with _listening() as remarks:
        evaluated = None if y is None else evaluate(model, source, y, cost=False)
        confusion = None if y is None else confusion_of(estimator, of_page["source"], y)
    measured = measure(
        estimator,
        of_page["source"],
        threshold=threshold,
        max_rows=max_rows,
        n_top=MOST_TOP_ROWS,
        units=units_shown(estimator),
    )
    units = describe_units(estimator, of_page["image_shape"], gabor=gabor)
    large = remark_on_large_rows(estimator.network_, of_page["source"])
    remarks = list(dict.fromkeys([*of_page["remarks"], *remarks, *([] if large is None else [str(large)])]))
    parts: dict[str, Any] = {"measured": measured, "units": units, "evaluated": evaluated, "confusion": confusion}
    predicted = [] if y is None else charts_of_predictions(estimator, of_page["source"], y)
    return Content(**{**of_page, "remarks": remarks}, **parts, predicted=predicted)


def _dictionary_content(
    of_page: dict[str, Any],
    source: Any,
    y: ArrayLike | None,
    asked: AskedOfDictionary,
    *,
    threshold: float | None,
    max_rows: int | None,
    gabor: bool | None,
) -> PageContent:
    """Return the content of the page about a dictionary, which has no targets and no Gabor fits."""
    threshold = threshold or 0.0
    found = asked.content(of_page["model"], source, of_page["source"], threshold=threshold, max_rows=max_rows)
    return DictionaryContent(**of_page, **found)


def _check(**counts: Any) -> None:
    """Raise ValueError if one of the given numbers of rows is not an integer in its range."""
    for name, count in counts.items():
        least = 0 if name == "n_reconstructions" else 1
        may_be_none = name == "max_rows"
        if count is None and may_be_none:
            continue
        if not (isinstance(count, int | np.integer) and count >= least):
            raise ValueError(
                f"{name} must be an integer, at least {least}{', or None' if may_be_none else ''}; got {count!r}."
            )


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Yield a list to which the warnings of the block are added when it ends; they are issued again at that time."""
    remarks: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield remarks
    for one in caught:
        remarks.append(str(one.message))
        warnings.warn(one.message, one.category, stacklevel=4)
