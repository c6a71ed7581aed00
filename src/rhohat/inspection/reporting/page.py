"""The report as an HTML page: renders a template with the content about a model, as one self-contained file."""

from __future__ import annotations

import json
import re
import warnings
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from rhohat.common.extras import import_extra
from rhohat.common.whole_files import replacing
from rhohat.common.words import counted
from rhohat.estimators.base import BaseNetwork
from rhohat.inspection.evaluation import evaluate
from rhohat.inspection.metrics import default_threshold
from rhohat.inspection.reporting.appearance import choose_image_shape, choose_names
from rhohat.inspection.reporting.content import Content
from rhohat.inspection.reporting.facts import versions
from rhohat.inspection.reporting.measuring import measure
from rhohat.inspection.reporting.record import MOST_TOP_ROWS
from rhohat.inspection.reporting.rounding import show
from rhohat.inspection.reporting.units import describe_units, units_shown
from rhohat.models.pipelines import estimator_of, open_model_rows, prepare_rows

__all__ = ["report"]

_MOST_BYTES = 9_500_000  # limit on the size of a page, for which images of rows are left out


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
) -> str:
    """Return one HTML page that shows what a model has learned, and optionally write it to a file.

    The page contains everything that it needs, and works as a local file without a network. It shows how the fit went,
    the mean activations and their target, explained variance, L0 and dead units, reconstructions beside the originals,
    and all units, which the reader can sort and filter. For each unit it shows the maximal input, the rows that
    activate the unit most, the histogram of its activations, and the units most similar to it.

    Parameters
    ----------
    model : fitted estimator, or Pipeline that ends in one
        An autoencoder, a stack of autoencoders, or a supervised network, whose last hidden layer is shown.
    data : path, array, DataFrame, Dask array or RowSource
        Rows in the form that the model was fitted to: anything that `open_rows` opens. They are read twice, block by
        block, and are shown as the network sees them, after the preprocessing of the model. A row source that is passed
        in stays open.
    path : path, default=None
        Path of the file to write. An existing file is replaced once the new one is complete. If None, no file is
        written.
    y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
        Targets of a classifier or regressor, for which the page then shows the score. Other models ignore y.
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
        most 256 pixels and there are at most 256 units.

    Returns
    -------
    str
        The page as HTML.

    Raises
    ------
    ValueError
        If the model is neither an estimator of rhohat nor a pipeline that ends in one, the columns of the rows differ
        from the columns in the fit, the rows are not finite, or a parameter is out of its range.
    NotFittedError
        If the model is not fitted.
    OSError
        If the file cannot be written; this is checked before any work is done.
    MissingExtraError
        If Jinja2 is not installed.

    Notes
    -----
    A page for 1,000 units of 28 × 28 pixels takes at most 10 MB. It shows the 12 rows that activate each unit most, or
    fewer rows if 12 would make the page larger.

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
    jinja2 = import_extra("jinja2", "app")
    with _writing(path) as write:
        source = open_model_rows(model, data)
        try:
            with _listening() as remarks:
                prepared = prepare_rows(model, source)
            names = choose_names(model, source)
            shape = choose_image_shape(image_shape, model, names, prepared)
            if threshold is None:
                threshold = default_threshold(estimator.network_.activations[estimator.code_layer_ - 1])
            with _listening() as remarks_on_targets:
                evaluated = None if y is None else evaluate(model, source, y, cost=False)
            remarks = list(dict.fromkeys([*remarks, *remarks_on_targets]))
            measured = measure(
                estimator,
                prepared,
                threshold=threshold,
                max_rows=max_rows,
                n_top=MOST_TOP_ROWS,
                units=units_shown(estimator),
            )
            units = describe_units(estimator, shape, gabor=gabor)
            heading = _title(estimator, source.short_name) if title is None else title
            content = Content(
                model, prepared, heading, shape, names, measured, units, n_reconstructions, evaluated, remarks
            )
            page = _render(jinja2, content)
        finally:
            if source is not data:
                source.close()
        write(page)
    return page


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


def _title(estimator: BaseNetwork, name: str) -> str:
    n_units = estimator.network_.layer_sizes[estimator.code_layer_]
    return f"{type(estimator).__name__}, {counted(n_units, 'unit')}, on {name}"


def _render(jinja2: Any, content: Content) -> str:
    """Return the page as HTML, with the record of units for its script inside."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["show"] = show
    environment.filters["breakable"] = _breakable
    environment.filters["counted"] = counted
    environment.filters["unbroken"] = _unbroken
    folder = files("rhohat.inspection.reporting")
    template, style, script = ((folder / name).read_text("utf-8") for name in ("page.html.j2", "page.css", "page.js"))
    # Only this style sheet and this script are allowed, so that a script in an unescaped name would not run either.
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}';"
        " base-uri 'none'; form-action 'none'"
    )
    page = environment.from_string(template)
    shown = {"content": content, "policy": policy, "style": style, "script": script, "versions": versions()}
    numbers = content.record.numbers()
    without_pictures = len(page.render(**shown, record=as_json(numbers)))
    return str(page.render(**shown, record=as_json(numbers | content.record.pictures(_MOST_BYTES - without_pictures))))


def as_json(record: dict[str, Any]) -> str:
    r"""Return a record as JSON that cannot end the script element of the HTML page that contains it.

    Examples
    --------
    >>> print(as_json({"name": "</script>"}))
    {"name":"\u003c/script\u003e"}
    """
    text = json.dumps(record, separators=(",", ":"), allow_nan=False)  # all characters beyond ASCII are escaped
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _breakable(name: str) -> Any:
    """Return a name as HTML in which a line may be broken after each underscore."""
    markup = import_extra("markupsafe", "app").Markup
    return markup("_<wbr>").join(name.split("_"))  # escapes the parts


def _unbroken(text: str) -> Any:
    """Return a string as HTML in which no line is broken at a minus sign within a number."""
    markup = import_extra("markupsafe", "app").Markup
    parts = re.split(r"(-?\d[\d.]*e-\d+)", text)  # every second part is a number
    number = markup('<span class="whole">{}</span>')
    return markup().join(number.format(part) if place % 2 else part for place, part in enumerate(parts))


def _digest(text: str) -> str:
    """Return the SHA-256 digest of a string, as a content security policy expects it."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode('ascii')}"


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


@contextmanager
def _writing(path: str | PathLike[str] | None) -> Iterator[Callable[[str], object]]:
    """Yield a function that writes text to a file, which replaces the file at `path` only if the block succeeds.

    Raises
    ------
    OSError
        If no file can be written at `path`; raised before the block is entered.
    """
    if path is None:
        yield lambda text: None
        return
    place = Path(path)
    if place.is_dir():
        raise IsADirectoryError(f"path must name the file that the page is written to; {place} is a folder.")
    if not place.parent.is_dir():
        raise FileNotFoundError(f"the page cannot be written to {place}: there is no folder {place.parent}.")
    with replacing(place) as unfinished, unfinished.open("x", encoding="utf-8", newline="\n") as file:
        yield file.write
