"""Rows that come in pieces, such as from PyTorch's DataLoader, an iterator, or a list of arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from rhohat.common.arrays import without_tensors

__all__ = ["as_one_array", "check_flat", "is_stream", "piece_of_rows", "refuse_pieces"]

#: What an object has that NumPy can make an array of.
_OF_ARRAYS = ("__array__", "__array_interface__", "__getitem__", "shape")


def is_stream(X: Any) -> bool:
    """Return whether rows come piece by piece: from an iterator, or an iterable that no array can be made of.

    Examples
    --------
    >>> is_stream(iter([[[1.0, 2.0]]])), is_stream([[1.0, 2.0]])
    (True, False)
    """
    is_array = any(hasattr(X, name) for name in _OF_ARRAYS)
    return isinstance(X, Iterator) or (isinstance(X, Iterable) and not is_array)


def piece_of_rows(piece: Any) -> Any:
    """Return a piece as its rows; PyTorch's DataLoader and TensorDataset put each piece into a list or a tuple.

    Raises
    ------
    ValueError
        If the piece is a list of several arrays, such as rows with their labels, or a mapping.
    """
    if isinstance(piece, Mapping):
        raise ValueError(
            f"each piece must be an array with a row for each sample; got a {type(piece).__name__} with the keys"
            f" {', '.join(map(repr, list(piece)[:5]))}. Pass pieces that are arrays, such as"
            " (piece[key] for piece in pieces)."
        )
    if not (isinstance(piece, list | tuple) and piece and all(_is_array(one) for one in piece)):
        return piece
    if len(piece) == 1 and piece[0].ndim == 2:
        return piece[0]
    if len(piece) > 1 and piece[0].ndim >= 2:
        raise ValueError(
            f"each piece must be an array with a row for each sample; got a {type(piece).__name__} of {len(piece)}"
            " arrays, such as rows and their labels. Pass the rows alone, as in (piece[0] for piece in pieces)."
        )
    return piece


def as_one_array(X: Any, name: str = "X") -> Any:
    """Return a list of two-dimensional arrays as one array of all their rows, and anything else unchanged.

    Parameters
    ----------
    X : object
    name : str, default="X"
        Name of the rows in messages.

    Raises
    ------
    ValueError
        If the pieces differ in the number of columns, or one is not two-dimensional.

    Examples
    --------
    >>> import numpy as np
    >>> as_one_array([np.zeros((2, 3)), np.ones((1, 3))]).shape
    (3, 3)
    """
    if not _is_list_of_pieces(X):
        return X
    pieces = [np.asarray(without_tensors(piece_of_rows(piece))) for piece in X]
    width = pieces[0].shape[-1]
    for number, piece in enumerate(pieces):
        if piece.ndim != 2 or piece.shape[1] != width:
            raise ValueError(
                f"{name} is a list of pieces, which must be two-dimensional arrays with the same number of columns;"
                f" piece {number} has the shape {piece.shape}, but piece 0 has the shape {pieces[0].shape}."
            )
    return np.concatenate(pieces)


def refuse_pieces(X: Any, name: str = "X", *, lists: bool = True) -> None:
    """Raise ValueError if rows come in pieces, where they are needed as one array.

    Parameters
    ----------
    X : object
    name : str, default="X"
        Name of the rows in messages.
    lists : bool, default=True
        Whether a list of two-dimensional arrays is refused, which elsewhere is a list of images.

    Raises
    ------
    ValueError
        If X is an iterator, an iterable such as PyTorch's DataLoader, a list of two-dimensional arrays, or a data set
        whose items are not rows. The message says what to do.
    """
    kind, sequences = type(X).__name__, ""
    if _is_dataset(X):
        raise ValueError(
            f"{name} is a {kind}, each item of which is a {type(X[0]).__name__} and no row of numbers. Pass the rows as"
            " an array or a tensor of shape (n_samples, n_features), such as dataset.tensors[0]; the fit of a"
            " dictionary, such as TopKAutoencoder, also takes a DataLoader of rows."
        )
    if is_stream(X):
        said = f"{name} is a {kind}, which yields its rows in pieces"
    elif lists and _is_list_of_pieces(X):
        said = f"{name} is a {kind} of {len(X)} two-dimensional arrays"
        sequences = " If they are sequences, use an estimator with recurrent layers, such as RecurrentClassifier."
    else:
        return
    raise ValueError(
        f"{said}, but they are needed in one array of shape (n_samples, n_features). Join the pieces,"
        " np.concatenate([...]), or write them into files and pass rhohat.open_rows(folder), which reads rows as they"
        " are needed. A fitted model takes one piece after the other; and the fit of a dictionary, such as"
        f" TopKAutoencoder, takes an iterator, a DataLoader or a list of arrays as it is.{sequences}"
    )


def check_flat(X: Any, name: str = "X") -> None:
    """Raise ValueError if an array has more than two axes, or rows come in pieces; see `refuse_pieces`."""
    refuse_pieces(X, name)
    if getattr(X, "ndim", 2) > 2:
        raise ValueError(
            f"Found array with dim {X.ndim}: {name} has the shape {X.shape}, but each row must be flat; pass"
            f" {name}.reshape(len({name}), -1), or rhohat.open_rows({name})."
        )


def _is_array(X: Any) -> bool:
    return hasattr(X, "ndim") and hasattr(X, "shape")


def _is_list_of_pieces(X: Any) -> bool:
    """Return whether an object is a list of two-dimensional arrays, or of lists with such an array in each."""
    if not isinstance(X, list | tuple) or not X:
        return False
    first = X[0]
    if isinstance(first, list | tuple) and len(first) == 1:
        first = first[0]
    return _is_array(first) and first.ndim == 2 and all(_is_array(one) or isinstance(one, list | tuple) for one in X)


def _is_dataset(X: Any) -> bool:
    """Return whether an object is a data set with an item for each row that is no row, such as a TensorDataset."""
    if isinstance(X, list | tuple | str | bytes | Mapping) or any(hasattr(X, name) for name in ("shape", "__array__")):
        return False
    if not (hasattr(X, "__len__") and hasattr(X, "__getitem__") and len(X)):
        return False
    try:
        return isinstance(X[0], tuple | list | dict) and not all(np.isscalar(one) for one in X[0])
    except (KeyError, TypeError, IndexError):
        return False
