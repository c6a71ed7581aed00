"""Plots of sequences with Matplotlib, which follow the same rules as those of `plots`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from rhohat.common.arrays import FloatArray
from rhohat.common.words import counted
from rhohat.inspection.feature_maps import some_channels
from rhohat.inspection.plots import new_axes
from rhohat.inspection.sequences import activations_over_time, layer_of_steps
from rhohat.models.pipelines import estimator_of, open_model_rows, prepare_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_activations"]

_MOST_UNITS, _MOST_TICKS, _GAP = 32, 6, 1


def plot_activations(
    model: Any,
    data: Any,
    units: Sequence[int] | None = None,
    *,
    n_sequences: int = 4,
    colormap: str = "RdBu_r",
    title: str | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw the activations of units over time, for some sequences beside one another.

    Each line of the picture is a unit, and each column a step of a sequence. The units are those of the last layer, up
    to the code, that goes through steps; all of its steps are drawn, even if the network uses the last one only. The
    colour in the middle of the colormap is 0.

    Parameters
    ----------
    model : fitted estimator, or Pipeline that ends in one
        A network that goes through the steps of sequences, such as `RecurrentAutoencoder`.
    data : list of arrays, path, array, Dask array or RowSource
        Sequences in the form that the model was fitted to.
    units : sequence of int, default=None
        Numbers of the units, from 0. None means at most 32, spread evenly.
    n_sequences : int, default=4
        Largest number of sequences that are drawn, from the first one on.
    colormap : str, default="RdBu_r"
        Matplotlib colormap for the activations.
    title : str, default=None
        Title of the Axes.
    ax : matplotlib Axes, default=None
        Axes to draw on. If None, new Axes are created.

    Returns
    -------
    matplotlib Axes

    Raises
    ------
    ValueError
        If no layer of the network goes through steps, there is no such unit, n_sequences is below 1, or in the cases
        in which `open_rows` raises it.
    MissingExtraError
        If Matplotlib is not installed.

    Examples
    --------
    >>> from rhohat import LSTM, RecurrentAutoencoder
    >>> X = [np.sin(np.arange(length) / 2)[:, None] for length in (6, 9, 12, 20)]
    >>> autoencoder = RecurrentAutoencoder(layers=[LSTM(5)], max_iter=3, tol=10, random_state=0).fit(X)
    >>> ax = plot_activations(autoencoder, X, n_sequences=3)
    >>> ax.images[0].get_array().shape  # 6, 9 and 12 steps, with a gap after the first and the second sequence
    (5, 29)
    """
    estimator = estimator_of(model)
    check_is_fitted(estimator)
    layer = layer_of_steps(estimator)
    if layer is None:
        raise ValueError(
            f"{type(estimator).__name__} has no activations over time, because none of its layers goes through the"
            " steps of a sequence; use a network with recurrent layers, such as LSTM(20)."
        )
    if n_sequences < 1:
        raise ValueError(f"n_sequences must be >= 1; got {n_sequences}.")
    source = open_model_rows(model, data)
    try:
        rows = prepare_rows(model, source)
        over_time = activations_over_time(estimator, rows.read(0, min(n_sequences, len(rows))), layer)
    finally:
        if source is not data:
            source.close()
    n_units = over_time[0].shape[1]
    chosen = some_channels(n_units, _MOST_UNITS).tolist() if units is None else list(units)
    if not chosen or not all(0 <= unit < n_units for unit in chosen):
        raise ValueError(
            f"units must be numbers from 0 to {n_units - 1}, as the layer has {counted(n_units, 'unit')}; got {units}."
        )
    return _draw([one[:, chosen] for one in over_time], chosen, colormap, title, new_axes(ax))


def _draw(over_time: list[FloatArray], units: list[int], colormap: str, title: str | None, ax: Axes) -> Axes:
    """Draw the activations of chosen units, of shape (n_steps, n_units) for each sequence."""
    starts = np.cumsum([0, *(len(one) + _GAP for one in over_time)])
    picture = np.full((len(units), int(starts[-1]) - _GAP), np.nan)
    for start, one in zip(starts, over_time, strict=False):
        picture[:, start : start + len(one)] = one.T
    largest = float(np.nanmax(np.abs(picture))) or 1.0
    image = ax.imshow(picture, cmap=colormap, vmin=-largest, vmax=largest, aspect="auto", interpolation="nearest")
    bar = ax.get_figure().colorbar(image, ax=ax, label="activation")  # type: ignore[union-attr]
    bar.outline.set_visible(False)
    longest = max(len(one) for one in over_time)
    every = max(1, -(-longest // _MOST_TICKS))
    places = [(int(start) + step, step) for start, one in zip(starts, over_time, strict=False)
              for step in range(0, max(1, len(one) - every // 3), every)]  # fmt: skip
    ax.set_xticks([place for place, _ in places], [str(step) for _, step in places])
    ax.set_yticks(range(len(units)), [str(unit) for unit in units])
    ax.set_xlabel("step")
    ax.set_ylabel("unit")
    for number, (start, one) in enumerate(zip(starts, over_time, strict=False)):
        ax.annotate(
            f"sequence {number}" if len(over_time) <= 2 or len(one) * 6 > longest else f"{number}",
            (float(start) + (len(one) - 1) / 2, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0, 4),
            textcoords="offset points",
            ha="center",
            va="bottom",
        )
    for side in ("top", "right", "bottom", "left"):
        ax.spines[side].set_visible(False)
    if title is not None:
        ax.set_title(title, pad=20)
    return ax
