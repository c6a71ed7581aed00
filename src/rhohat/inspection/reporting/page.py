"""The page: a template filled with what a model is and does, written as one file that needs no other."""

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
from rhohat.inspection.reporting.units import describe_units
from rhohat.models.pipelines import estimator_of, open_model_rows, prepare_rows

__all__ = ["report"]

_MOST_BYTES = 9_500_000  # of a page, where fewer pictures of rows can make it so


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
    """Return one HTML page that shows what a model has learned, and write it to a file.

    The page holds everything that it needs, and works from a file without a network. It shows how the fit went, the
    mean activations against their target, explained variance, L0 and dead units, reconstructions beside originals, and
    all units, to be sorted and filtered; for each its maximal input, the rows that activate it most, its histogram,
    and the units most similar to it.

    Parameters
    ----------
    model : fitted estimator, or Pipeline that ends in one
        An autoencoder, a stack, or a supervised network, whose last hidden layer is shown.
    data : path, array, DataFrame, Dask array or RowSource
        Rows as the model was fitted to: whatever `open_rows` opens. They are read some at a time, twice, and are shown
        as the network sees them, after the model's preprocessing. A row source stays open.
    path : path, default=None
        Where the page goes; an earlier file is replaced once the new one is complete. None writes no file.
    y : array-like of shape (n_samples,) or (n_samples, n_targets), default=None
        What a classifier or regressor is to predict; with it the page says how well it does. Others ignore it.
    image_shape : {"auto"}, tuple of int or None, default="auto"
        In which rows are drawn: (height, width); in colour (height, width, 3), or (3, height, width) where all red
        comes first, then all green, then all blue. None: as bars, one for each feature. "auto": the shape that the
        rows have in `data`, or had in the fit. Where they were flat, features have no names, and there are 16 or more,
        they are drawn as squares, in grey or as (height, width, 3).
    threshold : float, default=None
        A unit is active where its activation is above this. None: see `rhohat.inspection.metrics.default_threshold`.
    title : str, default=None
        None makes one of the model and the data.
    max_rows : int, default=None
        Of more rows than that, so many are looked at, spread evenly over all. None looks at all.
    n_reconstructions : int, default=16
        Rows shown beside their reconstructions.
    gabor : bool, default=None
        Whether the R² of the best Gabor function is found for every unit, of grey images: see `rhohat.gabor_fit`. It
        takes a while: more, the larger the images. None: for images of at most 256 pixels and at most 256 units.

    Returns
    -------
    str
        The page.

    Raises
    ------
    ValueError
        If the model is none of rhohat's, the rows have other columns than those of its fit or are not finite, or a
        parameter is out of its range.
    NotFittedError
        If the model is not fitted.
    OSError
        If the page cannot be written; before any work is done.
    MissingExtraError
        If Jinja2 is not installed.

    Notes
    -----
    A page is at most 10 MB for 1,000
    units of 28 × 28 pixels: of each unit, 12 rows are shown that activate it most, fewer where they would take more.

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
            measured = measure(estimator, prepared, threshold=threshold, max_rows=max_rows, n_top=MOST_TOP_ROWS)
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
    """Raise ValueError where a number of rows is none."""
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
    """Return the page as text."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["show"] = show
    environment.filters["breakable"] = _breakable
    environment.filters["counted"] = counted
    environment.filters["unbroken"] = _unbroken
    folder = files("rhohat.inspection.reporting")
    template, style, script = ((folder / name).read_text("utf-8") for name in ("page.html.j2", "page.css", "page.js"))
    # Nothing but this very style and this very script is allowed: not even a name that slipped through could run.
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
    r"""Return JSON that may stand within an HTML page: nothing in it ends the script element, or begins another.

    Examples
    --------
    >>> print(as_json({"name": "</script>"}))
    {"name":"\u003c/script\u003e"}
    """
    text = json.dumps(record, separators=(",", ":"), allow_nan=False)  # ASCII: all else is escaped
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _breakable(name: str) -> Any:
    """Return a name as HTML, in which lines may be broken after each part of it."""
    markup = import_extra("markupsafe", "app").Markup
    return markup("_<wbr>").join(name.split("_"))  # escapes the parts


def _unbroken(text: str) -> Any:
    """Return a text as HTML, in which no line is broken at the minus sign within a number."""
    markup = import_extra("markupsafe", "app").Markup
    parts = re.split(r"(-?\d[\d.]*e-\d+)", text)  # every other one is a number
    number = markup('<span class="whole">{}</span>')
    return markup().join(number.format(part) if place % 2 else part for place, part in enumerate(parts))


def _digest(text: str) -> str:
    """Return what a security policy calls a text."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode('ascii')}"


@contextmanager
def _listening() -> Iterator[list[str]]:
    """Give a list that has what was warned of when the block ends; the warnings are given all the same."""
    remarks: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        yield remarks
    for one in caught:
        remarks.append(str(one.message))
        warnings.warn(one.message, one.category, stacklevel=4)


@contextmanager
def _writing(path: str | PathLike[str] | None) -> Iterator[Callable[[str], object]]:
    """Give what writes a file, which is at its place when the block ends, whole; else nothing changes.

    Raises
    ------
    OSError
        If a file cannot be written there; before the block is entered.
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
