"""Pictures that several results have in common."""

import matplotlib.pyplot as plt

import rhohat

__all__ = ["draw_filters"]


def draw_filters(panels, path, image_shape=None, *, size, dpi=100, bbox_inches=None, **options):
    """Draw sets of filters side by side.

    Parameters
    ----------
    panels : dict of str to array of shape (n_filters, n_features)
        By title; "" for none.
    path : Path
    image_shape : tuple of int, default=None
    size : tuple of float
        Of the whole, in inches.
    dpi, bbox_inches
        Of `savefig`; "tight" where titles have two lines.
    **options
        Of `rhohat.plot_filters`.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=size, layout="constrained", squeeze=False)
    for ax, (title, filters) in zip(axes[0], panels.items(), strict=True):
        rhohat.plot_filters(filters, image_shape, title=title or None, ax=ax, **options)
    figure.savefig(path, dpi=dpi, bbox_inches=bbox_inches)
