"""Reading of rows and labels by commands, and the options for reading that these commands share."""

from __future__ import annotations

import csv
import inspect
import re
import shlex
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import wraps
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_type_hints

import numpy as np
import typer
from numpy.typing import NDArray

from rhohat.cli.app import note
from rhohat.cli.declared import DATA, TEXT_FILES
from rhohat.common.exceptions import TextColumnsError
from rhohat.common.words import listed, message_of
from rhohat.data import RowSource, TablePreprocessor, open_labels, open_rows, open_table
from rhohat.data.row_names import names_of_rows
from rhohat.data.rows.conventions import notes_on_dropped
from rhohat.data.table_novelties import said_of_novelties
from rhohat.models.pipelines import fills_in_missing, open_model_rows, preprocessing_of, steps_before

__all__ = ["Missing", "ReadingOptions", "as_classes", "as_numbers", "name_of_targets", "reads_rows", "split_names"]

_Command = TypeVar("_Command", bound=Callable[..., None])


class Missing(StrEnum):
    """Treatments of rows with missing values."""

    ERROR = "error"
    DROP = "drop"
    MEAN = "mean"
    IMPUTE = "impute"


@dataclass(frozen=True)
class ReadingOptions:
    """Options that say how files are read; the value None means that an option was not given."""

    rows: Annotated[
        str | None,
        typer.Option(
            metavar="START:STOP",
            help="Use only these rows of DATA, counted from 0, such as 0:10000.",
            rich_help_panel=DATA,
        ),
    ] = None
    row_axes: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many axes of an array number its rows: 2 for shape (texts, tokens, channels). By default 1.",
            rich_help_panel=DATA,
        ),
    ] = None
    missing: Annotated[
        Missing | None,
        typer.Option(
            help="How to treat rows of a table in which a value is missing: error; drop (leave them out); mean (fill"
            " in the mean of the column, which the model stores); impute (the same, and tell the model in a column of"
            " its own where values were missing).",
            show_default="error",
            rich_help_panel=DATA,
        ),
    ] = None
    header: Annotated[
        bool | None,
        typer.Option(
            "--header/--no-header",
            help="Whether the first line of a text file names the columns.",
            show_default="guess",
            rich_help_panel=TEXT_FILES,
        ),
    ] = None
    separator: Annotated[
        str | None,
        typer.Option(
            help="Separator between the cells of a text file; TAB for a tab.",
            show_default="guess",
            rich_help_panel=TEXT_FILES,
        ),
    ] = None
    decimal: Annotated[
        str | None,
        typer.Option(help="Decimal separator of numbers.", show_default=".", rich_help_panel=TEXT_FILES),
    ] = None
    thousands: Annotated[
        str | None,
        typer.Option(
            help="Separator between groups of three digits.", show_default="nothing", rich_help_panel=TEXT_FILES
        ),
    ] = None
    encoding: Annotated[
        str | None,
        typer.Option(
            help="Encoding of a text file, such as latin-1 or cp1252.",
            show_default="UTF-8, or as its first bytes say",
            rich_help_panel=TEXT_FILES,
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.rows is not None and not re.fullmatch(r"-?\d*:-?\d*", self.rows):
            raise typer.BadParameter(
                f"must be written as START:STOP, such as 0:10000; got {self.rows!r}.", param_hint="--rows"
            )

    @contextmanager
    def open(
        self,
        ctx: Any,
        data: Path,
        columns: str | None,
        drop: str | None,
        target: str | None,
        *,
        supervised: bool,
        one_hot: bool = False,
    ) -> Iterator[RowSource]:
        """Context manager that opens rows for training; target columns of a table become `targets` of the rows."""
        may_be_target = supervised and target is None
        how = self._how()
        if self.missing in (Missing.MEAN, Missing.IMPUTE):
            how["missing"] = "keep"
        if one_hot:
            how["texts"] = "code"
        chosen = None if columns is None else split_names(columns)
        left_out = [] if drop is None else split_names(drop)
        try:
            if target is None:
                source = open_rows(data, columns=chosen, drop=left_out, **how)
            else:
                how.pop("row_axes", None)
                source, _ = open_table(data, split_names(target), columns=chosen, drop=left_out, **how)
        except TextColumnsError as error:
            raise ValueError(_without_texts(error, chosen, left_out, data, may_be_target=may_be_target)) from None
        with source:
            for sentence in source.notes:
                note(ctx, sentence)
            yield self._some(ctx, source)

    @contextmanager
    def open_for(
        self, ctx: Any, model: Any, data: Path, target: str | None = None, *, scores: bool = False
    ) -> Iterator[RowSource]:
        """Context manager that opens rows for a model; target columns of a table become `targets` of the rows.

        If no target is given, `scores` is True, and the table has the target columns of the training, these are used.
        """
        how = self._how()
        if self.missing in (Missing.MEAN, Missing.IMPUTE):
            how.pop("missing")  # the model fills in the means that it has learned
            if not fills_in_missing([*preprocessing_of(model), None][0]):
                raise typer.BadParameter(
                    "the model has not learned the means that replace missing values; train it with --missing"
                    f" {self.missing}.",
                    param_hint="--missing",
                )
        said = None if target is None else split_names(target)
        try:
            opened = open_model_rows(model, data, target=said, find_targets=scores, **how)
        except TextColumnsError as error:
            columns = f"column{'s'[: len(error.columns) - 1]} {listed([repr(name) for name in error.columns])}"
            raise ValueError(f"{error.problem} In the training, {columns} held numbers or truth values.") from None
        with opened as source:
            only_unlabelled = self.missing is not Missing.DROP
            for sentence in notes_on_dropped(source, only_unlabelled=only_unlabelled):
                warnings.warn(sentence, stacklevel=3)
            if said is None and source.targets is not None:
                note(ctx, f"note: the predictions of the model are compared with {name_of_targets(source)}.")
            some = self._some(ctx, source)
            _note_on_novelties(ctx, model, some)
            yield some

    def names_of_rows(self, rows: RowSource, data: Path, column: str) -> NDArray[np.str_]:
        """Read the column of a table that names its rows, such as a number of a customer."""
        try:
            found = np.array(names_of_rows(data, column, None if rows.reading is None else rows.reading.text))
        except (ValueError, TypeError) as error:
            problem = message_of(error).partition(" Pass the names themselves")[0]  # which is for Python
            raise typer.BadParameter(problem, param_hint="--id") from None
        return found if rows.kept is None else found[rows.kept]

    def labels(self, path: Path, rows: RowSource, *, per_step: bool = False) -> NDArray[Any]:
        """Read labels from a file and return one for each row; labels of rows that were left out are dropped."""
        labels = open_labels(path, n_samples=rows.n_rows_found, encoding=self.encoding, per_step=per_step)
        is_longer = len(labels) > rows.n_rows_found and self.rows is not None
        if rows.kept is not None and (len(labels) == rows.n_rows_found or is_longer):
            return labels[rows.kept]
        if len(labels) != len(rows):
            # labels of the remaining rows only
            labels = open_labels(path, n_samples=len(rows), encoding=self.encoding, per_step=per_step)
        if len(labels) != len(rows):
            n_rows = len(rows)
            hint = f" To use the first {n_rows} labels, pass --rows 0:{n_rows}." if len(labels) > n_rows else ""
            if self.rows is not None:
                file = re.sub(r"\[\d+:\d+\]$", "", rows.name)  # without the range of rows at the end
                raise ValueError(
                    f"{path} has {len(labels):,} labels for {rows.n_rows_found:,} rows of {file}, of which"
                    f" {len(rows):,} are used. Are these the labels of another file?"
                )
            if len(labels) in rows.row_shape:
                hint = f" Another axis of {rows.name} has this length, but the first one must count rows: transpose it."
            raise ValueError(f"{path} has {len(labels)} labels, but there are {len(rows)} rows.{hint}")
        return labels

    def _how(self) -> dict[str, Any]:
        """Return the keyword arguments of `open_rows` for the options that were given."""
        said = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "rows"}
        how = {name: value for name, value in said.items() if value is not None}
        if "missing" in how:
            how["missing"] = str(how["missing"])
        if "separator" in how:
            how["separator"] = {"tab": "\t", "\\t": "\t", "space": " "}.get(how["separator"].lower(), how["separator"])
        return how

    def _slice(self) -> slice:
        start, _, stop = (self.rows or ":").partition(":")
        return slice(int(start) if start else None, int(stop) if stop else None)

    def _some(self, ctx: Any, source: RowSource) -> RowSource:
        if self.rows is None:
            return source
        start, stop, _ = self._slice().indices(len(source))
        said = [bound for bound in (self._slice().start, self._slice().stop) if bound is not None]
        if stop > start and any(not -len(source) <= bound <= len(source) for bound in said):
            note(
                ctx, f"note: {source.name} has {len(source)} rows, so --rows {self.rows} takes {stop - start} of them."
            )
        if stop <= start:
            raise typer.BadParameter(
                f"{source.name} has {len(source)} rows, none of which is in the range {self.rows}.", param_hint="--rows"
            )
        return source[start:stop]


def _without_texts(
    error: TextColumnsError, chosen: list[str] | None, left_out: list[str], data: Path, *, may_be_target: bool
) -> str:
    """Return an error message about columns that contain text, which says how to train without these columns."""
    them, these = ("it", "this column") if len(error.columns) == 1 else ("them", "these columns")
    if chosen is not None:
        remedy = f"leave {these} of texts out of --columns"
    else:
        line = StringIO()
        csv.writer(line, lineterminator="").writerow([*left_out, *error.columns])
        remedy = f"leave {these} of texts out with --drop {shlex.quote(line.getvalue())}"
    target = f", or predict {'it' if them == 'it' else 'one of them'} with --target" if may_be_target else ""
    impute = ", and --missing impute to learn from rows with missing cells" if error.missing else ""
    encode = (
        "" if data.is_dir() else f" To learn from {them} as categories, pass --one-hot{impute}.{_no_categories(error)}"
    )
    return f"{error.problem} For training, {remedy}{target}.{encode}"


def _no_categories(error: TextColumnsError) -> str:
    """Return a sentence about columns of texts that are no categories; an empty string if there are none."""
    said = []
    if error.dates:
        said.append(f"{', '.join(map(repr, error.dates))} {'holds' if len(error.dates) == 1 else 'hold'} dates")
    if error.names:
        said.append(f"nearly every row has a text of its own in {', '.join(map(repr, error.names))}")
    if not said:
        return ""
    line = StringIO()
    csv.writer(line, lineterminator="").writerow([one for one in error.columns if one in (*error.dates, *error.names)])
    return f" Leave out what is no category, with --drop {shlex.quote(line.getvalue())}: {' and '.join(said)}."


def reads_rows(command: _Command) -> _Command:
    """Decorate a command so that it has an option for each field of `ReadingOptions`, instead of `reading`.

    The command itself is called with one `ReadingOptions` object as `reading`, which holds the values of these options.
    """
    signature, hints = inspect.signature(command), get_type_hints(command, include_extras=True)
    own = get_type_hints(ReadingOptions, include_extras=True)
    options = [
        inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=own[one.name])
        for one in fields(ReadingOptions)
    ]

    @wraps(command)
    def run(**arguments: Any) -> None:
        said = {one.name: arguments.pop(one.name) for one in fields(ReadingOptions)}
        command(**arguments, reading=ReadingOptions(**said))

    if "model" in signature.parameters:  # without the option, rows are treated as in the training of the model
        options = [one.replace(annotation=_as_the_model_does(one.annotation)) for one in options]
    parameters: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        if name == "reading":
            parameters += options
        else:
            parameters.append(parameter.replace(annotation=hints[name], kind=inspect.Parameter.KEYWORD_ONLY))
    run.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run  # type: ignore[return-value]


def _note_on_novelties(ctx: Any, model: Any, rows: RowSource) -> None:
    """Print a note if columns of a table hold texts or gaps that the training did not have."""
    first = [*steps_before(model), None][0]
    if isinstance(first, TablePreprocessor) and (said := said_of_novelties(first.columns_, rows)):
        note(ctx, f"note: {said}")


def _as_the_model_does(annotation: Any) -> Any:
    """Return the annotation of an option, where that of --missing says that the default is the model's own choice."""
    kind, option = get_args(annotation)
    if option.show_default != str(Missing.ERROR):
        return annotation
    option = copy(option)
    option.show_default = "as in the training"
    return Annotated[kind, option]


def split_names(text: str) -> list[str]:
    """Split a string at commas into names; a name in double quotes may contain commas.

    Examples
    --------
    >>> split_names('a, "b, c",2')
    ['a', 'b, c', '2']
    """
    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True), []) if name.strip()]


def name_of_targets(rows: RowSource) -> str:
    """Return the phrase that names the target columns of a table in messages."""
    numbers = rows.reading.targets if rows.reading is not None else None
    columns = list(map(repr, rows.target_names or numbers or ()))
    return f"column{'s'[: len(columns) - 1]} {', '.join(columns)} of {rows.name}"


def as_classes(y: NDArray[Any], *, per_step: bool = False) -> NDArray[Any]:
    """Return the targets of a classifier; raise ValueError unless there is one label for each row, or each step."""
    if y.ndim == 1 or per_step:
        return y
    raise ValueError(
        f"a classifier learns one label for each row; got {y.shape[1]} labels for each row. Name the column of labels"
        " with --target NAME or --labels FILE:/NAME."
    )


def as_numbers(y: NDArray[Any]) -> NDArray[Any]:
    """Convert the targets of a regressor to numbers; they may be given as strings such as "1E3" or "007"."""
    if y.dtype.kind in "biuf":
        return y
    try:
        return np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"the targets of a regressor must be numbers; got strings, such as {str(y.flat[0])!r}."
        ) from None
