"""Opening of paths, arrays and tables as rows that are read block by block."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, fspath
from typing import Any, Literal

import numpy as np
from numpy.typing import DTypeLike, NDArray

from rhohat.common.exceptions import SettingError
from rhohat.common.words import Sentence, Setting
from rhohat.data.rows.base import RowSource
from rhohat.data.rows.columns import Columns, ColumnSelection, TargetsOfAFit
from rhohat.data.rows.combined import BorrowedRows, ConvertedRows, TransformedRows, derived
from rhohat.data.rows.objects import open_object
from rhohat.data.rows.paths import open_path
from rhohat.data.rows.wanted import Wanted
from rhohat.data.tables.cells import TextFormat
from rhohat.data.tables.text import Missing

__all__ = ["open_rows", "open_table"]

#: How columns of texts are treated: they are refused, or their texts are replaced with codes.
Texts = Literal["error", "code"]


def open_rows(
    data: Any,
    *,
    columns: Sequence[str | int] | ColumnSelection | None = None,
    drop: Sequence[str | int] = (),
    transform: Any = None,
    dtype: DTypeLike | None = None,
    row_axes: int | None = None,
    missing: Missing = "error",
    texts: Texts = "error",
    header: bool | None = None,
    separator: str | None = None,
    decimal: str = ".",
    thousands: str | None = None,
    encoding: str | None = None,
) -> RowSource:
    """Open rows of numbers that are read block by block, without loading them all into memory.

    Parameters
    ----------
    data : path, array, DataFrame, Dask array or RowSource
        A path leads to one of the following. The format of a file is determined by its content, or by its name if the
        content is ambiguous:

        * `.npy`, `.npz`, IDX (MNIST's format), safetensors: they are read with the standard library and NumPy alone;
        * tables of text, such as CSV: they need the extra ``tables``, and are parsed once, into a temporary file of
          numbers;
        * HDF5 (`.h5`), Parquet, Zarr (a folder): they need the extra ``formats``;
        * MATLAB's `.mat`: version 7.3 needs the extra ``formats``; files of earlier versions are loaded into memory.
          A field of a struct has the name ``variable/field``; sparse matrices become dense as they are read;
        * gzipped `.npy`, IDX, safetensors and text files, and compressed `.npz`: they are unpacked into a temporary
          file;
        * a folder that `harvest` has written: the activations of a layer; if it holds several layers, add the name of
          one to the path, as in ``"folder:/encoder.layer.3"``;
        * a folder of shards: its files are read in the order of their names, in which digits are compared as numbers.
          All files are open at the same time.

        If a file holds several arrays of two dimensions or more, add the name of one to the path:
        ``"file.h5:/group/rows"``. Axes after the first are raveled, in C order; see `row_axes`. Files that an operating
        system puts into folders, such as `._name` and `Thumbs.db`, and other hidden files are ignored.
    columns : sequence of str or int, default=None
        Columns to read, by name or by number from 0 on, in this order. If None, all columns are read. The other columns
        of a text or Parquet file may hold anything. A column that is left out because it only numbers or names the rows
        is not counted.
    drop : sequence of str or int, default=()
        Columns to leave out, by name or by number.
    transform : callable or fitted transformer, default=None
        Function or transformer that is applied to each block: (n_rows, n_features) → (n_rows, n_new_features), row by
        row, such as a fitted `ZCAWhitening`, or ``lambda rows: rows / 255``. Several threads call it at the same time.
    dtype : {float32, float64}, default=None
        The dtype of the rows that are read. None means float32 for floats of 32 and 16 bits (including bfloat16), and
        float64 for all other numbers; if there is a transform, the dtype of its result decides.
    row_axes : int, default=None
        Number of leading axes of an array that count rows: with 1, an array of shape (texts, tokens, channels) has a
        row for each text, which is a sequence of tokens; with 2, it has a row of channels for each token of each text.
        None means 1, and warns if the rows in a file have several axes but do not look like images.
    missing : {"error", "drop", "keep"}, default="error"
        How rows in which a number is missing are treated: they are refused, left out, or kept with NaN in place of the
        number, for `MeanImputer` to fill in. Rows can be left out of tables and of arrays in memory only.
    texts : {"error", "code"}, default="error"
        How columns of a table that hold texts are treated: they are refused, or each text is replaced with a code, for
        `TablePreprocessor` to learn from. Other estimators refuse rows with such codes.
    header : bool, default=None
        Whether the first line of a text file names the columns. If None, this is guessed: the line names the columns if
        it has strings above numbers, has no number at all, or consists of the column numbers, as in files that pandas
        writes for columns without names. A warning reports a guess that may be unexpected.
    separator : str, default=None
        Character between the cells of a text file. If None, it is the character among ``; tab | , space`` that cuts the
        lines into equal numbers of cells, most of them numbers.
    decimal, thousands : str, default="." and None
        Character before the decimals of a number, and character between groups of three digits.
    encoding : str, default=None
        Encoding of a text file. None means UTF-8, or UTF-16 or UTF-32 if the file begins with their byte order mark.

    Returns
    -------
    RowSource
        Source with `shape`, `dtype`, and `read(start, stop)`. Close it after use, or use it in a ``with`` statement. A
        row source that was passed as `data` stays open.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ValueError
        If `data` holds no rows of numbers, is damaged or truncated, has another format than its name says, or holds
        several arrays although the path names none of them.
    MissingExtraError
        If the package that reads the format is not installed.

    Warns
    -----
    UserWarning
        If a column of a table is left out because it numbers the rows; if numbers in the first line of a text file are
        taken for names; or if rows that do not look like pictures are raveled.

    See Also
    --------
    open_table : Open the rows of a table, and read their targets.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> path = Path(tempfile.mkdtemp()) / "rows.npy"
    >>> np.save(path, np.arange(12, dtype=np.uint8).reshape(4, 3))
    >>> with open_rows(path, transform=lambda rows: rows / 10) as rows:
    ...     print(rows.shape, rows.dtype, rows.read(1, 3).tolist())
    (4, 3) float64 [[0.3, 0.4, 0.5], [0.6, 0.7, 0.8]]
    """
    if dtype is not None and dtype not in ("float32", "float64", np.float32, np.float64):
        raise ValueError(f"dtype must be float32, float64 or None; got {dtype!r}.")
    if row_axes is not None and row_axes < 1:
        raise ValueError(f"row_axes must be at least 1; got {row_axes}.")
    wanted = Wanted(
        _as_selection(columns, drop),
        TextFormat(header, separator, decimal, thousands, encoding),
        None,
        _checked(missing),
        codes_texts=_codes(texts),
    )
    if isinstance(data, str | PathLike):
        source = open_path(fspath(data), wanted, row_axes)
    else:
        source = open_object(data, wanted, row_axes or 1)
    if source is data and type(source).close is not RowSource.close:
        source = BorrowedRows(source)  # so that closing the result leaves `data` open
    try:
        if transform is not None:
            source = derived(TransformedRows, source, data, transform)
        if dtype is not None and source.dtype != np.dtype(dtype):
            source = derived(ConvertedRows, source, data, dtype)
    except BaseException:
        if source is not data:
            source.close()
        raise
    return source


def open_table(
    path: str | PathLike[str],
    target: str | int | Sequence[str | int] | TargetsOfAFit,
    *,
    columns: Sequence[str | int] | ColumnSelection | None = None,
    drop: Sequence[str | int] = (),
    missing: Missing = "error",
    texts: Texts = "error",
    header: bool | None = None,
    separator: str | None = None,
    decimal: str = ".",
    thousands: str | None = None,
    encoding: str | None = None,
) -> tuple[RowSource, NDArray[Any]]:
    r"""Open the rows of a table, and read the targets to be predicted from one or more of its other columns.

    Parameters
    ----------
    path : path
        Path of a table of text, such as CSV, or of a Parquet file.
    target : str, int, or sequence of these
        The column, or columns, to be predicted, by name or by number from 0 on. They are left out of the rows.
    columns, drop
        See `open_rows`.
    missing : {"error", "drop", "keep"}, default="error"
        See `open_rows`. With "drop" and "keep", rows without a target are left out; with "error", they are refused.
    texts, header, separator, decimal, thousands, encoding
        See `open_rows`.

    Returns
    -------
    rows : RowSource of shape (n_samples, n_features)
        The rows without the targets. Close the source after use, or use it in a ``with`` statement.
    y : array of shape (n_samples,) or (n_samples, n_targets)
        The targets. From a text file, they are numbers if every cell of the column is a plain number, such as 7 or
        -0.5, and different cells remain different as numbers; otherwise they are strings. From a Parquet file, they are
        the values that it holds.

    Raises
    ------
    FileNotFoundError, ValueError, MissingExtraError
        For the reasons given in `open_rows`; or if the file is not a table, a column does not exist, or a target is
        missing.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> path = Path(tempfile.mkdtemp()) / "flowers.csv"
    >>> _ = path.write_text("length,width,species\n5.1,3.5,setosa\n7.0,3.2,versicolor\n")
    >>> rows, y = open_table(path, target="species")
    >>> rows.feature_names, y.tolist()
    (['length', 'width'], ['setosa', 'versicolor'])
    >>> rows.close()
    """
    targets = target if isinstance(target, TargetsOfAFit) else _as_targets(target)
    selection = _as_selection(columns, drop)
    text = TextFormat(header, separator, decimal, thousands, encoding)
    wanted = Wanted(selection, text, targets, _checked(missing), codes_texts=_codes(texts))
    rows = open_path(fspath(path), wanted)
    try:
        if rows.targets is None and targets.said:
            raise ValueError(f"{path} is not a table: target columns are read from text (CSV) and Parquet files.")
    except BaseException:
        rows.close()
        raise
    return rows, rows.targets  # type: ignore[return-value] # None only if the targets are those of a model


def _as_targets(target: str | int | Sequence[str | int]) -> TargetsOfAFit:
    said = (target,) if isinstance(target, str | int) else tuple(target)
    if not said:
        raise SettingError(Sentence(Setting("target"), " must name at least one column; got none."))
    return TargetsOfAFit(said)


def _as_selection(columns: Any, drop: Sequence[str | int]) -> ColumnSelection:
    if isinstance(columns, str) or isinstance(drop, str):
        raise ValueError("columns and drop must be sequences of names or numbers, such as ['a', 'b']; got a string.")
    if hasattr(columns, "choose"):
        selection: ColumnSelection = columns
        return selection
    return Columns(None if columns is None else tuple(columns), tuple(drop))


def _checked(missing: str) -> Missing:
    if missing not in ("error", "drop", "keep"):
        raise ValueError(f"missing must be 'error', 'drop' or 'keep'; got {missing!r}.")
    return missing  # type: ignore[return-value]


def _codes(texts: str) -> bool:
    if texts not in ("error", "code"):
        raise ValueError(f"texts must be 'error' or 'code'; got {texts!r}.")
    return texts == "code"
