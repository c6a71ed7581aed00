"""A remark on rows of large numbers, at which units with bounds such as sigmoid units are saturated."""

from __future__ import annotations

from typing import Any

import numpy as np

from rhohat.common.words import Sentence, Setting
from rhohat.data.ranges import some_rows
from rhohat.layers.network import Network

__all__ = ["remark_on_large_rows"]

_LARGE = 10.0  # root mean square above which rows are remarked on; units with bounds expect numbers of about 1


def remark_on_large_rows(network: Network, X: Any) -> Sentence | None:
    """Return a remark if the numbers of rows are large and the units that see them have bounds; None otherwise.

    Parameters
    ----------
    network : Network
        Network that sees the rows. The activation of its first layer decides.
    X : array or RowSource of shape (n_samples, n_features)
        The rows as the network sees them, some of which are looked at.

    Examples
    --------
    >>> from rhohat import SparseAutoencoder
    >>> X = np.arange(160.0).reshape(40, 4)
    >>> model = SparseAutoencoder(n_components=2, max_iter=1000, tol=1e-2, random_state=0).fit(X / 160)
    >>> print(remark_on_large_rows(model.network_, X))
    The rows hold large numbers, with a root mean square of 91.9, at which sigmoid units are saturated and learn \
little: scale the rows first, with rhohat.RangeScaler, or scikit-learn's StandardScaler for a table.
    >>> remark_on_large_rows(model.network_, X / 160) is None
    True
    """
    activation = network.activations[0]
    some = some_rows(X) if np.all(np.isfinite(activation.bounds)) else None
    if some is None:
        return None
    numbers = np.abs(some[~np.isnan(some)], dtype=np.float64)
    largest = float(numbers.max(initial=0.0))
    if largest <= _LARGE:
        return None
    typical = largest * float(np.sqrt(np.mean((numbers / largest) ** 2)))
    if typical <= _LARGE:
        return None
    return Sentence(
        f"The rows hold large numbers, with a root mean square of {typical:.3g}, at which {activation.name} units are"
        " saturated and learn little: scale the rows first, with ",
        Setting("preprocess", "range", "rhohat.RangeScaler"),
        ", or ",
        Setting("preprocess", "standard", "scikit-learn's StandardScaler"),
        " for a table.",
    )
