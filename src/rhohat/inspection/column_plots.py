"""Plots of models of tables with Matplotlib: the columns that each unit looks for, as bars."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from rhohat.common.arrays import FloatArray
from rhohat.common.extras import import_extra
from rhohat.inspection.feature_maps import some_channels
from rhohat.inspection.sequences import n_units_of_code
from rhohat.models.pipelines import estimator_of, feature_names_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MOST_UNITS", "directions_of", "n_units_of", "plot_columns"]

MOST_UNITS = 25  # that are drawn if none are named
_MOST_ACROSS, _WIDTH, _LINE, _AROUND = 5, 4.0, 0.19, 0.75  # the last three in inches
_LONGEST_NAME = 26
_POSITIVE, _NEGATIVE = "tab:blue", "tab:orange"


def plot_columns(
    model: Any,
    names: Sequence[str] | None = None,
    *,
    units: Sequence[int] | None = None,
    n_columns: int = 10,
    figure: Figure | None = None,
) -> Figure:
    """Draw what the units of a model of a table look for: for each unit, a bar for each of its strongest columns.

    The units stand in a grid, and the largest bar of a unit is at its top. A bar to the right, in blue, means that the
    unit is more active where the column is large; a bar to the left, in orange, where it is small. All units have the
    same scale. Columns are meant as the network sees them, after the preprocessing of the model.

    Parameters
    ----------
    model : fitted estimator, Pipeline that ends in one, or array-like of shape (n_units, n_features)
        A network, whose `maximal_inputs` are drawn; a dictionary, whose `components_` are drawn; or directions, such as
        some of these.
    names : sequence of str, default=None
        Names of the columns, n_features in number. None means the names that the model knows from its training, or else
        column 0, column 1 and so on.
    units : sequence of int, default=None
        Numbers of the units, from 0. None means at most 25, spread evenly.
    n_columns : int, default=10
        Largest number of bars for a unit, at least 1: those of the columns with the largest absolute weights. Columns
        with the weight 0 have no bar.
    figure : matplotlib Figure, default=None
        Empty figure to draw on; its size and layout are set. If None, a new figure is created.

    Returns
    -------
    matplotlib Figure
        It has an Axes for each unit.

    Raises
    ------
    ValueError
        If the directions are not rows of finite numbers, the names are not as many as the columns, there is no such
        unit, n_columns is below 1, or the rows of the model are sequences.
    sklearn.exceptions.NotFittedError
        If the model is not fitted.
    MissingExtraError
        If Matplotlib is not installed.

    Examples
    --------
    >>> figure = plot_columns([[0.1, -0.9, 0.4], [0.7, 0.7, 0.0]], ["age", "height", "weight"])
    >>> [[label.get_text() for label in ax.get_yticklabels()] for ax in figure.axes]
    [['height', 'weight', 'age'], ['age', 'height']]
    """
    chosen, directions, noun = _directions(model, units)
    if names is None:
        names = feature_names_of(model) if isinstance(model, BaseEstimator) else None
    n_features = directions.shape[1]
    names = [f"column {number}" for number in range(n_features)] if names is None else [str(name) for name in names]
    if len(names) != n_features or n_columns < 1:
        raise ValueError(
            f"names must be as many as the {n_features} columns, and n_columns must be >= 1; got {len(names)} names and"
            f" {n_columns=}."
        )
    if figure is None:
        figure = import_extra("matplotlib.pyplot", "app").figure()
    across = min(_MOST_ACROSS, int(np.ceil(np.sqrt(len(chosen)))))
    down = -(-len(chosen) // across)
    n_bars = min(n_columns, n_features)
    figure.set_size_inches(_WIDTH * across + 0.4, (_LINE * n_bars + _AROUND) * down + 0.5)
    figure.set_layout_engine("constrained", w_pad=0.12)
    largest = float(np.abs(directions).max()) or 1.0
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for ax, number, direction in zip(axes, chosen, directions, strict=False):
        _draw(ax, direction, names, n_bars, largest)
        ax.set_title(f"{noun} {number}", fontsize=11)
    for ax in axes[len(chosen) :]:
        ax.remove()
    what = "the row that activates the unit most" if noun == "unit" else "the direction of the latent"
    figure.supxlabel(
        f"weight of a column in {what}: blue for large values of the column, orange for small ones", fontsize=11
    )
    return figure


def directions_of(estimator: Any, units: Sequence[int] | None = None) -> FloatArray:
    """Return what each unit, or each of some, looks for; of a dictionary, the directions of its latents."""
    if estimator.has_sparse_codes:
        found: FloatArray = estimator.components_
        return found if units is None else found[list(units)]
    found = estimator.maximal_inputs(units)
    return found


def n_units_of(estimator: Any) -> int:
    """Return the number of units of the code, or of latents."""
    return int(estimator.n_components_) if estimator.has_sparse_codes else n_units_of_code(estimator)


def _directions(model: Any, units: Sequence[int] | None) -> tuple[list[int], FloatArray, str]:
    """Return the numbers of the units to draw, their directions, and what they are called."""
    estimator = None
    if isinstance(model, BaseEstimator):
        check_is_fitted(model)
        estimator = estimator_of(model)
        check_is_fitted(estimator)
        if estimator.n_steps_of_rows_ is not None:
            raise ValueError(
                f"the rows of {type(estimator).__name__} are sequences, which have no columns; use plot_activations."
            )
        n_units = n_units_of(estimator)
    else:
        rows = np.asarray(model, dtype=np.float64)
        if rows.ndim != 2 or rows.size == 0 or not np.all(np.isfinite(rows)):
            raise ValueError(
                "model must be a fitted model, or an array of shape (n_units >= 1, n_features) without NaN or infinity;"
                f" got an array of shape {rows.shape}."
            )
        n_units = len(rows)
    chosen = some_channels(n_units, MOST_UNITS).tolist() if units is None else list(units)
    if not chosen or not all(0 <= unit < n_units for unit in chosen):
        raise ValueError(f"units must be numbers from 0 to {n_units - 1}; got {units}.")
    if estimator is None:
        return chosen, rows[chosen], "unit"
    found = np.asarray(directions_of(estimator, chosen), dtype=np.float64)
    return chosen, found, "latent" if estimator.has_sparse_codes else "unit"


def _draw(ax: Axes, direction: FloatArray, names: Sequence[str], n_bars: int, largest: float) -> None:
    """Draw the bars of one unit, the largest at the top."""
    order = np.argsort(-np.abs(direction), kind="stable")[:n_bars]
    order = order[direction[order] != 0]
    weights, places = direction[order], np.arange(len(order))
    ax.barh(places, weights, height=0.75, color=np.where(weights > 0, _POSITIVE, _NEGATIVE))
    ax.set_yticks(places, [_short(names[column]) for column in order], fontsize=9)
    ax.set_ylim(n_bars - 0.4, -0.6)
    ax.set_xlim(-1.05 * largest, 1.05 * largest)
    ax.axvline(0, color="0.4", linewidth=0.8)
    ax.tick_params(axis="x", labelsize=8, colors="0.35")
    ax.tick_params(axis="y", length=0)
    ax.locator_params(axis="x", nbins=5)
    ax.grid(axis="x", color="0.9")
    ax.set_axisbelow(True)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    if not len(order):
        ax.text(0.5, 0.5, "all weights are 0", transform=ax.transAxes, ha="center", va="center", color="0.35")


def _short(name: str) -> str:
    """Return a name, with its middle left out if it is long: the ends of names of categories tell them apart."""
    if len(name) <= _LONGEST_NAME:
        return name
    half = (_LONGEST_NAME - 1) // 2
    return f"{name[: _LONGEST_NAME - 1 - half]}…{name[-half:]}"
